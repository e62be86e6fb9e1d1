/* What kind of mistake explains that gradients and differences differ? Both are matrices, a row for each output and a
 * column for each element of one input; the first pattern that explains all wrong entries is named.
 *
 *   all zero                a path is cut                 a = c d, c = -1, 2, 1/2, n, 1/n    sign, factor, mean for sum
 *   zero in places          part of a path is cut         a / d = x, 1/x, y, 1/y             a factor too many or too few
 *   a = d^T                 transposed                    a of one input = d of another      inputs are mixed up
 *   a = d + c               a term is added, or missing   a[e + s], a[n - 1 - e] = d[e]      shifted, reversed
 *   wrong in one row, column, index: where to look
 *
 * Knows no operation.
 * SPDX-License-Identifier: MIT */
#include "core/check.h"

#include <math.h>
#include <string.h>

#define WRONG 1e-6 /* of an entry, relative to itself; coarser than a verdict, so that patterns stand out, unless nothing is wrong by so much */
#define NOTHING 1e-12 /* relative to the largest entry */

typedef struct matrix {
    gr_check *k;
    gr_tensor *x;
    int64_t m, n, all, first; /* rows, columns; columns in memory, and where these begin */
    const double *a, *d;
    double largest, limit; /* limit: WRONG, or what a verdict takes for wrong */
    int64_t wrong, zero, column, row; /* entries that differ; those with a = 0; one of them */
} matrix;

static double ea(const matrix *q, int64_t i, int64_t e) { return q->a[i * q->all + q->first + e]; }
static double ed(const matrix *q, int64_t i, int64_t e) { return q->d[i * q->all + q->first + e]; }

static bool near(const matrix *q, double a, double d) { return fabs(a - d) <= fmax(q->limit * fmax(fabs(a), fabs(d)), NOTHING * q->largest); }

static void survey(matrix *q)
{
    for (int64_t i = 0; i < q->m; i++)
        for (int64_t e = 0; e < q->n; e++) {
            if (isfinite(ea(q, i, e))) q->largest = fmax(q->largest, fabs(ea(q, i, e)));
            if (isfinite(ed(q, i, e))) q->largest = fmax(q->largest, fabs(ed(q, i, e)));
        }
    for (int64_t i = 0; i < q->m; i++)
        for (int64_t e = 0; e < q->n; e++) {
            if (!isfinite(ed(q, i, e)) || near(q, ea(q, i, e), ed(q, i, e))) continue;
            q->wrong++;
            q->zero += ea(q, i, e) == 0;
            q->row = i;
            q->column = e;
        }
}

/* ---- patterns --------------------------------------------------------------------------------------------------*/
static bool cut(const matrix *q, char *out, size_t size)
{
    if (q->zero < q->wrong) return false;
    bool nothing = true, diagonal = q->m == q->n;
    for (int64_t i = 0; i < q->m; i++)
        for (int64_t e = 0; e < q->n; e++) {
            nothing = nothing && ea(q, i, e) == 0;
            if (i == e) diagonal = diagonal && near(q, ea(q, i, e), ed(q, i, e));
            else diagonal = diagonal && ea(q, i, e) == 0;
        }
    char count[48];
    snprintf(count, sizeof count, q->zero == 1 ? "one derivative is" : "%lld derivatives are", (long long)q->zero);
    if (nothing) snprintf(out, size, "zero where the differences are not: a path is cut (gr_detach, a value read as a number, a vjp that returns zeros)");
    else if (diagonal && q->k->full) snprintf(out, size, "only the diagonal is there: each output depends on the other elements too");
    else snprintf(out, size, "%s zero where the differences are not: part of a path is cut, or not all that was broadcast is summed (gr_sum_to)", count);
    return true;
}

/* Entry k of a matrix [p, q] that was filled column by column. */
static int64_t turned(int64_t k, int64_t p, int64_t q) { return k % p * q + k / p; }

