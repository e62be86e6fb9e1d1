/* The loops of gemm_loops.c for one type: T, its suffix S. No include guard: it is included once for each type.
 * SPDX-License-Identifier: MIT */
#define vec N(S, vec)
#define W N(S, W)
#define LANE N(S, LANE)
#define NR (NV * W)
#define DOT_ROWS (sizeof(T) == 8 || W == 4 ? 2 : W == 16 ? 4 : 3) /* against four columns: 16 or 12 accumulators; of doubles and portable ones
                                                                      fewer, for the sake of size */

/* ---- tiles -------------------------------------------------------------------------------------------------------------*/
#define COLUMN(v, nv, half) ((nv) > NV && (v) >= (nv) / 2 ? (half) + ((v) - (nv) / 2) * W : (v) * W)

/* A tile of rows x nv vectors, of which EDGE masks the last: c = or += acc. */
INLINE void N(S, put_tile)(const int rows, const int nv, const bool edge, const gr_gemm_walk *s, N(S, edge) last, vec acc[MR][WIDE], T *c)
{
    const int64_t c_row = s->of->cs, half = s->half;
    if (nv <= NV && s->add) /* wide ones walk all of k: nothing is packed for them */
        UNROLL for (int i = 0; i < rows; i++)
            UNROLL for (int v = 0; v < nv; v++) acc[i][v] += edge ? N(S, load_edge)(c + i * c_row, last) : *(const vec *)(c + i * c_row + v * W);
    UNROLL for (int i = 0; i < rows; i++, c += c_row)
        UNROLL for (int v = 0; v < nv; v++) {
            if (edge) N(S, store_edge)(c, last, acc[i][v]);
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
INLINE void N(S, tile)(const int rows, const int nv, const bool edge, const gr_gemm_walk *s, const T *a, const T *b, T *c)
{
    const int64_t row = s->of->as[0], a_k = s->of->as[1], b_k = s->of->bs[0], half = s->half;
    const N(S, edge) last = edge ? N(S, first)(s->columns) : (N(S, edge)){ 0 };
    const T *a3 = a + 3 * row, *a6 = a3 + 3 * row, *a9 = a6 + 3 * row, *a12 = a9 + 3 * row; /* the rows between: a stride away, or two */
    vec acc[MR][WIDE];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < nv; v++) acc[i][v] = (vec){ 0 };
#define AT(i) ((i < 3 ? a : i < 6 ? a3 : i < 9 ? a6 : i < 12 ? a9 : a12) + i % 3 * row)
#define B(v) (edge ? N(S, load_edge)(b, last) : *(const vec *)(b + COLUMN(v, nv, half)))
    for (int64_t k = s->of->k; k > 0; k--) {
        if (rows < nv) { /* the fewer stay in registers */
            vec x[FEW];
            if (rows == 1 && FETCH_ROWS) UNROLL for (int v = 0; v < nv; v += 2) __builtin_prefetch(b + AHEAD * b_k + COLUMN(v, nv, half));
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
    N(S, put_tile)(rows, nv, edge, s, last, acc, c);
}

/* n rows of b more */
INLINE void N(S, look_ahead)(gr_gemm_ahead *s, int64_t n)
{
    const T *b = s->b;
    T *pb = s->pb;
    for (n = gr__least(n, s->left), s->left -= n; n > 0; n--, b += s->b_k) {
        __builtin_prefetch(b + AHEAD * s->b_k, 0, 2), __builtin_prefetch(b + AHEAD * s->b_k + NR - 1, 0, 2);
        if (!pb) continue;
        UNROLL for (int v = 0; v < NV; v++) *(vec *)(pb + v * W) = *(const vec *)(b + v * W);
        pb += NR;
    }
    s->b = b, s->pb = pb;
}
static void N(S, ahead)(gr_gemm_ahead *s) { N(S, look_ahead)(s, s->left); }

/* One tile of a large product, MR x NR, of packed a and b. The rows of c are fetched two with a chunk, the last of them EARLY chunks before
 * the end. */
static void N(S, large)(const gr_gemm_walk *s, gr_gemm_ahead *next, const void *a_, const void *b_, void *c)
{
    const T *a = a_, *b = b_;
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
    const int64_t fetch = gr__least(k, (MR / 2 + EARLY) * CHUNK);
    for (; k >= CHUNK; k -= CHUNK) {
        if (k <= fetch && k > fetch - MR / 2 * CHUNK)
            for (int i = 0; i < 2; i++, touch += s->of->cs) __builtin_prefetch(touch, 1), __builtin_prefetch(touch + NR - 1, 1);
        if (next->a) {
            const T *x = next->a;
            for (int i = 0; i < CHUNK; i++) __builtin_prefetch(x + i * next->a_line, 0, 2);
            next->a = x + next->a_chunk;
        }
        N(S, look_ahead)(next, next->burst);
        for (int quarter = 0; quarter < CHUNK / 4; quarter++)
            UNROLL for (int u = 0; u < 4; u++) STEP
    }
    for (; k > 0; k--) STEP
#undef STEP
    N(S, put_tile)(MR, NV, false, s, (N(S, edge)){ 0 }, acc, c);
}

#define TILE(name, rows, nv, edge)                                                                                   \
    static void N(S, name##_##rows)(const gr_gemm_walk *s, const void *a, const void *b, void *c) { N(S, tile)(rows, nv, edge, s, a, b, c); }
#define BOTH(rows) TILE(edge, rows, 1, true) TILE(whole, rows, NV, false)
#define ENTRY(rows) { N(S, edge_##rows), N(S, whole_##rows) },
UP_TO_MR(BOTH)
TILE(wide, 1, WIDE, false)
TILE(wide, 2, WIDE_FEW, false)
TILE(wide, 3, WIDE_FEW, false)

/* ---- packing -----------------------------------------------------------------------------------------------------------*/
static void N(S, pack)(int64_t n, int64_t kc, const void *x_, int64_t rs, int64_t cs, int64_t width, void *out_)
{
    const T *x = x_;
    T *out = out_;
    for (int64_t i = 0; i < n; i += width, out += width * kc)
        for (int64_t count = gr__least(width, n - i), r = (count - 1) / W * W; r >= 0; r -= W) { /* downwards: mends what was overrun */
            const int64_t some = gr__least(W, count - r);
            const T *from = x + (i + r) * rs, *row[W];
            T *to = out + r;
            int64_t k = 0;
            if (rs == 1) {
                const N(S, edge) mask = N(S, first)(some);
                for (; k < kc; k++) *(vec *)(to + k * width) = N(S, load_edge)(from + k * cs, mask);
                continue;
            }
            for (int64_t q = 0; q < W; q++) row[q] = from + gr__least(q, some - 1) * rs;
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

static void N(S, copy)(int64_t n, void *y_, int64_t sy, const void *x_, int64_t sx)
{
    const T *x = x_;
    T *y = y_;
    for (; n > 0; n--, x += sx, y += sy) *y = *x;
}

/* ---- dot products ------------------------------------------------------------------------------------------------------*/
/* c[i, j] = a[i] b[j] for rows x all of them, of which `columns` are wanted. Each is the sum of one vector, in whichever tile; eight at a
 * time hide the latency of the addition. LANE columns of a row are added up together, or two columns of two rows. */
INLINE void N(S, dot_tile)(const int rows, const int all, const gr_gemm_walk *s, int64_t columns, const T *a, const T *b, T *c)
{
    const int whole = all / LANE * LANE;
    const int64_t steps = s->of->k, end = steps / W * W, a_row = s->of->as[0], step = s->step, c_row = step == 1 ? s->of->cs : DOTS;
    const N(S, edge) some = N(S, first)(steps - end);
    const T *y[DOTS];
    T apart[DOT_ROWS * DOTS], *to = step == 1 ? c : apart;
    vec acc[DOT_ROWS * DOTS], x[DOT_ROWS];
    UNROLL for (int q = 0; q < all; q++) y[q] = b + gr__least(q, columns - 1) * s->of->bs[1];
    UNROLL for (int i = 0; i < rows * all; i++) acc[i] = (vec){ 0 };
#define DOT_STEP(LOAD)                                                                                               \
    UNROLL for (int i = 0; i < rows; i++) x[i] = LOAD(a + i * a_row + l);                                            \
    UNROLL for (int q = 0; q < all; q++) {                                                                           \
        vec z = LOAD(y[q] + l);                                                                                      \
        if (rows > 1) HOLD(z);                                                                                       \
        UNROLL for (int i = 0; i < rows; i++) acc[i * all + q] = N(S, fma_on)(x[i], z, acc[i * all + q]);               \
    }
#define WHOLE(from) *(const vec *)(from)
#define SOME(from) N(S, load_edge)(from, some)
    int64_t l = 0;
    for (; l < end; l += W) { DOT_STEP(WHOLE) }
    if (l < steps) { DOT_STEP(SOME) }
#undef DOT_STEP
#undef WHOLE
#undef SOME
    UNROLL for (int q = 0; q < whole; q += LANE) {
        UNROLL for (int i = 0; i < rows; i++) x[i] = N(S, fold)(acc + i * all + q);
        N(S, put_across)(rows, to + q, c_row, columns - q, x);
    }
    UNROLL for (int i = 0; whole < all && i < rows; i += 2) {
        const vec *u = acc + i * all + whole, two_by_two[4] = { u[0], u[1], u[all], u[all + 1] };
        const N(S, lane) sum = N(S, across)(N(S, fold)(two_by_two));
        T *low = to + i * c_row + whole, *high = low + c_row;
        if (columns > whole + 1) *(N(S, half) *)low = (N(S, half)){ sum[0], sum[1] }, *(N(S, half) *)high = (N(S, half)){ sum[LANE - 2], sum[LANE - 1] };
        else *low = sum[0], *high = sum[LANE - 2];
    }
    for (int64_t q = 0; step != 1 && q < columns; q++)
        UNROLL for (int i = 0; i < rows; i++) c[i * s->of->cs + q * step] = apart[i * DOTS + q];
}

/* A few rows of a against all columns of b. */
INLINE void N(S, dot)(const int rows, const gr_gemm_walk *s, const T *a, const T *b, T *c)
{
    for (int64_t left = s->columns, columns; left > 0; left -= columns, b += columns * s->of->bs[1], c += columns * s->step)
        if (rows > 3 && left <= 2)
            columns = left, N(S, dot_tile)(rows, 2, s, columns, a, b, c);
        else
            columns = gr__least(rows == 1 ? 8 : 4, left), N(S, dot_tile)(rows, rows == 1 ? 8 : 4, s, columns, a, b, c);
}
#define DOT(rows)                                                                                                    \
    static void N(S, dot_##rows)(const gr_gemm_walk *s, const void *a, const void *b, void *c) { N(S, dot)(rows < (int)DOT_ROWS ? rows : (int)DOT_ROWS, s, a, b, c); }
DOT(1) DOT(2) DOT(3) DOT(4)

static const gr_gemm_loops N(S, loops)[1] = { { sizeof(T), W, MR, DOT_ROWS, WIDE, WIDE_FEW, { { 0 }, UP_TO_MR(ENTRY) }, { 0, N(S, wide_1), N(S, wide_2), N(S, wide_3) },
                                                { 0, N(S, dot_1), N(S, dot_2), N(S, dot_3), N(S, dot_4) }, N(S, large), N(S, ahead), N(S, pack), N(S, copy) } };

#undef DOT
#undef TILE
#undef BOTH
#undef ENTRY
#undef vec
#undef W
#undef LANE
#undef COLUMN
#undef NR
#undef DOT_ROWS
