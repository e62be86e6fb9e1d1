/* Making modules, walking through them, running them.
 * Knows no particular layer: those are records.
 * SPDX-License-Identifier: MIT */
#include "nn/module.h"

#include <string.h>

/* ---- registry --------------------------------------------------------------------------------------------------*/
#define ENTRY(name) &gr_layer_##name,
static const gr_layer *const registry[] = { GR_LAYERS(ENTRY) };

int gr_layer_count(void) { return (int)(sizeof registry / sizeof *registry); }
const gr_layer *gr_layer_at(int i) { return i >= 0 && i < gr_layer_count() ? registry[i] : NULL; }

const gr_layer *gr_layer_find(const char *name)
{
    for (int i = 0; name && i < gr_layer_count(); i++)
        if (strcmp(registry[i]->name, name) == 0) return registry[i];
    return NULL;
}

/* ---- walking ---------------------------------------------------------------------------------------------------
 * Recursion is bounded: a module nested deeper than GR_MAX_NESTING is refused. */
static bool go(gr__walk *w, gr_module *m, size_t at, int level)
{
    if (m->mark == w->epoch) return true;
    m->mark = w->epoch;
    if (level > GR_MAX_NESTING) {
        gr_fail(m->ctx, GR_EVALUE, "%s: modules are nested deeper than %d at \"%s\". Fix: build flatter modules", m->layer->name,
                GR_MAX_NESTING, w->path);
        return false;
    }
    if (!w->visit(w, m, level)) return false;
    for (int i = 0; i < m->num_children; i++) {
        int n = snprintf(w->path + at, sizeof w->path - at, "%s.", m->child[i].name);
        if ((size_t)n >= sizeof w->path - at) {
            w->path[at] = '\0';
            gr_fail(m->ctx, GR_EVALUE, "%s: the name of child \"%s\" of \"%s\" makes a path of %d characters or more. Fix: use shorter names",
                    m->layer->name, m->child[i].name, w->path, GR_MAX_PATH);
            return false;
        }
        if (!go(w, m->child[i].m, at + (size_t)n, level + 1)) return false;
        w->path[at] = '\0';
    }
    return true;
}

bool gr__module_walk(gr__walk *w, gr_module *m)
{
    w->epoch = ++m->ctx->epoch;
    w->path[0] = '\0';
    return go(w, m, 0, 0);
}

/* ---- making ----------------------------------------------------------------------------------------------------*/
static const char *copy_text(gr_ctx *c, uint32_t scope, const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = gr__arena_alloc(c->scope[scope], n);
    return copy ? memcpy(copy, text, n) : NULL;
}

gr_module *gr_module_new(gr_ctx *c, const gr_layer *layer, const void *attr)
{
    if (!c || c->code != GR_OK) return NULL;
    if (!layer || !layer->name || !layer->forward || (layer->attr_size && !attr)) {
        gr_fail(c, GR_EVALUE, "gr_module_new: the record of %s has no %s. Fix: give name, forward and the attributes that attr_size announces",
                layer && layer->name ? layer->name : "a layer", !layer || !layer->name ? "name" : !layer->forward ? "forward" : "attributes");
        return NULL;
    }
    gr_scope *s = gr__scope_now(c);
    gr_module *m = gr__arena_alloc(s, sizeof *m + layer->attr_size);
    if (!m) return NULL;
    *m = (gr_module){ .ctx = c, .layer = layer, .training = true, .scope = s->depth };
    if (layer->attr_size) m->attr = memcpy(m + 1, attr, layer->attr_size);
    if (layer->make && !layer->make(m)) {
        gr_fail(c, GR_EVALUE, "%s: its make failed without a reason. Fix: call gr_fail in it", layer->name);
        return NULL;
    }
    return c->code == GR_OK ? m : NULL;
}

