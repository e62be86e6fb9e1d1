/* Numbers, tensors, names and rules as text.
 * Knows no output format.
 * SPDX-License-Identifier: MIT */
#include "teach/format.h"
#include "teach/expression.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

void gr__line_put(gr_line *l, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t room = sizeof l->text - l->at;
    int n = room > 1 ? vsnprintf(l->text + l->at, room, fmt, args) : 0;
    va_end(args);
    if (n < 0) return;
    if ((size_t)n < room) {
        l->at += (size_t)n;
        return;
    }
    l->at = sizeof l->text - 1;
    memcpy(l->text + sizeof l->text - 4, "...", 4);
}

/* ---- numbers ---------------------------------------------------------------------------------------------------*/
void gr__show_number(char *out, size_t size, double v)
{
    if (isnan(v)) snprintf(out, size, "nan");
    else if (isinf(v)) snprintf(out, size, v > 0 ? "inf" : "-inf");
    else snprintf(out, size, "%.9g", v == 0 ? 0.0 : v);
    for (char *s = out; *s; s++)
        if (*s == ',') *s = '.'; /* the decimal comma of some locales */
}

void gr__show_shape(char *out, size_t size, const gr_values *v)
{
    size_t at = (size_t)snprintf(out, size, "(");
    for (int d = 0; v && d < v->shape.n && at < size; d++) at += (size_t)snprintf(out + at, size - at, d ? "x%lld" : "%lld", (long long)v->shape.v[d]);
    if (at < size) snprintf(out + at, size - at, ")");
}

#define FEW 12 /* numbers that a line can show */

static void all_numbers(gr_line *l, const gr_values *v)
{
    char text[40];
    int64_t columns = v->shape.n == 2 ? v->shape.v[1] : v->numel;
    gr__line_put(l, "[");
    for (int64_t i = 0; i < v->numel; i++) {
        gr__show_number(text, sizeof text, v->v[i]);
        gr__line_put(l, "%s%s", i == 0 ? "" : i % columns ? ", " : "; ", text);
    }
    gr__line_put(l, v->shape.n == 2 && v->shape.v[0] == 1 ? ";]" : "]");
}

void gr__show_values(char *out, size_t size, const gr_values *v)
{
    gr_line l = { 0 };
    char a[40], b[40], c[40], d[64];
    if (!v) {
        snprintf(out, size, "-");
        return;
    }
    if (v->shape.n == 0 && v->kept) {
        gr__show_number(out, size, v->v[0]);
        return;
    }
    if (v->shape.n <= 2 && v->numel <= FEW && v->kept == v->numel) {
        all_numbers(&l, v);
    } else {
        gr__show_shape(d, sizeof d, v);
        gr__show_number(a, sizeof a, v->min);
        gr__show_number(b, sizeof b, v->max);
        gr__show_number(c, sizeof c, v->mean);
        gr__line_put(&l, "%s from %s to %s, mean %s", d, a, b, c);
        if (v->nans) gr__line_put(&l, ", %lld NaN", (long long)v->nans);
        if (v->infinities) gr__line_put(&l, ", %lld infinite", (long long)v->infinities);
    }
    snprintf(out, size, "%s", l.text);
}

void gr__show_factor(char *out, size_t size, const gr_values *v)
{
    char text[GR_SHOW - 8];
    if (v && v->numel && v->kept == v->numel && v->min == v->max && !v->nans && !v->infinities) gr__show_number(text, sizeof text, v->v[0]);
    else gr__show_values(text, sizeof text, v);
    snprintf(out, size, text[0] == '-' && text[1] ? "(%s)" : "%s", text);
}

/* ---- names -----------------------------------------------------------------------------------------------------*/
#define LONGEST_NAME 40

void gr__show_name(char *out, size_t size, const char *name)
{
    size_t at = 0;
    int characters = 0;
    for (const char *s = name; *s && at + 1 < size; s++) {
        unsigned char ch = (unsigned char)*s;
        if ((ch & 0xC0) != 0x80 && characters++ == LONGEST_NAME) break;
        out[at++] = ch < 32 || ch == 127 ? '?' : *s;
    }
    out[at] = '\0';
}

