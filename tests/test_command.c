/* The command: what it prints, byte for byte, the numbers of the lectures, and its answers to mistakes.
 * GRADUS_WRITE_GOLDEN=1 writes tests/golden anew.
 * SPDX-License-Identifier: MIT */
#include "core/core.h"
#include "teach/command.h"
#include "tests/capture.h"
#include "tests/test.h"

typedef struct result {
    int code;
    char *out, *err;
} result;

#define MOST 40
/* Words are separated by |. */
static result command(const char *line)
{
    char copy[1000];
    const char *argv[MOST] = { "gradus" };
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *s = copy, *end; s && *s && argc < MOST; s = end) {
        if ((end = strchr(s, '|')) != NULL) *end++ = '\0';
        argv[argc++] = s;
    }
    FILE *out = tmpfile(), *err = tmpfile();
    result r = { .code = gr_command(argc, argv, out, err) };
    r.out = contents(out);
    r.err = contents(err);
    return r;
}

static void drop(result *r)
{
    free(r->out);
    free(r->err);
}

/* ---- golden files ----------------------------------------------------------------------------------------------*/
static void compare_golden(const char *name, const char *got)
{
    char path[200];
    snprintf(path, sizeof path, "tests/golden/%s", name);
    if (getenv("GRADUS_WRITE_GOLDEN")) {
        FILE *f = fopen(path, "wb");
        CHECK(f != NULL);
        if (!f) return;
        fputs(got, f);
        fclose(f);
        return;
    }
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    if (!f) return;
    fseek(f, 0, SEEK_END);
    char *want = contents(f);
    if (strcmp(got, want) != 0) {
        int line = 1;
        const char *a = got, *b = want;
        for (; *a && *a == *b; a++, b++) line += *a == '\n';
        test_errors++;
        printf("# %s:%d differs: \"%.60s\" instead of \"%.60s\"\n", path, line, a, b);
    }
    free(want);
}

static void golden(const char *name, const char *line)
{
    result r = command(line);
    CHECK(r.code == 0);
    CHECK_STR(r.err, "");
    compare_golden(name, r.out);
    drop(&r);
}

TEST(a_neuron_is_explained_to_the_last_digit) { golden("neuron.txt", "explain|tanh(w*x+b)|w=2|x=0.1|b=-0.3"); }
TEST(the_step_list_of_a_neuron_is_json) { golden("neuron.json", "explain|tanh(w*x+b)|w=2|x=0.1|b=-0.3|--json"); }
TEST(the_worked_network_is_explained_from_scalars) { golden("worked-2-2-2.txt", "explain|--example|worked-2-2-2"); }
TEST(the_worked_network_is_explained_with_tensors) { golden("worked-2-2-2-tensors.txt", "explain|--example|worked-2-2-2|--tensors"); }
TEST(the_worked_network_is_json) { golden("worked-2-2-2-tensors.json", "explain|--example|worked-2-2-2|--tensors|--json"); }
TEST(the_neuron_of_two_inputs_is_explained) { golden("karpathy-neuron.txt", "explain|--example|karpathy-neuron"); }
TEST(the_penalty_that_uses_a_weight_twice_is_explained) { golden("cs909.txt", "explain|--example|cs909"); }
TEST(fan_out_is_explained) { golden("fanout.txt", "explain|--example|fanout"); }
TEST(sums_over_paths_are_explained) { golden("colah.txt", "explain|--example|colah"); }
TEST(saturation_is_explained) { golden("saturated.txt", "explain|--example|saturated"); }
TEST(broadcasting_is_explained) { golden("broadcast.txt", "explain|--example|broadcast"); }
TEST(softmax_and_cross_entropy_are_explained) { golden("softmax-ce.txt", "explain|--example|softmax-ce"); }
TEST(three_steps_of_descent_are_explained)
{
    golden("descent.txt", "explain|sum((y - X@W - b)^2)|X=[1,2;3,4]|W=[.5;-1]|b=.1|y=[1;2]|--fixed|X,y|--lr|0.01|--update|W,b|--steps|3");
}
TEST(the_list_of_operations_is_printed_from_the_registry)
{
    result r = command("ops");
    CHECK(r.code == 0 && strstr(r.out, "tanh             y = tanh(x)") != NULL && strstr(r.out, "dx = dy * (1 - y^2)") != NULL);
    drop(&r);
}

