/* Element-wise kernels over tensors of one shape, a tile at a time: a tile of each intermediate value stays in the
 * first-level cache, and what has strides is gathered into a dense tile, so that the kernels know no strides.
 *
 *   program   values: operands in memory, or temporary ones that live in tiles alone; steps: a kernel, its result, its operands
 *   tile      a range of elements in row-major order; for each of them every step is run before the next is begun
 *
 * Knows no operation and no graph. An element's value does not depend on the tile it falls into.
 * SPDX-License-Identifier: MIT */
#include "core/tiles.h"

#include <string.h>

#define STEP_NS 0.15 /* for an element, about; memory included */
enum {
    TILE = 1024,      /* elements: eight tiles of f32 are 32 KiB */
    LONG_RUN = 256,   /* elements in a row from which a tile ends with the row, so that the row is read in place */
};

/* How an operand lies in memory: dimensions of the shape, those merged that it steps through as through one. */
typedef struct layout {
    int ndim;
    int64_t dim[GR_MAX_RANK], stride[GR_MAX_RANK];
} layout;

static layout layout_of(int ndim, const int64_t *dim, const int64_t *stride)
{
    layout l = { .ndim = 0 };
    for (int d = 0; d < ndim; d++) {
        if (dim[d] == 1) continue;
        if (l.ndim && l.stride[l.ndim - 1] == stride[d] * dim[d]) {
            l.dim[l.ndim - 1] *= dim[d];
            l.stride[l.ndim - 1] = stride[d];
        } else {
            l.dim[l.ndim] = dim[d];
            l.stride[l.ndim++] = stride[d];
        }
    }
    if (l.ndim == 0) l.dim[0] = 1, l.stride[0] = 1, l.ndim = 1;
    return l;
}

/* Where element i lies, in elements from the first; index[]: its position in each dimension. */
static int64_t offset_of(const layout *l, int64_t i, int64_t *index)
{
    int64_t offset = 0;
    for (int d = l->ndim - 1; d > 0; d--) {
        index[d] = i % l->dim[d];
        i /= l->dim[d];
        offset += index[d] * l->stride[d];
    }
    index[0] = i;
    return offset + i * l->stride[0];
}

/* Copies elements i to i + n between where they lie and a dense tile. */
static void transfer(const layout *l, int64_t i, int64_t n, char *memory, char *tile, int64_t size, gr_copy_fn *copy, bool gather)
{
    int64_t index[GR_MAX_RANK], at = offset_of(l, i, index);
    const int last = l->ndim - 1;
    while (n > 0) {
        int64_t run = l->dim[last] - index[last];
        if (run > n) run = n;
        if (gather) copy(run, tile, 1, memory + at * size, l->stride[last]);
        else copy(run, memory + at * size, l->stride[last], tile, 1);
        n -= run;
        tile += run * size;
        at += run * l->stride[last];
        index[last] += run;
        for (int d = last; d > 0 && index[d] == l->dim[d]; d--) {
            at += l->stride[d - 1] - l->dim[d] * l->stride[d];
            index[d] = 0;
            index[d - 1]++;
        }
    }
}

enum { DENSE, CONSTANT, STRIDED, TEMPORARY };
typedef struct prepared {
    const gr_program *p;
    uint8_t place[GR_MAX_VALUES];
    uint8_t buffer[GR_MAX_VALUES];  /* its tile, if it is not read in place */
    uint8_t strided[GR_MAX_VALUES]; /* its layout */
    layout *layouts;
    int64_t cut;                 /* tiles end at its multiples */
    int64_t numel, tile;
    char *buffers;
    size_t buffer_bytes, worker_bytes;
} prepared;

static gr_copy_fn *copier(int size)
{
    const gr_kernel_table *k = gr__kernels();
    return k->copy[size == 1 ? GR_K_BOOL : size == 4 ? GR_K_F32 : GR_K_F64];
}

static void run_tile(const prepared *r, char *const *fixed, char *buffers, int64_t i, int64_t n)
{
    const gr_program *p = r->p;
    char *at[GR_MAX_VALUES];
    for (int v = 0; v < p->num_values; v++) {
        const gr_value *x = &p->value[v];
        char *tile = buffers + (size_t)r->buffer[v] * r->buffer_bytes;
        at[v] = r->place[v] == DENSE ? x->data + i * x->size : r->place[v] == CONSTANT ? fixed[v] : tile;
        if (r->place[v] != STRIDED) continue;
        const layout *l = &r->layouts[r->strided[v]];
        int64_t index[GR_MAX_RANK], offset = offset_of(l, i, index);
        if (l->stride[l->ndim - 1] == 1 && index[l->ndim - 1] + n <= l->dim[l->ndim - 1]) at[v] = x->data + offset * x->size;
        else if (!x->result) transfer(l, i, n, x->data, tile, x->size, copier(x->size), true);
    }
    for (int s = 0; s < p->num_steps; s++) {
        const gr_step *k = &p->step[s];
        char *operand[GR_MAX_OPERANDS];
        for (int j = 0; j < k->n; j++) operand[j] = at[k->value[j]];
        k->fn(n, operand);
    }
    for (int v = 0; v < p->num_values; v++) {
        const gr_value *x = &p->value[v];
        if (r->place[v] != STRIDED || !x->result || at[v] != buffers + (size_t)r->buffer[v] * r->buffer_bytes) continue;
        transfer(&r->layouts[r->strided[v]], i, n, x->data, at[v], x->size, copier(x->size), false);
    }
}

