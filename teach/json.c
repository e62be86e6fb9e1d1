/* The step list as JSON, one line for each node and step.
 * Knows nothing but the step list.
 * SPDX-License-Identifier: MIT
 *
 *   {"v": 1, "passes": [{"root": id, "swept": bool, "nodes": [node, ...]}, ...], "steps": [step, ...]}
 *   node  {"id", "kind", "name", "op", "in": [ids], "formula", "gradient", "attributes", "code", "file", "line", "n": contributions, "value", "grad"}
 *   step  {"k": kind letter, "pass", "node", "from", "slot", "i", "n", "up", "local", "before", "amount", "after", "rate", "text"}
 *   value a number, or {"shape", "dtype", "data": the first elements in row-major order, "min", "max", "mean", "rms",
 *         "zeros", "nan", "inf"} where the summary stands when not all elements do
 * Members that say nothing are left out. NaN and infinities are the strings "nan", "inf", "-inf"; < is \u003c, so that
 * the text may stand in a page. */
#include "teach/format.h"

#include <math.h>

static void number(FILE *f, double v)
{
    char text[40];
    gr__show_number(text, sizeof text, v);
    fprintf(f, isfinite(v) ? "%s" : "\"%s\"", text);
}

static void summary(FILE *f, const gr_values *v)
{
    const struct {
        const char *name;
        double v;
    } part[] = { { "min", v->min }, { "max", v->max }, { "mean", v->mean }, { "rms", v->rms },
                 { "zeros", (double)v->zeros }, { "nan", (double)v->nans }, { "inf", (double)v->infinities } };
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        fprintf(f, ",\"%s\":", part[i].name);
        number(f, part[i].v);
    }
}

static void values(FILE *f, const char *key, const gr_values *v)
{
    if (!v) return;
    fprintf(f, ",\"%s\":", key);
    if (v->shape.n == 0 && v->kept) {
        number(f, v->v[0]);
        return;
    }
    fprintf(f, "{\"shape\":[");
    for (int d = 0; d < v->shape.n; d++) fprintf(f, "%s%lld", d ? "," : "", (long long)v->shape.v[d]);
    fprintf(f, "],\"dtype\":\"%s\",\"data\":[", gr_dtype_name(v->dtype));
    for (int64_t i = 0; i < v->kept; i++) {
        if (i) fputc(',', f);
        number(f, v->v[i]);
    }
    fputc(']', f);
    if (v->kept < v->numel) summary(f, v);
    fputc('}', f);
}

static void text(FILE *f, const char *key, const char *s)
{
    if (!*s) return;
    fprintf(f, ",\"%s\":", key);
    gr__json_string(f, s);
}

static void node(FILE *f, const gr_trace_node *n)
{
    static const char *const kind[] = { "", "parameter", "constant", "number", "operation" };
    fprintf(f, "  {\"id\":%d,\"kind\":\"%s\"", n->id, kind[n->kind]);
    text(f, "name", n->name);
    text(f, "op", n->op);
    if (n->num_inputs) {
        fprintf(f, ",\"in\":[");
        for (int i = 0; i < n->num_inputs; i++) fprintf(f, "%s%d", i ? "," : "", n->inputs[i]);
        fputc(']', f);
    }
    text(f, "formula", n->formula);
    text(f, "gradient", n->gradient);
    text(f, "attributes", n->attributes);
    text(f, "code", n->code);
    text(f, "file", n->file);
    if (n->line) fprintf(f, ",\"line\":%d", n->line);
    if (n->contributions) fprintf(f, ",\"n\":%d", n->contributions);
    values(f, "value", n->value);
    values(f, "grad", n->grad);
    fputc('}', f);
}

static void step(FILE *f, const gr_trace_step *s)
{
    fprintf(f, " {\"k\":\"%c\",\"pass\":%d,\"node\":%d", (char)s->kind, s->pass + 1, s->node);
    if (s->from) fprintf(f, ",\"from\":%d,\"slot\":%d", s->from, s->slot);
    if (s->kind == GR_STEP_PICK || s->kind == GR_STEP_ACCUMULATE) fprintf(f, ",\"i\":%d,\"n\":%d", s->k, s->n);
    values(f, "up", s->upstream);
    values(f, "local", s->local);
    values(f, "before", s->before);
    values(f, "amount", s->amount);
    values(f, "after", s->after);
    if (!isnan(s->rate)) {
        fprintf(f, ",\"rate\":");
        number(f, s->rate);
    }
    text(f, "text", s->text);
    fputc('}', f);
}

void gr_trace_json(const gr_trace *t, FILE *f)
{
    size_t n;
    const gr_trace_step *s = gr_trace_steps(t, &n);
    fprintf(f, "{\"v\":1,\"passes\":[");
    for (int i = 0; i < gr_trace_num_passes(t); i++) {
        const gr_trace_pass *p = gr_trace_pass_at(t, i);
        fprintf(f, "%s\n {\"root\":%d,\"swept\":%s,\"nodes\":[", i ? "," : "", p->root, p->swept ? "true" : "false");
        for (int k = 0; k < p->num_nodes; k++) {
            fprintf(f, "%s\n", k ? "," : "");
            node(f, &p->nodes[k]);
        }
        fprintf(f, "]}");
    }
    fprintf(f, "],\n\"steps\":[");
    for (size_t i = 0; i < n; i++) {
        fprintf(f, "%s\n", i ? "," : "");
        step(f, &s[i]);
    }
    fprintf(f, "]}\n");
}
