/* The fast gradient check: along two random directions, then bisection to an element that is wrong.
 *
 *   u_e = +-s_e, s_e the scale of x_e;     d/dt L(x + t u) at t = 0    must be    sum_e u_e dL/dx_e
 *
 * The signs make the sum grow like sqrt(n), and the tolerance is the error of the difference, so one wrong element shows
 * among many: were u positive and the tolerance relative, the sum would hide it. If half of the elements move, the
 * mismatch says whether the mistake is among them: log2(n) steps of two evaluations.
 * Knows no operation.
 * SPDX-License-Identifier: MIT */
#include "core/check.h"

#include <math.h>
#include <string.h>

#define SAFETY 10
#define RESOLVE 1e-6   /* an error of one typical element that a probe must be able to see */
#define SMALLEST 1e-2  /* of that: an estimate of so small an error may be luck */
#define HIDES 1e-2     /* of one typical element: if the difference is not known to that, a mistake need not show */
#define STEP 0x1p-16   /* of bisection: n h^2 of truncation and eps sqrt(n) / h of rounding are both far below 1 */

typedef struct probe {
    gr_check *k;
    int64_t n;
    double *a, *from, *direction, *part; /* part: the direction where it is followed, else 0 */
    gr_slope slope;
    double mismatch, tolerance, expected, typical; /* typical: the size of one term */
} probe;

/* +-scale, from the bits of a number that depends on the element and the seed (splitmix64). */
static void choose(probe *q, uint64_t seed)
{
    for (int64_t e = 0; e < q->n; e++) {
        uint64_t z = (uint64_t)e + seed * 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        q->direction[e] = gr__difference_scale(q->from[e]) * ((z >> 40) & 1 ? 1 : -1);
    }
}

/* sum a_e u_e over [low, high), with the squares of its terms */
static double along(const probe *q, int64_t low, int64_t high, double *squares)
{
    double sum = 0, lost = 0;
    *squares = 0;
    for (int64_t e = low; e < high; e++) {
        double v = q->a[e] * q->direction[e], next = sum + v;
        lost += fabs(sum) >= fabs(v) ? (sum - next) + v : (v - next) + sum;
        sum = next;
        *squares += v * v;
    }
    return sum + lost;
}

static bool probe_direction(probe *q, uint64_t seed)
{
    gr_check *k = q->k;
    double squares, rtol = k->rtol;
    choose(q, seed);
    q->expected = along(q, 0, q->n, &squares);
    q->typical = sqrt(squares / (double)q->n);
    double goal = RESOLVE * q->typical;
    double close = 20 * SMALLEST / SAFETY * goal; /* differences settle at a twentieth of rtol: what the tolerance below takes for certain */
    if (q->expected != 0 && close < rtol * fabs(q->expected)) k->rtol = close / fabs(q->expected);
    gr_path p = { .from = q->from, .direction = q->direction };
    bool ok = gr__difference(k, &p, &q->slope);
    k->rtol = rtol;
    q->mismatch = q->slope.value - q->expected;
    q->tolerance = fmax(SAFETY * q->slope.error, SMALLEST * goal + 1e-13 * sqrt(squares) + 1e-15 * fabs(q->expected));
    return ok;
}

/* What moving [low, high) alone shows of the mistake. */
static bool mismatch_of(probe *q, int64_t low, int64_t high, double *out)
{
    double plus, minus, squares, h = STEP;
    bool finite = true;
    gr_path p = { .from = q->from, .direction = q->part };
    memset(q->part, 0, (size_t)q->n * sizeof *q->part);
    memcpy(q->part + low, q->direction + low, (size_t)(high - low) * sizeof *q->part);
    if (!gr__difference_at(q->k, &p, h, &plus, &finite) || !gr__difference_at(q->k, &p, -h, &minus, &finite)) return false;
    *out = (plus - minus) / (2 * h) - along(q, low, high, &squares);
    return true;
}

static bool restore(probe *q)
{
    for (int t = 0; t < q->k->num_targets; t++)
        memcpy(q->k->target[t]->data, q->from + q->k->first[t], (size_t)q->k->target[t]->numel * sizeof(double));
    return true;
}

/* Goes to the half with the greater part of the mismatch, down to one element, and judges it. */
static bool bisect(probe *q, int64_t *found)
{
    int64_t low = 0, high = q->n;
    double left, rest = q->mismatch;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (!mismatch_of(q, low, middle, &left)) return false;
        if (fabs(left) >= fabs(rest - left)) high = middle, rest = left;
        else low = middle, rest -= left;
    }
    gr_slope s;
    int t = 0;
    while (low >= q->k->first[t + 1]) t++;
    double *place = (double *)(void *)q->k->target[t]->data + (low - q->k->first[t]);
    restore(q);
    gr_path p = { .place = place, .x = *place };
    if (!gr__difference(q->k, &p, &s)) return false;
    gr__check_judge(q->k, 0, low, q->a[low], &s, 0);
    *found = low;
    q->mismatch -= (s.value - q->a[low]) * q->direction[low];
    q->a[low] = s.value;
    return true;
}