int gr__show_width(const char *text)
{
    int n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

/* ---- rules -----------------------------------------------------------------------------------------------------*/
typedef struct names {
    const gr_trace_pass *p;
    const gr_trace_node *y;
    const gr_rule *rule;
    bool numbers;
} names;

static bool is(const char *name, size_t len, const char *other) { return strlen(other) == len && memcmp(name, other, len) == 0; }

/* The node that a name of the formula stands for; *gradient: its gradient is meant. */
static const gr_trace_node *meant(const names *k, const char *name, size_t len, bool *gradient)
{
    *gradient = is(name, len, "dy");
    if (*gradient || is(name, len, "y")) return k->y;
    for (int i = 0; i < k->y->num_inputs && i < GR_MAX_RULE_INPUTS; i++)
        if (is(name, len, k->rule->name[i])) return &k->p->nodes[k->y->inputs[i] - 1];
    return NULL;
}

static bool substitute(void *user, const char *name, size_t len, char *out, size_t size, bool *negative)
{
    const names *k = user;
    bool gradient;
    const gr_trace_node *n = meant(k, name, len, &gradient);
    if (!n) return false;
    if (k->numbers) {
        const gr_values *v = gradient ? n->grad : n->value;
        gr__show_values(out, size, v);
    } else {
        char shown[GR_SHOW];
        gr__show_name(shown, sizeof shown, n->name);
        snprintf(out, size, "%s%s", gradient ? "d" : "", shown);
    }
    *negative = out[0] == '-' && out[1] != '\0';
    return true;
}

/* Text that is no expression ("dy for every addend"): its words are replaced where they stand for something. */
static void replace_words(names *k, const char *text, char *out, size_t size)
{
    gr_line l = { 0 };
    char word[200];
    bool negative;
    for (const char *s = text; *s;) {
        size_t n = 0;
        while ((s[n] >= 'a' && s[n] <= 'z') || s[n] == '_') n++;
        if (n && (n > 1 || s[0] != 'a') && substitute(k, s, n, word, sizeof word, &negative)) gr__line_put(&l, "%s", word);
        else gr__line_put(&l, "%.*s", (int)(n ? n : 1), s);
        s += n ? n : 1;
    }
    snprintf(out, size, "%s", l.text);
}

/* The shape of a factor: a name, or a name transposed. */
static bool factor_shape(const names *k, const gr_expr *e, int i, char *out, size_t size)
{
    const gr_term *t = &e->term[i];
    bool turned = t->kind == GR_TERM_TRANSPOSE, gradient;
    if (turned) t = &e->term[t->first];
    const gr_trace_node *n = t->kind == GR_TERM_NAME ? meant(k, e->text + t->at, (size_t)t->len, &gradient) : NULL;
    if (!n || !n->value) return false;
    gr_values v = *n->value;
    if (turned && v.shape.n >= 2) {
        int64_t last = v.shape.v[v.shape.n - 1];
        v.shape.v[v.shape.n - 1] = v.shape.v[v.shape.n - 2];
        v.shape.v[v.shape.n - 2] = last;
    }
    gr__show_shape(out, size, &v);
    return true;
}

static void product_shapes(const names *k, const gr_expr *e, const gr_trace_node *x, gr_shown_rule *out)
{
    char a[100], b[100], c[100];
    const gr_term *t = &e->term[e->root];
    if (t->kind != GR_TERM_BINARY || t->op != '@' || !x->value) return;
    if (!factor_shape(k, e, t->first, a, sizeof a) || !factor_shape(k, e, e->term[t->first].next, b, sizeof b)) return;
    gr__show_shape(c, sizeof c, x->value);
    snprintf(out->shapes, sizeof out->shapes, "%s @ %s -> %s", a, b, c);
}

static bool scalar(const gr_trace_node *n) { return n->value && n->value->numel == 1; }

void gr__show_rule(const gr_trace_pass *p, const gr_trace_node *y, int slot, gr_shown_rule *out)
{
    gr_rule r;
    gr_expr e;
    gr_term term[GR_MAX_FORMULA_TERMS];
    const gr_trace_node *x = &p->nodes[y->inputs[slot] - 1];
    *out = (gr_shown_rule){ .product = "" };
    if (!gr__rule_find(y->gradient, y->formula, y->num_inputs, slot, &r)) return;
    names k = { p, y, &r, false };
    if (!gr__formula_parse(r.text, term, GR_MAX_FORMULA_TERMS, &e)) {
        replace_words(&k, r.text, out->product, sizeof out->product);
        return;
    }
    gr_printer print = { substitute, &k, false };
    gr__expr_print(&e, &print, out->product, sizeof out->product);
    product_shapes(&k, &e, x, out);
    if (!y->elementwise) return;
    print.without_upstream = true;
    gr__expr_print(&e, &print, out->local, sizeof out->local);
    k.numbers = true;
    if (scalar(y)) gr__expr_print(&e, &print, out->numbers, sizeof out->numbers);
}

void gr__show_call(const gr_trace_pass *p, const gr_trace_node *y, char *out, size_t size)
{
    gr_rule r = { 0 };
    gr_expr e;
    gr_term term[GR_MAX_FORMULA_TERMS];
    const char *formula = strncmp(y->formula, "y = ", 4) == 0 ? y->formula + 4 : "";
    gr__rule_find(y->gradient, y->formula, y->num_inputs, 0, &r);
    names k = { p, y, &r, false };
    gr_printer print = { substitute, &k, false };
    if (*formula && strlen(formula) < 20 && gr__formula_parse(formula, term, GR_MAX_FORMULA_TERMS, &e)) {
        gr__expr_print(&e, &print, out, size);
        return;
    }
    gr_line l = { 0 };
    char name[GR_SHOW];
    gr__line_put(&l, "%s(", y->op);
    for (int i = 0; i < y->num_inputs; i++) {
        gr__show_name(name, sizeof name, p->nodes[y->inputs[i] - 1].name);
        gr__line_put(&l, "%s%s", i ? ", " : "", name);
    }
    gr__line_put(&l, "%s%s)", *y->attributes ? "; " : "", y->attributes);
    snprintf(out, size, "%s", l.text);
}
