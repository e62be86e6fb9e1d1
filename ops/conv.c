/* Convolution of images and its two adjoints. All three are linear in each input, and the derivative of each is the other
 * two, so that derivatives of any order exist:
 *
 *   conv2d         y = x * w      dx = conv2d_input(dy, w)    dw = conv2d_weight(x, dy)
 *   conv2d_bias    y = b + x * w  the same                    db = dy, summed over images and positions
 *   conv2d_input   y = g *' w     dg = conv2d(dy, w)          dw = conv2d_weight(dy, g)
 *   conv2d_weight  y = x *" g     dx = conv2d_input(g, dy)    dg = conv2d(x, dy)
 *
 * SPDX-License-Identifier: MIT */
#include "ops/record.h"

#include <limits.h>
#include <string.h>

typedef struct conv_attr {
    int64_t size[2]; /* of what cannot be told from the inputs: of the image (conv2d_input), of the kernel (conv2d_weight) */
    int stride[2], padding[2], dilation[2], groups, unused;
} conv_attr;

static void describe(const void *attr, char *out, size_t size)
{
    const conv_attr *a = attr;
    gr_text t = { out, size, 0 };
    gr__put(&t, "stride %d, %d, padding %d, %d", a->stride[0], a->stride[1], a->padding[0], a->padding[1]);
    if (a->dilation[0] > 1 || a->dilation[1] > 1) gr__put(&t, ", dilation %d, %d", a->dilation[0], a->dilation[1]);
    if (a->groups > 1) gr__put(&t, ", groups %d", a->groups);
}

/* ---- sizes -------------------------------------------------------------------------------------------------------*/
static bool attributes_fit(gr_call *k)
{
    const conv_attr *a = k->attr;
    const gr_tensor *p = k->in[0], *q = k->in[1];
    for (int d = 0; d < 2; d++) {
        if (a->stride[d] < 1) return gr_reject(k, GR_EVALUE, "steps are 1 or more", "the stride is %d, %d", a->stride[0], a->stride[1]);
        if (a->padding[d] < 0) return gr_reject(k, GR_EVALUE, "cut with gr_slice instead", "the padding is %d, %d", a->padding[0], a->padding[1]);
        if (a->dilation[d] < 1) return gr_reject(k, GR_EVALUE, "1 is a dense kernel", "the dilation is %d, %d", a->dilation[0], a->dilation[1]);
    }
    if (a->groups < 1) return gr_reject(k, GR_EVALUE, "1 connects all channels", "%d groups", a->groups);
    if (p->dtype != q->dtype || !gr_is_float(p))
        return gr_reject(k, GR_EDTYPE, "convert with gr_astype", "%s with %s is not implemented", gr_dtype_name((gr_type)p->dtype), gr_dtype_name((gr_type)q->dtype));
    for (int i = 0; i < 2; i++)
        if (k->in[i]->ndim != 4)
            return gr_reject(k, GR_ESHAPE, "images are [n, channels, height, width], kernels [out, in / groups, height, width]; gr_unsqueeze adds a dimension",
                             "input %d has rank %d, not 4", i, k->in[i]->ndim);
    if (!gr_is_contiguous(p) || !gr_is_contiguous(q)) return gr_reject(k, GR_EVALUE, "call gr_conv2d, which copies", "an input is not contiguous");
    return true;
}

/* The sizes of a convolution of an image x by a kernel w, or a refusal. */
static bool sizes(gr_call *k, const int64_t *x, const int64_t *w, gr_conv2d_size *s)
{
    const conv_attr *a = k->attr;
    *s = (gr_conv2d_size){ .n = x[0], .groups = a->groups, .h = x[2], .w = x[3], .kh = w[2], .kw = w[3] };
    if (x[1] % a->groups || w[0] % a->groups)
        return gr_reject(k, GR_ESHAPE, "choose a number that divides both", "%d groups do not divide %lld input and %lld output channels", a->groups,
                         (long long)x[1], (long long)w[0]);
    s->cin = x[1] / a->groups, s->cout = w[0] / a->groups;
    if (w[1] != s->cin)
        return gr_reject(k, GR_ESHAPE, "a kernel is [out, in / groups, height, width]", "the kernel takes %lld channels, each of %d group%s of the image has %lld",
                         (long long)w[1], a->groups, a->groups == 1 ? "" : "s", (long long)s->cin);
    int64_t out[2];
    for (int d = 0; d < 2; d++) {
        s->stride[d] = a->stride[d], s->padding[d] = a->padding[d], s->dilation[d] = a->dilation[d];
        if (w[2 + d] < 1 || w[2 + d] > INT_MAX) return gr_reject(k, GR_ESHAPE, "1 x 1 is the smallest", "the kernel is %lld x %lld", (long long)w[2], (long long)w[3]);
        int64_t room = x[2 + d] + 2 * s->padding[d], reach = s->dilation[d] * (w[2 + d] - 1) + 1;
        if (reach > room)
            return gr_reject(k, GR_ESHAPE, "add padding, or take a smaller kernel", "the kernel spans %lld along dimension %d, the image with padding %lld", (long long)reach,
                             2 + d, (long long)room);
        out[d] = (room - reach) / s->stride[d] + 1;
    }
    s->oh = out[0], s->ow = out[1];
    return true;
}

