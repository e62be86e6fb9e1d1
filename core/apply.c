/* The one road by which every operation runs: check, give memory, compute, remember.
 * Knows no operation: it calls the record.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"

#include <string.h>

/* The shape of every input, if they have one. */
static inline bool elementwise_shape(gr_call *k)
{
    const gr_tensor *a = k->in[0];
    for (int i = 1; i < k->n; i++) {
        const gr_tensor *b = k->in[i];
        if (b->dtype != a->dtype)
            return gr_reject(k, GR_EDTYPE, "convert one with gr_astype", "the dtypes %s and %s differ",
                             gr_dtype_name((gr_type)a->dtype), gr_dtype_name((gr_type)b->dtype));
        if (!gr__same_shape(a, b))
            return gr_reject(k, GR_ESHAPE, "use gr_broadcast_to first", "the shapes differ");
    }
    k->dtype = (gr_type)a->dtype;
    k->ndim = a->ndim;
    for (int d = 0; d < a->ndim; d++) k->dim[d] = a->dims[d];
    return true;
}

bool gr_elementwise_shape(gr_call *k) { return elementwise_shape(k); }

/* Why a call must not proceed, as an error unless one stands. */
GR_COLD static gr_ctx *refuse(const gr_op *op, gr_tensor *const *in, int n)
{
    gr_ctx *c = NULL;
    for (int i = 0; i < n && !c; i++)
        if (in[i]) c = in[i]->ctx;
    for (int i = 0; i < n; i++) {
        if (!in[i]) gr_fail(c, GR_EVALUE, "%s: input %d is NULL. Fix: pass a tensor", op->name, i);
        else if (in[i]->ctx != c)
            gr_fail(c, GR_EVALUE, "%s: inputs 0 and %d belong to different contexts. Fix: make both in one context", op->name, i);
        else if (!in[i]->data && !in[i]->lazy) gr__released_error(in[i]);
    }
    if (n == 0 || (op->arity >= 0 && n != op->arity))
        gr_fail(c, GR_EVALUE, "%s: got %d inputs, takes %d. Fix: call the public function of the operation", op->name, n, op->arity);
    return NULL;
}

/* The context of a call, or NULL when it must not proceed. flags: of any input. */
static inline gr_ctx *context_of(const gr_op *op, gr_tensor *const *in, int n, unsigned *flags)
{
    gr_ctx *c = n > 0 && in[0] ? in[0]->ctx : NULL;
    if (!c || c->code != GR_OK || (op->arity != n && op->arity >= 0)) return refuse(op, in, n);
    for (int i = 0; i < n; i++) {
        gr_tensor *t = in[i];
        if (!t || t->ctx != c) return refuse(op, in, n);
        if (!t->data && !(t->lazy && ((op->flags & GR_OP_KERNEL && t->numel > 1) || gr__settle(t)))) return refuse(op, in, n);
        *flags |= t->flags;
    }
    return c;
}

/* all but the inputs */
static inline void remember(gr_tensor *y, const gr_op *op)
{
    y->op = op;
    y->flags |= GR_T_REQUIRES_GRAD;
    y->recorded = y->ctx->writes;
}

/* What a call ends with, once y has its value, or waits for it. history: an input requires a gradient. */
static inline gr_tensor *made(gr_ctx *c, gr_tensor *y, const gr_call *k, bool record, bool history)
{
    if (record) remember(y, k->op);
    else if (history) y->flags |= c->no_grad ? GR_T_NO_GRAD : GR_T_NONDIFF;
    if (c->observer && c->observer->made) c->observer->made(c->observer->user, k, y);
    return c->code == GR_OK ? y : NULL;
}

gr_tensor *gr_apply(const gr_op *op, gr_tensor *const *in, int n, const void *attr)
{
    unsigned flags = 0;
    gr_ctx *c = context_of(op, in, n, &flags);
    if (!c) return NULL;
    gr_call k;
    k.ctx = c, k.op = op, k.in = in, k.n = n, k.attr = attr, k.offset = 0;
    if (!(op->shape ? op->shape(&k) && gr__shape_ok(c, op->name, k.ndim, k.dim, k.dtype) : elementwise_shape(&k))) return NULL;

    const bool history = flags & GR_T_REQUIRES_GRAD, record = history && op->vjp && !c->no_grad && k.dtype >= GR_F32;
    gr_scope *s = gr__scope_now(c);
    gr_tensor *y = gr__node(c, s, k.dtype, k.ndim, k.dim, record ? n : 0, record ? op->attr_size : 0);
    if (!y) return NULL;
    if (op->flags & GR_OP_VIEW) {
        gr__share_memory(s, y, in[0], k.offset, k.stride);
        y->flags |= in[0]->flags & GR_T_NUMBER;
    } else if ((!(op->flags & GR_OP_KERNEL) && !gr__give_memory(s, y)) || !op->forward(&k, y)) {
        return NULL;
    }
    for (int i = 0; i < y->nin; i++) y->in[i] = in[i];
    if (record && op->attr_size) memcpy((char *)y->attr, attr, op->attr_size);
    return made(c, y, &k, record, history);
}

