/* Elementary functions without branches or tables, so that a loop over them becomes vectors on every instruction set.
 *
 *   exp x     = 2^n e^r,  n = round(x / ln 2),  r = x - n ln 2 in two parts,  |r| <= ln 2 / 2
 *   expm1 x   = 2^n (e^r - 1) + (2^n - 1): exact relative error near 0, where n = 0
 *   tanh x    = m / (m + 2),  m = expm1 2x
 *   log x     = e ln 2 + log m,  x = 2^e m,  sqrt(1/2) <= m < sqrt 2
 *   log1p x   = log u + (x - (u - 1)) / u,  u = 1 + x: the second term is what rounding u lost
 *
 * Polynomials: minimax for the relative error with coefficients that are floats (fpminimax; Brisebarre and Chevillard,
 * Efficient polynomial L-infinity approximations, ARITH 2007). Bounds in ulp are stated at each function and tested in
 * tests/every_kernel.c over all exponents; infinities, NaN, zeros and denormals are those of <math.h>.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_KERNELS_VMATH_H
#define GRADUS_KERNELS_VMATH_H

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* rounds once where the machine can; the bounds hold either way */
#ifdef __FMA__
#define FMA32(a, b, c) __builtin_fmaf(a, b, c)
#define FMA64(a, b, c) __builtin_fma(a, b, c)
#else
#define FMA32(a, b, c) ((a) * (b) + (c))
#define FMA64(a, b, c) ((a) * (b) + (c))
#endif

INLINE float v32_of_bits(int32_t i)
{
    float f;
    memcpy(&f, &i, sizeof f);
    return f;
}
INLINE int32_t v32_bits(float f)
{
    int32_t i;
    memcpy(&i, &f, sizeof i);
    return i;
}
INLINE double v64_of_bits(int64_t i)
{
    double f;
    memcpy(&f, &i, sizeof f);
    return f;
}
INLINE int64_t v64_bits(double f)
{
    int64_t i;
    memcpy(&i, &f, sizeof i);
    return i;
}

/* ---- f32 ---------------------------------------------------------------------------------------------------------------------*/
#define MAGIC32 0x1.8p23f /* adding it rounds to an integer, which stands in the low bits of the sum */

