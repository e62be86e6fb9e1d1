/* The kernels of recurrences, attention and tiled pooling, on each instruction set, against their definitions in double, with
 * operands that end or begin beside memory that nobody may touch.
 * SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE
#include "kernels/kernels.h"
#include "tests/guards.h"
#include "tests/test.h"

#include <string.h>

enum { MOST = 8192 };
static const size_t size_of[] = { 1, 8, 4, 8 };

static double get(const void *p, int type, int64_t i) { return type == GR_K_F32 ? (double)((const float *)p)[i] : ((const double *)p)[i]; }
static void put(void *p, int type, int64_t i, double v)
{
    if (type == GR_K_F32) ((float *)p)[i] = (float)v;
    else ((double *)p)[i] = v;
}
/* multiples of 1/16 in -2..2 */
static void *filled(int64_t n, int type, int step, bool right)
{
    void *p = between_guards((size_t)n * size_of[type], right);
    for (int64_t i = 0; i < n; i++) put(p, type, i, (double)(i * step % 65 - 32) / 16);
    return p;
}
static void near(const char *what, const gr_kernel_table *t, int type, int64_t n, const void *got, const double *want)
{
    const double most = type == GR_K_F32 ? 4e-6 : 1e-14; /* some 32 roundings of numbers up to 2 */
    for (int64_t i = 0; i < n; i++) {
        const double v = get(got, type, i);
        if (fabs(v - want[i]) <= most * fmax(1, fabs(want[i])) || (isnan(v) && isnan(want[i]))) continue;
        test_errors++, printf("# %s, %s, type %d: [%d] is %.9g, not %.9g\n", t->isa, what, type, (int)i, v, want[i]);
        return;
    }
}

/* f of each table, float type, and both sides */
static void everywhere(void (*f)(const gr_kernel_table *t, int type, bool right))
{
    const gr_kernel_table *const *table;
    const int n = gr__kernel_tables(&table);
    for (int i = 0; i < n; i++)
        for (int type = GR_K_F32; type <= GR_K_F64; type++)
            for (int right = 0; right < 2; right++) f(table[i], type, right);
}

/* ---- lstm --------------------------------------------------------------------------------------------------------*/
static double logistic(double x) { return 1 / (1 + exp(-x)); }
static void lstm_of(const gr_kernel_table *t, int type, bool right)
{
    static double want[MOST], back[MOST], state[MOST];
    for (int64_t n = 1; n < 40; n += n < 20 ? 1 : 6) {
        enum { ROWS = 3 };
        void *a = filled(ROWS * 4 * n, type, 7, right), *b = filled(ROWS * 4 * n, type, 11, right), *c = filled(ROWS * n, type, 5, right);
        void *y = filled(ROWS * 6 * n, type, 0, right), *dy = filled(ROWS * 6 * n, type, 13, right), *dh = filled(ROWS * n, type, 17, right);
        void *dc = filled(ROWS * n, type, 3, right), *da = filled(ROWS * 4 * n, type, 0, right);
        for (int64_t k = 0; k < ROWS * n; k++) {
            const int64_t r = k / n, j = k % n;
            double g[4], *row = want + r * 6 * n + j, *d = back + r * 4 * n + j;
            for (int p = 0; p < 4; p++) g[p] = get(a, type, r * 4 * n + p * n + j) + get(b, type, r * 4 * n + p * n + j);
            for (int p = 0; p < 4; p++) row[(2 + p) * n] = g[p] = p == 2 ? tanh(g[p]) : logistic(g[p]);
            const double old = get(c, type, k), s = g[1] * old + g[0] * g[2], y_h = get(dy, type, r * 6 * n + j) + get(dh, type, k);
            const double y_c = get(dc, type, k) + get(dy, type, r * 6 * n + n + j) + y_h * g[3] * (1 - tanh(s) * tanh(s));
            row[0] = g[3] * tanh(s), row[n] = s;
            const double to[4] = { y_c * g[2], y_c * old, y_c * g[0], y_h * tanh(s) };
            for (int p = 0; p < 4; p++) d[p * n] = (get(dy, type, r * 6 * n + (2 + p) * n + j) + to[p]) * (p == 2 ? 1 - g[p] * g[p] : g[p] * (1 - g[p]));
            state[k] = y_c * g[1];
        }
        t->lstm[type](ROWS, n, a, b, c, n, y);
        near("lstm", t, type, ROWS * 6 * n, y, want);
        t->lstm_back[type](ROWS, n, y, c, n, dy, dh, dc, da);
        near("lstm_back, gates", t, type, ROWS * 4 * n, da, back);
        near("lstm_back, state", t, type, ROWS * n, dc, state);
        drop_guards();
    }
}
TEST(a_step_of_an_lstm_is_its_definition) { everywhere(lstm_of); }

static void absorbs(const gr_kernel_table *t, int type, bool right)
{
    enum { N = 18 };
    void *y = filled(6 * N, type, 0, right), *c = filled(N, type, 0, right), *dy = filled(6 * N, type, 0, right), *d = filled(N, type, 0, right);
    void *dc = filled(N, type, 0, right), *da = filled(4 * N, type, 0, right);
    double want[4 * N] = { 0 };
    for (int64_t i = 0; i < 6 * N; i++) put(y, type, i, (double)NAN), put(dy, type, i, 0);
    for (int64_t i = 0; i < N; i++) put(c, type, i, (double)INFINITY), put(d, type, i, 0), put(dc, type, i, 0);
    t->lstm_back[type](1, N, y, c, N, dy, d, dc, da);
    near("lstm_back of zeros", t, type, 4 * N, da, want);
    near("lstm_back of zeros, state", t, type, N, dc, want);
    drop_guards();
}
TEST(a_zero_gradient_of_an_lstm_absorbs) { everywhere(absorbs); }

