/* Matrix products in f32: ours, as operations call it, against the BLAS libraries of this machine, loaded into one process and
 * called in turn. With several threads by the wall clock, and against our own with one.
 * SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "tests/bench/bench.h"
#include "ops/record.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
    { 300, 3, 100, "NT" },   { 2, 300, 100, "TN" },
};

typedef void cblas_fn(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                      int ldb, float beta, float *c, int ldc);
typedef int dnnl_fn(char ta, char tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                    int64_t ldb, float beta, float *c, int64_t ldc);
typedef struct library {
    const char *name, *file; /* no file: ours */
    cblas_fn *cblas;
    dnnl_fn *dnnl;
    gr_ctx *c; /* of ours */
} library;
static const library libraries[] = { /* what is not found is left out */
    { "gradus", NULL, NULL, NULL, NULL },
    { "gradus, one thread", NULL, NULL, NULL, NULL },
    { "OpenBLAS", "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0", NULL, NULL, NULL },
    { "BLIS", "libblis.so.4", NULL, NULL, NULL },
    { "oneDNN", "libdnnl.so.2", NULL, NULL, NULL },
};
enum { LIBRARIES = sizeof libraries / sizeof *libraries, MAX_ROUNDS = 101 };

static int load(library *found, int threads)
{
    int n = 0;
    char count[16];
    snprintf(count, sizeof count, "%d", threads);
    /* OpenBLAS falls back to SSE3 on processors that are younger than it: it is told what this one can do */
    if (strcmp(gr__kernels()->isa, "portable") != 0)
        setenv("OPENBLAS_CORETYPE", strcmp(gr__kernels()->isa, "avx512") == 0 ? "SkylakeX" : "Haswell", 0);
    setenv("OPENBLAS_NUM_THREADS", count, 1), setenv("OMP_NUM_THREADS", count, 1), setenv("BLIS_NUM_THREADS", count, 1);
    for (int i = 0; i < LIBRARIES; i++) {
        library *l = &found[n];
        if (i == 1 && threads == 1) continue;
        *l = libraries[i];
        if (!l->file) {
            gr_set_threads(l->c = gr_ctx_new(NULL), i == 0 ? threads : 1);
            n++;
            continue;
        }
        void *so = dlopen(l->file, RTLD_NOW | RTLD_LOCAL);
        if (!so && strchr(l->file, '/')) so = dlopen(strrchr(l->file, '/') + 1, RTLD_NOW | RTLD_LOCAL);
        if (so) {
            *(void **)&l->dnnl = dlsym(so, "dnnl_sgemm");
            if (!l->dnnl) *(void **)&l->cblas = dlsym(so, "cblas_sgemm");
            char *(*core)(void);
            *(void **)&core = dlsym(so, "openblas_get_corename");
            if (core) printf("%s runs its kernels for %s\n", l->name, core());
        }
        if (l->cblas || l->dnnl) n++;
        else printf("%s: not found\n", l->name);
    }
    return n;
}

/* The others use the memory of the first of ours. */
typedef struct matrices {
    gr_tensor *a, *b, *y;
} matrices;

static void multiply(const library *l, const shape *s, const matrices *x)
{
    const bool ta = s->layout[0] == 'T', tb = s->layout[1] == 'T';
    const int64_t lda = ta ? s->m : s->k, ldb = tb ? s->k : s->n;
    const float *a = (const float *)x->a->data, *b = (const float *)x->b->data;
    float *c = (float *)x->y->data;
    if (l->cblas)
        l->cblas(101, ta ? 112 : 111, tb ? 112 : 111, (int)s->m, (int)s->n, (int)s->k, 1, a, (int)lda, b, (int)ldb, 0, c, (int)s->n);
    else if (l->dnnl)
        l->dnnl(ta ? 'T' : 'N', tb ? 'T' : 'N', s->m, s->n, s->k, 1, a, lda, b, ldb, 0, c, s->n);
    else
        gr__multiply(x->a, ta, x->b, tb, x->y);
}

/* Seconds for a product. Threads that wait for more work spin for up to 30 ms: they are let go to sleep, and the own woken. */
static double slice(const library *l, const shape *s, const matrices *x, int64_t repeat, bool wall)
{
    if (wall) nanosleep(&(struct timespec){ .tv_nsec = 40000000 }, NULL);
    for (int64_t i = 0; wall && i < 1 + repeat / 2; i++) multiply(l, s, x);
    const bench_time start = bench_now();
    for (int64_t i = 0; i < repeat; i++) multiply(l, s, x);
    const bench_time end = bench_now();
    return (wall ? end.wall - start.wall : end.cpu - start.cpu) / (double)repeat;
}

