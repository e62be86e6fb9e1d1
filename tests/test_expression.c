/* The expression language: what it computes, and what it says about mistakes, to the column.
 * SPDX-License-Identifier: MIT */
#include "teach/expression.h"
#include "teach/teach.h"
#include "tests/test.h"

typedef struct world {
    gr_ctx *c;
    gr_binding names[6];
    int n;
} world;

/* w = 2, x = 3, v = [1, 2, 3], M = [1, 2; 3, 4], é = 5 */
static world begin(void)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    world k = { c, { { "w", gr_name(gr_scalar(c, 2), "w") },
                     { "x", gr_name(gr_scalar(c, 3), "x") },
                     { "v", gr_name(gr_from(c, GR_SHAPE(3), (double[]){ 1, 2, 3 }), "v") },
                     { "M", gr_name(gr_from(c, GR_SHAPE(2, 2), (double[]){ 1, 2, 3, 4 }), "M") },
                     { "\xc3\xa9", gr_scalar(c, 5) } }, 5 };
    for (int i = 0; i < k.n; i++) gr_requires_grad(k.names[i].value);
    return k;
}

static gr_tensor *value(world *k, const char *text) { return gr_expression(k->c, text, k->names, k->n); }

/* All elements of the result, as text: "[2]: 1 2" */
static const char *show(const gr_tensor *t)
{
    static char out[400];
    double v[64];
    int at = 0;
    if (!t || gr_numel(t) > 64) return "(none)";
    gr_read(t, v);
    if (gr_ndim(t)) {
        for (int d = 0; d < gr_ndim(t); d++) at += snprintf(out + at, sizeof out - (size_t)at, d ? "x%d" : "[%d", (int)gr_size(t, d));
        at += snprintf(out + at, sizeof out - (size_t)at, "]");
    }
    for (int i = 0; i < gr_numel(t); i++) at += snprintf(out + at, sizeof out - (size_t)at, "%s%.6g", at ? " " : "", v[i]);
    return out;
}

typedef struct pair {
    const char *text, *expected;
} pair;

static void all(const pair *p, int n, bool fail)
{
    for (int i = 0; i < n; i++) {
        world k = begin();
        gr_tensor *t = value(&k, p[i].text);
        if (fail) CHECK(t == NULL);
        else if (gr_failed(k.c)) printf("# %s\n", gr_message(k.c));
        CHECK_STR(fail ? gr_message(k.c) : show(t), p[i].expected);
        gr_ctx_free(k.c);
    }
}
#define VALUES(...) do { const pair p_[] = { __VA_ARGS__ }; all(p_, (int)(sizeof p_ / sizeof *p_), false); } while (0)
#define MISTAKES(...) do { const pair p_[] = { __VA_ARGS__ }; all(p_, (int)(sizeof p_ / sizeof *p_), true); } while (0)

/* ---- values ----------------------------------------------------------------------------------------------------*/
TEST(arithmetic_has_the_usual_precedence)
{
    VALUES({ "w+x*2", "8" }, { "(w+x)*2", "10" }, { "w-x-1", "-2" }, { "8/w/2", "2" }, { "-w^2", "-4" }, { "(-w)^2", "4" },
           { "w^x^0", "2" }, { "2^-w", "0.25" }, { "w*-x", "-6" }, { "- - w", "2" }, { "+w", "2" }, { "2*3", "6" },
           { "1-2-3", "-4" }, { "w<x", "1" }, { "w>=x", "0" }, { "w+1==x", "1" }, { "w!=x", "1" }, { "(w<x)+1", "2" },
           { "2 ^ 3 ^ 2", "512" }, { "1<2", "1" }, { "2*(w\n+\tx)", "10" });
}

TEST(numbers_are_written_as_in_c)
{
    VALUES({ ".5", "0.5" }, { "2.", "2" }, { "1e3", "1000" }, { "1.5E-1", "0.15" }, { "2e+1", "20" }, { "pi", "3.14159" },
           { "inf", "inf" }, { "-inf", "-inf" }, { "00012", "12" });
}

