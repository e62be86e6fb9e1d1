/* The loops of attention.c for one type: T, its suffix S, its functions V(f) of vectors. No include guard: it is included once
 * for each type.
 * SPDX-License-Identifier: MIT */
#define vec N(S, vec)
#define W N(S, W)
#define all N(S, all)
#define take N(S, take)
#define put N(S, put)

/* n elements of a row, of which the vector v at j holds those below m; the others become 0 */
INLINE void N(S, put_seen)(T *x, int64_t j, int64_t m, int64_t n, vec v)
{
    if (m - j < W) put(x + j, n - j, all(0));
    put(x + j, m - j, v);
}
INLINE void N(S, hide)(T *x, int64_t m, int64_t n)
{
    for (int64_t j = (m + W - 1) / W * W; j < n; j += W) put(x + j, n - j, all(0));
}

static void N(S, attention)(int64_t rows, int64_t n, int64_t seen, int64_t step, double scale, void *x_)
{
    const vec factor = all((T)scale), none = all(-(T)copysign(INFINITY, scale)); /* none times factor: no score at all */
    T *x = x_;
    for (; rows > 0; rows--, x += n, seen += step) {
        const int64_t m = seen < n ? seen : n;
        vec most = all(-(T)INFINITY);
        for (int64_t j = 0; j < m; j += W) most = N(S, larger_of)(take(x + j, m - j, none) * factor, most); /* passes a NaN over */
        const T top = N(S, lanes_largest)(most);
        double sum = 0;
        for (int64_t j = 0; j < m;) {
            const int64_t stop = m - j < ADDENDS * W ? m : j + ADDENDS * W;
            vec part = all(0);
            for (; j < stop; j += W) {
                const vec e = V(exp_below)(take(x + j, m - j, none) * factor - top);
                put(x + j, m - j, e);
                part += e;
            }
            sum += N(S, lanes_total)(part);
        }
        const T share = (T)(1 / sum);
        for (int64_t j = 0; j < m; j += W) N(S, put_seen)(x, j, m, n, take(x + j, m - j, all(0)) * share);
        N(S, hide)(x, m, n);
    }
}

static void N(S, attention_dx)(int64_t rows, int64_t n, int64_t seen, int64_t step, double scale, const void *p_, void *d_)
{
    const T *p = p_;
    T *d = d_;
    for (; rows > 0; rows--, p += n, d += n, seen += step) {
        const int64_t m = seen < n ? seen : n;
        double sum = 0;
        for (int64_t j = 0; j < m;) {
            const int64_t stop = m - j < ADDENDS * W ? m : j + ADDENDS * W;
            vec part = all(0);
            for (; j < stop; j += W) part += take(p + j, m - j, all(0)) * take(d + j, m - j, all(0));
            sum += N(S, lanes_total)(part);
        }
        const T along = (T)sum;
        for (int64_t j = 0; j < m; j += W) N(S, put_seen)(d, j, m, n, (take(d + j, m - j, all(0)) - along) * (take(p + j, m - j, all(0)) * (T)scale));
        N(S, hide)(d, m, n);
    }
}
#undef vec
#undef W
#undef all
#undef take
#undef put
