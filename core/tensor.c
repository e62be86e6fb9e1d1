/* Making, describing, reading and writing tensors.
 * Knows no graph: what a node remembers is set in apply.c and read in backward.c.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"

#include <math.h>
#include <string.h>

/* ---- nodes -----------------------------------------------------------------------------------------------------*/
gr_dims gr_dims_of(const int64_t *v, int n)
{
    gr_dims d;
    d.n = n;
    for (int i = 0; i < GR_MAX_RANK; i++) d.v[i] = 0;
    for (int i = 0; i < n && i < GR_MAX_RANK; i++) d.v[i] = v[i];
    return d;
}

/* What is wrong with these sizes, if anything is. */
GR_COLD static bool shape_error(gr_ctx *c, const char *who, int ndim, const int64_t *dim)
{
    char text[256];
    bool negative = false;
    if (ndim > GR_MAX_RANK || ndim < 0) {
        gr_fail(c, GR_ESHAPE, "%s: rank %d is more than the %d that a tensor can have. Fix: merge dimensions", who, ndim, GR_MAX_RANK);
        return false;
    }
    for (int i = 0; i < ndim; i++) negative = negative || dim[i] < 0;
    gr__format_dims(text, sizeof text, ndim, dim);
    if (negative) gr_fail(c, GR_ESHAPE, "%s: the shape %s has a negative size. Fix: sizes are 0 or more", who, text);
    else gr_fail(c, GR_ESHAPE, "%s: the shape %s has more elements than can be counted. Fix: use smaller sizes", who, text);
    return false;
}

bool gr__shape_ok(gr_ctx *c, const char *who, int ndim, const int64_t *dim, gr_type type)
{
    const int64_t room = INT64_MAX / 16 / (int64_t)gr__type_size(type);
    int64_t n = 1;
    bool fine = ndim >= 0 && ndim <= GR_MAX_RANK;
    for (int i = 0; i < ndim && fine; i++) {
        const int64_t size = dim[i] ? dim[i] : 1;
        fine = size > 0 && (((n | size) >> 31) == 0 || n <= room / size); /* a division only where it may matter */
        n *= fine ? size : 1;
    }
    return (fine && n <= room) || shape_error(c, who, ndim, dim);
}

GR_COLD static gr_tensor *node_in_new_chunk(gr_ctx *c, gr_scope *s, gr_type type, int ndim, const int64_t *dim, int nin, size_t attr, size_t size)
{
    return gr__arena_grow(s, size) ? gr__node(c, s, type, ndim, dim, nin, attr) : NULL;
}

static inline int64_t set_sizes(gr_tensor *t, int ndim, const int64_t *dim)
{
    int64_t n = 1, numel = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        const int64_t size = dim[i];
        t->dims[i] = size;
        t->dims[ndim + i] = n;
        n *= size ? size : 1; /* strides of empty tensors stay positive */
        numel *= size;
    }
    return numel;
}
int64_t gr__set_sizes(gr_tensor *t, int ndim, const int64_t *dim) { return set_sizes(t, ndim, dim); }

gr_tensor *gr__node(gr_ctx *c, gr_scope *s, gr_type type, int ndim, const int64_t *dim, int nin, size_t attr)
{
    const size_t head = sizeof(gr_tensor) + (size_t)nin * sizeof(gr_tensor *), shape = 2 * (size_t)ndim * sizeof(int64_t);
    gr_tensor *t = nin == 0 && !attr ? s->spare[ndim] : NULL;
    if (t) {
        s->spare[ndim] = t->next;
    } else {
        const size_t size = gr__arena_size(head + shape + attr);
        if (!gr__arena_has(s, size)) return node_in_new_chunk(c, s, type, ndim, dim, nin, attr, size);
        t = gr__arena_take(s, size);
        t->dims = (int64_t *)(void *)((char *)t + head);
    }
    gr__node_set(s, t, type, ndim, set_sizes(t, ndim, dim), nin);
    if (attr) t->attr = (char *)t + head + shape;
    return t;
}

