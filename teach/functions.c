/* Functions of the expression language by name: element-wise operations straight from the registry, the others by the
 * table below.
 * Knows no syntax.
 * SPDX-License-Identifier: MIT */
#include "teach/expression.h"

#include <math.h>
#include <string.h>

typedef struct function {
    const char *name;
    int min, max; /* how many values it takes */
    gr_tensor *(*apply)(const gr_calling *k);
} function;

/* ---- arguments -------------------------------------------------------------------------------------------------*/
static bool refuse(const gr_calling *k, int i, const char *why)
{
    gr__expr_fail(k->ctx, k->text, i < 0 ? k->term->at : k->at[i], GR_EVALUE, "%s", why);
    return false;
}

static gr_tensor *tensor(const gr_calling *k, int i)
{
    return gr_operand_is_number(k->arg[i]) ? gr_scalar(k->ctx, k->arg[i].v) : k->arg[i].t;
}

static gr_tensor *as_float(const gr_calling *k, int i)
{
    gr_tensor *x = tensor(k, i);
    return x && !gr_is_float(x) ? gr_astype(x, k->ctx->dtype) : x;
}

/* Whole numbers from argument `from` on. */
static bool whole(const gr_calling *k, int from, gr_dims *d)
{
    *d = (gr_dims){ 0 };
    for (int i = from; i < k->n; i++) {
        double v = k->arg[i].v;
        if (!gr_operand_is_number(k->arg[i]) || v != floor(v) || fabs(v) > 1e9) return refuse(k, i, "expected a whole number here");
        if (d->n == GR_MAX_RANK) return refuse(k, i, "a tensor has at most 8 dimensions");
        d->v[d->n++] = (int64_t)v;
    }
    return true;
}

static bool dimension(const gr_calling *k, int i, int otherwise, int *d)
{
    gr_dims one;
    gr_calling first = *k;
    first.n = i + 1 < k->n ? i + 1 : k->n;
    if (!whole(&first, i, &one)) return false;
    *d = one.n ? (int)one.v[0] : otherwise;
    return true;
}

/* ---- the table -------------------------------------------------------------------------------------------------*/
#define REDUCE(name)                                                                                                 \
    static gr_tensor *name##_(const gr_calling *k)                                                                   \
    {                                                                                                                \
        gr_dims d;                                                                                                   \
        return whole(k, 1, &d) ? gr_##name(as_float(k, 0), .dims = d) : NULL;                                        \
    }
REDUCE(sum)
REDUCE(mean)
REDUCE(prod)
REDUCE(logsumexp)

#define ALONG(name)                                                                                                  \
    static gr_tensor *name##_(const gr_calling *k)                                                                   \
    {                                                                                                                \
        int d;                                                                                                       \
        return dimension(k, 1, -1, &d) ? gr_##name(as_float(k, 0), d) : NULL;                                        \
    }
ALONG(softmax)
ALONG(log_softmax)
ALONG(argmax)
ALONG(argmin)

#define SHAPED(name)                                                                                                 \
    static gr_tensor *name##_(const gr_calling *k)                                                                   \
    {                                                                                                                \
        gr_dims d;                                                                                                   \
        return whole(k, 1, &d) ? gr_##name(as_float(k, 0), d) : NULL;                                                \
    }
SHAPED(reshape)
SHAPED(broadcast_to)
SHAPED(sum_to)
SHAPED(permute)

/* max(x) reduces, max(a, b) chooses the larger */
static gr_tensor *max_(const gr_calling *k)
{
    return k->n == 2 ? gr_maximum_any(k->arg[0], k->arg[1]) : gr_max(as_float(k, 0));
}
static gr_tensor *min_(const gr_calling *k)
{
    return k->n == 2 ? gr_minimum_any(k->arg[0], k->arg[1]) : gr_min(as_float(k, 0));
}
static gr_tensor *maximum_(const gr_calling *k) { return gr_maximum_any(k->arg[0], k->arg[1]); }
static gr_tensor *minimum_(const gr_calling *k) { return gr_minimum_any(k->arg[0], k->arg[1]); }
static gr_tensor *square_(const gr_calling *k) { return gr_square(as_float(k, 0)); }

