/* The float loops of reduce.c for one type: T, its suffix S. No include guard: it is included once for each type.
 * SPDX-License-Identifier: MIT */
#define vec N(S, vec)
#define mask N(S, mask)
#define W N(S, W)
#define LANES N(S, LANES)

INLINE bool N(S, any)(mask m)
{
    uint64_t word[VECTOR_BYTES / 8], all = 0;
    memcpy(word, &m, sizeof word);
    for (int k = 0; k < VECTOR_BYTES / 8; k++) all |= word[k];
    return all != 0;
}

/* What a reduction does: of a row, of rows into columns, and how results come together. */
typedef struct N(S, reducer) {
    T neutral;
    double (*combine)(double a, double b);
    double (*along)(int64_t n, const T *x);
    void (*across)(int64_t m, int64_t n, const T *x, int64_t xs0, T *y, int64_t ys);
} N(S, reducer);

/* along of elements at a stride: copied block by block, so that the order is that of rows without gaps */
static APART double N(S, strided)(const N(S, reducer) *r, int64_t n, const T *x, int64_t stride)
{
    double total = r->neutral;
    T row[BLOCK * LANES];
    for (int64_t some; n > 0; n -= some, x += some * stride) {
        some = n < BLOCK * LANES ? n : BLOCK * LANES;
        for (int64_t i = 0; i < some; i++) row[i] = x[i * stride];
        total = r->combine(total, r->along(some, row));
    }
    return total;
}
static void N(S, reduce)(const N(S, reducer) *r, int64_t m, int64_t n, const T *x, const int64_t xs[2], T *y, const int64_t ys[2])
{
    if (ys[1] == 0) {
        for (int64_t i = 0; i < m; i++, x += xs[0], y += ys[0])
            *y = (T)r->combine((double)*y, xs[1] == 1 ? r->along(n, x) : N(S, strided)(r, n, x, xs[1]));
    } else if (ys[0] == 0 && xs[1] == 1 && xs[0] == n && 2 * n <= SHORT && m * n >= 2 * SHORT) {
        T part[SHORT]; /* of short rows: [m, n] as [m / some, some n], then as [some, n] */
        const int64_t some = SHORT / n, all = some * n, done = m / some * all;
        for (int64_t j = 0; j < all; j++) part[j] = r->neutral;
        r->across(m / some, all, x, all, part, 1);
        r->across(1, m * n - done, x + done, 0, part, 1);
        N(S, reduce)(r, some, n, part, xs, y, ys);
    } else {
        const int64_t together = ys[0] == 0 ? m : 1;
        for (int64_t i = 0; i < m; i += together, x += xs[0], y += ys[0]) {
            if (xs[1] == 1) r->across(together, n, x, xs[0], y, ys[1]);
            else
                for (int64_t j = 0; j < n; j++)
                    y[j * ys[1]] = (T)r->combine((double)y[j * ys[1]], N(S, strided)(r, together, x + j * xs[1], xs[0]));
        }
    }
}

