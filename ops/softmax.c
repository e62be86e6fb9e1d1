/* Softmax and what is fused with it, along the last dimension; the public functions bring any dimension there.
 * The exponentials are taken of x - max x, so none overflows; log softmax never takes the log of a rounded 0.
 * SPDX-License-Identifier: MIT */
#include "ops/record.h"

#include <math.h>
#include <string.h>

#define LAST .dims = GR_DIMS(-1), .keepdim = true
static gr_operand t_(gr_tensor *t) { return gr_operand_tensor(t); }
static gr_operand n_(double v) { return gr_operand_number(v); }

static bool rows_shape(gr_call *k)
{
    const gr_tensor *x = k->in[0];
    if (!gr_is_float(x)) return gr_reject(k, GR_EDTYPE, "convert with gr_astype", "%s has no exponential", gr_dtype_name((gr_type)x->dtype));
    if (x->ndim == 0) return gr_reject(k, GR_ESHAPE, "reshape it to [1] first", "a scalar has no dimension to normalise");
    k->dtype = (gr_type)x->dtype;
    k->ndim = x->ndim;
    for (int d = 0; d < x->ndim; d++) k->dim[d] = x->dims[d];
    return true;
}

/* Rows are independent: threads take some each. */
#define ROW_NS(n) (10 + 0.5 * (double)(n)) /* of an exponential and two sums for each element */
typedef struct row_job {
    gr_row_fn *fn;
    int64_t n;
    const char *x;
    char *y;
    size_t x_row, y_row; /* bytes */
} row_job;

static void some_rows(void *user, int64_t begin, int64_t end, int worker)
{
    const row_job *j = user;
    (void)worker;
    j->fn(end - begin, j->n, j->x + (size_t)begin * j->x_row, j->y + (size_t)begin * j->y_row);
}

static bool run_rows(const gr_call *k, gr_tensor *y, gr_row_fn *const *kernel)
{
    const gr_tensor *x = k->in[0];
    const int64_t n = x->dims[x->ndim - 1], rows = n ? x->numel / n : y->numel;
    if (!gr_is_contiguous(x)) return gr_reject(k, GR_EVALUE, "call the public function", "the input is not contiguous");
    const size_t size = gr__type_size((gr_type)x->dtype), row = (size_t)n * size;
    row_job j = { kernel[gr__kt(x)], n, x->data, y->data, row, y->numel == x->numel ? row : size };
    if (rows) gr__parallel_ranges(k->ctx, rows, ROW_NS(n), some_rows, &j);
    return true;
}

/* op along the last dimension, applied along any */
static gr_tensor *along(const gr_op *op, gr_tensor *x, int dim)
{
    if (!gr__ready(x)) return NULL;
    int d = gr__dim(op->name, x, dim);
    if (d < 0) return NULL;
    if (!gr_is_float(x)) x = gr_astype(x, gr__float_type(x->ctx));
    if (!x || d == x->ndim - 1) return gr__apply1(op, gr_contiguous(x), NULL);
    return gr_transpose(gr__apply1(op, gr_contiguous(gr_transpose(x, d, -1)), NULL), d, -1);
}