static gr_tensor *where_(const gr_calling *k)
{
    gr_tensor *c = tensor(k, 0);
    if (c && gr_dtype(c) != GR_BOOL) c = gr_ne_any(gr_operand_tensor(c), gr_operand_number(0));
    return gr_where_any(c, k->arg[1], k->arg[2]);
}

static gr_tensor *matmul_(const gr_calling *k) { return gr_matmul(as_float(k, 0), as_float(k, 1)); }
static gr_tensor *transpose_(const gr_calling *k) { return gr_transpose(as_float(k, 0), -2, -1); }

static gr_tensor *slice_(const gr_calling *k)
{
    gr_dims d;
    return whole(k, 1, &d) ? gr_slice(as_float(k, 0), (int)d.v[0], d.v[1], d.v[2]) : NULL;
}

static gr_tensor *select_(const gr_calling *k)
{
    gr_dims d;
    return whole(k, 1, &d) ? gr_select(as_float(k, 0), (int)d.v[0], d.v[1]) : NULL;
}

static gr_tensor *cat_(const gr_calling *k)
{
    gr_tensor *x[GR_MAX_ARGUMENTS];
    for (int i = 0; i < k->n; i++) x[i] = as_float(k, i);
    return gr_cat(x, k->n, 0);
}

static gr_tensor *gather_(const gr_calling *k)
{
    int d;
    return dimension(k, 1, 0, &d) ? gr_gather(as_float(k, 0), d, gr_astype(tensor(k, 2), GR_I64)) : NULL;
}

/* class numbers unless t has the shape of x */
static gr_tensor *cross_entropy_(const gr_calling *k)
{
    gr_tensor *x = as_float(k, 0), *t = gr_operand_is_number(k->arg[1]) ? NULL : k->arg[1].t;
    if (!t && k->arg[1].v == floor(k->arg[1].v)) t = gr_scalar(k->ctx, k->arg[1].v, .dtype = GR_I64);
    return x && t ? gr_cross_entropy_rows(x, gr_ndim(t) == gr_ndim(x) ? t : gr_astype(t, GR_I64)) : NULL;
}

static const function table[] = {
    { "argmax", 1, 2, argmax_ },         { "argmin", 1, 2, argmin_ },       { "broadcast_to", 1, 9, broadcast_to_ },
    { "cat", 1, 16, cat_ },              { "cross_entropy", 2, 2, cross_entropy_ }, { "gather", 3, 3, gather_ },
    { "log_softmax", 1, 2, log_softmax_ }, { "logsumexp", 1, 9, logsumexp_ }, { "matmul", 2, 2, matmul_ },
    { "max", 1, 2, max_ },               { "maximum", 2, 2, maximum_ },     { "mean", 1, 9, mean_ },
    { "min", 1, 2, min_ },               { "minimum", 2, 2, minimum_ },     { "permute", 1, 9, permute_ },
    { "prod", 1, 9, prod_ },             { "reshape", 1, 9, reshape_ },     { "select", 3, 3, select_ },
    { "slice", 4, 4, slice_ },           { "softmax", 1, 2, softmax_ },     { "square", 1, 1, square_ },
    { "sum", 1, 9, sum_ },               { "sum_to", 1, 9, sum_to_ },       { "transpose", 1, 1, transpose_ },
    { "where", 3, 3, where_ },
};
enum { TABLE = sizeof table / sizeof *table };

static const function *in_table(const char *name, size_t len)
{
    for (int i = 0; i < TABLE; i++)
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0) return &table[i];
    return NULL;
}

/* Element-wise operations without attributes can be applied knowing nothing else of them. */
static bool callable(const gr_op *op) { return (op->flags & GR_OP_ELEMENTWISE) && !op->attr_size && op->arity > 0; }

static const gr_op *in_registry(const char *name, size_t len)
{
    for (int i = 0; i < gr_op_count(); i++) {
        const gr_op *op = gr_op_at(i);
        if (callable(op) && strlen(op->name) == len && memcmp(op->name, name, len) == 0) return op;
    }
    return NULL;
}

