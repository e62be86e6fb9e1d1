/* Where is a path cut? A number that changes with x and has no gradient (gr_detach, a value that was read and made a tensor
 * again) enters an operation whose result has one: what flows through it is missing in every gradient.
 *
 * The function runs twice, at x and beside it, and hashes the constants that each operation takes; the first that differ tell.
 * Knows no operation and no gradient.
 * SPDX-License-Identifier: MIT */
#include "core/check.h"

#include <math.h>
#include <string.h>

typedef struct cut_ear {
    uint64_t *hash;       /* [room] of the constants of each operation */
    int64_t made, room;
    int64_t wanted;       /* from 0: the operation that is named, or -1 */
    bool *enters;         /* [room] the result of the operation needs a gradient */
    char name[48], place[72];
    const gr_tensor *y;
} cut_ear;

static void hash_run(int64_t n, char *const *p, const int64_t *stride, void *user)
{
    uint64_t *h = user; /* h[1]: bytes of an element */
    for (int64_t i = 0; i < n; i++) {
        uint64_t v = 0;
        memcpy(&v, p[0] + i * stride[0] * (int64_t)h[1], h[1]);
        h[0] = (h[0] ^ v) * 0x100000001B3u;
        h[0] ^= h[0] >> 29;
    }
}

static void made(void *user, const gr_call *call, gr_tensor *y)
{
    cut_ear *c = user;
    if (c->made < c->room) {
        uint64_t h[2] = { 1, 0 };
        for (int i = 0; i < call->n; i++) {
            if (!gr_is_float(call->in[i]) || gr_needs_grad(call->in[i])) continue;
            h[1] = gr__type_size((gr_type)call->in[i]->dtype);
            gr__strided(1, (const gr_tensor *[]){ call->in[i] }, hash_run, h);
        }
        c->hash[c->made] = h[0];
        c->enters[c->made] = gr_needs_grad(y);
    }
    if (c->made++ != c->wanted) return;
    c->y = y;
    snprintf(c->name, sizeof c->name, "%.40s", call->op->name);
}

static void here(void *user, gr_tensor *y, const char *code, const char *file, int line)
{
    cut_ear *c = user;
    (void)code;
    if (y == c->y) snprintf(c->place, sizeof c->place, ", %.50s:%d", gr__check_file(file), line);
}

static bool run(gr_check *k, double *place, double x, cut_ear *c)
{
    GR_SCOPE(k->c);
    gr_observer ear = { .user = c, .made = made, .here = here };
    gr_tensor *y, **g = gr__arena_alloc(gr__scope_now(k->c), ((size_t)k->num_targets + 1) * sizeof *g);
    const double was = *place;
    const gr_observer *before = k->c->observer;
    if (!g) return false;
    *place = x;
    k->c->observer = &ear;
    bool ok = gr__check_graph(k, &y, g);
    k->c->observer = before;
    *place = was;
    if (k->c->code == GR_EVALUE) gr_clear_error(k->c);
    return ok || k->c->code == GR_OK;
}

bool gr__check_cut(gr_check *k, int target, int64_t element, bool *found)
{
    GR_SCOPE(k->c);
    gr_scope *s = gr__scope_now(k->c);
    double *place = (double *)(void *)k->target[target]->data + element, x = *place;
    cut_ear count = { .wanted = -1 };
    if (!run(k, place, x, &count)) return false;
    cut_ear ear[2];
    for (int i = 0; i < 2; i++) {
        ear[i] = (cut_ear){ .hash = gr__arena_alloc(s, (size_t)(count.made + 1) * sizeof(uint64_t)), .enters = gr__arena_alloc(s, (size_t)count.made + 1), .room = count.made, .wanted = -1 };
        if (!ear[i].hash || !ear[i].enters || !run(k, place, i ? x + ldexp(gr__difference_scale(x), -20) : x, &ear[i])) return false;
    }
    int64_t at = -1;
    for (int64_t i = 0; i < count.made && ear[0].made == ear[1].made; i++)
        if (ear[0].hash[i] != ear[1].hash[i] && (at < 0 || (ear[0].enters[i] && !ear[0].enters[at]))) at = i;
    if (at < 0) return true;
    *found = true;
    cut_ear named = { .wanted = at };
    char text[64];
    if (!run(k, place, x, &named)) return false;
    gr__check_place(k->target[target], "x", k->number[target], element, text, sizeof text);
    gr__check_note(k, "%s (operation %lld%s) takes a number for constant that changes with %s: the path is cut before it", named.name, (long long)at + 1, named.place, text);
    return true;
}
