/* Operations that move elements without changing them: views, and the copies that undo or join them. All are linear:
 * the derivative of each is another of this file.
 * SPDX-License-Identifier: MIT */
#include "ops/record.h"

#include <string.h>

typedef struct dims_attr {
    gr_dims dims;
} dims_attr;

static void take_shape(gr_call *k, gr_dims s)
{
    k->ndim = s.n;
    k->dtype = (gr_type)k->in[0]->dtype;
    for (int d = 0; d < s.n && d < GR_MAX_RANK; d++) k->dim[d] = s.v[d];
}

static void describe_dims(const void *attr, char *out, size_t size)
{
    const gr_dims *d = &((const dims_attr *)attr)->dims;
    gr__format_dims(out, size, d->n, d->v);
}

/* The shape in words, for a message: only a call that fails pays for it. */
typedef struct words {
    char text[200];
} words;
static words in_words(gr_dims s)
{
    words w;
    gr__format_dims(w.text, sizeof w.text, s.n, s.v);
    return w;
}

static gr_tensor *apply_dims(const gr_op *op, gr_tensor *x, gr_dims dims)
{
    dims_attr a;
    memset(&a, 0, sizeof a);
    a.dims = dims;
    return gr__apply1(op, x, &a);
}

/* ---- broadcast_to ------------------------------------------------------------------------------------------------------------*/
static bool broadcast_shape(gr_call *k)
{
    const gr_tensor *x = k->in[0];
    const gr_dims s = ((const dims_attr *)k->attr)->dims;
    take_shape(k, s);
    if (s.n > GR_MAX_RANK) return gr_reject(k, GR_ESHAPE, "use at most 8 dimensions", "rank %d is too large", s.n);
    if (s.n < x->ndim) return gr_reject(k, GR_ESHAPE, "reduce instead", "the shape %s has fewer dimensions", in_words(s).text);
    for (int d = 0; d < s.n; d++) {
        int from = d - (s.n - x->ndim);
        int64_t size = from < 0 ? 1 : x->dims[from];
        if (size != s.v[d] && size != 1)
            return gr_reject(k, GR_ESHAPE, "only sizes of 1 stretch", "does not broadcast to %s: size %lld at dimension %d is not %lld",
                             in_words(s).text, (long long)size, from, (long long)s.v[d]);
        k->stride[d] = size == 1 ? 0 : gr__stride(x)[from];
    }
    return true;
}
bool gr__sum_repeats(const gr_tensor *x, gr_tensor *y)
{
    int64_t stride[GR_MAX_RANK] = { 0 };
    for (int d = 0; d < y->ndim; d++) stride[x->ndim - y->ndim + d] = y->dims[d] == 1 ? 0 : gr__stride(y)[d];
    return gr__run_reduce(GR_REDUCE_sum, x, y, stride);
}
static bool broadcast_backward(gr_tensor *y, gr_tensor *dy, gr_tensor **dx)
{
    return (dx[0] = gr_empty_like(y->in[0])) && gr__sum_repeats(dy, dx[0]);
}
static gr_tensor *broadcast_vjp(gr_tensor *y, gr_tensor *dy, int i) { return gr_sum_to(dy, gr__dims_of_tensor(y->in[i])); }

/* flat position in x of element `index` of a shape of rank n that x broadcasts to */
static int64_t stretched(const gr_tensor *x, int n, const int64_t *index)
{
    int64_t at = 0;
    for (int d = 0; d < x->ndim; d++) at = at * x->dims[d] + (x->dims[d] == 1 ? 0 : index[n - x->ndim + d]);
    return at;
}
static bool broadcast_reference(const gr_call *k, double *const *x, double *y)
{
    int64_t index[GR_MAX_RANK];
    for (int64_t i = 0; i < gr__count(k->ndim, k->dim); i++) {
        gr__unravel(i, k->ndim, k->dim, index);
        y[i] = x[0][stretched(k->in[0], k->ndim, index)];
    }
    return true;
}

