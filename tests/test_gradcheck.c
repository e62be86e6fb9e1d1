/* The gradient check itself: operations that are wrong on purpose, and functions that make differences hard.
 * SPDX-License-Identifier: MIT */
#include <gradus.h>
#include "core/check.h"
#include "tests/wrong.h"

/* ---- wrong derivatives: y = x^3 or another simple function by hand, with a vjp that is wrong in one way -----------------*/
static gr_tensor *right(gr_tensor *y, gr_tensor *dy) { return gr_amul(dy, gr_mul(gr_square(gr_input(y, 0)), 3)); }

/* right with the element where times factor, or all where it is negative */
static gr_tensor *scaled(gr_tensor *y, gr_tensor *dy, int64_t where, double factor)
{
    gr_tensor *m = gr_full(gr_ctx_of(y), gr_dims_like(y), where < 0 ? factor : 1, .dtype = GR_F64);
    if (m && where >= 0) ((double *)gr_data(m))[where] = factor;
    return gr_mul(right(y, dy), m);
}

VJP(sign, gr_neg(right(y, dy)))
VJP(one_percent, gr_mul(right(y, dy), 1.01))
VJP(one_in_ten_thousand, gr_mul(right(y, dy), 1.0001))
VJP(one_in_a_million, gr_mul(right(y, dy), 1 + 1e-6))
VJP(doubled, gr_mul(right(y, dy), 2))
VJP(halved, gr_mul(right(y, dy), 0.5))
VJP(seven_times, gr_mul(right(y, dy), 7))
VJP(divided_by_n, gr_div(right(y, dy), (double)gr_numel(x)))
VJP(times_n, gr_mul(right(y, dy), (double)gr_numel(x)))
VJP(element_3, scaled(y, dy, 3, 1.01))
VJP(element_0_sign, scaled(y, dy, 0, -1))
VJP(element_last, scaled(y, dy, gr_numel(x) - 1, 0))
VJP(element_399, scaled(y, dy, 399, 1.01))
VJP(element_54321, scaled(y, dy, 54321, 1.01))
VJP(zero, gr_mul(dy, 0))
VJP(constant, gr_number(gr_ctx_of(y), gr_dims_like(y), GR_F64, 3))
VJP(no_power, gr_amul(dy, gr_mul(x, 3)))
VJP(power_too_many, gr_amul(dy, gr_mul(gr_mul(gr_square(x), x), 3)))
VJP(value_for_slope, gr_amul(dy, y))
VJP(root_of_slope, gr_amul(dy, gr_sqrt(gr_mul(gr_square(x), 3))))
VJP(offset, gr_amul(dy, gr_add(gr_mul(gr_square(x), 3), 0.001)))
VJP(offset_without_dy, gr_add(right(y, dy), 0.5))
VJP(square_of_dy, gr_mul(right(y, dy), dy))
VJP(absolute_dy, gr_mul(gr_abs(dy), gr_mul(gr_square(x), 3)))
VJP(transposed_result, gr_reshape(gr_contiguous(gr_transpose(right(y, dy), 0, 1)), gr_dims_like(x)))
VJP(transposed_dy, gr_amul(gr_transpose(dy, 0, 1), gr_mul(gr_square(x), 3)))
VJP(shifted, gr_cat(((gr_tensor *[]){ gr_slice(right(y, dy), 0, 1, GR_END), gr_slice(right(y, dy), 0, 0, 1) }), 2, 0))
VJP(reversed, gr_cat(((gr_tensor *[]){ gr_slice(right(y, dy), 0, 2, 3), gr_slice(right(y, dy), 0, 1, 2), gr_slice(right(y, dy), 0, 0, 1) }), 3, 0))
VJP(one_in_three_million, gr_mul(right(y, dy), 1 + 3e-7))
VJP(positive_dy_only, gr_amul(gr_relu(dy), gr_mul(gr_square(x), 3)))
VJP(rounded_to_a_grid, gr_div(gr_astype(gr_astype(gr_mul(right(y, dy), 1e6), GR_I64), GR_F64), 1e6))
VJP(infinite_at_2, gr_div(right(y, dy), gr_astype(gr_ne(gr_reshape(gr_arange(gr_ctx_of(x), 0, 6, 1), GR_SHAPE(2, 3)), 2), GR_F64)))
VJP(straight_through, dy)
VJP(first_row_missing, gr_cat(((gr_tensor *[]){ gr_mul(gr_slice(right(y, dy), 0, 0, 1), 0), gr_slice(right(y, dy), 0, 1, GR_END) }), 2, 0))
VJP(last_column_doubled, gr_cat(((gr_tensor *[]){ gr_slice(right(y, dy), 1, 0, -1), gr_mul(gr_slice(right(y, dy), 1, -1, GR_END), 2) }), 2, 1))
VJP(detached_x, gr_amul(dy, gr_mul(gr_square(gr_detach(x)), 3)))
VJP(second_only, gr_amul(dy, gr_add(gr_mul(gr_square(gr_detach(x)), 1.5), gr_mul(gr_square(x), 1.5))))
VJP(second_sign, gr_amul(dy, gr_sub(gr_mul(gr_square(gr_detach(x)), 6), gr_mul(gr_square(x), 3))))
VJP(nan_result, gr_mul(right(y, dy), (double)NAN))
VJP(detached_dy, gr_amul(gr_detach(dy), gr_mul(gr_square(x), 3)))
VJP(wrong_shape, gr_sum(right(y, dy), .dims = GR_DIMS(0), .keepdim = true))
VJP(wrong_dtype, gr_astype(right(y, dy), GR_F32))
VJP(wrong_at_size_1, gr_numel(x) == 1 ? gr_mul(right(y, dy), 3) : right(y, dy))
VJP(wrong_when_large, gr_mul(right(y, dy), gr_add(gr_mul(gr_astype(gr_gt(x, 1), GR_F64), 0.1), 1)))
VJP(layout, gr_is_contiguous(x) ? right(y, dy) : gr_mul(right(y, dy), 2))
static int calls;
VJP(random_vjp, gr_mul(right(y, dy), 1 + 1e-3 * (calls++ % 7)))
VJP(good, right(y, dy))

