/* The layers for images: convolution and pooling.
 * Knows no gradient: the operations that forward composes have theirs.
 * SPDX-License-Identifier: MIT */
#include "nn/nn.h"

#include <math.h>

/* ---- conv2d ----------------------------------------------------------------------------------------------------*/
typedef struct conv2d_attr {
    int64_t in, out, height, width; /* channels; the kernel */
    gr_conv2d_layer_opts o;
} conv2d_attr;

static bool conv2d_make(gr_module *m)
{
    const conv2d_attr *a = gr_module_attr(m);
    gr_ctx *c = gr_module_ctx(m);
    const int64_t groups = a->o.groups ? a->o.groups : 1;
    if (a->in < 1 || a->out < 1 || a->height < 1 || a->width < 1 || groups < 1 || a->in % groups || a->out % groups) {
        gr_fail(c, GR_ESHAPE, "conv2d: %lld -> %lld channels in %lld groups by a kernel of %lld x %lld. Fix: sizes of 1 or more, and groups that divide both numbers of channels",
                (long long)a->in, (long long)a->out, (long long)groups, (long long)a->height, (long long)a->width);
        return false;
    }
    gr_tensor *w = gr_module_param(m, "weight", gr_zeros(c, GR_SHAPE(a->out, a->in / groups, a->height, a->width), .dtype = a->o.dtype));
    if (!(a->o.init ? a->o.init : gr_init_fan_in_uniform)(w)) return false;
    if (a->o.no_bias) return true;
    gr_tensor *b = gr_module_param(m, "bias", gr_zeros(c, GR_SHAPE(a->out), .dtype = a->o.dtype));
    const double bound = 1 / sqrt((double)gr_fan_in(w));
    return (a->o.bias_init ? a->o.bias_init(b) : gr_init_uniform(b, -bound, bound)) != NULL;
}

static gr_tensor *conv2d_forward(gr_module *m, gr_tensor *x)
{
    const gr_conv2d_layer_opts *o = &((const conv2d_attr *)gr_module_attr(m))->o;
    return gr_conv2d(x, gr_module_get(m, "weight"), .bias = gr_module_get(m, "bias"), .stride = { o->stride[0], o->stride[1] },
                     .padding = { o->padding[0], o->padding[1] }, .dilation = { o->dilation[0], o->dilation[1] }, .groups = o->groups);
}

static void conv2d_describe(const gr_module *m, char *out, size_t size)
{
    const conv2d_attr *a = gr_module_attr(m);
    snprintf(out, size, "%lld -> %lld, %lld x %lld%s", (long long)a->in, (long long)a->out, (long long)a->height, (long long)a->width, a->o.no_bias ? ", no bias" : "");
}

gr_module *gr_conv2d_layer_with(gr_ctx *c, int64_t in, int64_t out, int64_t kernel, gr_conv2d_layer_opts o)
{
    return gr_module_new(c, &gr_layer_conv2d, &(conv2d_attr){ in, out, kernel, o.width ? o.width : kernel, o });
}

static gr_module *conv2d_plain(gr_ctx *c) { return gr_conv2d_layer(c, 2, 3, 2); }
static gr_module *conv2d_strided(gr_ctx *c) { return gr_conv2d_layer(c, 1, 2, 3, .stride = { 2, 1 }, .padding = { 1, 0 }, .width = 2); }
static gr_module *conv2d_grouped(gr_ctx *c) { return gr_conv2d_layer(c, 4, 2, 2, .groups = 2, .dilation = { 1, 2 }, .no_bias = true); }
static gr_module *conv2d_he(gr_ctx *c) { return gr_conv2d_layer(c, 1, 2, 1, .init = gr_init_he_normal, .bias_init = gr_init_zeros); }
static const gr_layer_sample conv2d_samples[] = { { "[2, 2, 3, 3]", conv2d_plain },   { "[1, 1, 4, 3]", conv2d_strided }, { "[1, 4, 2, 3]", conv2d_grouped },
                                                  { "[0, 2, 3, 3]", conv2d_plain },   { "[2, 1, 2, 2]", conv2d_he },      { NULL, NULL } };
