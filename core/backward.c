/* The backward sweep: gradients from one walk over the recorded graph in reverse topological order.
 *
 *   order    depth-first post-order over the input slots from the root (no recursion: each node knows for whom it was met)
 *   cot      of each node t: dL/dt, the sum of what its consumers contributed so far
 *   sweep    from the last to the first: when t is reached all its consumers are done, so its cot is complete
 *
 * Knows no operation but the sum of two gradients, which must itself be differentiable: the public gr_add.
 * SPDX-License-Identifier: MIT */
#include "core/tiles.h"
#include "ops/ops.h" /* gr_add: the one arrow that points up */

#include <math.h>
#include <string.h>

/* A growing list of pointers in pool memory, so that steady training allocates nothing. */
typedef struct list {
    gr_ctx *c;
    gr_block *block;
    gr_tensor **at;
    size_t n, cap;
} list;

enum { ROOM = 64 };

static bool list_grow(list *l)
{
    const size_t cap = l->cap ? 2 * l->cap : ROOM;
    gr_block *b = gr__block_new(l->c, cap * sizeof *l->at);
    if (!b) return false;
    if (l->n) memcpy(gr__block_data(b), l->at, l->n * sizeof *l->at);
    if (l->block) gr__block_unref(l->c, l->block);
    l->block = b;
    l->at = gr__block_data(b);
    l->cap = cap;
    return true;
}

static inline bool list_push(list *l, gr_tensor *t)
{
    if (l->n == l->cap && !list_grow(l)) return false;
    l->at[l->n++] = t;
    return true;
}

static void list_free(list *l)
{
    if (l->block) gr__block_unref(l->c, l->block);
}

typedef struct sweep {
    gr_ctx *c;
    const char *who;
    gr_tensor *root;
    uint32_t epoch;
    list order, saved, late; /* late: gradients of leaves that wait to be computed together */
    bool functional, create_graph, retain_graph, lean, nested;
    gr_scope *scope;    /* where gradients of this sweep live; NULL when they are recorded */
    gr_tensor *const *x; /* gr_grads: the targets, and their results */
    int n;
    gr_tensor **dx;
} sweep;

/* ---- order -----------------------------------------------------------------------------------------------------
 * walk and cot of a node belong to the newest sweep; one inside a vjp puts back what it found. */
static bool save(sweep *w, gr_tensor *t)
{
    return list_push(&w->saved, t) && list_push(&w->saved, t->cot) && list_push(&w->saved, (gr_tensor *)(uintptr_t)t->walk);
}

static void put_back(sweep *w)
{
    for (size_t i = 0; i + 3 <= w->saved.n; i += 3) { /* whole entries: there may have been no memory in the midst of one */
        gr_tensor *const *at = w->saved.at + i;
        at[0]->cot = at[1];
        at[0]->walk = (uint8_t)(uintptr_t)at[2];
    }
}

/* A walk takes two epochs: the first marks the targets, the second what was visited. */
static void mark_targets(sweep *w)
{
    w->c->epoch++;
    for (int i = 0; i < w->n; i++)
        if (w->x[i]->ctx == w->c) w->x[i]->mark = w->c->epoch;
    w->epoch = ++w->c->epoch;
}

/* t is met for the first time. */
static inline bool meet(sweep *w, gr_tensor *t)
{
    if (w->nested && !save(w, t)) return false;
    const bool stores = !w->functional && (!t->op || t->flags & GR_T_RETAIN);
    t->walk = t->mark == w->epoch - 1 ? GR_WALK_NEEDED | GR_WALK_TARGET : stores ? GR_WALK_NEEDED | GR_WALK_STORES : 0;
    t->mark = w->epoch;
    t->cot = NULL;
    return true;
}

/* Depth first: t waits, and `cot` says for whom it is met, until each of its inputs has its place. */
GR_APART static bool sort(sweep *w)
{
    mark_targets(w);
    const uint32_t epoch = w->epoch;
    gr_tensor *t = w->root, *in = t;
    uint32_t slot = 0; /* of t, of which the inputs before have their places */
    if (!meet(w, t)) return false;
    while (t) {
        const uint32_t nin = (uint32_t)t->nin;
        for (; slot < nin; slot++) {
            in = t->in[slot];
            if (in->mark != epoch && in->flags & GR_T_REQUIRES_GRAD) break;
            t->walk |= in->walk & GR_WALK_NEEDED;
        }
        if (slot < nin) {
            if (!meet(w, in)) return false;
            in->cot = t, t->order = slot;
            t = in, slot = 0;
        } else {
            if (!list_push(&w->order, t)) return false;
            in = t, t = in->cot, in->cot = NULL;
            if (t) t->walk |= in->walk & GR_WALK_NEEDED, slot = t->order + 1;
        }
    }
    return true;
}