/* other functions */
static bool first_layout_forward(const gr_call *k, gr_tensor *y) /* forgets strides */
{
    for (int64_t i = 0; i < y->numel; i++) {
        double v = ((double *)(void *)k->in[0]->data)[i];
        ((double *)(void *)y->data)[i] = v * v * v;
    }
    return true;
}
static bool mutating_forward(const gr_call *k, gr_tensor *y)
{
    if (!cube_forward(k, y)) return false;
    ((double *)(void *)k->in[0]->data)[0] += 0.125;
    return true;
}
static bool aliasing_forward(const gr_call *k, gr_tensor *y) /* works in the memory of its input */
{
    for (int64_t i = 0; i < y->numel; i++) {
        double *v = (double *)(void *)k->in[0]->data + i;
        *v = *v * *v * *v;
        ((double *)(void *)y->data)[i] = *v;
    }
    return true;
}
static bool changing_forward(const gr_call *k, gr_tensor *y)
{
    if (!cube_forward(k, y)) return false;
    ((double *)(void *)y->data)[1] += 1e-3 * (calls++ % 7);
    return true;
}
static bool nan_forward(const gr_call *k, gr_tensor *y)
{
    if (!cube_forward(k, y)) return false;
    ((double *)(void *)y->data)[2] = (double)NAN;
    return true;
}
static bool staircase_forward(const gr_call *k, gr_tensor *y)
{
    gr_tensor *x = gr_contiguous(k->in[0]);
    for (int64_t i = 0; x && i < y->numel; i++) ((double *)(void *)y->data)[i] = floor(((double *)(void *)x->data)[i]);
    return x != NULL;
}
static bool sum_forward(const gr_call *k, gr_tensor *y)
{
    double s = 0;
    gr_tensor *x = gr_contiguous(k->in[0]);
    for (int64_t i = 0; x && i < x->numel; i++) s += ((double *)(void *)x->data)[i];
    *(double *)(void *)y->data = s;
    return x != NULL;
}
static bool scalar_shape(gr_call *k) { return k->dtype = GR_F64, k->ndim = 0, true; }
static gr_tensor *mean_for_sum(gr_tensor *y, gr_tensor *dy, int i)
{
    gr_tensor *x = gr_input(y, i);
    return gr_broadcast_to(gr_div(dy, (double)gr_numel(x)), gr_dims_like(x));
}
static bool fused_twice(gr_tensor *y, gr_tensor *dy, gr_tensor **dx) { return (dx[0] = gr_mul(right(y, dy), 2)) != NULL; }

