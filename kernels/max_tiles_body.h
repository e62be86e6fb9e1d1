/* The loops of max_tiles.c for one type: T of suffix S. No include guard: it is included once for each type, after lanes.h.
 * SPDX-License-Identifier: MIT */
#define vec N(S, vec)
#define mask N(S, mask)
#define W N(S, W)

/* lane q of v[b]: element b of window q, for two elements to a window, next to each other; and back */
INLINE void N(S, split)(int64_t n, const T *x, vec v[2])
{
    const vec low = N(S, take)(x, 2 * n, (vec){ 0 }), high = 2 * n > W ? N(S, take)(x + W, 2 * n - W, (vec){ 0 }) : (vec){ 0 };
    v[0] = __builtin_shufflevector(low, high, N(EACH, S)(EVEN)), v[1] = __builtin_shufflevector(low, high, N(EACH, S)(ODD));
}
INLINE void N(S, unite)(int64_t n, const vec v[2], T *x)
{
    N(S, put)(x, 2 * n, __builtin_shufflevector(v[0], v[1], N(EACH, S)(N(LOW, S))));
    if (2 * n > W) N(S, put)(x + W, 2 * n - W, __builtin_shufflevector(v[0], v[1], N(EACH, S)(N(HIGH, S))));
}
/* the same for element b alone, of kw */
static vec N(S, read)(int64_t n, int64_t kw, const T *x)
{
    T line[W] = { 0 };
    for (int64_t q = 0; q < n; q++) line[q] = x[q * kw];
    return N(S, load)(line);
}
static void N(S, write)(int64_t n, int64_t kw, vec v, T *x)
{
    T line[W];
    N(S, store)(line, v);
    for (int64_t q = 0; q < n; q++) x[q * kw] = line[q];
}

/* dy NULL: y = the largest of each window, else dx = dy where it is y for the first time */
INLINE void N(S, tiles)(const gr_pool2d_size *s, const int64_t kw, const T *x, const T *y, const T *dy, T *out)
{
    const int64_t ow = s->ow, kh = s->kh, w = s->w, plane = s->h * w, used = s->oh * kh * w;
    for (int64_t p = 0; p < s->planes; p++, x += plane) {
        for (int64_t i = 0; i < s->oh; i++)
            for (int64_t j = 0, n; j < ow; j += n) {
                n = ow - j < W ? ow - j : W;
                const int64_t corner = i * kh * w + j * kw, at = (p * s->oh + i) * ow + j;
                vec most = dy ? N(S, take)(y + at, n, (vec){ 0 }) : N(S, all)(-(T)INFINITY);
                const vec g = dy ? N(S, take)(dy + at, n, (vec){ 0 }) : (vec){ 0 };
                mask left = ~(mask){ 0 }; /* windows whose largest is still to come */
                for (int64_t a = 0; a < kh; a++) {
                    const T *row = x + corner + a * w;
                    vec v[2], d[2];
                    if (kw == 2) N(S, split)(n, row, v);
                    _Pragma("GCC unroll 2") for (int64_t b = 0; b < kw; b++)
                    {
                        const vec e = kw == 2 ? v[b & 1] : N(S, read)(n, kw, row + b);
                        if (dy) {
                            const mask here = left & ((e == most) | (e != e));
                            left &= ~here;
                            d[b & 1] = (vec)(here & (mask)g);
                            if (kw != 2) N(S, write)(n, kw, d[b & 1], out + p * plane + corner + a * w + b);
                        } else most = N(S, choose)(e != e, e, N(S, larger_of)(e, most));
                    }
                    if (dy && kw == 2) N(S, unite)(n, d, out + p * plane + corner + a * w);
                }
                if (!dy) N(S, put)(out + at, n, most);
            }
        if (dy) memset(out + p * plane + used, 0, (size_t)(plane - used) * sizeof(T));
    }
}

static void N(S, max_tiles)(const gr_pool2d_size *s, const void *x, void *y)
{
    if (s->kw == 2) N(S, tiles)(s, 2, x, NULL, NULL, y);
    else N(S, tiles)(s, s->kw, x, NULL, NULL, y);
}
static void N(S, max_tiles_dx)(const gr_pool2d_size *s, const void *x, const void *y, const void *dy, void *dx)
{
    if (s->kw == 2) N(S, tiles)(s, 2, x, y, dy, dx);
    else N(S, tiles)(s, s->kw, x, y, dy, dx);
}
#undef vec
#undef mask
#undef W
