/* Operations that are wrong in ways which their derivatives at one place do not show: memory, state, dtype, order.
 * SPDX-License-Identifier: MIT */
#include "tests/wrong.h"

#include <math.h>

static gr_tensor *right(gr_tensor *y, gr_tensor *dy) { return gr_amul(dy, gr_mul(gr_square(gr_input(y, 0)), 3)); }
static double *numbers_of(const gr_tensor *t) { return gr_data(t); }

/* right, with the numbers of one element changed after the fact */
static gr_tensor *changed(gr_tensor *y, gr_tensor *dy, int64_t where, double factor)
{
    gr_tensor *m = gr_ones(gr_ctx_of(y), gr_dims_like(y), .dtype = GR_F64);
    if (m && where < gr_numel(m)) numbers_of(m)[where] = factor;
    return gr_mul(right(y, dy), m);
}

/* right where mask is 0, times factor where it is 1 */
static gr_tensor *where_true(gr_tensor *y, gr_tensor *dy, gr_tensor *mask, double factor)
{
    return gr_mul(right(y, dy), gr_add(gr_mul(gr_astype(mask, GR_F64), factor - 1), 1));
}

/* ---- vjp of y = x^3 --------------------------------------------------------------------------------------------*/
static gr_tensor *negative_zero(gr_tensor *y, gr_tensor *dy, int i)
{
    gr_tensor *x = gr_input(y, i), *extra = gr_zeros_like(x);
    gr_tensor *dense = gr_contiguous(x);
    for (int64_t e = 0; extra && dense && e < gr_numel(x); e++) numbers_of(extra)[e] = numbers_of(dense)[e] == 0 && signbit(numbers_of(dense)[e]);
    return gr_add(right(y, dy), gr_mul(dy, extra));
}
VJP(last_lane, changed(y, dy, 7, 1.5))
VJP(tail, changed(y, dy, 36, 0))
VJP(by_root_of_n, gr_div(right(y, dy), sqrt((double)gr_numel(x))))
VJP(one_in_a_million_at_4, changed(y, dy, 4, 1 + 1e-6))
VJP(second_off_by_a_half, gr_amul(dy, gr_add(gr_mul(gr_square(x), 3), gr_mul(gr_sub(x, gr_detach(x)), 0.5))))
VJP(third_missing, gr_amul(dy, gr_sub(gr_mul(gr_mul(x, gr_detach(x)), 6), gr_mul(gr_square(gr_detach(x)), 3))))
VJP(through_f32, gr_astype(gr_astype(right(y, dy), GR_F32), GR_F64))
VJP(clipped, gr_clamp(right(y, dy), -1, 1))
VJP(divided_by_dy, gr_div(gr_mul(right(y, dy), dy), dy))
VJP(where_below, where_true(y, dy, gr_lt(x, -1), 2))
VJP(good, right(y, dy))
static double remembered;
static int calls;
VJP(uses_the_last_call, gr_mul(right(y, dy), remembered / gr_at(x, 0, 0)))
static gr_tensor *detached_numbers(gr_tensor *y, gr_tensor *dy, int i) /* reads dy as numbers */
{
    gr_tensor *copy = gr_zeros_like(dy);
    return (void)i, copy && gr_copy_to(copy, dy) ? right(y, copy) : NULL;
}
static gr_tensor *writes_dy(gr_tensor *y, gr_tensor *dy, int i)
{
    gr_tensor *dx = right(y, dy);
    return (void)i, dx && gr_is_contiguous(dy) ? (numbers_of(dy)[0] = 0, dx) : dx;
}
static gr_tensor *writes_y(gr_tensor *y, gr_tensor *dy, int i) { return (void)i, numbers_of(y)[0] += 1, right(y, dy); }
static gr_tensor *writes_x(gr_tensor *y, gr_tensor *dy, int i) { return numbers_of(gr_input(y, i))[0] += 1e-3, right(y, dy); }

