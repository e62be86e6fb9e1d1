/* The inside of a tensor, a scope and a context, for core/ alone.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_CORE_TENSOR_H
#define GRADUS_CORE_TENSOR_H

#include "core/core.h"

#include <pthread.h>
#include <stdatomic.h>

#if defined(__GNUC__)
#define GR_COLD __attribute__((cold, noinline)) /* what only a call that fails runs: its frame is not everybody's */
#define GR_APART __attribute__((noinline))      /* what few calls run */
#else
#define GR_COLD
#define GR_APART
#endif

/* The sanitizer is told which bytes of the arena and of the blocks are in use. */
#if defined(__SANITIZE_ADDRESS__)
#define GR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GR_ASAN 1
#endif
#endif
#ifdef GR_ASAN
#include <sanitizer/asan_interface.h>
#define GR_POISON(p, n) __asan_poison_memory_region(p, n)
#define GR_UNPOISON(p, n) __asan_unpoison_memory_region(p, n)
#define GR_REDZONE 64 /* unused bytes after each node: what writes past it is caught */
#else
#define GR_POISON(p, n) ((void)(p), (void)(n))
#define GR_UNPOISON(p, n) ((void)(p), (void)(n))
#define GR_REDZONE 0
#endif

/* Reference-counted memory for the elements of one tensor and its views. The data follow this header. */
typedef struct gr_block gr_block;
struct gr_block {
    gr_block *next;     /* in the free list of its size class */
    size_t capacity;    /* bytes of data */
    const char *writer; /* who wrote to it last, for messages */
    uint64_t written;   /* when it was written in place last: gr_ctx.writes, 0 for never */
    uint32_t refs;      /* tensors that use it */
    uint32_t readers;   /* values that wait to be computed from it */
    int size_class;
    bool exposed;       /* the program has its address, and may write to it at any time */
};
#define GR_BLOCK_HEADER 64 /* keeps the data on a cache line */

enum {
    GR_T_REQUIRES_GRAD = 1,
    GR_T_NUMBER = 2,       /* a constant written as a number */
    GR_T_RETAIN = 4,       /* wants .grad though it is no leaf */
    GR_T_HAS_GRAD = 8,     /* .grad holds a gradient (and not just memory for one) */
    GR_T_SWEPT = 16,       /* a sweep without retain_graph went through */
    GR_T_NO_GRAD = 64,     /* made while recording was off: says why there is no path */
    GR_T_NONDIFF = 128,    /* made by an operation without derivative */
    GR_T_DETACHED = 256,
    GR_T_CONTIGUOUS = 512, /* row-major and without gaps, as it was made; what changes its strides takes this away */
    GR_T_SPENT = 1024,     /* a gradient that nobody reads after the record.backward that runs: a dx may take its place */
};

enum {
    GR_WALK_NEEDED = 1, /* leads to a target, or to a tensor that stores its gradient */
    GR_WALK_TARGET = 2, /* its gradient was asked for */
    GR_WALK_STORES = 4, /* its gradient is added to .grad */
    GR_WALK_PASSED = 8, /* the sweep went through */
};

typedef struct gr_lazy gr_lazy; /* a value that waits to be computed: defer.c */

/* One element is kept in the node itself. A node is followed by its inputs, sizes, strides, attributes.
 * What walks over the graph, and sums, read of each node lies together, and what is rarely read lies last. */
struct gr_tensor {
    gr_ctx *ctx;
    int64_t numel;
    char *data;
    gr_block *block;      /* NULL: `value` of the owner is the memory */
    gr_lazy *lazy;        /* how to compute it, while data is NULL */
    const void *attr;
    gr_tensor *owner;     /* whose memory this is: itself, or what it is a view of */
    int64_t *dims;        /* ndim sizes, then ndim strides */
    const gr_op *op;
    uint64_t recorded;    /* gr_ctx.writes when it was recorded: what its derivative reads must not have been written since */
    gr_tensor *cot;       /* of the current sweep: its gradient so far, and while it is sorted whose input it was met as */
    uint32_t mark, order; /* of the current walk over the graph */
    uint16_t flags;
    uint8_t dtype, ndim;
    int32_t nin;
    uint32_t scope;       /* depth of the scope that holds it */
    uint8_t walk;         /* GR_WALK_...: of the current sweep */
    union {
        float f32;
        double f64;
        int64_t i64;
        bool b;
    } value;
    gr_tensor *next;      /* in the scope's list of tensors that hold a block */
    uint64_t written;     /* when `value` was written in place last: gr_ctx.writes, 0 for never */
    gr_tensor *grad;
    const char *name;
    gr_tensor *in[];
};

