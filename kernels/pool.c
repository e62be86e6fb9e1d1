/* Pooling: where the largest element of each window is, and reading and adding by such positions.
 * A block of windows at a time: as in conv.c, the rows and columns of the image that are equal modulo the stride are put
 * side by side, so that each tap of all windows of the block is one run of elements.
 * Knows no tensor.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"

#include <math.h>
#include <string.h>

#define WINDOWS 512 /* of a block: their state stays in the first-level cache */
#define COLUMNS 256
#define SPREAD 4096 /* elements of the image for a block */

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t up(int64_t a, int64_t b) { return a > 0 ? (a + b - 1) / b : 0; }

/* Windows (i .. i + rows - 1, j .. j + cols - 1). A row of a phase has len elements, lead rows more than there are windows. */
typedef struct block {
    int64_t i, j, rows, cols, len, lead;
} block;

/* The largest blocks that fit; rows < 1: none do. */
static block block_of(const gr_pool2d_size *s)
{
    block k = { .cols = gr__least(s->ow, COLUMNS), .lead = (s->kh - 1) / s->stride[0] };
    k.len = k.cols + (s->kw - 1) / s->stride[1];
    const int64_t phases = gr__least(s->stride[0], s->kh) * gr__least(s->stride[1], s->kw);
    const int64_t rows = phases > SPREAD || k.len > SPREAD ? 0 : (SPREAD - 16) / (phases * k.len) - k.lead;
    k.rows = gr__least(s->oh, gr__least(rows, (WINDOWS - 16) / k.len));
    return k;
}