/* ---- backward of y = x^3, by loops -----------------------------------------------------------------------------*/
static bool loop(gr_tensor *y, gr_tensor *dy, gr_tensor **dx, int64_t stride)
{
    gr_tensor *x = gr_contiguous(gr_input(y, 0));
    dx[0] = gr_zeros_like(x);
    for (int64_t e = 0; dx[0] && e < gr_numel(x); e++) numbers_of(dx[0])[e] = 3 * numbers_of(x)[e] * numbers_of(x)[e] * numbers_of(dy)[e * stride];
    return dx[0] != NULL;
}
static bool dense_dy(gr_tensor *y, gr_tensor *dy, gr_tensor **dx) { return loop(y, dy, dx, 1); }
static bool last_stride(gr_tensor *y, gr_tensor *dy, gr_tensor **dx) /* takes one number for all to stand for the first alone */
{
    int64_t stride = gr_ndim(dy) ? gr_stride(dy)[gr_ndim(dy) - 1] : 1;
    if (!loop(y, dy, dx, stride)) return false;
    for (int64_t e = 1; stride == 0 && e < gr_numel(y); e++) numbers_of(dx[0])[e] = 0;
    return true;
}

/* ---- forward ---------------------------------------------------------------------------------------------------*/
static bool remembering(const gr_call *k, gr_tensor *y) { return remembered = numbers_of(k->in[0])[0], cube_forward(k, y); }
static bool tired(const gr_call *k, gr_tensor *y)
{
    if (!cube_forward(k, y)) return false;
    if (++calls > 60) numbers_of(y)[0] += 1e-3;
    return true;
}
static bool stride_0_is_1(const gr_call *k, gr_tensor *y) /* reads on where one element stands for all */
{
    const gr_tensor *x = k->in[0];
    int last = gr_ndim(x) - 1;
    int64_t step = gr_stride(x)[last], n = gr_size(x, last);
    for (int64_t e = 0; e < gr_numel(y); e++) {
        int64_t at = e / n * gr_stride(x)[0] + e % n * (step ? step : 1);
        numbers_of(y)[e] = numbers_of(x)[at] * numbers_of(x)[at] * numbers_of(x)[at];
    }
    return true;
}
static bool only_in_f32(const gr_call *k, gr_tensor *y)
{
    if (gr_dtype(y) == GR_F64) return cube_forward(k, y);
    gr_tensor *x = gr_contiguous(k->in[0]);
    for (int64_t e = 0; x && e < gr_numel(y); e++) ((float *)gr_data(y))[e] = powf(((float *)gr_data(x))[e], 3);
    return x != NULL;
}
VJP(wrong_in_f32, gr_dtype(y) == GR_F32 ? gr_mul(right(y, dy), 1.01) : right(y, dy))

#define F GR_CHECK_FAIL
static const struct {
    const char *name;
    gr_tensor *(*vjp)(gr_tensor *y, gr_tensor *dy, int i);
    bool (*forward)(const gr_call *k, gr_tensor *y);
    bool (*backward)(gr_tensor *y, gr_tensor *dy, gr_tensor **dx);
    gr_verdict verdict;
    const char *diagnosis; /* part of it */
} table[] = {
    { "negative_zero", negative_zero, NULL, NULL, F, "only x[1, 1] is wrong, of 9 elements" },
    { "last_lane", last_lane, NULL, NULL, F, "only x[2, 1] is wrong, of 9 elements" },
    { "by_root_of_n", by_root_of_n, NULL, NULL, F, "divided by 3" },
    { "one_in_a_million_at_4", one_in_a_million_at_4, NULL, NULL, F, "only x[1, 1] is wrong, of 9 elements" },
    { "second_off_by_a_half", second_off_by_a_half, NULL, NULL, F, "the first derivatives agree, the second do not" },
    { "third_missing", third_missing, NULL, NULL, F, "the derivatives up to order 2 agree, those of order 3 do not: the gradient by input \"x\": zero" },
    { "through_f32", through_f32, NULL, NULL, F, "not linear in dy" },
    { "clipped", clipped, NULL, NULL, F, "not linear in dy" },
    { "divided_by_dy", divided_by_dy, NULL, NULL, GR_CHECK_NAN, "" },
    { "where_below", where_below, NULL, NULL, F, "twice what it must be in the wrong ones" },
    { "uses_the_last_call", uses_the_last_call, remembering, NULL, F, "is called again with other inputs" },
    { "reads_dy_as_numbers", detached_numbers, NULL, NULL, F, "the transpose is wrong" },
    { "writes_dy", writes_dy, NULL, NULL, F, "the backward sweep writes to dy" },
    { "writes_y", writes_y, NULL, NULL, F, "the backward sweep writes to y" },
    { "writes_x", writes_x, NULL, NULL, F, "the backward sweep writes to an input" },
    { "dense_dy", good, NULL, dense_dy, F, "how dy lies in memory (here: in every second place)" },
    { "last_stride", good, NULL, last_stride, F, "how dy lies in memory (here: " },
    { "tired", good, tired, NULL, GR_CHECK_NONDETERMINISTIC, "it keeps something from call to call" },
    { "stride_0_is_1", good, stride_0_is_1, NULL, F, "how the inputs lie in memory (here: they repeat one element, stride 0)" },
};

