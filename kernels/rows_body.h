/* The loops of rows.c for one type: T, its suffix S, its functions V(f) of vectors. No include guard: it is included once for each
 * type.
 * SPDX-License-Identifier: MIT */
#define vec N(S, vec)
#define W N(S, W)
#define LANES N(S, LANES)
#define mask N(S, mask)
#define all N(S, all)
#define take N(S, take)
#define put N(S, put)

/* ---- rows of a few elements: one in each lane ---------------------------------------------------------------------------*/
/* where W rows begin, or some: then the last stands in for those that are not there */
static APART mask N(S, row_starts)(int64_t some, int64_t n)
{
    mask at = { 0 };
    for (int64_t k = 1; k < W; k++) at[k] = (int)((k < some ? k : some - 1) * n);
    return at;
}
static APART void N(S, take_columns)(int64_t n, const T *x, mask at, vec *column)
{
    for (int64_t j = 0; j < n; j++) column[j] = N(S, gather_lanes)(x + j, at);
}
static APART void N(S, put_columns)(int64_t some, int64_t n, const vec *column, T *y)
{
    const T *from = (const T *)column;
    for (int64_t j = 0; j < n; j++, from += W)
        for (int64_t i = 0; i < some; i++) y[i * n + j] = from[i];
}
/* body(n, columns) for W rows at a time, which leaves columns of m elements; those of x are the first, those of other, unless it is NULL, begin at FEW */
static APART void N(S, few)(void body(int64_t n, vec *c), int64_t rows, int64_t n, const T *x, const T *other, int64_t m, T *y)
{
    vec c[2 * FEW];
    mask at = N(S, row_starts)(W, n);
    for (int64_t some; rows > 0; rows -= some, x += some * n, y += some * m) {
        some = rows < W ? rows : W;
        if (some < W) at = N(S, row_starts)(some, n);
        N(S, take_columns)(n, x, at, c);
        if (other) N(S, take_columns)(n, other, at, c + FEW);
        other = other ? other + some * n : NULL;
        body(n, c);
        N(S, put_columns)(some, m, c, y);
    }
}
/* the differences from the maximum, which is returned; a NaN stays where it is */
INLINE vec N(S, few_less_max)(int64_t n, vec *c)
{
    vec most = all(-(T)INFINITY);
    for (int64_t j = 0; j < n; j++) most = N(S, larger_of)(c[j], most);
    for (int64_t j = 0; j < n; j++) c[j] -= most;
    return most;
}
/* the log of the sum of exp c, of which the largest is 0 */
INLINE vec N(S, few_log_sum)(int64_t n, const vec *c)
{
    vec below = all(0), most = all(-1);
    for (int64_t j = 0; j < n; j++) {
        const vec e = V(exp_below)(c[j]), part = N(S, choose)(e == 1, all(0), e);
        below += part, most += e - part;
    }
    return V(log1p)(most + below);
}
static APART void N(S, few_softmax)(int64_t n, vec *c)
{
    vec sum = all(0);
    N(S, few_less_max)(n, c);
    for (int64_t j = 0; j < n; j++) c[j] = V(exp_below)(c[j]), sum += c[j];
    sum = 1 / sum;
    for (int64_t j = 0; j < n; j++) c[j] *= sum;
}
static APART void N(S, few_log_softmax)(int64_t n, vec *c)
{
    N(S, few_less_max)(n, c);
    const vec log_sum = N(S, few_log_sum)(n, c);
    for (int64_t j = 0; j < n; j++) c[j] -= log_sum;
}
static APART void N(S, few_logsumexp)(int64_t n, vec *c)
{
    mask lost = { 0 };
    for (int64_t j = 0; j < n; j++) lost |= c[j] != c[j];
    const vec most = N(S, few_less_max)(n, c), log_sum = N(S, few_log_sum)(n, c);
    const mask finite = most - most == 0;
    c[0] = N(S, choose)(lost & ~finite, all((T)NAN), most);
    c[1] = N(S, choose)(finite, log_sum, all(0));
}
static APART void N(S, few_softmax_dx)(int64_t n, vec *c)
{
    const vec *g = c + FEW;
    const mask lost = c[0] != c[0]; /* then all of the row is NaN */
    mask any = { 0 };
    vec sum = all(0);
    for (int64_t j = 0; j < n; j++) sum += g[j] * c[j], any |= g[j] != 0;
    const vec nan = N(S, choose)(any, all((T)NAN), all(0));
    for (int64_t j = 0; j < n; j++) c[j] = N(S, choose)(lost, nan, (g[j] - sum) * c[j]);
}

