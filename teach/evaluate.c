/* Terms to tensors: an expression as gradus operations, and its mistakes as messages under a caret.
 * Knows no syntax.
 * SPDX-License-Identifier: MIT */
#include "teach/expression.h"

#include <math.h>
#include <string.h>

static bool fail_here(const gr_expr *e, const gr_term *t, gr_code code, const char *why)
{
    gr__expr_fail(e->ctx, e->text, t->at, code, "%s", why);
    return false;
}

/* An error that an operation left is told again, with the place in the text that it came from. */
static bool checked(const gr_expr *e, const gr_term *t)
{
    gr_ctx *c = e->ctx;
    if (c->code == GR_OK || c->code == GR_ENOMEM) return c->code == GR_OK;
    char why[sizeof c->message];
    gr_code code = c->code;
    memcpy(why, c->message, sizeof why);
    if (strstr(why, "\n")) return false; /* it has its caret */
    gr_clear_error(c);
    return fail_here(e, t, code, why);
}

/* ---- arithmetic ------------------------------------------------------------------------------------------------*/
static gr_tensor *apply(char op, gr_operand a, gr_operand b)
{
    switch (op) {
    case '+': return gr_add_any(a, b);
    case '-': return gr_sub_any(a, b);
    case '*': return gr_mul_any(a, b);
    case '/': return gr_div_any(a, b);
    case '^': return gr_pow_any(a, b);
    case '<': return gr_lt_any(a, b);
    case '>': return gr_gt_any(a, b);
    case 'l': return gr_le_any(a, b);
    case 'g': return gr_ge_any(a, b);
    case '=': return gr_eq_any(a, b);
    case '!': return gr_ne_any(a, b);
    default: return gr_matmul(a.t, b.t);
    }
}

static bool binary(const gr_expr *e, const gr_term *t, const gr_operand *v, gr_operand *r)
{
    gr_operand a = v[t->first], b = v[e->term[t->first].next];
    if (t->op == '@' && (gr_operand_is_number(a) || gr_operand_is_number(b)))
        return fail_here(e, t, GR_EVALUE, "@ multiplies matrices: write * to multiply by a number");
    if (gr_operand_is_number(a) && gr_operand_is_number(b)) *r = gr_operand_number(gr__expr_fold(t->op, a.v, b.v));
    else *r = gr_operand_tensor(apply(t->op, a, b));
    return checked(e, t);
}

static bool transpose(const gr_expr *e, const gr_term *t, gr_operand x, gr_operand *r)
{
    *r = x;
    if (gr_operand_is_number(x) || gr_ndim(x.t) == 0) return true;
    if (gr_ndim(x.t) == 1) return fail_here(e, t, GR_ESHAPE, "a vector has one dimension, so no transpose: write [1,2;] for a matrix of one row");
    *r = gr_operand_tensor(gr_transpose(x.t, -2, -1));
    return checked(e, t);
}

/* [1, 2] is a vector of 2, [1, 2;] a matrix of 1 x 2, [1; 2] one of 2 x 1. */
static bool matrix(const gr_expr *e, const gr_term *t, const gr_operand *v, gr_operand *r)
{
    gr_dims shape = t->columns ? GR_SHAPE(t->count / t->columns, t->columns) : GR_SHAPE(t->count);
    gr_tensor *y = gr_zeros(e->ctx, shape);
    gr_block *b = y ? gr__block_new(e->ctx, ((size_t)t->count + 1) * sizeof(double)) : NULL;
    if (!b) return false;
    double *x = gr__block_data(b);
    bool ok = true;
    for (int i = t->first, n = 0; ok && i >= 0; i = e->term[i].next, n++) {
        ok = gr_operand_is_number(v[i]) || fail_here(e, &e->term[i], GR_EVALUE, "a matrix holds numbers only; rows are separated by ;");
        x[n] = v[i].v;
    }
    ok = ok && gr_write(y, x);
    gr__block_unref(e->ctx, b);
    *r = gr_operand_tensor(y);
    return ok;
}

/* ---- names -----------------------------------------------------------------------------------------------------*/
static bool unknown(const gr_expr *e, const gr_term *t)
{
    char name[41];
    snprintf(name, sizeof name, "%.*s", t->len, e->text + t->at);
    if (gr__function_exists(e->text + t->at, (size_t)t->len))
        gr__expr_fail(e->ctx, e->text, t->at, GR_EVALUE, "%s is a function: write %s(...)", name, name);
    else
        gr__expr_fail(e->ctx, e->text, t->at, GR_EVALUE, "%s has no value: add %s=2", name, name);
    return false;
}

/* pi and inf, unless the caller has values of these names */
static double constant(const char *name, size_t len)
{
    if (len == 2 && memcmp(name, "pi", 2) == 0) return acos(-1);
    return len == 3 && memcmp(name, "inf", 3) == 0 ? (double)INFINITY : 0;
}

