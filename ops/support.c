/* What operations share: running kernels over tensors, promotion, broadcasting, the registry.
 * SPDX-License-Identifier: MIT */
#include "ops/record.h"

#include <math.h>
#include <string.h>

/* ---- registry --------------------------------------------------------------------------------------------------------*/
#define ENTRY(name) &gr_op_##name,
static const gr_op *const registry[] = { GR_OPS(ENTRY) };

int gr_op_count(void) { return (int)(sizeof registry / sizeof *registry); }
const gr_op *gr_op_at(int i) { return i >= 0 && i < gr_op_count() ? registry[i] : NULL; }

const gr_op *gr_op_find(const char *name)
{
    for (int i = 0; i < gr_op_count(); i++)
        if (strcmp(registry[i]->name, name) == 0) return registry[i];
    return NULL;
}

/* ---- kernels over tensors --------------------------------------------------------------------------------------------*/
static void copy_run(int64_t n, char *const *p, const int64_t *s, void *user) { (*(gr_copy_fn **)user)(n, p[0], s[0], p[1], s[1]); }

#define COPY_NS 0.08 /* for a byte */
typedef struct copying {
    int ndim, cut; /* dimensions; the one that threads take parts of */
    const int64_t *dim;
    gr_run_arg arg[2];
    gr_copy_fn *fn;
} copying;

static void copy_part(void *user, int64_t begin, int64_t end, int worker)
{
    copying part = *(const copying *)user;
    int64_t dim[GR_MAX_RANK];
    (void)worker;
    for (int d = 0; d < part.ndim; d++) dim[d] = d == part.cut ? end - begin : part.dim[d];
    for (int i = 0; i < 2 && part.ndim > 0; i++) part.arg[i].data += begin * part.arg[i].stride[part.cut] * part.arg[i].size;
    gr__strided_args(part.ndim, dim, 2, part.arg, copy_run, &part.fn);
}

void gr__copy_args(gr_ctx *c, int ndim, const int64_t *dim, gr_type type, gr_run_arg y, gr_run_arg x)
{
    copying k = { .ndim = ndim, .dim = dim, .arg = { y, x }, .fn = gr__kernels()->copy[gr__k(type)] };
    while (k.cut < ndim - 1 && dim[k.cut] == 1) k.cut++;
    const int64_t n = ndim > 0 ? dim[k.cut] : 1, numel = gr__count(ndim, dim);
    if (numel > 0) gr__parallel_ranges(c, n, COPY_NS * (double)(numel / n * y.size), copy_part, &k);
}

/* ---- dtypes ------------------------------------------------------------------------------------------------------------*/
gr_tensor *gr__promote(gr_tensor *x, int kernel)
{
    if (!gr__usable(x)) return NULL;
    gr_ew_fn *const *row = gr__kernels()->ew[kernel];
    if (row[gr__kt(x)]) return x;
    return gr_astype(x, x->dtype == GR_BOOL && row[GR_K_I64] ? GR_I64 : gr__float_type(x->ctx));
}

/* ---- broadcasting ------------------------------------------------------------------------------------------------------*/
bool gr__broadcast_shape(const gr_op *op, gr_tensor *const *in, int n, gr_dims *shape)
{
    *shape = (gr_dims){ 0 };
    for (int i = 0; i < n; i++)
        if (in[i]->ndim > shape->n) shape->n = in[i]->ndim;
    for (int d = 0; d < shape->n; d++) shape->v[d] = 1;
    for (int i = 0; i < n; i++) {
        const gr_tensor *t = in[i];
        for (int d = 0; d < t->ndim; d++) {
            int64_t *size = &shape->v[shape->n - t->ndim + d];
            if (t->dims[d] == *size || t->dims[d] == 1) continue;
            if (*size == 1) {
                *size = t->dims[d];
                continue;
            }
            gr_call k = { .ctx = t->ctx, .op = op, .in = in, .n = n };
            return gr_reject(&k, GR_ESHAPE, "make these sizes equal, or one of them 1", "sizes %lld and %lld at dimension %d do not broadcast",
                             (long long)*size, (long long)t->dims[d], d - t->ndim);
        }
    }
    return true;
}