/* The sizes as seen from each of the three: x and w are given or known by attributes. */
static bool sizes_of(gr_call *k, gr_conv2d_size *s)
{
    const conv_attr *a = k->attr;
    if (!attributes_fit(k)) return false;
    const int64_t *p = k->in[0]->dims, *q = k->in[1]->dims;
    const bool input = k->op == &gr_op_conv2d_input, weight = k->op == &gr_op_conv2d_weight;
    if (!input && !weight) return sizes(k, p, q, s);
    const int64_t x[4] = { p[0], input ? q[1] * a->groups : p[1], input ? a->size[0] : p[2], input ? a->size[1] : p[3] };
    const int64_t w[4] = { input ? q[0] : q[1], input ? q[1] : p[1] / a->groups, input ? q[2] : a->size[0], input ? q[3] : a->size[1] };
    if (!sizes(k, x, w, s)) return false;
    const int64_t *g = input ? p : q;
    if (g[0] != s->n || g[1] != s->groups * s->cout || g[2] != s->oh || g[3] != s->ow)
        return gr_reject(k, GR_ESHAPE, "give it the shape of conv2d's result", "input %d is not [%lld, %lld, %lld, %lld]", input ? 0 : 1, (long long)s->n,
                         (long long)(s->groups * s->cout), (long long)s->oh, (long long)s->ow);
    return true;
}

static bool shaped(gr_call *k, int64_t a, int64_t b, int64_t c, int64_t d)
{
    k->dtype = (gr_type)k->in[0]->dtype;
    k->ndim = 4;
    k->dim[0] = a, k->dim[1] = b, k->dim[2] = c, k->dim[3] = d;
    return true;
}
static bool conv2d_shape(gr_call *k)
{
    gr_conv2d_size s;
    return sizes_of(k, &s) && shaped(k, s.n, s.groups * s.cout, s.oh, s.ow);
}
static bool conv2d_bias_shape(gr_call *k)
{
    const gr_tensor *x = k->in[0], *bias = k->in[2];
    if (!conv2d_shape(k)) return false;
    if (bias->ndim != 1 || bias->dims[0] != k->dim[1])
        return gr_reject(k, GR_ESHAPE, "a bias is [out]", "the bias does not fit %lld output channels", (long long)k->dim[1]);
    if (bias->dtype != x->dtype) return gr_reject(k, GR_EDTYPE, "convert with gr_astype", "the bias is %s", gr_dtype_name((gr_type)bias->dtype));
    return gr_is_contiguous(bias) || gr_reject(k, GR_EVALUE, "call gr_conv2d, which copies", "the bias is not contiguous");
}
static bool conv2d_input_shape(gr_call *k)
{
    gr_conv2d_size s;
    return sizes_of(k, &s) && shaped(k, s.n, s.groups * s.cin, s.h, s.w);
}
static bool conv2d_weight_shape(gr_call *k)
{
    gr_conv2d_size s;
    return sizes_of(k, &s) && shaped(k, s.groups * s.cout, s.cin, s.kh, s.kw);
}

/* ---- forward -----------------------------------------------------------------------------------------------------*/
typedef struct conv_job {
    const gr_conv_loops *l;
    const gr_conv2d_size *s;
    gr_conv2d_fn *fn;
    const void *a, *b;
    char *out, *scratch, *parts;
    size_t scratch_bytes, part_bytes; /* of one worker; of one part */
    int64_t images;                   /* of a part */
} conv_job;

/* of one image: its products at 100 GFLOP/s, its elements twice */
static double image_ns(const gr_conv2d_size *s)
{
    const double in = (double)(s->groups * s->cin * s->h * s->w), out = (double)(s->groups * s->cout * s->oh * s->ow);
    return out * (double)(s->cin * s->kh * s->kw) * 0.02 + (in + out) * 0.5;
}

static void some_images(void *user, int64_t begin, int64_t end, int worker)
{
    const conv_job *j = user;
    const int64_t last = end * j->images < j->s->n ? end * j->images : j->s->n;
    j->fn(j->l, j->s, begin * j->images, last, j->a, j->b, j->out, j->scratch + (size_t)worker * j->scratch_bytes);
}
/* the first part writes into the result, the others beside it */
static void some_parts(void *user, int64_t begin, int64_t end, int worker)
{
    const conv_job *j = user;
    for (int64_t i = begin; i < end; i++) {
        const int64_t first = i * j->images, rest = j->s->n - first;
        char *out = i ? j->parts + (size_t)(i - 1) * j->part_bytes : j->out;
        j->fn(j->l, j->s, first, first + (rest < j->images ? rest : j->images), j->a, j->b, out, j->scratch + (size_t)worker * j->scratch_bytes);
    }
}

