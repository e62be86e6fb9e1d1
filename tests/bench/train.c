/* Whole training steps: forward, backward, update. Sizes, rules and initial values are those of torch_side.py.
 * SPDX-License-Identifier: MIT */
#include "tests/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

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

static void make_e(bench_run *r)
{
    gr_ctx *c = r->c;
    r->x = gr_randn(c, GR_SHAPE(64, 1, 28, 28)), r->y = labels(c, 64, 10);
    r->net = gr_sequential(c, gr_conv2d_layer(c, 1, 6, 5, .padding = { 2, 2 }), gr_activation(c, gr_relu), gr_max_pool2d_layer(c, 2),
                           gr_conv2d_layer(c, 6, 16, 5), gr_activation(c, gr_relu), gr_max_pool2d_layer(c, 2), gr_flatten_layer(c),
                           gr_linear(c, 400, 120), gr_activation(c, gr_relu), gr_linear(c, 120, 84), gr_activation(c, gr_relu),
                           gr_linear(c, 84, 10));
    r->opt = gr_sgd(c, gr_parameters(r->net), .lr = 1e-2, .momentum = 0.9);
}

static void make_k(bench_run *r)
{
    gr_ctx *c = r->c;
    r->x = gr_randn(c, GR_SHAPE(64, 784)), r->y = labels(c, 64, 10);
    r->net = gr_sequential(c, gr_linear(c, 784, 64), gr_activation(c, gr_relu), gr_linear(c, 64, 10));
    r->opt = gr_sgd(c, gr_parameters(r->net), .lr = 1e-2);
}

/* [n, t, classes] as the rows that a loss takes */
static gr_tensor *rows(gr_tensor *x) { return gr_reshape(x, GR_SHAPE(-1, gr_size(x, -1))); }

static void make_f(bench_run *r)
{
    gr_ctx *c = r->c;
    r->x = gr_reshape(labels(c, 32 * 32, 65), GR_SHAPE(32, 32)), r->y = labels(c, 32 * 32, 65);
    r->net = gr_sequential(c, gr_embedding_layer(c, 65, 128), gr_lstm(c, 128, 128), gr_linear(c, 128, 65), gr_activation(c, rows));
    r->opt = gr_adam(c, gr_parameters(r->net), .lr = 1e-3);
}

static void make_g(bench_run *r)
{
    gr_ctx *c = r->c;
    r->x = gr_reshape(labels(c, 8 * 64, 65), GR_SHAPE(8, 64)), r->y = labels(c, 8 * 64, 65);
    r->net = gr_sequential(c, gpt(c), gr_activation(c, rows));
    r->opt = gr_adamw(c, gr_parameters(r->net), .lr = 1e-3);
}

static void step_squares(bench_run *r)
{
    GR_SCOPE(r->c);
    gr_backward(gr_mse_loss(gr_forward(r->net, r->x), r->y), .lean = true);
    gr_step(r->opt);
}

static void step_classes(bench_run *r)
{
    GR_SCOPE(r->c);
    gr_backward(gr_cross_entropy(gr_forward(r->net, r->x), r->y), .lean = true);
    gr_step(r->opt);
}

/* What a step spends: forward alone, and with the sweep. */
static void forward(bench_run *r)
{
    GR_SCOPE(r->c);
    gr_cross_entropy(gr_forward(r->net, r->x), r->y);
}
static void gradients(bench_run *r)
{
    GR_SCOPE(r->c);
    const gr_params p = gr_optim_params(r->opt);
    for (int i = 0; i < p.n; i++) gr_zero_grad(p.tensors[i]);
    gr_backward(gr_cross_entropy(gr_forward(r->net, r->x), r->y), .lean = true);
}

static void step_by_hand(bench_run *r)
{
    if (mlp_by_hand(gr_data(r->x), gr_data(r->y))) return;
    fputs("k-by-hand: there is no libopenblas.so.0 here\n", stderr);
    exit(1);
}

#define STEP(name, words, make, once) { name, words, "step", 1, NULL, make, once, NULL }
#define PARTS(name, make)                                       \
    STEP(name "-forward", "... forward alone", make, forward),  \
    STEP(name "-gradients", "... forward and backward", make, gradients)
const bench_case train_cases[] = {
    STEP("a", "XOR 2-4-1, batch 4, SGD", make_a, step_squares),
    STEP("b", "spiral 2-100-3, batch 300, SGD", make_b, step_classes),
    STEP("c", "784-128-10, batch 64, Adam", make_c, step_classes),
    STEP("d", "784-1024-1024-10, batch 128, SGD momentum", make_d, step_classes),
    STEP("e", "LeNet-5, batch 64, SGD momentum", make_e, step_classes),
    STEP("f", "LSTM 128, 32 steps, batch 32, Adam", make_f, step_classes),
    STEP("g", "GPT, 4 blocks of width 128, 64 steps, batch 8, AdamW", make_g, step_classes),
    PARTS("c", make_c), PARTS("d", make_d), PARTS("e", make_e), PARTS("f", make_f), PARTS("g", make_g),
    STEP("k", "784-64-10, batch 64, SGD", make_k, step_classes),
    STEP("k-by-hand", "the same by hand over OpenBLAS", make_k, step_by_hand),
    { 0 },
};
