/* The recorder: what the engine reports of a run, written down as steps.
 * Knows no operation and no renderer.
 * SPDX-License-Identifier: MIT */
#include "teach/trace.h"

#include <math.h>
#include <string.h>

/* ---- steps -----------------------------------------------------------------------------------------------------*/
gr_trace_step *gr__trace_step(gr_trace *t, gr_step_kind kind, int node)
{
    gr_trace_step *room = gr__trace_room(t, t->steps, t->num_steps, &t->cap_steps, sizeof *t->steps);
    if (!room) return NULL;
    t->steps = room;
    gr_trace_step *s = &t->steps[t->num_steps++];
    *s = (gr_trace_step){ .kind = kind, .pass = (int)t->num_passes - 1, .node = node, .rate = (double)NAN, .text = "" };
    return s;
}

gr_tensor *gr__trace_tensor(const gr_trace *t, int id)
{
    bool known = t->nodes && id >= 1 && t->num_passes && id <= t->passes[t->num_passes - 1].num_nodes;
    return known ? t->live[id - 1] : NULL;
}

/* The node of x in the newest pass, or NULL. */
static gr_trace_node *node_of(gr_trace *t, const gr_tensor *x)
{
    int id = t->nodes ? gr__map_get(&t->ids, (uintptr_t)x) : -1;
    return id > 0 && gr__trace_tensor(t, id) == x ? &t->nodes[id - 1] : NULL;
}

/* Sweeps inside a sweep (of a checkpoint, of an operation's own) are part of one step. */
static bool outermost(const gr_trace *t) { return t->c->sweeping == 1 && t->c->code == GR_OK; }

/* ---- hooks: forward --------------------------------------------------------------------------------------------*/
static void made(void *user, const gr_call *k, gr_tensor *y)
{
    gr_trace *t = user;
    if (t->c->sweeping || t->c->code != GR_OK) return;
    t->last = y;
    if (y->op) return; /* it remembers by itself */
    char text[256] = "";
    if (k->op->describe) k->op->describe(k->attr, text, sizeof text);
    gr_unrecorded *room = gr__trace_room(t, t->unrecorded, t->num_unrecorded, &t->cap_unrecorded, sizeof *t->unrecorded);
    gr_tensor **in = room ? gr__trace_alloc(t, (size_t)k->n * sizeof *in) : NULL;
    if (room) t->unrecorded = room;
    if (!in) return;
    memcpy(in, k->in, (size_t)k->n * sizeof *in);
    t->unrecorded[t->num_unrecorded++] =
        (gr_unrecorded){ .y = y, .op = k->op, .attributes = gr__trace_string(t, text), .in = in, .n = k->n };
}

/* ---- hooks: the sweep ------------------------------------------------------------------------------------------*/
static void seed(void *user, gr_tensor *root, gr_tensor *g)
{
    gr_trace *t = user;
    if (!outermost(t) || !gr__trace_graph(t, root, true)) return;
    t->sweeping = true;
    gr_trace_step *s = gr__trace_step(t, GR_STEP_SEED, t->passes[t->num_passes - 1].root);
    if (s) s->after = t->nodes[s->node - 1].grad = gr__trace_copy(t, g);
}

static void visit(void *user, gr_tensor *y, gr_tensor *dy)
{
    gr_trace *t = user;
    gr_trace_node *n = t->sweeping && outermost(t) ? node_of(t, y) : NULL;
    if (!n) return;
    if (!n->grad) n->grad = gr__trace_copy(t, dy);
    gr_trace_step *s = n->kind == GR_NODE_OPERATION ? gr__trace_step(t, GR_STEP_PICK, n->id) : NULL;
    if (s) s->k = n->contributions;
}

static void contribution(void *user, gr_tensor *y, int slot, gr_tensor *dx)
{
    gr_trace *t = user;
    gr_trace_node *from = t->sweeping && outermost(t) ? node_of(t, y) : NULL;
    if (!from || slot >= from->num_inputs) return;
    bool repeated = strcmp(from->op, "broadcast_to") == 0;
    gr_trace_step *s = gr__trace_step(t, repeated ? GR_STEP_UNBROADCAST : GR_STEP_CONTRIBUTION, from->inputs[slot]);
    if (!s) return;
    s->from = from->id;
    s->slot = slot;
    s->upstream = from->grad;
    s->amount = gr__trace_copy(t, dx);
    if (!repeated && from->elementwise) s->local = gr__rule_local(t, from, slot);
}