TEST(matrices_have_rows_between_semicolons)
{
    VALUES({ "[1,2,3]", "[3] 1 2 3" }, { "[1,2;3,4]", "[2x2] 1 2 3 4" }, { "[1,2;]", "[1x2] 1 2" }, { "[1;2]", "[2x1] 1 2" },
           { "[]", "[0]" }, { "[-1, 2*3]", "[2] -1 6" }, { "M@[1;1]", "[2x1] 3 7" }, { "M@[1,1]", "[2] 3 7" },
           { "[1,2;]@M", "[1x2] 7 10" }, { "M^T", "[2x2] 1 3 2 4" }, { "(M@M)^T^T", "[2x2] 7 10 15 22" }, { "M^2", "[2x2] 1 4 9 16" },
           { "M^T^2", "[2x2] 1 9 4 16" }, { "w^T", "2" }, { "v*2", "[3] 2 4 6" });
}

TEST(functions_are_the_operations_by_name)
{
    VALUES({ "tanh(0)", "0" }, { "relu(-w)", "0" }, { "sigmoid(0*w)", "0.5" }, { "exp(log(w))", "2" }, { "sqrt(w+2)", "2" },
           { "abs(-x)", "3" }, { "square(x)", "9" }, { "sum(M)", "10" }, { "sum(M,0)", "[2] 4 6" }, { "mean(M,-1)", "[2] 1.5 3.5" },
           { "prod(v)", "6" }, { "max(M)", "4" }, { "min(v)", "1" }, { "max(w,x)", "3" }, { "max(w,5)", "5" }, { "min(1,w)", "1" },
           { "maximum(v,2)", "[3] 2 2 3" }, { "max(1,2)", "2" }, { "where(v>1,v,0)", "[3] 0 2 3" }, { "where(w,1,x)", "1" },
           { "softmax([0,0])", "[2] 0.5 0.5" }, { "logsumexp([0,0])", "0.693147" }, { "log_softmax([0,0])", "[2] -0.693147 -0.693147" },
           { "argmax(v)", "2" }, { "reshape(M,4)", "[4] 1 2 3 4" }, { "reshape(M,-1,1)", "[4x1] 1 2 3 4" }, { "transpose(M)", "[2x2] 1 3 2 4" },
           { "broadcast_to(w,2,2)", "[2x2] 2 2 2 2" }, { "sum_to(M,2)", "[2] 4 6" }, { "permute(M,1,0)", "[2x2] 1 3 2 4" },
           { "slice(v,0,1,3)", "[2] 2 3" }, { "select(M,0,1)", "[2] 3 4" }, { "cat(v,v)", "[6] 1 2 3 1 2 3" }, { "matmul(M,M)", "[2x2] 7 10 15 22" },
           { "gather(v,0,[2,0])", "[2] 3 1" }, { "cross_entropy([0,0],1)", "0.693147" }, { "cross_entropy([0,0],[1,0])", "0.693147" },
           { "clamp_min(v,2)", "[3] 2 2 3" }, { "max_share(w,x)", "0" }, { "bce_with_logits(0*w,1)", "0.693147" }, { "amul(v,w)", "[3] 2 4 6" },
           { "heaviside(v-2)", "[3] 0 0 1" }, { "sign(-w)", "-1" }, { "tanh(w>3)", "0" });
}

TEST(statements_name_what_they_make)
{
    VALUES({ "a=w*x; a+a", "12" }, { "a=w; b=a; b*b;", "4" }, { "a=2; b=a*w; b", "4" }, { "a = w == 2; a", "1" });
    world k = begin();
    gr_tensor *y = value(&k, "h = w*x; y = tanh(h)");
    CHECK_STR(gr_label(y), "y");
    CHECK_STR(gr_label(gr_input(y, 0)), "h");
    CHECK(value(&k, "other = w") == k.names[0].value);
    CHECK_STR(gr_label(k.names[0].value), "w");
    gr_ctx_free(k.c);
}

