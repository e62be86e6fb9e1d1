/* Elementary functions without branches or tables, in two forms from one text: v32_f and v64_f of a number, for loops that the
 * compiler turns into vectors, and vv32_f and vv64_f of a vector of lanes.h, which have the instructions that it does not find.
 *
 *   exp x     = 2^n e^r,  n = round(x / ln 2),  r = x - n ln 2 in two parts,  |r| <= ln 2 / 2
 *   expm1 x   = 2^n (e^r - 1) + (2^n - 1): exact relative error near 0, where n = 0
 *   tanh x    = h / (1 + h),  h = expm1(2x) / 2
 *   log x     = e ln 2 + log m,  x = 2^e m,  sqrt(1/2) <= m < sqrt 2
 *   log1p x   = log u + (x - (u - 1)) / u,  u = 1 + x: the second term is what rounding u lost
 *   erf x     = x + x p(x^2) for |x| < 1,  else 1 - 2 Phi(-sqrt 2 x)
 *   sin x     = +- sin r or cos r,  r = x - k pi / 2 in three parts,  |r| <= pi / 4; beyond a limit that of <math.h>
 *   a^b       = e^(b log a), the logarithm to twice the digits; of f32 in f64
 *   Phi(-t)   = e^(-t^2 / 2) q(z) / (t + k),  z = (t - k) / (t + k): q is smooth up to infinity (Shepherd and Laframboise 1981)
 *
 * Polynomials: minimax for the relative error with coefficients that are floats (fpminimax; Brisebarre and Chevillard,
 * Efficient polynomial L-infinity approximations, ARITH 2007). Bounds in ulp are stated at each function and tested in
 * tests/every_kernel.c over all exponents; infinities, NaN, zeros and denormals are those of <math.h>.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_KERNELS_VMATH_H
#define GRADUS_KERNELS_VMATH_H

#include "kernels/lanes.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

INLINE float v32_of_bits(uint32_t i)
{
    float f;
    memcpy(&f, &i, sizeof f);
    return f;
}
INLINE uint32_t v32_bits(float f)
{
    uint32_t i;
    memcpy(&i, &f, sizeof i);
    return i;
}
INLINE double v64_of_bits(uint64_t i)
{
    double f;
    memcpy(&f, &i, sizeof f);
    return f;
}
INLINE uint64_t v64_bits(double f)
{
    uint64_t i;
    memcpy(&i, &f, sizeof i);
    return i;
}
typedef uint32_t f32_bits __attribute__((vector_size(VECTOR_BYTES)));
typedef uint64_t f64_bits __attribute__((vector_size(VECTOR_BYTES)));

/* What differs between the forms. FMA rounds once where the machine can: the bounds hold either way. LARGER(a, b) is a > b ? a : b,
 * SMALLER likewise: b where one is a NaN. PICK(a, LT, b, yes, no) is a < b ? yes : no. RECIPROCAL(x) is 1 / x to 1 ulp
 * where neither is 0 or beyond the largest number, ESTIMATE(x) to 14 bits; INVERSE(x) to 1 ulp for all x. ROOT(x) is the machine's
 * instruction for a square root, SQRT(x) what is faster by itself. */
#define OP_LT <
#define OP_GT >
#define OP_GE >=
#define OP_EQ ==
#define OP_NEQ !=
#define CMP_LT _CMP_LT_OQ
#define CMP_GT _CMP_GT_OQ
#define CMP_GE _CMP_GE_OQ
#define CMP_EQ _CMP_EQ_OQ
#define CMP_NEQ _CMP_NEQ_UQ
#define LARGER(a, b) PICK(a, GT, b, a, b)
#define SMALLER(a, b) PICK(a, LT, b, a, b)
#define RECIPROCAL(x) (1 / (x))
#define ESTIMATE(x) RECIPROCAL(x)
#define INVERSE(x) (1 / (x))
#define PICK(a, op, b, yes, no) ((a) OP_##op (b) ? (yes) : (no))

