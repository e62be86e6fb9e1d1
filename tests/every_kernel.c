/* The loop over kernel tables: every instruction set that this machine runs, against the portable one and against
 * double; all short lengths, all alignments, and memory that may not be touched on both sides.
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define TEST_OWN_MAIN
#include "kernels/kernels.h"
#include "ops/record.h"
#include "tests/guarded.h"
#include "tests/test.h"

#include <float.h>

static bool small; /* fewer sizes, for emulation and sanitizers */

/* Operands of an element-wise kernel, result excluded; and the types of result and first operand. */
typedef struct shape_of {
    int operands, first, result;
} shape_of;

static shape_of describe(int kernel, int type)
{
    shape_of s = { 0, type, type };
#define ROW(name, y, d, reads) case GR_EW_##name: s.operands = 1; break; case GR_EW_##name##_dx: s.operands = 3; break;
    switch (kernel) {
        GR_EW_UNARY(ROW)
#undef ROW
#define ROW(name, y, da, a, db, b) case GR_EW_##name: s.operands = 2; break; case GR_EW_##name##_da: case GR_EW_##name##_db: s.operands = 4; break;
        GR_EW_BINARY(ROW)
#undef ROW
#define ROW(name, op) case GR_EW_##name: s.operands = 2; s.result = GR_K_BOOL; break;
        GR_EW_COMPARE(ROW)
#undef ROW
    case GR_EW_where: s.operands = 3; s.first = GR_K_BOOL; break;
    }
    return s;
}

/* One kernel of table t against the portable one, for every length, alignment and side. */
static bool element_wise_agrees(const gr_kernel_table *t, const gr_kernel_table *ref, int kernel, int type, guarded *g)
{
    shape_of s = describe(kernel, type);
    size_t rs = type_size[s.result];
    double ulps = kernel == GR_EW_gelu_dx ? 8192 : 8; /* of the result: its terms cancel near -0.752 */
    for (int64_t n = 0; n <= MAX_N; n++)
        for (int offset = -1; offset < (n % 8 == 3 ? 16 : 1); offset++)
            for (int mode = 0; mode < 3; mode++) { /* ordinary, special values, in place */
                char *p[6], expected[MAX_N * 8 + 16];
                p[0] = place(g[0], n, rs, offset);
                for (int k = 1; k <= s.operands; k++) {
                    int kt = k == 1 ? s.first : type;
                    p[k] = place(g[k], n ? n : 1, type_size[kt], offset);
                    fill(p[k], kt, n ? n : 1, k, mode != 1);
                }
                if (mode == 2 && s.result == type && s.operands >= 1 && s.first == type) p[0] = p[1];
                char backup[MAX_N * 8 + 16];
                size_t bytes = (size_t)(n ? n : 1) * type_size[s.first];
                memcpy(backup, p[1], bytes);
                memcpy(expected, p[0], (size_t)n * rs);
                char *q[6];
                memcpy(q, p, sizeof q);
                q[0] = expected;
                if (p[0] == p[1]) q[1] = backup;
                ref->ew[kernel][type](n, q);
                t->ew[kernel][type](n, p);
                for (int64_t i = 0; i < n; i++)
                    if (!same(p[0], expected, s.result, i, ulps)) {
                        printf("# %s kernel %d type %d: element %lld of %lld, offset %d, mode %d\n", t->isa, kernel, type, (long long)i,
                               (long long)n, offset, mode);
                        return false;
                    }
            }
    return true;
}

/* A derivative reads the inputs and y that the table says, and no other. */
static bool reads_are_true(const gr_kernel_table *t, int kernel, int type)
{
    enum { N = 33 };
    const shape_of s = describe(kernel, type);
    if (s.operands < 3 || s.first != type) return true;
    double in[5][N], out[2][N];
    for (int k = 2; k <= s.operands; k++) {
        bool differs = false;
        for (int seed = 1; seed <= 9 && !differs; seed += 4) {
            char *p[6] = { (char *)out[0] };
            for (int j = 1; j <= s.operands; j++) fill(p[j] = (char *)in[j - 1], type, N, j, true);
            t->ew[kernel][type](N, p);
            fill(p[k], type, N, k + seed, true);
            p[0] = (char *)out[1];
            t->ew[kernel][type](N, p);
            for (int64_t i = 0; i < N; i++) differs = differs || !same((char *)out[0], (char *)out[1], s.result, i, 0);
        }
        if (differs == (t->reads[kernel] >> (k - 1) & 1)) continue;
        printf("# %s kernel %d type %d: operand %d is %s\n", t->isa, kernel, type, k, differs ? "read" : "not read");
        return false;
    }
    return true;
}