TEST(names_may_have_letters_of_any_alphabet)
{
    VALUES({ "\xc3\xa9*w", "10" }, { "\xce\xb8 = w; \xce\xb8+1", "3" });
}

TEST(a_name_used_twice_is_one_tensor)
{
    world k = begin();
    gr_tensor *y = value(&k, "w*w");
    CHECK(gr_input(y, 0) == k.names[0].value && gr_input(y, 1) == k.names[0].value);
    CHECK(gr_backward(y));
    CHECK_NEAR(gr_item(gr_grad(k.names[0].value)), 4, 0);
    gr_ctx_free(k.c);
}

TEST(a_value_named_pi_is_not_the_constant)
{
    world k = begin();
    gr_binding pi = { "pi", k.names[0].value };
    CHECK_NEAR(gr_item(gr_expression(k.c, "pi", &pi, 1)), 2, 0);
    gr_ctx_free(k.c);
}

/* ---- mistakes --------------------------------------------------------------------------------------------------*/
TEST(a_caret_stands_under_the_mistake)
{
    MISTAKES({ "tanh(w*x+", "tanh(w*x+\n         ^ expected a value here" },
             { "tanh(w*x+)", "tanh(w*x+)\n         ^ expected a value here" },
             { "", "\n^ expected a value here" },
             { "w x", "w x\n  ^ expected an operator here" },
             { "2w", "2w\n ^ expected an operator here" },
             { "w)", "w)\n ^ this ) was never opened" },
             { "2*(w+x", "2*(w+x\n  ^ this ( is never closed" },
             { "tanh(w", "tanh(w\n    ^ this ( is never closed" },
             { "tanh(w x)", "tanh(w x)\n       ^ expected an operator, a comma or ) here" },
             { "(w x)", "(w x)\n   ^ expected an operator or ) here" },
             { "[1,2", "[1,2\n^ this [ is never closed" },
             { "[1 2]", "[1 2]\n   ^ expected a comma, ; or ] here" },
             { "[1,2;3]", "[1,2;3]\n     ^ this row has another length than the first" },
             { "[1,2;3,4,5;6,7]", "[1,2;3,4,5;6,7]\n         ^ this row has another length than the first" },
             { "[w,2]", "[w,2]\n ^ a matrix holds numbers only; rows are separated by ;" },
             { "[[1,2],[3,4]]", "[[1,2],[3,4]]\n ^ a matrix holds numbers only; rows are separated by ;" },
             { "w & x", "w & x\n  ^ expected an operator here" },
             { "w,x", "w,x\n ^ write several values in brackets: [1, 2]" },
             { "*w", "*w\n^ expected a value here" },
             { "w=", "w=\n  ^ expected a value here" },
             { "w+1=3", "w+1=3\n   ^ to compare, write ==" },
             { "w<x<3", "w<x<3\n   ^ comparisons do not chain: use parentheses" },
             { "a=1; a=2; a", "a=1; a=2; a\n     ^ this name has a value already: use another one" },
             { "w=1; w", "w=1; w\n^ this name has a value already: use another one" });
}

TEST(a_number_that_is_none_is_refused)
{
    MISTAKES({ "1.2.3", "1.2.3\n   ^ a number has one decimal point" }, { "w+1e", "w+1e\n  ^ this is no number: write it as 2, 0.5 or 1e-3" },
             { "1e+", "1e+\n^ this is no number: write it as 2, 0.5 or 1e-3" }, { ".", ".\n^ this is no number: write it as 2, 0.5 or 1e-3" },
             { "1..2", "1..2\n  ^ a number has one decimal point" });
}

TEST(an_unknown_name_says_how_to_give_it_a_value)
{
    MISTAKES({ "w*q", "w*q\n  ^ q has no value: add q=2" }, { "tanh+1", "tanh+1\n^ tanh is a function: write tanh(...)" },
             { "w*a; a=1", "w*a; a=1\n  ^ a has no value: add a=2" });
}

