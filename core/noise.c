/* How far rounding moves the values and the gradients: the function runs again with every element of x, and of each result
 * on the way, moved up or down by one unit in its last place, as rounding might have done. What comes out scattered is noise.
 *
 * A run in which an operation decides otherwise is left out: it is another function (and x may lie on a border).
 * Source: the idea of random arithmetic is from Vignes, A stochastic arithmetic for reliable scientific computation (1993).
 * Knows no operation.
 * SPDX-License-Identifier: MIT */
#include "core/check.h"

#include <math.h>
#include <string.h>

#define RUNS 8   /* of the values; of the gradient half as many */

/* ---- shaking ---------------------------------------------------------------------------------------------------*/
static double shaken(double v, double by, uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    by *= 0.5 + (double)(z >> 12) * 0x1p-52; /* of many sizes: what is moved to and fro must not come out even */
    return by == 0 ? v : z & 1 ? v + by : v - by; /* -0 stays -0 */
}

/* The place of the last bit of v that is not 0: v is a multiple of it. */
static double last_place(double v)
{
    int exponent;
    if (v == 0 || !isfinite(v)) return 0;
    uint64_t digits = (uint64_t)ldexp(frexp(fabs(v), &exponent), 53);
    return ldexp((double)(digits & (0 - digits)), exponent - 53);
}

typedef struct terms {
    int n;                /* operands: the first is y */
    gr_type type[GR_MAX_OPERANDS];
    double unit, largest; /* largest: of all inputs, where they are no operands */
    uint64_t *state;
} terms;

static double number(gr_type type, const char *p, int64_t i)
{
    return type == GR_F32 ? (double)((const float *)(const void *)p)[i] : type == GR_F64 ? ((const double *)(const void *)p)[i] : 0;
}

static void most_run(int64_t n, char *const *p, const int64_t *stride, void *user)
{
    terms *t = user;
    for (int64_t i = 0; i < n; i++) {
        double v = fabs(number(t->type[0], p[0], i * stride[0]));
        if (v > t->largest && isfinite(v)) t->largest = v;
    }
}

/* By a unit in the last place of each element. One that has fewer digits than it could may be what was left when terms
 * cancelled that are as large as the inputs (in x - log sum exp, say): by a unit of these. */
static void shake_run(int64_t n, char *const *p, const int64_t *stride, void *user)
{
    terms *t = user;
    for (int64_t i = 0; i < n; i++) {
        double v = number(t->type[0], p[0], i * stride[0]), largest = t->largest;
        for (int k = 1; k < t->n; k++) {
            double term = fabs(number(t->type[k], p[k], i * stride[k]));
            if (isfinite(term)) largest = fmax(largest, term);
        }
        v = shaken(v, fmax(t->unit * fabs(v), fmin(last_place(v), t->unit * largest)), t->state);
        if (t->type[0] == GR_F32) ((float *)(void *)p[0])[i * stride[0]] = (float)v;
        else ((double *)(void *)p[0])[i * stride[0]] = v;
    }
}

void gr__noise_shake(const gr_call *k, gr_tensor *y, bool coarse, uint64_t *state)
{
    const gr_tensor *operand[GR_MAX_OPERANDS] = { y };
    terms t = { .n = 1, .type = { (gr_type)y->dtype }, .unit = coarse || y->dtype == GR_F32 ? 0x1p-23 : 0x1p-52, .state = state };
    bool each = (k->op->flags & GR_OP_ELEMENTWISE) && k->n < GR_MAX_OPERANDS;
    for (int i = 0; i < k->n; i++) each = each && gr__same_shape(k->in[i], y);
    for (int i = 0; i < k->n; i++) {
        terms in = { .type = { (gr_type)k->in[i]->dtype } };
        if (each) operand[t.n] = k->in[i], t.type[t.n++] = (gr_type)k->in[i]->dtype;
        else gr__strided(1, (const gr_tensor *[]){ k->in[i] }, most_run, &in);
        t.largest = fmax(t.largest, in.largest);
    }
    gr__strided(t.n, operand, shake_run, &t);
}

void gr__noise_inputs(gr_check *k, const double *from, double unit, uint64_t state)
{
    for (int t = 0; t < k->num_targets; t++) {
        double *x = (double *)(void *)k->target[t]->data;
        for (int64_t e = 0; e < k->target[t]->numel; e++) x[e] = state ? shaken(from[k->first[t] + e], unit * fabs(from[k->first[t] + e]), &state) : from[k->first[t] + e];
    }
}

/* ---- measuring -------------------------------------------------------------------------------------------------*/
/* spread[i] = max(spread[i], |seen[i] - base[i]|) */
static void widen(double *spread, const double *base, const double *seen, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double d = fabs(seen[i] - base[i]);
        if (d > spread[i] && isfinite(d)) spread[i] = d;
    }
}

static bool refused(gr_check *k) /* x was moved to where the function says no: no finding */
{
    if (k->c->code != GR_EVALUE) return false;
    gr_clear_error(k->c);
    return true;
}

static bool all_values(gr_check *k, const double *from, double *v)
{
    for (uint64_t run = 1; run <= RUNS; run++) {
        k->shake = run;
        gr__noise_inputs(k, from, 0x1p-52, run);
        bool ran = gr__check_values(k, v, false);
        k->shake = 0;
        if (!ran && !refused(k)) return false;
        if (!ran || k->branch != k->base_branch) continue;
        widen(k->noise, k->base, v, k->m);
    }
    return true;
}

static bool all_gradients(gr_check *k, const double *from, double *a, double *b)
{
    int64_t n = k->m * k->first[k->num_targets];
    uint64_t piece = 0;
    memset(k->spread, 0, (size_t)n * sizeof *k->spread);
    for (uint64_t run = 0; run <= RUNS / 2; run++) {
        gr_branches heard = { .shake = run };
        gr_observer ear;
        const gr_observer *before = gr__branches_listen(k->c, &heard, &ear);
        gr__noise_inputs(k, from, 0x1p-52, run);
        bool ran = gr__check_gradient(k, run ? b : a);
        k->c->observer = before;
        if (!ran && (!run || !refused(k))) return false;
        if (!run) piece = heard.hash;
        else if (ran && heard.hash == piece) widen(k->spread, a, b, n);
    }
    return true;
}

bool gr__noise_measure(gr_check *k, double *a)
{
    GR_SCOPE(k->c);
    int64_t n = k->first[k->num_targets];
    double *from = gr__check_doubles(k->c, n), *room = gr__check_doubles(k->c, k->m * n > k->m ? k->m * n : k->m);
    bool ok = from && room;
    for (int t = 0; ok && t < k->num_targets; t++) ok = gr_read(k->target[t], from + k->first[t]);
    if (!ok) return false;
    ok = all_values(k, from, room) && (!a || all_gradients(k, from, a, room));
    gr__noise_inputs(k, from, 0, 0);
    return ok;
}
