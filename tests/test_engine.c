/* gr_backward: what it computes and stores, what it refuses and in which words.
 * SPDX-License-Identifier: MIT */
#include "tests/scalars.h"

#include <pthread.h>

/* ---- gr_backward --------------------------------------------------------------------------------------------------------*/
TEST(backward_gives_each_leaf_its_derivative)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3), *b = leaf(c, 5), *constant = gr_scalar(c, 7);
    CHECK(gr_backward(gr_add(gr_mul(gr_mul(a, a), b), gr_mul(b, constant))));
    CHECK(grad_of(a) == 30);
    CHECK(grad_of(b) == 16);
    CHECK(gr_grad(constant) == NULL);
    finish(c);
}

TEST(the_gradient_of_a_leaf_by_itself_is_one)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3);
    CHECK(gr_backward(a));
    CHECK(grad_of(a) == 1);
    finish(c);
}

TEST(a_tensor_used_several_times_sums_its_contributions)
{
    gr_ctx *c = doubles();
    gr_tensor *x = gr_requires_grad(gr_from(c, GR_SHAPE(2), (double[]){ 3, 4 }));
    gr_tensor *y = gr_mul(x, x);
    CHECK(gr_backward(gr_sum(gr_add(gr_mul(y, y), gr_add(y, y))))); /* x^4 + 2 x^2 */
    CHECK(gr_at(gr_grad(x), 0) == 4 * 27 + 4 * 3);
    CHECK(gr_at(gr_grad(x), 1) == 4 * 64 + 4 * 4);
    finish(c);
}

/* the sum of k (its squares), k = 1, 2.. for each of some parts, which overlap and leave some out */
static gr_tensor *squares_of_parts(gr_tensor *y)
{
    gr_tensor *part[] = { gr_slice(y, 1, 0, 5), gr_slice(y, 1, 3, 7), gr_slice(y, 0, 1, 6, .step = 2), gr_select(y, 0, 4), gr_slice(y, 0, 2, 2) }, *sum = NULL;
    for (int k = 0; k < 5; k++) {
        gr_tensor *squares = gr_mul(gr_sum(gr_square(part[k])), k + 1);
        sum = k ? gr_add(sum, squares) : squares;
    }
    return sum;
}

TEST(parts_of_a_tensor_add_to_the_gradient_of_the_whole)
{
    gr_ctx *c = doubles();
    gr_tensor *x = gr_requires_grad(gr_randn(c, GR_SHAPE(6, 8))), *loss = squares_of_parts(gr_mul(x, 2)), *recorded;
    CHECK(gr_grads(loss, &x, 1, &recorded, .create_graph = true));
    CHECK(gr_backward(loss));
    for (int64_t i = 0; i < 48; i++) {
        const int64_t row = i / 8, column = i % 8;
        const int weight = (column < 5) + 2 * (column >= 3 && column < 7) + (row % 2 ? 3 : 0) + 4 * (row == 4);
        CHECK_NEAR(gr_at(gr_grad(x), row, column), 8 * weight * gr_at(x, row, column), 1e-13);
        CHECK(gr_at(gr_grad(x), row, column) == gr_at(recorded, row, column));
    }
    finish(c);
}

/* two windows of three elements, which share one; their gradient is wrong on purpose, so that it is seen who made it */
static bool windows_shape(gr_call *k)
{
    k->dtype = gr_dtype(k->in[0]);
    k->ndim = 2, k->dim[0] = 2, k->dim[1] = 3, k->stride[0] = 2, k->stride[1] = 1;
    return true;
}
static gr_tensor *windows_vjp(gr_tensor *y, gr_tensor *dy, int i) { return (void)dy, gr_add(gr_mul(gr_input(y, i), 0), 100); }
static const gr_op windows = { .name = "windows", .arity = 1, .flags = GR_OP_VIEW | GR_OP_LINEAR, .shape = windows_shape, .vjp = windows_vjp };