/* ---- reductions: against a naive loop in double, for every length, layout and side ---------------------------------------------*/
static double reduced(int kernel, double a, double x)
{
    if (kernel == GR_REDUCE_sum) return a + x;
    if (kernel == GR_REDUCE_prod) return a * x;
    if (isnan(a) || isnan(x)) return NAN;
    return kernel == GR_REDUCE_max ? fmax(a, x) : fmin(a, x);
}

/* x [m, n], its rows with gaps or contiguous (mode & 1), transposed (2), with special values (4), against the left guard (8) or the
 * right one, into a place for each row, each column, or one for all */
static bool reduction_agrees(const gr_kernel_table *t, int kernel, int type, int64_t m, int64_t n, int mode, guarded *g)
{
    static const int64_t direction[3][2] = { { 1, 0 }, { 0, 1 }, { 0, 0 } };
    const size_t size = type_size[type];
    const int64_t gap = mode & 1 ? 0 : 3;
    const int64_t xs[2] = { mode & 2 ? 1 : n + gap, mode & 2 ? m + gap : 1 };
    const int64_t span = (m - 1) * xs[0] + (n - 1) * xs[1] + 1;
    char *x = place(g[0], span, size, mode & 8 ? 5 : -1);
    fill(x, type, span, kernel, !(mode & 4));
    for (int64_t i = 0; kernel == GR_REDUCE_prod && i < span; i++) { /* neither 0 nor far from 1, in any order */
        if (type == GR_K_F32) ((float *)(void *)x)[i] = 0.75f + (float)(i * 37 % 41) / 82;
        if (type == GR_K_F64) ((double *)(void *)x)[i] = 0.75 + (double)(i * 37 % 41) / 82;
        if (type == GR_K_I64) ((int64_t *)(void *)x)[i] = i * 37 % 41 == 7 ? 3 : i % 2 ? 1 : -1;
    }
    for (int d = 0; d < 3; d++) {
        const int64_t *ys = direction[d], places = d == 2 ? 1 : d == 0 ? m : n;
        char *y = place(g[1], places, size, -1);
        fill(y, type, places, 9, true);
        double want[2 * MAX_N], total[2 * MAX_N];
        for (int64_t k = 0; k < places; k++) total[k] = fabs(want[k] = number(y, type, k));
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                const double e = number(x, type, i * xs[0] + j * xs[1]);
                double *to = &want[i * ys[0] + j * ys[1]];
                *to = reduced(kernel, *to, e);
                total[i * ys[0] + j * ys[1]] += fabs(e);
            }
        t->reduce[kernel][type](m, n, x, xs, y, ys);
        for (int64_t k = 0; k < places; k++) {
            const double got = number(y, type, k), unit = type == GR_K_F32 ? 0x1p-23 : 0x1p-52;
            const double room = kernel == GR_REDUCE_sum ? 128 * unit * total[k] : kernel == GR_REDUCE_prod ? 2 * (double)(m * n) * unit * fabs(want[k]) : 0;
            if (isnan(want[k]) ? isnan(got) : got == want[k] || fabs(got - want[k]) <= room) continue;
            printf("# %s reduction %d type %d: [%lld, %lld] mode %d into %d: %g, not %g\n", t->isa, kernel, type, (long long)m, (long long)n, mode, d, got, want[k]);
            return false;
        }
    }
    return true;
}
static bool reductions_agree(const gr_kernel_table *t, guarded *g)
{
    static const int64_t rows[] = { 1, 2, 3, 5, 8, 17, 40 };
    for (int kernel = 0; kernel < GR_REDUCE_COUNT; kernel++)
        for (int type = GR_K_I64; type < GR_K_TYPES; type++)
            for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
                for (int64_t n = 1; n <= 2 * MAX_N; n += small ? 7 : 1)
                    for (int mode = 0; mode < 16; mode++)
                        if ((rows[r] + 3) * (n + 3) * (int64_t)type_size[type] < (int64_t)g[0].size - 64 && type_size[type] * 2 * MAX_N < g[1].size)
                            if (!reduction_agrees(t, kernel, type, rows[r], n, mode, g)) return false;
    return true;
}

