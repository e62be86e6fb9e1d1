/* The loops of rows.c for one type: T, its suffix S, its functions V(f) of vectors. No include guard: it is included once for each
 * type.
 * SPDX-License-Identifier: MIT */
#define vec N(S, vec)
#define W N(S, W)
#define LANES N(S, LANES)
#define all N(S, all)
#define take N(S, take)
#define put N(S, put)

/* name(n, a, b, c, d) = sum over i of term, of which a and b are rows and c, d the same for all; 0 where a is u and b is v */
#define SUM(name, term, u, v)                                                                                        \
    INLINE double N(S, name)(int64_t n, const T *a, const T *b, vec c, vec d)                                        \
    {                                                                                                                \
        double total = 0;                                                                                            \
        (void)b, (void)c, (void)d;                                                                                   \
        while (n > 0) {                                                                                              \
            vec part[PANEL];                                                                                         \
            const int64_t panels = n / LANES < ADDENDS ? n / LANES : ADDENDS;                                        \
            UNROLL for (int k = 0; k < PANEL; k++) part[k] = all(0);                                                 \
            for (int64_t i = 0; i < panels; i++, a += LANES, b += LANES)                                             \
                UNROLL for (int k = 0; k < PANEL; k++)                                                               \
                    part[k] += term(take(a + k * W, W, all(0)), take(b + k * W, W, all(0)), c, d);                   \
            n -= panels * LANES;                                                                                     \
            UNROLL for (int k = 0; k < PANEL && panels < ADDENDS; k++, n -= W) {                                     \
                if (n <= 0) break;                                                                                   \
                part[k] += term(take(a + k * W, n, u), take(b + k * W, n, v), c, d);                                 \
            }                                                                                                        \
            UNROLL for (int half = PANEL / 2; half > 0; half /= 2)                                                   \
                UNROLL for (int k = 0; k < half; k++) part[k] += part[k + half];                                     \
            total += N(S, lanes_total)(part[0]);                                                                           \
        }                                                                                                            \
        return total;                                                                                                \
    }
#define PLAIN(a, b, c, d) (a)
#define SQUARE(a, b, c, d) (((a) - (c)) * ((a) - (c)))
#define PRODUCT(a, b, c, d) ((a) * (b))
SUM(row_sum, PLAIN, all(0), all(0))
SUM(square_sum, SQUARE, c, c)
SUM(product_sum, PRODUCT, all(0), all(0))

