/* What plain central differences get wrong, with a step of 1e-6, |a - n| <= 1e-5 + 1e-3 |n| as the test, and, as a fast mode,
 * one product with random vectors that are not negative: the usual way to check gradients, written down here again. Each row
 * is a case in which it passes a wrong gradient, refuses a right one or has no word for what it sees; the check of this
 * library gives the verdict.
 * SPDX-License-Identifier: MIT */
#include "tests/wrong.h"

#define STEP 1e-6
#define ATOL 1e-5
#define RTOL 1e-3
#define MOST 4096

static double plus[MOST], minus[MOST], jacobian[MOST];

static double get(const gr_tensor *x, int64_t e) { return gr_dtype(x) == GR_F32 ? (double)((float *)gr_data(x))[e] : ((double *)gr_data(x))[e]; }
static void set(gr_tensor *x, int64_t e, double v)
{
    if (gr_dtype(x) == GR_F32) ((float *)gr_data(x))[e] = (float)v;
    else ((double *)gr_data(x))[e] = v;
}

static bool near(double a, double n, double atol) { return fabs(a - n) <= atol + RTOL * fabs(n); }

static bool plain(gr_fn f, void *user, gr_tensor *x)
{
    gr_tensor *y = f(&x, user), *j = gr_jacobian(y, x);
    int64_t m = gr_numel(y), n = gr_numel(x);
    bool ok = gr_read(j, jacobian);
    for (int64_t e = 0; ok && e < n; e++) {
        double v = get(x, e);
        set(x, e, v + STEP);
        ok = gr_read(f(&x, user), plus);
        set(x, e, v - STEP);
        ok = ok && gr_read(f(&x, user), minus);
        set(x, e, v);
        for (int64_t i = 0; ok && i < m; i++) ok = near(jacobian[i * n + e], (plus[i] - minus[i]) / (2 * STEP), ATOL);
    }
    return ok;
}

/* v^T J u with random unit vectors u, v >= 0; y has the shape of x */
static bool plain_fast(gr_fn f, void *user, gr_tensor *x)
{
    gr_ctx *c = gr_ctx_of(x);
    gr_tensor *u = gr_rand(c, gr_dims_like(x)), *v = gr_rand(c, gr_dims_like(x)), *y = f(&x, user);
    u = gr_div(u, gr_sqrt(gr_sum(gr_square(u))));
    v = gr_div(v, gr_sqrt(gr_sum(gr_square(v))));
    gr_tensor *a = f((gr_tensor *[]){ gr_add(x, gr_mul(u, STEP)) }, user), *b = f((gr_tensor *[]){ gr_sub(x, gr_mul(u, STEP)) }, user);
    double numeric = gr_item(gr_sum(gr_mul(v, gr_sub(a, b)))) / (2 * STEP), analytic = gr_item(gr_sum(gr_mul(gr_vjp(y, x, v), u)));
    return near(analytic, numeric, ATOL * gr_item(gr_sum(u)) * gr_item(gr_sum(v)));
}

/* ---- one element -----------------------------------------------------------------------------------------------*/
typedef struct row {
    const char *name;
    gr_tensor *(*f)(gr_tensor *x);
    double x, factor;    /* of the gradient: 1 is right */
    bool plain_passes;
    gr_verdict verdict;
    const char *says;    /* in the report */
} row;

FUNCTION(small, gr_mul(x, 1e-6))
FUNCTION(offset, gr_add(gr_mul(x, 1e-3), 1e9))
FUNCTION(cube, gr_mul(gr_square(x), x))

static bool same_forward(const gr_call *k, gr_tensor *y) { return gr_copy_to(y, k->in[0]); }
static gr_tensor *times_attr(gr_tensor *y, gr_tensor *dy, int i) { return (void)i, gr_mul(dy, *(const double *)gr_attr(y)); }
static const gr_op spoiler = { .name = "spoiler", .arity = 1, .attr_size = sizeof(double), .forward = same_forward, .vjp = times_attr };
static gr_tensor *run(gr_tensor **x, void *user)
{
    const row *r = user;
    return r->f(r->factor == 1 ? x[0] : gr_apply(&spoiler, x, 1, &r->factor));
}

