/* Matrix product c = a b, any strides for a and b.
 *
 * One tile kernel: MR x NR of c in registers; each step over k loads NV vectors of a row of b and multiplies them by one
 * number from each of MR rows of a. It reads a and b through strides, so the same kernel serves three plans:
 *
 *   dots      both contiguous along k, few columns or rows: vectors run along k and are summed at the end
 *   direct    the rows of b are contiguous, and it fits the second-level cache or a has few rows: nothing is packed
 *   blocked   KC rows of b are packed into panels of NR columns, MC rows of a into panels of MR rows, which the caches
 *             hold; packing reads through any strides, so transposes cost nothing
 *
 * A last panel narrower than NR is packed with zeros and its tile copied out of a buffer. Rows are split evenly, 64 into
 * 6 tiles of 10 and 11, rather than into full tiles and a thin rest. Every c[i, j] is summed over k in an order that
 * depends on the shape alone.
 * The body is included once for f32 and once for f64.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"

#include <string.h>

#define NV 2 /* vectors in a row of the tile */
#if VECTOR_BYTES == 64
#define MR 12 /* 24 accumulators + 2 of b + 1 of a of 32 registers */
#elif VECTOR_BYTES == 32
#define MR 6 /* 12 accumulators + 2 + 1 of 16 registers */
#else
#define MR 4 /* 8 accumulators of 16 registers */
#endif
#define KC 384        /* an NR x KC panel of b stays in the first-level cache beside one of a */
#define MC (MR * 16)  /* MC x KC of a in the second */
#define DIRECT 131072 /* elements of b up to which its rows are read in place: 512 KiB of f32 */

#define UNROLL _Pragma("GCC unroll 16")
static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

/* Rounds once where the machine can, twice where it cannot. */
#if defined(__AVX512F__)
#include <immintrin.h>
#define MULADD_f32(b, a, c) ((f32_vec)_mm512_fmadd_ps((__m512)(b), _mm512_set1_ps(a), (__m512)(c)))
#define MULADD_f64(b, a, c) ((f64_vec)_mm512_fmadd_pd((__m512d)(b), _mm512_set1_pd(a), (__m512d)(c)))
#define FUSED_f32(b, a, c) ((f32_vec)_mm512_fmadd_ps((__m512)(b), (__m512)(a), (__m512)(c)))
#define FUSED_f64(b, a, c) ((f64_vec)_mm512_fmadd_pd((__m512d)(b), (__m512d)(a), (__m512d)(c)))
#elif defined(__FMA__)
#include <immintrin.h>
#define MULADD_f32(b, a, c) ((f32_vec)_mm256_fmadd_ps((__m256)(b), _mm256_set1_ps(a), (__m256)(c)))
#define MULADD_f64(b, a, c) ((f64_vec)_mm256_fmadd_pd((__m256d)(b), _mm256_set1_pd(a), (__m256d)(c)))
#define FUSED_f32(b, a, c) ((f32_vec)_mm256_fmadd_ps((__m256)(b), (__m256)(a), (__m256)(c)))
#define FUSED_f64(b, a, c) ((f64_vec)_mm256_fmadd_pd((__m256d)(b), (__m256d)(a), (__m256d)(c)))
#else
#define MULADD_f32(b, a, c) ((c) + (b) * (a))
#define MULADD_f64(b, a, c) ((c) + (b) * (a))
#define FUSED_f32(b, a, c) ((c) + (b) * (a))
#define FUSED_f64(b, a, c) ((c) + (b) * (a))
#endif

#define T float
#define S f32
#define MULADD MULADD_f32
#define FUSED FUSED_f32
#include "kernels/gemm_body.h"
#undef T
#undef S
#undef MULADD
#undef FUSED
#define T double
#define S f64
#define MULADD MULADD_f64
#define FUSED FUSED_f64
#include "kernels/gemm_body.h"
#undef T
#undef S
#undef MULADD
#undef FUSED

static size_t scratch_bytes(int64_t m, int64_t n, int64_t k, int type)
{
    (void)m;
    int64_t size = type == GR_K_F32 ? 4 : 8;
    return (size_t)((MC * KC + round_up(n, NV * VECTOR_BYTES / size) * least(k, KC)) * size + 64);
}

void FOR_ISA(gr__fill_gemm)(gr_kernel_table *t)
{
    t->gemm[GR_K_F32] = f32_gemm, t->gemm[GR_K_F64] = f64_gemm;
    t->gemm_scratch = scratch_bytes;
}
