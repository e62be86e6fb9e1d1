/* Softmax and its relatives, and layer norm, along contiguous rows. Of a softmax the maximum is taken out first, so that no
 * exponential overflows. Knows no tensor.
 *
 * A sum runs in 16 lanes of at most 64 addends each, then in double: vectors on every instruction set, in one order.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"
#include "kernels/vmath.h"

#include <math.h>

enum { LANES = 16, BLOCK = 64 * LANES };

/* S_name(n, a, b, c, d) = sum over i of term, of which a and b are rows and c, d numbers */
#define SUM(S, T, name, term)                                                                                        \
    INLINE double S##_##name(int64_t n, const T *a, const T *b, T c, T d)                                            \
    {                                                                                                                \
        double total = 0;                                                                                            \
        T rest = 0;                                                                                                  \
        int64_t i = 0;                                                                                               \
        (void)b, (void)c, (void)d;                                                                                   \
        while (n - i >= LANES) {                                                                                     \
            T lane[LANES] = { 0 };                                                                                   \
            int64_t stop = n - i > BLOCK ? i + BLOCK : i + (n - i) / LANES * LANES;                                  \
            for (; i < stop; i += LANES) {                                                                           \
                for (int k = 0; k < LANES; k++) lane[k] += term(a[i + k], b[i + k], c, d);                           \
            }                                                                                                        \
            T half[LANES / 2];                                                                                       \
            for (int k = 0; k < LANES / 2; k++) half[k] = lane[k] + lane[k + LANES / 2];                             \
            total += (((double)half[0] + (double)half[4]) + ((double)half[2] + (double)half[6])) +                   \
                     (((double)half[1] + (double)half[5]) + ((double)half[3] + (double)half[7]));                    \
        }                                                                                                            \
        for (; i < n; i++) rest += term(a[i], b[i], c, d);                                                           \
        return total + (double)rest;                                                                                 \
    }
#define PLAIN(a, b, c, d) (a)
#define SQUARE(a, b, c, d) (((a) - (c)) * ((a) - (c)))
#define PRODUCT(a, b, c, d) ((a) * (b))
#define ALONG(a, b, c, d) ((a) * (((b) - (c)) * (d)))
#define SUMS(S, T) SUM(S, T, sum, PLAIN) SUM(S, T, square_sum, SQUARE) SUM(S, T, product_sum, PRODUCT) SUM(S, T, along_sum, ALONG)
SUMS(f32, float)
SUMS(f64, double)