/* The sum over images is taken in parts, as many as the shape alone says: so that each is worth a thread, and their results
 * weigh no more than the images. */
#define MAX_PARTS 8
#define PART_NS 8e3
static int64_t parts_of(const gr_conv2d_size *s, int64_t results)
{
    const double work = image_ns(s) * (double)s->n, images = (double)(s->n * s->groups * (s->cin * s->h * s->w + s->cout * s->oh * s->ow));
    double most = work / PART_NS < images / (double)results ? work / PART_NS : images / (double)results;
    if (most > MAX_PARTS) most = MAX_PARTS;
    return most < 2 ? 1 : (int64_t)most < s->n ? (int64_t)most : s->n;
}

/* conv2d, with a bias or without, and conv2d_input */
static bool conv2d_forward(const gr_call *k, gr_tensor *y)
{
    const bool input = k->op == &gr_op_conv2d_input;
    gr_call again = *k;
    gr_conv2d_size s;
    if (y->numel == 0) return true;
    if (!sizes_of(&again, &s)) return false;
    const gr_conv_loops *l = gr__kernels()->conv[gr__k(k->dtype)];
    const gr_conv2d_bytes bytes = gr__conv2d_bytes(l, &s);
    const double ns = image_ns(&s) * (double)bytes.images;
    const int64_t parts = (s.n + bytes.images - 1) / bytes.images;
    const size_t workers = (size_t)gr__parallel_workers(k->ctx, ns * (double)parts);
    gr_block *memory = gr__block_new(k->ctx, bytes.packed + (bytes.scratch >> 56 ? 1 : workers) * bytes.scratch);
    if (!memory) return false;
    char *packed = gr__block_data(memory);
    conv_job j = { .l = l, .s = &s, .fn = input ? gr__conv2d_input : gr__conv2d, .a = k->in[0]->data, .b = packed, .out = y->data, .scratch = packed + bytes.packed,
                   .scratch_bytes = bytes.scratch, .images = bytes.images };
    if (input) gr__conv2d_input_pack(l, &s, k->in[1]->data, packed);
    else gr__conv2d_pack(l, &s, k->in[1]->data, k->n > 2 ? k->in[2]->data : NULL, packed);
    gr__parallel_ranges(k->ctx, parts, ns, some_images, &j);
    gr__block_unref(k->ctx, memory);
    return true;
}

/* dw and, where it is wanted, the gradient of a bias */
static bool weigh(gr_ctx *c, gr_conv2d_size s, const gr_tensor *x, const gr_tensor *dy, gr_tensor *dw, gr_tensor *db)
{
    const int type = gr__kt(x);
    const int64_t n = dw->numel + (db ? db->numel : 0);
    const gr_conv_loops *l = gr__kernels()->conv[type];
    s.bias = db != NULL;
    const gr_conv2d_bytes bytes = gr__conv2d_bytes(l, &s);
    const int64_t most = parts_of(&s, dw->numel) * bytes.images, images = (s.n + most - 1) / most * bytes.images, parts = images ? (s.n + images - 1) / images : 1;
    const size_t size = gr__type_size((gr_type)x->dtype), part = ((size_t)n * size + 63) / 64 * 64, scratch = bytes.scratch, first = db ? part : 0;
    const double ns = image_ns(&s) * (double)images;
    const size_t workers = parts > 1 ? (size_t)gr__parallel_workers(c, ns * (double)parts) : 1;
    gr_block *memory = gr__block_new(c, first + (size_t)(parts - 1) * part + (scratch >> 56 ? 1 : workers) * scratch);
    if (!memory) return false;
    char *beside = gr__block_data(memory), *out = db ? beside : dw->data;
    conv_job j = { .l = l, .s = &s, .fn = gr__conv2d_weight, .a = x->data, .b = dy->data, .out = out, .parts = beside + first,
                   .scratch = beside + first + (size_t)(parts - 1) * part, .scratch_bytes = scratch, .part_bytes = part, .images = images };
    gr__parallel_ranges(c, parts, ns, some_parts, &j);
    for (int64_t i = 0; i + 1 < parts; i++) gr__kernels()->ew[GR_EW_add][type](n, (char *[]){ out, out, beside + first + (size_t)i * part });
    if (db) memcpy(dw->data, out, (size_t)dw->numel * size), memcpy(db->data, out + (size_t)dw->numel * size, (size_t)db->numel * size);
    gr__block_unref(c, memory);
    return true;
}
static bool conv2d_weight_forward(const gr_call *k, gr_tensor *y)
{
    gr_call again = *k;
    gr_conv2d_size s;
    return y->numel == 0 || (sizes_of(&again, &s) && weigh(k->ctx, s, k->in[0], k->in[1], y, NULL));
}

