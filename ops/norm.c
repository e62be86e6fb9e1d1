/* Layer norm: rows brought to mean 0 and variance 1, then scaled and shifted, in one operation.
 *
 *   h = (x - m) r,  m = mean x,  r = 1 / sqrt(mean (x - m)^2 + eps),  y = h w + b.  With g = dy w:
 *   dx = r (g - mean g - h mean(g h)): the two means are what m and r send back to every element.
 *
 * The variance is that of the differences from the mean, so that nothing cancels. Knows no layer.
 * SPDX-License-Identifier: MIT */
#include "ops/record.h"

#include <math.h>

#define LAST .dims = GR_DIMS(-1), .keepdim = true
static gr_operand t_(gr_tensor *t) { return gr_operand_tensor(t); }
static gr_operand n_(double v) { return gr_operand_number(v); }

typedef struct norm_attr {
    double eps;
} norm_attr;
static double eps_of(const void *attr) { return ((const norm_attr *)attr)->eps; }
static void describe(const void *attr, char *out, size_t size) { snprintf(out, size, "eps %g", eps_of(attr)); }

/* ---- layer_norm ----------------------------------------------------------------------------------------------------------------*/
static bool norm_shape(gr_call *k)
{
    const gr_tensor *x = k->in[0];
    if (!gr_is_float(x)) return gr_reject(k, GR_EDTYPE, "convert with gr_astype", "%s has no variance", gr_dtype_name((gr_type)x->dtype));
    if (x->ndim == 0) return gr_reject(k, GR_ESHAPE, "reshape it to [1] first", "a scalar has no dimension to normalise");
    int64_t n = x->dims[x->ndim - 1];
    for (int i = 1; i < 3; i++) {
        const gr_tensor *w = k->in[i];
        const char *name = i == 1 ? "weight" : "bias";
        if (w->dtype != x->dtype)
            return gr_reject(k, GR_EDTYPE, "convert one with gr_astype", "x is %s, the %s %s", gr_dtype_name((gr_type)x->dtype), name, gr_dtype_name((gr_type)w->dtype));
        if (w->ndim != 1 || w->dims[0] != n)
            return gr_reject(k, GR_ESHAPE, "give it one element for each column", "the %s is not [%lld], the last size of x", name, (long long)n);
    }
    if (!(eps_of(k->attr) >= 0)) return gr_reject(k, GR_EVALUE, "use a small number such as 1e-5", "eps %g is no number above 0", eps_of(k->attr));
    for (int i = 0; i < 3; i++)
        if (!gr_is_contiguous(k->in[i])) return gr_reject(k, GR_EVALUE, "call gr_layer_norm", "an input is not contiguous");
    k->dtype = (gr_type)x->dtype;
    k->ndim = x->ndim;
    for (int d = 0; d < x->ndim; d++) k->dim[d] = x->dims[d];
    return true;
}

typedef struct norm_job {
    int type;
    int64_t n, rows, chunk;  /* columns; rows, in all and in a chunk */
    size_t row;              /* bytes */
    double eps;
    const char *x, *w, *b, *dy;
    char *y, *dx, *dw, *db;  /* NULL: not wanted */
    char *parts;             /* dw and db of chunk 1, then of chunk 2, ... */
} norm_job;

#define ROW_NS(n) (20 + 0.4 * (double)(n)) /* of three passes over a row that stays in the cache */
static void some_rows(void *user, int64_t begin, int64_t end, int worker)
{
    const norm_job *j = user;
    const size_t at = (size_t)begin * j->row;
    (void)worker;
    gr__kernels()->layer_norm[j->type](end - begin, j->n, j->eps, j->x + at, j->w, j->b, j->y + at);
}

static bool norm_forward(const gr_call *k, gr_tensor *y)
{
    const gr_tensor *x = k->in[0];
    const int64_t n = x->dims[x->ndim - 1];
    norm_job j = { .type = gr__kt(x), .n = n, .row = (size_t)n * gr__type_size((gr_type)x->dtype), .eps = eps_of(k->attr), .x = x->data,
                   .w = k->in[1]->data, .b = k->in[2]->data, .y = y->data };
    if (x->numel) gr__parallel_ranges(k->ctx, x->numel / n, ROW_NS(n), some_rows, &j);
    return true;
}