bool gr__released_error(const gr_tensor *t)
{
    char text[256];
    gr__format_tensor_ref(text, sizeof text, t);
    if (t->op)
        gr_fail(t->ctx, GR_EGRAPH, "%s has no values any more: gr_backward with .lean gave the memory of %s's result back. "
                "Fix: read it before the sweep, call gr_retain_grad on it, or leave .lean out", text, t->op->name);
    else
        gr_fail(t->ctx, GR_EGRAPH, "%s has no values any more: it was a gradient that gr_zero_grad or an optimiser step cleared. "
                "Fix: call gr_grad again after the next sweep, or copy it before", text);
    return false;
}

bool gr__is_contiguous(int ndim, const int64_t *dim, const int64_t *stride)
{
    int64_t n = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        if (dim[i] == 0) return true;
        if (dim[i] != 1 && stride[i] != n) return false;
        n *= dim[i];
    }
    return true;
}

void gr__repeat_one(gr_tensor *t)
{
    memset(gr__stride(t), 0, (size_t)t->ndim * sizeof(int64_t));
    t->flags &= (uint16_t)~GR_T_CONTIGUOUS;
}

void gr__share_memory(gr_scope *s, gr_tensor *t, gr_tensor *from, int64_t offset, const int64_t *stride)
{
    if (stride) memcpy(t->dims + t->ndim, stride, (size_t)t->ndim * sizeof *stride);
    t->owner = from->owner;
    t->block = from->block;
    t->data = from->data + offset * (int64_t)gr__type_size((gr_type)from->dtype);
    if (stride && !gr__is_contiguous(t->ndim, t->dims, stride)) t->flags &= (uint16_t)~GR_T_CONTIGUOUS;
    if (!t->block) return;
    t->block->refs++;
    gr__hold(s, t);
}

gr_tensor *gr__clone_into(gr_scope *s, gr_tensor *t)
{
    gr_tensor *k = gr__node(t->ctx, s, (gr_type)t->dtype, t->ndim, t->dims, 0, 0);
    if (!k) return NULL;
    if (t->lazy) {
        gr__share_lazy(k, t->lazy);
        gr__hold(s, k);
        return k;
    }
    gr__share_memory(s, k, t, 0, gr__stride(t));
    k->flags = (uint16_t)((k->flags & GR_T_CONTIGUOUS) | (t->flags & GR_T_NUMBER));
    if (t->block) return k;
    if (t->numel) memcpy(&k->value, t->data, gr__type_size((gr_type)t->dtype)); /* the value moves into the new node */
    k->owner = k;
    k->data = (char *)&k->value;
    return k;
}

/* ---- constructors ----------------------------------------------------------------------------------------------*/
static gr_tensor *leaf(gr_ctx *c, const char *who, gr_dims shape, gr_type type)
{
    if (!c || c->code != GR_OK) return NULL;
    if (type == 0) type = c->dtype;
    if (type < GR_BOOL || type > GR_F64) {
        gr_fail(c, GR_EDTYPE, "%s: %d is no dtype. Fix: use GR_BOOL, GR_I64, GR_F32 or GR_F64", who, (int)type);
        return NULL;
    }
    if (!gr__shape_ok(c, who, shape.n, shape.v, type)) return NULL;
    gr_tensor *t = gr__node(c, gr__scope_now(c), type, shape.n, shape.v, 0, 0);
    return t && gr__give_memory(gr__scope_now(c), t) ? t : NULL;
}

static void store(char *at, gr_type type, double v)
{
    switch (type) {
    case GR_BOOL: *(bool *)at = v != 0; break;
    case GR_I64: *(int64_t *)(void *)at = (int64_t)v; break;
    case GR_F32: *(float *)(void *)at = (float)v; break;
    case GR_F64: *(double *)(void *)at = v; break;
    }
}

static double load(const char *at, gr_type type)
{
    switch (type) {
    case GR_BOOL: return *(const bool *)at;
    case GR_I64: return (double)*(const int64_t *)(const void *)at;
    case GR_F32: return (double)*(const float *)(const void *)at;
    default: return *(const double *)(const void *)at;
    }
}

