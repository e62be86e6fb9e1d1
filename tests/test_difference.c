/* The differences of the gradient check: functions that make them hard, scales, kinks and what is found there.
 * SPDX-License-Identifier: MIT */
#include "tests/wrong.h"

/* ---- hard to difference ------------------------------------------------------------------------------------------*/
typedef struct hard {
    const char *name;
    gr_tensor *(*f)(gr_tensor *x);
    double x, factor; /* of the gradient: 1 is right */
    gr_verdict verdict;
} hard;

FUNCTION(cube, gr_mul(gr_square(x), x))
FUNCTION(small, gr_mul(x, 1e-6))
FUNCTION(offset_slope, gr_add(gr_mul(x, 1e-3), 1e9))
FUNCTION(times_billion, gr_mul(gr_tanh(x), 1e9))
FUNCTION(huge, gr_exp(gr_mul(x, 100)))
FUNCTION(around, gr_relu(gr_sub(x, 1)))
FUNCTION(wiggle, gr_sin(gr_mul(x, 1000)))

/* x with a gradient that is multiplied by *attr */
static bool same_forward(const gr_call *k, gr_tensor *y) { return gr_copy_to(y, k->in[0]); }
static gr_tensor *times_attr(gr_tensor *y, gr_tensor *dy, int i) { return (void)i, gr_mul(dy, *(const double *)gr_attr(y)); }
static const gr_op spoiler = { .name = "spoiler", .arity = 1, .attr_size = sizeof(double), .forward = same_forward, .vjp = times_attr };

static gr_tensor *run_hard(gr_tensor **x, void *user)
{
    const hard *h = user;
    return h->f(h->factor == 1 ? x[0] : gr_apply(&spoiler, x, 1, &h->factor));
}

static const hard difficult[] = {
    { "1/x at 1e-7", gr_reciprocal, 1e-7, 1, GR_CHECK_PASS },
    { "1/x at 1e-7, 1 % off", gr_reciprocal, 1e-7, 1.01, GR_CHECK_FAIL },
    { "sqrt at 1e-10", gr_sqrt, 1e-10, 1, GR_CHECK_PASS },
    { "sqrt at 1e-10, 1 % off", gr_sqrt, 1e-10, 1.01, GR_CHECK_FAIL },
    { "log at 3e-6", gr_log, 3e-6, 1, GR_CHECK_PASS },
    { "log at 3e-6, doubled", gr_log, 3e-6, 2, GR_CHECK_FAIL },
    { "x^3 at 1e-8", cube, 1e-8, 1, GR_CHECK_PASS },
    { "x^3 at 1e-8, 1 % off", cube, 1e-8, 1.01, GR_CHECK_FAIL },
    { "1e-6 x, 5 times and the sign", small, 0.7, -5, GR_CHECK_FAIL },
    { "1e-6 x", small, 0.7, 1, GR_CHECK_PASS },
    { "1e9 + 1e-3 x", offset_slope, 0.7, 1, GR_CHECK_INCONCLUSIVE },
    { "1e9 + 1e-3 x, doubled", offset_slope, 0.7, 3, GR_CHECK_FAIL },
    { "1e9 tanh x", times_billion, 0.3, 1, GR_CHECK_PASS },
    { "exp(100 x)", huge, 3, 1, GR_CHECK_PASS },
    { "sin(1000 x)", wiggle, 1.3, 1, GR_CHECK_PASS },
    { "sin(1000 x), 1 % off", wiggle, 1.3, 1.01, GR_CHECK_FAIL },
    { "relu at 0", gr_relu, 0, 1, GR_CHECK_KINK },
    { "relu at 5e-7", gr_relu, 5e-7, 1, GR_CHECK_PASS },
    { "relu at -5e-7", gr_relu, -5e-7, 1, GR_CHECK_PASS },
    { "relu(x - 1) at 1", around, 1, 1, GR_CHECK_KINK },
    { "relu(x - 1) at 1 + 5e-7", around, 1 + 5e-7, 1, GR_CHECK_PASS },
    { "relu(x - 1) at 1 + 5e-7, 1 % off", around, 1 + 5e-7, 1.01, GR_CHECK_FAIL },
    { "abs at 0", gr_abs, 0, 1, GR_CHECK_KINK },
    { "abs at 1e-9", gr_abs, 1e-9, 1, GR_CHECK_PASS },
    { "heaviside at 0", gr_heaviside, 0, 1, GR_CHECK_INCONCLUSIVE },
    { "log at -1", gr_log, -1, 1, GR_CHECK_NAN },
};

