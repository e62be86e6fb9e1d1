/* Data sets by rows: chosen, split into parts, taken in batches.
 * Knows no element type: a row is a run of bytes.
 * SPDX-License-Identifier: MIT */
#include "io/bytes.h"

#include <math.h>
#include <string.h>

/* x and y there, of one context, with the same number of examples. */
static bool check(gr_ctx *c, const char *who, gr_dataset d)
{
    char x[256], y[256];
    if (gr_failed(c)) return false;
    if (!d.x) {
        gr_fail(c, GR_EVALUE, "%s: x is NULL. Fix: pass a tensor [n, ...]", who);
        return false;
    }
    if (d.x->ctx != c || (d.y && d.y->ctx != c)) {
        gr_fail(c, GR_EVALUE, "%s: the data belong to another context. Fix: pass the context they were made in", who);
        return false;
    }
    if (d.x->ndim > 0 && (!d.y || (d.y->ndim > 0 && d.x->dims[0] == d.y->dims[0]))) return true;
    gr__format_tensor_ref(x, sizeof x, d.x);
    gr__format_tensor_ref(y, sizeof y, d.y);
    gr_fail(c, GR_ESHAPE, "%s(%s, %s): dimension 0 must count the same examples in both. Fix: make x [n, ...] and y [n, ...] or NULL", who, x, y);
    return false;
}

static size_t row_bytes(const gr_tensor *t)
{
    int64_t n = 1;
    for (int i = 1; i < t->ndim; i++) n *= t->dims[i];
    return (size_t)n * gr__type_size(gr_dtype(t));
}

/* Rows index[0 .. n - 1] of a dense t, or rows first .. first + n - 1 when there is no index. */
static gr_tensor *gather(const gr_tensor *t, const int64_t *index, int64_t first, int64_t n)
{
    gr_dims shape = gr_dims_like(t);
    shape.v[0] = n;
    gr_tensor *y = gr__new_tensor(t->ctx, "rows", shape, gr_dtype(t));
    if (!y) return NULL;
    const size_t size = row_bytes(t);
    char *to = gr_data(y);
    const char *from = gr_data(t);
    if (!index && size && n) memcpy(to, from + (size_t)first * size, (size_t)n * size);
    for (int64_t i = 0; index && size && i < n; i++) memcpy(to + (size_t)i * size, from + (size_t)index[i] * size, size);
    return y;
}

static gr_dataset gather_both(gr_dataset d, const int64_t *index, int64_t first, int64_t n)
{
    gr_dataset r = { .x = gather(d.x, index, first, n) };
    if (r.x && d.y) r.y = gather(d.y, index, first, n);
    return r.x && (r.y || !d.y) ? r : (gr_dataset){ 0 };
}

static bool dense(gr_dataset *d)
{
    const bool two = d->y;
    d->x = gr__dense(d->x);
    if (two) d->y = gr__dense(d->y);
    return d->x && (d->y || !two);
}

gr_dataset gr_dataset_rows(gr_ctx *c, gr_dataset d, const gr_tensor *index)
{
    char text[256];
    const gr_dataset none = { 0 };
    if (!check(c, "gr_dataset_rows", d) || !gr__ready(index)) return none;
    gr__format_tensor_ref(text, sizeof text, index);
    if (gr_dtype(index) != GR_I64 || gr_ndim(index) != 1) {
        gr_fail(c, GR_EDTYPE, "gr_dataset_rows(index %s): the index must be i64 [n]. Fix: make it with gr_randperm or gr_from", text);
        return none;
    }
    const int64_t n = gr_numel(index), rows = gr_size(d.x, 0), step = gr_stride(index)[0], *p = gr_data(index);
    gr_block *b = gr__block_new(c, (size_t)n * sizeof *p + 1);
    if (!b) return none;
    int64_t *list = gr__block_data(b);
    for (int64_t i = 0; i < n && !gr_failed(c); i++) {
        list[i] = p[i * step];
        if (list[i] < 0 || list[i] >= rows)
            gr_fail(c, GR_EINDEX, "gr_dataset_rows(index %s): element %lld is %lld. Fix: use 0 to %lld", text, (long long)i,
                    (long long)list[i], (long long)rows - 1);
    }
    gr_dataset r = !gr_failed(c) && dense(&d) ? gather_both(d, list, 0, n) : none;
    gr__block_unref(c, b);
    return r;
}

/* ---- splitting -------------------------------------------------------------------------------------------------*/
typedef struct splitting {
    gr_dataset d;
    double end[3];          /* of each part, as a fraction of all */
    int64_t n, classes;
    const int64_t *label;   /* NULL: all in one class */
    int64_t *order, *pick;  /* [n] each */
    int64_t *total, *seen;  /* [classes] each */
    unsigned char *part;    /* [n]: 3 is none */
    gr_block *memory;
} splitting;

static bool fractions(gr_ctx *c, gr_split_opts o, double end[3])
{
    if (o.train == 0 && o.valid == 0 && o.test == 0) o.train = 0.8, o.valid = 0.1, o.test = 0.1;
    else if (o.train == 0) o.train = fmax(0, 1 - o.valid - o.test);
    end[0] = o.train, end[1] = end[0] + o.valid, end[2] = end[1] + o.test;
    if (o.train >= 0 && o.valid >= 0 && o.test >= 0 && end[2] <= 1 + 1e-9) return true; /* 1e-9: 0.7 + 0.2 + 0.1 is not 1 */
    gr_fail(c, GR_EVALUE, "gr_dataset_split: the fractions %g, %g and %g are no parts of a whole. Fix: use 0 or more, together at most 1",
            o.train, o.valid, o.test);
    return false;
}