/* An array in the arena with room for one more; the old one stays until the scope ends. */
static void *grown(gr_module *m, void *list, int n, int *cap, size_t size)
{
    if (n < *cap) return list;
    int wider = *cap ? *cap * 2 : 4;
    void *copy = gr__arena_alloc(m->ctx->scope[m->scope], (size_t)wider * size);
    if (!copy) return NULL;
    if (n) memcpy(copy, list, (size_t)n * size);
    *cap = wider;
    return copy;
}

static bool name_is_free(gr_module *m, const char *name)
{
    const char *why = !name || !*name ? "is empty" : strchr(name, '.') ? "has a dot, which separates the parts of a path" : NULL;
    for (int i = 0; !why && i < m->num_entries; i++)
        if (strcmp(m->entry[i].name, name) == 0) why = "is taken by a parameter or buffer";
    for (int i = 0; !why && i < m->num_children; i++)
        if (strcmp(m->child[i].name, name) == 0) why = "is taken by a child";
    if (why) gr_fail(m->ctx, GR_EVALUE, "%s: the name \"%s\" %s. Fix: use another name", m->layer->name, name ? name : "", why);
    return !why;
}

static gr_tensor *add(gr_module *m, const char *name, gr_tensor *t, bool buffer)
{
    if (!gr__module_ready(m)) return NULL;
    char text[256];
    gr__format_tensor_ref(text, sizeof text, t);
    const char *kind = buffer ? "buffer" : "parameter";
    if (!t) {
        gr_fail(m->ctx, GR_EVALUE, "%s: %s \"%s\" is NULL. Fix: pass a tensor", m->layer->name, kind, name ? name : "");
        return NULL;
    }
    if (t->ctx != m->ctx || t->scope > m->scope) {
        gr_fail(m->ctx, GR_EGRAPH, "%s: %s \"%s\", %s, %s. Fix: make it beside the module", m->layer->name, kind, name ? name : "", text,
                t->ctx != m->ctx ? "belongs to another context" : "lives in an inner scope and would be freed before the module");
        return NULL;
    }
    if (t->op) {
        gr_fail(m->ctx, GR_EGRAPH, "%s: %s \"%s\", %s, was made by %s; only a leaf can be one. Fix: add the leaf it was made from, or compute it under GR_NO_GRAD",
                m->layer->name, kind, name ? name : "", text, t->op->name);
        return NULL;
    }
    if (!name_is_free(m, name) || (!buffer && !gr_requires_grad(t))) return NULL;
    gr__entry *list = grown(m, m->entry, m->num_entries, &m->cap_entries, sizeof *list);
    const char *copy = list ? copy_text(m->ctx, m->scope, name) : NULL;
    if (!copy) return NULL;
    bool labelled = !t->name;
    if (labelled) gr_name(t, name);
    m->entry = list;
    list[m->num_entries++] = (gr__entry){ copy, t, buffer, labelled };
    return m->ctx->code == GR_OK ? t : NULL;
}

gr_tensor *gr_module_param(gr_module *m, const char *name, gr_tensor *t) { return add(m, name, t, false); }
gr_tensor *gr_module_buffer(gr_module *m, const char *name, gr_tensor *t) { return add(m, name, t, true); }

/* ---- children --------------------------------------------------------------------------------------------------*/
static bool is_not(gr__walk *w, gr_module *m, int level)
{
    (void)level;
    return m != w->user;
}

/* Labels below a new child get its name in front: "weight" becomes "0.weight". */
static bool relabel(gr__walk *w, gr_module *m, int level)
{
    (void)level;
    for (int i = 0; i < m->num_entries; i++) {
        char label[2 * GR_MAX_PATH];
        gr_tensor *t = m->entry[i].t;
        if (!m->entry[i].labelled || gr__met(w, t)) continue;
        snprintf(label, sizeof label, "%.200s.%.250s", (const char *)w->user, gr_label(t));
        gr_name(t, label);
    }
    return m->ctx->code == GR_OK;
}