/* ---- rows of more: sums and maxima are taken in lanes, which W rows at a time are brought together in one vector ---------------*/
/* y[i] = all lanes of row i, in the same order for each: first those LANE apart, then by halves. It writes multiples of W rows. */
#define FOLD(name, plus)                                                                                             \
    static APART void N(S, name)(int64_t some, T lanes[][W], T *y)                                                   \
    {                                                                                                                \
        for (int64_t i = some; i % W; i++) N(S, store)(lanes[i], all(0));                                            \
        for (int64_t i = 0; i < some; i += W) {                                                                      \
            const T *row[W];                                                                                         \
            vec x[N(S, LANE)];                                                                                       \
            UNROLL for (int k = 0; k < W; k++) row[k] = lanes[i + k];                                                \
            UNROLL for (int r = 0; r < N(S, LANE); r++) {                                                            \
                x[r] = N(S, lanes)(row + r, 0);                                                                      \
                UNROLL for (int k = N(S, LANE); k < W; k += N(S, LANE)) x[r] = plus(x[r], N(S, lanes)(row + r, k));  \
            }                                                                                                        \
            N(S, transpose)(x);                                                                                      \
            UNROLL for (int half = N(S, LANE) / 2; half > 0; half /= 2)                                              \
                UNROLL for (int r = 0; r < half; r++) x[r] = plus(x[r], x[r + half]);                                \
            N(S, store)(y + i, x[0]);                                                                                \
        }                                                                                                            \
    }
#define ADD(a, b) ((a) + (b))
FOLD(add_lanes, ADD)
FOLD(largest_lanes, N(S, larger_of))
static int64_t N(S, stride)(int64_t n) { return n < NEAR / 2 ? (n + W - 1) / W * W : n; }

enum { N(S, SHORT) = ADDENDS * W < NEAR / TILE ? ADDENDS * W : NEAR / TILE }; /* a row that needs one vector of sums, and others fit beside it */
/* name(rows, n, a, b, c, sum): of each row i, at most GROUP, the sum of plus(s, a, b, c), which is s and the next term, of which a and b
 * are rows and c is one number for each of them; a term is 0 where a is u and b is v. That no addition waits for the one before, there are
 * TILE sums side by side: of that many short rows, or of that many vectors of a long one, whose lanes are brought together in double. */
