/* Pooling: where the largest element of each window is, and reading and adding by such positions.
 * A window's best is kept for a whole row of windows at a time, so that the loop runs along the row, not in the window.
 * Knows no tensor.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"

#include <math.h>
#include <string.h>

#define RUN 64    /* windows of a row at a time: their state stays in the first-level cache */
#define LINE 1024 /* elements of a row of the image, spread for these windows */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t up(int64_t a, int64_t b) { return a > 0 ? (a + b - 1) / b : 0; }

/* I: an integer of the width of T, so that both fill the same vectors; planes have less than 2^31 elements */
#define POOL(S, T, I)                                                                                                \
    /* one tap of the windows j < n of a row: x[j step], at position from + j move. The first of equals stays, a NaN wins. */ \
    static inline __attribute__((always_inline)) void S##_tap(I n, int64_t step, I move, const T *restrict x, I from, T *restrict best, I *restrict at) \
    {                                                                                                                \
        for (I j = 0; j < n; j++) {                                                                                  \
            const T v = x[j * step], b = best[j];                                                                    \
            const I take = (I)(v > b) | ((I)(v != v) & (I)(b == b)), here = (I)(from + j * move), there = at[j];     \
            best[j] = take ? v : b;                                                                                  \
            at[j] = take ? here : there;                                                                             \
        }                                                                                                            \
    }                                                                                                                \
    /* Row x of the image without the first `left` columns, phase after phase: out[f len + j] = x[left + j step + f], -inf outside */ \
    static void S##_spread(int64_t w, int64_t left, int64_t step, int64_t phases, int64_t len, const T *x, T *out)   \
    {                                                                                                                \
        for (int64_t f = 0; f < phases; f++, out += len) {                                                           \
            const int64_t first = least(len, up(-(left + f), step)), end = most(first, least(len, up(w - left - f, step))); \
            const T *from = x + left + f;                                                                            \
            for (int64_t j = 0; j < first; j++) out[j] = -(T)INFINITY;                                               \
            for (int64_t j = first; j < end; j++) out[j] = from[j * step];                                           \
            for (int64_t j = end; j < len; j++) out[j] = -(T)INFINITY;                                               \
        }                                                                                                            \
    }                                                                                                                \
    /* windows j0 .. j0 + n - 1 of row i of a plane; whole vectors of windows where their taps fit a line */         \
    static void S##_run(const gr_pool2d_size *s, int64_t i, int64_t j0, int64_t n, const T *x, int64_t *index)       \
    {                                                                                                                \
        T best[RUN], line[LINE];                                                                                     \
        I at[RUN];                                                                                                   \
        const int64_t top = i * s->stride[0] - s->padding[0], left = j0 * s->stride[1] - s->padding[1], step = s->stride[1]; \
        const int64_t all = up(n, 16) * 16, phases = least(step, s->kw), len = all + s->kw / step;                   \
        for (int64_t j = 0; j < all; j++) {                                                                          \
            best[j] = -(T)INFINITY;                                                                                  \
            at[j] = (I)(most(top, 0) * s->w + most(left + j * step, 0));                                             \
        }                                                                                                            \
        for (int64_t a = most(0, -top); a < least(s->kh, s->h - top); a++) {                                         \
            const T *row = x + (top + a) * s->w;                                                                     \
            const int64_t from = (top + a) * s->w + left;                                                            \
            if (len * phases <= LINE) {                                                                              \
                S##_spread(s->w, left, step, phases, len, row, line);                                                \
                for (int64_t b = 0; b < s->kw; b++) S##_tap((I)all, 1, (I)step, line + b % step * len + b / step, (I)(from + b), best, at); \
                continue;                                                                                            \
            }                                                                                                        \
            for (int64_t b = 0; b < s->kw; b++) {                                                                    \
                const int64_t first = up(-(left + b), step), end = least(n, up(s->w - left - b, step));              \
                if (first < end) S##_tap((I)(end - first), step, (I)step, row + left + b + first * step, (I)(from + b + first * step), best + first, at + first); \
            }                                                                                                        \
        }                                                                                                            \
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
