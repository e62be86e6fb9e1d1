/* Values that wait. A large element-wise result is not computed when the call is made but when somebody needs it; what
 * then still waits for the same reason is computed with it, tile by tile, and an intermediate value that nobody else asks
 * for never touches memory. A forward chain of n operations reads its inputs and writes its result once; so does the chain
 * of their derivatives, which computes the intermediate values again rather than reading them back. A product of a few steps costs no
 * more than an element-wise value and waits like one, from a copy of its small factor; the adjoint takes sums of what waits.
 *
 *   waits for  gr_data, gr_read, an operation that is not element-wise, gr_keep, the end of a sweep (its gradients together)
 *   before     an operand is overwritten through the interface, what reads it is computed
 *   never      operands whose address the program has (gr_data): it may write there at any time
 *
 * So nobody can tell a value that waits from one that does not, but by the clock. The bits are the same: each element goes
 * through the same kernels.
 * SPDX-License-Identifier: MIT */
#include "core/tiles.h"

#include <stdlib.h>
#include <string.h>

enum {
    RECOMPUTE = 2, /* times that a value is computed for others' sake before it is kept: forward and backward */
    MAX_SOURCES = 4,
    MAX_SUMS = 8, /* of one program */
    ALONE = 65536, /* elements below which a kernel of its own is no work for two threads */
    FEW = 64,      /* elements that take less time than to prepare a program */
};

/* What a value is computed from: a value that waits too, or memory that is held until then, or a number. */
typedef struct source {
    gr_lazy *lazy;
    gr_block *block;
    char *data;
    int64_t number, stride[GR_MAX_RANK];
    uint8_t size;
    bool read, dense;
} source;

struct gr_lazy {
    gr_block *home;       /* the memory of this struct */
    gr_lazy *prev, *next; /* those that wait in this context */
    gr_block *result;     /* once it is computed */
    gr_ew_fn *fn;         /* how: this, or */
    gr_maker_fn *maker;   /* this, from memory that no other step reads, or */
    const void *how;      /* in the first of its sources */
    int64_t row;
    gr_reduce_fn *sum;    /* the sum of its operand's elements divided by `over`: one element */
    double over;
    uint32_t refs, mark;
    uint8_t n, size, ndim, value, times;
    bool wanted;
    int64_t dim[GR_MAX_RANK], numel; /* of the operands */
    source in[MAX_SOURCES];
};

/* ---- life --------------------------------------------------------------------------------------------------------------*/
static void drop_sources(gr_ctx *c, gr_lazy *z)
{
    for (int i = 0; i < z->n; i++) {
        if (z->in[i].lazy) gr__lazy_unref(c, z->in[i].lazy); /* no deeper than a program is long */
        if (!z->in[i].block) continue;
        z->in[i].block->readers--;
        gr__block_unref(c, z->in[i].block);
    }
    z->n = 0;
}

static void stop_waiting(gr_ctx *c, gr_lazy *z)
{
    *(z->prev ? &z->prev->next : &c->waiting) = z->next;
    if (z->next) z->next->prev = z->prev;
    drop_sources(c, z);
}

void gr__lazy_unref(gr_ctx *c, gr_lazy *z)
{
    if (--z->refs) return;
    if (z->result) gr__block_unref(c, z->result);
    else stop_waiting(c, z);
    gr__block_unref(c, z->home);
}

void gr__share_lazy(gr_tensor *t, gr_lazy *z)
{
    z->refs++;
    t->lazy = z;
}

/* ---- the program that computes some values -----------------------------------------------------------------------------*/
typedef struct builder {
    gr_ctx *c;
    uint32_t mark;
    int ndim;           /* the shape of all values */
    const int64_t *dim;
    int64_t numel;
    int num_values, num_steps, num_sums;
    const gr_row_sums *row_sums;
    gr_value value[GR_MAX_VALUES]; /* from here on what is not written yet is anything: to clear it takes as long as a small sum */
    gr_step step[GR_MAX_STEPS];
    gr_block_sums sum[MAX_SUMS];
    gr_lazy *made[GR_MAX_STEPS + MAX_SUMS]; /* by each step, then by each sum */
} builder;

static void begin_program(builder *b, gr_ctx *c, int ndim, const int64_t *dim, int64_t numel)
{
    memset(b, 0, offsetof(builder, value));
    b->c = c, b->mark = ++c->lazy_mark, b->ndim = ndim, b->dim = dim, b->numel = numel;
}

