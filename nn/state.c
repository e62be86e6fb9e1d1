/* What a module and all it contains hold: lists of parameters and buffers, copying them, freezing, the summary.
 * Knows no particular layer and no file.
 * SPDX-License-Identifier: MIT */
#include "nn/module.h"

#include <string.h>

/* ---- lists -----------------------------------------------------------------------------------------------------*/
typedef struct listing {
    bool buffers, frozen; /* are they wanted? */
    int n;
    gr_tensor **tensors;  /* NULL: count only */
    const char **names;
} listing;

static bool wanted(const listing *l, const gr__entry *e)
{
    return e->buffer ? l->buffers : l->frozen || gr_needs_grad(e->t);
}

static bool list_visit(gr__walk *w, gr_module *m, int level)
{
    (void)level;
    listing *l = w->user;
    for (int i = 0; i < m->num_entries; i++) {
        if (!wanted(l, &m->entry[i]) || gr__met(w, m->entry[i].t)) continue;
        if (l->tensors) {
            size_t size = strlen(w->path) + strlen(m->entry[i].name) + 1;
            char *name = gr__arena_alloc(gr__scope_now(m->ctx), size);
            if (!name) return false;
            snprintf(name, size, "%s%s", w->path, m->entry[i].name);
            l->tensors[l->n] = m->entry[i].t;
            l->names[l->n] = name;
        }
        l->n++;
    }
    return true;
}

static gr_params list_of(gr_module *m, bool buffers, bool frozen)
{
    gr_params none = { .ctx = gr_module_ctx(m) };
    if (!gr__module_ready(m)) return none;
    listing l = { .buffers = buffers, .frozen = frozen };
    gr__walk w = { .visit = list_visit, .user = &l };
    if (!gr__module_walk(&w, m) || l.n == 0) return none;
    gr_tensor **tensors = gr__arena_alloc(gr__scope_now(m->ctx), (size_t)l.n * sizeof *tensors);
    const char **names = tensors ? gr__arena_alloc(gr__scope_now(m->ctx), (size_t)l.n * sizeof *names) : NULL;
    if (!names) return none;
    l.n = 0;
    l.tensors = tensors;
    l.names = names;
    if (!gr__module_walk(&w, m)) return none;
    return (gr_params){ m->ctx, tensors, names, l.n };
}

gr_params gr_parameters(gr_module *m) { return list_of(m, false, false); }
gr_params gr_state(gr_module *m) { return list_of(m, true, true); }

/* The first names of a list, for messages: "0.weight, 0.bias, ...". */
#define SHOWN 8
static void join_names(const gr_params *p, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < p->n && i <= SHOWN && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%.30s", i ? ", " : "", i < SHOWN ? p->names[i] : "...");
}

static int find(const gr_params *p, const char *name)
{
    for (int i = 0; i < p->n; i++)
        if (p->names && strcmp(p->names[i], name) == 0) return i;
    return -1;
}

gr_tensor *gr_find_parameter(gr_module *m, const char *path)
{
    if (!gr__module_ready(m) || !path) return NULL;
    GR_SCOPE(m->ctx);
    gr_params all = gr_state(m);
    int i = find(&all, path);
    if (i >= 0) return all.tensors[i];
    char list[400];
    join_names(&all, list, sizeof list);
    gr_fail(m->ctx, GR_EVALUE, "gr_find_parameter: %s has no \"%.200s\"; it has %s. Fix: use one of these names", m->layer->name, path,
            all.n ? list : "no parameters");
    return NULL;
}

int64_t gr_num_parameters(gr_module *m)
{
    if (!gr__module_ready(m)) return 0;
    GR_SCOPE(m->ctx);
    gr_params all = list_of(m, false, true);
    int64_t n = 0;
    for (int i = 0; i < all.n; i++) n += gr_numel(all.tensors[i]);
    return n;
}

/* ---- copying ---------------------------------------------------------------------------------------------------*/
static bool fits(gr_module *m, const gr_params *own, const gr_params *from, int i)
{
    int at = find(from, own->names[i]);
    if (at < 0) {
        char list[400];
        if (from->names) join_names(from, list, sizeof list);
        gr_fail(m->ctx, GR_EVALUE, "gr_load_state: \"%s\" of the module is not in the list, which has %s. Fix: save gr_state of the same architecture",
                own->names[i], from->n == 0 ? "nothing" : from->names ? list : "no names");
        return false;
    }
    const gr_tensor *a = own->tensors[i], *b = from->tensors[at];
    if (!gr__ready(b)) return false;
    if (gr__same_shape(a, b)) return true;
    char one[256], two[256];
    gr__format_dims(one, sizeof one, b->ndim, b->dims);
    gr__format_dims(two, sizeof two, a->ndim, a->dims);
    gr_fail(m->ctx, GR_ESHAPE, "gr_load_state: \"%s\" is %s in the list, %s in the module. Fix: load into the architecture that was saved",
            own->names[i], one, two);
    return false;
}

bool gr_load_state(gr_module *m, gr_params from)
{
    if (!gr__module_ready(m)) return false;
    GR_SCOPE(m->ctx);
    gr_params own = gr_state(m);
    for (int i = 0; i < own.n; i++)
        if (!fits(m, &own, &from, i)) return false;
    for (int i = 0; i < from.n; i++)
        if (from.names && find(&own, from.names[i]) < 0) {
            gr_fail(m->ctx, GR_EVALUE, "gr_load_state: the list has \"%.200s\", which the module has not. Fix: load into the architecture that was saved",
                    from.names[i]);
            return false;
        }
    for (int i = 0; i < own.n; i++)
        if (!gr_copy_to(own.tensors[i], from.tensors[find(&from, own.names[i])])) return false;
    return m->ctx->code == GR_OK;
}

