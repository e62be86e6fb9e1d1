/* Element-wise loops, one function for each row of the table and type.
 * Knows no shape and no strides: a dense run of n elements of each operand. The body is included once for each type.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"

#include <math.h>
#include <string.h>

/* No iteration reads what another writes: the result is an operand itself, or apart from it. */
#ifdef __clang__
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

/* a > b is b < a */
#define MIRRORED(name, mirror) static void name(int64_t n, char *const *p) { mirror(n, (char *[]){ p[0], p[2], p[1] }); }
#define BODY "kernels/elementwise_body.h"
#include "kernels/own_types.h"

#define WHERE(S, T)                                                                                                  \
    static void S##_where(int64_t n, char *const *p)                                                                 \
    {                                                                                                                \
        T *y = (T *)(void *)p[0];                                                                                    \
        const bool *c = (const bool *)p[1];                                                                          \
        const T *a = (const T *)(const void *)p[2], *b = (const T *)(const void *)p[3];                              \
        INDEPENDENT for (int64_t i = 0; i < n; i++) {                                                                \
            T u = a[i], v = b[i];                                                                                    \
            y[i] = c[i] ? u : v;                                                                                     \
        }                                                                                                            \
    }
WHERE(f32, float)
IF_OWN_F64(WHERE(f64, double))

#ifdef OWN_INTEGERS
/* ---- integers and bools: what index arithmetic and masks need --------------------------------------------------------*/
#define EW_ANY(name, T, R, expr)                                                                                     \
    static void name(int64_t n, char *const *p)                                                                      \
    {                                                                                                                \
        R *y_ = (R *)(void *)p[0];                                                                                   \
        const T *a_ = (const T *)(const void *)p[1], *b_ = (const T *)(const void *)p[2];                            \
        INDEPENDENT for (int64_t i = 0; i < n; i++) {                                                                \
            T a = a_[i], b = b_[i];                                                                                  \
            y_[i] = (expr);                                                                                          \
        }                                                                                                            \
    }
/* signed overflow wraps, as in every tensor library: computed unsigned */
EW_ANY(i64_add, int64_t, int64_t, (int64_t)((uint64_t)a + (uint64_t)b))
EW_ANY(i64_sub, int64_t, int64_t, (int64_t)((uint64_t)a - (uint64_t)b))
EW_ANY(i64_mul, int64_t, int64_t, (int64_t)((uint64_t)a * (uint64_t)b))
EW_ANY(i64_maximum, int64_t, int64_t, a > b ? a : b)
EW_ANY(i64_minimum, int64_t, int64_t, a < b ? a : b)
#define ROW(name, op) EW_ANY(i64_##name, int64_t, bool, a op b) EW_ANY(bool_##name, bool, bool, a op b)
ROW(eq, ==) ROW(ne, !=) ROW(lt, <) ROW(le, <=)
#undef ROW
MIRRORED(i64_gt, i64_lt)
MIRRORED(i64_ge, i64_le)
MIRRORED(bool_gt, bool_lt)
MIRRORED(bool_ge, bool_le)

#define I64_UNARY(name, expr)                                                                                        \
    static void i64_##name(int64_t n, char *const *p)                                                                \
    {                                                                                                                \
        int64_t *y = (int64_t *)(void *)p[0];                                                                        \
        const int64_t *x_ = (const int64_t *)(const void *)p[1];                                                     \
        INDEPENDENT for (int64_t i = 0; i < n; i++) {                                                                \
            int64_t x = x_[i];                                                                                       \
            y[i] = (expr);                                                                                           \
        }                                                                                                            \
    }
I64_UNARY(neg, (int64_t)(0 - (uint64_t)x))
I64_UNARY(abs, x < 0 ? (int64_t)(0 - (uint64_t)x) : x)
I64_UNARY(sign, (x > 0) - (x < 0))
I64_UNARY(square, (int64_t)((uint64_t)x * (uint64_t)x))
WHERE(bool, bool)
WHERE(i64, int64_t)
#endif

#ifdef OWN_F64
/* ---- copies and conversions ----------------------------------------------------------------------------------------*/
#define COPY(S, T)                                                                                                   \
    static void S##_copy(int64_t n, void *y_, int64_t sy, const void *x_, int64_t sx)                                \
    {                                                                                                                \
        T *y = y_;                                                                                                   \
        const T *x = x_;                                                                                             \
        if (sy == 1 && sx == 1) memmove(y, x, (size_t)n * sizeof *y);                                                \
        else if (sy == 1 && sx == 0) for (int64_t i = 0; i < n; i++) y[i] = *x;                                      \
        else for (int64_t i = 0; i < n; i++) y[i * sy] = x[i * sx];                                                  \
    }
COPY(bool, bool)
COPY(i64, int64_t)
COPY(f32, float)
COPY(f64, double)