TEST(a_view_of_the_user_gets_its_gradient_from_its_own_record)
{
    gr_ctx *c = doubles();
    gr_tensor *x = gr_requires_grad(gr_arange(c, 0, 8, 1)), *y = gr_mul(x, 2);
    CHECK(gr_backward(gr_add(gr_sum(gr_apply(&windows, &y, 1, NULL)), gr_sum(gr_square(y)))));
    for (int64_t i = 0; i < 8; i++) CHECK(gr_at(gr_grad(x), i) == 2 * (100 + 4 * (double)i));
    finish(c);
}

TEST(sweeps_accumulate_until_the_gradient_is_cleared)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3);
    for (int i = 1; i <= 3; i++) {
        CHECK(gr_backward(gr_mul(a, a)));
        CHECK(grad_of(a) == 6 * i);
    }
    gr_zero_grad(a);
    CHECK(gr_grad(a) == NULL);
    gr_zero_grad(a);
    CHECK(gr_backward(gr_mul(a, 2.0)));
    CHECK(grad_of(a) == 2);
    finish(c);
}

TEST(the_gradient_of_a_large_leaf_accumulates_and_clears_too)
{
    gr_ctx *c = doubles();
    gr_tensor *w = gr_requires_grad(gr_ones(c, GR_SHAPE(3, 4)));
    for (int i = 1; i <= 3; i++) {
        GR_SCOPE(c);
        CHECK(gr_backward(gr_sum(gr_mul(w, 5))));
        CHECK(gr_at(gr_grad(w), 2, 3) == 5 * i);
    }
    gr_tensor *old = gr_grad(w);
    gr_zero_grad(w);
    CHECK(gr_item(gr_sum(old)) != 0);
    CHECK_FAILS(c, GR_EGRAPH, "[3, 4] has no values any more: it was a gradient that gr_zero_grad or an optimiser step cleared. "
                              "Fix: call gr_grad again after the next sweep, or copy it before");
    CHECK(gr_backward(gr_sum(w)));
    CHECK(gr_at(gr_grad(w), 0, 0) == 1);
    finish(c);
}

TEST(a_gradient_shares_no_memory_with_the_weight_that_was_passed)
{
    gr_ctx *c = doubles();
    gr_tensor *w = gr_requires_grad(gr_ones(c, GR_SHAPE(3))), *g = gr_from(c, GR_SHAPE(3), (double[]){ 1, 2, 3 });
    CHECK(gr_backward(w, .grad = g));
    CHECK(gr_data(gr_grad(w)) != gr_data(g));
    CHECK(gr_backward(w, .grad = g));
    CHECK(gr_at(gr_grad(w), 2) == 6);
    CHECK(gr_at(g, 2) == 3);
    finish(c);
}

TEST(two_leaves_that_get_the_same_gradient_do_not_share_it)
{
    gr_ctx *c = doubles();
    gr_tensor *a = gr_requires_grad(gr_ones(c, GR_SHAPE(3))), *b = gr_requires_grad(gr_ones(c, GR_SHAPE(3)));
    CHECK(gr_backward(gr_sum(gr_add(a, b))));
    CHECK(gr_data(gr_grad(a)) != gr_data(gr_grad(b)));
    CHECK(gr_backward(gr_sum(a)));
    CHECK(gr_at(gr_grad(a), 0) == 2);
    CHECK(gr_at(gr_grad(b), 0) == 1);
    finish(c);
}

TEST(a_root_of_many_elements_takes_a_weight_for_each)
{
    gr_ctx *c = doubles();
    gr_tensor *x = gr_requires_grad(gr_from(c, GR_SHAPE(3), (double[]){ 1, 2, 3 }));
    CHECK(gr_backward(gr_square(x), .grad = gr_from(c, GR_SHAPE(3), (double[]){ 1, 0, -1 })));
    CHECK(gr_at(gr_grad(x), 0) == 2);
    CHECK(gr_at(gr_grad(x), 1) == 0);
    CHECK(gr_at(gr_grad(x), 2) == -6);
    finish(c);
}

TEST(the_sweep_records_nothing)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3);
    CHECK(gr_backward(gr_tanh(gr_mul(a, a))));
    CHECK(!gr_needs_grad(gr_grad(a)));
    CHECK(gr_op_of(gr_grad(a)) == NULL);
    finish(c);
}

