/* Gradients against differences, derivative by derivative, in f64, with a verdict for each.
 *
 *   agree          |a - d| <= max(rtol |d|, 10 u), u the estimated error of the difference d
 *   conclusive     u <= rtol |d|, or u is as small beside the other derivatives of that input or those nearby, or all is rounding
 *
 * Knows no operation: it sums by hand. How differences are made: difference.c; what else fn must keep to: contract.c.
 * SPDX-License-Identifier: MIT */
#include "core/check.h"

#include <math.h>
#include <string.h>

#define SAFETY 10 /* an estimate of an error is no bound */
#define SUBNORMAL 1e-300 /* what is smaller has lost digits */
#define F32_RTOL 1e-4 /* of a result in f32: its rounding, 6e-8, over the first steps, 1/16 to 1/128 */

double *gr__check_doubles(gr_ctx *c, int64_t n) { return gr__arena_alloc(gr__scope_now(c), (size_t)(n + 1) * sizeof(double)); }

/* ---- sums ------------------------------------------------------------------------------------------------------*/
gr_tensor *gr__check_weights(gr_tensor *t, uint64_t number)
{
    if (!gr__ready(t)) return NULL;
    gr_ctx *c = t->ctx;
    uint64_t seed = c->seed, drawn = c->drawn;
    gr_seed(c, number);
    gr_tensor *r = gr_rand(c, gr_dims_like(t), .dtype = (gr_type)t->dtype);
    c->seed = seed;
    c->drawn = drawn;
    for (int64_t i = 0; r && i < r->numel; i++) {
        if (r->dtype == GR_F32) ((float *)(void *)r->data)[i] += 0.5f;
        else ((double *)(void *)r->data)[i] += 0.5;
    }
    return r;
}

typedef struct total {
    gr_type type;
    double sum, lost, squares;
} total;

static void dot_run(int64_t n, char *const *p, const int64_t *s, void *user)
{
    total *t = user;
    for (int64_t i = 0; i < n; i++) {
        double v = t->type == GR_F32 ? (double)((float *)(void *)p[0])[i * s[0]] * (double)((float *)(void *)p[1])[i * s[1]]
                                     : ((double *)(void *)p[0])[i * s[0]] * ((double *)(void *)p[1])[i * s[1]];
        double sum = t->sum + v; /* Neumaier: what rounding drops is added at the end */
        t->lost += fabs(t->sum) >= fabs(v) ? (t->sum - sum) + v : (v - sum) + t->sum;
        t->sum = sum;
        t->squares += v * v;
    }
}

double gr__check_dot(const gr_tensor *a, const gr_tensor *b, double *norm)
{
    total t = { .type = (gr_type)a->dtype };
    gr__strided(2, (const gr_tensor *[]){ a, b }, dot_run, &t);
    if (norm) *norm = sqrt(t.squares);
    return isfinite(t.sum) ? t.sum + t.lost : t.sum;
}

/* ---- values ----------------------------------------------------------------------------------------------------*/
bool gr__check_graph(gr_check *k, gr_tensor **y, gr_tensor **g)
{
    k->report->evaluations++;
    *y = k->fn(k->x, k->user);
    if (!gr__ready(*y) || !gr_is_float(*y)) {
        if (k->c->code == GR_OK) gr_fail(k->c, GR_EVALUE, "gr_gradcheck: the function returned %s. Fix: return a float tensor",
                                         *y ? gr_dtype_name((gr_type)(*y)->dtype) : "NULL");
        return false;
    }
    for (int t = 0; t < k->num_targets; t++) g[t] = NULL;
    if (k->order == 1 || !gr_needs_grad(*y)) return true;
    return gr_grads(*y, k->target, k->num_targets, g, .grad = gr__check_weights(*y, 1), .create_graph = true, .allow_unused = true);
}

/* How far rounding may move one value, or a sum of terms that it moves one by one. */
static double rounding(const gr_tensor *t, double size) { return 2 * (t->dtype == GR_F32 ? 0x1p-24 : 0x1p-53) * size; }

