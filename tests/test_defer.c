/* Element-wise values that wait: nobody can tell them from values that do not, but by the memory they need.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"
#include "nn/nn.h"
#include "ops/ops.h"
#include "optim/optim.h"
#include "tests/test.h"

enum { N = 5000 }; /* elements: several tiles and a rest */

static gr_ctx *context(int64_t defer_from)
{
    gr_ctx *c = gr_ctx_new(NULL);
    c->defer_from = defer_from;
    return c;
}

static void finish(gr_ctx *c)
{
    if (gr_failed(c)) test_errors++, printf("# %s\n", gr_message(c));
    gr_ctx_free(c);
}

/* A mean of operations of every kind of operand: dense, numbers, rows, columns, transposed, bools; each used twice or more. */
static gr_tensor *mixture(gr_tensor *x, gr_tensor *row, gr_tensor *column)
{
    gr_tensor *a = gr_add(x, row), *b = gr_mul(gr_sigmoid(a), gr_sub(column, 0.25));
    gr_tensor *turned = gr_transpose(gr_reshape(x, GR_SHAPE(gr_size(x, 1), gr_size(x, 0))), 0, 1);
    gr_tensor *d = gr_where(gr_gt(b, 0.1), gr_div(b, gr_add(gr_square(turned), 1)), gr_maximum(a, b));
    gr_tensor *e = gr_astype(gr_astype(gr_tanh(d), GR_F64), GR_F32);
    return gr_mean(gr_add(gr_mul(e, gr_exp(gr_minimum(d, 1))), gr_sub(1, gr_abs(b))));
}

typedef struct outcome {
    double loss[2], dx[N], drow[100], dcolumn[100];
} outcome;

static void train_twice(gr_ctx *c, int64_t m, int64_t n, outcome *o)
{
    gr_seed(c, 7);
    gr_tensor *x = gr_requires_grad(gr_randn(c, GR_SHAPE(m, n))), *row = gr_requires_grad(gr_randn(c, GR_SHAPE(n)));
    gr_tensor *column = gr_requires_grad(gr_randn(c, GR_SHAPE(m, 1)));
    for (int step = 0; step < 2; step++) { /* the second adds to the gradients */
        GR_SCOPE(c);
        gr_tensor *loss = mixture(x, row, column);
        gr_backward(loss);
        o->loss[step] = gr_item(loss);
    }
    gr_read(gr_grad(x), o->dx), gr_read(gr_grad(row), o->drow), gr_read(gr_grad(column), o->dcolumn);
}

TEST(values_and_gradients_have_the_bits_of_those_that_do_not_wait)
{
    static const int64_t shapes[][2] = { { 50, 100 }, { 1, 3 }, { 7, 9 }, { 100, 33 }, { 2, 1 } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        static outcome o[2];
        for (int waits = 0; waits < 2; waits++) {
            gr_ctx *c = context(waits ? 2 : INT64_MAX);
            memset(&o[waits], 0, sizeof o[waits]);
            train_twice(c, shapes[i][0], shapes[i][1], &o[waits]);
            finish(c);
        }
        CHECK(memcmp(&o[0], &o[1], sizeof o[0]) == 0);
    }
}

TEST(second_derivatives_have_the_same_bits_too)
{
    static double d[2][600];
    for (int waits = 0; waits < 2; waits++) {
        gr_ctx *c = context(waits ? 2 : INT64_MAX);
        gr_tensor *x = gr_requires_grad(gr_randn(c, GR_SHAPE(20, 30))), *dx, *ddx;
        gr_tensor *row = gr_randn(c, GR_SHAPE(30)), *column = gr_randn(c, GR_SHAPE(20, 1));
        CHECK(gr_grads(mixture(x, row, column), &x, 1, &dx, .create_graph = true));
        CHECK(gr_grads(gr_sum(gr_square(dx)), &x, 1, &ddx));
        gr_read(ddx, d[waits]);
        finish(c);
    }
    CHECK(memcmp(d[0], d[1], sizeof d[0]) == 0);
}

