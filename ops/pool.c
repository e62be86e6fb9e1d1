/* Pooling: the largest element, or the mean, of each window of an image.
 *
 *   y = max_pool2d(x)            dx = max_unpool2d(dy, argmax_pool2d(x)), in one pass where nobody differentiates it
 *   index = argmax_pool2d(x)     no derivative: which element of its plane is the first largest of each window
 *
 * The mean is a convolution of every plane with one constant kernel.
 * SPDX-License-Identifier: MIT */
#include "ops/record.h"

#include <string.h>

typedef struct pool_attr {
    int kernel[2], stride[2], padding[2];
} pool_attr;
typedef struct plane_attr {
    int64_t h, w;
} plane_attr;

static void describe(const void *attr, char *out, size_t size)
{
    const pool_attr *a = attr;
    snprintf(out, size, "kernel %d, %d, stride %d, %d, padding %d, %d", a->kernel[0], a->kernel[1], a->stride[0], a->stride[1], a->padding[0], a->padding[1]);
}

/* ---- argmax_pool2d ------------------------------------------------------------------------------------------------*/
static bool window_fits(gr_call *k, const pool_attr *a)
{
    const gr_tensor *x = k->in[0];
    if (x->ndim != 4) return gr_reject(k, GR_ESHAPE, "images are [n, channels, height, width]; gr_unsqueeze adds a dimension", "the rank is %d, not 4", x->ndim);
    for (int d = 0; d < 2; d++) {
        if (a->kernel[d] < 1) return gr_reject(k, GR_EVALUE, "give both sizes: .kernel = {2, 2}", "the window is %d x %d", a->kernel[0], a->kernel[1]);
        if (a->stride[d] < 1) return gr_reject(k, GR_EVALUE, "steps are 1 or more", "the stride is %d, %d", a->stride[0], a->stride[1]);
        if (a->padding[d] < 0 || a->padding[d] > a->kernel[d] / 2)
            return gr_reject(k, GR_EVALUE, "at most half a window, so that each holds an element", "the padding is %d, %d", a->padding[0], a->padding[1]);
        if (x->dims[2 + d] < 1 || x->dims[2 + d] + 2 * a->padding[d] < a->kernel[d])
            return gr_reject(k, GR_ESHAPE, "add padding, or take a smaller window", "the window spans %d along dimension %d, the image with padding %lld", a->kernel[d], 2 + d,
                             (long long)(x->dims[2 + d] + 2 * a->padding[d]));
    }
    return true;
}
static int64_t windows(const gr_tensor *x, const pool_attr *a, int d) { return (x->dims[2 + d] + 2 * a->padding[d] - a->kernel[d]) / a->stride[d] + 1; }

