/* An optimiser: checks, state, and the loop over the parameters.
 * Knows no particular rule: those are records.
 * SPDX-License-Identifier: MIT */
#include "optim/optim.h"
#include "core/tensor.h"

#include <math.h>
#include <string.h>

struct gr_optim {
    gr_ctx *ctx;
    const gr_rule *rule;
    double h[GR_MAX_HYPERS];
    int n, slots;
    gr_tensor **tensors;
    const char **names;  /* NULL: none */
    gr_tensor **slot;    /* slots of parameter 0, then of 1, ... */
    gr_tensor *steps;
};

/* ---- registry --------------------------------------------------------------------------------------------------*/
#define ENTRY(name) &gr_rule_##name,
static const gr_rule *const registry[] = { GR_RULES(ENTRY) };

int gr_rule_count(void) { return (int)(sizeof registry / sizeof *registry); }
const gr_rule *gr_rule_at(int i) { return i >= 0 && i < gr_rule_count() ? registry[i] : NULL; }

const gr_rule *gr_rule_find(const char *name)
{
    for (int i = 0; name && i < gr_rule_count(); i++)
        if (strcmp(registry[i]->name, name) == 0) return registry[i];
    return NULL;
}

/* ---- checks ----------------------------------------------------------------------------------------------------*/
static int num_hypers(const gr_rule *r)
{
    int n = 0;
    while (n < GR_MAX_HYPERS && r->hyper[n].name) n++;
    return n;
}

static int num_slots(const gr_rule *r, const double *h)
{
    int n = 0;
    while (n < GR_MAX_SLOTS && r->slot[n]) n++;
    int needed = r->slots ? r->slots(h) : n;
    return needed < n ? needed : n;
}

static bool hypers_ok(gr_ctx *c, const gr_rule *r, const double *h)
{
    for (int i = 0; i < num_hypers(r); i++) {
        const gr_hyper *y = &r->hyper[i];
        if (h[i] >= y->low && h[i] < y->below) continue;
        if (isinf(y->below))
            gr_fail(c, GR_EVALUE, "%s: %s is %g. Fix: give a finite number of at least %g", r->name, y->name, h[i], y->low);
        else
            gr_fail(c, GR_EVALUE, "%s: %s is %g. Fix: give a number of at least %g and below %g", r->name, y->name, h[i], y->low, y->below);
        return false;
    }
    const char *why = r->check ? r->check(h) : NULL;
    if (why) gr_fail(c, GR_EVALUE, "%s: %s", r->name, why);
    return !why;
}

static bool tensor_ok(gr_ctx *c, const gr_rule *r, const gr_tensor *t, int i)
{
    if (!t) {
        gr_fail(c, GR_EVALUE, "%s: parameter %d is NULL. Fix: check what made it", r->name, i);
        return false;
    }
    char text[256];
    gr__format_tensor_ref(text, sizeof text, t);
    if (t->op) {
        gr_fail(c, GR_EGRAPH, "%s(%s): a result of %s is no leaf, and cannot be optimised. Fix: pass the leaf it was made from, or compute it under GR_NO_GRAD",
                r->name, text, t->op->name);
        return false;
    }
    const char *why = t->ctx != c                          ? "belongs to another context. Fix: make both in one context"
                      : !gr_needs_grad(t)                  ? "does not require a gradient, so it would never change. Fix: mark it with gr_requires_grad"
                      : !gr_is_contiguous(t)               ? "is not contiguous. Fix: mark a gr_contiguous copy with gr_requires_grad"
                      : t->scope > gr__scope_now(c)->depth ? "was made in a scope that has ended. Fix: make it beside the optimiser"
                      : t->mark == c->epoch                ? "is listed twice and would be updated twice. Fix: list it once"
                                                           : NULL;
    if (why) gr_fail(c, GR_EVALUE, "%s: parameter %d, %s, %s", r->name, i, text, why);
    return !why;
}