static void sum(void *user, gr_tensor *x, gr_tensor *total)
{
    gr_trace *t = user;
    gr_trace_node *n = t->sweeping && outermost(t) ? node_of(t, x) : NULL;
    if (!n || !t->num_steps) return;
    const gr_values *amount = t->steps[t->num_steps - 1].amount;
    gr_trace_step *s = gr__trace_step(t, GR_STEP_ACCUMULATE, n->id);
    if (!s) return;
    s->before = n->grad;
    s->amount = amount;
    s->after = n->grad = n->contributions ? gr__trace_copy(t, total) : amount;
    s->k = ++n->contributions;
}

static void end(void *user)
{
    gr_trace *t = user;
    if (!t->sweeping || t->c->sweeping) return;
    t->sweeping = false;
    for (size_t i = t->first_step; i < t->num_steps; i++) {
        gr_trace_step *s = &t->steps[i];
        if (s->kind == GR_STEP_ACCUMULATE || s->kind == GR_STEP_PICK) s->n = t->nodes[s->node - 1].contributions;
    }
    if (t->c->code == GR_OK) gr__trace_note_end(t);
}

/* ---- hooks: parameters -----------------------------------------------------------------------------------------*/
static double epsilon(gr_type type) { return type == GR_F32 ? 0x1p-23 : 0x1p-52; }

static bool explains(const gr_values *before, const gr_values *g, const gr_values *after, double rate)
{
    for (int64_t i = 0; i < before->kept; i++) {
        double step = rate * g->v[i], error = fabs(before->v[i] - step - after->v[i]);
        if (!(error <= 4 * epsilon(before->dtype) * (fabs(before->v[i]) + fabs(step)))) return false;
    }
    return true;
}

/* The shortest number r with after = before - r g up to rounding, in every element; NaN if there is none. */
static double rate_of(const gr_values *before, const gr_values *g, const gr_values *after)
{
    int64_t at = -1;
    if (!g || !before || !after || before->kept != g->kept || before->kept != after->kept) return (double)NAN;
    for (int64_t i = 0; i < g->kept; i++)
        if (at < 0 || fabs(g->v[i]) > fabs(g->v[at])) at = i;
    if (at < 0 || g->v[at] == 0 || before->v[at] == after->v[at]) return (double)NAN;
    double ratio = (before->v[at] - after->v[at]) / g->v[at];
    if (!isfinite(ratio) || ratio == 0) return (double)NAN;
    double unit = floor(log10(fabs(ratio)));
    for (int digits = 1; digits <= 6; digits++) {
        double scale = pow(10, digits - 1 - unit), rate = round(ratio * scale) / scale;
        if (explains(before, g, after, rate)) return rate;
    }
    return (double)NAN;
}

static void written(void *user, gr_tensor *x, const char *writer)
{
    gr_trace *t = user;
    if (t->c->sweeping || t->c->code != GR_OK) return;
    gr_trace_node *n = node_of(t, x);
    if (!n) n = node_of(t, x->owner); /* through a view, as of gr_detach */
    gr_tensor *leaf = n ? gr__trace_tensor(t, n->id) : NULL;
    if (!n || n->kind == GR_NODE_OPERATION || !n->value) return;
    const gr_values *after = gr__trace_copy(t, leaf);
    gr_trace_step *s = after ? gr__trace_step(t, GR_STEP_UPDATE, n->id) : NULL;
    if (!s) return;
    const gr_values *last = NULL;
    for (size_t i = t->num_steps - 1; i > t->first_step && !last; i--) /* what an earlier write left */
        if (t->steps[i - 1].kind == GR_STEP_UPDATE && t->steps[i - 1].node == n->id) last = t->steps[i - 1].after;
    s->before = last ? last : n->value;
    s->amount = leaf->flags & GR_T_HAS_GRAD ? gr__trace_copy(t, leaf->grad) : NULL;
    s->after = after;
    s->rate = rate_of(s->before, s->amount, s->after);
    s->text = gr__trace_string(t, writer);
}

