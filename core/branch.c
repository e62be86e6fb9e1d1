/* Which way did every operation go that is defined in pieces? Its decisions, one for each element (record.branch, or the
 * result itself where it is no float), and the order of the operations are hashed while the function runs:
 *
 *   equal at x and x + h      both lie on one smooth piece, as far as the operations know
 *   different                 the first operation that differs is the one that switches: its inputs did not
 *
 * Knows no operation but what records say.
 * SPDX-License-Identifier: MIT */
#include "core/check.h"

#include <string.h>

/* ---- listening -------------------------------------------------------------------------------------------------*/
static uint64_t mix(uint64_t h, uint64_t v) /* FNV-1a by words; the shift brings the high bits down */
{
    h = (h ^ v) * 0x100000001B3u;
    return h ^ h >> 29;
}

typedef struct words {
    uint64_t hash;
    gr_type type;
} words;

static void hash_run(int64_t n, char *const *p, const int64_t *stride, void *user)
{
    words *w = user;
    for (int64_t i = 0; i < n; i++) {
        const char *at = p[0] + i * stride[0] * (int64_t)gr__type_size(w->type);
        uint64_t v;
        double d = w->type == GR_BOOL ? *(const bool *)at : w->type == GR_F32 ? (double)*(const float *)(const void *)at : 0;
        if (w->type == GR_BOOL || w->type == GR_F32) memcpy(&v, &d, sizeof v); /* f32 and f64 decide alike */
        else memcpy(&v, at, sizeof v);
        w->hash = mix(w->hash, v);
    }
}

/* The node may go before the run ends; its label came after it was made. */
static void take_label(gr_branches *b)
{
    if (b->y) snprintf(b->label, sizeof b->label, "%s", gr_label(b->y));
    b->y = NULL;
}

static void freed(void *user, uint32_t depth)
{
    gr_branches *b = user;
    if (b->y && b->y->scope >= depth) take_label(b);
}

static void here(void *user, gr_tensor *y, const char *code, const char *file, int line)
{
    gr_branches *b = user;
    (void)code;
    if (y == b->y) b->file = file, b->line = line;
}

static void keep(gr_branches *b, const gr_call *call, gr_tensor *y, const gr_tensor *decision)
{
    b->op = call->op;
    b->y = y;
    if (!decision) return;
    b->shape = gr_dims_like(decision);
    b->n = decision->numel;
    b->decision = gr__arena_alloc(b->room, (size_t)(b->n + 1) * sizeof *b->decision);
    if (b->decision) gr_read(decision, b->decision);
}

static void decide(gr_branches *b, const gr_call *call, gr_tensor *y)
{
    gr_ctx *c = y->ctx;
    const gr_observer *ear = c->observer;
    GR_SCOPE(c);
    GR_NO_GRAD(c);
    c->observer = NULL;
    gr_tensor *decision = call->op->branch ? call->op->branch(call, y) : gr_is_float(y) ? NULL : y;
    if (gr__ready(decision)) {
        words w = { b->hash, (gr_type)decision->dtype };
        gr__strided(1, (const gr_tensor *[]){ decision }, hash_run, &w);
        b->hash = w.hash;
    }
    if (b->made == b->wanted) keep(b, call, y, decision);
    c->observer = ear;
}

static void made(void *user, const gr_call *call, gr_tensor *y)
{
    gr_branches *b = user;
    if (b->shake && gr_is_float(y) && !(b->spare_f32 && y->dtype == GR_F32) && !(call->op->flags & (GR_OP_VIEW | GR_OP_MOVES)) && !call->op->branch) /* to choose rounds nothing */
        gr__noise_shake(call, y, b->coarse, &b->shake);
    b->hash = mix(b->hash, (uint64_t)(uintptr_t)call->op);
    b->made++;
    if (call->op->branch || !gr_is_float(y) || b->made == b->wanted) decide(b, call, y);
    if (b->each && b->made <= b->num_each) b->each[b->made - 1] = b->hash;
}

const gr_observer *gr__branches_listen(gr_ctx *c, gr_branches *b, gr_observer *ear)
{
    const gr_observer *before = c->observer;
    *ear = (gr_observer){ .user = b, .made = made, .freed = freed, .here = here };
    c->observer = ear;
    return before;
}

/* ---- naming ----------------------------------------------------------------------------------------------------*/
static bool run(gr_check *k, double t, gr_branches *b)
{
    GR_SCOPE(k->c);
    gr_observer ear;
    *k->bend.place = k->bend.x + t;
    const gr_observer *before = gr__branches_listen(k->c, b, &ear);
    gr__check_call(k, k->x);
    take_label(b);
    k->c->observer = before;
    *k->bend.place = k->bend.x;
    if (k->c->code == GR_EVALUE) gr_clear_error(k->c); /* refused there: the operations until then are heard */
    return k->c->code == GR_OK;
}

static void describe(const gr_branches *b, char *out, size_t size)
{
    gr_text t = { out, size, 0 };
    if (!b->op) {
        gr__put(&t, "nothing");
        return;
    }
    gr__put(&t, "%.32s", b->op->name);
    if (*b->label) gr__put(&t, " \"%.40s\"", b->label);
    gr__put(&t, " (operation %lld", (long long)b->wanted);
    if (b->file) gr__put(&t, ", %.60s:%d", gr__check_file(b->file), b->line);
    gr__put(&t, ")");
}

static void tell(gr_check *k, const gr_branches *below, const gr_branches *above)
{
    char name[64], what[200], other[200], at[64] = "";
    gr_text t = { at, sizeof at, 0 };
    int i = 0;
    while (k->bend_element >= k->first[i + 1]) i++;
    gr__check_place(k->target[i], "x", k->number[i], k->bend_element - k->first[i], name, sizeof name);
    describe(below, what, sizeof what);
    describe(above, other, sizeof other);
    if (below->op != above->op) {
        gr__check_note(k, "at %s = %.9g the function takes another path: %s below, %s above", name, k->bend.x, what, other);
        return;
    }
    int64_t e = 0, n = below->n < above->n ? below->n : above->n;
    while (e < n && below->decision[e] == above->decision[e]) e++;
    if (e == n) return;
    gr__check_index(&t, below->shape.n, below->shape.v, e);
    gr__check_note(k, "at %s = %.9g %s%s%s%s decides otherwise: %g below, %g above", name, k->bend.x, *at ? "element " : "", at, *at ? " of " : "",
                   what, below->decision[e], above->decision[e]);
}

bool gr__branches_name(gr_check *k, double step)
{
    GR_SCOPE(k->c);
    gr_scope *room = gr__scope_now(k->c);
    gr_branches count = { .room = room };
    if (!run(k, -step, &count)) return false;
    size_t bytes = (size_t)(count.made + 1) * sizeof *count.each;
    gr_branches below = { .room = room, .each = gr__arena_alloc(room, bytes), .num_each = count.made },
                above = { .room = room, .each = gr__arena_alloc(room, bytes), .num_each = count.made };
    if (!below.each || !above.each || !run(k, -step, &below) || !run(k, step, &above)) return false;
    int64_t at = 0;
    while (at < below.made && at < above.made && below.each[at] == above.each[at]) at++;
    if (at == below.made && at == above.made) { /* above order 1 it may be an operation of the sweep */
        if (k->order == 1)
            gr__check_note(k, "no operation with a record.branch switches where the function bends or jumps: one without does, or code of the function");
        return true;
    }
    below = (gr_branches){ .room = room, .wanted = at + 1 }, above = below;
    if (!run(k, -step, &below) || !run(k, step, &above)) return false;
    tell(k, &below, &above);
    return true;
}