/* ---- what is recorded ----------------------------------------------------------------------------------------------------*/
TEST(nothing_is_recorded_where_no_input_needs_a_gradient)
{
    gr_ctx *c = doubles();
    gr_tensor *y = gr_mul(gr_scalar(c, 2), gr_scalar(c, 3));
    CHECK(!gr_needs_grad(y) && gr_op_of(y) == NULL && gr_num_inputs(y) == 0);
    gr_tensor *z = gr_mul(y, leaf(c, 1));
    CHECK(gr_needs_grad(z) && gr_op_of(z) == &gr_op_mul && gr_input(z, 0) == y);
    finish(c);
}

TEST(nothing_is_recorded_inside_no_grad)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3), *y;
    {
        GR_NO_GRAD(c);
        {
            GR_NO_GRAD(c);
            y = gr_mul(a, a);
        }
        CHECK(!gr_needs_grad(gr_mul(a, a)));
    }
    CHECK(gr_needs_grad(gr_mul(a, a)));
    CHECK(!gr_backward(y));
    CHECK_FAILS(c, GR_EGRAPH, "gr_backward([]): there is no path to differentiate: it was computed while recording was off (GR_NO_GRAD, or "
                              "inside a sweep). Fix: mark the leaves with gr_requires_grad before the forward pass");
    finish(c);
}

TEST(a_detached_tensor_has_the_same_memory_and_no_history)
{
    gr_ctx *c = doubles();
    gr_tensor *a = gr_requires_grad(gr_ones(c, GR_SHAPE(3))), *y = gr_mul(a, 2), *d = gr_detach(y);
    CHECK(gr_data(d) == gr_data(y));
    CHECK(!gr_needs_grad(d));
    CHECK(gr_backward(gr_sum(gr_mul(y, d))));
    CHECK(gr_at(gr_grad(a), 0) == 4);
    CHECK(!gr_backward(gr_sum(d)));
    CHECK(gr_status(c) == GR_EGRAPH);
    gr_clear_error(c);
    finish(c);
}

/* ---- long and wide graphs ------------------------------------------------------------------------------------------------*/
static int long_chain, wide_fan;

static void *differentiate_a_chain(void *unused)
{
    (void)unused;
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 1), *y = a;
    for (int i = 0; i < long_chain; i++) y = gr_add(y, 1);
    CHECK(gr_item(y) == long_chain + 1);
    CHECK(gr_backward(y));
    CHECK(grad_of(a) == 1);
    finish(c);
    return NULL;
}

TEST(a_chain_of_a_million_nodes_differentiates_on_a_small_stack)
{
    long_chain = getenv("GRADUS_TEST_SMALL") ? 5000 : 1000000;
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    CHECK(pthread_attr_setstacksize(&attr, 128 << 10) == 0); /* a recursion would need 100 times as much */
    CHECK(pthread_create(&thread, &attr, differentiate_a_chain, NULL) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
}

TEST(a_tensor_with_a_hundred_thousand_consumers_differentiates)
{
    wide_fan = getenv("GRADUS_TEST_SMALL") ? 1000 : 100000;
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 2), *sum = gr_scalar(c, 0);
    for (int i = 0; i < wide_fan; i++) sum = gr_add(sum, gr_mul(a, a));
    CHECK(gr_backward(sum));
    CHECK(grad_of(a) == 4.0 * wide_fan);
    finish(c);
}

TEST(a_graph_with_exponentially_many_paths_takes_linear_time)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 1), *y = a;
    for (int i = 0; i < 200; i++) y = gr_add(y, y);
    CHECK(gr_backward(y));
    CHECK(grad_of(a) == ldexp(1, 200));
    finish(c);
}

/* ---- several losses and sweeps ---------------------------------------------------------------------------------------------*/
TEST(two_losses_alive_at_once_are_differentiated_in_any_order)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3), *b = leaf(c, 4);
    gr_tensor *first = gr_mul(a, b), *second = gr_mul(gr_mul(a, a), b);
    CHECK(gr_backward(second));
    CHECK(gr_backward(first));
    CHECK(grad_of(a) == 24 + 4);
    CHECK(grad_of(b) == 9 + 3);
    finish(c);
}

TEST(retain_graph_allows_another_sweep)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3), *y = gr_tanh(gr_mul(a, a));
    CHECK(gr_backward(y, .retain_graph = true));
    double once = grad_of(a);
    CHECK(gr_backward(y));
    CHECK(grad_of(a) == 2 * once);
    finish(c);
}

