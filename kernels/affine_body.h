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

static void N(S, affine)(const gr_affine *k, int64_t first, int64_t count, void *y_)
{
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