/* ---- softmax ---------------------------------------------------------------------------------------------------------------*/
static bool softmax_forward(const gr_call *k, gr_tensor *y) { return run_rows(k, y, gr__kernels()->softmax); }
static gr_tensor *softmax_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    (void)i;
    gr_tensor *sum = gr_sum(gr_amul(dy, y), LAST);
    return gr_amul(gr_sub_any(t_(dy), t_(sum)), y);
}
typedef struct softmax_job {
    gr_row_dx_fn *fn;
    int64_t n;
    size_t row; /* bytes */
    const char *y, *dy;
    char *dx;
} softmax_job;
static void some_softmax_dx(void *user, int64_t begin, int64_t end, int worker)
{
    const softmax_job *j = user;
    const size_t at = (size_t)begin * j->row;
    (void)worker;
    j->fn(end - begin, j->n, j->y + at, j->dy + at, j->dx + at);
}
static bool softmax_backward(gr_tensor *y, gr_tensor *dy, gr_tensor **dx)
{
    int64_t n = y->dims[y->ndim - 1];
    dx[0] = gr_empty_like(y);
    dy = gr_contiguous(dy);
    if (!dx[0] || !dy) return false;
    softmax_job j = { gr__kernels()->softmax_dx[gr__kt(y)], n, (size_t)n * gr__type_size((gr_type)y->dtype), y->data, dy->data, dx[0]->data };
    if (y->numel) gr__parallel_ranges(y->ctx, y->numel / n, 10 + 0.35 * (double)n, some_softmax_dx, &j);
    return true;
}
/* f: of x and its log-sum-exp */
static void rows_reference(const gr_call *k, const double *x, double *y, double (*f)(double x, double lse))
{
    int64_t n = k->in[0]->dims[k->in[0]->ndim - 1];
    for (int64_t i = 0; i < k->in[0]->numel; i += n) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++) sum += exp(x[i + j]);
        for (int64_t j = 0; j < n; j++) y[i + j] = f(x[i + j], log(sum));
    }
}
static double f_softmax(double x, double lse) { return exp(x - lse); }
static double f_log_softmax(double x, double lse) { return x - lse; }
static bool softmax_reference(const gr_call *k, double *const *x, double *y) { return rows_reference(k, x[0], y, f_softmax), true; }
gr_tensor *gr_softmax(gr_tensor *x, int dim) { return along(&gr_op_softmax, x, dim); }