/* ---- numbers that lectures print -------------------------------------------------------------------------------*/
static void says(const char *line, const char *const *expected)
{
    result r = command(line);
    for (int i = 0; expected[i]; i++)
        if (!strstr(r.out, expected[i])) test_errors++, printf("# %s: \"%s\" is missing\n", line, expected[i]);
    drop(&r);
}

TEST(the_worked_network_has_the_numbers_of_the_lecture)
{
    static const char *const both[] = { "0.3775", "0.593269992", "0.596884378", "1.10590597", "0.75136507", "0.772928465", "0.298371109", "0.74136507",
                                        "0.138498562", "-0.0380982365", "0.0363503064", "0.00877135469", "0.00995425471", "0.0821670406", "0.35891648",
                                        "0.408666186", "0.51130127", "0.561370121", "0.149780716", "0.199561432", "0.249751144", "0.299502287", "0.0187256094",
                                        "0.100400325", "0.291027774", NULL };
    static const char *const tensors[] = { "raw (2) -> (1): sum over axis 0", "sum of [0.00877135469, 0.00995425471] = [0.0187256094]",
                                           "shapes: (2x1) @ (1x2) -> (2x2)", NULL };
    static const char *const scalars[] = { "0.0363503064  (2 of 2)", "w5: 0.4 - 0.5 * 0.0821670406 = 0.35891648", NULL };
    says("explain|--example|worked-2-2-2", both);
    says("explain|--example|worked-2-2-2|--tensors", both);
    says("explain|--example|worked-2-2-2", scalars);
    says("explain|--example|worked-2-2-2|--tensors", tensors);
}

TEST(the_other_examples_have_the_numbers_of_their_authors)
{
    says("explain|--example|karpathy-neuron", (const char *const[]){ "0.707106781", "dx1 = -1.5", "dw1 = 1\n", "dx2 = 0.5", "dw2 = 0\n", NULL });
    says("explain|--example|cs909", (const char *const[]){ "13\n", "dw  = 4 + (-18) = -14  (2 of 2)", "dx = -12", "db = -6", NULL });
    says("explain|--example|fanout", (const char *const[]){ "da  = 2 + 2 = 4  (2 of 2)", "da = 4", NULL });
    says("explain|--example|colah", (const char *const[]){ "6\n", "da = 2", "db = 5", NULL });
}

TEST(saturation_is_told_with_the_true_value_and_a_value_to_try)
{
    says("explain|tanh(w*x+b)|w=2|x=18|b=6", (const char *const[]){ "v6 is saturated: 1 - tanh(42)^2 rounds to 0 in f64 (true value 1.32e-36)", "w, x and b get no gradient",
                                                 "Try x=-2.75: gradus explain \"tanh(w*x+b)\" w=2 x=-2.75 b=6", NULL });
    says("explain|tanh(w*x+b)|w=2|x=-10|b=6", (const char *const[]){ "v6    tanh  v5      -1", NULL });
    says("explain|sigmoid(w)|w=800", (const char *const[]){ "v2 is saturated: s * (1 - s) with s = sigmoid(800) rounds to 0 in f64 (true value about 1e-348)", "Try w=0.5", NULL });
    says("explain|sum(tanh(w*[1,30,40]))|w=1", (const char *const[]){ "is saturated in 2 of 3 elements: 1 - tanh(30)^2 rounds to 0", NULL });
}

