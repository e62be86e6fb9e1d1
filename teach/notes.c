/* What a teacher would point at: saturation, dead units, singular points, gradients that were not cleared.
 * Knows the few operations that such remarks are about, by name.
 * SPDX-License-Identifier: MIT */
#include "teach/trace.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

void gr__trace_note(gr_trace *t, int node, gr_note note, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    gr_trace_step *s = gr__trace_step(t, GR_STEP_NOTE, node);
    if (!s) return;
    s->note = note;
    s->text = gr__trace_string(t, text);
}

typedef bool predicate(double x, double y);

/* How many elements of y, made from x, are like that; *at: the first x. */
static int64_t count(const gr_values *x, const gr_values *y, predicate *like, double *at)
{
    int64_t n = 0;
    for (int64_t i = 0; i < y->kept && i < x->kept; i++) {
        if (!like(x->v[i], y->v[i])) continue;
        if (!n++) *at = x->v[i];
    }
    return n;
}

/* "" for all of one, " in 3 of 8 elements" */
static const char *share(char *out, size_t size, int64_t n, const gr_values *y)
{
    out[0] = '\0';
    if (y->numel > 1) snprintf(out, size, " in %lld of %lld elements", (long long)n, (long long)y->kept);
    return out;
}

/* ---- saturation ------------------------------------------------------------------------------------------------*/
static bool tanh_is_flat(double x, double y) { return isfinite(x) && fabs(y) == 1; }
static bool sigmoid_is_flat(double x, double y) { return isfinite(x) && (y == 0 || y == 1); }

/* 1 / cosh(x)^2 = 4 e^-2|x| / (1 + e^-2|x|)^2, and s (1 - s) = e^-|x| / (1 + e^-|x|)^2: no cancellation. */
static void true_derivative(char *out, size_t size, double x, double factor, double rate)
{
    double e = exp(-rate * fabs(x)), log_value = (log(factor) - rate * fabs(x)) / log(10);
    if (log_value > -300) snprintf(out, size, "%.3g", factor * e / ((1 + e) * (1 + e)));
    else snprintf(out, size, "about 1e%.0f", floor(log_value));
}

static void saturated(gr_trace *t, const gr_trace_node *n, const gr_values *x, bool is_tanh)
{
    double at = 0;
    char part[64], value[32], derivative[96];
    int64_t k = count(x, n->value, is_tanh ? tanh_is_flat : sigmoid_is_flat, &at);
    if (!k) return;
    true_derivative(value, sizeof value, at, is_tanh ? 4 : 1, is_tanh ? 2 : 1);
    if (is_tanh) snprintf(derivative, sizeof derivative, "1 - tanh(%.9g)^2", at);
    else snprintf(derivative, sizeof derivative, "s * (1 - s) with s = sigmoid(%.9g)", at);
    gr__trace_note(t, n->id, GR_NOTE_SATURATED, "%s is saturated%s: %s rounds to 0 in %s (true value %s)", n->name,
                   share(part, sizeof part, k, n->value), derivative, gr_dtype_name(n->value->dtype), value);
}

/* ---- dead units, singular points -------------------------------------------------------------------------------*/
static bool not_above_zero(double x, double y) { return (void)y, x <= 0; }
static bool below_zero(double x, double y) { return (void)y, x < 0; }
static bool is_zero(double x, double y) { return (void)y, x == 0; }

static void dead(gr_trace *t, const gr_trace_node *n, const gr_values *x)
{
    double at = 0;
    int64_t k = count(x, n->value, not_above_zero, &at);
    if (!k || k < n->value->kept) return; /* that some are off is what relu is for */
    if (n->value->numel == 1) gr__trace_note(t, n->id, GR_NOTE_DEAD, "%s is off: relu passes no gradient at %.9g, which is not above 0", n->name, at);
    else gr__trace_note(t, n->id, GR_NOTE_DEAD, "%s is off: relu passes no gradient, none of its %lld inputs is above 0", n->name, (long long)n->value->numel);
}

/* The operations with a point that they or their derivatives cannot pass: input, where, what happens there. */
typedef struct singular {
    const char *op;
    int input;
    predicate *where;
    const char *what;
} singular;

static const singular singulars[] = {
    { "log", 0, below_zero, "log of a negative number is NaN" },
    { "log", 0, is_zero, "log of 0 is -inf, and its derivative 1/0" },
    { "sqrt", 0, below_zero, "sqrt of a negative number is NaN" },
    { "sqrt", 0, is_zero, "the derivative of sqrt is infinite at 0" },
    { "div", 1, is_zero, "a division by 0" },
    { "reciprocal", 0, is_zero, "a division by 0" },
};