static bool count_classes(gr_ctx *c, splitting *s, gr_tensor *y)
{
    char text[256];
    const int64_t most = 1 << 24; /* a table of them must fit into memory */
    s->classes = 1;
    gr__format_tensor_ref(text, sizeof text, y);
    if (!y || gr_dtype(y) != GR_I64 || gr_ndim(y) != 1) {
        gr_fail(c, GR_EDTYPE, "gr_dataset_split(y %s): .stratify needs labels, i64 [n]. Fix: pass them as y", text);
        return false;
    }
    s->label = gr_data(y);
    for (int64_t i = 0; i < s->n; i++) {
        if (s->label[i] < 0 || s->label[i] >= most) {
            gr_fail(c, GR_EINDEX, "gr_dataset_split(y %s): label %lld of example %lld is no class number. Fix: number the classes from 0",
                    text, (long long)s->label[i], (long long)i);
            return false;
        }
        if (s->label[i] >= s->classes) s->classes = s->label[i] + 1;
    }
    return true;
}

static bool split_memory(gr_ctx *c, splitting *s)
{
    const size_t n = (size_t)s->n, k = (size_t)s->classes;
    s->memory = gr__block_new(c, (2 * n + 2 * k) * sizeof(int64_t) + n);
    if (!s->memory) return false;
    s->order = gr__block_data(s->memory);
    s->pick = s->order + n;
    s->total = s->pick + n;
    s->seen = s->total + k;
    s->part = (unsigned char *)(s->seen + k);
    memset(s->total, 0, 2 * k * sizeof(int64_t));
    return true;
}

static bool draw_order(gr_ctx *c, splitting *s, gr_split_opts o)
{
    for (int64_t i = 0; i < s->n; i++) s->order[i] = i;
    if (o.in_order) return true;
    const uint64_t seed = c->seed, drawn = c->drawn;
    if (o.seed) gr_seed(c, o.seed);
    gr_tensor *p = gr_randperm(c, s->n);
    if (o.seed) c->seed = seed, c->drawn = drawn;
    if (!p) return false;
    if (s->n) memcpy(s->order, gr_data(p), (size_t)s->n * sizeof *s->order);
    gr__release(p);
    return true;
}

/* The k-th example of a class, in the order drawn, belongs to the part where k lies between the class's bounds. */
static void assign_parts(splitting *s)
{
    for (int64_t i = 0; i < s->n; i++) s->total[s->label ? s->label[i] : 0]++;
    for (int64_t i = 0; i < s->n; i++) {
        const int64_t who = s->order[i], class = s->label ? s->label[who] : 0, k = s->seen[class]++;
        unsigned char part = 0;
        while (part < 3 && k >= (int64_t)llround((double)s->total[class] * fmin(s->end[part], 1))) part++;
        s->part[i] = part;
    }
}

static gr_dataset part_of(const splitting *s, int part)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s->n; i++)
        if (s->part[i] == part) s->pick[n++] = s->order[i];
    return gather_both(s->d, s->pick, 0, n);
}

gr_split gr_dataset_split_with(gr_ctx *c, gr_dataset d, gr_split_opts o)
{
    gr_split r = { 0 };
    splitting s = { 0 };
    if (!check(c, "gr_dataset_split", d) || !fractions(c, o, s.end) || !dense(&d)) return r;
    s.d = d, s.n = gr_size(d.x, 0), s.classes = 1;
    if (o.stratify && !count_classes(c, &s, d.y)) return r;
    if (!split_memory(c, &s)) return r;
    if (draw_order(c, &s, o)) {
        assign_parts(&s);
        r.train = part_of(&s, 0);
        if (r.train.x) r.valid = part_of(&s, 1);
        if (r.valid.x) r.test = part_of(&s, 2);
    }
    gr__block_unref(c, s.memory);
    return r.test.x ? r : (gr_split){ 0 };
}

/* ---- batches ---------------------------------------------------------------------------------------------------*/
gr_batches gr_batches_begin_with(gr_ctx *c, gr_dataset d, gr_batches_opts o)
{
    gr_batches it = { .ctx = c, .index = -1 };
    if (!check(c, "gr_batches_begin", d)) return it;
    if (o.batch < 0) {
        gr_fail(c, GR_EVALUE, "gr_batches_begin: .batch is %lld. Fix: use 1 or more", (long long)o.batch);
        return it;
    }
    const int64_t n = gr_size(d.x, 0), batch = o.batch ? o.batch : 32;
    if (!dense(&d) || (o.shuffle && !(it.order = gr_randperm(c, n)))) return it;
    it.data = d;
    it.batch = batch;
    it.n = o.drop_last ? n - n % batch : n;
    it.count = it.n / batch + (it.n % batch != 0);
    return it;
}

bool gr_batch_more(gr_batches *it)
{
    if (!it || gr_failed(it->ctx)) return false;
    if (it->at < it->n) return true;
    if (it->order) gr__release(it->order); /* back to the pool, for the next round */
    it->order = NULL;
    return false;
}

gr_dataset gr_batch_take(gr_batches *it)
{
    if (!gr_batch_more(it)) return (gr_dataset){ 0 };
    const int64_t first = it->at, left = it->n - first, n = left < it->batch ? left : it->batch;
    const int64_t *order = it->order ? gr_data(it->order) : NULL;
    it->at += n;
    it->index++;
    return gather_both(it->data, order ? order + first : NULL, first, n);
}
