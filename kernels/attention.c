/* The softmax of attention scores in place, and its derivative: a row at a time, of which only the first elements take part.
 * Knows no tensor. A sum runs in the lanes of a vector, of at most 64 addends each, then in double.
 * SPDX-License-Identifier: MIT */
#include "kernels/lanes.h"
#include "kernels/vmath.h"

#include <math.h>

enum { ADDENDS = 64 };

#define BODY "kernels/attention_body.h"
#include "kernels/types.h"

void FOR_ISA(gr__fill_attention)(gr_kernel_table *t)
{
    t->attention[GR_K_F32] = f32_attention, t->attention[GR_K_F64] = f64_attention;
    t->attention_dx[GR_K_F32] = f32_attention_dx, t->attention_dx[GR_K_F64] = f64_attention_dx;
}
