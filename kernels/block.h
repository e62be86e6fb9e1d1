/* What products, convolutions and rows need beyond lanes.h: an edge (the first n elements of a vector) that is found once and used often,
 * and transposes of small blocks. f32_ and f64_ in turn.
 *
 * A vector is made of lanes of 16 bytes, LANE elements each, which most shuffles do not leave; so a block of W rows by LANE
 * columns is transposed by loading rows 0, LANE, 2 LANE.. into the lanes of one vector, the rows after them into the next,
 * and by shuffles inside lanes from there: 8 shuffles for 16 x 4 numbers of f32, where whole vectors take 16.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_KERNELS_BLOCK_H
#define GRADUS_KERNELS_BLOCK_H

#include "kernels/lanes.h"

enum { f32_LANE = 4, f64_LANE = 2 };
typedef float f32_lane __attribute__((vector_size(16), aligned(4), may_alias));
typedef double f64_lane __attribute__((vector_size(16), aligned(8), may_alias));
typedef float f32_half __attribute__((vector_size(8), aligned(4), may_alias));
typedef double f64_half __attribute__((vector_size(16), aligned(8), may_alias));

#if VECTOR_BYTES == 64
typedef __mmask16 f32_edge;
typedef __mmask8 f64_edge;
INLINE f32_edge f32_first(int64_t n) { return (f32_edge)(0xFFFF >> (16 - n)); }
INLINE f64_edge f64_first(int64_t n) { return (f64_edge)(0xFF >> (8 - n)); }
INLINE f32_vec f32_load_edge(const float *p, f32_edge m) { return (f32_vec)_mm512_maskz_loadu_ps(m, p); }
INLINE f64_vec f64_load_edge(const double *p, f64_edge m) { return (f64_vec)_mm512_maskz_loadu_pd(m, p); }
INLINE void f32_store_edge(float *p, f32_edge m, f32_vec x) { _mm512_mask_storeu_ps(p, m, (__m512)x); }
INLINE void f64_store_edge(double *p, f64_edge m, f64_vec x) { _mm512_mask_storeu_pd(p, m, (__m512d)x); }
#define EACH_LANE(X, n) X(0), X(n), X(2 * n), X(3 * n)
#define LOAD_LANES(a, b, c, d)                                                                                       \
    _mm512_insertf32x4(_mm512_insertf32x4(_mm512_insertf32x4(_mm512_castps128_ps512(LANE_AT(a)), LANE_AT(b), 1), LANE_AT(c), 2), LANE_AT(d), 3)
#define LANE_AT(p) _mm_loadu_ps((const float *)(const void *)(p))
#elif VECTOR_BYTES == 32
typedef __m256i f32_edge, f64_edge;
INLINE f32_edge f32_first(int64_t n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
INLINE f64_edge f64_first(int64_t n) { return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)); }
INLINE f32_vec f32_load_edge(const float *p, f32_edge m) { return (f32_vec)_mm256_maskload_ps(p, m); }
INLINE f64_vec f64_load_edge(const double *p, f64_edge m) { return (f64_vec)_mm256_maskload_pd(p, m); }
INLINE void f32_store_edge(float *p, f32_edge m, f32_vec x) { _mm256_maskstore_ps(p, m, (__m256)x); }
INLINE void f64_store_edge(double *p, f64_edge m, f64_vec x) { _mm256_maskstore_pd(p, m, (__m256d)x); }
#define EACH_LANE(X, n) X(0), X(n)
#define LOAD_LANES(a, b, c, d) _mm256_insertf128_ps(_mm256_castps128_ps256(LANE_AT(a)), LANE_AT(b), 1)
#define LANE_AT(p) _mm_loadu_ps((const float *)(const void *)(p))
#else
typedef int64_t f32_edge, f64_edge;
INLINE f32_edge f32_first(int64_t n) { return n; }
INLINE f64_edge f64_first(int64_t n) { return n; }
INLINE f32_vec f32_load_edge(const float *p, f32_edge m) { return (f32_vec){ p[0], m > 1 ? p[1] : 0, m > 2 ? p[2] : 0, m > 3 ? p[3] : 0 }; }
INLINE f64_vec f64_load_edge(const double *p, f64_edge m) { return (f64_vec){ p[0], m > 1 ? p[1] : 0 }; }
INLINE void f32_store_edge(float *p, f32_edge m, f32_vec x)
{
    for (int64_t i = 0; i < m; i++) p[i] = x[i];
}
INLINE void f64_store_edge(double *p, f64_edge m, f64_vec x)
{
    for (int64_t i = 0; i < m; i++) p[i] = x[i];
}
#define EACH_LANE(X, n) X(0)
#define LOAD_LANES(a, b, c, d) *(a)
#endif

/* fma(*x, y, z), with x straight from memory: the compiler would rather load a number once for all that need it. */
#if VECTOR_BYTES == 64
INLINE f32_vec f32_fma_at(const float *x, f32_vec y, f32_vec z)
{
    __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(z) : "v"(y), "m"(*x));
    return z;
}
INLINE f64_vec f64_fma_at(const double *x, f64_vec y, f64_vec z)
{
    __asm__("vfmadd231pd %2%{1to8%}, %1, %0" : "+v"(z) : "v"(y), "m"(*x));
    return z;
}
/* fma(x, y, z) in place of z: the compiler would rather have it in place of a factor that is needed no more, and move it back. */
INLINE f32_vec f32_fma_on(f32_vec x, f32_vec y, f32_vec z)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(z) : "v"(y), "v"(x));
    return z;
}
INLINE f64_vec f64_fma_on(f64_vec x, f64_vec y, f64_vec z)
{
    __asm__("vfmadd231pd %2, %1, %0" : "+v"(z) : "v"(y), "v"(x));
    return z;
}
#else
#define f32_fma_on f32_fma
#define f64_fma_on f64_fma
INLINE f32_vec f32_fma_at(const float *x, f32_vec y, f32_vec z) { return f32_fma(*x - (f32_vec){ 0 }, y, z); }
INLINE f64_vec f64_fma_at(const double *x, f64_vec y, f64_vec z) { return f64_fma(*x - (f64_vec){ 0 }, y, z); }
#endif

