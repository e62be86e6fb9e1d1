/* Programs of element-wise kernels, and the values that wait to be computed by one. For core/ and ops/ alone.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_CORE_TILES_H
#define GRADUS_CORE_TILES_H

#include "core/tensor.h"
#include "kernels/kernels.h"

enum { GR_MAX_STEPS = 48, GR_MAX_VALUES = 96 };
enum { GR_BLOCK = 4096 }; /* elements: a sum of many numbers is that of the sums of blocks, whoever computes it */

/* An operand in memory, dense or with a stride for each dimension of the shape; or, where data is NULL, a value that only
 * later steps read. */
typedef struct gr_value {
    char *data;
    const int64_t *stride; /* in elements; NULL: dense */
    int size;              /* bytes of an element */
    bool result;           /* a step writes it */
} gr_value;

typedef struct gr_step {
    gr_ew_fn *fn;
    gr_maker_fn *maker;      /* or, where fn is NULL, this, of what it is given; then there are no operands */
    const void *how;
    int64_t row;             /* elements of which it makes whole ones best */
    uint8_t n, value[GR_MAX_OPERANDS]; /* the result, then the operands */
} gr_step;

/* total[b] = sum of block b of a value that a step computes */
typedef struct gr_block_sums {
    gr_reduce_fn *fn;
    uint8_t value;
    char *total;
} gr_block_sums;

/* Of each GR_ROWS rows of a value [m, k.n], what the adjoint of k makes of them, `sums` rows: one after another in parts. */
enum { GR_ROWS = 64 };
typedef struct gr_row_sums {
    gr_affine_adjoint_fn *fn;
    gr_affine k;
    bool plain;
    uint8_t value;
    int64_t sums;
    char *parts;
} gr_row_sums;

typedef struct gr_program {
    int ndim, num_values, num_steps, num_sums;
    const int64_t *dim;
    const gr_value *value;
    const gr_step *step;
    const gr_block_sums *sum;
    const gr_row_sums *row_sums; /* NULL: none, so beside other sums */
} gr_program;

/* Runs the steps on every element. A result may be one of its step's operands. Fails only for want of memory. */
bool gr__run_program(gr_ctx *c, const gr_program *p);

/* y = kernel(operands), of one shape; t[0] is y. Where y has no memory yet it gets some, or, if it is large, its value
 * waits until somebody asks for it (defer.c). reads: bit k - 1 for each operand t[k] that the kernel reads. */
bool gr__run_elementwise(gr_ew_fn *fn, unsigned reads, int count, gr_tensor *const *t);
/* Where the one element of y goes, for its kernel: it never waits, and has any stride. */
static inline char *gr__place_of_one(gr_tensor *y)
{
    if (!y->data) y->data = (char *)&y->value;
    return y->data;
}

/* y = what the maker makes of n tensors, at most 3, that have their values, as the first bytes of block `how` tell it; y takes that over.
 * It costs no more than an element-wise value, and like one it waits, unless it is small or has memory. */
bool gr__run_maker(gr_maker_fn *maker, gr_block *how, int64_t row, int n, gr_tensor *const *in, gr_tensor *y);

/* The adjoint: y = a^T x and total = sum of the rows of x, of which one may be NULL, in one pass over x, which need not get memory for it. x [m, n],
 * a [m, k], which has its values; y [k, n] or, if turned, [n, k], and total [n] have memory. */
bool gr__run_adjoint(gr_tensor *x, const gr_tensor *a, gr_tensor *y, bool turned, gr_tensor *total);

/* y = sum of x / over, of one element; its dtype is that of x, which is contiguous. Where x waits, so does y. */
bool gr__run_sum(gr_tensor *x, double over, gr_tensor *y);

#endif