/* A range of whole tiles, but for the last one. Constants are written into their tiles once. */
static void run_range(void *user, int64_t first, int64_t end, int worker)
{
    const prepared *r = user;
    char *buffers = r->buffers + (size_t)worker * r->worker_bytes, *fixed[GR_MAX_VALUES];
    int64_t from = first * r->tile, to = end * r->tile < r->numel ? end * r->tile : r->numel;
    for (int v = 0; v < r->p->num_values; v++) {
        if (r->place[v] != CONSTANT) continue;
        fixed[v] = buffers + (size_t)r->buffer[v] * r->buffer_bytes;
        copier(r->p->value[v].size)(to - from < r->tile ? to - from : r->tile, fixed[v], 1, r->p->value[v].data, 0);
    }
    for (int64_t i = from, n; i < to; i += n) {
        n = to - i < r->tile ? to - i : r->tile;
        if (n > r->cut - i % r->cut) n = r->cut - i % r->cut;
        run_tile(r, fixed, buffers, i, n);
    }
}

/* Where each value lies; a tile for each one that is not read in place, used again after its last use. */
static int prepare(prepared *r)
{
    const gr_program *p = r->p;
    uint8_t last[GR_MAX_VALUES], spare[GR_MAX_VALUES];
    int num_spare = 0, num = 0, num_layouts = 0;
    r->cut = INT64_MAX;
    for (int v = 0; v < p->num_values; v++) {
        const gr_value *x = &p->value[v];
        r->place[v] = !x->data ? TEMPORARY : DENSE;
        if (!x->data || !x->stride) continue;
        layout l = layout_of(p->ndim, p->dim, x->stride);
        if (l.ndim == 1 && l.stride[0] == 1) continue;
        r->place[v] = l.ndim == 1 && l.stride[0] == 0 && !x->result ? CONSTANT : STRIDED;
        r->buffer[v] = (uint8_t)num++;
        if (r->place[v] == CONSTANT) continue;
        r->strided[v] = (uint8_t)num_layouts;
        r->layouts[num_layouts++] = l;
        int64_t run = l.stride[l.ndim - 1] == 1 ? l.dim[l.ndim - 1] : 0;
        if (run >= LONG_RUN && run < r->cut) r->cut = run;
    }
    for (int s = 0; s < p->num_steps; s++)
        for (int j = 0; j < p->step[s].n; j++) last[p->step[s].value[j]] = (uint8_t)s;
    for (int s = 0; s < p->num_steps; s++) {
        const gr_step *k = &p->step[s];
        int y = k->value[0];
        if (r->place[y] == TEMPORARY) r->buffer[y] = num_spare ? spare[--num_spare] : (uint8_t)num++;
        for (int j = 1; j < k->n; j++) { /* after the result: a tile is not written to while it is read */
            int v = k->value[j];
            if (r->place[v] != TEMPORARY || last[v] != s) continue;
            spare[num_spare++] = r->buffer[v];
            last[v] = UINT8_MAX; /* the same value may be another operand */
        }
    }
    return num;
}

bool gr__run_program(gr_ctx *c, const gr_program *p)
{
    layout layouts[GR_MAX_VALUES];
    prepared r;
    r.p = p, r.layouts = layouts, r.numel = 1;
    for (int d = 0; d < p->ndim; d++) r.numel *= p->dim[d];
    if (r.numel == 0) return true;
    int num = prepare(&r);
    r.tile = num <= 8 ? TILE : num <= 16 ? TILE / 2 : TILE / 4;
    if (r.tile > r.numel) r.tile = r.numel;
    r.buffer_bytes = ((size_t)r.tile * 8 + 63) / 64 * 64;
    r.worker_bytes = (size_t)num * r.buffer_bytes;
    double ns = STEP_NS * (double)p->num_steps;
    gr_block *b = num ? gr__block_new(c, (size_t)gr__parallel_workers(c, ns * (double)r.numel) * r.worker_bytes) : NULL;
    if (num && !b) return false;
    r.buffers = b ? gr__block_data(b) : NULL;
    gr__parallel_ranges(c, (r.numel + r.tile - 1) / r.tile, ns * (double)r.tile, run_range, &r);
    if (b) gr__block_unref(c, b);
    return true;
}
