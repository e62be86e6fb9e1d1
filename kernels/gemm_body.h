/* The matrix product for one type: T, its suffix S. No include guard: it is included once for each type.
 * SPDX-License-Identifier: MIT */
#define vec N(S, vec)
#define W N(S, W)
#define LANE N(S, LANE)
#define NR (NV * W)
#define DOT_ROWS (sizeof(T) == 8 || W == 4 ? 2 : W == 16 ? 4 : 3) /* against four columns: 16 or 12 accumulators; of doubles and portable ones
                                                                      fewer, for the sake of size */

/* ---- tiles -------------------------------------------------------------------------------------------------------------*/
/* How a tile walks: with the steps and strides of `of`, of which it is a part. The second half of a wide tile begins `half` columns
 * behind the first, before its end where there are fewer columns: those that are in both come out the same. */
typedef struct N(S, walk) {
    const gr_gemm_size *of; /* where they were written: a copy would have to wait until they are in the cache */
    int64_t half;
    N(S, edge) last; /* columns of an edge tile */
    bool add;
} N(S, walk);

#define COLUMN(v, nv, half) ((nv) > NV && (v) >= (nv) / 2 ? (half) + ((v) - (nv) / 2) * W : (v) * W)

/* A tile of rows x nv vectors, of which EDGE masks the last: c = or += acc. */
INLINE void N(S, put_tile)(const int rows, const int nv, const bool edge, const N(S, walk) *s, vec acc[MR][WIDE], T *c)
{
    const int64_t c_row = s->of->cs, half = s->half;
    if (nv <= NV && s->add) /* wide ones walk all of k: nothing is packed for them */
        UNROLL for (int i = 0; i < rows; i++)
            UNROLL for (int v = 0; v < nv; v++) acc[i][v] += edge ? N(S, load_edge)(c + i * c_row, s->last) : *(const vec *)(c + i * c_row + v * W);
    UNROLL for (int i = 0; i < rows; i++, c += c_row)
        UNROLL for (int v = 0; v < nv; v++) {
            if (edge) N(S, store_edge)(c, s->last, acc[i][v]);
            else *(vec *)(c + COLUMN(v, nv, half)) = acc[i][v];
        }
}

/* acc[v] += x y[v], a step of row i. Every third row spreads x with each multiply-add, the others once for all: the former is a load
 * more and an instruction less, and of both there are few to spare, the more so where two threads share a core. */
INLINE void N(S, row)(const int nv, const int i, const T *x, const vec *y, vec *acc)
{
    if (i % 3 == 0) {
        UNROLL for (int v = 0; v < nv; v++) acc[v] = N(S, fma_at)(x, y[v], acc[v]);
    } else {
        const vec all = *x - (vec){ 0 };
        UNROLL for (int v = 0; v < nv; v++) acc[v] = N(S, fma)(y[v], all, acc[v]);
    }
}

/* One tile, of any strides, at most W columns by mask if EDGE. */
INLINE void N(S, tile)(const int rows, const int nv, const bool edge, const N(S, walk) *s, const T *a, const T *b, T *c)
{
    const int64_t row = s->of->as[0], a_k = s->of->as[1], b_k = s->of->bs[0], half = s->half;
    const N(S, edge) last = s->last;
    const T *a3 = a + 3 * row, *a6 = a3 + 3 * row, *a9 = a6 + 3 * row, *a12 = a9 + 3 * row; /* the rows between: a stride away, or two */
    vec acc[MR][WIDE];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < nv; v++) acc[i][v] = (vec){ 0 };
#define AT(i) ((i < 3 ? a : i < 6 ? a3 : i < 9 ? a6 : i < 12 ? a9 : a12) + i % 3 * row)
#define B(v) (edge ? N(S, load_edge)(b, last) : *(const vec *)(b + COLUMN(v, nv, half)))
    for (int64_t k = s->of->k; k > 0; k--) {
        if (rows < nv) { /* the fewer stay in registers */
            vec x[FEW];
            UNROLL for (int i = 0; i < rows; i++) x[i] = *AT(i) - (vec){ 0 };
            UNROLL for (int v = 0; v < nv; v++) {
                vec y = B(v);
                if (rows > 1) HOLD(y);
                UNROLL for (int i = 0; i < rows; i++) acc[i][v] = N(S, fma)(y, x[i], acc[i][v]);
            }
        } else {
            vec y[WIDE];
            UNROLL for (int v = 0; v < nv; v++) y[v] = B(v);
            UNROLL for (int i = 0; i < rows; i++) N(S, row)(nv, i, AT(i), y, acc[i]);
        }
        a += a_k, a3 += a_k, a6 += a_k, a9 += a_k, a12 += a_k, b += b_k;
    }
