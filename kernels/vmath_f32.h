/* The f32 functions of vmath.h on one form of F, a number or a vector. No include guard: it is included once for each form.
 * SPDX-License-Identifier: MIT */

/* k = round(x / ln 2), r = x - k ln 2, and 2^k by the low bits of t, which are bias + k. ln 2 = hi + lo, hi of 14 bits: k hi is exact */
INLINE F NAME(reduce)(F x, F *t, F *k, float bias)
{
    *t = FMA(x, ALL(0x1.715476p0f), ALL(0x1.8p23f + bias));
    *k = *t - (0x1.8p23f + bias);
    return FMA(*k, ALL(-0x1.7f7d1cp-20f), FMA(*k, ALL(-0x1.62e4p-1f), x));
}
/* (e^r - 1 - r) / r^2 */
INLINE F NAME(poly)(F r)
{
    F p = FMA(ALL(0x1.6caf06p-10f), r, ALL(0x1.120c3cp-7f));
    p = FMA(p, r, ALL(0x1.555568p-5f));
    p = FMA(p, r, ALL(0x1.5554dcp-3f));
    return FMA(p, r, ALL(0.5f));
}
/* p 2^k, in two factors of which neither overflows: a denormal is rounded once */
INLINE F NAME(scale)(F p, F t, F k)
{
#ifdef SCALE
    (void)t;
    return SCALE(p, k);
#else
    (void)k;
    const B n = BITS(t), half = n >> 1;
    return p * OF_BITS(half << 23) * OF_BITS((n - half) << 23);
#endif
}
/* between low and high; a NaN stays */
INLINE F NAME(clip)(F x, float low, float high) { return SMALLER(ALL(high), LARGER(ALL(low), x)); }
INLINE F NAME(absolute)(F x) { return OF_BITS(BITS(x) & 0x7fffffffu); }
INLINE F NAME(with_sign)(F a, F x) { return OF_BITS(BITS(a) | (BITS(x) & 0x80000000u)); }
INLINE F NAME(negative)(F x) { return NAME(with_sign)(x, ALL(-1)); } /* -|x| */

