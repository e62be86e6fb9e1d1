/* Gradients against differences: extrapolated central differences of a scalar made from fn, element by element, in f64.
 *
 *   L(x) = <r, fn(x)>, r fixed random weights;  order 1 compares dL/dx, order 2 the same for G(x) = <s, dL/dx>
 *
 * Steps are powers of two relative to x, so x + h is exact; two levels of Richardson extrapolation leave an error of
 * order h^6, and the level whose neighbour agrees best is taken.
 * Source: Ridders, Accurate computation of F'(x) and F'(x) F''(x), Adv. Eng. Software 4 (1982).
 * Knows no operation: it sums by hand.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"

#include <math.h>

#define LEVELS 6
#define FIRST_STEP -4 /* log2 of the first step relative to x */

typedef struct check {
    gr_ctx *c;
    gr_fn fn;
    void *user;
    int n;
    gr_tensor **x; /* f64 copies of what is checked; the check moves them */
    double rtol;
    gr_gradcheck_report *report;
} check;

static bool checked(const gr_tensor *x) { return gr_is_float(x) && gr_needs_grad(x); }

/* Weights in [0.5, 1.5) of the shape and dtype of t, the same for the same number. */
static gr_tensor *weights(gr_tensor *t, uint64_t number)
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
    double sum;
} total;

static void dot_run(int64_t n, char *const *p, const int64_t *s, void *user)
{
    total *t = user;
    for (int64_t i = 0; i < n; i++)
        t->sum += t->type == GR_F32 ? (double)((float *)(void *)p[0])[i * s[0]] * (double)((float *)(void *)p[1])[i * s[1]]
                                    : ((double *)(void *)p[0])[i * s[0]] * ((double *)(void *)p[1])[i * s[1]];
}

static double dot(const gr_tensor *a, const gr_tensor *b)
{
    total t = { .type = (gr_type)a->dtype };
    gr__strided(2, (const gr_tensor *[]){ a, b }, dot_run, &t);
    return t.sum;
}

/* What order 2 differentiates: dL/dx_j, recorded, with its weights; NULL where L does not depend on x_j. */
static gr_tensor *gradient(const check *k, gr_tensor *y, int j, gr_tensor **s)
{
    gr_tensor *g = NULL;
    if (!checked(k->x[j]) || !gr_needs_grad(y)) return NULL;
    if (!gr_grads(y, &k->x[j], 1, &g, .grad = weights(y, 1), .create_graph = true, .allow_unused = true) || !g) return NULL;
    *s = weights(g, 2 + (uint64_t)j);
    return *s ? g : NULL;
}

static double value(const check *k, int order)
{
    gr_tensor *y = k->fn(k->x, k->user), *s;
    if (!gr__ready(y)) return (double)NAN;
    if (order == 1) {
        s = weights(y, 1);
        return s ? dot(y, s) : (double)NAN;
    }
    double sum = 0;
    for (int j = 0; j < k->n; j++) {
        gr_tensor *g = gradient(k, y, j, &s);
        if (g) sum += dot(g, s);
    }
    return sum;
}

/* The same derivative by the graph, added up in out. */
static bool analytic(const check *k, int order, gr_tensor *x, double *out)
{
    gr_tensor *y = k->fn(k->x, k->user), *g = NULL, *s;
    for (int64_t e = 0; e < x->numel; e++) out[e] = 0;
    if (!gr__ready(y)) return false;
    if (order == 1) {
        if (!gr_needs_grad(y)) return true;
        return gr_grads(y, &x, 1, &g, .grad = weights(y, 1), .zero_unused = true) && gr_read(g, out);
    }
    gr_tensor *part = gr_zeros_like(x);
    for (int j = 0; part && j < k->n; j++) {
        gr_tensor *first = gradient(k, y, j, &s);
        if (!first || !gr_needs_grad(first)) continue;
        if (!gr_grads(first, &x, 1, &g, .grad = s, .retain_graph = true, .zero_unused = true)) return false;
        if (!gr_read(g, (double *)(void *)part->data)) return false;
        for (int64_t e = 0; e < x->numel; e++) out[e] += ((double *)(void *)part->data)[e];
    }
    return k->c->code == GR_OK;
}

