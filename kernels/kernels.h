/* The loops over raw arrays. Each source is written once and compiled for each instruction set; gr__kernels() picks.
 * Knows no tensor, no context, no error.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_KERNELS_H
#define GRADUS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Element types, numbered as gr_type - 1. */
enum { GR_K_BOOL, GR_K_I64, GR_K_F32, GR_K_F64, GR_K_TYPES };

/* Element-wise: n elements; p[0] is the result, then the operands; strides in elements, 0 repeats one element.
 * The result may be one of the operands. */
typedef void gr_ew_fn(int64_t n, char *const *p, const int64_t *stride);

/* name(inputs): y; the derivative by each input, of inputs and y. EW*(name, y, dx...) is expanded in elementwise.c, where
 * T is the type, M(f) its function of <math.h>, V(f) that of kernels/vmath.h. */
#define GR_EW_UNARY(X)                                                                                               \
    X(neg, -x, -1)                                                                                                   \
    X(exp, V(exp)(x), y)                                                                                             \
    X(log, V(log)(x), 1 / x)                                                                                         \
    X(sqrt, M(sqrt)(x), (T)0.5 / y)                                                                                  \
    X(sin, M(sin)(x), M(cos)(x))                                                                                     \
    X(cos, M(cos)(x), -M(sin)(x))                                                                                    \
    X(tanh, V(tanh)(x), 1 - y * y)                                                                                   \
    X(sigmoid, V(logistic)(x), y * (1 - y))                                                                             \
    X(relu, x <= 0 ? 0 : x, (T)(x <= 0 ? 0 : 1))                                                                     \
    X(abs, M(fabs)(x), sign_of(x))                                                                                   \
    X(sign, sign_of(x), 0)                                                                                           \
    X(heaviside, (T)(x <= 0 ? 0 : 1), 0)                                                                                  \
    X(square, x *x, 2 * x)                                                                                           \
    X(reciprocal, 1 / x, -(y * y))                                                                                   \
    X(expm1, V(expm1)(x), y + 1)                                                                                     \
    X(log1p, V(log1p)(x), 1 / (1 + x))                                                                               \
    X(erf, V(erf)(x), (T)1.1283791670955126 * V(exp)(-x * x)) /* 2 / sqrt(pi) */                                      \
    X(gelu, V(gelu)(x), V(gelu_d)(x))                                                                                \
    X(silu, V(silu)(x), V(silu_d)(x))                                                                                \
    X(softplus, V(softplus)(x), V(logistic)(x))

#define GR_EW_BINARY(X)                                                                                              \
    X(add, a + b, 1, 1)                                                                                              \
    X(sub, a - b, 1, -1)                                                                                             \
    X(mul, a *b, b, a)                                                                                               \
    X(div, a / b, 1 / b, -(y / b))                                                                                   \
    X(pow, M(pow)(a, b), power_da(a, b), power_db(a, b, y))                                                          \
    X(maximum, larger(a, b), share(a, b), share(b, a))                                                               \
    X(minimum, smaller(a, b), share(-a, -b), share(-b, -a))                                                          \
    X(clamp_min, larger(a, b), (T)(a > b ? 1 : 0), 0)                                                                \
    X(clamp_max, smaller(a, b), (T)(a < b ? 1 : 0), 0)                                                               \
    X(amul, a == 0 ? 0 : a * b, b, a)                                                                                \
    X(bce_with_logits, from_logits(a, b), V(logistic)(a) - b, -a)                                                              \
    X(bce, -(b * floored_log(a) + (1 - b) * floored_log(1 - a)), (a - b) / larger(a * (1 - a), (T)1e-12),            \
      floored_log(1 - a) - floored_log(a))                                                                           \
    X(same, (T)(a == b || (a != a && b != b) ? 1 : 0), 0, 0)                                                         \
    X(max_share, share(a, b), 0, 0)

#define GR_EW_COMPARE(X) X(eq, ==) X(ne, !=) X(lt, <) X(le, <=) X(gt, >) X(ge, >=)

/* The table's rows. name is the value, name_dx (name_da, name_db) the product dy * derivative with an absorbing zero:
 * operands dy, then the inputs, then y. */
enum {
#define ROW(name, y, d) GR_EW_##name, GR_EW_##name##_dx,
    GR_EW_UNARY(ROW)
#undef ROW
#define ROW(name, y, da, db) GR_EW_##name, GR_EW_##name##_da, GR_EW_##name##_db,
        GR_EW_BINARY(ROW)
#undef ROW
#define ROW(name, op) GR_EW_##name,
            GR_EW_COMPARE(ROW)
#undef ROW
                GR_EW_where,      /* operands: bool, a, b */
    GR_EW_copy,
    GR_EW_sum,  /* reductions: p[0] (stride 0 for a run) accumulates p[1] */
    GR_EW_prod,
    GR_EW_max, /* a NaN wins */
    GR_EW_min,
    GR_EW_COUNT
};

