/* Softmax and its relatives, and layer norm, along contiguous rows. Of a softmax the maximum is taken out first, so that no
 * exponential overflows. Knows no tensor.
 *
 * Some rows are taken together, one step after the other: short ones need not wait for their own sums, and as many as a vector has
 * lanes share the way from lanes to one number each. What a row gives follows from the row alone. A sum runs in lanes of at most
 * 64 addends each, then by halves, that of a long row in double.
 * SPDX-License-Identifier: MIT */
#include "kernels/block.h"
#include "kernels/vmath.h"

#include <math.h>

enum { ADDENDS = 64, /* of a lane */
       GROUP = 16,   /* rows taken together, at most, */
       TILE = 4,     /* of them side by side, */
       NEAR = 2048,  /* and elements, unless one row has more: they stay in the first cache */
       FEW = GR_FEW_CLASSES /* elements of a row, at most, that takes one lane of each vector */ };

/* a multiple of TILE, if there are as many */
static int64_t rows_together(int64_t rows, int64_t n)
{
    const int64_t most = n > 0 && n < NEAR / 2 ? gr__least(NEAR / n, GROUP) : 1;
    return gr__least(most < TILE ? most : most & -TILE, rows);
}
#define FETCH(p) __builtin_prefetch(p)

#define BODY "kernels/rows_body.h"
#include "kernels/own_types.h"

void FOR_ISA(gr__fill_rows)(gr_kernel_table *t)
{
    SET_FLOATS(softmax, softmax);
    SET_FLOATS(softmax_dx, softmax_dx);
    SET_FLOATS(log_softmax, log_softmax);
    SET_FLOATS(logsumexp, logsumexp);
    SET_FLOATS(cross_entropy, cross_entropy);
    SET_FLOATS(cross_entropy_dx, cross_entropy_dx);
    SET_FLOATS(layer_norm, layer_norm);
    SET_FLOATS(layer_norm_back, layer_norm_back);
}