TEST(functions_that_are_hard_to_difference_get_the_right_verdict)
{
    for (size_t i = 0; i < sizeof difficult / sizeof *difficult; i++) {
        hard h = difficult[i];
        gr_ctx *c = f64();
        gr_tensor *x = gr_requires_grad(gr_scalar(c, h.x));
        gr_gradcheck_report r;
        gr_gradcheck(run_hard, &h, &x, 1, &r);
        CHECK(r.verdict == h.verdict && r.passed == (h.verdict <= GR_CHECK_KINK));
        if (r.verdict != h.verdict) printf("# %s\n", h.name), test_show_check(&r);
        gr_ctx_free(c);
    }
}

/* ---- many functions at many scales -------------------------------------------------------------------------------*/
FUNCTION(rows, gr_softmax(x, -1))
FUNCTION(log_rows, gr_log_softmax(x, -1))
FUNCTION(total_of_rows, gr_sum(gr_softmax(x, -1)))
FUNCTION(length, gr_sqrt(gr_sum(gr_square(x))))
FUNCTION(gram, gr_matmul(x, gr_transpose(x, 0, 1)))
FUNCTION(nothing, gr_sub(x, x))
FUNCTION(variance, gr_sub(gr_mean(gr_square(x)), gr_square(gr_mean(x))))
FUNCTION(largest, gr_max(x, .dims = GR_DIMS(0)))
static gr_tensor *(*const functions[])(gr_tensor *) = { gr_sin,    gr_tanh, gr_sigmoid, gr_relu, gr_abs,   gr_reciprocal, cube,   length,
                                                        gram,      rows,    log_rows,   gr_exp,  variance, largest,       nothing, total_of_rows };
#define FUNCTIONS (sizeof functions / sizeof *functions)

typedef struct spot { /* the gradient of one element times factor */
    gr_tensor *(*f)(gr_tensor *);
    struct spot_attr {
        int64_t element;
        double factor;
    } attr;
} spot;
static gr_tensor *spot_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    const struct spot_attr *a = gr_attr(y);
    gr_tensor *m = gr_ones(gr_ctx_of(y), gr_dims_like(y), .dtype = GR_F64);
    if (m) ((double *)gr_data(m))[a->element] = a->factor;
    return (void)i, gr_mul(dy, m);
}
static const gr_op spot_op = { .name = "spot", .arity = 1, .attr_size = sizeof(struct spot_attr), .forward = same_forward, .vjp = spot_vjp };
static gr_tensor *run_spot(gr_tensor **x, void *user)
{
    const spot *s = user;
    return s->f(s->attr.factor == 1 ? x[0] : gr_apply(&spot_op, x, 1, &s->attr));
}

static gr_tensor *random_at(gr_ctx *c, int exponent) { return gr_requires_grad(gr_mul(gr_randn(c, GR_SHAPE(3, 4)), pow(10, exponent))); }

TEST(a_right_gradient_passes_at_any_scale)
{
    for (size_t f = 0; f < FUNCTIONS; f++)
        for (int e = -6; e <= 0; e += 2)
            for (uint64_t seed = 0; seed < 3; seed++) {
                gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64, .seed = seed });
                gr_tensor *x = random_at(c, e);
                spot s = { functions[f], { 0, 1 } };
                gr_gradcheck_report r;
                CHECK(gr_gradcheck(run_spot, &s, &x, 1, &r) && r.count[GR_CHECK_INCONCLUSIVE] == 0);
                if (!r.passed) printf("# function %d, 1e%d\n", (int)f, e), test_show_check(&r);
                gr_ctx_free(c);
            }
}

