/* The loops of affine.c for one type: T, its suffix S. No include guard: it is included once for each type.
 * SPDX-License-Identifier: MIT */
#define vec N(S, vec)
#define W N(S, W)

/* BESIDE vectors of each of TOGETHER rows, or more: the last rows begin where they end, some of them a second time */
static APART void N(S, affine_block)(const gr_affine *k, int64_t rows, const T *a, const T *b, T *y)
{
    const int64_t n = k->n, steps = k->steps, a_row = k->as[0], a_k = k->as[1], b_k = k->bs;
    for (int64_t i = 0; i < rows; i += TOGETHER) {
        if (i > rows - TOGETHER) i = rows - TOGETHER;
        vec s[TOGETHER][BESIDE];
        UNROLL for (int v = 0; v < BESIDE; v++)
            UNROLL for (int r = 0; r < TOGETHER; r++) s[r][v] = N(S, load)(b + v * W);
        const T *x = a + i * a_row, *row = b;
        for (int64_t l = steps; l > 0; l--, x += a_k) {
            vec w[BESIDE];
            row += b_k;
            UNROLL for (int v = 0; v < BESIDE; v++) {
                w[v] = N(S, load)(row + v * W);
                HOLD(w[v]);
            }
            UNROLL for (int r = 0; r < TOGETHER; r++) {
                const vec all = N(S, all)(x[r * a_row]);
                UNROLL for (int v = 0; v < BESIDE; v++) s[r][v] = N(S, fma)(all, w[v], s[r][v]);
            }
        }
        T *to = y + i * n;
        UNROLL for (int r = 0; r < TOGETHER; r++, to += n)
            UNROLL for (int v = 0; v < BESIDE; v++) N(S, store)(to + v * W, s[r][v]);
    }
}

/* a vector of each row, or less */
static APART void N(S, affine_column)(const gr_affine *k, int64_t rows, int64_t columns, const T *a, const T *b, T *y)
{
    for (int64_t i = 0; i < rows; i++, a += k->as[0], y += k->n) {
        vec s = N(S, take)(b, columns, N(S, all)(0));
        for (int64_t l = 0; l < k->steps; l++) s = N(S, fma)(N(S, all)(a[l * k->as[1]]), N(S, take)(b + (l + 1) * k->bs, columns, N(S, all)(0)), s);
        N(S, put)(y, columns, s);
    }
}

/* sums[l][j] += sum over i of a[i, l] x[i, j] for l from `first` to `last`, of so many vectors or, at the edge, of as many columns as there
 * are; where they are fewer than `some` the last one is taken again. plain: sum 0 is that of x[i, j]. */
