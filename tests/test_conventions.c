/* The frozen conventions: gradients at kinks, ties, singular and infinite points, each as one row.
 * The numbers are those of PyTorch where it is right, and of the rules in docs/conventions.md where we differ.
 * SPDX-License-Identifier: MIT */
#include "core/core.h"
#include "ops/ops.h"
#include "tests/test.h"

#define I INFINITY
#define MAX 8

typedef gr_tensor *fn1(gr_tensor *x);

/* y = f(x) and the gradient of sum(y), checked against the lists; n elements, one input */
static void row(int line, fn1 *f, int n, const double *x, const double *y, const double *dx)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    gr_tensor *t = gr_requires_grad(gr_from(c, GR_SHAPE(n), x)), *r = f(t);
    double got[MAX * MAX];
    if (y && gr_read(r, got))
        for (int i = 0; i < (int)gr_numel(r); i++)
            if (!(got[i] == y[i] || (isnan(got[i]) && isnan(y[i])) || fabs(got[i] - y[i]) < 1e-14 * fabs(y[i])))
                test_errors++, printf("# line %d: y[%d] = %.17g, expected %.17g\n", line, i, got[i], y[i]);
    gr_backward(gr_sum(r));
    if (dx && gr_read(gr_grad(t), got))
        for (int i = 0; i < n; i++)
            if (!(got[i] == dx[i] || (isnan(got[i]) && isnan(dx[i])) || fabs(got[i] - dx[i]) < 1e-14 * fabs(dx[i])))
                test_errors++, printf("# line %d: dx[%d] = %.17g, expected %.17g\n", line, i, got[i], dx[i]);
    if (gr_failed(c)) test_errors++, printf("# line %d: %s\n", line, gr_message(c));
    gr_ctx_free(c);
}
#define V(...) (const double[]){ __VA_ARGS__ }
#define ROW(f, n, x, y, dx) row(__LINE__, f, n, x, y, dx)

/* d^2 sum(f) / dx^2 along ones: zero at kinks, and connected to x rather than "unused" */
static void second(int line, fn1 *f, int n, const double *x, const double *want)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    gr_tensor *t = gr_requires_grad(gr_from(c, GR_SHAPE(n), x)), *g = NULL, *h = NULL;
    gr_grads(gr_sum(f(t)), &t, 1, &g, .create_graph = true);
    gr_grads(gr_sum(g), &t, 1, &h);
    double got[MAX];
    if (!gr_read(h, got)) test_errors++, printf("# line %d: %s\n", line, gr_message(c));
    for (int i = 0; h && i < n; i++)
        if (!(fabs(got[i] - want[i]) < 1e-14 || got[i] == want[i])) test_errors++, printf("# line %d: h[%d] = %.17g, expected %.17g\n", line, i, got[i], want[i]);
    gr_ctx_free(c);
}
#define SECOND(f, n, x, h) second(__LINE__, f, n, x, h)

/* f(a, b) of single numbers, both with gradients */
static void pair(int line, gr_tensor *(*f)(gr_tensor *, gr_tensor *), double a, double b, double y, double da, double db)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    gr_tensor *x = gr_requires_grad(gr_scalar(c, a)), *z = gr_requires_grad(gr_scalar(c, b)), *r = f(x, z);
    gr_backward(r);
    double got[] = { gr_item(r), gr_item(gr_grad(x)), gr_item(gr_grad(z)) }, want[] = { y, da, db };
    for (int i = 0; i < 3; i++)
        if (!(got[i] == want[i] || (isnan(got[i]) && isnan(want[i])) || fabs(got[i] - want[i]) < 1e-14 * fabs(want[i])))
            test_errors++, printf("# line %d: (%g, %g): %s is %.17g, expected %.17g\n", line, a, b, i == 0 ? "y" : i == 1 ? "da" : "db", got[i], want[i]);
    if (gr_failed(c)) test_errors++, printf("# line %d: %s\n", line, gr_message(c));
    gr_ctx_free(c);
}
#define PAIR(f, ...) pair(__LINE__, f, __VA_ARGS__)

