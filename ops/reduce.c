/* Reductions: sum, mean, prod, max, min over any set of dimensions, and the positions argmax and argmin.
 *
 *   forward   y starts at the neutral element, is repeated over the reduced dimensions by strides of 0, and one kernel
 *             accumulates x into it, two dimensions at a time and in the order of memory: one loop for every layout
 *
 * SPDX-License-Identifier: MIT */
#include "ops/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct reduce_attr {
    uint32_t mask; /* bit d: dimension d is reduced */
    bool keepdim;
} reduce_attr;

static int64_t reduced_count(const gr_call *k)
{
    const reduce_attr *a = k->attr;
    int64_t n = 1;
    for (int d = 0; d < k->in[0]->ndim; d++)
        if (a->mask >> d & 1) n *= k->in[0]->dims[d];
    return n;
}

static bool reduce_shape(gr_call *k)
{
    const gr_tensor *x = k->in[0];
    const reduce_attr *a = k->attr;
    k->dtype = (gr_type)x->dtype;
    k->ndim = 0;
    for (int d = 0; d < x->ndim; d++) {
        if (!(a->mask >> d & 1)) k->dim[k->ndim++] = x->dims[d];
        else if (a->keepdim) k->dim[k->ndim++] = 1;
    }
    return true;
}

static bool nonempty_shape(gr_call *k)
{
    if (!reduce_shape(k)) return false;
    if (reduced_count(k) > 0 || gr__count(k->ndim, k->dim) == 0) return true;
    return gr_reject(k, GR_ESHAPE, "check for zero sizes first", "there is no element to choose from");
}

typedef struct axis {
    int64_t n, x, y; /* size and strides */
} axis;

/* Dimensions of more than one element, those that x steps through fastest last, merged where both step as through one. */
static int plan(const gr_tensor *x, const int64_t *stride, axis *a)
{
    int count = 0;
    for (int d = 0; d < x->ndim; d++) {
        const axis next = { x->dims[d], gr__stride(x)[d], stride[d] };
        int at = count;
        if (next.n == 1) continue;
        for (; at > 0 && llabs(a[at - 1].x) < llabs(next.x); at--) a[at] = a[at - 1];
        a[at] = next;
        count++;
    }
    int merged = 0;
    for (int i = 0; i < count; i++) {
        axis *last = &a[merged - 1];
        if (merged == 0 || last->x != a[i].x * a[i].n || last->y != a[i].y * a[i].n) a[merged++] = a[i];
        else *last = (axis){ last->n * a[i].n, a[i].x, a[i].y };
    }
    return merged;
}

/* One reduction over axes, the last two of which a kernel runs over; or a part of it, with other n and pointers. */
typedef struct reduction {
    gr_reduce_fn *fn;
    int64_t size; /* of an element */
    const char *x;
    char *y;
    int n, cut;   /* axes; the one that threads take parts of */
    axis a[GR_MAX_RANK + 2];
    int64_t chunk;      /* of a[0], where it is reduced: its parts have results of their own */
    char *parts;        /* of the chunks but the first */
    size_t result_size; /* bytes */
} reduction;

/* over the last two of n axes */
static void reduce_plane(gr_reduce_fn *fn, const axis *a, int n, const char *x, char *y)
{
    const axis none = { 1, 1, 0 }, *outer = n < 2 ? &none : &a[n - 2], *inner = n < 1 ? &none : &a[n - 1];
    fn(outer->n, inner->n, x, (int64_t[]){ outer->x, inner->x }, y, (int64_t[]){ outer->y, inner->y });
}

static void reduce_all(const reduction *r)
{
    const axis *a = r->a;
    int64_t index[GR_MAX_RANK + 2] = { 0 };
    const char *from = r->x;
    char *to = r->y;
    for (;;) {
        reduce_plane(r->fn, a, r->n, from, to);
        int d = r->n - 3;
        for (; d >= 0; d--) {
            from += a[d].x * r->size, to += a[d].y * r->size;
            if (++index[d] < a[d].n) break;
            from -= a[d].x * r->size * a[d].n, to -= a[d].y * r->size * a[d].n;
            index[d] = 0;
        }
        if (d < 0) return;
    }
}