/* Adds the steps and values that z needs beyond those that are marked. */
static void count(gr_lazy *z, uint32_t mark, int *steps, int *values)
{
    if (z->mark == mark || *steps > GR_MAX_STEPS) return;
    z->mark = mark;
    if (!z->sum) ++*steps, ++*values;
    for (int i = 0; i < z->n; i++) {
        if (z->in[i].lazy && !z->in[i].lazy->result) count(z->in[i].lazy, mark, steps, values);
        else *values += z->in[i].read;
    }
}

static bool all_zero(int n, const int64_t *stride)
{
    for (int d = 0; d < n; d++)
        if (stride[d]) return false;
    return true;
}

static uint8_t add_value(builder *b, gr_value v)
{
    const bool number = v.data && v.stride && all_zero(b->ndim, v.stride);
    for (int i = 0; v.data && i < b->num_values; i++) { /* the same operand of two steps is one value, and so is the same number */
        const gr_value *x = &b->value[i];
        if (!x->data || x->size != v.size) continue;
        if (number && x->stride && all_zero(b->ndim, x->stride) && memcmp(x->data, v.data, (size_t)v.size) == 0) return (uint8_t)i;
        bool strides = x->stride == v.stride || (x->stride && v.stride && memcmp(x->stride, v.stride, (size_t)b->ndim * sizeof *v.stride) == 0);
        if (x->data == v.data && strides) return (uint8_t)i;
    }
    b->value[b->num_values] = v;
    return (uint8_t)b->num_values++;
}

static uint8_t operand(builder *b, source *x)
{
    if (x->lazy && !x->lazy->result) return x->lazy->value;
    if (x->lazy) return add_value(b, (gr_value){ gr__block_data(x->lazy->result), NULL, x->size, false });
    return add_value(b, (gr_value){ x->block ? x->data : (char *)&x->number, x->dense ? NULL : x->stride, x->size, false });
}

static void add_steps(builder *b, gr_lazy *z)
{
    if (z->mark == b->mark) return;
    z->mark = b->mark;
    for (int i = 0; i < z->n; i++)
        if (z->in[i].lazy && !z->in[i].lazy->result) add_steps(b, z->in[i].lazy);
    if (z->sum) return;
    b->made[b->num_steps] = z;
    gr_step *k = &b->step[b->num_steps++];
    k->fn = z->fn;
    k->maker = z->maker, k->how = z->how, k->row = z->row;
    k->n = (uint8_t)(z->n + 1);
    for (int i = 0; i < z->n; i++)
        if (z->in[i].read) k->value[i + 1] = operand(b, &z->in[i]);
    k->value[0] = z->value = add_value(b, (gr_value){ .size = z->size });
    for (int i = 0; i < z->n; i++)
        if (!z->in[i].read) k->value[i + 1] = z->value; /* any memory will do */
    if (!z->wanted) z->wanted = z->times++ >= RECOMPUTE;
}

static void add_sum(builder *b, gr_lazy *z)
{
    b->made[b->num_steps + b->num_sums] = z;
    b->sum[b->num_sums++] = (gr_block_sums){ z->sum, operand(b, &z->in[0]), NULL };
}

/* y = the sum of n numbers, divided */
static void sum_up(gr_reduce_fn *sum, double over, size_t size, const char *total, int64_t n, void *y)
{
    memset(y, 0, size);
    sum(1, n, total, (int64_t[]){ 0, 1 }, y, (int64_t[]){ 0, 0 });
    if (over == 1) return;
    if (size == sizeof(float)) *(float *)y /= (float)over;
    else *(double *)y /= over;
}

/* Memory for z: that of an operand which nobody else has any more, such as a gradient that was passed on, or new memory. */
static gr_block *memory_for(gr_ctx *c, const gr_lazy *z)
{
    for (int i = 0; i < z->n; i++) {
        const source *x = &z->in[i];
        gr_block *b = x->block;
        if (!b || b->refs != 1 || !x->dense || x->size != z->size || x->data != gr__block_data(b)) continue;
        b->refs++, b->written = 0, b->writer = NULL, b->exposed = false;
        return b;
    }
    return gr__block_new(c, (size_t)z->numel * z->size);
}