/* x stays in a register: else the compiler lets each multiply-add that needs it load it from memory. */
#if VECTOR_BYTES >= 32
#define HOLD(x) __asm__("" : "+v"(x))
#else
#define HOLD(x) (void)(x)
#endif

/* lane l of the result: LANE elements from k on of row[l LANE] */
INLINE f32_vec f32_lanes(const float *const *row, int64_t k)
{
#if VECTOR_BYTES == 16
    return *(const f32_vec *)(row[0] + k);
#else
    return (f32_vec)LOAD_LANES(row[0] + k, row[4] + k, row[8] + k, row[12] + k);
#endif
}
INLINE f64_vec f64_lanes(const double *const *row, int64_t k)
{
#if VECTOR_BYTES == 16
    return *(const f64_vec *)(row[0] + k);
#else
    return (f64_vec)LOAD_LANES(row[0] + k, row[2] + k, row[4] + k, row[6] + k);
#endif
}

/* In each lane, x[i][j] and x[j][i] change places. */
#define LOW1(i) i, i + f32_W, i + 1, i + 1 + f32_W
#define HIGH1(i) i + 2, i + 2 + f32_W, i + 3, i + 3 + f32_W
#define LOW2(i) i, i + 1, i + f32_W, i + 1 + f32_W
#define HIGH2(i) i + 2, i + 3, i + 2 + f32_W, i + 3 + f32_W
INLINE void f32_transpose(f32_vec x[4])
{
    const f32_vec p = __builtin_shufflevector(x[0], x[1], EACH_LANE(LOW1, 4)), q = __builtin_shufflevector(x[0], x[1], EACH_LANE(HIGH1, 4));
    const f32_vec r = __builtin_shufflevector(x[2], x[3], EACH_LANE(LOW1, 4)), s = __builtin_shufflevector(x[2], x[3], EACH_LANE(HIGH1, 4));
    x[0] = __builtin_shufflevector(p, r, EACH_LANE(LOW2, 4)), x[1] = __builtin_shufflevector(p, r, EACH_LANE(HIGH2, 4));
    x[2] = __builtin_shufflevector(q, s, EACH_LANE(LOW2, 4)), x[3] = __builtin_shufflevector(q, s, EACH_LANE(HIGH2, 4));
}
/* Element j of each lane: the sum of that lane of x[j]. */
INLINE f32_vec f32_fold(const f32_vec x[4])
{
    const f32_vec p = __builtin_shufflevector(x[0], x[1], EACH_LANE(LOW1, 4)) + __builtin_shufflevector(x[0], x[1], EACH_LANE(HIGH1, 4));
    const f32_vec q = __builtin_shufflevector(x[2], x[3], EACH_LANE(LOW1, 4)) + __builtin_shufflevector(x[2], x[3], EACH_LANE(HIGH1, 4));
    return __builtin_shufflevector(p, q, EACH_LANE(LOW2, 4)) + __builtin_shufflevector(p, q, EACH_LANE(HIGH2, 4));
}
#define EVEN(i) i, i + f64_W
#define ODD(i) i + 1, i + 1 + f64_W
INLINE void f64_transpose(f64_vec x[2])
{
    const f64_vec p = x[0];
    x[0] = __builtin_shufflevector(p, x[1], EACH_LANE(EVEN, 2)), x[1] = __builtin_shufflevector(p, x[1], EACH_LANE(ODD, 2));
}
INLINE f64_vec f64_fold(const f64_vec x[2])
{
    return __builtin_shufflevector(x[0], x[1], EACH_LANE(EVEN, 2)) + __builtin_shufflevector(x[0], x[1], EACH_LANE(ODD, 2));
}