/* ---- contributions ---------------------------------------------------------------------------------------------*/
/* Is g a node of the sweep's own, and no alias of a value inside another? Then releasing it never touches another. */
static inline bool owned(const sweep *w, const gr_tensor *g, bool fresh)
{
    return !w->scope || (fresh && (g->block || g->owner == g));
}

GR_COLD static bool misshapen(sweep *w, const gr_tensor *y, const gr_tensor *in, const gr_tensor *g, int slot)
{
    char a[256], b[256];
    gr__format_tensor_ref(a, sizeof a, g);
    gr__format_tensor_ref(b, sizeof b, in);
    bool bad_type = g->dtype != in->dtype;
    gr_fail(w->c, bad_type ? GR_EDTYPE : GR_ESHAPE,
            "%s: vjp of %s gave a gradient %s%s%s for input %d, which is %s%s%s. Fix: %s", w->who, y->op->name, a,
            bad_type ? " of " : "", bad_type ? gr_dtype_name((gr_type)g->dtype) : "", slot, b, bad_type ? " of " : "",
            bad_type ? gr_dtype_name((gr_type)in->dtype) : "",
            bad_type ? "convert it with gr_astype" : "a gradient has exactly the shape of its input; sum what was broadcast with gr_sum_to");
    return false;
}

/* t += g */
static bool add_to(gr_tensor *t, gr_tensor *g)
{
    return gr__before_write(t) && gr__run_elementwise(gr__kernels()->ew[GR_EW_add][t->dtype - 1], 3, 3, (gr_tensor *[]){ t, t, g });
}

/* Is this one element, in its node? */
static inline bool one(const gr_tensor *t) { return t->data == (const char *)&t->value && t->numel == 1; }

/* Is nobody else reading this memory? Then a sum can stay in it. */
static inline bool alone(const gr_tensor *t)
{
    if (one(t)) return true;
    return (t->flags & GR_T_CONTIGUOUS) && t->owner == t && !t->lazy && (!t->block || t->block->refs == 1);
}

/* *cot += g, of one element, in place */
static inline void add_one(gr_tensor *cot, const gr_tensor *g)
{
    if (g->dtype == GR_F32) *(float *)(void *)cot->data += *(float *)(void *)g->data;
    else *(double *)(void *)cot->data += *(double *)(void *)g->data;
}

static bool add_up(sweep *w, gr_tensor **cot, gr_tensor *g, bool fresh)
{
    if (g->numel == 1 && !gr__ready(g)) return false; /* only what has many elements may wait in a sweep */
    if (!*cot) return (*cot = owned(w, g, fresh) ? g : gr__clone_into(w->scope, g)) != NULL;
    if (!w->scope) return (*cot = (gr_add)(*cot, g)) != NULL;
    if (g->numel == 1 && alone(*cot)) {
        add_one(*cot, g);
    } else if (alone(*cot) && !g->lazy) {
        if (!add_to(*cot, g)) return false;
    } else {
        gr_tensor *sum = (gr_add)(*cot, g);
        gr__release(*cot);
        if (!(*cot = sum)) return false;
    }
    if (fresh) gr__recycle(w->scope, g);
    return true;
}

/* A gradient has the shape and dtype of its input. */
static inline bool fits(const gr_tensor *in, const gr_tensor *g) { return gr__same_shape(g, in) && g->dtype == in->dtype; }

static bool add_contribution(sweep *w, gr_tensor *y, int slot, gr_tensor *g, bool fresh)
{
    gr_tensor *in = y->in[slot], **cot = &in->cot;
    if (!fits(in, g)) return misshapen(w, y, in, g, slot);
    const gr_observer *ob = w->c->observer;
    if (ob && ob->contribution) ob->contribution(ob->user, y, slot, g);
    if (!add_up(w, cot, g, fresh)) return false;
    if (ob && ob->sum) ob->sum(ob->user, in, *cot);
    return true;
}

