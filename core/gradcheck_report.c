/* The report of a gradient check: in words, and as JSON.
 * Knows no tensor but its name and sizes.
 * SPDX-License-Identifier: MIT */
#include "core/check.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

const char *gr_verdict_name(gr_verdict v)
{
    static const char *const name[] = { "PASS", "KINK", "INCONCLUSIVE", "NAN", "FAIL", "NONDETERMINISTIC", "ERROR" };
    return (unsigned)v < GR_CHECK_VERDICTS ? name[v] : "unknown verdict";
}

/* ---- filling it ------------------------------------------------------------------------------------------------*/
void gr__check_say(gr_check *k, gr_verdict v, const char *fmt, ...)
{
    gr_gradcheck_report *r = k->report;
    if (*r->diagnosis && v <= r->verdict) return;
    if (v > r->verdict) r->verdict = v;
    va_list args;
    va_start(args, fmt);
    vsnprintf(r->diagnosis, sizeof r->diagnosis, fmt, args);
    va_end(args);
}

void gr__check_note(gr_check *k, const char *fmt, ...)
{
    char *notes = k->report->notes;
    size_t at = strlen(notes), size = sizeof k->report->notes;
    if (at && at + 2 < size) at += (size_t)snprintf(notes + at, size - at, "\n");
    va_list args;
    va_start(args, fmt);
    vsnprintf(notes + at, size - at, fmt, args);
    va_end(args);
}

const char *gr__check_file(const char *path)
{
    const char *last = strrchr(path, '/');
    return last ? last + 1 : path;
}

void gr__check_index(gr_text *t, int ndim, const int64_t *dim, int64_t element)
{
    int64_t below = 1;
    if (ndim == 0) return;
    for (int d = 1; d < ndim; d++) below *= dim[d];
    gr__put(t, "[");
    for (int d = 0; d < ndim; d++) {
        gr__put(t, "%s%lld", d ? ", " : "", (long long)(element / below));
        element %= below;
        if (d + 1 < ndim) below /= dim[d + 1];
    }
    gr__put(t, "]");
}

void gr__check_place(const gr_tensor *x, const char *fallback, int number, int64_t element, char *out, size_t size)
{
    gr_text t = { out, size, 0 };
    if (x->name) gr__put(&t, "%.16s", x->name);
    else gr__put(&t, "%s%d", fallback, number);
    gr__check_index(&t, x->ndim, x->dims, element);
}

/* ---- in words --------------------------------------------------------------------------------------------------*/
static void element(gr_text *t, const gr_gradcheck_element *e)
{
    if (e->order == 1) gr__put(t, "  %s  d %s / d %s", gr_verdict_name(e->verdict), e->output_name, e->name);
    else gr__put(t, "  %s  d%d L / d %s d %s%s", gr_verdict_name(e->verdict), e->order, e->name, e->output_name, e->order > 2 ? " ..." : "");
    gr__put(t, " at %s = %.9g: analytic ", e->name, e->x);
    if (isnan(e->analytic)) gr__put(t, "nan"); /* of whatever sign */
    else gr__put(t, "%.12g", e->analytic);
    bool kink = !isnan(e->left) && !isnan(e->right);
    if (kink) gr__put(t, "  from the left %.6g, from the right %.6g", e->left, e->right);
    else if (isfinite(e->numeric) && e->uncertainty <= fabs(e->numeric)) gr__put(t, "  numeric %.12g +- %.1g", e->numeric, e->uncertainty);
    else if (e->numeric == 0) gr__put(t, "  numeric 0");
    if (!kink && !isnan(e->left)) gr__put(t, " (from the left alone)");
    if (!kink && !isnan(e->right)) gr__put(t, " (from the right alone)");
    if (kink && e->verdict == GR_CHECK_FAIL) gr__put(t, ": not between the two");
    bool wrong = e->verdict == GR_CHECK_FAIL && !kink;
    if (wrong) gr__put(t, "  relative error %.1e", e->error);
    if (wrong && isfinite(e->analytic / e->numeric)) gr__put(t, fabs(e->analytic / e->numeric - 1) < 1e-4 ? "  ratio %.10g" : "  ratio %.6g", e->analytic / e->numeric);
    if (e->reason && *e->reason) gr__put(t, ": %s", e->reason);
    gr__put(t, "\n");
}

static void lines(gr_text *t, const char *head, const char *s)
{
    while (*s) {
        size_t n = strcspn(s, "\n");
        gr__put(t, "%s%.*s\n", head, (int)n, s);
        s += n + (s[n] == '\n');
    }
}

