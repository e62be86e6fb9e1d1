/* Derivatives by differences: central ones, extrapolated, with an estimate of their error, and a look at both sides.
 *
 *   D(h) = (f(x + h) - f(x - h)) / 2h = f' + c2 h^2 + c4 h^4 + ...
 *   T[i][0] = D(h / 2^i),   T[i][j] = T[i][j-1] + (T[i][j-1] - T[i-1][j-1]) / (4^j - 1)
 *
 * The entry whose neighbours agree best is taken; their distance, and what rounding of f does to it, is its error.
 * Source: Ridders, Accurate computation of F'(x) and F'(x) F''(x), Adv. Eng. Software 4 (1982).
 *
 *   J(h) = |(f(x + h) - f(x)) / h - (f(x) - f(x - h)) / h|   halves with h where f is smooth, stays at a kink, grows at a jump
 *
 * A first look is taken at the scale of x; where that does not settle it, at two smaller ones.
 * Knows no gradient.
 * SPDX-License-Identifier: MIT */
#include "core/check.h"

#include <math.h>

#define LEVELS 8
#define COLUMNS 4
#define FIRST_STEP -4 /* log2 of the first step relative to the scale */
#define SHRINK 24     /* how often a step is quartered to stay where f is finite */
#define LOOKS 3

double gr__difference_scale(double x) { return exp2(round(log2(fmax(fabs(x), 0.125)))); }

/* Values at t along the path; not finite where f is not, or refuses the value. */
bool gr__difference_at(gr_check *k, gr_path *p, double t, double *out, bool *finite)
{
    if (p->place) *p->place = p->x + t;
    else
        for (int i = 0; i < k->num_targets; i++) {
            double *x = (double *)(void *)k->target[i]->data;
            int64_t first = k->first[i];
            for (int64_t e = 0; e < k->target[i]->numel; e++)
                x[e] = p->from[first + e] + (t == 0 ? 0 : t * p->direction[first + e]);
        }
    bool ok = gr__check_values(k, out, false);
    if (!ok && k->c->code != GR_EVALUE) return false;
    if (!ok) gr_clear_error(k->c);
    *finite = ok;
    for (int64_t i = 0; ok && i < k->m; i++) *finite = *finite && (isfinite(out[i]) || !isfinite(k->base[i]));
    return true;
}

typedef struct look {
    double *plus, *minus;        /* [m] */
    double *table;               /* [2][COLUMNS][m]: the last two rows of T */
    double *first_gap, *gap;     /* [m] J at the first step and now */
    double h, up, down;          /* the step, and how far x really moved */
    int level;
} look;

static bool both_sides(gr_check *k, gr_path *p, look *l, bool *finite)
{
    volatile double above = p->x + l->h, below = p->x - l->h; /* in memory: no more digits than x has */
    l->up = p->place ? above - p->x : l->h;
    l->down = p->place ? p->x - below : l->h;
    if (!gr__difference_at(k, p, l->h, l->plus, finite)) return false;
    return !*finite || gr__difference_at(k, p, -l->h, l->minus, finite);
}

/* The first step at which f is finite on both sides. */
static bool first_step(gr_check *k, gr_path *p, look *l, bool *finite)
{
    for (int i = 0; i < SHRINK; i++) {
        if (!both_sides(k, p, l, finite)) return false;
        if (*finite || l->up <= 0) return true;
        if (p->x != 0 && l->h > fabs(p->x) / 4) l->h = exp2(floor(log2(fabs(p->x))) - 3);
        else l->h /= 4;
    }
    return true;
}

static bool update(const gr_check *k, look *l, int64_t i, gr_slope *s)
{
    double *row = l->table + (l->level & 1) * COLUMNS * k->m + i, *before = l->table + !(l->level & 1) * COLUMNS * k->m + i;
    double right = (l->plus[i] - k->base[i]) / l->up, left = (k->base[i] - l->minus[i]) / l->down;
    double floor = 2 * k->noise[i] / l->h;
    row[0] = (l->plus[i] - l->minus[i]) / (l->up + l->down);
    l->gap[i] = fabs(right - left);
    if (l->level == 0) {
        l->first_gap[i] = l->gap[i];
        *s = (gr_slope){ row[0], INFINITY, left, right, fabs(row[0]), GR_SMOOTH };
        return false;
    }
    int last = l->level < COLUMNS ? l->level : COLUMNS - 1;
    for (int j = 1; j <= last; j++) {
        row[j * k->m] = row[(j - 1) * k->m] + (row[(j - 1) * k->m] - before[(j - 1) * k->m]) / (ldexp(1, 2 * j) - 1);
        double e = fmax(fabs(row[j * k->m] - row[(j - 1) * k->m]), fabs(row[j * k->m] - before[(j - 1) * k->m])) + floor;
        if (e < s->error) s->error = e, s->value = row[j * k->m];
    }
    s->left = left;
    s->right = right;
    return s->error <= fmax(0.05 * k->rtol * fabs(s->value), 2 * floor);
}

