/* The loops of max_tiles.c for one type: T of suffix S. No include guard: it is included once for each type, after lanes.h.
 * SPDX-License-Identifier: MIT */
#define vec N(S, vec)
#define mask N(S, mask)
#define W N(S, W)
#define FIRST_OF_EACH ((mask){ N(EACH, S)(N(LOW, S)) })

/* Where a vector of windows of two columns lies: `half` elements from one place on and the others from `apart` elements further
 * on: the rest of the row or, where two rows of windows fit, the row below. even: the lanes of first columns in the two vectors. */
typedef struct N(S, pair) {
    int64_t half, apart;
    mask even;
} N(S, pair);
INLINE N(S, pair) N(S, pair_of)(int64_t half, int64_t apart)
{
    N(S, pair) h = { .half = half, .apart = apart };
    for (int k = 0; k < W; k++) h.even[k] = (I)(2 * k < half ? 2 * k : W + 2 * k - half);
    return h;
}
/* lane q of v[b]: element b of window q, of n; and back */
INLINE void N(S, split)(N(S, pair) h, int64_t n, const T *x, vec v[2])
{
    const int64_t rest = 2 * n - h.half, first = h.half == W || rest < 0 ? 2 * n : h.half;
    const vec low = N(S, take)(x, first, (vec){ 0 }), high = rest > 0 ? N(S, take)(x + h.apart, rest, (vec){ 0 }) : (vec){ 0 };
    v[0] = N(PICK, S)(low, high, h.even, EVEN), v[1] = N(PICK, S)(low, high, h.even + 1, ODD);
}
INLINE void N(S, unite)(N(S, pair) h, int64_t n, const vec v[2], T *x)
{
    const int64_t rest = 2 * n - h.half, first = h.half == W || rest < 0 ? 2 * n : h.half;
    N(S, put)(x, first, N(PICK, S)(v[0], v[1], FIRST_OF_EACH, N(LOW, S)));
    if (rest > 0) N(S, put)(x + h.apart, rest, N(PICK, S)(v[0], v[1], FIRST_OF_EACH + (I)(h.half / 2), N(HIGH, S)));
}
/* the same for element b alone, of kw, in one row */
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

/* dy NULL: y = the largest of each window, else dx = dy where it is y for the first time. by_two: kw is 2; together: rows of
 * windows in a vector */
INLINE void N(S, tiles)(const gr_pool2d_size *s, bool by_two, int64_t together, const T *x, const T *y, const T *dy, T *out)
{
    const int64_t ow = s->ow, kh = s->kh, kw = by_two ? 2 : s->kw, w = s->w, plane = s->h * w, used = s->oh * kh * w;
    const N(S, pair) h = together == 2 ? N(S, pair_of)(w, kh * w) : N(S, pair_of)(W, W);
    for (int64_t p = 0; p < s->planes; p++, x += plane) {
        for (int64_t i = 0; i < s->oh; i += together) {
            const int64_t windows = s->oh - i < together ? ow : together * ow;
            for (int64_t j = 0, n; j < windows; j += n) {
                n = windows - j < W ? windows - j : W;
                const int64_t corner = i * kh * w + j * kw, at = (p * s->oh + i) * ow + j;
                vec most = dy ? N(S, take)(y + at, n, (vec){ 0 }) : N(S, all)(-(T)INFINITY);
                const vec g = dy ? N(S, take)(dy + at, n, (vec){ 0 }) : (vec){ 0 };
                mask left = ~(mask){ 0 }; /* windows whose largest is still to come */
                for (int64_t a = 0; a < kh; a++) {
                    const T *row = x + corner + a * w;
                    vec v[2], d[2];
                    if (by_two) N(S, split)(h, n, row, v);
                    _Pragma("GCC unroll 2") for (int64_t b = 0; b < kw; b++)
                    {
                        const vec e = by_two ? v[b & 1] : N(S, read)(n, kw, row + b);
                        if (dy) {
                            const mask here = left & ((e == most) | (e != e));
                            left &= ~here;
                            d[b & 1] = (vec)(here & (mask)g);
                            if (!by_two) N(S, write)(n, kw, d[b & 1], out + p * plane + corner + a * w + b);
                        } else most = N(S, choose)(e != e, e, N(S, larger_of)(e, most));
                    }
                    if (dy && by_two) N(S, unite)(h, n, d, out + p * plane + corner + a * w);
                }
                if (!dy) N(S, put)(out + at, n, most);
            }
        }
        if (dy) memset(out + p * plane + used, 0, (size_t)(plane - used) * sizeof(T));
    }
}

static APART void N(S, tiles_of_any)(const gr_pool2d_size *s, const T *x, const T *y, const T *dy, T *out)
{
    N(S, tiles)(s, false, 1, x, y, dy, out);
}
INLINE void N(S, tiles_of)(const gr_pool2d_size *s, const T *x, const T *y, const T *dy, T *out)
{
    if (s->kw != 2) N(S, tiles_of_any)(s, x, y, dy, out);
    else if (TWO_ROWS && 2 * s->ow <= W) N(S, tiles)(s, true, 2, x, y, dy, out);
    else N(S, tiles)(s, true, 1, x, y, dy, out);
}
static void N(S, max_tiles)(const gr_pool2d_size *s, const void *x, void *y) { N(S, tiles_of)(s, x, NULL, NULL, y); }
static void N(S, max_tiles_dx)(const gr_pool2d_size *s, const void *x, const void *y, const void *dy, void *dx) { N(S, tiles_of)(s, x, y, dy, dx); }
#undef vec
#undef mask
#undef W
#undef FIRST_OF_EACH
