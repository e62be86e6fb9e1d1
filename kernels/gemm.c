/* Matrix product: packed panels, a register tile of MR x NR, blocks that fit the caches.
 *
 *   for each KC columns of a (rows of b):  pack b into panels of NR columns
 *     for each MC rows of a:               pack a into panels of MR rows
 *       for each tile:                     acc[MR][NR] += a panel * b panel    (in registers)
 *
 * Packing reads through any strides, so transposes cost nothing; panels are padded with zeros, so there is one tile size.
 * Every c[i, j] is summed over k in one fixed order.
 * Knows no type but T of the body, included once for f32 and f64.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"

#include <string.h>

#define NV 2 /* vectors in a row of the tile */
#if VECTOR_BYTES == 64
#define MR 12 /* 24 accumulators + 2 of b + 1 of a of 32 registers */
#elif VECTOR_BYTES == 32
#define MR 6 /* 12 accumulators of 16 registers */
#else
#define MR 4 /* 8 accumulators of 16 registers */
#endif
#define KC 256 /* an MR x KC panel of a and an NR x KC panel of b stay in the first-level cache */
#define MC (MR * 16)

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

#define GEMM(S, T)                                                                                                   \
    typedef T S##_vec __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));                     \
    enum { S##_W = VECTOR_BYTES / (int)sizeof(T), S##_NR = NV * S##_W };                                             \
    /* out[panel][k][w] = x[(panel w_max + w) rs + k cs], zero beyond n */                                           \
    static void S##_pack(int64_t n, int64_t kc, const T *x, int64_t rs, int64_t cs, int64_t width, T *out)           \
    {                                                                                                                \
        for (int64_t i = 0; i < n; i += width, out += width * kc) {                                                  \
            int64_t w = least(width, n - i);                                                                         \
            const T *from = x + i * rs;                                                                              \
            if (rs == 1) {                                                                                           \
                for (int64_t k = 0; k < kc; k++) {                                                                   \
                    memcpy(out + k * width, from + k * cs, (size_t)w * sizeof(T));                                   \
                    if (w < width) memset(out + k * width + w, 0, (size_t)(width - w) * sizeof(T));                  \
                }                                                                                                    \
                continue;                                                                                            \
            }                                                                                                        \
            if (w < width) memset(out, 0, (size_t)(width * kc) * sizeof(T));                                         \
            for (int64_t j = 0; j < w; j++)                                                                          \
                for (int64_t k = 0; k < kc; k++) out[k * width + j] = from[j * rs + k * cs];                         \
        }                                                                                                            \
    }                                                                                                                \
    /* c (mr x nr of it) = or += a panel * b panel */                                                                \
    static void S##_tile(int64_t kc, const T *a, const T *b, T *c, int64_t cs, int64_t mr, int64_t nr, bool add)     \
    {                                                                                                                \
        S##_vec acc[MR][NV];                                                                                         \
        memset(acc, 0, sizeof acc);                                                                                  \
        for (int64_t k = 0; k < kc; k++, a += MR, b += S##_NR) {                                                     \
            const S##_vec b0 = *(const S##_vec *)b, b1 = *(const S##_vec *)(b + S##_W);                              \
            _Pragma("GCC unroll 16") for (int i = 0; i < MR; i++)                                                    \
            {                                                                                                        \
                acc[i][0] = MULADD(b0, a[i], acc[i][0]);                                                             \
                acc[i][1] = MULADD(b1, a[i], acc[i][1]);                                                             \
            }                                                                                                        \
        }                                                                                                            \
        if (mr == MR && nr == S##_NR) {                                                                              \
            for (int i = 0; i < MR; i++)                                                                             \
                for (int v = 0; v < NV; v++) {                                                                       \
                    S##_vec *out = (S##_vec *)(c + i * cs + v * S##_W);                                              \
                    if (add) acc[i][v] += *out;                                                                      \
                    *out = acc[i][v];                                                                                \
                }                                                                                                    \
            return;                                                                                                  \
        }                                                                                                            \
        for (int64_t i = 0; i < mr; i++)                                                                             \
            for (int64_t j = 0; j < nr; j++) {                                                                       \
                T v = acc[i][j / S##_W][j % S##_W];                                                                  \
                c[i * cs + j] = add ? c[i * cs + j] + v : v;                                                         \
            }                                                                                                        \
    }                                                                                                                \
    static void S##_gemm(int64_t m, int64_t n, int64_t k, const void *a_, const int64_t as[2], const void *b_,       \
                         const int64_t bs[2], void *c_, int64_t cs, void *scratch)                                   \
    {                                                                                                                \
        const T *a = a_, *b = b_;                                                                                    \
        T *c = c_, *pa = scratch, *pb = pa + MC * KC;                                                                \
        for (int64_t i = 0; k == 0 && i < m; i++) memset(c + i * cs, 0, (size_t)n * sizeof(T));                      \
        for (int64_t k0 = 0; k0 < k; k0 += KC) {                                                                     \
            int64_t kc = least(KC, k - k0);                                                                          \
            S##_pack(n, kc, b + k0 * bs[0], bs[1], bs[0], S##_NR, pb);                                               \
            for (int64_t i0 = 0; i0 < m; i0 += MC) {                                                                 \
                int64_t mc = least(MC, m - i0);                                                                      \
                S##_pack(mc, kc, a + i0 * as[0] + k0 * as[1], as[0], as[1], MR, pa);                                 \
                for (int64_t j = 0; j < n; j += S##_NR)                                                              \
                    for (int64_t i = 0; i < mc; i += MR)                                                             \
                        S##_tile(kc, pa + i * kc, pb + j * kc, c + (i0 + i) * cs + j, cs, least(MR, mc - i),         \
                                 least(S##_NR, n - j), k0 > 0);                                                      \
            }                                                                                                        \
        }                                                                                                            \
    }
/* rounds once where the machine can, twice where it cannot */
#if defined(__AVX512F__)
#include <immintrin.h>
#define MULADD(b, a, c) ((f32_vec)_mm512_fmadd_ps((__m512)(b), _mm512_set1_ps(a), (__m512)(c)))
GEMM(f32, float)
#undef MULADD
#define MULADD(b, a, c) ((f64_vec)_mm512_fmadd_pd((__m512d)(b), _mm512_set1_pd(a), (__m512d)(c)))
GEMM(f64, double)
#elif defined(__FMA__)
#include <immintrin.h>
#define MULADD(b, a, c) ((f32_vec)_mm256_fmadd_ps((__m256)(b), _mm256_set1_ps(a), (__m256)(c)))
GEMM(f32, float)
#undef MULADD
#define MULADD(b, a, c) ((f64_vec)_mm256_fmadd_pd((__m256d)(b), _mm256_set1_pd(a), (__m256d)(c)))
GEMM(f64, double)
#else
#define MULADD(b, a, c) ((c) + (b) * (a))
GEMM(f32, float)
GEMM(f64, double)
#endif

static size_t scratch_bytes(int64_t m, int64_t n, int64_t k, int type)
{
    (void)m;
    int64_t size = type == GR_K_F32 ? 4 : 8;
    return (size_t)((MC * KC + round_up(n, NV * VECTOR_BYTES / size) * least(k, KC)) * size);
}

void FOR_ISA(gr__fill_gemm)(gr_kernel_table *t)
{
    t->gemm[GR_K_F32] = f32_gemm, t->gemm[GR_K_F64] = f64_gemm;
    t->gemm_scratch = scratch_bytes;
}