#define F float
#define B uint32_t
#define NAME(f) v32_##f
#define ALL(c) ((float)(c))
#define BITS(x) v32_bits(x)
#define OF_BITS(i) v32_of_bits(i)
#ifdef FUSES
#define FMA(a, b, c) __builtin_fmaf(a, b, c)
#else
#define FMA(a, b, c) ((a) * (b) + (c))
#endif
#include "kernels/vmath_f32.h"
#undef F
#undef B
#undef NAME
#undef ALL
#undef BITS
#undef OF_BITS
#undef FMA

#define F double
#define B uint64_t
#define NAME(f) v64_##f
#define ALL(c) ((double)(c))
#define BITS(x) v64_bits(x)
#define OF_BITS(i) v64_of_bits(i)
#ifdef FUSES
#define FMA(a, b, c) __builtin_fma(a, b, c)
#else
#define FMA(a, b, c) ((a) * (b) + (c))
#endif
#include "kernels/vmath_f64.h"
#undef F
#undef B
#undef NAME
#undef ALL
#undef BITS
#undef OF_BITS
#undef FMA

#undef LARGER
#undef SMALLER
#undef RECIPROCAL
#undef INVERSE
#undef PICK
#define F f64_vec
#define B f64_bits
#define NAME(f) vv64_##f
#define LIBM(g) g
#define ALL(c) f64_all((double)(c))
#define BITS(x) ((f64_bits)(x))
#define OF_BITS(i) ((f64_vec)(i))
#define LARGER(a, b) f64_larger_of(a, b)
#define SMALLER(a, b) f64_smaller_of(a, b)
#if defined(__AVX512F__)
#define FMA(a, b, c) ((f64_vec)_mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
#define ANY_BEYOND(a, limit) (_mm512_cmp_pd_mask((__m512d)(a), (__m512d)ALL(limit), _CMP_NLE_UQ) != 0)
#define SCALE(p, k) ((f64_vec)_mm512_scalef_pd((__m512d)(p), (__m512d)(k)))
#define SCALE_FROM(low, x, p, k) \
    ((f64_vec)_mm512_maskz_scalef_pd(_mm512_cmp_pd_mask((__m512d)(x), (__m512d)ALL(low), _CMP_NLT_UQ), (__m512d)(p), (__m512d)(k)))
#define PICK(a, op, b, yes, no) \
    ((f64_vec)_mm512_mask_blend_pd(_mm512_cmp_pd_mask((__m512d)(a), (__m512d)(b), CMP_##op), (__m512d)(no), (__m512d)(yes)))
#define RECIPROCAL(x) vv64_reciprocal(x)
INLINE f64_vec vv64_reciprocal(f64_vec x) /* 14 bits to 28 to 53 */
{
    f64_vec r = (f64_vec)_mm512_rcp14_pd((__m512d)x);
    r = FMA(r, FMA(-x, r, ALL(1)), r);
    return FMA(r, FMA(-x, r, ALL(1)), r);
}
#define INVERSE(x) vv64_inverse_(x)
INLINE f64_vec vv64_inverse_(f64_vec x)
{
    const f64_vec r = (f64_vec)_mm512_rcp14_pd((__m512d)x), lost = FMA(-x, r, ALL(1)), s = FMA(r, lost, r);
    return PICK(lost, GT, ALL(-1), FMA(s, FMA(-x, s, ALL(1)), s), r); /* 0 and infinities are right as they are */
}
#define ROOT(x) ((f64_vec)_mm512_sqrt_pd((__m512d)(x)))
#elif defined(__AVX2__)
#define FMA(a, b, c) ((f64_vec)_mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c)))
#define ANY_BEYOND(a, limit) (_mm256_movemask_pd(_mm256_cmp_pd((__m256d)(a), (__m256d)ALL(limit), _CMP_NLE_UQ)) != 0)
#define PICK(a, op, b, yes, no) \
    ((f64_vec)_mm256_blendv_pd((__m256d)(no), (__m256d)(yes), _mm256_cmp_pd((__m256d)(a), (__m256d)(b), CMP_##op)))
#define RECIPROCAL(x) (1 / (x))
#define INVERSE(x) (1 / (x))
#define ROOT(x) ((f64_vec)_mm256_sqrt_pd((__m256d)(x)))
#else
#define FMA(a, b, c) f64_fma(a, b, c)
#define ANY_BEYOND(a, limit) (vminvq_u32(vreinterpretq_u32_u64(vcleq_f64((float64x2_t)(a), (float64x2_t)ALL(limit)))) == 0)
#define PICK(a, op, b, yes, no) f64_choose((a) OP_##op (b), yes, no)
#define RECIPROCAL(x) (1 / (x))
#define INVERSE(x) (1 / (x))
#if defined(__SSE2__)
#define ROOT(x) ((f64_vec)_mm_sqrt_pd((__m128d)(x)))
#elif defined(GR_NEON)
#define ROOT(x) ((f64_vec)vsqrtq_f64((float64x2_t)(x)))
#endif
#endif
#include "kernels/vmath_f64.h"
#undef F
#undef B
#undef NAME
#undef ALL
#undef BITS
#undef OF_BITS
#undef LARGER
#undef SMALLER
#undef FMA
#undef SCALE
#undef SCALE_FROM
#undef SPLIT
#undef ROOT
#undef SQRT
#undef ANY_BEYOND
#undef LIBM
#undef PICK
#undef RECIPROCAL
#undef INVERSE

/* Lanes of f32 in f64, the first half and the second, and back */
INLINE void f32_widen(f32_vec x, f64_vec half[2])
{
#if defined(__AVX512F__)
    half[0] = (f64_vec)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)x));
    half[1] = (f64_vec)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)x, 1));
#elif defined(__AVX2__)
    half[0] = (f64_vec)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)x));
    half[1] = (f64_vec)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)x, 1));