/* Sums of many f32 elements, against long double, to the bound that docs/performance.md states: of all, of rows, of columns. */
static bool sums_are_accurate(const gr_kernel_table *t)
{
    enum { MOST = 300000 };
    float *x = malloc(MOST * sizeof *x);
    bool ok = true;
    for (int64_t i = 0; i < MOST; i++) x[i] = (float)sin((double)i * 1.7) + 1;
    for (int64_t n = 1; n <= 1000 && ok; n = n * 3 + 1)
        for (int64_t m = 1; m * n <= MOST && ok; m = m * 5 + 2)
            for (int d = 0; d < 3 && ok; d++) {
                const int64_t ys[2] = { d == 0, d == 1 };
                const int64_t places = d == 0 ? m : d == 1 ? n : 1, addends = m * n / places;
                float *y = calloc((size_t)places, sizeof *y);
                t->reduce[GR_REDUCE_sum][GR_K_F32](m, n, x, (int64_t[]){ n, 1 }, y, ys);
                long double exact = 0;
                for (int64_t i = 0; i < addends; i++) exact += (long double)x[d == 1 ? i * n + n - 1 : (places - 1) * addends + i];
                ok = fabsl((long double)y[places - 1] - exact) <= 128 * 0x1p-23L * exact; /* of positive elements */
                if (!ok) printf("# %s: sum of [%lld, %lld] into %d is %.9g, exactly %.9Lg\n", t->isa, (long long)m, (long long)n, d, (double)y[places - 1], exact);
                free(y);
            }
    free(x);
    return ok;
}

static double element(const char *p, int type, int64_t i) { return type == GR_K_F32 ? (double)((const float *)(const void *)p)[i] : ((const double *)(const void *)p)[i]; }
static void set_element(char *p, int type, int64_t i, double x)
{
    if (type == GR_K_F32) ((float *)(void *)p)[i] = (float)x;
    else ((double *)(void *)p)[i] = x;
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
        t->ew[kernel][type](64, p);
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
    } f[] = { { "exp", GR_EW_exp, expl, 1 }, { "log", GR_EW_log, logl, 1.1 }, { "tanh", GR_EW_tanh, tanhl, 2 }, { "sigmoid", GR_EW_sigmoid, sigmoidl, 2.8 },
              { "sqrt", GR_EW_sqrt, sqrtl, 0.51 }, { "expm1", GR_EW_expm1, expm1l, 2 }, { "log1p", GR_EW_log1p, log1pl, 2 },
              { "erf", GR_EW_erf, erfl, 1.3 }, { "gelu", GR_EW_gelu, gelul, 9 }, { "softplus", GR_EW_softplus, softplusl, 3 },
              { "sin", GR_EW_sin, sinl, 1.3 }, { "cos", GR_EW_cos, cosl, 1.3 } };
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

