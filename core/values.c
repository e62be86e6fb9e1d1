/* The function under test as numbers: its values at x, or the gradient that is a value of the next order, and their derivatives
 * by sweeps. Sums are by hand: knows no operation.
 * SPDX-License-Identifier: MIT */
#include "core/check.h"

#include <math.h>
#include <string.h>

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
gr_tensor *gr__check_call(gr_check *k, gr_tensor **x)
{
    if (k->reseed) k->c->seed = k->seed, k->c->drawn = k->drawn;
    k->report->evaluations++;
    return k->fn(x, k->user);
}

bool gr__check_graph(gr_check *k, gr_tensor **y, gr_tensor **g)
{
    *y = gr__check_call(k, k->x);
    if (!gr__ready(*y) || !gr_is_float(*y)) {
        if (k->c->code == GR_OK) gr_fail(k->c, GR_EVALUE, "gr_gradcheck: the function returned %s. Fix: return a float tensor",
                                         *y ? gr_dtype_name((gr_type)(*y)->dtype) : "NULL");
        return false;
    }
    gr_tensor *root = *y; /* L_1 = <r, y>, then L_j = <s, dL_{j-1} / dx_via> */
    for (int level = 1; level == 1 || level < k->order; level++) {
        bool any = level < k->order && gr_needs_grad(root);
        gr_tensor *r = any ? gr__check_weights(root, level == 1 ? 1 : 100 * (uint64_t)level) : NULL;
        if (any && !gr_grads(root, k->target, k->num_targets, g, .grad = r, .create_graph = true, .allow_unused = true)) return false;
        for (int t = 0; t < k->num_targets && !any; t++) g[t] = NULL;
        root = k->num_targets ? g[k->via] : NULL;
    }
    return true;
}

double gr__check_rounding(const gr_tensor *t, double size) { return 2 * (t->dtype == GR_F32 ? 0x1p-24 : 0x1p-53) * size; }

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
    for (int64_t i = 0; i < k->m; i++) k->natural[i] = k->noise[i] = gr__check_rounding(y, fabs(out[i]));
    for (int t = 0; k->order > 1 && t < k->num_targets; t++)
        for (int64_t e = 0; e < k->target[t]->numel; e++) {
            double scale = gr__difference_scale(((const double *)(const void *)k->target[t]->data)[e]);
            k->natural[k->first[t] + e] = fmax(k->noise[k->first[t] + e], gr__check_rounding(y, fmax(norm, 1) / scale));
        }
}

bool gr__check_values(gr_check *k, double *out, bool base)
{
    GR_SCOPE(k->c);
    gr_tensor *y, **g = gr__arena_alloc(gr__scope_now(k->c), (size_t)k->num_targets * sizeof *g), *r = NULL;
    gr_branches b = { .shake = k->shake };
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
    for (int t = 0; t < k->num_targets && k->order > 1; t++) {
        if (t == 0) sum = 0;
        gr_tensor *s = g[t] ? gr__check_weights(g[t], 2 + (uint64_t)t) : NULL;
        if (!g[t]) continue;
        double part = 0;
        if (!s) return false;
        sum += gr__check_dot(g[t], s, &part);
        squares += part * part;
    }
    out[0] = sum;
    if (base) k->natural[0] = gr__check_rounding(y, norm), k->noise[0] = gr__check_rounding(y, k->order == 1 ? norm : sqrt(squares));
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

/* of the values times their weights of these numbers */
static bool sums(gr_check *k, uint64_t number, double *out)
{
    GR_SCOPE(k->c);
    gr_tensor *y, **g = gr__arena_alloc(gr__scope_now(k->c), (size_t)k->num_targets * sizeof *g);
    memset(out, 0, (size_t)k->first[k->num_targets] * sizeof *out);
    if (!g || !gr__check_graph(k, &y, g)) return false;
    if (k->order == 1) return add_gradient(k, y, gr__check_weights(y, 1), out);
    for (int t = 0; t < k->num_targets; t++)
        if (g[t] && !add_gradient(k, g[t], gr__check_weights(g[t], number + (uint64_t)t), out)) return false;
    return true;
}

bool gr__check_sums(gr_check *k, double *out) { return sums(k, 2, out); }

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

bool gr__check_gradient(gr_check *k, double *out) { return k->full ? jacobian(k, out) : gr__check_sums(k, out); }

/* ---- symmetry --------------------------------------------------------------------------------------------------*/
#define CLOSE 1e-9 /* relative to the terms: both sides round */
#define TINY 1e-14
#define RUNS 4
#define SAFETY 16

/* <v, H u> - <u, H v>, where H is the derivative of a gradient; *size: of the terms. shake: as rounding might have left it. */
static bool asymmetry(gr_check *k, const double *from, uint64_t shake, double side[2], double *size, uint64_t *piece)
{
    GR_SCOPE(k->c);
    int64_t n = k->first[k->num_targets];
    double *hu = gr__check_doubles(k->c, 2 * n), *hv = hu + n, *part = gr__check_doubles(k->c, n);
    gr_branches heard = { .shake = shake };
    gr_observer ear;
    if (!hu || !part) return false;
    const gr_observer *before = gr__branches_listen(k->c, &heard, &ear);
    gr__noise_inputs(k, from, 0x1p-52, shake);
    bool ok = sums(k, 2, hu) && sums(k, 1002, hv);
    gr__noise_inputs(k, from, 0, 0);
    k->c->observer = before;
    *piece = heard.hash;
    side[0] = side[1] = *size = 0;
    for (int s = 0; ok && s < 2; s++)
        for (int t = 0; t < k->num_targets; t++) {
            gr_tensor *w = gr__check_weights(k->target[t], (s ? 2 : 1002) + (uint64_t)t);
            if (!w || !gr_read(w, part)) return false;
            for (int64_t e = 0; e < w->numel; e++) {
                double v = part[e] * (s ? hv : hu)[k->first[t] + e];
                side[s] += v;
                *size += fabs(v);
            }
        }
    return ok;
}

/* No step, so far sharper than differences, where rounding does not move it. */
bool gr__check_symmetric(gr_check *k)
{
    GR_SCOPE(k->c);
    double *from = gr__check_doubles(k->c, k->first[k->num_targets]), side[2], size, moved[2], ignored, far = 0;
    uint64_t piece, other;
    for (int t = 0; from && t < k->num_targets; t++)
        if (!gr_read(k->target[t], from + k->first[t])) return false;
    if (!from || !asymmetry(k, from, 0, side, &size, &piece)) return false;
    if (!(fabs(side[0] - side[1]) > CLOSE * size + TINY)) return true;
    for (uint64_t run = 1; run <= RUNS; run++) {
        if (!asymmetry(k, from, run, moved, &ignored, &other)) return false;
        if (other == piece && isfinite(moved[0] - moved[1])) far = fmax(far, fmax(fabs(moved[0] - side[0]), fabs(moved[1] - side[1])));
    }
    if (fabs(side[0] - side[1]) <= SAFETY * far) return true;
    gr__check_say(k, GR_CHECK_FAIL, "the derivatives of order %d are not symmetric: <v, H u> is %.12g, <u, H v> is %.12g: what a vjp gives is not the derivative of one function",
                  k->order, side[0], side[1]);
    return true;
}