#undef AT
#undef B
    N(S, put_tile)(rows, nv, edge, s, acc, c);
}

/* What is fetched, and done, beside the steps of a large product, a little with each CHUNK of them: the next panel of b, a row at a
 * time, and packed, unless it is; and of a the rows below, where they are about to be packed. */
typedef struct N(S, ahead) {
    const T *b, *a;
    T *pb; /* NULL: b is packed */
    int64_t b_k, left, burst; /* rows of b: to the next one, how many are left, how many go with a CHUNK */
    int64_t a_line, a_chunk;  /* of a: to the next line, to those of the next CHUNK */
} N(S, ahead);

INLINE void N(S, look_ahead)(N(S, ahead) *s, int64_t n)
{
    for (n = least(n, s->left), s->left -= n; n > 0; n--, s->b += s->b_k) {
        __builtin_prefetch(s->b + AHEAD * s->b_k, 0, 2), __builtin_prefetch(s->b + AHEAD * s->b_k + NR - 1, 0, 2);
        if (!s->pb) continue;
        UNROLL for (int v = 0; v < NV; v++) *(vec *)(s->pb + v * W) = *(const vec *)(s->b + v * W);
        s->pb += NR;
    }
}

/* One tile of a large product, MR x NR, of packed a and b. The rows of c are fetched two with a chunk, the last of them EARLY chunks before
 * the end. */
static APART void N(S, large)(const N(S, walk) *s, N(S, ahead) *next, const T *a, const T *b, T *c)
{
    vec acc[MR][WIDE];
    UNROLL for (int i = 0; i < MR; i++)
        UNROLL for (int v = 0; v < NV; v++) acc[i][v] = (vec){ 0 };
#define STEP                                                                                                                 \
    {                                                                                                                        \
        vec y[NV];                                                                                                           \
        UNROLL for (int v = 0; v < NV; v++) y[v] = *(const vec *)(b + v * W);                                                \
        UNROLL for (int i = 0; i < MR; i++) N(S, row)(NV, i, a + i, y, acc[i]);                                              \
        a += MR, b += NR;                                                                                                    \
    }
    const T *touch = c;
    int64_t k = s->of->k;
    const int64_t fetch = least(k, (MR / 2 + EARLY) * CHUNK);
    for (; k >= CHUNK; k -= CHUNK) {
        if (k <= fetch && k > fetch - MR / 2 * CHUNK)
            for (int i = 0; i < 2; i++, touch += s->of->cs) __builtin_prefetch(touch, 1), __builtin_prefetch(touch + NR - 1, 1);
        if (next->a) {
            for (int i = 0; i < CHUNK; i++) __builtin_prefetch(next->a + i * next->a_line, 0, 2);
            next->a += next->a_chunk;
        }
        N(S, look_ahead)(next, next->burst);
        for (int quarter = 0; quarter < CHUNK / 4; quarter++)
            UNROLL for (int u = 0; u < 4; u++) STEP
    }
    for (; k > 0; k--) STEP
#undef STEP
    N(S, put_tile)(MR, NV, false, s, acc, c);
}