TEST(a_wrong_element_is_found_at_any_scale)
{
    static const double factor[] = { 1.01, 1.000001, -1 };
    for (size_t f = 0; f + 2 < FUNCTIONS; f++) /* of the last two the derivative is zero */
        for (int e = -6; e <= 0; e += 2)
            for (int k = 0; k < 3; k++) {
                gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64, .seed = 9 });
                gr_tensor *x = random_at(c, e);
                spot s = { functions[f], { 5, factor[k] } };
                if ((functions[f] == gr_relu || functions[f] == largest)) gr_write(x, (double[]){ 0, 0, 0, 0, 0, pow(10, e), 0, 0, 0, 0, 0, 0 });
                gr_gradcheck_report r;
                CHECK(!gr_gradcheck(run_spot, &s, &x, 1, &r, .order = 1) && r.verdict == GR_CHECK_FAIL && r.element == 5);
                if (r.verdict != GR_CHECK_FAIL) printf("# function %d, 1e%d, %g\n", (int)f, e, factor[k]), test_show_check(&r);
                gr_ctx_free(c);
            }
}

/* ---- right, but in bad condition -----------------------------------------------------------------------------------*/
FUNCTION(far_norm, gr_layer_norm(gr_add(gr_mul(x, 1e-3), 1e5)))
FUNCTION(certain, gr_softmax(gr_mul(x, 15), -1))
FUNCTION(almost_1, gr_div(gr_expm1(gr_mul(x, 1e-9)), gr_mul(x, 1e-9)))
FUNCTION(sure_attention, gr_scaled_dot_product_attention(gr_mul(x, 20), x, x, .causal = true))
FUNCTION(through_f32, gr_astype(gr_astype(gr_sin(x), GR_F32), GR_F64))
FUNCTION(fast_waves, gr_cos(gr_mul(gr_exp(gr_mul(x, 3)), 1e3)))

/* Rounding moves two ways to one gradient apart, and the two sides of a symmetric matrix: no mistake, and 1 % is one. */
TEST(bad_condition_is_no_mistake)
{
    static gr_tensor *(*const f[])(gr_tensor *) = { far_norm, certain, almost_1, sure_attention, through_f32, fast_waves };
    static const double v[2][6] = { { 0.5, 1, -1, 2, -0.5, 0.25 }, { 0.123456789, 1.41421356, -0.987654321, 0.3333333, 1.987, -1.7 } };
    for (size_t i = 0; i < sizeof f / sizeof *f; i++)
        for (int fast = 0; fast < 2; fast++)
            for (int n = 0; n < 2; n++)
                for (int wrong = 0; wrong < 2; wrong++) {
                    if (wrong && f[i] == almost_1) continue; /* its derivative is all rounding */
                    gr_ctx *c = f64();
                    gr_tensor *x = gr_requires_grad(gr_from(c, GR_SHAPE(2, 3), v[n]));
                    gr_gradcheck_report r;
                    spot s = { f[i], { 1, wrong ? 1.5 : 1 } };
                    gr_gradcheck(run_spot, &s, &x, 1, &r, .fast = fast);
                    CHECK(wrong ? !r.passed : r.verdict <= GR_CHECK_INCONCLUSIVE && (f[i] != through_f32 || r.passed));
                    if (wrong ? r.passed : r.verdict > GR_CHECK_INCONCLUSIVE) printf("# function %d, numbers %d, fast %d:\n", (int)i, n, fast), test_show_check(&r);
                    gr_ctx_free(c);
                }
}

/* ---- branches ----------------------------------------------------------------------------------------------------*/
FUNCTION(largest_of_all, gr_max(x))
static gr_tensor *two_sides(gr_tensor *x)
{
    gr_tensor *right = gr_gt(x, 1);
    return gr_mul(gr_sub(x, 1), gr_astype(right, GR_F64));
}
FUNCTION(by_code, gr_at(x, 0) > 1 ? gr_exp(x) : gr_sin(x))
FUNCTION(larger_of_two, gr_maximum(gr_slice(x, 0, 0, 1), gr_slice(x, 0, 1, 2)))
FUNCTION(clamped, gr_clamp(x, 1, 2))
static bool hinge_forward(const gr_call *k, gr_tensor *y)
{
    gr_tensor *x = gr_contiguous(k->in[0]);
    for (int64_t i = 0; x && i < gr_numel(y); i++) ((double *)gr_data(y))[i] = fmax(0, ((double *)gr_data(x))[i] - 1);
    return x != NULL;
}
VJP(hinge_vjp, gr_amul(dy, gr_heaviside(gr_sub(x, 1))))
static gr_tensor *hinge_branch(const gr_call *k, gr_tensor *y) { return (void)y, gr_gt(k->in[0], 1); }
static const gr_op hinge = { .name = "hinge", .arity = 1, .forward = hinge_forward, .vjp = hinge_vjp },
                   hinge_with_branch = { .name = "hinge", .arity = 1, .forward = hinge_forward, .vjp = hinge_vjp, .branch = hinge_branch };
