/* The inputs of a sample of an operation record, from their text.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_CORE_SAMPLE_H
#define GRADUS_CORE_SAMPLE_H

#include "core/core.h"

#define GR_SAMPLE_INPUTS 8

/* "[2, 3] in -2..2; i64 [4] in 0..2; bool [2]; exact [3]; [2] in const 0..1" */
typedef struct gr_sample_input {
    gr_type type; /* 0: the float type of the test */
    gr_dims shape;
    double low, high;
    bool exact;    /* multiples of 1/8, which f32 holds */
    bool constant; /* no gradient */
} gr_sample_input;

int gr__sample_parse(const char *s, gr_sample_input *in); /* how many, at most GR_SAMPLE_INPUTS; -1: not readable */
double gr__sample_value(const gr_sample_input *in, uint64_t *state);       /* a repeatable number of that range */

#endif
