/* The loops of conv_loops.c for one type: T, its suffix S, its vector's INSIDE, MULADDV. No include guard: it is included once for
 * each type, after block.h.
 * SPDX-License-Identifier: MIT */
#define VEC N(S, vec)
#define MASK N(S, mask)
#define W N(S, W)

static void N(S, copy)(int64_t n, int64_t from_step, const void *from_, int64_t to_step, void *to_)
{
    const T *from = from_;
    T *to = to_;
    int64_t j = 0;
    if (from_step == 1 && to_step == 1) {
        for (; j + W <= n; j += W) N(S, store)(to + j, N(S, load)(from + j));
        if (j < n) N(S, store_first)(to + j, n - j, N(S, load_first)(from + j, n - j, (VEC){ 0 }));
    } else
        for (; j < n; j++) to[j * to_step] = from[j * from_step];
}

/* ---- images side by side: element j of image m at j W + m -----------------------------------------------------------*/
static void N(S, weave)(int64_t images, int64_t pitch, int64_t n, int64_t step, const void *from_, void *to_)
{
    enum { B = N(S, LANE) };
    const T *from = from_, *row[W];
    T *to = to_;
    for (int64_t m = 0; m < W; m++) row[m] = from + (m < images ? m : images - 1) * pitch;
    if (step == 1 && n >= B)
        for (int64_t j = 0; j < n; j += B) {
            const int64_t at = j < n - B ? j : n - B;
            VEC x[B];
            UNROLL for (int64_t i = 0; i < B; i++) x[i] = N(S, lanes)(row + i, at);
            N(S, transpose)(x);
            UNROLL for (int64_t i = 0; i < B; i++) N(S, store)(to + (at + i) * W, x[i]);
        }
    else
        for (int64_t j = 0; j < n; j++)
            for (int64_t m = 0; m < W; m++) to[j * W + m] = row[m][j * step];
    for (int64_t m = images; m < W; m++)
        for (int64_t j = 0; j < n; j++) to[j * W + m] = 0;
}
/* positions at .. at + n - 1 of each image: n is LANE, stored lane by lane, or W, whole vectors */
INLINE void N(S, unweave_some)(const int n, int64_t pitch, const T *from, T *to)
{
    enum { B = N(S, LANE) };
    VEC x[W / B][B];
    UNROLL for (int g = 0; g < n / B; g++)
    {
        UNROLL for (int i = 0; i < B; i++) x[g][i] = N(S, load)(from + (g * B + i) * W);
        N(S, transpose)(x[g]);
    }
    if (n == B) UNROLL for (int i = 0; i < B; i++) STORE_LANES(S, to + i * pitch, pitch, x[0][i]);
    else
        UNROLL for (int i = 0; i < B; i++)
        {
            VEC v[W / B];
            UNROLL for (int g = 0; g < W / B; g++) v[g] = x[g][i];
            N(S, transpose_lanes)(v);
            UNROLL for (int l = 0; l < W / B; l++) N(S, store)(to + (l * B + i) * pitch, v[l]);
        }
}
static void N(S, unweave)(int64_t images, int64_t pitch, int64_t n, int64_t step, const void *from_, void *to_)
{
    enum { B = N(S, LANE) };
    const T *from = from_;
    T *to = to_;
    if (step == 1 && n >= B && images == W) {
        int64_t j = 0;
        for (; j + W <= n; j += W) N(S, unweave_some)(W, pitch, from + j * W, to + j);
        for (; j < n; j += B) {
            const int64_t at = j < n - B ? j : n - B;
            N(S, unweave_some)(B, pitch, from + at * W, to + at);
        }
    } else
        for (int64_t m = 0; m < images; m++)
            for (int64_t j = 0; j < n; j++) to[m * pitch + j * step] = from[j * W + m];
}

/* ---- tiles of sums -----------------------------------------------------------------------------------------------------*/
static inline __attribute__((always_inline)) void N(S, tile)(const int mr, const int nv, const gr_conv_taps *k, int64_t block, const T *b, T *out, int64_t pitch)
{
    const T *panel = (const T *)k->a + block * k->panel, *start = (const T *)k->start + block * mr;
    VEC acc[MAX_ROWS][3];
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int v = 0; v < nv; v++) acc[i][v] = N(S, all)(start[i]);
    for (int64_t r = 0; r < k->rows; r++) {
        const int64_t *offset = k->offset + r * k->apart, *end = offset + k->count;
        for (const T *a = panel + r * k->apart * mr; offset < end; offset++, a += mr) {
            const T *from = b + *offset;
            VEC x[3];
            UNROLL for (int v = 0; v < nv; v++) x[v] = *(const VEC *)(from + v * W);
            UNROLL for (int i = 0; i < mr; i++)
                UNROLL for (int v = 0; v < nv; v++) acc[i][v] = N(S, fma)(x[v], N(S, all)(a[i]), acc[i][v]);
        }
    }
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int v = 0; v < nv; v++) *(VEC *)(out + i * pitch + v * W) = acc[i][v];
}