static bool named(const gr_expr *e, const gr_term *t, const gr_operand *v, const gr_binding *names, int n, gr_operand *r)
{
    if (t->let >= 0) {
        *r = v[t->let];
        return true;
    }
    const char *name = e->text + t->at;
    size_t len = (size_t)t->len;
    for (int i = 0; i < n; i++)
        if (strlen(names[i].name) == len && memcmp(names[i].name, name, len) == 0) {
            *r = gr_operand_tensor(names[i].value);
            return names[i].value != NULL || unknown(e, t);
        }
    *r = gr_operand_number(constant(name, len));
    return r->v != 0 || unknown(e, t);
}

static bool let(const gr_expr *e, const gr_term *t, const gr_operand *v, const gr_binding *names, int n, gr_operand *r)
{
    *r = v[t->first];
    const char *name = e->text + t->at;
    for (int i = 0; i < n; i++)
        if (strlen(names[i].name) == (size_t)t->len && memcmp(names[i].name, name, (size_t)t->len) == 0)
            return fail_here(e, t, GR_EVALUE, "this name has a value already: use another one");
    if (gr_operand_is_number(*r) || e->term[t->first].kind == GR_TERM_NAME || gr_label(r->t)[0]) return true;
    char label[64];
    snprintf(label, sizeof label, "%.*s", t->len, name);
    gr_name(r->t, label);
    return e->ctx->code == GR_OK;
}

/* ---- the loop --------------------------------------------------------------------------------------------------*/
static bool call(const gr_expr *e, const gr_term *t, const gr_operand *v, gr_operand *r)
{
    gr_operand arg[GR_MAX_ARGUMENTS];
    int at[GR_MAX_ARGUMENTS], n = 0;
    char name[41];
    snprintf(name, sizeof name, "%.*s", t->len, e->text + t->at);
    if (!gr__function_exists(e->text + t->at, (size_t)t->len)) {
        const char *near = gr__function_nearest(e->text + t->at, (size_t)t->len);
        gr__expr_fail(e->ctx, e->text, t->at, GR_EVALUE, "there is no function %s%s%s%s", name, near ? ": did you mean " : "",
                      near ? near : "", near ? "?" : ": gradus ops lists them all");
        return false;
    }
    for (int i = t->first; i >= 0; i = e->term[i].next, n++) {
        if (n == GR_MAX_ARGUMENTS) return fail_here(e, &e->term[i], GR_EVALUE, "too many values: no function takes more than 16");
        arg[n] = v[i];
        at[n] = e->term[i].at;
    }
    gr_calling k = { e->ctx, e->text, name, t, arg, at, n };
    return gr__function_call(&k, r) && checked(e, t);
}

static bool one(const gr_expr *e, int i, gr_operand *v, const gr_binding *names, int n)
{
    const gr_term *t = &e->term[i];
    switch (t->kind) {
    case GR_TERM_NUMBER: v[i] = gr_operand_number(t->value); return true;
    case GR_TERM_NAME: return named(e, t, v, names, n, &v[i]);
    case GR_TERM_BINARY: return binary(e, t, v, &v[i]);
    case GR_TERM_TRANSPOSE: return transpose(e, t, v[t->first], &v[i]);
    case GR_TERM_CALL: return call(e, t, v, &v[i]) || checked(e, t);
    case GR_TERM_MATRIX: return matrix(e, t, v, &v[i]);
    case GR_TERM_LET: return let(e, t, v, names, n, &v[i]);
    default: break;
    }
    gr_operand x = v[t->first];
    v[i] = gr_operand_is_number(x) ? gr_operand_number(-x.v) : gr_operand_tensor(gr_neg(x.t));
    return checked(e, t);
}

bool gr__expr_eval(const gr_expr *e, const gr_binding *names, int n, gr_operand *result)
{
    gr_ctx *c = e->ctx;
    if (!c || c->code != GR_OK || e->root < 0) return false;
    gr_block *b = gr__block_new(c, (size_t)e->n * sizeof(gr_operand));
    if (!b) return false;
    gr_operand *v = gr__block_data(b);
    bool ok = true;
    for (int i = 0; i < e->n && ok; i++) ok = one(e, i, v, names, n);
    *result = v[e->root];
    gr__block_unref(c, b);
    return ok;
}

gr_tensor *gr_expression(gr_ctx *c, const char *expression, const gr_binding *names, int n)
{
    if (!c || !expression) return NULL;
    gr_expr e;
    gr_operand r;
    if (!gr__expr_parse(c, expression, &e) || !gr__expr_eval(&e, names, n, &r)) return NULL;
    return gr_operand_is_number(r) ? gr_scalar(c, r.v) : r.t;
}
