/* Gradients against differences, derivative by derivative, in f64, with a verdict for each.
 *
 *   agree          |a - d| <= max(rtol |d|, 10 u), u the estimated error of the difference d and of rounding in a
 *   conclusive     u <= rtol |d|, or u is as small beside the other derivatives of that input or those nearby,
 *                  or a is as close to what each step gives, or all is rounding
 *
 * What is compared: values.c, difference.c, noise.c; what bends: branch.c; what else fn must keep to: contract.c, layout.c.
 * Knows no operation.
 * SPDX-License-Identifier: MIT */
#include "core/check.h"

#include <math.h>
#include <string.h>

#define SAFETY 10 /* an estimate of an error is no bound */
#define SAFE_NOISE 100 /* how far an estimate of rounding may be too large */
#define SUBNORMAL 1e-300 /* what is smaller has lost digits */
#define F32_RTOL 1e-4 /* of a result in f32: its rounding, 6e-8, over the first steps, 1/16 to 1/128 */

/* ---- verdicts --------------------------------------------------------------------------------------------------*/
/* Is a derivative of this size no more than rounding of the terms gives, or of the largest number where values do not change? */
static bool nothing(const gr_check *k, int64_t i, double size, double value, double x, double ulps)
{
    double scale = gr__difference_scale(x);
    return size <= ulps * k->natural[i] / scale || (value == 0 && size <= 8 * k->unit * k->largest / scale);
}

/* Is the difference known to tol? By its error u; or, as rounding often does less than it may, because a lies that close to
 * what each step gives: noise that hides a mistake would have scattered them. */
static bool clear(double a, double u, const gr_slope *s, double tol)
{
    return u <= tol || (u <= SAFE_NOISE * tol && fmax(fabs(a - s->low), fabs(a - s->high)) <= tol);
}

static gr_verdict verdict(const gr_check *k, int64_t i, double a, double spread, const gr_slope *s, double x, double largest)
{
    double d = fabs(a - s->value), u = s->error + spread, size = fmax(fabs(a), fabs(s->value)), tol = fmax(k->rtol * fabs(s->value), SAFETY * u);
    if (!isfinite(k->base[i]) || !isfinite(a)) return GR_CHECK_NAN;
    if (s->kind == GR_JUMP || isnan(s->value)) return GR_CHECK_INCONCLUSIVE;
    if (s->kind == GR_KINK) {
        double low = fmin(s->left, s->right), high = fmax(s->left, s->right), slack = 1e-3 * (high - low);
        return a >= low - slack && a <= high + slack ? GR_CHECK_KINK : d <= tol ? GR_CHECK_INCONCLUSIVE : GR_CHECK_FAIL;
    }
    if (size <= SUBNORMAL || nothing(k, i, size, s->value, x, 256)) return GR_CHECK_PASS;
    bool zero = nothing(k, i, size, s->value, x, 1024);
    if (d <= tol) return zero || clear(a, u, s, k->rtol * fmax(fmax(size, largest), s->around)) ? GR_CHECK_PASS : GR_CHECK_INCONCLUSIVE;
    if (zero && d <= 3 * tol) return GR_CHECK_PASS;
    return u > k->rtol * fabs(s->value) && d <= 3 * tol ? GR_CHECK_INCONCLUSIVE : GR_CHECK_FAIL;
}

static const char *reason(const gr_check *k, int64_t i, double a, double spread, const gr_slope *s, gr_verdict v)
{
    if (v == GR_CHECK_NAN) return !isfinite(k->base[i]) ? "the value is not finite" : isnan(a) ? "the gradient is NaN" : "the gradient is infinite";
    if (v != GR_CHECK_INCONCLUSIVE) return "";
    if (s->kind == GR_JUMP) return "the function jumps here, or its slope has no bound";
    if (isnan(s->value)) return "no step stays where the function is finite: nothing around this point is in its domain";
    if (spread > s->error) return "the gradient has too few digits here: in it terms cancel that are much larger";
    if (fabs(k->base[i]) > 1e6 * fabs(s->value)) return "rounding of so large a value hides so small a derivative: leave the constant part out, or scale x";
    if (s->side) return "only one side of x is in the domain, or on the piece that x is on, and differences there do not come close enough to a limit: move x";
    return "differences do not come close enough to a limit here: move x, or raise rtol";
}

static void keep_worst(gr_gradcheck_report *r, const gr_gradcheck_element *e)
{
    int at = r->num_worst;
    while (at > 0 && (e->verdict > r->worst[at - 1].verdict ||
                      (e->verdict == r->worst[at - 1].verdict && !(e->error <= r->worst[at - 1].error))))
        at--;
    if (at == GR_CHECK_WORST) return;
    if (r->num_worst < GR_CHECK_WORST) r->num_worst++;
    memmove(&r->worst[at + 1], &r->worst[at], (size_t)(r->num_worst - 1 - at) * sizeof *e);
    r->worst[at] = *e;
}