gr_tensor *gr__apply_alike(const gr_op *op, int n, gr_tensor *a, gr_tensor *b)
{
    gr_ctx *c = a->ctx;
    const bool history = (a->flags | b->flags) & GR_T_REQUIRES_GRAD, record = history && op->vjp && !c->no_grad;
    gr_tensor *y = gr__node_like(gr__scope_now(c), a, record ? n : 0);
    if (!y) return NULL;
    if (record) y->in[0] = a;
    if (record && n > 1) y->in[1] = b;
    gr_call k;
    k.ctx = c, k.op = op, k.in = (gr_tensor *[]){ a, b }, k.n = n, k.attr = NULL;
    return op->forward(&k, y) ? made(c, y, &k, record, history) : NULL;
}

/* ---- what a node remembers -------------------------------------------------------------------------------------*/
const gr_op *gr_op_of(const gr_tensor *t) { return t ? t->op : NULL; }
int gr_num_inputs(const gr_tensor *t) { return t && t->op ? t->nin : 0; }
gr_tensor *gr_input(const gr_tensor *t, int i) { return t && t->op && i >= 0 && i < t->nin ? t->in[i] : NULL; }
const void *gr_attr(const gr_tensor *t) { return t && t->op ? t->attr : NULL; }
bool gr_needs_grad(const gr_tensor *t) { return t && (t->flags & GR_T_REQUIRES_GRAD); }
bool gr_wants(const gr_tensor *y, int i)
{
    const gr_tensor *x = gr_input(y, i);
    return gr_needs_grad(x) && (!y->ctx->sweeping || gr__wants(y, i));
}

gr_tensor *gr_requires_grad(gr_tensor *t)
{
    if (!gr__usable(t)) return NULL;
    char text[256];
    gr__format_tensor_ref(text, sizeof text, t);
    if (!gr_is_float(t)) {
        gr_fail(t->ctx, GR_EDTYPE, "gr_requires_grad(%s): only f32 and f64 tensors have gradients. Fix: convert with gr_astype", text);
        return NULL;
    }
    if (t->op) return t; /* it has history: it requires a gradient already */
    t->flags |= GR_T_REQUIRES_GRAD;
    return t;
}

void gr__require_no_grad(gr_tensor *leaf)
{
    gr_zero_grad(leaf);
    leaf->flags &= (uint16_t)~GR_T_REQUIRES_GRAD;
    leaf->walk = 0; /* that an earlier sweep needed it says nothing any more */
}

gr_tensor *gr_retain_grad(gr_tensor *t)
{
    if (!gr__usable(t)) return NULL;
    t->flags |= GR_T_RETAIN;
    return t;
}

gr_tensor *gr_detach(gr_tensor *t)
{
    if (!gr__ready(t)) return NULL; /* they share memory */
    gr_scope *s = gr__scope_now(t->ctx);
    gr_tensor *y = gr__node(t->ctx, s, (gr_type)t->dtype, t->ndim, t->dims, 0, 0);
    if (!y) return NULL;
    gr__share_memory(s, y, t, 0, gr__stride(t));
    y->flags |= GR_T_DETACHED;
    return y;
}

/* ---- keeping ---------------------------------------------------------------------------------------------------*/
static bool remember_pair(gr_scope *s, gr_tensor *old, gr_tensor *clone)
{
    if (s->num_kept + 2 > s->cap_kept) {
        size_t cap = s->cap_kept ? s->cap_kept * 2 : 32;
        gr_block *b = gr__block_new(s->ctx, cap * sizeof *s->kept);
        if (!b) return false;
        if (s->kept) memcpy(gr__block_data(b), s->kept, s->num_kept * sizeof *s->kept);
        if (s->kept_block) gr__block_unref(s->ctx, s->kept_block);
        s->kept_block = b;
        s->kept = gr__block_data(b);
        s->cap_kept = cap;
    }
    old->order = (uint32_t)(s->num_kept / 2);
    s->kept[s->num_kept++] = old;
    s->kept[s->num_kept++] = clone;
    return true;
}

