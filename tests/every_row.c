/* The loop over row and update kernels: every instruction set that this machine runs, against plain loops in double; all short
 * row lengths and some long ones, and memory that may not be touched on both sides.
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define TEST_OWN_MAIN
#include "kernels/kernels.h"
#include "tests/guarded.h"
#include "tests/test.h"

#include <stdlib.h>

enum { MOST = 5000 * 3, OPERANDS = 8 };

/* One call under test: operands in guarded memory, each against the left or the right guard, and their values in double. */
typedef struct bench {
    const gr_kernel_table *t;
    int type;
    guarded g[OPERANDS];
    char *p[OPERANDS];
    double *v[OPERANDS];
    double unit; /* the spacing of numbers at 1 */
} bench;

static void operand(bench *b, int k, int64_t n, int64_t seed, bool tame, bool left)
{
    b->p[k] = place(b->g[k], n, type_size[b->type], left ? (int)(seed % 5) : -1);
    fill(b->p[k], b->type, n, seed, tame);
    for (int64_t i = 0; i < n; i++) b->v[k][i] = number(b->p[k], b->type, i);
}

/* Operand k, the result, is within `most` of its values in double, all of which are NaN or none where the row says so. */
static bool near(const bench *b, const char *what, int k, int64_t n, double relative, double absolute)
{
    for (int64_t i = 0; i < n; i++) {
        const double got = number(b->p[k], b->type, i), want = b->v[k][i];
        if (isnan(want) ? isnan(got) : got == want || fabs(got - want) <= (relative * fabs(want) + absolute) * b->unit + 1e-37) continue;
        printf("# %s %s %s: element %lld of %lld is %.9g, not %.9g\n", b->t->isa, b->type == GR_K_F32 ? "f32" : "f64", what, (long long)i, (long long)n, got, want);
        return false;
    }
    return true;
}

/* ---- softmax and its relatives --------------------------------------------------------------------------------------*/
static void softmax_in_double(int64_t n, const double *x, double *p, double *log_p, double lse[2])
{
    double most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++)
        if (x[j] > most) most = x[j];
    for (int64_t j = 0; j < n; j++) sum += p[j] = exp(x[j] - most);
    for (int64_t j = 0; j < n; j++) p[j] /= sum, log_p[j] = x[j] - most - log(sum);
    lse[0] = most, lse[1] = isinf(most) ? 0 : log(sum);
    for (int64_t j = 0; j < n; j++)
        if (isinf(most) && isnan(x[j])) lse[0] = NAN;
}

static bool softmaxes_agree(bench *b, int64_t rows, int64_t n, bool tame, bool left)
{
    const int64_t all = rows * n;
    const size_t size = type_size[b->type];
    operand(b, 0, all, n, tame, left);
    for (int k = 1; k < 5; k++) operand(b, k, k == 3 ? 2 * rows : all, n + k, true, left); /* 4: a cotangent, then dx */
    operand(b, 5, n > 1 ? all : 2 * rows, n, true, left);
    double *p = b->v[1], *dy = b->v[4], *dx = b->v[5];
    b->t->softmax[b->type](rows, n, b->p[0], b->p[1]);
    b->t->log_softmax[b->type](rows, n, b->p[0], b->p[2]);
    b->t->logsumexp[b->type](rows, n, b->p[0], b->p[3]);
    for (int64_t i = 0; i < rows; i++) softmax_in_double(n, b->v[0] + i * n, p + i * n, b->v[2] + i * n, b->v[3] + 2 * i);
    /* x - max x is rounded: 1400 halves of an ulp at the most */
    const double far = (tame ? 16 : 2048) + (double)n / 4; /* and the sum in double here */
    if (!near(b, "softmax", 1, all, far, 0) || !near(b, "log_softmax", 2, all, 4, 16) || !near(b, "logsumexp", 3, 2 * rows, 4, 16)) return false;

    b->t->softmax_dx[b->type](rows, n, b->p[1], b->p[4], b->p[5]);
    for (int64_t i = 0; i < rows; i++) {
        double sum = 0;
        bool zero = true;
        for (int64_t j = 0; j < n; j++) sum += p[i * n + j] * dy[i * n + j], zero = zero && dy[i * n + j] == 0;
        for (int64_t j = 0; j < n; j++) dx[i * n + j] = zero ? 0 : (dy[i * n + j] - sum) * p[i * n + j];
    }
    if (!near(b, "softmax_dx", 5, all, 64, tame ? 64 : 2048)) return false;

    /* a row at a time, and in place: the same bits */
    char *again = b->p[5];
    const size_t row = (size_t)n * size;
    for (int64_t i = 0; i < rows; i++) b->t->softmax[b->type](1, n, b->p[0] + (size_t)i * row, again + (size_t)i * row);
    bool same_bits = memcmp(again, b->p[1], (size_t)all * size) == 0;
    for (int64_t i = 0; i < rows; i++) b->t->log_softmax[b->type](1, n, b->p[0] + (size_t)i * row, again + (size_t)i * row);
    same_bits = same_bits && memcmp(again, b->p[2], (size_t)all * size) == 0;
    for (int64_t i = 0; i < rows; i++) b->t->logsumexp[b->type](1, n, b->p[0] + (size_t)i * row, again + 2 * (size_t)i * size);
    same_bits = same_bits && memcmp(again, b->p[3], 2 * (size_t)rows * size) == 0;
    b->t->softmax[b->type](rows, n, b->p[0], b->p[0]);
    same_bits = same_bits && memcmp(b->p[0], b->p[1], (size_t)all * size) == 0;
    if (!same_bits) printf("# %s: softmax of [%lld, %lld] depends on how it is called\n", b->t->isa, (long long)rows, (long long)n);
    return same_bits;
}