/* The sum of the lanes; and the first n elements of it to p, all if n is more. */
#if VECTOR_BYTES == 64
INLINE f32_lane f32_across(f32_vec x)
{
    const __m256 half = _mm512_castps512_ps256((__m512)x) + _mm512_extractf32x8_ps((__m512)x, 1);
    return (f32_lane)(_mm256_castps256_ps128(half) + _mm256_extractf128_ps(half, 1));
}
INLINE f64_lane f64_across(f64_vec x)
{
    const __m256d half = _mm512_castpd512_pd256((__m512d)x) + _mm512_extractf64x4_pd((__m512d)x, 1);
    return (f64_lane)(_mm256_castpd256_pd128(half) + _mm256_extractf128_pd(half, 1));
}
INLINE void f32_put_lane(float *p, int64_t n, f32_lane x) { _mm_mask_storeu_ps(p, (__mmask8)(n > 3 ? 15 : n < 1 ? 0 : (1 << n) - 1), (__m128)x); }
INLINE void f64_put_lane(double *p, int64_t n, f64_lane x) { _mm_mask_storeu_pd(p, (__mmask8)(n > 1 ? 3 : n > 0), (__m128d)x); }
#elif VECTOR_BYTES == 32
INLINE f32_lane f32_across(f32_vec x) { return (f32_lane)(_mm256_castps256_ps128((__m256)x) + _mm256_extractf128_ps((__m256)x, 1)); }
INLINE f64_lane f64_across(f64_vec x) { return (f64_lane)(_mm256_castpd256_pd128((__m256d)x) + _mm256_extractf128_pd((__m256d)x, 1)); }
INLINE void f32_put_lane(float *p, int64_t n, f32_lane x) { _mm_maskstore_ps(p, _mm_cmpgt_epi32(_mm_set1_epi32((int)n), _mm_setr_epi32(0, 1, 2, 3)), (__m128)x); }
INLINE void f64_put_lane(double *p, int64_t n, f64_lane x) { _mm_maskstore_pd(p, _mm_cmpgt_epi64(_mm_set1_epi64x(n), _mm_set_epi64x(1, 0)), (__m128d)x); }
#else
INLINE f32_lane f32_across(f32_vec x) { return (f32_lane)x; }
INLINE f64_lane f64_across(f64_vec x) { return (f64_lane)x; }
INLINE void f32_put_lane(float *p, int64_t n, f32_lane x)
{
    for (int64_t i = 0; i < 4 && i < n; i++) p[i] = x[i];
}
INLINE void f64_put_lane(double *p, int64_t n, f64_lane x)
{
    for (int64_t i = 0; i < 2 && i < n; i++) p[i] = x[i];
}
#endif

