/* The float loops of reduce.c for one type: T, its suffix S. No include guard: it is included once for each type.
 * SPDX-License-Identifier: MIT */
#define vec N(S, vec)
#define mask N(S, mask)
#define W N(S, W)
#define LANES N(S, LANES)

/* n <= W elements at a stride, the other lanes as in rest */
INLINE vec N(S, take)(const T *x, int64_t stride, int64_t n, vec rest)
{
    if (stride == 1) return n >= W ? N(S, load)(x) : N(S, load_first)(x, n, rest);
    for (int64_t k = 0; k < n; k++) rest[k] = x[k * stride];
    return rest;
}
INLINE bool N(S, any)(mask m)
{
    uint64_t word[VECTOR_BYTES / 8], all = 0;
    memcpy(word, &m, sizeof word);
    for (int k = 0; k < VECTOR_BYTES / 8; k++) all |= word[k];
    return all != 0;
}

/* STEP(x, a): vectors, a NaN in x may be passed over; LOST(x): where it was. COMBINE(a, b): numbers. */
#define REDUCE(name, neutral, STEP, LOST, COMBINE)                                                                   \
    static double N(S, along_##name)(int64_t n, const T *x, int64_t stride)                                          \
    {                                                                                                                \
        double total = neutral;                                                                                      \
        if (n < 16) {                                                                                                \
            for (int64_t j = 0; j < n; j++) total = COMBINE(total, (double)x[j * stride]);                           \
            return total;                                                                                            \
        }                                                                                                            \
        while (n > 0) {                                                                                              \
            vec part[PANEL];                                                                                         \
            mask lost = { 0 };                                                                                       \
            UNROLL for (int v = 0; v < PANEL; v++) part[v] = N(S, all)(neutral);                                     \
            const int64_t panels = n / LANES < BLOCK ? n / LANES : BLOCK;                                            \
            for (int64_t i = 0; i < panels; i++, x += LANES * stride)                                                \
                UNROLL for (int v = 0; v < PANEL; v++) {                                                             \
                    const vec e = N(S, take)(x + v * W * stride, stride, W, part[v]);                                \
                    part[v] = STEP(e, part[v]), lost |= LOST(e);                                                     \
                }                                                                                                    \
            n -= panels * LANES;                                                                                     \
            if (panels < BLOCK) {                                                                                    \
                UNROLL for (int v = 0; v < PANEL; v++) {                                                             \
                    if (n <= 0) break;                                                                               \
                    const vec e = N(S, take)(x + v * W * stride, stride, n < W ? n : W, N(S, all)(neutral));         \
                    part[v] = STEP(e, part[v]), lost |= LOST(e), n -= W;                                             \
                }                                                                                                    \
            }                                                                                                        \
            UNROLL for (int half = PANEL / 2; half > 0; half /= 2)                                                   \
                UNROLL for (int v = 0; v < half; v++) part[v] = STEP(part[v + half], part[v]);                       \
            T lane[W];                                                                                               \
            N(S, store)(lane, part[0]);                                                                              \
            UNROLL for (int half = W / 2; half > 0; half /= 2)                                                       \
                UNROLL for (int k = 0; k < half; k++) lane[k] = (T)COMBINE(lane[k], lane[k + half]);                 \
            total = COMBINE(total, N(S, any)(lost) ? (double)NAN : (double)lane[0]);                                 \
        }                                                                                                            \
        return total;                                                                                                \
    }                                                                                                                \
    static void N(S, across_##name)(int64_t m, int64_t n, const T *x, int64_t xs0, int64_t xs1, T *y, int64_t ys)    \
    {                                                                                                                \
        for (int64_t first = 0; first < n; first += TILE) {                                                          \
            double total[TILE];                                                                                      \
            const int64_t columns = n - first < TILE ? n - first : TILE;                                             \
            for (int64_t j = 0; j < columns; j++) total[j] = neutral;                                                \
            for (int64_t i = 0; i < m; i += ROWS)                                                                    \
                for (int64_t j = 0; j < columns; j += W) {                                                           \
                    const int64_t rows = m - i < ROWS ? m - i : ROWS, some = columns - j < W ? columns - j : W;      \
                    const T *from = x + i * xs0 + (first + j) * xs1;                                                 \
                    vec part = N(S, all)(neutral);                                                                   \
                    mask lost = { 0 };                                                                               \
                    for (int64_t r = 0; r < rows; r++, from += xs0) {                                                \
                        const vec e = N(S, take)(from, xs1, some, part);                                             \
                        part = STEP(e, part), lost |= LOST(e);                                                       \
                    }                                                                                                \
                    part = N(S, choose)(lost, N(S, all)((T)NAN), part);                                              \
                    for (int64_t k = 0; k < some; k++) total[j + k] = COMBINE(total[j + k], (double)part[k]);        \
                }                                                                                                    \
            for (int64_t j = 0; j < columns; j++) {                                                                  \
                T *to = y + (first + j) * ys;                                                                        \
                *to = (T)COMBINE((double)*to, total[j]);                                                             \
            }                                                                                                        \
        }                                                                                                            \
    }                                                                                                                \
    /* [m, n] of short rows as [m / some, some n], then as [some, n] */                                              \
    static void N(S, short_##name)(int64_t m, int64_t n, const T *x, T *y, int64_t ys)                               \
    {                                                                                                                \
        T part[SHORT];                                                                                               \
        const int64_t some = SHORT / n, all = some * n;                                                              \
        for (int64_t j = 0; j < all; j++) part[j] = neutral;                                                         \
        N(S, across_##name)(m / some, all, x, all, 1, part, 1);                                                      \
        N(S, across_##name)(1, m % some * n, x + m / some * all, 0, 1, part, 1);                                     \
        for (int64_t j = 0; j < n; j++) {                                                                            \
            double total = (double)y[j * ys];                                                                        \
            for (int64_t i = 0; i < some; i++) total = COMBINE(total, (double)part[i * n + j]);                      \
            y[j * ys] = (T)total;                                                                                    \
        }                                                                                                            \
    }                                                                                                                \
    static void N(S, name)(int64_t m, int64_t n, const void *x_, const int64_t xs[2], void *y_, const int64_t ys[2]) \
    {                                                                                                                \
        const T *x = x_;                                                                                             \
        T *y = y_;                                                                                                   \
        if (ys[0] == 0 && ys[1] != 0) {                                                                              \
            if (xs[1] == 1 && xs[0] == n && 2 * n <= SHORT && m * n >= 2 * SHORT) N(S, short_##name)(m, n, x, y, ys[1]); \
            else N(S, across_##name)(m, n, x, xs[0], xs[1], y, ys[1]);                                               \
            return;                                                                                                  \
        }                                                                                                            \
        for (int64_t i = 0; i < m; i++, x += xs[0], y += ys[0]) {                                                    \
            if (ys[1] != 0) N(S, across_##name)(1, n, x, 0, xs[1], y, ys[1]);                                        \
            else if (xs[1] == 1) *y = (T)COMBINE((double)*y, N(S, along_##name)(n, x, 1));                           \
            else *y = (T)COMBINE((double)*y, N(S, along_##name)(n, x, xs[1]));                                       \
        }                                                                                                            \
    }
#define NEVER(x) (mask){ 0 }
#define IF_NAN(x) ((x) != (x))
#define SUM(x, a) ((a) + (x))
#define PROD(x, a) ((a) * (x))
#define MAX(a, b) ((a) >= (b) || (a) != (a) ? (a) : (b)) /* a NaN wins */
#define MIN(a, b) ((a) <= (b) || (a) != (a) ? (a) : (b))
REDUCE(sum, 0, SUM, NEVER, SUM)
REDUCE(prod, 1, PROD, NEVER, PROD)
REDUCE(max, -(T)INFINITY, N(S, larger_of), IF_NAN, MAX)
REDUCE(min, (T)INFINITY, N(S, smaller_of), IF_NAN, MIN)

#undef REDUCE
#undef vec
#undef mask
#undef W
#undef LANES