/* STEP(x, a) of vectors and FOLD(x, a) of numbers may pass over a NaN in x; LOST(x): where it was. COMBINE(a, b) heeds it. */
#define REDUCE(name, neutral, STEP, FOLD, LOST, COMBINE)                                                             \
    static APART double N(S, along_##name)(int64_t n, const T *x)                                                    \
    {                                                                                                                \
        double total = neutral;                                                                                      \
        if (n < 16) {                                                                                                \
            for (int64_t j = 0; j < n; j++) total = COMBINE(total, (double)x[j]);                                    \
            return total;                                                                                            \
        }                                                                                                            \
        while (n > 0) {                                                                                              \
            vec part[PANEL];                                                                                         \
            mask lost = { 0 };                                                                                       \
            UNROLL for (int v = 0; v < PANEL; v++) part[v] = N(S, all)(neutral);                                     \
            const int64_t panels = n / LANES < BLOCK ? n / LANES : BLOCK;                                            \
            for (int64_t i = 0; i < panels; i++, x += LANES)                                                         \
                UNROLL_PANEL for (int v = 0; v < PANEL; v++) {                                                       \
                    const vec e = N(S, load)(x + v * W);                                                             \
                    part[v] = STEP(e, part[v]), lost |= LOST(e);                                                     \
                }                                                                                                    \
            n -= panels * LANES;                                                                                     \
            if (panels < BLOCK) {                                                                                    \
                UNROLL_REST for (int v = 0; v < PANEL; v++) {                                                        \
                    if (n <= 0) break;                                                                               \
                    const vec e = N(S, take)(x + v * W, n, N(S, all)(neutral));                                      \
                    part[v] = STEP(e, part[v]), lost |= LOST(e), n -= W;                                             \
                }                                                                                                    \
            }                                                                                                        \
            UNROLL for (int half = PANEL / 2; half > 0; half /= 2)                                                   \
                UNROLL for (int v = 0; v < half; v++) part[v] = STEP(part[v + half], part[v]);                       \
            T lane[W];                                                                                               \
            N(S, store)(lane, part[0]);                                                                              \
            UNROLL for (int half = W / 2; half > 0; half /= 2)                                                       \
                UNROLL for (int k = 0; k < half; k++) lane[k] = FOLD(lane[k + half], lane[k]);                       \
            total = COMBINE(total, N(S, any)(lost) ? (double)NAN : (double)lane[0]);                                 \
        }                                                                                                            \
        return total;                                                                                                \
    }                                                                                                                \
    /* total[j] op= rows of as many vectors, of which the only one may have some lanes alone */                      \
    INLINE void N(S, block_##name)(const int vectors, int64_t rows, int64_t some, const T *x, int64_t xs, double *total) \
    {                                                                                                                \
        vec part[BESIDE];                                                                                            \
        mask lost[BESIDE] = { { 0 } };                                                                               \
        UNROLL for (int v = 0; v < vectors; v++) part[v] = N(S, all)(neutral);                                       \
        for (int64_t r = 0; r < rows; r++, x += xs)                                                                  \
            UNROLL for (int v = 0; v < vectors; v++) {                                                               \
                const vec e = vectors == 1 ? N(S, take)(x, some, part[v]) : N(S, load)(x + v * W);                   \
                part[v] = STEP(e, part[v]), lost[v] |= LOST(e);                                                      \
            }                                                                                                        \
        UNROLL for (int v = 0; v < vectors; v++) {                                                                   \
            T lane[W]; /* through memory: lanes that a loop reads become double together */                          \
            N(S, store)(lane, N(S, choose)(lost[v], N(S, all)((T)NAN), part[v]));                                    \
            for (int k = 0; k < W; k++) total[v * W + k] = COMBINE(total[v * W + k], (double)lane[k]);               \
        }                                                                                                            \
    }                                                                                                                \
    static APART void N(S, across_##name)(int64_t m, int64_t n, const T *x, int64_t xs0, T *y, int64_t ys)           \
    {                                                                                                                \
        for (int64_t first = 0; first < n; first += TILE) {                                                          \
            double total[TILE]; /* whole vectors of it are used */                                                   \
            const int64_t columns = n - first < TILE ? n - first : TILE;                                             \
            for (int64_t j = 0; j < TILE && j < columns + W; j++) total[j] = neutral;                                \
            for (int64_t i = 0; i < m; i += ROWS)                                                                    \
                for (int64_t j = 0, some; j < columns; j += some) {                                                  \
                    const int64_t rows = m - i < ROWS ? m - i : ROWS, rest = columns - j;                            \
                    const T *from = x + i * xs0 + first + j;                                                         \
                    some = rest >= BESIDE * W ? BESIDE * W : rest >= 2 * W ? 2 * W : rest < W ? rest : W;            \
                    if (some == BESIDE * W) N(S, block_##name)(BESIDE, rows, some, from, xs0, total + j);            \
                    else if (some > W) N(S, block_##name)(2, rows, some, from, xs0, total + j);                      \
                    else N(S, block_##name)(1, rows, some, from, xs0, total + j);                                    \
                }                                                                                                    \
            for (int64_t j = 0; j < columns; j++) {                                                                  \
                T *to = y + (first + j) * ys;                                                                        \
                *to = (T)COMBINE((double)*to, total[j]);                                                             \
            }                                                                                                        \
        }                                                                                                            \
    }                                                                                                                \
    static void N(S, name)(int64_t m, int64_t n, const void *x, const int64_t xs[2], void *y, const int64_t ys[2])   \
    {                                                                                                                \
        static const N(S, reducer) r = { neutral, name##_of, N(S, along_##name), N(S, across_##name) };              \
        N(S, reduce)(&r, m, n, x, xs, y, ys);                                                                        \
    }
#define NEVER(x) (mask){ 0 }
#define IF_NAN(x) ((x) != (x))
REDUCE(sum, 0, SUM, SUM, NEVER, SUM)
REDUCE(prod, 1, PROD, PROD, NEVER, PROD)
REDUCE(max, -(T)INFINITY, N(S, larger_of), LARGER_OF, IF_NAN, MAX)
REDUCE(min, (T)INFINITY, N(S, smaller_of), SMALLER_OF, IF_NAN, MIN)

#undef REDUCE
#undef vec
#undef mask
#undef W
#undef LANES