static bool transposed(const matrix *q, char *out, size_t size)
{
    bool whole = q->m == q->n && q->k->full, input = q->x->ndim == 2 && q->x->dims[0] > 1 && q->x->dims[1] > 1, output = whole && input;
    int64_t rows = input ? q->x->dims[0] : 1, columns = input ? q->x->dims[1] : 1;
    for (int64_t i = 0; i < q->m; i++)
        for (int64_t e = 0; e < q->n; e++) {
            whole = whole && near(q, ea(q, i, e), ed(q, e, i));
            input = input && near(q, ea(q, i, e), ed(q, i, turned(e, rows, columns)));
            output = output && rows == columns && near(q, ea(q, i, e), ed(q, turned(i, rows, columns), e));
        }
    if (input) snprintf(out, size, "transposed: what belongs to [i, j] stands where the transpose has it");
    else if (output) snprintf(out, size, "transposed: dy is used as its transpose");
    else if (whole) snprintf(out, size, "transposed: the vjp multiplies by J where it must by J^T");
    return whole || input || output;
}

static bool is(double a, double b) { return fabs(a - b) <= 1e-5 * fabs(b); }

/* Is n a number of elements that a mean would divide by? */
static bool is_count(const matrix *q, double n)
{
    if (!(n > 1.5)) return false;
    for (int d = 0; d < q->x->ndim; d++)
        if (is(n, (double)q->x->dims[d])) return true;
    return is(n, (double)q->n) || (q->k->full && q->m > 1 && is(n, (double)q->m));
}

static bool factor(const matrix *q, char *out, size_t size)
{
    double c = ea(q, q->row, q->column) / ed(q, q->row, q->column);
    bool all = true;
    if (!isfinite(c)) return false;
    for (int64_t i = 0; i < q->m; i++)
        for (int64_t e = 0; e < q->n; e++) {
            double a = ea(q, i, e), d = ed(q, i, e);
            if (!isfinite(d) || near(q, a, c * d)) continue;
            all = false;
            if (!near(q, a, d)) return false;
        }
    const char *where = all ? "" : " in the wrong ones";
    if (is(c, -1)) snprintf(out, size, "the sign is wrong%s", where);
    else if (is(c, 2)) snprintf(out, size, "twice what it must be%s: accumulated twice, or a factor 2 too many", where);
    else if (is(c, 0.5)) snprintf(out, size, "half of what it must be%s: a factor 2 is missing, or one of two paths", where);
    else if (is_count(q, 1 / c)) snprintf(out, size, "divided by %.0f%s: the derivative of a mean, where a sum was computed", 1 / c, where);
    else if (is_count(q, c)) snprintf(out, size, "multiplied by %.0f%s: the derivative of a sum, where a mean was computed", c, where);
    else if (q->wrong == 1 && q->m * q->n > 1) return false;
    else if (fabs(c - 1) < 1e-3) snprintf(out, size, "a constant factor of 1 %c %.3g%s", c < 1 ? '-' : '+', fabs(c - 1), where);
    else snprintf(out, size, "a constant factor of %.6g%s", c, where);
    return true;
}

/* a / d = x, 1/x, y or 1/y, element by element */
static bool powers(const matrix *q, char *out, size_t size)
{
    static const char *const text[] = { "a factor x is too many: the ratio is x", "a factor x is missing: the ratio is 1 / x",
                                        "a factor y is too many: the ratio is y", "a factor y is missing: the ratio is 1 / y" };
    const double *x = (const double *)(const void *)q->x->data, *y = q->k->base;
    if (q->wrong < 2) return false;
    for (int w = 0; w < (q->k->full && q->k->order == 1 ? 4 : 2); w++) {
        bool fits = true;
        double at = w < 2 ? x[q->column] : y[q->row], c = ea(q, q->row, q->column) / ed(q, q->row, q->column) / (w & 1 ? 1 / at : at);
        for (int64_t i = 0; i < q->m && fits; i++)
            for (int64_t e = 0; e < q->n && fits; e++) {
                double v = w < 2 ? x[e] : y[i];
                fits = !isfinite(ed(q, i, e)) || near(q, ea(q, i, e), c * ed(q, i, e) * (w & 1 ? 1 / v : v));
            }
        if (!fits || !isfinite(c)) continue;
        if (is(c, 1)) snprintf(out, size, "%s", text[w]);
        else snprintf(out, size, "%s times %.6g", text[w], c);
        return true;
    }
    return false;
}