/* Where one element is far above the others, its log_softmax is minus the small sum of their exponentials, with all its digits. */
static bool far_tops_keep_their_digits(bench *b)
{
    for (int64_t n = 2; n <= 2000; n = n < 40 ? n + 1 : 3 * n)
        for (int64_t at = 0; at < n; at += 1 + n / 3) {
            double rest = 0;
            operand(b, 0, n, n, true, false), operand(b, 1, n, n, true, false);
            if (b->type == GR_K_F32) ((float *)(void *)b->p[0])[at] = 25;
            else ((double *)(void *)b->p[0])[at] = 25;
            for (int64_t j = 0; j < n; j++) rest += j == at ? 0 : exp(b->v[0][j] - 25);
            b->t->log_softmax[b->type](1, n, b->p[0], b->p[1]);
            for (int64_t j = 0; j < n; j++) b->v[1][j] = (j == at ? 0 : b->v[0][j] - 25) - log1p(rest);
            if (!near(b, "log_softmax with a far top", 1, n, 16, 0)) return false;
            b->t->logsumexp[b->type](1, n, b->p[0], b->p[1]);
            b->v[1][0] = 25, b->v[1][1] = log1p(rest);
            if (!near(b, "logsumexp with a far top", 1, 2, 16, 0)) return false;
        }
    return true;
}

/* ---- layer norm ---------------------------------------------------------------------------------------------------------*/
/* operands: 0 x, 1 w, 2 b, 3 dy, 4 y, 5 dx, 6 dw, 7 db */
static void norm_in_double(bench *b, int64_t rows, int64_t n, double eps)
{
    double *const *v = b->v;
    for (int64_t j = 0; j < n; j++) v[6][j] = v[7][j] = 0;
    for (int64_t i = 0; i < rows; i++) {
        const double *x = v[0] + i * n, *g = v[3] + i * n;
        double mean = 0, var = 0, plain = 0, along = 0;
        for (int64_t j = 0; j < n; j++) mean += x[j] / (double)n;
        for (int64_t j = 0; j < n; j++) var += (x[j] - mean) * (x[j] - mean) / (double)n;
        const double r = 1 / sqrt(var + eps);
        for (int64_t j = 0; j < n; j++) {
            const double h = (x[j] - mean) * r, e = g[j] * v[1][j];
            plain += e / (double)n, along += e * h / (double)n;
            v[4][i * n + j] = h * v[1][j] + v[2][j];
            v[6][j] += g[j] * h, v[7][j] += g[j];
        }
        for (int64_t j = 0; j < n; j++) v[5][i * n + j] = (g[j] * v[1][j] - plain - (x[j] - mean) * r * along) * r;
    }
}

