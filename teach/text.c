/* The step list as plain text: a forward table, then each backward step in symbols and numbers.
 * Knows nothing but the step list.
 * SPDX-License-Identifier: MIT */
#include "teach/format.h"

#include <math.h>
#include <string.h>

typedef struct page {
    FILE *f;
    const gr_trace_pass *p;
    const gr_trace_step *step;
    size_t n;      /* all steps */
    int pass, number;
    bool updates, reset; /* seen in this pass */
} page;

static const gr_trace_node *node(const page *g, int id) { return &g->p->nodes[id - 1]; }

static const char *shown(const page *g, int id, char *out)
{
    gr__show_name(out, GR_SHOW, node(g, id)->name);
    return out;
}

/* Text in a column, padded by characters, not bytes. */
static void column(FILE *f, const char *text, int width)
{
    int pad = width - gr__show_width(text);
    fprintf(f, "%s%*s", text, pad > 0 ? pad : 0, "");
}

/* Values behind an operator: a negative number in parentheses. */
static void later(char *out, const gr_values *v)
{
    char text[GR_SHOW - 8];
    gr__show_values(text, sizeof text, v);
    snprintf(out, GR_SHOW, text[0] == '-' && text[1] ? "(%s)" : "%s", text);
}

/* a = b = c, leaving out what repeats its left side */
static void equation(FILE *f, const char *left, const char *relation, const char *const *sides, int n)
{
    fprintf(f, "%s %s", left, relation);
    const char *last = NULL;
    for (int i = 0; i < n; i++) {
        if (!*sides[i] || (last && strcmp(last, sides[i]) == 0)) continue;
        fprintf(f, "%s %s", last ? " =" : "", sides[i]);
        last = sides[i];
    }
    fprintf(f, "\n");
}

/* ---- forward ---------------------------------------------------------------------------------------------------*/
static void inputs_of(const page *g, const gr_trace_node *n, char *out)
{
    gr_line l = { 0 };
    char name[GR_SHOW];
    for (int i = 0; i < n->num_inputs; i++) gr__line_put(&l, "%s%s", i ? ", " : "", shown(g, n->inputs[i], name));
    if (*n->attributes) gr__line_put(&l, "; %s", n->attributes);
    snprintf(out, GR_SHOW, "%s", l.text);
}

static const char *op_of(const gr_trace_node *n)
{
    return n->kind == GR_NODE_OPERATION ? n->op : n->kind == GR_NODE_PARAMETER ? "leaf" : "constant";
}

/* "file.c:12" without its folders; "" where nobody said */
static void place(const gr_trace_node *n, char *out, size_t size)
{
    const char *slash = strrchr(n->file, '/');
    out[0] = '\0';
    if (n->line) snprintf(out, size, "%s:%d", slash ? slash + 1 : n->file, n->line);
}

/* How wide each column must be: node, op, inputs, place, shape; the last two 0 where no row has one. */
static void measure(const page *g, int *w)
{
    char name[GR_SHOW], in[GR_SHOW], shape[100], where[GR_SHOW];
    const int least[5] = { 4, 2, 6, 0, 0 };
    memcpy(w, least, sizeof least);
    for (int id = 1; id <= g->p->num_nodes; id++) {
        const gr_trace_node *n = node(g, id);
        if (n->kind == GR_NODE_NUMBER) continue;
        inputs_of(g, n, in);
        place(n, where, sizeof where);
        gr__show_shape(shape, sizeof shape, n->value);
        bool shaped = n->value && n->value->shape.n;
        const int width[5] = { gr__show_width(shown(g, id, name)), gr__show_width(op_of(n)), gr__show_width(in), gr__show_width(where),
                               shaped ? gr__show_width(shape) : 0 };
        for (int k = 0; k < 5; k++)
            if (width[k] > w[k]) w[k] = width[k];
    }
    if (w[4] && w[4] < 5) w[4] = 5;
}