/* How often to repeat so that a slice lasts 10 ms; and the answer must be the one in `want`, if that is given. */
static int64_t prepare(const library *l, const shape *s, const matrices *x, float *want, bool first)
{
    const size_t count = (size_t)(s->m * s->n);
    float *c = (float *)x->y->data;
    memset(c, 0, count * sizeof *c);
    slice(l, s, x, 1, false);
    double worst = 0;
    for (size_t i = 0; !first && i < count; i++) worst = fmax(worst, fabs((double)want[i] - (double)c[i]));
    if (first) memcpy(want, c, count * sizeof *c);
    if (worst > 1e-5 * (double)s->k) printf("%s: off by %g\n", l->name, worst);
    int64_t repeat = 1;
    for (double t = 0; (t = slice(l, s, x, repeat, false) * (double)repeat) < 5e-3;)
        repeat = t < 1e-4 ? repeat * 8 : (int64_t)((double)repeat * 1e-2 / t) + 1;
    return repeat;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static gr_tensor *numbers(gr_ctx *c, int64_t rows, int64_t columns)
{
    gr_tensor *x = gr_rand(c, GR_SHAPE(rows, columns));
    return gr_data(x) ? x : NULL;
}

static const char *name_of(const shape *s, char *name, size_t size)
{
    snprintf(name, size, "%d x %d x %d %s", (int)s->m, (int)s->k, (int)s->n, s->layout);
    return name;
}

/* One row: GFLOP/s of each, the median over the rounds, then the quartiles of time(peer) / time(ours), round by round. */
static void row(const shape *s, const library *l, int n, int rounds, bool wall)
{
    static double time[LIBRARIES][MAX_ROUNDS];
    double ratio[MAX_ROUNDS];
    gr_scope *scope[LIBRARIES];
    matrices x[LIBRARIES];
    const bool ta = s->layout[0] == 'T', tb = s->layout[1] == 'T';
    float *want = malloc((size_t)(s->m * s->n) * sizeof *want);
    for (int i = 0; i < n; i++) {
        gr_ctx *c = l[i].c;
        x[i] = x[0];
        if (!c) continue;
        scope[i] = gr_scope_begin(c);
        x[i] = (matrices){ numbers(c, ta ? s->k : s->m, ta ? s->m : s->k), numbers(c, tb ? s->n : s->k, tb ? s->k : s->n), numbers(c, s->m, s->n) };
    }
    int64_t repeat[LIBRARIES];
    for (int i = 0; i < n; i++) repeat[i] = prepare(&l[i], s, &x[i], want, i == 0);
    for (int q = 0; q < rounds; q++) {
        for (int i = 0; i < n; i++) time[i][q] = slice(&l[i], s, &x[i], repeat[i], wall);
        for (int i = n - 1; i >= 0; i--) time[i][q] += slice(&l[i], s, &x[i], repeat[i], wall);
    }
    char name[64];
    printf("| %-22s ", name_of(s, name, sizeof name));
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
    for (int i = 0; i < n; i++)
        if (l[i].c) gr_scope_end(scope[i]);
    free(want);
}

int gemm_main(int rounds, int threads, char **only, int count)
{
    library l[LIBRARIES];
    const int n = load(l, threads);
    rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
    printf("\n| %-22s ", "m x k x n, f32");
    for (int i = 1; i < n; i++) printf("| %s GFLOP/s | its time / ours ", l[i].name);
    printf("| gradus (%s), threads: %d, GFLOP/s |\n|", gr__kernels()->isa, threads);
    for (int i = 0; i < 2 * n; i++) printf("---|");
    puts("");
    for (const shape *s = shapes; s < shapes + sizeof shapes / sizeof *shapes; s++) {
        char name[64];
        bool wanted = count == 0;
        name_of(s, name, sizeof name);
        for (int i = 0; i < count; i++) wanted |= strcmp(name, only[i]) == 0;
        if (wanted) row(s, l, n, rounds, threads > 1);
    }
    for (int i = 0; i < n; i++) gr_ctx_free(l[i].c);
    return 0;
}