static bool tensors_ok(gr_ctx *c, const gr_rule *r, gr_params p)
{
    if (p.n <= 0 || !p.tensors) {
        gr_fail(c, GR_EVALUE, "%s: the list of parameters is empty. Fix: pass gr_parameters of a module that has some, not all frozen", r->name);
        return false;
    }
    c->epoch++;
    for (int i = 0; i < p.n; i++) {
        if (!tensor_ok(c, r, p.tensors[i], i)) return false;
        p.tensors[i]->mark = c->epoch;
    }
    return true;
}

/* ---- making ----------------------------------------------------------------------------------------------------*/
gr_params gr_params_of(gr_ctx *c, gr_tensor **tensors, int n) { return (gr_params){ .ctx = c, .tensors = tensors, .n = n }; }

static bool copy_list(gr_optim *o, gr_params p)
{
    gr_scope *s = gr__scope_now(o->ctx);
    o->n = p.n;
    o->tensors = gr__arena_alloc(s, (size_t)p.n * sizeof *o->tensors);
    if (!o->tensors) return false;
    memcpy(o->tensors, p.tensors, (size_t)p.n * sizeof *o->tensors);
    if (!p.names) return true;
    o->names = gr__arena_alloc(s, (size_t)p.n * sizeof *o->names);
    for (int i = 0; o->names && i < p.n; i++) {
        size_t size = strlen(p.names[i]) + 1;
        char *name = gr__arena_alloc(s, size);
        if (!name) return false;
        o->names[i] = memcpy(name, p.names[i], size);
    }
    return o->names != NULL;
}

static bool make_state(gr_optim *o)
{
    o->slots = num_slots(o->rule, o->h);
    o->steps = gr_zeros(o->ctx, GR_SHAPE(o->n), .dtype = GR_I64);
    if (!o->steps || !o->slots) return o->steps != NULL;
    o->slot = gr__arena_alloc(gr__scope_now(o->ctx), (size_t)(o->n * o->slots) * sizeof *o->slot);
    for (int i = 0; o->slot && i < o->n * o->slots; i++)
        if (!(o->slot[i] = gr_zeros_like(o->tensors[i / o->slots]))) return false;
    return o->slot != NULL;
}

gr_optim *gr_optim_new(gr_ctx *c, const gr_rule *rule, gr_params p, const double *h)
{
    if (!c || c->code != GR_OK) return NULL;
    if (!rule || !rule->name || !rule->update || !num_hypers(rule)) {
        gr_fail(c, GR_EVALUE, "gr_optim_new: the record is not complete. Fix: give it name, update, and lr as its first hyper-parameter");
        return NULL;
    }
    gr_optim made = { .ctx = c, .rule = rule };
    for (int i = 0; i < num_hypers(rule); i++) made.h[i] = h && h[i] != 0 ? h[i] : rule->hyper[i].value;
    if (!hypers_ok(c, rule, made.h) || !tensors_ok(c, rule, p)) return NULL;
    gr_optim *o = gr__arena_alloc(gr__scope_now(c), sizeof *o);
    if (!o) return NULL;
    *o = made;
    return copy_list(o, p) && make_state(o) ? o : NULL;
}

/* ---- stepping --------------------------------------------------------------------------------------------------*/
/* elements from .. to - 1 of parameter i */
static void update(const gr_optim *o, int i, int64_t from, int64_t to)
{
    const gr_tensor *w = o->tensors[i];
    const size_t at = (size_t)from * gr__type_size((gr_type)w->dtype);
    gr_update u = { .dtype = (gr_type)w->dtype, .n = to - from, .step = ((const int64_t *)(const void *)o->steps->data)[i], .h = o->h,
                    .w = w->data + at, .g = gr__grad(w)->data + at };
    for (int k = 0; k < o->slots; k++) u.slot[k] = o->slot[i * o->slots + k]->data + at;
    o->rule->update(&u);
}

/* The parameters one after another, in blocks: a range of blocks may begin in one and end in another. */
#define BLOCK 1024
#define UPDATE_NS 0.5 /* of an element: of the rules of the library, out of the second-level cache */
static int64_t blocks_of(const gr_tensor *w) { return gr__grad(w) ? (w->numel + BLOCK - 1) / BLOCK : 0; }

