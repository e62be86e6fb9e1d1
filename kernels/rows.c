/* Softmax and its relatives along contiguous rows: the maximum is taken out first, so that no exponential overflows.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"
#include "kernels/vmath.h"

#include <math.h>

#define ROWS(S, T, exp_)                                                                                             \
    /* m = max x, NaN if any is */                                                                                   \
    static T S##_row_max(int64_t n, const T *x)                                                                      \
    {                                                                                                                \
        T m = -(T)INFINITY;                                                                                          \
        for (int64_t j = 0; j < n; j++) m = x[j] > m || x[j] != x[j] ? x[j] : m;                                     \
        return m;                                                                                                    \
    }                                                                                                                \
    /* log sum exp of a row whose maximum is m; a row of -inf alone, or with +inf, is its maximum */                 \
    static T S##_row_lse(int64_t n, const T *x, T m)                                                                 \
    {                                                                                                                \
        if (m - m != 0) return m;                                                                                    \
        double sum = 0;                                                                                              \
        for (int64_t j = 0; j < n; j++) sum += (double)exp_(x[j] - m);                                             \
        return m + (T)log(sum);                                                                                      \
    }                                                                                                                \
    static void S##_softmax(int64_t rows, int64_t n, const void *x_, void *y_)                                       \
    {                                                                                                                \
        const T *x = x_;                                                                                             \
        T *y = y_;                                                                                                   \
        for (int64_t i = 0; i < rows; i++, x += n, y += n) {                                                         \
            T m = S##_row_max(n, x);                                                                                 \
            double sum = 0;                                                                                          \
            for (int64_t j = 0; j < n; j++) {                                                                        \
                y[j] = exp_(x[j] - m);                                                                             \
                sum += (double)y[j];                                                                                 \
            }                                                                                                        \
            T scale = (T)(1 / sum);                                                                                  \
            for (int64_t j = 0; j < n; j++) y[j] *= scale;                                                           \
        }                                                                                                            \
    }                                                                                                                \
    static void S##_log_softmax(int64_t rows, int64_t n, const void *x_, void *y_)                                   \
    {                                                                                                                \
        const T *x = x_;                                                                                             \
        T *y = y_;                                                                                                   \
        for (int64_t i = 0; i < rows; i++, x += n, y += n) {                                                         \
            T m = S##_row_max(n, x), l = S##_row_lse(n, x, m) - m;                                                   \
            for (int64_t j = 0; j < n; j++) y[j] = (x[j] - m) - l;                                                   \
        }                                                                                                            \
    }                                                                                                                \
    static void S##_logsumexp(int64_t rows, int64_t n, const void *x_, void *y_)                                     \
    {                                                                                                                \
        const T *x = x_;                                                                                             \
        for (int64_t i = 0; i < rows; i++, x += n) ((T *)y_)[i] = S##_row_lse(n, x, S##_row_max(n, x));              \
    }
ROWS(f32, float, v32_exp)
ROWS(f64, double, v64_exp)

void FOR_ISA(gr__fill_rows)(gr_kernel_table *t)
{
    t->softmax[GR_K_F32] = f32_softmax, t->softmax[GR_K_F64] = f64_softmax;
    t->log_softmax[GR_K_F32] = f32_log_softmax, t->log_softmax[GR_K_F64] = f64_log_softmax;
    t->logsumexp[GR_K_F32] = f32_logsumexp, t->logsumexp[GR_K_F64] = f64_logsumexp;
}