static void show(const char *name, int before, const gr_gradcheck_report *r)
{
    if (test_errors > before) printf("# %s:\n", name), test_show_check(r);
}

TEST(a_function_that_breaks_the_contract_is_caught_and_named)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        gr_op op = { .name = table[i].name, .arity = 1, .forward = table[i].forward ? table[i].forward : cube_forward, .vjp = table[i].vjp, .backward = table[i].backward };
        gr_ctx *c = f64();
        gr_tensor *x = gr_requires_grad(gr_name(gr_from(c, GR_SHAPE(3, 3), (double[]){ 0.5, 0.8, -1.1, 1.4, -0.0, 0.7, -1.7, 0.9, -0.6 }), "x"));
        if (table[i].vjp != negative_zero) numbers_of(x)[4] = 1.2;
        gr_gradcheck_report r;
        int before = test_errors;
        calls = 0;
        CHECK(!gr_gradcheck(apply, &op, &x, 1, &r, .order = 3));
        CHECK(r.verdict == table[i].verdict && strstr(r.diagnosis, table[i].diagnosis) != NULL);
        CHECK_STR(gr_message(c), "");
        show(table[i].name, before, &r);
        gr_ctx_free(c);
    }
}

TEST(a_mistake_in_f32_alone_is_caught)
{
    gr_op op = { .name = "cube", .arity = 1, .forward = only_in_f32, .vjp = wrong_in_f32 };
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_requires_grad(gr_name(gr_from(c, GR_SHAPE(3), (float[]){ 0.5f, 0.8f, -1.1f }), "x"));
    gr_gradcheck_report r;
    CHECK(!gr_gradcheck(apply, &op, &x, 1, &r) && r.verdict == F && strstr(r.diagnosis, "in f32 the gradient at x[2] is") != NULL);
    op.vjp = good;
    CHECK(gr_gradcheck(apply, &op, &x, 1, &r));
    gr_ctx_free(c);
}

TEST(a_record_without_samples_is_checked_at_every_size)
{
    gr_op op = { .name = "cube", .arity = 1, .forward = only_in_f32, .vjp = good };
    gr_gradcheck_report r;
    CHECK(gr_gradcheck_op(&op, &r) && r.checked > 37 * 37);
    op.vjp = tail;
    CHECK(!gr_gradcheck_op(&op, &r) && r.verdict == F && r.element == 36 && strstr(r.subject, "[37]") != NULL);
    op.shape = gr_elementwise_shape;
    CHECK(!gr_gradcheck_op(&op, &r) && r.verdict == GR_CHECK_ERROR && strstr(r.diagnosis, "has no samples") != NULL);
}

