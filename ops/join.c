/* Parts of tensors along one dimension: slice, its adjoint, and joining.
 * SPDX-License-Identifier: MIT */
#include "ops/record.h"

#include <string.h>

typedef struct slice_attr {
    int64_t start, stop, step, size; /* stop is exact; size: of the whole dimension (unslice) */
    int dim;
} slice_attr;

static int64_t count_of(const slice_attr *a) { return a->stop > a->start ? (a->stop - a->start + a->step - 1) / a->step : 0; }

static void describe(const void *attr, char *out, size_t size)
{
    const slice_attr *a = attr;
    if (a->step == 1) snprintf(out, size, "dim %d, %lld:%lld", a->dim, (long long)a->start, (long long)a->stop);
    else snprintf(out, size, "dim %d, %lld:%lld:%lld", a->dim, (long long)a->start, (long long)a->stop, (long long)a->step);
}

/* ---- slice -------------------------------------------------------------------------------------------------------------------*/
static bool slice_shape(gr_call *k)
{
    const gr_tensor *x = k->in[0];
    const slice_attr *a = k->attr;
    k->dtype = (gr_type)x->dtype;
    k->ndim = x->ndim;
    for (int d = 0; d < x->ndim; d++) {
        k->dim[d] = d == a->dim ? count_of(a) : x->dims[d];
        k->stride[d] = gr__stride(x)[d] * (d == a->dim ? a->step : 1);
    }
    k->offset = k->dim[a->dim] ? a->start * gr__stride(x)[a->dim] : 0;
    return true;
}
static gr_tensor *unslice(gr_tensor *x, const slice_attr *a) { return gr__apply1(&gr_op_unslice, x, a); }
static gr_tensor *slice_vjp(gr_tensor *y, gr_tensor *dy, int i) { return (void)i, unslice(dy, y->attr); }
static bool slice_reference(const gr_call *k, double *const *x, double *y)
{
    const slice_attr *a = k->attr;
    int64_t index[GR_MAX_RANK];
    for (int64_t i = 0; i < gr__count(k->ndim, k->dim); i++) {
        gr__unravel(i, k->ndim, k->dim, index);
        index[a->dim] = a->start + index[a->dim] * a->step;
        y[i] = x[0][gr__ravel(k->ndim, k->in[0]->dims, index)];
    }
    return true;
}

gr_tensor *gr_slice_with(gr_tensor *x, int dim, int64_t start, int64_t stop, gr_slice_opts o)
{
    if (!gr__ready(x)) return NULL;
    slice_attr a;
    memset(&a, 0, sizeof a);
    if ((a.dim = gr__dim("slice", x, dim)) < 0) return NULL;
    a.step = o.step ? o.step : 1;
    if (a.step < 0) {
        gr_fail(x->ctx, GR_EVALUE, "slice: the step is %lld. Fix: steps are 1 or more", (long long)a.step);
        return NULL;
    }
    int64_t n = a.size = x->dims[a.dim];
    if (start < 0) start = start < -n ? 0 : start + n;
    if (stop < 0) stop = stop < -n ? 0 : stop + n;
    a.stop = stop < n ? stop : n;
    a.start = start < a.stop ? start : a.stop;
    return gr__apply1(&gr_op_slice, x, &a);
}

gr_tensor *gr_select(gr_tensor *x, int dim, int64_t index)
{
    if (!gr__ready(x)) return NULL;
    int d = gr__dim("select", x, dim);
    if (d < 0) return NULL;
    int64_t n = x->dims[d], i = index < 0 ? index + n : index;
    if (i < 0 || i >= n) {
        gr_fail(x->ctx, GR_EINDEX, "select: index %lld is out of range for dimension %d of size %lld. Fix: use %lld to %lld", (long long)index, d,
                (long long)n, (long long)-n, (long long)n - 1);
        return NULL;
    }
    return gr_squeeze(gr_slice(x, d, i, i + 1), d);
}

