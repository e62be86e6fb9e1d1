/* y = b + a w where a has few columns: every row of y is one row plus a combination of a few others, which stay in the first-level
 * cache while all rows of y go by. So little is done for an element that a matrix product would mostly set up its tiles.
 *
 * TOGETHER rows of y at a time, BESIDE vectors of each in registers. At the right and at the lower edge these blocks overlap rather than
 * being masked: an element that is computed twice comes out the same.
 * The adjoint adds up all rows, each times a few numbers: AT_ONCE sums at a time, so that a vector that is read serves all of them.
 * Knows no tensor.
 * SPDX-License-Identifier: MIT */
#include "kernels/block.h"

#ifdef FUSES
enum { BESIDE = 4 }; /* vectors */
#else
enum { BESIDE = 2 };
#endif
enum {
    TOGETHER = VECTOR_BYTES == 64 ? 4 : 2, /* rows */
    AT_ONCE = 3,                           /* sums */
#ifdef __AVX2__
    EDGE = BESIDE /* vectors of which some are parts, or nothing */
#else
    EDGE = 1 /* where a masked load is several */
#endif
};

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

#define BODY "kernels/affine_body.h"
#include "kernels/own_types.h"

void FOR_ISA(gr__fill_affine)(gr_kernel_table *t)
{
    SET_FLOATS(affine, affine);
    SET_FLOATS(affine_adjoint, affine_adjoint);
}
