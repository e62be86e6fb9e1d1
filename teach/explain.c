/* `gradus explain`: an expression run forward, back and, if asked, downhill, under a trace that is then shown.
 * Knows no renderer but by name.
 * SPDX-License-Identifier: MIT */
#include "teach/command.h"
#include "teach/expression.h"
#include "teach/format.h"

#include <math.h>
#include <string.h>

typedef struct run {
    gr_ctx *c;
    const gr_explain_opts *o;
    const char *expression, *update;
    double rate;
    long steps;
    gr_names names;
    gr_trace *trace;
    char advice[600];
    bool flat; /* nothing to differentiate */
} run;

static gr_tensor *evaluate(run *r) { return gr_expression(r->c, r->expression, r->names.at, r->names.n); }

/* ---- advice ----------------------------------------------------------------------------------------------------*/
/* Another value for name i that moves the saturated input z to 1/2, checked; false if there is none. */
static bool try_value(run *r, int i, double z, double slope, char *text, size_t size)
{
    gr_binding *b = &r->names.at[i];
    gr_tensor *keep = b->value, *dx = NULL;
    char shown[40];
    double v = gr_item(keep) + (0.5 - z) / slope;
    if (!isfinite(v)) return false;
    snprintf(shown, sizeof shown, "%.3g", v);
    snprintf(text, size, "%s=%s", b->name, shown);
    GR_SCOPE(r->c);
    gr_names one = { .n = 0 };
    gr_explain_opts o = { .value = { text }, .num_values = 1 };
    if (!gr__names_read(r->c, &o, &one)) return false;
    b->value = one.at[0].value;
    gr_tensor *y = evaluate(r);
    bool ok = y && gr_numel(y) == 1 && gr_grads(y, &b->value, 1, &dx, .allow_unused = true) && dx && fabs(gr_item(dx)) > 1e-3;
    b->value = keep;
    return ok;
}

static void advise_with(run *r, int i, const char *text)
{
    gr_line l = { 0 };
    gr__line_put(&l, "Try %s: gradus explain \"%s\"", text, r->expression);
    for (int k = 0; k < r->names.n; k++) {
        char value[GR_SHOW], copy[40];
        const gr_tensor *t = r->names.at[k].value;
        if (k == i) gr__line_put(&l, " %s", text);
        else if (gr_numel(t) == 1 && gr_ndim(t) == 0) {
            gr__show_number(copy, sizeof copy, gr_item(t));
            snprintf(value, sizeof value, "%s", copy);
            gr__line_put(&l, " %s=%s", r->names.at[k].name, value);
        } else {
            gr__line_put(&l, " %s=...", r->names.at[k].name);
        }
    }
    snprintf(r->advice, sizeof r->advice, "%s", l.text);
}

/* Where the slope is lost: for a scalar, a value of one name that brings it back; inputs (x...) before the others. */
static void advise(run *r)
{
    size_t n;
    const gr_trace_step *s = gr_trace_steps(r->trace, &n);
    const gr_trace_pass *p = gr_trace_pass_at(r->trace, 0);
    gr_tensor *z = NULL;
    for (size_t i = 0; i < n && !z; i++)
        if (s[i].kind == GR_STEP_NOTE && s[i].note == GR_NOTE_SATURATED)
            z = gr__trace_tensor(r->trace, p->nodes[s[i].node - 1].inputs[0]);
    if (!z || gr_numel(z) != 1 || !gr_needs_grad(z)) return;
    for (int round = 0; round < 2 && !*r->advice; round++)
        for (int i = 0; i < r->names.n && !*r->advice; i++) {
            gr_tensor *x = r->names.at[i].value, *dx = NULL;
            char text[80];
            if ((r->names.at[i].name[0] == 'x') != (round == 0) || gr_numel(x) != 1 || gr_ndim(x) || !gr_needs_grad(x)) continue;
            if (!gr_grads(z, &x, 1, &dx, .allow_unused = true, .retain_graph = true)) return;
            double slope = dx ? gr_item(dx) : 0;
            if (slope != 0 && try_value(r, i, gr_item(z), slope, text, sizeof text)) advise_with(r, i, text);
        }
}

/* ---- steps -----------------------------------------------------------------------------------------------------*/
static bool descend(run *r, gr_tensor *w)
{
    gr_tensor *g = gr_grad(w);
    if (!g) return true;
    size_t n = (size_t)gr_numel(w);
    gr_block *b = gr__block_new(r->c, (2 * n + 1) * sizeof(double));
    if (!b) return false;
    double *x = gr__block_data(b), *d = x + n;
    bool ok = gr_read(w, x) && gr_read(g, d);
    for (size_t i = 0; i < n; i++) x[i] -= r->rate * d[i];
    ok = ok && gr_write(w, x);
    gr__block_unref(r->c, b);
    return ok;
}