static void table(const page *g)
{
    char name[GR_SHOW], in[GR_SHOW], shape[100], value[GR_SHOW], where[GR_SHOW];
    int w[5];
    measure(g, w);
    fprintf(g->f, "  #  %-*s  %-*s  %-*s  ", w[0], "node", w[1], "op", w[2], "inputs");
    if (w[3]) fprintf(g->f, "%-*s  ", w[3], "line");
    if (w[4]) fprintf(g->f, "%-*s  ", w[4], "shape");
    fprintf(g->f, "value\n");
    for (int id = 1; id <= g->p->num_nodes; id++) {
        const gr_trace_node *n = node(g, id);
        if (n->kind == GR_NODE_NUMBER) continue;
        inputs_of(g, n, in);
        place(n, where, sizeof where);
        gr__show_shape(shape, sizeof shape, n->value);
        gr__show_values(value, sizeof value, n->value);
        fprintf(g->f, "%3d  ", id);
        column(g->f, shown(g, id, name), w[0] + 2);
        column(g->f, op_of(n), w[1] + 2);
        column(g->f, in, w[2] + 2);
        if (w[3]) column(g->f, where, w[3] + 2);
        if (w[4]) column(g->f, shape, w[4] + 2);
        fprintf(g->f, "%s\n", value);
    }
}

/* ---- backward --------------------------------------------------------------------------------------------------*/
static void head(page *g, const gr_trace_step *s) { fprintf(g->f, "%3d %c  ", ++g->number, (char)s->kind); }

static void pick(page *g, const gr_trace_step *s)
{
    char name[GR_SHOW], call[GR_SHOW];
    gr__show_call(g->p, node(g, s->node), call, sizeof call);
    head(g, s);
    fprintf(g->f, "next: %s = %s. ", shown(g, s->node, name), call);
    if (!s->n) fprintf(g->f, "The sweep starts here.\n");
    else if (s->n == 1) fprintf(g->f, "Its only consumer is done (1/1).\n");
    else fprintf(g->f, "All of its consumers are done (%d/%d).\n", s->k, s->n);
}

static void contribution(page *g, const gr_trace_step *s)
{
    char to[GR_SHOW], from[GR_SHOW], left[2 * GR_SHOW + 8], local[GR_SHOW], factor[GR_SHOW], amount[GR_SHOW], up[GR_SHOW], numbers[2 * GR_SHOW + 8] = "";
    gr_shown_rule r;
    gr__show_rule(g->p, node(g, s->from), s->slot, &r);
    gr__show_values(amount, sizeof amount, s->amount);
    shown(g, s->node, to);
    shown(g, s->from, from);
    head(g, s);
    if (s->local) {
        gr__show_factor(factor, sizeof factor, s->local);
        gr__show_values(up, sizeof up, s->upstream);
        snprintf(local, sizeof local, "%s", factor);
        if (factor[0] == '(') gr__show_number(local, sizeof local, s->local->v[0]);
        snprintf(left, sizeof left, "d%s/d%s", from, to);
        equation(g->f, left, "=", (const char *const[]){ r.local, r.numbers, local }, 3);
        fprintf(g->f, "       ");
        if (gr__show_width(up) + gr__show_width(factor) < 120) snprintf(numbers, sizeof numbers, "%s * %s", up, factor);
    }
    snprintf(left, sizeof left, "d%s", to);
    equation(g->f, left, "+=", (const char *const[]){ r.product, numbers, amount }, 3);
    if (*r.shapes) fprintf(g->f, "       shapes: %s\n", r.shapes);
}

