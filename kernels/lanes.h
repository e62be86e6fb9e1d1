/* Vectors of one element type, T of suffix S and its integer of the same size I: as wide as the instruction set has them, whole or in part. PANEL of them are LANES
 * elements, 256 bytes on every instruction set: what is summed in lanes is summed in one order. No include guard: it is included
 * once for each type, and leaves S_vec, S_W, S_LANES and the functions S_... below.
 * SPDX-License-Identifier: MIT */
#ifndef GR_LANES_ONCE
#define GR_LANES_ONCE
#include "kernels/isa.h"

#define N2(a, b) a##_##b
#define N(a, b) N2(a, b)
#define INLINE static inline __attribute__((always_inline))
#define APART __attribute__((noinline))
#define UNROLL _Pragma("GCC unroll 16")
enum { PANEL = 256 / VECTOR_BYTES };

#if defined(__AVX512F__)
#include <immintrin.h>
#define FIRST(n) ((1u << (n)) - 1)
#define LOAD_FIRST_f32(p, n, rest) ((f32_vec)_mm512_mask_loadu_ps((__m512)(rest), (__mmask16)FIRST(n), p))
#define LOAD_FIRST_f64(p, n, rest) ((f64_vec)_mm512_mask_loadu_pd((__m512d)(rest), (__mmask8)FIRST(n), p))
#define STORE_FIRST_f32(p, n, v) _mm512_mask_storeu_ps(p, (__mmask16)FIRST(n), (__m512)(v))
#define STORE_FIRST_f64(p, n, v) _mm512_mask_storeu_pd(p, (__mmask8)FIRST(n), (__m512d)(v))
#define LARGER_f32(a, b) ((f32_vec)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define LARGER_f64(a, b) ((f64_vec)_mm512_max_pd((__m512d)(a), (__m512d)(b)))
#define SMALLER_f32(a, b) ((f32_vec)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define SMALLER_f64(a, b) ((f64_vec)_mm512_min_pd((__m512d)(a), (__m512d)(b)))
#elif defined(__AVX2__)
#include <immintrin.h>
static const int32_t first_mask_[16] = { -1, -1, -1, -1, -1, -1, -1, -1 }; /* n from entry 8 - n are set */
#define FIRST(n) _mm256_loadu_si256((const __m256i *)(const void *)(first_mask_ + 8 - (n)))
#define LOAD_FIRST_f32(p, n, rest) ((f32_vec)_mm256_blendv_ps((__m256)(rest), _mm256_maskload_ps(p, FIRST(n)), _mm256_castsi256_ps(FIRST(n))))
#define LOAD_FIRST_f64(p, n, rest) ((f64_vec)_mm256_blendv_pd((__m256d)(rest), _mm256_maskload_pd(p, FIRST(2 * (n))), _mm256_castsi256_pd(FIRST(2 * (n)))))
#define STORE_FIRST_f32(p, n, v) _mm256_maskstore_ps(p, FIRST(n), (__m256)(v))
#define STORE_FIRST_f64(p, n, v) _mm256_maskstore_pd(p, FIRST(2 * (n)), (__m256d)(v))
#define LARGER_f32(a, b) ((f32_vec)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define LARGER_f64(a, b) ((f64_vec)_mm256_max_pd((__m256d)(a), (__m256d)(b)))
#define SMALLER_f32(a, b) ((f32_vec)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define SMALLER_f64(a, b) ((f64_vec)_mm256_min_pd((__m256d)(a), (__m256d)(b)))
#endif
#endif

#define vec N(S, vec)
#define mask N(S, mask)
#define W N(S, W)
#define LANES N(S, LANES)
typedef T vec __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));
typedef I mask __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias)); /* all bits of a lane, or none */
enum { W = VECTOR_BYTES / (int)sizeof(T), LANES = PANEL * W };

INLINE vec N(S, all)(T x) { return x - (vec){ 0 }; }
INLINE vec N(S, load)(const T *p) { return *(const vec *)p; }
INLINE void N(S, store)(T *p, vec v) { *(vec *)p = v; }
/* where m is set a, elsewhere b */
INLINE vec N(S, choose)(mask m, vec a, vec b) { return (vec)((m & (mask)a) | (~m & (mask)b)); }

/* The first n < W lanes, the others as in rest; memory beyond n is not touched. */
INLINE vec N(S, load_first)(const T *p, int64_t n, vec rest)
{
#ifdef __AVX2__
    return N(LOAD_FIRST, S)(p, n, rest);
#else
    for (int64_t k = 0; k < n; k++) rest[k] = p[k];
    return rest;
#endif
}
INLINE void N(S, store_first)(T *p, int64_t n, vec v)
{
#ifdef __AVX2__
    N(STORE_FIRST, S)(p, n, v);
#else
    for (int64_t k = 0; k < n; k++) p[k] = v[k];
#endif
}

/* a > b ? a : b and a < b ? a : b: b where one is a NaN */
INLINE vec N(S, larger_of)(vec a, vec b)
{
#ifdef __AVX2__
    return N(LARGER, S)(a, b);
#else
    return N(S, choose)(a > b, a, b);
#endif
}
INLINE vec N(S, smaller_of)(vec a, vec b)
{
#ifdef __AVX2__
    return N(SMALLER, S)(a, b);
#else
    return N(S, choose)(a < b, a, b);
#endif
}

#undef vec
#undef mask
#undef W
#undef LANES
