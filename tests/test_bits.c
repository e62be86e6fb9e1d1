/* Same bits for any number of threads: operations, layers, rules, training runs.
 * SPDX-License-Identifier: MIT */
#include "tests/bits.h"

/* ---- operations --------------------------------------------------------------------------------------------------------*/
/* y and the gradients of sum(y r), r random, by the n inputs that have one */
static void value_and_gradients(gr_ctx *c, gr_tensor *y, gr_tensor **x, int n, outputs *o)
{
    keep(o, y);
    if (!y || !gr_needs_grad(y)) return;
    gr_backward(gr_sum(gr_mul(y, gr_rand(c, gr_dims_like(y), .dtype = gr_dtype(y)))));
    for (int i = 0; i < n; i++)
        if (gr_is_float(x[i]) && gr_needs_grad(x[i]) && gr_grad(x[i])) keep(o, gr_grad(x[i]));
}

typedef struct op_sample {
    const gr_op *op;
    const gr_sample *sample;
} op_sample;

static void run_sample(gr_ctx *c, const void *detail, outputs *o)
{
    const op_sample *s = detail;
    input_spec in[MAX_INPUTS];
    gr_tensor *x[MAX_INPUTS], *at[MAX_INPUTS];
    const int n = parse_inputs(s->sample->inputs, in);
    sample_state = 7;
    for (int i = 0; i < n; i++) at[i] = x[i] = make_base(c, &in[i], GR_F32, DENSE);
    value_and_gradients(c, s->sample->call ? s->sample->call(at) : gr_apply(s->op, at, s->op->arity, NULL), x, n, o);
}

TEST(every_sample_of_every_operation_has_the_same_bits_for_any_number_of_threads)
{
    for (int i = 0; i < gr_op_count(); i++) {
        const gr_op *op = gr_op_at(i);
        for (const gr_sample *s = op->samples; s->inputs; s += small() ? 3 : 1) {
            same_bits(op->name, run_sample, &(op_sample){ op, s });
            if (small() && (!s[1].inputs || !s[2].inputs)) break;
        }
    }
}

/* Operations at sizes that are shared out in many parts; x, w, v: what they are called with. */
typedef struct large {
    const char *name;
    gr_dims x, w, v; /* n = 0: there is none */
    gr_tensor *(*call)(gr_tensor **x);
} large;

#define CALL(name, ...) static gr_tensor *call_##name(gr_tensor **x) { return __VA_ARGS__; }
CALL(conv, gr_conv2d(x[0], x[1], .bias = x[2], .padding = { 2, 2 }))
CALL(strided, gr_conv2d(x[0], x[1], .stride = { 2, 3 }, .padding = { 1, 0 }, .dilation = { 1, 2 }))
CALL(grouped, gr_conv2d(x[0], x[1], .groups = 2))
CALL(transposed, gr_conv_transpose2d(x[0], x[1], .stride = { 2, 2 }))
CALL(max_pool, gr_max_pool2d(x[0], .kernel = { 2, 2 }))
CALL(overlapping, gr_max_pool2d(x[0], .kernel = { 3, 3 }, .stride = { 2, 1 }, .padding = { 1, 1 }))
CALL(avg_pool, gr_avg_pool2d(x[0], .kernel = { 2, 2 }))
CALL(softmax, gr_softmax(x[0], -1))
CALL(softmax_first, gr_softmax(x[0], 0))
CALL(log_softmax, gr_log_softmax(x[0], -1))
CALL(logsumexp, gr_logsumexp(x[0], .dims = GR_DIMS(-1)))
CALL(layer_norm, gr_layer_norm(x[0], .weight = x[1], .bias = x[2]))
CALL(cross_entropy, gr_cross_entropy_rows(x[0], labels(gr_ctx_of(x[0]), gr_size(x[0], 0), gr_size(x[0], 1))))
CALL(soft_cross_entropy, gr_cross_entropy_rows(x[0], gr_softmax(x[1], -1)))
CALL(embedding, gr_embedding(x[0], labels(gr_ctx_of(x[0]), 3000, gr_size(x[0], 0))))
CALL(matmul, gr_matmul(x[0], x[1]))
CALL(addmm, gr_addmm(x[2], x[0], x[1]))
CALL(attention, gr_scaled_dot_product_attention(x[0], x[1], x[2], .causal = true))
CALL(lstm, gr_lstm_steps(x[0], x[1], x[2], gr_tanh(x[2])))
CALL(moved, gr_cat((gr_tensor *[]){ gr_slice(x[0], 1, 30, 90), gr_contiguous(gr_transpose(x[1], 0, 1)), gr_slice(x[0], 1, 0, 60) }, 3, 1))
CALL(sum, gr_sum(x[0]))
CALL(mean_rows, gr_mean(x[0], .dims = GR_DIMS(-1)))
CALL(mean_columns, gr_mean(x[0], .dims = GR_DIMS(0)))
CALL(sum_outer, gr_sum(x[0], .dims = GR_DIMS(0, 2)))
CALL(max, gr_max(x[0]))
CALL(mse, gr_mse_loss(x[0], x[1]))
CALL(elementwise, gr_mul(gr_tanh(gr_add(x[0], x[1])), gr_exp(gr_neg(gr_square(x[0])))))
CALL(random, gr_mul(x[0], gr_randn(gr_ctx_of(x[0]), gr_dims_like(x[0]))))