/* ---- derivatives ---------------------------------------------------------------------------------------------------*/
static gr_tensor *apply(const gr_op *op, gr_tensor *p, gr_tensor *q, const conv_attr *a, int64_t h, int64_t w)
{
    conv_attr sized = *a;
    sized.size[0] = h, sized.size[1] = w;
    return gr_apply(op, (gr_tensor *[]){ gr_contiguous(p), gr_contiguous(q) }, 2, &sized);
}
static gr_tensor *forth(gr_tensor *x, gr_tensor *w, const conv_attr *a) { return apply(&gr_op_conv2d, x, w, a, 0, 0); }
/* the gradient by an image (by a kernel) of the shape of `like` */
static gr_tensor *by_image(gr_tensor *g, gr_tensor *w, const conv_attr *a, const gr_tensor *like)
{
    return apply(&gr_op_conv2d_input, g, w, a, like->dims[2], like->dims[3]);
}
static gr_tensor *by_kernel(gr_tensor *x, gr_tensor *g, const conv_attr *a, const gr_tensor *like)
{
    return apply(&gr_op_conv2d_weight, x, g, a, like->dims[2], like->dims[3]);
}

static gr_tensor *conv2d_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    return i == 0 ? by_image(dy, y->in[1], y->attr, y->in[0]) : by_kernel(y->in[0], dy, y->attr, y->in[1]);
}
static gr_tensor *conv2d_bias_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    const int64_t channels = y->dims[1];
    return i < 2 ? conv2d_vjp(y, dy, i) : gr_reshape(gr_sum_to(dy, GR_SHAPE(channels, 1, 1)), GR_SHAPE(channels));
}
/* The gradient of the bias is taken where that of the weights reads dy anyway. */
static bool conv2d_bias_backward(gr_tensor *y, gr_tensor *dy, gr_tensor **dx)
{
    gr_call k = { .ctx = y->ctx, .op = y->op, .in = y->in, .n = 3, .attr = y->attr };
    gr_conv2d_size s;
    dy = gr_contiguous(dy);
    const bool together = gr__wants(y, 1) && gr__wants(y, 2) && y->in[1]->numel;
    for (int i = 0; i < 3; i++)
        if (gr__wants(y, i) && !(dx[i] = i && together ? gr_empty_like(y->in[i]) : conv2d_bias_vjp(y, dy, i))) return false;
    return !together || (gr__ready(dy) && gr__ready(y->in[0]) && sizes_of(&k, &s) && weigh(y->ctx, s, y->in[0], dy, dx[1], dx[2]));
}
static gr_tensor *conv2d_input_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    return i == 0 ? forth(dy, y->in[1], y->attr) : by_kernel(dy, y->in[0], y->attr, y->in[1]);
}
static gr_tensor *conv2d_weight_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    return i == 0 ? by_image(y->in[1], dy, y->attr, y->in[0]) : forth(y->in[0], dy, y->attr);
}

/* ---- references: every product x w that belongs to a y, by its definition -----------------------------------------------*/
static void each_product(const gr_conv2d_size *s, void (*f)(double *x, double *w, double *y), double *x, double *w, double *y)
{
    const int64_t y_dim[] = { s->n, s->groups * s->cout, s->oh, s->ow }, w_dim[] = { s->cin, s->kh, s->kw };
    for (int64_t p = 0; p < gr__count(4, y_dim); p++)
        for (int64_t q = 0; q < gr__count(3, w_dim); q++) {
            int64_t o[4], c[3];
            gr__unravel(p, 4, y_dim, o);
            gr__unravel(q, 3, w_dim, c);
            int64_t i = o[2] * s->stride[0] + c[1] * s->dilation[0] - s->padding[0], j = o[3] * s->stride[1] + c[2] * s->dilation[1] - s->padding[1];
            int64_t channel = o[1] / s->cout * s->cin + c[0];
            if (i >= 0 && i < s->h && j >= 0 && j < s->w)
                f(&x[((o[0] * s->groups * s->cin + channel) * s->h + i) * s->w + j], &w[o[1] * gr__count(3, w_dim) + q], &y[p]);
        }
}
static void to_y(double *x, double *w, double *y) { *y += *x * *w; }
static void to_x(double *x, double *w, double *y) { *x += *y * *w; }
static void to_w(double *x, double *w, double *y) { *w += *x * *y; }
static bool reference(const gr_call *k, double *const *x, double *y)
{
    gr_call again = *k;
    gr_conv2d_size s;
    for (int64_t i = 0; i < gr__count(k->ndim, k->dim); i++) y[i] = k->n > 2 ? x[2][i / (k->dim[2] * k->dim[3]) % k->dim[1]] : 0;
    if (!sizes_of(&again, &s)) return false;
    if (k->op == &gr_op_conv2d_input) each_product(&s, to_x, y, x[1], x[0]);
    else if (k->op == &gr_op_conv2d_weight) each_product(&s, to_w, x[0], y, x[1]);
    else each_product(&s, to_y, x[0], x[1], y);
    return true;
}

