/* The f64 functions of vmath.h on one form of F, a number or a vector. No include guard: it is included once for each form.
 * SPDX-License-Identifier: MIT */

/* k = round(x / ln 2), r = x - k ln 2, and 2^k by the low bits of t, which are bias + k. ln 2 = hi + lo, hi of 32 bits: k hi is exact */
INLINE F NAME(reduce)(F x, F *t, F *k, double bias)
{
    *t = FMA(x, ALL(0x1.71547652b82fep0), ALL(0x1.8p52 + bias));
    *k = *t - (0x1.8p52 + bias);
    return FMA(*k, ALL(-0x1.a39ef35793c76p-33), FMA(*k, ALL(-0x1.62e42feep-1), x));
}
/* (e^r - 1 - r) / r^2 */
INLINE F NAME(poly)(F r)
{
    F p = FMA(ALL(0x1.1f332fa123d57p-29), r, ALL(0x1.af4f1b79bf904p-26));
    p = FMA(p, r, ALL(0x1.27e500ced41edp-22));
    p = FMA(p, r, ALL(0x1.71de018a576bap-19));
    p = FMA(p, r, ALL(0x1.a01a0197bce78p-16));
    p = FMA(p, r, ALL(0x1.a01a01ac26ef3p-13));
    p = FMA(p, r, ALL(0x1.6c16c16c1893bp-10));
    p = FMA(p, r, ALL(0x1.1111111110046p-7));
    p = FMA(p, r, ALL(0x1.5555555555552p-5));
    p = FMA(p, r, ALL(0x1.5555555555557p-3));
    return FMA(p, r, ALL(0.5));
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
    return p * OF_BITS(half << 52) * OF_BITS((n - half) << 52);
#endif
}
/* between low and high; a NaN stays */
INLINE F NAME(clip)(F x, double low, double high) { return SMALLER(ALL(high), LARGER(ALL(low), x)); }
INLINE F NAME(absolute)(F x) { return OF_BITS(BITS(x) & 0x7fffffffffffffffu); }
INLINE F NAME(with_sign)(F a, F x) { return OF_BITS(BITS(a) | (BITS(x) & 0x8000000000000000u)); }
INLINE F NAME(negative)(F x) { return NAME(with_sign)(x, ALL(-1)); } /* -|x| */

