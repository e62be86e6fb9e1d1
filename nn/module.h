/* The inside of a module, for nn/ alone.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_NN_MODULE_H
#define GRADUS_NN_MODULE_H

#include "core/tensor.h"
#include "nn/nn.h"

/* A parameter or buffer. */
typedef struct gr__entry {
    const char *name;
    gr_tensor *t;
    bool buffer;
    bool labelled; /* the label is the path, and grows with it */
} gr__entry;

typedef struct gr__child {
    const char *name;
    gr_module *m;
} gr__child;

struct gr_module {
    gr_ctx *ctx;
    const gr_layer *layer;
    const void *attr;
    gr__entry *entry;
    gr__child *child;
    int num_entries, cap_entries, num_children, cap_children;
    bool training, ran;
    uint32_t scope; /* depth of the scope that holds it */
    uint32_t mark;  /* of the current walk */
    gr_dims output; /* shape of the last result, once it ran */
};

#define GR_MAX_NESTING 64 /* modules in modules */
#define GR_MAX_PATH 256

/* One walk over a module and all it contains, each once, parents first. */
typedef struct gr__walk gr__walk;
struct gr__walk {
    bool (*visit)(gr__walk *w, gr_module *m, int level); /* false ends the walk */
    void *user;
    uint32_t epoch;         /* what a visited module or tensor is marked with */
    char path[GR_MAX_PATH]; /* of the module being visited: "" or "0.1." */
};
bool gr__module_walk(gr__walk *w, gr_module *m);
/* Was t met before in this walk? It is from now on. */
static inline bool gr__met(const gr__walk *w, gr_tensor *t)
{
    if (t->mark == w->epoch) return true;
    t->mark = w->epoch;
    return false;
}

static inline bool gr__module_ready(const gr_module *m) { return m && m->ctx->code == GR_OK; }

#endif