#define SUM(name, plus, u, v)                                                                                        \
    static APART void N(S, name)(int64_t rows, int64_t n, const T *a, const T *b, const T *c, T *sum)                \
    {                                                                                                                \
        T lanes[GROUP + TILE][W];                                                                                    \
        const bool brief = n <= N(S, SHORT);                                                                         \
        double total = 0;                                                                                            \
        for (int64_t i = 0, from = 0; i < rows;) {                                                                   \
            const int64_t count = brief && rows - i >= TILE ? TILE : 1, down = count > 1 ? n : 0, right = brief ? 0 : W;\
            const int64_t on = brief ? W : TILE * W, m = gr__least(n - from, ADDENDS * on);                              \
            vec part[TILE], about[TILE];                                                                             \
            int64_t j = 0;                                                                                           \
            UNROLL_REST for (int k = 0; k < TILE; k++) part[k] = all(0), about[k] = all(c[k < count ? i + k : i]);   \
            for (; j <= m - on; j += on)                                                                             \
                UNROLL for (int k = 0; k < TILE; k++) {                                                              \
                    const int64_t at = k * (down + right) + j;                                                       \
                    part[k] = plus(part[k], N(S, load)(a + at), N(S, load)(b + at), about[k]);                       \
                }                                                                                                    \
            UNROLL_REST for (int k = 0; k < TILE; k++) {                                                             \
                const int64_t at = k * (down + right) + j, left = gr__least(m - j - k * right, W);                       \
                if (left <= 0) break;                                                                                \
                part[k] = plus(part[k], N(S, load_first)(a + at, left, u), N(S, load_first)(b + at, left, v), about[k]);\
            }                                                                                                        \
            a += count * m, b += count * m, from += m;                                                               \
            if (brief) {                                                                                             \
                UNROLL_REST for (int k = 0; k < TILE; k++) N(S, store)(lanes[i + k], part[k]);                       \
                i += count, from = 0;                                                                                \
                continue;                                                                                            \
            }                                                                                                        \
            total += N(S, lanes_total)((part[0] + part[2]) + (part[1] + part[3]));                                   \
            if (from == n) sum[i++] = (T)total, total = 0, from = 0;                                                 \
        }                                                                                                            \
        if (brief) N(S, add_lanes)(rows, lanes, sum);                                                                \
    }
#define PLAIN(s, a, b, c) ((void)(b), (void)(c), (s) + (a))
#define SQUARE(s, a, b, c) ((void)(b), N(S, fma)((a) - (c), (a) - (c), s))
#define PRODUCT(s, a, b, c) ((void)(c), N(S, fma)(a, b, s))
SUM(row_sums, PLAIN, all(0), all(0))
SUM(square_sums, SQUARE, about[k], all(0))
SUM(product_sums, PRODUCT, all(0), all(0))

/* ---- softmax --------------------------------------------------------------------------------------------------------*/
/* max x of some rows; a NaN may be passed over: the sum of exponentials heeds it */
static APART void N(S, maxima)(int64_t some, int64_t n, const T *x, T *most)
{
    T lanes[GROUP][W];
    for (int64_t i = 0; i < some; i++) {
        const T *p = x + i * n;
        vec a = all(-(T)INFINITY), b = a;
        int64_t j = 0;
        for (; j <= n - 2 * W; j += 2 * W) a = N(S, larger_of)(N(S, load)(p + j), a), b = N(S, larger_of)(N(S, load)(p + j + W), b);
        if (j <= n - W) a = N(S, larger_of)(N(S, load)(p + j), a), j += W;
        if (j < n) b = N(S, larger_of)(N(S, load_first)(p + j, n - j, b), b);
        N(S, store)(lanes[i], N(S, larger_of)(a, b));
    }
    N(S, largest_lanes)(some, lanes, most);
}
/* e = exp(x - top) of n elements from j on, or of a vector; it is kept unless e is NULL. Meanwhile the memory of next and beside is on its way. */
INLINE vec N(S, exps_from)(int64_t j, int64_t n, const T *x, vec top, T *e, const T *next, const T *beside)
{
    const vec some = V(exp_below)(take(x + j, n, all(-(T)INFINITY)) - top);
    if (e) put(e + j, n, some);
    FETCH(next + j), FETCH(beside + j);
    return some;
}
/* the sum of e in lanes; what is no normal number beside the largest e, 1, is 0 */
INLINE vec N(S, exp_sum)(int64_t n, const T *x, vec top, T *e, const T *next, const T *beside)
{
    double total = 0;
    for (int64_t j = 0;;) {
        vec part = all(0);
        for (const int64_t stop = n - j < ADDENDS * W ? n - W : j + (ADDENDS - 1) * W; j <= stop; j += W)
            part += N(S, exps_from)(j, W, x, top, e, next, beside);
        if (j < n && n - j < W) part += N(S, exps_from)(j, n - j, x, top, e, next, beside), j = n;
        if (n <= ADDENDS * W) return part;
        total += N(S, lanes_total)(part);
        if (j == n) return (vec){ (T)total };
    }
}
/* finish(some, n, x, e, most, sum, y): y of some rows x from their maxima, the e = exp(x - most), a whole number of vectors apart
 * unless there is but one row, and the sums of these */
