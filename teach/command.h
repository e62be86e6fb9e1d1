/* What the files of the command share.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_TEACH_COMMAND_H
#define GRADUS_TEACH_COMMAND_H

#include "teach/teach.h"

enum { GR_EXIT_OK, GR_EXIT_FAILED, GR_EXIT_USAGE };

#define GR_MAX_NAMES 64

/* An example: an expression with values, and what is done with it. Lists are separated by spaces, names by commas. */
typedef struct gr_example {
    const char *name, *title;
    const char *expression, *tensors; /* tensors: the same with whole layers, or NULL */
    const char *values, *tensor_values;
    const char *fixed;                /* names that get no gradient */
    const char *update, *tensor_update;
    double rate;                      /* 0: no update */
    const char *remark;
} gr_example;
const gr_example *gr__example_find(const char *name);
void gr__example_list(FILE *f);

/* The command line of explain and check, taken apart. */
typedef struct gr_explain_opts {
    const char *expression;
    const char *value[GR_MAX_NAMES]; /* "w=2" */
    int num_values;
    const gr_example *example;
    const char *fixed, *update;
    double rate, tolerance;
    long steps;
    int order;
    bool json, tensors, list, explain, fast;
} gr_explain_opts;

/* In a context that the caller made; an error stands in it when the result is GR_EXIT_FAILED. */
int gr__explain(gr_ctx *c, const gr_explain_opts *o, FILE *out, FILE *err);
int gr__check(gr_ctx *c, const gr_explain_opts *o, FILE *out, FILE *err);

/* Names with values: o->value as labelled leaves in f64. */
typedef struct gr_names {
    gr_binding at[GR_MAX_NAMES];
    int n;
} gr_names;
bool gr__names_read(gr_ctx *c, const gr_explain_opts *o, gr_names *names);
bool gr__names_used(gr_ctx *c, const char *expression, const gr_names *names);
bool gr__in_list(const char *list, const char *name); /* "w1,w2" */

#endif
