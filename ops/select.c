/* Reading and adding whole rows by index: index_select and its adjoint index_add; embeddings are the first along dim 0.
 * The index has any shape: its dimensions take the place of dim.
 * SPDX-License-Identifier: MIT */
#include "ops/record.h"

#include <string.h>

typedef struct select_attr {
    int dim;
} select_attr;
static int dim_of(const void *attr) { return ((const select_attr *)attr)->dim; }
static void describe(const void *attr, char *out, size_t size) { snprintf(out, size, "dim %d", dim_of(attr)); }

/* x as [outer, size, inner], the rows as [outer, index.numel, inner] */
static int64_t outer_of(const gr_tensor *x, int dim) { return gr__count(dim, x->dims); }
static int64_t inner_of(const gr_tensor *x, int dim) { return gr__count(x->ndim - dim - 1, x->dims + dim + 1); }

/* Is the index i64 and every entry in [0, size of x)? */
static bool index_fits(gr_call *k)
{
    const gr_tensor *x = k->in[0], *index = k->in[1];
    int dim = dim_of(k->attr);
    if (index->dtype != GR_I64) return gr_reject(k, GR_EDTYPE, "convert it with gr_astype(index, GR_I64)", "the index is %s, not i64", gr_dtype_name((gr_type)index->dtype));
    if (x->ndim - 1 + index->ndim > GR_MAX_RANK) return gr_reject(k, GR_ESHAPE, "reshape the index", "the result would have rank %d", x->ndim - 1 + index->ndim);
    for (int i = 0; i < k->n; i++)
        if (!gr_is_contiguous(k->in[i])) return gr_reject(k, GR_EVALUE, "call the public function", "an input is not contiguous");
    for (int64_t i = 0; i < index->numel; i++) {
        int64_t v = ((const int64_t *)(const void *)index->data)[i], at[GR_MAX_RANK];
        char where[200];
        if (v >= 0 && v < x->dims[dim]) continue;
        gr__unravel(i, index->ndim, index->dims, at);
        gr__format_dims(where, sizeof where, index->ndim, at);
        return gr_reject(k, GR_EINDEX, "count from 0", "index%s is %lld, out of range for dimension %d of size %lld", where, (long long)v, dim, (long long)x->dims[dim]);
    }
    return true;
}

/* sizes of x with those of the index in place of dim */
static int rows_shape(const gr_tensor *x, const gr_tensor *index, int dim, int64_t *size)
{
    int n = 0;
    for (int d = 0; d < dim; d++) size[n++] = x->dims[d];
    for (int d = 0; d < index->ndim; d++) size[n++] = index->dims[d];
    for (int d = dim + 1; d < x->ndim; d++) size[n++] = x->dims[d];
    return n;
}

static gr_tensor *apply(const gr_op *op, gr_tensor *x, int dim, gr_tensor *index, gr_tensor *src)
{
    gr_tensor *in[] = { x, index, src };
    if (!gr__ready(x)) return NULL;
    select_attr a = { gr__dim(op->name, x, dim) };
    for (int i = 0; i < op->arity; i++)
        if (in[i] && in[i]->ctx == x->ctx) in[i] = gr_contiguous(in[i]);
    return a.dim < 0 ? NULL : gr_apply(op, in, op->arity, &a);
}
gr_tensor *gr_index_select(gr_tensor *x, int dim, gr_tensor *index) { return apply(&gr_op_index_select, x, dim, index, NULL); }
gr_tensor *gr_index_add(gr_tensor *x, int dim, gr_tensor *index, gr_tensor *src) { return apply(&gr_op_index_add, x, dim, index, src); }

/* ---- index_select ----------------------------------------------------------------------------------------------------------*/
static bool select_shape(gr_call *k)
{
    if (!index_fits(k)) return false;
    k->dtype = (gr_type)k->in[0]->dtype;
    k->ndim = rows_shape(k->in[0], k->in[1], dim_of(k->attr), k->dim);
    return true;
}
/* Rows are copied, or added, as [outer, m, inner] by an index of m. */
#define BYTE_NS 0.02 /* of a copy from memory */
typedef struct rows_job {
    const int64_t *index;
    int64_t outer, m, size, inner;
    size_t bytes; /* of an element */
    int type;
    char *x, *y;
} rows_job;

static rows_job rows_job_of(const gr_call *k, const gr_tensor *x, const gr_tensor *y)
{
    const gr_tensor *whole = k->in[0];
    const int dim = dim_of(k->attr);
    return (rows_job){ (const int64_t *)(const void *)k->in[1]->data, outer_of(whole, dim), k->in[1]->numel, whole->dims[dim], inner_of(whole, dim),
                       gr__type_size((gr_type)whole->dtype), gr__kt(whole), x->data, y->data };
}