/* Can v be an element of this type? (A cast out of range is undefined.) */
static bool representable(gr_ctx *c, const char *who, gr_type type, double v)
{
    if (type != GR_I64 || (v >= -9223372036854775808.0 && v < 9223372036854775808.0)) return true;
    gr_fail(c, GR_EVALUE, "%s: %g is no i64. Fix: use a float dtype", who, v);
    return false;
}

static gr_tensor *filled(gr_ctx *c, const char *who, gr_dims shape, gr_type type, double v)
{
    gr_tensor *t = leaf(c, who, shape, type);
    if (!t || !representable(c, who, (gr_type)t->dtype, v)) return NULL;
    const size_t one = gr__type_size((gr_type)t->dtype), all = (size_t)t->numel * one;
    if (all == 0) return t;
    if (v == 0 && !signbit(v)) {
        memset(t->data, 0, all);
        return t;
    }
    store(t->data, (gr_type)t->dtype, v);
    for (size_t done = one, some; done < all; done += some) { /* copies of what is there, of not more than stays in the first cache */
        some = done < 4096 ? done : 4096;
        some = some < all - done ? some : all - done;
        memcpy(t->data + done, t->data, some);
    }
    return t;
}

gr_tensor *gr_zeros_with(gr_ctx *c, gr_dims shape, gr_new_opts o) { return filled(c, "gr_zeros", shape, o.dtype, 0); }
gr_tensor *gr_ones_with(gr_ctx *c, gr_dims shape, gr_new_opts o) { return filled(c, "gr_ones", shape, o.dtype, 1); }
gr_tensor *gr_full_with(gr_ctx *c, gr_dims shape, double value, gr_new_opts o)
{
    return filled(c, "gr_full", shape, o.dtype, value);
}
gr_tensor *gr_scalar_with(gr_ctx *c, double value, gr_new_opts o)
{
    return filled(c, "gr_scalar", (gr_dims){ 0 }, o.dtype, value);
}

gr_tensor *gr_arange_with(gr_ctx *c, double start, double stop, double step, gr_new_opts o)
{
    double n = ceil((stop - start) / step);
    if (!(step != 0) || !isfinite(n) || n > 9e15) {
        gr_fail(c, GR_EVALUE, "gr_arange: no finite number of steps of %g leads from %g to %g. Fix: use a step other than 0",
                step, start, stop);
        return NULL;
    }
    gr_tensor *t = leaf(c, "gr_arange", GR_SHAPE(n > 0 ? (int64_t)n : 0), o.dtype);
    if (!t || !representable(c, "gr_arange", (gr_type)t->dtype, start) || !representable(c, "gr_arange", (gr_type)t->dtype, stop))
        return NULL;
    size_t size = gr__type_size((gr_type)t->dtype);
    for (int64_t i = 0; i < t->numel; i++) store(t->data + (size_t)i * size, (gr_type)t->dtype, start + (double)i * step);
    return t;
}

gr_tensor *gr_eye_with(gr_ctx *c, int64_t n, gr_new_opts o)
{
    gr_tensor *t = filled(c, "gr_eye", GR_SHAPE(n, n), o.dtype, 0);
    if (!t) return NULL;
    size_t size = gr__type_size((gr_type)t->dtype);
    for (int64_t i = 0; i < n; i++) store(t->data + (size_t)(i * (n + 1)) * size, (gr_type)t->dtype, 1);
    return t;
}

static gr_tensor *random_leaf(gr_ctx *c, const char *who, gr_dims shape, gr_type type, bool normal)
{
    gr_tensor *t = leaf(c, who, shape, type);
    if (!t) return NULL;
    if (!gr_is_float(t)) {
        gr_fail(c, GR_EDTYPE, "%s: cannot make %s. Fix: use GR_F32 or GR_F64", who, gr_dtype_name((gr_type)t->dtype));
        return NULL;
    }
    gr__random_fill(c, t, normal);
    return t;
}

