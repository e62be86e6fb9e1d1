/* The element-wise operations: a row each. Value and derivative loops stand in kernels/kernels.h under the same name.
 *
 *   forward    kernel name          over y and the inputs
 *   backward   kernel name_d<input> over dx, dy, the inputs and y, in one pass
 *   vjp        the same derivative by public operations, so that it can be differentiated again
 *
 * SPDX-License-Identifier: MIT */
#include "ops/record.h"

#include <math.h>

#undef gr_add
#undef gr_sub
#undef gr_mul
#undef gr_div
#undef gr_pow
#undef gr_maximum
#undef gr_minimum

/* ---- what every row shares ---------------------------------------------------------------------------------------------*/
enum { ALIAS = -1, NOTHING = -2 }; /* instead of a derivative kernel: dx is dy itself; there is none */
enum { COMPARES = 1 << 16 };       /* a flag of rows: which piece y is from depends on the larger one of a and b, or of x and 0 */
typedef struct row {
    int value, d[2];
} row;

static bool forward(const gr_call *k, gr_tensor *y)
{
    const row *r = k->op->data;
    gr_tensor *a = k->in[0], *b = k->in[k->n - 1];
    if (y->numel != 1) return gr__run_kernel(r->value, (gr_type)a->dtype, k->n + 1, (gr_tensor *[]){ y, a, b });
    gr__kernels()->ew[r->value][gr__kt(a)](1, (char *[]){ gr__place_of_one(y), a->data, b->data });
    return true;
}

/* dx[i] takes the place of dy where nobody reads that any more, but for the values that would wait. */
static inline gr_tensor *place_of(gr_tensor *dy, bool last)
{
    return last && dy->flags & GR_T_SPENT && dy->numel < dy->ctx->defer_from ? dy : gr__node_like(gr__scope_now(dy->ctx), dy, 0);
}

static bool backward(gr_tensor *y, gr_tensor *dy, gr_tensor **dx)
{
    const row *r = y->op->data;
    const int n = y->nin;
    if (r->d[0] == ALIAS && r->d[1] == ALIAS) { /* nothing to compute */
        for (int i = 0; i < n; i++) dx[i] = gr__wants(y, i) ? dy : NULL;
        return true;
    }
    gr_tensor *a = y->in[0], *b = n > 1 ? y->in[1] : y;
    char *p[] = { NULL, dy->data, a->data, b->data, y->data };
    const bool first = r->d[0] != NOTHING && gr__wants(y, 0);
    for (int i = n - 1; i >= 0; i--) {
        const int kernel = r->d[i];
        if (kernel == NOTHING || !gr__wants(y, i)) continue;
        dx[i] = dy;
        if (kernel == ALIAS) continue;
        gr_tensor *g = dx[i] = place_of(dy, i == 0 || !first);
        if (!g) return false;
        if (g->numel == 1) p[0] = gr__place_of_one(g), gr__kernels()->ew[kernel][gr__kt(g)](1, p);
        else if (!gr__run_kernel(kernel, (gr_type)g->dtype, n + 3, (gr_tensor *[]){ g, dy, a, b, y })) return false;
    }
    return true;
}

static gr_tensor *larger(const gr_call *k, gr_tensor *y)
{
    return (void)y, k->n == 1 ? gr_sign(k->in[0]) : gr_max_share(k->in[0], k->in[1]);
}

static bool compare_shape(gr_call *k)
{
    if (!gr_elementwise_shape(k)) return false;
    k->dtype = GR_BOOL;
    return true;
}

static gr_tensor *unary(const gr_op *op, gr_tensor *x)
{
    if (gr__alike(x, x)) return gr__apply_alike(op, 1, x, x);
    if (!gr__usable(x)) return NULL;
    return gr__apply1(op, gr__promote(x, ((const row *)op->data)->value), NULL);
}