/* e^x / 2^k, t and k as reduce says */
INLINE F NAME(exp_reduced)(F x, F *t, F *k, double bias)
{
    F r = NAME(reduce)(x, t, k, bias);
#ifdef FUSES
    return FMA(FMA(NAME(poly)(r), r, ALL(1)), r, ALL(1));
#else
    return 1 + FMA(NAME(poly)(r) * r, r, r);
#endif
}
INLINE F NAME(exp_clipped)(F x)
{
    F t, k, p = NAME(exp_reduced)(x, &t, &k, 2046);
    return NAME(scale)(p, t, k);
}
/* e^x / 2^k; *power = 2^k, if k >= -1022 */
INLINE F NAME(exp_of_difference)(F x, F *power, F *k)
{
    F t, p = NAME(exp_reduced)(x, &t, k, 1023);
    *power = OF_BITS(BITS(t) << 52);
    return p;
}
/* 0.98 ulp */
INLINE F NAME(exp)(F x) { return NAME(exp_clipped)(NAME(clip)(x, -746, 710)); }
/* 2^n e^r - 1 for n <= 53; beyond that the 1 is lost in rounding anyway */
INLINE F NAME(expm1)(F x)
{
    F t, k, r = NAME(reduce)(NAME(clip)(x, -38, 710), &t, &k, 2046), p = FMA(NAME(poly)(r) * r, r, r);
    F s = NAME(scale)(ALL(1), t, k), near = FMA(s, p, s - 1);
    near = PICK(k, GT, ALL(53), NAME(scale)(1 + p, t, k), near);
    return PICK(x, EQ, ALL(0), x, near);
}
/* (e^2x - 1) / 2 for x >= 0, from 20 on that of 20 */
INLINE F NAME(half_expm1)(F x)
{
    x = SMALLER(ALL(20), x);
    const F t = FMA(x, ALL(0x1.71547652b82fep1), ALL(0x1.8p52 + 1023)), k = t - (0x1.8p52 + 1023);
    const F r = FMA(k, ALL(-0x1.a39ef35793c76p-34), FMA(k, ALL(-0x1.62e42feep-2), x)); /* x - k ln 2 / 2 */
    const F r2 = r * r, r4 = r2 * r2;
    const F low = FMA(FMA(ALL(0x1.1111111110046p-3), r, ALL(0x1.5555555555552p-2)), r2, FMA(ALL(0x1.5555555555557p-1), r, ALL(1)));
    const F high = FMA(FMA(ALL(0x1.71de018a576bap-11), r, ALL(0x1.a01a0197bce78p-9)), r2, FMA(ALL(0x1.a01a01ac26ef3p-7), r, ALL(0x1.6c16c16c1893bp-5)));
    const F top = FMA(ALL(0x1.1f332fa123d57p-18), r2, FMA(ALL(0x1.af4f1b79bf904p-16), r, ALL(0x1.27e500ced41edp-13)));
    const F p = FMA(FMA(FMA(top, r4, high), r4, low), r2, r); /* (e^2r - 1) / 2 */
    const F s = OF_BITS(BITS(t) << 52);
    return FMA(s, p, FMA(s, ALL(0.5), ALL(-0.5)));
}
INLINE F NAME(logistic)(F x)
{
    F e = NAME(exp_clipped)(LARGER(ALL(-746), NAME(negative)(x))), q = RECIPROCAL(1 + e);
    return PICK(x, LT, ALL(0), e * q, q);
}
/* f and *k of x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt 2, x in (0, inf), not denormal */
INLINE F NAME(split)(F x, F *k)
{
    const B i = BITS(x) - 0x3fe6a09e667f3bcdu + 0x4000000000000000u; /* sqrt(1/2) as bits */
    *k = OF_BITS((i >> 52) | 0x4330000000000000u) - (0x1p52 + 1024);
    return OF_BITS((i & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu) - 1;
}
/* log x + k ln 2, x as for split.
 * log(1 + f) = f - f^2/2 + s (f^2/2 + R), s = f / (2 + f): the part that is rounded last is the largest */
INLINE F NAME(log_core)(F x, F k)
{
    F e, f = NAME(split)(x, &e);
    k += e;
    F s = f / (2 + f), z = s * s, h = 0.5 * f * f;
    F r = FMA(ALL(0x1.2b5949addbbbap-3), z, ALL(0x1.39fe4eb8703c5p-3));
    r = FMA(r, z, ALL(0x1.7462b50a83d68p-3));
    r = FMA(r, z, ALL(0x1.c71c62e54201cp-3));
    r = FMA(r, z, ALL(0x1.2492492defb05p-2));
    r = FMA(r, z, ALL(0x1.999999999531cp-2));
    r = FMA(r, z, ALL(0x1.5555555555558p-1)) * z;
    return FMA(k, ALL(0x1.62e42feep-1), f - (h - FMA(s, h + r, k * 0x1.a39ef35793c76p-33)));
}
INLINE F NAME(log)(F x)
{
    F y = NAME(log_core)(PICK(x, LT, ALL(0x1p-1022), x * 0x1p54, x), PICK(x, LT, ALL(0x1p-1022), ALL(-54), ALL(0)));
    y = PICK(x, GT, ALL(0x1.fffffffffffffp1023), x, y);
    y = PICK(x, EQ, ALL(0), ALL(-INFINITY), y);
    return PICK(x, GE, ALL(0), y, ALL(NAN));
}
INLINE F NAME(log1p)(F x)
{
    F u = 1 + x, lost = x - (u - 1), y = NAME(log_core)(u, ALL(0)) + lost / u;
    y = PICK(x, GT, ALL(0x1.fffffffffffffp1023), x, y);
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
    F x = OF_BITS(BITS(a) & 0xfffffffff8000000u), y = OF_BITS(BITS(b) & 0xfffffffff8000000u); /* Dekker 1971: halves whose products are exact */
    return (((x * y - p) + x * (b - y)) + (a - x) * y) + (a - x) * (b - y);
#endif
}
/* Phi(-t) e^(t^2 / 2) for t >= 0 */
INLINE F NAME(mills)(F t)
{
    F r = RECIPROCAL(t + 4.5), z = FMA(r, ALL(-9), ALL(1));
    F p = FMA(ALL(0x1.67e1cdb68ed6cp-31), z, ALL(-0x1.fbc1b5a4d086ap-32));
    p = FMA(p, z, ALL(-0x1.5b66bfc673d8dp-27));
    p = FMA(p, z, ALL(-0x1.e324a8afaf56p-29));
    p = FMA(p, z, ALL(0x1.29b25968e5f2dp-24));
    p = FMA(p, z, ALL(0x1.09a39038c3eabp-24));
    p = FMA(p, z, ALL(-0x1.9690aa56e9ebp-22));
    p = FMA(p, z, ALL(-0x1.0c6b8da18dba4p-21));
    p = FMA(p, z, ALL(0x1.1f960f23a18a8p-19));
    p = FMA(p, z, ALL(0x1.ac2615779727ap-19));
    p = FMA(p, z, ALL(-0x1.ddad24c3753dfp-17));
    p = FMA(p, z, ALL(-0x1.0b4f9c9c54727p-16));
    p = FMA(p, z, ALL(0x1.d5f0ea204faf9p-14));
    p = FMA(p, z, ALL(0x1.ac3ae201835b6p-18));
    p = FMA(p, z, ALL(-0x1.e129d97487968p-11));
    p = FMA(p, z, ALL(0x1.ca72087233c9bp-10));
    p = FMA(p, z, ALL(0x1.14cc7955550f7p-8));
    p = FMA(p, z, ALL(-0x1.157951c689061p-5));
    p = FMA(p, z, ALL(0x1.c8391e19cf297p-4));
    p = FMA(p, z, ALL(-0x1.03379aa028e7ap-2));
    p = FMA(p, z, ALL(0x1.c92ad93fe24fap-2));
    p = FMA(p, z, ALL(-0x1.47cfdd7a97246p-1));
    p = FMA(p, z, ALL(0x1.86c626e278bb3p-1));
    return p * r;
}
INLINE F NAME(erf)(F x)
{
    F a = SMALLER(ALL(40), NAME(absolute)(x)), square = a * a, tail = NAME(exp)(-square) * NAME(mills)(a * 0x1.6a09e667f3bcdp0);
    F p = FMA(ALL(-0x1.ac1a4196e3b8fp-31), square, ALL(0x1.d73d744d56d18p-27));
    p = FMA(p, square, ALL(-0x1.5c0bc3130e26fp-23));
    p = FMA(p, square, ALL(0x1.b9807f233887fp-20));
    p = FMA(p, square, ALL(-0x1.f4ca5bb2856d7p-17));
    p = FMA(p, square, ALL(0x1.f9a2bb4bba0e4p-14));
    p = FMA(p, square, ALL(-0x1.c02db03ff6859p-11));
    p = FMA(p, square, ALL(0x1.565bccf908894p-8));
    p = FMA(p, square, ALL(-0x1.b82ce311f7069p-6));
    p = FMA(p, square, ALL(0x1.ce2f21a040b02p-4));
    p = FMA(p, square, ALL(-0x1.812746b0379b5p-2));
    p = FMA(p, square, ALL(0x1.06eba8214db68p-3));
    return PICK(a, LT, ALL(1), FMA(x, p, x), NAME(with_sign)(1 - 2 * tail, x));
}
/* Sine, cosine and powers exist as vectors alone. */
#ifdef LIBM
static APART void NAME(sine_of_far)(double *y, const double *x, double limit, bool cosine)
{
    for (int k = 0; k < VECTOR_BYTES / (int)sizeof *x; k++)
        if (!(LIBM(fabs)(x[k]) <= limit)) y[k] = cosine ? LIBM(cos)(x[k]) : LIBM(sin)(x[k]);
}
/* sin(x + quarter pi / 2) to 1.3 ulp */
INLINE F NAME(sine)(F x, unsigned quarter)
{
    double from[VECTOR_BYTES / sizeof(double)], to[VECTOR_BYTES / sizeof(double)];
#ifdef FUSES /* without it k pi / 2 would need more parts */
    const F t = FMA(x, ALL(0x1.45f306dc9c883p-1), ALL(0x1.8p52)), k = t - 0x1.8p52;
    const F r1 = FMA(-k, ALL(0x1.921fb54442d18p0), x), r = FMA(-k, ALL(0x1.1a62633145c07p-54), r1); /* the first is exact */
    const F lost = FMA(-k, ALL(-0x1.f1976b7ed8fbcp-110), FMA(-k, ALL(0x1.1a62633145c07p-54), r1 - r)), z = r * r;
    F s = FMA(ALL(0x1.5df3142853a9bp-33), z, ALL(-0x1.ae5fc2925c969p-26));
    s = FMA(s, z, ALL(0x1.71de3748ad07ep-19));
    s = FMA(s, z, ALL(-0x1.a01a019e3c6ffp-13));
    s = FMA(s, z, ALL(0x1.1111111110a1ap-7));
    s = FMA(s, z, ALL(-0x1.5555555555554p-3));
    F c = FMA(ALL(-0x1.9065d4dc51219p-37), z, ALL(0x1.1eeb45068b259p-29));
    c = FMA(c, z, ALL(-0x1.27e4f9f146ca1p-22));
    c = FMA(c, z, ALL(0x1.a01a019f2b5fbp-16));
    c = FMA(c, z, ALL(-0x1.6c16c16c1689cp-10));
    c = FMA(c, z, ALL(0x1.5555555555555p-5));
    s = FMA(z * r, s, lost) + r;
    c = FMA(z, FMA(z, c, ALL(-0.5)), ALL(1)); /* r times what is lost is a fifth of an ulp */
    const B n = BITS(t) + quarter, odd = -(n & 1);
    F y = OF_BITS(((BITS(c) & odd) | (BITS(s) & ~odd)) ^ ((n << 62) & 0x8000000000000000u));
    if (!ANY_BEYOND(NAME(absolute)(x), 0x1p30)) return y;
    memcpy(from, &x, sizeof from);
    memcpy(to, &y, sizeof to);
    NAME(sine_of_far)(to, from, 0x1p30, quarter == 1);
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

/* a^b to 2^-27 for f64 that were f32, a > 0 */
INLINE F NAME(short_power)(F a, F b)
{
    F k, f = NAME(split)(a, &k);
    F g = f * f, p, q; /* log2(1 + f) / f to 2^-33, even and odd powers apart: half as long a chain */
    p = FMA(ALL(-0x1.61ac61a97d4afp-4), g, ALL(-0x1.4181c3df41893p-3));
    q = FMA(ALL(0x1.3d29007c903cap-3), g, ALL(0x1.45a239baba0dp-3));
    p = FMA(p, g, ALL(-0x1.6eafd581f711fp-3));
    q = FMA(q, g, ALL(0x1.a615cc1d27f86p-3));
    p = FMA(p, g, ALL(-0x1.ec8d7901f9c26p-3));
    q = FMA(q, g, ALL(0x1.277732e1db838p-2));
    p = FMA(p, g, ALL(-0x1.715435dcb083p-2));
    q = FMA(q, g, ALL(0x1.ec709c0083429p-2));
    p = FMA(p, g, ALL(-0x1.7154767bba593p-1));
    q = FMA(q, g, ALL(0x1.71547652efa5bp0));
    F x = NAME(clip)(b * FMA(f, FMA(p, f, q), k), -200, 200);
    F t = x + (0x1.8p52 + 1023), r = x - (t - (0x1.8p52 + 1023));
    g = r * r; /* 2^r to 2^-28 */
    p = FMA(ALL(0x1.4278e67a35a87p-13), g, ALL(0x1.3b2c96c8e7c14p-7));
    q = FMA(ALL(0x1.5f455402e3854p-10), g, ALL(0x1.c6aed4f17e78bp-5));
    p = FMA(p, g, ALL(0x1.ebfbdd2f840ap-3));
    q = FMA(q, g, ALL(0x1.62e430c7b1428p-1));
    return FMA(q, r, FMA(p, g, ALL(1))) * OF_BITS(BITS(t) << 52);
}
/* The result and *rest: log a to 2^-63 of it, a as for split, k ln 2 added.
 * log(1 + f) = 2 s + s (2/3 z + z^2 p(z)), s = f / (2 + f), z = s^2, all but p of twice the digits */
INLINE F NAME(long_log)(F a, F k, F *rest)
{
    F e, f = NAME(split)(a, &e), u = 2 + f, r = RECIPROCAL(u), s = f * r;
    F s_rest = -r * (NAME(product_lost)(s, u, f) + s * (f - (u - 2)));
    F z = s * s, z_rest = NAME(product_lost)(s, s, z) + 2 * s * s_rest;
    F p = FMA(ALL(0x1.da9aa9cbd7e2bp-4), z, ALL(0x1.e01a7efca0c5bp-4));
    p = FMA(p, z, ALL(0x1.11154be1785c5p-3));
    p = FMA(p, z, ALL(0x1.3b13a9e53da5cp-3));
    p = FMA(p, z, ALL(0x1.745d173ca3ea2p-3));
    p = FMA(p, z, ALL(0x1.c71c71c74cc3fp-3));
    p = FMA(p, z, ALL(0x1.24924924922fdp-2));
    p = FMA(p, z, ALL(0x1.999999999999ap-2)) * z * z;
    F third = z * 0x1.5555555555555p-1, w = third + p;
    F w_rest = NAME(product_lost)(z, ALL(0x1.5555555555555p-1), third) + FMA(z_rest, ALL(0x1.5555555555555p-1), z * 0x1.5555555555555p-55) + (p - (w - third));
    F y = s * w, y_rest = NAME(product_lost)(s, w, y) + FMA(s, w_rest, s_rest * w);
    k += e;
    F whole = k * 0x1.62e42feep-1, most = FMA(ALL(2), s, whole), sum = most + y;
    *rest = (2 * s - (most - whole)) + (y - (sum - most)) + FMA(k, ALL(0x1.a39ef35793c76p-33), 2 * s_rest + y_rest);
    return sum;
}
/* a^b, 0 < a < inf */
INLINE F NAME(positive_power)(F a, F b)
{
    F rest, log = NAME(long_log)(PICK(a, LT, ALL(0x1p-1022), a * 0x1p54, a), PICK(a, LT, ALL(0x1p-1022), ALL(-54), ALL(0)), &rest);
    b = NAME(clip)(b, -0x1p64, 0x1p64); /* 1^inf is 1 */
    F x = b * log, t, k;
    rest = PICK(NAME(absolute)(x), LT, ALL(800), FMA(b, rest, NAME(product_lost)(b, log, x)), ALL(0));
    x = NAME(clip)(x, -746, 710);
    (void)NAME(reduce)(x, &t, &k, 2046);
    F r1 = FMA(k, ALL(-0x1.62e42feep-1), x), r2 = FMA(k, ALL(-0x1.a39ef35793c76p-33), rest), r = r1 + r2, s = 1 + r; /* r1 is exact */
    return NAME(scale)(s + ((r - (s - 1)) + FMA(NAME(poly)(r) * r, r, r2 - (r - r1))), t, k);
}
#endif
#define NORMAL_FROM -0x1.6232bdd7abcd2p9 /* below, e^x is denormal or 0 */
#include "kernels/vmath_both.h"
#undef NORMAL_FROM