static bool run(builder *b)
{
    const int64_t blocks = (b->numel + GR_BLOCK - 1) / GR_BLOCK;
    const size_t room = (size_t)blocks * sizeof(double); /* for the totals of one sum */
    gr_block *totals = b->num_sums ? gr__block_new(b->c, (size_t)b->num_sums * room) : NULL;
    bool ok = totals || !b->num_sums;
    for (int s = 0; s < b->num_sums && ok; s++) {
        gr_lazy *z = b->made[b->num_steps + s];
        b->sum[s].total = (char *)gr__block_data(totals) + (size_t)s * room;
        ok = (z->result = gr__block_new(b->c, z->size)) != NULL;
    }
    for (int s = 0; s < b->num_steps && ok; s++) {
        gr_lazy *z = b->made[s];
        if (!z->wanted) continue;
        ok = (z->result = memory_for(b->c, z)) != NULL;
        if (ok) b->value[z->value].data = gr__block_data(z->result), b->value[z->value].result = true;
    }
    const gr_program p = { b->ndim, b->num_values, b->num_steps, b->num_sums, b->dim, b->value, b->step, b->sum, b->row_sums };
    ok = ok && gr__run_program(b->c, &p);
    for (int s = 0; s < b->num_steps + b->num_sums; s++) {
        gr_lazy *z = b->made[s];
        if (z->result && !ok) gr__block_unref(b->c, z->result), z->result = NULL;
        if (ok && z->sum) sum_up(z->sum, z->over, z->size, b->sum[s - b->num_steps].total, blocks, gr__block_data(z->result));
    }
    if (totals) gr__block_unref(b->c, totals);
    const int made = b->num_steps + b->num_sums;
    for (int s = 0; s < made; s++) b->made[s]->refs++;
    for (int s = 0; s < made; s++) {
        b->made[s]->wanted = false;
        if (ok && b->made[s]->result) stop_waiting(b->c, b->made[s]);
    }
    for (int s = 0; s < made; s++) gr__lazy_unref(b->c, b->made[s]);
    return ok;
}

static bool same_shape(const gr_lazy *a, const gr_lazy *b)
{
    return a->ndim == b->ndim && memcmp(a->dim, b->dim, (size_t)a->ndim * sizeof *a->dim) == 0;
}

/* Computes as many of z[0..n) as one program holds, all of one shape, which are first then; returns how many, 0 for want of memory.
 * A gradient is computed from the values that its loss is the sum of, or nearly: where that waits still, it is computed too. */
static int compute_some(gr_ctx *c, gr_lazy **z, int n)
{
    builder b;
    begin_program(&b, c, z[0]->ndim, z[0]->dim, z[0]->numel);
    gr_lazy *sum[MAX_SUMS];
    int steps = 0, values = 0, m = 0, sums = 0;
    for (int i = 0; i < n; i++) { /* one always fits: defer() saw to that */
        gr_lazy *next = z[i];
        int s = steps, v = values;
        if (!same_shape(next, z[0]) || (next->sum && sums == MAX_SUMS)) continue;
        count(next, b.mark, &s, &v);
        if (m && (s > GR_MAX_STEPS || v > GR_MAX_VALUES)) break;
        steps = s, values = v;
        z[i] = z[m], z[m++] = next;
        next->wanted = true;
        if (next->sum) sum[sums++] = next;
    }
    for (gr_lazy *next = c->sweeping ? c->waiting : NULL; next && sums < MAX_SUMS; next = next->next) {
        int s = steps, v = values;
        if (!next->sum || next->wanted || !same_shape(next, z[0])) continue;
        count(next, b.mark, &s, &v);
        if (s > GR_MAX_STEPS || v > GR_MAX_VALUES) break;
        steps = s, values = v;
        next->wanted = true;
        sum[sums++] = next;
    }
    b.mark = ++c->lazy_mark;
    for (int i = 0; i < sums; i++) add_steps(&b, sum[i]); /* first: of the way to a sum less is needed later */
    for (int i = 0; i < m; i++) add_steps(&b, z[i]);
    for (int i = 0; i < sums; i++) add_sum(&b, sum[i]);
    return run(&b) ? m : 0;
}

static bool compute_all(gr_ctx *c, gr_lazy **z, int n)
{
    for (int done = 0, m; done < n; done += m)
        if (!(m = compute_some(c, z + done, n - done))) return false;
    return true;
}

/* ---- asking for values --------------------------------------------------------------------------------------------------*/
bool gr__settle(const gr_tensor *const_t)
{
    gr_tensor *t = (gr_tensor *)const_t; /* its value does not change, only where it is */
    gr_lazy *z = t->lazy;
    if (!z) return gr__released_error(t);
    if (!z->result && !compute_all(t->ctx, &z, 1)) return false;
    t->block = z->result;
    t->block->refs++;
    t->data = gr__block_data(t->block);
    t->lazy = NULL;
    gr__lazy_unref(t->ctx, z);
    return true;
}

