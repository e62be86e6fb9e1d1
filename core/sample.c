/* Operation records by their samples: inputs from text, and the gradient check of each.
 * Knows no operation by name.
 * SPDX-License-Identifier: MIT */
#include "core/sample.h"
#include "core/tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *spaces(const char *s)
{
    while (*s == ' ') s++;
    return s;
}

int gr__sample_parse(const char *s, gr_sample_input *in)
{
    int n = 0;
    for (s = spaces(s); *s && n < GR_SAMPLE_INPUTS; n++) {
        gr_sample_input x = { .low = -2, .high = 2 };
        if (strncmp(s, "i64", 3) == 0) x.type = GR_I64, x.low = 0, x.high = 4, s = spaces(s + 3);
        else if (strncmp(s, "bool", 4) == 0) x.type = GR_BOOL, s = spaces(s + 4);
        else if (strncmp(s, "exact", 5) == 0) x.exact = true, s = spaces(s + 5);
        if (*s++ != '[') return -1;
        while (*(s = spaces(s)) != ']') {
            char *end;
            x.shape.v[x.shape.n++] = strtoll(s, &end, 10);
            if (end == s) return -1;
            s = spaces(end);
            if (*s == ',') s++;
        }
        s = spaces(s + 1);
        if (strncmp(s, "in ", 3) == 0) {
            char *end;
            s = spaces(s + 3);
            if (strncmp(s, "const", 5) == 0) x.constant = true, s = spaces(s + 5);
            x.low = strtod(s, &end);
            if (strncmp(end, "..", 2) != 0 && *end != '.') return -1;
            x.high = strtod(end + (end[0] == '.' && end[1] == '.' ? 2 : 1), &end);
            s = spaces(end);
        }
        in[n] = x;
        if (*s == ';') s = spaces(s + 1);
        else if (*s) return -1;
    }
    return n;
}

/* A linear congruence (Knuth's constants): no seed of the context is touched. */
double gr__sample_value(const gr_sample_input *in, uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    double u = (double)(*state >> 11) * 0x1p-53, v = in->low + u * (in->high - in->low);
    if (in->type == GR_I64) v = in->low + floor(u * (in->high - in->low + 1) * 0.999999);
    if (in->type == GR_BOOL) v = u < 0.5;
    return in->exact ? floor(v * 8) / 8 : v;
}

/* ---- the check -------------------------------------------------------------------------------------------------*/
typedef struct sampled {
    const gr_op *op;
    const gr_sample *sample;
    int n;
} sampled;

static gr_tensor *apply(gr_tensor **x, void *user)
{
    const sampled *s = user;
    return s->sample->call ? s->sample->call(x) : gr_apply(s->op, x, s->n, NULL);
}

static gr_tensor *make(gr_ctx *c, const gr_sample_input *in, uint64_t *state)
{
    GR_SCOPE(c);
    gr_tensor *t = gr_zeros(c, in->shape, .dtype = in->type ? in->type : GR_F32);
    if (!t) return NULL;
    double *v = gr__arena_alloc(gr__scope_now(c), (size_t)(t->numel + 1) * sizeof *v);
    for (int64_t i = 0; v && i < t->numel; i++) v[i] = gr__sample_value(in, state);
    if (!v || !gr_write(t, v)) return NULL;
    return gr_keep(in->type || in->constant ? t : gr_requires_grad(t));
}

static bool check_sample(gr_ctx *c, sampled *s, gr_gradcheck_report *r, gr_gradcheck_opts o)
{
    gr_sample_input in[GR_SAMPLE_INPUTS];
    gr_tensor *x[GR_SAMPLE_INPUTS];
    uint64_t state = 7 + o.seed;
    s->n = gr__sample_parse(s->sample->inputs, in);
    if (s->n <= 0) gr_fail(c, GR_EFORMAT, "gr_gradcheck_op(%s): cannot read the sample \"%s\". Fix: write it as \"[2, 3] in 0..1; i64 [3]\"",
                           s->op->name, s->sample->inputs);
    for (int i = 0; i < s->n; i++)
        if (!(x[i] = make(c, &in[i], &state))) return false;
    return !gr_failed(c) && gr_gradcheck_with(apply, s, x, s->n, r, o);
}

/* Of a record without samples that has the shape of its inputs: rank 0, size 0 and 1, and more than any vector holds. */
#define SHAPES 6
#define SAMPLE_TEXT 128
static bool generate(const gr_op *op, gr_sample *out, char text[SHAPES][SAMPLE_TEXT])
{
    static const char *const shape[SHAPES] = { "[2, 3]", "[]", "[1]", "[0, 2]", "[37]", "[2, 1, 3, 2]" };
    int n = op->arity < 0 ? 2 : op->arity;
    if (op->shape || n < 1 || n > GR_SAMPLE_INPUTS) return false;
    for (int s = 0; s < SHAPES; s++) {
        gr_text t = { text[s], SAMPLE_TEXT, 0 };
        for (int i = 0; i < n; i++) gr__put(&t, "%s%s", i ? "; " : "", shape[s]);
        out[s] = (gr_sample){ text[s], NULL };
    }
    out[SHAPES] = (gr_sample){ NULL, NULL };
    return true;
}

bool gr_gradcheck_op_with(const gr_op *op, gr_gradcheck_report *report, gr_gradcheck_opts o)
{
    gr_gradcheck_report local, all = { .verdict = GR_CHECK_ERROR };
    if (!report) report = &local;
    *report = all;
    gr_sample own[SHAPES + 1] = { { NULL, NULL } };
    char text[SHAPES][SAMPLE_TEXT];
    const gr_sample *samples = op && op->samples && op->samples[0].inputs ? op->samples : own;
    if (op && samples == own && !generate(op, own, text))
        snprintf(report->diagnosis, sizeof report->diagnosis,
                 "%.40s has no samples, and what shapes it takes only it knows. Fix: .samples = (const gr_sample[]){ { \"[2, 3]; [3] in 0.5..2\", NULL }, { NULL, NULL } }", op->name);
    if (!samples->inputs) return false;
    for (const gr_sample *s = samples; s->inputs; s++) {
        gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
        sampled one = { .op = op, .sample = s };
        *report = (gr_gradcheck_report){ .verdict = GR_CHECK_ERROR };
        bool ok = c && check_sample(c, &one, report, o);
        if (!*report->diagnosis && gr_failed(c)) snprintf(report->diagnosis, sizeof report->diagnosis, "%.500s", gr_message(c));
        gr_ctx_free(c);
        snprintf(report->subject, sizeof report->subject, "%.20s, sample \"%.30s\"", op->name, s->inputs);
        if (!ok) return false;
        if (all.verdict == GR_CHECK_ERROR || report->verdict > all.verdict) all.verdict = report->verdict;
        for (int v = 0; v < GR_CHECK_VERDICTS; v++) all.count[v] += report->count[v];
        all.checked += report->checked;
        all.evaluations += report->evaluations;
        all.largest_error = fmax(all.largest_error, report->largest_error);
    }
    report->verdict = all.verdict;
    memcpy(report->count, all.count, sizeof all.count);
    report->checked = all.checked;
    report->evaluations = all.evaluations;
    report->largest_error = all.largest_error;
    snprintf(report->subject, sizeof report->subject, "%.40s, every sample", op->name);
    return report->passed;
}