/* a - d is one number */
static bool added(const matrix *q, char *out, size_t size)
{
    double c = ea(q, q->row, q->column) - ed(q, q->row, q->column);
    if (q->wrong < 2 || !isfinite(c)) return false;
    for (int64_t i = 0; i < q->m; i++)
        for (int64_t e = 0; e < q->n; e++) {
            double a = ea(q, i, e), d = ed(q, i, e);
            if (isfinite(d) && !near(q, a, d) && !near(q, a, d + c)) return false;
        }
    return snprintf(out, size, "every wrong one is %.6g too %s: a term is %s", fabs(c), c > 0 ? "large" : "small", c > 0 ? "added" : "missing"), true;
}

/* What belongs to element e stands at e + shift, cyclically. */
static bool shifted(const matrix *q, char *out, size_t size)
{
    for (int64_t shift = 1; shift < q->n && q->wrong > 1; shift++) {
        bool fits = true;
        for (int64_t i = 0; i < q->m && fits; i++)
            for (int64_t e = 0; e < q->n && fits; e++) fits = near(q, ea(q, i, (e + shift) % q->n), ed(q, i, e));
        if (!fits) continue;
        int64_t by = shift <= q->n / 2 ? shift : shift - q->n;
        return snprintf(out, size, "shifted: what belongs to element e stands at e %c %lld", by < 0 ? '-' : '+', (long long)(by < 0 ? -by : by)), true;
    }
    return false;
}

static bool mirrored(const matrix *q, char *out, size_t size)
{
    for (int64_t i = 0; i < q->m; i++)
        for (int64_t e = 0; e < q->n; e++)
            if (!near(q, ea(q, i, q->n - 1 - e), ed(q, i, e))) return false;
    return q->wrong > 1 && snprintf(out, size, "reversed: what belongs to element e stands at %lld - e", (long long)q->n - 1) > 0;
}

/* It is the gradient of another input. */
static bool swapped(const matrix *q, char *out, size_t size)
{
    char name[64];
    for (int t = 0; t < q->k->num_targets && q->k->full && q->k->order == 1; t++) {
        if (q->k->first[t] == q->first || q->k->target[t]->numel != q->n) continue;
        bool fits = true;
        for (int64_t i = 0; i < q->m && fits; i++)
            for (int64_t e = 0; e < q->n && fits; e++) fits = near(q, ea(q, i, e), q->d[i * q->all + q->k->first[t] + e]);
        if (!fits) continue;
        gr__check_place(q->k->target[t], "x", q->k->number[t], 0, name, sizeof name);
        name[strcspn(name, "[")] = '\0';
        return snprintf(out, size, "it is the gradient of %s: inputs are mixed up", name), true;
    }
    return false;
}

/* d = a^2, d = sqrt a or d = 1 / a, signs apart */
static bool exponents(const matrix *q, char *out, size_t size)
{
    static const struct {
        double p;
        const char *text;
    } row[] = { { 2, "the square is missing: the right derivative is the square of this one" },
                { 0.5, "squared once too often: the right derivative is the root of this one" },
                { -1, "inverted: the right derivative is 1 over this one" } };
    for (int w = 0; w < 3 && q->wrong > 1; w++) {
        bool fits = true;
        for (int64_t i = 0; i < q->m && fits; i++)
            for (int64_t e = 0; e < q->n && fits; e++) {
                double a = ea(q, i, e), d = ed(q, i, e);
                fits = !isfinite(d) || near(q, a, d) || near(q, pow(fabs(a), row[w].p), fabs(d));
            }
        if (fits) return snprintf(out, size, "%s", row[w].text), true;
    }
    return false;
}

