/* Matrix product c = a b, any strides.
 *
 * One tile of c, MR x NR, stays in registers while k runs: each step loads NV vectors of a row of b and multiplies them by
 * one number from each of MR rows of a, so NV + MR loads feed MR NV multiply-adds. Two of them start in a cycle and each
 * takes four, so 8 accumulators would do for the latency; as many as there are registers make the loads few.
 *   AVX-512   14 x 2 = 28 accumulators + 2 of b + 1 of a of 32 registers
 *   AVX2       6 x 2 = 12              + 2      + 1      of 16
 *   NEON      12 x 2 = 24              + 2      + 1      of 32
 *   portable   4 x 2 =  8              + 2      + 1      of 16 with SSE
 * A small product is not packed: its tiles read a and b through strides. In a large one
 *
 *   for KC of k:  for MC of m:  for NR of n:  tiles of MC x NR      b[KC, NR] in the first cache or the second, a[MC, KC] in the second
 *
 * a[MC, KC] and b[KC, NR] are packed in the order in which the tiles read them, a when the first panel of b needs it, each panel of b
 * row by row while the one before it is used. So what comes from memory comes early, a few lines at a time: prefetches that
 * wait for one another would block what the steps wait for. Where a row of b is no row in memory, a panel is packed at once, through
 * W x LANE transposes in registers; so is it where only b is large. At the right edge masks stand for missing columns; nothing is padded, so
 * 0 inf occurs only where it is meant.
 *
 * c with at most FEW columns is done as c^T = b^T a^T, so that a vector is full of rows of a. c with at most FEW rows:
 * tiles of WIDE vectors, or, when both factors are contiguous along k, dot products with vectors along k.
 *
 * Every c[i, j] is summed over k in an order that depends on the shape and strides alone, whichever tile it falls into; so
 * the parts of a product, which threads may share, have the bits of the whole.
 * The body is included once for f32 and once for f64.
 * SPDX-License-Identifier: MIT */
#include "kernels/block.h"

#include <string.h>

#define NV 2 /* vectors in a row of the tile */
#if VECTOR_BYTES == 64
#define MR 14
#elif VECTOR_BYTES == 32
#define MR 6
#elif defined(GR_NEON)
#define MR 12
#else
#define MR 4
#endif
#define FEW 3
#define WIDE 8          /* vectors in a tile of one row: eight sums at a time hide the latency of the addition */
#define WIDE_FEW (VECTOR_BYTES == 64 ? 8 : 4) /* of two or three rows: 24 or 12 accumulators */
#define CHUNK 16        /* steps of a large product between looks at what else is to be done: the numbers of a line of f32 */
#define AHEAD 8         /* rows of b from which one is fetched until it is packed */
#define LARGE 6         /* tiles of rows from which packing b pays */
#define KC 384          /* c is read and written once in KC steps */
#define DIRECT 65536    /* elements of b up to which its rows are read in place */
#define SPARSE 2048     /* bytes from step to step of a from which a page of 4 KiB has two at the most: */
#define REACH 262144    /* where they fill more than 64 pages, each tile of rows waits for their addresses, and a is packed though it is small */
#define NEAR 32768      /* bytes of c that stay in the first-level cache while all of b passes by, where steps are so few that c is most of the work */
#define RESIDENT 524288 /* bytes of a that the second-level cache holds while all of b passes by, a panel at a time: half of 1 MiB */

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

/* How many of `most` make up n: a division takes as long as a small product, so most are spared. */
static inline int64_t count_of(int64_t n, int64_t most) { return n <= most ? 1 : (n + most - 1) / most; }
/* n in as few shares of at most `most` as can be, all alike */
static inline int64_t share(int64_t n, int64_t most)
{
    const int64_t shares = count_of(n, most);
    return shares == 1 ? n : (n + shares - 1) / shares;
}

/* Rows of the next tile when n are left: the last two share what there is. Before them, rows in whole tiles: */
static inline int64_t tile_rows(int64_t n) { return n >= 2 * MR ? MR : n <= MR ? n : (n + 1) / 2; }
static inline int64_t whole_tiles(int64_t n) { return n % MR == 0 ? n : n < 2 * MR ? 0 : (n / MR - 1) * MR; }

/* How a product is done. m, n: of the part; all else follows from the whole. */
typedef struct plan {
    int64_t m, n, k, as[2], bs[2], cs[2]; /* of c = a b, or of c^T = b^T a^T if swap */
    int64_t row, column;                  /* where the part begins */
    int64_t units;                        /* of the whole, of which a part has some */
    int64_t width, kc, mc;                /* of a panel; steps, rows between changes of the panel */
    bool swap, dots, pack_a, pack_b;
} plan;

