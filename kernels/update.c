/* The update loops of optimisers: one pass over a parameter, its gradient and its state.
 * Knows no rule's name or default: the coefficients come ready.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"
#include "kernels/vmath.h"

#include <math.h>

#define BODY "kernels/update_body.h"
#include "kernels/own_types.h"

void FOR_ISA(gr__fill_update)(gr_kernel_table *t)
{
    SET_FLOATS(sgd, sgd);
    SET_FLOATS(adam, adam);
}