typedef void N(S, tile_fn)(const N(S, walk) *s, const T *a, const T *b, T *c);
#define TILE(name, rows, nv, edge)                                                                                   \
    static void N(S, name##_##rows)(const N(S, walk) *s, const T *a, const T *b, T *c) { N(S, tile)(rows, nv, edge, s, a, b, c); }
#define BOTH(rows) TILE(edge, rows, 1, true) TILE(whole, rows, NV, false)
#define ENTRY(rows) { N(S, edge_##rows), N(S, whole_##rows) },
#if MR == 14
#define UP_TO_MR(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#elif MR == 12
#define UP_TO_MR(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#elif MR == 6
#define UP_TO_MR(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define UP_TO_MR(X) X(1) X(2) X(3) X(4)
#endif
UP_TO_MR(BOTH)
TILE(wide, 1, WIDE, false)
TILE(wide, 2, WIDE_FEW, false)
TILE(wide, 3, WIDE_FEW, false)
static N(S, tile_fn) *const N(S, tiles)[MR + 1][2] = { { 0 }, UP_TO_MR(ENTRY) };
static N(S, tile_fn) *const N(S, wides)[FEW + 1] = { 0, N(S, wide_1), N(S, wide_2), N(S, wide_3) };
/* A product that is_plain. */
static APART void N(S, plain)(const gr_gemm_size *p, const T *a, const T *b, T *c)
{
    N(S, walk) s = { .of = p, .last = N(S, first)(least(W, p->n)) };
    if (p->m <= MR && p->n <= W) {
        N(S, tiles)[p->m][0](&s, a, b, c);
        return;
    }
    for (int64_t j = 0, w; j < p->n; j += w) {
        w = least(NR, p->n - j);
        if (w < NR && w > W && j > 0) w = NR, j = p->n - w; /* some once more: one tile instead of two */
        if (w < NR) w = least(W, w), s.last = N(S, first)(w);
        for (int64_t i = 0, rows; i < p->m; i += rows) {
            rows = tile_rows(p->m - i);
            N(S, tiles)[rows][w > W](&s, a + i * p->as[0], b + j, c + i * p->cs + j);
        }
    }
}

/* m rows of a against w columns of b, a whole panel or at most W of them, through tiles of any strides. */
static void N(S, panel)(const plan *p, const N(S, walk) *s, int64_t m, int64_t w, const T *a, const T *b, T *c)
{
    const int64_t a_row = s->of->as[0], c_row = s->of->cs;
    for (int64_t i = 0, rows; i < m; i += rows, a += rows * a_row) {
        rows = tile_rows(m - i);
        N(S, tile_fn) *tile = w > NR ? N(S, wides)[rows] : N(S, tiles)[rows][w > W];
        if (p->cs[1] == 1) {
            tile(s, a, b, c + i * c_row);
        } else { /* the columns of c^T are the rows of c */
            T part[MR * WIDE * W];
            gr_gemm_size apart = *s->of;
            N(S, walk) t = *s;
            apart.cs = w, t.of = &apart;
            tile(&t, a, b, part);
            for (int64_t j = 0; j < w; j++)
                for (int64_t r = 0; r < rows; r++) c[(i + r) * c_row + j * p->cs[1]] = part[r * w + j];
        }
    }
}

/* ---- packing -----------------------------------------------------------------------------------------------------------*/
/* out[panel][k][r] = x[(panel width + r) rs + k cs]; what lies beyond n is anything. Writes up to W elements behind. */
static void N(S, pack)(int64_t n, int64_t kc, const T *x, int64_t rs, int64_t cs, int64_t width, T *out)
{
    for (int64_t i = 0; i < n; i += width, out += width * kc)
        for (int64_t count = least(width, n - i), r = (count - 1) / W * W; r >= 0; r -= W) { /* downwards: mends what was overrun */
            const int64_t some = least(W, count - r);
            const T *from = x + (i + r) * rs, *row[W];
            T *to = out + r;
            int64_t k = 0;
            if (rs == 1) {
                const N(S, edge) mask = N(S, first)(some);
                for (; k < kc; k++) *(vec *)(to + k * width) = N(S, load_edge)(from + k * cs, mask);
                continue;
            }
            for (int64_t q = 0; q < W; q++) row[q] = from + least(q, some - 1) * rs;
            for (; cs == 1 && k + LANE <= kc; k += LANE) {
                vec block[LANE];
                UNROLL for (int q = 0; q < LANE; q++) block[q] = N(S, lanes)(row + q, k);
                N(S, transpose)(block);
                UNROLL for (int q = 0; q < LANE; q++) *(vec *)(to + (k + q) * width) = block[q];
            }
            for (; k < kc; k++)
                for (int64_t q = 0; q < some; q++) to[k * width + q] = row[q][k * cs];
        }
}

/* ---- dot products ------------------------------------------------------------------------------------------------------*/
/* c[i, j] = a[i] b[j] for rows x all of them, of which `columns` are wanted. Each is the sum of one vector, in whichever tile; eight at a
 * time hide the latency of the addition. LANE columns of a row are added up together, or two columns of two rows. */
INLINE void N(S, dot_tile)(const int rows, const int all, const plan *p, int64_t columns, const T *a, int64_t a_row, const T *b, T *c)
{
    const int whole = all / LANE * LANE;
    const int64_t end = p->k / W * W, c_row = p->cs[1] == 1 ? p->cs[0] : DOTS;
    const N(S, edge) some = N(S, first)(p->k - end);
    const T *y[DOTS];
    T apart[DOT_ROWS * DOTS], *to = p->cs[1] == 1 ? c : apart;
    vec acc[DOT_ROWS * DOTS], x[DOT_ROWS];
    UNROLL for (int q = 0; q < all; q++) y[q] = b + least(q, columns - 1) * p->bs[1];
    UNROLL for (int i = 0; i < rows * all; i++) acc[i] = (vec){ 0 };
#define DOT_STEP(LOAD)                                                                                               \
    UNROLL for (int i = 0; i < rows; i++) x[i] = LOAD(a + i * a_row + l);                                            \
    UNROLL for (int q = 0; q < all; q++) {                                                                           \
        vec z = LOAD(y[q] + l);                                                                                      \
        if (rows > 1) HOLD(z);                                                                                       \
        UNROLL for (int i = 0; i < rows; i++) acc[i * all + q] = N(S, fma)(x[i], z, acc[i * all + q]);               \
    }
#define WHOLE(from) *(const vec *)(from)
#define SOME(from) N(S, load_edge)(from, some)
    int64_t l = 0;
    for (; l < end; l += W) { DOT_STEP(WHOLE) }
    if (l < p->k) { DOT_STEP(SOME) }
#undef DOT_STEP
#undef WHOLE
#undef SOME
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int q = 0; q < whole; q += LANE) N(S, put_lane)(to + i * c_row + q, columns - q, N(S, across)(N(S, fold)(acc + i * all + q)));
    UNROLL for (int i = 0; whole < all && i < rows; i += 2) {
        const vec *u = acc + i * all + whole, two_by_two[4] = { u[0], u[1], u[all], u[all + 1] };
        const N(S, lane) sum = N(S, across)(N(S, fold)(two_by_two));
        UNROLL for (int q = 0; q < 2; q++)
            if (whole + q < columns) to[i * c_row + whole + q] = sum[q], to[(i + 1) * c_row + whole + q] = sum[LANE - 2 + q];
    }
    for (int64_t q = 0; p->cs[1] != 1 && q < columns; q++)
        UNROLL for (int i = 0; i < rows; i++) c[i * p->cs[0] + q * p->cs[1]] = apart[i * DOTS + q];
}

