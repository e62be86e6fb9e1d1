/* The `gradus` command: its words and options, and which function does the work.
 * Knows no operation and no trace.
 * SPDX-License-Identifier: MIT */
#include "teach/command.h"
#include "ops/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "gradus: see what backpropagation does\n"
    "\n"
    "  gradus explain \"tanh(w*x+b)\" w=2 x=0.1 b=-0.3   every value, local derivative, product and sum\n"
    "  gradus explain --example NAME [x=1 ...]         a well-known graph; without NAME: the list\n"
    "  gradus check \"tanh(w*x+b)\" w=2 x=0.1 b=-0.3     derivatives against differences\n"
    "  gradus ops                                      every operation with its formula and gradient\n"
    "\n"
    "An expression: + - * / ^ @, < <= > >= == !=, x^T, functions, [1,2;3,4]; \"h = w*x; tanh(h)\" names a part.\n"
    "  --json              the step list as JSON\n"
    "  --lr RATE           then subtract RATE times the gradient from the names (all, or those of --update)\n"
    "  --update w,b        the names that are updated\n"
    "  --steps N           do all that N times\n"
    "  --fixed x,y         names that are data: they get no gradient\n"
    "  --tensors           of an example: whole layers instead of single numbers\n"
    "  --rtol T            of check: the largest error allowed, 1e-7 by default\n"
    "  --order N           of check: derivatives up to this order, 2 by default\n"
    "  --explain           of check: the steps of the difference by the first derivative that is shown\n"
    "  --fast              of check: along two random directions, then to what is wrong there\n"
    "  --help, --version\n";

static int usage(FILE *err, const char *what, const char *which)
{
    fprintf(err, "gradus: %s%s%s. Try gradus --help\n", what, *which ? " " : "", which);
    return GR_EXIT_USAGE;
}

/* ---- options ---------------------------------------------------------------------------------------------------*/
typedef struct line {
    int argc, at;
    const char *const *argv;
    FILE *err;
    bool update_only; /* an option that asks for --lr was seen */
} line;

static bool finite_number(const char *s, double *v)
{
    char *end;
    *v = strtod(s, &end);
    return end != s && !*end && isfinite(*v);
}

static int option(line *l, gr_explain_opts *o)
{
    const char *name = l->argv[l->at];
    double v = 0;
    if (strcmp(name, "--json") == 0) return o->json = true, GR_EXIT_OK;
    if (strcmp(name, "--tensors") == 0) return o->tensors = true, GR_EXIT_OK;
    if (strcmp(name, "--explain") == 0) return o->explain = true, GR_EXIT_OK;
    if (strcmp(name, "--fast") == 0) return o->fast = true, GR_EXIT_OK;
    const char *value = l->at + 1 < l->argc ? l->argv[l->at + 1] : NULL;
    if (strcmp(name, "--example") == 0) {
        if (!value) return o->list = true, GR_EXIT_OK;
        o->example = gr__example_find(value);
        l->at++;
        return o->example ? GR_EXIT_OK : usage(l->err, "there is no example", value);
    }
    static const char *const with_value[] = { "--lr", "--update", "--steps", "--fixed", "--rtol", "--order" };
    int which = 0;
    while (which < 6 && strcmp(name, with_value[which]) != 0) which++;
    if (which == 6) return usage(l->err, "there is no option", name);
    if (!value) return usage(l->err, "a value is missing behind", name);
    l->at++;
    if (which == 1 || which == 3) {
        *(which == 1 ? &o->update : &o->fixed) = value;
        l->update_only = l->update_only || which == 1;
        return GR_EXIT_OK;
    }
    bool ok = finite_number(value, &v) && (which == 0 ? v != 0 : v > 0);
    bool count = which == 2 || which == 5;
    if (count) ok = ok && v == floor(v) && v <= 1000000;
    if (!ok) return usage(l->err, count ? "a whole number above 0 is expected behind" : "a number is expected behind", name);
    if (which == 0) o->rate = v;
    else if (which == 2) o->steps = (long)v, l->update_only = true;
    else if (which == 4) o->tolerance = v;
    else o->order = (int)v;
    return GR_EXIT_OK;
}

static int parse(line *l, gr_explain_opts *o)
{
    bool options = true;
    for (l->at = 2; l->at < l->argc; l->at++) {
        const char *s = l->argv[l->at];
        if (options && strcmp(s, "--") == 0) {
            options = false;
        } else if (options && strncmp(s, "--", 2) == 0) {
            int code = option(l, o);
            if (code) return code;
        } else if (!o->expression && !o->example) {
            o->expression = s;
        } else if (o->num_values == GR_MAX_NAMES) {
            return usage(l->err, "too many values:", s);
        } else {
            o->value[o->num_values++] = s;
        }
    }
    if (o->list) return GR_EXIT_OK;
    if (o->example && o->expression) return usage(l->err, "an example has its own expression:", o->expression);
    if (!o->example && !o->expression) return usage(l->err, "an expression is missing behind", l->argv[1]);
    if (o->tensors && !(o->example && o->example->tensors)) return usage(l->err, "only some examples have", "--tensors");
    bool descends = o->rate != 0 || (o->example && o->example->rate != 0);
    if (l->update_only && !descends) return usage(l->err, "--update and --steps need a rate:", "--lr 0.1");
    return GR_EXIT_OK;
}

/* ---- words -----------------------------------------------------------------------------------------------------*/
static int list_operations(FILE *out)
{
    int name = 0, formula = 0;
    for (int i = 0; i < gr_op_count(); i++) {
        int n = (int)strlen(gr_op_at(i)->name), m = (int)strlen(gr_op_at(i)->formula);
        name = n > name ? n : name;
        formula = m > formula ? m : formula;
    }
    for (int i = 0; i < gr_op_count(); i++)
        fprintf(out, "%-*s  %-*s  %s\n", name, gr_op_at(i)->name, formula, gr_op_at(i)->formula, gr_op_at(i)->gradient);
    return GR_EXIT_OK;
}

static int obey(int argc, const char *const *argv, FILE *out, FILE *err)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (!*word) return usage(err, "a command is missing", "");
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) return fputs(help, out), GR_EXIT_OK;
    if (strcmp(word, "--version") == 0) return fprintf(out, "gradus %s\n", GRADUS_VERSION), GR_EXIT_OK;
    if (strcmp(word, "ops") == 0) return argc > 2 ? usage(err, "ops takes no", argv[2]) : list_operations(out);
    bool check = strcmp(word, "check") == 0;
    if (!check && strcmp(word, "explain") != 0) return usage(err, "there is no command", word);
    gr_explain_opts o = { .expression = NULL };
    line l = { .argc = argc, .argv = argv, .err = err };
    int code = parse(&l, &o);
    if (code) return code;
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    code = GR_EXIT_FAILED;
    if (c) code = (check ? gr__check : gr__explain)(c, &o, out, err);
    else fprintf(err, "%s\n", gr_message(c));
    gr_ctx_free(c);
    return code;
}

int gr_command(int argc, const char *const *argv, FILE *out, FILE *err)
{
    int code = obey(argc, argv, out, err);
    if (fflush(out) == 0 && !ferror(out)) return code;
    fprintf(err, "gradus: the output could not be written\n"); /* a full disk */
    return GR_EXIT_FAILED;
}