TEST(a_second_sweep_without_retain_graph_is_refused)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3), *y = gr_name(gr_tanh(a), "y");
    CHECK(gr_backward(y));
    CHECK(!gr_backward(y));
    CHECK_FAILS(c, GR_EGRAPH, "gr_backward: a sweep already went through the graph at tanh(\"y\" []) and did not retain it. "
                              "Fix: pass .retain_graph = true to the earlier sweep, or compute the forward pass again");
    double once = grad_of(a);
    CHECK(!gr_backward(gr_mul(y, 2.0)));
    CHECK(gr_status(c) == GR_EGRAPH);
    gr_clear_error(c);
    CHECK(grad_of(a) == once);
    finish(c);
}

TEST(a_linear_graph_is_refused_a_second_sweep_too)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3), *y = gr_add(a, 1);
    CHECK(gr_backward(y));
    CHECK(!gr_backward(y));
    CHECK(gr_status(c) == GR_EGRAPH);
    gr_clear_error(c);
    finish(c);
}

TEST(a_sweep_for_one_input_leaves_the_branches_of_others_unswept)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3), *b = leaf(c, 5), *branch = gr_tanh(b), *y = gr_mul(a, branch), *da;
    CHECK(gr_grads(y, &a, 1, &da));
    CHECK(gr_backward(branch)); /* gr_grads did not go through it */
    finish(c);
}

TEST(a_refused_sweep_can_be_repeated_when_its_cause_is_mended)
{
    gr_ctx *c = doubles();
    gr_tensor *x = gr_requires_grad(gr_ones(c, GR_SHAPE(2))), *y = gr_square(x);
    CHECK(!gr_backward(y));
    gr_clear_error(c);
    CHECK(gr_backward(y, .grad = gr_ones(c, GR_SHAPE(2))));
    CHECK(gr_at(gr_grad(x), 1) == 2);
    finish(c);
}

TEST(a_sweep_that_fails_on_its_way_leaves_what_it_passed_unswept)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3), *b = leaf(c, 5), *y = gr_tanh(a), *branch = gr_square(b), *both = gr_mul(y, branch);
    CHECK(gr_backward(y));
    CHECK(!gr_backward(both)); /* it comes to y after both and branch */
    CHECK(gr_status(c) == GR_EGRAPH);
    gr_clear_error(c);
    gr_zero_grad(b);
    CHECK(gr_backward(branch));
    CHECK(grad_of(b) == 10);
    finish(c);
}

/* ---- writing in place ------------------------------------------------------------------------------------------------------*/
TEST(an_input_that_was_overwritten_after_use_is_refused_by_name)
{
    gr_ctx *c = doubles();
    gr_tensor *x = gr_name(gr_ones(c, GR_SHAPE(2)), "x"), *w = gr_requires_grad(gr_name(gr_ones(c, GR_SHAPE(2)), "w"));
    gr_tensor *y = gr_sum(gr_mul(x, w));
    gr_fill(x, 2);
    CHECK(!gr_backward(y));
    CHECK_FAILS(c, GR_EGRAPH, "gr_backward: input 0 of mul, \"x\" [2], was overwritten by gr_fill after mul used it, so its derivative "
                              "cannot be taken. Fix: call the sweep before the write, or give the operation a copy");
    finish(c);
}

TEST(a_gradient_that_was_cleared_and_made_again_is_not_the_one_that_was_used)
{
    gr_ctx *c = doubles();
    gr_tensor *x = gr_requires_grad(gr_ones(c, GR_SHAPE(2)));
    CHECK(gr_backward(gr_sum(gr_square(x))));
    gr_tensor *y = gr_sum(gr_mul(x, gr_grad(x)));
    gr_zero_grad(x);
    CHECK(gr_backward(gr_sum(gr_mul(x, 3.0))));
    CHECK(!gr_backward(y));
    CHECK_FAILS(c, GR_EGRAPH, "gr_backward: input 1 of mul, [2], was overwritten by gr_backward after mul used it, so its derivative "
                              "cannot be taken. Fix: call the sweep before the write, or give the operation a copy");
    finish(c);
}