/* ---- two inputs: y = a b ---------------------------------------------------------------------------------------*/
static bool product_forward(const gr_call *k, gr_tensor *y)
{
    gr_tensor *a = gr_contiguous(k->in[0]), *b = gr_contiguous(k->in[1]);
    for (int64_t e = 0; a && b && e < gr_numel(y); e++) numbers_of(y)[e] = numbers_of(a)[e] * numbers_of(b)[e];
    return a && b;
}
static gr_tensor *product_vjp(gr_tensor *y, gr_tensor *dy, int i) { return gr_amul(dy, gr_input(y, 1 - i)); }
static gr_tensor *one_of_two(gr_tensor *y, gr_tensor *dy, int i) { return i ? NULL : product_vjp(y, dy, 0); }
static gr_tensor *first_alone(gr_tensor *y, gr_tensor *dy, int i) { return i && gr_input(y, 0) == gr_input(y, 1) ? gr_mul(dy, 0) : product_vjp(y, dy, i); }
static gr_tensor *cut_across(gr_tensor *y, gr_tensor *dy, int i) { return gr_amul(dy, gr_detach(gr_input(y, 1 - i))); }
static gr_tensor *swapped(gr_tensor *y, gr_tensor *dy, int i) { return gr_amul(dy, gr_input(y, i)); }
static bool only_if_both(gr_tensor *y, gr_tensor *dy, gr_tensor **dx)
{
    for (int i = 0; i < 2; i++) dx[i] = gr_wants(y, 0) ? product_vjp(y, dy, i) : gr_zeros_like(dy);
    return dx[0] && dx[1];
}
static bool in_one_memory(const gr_call *k, gr_tensor *y) /* a in place: b = a when both are one memory */
{
    if (gr_data(k->in[0]) != gr_data(k->in[1]) || k->in[0] == k->in[1]) return product_forward(k, y);
    return gr_copy_to(y, k->in[0]);
}

TEST(mistakes_with_two_inputs_are_caught)
{
    static const struct {
        gr_op op;
        const char *diagnosis;
    } row[] = {
        { { .name = "first_alone", .arity = 2, .forward = product_forward, .vjp = first_alone }, "the gradient is wrong where inputs 0 and 1 are one tensor" },
        { { .name = "cut_across", .arity = 2, .forward = product_forward, .vjp = cut_across }, "the first derivatives agree, the second do not: the gradient by input" },
        { { .name = "swapped", .arity = 2, .forward = product_forward, .vjp = swapped }, "the gradient by input \"x\": it is the gradient of x1: inputs are mixed up" },
        { { .name = "one_of_two", .arity = 2, .forward = product_forward, .vjp = one_of_two }, "the gradient by input 1: zero where the differences are not" },
        { { .name = "only_if_both", .arity = 2, .forward = product_forward, .vjp = product_vjp, .backward = only_if_both },
          "the gradient by input 1 is another one where no other input needs one" },
        { { .name = "in_one_memory", .arity = 2, .forward = in_one_memory, .vjp = product_vjp }, "whether inputs 0 and 1 share memory" },
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        gr_ctx *c = f64();
        gr_tensor *x[] = { numbers(c, GR_SHAPE(2, 3)), gr_requires_grad(gr_from(c, GR_SHAPE(2, 3), (double[]){ 0.3, -2, 1.5, 0.7, 1.1, -0.4 })) };
        gr_gradcheck_report r;
        int before = test_errors;
        CHECK(!gr_gradcheck(apply2, (void *)(uintptr_t)&row[i].op, x, 2, &r) && r.verdict == F && strstr(r.diagnosis, row[i].diagnosis) != NULL);
        show(row[i].op.name, before, &r);
        gr_ctx_free(c);
    }
}

/* ---- sizes -----------------------------------------------------------------------------------------------------*/
static bool rows_shape(gr_call *k) { return k->dtype = GR_F64, k->ndim = 1, k->dim[0] = gr_size(k->in[0], 0), true; }
static bool rows_forward(const gr_call *k, gr_tensor *y)
{
    gr_tensor *x = gr_contiguous(k->in[0]);
    int64_t n = gr_size(k->in[0], 1);
    for (int64_t i = 0; x && i < gr_numel(y); i++) {
        numbers_of(y)[i] = 0;
        for (int64_t j = 0; j < n; j++) numbers_of(y)[i] += numbers_of(x)[i * n + j];
    }
    return x != NULL;
}
VJP(along_the_wrong_dimension, gr_broadcast_to(gr_unsqueeze(dy, 0), gr_dims_like(x)))
static gr_tensor *to_size_1(gr_tensor *y, gr_tensor *dy, int i) { return i && gr_numel(gr_input(y, 1)) > 1 ? gr_sum(dy, .dims = GR_DIMS(0)) : dy; }
static bool wide_shape(gr_call *k) { return k->dtype = GR_F64, k->ndim = 2, k->dim[0] = gr_size(k->in[0], 0), k->dim[1] = gr_size(k->in[0], 1), true; }
static bool wide_forward(const gr_call *k, gr_tensor *y)
{
    gr_tensor *a = gr_contiguous(k->in[0]), *b = gr_contiguous(k->in[1]);
    for (int64_t e = 0; a && b && e < gr_numel(y); e++) numbers_of(y)[e] = numbers_of(a)[e] + numbers_of(b)[e % gr_numel(b)];
    return a && b;
}