void gr__check_judge(gr_check *k, int64_t output, int64_t element, double a, const gr_slope *s, double largest)
{
    gr_gradcheck_report *r = k->report;
    int t = 0;
    while (element >= k->first[t + 1]) t++;
    gr_gradcheck_element e = { .order = k->order, .input = k->number[t], .element = element - k->first[t], .output = k->full ? output : -1,
                               .analytic = a, .numeric = s->value, .uncertainty = s->error, .left = s->left, .right = s->right };
    e.x = ((const double *)(const void *)k->target[t]->data)[e.element];
    double spread = k->spread ? k->spread[output * k->first[k->num_targets] + element] : 0;
    e.verdict = verdict(k, output, a, spread, s, e.x, largest);
    e.reason = reason(k, output, a, spread, s, e.verdict);
    if (s->kind == GR_JUMP) e.numeric = (double)NAN, e.uncertainty = INFINITY;
    if (s->kind == GR_JUMP || (s->kind == GR_SMOOTH && s->side == 0)) e.left = e.right = (double)NAN;
    double size = fmax(fabs(a), fabs(s->value)), d = fabs(a - s->value);
    bool noise = nothing(k, output, size, s->value, e.x, 1024);
    e.error = d == 0 || e.verdict == GR_CHECK_KINK ? 0 : d / size;
    if (e.verdict == GR_CHECK_PASS) e.error = noise ? 0 : d / fmax(fmax(size, largest), s->around);
    r->checked++;
    r->count[e.verdict]++;
    if (e.verdict == GR_CHECK_KINK) k->kink[element] = true;
    if (e.verdict == GR_CHECK_PASS) r->largest_error = fmax(r->largest_error, e.error);
    if (e.verdict > r->verdict) r->verdict = e.verdict;
    keep_worst(r, &e);
}

/* One column of differences for each element, then the verdicts; above order 1, elements with a kink are left alone. */
static bool compare(gr_check *k, const double *a)
{
    int64_t n = k->first[k->num_targets];
    gr_slope *s = gr__arena_alloc(gr__scope_now(k->c), (size_t)(k->m * n) * sizeof *s);
    double *d = gr__check_doubles(k->c, k->m * n);
    if (!s || !d) return false;
    for (int t = 0; t < k->num_targets; t++) {
        double *x = (double *)(void *)k->target[t]->data, largest = 0;
        int64_t first = k->first[t], size = k->target[t]->numel;
        for (int64_t e = 0; e < size; e++) {
            gr_path p = { .place = x + e, .x = x[e] };
            if (k->kink[first + e]) continue;
            if (!gr__difference(k, &p, s + (first + e) * k->m)) return false;
            for (int64_t i = 0; i < k->m; i++) {
                const gr_slope *one = &s[(first + e) * k->m + i];
                if (isfinite(one->value)) largest = fmax(largest, fabs(one->value));
                if (one->kind != GR_SMOOTH && !k->bend.place) k->bend = p, k->bend_element = first + e;
            }
        }
        for (int64_t e = first; e < first + size; e++) {
            bool skip = k->kink[e];
            for (int64_t i = 0; i < k->m; i++) {
                d[i * n + e] = skip ? a[i * n + e] : s[e * k->m + i].value;
                if (!skip) gr__check_judge(k, i, e, a[i * n + e], &s[e * k->m + i], largest);
            }
        }
    }
    if (k->report->verdict == GR_CHECK_FAIL && !gr__check_diagnose(k, k->m, a, d)) return false;
    if (!k->bend.place || k->named) return true;
    k->named = true;
    return gr__branches_name(k, gr__difference_border(k->bend.x));
}

static void find_largest(gr_check *k)
{
    k->largest = 1;
    for (int64_t i = 0; i < k->m; i++)
        if (isfinite(k->base[i])) k->largest = fmax(k->largest, fabs(k->base[i]));
    for (int t = 0; t < k->num_targets; t++)
        for (int64_t e = 0; e < k->target[t]->numel; e++) k->largest = fmax(k->largest, fabs(((const double *)(const void *)k->target[t]->data)[e]));
}