#define SAMPLES(name)                                                                                                \
    static gr_tensor *name##_last(gr_tensor **x) { return gr_##name(x[0], -1); }                                     \
    static gr_tensor *name##_first(gr_tensor **x) { return gr_##name(x[0], 0); }                                     \
    static gr_tensor *name##_far(gr_tensor **x) { return gr_##name(x[0], 5); }                                       \
    static const gr_sample name##_samples[] = { { "[2, 3] in -2..2", name##_last }, { "[4] in -2..2", name##_last }, \
        { "[3, 2] in -2..2", name##_first }, { "[0, 3]", name##_last }, { "[2, 3, 2] in -2..2", name##_first },      \
        { "[2, 1] in -2..2", name##_last }, { NULL, NULL } };                                                        \
    static const gr_bad_call name##_bad[] = {                                                                        \
        { "[2, 3]", name##_far, GR_EINDEX, #name "([2, 3]): dimension 5 is out of range. Fix: use -2 to 1" },         \
        { "[]", name##_last, GR_EINDEX, #name "([]): a scalar has no dimension -1. Fix: reshape it to [1] first" },   \
        { NULL, NULL, GR_OK, NULL } };
SAMPLES(softmax)
SAMPLES(log_softmax)
const gr_op gr_op_softmax = { .name = "softmax", .formula = "y = exp(x) / sum(exp(x))", .gradient = "dx = y * (dy - sum(dy * y))", .arity = 1,
                              .shape = rows_shape, .forward = softmax_forward, .vjp = softmax_vjp, .backward = softmax_backward, .reference_tensor = softmax_reference,
                              .samples = softmax_samples, .bad = softmax_bad };

/* A row without a true element is NaN in the middle and 0 outside: where lets neither it nor its derivative through. */
gr_tensor *gr_masked_softmax(gr_tensor *x, gr_tensor *mask, int dim)
{
    gr_tensor *kept = gr_where_any(mask, t_(x), n_(-INFINITY));
    return gr_where_any(mask, t_(gr_softmax(kept, dim)), n_(0));
}

/* ---- log_softmax -------------------------------------------------------------------------------------------------------------*/
static bool log_softmax_forward(const gr_call *k, gr_tensor *y) { return run_rows(k, y, gr__kernels()->log_softmax); }
static gr_tensor *log_softmax_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    (void)i;
    return gr_sub_any(t_(dy), t_(gr_amul(gr_sum(dy, LAST), gr_exp(y))));
}
static bool log_softmax_reference(const gr_call *k, double *const *x, double *y) { return rows_reference(k, x[0], y, f_log_softmax), true; }
gr_tensor *gr_log_softmax(gr_tensor *x, int dim) { return along(&gr_op_log_softmax, x, dim); }
const gr_op gr_op_log_softmax = { .name = "log_softmax", .formula = "y = x - log(sum(exp(x)))", .gradient = "dx = dy - exp(y) * sum(dy)", .arity = 1,
                                  .shape = rows_shape, .forward = log_softmax_forward, .vjp = log_softmax_vjp,
                                  .reference_tensor = log_softmax_reference, .samples = log_softmax_samples, .bad = log_softmax_bad };

/* ---- logsumexp -----------------------------------------------------------------------------------------------------------------*/
static bool lse_shape(gr_call *k)
{
    if (!rows_shape(k)) return false;
    k->ndim--;
    return true;
}
/* f(rows, two, user) for some rows from first on: two[2 i] is the maximum m of row i, two[2 i + 1] is log sum exp(x - m) */
#define ROWS_AT_ONCE 64
typedef void some_sums_fn(int64_t first, int64_t rows, const void *two, void *user);
typedef struct sums_job {
    int type;
    int64_t n;
    const char *x;
    some_sums_fn *f;
    void *user;
} sums_job;
static void some_sums(void *user, int64_t begin, int64_t end, int worker)
{
    const sums_job *j = user;
    double two[2 * ROWS_AT_ONCE]; /* of either type */
    (void)worker;
    for (int64_t i = begin, rows; i < end; i += rows) {
        rows = end - i < ROWS_AT_ONCE ? end - i : ROWS_AT_ONCE;
        gr__kernels()->logsumexp[j->type](rows, j->n, j->x + i * j->n * (j->type == GR_K_F32 ? 4 : 8), two);
        j->f(i, rows, two, j->user);
    }
}
static void run_sums(const gr_call *k, gr_tensor *y, some_sums_fn *f, void *user)
{
    const gr_tensor *x = k->in[0];
    sums_job j = { gr__kt(x), x->dims[x->ndim - 1], x->data, f, user };
    if (y->numel) gr__parallel_ranges(k->ctx, y->numel, ROW_NS(j.n), some_sums, &j);
}
#define LSE(S, T)                                                                                                    \
    static void S##_lse(int64_t first, int64_t rows, const void *two_, void *y_)                                     \
    {                                                                                                                \
        const T *two = two_;                                                                                         \
        T *y = (T *)y_ + first;                                                                                      \
        for (int64_t i = 0; i < rows; i++) y[i] = two[2 * i] + two[2 * i + 1];                                       \
    }
LSE(f32, float)
LSE(f64, double)
static bool lse_forward(const gr_call *k, gr_tensor *y)
{
    if (!gr_is_contiguous(k->in[0])) return gr_reject(k, GR_EVALUE, "call the public function", "the input is not contiguous");
    run_sums(k, y, y->dtype == GR_F32 ? f32_lse : f64_lse, y->data);
    return true;
}
static gr_tensor *lse_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    gr_tensor *x = y->in[i];
    /* where y is -inf every x is, and the derivative is 0: exp(x - 0) says so */
    gr_tensor *finite = gr_where_any(gr_eq_any(t_(y), n_(-INFINITY)), n_(0), t_(y));
    return gr_amul(gr_unsqueeze(dy, -1), gr_exp(gr_sub_any(t_(x), t_(gr_unsqueeze(finite, -1)))));
}
static bool lse_reference(const gr_call *k, double *const *x, double *y)
{
    int64_t n = k->in[0]->dims[k->in[0]->ndim - 1];
    for (int64_t i = 0; i < gr__count(k->ndim, k->dim); i++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++) sum += exp(x[0][i * n + j]);
        y[i] = log(sum);
    }
    return true;
}
gr_tensor *gr_logsumexp_with(gr_tensor *x, gr_reduce_opts o)
{
    uint32_t mask;
    if (!gr__ready(x) || !gr__reduce_mask("logsumexp", x, o.dims, &mask)) return NULL;
    gr_dims kept = gr__dims_of_tensor(x);
    for (int d = 0; d < kept.n; d++)
        if (mask >> d & 1) kept.v[d] = 1;
    if (!gr_is_float(x)) x = gr_astype(x, gr__float_type(x->ctx));
    gr_tensor *y = gr__apply1(&gr_op_logsumexp, gr__merge_last(x, mask), NULL);
    return o.keepdim ? gr_reshape(y, kept) : y;
}
static gr_tensor *lse_all(gr_tensor **x) { return gr_logsumexp(x[0], .keepdim = false); }
static gr_tensor *lse_last(gr_tensor **x) { return gr_logsumexp(x[0], LAST); }
static gr_tensor *lse_rows(gr_tensor **x) { return gr_logsumexp(x[0], .dims = GR_DIMS(0)); }
static gr_tensor *lse_outer(gr_tensor **x) { return gr_logsumexp(x[0], .dims = GR_DIMS(0, 2)); }
static gr_tensor *lse_far(gr_tensor **x) { return gr_logsumexp(x[0], .dims = GR_DIMS(3)); }
static gr_tensor *lse_raw(gr_tensor **x) { return gr__apply1(&gr_op_logsumexp, gr_contiguous(x[0]), NULL); }
static const gr_sample lse_samples[] = { { "[2, 3] in -2..2", lse_raw }, { "[2, 3] in -2..2", lse_all }, { "[] in -2..2", lse_all }, { "[2, 3] in -2..2", lse_last }, { "[3, 2] in -2..2", lse_rows }, { "[2, 0]", lse_rows }, { "[2, 3, 2] in -2..2", lse_outer }, { NULL, NULL } };
static const gr_bad_call lse_bad[] = { { "[2, 3]", lse_far, GR_EINDEX, "logsumexp([2, 3]): dimension 3 is out of range. Fix: use -2 to 1" },
                                       { "i64 [2]", lse_raw, GR_EDTYPE, "logsumexp(i64 [2]): i64 has no exponential. Fix: convert with gr_astype" },
                                       { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_logsumexp = { .name = "logsumexp", .formula = "y = log(sum(exp(x)))", .gradient = "dx = dy * exp(x - y)", .arity = 1, .shape = lse_shape,
                                .forward = lse_forward, .vjp = lse_vjp, .reference_tensor = lse_reference, .samples = lse_samples, .bad = lse_bad };

/* ---- cross_entropy of rows -------------------------------------------------------------------------------------------------------*/
static bool ce_shape(gr_call *k)
{
    const gr_tensor *x = k->in[0], *t = k->in[1];
    if (!lse_shape(k)) return false;
    bool classes = t->dtype == GR_I64;
    if (classes ? t->ndim != k->ndim : t->ndim != x->ndim || t->dtype != x->dtype)
        return gr_reject(k, t->dtype == GR_I64 || t->ndim == x->ndim ? (classes ? GR_ESHAPE : GR_EDTYPE) : GR_ESHAPE,
                         "give i64 class numbers of one dimension less, or probabilities of the shape and dtype of the logits",
                         "the target fits neither as classes nor as probabilities");
    for (int d = 0; d < t->ndim; d++)
        if (t->dims[d] != x->dims[d])
            return gr_reject(k, GR_ESHAPE, "give one target for each row of logits", "size %lld of the target at dimension %d is not %lld",
                             (long long)t->dims[d], d, (long long)x->dims[d]);
    int64_t n = x->dims[x->ndim - 1];
    for (int64_t i = 0; classes && i < t->numel; i++) {
        int64_t v = ((const int64_t *)(const void *)t->data)[i];
        if (v < 0 || v >= n)
            return gr_reject(k, GR_EINDEX, "number the classes from 0", "target %lld of row %lld is out of range for %lld classes", (long long)v, (long long)i, (long long)n);
    }
    return true;
}

typedef struct ce_job {
    int type;
    int64_t n;
    bool classes;
    size_t size, target_row; /* bytes: of an element, of a row of the target */
    const char *x, *t, *dy;
    char *y, *dx;
} ce_job;

#define CE(S, T)                                                                                                     \
    /* log sum exp(x - m) - (x[t] - m), m = max x: the digits of a small loss do not drown in m */                   \
    static void S##_ce(int64_t first, int64_t rows, const void *two_, void *job)                                     \
    {                                                                                                                \
        const ce_job *k = job;                                                                                       \
        const int64_t n = k->n, *c = (const int64_t *)(const void *)k->t + first;                                    \
        const T *two = two_, *x = (const T *)(const void *)k->x + first * n, *p = (const T *)(const void *)k->t + first * n; \
        T *y = (T *)(void *)k->y + first;                                                                            \
        for (int64_t i = 0; i < rows; i++, x += n, two += 2) {                                                       \
            T sum = 0;                                                                                               \
            if (k->classes) sum = two[1] - (x[c[i]] - two[0]);                                                       \
            else for (int64_t j = 0; j < n; j++) sum += p[i * n + j] == 0 ? 0 : p[i * n + j] * (two[1] - (x[j] - two[0])); \
            y[i] = sum;                                                                                              \
        }                                                                                                            \
    }                                                                                                                \
    /* p - 1, p being element c of a row of softmax: where p is near 1, minus the sum of the others has more digits */\
    static T S##_less_1(int64_t n, T *row, int64_t c)                                                                \
    {                                                                                                                \
        if (row[c] < (T)0.99) return row[c] - 1;                                                                     \
        T part[8] = { 0 };                                                                                           \
        row[c] = 0;                                                                                                  \
        int64_t j = 0;                                                                                               \
        for (; j + 8 <= n; j += 8)                                                                                   \
            for (int k = 0; k < 8; k++) part[k] += row[j + k];                                                       \
        for (; j < n; j++) part[j % 8] += row[j];                                                                    \
        return -(((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7])));         \
    }                                                                                                                \
    /* dx holds softmax(x): dx = dy (softmax(x) sum(t) - t), a zero dy absorbing */                                  \
    static void S##_ce_dx(int64_t rows, int64_t n, bool classes, const void *t, const void *dy_, void *dx_)          \
    {                                                                                                                \
        const int64_t *c = t;                                                                                        \
        const T *p = t, *dy = dy_;                                                                                   \
        T *dx = dx_;                                                                                                 \
        for (int64_t i = 0; i < rows; i++, dx += n, p += n) {                                                        \
            const T g = dy[i];                                                                                       \
            T sum = 0;                                                                                               \
            if (classes) {                                                                                           \
                dx[c[i]] = S##_less_1(n, dx, c[i]);                                                                  \
                for (int64_t j = 0; j < n; j++) dx[j] *= g;                                                          \
                if (g == 0) memset(dx, 0, (size_t)n * sizeof(T));                                                    \
                continue;                                                                                            \
            }                                                                                                        \
            for (int64_t j = 0; j < n; j++) sum += p[j];                                                             \
            for (int64_t j = 0; j < n; j++) dx[j] = g == 0 ? 0 : g * (dx[j] * sum - p[j]);                           \
        }                                                                                                            \
    }
CE(f32, float)
CE(f64, double)

static ce_job ce_job_of(const gr_tensor *x, const gr_tensor *t)
{
    const int64_t n = x->dims[x->ndim - 1];
    const size_t size = gr__type_size((gr_type)x->dtype);
    const bool classes = t->dtype == GR_I64;
    return (ce_job){ .type = gr__kt(x), .n = n, .classes = classes, .size = size, .target_row = classes ? sizeof(int64_t) : (size_t)n * size, .x = x->data, .t = t->data };
}
/* Of few classes each row is a lane. */
static bool few_classes(const ce_job *j) { return j->classes && j->n <= GR_FEW_CLASSES; }
static void some_few_ce(void *user, int64_t begin, int64_t end, int worker)
{
    const ce_job *j = user;
    const size_t row = (size_t)begin;
    (void)worker;
    gr__kernels()->cross_entropy[j->type](end - begin, j->n, j->x + row * (size_t)j->n * j->size, (const int64_t *)(const void *)j->t + row, j->y + row * j->size);
}
static void some_ce_dx(void *user, int64_t begin, int64_t end, int worker)
{
    const ce_job *j = user;
    const size_t row = (size_t)begin, at = row * (size_t)j->n * j->size;
    (void)worker;
    if (few_classes(j)) {
        gr__kernels()->cross_entropy_dx[j->type](end - begin, j->n, j->x + at, (const int64_t *)(const void *)j->t + row, j->dy + row * j->size, j->dx + at);
        return;
    }
    gr__kernels()->softmax[j->type](end - begin, j->n, j->x + at, j->dx + at);
    (j->type == GR_K_F32 ? f32_ce_dx : f64_ce_dx)(end - begin, j->n, j->classes, j->t + row * j->target_row, j->dy + row * j->size, j->dx + at);
}

static bool ce_forward(const gr_call *k, gr_tensor *y)
{
    const gr_tensor *x = k->in[0], *t = k->in[1];
    if (!gr_is_contiguous(x)) return gr_reject(k, GR_EVALUE, "call gr_cross_entropy_rows", "the logits are not contiguous");
    if (!gr_is_contiguous(t)) return gr_reject(k, GR_EVALUE, "call gr_cross_entropy_rows", "the target is not contiguous");
    ce_job j = ce_job_of(x, t);
    j.y = y->data;
    if (!few_classes(&j)) run_sums(k, y, j.type == GR_K_F32 ? f32_ce : f64_ce, &j);
    else if (y->numel) gr__parallel_ranges(k->ctx, y->numel, ROW_NS(j.n), some_few_ce, &j);
    return true;
}
static gr_tensor *ce_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    gr_tensor *x = y->in[0], *t = y->in[1], *g = gr_unsqueeze(dy, -1);
    if (i == 1) return gr_amul(g, gr_neg(gr_log_softmax(x, -1)));
    if (t->dtype != GR_I64) return gr_amul(g, gr_sub_any(t_(gr_mul_any(t_(gr_softmax(x, -1)), t_(gr_sum(t, LAST)))), t_(t)));
    gr_tensor *log_p = gr_log_softmax(x, -1), *number = gr_arange(x->ctx, 0, (double)x->dims[x->ndim - 1], 1, .dtype = GR_I64);
    gr_tensor *hit = gr_eq_any(t_(gr_unsqueeze(t, -1)), t_(number)); /* there p - 1, with the digits that it has near 0 */
    return gr_amul(g, gr_where_any(hit, t_(gr_expm1(log_p)), t_(gr_exp(log_p))));
}
static bool ce_backward(gr_tensor *y, gr_tensor *dy, gr_tensor **dx)
{
    gr_tensor *x = y->in[0], *t = y->in[1];
    if (gr_wants(y, 1) && !(dx[1] = ce_vjp(y, dy, 1))) return false;
    if (!gr_wants(y, 0)) return true;
    gr_tensor *g = dx[0] = gr_empty_like(x);
    if (!g || !gr_is_contiguous(dy)) dy = gr_contiguous(dy);
    if (!g || !dy) return false;
    if (!x->numel) return true;
    ce_job j = ce_job_of(x, t);
    j.dy = dy->data, j.dx = g->data;
    gr__parallel_ranges(x->ctx, y->numel, ROW_NS(j.n), some_ce_dx, &j);
    return true;
}
static bool ce_reference(const gr_call *k, double *const *x, double *y)
{
    int64_t n = k->in[0]->dims[k->in[0]->ndim - 1];
    for (int64_t i = 0; i < gr__count(k->ndim, k->dim); i++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++) sum += exp(x[0][i * n + j]);
        y[i] = k->in[1]->dtype == GR_I64 ? log(sum) - x[0][i * n + (int64_t)x[1][i]] : 0;
        for (int64_t j = 0; k->in[1]->dtype != GR_I64 && j < n; j++) y[i] += x[1][i * n + j] * (log(sum) - x[0][i * n + j]);
    }
    return true;
}
/* [n, classes, d1, ...] to [n, d1, ..., classes] */
static gr_tensor *classes_last(gr_tensor *x)
{
    if (!x || x->ndim <= 2) return x;
    gr_dims order = { .n = x->ndim };
    for (int d = 1; d < order.n; d++) order.v[d] = d == order.n - 1 ? 1 : d + 1;
    return gr_permute(x, order);
}