TEST(an_unknown_function_suggests_the_nearest)
{
    MISTAKES({ "w*tahn(w)", "w*tahn(w)\n  ^ there is no function tahn: did you mean tanh?" },
             { "sigmiod(w)", "sigmiod(w)\n^ there is no function sigmiod: did you mean sigmoid?" },
             { "w(3)", "w(3)\n^ there is no function w: gradus ops lists them all" },
             { "frobnicate(w)", "frobnicate(w)\n^ there is no function frobnicate: gradus ops lists them all" });
}

TEST(a_wrong_number_of_values_is_counted)
{
    MISTAKES({ "1+tanh(w,x)", "1+tanh(w,x)\n  ^ tanh takes 1 value, got 2" }, { "tanh()", "tanh()\n^ tanh takes 1 value, got 0" },
             { "where(w,x)", "where(w,x)\n^ where takes 3 values, got 2" }, { "softmax(v,0,1)", "softmax(v,0,1)\n^ softmax takes 1 to 2 values, got 3" },
             { "cat(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)", "cat(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)\n                                    ^ too many values: no function takes more than 16" });
}

TEST(shapes_that_do_not_fit_are_told_under_the_operator)
{
    MISTAKES({ "w + M*v", "w + M*v\n     ^ mul(\"M\" [2, 2], \"v\" [3]): sizes 2 and 3 at dimension -1 do not broadcast. Fix: make these sizes equal, or one of them 1" },
             { "M @ v", "M @ v\n  ^ matmul(\"M\" [2, 2], [3, 1]): the inner sizes differ: a has 2 columns, b has 3 rows. Fix: check the order of the factors" },
             { "M @ 2", "M @ 2\n  ^ @ multiplies matrices: write * to multiply by a number" },
             { "v^T", "v^T\n ^ a vector has one dimension, so no transpose: write [1,2;] for a matrix of one row" },
             { "sum(M, 5)", "sum(M, 5)\n^ sum(\"M\" [2, 2]): dimension 5 is out of range. Fix: use -2 to 1" },
             { "reshape(M, 2.5)", "reshape(M, 2.5)\n           ^ expected a whole number here" },
             { "reshape(M, w)", "reshape(M, w)\n           ^ expected a whole number here" });
}

TEST(columns_are_counted_in_characters)
{
    MISTAKES({ "\xc3\xa9*w+", "\xc3\xa9*w+\n    ^ expected a value here" }, { "w\t+\n", "w + \n    ^ expected a value here" });
}

TEST(a_long_expression_is_shown_around_the_mistake)
{
    char text[300] = "";
    for (int i = 0; i < 40; i++) strcat(text, "w+x+1+");
    world k = begin();
    CHECK(!value(&k, text));
    CHECK(strncmp(gr_message(k.c), "...", 3) == 0 && strlen(gr_message(k.c)) < 160);
    const char *line = strchr(gr_message(k.c), '\n');
    CHECK(line && line - gr_message(k.c) == strchr(line, '^') - line - 1);
    gr_ctx_free(k.c);
}

TEST(nesting_has_a_limit_and_length_has_none)
{
    enum { N = 20000 };
    char *text = malloc(2 * N + 2);
    world k = begin();
    memset(text, '(', N);
    text[N] = '\0';
    CHECK(!value(&k, text));
    CHECK(strstr(gr_message(k.c), "nested too deeply here: give the inner part a name, as in a = ...; f(a)") != NULL);
    gr_clear_error(k.c);
    memset(text, '-', N);
    CHECK(!value(&k, text));
    gr_clear_error(k.c);
    for (int i = 0; i < N; i++) memcpy(text + 2 * i, i + 1 < N ? "1+" : "w\0", 2);
    CHECK_NEAR(gr_item(value(&k, text)), N + 1, 0);
    memset(text, '(', 150);
    strcpy(text + 150, "w");
    memset(text + 151, ')', 150);
    text[301] = '\0';
    CHECK_NEAR(gr_item(value(&k, text)), 2, 0);
    gr_ctx_free(k.c);
    free(text);
}