typedef void N(S, tile_fn)(const gr_conv_taps *k, int64_t block, const T *b, T *out, int64_t pitch);
#define TILE_OF(mr, nv)                                                                                              \
    static void N(S, tile_##mr##_##nv)(const gr_conv_taps *k, int64_t block, const T *b, T *out, int64_t pitch)          \
    {                                                                                                                \
        N(S, tile)(mr, nv, k, block, b, out, pitch);                                                                 \
    }
#define TILE(mr) TILE_OF(mr, 1) TILE_OF(mr, 3)
EACH_ROWS(TILE)
#undef TILE_OF
#undef TILE

static void N(S, product)(int64_t blocks, int mr, int64_t n, const gr_conv_taps *k, const void *b, void *out, int64_t pitch)
{
#define TILE(mr) { N(S, tile_##mr##_1), N(S, tile_##mr##_3) },
    static N(S, tile_fn) *const tiles[][2] = { { NULL, NULL }, EACH_ROWS(TILE) };
#undef TILE
    for (int64_t q = 0, step; q < n; q += step) {
        bool narrow = n - q <= W;
        step = narrow ? W : 3 * W;
        for (int64_t i = 0; i < blocks; i++) tiles[mr][!narrow](k, i, (const T *)b + q, (T *)out + i * mr * pitch + q, pitch);
    }
}

/* ---- dot products along the positions ----------------------------------------------------------------------------------*/
/* The positions that are not within, between the rows of dy, are not of these products, and x may be infinite there. */
INLINE void N(S, dots)(const int mr, const int nt, const gr_conv_dots *d)
{
    const T *x = d->x, *dy = d->dy;
    const I *within = d->within;
    VEC acc[MAX_DOTS][MAX_TAPS], *sums = d->sums;
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int t = 0; t < nt; t++) acc[i][t] = sums[i * nt + t];
    N(INSIDE, S) inside = N(INSIDE_OF, S)(~(MASK){ 0 });
    for (int64_t m = 0; m < d->images; m++, x += d->x_step, dy += d->dy_step)
        for (int64_t q = 0; q < d->n; q += W) {
            VEC g[MAX_DOTS];
            if (within) inside = N(INSIDE_OF, S)(*(const MASK *)(within + q));
            UNROLL for (int i = 0; i < mr; i++) g[i] = *(const VEC *)(dy + i * d->pitch + q);
            UNROLL for (int t = 0; t < nt; t++)
            {
                const VEC v = *(const VEC *)(x + d->offset[t] + q);
                UNROLL for (int i = 0; i < mr; i++) acc[i][t] = N(MULADDV, S)(v, g[i], acc[i][t], inside);
            }
        }
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int t = 0; t < nt; t++) sums[i * nt + t] = acc[i][t];
}
static void N(S, fold_dots)(int64_t rows, int64_t taps, const void *sums_, void *dw_, int64_t row)
{
    enum { B = N(S, LANE) };
    const VEC *sums = sums_;
    T *dw = dw_, total[(MAX_DOTS * MAX_TAPS + B - 1) / B * B];
    for (int64_t k = 0; k < rows * taps; k += B) *(N(S, lane) *)(total + k) = N(S, across)(N(S, fold)(sums + k));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t t = 0; t < taps; t++) dw[i * row + t] += total[i * taps + t];
}

#define DOTS(mr, nt) static void N(S, dots_##mr##_##nt)(const gr_conv_dots *d) { N(S, dots)(mr, nt, d); }
#define DOTS_OF(mr, nt) DOTS(mr, nt)
#define BOTH(mr) DOTS(mr, 1) DOTS_OF(mr, MAX_TAPS)
EACH_DOTS(BOTH)
#undef BOTH
#undef DOTS_OF
#undef DOTS

#define BOTH(mr) { N(S, dots_##mr##_1), DOTS_NAME(S, mr, MAX_TAPS) },
static const T N(S, one) = 1;
static const gr_conv_loops N(S, loops)[1] = { { sizeof(T), W, &N(S, one), MAX_ROWS, MAX_DOTS, MAX_TAPS, N(S, copy), N(S, weave), N(S, unweave), N(S, product),
                                                { { NULL, NULL }, EACH_DOTS(BOTH) }, N(S, fold_dots) } };
#undef BOTH
#undef VEC
#undef MASK
#undef W