gr_tensor *gr_rand_with(gr_ctx *c, gr_dims shape, gr_new_opts o) { return random_leaf(c, "gr_rand", shape, o.dtype, false); }
gr_tensor *gr_randn_with(gr_ctx *c, gr_dims shape, gr_new_opts o) { return random_leaf(c, "gr_randn", shape, o.dtype, true); }

gr_tensor *gr_randperm(gr_ctx *c, int64_t n)
{
    gr_tensor *t = leaf(c, "gr_randperm", GR_SHAPE(n), GR_I64);
    if (!t) return NULL;
    int64_t *p = (int64_t *)(void *)t->data;
    for (int64_t i = 0; i < n; i++) p[i] = i;
    for (int64_t i = n - 1; i > 0; i--) { /* the bias of % is below n / 2^64 */
        int64_t j = (int64_t)(gr__random_u64(c) % (uint64_t)(i + 1)), keep = p[i];
        p[i] = p[j];
        p[j] = keep;
    }
    return t;
}

gr_tensor *gr_from_array(gr_ctx *c, gr_dims shape, gr_source source, const void *values)
{
    static const gr_type type[] = { GR_BOOL, GR_I64, GR_I64, GR_F32, GR_F64 };
    gr_tensor *t = leaf(c, "gr_from", shape, type[source]);
    if (!t) return NULL;
    if (!values && t->numel) {
        gr_fail(c, GR_EVALUE, "gr_from: the values are NULL. Fix: pass an array of %lld elements", (long long)t->numel);
        return NULL;
    }
    if (source == GR_SRC_INT)
        for (int64_t i = 0; i < t->numel; i++) ((int64_t *)(void *)t->data)[i] = ((const int *)values)[i];
    else if (t->numel)
        memcpy(t->data, values, (size_t)t->numel * gr__type_size((gr_type)t->dtype));
    return t;
}

gr_tensor *gr_empty_like(const gr_tensor *t)
{
    if (!gr__usable(t)) return NULL;
    gr_scope *s = gr__scope_now(t->ctx);
    gr_tensor *y = gr__node_like(s, t, 0);
    return y && gr__give_memory(s, y) ? y : NULL;
}

gr_tensor *gr_zeros_like(const gr_tensor *t)
{
    return gr__usable(t) ? filled(t->ctx, "gr_zeros_like", gr_dims_like(t), (gr_type)t->dtype, 0) : NULL;
}

gr_tensor *gr_number(gr_ctx *c, gr_dims shape, gr_type dtype, double v)
{
    if (!c || c->code != GR_OK || !gr__shape_ok(c, "gr_number", shape.n, shape.v, dtype) || !representable(c, "gr_number", dtype, v))
        return NULL;
    gr_tensor *t = gr__node(c, gr__scope_now(c), dtype, shape.n, shape.v, 0, 0);
    if (!t) return NULL;
    t->data = (char *)&t->value;
    t->flags |= GR_T_NUMBER;
    if (t->numel > 1) gr__repeat_one(t);
    store(t->data, dtype, v);
    return t;
}

/* ---- description -----------------------------------------------------------------------------------------------*/
gr_ctx *gr_ctx_of(const gr_tensor *t) { return t ? t->ctx : NULL; }
int gr_ndim(const gr_tensor *t) { return t ? t->ndim : 0; }
const int64_t *gr_shape(const gr_tensor *t) { return t ? t->dims : NULL; }
const int64_t *gr_stride(const gr_tensor *t) { return t ? gr__stride(t) : NULL; }
gr_dims gr_dims_like(const gr_tensor *t) { return t ? gr_dims_of(t->dims, t->ndim) : (gr_dims){ 0 }; }
int64_t gr_numel(const gr_tensor *t) { return t ? t->numel : 0; }
gr_type gr_dtype(const gr_tensor *t) { return t ? (gr_type)t->dtype : (gr_type)0; }
bool gr_is_contiguous(const gr_tensor *t) { return t && (t->flags & GR_T_CONTIGUOUS); }
bool gr_is_float(const gr_tensor *t) { return t && t->dtype >= GR_F32; }
bool gr_is_number(const gr_tensor *t) { return t && (t->flags & GR_T_NUMBER); }