/* A float outside i64, or NaN, has no integer: the nearest bound, and 0 for NaN. */
static inline int64_t to_i64(double v)
{
    if (v != v) return 0;
    if (v <= -9223372036854775808.0) return INT64_MIN;
    return v >= 9223372036854775808.0 ? INT64_MAX : (int64_t)v;
}
#define CONVERT(A, TA, B, TB, expr)                                                                                  \
    static void A##_to_##B(int64_t n, char *const *p)                                                                \
    {                                                                                                                \
        TB *y = (TB *)(void *)p[0];                                                                                  \
        const TA *x_ = (const TA *)(const void *)p[1];                                                               \
        INDEPENDENT for (int64_t i = 0; i < n; i++) {                                                                \
            TA x = x_[i];                                                                                            \
            y[i] = (TB)(expr);                                                                                       \
        }                                                                                                            \
    }
CONVERT(bool, bool, bool, bool, x)
CONVERT(bool, bool, i64, int64_t, x)
CONVERT(bool, bool, f32, float, x)
CONVERT(bool, bool, f64, double, x)
CONVERT(i64, int64_t, bool, bool, x != 0)
CONVERT(i64, int64_t, i64, int64_t, x)
CONVERT(i64, int64_t, f32, float, x)
CONVERT(i64, int64_t, f64, double, x)
CONVERT(f32, float, bool, bool, x != 0)
CONVERT(f32, float, i64, int64_t, to_i64((double)x))
CONVERT(f32, float, f32, float, x)
CONVERT(f32, float, f64, double, x)
CONVERT(f64, double, bool, bool, x != 0)
CONVERT(f64, double, i64, int64_t, to_i64(x))
CONVERT(f64, double, f32, float, x)
CONVERT(f64, double, f64, double, x)
#endif

/* ---- the table -----------------------------------------------------------------------------------------------------*/
void FOR_ISA(gr__fill_elementwise)(gr_kernel_table *t)
{
#define SET(name, type, fn) t->ew[GR_EW_##name][type] = fn;
#define FLOATS(name) SET_FLOATS(ew[GR_EW_##name], name);
/* operands of a derivative: dy, then those of the value, then y */
#define DERIVATIVE(name, read) FLOATS(name) t->reads[GR_EW_##name] = 1 + 2 * GR_READS_##read;
    for (int k = 0; k < GR_EW_COUNT; k++) t->reads[k] = UINT8_MAX;
#define ROW(name, y, d, reads) FLOATS(name) DERIVATIVE(name##_dx, reads)
    GR_EW_PLAIN(ROW)
#undef ROW
#define ROW(name, y, da, reads_a, db, reads_b) FLOATS(name) DERIVATIVE(name##_da, reads_a) DERIVATIVE(name##_db, reads_b)
    GR_EW_BINARY_PLAIN(ROW)
#undef ROW
#define ROW(name, op) FLOATS(name)
    GR_EW_COMPARE(ROW)
#undef ROW
    FLOATS(where)
#ifdef OWN_INTEGERS
#define ROW(name, op) SET(name, GR_K_I64, i64_##name) SET(name, GR_K_BOOL, bool_##name)
    GR_EW_COMPARE(ROW)
    ROW(where, )
#undef ROW
#define ROW(name) SET(name, GR_K_I64, i64_##name)
    ROW(neg) ROW(abs) ROW(sign) ROW(square) ROW(add) ROW(sub) ROW(mul) ROW(maximum) ROW(minimum)
    SET(clamp_min, GR_K_I64, i64_maximum) SET(clamp_max, GR_K_I64, i64_minimum)
#undef ROW
#endif
#ifdef OWN_F64
#define ROW(A, KA, B, KB) t->convert[KA][KB] = A##_to_##B;
    ROW(bool, GR_K_BOOL, bool, GR_K_BOOL) ROW(i64, GR_K_I64, i64, GR_K_I64) ROW(f32, GR_K_F32, f32, GR_K_F32) ROW(f64, GR_K_F64, f64, GR_K_F64)
    ROW(bool, GR_K_BOOL, i64, GR_K_I64) ROW(bool, GR_K_BOOL, f32, GR_K_F32) ROW(bool, GR_K_BOOL, f64, GR_K_F64)
    ROW(i64, GR_K_I64, bool, GR_K_BOOL) ROW(i64, GR_K_I64, f32, GR_K_F32) ROW(i64, GR_K_I64, f64, GR_K_F64)
    ROW(f32, GR_K_F32, bool, GR_K_BOOL) ROW(f32, GR_K_F32, i64, GR_K_I64) ROW(f32, GR_K_F32, f64, GR_K_F64)
    ROW(f64, GR_K_F64, bool, GR_K_BOOL) ROW(f64, GR_K_F64, i64, GR_K_I64) ROW(f64, GR_K_F64, f32, GR_K_F32)
#undef ROW
    t->copy[GR_K_BOOL] = bool_copy, t->copy[GR_K_I64] = i64_copy, t->copy[GR_K_F32] = f32_copy, t->copy[GR_K_F64] = f64_copy;
#endif
}
