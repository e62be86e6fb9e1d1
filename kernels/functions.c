/* Element-wise functions whose value is a polynomial or two, and their derivatives: whole vectors by hand, where the machine has
 * instructions that the compiler does not find in a loop of numbers. Knows no shape.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"
#include "kernels/vmath.h"

#define OPERAND(x, k) const vec x = N(S, take)(at[k] + i, n - i, N(S, all)(1))
#define LOOP(count, operands, value)                                                                                 \
    {                                                                                                                \
        T *const to = (T *)(void *)p[0], *at[count];                                                                 \
        UNROLL for (int k = 1; k < count; k++) at[k] = (T *)(void *)p[k];                                            \
        for (int64_t i = 0; i < n; i += W) {                                                                         \
            operands;                                                                                                \
            N(S, put)(to + i, n - i, value);                                                                         \
        }                                                                                                            \
    }
#define UNARY(name, value, d, reads)                                                                                 \
    static void N(S, name)(int64_t n, char *const *p) LOOP(2, OPERAND(x, 1), value)                                  \
    static void N(S, name##_dx)(int64_t n, char *const *p)                                                           \
        LOOP(4, OPERAND(g, 1); OPERAND(x, 2); OPERAND(y, 3); (void)x; (void)y, V(absorb)(g, d))
#define BINARY_D(name, d)                                                                                            \
    static void N(S, name)(int64_t n, char *const *p)                                                                \
        LOOP(5, OPERAND(g, 1); OPERAND(a, 2); OPERAND(b, 3); OPERAND(y, 4); (void)a; (void)b; (void)y, V(absorb)(g, d))
#define BINARY(name, value, da, reads_a, db, reads_b)                                                                \
    static void N(S, name)(int64_t n, char *const *p) LOOP(3, OPERAND(a, 1); OPERAND(b, 2), value)                  \
    BINARY_D(name##_da, da) BINARY_D(name##_db, db)

#define vec N(S, vec)
#define W N(S, W)
#define T float
#define S f32
#define V(f) vv32_##f
GR_EW_FUNCTIONS(UNARY)
GR_EW_BINARY_FUNCTIONS(BINARY)
#undef T
#undef S
#undef V
#ifdef OWN_F64
#define T double
#define S f64
#define V(f) vv64_##f
GR_EW_FUNCTIONS(UNARY)
GR_EW_BINARY_FUNCTIONS(BINARY)
#endif

void FOR_ISA(gr__fill_functions)(gr_kernel_table *t)
{
#define SET(name) SET_FLOATS(ew[GR_EW_##name], name);
#define DERIVATIVE(name, read) SET(name) t->reads[GR_EW_##name] = 1 + 2 * GR_READS_##read;
#define ROW(name, y, d, reads) SET(name) DERIVATIVE(name##_dx, reads)
    GR_EW_FUNCTIONS(ROW)
#undef ROW
#define ROW(name, y, da, reads_a, db, reads_b) SET(name) DERIVATIVE(name##_da, reads_a) DERIVATIVE(name##_db, reads_b)
    GR_EW_BINARY_FUNCTIONS(ROW)
}