/* ---- public ------------------------------------------------------------------------------------------------------*/
static conv_attr attributes(const gr_conv2d_opts *o)
{
    conv_attr a;
    memset(&a, 0, sizeof a);
    for (int d = 0; d < 2; d++) {
        a.stride[d] = o->stride[d] ? o->stride[d] : 1;
        a.padding[d] = o->padding[d];
        a.dilation[d] = o->dilation[d] ? o->dilation[d] : 1;
    }
    a.groups = o->groups ? o->groups : 1;
    return a;
}

/* x[0] to x[n - 1], contiguous floats of one type */
static bool same_type(gr_tensor **x, int n)
{
    gr_type type = (gr_type)x[0]->dtype;
    for (int i = 1; i < n; i++)
        if ((gr_type)x[i]->dtype > type) type = (gr_type)x[i]->dtype;
    if (type < GR_F32) type = gr__float_type(x[0]->ctx);
    for (int i = 0; i < n; i++)
        if (!(x[i] = gr_contiguous(gr_astype(x[i], type)))) return false;
    return true;
}

gr_tensor *gr_conv2d_with(gr_tensor *x, gr_tensor *w, gr_conv2d_opts o)
{
    gr_tensor *in[] = { x, w, o.bias };
    const int n = o.bias ? 3 : 2;
    const gr_op *op = o.bias ? &gr_op_conv2d_bias : &gr_op_conv2d;
    for (int i = 0; i < n; i++)
        if (!gr__ready(in[i]) || in[i]->ctx != x->ctx) return gr_apply(op, in, n, NULL);
    const conv_attr a = attributes(&o);
    return same_type(in, n) ? gr_apply(op, in, n, &a) : NULL;
}

static gr_tensor *biased(gr_tensor *y, gr_tensor *bias)
{
    if (!y || !bias) return y;
    if (bias->ndim == 1 && bias->dims[0] == y->dims[1]) return (gr_add)(y, gr_reshape(bias, GR_SHAPE(bias->dims[0], 1, 1)));
    char text[256];
    gr__format_tensor_ref(text, sizeof text, bias);
    gr_fail(y->ctx, GR_ESHAPE, "conv_transpose2d: the bias %s does not fit %lld output channels. Fix: give it the shape [%lld]", text, (long long)y->dims[1], (long long)y->dims[1]);
    return NULL;
}

gr_tensor *gr_conv_transpose2d_with(gr_tensor *x, gr_tensor *w, gr_conv2d_opts o)
{
    if (!gr__ready(x) || !w || w->ctx != x->ctx) return gr_apply(&gr_op_conv2d_input, (gr_tensor *[]){ x, w }, 2, NULL);
    conv_attr a = attributes(&o);
    gr_tensor *in[] = { x, w };
    if (!same_type(in, 2)) return NULL;
    x = in[0], w = in[1];
    int64_t size[2] = { 0, 0 };
    for (int d = 0; d < 2 && x->ndim == 4 && w->ndim == 4; d++) {
        int64_t steps = x->dims[2 + d] - 1, taps = w->dims[2 + d] - 1;
        size[d] = steps * a.stride[d] - 2 * (int64_t)a.padding[d] + a.dilation[d] * taps + 1 + o.output_padding[d];
        if (o.output_padding[d] < 0 || o.output_padding[d] >= a.stride[d] || size[d] < 0) {
            gr_fail(x->ctx, GR_EVALUE, "conv_transpose2d: output padding %d, %d with stride %d, %d and padding %d, %d gives no image that conv2d maps back. Fix: 0 <= output padding < stride, and less padding",
                    o.output_padding[0], o.output_padding[1], a.stride[0], a.stride[1], a.padding[0], a.padding[1]);
            return NULL;
        }
    }
    return biased(apply(&gr_op_conv2d_input, x, w, &a, size[0], size[1]), o.bias);
}

