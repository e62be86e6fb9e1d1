/* Expressions as formulas: their value in doubles, and their text with names and numbers put in.
 * Knows no tensor.
 * SPDX-License-Identifier: MIT */
#include "teach/expression.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* ---- values ----------------------------------------------------------------------------------------------------*/
static bool is(const gr_expr *e, const gr_term *t, const char *name)
{
    return strlen(name) == (size_t)t->len && memcmp(e->text + t->at, name, (size_t)t->len) == 0;
}

/* The functions that formulas use and that are no element-wise operations of these names. */
static bool special(const gr_expr *e, const gr_term *t, const double *x, double *y)
{
    if (t->count == 2 && is(e, t, "max")) return *y = isnan(x[0]) || x[0] > x[1] ? x[0] : x[1], true;
    if (t->count == 2 && is(e, t, "min")) return *y = isnan(x[0]) || x[0] < x[1] ? x[0] : x[1], true;
    return false;
}

static bool call(const gr_expr *e, const gr_term *t, const double *v, double *y)
{
    double x[GR_MAX_ARGUMENTS];
    char name[32];
    int n = 0;
    for (int i = t->first; i >= 0; i = e->term[i].next) {
        if (n == GR_MAX_ARGUMENTS) return false;
        x[n++] = v[i];
    }
    if (t->len >= (int)sizeof name) return false;
    if (special(e, t, x, y)) return true;
    memcpy(name, e->text + t->at, (size_t)t->len);
    name[t->len] = '\0';
    const gr_op *op = gr_op_find(name);
    if (!op || !(op->flags & GR_OP_ELEMENTWISE) || !op->reference || op->attr_size || op->arity != n) return false;
    *y = op->reference(x);
    return true;
}

double gr__expr_fold(char op, double a, double b)
{
    switch (op) {
    case '+': return a + b;
    case '-': return a - b;
    case '*': return a * b;
    case '/': return a / b;
    case '^': return pow(a, b);
    case '<': return a < b;
    case '>': return a > b;
    case 'l': return a <= b;
    case 'g': return a >= b;
    case '=': return a == b;
    default: return a != b;
    }
}

static bool named(const gr_expr *e, const gr_term *t, const double *v, const gr_number_name *names, int n, double *y)
{
    if (t->let >= 0) return *y = v[t->let], true;
    for (int i = 0; i < n; i++)
        if (is(e, t, names[i].name)) return *y = names[i].value, true;
    if (is(e, t, "pi")) return *y = acos(-1), true;
    if (is(e, t, "inf")) return *y = (double)INFINITY, true;
    return false;
}

bool gr__expr_number(const gr_expr *e, const gr_number_name *names, int n, double *value)
{
    double v[GR_MAX_FORMULA_TERMS];
    if (e->n > GR_MAX_FORMULA_TERMS || e->root < 0) return false;
    for (int i = 0; i < e->n; i++) {
        const gr_term *t = &e->term[i];
        bool ok = true;
        switch (t->kind) {
        case GR_TERM_NUMBER: v[i] = t->value; break;
        case GR_TERM_NAME: ok = named(e, t, v, names, n, &v[i]); break;
        case GR_TERM_NEG: v[i] = -v[t->first]; break;
        case GR_TERM_LET: v[i] = v[t->first]; break;
        case GR_TERM_BINARY:
            v[i] = gr__expr_fold(t->op, v[t->first], v[e->term[t->first].next]);
            ok = t->op != '@';
            break;
        case GR_TERM_CALL: ok = call(e, t, v, &v[i]); break;
        default: ok = false;
        }
        if (!ok) return false;
    }
    *value = v[e->root];
    return true;
}

/* ---- text ------------------------------------------------------------------------------------------------------*/
typedef struct writer {
    const gr_expr *e;
    const gr_printer *p;
    char *out;
    size_t size, at;
} writer;

static void put(writer *w, const char *fmt, ...) GR_PRINTF(2, 3);
static void put(writer *w, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (w->at < w->size) {
        int n = vsnprintf(w->out + w->at, w->size - w->at, fmt, args);
        if (n > 0) w->at += (size_t)n;
    }
    va_end(args);
}