static void run_large(gr_ctx *c, const void *detail, outputs *o)
{
    const large *l = detail;
    const gr_dims shape[3] = { l->x, l->w, l->v };
    gr_tensor *x[3];
    int n = 0;
    while (n < 3 && shape[n].n) {
        x[n] = gr_requires_grad(gr_randn(c, shape[n]));
        n++;
    }
    value_and_gradients(c, l->call(x), x, n, o);
}

TEST(large_operations_have_the_same_bits_for_any_number_of_threads)
{
    const gr_dims none = { 0 };
    const int64_t n = small() ? 60 : 700;
    const large list[] = {
        { "conv2d", GR_SHAPE(37, 3, 17, 19), GR_SHAPE(7, 3, 5, 5), GR_SHAPE(7), call_conv },
        { "conv2d of one channel", GR_SHAPE(64, 1, 28, 28), GR_SHAPE(6, 1, 5, 5), GR_SHAPE(6), call_conv },
        { "conv2d with steps", GR_SHAPE(19, 4, 21, 20), GR_SHAPE(9, 4, 3, 3), none, call_strided },
        { "conv2d in groups", GR_SHAPE(11, 8, 12, 12), GR_SHAPE(6, 4, 3, 3), none, call_grouped },
        { "conv_transpose2d", GR_SHAPE(13, 5, 9, 9), GR_SHAPE(5, 3, 3, 3), none, call_transposed },
        { "max_pool2d", GR_SHAPE(23, 5, 24, 24), none, none, call_max_pool },
        { "max_pool2d of overlapping windows", GR_SHAPE(9, 5, 15, 16), none, none, call_overlapping },
        { "avg_pool2d", GR_SHAPE(9, 5, 24, 24), none, none, call_avg_pool },
        { "softmax", GR_SHAPE(n, 130), none, none, call_softmax },
        { "softmax of short rows", GR_SHAPE(10 * n, 3), none, none, call_softmax },
        { "softmax of columns", GR_SHAPE(n, 33), none, none, call_softmax_first },
        { "log_softmax", GR_SHAPE(n, 130), none, none, call_log_softmax },
        { "logsumexp", GR_SHAPE(n, 130), none, none, call_logsumexp },
        { "layer_norm", GR_SHAPE(n, 131), GR_SHAPE(131), GR_SHAPE(131), call_layer_norm },
        { "cross_entropy", GR_SHAPE(10 * n, 10), none, none, call_cross_entropy },
        { "cross_entropy of probabilities", GR_SHAPE(n, 70), GR_SHAPE(n, 70), none, call_soft_cross_entropy },
        { "embedding", GR_SHAPE(50, 300), none, none, call_embedding },
        { "matmul", GR_SHAPE(n, 150), GR_SHAPE(150, 260), none, call_matmul },
        { "matmul of many rows", GR_SHAPE(5 * n, 40), GR_SHAPE(40, 30), none, call_matmul },
        { "matmul of a batch", GR_SHAPE(21, 30, 40), GR_SHAPE(21, 40, 31), none, call_matmul },
        { "matmul of batches that broadcast", GR_SHAPE(3, 1, 50, 20), GR_SHAPE(4, 20, 30), none, call_matmul },
        { "addmm", GR_SHAPE(n, 150), GR_SHAPE(150, 70), GR_SHAPE(70), call_addmm },
        { "attention of many heads", GR_SHAPE(9, 3, 30, 8), GR_SHAPE(9, 3, 30, 8), GR_SHAPE(9, 3, 30, 9), call_attention },
        { "attention of many rows", GR_SHAPE(2, 300, 8), GR_SHAPE(2, 300, 8), GR_SHAPE(2, 300, 5), call_attention },
        { "lstm_steps", GR_SHAPE(5, 83, 80), GR_SHAPE(20, 80), GR_SHAPE(83, 20), call_lstm },
        { "slices and copies", GR_SHAPE(n, 90), GR_SHAPE(50, n), none, call_moved },
        { "sum", GR_SHAPE(1000, 333), none, none, call_sum },
        { "mean of rows", GR_SHAPE(n, 333), none, none, call_mean_rows },
        { "mean of columns", GR_SHAPE(1000, 333), none, none, call_mean_columns },
        { "mean of wide columns", GR_SHAPE(40, 4100), none, none, call_mean_columns },
        { "sum over the outer and the last dimension", GR_SHAPE(40, 50, 50), none, none, call_sum_outer },
        { "max", GR_SHAPE(n, 333), none, none, call_max },
        { "mse_loss", GR_SHAPE(n, 333), GR_SHAPE(n, 333), none, call_mse },
        { "element-wise operations", GR_SHAPE(n, 333), GR_SHAPE(333), none, call_elementwise },
        { "random numbers", GR_SHAPE(n, 333), none, none, call_random },
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) same_bits(list[i].name, run_large, &list[i]);
}