gr_tensor *gr_broadcast_to(gr_tensor *x, gr_dims shape)
{
    if (!gr__usable(x)) return NULL;
    bool same = x->ndim == shape.n;
    for (int d = 0; same && d < shape.n; d++) same = x->dims[d] == shape.v[d];
    return same ? x : apply_dims(&gr_op_broadcast_to, x, shape);
}

static gr_tensor *to_2_3(gr_tensor **x) { return gr_broadcast_to(x[0], GR_SHAPE(2, 3)); }
static gr_tensor *to_0_3(gr_tensor **x) { return gr_broadcast_to(x[0], GR_SHAPE(0, 3)); }
static gr_tensor *to_2_4_3(gr_tensor **x) { return gr_broadcast_to(x[0], GR_SHAPE(2, 4, 3)); }
static const gr_sample broadcast_samples[] = { { "[3]", to_2_3 }, { "[]", to_2_3 }, { "[2, 1]", to_2_3 }, { "[3]", to_0_3 }, { "[4, 1]", to_2_4_3 }, { "[1]", to_2_4_3 }, { NULL, NULL } };
static const gr_bad_call broadcast_bad[] = {
    { "[4]", to_2_3, GR_ESHAPE, "broadcast_to([4]): does not broadcast to [2, 3]: size 4 at dimension 0 is not 3. Fix: only sizes of 1 stretch" },
    { "[2, 2, 3]", to_2_3, GR_ESHAPE, "broadcast_to([2, 2, 3]): the shape [2, 3] has fewer dimensions. Fix: reduce instead" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_broadcast_to = { .name = "broadcast_to", .formula = "y = x, repeated", .gradient = "dx = dy summed over the repeats", .arity = 1,
                                   .flags = GR_OP_VIEW | GR_OP_LINEAR, .attr_size = sizeof(dims_attr), .shape = broadcast_shape,
                                   .vjp = broadcast_vjp, .backward = broadcast_backward, .describe = describe_dims, .reference_tensor = broadcast_reference,
                                   .samples = broadcast_samples, .bad = broadcast_bad };

/* ---- sum_to --------------------------------------------------------------------------------------------------------------------*/
static bool sum_to_shape(gr_call *k)
{
    const gr_tensor *x = k->in[0];
    const gr_dims s = ((const dims_attr *)k->attr)->dims;
    take_shape(k, s);
    if (!gr_is_float(x)) return gr_reject(k, GR_EDTYPE, "convert with gr_astype", "%s has no sum_to", gr_dtype_name((gr_type)x->dtype));
    bool fits = s.n <= x->ndim;
    for (int d = 0; fits && d < s.n; d++) fits = s.v[d] == 1 || s.v[d] == x->dims[x->ndim - s.n + d];
    return fits || gr_reject(k, GR_ESHAPE, "give a shape that broadcasts to that of x", "%s does not broadcast to this shape", in_words(s).text);
}
static bool sum_to_forward(const gr_call *k, gr_tensor *y) { return gr__sum_repeats(k->in[0], y); }
static gr_tensor *sum_to_vjp(gr_tensor *y, gr_tensor *dy, int i) { return gr_broadcast_to(dy, gr__dims_of_tensor(y->in[i])); }
static bool sum_to_reference(const gr_call *k, double *const *x, double *y)
{
    const gr_tensor *t = k->in[0];
    for (int64_t i = 0; i < gr__count(k->ndim, k->dim); i++) y[i] = 0;
    for (int64_t i = 0; i < t->numel; i++) {
        int64_t index[GR_MAX_RANK], at = 0;
        gr__unravel(i, t->ndim, t->dims, index);
        for (int d = 0; d < k->ndim; d++) at = at * k->dim[d] + (k->dim[d] == 1 ? 0 : index[t->ndim - k->ndim + d]);
        y[at] += x[0][i];
    }
    return true;
}
gr_tensor *gr_sum_to(gr_tensor *x, gr_dims shape)
{
    if (!gr__ready(x)) return NULL;
    bool same = x->ndim == shape.n;
    for (int d = 0; same && d < shape.n; d++) same = x->dims[d] == shape.v[d];
    return same ? x : apply_dims(&gr_op_sum_to, x, shape);
}
static gr_tensor *sum_to_3(gr_tensor **x) { return gr_sum_to(x[0], GR_SHAPE(3)); }
static gr_tensor *sum_to_none(gr_tensor **x) { return gr_sum_to(x[0], GR_SHAPE()); }
static gr_tensor *sum_to_2_1(gr_tensor **x) { return gr_sum_to(x[0], GR_SHAPE(2, 1)); }
static const gr_sample sum_to_samples[] = { { "[2, 3]", sum_to_3 }, { "[2, 3]", sum_to_none }, { "[2, 3]", sum_to_2_1 }, { "[0, 3]", sum_to_3 }, { "[4, 2, 3]", sum_to_2_1 }, { "[1]", sum_to_none }, { NULL, NULL } };
static const gr_bad_call sum_to_bad[] = {
    { "[2, 4]", sum_to_3, GR_ESHAPE, "sum_to([2, 4]): [3] does not broadcast to this shape. Fix: give a shape that broadcasts to that of x" },
    { "i64 [2, 3]", sum_to_3, GR_EDTYPE, "sum_to(i64 [2, 3]): i64 has no sum_to. Fix: convert with gr_astype" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_sum_to = { .name = "sum_to", .formula = "y = x, summed over what broadcasting repeats", .gradient = "dx = dy, repeated", .arity = 1,
                             .flags = GR_OP_LINEAR, .attr_size = sizeof(dims_attr), .shape = sum_to_shape, .forward = sum_to_forward,
                             .vjp = sum_to_vjp, .describe = describe_dims, .reference_tensor = sum_to_reference,
                             .samples = sum_to_samples, .bad = sum_to_bad };

/* ---- reshape ---------------------------------------------------------------------------------------------------------------------
 * Strides for the new shape over the old memory: each run of old dimensions that is one in memory is split again. */
static bool view_strides(const gr_tensor *x, gr_dims s, int64_t *stride)
{
    int to = s.n - 1, from = x->ndim - 1;
    while (from >= 0) {
        if (x->dims[from] == 1) {
            from--;
            continue;
        }
        int64_t base = gr__stride(x)[from], run = x->dims[from];
        while (from > 0 && (x->dims[from - 1] == 1 || gr__stride(x)[from - 1] == base * run)) {
            if (x->dims[from - 1] != 1) run *= x->dims[from - 1];
            from--;
        }
        from--;
        int64_t filled = 1;
        while (to >= 0 && filled < run) {
            stride[to] = base * filled;
            filled *= s.v[to--];
        }
        if (filled != run) return false;
    }
    while (to >= 0) {
        if (s.v[to] != 1) return false;
        stride[to--] = 1;
    }
    return true;
}

static bool reshape_shape(gr_call *k)
{
    const gr_tensor *x = k->in[0];
    gr_dims s = ((const dims_attr *)k->attr)->dims;
    take_shape(k, s);
    if (s.n > GR_MAX_RANK || gr__count(s.n, s.v) != x->numel)
        return gr_reject(k, GR_ESHAPE, "the product of the sizes must stay the same", "cannot become %s: %lld elements are there",
                         in_words(s).text, (long long)x->numel);
    if (gr_is_contiguous(x)) {
        int64_t n = 1;
        for (int d = s.n - 1; d >= 0; d--) k->stride[d] = n, n *= s.v[d];
        return true;
    }
    return view_strides(x, s, k->stride) || gr_reject(k, GR_ESHAPE, "call gr_reshape, which copies", "no view of this memory has the shape %s", in_words(s).text);
}
static gr_tensor *reshape_vjp(gr_tensor *y, gr_tensor *dy, int i) { return gr_reshape(dy, gr__dims_of_tensor(y->in[i])); }
static bool copy_reference(const gr_call *k, double *const *x, double *y)
{
    for (int64_t i = 0; i < k->in[0]->numel; i++) y[i] = x[0][i];
    return true;
}

gr_tensor *gr_reshape(gr_tensor *x, gr_dims shape)
{
    if (!gr__ready(x)) return NULL;
    int64_t known = 1;
    int open = -1;
    bool same = shape.n == x->ndim;
    for (int d = 0; d < shape.n && d < GR_MAX_RANK; d++) {
        if (shape.v[d] != -1) known *= shape.v[d];
        else if (open < 0) open = d;
        else {
            gr_fail(x->ctx, GR_ESHAPE, "reshape: two sizes are -1. Fix: leave at most one to be computed");
            return NULL;
        }
        same = same && shape.v[d] == x->dims[d];
    }
    if (same) return x;
    if (open >= 0) shape.v[open] = known > 0 && x->numel % known == 0 ? x->numel / known : -1;
    int64_t stride[GR_MAX_RANK];
    bool fits = shape.n <= GR_MAX_RANK && gr__count(shape.n, shape.v) == x->numel;
    if (fits && !gr_is_contiguous(x) && !view_strides(x, shape, stride)) x = gr_contiguous(x);
    return x ? apply_dims(&gr_op_reshape, x, shape) : NULL;
}

gr_tensor *gr_flatten(gr_tensor *x, int from)
{
    if (!gr__ready(x)) return NULL;
    if (x->ndim == 0) return gr_reshape(x, GR_SHAPE(1));
    int d = gr__dim("flatten", x, from);
    if (d < 0) return NULL;
    gr_dims s = { .n = d + 1 };
    for (int i = 0; i < d; i++) s.v[i] = x->dims[i];
    s.v[d] = gr__count(x->ndim - d, x->dims + d);
    return gr_reshape(x, s);
}

gr_tensor *gr_unsqueeze(gr_tensor *x, int dim)
{
    if (!gr__ready(x)) return NULL;
    gr_dims s = { .n = x->ndim + 1 };
    int d = dim < 0 ? dim + s.n : dim;
    if (d < 0 || d >= s.n || s.n > GR_MAX_RANK) {
        gr_fail(x->ctx, GR_EINDEX, "unsqueeze: dimension %d is out of range for rank %d. Fix: use %d to %d, and at most rank %d", dim, x->ndim, -s.n, s.n - 1, GR_MAX_RANK);
        return NULL;
    }
    for (int i = 0, from = 0; i < s.n; i++) s.v[i] = i == d ? 1 : x->dims[from++];
    return gr_reshape(x, s);
}

gr_tensor *gr_squeeze(gr_tensor *x, int dim)
{
    if (!gr__ready(x)) return NULL;
    int d = gr__dim("squeeze", x, dim);
    if (d < 0) return NULL;
    if (x->dims[d] != 1) {
        gr_fail(x->ctx, GR_ESHAPE, "squeeze: dimension %d has size %lld, not 1. Fix: use gr_select to choose one position", d, (long long)x->dims[d]);
        return NULL;
    }
    gr_dims s = { .n = x->ndim - 1 };
    for (int i = 0, to = 0; i < x->ndim; i++)
        if (i != d) s.v[to++] = x->dims[i];
    return gr_reshape(x, s);
}

static gr_tensor *to_3_2(gr_tensor **x) { return gr_reshape(x[0], GR_SHAPE(3, 2)); }
static gr_tensor *to_rest(gr_tensor **x) { return gr_reshape(x[0], GR_SHAPE(2, -1)); }
static gr_tensor *to_none(gr_tensor **x) { return gr_reshape(x[0], GR_SHAPE()); }
static gr_tensor *to_flat(gr_tensor **x) { return gr_flatten(x[0], 0); }
static gr_tensor *to_7(gr_tensor **x) { return gr_reshape(x[0], GR_SHAPE(7)); }
static gr_tensor *to_two_open(gr_tensor **x) { return gr_reshape(x[0], GR_SHAPE(-1, -1)); }
static const gr_sample reshape_samples[] = { { "[2, 3]", to_3_2 }, { "[6]", to_rest }, { "[1]", to_none }, { "[0, 2]", to_rest }, { "[3, 1, 2]", to_flat }, { "[]", to_flat }, { NULL, NULL } };
static const gr_bad_call reshape_bad[] = {
    { "[2, 3]", to_7, GR_ESHAPE, "reshape([2, 3]): cannot become [7]: 6 elements are there. Fix: the product of the sizes must stay the same" },
    { "[2, 3]", to_two_open, GR_ESHAPE, "reshape: two sizes are -1. Fix: leave at most one to be computed" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_reshape = { .name = "reshape", .formula = "y = x in another shape", .gradient = "dx = dy in the shape of x", .arity = 1,
                              .flags = GR_OP_VIEW | GR_OP_LINEAR, .attr_size = sizeof(dims_attr), .shape = reshape_shape, .vjp = reshape_vjp,
                              .describe = describe_dims, .reference_tensor = copy_reference, .samples = reshape_samples, .bad = reshape_bad };

/* ---- permute -----------------------------------------------------------------------------------------------------------------------*/
static bool permute_shape(gr_call *k)
{
    const gr_tensor *x = k->in[0];
    const gr_dims o = ((const dims_attr *)k->attr)->dims;
    uint32_t seen = 0;
    for (int d = 0; d < o.n && d < GR_MAX_RANK; d++)
        if (o.v[d] >= 0 && o.v[d] < x->ndim) seen |= 1u << o.v[d];
    take_shape(k, o);
    if (o.n != x->ndim || seen != (1u << x->ndim) - 1)
        return gr_reject(k, GR_EINDEX, "name each dimension once", "%s is no order of its %d dimensions", in_words(o).text, x->ndim);
    for (int d = 0; d < o.n; d++) {
        k->dim[d] = x->dims[o.v[d]];
        k->stride[d] = gr__stride(x)[o.v[d]];
    }
    return true;
}
static gr_tensor *permute_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    (void)i;
    const gr_dims o = ((const dims_attr *)y->attr)->dims;
    gr_dims back = { .n = o.n };
    for (int d = 0; d < o.n; d++) back.v[o.v[d]] = d;
    return gr_permute(dy, back);
}
static bool permute_reference(const gr_call *k, double *const *x, double *y)
{
    const gr_dims o = ((const dims_attr *)k->attr)->dims;
    int64_t index[GR_MAX_RANK], from[GR_MAX_RANK];
    for (int64_t i = 0; i < gr__count(k->ndim, k->dim); i++) {
        gr__unravel(i, k->ndim, k->dim, index);
        for (int d = 0; d < o.n; d++) from[o.v[d]] = index[d];
        y[i] = x[0][gr__ravel(k->in[0]->ndim, k->in[0]->dims, from)];
    }
    return true;
}
gr_tensor *gr_permute(gr_tensor *x, gr_dims order)
{
    if (!gr__ready(x)) return NULL;
    for (int d = 0; d < order.n && d < GR_MAX_RANK; d++)
        if (order.v[d] < 0) order.v[d] += x->ndim;
    return apply_dims(&gr_op_permute, x, order);
}
gr_tensor *gr_transpose(gr_tensor *x, int a, int b)
{
    if (!gr__ready(x)) return NULL;
    int i = gr__dim("transpose", x, a), j = i < 0 ? -1 : gr__dim("transpose", x, b);
    if (j < 0) return NULL;
    gr_dims order = { .n = x->ndim };
    for (int d = 0; d < x->ndim; d++) order.v[d] = d == i ? j : d == j ? i : d;
    return i == j ? x : gr_permute(x, order);
}
static gr_tensor *swap(gr_tensor **x) { return gr_transpose(x[0], 0, -1); }
static gr_tensor *rotate(gr_tensor **x) { return gr_permute(x[0], GR_DIMS(1, 2, 0)); }
static gr_tensor *repeat_0(gr_tensor **x) { return gr_permute(x[0], GR_DIMS(0, 0)); }
static gr_tensor *none(gr_tensor **x) { return gr_permute(x[0], GR_DIMS()); }
static const gr_sample permute_samples[] = { { "[2, 3]", swap }, { "[2, 3, 4]", rotate }, { "[]", none }, { "[0, 3]", swap }, { "[1, 3, 1]", rotate }, { "[2, 3, 2, 2]", swap }, { NULL, NULL } };
static const gr_bad_call permute_bad[] = {
    { "[2, 3]", repeat_0, GR_EINDEX, "permute([2, 3]): [0, 0] is no order of its 2 dimensions. Fix: name each dimension once" },
    { "[2]", rotate, GR_EINDEX, "permute([2]): [1, 2, 0] is no order of its 1 dimensions. Fix: name each dimension once" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_permute = { .name = "permute", .formula = "y[i, j] = x[j, i]", .gradient = "dx[j, i] = dy[i, j]", .arity = 1,
                              .flags = GR_OP_VIEW | GR_OP_LINEAR, .attr_size = sizeof(dims_attr), .shape = permute_shape, .vjp = permute_vjp,
                              .describe = describe_dims, .reference_tensor = permute_reference, .samples = permute_samples, .bad = permute_bad };

/* ---- contiguous --------------------------------------------------------------------------------------------------------------------*/
static bool contiguous_shape(gr_call *k) { return take_shape(k, gr__dims_of_tensor(k->in[0])), true; }
static bool contiguous_forward(const gr_call *k, gr_tensor *y)
{
    gr__copy_args(k->ctx, y->ndim, y->dims, k->dtype, gr__run_arg(y), gr__run_arg(k->in[0]));
    return true;
}
static gr_tensor *contiguous_vjp(gr_tensor *y, gr_tensor *dy, int i) { return (void)y, (void)i, dy; }
gr_tensor *gr_contiguous(gr_tensor *x)
{
    if (!gr__ready(x)) return NULL;
    return gr_is_contiguous(x) ? x : gr__apply1(&gr_op_contiguous, x, NULL);
}
static gr_tensor *apply_copy(gr_tensor **x) { return gr__apply1(&gr_op_contiguous, x[0], NULL); }
static gr_tensor *copy_of_null(gr_tensor **x) { return gr_apply(&gr_op_contiguous, (gr_tensor *[]){ x[0], NULL }, 2, NULL); }
static const gr_sample contiguous_samples[] = { { "[2, 3]", apply_copy }, { "[]", apply_copy }, { "[0, 3]", apply_copy }, { "[2, 1, 3]", apply_copy }, { "[4]", apply_copy }, { "[1]", apply_copy }, { NULL, NULL } };
static const gr_bad_call contiguous_bad[] = { { "[2]", copy_of_null, GR_EVALUE, "contiguous: input 1 is NULL. Fix: pass a tensor" }, { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_contiguous = { .name = "contiguous", .formula = "y = x, copied", .gradient = "dx = dy", .arity = 1, .flags = GR_OP_LINEAR | GR_OP_MOVES,
                                 .shape = contiguous_shape, .forward = contiguous_forward, .vjp = contiguous_vjp,
                                 .reference_tensor = copy_reference, .samples = contiguous_samples, .bad = contiguous_bad };
