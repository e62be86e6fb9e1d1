/* The formula and gradient texts of every element-wise operation, evaluated and compared with what it computes: text and
 * numbers cannot disagree.
 * SPDX-License-Identifier: MIT */
#define TEST_OWN_MAIN
#include "tests/samples.h"

#include "teach/expression.h"
#include "teach/trace.h"

#include <stdarg.h>

#define TOLERANCE 1e-12 /* of an expression with a few roundings and one or two functions, against a kernel of some ulp */

enum { MOST = 16 }; /* elements of an input of a first sample */
typedef struct one {
    const gr_op *op;
    const gr_sample *sample;
    input_spec in[MAX_INPUTS];
    int n;
    gr_tensor *x[MAX_INPUTS], *y;
    gr_rule rule; /* for the names of the inputs */
    char problem[400];
} one;

static bool problem(one *o, const char *fmt, ...) GR_PRINTF(2, 3);
static bool problem(one *o, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(o->problem, sizeof o->problem, fmt, args);
    va_end(args);
    return false;
}

/* Inputs at random points of the sample's domain; the first two elements are a zero and a tie where the domain has them. */
static bool make(gr_ctx *c, one *o)
{
    o->n = parse_inputs(o->sample->inputs, o->in);
    bool zero = true, tie = true;
    for (int i = 0; i < o->n; i++) {
        zero = zero && o->in[i].low <= 0 && o->in[i].high >= 0;
        tie = tie && o->in[i].low <= 0.5 && o->in[i].high >= 0.5;
    }
    for (int i = 0; i < o->n; i++) {
        gr_tensor *x = make_base(c, &o->in[i], GR_F64, DENSE);
        if (!x) return false;
        o->x[i] = x;
        if (x->dtype != GR_F64) continue;
        double v[MOST];
        if (gr_numel(x) > MOST) return problem(o, "the first sample has more than %d elements", MOST);
        gr_read(x, v);
        if (zero) v[0] = 0;
        if (tie) v[1] = 0.5;
        gr_write(x, v);
    }
    o->y = o->sample->call ? o->sample->call(o->x) : gr_apply(o->op, o->x, o->n, NULL);
    return o->y != NULL;
}

static bool same(one *o, const char *what, const gr_tensor *got, const gr_tensor *want)
{
    double a[MOST], b[MOST];
    if (!got || !want) return problem(o, "%s: %s", what, gr_message(gr_ctx_of(o->y)));
    if (gr_numel(got) != gr_numel(want) && gr_numel(got) != 1) return problem(o, "%s: the shapes differ", what);
    gr_read(got, a);
    gr_read(want, b);
    for (int i = 0; i < gr_numel(want); i++) {
        double v = a[gr_numel(got) == 1 ? 0 : i];
        if (!(fabs(v - b[i]) <= TOLERANCE * fmax(1, fabs(b[i])))) return problem(o, "%s: the text says %.17g, the operation %.17g", what, v, b[i]);
    }
    return true;
}

/* The text as the expression language evaluates it: with tensors, and with doubles element by element. */
static bool says(one *o, const char *what, const char *text, gr_tensor *dy, const gr_tensor *want)
{
    gr_ctx *c = gr_ctx_of(o->y);
    gr_binding names[MAX_INPUTS + 2];
    int n = o->n;
    for (int i = 0; i < n; i++) names[i] = (gr_binding){ o->rule.name[i], o->x[i] };
    names[n] = (gr_binding){ "y", o->y };
    names[n + 1] = (gr_binding){ "dy", dy };
    if (!same(o, what, gr_expression(c, text, names, n + 2), want)) return false;
    gr_expr e;
    gr_term term[GR_MAX_FORMULA_TERMS];
    if (!gr__formula_parse(text, term, GR_MAX_FORMULA_TERMS, &e)) return problem(o, "%s: does not parse as a formula: %s", what, text);
    double v[MAX_INPUTS + 2][MOST], expected[MOST];
    gr_read(want, expected);
    for (int i = 0; i < n + 2; i++) gr_read(names[i].value, v[i]);
    for (int k = 0; k < gr_numel(o->y); k++) {
        gr_number_name at[MAX_INPUTS + 2];
        double got;
        for (int i = 0; i < n + 2; i++) at[i] = (gr_number_name){ names[i].name, v[i][k] };
        if (!gr__expr_number(&e, at, n + 2, &got)) return problem(o, "%s: a formula cannot say %s", what, text);
        if (!(fabs(got - expected[k]) <= TOLERANCE * fmax(1, fabs(expected[k])))) return problem(o, "%s: in doubles %.17g, not %.17g", what, got, expected[k]);
    }
    return true;
}

static bool formula_holds(one *o, gr_tensor *dy)
{
    if (!o->op->formula || strncmp(o->op->formula, "y = ", 4) != 0) return problem(o, "the formula does not begin with y =");
    return says(o, "formula", o->op->formula + 4, dy, o->y);
}

static bool gradient_holds(one *o, gr_tensor *dy)
{
    const char *text = o->op->gradient ? o->op->gradient : "";
    if (!o->op->vjp) return strcmp(text, "none") == 0 || problem(o, "no vjp, but the gradient is not called none");
    for (int i = 0; i < o->n; i++) {
        gr_tensor *dx = NULL;
        char what[40];
        if (!gr_needs_grad(o->x[i])) continue;
        if (!gr__rule_find(text, o->op->formula, o->n, i, &o->rule)) return problem(o, "the gradient says nothing of input %d", i);
        snprintf(what, sizeof what, "gradient of %.15s", o->rule.name[i]);
        if (!gr_grads(o->y, &o->x[i], 1, &dx, .grad = dy, .retain_graph = true)) return problem(o, "%s", gr_message(gr_ctx_of(o->y)));
        if (!says(o, what, o->rule.text, dy, dx)) return false;
    }
    return true;
}

static bool check(const gr_op *op, const gr_sample *sample, bool (*holds)(one *, gr_tensor *), unsigned seed)
{
    one o = { .op = op, .sample = sample };
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64, .seed = seed });
    sample_state = seed;
    bool ok = make(c, &o);
    if (ok) {
        gr__rule_find(op->gradient, op->formula, o.n, 0, &o.rule);
        gr_tensor *dy = gr_astype(gr_randn(c, gr_dims_like(o.y)), gr_is_float(o.y) ? gr_dtype(o.y) : GR_F64);
        ok = holds(&o, dy);
    } else if (gr_failed(c)) {
        problem(&o, "%s", gr_message(c));
    }
    if (!ok) printf("# %s: %s\n", op->name, o.problem);
    gr_ctx_free(c);
    return ok;
}

int main(void)
{
    int number = 0, failed = 0;
    char name[120];
    for (int i = 0; i < gr_op_count(); i++) {
        const gr_op *op = gr_op_at(i);
        if (!(op->flags & GR_OP_ELEMENTWISE)) continue;
        bool formula = true, gradient = true;
        for (unsigned seed = 1; seed <= 5; seed++) {
            formula = formula && check(op, &op->samples[0], formula_holds, seed);
            gradient = gradient && check(op, &op->samples[0], gradient_holds, seed);
        }
        snprintf(name, sizeof name, "the_formula_of_%s_is_what_it_computes", op->name);
        failed += test_report(++number, name, formula);
        snprintf(name, sizeof name, "the_gradient_of_%s_is_what_it_passes_back", op->name);
        failed += test_report(++number, name, gradient);
    }
    printf("1..%d\n", number);
    return failed != 0;
}
