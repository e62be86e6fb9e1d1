/* gradus operations: what can be done to a tensor. Each is a record (core/core.h) and a function that applies it.
 * Knows no layer and no loss beyond the fused ones.
 * SPDX-License-Identifier: MIT
 *
 * Broadcasting follows NumPy: shapes are aligned at the right, sizes of 1 stretch. It is an operation of its own
 * (gr_broadcast_to), so that the sum on the way back (gr_sum_to) is a step of its own too.
 * dtypes promote bool < i64 < f32 < f64; a number takes the dtype of the tensor beside it. */
#ifndef GRADUS_OPS_H
#define GRADUS_OPS_H

#include "core/core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every operation of the library, in the order of the documentation: count, then gr_op_at(0 .. count - 1). */
GR_API int gr_op_count(void);
GR_API const gr_op *gr_op_at(int i);
GR_API const gr_op *gr_op_find(const char *name); /* NULL if there is none */

/* ---- tensor or number ------------------------------------------------------------------------------------------*/
/* Two words, which a call passes in registers: a third would go through memory. */
typedef struct gr_operand {
    gr_tensor *t; /* NULL: a call that failed; GR_A_NUMBER: the number v */
    double v;
} gr_operand;
#define GR_A_NUMBER ((gr_tensor *)(uintptr_t)1) /* where no tensor is */
static inline gr_operand gr_operand_tensor(gr_tensor *t)
{
    gr_operand o = { t, 0 };
    return o;
}
static inline gr_operand gr_operand_number(double v)
{
    gr_operand o = { GR_A_NUMBER, v };
    return o;
}
static inline bool gr_operand_is_number(gr_operand o) { return o.t == GR_A_NUMBER; }