/* Exponentials are taken of as many rows at once as BLOCK elements hold: short rows would leave vectors half empty. */
#define ROWS(S, T)                                                                                                   \
    /* m = max x; a NaN may be passed over: who cares looks again */                                                 \
    INLINE T S##_row_max(int64_t n, const T *x)                                                                      \
    {                                                                                                                \
        T lane[LANES], m = -(T)INFINITY;                                                                             \
        int64_t j = 0;                                                                                               \
        if (n >= LANES) {                                                                                            \
            for (int k = 0; k < LANES; k++) lane[k] = m;                                                             \
            for (; j + LANES <= n; j += LANES)                                                                       \
                for (int k = 0; k < LANES; k++) lane[k] = x[j + k] > lane[k] ? x[j + k] : lane[k];                   \
            for (int k = 0; k < LANES; k++) m = lane[k] > m ? lane[k] : m;                                           \
        }                                                                                                            \
        for (; j < n; j++) m = x[j] > m ? x[j] : m;                                                                  \
        return m;                                                                                                    \
    }                                                                                                                \
    INLINE void S##_less(int64_t n, const T *restrict x, T m, T *restrict y)                                     \
    {                                                                                                                \
        for (int64_t j = 0; j < n; j++) y[j] = x[j] - m;                                                             \
    }                                                                                                                \
    INLINE void S##_exp_all(int64_t n, T *y)                                                                         \
    {                                                                                                                \
        for (int64_t j = 0; j < n; j++) y[j] = V(exp)(y[j]);                                                         \
    }                                                                                                                \
    static void S##_softmax(int64_t rows, int64_t n, const void *x_, void *y_)                                       \
    {                                                                                                                \
        const T *x = x_;                                                                                             \
        T *y = y_;                                                                                                   \
        for (int64_t some; rows > 0; rows -= some, x += some * n, y += some * n) {                                   \
            some = n < BLOCK && n > 0 ? BLOCK / n : 1;                                                               \
            some = some < rows ? some : rows;                                                                        \
            for (int64_t i = 0; i < some; i++) S##_less(n, x + i * n, S##_row_max(n, x + i * n), y + i * n);     \
            S##_exp_all(some * n, y);                                                                                \
            for (int64_t i = 0; i < some; i++) {                                                                     \
                T *row = y + i * n, scale = (T)(1 / S##_sum(n, row, row, 0, 0));                                     \
                for (int64_t j = 0; j < n; j++) row[j] *= scale;                                                     \
            }                                                                                                        \
        }                                                                                                            \
    }                                                                                                                \
    /* log sum exp of a row whose maximum is m, from the sum of exp(x - m); a row of -inf alone, or with +inf, is its  \
     * maximum, or NaN */                                                                                            \
    INLINE T S##_row_lse(int64_t n, const T *x, T m, double sum)                                                     \
    {                                                                                                                \
        if (m - m == 0) return m + (T)log(sum);                                                                      \
        for (int64_t j = 0; j < n; j++)                                                                              \
            if (x[j] != x[j]) return x[j];                                                                           \
        return m;                                                                                                    \
    }                                                                                                                \
    /* lse of some rows, at most BLOCK elements of them, or of one row */                                            \
    INLINE void S##_some_lse(int64_t some, int64_t n, const T *x, T *lse)                                            \
    {                                                                                                                \
        T e[BLOCK];                                                                                                  \
        if (n > BLOCK) {                                                                                             \
            double sum = 0;                                                                                          \
            T m = S##_row_max(n, x);                                                                                 \
            for (int64_t j = 0; j < n; j += BLOCK) {                                                                 \
                int64_t part = n - j < BLOCK ? n - j : BLOCK;                                                        \
                S##_less(part, x + j, m, e);                                                                     \
                S##_exp_all(part, e);                                                                                \
                sum += S##_sum(part, e, e, 0, 0);                                                                    \
            }                                                                                                        \
            *lse = S##_row_lse(n, x, m, sum);                                                                        \
            return;                                                                                                  \
        }                                                                                                            \
        for (int64_t i = 0; i < some; i++) S##_less(n, x + i * n, lse[i] = S##_row_max(n, x + i * n), e + i * n); \
        S##_exp_all(some * n, e);                                                                                    \
        for (int64_t i = 0; i < some; i++) lse[i] = S##_row_lse(n, x + i * n, lse[i], S##_sum(n, e + i * n, e + i * n, 0, 0)); \
    }                                                                                                                \
    static void S##_logsumexp(int64_t rows, int64_t n, const void *x_, void *y_)                                     \
    {                                                                                                                \
        const T *x = x_;                                                                                             \
        T *y = y_;                                                                                                   \
        for (int64_t some; rows > 0; rows -= some, x += some * n, y += some) {                                       \
            some = n < BLOCK && n > 0 ? BLOCK / n : 1;                                                               \
            some = some < rows ? some : rows;                                                                        \
            S##_some_lse(some, n, x, y);                                                                             \
        }                                                                                                            \
    }                                                                                                                \
    static void S##_log_softmax(int64_t rows, int64_t n, const void *x_, void *y_)                                   \
    {                                                                                                                \
        const T *restrict x = x_;                                                                                    \
        T *restrict y = y_, l[BLOCK];                                                                                \
        for (int64_t some; rows > 0; rows -= some) {                                                                 \
            some = n < BLOCK && n > 0 ? BLOCK / n : 1;                                                               \
            some = some < rows ? some : rows;                                                                        \
            S##_some_lse(some, n, x, l);                                                                             \
            for (int64_t i = 0; i < some; i++, x += n, y += n) {                                                     \
                T m = S##_row_max(n, x), less = l[i] - m;                                                            \
                for (int64_t j = 0; j < n; j++) y[j] = (x[j] - m) - less;                                            \
            }                                                                                                        \
        }                                                                                                            \
    }                                                                                                                \
    /* dx where the row has no finite derivative: a zero cotangent absorbs, any other leaves NaN everywhere */         \
    static void S##_lost_row(int64_t n, const T *g, T *dx)                                                           \
    {                                                                                                                \
        T all = 0;                                                                                                   \
        for (int64_t j = 0; j < n; j++)                                                                              \
            if (g[j] != 0) all = (T)NAN;                                                                             \
        for (int64_t j = 0; j < n; j++) dx[j] = all;                                                                 \
    }                                                                                                                \
    static void S##_softmax_dx(int64_t rows, int64_t n, const void *y_, const void *dy_, void *dx_)                  \
    {                                                                                                                \
        const T *restrict y = y_, *restrict g = dy_;                                                                 \
        T *restrict dx = dx_;                                                                                        \
        for (int64_t i = 0; i < rows; i++, y += n, g += n, dx += n) {                                                \
            if (y[0] != y[0]) { /* then all of it is NaN */                                                          \
                S##_lost_row(n, g, dx);                                                                              \
                continue;                                                                                            \
            }                                                                                                        \
            T sum = (T)S##_product_sum(n, g, y, 0, 0);                                                               \
            for (int64_t j = 0; j < n; j++) dx[j] = (g[j] - sum) * y[j];                                             \
        }                                                                                                            \
    }

#define NORMS(S, T)                                                                                                  \
    /* the mean, and 1 / sqrt(variance + eps) of the differences from it */                                          \
    INLINE T S##_statistics(int64_t n, const T *x, double eps, T *r)                                                 \
    {                                                                                                                \
        T mean = (T)(S##_sum(n, x, x, 0, 0) / (double)n);                                                      \
        *r = (T)(1 / sqrt(S##_square_sum(n, x, x, mean, 0) / (double)n + eps));                                      \
        return mean;                                                                                                 \
    }                                                                                                                \
    static void S##_layer_norm(int64_t rows, int64_t n, double eps, const void *x_, const void *w_, const void *b_, void *y_) \
    {                                                                                                                \
        const T *restrict x = x_, *restrict w = w_, *restrict b = b_;                                                \
        T *restrict y = y_, r;                                                                                       \
        for (int64_t i = 0; i < rows; i++, x += n, y += n) {                                                         \
            T mean = S##_statistics(n, x, eps, &r);                                                                  \
            for (int64_t j = 0; j < n; j++) y[j] = (x[j] - mean) * r * w[j] + b[j];                                  \
        }                                                                                                            \
    }                                                                                                                \
    INLINE void S##_norm_dx(int64_t n, const T *restrict x, const T *restrict w, const T *restrict g, T mean, T r, T *restrict dx) \
    {                                                                                                                \
        for (int64_t j = 0; j < n; j++) dx[j] = g[j] * w[j];                                                         \
        T plain = (T)(S##_sum(n, dx, dx, 0, 0) / (double)n);                                                         \
        T along = (T)(S##_along_sum(n, dx, x, mean, r) / (double)n);                                                 \
        for (int64_t j = 0; j < n; j++) dx[j] = (dx[j] - plain - (x[j] - mean) * r * along) * r;                     \
    }                                                                                                                \
    static void S##_layer_norm_back(int64_t rows, int64_t n, double eps, const void *x_, const void *w_, const void *dy_, void *dx_, void *dw_, void *db_) \
    {                                                                                                                \
        const T *restrict x = x_, *restrict w = w_, *restrict g = dy_;                                               \
        T *restrict dx = dx_, *restrict dw = dw_, *restrict db = db_, r;                                             \
        for (int64_t j = 0; dw && j < n; j++) dw[j] = 0;                                                             \
        for (int64_t j = 0; db && j < n; j++) db[j] = 0;                                                             \
        for (int64_t i = 0; i < rows; i++, x += n, g += n) {                                                         \
            T mean = S##_statistics(n, x, eps, &r);                                                                  \
            for (int64_t j = 0; db && j < n; j++) db[j] += g[j];                                                     \
            bool lost = !(r - r == 0); /* a row with NaN or infinity */                                              \
            for (int64_t j = 0; lost && dw && j < n; j++)                                                            \
                if (g[j] != 0) dw[j] = (T)NAN;                                                                       \
            for (int64_t j = 0; !lost && dw && j < n; j++) dw[j] += g[j] * ((x[j] - mean) * r);                      \
            if (!dx) continue;                                                                                       \
            if (lost) S##_lost_row(n, g, dx);                                                                        \
            else S##_norm_dx(n, x, w, g, mean, r, dx);                                                               \
            dx += n;                                                                                                 \
        }                                                                                                            \
    }

#define V(f) v32_##f
ROWS(f32, float)
NORMS(f32, float)
#undef V
#define V(f) v64_##f
ROWS(f64, double)
NORMS(f64, double)
#undef V

void FOR_ISA(gr__fill_rows)(gr_kernel_table *t)
{
    t->softmax[GR_K_F32] = f32_softmax, t->softmax[GR_K_F64] = f64_softmax;
    t->softmax_dx[GR_K_F32] = f32_softmax_dx, t->softmax_dx[GR_K_F64] = f64_softmax_dx;
    t->log_softmax[GR_K_F32] = f32_log_softmax, t->log_softmax[GR_K_F64] = f64_log_softmax;
    t->logsumexp[GR_K_F32] = f32_logsumexp, t->logsumexp[GR_K_F64] = f64_logsumexp;
    t->layer_norm[GR_K_F32] = f32_layer_norm, t->layer_norm[GR_K_F64] = f64_layer_norm;
    t->layer_norm_back[GR_K_F32] = f32_layer_norm_back, t->layer_norm_back[GR_K_F64] = f64_layer_norm_back;
}