TEST(every_way_to_write_is_noticed)
{
    gr_ctx *c = doubles();
    for (int way = 0; way < 5; way++) {
        GR_SCOPE(c);
        gr_tensor *w = gr_requires_grad(gr_ones(c, GR_SHAPE(2))), *y = gr_sum(gr_square(w));
        if (way == 0) gr_write(w, (double[]){ 3, 4 });
        if (way == 1) gr_copy_to(w, gr_zeros(c, GR_SHAPE(2)));
        if (way == 2) gr_fill(gr_detach(w), 3);
        if (way == 3) ((double *)gr_data(w))[0] = 5, gr_touch(w, "my_update");
        if (way == 4) gr_fill(gr_slice(gr_detach(w), 0, 0, 1), 3);
        CHECK(!gr_backward(y));
        CHECK(gr_status(c) == GR_EGRAPH);
        const char *writer[] = { "gr_write", "gr_copy_to", "gr_fill", "my_update", "gr_fill" };
        CHECK(strstr(gr_message(c), writer[way]) != NULL);
        gr_clear_error(c);
    }
    finish(c);
}

TEST(a_written_number_is_noticed_too)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3), *y = gr_square(a);
    gr_fill(a, 4);
    CHECK(!gr_backward(y));
    CHECK(gr_status(c) == GR_EGRAPH);
    gr_clear_error(c);
    finish(c);
}

TEST(a_result_that_was_overwritten_through_a_detached_view_is_refused)
{
    gr_ctx *c = doubles();
    gr_tensor *x = gr_requires_grad(gr_ones(c, GR_SHAPE(2))), *y = gr_tanh(x); /* dx = dy (1 - y^2) reads y */
    gr_tensor *loss = gr_sum(y);
    gr_fill(gr_detach(y), 0);
    CHECK(!gr_backward(loss));
    CHECK_FAILS(c, GR_EGRAPH, "gr_backward: the result of tanh, [2], was overwritten by gr_fill after tanh used it, so its derivative "
                              "cannot be taken. Fix: call the sweep before the write, or give the operation a copy");
    finish(c);
}

TEST(an_input_of_a_linear_operation_may_be_overwritten)
{
    gr_ctx *c = doubles();
    gr_tensor *w = gr_requires_grad(gr_ones(c, GR_SHAPE(2))), *y = gr_sum(gr_add(w, w));
    gr_fill(w, 7);
    CHECK(gr_backward(y));
    CHECK(gr_at(gr_grad(w), 0) == 2);
    finish(c);
}

TEST(what_has_history_cannot_be_written)
{
    gr_ctx *c = doubles();
    gr_tensor *y = gr_name(gr_tanh(gr_requires_grad(gr_ones(c, GR_SHAPE(2)))), "y");
    CHECK(!gr_fill(y, 1));
    CHECK_FAILS(c, GR_EGRAPH, "gr_fill(\"y\" [2]): was made by tanh and is part of a graph. "
                              "Fix: write to a leaf, or to gr_detach of a copy");
    finish(c);
}

/* ---- gradients that are stored ----------------------------------------------------------------------------------------------*/
TEST(the_gradient_of_a_tensor_that_is_no_leaf_is_refused)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3), *y = gr_name(gr_mul(a, a), "y");
    CHECK(gr_backward(y));
    CHECK(gr_grad(y) == NULL);
    CHECK_FAILS(c, GR_EGRAPH, "gr_grad(\"y\" []): was made by mul and is no leaf, so its gradient was not stored. "
                              "Fix: call gr_retain_grad on it before the sweep, or ask for it with gr_grads");
    finish(c);
}

TEST(a_tensor_that_retains_its_gradient_has_one)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3), *h = gr_retain_grad(gr_mul(a, a)), *root = gr_retain_grad(gr_mul(h, 5.0));
    CHECK(gr_backward(root));
    CHECK(grad_of(h) == 5);
    CHECK(grad_of(root) == 1);
    CHECK(grad_of(a) == 30);
    finish(c);
}

