/* Reading and adding by index: gather and its adjoint scatter_add.
 * SPDX-License-Identifier: MIT */
#include "ops/record.h"

#include <string.h>

typedef struct index_attr {
    int dim;
} index_attr;

static int dim_of(const void *attr) { return ((const index_attr *)attr)->dim; }
static void describe(const void *attr, char *out, size_t size) { snprintf(out, size, "dim %d", dim_of(attr)); }

/* Is the index i64, of the rank of x, not larger than `bound` but along dim, and every entry in [0, size of x)? */
static bool index_fits(gr_call *k, const gr_tensor *index)
{
    const gr_tensor *x = k->in[0];
    int dim = dim_of(k->attr);
    if (index->dtype != GR_I64) return gr_reject(k, GR_EDTYPE, "convert it with gr_astype(index, GR_I64)", "the index is %s, not i64", gr_dtype_name((gr_type)index->dtype));
    if (index->ndim != x->ndim) return gr_reject(k, GR_ESHAPE, "reshape it", "the index has rank %d, x has %d", index->ndim, x->ndim);
    for (int d = 0; d < x->ndim; d++)
        if (d != dim && index->dims[d] > x->dims[d])
            return gr_reject(k, GR_ESHAPE, "its sizes are at most those of x, but for the indexed one", "size %lld of the index at dimension %d is more than %lld",
                             (long long)index->dims[d], d, (long long)x->dims[d]);
    for (int64_t i = 0; i < index->numel; i++) {
        int64_t at[GR_MAX_RANK], offset = 0;
        gr__unravel(i, index->ndim, index->dims, at);
        for (int d = 0; d < index->ndim; d++) offset += at[d] * gr__stride(index)[d];
        int64_t v = ((const int64_t *)(const void *)index->data)[offset];
        if (v >= 0 && v < x->dims[dim]) continue;
        char where[200];
        gr__format_dims(where, sizeof where, index->ndim, at);
        return gr_reject(k, GR_EINDEX, "count from 0", "index%s is %lld, out of range for dimension %d of size %lld", where, (long long)v, dim,
                         (long long)x->dims[dim]);
    }
    return true;
}

/* Visits every entry of the index: offsets into a tensor read or written by position (p) and one by index (q). */
typedef void visit_fn(char *p, char *q, gr_type type);
static void visit(const gr_tensor *index, const gr_tensor *p, const gr_tensor *q, int dim, visit_fn *f)
{
    int64_t size = (int64_t)gr__type_size((gr_type)p->dtype), at[GR_MAX_RANK] = { 0 };
    for (int64_t i = 0; i < index->numel; i++) {
        int64_t io = 0, po = 0, qo = 0;
        for (int d = 0; d < index->ndim; d++) {
            io += at[d] * gr__stride(index)[d];
            po += at[d] * gr__stride(p)[d];
            if (d != dim) qo += at[d] * gr__stride(q)[d];
        }
        qo += ((const int64_t *)(const void *)index->data)[io] * gr__stride(q)[dim];
        f(p->data + po * size, q->data + qo * size, (gr_type)p->dtype);
        for (int d = index->ndim - 1; d >= 0 && ++at[d] == index->dims[d]; d--) at[d] = 0;
    }
}
static void read_one(char *p, char *q, gr_type type) { memcpy(p, q, gr__type_size(type)); }
static void add_one(char *p, char *q, gr_type type)
{
    if (type == GR_F32) *(float *)(void *)q += *(float *)(void *)p;
    else if (type == GR_F64) *(double *)(void *)q += *(double *)(void *)p;
    else *(uint64_t *)(void *)q += *(uint64_t *)(void *)p; /* wraps */
}

