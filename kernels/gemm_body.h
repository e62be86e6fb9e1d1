/* The matrix product for one type: T, its suffix S, MULADD(vector, number, vector), FUSED(vector, vector, vector). No
 * include guard: it is included once for each type.
 * SPDX-License-Identifier: MIT */
#define N2(a, b) a##_##b
#define N(a, b) N2(a, b)
#define vec N(S, vec)
#define W N(S, W)
#define NR N(S, NR)
typedef T vec __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));
enum { W = VECTOR_BYTES / (int)sizeof(T), NR = NV * W };

/* One tile of rows x nv vectors: c = or += a b. as: strides of a by row and by k; bs: of b by k; cs: of c by row. */
static inline __attribute__((always_inline)) void N(S, tile)(const int rows, const int nv, int64_t kc, const T *a, int64_t as0, int64_t as1,
                                                             const T *b, int64_t bs, T *c, int64_t cs, bool add)
{
    vec left[MR], right[MR]; /* the tile; right only for nv = 2 */
    UNROLL for (int i = 0; i < rows; i++) left[i] = right[i] = (vec){ 0 };
    const T *a3 = a + 3 * as0, *a6 = a + 6 * as0, *a9 = a + 9 * as0; /* the rows between are one and two strides away */
    for (int64_t k = 0; k < kc; k++, b += bs) {
        const vec b0 = *(const vec *)b, b1 = nv == 2 ? *(const vec *)(b + W) : b0;
        UNROLL for (int i = 0; i < rows; i++) {
            const T x = (i < 3 ? a : i < 6 ? a3 : i < 9 ? a6 : a9)[i % 3 * as0];
            left[i] = MULADD(b0, x, left[i]);
            if (nv == 2) right[i] = MULADD(b1, x, right[i]);
        }
        a += as1, a3 += as1, a6 += as1, a9 += as1;
    }
    UNROLL for (int i = 0; i < rows; i++) {
        vec *out = (vec *)(c + i * cs);
        if (add) left[i] += out[0];
        out[0] = left[i];
        if (nv == 1) continue;
        if (add) right[i] += out[1];
        out[1] = right[i];
    }
}

typedef void N(S, tile_fn)(int64_t kc, const T *a, int64_t as0, int64_t as1, const T *b, int64_t bs, T *c, int64_t cs, bool add);
#define TILE(rows)                                                                                                   \
    static void N(S, tile1_##rows)(int64_t kc, const T *a, int64_t as0, int64_t as1, const T *b, int64_t bs, T *c, int64_t cs, bool add) \
    {                                                                                                                \
        N(S, tile)(rows, 1, kc, a, as0, as1, b, bs, c, cs, add);                                                     \
    }                                                                                                                \
    static void N(S, tile2_##rows)(int64_t kc, const T *a, int64_t as0, int64_t as1, const T *b, int64_t bs, T *c, int64_t cs, bool add) \
    {                                                                                                                \
        N(S, tile)(rows, 2, kc, a, as0, as1, b, bs, c, cs, add);                                                     \
    }
#define TILES_4(X) X(1) X(2) X(3) X(4)
#define TILES_6(X) TILES_4(X) X(5) X(6)
#define TILES_12(X) TILES_6(X) X(7) X(8) X(9) X(10) X(11) X(12)
#if MR == 12
#define TILES TILES_12
#elif MR == 6
#define TILES TILES_6
#else
#define TILES TILES_4
#endif
TILES(TILE)
#define ENTRY(rows) { N(S, tile1_##rows), N(S, tile2_##rows) },
static N(S, tile_fn) *const N(S, tiles)[MR + 1][NV] = { { 0 }, TILES(ENTRY) };

/* m rows against one panel of b with `width` <= NR columns. The panel has whole vectors, zeros beyond width. */
static void N(S, panel)(int64_t m, int64_t width, int64_t kc, const T *a, int64_t as0, int64_t as1, int64_t next, const T *b, int64_t bs,
                        T *c, int64_t cs, bool add)
{
    int nv = width > W ? 2 : 1;
    int64_t tiles = (m + MR - 1) / MR, done = 0;
    for (int64_t t = 0; t < tiles; t++) {
        /* packed a (next > 0) comes in panels of MR rows; otherwise the rows are shared out evenly */
        int64_t rows = next ? least(MR, m - done) : (m - done + tiles - t - 1) / (tiles - t);
        const T *from = next ? a + t * next : a + done * as0;
        N(S, tile_fn) *tile = N(S, tiles)[rows][nv - 1];
        if (width == nv * W) {
            tile(kc, from, as0, as1, b, bs, c + done * cs, cs, add);
        } else {
            T part[MR * NR];
            tile(kc, from, as0, as1, b, bs, part, nv * W, false);
            for (int64_t i = 0; i < rows; i++)
                for (int64_t j = 0; j < width; j++) {
                    T *out = c + (done + i) * cs + j;
                    *out = add ? *out + part[i * nv * W + j] : part[i * nv * W + j];
                }
        }
        done += rows;
    }
}

/* out[panel][k][w] = x[(panel width + w) rs + k cs], zero beyond n */
static void N(S, pack)(int64_t n, int64_t kc, const T *x, int64_t rs, int64_t cs, int64_t width, T *out)
{
    for (int64_t i = 0; i < n; i += width, out += width * kc) {
        int64_t w = least(width, n - i);
        const T *from = x + i * rs;
        if (w < width) memset(out, 0, (size_t)(width * kc) * sizeof(T));
        if (rs == 1) {
            for (int64_t k = 0; k < kc; k++) memcpy(out + k * width, from + k * cs, (size_t)w * sizeof(T));
            continue;
        }
        int64_t k = 0;
        for (; k + 8 <= kc; k += 8) /* eight columns at a time: each line that is read is used up */
            for (int64_t j = 0; j < w; j++)
                for (int q = 0; q < 8; q++) out[(k + q) * width + j] = from[j * rs + (k + q) * cs];
        for (; k < kc; k++)
            for (int64_t j = 0; j < w; j++) out[k * width + j] = from[j * rs + k * cs];
    }
}

/* Four dot products of length k at once, vectors along k. */
static void N(S, dots)(int64_t m, int64_t n, int64_t k, const T *a, int64_t ar, const T *b, int64_t br, T *c, int64_t cs)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j += 4) {
            const int64_t q = least(4, n - j);
            const T *x = a + i * ar, *y[4];
            for (int64_t p = 0; p < 4; p++) y[p] = b + (j + (p < q ? p : 0)) * br;
            vec acc[4][2] = { { { 0 } } };
            int64_t l = 0;
            for (; l + 2 * W <= k; l += 2 * W)
                for (int p = 0; p < 4; p++)
                    for (int v = 0; v < 2; v++) acc[p][v] = FUSED(*(const vec *)(y[p] + l + v * W), *(const vec *)(x + l + v * W), acc[p][v]);
            for (int64_t p = 0; p < q; p++) {
                vec s = acc[p][0] + acc[p][1];
                T sum = 0;
                for (int v = 0; v < W; v++) sum += s[v];
                for (int64_t r = l; r < k; r++) sum += x[r] * y[p][r];
                c[i * cs + j + p] = sum;
            }
        }
}

