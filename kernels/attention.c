/* The softmax of attention scores in place, and its derivative: a row at a time, of which only the first elements take part.
 * Knows no tensor. A sum runs in the lanes of a vector, of at most 64 addends each, then in double.
 * SPDX-License-Identifier: MIT */
#include "kernels/lanes.h"
#include "kernels/vmath.h"

#include <math.h>

enum { ADDENDS = 64 };

#define BODY "kernels/attention_body.h"
#include "kernels/own_types.h"

void FOR_ISA(gr__fill_attention)(gr_kernel_table *t)
{
    SET_FLOATS(attention, attention);
    SET_FLOATS(attention_dx, attention_dx);
}
