/* Layers of sequence models: embedding, layer norm, LSTM.
 * Knows no gradient: the operations that forward composes have theirs.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"
#include "nn/nn.h"

#include <math.h>

/* ---- embedding -------------------------------------------------------------------------------------------------*/
typedef struct size_attr {
    int64_t in, out;
    gr_type dtype;
} size_attr;

static void describe(const gr_module *m, char *out, size_t size)
{
    const size_attr *a = gr_module_attr(m);
    snprintf(out, size, "%lld -> %lld", (long long)a->in, (long long)a->out);
}

static bool embedding_make(gr_module *m)
{
    const size_attr *a = gr_module_attr(m);
    gr_tensor *w = gr_module_param(m, "weight", gr_zeros(gr_module_ctx(m), GR_SHAPE(a->in, a->out), .dtype = a->dtype));
    return gr_init_normal(w, 0, 1) != NULL;
}
static gr_tensor *embedding_forward(gr_module *m, gr_tensor *x) { return gr_embedding(gr_module_get(m, "weight"), x); }
gr_module *gr_embedding_layer_with(gr_ctx *c, int64_t rows, int64_t width, gr_embedding_opts o)
{
    return gr_module_new(c, &gr_layer_embedding, &(size_attr){ rows, width, o.dtype });
}
static gr_module *embedding_plain(gr_ctx *c) { return gr_embedding_layer(c, 4, 3); }
static const gr_layer_sample embedding_samples[] = { { "i64 [2, 3] in 0..3", embedding_plain }, { "i64 [] in 0..3", embedding_plain }, { NULL, NULL } };
const gr_layer gr_layer_embedding = { .name = "embedding", .formula = "y[i] = weight[x[i]]", .attr_size = sizeof(size_attr), .make = embedding_make,
                                      .forward = embedding_forward, .describe = describe, .samples = embedding_samples };

/* ---- layer norm ------------------------------------------------------------------------------------------------*/
typedef struct norm_attr {
    int64_t n;
    gr_norm_opts o;
} norm_attr;

static bool norm_make(gr_module *m)
{
    const norm_attr *a = gr_module_attr(m);
    gr_ctx *c = gr_module_ctx(m);
    return gr_module_param(m, "weight", gr_ones(c, GR_SHAPE(a->n), .dtype = a->o.dtype)) &&
           gr_module_param(m, "bias", gr_zeros(c, GR_SHAPE(a->n), .dtype = a->o.dtype));
}
static gr_tensor *norm_forward(gr_module *m, gr_tensor *x)
{
    const norm_attr *a = gr_module_attr(m);
    return gr_layer_norm(x, .weight = gr_module_get(m, "weight"), .bias = gr_module_get(m, "bias"), .eps = a->o.eps);
}
static void norm_describe(const gr_module *m, char *out, size_t size)
{
    const norm_attr *a = gr_module_attr(m);
    snprintf(out, size, "%lld, eps %g", (long long)a->n, a->o.eps != 0 ? a->o.eps : 1e-5);
}
gr_module *gr_layer_norm_layer_with(gr_ctx *c, int64_t n, gr_norm_opts o) { return gr_module_new(c, &gr_layer_layer_norm, &(norm_attr){ n, o }); }
static gr_module *norm_plain(gr_ctx *c) { return gr_layer_norm_layer(c, 4); }
static gr_module *norm_eps(gr_ctx *c) { return gr_layer_norm_layer(c, 3, .eps = 0.1); }
static const gr_layer_sample norm_samples[] = { { "[3, 4]", norm_plain }, { "[2, 2, 4]", norm_plain }, { "[2, 3]", norm_eps }, { NULL, NULL } };
const gr_layer gr_layer_layer_norm = { .name = "layer_norm", .formula = "y = (x - mean(x)) / sqrt(var(x) + eps) weight + bias", .attr_size = sizeof(norm_attr),
                                       .make = norm_make, .forward = norm_forward, .describe = norm_describe, .samples = norm_samples };

/* ---- lstm ------------------------------------------------------------------------------------------------------*/
static bool lstm_make(gr_module *m)
{
    const size_attr *a = gr_module_attr(m);
    gr_ctx *c = gr_module_ctx(m);
    const gr_dims shape[] = { GR_SHAPE(a->in, 4 * a->out), GR_SHAPE(a->out, 4 * a->out), GR_SHAPE(4 * a->out), GR_SHAPE(4 * a->out) };
    static const char *const name[] = { "weight_ih", "weight_hh", "bias_ih", "bias_hh" };
    double bound = a->out > 0 ? 1 / sqrt((double)a->out) : 0;
    for (int i = 0; i < 4; i++)
        if (!gr_init_uniform(gr_module_param(m, name[i], gr_zeros(c, shape[i], .dtype = a->dtype)), -bound, bound)) return false;
    return true;
}

static gr_tensor *lstm_forward(gr_module *m, gr_tensor *x)
{
    const size_attr *a = gr_module_attr(m);
    gr_ctx *c = gr_module_ctx(m);
    if (gr_ndim(x) != 3 || gr_size(x, 2) != a->in) {
        char text[256];
        gr__format_tensor_ref(text, sizeof text, x);
        gr_fail(c, GR_ESHAPE, "lstm(%s): the input is not [n, t, %lld]. Fix: give sequences, batch first", text, (long long)a->in);
        return NULL;
    }
    gr_tensor *w = gr_module_get(m, "weight_hh"), *bias = gr_add(gr_module_get(m, "bias_ih"), gr_module_get(m, "bias_hh"));
    gr_tensor *start = gr_zeros(c, GR_SHAPE(gr_size(x, 0), a->out), .dtype = gr_dtype(w));
    gr_tensor *gates = gr_addmm(bias, gr_transpose(x, 0, 1), gr_module_get(m, "weight_ih"));
    gr_tensor *y = gr_lstm_steps(gates, w, start, start);
    return y ? gr_transpose(gr_slice(y, -1, 0, a->out), 0, 1) : NULL;
}
gr_module *gr_lstm_with(gr_ctx *c, int64_t in, int64_t hidden, gr_lstm_opts o) { return gr_module_new(c, &gr_layer_lstm, &(size_attr){ in, hidden, o.dtype }); }
static gr_module *lstm_plain(gr_ctx *c) { return gr_lstm(c, 3, 2); }
static const gr_layer_sample lstm_samples[] = { { "[2, 3, 3]", lstm_plain }, { "[1, 2, 3]", lstm_plain }, { NULL, NULL } };
const gr_layer gr_layer_lstm = { .name = "lstm", .formula = "c' = s(f) c + s(i) tanh(g); h' = s(o) tanh(c')", .attr_size = sizeof(size_attr), .make = lstm_make,
                                 .forward = lstm_forward, .describe = describe, .samples = lstm_samples };