/* I: an integer of the width of T, so that both fill the same vectors; planes have less than 2^31 elements */
#define POOL(S, T, I)                                                                                                \
    /* One tap of windows q < n: x[q], at position base[q] + add. The first of equals stays, a NaN wins. */          \
    static void S##_tap(I n, const T *restrict x, const I *restrict base, I add, T *restrict best, I *restrict at)   \
    {                                                                                                                \
        for (I q = 0; q < n; q++) {                                                                                  \
            const T v = x[q], b = best[q];                                                                           \
            const I take = (I)(v > b) | ((I)(v != v) & (I)(b == b)), here = (I)(base[q] + add), there = at[q];       \
            best[q] = take ? v : b;                                                                                  \
            at[q] = take ? here : there;                                                                             \
        }                                                                                                            \
    }                                                                                                                \
    /* The rows of the image that a block reads, phase after phase; -inf outside of the image. */                    \
    static void S##_spread(const gr_pool2d_size *s, const block *k, const T *x, T *out)                              \
    {                                                                                                                \
        const int64_t sh = s->stride[0], sw = s->stride[1], top = k->i * sh - s->padding[0], left = k->j * sw - s->padding[1]; \
        const int64_t len = k->len, rows = k->rows + k->lead, phases = gr__least(sw, s->kw);                             \
        for (int64_t f = 0; f < gr__least(sh, s->kh) * phases; f++) {                                                    \
            const int64_t start = left + f % phases, first = gr__least(len, up(-start, sw)), end = most(first, gr__least(len, up(s->w - start, sw))); \
            for (int64_t r = 0; r < rows; r++, out += len) {                                                         \
                const int64_t i = top + r * sh + f / phases;                                                         \
                const bool inside = i >= 0 && i < s->h;                                                              \
                const T *restrict from = x + (inside ? i * s->w + start : 0);                                        \
                T *restrict to = out;                                                                                \
                const int64_t low = inside ? first : len, high = inside ? end : len;                                 \
                for (int64_t j = 0; j < low; j++) to[j] = -(T)INFINITY;                                              \
                if (sw == 1)                                                                                         \
                    for (int64_t j = low; j < high; j++) to[j] = from[j];                                            \
                else if (sw == 2)                                                                                    \
                    for (int64_t j = low; j < high; j++) to[j] = from[2 * j];                                        \
                else                                                                                                 \
                    for (int64_t j = low; j < high; j++) to[j] = from[j * sw];                                       \
                for (int64_t j = high; j < len; j++) to[j] = -(T)INFINITY;                                           \
            }                                                                                                        \
        }                                                                                                            \
        for (int64_t q = 0; q < 16; q++) out[q] = -(T)INFINITY;                                                      \
    }                                                                                                                \
    static void S##_block(const gr_pool2d_size *s, const block *k, const T *x, int64_t *index)                       \
    {                                                                                                                \
        T best[WINDOWS], part[SPREAD];                                                                               \
        I at[WINDOWS], base[WINDOWS];                                                                                \
        const int64_t sh = s->stride[0], sw = s->stride[1], top = k->i * sh - s->padding[0], left = k->j * sw - s->padding[1]; \
        const int64_t rows = k->rows, len = k->len, n = rows * len, all = up(n, 16) * 16, phases = gr__least(sw, s->kw), plane = (rows + k->lead) * len; \
        for (int64_t q = n; q < all; q++) best[q] = 0, base[q] = at[q] = 0;                                          \
        for (int64_t r = 0; r < rows; r++)                                                                           \
            for (int64_t j = 0; j < len; j++) {                                                                      \
                const I row = (I)(top + r * sh), column = (I)(left + j * sw), width = (I)s->w;                       \
                best[r * len + j] = -(T)INFINITY;                                                                    \
                base[r * len + j] = row * width + column;                                                            \
                at[r * len + j] = (row > 0 ? row : 0) * width + (column > 0 ? column : 0);                           \
            }                                                                                                        \
        S##_spread(s, k, x, part);                                                                                   \
        for (int64_t a = 0; a < s->kh; a++)                                                                          \
            for (int64_t b = 0; b < s->kw; b++)                                                                      \
                S##_tap((I)all, part + (a % sh * phases + b % sw) * plane + a / sh * len + b / sw, base, (I)(a * s->w + b), best, at); \
        const int64_t cols = k->cols, ow = s->ow;                                                                    \
        for (int64_t r = 0; r < rows; r++)                                                                           \
            for (int64_t j = 0; j < cols; j++) index[r * ow + j] = at[r * len + j];                                  \
    }                                                                                                                \
    /* one window, where the kernel or the stride is too large for blocks */                                         \
    static int64_t S##_window(const gr_pool2d_size *s, int64_t top, int64_t left, const T *x)                        \
    {                                                                                                                \
        int64_t at = most(top, 0) * s->w + most(left, 0);                                                            \
        for (int64_t i = most(top, 0); i < gr__least(top + s->kh, s->h); i++)                                            \
            for (int64_t j = most(left, 0); j < gr__least(left + s->kw, s->w); j++) {                                    \
                const T v = x[i * s->w + j], b = x[at];                                                              \
                if (v > b || (v != v && b == b)) at = i * s->w + j;                                                  \
            }                                                                                                        \
        return at;                                                                                                   \
    }                                                                                                                \
    static void S##_argmax_pool2d(const gr_pool2d_size *s, const void *x_, int64_t *index)                           \
    {                                                                                                                \
        const T *x = x_;                                                                                             \
        const block whole = block_of(s);                                                                             \
        for (int64_t p = 0; p < s->planes; p++, x += s->h * s->w, index += s->oh * s->ow)                            \
            for (int64_t i = 0; i < s->oh; i += most(whole.rows, 1))                                                 \
                for (int64_t j = 0; j < s->ow; j += whole.cols) {                                                    \
                    block k = whole;                                                                                 \
                    k.i = i, k.j = j, k.rows = gr__least(k.rows, s->oh - i), k.cols = gr__least(k.cols, s->ow - j);          \
                    if (k.rows > 0) S##_block(s, &k, x, index + i * s->ow + j);                                      \
                    else                                                                                             \
                        for (int64_t q = 0; q < k.cols; q++)                                                         \
                            index[i * s->ow + j + q] = S##_window(s, i * s->stride[0] - s->padding[0], (j + q) * s->stride[1] - s->padding[1], x); \
                }                                                                                                    \
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
IF_OWN_F64(POOL(f64, double, int64_t))

void FOR_ISA(gr__fill_pool)(gr_kernel_table *t)
{
    SET_FLOATS(argmax_pool2d, argmax_pool2d);
    SET_FLOATS(read_planes, read_planes);
    SET_FLOATS(add_planes, add_planes);
}