/* .explain: the difference of the worst derivative once more, step by step. */
static bool explain(gr_check *k)
{
    gr_gradcheck_report *r = k->report;
    const gr_gradcheck_element *w = &r->worst[0];
    int t = 0;
    if (!k->explain || !r->num_worst || w->order != k->order || k->fast) return true;
    while (k->number[t] != w->input) t++;
    double *place = (double *)(void *)k->target[t]->data + w->element;
    gr_path p = { .place = place, .x = *place };
    gr_slope *s = gr__arena_alloc(gr__scope_now(k->c), (size_t)k->m * sizeof *s);
    k->told = w->output < 0 ? 0 : w->output;
    r->num_steps = 0;
    bool ok = s && gr__difference(k, &p, s);
    k->told = -1;
    return ok;
}

/* After all these calls, are the values at x still those of the first one? */
static bool stateless(gr_check *k)
{
    double *again = gr__check_doubles(k->c, k->m);
    if (!again || !gr__check_values(k, again, false)) return false;
    for (int64_t i = 0; i < k->m; i++)
        if (!(again[i] == k->base[i] || (isnan(again[i]) && isnan(k->base[i]))))
            gr__check_say(k, GR_CHECK_NONDETERMINISTIC, "the function gives another result after %lld calls, with the same inputs: it keeps something from call to call",
                          (long long)k->report->evaluations);
    return true;
}

static bool measure(gr_check *k, double *a)
{
    if (!gr__noise_measure(k, k->fast ? NULL : a)) return false;
    if (k->fast ? !gr__check_fast(k) : !compare(k, a) || !explain(k)) return false;
    if (!stateless(k)) return false;
    return k->order == 1 || k->report->verdict > GR_CHECK_KINK || gr__check_symmetric(k);
}

static bool run(gr_check *k, int order)
{
    GR_SCOPE(k->c);
    int64_t n = k->first[k->num_targets], outputs;
    k->order = order;
    {
        GR_SCOPE(k->c);
        gr_tensor *y = gr__check_call(k, k->x);
        if (!gr__ready(y)) return false;
        outputs = order == 1 ? y->numel : n;
        k->y_shape = gr_dims_like(y);
        k->full = !k->fast && outputs * n <= GR_CHECK_FULL;
        k->unit = gr__check_rounding(y, 1);
        if (k->coarse && k->rtol < F32_RTOL) k->rtol = F32_RTOL;
    }
    k->m = k->full ? outputs : 1;
    k->base = gr__check_doubles(k->c, k->m);
    k->noise = gr__check_doubles(k->c, k->m);
    k->natural = gr__check_doubles(k->c, k->m);
    double *a = gr__check_doubles(k->c, k->m * n);
    k->spread = k->fast ? NULL : gr__check_doubles(k->c, k->m * n);
    if (!k->base || !k->noise || !k->natural || !a || (!k->fast && !k->spread) || !gr__check_values(k, k->base, true)) return false;
    find_largest(k);
    return measure(k, a);
}

/* ---- entry -----------------------------------------------------------------------------------------------------*/
static bool prepare(gr_check *k, gr_tensor *const *x)
{
    gr_scope *s = gr__scope_now(k->c);
    k->x = gr__arena_alloc(s, 2 * (size_t)k->n * sizeof *k->x);
    k->number = gr__arena_alloc(s, (size_t)k->n * sizeof *k->number);
    k->first = gr__arena_alloc(s, ((size_t)k->n + 1) * sizeof *k->first);
    if (!k->x || !k->number || !k->first) return false;
    k->target = k->x + k->n;
    k->first[0] = 0;
    for (int i = 0; i < k->n; i++) {
        k->x[i] = x[i];
        if (!x[i]) continue;
        gr_tensor *copy = gr_zeros(k->c, gr_dims_like(x[i]), .dtype = gr_is_float(x[i]) ? GR_F64 : (gr_type)x[i]->dtype);
        if (!copy || !gr_copy_to(copy, x[i])) return false;
        k->x[i] = x[i]->name ? gr_name(copy, x[i]->name) : copy;
        if (!gr_is_float(x[i]) || !gr_needs_grad(x[i])) continue;
        k->number[k->num_targets] = i;
        k->target[k->num_targets++] = gr_requires_grad(copy);
        k->first[k->num_targets] = k->first[k->num_targets - 1] + copy->numel;
    }
    k->kink = gr__arena_alloc(s, (size_t)k->first[k->num_targets] + 1);
    if (k->kink) memset(k->kink, 0, (size_t)k->first[k->num_targets] + 1);
    k->used = gr__arena_alloc(s, (size_t)k->num_targets + 1);
    if (k->used) memset(k->used, 0, (size_t)k->num_targets + 1);
    return k->kink && k->used && k->c->code == GR_OK;
}