/* ---- places ----------------------------------------------------------------------------------------------------*/
static int64_t index_of(const gr_tensor *x, int64_t e, int d)
{
    for (int i = x->ndim - 1; i > d; i--) e /= x->dims[i];
    return e % x->dims[d];
}

static void place(const matrix *q, char *out, size_t size)
{
    bool row = q->m > 1 && q->k->full, column = q->n > 1, at[GR_MAX_RANK];
    char text[64];
    for (int d = 0; d < q->x->ndim; d++) at[d] = q->x->dims[d] > 1;
    for (int64_t i = 0; i < q->m; i++)
        for (int64_t e = 0; e < q->n; e++) {
            if (!isfinite(ed(q, i, e)) || near(q, ea(q, i, e), ed(q, i, e))) continue;
            row = row && i == q->row;
            column = column && e == q->column;
            for (int d = 0; d < q->x->ndim; d++) at[d] = at[d] && index_of(q->x, e, d) == index_of(q->x, q->column, d);
        }
    gr_text t = { out, size, 0 };
    *out = '\0';
    gr__check_place(q->x, "x", 0, q->column, text, sizeof text);
    if (column) gr__put(&t, "only %s is wrong, of %lld elements", text, (long long)q->n);
    for (int d = 0; d < q->x->ndim && !column; d++)
        if (at[d]) gr__put(&t, "%sonly where index %d is %lld", t.at ? ", " : "", d, (long long)index_of(q->x, q->column, d));
    if (!row || q->k->order > 1) return;
    gr__put(&t, "%sonly the derivatives of y", t.at ? "; " : "");
    gr__check_index(&t, q->k->y_shape.n, q->k->y_shape.v, q->row);
    gr__put(&t, " are wrong");
}

bool gr__check_diagnose(gr_check *k, int64_t outputs, const double *a, const double *d)
{
    int t = 0;
    while (t + 1 < k->num_targets && k->number[t] != k->report->worst[0].input) t++;
    matrix q = { .k = k, .x = k->target[t], .m = outputs, .n = k->target[t]->numel, .all = k->first[k->num_targets], .first = k->first[t], .a = a, .d = d };
    char what[256] = "", where[256] = "", name[64];
    q.limit = WRONG;
    survey(&q);
    if (!q.wrong) {
        q.limit = k->rtol;
        survey(&q);
    }
    if (!q.wrong) return true;
    bool turn = false;
    if (!cut(&q, what, sizeof what) && !(turn = transposed(&q, what, sizeof what)) && !swapped(&q, what, sizeof what) &&
        !factor(&q, what, sizeof what) && !powers(&q, what, sizeof what) && !added(&q, what, sizeof what) && !shifted(&q, what, sizeof what) && !mirrored(&q, what, sizeof what))
        exponents(&q, what, sizeof what);
    bool at_constant = false;
    if (!gr__check_cut(k, t, q.column, &at_constant)) return false;
    if (at_constant && !*what) snprintf(what, sizeof what, "a path is cut: one of several uses is not counted");
    place(&q, where, sizeof where);
    if (q.x->name) snprintf(name, sizeof name, "\"%.40s\"", q.x->name);
    else snprintf(name, sizeof name, "%d", k->number[t]);
    char order[96] = "";
    if (k->order == 2) snprintf(order, sizeof order, "the first derivatives agree, the second do not: ");
    if (k->order > 2) snprintf(order, sizeof order, "the derivatives up to order %d agree, those of order %d do not: ", k->order - 1, k->order);
    gr__check_say(k, GR_CHECK_FAIL, "%sthe gradient by input %s: %s%s%s%s", order, name, what,
                  *what && *where ? "; " : "", where, *what || *where ? "" : "no single factor, sign or transpose explains it");
    if (k->order == 1 && !turn && !at_constant && k->full) gr__check_note(k, "vjp and jvp agree with each other: the formula is wrong, not the transpose");
    return true;
}
