/* gr_grads, derivatives of derivatives, and operations that users define.
 * SPDX-License-Identifier: MIT */
#include "tests/scalars.h"

/* ---- gr_grads ------------------------------------------------------------------------------------------------------------------*/
TEST(grads_returns_derivatives_and_stores_none)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3), *b = leaf(c, 5), *h = gr_mul(a, b), *y = gr_mul(h, a), *d[4];
    CHECK(gr_grads(y, ((gr_tensor *[]){ a, h, y, a }), 4, d));
    CHECK(gr_item(d[0]) == 30 && gr_item(d[1]) == 3 && gr_item(d[2]) == 1 && gr_item(d[3]) == 30);
    CHECK(gr_grad(a) == NULL && gr_grad(b) == NULL);
    CHECK(!gr_needs_grad(d[0]));
    finish(c);
}

TEST(grads_takes_weights)
{
    gr_ctx *c = doubles();
    gr_tensor *x = gr_requires_grad(gr_from(c, GR_SHAPE(2), (double[]){ 1, 2 })), *d;
    CHECK(gr_grads(gr_square(x), &x, 1, &d, .grad = gr_from(c, GR_SHAPE(2), (double[]){ 10, 100 })));
    CHECK(gr_at(d, 0) == 20 && gr_at(d, 1) == 400);
    finish(c);
}

TEST(the_third_derivative_of_x_to_the_fourth_is_24_x)
{
    gr_ctx *c = doubles();
    gr_tensor *x = leaf(c, 5), *y = gr_pow(x, 4.0), *d1, *d2, *d3;
    CHECK(gr_grads(y, &x, 1, &d1, .create_graph = true));
    CHECK(gr_grads(d1, &x, 1, &d2, .create_graph = true));
    CHECK(gr_grads(d2, &x, 1, &d3));
    CHECK_NEAR(gr_item(d1), 4 * 125, 1e-14);
    CHECK_NEAR(gr_item(d2), 12 * 25, 1e-14);
    CHECK_NEAR(gr_item(d3), 24 * 5, 1e-14);
    finish(c);
}

TEST(a_recorded_gradient_can_be_part_of_a_loss)
{
    gr_ctx *c = doubles();
    gr_tensor *x = leaf(c, 3), *w = leaf(c, 2), *g;
    CHECK(gr_grads(gr_mul(gr_mul(x, x), w), &x, 1, &g, .create_graph = true)); /* 2 x w */
    CHECK(gr_backward(gr_square(g)));                                          /* 4 x^2 w^2 */
    CHECK(grad_of(x) == 8 * 3 * 4);
    CHECK(grad_of(w) == 8 * 9 * 2);
    finish(c);
}

TEST(an_input_that_the_result_does_not_depend_on_is_refused)
{
    gr_ctx *c = doubles();
    gr_tensor *a = gr_name(leaf(c, 3), "a"), *b = gr_name(leaf(c, 5), "b"), *constant = gr_scalar(c, 7), *d[2];
    gr_tensor *y = gr_name(gr_square(a), "y");
    CHECK(!gr_grads(y, ((gr_tensor *[]){ a, b }), 2, d, .retain_graph = true));
    CHECK_FAILS(c, GR_EGRAPH, "gr_grads(\"y\" []): does not depend on x[1], \"b\" []. "
                              "Fix: pass .allow_unused = true for NULL, or .zero_unused = true for zeros");
    CHECK(!gr_grads(y, &constant, 1, d, .retain_graph = true));
    CHECK_FAILS(c, GR_EGRAPH, "gr_grads(\"y\" []): does not depend on x[0], [], which does not require a gradient. "
                              "Fix: pass .allow_unused = true for NULL, or .zero_unused = true for zeros");
    finish(c);
}

TEST(an_unused_input_may_give_null_or_zeros)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3), *b = gr_requires_grad(gr_ones(c, GR_SHAPE(2))), *d[2], *y = gr_square(a);
    CHECK(gr_grads(y, ((gr_tensor *[]){ a, b }), 2, d, .retain_graph = true, .allow_unused = true));
    CHECK(gr_item(d[0]) == 6 && d[1] == NULL);
    CHECK(gr_grads(y, ((gr_tensor *[]){ b, a }), 2, d, .zero_unused = true));
    CHECK(gr_at(d[0], 1) == 0 && gr_item(d[1]) == 6);
    CHECK(gr_grads(gr_scalar(c, 1), &a, 1, d, .zero_unused = true)); /* a constant depends on nothing */
    CHECK(gr_item(d[0]) == 0);
    finish(c);
}