static double at(const check *k, int order, double *place, double v)
{
    GR_SCOPE(k->c);
    *place = v;
    return value(k, order);
}

static double difference(const check *k, int order, double *place)
{
    double x = *place, scale = exp2(round(log2(fmax(fabs(x), 0.125)))), table[LEVELS][3], best = (double)NAN, error = INFINITY;
    for (int i = 0; i < LEVELS; i++) {
        double h = scale * ldexp(1, FIRST_STEP - i);
        table[i][0] = (at(k, order, place, x + h) - at(k, order, place, x - h)) / (2 * h);
        for (int j = 1; j < 3 && j <= i; j++)
            table[i][j] = table[i][j - 1] + (table[i][j - 1] - table[i - 1][j - 1]) / (ldexp(1, 2 * j) - 1);
        if (i == 0) {
            best = table[0][0];
            continue;
        }
        int last = i < 2 ? i : 2;
        double e = fmax(fabs(table[i][last] - table[i - 1][last - 1]), fabs(table[i][last] - table[i][last - 1]));
        if (e < error) error = e, best = table[i][last];
    }
    *place = x;
    return best;
}

static void judge(const check *k, int order, int input, int64_t n, const double *a, const double *d)
{
    gr_gradcheck_report *r = k->report;
    double largest = 1e-6;
    for (int64_t e = 0; e < n; e++) largest = fmax(largest, fmax(fabs(a[e]), fabs(d[e])));
    for (int64_t e = 0; e < n; e++) {
        double error = fabs(a[e] - d[e]) / largest;
        r->checked++;
        if (error <= r->error || (!r->passed && error <= k->rtol)) continue;
        *r = (gr_gradcheck_report){ r->passed && error <= k->rtol, order, input, e, a[e], d[e], error, r->checked };
    }
}

static bool compare(check *k, int order)
{
    for (int i = 0; i < k->n; i++) {
        gr_tensor *x = k->x[i];
        if (!checked(x)) continue;
        GR_SCOPE(k->c);
        gr_tensor *a = gr_zeros_like(x), *d = gr_zeros_like(x);
        if (!a || !d || !analytic(k, order, x, (double *)(void *)a->data)) return false;
        for (int64_t e = 0; e < x->numel; e++) {
            ((double *)(void *)d->data)[e] = difference(k, order, (double *)(void *)x->data + e);
            if (k->c->code != GR_OK) return false;
        }
        judge(k, order, i, x->numel, (double *)(void *)a->data, (double *)(void *)d->data);
    }
    return true;
}

bool gr_gradcheck_with(gr_fn fn, void *user, gr_tensor *const *x, int n, gr_gradcheck_report *report, gr_gradcheck_opts o)
{
    gr_gradcheck_report local;
    if (!report) report = &local;
    *report = (gr_gradcheck_report){ .passed = false, .error = -1 };
    gr_ctx *c = n > 0 && x[0] ? x[0]->ctx : NULL;
    if (!c || gr_failed(c)) return false;
    GR_SCOPE(c);
    check k = { .c = c, .fn = fn, .user = user, .n = n, .rtol = o.rtol > 0 ? o.rtol : 1e-7, .report = report };
    k.x = gr__arena_alloc(gr__scope_now(c), (size_t)n * sizeof *k.x);
    if (!k.x) return false;
    for (int i = 0; i < n; i++) {
        k.x[i] = x[i];
        if (!x[i] || !checked(x[i])) continue;
        gr_tensor *copy = gr_zeros(c, gr_dims_like(x[i]), .dtype = GR_F64);
        if (!copy || !gr_copy_to(copy, x[i])) return false;
        if (x[i]->name) gr_name(copy, x[i]->name);
        k.x[i] = gr_requires_grad(copy);
    }
    report->passed = true;
    for (int order = 1; order <= (o.order ? o.order : 2) && order <= 2; order++)
        if (!compare(&k, order)) return report->passed = false;
    if (report->error < 0) report->error = 0;
    return report->passed;
}