/* Correctly rounded, as C has it: ordinary numbers of all mantissas, alone and beside one that is not ordinary. */
static bool square_roots_are_those_of_c(const gr_kernel_table *t)
{
    enum { N = 64 };
    static const float odd[] = { 0, -0.0F, -1, INFINITY, -INFINITY, NAN, 0x1p-149F, 0x1p-126F, 0x1.fffffep-101F, FLT_MAX };
    float x[N], y[N];
    char *p[] = { (char *)y, (char *)x };
    for (uint32_t i = 0; i < 1u << 24; i += small ? 4099 * N : 3 * N) {
        for (uint32_t k = 0; k < N; k++) {
            const uint32_t bits = (i + 3 * k) % (1u << 24) + (i / N % 2 ? 0x3f800000u : (i / N % 63 + 64) << 23); /* [1, 4), or anywhere from 2^-63 on */
            memcpy(&x[k], &bits, sizeof bits);
        }
        if (i / N % 16 == 0) x[i / N / 16 % N] = odd[i / N / 16 % (sizeof odd / sizeof *odd)];
        t->ew[GR_EW_sqrt][GR_K_F32](N, p);
        for (int k = 0; k < N; k++) {
            const float want = sqrtf(x[k]);
            if (want != want ? y[k] != y[k] : memcmp(&y[k], &want, sizeof want) == 0) continue;
            printf("# %s: sqrt(%a) = %a, is %a\n", t->isa, (double)x[k], (double)y[k], (double)want);
            return false;
        }
    }
    return true;
}
/* 1 / x in derivatives: to an ulp, for all x */
static double worst_inverse(const gr_kernel_table *t, int type)
{
    double worst = 0;
    uint64_t s = 1;
    for (int round = 0; round < (small ? 100 : 2000); round++) {
        double one[16], x[16], y[16]; /* room for either type */
        char *p[] = { (char *)y, (char *)one, (char *)x, (char *)x };
        for (int i = 0; i < 16; i++) {
            static const double odd[] = { 0, -0.0, INFINITY, -INFINITY, NAN };
            s = s * 6364136223846793005u + 1442695040888963407u;
            double v = ldexp(1 + (double)(s >> 11) * 0x1p-53, (int)(s >> 5) % (type == GR_K_F32 ? 150 : 1075));
            if (round % 3 == 0 && i == round % 16) v = odd[round / 3 % 5];
            set_element(p[1], type, i, 1), set_element(p[2], type, i, s % 2 ? -v : v);
        }
        t->ew[GR_EW_log_dx][type](16, p);
        for (int i = 0; i < 16; i++)
            worst = fmax(worst, ulps_of(element(p[0], type, i), 1 / (long double)element(p[2], type, i), type == GR_K_F32 ? 24 : 53, type == GR_K_F32 ? -126 : -1022));
    }
    return worst;
}
static bool inverses_are_accurate(const gr_kernel_table *t)
{
    volatile long double one = 1;
    if (one + 0x1p-60L == one) return true;
    const double f32 = worst_inverse(t, GR_K_F32), f64 = worst_inverse(t, GR_K_F64);
    if (f32 > 1 || f64 > 1) printf("# %s: 1 / x is off by %.3g ulp of f32, %.3g of f64\n", t->isa, f32, f64);
    return f32 <= 1 && f64 <= 1;
}

/* The largest error of a^b where it is a normal number: of a of all exponents, and near 1, of which large powers are taken. */
static bool powers_are_accurate(const gr_kernel_table *t, int type)
{
    volatile long double one = 1;
    if (one + 0x1p-60L == one) return true;
    const int digits = type == GR_K_F32 ? 24 : 53, least = type == GR_K_F32 ? -126 : -1022;
    uint64_t s = 1;
    double a[64], b[64], y[64], worst = 0;
    for (int round = 0; round < (small ? 100 : 1000); round++) {
        char *p[] = { (char *)y, (char *)a, (char *)b };
        for (int i = 0; i < 64; i++) {
            double u[3]; /* in 0..1 */
            for (int k = 0; k < 3; k++) s = s * 6364136223846793005u + 1442695040888963407u, u[k] = (double)(s >> 11) * 0x1p-53;
            const double e = round % 3 == 0 ? (2 * u[1] - 1) * -least : round % 3 == 1 ? u[1] : exp2(-u[1] * digits);
            double base = exp2(e);
            base = type == GR_K_F32 ? (double)(float)base : base;
            const double most = (2 * u[2] - 1) * -least / log2(base);
            set_element(p[1], type, i, base), set_element(p[2], type, i, base == 1 ? u[2] : most);
        }
        t->ew[GR_EW_pow][type](64, p);
        for (int i = 0; i < 64; i++) worst = fmax(worst, ulps_of(element(p[0], type, i), powl((long double)element(p[1], type, i), (long double)element(p[2], type, i)), digits, least));
    }
    if (worst > 1) printf("# %s: pow of %s is off by %.4g ulp\n", t->isa, type == GR_K_F32 ? "f32" : "f64", worst);
    return worst <= 1;
}
/* What C says of a^b for zeros, infinities, NaN, a < 0 and b of any parity, and of results that are no normal numbers: each with its
 * sign; each pair alone among ordinary ones, and beside others of its kind. */