TEST(dead_units_and_singular_points_are_told)
{
    says("explain|relu(w)|w=-2", (const char *const[]){ "v2 is off: relu passes no gradient at -2, which is not above 0", "w gets no gradient", NULL });
    says("explain|sum(relu(w*[1,2]))|w=-2", (const char *const[]){ "is off: relu passes no gradient, none of its 2 inputs is above 0", NULL });
    says("explain|log(w)|w=0", (const char *const[]){ "v2: log of 0 is -inf, and its derivative 1/0", NULL });
    says("explain|log(w)|w=-1", (const char *const[]){ "v2: log of a negative number is NaN", NULL });
    says("explain|sqrt(w)|w=0", (const char *const[]){ "v2: the derivative of sqrt is infinite at 0", NULL });
    says("explain|sqrt(w)|w=-1", (const char *const[]){ "v2: sqrt of a negative number is NaN", NULL });
    says("explain|1/w|w=0", (const char *const[]){ "a division by 0", NULL });
    says("explain|exp(w)*2|w=1000", (const char *const[]){ "v2 has an infinity, though what exp was given is finite", NULL });
    says("explain|(w-3)^0.5|w=1", (const char *const[]){ "has a NaN, though what pow was given is finite", NULL });
}

/* ---- the command -----------------------------------------------------------------------------------------------*/
static void fails(const char *line, int code, const char *err)
{
    result r = command(line);
    CHECK(r.code == code);
    CHECK_STR(r.out, "");
    CHECK_STR(r.err, err);
    drop(&r);
}

TEST(a_wrong_command_line_is_refused_with_2)
{
    fails("", 2, "gradus: a command is missing. Try gradus --help\n");
    fails("xplain", 2, "gradus: there is no command xplain. Try gradus --help\n");
    fails("explain", 2, "gradus: an expression is missing behind explain. Try gradus --help\n");
    fails("explain|w|--frob", 2, "gradus: there is no option --frob. Try gradus --help\n");
    fails("explain|w|w=1|--lr", 2, "gradus: a value is missing behind --lr. Try gradus --help\n");
    fails("explain|w|w=1|--lr|x", 2, "gradus: a number is expected behind --lr. Try gradus --help\n");
    fails("explain|w|w=1|--lr|0.1|--steps|1.5", 2, "gradus: a whole number above 0 is expected behind --steps. Try gradus --help\n");
    fails("explain|w|w=1|--steps|2", 2, "gradus: --update and --steps need a rate: --lr 0.1. Try gradus --help\n");
    fails("explain|--example|nothing", 2, "gradus: there is no example nothing. Try gradus --help\n");
    fails("explain|w|w=1|--tensors", 2, "gradus: only some examples have --tensors. Try gradus --help\n");
    fails("explain|w|--example|cs909", 2, "gradus: an example has its own expression: w. Try gradus --help\n");
    fails("ops|all", 2, "gradus: ops takes no all. Try gradus --help\n");
}

TEST(an_expression_with_a_mistake_is_refused_with_1)
{
    fails("explain|tanh(w*x+|w=1|x=2", 1, "tanh(w*x+\n         ^ expected a value here\n");
    fails("explain|w*q|w=1", 1, "w*q\n  ^ q has no value: add q=2\n");
    fails("explain|w|w=1..5", 1, "w=1..5\n    ^ a number has one decimal point\n");
    fails("explain|w|3", 1, "3\n^ expected name=value, one in each argument\n");
    fails("explain|w|w=1;v=2", 1, "w=1;v=2\n    ^ expected name=value, one in each argument\n");
    fails("explain|w|w=x", 1, "w=x\n  ^ x has no value: add x=2\n");
    fails("explain|w|w=1|w=2", 1, "w=2\n^ w is given twice\n");
    fails("explain|w|w=1|z=3", 1, "z has a value, but the expression does not use it: w\n");
    fails("explain|w*w|w=1|--lr|1|--update|v", 1, "--update v: no such name has a value. Fix: name what is given as name=value\n");
    fails("explain|M@M|M=[1,2;]", 1, "M@M\n ^ matmul(\"M\" [1, 2], \"M\" [1, 2]): the inner sizes differ: a has 2 columns, b has 1 rows. Fix: transpose b: gr_transpose(b, -2, -1)\n");
}

