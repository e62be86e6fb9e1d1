/* Convolution of images, and its two adjoints, without unfolding the image.
 *
 * The image is copied once, padded with zeros; then, row after row, it is one long line, and moving by a tap (kh, kw) of the
 * kernel is moving by a constant along it:
 *
 *   y[q] = sum_k w[k] x[offset[k] + q]          k runs over channels and taps, q over (i, j) as i len + j
 *
 * where the last columns of each row, which have no place in y, are computed and dropped. A stride takes the image apart
 * into phases, planes of the rows and columns that are equal modulo the stride, in each of which the steps are 1 again.
 *
 *   padded row 0 1 2 3 4 5 6, stride 2:   phase 0: 0 2 4 6    phase 1: 1 3 5    tap kw: phase (kw d) mod 2, from (kw d) / 2
 *
 * So one loop serves all strides, paddings and dilations: a tile of output channels by positions, in registers.
 *
 * In small planes the dropped columns are a large part, and a row is short for a vector. Of many small images a vector of them
 * is put side by side, element q of image m at q W + m: the lines above with all steps times W, and now the rows of the result
 * can be taken one by one, without what lies between them, and of dx without the taps that meet no row of dy.
 * Knows no tensor; the type is T of the body, included once for f32 and f64.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"
#include "kernels/block.h"

#include <string.h>

#if VECTOR_BYTES == 64
#define MAX_ROWS 8 /* 8 x 3 accumulators + 3 of the image + 1 weight of 32 registers */
#define MAX_DOTS 4 /* 4 x 6 accumulators + 4 of dy + 1 of x */
#define MAX_TAPS 6
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
#define EACH_DOTS(X) X(1) X(2) X(3) X(4)
#else
#define MAX_ROWS 4 /* 4 x 3 accumulators + 3 + 1 of 16 registers */
#define MAX_DOTS 3 /* 3 x 4 accumulators + 3 + 1 */
#define MAX_TAPS 4
#define EACH_ROWS(X) X(1) X(2) X(3) X(4)
#define EACH_DOTS(X) X(1) X(2) X(3)
#endif
#define DOTS_NAME(S, mr, nt) DOTS_NAME_(S, mr, nt)
#define DOTS_NAME_(S, mr, nt) N(S, dots_##mr##_##nt)
#define CHUNK_BYTES 131072 /* of images at once in conv2d_weight: a part of the second-level cache */
#define CHUNK_LEAST 2      /* images at least, so that the sums across a vector are few */
#define BLOCK_BYTES 524288 /* of images side by side and their results: half of a second-level cache */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static void *after(void *p, size_t bytes) { return (char *)p + bytes; }

/* Rows, or columns: of the image, the kernel, the result; and of the phases. */
typedef struct axis {
    int64_t size, taps, out, stride, padding, dilation;
    int64_t period, phases; /* tap t falls on phase t mod period; how many of these have taps */
    int64_t len;            /* of a phase: as far as the taps of the last output reach */
} axis;

static int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t r = a % b;
        a = b, b = r;
    }
    return a;
}
/* where tap t begins in its phase; which position of the padded axis is the first of phase f */
static int64_t lead_of(const axis *x, int64_t t) { return t * x->dilation / x->stride; }
static int64_t residue_of(const axis *x, int64_t f) { return f * x->dilation % x->stride; }
static int64_t taps_in(const axis *x, int64_t f) { return up(x->taps - f, x->period); }
/* Element i of phase f is element shift + i stride of the image, for first <= i < end. */
static int64_t shift_of(const axis *x, int64_t f) { return residue_of(x, f) - x->padding; }
static int64_t first_of(const axis *x, int64_t f) { return most(0, up(-shift_of(x, f), x->stride)); }
static int64_t end_of(const axis *x, int64_t f)
{
    int64_t room = x->size - shift_of(x, f);
    return room <= 0 ? 0 : least(x->len, up(room, x->stride));
}

/* The taps of phase f, from .. to - 1 of them, that some of the elements first .. last of dx has in common with a result. */
static void taps_at(const axis *x, int64_t f, int64_t first, int64_t last, int64_t *from, int64_t *to)
{
    *from = 0, *to = taps_in(x, f);
    while (*from < *to && first - lead_of(x, f + *from * x->period) >= x->out) ++*from;
    while (*from < *to && last - lead_of(x, f + (*to - 1) * x->period) < 0) --*to;
}

