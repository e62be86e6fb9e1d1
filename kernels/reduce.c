/* Accumulating reductions: y[i, j] = y[i, j] op x[i, j], where y does not move along what is reduced.
 *
 *   along rows     y[i]: LANES partial results of every LANES-th element each, folded by halves
 *   across rows    y[j]: one partial result for each column, a block of rows at a time; short rows that lie one after the other
 *                  are taken several together as one long row, whose partial results are then reduced once more
 *
 * The order of the operations follows from the sizes alone. A partial sum has at most 64 addends, a fold 8 more, the rest is
 * summed in double: of f32 the error stays below 128 ulp of the sum of magnitudes for any size.
 * Knows no tensor.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"
#include "kernels/lanes.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 64, /* addends of a lane */
       ROWS = 16,  /* read together: as many as the machine prefetches streams */
       BESIDE = 4, /* vectors of each of them: sums that do not wait for each other */
       TILE = 512, /* columns of which partial results are kept */
       SHORT = 64  /* elements that several short rows are taken together to */ };

#define SUM(x, a) ((a) + (x))
#define PROD(x, a) ((a) * (x))
#define MAX(a, b) ((a) < (b) || (b) != (b) ? (b) : (a)) /* a NaN in b wins, and one in a stays */
#define MIN(a, b) ((a) > (b) || (b) != (b) ? (b) : (a))
#define LARGER_OF(x, a) ((x) > (a) ? (x) : (a))
#define SMALLER_OF(x, a) ((x) < (a) ? (x) : (a))
static double sum_of(double a, double b) { return SUM(a, b); }
static double prod_of(double a, double b) { return PROD(a, b); }
static double max_of(double a, double b) { return MAX(a, b); }
static double min_of(double a, double b) { return MIN(a, b); }

#define BODY "kernels/reduce_body.h"
#include "kernels/own_types.h"

#ifdef OWN_INTEGERS
/* Integers: exact in any order. Overflow wraps. */
#define REDUCE_I64(name, combine)                                                                                    \
    static void i64_##name(int64_t m, int64_t n, const void *x_, const int64_t xs[2], void *y_, const int64_t ys[2]) \
    {                                                                                                                \
        for (int64_t i = 0; i < m; i++) {                                                                            \
            const int64_t *x = (const int64_t *)x_ + i * xs[0];                                                      \
            int64_t *y = (int64_t *)y_ + i * ys[0], a = *y;                                                          \
            if (ys[1] == 0) {                                                                                        \
                for (int64_t j = 0; j < n; j++) a = combine(a, x[j * xs[1]]);                                        \
                *y = a;                                                                                              \
            } else {                                                                                                 \
                for (int64_t j = 0; j < n; j++) y[j * ys[1]] = combine(y[j * ys[1]], x[j * xs[1]]);                  \
            }                                                                                                        \
        }                                                                                                            \
    }
#define PLUS(a, b) (int64_t)((uint64_t)(a) + (uint64_t)(b))
#define TIMES(a, b) (int64_t)((uint64_t)(a) * (uint64_t)(b))
#define LARGER(a, b) ((a) > (b) ? (a) : (b))
#define SMALLER(a, b) ((a) < (b) ? (a) : (b))
REDUCE_I64(sum, PLUS)
REDUCE_I64(prod, TIMES)
REDUCE_I64(max, LARGER)
REDUCE_I64(min, SMALLER)
#endif

void FOR_ISA(gr__fill_reduce)(gr_kernel_table *t)
{
#define ROW(name) SET_FLOATS(reduce[GR_REDUCE_##name], name);
    ROW(sum) ROW(prod) ROW(max) ROW(min)
#undef ROW
#ifdef OWN_INTEGERS
#define ROW(name) t->reduce[GR_REDUCE_##name][GR_K_I64] = i64_##name;
    ROW(sum) ROW(prod) ROW(max) ROW(min)
#undef ROW
#endif
}