static bool index_shape(gr_call *k)
{
    const gr_tensor *x = k->in[0];
    const pool_attr *a = k->attr;
    if (!gr_is_float(x)) return gr_reject(k, GR_EDTYPE, "convert it with gr_astype", "%s has no maximum here", gr_dtype_name((gr_type)x->dtype));
    if (!window_fits(k, a)) return false;
    if (!gr_is_contiguous(x)) return gr_reject(k, GR_EVALUE, "call gr_max_pool2d, which copies", "x is not contiguous");
    if (x->dims[2] > INT32_MAX / x->dims[3]) return gr_reject(k, GR_ESHAPE, "cut it into parts", "a plane has more than 2^31 elements");
    k->dtype = GR_I64;
    k->ndim = 4;
    for (int d = 0; d < 2; d++) k->dim[d] = x->dims[d], k->dim[2 + d] = windows(x, a, d);
    return true;
}
/* Planes are independent: threads take some each. */
#define TAP_NS 0.6 /* of one element of one window */
#define MOVE_NS 1.5 /* of an element that is read, or added, by its position */
typedef struct index_job {
    gr_pool2d_fn *fn;
    gr_pool2d_size s;
    size_t plane; /* bytes of x */
    const char *x;
    int64_t *index;
} index_job;
static void some_index(void *user, int64_t begin, int64_t end, int worker)
{
    const index_job *j = user;
    gr_pool2d_size s = j->s;
    (void)worker;
    s.planes = end - begin;
    j->fn(&s, j->x + (size_t)begin * j->plane, j->index + begin * s.oh * s.ow);
}
static gr_pool2d_size sizes_of(const gr_tensor *x, const pool_attr *a, const int64_t *y)
{
    gr_pool2d_size s = { .planes = x->dims[0] * x->dims[1], .h = x->dims[2], .w = x->dims[3], .kh = a->kernel[0], .kw = a->kernel[1], .oh = y[2], .ow = y[3] };
    for (int d = 0; d < 2; d++) s.stride[d] = a->stride[d], s.padding[d] = a->padding[d];
    return s;
}
static bool index_forward(const gr_call *k, gr_tensor *y)
{
    const gr_tensor *x = k->in[0];
    gr_pool2d_size s = sizes_of(x, k->attr, y->dims);
    index_job j = { gr__kernels()->argmax_pool2d[gr__kt(x)], s, (size_t)(s.h * s.w) * gr__type_size((gr_type)x->dtype), x->data, (int64_t *)(void *)y->data };
    gr__parallel_ranges(k->ctx, s.planes, TAP_NS * (double)(s.oh * s.ow * s.kh * s.kw), some_index, &j);
    return true;
}
static bool index_reference(const gr_call *k, double *const *x, double *y)
{
    const pool_attr *a = k->attr;
    const int64_t h = k->in[0]->dims[2], w = k->in[0]->dims[3];
    for (int64_t p = 0; p < gr__count(4, k->dim); p++) {
        int64_t o[4];
        gr__unravel(p, 4, k->dim, o);
        const double *plane = x[0] + (o[0] * k->dim[1] + o[1]) * h * w;
        y[p] = -1;
        for (int64_t t = 0; t < a->kernel[0] * a->kernel[1]; t++) {
            int64_t i = o[2] * a->stride[0] - a->padding[0] + t / a->kernel[1], j = o[3] * a->stride[1] - a->padding[1] + t % a->kernel[1];
            if (i < 0 || i >= h || j < 0 || j >= w) continue;
            if (y[p] < 0 || plane[i * w + j] > plane[(int64_t)y[p]]) y[p] = (double)(i * w + j);
        }
    }
    return true;
}