typedef void N(S, finish)(int64_t some, int64_t n, const T *x, const T *e, const T *most, T *sum, T *y);
/* y, rows of m elements, by groups; e is kept if asked for. The maxima of a group are taken while the one before it waits for its sums. */
static APART void N(S, by_groups)(N(S, finish) *finish, bool keep, int64_t rows, int64_t n, const T *x, int64_t m, T *y)
{
    T most[2][GROUP], sum[GROUP], lanes[GROUP][W], near[NEAR + GROUP * W];
    const int64_t stride = keep ? N(S, stride)(n) : 0;
    int64_t some = rows_together(rows, n);
    N(S, maxima)(some, n, x, most[0]);
    for (int turn = 0; rows > 0; turn = !turn) {
        T *e = !keep ? NULL : n < NEAR / 2 ? near : y;
        const int64_t next = rows_together(rows - some, n);
        for (int64_t i = 0; i < some; i++) {
            const T *row = x + i * n;
            N(S, store)(lanes[i], N(S, exp_sum)(n, row, all(most[turn][i]), keep ? e + i * stride : NULL, i < next ? row + some * n : row, m < n ? row : y + i * n));
        }
        N(S, maxima)(next, n, x + some * n, most[!turn]);
        N(S, add_lanes)(some, lanes, sum);
        finish(some, n, x, e, most[turn], sum, y);
        x += some * n, y += some * m, rows -= some, some = next;
    }
}
static void N(S, divide)(int64_t some, int64_t n, const T *x, const T *e, const T *most, T *sum, T *y)
{
    (void)x, (void)most;
    for (int64_t i = 0; i < some; i += W) N(S, store)(sum + i, 1 / N(S, load)(sum + i));
    for (int64_t i = 0; i < some; i++, y += n, e += N(S, stride)(n)) {
        const vec scale = all(sum[i]);
        for (int64_t j = 0; j < n; j += W) put(y + j, n - j, take(e + j, n - j, scale) * scale);
    }
}
static void N(S, softmax)(int64_t rows, int64_t n, const void *x, void *y)
{
    if (n <= FEW) N(S, few)(N(S, few_softmax), rows, n, x, NULL, n, y);
    else N(S, by_groups)(N(S, divide), true, rows, n, x, n, y);
}
/* The sum of exp(x - m) less 1, m being an element: beside the 1, a small rest would lose its digits */
static APART T N(S, exp_sum_less_1)(int64_t n, const T *x, T m)
{
    double tops = -1, rest = 0;
    for (int64_t j = 0; j < n;) {
        vec below = all(0), top = all(0);
        for (const int64_t stop = n - j < ADDENDS * W ? n : j + ADDENDS * W; j < stop; j += W) {
            const vec e = V(exp_below)(take(x + j, n - j, all(-(T)INFINITY)) - m), part = N(S, choose)(e == 1, all(0), e);
            below += part, top += e - part;
        }
        tops += N(S, lanes_total)(top), rest += N(S, lanes_total)(below);
    }
    return (T)(tops + rest);
}
/* the logs of sums */
INLINE void N(S, log_sums)(int64_t some, int64_t n, const T *x, const T *most, T *sum)
{
    for (int64_t i = 0; i < some; i += W) N(S, store)(sum + i, N(S, load)(sum + i) - 1);
    for (int64_t i = 0; i < some; i++)
        if (sum[i] <= (T)0.5) sum[i] = N(S, exp_sum_less_1)(n, x + i * n, most[i]);
    for (int64_t i = 0; i < some; i += W) N(S, store)(sum + i, V(log1p)(N(S, load)(sum + i)));
}
static void N(S, put_two)(int64_t some, int64_t n, const T *x, const T *e, const T *most, T *sum, T *y)
{
    (void)e;
    N(S, log_sums)(some, n, x, most, sum);
    for (int64_t i = 0; i < some; i++) {
        y[2 * i] = most[i], y[2 * i + 1] = sum[i];
        if (most[i] - most[i] == 0) continue;
        int lost = 0;
        for (int64_t j = 0; j < n; j++) lost |= x[i * n + j] != x[i * n + j];
        y[2 * i] = lost ? (T)NAN : most[i], y[2 * i + 1] = 0;
    }
}
static void N(S, logsumexp)(int64_t rows, int64_t n, const void *x, void *y)
{
    if (n <= FEW && n > 0) N(S, few)(N(S, few_logsumexp), rows, n, x, NULL, 2, y);
    else N(S, by_groups)(N(S, put_two), false, rows, n, x, 2, y);
}
static void N(S, subtract)(int64_t some, int64_t n, const T *x, const T *e, const T *most, T *sum, T *y)
{
    (void)e;
    N(S, log_sums)(some, n, x, most, sum);
    for (int64_t i = 0; i < some; i++, x += n, y += n) {
        const vec top = all(most[i]), log_sum = all(sum[i]);
        for (int64_t j = 0; j < n; j += W) put(y + j, n - j, (take(x + j, n - j, top) - top) - log_sum);
    }
}
static void N(S, log_softmax)(int64_t rows, int64_t n, const void *x, void *y)
{
    if (n <= FEW) N(S, few)(N(S, few_log_softmax), rows, n, x, NULL, n, y);
    else N(S, by_groups)(N(S, subtract), false, rows, n, x, n, y);
}
/* W rows or some, a class of each, in lanes: that of rows that are not there is 0 */
static APART mask N(S, classes)(int64_t some, const int64_t *t)
{
    mask c = { 0 };
    for (int64_t k = 0; k < some; k++) c[k] = (I)t[k];
    return c;
}
static void N(S, cross_entropy)(int64_t rows, int64_t n, const void *x_, const int64_t *t, void *y_)
{
    const T *x = x_;
    T *y = y_;
    vec c[FEW];
    mask at = N(S, row_starts)(W, n);
    for (int64_t some; rows > 0; rows -= some, x += some * n, t += some, y += some) {
        some = rows < W ? rows : W;
        if (some < W) at = N(S, row_starts)(some, n);
        N(S, take_columns)(n, x, at, c);
        const vec hit = N(S, gather_lanes)(x, at + N(S, classes)(some, t));
        N(S, few_logsumexp)(n, c);
        put(y, some, c[1] - (hit - c[0]));
    }
}
static void N(S, cross_entropy_dx)(int64_t rows, int64_t n, const void *x_, const int64_t *t, const void *dy_, void *dx_)
{
    const T *x = x_, *dy = dy_;
    T *dx = dx_;
    vec c[FEW];
    mask at = N(S, row_starts)(W, n);
    for (int64_t some; rows > 0; rows -= some, x += some * n, t += some, dy += some, dx += some * n) {
        vec others = all(0);
        some = rows < W ? rows : W;
        if (some < W) at = N(S, row_starts)(some, n);
        const mask class = N(S, classes)(some, t);
        N(S, take_columns)(n, x, at, c);
        N(S, few_softmax)(n, c);
        for (int64_t j = 0; j < n; j++) others += N(S, choose)(class == (I)j, all(0), c[j]);
        const vec g = take(dy, some, all(0));
        for (int64_t j = 0; j < n; j++) {
            const vec less_1 = N(S, choose)(c[j] < (T)0.99, c[j] - 1, -others); /* near 1 the sum of the others has more digits */
            c[j] = N(S, choose)(g == 0, all(0), g * N(S, choose)(class == (I)j, less_1, c[j]));
        }
        N(S, put_columns)(some, n, c, dx);
    }
}
/* dx where the row has no finite derivative: a zero cotangent absorbs, any other leaves NaN everywhere */
static void N(S, lost_row)(int64_t n, const T *g, T *dx)
{
    int any = 0; /* gcc 12 loses lanes of a float that is chosen in a loop */
    for (int64_t j = 0; j < n; j++) any |= g[j] != 0;
    for (int64_t j = 0; j < n; j++) dx[j] = any ? (T)NAN : 0;
}
static void N(S, softmax_dx)(int64_t rows, int64_t n, const void *y_, const void *dy_, void *dx_)
{
    if (n <= FEW / 2) { /* a row of more is one vector or two */
        N(S, few)(N(S, few_softmax_dx), rows, n, y_, dy_, n, dx_);
        return;
    }
    const T *y = y_, *g = dy_;
    T *dx = dx_, sum[GROUP];
    for (int64_t some; rows > 0; rows -= some) {
        some = rows_together(rows, n);
        N(S, product_sums)(some, n, g, y, g, sum);
        for (int64_t i = 0; i < some; i++, y += n, g += n, dx += n) {
            if (y[0] != y[0]) N(S, lost_row)(n, g, dx); /* then all of it is NaN */
            else
                for (int64_t j = 0; j < n; j += W) put(dx + j, n - j, (take(g + j, n - j, all(0)) - sum[i]) * take(y + j, n - j, all(0)));
        }
    }
}

