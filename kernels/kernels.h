/* The loops over raw arrays. Each source is written once and compiled for each instruction set; gr__kernels() picks.
 * Knows no tensor, no context, no error.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_KERNELS_H
#define GRADUS_KERNELS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline int64_t gr__least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Element types, numbered as gr_type - 1. */
enum { GR_K_BOOL, GR_K_I64, GR_K_F32, GR_K_F64, GR_K_TYPES };

/* Element-wise: n elements, dense; p[0] is the result, then the operands. The result may be one of the operands. */
typedef void gr_ew_fn(int64_t n, char *const *p);
/* y[i sy] = x[i sx], strides in elements */
typedef void gr_copy_fn(int64_t n, void *y, int64_t sy, const void *x, int64_t sx);

/* name(inputs): y; then for each input the derivative, of inputs and y, and which of them it reads: so many may have to be
 * kept or computed again. Those of functions are expanded in functions.c, where the operands are vectors and V(f)
 * is a function of kernels/vmath.h, the others in elementwise.c, where T is the type and M(f) its function of <math.h>. */
enum { GR_READS_NONE = 0, GR_READS_x = 1, GR_READS_y = 2 };
#define GR_EW_PLAIN(X)                                                                                               \
    X(neg, -x, -1, NONE)                                                                                             \
    X(relu, x <= 0 ? 0 : x, (T)(y <= 0 ? 0 : 1), y)                                                                  \
    X(abs, M(fabs)(x), sign_of(x), x)                                                                                \
    X(sign, sign_of(x), 0, NONE)                                                                                     \
    X(heaviside, (T)(x <= 0 ? 0 : 1), 0, NONE)                                                                       \
    X(square, x *x, 2 * x, x)                                                                                        \
    X(reciprocal, 1 / x, -(y * y), y)
#define GR_EW_FUNCTIONS(X)                                                                                           \
    X(exp, V(exp)(x), y, y)                                                                                          \
    X(sqrt, V(sqrt)(x), (T)0.5 * V(inverse)(y), y)                                                                   \
    X(log, V(log)(x), V(inverse)(x), x)                                                                              \
    X(sin, V(sin)(x), V(cos)(x), x)                                                                                  \
    X(cos, V(cos)(x), -V(sin)(x), x)                                                                                 \
    X(tanh, V(tanh)(x), 1 - y * y, y)                                                                                \
    X(sigmoid, V(logistic)(x), y * (1 - y), y)                                                                       \
    X(expm1, V(expm1)(x), y + 1, y)                                                                                  \
    X(log1p, V(log1p)(x), V(inverse)(1 + x), x)                                                                      \
    X(erf, V(erf)(x), (T)1.1283791670955126 * V(exp)(-x * x), x) /* 2 / sqrt(pi) */                                  \
    X(gelu, V(gelu)(x), V(gelu_d)(x), x)                                                                             \
    X(silu, V(silu)(x), V(silu_d)(x), x)                                                                             \
    X(softplus, V(softplus)(x), V(logistic)(x), x)
#define GR_EW_UNARY(X) GR_EW_PLAIN(X) GR_EW_FUNCTIONS(X)

enum { GR_READS_a = 1, GR_READS_b = 2, GR_READS_by = 2 + 4, GR_READS_ab = 1 + 2, GR_READS_aby = 1 + 2 + 4 };
#define GR_EW_BINARY_PLAIN(X)                                                                                        \
    X(add, a + b, 1, NONE, 1, NONE)                                                                                  \
    X(sub, a - b, 1, NONE, -1, NONE)                                                                                 \
    X(mul, a *b, b, b, a, a)                                                                                         \
    X(maximum, larger(a, b), share(a, b), ab, share(b, a), ab)                                                       \
    X(minimum, smaller(a, b), share(-a, -b), ab, share(-b, -a), ab)                                                  \
    X(clamp_min, larger(a, b), (T)(a > b ? 1 : 0), ab, 0, NONE)                                                      \
    X(clamp_max, smaller(a, b), (T)(a < b ? 1 : 0), ab, 0, NONE)                                                     \
    X(amul, a == 0 ? 0 : a * b, b, b, a, a)                                                                          \
    X(same, (T)(a == b || (a != a && b != b) ? 1 : 0), 0, NONE, 0, NONE)                                             \
    X(max_share, share(a, b), 0, NONE, 0, NONE)
