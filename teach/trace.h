/* The inside of a trace: what the recorder keeps while it listens, and helpers of its files.
 * Knows no renderer.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_TEACH_TRACE_H
#define GRADUS_TEACH_TRACE_H

#include "core/tensor.h"
#include "teach/teach.h"

/* Numbers by key: open addressing, a power of two. 0 is no key. */
typedef struct gr_map {
    struct gr_map_entry {
        uintptr_t key;
        int value;
    } *entry;
    size_t n, cap;
} gr_map;

/* An operation that the graph does not remember (a comparison, one under GR_NO_GRAD, one of constants). */
typedef struct gr_unrecorded {
    const gr_tensor *y;
    const gr_op *op;
    const char *attributes;
    gr_tensor **in;
    int n;
} gr_unrecorded;

/* Where an operation stands in the program, as teach/here.h reports it. */
typedef struct gr_place {
    const gr_tensor *y;
    const char *code, *file;
    int line;
} gr_place;

struct gr_trace {
    gr_observer observer;
    gr_ctx *c;
    gr_scope *home; /* where all memory of the trace is */
    int64_t max_elements;

    gr_trace_step *steps;
    size_t num_steps, cap_steps;
    gr_trace_pass *passes;
    size_t num_passes, cap_passes;

    gr_unrecorded *unrecorded; /* of tensors that still live; scopes end at the tail */
    size_t num_unrecorded, cap_unrecorded;
    gr_place *places;          /* likewise */
    size_t num_places, cap_places;
    const gr_tensor *last;     /* made outside sweeps */

    /* the newest pass, while its tensors live */
    gr_trace_node *nodes;      /* nodes[id - 1] of passes[num_passes - 1], to be written */
    gr_tensor **live;          /* live[id - 1]; NULL when freed */
    const gr_values **earlier; /* earlier[id - 1]: what .grad of a leaf held before the sweep, or NULL */
    uint32_t live_depth;       /* the deepest scope of these */
    gr_map ids, labels, made, placed; /* tensor -> id; hash of a label -> id; tensor -> index in unrecorded, in places */
    gr_tensor **order, **stack;
    uint32_t *slot;            /* beside stack: the next input */
    size_t num_order, cap_order, cap_stack, cap_slot;
    size_t first_step;         /* of the pass */
    bool sweeping;             /* between seed and end */
};

/* store.c: copies in the trace's memory; NULL when it is exhausted, and the context says so */
void *gr__trace_alloc(gr_trace *t, size_t bytes);
void *gr__trace_room(gr_trace *t, void *old, size_t n, size_t *cap, size_t size); /* an array with room for n + 1 */
const char *gr__trace_string(gr_trace *t, const char *s);
const gr_values *gr__trace_copy(gr_trace *t, const gr_tensor *x);
const gr_values *gr__trace_values(gr_trace *t, const gr_values *like, double *v); /* v becomes part of the trace */
int gr__map_get(const gr_map *m, uintptr_t key); /* -1: absent */
bool gr__map_set(gr_trace *t, gr_map *m, uintptr_t key, int value);
void gr__map_clear(gr_map *m);

/* graph.c: the graph of root as a new pass */
bool gr__trace_graph(gr_trace *t, gr_tensor *root, bool swept);

/* trace.c */
gr_trace_step *gr__trace_step(gr_trace *t, gr_step_kind kind, int node); /* a new one at the end; NULL when memory is exhausted */
gr_tensor *gr__trace_tensor(const gr_trace *t, int id); /* of the newest pass; NULL when it was freed */

/* notes.c */
void gr__trace_note(gr_trace *t, int node, gr_note note, const char *fmt, ...) GR_PRINTF(4, 5);
void gr__trace_note_forward(gr_trace *t, const gr_trace_node *n);
void gr__trace_note_end(gr_trace *t); /* of the sweep */

/* rule.c: the texts of a record, taken apart */
#define GR_MAX_RULE_INPUTS 8
typedef struct gr_rule {
    char name[GR_MAX_RULE_INPUTS][16]; /* what the formula calls input i */
    char text[256];                    /* dL/d(input) as the record has it: "dy * (1 - y^2)" */
} gr_rule;
bool gr__rule_find(const char *gradient, const char *formula, int num_inputs, int slot, gr_rule *r);
/* The local derivative of an element-wise operation, all elements that were kept; NULL when the text does not say it. */
const gr_values *gr__rule_local(gr_trace *t, const gr_trace_node *y, int slot);

#endif