/* e^x / 2^k, t and k as reduce says */
INLINE F NAME(exp_reduced)(F x, F *t, F *k, float bias)
{
    F r = NAME(reduce)(x, t, k, bias);
#ifdef FUSES
    return FMA(FMA(NAME(poly)(r), r, ALL(1)), r, ALL(1));
#else
    F lost = FMA(*k, ALL(-0x1.7f7d1cp-20f), FMA(*k, ALL(-0x1.62e4p-1f), x) - r); /* by rounding r */
    return 1 + (r + FMA(NAME(poly)(r) * r, r, lost));
#endif
}
INLINE F NAME(exp_clipped)(F x)
{
    F t, k, p = NAME(exp_reduced)(x, &t, &k, 254);
    return NAME(scale)(p, t, k);
}
/* e^x / 2^k of a difference, which rounding moved by up to 2^-25 of it: ln 2 is only 2^-28 of it from a float. *power = 2^k, if k >= -126 */
INLINE F NAME(exp_of_difference)(F x, F *power, F *k)
{
    F t;
#ifdef FUSES
    t = FMA(x, ALL(0x1.715476p0f), ALL(0x1.8p23f + 127)), *k = t - (0x1.8p23f + 127);
    const F r = FMA(*k, ALL(-0x1.62e43p-1f), x), p = FMA(FMA(NAME(poly)(r), r, ALL(1)), r, ALL(1));
#else
    const F p = NAME(exp_reduced)(x, &t, k, 127);
#endif
    *power = OF_BITS(BITS(t) << 23);
    return p;
}
/* 0.96 ulp */
INLINE F NAME(exp)(F x)
{
#ifdef SCALE /* Beyond its range the polynomial is positive or NaN: 2 is as good, since 2^k is 0, infinite or NaN by itself then. */
    F t, k, p = NAME(exp_reduced)(x, &t, &k, 0);
    return SCALE(SMALLER(p, ALL(2)), k);
#else
    return NAME(exp_clipped)(NAME(clip)(x, -105, 89));
#endif
}
/* 2^n e^r - 1 for n <= 24; beyond that the 1 is lost in rounding anyway */
INLINE F NAME(expm1)(F x)
{
    F t, k, r = NAME(reduce)(NAME(clip)(x, -18, 89), &t, &k, 254), p = FMA(NAME(poly)(r) * r, r, r);
    F s = NAME(scale)(ALL(1), t, k), near = FMA(s, p, s - 1);
    near = PICK(k, GT, ALL(24), NAME(scale)(1 + p, t, k), near);
    return PICK(x, EQ, ALL(0), x, near);
}
/* (e^2x - 1) / 2 for x >= 0, from 10 on that of 10 */
INLINE F NAME(half_expm1)(F x)
{
    x = SMALLER(ALL(10), x);
    const F t = FMA(x, ALL(0x1.715476p1f), ALL(0x1.8p23f + 127)), k = t - (0x1.8p23f + 127);
#ifdef FUSES
    const F r = FMA(k, ALL(-0x1.62e43p-2f), x); /* x - k ln 2 / 2: ln 2 is only 2^-29 from a float */
#else
    const F r = FMA(k, ALL(-0x1.7f7d1cp-21f), FMA(k, ALL(-0x1.62e4p-2f), x));
#endif
    const F r2 = r * r, low = FMA(ALL(0x1.5554dcp-1f), r, ALL(1)), high = FMA(ALL(0x1.120c3cp-3f), r, ALL(0x1.555568p-2f));
    const F p = FMA(FMA(FMA(ALL(0x1.6caf06p-5f), r2, high), r2, low), r2, r); /* (e^2r - 1) / 2 */
    const F s = OF_BITS(BITS(t) << 23);
    return FMA(s, p, FMA(s, ALL(0.5), ALL(-0.5)));
}
INLINE F NAME(logistic)(F x)
{
    F e = NAME(exp_clipped)(LARGER(ALL(-105), NAME(negative)(x))), q = RECIPROCAL(1 + e);
    return PICK(x, LT, ALL(0), e * q, q);
}
/* log (1 + f) + k ln 2, f from sqrt(1/2) - 1 to sqrt(2) - 1 */
INLINE F NAME(log_near)(F f, F k)
{
    const F square = f * f; /* in pairs: half as long to wait for as Horner's rule */
    const F high = FMA(FMA(ALL(-0x1.45712ap-4f), f, ALL(0x1.02dfb2p-3f)), square, FMA(ALL(-0x1.0a18e8p-3f), f, ALL(0x1.231242p-3f)));
    const F low = FMA(FMA(ALL(-0x1.54d13ap-3f), f, ALL(0x1.999f46p-3f)), square, FMA(ALL(-0x1.0000ccp-2f), f, ALL(0x1.555554p-2f)));
    F tail = FMA(k, ALL(0x1.7f7d1cp-20f), FMA(high, square * square, low) * (square * f));
    tail = FMA(-0.5f * f, f, tail) + f;
    return FMA(k, ALL(0x1.62e4p-1f), tail);
}
/* log x + k ln 2, x in (0, inf), not denormal */
INLINE F NAME(log_core)(F x, F k)
{
    const B i = BITS(x) - 0x3f3504f3u + 0x40000000u; /* sqrt(1/2) as bits: the mantissa goes to [sqrt 1/2, sqrt 2) */
    k += OF_BITS((i >> 23) | 0x4b000000) - (0x1p23f + 128);
    return NAME(log_near)(OF_BITS((i & 0x007fffff) + 0x3f3504f3) - 1, k);
}
INLINE F NAME(log)(F x)
{
#ifdef SPLIT
    F k, m = SPLIT(x, &k);
    return NAME(log_near)(m - 1, k);
#else
    F y = NAME(log_core)(PICK(x, LT, ALL(0x1p-126f), x * 0x1p24f, x), PICK(x, LT, ALL(0x1p-126f), ALL(-24), ALL(0)));
    y = PICK(x, GT, ALL(0x1.fffffep127f), x, y);
    y = PICK(x, EQ, ALL(0), ALL(-INFINITY), y);
    return PICK(x, GE, ALL(0), y, ALL(NAN));
#endif
}
INLINE F NAME(log1p)(F x)
{
    F u = 1 + x, lost = x - (u - 1), y = NAME(log_core)(u, ALL(0)) + lost / u;
    y = PICK(x, GT, ALL(0x1.fffffep127f), x, y);
    y = PICK(x, EQ, ALL(-1), ALL(-INFINITY), y);
    y = PICK(x, EQ, ALL(0), x, y);
    return PICK(x, GE, ALL(-1), y, ALL(NAN));
}

