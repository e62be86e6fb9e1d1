/* The loops of max_tiles.c for one type: T of suffix S, I its integer of the same size. No include guard: it is included once
 * for each type, after lanes.h.
 * SPDX-License-Identifier: MIT */
#define vec N(S, vec)
#define mask N(S, mask)
#define W N(S, W)

/* y[q] = max of x[q kw .. q kw + kw - 1], n windows of one row each */
static void N(S, widest)(int64_t n, int64_t kw, const T *restrict x, T *restrict y)
{
    if (kw == 2) {
        for (int64_t q = 0; q < n; q++) {
            const T a = x[2 * q], b = x[2 * q + 1];
            y[q] = ((b > a) | (b != b)) ? b : a;
        }
        return;
    }
    for (int64_t q = 0; q < n; q++) {
        T most = x[q * kw];
        for (int64_t b = 1; b < kw; b++) {
            const T v = x[q * kw + b];
            most = ((v > most) | (v != v)) ? v : most;
        }
        y[q] = most;
    }
}

/* part[b][q] = x[q kw + b], lines n apart; and back */
static void N(S, split)(int64_t n, int64_t kw, const T *restrict x, T *restrict part)
{
    T *restrict odd = part + n;
    if (kw == 2)
        for (int64_t q = 0; q < n; q++) part[q] = x[2 * q], odd[q] = x[2 * q + 1];
    else
        for (int64_t b = 0; b < kw; b++)
            for (int64_t q = 0; q < n; q++) part[b * n + q] = x[q * kw + b];
}
static void N(S, unite)(int64_t n, int64_t kw, const T *restrict part, T *restrict x)
{
    const T *restrict odd = part + n;
    if (kw == 2)
        for (int64_t q = 0; q < n; q++) x[2 * q] = part[q], x[2 * q + 1] = odd[q];
    else
        for (int64_t b = 0; b < kw; b++)
            for (int64_t q = 0; q < n; q++) x[q * kw + b] = part[b * n + q];
}

/* The first n elements at p; those beyond are not touched. */
INLINE vec N(S, some)(const T *p, int64_t n) { return N(S, take)(p, n, (vec){ 0 }); }

/* Rows of windows at a time, of images whose rows take `row` elements each. */
static int64_t N(S, block)(int64_t row, int64_t rows, int64_t left)
{
    const int64_t most = GR_TILES_MOST / (row * rows);
    return most < left ? most : left;
}

static void N(S, max_tiles)(const gr_pool2d_size *s, const void *x_, void *y_)
{
    T line[GR_TILES_MOST];
    const T *x = x_;
    T *y = y_;
    const int64_t ow = s->ow, kh = s->kh, kw = s->kw;
    for (int64_t p = 0; p < s->planes; p++, x += s->h * s->w)
        for (int64_t i = 0, rows; i < s->oh; i += rows) {
            rows = N(S, block)(s->w, kh, s->oh - i);
            N(S, widest)(rows * kh * ow, kw, x + i * kh * s->w, line);
            for (int64_t r = 0; r < rows; r++, y += ow)
                for (int64_t j = 0; j < ow; j += W) {
                    const T *from = line + r * kh * ow + j;
                    const int64_t n = ow - j;
                    vec most = N(S, some)(from, n);
                    for (int64_t a = 1; a < kh; a++) {
                        const vec v = N(S, some)(from + a * ow, n);
                        most = N(S, choose)(v != v, v, N(S, larger_of)(v, most));
                    }
                    N(S, put)(y + j, n, most);
                }
        }
}

static void N(S, max_tiles_dx)(const gr_pool2d_size *s, const void *x_, const void *y_, const void *dy_, void *dx_)
{
    T part[GR_TILES_MOST], grad[GR_TILES_MOST]; /* apart: a load beside what was just stored in part would wait for it */
    const T *x = x_, *y = y_, *dy = dy_;
    T *dx = dx_;
    const int64_t ow = s->ow, kh = s->kh, kw = s->kw, used = s->oh * kh * s->w, plane = s->h * s->w;
    for (int64_t p = 0; p < s->planes; p++, x += plane, dx += plane) {
        for (int64_t i = 0, rows; i < s->oh; i += rows) {
            rows = N(S, block)(s->w, kh, s->oh - i);
            const int64_t n = rows * kh * ow;
            N(S, split)(n, kw, x + i * kh * s->w, part);
            for (int64_t r = 0; r < rows; r++, y += ow, dy += ow)
                for (int64_t j = 0; j < ow; j += W) {
                    const vec most = N(S, some)(y + j, ow - j), g = N(S, some)(dy + j, ow - j);
                    mask left = ~(mask){ 0 }; /* windows whose largest is still to come */
                    for (int64_t a = 0; a < kh; a++)
                        for (int64_t b = 0; b < kw; b++) {
                            const int64_t at = b * n + (r * kh + a) * ow + j;
                            const vec v = N(S, some)(part + at, ow - j);
                            const mask here = left & ((v == most) | (v != v));
                            N(S, put)(grad + at, ow - j, (vec)(here & (mask)g));
                            left &= ~here;
                        }
                }
            N(S, unite)(n, kw, grad, dx + i * kh * s->w);
        }
        memset(dx + used, 0, (size_t)(plane - used) * sizeof(T));
    }
}
#undef vec
#undef mask
#undef W