/* ---- element-wise, two inputs: y[i] = f(a[i], b[i]); shapes broadcast ----------------------------------------------*/
GR_API gr_tensor *gr_add(gr_tensor *a, gr_tensor *b); /* y = a + b            da = dy, db = dy */
GR_API gr_tensor *gr_sub(gr_tensor *a, gr_tensor *b); /* y = a - b            da = dy, db = -dy */
GR_API gr_tensor *gr_mul(gr_tensor *a, gr_tensor *b); /* y = a b              da = dy b, db = dy a */
GR_API gr_tensor *gr_div(gr_tensor *a, gr_tensor *b); /* y = a / b            da = dy / b, db = -dy a / b^2; i64 becomes float */
/* y = a^b            da = dy b a^(b-1), 0 where b = 0;  db = dy y log a, 0 where a = 0 and b >= 0 */
GR_API gr_tensor *gr_pow(gr_tensor *a, gr_tensor *b);
/* y = max(a, b)      the larger gets dy; ties of two tensors get dy / 2 each, a tie with a number gives 0 */
GR_API gr_tensor *gr_maximum(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_minimum(gr_tensor *a, gr_tensor *b);
/* y = g d where g != 0, else 0: how a cotangent g meets a local derivative d, so that 0 * inf = 0.   dg = dy d, dd = dy g */
GR_API gr_tensor *gr_amul(gr_tensor *g, gr_tensor *d);
/* -(t log s(x) + (1 - t) log(1 - s(x))), s the sigmoid, as max(x, 0) - x t + log(1 + exp(-|x|)).  dx = dy (s(x) - t), dt = -dy x */
GR_API gr_tensor *gr_bce_with_logits(gr_tensor *x, gr_tensor *t);

/* y = -(t log p + (1 - t) log(1 - p)) of probabilities p in [0, 1], logarithms at least -100 (PyTorch's BCELoss).
 * dp = dy (p - t) / max(p (1 - p), 1e-12), dt = dy (log(1 - p) - log p). Prefer gr_bce_with_logits: it loses nothing.
 * Fails with GR_EVALUE for p outside [0, 1]. */
GR_API gr_tensor *gr_bce(gr_tensor *p, gr_tensor *t);
/* y = max(a, b) where b is a parameter: da = dy where a > b, 0 at the tie; no db. What gr_maximum(x, 0.5) applies. */
GR_API gr_tensor *gr_clamp_min(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_clamp_max(gr_tensor *a, gr_tensor *b);
/* y = 1 where a = b or both are NaN, else 0; y = 1, 1/2, 0 where a >, =, < b, all to a NaN. Derivatives 0. */
GR_API gr_tensor *gr_same(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_max_share(gr_tensor *a, gr_tensor *b);

/* bool results, no derivative */
GR_API gr_tensor *gr_eq(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_ne(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_lt(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_le(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_gt(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_ge(gr_tensor *a, gr_tensor *b);

/* y = c ? a : b, c bool.   da = dy where c, db = dy where not c */
GR_API gr_tensor *gr_where(gr_tensor *c, gr_tensor *a, gr_tensor *b);

/* y = value where mask, else x; mask bool.   dx = dy where not mask, whatever x is there */
GR_API gr_tensor *gr_masked_fill(gr_tensor *x, gr_tensor *mask, double value);

GR_API gr_tensor *gr_add_any(gr_operand a, gr_operand b);
GR_API gr_tensor *gr_sub_any(gr_operand a, gr_operand b);
GR_API gr_tensor *gr_mul_any(gr_operand a, gr_operand b);
GR_API gr_tensor *gr_div_any(gr_operand a, gr_operand b);
GR_API gr_tensor *gr_pow_any(gr_operand a, gr_operand b);
GR_API gr_tensor *gr_maximum_any(gr_operand a, gr_operand b);
GR_API gr_tensor *gr_minimum_any(gr_operand a, gr_operand b);
GR_API gr_tensor *gr_eq_any(gr_operand a, gr_operand b);
GR_API gr_tensor *gr_ne_any(gr_operand a, gr_operand b);
GR_API gr_tensor *gr_lt_any(gr_operand a, gr_operand b);
GR_API gr_tensor *gr_le_any(gr_operand a, gr_operand b);
GR_API gr_tensor *gr_gt_any(gr_operand a, gr_operand b);
GR_API gr_tensor *gr_ge_any(gr_operand a, gr_operand b);
GR_API gr_tensor *gr_where_any(gr_tensor *c, gr_operand a, gr_operand b);

#ifndef __cplusplus
#define GR_OPERAND(x) _Generic((x), gr_tensor *: gr_operand_tensor, default: gr_operand_number)(x)
#define gr_add(a, b) gr_add_any(GR_OPERAND(a), GR_OPERAND(b))
#define gr_sub(a, b) gr_sub_any(GR_OPERAND(a), GR_OPERAND(b))
#define gr_mul(a, b) gr_mul_any(GR_OPERAND(a), GR_OPERAND(b))
#define gr_div(a, b) gr_div_any(GR_OPERAND(a), GR_OPERAND(b))
#define gr_pow(a, b) gr_pow_any(GR_OPERAND(a), GR_OPERAND(b))
#define gr_maximum(a, b) gr_maximum_any(GR_OPERAND(a), GR_OPERAND(b))
#define gr_minimum(a, b) gr_minimum_any(GR_OPERAND(a), GR_OPERAND(b))
#define gr_eq(a, b) gr_eq_any(GR_OPERAND(a), GR_OPERAND(b))
#define gr_ne(a, b) gr_ne_any(GR_OPERAND(a), GR_OPERAND(b))
#define gr_lt(a, b) gr_lt_any(GR_OPERAND(a), GR_OPERAND(b))
#define gr_le(a, b) gr_le_any(GR_OPERAND(a), GR_OPERAND(b))
#define gr_gt(a, b) gr_gt_any(GR_OPERAND(a), GR_OPERAND(b))
#define gr_ge(a, b) gr_ge_any(GR_OPERAND(a), GR_OPERAND(b))
#define gr_where(c, a, b) gr_where_any(c, GR_OPERAND(a), GR_OPERAND(b))
#endif

/* ---- element-wise, one input: y[i] = f(x[i]); i64 and bool become the context's float ------------------------------*/
GR_API gr_tensor *gr_neg(gr_tensor *x);     /* y = -x          dx = -dy */
GR_API gr_tensor *gr_exp(gr_tensor *x);     /* y = e^x         dx = dy y */
GR_API gr_tensor *gr_log(gr_tensor *x);     /* y = ln x        dx = dy / x, also for x < 0, where y is NaN */
GR_API gr_tensor *gr_sqrt(gr_tensor *x);    /* y = x^(1/2)     dx = dy / (2 y): inf at 0 */
GR_API gr_tensor *gr_sin(gr_tensor *x);     /* y = sin x       dx = dy cos x */
GR_API gr_tensor *gr_cos(gr_tensor *x);     /* y = cos x       dx = -dy sin x */
GR_API gr_tensor *gr_tanh(gr_tensor *x);    /* y = tanh x      dx = dy (1 - y^2) */
GR_API gr_tensor *gr_sigmoid(gr_tensor *x); /* y = 1 / (1 + e^-x)   dx = dy y (1 - y) */
GR_API gr_tensor *gr_relu(gr_tensor *x);    /* y = max(x, 0)   dx = dy where x > 0, 0 at 0 */
GR_API gr_tensor *gr_abs(gr_tensor *x);     /* y = |x|         dx = dy sign(x), 0 at 0 */
GR_API gr_tensor *gr_sign(gr_tensor *x);    /* y = -1, 0, 1    dx = 0 */
GR_API gr_tensor *gr_heaviside(gr_tensor *x);    /* y = 0 for x <= 0, else 1    dx = 0 */
GR_API gr_tensor *gr_square(gr_tensor *x);  /* y = x^2         dx = 2 dy x */
GR_API gr_tensor *gr_reciprocal(gr_tensor *x); /* y = 1 / x    dx = -dy y^2 */
GR_API gr_tensor *gr_expm1(gr_tensor *x);   /* y = e^x - 1, exact near 0       dx = dy (y + 1) */
GR_API gr_tensor *gr_log1p(gr_tensor *x);   /* y = ln(1 + x), exact near 0     dx = dy / (1 + x) */
GR_API gr_tensor *gr_erf(gr_tensor *x);     /* y = 2 / sqrt(pi) int_0^x e^(-t^2) dt     dx = dy 2 / sqrt(pi) e^(-x^2) */
/* y = x Phi(x), Phi the normal distribution function: (1 + erf(x / sqrt 2)) / 2; exact form, no tanh.
 * dx = dy (Phi(x) + x phi(x)), phi(x) = e^(-x^2 / 2) / sqrt(2 pi). Source: Hendrycks and Gimpel, arXiv 1606.08415 */
GR_API gr_tensor *gr_gelu(gr_tensor *x);
GR_API gr_tensor *gr_silu(gr_tensor *x);     /* y = x s(x), s the sigmoid    dx = dy s(x) (1 + x (1 - s(x))) */
GR_API gr_tensor *gr_softplus(gr_tensor *x); /* y = ln(1 + e^x)              dx = dy s(x), without a threshold */
/* y = min(max(x, low), high); dx = dy strictly between the bounds, 0 at and outside them */
GR_API gr_tensor *gr_clamp(gr_tensor *x, double low, double high);
/* The same elements in another dtype; towards zero for i64, x != 0 for bool. dx = dy in the dtype of x; float to float only */
GR_API gr_tensor *gr_astype(gr_tensor *x, gr_type dtype);

/* ---- reductions over dimensions: all of them by default --------------------------------------------------------------
 * gr_sum(x, .dims = GR_DIMS(0, -1), .keepdim = true). Kept dimensions have size 1. */
typedef struct gr_reduce_opts {
    gr_dims dims;
    bool keepdim;
    unsigned char end_;
} gr_reduce_opts;
GR_API gr_tensor *gr_sum_with(gr_tensor *x, gr_reduce_opts o);  /* dx = dy for every addend */
GR_API gr_tensor *gr_mean_with(gr_tensor *x, gr_reduce_opts o); /* dx = dy / n; NaN for n = 0 */
GR_API gr_tensor *gr_prod_with(gr_tensor *x, gr_reduce_opts o); /* dx = dy times the other factors, exact with zeros */
GR_API gr_tensor *gr_max_with(gr_tensor *x, gr_reduce_opts o);  /* dx: dy shared evenly by the largest; a NaN wins */
GR_API gr_tensor *gr_min_with(gr_tensor *x, gr_reduce_opts o);
#define gr_sum(...) GR_OPT1(gr_sum_with, gr_reduce_opts, __VA_ARGS__)
#define gr_mean(...) GR_OPT1(gr_mean_with, gr_reduce_opts, __VA_ARGS__)
#define gr_prod(...) GR_OPT1(gr_prod_with, gr_reduce_opts, __VA_ARGS__)
#define gr_max(...) GR_OPT1(gr_max_with, gr_reduce_opts, __VA_ARGS__)
#define gr_min(...) GR_OPT1(gr_min_with, gr_reduce_opts, __VA_ARGS__)
/* The position of the first largest (smallest) along dim: i64 without that dimension. No derivative. A NaN wins. */
GR_API gr_tensor *gr_argmax(gr_tensor *x, int dim);
GR_API gr_tensor *gr_argmin(gr_tensor *x, int dim);

/* y = log sum_j exp x_j along dim, computed as m + log sum exp(x - m), m the maximum.   dx = dy softmax(x); all -inf: y -inf, dx 0 */
GR_API gr_tensor *gr_logsumexp_with(gr_tensor *x, gr_reduce_opts o);
#define gr_logsumexp(...) GR_OPT1(gr_logsumexp_with, gr_reduce_opts, __VA_ARGS__)
GR_API gr_tensor *gr_softmax(gr_tensor *x, int dim);     /* y = exp(x - logsumexp x)   dx = y (dy - sum(dy y)) */
/* The softmax of the elements whose mask is true; the others are 0, as is a row without any, and get no gradient. mask: bool,
 * broadcasts to x. */
GR_API gr_tensor *gr_masked_softmax(gr_tensor *x, gr_tensor *mask, int dim);
GR_API gr_tensor *gr_log_softmax(gr_tensor *x, int dim); /* y = x - logsumexp x        dx = dy - softmax(x) sum(dy) */

/* y = h w + b, h = (x - m) r along the last dimension: m = mean x, r = 1 / sqrt(mean (x - m)^2 + eps)
 * x: [.., n]   weight w, bias b: [n], absent: ones, zeros   y: [.., n]
 * dx = r (g - mean g - h mean(g h)), g = dy w;  dw = sum over rows of dy h, db of dy.
 * Fails with GR_ESHAPE for another size of w or b. Source: Ba, Kiros, Hinton, arXiv 1607.06450 */
typedef struct gr_layer_norm_opts {
    gr_tensor *weight, *bias;
    double eps; /* default 1e-5 */
    unsigned char end_;
} gr_layer_norm_opts;
GR_API gr_tensor *gr_layer_norm_with(gr_tensor *x, gr_layer_norm_opts o);
#define gr_layer_norm(...) GR_OPT1(gr_layer_norm_with, gr_layer_norm_opts, __VA_ARGS__)

/* ---- shape -----------------------------------------------------------------------------------------------------------
 * All but gr_contiguous, gr_cat, gr_stack share memory with x where its strides allow. */
GR_API gr_tensor *gr_broadcast_to(gr_tensor *x, gr_dims shape); /* copies nothing      dx = gr_sum_to(dy, shape of x) */
GR_API gr_tensor *gr_sum_to(gr_tensor *x, gr_dims shape);       /* its adjoint         dx = gr_broadcast_to(dy, shape of x) */
GR_API gr_tensor *gr_reshape(gr_tensor *x, gr_dims shape);      /* one size may be -1: it is computed */
GR_API gr_tensor *gr_permute(gr_tensor *x, gr_dims order);      /* y.shape[i] = x.shape[order[i]] */
GR_API gr_tensor *gr_transpose(gr_tensor *x, int a, int b);     /* swaps two dimensions */
GR_API gr_tensor *gr_unsqueeze(gr_tensor *x, int dim);          /* a new dimension of size 1 before dim */
GR_API gr_tensor *gr_squeeze(gr_tensor *x, int dim);            /* removes a dimension of size 1 */
GR_API gr_tensor *gr_flatten(gr_tensor *x, int from);           /* dimensions from .. last become one */
GR_API gr_tensor *gr_contiguous(gr_tensor *x);                  /* x itself if it is contiguous */
typedef struct gr_slice_opts {
    int64_t step; /* default 1; at least 1 */
    unsigned char end_;
} gr_slice_opts;
/* y = x[.., start:stop:step, ..] along dim; negative positions count from the end; both are clipped as in Python.
 * dx = zeros with dy in place of the slice */
GR_API gr_tensor *gr_slice_with(gr_tensor *x, int dim, int64_t start, int64_t stop, gr_slice_opts o);
#define gr_slice(...) GR_OPT4(gr_slice_with, gr_slice_opts, __VA_ARGS__)
#define GR_END INT64_MAX /* a stop at the end */
GR_API gr_tensor *gr_select(gr_tensor *x, int dim, int64_t index); /* one position along dim; the dimension goes */
GR_API gr_tensor *gr_cat(gr_tensor *const *x, int n, int dim);     /* end to end along dim    dx_i = the slice of dy */
GR_API gr_tensor *gr_stack(gr_tensor *const *x, int n, int dim);   /* along a new dimension */

/* ---- indexing --------------------------------------------------------------------------------------------------------
 * index is i64; negative entries are refused, as are those past the end: the message names entry, dimension and size. */
/* y[i][j] = x[index[i][j]][j] for dim 0; index has the rank of x, and its sizes but for dim are at most those of x. */
GR_API gr_tensor *gr_gather(gr_tensor *x, int dim, gr_tensor *index);
/* y = x, then y[index[i][j]][j] += src[i][j] for dim 0, in row-major order.  dx = dy, dsrc = gr_gather(dy) */
GR_API gr_tensor *gr_scatter_add(gr_tensor *x, int dim, gr_tensor *index, gr_tensor *src);

/* y[.., i, ..] = x[.., index[i], ..] along dim; the index has any shape, which takes the place of dim.
 * dx = gr_index_add(zeros, dy): what is read twice gets both parts, in row-major order */
GR_API gr_tensor *gr_index_select(gr_tensor *x, int dim, gr_tensor *index);
/* y = x, then y[.., index[i], ..] += src[.., i, ..] in row-major order.  dx = dy, dsrc = gr_index_select(dy) */
GR_API gr_tensor *gr_index_add(gr_tensor *x, int dim, gr_tensor *index, gr_tensor *src);
/* The rows of weight by number.  weight: [v, d]   index: [..]   y: [.., d] */
GR_API gr_tensor *gr_embedding(gr_tensor *weight, gr_tensor *index);

/* ---- contractions ----------------------------------------------------------------------------------------------------*/
/* y = a b, the matrix product: y[i,j] = sum_k a[i,k] b[k,j].      gradient: da = dy b^T, db = a^T dy
 * a: [..., m, k]   b: [..., k, n]   y: [..., m, n]; leading dimensions broadcast. A vector a is a row, b a column; that
 * dimension is left out of y.   Fails with GR_ESHAPE when k differs. */
GR_API gr_tensor *gr_matmul(gr_tensor *a, gr_tensor *b);
/* y = b + x w, as gr_add(gr_matmul(x, w), b), to which other shapes go.    gradient: db = sum over rows of dy, dx = dy w^T, dw = x^T dy
 * b: [n]   x: [..., k]   w: [k, n]   y: [..., n] */
GR_API gr_tensor *gr_addmm(gr_tensor *b, gr_tensor *x, gr_tensor *w);

/* y[n, o, i, j] = bias[o] + sum over c, k, l of x[n, c, i s - p + k d, j s - p + l d] w[o, c, k, l], zero outside the image:
 * the cross-correlation that networks call convolution.      dx = conv2d_input(dy, w), dw = conv2d_weight(x, dy), dbias = sum of dy
 * x: [n, in, h, w]   w: [out, in / groups, kh, kw]   bias: [out]   y: [n, out, (h + 2 p - d (kh - 1) - 1) / s + 1, ...]
 * Group g of the output channels reads group g of the input channels. Numbers are for rows, then columns: .stride = {2, 2}.
 * Zeros of padding are multiplied like other numbers: with an infinite weight they give NaN.
 * Fails with GR_ESHAPE where channels do not fit or the kernel is larger than the padded image. */
typedef struct gr_conv2d_opts {
    gr_tensor *bias;
    int stride[2];   /* default 1, 1 */
    int padding[2];
    int dilation[2]; /* default 1, 1 */
    int groups;      /* default 1 */
    int output_padding[2]; /* gr_conv_transpose2d alone: rows and columns more, below the stride */
    unsigned char end_;
} gr_conv2d_opts;
GR_API gr_tensor *gr_conv2d_with(gr_tensor *x, gr_tensor *w, gr_conv2d_opts o);
#define gr_conv2d(...) GR_OPT2(gr_conv2d_with, gr_conv2d_opts, __VA_ARGS__)
/* The adjoint: what gr_conv2d with these options does backwards. A stride makes the image larger.
 * x: [n, in, h, w]   w: [in, out / groups, kh, kw]   y: [n, out, (h - 1) s - 2 p + d (kh - 1) + 1 + output_padding, ...] */
GR_API gr_tensor *gr_conv_transpose2d_with(gr_tensor *x, gr_tensor *w, gr_conv2d_opts o);
#define gr_conv_transpose2d(...) GR_OPT2(gr_conv_transpose2d_with, gr_conv2d_opts, __VA_ARGS__)

/* Windows of an image [n, channels, h, w]; y: [n, channels, (h + 2 p - k) / s + 1, ...]. The padding is at most half a window.
 * Fails with GR_ESHAPE where the window is larger than the padded image. */
typedef struct gr_pool2d_opts {
    int kernel[2];        /* both must be given */
    int stride[2];        /* default the kernel */
    int padding[2];
    bool exclude_padding; /* gr_avg_pool2d: divide by the elements of the image in the window, not by all */
    unsigned char end_;
} gr_pool2d_opts;
/* y = the largest of each window; padding is -inf, a NaN wins.      dx: dy to the first of the largest */
GR_API gr_tensor *gr_max_pool2d_with(gr_tensor *x, gr_pool2d_opts o);
/* Where that is: i64, i w + j in its plane. No derivative. */
GR_API gr_tensor *gr_argmax_pool2d_with(gr_tensor *x, gr_pool2d_opts o);
/* y = the mean of each window; padding is 0 and counts unless .exclude_padding.      dx = dy / n to each element of the window */
GR_API gr_tensor *gr_avg_pool2d_with(gr_tensor *x, gr_pool2d_opts o);
#define gr_max_pool2d(...) GR_OPT1(gr_max_pool2d_with, gr_pool2d_opts, __VA_ARGS__)
#define gr_argmax_pool2d(...) GR_OPT1(gr_argmax_pool2d_with, gr_pool2d_opts, __VA_ARGS__)
#define gr_avg_pool2d(...) GR_OPT1(gr_avg_pool2d_with, gr_pool2d_opts, __VA_ARGS__)

/* y = p v, p = softmax(scale q k^T): the rows of v, weighted by how well q fits the rows of k.
 * q: [.., t, d]   k: [.., s, d]   v: [.., s, e]   y: [.., t, e]; leading dimensions are equal, any strides will do
 * dv = p^T dy;  dq = ds k, dk = ds^T q with ds = scale p (dp - sum(dp p)), dp = dy v^T.  p is never stored as a whole.
 * Fails with GR_ESHAPE. Source: Vaswani et al. 2017; in blocks of rows as in Dao et al., arXiv 2205.14135 */
typedef struct gr_attention_opts {
    gr_tensor *mask; /* bool, broadcasts to [.., t, s]: true where row i of q sees row j of k; a row that sees none gives 0 */
    bool causal;     /* row i sees rows 0 .. i */
    double scale;    /* default 1 / sqrt(d) */
    unsigned char end_;
} gr_attention_opts;
GR_API gr_tensor *gr_scaled_dot_product_attention_with(gr_tensor *q, gr_tensor *k, gr_tensor *v, gr_attention_opts o);
#define gr_scaled_dot_product_attention(...) GR_OPT3(gr_scaled_dot_product_attention_with, gr_attention_opts, __VA_ARGS__)

/* ---- recurrences -----------------------------------------------------------------------------------------------------------
 * An LSTM over all steps, from x, what the inputs give to the gates:
 *   a = x_t + h_{t-1} w;   i, f, o = s(its first, second, fourth part), g = tanh(its third);   c_t = f c_{t-1} + i g;   h_t = o tanh c_t
 * x: [t, n, 4 hidden]   w: [hidden, 4 hidden]   h, c, before the first step: [n, hidden]
 * y: [t, n, 6 hidden], every step's h, c, i, f, g, o side by side: h is gr_slice(y, -1, 0, hidden), c the next.
 * dx = da, dw = sum over t of h_{t-1}^T da_t, with da from the last step to the first (back-propagation through time).
 * Fails with GR_ESHAPE. Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000. */
GR_API gr_tensor *gr_lstm_steps(gr_tensor *x, gr_tensor *w, gr_tensor *h, gr_tensor *c);

/* ---- fused losses ------------------------------------------------------------------------------------------------------
 * y = -log softmax(x)[t] for each row, without reduction.     dx = dy (softmax(x) - onehot(t))
 * x: [n, classes] or [classes], logits (with more dimensions, classes are dimension 1); t: i64 class numbers, without
 * that dimension, or probabilities of the shape of x: y = -sum_j t_j log softmax(x)_j, dt = -dy log softmax(x).
 * Fails with GR_EINDEX for a class outside [0, classes). nn/ has the mean, smoothing and weights. */
GR_API gr_tensor *gr_cross_entropy_rows(gr_tensor *x, gr_tensor *t);

/* The records, for those who look an operation up or gradient-check it. */
#define GR_OPS(X)                                                                                                    \
    X(neg) X(add) X(sub) X(mul) X(div) X(pow) X(exp) X(log) X(sqrt) X(sin) X(cos) X(tanh) X(sigmoid) X(relu) X(abs)   \
    X(sign) X(square) X(reciprocal) X(expm1) X(log1p) X(erf) X(gelu) X(silu) X(softplus)                                  \
    X(maximum) X(minimum) X(clamp_min) X(clamp_max) X(amul) X(bce_with_logits) X(bce)       \
    X(eq) X(ne) X(lt) X(le) X(gt) X(ge) X(where) X(astype)                                                            \
    X(heaviside) X(same) X(max_share)                                                                                      \
    X(sum) X(mean) X(max) X(min) X(prod) X(argmax) X(argmin) X(logsumexp) X(softmax) X(log_softmax) X(layer_norm)                   \
    X(broadcast_to) X(sum_to) X(reshape) X(permute) X(contiguous) X(slice) X(unslice) X(cat)                          \
    X(gather) X(scatter_add) X(index_select) X(index_add) X(matmul) X(addmm) X(conv2d) X(conv2d_bias) X(conv2d_input) X(conv2d_weight)        \
    X(argmax_pool2d) X(max_pool2d) X(max_unpool2d) X(attention) X(lstm_steps) X(cross_entropy)
#define GR_OP_DECLARE(name) GR_API extern const gr_op gr_op_##name;
GR_OPS(GR_OP_DECLARE)

#ifdef __cplusplus
}
#endif
#endif