#define GR_EW_BINARY_FUNCTIONS(X)                                                                                    \
    X(div, a / b, V(inverse)(b), b, -(y * V(inverse)(b)), by)                                                        \
    X(pow, V(pow)(a, b), V(power_da)(a, b), ab, V(power_db)(a, b, y), aby)                                           \
    X(bce_with_logits, V(from_logits)(a, b), V(logistic)(a) - b, ab, -a, a)                                          \
    X(bce, -(b * V(floored_log)(a) + (1 - b) * V(floored_log)(1 - a)), (a - b) / V(at_least)(a * (1 - a), (T)1e-12), ab, \
      V(floored_log)(1 - a) - V(floored_log)(a), a)
#define GR_EW_BINARY(X) GR_EW_BINARY_PLAIN(X) GR_EW_BINARY_FUNCTIONS(X)

#define GR_EW_COMPARE(X) X(eq, ==) X(ne, !=) X(lt, <) X(le, <=) X(gt, >) X(ge, >=)

/* The table's rows. name is the value, name_dx (name_da, name_db) the product dy * derivative with an absorbing zero:
 * operands dy, then the inputs, then y. */
enum {
#define ROW(name, y, d, reads) GR_EW_##name, GR_EW_##name##_dx,
    GR_EW_UNARY(ROW)
#undef ROW
#define ROW(name, y, da, a, db, b) GR_EW_##name, GR_EW_##name##_da, GR_EW_##name##_db,
        GR_EW_BINARY(ROW)
#undef ROW
#define ROW(name, op) GR_EW_##name,
            GR_EW_COMPARE(ROW)
#undef ROW
                GR_EW_where,      /* operands: bool, a, b */
    GR_EW_COUNT
};

/* y[i, j] = y[i, j] op x[i, j] for i < m, j < n: strides in elements, those of y are 0 along what is reduced. Of max and min a
 * NaN wins. The fastest when xs[1] is 1. */
enum { GR_REDUCE_sum, GR_REDUCE_prod, GR_REDUCE_max, GR_REDUCE_min, GR_REDUCE_COUNT };
typedef void gr_reduce_fn(int64_t m, int64_t n, const void *x, const int64_t xs[2], void *y, const int64_t ys[2]);

/* Rows of n contiguous elements. Of logsumexp y is [rows, 2], the maximum m of each row and log sum exp(x - m): their sum has not
 * the digits of both. Where m is infinite the second is 0; a NaN makes the sum NaN. */
typedef void gr_row_fn(int64_t rows, int64_t n, const void *x, void *y);
typedef void gr_row_dx_fn(int64_t rows, int64_t n, const void *y, const void *dy, void *dx);
/* Rows of at most GR_FEW_CLASSES elements and the class t of each. cross_entropy: y = -log softmax(x)[t], with the digits that a small one
 * has. cross_entropy_dx: dx = dy (softmax(x) - onehot(t)), a zero dy absorbing. */
enum { GR_FEW_CLASSES = 15 };
typedef void gr_classes_fn(int64_t rows, int64_t n, const void *x, const int64_t *t, void *y);
typedef void gr_classes_dx_fn(int64_t rows, int64_t n, const void *x, const int64_t *t, const void *dy, void *dx);
/* y = h w + b, h = (x - mean) / sqrt(variance + eps) of each row; and its derivatives, each of which may be NULL. */
typedef void gr_layer_norm_fn(int64_t rows, int64_t n, double eps, const void *x, const void *w, const void *b, void *y);
typedef void gr_layer_norm_back_fn(int64_t rows, int64_t n, double eps, const void *x, const void *w, const void *dy, void *dx, void *dw,
                                   void *db);

/* Attention scores, rows of n, of which row r takes the first seen + r step into account (all, if there are not so many).
 * attention: x = softmax(scale x), the others 0, in place; scale is not 0. attention_dx: from p, what that gave, and its gradient d, that of x in
 * place of d. */
typedef void gr_attention_fn(int64_t rows, int64_t n, int64_t seen, int64_t step, double scale, void *x);
typedef void gr_attention_dx_fn(int64_t rows, int64_t n, int64_t seen, int64_t step, double scale, const void *p, void *d);

/* One step of an LSTM for rows of n units. A row of gates is what goes into i, f, g, o: n of each; a row of y is h, c, i, f, g, o;
 * rows of c, the state before the step, are cs apart.
 * lstm: y from the gates a + b, c = f c + i g, h = o tanh c. lstm_back: from dy and dh, which adds to that of h, and dc, which adds
 * to that of c: da, and dc becomes the gradient of the state before. */
typedef void gr_lstm_fn(int64_t rows, int64_t n, const void *a, const void *b, const void *c, int64_t cs, void *y);
typedef void gr_lstm_back_fn(int64_t rows, int64_t n, const void *y, const void *c, int64_t cs, const void *dy, const void *dh, void *dc, void *da);