/* ---- max_unpool2d: what the sweep that records takes for the derivative ------------------------------------------------*/
static bool planes_fit(gr_call *k, int64_t h, int64_t w)
{
    const gr_tensor *x = k->in[0], *index = k->in[1];
    if (!gr_is_float(x)) return gr_reject(k, GR_EDTYPE, "convert it with gr_astype", "%s is no float", gr_dtype_name((gr_type)x->dtype));
    if (index->dtype != GR_I64) return gr_reject(k, GR_EDTYPE, "take it from gr_argmax_pool2d", "the index is %s, not i64", gr_dtype_name((gr_type)index->dtype));
    if (x->ndim != 4 || index->ndim != 4 || x->dims[0] != index->dims[0] || x->dims[1] != index->dims[1])
        return gr_reject(k, GR_ESHAPE, "both are [n, channels, height, width]", "image and index differ in rank or in their planes");
    if (!gr_is_contiguous(x) || !gr_is_contiguous(index)) return gr_reject(k, GR_EVALUE, "call gr_contiguous", "an input is not contiguous");
    const int64_t *v = (const int64_t *)(const void *)index->data, plane = h * w;
    uint64_t largest = 0; /* negative ones are the largest */
    for (int64_t i = 0; i < index->numel; i++) largest = (uint64_t)v[i] > largest ? (uint64_t)v[i] : largest;
    for (int64_t i = 0; i < index->numel && largest >= (uint64_t)plane; i++)
        if (v[i] < 0 || v[i] >= plane)
            return gr_reject(k, GR_EINDEX, "count the elements of a plane from 0", "index %lld is out of range for planes of %lld x %lld", (long long)v[i], (long long)h, (long long)w);
    k->dtype = (gr_type)x->dtype;
    k->ndim = 4;
    k->dim[0] = x->dims[0], k->dim[1] = x->dims[1];
    return true;
}
typedef struct plane_job {
    gr_planes_fn *fn;
    int64_t n, plane;
    size_t x_plane, y_plane; /* bytes */
    const int64_t *index;
    const char *x;
    char *y;
} plane_job;
static void some_planes(void *user, int64_t begin, int64_t end, int worker)
{
    const plane_job *j = user;
    (void)worker;
    j->fn(end - begin, j->n, j->plane, j->index + begin * j->n, j->x + (size_t)begin * j->x_plane, j->y + (size_t)begin * j->y_plane);
}
static bool unpool_shape(gr_call *k)
{
    const plane_attr *a = k->attr;
    if (!planes_fit(k, a->h, a->w)) return false;
    if (!gr__same_shape(k->in[0], k->in[1])) return gr_reject(k, GR_ESHAPE, "give one index for each element", "the shapes differ");
    k->dim[2] = a->h, k->dim[3] = a->w;
    return true;
}
static bool unpool_forward(const gr_call *k, gr_tensor *y)
{
    const gr_tensor *x = k->in[0], *index = k->in[1];
    const int64_t n = index->dims[2] * index->dims[3], plane = y->dims[2] * y->dims[3];
    const size_t size = gr__type_size((gr_type)x->dtype);
    plane_job j = { gr__kernels()->add_planes[gr__kt(x)], n, plane, (size_t)n * size, (size_t)plane * size, (const int64_t *)(const void *)index->data, x->data, y->data };
    if (y->numel) gr__parallel_ranges(k->ctx, x->dims[0] * x->dims[1], MOVE_NS * (double)n, some_planes, &j);
    return true;
}
/* by what gr_gather does in the last dimension, once a plane is a line */
static gr_tensor *unpool_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    gr_tensor *index = y->in[1];
    if (i != 0) return NULL;
    gr_tensor *line = gr_gather(gr_flatten(dy, 2), 2, gr_flatten(index, 2));
    return line ? gr_reshape(line, gr_dims_like(index)) : NULL;
}
static bool unpool_reference(const gr_call *k, double *const *x, double *y)
{
    const int64_t plane = k->dim[2] * k->dim[3], n = k->in[0]->dims[2] * k->in[0]->dims[3];
    for (int64_t i = 0; i < gr__count(4, k->dim); i++) y[i] = 0;
    for (int64_t i = 0; i < k->in[0]->numel; i++) y[i / n * plane + (int64_t)x[1][i]] += x[0][i];
    return true;
}

static gr_tensor *unpool(gr_tensor *g, gr_tensor *index, int64_t h, int64_t w)
{
    return gr_apply(&gr_op_max_unpool2d, (gr_tensor *[]){ gr_contiguous(g), index }, 2, &(plane_attr){ h, w });
}

/* ---- max_pool2d ----------------------------------------------------------------------------------------------------------*/
/* Do the windows tile the plane, in rows that the kernel takes? */
static bool tiles(const gr_pool2d_size *s)
{
    for (int d = 0; d < 2; d++)
        if (s->padding[d] || s->stride[d] != (d ? s->kw : s->kh)) return false;
    return s->w == s->ow * s->kw;
}

