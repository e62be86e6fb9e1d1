/* The graph of a root as a pass: nodes in canonical order, copied.
 *
 *   order    depth-first post-order over the input slots, by an explicit stack
 *   ids      leaves, operations, numbers: each in that order
 *
 * Knows no sweep.
 * SPDX-License-Identifier: MIT */
#include "teach/trace.h"

#include <string.h>

static uintptr_t key_of(const gr_tensor *x) { return (uintptr_t)x; }

static const gr_unrecorded *unrecorded(const gr_trace *t, const gr_tensor *x)
{
    int i = x->op ? -1 : gr__map_get(&t->made, key_of(x));
    return i < 0 ? NULL : &t->unrecorded[i];
}

/* What x was made from. */
static int inputs_of(const gr_trace *t, const gr_tensor *x, gr_tensor *const **in)
{
    *in = NULL;
    if (x->flags & GR_T_NUMBER) return 0;
    const gr_unrecorded *u = unrecorded(t, x);
    *in = u ? u->in : x->in;
    return u ? u->n : x->op ? x->nin : 0;
}

/* ---- order -----------------------------------------------------------------------------------------------------*/
static bool push(gr_trace *t, size_t depth, gr_tensor *x)
{
    t->stack = gr__trace_room(t, t->stack, depth, &t->cap_stack, sizeof *t->stack);
    if (!t->stack) return false;
    t->slot = gr__trace_room(t, t->slot, depth, &t->cap_slot, sizeof *t->slot);
    if (!t->slot) return false;
    t->stack[depth] = x;
    t->slot[depth] = 0;
    return gr__map_set(t, &t->ids, key_of(x), 0);
}

static bool sort(gr_trace *t, gr_tensor *root)
{
    size_t depth = 0;
    t->num_order = 0;
    if (!push(t, depth++, root)) return false;
    while (depth) {
        gr_tensor *x = t->stack[depth - 1], *next = NULL, *const *in;
        int n = inputs_of(t, x, &in);
        while (!next && t->slot[depth - 1] < (uint32_t)n) {
            gr_tensor *i = in[t->slot[depth - 1]++];
            if (gr__map_get(&t->ids, key_of(i)) < 0) next = i;
        }
        if (next) {
            if (!push(t, depth++, next)) return false;
            continue;
        }
        depth--;
        t->order = gr__trace_room(t, t->order, t->num_order, &t->cap_order, sizeof *t->order);
        if (!t->order) return false;
        t->order[t->num_order++] = x;
    }
    return true;
}

/* ---- nodes -----------------------------------------------------------------------------------------------------*/
static gr_node_kind kind_of(const gr_trace *t, const gr_tensor *x)
{
    gr_tensor *const *in;
    if (x->flags & GR_T_NUMBER) return GR_NODE_NUMBER;
    if (inputs_of(t, x, &in)) return GR_NODE_OPERATION;
    return x->flags & GR_T_REQUIRES_GRAD ? GR_NODE_PARAMETER : GR_NODE_CONSTANT;
}

/* leaves, operations, numbers */
static int rank_of(gr_node_kind k) { return k == GR_NODE_OPERATION ? 1 : k == GR_NODE_NUMBER ? 2 : 0; }

static uintptr_t hash(const char *s) /* FNV-1a */
{
    uint64_t h = 14695981039346656037u;
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
    return (uintptr_t)h | 1;
}

static bool name(gr_trace *t, const gr_tensor *x, gr_trace_node *n)
{
    char text[160];
    n->labelled = x->name && *x->name && n->kind != GR_NODE_NUMBER;
    if (n->kind == GR_NODE_NUMBER) {
        snprintf(text, sizeof text, "%.9g", n->value && n->value->kept ? n->value->v[0] : 0);
    } else if (!n->labelled) {
        snprintf(text, sizeof text, "v%d", n->id);
    } else if (gr__map_get(&t->labels, hash(x->name)) < 0) {
        n->name = gr__trace_string(t, x->name);
        return gr__map_set(t, &t->labels, hash(x->name), n->id);
    } else {
        snprintf(text, sizeof text, "%.100s_%d", x->name, n->id);
    }
    n->name = gr__trace_string(t, text);
    return true;
}