/* ---- element-wise ------------------------------------------------------------------------------------------------------------*/
TEST(relu_passes_nothing_at_zero_and_everything_at_nan)
{
    ROW(gr_relu, 5, V(-1, -0.0, 0, 1, NAN), V(0, 0, 0, 1, NAN), V(0, 0, 0, 1, 1));
    SECOND(gr_relu, 3, V(-1, 0, 1), V(0, 0, 0));
}
TEST(abs_and_sign_have_derivative_zero_at_zero)
{
    ROW(gr_abs, 5, V(-1, -0.0, 0, 1, NAN), V(1, 0, 0, 1, NAN), V(-1, 0, 0, 1, NAN));
    ROW(gr_sign, 3, V(-2, 0, 2), V(-1, 0, 1), V(0, 0, 0));
    SECOND(gr_abs, 3, V(-1, 0, 1), V(0, 0, 0));
    SECOND(gr_sign, 3, V(-1, 0, 1), V(0, 0, 0));
}
TEST(smooth_activations_saturate_without_overflow)
{
    ROW(gr_gelu, 7, V(-I, -800, 0, 800, I, 1e300, NAN), V(0, 0, 0, 800, I, 1e300, NAN), V(0, 0, 0.5, 1, 1, 1, NAN));
    ROW(gr_silu, 6, V(-I, -800, 0, 800, I, NAN), V(0, 0, 0, 800, I, NAN), V(0, 0, 0.5, 1, 1, NAN));
    ROW(gr_softplus, 6, V(-I, -800, 0, 800, I, NAN), V(0, 0, log(2), 800, I, NAN), V(0, 0, 0.5, 1, 1, NAN));
    ROW(gr_erf, 5, V(-I, -30, 0, 30, I), V(-1, -1, 0, 1, 1), V(0, 0, 1.1283791670955126, 0, 0));
    ROW(gr_log1p, 4, V(-1, 0, I, -2), V(-I, 0, I, NAN), V(I, 1, 0, -1));
    ROW(gr_expm1, 3, V(-I, 0, I), V(-1, 0, I), V(0, 1, I));
    SECOND(gr_gelu, 3, V(-800, 0, 800), V(0, 0.79788456080286541, 0));
    SECOND(gr_silu, 3, V(-800, 0, 800), V(0, 0.5, 0));
    SECOND(gr_softplus, 3, V(-800, 0, 800), V(0, 0.25, 0));
}
TEST(singular_points_have_infinite_derivatives)
{
    ROW(gr_sqrt, 3, V(0, -1, 4), V(0, NAN, 2), V(I, NAN, 0.25));
    ROW(gr_log, 3, V(0, -1, 2), V(-I, NAN, log(2)), V(I, -1, 0.5));
    ROW(gr_reciprocal, 2, V(0, 2), V(I, 0.5), V(-I, -0.25));
}
static gr_tensor *power_0(gr_tensor *x) { return gr_pow(x, 0); }
static gr_tensor *power_1(gr_tensor *x) { return gr_pow(x, 1); }
static gr_tensor *power_2(gr_tensor *x) { return gr_pow(x, 2); }
static gr_tensor *power_half(gr_tensor *x) { return gr_pow(x, 0.5); }
static gr_tensor *power_minus(gr_tensor *x) { return gr_pow(x, -1); }
static gr_tensor *power_1_5(gr_tensor *x) { return gr_pow(x, 1.5); }
static gr_tensor *of_zero(gr_tensor *x) { return gr_pow(0, x); }
TEST(powers_at_zero)
{
    ROW(power_0, 2, V(0, 2), V(1, 1), V(0, 0));
    ROW(power_1, 1, V(0), V(0), V(1));
    ROW(power_2, 1, V(0), V(0), V(0));
    ROW(power_half, 1, V(0), V(0), V(I));
    ROW(power_minus, 1, V(0), V(I), V(-I));
    ROW(power_1_5, 2, V(-1, 0), V(NAN, 0), V(NAN, 0));
    ROW(of_zero, 4, V(0, 1, 2, -1), V(1, 0, 0, I), V(0, 0, 0, -I));
    SECOND(power_2, 2, V(0, 1), V(2, 2));
    SECOND(power_1_5, 1, V(0), V(I));
    SECOND(power_0, 2, V(0, 3), V(0, 0));
}
TEST(powers_of_two_tensors)
{
    PAIR((gr_pow), 0, 0, 1, 0, 0);
    PAIR((gr_pow), 0, 1, 0, 1, 0);
    PAIR((gr_pow), 0, 2, 0, 0, 0);
    PAIR((gr_pow), 0, -1, I, -I, -I);
    PAIR((gr_pow), 0, 0.5, 0, I, 0);
    PAIR((gr_pow), -2, 3, -8, 12, NAN);
    PAIR((gr_pow), -2, 0, 1, 0, NAN);
    PAIR((gr_pow), I, 0, 1, 0, I);
}
TEST(maximum_shares_ties_between_tensors_and_follows_nan)
{
    PAIR((gr_maximum), 1, 1, 1, 0.5, 0.5);
    PAIR((gr_maximum), 2, 1, 2, 1, 0);
    PAIR((gr_maximum), NAN, 1, NAN, 1, 0);
    PAIR((gr_maximum), 1, NAN, NAN, 0, 1);
    PAIR((gr_maximum), NAN, NAN, NAN, 0.5, 0.5);
    PAIR((gr_minimum), 1, 1, 1, 0.5, 0.5);
    PAIR((gr_minimum), 1, 2, 1, 1, 0);
}
static gr_tensor *at_least_1(gr_tensor *x) { return gr_maximum(x, 1); }
static gr_tensor *at_most_1(gr_tensor *x) { return gr_minimum(1, x); }
static gr_tensor *clamped(gr_tensor *x) { return gr_clamp(x, -1, 1); }
static gr_tensor *crossed(gr_tensor *x) { return gr_clamp(x, 1, -1); }
TEST(ties_with_a_number_and_bounds_of_clamp_give_zero)
{
    ROW(at_least_1, 3, V(0, 1, 2), V(1, 1, 2), V(0, 0, 1));
    ROW(at_most_1, 3, V(0, 1, 2), V(0, 1, 1), V(1, 0, 0));
    ROW(clamped, 6, V(-2, -1, 0, 1, 2, NAN), V(-1, -1, 0, 1, 1, NAN), V(0, 0, 1, 0, 0, 0));
    ROW(crossed, 3, V(-2, 0, 2), V(-1, -1, -1), V(0, 0, 0));
    SECOND(clamped, 3, V(-1, 0, 1), V(0, 0, 0));
}
static gr_tensor *maximum_with_itself_shifted(gr_tensor *x) { return (gr_maximum)(x, gr_mul(x, 2)); }
TEST(second_derivatives_at_ties_are_connected_zeros) { SECOND(maximum_with_itself_shifted, 3, V(-1, 0, 1), V(0, 0, 0)); }
TEST(division_follows_ieee)
{
    PAIR((gr_div), 0, 0, NAN, I, NAN);
    PAIR((gr_div), 1, 0, I, I, -I);
    PAIR((gr_div), 1, 2, 0.5, 0.5, -0.25);
}
static gr_tensor *guarded_root(gr_tensor *x) { return gr_where(gr_gt(x, 0), gr_sqrt(x), 0); }
static gr_tensor *root_of_square(gr_tensor *x) { return gr_sqrt(gr_square(x)); }
static gr_tensor *root_times_zero(gr_tensor *x) { return gr_mul(gr_sqrt(x), 0); }
TEST(a_zero_cotangent_absorbs_so_where_never_leaks)
{
    ROW(guarded_root, 3, V(0, -1, 4), V(0, 0, 2), V(0, 0, 0.25));
    ROW(root_times_zero, 2, V(0, 4), V(0, 0), V(0, 0));
    ROW(root_of_square, 2, V(0, -3), V(0, 3), V(NAN, -1)); /* inf * 0: only the cotangent absorbs */
}
TEST(smooth_functions_survive_large_inputs)
{
    ROW(gr_sigmoid, 3, V(0, -800, 800), V(0.5, 0, 1), V(0.25, 0, 0));
    ROW(gr_tanh, 2, V(-800, 800), V(-1, 1), V(0, 0));
    PAIR(gr_bce_with_logits, 800, 0, 800, 1, -800);
    PAIR(gr_bce_with_logits, -800, 1, 800, -1, 800);
    PAIR(gr_bce_with_logits, 800, 1, 0, 0, -800);
}
static gr_tensor *of_comparison(gr_tensor *x) { return gr_mul(x, gr_gt(x, 0)); }
TEST(comparisons_are_constants) { ROW(of_comparison, 3, V(-1, 0, 2), V(0, 0, 2), V(0, 0, 1)); }