/* r and n of x = n ln 2 + r. ln 2 = hi + lo, hi of 14 bits, so n hi is exact */
INLINE float v32_reduce(float x, int32_t *n)
{
    float t = FMA32(x, 0x1.715476p0f, MAGIC32), k = t - MAGIC32;
    *n = v32_bits(t) - v32_bits(MAGIC32);
    return FMA32(k, -0x1.7f7d1cp-20f, FMA32(k, -0x1.62e4p-1f, x));
}
/* e^r - 1 */
INLINE float v32_poly(float r)
{
    float p = FMA32(FMA32(FMA32(FMA32(0x1.6caf06p-10f, r, 0x1.120c3cp-7f), r, 0x1.555568p-5f), r, 0x1.5554dcp-3f), r, 0.5f);
    return FMA32(p * r, r, r);
}
/* x clipped to where the result is finite and not 0 in any case; a NaN stays */
INLINE float v32_clip(float x, float low, float high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

INLINE float v32_exp(float x)
{
    float t = FMA32(v32_clip(x, -105, 89), 0x1.715476p0f, MAGIC32), k = t - MAGIC32;
    float exact = FMA32(k, -0x1.62e4p-1f, v32_clip(x, -105, 89)), r = FMA32(k, -0x1.7f7d1cp-20f, exact);
    float lost = FMA32(k, -0x1.7f7d1cp-20f, exact - r); /* by rounding r */
    float q = FMA32(FMA32(FMA32(FMA32(0x1.6caf06p-10f, r, 0x1.120c3cp-7f), r, 0x1.555568p-5f), r, 0x1.5554dcp-3f), r, 0.5f);
    float p = 1 + (r + FMA32(q * r, r, lost));
    int32_t n = v32_bits(t) - v32_bits(MAGIC32), half = n >> 1; /* 2^n in two factors: neither overflows, */
    return p * v32_of_bits((int32_t)((uint32_t)(half + 127) << 23)) * v32_of_bits((int32_t)((uint32_t)(n - half + 127) << 23)); /* a denormal is rounded once */
}
/* 2^n e^r - 1 for n <= 24; beyond that the 1 is lost in rounding anyway */
INLINE float v32_expm1(float x)
{
    int32_t n;
    float r = v32_reduce(v32_clip(x, -18, 89), &n), p = v32_poly(r);
    int32_t half = n >> 1;
    float s = v32_of_bits((int32_t)((uint32_t)(n + 127) << 23)), near = FMA32(s, p, s - 1);
    float far = (1 + p) * v32_of_bits((int32_t)((uint32_t)(half + 127) << 23)) * v32_of_bits((int32_t)((uint32_t)(n - half + 127) << 23));
    near = n > 24 ? far : near;
    return x == 0 ? x : near;
}
INLINE float v32_tanh(float x)
{
    int32_t sign = v32_bits(x) & INT32_MIN, n;
    float a = v32_of_bits(v32_bits(x) ^ sign), r = v32_reduce(2 * (a > 10 ? 10 : a), &n);
    float s = v32_of_bits((int32_t)((uint32_t)(n + 127) << 23)), m = FMA32(s, v32_poly(r), s - 1), y = m / (m + 2);
    return v32_of_bits(v32_bits(y) | sign);
}
INLINE float v32_logistic(float x)
{
    float e = v32_exp(x > 0 ? -x : x), q = 1 / (1 + e);
    return x > 0 ? q : e * q;
}
/* log of x in (0, inf), not denormal */
INLINE float v32_log_core(float x)
{
    int32_t i = (int32_t)((uint32_t)v32_bits(x) - 0x3f3504f3u), e = i >> 23; /* sqrt(1/2) as bits: the mantissa goes to [sqrt 1/2, sqrt 2) */
    float f = v32_of_bits((i & 0x007fffff) + 0x3f3504f3) - 1, k = (float)e;
    float p = -0x1.45712ap-4f;
    p = FMA32(p, f, 0x1.02dfb2p-3f);
    p = FMA32(p, f, -0x1.0a18e8p-3f);
    p = FMA32(p, f, 0x1.231242p-3f);
    p = FMA32(p, f, -0x1.54d13ap-3f);
    p = FMA32(p, f, 0x1.999f46p-3f);
    p = FMA32(p, f, -0x1.0000ccp-2f);
    p = FMA32(p, f, 0x1.555554p-2f);
    float tail = FMA32(k, 0x1.7f7d1cp-20f, p * f * f * f);
    tail = FMA32(-0.5f * f, f, tail) + f;
    return FMA32(k, 0x1.62e4p-1f, tail);
}
INLINE float v32_log_edges(float x, float y)
{
    y = x > 0x1.fffffep127f ? x : y;
    y = x == 0 ? -1 / (x * x) : y;
    return x < 0 || x != x ? (x - x) / (x - x) : y;
}
INLINE float v32_log(float x)
{
    int small = x < 0x1p-126f;
    float y = v32_log_core(small ? x * 0x1p24f : x);
    y = small ? y - 24 * 0x1.62e43p-1f : y;
    return v32_log_edges(x, y);
}
INLINE float v32_log1p(float x)
{
    float u = 1 + x, lost = x - (u - 1), y = v32_log_core(u) + lost / u;
    y = x > 0x1.fffffep127f ? x : y;
    y = x == -1 ? -1 / (u * u) : y;
    y = x == 0 ? x : y;
    return x < -1 || x != x ? (u - u) / (x - x) : y;
}

/* ---- f64 ---------------------------------------------------------------------------------------------------------------------*/
#define MAGIC64 0x1.8p52

INLINE double v64_reduce(double x, int64_t *n)
{
    double t = FMA64(x, 0x1.71547652b82fep0, MAGIC64), k = t - MAGIC64;
    *n = v64_bits(t) - v64_bits(MAGIC64);
    return FMA64(k, -0x1.a39ef35793c76p-33, FMA64(k, -0x1.62e42feep-1, x));
}
INLINE double v64_poly(double r)
{
    double p = 0x1.1f332fa123d57p-29;
    p = FMA64(p, r, 0x1.af4f1b79bf904p-26);
    p = FMA64(p, r, 0x1.27e500ced41edp-22);
    p = FMA64(p, r, 0x1.71de018a576bap-19);
    p = FMA64(p, r, 0x1.a01a0197bce78p-16);
    p = FMA64(p, r, 0x1.a01a01ac26ef3p-13);
    p = FMA64(p, r, 0x1.6c16c16c1893bp-10);
    p = FMA64(p, r, 0x1.1111111110046p-7);
    p = FMA64(p, r, 0x1.5555555555552p-5);
    p = FMA64(p, r, 0x1.5555555555557p-3);
    p = FMA64(p, r, 0.5);
    return FMA64(p * r, r, r);
}
INLINE double v64_clip(double x, double low, double high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}
INLINE double v64_exp(double x)
{
    int64_t n;
    double r = v64_reduce(v64_clip(x, -746, 710), &n), p = 1 + v64_poly(r);
    int64_t half = (int64_t)((int32_t)n >> 1);
    return p * v64_of_bits((int64_t)((uint64_t)(half + 1023) << 52)) * v64_of_bits((int64_t)((uint64_t)(n - half + 1023) << 52));
}
INLINE double v64_expm1(double x)
{
    int64_t n;
    double r = v64_reduce(v64_clip(x, -38, 710), &n), p = v64_poly(r);
    int64_t half = (int64_t)((int32_t)n >> 1);
    double s = v64_of_bits((int64_t)((uint64_t)(n + 1023) << 52)), near = FMA64(s, p, s - 1);
    double far = (1 + p) * v64_of_bits((int64_t)((uint64_t)(half + 1023) << 52)) * v64_of_bits((int64_t)((uint64_t)(n - half + 1023) << 52));
    near = n > 53 ? far : near;
    return x == 0 ? x : near;
}
INLINE double v64_tanh(double x)
{
    int64_t sign = v64_bits(x) & INT64_MIN, n;
    double a = v64_of_bits(v64_bits(x) ^ sign), r = v64_reduce(2 * (a > 20 ? 20 : a), &n);
    double s = v64_of_bits((int64_t)((uint64_t)(n + 1023) << 52)), m = FMA64(s, v64_poly(r), s - 1), y = m / (m + 2);
    return v64_of_bits(v64_bits(y) | sign);
}
INLINE double v64_logistic(double x)
{
    double e = v64_exp(x > 0 ? -x : x), q = 1 / (1 + e);
    return x > 0 ? q : e * q;
}
/* log(1 + f) = f - f^2/2 + s (f^2/2 + R), s = f / (2 + f): the part that is rounded last is the largest */
INLINE double v64_log_core(double x)
{
    int64_t i = (int64_t)((uint64_t)v64_bits(x) - 0x3fe6a09e667f3bcdu);
    int32_t e = (int32_t)(i >> 32) >> 20;
    double f = v64_of_bits((i & 0x000fffffffffffff) + 0x3fe6a09e667f3bcd) - 1, k = (double)e;
    double s = f / (2 + f), z = s * s, r = 0x1.2b5949addbbbap-3, h = 0.5 * f * f;
    r = FMA64(r, z, 0x1.39fe4eb8703c5p-3);
    r = FMA64(r, z, 0x1.7462b50a83d68p-3);
    r = FMA64(r, z, 0x1.c71c62e54201cp-3);
    r = FMA64(r, z, 0x1.2492492defb05p-2);
    r = FMA64(r, z, 0x1.999999999531cp-2);
    r = FMA64(r, z, 0x1.5555555555558p-1) * z;
    return FMA64(k, 0x1.62e42feep-1, f - (h - FMA64(s, h + r, k * 0x1.a39ef35793c76p-33)));
}
INLINE double v64_log(double x)
{
    int small = x < 0x1p-1022;
    double y = v64_log_core(small ? x * 0x1p54 : x);
    y = small ? y - 54 * 0x1.62e42fefa39efp-1 : y;
    y = x > 0x1.fffffffffffffp1023 ? x : y;
    y = x == 0 ? -1 / (x * x) : y;
    return x < 0 || x != x ? (x - x) / (x - x) : y;
}
INLINE double v64_log1p(double x)
{
    double u = 1 + x, lost = x - (u - 1), y = v64_log_core(u) + lost / u;
    y = x > 0x1.fffffffffffffp1023 ? x : y;
    y = x == -1 ? -1 / (u * u) : y;
    y = x == 0 ? x : y;
    return x < -1 || x != x ? (u - u) / (x - x) : y;
}

#endif