TEST(a_value_that_waits_has_no_memory_and_an_intermediate_one_never_gets_any)
{
    gr_ctx *c = context(2);
    gr_tensor *x = gr_randn(c, GR_SHAPE(N)), *a = gr_exp(x), *b = gr_add(a, 1), *y = gr_log(b);
    CHECK(!a->data && !b->data && !y->data && gr_is_contiguous(y));
    CHECK_NEAR(gr_at(y, 3), log(exp(gr_at(x, 3)) + 1), 1e-6);
    CHECK(y->data && !a->data && !b->data);
    CHECK_NEAR(gr_at(b, N - 1), exp(gr_at(x, N - 1)) + 1, 1e-6);
    CHECK(b->data && !a->data);
    finish(c);
}

TEST(what_a_layer_gives_waits_for_the_next_one)
{
    gr_ctx *c = context(2);
    gr_module *first = gr_activation(c, gr_square), *net = gr_sequential(c, first, gr_activation(c, gr_sqrt));
    gr_tensor *x = gr_randn(c, GR_SHAPE(N)), *a = gr_forward(first, x), *y = gr_forward(net, a);
    CHECK(!a->data && !y->data);
    CHECK_NEAR(gr_at(y, 3), gr_at(x, 3) * gr_at(x, 3), 1e-6);
    CHECK(y->data && !a->data);
    finish(c);
}

TEST(an_intermediate_value_that_is_wanted_again_and_again_is_kept)
{
    gr_ctx *c = context(2);
    gr_tensor *x = gr_randn(c, GR_SHAPE(N)), *a = gr_exp(x);
    for (int i = 0; i < 4; i++) gr_at(gr_add(a, i), 0);
    gr_tensor *y = gr_add(a, 5);
    gr_at(y, 0);
    CHECK(gr__settle(a) && a->data);
    finish(c);
}

/* The bytes of a step through relu(x) w, w all ones. */
static size_t bytes_of_a_step(int64_t defer_from, bool retain)
{
    gr_ctx *c = context(defer_from);
    gr_tensor *x = gr_requires_grad(gr_ones(c, GR_SHAPE(50, 100))), *h = gr_relu(x);
    if (retain) gr_retain_grad(h);
    gr_backward(gr_sum(gr_matmul(h, gr_ones(c, GR_SHAPE(100, 3)))));
    CHECK(gr_at(gr_grad(x), 7, 9) == 3 && (!retain || gr_at(gr_grad(h), 7, 9) == 3));
    const size_t bytes = gr_ctx_stats(c).bytes_now;
    finish(c);
    return bytes;
}

TEST(a_gradient_that_nobody_reads_again_gives_its_memory_to_the_next)
{
    const size_t one = 50 * 100 * sizeof(float), computed = bytes_of_a_step(INT64_MAX, false), waited = bytes_of_a_step(2, false);
    CHECK(waited < computed + one);
    CHECK(bytes_of_a_step(2, true) >= waited + one);
}

/* ---- products of a few steps -------------------------------------------------------------------------------------------------*/
enum { ROWS = 101, COLUMNS = 90, STEPS = 3 }; /* enough that a product waits, and no whole number of tiles */
typedef struct layers {
    gr_tensor *x, *w, *b, *v;
} layers;

static layers make_layers(gr_ctx *c, gr_type type)
{
    gr_seed(c, 3);
    return (layers){ gr_requires_grad(gr_randn(c, GR_SHAPE(ROWS, 2), .dtype = type)), gr_requires_grad(gr_randn(c, GR_SHAPE(2, COLUMNS), .dtype = type)),
                     gr_requires_grad(gr_randn(c, GR_SHAPE(COLUMNS), .dtype = type)), gr_requires_grad(gr_randn(c, GR_SHAPE(COLUMNS, STEPS), .dtype = type)) };
}

