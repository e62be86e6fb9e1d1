/* A small GPT for train.c, written as a user writes layers: blocks of causal attention and a two-layer perceptron, each after
 * a layer norm and added to what came in. Sizes and initial values are those of torch_side.py.
 * SPDX-License-Identifier: MIT */
#include "tests/bench/bench.h"

enum { WORDS = 65, STEPS = 64, WIDTH = 128, HEADS = 4, BLOCKS = 4 };

/* [n, t, width] in heads: [n, heads, t, width / heads], a view */
static gr_tensor *heads_of(gr_tensor *x)
{
    if (!x) return NULL;
    return gr_transpose(gr_reshape(x, GR_SHAPE(gr_size(x, 0), gr_size(x, 1), HEADS, WIDTH / HEADS)), 1, 2);
}

static gr_tensor *attend(gr_module *m, gr_tensor *x)
{
    gr_tensor *qkv = gr_forward(gr_module_child_at(m, 1), gr_forward(gr_module_child_at(m, 0), x)), *part[3];
    for (int i = 0; i < 3; i++) part[i] = heads_of(gr_slice(qkv, 2, i * WIDTH, (i + 1) * WIDTH));
    gr_tensor *y = gr_scaled_dot_product_attention(part[0], part[1], part[2], .causal = true);
    return gr_forward(gr_module_child_at(m, 2), gr_reshape(gr_transpose(y, 1, 2), gr_dims_like(x)));
}

static gr_tensor *block_forward(gr_module *m, gr_tensor *x)
{
    if (!x) return NULL;
    x = gr_add(x, attend(m, x));
    return gr_add(x, gr_forward(gr_module_child_at(m, 3), x));
}

static bool block_make(gr_module *m)
{
    gr_ctx *c = gr_module_ctx(m);
    return gr_module_child(m, "norm", gr_layer_norm_layer(c, WIDTH)) && gr_module_child(m, "qkv", gr_linear(c, WIDTH, 3 * WIDTH)) &&
           gr_module_child(m, "out", gr_linear(c, WIDTH, WIDTH)) &&
           gr_module_child(m, "mlp", gr_sequential(c, gr_layer_norm_layer(c, WIDTH), gr_linear(c, WIDTH, 4 * WIDTH), gr_activation(c, gr_gelu),
                                                   gr_linear(c, 4 * WIDTH, WIDTH)));
}
static const gr_layer block = { .name = "block", .formula = "y = x + attention(norm(x)) + mlp(...)", .make = block_make, .forward = block_forward };

static gr_tensor *embed_forward(gr_module *m, gr_tensor *x)
{
    gr_tensor *place = gr_forward(gr_module_child_at(m, 1), gr_module_get(m, "places"));
    return gr_add(gr_forward(gr_module_child_at(m, 0), x), place);
}
static bool embed_make(gr_module *m)
{
    gr_ctx *c = gr_module_ctx(m);
    return gr_module_child(m, "word", gr_embedding_layer(c, WORDS, WIDTH)) && gr_module_child(m, "place", gr_embedding_layer(c, STEPS, WIDTH)) &&
           gr_module_buffer(m, "places", gr_arange(c, 0, STEPS, 1, .dtype = GR_I64));
}
static const gr_layer embed = { .name = "embed", .formula = "y = word[x] + place[0, 1, ...]", .make = embed_make, .forward = embed_forward };

gr_module *gpt(gr_ctx *c)
{
    gr_module *part[BLOCKS + 3] = { gr_module_new(c, &embed, NULL) };
    for (int i = 1; i <= BLOCKS; i++) part[i] = gr_module_new(c, &block, NULL);
    part[BLOCKS + 1] = gr_layer_norm_layer(c, WIDTH);
    part[BLOCKS + 2] = gr_linear(c, WIDTH, WORDS, .no_bias = true);
    return gr_sequential_of(c, part, BLOCKS + 3);
}