/* A copy of the node itself in scope `to`; its inputs still point into the old scope. */
static gr_tensor *clone_node(gr_scope *to, gr_tensor *t)
{
    gr_ctx *c = t->ctx;
    size_t attr = t->op ? t->op->attr_size : 0;
    gr_tensor *k = gr__node(c, to, (gr_type)t->dtype, t->ndim, t->dims, t->op ? t->nin : 0, attr);
    if (!k) return NULL;
    memcpy(gr__stride(k), gr__stride(t), (size_t)t->ndim * sizeof(int64_t));
    k->op = t->op;
    k->flags = t->flags;
    k->data = t->data;
    k->written = t->written;
    k->owner = t->owner == t ? k : t->owner;
    if (t->block || !t->data) { /* a cleared gradient has no block, and may get one again */
        if ((k->block = t->block)) k->block->refs++;
        if (t->lazy) gr__share_lazy(k, t->lazy);
        gr__hold(to, k);
    } else if (t->owner == t) {
        k->value = t->value;
        k->data = (char *)&k->value;
    }
    if (t->op) {
        memcpy(k->in, t->in, (size_t)t->nin * sizeof *t->in);
        k->recorded = t->recorded;
        if (attr) memcpy((char *)k->attr, t->attr, attr);
    }
    if (t->name) {
        size_t n = strlen(t->name) + 1;
        char *copy = gr__arena_alloc(to, n);
        if (!copy) return NULL;
        k->name = memcpy(copy, t->name, n);
    }
    return k;
}

static gr_tensor *clone_of(gr_scope *s, gr_tensor *t)
{
    return t->scope == s->depth ? s->kept[2 * t->order + 1] : t;
}

/* The inputs of t that must move with it: its graph, the owner of its value, its gradient. */
static gr_tensor *follow(gr_tensor *t, int i)
{
    int n = t->op ? t->nin : 0;
    if (i < n) return t->in[i];
    if (i == n) return t->block || t->lazy ? t : t->owner;
    return i == n + 1 ? (t->grad ? t->grad : t) : NULL;
}

static bool move(gr_scope *s, gr_tensor *t)
{
    gr_tensor *k = clone_node(s->parent, t);
    return k && remember_pair(s, t, k);
}

gr_tensor *gr_keep(gr_tensor *t)
{
    if (!gr__usable(t)) return NULL;
    gr_ctx *c = t->ctx;
    gr_scope *s = gr__scope_now(c);
    if (t->scope != s->depth || !s->parent) return t;
    uint32_t visited = ++c->epoch;
    for (size_t i = 0; i < s->num_kept; i += 2) { /* what earlier calls moved stays the same tensor */
        s->kept[i]->mark = visited;
        s->kept[i]->order = (uint32_t)(i / 2);
    }
    size_t first = s->num_kept;
    if (t->mark == visited) return clone_of(s, t);
    t->mark = visited;
    if (!move(s, t)) return NULL;
    for (size_t at = first; at < s->num_kept; at += 2) { /* breadth first: the list of pairs is the queue */
        gr_tensor *old = s->kept[at];
        for (int i = 0; (t = follow(old, i)); i++) {
            if (t->scope != s->depth || t->mark == visited) continue;
            t->mark = visited;
            if (move(s, t)) continue;
            s->num_kept = first; /* forget the clones: their inputs are still the old ones */
            return NULL;
        }
    }
    for (size_t at = first; at < s->num_kept; at += 2) {
        gr_tensor *old = s->kept[at], *new = s->kept[at + 1];
        for (int i = 0; new->op && i < new->nin; i++) new->in[i] = clone_of(s, new->in[i]);
        if (new->owner != new) {
            bool inside = !new->block && old->owner->scope == s->depth;
            if (inside) new->data = (char *)&clone_of(s, old->owner)->value + (old->data - (char *)&old->owner->value);
            new->owner = inside ? clone_of(s, old->owner) : new->block && old->owner->scope == s->depth ? new : old->owner;
        }
        new->grad = old->grad ? clone_of(s, old->grad) : NULL;
    }
    return s->kept[first + 1];
}