TEST(a_product_of_a_few_steps_waits_and_what_reads_it_computes_it_in_tiles)
{
    gr_ctx *c = context(2);
    const layers l = make_layers(c, GR_F32);
    gr_tensor *y = gr_addmm(l.b, l.x, l.w), *h = gr_relu(y), *total = gr_sum(gr_square(y));
    CHECK(!y->data && !h->data && !total->data);
    for (int i = 0; i < 3; i++) {
        const int64_t row = i * 50, column = i * 44;
        const double want = gr_at(l.b, column) + gr_at(l.x, row, 0) * gr_at(l.w, 0, column) + gr_at(l.x, row, 1) * gr_at(l.w, 1, column);
        CHECK_NEAR(gr_at(h, row, column), want > 0 ? want : 0, 1e-5);
    }
    CHECK(h->data && !y->data);
    gr_at(y, 0, 0);
    CHECK(y->data && gr_item(total) == gr_item(gr_sum(gr_square(gr_add(y, 0)))));
    CHECK(gr_matmul(gr_zeros(c, GR_SHAPE(ROWS, 9)), gr_zeros(c, GR_SHAPE(9, COLUMNS)))->data != NULL); /* too many steps */
    finish(c);
}

TEST(the_gradient_of_what_a_dense_layer_gives_needs_no_memory)
{
    size_t bytes[2];
    static double dw[2][2 * COLUMNS];
    for (int waits = 0; waits < 2; waits++) {
        gr_ctx *c = context(waits ? 2 : INT64_MAX);
        const layers l = make_layers(c, GR_F32);
        gr_tensor *g, *loss = gr_sum(gr_square(gr_matmul(gr_relu(gr_addmm(l.b, gr_detach(l.x), l.w)), l.v)));
        CHECK(gr_item(loss) != 0);
        const size_t before = gr_ctx_stats(c).bytes_peak;
        CHECK(gr_grads(loss, &l.w, 1, &g));
        bytes[waits] = gr_ctx_stats(c).bytes_peak - before;
        gr_read(g, dw[waits]);
        finish(c);
    }
    CHECK(bytes[1] + ROWS * COLUMNS * sizeof(float) <= bytes[0] && memcmp(dw[0], dw[1], sizeof dw[0]) == 0);
}

static void two_layers(gr_ctx *c, gr_type type, double *out)
{
    const layers l = make_layers(c, type);
    gr_tensor *x[] = { l.x, l.w, l.b, l.v }, *dx[4], *ddx[4];
    gr_tensor *h = gr_tanh(gr_mul(gr_relu(gr_addmm(l.b, l.x, l.w)), gr_sigmoid(gr_matmul(l.x, l.w))));
    gr_tensor *loss = gr_mean(gr_square(gr_matmul(h, l.v)));
    CHECK(gr_grads(loss, x, 4, dx, .retain_graph = true));
    for (int i = 0; i < 4; i++) gr_read(dx[i], out), out += gr_numel(dx[i]);
    CHECK(gr_grads(loss, x, 4, dx, .create_graph = true));
    CHECK(gr_grads(gr_sum(gr_square(dx[1])), x, 4, ddx));
    for (int i = 0; i < 4; i++) gr_read(ddx[i], out), out += gr_numel(ddx[i]);
    *out = gr_item(loss);
}

TEST(a_product_that_waits_has_the_bits_of_one_that_does_not_and_so_have_its_derivatives)
{
    enum { ALL = 2 * (ROWS * 2 + 3 * COLUMNS + COLUMNS * STEPS) + 1 };
    for (int f64 = 0; f64 < 2; f64++) {
        static double out[2][ALL];
        for (int waits = 0; waits < 2; waits++) {
            gr_ctx *c = context(waits ? 2 : INT64_MAX);
            gr_set_threads(c, waits ? 3 : 1);
            two_layers(c, f64 ? GR_F64 : GR_F32, out[waits]);
            finish(c);
        }
        CHECK(memcmp(out[0], out[1], sizeof out[0]) == 0 && out[0][ALL - 1] > 0);
    }
}