typedef struct wrong {
    const char *name;
    gr_tensor *(*vjp)(gr_tensor *y, gr_tensor *dy, int i);
    bool (*forward)(const gr_call *k, gr_tensor *y); /* NULL: x^3 */
    int64_t shape[2];
    gr_verdict verdict;
    int64_t element;       /* the worst; -1: any */
    int order;
    const char *diagnosis; /* part of it */
} wrong;

#define F GR_CHECK_FAIL
static const wrong table[] = {
    { "sign", sign, NULL, { 2, 3 }, F, -1, 1, "the sign is wrong" },
    { "one_percent", one_percent, NULL, { 2, 3 }, F, -1, 1, "a constant factor of 1.01" },
    { "one_in_ten_thousand", one_in_ten_thousand, NULL, { 2, 3 }, F, -1, 1, "a constant factor of 1 + 0.0001" },
    { "one_in_a_million", one_in_a_million, NULL, { 2, 3 }, F, -1, 1, "a constant factor of 1 + 1e-06" },
    { "doubled", doubled, NULL, { 2, 3 }, F, -1, 1, "accumulated twice" },
    { "halved", halved, NULL, { 2, 3 }, F, -1, 1, "a factor 2 is missing" },
    { "seven_times", seven_times, NULL, { 2, 3 }, F, -1, 1, "a constant factor of 7" },
    { "divided_by_n", divided_by_n, NULL, { 2, 3 }, F, -1, 1, "divided by 6" },
    { "times_n", times_n, NULL, { 2, 3 }, F, -1, 1, "multiplied by 6" },
    { "element_3", element_3, NULL, { 2, 3 }, F, 3, 1, "only x[1, 0] is wrong, of 6 elements" },
    { "element_0_sign", element_0_sign, NULL, { 2, 3 }, F, 0, 1, "the sign is wrong in the wrong ones; only x[0, 0]" },
    { "element_last", element_last, NULL, { 2, 3 }, F, 5, 1, "only x[1, 2] is wrong" },
    { "element_399_of_400", element_399, NULL, { 20, 20 }, F, 399, 1, "only x[19, 19] is wrong, of 400" },
    { "zero", zero, NULL, { 2, 3 }, F, -1, 1, "a path is cut" },
    { "constant", constant, NULL, { 2, 3 }, F, -1, 1, "a zero cotangent gives the gradient 3" },
    { "no_power", no_power, NULL, { 2, 3 }, F, -1, 1, "a factor x is missing" },
    { "power_too_many", power_too_many, NULL, { 2, 3 }, F, -1, 1, "a factor x is too many" },
    { "value_for_slope", value_for_slope, NULL, { 2, 3 }, F, -1, 1, "a factor x is too many: the ratio is x times 0.333333" },
    { "square_missing", root_of_slope, NULL, { 2, 3 }, F, -1, 1, "the square is missing" },
    { "offset", offset, NULL, { 2, 3 }, F, -1, 1, "every wrong one is 0.001 too large: a term is added" },
    { "offset_without_dy", offset_without_dy, NULL, { 2, 3 }, F, -1, 1, "not multiplied by dy" },
    { "square_of_dy", square_of_dy, NULL, { 2, 3 }, F, -1, 1, "not linear in dy" },
    { "transposed_result", transposed_result, NULL, { 2, 3 }, F, -1, 1, "transposed" },
    { "transposed_square", transposed_result, NULL, { 3, 3 }, F, -1, 1, "transposed" },
    { "transposed_dy", transposed_dy, NULL, { 3, 3 }, F, -1, 1, "transposed: dy is used" },
    { "shifted", shifted, NULL, { 3, 2 }, F, -1, 1, "shifted: what belongs to element e stands at e - 2" },
    { "reversed", reversed, NULL, { 3, 1 }, F, -1, 1, "reversed: what belongs to element e stands at 2 - e" },
    { "one_in_three_million", one_in_three_million, NULL, { 2, 3 }, F, -1, 1, "a constant factor of 1 + 3e-07" },
    { "positive_dy_only", positive_dy_only, NULL, { 2, 3 }, F, -1, 1, "not linear in dy" },
    { "rounded_to_a_grid", rounded_to_a_grid, NULL, { 2, 3 }, F, -1, 1, "not linear in dy" },
    { "infinite_at_2", infinite_at_2, NULL, { 2, 3 }, GR_CHECK_NAN, 2, 1, "" },
    { "straight_through", straight_through, staircase_forward, { 2, 3 }, F, -1, 1, "every wrong one is 1 too large" },
    { "first_row_missing", first_row_missing, NULL, { 2, 3 }, F, -1, 1, "only where index 0 is 0" },
    { "last_column_doubled", last_column_doubled, NULL, { 2, 3 }, F, -1, 1, "only where index 1 is 2" },
    { "detached_x", detached_x, NULL, { 2, 3 }, F, -1, 2, "the first derivatives agree, the second do not: the gradient by input \"x\": zero" },
    { "second_only", second_only, NULL, { 2, 3 }, F, -1, 2, "half of what it must be" },
    { "second_sign", second_sign, NULL, { 2, 3 }, F, -1, 2, "the sign is wrong" },
    { "nan_gradient", nan_result, NULL, { 2, 3 }, GR_CHECK_NAN, -1, 1, "" },
    { "detached_dy", detached_dy, NULL, { 2, 3 }, F, -1, 1, "the transpose is wrong" },
    { "unreduced_broadcast", wrong_shape, NULL, { 2, 3 }, F, -1, 1, "vjp of unreduced_broadcast gave a gradient [1, 3]" },
    { "wrong_dtype", wrong_dtype, NULL, { 2, 3 }, F, -1, 1, "gave a gradient" },
    { "wrong_at_size_1", wrong_at_size_1, NULL, { 1, 1 }, F, 0, 1, "a constant factor of 3" },
    { "wrong_when_large", wrong_when_large, NULL, { 2, 3 }, F, -1, 1, "in the wrong ones" },
    { "layout_of_vjp", layout, NULL, { 2, 3 }, F, -1, 1, "how the inputs lie in memory" },
    { "layout_of_forward", good, first_layout_forward, { 2, 3 }, F, -1, 1, "how the inputs lie in memory" },
    { "random_vjp", random_vjp, NULL, { 2, 3 }, GR_CHECK_NONDETERMINISTIC, -1, 1, "two sweeps over one graph" },
    { "random_forward", good, changing_forward, { 2, 3 }, GR_CHECK_NONDETERMINISTIC, -1, 1, "another result each time" },
    { "mutation", good, mutating_forward, { 2, 3 }, F, -1, 1, "the function writes to its input 0 \"x\"" },
    { "aliasing", good, aliasing_forward, { 2, 3 }, F, -1, 1, "the function writes to its input 0 \"x\"" },
    { "nan_value", good, nan_forward, { 2, 3 }, GR_CHECK_NAN, -1, 1, "" },
    { "absolute_dy", absolute_dy, NULL, { 2, 3 }, F, -1, 1, "not linear in dy" },
};

