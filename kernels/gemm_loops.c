/* The loops of a matrix product: tiles of c that stay in registers while k runs, dot products, and the packing of both factors.
 *
 * Each step of a tile loads NV vectors of a row of b and multiplies them by one number from each of MR rows of a, so NV + MR loads
 * feed MR NV multiply-adds. Two of them start in a cycle and each takes four, so 8 accumulators would do for the latency; as many
 * as there are registers make the loads few.
 *   AVX-512   14 x 2 = 28 accumulators + 2 of b + 1 of a of 32 registers
 *   AVX2       6 x 2 = 12              + 2      + 1      of 16
 *   NEON      12 x 2 = 24              + 2      + 1      of 32
 *   portable   4 x 2 =  8              + 2      + 1      of 16 with SSE
 * At the right edge masks stand for missing columns; nothing is padded, so 0 inf occurs only where it is meant.
 * Knows no plan: gemm.c says which tile comes next. The body is included once for f32 and once for f64.
 * SPDX-License-Identifier: MIT */
#include "kernels/block.h"
#include "kernels/gemm.h"

#define NV 2 /* vectors in a row of the tile */
#if VECTOR_BYTES == 64
#define MR 14
#define UP_TO_MR(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#elif VECTOR_BYTES == 32
#define MR 6
#define UP_TO_MR(X) X(1) X(2) X(3) X(4) X(5) X(6)
#elif defined(GR_NEON)
#define MR 12
#define UP_TO_MR(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#else
#define MR 4
#define UP_TO_MR(X) X(1) X(2) X(3) X(4)
#endif
#define CHUNK GR_GEMM_CHUNK
#define FEW GR_GEMM_FEW
#define DOTS GR_GEMM_DOTS
#define WIDE GR_GEMM_WIDE /* of one row: eight sums at a time hide the latency of the addition */
#define WIDE_FEW (VECTOR_BYTES == 64 ? 8 : 4) /* of two or three rows: 24 or 12 accumulators */
#define AHEAD 8           /* rows of b from which one is fetched until it is packed, or a row times b needs it, */
#define FETCH_ROWS (VECTOR_BYTES == 32) /* if half as wide a tile moves on by so little that the machine does not see where to */
#define EARLY 4           /* chunks before a row of c is needed: what comes from memory takes as long as one or two, sometimes four */


#define BODY "kernels/gemm_loops_body.h"
#include "kernels/types.h"

void FOR_ISA(gr__fill_gemm)(gr_kernel_table *t) { t->gemm[GR_K_F32] = f32_loops, t->gemm[GR_K_F64] = f64_loops; }
