/* Vectors of floats: f32_vec and f64_vec are as wide as the instruction set has them, f32_load_first and the like take a part. PANEL
 * of them are f32_LANES elements, 256 bytes on every instruction set: what is summed in lanes is summed in one order.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_KERNELS_LANES_H
#define GRADUS_KERNELS_LANES_H
#include "kernels/isa.h"

#define N2(a, b) a##_##b
#define N(a, b) N2(a, b)
#define INLINE static inline __attribute__((always_inline))
#define APART __attribute__((noinline))
#define MAYBE_UNUSED __attribute__((unused))
#define UNROLL _Pragma("GCC unroll 16")
#if defined(__AVX2__) || defined(GR_NEON)
#define UNROLL_PANEL UNROLL
#define UNROLL_REST UNROLL
#else /* a panel is more vectors than registers, and in memory anyway; what is left of one is not worth the code */
#define UNROLL_PANEL _Pragma("GCC unroll 4")
#define UNROLL_REST
#endif
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
#define GATHER_f32(p, at) ((f32_vec)_mm512_i32gather_ps((__m512i)(at), p, 4))
#define GATHER_f64(p, at) ((f64_vec)_mm512_i64gather_pd((__m512i)(at), p, 8))
#define SMALLER_f32(a, b) ((f32_vec)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define SMALLER_f64(a, b) ((f64_vec)_mm512_min_pd((__m512d)(a), (__m512d)(b)))
#define TOTAL_f32(v) _mm512_reduce_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)(v))) + _mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)(v), 1)))
#define TOTAL_f64(v) _mm512_reduce_add_pd((__m512d)(v))
#define LARGEST_f32(v) _mm512_reduce_max_ps((__m512)(v))
#define LARGEST_f64(v) _mm512_reduce_max_pd((__m512d)(v))
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
#define GATHER_f32(p, at) ((f32_vec)_mm256_i32gather_ps(p, (__m256i)(at), 4))
#define GATHER_f64(p, at) ((f64_vec)_mm256_i64gather_pd((const double *)(p), (__m256i)(at), 8))
#define SMALLER_f32(a, b) ((f32_vec)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define SMALLER_f64(a, b) ((f64_vec)_mm256_min_pd((__m256d)(a), (__m256d)(b)))
INLINE double total_of_4(__m256d v)
{
    const __m128d half = _mm256_castpd256_pd128(v) + _mm256_extractf128_pd(v, 1);
    return half[0] + half[1];
}
INLINE double largest_of_4(__m256d v)
{
    const __m128d half = _mm_max_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
    return _mm_cvtsd_f64(_mm_max_pd(half, _mm_permute_pd(half, 1)));
}
INLINE float largest_of_8(__m256 v)
{
    const __m128 half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)), two = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ps(two, _mm_movehdup_ps(two)));
}
#define TOTAL_f32(v) total_of_4(_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)(v))) + _mm256_cvtps_pd(_mm256_extractf128_ps((__m256)(v), 1)))
#define TOTAL_f64(v) total_of_4((__m256d)(v))
#define LARGEST_f32(v) largest_of_8((__m256)(v))
#define LARGEST_f64(v) largest_of_4((__m256d)(v))
#endif

#define BODY "kernels/lanes_body.h"
#include "kernels/types.h"

/* fma(x, y, z) = x y + z, rounded once where the machine FUSES, else twice */
#if VECTOR_BYTES == 64
INLINE f32_vec f32_fma(f32_vec x, f32_vec y, f32_vec z) { return (f32_vec)_mm512_fmadd_ps((__m512)x, (__m512)y, (__m512)z); }
INLINE f64_vec f64_fma(f64_vec x, f64_vec y, f64_vec z) { return (f64_vec)_mm512_fmadd_pd((__m512d)x, (__m512d)y, (__m512d)z); }
#elif VECTOR_BYTES == 32
INLINE f32_vec f32_fma(f32_vec x, f32_vec y, f32_vec z) { return (f32_vec)_mm256_fmadd_ps((__m256)x, (__m256)y, (__m256)z); }
INLINE f64_vec f64_fma(f64_vec x, f64_vec y, f64_vec z) { return (f64_vec)_mm256_fmadd_pd((__m256d)x, (__m256d)y, (__m256d)z); }
#elif defined(GR_NEON)
INLINE f32_vec f32_fma(f32_vec x, f32_vec y, f32_vec z) { return (f32_vec)vfmaq_f32((float32x4_t)z, (float32x4_t)x, (float32x4_t)y); }
INLINE f64_vec f64_fma(f64_vec x, f64_vec y, f64_vec z) { return (f64_vec)vfmaq_f64((float64x2_t)z, (float64x2_t)x, (float64x2_t)y); }
#else
INLINE f32_vec f32_fma(f32_vec x, f32_vec y, f32_vec z) { return x * y + z; }
INLINE f64_vec f64_fma(f64_vec x, f64_vec y, f64_vec z) { return x * y + z; }
#endif

#endif