static bool operation(gr_trace *t, gr_tensor *x, gr_trace_node *n)
{
    gr_tensor *const *in;
    char text[256] = "";
    const gr_unrecorded *u = unrecorded(t, x);
    const gr_op *op = u ? u->op : x->op;
    if (!u && op->describe) op->describe(x->attr, text, sizeof text);
    n->op = gr__trace_string(t, op->name);
    n->formula = gr__trace_string(t, op->formula);
    n->gradient = gr__trace_string(t, op->gradient);
    n->attributes = u ? u->attributes : gr__trace_string(t, text);
    n->elementwise = op->flags & GR_OP_ELEMENTWISE;
    int place = gr__map_get(&t->placed, key_of(x));
    if (place >= 0) {
        n->code = gr__trace_string(t, t->places[place].code);
        n->file = gr__trace_string(t, t->places[place].file);
        n->line = t->places[place].line;
    }
    n->num_inputs = inputs_of(t, x, &in);
    int *ids = gr__trace_alloc(t, (size_t)n->num_inputs * sizeof *ids);
    if (!ids) return false;
    for (int i = 0; i < n->num_inputs; i++) ids[i] = gr__map_get(&t->ids, key_of(in[i]));
    n->inputs = ids;
    return true;
}

static bool fill(gr_trace *t, gr_tensor *x, int id, bool swept)
{
    gr_trace_node *n = &t->nodes[id - 1];
    *n = (gr_trace_node){ .id = id, .kind = kind_of(t, x), .op = "", .formula = "", .gradient = "", .attributes = "", .code = "", .file = "" };
    n->value = gr__trace_copy(t, x);
    t->live[id - 1] = x;
    t->earlier[id - 1] = swept && !x->op && (x->flags & GR_T_HAS_GRAD) ? gr__trace_copy(t, x->grad) : NULL;
    if (x->scope > t->live_depth) t->live_depth = x->scope;
    return name(t, x, n) && (n->kind != GR_NODE_OPERATION || operation(t, x, n)) && t->c->code == GR_OK;
}

static bool number(gr_trace *t)
{
    int id = 0;
    for (int rank = 0; rank < 3; rank++)
        for (size_t i = 0; i < t->num_order; i++)
            if (rank_of(kind_of(t, t->order[i])) == rank && !gr__map_set(t, &t->ids, key_of(t->order[i]), ++id)) return false;
    size_t n = t->num_order;
    t->nodes = gr__trace_alloc(t, n * sizeof *t->nodes);
    t->live = gr__trace_alloc(t, n * sizeof *t->live);
    t->earlier = gr__trace_alloc(t, n * sizeof *t->earlier);
    return t->nodes && t->live && t->earlier;
}

static bool copy_nodes(gr_trace *t, bool swept)
{
    for (int id = 1; id <= (int)t->num_order; id++) t->live[id - 1] = NULL;
    gr_tensor **by_id = gr__trace_alloc(t, t->num_order * sizeof(gr_tensor *));
    if (!by_id) return false;
    for (size_t i = 0; i < t->num_order; i++) by_id[gr__map_get(&t->ids, key_of(t->order[i])) - 1] = t->order[i];
    for (int id = 1; id <= (int)t->num_order; id++)
        if (!fill(t, by_id[id - 1], id, swept)) return false;
    return true;
}

static bool begin(gr_trace *t)
{
    gr__map_clear(&t->ids);
    gr__map_clear(&t->labels);
    gr__map_clear(&t->made);
    gr__map_clear(&t->placed);
    t->nodes = NULL;
    t->live_depth = 0;
    for (size_t i = 0; i < t->num_unrecorded; i++)
        if (!gr__map_set(t, &t->made, key_of(t->unrecorded[i].y), (int)i)) return false;
    for (size_t i = t->num_places; i-- > 0;) /* the first report stays */
        if (!gr__map_set(t, &t->placed, key_of(t->places[i].y), (int)i)) return false;
    return true;
}

bool gr__trace_graph(gr_trace *t, gr_tensor *root, bool swept)
{
    if (!begin(t)) return false;
    t->passes = gr__trace_room(t, t->passes, t->num_passes, &t->cap_passes, sizeof *t->passes);
    if (!t->passes || !sort(t, root) || !number(t) || !copy_nodes(t, swept)) {
        gr__map_clear(&t->ids);
        t->nodes = NULL;
        return false;
    }
    gr_trace_pass *p = &t->passes[t->num_passes++];
    *p = (gr_trace_pass){ .root = gr__map_get(&t->ids, key_of(root)), .swept = swept, .num_nodes = (int)t->num_order, .nodes = t->nodes };
    t->first_step = t->num_steps;
    for (int i = 0; i < p->num_nodes; i++)
        if (t->nodes[i].kind == GR_NODE_OPERATION) {
            if (!gr__trace_step(t, GR_STEP_FORWARD, i + 1)) return false;
            gr__trace_note_forward(t, &t->nodes[i]);
        }
    return t->c->code == GR_OK;
}