/* c = a b: c[i cs + j] = sum_k a[i as[0] + k as[1]] b[k bs[0] + j bs[1]] for i < m and j < n. c is made of gemm_units; gemm_part does
 * those from first to end - 1, up to INT64_MAX for all, whose bits do not depend on how they are cut. It needs gemm_part_scratch bytes,
 * often 0, or the gemm_scratch of any size as large; they begin a line of 64. The loops are in the table. */
typedef struct gr_gemm_loops gr_gemm_loops;
typedef struct gr_gemm_size {
    int64_t m, n, k, as[2], bs[2], cs;
} gr_gemm_size;
void gr__gemm_part(const gr_gemm_loops *l, const gr_gemm_size *s, int64_t first, int64_t end, const void *a, const void *b, void *c, void *scratch);
int64_t gr__gemm_units(const gr_gemm_loops *l, const gr_gemm_size *s);
size_t gr__gemm_part_scratch(const gr_gemm_loops *l, const gr_gemm_size *s);
size_t gr__gemm_scratch(const gr_gemm_loops *l, int64_t m, int64_t n, int64_t k);
static inline void gr__gemm(const gr_gemm_loops *l, const gr_gemm_size *s, const void *a, const void *b, void *c, void *scratch)
{
    gr__gemm_part(l, s, 0, INT64_MAX, a, b, c, scratch);
}

/* Makes elements first to first + count - 1 of y, the first of them at y[0], of what k describes. */
typedef void gr_maker_fn(const void *k, int64_t first, int64_t count, void *y);
/* y[i n + j] = b[j] + sum over k < steps of a[i as[0] + k as[1]] b[(k + 1) bs + j], j < n: the sum in the order of k, each step as
 * fma() has it where the machine fuses: affine makes some of y. */
typedef struct gr_affine {
    int64_t n, steps, as[2], bs;
    const void *a, *b;
} gr_affine;
/* What its adjoint does with some elements of [.., n], the first of them at x[0]: sums[k, j] += sum over i of a[i as[0] + k as[1]] x[i, j]
 * for k < steps, sums [.., n], in the order of i; if plain, the sum of x[i, j] comes first. b is not read. */
typedef void gr_affine_adjoint_fn(const gr_affine *k, bool plain, int64_t first, int64_t count, const void *x, void *sums);

/* Convolution: x [n, groups cin, h, w], w [groups cout, cin, kh, kw], y [n, groups cout, oh, ow], all contiguous, with
 * oh = (h + 2 padding - dilation (kh - 1) - 1) / stride + 1 of at least 1.
 * conv2d: (x, w) -> y; conv2d_input: (y, w) -> x and conv2d_weight: (x, y) -> w are its adjoints. They work on the images
 * first to end - 1 of all; w is the packed one of conv2d_pack (with the bias that each y begins with, NULL for none) or
 * conv2d_input_pack, and the result w that of these images alone. Memory for it and for scratch, of each call that runs at a time,
 * as conv2d_bytes says. What they call is in the table. */
typedef struct gr_conv_loops gr_conv_loops;
typedef struct gr_conv2d_size {
    int64_t n, groups, cin, cout; /* channels of one group */
    int64_t h, w, kh, kw, oh, ow, stride[2], padding[2], dilation[2];
    bool bias; /* conv2d_weight: after w there is room for the gradient of a bias [groups cout] */
} gr_conv2d_size;
typedef struct gr_conv2d_bytes {
    size_t packed, scratch; /* multiples of 64; scratch 2^63: more than there is */
    int64_t images;         /* that are worked on together: best called for multiples of them */
} gr_conv2d_bytes;
gr_conv2d_bytes gr__conv2d_bytes(const gr_conv_loops *l, const gr_conv2d_size *s); /* enough for each of the three */
void gr__conv2d_pack(const gr_conv_loops *l, const gr_conv2d_size *s, const void *w, const void *bias, void *packed);
void gr__conv2d_input_pack(const gr_conv_loops *l, const gr_conv2d_size *s, const void *w, void *packed);
typedef void gr_conv2d_fn(const gr_conv_loops *l, const gr_conv2d_size *s, int64_t first, int64_t end, const void *a, const void *b, void *out, void *scratch);
gr_conv2d_fn gr__conv2d, gr__conv2d_input, gr__conv2d_weight;

/* Pooling of contiguous planes [h, w] of less than 2^31 elements into [oh, ow] windows; positions count the elements of a plane.
 * argmax_pool2d: the first largest of each window, a NaN being larger than all; padding <= k / 2.
 * read_planes: y[p, j] = x[p, index[p, j]] for j < n; add_planes: y = 0, then y[p, index[p, j]] += x[p, j]. */