/* ---- gradients of windows ----------------------------------------------------------------------------------------------------*/
enum { HEIGHT = 40, WIDTH = 38, IMAGES = 18 * HEIGHT * WIDTH };
/* The sum of the gradient, whose tiles end within a row of windows, and the gradient. */
static void pooled(int64_t defer_from, gr_type type, int height, double *out)
{
    gr_ctx *c = context(defer_from);
    gr_set_threads(c, defer_from < N ? 3 : 1);
    gr_tensor *dx[1], *x = gr_requires_grad(gr_randn(c, GR_SHAPE(3, 6, HEIGHT, WIDTH), .dtype = type)), *y = gr_max_pool2d(x, .kernel = { height, 2 });
    CHECK(y->op->backward(y, gr_randn(c, gr_dims_like(y), .dtype = type), dx));
    CHECK((dx[0]->data == NULL) == (defer_from < N && HEIGHT % height == 0)); /* where a row is left over it does not wait */
    out[0] = gr_item(gr_sum(dx[0]));
    CHECK(gr_read(dx[0], out + 1) && out[0] != 0);
    finish(c);
}

TEST(the_gradient_of_windows_waits_and_has_the_bits_of_one_that_does_not)
{
    static double out[2][1 + IMAGES];
    for (int i = 0; i < 6; i++) {
        for (int waits = 0; waits < 2; waits++) pooled(waits ? 2 : INT64_MAX, i % 2 ? GR_F64 : GR_F32, 2 + i / 2, out[waits]);
        CHECK(memcmp(out[0], out[1], sizeof out[0]) == 0);
    }
}

TEST(an_image_and_its_windows_may_be_written_to_while_the_gradient_waits)
{
    for (int which = 0; which < 3; which++) {
        double out[2][2 * 8 * 8];
        for (int waits = 0; waits < 2; waits++) {
            gr_ctx *c = context(waits ? 2 : INT64_MAX);
            gr_tensor *dx[1], *x = gr_requires_grad(gr_randn(c, GR_SHAPE(1, 2, 8, 8))), *y = gr_max_pool2d(x, .kernel = { 2, 4 });
            gr_tensor *dy = gr_randn(c, gr_dims_like(y)), *read = which == 0 ? x : which == 1 ? y : dy;
            CHECK(y->op->backward(y, dy, dx));
            gr_copy_to(gr_detach(read), gr_full(c, gr_dims_like(read), 3));
            CHECK(gr_read(dx[0], out[waits]));
            finish(c);
        }
        CHECK(memcmp(out[0], out[1], sizeof out[0]) == 0);
    }
}

/* ---- what is overwritten -----------------------------------------------------------------------------------------------------*/
TEST(a_product_that_waits_is_that_of_the_moment_of_the_call)
{
    gr_ctx *c = context(2);
    for (int which = 0; which < 3; which++) {
        const layers l = make_layers(c, GR_F32);
        gr_tensor *in[] = { l.b, l.x, l.w }, *y = gr_addmm(l.b, l.x, l.w), *again = gr_addmm(l.b, l.x, l.w);
        const double before = gr_at(again, 70, 80);
        CHECK(!y->data && gr_fill(gr_detach(in[which]), 5) && gr_at(y, 70, 80) == before && gr_at(gr_addmm(l.b, l.x, l.w), 70, 80) != before);
    }
    finish(c);
}

TEST(an_operand_may_be_written_to_while_results_wait)
{
    for (int how = 0; how < 5; how++) {
        gr_ctx *c = context(2);
        gr_tensor *x = gr_zeros(c, GR_SHAPE(N)), *y = gr_add(x, 1), *z = gr_mul(y, 2), *view = gr_transpose(gr_reshape(x, GR_SHAPE(2, N / 2)), 0, 1);
        if (how == 0) gr_fill(x, 5);
        if (how == 1) gr_copy_to(x, gr_ones(c, GR_SHAPE(N)));
        if (how == 2) ((float *)gr_data(x))[3] = 5;
        if (how == 3) gr_fill(view, 5);
        if (how == 4) gr_write(view, (double[N]){ 9, 8, 7, 6 });
        CHECK(gr_at(y, 3) == 1 && gr_at(z, 3) == 2 && gr_at(y, 0) == 1);
        finish(c);
    }
}

TEST(a_step_of_an_optimiser_leaves_what_was_computed_from_the_parameters)
{
    gr_ctx *c = context(2);
    gr_tensor *w = gr_requires_grad(gr_ones(c, GR_SHAPE(N)));
    gr_optim *o = gr_sgd(c, gr_params_of(c, &w, 1), .lr = 1);
    gr_tensor *before = gr_mul(w, 3);
    gr_backward(gr_sum(gr_square(w)));
    CHECK(gr_step(o));
    CHECK(gr_at(w, 7) == -1 && gr_at(before, 7) == 3);
    finish(c);
}