void *gr_data(const gr_tensor *t)
{
    if (!t || (!t->data && !gr__settle(t)) || !gr__before_write(t)) return NULL;
    if (t->block) t->block->exposed = true;
    return t->data;
}

const char *gr_label(const gr_tensor *t) { return t && t->name ? t->name : ""; }

int64_t gr_size(const gr_tensor *t, int dim)
{
    if (!t) return -1;
    if (dim < 0) dim += t->ndim;
    return dim >= 0 && dim < t->ndim ? t->dims[dim] : -1;
}

const char *gr_dtype_name(gr_type type)
{
    static const char *const name[] = { "default", "bool", "i64", "f32", "f64" };
    return (unsigned)type < sizeof name / sizeof *name ? name[type] : "unknown dtype";
}

gr_tensor *gr_name(gr_tensor *t, const char *label)
{
    if (!gr__usable(t) || !label) return t;
    size_t n = strlen(label) + 1;
    char *copy = gr__arena_alloc(t->ctx->scope[t->scope], n);
    if (copy) t->name = memcpy(copy, label, n);
    return t;
}

/* ---- reading ---------------------------------------------------------------------------------------------------*/
double gr_item(const gr_tensor *t)
{
    if (!gr__ready(t)) return (double)NAN;
    if (t->numel == 1) return load(t->data, (gr_type)t->dtype);
    char text[256];
    gr__format_tensor_ref(text, sizeof text, t);
    gr_fail(t->ctx, GR_ESHAPE, "gr_item(%s): has %lld elements, not 1. Fix: reduce it with gr_sum or gr_mean, or read one element with gr_at",
            text, (long long)t->numel);
    return (double)NAN;
}

double gr_at_index(const gr_tensor *t, gr_dims index)
{
    if (!gr__ready(t)) return (double)NAN;
    char text[256];
    if (index.n != t->ndim) {
        gr__format_tensor_ref(text, sizeof text, t);
        gr_fail(t->ctx, GR_EINDEX, "gr_at(%s): %d indices for rank %d. Fix: give one index for each dimension", text, index.n, t->ndim);
        return (double)NAN;
    }
    int64_t offset = 0;
    for (int d = 0; d < t->ndim; d++) {
        int64_t i = index.v[d] < 0 ? index.v[d] + t->dims[d] : index.v[d];
        if (i < 0 || i >= t->dims[d]) {
            gr__format_tensor_ref(text, sizeof text, t);
            gr_fail(t->ctx, GR_EINDEX, "gr_at(%s): index %lld is out of range for dimension %d of size %lld. Fix: use %lld to %lld",
                    text, (long long)index.v[d], d, (long long)t->dims[d], (long long)-t->dims[d], (long long)t->dims[d] - 1);
            return (double)NAN;
        }
        offset += i * gr__stride(t)[d];
    }
    return load(t->data + offset * (int64_t)gr__type_size((gr_type)t->dtype), (gr_type)t->dtype);
}

typedef struct transfer {
    gr_type type;
    double *out;
    const double *in;
} transfer;

static void read_run(int64_t n, char *const *p, const int64_t *stride, void *user)
{
    transfer *x = user;
    int64_t step = stride[0] * (int64_t)gr__type_size(x->type);
    for (int64_t i = 0; i < n; i++) x->out[i] = load(p[0] + i * step, x->type);
    x->out += n;
}

static void write_run(int64_t n, char *const *p, const int64_t *stride, void *user)
{
    transfer *x = user;
    int64_t step = stride[0] * (int64_t)gr__type_size(x->type);
    for (int64_t i = 0; i < n; i++) store(p[0] + i * step, x->type, x->in[i]);
    x->in += n;
}

bool gr_read(const gr_tensor *t, double *out)
{
    if (!gr__ready(t)) return false;
    transfer x = { .type = (gr_type)t->dtype, .out = out };
    gr__strided(1, &t, read_run, &x);
    return true;
}