static void select_rows(void *user, int64_t begin, int64_t end, int worker)
{
    const rows_job *j = user;
    const size_t row = (size_t)j->inner * j->bytes;
    (void)worker;
    for (int64_t i = begin; i < end; i++) memcpy(j->y + (size_t)i * row, j->x + (size_t)(i / j->m * j->size + j->index[i % j->m]) * row, row);
}
static bool select_forward(const gr_call *k, gr_tensor *y)
{
    rows_job j = rows_job_of(k, k->in[0], y);
    if (y->numel) gr__parallel_ranges(k->ctx, j.outer * j.m, 5 + BYTE_NS * (double)j.inner * (double)j.bytes, select_rows, &j);
    return true;
}
static gr_tensor *select_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    return i == 0 ? gr_index_add(gr_zeros_like(y->in[0]), dim_of(y->attr), y->in[1], dy) : NULL;
}
static bool select_reference(const gr_call *k, double *const *x, double *y)
{
    const gr_tensor *t = k->in[0], *index = k->in[1];
    int64_t inner = inner_of(t, dim_of(k->attr)), size = t->dims[dim_of(k->attr)];
    for (int64_t i = 0; i < gr__count(k->ndim, k->dim); i++) {
        int64_t o = i / inner / index->numel, row = i / inner % index->numel;
        y[i] = x[0][(o * size + (int64_t)x[1][row]) * inner + i % inner];
    }
    return true;
}
gr_tensor *gr_embedding(gr_tensor *weight, gr_tensor *index)
{
    if (!gr__ready(weight)) return NULL;
    if (weight->ndim == 2) return gr_index_select(weight, 0, index);
    char text[256];
    gr__format_tensor_ref(text, sizeof text, weight);
    gr_fail(weight->ctx, GR_ESHAPE, "embedding(%s): the weight is no matrix. Fix: give one row for each index, [rows, width]", text);
    return NULL;
}
static gr_tensor *select_0(gr_tensor **x) { return gr_index_select(x[0], 0, x[1]); }
static gr_tensor *select_1(gr_tensor **x) { return gr_index_select(x[0], 1, x[1]); }
static gr_tensor *embed(gr_tensor **x) { return gr_embedding(x[0], x[1]); }
static const gr_sample select_samples[] = { { "[3, 2]; i64 [4] in 0..2", select_0 }, { "[2, 3, 2]; i64 [5] in 0..2", select_1 }, { "[4, 3]; i64 [2, 3] in 0..3", embed }, { "[5]; i64 [] in 0..4", select_0 }, { "[3, 2]; i64 [0] in 0..2", select_0 }, { "[3, 2]; i64 [2, 2] in 0..1", select_1 }, { "[3, 0]; i64 [2] in 0..2", select_0 }, { NULL, NULL } };
static const gr_bad_call select_bad[] = {
    { "[3, 2]; [2]", select_0, GR_EDTYPE, "index_select([3, 2], [2]): the index is f64, not i64. Fix: convert it with gr_astype(index, GR_I64)" },
    { "[3, 2]; i64 [2, 1] in 5..5", embed, GR_EINDEX, "index_select([3, 2], i64 [2, 1]): index[0, 0] is 5, out of range for dimension 0 of size 3. Fix: count from 0" },
    { "[3]; i64 [2] in 0..2", embed, GR_ESHAPE, "embedding([3]): the weight is no matrix. Fix: give one row for each index, [rows, width]" },
    { "[3]; i64 [2] in 0..2", select_1, GR_EINDEX, "index_select([3]): dimension 1 is out of range. Fix: use -1 to 0" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_index_select = { .name = "index_select", .formula = "y[i, j] = x[index[i], j]", .gradient = "dx[index[i], j] += dy[i, j]", .arity = 2,
                                   .flags = GR_OP_MOVES, .attr_size = sizeof(select_attr), .shape = select_shape, .forward = select_forward,
                                   .vjp = select_vjp, .describe = describe, .reference_tensor = select_reference,
                                   .samples = select_samples, .bad = select_bad };

/* ---- index_add -------------------------------------------------------------------------------------------------------------*/
static bool add_shape(gr_call *k)
{
    const gr_tensor *x = k->in[0], *src = k->in[2];
    int64_t want[2 * GR_MAX_RANK];
    k->dtype = (gr_type)x->dtype;
    k->ndim = x->ndim;
    for (int d = 0; d < x->ndim; d++) k->dim[d] = x->dims[d];
    if (x->dtype == GR_BOOL) return gr_reject(k, GR_EDTYPE, "convert with gr_astype", "bools have no sum");
    if (src->dtype != x->dtype) return gr_reject(k, GR_EDTYPE, "convert one with gr_astype", "x is %s, src %s", gr_dtype_name((gr_type)x->dtype), gr_dtype_name((gr_type)src->dtype));
    if (!index_fits(k)) return false;
    int n = rows_shape(x, k->in[1], dim_of(k->attr), want);
    if (src->ndim == n && memcmp(want, src->dims, (size_t)n * sizeof *want) == 0) return true;
    char text[200];
    gr__format_dims(text, sizeof text, n, want);
    return gr_reject(k, GR_ESHAPE, "give the shape that gr_index_select has", "src is not %s", text);
}
/* Several rows may go to one place, in the order of the index: threads take columns, in blocks of whole cache lines. */
#define COLUMNS 64
static void add_columns(void *user, int64_t begin, int64_t end, int worker)
{
    const rows_job *j = user;
    const int64_t first = begin * COLUMNS, rest = j->inner - first, n = (end - begin) * COLUMNS < rest ? (end - begin) * COLUMNS : rest;
    gr_ew_fn *add = gr__kernels()->ew[GR_EW_add][j->type];
    (void)worker;
    for (int64_t i = 0; i < j->outer * j->m; i++) {
        char *to = j->y + (size_t)((i / j->m * j->size + j->index[i % j->m]) * j->inner + first) * j->bytes;
        add(n, (char *[]){ to, to, j->x + (size_t)(i * j->inner + first) * j->bytes });
    }
}
static bool add_forward(const gr_call *k, gr_tensor *y)
{
    rows_job j = rows_job_of(k, k->in[2], y);
    if (!y->numel) return true;
    memcpy(y->data, k->in[0]->data, (size_t)y->numel * j.bytes);
    gr__parallel_ranges(k->ctx, (j.inner + COLUMNS - 1) / COLUMNS, (double)(j.outer * j.m) * (10 + BYTE_NS * COLUMNS * (double)j.bytes), add_columns, &j);
    return true;
}
static gr_tensor *add_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    if (i == 0) return dy;
    return i == 2 ? gr_index_select(dy, dim_of(y->attr), y->in[1]) : NULL;
}
static bool add_reference(const gr_call *k, double *const *x, double *y)
{
    const gr_tensor *t = k->in[0];
    int64_t inner = inner_of(t, dim_of(k->attr)), size = t->dims[dim_of(k->attr)], m = k->in[1]->numel;
    for (int64_t i = 0; i < t->numel; i++) y[i] = x[0][i];
    for (int64_t i = 0; i < k->in[2]->numel; i++) y[(i / inner / m * size + (int64_t)x[1][i / inner % m]) * inner + i % inner] += x[2][i];
    return true;
}
static gr_tensor *add_0(gr_tensor **x) { return gr_index_add(x[0], 0, x[1], x[2]); }
static gr_tensor *add_1(gr_tensor **x) { return gr_index_add(x[0], 1, x[1], x[2]); }
static const gr_sample add_samples[] = { { "[3, 2]; i64 [4] in 0..2; [4, 2]", add_0 }, { "[2, 3, 2]; i64 [5] in 0..2; [2, 5, 2]", add_1 }, { "[4, 3]; i64 [2, 3] in 0..3; [2, 3, 3]", add_0 }, { "[5]; i64 [] in 0..4; []", add_0 }, { "[3, 2]; i64 [0] in 0..2; [0, 2]", add_0 }, { "[3, 2]; i64 [2] in 0..1; [3, 2]", add_1 }, { NULL, NULL } };
static const gr_bad_call add_bad[] = {
    { "[3, 2]; i64 [2] in 0..2; [2, 3]", add_0, GR_ESHAPE, "index_add([3, 2], i64 [2], [2, 3]): src is not [2, 2]. Fix: give the shape that gr_index_select has" },
    { "[3, 2]; i64 [2] in 3..3; [2, 2]", add_0, GR_EINDEX, "index_add([3, 2], i64 [2], [2, 2]): index[0] is 3, out of range for dimension 0 of size 3. Fix: count from 0" },
    { "[3]; i64 [2] in 0..2; i64 [2]", add_0, GR_EDTYPE, "index_add([3], i64 [2], i64 [2]): x is f64, src i64. Fix: convert one with gr_astype" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_index_add = { .name = "index_add", .formula = "y = x, then y[index[i], j] += src[i, j]", .gradient = "dx = dy; dsrc[i, j] = dy[index[i], j]", .arity = 3,
                                .attr_size = sizeof(select_attr), .shape = add_shape, .forward = add_forward, .vjp = add_vjp,
                                .describe = describe, .reference_tensor = add_reference, .samples = add_samples, .bad = add_bad };