static bool one_step(run *r, bool first)
{
    GR_SCOPE(r->c);
    gr_tensor *y = evaluate(r);
    if (!y) return false;
    if (!gr_needs_grad(y)) {
        r->flat = true;
        return gr_trace_forward(r->trace, y);
    }
    gr_tensor *ones = gr_ones(r->c, gr_dims_like(y), .dtype = gr_dtype(y));
    if (!gr_backward(y, .grad = ones, .retain_graph = true)) return false;
    if (first) { /* the questions that advice asks are no part of the run */
        const gr_observer *listening = r->c->observer;
        r->c->observer = NULL;
        advise(r);
        r->c->observer = listening;
    }
    for (int i = 0; r->rate != 0 && i < r->names.n; i++)
        if ((!*r->update || gr__in_list(r->update, r->names.at[i].name)) && !descend(r, r->names.at[i].value)) return false;
    for (int i = 0; r->rate != 0 && i < r->names.n; i++) gr_zero_grad(r->names.at[i].value);
    return r->c->code == GR_OK;
}

static bool all_steps(run *r)
{
    for (long i = 0; i < r->steps && !r->flat; i++)
        if (!one_step(r, i == 0)) return false;
    if (r->rate == 0 || r->flat) return true;
    GR_SCOPE(r->c);
    gr_tensor *y = evaluate(r);
    return y && gr_trace_forward(r->trace, y);
}

/* ---- output ----------------------------------------------------------------------------------------------------*/
static void show(run *r, FILE *out)
{
    const gr_example *x = r->o->example;
    if (r->o->json) {
        gr_trace_json(r->trace, out);
        return;
    }
    if (x) fprintf(out, "%s: %s\n", x->name, x->title);
    fprintf(out, "%s\n\n", r->expression);
    gr_trace_text(r->trace, out);
    if (r->flat) fprintf(out, "  !  nothing to differentiate: the result does not depend smoothly on any name\n");
    if (*r->advice) fprintf(out, "  !  %s\n", r->advice);
    if (x && x->remark) fprintf(out, "\n%s", x->remark);
}

static bool check_update(run *r)
{
    for (const char *s = r->update; *s;) {
        size_t len = strcspn(s, ",");
        bool known = false;
        for (int i = 0; i < r->names.n; i++)
            known = known || (strlen(r->names.at[i].name) == len && memcmp(r->names.at[i].name, s, len) == 0);
        if (!known) {
            gr_fail(r->c, GR_EVALUE, "--update %.*s: no such name has a value. Fix: name what is given as name=value", (int)len, s);
            return false;
        }
        s += len + (s[len] == ',');
    }
    return true;
}

int gr__explain(gr_ctx *c, const gr_explain_opts *o, FILE *out, FILE *err)
{
    if (o->list) {
        gr__example_list(out);
        return GR_EXIT_OK;
    }
    const gr_example *x = o->example;
    run r = { .c = c, .o = o, .rate = o->rate != 0 || !x ? o->rate : x->rate, .steps = o->steps ? o->steps : 1 };
    gr_explain_opts with = *o;
    if (x && !with.fixed) with.fixed = x->fixed;
    r.expression = x ? (o->tensors ? x->tensors : x->expression) : o->expression;
    r.update = o->update ? o->update : !x ? "" : o->tensors ? x->tensor_update : x->update;
    if (!r.update) r.update = "";
    GR_SCOPE(c);
    bool ok = gr__names_read(c, &with, &r.names) && gr__names_used(c, r.expression, &r.names) && check_update(&r) &&
              (r.trace = gr_trace_begin(c)) != NULL && all_steps(&r);
    if (r.trace) ok = gr_trace_end(r.trace) && ok;
    if (ok) show(&r, out);
    else fprintf(err, "%s\n", gr_message(c));
    return ok ? GR_EXIT_OK : GR_EXIT_FAILED;
}

/* ---- check -----------------------------------------------------------------------------------------------------*/
static gr_tensor *with_values(gr_tensor **x, void *user)
{
    const run *r = user;
    gr_names names = r->names;
    for (int i = 0; i < names.n; i++) names.at[i].value = x[i];
    return gr_expression(r->c, r->expression, names.at, names.n);
}

int gr__check(gr_ctx *c, const gr_explain_opts *o, FILE *out, FILE *err)
{
    run r = { .c = c, .o = o };
    gr_tensor *x[GR_MAX_NAMES];
    gr_gradcheck_report report;
    const gr_example *e = o->example;
    gr_explain_opts with = *o;
    if (e && !with.fixed) with.fixed = e->fixed;
    r.expression = e ? (o->tensors ? e->tensors : e->expression) : o->expression;
    GR_SCOPE(c);
    bool ok = gr__names_read(c, &with, &r.names) && gr__names_used(c, r.expression, &r.names);
    for (int i = 0; ok && i < r.names.n; i++) x[i] = r.names.at[i].value;
    if (ok && r.names.n == 0) { /* an error already, unless the expression needs none */
        if (with_values(x, &r)) gr_fail(c, GR_EVALUE, "the expression has no values to move: name one, as in \"x^2\" x=3");
        ok = false;
    }
    bool passed = ok && gr_gradcheck(with_values, &r, x, r.names.n, &report, .rtol = o->tolerance, .order = o->order, .explain = o->explain, .fast = o->fast);
    if (!ok || gr_failed(c)) {
        fprintf(err, "%s\n", gr_message(c));
        return GR_EXIT_FAILED;
    }
    if (o->json) gr_gradcheck_json(out, &report);
    else gr_gradcheck_print(out, &report);
    return passed ? GR_EXIT_OK : GR_EXIT_FAILED;
}