/* a and b may differ in all that they can */
GR_APART static gr_tensor *unlike(const gr_op *op, gr_tensor *a, gr_tensor *b)
{
    if (a && b && a->ctx == b->ctx && a->ctx->code == GR_OK) {
        bool plain = a->dtype == b->dtype && gr__same_shape(a, b);
        if (!plain && !gr__match(op, &a, &b)) return NULL;
        int kernel = ((const row *)op->data)->value;
        if (a->dtype < GR_F32 && !gr__kernels()->ew[kernel][gr__kt(a)]) a = gr__promote(a, kernel), b = gr__promote(b, kernel);
    }
    return gr_apply(op, (gr_tensor *[]){ a, b }, 2, NULL);
}
static gr_tensor *binary(const gr_op *op, gr_tensor *a, gr_tensor *b)
{
    return !op->shape && gr__alike(a, b) ? gr__apply_alike(op, 2, a, b) : unlike(op, a, b);
}

/* The number v beside t: in the dtype of t where that can hold it. */
static gr_tensor *beside(gr_tensor *t, double v)
{
    if (!gr__usable(t)) return NULL;
    gr_type type = (gr_type)t->dtype;
    if (type < GR_F32) type = v == floor(v) && fabs(v) < 0x1p63 ? GR_I64 : gr__float_type(t->ctx);
    return gr_number(t->ctx, gr__dims_of_tensor(t), type, v);
}

static bool number(gr_operand o) { return gr_operand_is_number(o); }
static gr_tensor *either(const gr_op *op, gr_operand a, gr_operand b)
{
    if (number(a) && number(b)) return NULL; /* no context to report to */
    gr_tensor *x = number(a) ? beside(b.t, a.v) : a.t, *y = number(b) ? beside(a.t, b.v) : b.t;
    if ((number(a) && !x) || (number(b) && !y)) return NULL;
    return binary(op, x, y);
}