/* t: input i of y, or y itself where i < 0 */
GR_COLD static bool overwritten(sweep *w, const gr_tensor *y, const gr_tensor *t, int i)
{
    char text[256], which[32] = "the result";
    if (i >= 0) snprintf(which, sizeof which, "input %d", i);
    gr__format_tensor_ref(text, sizeof text, t);
    gr_fail(w->c, GR_EGRAPH, "%s: %s of %s, %s, was overwritten by %s after %s used it, so its derivative cannot be taken. "
            "Fix: call the sweep before the write, or give the operation a copy", w->who, which, y->op->name, text,
            t->block && t->block->writer ? t->block->writer : "a write in place", y->op->name);
    return false;
}

/* Was a saved input, or y, overwritten after y was made? Then the derivative would be taken at the wrong point. */
static bool unchanged(sweep *w, const gr_tensor *y)
{
    if (y->recorded == w->c->writes || y->op->flags & GR_OP_LINEAR) return true;
    for (int i = 0; i < y->nin; i++)
        if (*gr__written(y->in[i]) > y->recorded) return overwritten(w, y, y->in[i], i);
    return *gr__written(y) <= y->recorded || overwritten(w, y, y, -1);
}

GR_COLD static bool already_swept(sweep *w, const gr_tensor *y)
{
    char text[256];
    gr__format_tensor_ref(text, sizeof text, y);
    gr_fail(w->c, GR_EGRAPH, "%s: a sweep already went through the graph at %s(%s) and did not retain it. "
            "Fix: pass .retain_graph = true to the earlier sweep, or compute the forward pass again", w->who, y->op->name, text);
    return false;
}

enum { MAX_FUSED = 8 }; /* inputs */
/* dx[i] and those behind it are added to the gradients of the inputs. *give: as in fused. */
GR_APART static bool contribute(sweep *w, gr_tensor *y, gr_tensor *dy, gr_tensor *const *dx, int i, bool *give)
{
    bool left = *give;
    for (; i < y->nin; i++) {
        gr_tensor *g = dx[i];
        if (!g || !gr__wants(y, i)) continue;
        const bool fresh = g == dy ? left && !y->in[i]->cot : g->owner == g;
        if (g == dy && fresh) left = false;
        if (!add_contribution(w, y, i, g, fresh)) return false;
    }
    *give = left;
    return w->c->code == GR_OK;
}

/* dx of every wanted input by record.backward, in one pass. *give: dy itself is to be had, since nobody else needs it, so that of those dx
 * that are dy one may take it over, best an input's first; then whether it still is. */
static inline bool fused(sweep *w, gr_tensor *y, gr_tensor *dy, bool *give)
{
    gr_tensor *dx[MAX_FUSED] = { 0 };
    const bool kernel = y->op->flags & GR_OP_KERNEL, plain = kernel && !w->c->observer; /* dx fit, and nobody is told */
    if (!kernel && !gr__ready(dy)) return false;
    if (plain && *give && alone(dy)) dy->flags |= GR_T_SPENT;
    const bool done = y->op->backward(y, dy, dx);
    dy->flags &= (uint16_t)~GR_T_SPENT;
    if (!done) return false;
    if (!plain) return contribute(w, y, dy, dx, 0, give);
    for (int i = 0, nin = y->nin; i < nin; i++) {
        gr_tensor *g = dx[i], *in = y->in[i], *sum = in->cot;
        if (!g || !gr__wants(y, i)) continue;
        if (sum && one(g) && one(sum)) {
            add_one(sum, g);
            if (g != dy) gr__spare(w->scope, g);
        } else if (!sum && g == dy && *give) {
            in->cot = g, *give = false;
        } else if (!sum && g != dy && g->owner == g && (g->data || g->numel > 1)) {
            in->cot = g;
        } else {
            return contribute(w, y, dy, dx, i, give);
        }
    }
    return true;
}

