/* Matrix products in f32: our kernel against the BLAS libraries of this machine, loaded into one process and called in turn.
 * SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "tests/bench/bench.h"
#include "kernels/kernels.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct shape {
    int64_t m, k, n;
    const char *layout; /* "NT": b is stored transposed; "TN": a is */
} shape;
static const shape shapes[] = {
    { 16, 16, 16, "NN" },    { 32, 32, 32, "NN" },    { 64, 64, 64, "NN" },     { 128, 128, 128, "NN" },    { 256, 256, 256, "NN" },
    { 512, 512, 512, "NN" }, { 1024, 1024, 1024, "NN" }, { 2048, 2048, 2048, "NN" },
    { 4, 2, 4, "NN" },       { 32, 10, 3, "NN" },     { 300, 2, 100, "NN" },    { 300, 100, 3, "NN" },      { 100, 300, 3, "TN" },
    { 64, 784, 128, "NN" },  { 64, 784, 128, "NT" },  { 784, 64, 128, "TN" },   { 64, 128, 10, "NN" },      { 64, 128, 10, "NT" },
    { 64, 10, 128, "NT" },   { 256, 784, 512, "NN" }, { 256, 784, 512, "NT" },  { 784, 256, 512, "TN" },    { 128, 784, 1024, "NN" },
    { 512, 128, 384, "NT" }, { 64, 32, 64, "NT" },    { 32, 128, 512, "NT" },   { 1, 512, 512, "NN" },      { 1, 512, 512, "NT" },
};

typedef void cblas_fn(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                      int ldb, float beta, float *c, int ldc);
typedef int dnnl_fn(char ta, char tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                    int64_t ldb, float beta, float *c, int64_t ldc);
typedef struct library {
    const char *name, *file;
    cblas_fn *cblas;
    dnnl_fn *dnnl;
} library;
static library libraries[] = { /* the first stands for our own kernel; what is not found is left out */
    { "gradus", NULL, NULL, NULL },
    { "OpenBLAS", "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0", NULL, NULL },
    { "BLIS", "libblis.so.4", NULL, NULL },
    { "oneDNN", "libdnnl.so.2", NULL, NULL },
};
enum { LIBRARIES = sizeof libraries / sizeof *libraries, MAX_ROUNDS = 101 };

static int load(library *found)
{
    int n = 0;
    /* OpenBLAS falls back to SSE3 on processors that are younger than it: it is told what this one can do */
    if (strcmp(gr__kernels()->isa, "portable") != 0)
        setenv("OPENBLAS_CORETYPE", strcmp(gr__kernels()->isa, "avx512") == 0 ? "SkylakeX" : "Haswell", 0);
    setenv("OPENBLAS_NUM_THREADS", "1", 1), setenv("OMP_NUM_THREADS", "1", 1), setenv("BLIS_NUM_THREADS", "1", 1);
    for (library *l = libraries; l < libraries + LIBRARIES; l++) {
        void *so = l->file ? dlopen(l->file, RTLD_NOW | RTLD_LOCAL) : NULL;
        if (l->file && !so && strchr(l->file, '/')) so = dlopen(strrchr(l->file, '/') + 1, RTLD_NOW | RTLD_LOCAL);
        if (so) {
            *(void **)&l->dnnl = dlsym(so, "dnnl_sgemm");
            if (!l->dnnl) *(void **)&l->cblas = dlsym(so, "cblas_sgemm");
            char *(*core)(void);
            *(void **)&core = dlsym(so, "openblas_get_corename");
            if (core) printf("%s runs its kernels for %s\n", l->name, core());
        }
        if (!l->file || l->cblas || l->dnnl) found[n++] = *l;
        else printf("%s: not found\n", l->name);
    }
    return n;
}

typedef struct matrices {
    float *a, *b, *c;
    void *scratch;
} matrices;

static gr_gemm_size size_of(const shape *s)
{
    bool ta = s->layout[0] == 'T', tb = s->layout[1] == 'T';
    return (gr_gemm_size){ s->m, s->n, s->k, { ta ? 1 : s->k, ta ? s->m : 1 }, { tb ? 1 : s->n, tb ? s->k : 1 }, s->n };
}

static void multiply(const library *l, const shape *s, const gr_gemm_size *size, const matrices *x)
{
    bool ta = s->layout[0] == 'T', tb = s->layout[1] == 'T';
    int64_t lda = ta ? s->m : s->k, ldb = tb ? s->k : s->n;
    if (l->cblas)
        l->cblas(101, ta ? 112 : 111, tb ? 112 : 111, (int)s->m, (int)s->n, (int)s->k, 1, x->a, (int)lda, x->b, (int)ldb, 0,
                 x->c, (int)s->n);
    else if (l->dnnl)
        l->dnnl(ta ? 'T' : 'N', tb ? 'T' : 'N', s->m, s->n, s->k, 1, x->a, lda, x->b, ldb, 0, x->c, s->n);
    else
        gr__kernels()->gemm_part[GR_K_F32](size, 0, INT64_MAX, x->a, x->b, x->c, x->scratch);
}