typedef struct max_job {
    gr_pool2d_size s;
    int type;
    bool tiles;
    size_t plane, windows; /* bytes of x and of y, of one plane */
    const char *x, *dy;
    char *y, *dx;
    int64_t *index;        /* where tiles do not serve: the positions of one plane, for each worker */
} max_job;
static void some_max(void *user, int64_t begin, int64_t end, int worker)
{
    const max_job *j = user;
    const gr_kernel_table *kt = gr__kernels();
    gr_pool2d_size s = j->s;
    s.planes = j->tiles ? end - begin : 1;
    for (int64_t p = begin; p < end; p += s.planes) {
        const char *x = j->x + (size_t)p * j->plane, *dy = j->dy ? j->dy + (size_t)p * j->windows : NULL;
        char *y = j->y + (size_t)p * j->windows, *dx = dy ? j->dx + (size_t)p * j->plane : NULL;
        int64_t *index = j->index + (size_t)worker * (size_t)(s.oh * s.ow);
        if (j->tiles && dy) kt->max_tiles_dx[j->type](&s, x, y, dy, dx);
        if (j->tiles && !dy) kt->max_tiles[j->type](&s, x, y);
        if (j->tiles) continue;
        kt->argmax_pool2d[j->type](&s, x, index);
        if (dy) kt->add_planes[j->type](1, s.oh * s.ow, s.h * s.w, index, dy, dx);
        else kt->read_planes[j->type](1, s.oh * s.ow, s.h * s.w, index, x, y);
    }
}
/* y from x, or dx from x, y and dy */
static bool run_max(const gr_tensor *x, const pool_attr *a, const gr_tensor *y, const gr_tensor *dy, gr_tensor *dx)
{
    gr_ctx *c = x->ctx;
    max_job j = { .s = sizes_of(x, a, y->dims), .type = gr__kt(x), .x = x->data, .y = y->data, .dy = dy ? dy->data : NULL, .dx = dx ? dx->data : NULL };
    const size_t size = gr__type_size((gr_type)x->dtype);
    j.plane = (size_t)(j.s.h * j.s.w) * size, j.windows = (size_t)(j.s.oh * j.s.ow) * size;
    j.tiles = tiles(&j.s);
    const double ns = (j.tiles ? TAP_NS / 4 : TAP_NS) * (double)(j.s.oh * j.s.ow * j.s.kh * j.s.kw);
    const size_t positions = j.tiles ? 0 : (size_t)gr__parallel_workers(c, ns * (double)j.s.planes) * (size_t)(j.s.oh * j.s.ow);
    gr_block *memory = gr__block_new(c, positions * sizeof *j.index);
    if (!memory) return false;
    j.index = gr__block_data(memory);
    gr__parallel_ranges(c, j.s.planes, ns, some_max, &j);
    gr__block_unref(c, memory);
    return true;
}

static bool max_shape(gr_call *k)
{
    if (!index_shape(k)) return false;
    k->dtype = (gr_type)k->in[0]->dtype;
    return true;
}
static bool max_forward(const gr_call *k, gr_tensor *y) { return run_max(k->in[0], k->attr, y, NULL, NULL); }

/* dx of windows that tile planes of whole ones costs no more than an element-wise value, so it may wait like one. */
typedef struct tiled_dx {
    gr_max_tiles_dx_fn *fn;
    gr_pool2d_size s;
    int64_t size, row; /* bytes of an element; elements of the rows of the image that a row of windows takes */
    const char *x, *y, *dy;
} tiled_dx;
enum { LONGEST = 1024 }; /* such a row that is made whole where a part is asked for */
static void make_dx(const void *how, int64_t first, int64_t count, void *dx)
{
    const tiled_dx *k = how;
    for (int64_t i = first, n; i < first + count; i += n, dx = (char *)dx + n * k->size) {
        _Alignas(64) char whole[LONGEST * sizeof(double)];
        const int64_t past = i % k->row, rest = first + count - i, windows = i / k->row * k->s.ow * k->size, corner = (i - past) * k->size;
        const bool part = past || rest < k->row;
        gr_pool2d_size s = k->s;
        s.planes = 1, s.oh = part ? 1 : rest / k->row, s.h = s.oh * s.kh;
        k->fn(&s, k->x + corner, k->y + windows, k->dy + windows, part ? whole : dx);
        n = !part ? s.oh * k->row : rest < k->row - past ? rest : k->row - past;
        if (part) memcpy(dx, whole + past * k->size, (size_t)(n * k->size));
    }
}
static bool max_backward(gr_tensor *y, gr_tensor *dy, gr_tensor **dx)
{
    gr_tensor *x = y->in[0];
    gr_ctx *c = x->ctx;
    const pool_attr *a = y->attr;
    tiled_dx k = { .s = sizes_of(x, a, y->dims), .size = (int64_t)gr__type_size((gr_type)x->dtype), .row = a->kernel[0] * x->dims[3] };
    dy = gr_contiguous(dy);
    if (!gr__ready(dy) || !gr__ready(x) || !gr__ready(y)) return false;
    if (!tiles(&k.s) || k.s.h != k.s.oh * k.s.kh || k.row > LONGEST) return (dx[0] = gr_empty_like(x)) && run_max(x, a, y, dy, dx[0]);
    gr_block *how = (dx[0] = gr__node_like(gr__scope_now(c), x, 0)) ? gr__block_new(c, sizeof k) : NULL;
    if (!how) return false;
    k.fn = gr__kernels()->max_tiles_dx[gr__kt(x)], k.x = x->data, k.y = y->data, k.dy = dy->data;
    *(tiled_dx *)gr__block_data(how) = k;
    return gr__run_maker(make_dx, how, k.row, 3, (gr_tensor *[]){ x, y, dy }, dx[0]);
}
static gr_tensor *max_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    gr_tensor *x = y->in[i];
    return unpool(dy, gr__apply1(&gr_op_argmax_pool2d, x, y->attr), x->dims[2], x->dims[3]);
}
static bool max_reference(const gr_call *k, double *const *x, double *y)
{
    const int64_t n = k->dim[2] * k->dim[3], plane = k->in[0]->dims[2] * k->in[0]->dims[3];
    if (!index_reference(k, x, y)) return false;
    for (int64_t i = 0; i < gr__count(4, k->dim); i++) y[i] = x[0][i / n * plane + (int64_t)y[i]];
    return true;
}

