/* The layers: a record each, with the function that makes its modules.
 * Knows no gradient: the operations that forward composes have theirs.
 * SPDX-License-Identifier: MIT */
#include "nn/module.h"

#include <math.h>
#include <string.h>

/* ---- linear ----------------------------------------------------------------------------------------------------*/
typedef struct linear_attr {
    int64_t in, out;
    gr_linear_opts o;
} linear_attr;

static bool linear_make(gr_module *m)
{
    const linear_attr *a = gr_module_attr(m);
    gr_ctx *c = gr_module_ctx(m);
    if (a->in < 0 || a->out < 0) {
        gr_fail(c, GR_ESHAPE, "linear: sizes %lld -> %lld are negative. Fix: give the number of inputs, then of outputs", (long long)a->in,
                (long long)a->out);
        return false;
    }
    gr_tensor *w = gr_module_param(m, "weight", gr_zeros(c, GR_SHAPE(a->in, a->out), .dtype = a->o.dtype));
    if (!(a->o.init ? a->o.init : gr_init_fan_in_uniform)(w)) return false;
    if (a->o.no_bias) return true;
    gr_tensor *b = gr_module_param(m, "bias", gr_zeros(c, GR_SHAPE(a->out), .dtype = a->o.dtype));
    double bound = a->in ? 1 / sqrt((double)a->in) : 0;
    return (a->o.bias_init ? a->o.bias_init(b) : gr_init_uniform(b, -bound, bound)) != NULL;
}

static gr_tensor *linear_forward(gr_module *m, gr_tensor *x)
{
    const linear_attr *a = m->attr;
    gr_tensor *w = m->entry[0].t, *bias = a->o.no_bias ? gr_module_get(m, "bias") : m->entry[1].t; /* in the order of linear_make */
    return bias ? gr_addmm(bias, x, w) : gr_matmul(x, w);
}

static void linear_describe(const gr_module *m, char *out, size_t size)
{
    const linear_attr *a = gr_module_attr(m);
    snprintf(out, size, "%lld -> %lld%s", (long long)a->in, (long long)a->out, a->o.no_bias ? ", no bias" : "");
}

gr_module *gr_linear_with(gr_ctx *c, int64_t in, int64_t out, gr_linear_opts o)
{
    return gr_module_new(c, &gr_layer_linear, &(linear_attr){ in, out, o });
}

static gr_module *linear_plain(gr_ctx *c) { return gr_linear(c, 3, 2); }
static gr_module *linear_without_bias(gr_ctx *c) { return gr_linear(c, 3, 2, .no_bias = true); }
static gr_module *linear_he(gr_ctx *c) { return gr_linear(c, 3, 4, .init = gr_init_he_normal, .bias_init = gr_init_zeros); }
static const gr_layer_sample linear_samples[] = { { "[4, 3]", linear_plain },          { "[3]", linear_plain },
                                                  { "[2, 2, 3]", linear_without_bias }, { "[0, 3]", linear_plain },
                                                  { "[2, 3]", linear_he },             { NULL, NULL } };
const gr_layer gr_layer_linear = { .name = "linear", .formula = "y = x weight + bias", .attr_size = sizeof(linear_attr), .make = linear_make,
                                   .forward = linear_forward, .describe = linear_describe, .samples = linear_samples };

/* ---- activation ------------------------------------------------------------------------------------------------*/
typedef struct activation_attr {
    gr_activation_fn f;
    char name[48];
} activation_attr;

static gr_tensor *activation_forward(gr_module *m, gr_tensor *x) { return ((const activation_attr *)gr_module_attr(m))->f(x); }

static void activation_describe(const gr_module *m, char *out, size_t size)
{
    snprintf(out, size, "%s", ((const activation_attr *)gr_module_attr(m))->name);
}

gr_module *gr_activation_named(gr_ctx *c, gr_activation_fn f, const char *name)
{
    if (gr_failed(c)) return NULL;
    if (!f) {
        gr_fail(c, GR_EVALUE, "activation: the function is NULL. Fix: pass one, such as gr_tanh");
        return NULL;
    }
    activation_attr a = { .f = f };
    if (name) snprintf(a.name, sizeof a.name, "%s", strncmp(name, "gr_", 3) == 0 ? name + 3 : name);
    return gr_module_new(c, &gr_layer_activation, &a);
}

static gr_tensor *softmax_rows(gr_tensor *x) { return gr_softmax(x, -1); }
static gr_module *activation_tanh(gr_ctx *c) { return gr_activation(c, gr_tanh); }
static gr_module *activation_own(gr_ctx *c) { return gr_activation(c, softmax_rows); }
static const gr_layer_sample activation_samples[] = { { "[4, 3]", activation_tanh }, { "[]", activation_tanh }, { "[2, 3]", activation_own },
                                                      { NULL, NULL } };