/* ---- samples -----------------------------------------------------------------------------------------------------*/
static gr_tensor *plain(gr_tensor **x) { return gr_conv2d(x[0], x[1], .groups = 1); }
static gr_tensor *with_bias(gr_tensor **x) { return gr_conv2d(x[0], x[1], .bias = x[2]); }
static gr_tensor *padded(gr_tensor **x) { return gr_conv2d(x[0], x[1], .padding = { 2, 1 }); }
static gr_tensor *strided(gr_tensor **x) { return gr_conv2d(x[0], x[1], .stride = { 2, 3 }, .padding = { 1, 1 }); }
static gr_tensor *dilated(gr_tensor **x) { return gr_conv2d(x[0], x[1], .dilation = { 2, 3 }, .padding = { 1, 2 }); }
static gr_tensor *grouped(gr_tensor **x) { return gr_conv2d(x[0], x[1], .groups = 2); }
static gr_tensor *everything(gr_tensor **x) { return gr_conv2d(x[0], x[1], .stride = { 3, 2 }, .padding = { 2, 3 }, .dilation = { 2, 4 }, .groups = 2); }
#define SAMPLES                                                                                                      \
    { "[2, 2, 4, 4]; [3, 2, 3, 3]", plain }, { "[2, 2, 3, 4]; [3, 2, 1, 1]", plain }, { "[0, 1, 3, 3]; [2, 1, 2, 2]", plain }, \
    { "[1, 2, 3, 3]; [1, 2, 3, 2]", padded }, { "[1, 1, 5, 7]; [2, 1, 2, 3]", strided }, \
    { "[1, 1, 5, 6]; [1, 1, 3, 2]", dilated }, { "[2, 4, 3, 2]; [4, 2, 2, 2]", grouped }, { "[1, 2, 6, 6]; [2, 1, 3, 3]", everything },    \
    { "[2, 1, 2, 3]; [0, 1, 2, 2]", plain }, { "[2, 0, 2, 3]; [2, 0, 2, 2]", plain }, { "[1, 1, 3, 21]; [9, 1, 2, 2]", padded }
static const gr_sample conv2d_samples[] = { SAMPLES, { NULL, NULL } };
static gr_tensor *biased_everything(gr_tensor **x)
{
    return gr_conv2d(x[0], x[1], .bias = x[2], .stride = { 3, 2 }, .padding = { 2, 3 }, .dilation = { 2, 4 }, .groups = 2);
}
static const gr_sample bias_samples[] = {
    { "[1, 1, 3, 3]; [2, 1, 3, 2]; [2]", with_bias }, { "[1, 2, 6, 6]; [2, 1, 3, 3]; [2]", biased_everything }, { "[2, 1, 3, 4]; [9, 1, 1, 1]; [9]", with_bias },
    { "[0, 1, 3, 3]; [2, 1, 2, 2]; [2]", with_bias }, { "[2, 0, 2, 3]; [2, 0, 2, 2]; [2]", with_bias }, { "[2, 1, 2, 3]; [0, 1, 2, 2]; [0]", with_bias }, { NULL, NULL } };

static gr_tensor *no_step(gr_tensor **x) { return gr_conv2d(x[0], x[1], .stride = { -1, 1 }); }
static gr_tensor *less_padding(gr_tensor **x) { return gr_conv2d(x[0], x[1], .padding = { 0, -2 }); }
static gr_tensor *no_dilation(gr_tensor **x) { return gr_conv2d(x[0], x[1], .dilation = { 1, -1 }); }
static gr_tensor *no_groups(gr_tensor **x) { return gr_conv2d(x[0], x[1], .groups = -2); }
#define RANKS "Fix: images are [n, channels, height, width], kernels [out, in / groups, height, width]; gr_unsqueeze adds a dimension"
static const gr_bad_call conv2d_bad[] = {
    { "[1, 1, 3, 3]; [1, 1, 2, 2]", no_step, GR_EVALUE, "conv2d([1, 1, 3, 3], [1, 1, 2, 2]): the stride is -1, 1. Fix: steps are 1 or more" },
    { "[1, 1, 3, 3]; [1, 1, 2, 2]", less_padding, GR_EVALUE, "conv2d([1, 1, 3, 3], [1, 1, 2, 2]): the padding is 0, -2. Fix: cut with gr_slice instead" },
    { "[1, 1, 3, 3]; [1, 1, 2, 2]", no_dilation, GR_EVALUE, "conv2d([1, 1, 3, 3], [1, 1, 2, 2]): the dilation is 1, -1. Fix: 1 is a dense kernel" },
    { "[1, 1, 3, 3]; [1, 1, 2, 2]", no_groups, GR_EVALUE, "conv2d([1, 1, 3, 3], [1, 1, 2, 2]): -2 groups. Fix: 1 connects all channels" },
    { "[1, 3, 3]; [1, 1, 2, 2]", plain, GR_ESHAPE, "conv2d([1, 3, 3], [1, 1, 2, 2]): input 0 has rank 3, not 4. " RANKS },
    { "[1, 1, 3, 3]; [2, 2]", plain, GR_ESHAPE, "conv2d([1, 1, 3, 3], [2, 2]): input 1 has rank 2, not 4. " RANKS },
    { "[1, 3, 3, 3]; [1, 2, 2, 2]", plain, GR_ESHAPE,
      "conv2d([1, 3, 3, 3], [1, 2, 2, 2]): the kernel takes 2 channels, each of 1 group of the image has 3. Fix: a kernel is [out, in / groups, height, width]" },
    { "[1, 3, 3, 3]; [2, 1, 2, 2]", grouped, GR_ESHAPE,
      "conv2d([1, 3, 3, 3], [2, 1, 2, 2]): 2 groups do not divide 3 input and 2 output channels. Fix: choose a number that divides both" },
    { "[1, 1, 3, 3]; [1, 1, 2, 0]", plain, GR_ESHAPE, "conv2d([1, 1, 3, 3], [1, 1, 2, 0]): the kernel is 2 x 0. Fix: 1 x 1 is the smallest" },
    { "[1, 1, 3, 3]; [1, 1, 5, 2]", plain, GR_ESHAPE,
      "conv2d([1, 1, 3, 3], [1, 1, 5, 2]): the kernel spans 5 along dimension 2, the image with padding 3. Fix: add padding, or take a smaller kernel" },
    { NULL, NULL, GR_OK, NULL } };