static plan plan_for(const gr_gemm_size *s, int64_t first, int64_t end, int64_t element)
{
    const int64_t w = VECTOR_BYTES / element;
    plan p = { .m = s->m, .n = s->n, .k = s->k, .as = { s->as[0], s->as[1] }, .bs = { s->bs[0], s->bs[1] }, .cs = { s->cs, 1 } };
    if (s->n <= FEW && s->n < s->m && (s->as[0] == 1 || s->k >= 2 * w))
        p = (plan){ .m = s->n, .n = s->m, .k = s->k, .as = { s->bs[1], s->bs[0] }, .bs = { s->as[1], s->as[0] }, .cs = { 1, s->cs }, .swap = true };
    const bool spread = p.as[1] * element >= SPARSE && p.k * p.as[1] * element > REACH;
    p.dots = p.m <= FEW && p.bs[0] == 1 && p.bs[1] != 1 && p.k >= 2 * w;
    p.pack_b = !p.dots && (p.bs[1] != 1 || ((p.n * p.k > DIRECT || spread) && p.m > LARGE * MR));
    p.kc = p.pack_b && !p.swap ? share(p.k, KC) : p.k;
    p.pack_a = p.dots ? p.as[1] != 1 : p.pack_b && p.k >= CHUNK && p.m > 4 * MR && (p.n > 2 * NV * w || (spread && p.n >= NV * w));
    const int64_t most = p.k < CHUNK ? NEAR / element / p.n : RESIDENT / element / p.kc;
    p.mc = p.m <= MR || p.m <= most ? p.m : most <= MR ? MR : round_up(share(p.m, most), MR);
    p.width = p.dots ? 4 : p.pack_b || p.m > FEW ? NV * w : p.m == 1 ? WIDE * w : WIDE_FEW * w;
    /* of the longer side: then a part leaves out most of what the product reads */
    const bool by_row = p.m >= p.n;
    p.units = by_row ? count_of(p.m, MR) : count_of(p.n, p.width);
    if (first == 0 && end >= p.units) return p;
    if (by_row) p.row = first * MR, p.m = least(p.m, end * MR) - p.row;
    else p.column = first * p.width, p.n = least(p.n, end * p.width) - p.column;
    return p;
}

/* Elements of packed a, and of packed b: two panels, one of which is made while the other is used, unless MC rows at a time come back
 * to each. */
static int64_t packed_a(const plan *p, int64_t w)
{
    return !p->pack_a ? 0 : p->dots ? p->m * p->k : round_up(p->mc * p->kc, w) + w;
}
static int64_t packed_b(const plan *p, int64_t w)
{
    const int64_t columns = round_up(p->n, w);
    return !p->pack_b ? 0 : (p->mc < p->m ? columns : least(columns, 2 * NV * w)) * p->kc;
}
static int64_t panel_at(const plan *p, int64_t kc, int64_t j, int64_t width) { return (p->mc < p->m ? j : j / width % 2 * width) * kc; }

#define BODY "kernels/gemm_body.h"
#include "kernels/types.h"

static size_t part_scratch(const gr_gemm_size *s, int type)
{
    if (s->m == 0 || s->n == 0 || s->k == 0) return 0;
    const int64_t element = type == GR_K_F32 ? 4 : 8, w = VECTOR_BYTES / element;
    const plan p = plan_for(s, 0, INT64_MAX, element);
    return (size_t)round_up((packed_a(&p, w) + packed_b(&p, w)) * element, 64);
}

static int64_t units(const gr_gemm_size *s, int type)
{
    if (s->m == 0 || s->n == 0 || s->k == 0) return 1;
    return plan_for(s, 0, INT64_MAX, type == GR_K_F32 ? 4 : 8).units;
}

/* What any strides and any smaller size need at most. */
static size_t scratch_bytes(int64_t m, int64_t n, int64_t k, int type)
{
    const int64_t element = type == GR_K_F32 ? 4 : 8, width = NV * VECTOR_BYTES / element;
    const int64_t a = least((m + MR) * k, RESIDENT / element + MR * KC) + FEW * k + 2 * width, b = round_up(n, width) * least(k, KC) + 2 * width * k;
    return (size_t)round_up((a + b) * element, 64);
}

void FOR_ISA(gr__fill_gemm)(gr_kernel_table *t)
{
    t->gemm[GR_K_F32] = f32_gemm, t->gemm[GR_K_F64] = f64_gemm;
    t->gemm_part[GR_K_F32] = f32_gemm_part, t->gemm_part[GR_K_F64] = f64_gemm_part;
    t->gemm_units = units, t->gemm_scratch = scratch_bytes, t->gemm_part_scratch = part_scratch;
}