FUNCTION(hinge_alone, gr_apply(&hinge, &x, 1, NULL))
FUNCTION(hinge_named, gr_apply(&hinge_with_branch, &x, 1, NULL))

TEST(the_operation_that_switches_is_named)
{
    static const struct {
        gr_tensor *(*f)(gr_tensor *);
        const char *note;
    } row[] = {
        { largest_of_all, "at x[0] = 1 element [0] of max (operation 1) decides otherwise: 0 below, 1 above" },
        { larger_of_two, "at x[0] = 1 element [0] of maximum (operation 3) decides otherwise: 0 below, 1 above" },
        { clamped, "at x[0] = 1 element [0] of clamp_min (operation 1) decides otherwise: 0 below, 1 above" },
        { two_sides, "at x[0] = 1 element [0] of gt (operation 1) decides otherwise: 0 below, 1 above" },
        { by_code, "at x[0] = 1 the function takes another path: sin (operation 1) below, exp (operation 1) above" },
        { hinge_named, "at x[0] = 1 element [0] of hinge (operation 1) decides otherwise: 0 below, 1 above" },
        { hinge_alone, "no operation with a record.branch switches where the function bends or jumps: one without does, or code of the function" },
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        gr_ctx *c = f64();
        gr_tensor *x = gr_requires_grad(gr_name(gr_from(c, GR_SHAPE(2), (double[]){ 1, 1 }), "x"));
        gr_gradcheck_report r;
        hard h = { .f = row[i].f, .factor = 1 };
        gr_gradcheck(run_hard, &h, &x, 1, &r);
        CHECK_STR(r.notes, row[i].note);
        if (strcmp(r.notes, row[i].note)) test_show_check(&r);
        gr_ctx_free(c);
    }
}

TEST(steps_stay_on_the_piece_of_x)
{
    static gr_tensor *(*const f[])(gr_tensor *) = { largest_of_all, larger_of_two, clamped, two_sides, by_code, hinge_named };
    for (size_t i = 0; i < sizeof f / sizeof *f; i++)
        for (int side = -1; side <= 1; side += 2)
            for (int off = 0; off < 2; off++) { /* a bend at 1e-9 from x, and values that drown small steps in rounding */
                gr_ctx *c = f64();
                gr_tensor *x = gr_requires_grad(gr_from(c, GR_SHAPE(2), (double[]){ 1 + side * 1e-9, 1 }));
                gr_gradcheck_report r;
                hard h = { .f = f[i], .factor = off ? 1.00001 : 1 };
                bool passed = gr_gradcheck(run_hard, &h, &x, 1, &r);
                bool flat = side < 0 && (f[i] == two_sides || f[i] == clamped || f[i] == hinge_named); /* a factor of 0 does not show */
                CHECK(off && !flat ? r.verdict == GR_CHECK_FAIL : passed);
                if (off ? r.verdict != GR_CHECK_FAIL && !flat : !passed) test_show_check(&r);
                gr_ctx_free(c);
            }
}

static gr_tensor *network(gr_tensor **x, void *user) { return (void)user, gr_sum(gr_square(gr_name(gr_relu(gr_mul(x[0], 2)), "h"))); }
static gr_tensor *bent(gr_tensor **x, void *user) { return (void)user, gr_sin(gr_name(gr_abs(gr_sub(gr_mul(x[0], 2), 1)), "h")); }

