/* The values of a command line: "w=2" as a tensor called w.
 * Knows no option.
 * SPDX-License-Identifier: MIT */
#include "teach/command.h"
#include "teach/expression.h"

#include <string.h>

bool gr__in_list(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *s = list; s && *s;) {
        size_t len = strcspn(s, ",");
        if (len == n && memcmp(s, name, n) == 0) return true;
        s += len + (s[len] == ',');
    }
    return false;
}

/* A statement whose only name is the one it gives. */
static bool read_one(gr_ctx *c, const char *text, gr_binding *to)
{
    gr_expr e;
    gr_operand r;
    if (!gr__expr_parse(c, text, &e)) return false;
    const gr_term *let = &e.term[e.root];
    if (let->kind != GR_TERM_LET || let->let >= 0) {
        gr__expr_fail(c, text, let->kind == GR_TERM_LET ? let->at : 0, GR_EFORMAT, "expected name=value, one in each argument");
        return false;
    }
    if (!gr__expr_eval(&e, NULL, 0, &r)) return false;
    char *name = gr__arena_alloc(gr__scope_now(c), (size_t)let->len + 1);
    if (!name) return false;
    memcpy(name, text + let->at, (size_t)let->len);
    name[let->len] = '\0';
    to->name = name;
    to->value = gr_operand_is_number(r) ? gr_name(gr_scalar(c, r.v), name) : r.t;
    return to->value != NULL && c->code == GR_OK;
}

static bool add(gr_ctx *c, const char *text, gr_names *names, bool replace)
{
    gr_binding one;
    if (!read_one(c, text, &one)) return false;
    for (int i = 0; i < names->n; i++) {
        if (strcmp(names->at[i].name, one.name) != 0) continue;
        if (replace) names->at[i] = one;
        else gr__expr_fail(c, text, 0, GR_EVALUE, "%s is given twice", one.name);
        return replace;
    }
    if (names->n == GR_MAX_NAMES) {
        gr_fail(c, GR_EVALUE, "more than %d values. Fix: use tensors, as in W=[1,2;3,4]", GR_MAX_NAMES);
        return false;
    }
    names->at[names->n++] = one;
    return true;
}

/* The values of an example, separated by spaces. */
static bool add_all(gr_ctx *c, const char *list, gr_names *names)
{
    for (const char *s = list; *s;) {
        size_t n = strcspn(s, " ");
        char *text = gr__arena_alloc(gr__scope_now(c), n + 1);
        if (!text) return false;
        memcpy(text, s, n);
        text[n] = '\0';
        if (!add(c, text, names, false)) return false;
        s += n + (s[n] == ' ');
    }
    return true;
}

bool gr__names_read(gr_ctx *c, const gr_explain_opts *o, gr_names *names)
{
    const gr_example *x = o->example;
    names->n = 0;
    if (x && !add_all(c, o->tensors ? x->tensor_values : x->values, names)) return false;
    int given = names->n; /* values on the command line may replace those of the example */
    for (int i = 0; i < o->num_values; i++)
        if (!add(c, o->value[i], names, x && given > 0)) return false;
    for (int i = 0; i < names->n; i++)
        if (!gr__in_list(o->fixed, names->at[i].name) && gr_is_float(names->at[i].value)) gr_requires_grad(names->at[i].value);
    return c->code == GR_OK;
}

bool gr__names_used(gr_ctx *c, const char *expression, const gr_names *names)
{
    gr_expr e;
    if (!gr__expr_parse(c, expression, &e)) return false;
    for (int i = 0; i < names->n; i++) {
        const char *name = names->at[i].name;
        bool used = false;
        for (int k = 0; k < e.n && !used; k++) {
            const gr_term *t = &e.term[k];
            bool name_here = t->kind == GR_TERM_NAME || t->kind == GR_TERM_LET; /* one that is given again is an error later */
            used = name_here && strlen(name) == (size_t)t->len && memcmp(name, expression + t->at, (size_t)t->len) == 0;
        }
        if (used) continue;
        gr_fail(c, GR_EVALUE, "%s has a value, but the expression does not use it: %s", name, expression);
        return false;
    }
    return true;
}