static reduction part_of(const reduction *r, int d, int64_t begin, int64_t end)
{
    reduction part = *r;
    part.a[d].n = end - begin;
    part.x += begin * r->a[d].x * r->size;
    part.y += begin * r->a[d].y * r->size;
    return part;
}
static void some_results(void *user, int64_t begin, int64_t end, int worker)
{
    const reduction *r = user;
    const int64_t n = r->a[r->cut].n;
    (void)worker;
    reduction part = part_of(r, r->cut, begin * r->chunk, end * r->chunk < n ? end * r->chunk : n);
    reduce_all(&part);
}
static void some_chunks(void *user, int64_t begin, int64_t end, int worker)
{
    const reduction *r = user;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const int64_t first = i * r->chunk, rest = r->a[0].n - first;
        reduction part = part_of(r, 0, first, first + (rest < r->chunk ? rest : r->chunk));
        if (i) part.y = r->parts + (size_t)(i - 1) * r->result_size;
        reduce_all(&part);
    }
}

static void fill_neutral(int kernel, gr_type type, int64_t n, char *y)
{
    static const double neutral[GR_REDUCE_COUNT] = { 0, 1, -INFINITY, INFINITY };
    const double v = neutral[kernel];
    for (int64_t i = 0; i < n; i++) {
        if (type == GR_F32) ((float *)(void *)y)[i] = (float)v;
        else if (type == GR_F64) ((double *)(void *)y)[i] = v;
        else ((int64_t *)(void *)y)[i] = isinf(v) ? (v > 0 ? INT64_MAX : INT64_MIN) : (int64_t)v;
    }
}

/* in rows, in columns */
#define ADDEND_NS(columns) ((columns) ? 0.15 : 0.05)
#define CHUNKS 16
#define CHUNK_LEAST 16384 /* addends */
#define COLUMNS 1024      /* are taken together: from some on, the kernel treats any number alike */
/* Threads take parts of the results where these lie along the outermost axis, or are many; else chunks of the addends, each
 * with results of its own, that are reduced like the rest. Which of them, and the chunks, depend on the shape alone. */
static bool reduce_parts(int kernel, const gr_tensor *x, gr_tensor *y, reduction *r)
{
    const gr_type type = (gr_type)y->dtype;
    const double ns = ADDEND_NS(r->n && r->a[r->n - 1].y) * (double)x->numel;
    const int64_t rows = r->n ? r->a[0].n : 1, most = x->numel / CHUNK_LEAST < CHUNKS ? x->numel / CHUNK_LEAST : CHUNKS;
    if (most < 2) return reduce_all(r), true;
    if (r->a[0].y || (r->n == 2 && r->a[1].y && r->a[1].n >= 4 * COLUMNS)) {
        r->cut = r->a[0].y ? 0 : 1;
        r->chunk = r->cut ? COLUMNS : 1;
        const int64_t parts = (r->a[r->cut].n + r->chunk - 1) / r->chunk;
        gr__parallel_ranges(y->ctx, parts, ns / (double)parts, some_results, r);
        return true;
    }
    const int64_t chunks = x->numel / y->numel < 4 * most || rows < most ? 1 : most;
    r->chunk = (rows + chunks - 1) / chunks;
    const int64_t used = (rows + r->chunk - 1) / r->chunk;
    r->result_size = (size_t)(y->numel * r->size);
    gr_block *parts = used > 1 ? gr__block_new(y->ctx, (size_t)(used - 1) * r->result_size) : NULL;
    if (used > 1 && !parts) return false;
    if (parts) fill_neutral(kernel, type, (used - 1) * y->numel, r->parts = gr__block_data(parts));
    gr__parallel_ranges(y->ctx, used, ns / (double)used, some_chunks, r);
    if (parts) r->fn(used - 1, y->numel, r->parts, (int64_t[]){ y->numel, 1 }, y->data, (int64_t[]){ 0, 1 });
    if (parts) gr__block_unref(y->ctx, parts);
    return true;
}

bool gr__run_reduce(int kernel, const gr_tensor *x, gr_tensor *y, const int64_t *stride)
{
    reduction r;
    fill_neutral(kernel, (gr_type)y->dtype, y->numel, y->data);
    if (x->numel == 0) return true;
    r.fn = gr__kernels()->reduce[kernel][gr__kt(y)];
    r.n = plan(x, stride, r.a);
    if (r.n <= 2 && x->numel < CHUNK_LEAST) return reduce_plane(r.fn, r.a, r.n, x->data, y->data), true;
    r.size = (int64_t)gr__type_size((gr_type)y->dtype), r.x = x->data, r.y = y->data;
    r.chunk = 1, r.cut = 0, r.parts = NULL, r.result_size = 0;
    return reduce_parts(kernel, x, y, &r);
}

