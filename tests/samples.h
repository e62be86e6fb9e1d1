/* Inputs for the samples of a record, from their text, in several memory layouts.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_SAMPLES_H
#define GRADUS_SAMPLES_H

#include "core/tensor.h"
#include "ops/ops.h"
#include "tests/test.h"

#define MAX_INPUTS 8
typedef enum layout { DENSE, REVERSED, SPACED, EXPANDED, LAYOUTS } layout;

/* "[2, 3] in -2..2; i64 [4] in 0..2; bool [2]; exact [3]; [2] in const 0..1" */
typedef struct input_spec {
    gr_type type; /* 0: the float type of the test */
    gr_dims shape;
    double low, high;
    bool exact;    /* multiples of 1/8, which f32 holds */
    bool constant; /* no gradient */
} input_spec;

static inline const char *spaces(const char *s)
{
    while (*s == ' ') s++;
    return s;
}

static inline int parse_inputs(const char *s, input_spec *in)
{
    int n = 0;
    for (s = spaces(s); *s && n < MAX_INPUTS; n++) {
        input_spec x = { .low = -2, .high = 2 };
        if (strncmp(s, "i64", 3) == 0) x.type = GR_I64, x.low = 0, x.high = 4, s = spaces(s + 3);
        else if (strncmp(s, "bool", 4) == 0) x.type = GR_BOOL, s = spaces(s + 4);
        else if (strncmp(s, "exact", 5) == 0) x.exact = true, s = spaces(s + 5);
        if (*s++ != '[') return -1;
        while (*(s = spaces(s)) != ']') {
            char *end;
            x.shape.v[x.shape.n++] = strtoll(s, &end, 10);
            if (end == s) return -1;
            s = spaces(end);
            if (*s == ',') s++;
        }
        s = spaces(s + 1);
        if (strncmp(s, "in ", 3) == 0) {
            char *end;
            s = spaces(s + 3);
            if (strncmp(s, "const", 5) == 0) x.constant = true, s = spaces(s + 5);
            x.low = strtod(s, &end);
            if (strncmp(end, "..", 2) != 0 && *end != '.') return -1;
            x.high = strtod(end + (end[0] == '.' && end[1] == '.' ? 2 : 1), &end);
            s = spaces(end);
        }
        in[n] = x;
        if (*s == ';') s = spaces(s + 1);
        else if (*s) return -1;
    }
    return n;
}

/* A repeatable number in [0, 1) for the i-th element of everything made so far. */
static uint64_t sample_state;
static inline double sample_uniform(void)
{
    sample_state = sample_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(sample_state >> 11) * 0x1p-53;
}

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
    for (int64_t i = 0; i < t->numel; i++) {
        double u = sample_uniform();
        v[i] = in->low + u * (in->high - in->low);
        if (in->type == GR_I64) v[i] = in->low + floor(u * (in->high - in->low + 1) * 0.999999);
        if (in->type == GR_BOOL) v[i] = u < 0.5;
        if (in->exact) v[i] = floor(v[i] * 8) / 8;
    }
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