static gr_tensor *norm_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    gr_tensor *x = y->in[0], *w = y->in[1];
    gr_dims row = gr_dims_of(w->dims, 1);
    if (i == 2) return gr_sum_to(dy, row);
    gr_tensor *d = gr_sub_any(t_(x), t_(gr_mean(x, LAST)));
    gr_tensor *r = gr_reciprocal(gr_sqrt(gr_add_any(t_(gr_mean(gr_square(d), LAST)), n_(eps_of(y->attr)))));
    gr_tensor *h = gr_mul_any(t_(d), t_(r));
    if (i == 1) return gr_sum_to(gr_amul(dy, h), row);
    gr_tensor *g = gr_amul(dy, w), *along = gr_amul(gr_mean(gr_amul(g, h), LAST), h);
    return gr_amul(gr_sub_any(t_(gr_sub_any(t_(g), t_(gr_mean(g, LAST)))), t_(along)), r);
}

/* Chunks of rows, each with its own sums dw and db; how many depends on the shape alone, so that the sums do too. */
#define MAX_CHUNKS 16
#define CHUNK_LEAST 16384 /* elements: so that adding up the chunks is nothing beside them */
static void some_chunks(void *user, int64_t begin, int64_t end, int worker)
{
    const norm_job *j = user;
    (void)worker;
    for (int64_t c = begin; c < end; c++) {
        const int64_t first = c * j->chunk, rows = j->rows - first < j->chunk ? j->rows - first : j->chunk;
        const size_t at = (size_t)first * j->row;
        char *dw = j->dw, *db = j->db;
        if (c > 0) dw = j->parts + (size_t)(2 * (c - 1)) * j->row, db = dw + j->row;
        gr__kernels()->layer_norm_back[j->type](rows, j->n, j->eps, j->x + at, j->w, j->dy + at, j->dx ? j->dx + at : NULL, j->dw ? dw : NULL, j->db ? db : NULL);
    }
}

static bool back_by_chunks(gr_ctx *c, norm_job *j)
{
    const int64_t n = j->n, most = j->rows * n / CHUNK_LEAST, chunks = most < 1 ? 1 : most > MAX_CHUNKS ? MAX_CHUNKS : most;
    j->chunk = (j->rows + chunks - 1) / chunks;
    const int64_t used = (j->rows + j->chunk - 1) / j->chunk; /* the last chunks may be left without rows */
    gr_block *parts = gr__block_new(c, (size_t)(2 * (used - 1)) * j->row);
    if (!parts) return false;
    j->parts = gr__block_data(parts);
    gr__parallel_ranges(c, used, ROW_NS(2 * n) * (double)j->chunk, some_chunks, j);
    gr_ew_fn *add = gr__kernels()->ew[GR_EW_add][j->type];
    for (int64_t i = 0; i < 2 * (used - 1); i++) {
        char *sum = i % 2 ? j->db : j->dw;
        if (sum) add(n, (char *[]){ sum, sum, j->parts + (size_t)i * j->row });
    }
    gr__block_unref(c, parts);
    return true;
}

static bool norm_backward(gr_tensor *y, gr_tensor *dy, gr_tensor **dx)
{
    gr_tensor *x = y->in[0], *w = y->in[1];
    const int64_t n = x->dims[x->ndim - 1];
    dy = gr_contiguous(dy);
    if (!dy) return false;
    for (int i = 0; i < 3; i++)
        if (gr_wants(y, i) && !(dx[i] = x->numel ? gr_empty_like(y->in[i]) : gr_zeros_like(y->in[i]))) return false;
    norm_job j = { .type = gr__kt(x), .n = n, .rows = n ? x->numel / n : 0, .row = (size_t)n * gr__type_size((gr_type)x->dtype), .eps = eps_of(y->attr),
                   .x = x->data, .w = w->data, .dy = dy->data, .dx = dx[0] ? dx[0]->data : NULL, .dw = dx[1] ? dx[1]->data : NULL,
                   .db = dx[2] ? dx[2]->data : NULL };
    return x->numel == 0 || back_by_chunks(y->ctx, &j);
}