static bool accumulate(const gr_call *k, gr_tensor *y, int kernel)
{
    const gr_tensor *x = k->in[0];
    const reduce_attr *a = k->attr;
    int64_t stride[GR_MAX_RANK], n = 1;
    for (int d = x->ndim - 1; d >= 0; d--) {
        stride[d] = a->mask >> d & 1 ? 0 : n;
        if (!(a->mask >> d & 1)) n *= x->dims[d];
    }
    return gr__run_reduce(kernel, x, y, stride);
}

/* promoted as for the element-wise kernel `like` */
static gr_tensor *reduce(const gr_op *op, gr_tensor *x, gr_reduce_opts o, int like)
{
    if (!gr__usable(x)) return NULL;
    reduce_attr a;
    memset(&a, 0, sizeof a);
    a.keepdim = o.keepdim;
    if (!gr__reduce_mask(op->name, x, o.dims, &a.mask)) return NULL;
    return gr__apply1(op, gr__promote(x, like), &a);
}

static uint32_t mask_of(const gr_tensor *y) { return ((const reduce_attr *)y->attr)->mask; }

static void describe(const void *attr, char *out, size_t size)
{
    const reduce_attr *a = attr;
    int at = snprintf(out, size, "dims");
    for (int d = 0; d < GR_MAX_RANK; d++)
        if (a->mask >> d & 1) at += snprintf(out + at, size - (size_t)at, " %d", d);
    if (a->keepdim) snprintf(out + at, size - (size_t)at, ", keepdim");
}

/* Calls f on every element of x with the flat position of its result. */
static void each(const gr_call *k, double *const *x, double *y, void (*f)(double *y, double x))
{
    const gr_tensor *t = k->in[0];
    const reduce_attr *a = k->attr;
    for (int64_t i = 0; i < t->numel; i++) {
        int64_t index[GR_MAX_RANK], at = 0;
        gr__unravel(i, t->ndim, t->dims, index);
        for (int d = 0; d < t->ndim; d++)
            if (!(a->mask >> d & 1)) at = at * t->dims[d] + index[d];
        f(&y[at], x[0][i]);
    }
}
static void set_all(const gr_call *k, double *y, double v)
{
    for (int64_t i = 0; i < gr__count(k->ndim, k->dim); i++) y[i] = v;
}
static void f_sum(double *y, double x) { *y += x; }
static void f_prod(double *y, double x) { *y *= x; }
static void f_max(double *y, double x) { *y = x > *y ? x : *y; }
static void f_min(double *y, double x) { *y = x < *y ? x : *y; }

