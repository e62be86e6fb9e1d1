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

/* sums[l][j] += sum over i of a[i, l] x[i, j], of so many vectors or, at the edge, of as many columns as there are; where there are fewer sums
 * the last one is taken again. plain: the first is the sum of x[i, j]. */
INLINE void N(S, sums)(const int vectors, const bool edge, const gr_affine *k, bool plain, int64_t rows, int64_t columns, const T *a, const T *x, T *sums)
{
    static const T one = 1;
    const int64_t n = k->n, last = k->steps + plain - 1;
    N(S, edge) part[BESIDE];
    UNROLL for (int v = 0; v < vectors; v++) part[v] = N(S, first)(columns < v * W ? 0 : least(columns - v * W, W));
#define AT(p, v) (edge ? N(S, load_edge)((p) + (v) * W, part[v]) : N(S, load)((p) + (v) * W))
    for (int64_t l = 0; l <= last; l += AT_ONCE) {
        const T *from = x, *c[AT_ONCE];
        T *y[AT_ONCE];
        int64_t step[AT_ONCE];
        vec s[AT_ONCE][BESIDE];
        UNROLL for (int q = 0; q < AT_ONCE; q++) {
            const int64_t number = least(l + q, last);
            const bool is_plain = plain && number == 0;
            c[q] = is_plain ? &one : a + (number - plain) * k->as[1], step[q] = is_plain ? 0 : k->as[0];
            y[q] = sums + number * n;
            UNROLL for (int v = 0; v < vectors; v++) s[q][v] = AT(y[q], v);
        }
        for (int64_t i = 0; i < rows; i++, from += n) {
            vec all[AT_ONCE];
            UNROLL for (int q = 0; q < AT_ONCE; q++) all[q] = N(S, all)(*c[q]), c[q] += step[q];
            UNROLL for (int v = 0; v < vectors; v++) {
                vec e = AT(from, v);
                HOLD(e);
                UNROLL for (int q = 0; q < AT_ONCE; q++) s[q][v] = N(S, fma)(all[q], e, s[q][v]);
            }
        }
        UNROLL for (int q = 0; q < AT_ONCE; q++)
            UNROLL for (int v = 0; v < vectors; v++) {
                if (edge) N(S, store_edge)(y[q] + v * W, part[v], s[q][v]);
                else N(S, store)(y[q] + v * W, s[q][v]);
            }
    }
#undef AT
}
static APART void N(S, sums_whole)(const gr_affine *k, bool plain, int64_t rows, const T *a, const T *x, T *y) { N(S, sums)(BESIDE, false, k, plain, rows, BESIDE * W, a, x, y); }
static APART void N(S, sums_edge)(const gr_affine *k, bool plain, int64_t rows, int64_t columns, const T *a, const T *x, T *y) { N(S, sums)(EDGE, true, k, plain, rows, columns, a, x, y); }

static void N(S, affine_adjoint)(const gr_affine *k, bool plain, int64_t first, int64_t count, const void *x_, void *sums)
{
    const T *a = (const T *)k->a + first / k->n * k->as[0], *x = x_;
    int64_t column = first % k->n;
    for (int64_t rows, columns; count > 0; count -= rows * columns, x += rows * columns, a += rows * k->as[0], column = 0) {
        columns = k->n - column < count ? k->n - column : count;
        rows = columns == k->n ? count / columns : 1;
        T *y = (T *)sums + column;
        int64_t j = 0;
        for (; j + BESIDE * W <= columns; j += BESIDE * W) N(S, sums_whole)(k, plain, rows, a, x + j, y + j);
        for (; j < columns; j += EDGE * W) N(S, sums_edge)(k, plain, rows, columns - j, a, x + j, y + j);
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