/* ---- attention ---------------------------------------------------------------------------------------------------*/
static void attention_of(const gr_kernel_table *t, int type, bool right)
{
    static double p[MOST], back[MOST];
    enum { ROWS = 5 };
    for (int64_t n = 1; n < 70; n += n < 36 ? 1 : 11)
        for (int64_t seen = 1; seen <= n; seen += 1 + seen / 3)
            for (int step = 0; step < 2; step++) {
                const double scale = step ? -0.75 : 0.5;
                void *x = filled(ROWS * n, type, 7, right), *d = filled(ROWS * n, type, 11, right);
                for (int64_t r = 0; r < ROWS; r++) {
                    const int64_t m = seen + r * step < n ? seen + r * step : n;
                    double sum = 0, along = 0;
                    for (int64_t j = 0; j < m; j++) sum += exp(scale * get(x, type, r * n + j));
                    for (int64_t j = 0; j < n; j++) p[r * n + j] = j < m ? exp(scale * get(x, type, r * n + j)) / sum : 0;
                    for (int64_t j = 0; j < m; j++) along += p[r * n + j] * get(d, type, r * n + j);
                    for (int64_t j = 0; j < n; j++) back[r * n + j] = j < m ? scale * p[r * n + j] * (get(d, type, r * n + j) - along) : 0;
                    for (int64_t j = m; j < n; j++) put(x, type, r * n + j, (double)NAN), put(d, type, r * n + j, (double)INFINITY); /* not to be seen */
                }
                t->attention[type](ROWS, n, seen, step, scale, x);
                near("attention", t, type, ROWS * n, x, p);
                t->attention_dx[type](ROWS, n, seen, step, scale, x, d);
                near("attention_dx", t, type, ROWS * n, d, back);
                drop_guards();
            }
}
TEST(attention_sees_what_it_should_and_is_its_definition) { everywhere(attention_of); }

/* ---- max_tiles ---------------------------------------------------------------------------------------------------*/
static void tiles_of(const gr_kernel_table *t, int type, bool right)
{
    static double want[MOST], back[MOST];
    for (int kh = 1; kh <= 3; kh++)
        for (int kw = 1; kw <= 4; kw++)
            for (int64_t ow = 1; ow < 40; ow += ow < 18 ? 1 : 7) {
                gr_pool2d_size s = { .planes = 2, .h = 4 * kh + (kh + kw) % 2, .w = ow * kw, .kh = kh, .kw = kw, .oh = 4, .ow = ow, .stride = { kh, kw } };
                s.oh = s.h / kh;
                const int64_t nx = s.planes * s.h * s.w, ny = s.planes * s.oh * ow;
                void *x = filled(nx, type, 4, right), *y = filled(ny, type, 0, right), *dy = filled(ny, type, 9, right), *dx = filled(nx, type, 3, right);
                for (int64_t i = 0; i < nx; i += 13) put(x, type, i, i % 2 ? (double)NAN : (double)-INFINITY);
                memset(back, 0, sizeof back);
                for (int64_t k = 0; k < ny; k++) {
                    const int64_t corner = k / (s.oh * ow) * s.h * s.w + k / ow % s.oh * kh * s.w + k % ow * kw;
                    int64_t at = corner;
                    for (int a = 0; a < kh * kw; a++) {
                        const double v = get(x, type, corner + a / kw * s.w + a % kw), b = get(x, type, at);
                        if (v > b || (isnan(v) && !isnan(b))) at = corner + a / kw * s.w + a % kw;
                    }
                    want[k] = get(x, type, at), back[at] = get(dy, type, k);
                }
                t->max_tiles[type](&s, x, y);
                for (int64_t k = 0; k < ny; k++)
                    if (get(y, type, k) != want[k] && !(isnan(want[k]) && isnan(get(y, type, k)))) test_errors++, printf("# %s: max_tiles, type %d, %dx%d, %d windows\n", t->isa, type, kh, kw, (int)ow);
                t->max_tiles_dx[type](&s, x, y, dy, dx);
                near("max_tiles_dx", t, type, nx, dx, back);
                drop_guards();
            }
}
TEST(tiled_windows_are_pooled_like_others) { everywhere(tiles_of); }

static void wide_tiles_of(const gr_kernel_table *t, int type, bool right)
{
    gr_pool2d_size s = { .planes = 1, .h = 40, .w = 204, .kh = 2, .kw = 2, .oh = 20, .ow = 102, .stride = { 2, 2 } };
    const int64_t nx = s.h * s.w, ny = s.oh * s.ow;
    void *x = filled(nx, type, 29, right), *y = filled(ny, type, 0, right), *dy = filled(ny, type, 9, right), *dx = filled(nx, type, 3, right);
    t->max_tiles[type](&s, x, y);
    t->max_tiles_dx[type](&s, x, y, dy, dx);
    double sum[2] = { 0, 0 };
    for (int64_t k = 0; k < ny; k++) {
        const int64_t corner = k / s.ow * 2 * s.w + k % s.ow * 2;
        double most = -INFINITY;
        for (int a = 0; a < 4; a++) most = fmax(most, get(x, type, corner + a / 2 * s.w + a % 2));
        CHECK(get(y, type, k) == most);
        sum[0] += get(dy, type, k) * most;
    }
    for (int64_t k = 0; k < nx; k++) sum[1] += get(dx, type, k) * get(x, type, k);
    CHECK(sum[0] == sum[1]); /* multiples of 1/256: exact */
    drop_guards();
}
TEST(a_plane_of_many_windows_is_pooled_like_a_small_one) { everywhere(wide_tiles_of); }