/* A few rows of a against all columns of b. */
INLINE void N(S, dot)(const int rows, const plan *p, const T *a, int64_t a_row, const T *b, T *c)
{
    for (int64_t left = p->n, columns; left > 0; left -= columns, b += columns * p->bs[1], c += columns * p->cs[1])
        if (rows > 3 && left <= 2)
            columns = left, N(S, dot_tile)(rows, 2, p, columns, a, a_row, b, c);
        else
            columns = least(rows == 1 ? 8 : 4, left), N(S, dot_tile)(rows, rows == 1 ? 8 : 4, p, columns, a, a_row, b, c);
}
typedef void N(S, dot_fn)(const plan *p, const T *a, int64_t a_row, const T *b, T *c);
#define DOT(rows)                                                                                                    \
    static void N(S, dot_##rows)(const plan *p, const T *a, int64_t a_row, const T *b, T *c) { N(S, dot)(rows < (int)DOT_ROWS ? rows : (int)DOT_ROWS, p, a, a_row, b, c); }
DOT(1) DOT(2) DOT(3) DOT(4)

static void N(S, dots)(const plan *p, const T *a, const T *b, T *c, T *scratch)
{
    static N(S, dot_fn) *const dot[] = { N(S, dot_1), N(S, dot_2), N(S, dot_3), N(S, dot_4) };
    const int64_t a_row = p->pack_a ? p->k : p->as[0];
    for (int64_t i = 0; p->pack_a && i < p->m; i++)
        for (int64_t k = 0; k < p->k; k++) scratch[i * p->k + k] = a[i * p->as[0] + k * p->as[1]];
    if (p->pack_a) a = scratch;
    for (int64_t i = 0, rows; i < p->m; i += rows) {
        rows = least(DOT_ROWS, p->m - i);
        dot[rows - 1](p, a + i * a_row, a_row, b, c + i * p->cs[0]);
    }
}

/* ---- the product -------------------------------------------------------------------------------------------------------*/
/* kc steps from k0 on of the rows from i0 on, against all columns */
static void N(S, block)(const plan *p, int64_t k0, int64_t i0, const T *a, const T *b, T *c, T *pa, T *pb)
{
    const int64_t kc = least(p->kc, p->k - k0), mc = least(p->mc, p->m - i0), tall = p->pack_a && p->n >= NR ? whole_tiles(mc) : 0;
    const int64_t chunks = tall / MR * (kc / CHUNK);
    gr_gemm_size of = { .k = kc, .as = { p->as[0], p->as[1] }, .bs = { p->bs[0], 0 }, .cs = p->cs[0] }, packed = { .k = kc, .as = { 1, MR }, .bs = { NR, 1 }, .cs = p->cs[0] };
    N(S, walk) s = { .of = &of, .add = k0 > 0 };
    N(S, ahead) next = { .burst = chunks > 0 ? count_of(kc, chunks) : 0 };
    bool ready = i0 > 0;
    a += i0 * p->as[0] + k0 * p->as[1], b += k0 * p->bs[0], c += i0 * p->cs[0];
    for (int64_t j = 0, w; j < p->n; j += w) {
        w = least(p->width, p->n - j);
        if (w > NR && w < p->width / 4 * 3) w = NR; /* a wide tile would do too much twice */
        if (w < NR) w = least(W, w);
        s.half = w - p->width / 2;
        if (w < NR && p->n - j > W && j > 0 && !p->pack_b) w = NR, j = p->n - w; /* some once more: one tile instead of two */
        const T *bj = b + j * p->bs[1];
        T *cj = c + j * p->cs[1], *panel = panel_at(p, kc, j, NR) + pb;
        int64_t i = 0;
        s.last = N(S, first)(least(w, W));
        if (p->pack_b) {
            of.bs[0] = packed.bs[0] = round_up(w, W);
            if (!ready) N(S, pack)(w, kc, bj, p->bs[1], p->bs[0], of.bs[0], panel);
            bj = panel;
        }
        ready = i0 > 0;
        if (w == NR && tall > 0) {
            if (p->n - j - w >= NR && (ready || p->bs[1] == 1)) {
                next.b = ready ? panel_at(p, kc, j + w, NR) + pb : b + j + w, next.b_k = ready ? NR : p->bs[0], next.pb = ready ? NULL : panel_at(p, kc, j + w, NR) + pb, next.left = kc;
                ready = true;
            }
            for (; i < tall; i += MR) {
                if (j == 0) {
                    const T *ai = a + i * p->as[0];
                    N(S, pack)(MR, kc, ai, p->as[0], p->as[1], MR, pa + i * kc);
                    next.a = i + MR < tall ? ai + MR * p->as[0] + (p->as[0] == 1 ? MR - 1 : 0) : NULL;
                    next.a_line = p->as[0] == 1 ? p->as[1] : p->as[0], next.a_chunk = CHUNK * p->as[1];
                }
                N(S, large)(&s, &next, pa + i * kc, bj, cj + i * of.cs);
            }
            N(S, look_ahead)(&next, next.left);
        } else if (tall > 0) {
            for (s.of = &packed; i < tall; i += MR) N(S, tiles)[MR][0](&s, pa + i * kc, bj, cj + i * of.cs);
            s.of = &of;
        }
        N(S, panel)(p, &s, mc - i, w, a + i * p->as[0], bj, cj + i * of.cs);
    }
}

/* Of a product as it is planned, the units from first to end - 1. */
static APART void N(S, units)(const gr_gemm_size *size, int64_t first, int64_t end, const T *a, const T *b, T *c, T *scratch)
{
    const plan p = plan_for(size, first, end, sizeof(T));
    const T *left = p.swap ? b : a, *right = p.swap ? a : b;
    T *pb = p.pack_a ? scratch + packed_a(&p, W) : scratch;
    left += p.row * p.as[0], right += p.column * p.bs[1], c += p.row * p.cs[0] + p.column * p.cs[1];
    if (p.dots) {
        N(S, dots)(&p, left, right, c, scratch);
        return;
    }
    for (int64_t k0 = 0; k0 < p.k; k0 += p.kc)
        for (int64_t i0 = 0; i0 < p.m; i0 += p.mc) N(S, block)(&p, k0, i0, left, right, c, scratch, pb);
}

static void N(S, gemm_part)(const gr_gemm_size *s, int64_t first, int64_t end, const void *a, const void *b, void *c, void *scratch)
{
    if (s->m == 0 || s->n == 0) return;
    if (s->k == 0)
        for (int64_t i = 0; i < s->m; i++) memset((T *)c + i * s->cs, 0, (size_t)s->n * sizeof(T));
    else if (first == 0 && end == INT64_MAX && is_plain(s, sizeof(T)))
        N(S, plain)(s, a, b, c);
    else
        N(S, units)(s, first, end, a, b, c, scratch);
}

static void N(S, gemm)(int64_t m, int64_t n, int64_t k, const void *a, const int64_t as[2], const void *b, const int64_t bs[2], void *c, int64_t cs, void *scratch)
{
    N(S, gemm_part)(&(gr_gemm_size){ m, n, k, { as[0], as[1] }, { bs[0], bs[1] }, cs }, 0, INT64_MAX, a, b, c, scratch);
}

#undef DOT
#undef TILE
#undef BOTH
#undef ENTRY
#undef UP_TO_MR
#undef vec
#undef W
#undef LANE
#undef COLUMN
#undef NR
#undef DOT_ROWS
