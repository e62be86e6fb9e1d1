/* A training step of a 784-64-10 network as a C programmer would write it over a BLAS library: no graph, nothing
 * allocated, four products and a few loops. A framework over the same library cannot be faster.
 * SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "tests/bench/bench.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef void sgemm_fn(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                      int ldb, float beta, float *c, int ldc);
enum { N = 64, IN = 784, HID = 64, OUT = 10, ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 };

static struct {
    float w1[IN * HID], b1[HID], w2[HID * OUT], b2[OUT];
    float dw1[IN * HID], db1[HID], dw2[HID * OUT], db2[OUT];
    float h[N * HID], dh[N * HID], z[N * OUT];
} s;

/* OpenBLAS, told as much of this processor as we know of it; NULL: not installed */
static sgemm_fn *openblas(void)
{
    static sgemm_fn *sgemm;
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
#ifdef __AVX512F__
    setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
#elif defined(__AVX2__)
    setenv("OPENBLAS_CORETYPE", "Haswell", 0);
#endif
    void *so = sgemm ? NULL : dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (so) *(void **)&sgemm = dlsym(so, "cblas_sgemm");
    return sgemm;
}

static void layer(sgemm_fn *sgemm, int in, int out, const float *x, const float *w, const float *restrict b, float *restrict y)
{
    sgemm(ROW_MAJOR, PLAIN, PLAIN, N, out, in, 1, x, in, w, out, 0, y, out);
    for (int i = 0; i < N * out; i += out)
        for (int j = 0; j < out; j++) y[i + j] += b[j];
}

/* dw and db from dy, and dx unless it is NULL */
static void layer_back(sgemm_fn *sgemm, int in, int out, const float *x, const float *w, const float *restrict dy, float *dw, float *restrict db, float *dx)
{
    sgemm(ROW_MAJOR, TRANSPOSED, PLAIN, in, out, N, 1, x, in, dy, out, 0, dw, out);
    if (dx) sgemm(ROW_MAJOR, PLAIN, TRANSPOSED, N, in, out, 1, dy, out, w, out, 0, dx, in);
    memset(db, 0, (size_t)out * sizeof *db);
    for (int i = 0; i < N * out; i += out)
        for (int j = 0; j < out; j++) db[j] += dy[i + j];
}

static void update(int n, float *restrict w, const float *restrict dw)
{
    for (int i = 0; i < n; i++) w[i] -= 1e-2F * dw[i];
}

bool mlp_by_hand(const float *x, const int64_t *labels)
{
    sgemm_fn *sgemm = openblas();
    if (!sgemm) return false;
    if (s.w1[0] == 0)
        for (int i = 0; i < IN * HID; i++) s.w1[i] = 0.03F * sinf((float)i + 1), s.w2[i % (HID * OUT)] = 0.1F * cosf((float)i);
    layer(sgemm, IN, HID, x, s.w1, s.b1, s.h);
    for (int i = 0; i < N * HID; i++) s.h[i] = s.h[i] > 0 ? s.h[i] : 0;
    layer(sgemm, HID, OUT, s.h, s.w2, s.b2, s.z);
    for (int i = 0; i < N; i++) { /* dz = (softmax(z) - one-hot) / N */
        float *z = s.z + i * OUT, most = z[0], sum = 0;
        for (int j = 1; j < OUT; j++) most = z[j] > most ? z[j] : most;
        for (int j = 0; j < OUT; j++) sum += z[j] = expf(z[j] - most);
        for (int j = 0; j < OUT; j++) z[j] = (z[j] / sum - (j == (int)labels[i] ? 1.0F : 0.0F)) / N;
    }
    layer_back(sgemm, HID, OUT, s.h, s.w2, s.z, s.dw2, s.db2, s.dh);
    for (int i = 0; i < N * HID; i++) s.dh[i] = s.h[i] > 0 ? s.dh[i] : 0;
    layer_back(sgemm, IN, HID, x, s.w1, s.dh, s.dw1, s.db1, NULL);
    update(IN * HID, s.w1, s.dw1), update(HID, s.b1, s.db1), update(HID * OUT, s.w2, s.dw2), update(OUT, s.b2, s.db2);
    return true;
}