gr_tensor *gr_cross_entropy_rows(gr_tensor *x, gr_tensor *t)
{
    if (gr__ready(x) && t && t->ctx == x->ctx) {
        if (!gr_is_float(x)) x = gr_astype(x, gr__float_type(x->ctx));
        x = classes_last(x);
        if (t->dtype != GR_I64) t = classes_last(t);
        x = gr_contiguous(x), t = gr_contiguous(t);
    }
    return gr_apply(&gr_op_cross_entropy, (gr_tensor *[]){ x, t }, 2, NULL);
}
static gr_tensor *ce(gr_tensor **x) { return gr_cross_entropy_rows(x[0], x[1]); }
static gr_tensor *ce_soft(gr_tensor **x) { return gr_cross_entropy_rows(x[0], gr_softmax(x[1], -1)); }
static const gr_sample ce_samples[] = { { "[4, 3] in -2..2; i64 [4] in 0..2", ce }, { "[3] in -2..2; i64 [] in 0..2", ce }, { "[2, 3] in -2..2; [2, 3] in 0.1..1", ce }, { "[2, 3] in -2..2; [2, 3]", ce_soft }, { "[0, 3]; i64 [0] in 0..0", ce }, { "[2, 3, 2] in -2..2; i64 [2, 2] in 0..2", ce }, { "[2, 3, 2, 2] in -2..2; i64 [2, 2, 2] in 0..2", ce }, { NULL, NULL } };
static const gr_bad_call ce_bad[] = {
    { "[2, 3]; i64 [2] in 3..3", ce, GR_EINDEX, "cross_entropy([2, 3], i64 [2]): target 3 of row 0 is out of range for 3 classes. Fix: number the classes from 0" },
    { "[2, 3]; i64 [3] in 0..2", ce, GR_ESHAPE, "cross_entropy([2, 3], i64 [3]): size 3 of the target at dimension 0 is not 2. Fix: give one target for each row of logits" },
    { "[2, 3]; [2]", ce, GR_ESHAPE,
      "cross_entropy([2, 3], [2]): the target fits neither as classes nor as probabilities. Fix: give i64 class numbers of one dimension less, or probabilities of the shape and dtype of the logits" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_cross_entropy = { .name = "cross_entropy", .formula = "y = -log(softmax(x))[t]", .gradient = "dx = dy * (softmax(x) - onehot(t)); dt = -dy * log_softmax(x)", .arity = 2,
                                    .shape = ce_shape, .forward = ce_forward, .vjp = ce_vjp, .backward = ce_backward,
                                    .reference_tensor = ce_reference, .samples = ce_samples, .bad = ce_bad };