static void N(S, direct)(int64_t m, int64_t n, int64_t k, const T *a, const int64_t as[2], const T *b, int64_t bs, T *c, int64_t cs, T *scratch)
{
    int64_t whole = n / W * W; /* columns that are read in place */
    for (int64_t j = 0; j < whole; j += NR) N(S, panel)(m, least(NR, whole - j), k, a, as[0], as[1], 0, b + j, bs, c + j, cs, false);
    if (whole == n) return;
    N(S, pack)(n - whole, k, b + whole, 1, bs, W, scratch);
    N(S, panel)(m, n - whole, k, a, as[0], as[1], 0, scratch, W, c + whole, cs, false);
}

static void N(S, gemm)(int64_t m, int64_t n, int64_t k, const void *a_, const int64_t as[2], const void *b_, const int64_t bs[2], void *c_,
                       int64_t cs, void *scratch)
{
    const T *a = a_, *b = b_;
    T *c = c_, *pa = scratch, *pb = pa + MC * KC;
    if (k == 0) {
        for (int64_t i = 0; i < m; i++) memset(c + i * cs, 0, (size_t)n * sizeof(T));
        return;
    }
    if (as[1] == 1 && bs[0] == 1 && k >= 2 * W && (n <= 2 || m <= 2)) {
        N(S, dots)(m, n, k, a, as[0], b, bs[1], c, cs);
        return;
    }
    if (bs[1] == 1 && (n * k <= DIRECT || m <= 2 * MR)) { /* few rows do not pay for packing b */
        N(S, direct)(m, n, k, a, as, b, bs[0], c, cs, scratch);
        return;
    }
    for (int64_t k0 = 0; k0 < k; k0 += KC) {
        int64_t kc = least(KC, k - k0);
        N(S, pack)(n, kc, b + k0 * bs[0], bs[1], bs[0], NR, pb);
        for (int64_t i0 = 0; i0 < m; i0 += MC) {
            int64_t mc = least(MC, m - i0);
            const T *from = a + i0 * as[0] + k0 * as[1];
            bool packed = m > 4 * MR && n > 2 * NR; /* else a is read too seldom to pay */
            if (packed) N(S, pack)(mc, kc, from, as[0], as[1], MR, pa);
            for (int64_t j = 0; j < n; j += NR)
                N(S, panel)(mc, least(NR, n - j), kc, packed ? pa : from, packed ? 1 : as[0], packed ? MR : as[1], packed ? MR * kc : 0,
                            pb + j * kc, NR, c + i0 * cs + j, cs, k0 > 0);
        }
    }
}

#undef TILE
#undef TILES
#undef TILES_4
#undef TILES_6
#undef TILES_12
#undef ENTRY
#undef vec
#undef W
#undef NR
#undef N
#undef N2