bool gr__match(const gr_op *op, gr_tensor **a, gr_tensor **b)
{
    gr_type type = (*a)->dtype > (*b)->dtype ? (gr_type)(*a)->dtype : (gr_type)(*b)->dtype;
    if (!gr__same_shape(*a, *b)) {
        gr_dims shape;
        if (!gr__broadcast_shape(op, (gr_tensor *[]){ *a, *b }, 2, &shape)) return false;
        *a = gr_broadcast_to(gr_astype(*a, type), shape);
        *b = gr_broadcast_to(gr_astype(*b, type), shape);
    } else {
        *a = gr_astype(*a, type);
        *b = gr_astype(*b, type);
    }
    return *a && *b;
}

/* ---- dimensions --------------------------------------------------------------------------------------------------------*/
int gr__dim(const char *op, const gr_tensor *x, int64_t dim)
{
    if (dim >= -x->ndim && dim < x->ndim) return (int)(dim < 0 ? dim + x->ndim : dim);
    char text[256];
    gr__format_tensor_ref(text, sizeof text, x);
    if (x->ndim == 0)
        gr_fail(x->ctx, GR_EINDEX, "%s(%s): a scalar has no dimension %lld. Fix: reshape it to [1] first", op, text, (long long)dim);
    else
        gr_fail(x->ctx, GR_EINDEX, "%s(%s): dimension %lld is out of range. Fix: use %d to %d", op, text, (long long)dim, -x->ndim, x->ndim - 1);
    return -1;
}

bool gr__reduce_mask(const char *op, const gr_tensor *x, gr_dims dims, uint32_t *mask)
{
    *mask = dims.n ? 0 : (1u << x->ndim) - 1;
    if (dims.n > GR_MAX_RANK) {
        gr_fail(x->ctx, GR_EINDEX, "%s: %d dimensions are more than the %d a tensor can have. Fix: name each once", op, dims.n, GR_MAX_RANK);
        return false;
    }
    for (int i = 0; i < dims.n; i++) {
        int d = gr__dim(op, x, dims.v[i]);
        if (d < 0) return false;
        if (*mask >> d & 1) {
            gr_fail(x->ctx, GR_EINDEX, "%s: dimension %d is named twice. Fix: name each once", op, d);
            return false;
        }
        *mask |= 1u << d;
    }
    return true;
}

gr_tensor *gr__unreduce(gr_tensor *y, gr_tensor *x, uint32_t mask)
{
    if (!y) return NULL;
    gr_dims kept = gr__dims_of_tensor(x);
    for (int d = 0; d < kept.n; d++)
        if (mask >> d & 1) kept.v[d] = 1;
    return gr_broadcast_to(gr_reshape(y, kept), gr__dims_of_tensor(x));
}

gr_tensor *gr__merge_last(gr_tensor *x, uint32_t mask)
{
    if (!gr__ready(x)) return NULL;
    gr_dims order = { 0 }, shape = { 0 };
    int64_t merged = 1;
    for (int d = 0; d < x->ndim; d++)
        if (!(mask >> d & 1)) order.v[order.n++] = d, shape.v[shape.n++] = x->dims[d];
    for (int d = 0; d < x->ndim; d++)
        if (mask >> d & 1) order.v[order.n++] = d, merged *= x->dims[d];
    bool moved = false;
    for (int d = 0; d < order.n; d++) moved = moved || order.v[d] != d;
    shape.v[shape.n++] = merged;
    if (shape.n > GR_MAX_RANK) return NULL; /* unreachable: mask is never empty for rank 8 */
    gr_tensor *y = moved ? gr_permute(x, order) : x;
    if (y && (y->ndim != shape.n || y->dims[shape.n - 1] != merged)) y = gr_reshape(y, shape);
    return gr_contiguous(y);
}

gr_tensor *gr__empty_as_it_lies(const gr_tensor *x)
{
    gr_tensor *y = gr_empty_like(x);
    if (!y) return NULL;
    const int last = x->ndim - 1;
    int64_t step = 1;
    for (uint32_t left = (1u << x->ndim) - 1; left;) {
        int next = -1;
        for (int d = last; d >= 0; d--)
            if (left >> d & 1 && (next < 0 || (next != last && gr__stride(x)[d] < gr__stride(x)[next]))) next = d;
        gr__stride(y)[next] = step;
        step *= x->dims[next] ? x->dims[next] : 1;
        left &= ~(1u << next);
    }
    if (!gr__is_contiguous(y->ndim, y->dims, gr__stride(y))) y->flags &= (uint16_t)~GR_T_CONTIGUOUS;
    return y;
}

gr_tensor *gr__zero_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    gr_tensor *zero = gr_zeros_like(dy);
    return (gr_add)(gr_amul(zero, y->in[i]), gr_amul(zero, dy)); /* 0 * inf is 0 here */
}
