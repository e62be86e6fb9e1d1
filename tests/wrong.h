/* What the tests of the gradient check share: functions and operations to be checked, right ones and wrong ones.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_WRONG_H
#define GRADUS_WRONG_H

#include <gradus.h>
#include "tests/test.h"

#define FUNCTION(name, expression) static gr_tensor *name(gr_tensor *x) { return (expression); }
#define VJP(name, expression) \
    static gr_tensor *name(gr_tensor *y, gr_tensor *dy, int i) { gr_tensor *x = gr_input(y, i); return (void)x, (void)dy, (expression); }

static inline bool cube_forward(const gr_call *k, gr_tensor *y)
{
    gr_tensor *x = gr_contiguous(k->in[0]);
    const double *v = x ? gr_data(x) : NULL;
    for (int64_t i = 0; v && i < gr_numel(y); i++) ((double *)gr_data(y))[i] = v[i] * v[i] * v[i];
    return x != NULL;
}

static inline gr_tensor *apply(gr_tensor **x, void *user) { return gr_apply(user, x, 1, NULL); }

static inline gr_tensor *apply2(gr_tensor **x, void *user) { return gr_apply(user, x, 2, NULL); }

static inline gr_ctx *f64(void) { return gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 }); }

/* 0.5, 0.8, -1.1, 1.4, ... below 2, none 0 */
static inline gr_tensor *numbers(gr_ctx *c, gr_dims s)
{
    gr_tensor *x = gr_name(gr_zeros(c, s), "x");
    for (int64_t i = 0; i < gr_numel(x); i++) ((double *)gr_data(x))[i] = (i % 3 == 2 ? -1 : 1) * (0.5 + 0.3 * (double)(i % 5) + 1e-3 * (double)(i % 97));
    return gr_requires_grad(x);
}

#endif