/* a b - p, what rounding the product p lost */
INLINE F NAME(product_lost)(F a, F b, F p)
{
#ifdef FUSES
    return FMA(a, b, -p);
#else
    F x = OF_BITS(BITS(a) & 0xfffff000u), y = OF_BITS(BITS(b) & 0xfffff000u); /* Dekker 1971: halves whose products are exact */
    return (((x * y - p) + x * (b - y)) + (a - x) * y) + (a - x) * (b - y);
#endif
}
/* Phi(-t) e^(t^2 / 2) for t >= 0 */
INLINE F NAME(mills)(F t)
{
    F r = RECIPROCAL(t + 3.5f), z = FMA(r, ALL(-7), ALL(1));
    F p = FMA(ALL(0x1.aca70ap-14f), z, ALL(0x1.ab8022p-12f));
    p = FMA(p, z, ALL(-0x1.02267ep-11f));
    p = FMA(p, z, ALL(-0x1.9e8d7p-9f));
    p = FMA(p, z, ALL(0x1.a99e22p-8f));
    p = FMA(p, z, ALL(0x1.1d1f74p-6f));
    p = FMA(p, z, ALL(-0x1.db5af2p-4f));
    p = FMA(p, z, ALL(0x1.42fee8p-2f));
    p = FMA(p, z, ALL(-0x1.21914ep-1f));
    p = FMA(p, z, ALL(0x1.7d241ap-1f));
    return p * r;
}
INLINE F NAME(erf)(F x)
{
    F a = SMALLER(ALL(40), NAME(absolute)(x)), square = a * a, tail = NAME(exp)(-square) * NAME(mills)(a * 0x1.6a09e6p0f);
    F p = FMA(ALL(0x1.4c5cb4p-14f), square, ALL(-0x1.a5197ap-11f));
    p = FMA(p, square, ALL(0x1.542fecp-8f));
    p = FMA(p, square, ALL(-0x1.b7fec4p-6f));
    p = FMA(p, square, ALL(0x1.ce2d52p-4f));
    p = FMA(p, square, ALL(-0x1.81274p-2f));
    p = FMA(p, square, ALL(0x1.06eba8p-3f));
    return PICK(a, LT, ALL(1), FMA(x, p, x), NAME(with_sign)(1 - 2 * tail, x));
}
/* Sine, cosine and powers exist as vectors alone. */
#ifdef LIBM
static APART void NAME(sine_of_far)(float *y, const float *x, float limit, bool cosine)
{
    for (int k = 0; k < VECTOR_BYTES / (int)sizeof *x; k++)
        if (!(LIBM(fabs)(x[k]) <= limit)) y[k] = cosine ? LIBM(cos)(x[k]) : LIBM(sin)(x[k]);
}
/* sin(x + quarter pi / 2) to 1.3 ulp */
INLINE F NAME(sine)(F x, unsigned quarter)
{
    float from[VECTOR_BYTES / sizeof(float)], to[VECTOR_BYTES / sizeof(float)];
#ifdef FUSES /* without it k pi / 2 would need more parts */
    const F t = FMA(x, ALL(0x1.45f306p-1f), ALL(0x1.8p23f)), k = t - 0x1.8p23f;
    const F r1 = FMA(-k, ALL(0x1.921fb6p0f), x), r = FMA(-k, ALL(-0x1.777a5cp-25f), r1); /* the first is exact */
    const F lost = FMA(-k, ALL(-0x1.ee59dap-50f), FMA(-k, ALL(-0x1.777a5cp-25f), r1 - r)), z = r * r;
    F s = FMA(ALL(-0x1.9a9d86p-13f), z, ALL(0x1.110bc2p-7f));
    s = FMA(s, z, ALL(-0x1.555552p-3f));
    F c = FMA(ALL(0x1.9bb5cap-16f), z, ALL(-0x1.6c1282p-10f));
    c = FMA(c, z, ALL(0x1.555554p-5f));
    s = FMA(z * r, s, lost) + r;
    c = FMA(z, FMA(z, c, ALL(-0.5)), ALL(1)); /* r times what is lost is a fifth of an ulp */
    const B n = BITS(t) + quarter, odd = -(n & 1);
    F y = OF_BITS(((BITS(c) & odd) | (BITS(s) & ~odd)) ^ ((n << 30) & 0x80000000u));
    if (!ANY_BEYOND(NAME(absolute)(x), 0x1p16f)) return y;
    memcpy(from, &x, sizeof from);
    memcpy(to, &y, sizeof to);
    NAME(sine_of_far)(to, from, 0x1p16f, quarter == 1);
#else
    memcpy(from, &x, sizeof from);
    NAME(sine_of_far)(to, from, -1, quarter == 1);
    F y;
#endif
    memcpy(&y, to, sizeof y);
    return y;
}
INLINE F NAME(sin)(F x) { return PICK(x, EQ, ALL(0), x, NAME(sine)(x, 0)); }
INLINE F NAME(cos)(F x) { return NAME(sine)(x, 1); }
INLINE F NAME(positive_power)(F a, F b)
{
    f64_vec x[2], y[2];
    f32_widen(a, x), f32_widen(NAME(clip)(b, -0x1p100f, 0x1p100f), y); /* 1^inf is 1 */
    x[0] = vv64_short_power(x[0], y[0]), x[1] = vv64_short_power(x[1], y[1]);
    return f32_narrow(x);
}
#endif
#define NORMAL_FROM -0x1.5d589ep6f /* below, e^x is denormal or 0 */
#include "kernels/vmath_both.h"
#undef NORMAL_FROM