static bool special_powers_are_those_of_c(const gr_kernel_table *t, int type)
{
    const double most = type == GR_K_F32 ? (double)FLT_MAX : DBL_MAX, tiny = type == GR_K_F32 ? (double)0x1p-149f : 0x1p-1074, whole = type == GR_K_F32 ? 0x1p23 : 0x1p52;
    const double v[] = { 0, 1, 0.5, 2, 3, 4, 2.5, 1e30, 7, 1e-30, most, tiny, INFINITY, NAN, whole - 1, whole - 0.5, whole + 1, 2 * whole - 1, 2 * whole, 2 * whole + 2, 1 + 1 / whole, 1 - 0.5 / whole };
    enum { N = 2 * sizeof v / sizeof *v, LANES = 16 };
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            for (int alone = 0; alone < 2; alone++) {
                double a[LANES], b[LANES], y[LANES];
                char *p[] = { (char *)y, (char *)a, (char *)b };
                for (int k = 0; k < LANES; k++) {
                    const int r = (i + k) % N, q = (j + k * k) % N;
                    set_element(p[1], type, k, alone && k != 5 ? 2 : r % 2 ? -v[r / 2] : v[r / 2]);
                    set_element(p[2], type, k, alone && k != 5 ? 3 : q % 2 ? -v[q / 2] : v[q / 2]);
                }
                t->ew[GR_EW_pow][type](LANES, p);
                for (int k = 0; k < LANES; k++) {
                    const double x = element(p[1], type, k), e = element(p[2], type, k), got = element(p[0], type, k);
                    const double exact = pow(x, e), want = type == GR_K_F32 ? (double)(float)exact : exact;
                    const double room = fmax(fabs(want) * (type == GR_K_F32 ? 0x1p-23 : 0x1p-52), tiny);
                    if (isnan(want) ? isnan(got) : (got == want || fabs(got - want) <= room) && signbit(got) == signbit(want)) continue;
                    printf("# %s: pow(%a, %a) of %s is %a, not %a\n", t->isa, x, e, type == GR_K_F32 ? "f32" : "f64", got, want);
                    return false;
                }
            }
    return true;
}

/* c = a b against a naive loop in double. order & 1: a is stored by columns, & 2: b is; 4: both have gaps. All three lie against
 * the guards, the rows of c have a gap, which stays, and parts have the bits of the whole. An infinity in row 0 of a meets a zero
 * in column 0 of b: a NaN there, and no trace of either in other rows. */