bool gr__settle_all(gr_ctx *c, gr_tensor *const *t, size_t n)
{
    enum { BATCH = 64 };
    gr_lazy *z[BATCH];
    for (size_t i = 0; i < n;) {
        int m = 0;
        for (; i < n && m < BATCH; i++)
            if (t[i] && t[i]->lazy && !t[i]->lazy->result) z[m++] = t[i]->lazy;
        if (!compute_all(c, z, m)) return false;
    }
    for (size_t i = 0; i < n; i++)
        if (t[i] && t[i]->lazy && !gr__settle(t[i])) return false;
    return true;
}

bool gr__compute_readers(const gr_tensor *t)
{
    for (gr_lazy *z = t->ctx->waiting; z && t->block->readers;) {
        bool reads = false;
        for (int i = 0; i < z->n; i++) reads = reads || z->in[i].block == t->block;
        if (reads && !compute_all(t->ctx, &z, 1)) return false;
        z = reads ? t->ctx->waiting : z->next;
    }
    return true;
}

/* ---- waiting, or not -----------------------------------------------------------------------------------------------------*/
static source source_of(const gr_tensor *t, bool read)
{
    source x = { .lazy = read ? t->lazy : NULL, .size = (uint8_t)gr__type_size((gr_type)t->dtype), .read = read };
    if (!read || t->lazy) return x;
    x.dense = t->flags & GR_T_CONTIGUOUS;
    memcpy(x.stride, gr__stride(t), (size_t)t->ndim * sizeof *x.stride);
    if ((x.block = t->block)) x.data = t->data;
    else memcpy(&x.number, t->data, x.size);
    return x;
}

/* Makes y wait, for operands that are still to be named, if any; `like` has the shape of them. */
static gr_lazy *begin_to_wait(gr_lazy value, const gr_tensor *like, gr_tensor *y)
{
    gr_ctx *c = y->ctx;
    gr_block *home = gr__block_new(c, sizeof(gr_lazy));
    if (!home) return NULL;
    gr_lazy *z = gr__block_data(home);
    *z = value;
    z->home = home;
    z->size = (uint8_t)gr__type_size((gr_type)y->dtype);
    z->ndim = like->ndim;
    z->numel = like->numel;
    memcpy(z->dim, like->dims, (size_t)z->ndim * sizeof *z->dim);
    if ((z->next = c->waiting)) z->next->prev = z;
    c->waiting = z;
    gr__share_lazy(y, z);
    gr__hold(c->scope[y->scope], y);
    return z;
}

static void add_source(gr_lazy *z, source x)
{
    if (x.lazy) x.lazy->refs++;
    if (x.block) x.block->refs++, x.block->readers++;
    z->in[z->n++] = x;
}

/* Makes y wait for n operands of one shape. */
static bool wait_for(gr_lazy value, unsigned reads, int n, gr_tensor *const *in, gr_tensor *y)
{
    gr_lazy *z = begin_to_wait(value, in[0], y);
    for (int i = 0; z && i < n; i++) add_source(z, source_of(in[i], reads >> i & 1));
    return z != NULL;
}

/* One program must be able to compute y: where it would be too long, what it is made from is computed now. */
static bool defer(gr_ew_fn *fn, unsigned reads, int n, gr_tensor *const *in, gr_tensor *y)
{
    int steps = 1, values = 1;
    uint32_t mark = ++y->ctx->lazy_mark;
    for (int i = 0; i < n; i++) {
        if (reads >> i & 1 && in[i]->lazy && !in[i]->lazy->result) count(in[i]->lazy, mark, &steps, &values);
        else values++;
    }
    bool full = steps > GR_MAX_STEPS || values > GR_MAX_VALUES;
    if (full && !gr__settle_all(y->ctx, in, (size_t)n)) return false;
    return wait_for((gr_lazy){ .fn = fn }, reads, n, in, y);
}

/* 64 KiB of f32: below that an intermediate value stays in the caches by itself. GRADUS_DEFER=n sets it; 0: nothing waits. */
int64_t gr__defer_default(void)
{
    const char *text = getenv("GRADUS_DEFER");
    char *end = NULL;
    long long n = text ? strtoll(text, &end, 10) : 0;
    if (!end || end == text || *end != '\0' || n < 0) return 16384;
    return n ? n : INT64_MAX;
}