/* ---- other tensors in place of the parameters ---------------------------------------------------------------------
 * The entries are exchanged for the time of one call. */
typedef struct exchange {
    gr_tensor *const *with;
    const gr_params *own;
    gr__entry **entry; /* NULL: count only */
    gr_tensor **old;
    int n;
} exchange;

static bool exchange_visit(gr__walk *w, gr_module *m, int level)
{
    (void)level;
    exchange *x = w->user;
    for (int i = 0; i < m->num_entries; i++)
        for (int k = 0; k < x->own->n; k++) {
            if (m->entry[i].buffer || m->entry[i].t != x->own->tensors[k]) continue;
            if (x->entry) {
                x->entry[x->n] = &m->entry[i];
                x->old[x->n] = m->entry[i].t;
                m->entry[i].t = x->with[k];
            }
            x->n++;
            break;
        }
    return true;
}

gr_tensor *gr_forward_using(gr_module *m, gr_tensor *const *parameters, int n, gr_tensor *x)
{
    if (!gr__module_ready(m)) return NULL;
    gr_params own = gr_parameters(m);
    for (int i = 0; i < n; i++)
        if (!parameters[i]) return NULL;
    if (n != own.n) {
        gr_fail(m->ctx, GR_EVALUE, "gr_forward_using: got %d tensors for the %d parameters of %s. Fix: give one for each of gr_parameters", n, own.n,
                m->layer->name);
        return NULL;
    }
    if (n == 0) return gr_forward(m, x);
    exchange e = { .with = parameters, .own = &own };
    gr__walk w = { .visit = exchange_visit, .user = &e };
    gr__module_walk(&w, m);
    gr_scope *s = gr__scope_now(m->ctx);
    e.old = gr__arena_alloc(s, (size_t)e.n * sizeof *e.old);
    gr__entry **entry = e.old ? gr__arena_alloc(s, (size_t)e.n * sizeof *e.entry) : NULL;
    if (!entry) return NULL;
    e.entry = entry;
    e.n = 0;
    gr__module_walk(&w, m);
    gr_tensor *y = gr_forward(m, x);
    while (e.n-- > 0) e.entry[e.n]->t = e.old[e.n];
    return y;
}

/* ---- freezing --------------------------------------------------------------------------------------------------*/
static bool freeze_visit(gr__walk *w, gr_module *m, int level)
{
    (void)w, (void)level;
    for (int i = 0; i < m->num_entries; i++) {
        if (m->entry[i].buffer) continue;
        gr__require_no_grad(m->entry[i].t);
    }
    return true;
}

static bool unfreeze_visit(gr__walk *w, gr_module *m, int level)
{
    (void)w, (void)level;
    for (int i = 0; i < m->num_entries; i++)
        if (!m->entry[i].buffer) gr_requires_grad(m->entry[i].t);
    return true;
}

void gr_freeze(gr_module *m)
{
    if (m) gr__module_walk(&(gr__walk){ .visit = freeze_visit }, m);
}
void gr_unfreeze(gr_module *m)
{
    if (m) gr__module_walk(&(gr__walk){ .visit = unfreeze_visit }, m);
}

/* ---- summary ---------------------------------------------------------------------------------------------------*/
typedef struct summary {
    gr_text text;
    int64_t parameters, trained, bytes;
} summary;

static bool summary_visit(gr__walk *w, gr_module *m, int level)
{
    summary *x = w->user;
    char words[128] = "", name[512], output[200] = "-";
    if (m->layer->describe) m->layer->describe(m, words, sizeof words);
    size_t path = strlen(w->path);
    int64_t own = 0;
    for (int i = 0; i < m->num_entries; i++) {
        gr_tensor *t = m->entry[i].t;
        if (m->entry[i].buffer) continue;
        own += gr_numel(t);
        if (gr__met(w, t)) continue;
        x->parameters += gr_numel(t);
        x->trained += gr_needs_grad(t) ? gr_numel(t) : 0;
        x->bytes += gr_numel(t) * (int64_t)gr__type_size(gr_dtype(t));
    }
    if (m->ran) gr__format_dims(output, sizeof output, m->output.n, m->output.v);
    snprintf(name, sizeof name, "%*s%.*s%s%s%s%s", 2 * level, "", path ? (int)path - 1 : 0, w->path, path ? " " : "", m->layer->name,
             words[0] ? " " : "", words);
    gr__put(&x->text, "%-40s %-16s %12lld\n", name, output, (long long)own);
    return true;
}

int gr_module_summary(gr_module *m, char *out, size_t size)
{
    summary x = { .text = { .out = out, .size = size } };
    if (size) out[0] = '\0';
    if (!m) {
        gr__put(&x.text, "(no module)\n");
        return (int)x.text.at;
    }
    gr__put(&x.text, "%-40s %-16s %12s\n", "module", "output", "parameters");
    gr__module_walk(&(gr__walk){ .visit = summary_visit, .user = &x }, m);
    gr__put(&x.text, "%lld parameters, %lld of them trained, %lld bytes\n", (long long)x.parameters, (long long)x.trained, (long long)x.bytes);
    return (int)x.text.at;
}
