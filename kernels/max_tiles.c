/* Max pooling by windows that tile the plane: as many columns as they take, no padding, next to each other. So a tap of all
 * windows is every kw-th element of one long line, and where the rows end does not matter until rows are compared.
 * Knows no tensor. A NaN is larger than all; of equals the first gets the gradient.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"
#include "kernels/lanes.h"

#include <string.h>

#define T float
#define S f32
#define I int32_t
#include "kernels/max_tiles_body.h"
#undef T
#undef S
#undef I
#define T double
#define S f64
#define I int64_t
#include "kernels/max_tiles_body.h"
#undef T
#undef S
#undef I

void FOR_ISA(gr__fill_max_tiles)(gr_kernel_table *t)
{
    t->max_tiles[GR_K_F32] = f32_max_tiles, t->max_tiles[GR_K_F64] = f64_max_tiles;
    t->max_tiles_dx[GR_K_F32] = f32_max_tiles_dx, t->max_tiles_dx[GR_K_F64] = f64_max_tiles_dx;
}
