/* y = b + a w where a has few columns: every row of y is one row plus a combination of a few others, which stay in the first-level
 * cache while all rows of y go by. So little is done for an element that a matrix product would mostly set up its tiles.
 *
 * TOGETHER rows of y at a time, BESIDE vectors of each in registers. At the right and at the lower edge these blocks overlap rather than
 * being masked: an element that is computed twice comes out the same.
 * The adjoint adds up all rows, each times a few numbers: three sums at a time, or two where one or two would be left, so
 * that a vector that is read serves all of them.
 * Knows no tensor.
 * SPDX-License-Identifier: MIT */
#include "kernels/block.h"

enum {
#ifdef FUSES
    BESIDE = 4, /* vectors */
#else
    BESIDE = 2,
#endif
    TOGETHER = VECTOR_BYTES == 64 ? 4 : 2, /* rows */
    TWO = 2, THREE = 3,                    /* sums at once */
    BESIDE_TWO = VECTOR_BYTES == 64 ? 2 * BESIDE : BESIDE,
#ifdef __AVX2__
    EDGE = BESIDE /* vectors at least of which some are parts, or nothing */
#else
    EDGE = 1 /* where a masked load is several */
#endif
};


#define BODY "kernels/affine_body.h"
#include "kernels/own_types.h"

void FOR_ISA(gr__fill_affine)(gr_kernel_table *t)
{
    SET_FLOATS(affine, affine);
    SET_FLOATS(affine_adjoint, affine_adjoint);
}