static inline bool gr__same_shape(const gr_tensor *a, const gr_tensor *b)
{
    if (a->ndim != b->ndim) return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}
static inline int64_t *gr__stride(const gr_tensor *t) { return t->dims + t->ndim; }
/* when its memory was written in place last */
static inline uint64_t *gr__written(const gr_tensor *t)
{
    return t->block ? &t->block->written : &t->owner->written;
}

typedef struct gr_chunk gr_chunk;
struct gr_chunk {
    gr_chunk *next;
    size_t size; /* bytes with this header */
};

struct gr_scope {
    gr_ctx *ctx;
    gr_scope *parent, *next_free;
    uint32_t depth;
    gr_chunk *chunks;     /* the newest first: that one is being filled */
    char *at, *end;
    gr_tensor *held;      /* tensors with a block */
    gr_tensor *spare[GR_MAX_RANK + 1]; /* used nodes without inputs to use again, a list for each rank: a sweep's */
    gr_block *kept_block;
    gr_tensor **kept;     /* pairs (old, clone) that gr_keep made, in kept_block */
    size_t num_kept, cap_kept;
};

/* A record's flag, beside those of core.h: forward gives y its memory and takes inputs of more than one element whose values
 * still wait: one gr__run_elementwise, gr__run_maker or gr__run_sum. So does backward, whose dx have the shape and dtype of their inputs. */
#define GR_OP_KERNEL (1u << 15)
/* A view whose vjp does no more than put dy in its place among zeros: a sweep may as well add it there. */
#define GR_OP_PART (1u << 14)

#define GR_SIZE_CLASSES 192

/* What teach/ hears of a run. Each pointer may be NULL. */
typedef struct gr_observer {
    void *user;
    void (*made)(void *user, const gr_call *k, gr_tensor *y); /* recorded or not */
    void (*seed)(void *user, gr_tensor *root, gr_tensor *g);
    void (*visit)(void *user, gr_tensor *y, gr_tensor *dy);  /* dy is complete: y is next */
    void (*contribution)(void *user, gr_tensor *y, int slot, gr_tensor *dx);
    void (*end)(void *user);
    void (*sum)(void *user, gr_tensor *x, gr_tensor *total); /* all that x has received so far in this sweep */
    void (*written)(void *user, gr_tensor *t, const char *writer); /* in place, just now */
    void (*cleared)(void *user, gr_tensor *t);               /* its gradient */
    void (*here)(void *user, gr_tensor *y, const char *code, const char *file, int line); /* where y was made, just now */
    void (*freed)(void *user, uint32_t depth);               /* what scopes of this depth and deeper hold is about to go */
} gr_observer;

/* The threads of a context and the loop that they share; see parallel.c. It lies in the context: nothing to allocate. */
typedef void gr_range_fn(void *user, int64_t begin, int64_t end, int worker);
typedef struct gr_pool gr_pool;
typedef struct gr_worker {
    _Alignas(64) gr_pool *pool;
    pthread_t thread;
    uint32_t number;            /* of the loop when it was started */
    _Atomic bool holds;         /* chunks that it has claimed */
    _Atomic bool lent;          /* the caller gave it its processor to do them */
} gr_worker;
typedef struct gr_share {
    _Alignas(64) _Atomic uint64_t left; /* see parallel.c */
} gr_share;
struct gr_pool {
    int threads;                /* at most, the caller's included; 0: as many as there are processors */
    int processors;             /* that the process may use; 0: nobody has asked yet */
    _Atomic int started;        /* workers 1 to started have a thread; the caller is worker 0 */
    int processor;              /* on which the caller was when the workers were last told to keep clear of it */
    bool busy, stop;
    bool eager;                 /* shares out whatever it can: for tests */
    long pid;                   /* of the process whose threads they are */
    double alone, last_alone;   /* ns of loops that were run alone since the threads sleep; when the last of them was */
    pthread_mutex_t lock;       /* of sleeping and waking alone */
    pthread_cond_t wake, finished;
    _Alignas(64) _Atomic(gr_range_fn *) fn;
    _Atomic(void *) user;
    _Atomic int64_t n;
    _Atomic int chunks, shares;
    _Atomic uint32_t number;    /* of the loop */
    _Atomic int asleep;         /* workers that wait for `wake` */
    _Atomic bool waiting;       /* the caller waits for `finished` */
    _Alignas(64) _Atomic int unfinished; /* chunks */
    gr_share share[GR_MAX_THREADS]; /* the caller's, then each worker's */
    gr_worker worker[GR_MAX_THREADS - 1];
};