TEST(a_wrong_operation_is_caught_and_named)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const wrong *w = &table[i];
        gr_op op = { .name = w->name, .formula = "y = x^3", .gradient = "", .arity = 1, .forward = w->forward ? w->forward : cube_forward, .vjp = w->vjp };
        gr_ctx *c = f64();
        gr_tensor *x = numbers(c, GR_SHAPE(w->shape[0], w->shape[1]));
        gr_gradcheck_report r;
        int before = test_errors;
        calls = 0;
        CHECK(!gr_gradcheck(apply, &op, &x, 1, &r));
        CHECK(!r.passed && r.verdict == w->verdict);
        CHECK(strstr(r.diagnosis, w->diagnosis) != NULL);
        if (w->element >= 0) CHECK(r.element == w->element && r.input == 0);
        if (r.num_worst) CHECK(r.order == w->order);
        CHECK_STR(gr_message(c), "");
        if (test_errors > before) printf("# %s:\n", w->name), test_show_check(&r);
        gr_ctx_free(c);
    }
}

TEST(a_right_operation_passes)
{
    for (int n = 0; n <= 4; n++) {
        gr_op op = { .name = "cube", .arity = 1, .forward = cube_forward, .vjp = good };
        gr_ctx *c = f64();
        gr_tensor *x = numbers(c, GR_SHAPE(n, 3));
        gr_gradcheck_report r;
        CHECK(gr_gradcheck(apply, &op, &x, 1, &r) && r.verdict == GR_CHECK_PASS && r.checked == 18 * n * n);
        if (!r.passed) test_show_check(&r);
        gr_ctx_free(c);
    }
}