static void cleared(void *user, gr_tensor *x)
{
    gr_trace *t = user;
    const gr_trace_node *n = t->c->sweeping || t->c->code != GR_OK ? NULL : node_of(t, x);
    if (n) gr__trace_step(t, GR_STEP_ZERO, n->id);
}

static void freed(void *user, uint32_t depth)
{
    gr_trace *t = user;
    if (depth <= t->home->depth) { /* the trace itself goes */
        t->c->observer = NULL;
        return;
    }
    if (t->c->sweeping) return; /* a sweep's own scopes hold nothing that is watched */
    while (t->num_unrecorded && t->unrecorded[t->num_unrecorded - 1].y->scope >= depth) t->num_unrecorded--;
    while (t->num_places && t->places[t->num_places - 1].y->scope >= depth) t->num_places--;
    if (t->last && t->last->scope >= depth) t->last = NULL;
    if (!t->nodes || t->live_depth < depth) return;
    t->live_depth = 0;
    for (int i = 0; i < t->passes[t->num_passes - 1].num_nodes; i++) {
        gr_tensor *x = t->live[i];
        if (x && x->scope >= depth) t->live[i] = NULL;
        else if (x && x->scope > t->live_depth) t->live_depth = x->scope;
    }
}

static void here(void *user, gr_tensor *y, const char *code, const char *file, int line)
{
    gr_trace *t = user;
    gr_place *room = gr__trace_room(t, t->places, t->num_places, &t->cap_places, sizeof *t->places);
    if (!room) return;
    t->places = room;
    t->places[t->num_places++] = (gr_place){ y, code, file, line };
}

/* ---- public ----------------------------------------------------------------------------------------------------*/
gr_trace *gr_trace_begin_with(gr_ctx *c, gr_trace_opts o)
{
    if (!c || c->code != GR_OK) return NULL;
    if (c->observer || c->sweeping) {
        gr_fail(c, GR_EGRAPH, "gr_trace_begin: another trace listens to this context. Fix: call gr_trace_end on it first");
        return NULL;
    }
    if (o.max_elements < 0) {
        gr_fail(c, GR_EVALUE, "gr_trace_begin: max_elements is %lld. Fix: use 1 or more, or 0 for 1024", (long long)o.max_elements);
        return NULL;
    }
    gr_scope *home = gr__scope_now(c);
    gr_trace *t = gr__arena_alloc(home, sizeof *t);
    if (!t) return NULL;
    *t = (gr_trace){ .c = c, .home = home, .max_elements = o.max_elements ? o.max_elements : 1024 };
    t->observer = (gr_observer){ .user = t, .made = made, .seed = seed, .visit = visit, .contribution = contribution, .end = end,
                                 .sum = sum, .written = written, .cleared = cleared, .here = here, .freed = freed };
    c->observer = &t->observer;
    return t;
}

bool gr_trace_forward(gr_trace *t, gr_tensor *root)
{
    if (!t || !gr__ready(root)) return false;
    return t->c == root->ctx && gr__trace_graph(t, root, false);
}

gr_tensor *gr_trace_here(gr_tensor *y, const char *code, const char *file, int line)
{
    const gr_observer *ob = y ? y->ctx->observer : NULL;
    if (!ob || !ob->here || y->scope != y->ctx->depth) return y; /* not made just now: an operation that gave back its input */
    ob->here(ob->user, y, code, file, line);
    return y->ctx->code == GR_OK ? y : NULL;
}

bool gr_trace_end(gr_trace *t)
{
    if (!t) return false;
    gr_ctx *c = t->c;
    if (c->observer != &t->observer) return c->code == GR_OK; /* ended before */
    if (c->code == GR_OK && !t->num_passes && t->last) gr__trace_graph(t, (gr_tensor *)(uintptr_t)t->last, false);
    c->observer = NULL;
    t->nodes = NULL;
    return c->code == GR_OK;
}

const gr_trace_step *gr_trace_steps(const gr_trace *t, size_t *n)
{
    *n = t ? t->num_steps : 0;
    return t ? t->steps : NULL;
}

int gr_trace_num_passes(const gr_trace *t) { return t ? (int)t->num_passes : 0; }
const gr_trace_pass *gr_trace_pass_at(const gr_trace *t, int i)
{
    return i >= 0 && i < gr_trace_num_passes(t) ? &t->passes[i] : NULL;
}