/* Nobody watches, nothing can change behind our back, and there is enough of it. */
static bool can_wait(unsigned reads, int n, gr_tensor *const *in, const gr_tensor *y)
{
    if (y->numel < y->ctx->defer_from || y->numel < 2 || y->ctx->observer || n > MAX_SOURCES) return false;
    for (int i = 0; i < n; i++)
        if (reads >> i & 1 && in[i]->block && in[i]->block->exposed) return false;
    return true;
}

static bool run_one(gr_ew_fn *fn, int count, gr_tensor *const *t)
{
    char *p[GR_MAX_OPERANDS] = { gr__place_of_one(t[0]) };
    for (int k = 1; k < count; k++) p[k] = t[k]->data;
    fn(1, p);
    return true;
}

static bool one_number(const gr_tensor *t)
{
    for (int d = 0; d < t->ndim; d++)
        if (gr__stride(t)[d] != 0 && t->dims[d] != 1) return false;
    return true;
}

static inline bool is_read(unsigned reads, int k) { return k == 0 || reads >> (k - 1) & 1; }

/* The operands at p have their values. A number beside few elements is written out for each of them. */
static bool run_few(gr_ew_fn *fn, unsigned reads, int count, gr_tensor *const *t, char **p)
{
    _Alignas(64) char room[GR_MAX_OPERANDS][FEW * sizeof(double)];
    if (!(t[0]->flags & GR_T_CONTIGUOUS)) return false;
    for (int k = 1; k < count; k++) {
        if (!is_read(reads, k) || t[k]->flags & GR_T_CONTIGUOUS) continue;
        if (!one_number(t[k])) return false;
        gr__kernels()->copy[t[k]->dtype - 1](t[k]->numel, room[k], 1, p[k], 0);
        p[k] = room[k];
    }
    fn(t[0]->numel, p);
    return true;
}

static bool run_many(gr_ew_fn *fn, unsigned reads, int count, gr_tensor *const *t)
{
    gr_tensor *y = t[0];
    unsigned some = reads;
    if (!y->data && !y->lazy) {
        if (can_wait(reads, count - 1, t + 1, y)) return defer(fn, reads, count - 1, t + 1, y);
        if (!gr__give_memory(y->ctx->scope[y->scope], y)) return false;
    }
    if (!y->data && !gr__settle(y)) return false;
    char *p[GR_MAX_OPERANDS];
    unsigned dense = y->flags;
    p[0] = y->data;
    for (int k = 1; k < count; k++, some >>= 1) {
        p[k] = p[0]; /* what is not read may be any memory */
        if (!(some & 1)) continue;
        if (!t[k]->data && !gr__settle(t[k])) return false;
        p[k] = t[k]->data;
        dense &= t[k]->flags;
    }
    if (dense & GR_T_CONTIGUOUS && y->numel < ALONE) return fn(y->numel, p), true; /* at once, where nothing has gaps */
    if (y->numel <= FEW && run_few(fn, reads, count, t, p)) return true;
    gr_value value[GR_MAX_OPERANDS];
    gr_step step = { .fn = fn, .n = (uint8_t)count };
    int num = 0;
    for (int k = 0; k < count; k++) {
        step.value[k] = (uint8_t)(is_read(reads, k) ? num : 0);
        if (!is_read(reads, k)) continue;
        value[num++] = (gr_value){ t[k]->data, t[k]->flags & GR_T_CONTIGUOUS ? NULL : gr__stride(t[k]), (int)gr__type_size((gr_type)t[k]->dtype), k == 0 };
    }
    return gr__run_program(y->ctx, &(gr_program){ y->ndim, num, 1, 0, y->dims, value, &step, NULL, NULL });
}

bool gr__run_elementwise(gr_ew_fn *fn, unsigned reads, int count, gr_tensor *const *t)
{
    return t[0]->numel == 1 ? run_one(fn, count, t) : run_many(fn, reads, count, t);
}

bool gr__run_maker(gr_maker_fn *maker, gr_block *how, int64_t row, int n, gr_tensor *const *in, gr_tensor *y)
{
    gr_ctx *c = y->ctx;
    bool blocks = true, ok = y->data;
    for (int i = 0; i < n; i++) blocks = blocks && in[i]->block;
    ok = ok || (blocks && can_wait(~0u, n, in, y)) || gr__give_memory(c->scope[y->scope], y);
    if (ok && y->data) {
        const gr_value value = { y->data, NULL, (int)gr__type_size((gr_type)y->dtype), true };
        const gr_step step = { .maker = maker, .how = gr__block_data(how), .row = row, .n = 1 };
        ok = gr__run_program(c, &(gr_program){ y->ndim, 1, 1, 0, y->dims, &value, &step, NULL, NULL });
    } else if (ok) {
        gr_lazy *z = begin_to_wait((gr_lazy){ .maker = maker, .how = gr__block_data(how), .row = row }, y, y);
        if ((ok = z != NULL)) add_source(z, (source){ .block = how });
        for (int i = 0; ok && i < n; i++) add_source(z, (source){ .block = in[i]->block });
    }
    gr__block_unref(c, how);
    return ok;
}