TEST(a_mean_for_a_sum_is_named)
{
    gr_op op = { .name = "total", .arity = 1, .shape = scalar_shape, .forward = sum_forward, .vjp = mean_for_sum };
    gr_ctx *c = f64();
    gr_tensor *x = numbers(c, GR_SHAPE(5));
    gr_gradcheck_report r;
    CHECK(!gr_gradcheck(apply, &op, &x, 1, &r) && r.verdict == GR_CHECK_FAIL);
    CHECK(strstr(r.diagnosis, "divided by 5: the derivative of a mean") != NULL);
    gr_ctx_free(c);
}

static gr_tensor *one_use_cut(gr_tensor **x, void *user) { return (void)user, gr_mul(x[0], gr_sin(gr_detach(x[0]))); }
static gr_tensor *read_as_number(gr_tensor **x, void *user) { return (void)user, gr_mul(gr_sin(x[0]), gr_at(x[0], 0)); }
static gr_tensor *all_cut(gr_tensor **x, void *user) { return (void)user, gr_mul(gr_detach(x[0]), 2); }

TEST(the_operation_before_which_a_path_is_cut_is_named)
{
    static const struct {
        gr_fn f;
        const char *diagnosis, *note;
    } row[] = {
        { one_use_cut, "a path is cut: one of several uses is not counted", "mul (operation 2) takes a number for constant that changes with x[2]: the path is cut before it" },
        { read_as_number, "a path is cut: one of several uses is not counted; only x[0] is wrong", "mul (operation 2) takes a number for constant that changes with x[0]" },
        { all_cut, "zero where the differences are not", "mul (operation 1) takes a number for constant that changes with x[2]" },
    };
    for (int i = 0; i < 3; i++) {
        gr_ctx *c = f64();
        gr_tensor *x = numbers(c, GR_SHAPE(3));
        gr_gradcheck_report r;
        int before = test_errors;
        CHECK(!gr_gradcheck(row[i].f, NULL, &x, 1, &r) && r.verdict == F);
        CHECK(strstr(r.diagnosis, row[i].diagnosis) && strstr(r.notes, row[i].note) && !strstr(r.notes, "vjp and jvp"));
        if (test_errors > before) test_show_check(&r);
        gr_ctx_free(c);
    }
}

