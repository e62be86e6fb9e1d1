/* What is composed of the functions of vmath_f32.h or vmath_f64.h in one way. No include guard: each of them includes it.
 * SPDX-License-Identifier: MIT */
/* What q = h / (1 + h) is off by is h - q - q h, divided by 1 + h, whatever was rounded before: h - q is exact up to h = 1, and
 * beyond that rounding it hurts no more than rounding the result. 2 ulp */
INLINE F NAME(tanh)(F x)
{
    const F h = NAME(half_expm1)(NAME(absolute)(x));
#ifdef FUSES
    const F z = ESTIMATE(1 + h), q = h * z, y = FMA(FMA(-q, h, h - q), z, q);
#else /* from h = 1 on q h is rounded too much, and q little enough */
    const F q = h / (1 + h), y = PICK(h, LT, ALL(1), FMA(FMA(-q, h, h - q), 1 - q, q), q);
#endif
    return NAME(with_sign)(y, x);
}
/* for x <= 0; 0 where the result would be denormal, which takes the machine a hundred times as long */
INLINE F NAME(exp_below)(F x)
{
    F power, k;
#ifdef SCALE_FROM
    const F p = NAME(exp_of_difference)(x, &power, &k);
    return SCALE_FROM(NORMAL_FROM, x, p, k);
#else
    const F p = NAME(exp_of_difference)(LARGER(ALL(NORMAL_FROM), x), &power, &k);
    return PICK(x, LT, ALL(NORMAL_FROM), ALL(0), p * power);
#endif
}
/* The normal distribution: *density e^(-x^2 / 2), and the result times it Phi(-|x|), with a small relative error for all x. */
INLINE F NAME(tail)(F x, F *density)
{
    F t = SMALLER(ALL(40), NAME(absolute)(x)), square = t * t;
    *density = NAME(exp)(ALL(-0.5) * square);
    return NAME(mills)(t) * (1 - ALL(0.5) * NAME(product_lost)(t, t, square));
}
/* x Phi(x), the small factor last: a denormal is rounded once; -inf would meet Phi = 0 */
INLINE F NAME(gelu)(F x)
{
    F density, tail = NAME(tail)(x, &density), below = NAME(clip)(x, -40, 0) * tail * density;
    return PICK(x, LT, ALL(0), below, x * (1 - tail * density));
}
/* Phi(x) + x e^(-x^2 / 2) / sqrt(2 pi) */
INLINE F NAME(gelu_d)(F x)
{
    F density, tail = NAME(tail)(x, &density), below = tail * density, p = PICK(x, LT, ALL(0), below, 1 - below);
    return FMA(NAME(clip)(x, -40, 40) * density, ALL(0x1.9884533d43651p-2), p);
}
INLINE F NAME(silu)(F x) { return LARGER(ALL(-800), x) * NAME(logistic)(x); }
INLINE F NAME(silu_d)(F x)
{
    F s = NAME(logistic)(x);
    return s * (1 + NAME(clip)(x, -800, 800) * (1 - s));
}
/* log(1 + e^x) */
INLINE F NAME(softplus)(F x) { return LARGER(ALL(0), x) + NAME(log1p)(NAME(exp)(NAME(negative)(x))); }
INLINE F NAME(at_least)(F x, double low) { return LARGER(ALL(low), x); }
/* log(1 + e^x) - x t, what cancels first */
INLINE F NAME(from_logits)(F x, F t) { return LARGER(ALL(0), x) - x * t + NAME(log1p)(NAME(exp)(NAME(negative)(x))); }
/* log p >= -100 */
INLINE F NAME(floored_log)(F p) { return PICK(p, LT, ALL(3.72007597602083e-44), ALL(-100), NAME(log)(p)); }

#ifdef LIBM
INLINE F NAME(inverse)(F x) { return INVERSE(x); }
/* What computes square roots alone takes sqrt; root leaves the units for multiplication to others. */
INLINE F NAME(root)(F x)
{
#ifdef ROOT
    return ROOT(x);
#else
    UNROLL for (int k = 0; k < VECTOR_BYTES / (int)sizeof x[0]; k++) x[k] = LIBM(sqrt)(x[k]);
    return x;
#endif
}
#ifndef SQRT
#define SQRT(x) NAME(root)(x)
#endif
INLINE F NAME(sqrt)(F x) { return SQRT(x); }
/* dy d, but 0 where dy is */
INLINE F NAME(absorb)(F dy, F d) { return PICK(dy, NEQ, ALL(0), dy * d, ALL(0)); }
/* a^b as C has it for zeros, infinities, NaN and negative a, where |a|^b is y elsewhere */
INLINE F NAME(power_of_any)(F a, F b, F y)
{
    const F u = NAME(absolute)(a), v = NAME(absolute)(b), most = ALL(sizeof a[0] == 4 ? 0x1p23 : 0x1p52); /* from here on, whole */
    const F edge = b * PICK(u, EQ, ALL(0), ALL(-INFINITY), u), half = SMALLER(most, v * ALL(0.5)), all = SMALLER(most, v);
    y = PICK(u, EQ, u + u, PICK(edge, LT, ALL(0), ALL(0), edge), y); /* 0 or infinite */
    const F odd = OF_BITS(BITS(y) ^ BITS(NAME(with_sign)(ALL(0), a))), fraction = PICK(a, LT, ALL(0), PICK(u, EQ, u + u, y, ALL(NAN)), y);
    y = PICK((all + most) - most, EQ, all, PICK((half + most) - most, EQ, half, y, odd), fraction);
    y = PICK(u, GE, ALL(0), y, u);
    y = PICK(a, EQ, ALL(1), ALL(1), y);
    return PICK(b, EQ, ALL(0), ALL(1), y);
}
static APART MAYBE_UNUSED F NAME(pow)(F a, F b)
{
    const F y = NAME(positive_power)(NAME(absolute)(a), b);
#ifdef FUSES
    if (!ANY_BEYOND(PICK(b, EQ, b, PICK(a, GT, ALL(0), a, ALL(NAN)), b), sizeof a[0] == 4 ? (double)FLT_MAX : DBL_MAX)) return y;
#endif
    return NAME(power_of_any)(a, b, y);
}
/* the derivatives: where b = 0, and for db where a = 0, 0 absorbs */
INLINE F NAME(power_da)(F a, F b) { return PICK(b, EQ, ALL(0), ALL(0), b * NAME(pow)(a, b - 1)); }
INLINE F NAME(power_db)(F a, F b, F y)
{
    const F d = y * NAME(log)(a);
    return PICK(b, GE, ALL(0), PICK(a, EQ, ALL(0), ALL(0), d), d);
}
#endif