/* The first part becomes the sum of all: those side by side first, so that few additions come one after the other. */
static void add_parts(gr_ew_fn *add, int64_t parts, int64_t n, size_t size, char *part)
{
    const size_t bytes = (size_t)n * size;
    for (int64_t step = 1; step < parts; step *= 2)
        for (int64_t i = 0; i + step < parts; i += 2 * step) {
            char *to = part + (size_t)i * bytes;
            add(n, (char *[]){ to, to, to + (size_t)step * bytes });
        }
}

bool gr__run_adjoint(gr_tensor *x, const gr_tensor *a, gr_tensor *y, bool turned, gr_tensor *total)
{
    gr_ctx *c = x->ctx;
    const gr_kernel_table *kt = gr__kernels();
    const int type = x->dtype - 1;
    const size_t size = gr__type_size((gr_type)x->dtype);
    const int64_t parts = (x->dims[0] + GR_ROWS - 1) / GR_ROWS, n = x->dims[1], steps = y ? a->dims[1] : 0;
    gr_lazy *z = x->lazy && !x->lazy->result ? x->lazy : NULL;
    if (!y && !total) return true;
    if (!z && !gr__ready(x)) return false;
    gr_row_sums s = { .fn = kt->affine_adjoint[type], .k = { .n = n, .steps = steps }, .plain = total != NULL, .sums = steps + (total != NULL) };
    if (y) s.k.as[0] = gr__stride(a)[0], s.k.as[1] = gr__stride(a)[1], s.k.a = a->data;
    builder b;
    begin_program(&b, c, x->ndim, x->dims, x->numel);
    b.row_sums = &s;
    if (z) add_steps(&b, z);
    s.value = z ? z->value : add_value(&b, (gr_value){ x->data, x->flags & GR_T_CONTIGUOUS ? NULL : gr__stride(x), (int)size, false });
    gr_block *room = gr__block_new(c, (size_t)(parts * s.sums * n) * size);
    if (!room) return false;
    s.parts = gr__block_data(room);
    const bool ok = run(&b);
    if (ok) {
        add_parts(kt->ew[GR_EW_add][type], parts, s.sums * n, size, s.parts);
        const char *sums = s.parts + (total ? (size_t)n * size : 0);
        if (total) memcpy(total->data, s.parts, (size_t)n * size);
        if (!turned && y) memcpy(y->data, sums, (size_t)(steps * n) * size);
        for (int64_t k = 0; turned && k < steps; k++) kt->copy[type](n, y->data + (size_t)k * size, steps, sums + (size_t)(k * n) * size, 1);
    }
    gr__block_unref(c, room);
    return ok;
}

bool gr__run_sum(gr_tensor *x, double over, gr_tensor *y)
{
    gr_reduce_fn *add = gr__kernels()->reduce[GR_REDUCE_sum][x->dtype - 1];
    const size_t size = gr__type_size((gr_type)x->dtype);
    if (x->lazy && !x->lazy->result && !y->ctx->observer) return wait_for((gr_lazy){ .sum = add, .over = over }, 1, 1, &x, y);
    if (!gr__ready(x) || !gr__give_memory(y->ctx->scope[y->scope], y)) return false;
    const int64_t blocks = (x->numel + GR_BLOCK - 1) / GR_BLOCK;
    if (blocks <= 1) return sum_up(add, over, size, x->data, x->numel, y->data), true;
    gr_block *totals = gr__block_new(y->ctx, (size_t)blocks * size);
    if (!totals) return false;
    const gr_value value = { .data = x->data, .size = (int)size };
    const gr_block_sums sum = { add, 0, gr__block_data(totals) };
    const bool ok = gr__run_program(y->ctx, &(gr_program){ 1, 1, 0, 1, &x->numel, &value, NULL, &sum, NULL });
    if (ok) sum_up(add, over, size, sum.total, blocks, y->data);
    gr__block_unref(y->ctx, totals);
    return ok;
}
