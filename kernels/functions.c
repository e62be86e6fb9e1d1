/* Element-wise functions whose value is a polynomial or two: whole vectors by hand, where the machine has instructions that the
 * compiler does not find in a loop of numbers. Knows no shape.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"
#include "kernels/vmath.h"

/* Two vectors at a time, since one does not fill the machine. */
#define FUNCTION(S, T, V, name)                                                                                      \
    static void S##_##name(int64_t n, char *const *p)                                                                \
    {                                                                                                                \
        T *y = (T *)(void *)p[0];                                                                                    \
        const T *x = (const T *)(const void *)p[1];                                                                  \
        for (; n >= 2 * S##_W; n -= 2 * S##_W, x += 2 * S##_W, y += 2 * S##_W) {                                     \
            const S##_vec u = V##_##name(S##_load(x)), v = V##_##name(S##_load(x + S##_W));                          \
            S##_store(y, u), S##_store(y + S##_W, v);                                                                \
        }                                                                                                            \
        for (; n > 0; n -= S##_W, x += S##_W, y += S##_W) S##_put(y, n, V##_##name(S##_take(x, n, S##_all(1))));     \
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