static bool at_singular_point(gr_trace *t, const gr_trace_node *n)
{
    double at = 0;
    char part[64];
    for (size_t i = 0; i < sizeof singulars / sizeof *singulars; i++) {
        const singular *s = &singulars[i];
        if (strcmp(s->op, n->op) != 0 || s->input >= n->num_inputs) continue;
        const gr_values *x = t->nodes[n->inputs[s->input] - 1].value;
        int64_t k = x ? count(x, n->value, s->where, &at) : 0;
        if (!k) continue;
        gr__trace_note(t, n->id, GR_NOTE_SINGULAR, "%s%s: %s", n->name, share(part, sizeof part, k, n->value), s->what);
        return true;
    }
    return false;
}

static void not_finite(gr_trace *t, const gr_trace_node *n)
{
    if (!n->value->nans && !n->value->infinities) return;
    for (int i = 0; i < n->num_inputs; i++) {
        const gr_values *x = t->nodes[n->inputs[i] - 1].value;
        if (!x || x->nans || x->infinities) return; /* it began earlier */
    }
    gr__trace_note(t, n->id, GR_NOTE_NOT_FINITE, "%s has %s, though what %s was given is finite", n->name,
                   n->value->nans ? "a NaN" : "an infinity", n->op);
}

void gr__trace_note_forward(gr_trace *t, const gr_trace_node *n)
{
    const gr_values *x = n->num_inputs ? t->nodes[n->inputs[0] - 1].value : NULL;
    if (!x || !n->value) return;
    if (strcmp(n->op, "tanh") == 0) saturated(t, n, x, true);
    else if (strcmp(n->op, "sigmoid") == 0) saturated(t, n, x, false);
    else if (strcmp(n->op, "relu") == 0) dead(t, n, x);
    else if (!at_singular_point(t, n)) not_finite(t, n);
}

/* ---- after the sweep -------------------------------------------------------------------------------------------*/
static bool blocked(const gr_trace *t)
{
    for (size_t i = t->first_step; i < t->num_steps; i++)
        if (t->steps[i].note == GR_NOTE_SATURATED || t->steps[i].note == GR_NOTE_DEAD) return true;
    return false;
}

static bool without_gradient(const gr_trace_node *n)
{
    return n->kind == GR_NODE_PARAMETER && n->grad && n->grad->numel && n->grad->zeros == n->grad->numel;
}

/* "w, x and b get no gradient" */
static void no_gradient(gr_trace *t)
{
    const gr_trace_pass *p = &t->passes[t->num_passes - 1];
    char list[400] = "";
    int total = 0, seen = 0, first = 0;
    size_t at = 0;
    for (int i = 0; i < p->num_nodes; i++) total += without_gradient(&p->nodes[i]);
    if (!total || !blocked(t)) return;
    for (int i = 0; i < p->num_nodes && at < sizeof list - 80; i++) {
        if (!without_gradient(&p->nodes[i])) continue;
        if (!seen) first = i + 1;
        seen++;
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%.60s", seen == 1 ? "" : seen == total ? " and " : ", ", p->nodes[i].name);
    }
    gr__trace_note(t, first, GR_NOTE_NO_GRADIENT, "%s%s get%s no gradient", list, seen < total ? ", ..." : "", total == 1 ? "s" : "");
}

static bool same(const gr_values *a, const gr_values *b)
{
    for (int64_t i = 0; i < a->kept && i < b->kept; i++)
        if (a->v[i] != b->v[i]) return false;
    return true;
}

/* A second sweep adds to what the first left. */
static void not_cleared(gr_trace *t)
{
    for (int id = 1; id <= t->passes[t->num_passes - 1].num_nodes; id++) {
        const gr_values *before = t->earlier[id - 1], *after = NULL;
        const gr_tensor *x = gr__trace_tensor(t, id);
        if (before && x && t->nodes[id - 1].grad && (x->flags & GR_T_HAS_GRAD)) after = gr__trace_copy(t, x->grad);
        if (!after || same(before, after)) continue; /* gr_grads leaves .grad alone */
        const char *name = t->nodes[id - 1].name;
        if (after->numel == 1)
            gr__trace_note(t, id, GR_NOTE_NOT_CLEARED, "the gradient of %s was not cleared before this sweep: it held %.9g and now holds %.9g", name, before->v[0], after->v[0]);
        else
            gr__trace_note(t, id, GR_NOTE_NOT_CLEARED, "the gradient of %s was not cleared before this sweep: it now holds the sum of both", name);
    }
}

void gr__trace_note_end(gr_trace *t)
{
    no_gradient(t);
    not_cleared(t);
}
