/* Inputs for the samples of a record, from their text, in several memory layouts.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_SAMPLES_H
#define GRADUS_SAMPLES_H

#include "core/sample.h"
#include "core/tensor.h"
#include "ops/ops.h"
#include "tests/test.h"

#define MAX_INPUTS GR_SAMPLE_INPUTS
typedef enum layout { DENSE, REVERSED, SPACED, EXPANDED, LAYOUTS } layout;

typedef gr_sample_input input_spec;
static inline int parse_inputs(const char *s, input_spec *in) { return gr__sample_parse(s, in); }
static uint64_t sample_state;

/* The tensor that the layout is made from: for REVERSED with its dimensions in reverse, for SPACED with twice the last,
 * for EXPANDED with a first size of 1. Integers and bools are always dense. */
static inline gr_tensor *make_base(gr_ctx *c, const input_spec *in, gr_type type, layout l)
{
    gr_dims s = in->shape;
    int r = s.n;
    bool is_float = in->type == 0;
    if (is_float && l == REVERSED)
        for (int d = 0; d < r; d++) s.v[d] = in->shape.v[r - 1 - d];
    if (is_float && l == SPACED && r) s.v[r - 1] *= 2;
    if (is_float && l == EXPANDED && r && s.v[0]) s.v[0] = 1;
    gr_tensor *t = gr_zeros(c, s, .dtype = is_float ? type : in->type);
    if (!t) return NULL;
    double *v = malloc((size_t)(t->numel + 1) * sizeof *v);
    for (int64_t i = 0; i < t->numel; i++) v[i] = gr__sample_value(in, &sample_state);
    gr_write(t, v);
    free(v);
    return is_float && !in->constant ? gr_requires_grad(t) : t;
}

/* The input itself, as a view of its base. */
static inline gr_tensor *from_base(gr_tensor *base, const input_spec *in, layout l)
{
    int r = in->shape.n;
    if (in->type || r == 0 || l == DENSE) return base;
    if (l == SPACED) return gr_slice(base, -1, 0, GR_END, .step = 2);
    if (l == EXPANDED) return gr_broadcast_to(base, in->shape);
    gr_dims order = { .n = r };
    for (int d = 0; d < r; d++) order.v[d] = r - 1 - d;
    return gr_permute(base, order);
}

#endif