TEST(an_expression_beyond_65536_characters_is_refused)
{
    char *text = calloc(70000, 1);
    world k = begin();
    memset(text, ' ', 69999);
    CHECK(!value(&k, text) && gr_status(k.c) == GR_EFORMAT);
    gr_ctx_free(k.c);
    free(text);
}

TEST(no_garbage_crashes_the_parser)
{
    static const char alphabet[] = "wxvM123.e+-*/^@T()[],;=<>! tanhsumq\xc3\xa9\x01";
    unsigned state = 1;
    world k = begin();
    for (int round = 0; round < 20000; round++) {
        char text[24], out[100];
        int n = 0;
        for (; n < 23; n++) {
            state = state * 1664525 + 1013904223;
            if (state >> 28 == 0) break;
            text[n] = alphabet[(state >> 8) % (sizeof alphabet - 1)];
        }
        text[n] = '\0';
        gr_expr e;
        gr_term term[GR_MAX_FORMULA_TERMS], few[5];
        if (gr__formula_parse(text, term, GR_MAX_FORMULA_TERMS, &e)) gr__expr_print(&e, &(gr_printer){ 0 }, out, sizeof out);
        gr__formula_parse(text, few, 5, &e);
        GR_SCOPE(k.c);
        value(&k, text);
        gr_clear_error(k.c);
    }
    gr_ctx_free(k.c);
}

/* ---- formulas as text ------------------------------------------------------------------------------------------*/
static const char *printed(const char *text, bool local)
{
    static char out[200];
    gr_expr e;
    gr_term term[GR_MAX_FORMULA_TERMS];
    if (!gr__formula_parse(text, term, GR_MAX_FORMULA_TERMS, &e)) return "(no formula)";
    gr__expr_print(&e, &(gr_printer){ .without_upstream = local }, out, sizeof out);
    return out;
}

TEST(a_printed_formula_means_the_same)
{
    static const char *const same[] = { "a + b * c", "(a + b) * c", "a - (b - c)", "a - b - c", "a / (b * c)", "a / b * c", "-a^2", "(-a)^2",
                                        "a^(b^c)", "(a^b)^c", "dy * (-sin(x))", "where(c, dy, 0)", "a @ b^T", "a^T @ b", "(a + b)^T", "(a > b) + (a == b) / 2",
                                        "[1, 2; 3, 4]", "-(y / b)", "a <= b", "1 - y^2" };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) CHECK_STR(printed(same[i], false), same[i]);
}

TEST(the_local_derivative_is_the_gradient_without_its_upstream)
{
    CHECK_STR(printed("dy", true), "1");
    CHECK_STR(printed("-dy", true), "-1");
    CHECK_STR(printed("dy * b", true), "b");
    CHECK_STR(printed("dy * (1 - y^2)", true), "1 - y^2");
    CHECK_STR(printed("dy * y * (1 - y)", true), "y * (1 - y)");
    CHECK_STR(printed("dy / (2 * y)", true), "1 / (2 * y)");
    CHECK_STR(printed("dy * -(y / b)", true), "-(y / b)");
    CHECK_STR(printed("where(c, dy, 0)", true), "where(c, 1, 0)");
}

/* ---- memory ----------------------------------------------------------------------------------------------------*/
static void evaluate_something(gr_ctx *c)
{
    gr_binding w = { "w", gr_requires_grad(gr_scalar(c, 2)) };
    gr_expression(c, "h = tanh(w*[1,2;3,4]@[1;1] + 1); sum(where(h > 0, h^2, 0))", &w, 1);
    gr_expression(c, "w*(", &w, 1);
}

TEST(every_allocation_may_fail) { CHECK(test_every_allocation(evaluate_something) > 2); }
