/* Copies: tensors, strings and arrays in the memory of a trace.
 * Knows no graph.
 * SPDX-License-Identifier: MIT */
#include "teach/trace.h"

#include <math.h>
#include <string.h>

void *gr__trace_alloc(gr_trace *t, size_t bytes) { return gr__arena_alloc(t->home, bytes ? bytes : 8); }

void *gr__trace_room(gr_trace *t, void *old, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) return old;
    size_t larger = *cap ? 2 * *cap : 32;
    void *p = gr__trace_alloc(t, larger * size);
    if (!p) return NULL;
    if (n) memcpy(p, old, n * size);
    *cap = larger;
    return p;
}

const char *gr__trace_string(gr_trace *t, const char *s)
{
    if (!s || !*s) return "";
    size_t n = strlen(s) + 1;
    char *copy = gr__trace_alloc(t, n);
    return copy ? memcpy(copy, s, n) : "";
}

/* ---- tensors ---------------------------------------------------------------------------------------------------*/
typedef struct copying {
    gr_values *to;
    double *v;
    int64_t at, finite;
    double sum, squares;
} copying;

static void take(copying *k, double x)
{
    gr_values *to = k->to;
    if (k->at < to->kept) k->v[k->at] = x;
    k->at++;
    to->zeros += x == 0;
    to->nans += isnan(x);
    to->infinities += isinf(x) != 0;
    if (!isfinite(x)) return;
    to->min = k->finite ? fmin(to->min, x) : x;
    to->max = k->finite ? fmax(to->max, x) : x;
    k->finite++;
    k->sum += x;
    k->squares += x * x;
}

static void finish(copying *k)
{
    k->to->v = k->v;
    k->to->mean = k->finite ? k->sum / (double)k->finite : (double)NAN;
    k->to->rms = k->finite ? sqrt(k->squares / (double)k->finite) : (double)NAN;
    if (!k->finite) k->to->min = k->to->max = (double)NAN;
}

static void copy_run(int64_t n, char *const *p, const int64_t *stride, void *user)
{
    copying *k = user;
    int64_t step = stride[0];
    for (int64_t i = 0; i < n; i++) {
        switch (k->to->dtype) {
        case GR_BOOL: take(k, ((const bool *)p[0])[i * step]); break;
        case GR_I64: take(k, (double)((const int64_t *)(const void *)p[0])[i * step]); break;
        case GR_F32: take(k, (double)((const float *)(const void *)p[0])[i * step]); break;
        default: take(k, ((const double *)(const void *)p[0])[i * step]);
        }
    }
}

const gr_values *gr__trace_copy(gr_trace *t, const gr_tensor *x)
{
    if (!x->data) return NULL;
    gr_values *to = gr__trace_alloc(t, sizeof *to);
    if (!to) return NULL;
    *to = (gr_values){ .dtype = (gr_type)x->dtype, .shape = gr_dims_like(x), .numel = x->numel };
    to->kept = x->numel < t->max_elements ? x->numel : t->max_elements;
    copying k = { .to = to, .v = gr__trace_alloc(t, (size_t)to->kept * sizeof(double)) };
    if (!k.v) return NULL;
    gr__strided(1, &x, copy_run, &k);
    finish(&k);
    return to;
}

const gr_values *gr__trace_values(gr_trace *t, const gr_values *like, double *v)
{
    gr_values *to = gr__trace_alloc(t, sizeof *to);
    if (!to) return NULL;
    *to = (gr_values){ .dtype = GR_F64, .shape = like->shape, .numel = like->kept, .kept = like->kept };
    copying k = { .to = to, .v = v };
    for (int64_t i = 0; i < to->kept; i++) take(&k, v[i]);
    finish(&k);
    return to;
}

/* ---- map -------------------------------------------------------------------------------------------------------*/
static size_t place(const gr_map *m, uintptr_t key)
{
    size_t i = (size_t)(((uint64_t)key * 0x9E3779B97F4A7C15u) >> 32) & (m->cap - 1); /* Knuth's multiplicative hashing */
    while (m->entry[i].key && m->entry[i].key != key) i = (i + 1) & (m->cap - 1);
    return i;
}

int gr__map_get(const gr_map *m, uintptr_t key)
{
    if (!m->n || !key) return -1;
    const struct gr_map_entry *e = &m->entry[place(m, key)];
    return e->key ? e->value : -1;
}

bool gr__map_set(gr_trace *t, gr_map *m, uintptr_t key, int value)
{
    if (2 * (m->n + 1) > m->cap) {
        gr_map larger = { .cap = m->cap ? 2 * m->cap : 64 };
        larger.entry = gr__trace_alloc(t, larger.cap * sizeof *larger.entry);
        if (!larger.entry) return false;
        memset(larger.entry, 0, larger.cap * sizeof *larger.entry);
        for (size_t i = 0; i < m->cap; i++)
            if (m->entry[i].key) larger.entry[place(&larger, m->entry[i].key)] = m->entry[i];
        larger.n = m->n;
        *m = larger;
    }
    struct gr_map_entry *e = &m->entry[place(m, key)];
    m->n += e->key == 0;
    *e = (struct gr_map_entry){ key, value };
    return true;
}

void gr__map_clear(gr_map *m)
{
    if (m->cap) memset(m->entry, 0, m->cap * sizeof *m->entry);
    m->n = 0;
}