static bool full_values(const gr_check *k, gr_tensor *y, gr_tensor *const *g, double *out)
{
    if (k->order == 1) return gr_read(y, out);
    for (int64_t i = 0; i < k->m; i++) out[i] = 0;
    for (int t = 0; t < k->num_targets; t++)
        if (g[t] && !gr_read(g[t], out + k->first[t])) return false;
    return true;
}

/* Terms of g may cancel that are as large as L / x, or as 1: the sum of a softmax is such a one. */
static void full_noise(gr_check *k, gr_tensor *y, const double *out, double norm)
{
    for (int64_t i = 0; i < k->m; i++) k->natural[i] = k->noise[i] = rounding(y, fabs(out[i]));
    for (int t = 0; k->order == 2 && t < k->num_targets; t++)
        for (int64_t e = 0; e < k->target[t]->numel; e++) {
            double scale = gr__difference_scale(((const double *)(const void *)k->target[t]->data)[e]);
            k->natural[k->first[t] + e] = fmax(k->noise[k->first[t] + e], rounding(y, fmax(norm, 1) / scale));
        }
}

bool gr__check_values(gr_check *k, double *out, bool base)
{
    GR_SCOPE(k->c);
    gr_tensor *y, **g = gr__arena_alloc(gr__scope_now(k->c), (size_t)k->num_targets * sizeof *g), *r = NULL;
    gr_branches b = { 0 };
    gr_observer ear;
    const gr_observer *before = gr__branches_listen(k->c, &b, &ear);
    bool ran = g && gr__check_graph(k, &y, g);
    k->c->observer = before;
    k->branch = b.hash;
    if (base) k->base_branch = b.hash;
    if (!ran) return false;
    if (k->full && k->order == 1 && y->numel != k->m) {
        gr_fail(k->c, GR_EGRAPH, "gr_gradcheck: the function gave %lld numbers, and now %lld. Fix: make its shape depend on shapes alone",
                (long long)k->m, (long long)y->numel);
        return false;
    }
    double sum = 0, norm = 0, squares = 0;
    if ((base || !k->full) && !(r = gr__check_weights(y, 1))) return false;
    if (r) sum = gr__check_dot(y, r, &norm);
    if (k->full) {
        if (!full_values(k, y, g, out)) return false;
        if (base) full_noise(k, y, out, norm);
        return true;
    }
    for (int t = 0; t < k->num_targets && k->order == 2; t++) {
        if (t == 0) sum = 0;
        gr_tensor *s = g[t] ? gr__check_weights(g[t], 2 + (uint64_t)t) : NULL;
        if (!g[t]) continue;
        double part = 0;
        if (!s) return false;
        sum += gr__check_dot(g[t], s, &part);
        squares += part * part;
    }
    out[0] = sum;
    if (base) k->natural[0] = rounding(y, norm), k->noise[0] = rounding(y, k->order == 1 ? norm : sqrt(squares));
    return true;
}

/* ---- gradients -------------------------------------------------------------------------------------------------*/
/* out += d<from, v>/dx for all elements in a row */
static bool add_gradient(gr_check *k, gr_tensor *from, gr_tensor *v, double *out)
{
    GR_SCOPE(k->c);
    gr_tensor **g = gr__arena_alloc(gr__scope_now(k->c), (size_t)k->num_targets * sizeof *g);
    double *part = gr__check_doubles(k->c, k->first[k->num_targets]);
    if (!g || !part || !v) return false;
    if (!gr_needs_grad(from)) return true;
    if (!gr_grads(from, k->target, k->num_targets, g, .grad = v, .retain_graph = true, .allow_unused = true)) return false;
    for (int t = 0; t < k->num_targets; t++) {
        if (!g[t]) continue;
        if (!gr_read(g[t], part)) return false;
        for (int64_t e = 0; e < g[t]->numel; e++) out[k->first[t] + e] += part[e];
    }
    return true;
}

bool gr__check_sums(gr_check *k, double *out)
{
    GR_SCOPE(k->c);
    gr_tensor *y, **g = gr__arena_alloc(gr__scope_now(k->c), (size_t)k->num_targets * sizeof *g);
    memset(out, 0, (size_t)k->first[k->num_targets] * sizeof *out);
    if (!g || !gr__check_graph(k, &y, g)) return false;
    if (k->order == 1) return add_gradient(k, y, gr__check_weights(y, 1), out);
    for (int t = 0; t < k->num_targets; t++)
        if (g[t] && !add_gradient(k, g[t], gr__check_weights(g[t], 2 + (uint64_t)t), out)) return false;
    return true;
}