/* Is y a part of an input whose gradient there is already? Then only that part of the gradient grows. */
static bool grows_in_part(const sweep *w, const gr_tensor *y)
{
    const gr_tensor *cot = y->op->flags & GR_OP_PART ? y->in[0]->cot : NULL;
    return cot && y->numel < y->in[0]->numel && w->scope && !w->c->observer && gr__ready(cot) && alone(cot);
}
/* There is nothing to contribute then: NULL, with an error if it failed. */
static gr_tensor *grow_part(gr_tensor *y, gr_tensor *dy)
{
    gr_tensor *part = gr_apply(y->op, &y->in[0]->cot, 1, y->attr);
    if (part && gr__ready(dy)) add_to(part, dy);
    return NULL;
}

GR_APART static bool composed(sweep *w, gr_tensor *y, gr_tensor *dy)
{
    for (int i = 0; i < y->nin; i++) {
        if (!gr__wants(y, i)) continue;
        gr_scope *inner = w->scope ? gr_scope_begin(w->c) : NULL;
        if (w->scope && !inner) return false;
        gr_tensor *g = grows_in_part(w, y) ? grow_part(y, dy) : y->op->vjp(y, dy, i);
        gr_tensor *kept = w->scope && g ? gr_keep(g) : g;
        bool moved = kept != g;
        if (inner) gr_scope_end(inner);
        if (w->c->code != GR_OK || (g && !kept)) return false;
        if (kept && !add_contribution(w, y, i, kept, moved)) return false;
    }
    return true;
}

/* ---- results ---------------------------------------------------------------------------------------------------*/
static void copy_run(int64_t n, char *const *p, const int64_t *stride, void *user)
{
    size_t size = *(size_t *)user;
    for (int64_t i = 0; i < n; i++) memcpy(p[0] + (size_t)(i * stride[0]) * size, p[1] + (i * stride[1]) * (int64_t)size, size);
}

/* The node for t.grad, made once in the scope where t lives. Its memory comes and goes with the gradient. */
static bool grad_node(gr_tensor *t)
{
    if (t->grad) return true;
    gr_scope *home = t->ctx->scope[t->scope];
    gr_tensor *g = gr__node(t->ctx, home, (gr_type)t->dtype, t->ndim, t->dims, 0, 0);
    if (!g) return false;
    if (t->numel <= 1) {
        g->data = (char *)&g->value;
    } else {
        g->next = home->held;
        home->held = g;
    }
    t->grad = g;
    return true;
}

/* t.grad += g. The memory of g is taken over when nobody else uses it. */
GR_APART static bool accumulate(sweep *w, gr_tensor *t, gr_tensor *g)
{
    size_t size = gr__type_size((gr_type)t->dtype);
    if (!grad_node(t)) return false;
    const gr_tensor *both[2] = { t->grad, g };
    if (t->flags & GR_T_HAS_GRAD) {
        return add_to(t->grad, g) && gr_touch(t->grad, "gr_backward");
    }
    if (g->lazy) {
        gr__share_lazy(t->grad, g->lazy);
        t->flags |= GR_T_HAS_GRAD;
        return list_push(&w->late, t->grad);
    }
    bool take = t->numel > 1 && g->block && g->block->refs == 1 && (g->flags & GR_T_CONTIGUOUS) && g->data == gr__block_data(g->block);
    if (take) {
        t->grad->block = g->block;
        t->grad->block->refs++;
    } else if (t->numel > 1 && !(t->grad->block = gr__block_new(t->ctx, (size_t)t->numel * size))) {
        return false;
    }
    if (t->grad->block) t->grad->data = gr__block_data(t->grad->block);
    if (t->numel == 1) memcpy(t->grad->data, g->data, size);
    else if (!take) gr__strided(2, both, copy_run, &size);
    t->flags |= GR_T_HAS_GRAD;
    return gr_touch(t->grad, "gr_backward");
}

GR_APART static void deliver(sweep *w, gr_tensor *t, gr_tensor *g)
{
    for (int i = 0; i < w->n; i++)
        if (w->x[i] == t) w->dx[i] = w->scope ? gr_keep(g) : g;
}

/* From t to its inputs. *give: as in fused. */
static inline bool pass(sweep *w, gr_tensor *t, gr_tensor *g, bool *give)
{
    if (((t->flags & GR_T_SWEPT) && !already_swept(w, t)) || !unchanged(w, t)) return false;
    const bool fast = t->op->backward && !w->create_graph && t->nin <= MAX_FUSED;
    if (!(fast ? fused(w, t, g, give) : composed(w, t, g))) return false;
    if (w->lean && t != w->root && !(t->flags & GR_T_RETAIN) && t->scope + 1 == w->scope->depth) gr__release(t);
    t->walk |= GR_WALK_PASSED;
    if (!w->retain_graph) t->flags |= GR_T_SWEPT;
    return true;
}