static void update_blocks(void *user, int64_t begin, int64_t end, int worker)
{
    const gr_optim *o = user;
    (void)worker;
    for (int i = 0; i < o->n; i++) {
        const int64_t blocks = blocks_of(o->tensors[i]), from = begin > 0 ? begin : 0, to = end < blocks ? end : blocks;
        if (from < to) update(o, i, from * BLOCK, to < blocks ? to * BLOCK : o->tensors[i]->numel);
        begin -= blocks, end -= blocks;
    }
}

bool gr_step_with(gr_optim *o, gr_step_opts s)
{
    if (!o || o->ctx->code != GR_OK) return false;
    int64_t *steps = gr_data(o->steps), blocks = 0;
    bool ok = steps != NULL;
    for (int i = 0; i < o->n && ok; i++) ok = !gr__grad(o->tensors[i]) || (gr__ready(gr__grad(o->tensors[i])) && gr__before_write(o->tensors[i]));
    if (!ok) return false;
    for (int i = 0; i < o->n; i++) steps[i] += gr__grad(o->tensors[i]) != NULL, blocks += blocks_of(o->tensors[i]);
    const bool share = o->rule->elementwise && gr__parallel_workers(o->ctx, UPDATE_NS * BLOCK * (double)blocks) > 1;
    if (share) gr__parallel_ranges(o->ctx, blocks, UPDATE_NS * BLOCK, update_blocks, o);
    for (int i = 0; i < o->n; i++) {
        gr_tensor *w = o->tensors[i];
        if (!gr__grad(w)) continue;
        if (!share && w->numel) update(o, i, 0, w->numel);
        gr_touch(w, o->rule->name);
        if (!s.keep_grad) gr_zero_grad(w);
    }
    return true;
}

/* ---- asking and setting ----------------------------------------------------------------------------------------*/
static int hyper_index(const gr_optim *o, const char *name)
{
    for (int i = 0; name && i < num_hypers(o->rule); i++)
        if (strcmp(o->rule->hyper[i].name, name) == 0) return i;
    gr_fail(o->ctx, GR_EVALUE, "%s: it has no hyper-parameter \"%.40s\". Fix: use one of those in its record, such as \"lr\"", o->rule->name,
            name ? name : "");
    return -1;
}

double gr_lr(const gr_optim *o) { return o ? o->h[0] : (double)NAN; }
bool gr_set_lr(gr_optim *o, double lr) { return o && gr_set_hyper(o, o->rule->hyper[0].name, lr); }

double gr_hyper_value(const gr_optim *o, const char *name)
{
    int i = o ? hyper_index(o, name) : -1;
    return i >= 0 ? o->h[i] : (double)NAN;
}

bool gr_set_hyper(gr_optim *o, const char *name, double value)
{
    if (!o || o->ctx->code != GR_OK) return false;
    int i = hyper_index(o, name);
    if (i < 0) return false;
    double h[GR_MAX_HYPERS];
    memcpy(h, o->h, sizeof h);
    h[i] = value;
    if (!hypers_ok(o->ctx, o->rule, h)) return false;
    if (num_slots(o->rule, h) > o->slots) {
        gr_fail(o->ctx, GR_EVALUE, "%s: %s = %g needs state that this optimiser was made without. Fix: give %s when making it", o->rule->name, name,
                value, name);
        return false;
    }
    o->h[i] = value;
    return true;
}

const gr_rule *gr_optim_rule(const gr_optim *o) { return o ? o->rule : NULL; }
gr_params gr_optim_params(const gr_optim *o) { return o ? (gr_params){ o->ctx, o->tensors, o->names, o->n } : (gr_params){ 0 }; }
gr_tensor *gr_optim_steps(const gr_optim *o) { return o ? o->steps : NULL; }

gr_tensor *gr_optim_slot(const gr_optim *o, int i, const char *slot)
{
    for (int k = 0; o && slot && i >= 0 && i < o->n && k < o->slots; k++)
        if (strcmp(o->rule->slot[k], slot) == 0) return o->slot[i * o->slots + k];
    return NULL;
}