TEST(what_the_program_has_the_address_of_is_read_at_the_call)
{
    gr_ctx *c = context(2);
    gr_tensor *x = gr_zeros(c, GR_SHAPE(N));
    float *p = gr_data(x);
    gr_tensor *y = gr_add(x, 1);
    p[3] = 5;
    CHECK(gr_at(y, 3) == 1);
    finish(c);
}

TEST(values_leave_a_scope_that_their_operands_do_not)
{
    gr_ctx *c = context(2);
    gr_tensor *y, *dx;
    {
        GR_SCOPE(c);
        gr_tensor *x = gr_requires_grad(gr_full(c, GR_SHAPE(N), 2)), *a = gr_square(x);
        y = gr_mul(a, x);
        CHECK(gr_grads(gr_sum(y), &x, 1, &dx));
        y = gr_keep(y), dx = gr_keep(dx);
    }
    {
        GR_SCOPE(c);
        gr_fill(gr_zeros(c, GR_SHAPE(N)), 77); /* memory that was given back is used again */
    }
    CHECK(gr_at(y, N - 1) == 8 && gr_at(dx, 0) == 12);
    finish(c);
}

TEST(a_sum_of_what_waits_has_the_bits_of_one_that_does_not)
{
    static const int64_t sizes[] = { 2, 15, 1000, 4095, 4096, 4097, 12288, 50001 };
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        double sum[2], mean[2];
        for (int waits = 0; waits < 2; waits++) {
            gr_ctx *c = context(waits ? 2 : INT64_MAX);
            gr_tensor *x = gr_randn(c, GR_SHAPE(sizes[i / 2]), .dtype = i % 2 ? GR_F64 : GR_F32);
            gr_tensor *a = gr_sum(gr_mul(x, 3)), *b = gr_mean(gr_exp(x), .keepdim = true);
            CHECK(waits ? !a->data && !b->data : a->data && b->data);
            sum[waits] = gr_item(a), mean[waits] = gr_item(b);
            finish(c);
        }
        CHECK(sum[0] == sum[1] && mean[0] == mean[1]);
    }
}

TEST(a_loss_that_nobody_has_read_is_computed_with_its_gradients)
{
    gr_ctx *c = context(2);
    gr_tensor *x = gr_requires_grad(gr_zeros(c, GR_SHAPE(N)));
    {
        GR_SCOPE(c);
        gr_tensor *loss = gr_mean(gr_add(gr_exp(x), 1));
        CHECK(!loss->data);
        gr_backward(loss);
        ((float *)(void *)x->data)[0] = 100; /* behind everybody's back: nothing is computed from it any more */
        CHECK(gr_item(loss) == 2);
    }
    CHECK_NEAR(gr_at(gr_grad(x), 9), 1.0 / N, 1e-9);
    finish(c);
}

TEST(a_sum_that_waits_is_a_number_like_any_other)
{
    gr_ctx *c = context(2);
    gr_tensor *x = gr_requires_grad(gr_full(c, GR_SHAPE(N), 2)), *kept, *dx, *weight = gr_sum(gr_mul(x, 0)), *sums[20];
    {
        GR_SCOPE(c);
        kept = gr_keep(gr_sum(gr_square(x)));
    }
    gr_tensor *loss = gr_add(gr_mul(gr_sum(gr_exp(gr_mul(x, 0))), gr_sum(x)), gr_reshape(gr_mean(gr_square(x)), GR_SHAPE()));
    CHECK(gr_grads(loss, &x, 1, &dx, .create_graph = true));
    CHECK(gr_item(loss) == 2.0 * N * N + 4 && gr_item(kept) == 4.0 * N);
    CHECK_NEAR(gr_at(dx, 1), N + 4.0 / N, 1e-6);
    CHECK(gr_grads(gr_sum(dx), &x, 1, &dx, .grad = gr_add(gr_reshape(weight, GR_SHAPE()), 1)));
    CHECK_NEAR(gr_at(dx, 1), 2.0 / N, 1e-9);
    for (int i = 0; i < 20; i++) sums[i] = gr_sum(gr_add(x, i)); /* more than one program takes */
    gr_tensor *y = gr_sum(gr_square(x));
    gr_fill(gr_detach(x), 7);
    for (int i = 0; i < 20; i++) CHECK(gr_item(sums[i]) == (2.0 + i) * N);
    CHECK(gr_item(y) == 4.0 * N);
    finish(c);
}