INLINE void N(S, sums)(const int some, const bool edge, const gr_affine *k, bool plain, int64_t first, int64_t last, int64_t rows, int64_t columns, const T *a, const T *x, T *sums)
{
    static const T one = 1;
    const int vectors = edge && EDGE == 1 ? 1 : some == THREE ? BESIDE : BESIDE_TWO;
    const int64_t n = k->n;
    const T *c[THREE];
    T *y[THREE];
    int64_t step[THREE];
    vec s[THREE][BESIDE_TWO];
    N(S, edge) part[BESIDE_TWO];
    UNROLL for (int v = 0; v < vectors; v++) part[v] = N(S, first)(columns < v * W ? 0 : gr__least(columns - v * W, W));
#define AT(p, v) (edge ? N(S, load_edge)((p) + (v) * W, part[v]) : N(S, load)((p) + (v) * W))
    UNROLL for (int q = 0; q < some; q++) {
        const int64_t number = gr__least(first + q, last);
        const bool is_plain = plain && number == 0;
        c[q] = is_plain ? &one : a + (number - plain) * k->as[1], step[q] = is_plain ? 0 : k->as[0];
        y[q] = sums + number * n;
        UNROLL for (int v = 0; v < vectors; v++) s[q][v] = AT(y[q], v);
    }
    for (int64_t i = 0; i < rows; i++, x += n) {
        vec all[THREE];
        UNROLL for (int q = 0; q < some; q++) all[q] = N(S, all)(*c[q]), c[q] += step[q];
        UNROLL for (int v = 0; v < vectors; v++) {
            vec e = AT(x, v);
            HOLD(e);
            UNROLL for (int q = 0; q < some; q++) s[q][v] = N(S, fma_on)(all[q], e, s[q][v]);
        }
    }
    UNROLL for (int q = 0; q < some; q++)
        UNROLL for (int v = 0; v < vectors; v++) {
            if (edge) N(S, store_edge)(y[q] + v * W, part[v], s[q][v]);
            else N(S, store)(y[q] + v * W, s[q][v]);
        }
#undef AT
}
typedef void N(S, sums_fn)(const gr_affine *k, bool plain, int64_t first, int64_t last, int64_t rows, int64_t columns, const T *a, const T *x, T *sums);
#define SUMS(some, edge)                                                                                             \
    static void N(S, sums_##some##_##edge)(const gr_affine *k, bool plain, int64_t first, int64_t last, int64_t rows, int64_t columns, const T *a, const T *x, T *y) \
    {                                                                                                                \
        N(S, sums)(some, edge, k, plain, first, last, rows, columns, a, x, y);                                             \
    }
SUMS(TWO, 0) SUMS(TWO, 1) SUMS(THREE, 0) SUMS(THREE, 1)
#undef SUMS

static void N(S, affine_adjoint)(const gr_affine *k, bool plain, int64_t first, int64_t count, const void *x_, void *sums)
{
    static N(S, sums_fn) *const sums_of[2][2] = { { N(S, sums_THREE_0), N(S, sums_THREE_1) }, { N(S, sums_TWO_0), N(S, sums_TWO_1) } };
    const T *a = (const T *)k->a + first / k->n * k->as[0], *x = x_;
    int64_t column = first % k->n;
    for (int64_t rows, columns; count > 0; count -= rows * columns, x += rows * columns, a += rows * k->as[0], column = 0) {
        columns = k->n - column < count ? k->n - column : count;
        rows = columns == k->n ? count / columns : 1;
        T *y = (T *)sums + column;
        for (int64_t all = k->steps + plain, l = 0, some; l < all; l += some) {
            some = all - l == THREE || all - l > 2 * TWO ? THREE : TWO;
            for (int64_t j = 0, width; j < columns; j += width) {
                const bool pair = some == TWO && (BESIDE_TWO == BESIDE || columns - j > BESIDE * W), edge = columns - j < (pair ? BESIDE_TWO : BESIDE) * W;
                width = (edge && EDGE == 1 ? 1 : pair ? BESIDE_TWO : BESIDE) * W;
                sums_of[pair][edge](k, plain, l, gr__least(l + some, all) - 1, rows, columns - j, a, x + j, y + j);
            }
        }
    }
}

static void N(S, affine)(const void *how, int64_t first, int64_t count, void *y_)
{
    const gr_affine *k = how;
    const T *a = (const T *)k->a + first / k->n * k->as[0];
    T *y = y_;
    int64_t column = first % k->n;
    for (int64_t rows, columns; count > 0; count -= rows * columns, y += rows * columns, a += rows * k->as[0], column = 0) {
        columns = k->n - column < count ? k->n - column : count;
        rows = columns == k->n ? count / columns : 1;
        const T *b = (const T *)k->b + column;
        const bool wide = rows >= TOGETHER && columns >= BESIDE * W;
        for (int64_t j = 0; j < columns; j += wide ? BESIDE * W : W) {
            if (wide && j > columns - BESIDE * W) j = columns - BESIDE * W;
            if (wide) N(S, affine_block)(k, rows, a, b + j, y + j);
            else N(S, affine_column)(k, rows, columns - j, a, b + j, y + j);
        }
    }
}

#undef vec
#undef W