TEST(backward_that_differs_from_vjp_is_named)
{
    gr_op op = { .name = "cube", .arity = 1, .forward = cube_forward, .vjp = good, .backward = fused_twice };
    gr_ctx *c = f64();
    gr_tensor *x = numbers(c, GR_SHAPE(2, 2));
    gr_gradcheck_report r;
    CHECK(!gr_gradcheck(apply, &op, &x, 1, &r) && r.verdict == GR_CHECK_FAIL);
    CHECK(strstr(r.diagnosis, "backward and vjp of a record differ: at x[0, 0]") != NULL);
    gr_ctx_free(c);
}

/* ---- fast ------------------------------------------------------------------------------------------------------*/
TEST(one_wrong_element_of_65536_is_found_in_40_evaluations)
{
    gr_op op = { .name = "cube", .arity = 1, .forward = cube_forward, .vjp = element_54321 };
    gr_ctx *c = f64();
    gr_tensor *x = numbers(c, GR_SHAPE(256, 256));
    gr_gradcheck_report r;
    CHECK(!gr_gradcheck(apply, &op, &x, 1, &r, .fast = true) && r.verdict == GR_CHECK_FAIL && r.element == 54321);
    CHECK(r.evaluations - r.probe_evaluations <= 40);
    CHECK(strstr(r.diagnosis, "only x[212, 49] is wrong, of 65536 elements") != NULL);
    gr_ctx_free(c);
}

static int64_t spoiled;
static double spoil;
VJP(spoiled_vjp, scaled(y, dy, spoiled, spoil))

TEST(fast_misses_no_element)
{
    static const double factor[] = { 1.01, 1.1, 2, -1 };
    for (int64_t n = 4; n <= 256; n *= 4)
        for (int f = 0; f < 4; f++)
            for (int64_t e = 0; e < n; e += n / 4) {
                gr_op op = { .name = "cube", .arity = 1, .forward = cube_forward, .vjp = spoiled_vjp };
                gr_ctx *c = f64();
                gr_tensor *x = numbers(c, GR_SHAPE(n));
                gr_gradcheck_report r;
                spoiled = e;
                spoil = factor[f];
                CHECK(!gr_gradcheck(apply, &op, &x, 1, &r, .fast = true) && r.verdict == GR_CHECK_FAIL && r.element == e);
                gr_ctx_free(c);
            }
}

static gr_tensor *mixed(gr_tensor **x, void *user) { return (void)user, gr_tanh(gr_matmul(gr_relu(x[0]), gr_sin(x[1]))); }

TEST(fast_gives_no_false_alarm)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        gr_ctx *c = f64();
        gr_seed(c, seed);
        gr_tensor *x[] = { gr_requires_grad(gr_randn(c, GR_SHAPE(20, 30))), gr_requires_grad(gr_randn(c, GR_SHAPE(30, 5))) };
        gr_gradcheck_report r;
        CHECK(gr_gradcheck(mixed, NULL, x, 2, &r, .fast = true));
        if (!r.passed) test_show_check(&r);
        gr_ctx_free(c);
    }
}

/* ---- what else it sees -------------------------------------------------------------------------------------------*/
static gr_tensor *dropout(gr_tensor **x, void *user) { return (void)user, gr_mul(x[0], gr_rand(gr_ctx_of(x[0]), gr_dims_like(x[0]))); }
static gr_tensor *captured(gr_tensor **x, void *user) { return gr_mul(x[0], (gr_tensor *)user); }
static gr_tensor *first_of_two(gr_tensor **x, void *user) { return (void)user, gr_square(x[0]); }

TEST(random_numbers_in_the_function_are_named)
{
    gr_ctx *c = f64();
    gr_tensor *x = numbers(c, GR_SHAPE(3));
    gr_gradcheck_report r;
    CHECK(!gr_gradcheck(dropout, NULL, &x, 1, &r) && r.verdict == GR_CHECK_NONDETERMINISTIC && strstr(r.diagnosis, "Call gr_seed") != NULL);
    CHECK(gr_gradcheck(dropout, NULL, &x, 1, &r, .reseed = true));
    gr_ctx_free(c);
}

