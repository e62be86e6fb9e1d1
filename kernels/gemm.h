/* What the loops of a matrix product are for one type and instruction set (gemm_loops.c), called by what arranges them (gemm.c).
 * Sizes, strides and widths are in elements. Knows no block of a matrix.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_KERNELS_GEMM_H
#define GRADUS_KERNELS_GEMM_H

#include "kernels/kernels.h"

enum {
    GR_GEMM_CHUNK = 16, /* steps of a large tile between looks at what else is to be done: the numbers of a line of f32 */
    GR_GEMM_FEW = 3,    /* rows of a wide tile at most */
    GR_GEMM_WIDE = 8,   /* vectors in one at most */
    GR_GEMM_DOTS = 8,   /* dot products at a time */
    GR_GEMM_MAX_ROWS = 14,
    GR_GEMM_MAX_DOT_ROWS = 4
};

/* How a tile walks: with the steps and strides of `of`, of which it is a part. The second half of a wide tile begins `half` columns
 * behind the first, before its end where there are fewer columns: those that are in both come out the same. */
typedef struct gr_gemm_walk {
    const gr_gemm_size *of; /* where they were written: a copy would have to wait until they are in the cache */
    int64_t half;
    int64_t columns; /* of an edge tile; of dot products, all there are */
    int64_t step;    /* from one of them to the next in c, of dot products */
    bool add;        /* c += a b */
} gr_gemm_walk;
typedef void gr_gemm_tile_fn(const gr_gemm_walk *s, const void *a, const void *b, void *c);

/* What is fetched, and done, beside the steps of a large tile, a little with each CHUNK of them: the next panel of b, a row at a
 * time, and packed, unless it is; and of a the rows below, where they are about to be packed. */
typedef struct gr_gemm_ahead {
    const void *b, *a;
    void *pb;                 /* NULL: b is packed */
    int64_t b_k, left, burst; /* rows of b: to the next one, how many are left, how many go with a CHUNK */
    int64_t a_line, a_chunk;  /* of a: to the next line, to those of the next CHUNK */
} gr_gemm_ahead;

struct gr_gemm_loops {
    int64_t size, width;            /* bytes of an element; elements of a vector */
    int64_t rows, dot_rows;         /* of a tile, at most */
    int64_t wide, wide_few;         /* vectors in a wide tile of one row; of two or three */
    gr_gemm_tile_fn *tile[GR_GEMM_MAX_ROWS + 1][2]; /* [rows][two vectors, or the first columns of one], of any strides */
    gr_gemm_tile_fn *wides[GR_GEMM_FEW + 1];        /* [rows], of any strides */
    gr_gemm_tile_fn *dots[GR_GEMM_MAX_DOT_ROWS + 1]; /* [rows]: against all columns, both factors contiguous along k */
    /* `rows` by two vectors, of packed a and b */
    void (*large)(const gr_gemm_walk *s, gr_gemm_ahead *next, const void *a, const void *b, void *c);
    void (*ahead)(gr_gemm_ahead *next); /* what is left of it */
    /* out[panel][k][r] = x[(panel width + r) rs + k cs] for n rows; what lies beyond n is anything. Writes up to a vector behind. */
    void (*pack)(int64_t n, int64_t kc, const void *x, int64_t rs, int64_t cs, int64_t width, void *out);
    gr_copy_fn *copy;
};

#endif