/* The same of each x[i] to p + i step. Four vectors take fewer shuffles together, and whole lanes no shuffle on their way to memory. */
#if VECTOR_BYTES == 64
#define TWO_LANES(x, y, which) (f32_vec)_mm512_shuffle_f32x4((__m512)(x), (__m512)(y), which)
INLINE void f32_put_four(float *p, int64_t step, int64_t n, const f32_vec *x)
{
    const f32_vec low = TWO_LANES(x[0], x[1], 0x44) + TWO_LANES(x[0], x[1], 0xEE), high = TWO_LANES(x[2], x[3], 0x44) + TWO_LANES(x[2], x[3], 0xEE);
    const __m512 all = (__m512)(TWO_LANES(low, high, 0x88) + TWO_LANES(low, high, 0xDD));
#define SUM(i) (f32_lane)_mm512_extractf32x4_ps(all, i)
#define WHOLE_SUM(i) *(f32_lane *)(p + i * step) = SUM(i)
#define FIRST_OF_SUM(i) f32_put_lane(p + i * step, n, SUM(i))
    if (n >= 4) WHOLE_SUM(0), WHOLE_SUM(1), WHOLE_SUM(2), WHOLE_SUM(3);
    else FIRST_OF_SUM(0), FIRST_OF_SUM(1), FIRST_OF_SUM(2), FIRST_OF_SUM(3);
#undef SUM
#undef WHOLE_SUM
#undef FIRST_OF_SUM
}
#else
#define f32_put_four(p, step, n, x) (void)0
#endif
INLINE void f32_put_across(const int rows, float *p, int64_t step, int64_t n, const f32_vec *x)
{
    if (VECTOR_BYTES == 64 && rows == 4) f32_put_four(p, step, n, x);
    else UNROLL for (int i = 0; i < rows; i++) f32_put_lane(p + i * step, n, f32_across(x[i]));
}
INLINE void f64_put_across(const int rows, double *p, int64_t step, int64_t n, const f64_vec *x)
{
    UNROLL for (int i = 0; i < rows; i++) f64_put_lane(p + i * step, n, f64_across(x[i]));
}

/* Lane j of x[i] and lane i of x[j] change places. */
#if VECTOR_BYTES == 64
#define LANES_OF(x, y, which) _mm512_shuffle_f32x4((__m512)(x), (__m512)(y), which)
#define TRANSPOSE_LANES(V)                                                                                           \
    const __m512 p = LANES_OF(x[0], x[1], 0x44), q = LANES_OF(x[0], x[1], 0xEE), r = LANES_OF(x[2], x[3], 0x44), s = LANES_OF(x[2], x[3], 0xEE); \
    x[0] = (V)LANES_OF(p, r, 0x88), x[1] = (V)LANES_OF(p, r, 0xDD), x[2] = (V)LANES_OF(q, s, 0x88), x[3] = (V)LANES_OF(q, s, 0xDD);
#elif VECTOR_BYTES == 32
#define TRANSPOSE_LANES(V)                                                                                           \
    const __m256 p = (__m256)x[0], q = (__m256)x[1];                                                                 \
    x[0] = (V)_mm256_permute2f128_ps(p, q, 0x20), x[1] = (V)_mm256_permute2f128_ps(p, q, 0x31);
#else
#define TRANSPOSE_LANES(V) (void)x;
#endif
INLINE void f32_transpose_lanes(f32_vec *x) { TRANSPOSE_LANES(f32_vec) }
INLINE void f64_transpose_lanes(f64_vec *x) { TRANSPOSE_LANES(f64_vec) }

#endif
