/* What the tests of threads share: contexts that share out all they can, and results to compare bit by bit.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_TESTS_BITS_H
#define GRADUS_TESTS_BITS_H

#include "gradus.h"
#include "tests/samples.h"

static inline bool small(void) { return getenv("GRADUS_TEST_SMALL") != NULL; }

static inline gr_ctx *with_threads(int n)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_set_threads(c, n);
    c->pool.eager = true;
    return c;
}

static inline void finish(gr_ctx *c)
{
    if (gr_failed(c)) test_errors++, printf("# %s\n", gr_message(c));
    gr_ctx_free(c);
}

/* ---- same bits ---------------------------------------------------------------------------------------------------------*/
static const int numbers[] = { 1, 2, 3, 8 };
enum { NUMBERS = 4, MAX_OUTPUTS = 16 };

/* What a scenario made, to compare with what it makes with another number of threads. */
typedef struct outputs {
    int n;
    void *data[MAX_OUTPUTS];
    size_t bytes[MAX_OUTPUTS];
} outputs;

static inline void keep(outputs *o, gr_tensor *t)
{
    if (!t || o->n == MAX_OUTPUTS) {
        test_errors++, printf("# output %d is missing\n", o->n);
        return;
    }
    t = gr_contiguous(gr_detach(t));
    o->bytes[o->n] = (size_t)gr_numel(t) * gr__type_size(gr_dtype(t));
    o->data[o->n] = malloc(o->bytes[o->n] + 1);
    memcpy(o->data[o->n], gr_data(t), o->bytes[o->n]);
    o->n++;
}

static inline bool same(const char *what, int threads, const outputs *a, const outputs *b)
{
    bool equal = a->n == b->n;
    for (int i = 0; equal && i < a->n; i++) {
        equal = a->bytes[i] == b->bytes[i] && memcmp(a->data[i], b->data[i], a->bytes[i]) == 0;
        if (!equal) printf("# %s: output %d has other bits with %d threads\n", what, i, threads);
    }
    return equal;
}

static inline void forget(outputs *o)
{
    for (int i = 0; i < o->n; i++) free(o->data[i]);
    o->n = 0;
}

typedef void scenario_fn(gr_ctx *c, const void *detail, outputs *o);

static inline void same_bits(const char *what, scenario_fn *scenario, const void *detail)
{
    outputs first = { 0 };
    for (int i = 0; i < NUMBERS; i++) {
        outputs o = { 0 };
        gr_ctx *c = with_threads(numbers[i]);
        scenario(c, detail, i ? &o : &first);
        if (i) CHECK(same(what, numbers[i], &first, &o));
        forget(&o);
        finish(c);
    }
    CHECK(first.n > 0);
    forget(&first);
}

static inline gr_tensor *labels(gr_ctx *c, int64_t n, int64_t classes)
{
    gr_tensor *t = gr_zeros(c, GR_SHAPE(n), .dtype = GR_I64);
    for (int64_t i = 0; t && i < n; i++) ((int64_t *)gr_data(t))[i] = i * 7 % classes;
    return t;
}

/* ---- training ------------------------------------------------------------------------------------------------------------*/
static inline gr_module *mlp(gr_ctx *c)
{
    return gr_sequential(c, gr_linear(c, 784, 100), gr_activation(c, gr_relu), gr_linear(c, 100, 10));
}
static inline gr_module *lenet(gr_ctx *c)
{
    return gr_sequential(c, gr_conv2d_layer(c, 1, 6, 5, .padding = { 2, 2 }), gr_activation(c, gr_relu), gr_max_pool2d_layer(c, 2),
                         gr_conv2d_layer(c, 6, 16, 5), gr_activation(c, gr_relu), gr_max_pool2d_layer(c, 2), gr_flatten_layer(c),
                         gr_linear(c, 400, 60), gr_activation(c, gr_tanh), gr_linear(c, 60, 10));
}

typedef struct training {
    const char *name;
    gr_module *(*net)(gr_ctx *c);
    gr_dims image;
    gr_optim *(*rule)(gr_ctx *c, gr_params p);
} training;

static inline gr_optim *by_adam(gr_ctx *c, gr_params p) { return gr_adam(c, p, .lr = 1e-3); }
static inline gr_optim *by_sgd(gr_ctx *c, gr_params p) { return gr_sgd(c, p, .lr = 0.05, .momentum = 0.9); }

static inline void train(gr_ctx *c, const void *detail, outputs *o)
{
    const training *t = detail;
    const int64_t batch = small() ? 8 : 48;
    gr_dims shape = t->image;
    shape.v[0] = batch;
    gr_tensor *x = gr_randn(c, shape), *y = labels(c, batch, 10);
    gr_module *net = t->net(c);
    gr_params p = gr_parameters(net);
    gr_optim *opt = t->rule(c, p);
    for (int step = 0; step < 4; step++) {
        GR_SCOPE(c);
        gr_tensor *loss = gr_cross_entropy(gr_forward(net, x), y);
        gr_backward(loss);
        gr_clip_grad_norm(p, 1);
        gr_step(opt);
        if (o) keep(o, loss);
    }
    for (int i = 0; o && i < p.n && i < 10; i++) keep(o, p.tensors[i]);
}

static const training trainings[] = { { "mlp with Adam", mlp, { .n = 2, .v = { 0, 784 } }, by_adam },
                                { "mlp with momentum", mlp, { .n = 2, .v = { 0, 784 } }, by_sgd },
                                { "LeNet", lenet, { .n = 4, .v = { 0, 1, 28, 28 } }, by_sgd } };

#endif