static bool finish(gr_check *k, bool ran)
{
    gr_gradcheck_report *r = k->report;
    if (!ran && r->verdict < GR_CHECK_FAIL) r->verdict = GR_CHECK_ERROR;
    if (!ran && k->c->code != GR_OK) gr__check_say(k, GR_CHECK_ERROR, "%.400s", k->c->message);
    r->passed = r->verdict <= GR_CHECK_KINK;
    if (r->passed) gr__check_unused(k);
    for (int i = 0; i < r->num_worst; i++) {
        gr_gradcheck_element *e = &r->worst[i];
        gr__check_place(k->x[e->input], "x", e->input, e->element, e->name, sizeof e->name);
        int t = 0;
        while (e->order > 1 && e->output >= 0 && e->output >= k->first[t + 1]) t++;
        if (e->output < 0) snprintf(e->output_name, sizeof e->output_name, "%s", e->order == 1 ? "<r, y>" : "<s, dL/dx>");
        else if (e->order == 1) {
            gr_text text = { e->output_name, sizeof e->output_name, 0 };
            gr__put(&text, "y");
            gr__check_index(&text, k->y_shape.n, k->y_shape.v, e->output);
        }
        else gr__check_place(k->target[t], "x", k->number[t], e->output - k->first[t], e->output_name, sizeof e->output_name);
    }
    if (r->num_worst) {
        const gr_gradcheck_element *w = &r->worst[0];
        r->order = w->order, r->input = w->input, r->element = w->element, r->output = w->output;
        r->analytic = w->analytic, r->numeric = w->numeric, r->error = w->error;
    }
    return r->passed;
}

bool gr_gradcheck_with(gr_fn fn, void *user, gr_tensor *const *x, int n, gr_gradcheck_report *report, gr_gradcheck_opts o)
{
    gr_gradcheck_report local;
    if (!report) report = &local;
    memset(report, 0, sizeof *report);
    report->verdict = GR_CHECK_ERROR;
    gr_ctx *c = NULL;
    for (int i = 0; i < n && !c; i++) c = x[i] ? x[i]->ctx : NULL;
    if (!c || gr_failed(c)) return false;
    GR_SCOPE(c);
    uint64_t seed = c->seed, drawn = c->drawn;
    gr_check k = { .c = c, .given = x, .fn = fn, .user = user, .n = n, .rtol = o.rtol > 0 ? o.rtol : 1e-7, .report = report, .order = 1, .fast = o.fast, .explain = o.explain, .told = -1,
                   .reseed = o.reseed, .seed = seed, .drawn = drawn };
    report->verdict = GR_CHECK_PASS;
    bool ran = prepare(&k, x) && gr__check_contract(&k);
    for (int order = 1; ran && order <= (o.order > 0 ? o.order : 2); order++)
        for (k.via = 0; ran && k.via < (order > 2 ? k.num_targets : 1) && report->verdict <= GR_CHECK_KINK; k.via++) ran = run(&k, order);
    if (ran && !k.num_targets)
        gr__check_say(&k, GR_CHECK_INCONCLUSIVE, "no input needs a gradient, so nothing was checked: mark what is to be checked with gr_requires_grad");
    if (k.x) finish(&k, ran);
    else report->verdict = GR_CHECK_ERROR;
    c->seed = seed;
    c->drawn = drawn;
    return report->passed;
}

/* ---- in one line -----------------------------------------------------------------------------------------------*/
typedef struct line {
    int arity;
    void (*f)(void);
} line;

static gr_tensor *call_line(gr_tensor **x, void *user)
{
    const line *l = user;
    switch (l->arity) {
    case 1: return ((gr_tensor * (*)(gr_tensor *)) l->f)(x[0]);
    case 2: return ((gr_tensor * (*)(gr_tensor *, gr_tensor *)) l->f)(x[0], x[1]);
    case 3: return ((gr_tensor * (*)(gr_tensor *, gr_tensor *, gr_tensor *)) l->f)(x[0], x[1], x[2]);
    default: return ((gr_fn)l->f)(x, NULL);
    }
}

bool gr_gradcheck_line(int arity, const char *name, void (*f)(void), gr_tensor *const *x, int n)
{
    gr_gradcheck_report r;
    char text[1600];
    gr_ctx *c = n > 0 && x[0] ? x[0]->ctx : NULL;
    if (arity && n != arity) {
        if (c) gr_fail(c, GR_EVALUE, "GR_GRADCHECK(%s): got %d tensors, takes %d. Fix: give one for each argument", name, n, arity);
        return false;
    }
    if (gr_gradcheck_with(call_line, &(line){ arity, f }, x, n, &r, (gr_gradcheck_opts){ .order = 2 })) return true;
    gr_gradcheck_format(&r, text, sizeof text);
    if (c) gr_fail(c, GR_EGRAPH, "%s: %s", name, text);
    return false;
}
