/* The softmax of attention scores in place, and its derivative: a row at a time, of which only the first elements take part.
 * Knows no tensor.
 *
 * Sums run in 16 lanes, so that they are vectors on every instruction set, in one order.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"
#include "kernels/vmath.h"

enum { LANES = 16 };
#define LARGER(a, b) ((a) > (b) ? (a) : (b))

/* I: an integer of the width of T, so that both fill the same vectors; rows have less than 2^31 elements */
#define ATTENTION(S, T, I)                                                                                              \
    INLINE T S##_lanes_sum(const T *lane)                                                                            \
    {                                                                                                                \
        T half[LANES / 2];                                                                                           \
        for (int k = 0; k < LANES / 2; k++) half[k] = lane[k] + lane[k + LANES / 2];                                 \
        return ((half[0] + half[4]) + (half[2] + half[6])) + ((half[1] + half[5]) + (half[3] + half[7]));            \
    }                                                                                                                \
    INLINE T S##_largest(int64_t n, const T *x)                                                                      \
    {                                                                                                                \
        T lane[LANES], half[LANES / 2], m = -(T)INFINITY;                                                            \
        int64_t j = 0;                                                                                               \
        for (int k = 0; k < LANES; k++) lane[k] = m;                                                                 \
        for (; j + LANES <= n; j += LANES)                                                                           \
            for (int k = 0; k < LANES; k++) lane[k] = LARGER(x[j + k], lane[k]);                                     \
        for (int k = 0; k < LANES / 2; k++) half[k] = LARGER(lane[k], lane[k + LANES / 2]);                          \
        for (int k = 0; k < LANES / 2; k++) m = LARGER(half[k], m);                                                  \
        for (; j < n; j++) m = LARGER(x[j], m);                                                                      \
        return m;                                                                                                    \
    }                                                                                                                \
    INLINE T S##_total(int64_t n, const T *x)                                                                        \
    {                                                                                                                \
        T lane[LANES] = { 0 }, rest = 0;                                                                             \
        int64_t j = 0;                                                                                               \
        for (; j + LANES <= n; j += LANES)                                                                           \
            for (int k = 0; k < LANES; k++) lane[k] += x[j + k];                                                     \
        for (; j < n; j++) rest += x[j];                                                                             \
        return S##_lanes_sum(lane) + rest;                                                                           \
    }                                                                                                                \
    INLINE T S##_dot(int64_t n, const T *x, const T *y)                                                              \
    {                                                                                                                \
        T lane[LANES] = { 0 }, rest = 0;                                                                             \
        int64_t j = 0;                                                                                               \
        for (; j + LANES <= n; j += LANES)                                                                           \
            for (int k = 0; k < LANES; k++) lane[k] += x[j + k] * y[j + k];                                          \
        for (; j < n; j++) rest += x[j] * y[j];                                                                      \
        return S##_lanes_sum(lane) + rest;                                                                           \
    }                                                                                                                \
    static void S##_attention(int64_t rows, int64_t n, int64_t seen, int64_t step, double scale, void *x_)           \
    {                                                                                                                \
        T *x = x_;                                                                                                   \
        for (; rows > 0; rows--, x += n, seen += step) {                                                             \
            const int64_t m = seen < n ? seen : n, whole = (m + LANES - 1) / LANES * LANES, wide = whole < n ? whole : n; \
            /* Whole vectors, with a number that is there beyond m: the exponential of -inf would be denormal on its way */ \
            /* to 0, which takes some processors a hundred times as long. */                                         \
            const T first = x[0];                                                                                    \
            for (I j = 0; j < (I)wide; j++) {                                                                        \
                const T v = x[j];                                                                                    \
                x[j] = (j < (I)m ? v : first) * (T)scale;                                                            \
            }                                                                                                        \
            const T most = S##_largest(wide, x); /* may pass over a NaN, which the sum then finds */                 \
            for (I j = 0; j < (I)wide; j++) {                                                                        \
                const T e = V(exp)(x[j] - most);                                                                     \
                x[j] = j < (I)m ? e : 0;                                                                             \
            }                                                                                                        \
            for (int64_t j = wide; j < n; j++) x[j] = 0;                                                             \
            const T share = 1 / S##_total(wide, x);                                                                  \
            for (int64_t j = 0; j < wide; j++) x[j] *= share;                                                        \
        }                                                                                                            \
    }                                                                                                                \
    static void S##_attention_dx(int64_t rows, int64_t n, int64_t seen, int64_t step, double scale, const void *p_, void *d_) \
    {                                                                                                                \
        const T *restrict p = p_;                                                                                    \
        T *restrict d = d_;                                                                                          \
        for (; rows > 0; rows--, p += n, d += n, seen += step) {                                                     \
            const int64_t m = seen < n ? seen : n;                                                                   \
            const T along = S##_dot(m, p, d);                                                                        \
            for (int64_t j = 0; j < m; j++) d[j] = (d[j] - along) * (p[j] * (T)scale);                               \
            for (int64_t j = m; j < n; j++) d[j] = 0;                                                                \
        }                                                                                                            \
    }

#define V(f) v32_##f
ATTENTION(f32, float, int32_t)
#undef V
#define V(f) v64_##f
ATTENTION(f64, double, int64_t)
#undef V

void FOR_ISA(gr__fill_attention)(gr_kernel_table *t)
{
    t->attention[GR_K_F32] = f32_attention, t->attention[GR_K_F64] = f64_attention;
    t->attention_dx[GR_K_F32] = f32_attention_dx, t->attention_dx[GR_K_F64] = f64_attention_dx;
}