TEST(grads_by_null_is_refused)
{
    gr_ctx *c = doubles();
    gr_tensor *a = leaf(c, 3), *d[2];
    CHECK(!gr_grads(gr_square(a), ((gr_tensor *[]){ a, NULL }), 2, d));
    CHECK_FAILS(c, GR_EVALUE, "gr_grads: x[1] is NULL. Fix: pass a tensor");
    finish(c);
}

/* ---- operations that users define -----------------------------------------------------------------------------------------------*/
static bool shape_of_first(gr_call *k)
{
    k->dtype = gr_dtype(k->in[0]);
    k->ndim = gr_ndim(k->in[0]);
    memcpy(k->dim, gr_shape(k->in[0]), (size_t)k->ndim * sizeof *k->dim);
    return true;
}
static bool add_number(const gr_call *k, gr_tensor *y)
{
    const double *a = gr_data(k->in[0]), b = *(const double *)gr_data(k->in[1]);
    for (int64_t i = 0; i < gr_numel(y); i++) ((double *)gr_data(y))[i] = a[i] + b;
    return true;
}
static gr_tensor *forgets_to_reduce(gr_tensor *y, gr_tensor *dy, int i)
{
    (void)y, (void)i;
    return dy;
}
static gr_tensor *changes_dtype(gr_tensor *y, gr_tensor *dy, int i)
{
    (void)y;
    return i == 0 ? gr_astype(dy, GR_F32) : gr_sum(dy);
}
static gr_tensor *reduces(gr_tensor *y, gr_tensor *dy, int i)
{
    (void)y;
    return i == 0 ? dy : gr_sum(dy);
}
static gr_tensor *has_no_second_part(gr_tensor *y, gr_tensor *dy, int i)
{
    (void)y;
    return i == 0 ? dy : NULL;
}

TEST(a_vjp_that_forgets_to_reduce_a_broadcast_is_refused)
{
    gr_ctx *c = doubles();
    const gr_op op = { .name = "add_number", .arity = 2, .shape = shape_of_first, .forward = add_number, .vjp = forgets_to_reduce };
    gr_tensor *in[] = { gr_requires_grad(gr_ones(c, GR_SHAPE(3))), gr_name(leaf(c, 2), "b") };
    CHECK(!gr_backward(gr_sum(gr_apply(&op, in, 2, NULL))));
    CHECK_FAILS(c, GR_ESHAPE, "gr_backward: vjp of add_number gave a gradient [3] for input 1, which is \"b\" []. "
                              "Fix: a gradient has exactly the shape of its input; sum what was broadcast with gr_sum_to");
    finish(c);
}

TEST(a_vjp_that_changes_the_dtype_is_refused)
{
    gr_ctx *c = doubles();
    const gr_op op = { .name = "add_number", .arity = 2, .shape = shape_of_first, .forward = add_number, .vjp = changes_dtype };
    gr_tensor *in[] = { gr_name(gr_requires_grad(gr_ones(c, GR_SHAPE(3))), "a"), leaf(c, 2) }, *d;
    CHECK(!gr_grads(gr_sum(gr_apply(&op, in, 2, NULL)), in, 1, &d));
    CHECK_FAILS(c, GR_EDTYPE, "gr_grads: vjp of add_number gave a gradient [3] of f32 for input 0, which is \"a\" [3] of f64. "
                              "Fix: convert it with gr_astype");
    finish(c);
}

TEST(a_user_operation_is_differentiated_as_the_others_are)
{
    gr_ctx *c = doubles();
    const gr_op op = { .name = "add_number", .arity = 2, .shape = shape_of_first, .forward = add_number, .vjp = reduces };
    gr_tensor *in[] = { gr_requires_grad(gr_ones(c, GR_SHAPE(3))), leaf(c, 2) };
    CHECK(gr_backward(gr_sum(gr_square(gr_apply(&op, in, 2, NULL)))));
    CHECK(gr_at(gr_grad(in[0]), 2) == 6);
    CHECK(grad_of(in[1]) == 18);
    finish(c);
}

TEST(a_vjp_may_give_null_for_no_gradient)
{
    gr_ctx *c = doubles();
    const gr_op op = { .name = "add_number", .arity = 2, .shape = shape_of_first, .forward = add_number, .vjp = has_no_second_part };
    gr_tensor *in[] = { gr_requires_grad(gr_ones(c, GR_SHAPE(3))), leaf(c, 2) };
    CHECK(gr_backward(gr_sum(gr_apply(&op, in, 2, NULL))));
    CHECK(gr_at(gr_grad(in[0]), 2) == 1);
    CHECK(gr_grad(in[1]) == NULL);
    finish(c);
}