TEST(what_is_not_checked_is_noted)
{
    gr_ctx *c = f64();
    gr_tensor *x[] = { numbers(c, GR_SHAPE(3)), numbers(c, GR_SHAPE(3)) };
    gr_name(x[1], "w");
    gr_gradcheck_report r;
    CHECK(gr_gradcheck(captured, x[1], x, 1, &r) && strstr(r.notes, "uses \"w\" [3], which needs a gradient and is no input") != NULL);
    CHECK(gr_gradcheck(first_of_two, NULL, x, 2, &r) && strstr(r.notes, "does not depend on input 1 \"w\"") != NULL);
    gr_ctx_free(c);
}

static gr_tensor *cancelling(gr_tensor **x, void *user) { return (void)user, gr_square(gr_sub(gr_add(x[0], 1e8), 1e8)); }

TEST(a_gradient_that_f32_cannot_hold_is_noted)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_requires_grad(gr_name(gr_from(c, GR_SHAPE(2), (float[]){ 0.5f, 2 }), "x"));
    gr_gradcheck_report r;
    gr_gradcheck(cancelling, NULL, &x, 1, &r, .rtol = 1e-3);
    CHECK(strstr(r.notes, "in f32 the gradient at x[1] is 0, in f64") != NULL);
    CHECK(gr_gradcheck(first_of_two, NULL, &x, 1, &r) && *r.notes == '\0');
    gr_ctx_free(c);
}

TEST(every_record_passes_by_its_samples_also_fast)
{
    for (int i = 0; i < gr_op_count(); i++) {
        gr_gradcheck_report r;
        if (!gr_op_at(i)->vjp) continue;
        CHECK(gr_gradcheck_op(gr_op_at(i), &r, .fast = true));
        if (!r.passed) test_show_check(&r);
    }
}

/* Rounding was taken for 1000 times what it is where -inf hides a score, and two steps agreed by luck along a direction. */
TEST(numbers_that_were_inconclusive_once_pass)
{
    gr_gradcheck_report r;
    CHECK(gr_gradcheck_op(&gr_op_attention, &r, .seed = 82 * 1000003));
    CHECK(gr_gradcheck_op(&gr_op_attention, &r, .seed = 109 * 1000003, .fast = true));
}

TEST(nothing_to_check_is_no_pass)
{
    gr_ctx *c = f64();
    gr_tensor *x = gr_ones(c, GR_SHAPE(3));
    gr_gradcheck_report r;
    CHECK(!gr_gradcheck(first_of_two, NULL, &x, 1, &r) && r.verdict == GR_CHECK_INCONCLUSIVE && strstr(r.diagnosis, "no input needs a gradient") != NULL);
    gr_ctx_free(c);
}

TEST(f32_inputs_are_checked_in_f64)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_requires_grad(gr_from(c, GR_SHAPE(3), (float[]){ 0.1f, 2, -3 }));
    gr_gradcheck_report r;
    CHECK(gr_gradcheck(first_of_two, NULL, &x, 1, &r) && r.largest_error < 1e-9 && gr_at(x, 0) == (double)0.1f);
    gr_ctx_free(c);
}

TEST(a_record_is_checked_by_its_samples)
{
    gr_gradcheck_report r;
    CHECK(gr_gradcheck_op(&gr_op_tanh, &r) && r.checked > 10 && strcmp(r.subject, "tanh, every sample") == 0);
    gr_op wrong_op = gr_op_square;
    wrong_op.vjp = doubled;
    wrong_op.backward = NULL;
    wrong_op.samples = (const gr_sample[]){ { "[2, 3]", NULL }, { NULL, NULL } };
    CHECK(!gr_gradcheck_op(&wrong_op, &r) && r.verdict == GR_CHECK_FAIL);
    gr_op unreadable = gr_op_tanh;
    unreadable.samples = (const gr_sample[]){ { "(2)", NULL }, { NULL, NULL } };
    CHECK(!gr_gradcheck_op(&unreadable, &r) && r.verdict == GR_CHECK_ERROR && strstr(r.diagnosis, "cannot read the sample") != NULL);
}