/* ---- samples: every shape that an element-wise operation can meet ------------------------------------------------------*/
#define UNARY_SAMPLES(name, D)                                                                                       \
    static gr_tensor *call_##name(gr_tensor **x) { return gr_##name(x[0]); }                                         \
    static const gr_sample samples_##name[] = {                                                                      \
        { "[2, 3] in " D, call_##name }, { "[] in " D, call_##name },  { "[1] in " D, call_##name },                 \
        { "[5] in " D, call_##name },    { "[0, 2] in " D, call_##name }, { "[2, 1, 3, 2] in " D, call_##name },     \
        { NULL, NULL } };
#define BINARY_SAMPLES(name, DA, DB)                                                                                 \
    static gr_tensor *call_##name(gr_tensor **x) { return gr_##name(x[0], x[1]); }                                   \
    static const gr_sample samples_##name[] = {                                                                      \
        { "[2, 3] in " DA "; [2, 3] in " DB, call_##name },   { "[] in " DA "; [] in " DB, call_##name },            \
        { "[2, 3] in " DA "; [3] in " DB, call_##name },      { "[1] in " DA "; [2, 2] in " DB, call_##name },       \
        { "[2, 1, 3] in " DA "; [4, 1] in " DB, call_##name }, { "[0, 3] in " DA "; [3] in " DB, call_##name },      \
        { "[2, 2] in " DA "; [] in " DB, call_##name },       { NULL, NULL } };                                      \
    static const gr_bad_call bad_##name[] = {                                                                        \
        { "[2, 3]; [4]", call_##name, GR_ESHAPE,                                                                     \
          #name "([2, 3], [4]): sizes 3 and 4 at dimension -1 do not broadcast. Fix: make these sizes equal, or one of them 1" }, \
        { NULL, NULL, GR_OK, NULL } };
static const gr_bad_call no_bad_call[] = { { NULL, NULL, GR_OK, NULL } };

#define UNARY(NAME, FORMULA, GRADIENT, DOMAIN, FLAGS, REFERENCE)                                                     \
    static const row row_##NAME = { GR_EW_##NAME, { GR_EW_##NAME##_dx, NOTHING } };                                  \
    gr_tensor *gr_##NAME(gr_tensor *x) { return unary(&gr_op_##NAME, x); }                                           \
    static double ref_##NAME(const double *p)                                                                        \
    {                                                                                                                \
        double x = p[0];                                                                                             \
        return REFERENCE;                                                                                            \
    }                                                                                                                \
    UNARY_SAMPLES(NAME, DOMAIN)                                                                                      \
    const gr_op gr_op_##NAME = { .name = #NAME, .formula = FORMULA, .gradient = GRADIENT, .arity = 1,                \
                                 .flags = GR_OP_KERNEL | GR_OP_ELEMENTWISE | FLAGS, .forward = forward, .vjp = vjp_##NAME,          \
                                 .backward = backward, .branch = (FLAGS) & COMPARES ? larger : NULL,                 \
                                 .reference = ref_##NAME, .samples = samples_##NAME, .bad = no_bad_call,             \
                                 .data = &row_##NAME };

#define BINARY(NAME, FORMULA, GRADIENT, DA, DB, FLAGS, KA, KB, REFERENCE)                                                           \
    BINARY_WITH(NAME, FORMULA, GRADIENT, DA, DB, FLAGS, KA, KB, REFERENCE, NULL, (FLAGS) & COMPARES ? larger : NULL)
#define BINARY_WITH(NAME, FORMULA, GRADIENT, DA, DB, FLAGS, KA, KB, REFERENCE, SHAPE, BRANCH)                                       \
    static const row row_##NAME = { GR_EW_##NAME, { KA, KB } };                                                      \
    static double ref_##NAME(const double *p)                                                                        \
    {                                                                                                                \
        double a = p[0], b = p[1];                                                                                   \
        return REFERENCE;                                                                                            \
    }                                                                                                                \
    BINARY_SAMPLES(NAME, DA, DB)                                                                                     \
    const gr_op gr_op_##NAME = { .name = #NAME, .formula = FORMULA, .gradient = GRADIENT, .arity = 2,                \
                                 .flags = GR_OP_KERNEL | GR_OP_ELEMENTWISE | FLAGS, .shape = SHAPE, .forward = forward,             \
                                 .vjp = vjp_##NAME, .backward = backward,                                            \
                                 .branch = BRANCH, .reference = ref_##NAME,                                          \
                                 .samples = samples_##NAME, .bad = bad_##NAME, .data = &row_##NAME };

#define VJP(name) static gr_tensor *vjp_##name(gr_tensor *y, gr_tensor *dy, int i)
#define X gr_input(y, 0)
#define A gr_input(y, 0)
#define B gr_input(y, 1)
static gr_operand t_(gr_tensor *t) { return gr_operand_tensor(t); }
static gr_operand n_(double v) { return gr_operand_number(v); }

/* ---- one input -----------------------------------------------------------------------------------------------------------*/
VJP(neg) { return (void)y, (void)i, gr_neg(dy); }
UNARY(neg, "y = -x", "dx = -dy", "-2..2", GR_OP_LINEAR, -x)

VJP(exp) { return (void)i, gr_amul(dy, y); }
UNARY(exp, "y = exp(x)", "dx = dy * y", "-2..2", 0, exp(x))

VJP(log) { return (void)i, gr_amul(dy, gr_reciprocal(X)); }
UNARY(log, "y = log(x)", "dx = dy / x", "0.5..3", 0, log(x))

VJP(sqrt) { return (void)i, gr_amul(dy, gr_div_any(n_(0.5), t_(y))); }
UNARY(sqrt, "y = sqrt(x)", "dx = dy / (2 * y)", "0.5..3", 0, sqrt(x))

VJP(sin) { return (void)i, gr_amul(dy, gr_cos(X)); }
UNARY(sin, "y = sin(x)", "dx = dy * cos(x)", "-3..3", 0, sin(x))

VJP(cos) { return (void)i, gr_amul(dy, gr_neg(gr_sin(X))); }
UNARY(cos, "y = cos(x)", "dx = dy * -sin(x)", "-3..3", 0, cos(x))

VJP(tanh) { return (void)i, gr_amul(dy, gr_sub_any(n_(1), t_(gr_square(y)))); }
UNARY(tanh, "y = tanh(x)", "dx = dy * (1 - y^2)", "-2..2", 0, tanh(x))

VJP(sigmoid) { return (void)i, gr_amul(dy, gr_mul(y, gr_sub_any(n_(1), t_(y)))); }
UNARY(sigmoid, "y = sigmoid(x)", "dx = dy * y * (1 - y)", "-3..3", 0, 1 / (1 + exp(-x)))

VJP(relu) { return (void)i, gr_amul(dy, gr_heaviside(X)); }
UNARY(relu, "y = relu(x)", "dx = dy * heaviside(x)", "-2..2", COMPARES, x > 0 ? x : 0)

VJP(abs) { return (void)i, gr_amul(dy, gr_sign(X)); }
UNARY(abs, "y = abs(x)", "dx = dy * sign(x)", "-2..2", COMPARES, fabs(x))

VJP(square) { return (void)i, gr_amul(dy, gr_mul_any(n_(2), t_(X))); }
UNARY(square, "y = x^2", "dx = dy * 2 * x", "-2..2", 0, x * x)

VJP(reciprocal) { return (void)i, gr_amul(dy, gr_neg(gr_square(y))); }
UNARY(reciprocal, "y = 1 / x", "dx = dy * -(y^2)", "0.5..3", 0, 1 / x)

#define vjp_sign gr__zero_vjp
UNARY(sign, "y = sign(x)", "dx = dy * 0", "-2..2", COMPARES, (x > 0) - (x < 0))

/* the derivative of relu: 1 for x > 0, 0 for x <= 0, 1 for NaN so that a NaN is not hidden */
#define vjp_heaviside gr__zero_vjp
UNARY(heaviside, "y = heaviside(x)", "dx = dy * 0", "-2..2", COMPARES, x <= 0 ? 0 : 1)

VJP(expm1) { return (void)i, gr_amul(dy, gr_add_any(t_(y), n_(1))); }
UNARY(expm1, "y = exp(x) - 1", "dx = dy * (y + 1)", "-2..2", 0, expm1(x))

VJP(log1p) { return (void)i, gr_amul(dy, gr_reciprocal(gr_add_any(t_(X), n_(1)))); }
UNARY(log1p, "y = log(1 + x)", "dx = dy / (1 + x)", "-0.5..2", 0, log1p(x))

#define SQRT_2 1.4142135623730951
#define SQRT_2_PI 2.5066282746310002
VJP(erf) { return (void)i, gr_amul(dy, gr_mul_any(n_(2 * SQRT_2 / SQRT_2_PI), t_(gr_exp(gr_neg(gr_square(X)))))); }
UNARY(erf, "y = erf(x)", "dx = dy * 1.1283791670955126 * exp(-(x^2))", "-2..2", 0, erf(x))

VJP(gelu)
{
    gr_tensor *x = X, *twice = gr_add_any(n_(1), t_(gr_erf(gr_mul_any(t_(x), n_(1 / SQRT_2))))); /* 2 Phi(x) */
    gr_tensor *density = gr_mul_any(n_(1 / SQRT_2_PI), t_(gr_exp(gr_mul_any(n_(-0.5), t_(gr_square(x))))));
    return (void)i, gr_amul(dy, gr_add(gr_mul_any(n_(0.5), t_(twice)), gr_mul(x, density)));
}
UNARY(gelu, "y = x * (1 + erf(x / sqrt(2))) / 2", "dx = dy * ((1 + erf(x / sqrt(2))) / 2 + x * exp(-(x^2) / 2) / 2.5066282746310002)", "-3..3",
      0, x * erfc(-x / SQRT_2) / 2)

VJP(silu)
{
    gr_tensor *s = gr_sigmoid(X);
    return (void)i, gr_amul(dy, gr_mul(s, gr_add_any(n_(1), t_(gr_mul(X, gr_sub_any(n_(1), t_(s)))))));
}
UNARY(silu, "y = x * sigmoid(x)", "dx = dy * sigmoid(x) * (1 + x * (1 - sigmoid(x)))", "-3..3", 0, x / (1 + exp(-x)))

VJP(softplus) { return (void)i, gr_amul(dy, gr_sigmoid(X)); }
UNARY(softplus, "y = max(x, 0) + log(1 + exp(-abs(x)))", "dx = dy * sigmoid(x)", "-3..3", 0, fmax(x, 0) + log1p(exp(-fabs(x))))

/* ---- two inputs ------------------------------------------------------------------------------------------------------------*/
VJP(add) { return (void)y, (void)i, dy; }
BINARY(add, "y = a + b", "da = dy; db = dy", "-2..2", "-2..2", GR_OP_LINEAR, ALIAS, ALIAS, a + b)

VJP(sub) { return (void)y, i == 0 ? dy : gr_neg(dy); }
BINARY(sub, "y = a - b", "da = dy; db = -dy", "-2..2", "-2..2", GR_OP_LINEAR, ALIAS, GR_EW_sub_db, a - b)

VJP(mul) { return gr_amul(dy, i == 0 ? B : A); }
BINARY(mul, "y = a * b", "da = dy * b; db = dy * a", "-2..2", "-2..2", 0, GR_EW_mul_da, GR_EW_mul_db, a *b)

VJP(div) { return gr_amul(dy, i == 0 ? gr_reciprocal(B) : gr_neg(gr_div(y, B))); }
BINARY(div, "y = a / b", "da = dy / b; db = dy * -(y / b)", "-2..2", "0.5..3", 0, GR_EW_div_da, GR_EW_div_db, a / b)

VJP(pow)
{
    gr_tensor *a = A, *b = B, *zero_b = gr_eq_any(t_(b), n_(0));
    if (i == 0) return gr_amul(dy, gr_where_any(zero_b, n_(0), t_(gr_mul(b, gr_pow(a, gr_sub_any(t_(b), n_(1)))))));
    gr_tensor *flat = gr_where_any(gr_eq_any(t_(a), n_(0)), t_(gr_astype(gr_ge_any(t_(b), n_(0)), gr_dtype(b))), n_(0));
    return gr_amul(dy, gr_where_any(gr_eq_any(t_(flat), n_(1)), n_(0), t_(gr_mul(y, gr_log(a)))));
}
BINARY(pow, "y = a ^ b", "da = dy * b * a^(b - 1); db = dy * y * log(a)", "0.5..2", "-2..2", 0, GR_EW_pow_da, GR_EW_pow_db,
       pow(a, b))

VJP(maximum) { return gr_amul(dy, i == 0 ? gr_max_share(A, B) : gr_max_share(B, A)); }
BINARY(maximum, "y = max(a, b)", "da = dy * max_share(a, b); db = dy * max_share(b, a)", "-2..2", "-2..2", COMPARES, GR_EW_maximum_da,
       GR_EW_maximum_db, a > b ? a : b)

VJP(minimum)
{
    gr_tensor *a = gr_neg(A), *b = gr_neg(B);
    return gr_amul(dy, i == 0 ? gr_max_share(a, b) : gr_max_share(b, a));
}
BINARY(minimum, "y = min(a, b)", "da = dy * max_share(-a, -b); db = dy * max_share(-b, -a)", "-2..2", "-2..2", COMPARES,
       GR_EW_minimum_da, GR_EW_minimum_db, a < b ? a : b)

/* b is a parameter of the formula, so the tie is a kink in a alone: the middle of [0, 1] would be as good, but the
 * subgradient of smallest norm is 0 */
VJP(clamp_min) { return i == 0 ? gr_amul(dy, gr_heaviside(gr_sub(A, B))) : NULL; }
BINARY(clamp_min, "y = max(a, b)", "da = dy * (a > b)", "-2..2", "const -1..1", COMPARES, GR_EW_clamp_min_da, NOTHING, a > b ? a : b)

VJP(clamp_max) { return i == 0 ? gr_amul(dy, gr_heaviside(gr_sub(B, A))) : NULL; }
BINARY(clamp_max, "y = min(a, b)", "da = dy * (a < b)", "-2..2", "const -1..1", COMPARES, GR_EW_clamp_max_da, NOTHING, a < b ? a : b)

VJP(amul) { return gr_amul(dy, i == 0 ? B : A); }
BINARY(amul, "y = a * b", "da = dy * b; db = dy * a", "-2..2", "-2..2", 0, GR_EW_amul_da, GR_EW_amul_db, a == 0 ? 0 : a * b)

VJP(bce_with_logits) { return gr_amul(dy, i == 0 ? gr_sub(gr_sigmoid(A), B) : gr_neg(A)); }
BINARY(bce_with_logits, "y = max(a, 0) - a * b + log(1 + exp(-abs(a)))", "da = dy * (sigmoid(a) - b); db = dy * -a", "-3..3",
       "0..1", 0, GR_EW_bce_with_logits_da, GR_EW_bce_with_logits_db, fmax(a, 0) - a *b + log1p(exp(-fabs(a))))

#define LEAST_LOG (-100)
static void check_run(int64_t n, char *const *p, const int64_t *s, void *user)
{
    double *outside = user;
    for (int64_t i = 0; i < n; i++) {
        double v = outside[1] == GR_F32 ? (double)((const float *)(const void *)p[0])[i * s[0]] : ((const double *)(const void *)p[0])[i * s[0]];
        if (v < 0 || v > 1) outside[0] = v; /* a NaN passes and shows in y */
    }
}
static bool bce_shape(gr_call *k)
{
    const gr_tensor *p = k->in[0];
    double outside[2] = { 0, p->dtype };
    if (!gr_elementwise_shape(k) || !gr__ready(p)) return false;
    gr__strided(1, &p, check_run, outside);
    if (outside[0] != 0) return gr_reject(k, GR_EVALUE, "apply gr_sigmoid first, or use the loss from logits", "%g is no probability", outside[0]);
    return true;
}
gr_tensor *gr_bce(gr_tensor *p, gr_tensor *t) { return binary(&gr_op_bce, p, t); }
VJP(bce)
{
    gr_tensor *q = gr_sub_any(n_(1), t_(A));
    if (i == 0) return gr_amul(dy, gr_div(gr_sub(A, B), gr_maximum_any(t_(gr_mul(A, q)), n_(1e-12))));
    return gr_amul(dy, gr_sub(gr_maximum_any(t_(gr_log(q)), n_(LEAST_LOG)), gr_maximum_any(t_(gr_log(A)), n_(LEAST_LOG))));
}
/* 0; -1 or 1 where the log of a or that of 1 - a is at its floor */
static gr_tensor *bce_branch(const gr_call *k, gr_tensor *y)
{
    gr_tensor *p = k->in[0], *q = gr_sub_any(n_(1), t_(p));
    return (void)y, gr_sub(gr_gt_any(t_(gr_log(p)), n_(LEAST_LOG)), gr_gt_any(t_(gr_log(q)), n_(LEAST_LOG)));
}
static double floored(double p) { return fmax(log(p), LEAST_LOG); }
BINARY_WITH(bce, "y = -(b * max(log(a), -100) + (1 - b) * max(log(1 - a), -100))",
            "da = dy * (a - b) / max(a * (1 - a), 1e-12); db = dy * (max(log(1 - a), -100) - max(log(a), -100))", "0.1..0.9", "0..1", 0,
            GR_EW_bce_da, GR_EW_bce_db, -(b * floored(a) + (1 - b) * floored(1 - a)), bce_shape, bce_branch)

/* what max and its relatives need: constant in pieces, with a derivative that is zero and yet connected */
#define vjp_same gr__zero_vjp
gr_tensor *gr_same(gr_tensor *a, gr_tensor *b) { return binary(&gr_op_same, a, b); }
BINARY(same, "y = a == b", "da = dy * 0; db = dy * 0", "-2..2", "-2..2", COMPARES, GR_EW_same_da, GR_EW_same_db, a == b)

#define vjp_max_share gr__zero_vjp
gr_tensor *gr_max_share(gr_tensor *a, gr_tensor *b) { return binary(&gr_op_max_share, a, b); }
BINARY(max_share, "y = (a > b) + (a == b) / 2", "da = dy * 0; db = dy * 0", "-2..2", "-2..2", COMPARES, GR_EW_max_share_da,
       GR_EW_max_share_db, a > b ? 1 : a == b ? 0.5 : 0)

gr_tensor *gr_clamp_min(gr_tensor *a, gr_tensor *b) { return binary(&gr_op_clamp_min, a, b); }
gr_tensor *gr_clamp_max(gr_tensor *a, gr_tensor *b) { return binary(&gr_op_clamp_max, a, b); }
gr_tensor *gr_amul(gr_tensor *g, gr_tensor *d) { return binary(&gr_op_amul, g, d); }
gr_tensor *gr_bce_with_logits(gr_tensor *x, gr_tensor *t) { return binary(&gr_op_bce_with_logits, x, t); }

#define EITHER(name)                                                                                                 \
    gr_tensor *gr_##name(gr_tensor *a, gr_tensor *b) { return binary(&gr_op_##name, a, b); }                         \
    gr_tensor *gr_##name##_any(gr_operand a, gr_operand b) { return number(a) || number(b) ? either(&gr_op_##name, a, b) : gr_##name(a.t, b.t); }
EITHER(add)
EITHER(sub)
EITHER(mul)
EITHER(div)
EITHER(pow)

gr_tensor *gr_maximum(gr_tensor *a, gr_tensor *b) { return binary(&gr_op_maximum, a, b); }
gr_tensor *gr_minimum(gr_tensor *a, gr_tensor *b) { return binary(&gr_op_minimum, a, b); }
gr_tensor *gr_maximum_any(gr_operand a, gr_operand b)
{
    if (number(b)) return either(&gr_op_clamp_min, a, b);
    return number(a) ? either(&gr_op_clamp_min, b, a) : gr_maximum(a.t, b.t);
}
gr_tensor *gr_minimum_any(gr_operand a, gr_operand b)
{
    if (number(b)) return either(&gr_op_clamp_max, a, b);
    return number(a) ? either(&gr_op_clamp_max, b, a) : gr_minimum(a.t, b.t);
}

gr_tensor *gr_clamp(gr_tensor *x, double low, double high)
{
    return gr_minimum_any(t_(gr_maximum_any(t_(x), n_(low))), n_(high));
}

/* ---- comparisons -------------------------------------------------------------------------------------------------------------*/
#undef gr_eq
#undef gr_ne
#undef gr_lt
#undef gr_le
#undef gr_gt
#undef gr_ge
#define COMPARE(NAME, OP)                                                                                            \
    EITHER(NAME)                                                                                                     \
    static const row row_##NAME = { GR_EW_##NAME, { NOTHING, NOTHING } };                                            \
    static double ref_##NAME(const double *p) { return p[0] OP p[1]; }                                               \
    BINARY_SAMPLES(NAME, "-1..1", "-1..1")                                                                           \
    const gr_op gr_op_##NAME = { .name = #NAME, .formula = "y = a " #OP " b", .gradient = "none", .arity = 2,        \
                                 .flags = GR_OP_ELEMENTWISE, .shape = compare_shape, .forward = forward,             \
                                 .reference = ref_##NAME, .samples = samples_##NAME, .bad = bad_##NAME,              \
                                 .data = &row_##NAME };
GR_EW_COMPARE(COMPARE)