enum { COMPARE = 1, SUM, PRODUCT, SIGN, POWER, ATOM }; /* how tightly a term binds */

static int strength(const gr_term *t)
{
    if (t->kind == GR_TERM_NEG) return SIGN;
    if (t->kind != GR_TERM_BINARY) return ATOM;
    if (strchr("+-", t->op)) return SUM;
    if (strchr("*/@", t->op)) return PRODUCT;
    return t->op == '^' ? POWER : COMPARE;
}

static bool is_upstream(const writer *w, int i)
{
    return w->p->without_upstream && w->e->term[i].kind == GR_TERM_NAME && is(w->e, &w->e->term[i], "dy");
}

static void print(writer *w, int i, int least, bool first);

static void print_name(writer *w, const gr_term *t, int least, bool first)
{
    char text[160];
    bool negative = false;
    const char *name = w->e->text + t->at;
    if (!w->p->substitute || !w->p->substitute(w->p->user, name, (size_t)t->len, text, sizeof text, &negative)) {
        put(w, "%.*s", t->len, name);
        return;
    }
    bool wrap = negative && (!first || least >= POWER);
    put(w, wrap ? "(%s)" : "%s", text);
}

static void print_binary(writer *w, const gr_term *t, int least, bool first)
{
    int own = strength(t);
    int a = t->first, b = w->e->term[a].next;
    static const char two[][3] = { "<=", ">=", "==", "!=" };
    const char *at = strchr("lg=!", t->op);
    char op[3] = { t->op, '\0', '\0' };
    if (at) memcpy(op, two[at - "lg=!"], 3);
    if (t->op == '*' && (is_upstream(w, a) || is_upstream(w, b))) {
        print(w, is_upstream(w, a) ? b : a, least, first);
        return;
    }
    print(w, a, t->op == '^' ? ATOM : own, first);
    put(w, t->op == '^' ? "%s" : " %s ", op);
    print(w, b, t->op == '^' ? ATOM : own + 1, false);
}

static void print_list(writer *w, const gr_term *t, const char *open, const char *close)
{
    int n = 0;
    put(w, "%s", open);
    for (int c = t->first; c >= 0; c = w->e->term[c].next, n++) {
        if (n) put(w, t->columns && n % t->columns == 0 ? "; " : ", ");
        print(w, c, 0, true);
    }
    put(w, "%s", close);
}

/* least: how tightly the place binds; a weaker term needs parentheses. first: nothing stands before it there. */
static void print(writer *w, int i, int least, bool first)
{
    const gr_term *t = &w->e->term[i];
    int own = strength(t);
    bool wrap = own < least || (own == SIGN && !first);
    if (is_upstream(w, i)) {
        put(w, "1");
        return;
    }
    if (wrap) put(w, "("), first = true, least = 0;
    switch (t->kind) {
    case GR_TERM_NAME: print_name(w, t, least, first); break;
    case GR_TERM_NEG:
        put(w, "-");
        print(w, t->first, POWER, false);
        break;
    case GR_TERM_BINARY: print_binary(w, t, least, first); break;
    case GR_TERM_TRANSPOSE:
        print(w, t->first, ATOM, first);
        put(w, "^T");
        break;
    case GR_TERM_CALL:
        put(w, "%.*s", t->len, w->e->text + t->at);
        print_list(w, t, "(", ")");
        break;
    case GR_TERM_MATRIX: print_list(w, t, "[", "]"); break;
    case GR_TERM_LET: print(w, t->first, least, first); break;
    default: put(w, "%.*s", t->len, w->e->text + t->at);
    }
    if (wrap) put(w, ")");
}

void gr__expr_print(const gr_expr *e, const gr_printer *p, char *out, size_t size)
{
    writer w = { e, p, out, size, 0 };
    if (size) out[0] = '\0';
    if (e->root >= 0 && e->n <= GR_MAX_FORMULA_TERMS) /* so much may recurse */
        print(&w, e->root, 0, true);
}
