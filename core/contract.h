/* What the files share that check a function without looking at its derivatives: contract.c and layout.c.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_CORE_CONTRACT_H
#define GRADUS_CORE_CONTRACT_H

#include "core/check.h"

/* Two ways to one gradient, relative to its largest element: both round, 1e-16 a term. TINY: what remains of terms near 1 that cancel. */
#define CLOSE 1e-9
#define CLOSE_F32 1e-4
#define TINY 1e-14

typedef struct contract {
    gr_check *k;
    const gr_tensor *last; /* made where teach/here.h says: */
    const char *file;
    int line;
    int64_t n;            /* elements of all targets */
    gr_tensor *captured;  /* needs a gradient, and is none of x */
    uint32_t depth;       /* of the scope that fn was called in */
    double close;
    bool coarse;          /* something on the way is f32 */
    gr_tensor **x;        /* k->x and k->target before anybody replaced some */
    double *room, *moved, moved_value; /* how far rounding moves each derivative, and any value; moved is NULL until somebody asks, then room */
} contract;

gr_tensor *gr__contract_call(contract *t, bool listen); /* fn(x); NULL: an error stands */
/* out[elements] = J^T v, v NULL: no cotangent is given; used[target], or NULL: y depends on it */
bool gr__contract_sweep(contract *t, gr_tensor *y, gr_tensor *v, bool composed, double *out, bool *used);
/* What may differ at this element, or in y if it is -1, because of rounding in a function in bad condition: measured when first asked for. */
double gr__contract_rounding(contract *t, int64_t element);
bool gr__contract_agree(contract *t, const double *a, const double *b, const char *what); /* or the report says what, and where */
const char *gr__contract_name(const gr_check *k, int i, char out[64]); /* input 0 "x" */

/* layout.c: memory of x and dy in other shapes, and shared. *ok: nothing depends on it. False: an error stands. */
bool gr__contract_layouts(contract *t, gr_tensor *y, const double *want, bool *ok);

#endif