/* ---- layer norm -------------------------------------------------------------------------------------------------------*/
/* of each row the mean, and 1 / sqrt(variance + eps) of the differences from it */
static APART void N(S, statistics)(int64_t rows, int64_t n, const T *x, double eps, T *mean, T *r)
{
    N(S, row_sums)(rows, n, x, x, x, mean);
    for (int64_t i = 0; i < rows; i++) mean[i] /= (T)n;
    N(S, square_sums)(rows, n, x, x, mean, r);
    for (int64_t i = 0; i < rows; i++) r[i] = (T)(1 / sqrt((double)r[i] / (double)n + eps));
}
static void N(S, layer_norm)(int64_t rows, int64_t n, double eps, const void *x_, const void *w, const void *b, void *y_)
{
    const T *x = x_;
    T *y = y_, mean[GROUP], r[GROUP];
    for (int64_t some; rows > 0; rows -= some) {
        some = rows_together(rows, n);
        const int64_t later = rows < 2 * some ? 0 : some * n;
        N(S, statistics)(some, n, x, eps, mean, r);
        for (int64_t i = 0; i < some; i++, x += n, y += n)
            for (int64_t j = 0; j < n; j += W) {
                const vec h = (take(x + j, n - j, all(0)) - mean[i]) * r[i];
                put(y + j, n - j, N(S, fma)(h, take((const T *)w + j, n - j, all(0)), take((const T *)b + j, n - j, all(0))));
                FETCH(x + later + j), FETCH(y + later + j);
            }
    }
}
/* dw and db, and of m elements of rows of n the sums of g w and of g w h, in lanes */
INLINE void N(S, norm_back_sums)(int some, int64_t m, int64_t n, const T *x, const T *w, const T *g, const T *mean, const T *r, T plain[][W], T along[][W], T *dw, T *db)
{
    vec a[TILE], b[TILE];
    UNROLL for (int i = 0; i < some; i++) a[i] = b[i] = all(0);
    for (int64_t j = 0; j < m; j += W) {
        const vec factor = take(w + j, m - j, all(0));
        vec to_w = take(dw + j, m - j, all(0)), to_b = take(db + j, m - j, all(0));
        UNROLL for (int i = 0; i < some; i++) {
            const vec h = (take(x + i * n + j, m - j, all(mean[i])) - mean[i]) * r[i], e = take(g + i * n + j, m - j, all(0)), f = e * factor;
            to_w = N(S, fma)(e, h, to_w), to_b += e;
            a[i] += f, b[i] = N(S, fma)(f, h, b[i]);
        }
        put(dw + j, m - j, to_w), put(db + j, m - j, to_b);
    }
    UNROLL for (int i = 0; i < some; i++) N(S, store)(plain[i], a[i]), N(S, store)(along[i], b[i]);
}
static void N(S, layer_norm_back)(int64_t rows, int64_t n, double eps, const void *x_, const void *w_, const void *dy_, void *dx_, void *dw_, void *db_)
{
    const T *x = x_, *g = dy_, *w = w_;
    T *dx = dx_, *dw = dw_, *db = db_, mean[GROUP], r[GROUP], p[GROUP], q[GROUP], plain[GROUP][W], along[GROUP][W], spare[ADDENDS * W] = { 0 };
    const bool brief = n <= N(S, SHORT);
    for (int64_t j = 0; dw && j < n; j++) dw[j] = 0;
    for (int64_t j = 0; db && j < n; j++) db[j] = 0;
    for (int64_t some; rows > 0; rows -= some, x += some * n, g += some * n) {
        some = n > NEAR / TILE ? gr__least(rows, TILE) : rows_together(rows, n);
        N(S, statistics)(some, n, x, eps, mean, r);
        bool lost = false; /* a row with NaN or infinity */
        for (int64_t i = 0; i < some; i++) lost |= r[i] - r[i] != 0;
        if (lost && some > 1) some = 1, lost = r[0] - r[0] != 0;
        if (lost) {
            for (int64_t j = 0; db && j < n; j++) db[j] += g[j];
            for (int64_t j = 0; dw && j < n; j++) dw[j] = g[j] != 0 ? (T)NAN : dw[j];
            if (dx) N(S, lost_row)(n, g, dx), dx += n;
            continue;
        }
        int64_t i = 0;
        for (int64_t at = 0, count, m; i < some; i += count) {
            double total[2][TILE] = { { 0 } };
            count = some - i < TILE ? 1 : TILE;
            for (int64_t j = 0; j < n; j += m, at += m) {
                T *to_w = dw ? dw + j : spare, *to_b = db ? db + j : spare;
                m = gr__least(n - j, ADDENDS * W);
                if (count == 1) N(S, norm_back_sums)(1, m, n, x + at, w + j, g + at, mean + i, r + i, plain + i, along + i, to_w, to_b);
                else N(S, norm_back_sums)(TILE, m, n, x + at, w + j, g + at, mean + i, r + i, plain + i, along + i, to_w, to_b);
                for (int64_t k = 0; k < count && !brief; k++) {
                    p[i + k] = (T)(total[0][k] += N(S, lanes_total)(N(S, load)(plain[i + k])));
                    q[i + k] = (T)(total[1][k] += N(S, lanes_total)(N(S, load)(along[i + k])));
                }
            }
            at += (count - 1) * n;
        }
        if (brief) N(S, add_lanes)(some, plain, p), N(S, add_lanes)(some, along, q);
        for (i = 0; i < some; i++) p[i] /= (T)n, q[i] /= (T)n;
        for (i = 0; dx && i < some; i++, dx += n)
            for (int64_t j = 0, k = i * n; j < n; j += W, k += W) {
                const vec h = (take(x + k, n - j, all(0)) - mean[i]) * r[i], f = take(g + k, n - j, all(0)) * take(w + j, n - j, all(0));
                put(dx + j, n - j, N(S, fma)(-h, all(q[i]), f - p[i]) * r[i]);
            }
    }
}

#undef SUM
#undef FOLD
#undef ADD
#undef PLAIN
#undef SQUARE
#undef PRODUCT
#undef vec
#undef W
#undef LANES
#undef mask
#undef all
#undef take
#undef put