#else
    for (int k = 0; k < f64_W; k++) half[0][k] = (double)x[k], half[1][k] = (double)x[f64_W + k];
#endif
}
INLINE f32_vec f32_narrow(const f64_vec half[2])
{
#if defined(__AVX512F__)
    return (f32_vec)_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps((__m512d)half[0])), _mm512_cvtpd_ps((__m512d)half[1]), 1);
#elif defined(__AVX2__)
    return (f32_vec)_mm256_set_m128(_mm256_cvtpd_ps((__m256d)half[1]), _mm256_cvtpd_ps((__m256d)half[0]));
#else
    f32_vec x;
    for (int k = 0; k < f64_W; k++) x[k] = (float)half[0][k], x[f64_W + k] = (float)half[1][k];
    return x;
#endif
}

#define F f32_vec
#define B f32_bits
#define NAME(f) vv32_##f
#define LIBM(g) g##f
#define ALL(c) f32_all((float)(c))
#define BITS(x) ((f32_bits)(x))
#define OF_BITS(i) ((f32_vec)(i))
#define LARGER(a, b) f32_larger_of(a, b)
#define SMALLER(a, b) f32_smaller_of(a, b)
#if defined(__AVX512F__)
#define FMA(a, b, c) ((f32_vec)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define ANY_BEYOND(a, limit) (_mm512_cmp_ps_mask((__m512)(a), (__m512)ALL(limit), _CMP_NLE_UQ) != 0)
#define SCALE(p, k) ((f32_vec)_mm512_scalef_ps((__m512)(p), (__m512)(k)))
#define SCALE_FROM(low, x, p, k) \
    ((f32_vec)_mm512_maskz_scalef_ps(_mm512_cmp_ps_mask((__m512)(x), (__m512)ALL(low), _CMP_NLT_UQ), (__m512)(p), (__m512)(k)))