static bool norms_agree(bench *b, int64_t rows, int64_t n, bool left)
{
    static const int operand_rows[OPERANDS] = { 1, 0, 0, 1, 1, 1, 0, 0 };
    const int64_t all = rows * n;
    const double eps = 1e-3, many = 8 * (double)rows;
    for (int k = 0; k < OPERANDS; k++) operand(b, k, operand_rows[k] ? all : n, n + k, true, left);
    b->t->layer_norm[b->type](rows, n, eps, b->p[0], b->p[1], b->p[2], b->p[4]);
    b->t->layer_norm_back[b->type](rows, n, eps, b->p[0], b->p[1], b->p[3], b->p[5], b->p[6], b->p[7]);
    norm_in_double(b, rows, n, eps);
    if (!near(b, "layer_norm", 4, all, 32, 64) || !near(b, "its dx", 5, all, 64, 2048) || !near(b, "its dw", 6, n, 8, 16 * many) || !near(b, "its db", 7, n, 8, 16 * many))
        return false;
    b->t->layer_norm_back[b->type](rows, n, eps, b->p[0], b->p[1], b->p[3], NULL, NULL, b->p[6]); /* each alone */
    b->t->layer_norm_back[b->type](rows, n, eps, b->p[0], b->p[1], b->p[3], b->p[4], NULL, NULL);
    const size_t size = type_size[b->type];
    return memcmp(b->p[6], b->p[7], (size_t)n * size) == 0 && memcmp(b->p[4], b->p[5], (size_t)all * size) == 0;
}

/* A row with infinity has no finite derivative: a zero cotangent absorbs that, the other rows know nothing of it. */
static bool lost_rows_stay_alone(bench *b)
{
    enum { ROWS = 3, N = 19 };
    for (int k = 0; k < OPERANDS; k++) operand(b, k, ROWS * N, k, true, false);
    for (int64_t j = 0; j < N; j++) {
        if (b->type == GR_K_F32) ((float *)(void *)b->p[3])[N + j] = 0, ((float *)(void *)b->p[0])[N + 7] = INFINITY;
        else ((double *)(void *)b->p[3])[N + j] = 0, ((double *)(void *)b->p[0])[N + 7] = INFINITY;
    }
    b->t->layer_norm_back[b->type](ROWS, N, 1e-3, b->p[0], b->p[1], b->p[3], b->p[5], b->p[6], b->p[7]);
    for (int64_t j = 0; j < ROWS * N; j++) {
        const double dx = number(b->p[5], b->type, j);
        if (!isfinite(dx) || (j / N == 1 && dx != 0) || !isfinite(number(b->p[6], b->type, j % N))) return false;
    }
    return true;
}

/* ---- updates ------------------------------------------------------------------------------------------------------------*/
/* operands: 0 w, 1 g, 2 m, 3 v, 4 top */
static bool updates_agree(bench *b, int64_t n, int mode, bool left)
{
    const gr_sgd_args s = { .lr = 0.1, .momentum = 0.9, .undamped = 0.75, .decay = 0.01, .first = mode == 1, .nesterov = mode & 2 };
    for (int k = 0; k < 3; k++) operand(b, k, n, n + k, true, left);
    b->t->sgd[b->type](n, &s, b->p[0], b->p[1], mode ? b->p[2] : NULL);
    for (int64_t i = 0; i < n; i++) {
        const double d = b->v[1][i] + s.decay * b->v[0][i];
        if (mode) b->v[2][i] = s.first ? d : s.momentum * b->v[2][i] + s.undamped * d;
        b->v[0][i] -= s.lr * (!mode ? d : s.nesterov ? d + s.momentum * b->v[2][i] : b->v[2][i]);
    }
    if (!near(b, "sgd", 0, n, 4, 8) || !near(b, "its velocity", 2, n, 4, 16)) return false;

    const gr_adam_args a = { .size = 0.1, .root = 0.4, .eps = 1e-3, .beta1 = 0.9, .beta2 = 0.99, .decay = 0.01, .shrink = 0.999 };
    for (int k = 0; k < 5; k++) operand(b, k, n, n + k, true, left);
    for (int64_t i = 0; i < n; i++) /* means of squares */
        for (int k = 3; k < 5; k++) {
            b->v[k][i] = fabs(b->v[k][i]);
            if (b->type == GR_K_F32) ((float *)(void *)b->p[k])[i] = (float)b->v[k][i];
            else ((double *)(void *)b->p[k])[i] = b->v[k][i];
        }
    b->t->adam[b->type](n, &a, b->p[0], b->p[1], b->p[2], b->p[3], mode ? b->p[4] : NULL);
    for (int64_t i = 0; i < n; i++) {
        const double d = b->v[1][i] + a.decay * b->v[0][i], m = a.beta1 * b->v[2][i] + (1 - a.beta1) * d, v = a.beta2 * b->v[3][i] + (1 - a.beta2) * d * d;
        if (mode && v > b->v[4][i]) b->v[4][i] = v;
        b->v[2][i] = m, b->v[3][i] = v;
        b->v[0][i] = a.shrink * b->v[0][i] - a.size * m / (sqrt(mode ? b->v[4][i] : v) / a.root + a.eps);
    }
    return near(b, "adam", 0, n, 4, 64) && near(b, "its mean", 2, n, 4, 16) && near(b, "its mean of squares", 3, n, 8, 16) && near(b, "its largest", 4, n, 8, 16);
}