/* ---- softmax --------------------------------------------------------------------------------------------------------*/
/* max x; a NaN may be passed over: the sum of exponentials heeds it */
static APART T N(S, row_max)(int64_t n, const T *x)
{
    vec part[PANEL];
    UNROLL for (int k = 0; k < PANEL; k++) part[k] = all(-(T)INFINITY);
    for (; n >= LANES; n -= LANES, x += LANES)
        UNROLL for (int k = 0; k < PANEL; k++) part[k] = N(S, larger_of)(N(S, load)(x + k * W), part[k]);
    UNROLL for (int k = 0; k < PANEL; k++, n -= W) {
        if (n <= 0) break;
        part[k] = N(S, larger_of)(take(x + k * W, n, part[k]), part[k]);
    }
    UNROLL for (int half = PANEL / 2; half > 0; half /= 2)
        UNROLL for (int k = 0; k < half; k++) part[k] = N(S, larger_of)(part[k + half], part[k]);
    return N(S, lanes_largest)(part[0]);
}
/* the sum of exp(x - m), which are kept in y unless it is NULL; what is no normal number beside the largest, 1, is 0 */
static APART double N(S, exp_sum)(int64_t n, const T *x, T m, T *y)
{
    double total = 0;
    for (int64_t j = 0; j < n;) {
        vec part = all(0), other = part;
        const int64_t stop = n - j < 2 * ADDENDS * W ? n : j + 2 * ADDENDS * W;
        for (; j + 2 * W <= stop; j += 2 * W) { /* two at a time: one does not fill the machine */
            const vec e = V(exp_below)(N(S, load)(x + j) - m), f = V(exp_below)(N(S, load)(x + j + W) - m);
            if (y) N(S, store)(y + j, e), N(S, store)(y + j + W, f);
            part += e, other += f;
        }
        for (; j < stop; j += W) {
            const vec e = V(exp_below)(take(x + j, n - j, all(-(T)INFINITY)) - m);
            if (y) put(y + j, n - j, e);
            part += e;
        }
        total += N(S, lanes_total)(part + other);
    }
    return total;
}
static void N(S, softmax)(int64_t rows, int64_t n, const void *x_, void *y_)
{
    const T *x = x_;
    T *y = y_, most[GROUP];
    for (int64_t some; rows > 0; rows -= some, x += some * n, y += some * n) {
        some = rows_together(rows, n);
        for (int64_t i = 0; i < some; i++) most[i] = N(S, row_max)(n, x + i * n);
        for (int64_t i = 0; i < some; i++) most[i] = (T)(1 / N(S, exp_sum)(n, x + i * n, most[i], y + i * n));
        for (int64_t i = 0; i < some; i++)
            for (int64_t j = 0; j < n; j += W) {
                T *to = y + i * n + j;
                put(to, n - j, take(to, n - j, all(0)) * most[i]);
            }
    }
}
/* of each row its maximum, and the log of the sum of exp(x - m) */
static APART void N(S, some_lse)(int64_t some, int64_t n, const T *x, T *most, double *log_sum)
{
    for (int64_t i = 0; i < some; i++) most[i] = N(S, row_max)(n, x + i * n);
    for (int64_t i = 0; i < some; i++) log_sum[i] = N(S, exp_sum)(n, x + i * n, most[i], NULL);
    for (int64_t i = 0; i < some; i += f64_W)
        f64_put(log_sum + i, some - i, vv64_log(f64_take(log_sum + i, some - i, f64_all(1))));
}
static void N(S, logsumexp)(int64_t rows, int64_t n, const void *x_, void *y_)
{
    const T *x = x_;
    T *y = y_, most[GROUP];
    double log_sum[GROUP];
    for (int64_t some; rows > 0; rows -= some, x += some * n, y += some) {
        some = rows_together(rows, n);
        N(S, some_lse)(some, n, x, most, log_sum);
        for (int64_t i = 0; i < some; i++) {
            y[i] = most[i] + (T)log_sum[i];
            if (most[i] - most[i] == 0) continue;
            y[i] = most[i]; /* a row of -inf alone, or with +inf, is its maximum, unless there is a NaN */
            int lost = 0;
            for (int64_t j = 0; j < n; j++) lost |= x[i * n + j] != x[i * n + j];
            if (lost) y[i] = (T)NAN;
        }
    }
}
static void N(S, log_softmax)(int64_t rows, int64_t n, const void *x_, void *y_)
{
    const T *x = x_;
    T *y = y_, most[GROUP];
    double log_sum[GROUP];
    for (int64_t some; rows > 0; rows -= some) {
        some = rows_together(rows, n);
        N(S, some_lse)(some, n, x, most, log_sum);
        for (int64_t i = 0; i < some; i++, x += n, y += n)
            for (int64_t j = 0; j < n; j += W) put(y + j, n - j, (take(x + j, n - j, all(0)) - most[i]) - (T)log_sum[i]);
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
    const T *y = y_, *g = dy_;
    T *dx = dx_, sum[GROUP];
    for (int64_t some; rows > 0; rows -= some) {
        some = rows_together(rows, n);
        for (int64_t i = 0; i < some; i++) sum[i] = (T)N(S, product_sum)(n, g + i * n, y + i * n, all(0), all(0));
        for (int64_t i = 0; i < some; i++, y += n, g += n, dx += n) {
            if (y[0] != y[0]) N(S, lost_row)(n, g, dx); /* then all of it is NaN */
            else
                for (int64_t j = 0; j < n; j += W) put(dx + j, n - j, (take(g + j, n - j, all(0)) - sum[i]) * take(y + j, n - j, all(0)));
        }
    }
}

/* ---- layer norm -------------------------------------------------------------------------------------------------------*/
/* of each row the mean, and 1 / sqrt(variance + eps) of the differences from it */
static APART void N(S, statistics)(int64_t some, int64_t n, const T *x, double eps, T *mean, T *r)
{
    double square[GROUP];
    for (int64_t i = 0; i < some; i++) mean[i] = (T)(N(S, row_sum)(n, x + i * n, x + i * n, all(0), all(0)) / (double)n);
    for (int64_t i = 0; i < some; i++) square[i] = N(S, square_sum)(n, x + i * n, x + i * n, all(mean[i]), all(0));
    for (int64_t i = 0; i < some; i++) r[i] = (T)(1 / sqrt(square[i] / (double)n + eps));
}
static void N(S, layer_norm)(int64_t rows, int64_t n, double eps, const void *x_, const void *w, const void *b, void *y_)
{
    const T *x = x_;
    T *y = y_, mean[GROUP], r[GROUP];
    for (int64_t some; rows > 0; rows -= some) {
        some = rows_together(rows, n);
        N(S, statistics)(some, n, x, eps, mean, r);
        for (int64_t i = 0; i < some; i++, x += n, y += n)
            for (int64_t j = 0; j < n; j += W) {
                const vec h = (take(x + j, n - j, all(0)) - mean[i]) * r[i];
                put(y + j, n - j, h * take((const T *)w + j, n - j, all(0)) + take((const T *)b + j, n - j, all(0)));
            }
    }
}
/* to += v */
INLINE void N(S, add)(T *to, int64_t n, vec v) { put(to, n, take(to, n, all(0)) + v); }
INLINE void N(S, norm_back_row)(int64_t n, const T *x, const T *w, const T *g, T mean, T r, T *dx, T *dw, T *db)
{
    double plain = 0, along = 0;
    for (int64_t j = 0; j < n;) {
        vec a = all(0), b = all(0);
        for (const int64_t stop = n - j < ADDENDS * W ? n : j + ADDENDS * W; j < stop; j += W) {
            const vec h = (take(x + j, n - j, all(mean)) - mean) * r, e = take(g + j, n - j, all(0));
            if (dw) N(S, add)(dw + j, n - j, e * h);
            if (db) N(S, add)(db + j, n - j, e);
            const vec f = e * take(w + j, n - j, all(0));
            a += f, b += f * h;
        }
        plain += N(S, lanes_total)(a), along += N(S, lanes_total)(b);
    }
    const T p = (T)(plain / (double)n), q = (T)(along / (double)n);
    for (int64_t j = 0; dx && j < n; j += W) {
        const vec h = (take(x + j, n - j, all(0)) - mean) * r, f = take(g + j, n - j, all(0)) * take(w + j, n - j, all(0));
        put(dx + j, n - j, (f - p - h * q) * r);
    }
}
static void N(S, layer_norm_back)(int64_t rows, int64_t n, double eps, const void *x_, const void *w, const void *dy_, void *dx_, void *dw_, void *db_)
{
    const T *x = x_, *g = dy_;
    T *dx = dx_, *dw = dw_, *db = db_, mean[GROUP], r[GROUP];
    for (int64_t j = 0; dw && j < n; j++) dw[j] = 0;
    for (int64_t j = 0; db && j < n; j++) db[j] = 0;
    for (int64_t some; rows > 0; rows -= some) {
        some = rows_together(rows, n);
        N(S, statistics)(some, n, x, eps, mean, r);
        for (int64_t i = 0; i < some; i++, x += n, g += n) {
            if (r[i] - r[i] == 0) {
                N(S, norm_back_row)(n, x, w, g, mean[i], r[i], dx, dw, db);
            } else { /* a row with NaN or infinity */
                for (int64_t j = 0; db && j < n; j++) db[j] += g[j];
                for (int64_t j = 0; dw && j < n; j++) dw[j] = g[j] != 0 ? (T)NAN : dw[j];
                if (dx) N(S, lost_row)(n, g, dx);
            }
            if (dx) dx += n;
        }
    }
}

#undef SUM
#undef PLAIN
#undef SQUARE
#undef PRODUCT
#undef vec
#undef W
#undef LANES
#undef all
#undef take
#undef put