/* ---- samples -----------------------------------------------------------------------------------------------------------------*/
#define SAMPLES(name, D, EMPTY, BAD_EMPTY)                                                                                      \
    static gr_tensor *name##_all(gr_tensor **x) { return gr_##name(x[0], .keepdim = false); }                        \
    static gr_tensor *name##_rows(gr_tensor **x) { return gr_##name(x[0], .dims = GR_DIMS(0)); }                     \
    static gr_tensor *name##_last(gr_tensor **x) { return gr_##name(x[0], .dims = GR_DIMS(-1), .keepdim = true); }    \
    static gr_tensor *name##_outer(gr_tensor **x) { return gr_##name(x[0], .dims = GR_DIMS(0, 2)); }                 \
    static gr_tensor *name##_twice(gr_tensor **x) { return gr_##name(x[0], .dims = GR_DIMS(0, -2)); }                \
    static gr_tensor *name##_far(gr_tensor **x) { return gr_##name(x[0], .dims = GR_DIMS(2)); }                      \
    static const gr_sample name##_samples[] = {                                                                      \
        { "[2, 3] in " D, name##_all },       { "[] in " D, name##_all },                                            \
        { "[3, 2] in " D, name##_rows },      { "[3, 4] in " D, name##_last },                                       \
        { "[2, 3, 2] in " D, name##_outer },  { EMPTY " in " D, name##_rows },                                       \
        { "[1, 4, 1] in " D, name##_outer },  { NULL, NULL } };                                                      \
    static const gr_bad_call name##_bad[] = {                                                                        \
        { "[2, 3]", name##_far, GR_EINDEX, #name "([2, 3]): dimension 2 is out of range. Fix: use -2 to 1" },         \
        { "[2, 3]", name##_twice, GR_EINDEX, #name ": dimension 0 is named twice. Fix: name each once" },             \
        BAD_EMPTY { NULL, NULL, GR_OK, NULL } };
#define ALLOWED /* an empty sum is 0, an empty product 1, an empty mean NaN */
#define REFUSED(name)                                                                                                \
    { "[0, 3]", name##_rows, GR_ESHAPE, #name "([0, 3]): there is no element to choose from. Fix: check for zero sizes first" },

/* dx = dy / n for every addend: where there is one result, one number in place of them all. */
static bool spread(gr_tensor *y, gr_tensor *dy, int64_t n, gr_tensor **dx)
{
    const gr_tensor *x = y->in[0];
    if (y->numel != 1 || x->numel == 0) return (dx[0] = y->op->vjp(y, dy, 0)) != NULL; /* makes views and n numbers, all of which may stay */
    gr_tensor *g = dx[0] = gr__node_like(gr__scope_now(x->ctx), x, 0);
    if (!g) return false;
    g->data = (char *)&g->value;
    if (g->dtype == GR_F32) g->value.f32 = *(const float *)(const void *)dy->data / (float)n;
    else g->value.f64 = *(const double *)(const void *)dy->data / (double)n;
    if (g->numel > 1) gr__repeat_one(g);
    return true;
}

/* ---- sum ---------------------------------------------------------------------------------------------------------------------*/
/* y = sum of x / over. The sum of all may wait as x does. */
static bool share(const gr_call *k, gr_tensor *y, double over)
{
    gr_tensor *x = k->in[0];
    if (y->numel == 1 && x->numel > 1 && (x->lazy || gr_is_contiguous(x))) return gr__run_sum(x, over, y);
    if (!gr__ready(x) || !gr__give_memory(y->ctx->scope[y->scope], y) || !accumulate(k, y, GR_REDUCE_sum)) return false;
    for (int64_t i = 0; over != 1 && i < y->numel; i++) {
        if (y->dtype == GR_F32) ((float *)(void *)y->data)[i] /= (float)over;
        else ((double *)(void *)y->data)[i] /= over;
    }
    return true;
}

static bool sum_forward(const gr_call *k, gr_tensor *y) { return share(k, y, 1); }
static gr_tensor *sum_vjp(gr_tensor *y, gr_tensor *dy, int i) { return gr__unreduce(dy, y->in[i], mask_of(y)); }
static bool sum_backward(gr_tensor *y, gr_tensor *dy, gr_tensor **dx) { return spread(y, dy, 1, dx); }
static bool sum_reference(const gr_call *k, double *const *x, double *y) { return set_all(k, y, 0), each(k, x, y, f_sum), true; }
gr_tensor *gr_sum_with(gr_tensor *x, gr_reduce_opts o) { return reduce(&gr_op_sum, x, o, GR_EW_add); }
SAMPLES(sum, "-2..2", "[0, 3]", ALLOWED)
const gr_op gr_op_sum = { .name = "sum", .formula = "y = sum(x)", .gradient = "dx = dy for every addend", .arity = 1, .flags = GR_OP_LINEAR | GR_OP_KERNEL,
                          .attr_size = sizeof(reduce_attr), .shape = reduce_shape, .forward = sum_forward, .vjp = sum_vjp,
                          .backward = sum_backward, .describe = describe, .reference_tensor = sum_reference, .samples = sum_samples, .bad = sum_bad };

/* ---- mean --------------------------------------------------------------------------------------------------------------------*/
static bool mean_forward(const gr_call *k, gr_tensor *y) { return share(k, y, (double)reduced_count(k)); }
static int64_t addends(const gr_tensor *y)
{
    int64_t n = 1;
    for (int d = 0; d < y->in[0]->ndim; d++)
        if (mask_of(y) >> d & 1) n *= y->in[0]->dims[d];
    return n;
}
static gr_tensor *mean_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    gr_tensor *share = gr_div_any(gr_operand_tensor(dy), gr_operand_number((double)addends(y)));
    return gr__unreduce(share, y->in[i], mask_of(y));
}
static bool mean_backward(gr_tensor *y, gr_tensor *dy, gr_tensor **dx) { return spread(y, dy, addends(y), dx); }
static bool mean_reference(const gr_call *k, double *const *x, double *y)
{
    sum_reference(k, x, y);
    for (int64_t i = 0; i < gr__count(k->ndim, k->dim); i++) y[i] /= (double)reduced_count(k);
    return true;
}
gr_tensor *gr_mean_with(gr_tensor *x, gr_reduce_opts o) { return reduce(&gr_op_mean, x, o, GR_EW_exp); }
SAMPLES(mean, "-2..2", "[2, 0]", ALLOWED)
const gr_op gr_op_mean = { .name = "mean", .formula = "y = sum(x) / n", .gradient = "dx = dy / n for every addend", .arity = 1,
                           .flags = GR_OP_LINEAR | GR_OP_KERNEL, .attr_size = sizeof(reduce_attr), .shape = reduce_shape, .forward = mean_forward,
                           .vjp = mean_vjp, .backward = mean_backward, .describe = describe, .reference_tensor = mean_reference, .samples = mean_samples,
                           .bad = mean_bad };

/* ---- prod --------------------------------------------------------------------------------------------------------------------
 * The products of all others, e[i] = prod_{j != i} x[j] along the last dimension, by a tree, so that zeros are exact at
 * every order of derivative: halves a and b of x have pairwise products p = a b; what is left out of p, E(p), gives
 * e = (E(p) b, E(p) a). */
static gr_tensor *product_of_others(gr_tensor *x)
{
    if (!gr__ready(x)) return NULL;
    int last = x->ndim - 1;
    int64_t n = x->dims[last], half = (n + 1) / 2;
    gr_dims one = gr__dims_of_tensor(x);
    if (n <= 1) return gr_ones(x->ctx, one, .dtype = (gr_type)x->dtype);
    one.v[last] = 1;
    gr_tensor *a = gr_slice(x, last, 0, half), *b = gr_slice(x, last, half, n);
    if (n % 2) b = gr_cat((gr_tensor *[]){ b, gr_ones(x->ctx, one, .dtype = (gr_type)x->dtype) }, 2, last);
    gr_tensor *e = product_of_others((gr_mul)(a, b));
    gr_tensor *both = gr_cat((gr_tensor *[]){ (gr_mul)(e, b), (gr_mul)(e, a) }, 2, last);
    return n % 2 ? gr_slice(both, last, 0, n) : both;
}

static bool prod_forward(const gr_call *k, gr_tensor *y) { return accumulate(k, y, GR_REDUCE_prod); }
static gr_tensor *prod_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    gr_tensor *x = y->in[i];
    uint32_t mask = mask_of(y);
    gr_tensor *others = product_of_others(gr__merge_last(x, mask));
    if (!others) return NULL;
    gr_dims order = { 0 }, back = { .n = x->ndim }, moved = { .n = x->ndim };
    for (int pass = 0; pass < 2; pass++) /* the order in which gr__merge_last put the dimensions */
        for (int d = 0; d < x->ndim; d++)
            if ((int)(mask >> d & 1) == pass) order.v[order.n++] = d;
    for (int d = 0; d < x->ndim; d++) {
        back.v[order.v[d]] = d;
        moved.v[d] = x->dims[order.v[d]];
    }
    return gr_amul(gr__unreduce(dy, x, mask), gr_permute(gr_reshape(others, moved), back));
}
static bool prod_reference(const gr_call *k, double *const *x, double *y) { return set_all(k, y, 1), each(k, x, y, f_prod), true; }
gr_tensor *gr_prod_with(gr_tensor *x, gr_reduce_opts o) { return reduce(&gr_op_prod, x, o, GR_EW_add); }
SAMPLES(prod, "-2..2", "[0, 3]", ALLOWED)
const gr_op gr_op_prod = { .name = "prod", .formula = "y = prod(x)", .gradient = "dx = dy times the product of the other factors", .arity = 1,
                           .attr_size = sizeof(reduce_attr), .shape = reduce_shape, .forward = prod_forward, .vjp = prod_vjp,
                           .describe = describe, .reference_tensor = prod_reference, .samples = prod_samples, .bad = prod_bad };

/* ---- max, min ------------------------------------------------------------------------------------------------------------------*/
static bool max_forward(const gr_call *k, gr_tensor *y) { return accumulate(k, y, GR_REDUCE_max); }
static bool min_forward(const gr_call *k, gr_tensor *y) { return accumulate(k, y, GR_REDUCE_min); }
/* dy shared evenly by those equal to y; all to NaNs if there are any */
static gr_tensor *extremum_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    gr_tensor *x = y->in[i];
    uint32_t mask = mask_of(y);
    gr_reduce_opts o = { .dims = { 0 } };
    for (int d = 0; d < x->ndim; d++)
        if (mask >> d & 1) o.dims.v[o.dims.n++] = d;
    gr_tensor *chosen = gr_same(x, gr__unreduce(y, x, mask));
    gr_tensor *count = mask ? gr__unreduce(gr_sum_with(chosen, o), x, mask) : chosen;
    return gr_amul(gr__unreduce(dy, x, mask), (gr_div)(chosen, count));
}
static gr_tensor *extremum_branch(const gr_call *k, gr_tensor *y)
{
    return gr_same(k->in[0], gr__unreduce(y, k->in[0], ((const reduce_attr *)k->attr)->mask));
}
static bool max_reference(const gr_call *k, double *const *x, double *y) { return set_all(k, y, -INFINITY), each(k, x, y, f_max), true; }
static bool min_reference(const gr_call *k, double *const *x, double *y) { return set_all(k, y, INFINITY), each(k, x, y, f_min), true; }
gr_tensor *gr_max_with(gr_tensor *x, gr_reduce_opts o) { return reduce(&gr_op_max, x, o, GR_EW_add); }
gr_tensor *gr_min_with(gr_tensor *x, gr_reduce_opts o) { return reduce(&gr_op_min, x, o, GR_EW_add); }
SAMPLES(max, "-2..2", "[2, 0]", REFUSED(max))
SAMPLES(min, "-2..2", "[2, 0]", REFUSED(min))
const gr_op gr_op_max = { .name = "max", .formula = "y = max(x)", .gradient = "dx = dy shared evenly by the largest", .arity = 1,
                          .attr_size = sizeof(reduce_attr), .shape = nonempty_shape, .forward = max_forward, .vjp = extremum_vjp,
                          .branch = extremum_branch, .describe = describe, .reference_tensor = max_reference, .samples = max_samples, .bad = max_bad };
const gr_op gr_op_min = { .name = "min", .formula = "y = min(x)", .gradient = "dx = dy shared evenly by the smallest", .arity = 1,
                          .attr_size = sizeof(reduce_attr), .shape = nonempty_shape, .forward = min_forward, .vjp = extremum_vjp,
                          .branch = extremum_branch, .describe = describe, .reference_tensor = min_reference, .samples = min_samples, .bad = min_bad };

/* ---- argmax, argmin --------------------------------------------------------------------------------------------------------------*/
static bool arg_shape(gr_call *k)
{
    if (!nonempty_shape(k)) return false;
    k->dtype = GR_I64;
    return true;
}

static double element(const char *p, gr_type type)
{
    if (type == GR_F32) return (double)*(const float *)(const void *)p;
    if (type == GR_F64) return *(const double *)(const void *)p;
    return type == GR_BOOL ? *(const bool *)(const void *)p : (double)*(const int64_t *)(const void *)p;
}

/* The first position along the one reduced dimension that no other beats. i64 beyond 2^53 compare as doubles. */
static bool arg_forward(const gr_call *k, gr_tensor *y, double sign)
{
    const gr_tensor *x = k->in[0];
    const reduce_attr *a = k->attr;
    int dim = 0;
    while (!(a->mask >> dim & 1)) dim++;
    int64_t size = (int64_t)gr__type_size((gr_type)x->dtype), step = gr__stride(x)[dim] * size;
    for (int64_t i = 0; i < y->numel; i++) {
        int64_t index[GR_MAX_RANK], offset = 0;
        gr__unravel(i, k->ndim, k->dim, index);
        for (int d = 0, j = 0; d < x->ndim; d++)
            if (d != dim) offset += index[j++] * gr__stride(x)[d];
        const char *p = x->data + offset * size;
        int64_t best = 0;
        double top = sign * element(p, (gr_type)x->dtype);
        for (int64_t j = 1; j < x->dims[dim] && !isnan(top); j++) {
            double v = sign * element(p + j * step, (gr_type)x->dtype);
            if (v > top || isnan(v)) top = v, best = j;
        }
        ((int64_t *)(void *)y->data)[i] = best;
    }
    return true;
}
static bool argmax_forward(const gr_call *k, gr_tensor *y) { return arg_forward(k, y, 1); }
static bool argmin_forward(const gr_call *k, gr_tensor *y) { return arg_forward(k, y, -1); }

static gr_tensor *arg(const gr_op *op, gr_tensor *x, int dim)
{
    if (!gr__ready(x)) return NULL;
    reduce_attr a;
    memset(&a, 0, sizeof a);
    if (!gr__reduce_mask(op->name, x, GR_DIMS(dim), &a.mask)) return NULL;
    return gr__apply1(op, x, &a);
}
gr_tensor *gr_argmax(gr_tensor *x, int dim) { return arg(&gr_op_argmax, x, dim); }
gr_tensor *gr_argmin(gr_tensor *x, int dim) { return arg(&gr_op_argmin, x, dim); }

static bool arg_reference(const gr_call *k, double *const *x, double *y, double sign)
{
    const gr_tensor *t = k->in[0];
    const reduce_attr *a = k->attr;
    int dim = 0;
    while (!(a->mask >> dim & 1)) dim++;
    for (int64_t i = 0; i < gr__count(k->ndim, k->dim); i++) {
        int64_t index[GR_MAX_RANK] = { 0 }, full[GR_MAX_RANK];
        gr__unravel(i, k->ndim, k->dim, index);
        double top = -INFINITY;
        for (int64_t j = 0; j < t->dims[dim]; j++) {
            for (int d = 0, from = 0; d < t->ndim; d++) full[d] = d == dim ? j : index[from++];
            double v = sign * x[0][gr__ravel(t->ndim, t->dims, full)];
            if (v > top) top = v, y[i] = (double)j;
        }
    }
    return true;
}
static bool argmax_reference(const gr_call *k, double *const *x, double *y) { return arg_reference(k, x, y, 1); }
static bool argmin_reference(const gr_call *k, double *const *x, double *y) { return arg_reference(k, x, y, -1); }
static gr_tensor *argmax_rows(gr_tensor **x) { return gr_argmax(x[0], 0); }
static gr_tensor *argmax_last(gr_tensor **x) { return gr_argmax(x[0], -1); }
static gr_tensor *argmin_rows(gr_tensor **x) { return gr_argmin(x[0], 0); }
static gr_tensor *argmin_last(gr_tensor **x) { return gr_argmin(x[0], -1); }
static const gr_sample argmax_samples[] = { { "[3, 2]", argmax_rows }, { "[2, 3, 4]", argmax_last }, { "[5]", argmax_rows }, { "[2, 0]", argmax_rows }, { "i64 [3, 4] in 0..5", argmax_last }, { "[1]", argmax_last }, { NULL, NULL } };
static const gr_sample argmin_samples[] = { { "[3, 2]", argmin_rows }, { "[2, 3, 4]", argmin_last }, { "[5]", argmin_rows }, { "[2, 0]", argmin_rows }, { "i64 [3, 4] in 0..5", argmin_last }, { "[1]", argmin_last }, { NULL, NULL } };
static const gr_bad_call argmax_bad[] = {
    { "[0, 3]", argmax_rows, GR_ESHAPE, "argmax([0, 3]): there is no element to choose from. Fix: check for zero sizes first" },
    { "[]", argmax_last, GR_EINDEX, "argmax([]): a scalar has no dimension -1. Fix: reshape it to [1] first" },
    { NULL, NULL, GR_OK, NULL } };
static const gr_bad_call argmin_bad[] = {
    { "[0, 3]", argmin_rows, GR_ESHAPE, "argmin([0, 3]): there is no element to choose from. Fix: check for zero sizes first" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_argmax = { .name = "argmax", .formula = "y = first j with x[j] = max(x)", .gradient = "none", .arity = 1,
                             .attr_size = sizeof(reduce_attr), .shape = arg_shape, .forward = argmax_forward, .describe = describe,
                             .reference_tensor = argmax_reference, .samples = argmax_samples, .bad = argmax_bad };
const gr_op gr_op_argmin = { .name = "argmin", .formula = "y = first j with x[j] = min(x)", .gradient = "none", .arity = 1,
                             .attr_size = sizeof(reduce_attr), .shape = arg_shape, .forward = argmin_forward, .describe = describe,
                             .reference_tensor = argmin_reference, .samples = argmin_samples, .bad = argmin_bad };