/* ---- gather ------------------------------------------------------------------------------------------------------------------*/
static bool gather_shape(gr_call *k)
{
    const gr_tensor *index = k->in[1];
    k->dtype = (gr_type)k->in[0]->dtype;
    k->ndim = index->ndim;
    for (int d = 0; d < index->ndim; d++) k->dim[d] = index->dims[d];
    return index_fits(k, index);
}
static bool gather_forward(const gr_call *k, gr_tensor *y) { return visit(k->in[1], y, k->in[0], dim_of(k->attr), read_one), true; }
static gr_tensor *gather_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    return i == 0 ? gr_scatter_add(gr_zeros_like(y->in[0]), dim_of(y->attr), y->in[1], dy) : NULL;
}
static bool gather_reference(const gr_call *k, double *const *x, double *y)
{
    int64_t at[GR_MAX_RANK];
    for (int64_t i = 0; i < gr__count(k->ndim, k->dim); i++) {
        gr__unravel(i, k->ndim, k->dim, at);
        at[dim_of(k->attr)] = (int64_t)x[1][i];
        y[i] = x[0][gr__ravel(k->ndim, k->in[0]->dims, at)];
    }
    return true;
}
gr_tensor *gr_gather(gr_tensor *x, int dim, gr_tensor *index)
{
    if (!gr__ready(x)) return NULL;
    index_attr a = { gr__dim("gather", x, dim) };
    return a.dim < 0 ? NULL : gr_apply(&gr_op_gather, (gr_tensor *[]){ x, index }, 2, &a);
}
static gr_tensor *gather_0(gr_tensor **x) { return gr_gather(x[0], 0, x[1]); }
static gr_tensor *gather_1(gr_tensor **x) { return gr_gather(x[0], 1, x[1]); }
static const gr_sample gather_samples[] = { { "[3, 2]; i64 [4, 2] in 0..2", gather_0 }, { "[2, 3]; i64 [2, 1] in 0..2", gather_1 }, { "[4]; i64 [6] in 0..3", gather_0 }, { "[3, 2]; i64 [0, 2] in 0..2", gather_0 }, { "[3, 2, 2]; i64 [2, 3, 1] in 0..1", gather_1 }, { "[1]; i64 [2] in 0..0", gather_0 }, { NULL, NULL } };
static const gr_bad_call gather_bad[] = {
    { "[3]; [2]", gather_0, GR_EDTYPE, "gather([3], [2]): the index is f64, not i64. Fix: convert it with gr_astype(index, GR_I64)" },
    { "[3]; i64 [2, 1]", gather_0, GR_ESHAPE, "gather([3], i64 [2, 1]): the index has rank 2, x has 1. Fix: reshape it" },
    { "[3]; i64 [2] in 5..5", gather_0, GR_EINDEX, "gather([3], i64 [2]): index[0] is 5, out of range for dimension 0 of size 3. Fix: count from 0" },
    { "[3, 2]; i64 [1, 3] in 0..0", gather_0, GR_ESHAPE,
      "gather([3, 2], i64 [1, 3]): size 3 of the index at dimension 1 is more than 2. Fix: its sizes are at most those of x, but for the indexed one" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_gather = { .name = "gather", .formula = "y[i] = x[index[i]]", .gradient = "dx[index[i]] += dy[i]", .arity = 2,
                             .flags = GR_OP_MOVES, .attr_size = sizeof(index_attr), .shape = gather_shape, .forward = gather_forward, .vjp = gather_vjp,
                             .describe = describe, .reference_tensor = gather_reference, .samples = gather_samples, .bad = gather_bad };

/* ---- scatter_add -------------------------------------------------------------------------------------------------------------*/
static bool scatter_shape(gr_call *k)
{
    const gr_tensor *x = k->in[0], *index = k->in[1], *src = k->in[2];
    k->dtype = (gr_type)x->dtype;
    k->ndim = x->ndim;
    for (int d = 0; d < x->ndim; d++) k->dim[d] = x->dims[d];
    if (x->dtype == GR_BOOL) return gr_reject(k, GR_EDTYPE, "convert with gr_astype", "bools have no sum");
    if (src->dtype != x->dtype) return gr_reject(k, GR_EDTYPE, "convert one with gr_astype", "x is %s, src %s", gr_dtype_name((gr_type)x->dtype), gr_dtype_name((gr_type)src->dtype));
    if (!gr__same_shape(index, src)) return gr_reject(k, GR_ESHAPE, "give one index for each element of src", "index and src differ in shape");
    return index_fits(k, index);
}
static bool scatter_forward(const gr_call *k, gr_tensor *y)
{
    gr__copy_args(k->ctx, y->ndim, y->dims, k->dtype, gr__run_arg(y), gr__run_arg(k->in[0]));
    visit(k->in[1], k->in[2], y, dim_of(k->attr), add_one);
    return true;
}
static gr_tensor *scatter_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    if (i == 0) return dy;
    return i == 2 ? gr_gather(dy, dim_of(y->attr), y->in[1]) : NULL;
}
static bool scatter_reference(const gr_call *k, double *const *x, double *y)
{
    const gr_tensor *index = k->in[1];
    int64_t at[GR_MAX_RANK];
    for (int64_t i = 0; i < k->in[0]->numel; i++) y[i] = x[0][i];
    for (int64_t i = 0; i < index->numel; i++) {
        gr__unravel(i, index->ndim, index->dims, at);
        at[dim_of(k->attr)] = (int64_t)x[1][i];
        y[gr__ravel(k->ndim, k->dim, at)] += x[2][i];
    }
    return true;
}
gr_tensor *gr_scatter_add(gr_tensor *x, int dim, gr_tensor *index, gr_tensor *src)
{
    if (!gr__ready(x)) return NULL;
    index_attr a = { gr__dim("scatter_add", x, dim) };
    return a.dim < 0 ? NULL : gr_apply(&gr_op_scatter_add, (gr_tensor *[]){ x, index, src }, 3, &a);
}
static gr_tensor *scatter_0(gr_tensor **x) { return gr_scatter_add(x[0], 0, x[1], x[2]); }
static gr_tensor *scatter_1(gr_tensor **x) { return gr_scatter_add(x[0], 1, x[1], x[2]); }
static const gr_sample scatter_samples[] = { { "[3, 2]; i64 [4, 2] in 0..2; [4, 2]", scatter_0 }, { "[2, 3]; i64 [2, 1] in 0..2; [2, 1]", scatter_1 }, { "[4]; i64 [6] in 0..3; [6]", scatter_0 }, { "[3, 2]; i64 [0, 2] in 0..2; [0, 2]", scatter_0 }, { "[3, 2, 2]; i64 [2, 3, 1] in 0..1; [2, 3, 1]", scatter_1 }, { "[1]; i64 [2] in 0..0; [2]", scatter_0 }, { NULL, NULL } };
static const gr_bad_call scatter_bad[] = {
    { "[3]; i64 [2] in 0..2; [3]", scatter_0, GR_ESHAPE, "scatter_add([3], i64 [2], [3]): index and src differ in shape. Fix: give one index for each element of src" },
    { "[3]; i64 [2] in 3..3; [2]", scatter_0, GR_EINDEX, "scatter_add([3], i64 [2], [2]): index[0] is 3, out of range for dimension 0 of size 3. Fix: count from 0" },
    { "[3]; i64 [2] in 0..2; i64 [2]", scatter_0, GR_EDTYPE, "scatter_add([3], i64 [2], i64 [2]): x is f64, src i64. Fix: convert one with gr_astype" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_scatter_add = { .name = "scatter_add", .formula = "y = x, then y[index[i]] += src[i]", .gradient = "dx = dy; dsrc[i] = dy[index[i]]", .arity = 3,
                                  .attr_size = sizeof(index_attr), .shape = scatter_shape, .forward = scatter_forward,
                                  .vjp = scatter_vjp, .describe = describe, .reference_tensor = scatter_reference,
                                  .samples = scatter_samples, .bad = scatter_bad };
