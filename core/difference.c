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
 * A first look is taken at the scale of x; where that does not settle it, at smaller ones. Steps stay where f is finite and
 * where every operation decides as it does at x (branch.c); if only one side does, D(h) = (f(x + h) - f(x)) / h is taken,
 * which has all powers of h: 2^j - 1 for 4^j - 1.
 *
 * Knows no gradient.
 * SPDX-License-Identifier: MIT */
#include "core/check.h"

#include <math.h>

#define LEVELS 8
#define COLUMNS 4
#define FIRST_STEP -4 /* log2 of the first step relative to the scale */
#define SHRINK 24     /* how often a step is quartered to stay where f is finite */
#define BORDER -34    /* log2, relative to the scale, of how near a border x lies on it */
#define LOOKS 4

double gr__difference_border(double x) { return ldexp(gr__difference_scale(x), BORDER); }
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
    double border;               /* the step to what counts as the border of a piece */
    int level, side;             /* side: 0, or the sign of the only side that is looked at */
    int enough;                  /* levels in a row that have settled: along a direction, neighbours agree by luck more often */
    bool across;                 /* x lies on a border: steps may leave its piece */
} look;

/* Values to the sides of l. finite: f is; fine[]: and it lies above, or below, on the piece of x. */
static bool step(gr_check *k, gr_path *p, look *l, bool fine[2], bool *finite)
{
    volatile double above = p->x + l->h, below = p->x - l->h; /* in memory: no more digits than x has */
    double *out[2] = { l->plus, l->minus }, *moved[2] = { &l->up, &l->down };
    l->up = p->place ? above - p->x : l->h;
    l->down = p->place ? p->x - below : l->h;
    *finite = true;
    for (int s = 0; s < 2; s++) {
        bool there = true;
        if (l->side == (s ? 1 : -1)) {
            for (int64_t i = 0; i < k->m; i++) out[s][i] = k->base[i];
            *moved[s] = 0;
        } else if (!gr__difference_at(k, p, s ? -l->h : l->h, out[s], &there)) {
            return false;
        }
        fine[s] = there && (l->across || l->side == (s ? 1 : -1) || k->branch == k->base_branch);
        *finite = *finite && there;
    }
    return true;
}

/* The largest step at which a side lies on the piece of x. Where even the smallest one leaves it, to either side, x lies on
 * a border, whichever piece it counts to: both sides are looked at then. */
static bool within_piece(gr_check *k, gr_path *p, look *l, bool fine[2])
{
    double wide = l->h;
    bool finite, one = fine[0] || fine[1];
    int near = one || wide <= l->border ? 0 : ilogb(wide / l->border), far = 0; /* the step is wide / 2^near, and was too large at 2^far */
    l->h = fmin(wide, l->border);
    if (!step(k, p, l, fine, &finite)) return false;
    if (!fine[0] || !fine[1]) {
        l->across = true;
        l->h = wide;
        return step(k, p, l, fine, &finite);
    }
    while (near - far > 1) {
        int at = (near + far) / 2;
        l->h = ldexp(wide, -at);
        if (!step(k, p, l, fine, &finite)) return false;
        if (fine[0] || fine[1]) near = at;
        else far = at;
    }
    l->h = ldexp(wide, -near);
    return step(k, p, l, fine, &finite);
}

/* The first step: f is finite on both sides, or x is an edge of its domain; x lies on one piece with one side at least. */
static bool first_step(gr_check *k, gr_path *p, look *l, bool *found)
{
    double wide = l->h;
    bool fine[2], finite = false;
    for (int i = 0; i < SHRINK && !finite; i++) {
        if (i && p->x != 0 && l->h > fabs(p->x) / 4) l->h = exp2(floor(log2(fabs(p->x))) - 3);
        else if (i) l->h /= 4;
        if (!step(k, p, l, fine, &finite)) return false;
        if (l->up <= 0) break;
    }
    if (!finite) l->h = wide;
    if (!finite && !step(k, p, l, fine, &finite)) return false;
    if (finite && !(fine[0] && fine[1]) && !within_piece(k, p, l, fine)) return false;
    *found = fine[0] || fine[1];
    if (!*found || (fine[0] && fine[1])) return true;
    l->side = fine[0] ? 1 : -1;
    return step(k, p, l, fine, &finite);
}

static double noise_of(const gr_check *k, const look *l, int64_t i)
{
    return fmax(k->noise[i], k->unit * fmax(fabs(l->plus[i]), fabs(l->minus[i])));
}

static void tell(const gr_check *k, const look *l, int64_t i, double difference, const gr_slope *s)
{
    gr_gradcheck_report *r = k->report;
    if (i != k->told || r->num_steps == GR_CHECK_STEPS) return;
    r->steps[r->num_steps++] = (gr_gradcheck_step){ l->h, l->minus[i], l->plus[i], difference, s->value, s->error };
}