static const row rows[] = {
    { "a small gradient: 5 times too large, and the sign", small, 0.7, -5, true, GR_CHECK_FAIL, "a constant factor of -5" },
    { "x^3 near 0: 1000 times too large", cube, 1e-8, 1000, true, GR_CHECK_FAIL, "ratio 1000" },
    { "a large offset", offset, 0.7, 1, false, GR_CHECK_INCONCLUSIVE, "rounding of so large a value hides so small a derivative" },
    { "abs at 0 passes without a word", gr_abs, 0, 1, true, GR_CHECK_KINK, "from the left -1, from the right 1" },
    { "relu at 0", gr_relu, 0, 1, false, GR_CHECK_KINK, "relu (operation 1) decides otherwise" },
    { "relu half a step from 0", gr_relu, 5e-7, 1, false, GR_CHECK_PASS, "" },
    { "1/x at 1e-7", gr_reciprocal, 1e-7, 1, false, GR_CHECK_PASS, "" },
    { "log at 3e-6", gr_log, 3e-6, 1, false, GR_CHECK_PASS, "" },
    { "sqrt at 1e-10", gr_sqrt, 1e-10, 1, false, GR_CHECK_PASS, "" },
    { "a value that is no number", gr_log, -1, 1, false, GR_CHECK_NAN, "the value is not finite" },
};

TEST(plain_differences_fail_where_the_check_knows)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        row h = rows[i];
        gr_ctx *c = f64();
        gr_tensor *x = gr_requires_grad(gr_name(gr_from(c, GR_SHAPE(2), (double[]){ h.x, h.x }), "x"));
        gr_gradcheck_report r;
        char text[4096];
        int before = test_errors;
        CHECK(plain(run, &h, x) == h.plain_passes);
        gr_gradcheck(run, &h, &x, 1, &r);
        gr_gradcheck_format(&r, text, sizeof text);
        CHECK(r.verdict == h.verdict && strstr(text, h.says) != NULL);
        if (test_errors > before) printf("# %s:\n", h.name), test_show_check(&r);
        gr_ctx_free(c);
    }
}

/* ---- one of many -----------------------------------------------------------------------------------------------*/
static int64_t wrong_element;
static double wrong_factor;
static gr_tensor *spoiled_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    gr_tensor *m = gr_ones(gr_ctx_of(y), gr_dims_like(y));
    if (m) ((double *)gr_data(m))[wrong_element] = wrong_factor;
    return gr_mul(gr_mul(dy, gr_mul(gr_square(gr_input(y, i)), 3)), m);
}

TEST(a_fast_mode_with_positive_vectors_misses_what_random_signs_find)
{
    static const struct {
        int64_t n;
        double factor;
    } many[] = { { 4, 1.01 }, { 64, 1.01 }, { 64, 1.1 }, { 256, 2 }, { 256, -1 } };
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        int missed = 0, ours = 0;
        for (uint64_t seed = 0; seed < 32; seed++) {
            gr_op op = { .name = "cube", .arity = 1, .forward = cube_forward, .vjp = spoiled_vjp };
            gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64, .seed = seed });
            gr_tensor *x = gr_requires_grad(gr_randn(c, GR_SHAPE(many[i].n)));
            gr_gradcheck_report r;
            wrong_element = (int64_t)seed * 7 % many[i].n;
            wrong_factor = many[i].factor;
            missed += plain_fast(apply, &op, x);
            ours += gr_gradcheck(apply, &op, &x, 1, &r, .order = 1, .fast = true) || r.element != wrong_element;
            gr_ctx_free(c);
        }
        CHECK(missed > 0 && ours == 0);
        if (ours || !missed) printf("# n %d, factor %g: missed %d, and %d\n", (int)many[i].n, many[i].factor, missed, ours);
    }
}

/* ---- what has no name ------------------------------------------------------------------------------------------*/
static gr_tensor *dropout(gr_tensor **x, void *user) { return (void)user, gr_mul(x[0], gr_astype(gr_gt(gr_rand(gr_ctx_of(x[0]), gr_dims_like(x[0])), 0.5), GR_F64)); }
static gr_tensor *mutating(gr_tensor **x, void *user)
{
    (void)user;
    set(x[0], 0, get(x[0], 0) + 0.5);
    return gr_square(x[0]);
}