struct gr_ctx {
    gr_allocator allocator;
    gr_type dtype;
    size_t max_bytes;
    gr_stats stats;

    gr_scope **scope;     /* scope[depth] */
    uint32_t depth, cap_scopes;
    gr_scope *free_scopes;
    gr_chunk *free_chunks;
    gr_block *free_blocks[GR_SIZE_CLASSES];

    int no_grad;
    uint64_t writes;      /* in place, so far */
    uint32_t epoch;       /* of walks: t->mark == epoch means visited */
    int sweeping;
    const gr_observer *observer;

    gr_lazy *waiting;     /* values to be computed when they are asked for */
    uint32_t lazy_mark;   /* of walks over them */
    int64_t defer_from;   /* elements from which an element-wise result waits */

    uint64_t seed, drawn; /* the random stream: numbers drawn so far */

    gr_code code;
    char message[2048];

    gr_pool pool;
};

/* gr_wants(y, i) in a sweep, for one of its inputs: no walk was ever through what requires no gradient */
static inline bool gr__wants(const gr_tensor *y, int i) { return y->in[i]->walk & GR_WALK_NEEDED; }

/* gr_grad of a leaf */
static inline gr_tensor *gr__grad(const gr_tensor *t) { return t->flags & GR_T_HAS_GRAD ? t->grad : NULL; }

/* memory.c */
void *gr__raw_alloc(gr_ctx *c, size_t bytes); /* 64-byte aligned; on failure the error is set */
void gr__raw_free(gr_ctx *c, void *p, size_t bytes);
void *gr__arena_alloc(gr_scope *s, size_t bytes); /* 8-byte aligned, freed with the scope */
bool gr__arena_grow(gr_scope *s, size_t bytes);   /* makes room for gr__arena_take */
static inline size_t gr__arena_size(size_t bytes) { return ((bytes + 7) & ~(size_t)7) + GR_REDZONE; }
static inline bool gr__arena_has(const gr_scope *s, size_t size) { return (size_t)(s->end - s->at) >= size; }
static inline void *gr__arena_take(gr_scope *s, size_t size) /* of gr__arena_size, that the scope has */
{
    void *p = s->at;
    GR_UNPOISON(p, size - GR_REDZONE);
    s->at += size;
    return p;
}
gr_block *gr__block_new(gr_ctx *c, size_t bytes);
void gr__block_unref(gr_ctx *c, gr_block *b);
static inline void *gr__block_data(gr_block *b) { return (char *)b + GR_BLOCK_HEADER; }
void gr__memory_free(gr_ctx *c);
static inline gr_scope *gr__scope_now(gr_ctx *c) { return c->scope[c->depth]; }

/* parallel.c */
/* Calls fn on ranges that together are [0, n), of items that take one thread about so many ns each, on the context's threads and
 * the caller's; on the whole at once where it does not pay to share them out. Returns when all are done. worker < gr_threads(c),
 * and no two calls have the same one at a time. Any order: a call writes what no other reads, and how [0, n) is cut depends on
 * threads and time: the values of an item must not. It must not touch the context: no error, no memory; a loop in it runs on
 * the spot, as worker 0. */