static axis axis_of(int64_t size, int64_t taps, int64_t out, int64_t stride, int64_t padding, int64_t dilation)
{
    axis x = { .size = size, .taps = taps, .out = out, .stride = stride, .padding = padding, .dilation = dilation };
    x.period = stride / gcd(stride, dilation);
    x.phases = least(taps, x.period);
    x.len = out + lead_of(&x, taps - 1);
    return x;
}

/* Elements unless they say bytes. */
typedef struct plan {
    axis row, col;
    int64_t lanes, line;     /* images side by side, 1 or a vector of them; from a row of a phase to the next */
    int64_t plane, channel;  /* of one phase; of all of one input channel */
    int64_t runs, run, next; /* lines of outputs that have no gap between their rows; outputs of one; from one result to the next */
    int64_t lead;            /* what dy has before it so that every tap finds zeros */
    int64_t gradient;        /* of one channel of dy for conv2d_input */
    int64_t wide, full;      /* of one channel of results, with room for whole tiles: of positions, of planes */
    int64_t images;          /* at once in conv2d_weight, or blocks of images side by side */
    size_t offset_bytes, within_bytes, panel_bytes, image_bytes, gradient_bytes, wide_bytes, full_bytes;
    double bytes;            /* all of it, where it may not fit a size_t */
} plan;

static size_t rounded(double elements, size_t size) { return elements * (double)size > 0x1p60 ? (size_t)1 << 61 : ((size_t)elements * size + 63) / 64 * 64; }

static int rows_of(int64_t n) { return n ? (int)up(n, up(n, MAX_ROWS)) : 1; }
static int64_t blocks_of(int64_t n, int mr) { return up(n, mr); }

static plan plan_of(const gr_conv2d_size *s, size_t size)
{
    plan p = { .row = axis_of(s->h, s->kh, s->oh, s->stride[0], s->padding[0], s->dilation[0]),
               .col = axis_of(s->w, s->kw, s->ow, s->stride[1], s->padding[1], s->dilation[1]) };
    const int64_t width = VECTOR_BYTES / (int64_t)size, tile = 3 * width;
    const double plane = (double)p.row.len * (double)p.col.len, groups = (double)s->groups, phases = (double)p.row.phases * (double)p.col.phases;
    const double taps = (double)s->kh * (double)s->kw, in = groups * (double)s->cin, out = groups * (double)s->cout, extra = 2.0 * MAX_ROWS;
    p.bytes = (double)size * ((in * phases + out + 2 * (double)(s->cin + s->cout) + extra) * (plane + 4.0 * (double)tile) * 3 +
                              (in + groups * extra) * ((double)s->cout + extra) * taps * 3);
    if (p.bytes > 0x1p58) return p; /* no machine has it: the caller refuses */
    const int64_t joined = (p.row.out - 1) * p.col.len + p.col.out, blocks = up(s->n, width);
    const double apart = (double)p.row.out * (double)p.col.out, block = (double)width * (double)size * (in * phases * plane + out * apart);
    p.lanes = block <= BLOCK_BYTES && (double)(blocks * width) * apart < (double)(up(joined, tile) * tile) * (double)s->n ? width : 1;
    p.line = p.col.len * p.lanes;
    p.plane = p.row.len * p.line;
    p.channel = p.row.phases * p.col.phases * p.plane;
    p.runs = p.lanes > 1 ? p.row.out : 1;
    p.run = p.lanes > 1 ? p.col.out * p.lanes : joined;
    p.next = p.lanes > 1 ? p.run : p.line;
    p.lead = lead_of(&p.row, s->kh - 1) * p.line + lead_of(&p.col, s->kw - 1) * p.lanes;
    p.gradient = p.lead + p.plane;
    p.wide = (p.runs - 1) * p.run + up(p.run, tile) * tile;
    p.full = p.lanes > 1 ? p.plane + tile : up(p.plane, tile) * tile;
    p.offset_bytes = rounded((double)most(s->cin, s->cout) * taps, 8);
    p.panel_bytes = rounded(groups * taps * (double)most((s->cout + MAX_ROWS) * s->cin, (s->cin + MAX_ROWS) * s->cout), size);
    p.image_bytes = rounded(in * (double)p.channel + (double)tile, size);
    p.gradient_bytes = rounded(out * (double)p.gradient + (double)tile, size);
    p.within_bytes = rounded((double)p.wide, size);
    p.wide_bytes = rounded((double)(s->cout + MAX_ROWS) * (double)p.wide + (double)tile, size);
    p.full_bytes = rounded((double)(s->cin + MAX_ROWS) * (double)p.full + (double)tile, size);
    const double each = (double)p.image_bytes + out * (double)p.wide * (double)size;
    p.images = p.lanes > 1 ? 1 : least(most(s->n, 1), most(CHUNK_LEAST, (int64_t)(CHUNK_BYTES / each)));
    return p;
}
/* Where tap (kh, kw) of position 0 is in the phase planes of a channel. */
static int64_t place_of(const plan *p, int64_t kh, int64_t kw)
{
    return (kh % p->row.period * p->col.phases + kw % p->col.period) * p->plane + lead_of(&p->row, kh) * p->line + lead_of(&p->col, kw) * p->lanes;
}