GR_APART static bool run(sweep *w)
{
    const gr_observer *ob = w->c->observer;
    for (size_t k = w->order.n; k-- > 0;) {
        gr_tensor *t = w->order.at[k], *g = t->cot;
        if (!g || !(t->walk & GR_WALK_NEEDED)) continue;
        if (ob && ob->visit) ob->visit(ob->user, t, g);
        if (t->walk & GR_WALK_TARGET) deliver(w, t, g);
        if (t->walk & GR_WALK_STORES && !accumulate(w, t, g)) return false;
        bool ours = w->scope && !(t->walk & GR_WALK_TARGET);
        if (t->op && !pass(w, t, g, &ours)) return false;
        if (ours) gr__recycle(w->scope, g);
    }
    return true;
}

/* What waits of the results is computed together. */
static bool settle(sweep *w)
{
    if (!gr__settle_all(w->c, w->late.at, w->late.n) || !gr__settle_all(w->c, w->dx, (size_t)w->n)) return false;
    for (size_t i = 0; i < w->late.n; i++) gr_touch(w->late.at[i], "gr_backward");
    return true;
}

/* Nothing happened, to whoever asks for another sweep. */
static void forget(sweep *w)
{
    for (size_t k = 0; k < w->order.n; k++)
        if (w->order.at[k]->walk & GR_WALK_PASSED) w->order.at[k]->flags &= (uint16_t)~GR_T_SWEPT;
}

/* ---- entry -----------------------------------------------------------------------------------------------------*/
static const char *why_no_path(const gr_tensor *y)
{
    if (y->flags & GR_T_NO_GRAD) return "it was computed while recording was off (GR_NO_GRAD, or inside a sweep)";
    if (y->flags & GR_T_NONDIFF) return "it was made by an operation that has no derivative";
    if (y->flags & GR_T_DETACHED) return "it was detached from its history";
    return "nothing that it was computed from requires a gradient";
}

static bool check_root(sweep *w, gr_tensor *g)
{
    gr_tensor *y = w->root;
    bool path = y->flags & GR_T_REQUIRES_GRAD, weighted = g || y->numel == 1;
    if (path && weighted && (!g || (gr__same_shape(g, y) && g->dtype == y->dtype))) return true;
    char text[256], other[256];
    gr__format_tensor_ref(text, sizeof text, y);
    gr__format_tensor_ref(other, sizeof other, g);
    if (!path)
        gr_fail(w->c, GR_EGRAPH, "%s(%s): there is no path to differentiate: %s. Fix: mark the leaves with gr_requires_grad before the forward pass",
                w->who, text, why_no_path(y));
    else if (!weighted)
        gr_fail(w->c, GR_ESHAPE, "%s(%s): the gradient of %lld numbers needs a weight for each. Fix: reduce with gr_sum or gr_mean, or pass .grad of shape %s",
                w->who, text, (long long)y->numel, strrchr(text, '['));
    else if (!gr__same_shape(g, y))
        gr_fail(w->c, GR_ESHAPE, "%s(%s): .grad is %s. Fix: it must have the shape of the root", w->who, text, other);
    else
        gr_fail(w->c, GR_EDTYPE, "%s(%s): .grad is %s, the root %s. Fix: convert it with gr_astype", w->who, text,
                gr_dtype_name((gr_type)g->dtype), gr_dtype_name((gr_type)y->dtype));
    return false;
}

/* dy/dy, of one element */
static gr_tensor *one_like(gr_tensor *y)
{
    gr_tensor *one = gr_empty_like(y);
    if (one && one->dtype == GR_F32) one->value.f32 = 1;
    else if (one) one->value.f64 = 1;
    return one;
}

static bool seed(sweep *w, gr_tensor *g)
{
    if (g && !gr__ready(g)) return false;
    gr_tensor *one = !g ? one_like(w->root) : owned(w, g, false) ? g : gr__clone_into(w->scope, g);
    if (!one) return false;
    w->root->cot = one;
    const gr_observer *ob = w->c->observer;
    if (ob && ob->seed) ob->seed(ob->user, w->root, one);
    return true;
}

