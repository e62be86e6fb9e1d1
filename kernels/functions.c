/* Element-wise functions whose value is a polynomial or two, and their derivatives: whole vectors by hand, where the machine has
 * instructions that the compiler does not find in a loop of numbers. Knows no shape.
 * SPDX-License-Identifier: MIT */
#include "kernels/block.h"
#include "kernels/vmath.h"

enum { MOST = 5 }; /* operands, the result included */

/* A loop knows whole vectors alone; elements from `from` to n, less than a vector of them, are put into one of their own. */
#define REST                                                                                                         \
    static APART void N(S, rest)(gr_ew_fn *fn, int count, unsigned reads, int64_t from, int64_t n, char *const *p)   \
    {                                                                                                                \
        T room[MOST][W];                                                                                             \
        char *q[MOST];                                                                                               \
        for (int k = 0; k < count; k++) {                                                                            \
            q[k] = (char *)room[k];                                                                                  \
            if (k && reads >> (k - 1) & 1)                                                                           \
                N(S, store)(room[k], N(S, load_first)((const T *)(const void *)p[k] + from, n - from, N(S, all)(1))); \
        }                                                                                                            \
        fn(W, q);                                                                                                    \
        N(S, store_first)((T *)(void *)p[0] + from, n - from, N(S, load)(room[0]));                                  \
    }
#define OPERAND(x, k)                                                                                                \
    vec x = N(S, load)(at[k] + i);                                                                                   \
    HOLD(x)
#define LOOP(name, count, reads, operands, value)                                                                    \
    static void N(S, name)(int64_t n, char *const *p)                                                                \
    {                                                                                                                \
        const int64_t whole = n & -W;                                                                                \
        T *const to = (T *)(void *)p[0], *at[count];                                                                 \
        UNROLL for (int k = 1; k < count; k++) at[k] = (T *)(void *)p[k];                                            \
        for (int64_t i = 0; i < whole; i += W) {                                                                     \
            operands;                                                                                                \
            N(S, store)(to + i, value);                                                                              \
        }                                                                                                            \
        if (whole < n) N(S, rest)(N(S, name), count, reads, whole, n, p);                                            \
    }
#define UNARY(name, value, d, reads)                                                                                 \
    LOOP(name, 2, 1, OPERAND(x, 1), value)                                                                           \
    LOOP(name##_dx, 4, 1 + 2 * GR_READS_##reads, OPERAND(g, 1); OPERAND(x, 2); OPERAND(y, 3); (void)x; (void)y, V(absorb)(g, d))
#define BINARY_D(name, d, reads)                                                                                     \
    LOOP(name, 5, 1 + 2 * GR_READS_##reads, OPERAND(g, 1); OPERAND(a, 2); OPERAND(b, 3); OPERAND(y, 4); (void)a; (void)b; (void)y, \
         V(absorb)(g, d))
#define BINARY(name, value, da, reads_a, db, reads_b)                                                                \
    LOOP(name, 3, 3, OPERAND(a, 1); OPERAND(b, 2), value)                                                            \
    BINARY_D(name##_da, da, reads_a) BINARY_D(name##_db, db, reads_b)

#define vec N(S, vec)
#define W N(S, W)
#define T float
#define S f32
#define V(f) vv32_##f
REST
GR_EW_FUNCTIONS(UNARY)
GR_EW_BINARY_FUNCTIONS(BINARY)
#undef T
#undef S
#undef V
#ifdef OWN_F64
#define T double
#define S f64
#define V(f) vv64_##f
REST
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
