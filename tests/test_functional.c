/* Jacobians, Hessians and their products, against closed forms.
 * SPDX-License-Identifier: MIT */
#include "core/core.h"
#include "ops/ops.h"
#include "tests/test.h"

static gr_ctx *f64(void) { return gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 }); }

TEST(the_jacobian_of_a_linear_map_is_its_matrix)
{
    gr_ctx *c = f64();
    gr_tensor *a = gr_from(c, GR_SHAPE(2, 3), (double[]){ 1, 2, 3, 4, 5, 6 }), *x = gr_requires_grad(gr_ones(c, GR_SHAPE(3)));
    gr_tensor *j = gr_jacobian(gr_matmul(a, x), x);
    CHECK(gr_ndim(j) == 2 && gr_size(j, 0) == 2 && gr_size(j, 1) == 3);
    for (int i = 0; i < 6; i++) CHECK(gr_at(j, i / 3, i % 3) == i + 1);
    gr_ctx_free(c);
}

TEST(products_with_the_jacobian_agree_with_it)
{
    gr_ctx *c = f64();
    gr_tensor *x = gr_requires_grad(gr_randn(c, GR_SHAPE(2, 2))), *u = gr_randn(c, GR_SHAPE(2, 2)), *v = gr_randn(c, GR_SHAPE(2, 2));
    gr_tensor *y = gr_tanh(gr_matmul(x, gr_transpose(x, 0, 1)));
    double ju = gr_item(gr_sum(gr_mul(v, gr_jvp(y, x, u)))), vj = gr_item(gr_sum(gr_mul(u, gr_vjp(y, x, v))));
    CHECK_NEAR(ju, vj, 1e-14);
    gr_tensor *j = gr_reshape(gr_jacobian(y, x), GR_SHAPE(4, 4));
    CHECK_NEAR(gr_item(gr_matmul(gr_reshape(v, GR_SHAPE(4)), gr_matmul(j, gr_reshape(u, GR_SHAPE(4))))), ju, 1e-14);
    CHECK(!gr_failed(c));
    gr_ctx_free(c);
}

TEST(the_hessian_of_rosenbrock_is_exact)
{
    gr_ctx *c = f64();
    gr_tensor *x = gr_requires_grad(gr_from(c, GR_SHAPE(2), (double[]){ -1.2, 1 }));
    gr_tensor *a = gr_select(x, 0, 0), *b = gr_select(x, 0, 1);
    gr_tensor *y = gr_add(gr_square(gr_sub(1, a)), gr_mul(100, gr_square(gr_sub(b, gr_square(a)))));
    gr_tensor *h = gr_hessian(y, x);
    CHECK_NEAR(gr_at(h, 0, 0), 1200 * 1.44 - 400 + 2, 1e-14);
    CHECK_NEAR(gr_at(h, 0, 1), 480, 1e-14);
    CHECK_NEAR(gr_at(h, 1, 0), 480, 1e-14);
    CHECK(gr_at(h, 1, 1) == 200);
    gr_tensor *v = gr_from(c, GR_SHAPE(2), (double[]){ 1, -1 }), *hv = gr_hvp(y, x, v);
    CHECK_NEAR(gr_at(hv, 0), gr_at(h, 0, 0) - 480, 1e-14);
    CHECK(!gr_failed(c));
    gr_ctx_free(c);
}

TEST(derivatives_of_any_order_come_from_repeated_sweeps)
{
    gr_ctx *c = f64();
    gr_tensor *x = gr_requires_grad(gr_scalar(c, 0.7)), *y = gr_sin(x);
    for (int order = 1; order <= 6; order++) {
        gr_tensor *g;
        CHECK(gr_grads(y, &x, 1, &g, .create_graph = true));
        y = g;
        CHECK_NEAR(gr_item(y), order % 4 == 1 ? cos(0.7) : order % 4 == 2 ? -sin(0.7) : order % 4 == 3 ? -cos(0.7) : sin(0.7), 1e-15);
    }
    gr_ctx_free(c);
}

TEST(a_linear_function_has_a_zero_hessian)
{
    gr_ctx *c = f64();
    gr_tensor *x = gr_requires_grad(gr_ones(c, GR_SHAPE(2))), *h = gr_hessian(gr_sum(gr_mul(x, 3)), x);
    for (int i = 0; i < 4; i++) CHECK(gr_at(h, i / 2, i % 2) == 0);
    gr_ctx_free(c);
}
