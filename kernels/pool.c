/* Pooling: where the largest element of each window is, and reading and adding by such positions.
 * A window's best is kept for a whole row of windows at a time, so that the loop runs along the row, not in the window.
 * Knows no tensor.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"

#include <math.h>
#include <string.h>

#define RUN 256 /* windows of a row at a time: their state stays in the first-level cache */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t up(int64_t a, int64_t b) { return a > 0 ? (a + b - 1) / b : 0; }

/* I: an integer of the width of T, so that both fill the same vectors; planes have less than 2^31 elements */
#define POOL(S, T, I)                                                                                                \
    /* one tap of the windows j < n of a row: x[j step], at position from + j step. The first of equals stays, a NaN wins. */ \
    static inline __attribute__((always_inline)) void S##_tap(int64_t n, int64_t step, const T *x, I from, T *best, I *at) \
    {                                                                                                                \
        for (int64_t j = 0; j < n; j++) {                                                                            \
            const T v = x[j * step], b = best[j];                                                                    \
            const bool take = (v > b) | ((v != v) & (b == b));                                                       \
            best[j] = take ? v : b;                                                                                  \
            at[j] = take ? (I)(from + (I)(j * step)) : at[j];                                                        \
        }                                                                                                            \
    }                                                                                                                \
    /* windows j0 .. j0 + n - 1 of row i of a plane */                                                               \
    static void S##_run(const gr_pool2d_size *s, int64_t i, int64_t j0, int64_t n, const T *x, int64_t *index)       \
    {                                                                                                                \
        T best[RUN];                                                                                                 \
        I at[RUN];                                                                                                   \
        const int64_t top = i * s->stride[0] - s->padding[0], left = j0 * s->stride[1] - s->padding[1], step = s->stride[1]; \
        for (int64_t j = 0; j < n; j++) {                                                                            \
            best[j] = -(T)INFINITY;                                                                                  \
            at[j] = (I)(most(top, 0) * s->w + most(left + j * step, 0));                                             \
        }                                                                                                            \
        for (int64_t a = most(0, -top); a < least(s->kh, s->h - top); a++)                                           \
            for (int64_t b = 0; b < s->kw; b++) {                                                                    \
                const int64_t first = up(-(left + b), step), end = least(n, up(s->w - left - b, step));              \
                const int64_t from = (top + a) * s->w + left + b + first * step;                                     \
                if (first >= end) continue;                                                                          \
                if (step == 1) S##_tap(end - first, 1, x + from, (I)from, best + first, at + first);                 \
                else if (step == 2) S##_tap(end - first, 2, x + from, (I)from, best + first, at + first);            \
                else S##_tap(end - first, step, x + from, (I)from, best + first, at + first);                        \
            }                                                                                                        \
        for (int64_t j = 0; j < n; j++) index[j] = at[j];                                                            \
    }                                                                                                                \
    static void S##_argmax_pool2d(const gr_pool2d_size *s, const void *x_, int64_t *index)                        \
    {                                                                                                                \
        const T *x = x_;                                                                                             \
        for (int64_t p = 0; p < s->planes; p++, x += s->h * s->w)                                                    \
            for (int64_t i = 0; i < s->oh; i++, index += s->ow)                                                      \
                for (int64_t j = 0; j < s->ow; j += RUN) S##_run(s, i, j, least(RUN, s->ow - j), x, index + j);      \
    }                                                                                                                \
    static void S##_read_planes(int64_t planes, int64_t n, int64_t plane, const int64_t *index, const void *x_, void *y_) \
    {                                                                                                                \
        const T *x = x_;                                                                                             \
        T *y = y_;                                                                                                   \
        for (int64_t p = 0; p < planes; p++, x += plane, y += n, index += n)                                         \
            for (int64_t j = 0; j < n; j++) y[j] = x[index[j]];                                                      \
    }                                                                                                                \
    static void S##_add_planes(int64_t planes, int64_t n, int64_t plane, const int64_t *index, const void *g_, void *y_) \
    {                                                                                                                \
        const T *g = g_;                                                                                             \
        T *y = y_;                                                                                                   \
        memset(y, 0, (size_t)(planes * plane) * sizeof(T));                                                          \
        for (int64_t p = 0; p < planes; p++, g += n, y += plane, index += n)                                         \
            for (int64_t j = 0; j < n; j++) y[index[j]] += g[j];                                                     \
    }
POOL(f32, float, int32_t)
POOL(f64, double, int64_t)

void FOR_ISA(gr__fill_pool)(gr_kernel_table *t)
{
    t->argmax_pool2d[GR_K_F32] = f32_argmax_pool2d, t->argmax_pool2d[GR_K_F64] = f64_argmax_pool2d;
    t->read_planes[GR_K_F32] = f32_read_planes, t->read_planes[GR_K_F64] = f64_read_planes;
    t->add_planes[GR_K_F32] = f32_add_planes, t->add_planes[GR_K_F64] = f64_add_planes;
}
