/* Element-wise kernels over tensors of one shape, a tile at a time: a tile of each intermediate value stays in the
 * first-level cache, and what has strides is gathered into a dense tile, so that the kernels know no strides.
 *
 *   program   values: operands in memory, or temporary ones that live in tiles alone; steps: a kernel, its result, its operands
 *   tile      a range of elements in row-major order; for each of them every step is run before the next is begun
 *
 * A step may also make its tile from memory in a way of its own, as kernels/affine.c does, and sums may be taken of a tile that is complete.
 *
 * Knows no operation and no graph. An element's value does not depend on the tile it falls into.
 * SPDX-License-Identifier: MIT */
#include "core/tiles.h"

#include <string.h>

#define STEP_NS 0.15 /* for an element, about; memory included */
#define ADDEND_NS 0.08
enum {
    CACHE = 16384,    /* bytes, half of the first level or less: a tile of every value at once; the rest is for the next tile */
    LINE = 64,        /* bytes */
    TILE = 1024,      /* elements at most: what a call of a kernel costs is lost among them */
    TILE_LEAST = 128, /* and at least */
    ENOUGH = 4,       /* steps from which on there is time to fetch the next tile */
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
enum { MAX_SLOTS = GR_MAX_STEPS * GR_MAX_OPERANDS };
typedef struct prepared {
    const gr_program *p;
    bool uniform[GR_MAX_VALUES], summed[GR_MAX_VALUES], scatters;
    int num_moving, num_once, num_each, num_slots, num_buffers, num_blocks, num_ahead;
    int64_t part;                   /* bytes, whole times 4 lines */
    layout *layouts;
    int64_t cut, block;             /* tiles end at their multiples; block: of which there are sums */
    int64_t numel, tile, unit;      /* unit: elements that one thread takes */
    char *buffers;
    size_t buffer_bytes, block_bytes, worker_bytes;
    uint8_t place[GR_MAX_VALUES];   /* from here on what is not written yet is anything */
    uint8_t strided[GR_MAX_VALUES]; /* its layout */
    uint8_t buffer[GR_MAX_VALUES];  /* its tile, if it is not read in place */
    uint8_t moving[GR_MAX_VALUES];  /* values that do not lie in the same place for every tile */
    uint8_t once[GR_MAX_STEPS];     /* steps whose operands have one value for all elements: so has the result */
    uint8_t each[GR_MAX_STEPS];     /* the other steps */
    uint16_t slot[MAX_SLOTS];       /* of an operand of theirs that moves, in the order of `owner` */
    uint8_t owner[MAX_SLOTS];       /* the value that is this operand */
    gr_ew_fn *fn[GR_MAX_STEPS];     /* of `each` */
    uint8_t ahead[GR_MAX_STEPS];    /* before each of them a part of the next tile of this value is fetched: */
    int32_t ahead_at[GR_MAX_STEPS]; /* so many bytes from its tile on */
} prepared;

static gr_copy_fn *copier(int size)
{
    const gr_kernel_table *k = gr__kernels();
    return k->copy[size == 1 ? GR_K_BOOL : size == 4 ? GR_K_F32 : GR_K_F64];
}

static char *buffer_of(const prepared *r, char *buffers, int v)
{
    return buffers + (r->summed[v] ? (size_t)r->num_buffers * r->buffer_bytes + (size_t)r->buffer[v] * r->block_bytes : (size_t)r->buffer[v] * r->buffer_bytes);
}

static void set_operands(const gr_step *k, char *const *at, char **operand)
{
    for (int j = 0; j < k->n; j++) operand[j] = at[k->value[j]];
}

/* Where the values of elements i to i + n are: what cannot be read in place is gathered. */
static void find(const prepared *r, char *buffers, char **at, int64_t i, int64_t n)
{
    for (int m = 0; m < r->num_moving; m++) {
        const int v = r->moving[m];
        const gr_value *x = &r->p->value[v];
        if (r->place[v] == DENSE) {
            at[v] = x->data + i * x->size;
        } else if (r->place[v] == TEMPORARY) {
            at[v] = buffer_of(r, buffers, v) + i % GR_BLOCK * x->size;
        } else {
            const layout *l = &r->layouts[r->strided[v]];
            int64_t index[GR_MAX_RANK], offset = offset_of(l, i, index);
            at[v] = buffer_of(r, buffers, v);
            if (l->stride[l->ndim - 1] == 1 && index[l->ndim - 1] + n <= l->dim[l->ndim - 1]) at[v] = x->data + offset * x->size;
            else if (!x->result) transfer(l, i, n, x->data, at[v], x->size, copier(x->size), true);
        }
    }
}

/* After the steps of a tile: results with strides that were not written in place, and the sums of a block that is complete. */
static void finish(const prepared *r, char *buffers, char *const *at, int64_t i, int64_t n)
{
    const gr_program *p = r->p;
    for (int m = 0; r->scatters && m < r->num_moving; m++) {
        const int v = r->moving[m];
        const gr_value *x = &p->value[v];
        if (r->place[v] == STRIDED && x->result && at[v] == buffer_of(r, buffers, v))
            transfer(&r->layouts[r->strided[v]], i, n, x->data, at[v], x->size, copier(x->size), false);
    }
    if (p->row_sums) {
        const gr_row_sums *s = p->row_sums;
        const size_t bytes = (size_t)(s->sums * s->k.n * p->value[s->value].size);
        char *sums = s->parts + (size_t)(i / r->block) * bytes;
        if (i % r->block == 0) memset(sums, 0, bytes);
        s->fn(&s->k, s->plain, i, n, at[s->value], sums);
    }
    if (!p->num_sums) return;
    const int64_t block = i / GR_BLOCK, done = i + n - block * GR_BLOCK;
    if (done < GR_BLOCK && i + n < r->numel) return;
    for (int s = 0; s < p->num_sums; s++) {
        const gr_block_sums *k = &p->sum[s];
        const int size = p->value[k->value].size;
        const char *x = at[k->value] - i % GR_BLOCK * size;
        char *y = k->total + block * size;
        memset(y, 0, (size_t)size);
        k->fn(1, done, x, (int64_t[]){ 0, 1 }, y, (int64_t[]){ 0, 0 });
    }
}

static inline void run_step(gr_ew_fn *fn, const gr_step *k, int64_t i, int64_t n, char **operand)
{
    if (fn) fn(n, operand);
    else k->maker(k->how, i, n, operand[0]);
}

/* A range of whole units, but for the last one. What is the same for all elements is written into its tile once. */
static void run_range(void *user, int64_t first, int64_t end, int worker)
{
    const prepared *r = user;
    const gr_program *p = r->p;
    char *buffers = r->buffers + (size_t)worker * r->worker_bytes, *at[GR_MAX_VALUES], *operand[MAX_SLOTS];
    const int64_t from = first * r->unit, to = end * r->unit < r->numel ? end * r->unit : r->numel;
    const int64_t most = to - from < r->tile ? to - from : r->tile;
    for (int v = 0; v < p->num_values; v++) {
        at[v] = r->place[v] == DENSE ? p->value[v].data : buffer_of(r, buffers, v);
        if (r->place[v] == CONSTANT) copier(p->value[v].size)(most, at[v], 1, p->value[v].data, 0);
    }
    for (int s = 0; s < r->num_once; s++) {
        set_operands(&p->step[r->once[s]], at, operand);
        p->step[r->once[s]].fn(most, operand);
    }
    for (int s = 0; s < r->num_each; s++) set_operands(&p->step[r->each[s]], at, operand + s * GR_MAX_OPERANDS);
    for (int64_t i = from, n; i < to; i += n) {
        n = to - i < r->tile ? to - i : r->tile;
        if (r->cut < r->numel && n > r->cut - i % r->cut) n = r->cut - i % r->cut;
        if (n > r->block - i % r->block) n = r->block - i % r->block;
        find(r, buffers, at, i, n);
        for (int s = 0; s < r->num_slots; s++) operand[r->slot[s]] = at[r->owner[s]];
        for (int s = 0; s < r->num_each; s++) {
            if (s < r->num_ahead) { /* it comes while the machine computes; past the end of memory nothing does */
                const uintptr_t next = (uintptr_t)at[r->ahead[s]] + (uintptr_t)r->ahead_at[s], past = next + (uintptr_t)r->part;
                for (uintptr_t line = next; line < past; line += 4 * LINE) {
                    __builtin_prefetch((const void *)line);
                    __builtin_prefetch((const void *)(line + LINE));
                    __builtin_prefetch((const void *)(line + 2 * LINE));
                    __builtin_prefetch((const void *)(line + 3 * LINE));
                }
            }
            run_step(r->fn[s], &p->step[r->each[s]], i, n, operand + s * GR_MAX_OPERANDS);
        }
        finish(r, buffers, at, i, n);
    }
}

/* Where each value lies. */
static void place_values(prepared *r)
{
    const gr_program *p = r->p;
    int num_layouts = 0;
    r->cut = INT64_MAX;
    for (int s = 0; s < p->num_sums; s++) r->summed[p->sum[s].value] = !p->value[p->sum[s].value].data;
    for (int v = 0; v < p->num_values; v++) {
        const gr_value *x = &p->value[v];
        r->place[v] = x->data ? DENSE : TEMPORARY;
        if (r->summed[v]) r->buffer[v] = (uint8_t)r->num_blocks++;
        if (x->data || r->summed[v]) r->moving[r->num_moving++] = (uint8_t)v;
        if (!x->data || !x->stride) continue;
        layout l = layout_of(p->ndim, p->dim, x->stride);
        if (l.ndim == 1 && l.stride[0] == 1) continue;
        r->place[v] = l.ndim == 1 && l.stride[0] == 0 && !x->result ? CONSTANT : STRIDED;
        r->uniform[v] = r->place[v] == CONSTANT;
        r->scatters = r->scatters || x->result;
        r->buffer[v] = (uint8_t)r->num_buffers++;
        if (r->uniform[v]) {
            r->num_moving--;
            continue;
        }
        r->strided[v] = (uint8_t)num_layouts;
        r->layouts[num_layouts++] = l;
        int64_t run = l.stride[l.ndim - 1] == 1 ? l.dim[l.ndim - 1] : 0;
        if (run >= LONG_RUN && run < r->cut) r->cut = run;
    }
}

/* Which steps are run once; a tile for each temporary value, used again after its last use. */
static void place_steps(prepared *r)
{
    const gr_program *p = r->p;
    uint8_t last[GR_MAX_VALUES], spare[GR_MAX_VALUES];
    int num_spare = 0;
    for (int s = 0; s < p->num_steps; s++) {
        const gr_step *k = &p->step[s];
        const int y = k->value[0];
        bool uniform = k->fn && r->place[y] == TEMPORARY && !r->summed[y];
        for (int j = 1; j < k->n; j++) uniform = uniform && (r->uniform[k->value[j]] || k->value[j] == y);
        r->uniform[y] = uniform;
        for (int j = 0; j < k->n; j++) last[k->value[j]] = (uint8_t)s;
        if (uniform) r->once[r->num_once++] = (uint8_t)s;
        else r->fn[r->num_each] = k->fn, r->each[r->num_each++] = (uint8_t)s;
        for (int j = 0; j < k->n && !uniform; j++) {
            const int v = k->value[j];
            if (r->place[v] != DENSE && r->place[v] != STRIDED && !r->summed[v]) continue;
            r->slot[r->num_slots] = (uint16_t)((r->num_each - 1) * GR_MAX_OPERANDS + j);
            r->owner[r->num_slots++] = (uint8_t)v;
        }
    }
    for (int s = 0; s < p->num_steps; s++) {
        const gr_step *k = &p->step[s];
        const int y = k->value[0];
        bool placed = r->place[y] != TEMPORARY || r->summed[y];
        for (int other = 0; other < 2; other++) { /* the result takes the place of an operand of its size, or that of a value before */
            for (int j = 1; j < k->n; j++) {
                const int v = k->value[j];
                if (r->place[v] != TEMPORARY || r->summed[v] || r->uniform[v] || last[v] != s || v == y) continue;
                if (!other && (placed || r->uniform[y] || p->value[v].size != p->value[y].size)) continue;
                if (other) spare[num_spare++] = r->buffer[v];
                else r->buffer[y] = r->buffer[v], placed = true;
                last[v] = UINT8_MAX; /* the same value may be another operand */
            }
            if (!placed) r->buffer[y] = num_spare && !r->uniform[y] ? spare[--num_spare] : (uint8_t)r->num_buffers++;
            placed = true;
        }
    }
}

/* A tile of rows of n elements, if that can be: so many that the next tile begins at a vector. */
static int64_t whole_rows(int64_t tile, int64_t n)
{
    enum { VECTOR = 16 };
    while (n % VECTOR && 2 * n <= tile) n *= 2;
    return n <= tile ? tile - tile % n : tile;
}

/* Which part of the next tile is fetched before each step: of one value after the other, all of them equally long. */
static void plan_ahead(prepared *r)
{
    int64_t bytes = 0;
    for (int m = 0; m < r->num_moving; m++)
        if (r->place[r->moving[m]] == DENSE) bytes += r->tile * r->p->value[r->moving[m]].size;
    if (bytes == 0 || r->num_each < ENOUGH || r->tile == r->numel) return;
    r->part = (bytes / r->num_each / (4 * LINE) + 1) * 4 * LINE;
    for (int m = 0; m < r->num_moving; m++) {
        const int v = r->moving[m];
        const int64_t tile = r->tile * r->p->value[v].size;
        for (int64_t i = 0; i < tile && r->place[v] == DENSE && r->num_ahead < r->num_each; i += r->part) {
            r->ahead[r->num_ahead] = (uint8_t)v;
            r->ahead_at[r->num_ahead++] = (int32_t)(tile + i);
        }
    }
}

bool gr__run_program(gr_ctx *c, const gr_program *p)
{
    layout layouts[GR_MAX_VALUES];
    prepared r;
    memset(&r, 0, offsetof(prepared, place));
    r.p = p, r.layouts = layouts, r.numel = 1;
    for (int d = 0; d < p->ndim; d++) r.numel *= p->dim[d];
    if (r.numel == 0) return true;
    place_values(&r);
    place_steps(&r);
    size_t widest = 1;
    for (int v = 0; v < p->num_values; v++) widest = (size_t)p->value[v].size > widest ? (size_t)p->value[v].size : widest;
    r.tile = p->num_steps ? TILE : GR_BLOCK;
    const int64_t fits = CACHE / (int64_t)(widest * (size_t)(r.num_buffers + r.num_moving)) / LINE * LINE;
    if (r.tile > fits && p->num_steps) r.tile = fits > TILE_LEAST ? fits : TILE_LEAST;
    int64_t row = p->row_sums ? p->row_sums->k.n : 0;
    for (int s = 0; s < p->num_steps; s++)
        if (p->step[s].maker) row = p->step[s].row;
    if (row) r.tile = whole_rows(2 * r.tile, row);
    if (r.tile > r.numel) r.tile = r.numel;
    plan_ahead(&r);
    r.block = p->num_sums ? GR_BLOCK : p->row_sums ? GR_ROWS * p->row_sums->k.n : INT64_MAX;
    r.unit = r.block < INT64_MAX ? r.block : r.tile;
    r.buffer_bytes = ((size_t)r.tile * widest + 63) / 64 * 64;
    r.block_bytes = GR_BLOCK * widest;
    r.worker_bytes = (size_t)r.num_buffers * r.buffer_bytes + (size_t)r.num_blocks * r.block_bytes;
    const int64_t units = (r.numel + r.unit - 1) / r.unit;
    const double ns = (STEP_NS * (double)r.num_each + ADDEND_NS * (double)(p->num_sums + (p->row_sums ? 2 : 0))) * (double)r.unit; /* of a unit */
    gr_block *b = r.worker_bytes ? gr__block_new(c, (size_t)gr__parallel_workers(c, ns * (double)units) * r.worker_bytes) : NULL;
    if (r.worker_bytes && !b) return false;
    r.buffers = b ? gr__block_data(b) : NULL;
    gr__parallel_ranges(c, units, ns, run_range, &r);
    if (b) gr__block_unref(c, b);
    return true;
}
