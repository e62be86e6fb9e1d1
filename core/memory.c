/* Where the bytes of a context come from: a bump arena of nodes for each scope, a pool of data blocks by size class.
 * Knows of a tensor where its elements are, and no more. After the first training step both are served from free lists alone.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)1 << 16)

void *gr__raw_alloc(gr_ctx *c, size_t bytes)
{
    if (c->max_bytes && (bytes > c->max_bytes || c->stats.bytes_now > c->max_bytes - bytes)) {
        gr_fail(c, GR_ENOMEM, "out of memory: %zu more bytes would pass the context's limit of %zu (%zu in use). "
                "Fix: raise max_bytes, or free more often with GR_SCOPE", bytes, c->max_bytes, c->stats.bytes_now);
        return NULL;
    }
    void *p = c->allocator.alloc(c->allocator.user, bytes);
    if (!p) {
        gr_fail(c, GR_ENOMEM, "out of memory: the system refused %zu bytes (%zu in use). "
                "Fix: free more often with GR_SCOPE, or use smaller tensors", bytes, c->stats.bytes_now);
        return NULL;
    }
    c->stats.allocations++;
    c->stats.bytes_now += bytes;
    if (c->stats.bytes_now > c->stats.bytes_peak) c->stats.bytes_peak = c->stats.bytes_now;
    return p;
}

void gr__raw_free(gr_ctx *c, void *p, size_t bytes)
{
    if (!p) return;
    c->stats.bytes_now -= bytes;
    c->allocator.release(c->allocator.user, p, bytes);
}

/* ---- arena -----------------------------------------------------------------------------------------------------*/
static gr_chunk *chunk_take(gr_ctx *c, size_t need)
{
    gr_chunk *k = c->free_chunks;
    if (k && k->size >= need) {
        c->free_chunks = k->next;
        return k;
    }
    size_t size = need > CHUNK ? (need + CHUNK - 1) / CHUNK * CHUNK : CHUNK;
    k = gr__raw_alloc(c, size);
    if (k) k->size = size;
    return k;
}

bool gr__arena_grow(gr_scope *s, size_t bytes)
{
    gr_chunk *k = chunk_take(s->ctx, bytes + sizeof *k);
    if (!k) return false;
    k->next = s->chunks;
    s->chunks = k;
    s->at = (char *)(k + 1);
    s->end = (char *)k + k->size;
    GR_POISON(s->at, (size_t)(s->end - s->at));
    return true;
}

void *gr__arena_alloc(gr_scope *s, size_t bytes)
{
    const size_t size = gr__arena_size(bytes ? bytes : 1);
    return gr__arena_has(s, size) || gr__arena_grow(s, size) ? gr__arena_take(s, size) : NULL;
}

/* ---- blocks ----------------------------------------------------------------------------------------------------
 * Classes grow by a quarter of a power of two, from 64 bytes: at most 25 % is lost to rounding. */
static inline int size_class(size_t n, size_t *capacity)
{
    int log = 6;
    *capacity = 64;
    if (n <= 64) return 0;
#ifdef __GNUC__
    log = 63 - __builtin_clzll(n);
#else
    while (log < 62 && ((size_t)2 << log) <= n) log++;
#endif
    size_t base = (size_t)1 << log, quarter = base / 4, steps = (n - base + quarter - 1) >> (log - 2);
    *capacity = base + (steps << (log - 2));
    return (log - 6) * 4 + (int)steps;
}

static void free_lists_release(gr_ctx *c)
{
    for (int i = 0; i < GR_SIZE_CLASSES; i++) {
        for (gr_block *b = c->free_blocks[i], *next; b; b = next) {
            next = b->next;
            GR_UNPOISON(b, b->capacity + GR_BLOCK_HEADER);
            gr__raw_free(c, b, b->capacity + GR_BLOCK_HEADER);
        }
        c->free_blocks[i] = NULL;
    }
    for (gr_chunk *k = c->free_chunks, *next; k; k = next) {
        next = k->next;
        GR_UNPOISON(k, k->size);
        gr__raw_free(c, k, k->size);
    }
    c->free_chunks = NULL;
}

/* where the free list of class k is empty */
GR_COLD static gr_block *make_block(gr_ctx *c, size_t bytes, size_t capacity, int k)
{
    const size_t size = capacity + GR_BLOCK_HEADER;
    if (bytes > (SIZE_MAX >> 2) || k >= GR_SIZE_CLASSES) {
        gr_fail(c, GR_ENOMEM, "out of memory: %zu bytes are more than any machine has", bytes);
        return NULL;
    }
    if (c->max_bytes && c->stats.bytes_now + size > c->max_bytes) free_lists_release(c);
    gr_block *b = gr__raw_alloc(c, size);
    if (!b) return NULL;
    b->capacity = capacity;
    b->size_class = k;
    return b;
}