/* A row of NaN with one cotangent that is not 0, wherever it stands. */
static bool lost_rows_are_found(bench *b)
{
    for (int64_t n = 1; n <= MAX_N; n++)
        for (int64_t at = -1; at < n; at++) {
            for (int k = 0; k < 3; k++) operand(b, k, n, n, true, false);
            for (int64_t j = 0; j < n; j++) {
                if (b->type == GR_K_F32) ((float *)(void *)b->p[0])[j] = NAN, ((float *)(void *)b->p[1])[j] = j == at;
                else ((double *)(void *)b->p[0])[j] = NAN, ((double *)(void *)b->p[1])[j] = j == at;
                b->v[2][j] = at < 0 ? 0 : NAN;
            }
            b->t->softmax_dx[b->type](1, n, b->p[0], b->p[1], b->p[2]);
            if (!near(b, "softmax_dx of a lost row", 2, n, 0, 0)) return false;
        }
    return true;
}

/* ---- the loops ----------------------------------------------------------------------------------------------------------*/
static bool all_softmaxes_agree(bench *b)
{
    static const int64_t wide[] = { 100, 128, 1000, 1023, 1025, 2049, 5000 };
    for (int left = 0; left < 2; left++)
        for (int tame = 0; tame < 2; tame++) {
            for (int64_t n = 1; n <= MAX_N; n++)
                for (int64_t rows = 1; rows <= 40; rows = rows * 2 + 1)
                    if (!softmaxes_agree(b, rows, n, tame, left)) return false;
            for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
                if (!softmaxes_agree(b, wide[i] > 128 ? 3 : 35, wide[i], tame, left)) return false;
        }
    b->t->logsumexp[b->type](1, 0, NULL, b->p[3]);
    return number(b->p[3], b->type, 0) == -INFINITY && lost_rows_are_found(b) && far_tops_keep_their_digits(b);
}
static bool all_norms_agree(bench *b)
{
    static const int64_t wide[] = { 100, 1000, 1025, 5000 };
    for (int left = 0; left < 2; left++) {
        for (int64_t n = 2; n <= MAX_N; n++)
            for (int64_t rows = 1; rows <= 40; rows = rows * 2 + 1)
                if (!norms_agree(b, rows, n, left)) return false;
        for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
            if (!norms_agree(b, 3, wide[i], left)) return false;
    }
    return lost_rows_stay_alone(b);
}
static bool all_updates_agree(bench *b)
{
    for (int64_t n = 0; n <= MAX_N; n++)
        for (int mode = 0; mode < 4; mode++)
            for (int left = 0; left < 2; left++)
                if (!updates_agree(b, n, mode, left)) return false;
    return true;
}

int main(void)
{
    static const struct {
        const char *name;
        bool (*agree)(bench *b);
    } loop[] = { { "softmax", all_softmaxes_agree }, { "layer_norm", all_norms_agree }, { "update", all_updates_agree } };
    const gr_kernel_table *const *table;
    int tables = gr__kernel_tables(&table), ran = 0, failed = 0;
    bench b;
    for (int k = 0; k < OPERANDS; k++) {
        b.g[k] = guarded_new(MOST * sizeof(double) / 4096 + 2);
        b.v[k] = malloc(MOST * sizeof(double));
    }
    for (int i = 0; i < tables; i++)
        for (b.type = GR_K_F32; b.type <= GR_K_F64; b.type++)
            for (size_t l = 0; l < sizeof loop / sizeof *loop; l++) {
                char name[100];
                b.t = table[i];
                b.unit = b.type == GR_K_F32 ? 0x1p-23 : 0x1p-52;
                snprintf(name, sizeof name, "%s_%s_kernels_of_%s_agree_with_plain_loops", b.t->isa, loop[l].name, b.type == GR_K_F32 ? "f32" : "f64");
                failed += test_report(++ran, name, loop[l].agree(&b));
            }
    for (int k = 0; k < OPERANDS; k++) guarded_free(b.g[k]), free(b.v[k]);
    printf("1..%d\n", ran);
    return failed != 0;
}