const gr_layer gr_layer_conv2d = { .name = "conv2d", .formula = "y = conv2d(x, weight) + bias", .attr_size = sizeof(conv2d_attr), .make = conv2d_make,
                                   .forward = conv2d_forward, .describe = conv2d_describe, .samples = conv2d_samples };

/* ---- max_pool2d, avg_pool2d ------------------------------------------------------------------------------------*/
static bool pool2d_make(gr_module *m)
{
    const gr_pool2d_opts *o = gr_module_attr(m);
    if (o->kernel[0] >= 1 && o->kernel[1] >= 1) return true;
    gr_fail(gr_module_ctx(m), GR_EVALUE, "%s: the window is %d x %d. Fix: give its size, 1 or more", gr_module_layer(m)->name, o->kernel[0], o->kernel[1]);
    return false;
}
static gr_tensor *max_pool2d_forward(gr_module *m, gr_tensor *x) { return gr_max_pool2d_with(x, *(const gr_pool2d_opts *)gr_module_attr(m)); }
static gr_tensor *avg_pool2d_forward(gr_module *m, gr_tensor *x) { return gr_avg_pool2d_with(x, *(const gr_pool2d_opts *)gr_module_attr(m)); }
static void pool2d_describe(const gr_module *m, char *out, size_t size)
{
    const gr_pool2d_opts *o = gr_module_attr(m);
    snprintf(out, size, "%d x %d", o->kernel[0], o->kernel[1]);
}

static gr_module *pool2d(gr_ctx *c, const gr_layer *layer, int kernel, gr_pool2d_opts o)
{
    for (int d = 0; d < 2; d++)
        if (o.kernel[d] == 0) o.kernel[d] = kernel;
    return gr_module_new(c, layer, &o);
}
gr_module *gr_max_pool2d_layer_with(gr_ctx *c, int kernel, gr_pool2d_opts o) { return pool2d(c, &gr_layer_max_pool2d, kernel, o); }
gr_module *gr_avg_pool2d_layer_with(gr_ctx *c, int kernel, gr_pool2d_opts o) { return pool2d(c, &gr_layer_avg_pool2d, kernel, o); }

static gr_module *max_plain(gr_ctx *c) { return gr_max_pool2d_layer(c, 2); }
static gr_module *max_padded(gr_ctx *c) { return gr_max_pool2d_layer(c, 3, .stride = { 2, 1 }, .padding = { 1, 1 }); }
static gr_module *avg_plain(gr_ctx *c) { return gr_avg_pool2d_layer(c, 2); }
static gr_module *avg_padded(gr_ctx *c) { return gr_avg_pool2d_layer(c, 2, .padding = { 1, 1 }, .exclude_padding = true); }
static const gr_layer_sample max_samples[] = { { "[2, 2, 4, 2]", max_plain }, { "[1, 1, 3, 3]", max_padded }, { "[0, 1, 2, 2]", max_plain }, { NULL, NULL } };
static const gr_layer_sample avg_samples[] = { { "[2, 2, 4, 2]", avg_plain }, { "[1, 1, 3, 3]", avg_padded }, { "[0, 1, 2, 2]", avg_plain }, { NULL, NULL } };
const gr_layer gr_layer_max_pool2d = { .name = "max_pool2d", .formula = "y = max of each window of x", .attr_size = sizeof(gr_pool2d_opts), .make = pool2d_make,
                                       .forward = max_pool2d_forward, .describe = pool2d_describe, .samples = max_samples };
const gr_layer gr_layer_avg_pool2d = { .name = "avg_pool2d", .formula = "y = mean of each window of x", .attr_size = sizeof(gr_pool2d_opts), .make = pool2d_make,
                                       .forward = avg_pool2d_forward, .describe = pool2d_describe, .samples = avg_samples };