/* Dimensions of `from` that became 1 or went: "axis 0", "axes 0 and 2" */
static void axes(char *out, size_t size, const gr_values *from, const gr_values *to)
{
    int list[GR_MAX_RANK], n = 0, missing = from->shape.n - to->shape.n;
    for (int d = 0; d < from->shape.n; d++)
        if (d < missing || (to->shape.v[d - missing] == 1 && from->shape.v[d] != 1)) list[n++] = d;
    size_t at = (size_t)snprintf(out, size, n == 1 ? "axis" : "axes");
    for (int i = 0; i < n && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%d", i == 0 ? " " : i + 1 == n ? " and " : ", ", list[i]);
}

static void unbroadcast(page *g, const gr_trace_step *s)
{
    char name[GR_SHOW], a[100], b[100], list[64], raw[GR_SHOW], sum[GR_SHOW];
    gr__show_shape(a, sizeof a, s->upstream);
    gr__show_shape(b, sizeof b, s->amount);
    axes(list, sizeof list, s->upstream, s->amount);
    gr__show_values(raw, sizeof raw, s->upstream);
    gr__show_values(sum, sizeof sum, s->amount);
    head(g, s);
    fprintf(g->f, "%s was repeated on the way forward: raw %s -> %s: sum over %s\n", shown(g, s->node, name), a, b, list);
    fprintf(g->f, "       d%s += sum of %s = %s\n", name, raw, sum);
}

static void accumulate(page *g, const gr_trace_step *s)
{
    char name[GR_SHOW], before[GR_SHOW] = "0", amount[GR_SHOW], after[GR_SHOW];
    if (s->before) gr__show_values(before, sizeof before, s->before);
    later(amount, s->amount);
    gr__show_values(after, sizeof after, s->after);
    head(g, s);
    fprintf(g->f, "d%s  = %s + %s = %s  (%d of %d)\n", shown(g, s->node, name), before, amount, after, s->k, s->n);
}

static void seed(page *g, const gr_trace_step *s)
{
    char name[GR_SHOW], value[GR_SHOW];
    shown(g, s->node, name);
    fprintf(g->f, "\nbackward, where d... is the derivative of %s with respect to ...\n", name);
    gr__show_values(value, sizeof value, s->after);
    head(g, s);
    fprintf(g->f, "d%s = %s\n", name, value);
}

/* ---- the rest --------------------------------------------------------------------------------------------------*/
static void update(page *g, const gr_trace_step *s)
{
    char name[GR_SHOW], before[GR_SHOW], grad[GR_SHOW], after[GR_SHOW], rate[40];
    shown(g, s->node, name);
    gr__show_values(before, sizeof before, s->before);
    later(grad, s->amount);
    gr__show_values(after, sizeof after, s->after);
    gr__show_number(rate, sizeof rate, s->rate);
    head(g, s);
    if (!isnan(s->rate)) fprintf(g->f, "%s: %s - %s * %s = %s\n", name, before, rate, grad, after);
    else fprintf(g->f, "%s: %s -> %s%s%s%s%s%s\n", name, before, after, s->amount ? ", gradient " : "", s->amount ? grad : "",
                 *s->text ? " (" : "", s->text, *s->text ? ")" : "");
}

static void gradients(const page *g)
{
    char name[GR_SHOW], value[GR_SHOW];
    int width = 0, shown_any = 0;
    for (int id = 1; id <= g->p->num_nodes; id++) {
        int w = gr__show_width(shown(g, id, name));
        if (node(g, id)->kind == GR_NODE_PARAMETER && w > width) width = w;
    }
    for (int id = 1; id <= g->p->num_nodes; id++) {
        const gr_trace_node *n = node(g, id);
        if (n->kind != GR_NODE_PARAMETER) continue;
        if (!shown_any++) fprintf(g->f, "\ngradients\n");
        gr__show_values(value, sizeof value, n->grad);
        fprintf(g->f, "  d");
        column(g->f, shown(g, id, name), width);
        fprintf(g->f, " = %s\n", n->grad ? value : "none: nothing came here");
    }
}

static bool of_sweep(gr_step_kind k) { return k != GR_STEP_UPDATE && k != GR_STEP_ZERO; }

static void one(page *g, const gr_trace_step *s)
{
    switch (s->kind) {
    case GR_STEP_FORWARD: break; /* a row of the table */
    case GR_STEP_SEED: seed(g, s); break;
    case GR_STEP_PICK: pick(g, s); break;
    case GR_STEP_CONTRIBUTION: contribution(g, s); break;
    case GR_STEP_UNBROADCAST: unbroadcast(g, s); break;
    case GR_STEP_ACCUMULATE: accumulate(g, s); break;
    case GR_STEP_NOTE: fprintf(g->f, "  !  %s\n", s->text); break;
    case GR_STEP_UPDATE:
        if (!g->updates) fprintf(g->f, "\nupdate\n");
        g->updates = true;
        update(g, s);
        break;
    case GR_STEP_ZERO: g->reset = true; /* one by one, between the updates: said once */
    }
}

void gr_trace_text(const gr_trace *t, FILE *f)
{
    page g = { .f = f };
    g.step = gr_trace_steps(t, &g.n);
    size_t at = 0;
    for (g.pass = 0; g.pass < gr_trace_num_passes(t); g.pass++) {
        g.p = gr_trace_pass_at(t, g.pass);
        g.number = 0;
        g.updates = g.reset = false;
        bool open = g.p->swept;
        if (g.pass) fprintf(f, "\n");
        if (gr_trace_num_passes(t) > 1) fprintf(f, "pass %d\n", g.pass + 1);
        table(&g);
        for (; at < g.n && g.step[at].pass == g.pass; at++) {
            if (open && !of_sweep(g.step[at].kind)) gradients(&g), open = false;
            one(&g, &g.step[at]);
        }
        if (open) gradients(&g);
        if (g.reset) fprintf(f, "%3d %c  gradients reset\n", ++g.number, GR_STEP_ZERO);
    }
}