/* Rows of n contiguous elements. */
typedef void gr_row_fn(int64_t rows, int64_t n, const void *x, void *y);
typedef void gr_row_dx_fn(int64_t rows, int64_t n, const void *y, const void *dy, void *dx);
/* y = h w + b, h = (x - mean) / sqrt(variance + eps) of each row; and its derivatives, each of which may be NULL. */
typedef void gr_layer_norm_fn(int64_t rows, int64_t n, double eps, const void *x, const void *w, const void *b, void *y);
typedef void gr_layer_norm_back_fn(int64_t rows, int64_t n, double eps, const void *x, const void *w, const void *dy, void *dx, void *dw,
                                   void *db);

/* c = a b: c[i cs + j] = sum_k a[i as[0] + k as[1]] b[k bs[0] + j bs[1]], i < m, j < n; scratch as gemm_scratch says.
 * Does the given part of `parts` of c; the parts together have the bits of the whole, part 0 of 1. */
typedef struct gr_gemm_size {
    int64_t m, n, k, as[2], bs[2], cs;
} gr_gemm_size;
typedef void gr_gemm_fn(const gr_gemm_size *s, int64_t part, int64_t parts, const void *a, const void *b, void *c, void *scratch);

/* Convolution: x [n, groups cin, h, w], w [groups cout, cin, kh, kw], y [n, groups cout, oh, ow], all contiguous, with
 * oh = (h + 2 padding - dilation (kh - 1) - 1) / stride + 1 of at least 1; scratch as conv2d_scratch says.
 * conv2d: (x, w) -> y; conv2d_input: (y, w) -> x and conv2d_weight: (x, y) -> w are its adjoints. */
typedef struct gr_conv2d_size {
    int64_t n, groups, cin, cout; /* channels of one group */
    int64_t h, w, kh, kw, oh, ow, stride[2], padding[2], dilation[2];
} gr_conv2d_size;
typedef void gr_conv2d_fn(const gr_conv2d_size *s, const void *a, const void *b, void *out, void *scratch);

/* Pooling of contiguous planes [h, w] of less than 2^31 elements into [oh, ow] windows; positions count the elements of a plane.
 * argmax_pool2d: the first largest of each window, a NaN being larger than all; padding <= k / 2.
 * read_planes: y[p, j] = x[p, index[p, j]] for j < n; add_planes: y = 0, then y[p, index[p, j]] += x[p, j]. */
typedef struct gr_pool2d_size {
    int64_t planes, h, w, kh, kw, oh, ow, stride[2], padding[2];
} gr_pool2d_size;
typedef void gr_pool2d_fn(const gr_pool2d_size *s, const void *x, int64_t *index);
typedef void gr_planes_fn(int64_t planes, int64_t n, int64_t plane, const int64_t *index, const void *x, void *y);

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
    gr_ew_fn *convert[GR_K_TYPES][GR_K_TYPES];      /* [from][to] */
    gr_row_fn *softmax[GR_K_TYPES], *log_softmax[GR_K_TYPES], *logsumexp[GR_K_TYPES];
    gr_row_dx_fn *softmax_dx[GR_K_TYPES];
    gr_layer_norm_fn *layer_norm[GR_K_TYPES];
    gr_layer_norm_back_fn *layer_norm_back[GR_K_TYPES];
    gr_sgd_fn *sgd[GR_K_TYPES];
    gr_adam_fn *adam[GR_K_TYPES];
    gr_gemm_fn *gemm[GR_K_TYPES];
    size_t (*gemm_scratch)(const gr_gemm_size *s, int type); /* bytes, 64-byte aligned; often none */
    gr_conv2d_fn *conv2d[GR_K_TYPES], *conv2d_input[GR_K_TYPES], *conv2d_weight[GR_K_TYPES];
    size_t (*conv2d_scratch)(const gr_conv2d_size *s, int type); /* for each of the three; 2^63: more than there is */
    gr_pool2d_fn *argmax_pool2d[GR_K_TYPES];
    gr_planes_fn *read_planes[GR_K_TYPES], *add_planes[GR_K_TYPES];
} gr_kernel_table;

/* The best table that this machine runs, at most what the environment variable GRADUS_ISA names (portable, avx2,
 * avx512). Chosen once. */
const gr_kernel_table *gr__kernels(void);
/* Every table that was compiled and runs here, the portable one first. */
int gr__kernel_tables(const gr_kernel_table *const **list);

#endif