static bool go(sweep *w, gr_tensor *g)
{
    gr_ctx *c = w->c;
    if (!w->create_graph && !(w->scope = gr_scope_begin(c))) return false;
    if (!w->create_graph) c->no_grad++;
    gr_tensor *room[ROOM];
    w->order = (list){ .c = c, .at = room, .cap = ROOM }; /* for so many there is room already */
    w->saved.c = w->late.c = c;
    w->nested = c->sweeping > 0;
    bool ok = sort(w);
    c->sweeping++;
    ok = ok && seed(w, g) && run(w) && settle(w);
    if (!ok) forget(w);
    c->sweeping--;
    put_back(w);
    if (c->observer && c->observer->end) c->observer->end(c->observer->user);
    list_free(&w->order);
    list_free(&w->saved);
    list_free(&w->late);
    if (!w->create_graph) c->no_grad--;
    if (w->scope) gr_scope_end(w->scope);
    return ok && c->code == GR_OK;
}

bool gr_backward_with(gr_tensor *root, gr_backward_opts o)
{
    if (!gr__usable(root)) return false;
    sweep w = { .c = root->ctx, .who = "gr_backward", .root = root, .retain_graph = o.retain_graph, .lean = o.lean && !o.retain_graph };
    return check_root(&w, o.grad) && go(&w, o.grad);
}

static bool fill_unused(sweep *w, gr_grads_opts o)
{
    for (int i = 0; i < w->n; i++) {
        if (w->dx[i] || (o.allow_unused && !o.zero_unused)) continue;
        if (o.zero_unused) {
            if (!(w->dx[i] = gr_zeros_like(w->x[i]))) return false;
            continue;
        }
        char text[256], y[256];
        gr__format_tensor_ref(text, sizeof text, w->x[i]);
        gr__format_tensor_ref(y, sizeof y, w->root);
        gr_fail(w->c, GR_EGRAPH, "gr_grads(%s): does not depend on x[%d], %s%s. Fix: pass .allow_unused = true for NULL, or .zero_unused = true for zeros",
                y, i, text, w->x[i]->flags & GR_T_REQUIRES_GRAD ? "" : ", which does not require a gradient");
        return false;
    }
    return true;
}

bool gr_grads_with(gr_tensor *y, gr_tensor *const *x, int n, gr_tensor **dx, gr_grads_opts o)
{
    for (int i = 0; i < n; i++) dx[i] = NULL;
    if (!gr__usable(y)) return false;
    sweep w = { .c = y->ctx, .who = "gr_grads", .root = y, .functional = true, .create_graph = o.create_graph,
                .retain_graph = o.retain_graph || o.create_graph, .x = x, .n = n, .dx = dx };
    for (int i = 0; i < n; i++)
        if (!x[i]) {
            gr_fail(w.c, GR_EVALUE, "gr_grads: x[%d] is NULL. Fix: pass a tensor", i);
            return false;
        }
    if ((o.allow_unused || o.zero_unused) && !(y->flags & GR_T_REQUIRES_GRAD)) return fill_unused(&w, o);
    if (!check_root(&w, o.grad)) return false;
    return go(&w, o.grad) && fill_unused(&w, o);
}

/* ---- gradients of leaves ---------------------------------------------------------------------------------------*/
gr_tensor *gr_grad(const gr_tensor *t)
{
    if (!t) return NULL;
    if (t->op && !(t->flags & GR_T_RETAIN)) {
        char text[256];
        gr__format_tensor_ref(text, sizeof text, t);
        gr_fail(t->ctx, GR_EGRAPH, "gr_grad(%s): was made by %s and is no leaf, so its gradient was not stored. "
                "Fix: call gr_retain_grad on it before the sweep, or ask for it with gr_grads", text, t->op->name);
        return NULL;
    }
    return t->flags & GR_T_HAS_GRAD ? t->grad : NULL;
}

void gr_zero_grad(gr_tensor *t)
{
    if (!t || !(t->flags & GR_T_HAS_GRAD)) return;
    t->flags &= (uint16_t)~GR_T_HAS_GRAD;
    gr__release(t->grad);
    const gr_observer *ob = t->ctx->observer;
    if (ob && ob->cleared) ob->cleared(ob->user, t);
}