static bool update(const gr_check *k, look *l, int64_t i, gr_slope *s)
{
    double *row = l->table + (l->level & 1) * COLUMNS * k->m + i, *before = l->table + !(l->level & 1) * COLUMNS * k->m + i;
    double right = l->up > 0 ? (l->plus[i] - k->base[i]) / l->up : (double)NAN, left = l->down > 0 ? (k->base[i] - l->minus[i]) / l->down : (double)NAN;
    double floor = 2 * noise_of(k, l, i) / l->h;
    row[0] = (l->plus[i] - l->minus[i]) / (l->up + l->down);
    l->gap[i] = l->side ? 0 : fabs(right - left);
    if (l->level == 0) {
        l->first_gap[i] = l->gap[i];
        *s = (gr_slope){ .value = row[0], .error = INFINITY, .left = left, .right = right, .around = fmax(fabs(left), fabs(right)),
                         .low = INFINITY, .high = -INFINITY, .side = l->side };
        tell(k, l, i, row[0], s);
        return false;
    }
    int last = l->level < COLUMNS ? l->level : COLUMNS - 1;
    double closest = INFINITY;
    for (int j = 1; j <= last; j++) {
        row[j * k->m] = row[(j - 1) * k->m] + (row[(j - 1) * k->m] - before[(j - 1) * k->m]) / (ldexp(1, l->side ? j : 2 * j) - 1);
        double e = fmax(fabs(row[j * k->m] - row[(j - 1) * k->m]), fabs(row[j * k->m] - before[(j - 1) * k->m])) + floor;
        if (e < s->error) s->error = e, s->value = row[j * k->m];
        closest = fmin(closest, e);
    }
    s->low = fmin(s->low, row[last * k->m]);
    s->high = fmax(s->high, row[last * k->m]);
    s->left = left;
    s->right = right;
    tell(k, l, i, row[0], s);
    return closest <= fmax(0.05 * k->rtol * fabs(s->value), 2 * floor);
}

/* Smooth, kink or jump, from how J changed over the levels. */
static gr_slope_kind kind(const gr_check *k, const look *l, int64_t i, const gr_slope *s)
{
    bool clear = l->gap[i] > 1e-5 * fmax(fabs(s->left), fabs(s->right)) && l->gap[i] * l->h > 64 * fmax(noise_of(k, l, i), k->natural[i]);
    double ratio = l->gap[i] / l->first_gap[i];
    if (!clear || ratio < 0.5) return GR_SMOOTH;
    return ratio > exp2(0.3 * l->level) ? GR_JUMP : GR_KINK;
}

static bool look_at(gr_check *k, gr_path *p, double scale, look *l, gr_slope *out)
{
    bool found = false, fine[2], finite;
    int settled = 0;
    l->h = ldexp(scale, FIRST_STEP);
    l->side = 0;
    l->across = false;
    if (!first_step(k, p, l, &found)) return false;
    for (int64_t i = 0; i < k->m; i++) out[i] = (gr_slope){ .value = (double)NAN, .error = INFINITY, .left = (double)NAN, .right = (double)NAN };
    if (!found) return true;
    for (l->level = 0; l->level < LEVELS; l->level++) {
        if (l->level) {
            l->h /= 2;
            if (!step(k, p, l, fine, &finite)) return false;
            if (!fine[0] || !fine[1]) return true;
        }
        bool now = true;
        for (int64_t i = 0; i < k->m; i++) now = update(k, l, i, &out[i]) && now;
        settled = now ? settled + 1 : 0;
        if (settled >= l->enough && l->level >= 2) break;
    }
    if (l->level == LEVELS) l->level--;
    for (int64_t i = 0; i < k->m; i++) out[i].kind = kind(k, l, i, &out[i]);
    return true;
}

static bool settled(const gr_check *k, const gr_slope *s, int64_t i, double scale, double largest)
{
    if (!isfinite(k->base[i])) return true;
    if (s->kind != GR_SMOOTH || !isfinite(s->value)) return false;
    return s->error <= 0.1 * k->rtol * fmax(fabs(s->value), 1e-3 * largest) || fabs(s->value) + s->error <= 4096 * k->natural[i] / scale;
}

/* The closer look wins where it is clearer, or where the first saw no smooth function. */
static void merge(const gr_check *k, gr_slope *s, const gr_slope *closer, int64_t i, double scale)
{
    double around = fmax(s->kind == GR_SMOOTH ? s->around : 0, closer->kind == GR_SMOOTH ? closer->around : 0);
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
    l.border = ldexp(scale, BORDER);
    l.enough = p->place ? 1 : 2;
    bool small = x != 0 && near < scale / 4;
    const double closer_scale[2][LOOKS] = { { scale, ldexp(scale, -10), ldexp(scale, -20), 0 }, { scale, sqrt(scale * near), near, ldexp(near, -10) } };
    bool ok = look_at(k, p, scale, &l, out);
    for (int a = 1; ok && a < LOOKS && closer_scale[small][a] > 0; a++) {
        double largest = 0;
        bool done = true;
        for (int64_t i = 0; i < m; i++)
            if (isfinite(out[i].value)) largest = fmax(largest, fabs(out[i].value));
        for (int64_t i = 0; i < m; i++) done = done && settled(k, &out[i], i, scale, largest);
        if (done) break;
        ok = look_at(k, p, closer_scale[small][a], &l, closer);
        for (int64_t i = 0; ok && i < m; i++)
            if (!settled(k, &out[i], i, scale, largest)) merge(k, &out[i], &closer[i], i, scale);
    }
    if (p->place) *p->place = p->x;
    return ok;
}
