/* Elementary functions without branches or tables, so that a loop over them becomes vectors on every instruction set.
 *
 *   exp x     = 2^n e^r,  n = round(x / ln 2),  r = x - n ln 2 in two parts,  |r| <= ln 2 / 2
 *   expm1 x   = 2^n (e^r - 1) + (2^n - 1): exact relative error near 0, where n = 0
 *   tanh x    = m / (m + 2),  m = expm1 2x
 *   log x     = e ln 2 + log m,  x = 2^e m,  sqrt(1/2) <= m < sqrt 2
 *   log1p x   = log u + (x - (u - 1)) / u,  u = 1 + x: the second term is what rounding u lost
 *   erf x     = x + x p(x^2) for |x| < 1,  else 1 - 2 Phi(-sqrt 2 x)
 *   Phi(-t)   = e^(-t^2 / 2) q(z) / (t + k),  z = (t - k) / (t + k): q is smooth up to infinity (Shepherd and Laframboise 1981)
 *
 * Polynomials: minimax for the relative error with coefficients that are floats (fpminimax; Brisebarre and Chevillard,
 * Efficient polynomial L-infinity approximations, ARITH 2007). Bounds in ulp are stated at each function and tested in
 * tests/every_kernel.c over all exponents; infinities, NaN, zeros and denormals are those of <math.h>.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_KERNELS_VMATH_H
#define GRADUS_KERNELS_VMATH_H

#include <math.h>
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

/* t^2 - square, what rounding the square lost */
INLINE float v32_square_lost(float t, float square)
{
#ifdef __FMA__
    return FMA32(t, t, -square);
#else
    float high = v32_of_bits(v32_bits(t) & (int32_t)0xfffff000), low = t - high; /* Dekker 1971: halves whose products are exact */
    return ((high * high - square) + 2 * high * low) + low * low;
#endif
}
/* Phi(-t) e^(t^2 / 2) for t >= 0 */
INLINE float v32_mills(float t)
{
    float r = 1 / (t + 3.5f), z = FMA32(r, -7, 1);
    float p = 0x1.aca70ap-14f;
    p = FMA32(p, z, 0x1.ab8022p-12f);
    p = FMA32(p, z, -0x1.02267ep-11f);
    p = FMA32(p, z, -0x1.9e8d7p-9f);
    p = FMA32(p, z, 0x1.a99e22p-8f);
    p = FMA32(p, z, 0x1.1d1f74p-6f);
    p = FMA32(p, z, -0x1.db5af2p-4f);
    p = FMA32(p, z, 0x1.42fee8p-2f);
    p = FMA32(p, z, -0x1.21914ep-1f);
    p = FMA32(p, z, 0x1.7d241ap-1f);
    return p * r;
}
INLINE float v32_erf(float x)
{
    float a = x < 0 ? -x : x, square = a * a, tail = v32_exp(-square) * v32_mills(a * 0x1.6a09e6p0f);
    float far = 1 - 2 * tail;
    float p = 0x1.4c5cb4p-14f;
    p = FMA32(p, square, -0x1.a5197ap-11f);
    p = FMA32(p, square, 0x1.542fecp-8f);
    p = FMA32(p, square, -0x1.b7fec4p-6f);
    p = FMA32(p, square, 0x1.ce2d52p-4f);
    p = FMA32(p, square, -0x1.81274p-2f);
    p = FMA32(p, square, 0x1.06eba8p-3f);
    float near = FMA32(x, p, x);
    return a < 1 ? near : x < 0 ? -far : far;
}
/* The normal distribution: *density e^(-x^2 / 2), and the result times it Phi(-|x|), with a small relative error for all x. */
INLINE float v32_tail(float x, float *density)
{
    float t = v32_clip(x < 0 ? -x : x, 0, 40), square = t * t;
    *density = v32_exp(-0.5f * square);
    return v32_mills(t) * (1 - 0.5f * v32_square_lost(t, square));
}
/* x Phi(x), the small factor last: a denormal is rounded once; -inf would meet Phi = 0 */
INLINE float v32_gelu(float x)
{
    float density, tail = v32_tail(x, &density), below = v32_clip(x, -40, 0) * tail * density;
    return x < 0 ? below : x * (1 - tail * density);
}
/* Phi(x) + x e^(-x^2 / 2) / sqrt(2 pi) */
INLINE float v32_gelu_d(float x)
{
    float density, tail = v32_tail(x, &density), below = tail * density, p = x < 0 ? below : 1 - below;
    return FMA32(v32_clip(x, -40, 40) * density, 0x1.988454p-2f, p);
}
INLINE float v32_silu(float x) { return v32_clip(x, -800, (float)INFINITY) * v32_logistic(x); }
INLINE float v32_silu_d(float x)
{
    float s = v32_logistic(x);
    return s * (1 + v32_clip(x, -800, 800) * (1 - s));
}
/* log(1 + e^x) */
INLINE float v32_softplus(float x) { return (x > 0 ? x : x <= 0 ? 0 : x) + v32_log1p(v32_exp(x < 0 ? x : -x)); }

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
/* t^2 - square, what rounding the square lost */
INLINE double v64_square_lost(double t, double square)
{
#ifdef __FMA__
    return FMA64(t, t, -square);
#else
    double high = v64_of_bits(v64_bits(t) & (int64_t)0xfffffffff8000000), low = t - high; /* Dekker 1971: halves whose products are exact */
    return ((high * high - square) + 2 * high * low) + low * low;
#endif
}
/* Phi(-t) e^(t^2 / 2) for t >= 0 */
INLINE double v64_mills(double t)
{
    double r = 1 / (t + 4.5), z = FMA64(r, -9, 1);
    double p = 0x1.67e1cdb68ed6cp-31;
    p = FMA64(p, z, -0x1.fbc1b5a4d086ap-32);
    p = FMA64(p, z, -0x1.5b66bfc673d8dp-27);
    p = FMA64(p, z, -0x1.e324a8afaf56p-29);
    p = FMA64(p, z, 0x1.29b25968e5f2dp-24);
    p = FMA64(p, z, 0x1.09a39038c3eabp-24);
    p = FMA64(p, z, -0x1.9690aa56e9ebp-22);
    p = FMA64(p, z, -0x1.0c6b8da18dba4p-21);
    p = FMA64(p, z, 0x1.1f960f23a18a8p-19);
    p = FMA64(p, z, 0x1.ac2615779727ap-19);
    p = FMA64(p, z, -0x1.ddad24c3753dfp-17);
    p = FMA64(p, z, -0x1.0b4f9c9c54727p-16);
    p = FMA64(p, z, 0x1.d5f0ea204faf9p-14);
    p = FMA64(p, z, 0x1.ac3ae201835b6p-18);
    p = FMA64(p, z, -0x1.e129d97487968p-11);
    p = FMA64(p, z, 0x1.ca72087233c9bp-10);
    p = FMA64(p, z, 0x1.14cc7955550f7p-8);
    p = FMA64(p, z, -0x1.157951c689061p-5);
    p = FMA64(p, z, 0x1.c8391e19cf297p-4);
    p = FMA64(p, z, -0x1.03379aa028e7ap-2);
    p = FMA64(p, z, 0x1.c92ad93fe24fap-2);
    p = FMA64(p, z, -0x1.47cfdd7a97246p-1);
    p = FMA64(p, z, 0x1.86c626e278bb3p-1);
    return p * r;
}
INLINE double v64_erf(double x)
{
    double a = x < 0 ? -x : x, square = a * a, tail = v64_exp(-square) * v64_mills(a * 0x1.6a09e667f3bcdp0);
    double far = 1 - 2 * tail;
    double p = -0x1.ac1a4196e3b8fp-31;
    p = FMA64(p, square, 0x1.d73d744d56d18p-27);
    p = FMA64(p, square, -0x1.5c0bc3130e26fp-23);
    p = FMA64(p, square, 0x1.b9807f233887fp-20);
    p = FMA64(p, square, -0x1.f4ca5bb2856d7p-17);
    p = FMA64(p, square, 0x1.f9a2bb4bba0e4p-14);
    p = FMA64(p, square, -0x1.c02db03ff6859p-11);
    p = FMA64(p, square, 0x1.565bccf908894p-8);
    p = FMA64(p, square, -0x1.b82ce311f7069p-6);
    p = FMA64(p, square, 0x1.ce2f21a040b02p-4);
    p = FMA64(p, square, -0x1.812746b0379b5p-2);
    p = FMA64(p, square, 0x1.06eba8214db68p-3);
    double near = FMA64(x, p, x);
    return a < 1 ? near : x < 0 ? -far : far;
}
/* The normal distribution: *density e^(-x^2 / 2), and the result times it Phi(-|x|), with a small relative error for all x. */
INLINE double v64_tail(double x, double *density)
{
    double t = v64_clip(x < 0 ? -x : x, 0, 40), square = t * t;
    *density = v64_exp(-0.5 * square);
    return v64_mills(t) * (1 - 0.5 * v64_square_lost(t, square));
}
/* x Phi(x), the small factor last: a denormal is rounded once; -inf would meet Phi = 0 */
INLINE double v64_gelu(double x)
{
    double density, tail = v64_tail(x, &density), below = v64_clip(x, -40, 0) * tail * density;
    return x < 0 ? below : x * (1 - tail * density);
}
/* Phi(x) + x e^(-x^2 / 2) / sqrt(2 pi) */
INLINE double v64_gelu_d(double x)
{
    double density, tail = v64_tail(x, &density), below = tail * density, p = x < 0 ? below : 1 - below;
    return FMA64(v64_clip(x, -40, 40) * density, 0x1.9884533d43651p-2, p);
}
INLINE double v64_silu(double x) { return v64_clip(x, -800, (double)INFINITY) * v64_logistic(x); }
INLINE double v64_silu_d(double x)
{
    double s = v64_logistic(x);
    return s * (1 + v64_clip(x, -800, 800) * (1 - s));
}
/* log(1 + e^x) */
INLINE double v64_softplus(double x) { return (x > 0 ? x : x <= 0 ? 0 : x) + v64_log1p(v64_exp(x < 0 ? x : -x)); }

#endif
