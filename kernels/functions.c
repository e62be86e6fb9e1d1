/* Element-wise functions whose value is a polynomial or two, and their derivatives: whole vectors by hand, where the machine has
 * instructions that the compiler does not find in a loop of numbers. Knows no shape.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"
#include "kernels/vmath.h"

#define BODY(name, value, d, reads)                                                                                  \
    static void N(S, name)(int64_t n, char *const *p)                                                                \
    {                                                                                                                \
        T *to = (T *)(void *)p[0];                                                                                   \
        const T *from = (const T *)(const void *)p[1];                                                               \
        for (int64_t i = 0; i < n; i += W) {                                                                         \
            const vec x = N(S, take)(from + i, n - i, N(S, all)(1));                                                 \
            N(S, put)(to + i, n - i, value);                                                                         \
        }                                                                                                            \
    }                                                                                                                \
    static void N(S, name##_dx)(int64_t n, char *const *p)                                                           \
    {                                                                                                                \
        T *to = (T *)(void *)p[0];                                                                                   \
        const T *g_ = (const T *)(const void *)p[1], *x_ = (const T *)(const void *)p[2], *y_ = (const T *)(const void *)p[3]; \
        for (int64_t i = 0; i < n; i += W) {                                                                         \
            const vec g = N(S, take)(g_ + i, n - i, N(S, all)(1)), x = N(S, take)(x_ + i, n - i, N(S, all)(1));      \
            const vec y = N(S, take)(y_ + i, n - i, N(S, all)(1));                                                   \
            (void)x, (void)y;                                                                                        \
            N(S, put)(to + i, n - i, N(S, choose)(g == 0, N(S, all)(0), g * (d)));                                   \
        }                                                                                                            \
    }

#define vec N(S, vec)
#define W N(S, W)
#define T float
#define S f32
#define V(f) vv32_##f
GR_EW_FUNCTIONS(BODY)
#undef T
#undef S
#undef V
#define T double
#define S f64
#define V(f) vv64_##f
GR_EW_FUNCTIONS(BODY)

void FOR_ISA(gr__fill_functions)(gr_kernel_table *t)
{
#define SET(name) t->ew[GR_EW_##name][GR_K_F32] = f32_##name, t->ew[GR_EW_##name][GR_K_F64] = f64_##name;
#define ROW(name, y, d, read) SET(name) SET(name##_dx) t->reads[GR_EW_##name##_dx] = 1 + 2 * GR_READS_##read;
    GR_EW_FUNCTIONS(ROW)
}
