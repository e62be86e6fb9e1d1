/* The gradient text of a record taken apart: which input is called what, and what comes back to it.
 * Knows no operation by name.
 * SPDX-License-Identifier: MIT */
#include "teach/expression.h"
#include "teach/trace.h"

#include <string.h>

static bool letter(char ch) { return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z'); }

/* "dx = ...; dt = ...": the next part, its input's name ("x") and its right-hand side; NULL at the end */
static const char *part(const char *s, char *name, size_t name_size, char *text, size_t text_size)
{
    while (*s == ' ' || *s == ';') s++;
    const char *end = strstr(s, "; ");
    if (!end) end = s + strlen(s);
    const char *equals = strchr(s, '=');
    if (*s != 'd' || !equals || equals > end) return NULL;
    size_t n = 1;
    while (letter(s[n])) n++;
    snprintf(name, name_size, "%.*s", (int)(n - 1), s + 1);
    for (equals++; *equals == ' ';) equals++;
    snprintf(text, text_size, "%.*s", (int)(end - equals), equals);
    return end;
}

/* Names in the order of the inputs: as the parts name them when there is one for each, else by custom. */
static void name_inputs(gr_rule *r, const char *gradient, const char *formula, int n)
{
    char name[16], text[256], first = 'a';
    int parts = 0;
    for (const char *s = gradient; (s = part(s, name, sizeof name, text, sizeof text)) != NULL; parts++) {
        if (parts == 0) first = name[0];
        if (parts < GR_MAX_RULE_INPUTS) memcpy(r->name[parts], name, sizeof name);
    }
    if (parts == n) return;
    static const char *const customs[][3] = { { "x", "t", "" }, { "x", "index", "src" }, { "a", "b", "" }, { "c", "a", "b" } };
    int which = first == 'x' ? strstr(formula, "index") != NULL : n == 3 ? 3 : 2;
    if (n == 1) which = 0;
    for (int i = 0; i < GR_MAX_RULE_INPUTS; i++) snprintf(r->name[i], sizeof r->name[i], "%s", i < 3 && i < n ? customs[which][i] : "");
}

bool gr__rule_find(const char *gradient, const char *formula, int num_inputs, int slot, gr_rule *r)
{
    char name[16], only[256] = "";
    int parts = 0;
    *r = (gr_rule){ 0 };
    name_inputs(r, gradient, formula, num_inputs);
    for (const char *s = gradient; (s = part(s, name, sizeof name, r->text, sizeof r->text)) != NULL; parts++) {
        if (slot >= 0 && slot < GR_MAX_RULE_INPUTS && strcmp(name, r->name[slot]) == 0) return true;
        if (parts == 0) memcpy(only, r->text, sizeof only);
    }
    memcpy(r->text, only, sizeof only);
    return parts == 1; /* one text for all inputs, as of cat */
}

const gr_values *gr__rule_local(gr_trace *t, const gr_trace_node *y, int slot)
{
    gr_rule r;
    gr_expr e;
    gr_term term[GR_MAX_FORMULA_TERMS];
    gr_number_name names[GR_MAX_RULE_INPUTS + 2];
    int n = y->num_inputs;
    if (n > GR_MAX_RULE_INPUTS || !y->value || !gr__rule_find(y->gradient, y->formula, n, slot, &r)) return NULL;
    if (!gr__formula_parse(r.text, term, GR_MAX_FORMULA_TERMS, &e)) return NULL;
    double *v = gr__trace_alloc(t, (size_t)y->value->kept * sizeof *v);
    if (!v) return NULL;
    for (int64_t k = 0; k < y->value->kept; k++) {
        for (int i = 0; i < n; i++) {
            const gr_values *x = t->nodes[y->inputs[i] - 1].value;
            if (!x || k >= x->kept) return NULL;
            names[i] = (gr_number_name){ r.name[i], x->v[k] };
        }
        names[n] = (gr_number_name){ "y", y->value->v[k] };
        names[n + 1] = (gr_number_name){ "dy", 1 };
        if (!gr__expr_number(&e, names, n + 2, &v[k])) return NULL;
    }
    return gr__trace_values(t, y->value, v);
}