static bool product_agrees(const gr_kernel_table *t, int type, int64_t m, int64_t n, int64_t k, int order, guarded *g)
{
    const size_t size = type_size[type];
    const int64_t step = order & 4 ? 2 : 1, gap = 3, cs = n + gap, span = (m - 1) * cs + n;
    const gr_gemm_size s = { m, n, k, { order & 1 ? step : step * k, order & 1 ? step * m : step }, { order & 2 ? step : step * n, order & 2 ? step * k : step }, cs };
    const int64_t units = gr__gemm_units(t->gemm[type], &s), cut[] = { 0, units / 3, units - 1, units };
    const int64_t every = m * n * k > 2000000 ? 97 : 1; /* of the large ones, a sample */
    char *a = place(g[0], step * m * k, size, k % 2 ? 0 : -1), *b = place(g[1], step * n * k, size, k % 2 ? 0 : -1), *scratch = place(g[4], (int64_t)gr__gemm_part_scratch(t->gemm[type], &s), 1, -1);
    char *c[2] = { place(g[2], span, size, k % 2 ? 0 : -1), place(g[3], span, size, k % 2 ? 0 : -1) };
    if (gr__gemm_part_scratch(t->gemm[type], &s) > gr__gemm_scratch(t->gemm[type], m, n, k)) return printf("# gemm_scratch is too small\n"), false;
    fill(a, type, step * m * k, 1, true), fill(b, type, step * n * k, 2, true);
    for (int wild = 0; wild < (k > 0 ? 2 : 1); wild++) {
        if (wild) set_element(a, type, 0, INFINITY), set_element(b, type, 0, 0);
        for (int64_t i = 0; i < span; i++) set_element(c[0], type, i, -77), set_element(c[1], type, i, -77);
        gr__gemm_part(t->gemm[type], &s, 0, INT64_MAX, a, b, c[0], scratch);
        for (int i = 0; i < 3; i++)
            if (cut[i] < cut[i + 1]) gr__gemm_part(t->gemm[type], &s, cut[i], cut[i + 1], a, b, c[1], scratch);
        if (memcmp(c[0], c[1], (size_t)span * size) != 0) return printf("# %s: %lldx%lldx%lld order %d: parts differ from the whole\n", t->isa, (long long)m, (long long)k, (long long)n, order), false;
        for (int64_t i = 0; i < span; i += every) {
            const int64_t r = i / cs, q = i % cs;
            double want = q < n ? 0 : -77, got = element(c[0], type, i);
            for (int64_t j = 0; q < n && j < k; j++) want += element(a, type, r * s.as[0] + j * s.as[1]) * element(b, type, j * s.bs[0] + q * s.bs[1]);
            if (isnan(want) ? isnan(got) : isinf(want) ? got == want : fabs(got - want) <= (type == GR_K_F32 ? 6e-8 : 1.2e-16) * 6.25 * (double)(k + 2)) continue;
            return printf("# %s: %lldx%lldx%lld order %d size %zu: c[%lld, %lld] = %g, not %g\n", t->isa, (long long)m, (long long)k, (long long)n, order, size, (long long)r, (long long)q, got, want), false;
        }
    }
    return true;
}

/* Every path of the product: few rows, few columns, edges, what is packed by the first tile or before, more rows than a block, a last tile
 * that takes some columns again, dot products of many rows. */
static bool gemm_agrees(const gr_kernel_table *t, int type)
{
    static const int64_t sizes[] = { 1, 2, 3, 6, 17, 33, 70 }, large[][3] = { { 90, 90, 1030 }, { 800, 70, 700 }, { 3, 300, 900 }, { 300, 2, 900 }, { 31, 150, 40 }, { 90, 100, 720 }, { 2700, 10, 100 }, { 31, 60, 40 }, { 300, 100, 3 },
                                                                   { 1, 60, 40 }, { 2, 60, 40 }, { 1, 110, 40 }, { 3, 110, 40 }, { 110, 3, 40 }, { 31, 10, 120 }, { 33, 9, 100 } };
    enum { SIZES = sizeof sizes / sizeof *sizes, LARGE = sizeof large / sizeof *large };
    const size_t bytes[] = { 2 * 800 * 700 * 8, 2 * 800 * 700 * 8, 800 * 80 * 8, 800 * 80 * 8, gr__gemm_scratch(t->gemm[type], 800, 300, 1030) };
    guarded g[5];
    for (int i = 0; i < 5; i++) g[i] = guarded_new(bytes[i] / 4096 + 1);
    bool ok = gr__gemm_scratch(t->gemm[type], GR_LITTLE, GR_LITTLE, GR_LITTLE) <= GR_LITTLE_SCRATCH;
    for (int i = 0; i < SIZES * SIZES; i++)
        for (int64_t k = 0; k <= (small ? 10 : 300) && ok; k = k < 3 ? k + 1 : k * 3 + 1)
            for (int order = 0; order < 5 && ok; order++) ok = product_agrees(t, type, sizes[i / SIZES], sizes[i % SIZES], k, order, g);
    for (int i = 0; i < (small ? 0 : LARGE); i++)
        for (int order = 0; order < 5 && ok; order++) ok = product_agrees(t, type, large[i][0], large[i][1], large[i][2], order, g);
    for (int i = 0; i < 5; i++) guarded_free(g[i]);
    return ok;
}

