/* Whole training steps: forward, backward, update. Sizes, rules and initial values are those of torch_side.py.
 * SPDX-License-Identifier: MIT */
#include "tests/bench/bench.h"

/* Class numbers 0, 1, ..., classes - 1, 0, ...: only their cost matters here. */
static gr_tensor *labels(gr_ctx *c, int64_t n, int64_t classes)
{
    gr_tensor *t = gr_zeros(c, GR_SHAPE(n), .dtype = GR_I64);
    for (int64_t i = 0; t && i < n; i++) ((int64_t *)gr_data(t))[i] = i % classes;
    return t;
}

static void make_a(bench_run *r)
{
    gr_ctx *c = r->c;
    r->x = gr_from(c, GR_SHAPE(4, 2), (float[]){ 0, 0, 0, 1, 1, 0, 1, 1 });
    r->y = gr_from(c, GR_SHAPE(4, 1), (float[]){ 0, 1, 1, 0 });
    r->net = gr_sequential(c, gr_linear(c, 2, 4), gr_activation(c, gr_tanh), gr_linear(c, 4, 1), gr_activation(c, gr_sigmoid));
    r->opt = gr_sgd(c, gr_parameters(r->net), .lr = 1);
}

static void make_b(bench_run *r)
{
    gr_ctx *c = r->c;
    r->x = gr_randn(c, GR_SHAPE(300, 2)), r->y = labels(c, 300, 3);
    r->net = gr_sequential(c, gr_linear(c, 2, 100), gr_activation(c, gr_relu), gr_linear(c, 100, 3));
    r->opt = gr_sgd(c, gr_parameters(r->net), .lr = 1);
}

static void make_c(bench_run *r)
{
    gr_ctx *c = r->c;
    r->x = gr_randn(c, GR_SHAPE(64, 784)), r->y = labels(c, 64, 10);
    r->net = gr_sequential(c, gr_linear(c, 784, 128), gr_activation(c, gr_relu), gr_linear(c, 128, 10));
    r->opt = gr_adam(c, gr_parameters(r->net), .lr = 1e-3);
}

static void make_d(bench_run *r)
{
    gr_ctx *c = r->c;
    r->x = gr_randn(c, GR_SHAPE(128, 784)), r->y = labels(c, 128, 10);
    r->net = gr_sequential(c, gr_linear(c, 784, 1024), gr_activation(c, gr_relu), gr_linear(c, 1024, 1024),
                           gr_activation(c, gr_relu), gr_linear(c, 1024, 10));
    r->opt = gr_sgd(c, gr_parameters(r->net), .lr = 1e-2, .momentum = 0.9);
}

static void step_squares(bench_run *r)
{
    GR_SCOPE(r->c);
    gr_backward(gr_mse_loss(gr_forward(r->net, r->x), r->y));
    gr_step(r->opt);
}

static void step_classes(bench_run *r)
{
    GR_SCOPE(r->c);
    gr_backward(gr_cross_entropy(gr_forward(r->net, r->x), r->y));
    gr_step(r->opt);
}

#define STEP(name, words, make, once) { name, words, "step", 1, NULL, make, once, NULL }
const bench_case train_cases[] = {
    STEP("a", "XOR 2-4-1, batch 4, SGD", make_a, step_squares),
    STEP("b", "spiral 2-100-3, batch 300, SGD", make_b, step_classes),
    STEP("c", "784-128-10, batch 64, Adam", make_c, step_classes),
    STEP("d", "784-1024-1024-10, batch 128, SGD momentum", make_d, step_classes),
    { 0 },
};