/* ---- writing ---------------------------------------------------------------------------------------------------*/
static bool writable(gr_tensor *t, const char *who)
{
    if (!gr__ready(t)) return false;
    char text[256];
    if (t->op) {
        gr__format_tensor_ref(text, sizeof text, t);
        gr_fail(t->ctx, GR_EGRAPH, "%s(%s): was made by %s and is part of a graph. Fix: write to a leaf, or to gr_detach of a copy",
                who, text, t->op->name);
        return false;
    }
    for (int d = 0; d < t->ndim; d++)
        if (t->dims[d] > 1 && gr__stride(t)[d] == 0) {
            gr__format_tensor_ref(text, sizeof text, t);
            gr_fail(t->ctx, GR_EVALUE, "%s(%s): several elements share one place in memory. Fix: write to a copy", who, text);
            return false;
        }
    return gr__before_write(t);
}

bool gr_touch(gr_tensor *t, const char *writer)
{
    if (!t) return false;
    *gr__written(t) = ++t->ctx->writes;
    if (t->block) t->block->writer = writer;
    const gr_observer *ob = t->ctx->observer;
    if (ob && ob->written) ob->written(ob->user, t, writer);
    return true;
}

bool gr_write(gr_tensor *t, const double *values)
{
    if (!writable(t, "gr_write")) return false;
    for (int64_t i = 0; i < t->numel; i++)
        if (!representable(t->ctx, "gr_write", (gr_type)t->dtype, values[i])) return false;
    transfer x = { .type = (gr_type)t->dtype, .in = values };
    const gr_tensor *list = t;
    gr__strided(1, &list, write_run, &x);
    return gr_touch(t, "gr_write");
}

static void fill_run(int64_t n, char *const *p, const int64_t *stride, void *user)
{
    transfer *x = user;
    int64_t step = stride[0] * (int64_t)gr__type_size(x->type);
    for (int64_t i = 0; i < n; i++) store(p[0] + i * step, x->type, *x->in);
}

bool gr_fill(gr_tensor *t, double value)
{
    if (!writable(t, "gr_fill") || !representable(t->ctx, "gr_fill", (gr_type)t->dtype, value)) return false;
    transfer x = { .type = (gr_type)t->dtype, .in = &value };
    const gr_tensor *list = t;
    gr__strided(1, &list, fill_run, &x);
    return gr_touch(t, "gr_fill");
}

static void copy_run(int64_t n, char *const *p, const int64_t *stride, void *user)
{
    const gr_type *type = user;
    int64_t to = stride[0] * (int64_t)gr__type_size(type[0]), from = stride[1] * (int64_t)gr__type_size(type[1]);
    if (type[0] == type[1]) /* exact, also for i64 beyond 2^53 */
        for (int64_t i = 0; i < n; i++) memcpy(p[0] + i * to, p[1] + i * from, gr__type_size(type[0]));
    else
        for (int64_t i = 0; i < n; i++) store(p[0] + i * to, type[0], load(p[1] + i * from, type[1]));
}

bool gr_copy_to(gr_tensor *dst, const gr_tensor *src)
{
    if (!gr__ready(src) || !writable(dst, "gr_copy_to")) return false;
    bool same = dst->ndim == src->ndim && memcmp(dst->dims, src->dims, (size_t)dst->ndim * sizeof *dst->dims) == 0;
    if (!same) {
        char a[256], b[256];
        gr__format_tensor_ref(a, sizeof a, dst);
        gr__format_tensor_ref(b, sizeof b, src);
        gr_fail(dst->ctx, GR_ESHAPE, "gr_copy_to(%s, %s): the shapes differ. Fix: broadcast or reshape the source first", a, b);
        return false;
    }
    if (dst->dtype == GR_I64 && src->dtype > GR_I64) {
        gr_fail(dst->ctx, GR_EDTYPE, "gr_copy_to: floats do not fit into i64. Fix: convert with gr_astype, which truncates");
        return false;
    }
    gr_type type[] = { (gr_type)dst->dtype, (gr_type)src->dtype };
    const gr_tensor *list[] = { dst, src };
    gr__strided(2, list, copy_run, type);
    return gr_touch(dst, "gr_copy_to");
}