const gr_layer gr_layer_activation = { .name = "activation", .formula = "y = f(x)", .attr_size = sizeof(activation_attr),
                                       .forward = activation_forward, .describe = activation_describe, .samples = activation_samples };

/* ---- dropout ---------------------------------------------------------------------------------------------------*/
static bool is_probability(gr_ctx *c, double p)
{
    if (p >= 0 && p <= 1) return true;
    gr_fail(c, GR_EVALUE, "dropout: %g is no probability. Fix: give the share of elements to drop, in [0, 1]", p);
    return false;
}

gr_tensor *gr_dropout(gr_tensor *x, double p)
{
    gr_ctx *c = gr_ctx_of(x);
    if (!x || gr_failed(c) || !is_probability(c, p)) return NULL;
    if (p == 0) return x;
    /* where and not a product: what is dropped is 0 even if x is infinite. f32, so that both dtypes drop the same. */
    gr_tensor *keep = gr_ge(gr_rand(c, gr_dims_like(x), .dtype = GR_F32), p);
    return gr_where(keep, gr_mul(x, p < 1 ? 1 / (1 - p) : 1), 0);
}

static bool dropout_make(gr_module *m) { return is_probability(gr_module_ctx(m), *(const double *)gr_module_attr(m)); }

static gr_tensor *dropout_forward(gr_module *m, gr_tensor *x)
{
    return gr_is_training(m) ? gr_dropout(x, *(const double *)gr_module_attr(m)) : x;
}

static void dropout_describe(const gr_module *m, char *out, size_t size)
{
    snprintf(out, size, "p %g", *(const double *)gr_module_attr(m));
}

gr_module *gr_dropout_layer(gr_ctx *c, double p) { return gr_module_new(c, &gr_layer_dropout, &p); }

static gr_module *dropout_half(gr_ctx *c) { return gr_dropout_layer(c, 0.5); }
static gr_module *dropout_all(gr_ctx *c) { return gr_dropout_layer(c, 1); }
static gr_module *dropout_none(gr_ctx *c) { return gr_dropout_layer(c, 0); }
static const gr_layer_sample dropout_samples[] = { { "[4, 3]", dropout_half }, { "[5]", dropout_all }, { "[2, 2]", dropout_none }, { NULL, NULL } };
const gr_layer gr_layer_dropout = { .name = "dropout", .formula = "y = where(rand >= p, x / (1 - p), 0)",
                                    .modes = "training: elements are dropped at random; evaluation: y = x", .attr_size = sizeof(double),
                                    .make = dropout_make, .forward = dropout_forward, .describe = dropout_describe, .samples = dropout_samples };

/* ---- flatten ---------------------------------------------------------------------------------------------------*/
static gr_tensor *flatten_forward(gr_module *m, gr_tensor *x)
{
    (void)m;
    return gr_flatten(x, 1);
}

gr_module *gr_flatten_layer(gr_ctx *c) { return gr_module_new(c, &gr_layer_flatten, NULL); }

static const gr_layer_sample flatten_samples[] = { { "[2, 3, 2]", gr_flatten_layer }, { "[4, 3]", gr_flatten_layer }, { NULL, NULL } };
const gr_layer gr_layer_flatten = { .name = "flatten", .formula = "y[n, k] = x[n, i, j], k = i size(j) + j", .forward = flatten_forward,
                                    .samples = flatten_samples };

/* ---- sequential ------------------------------------------------------------------------------------------------*/
static gr_tensor *sequential_forward(gr_module *m, gr_tensor *x)
{
    for (int i = 0; x && i < m->num_children; i++) x = gr_forward(m->child[i].m, x);
    return x;
}

gr_module *gr_sequential_of(gr_ctx *c, gr_module *const *children, int n)
{
    if (gr_failed(c)) return NULL;
    gr_module *m = gr_module_new(c, &gr_layer_sequential, NULL);
    for (int i = 0; m && i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        if (!gr_module_child(m, name, children[i])) return NULL;
    }
    return m;
}

static gr_module *two_layers(gr_ctx *c) { return gr_sequential(c, gr_linear(c, 3, 4), gr_activation(c, gr_tanh), gr_linear(c, 4, 2)); }
static gr_module *nested(gr_ctx *c)
{
    gr_module *twice = gr_linear(c, 3, 3); /* used in two places: one set of weights */
    return gr_sequential(c, twice, gr_sequential(c, gr_activation(c, gr_sigmoid), twice), gr_flatten_layer(c));
}
static const gr_layer_sample sequential_samples[] = { { "[4, 3]", two_layers }, { "[2, 3]", nested }, { NULL, NULL } };
const gr_layer gr_layer_sequential = { .name = "sequential", .formula = "y = f_n(... f_2(f_1(x)))", .forward = sequential_forward,
                                       .samples = sequential_samples };
