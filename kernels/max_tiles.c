/* Max pooling by windows that tile the plane: as many columns as they take, no padding, next to each other. So a vector of
 * windows is kw vectors of each row, taken apart element by element; where windows have two columns, by shuffles.
 * Knows no tensor. A NaN is larger than all; of equals the first gets the gradient.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"
#include "kernels/block.h"

#include <math.h>
#include <string.h>

/* for each lane k of a vector: the elements at even and at odd places of two vectors, and what puts these back */
#define EACH_2(X, k) X(k), X((k) + 1)
#define EACH_4(X, k) EACH_2(X, k), EACH_2(X, (k) + 2)
#define EACH_8(X, k) EACH_4(X, k), EACH_4(X, (k) + 4)
#if VECTOR_BYTES == 64
#define EACH_f32(X) EACH_8(X, 0), EACH_8(X, 8)
#define EACH_f64(X) EACH_8(X, 0)
#elif VECTOR_BYTES == 32
#define EACH_f32(X) EACH_8(X, 0)
#define EACH_f64(X) EACH_4(X, 0)
#else
#define EACH_f32(X) EACH_4(X, 0)
#define EACH_f64(X) EACH_2(X, 0)
#endif
#define LEFT(k) 2 * (k)
#define RIGHT(k) 2 * (k) + 1
#define LOW_f32(k) (k) / 2 + (k) % 2 * f32_W
#define LOW_f64(k) (k) / 2 + (k) % 2 * f64_W
#define HIGH_f32(k) f32_W / 2 + LOW_f32(k)
#define HIGH_f64(k) f64_W / 2 + LOW_f64(k)
/* lanes of two vectors by their number, from a vector of numbers or, where that takes more than an instruction, from a list */
#if VECTOR_BYTES == 64
#define TWO_ROWS 1
#define MASKS 1
#define PICK_f32(a, b, lanes, each) ((f32_vec)_mm512_permutex2var_ps((__m512)(a), (__m512i)(lanes), (__m512)(b)))
#else
#define TWO_ROWS 0
#define MASKS 0
#define PICK_f32(a, b, lanes, each) __builtin_shufflevector(a, b, EACH_f32(each))
#define PICK_f64(a, b, lanes, each) __builtin_shufflevector(a, b, EACH_f64(each))
#endif

#if defined(__AVX2__) || defined(GR_NEON)
#define BY_TWO 1 /* loops for windows of two columns alone */
#else
#define BY_TWO 0
#endif

#define BODY "kernels/max_tiles_body.h"
#include "kernels/own_types.h"

void FOR_ISA(gr__fill_max_tiles)(gr_kernel_table *t)
{
    SET_FLOATS(max_tiles, max_tiles);
    SET_FLOATS(max_tiles_dx, max_tiles_dx);
}
