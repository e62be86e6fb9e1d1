/* What recording costs: chains of one-element tensors, and a loss of ten composed operations against the same loss fused by
 * hand.
 * SPDX-License-Identifier: MIT */
#include "tests/bench/bench.h"

/* ---- a chain y <- y b + a of one-element tensors ----------------------------------------------------------------------*/
enum { LINKS = 1000 };

static void make_chain(bench_run *r)
{
    r->x = gr_requires_grad(gr_ones(r->c, GR_SHAPE(1)));
    r->y = gr_requires_grad(gr_ones(r->c, GR_SHAPE(1)));
}

static gr_tensor *chain(bench_run *r)
{
    gr_tensor *y = r->x;
    for (int i = 0; i < LINKS; i++) y = gr_add(gr_mul(y, r->y), r->x);
    return y;
}

static void chain_forward(bench_run *r)
{
    GR_SCOPE(r->c);
    chain(r);
}

static void chain_both(bench_run *r)
{
    GR_SCOPE(r->c);
    gr_zero_grad(r->x), gr_zero_grad(r->y);
    gr_backward(chain(r));
}

/* ---- a robust loss: y = sigmoid(e) (sqrt(1 + e^2) - 1) + log(1 + e^2) / 2, e = p - t, and its mean -----------------------*/
static const int64_t million[] = { 1000000, 0 };

static void make_loss(bench_run *r)
{
    r->x = gr_requires_grad(gr_randn(r->c, GR_SHAPE(r->n)));
    r->y = gr_requires_grad(gr_randn(r->c, GR_SHAPE(r->n)));
}

static void loss_composed(bench_run *r)
{
    GR_SCOPE(r->c);
    gr_zero_grad(r->x), gr_zero_grad(r->y);
    gr_tensor *e = gr_sub(r->x, r->y), *u = gr_add(gr_square(e), 1.0);
    gr_tensor *root = gr_mul(gr_sigmoid(e), gr_sub(gr_sqrt(u), 1.0));
    gr_backward(gr_mean(gr_add(root, gr_mul(gr_log(u), 0.5))));
}

static void make_fused(bench_run *r)
{
    r->x = gr_randn(r->c, GR_SHAPE(r->n)), r->y = gr_randn(r->c, GR_SHAPE(r->n));
    r->out = gr_zeros(r->c, GR_SHAPE(2, r->n));
}

static void loss_fused(bench_run *r)
{
    float *d = gr_data(r->out);
    d[0] += fused_loss(r->n, gr_data(r->x), gr_data(r->y), d, d + r->n);
}

const bench_case graph_cases[] = {
    { "chain", "one-element nodes, forward", "node", 2 * LINKS, NULL, make_chain, chain_forward, NULL },
    { "chain-both", "one-element nodes, forward and backward", "node", 2 * LINKS, NULL, make_chain, chain_both, NULL },
    { "loss", "ten element-wise operations, forward and backward", "element", 0, million, make_loss, loss_composed, NULL },
    { "loss-fused", "the same as one loop by hand", "element", 0, million, make_fused, loss_fused, NULL },
    { 0 },
};
