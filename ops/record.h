/* What the files of ops/ share: kernels over tensors, broadcasting, and the tables that records need for the tests.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_OPS_RECORD_H
#define GRADUS_OPS_RECORD_H

#include "core/tiles.h"
#include "ops/ops.h"

/* Runs the element-wise kernel of this type over tensors of one shape: gr__run_elementwise. */
static inline bool gr__run_kernel(int kernel, gr_type type, int count, gr_tensor *const *t)
{
    const gr_kernel_table *k = gr__kernels();
    return gr__run_elementwise(k->ew[kernel][(int)type - 1], k->reads[kernel], count, t);
}
/* Copies x into y, of one shape and any strides. */
void gr__copy_args(gr_ctx *c, int ndim, const int64_t *dim, gr_type type, gr_run_arg y, gr_run_arg x);
/* y, contiguous, is x reduced by a kernel GR_REDUCE_...: strides of y, in elements, for the dimensions of x, 0 where it is
 * reduced. */
bool gr__run_reduce(int kernel, const gr_tensor *x, gr_tensor *y, const int64_t *stride);
/* y = x summed over what y would be repeated to */
bool gr__sum_repeats(const gr_tensor *x, gr_tensor *y);
/* y = a b for every matrix of the batch, where a^T stands for a if ta, b^T for b if tb: strides change places. y gets memory, if it has none, or
 * waits; a and b may wait. */
bool gr__multiply(gr_tensor *a, bool ta, gr_tensor *b, bool tb, gr_tensor *y);
/* Where a few steps make many elements, these are most of the work: a product that writes more than the first-level cache holds is left to
 * gr__run_maker, and so is its adjoint. y = start + a b, start a row or NULL, b of few rows; y as in gr__multiply. */
static inline bool gr__few_steps(const gr_tensor *y, int64_t steps)
{
    enum { FEW = 8, ROWS = 32, COLUMNS = 16, MANY = 8192 };
    return y->numel > MANY && steps <= FEW && y->ndim == 2 && y->dims[0] >= ROWS && y->dims[1] >= COLUMNS;
}
bool gr__combine_rows(const gr_tensor *start, gr_tensor *a, bool ta, const gr_tensor *b, bool tb, gr_tensor *y);
/* Bytes of scratch on the stack, at least what any kernel asks for where m, n and k are GR_LITTLE. */
enum { GR_LITTLE = 16, GR_LITTLE_SCRATCH = 16384 };
static inline int gr__k(gr_type t) { return (int)t - 1; }
static inline int gr__kt(const gr_tensor *t) { return (int)t->dtype - 1; }

/* The float type that integers become. */
static inline gr_type gr__float_type(const gr_ctx *c) { return c->dtype >= GR_F32 ? c->dtype : GR_F32; }
/* x in the smallest type at or above its own that this element-wise kernel has. */
gr_tensor *gr__promote(gr_tensor *x, int kernel);
/* a and b in one dtype and shape, broadcasting both; false when they do not fit (the error is set). */
bool gr__match(const gr_op *op, gr_tensor **a, gr_tensor **b);
bool gr__broadcast_shape(const gr_op *op, gr_tensor *const *in, int n, gr_dims *shape);

/* dim, or dim + ndim when negative; -1 with an error naming op and tensor when out of range */
int gr__dim(const char *op, const gr_tensor *x, int64_t dim);
static inline gr_dims gr__dims_of_tensor(const gr_tensor *t) { return gr_dims_of(t->dims, t->ndim); }
static inline gr_tensor *gr__apply1(const gr_op *op, gr_tensor *x, const void *attr) { return gr_apply(op, &x, 1, attr); }

/* dx = 0, connected to x and dy: for operations that are constant in pieces. */
gr_tensor *gr__zero_vjp(gr_tensor *y, gr_tensor *dy, int i);
/* y, reduced over the dimensions of mask with or without keepdim, back to the shape of x without copying. */
gr_tensor *gr__unreduce(gr_tensor *y, gr_tensor *x, uint32_t mask);
/* x with the dimensions of mask moved to the end and merged into one, contiguous. */
gr_tensor *gr__merge_last(gr_tensor *x, uint32_t mask);
/* Like x, values not set: rows are dense, the other dimensions in the order in which those of x lie in memory. A gradient that lies
 * so is dense once the views are undone of which x came. */
gr_tensor *gr__empty_as_it_lies(const gr_tensor *x);
bool gr__reduce_mask(const char *op, const gr_tensor *x, gr_dims dims, uint32_t *mask);

/* ---- index arithmetic for references: naive on purpose -----------------------------------------------------------------*/
static inline int64_t gr__count(int n, const int64_t *dim)
{
    int64_t total = 1;
    for (int i = 0; i < n; i++) total *= dim[i];
    return total;
}
static inline void gr__unravel(int64_t flat, int n, const int64_t *dim, int64_t *index)
{
    for (int i = n - 1; i >= 0; i--) {
        index[i] = flat % dim[i];
        flat /= dim[i];
    }
}
static inline int64_t gr__ravel(int n, const int64_t *dim, const int64_t *index)
{
    int64_t flat = 0;
    for (int i = 0; i < n; i++) flat = flat * dim[i] + index[i];
    return flat;
}

#endif