TEST(what_nobody_asks_for_is_never_computed)
{
    gr_ctx *c = context(2);
    {
        GR_SCOPE(c);
        for (int i = 0; i < 1000; i++) gr_exp(gr_zeros(c, GR_SHAPE(2)));
        CHECK(c->waiting != NULL);
    }
    CHECK(c->waiting == NULL);
    finish(c);
}

TEST(a_chain_may_be_longer_than_any_program)
{
    gr_ctx *c = context(2);
    gr_tensor *x = gr_requires_grad(gr_ones(c, GR_SHAPE(3))), *y = x;
    for (int i = 0; i < 5000; i++) y = gr_mul(gr_add(y, 1), 0.5);
    gr_backward(gr_sum(y));
    CHECK(gr_at(y, 0) == 1 && gr_at(gr_grad(x), 2) == 0);
    gr_tensor *z = gr_ones(c, GR_SHAPE(4)); /* each doubles the number of paths: 2^200 of them */
    for (int i = 0; i < 200; i++) z = gr_mul(gr_add(z, z), 0.5);
    CHECK(gr_at(z, 1) == 1);
    finish(c);
}

TEST(many_operands_in_one_expression)
{
    gr_ctx *c = context(2);
    gr_tensor *y = gr_zeros(c, GR_SHAPE(3, 40));
    for (int i = 0; i < 300; i++) y = gr_add(y, gr_mul(gr_full(c, GR_SHAPE(3, 1), i), gr_ones(c, GR_SHAPE(40))));
    CHECK(gr_at(y, 2, 39) == 299 * 150);
    finish(c);
}

TEST(memory_that_is_missing_is_an_error_where_the_value_is_wanted)
{
    bool failed = true;
    for (long fail_at = 1; failed; fail_at++) {
        test_memory memory = { 0 };
        const gr_allocator a = { test_alloc, test_release, &memory };
        gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .allocator = &a });
        c->defer_from = 2;
        gr_tensor *x = gr_requires_grad(gr_randn(c, GR_SHAPE(40, 100)));
        memory.fail_at = memory.count + fail_at;
        gr_tensor *y = gr_mul(gr_exp(x), gr_add(gr_zeros(c, GR_SHAPE(100)), 1));
        double v = gr_at(y, 3, 3);
        gr_at(gr_exp(gr_matmul(gr_ones(c, GR_SHAPE(100, 2)), gr_ones(c, GR_SHAPE(2, 100)))), 3, 3);
        gr_backward(gr_sum(y));
        failed = gr_failed(c);
        CHECK(!failed || gr_status(c) == GR_ENOMEM);
        memory.fail_at = 0;
        gr_clear_error(c);
        double again = gr_at(gr_exp(x), 3, 3);
        CHECK(!gr_failed(c) && (failed || again == v));
        gr_ctx_free(c);
        CHECK(memory.live == 0);
    }
}

TEST(a_training_step_of_large_element_wise_operations_allocates_nothing_after_the_first)
{
    gr_ctx *c = context(2);
    gr_tensor *x = gr_requires_grad(gr_randn(c, GR_SHAPE(50, 100))), *row = gr_randn(c, GR_SHAPE(100)), *column = gr_randn(c, GR_SHAPE(50, 1));
    size_t before = 0;
    for (int step = 0; step < 4; step++) {
        GR_SCOPE(c);
        gr_zero_grad(x);
        gr_backward(mixture(x, row, column));
        if (step == 1) before = gr_ctx_stats(c).allocations;
    }
    CHECK(gr_ctx_stats(c).allocations == before);
    finish(c);
}
