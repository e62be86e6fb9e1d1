/* Elementary functions in f32: our kernels against the vector functions of glibc (libmvec) and of SLEEF, loaded into one process
 * and called in turn on numbers that stay in the first cache, each with the largest error seen.
 * SPDX-License-Identifier: MIT */
#include "tests/bench/bench.h"
#include "kernels/kernels.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 2048, REPEAT = 400, MAX_ROUNDS = 101, PEERS = 3 };
static const char *const peers[PEERS] = { "libmvec", "SLEEF, 1 ulp", "SLEEF, 3.5 ulp" };

typedef struct function {
    const char *name;
    int kernel;
    double (*exact)(double);
    double low, high; /* of the arguments */
} function;
static const function functions[] = {
    { "exp", GR_EW_exp, exp, -80, 80 },     { "log", GR_EW_log, log, 1e-3, 1e3 },      { "tanh", GR_EW_tanh, tanh, -5, 5 },
    { "sin", GR_EW_sin, sin, -30, 30 },     { "cos", GR_EW_cos, cos, -30, 30 },        { "erf", GR_EW_erf, erf, -3, 3 },
    { "expm1", GR_EW_expm1, expm1, -3, 3 }, { "log1p", GR_EW_log1p, log1p, -0.9, 10 }, { "pow", GR_EW_pow, NULL, 0.1, 8 },
};

#ifdef __x86_64__
typedef float v8 __attribute__((vector_size(32)));
typedef float v16 __attribute__((vector_size(64)));

/* y = f(x, z), of one argument or two: vectors in registers, as a compiler would call them */
__attribute__((target("avx2"))) static void loop8(void *f, bool two, const float *x, const float *z, float *y)
{
    v8 (*one)(v8), (*both)(v8, v8);
    memcpy(&one, &f, sizeof f), memcpy(&both, &f, sizeof f);
    for (int i = 0; i < N; i += 8) *(v8 *)(void *)(y + i) = two ? both(*(const v8 *)(const void *)(x + i), *(const v8 *)(const void *)(z + i)) : one(*(const v8 *)(const void *)(x + i));
}
__attribute__((target("avx512f"))) static void loop16(void *f, bool two, const float *x, const float *z, float *y)
{
    v16 (*one)(v16), (*both)(v16, v16);
    memcpy(&one, &f, sizeof f), memcpy(&both, &f, sizeof f);
    for (int i = 0; i < N; i += 16) *(v16 *)(void *)(y + i) = two ? both(*(const v16 *)(const void *)(x + i), *(const v16 *)(const void *)(z + i)) : one(*(const v16 *)(const void *)(x + i));
}
/* the function of a peer for the vectors that our kernels use; NULL where it has none */
static void *peer_of(const function *f, int peer)
{
    static void *so[2];
    const bool wide = strcmp(gr__kernels()->isa, "avx512") == 0;
    char name[64];
    if (!wide && strcmp(gr__kernels()->isa, "avx2") != 0) return NULL;
    if (!so[0]) so[0] = dlopen("libmvec.so.1", RTLD_NOW), so[1] = dlopen("libsleef.so.3", RTLD_NOW);
    if (peer == 0) snprintf(name, sizeof name, "_ZGV%sv%s_%sf", wide ? "eN16" : "dN8", f->exact ? "" : "v", f->name);
    else snprintf(name, sizeof name, "Sleef_%sf%s_u%s", f->name, wide ? "16" : "8", peer == 1 ? "10" : "35");
    return so[peer > 0] ? dlsym(so[peer > 0], name) : NULL;
}
static void run_peer(void *f, bool two, const float *x, const float *z, float *y)
{
    (strcmp(gr__kernels()->isa, "avx512") == 0 ? loop16 : loop8)(f, two, x, z, y);
}
#else
static void *peer_of(const function *f, int peer) { return (void)f, (void)peer, NULL; }
static void run_peer(void *f, bool two, const float *x, const float *z, float *y) { (void)f, (void)two, (void)x, (void)z, (void)y; }
#endif

static double slice(const function *f, void *peer, float *x, float *z, float *y)
{
    const bench_time start = bench_now();
    for (int k = 0; k < REPEAT; k++) {
        if (peer) run_peer(peer, !f->exact, x, z, y);
        else gr__kernels()->ew[f->kernel][GR_K_F32](N, (char *[]){ (char *)y, (char *)x, (char *)z });
    }
    return (bench_now().cpu - start.cpu) / REPEAT / N;
}
static double error(const function *f, const float *x, const float *z, const float *y)
{
    double worst = 0;
    for (int i = 0; i < N; i++) {
        const double exact = f->exact ? f->exact((double)x[i]) : pow((double)x[i], (double)z[i]);
        int e;
        frexp(exact, &e);
        worst = fmax(worst, fabs((double)y[i] - exact) / ldexp(1, e - 24));
    }
    return worst;
}
static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, ascending);
    return x[n / 2];
}
static void row(const function *f, int rounds)
{
    static _Alignas(64) float x[N], z[N], y[N];
    static double time[PEERS + 1][MAX_ROUNDS];
    void *call[PEERS + 1] = { NULL }; /* the first are we */
    double worst[PEERS + 1];
    for (int i = 0; i < N; i++) x[i] = (float)(f->low + (f->high - f->low) * (i * 7919 % N + 0.3) / N), z[i] = (float)(i % 101 - 50) / 13;
    for (int p = 0; p <= PEERS; p++) {
        if (p && !(call[p] = peer_of(f, p - 1))) continue;
        slice(f, call[p], x, z, y);
        worst[p] = error(f, x, z, y);
    }
    for (int q = 0; q < rounds; q++)
        for (int p = 0; p <= PEERS; p++)
            if (!p || call[p]) time[p][q] = slice(f, call[p], x, z, y);
    printf("| %s ", f->name);
    for (int p = 1; p <= PEERS; p++) {
        double ratio[MAX_ROUNDS];
        for (int q = 0; q < rounds && call[p]; q++) ratio[q] = time[p][q] / time[0][q];
        if (call[p]) printf("| %.2f | %.1f ", median(ratio, rounds), worst[p]);
        else printf("| | ");
    }
    printf("| %.3f | %.1f |\n", 1e9 * median(time[0], rounds), worst[0]);
    fflush(stdout);
}

int functions_main(int rounds)
{
    rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
    printf("| function, f32 ");
    for (int p = 0; p < PEERS; p++) printf("| %s: its time / ours | ulp ", peers[p]);
    printf("| gradus (%s), ns | ulp |\n|---|", gr__kernels()->isa);
    for (int p = 0; p < 2 * PEERS + 2; p++) printf("---|");
    puts("");
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) row(&functions[i], rounds);
    return 0;
}
