/* Element-wise functions whose value is a polynomial or two: whole vectors by hand, where the machine has instructions that the
 * compiler does not find in a loop of numbers. They stand in the rows of the table of elementwise.c. Knows no shape.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"
#include "kernels/vmath.h"

/* Two vectors at a time, since one does not fill the machine; then one, or a part of one, from and to wherever the elements are. */
#define FUNCTION(S, T, V, name)                                                                                      \
    static void S##_##name(int64_t n, char *const *p)                                                                \
    {                                                                                                                \
        T *y = (T *)(void *)p[0], part[S##_W] = { 0 };                                                               \
        const T *x = (const T *)(const void *)p[1];                                                                  \
        int64_t i = 0;                                                                                               \
        for (; i + 2 * S##_W <= n; i += 2 * S##_W) {                                                                 \
            const S##_vec u = V##_##name(S##_load(x + i)), v = V##_##name(S##_load(x + i + S##_W));                  \
            S##_store(y + i, u), S##_store(y + i + S##_W, v);                                                        \
        }                                                                                                            \
        for (; i < n; i += S##_W) {                                                                                  \
            const int some = n - i < S##_W ? (int)(n - i) : S##_W;                                                   \
            for (int k = 0; k < some; k++) part[k] = x[i + k];                                                       \
            S##_store(part, V##_##name(S##_load(part)));                                                             \
            for (int k = 0; k < some; k++) y[i + k] = part[k];                                                       \
        }                                                                                                            \
    }
#define FUNCTIONS(X) X(exp) X(log) X(tanh) X(logistic) X(expm1) X(log1p) X(erf) X(gelu) X(silu) X(softplus)
#define ROW(name) FUNCTION(f32, float, vv32, name) FUNCTION(f64, double, vv64, name)
FUNCTIONS(ROW)
#undef ROW

void FOR_ISA(gr__fill_functions)(gr_kernel_table *t)
{
#define GR_EW_logistic GR_EW_sigmoid
#define ROW(name) t->ew[GR_EW_##name][GR_K_F32] = f32_##name, t->ew[GR_EW_##name][GR_K_F64] = f64_##name;
    FUNCTIONS(ROW)
}