typedef struct gr_pool2d_size {
    int64_t planes, h, w, kh, kw, oh, ow, stride[2], padding[2];
} gr_pool2d_size;
typedef void gr_pool2d_fn(const gr_pool2d_size *s, const void *x, int64_t *index);
typedef void gr_planes_fn(int64_t planes, int64_t n, int64_t plane, const int64_t *index, const void *x, void *y);

/* max_tiles: y = max of windows that tile the plane: stride as the kernel, no padding, w = ow kw.
 * max_tiles_dx: dx = dy at the first of the largest, else 0. */
typedef void gr_max_tiles_fn(const gr_pool2d_size *s, const void *x, void *y);
typedef void gr_max_tiles_dx_fn(const gr_pool2d_size *s, const void *x, const void *y, const void *dy, void *dx);

/* Updates of n parameters w by their gradient g.
 * sgd: d = g + decay w; v = momentum v + undamped d (the first time d); w -= lr v, with nesterov lr (d + momentum v).
 *      v NULL: w -= lr d.
 * adam: d = g + decay w; m, v: means of d and d^2; w = shrink w - size m / (sqrt(v) / root + eps). top: NULL, or the
 *      largest v so far, which then stands for v. */
typedef struct gr_sgd_args {
    double lr, momentum, undamped, decay;
    bool first, nesterov;
} gr_sgd_args;
typedef struct gr_adam_args {
    double size, root, eps, beta1, beta2, decay, shrink;
} gr_adam_args;
typedef void gr_sgd_fn(int64_t n, const gr_sgd_args *h, void *w, const void *g, void *v);
typedef void gr_adam_fn(int64_t n, const gr_adam_args *h, void *w, const void *g, void *m, void *v, void *top);

typedef struct gr_kernel_table {
    const char *isa;
    gr_ew_fn *ew[GR_EW_COUNT][GR_K_TYPES];          /* NULL where the type has no such operation */
    uint8_t reads[GR_EW_COUNT];                     /* bit k - 1: operand p[k] is read */
    gr_ew_fn *convert[GR_K_TYPES][GR_K_TYPES];      /* [from][to] */
    gr_copy_fn *copy[GR_K_TYPES];
    gr_reduce_fn *reduce[GR_REDUCE_COUNT][GR_K_TYPES];
    gr_row_fn *softmax[GR_K_TYPES], *log_softmax[GR_K_TYPES], *logsumexp[GR_K_TYPES];
    gr_row_dx_fn *softmax_dx[GR_K_TYPES];
    gr_classes_fn *cross_entropy[GR_K_TYPES];
    gr_classes_dx_fn *cross_entropy_dx[GR_K_TYPES];
    gr_layer_norm_fn *layer_norm[GR_K_TYPES];
    gr_layer_norm_back_fn *layer_norm_back[GR_K_TYPES];
    gr_attention_fn *attention[GR_K_TYPES];
    gr_attention_dx_fn *attention_dx[GR_K_TYPES];
    gr_lstm_fn *lstm[GR_K_TYPES];
    gr_lstm_back_fn *lstm_back[GR_K_TYPES];
    gr_sgd_fn *sgd[GR_K_TYPES];
    gr_adam_fn *adam[GR_K_TYPES];
    gr_maker_fn *affine[GR_K_TYPES];
    gr_affine_adjoint_fn *affine_adjoint[GR_K_TYPES];
    const gr_gemm_loops *gemm[GR_K_TYPES];
    const gr_conv_loops *conv[GR_K_TYPES];
    gr_pool2d_fn *argmax_pool2d[GR_K_TYPES];
    gr_max_tiles_fn *max_tiles[GR_K_TYPES];
    gr_max_tiles_dx_fn *max_tiles_dx[GR_K_TYPES];
    gr_planes_fn *read_planes[GR_K_TYPES], *add_planes[GR_K_TYPES];
} gr_kernel_table;

/* The best table that this machine runs, at most what the environment variable GRADUS_ISA names (portable, avx2,
 * avx512, neon). Chosen once. */
extern _Atomic(const gr_kernel_table *) gr__chosen_kernels; /* NULL until somebody asks */
const gr_kernel_table *gr__choose_kernels(void);
static inline const gr_kernel_table *gr__kernels(void)
{
    const gr_kernel_table *t = atomic_load_explicit(&gr__chosen_kernels, memory_order_acquire);
    return t ? t : gr__choose_kernels();
}
/* Every table that was compiled and runs here, the portable one first. */
int gr__kernel_tables(const gr_kernel_table *const **list);

#endif