static gr_conv2d_bytes bytes_of(const gr_conv2d_size *s, size_t size)
{
    plan p = plan_of(s, size);
    if (p.bytes > 0x1p58) return (gr_conv2d_bytes){ 0, (size_t)1 << 63, 1 };
    size_t forward = p.image_bytes + p.wide_bytes, input = p.gradient_bytes + p.full_bytes;
    size_t weight = p.offset_bytes + p.within_bytes + (size_t)p.images * (p.image_bytes + (size_t)(s->groups * s->cout * p.wide) * size);
    size_t larger = forward > input ? forward : input;
    larger = larger > weight ? larger : weight;
    return (gr_conv2d_bytes){ p.offset_bytes + p.panel_bytes, (larger + 127) / 64 * 64, p.lanes };
}

/* MULADDV: c + x a in the lanes of m, a mask as INSIDE holds it; in the others c, or c + 0 a */
#if defined(__AVX512F__)
#define INSIDE_f32 __mmask16
#define INSIDE_f64 __mmask8
#define INSIDE_OF_f32(m) _mm512_movepi32_mask((__m512i)(m))
#define INSIDE_OF_f64(m) _mm512_movepi64_mask((__m512i)(m))
#define MULADDV_f32(x, a, c, m) ((f32_vec)_mm512_mask3_fmadd_ps((__m512)(x), (__m512)(a), (__m512)(c), m))
#define MULADDV_f64(x, a, c, m) ((f64_vec)_mm512_mask3_fmadd_pd((__m512d)(x), (__m512d)(a), (__m512d)(c), m))
#else
#define INSIDE_f32 f32_mask
#define INSIDE_f64 f64_mask
#define INSIDE_OF_f32(m) (m)
#define INSIDE_OF_f64(m) (m)
#define MULADDV_f32(x, a, c, m) f32_fma((f32_vec)((f32_mask)(x) & (m)), a, c)
#define MULADDV_f64(x, a, c, m) f64_fma((f64_vec)((f64_mask)(x) & (m)), a, c)
#endif

/* lane l of 16 bytes of x to `to` + l LANE step */
#if VECTOR_BYTES == 64
#define STORE_LANE(to, x, l) _mm_storeu_ps((float *)(void *)(to), _mm512_extractf32x4_ps((__m512)(x), l))
#define STORE_LANES(S, to, step, x)                                                                                  \
    (STORE_LANE(to, x, 0), STORE_LANE((to) + N(S, LANE) * (step), x, 1), STORE_LANE((to) + 2 * N(S, LANE) * (step), x, 2), \
     STORE_LANE((to) + 3 * N(S, LANE) * (step), x, 3))
#elif VECTOR_BYTES == 32
#define STORE_LANE(to, x, l) _mm_storeu_ps((float *)(void *)(to), _mm256_extractf128_ps((__m256)(x), l))
#define STORE_LANES(S, to, step, x) (STORE_LANE(to, x, 0), STORE_LANE((to) + N(S, LANE) * (step), x, 1))
#else
#define STORE_LANES(S, to, step, x) N(S, store)(to, x)
#endif

#define BODY "kernels/conv_body.h"
#include "kernels/own_types.h"

void FOR_ISA(gr__fill_conv)(gr_kernel_table *t)
{
    SET_FLOATS(conv2d, conv2d);
    SET_FLOATS(conv2d_input, conv2d_input);
    SET_FLOATS(conv2d_weight, conv2d_weight);
    SET_FLOATS(conv2d_pack, conv2d_pack);
    SET_FLOATS(conv2d_input_pack, conv2d_input_pack);
    SET_FLOATS(conv2d_bytes, conv2d_bytes);
}