static bool norm_reference(const gr_call *k, double *const *x, double *y)
{
    const gr_tensor *t = k->in[0];
    int64_t n = t->dims[t->ndim - 1];
    for (int64_t i = 0; i < t->numel; i += n) {
        double mean = 0, var = 0;
        for (int64_t j = 0; j < n; j++) mean += x[0][i + j] / (double)n;
        for (int64_t j = 0; j < n; j++) var += (x[0][i + j] - mean) * (x[0][i + j] - mean) / (double)n;
        for (int64_t j = 0; j < n; j++) y[i + j] = (x[0][i + j] - mean) / sqrt(var + eps_of(k->attr)) * x[1][j] + x[2][j];
    }
    return true;
}

gr_tensor *gr_layer_norm_with(gr_tensor *x, gr_layer_norm_opts o)
{
    if (!gr__ready(x)) return NULL;
    if (!gr_is_float(x)) x = gr_astype(x, gr__float_type(x->ctx));
    if (!x) return NULL;
    gr_dims row = GR_SHAPE(x->ndim ? x->dims[x->ndim - 1] : 1);
    gr_type type = (gr_type)x->dtype;
    gr_tensor *w = o.weight ? o.weight : gr_ones(x->ctx, row, .dtype = type), *b = o.bias ? o.bias : gr_zeros(x->ctx, row, .dtype = type);
    if (w && w->ctx == x->ctx) w = gr_contiguous(w);
    if (b && b->ctx == x->ctx) b = gr_contiguous(b);
    return gr_apply(&gr_op_layer_norm, (gr_tensor *[]){ gr_contiguous(x), w, b }, 3, &(norm_attr){ o.eps != 0 ? o.eps : 1e-5 });
}

static gr_tensor *norm_all(gr_tensor **x) { return gr_layer_norm(x[0], .weight = x[1], .bias = x[2]); }
static gr_tensor *norm_alone(gr_tensor **x) { return gr_layer_norm(x[0], .eps = 0.1); }
static gr_tensor *norm_weight(gr_tensor **x) { return gr_layer_norm(x[0], .weight = x[1]); }
static gr_tensor *norm_negative(gr_tensor **x) { return gr_layer_norm(x[0], .eps = -1); }
static const gr_sample norm_samples[] = { { "[3, 4]; [4]; [4]", norm_all }, { "[2, 2, 3]; [3]; [3]", norm_all }, { "[1, 5]; [5]; [5]", norm_all },
                                          { "[4, 3]", norm_alone }, { "[0, 3]; [3]; [3]", norm_all }, { "[2, 5]; [5]", norm_weight },
                                          { "[2, 18]; [18]; [18]", norm_all }, { "[3, 1]", norm_alone }, { NULL, NULL } };
static const gr_bad_call norm_bad[] = {
    { "[]", norm_alone, GR_ESHAPE, "layer_norm([], [1], [1]): a scalar has no dimension to normalise. Fix: reshape it to [1] first" },
    { "[2, 3]; [2]; [3]", norm_all, GR_ESHAPE,
      "layer_norm([2, 3], [2], [3]): the weight is not [3], the last size of x. Fix: give it one element for each column" },
    { "[2, 3]; i64 [3]; [3]", norm_all, GR_EDTYPE, "layer_norm([2, 3], i64 [3], [3]): x is f64, the weight i64. Fix: convert one with gr_astype" },
    { "[2, 3]", norm_negative, GR_EVALUE, "layer_norm([2, 3], [3], [3]): eps -1 is no number above 0. Fix: use a small number such as 1e-5" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_layer_norm = { .name = "layer_norm", .formula = "y = h * w + b, h = (x - mean(x)) * r, r = 1 / sqrt(mean((x - mean(x))^2) + eps)",
                                 .gradient = "dx = r * (dy * w - mean(dy * w) - h * mean(dy * w * h)); dw = sum(dy * h); db = sum(dy)", .arity = 3,
                                 .attr_size = sizeof(norm_attr), .shape = norm_shape, .forward = norm_forward, .vjp = norm_vjp,
                                 .backward = norm_backward, .describe = describe, .reference_tensor = norm_reference,
                                 .samples = norm_samples, .bad = norm_bad };