void gr__parallel_ranges(gr_ctx *c, int64_t n, double ns, gr_range_fn *fn, void *user);
/* The workers that a loop of so many ns may have at most, for their scratch: the same each time, whoever is awake. */
int gr__parallel_workers(gr_ctx *c, double ns);
void gr__threads_init(gr_ctx *c);
void gr__threads_free(gr_ctx *c);

/* processors.c */
int gr__processors(void); /* that the process may use, at least 1 */
int gr__processors_within(const char *root, int most); /* of so many, by the quotas of its control groups, whose files lie below root */

/* tensor.c */
static inline size_t gr__type_size(gr_type t) { return t == GR_F32 ? 4 : t == GR_BOOL ? 1 : 8; }
bool gr__shape_ok(gr_ctx *c, const char *who, int ndim, const int64_t *dim, gr_type type);
gr_tensor *gr__node(gr_ctx *c, gr_scope *s, gr_type type, int ndim, const int64_t *dim, int nin, size_t attr);
/* The fields of a node in memory that is not set: all but its sizes and strides, and what is set before anybody looks. */
static inline void gr__node_set(gr_scope *s, gr_tensor *t, gr_type type, int ndim, int64_t numel, int nin)
{
    t->ctx = s->ctx, t->numel = numel, t->owner = t;
    /* field by field: clearing it as a whole becomes a slow string instruction */
    t->data = NULL, t->block = NULL, t->lazy = NULL, t->attr = NULL, t->op = NULL, t->grad = NULL, t->name = NULL;
    t->written = 0, t->mark = 0;
    t->flags = GR_T_CONTIGUOUS, t->dtype = (uint8_t)type, t->ndim = (uint8_t)ndim;
    t->nin = nin, t->scope = s->depth, t->walk = 0;
    s->ctx->stats.nodes++;
}
/* and the strides of that shape; the number of elements */
int64_t gr__set_sizes(gr_tensor *t, int ndim, const int64_t *dim);
/* A node of the type and shape of `like`, and of no memory yet. */
static inline gr_tensor *gr__node_like(gr_scope *s, const gr_tensor *like, int nin)
{
    const int ndim = like->ndim;
    gr_tensor *t = nin == 0 ? s->spare[ndim] : NULL;
    if (t) {
        s->spare[ndim] = t->next;
    } else {
        const size_t head = sizeof(gr_tensor) + (size_t)nin * sizeof t, size = gr__arena_size(head + 2 * (size_t)ndim * sizeof(int64_t));
        if (!gr__arena_has(s, size) && !gr__arena_grow(s, size)) return NULL;
        t = gr__arena_take(s, size);
        t->dims = (int64_t *)(void *)((char *)t + head);
    }
    gr__node_set(s, t, (gr_type)like->dtype, ndim, like->numel, nin);
    const int64_t *from = like->dims;
    if (like->flags & GR_T_CONTIGUOUS) /* a size of 1 may have any stride */
        for (int64_t *to = t->dims, *const end = to + 2 * ndim; to < end; to += 2, from += 2) to[0] = from[0], to[1] = from[1];
    else gr__set_sizes(t, ndim, from);
    return t;
}
bool gr__give_memory(gr_scope *s, gr_tensor *t); /* contiguous, values not set */
void gr__share_memory(gr_scope *s, gr_tensor *t, gr_tensor *from, int64_t offset, const int64_t *stride);
static inline void gr__hold(gr_scope *s, gr_tensor *t) { t->next = s->held, s->held = t; } /* s gives its memory back */
void gr__release(gr_tensor *t); /* gives its block back before the scope ends; t must not be used again */
/* Nobody uses t any more, which has its value in its node: that may be used again. */
static inline void gr__spare(gr_scope *s, gr_tensor *t)
{
    if (t->nin || t->scope != s->depth) return;
    t->next = s->spare[t->ndim];
    s->spare[t->ndim] = t;
}
/* Nobody uses t any more: its block, or else its node, may be used again. */
static inline void gr__recycle(gr_scope *s, gr_tensor *t)
{
    if (t->block || t->lazy) gr__release(t);
    else if (t->owner == t) gr__spare(s, t);
}
void gr__repeat_one(gr_tensor *t); /* all elements are one: strides of 0 */
bool gr__is_contiguous(int ndim, const int64_t *dim, const int64_t *stride);
gr_tensor *gr__clone_into(gr_scope *s, gr_tensor *t); /* a leaf with the same memory */