static gr_tensor *raw_bias(gr_tensor **x)
{
    return gr_apply(&gr_op_conv2d_bias, (gr_tensor *[]){ x[0], x[1], x[2] }, 3, &(conv_attr){ .stride = { 1, 1 }, .dilation = { 1, 1 }, .groups = 1 });
}
static gr_tensor *raw_apart(gr_tensor **x) { return raw_bias((gr_tensor *[]){ x[0], x[1], gr_broadcast_to(x[2], GR_SHAPE(2)) }); }
static const gr_bad_call bias_bad[] = {
    { "[1, 1, 3, 3]; [2, 1, 2, 2]; [3]", with_bias, GR_ESHAPE, "conv2d_bias([1, 1, 3, 3], [2, 1, 2, 2], [3]): the bias does not fit 2 output channels. Fix: a bias is [out]" },
    { "[1, 1, 3, 3]; [2, 1, 2, 2]; [2, 1]", with_bias, GR_ESHAPE, "conv2d_bias([1, 1, 3, 3], [2, 1, 2, 2], [2, 1]): the bias does not fit 2 output channels. Fix: a bias is [out]" },
    { "[1, 1, 3, 3]; [2, 1, 2, 2]; i64 [2]", raw_bias, GR_EDTYPE, "conv2d_bias([1, 1, 3, 3], [2, 1, 2, 2], i64 [2]): the bias is i64. Fix: convert with gr_astype" },
    { "[1, 1, 3, 3]; [2, 1, 2, 2]; [1]", raw_apart, GR_EVALUE, "conv2d_bias([1, 1, 3, 3], [2, 1, 2, 2], [2]): the bias is not contiguous. Fix: call gr_conv2d, which copies" },
    { "[1, 3, 3]; [1, 1, 2, 2]; [1]", with_bias, GR_ESHAPE, "conv2d_bias([1, 3, 3], [1, 1, 2, 2], [1]): input 0 has rank 3, not 4. " RANKS },
    { NULL, NULL, GR_OK, NULL } };

/* conv2d_input of inputs that are like y and w, conv2d_weight of inputs like x and y */
static gr_tensor *transposed(gr_tensor **x) { return gr_conv_transpose2d(x[0], x[1], .groups = 1); }
static gr_tensor *transposed_everything(gr_tensor **x)
{
    return gr_conv_transpose2d(x[0], x[1], .stride = { 3, 2 }, .padding = { 1, 2 }, .dilation = { 2, 3 }, .output_padding = { 2, 1 }, .groups = 2);
}
static gr_tensor *transposed_biased(gr_tensor **x) { return gr_conv_transpose2d(x[0], x[1], .bias = x[2], .stride = { 2, 2 }); }
static gr_tensor *transposed_padded(gr_tensor **x) { return gr_conv_transpose2d(x[0], x[1], .padding = { 1, 1 }); }
static gr_tensor *transposed_too_far(gr_tensor **x) { return gr_conv_transpose2d(x[0], x[1], .output_padding = { 1, 0 }); }
static gr_tensor *input_of_5(gr_tensor **x) { return apply(&gr_op_conv2d_input, x[0], x[1], &(conv_attr){ .stride = { 1, 1 }, .dilation = { 1, 1 }, .groups = 1 }, 5, 5); }
static const gr_sample input_samples[] = {
    { "[2, 2, 3, 3]; [2, 3, 2, 2]", transposed }, { "[2, 2, 3, 4]; [2, 3, 1, 1]", transposed }, { "[0, 1, 3, 3]; [1, 2, 2, 2]", transposed },
    { "[1, 2, 3, 2]; [2, 2, 3, 3]; [2]", transposed_biased }, { "[1, 2, 3, 3]; [2, 1, 3, 2]", transposed_padded }, { "[2, 2, 2, 3]; [2, 1, 2, 3]", transposed_everything },
    { "[1, 0, 2, 2]; [0, 2, 2, 2]", transposed }, { "[1, 1, 3, 19]; [1, 9, 2, 3]", transposed }, { NULL, NULL } };