static void steps(gr_text *t, const gr_gradcheck_report *r)
{
    gr__put(t, "  the difference by %s, step by step:\n  %10s  %22s  %22s  %18s  %18s  %s\n", r->worst[0].name, "h", "f(x - h)", "f(x + h)", "difference",
            "extrapolated", "+-");
    for (int i = 0; i < r->num_steps; i++) {
        const gr_gradcheck_step *s = &r->steps[i];
        gr__put(t, "  %10.4g  %22.15g  %22.15g  %18.12g  %18.12g  ", s->h, s->below, s->above, s->difference, s->best);
        if (isfinite(s->error)) gr__put(t, "%.1g\n", s->error);
        else gr__put(t, "?\n");
    }
}

int gr_gradcheck_format(const gr_gradcheck_report *r, char *out, size_t size)
{
    gr_text t = { out, size, 0 };
    if (size) out[0] = '\0';
    gr__put(&t, "gradcheck %s", gr_verdict_name(r->verdict));
    if (*r->subject) gr__put(&t, "  %s", r->subject);
    if (*r->place) gr__put(&t, ", %s", r->place);
    gr__put(&t, "  (%lld derivative%s", (long long)r->checked, r->checked == 1 ? "" : "s");
    for (int v = GR_CHECK_VERDICTS - 1; v >= 0; v--)
        if (r->count[v]) gr__put(&t, ", %lld %s", (long long)r->count[v], gr_verdict_name((gr_verdict)v));
    gr__put(&t, "; %lld evaluations)\n", (long long)r->evaluations);
    for (int i = 0; i < r->num_worst; i++)
        if (r->worst[i].verdict != GR_CHECK_PASS) element(&t, &r->worst[i]);
    if (r->count[GR_CHECK_PASS])
        gr__put(&t, "  %s%lld agree: the largest error is %.2g\n", r->passed ? "" : "the other ", (long long)r->count[GR_CHECK_PASS], r->largest_error);
    lines(&t, "  -> ", r->diagnosis);
    lines(&t, "  note: ", r->notes);
    if (r->num_steps) steps(&t, r);
    return (int)t.at;
}

void gr_gradcheck_print(FILE *f, const gr_gradcheck_report *r)
{
    char text[12288]; /* at most 8 elements of 400 characters, 32 steps of 110, a diagnosis and notes of 512 */
    gr_gradcheck_format(r, text, sizeof text);
    fputs(text, f);
}

/* ---- JSON ------------------------------------------------------------------------------------------------------*/
static void json_string(FILE *f, const char *name, const char *s)
{
    fprintf(f, ",\"%s\":", name);
    gr__json_string(f, s);
}

static void json_number(FILE *f, const char *name, double v)
{
    if (isfinite(v)) fprintf(f, ",\"%s\":%.17g", name, v);
    else fprintf(f, ",\"%s\":\"%s\"", name, isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
}

void gr_gradcheck_json(FILE *f, const gr_gradcheck_report *r)
{
    fprintf(f, "{\"v\":1,\"verdict\":\"%s\",\"passed\":%s,\"checked\":%lld,\"evaluations\":%lld", gr_verdict_name(r->verdict),
            r->passed ? "true" : "false", (long long)r->checked, (long long)r->evaluations);
    fprintf(f, ",\"count\":{");
    for (int v = 0; v < GR_CHECK_VERDICTS; v++)
        fprintf(f, "%s\"%s\":%lld", v ? "," : "", gr_verdict_name((gr_verdict)v), (long long)r->count[v]);
    fputc('}', f);
    json_number(f, "largest_error", r->largest_error);
    json_string(f, "subject", r->subject);
    json_string(f, "place", r->place);
    json_string(f, "diagnosis", r->diagnosis);
    json_string(f, "notes", r->notes);
    fprintf(f, ",\"worst\":[");
    for (int i = 0; i < r->num_worst; i++) {
        const gr_gradcheck_element *e = &r->worst[i];
        fprintf(f, "%s{\"verdict\":\"%s\",\"order\":%d,\"input\":%d,\"element\":%lld,\"output\":%lld", i ? "," : "",
                gr_verdict_name(e->verdict), e->order, e->input, (long long)e->element, (long long)e->output);
        json_string(f, "name", e->name);
        json_string(f, "output_name", e->output_name);
        json_number(f, "x", e->x);
        json_number(f, "analytic", e->analytic);
        json_number(f, "numeric", e->numeric);
        json_number(f, "uncertainty", e->uncertainty);
        json_number(f, "error", e->error);
        json_number(f, "left", e->left);
        json_number(f, "right", e->right);
        json_string(f, "reason", e->reason ? e->reason : "");
        fputc('}', f);
    }
    fprintf(f, "],\"steps\":[");
    for (int i = 0; i < r->num_steps; i++) {
        fprintf(f, "%s{\"step\":%d", i ? "," : "", i);
        json_number(f, "h", r->steps[i].h);
        json_number(f, "below", r->steps[i].below);
        json_number(f, "above", r->steps[i].above);
        json_number(f, "difference", r->steps[i].difference);
        json_number(f, "best", r->steps[i].best);
        json_number(f, "error", r->steps[i].error);
        fputc('}', f);
    }
    fprintf(f, "]}\n");
}