#define PICK(a, op, b, yes, no) \
    ((f32_vec)_mm512_mask_blend_ps(_mm512_cmp_ps_mask((__m512)(a), (__m512)(b), CMP_##op), (__m512)(no), (__m512)(yes)))
#undef ESTIMATE
#define ESTIMATE(x) ((f32_vec)_mm512_rcp14_ps((__m512)(x)))
#define RECIPROCAL(x) vv32_reciprocal(x)
INLINE f32_vec vv32_reciprocal(f32_vec x) /* Newton's step takes 14 bits to 24 */
{
    const f32_vec r = ESTIMATE(x);
    return FMA(r, FMA(-x, r, ALL(1)), r);
}
#define INVERSE(x) vv32_inverse_(x)
INLINE f32_vec vv32_inverse_(f32_vec x)
{
    const f32_vec r = (f32_vec)_mm512_rcp14_ps((__m512)x), lost = FMA(-x, r, ALL(1));
    return PICK(lost, GT, ALL(-1), FMA(r, lost, r), r); /* 0 and infinities are right as they are */
}
/* Rounded correctly in 2/3 of the time of the instruction: one step of Newton's for g = sqrt x and h = 1 / (2 g), then
 * g + (x - g^2) h. That this is the nearest number was tried for every x from 2^-100 on. */
#define ROOT(x) ((f32_vec)_mm512_sqrt_ps((__m512)(x)))
#define SQRT(x) vv32_sqrt_(x)
INLINE f32_vec vv32_sqrt_(f32_vec x)
{
    const __m512 v = (__m512)x;
    if (_mm512_cmp_ps_mask(v, (__m512)ALL(0x1p-100f), _CMP_NGE_UQ) | _mm512_cmp_ps_mask(v, (__m512)ALL(INFINITY), _CMP_EQ_OQ)) return ROOT(x);
    const f32_vec r = (f32_vec)_mm512_rsqrt14_ps(v), g = x * r, h = ALL(0.5) * r, lost = FMA(-g, h, ALL(0.5));
    const f32_vec root = FMA(g, lost, g);
    return FMA(FMA(-root, root, x), FMA(h, lost, h), root);
}
/* x = m 2^k with sqrt(1/2) <= m < sqrt 2. Where x is 0 or infinite, so is 2^k, and m is 1; where x is negative, m is NaN. */
#define SPLIT(x, k) vv32_split_(x, k)
INLINE f32_vec vv32_split_(f32_vec x, f32_vec *k)
{
    const __m512 m = _mm512_getmant_ps((__m512)x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_nan), e = _mm512_getexp_ps((__m512)x);
    const __mmask16 high = _mm512_cmp_ps_mask(m, (__m512)ALL(0x1.6a09e6p0f), _CMP_GE_OQ);
    *k = (f32_vec)_mm512_mask_add_ps(e, high, e, (__m512)ALL(1));
    return (f32_vec)_mm512_mask_mul_ps(m, high, m, (__m512)ALL(0.5));
}
#elif defined(__AVX2__)
#define FMA(a, b, c) ((f32_vec)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define ANY_BEYOND(a, limit) (_mm256_movemask_ps(_mm256_cmp_ps((__m256)(a), (__m256)ALL(limit), _CMP_NLE_UQ)) != 0)
#define PICK(a, op, b, yes, no) \
    ((f32_vec)_mm256_blendv_ps((__m256)(no), (__m256)(yes), _mm256_cmp_ps((__m256)(a), (__m256)(b), CMP_##op)))
#define RECIPROCAL(x) (1 / (x))
#define INVERSE(x) (1 / (x))
#define ROOT(x) ((f32_vec)_mm256_sqrt_ps((__m256)(x)))
#else
#define FMA(a, b, c) f32_fma(a, b, c)
#define ANY_BEYOND(a, limit) (vminvq_u32(vcleq_f32((float32x4_t)(a), (float32x4_t)ALL(limit))) == 0) /* where it FUSES */
#define PICK(a, op, b, yes, no) f32_choose((a) OP_##op (b), yes, no)
#define RECIPROCAL(x) (1 / (x))
#define INVERSE(x) (1 / (x))
#if defined(__SSE2__)
#define ROOT(x) ((f32_vec)_mm_sqrt_ps((__m128)(x)))
#elif defined(GR_NEON)
#define ROOT(x) ((f32_vec)vsqrtq_f32((float32x4_t)(x)))
#endif
#endif
#include "kernels/vmath_f32.h"
#undef F
#undef B
#undef NAME
#undef ALL
#undef BITS
#undef OF_BITS
#undef LARGER
#undef SMALLER
#undef FMA
#undef SCALE
#undef SCALE_FROM
#undef SPLIT
#undef ROOT
#undef SQRT
#undef ANY_BEYOND
#undef LIBM
#undef PICK
#undef RECIPROCAL
#undef ESTIMATE
#undef INVERSE

#endif