/* apply.c */
/* gr_apply where there is nothing left to find out: inputs that gr__alike says fit, of an operation GR_OP_KERNEL that has no
 * shape function, takes n of them, a or a and b, and reads neither sizes nor attributes from its call. */
gr_tensor *gr__apply_alike(const gr_op *op, int n, gr_tensor *a, gr_tensor *b);
void gr__require_no_grad(gr_tensor *leaf); /* from now on, in sweeps through what was recorded before as well */

/* print.c */
typedef struct gr_text { /* a buffer that counts what it cannot hold, like snprintf */
    char *out;
    size_t size, at;
} gr_text;
void gr__put(gr_text *x, const char *fmt, ...) GR_PRINTF(2, 3);
/* s in quotes, < as \u003c, what is no UTF-8 as U+FFFD. */
void gr__json_string(FILE *f, const char *s);
int gr__format_dims(char *out, size_t size, int n, const int64_t *dim); /* "[2, 3]" */
int gr__format_tensor_ref(char *out, size_t size, const gr_tensor *t);  /* "w [2, 3]", "i64 [2]" */

/* random.c */
void gr__random_fill(gr_ctx *c, gr_tensor *t, bool normal);
uint64_t gr__random_u64(gr_ctx *c);

/* strided.c */
typedef void gr_strided_fn(int64_t n, char *const *p, const int64_t *stride, void *user);
/* Calls fn on runs that together visit every element of count tensors of one shape, in row-major order. Strides are in
 * elements. Adjacent dimensions are merged where all layouts allow. */
void gr__strided(int count, const gr_tensor *const *t, gr_strided_fn *fn, void *user);
/* The same for operands that are not tensors as they stand: a part of one, or one repeated by strides of 0. */
#define GR_MAX_OPERANDS 8
typedef struct gr_run_arg {
    char *data;
    const int64_t *stride;
    int64_t size; /* of an element */
} gr_run_arg;
static inline gr_run_arg gr__run_arg(const gr_tensor *t)
{
    return (gr_run_arg){ t->data, gr__stride(t), (int64_t)gr__type_size((gr_type)t->dtype) };
}
void gr__strided_args(int ndim, const int64_t *dim, int count, const gr_run_arg *a, gr_strided_fn *fn, void *user);

/* defer.c */
bool gr__settle(const gr_tensor *t); /* where t has no data: computes it; false, and an error, where that cannot be */
bool gr__settle_all(gr_ctx *c, gr_tensor *const *t, size_t n); /* those that wait, together; NULL is skipped */
bool gr__compute_readers(const gr_tensor *t); /* what waits to read its memory */
static inline bool gr__before_write(const gr_tensor *t) { return !t->block || !t->block->readers || gr__compute_readers(t); }
void gr__share_lazy(gr_tensor *t, gr_lazy *z);
void gr__lazy_unref(gr_ctx *c, gr_lazy *z);
int64_t gr__defer_default(void);

/* Can a call on this tensor proceed? Not when it is NULL, an error stands, or its memory was given back (an error). Ready:
 * it also has its values; usable: they may still wait. */
bool gr__released_error(const gr_tensor *t); /* false */
static inline bool gr__usable(const gr_tensor *t) { return t && t->ctx->code == GR_OK && (t->data || t->lazy || gr__released_error(t)); }
static inline bool gr__ready(const gr_tensor *t) { return t && t->ctx->code == GR_OK && (t->data || gr__settle(t)); }
/* Floats of one context, dtype and shape, that a kernel may take as they are? Several elements may wait, one may not. */
static inline bool gr__alike(const gr_tensor *a, const gr_tensor *b)
{
    if (!a || !b) return false;
    return a->ctx == b->ctx && a->ctx->code == GR_OK && a->dtype >= GR_F32 && a->dtype == b->dtype &&
           (a->data || (a->lazy && a->numel > 1)) && (b->data || (b->lazy && b->numel > 1)) && gr__same_shape(a, b);
}

#endif
