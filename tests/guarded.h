/* What the loops over kernels share: places in guarded memory, elements of each type, and how near they are.
 * Include after defining _GNU_SOURCE.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_TESTS_GUARDED_H
#define GRADUS_TESTS_GUARDED_H

#include "kernels/kernels.h"
#include "tests/guards.h"

#include <math.h>

#define MAX_N 70 /* 4 vectors of 64 bytes of f32, and a bit */

/* n elements against the right guard (offset < 0) or at an offset from the left one */
static inline char *place(guarded g, int64_t n, size_t size, int offset)
{
    return offset < 0 ? g.start + g.size - (size_t)n * size : g.start + (size_t)offset * size;
}

static const size_t type_size[] = { 1, 8, 4, 8 };

static inline double special(int64_t i)
{
    static const double v[] = { 0, -0.0, 1, -1, 0.5, -2.5, 1e-3, 3, 1e-40, INFINITY, -INFINITY, NAN, 700, -700, 20, -0.1 };
    return v[i % 16];
}

static inline void fill(char *p, int type, int64_t n, int64_t seed, bool tame)
{
    for (int64_t i = 0; i < n; i++) {
        double v = tame ? (double)((i * 37 + seed * 11) % 41) / 8 - 2.5 : special(i * 5 + seed);
        if (type == GR_K_F32) ((float *)(void *)p)[i] = (float)v;
        if (type == GR_K_F64) ((double *)(void *)p)[i] = v;
        if (type == GR_K_I64) ((int64_t *)(void *)p)[i] = (i * 7 + seed * 3) % 19 - 9;
        if (type == GR_K_BOOL) ((bool *)p)[i] = (i + seed) % 3 == 0;
    }
}

static inline double number(const char *p, int type, int64_t i)
{
    if (type == GR_K_F32) return (double)((const float *)(const void *)p)[i];
    return type == GR_K_F64 ? ((const double *)(const void *)p)[i] : (double)((const int64_t *)(const void *)p)[i];
}

static inline bool same(const char *a, const char *b, int type, int64_t i, double ulps)
{
    if (type == GR_K_BOOL) return a[i] == b[i];
    if (type == GR_K_I64) return ((const int64_t *)(const void *)a)[i] == ((const int64_t *)(const void *)b)[i];
    double x = type == GR_K_F32 ? (double)((const float *)(const void *)a)[i] : ((const double *)(const void *)a)[i];
    double y = type == GR_K_F32 ? (double)((const float *)(const void *)b)[i] : ((const double *)(const void *)b)[i];
    if (isnan(x) || isnan(y)) return isnan(x) && isnan(y);
    if (isinf(x) || isinf(y)) return x == y;
    return fabs(x - y) <= ulps * (type == GR_K_F32 ? 1.2e-7 * fmax(fabs(y), 1e-30) : 2.3e-16 * fmax(fabs(y), 1e-300));
}

#endif
