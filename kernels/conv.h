/* What the loops of a convolution are for one type and instruction set (conv_loops.c), called by what arranges them (conv.c).
 * Sizes, steps and offsets are in elements. Knows no image.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_KERNELS_CONV_H
#define GRADUS_KERNELS_CONV_H

#include "kernels/kernels.h"

/* Some of the taps: `count` of each of `rows`, which begin `apart` from each other. */
typedef struct gr_conv_taps {
    int64_t rows, count, apart;
    const int64_t *offset;
    const void *start, *a; /* what each sum begins with; weights in panels of mr rows, tap after tap */
    int64_t panel;         /* from mr rows of a to the next */
} gr_conv_taps;

/* Some rows of dy, `pitch` apart, and some taps, whose dot products along n positions of each of `images` are added to sums. */
typedef struct gr_conv_dots {
    int64_t images, n;
    const int64_t *offset;
    const void *within; /* integers as wide as an element: all bits of a position that counts, else none; NULL: all count */
    const void *x, *dy;
    int64_t x_step, dy_step, pitch; /* from one image to the next; from a row of dy to the next */
    void *sums;                     /* a vector for each row and tap, whose lanes are one dot product together */
} gr_conv_dots;
typedef void gr_conv_dots_fn(const gr_conv_dots *d);

enum { GR_CONV_MAX_DOTS = 4 };
struct gr_conv_loops {
    int64_t size, width; /* bytes of an element; elements of a vector */
    const void *one;
    int rows, dots, taps; /* of a tile of sums; of a tile of dot products, and taps */
    /* to[j to_step] = from[j from_step] */
    void (*copy)(int64_t n, int64_t from_step, const void *from, int64_t to_step, void *to);
    /* to[j W + m] = from[m pitch + j step] for each image m of W, zeros where one is missing; and back */
    void (*weave)(int64_t images, int64_t pitch, int64_t n, int64_t step, const void *from, void *to);
    void (*unweave)(int64_t images, int64_t pitch, int64_t n, int64_t step, const void *from, void *to);
    /* out[i pitch + q] = start[i] + sum_k a[k][i] b[offset[k] + q] for all `blocks` of mr <= rows and n positions; out has room for
     * whole tiles of 3 vectors, b for reading that far. */
    void (*product)(int64_t blocks, int mr, int64_t n, const gr_conv_taps *k, const void *b, void *out, int64_t pitch);
    /* sums[i taps + t] += sum over images, and positions q that are within, of dy[i pitch + q] x[offset[t] + q]: [rows of dy][taps > 1] */
    gr_conv_dots_fn *each_dots[GR_CONV_MAX_DOTS + 1][2];
    /* dw[i row + t] += all lanes of sums[i taps + t], which end LANE vectors before their memory does */
    void (*fold)(int64_t rows, int64_t taps, const void *sums, void *dw, int64_t row);
};

#endif