TEST(integers_have_no_gradient)
{
    gr_ctx *c = doubles();
    CHECK(gr_requires_grad(gr_name(gr_ones(c, GR_SHAPE(2), .dtype = GR_I64), "n")) == NULL);
    CHECK_FAILS(c, GR_EDTYPE, "gr_requires_grad(\"n\" i64 [2]): only f32 and f64 tensors have gradients. Fix: convert with gr_astype");
    finish(c);
}

/* ---- roots that are refused ---------------------------------------------------------------------------------------------------*/
TEST(a_root_without_a_marked_leaf_is_refused)
{
    gr_ctx *c = doubles();
    CHECK(!gr_backward(gr_name(gr_mul(gr_scalar(c, 2), 3.0), "loss")));
    CHECK_FAILS(c, GR_EGRAPH, "gr_backward(\"loss\" []): there is no path to differentiate: nothing that it was computed from requires a "
                              "gradient. Fix: mark the leaves with gr_requires_grad before the forward pass");
    finish(c);
}

TEST(a_root_without_derivative_is_refused)
{
    gr_ctx *c = doubles();
    gr_tensor *x = gr_requires_grad(gr_ones(c, GR_SHAPE(2)));
    CHECK(!gr_backward(gr_argmax(x, 0)));
    CHECK_FAILS(c, GR_EGRAPH, "gr_backward(i64 []): there is no path to differentiate: it was made by an operation that has no "
                              "derivative. Fix: mark the leaves with gr_requires_grad before the forward pass");
    finish(c);
}

TEST(a_detached_root_is_refused)
{
    gr_ctx *c = doubles();
    CHECK(!gr_backward(gr_detach(gr_square(leaf(c, 2)))));
    CHECK_FAILS(c, GR_EGRAPH, "gr_backward([]): there is no path to differentiate: it was detached from its history. "
                              "Fix: mark the leaves with gr_requires_grad before the forward pass");
    finish(c);
}

TEST(a_root_of_many_elements_without_weights_is_refused)
{
    gr_ctx *c = doubles();
    gr_tensor *x = gr_requires_grad(gr_ones(c, GR_SHAPE(2, 3)));
    CHECK(!gr_backward(gr_name(gr_square(x), "y")));
    CHECK_FAILS(c, GR_ESHAPE, "gr_backward(\"y\" [2, 3]): the gradient of 6 numbers needs a weight for each. "
                              "Fix: reduce with gr_sum or gr_mean, or pass .grad of shape [2, 3]");
    CHECK(!gr_backward(gr_name(gr_square(x), "y[0]")));
    CHECK_FAILS(c, GR_ESHAPE, "gr_backward(\"y[0]\" [2, 3]): the gradient of 6 numbers needs a weight for each. "
                              "Fix: reduce with gr_sum or gr_mean, or pass .grad of shape [2, 3]");
    finish(c);
}

TEST(weights_of_another_shape_or_dtype_are_refused)
{
    gr_ctx *c = doubles();
    gr_tensor *y = gr_square(gr_requires_grad(gr_ones(c, GR_SHAPE(2, 3))));
    CHECK(!gr_backward(y, .grad = gr_ones(c, GR_SHAPE(3))));
    CHECK_FAILS(c, GR_ESHAPE, "gr_backward([2, 3]): .grad is [3]. Fix: it must have the shape of the root");
    CHECK(!gr_backward(y, .grad = gr_ones(c, GR_SHAPE(2, 3), .dtype = GR_F32)));
    CHECK_FAILS(c, GR_EDTYPE, "gr_backward([2, 3]): .grad is f32, the root f64. Fix: convert it with gr_astype");
    finish(c);
}

TEST(nothing_happens_to_null_or_while_an_error_stands)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 2), *y = gr_square(a), *g = a;
    CHECK(!gr_backward(NULL));
    CHECK(!gr_grads(NULL, &a, 1, &g));
    CHECK(g == NULL && gr_grad(NULL) == NULL && gr_requires_grad(NULL) == NULL && gr_detach(NULL) == NULL);
    gr_zero_grad(NULL);
    CHECK(!gr_failed(c));
    gr_fail(c, GR_EVALUE, "mine");
    CHECK(!gr_backward(y));
    CHECK_FAILS(c, GR_EVALUE, "mine");
    CHECK(gr_backward(y));
    finish(c);
}