static gr_tensor *head(gr_tensor **x) { return gr_slice(x[0], 0, 0, 2); }
static gr_tensor *odd(gr_tensor **x) { return gr_slice(x[0], -1, 1, GR_END, .step = 2); }
static gr_tensor *tail(gr_tensor **x) { return gr_slice(x[0], 0, -2, GR_END); }
static gr_tensor *empty(gr_tensor **x) { return gr_slice(x[0], 0, 2, 1); }
static gr_tensor *second(gr_tensor **x) { return gr_select(x[0], 1, 1); }
static gr_tensor *backwards(gr_tensor **x) { return gr_slice(x[0], 0, 0, 2, .step = -1); }
static gr_tensor *far_dim(gr_tensor **x) { return gr_slice(x[0], 2, 0, 1); }
static gr_tensor *far_index(gr_tensor **x) { return gr_select(x[0], 0, 5); }
static const gr_sample slice_samples[] = { { "[3, 2]", head }, { "[2, 5]", odd }, { "[4]", tail }, { "[3, 2]", empty }, { "[2, 3, 2]", second }, { "[0, 2]", head }, { NULL, NULL } };
static const gr_bad_call slice_bad[] = {
    { "[3]", backwards, GR_EVALUE, "slice: the step is -1. Fix: steps are 1 or more" },
    { "[3, 2]", far_dim, GR_EINDEX, "slice([3, 2]): dimension 2 is out of range. Fix: use -2 to 1" },
    { "[3, 2]", far_index, GR_EINDEX, "select: index 5 is out of range for dimension 0 of size 3. Fix: use -3 to 2" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_slice = { .name = "slice", .formula = "y = x[start:stop:step]", .gradient = "dx = zeros, dy in place of the slice", .arity = 1,
                            .flags = GR_OP_VIEW | GR_OP_LINEAR | GR_OP_PART, .attr_size = sizeof(slice_attr), .shape = slice_shape, .vjp = slice_vjp,
                            .describe = describe, .reference_tensor = slice_reference, .samples = slice_samples, .bad = slice_bad };

/* ---- unslice: zeros with x in place of a slice -----------------------------------------------------------------------------------*/
static bool unslice_shape(gr_call *k)
{
    const gr_tensor *x = k->in[0];
    const slice_attr *a = k->attr;
    k->dtype = (gr_type)x->dtype;
    k->ndim = x->ndim;
    if (a->dim < 0 || a->dim >= x->ndim || a->step < 1 || a->start < 0 || a->stop > a->size || count_of(a) != x->dims[a->dim])
        return gr_reject(k, GR_ESHAPE, "give it the shape of the slice", "does not fit the slice it should undo");
    for (int d = 0; d < x->ndim; d++) k->dim[d] = d == a->dim ? a->size : x->dims[d];
    return true;
}
/* y in [from, to) of the dimension, with this stride there, becomes x; NULL: zeros */
static void fill_part(const gr_call *k, gr_tensor *y, int64_t from, int64_t to, int64_t step, const gr_tensor *x)
{
    static const int64_t none[GR_MAX_RANK] = { 0 };
    static const double zero = 0;
    const int dim = ((const slice_attr *)k->attr)->dim;
    const int64_t size = (int64_t)gr__type_size(k->dtype);
    int64_t stride[GR_MAX_RANK], dims[GR_MAX_RANK];
    if (to <= from) return;
    for (int d = 0; d < y->ndim; d++) stride[d] = gr__stride(y)[d] * (d == dim ? step : 1), dims[d] = d == dim ? (to - from + step - 1) / step : y->dims[d];
    gr__copy_args(k->ctx, y->ndim, dims, k->dtype, (gr_run_arg){ y->data + from * gr__stride(y)[dim] * size, stride, size },
                  x ? gr__run_arg(x) : (gr_run_arg){ (char *)&zero, none, size });
}
static bool unslice_forward(const gr_call *k, gr_tensor *y)
{
    const slice_attr *a = k->attr;
    const int64_t end = a->start + k->in[0]->dims[a->dim] * a->step;
    const bool dense = a->step == 1;
    fill_part(k, y, 0, dense ? a->start : a->size, 1, NULL);
    if (dense) fill_part(k, y, end, a->size, 1, NULL);
    if (y->numel) fill_part(k, y, a->start, end, a->step, k->in[0]);
    return true;
}
static gr_tensor *unslice_vjp(gr_tensor *y, gr_tensor *dy, int i) { return (void)i, gr__apply1(&gr_op_slice, dy, y->attr); }
static bool unslice_reference(const gr_call *k, double *const *x, double *y)
{
    const slice_attr *a = k->attr;
    int64_t index[GR_MAX_RANK];
    for (int64_t i = 0; i < gr__count(k->ndim, k->dim); i++) y[i] = 0;
    for (int64_t i = 0; i < k->in[0]->numel; i++) {
        gr__unravel(i, k->ndim, k->in[0]->dims, index);
        index[a->dim] = a->start + index[a->dim] * a->step;
        y[gr__ravel(k->ndim, k->dim, index)] = x[0][i];
    }
    return true;
}
static gr_tensor *apply_unslice(gr_tensor *x, int dim, int64_t start, int64_t step, int64_t size)
{
    slice_attr a;
    memset(&a, 0, sizeof a);
    a.dim = dim, a.start = start, a.step = step, a.size = size;
    a.stop = gr_size(x, dim) ? start + (gr_size(x, dim) - 1) * step + 1 : start;
    return unslice(x, &a);
}
static gr_tensor *into_4(gr_tensor **x) { return apply_unslice(x[0], 0, 1, 1, 4); }
static gr_tensor *into_odd(gr_tensor **x) { return apply_unslice(x[0], 1, 1, 2, 6); }
static gr_tensor *into_1(gr_tensor **x) { return apply_unslice(x[0], 0, 1, 1, 1); }
static const gr_sample unslice_samples[] = { { "[2, 3]", into_4 }, { "[3]", into_4 }, { "[2, 3]", into_odd }, { "[0, 2]", into_4 }, { "[2, 2, 3]", into_odd }, { "[1]", into_4 }, { NULL, NULL } };
static const gr_bad_call unslice_bad[] = { { "[2]", into_1, GR_ESHAPE, "unslice([2]): does not fit the slice it should undo. Fix: give it the shape of the slice" }, { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_unslice = { .name = "unslice", .formula = "y = zeros, x in place of the slice", .gradient = "dx = dy[start:stop:step]", .arity = 1,
                              .flags = GR_OP_LINEAR | GR_OP_MOVES, .attr_size = sizeof(slice_attr), .shape = unslice_shape, .forward = unslice_forward,
                              .vjp = unslice_vjp, .describe = describe, .reference_tensor = unslice_reference, .samples = unslice_samples,
                              .bad = unslice_bad };

/* ---- cat, stack --------------------------------------------------------------------------------------------------------------------*/
typedef struct cat_attr {
    int dim;
} cat_attr;

static bool cat_shape(gr_call *k)
{
    const gr_tensor *first = k->in[0];
    const int dim = ((const cat_attr *)k->attr)->dim;
    k->dtype = (gr_type)first->dtype;
    k->ndim = first->ndim;
    for (int d = 0; d < k->ndim; d++) k->dim[d] = first->dims[d];
    for (int i = 1; i < k->n; i++) {
        const gr_tensor *x = k->in[i];
        if (x->dtype != first->dtype) return gr_reject(k, GR_EDTYPE, "convert it with gr_astype", "input %d has another dtype", i);
        if (x->ndim != k->ndim) return gr_reject(k, GR_ESHAPE, "reshape it", "input %d has rank %d, not %d", i, x->ndim, k->ndim);
        for (int d = 0; d < k->ndim; d++)
            if (d != dim && x->dims[d] != k->dim[d])
                return gr_reject(k, GR_ESHAPE, "all sizes but those that are joined must agree", "size %lld of input %d at dimension %d is not %lld",
                                 (long long)x->dims[d], i, d, (long long)k->dim[d]);
        k->dim[dim] += x->dims[dim];
    }
    return true;
}
static bool cat_forward(const gr_call *k, gr_tensor *y)
{
    const int dim = ((const cat_attr *)k->attr)->dim;
    int64_t size = (int64_t)gr__type_size(k->dtype), at = 0;
    for (int i = 0; i < k->n; i++) {
        const gr_tensor *x = k->in[i];
        gr_run_arg args[2] = { { y->data + at * gr__stride(y)[dim] * size, gr__stride(y), size }, gr__run_arg(x) };
        gr__copy_args(k->ctx, x->ndim, x->dims, k->dtype, args[0], args[1]);
        at += x->dims[dim];
    }
    return true;
}
static gr_tensor *cat_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    const int dim = ((const cat_attr *)y->attr)->dim;
    int64_t start = 0;
    for (int j = 0; j < i; j++) start += y->in[j]->dims[dim];
    return gr_slice(dy, dim, start, start + y->in[i]->dims[dim]);
}
static bool cat_reference(const gr_call *k, double *const *x, double *y)
{
    const int dim = ((const cat_attr *)k->attr)->dim;
    int64_t index[GR_MAX_RANK];
    for (int64_t i = 0; i < gr__count(k->ndim, k->dim); i++) {
        gr__unravel(i, k->ndim, k->dim, index);
        int which = 0;
        while (index[dim] >= k->in[which]->dims[dim]) index[dim] -= k->in[which++]->dims[dim];
        y[i] = x[which][gr__ravel(k->ndim, k->in[which]->dims, index)];
    }
    return true;
}

static bool some(gr_tensor *const *x, int n)
{
    for (int i = 0; i < n; i++)
        if (!x[i]) return false;
    return n > 0 && gr__ready(x[0]);
}
gr_tensor *gr_cat(gr_tensor *const *x, int n, int dim)
{
    if (!some(x, n)) return NULL;
    cat_attr a = { gr__dim("cat", x[0], dim) };
    return a.dim < 0 ? NULL : gr_apply(&gr_op_cat, x, n, &a);
}
gr_tensor *gr_stack(gr_tensor *const *x, int n, int dim)
{
    if (!some(x, n)) return NULL;
    int d = dim < 0 ? dim + x[0]->ndim + 1 : dim;
    gr_block *b = gr__block_new(x[0]->ctx, (size_t)n * sizeof *x);
    if (!b) return NULL;
    gr_tensor **wide = gr__block_data(b);
    bool ok = true;
    for (int i = 0; i < n; i++) {
        if (ok && !gr__same_shape(x[i], x[0])) {
            gr_call k = { .ctx = x[0]->ctx, .op = &gr_op_cat, .in = x, .n = n };
            ok = gr_reject(&k, GR_ESHAPE, "stack takes tensors of one shape", "input %d differs in shape from input 0", i);
        }
        wide[i] = gr_unsqueeze(x[i], d);
    }
    gr_tensor *y = ok ? gr_cat(wide, n, d) : NULL;
    gr__block_unref(x[0]->ctx, b);
    return y;
}
static gr_tensor *cat_0(gr_tensor **x) { return gr_cat(x, 2, 0); }
static gr_tensor *cat_1(gr_tensor **x) { return gr_cat(x, 3, -1); }
static gr_tensor *stack_1(gr_tensor **x) { return gr_stack(x, 2, 1); }
static gr_tensor *same_twice(gr_tensor **x) { return gr_cat((gr_tensor *[]){ x[0], x[0] }, 2, 0); }
static const gr_sample cat_samples[] = { { "[2, 3]; [1, 3]", cat_0 }, { "[2, 1]; [2, 0]; [2, 2]", cat_1 }, { "[2, 3]; [2, 3]", stack_1 }, { "[3]; [2]", cat_0 }, { "[0, 2]; [0, 2]", cat_0 }, { "[2, 2]", same_twice }, { "[2]; [2]", stack_1 }, { NULL, NULL } };
static const gr_bad_call cat_bad[] = {
    { "[2, 3]; [2, 4]", cat_0, GR_ESHAPE, "cat([2, 3], [2, 4]): size 4 of input 1 at dimension 1 is not 3. Fix: all sizes but those that are joined must agree" },
    { "[2]; i64 [2]", cat_0, GR_EDTYPE, "cat([2], i64 [2]): input 1 has another dtype. Fix: convert it with gr_astype" },
    { "[2]; [2, 1]", cat_0, GR_ESHAPE, "cat([2], [2, 1]): input 1 has rank 2, not 1. Fix: reshape it" },
    { "[2]; [3]", stack_1, GR_ESHAPE, "cat([2], [3]): input 1 differs in shape from input 0. Fix: stack takes tensors of one shape" },
    { "[]; []", cat_0, GR_EINDEX, "cat([]): a scalar has no dimension 0. Fix: reshape it to [1] first" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_cat = { .name = "cat", .formula = "y = x0, x1, ... end to end", .gradient = "dx_i = its part of dy", .arity = -1, .flags = GR_OP_LINEAR | GR_OP_MOVES,
                          .attr_size = sizeof(cat_attr), .shape = cat_shape, .forward = cat_forward, .vjp = cat_vjp,
                          .reference_tensor = cat_reference, .samples = cat_samples, .bad = cat_bad };