static const gr_bad_call input_bad[] = {
    { "[1, 2, 3, 3]; [2, 1, 2, 2]", input_of_5, GR_ESHAPE, "conv2d_input([1, 2, 3, 3], [2, 1, 2, 2]): input 0 is not [1, 2, 4, 4]. Fix: give it the shape of conv2d's result" },
    { "[1, 2, 3, 3]; [2, 1, 2, 2]", transposed_too_far, GR_EVALUE,
      "conv_transpose2d: output padding 1, 0 with stride 1, 1 and padding 0, 0 gives no image that conv2d maps back. Fix: 0 <= output padding < stride, and less padding" },
    { "[2, 3, 3]; [2, 1, 2, 2]", transposed, GR_ESHAPE, "conv2d_input([2, 3, 3], [2, 1, 2, 2]): input 0 has rank 3, not 4. " RANKS },
    { NULL, NULL, GR_OK, NULL } };

static gr_tensor *weight_of(gr_tensor **x, int64_t h, int64_t w, int step, int padding, int dilation, int groups)
{
    conv_attr a;
    memset(&a, 0, sizeof a);
    for (int d = 0; d < 2; d++) a.stride[d] = step, a.padding[d] = padding, a.dilation[d] = dilation;
    a.groups = groups;
    return apply(&gr_op_conv2d_weight, x[0], x[1], &a, h, w);
}
static gr_tensor *weight_2(gr_tensor **x) { return weight_of(x, 2, 2, 1, 0, 1, 1); }
static gr_tensor *weight_1(gr_tensor **x) { return weight_of(x, 1, 1, 1, 0, 1, 1); }
static gr_tensor *weight_strided(gr_tensor **x) { return weight_of(x, 3, 2, 2, 1, 1, 1); }
static gr_tensor *weight_grouped(gr_tensor **x) { return weight_of(x, 2, 3, 1, 1, 2, 2); }
static const gr_sample weight_samples[] = {
    { "[2, 2, 3, 3]; [2, 3, 2, 2]", weight_2 }, { "[2, 2, 3, 4]; [2, 3, 3, 4]", weight_1 }, { "[0, 1, 3, 3]; [0, 2, 2, 2]", weight_2 },
    { "[1, 1, 5, 4]; [1, 2, 3, 3]", weight_strided }, { "[2, 2, 3, 4]; [2, 2, 3, 2]", weight_grouped }, { "[5, 1, 3, 18] in -1..1; [5, 2, 2, 17] in -1..1", weight_2 }, { NULL, NULL } };
static const gr_bad_call weight_bad[] = {
    { "[1, 2, 4, 4]; [1, 2, 2, 2]", weight_2, GR_ESHAPE, "conv2d_weight([1, 2, 4, 4], [1, 2, 2, 2]): input 1 is not [1, 2, 3, 3]. Fix: give it the shape of conv2d's result" },
    { NULL, NULL, GR_OK, NULL } };

const gr_op gr_op_conv2d = { .name = "conv2d", .formula = "y[o, i, j] = sum of x[c, i s - p + k d, j s - p + l d] w[o, c, k, l]",
                             .gradient = "dx = conv2d_input(dy, w); dw = conv2d_weight(x, dy)", .arity = 2, .attr_size = sizeof(conv_attr),
                             .shape = conv2d_shape, .forward = conv2d_forward, .vjp = conv2d_vjp, .describe = describe, .reference_tensor = reference,
                             .samples = conv2d_samples, .bad = conv2d_bad };
const gr_op gr_op_conv2d_bias = { .name = "conv2d_bias", .formula = "y[o, i, j] = b[o] + sum of x[c, i s - p + k d, j s - p + l d] w[o, c, k, l]",
                                  .gradient = "dx = conv2d_input(dy, w); dw = conv2d_weight(x, dy); db = sum(dy)", .arity = 3, .attr_size = sizeof(conv_attr),
                                  .shape = conv2d_bias_shape, .forward = conv2d_forward, .vjp = conv2d_bias_vjp, .backward = conv2d_bias_backward, .describe = describe, .reference_tensor = reference,
                                  .samples = bias_samples, .bad = bias_bad };
const gr_op gr_op_conv2d_input = { .name = "conv2d_input", .formula = "y[c, i s - p + k d, j s - p + l d] += g[o, i, j] w[o, c, k, l]",
                                   .gradient = "dg = conv2d(dy, w); dw = conv2d_weight(dy, g)", .arity = 2, .attr_size = sizeof(conv_attr),
                                   .shape = conv2d_input_shape, .forward = conv2d_forward, .vjp = conv2d_input_vjp, .describe = describe,
                                   .reference_tensor = reference, .samples = input_samples, .bad = input_bad };
const gr_op gr_op_conv2d_weight = { .name = "conv2d_weight", .formula = "y[o, c, k, l] += x[c, i s - p + k d, j s - p + l d] g[o, i, j]",
                                    .gradient = "dx = conv2d_input(g, dy); dg = conv2d(x, dy)", .arity = 2, .attr_size = sizeof(conv_attr),
                                    .shape = conv2d_weight_shape, .forward = conv2d_weight_forward, .vjp = conv2d_weight_vjp, .describe = describe,
                                    .reference_tensor = reference, .samples = weight_samples, .bad = weight_bad };
