/* What the tests of the sweep share: scalars in double precision, and errors that are compared word for word.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_TEST_SCALARS_H
#define GRADUS_TEST_SCALARS_H

#include "core/core.h"
#include "ops/ops.h"
#include "tests/test.h"

static inline gr_ctx *doubles(void) { return gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 }); }
static inline gr_tensor *leaf(gr_ctx *c, double v) { return gr_requires_grad(gr_scalar(c, v)); }
static inline double grad_of(gr_tensor *t) { return gr_grad(t) ? gr_item(gr_grad(t)) : (double)NAN; }

static inline void finish(gr_ctx *c)
{
    if (gr_failed(c)) test_errors++, printf("# %s\n", gr_message(c));
    gr_ctx_free(c);
}

#define CHECK_FAILS(c, want, text)                                                                                   \
    do {                                                                                                             \
        CHECK(gr_status(c) == (want));                                                                               \
        CHECK_STR(gr_message(c), text);                                                                              \
        gr_clear_error(c);                                                                                           \
    } while (0)

#endif
