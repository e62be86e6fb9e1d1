/* The loops of max_tiles.c for one type: T of suffix S. No include guard: it is included once for each type, after lanes.h.
 * SPDX-License-Identifier: MIT */
#define vec N(S, vec)
#define mask N(S, mask)
#define W N(S, W)
#define FIRST_OF_EACH ((mask){ N(EACH, S)(N(LOW, S)) })

/* Some windows, a vector of them or less; where they are of two columns, `first` elements lie in one place and `rest` from `apart`
 * elements further on: in the rest of the row or, where two rows of windows fit, in the row below. */
typedef struct N(S, some) {
    int64_t n, first, rest, apart;
    mask even, high; /* lanes: of first columns in the two vectors; of what goes to the second place in what goes back */
    N(S, edge) windows, here, there;
} N(S, some);
/* half: elements of a row of windows, or W where there is one */
static APART N(S, some) N(S, some_of)(int64_t n, int64_t half, int64_t apart)
{
    N(S, some) h = { .n = n, .first = 2 * n < half ? 2 * n : half, .apart = apart, .high = FIRST_OF_EACH + (I)(half / 2) };
    h.rest = 2 * n - h.first;
    h.windows = N(S, first)(n), h.here = N(S, first)(h.first), h.there = N(S, first)(h.rest);
    for (int k = 0; k < W; k++) h.even[k] = (I)(2 * k < half ? 2 * k : W + 2 * k - half);
    return h;
}
INLINE vec N(S, get)(const T *p, int64_t n, N(S, edge) m) { return n >= W && !MASKS ? N(S, load)(p) : N(S, load_edge)(p, m); }
INLINE void N(S, set)(T *p, int64_t n, N(S, edge) m, vec v)
{
    if (n >= W && !MASKS) N(S, store)(p, v);
    else N(S, store_edge)(p, m, v);
}
/* lane q of v[b]: element b of window q; and back */
INLINE void N(S, split)(const N(S, some) *h, const T *x, vec v[2])
{
    const vec low = N(S, get)(x, h->first, h->here), high = h->rest > 0 || MASKS ? N(S, get)(x + h->apart, h->rest, h->there) : (vec){ 0 };
    v[0] = N(PICK, S)(low, high, h->even, LEFT), v[1] = N(PICK, S)(low, high, h->even + 1, RIGHT);
}
INLINE void N(S, unite)(const N(S, some) *h, const vec v[2], T *x)
{
    N(S, set)(x, h->first, h->here, N(PICK, S)(v[0], v[1], FIRST_OF_EACH, N(LOW, S)));
    if (h->rest > 0 || MASKS) N(S, set)(x + h->apart, h->rest, h->there, N(PICK, S)(v[0], v[1], h->high, N(HIGH, S)));
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

/* dy NULL: out = the largest of each window, else out = dy where x is y for the first time. by_two: kw is 2; together: rows of
 * windows in a vector */
INLINE void N(S, tiles)(const gr_pool2d_size *s, bool by_two, int64_t together, const T *x, const T *y, const T *dy, T *out)
{
    const bool stacked = s->h == s->oh * s->kh; /* then all planes are one */
    const int64_t kh = s->kh, kw = by_two ? 2 : s->kw, w = s->w, oh = stacked ? s->planes * s->oh : s->oh, planes = stacked ? 1 : s->planes;
    const int64_t row = together * s->ow, half = together == 2 ? w : W, apart = together == 2 ? kh * w : W, unused = (s->h - s->oh * kh) * w;
    const N(S, some) whole = N(S, some_of)(row < W ? row : W, half, apart), last = N(S, some_of)(row % W, half, apart), lone = together == 2 ? N(S, some_of)(s->ow, half, apart) : last;
    for (int64_t p = 0; p < planes; p++) {
        for (int64_t i = 0; i < oh; i += together) {
            const int64_t windows = oh - i < together ? s->ow : row, across = i + together < oh ? together : oh - i;
            for (int64_t j = 0; j < windows; j += W) {
                const N(S, some) *h = windows - j >= W ? &whole : together == 1 || windows == row ? &last : &lone;
                const int64_t n = h->n, line = j * kw;
                vec most = dy ? N(S, get)(y + j, n, h->windows) : N(S, all)(-(T)INFINITY);
                mask g = dy ? (mask)N(S, get)(dy + j, n, h->windows) : (mask){ 0 }; /* of windows whose largest is still to come */
                for (int64_t a = 0; a < kh; a++) {
                    vec v[2], d[2];
                    if (by_two) N(S, split)(h, x + line + a * w, v);
                    _Pragma("GCC unroll 2") for (int64_t b = 0; b < kw; b++)
                    {
                        const vec e = by_two ? v[b & 1] : N(S, read)(n, kw, x + line + a * w + b);
                        if (dy) {
                            const mask here = (e == most) | (e != e);
                            d[b & 1] = (vec)(here & g), g &= ~here;
                            if (!by_two) N(S, write)(n, kw, d[b & 1], out + line + a * w + b);
                        } else most = N(S, choose)(e != e, e, N(S, larger_of)(e, most));
                    }
                    if (dy && by_two) N(S, unite)(h, d, out + line + a * w);
                }
                if (!dy) N(S, set)(out + j, n, h->windows, most);
            }
            x += across * kh * w, out += dy ? across * kh * w : windows;
            if (dy) y += windows, dy += windows;
        }
        x += unused;
        if (dy && unused) memset(out, 0, (size_t)unused * sizeof(T)), out += unused;
    }
}

static APART void N(S, tiles_of_any)(const gr_pool2d_size *s, const T *x, const T *y, const T *dy, T *out)
{
    N(S, tiles)(s, !BY_TWO && s->kw == 2, 1, x, y, dy, out);
}
INLINE void N(S, tiles_of)(const gr_pool2d_size *s, const T *x, const T *y, const T *dy, T *out)
{
    if (!BY_TWO || s->kw != 2) N(S, tiles_of_any)(s, x, y, dy, out);
    else if (TWO_ROWS && 2 * s->ow <= W) N(S, tiles)(s, true, 2, x, y, dy, out);
    else N(S, tiles)(s, true, 1, x, y, dy, out);
}
static void N(S, max_tiles)(const gr_pool2d_size *s, const void *x, void *y) { N(S, tiles_of)(s, x, NULL, NULL, y); }
static void N(S, max_tiles_dx)(const gr_pool2d_size *s, const void *x, const void *y, const void *dy, void *dx) { N(S, tiles_of)(s, x, y, dy, dx); }
#undef vec
#undef mask
#undef W
#undef FIRST_OF_EACH