/* Smooth, kink or jump, from how J changed over the levels. */
static gr_slope_kind kind(const gr_check *k, const look *l, int64_t i, const gr_slope *s)
{
    bool clear = l->gap[i] > 1e-5 * fmax(fabs(s->left), fabs(s->right)) && l->gap[i] * l->h > 64 * k->noise[i];
    double ratio = l->gap[i] / l->first_gap[i];
    if (!clear || ratio < 0.5) return GR_SMOOTH;
    return ratio > exp2(0.3 * l->level) ? GR_JUMP : GR_KINK;
}

static bool look_at(gr_check *k, gr_path *p, double scale, look *l, gr_slope *out)
{
    bool finite = false, settled = false;
    l->h = ldexp(scale, FIRST_STEP);
    if (!first_step(k, p, l, &finite)) return false;
    for (int64_t i = 0; i < k->m; i++) out[i] = (gr_slope){ (double)NAN, INFINITY, (double)NAN, (double)NAN, 0, GR_SMOOTH };
    if (!finite) return true;
    for (l->level = 0; l->level < LEVELS; l->level++) {
        if (l->level) {
            l->h /= 2;
            if (!both_sides(k, p, l, &finite)) return false;
            if (!finite) return true;
        }
        settled = true;
        for (int64_t i = 0; i < k->m; i++) settled = update(k, l, i, &out[i]) && settled;
        if (settled && l->level >= 2) break;
    }
    if (l->level == LEVELS) l->level--;
    for (int64_t i = 0; i < k->m; i++) out[i].kind = kind(k, l, i, &out[i]);
    return true;
}

static bool settled(const gr_check *k, const gr_slope *s, int64_t i, double scale, double largest)
{
    if (!isfinite(k->base[i])) return true;
    if (s->kind != GR_SMOOTH || !isfinite(s->value)) return false;
    return s->error <= k->rtol * fmax(fabs(s->value), 1e-3 * largest) || fabs(s->value) + s->error <= 4096 * k->natural[i] / scale;
}

/* The closer look wins where it is clearer, or where the first saw no smooth function. */
static void merge(const gr_check *k, gr_slope *s, const gr_slope *closer, int64_t i, double scale)
{
    double around = fmax(s->around, closer->around);
    if (closer->kind != GR_SMOOTH) {
        if (s->kind != GR_SMOOTH || !settled(k, s, i, scale, 0)) *s = *closer;
    } else if (s->kind != GR_SMOOTH ? isfinite(closer->value) : closer->error < s->error) {
        *s = *closer;
    }
    s->around = around;
}

bool gr__difference(gr_check *k, gr_path *p, gr_slope *out)
{
    GR_SCOPE(k->c);
    int64_t m = k->m;
    double *room = gr__check_doubles(k->c, (4 + 2 * COLUMNS) * m);
    gr_slope *closer = gr__arena_alloc(gr__scope_now(k->c), (size_t)m * sizeof *closer);
    if (!room || !closer) return false;
    look l = { .plus = room, .minus = room + m, .first_gap = room + 2 * m, .gap = room + 3 * m, .table = room + 4 * m };
    double x = p->place ? p->x : 0, scale = p->place ? gr__difference_scale(x) : 1, near = exp2(floor(log2(fabs(x))));
    bool ok = look_at(k, p, scale, &l, out), small = x != 0 && near < scale / 4;
    for (int a = 1; ok && a < LOOKS; a++) {
        double largest = 0, here = small ? near * ldexp(1, 10 - 10 * a) : scale * ldexp(1, -10 * a);
        bool done = true;
        for (int64_t i = 0; i < m; i++)
            if (isfinite(out[i].value)) largest = fmax(largest, fabs(out[i].value));
        for (int64_t i = 0; i < m; i++) done = done && settled(k, &out[i], i, scale, largest);
        if (done) break;
        ok = look_at(k, p, here, &l, closer);
        for (int64_t i = 0; ok && i < m; i++)
            if (!settled(k, &out[i], i, scale, largest)) merge(k, &out[i], &closer[i], i, scale);
    }
    if (p->place) *p->place = p->x;
    return ok;
}
