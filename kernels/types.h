/* Includes BODY for f32 and, unless F32_ALONE, for f64. There T is the type of an element, S its name, I the integer as wide,
 * M(g) the function g of libm and V(f) the function f of vmath.h for whole vectors. No include guard: included once for each body.
 * SPDX-License-Identifier: MIT */
#define T float
#define S f32
#define I int32_t
#define M(g) g##f
#define V(f) vv32_##f
#include BODY
#undef T
#undef S
#undef I
#undef M
#undef V
#ifndef F32_ALONE
#define T double
#define S f64
#define I int64_t
#define M(g) g
#define V(f) vv64_##f
#include BODY
#undef T
#undef S
#undef I
#undef M
#undef V
#endif
#undef BODY