/* y = b[0] + a b[1..], a turned or not, against a naive loop in double: all of it, and in pieces that begin and end anywhere, each against
 * both guards. */
static bool combination_agrees(const gr_kernel_table *t, int type, int64_t m, int64_t n, int64_t steps, bool turned, guarded *g)
{
    const size_t size = type_size[type];
    const int64_t bs = n + n % 3, all = m * n, piece = n + n / 2 + 1;
    gr_affine k = { n, steps, { turned ? 1 : steps, turned ? m : 1 }, bs, place(g[0], m * steps, size, -1), place(g[1], steps * bs + n, size, -1) };
    fill((char *)k.a, type, m * steps, 1, true), fill((char *)k.b, type, steps * bs + n, 2, true);
    if (steps > 0) set_element((char *)k.a, type, 0, INFINITY), set_element((char *)k.b, type, bs, 0); /* a NaN in y[0, 0], and no trace of it in other rows */
    char *whole = place(g[2], all, size, -1);
    t->affine[type](&k, 0, all, whole);
    for (int64_t at = 0, some; at < all; at += some) {
        some = all - at < piece ? all - at : piece;
        char *left = place(g[3], some, size, 0), *right = place(g[4], some, size, -1);
        t->affine[type](&k, at, some, left), t->affine[type](&k, at, some, right);
        if (memcmp(left, whole + (size_t)at * size, (size_t)some * size) != 0 || memcmp(right, left, (size_t)some * size) != 0)
            return printf("# %s: %lld rows of %lld from %lld: a piece differs from the whole\n", t->isa, (long long)m, (long long)n, (long long)steps), false;
    }
    for (int64_t i = 0; i < all; i++) {
        double want = element(k.b, type, i % n), got = element(whole, type, i);
        for (int64_t j = 0; j < steps; j++) want += element(k.a, type, i / n * k.as[0] + j * k.as[1]) * element(k.b, type, (j + 1) * bs + i % n);
        if (isnan(want) ? isnan(got) : isinf(want) ? got == want : fabs(got - want) <= (type == GR_K_F32 ? 6e-8 : 1.2e-16) * 6.25 * (double)(steps + 2)) continue;
        return printf("# %s: %lld rows of %lld from %lld: element %lld is %g, not %g\n", t->isa, (long long)m, (long long)n, (long long)steps, (long long)i, got, want), false;
    }
    return true;
}

/* The adjoint, of the same sizes: sums of all rows at once and of pieces have the same bits, and are those of a naive loop. */
static bool adjoint_agrees(const gr_kernel_table *t, int type, int64_t m, int64_t n, int64_t steps, bool turned, bool plain, guarded *g)
{
    const size_t size = type_size[type];
    const int64_t all = m * n, piece = n + n / 2 + 1, sums = (steps + plain) * n;
    const gr_affine k = { n, steps, { turned ? 1 : steps, turned ? m : 1 }, n, place(g[0], m * steps, size, -1), NULL };
    char *x = place(g[2], all, size, -1), *whole = place(g[1], sums, size, -1), *pieces = place(g[3], sums, size, 0);
    fill((char *)k.a, type, m * steps, 1, true), fill(x, type, all, 2, true), fill(whole, type, sums, 3, true), fill(pieces, type, sums, 3, true);
    t->affine_adjoint[type](&k, plain, 0, all, x, whole);
    for (int64_t at = 0, some; at < all; at += some) {
        some = all - at < piece ? all - at : piece;
        char *part = place(g[4], some, size, -1);
        memcpy(part, x + (size_t)at * size, (size_t)some * size);
        t->affine_adjoint[type](&k, plain, at, some, part, pieces);
    }
    bool ok = memcmp(whole, pieces, (size_t)sums * size) == 0;
    fill(pieces, type, sums, 3, true);
    for (int64_t i = 0; i < sums; i++) {
        double want = element(pieces, type, i);
        for (int64_t r = 0; r < m; r++) want += (plain && i < n ? 1 : element(k.a, type, r * k.as[0] + (i / n - plain) * k.as[1])) * element(x, type, r * n + i % n);
        ok = ok && fabs(element(whole, type, i) - want) <= (type == GR_K_F32 ? 6e-8 : 1.2e-16) * 6.25 * (double)(m + 3);
    }
    if (!ok) printf("# %s: sums of %lld rows of %lld into %lld\n", t->isa, (long long)m, (long long)n, (long long)steps);
    return ok;
}