/* out [m, elements]: one sweep for each value */
static bool jacobian(gr_check *k, double *out)
{
    GR_SCOPE(k->c);
    int64_t n = k->first[k->num_targets], row = 0;
    gr_tensor *y, **g = gr__arena_alloc(gr__scope_now(k->c), (size_t)k->num_targets * sizeof *g);
    memset(out, 0, (size_t)(k->m * n) * sizeof *out);
    if (!g || !gr__check_graph(k, &y, g)) return false;
    for (int t = 0; t < (k->order == 1 ? 1 : k->num_targets); t++) {
        gr_tensor *from = k->order == 1 ? y : g[t];
        if (!from) {
            row = k->first[t + 1];
            continue;
        }
        gr_tensor *one = gr_zeros_like(from);
        if (!one) return false;
        for (int64_t i = 0; i < from->numel; i++, row++) {
            char *at = one->data + (size_t)i * gr__type_size((gr_type)one->dtype);
            if (one->dtype == GR_F32) *(float *)(void *)at = 1;
            else *(double *)(void *)at = 1;
            if (!add_gradient(k, from, one, out + row * n)) return false;
            memset(at, 0, gr__type_size((gr_type)one->dtype));
        }
    }
    return true;
}

/* ---- verdicts --------------------------------------------------------------------------------------------------*/
static gr_verdict verdict(const gr_check *k, int64_t i, double a, const gr_slope *s, double x, double largest)
{
    double d = fabs(a - s->value), u = s->error, size = fmax(fabs(a), fabs(s->value)), tol = fmax(k->rtol * fabs(s->value), SAFETY * u);
    if (!isfinite(k->base[i]) || !isfinite(a)) return GR_CHECK_NAN;
    if (s->kind == GR_JUMP || isnan(s->value)) return GR_CHECK_INCONCLUSIVE;
    if (s->kind == GR_KINK) {
        double low = fmin(s->left, s->right), high = fmax(s->left, s->right), slack = 1e-3 * (high - low);
        return a >= low - slack && a <= high + slack ? GR_CHECK_KINK : d <= tol ? GR_CHECK_INCONCLUSIVE : GR_CHECK_FAIL;
    }
    double rounded = k->natural[i] / gr__difference_scale(x); /* what 1 ulp of the terms may give */
    if (size <= SUBNORMAL || size <= 256 * rounded || (s->value == 0 && size <= 0x1p-49)) return GR_CHECK_PASS;
    bool zero = size <= 1024 * rounded;
    if (d <= tol) return zero || u <= k->rtol * fmax(fmax(size, largest), s->around) ? GR_CHECK_PASS : GR_CHECK_INCONCLUSIVE;
    if (zero && d <= 3 * tol) return GR_CHECK_PASS;
    return u > k->rtol * fabs(s->value) && d <= 3 * tol ? GR_CHECK_INCONCLUSIVE : GR_CHECK_FAIL;
}

static const char *reason(const gr_check *k, int64_t i, double a, const gr_slope *s, gr_verdict v)
{
    if (v == GR_CHECK_NAN) return !isfinite(k->base[i]) ? "the value is not finite" : isnan(a) ? "the gradient is NaN" : "the gradient is infinite";
    if (v != GR_CHECK_INCONCLUSIVE) return "";
    if (s->kind == GR_JUMP) return "the function jumps here, or its slope has no bound";
    if (isnan(s->value)) return "no step to both sides stays where the function is finite: this is the edge of its domain";
    if (fabs(k->base[i]) > 1e6 * fabs(s->value)) return "rounding of so large a value hides so small a derivative: leave the constant part out, or scale x";
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
    e.verdict = verdict(k, output, a, s, e.x, largest);
    e.reason = reason(k, output, a, s, e.verdict);
    double size = fmax(fabs(a), fabs(s->value)), d = fabs(a - s->value);
    bool noise = size <= 1024 * k->natural[output] / gr__difference_scale(e.x) || (s->value == 0 && size <= 0x1p-49);
    e.error = d == 0 || e.verdict == GR_CHECK_KINK ? 0 : d / size;
    if (e.verdict == GR_CHECK_PASS) e.error = noise ? 0 : d / fmax(fmax(size, largest), s->around);
    r->checked++;
    r->count[e.verdict]++;
    if (e.verdict == GR_CHECK_KINK) k->kink[element] = true;
    if (e.verdict == GR_CHECK_PASS) r->largest_error = fmax(r->largest_error, e.error);
    if (e.verdict > r->verdict) r->verdict = e.verdict;
    keep_worst(r, &e);
}