static bool locate(probe *q)
{
    gr_gradcheck_report *r = q->k->report;
    double before = fabs(q->mismatch);
    int64_t found = 0, wrong = r->count[GR_CHECK_FAIL];
    for (int i = 0; i < GR_CHECK_WORST && fabs(q->mismatch) > fmax(q->tolerance, 1e-3 * before); i++) {
        int64_t fails = r->count[GR_CHECK_FAIL];
        if (!bisect(q, &found)) return false;
        if (r->count[GR_CHECK_FAIL] == fails) break;
    }
    wrong = r->count[GR_CHECK_FAIL] - wrong;
    bool all = fabs(q->mismatch) <= fmax(q->tolerance, 1e-3 * before);
    if (wrong == 0) {
        gr__check_say(q->k, GR_CHECK_INCONCLUSIVE, "a random direction disagrees by %.3g, but no element that bisection leads to is wrong: check without .fast", before);
    } else if (all) {
        char text[64];
        int t = 0;
        while (found >= q->k->first[t + 1]) t++;
        gr__check_place(q->k->target[t], "x", q->k->number[t], found - q->k->first[t], text, sizeof text);
        gr__check_say(q->k, GR_CHECK_FAIL, wrong == 1 ? "only %s is wrong, of %lld elements" : "%s and the others above are wrong, of %lld elements", text, (long long)q->n);
    } else {
        gr__check_note(q->k, "more elements are wrong than these: .fast looks for a few");
    }
    return true;
}

static void whole(probe *q, double first)
{
    double c = q->expected / q->slope.value;
    if (!isfinite(c) || fabs(c - first) > 1e-6 * fabs(c)) return;
    const char *what = fabs(c + 1) < 1e-6 ? ": the sign is wrong" : fabs(c - 2) < 1e-6 ? ": accumulated twice, or a factor 2 too many" : "";
    if (c == 0) gr__check_say(q->k, GR_CHECK_FAIL, "the whole gradient is zero: the path is cut");
    else gr__check_say(q->k, GR_CHECK_FAIL, "the whole gradient is %.6g times what it must be%s", c, what);
}

bool gr__check_fast(gr_check *k)
{
    gr_gradcheck_report *r = k->report;
    probe q = { .k = k, .n = k->first[k->num_targets] };
    double *room = gr__check_doubles(k->c, 4 * q.n), ratio[2] = { 0 };
    if (!room) return false;
    q.a = room, q.from = room + q.n, q.direction = room + 2 * q.n, q.part = room + 3 * q.n;
    for (int t = 0; t < k->num_targets; t++)
        if (!gr_read(k->target[t], q.from + k->first[t])) return false;
    if (!gr__check_sums(k, q.a)) return false;
    bool wrong = false, vague = false, hidden = false;
    for (int i = 0; i < 2 && !wrong && q.n; i++) {
        if (!probe_direction(&q, (uint64_t)i + 1)) return false;
        ratio[i] = q.expected / q.slope.value;
        vague = vague || q.slope.kind != GR_SMOOTH || !isfinite(q.mismatch);
        hidden = hidden || (SAFETY * q.slope.error > HIDES * q.typical && q.typical > 1024 * k->natural[0]);
        wrong = !vague && !hidden && fabs(q.mismatch) > q.tolerance;
        if (!vague && !wrong && q.typical > 0) r->largest_error = fmax(r->largest_error, fabs(q.mismatch) / q.typical);
    }
    restore(&q);
    r->probe_evaluations = r->evaluations;
    if (vague) {
        gr__check_say(k, GR_CHECK_INCONCLUSIVE, "along a random direction the function is not smooth, or not finite: check without .fast, which looks at each element");
        return true;
    }
    if (hidden) {
        gr__check_say(k, GR_CHECK_INCONCLUSIVE, "along a random direction rounding hides what one element does: check without .fast, which looks at each element");
        return true;
    }
    if (wrong) {
        double first = ratio[0];
        if (!locate(&q)) return false;
        restore(&q);
        if (r->count[GR_CHECK_FAIL] == GR_CHECK_WORST && *r->diagnosis == '\0') {
            if (!gr__check_sums(k, q.a) || !probe_direction(&q, 3)) return false;
            whole(&q, first);
            restore(&q);
        }
        return true;
    }
    r->checked += q.n;
    r->count[GR_CHECK_PASS] += q.n;
    return true;
}
