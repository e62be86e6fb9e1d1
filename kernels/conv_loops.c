/* The loops of a convolution over lines of positions: a tile of output channels by positions in registers, dot products along
 * positions, and the way of images into vectors that have one in each lane. Knows no image: conv.c says what a line is.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"
#include "kernels/block.h"
#include "kernels/conv.h"

#if VECTOR_BYTES == 64
#define MAX_ROWS 8 /* 8 x 3 accumulators + 3 of the image + 1 weight of 32 registers */
#define MAX_DOTS 4 /* 4 x 6 accumulators + 4 of dy + 1 of x */
#define MAX_TAPS 6
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
#define EACH_DOTS(X) X(1) X(2) X(3) X(4)
#else
#define MAX_ROWS 4 /* 4 x 3 accumulators + 3 + 1 of 16 registers */
#define MAX_DOTS 3 /* 3 x 4 accumulators + 3 + 1 */
#define MAX_TAPS 4
#define EACH_ROWS(X) X(1) X(2) X(3) X(4)
#define EACH_DOTS(X) X(1) X(2) X(3)
#endif
#define DOTS_NAME(S, mr, nt) DOTS_NAME_(S, mr, nt)
#define DOTS_NAME_(S, mr, nt) N(S, dots_##mr##_##nt)

/* MULADDV: c + x a in the lanes of m, a mask as INSIDE holds it; in the others c, or c + 0 a */
#if defined(__AVX512F__)
#define INSIDE_f32 __mmask16
#define INSIDE_f64 __mmask8
#define INSIDE_OF_f32(m) _mm512_movepi32_mask((__m512i)(m))
#define INSIDE_OF_f64(m) _mm512_movepi64_mask((__m512i)(m))
#define MULADDV_f32(x, a, c, m) ((f32_vec)_mm512_mask3_fmadd_ps((__m512)(x), (__m512)(a), (__m512)(c), m))
#define MULADDV_f64(x, a, c, m) ((f64_vec)_mm512_mask3_fmadd_pd((__m512d)(x), (__m512d)(a), (__m512d)(c), m))
#else
#define INSIDE_f32 f32_mask
#define INSIDE_f64 f64_mask
#define INSIDE_OF_f32(m) (m)
#define INSIDE_OF_f64(m) (m)
#define MULADDV_f32(x, a, c, m) f32_fma((f32_vec)((f32_mask)(x) & (m)), a, c)
#define MULADDV_f64(x, a, c, m) f64_fma((f64_vec)((f64_mask)(x) & (m)), a, c)
#endif

/* lane l of 16 bytes of x to `to` + l LANE step */
#if VECTOR_BYTES == 64
#define STORE_LANE(to, x, l) _mm_storeu_ps((float *)(void *)(to), _mm512_extractf32x4_ps((__m512)(x), l))
#define STORE_LANES(S, to, step, x)                                                                                  \
    (STORE_LANE(to, x, 0), STORE_LANE((to) + N(S, LANE) * (step), x, 1), STORE_LANE((to) + 2 * N(S, LANE) * (step), x, 2), \
     STORE_LANE((to) + 3 * N(S, LANE) * (step), x, 3))
#elif VECTOR_BYTES == 32
#define STORE_LANE(to, x, l) _mm_storeu_ps((float *)(void *)(to), _mm256_extractf128_ps((__m256)(x), l))
#define STORE_LANES(S, to, step, x) (STORE_LANE(to, x, 0), STORE_LANE((to) + N(S, LANE) * (step), x, 1))
#else
#define STORE_LANES(S, to, step, x) N(S, store)(to, x)
#endif

#define BODY "kernels/conv_loops_body.h"
#include "kernels/own_types.h"

void FOR_ISA(gr__fill_conv)(gr_kernel_table *t)
{
    SET_FLOATS(conv, loops);
}