/* One column of differences for each element, then the verdicts; order 2 leaves elements with a kink alone. */
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
                if (one->kind != GR_SMOOTH && k->order == 1 && !k->bend.place) k->bend = p, k->bend_element = first + e;
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
    if (k->report->verdict == GR_CHECK_FAIL) gr__check_diagnose(k, k->m, a, d);
    return k->order == 2 || !k->bend.place || gr__branches_name(k, gr__difference_border(k->bend.x));
}

static bool run(gr_check *k, int order)
{
    GR_SCOPE(k->c);
    int64_t n = k->first[k->num_targets], outputs;
    k->order = order;
    {
        GR_SCOPE(k->c);
        gr_tensor *y = k->fn(k->x, k->user);
        k->report->evaluations++;
        if (!gr__ready(y)) return false;
        outputs = order == 1 ? y->numel : n;
        k->y_shape = gr_dims_like(y);
        k->full = !k->fast && outputs * n <= GR_CHECK_FULL;
        k->unit = rounding(y, 1);
        if (y->dtype == GR_F32 && k->rtol < F32_RTOL) k->rtol = F32_RTOL;
    }
    k->m = k->full ? outputs : 1;
    k->base = gr__check_doubles(k->c, k->m);
    k->noise = gr__check_doubles(k->c, k->m);
    k->natural = gr__check_doubles(k->c, k->m);
    double *a = gr__check_doubles(k->c, k->m * n);
    if (!k->base || !k->noise || !k->natural || !a || !gr__check_values(k, k->base, true)) return false;
    if (!gr__difference_noise(k)) return false;
    if (k->fast) return gr__check_fast(k);
    return (k->full ? jacobian(k, a) : gr__check_sums(k, a)) &&
           compare(k, a);
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
    return k->kink && k->c->code == GR_OK;
}

static bool finish(gr_check *k, bool ran)
{
    gr_gradcheck_report *r = k->report;
    if (!ran && r->verdict < GR_CHECK_FAIL) r->verdict = GR_CHECK_ERROR;
    if (!ran && k->c->code != GR_OK) gr__check_say(k, GR_CHECK_ERROR, "%.400s", k->c->message);
    r->passed = r->verdict <= GR_CHECK_KINK;
    for (int i = 0; i < r->num_worst; i++) {
        gr_gradcheck_element *e = &r->worst[i];
        gr__check_place(k->x[e->input], "x", e->input, e->element, e->name, sizeof e->name);
        int t = 0;
        while (e->order == 2 && e->output >= 0 && e->output >= k->first[t + 1]) t++;
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
    gr_check k = { .c = c, .given = x, .fn = fn, .user = user, .n = n, .rtol = o.rtol > 0 ? o.rtol : 1e-7, .report = report, .order = 1, .fast = o.fast };
    report->verdict = GR_CHECK_PASS;
    bool ran = prepare(&k, x) && gr__check_contract(&k);
    for (int order = 1; ran && order <= (o.order ? o.order : 2) && order <= 2 && report->verdict <= GR_CHECK_KINK; order++)
        ran = run(&k, order);
    if (ran && !k.num_targets)
        gr__check_say(&k, GR_CHECK_INCONCLUSIVE, "no input needs a gradient, so nothing was checked: mark what is to be checked with gr_requires_grad");
    if (k.x) finish(&k, ran);
    else report->verdict = GR_CHECK_ERROR;
    c->seed = seed;
    c->drawn = drawn;
    return report->passed;
}