TEST(help_version_and_examples_are_printed)
{
    says("--help", (const char *const[]){ "gradus explain \"tanh(w*x+b)\" w=2", "--json", NULL });
    says("--version", (const char *const[]){ "gradus ", NULL });
    says("explain|--example", (const char *const[]){ "worked-2-2-2", "karpathy-neuron", "cs909", "fanout", "colah", "saturated", "broadcast", "softmax-ce", NULL });
}

TEST(values_on_the_command_line_replace_those_of_an_example)
{
    says("explain|--example|saturated|x=0.1|b=-0.3", (const char *const[]){ "-0.0996679946", NULL });
}

TEST(what_has_no_derivative_is_shown_forward)
{
    says("explain|w>1|w=2", (const char *const[]){ "gt", "nothing to differentiate", NULL });
    says("explain|2*3", (const char *const[]){ "6\n", "nothing to differentiate", NULL });
    says("explain|w*[1,2]|w=3", (const char *const[]){ "= [1, 1]", "dw = 3", NULL });
}

TEST(check_compares_with_differences)
{
    says("check|tanh(w*x+b)|w=2|x=0.1|b=-0.3", (const char *const[]){ "gradcheck PASS  tanh  (12 derivatives, 12 PASS;", NULL });
    says("check|sin(w)*x|w=1|x=2|--order|3", (const char *const[]){ "gradcheck PASS  mul  (14 derivatives, 14 PASS;", NULL });
    says("check|sin(w)|w=1|--explain", (const char *const[]){ "gradcheck PASS  sin", "the difference by w, step by step:", "f(x - h)", NULL });
    says("check|softmax(w)|w=[1,2,3]|--fast", (const char *const[]){ "gradcheck PASS  softmax  (6 derivatives, 6 PASS;", NULL });
    fails("check|sin(w)|w=1|--order|0.5", 2, "gradus: a whole number above 0 is expected behind --order. Try gradus --help\n");
    fails("check|w*|w=1", 1, "w*\n  ^ expected a value here\n");
    fails("check|tanh(w)", 1, "tanh(w)\n     ^ w has no value: add w=2\n");
    fails("check|tanh(2)", 1, "the expression has no values to move: name one, as in \"x^2\" x=3\n");
    result r = command("check|heaviside(w) + w^2|w=0");
    CHECK(r.code == 1 && strstr(r.out, "INCONCLUSIVE  d y / d w at w = 0: analytic 0") != NULL);
    CHECK(strstr(r.out, "note: at w = 0 heaviside (operation 1) decides otherwise: -1 below, 1 above") != NULL);
    drop(&r);
}

TEST(an_output_that_cannot_be_written_is_a_failure)
{
    FILE *full = fopen("/dev/full", "w"), *err = tmpfile();
    if (full) CHECK(gr_command(2, (const char *const[]){ "gradus", "ops" }, full, err) == 1);
    if (full) fclose(full);
    fclose(err);
}

/* ---- memory ----------------------------------------------------------------------------------------------------*/
static void explain_an_example(gr_ctx *c)
{
    FILE *out = tmpfile(), *err = tmpfile();
    gr_explain_opts o = { .example = gr__example_find("worked-2-2-2"), .tensors = true };
    gr__explain(c, &o, out, err);
    o = (gr_explain_opts){ .expression = "tanh(w*x+b)", .value = { "w=2", "x=18", "b=6" }, .num_values = 3 };
    gr__explain(c, &o, out, err);
    gr__check(c, &o, out, err);
    fclose(out);
    fclose(err);
}

TEST(every_allocation_of_the_command_may_fail) { CHECK(test_every_allocation(explain_an_example) > 4); }