TEST(a_function_that_changes_is_named)
{
    gr_ctx *c = f64();
    gr_tensor *x = numbers(c, GR_SHAPE(4));
    gr_gradcheck_report r;
    CHECK(!plain(dropout, NULL, x) && !gr_gradcheck(dropout, NULL, &x, 1, &r) && r.verdict == GR_CHECK_NONDETERMINISTIC);
    CHECK(strstr(r.diagnosis, "draws random numbers") != NULL);
    CHECK(!plain(mutating, NULL, x) && !gr_gradcheck(mutating, NULL, &x, 1, &r) && strstr(r.diagnosis, "writes to its input 0 \"x\"") != NULL);
    gr_ctx_free(c);
}

static gr_tensor *sines(gr_tensor **x, void *user) { return (void)user, gr_mul(gr_sin(gr_mul(x[0], 10)), 3); }

TEST(float_inputs_are_no_obstacle)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_requires_grad(gr_from(c, GR_SHAPE(3), (float[]){ 0.1f, 2, -3 }));
    gr_gradcheck_report r;
    CHECK(!plain(sines, NULL, x) && gr_gradcheck(sines, NULL, &x, 1, &r) && r.largest_error < 1e-9);
    gr_ctx_free(c);
}

static bool nan_forward(const gr_call *k, gr_tensor *y) { return cube_forward(k, y) && (((double *)gr_data(y))[2] = (double)NAN, true); }
VJP(unreduced, gr_mul(gr_broadcast_to(dy, GR_SHAPE(2, 4)), 3))
VJP(of_a_cube, gr_amul(dy, gr_mul(gr_square(x), 3)))

TEST(the_report_has_an_index_for_a_nan_and_a_shape_for_what_is_not_reduced)
{
    gr_op not_a_number = { .name = "nan", .arity = 1, .forward = nan_forward, .vjp = of_a_cube };
    gr_op broadcast = { .name = "wide", .arity = 1, .forward = cube_forward, .vjp = unreduced };
    gr_ctx *c = f64();
    gr_tensor *x = numbers(c, GR_SHAPE(4));
    gr_gradcheck_report r;
    CHECK(!gr_gradcheck(apply, &not_a_number, &x, 1, &r) && r.verdict == GR_CHECK_NAN && strcmp(r.worst[0].output_name, "y[2]") == 0);
    CHECK(!gr_gradcheck(apply, &broadcast, &x, 1, &r) && strstr(r.diagnosis, "vjp of wide gave a gradient [2, 4]") != NULL);
    gr_ctx_free(c);
}

/* ---- what is printed -------------------------------------------------------------------------------------------*/
VJP(one_wrong, gr_mul(gr_amul(dy, gr_mul(gr_square(x), 3)),
                      gr_where(gr_eq(gr_reshape(gr_arange(gr_ctx_of(x), 0, 64, 1), GR_SHAPE(8, 8)), 21), 1.01, 1)))

TEST(a_report_names_the_one_wrong_element_of_many_and_prints_no_matrix)
{
    gr_op op = { .name = "cube", .arity = 1, .forward = cube_forward, .vjp = one_wrong };
    gr_ctx *c = f64();
    gr_tensor *x = gr_name(gr_requires_grad(gr_add(gr_rand(c, GR_SHAPE(8, 8)), 0.5)), "weight");
    gr_gradcheck_report r;
    char text[4096];
    CHECK(!gr_gradcheck(apply, &op, &x, 1, &r, .order = 1) && r.verdict == GR_CHECK_FAIL);
    CHECK(gr_gradcheck_format(&r, text, sizeof text) < 1000);
    CHECK_STR(r.worst[0].output_name, "y[2, 5]");
    CHECK_STR(r.worst[0].name, "weight[2, 5]");
    CHECK(strstr(text, "d y[2, 5] / d weight[2, 5]") && strstr(text, "analytic") && strstr(text, "ratio 1.01"));
    CHECK(strstr(text, "1 FAIL") && strstr(text, "the other 4095 agree") && !strchr(text, '{'));
    gr_ctx_free(c);
}
