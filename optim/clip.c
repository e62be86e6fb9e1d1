/* Gradients made smaller before a step.
 * Knows no rule and no optimiser.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"
#include "optim/optim.h"

#include <math.h>

static bool ready(gr_params p, const char *who, double max)
{
    if (gr_failed(p.ctx)) return false;
    if (max >= 0) return true;
    gr_fail(p.ctx, GR_EVALUE, "%s: the bound is %g. Fix: give a number of at least 0", who, max);
    return false;
}

/* Sum of squares in double, in as many partial sums as keep an adder busy; their order is fixed. */
#define LANES 8
#define CLIP(T)                                                                                                      \
    static double squares_##T(int64_t n, const T *g)                                                                 \
    {                                                                                                                \
        double part[LANES] = { 0 }, sum = 0;                                                                         \
        int64_t i = 0;                                                                                               \
        for (; i + LANES <= n; i += LANES)                                                                           \
            for (int k = 0; k < LANES; k++) part[k] += (double)g[i + k] * (double)g[i + k];                          \
        for (; i < n; i++) sum += (double)g[i] * (double)g[i];                                                       \
        for (int k = 0; k < LANES; k++) sum += part[k];                                                              \
        return sum;                                                                                                  \
    }                                                                                                                \
    static void scale_##T(int64_t n, T *g, T by)                                                                     \
    {                                                                                                                \
        for (int64_t i = 0; i < n; i++) g[i] *= by;                                                                  \
    }                                                                                                                \
    static void bound_##T(int64_t n, T *g, T max)                                                                    \
    {                                                                                                                \
        for (int64_t i = 0; i < n; i++) g[i] = g[i] > max ? max : g[i] < -max ? -max : g[i];                         \
    }
CLIP(float)
CLIP(double)

double gr_clip_grad_norm(gr_params p, double max)
{
    if (!ready(p, "gr_clip_grad_norm", max)) return (double)NAN;
    double sum = 0;
    for (int i = 0; i < p.n; i++) {
        gr_tensor *g = gr_grad(p.tensors[i]);
        if (g) sum += g->dtype == GR_F32 ? squares_float(g->numel, gr_data(g)) : squares_double(g->numel, gr_data(g));
    }
    double norm = sqrt(sum), by = max / (norm + 1e-6); /* so that no gradient divides by 0 */
    if (by >= 1) return norm;
    for (int i = 0; i < p.n; i++) {
        gr_tensor *g = gr_grad(p.tensors[i]);
        if (!g) continue;
        if (g->dtype == GR_F32) scale_float(g->numel, gr_data(g), (float)by);
        else scale_double(g->numel, gr_data(g), by);
        gr_touch(g, "gr_clip_grad_norm");
    }
    return norm;
}

bool gr_clip_grad_value(gr_params p, double max)
{
    if (!ready(p, "gr_clip_grad_value", max)) return false;
    for (int i = 0; i < p.n; i++) {
        gr_tensor *g = gr_grad(p.tensors[i]);
        if (!g) continue;
        if (g->dtype == GR_F32) bound_float(g->numel, gr_data(g), (float)max);
        else bound_double(g->numel, gr_data(g), max);
        gr_touch(g, "gr_clip_grad_value");
    }
    return !gr_failed(p.ctx);
}
