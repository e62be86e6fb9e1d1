/* The loop over kernel tables: every instruction set that this machine runs, against the portable one and against
 * double; all short lengths, all alignments, and memory that may not be touched on both sides.
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define TEST_OWN_MAIN
#include "kernels/kernels.h"
#include "tests/test.h"

#include <sys/mman.h>
#include <unistd.h>

#define MAX_N 70 /* 4 vectors of 64 bytes of f32, and a bit */

/* A page of memory between two that fault. */
typedef struct guarded {
    char *page, *start;
    size_t size;
} guarded;

static guarded guarded_new(void)
{
    guarded g = { .size = (size_t)sysconf(_SC_PAGESIZE) };
    g.page = mmap(NULL, 3 * g.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g.start = g.page + g.size;
    mprotect(g.start, g.size, PROT_READ | PROT_WRITE);
    return g;
}
static void guarded_free(guarded g) { munmap(g.page, 3 * g.size); }

/* n elements against the right guard (offset < 0) or at an offset from the left one */
static char *place(guarded g, int64_t n, size_t size, int offset)
{
    return offset < 0 ? g.start + g.size - (size_t)n * size : g.start + (size_t)offset * size;
}

static const size_t type_size[] = { 1, 8, 4, 8 };

static double special(int64_t i)
{
    static const double v[] = { 0, -0.0, 1, -1, 0.5, -2.5, 1e-3, 3, 1e-40, INFINITY, -INFINITY, NAN, 700, -700, 20, -0.1 };
    return v[i % 16];
}

static void fill(char *p, int type, int64_t n, int64_t seed, bool tame)
{
    for (int64_t i = 0; i < n; i++) {
        double v = tame ? (double)((i * 37 + seed * 11) % 41) / 8 - 2.5 : special(i * 5 + seed);
        if (type == GR_K_F32) ((float *)(void *)p)[i] = (float)v;
        if (type == GR_K_F64) ((double *)(void *)p)[i] = v;
        if (type == GR_K_I64) ((int64_t *)(void *)p)[i] = (i * 7 + seed * 3) % 19 - 9;
        if (type == GR_K_BOOL) ((bool *)p)[i] = (i + seed) % 3 == 0;
    }
}

/* Operands of an element-wise kernel, result excluded; and the types of result and first operand. */
typedef struct shape_of {
    int operands, first, result;
    bool accumulates;
} shape_of;

static shape_of describe(int kernel, int type)
{
    shape_of s = { 0, type, type, false };
#define ROW(name, y, d) case GR_EW_##name: s.operands = 1; break; case GR_EW_##name##_dx: s.operands = 3; break;
    switch (kernel) {
        GR_EW_UNARY(ROW)
#undef ROW
#define ROW(name, y, da, db) case GR_EW_##name: s.operands = 2; break; case GR_EW_##name##_da: case GR_EW_##name##_db: s.operands = 4; break;
        GR_EW_BINARY(ROW)
#undef ROW
#define ROW(name, op) case GR_EW_##name: s.operands = 2; s.result = GR_K_BOOL; break;
        GR_EW_COMPARE(ROW)
#undef ROW
    case GR_EW_where: s.operands = 3; s.first = GR_K_BOOL; break;
    case GR_EW_copy: s.operands = 1; break;
    default: s.operands = 1; s.accumulates = true;
    }
    return s;
}

static bool same(const char *a, const char *b, int type, int64_t i, double ulps)
{
    if (type == GR_K_BOOL) return a[i] == b[i];
    if (type == GR_K_I64) return ((const int64_t *)(const void *)a)[i] == ((const int64_t *)(const void *)b)[i];
    double x = type == GR_K_F32 ? (double)((const float *)(const void *)a)[i] : ((const double *)(const void *)a)[i];
    double y = type == GR_K_F32 ? (double)((const float *)(const void *)b)[i] : ((const double *)(const void *)b)[i];
    if (isnan(x) || isnan(y)) return isnan(x) && isnan(y);
    if (isinf(x) || isinf(y)) return x == y;
    return fabs(x - y) <= ulps * (type == GR_K_F32 ? 1.2e-7 * fmax(fabs(y), 1e-30) : 2.3e-16 * fmax(fabs(y), 1e-300));
}

/* One kernel of table t against the portable one, for every length, alignment and side. */
static bool element_wise_agrees(const gr_kernel_table *t, const gr_kernel_table *ref, int kernel, int type, guarded *g)
{
    shape_of s = describe(kernel, type);
    size_t rs = type_size[s.result];
    double ulps = kernel == GR_EW_gelu_dx ? 8192 : 8; /* of the result: its terms cancel near -0.752 */
    for (int64_t n = 0; n <= MAX_N; n++)
        for (int offset = -1; offset < (n % 8 == 3 ? 16 : 1); offset++)
            for (int mode = 0; mode < 4; mode++) { /* ordinary, special values, a repeated operand, in place */
                char *p[6], expected[MAX_N * 8 + 16];
                int64_t stride[6] = { 1, 1, 1, 1, 1, 1 };
                if (mode == 2) stride[s.operands] = 0;
                p[0] = place(g[0], n, rs, offset);
                for (int k = 1; k <= s.operands; k++) {
                    int kt = k == 1 ? s.first : type;
                    p[k] = place(g[k], n ? n : 1, type_size[kt], offset);
                    fill(p[k], kt, n ? n : 1, k, mode != 1);
                }
                if (mode == 3 && s.result == type && s.operands >= 1 && s.first == type && !s.accumulates) p[0] = p[1];
                char backup[MAX_N * 8 + 16];
                size_t bytes = (size_t)(n ? n : 1) * type_size[s.first];
                memcpy(backup, p[1], bytes);
                if (s.accumulates) fill(p[0], type, n, 9, true);
                memcpy(expected, p[0], (size_t)n * rs);
                char *q[6];
                memcpy(q, p, sizeof q);
                q[0] = expected;
                if (p[0] == p[1]) q[1] = backup;
                ref->ew[kernel][type](n, q, stride);
                t->ew[kernel][type](n, p, stride);
                for (int64_t i = 0; i < n; i++)
                    if (!same(p[0], expected, s.result, i, ulps)) {
                        printf("# %s kernel %d type %d: element %lld of %lld, offset %d, mode %d\n", t->isa, kernel, type, (long long)i,
                               (long long)n, offset, mode);
                        return false;
                    }
            }
    return true;
}

/* sums of n elements into one place, against long double: n <= 128 ulp of the sum of magnitudes by construction */
static bool sums_are_accurate(const gr_kernel_table *t)
{
    static float x[100003];
    for (int64_t n = 1; n <= 100003; n = n * 3 + 1) {
        long double exact = 0, size = 0;
        for (int64_t i = 0; i < n; i++) x[i] = (float)sin((double)i * 1.7) + 1, exact += (long double)x[i], size += fabsl((long double)x[i]);
        float y = 0;
        char *p[] = { (char *)&y, (char *)x };
        t->ew[GR_EW_sum][GR_K_F32](n, p, (int64_t[]){ 0, 1 });
        if (fabsl((long double)y - exact) > 1.2e-7L * 2 * size) {
            printf("# %s: sum of %lld is %.9g, exactly %.9Lg\n", t->isa, (long long)n, (double)y, exact);
            return false;
        }
    }
    return true;
}

/* ---- accuracy: the element-wise functions against long double, over all exponents and where they bend -----------------------*/
static double ulps_of(double y, long double exact, int digits, int least)
{
    if (isnan(exact)) return isnan(y) ? 0 : INFINITY;
    double rounded = digits == 24 ? (double)(float)exact : (double)exact;
    if (isinf(y) || isinf(rounded)) return y == rounded ? 0 : INFINITY;
    int e;
    frexpl(fabsl(exact) < ldexpl(1, least) ? ldexpl(1, least) : fabsl(exact), &e);
    return (double)(fabsl((long double)y - exact) / ldexpl(1, e - digits));
}
static long double sigmoidl(long double x) { return 1 / (1 + expl(-x)); }
static long double gelul(long double x) { return x * erfcl(-x * sqrtl(0.5L)) / 2; }
static long double softplusl(long double x) { return fmaxl(x, 0) + log1pl(expl(-fabsl(x))); }
static double worst_error(const gr_kernel_table *t, int kernel, int type, long double (*exact)(long double))
{
    double worst = 0;
    uint64_t s = 1;
    for (int round = 0; round < 400; round++) {
        float x[64], y[64];
        double u[64], v[64];
        for (int i = 0; i < 64; i++) {
            s = s * 6364136223846793005u + 1442695040888963407u;
            int32_t bits = (int32_t)(s >> 32);
            memcpy(&x[i], &bits, sizeof bits);
            memcpy(&u[i], &s, sizeof s);
            double middle = ((double)(s >> 11) * 0x1p-53 - 0.5) * (i & 2 ? 3 : type == GR_K_F32 ? 200 : 1500);
            if (i & 1) x[i] = (float)middle, u[i] = middle;
        }
        char *p[] = { type == GR_K_F32 ? (char *)y : (char *)v, type == GR_K_F32 ? (char *)x : (char *)u };
        t->ew[kernel][type](64, p, (int64_t[]){ 1, 1 });
        for (int i = 0; i < 64; i++) {
            double e = type == GR_K_F32 ? ulps_of((double)y[i], exact((long double)x[i]), 24, -126) : ulps_of(v[i], exact((long double)u[i]), 53, -1022);
            if (e > worst) worst = e;
        }
    }
    return worst;
}
static bool functions_are_accurate(const gr_kernel_table *t)
{
    volatile long double one = 1;
    if (one + 0x1p-60L == one) return true; /* valgrind computes long double in 64 bits: no reference there */
    static const struct {
        const char *name;
        int kernel;
        long double (*exact)(long double);
        double bound; /* ulp, as docs/performance.md states it */
    } f[] = { { "exp", GR_EW_exp, expl, 1 }, { "log", GR_EW_log, logl, 1.1 }, { "tanh", GR_EW_tanh, tanhl, 2.6 }, { "sigmoid", GR_EW_sigmoid, sigmoidl, 2.8 },
              { "sqrt", GR_EW_sqrt, sqrtl, 0.51 }, { "expm1", GR_EW_expm1, expm1l, 2 }, { "log1p", GR_EW_log1p, log1pl, 2 },
              { "erf", GR_EW_erf, erfl, 1.3 }, { "gelu", GR_EW_gelu, gelul, 7 }, { "softplus", GR_EW_softplus, softplusl, 3 } };
    bool ok = true;
    for (size_t i = 0; i < sizeof f / sizeof *f; i++)
        for (int type = GR_K_F32; type <= GR_K_F64; type++) {
            double e = worst_error(t, f[i].kernel, type, f[i].exact);
            if (e <= f[i].bound) continue;
            printf("# %s: %s of %s is off by %.3g ulp, bound %.3g\n", t->isa, f[i].name, type == GR_K_F32 ? "f32" : "f64", e, f[i].bound);
            ok = false;
        }
    return ok;
}

/* c = a b for every small size and both orders of memory, against a naive loop in double */
static bool gemm_agrees(const gr_kernel_table *t, int type)
{
    static const int64_t sizes[] = { 1, 3, 6, 17, 33, 70 };
    size_t size = type_size[type];
    double *a = malloc(70 * 300 * 8), *b = malloc(70 * 300 * 8), *c = malloc(70 * 70 * 8);
    bool ok = true;
    for (size_t im = 0; im < 6; im++)
        for (size_t in = 0; in < 6; in++)
            for (int64_t k = 0; k <= 300 && ok; k = k < 3 ? k + 1 : k * 3 + 1)
                for (int order = 0; order < 4 && ok; order++) {
                    int64_t m = sizes[im], n = sizes[in];
                    int64_t as[2] = { order & 1 ? 1 : k, order & 1 ? m : 1 }, bs[2] = { order & 2 ? 1 : n, order & 2 ? k : 1 };
                    fill((char *)a, type, m * k, 1, true);
                    fill((char *)b, type, n * k, 2, true);
                    const gr_gemm_size s = { m, n, k, { as[0], as[1] }, { bs[0], bs[1] }, n };
                    void *scratch = aligned_alloc(64, (t->gemm_scratch(&s, type) + 63) / 64 * 64);
                    t->gemm[type](&s, 0, 1, a, b, c, scratch);
                    free(scratch);
                    for (int64_t i = 0; i < m * n && ok; i++) {
                        double want = 0;
                        for (int64_t j = 0; j < k; j++) {
                            int64_t ai = i / n * as[0] + j * as[1], bi = j * bs[0] + i % n * bs[1];
                            want += type == GR_K_F32 ? (double)((float *)(void *)a)[ai] * (double)((float *)(void *)b)[bi] : a[ai] * b[bi];
                        }
                        double got = type == GR_K_F32 ? (double)((float *)(void *)c)[i] : c[i];
                        ok = fabs(got - want) <= (type == GR_K_F32 ? 6e-8 : 1.2e-16) * 6.25 * (double)(k + 2);
                        if (!ok) printf("# %s: %lldx%lldx%lld order %d size %zu: c[%lld] = %g, not %g\n", t->isa, (long long)m, (long long)k, (long long)n, order, size, (long long)i, got, want);
                    }
                }
    free(a);
    free(b);
    free(c);
    return ok;
}

static bool rows_agree(const gr_kernel_table *t, const gr_kernel_table *ref, int type)
{
    double x[3 * MAX_N], y[3 * MAX_N], z[3 * MAX_N];
    gr_row_fn *const pairs[][2] = { { t->softmax[type], ref->softmax[type] }, { t->log_softmax[type], ref->log_softmax[type] }, { t->logsumexp[type], ref->logsumexp[type] } };
    for (int64_t n = 0; n <= MAX_N; n++)
        for (int f = 0; f < 3; f++)
            for (int tame = 0; tame < 2; tame++) {
                fill((char *)x, type, 3 * n, 1, tame);
                pairs[f][0](3, n, x, y);
                pairs[f][1](3, n, x, z);
                for (int64_t i = 0; i < (f == 2 ? 3 : 3 * n); i++)
                    if (!same((char *)y, (char *)z, type, i, 16)) return printf("# %s: row kernel %d, %lld columns\n", t->isa, f, (long long)n), false;
            }
    return true;
}

/* the two that take more than x, with a zero and equal elements in every row; 256 ulp of 1: means of cancelling terms */
static bool norms_agree(const gr_kernel_table *t, const gr_kernel_table *ref, int type)
{
    double in[4][3 * MAX_N], out[2][4][3 * MAX_N];
    double unit = type == GR_K_F32 ? 1.2e-7 : 2.3e-16;
    for (int64_t n = 1; n <= MAX_N; n++) {
        for (int i = 0; i < 4; i++) fill((char *)in[i], type, 3 * n, i, true);
        for (int which = 0; which < 2; which++) {
            const gr_kernel_table *k = which ? ref : t;
            k->layer_norm[type](3, n, 1e-3, in[0], in[1], in[2], out[which][0]);
            k->layer_norm_back[type](3, n, 1e-3, in[0], in[1], in[2], out[which][1], NULL, out[which][2]);
            k->layer_norm_back[type](3, n, 1e-3, in[0], in[1], in[2], NULL, out[which][2], NULL);
            k->softmax_dx[type](3, n, in[0], in[3], out[which][3]);
        }
        for (int o = 0; o < 4; o++)
            for (int64_t i = 0; i < (o == 2 ? n : 3 * n); i++) {
                double x = type == GR_K_F32 ? (double)((float *)(void *)out[0][o])[i] : out[0][o][i];
                double y = type == GR_K_F32 ? (double)((float *)(void *)out[1][o])[i] : out[1][o][i];
                double most = (o == 3 ? 16 * (double)n : 1) * 256 * unit * fmax(1, fabs(y));
                if (!(fabs(x - y) <= most)) return printf("# %s: norm kernel %d, %lld columns: %g, portable %g\n", t->isa, o, (long long)n, x, y), false;
            }
    }
    return true;
}

int main(void)
{
    const gr_kernel_table *const *table;
    int n = gr__kernel_tables(&table), ran = 0, failed = 0;
    guarded g[6];
    for (int i = 0; i < 6; i++) g[i] = guarded_new();
    for (int i = 0; i < n; i++) {
        const gr_kernel_table *t = table[i];
        char name[100];
        bool ok = true;
        for (int kernel = 0; kernel < GR_EW_COUNT; kernel++)
            for (int type = 0; type < GR_K_TYPES; type++)
                if (table[0]->ew[kernel][type]) ok = element_wise_agrees(t, table[0], kernel, type, g) && ok;
        snprintf(name, sizeof name, "%s_element_wise_kernels_agree_with_portable", t->isa);
        failed += test_report(++ran, name, ok);
        snprintf(name, sizeof name, "%s_sums_are_accurate", t->isa);
        failed += test_report(++ran, name, sums_are_accurate(t));
        snprintf(name, sizeof name, "%s_functions_are_accurate_to_the_stated_ulp", t->isa);
        failed += test_report(++ran, name, functions_are_accurate(t));
        snprintf(name, sizeof name, "%s_matrix_products_agree_with_naive_loops", t->isa);
        failed += test_report(++ran, name, gemm_agrees(t, GR_K_F32) && gemm_agrees(t, GR_K_F64));
        snprintf(name, sizeof name, "%s_row_kernels_agree_with_portable", t->isa);
        failed += test_report(++ran, name, rows_agree(t, table[0], GR_K_F32) && rows_agree(t, table[0], GR_K_F64));
        snprintf(name, sizeof name, "%s_norm_kernels_agree_with_portable", t->isa);
        failed += test_report(++ran, name, norms_agree(t, table[0], GR_K_F32) && norms_agree(t, table[0], GR_K_F64));
    }
    for (int i = 0; i < 6; i++) guarded_free(g[i]);
    printf("1..%d\n", ran);
    return failed != 0;
}
