/* Gradients against differences: extrapolated central differences of a scalar made from fn, element by element, in f64.
 *
 *   L(x) = sum(r * fn(x)), r fixed random weights;  order 1 compares dL/dx, order 2 the same for G(x) = sum(s * dL/dx)
 *
 * Steps are powers of two relative to x, so x + h is exact; two levels of Richardson extrapolation leave an error of
 * order h^6, and the level whose neighbour agrees best is taken.
 * Source: Ridders, Accurate computation of F'(x) and F'(x) F''(x), Adv. Eng. Software 4 (1982).
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"
#include "ops/ops.h" /* the weighted sum and its conversion to f64 are differentiated themselves */

#include <math.h>
#include <string.h>

#define LEVELS 6

typedef struct check {
    gr_ctx *c;
    gr_fn fn;
    void *user;
    int n;
    gr_tensor **x;   /* f64 copies; the check moves them */
    gr_tensor *const *original;
    uint64_t seed;
    double rtol;
    gr_gradcheck_report *report;
} check;

/* sum(r * t), r from the seed alone */
static gr_tensor *weighted(gr_tensor *t, uint64_t seed)
{
    if (!gr__ready(t)) return NULL;
    gr_ctx *c = t->ctx;
    uint64_t keep_seed = c->seed, keep_drawn = c->drawn;
    gr_seed(c, seed);
    gr_tensor *r = gr_rand(c, gr_dims_like(t), .dtype = GR_F64);
    c->seed = keep_seed;
    c->drawn = keep_drawn;
    return gr_sum(gr_mul(gr_astype(t, GR_F64), gr_add(r, 0.5)));
}

/* The function that differences are taken of, and its gradient by the graph. */
static gr_tensor *value(const check *k, int order)
{
    gr_tensor *loss = weighted(k->fn(k->x, k->user), k->seed);
    if (order == 1 || !loss) return loss;
    gr_tensor *total = NULL;
    for (int i = 0; i < k->n; i++) {
        if (!gr_is_float(k->x[i]) || !gr_needs_grad(k->x[i])) continue;
        gr_tensor *g = NULL;
        if (!gr_grads(loss, &k->x[i], 1, &g, .create_graph = true, .zero_unused = true)) return NULL;
        gr_tensor *part = weighted(g, k->seed + 1 + (uint64_t)i);
        total = total ? gr_add(total, part) : part;
    }
    return total;
}

static double at(const check *k, int order, double *place, double v)
{
    GR_SCOPE(k->c);
    *place = v;
    return gr_item(value(k, order));
}

static double difference(const check *k, int order, double *place)
{
    double x = *place, scale = exp2(round(log2(fmax(fabs(x), 0.125)))), table[LEVELS][3], best = NAN, error = INFINITY;
    for (int i = 0; i < LEVELS; i++) {
        double h = scale * ldexp(1, -4 - i);
        table[i][0] = (at(k, order, place, x + h) - at(k, order, place, x - h)) / (2 * h);
        for (int j = 1; j < 3 && j <= i; j++)
            table[i][j] = table[i][j - 1] + (table[i][j - 1] - table[i - 1][j - 1]) / (ldexp(1, 2 * j) - 1);
        int last = i < 2 ? i : 2;
        double e = i ? fmax(fabs(table[i][last] - table[i - 1][last ? last - 1 : 0]), fabs(table[i][last] - table[i][last - 1])) : INFINITY;
        if (e < error || isnan(best)) error = e, best = table[i][last];
    }
    *place = x;
    return best;
}

static bool compare(check *k, int order)
{
    GR_SCOPE(k->c);
    gr_ctx *c = k->c;
    for (int i = 0; i < k->n; i++) {
        gr_tensor *x = k->x[i];
        if (!gr_is_float(x) || !gr_needs_grad(x)) continue;
        GR_SCOPE(c);
        gr_tensor *g = NULL, *y = value(k, order);
        if (y && !gr_grads(y, &x, 1, &g, .zero_unused = true)) return false;
        if (!y && order == 2 && !gr_failed(c)) return true;
        gr_tensor *analytic = gr_contiguous(g);
        if (!analytic) return false;
        gr_tensor *numeric = gr_zeros_like(analytic);
        if (!numeric) return false;
        const double *a = gr_data(analytic);
        double *d = gr_data(numeric), largest = 0;
        for (int64_t e = 0; e < x->numel; e++) {
            d[e] = difference(k, order, (double *)(void *)x->data + e);
            if (gr_failed(c)) return false;
            largest = fmax(largest, fmax(fabs(a[e]), fabs(d[e])));
        }
        for (int64_t e = 0; e < x->numel; e++) {
            double error = fabs(a[e] - d[e]) / fmax(largest, 1e-6);
            k->report->checked++;
            if (error <= k->report->error && !isnan(error)) continue;
            bool passed = error <= k->rtol;
            gr_gradcheck_report r = { k->report->passed && passed, order, i, e, a[e], d[e], error, k->report->checked };
            if (k->report->passed || !passed) *k->report = r;
        }
    }
    return true;
}

bool gr_gradcheck_with(gr_fn fn, void *user, gr_tensor *const *x, int n, gr_gradcheck_report *report, gr_gradcheck_opts o)
{
    gr_gradcheck_report local;
    if (!report) report = &local;
    *report = (gr_gradcheck_report){ .passed = true, .error = -1 };
    gr_ctx *c = n > 0 && x[0] ? x[0]->ctx : NULL;
    if (!c || gr_failed(c)) return false;
    GR_SCOPE(c);
    check k = { .c = c, .fn = fn, .user = user, .n = n, .seed = 20, .rtol = o.rtol > 0 ? o.rtol : 1e-7, .report = report };
    k.x = gr__arena_alloc(gr__scope_now(c), (size_t)n * sizeof *k.x);
    if (!k.x) return false;
    for (int i = 0; i < n; i++) {
        k.x[i] = x[i];
        if (!gr_is_float(x[i]) || gr_is_number(x[i]) || !gr_needs_grad(x[i])) continue;
        gr_tensor *copy = gr_zeros(c, gr_dims_like(x[i]), .dtype = GR_F64);
        if (!copy || !gr_copy_to(copy, x[i])) return false;
        if (x[i]->name) gr_name(copy, x[i]->name);
        k.x[i] = gr_requires_grad(copy);
    }
    int order = o.order ? o.order : 2;
    for (int i = 1; i <= order && i <= 2; i++)
        if (!compare(&k, i)) return report->passed = false;
    if (report->error < 0) report->error = 0;
    return report->passed;
}