TEST(mistakes_with_shapes_are_caught)
{
    gr_op rows = { .name = "rows", .arity = 1, .shape = rows_shape, .forward = rows_forward, .vjp = along_the_wrong_dimension };
    gr_op wide = { .name = "wide", .arity = 2, .shape = wide_shape, .forward = wide_forward, .vjp = to_size_1 };
    gr_ctx *c = f64();
    gr_tensor *x = numbers(c, GR_SHAPE(3, 3)), *in[] = { numbers(c, GR_SHAPE(2, 3)), numbers(c, GR_SHAPE(3)) };
    gr_gradcheck_report r;
    CHECK(!gr_gradcheck(apply, &rows, &x, 1, &r) && r.verdict == F && strstr(r.diagnosis, "transposed") != NULL);
    CHECK(gr_gradcheck(apply2, &wide, in, 2, &r));
    in[1] = numbers(c, GR_SHAPE(1));
    CHECK(!gr_gradcheck(apply2, &wide, in, 2, &r) && r.verdict == F && strstr(r.diagnosis, "vjp of wide gave a gradient [2, 3]") != NULL);
    gr_ctx_free(c);
}

/* ---- the edge of a domain --------------------------------------------------------------------------------------*/
static gr_tensor *from_0_on(gr_tensor **x, void *factor)
{
    for (int64_t e = 0; e < gr_numel(x[0]); e++)
        if (numbers_of(x[0])[e * gr_stride(x[0])[0]] < 0) return gr_fail(gr_ctx_of(x[0]), GR_EVALUE, "from_0_on: below 0"), NULL;
    gr_tensor *y = gr_exp(x[0]), *d = gr_mul(gr_sub(x[0], gr_detach(x[0])), *(double *)factor - 1);
    return gr_add(y, gr_sub(gr_mul(d, gr_detach(y)), gr_detach(gr_mul(d, y))));
}

TEST(at_the_edge_of_a_domain_one_side_is_enough)
{
    gr_ctx *c = f64();
    gr_tensor *x = gr_requires_grad(gr_from(c, GR_SHAPE(2), (double[]){ 0, 2 }));
    gr_gradcheck_report r;
    CHECK(gr_gradcheck(from_0_on, &(double){ 1 }, &x, 1, &r) && r.verdict == GR_CHECK_PASS);
    if (!r.passed) test_show_check(&r);
    CHECK(!gr_gradcheck(from_0_on, &(double){ 1.001 }, &x, 1, &r) && r.verdict == F && r.worst[0].right == r.worst[0].right);
    gr_ctx_free(c);
}

/* ---- in one line -----------------------------------------------------------------------------------------------*/
static gr_tensor *loss(gr_tensor *p, gr_tensor *t) { return gr_mean(gr_square(gr_sub(p, t))); }
static gr_tensor *third(gr_tensor **x, void *user) { return (void)user, gr_sin(gr_mul(x[0], gr_mul(x[1], x[2]))); }
static gr_tensor *wrong_square(gr_tensor *x) { return gr_mul(x, gr_detach(x)); }

TEST(one_line_is_a_check)
{
    gr_ctx *c = f64();
    gr_tensor *x = numbers(c, GR_SHAPE(3)), *w = numbers(c, GR_SHAPE(3)), *s = gr_requires_grad(gr_scalar(c, 0.3));
    CHECK(GR_GRADCHECK(gr_tanh, x) && GR_GRADCHECK(gr_matmul, x, w) && GR_GRADCHECK(loss, x, w) && GR_GRADCHECK(third, x, w, s));
    CHECK(!GR_GRADCHECK(wrong_square, x) && gr_failed(c));
    CHECK(strstr(gr_message(c), "wrong_square: gradcheck FAIL  mul") == gr_message(c) && strstr(gr_message(c), "half of what it must be") != NULL);
    gr_clear_error(c);
    CHECK(!GR_GRADCHECK(loss, x) && strstr(gr_message(c), "GR_GRADCHECK(loss): got 1 tensors, takes 2") != NULL);
    gr_ctx_free(c);
}