static inline gr_block *take_block(gr_ctx *c, size_t bytes)
{
    size_t capacity;
    const int k = size_class(bytes, &capacity);
    gr_block *b = k < GR_SIZE_CLASSES ? c->free_blocks[k] : NULL;
    if (b) c->free_blocks[k] = b->next;
    else if (!(b = make_block(c, bytes, capacity, k))) return NULL;
    b->writer = NULL;
    b->written = 0;
    b->refs = 1, b->readers = 0;
    b->exposed = false;
    GR_POISON(gr__block_data(b), b->capacity);
    GR_UNPOISON(gr__block_data(b), bytes);
    return b;
}

gr_block *gr__block_new(gr_ctx *c, size_t bytes) { return take_block(c, bytes); }

static inline void give_back(gr_ctx *c, gr_block *b)
{
    if (--b->refs) return;
    GR_POISON(gr__block_data(b), b->capacity);
    b->next = c->free_blocks[b->size_class];
    c->free_blocks[b->size_class] = b;
}

void gr__block_unref(gr_ctx *c, gr_block *b) { give_back(c, b); }

bool gr__give_memory(gr_scope *s, gr_tensor *t)
{
    if (t->numel <= 1) {
        t->data = (char *)&t->value;
        return true;
    }
    t->block = take_block(t->ctx, (size_t)t->numel * gr__type_size((gr_type)t->dtype));
    if (!t->block) return false;
    t->data = gr__block_data(t->block);
    gr__hold(s, t);
    return true;
}

void gr__release(gr_tensor *t)
{
    if (t->lazy) gr__lazy_unref(t->ctx, t->lazy);
    t->lazy = NULL;
    if (!t->block) return;
    give_back(t->ctx, t->block);
    t->block = NULL;
    t->data = NULL;
}

/* ---- scopes ----------------------------------------------------------------------------------------------------*/
static bool scope_room(gr_ctx *c)
{
    if (c->depth + 1 < c->cap_scopes) return true;
    uint32_t cap = c->cap_scopes ? c->cap_scopes * 2 : 64;
    gr_scope **list = gr__raw_alloc(c, cap * sizeof *list);
    if (!list) return false;
    memset(list, 0, cap * sizeof *list);
    if (c->scope) memcpy(list, c->scope, c->cap_scopes * sizeof *list);
    gr__raw_free(c, c->scope, c->cap_scopes * sizeof *list);
    c->scope = list;
    c->cap_scopes = cap;
    return true;
}

gr_scope *gr_scope_begin(gr_ctx *c)
{
    if (!c || !scope_room(c)) return NULL;
    gr_scope *s = c->free_scopes;
    if (s) c->free_scopes = s->next_free;
    else if (!(s = gr__raw_alloc(c, sizeof *s))) return NULL;
    bool first = c->depth == 0 && !c->scope[0];
    uint32_t depth = first ? 0 : c->depth + 1;
    *s = (gr_scope){ .ctx = c, .depth = depth, .parent = first ? NULL : gr__scope_now(c) };
    c->scope[depth] = s;
    c->depth = depth;
    return s;
}

static void scope_close(gr_scope *s)
{
    gr_ctx *c = s->ctx;
    for (gr_tensor *t = s->held; t; t = t->next)
        if (t->block || t->lazy) gr__release(t);
    for (gr_chunk *k = s->chunks, *next; k; k = next) {
        next = k->next;
        if (k->size > CHUNK) {
            GR_UNPOISON(k, k->size);
            gr__raw_free(c, k, k->size);
            continue;
        }
        GR_POISON(k + 1, k->size - sizeof *k);
        k->next = c->free_chunks;
        c->free_chunks = k;
    }
    if (s->kept_block) gr__block_unref(c, s->kept_block);
    s->next_free = c->free_scopes;
    c->free_scopes = s;
}

void gr_scope_end(gr_scope *s)
{
    if (!s) return;
    gr_ctx *c = s->ctx;
    if (s->depth > c->depth || c->scope[s->depth] != s || s->depth == 0) return; /* ended before, or the context's own */
    if (c->observer && c->observer->freed) c->observer->freed(c->observer->user, s->depth);
    while (c->depth >= s->depth) {
        gr_scope *top = gr__scope_now(c);
        c->depth--;
        scope_close(top);
        if (top == s) break;
    }
}

void gr__memory_free(gr_ctx *c)
{
    if (c->scope && c->scope[0]) {
        if (c->depth) gr_scope_end(c->scope[1]);
        scope_close(c->scope[0]);
    }
    free_lists_release(c);
    for (gr_scope *s = c->free_scopes, *next; s; s = next) {
        next = s->next_free;
        gr__raw_free(c, s, sizeof *s);
    }
    gr__raw_free(c, c->scope, c->cap_scopes * sizeof *c->scope);
}
