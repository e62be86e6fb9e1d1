/* The loss of graph.c as a C programmer would write it for this one machine: no graph, one pass.
 * SPDX-License-Identifier: MIT */
#include "tests/bench/bench.h"
#include "kernels/isa.h"
#include "kernels/vmath.h"

#include <math.h>

/* The sum has 16 lanes, so that the compiler may use vectors. */
float fused_loss(int64_t n, const float *restrict p, const float *restrict t, float *restrict dp, float *restrict dt)
{
    enum { LANES = 16 };
    const float scale = 1 / (float)n;
    double total = 0;
    for (int64_t i = 0; i < n; i += 1024) {
        float lane[LANES] = { 0 };
        int64_t stop = n - i < 1024 ? n - i : 1024;
        for (int64_t j = i; j < i + stop; j++) {
            float e = p[j] - t[j], u = 1 + e * e, q = sqrtf(u), s = v32_logistic(e);
            dt[j] = s * (q - 1) + v32_log(u) * 0.5F;
            dp[j] = scale * (s * (1 - s) * (q - 1) + s * e / q + e / u);
        }
        for (int64_t j = 0; j + LANES <= stop; j += LANES)
            for (int64_t l = 0; l < LANES; l++) lane[l] += dt[i + j + l];
        for (int64_t j = stop / LANES * LANES; j < stop; j++) total += (double)dt[i + j];
        for (int l = 0; l < LANES; l++) total += (double)lane[l];
        for (int64_t j = i; j < i + stop; j++) dt[j] = -dp[j];
    }
    return (float)(total / (double)n);
}
