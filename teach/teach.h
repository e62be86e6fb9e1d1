/* gradus, teaching: the step list of a recorded run and what shows it; expressions as text; the `gradus` command.
 * Knows nothing of layers and optimisers: it hears of every operation, contribution and write from core/.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_TEACH_H
#define GRADUS_TEACH_H

#include "core/core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- recording -------------------------------------------------------------------------------------------------
 *     gr_trace *t = gr_trace_begin(c);
 *         ... any code: forward, gr_backward(loss), writes to parameters ...
 *     gr_trace_end(t);
 *     gr_trace_text(t, stdout);
 *
 * Every sweep (gr_backward, gr_grads) becomes a pass: its graph, copied when the sweep begins, and its steps. Names,
 * shapes, values, gradients and contributions are copied, so that graphs may be freed while recording goes on.
 * The trace lives in the scope where it was begun, and is freed with it. One trace at a time listens to a context. */
typedef struct gr_trace gr_trace;

typedef struct gr_trace_opts {
    int64_t max_elements; /* of each tensor, kept; beyond it a summary. Default 1024 */
    unsigned char end_;
} gr_trace_opts;
#define gr_trace_begin(...) GR_OPT1(gr_trace_begin_with, gr_trace_opts, __VA_ARGS__)
GR_API gr_trace *gr_trace_begin_with(gr_ctx *c, gr_trace_opts o);
/* Stops listening. When there was no sweep, what was made last becomes a pass without backward steps.
 * False when memory ran out on the way: the steps until then are there. */
GR_API bool gr_trace_end(gr_trace *t);
/* The graph of root as a pass of its own, without a sweep: to show a loss after the last update. */
GR_API bool gr_trace_forward(gr_trace *t, gr_tensor *root);
/* Where t was made: teach/here.h writes this around every operation. Returns t. The texts are string literals. */
GR_API gr_tensor *gr_trace_here(gr_tensor *t, const char *code, const char *file, int line);

/* ---- the step list ---------------------------------------------------------------------------------------------
 * Ids are 1, 2, ... within a pass: first the leaves, then the operations, then plain numbers, each in the order of a
 * depth-first walk over the input slots from the root: the same for every compiler. */
typedef struct gr_values { /* a copy of a tensor */
    gr_type dtype;
    gr_dims shape;
    int64_t numel, kept; /* the first `kept`, in row-major order, are in v */
    const double *v;
    double min, max, mean, rms;  /* of the finite elements; NaN if there are none */
    int64_t zeros, nans, infinities;
} gr_values;

typedef enum gr_node_kind {
    GR_NODE_PARAMETER = 1, /* a leaf that requires a gradient */
    GR_NODE_CONSTANT,      /* a leaf that does not */
    GR_NODE_NUMBER,        /* a number written in the formula */
    GR_NODE_OPERATION
} gr_node_kind;

typedef struct gr_trace_node {
    int id;
    gr_node_kind kind;
    const char *name;       /* the label, or v<id>; of a number its digits. A label used twice gets _<id> behind it */
    bool labelled;
    const char *op;         /* "tanh"; "" of a leaf */
    const char *formula, *gradient, *attributes; /* "" where there is none */
    bool elementwise;
    const char *code, *file; /* where it was made, "" if nobody said; line 0 */
    int line;
    int num_inputs;
    const int *inputs;      /* ids */
    int contributions;      /* how many came to it in the sweep */
    const gr_values *value;
    const gr_values *grad;  /* NULL: no gradient came here */
} gr_trace_node;

typedef struct gr_trace_pass {
    int root;               /* id */
    bool swept;             /* false: forward only */
    int num_nodes;
    const gr_trace_node *nodes; /* nodes[id - 1] */
} gr_trace_pass;

/* Which members of a step are set:
 *                            node     others
 *   FORWARD      F           made     -
 *   SEED         S           root     after: its gradient
 *   PICK         P           next     k of n contributions have come: all
 *   CONTRIBUTION C           input    from, slot: whose input; upstream * local = amount (local: element-wise only)
 *   UNBROADCAST  B           input    from, slot; upstream: before, amount: after the sum over the repeated dimensions
 *   ACCUMULATE   A           input    before + amount = after, k of n; before NULL: nothing
 *   UPDATE       U           leaf     before, amount: its gradient or NULL, after; rate: after = before - rate amount,
 *                                     NaN if that does not explain it; text: who wrote
 *   ZERO         Z           leaf     -
 *   NOTE         N           about    text                                                                            */
typedef enum gr_step_kind {
    GR_STEP_FORWARD = 'F', GR_STEP_SEED = 'S', GR_STEP_PICK = 'P', GR_STEP_CONTRIBUTION = 'C', GR_STEP_UNBROADCAST = 'B',
    GR_STEP_ACCUMULATE = 'A', GR_STEP_UPDATE = 'U', GR_STEP_ZERO = 'Z', GR_STEP_NOTE = 'N'
} gr_step_kind;

typedef enum gr_note { /* why a note was made */
    GR_NOTE_SATURATED = 1, GR_NOTE_DEAD, GR_NOTE_SINGULAR, GR_NOTE_NOT_FINITE, GR_NOTE_NO_GRADIENT, GR_NOTE_NOT_CLEARED
} gr_note;

typedef struct gr_trace_step {
    gr_step_kind kind;
    int pass;     /* 0, 1, ... */
    int node, from, slot;
    int k, n;
    gr_note note;
    double rate;
    const gr_values *upstream, *local, *before, *amount, *after;
    const char *text;
} gr_trace_step;

GR_API const gr_trace_step *gr_trace_steps(const gr_trace *t, size_t *n);
GR_API int gr_trace_num_passes(const gr_trace *t);
GR_API const gr_trace_pass *gr_trace_pass_at(const gr_trace *t, int i); /* NULL outside the range */

/* ---- renderers: each reads the step list alone -------------------------------------------------------------------*/
GR_API void gr_trace_text(const gr_trace *t, FILE *f); /* the forward table, then every backward step in symbols and numbers */
GR_API void gr_trace_json(const gr_trace *t, FILE *f); /* one line for each node and step; NaN and infinities are strings */

/* ---- expressions -----------------------------------------------------------------------------------------------
 * "tanh(w*x + b)", or several: "h = w*x + b; tanh(h)": the last is the result, the others name what they made.
 *   + - * / ^ @   < <= > >= == !=   unary -   x^T   f(x, ...)   [1, 2; 3, 4]   pi   inf
 * Functions are the operations by name; sum, mean, prod, max, min, logsumexp reduce everything, or the dimensions given
 * after x. A mistake is an error of the context whose message has the text and a caret under the place. */
typedef struct gr_binding {
    const char *name;
    gr_tensor *value;
} gr_binding;
GR_API gr_tensor *gr_expression(gr_ctx *c, const char *expression, const gr_binding *names, int n);

/* ---- the command -----------------------------------------------------------------------------------------------
 * `gradus explain|check|ops ...`; argv[0] is the program. Returns 0, 1 when the work failed, 2 for a wrong command line. */
GR_API int gr_command(int argc, const char *const *argv, FILE *out, FILE *err);

#ifdef __cplusplus
}
#endif
#endif