/* ---- training ----------------------------------------------------------------------------------------------------------*/
TEST(a_training_run_has_the_same_bits_for_any_number_of_threads)
{
    for (size_t i = 0; i < sizeof trainings / sizeof *trainings; i++) same_bits(trainings[i].name, train, &trainings[i]);
}

static void run_rule(gr_ctx *c, const void *detail, outputs *o)
{
    const gr_rule_sample *s = detail;
    gr_tensor *w[3] = { gr_requires_grad(gr_randn(c, GR_SHAPE(70, 71))), gr_requires_grad(gr_randn(c, GR_SHAPE(3))),
                        gr_requires_grad(gr_randn(c, GR_SHAPE(5000))) };
    gr_optim *opt = s->make(c, gr_params_of(c, w, 3));
    for (int step = 0; step < 3; step++) {
        GR_SCOPE(c);
        for (int i = 0; i < 3; i++) gr_backward(gr_sum(gr_square(w[i])));
        gr_step(opt);
    }
    for (int i = 0; i < 3; i++) keep(o, w[i]);
}

TEST(every_optimiser_rule_has_the_same_bits_for_any_number_of_threads)
{
    for (int i = 0; i < gr_rule_count(); i++)
        for (const gr_rule_sample *s = gr_rule_at(i)->samples; s->words; s++) same_bits(s->words, run_rule, s);
}