/* ---- public ------------------------------------------------------------------------------------------------------------*/
static pool_attr attributes(const gr_pool2d_opts *o)
{
    pool_attr a;
    memset(&a, 0, sizeof a);
    for (int d = 0; d < 2; d++) {
        a.kernel[d] = o->kernel[d];
        a.stride[d] = o->stride[d] ? o->stride[d] : o->kernel[d];
        a.padding[d] = o->padding[d];
    }
    return a;
}
static gr_tensor *as_float(gr_tensor *x) { return gr__ready(x) && !gr_is_float(x) ? gr_astype(x, gr__float_type(x->ctx)) : x; }

gr_tensor *gr_argmax_pool2d_with(gr_tensor *x, gr_pool2d_opts o)
{
    pool_attr a = attributes(&o);
    return gr__ready(x) ? gr__apply1(&gr_op_argmax_pool2d, gr_contiguous(as_float(x)), &a) : NULL;
}
gr_tensor *gr_max_pool2d_with(gr_tensor *x, gr_pool2d_opts o)
{
    if (!gr__ready(x)) return NULL;
    pool_attr a = attributes(&o);
    return gr__apply1(&gr_op_max_pool2d, gr_contiguous(as_float(x)), &a);
}

gr_tensor *gr_avg_pool2d_with(gr_tensor *x, gr_pool2d_opts o)
{
    if (!gr__ready(x) || !(x = as_float(x))) return NULL;
    const pool_attr a = attributes(&o);
    gr_ctx *c = x->ctx;
    gr_call k = { .ctx = c, .op = &(gr_op){ .name = "avg_pool2d" }, .in = &x, .n = 1 };
    if (!window_fits(&k, &a)) return NULL;
    const int64_t n = x->dims[0], channels = x->dims[1], h = x->dims[2], w = x->dims[3];
    const gr_conv2d_opts steps = { .stride = { a.stride[0], a.stride[1] }, .padding = { a.padding[0], a.padding[1] } };
    const double share = o.exclude_padding ? 1 : 1.0 / ((double)a.kernel[0] * a.kernel[1]);
    gr_tensor *window = gr_full(c, GR_SHAPE(1, 1, a.kernel[0], a.kernel[1]), share, .dtype = (gr_type)x->dtype);
    gr_tensor *y = gr_conv2d_with(gr_reshape(x, GR_SHAPE(n * channels, 1, h, w)), window, steps);
    if (y && o.exclude_padding) y = (gr_div)(y, gr_conv2d_with(gr_ones(c, GR_SHAPE(1, 1, h, w), .dtype = (gr_type)x->dtype), window, steps));
    return gr_reshape(y, GR_SHAPE(n, channels, windows(x, &a, 0), windows(x, &a, 1)));
}