static bool combinations_agree(const gr_kernel_table *t, int type)
{
    static const int64_t rows[] = { 1, 2, 3, 4, 7, 9 }, columns[] = { 1, 3, 8, 16, 33, 64, 100, 131 };
    guarded g[5];
    bool ok = true;
    for (int i = 0; i < 5; i++) g[i] = guarded_new(4);
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 8; j++)
            for (int64_t steps = 0; steps <= 8 && ok; steps += steps < 3 ? 1 : 5)
                for (int how = 0; how < 4; how++)
                    ok = ok && (how & 2 || combination_agrees(t, type, rows[i], columns[j], steps, how & 1, g)) && adjoint_agrees(t, type, rows[i], columns[j], steps, how & 1, how & 2, g);
    for (int i = 0; i < 5; i++) guarded_free(g[i]);
    return ok;
}

int main(void)
{
    const gr_kernel_table *const *table;
    small = getenv("GRADUS_TEST_SMALL") != NULL;
    int n = gr__kernel_tables(&table), ran = 0, failed = 0;
    guarded g[6];
    for (int i = 0; i < 6; i++) g[i] = guarded_new(1);
    for (int i = 0; i < n; i++) {
        const gr_kernel_table *t = table[i];
        char name[100];
        bool ok = true;
        for (int kernel = 0; kernel < GR_EW_COUNT; kernel++)
            for (int type = 0; type < GR_K_TYPES; type++)
                if (table[0]->ew[kernel][type]) ok = element_wise_agrees(t, table[0], kernel, type, g) && reads_are_true(t, kernel, type) && ok;
        snprintf(name, sizeof name, "%s_element_wise_kernels_agree_with_portable", t->isa);
        failed += test_report(++ran, name, ok);
        snprintf(name, sizeof name, "%s_reductions_agree_with_naive_loops", t->isa);
        failed += test_report(++ran, name, reductions_agree(t, g));
        snprintf(name, sizeof name, "%s_sums_are_accurate", t->isa);
        failed += test_report(++ran, name, sums_are_accurate(t));
        snprintf(name, sizeof name, "%s_functions_are_accurate_to_the_stated_ulp", t->isa);
        failed += test_report(++ran, name, functions_are_accurate(t));
        snprintf(name, sizeof name, "%s_square_roots_are_those_of_c", t->isa);
        failed += test_report(++ran, name, square_roots_are_those_of_c(t));
        snprintf(name, sizeof name, "%s_inverses_are_accurate_to_an_ulp", t->isa);
        failed += test_report(++ran, name, inverses_are_accurate(t));
        snprintf(name, sizeof name, "%s_powers_are_accurate_to_an_ulp", t->isa);
        failed += test_report(++ran, name, powers_are_accurate(t, GR_K_F32) && powers_are_accurate(t, GR_K_F64));
        snprintf(name, sizeof name, "%s_special_powers_are_those_of_c", t->isa);
        failed += test_report(++ran, name, special_powers_are_those_of_c(t, GR_K_F32) && special_powers_are_those_of_c(t, GR_K_F64));
        snprintf(name, sizeof name, "%s_matrix_products_agree_with_naive_loops", t->isa);
        failed += test_report(++ran, name, gemm_agrees(t, GR_K_F32) && gemm_agrees(t, GR_K_F64));
        snprintf(name, sizeof name, "%s_combinations_of_rows_agree_with_naive_loops", t->isa);
        failed += test_report(++ran, name, combinations_agree(t, GR_K_F32) && combinations_agree(t, GR_K_F64));
    }
    for (int i = 0; i < 6; i++) guarded_free(g[i]);
    printf("1..%d\n", ran);
    return failed != 0;
}