/* ---- reductions ----------------------------------------------------------------------------------------------------------------*/
static gr_tensor *largest(gr_tensor *x) { return gr_max(x, .keepdim = false); }
static gr_tensor *smallest(gr_tensor *x) { return gr_min(x, .keepdim = false); }
static gr_tensor *product(gr_tensor *x) { return gr_prod(x, .keepdim = false); }
static gr_tensor *average(gr_tensor *x) { return gr_mean(x, .keepdim = false); }
static gr_tensor *lse(gr_tensor *x) { return gr_logsumexp(x, .keepdim = false); }
TEST(max_and_min_share_ties_evenly_and_a_nan_wins)
{
    ROW(largest, 4, V(1, 3, 3, 2), V(3), V(0, 0.5, 0.5, 0));
    ROW(smallest, 3, V(1, 1, 2), V(1), V(0.5, 0.5, 0));
    ROW(largest, 3, V(1, NAN, 2), V(NAN), V(0, 1, 0));
    ROW(largest, 4, V(NAN, NAN, 2, I), V(NAN), V(0.5, 0.5, 0, 0));
    ROW(largest, 2, V(-I, -I), V(-I), V(0.5, 0.5));
    SECOND(largest, 3, V(3, 3, 1), V(0, 0, 0));
}
TEST(products_are_exact_with_zeros_at_both_orders)
{
    ROW(product, 3, V(0, 2, 3), V(0), V(6, 0, 0));
    ROW(product, 3, V(0, 0, 3), V(0), V(0, 0, 0));
    ROW(product, 1, V(0), V(0), V(1));
    SECOND(product, 3, V(0, 2, 3), V(5, 3, 2));
    SECOND(product, 3, V(0, 0, 3), V(3, 3, 0));
    SECOND(product, 5, V(1, 2, 0, 3, 4), V(24, 12, 50, 8, 6) /* sum over j of the product without i and j */);
}
TEST(empty_reductions)
{
    ROW(product, 0, V(0), V(1), NULL);
    ROW(average, 0, V(0), V(NAN), NULL);
}
TEST(logsumexp_of_infinities)
{
    ROW(lse, 2, V(-I, -I), V(-I), V(0, 0));
    ROW(lse, 2, V(-I, 0), V(0), V(0, 1));
    ROW(lse, 2, V(1000, 1000), V(1000 + log(2)), NULL);
    ROW(lse, 2, V(1, 1), V(1 + log(2)), V(0.5, 0.5));
    SECOND(lse, 2, V(1, 1), V(0, 0));
}
static gr_tensor *soft(gr_tensor *x) { return gr_softmax(x, 0); }
static gr_tensor *soft_last(gr_tensor *x) { return gr_select(gr_log_softmax(x, 0), 0, 1); }
TEST(softmax_of_infinities)
{
    ROW(soft, 2, V(-I, -I), V(NAN, NAN), NULL);
    ROW(soft, 3, V(-I, 0, 0), V(0, 0.5, 0.5), V(0, 0, 0));
    ROW(soft_last, 2, V(-I, 0), V(0), V(0, 0));
}
TEST(cross_entropy_of_far_logits_stays_finite)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_requires_grad(gr_from(c, GR_SHAPE(1, 2), (float[]){ 1000, 0 }));
    gr_tensor *y = gr_cross_entropy_rows(x, gr_from(c, GR_SHAPE(1), (int[]){ 1 }));
    CHECK(gr_at(y, 0) == 1000);
    gr_backward(gr_sum(y));
    CHECK(gr_at(gr_grad(x), 0, 0) == 1 && gr_at(gr_grad(x), 0, 1) == -1);
    gr_ctx_free(c);
}
/* n logits far from 0, of which the first is 20 above the others; the target is class t, by its number and as a probability */
static void check_far_top(gr_type type, int64_t n, int64_t t, double far)
{
    gr_ctx *c = gr_ctx_new(NULL);
    double small = log1p((double)(n - 1) * exp(-20)), want = t ? 20 + small : small, unit = type == GR_F32 ? 0x1p-23 : 0x1p-52;
    gr_tensor *x = gr_full(c, GR_SHAPE(2, n), far, .dtype = type), *p = gr_zeros(c, GR_SHAPE(2, n), .dtype = type);
    for (int i = 0; i < 2; i++) {
        gr_copy_to(gr_select(gr_select(x, 0, i), 0, 0), gr_full(c, GR_SHAPE(), far + 20, .dtype = type));
        gr_copy_to(gr_select(gr_select(p, 0, i), 0, t), gr_full(c, GR_SHAPE(), 1, .dtype = type));
    }
    gr_tensor *loss = gr_cross_entropy_rows(x, gr_full(c, GR_SHAPE(2), (double)t, .dtype = GR_I64)), *soft = gr_cross_entropy_rows(x, p);
    for (int i = 0; i < 2; i++) CHECK(fabs(gr_at(loss, i) - want) <= 8 * unit * want && fabs(gr_at(soft, i) - want) <= 8 * unit * want);
    CHECK_STR(gr_message(c), "");
    gr_ctx_free(c);
}
TEST(cross_entropy_keeps_the_digits_of_a_small_loss_of_large_logits)
{
    for (int64_t n = 2; n < 200; n = 3 * n + 1)
        for (int64_t t = 0; t < 2; t++) check_far_top(GR_F32, n, t, 0x1p17), check_far_top(GR_F64, n, t, -0x1p40);
}

