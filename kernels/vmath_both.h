/* What is composed of the functions of vmath_f32.h or vmath_f64.h in one way. No include guard: each of them includes it.
 * SPDX-License-Identifier: MIT */
/* The normal distribution: *density e^(-x^2 / 2), and the result times it Phi(-|x|), with a small relative error for all x. */
INLINE F NAME(tail)(F x, F *density)
{
    F t = SMALLER(ALL(40), NAME(absolute)(x)), square = t * t;
    *density = NAME(exp)(ALL(-0.5) * square);
    return NAME(mills)(t) * (1 - ALL(0.5) * NAME(square_lost)(t, square));
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
INLINE F NAME(softplus)(F x) { return LARGER(ALL(0), x) + NAME(log1p)(NAME(exp)(-NAME(absolute)(x))); }
INLINE F NAME(at_least)(F x, double low) { return LARGER(ALL(low), x); }
/* log(1 + e^x) - x t, what cancels first */
INLINE F NAME(from_logits)(F x, F t) { return LARGER(ALL(0), x) - x * t + NAME(log1p)(NAME(exp)(-NAME(absolute)(x))); }
/* log p >= -100 */
INLINE F NAME(floored_log)(F p) { return PICK(p, LT, ALL(3.72007597602083e-44), ALL(-100), NAME(log)(p)); }