bool gr__function_exists(const char *name, size_t len) { return in_table(name, len) || in_registry(name, len); }

/* ---- the nearest name ------------------------------------------------------------------------------------------*/
/* Levenshtein 1966: how many letters to insert, delete or change */
static int distance(const char *a, size_t m, const char *b)
{
    enum { LONGEST = 32 };
    size_t n = strlen(b);
    int row[LONGEST + 1];
    if (m > LONGEST || n > LONGEST) return LONGEST;
    for (size_t j = 0; j <= n; j++) row[j] = (int)j;
    for (size_t i = 1; i <= m; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= n; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

const char *gr__function_nearest(const char *name, size_t len)
{
    const char *best = NULL;
    int least = len < 4 ? 2 : 3; /* further away it is a guess */
    for (int i = 0; i < TABLE + gr_op_count(); i++) {
        const char *other = i < TABLE ? table[i].name : callable(gr_op_at(i - TABLE)) ? gr_op_at(i - TABLE)->name : NULL;
        int d = other ? distance(name, len, other) : least;
        if (d < least) best = other, least = d;
    }
    return best;
}

/* ---- calls -----------------------------------------------------------------------------------------------------*/
/* The shape that all arguments broadcast to; where they do not, the first that is larger: gr_apply will then refuse. */
static gr_dims common_shape(gr_tensor *const *x, int n)
{
    gr_dims s = gr_dims_like(x[0]);
    for (int i = 1; i < n; i++) {
        gr_dims o = gr_dims_like(x[i]), big = o.n > s.n ? o : s, small = o.n > s.n ? s : o;
        for (int d = 0; d < small.n; d++) {
            int64_t *size = &big.v[big.n - small.n + d];
            if (*size == 1) *size = small.v[d];
        }
        s = big;
    }
    return s;
}

static gr_tensor *elementwise(const gr_calling *k, const gr_op *op)
{
    gr_tensor *x[GR_MAX_ARGUMENTS];
    for (int i = 0; i < k->n; i++) {
        if (!gr_operand_is_number(k->arg[i])) x[i] = as_float(k, i);
        else x[i] = gr_number(k->ctx, GR_SHAPE(), k->ctx->dtype, k->arg[i].v);
        if (!x[i]) return NULL;
    }
    gr_dims s = common_shape(x, k->n);
    for (int i = 0; i < k->n; i++) x[i] = gr_broadcast_to(x[i], s);
    return gr_apply(op, x, k->n, NULL);
}

static bool count_is_right(const gr_calling *k, int min, int max)
{
    if (k->n >= min && k->n <= max) return true;
    char takes[32];
    snprintf(takes, sizeof takes, max == min ? "%d" : "%d to %d", min, max);
    gr__expr_fail(k->ctx, k->text, k->term->at, GR_EVALUE, "%s takes %s value%s, got %d", k->name, takes, max == 1 ? "" : "s", k->n);
    return false;
}

bool gr__function_call(gr_calling *k, gr_operand *result)
{
    const function *f = in_table(k->name, strlen(k->name));
    const gr_op *op = in_registry(k->name, strlen(k->name));
    bool numbers = true;
    if (!count_is_right(k, f ? f->min : op->arity, f ? f->max : op->arity)) return false;
    for (int i = 0; i < k->n; i++) numbers = numbers && gr_operand_is_number(k->arg[i]);
    if (numbers && op && op->reference && !(f && f->max != op->arity)) { /* a number stays one */
        double x[GR_MAX_ARGUMENTS];
        for (int i = 0; i < k->n; i++) x[i] = k->arg[i].v;
        *result = gr_operand_number(op->reference(x));
        return true;
    }
    gr_calling copy = *k;
    gr_operand arg[GR_MAX_ARGUMENTS];
    for (int i = 0; i < k->n; i++) arg[i] = k->arg[i];
    copy.arg = arg;
    if (numbers && k->n) arg[0] = gr_operand_tensor(gr_scalar(k->ctx, arg[0].v));
    *result = gr_operand_tensor(f ? f->apply(&copy) : elementwise(&copy, op));
    return result->t != NULL;
}