/* ---- indexing --------------------------------------------------------------------------------------------------------------------*/
static gr_tensor *twice_the_first(gr_tensor *x)
{
    return gr_gather(x, 0, gr_from(gr_ctx_of(x), GR_SHAPE(3), (int[]){ 1, 1, 0 }));
}
static gr_tensor *add_at_one(gr_tensor *x)
{
    gr_ctx *c = gr_ctx_of(x);
    return gr_scatter_add(x, 0, gr_from(c, GR_SHAPE(2), (int[]){ 1, 1 }), gr_from(c, GR_SHAPE(2), (double[]){ 5, 7 }));
}
TEST(duplicate_indices_accumulate)
{
    ROW(twice_the_first, 3, V(1, 2, 3), V(2, 2, 1), V(1, 2, 0));
    ROW(add_at_one, 3, V(1, 2, 3), V(1, 14, 3), V(1, 1, 1));
}

static gr_tensor *attend(gr_tensor *x)
{
    gr_ctx *c = gr_ctx_of(x);
    gr_tensor *mask = gr_from(c, GR_SHAPE(2, 3), (bool[]){ true, false, true, false, false, false });
    gr_tensor *y = gr_masked_softmax(gr_reshape(x, GR_SHAPE(2, 3)), mask, -1);
    return gr_reshape(gr_mul(y, gr_from(c, GR_SHAPE(3), (double[]){ 1, 7, 3 })), GR_SHAPE(6));
}
TEST(a_masked_softmax_of_nothing_is_zero_with_zero_gradient)
{
    ROW(attend, 6, V(2, NAN, 2, 1, I, NAN), V(0.5, 0, 1.5, 0, 0, 0), V(-0.5, 0, 0.5, 0, 0, 0));
    SECOND(attend, 6, V(2, 5, 2, 1, 2, 3), V(0, 0, 0, 0, 0, 0));
}
static gr_tensor *hide_second(gr_tensor *x)
{
    return gr_masked_fill(gr_sqrt(x), gr_from(gr_ctx_of(x), GR_SHAPE(3), (bool[]){ false, true, false }), -I);
}
TEST(masked_fill_hides_value_and_derivative)
{
    ROW(hide_second, 3, V(4, -1, 1), V(2, -I, 1), V(0.25, 0, 0.5));
}
static gr_tensor *rows_twice(gr_tensor *x)
{
    gr_ctx *c = gr_ctx_of(x);
    return gr_embedding(gr_reshape(x, GR_SHAPE(2, 2)), gr_from(c, GR_SHAPE(3), (int[]){ 1, 1, 0 }));
}
TEST(embedded_rows_accumulate)
{
    ROW(rows_twice, 4, V(1, 2, 3, 4), V(3, 4, 3, 4, 1, 2), V(1, 1, 2, 2));
}
static gr_tensor *norm_row(gr_tensor *x) { return gr_layer_norm(x); }
TEST(layer_norm_of_equal_elements_is_zero_and_a_nan_stays_in_its_row)
{
    ROW(norm_row, 3, V(5, 5, 5), V(0, 0, 0), V(0, 0, 0));
    ROW(norm_row, 3, V(5, NAN, 5), V(NAN, NAN, NAN), V(NAN, NAN, NAN));
    ROW(norm_row, 4, V(1e8 + 1, 1e8, 1e8 + 1, 1e8), V(0.99998000059998, -0.99998000059998, 0.99998000059998, -0.99998000059998), NULL);
}

/* ---- integers ------------------------------------------------------------------------------------------------------------------*/
TEST(numbers_take_the_dtype_of_the_tensor_beside_them)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *i = gr_from(c, GR_SHAPE(2), (int[]){ 7, -7 }), *f = gr_from(c, GR_SHAPE(2), (double[]){ 1, 2 });
    CHECK(gr_dtype(gr_add(i, 1)) == GR_I64);
    CHECK(gr_dtype(gr_add(i, 0.5)) == GR_F32);
    CHECK(gr_dtype(gr_div(i, 2)) == GR_F32 && gr_at(gr_div(i, 2), 0) == 3.5);
    CHECK(gr_dtype(gr_add(i, f)) == GR_F64);
    CHECK(gr_dtype(gr_mul(f, 2)) == GR_F64);
    CHECK(gr_dtype(gr_add(gr_gt(f, 1), gr_gt(f, 0))) == GR_I64);
    CHECK(gr_dtype(gr_exp(i)) == GR_F32);
    CHECK(gr_item(gr_sum(gr_gt(f, 0))) == 2);
    CHECK(!gr_failed(c));
    gr_ctx_free(c);
}