static void as_json(const gr_gradcheck_report *r, char *text, size_t size)
{
    FILE *f = tmpfile();
    gr_gradcheck_json(f, r);
    rewind(f);
    text[fread(text, 1, size - 1, f)] = '\0';
    fclose(f);
}

TEST(the_report_says_which_element_and_why)
{
    gr_op op = { .name = "my_cube", .arity = 1, .forward = cube_forward, .vjp = element_3 };
    gr_ctx *c = f64();
    gr_tensor *x = numbers(c, GR_SHAPE(2, 3));
    gr_gradcheck_report r;
    char text[4096];
    gr_gradcheck(apply, &op, &x, 1, &r);
    CHECK(gr_gradcheck_format(&r, text, sizeof text) == (int)strlen(text));
    CHECK(strstr(text, "gradcheck FAIL  my_cube  (36 derivatives, 1 FAIL, 35 PASS;") == text);
    CHECK(strstr(text, "FAIL  d y[1, 0] / d x[1, 0] at x[1, 0] = 1.403: analytic 5.96427927") != NULL && strstr(text, "ratio 1.01") != NULL);
    CHECK(gr_gradcheck_format(&r, NULL, 0) == (int)strlen(text));
    as_json(&r, text, sizeof text);
    CHECK(strstr(text, "{\"v\":1,\"verdict\":\"FAIL\",\"passed\":false,\"checked\":36") == text && strstr(text, "\"name\":\"x[1, 0]\"") != NULL);
    gr_name(x, "<\xff"); /* no UTF-8 */
    gr_gradcheck(apply, &op, &x, 1, &r);
    as_json(&r, text, sizeof text);
    CHECK(strstr(text, "\"name\":\"\\u003c\\ufffd[1, 0]\"") != NULL);
    gr_ctx_free(c);
}

static gr_tensor *no_result(gr_tensor **x, void *user) { return (void)x, (void)user, NULL; }
static gr_tensor *bad_call(gr_tensor **x, void *user) { return (void)user, gr_matmul(x[0], x[0]); }

TEST(a_function_that_fails_is_an_error_that_stands)
{
    gr_ctx *c = f64();
    gr_tensor *x = numbers(c, GR_SHAPE(2, 3));
    gr_gradcheck_report r;
    CHECK(!gr_gradcheck(bad_call, NULL, &x, 1, &r) && r.verdict == GR_CHECK_ERROR && gr_status(c) == GR_ESHAPE);
    gr_clear_error(c);
    CHECK(!gr_gradcheck(no_result, NULL, &x, 1, &r) && r.verdict == GR_CHECK_ERROR && strstr(gr_message(c), "returned NULL") != NULL);
    gr_ctx_free(c);
}

static gr_tensor *bend(gr_tensor **x, void *user) { return (void)user, gr_mul(gr_abs(x[0]), x[1]); }
static void check_all_ways(gr_ctx *c)
{
    gr_tensor *x = gr_requires_grad(gr_full(c, GR_SHAPE(2), 0.5, .dtype = GR_F64));
    gr_tensor *two[] = { gr_requires_grad(gr_zeros(c, GR_SHAPE(1))), gr_requires_grad(gr_ones(c, GR_SHAPE(1))) };
    gr_op op = { .name = "cube", .arity = 1, .forward = cube_forward, .vjp = element_0_sign };
    gr_gradcheck(apply, &op, &x, 1, NULL, .explain = true);
    gr_gradcheck(apply, &op, &x, 1, NULL, .fast = true);
    gr_gradcheck(first_of_two, NULL, &x, 1, NULL, .order = 3);
    if (!gr_failed(c)) gr_gradcheck(bend, NULL, two, 2, NULL); /* f32, a kink, two inputs */
}
TEST(every_allocation_of_the_check_may_fail) { CHECK(test_every_allocation(check_all_ways) > 4); }