gr_module *gr_module_child(gr_module *m, const char *name, gr_module *child)
{
    if (!gr__module_ready(m)) return NULL;
    const char *why = !child                     ? "is NULL"
                      : child->ctx != m->ctx     ? "belongs to another context"
                      : child->scope > m->scope  ? "lives in an inner scope and would be freed before the module"
                                                 : NULL;
    if (!why && !gr__module_walk(&(gr__walk){ .visit = is_not, .user = m }, child)) why = "contains the module itself";
    if (why) {
        gr_fail(m->ctx, GR_EVALUE, "%s: child \"%s\" %s. Fix: pass a module made beside this one", m->layer->name, name ? name : "", why);
        return NULL;
    }
    if (!name_is_free(m, name)) return NULL;
    gr__child *list = grown(m, m->child, m->num_children, &m->cap_children, sizeof *list);
    const char *copy = list ? copy_text(m->ctx, m->scope, name) : NULL;
    if (!copy) return NULL;
    m->child = list;
    list[m->num_children++] = (gr__child){ copy, child };
    return gr__module_walk(&(gr__walk){ .visit = relabel, .user = (void *)(uintptr_t)copy }, child) ? child : NULL;
}

/* ---- asking ----------------------------------------------------------------------------------------------------*/
gr_ctx *gr_module_ctx(const gr_module *m) { return m ? m->ctx : NULL; }
const gr_layer *gr_module_layer(const gr_module *m) { return m ? m->layer : NULL; }
const void *gr_module_attr(const gr_module *m) { return m ? m->attr : NULL; }
int gr_module_num_children(const gr_module *m) { return m ? m->num_children : 0; }
gr_module *gr_module_child_at(const gr_module *m, int i) { return m && i >= 0 && i < m->num_children ? m->child[i].m : NULL; }
const char *gr_module_child_name(const gr_module *m, int i) { return m && i >= 0 && i < m->num_children ? m->child[i].name : NULL; }
bool gr_is_training(const gr_module *m) { return m && m->training; }

gr_tensor *gr_module_get(const gr_module *m, const char *name)
{
    for (int i = 0; m && name && i < m->num_entries; i++)
        if (*m->entry[i].name == *name && strcmp(m->entry[i].name, name) == 0) return m->entry[i].t;
    return NULL;
}

/* ---- running ---------------------------------------------------------------------------------------------------*/
gr_tensor *gr_forward(gr_module *m, gr_tensor *x)
{
    if (!m || !x) {
        gr_fail(m ? m->ctx : gr_ctx_of(x), GR_EVALUE, "gr_forward: the %s is NULL. Fix: check what made it", m ? "input" : "module");
        return NULL;
    }
    if (!gr__usable(x) || m->ctx->code != GR_OK) return NULL;
    if (x->ctx != m->ctx) {
        gr_fail(m->ctx, GR_EVALUE, "gr_forward: the module %s and its input belong to different contexts. Fix: make both in one context",
                m->layer->name);
        return NULL;
    }
    gr_tensor *y = m->layer->forward(m, x);
    if (!y) {
        gr_fail(m->ctx, GR_EVALUE, "%s: its forward gave no tensor. Fix: return the result, or call gr_fail", m->layer->name);
        return NULL;
    }
    m->ran = true;
    m->output.n = y->ndim; /* size by size: to copy what was just written in parts takes longer */
    for (int d = 0; d < y->ndim; d++) m->output.v[d] = y->dims[d];
    return y;
}

static bool set_training(gr__walk *w, gr_module *m, int level)
{
    (void)level;
    m->training = *(const bool *)w->user;
    return true;
}
static void set_mode(gr_module *m, bool training)
{
    if (m) gr__module_walk(&(gr__walk){ .visit = set_training, .user = &training }, m);
}
void gr_train(gr_module *m) { set_mode(m, true); }
void gr_eval(gr_module *m) { set_mode(m, false); }