/* ---- samples -----------------------------------------------------------------------------------------------------------*/
#define CALLS(prefix, f)                                                                                             \
    static gr_tensor *prefix##_2(gr_tensor **x) { return f(x[0], .kernel = { 2, 2 }); }                              \
    static gr_tensor *prefix##_1(gr_tensor **x) { return f(x[0], .kernel = { 1, 1 }); }                              \
    static gr_tensor *prefix##_tiles(gr_tensor **x) { return f(x[0], .kernel = { 2, 3 }); }                          \
    static gr_tensor *prefix##_overlapping(gr_tensor **x) { return f(x[0], .kernel = { 3, 2 }, .stride = { 1, 1 }); } \
    static gr_tensor *prefix##_padded(gr_tensor **x) { return f(x[0], .kernel = { 2, 3 }, .stride = { 2, 1 }, .padding = { 1, 1 }); } \
    static gr_tensor *prefix##_sparse(gr_tensor **x) { return f(x[0], .kernel = { 2, 1 }, .stride = { 3, 2 }); }     \
    static const gr_sample prefix##_samples[] = {                                                                    \
        { "[2, 2, 4, 4]", prefix##_2 },        { "[1, 2, 5, 3]", prefix##_2 },      { "[1, 1, 2, 3]", prefix##_1 },   \
        { "[1, 1, 4, 3]", prefix##_overlapping }, { "[1, 2, 3, 4]", prefix##_padded }, { "[1, 1, 5, 4]", prefix##_sparse }, \
        { "[0, 2, 4, 4]", prefix##_2 },        { "[1, 0, 2, 2]", prefix##_2 },      { "[1, 1, 2, 40] in -90..90", prefix##_2 }, { "[1, 1, 5, 38] in -90..90", prefix##_2 }, { "[1, 1, 4, 6] in -9..9", prefix##_tiles }, { NULL, NULL } };
CALLS(index, gr_argmax_pool2d)
CALLS(max, gr_max_pool2d)

static gr_tensor *no_kernel(gr_tensor **x) { return gr_max_pool2d(x[0], .kernel = { 2 }); }
static gr_tensor *no_step(gr_tensor **x) { return gr_max_pool2d(x[0], .kernel = { 2, 2 }, .stride = { -1, 1 }); }
static gr_tensor *far_padding(gr_tensor **x) { return gr_max_pool2d(x[0], .kernel = { 3, 3 }, .padding = { 0, 2 }); }
static gr_tensor *far_padding_mean(gr_tensor **x) { return gr_avg_pool2d(x[0], .kernel = { 3, 3 }, .padding = { 0, 2 }); }
static const gr_bad_call index_bad[] = {
    { "[1, 2, 2]", index_2, GR_ESHAPE, "argmax_pool2d([1, 2, 2]): the rank is 3, not 4. Fix: images are [n, channels, height, width]; gr_unsqueeze adds a dimension" },
    { "[1, 1, 3, 1]", index_2, GR_ESHAPE,
      "argmax_pool2d([1, 1, 3, 1]): the window spans 2 along dimension 3, the image with padding 1. Fix: add padding, or take a smaller window" },
    { NULL, NULL, GR_OK, NULL } };
static const gr_bad_call max_bad[] = {
    { "[1, 2, 2]", max_2, GR_ESHAPE, "max_pool2d([1, 2, 2]): the rank is 3, not 4. Fix: images are [n, channels, height, width]; gr_unsqueeze adds a dimension" },
    { "[1, 1, 2, 2]", no_kernel, GR_EVALUE, "max_pool2d([1, 1, 2, 2]): the window is 2 x 0. Fix: give both sizes: .kernel = {2, 2}" },
    { "[1, 1, 2, 2]", no_step, GR_EVALUE, "max_pool2d([1, 1, 2, 2]): the stride is -1, 1. Fix: steps are 1 or more" },
    { "[1, 1, 3, 3]", far_padding, GR_EVALUE, "max_pool2d([1, 1, 3, 3]): the padding is 0, 2. Fix: at most half a window, so that each holds an element" },
    { "[1, 1, 3, 3]", far_padding_mean, GR_EVALUE, "avg_pool2d([1, 1, 3, 3]): the padding is 0, 2. Fix: at most half a window, so that each holds an element" },
    { "[1, 1, 3, 1]", max_2, GR_ESHAPE,
      "max_pool2d([1, 1, 3, 1]): the window spans 2 along dimension 3, the image with padding 1. Fix: add padding, or take a smaller window" },
    { NULL, NULL, GR_OK, NULL } };
static gr_tensor *into_2_3(gr_tensor **x) { return unpool(x[0], x[1], 2, 3); }
static const gr_sample unpool_samples[] = {
    { "[2, 1, 1, 2]; i64 [2, 1, 1, 2] in 0..5", into_2_3 }, { "[1, 2, 2, 2]; i64 [1, 2, 2, 2] in 0..5", into_2_3 }, { "[1, 1, 1, 1]; i64 [1, 1, 1, 1] in 0..5", into_2_3 },
    { "[0, 1, 1, 2]; i64 [0, 1, 1, 2]", into_2_3 }, { "[1, 1, 4, 3]; i64 [1, 1, 4, 3] in 0..2", into_2_3 }, { "[2, 1, 0, 2]; i64 [2, 1, 0, 2]", into_2_3 }, { NULL, NULL } };
static const gr_bad_call unpool_bad[] = {
    { "[1, 1, 1, 1]; i64 [1, 1, 1, 1] in 6..6", into_2_3, GR_EINDEX,
      "max_unpool2d([1, 1, 1, 1], i64 [1, 1, 1, 1]): index 6 is out of range for planes of 2 x 3. Fix: count the elements of a plane from 0" },
    { "[1, 1, 1, 1]; [1, 1, 1, 1]", into_2_3, GR_EDTYPE,
      "max_unpool2d([1, 1, 1, 1], [1, 1, 1, 1]): the index is f64, not i64. Fix: take it from gr_argmax_pool2d" },
    { "[1, 1, 1, 1]; i64 [1, 1, 2, 1] in 0..1", into_2_3, GR_ESHAPE, "max_unpool2d([1, 1, 1, 1], i64 [1, 1, 2, 1]): the shapes differ. Fix: give one index for each element" },
    { "[1, 1, 1]; i64 [1, 1, 2] in 0..1", into_2_3, GR_ESHAPE,
      "max_unpool2d([1, 1, 1], i64 [1, 1, 2]): image and index differ in rank or in their planes. Fix: both are [n, channels, height, width]" },
    { NULL, NULL, GR_OK, NULL } };

const gr_op gr_op_argmax_pool2d = { .name = "argmax_pool2d", .formula = "y = first k with x[k] = max of the window", .gradient = "none", .arity = 1,
                                       .attr_size = sizeof(pool_attr), .shape = index_shape, .forward = index_forward, .describe = describe,
                                       .reference_tensor = index_reference, .samples = index_samples, .bad = index_bad };
static gr_tensor *max_branch(const gr_call *k, gr_tensor *y) { return (void)y, gr__apply1(&gr_op_argmax_pool2d, k->in[0], k->attr); }
const gr_op gr_op_max_pool2d = { .name = "max_pool2d", .formula = "y = max of each window of x", .gradient = "dx = max_unpool2d(dy, argmax_pool2d(x))", .arity = 1,
                                 .attr_size = sizeof(pool_attr), .shape = max_shape, .forward = max_forward, .branch = max_branch, .vjp = max_vjp, .backward = max_backward,
                                 .describe = describe, .reference_tensor = max_reference, .samples = max_samples, .bad = max_bad };
const gr_op gr_op_max_unpool2d = { .name = "max_unpool2d", .formula = "y = zeros, then y[index] += x", .gradient = "dx = dy[index]", .arity = 2,
                                   .flags = GR_OP_LINEAR, .attr_size = sizeof(plane_attr), .shape = unpool_shape, .forward = unpool_forward,
                                   .vjp = unpool_vjp, .reference_tensor = unpool_reference, .samples = unpool_samples, .bad = unpool_bad };