TEST(a_user_operation_is_called_with_the_inputs_that_it_takes)
{
    gr_ctx *c = doubles(), *other = doubles();
    const gr_op op = { .name = "add_number", .arity = 2, .shape = shape_of_first, .forward = add_number, .vjp = reduces };
    gr_tensor *in[] = { gr_ones(c, GR_SHAPE(3)), NULL };
    CHECK(gr_apply(&op, in, 1, NULL) == NULL);
    CHECK_FAILS(c, GR_EVALUE, "add_number: got 1 inputs, takes 2. Fix: call the public function of the operation");
    CHECK(gr_apply(&op, in, 2, NULL) == NULL);
    CHECK_FAILS(c, GR_EVALUE, "add_number: input 1 is NULL. Fix: pass a tensor");
    in[1] = gr_ones(other, GR_SHAPE());
    CHECK(gr_apply(&op, in, 2, NULL) == NULL);
    CHECK_FAILS(c, GR_EVALUE, "add_number: inputs 0 and 1 belong to different contexts. Fix: make both in one context");
    finish(c);
    finish(other);
}

/* y = x^2, whose vjp differentiates a recorded expression of the same input by gr_grads */
static bool square_forward(const gr_call *k, gr_tensor *y)
{
    double x = *(const double *)gr_data(k->in[0]);
    *(double *)gr_data(y) = x * x;
    return true;
}
static gr_tensor *square_by_a_nested_sweep(gr_tensor *y, gr_tensor *dy, int i)
{
    (void)i;
    gr_tensor *x = gr_input(y, 0), *d = NULL;
    gr_grads(gr_mul(x, x), &x, 1, &d, .create_graph = true);
    return gr_mul(dy, d);
}

TEST(a_vjp_may_itself_sweep)
{
    gr_ctx *c = doubles();
    const gr_op op = { .name = "nested", .arity = 1, .forward = square_forward, .vjp = square_by_a_nested_sweep };
    gr_tensor *x = leaf(c, 3), *d, *dd;
    gr_tensor *y = gr_mul(gr_apply(&op, &x, 1, NULL), x);
    CHECK(gr_grads(y, &x, 1, &d, .create_graph = true)); /* x^3 */
    CHECK(d && gr_item(d) == 27);
    CHECK(gr_grads(d, &x, 1, &dd, .create_graph = true));
    CHECK(dd && gr_item(dd) == 18);
    finish(c);
}

/* The same through many nodes, so that what the sweep puts back afterwards outgrows its memory. */
static gr_tensor *square_by_a_long_nested_sweep(gr_tensor *y, gr_tensor *dy, int i)
{
    (void)i;
    gr_tensor *x = gr_input(y, 0), *z = gr_mul(x, x), *d = NULL;
    for (int k = 0; k < 200; k++) z = gr_neg(gr_neg(z));
    gr_grads(z, &x, 1, &d, .create_graph = true);
    return gr_mul(dy, d);
}
static void sweep_in_a_vjp(gr_ctx *c)
{
    const gr_op op = { .name = "nested", .arity = 1, .forward = square_forward, .vjp = square_by_a_long_nested_sweep };
    gr_tensor *x = gr_requires_grad(gr_full(c, GR_SHAPE(), 3, .dtype = GR_F64)), *d = NULL;
    bool ok = gr_grads(gr_mul(gr_apply(&op, &x, 1, NULL), x), &x, 1, &d, .create_graph = true);
    CHECK(ok ? gr_item(d) == 27 : gr_failed(c));
}

TEST(every_allocation_of_a_sweep_in_a_vjp_may_fail) { CHECK(test_every_allocation(sweep_in_a_vjp) > 4); }

/* A record.backward that nobody may see when the derivative is differentiated. */
static bool wrong_on_purpose(gr_tensor *y, gr_tensor *dy, gr_tensor **dx)
{
    (void)y;
    dx[0] = gr_mul(dy, 100.0);
    return dx[0] != NULL;
}
static gr_tensor *double_x_dy(gr_tensor *y, gr_tensor *dy, int i)
{
    (void)i;
    return gr_mul(gr_mul(gr_input(y, 0), dy), 2.0);
}

TEST(the_fused_backward_serves_plain_sweeps_and_the_vjp_recorded_ones)
{
    gr_ctx *c = doubles();
    const gr_op op = { .name = "square", .arity = 1, .forward = square_forward, .vjp = double_x_dy, .backward = wrong_on_purpose };
    gr_tensor *x = leaf(c, 3), *d;
    CHECK(gr_grads(gr_apply(&op, &x, 1, NULL), &x, 1, &d));
    CHECK(gr_item(d) == 100);
    CHECK(gr_grads(gr_apply(&op, &x, 1, NULL), &x, 1, &d, .create_graph = true));
    CHECK(gr_item(d) == 6);
    finish(c);
}