static double slice(const library *l, const shape *s, const matrices *x, int64_t repeat)
{
    const gr_gemm_size size = size_of(s);
    bench_time start = bench_now();
    for (int64_t i = 0; i < repeat; i++) multiply(l, s, &size, x);
    return (bench_now().cpu - start.cpu) / (double)repeat;
}

/* How often to repeat so that a slice lasts 10 ms; and the answer must be the one in `want`, if that is given. */
static int64_t prepare(const library *l, const shape *s, const matrices *x, float *want, bool first)
{
    size_t count = (size_t)(s->m * s->n);
    memset(x->c, 0, count * sizeof(float));
    slice(l, s, x, 1);
    double worst = 0;
    for (size_t i = 0; !first && i < count; i++) worst = fmax(worst, fabs((double)want[i] - (double)x->c[i]));
    if (first) memcpy(want, x->c, count * sizeof(float));
    if (worst > 1e-5 * (double)s->k) printf("%s: off by %g\n", l->name, worst);
    int64_t repeat = 1;
    for (double t = 0; (t = slice(l, s, x, repeat) * (double)repeat) < 5e-3;)
        repeat = t < 1e-4 ? repeat * 8 : (int64_t)((double)repeat * 1e-2 / t) + 1;
    return repeat;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static float *numbers(size_t n)
{
    float *x = aligned_alloc(64, (n * sizeof(float) + 127) / 64 * 64);
    for (size_t i = 0; x && i < n; i++) x[i] = (float)(i * 7919 % 1009) / 1009 - 0.5F;
    return x;
}

/* One row: GFLOP/s of each, the median over the rounds, then the quartiles of time(peer) / time(ours), round by round. */
static void row(const shape *s, const library *l, int n, int rounds)
{
    static double time[LIBRARIES][MAX_ROUNDS];
    double ratio[MAX_ROUNDS];
    const gr_gemm_size size = size_of(s);
    matrices x = { numbers((size_t)(s->m * s->k)), numbers((size_t)(s->k * s->n)), numbers((size_t)(s->m * s->n)),
                   aligned_alloc(64, (gr__kernels()->gemm_part_scratch(&size, GR_K_F32) + 127) / 64 * 64) };
    float *want = numbers((size_t)(s->m * s->n));
    int64_t repeat[LIBRARIES];
    for (int i = 0; i < n; i++) repeat[i] = prepare(&l[i], s, &x, want, i == 0);
    for (int q = 0; q < rounds; q++) {
        for (int i = 0; i < n; i++) time[i][q] = slice(&l[i], s, &x, repeat[i]);
        for (int i = n - 1; i >= 0; i--) time[i][q] += slice(&l[i], s, &x, repeat[i]);
    }
    char name[64];
    snprintf(name, sizeof name, "%d x %d x %d %s", (int)s->m, (int)s->k, (int)s->n, s->layout);
    printf("| %-22s ", name);
    for (int i = 1; i < n; i++) {
        for (int q = 0; q < rounds; q++) ratio[q] = time[i][q] / time[0][q];
        qsort(ratio, (size_t)rounds, sizeof *ratio, ascending);
        snprintf(name, sizeof name, "%.2f (%.2f-%.2f)", ratio[rounds / 2], ratio[rounds / 4], ratio[rounds * 3 / 4]);
        qsort(time[i], (size_t)rounds, sizeof **time, ascending);
        printf("| %6.1f | %s ", 4e-9 * (double)(s->m * s->k * s->n) / time[i][rounds / 2], name);
    }
    qsort(time[0], (size_t)rounds, sizeof **time, ascending);
    printf("| %6.1f |\n", 4e-9 * (double)(s->m * s->k * s->n) / time[0][rounds / 2]);
    fflush(stdout);
    free(x.a), free(x.b), free(x.c), free(x.scratch), free(want);
}

int gemm_main(int rounds)
{
    library l[LIBRARIES];
    int n = load(l);
    rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
    printf("\n| %-22s ", "m x k x n, f32");
    for (int i = 1; i < n; i++) printf("| %s GFLOP/s | its time / ours ", l[i].name);
    printf("| gradus (%s) GFLOP/s |\n|", gr__kernels()->isa);
    for (int i = 0; i < 2 * n; i++) printf("---|");
    puts("");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) row(&shapes[i], l, n, rounds);
    return 0;
}