TEST(the_operation_that_bends_is_named)
{
    gr_ctx *c = f64();
    gr_tensor *x = gr_requires_grad(gr_name(gr_from(c, GR_SHAPE(3), (double[]){ 0.25, 0.5, 2 }), "x"));
    gr_gradcheck_report r;
    CHECK(gr_gradcheck(bent, NULL, &x, 1, &r) && r.verdict == GR_CHECK_KINK && r.count[GR_CHECK_KINK] == 1);
    CHECK_STR(r.notes, "at x[1] = 0.5 element [1] of abs \"h\" (operation 3) decides otherwise: -1 below, 1 above");
    gr_tensor *z = gr_requires_grad(gr_zeros(c, GR_SHAPE(2))); /* the square is smooth there: only its second derivative bends */
    CHECK(gr_gradcheck(network, NULL, &z, 1, &r) && r.count[GR_CHECK_PASS] > 0);
    if (!r.passed) test_show_check(&r);
    gr_ctx_free(c);
}

/* ---- .explain --------------------------------------------------------------------------------------------------*/
TEST(an_explained_check_shows_every_step)
{
    gr_ctx *c = f64();
    gr_tensor *x = gr_requires_grad(gr_name(gr_scalar(c, 0.5), "x"));
    hard h = { .f = gr_exp, .factor = 1 };
    gr_gradcheck_report r;
    char text[8192];
    CHECK(gr_gradcheck(run_hard, &h, &x, 1, &r) && r.num_steps == 0);
    CHECK(gr_gradcheck(run_hard, &h, &x, 1, &r, .order = 1, .explain = true) && r.num_steps >= 3 && r.num_steps <= GR_CHECK_STEPS);
    for (int i = 0; i < r.num_steps; i++) {
        const gr_gradcheck_step *s = &r.steps[i];
        CHECK(i == 0 || s->h == r.steps[i - 1].h / 2);
        CHECK_NEAR(s->above, exp(0.5 + s->h), 1e-15);
        CHECK_NEAR(s->difference, (s->above - s->below) / (2 * s->h), 1e-12);
    }
    CHECK(r.steps[0].error > r.steps[1].error && r.steps[r.num_steps - 1].best == r.worst[0].numeric);
    gr_gradcheck_format(&r, text, sizeof text);
    CHECK(strstr(text, "the difference by x, step by step:\n") != NULL);
    gr_ctx_free(c);
}

/* ---- order -----------------------------------------------------------------------------------------------------*/
static gr_tensor *of_two(gr_tensor **x, void *user) { return (void)user, gr_tanh(gr_mul(gr_sin(x[0]), gr_exp(x[1]))); }

TEST(orders_above_2_are_checked)
{
    gr_ctx *c = f64();
    gr_tensor *x[] = { numbers(c, GR_SHAPE(2, 3)), numbers(c, GR_SHAPE(3)) };
    gr_gradcheck_report r;
    int64_t fewer = 0;
    for (int order = 1; order <= 4; order++) {
        CHECK(gr_gradcheck(of_two, NULL, x, 2, &r, .order = order) && r.checked > fewer);
        if (!r.passed) test_show_check(&r);
        fewer = r.checked;
    }
    gr_ctx_free(c);
}

static bool product_forward(const gr_call *k, gr_tensor *y) { return gr_copy_to(y, gr_mul(k->in[0], k->in[1])); }
static gr_tensor *askew(gr_tensor *y, gr_tensor *dy, int i) /* d2 / da db is 5e-8 more than d2 / db da */
{
    gr_tensor *a = gr_input(y, 0), *b = gr_input(y, 1);
    return gr_amul(dy, i ? a : gr_add(b, gr_mul(gr_sub(b, gr_detach(b)), 5e-8)));
}

TEST(second_derivatives_that_are_not_symmetric_are_caught_below_what_differences_see)
{
    gr_op op = { .name = "product", .arity = 2, .forward = product_forward, .vjp = askew };
    gr_ctx *c = f64();
    gr_tensor *x[] = { numbers(c, GR_SHAPE(2, 3)), numbers(c, GR_SHAPE(2, 3)) };
    gr_gradcheck_report r;
    CHECK(gr_gradcheck(apply2, &op, x, 2, &r, .order = 1));
    CHECK(!gr_gradcheck(apply2, &op, x, 2, &r) && r.verdict == GR_CHECK_FAIL && r.count[GR_CHECK_FAIL] == 0);
    CHECK(strstr(r.diagnosis, "the derivatives of order 2 are not symmetric: <v, H u> is ") == r.diagnosis);
    gr_ctx_free(c);
}
