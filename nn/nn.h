/* gradus nn: layers with parameters, losses, initialisers and metrics, all of them compositions of operations.
 * Knows no rule that changes parameters and no file.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_NN_H
#define GRADUS_NN_H

#include "core/core.h"
#include "ops/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- modules ---------------------------------------------------------------------------------------------------
 * A module is one use of a layer: its attributes, its own tensors, its children. It lives in the scope it was made in.
 * Parameters learn; buffers are state that does not. Names are dotted paths from the module asked: "0.weight". */
typedef struct gr_module gr_module;

typedef struct gr_layer_sample {
    const char *input;               /* "[4, 3] in -2..2", as in gr_sample */
    gr_module *(*make)(gr_ctx *c);
} gr_layer_sample;

/* The layer record: what the library's own layers are, and yours:
 *   static gr_tensor *scale_forward(gr_module *m, gr_tensor *x) { return gr_mul(x, gr_module_get(m, "gain")); }
 *   static bool scale_make(gr_module *m) { return gr_module_param(m, "gain", gr_ones(gr_module_ctx(m), GR_SHAPE(1))); }
 *   static const gr_layer scale = { .name = "scale", .formula = "y = gain x", .make = scale_make, .forward = scale_forward };
 *   gr_module *m = gr_module_new(c, &scale, NULL); */
typedef struct gr_layer {
    const char *name;      /* "linear" */
    const char *formula;   /* "y = x weight + bias" */
    const char *modes;     /* how training differs from evaluation, in words; NULL: not at all */
    size_t attr_size;      /* bytes of *attr, copied by gr_module_new */
    bool (*make)(gr_module *m);                      /* adds parameters, buffers, children; may be NULL */
    gr_tensor *(*forward)(gr_module *m, gr_tensor *x);
    void (*describe)(const gr_module *m, char *out, size_t size); /* attributes in words: "2 -> 8"; may be NULL */
    const gr_layer_sample *samples; /* for tests/every_layer.c; ends with {NULL, NULL} */
} gr_layer;

/* Every layer of the library: count, then gr_layer_at(0 .. count - 1). */
GR_API int gr_layer_count(void);
GR_API const gr_layer *gr_layer_at(int i);
GR_API const gr_layer *gr_layer_find(const char *name); /* NULL if there is none */

GR_API gr_module *gr_module_new(gr_ctx *c, const gr_layer *layer, const void *attr);
/* Adds t, a float leaf that lives at least as long as m, and marks it as requiring a gradient. Returns it, labelled with
 * its path unless it had a label. Fails with GR_EVALUE for a name that is taken, empty or has a dot; GR_EGRAPH for a
 * tensor with history or of an inner scope. */
GR_API gr_tensor *gr_module_param(gr_module *m, const char *name, gr_tensor *t);
GR_API gr_tensor *gr_module_buffer(gr_module *m, const char *name, gr_tensor *t); /* the same without the mark */
/* Adds child, which may be shared but not contain m. Returns it. */
GR_API gr_module *gr_module_child(gr_module *m, const char *name, gr_module *child);

GR_API gr_ctx *gr_module_ctx(const gr_module *m);
GR_API const gr_layer *gr_module_layer(const gr_module *m);
GR_API const void *gr_module_attr(const gr_module *m);                      /* as given to gr_module_new; NULL if none */
GR_API gr_tensor *gr_module_get(const gr_module *m, const char *name);      /* its own parameter or buffer; NULL if none */
GR_API int gr_module_num_children(const gr_module *m);
GR_API gr_module *gr_module_child_at(const gr_module *m, int i);
GR_API const char *gr_module_child_name(const gr_module *m, int i);

/* y = m(x). NULL gives NULL. */
GR_API gr_tensor *gr_forward(gr_module *m, gr_tensor *x);
/* The same with n other tensors, leaves or not, in place of what gr_parameters(m) lists: for derivatives by parameters. */
GR_API gr_tensor *gr_forward_using(gr_module *m, gr_tensor *const *parameters, int n, gr_tensor *x);

/* A module is made in training mode. These set it for all that it contains. */
GR_API void gr_train(gr_module *m);
GR_API void gr_eval(gr_module *m);
GR_API bool gr_is_training(const gr_module *m);

/* ---- the tensors of a module and of all it contains ---------------------------------------------------------------
 * In the order they were added, parents first; shared ones once, under their first name. The lists live in the current
 * scope. */
GR_API gr_params gr_parameters(gr_module *m); /* the parameters that require a gradient: not the frozen ones */
GR_API gr_params gr_state(gr_module *m);      /* all parameters and buffers: what a file holds */
/* Copies values by name. All or nothing. Fails with GR_EVALUE for a missing or unknown name, GR_ESHAPE for another shape. */
GR_API bool gr_load_state(gr_module *m, gr_params from);
GR_API gr_tensor *gr_find_parameter(gr_module *m, const char *path); /* or buffer: "0.weight"; an error if there is none */
GR_API int64_t gr_num_parameters(gr_module *m); /* elements of all parameters, frozen ones too */
/* Frozen parameters require no gradient: the sweep passes by, and gr_parameters leaves them out. Clears their gradients. */
GR_API void gr_freeze(gr_module *m);
GR_API void gr_unfreeze(gr_module *m);
/* One line for each module: path, layer, the shape of its last result, its own parameters. As snprintf: returns the
 * length it needs. */
GR_API int gr_module_summary(gr_module *m, char *out, size_t size);

/* ---- layers ----------------------------------------------------------------------------------------------------*/
typedef gr_tensor *(*gr_init_fn)(gr_tensor *t);
typedef gr_tensor *(*gr_activation_fn)(gr_tensor *x);

/* y = x weight + bias          x: [..., in]   weight: [in, out]   bias: [out]   y: [..., out]
 * The weight is the transpose of PyTorch's, so that x weight needs none. Both start uniform in +-1 / sqrt(in), as there. */
typedef struct gr_linear_opts {
    bool no_bias;
    gr_init_fn init;      /* of the weight: gr_init_he_normal, ... */
    gr_init_fn bias_init; /* gr_init_zeros, ... */
    gr_type dtype;        /* default the context's */
    unsigned char end_;
} gr_linear_opts;
GR_API gr_module *gr_linear_with(gr_ctx *c, int64_t in, int64_t out, gr_linear_opts o);
#define gr_linear(...) GR_OPT3(gr_linear_with, gr_linear_opts, __VA_ARGS__)

/* y = f(x), f any function of one tensor; its name is kept. Without the macro: gr_activation_named(c, f, "f"). */
GR_API gr_module *gr_activation_named(gr_ctx *c, gr_activation_fn f, const char *name);
#define gr_activation(c, f) gr_activation_named(c, f, #f)

/* Training: each element is 0 with probability p, else x / (1 - p), so that the mean stays. Evaluation: y = x.
 * dx = dy in the same places and scale. p = 1 gives zeros with zero gradient, whatever x is.
 * The mask is drawn from the context's stream. Fails with GR_EVALUE for p outside [0, 1].
 * Source: Srivastava et al., Dropout, JMLR 15 (2014), in the inverted form. */
GR_API gr_tensor *gr_dropout(gr_tensor *x, double p);
GR_API gr_module *gr_dropout_layer(gr_ctx *c, double p);

/* y[i] = weight[x[i]]          x: i64 [..]   weight: [rows, width], standard normal   y: [.., width] */
typedef struct gr_embedding_opts {
    gr_type dtype; /* default the context's */
    unsigned char end_;
} gr_embedding_opts;
GR_API gr_module *gr_embedding_layer_with(gr_ctx *c, int64_t rows, int64_t width, gr_embedding_opts o);
#define gr_embedding_layer(...) GR_OPT3(gr_embedding_layer_with, gr_embedding_opts, __VA_ARGS__)

/* gr_layer_norm along the last dimension.   x: [.., n]   weight, bias: [n], ones and zeros at first */
typedef struct gr_norm_opts {
    double eps;    /* default 1e-5 */
    gr_type dtype; /* default the context's */
    unsigned char end_;
} gr_norm_opts;
GR_API gr_module *gr_layer_norm_layer_with(gr_ctx *c, int64_t n, gr_norm_opts o);
#define gr_layer_norm_layer(...) GR_OPT2(gr_layer_norm_layer_with, gr_norm_opts, __VA_ARGS__)

/* i, f, g, o = x_t weight_ih + bias_ih + h weight_hh + bias_hh;  c = s(f) c + s(i) tanh(g);  h = s(o) tanh(c)
 * x: [n, t, in]   y: h of every step, [n, t, hidden]   weight_ih: [in, 4 hidden]   weight_hh: [hidden, 4 hidden]
 * h and c start at 0. Gates stand in PyTorch's order i, f, g, o; the weights are the transposes of its; all start uniform in
 * +-1 / sqrt(hidden). Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000. */
typedef struct gr_lstm_opts {
    gr_type dtype; /* default the context's */
    unsigned char end_;
} gr_lstm_opts;
GR_API gr_module *gr_lstm_with(gr_ctx *c, int64_t in, int64_t hidden, gr_lstm_opts o);
#define gr_lstm(...) GR_OPT3(gr_lstm_with, gr_lstm_opts, __VA_ARGS__)

/* y: [n, d1, d2, ...] as [n, d1 d2 ...] */
GR_API gr_module *gr_flatten_layer(gr_ctx *c);

/* y = gr_conv2d(x, weight) + bias    x: [n, in, h, w]   weight: [out, in / groups, kernel, kernel]   bias: [out]
 * Both start uniform in +-1 / sqrt(in / groups kernel^2), as in PyTorch. Options are those of gr_conv2d. */
typedef struct gr_conv2d_layer_opts {
    int stride[2], padding[2], dilation[2], groups;
    int64_t width;        /* of the kernel; default its height */
    bool no_bias;
    gr_init_fn init, bias_init;
    gr_type dtype;        /* default the context's */
    unsigned char end_;
} gr_conv2d_layer_opts;
GR_API gr_module *gr_conv2d_layer_with(gr_ctx *c, int64_t in, int64_t out, int64_t kernel, gr_conv2d_layer_opts o);
#define gr_conv2d_layer(...) GR_OPT4(gr_conv2d_layer_with, gr_conv2d_layer_opts, __VA_ARGS__)
/* Square windows of this size, with the options of gr_max_pool2d: gr_max_pool2d_layer(c, 2). */
GR_API gr_module *gr_max_pool2d_layer_with(gr_ctx *c, int kernel, gr_pool2d_opts o);
GR_API gr_module *gr_avg_pool2d_layer_with(gr_ctx *c, int kernel, gr_pool2d_opts o);
#define gr_max_pool2d_layer(...) GR_OPT2(gr_max_pool2d_layer_with, gr_pool2d_opts, __VA_ARGS__)
#define gr_avg_pool2d_layer(...) GR_OPT2(gr_avg_pool2d_layer_with, gr_pool2d_opts, __VA_ARGS__)

/* y = the last of (... the second of (the first of x)): gr_sequential(c, gr_linear(c, 2, 8), gr_activation(c, gr_tanh)).
 * The children are named "0", "1", ... A NULL among them, as an error leaves, gives NULL. */
GR_API gr_module *gr_sequential_of(gr_ctx *c, gr_module *const *children, int n);
#define gr_sequential(c, ...)                                                                                        \
    gr_sequential_of(c, (gr_module *const[]){ __VA_ARGS__ }, (int)(sizeof((gr_module *const[]){ __VA_ARGS__ }) / sizeof(gr_module *)))

#define GR_LAYERS(X)                                                                                                 \
    X(linear) X(activation) X(dropout) X(flatten) X(conv2d) X(max_pool2d) X(avg_pool2d) X(embedding) X(layer_norm)   \
    X(lstm) X(sequential)
#define GR_LAYER_DECLARE(name) GR_API extern const gr_layer gr_layer_##name;
GR_LAYERS(GR_LAYER_DECLARE)

/* ---- initialisers ----------------------------------------------------------------------------------------------
 * Each overwrites a float leaf with numbers of the context's stream, and returns it.
 * fan-in and fan-out: of a matrix [in, out] its sizes; of a convolution's kernel [out, in, k, ...] in k ... and out k ...;
 * GR_ESHAPE for fewer dimensions. Another gain: gr_init_normal(t, 0, gain / sqrt((double)gr_fan_in(t))). */
GR_API int64_t gr_fan_in(const gr_tensor *t);  /* -1 and an error for rank 0 and 1 */
GR_API int64_t gr_fan_out(const gr_tensor *t);
GR_API gr_tensor *gr_init_uniform(gr_tensor *t, double low, double high); /* in [low, high) */
GR_API gr_tensor *gr_init_normal(gr_tensor *t, double mean, double std);
GR_API gr_tensor *gr_init_constant(gr_tensor *t, double value);
GR_API gr_tensor *gr_init_zeros(gr_tensor *t);
GR_API gr_tensor *gr_init_ones(gr_tensor *t);
GR_API gr_tensor *gr_init_fan_in_uniform(gr_tensor *t); /* +-1 / sqrt(fan-in): the default of gr_linear */
/* +-sqrt(6 / (fan-in + fan-out)), std sqrt(2 / (fan-in + fan-out)): for tanh. Glorot and Bengio, AISTATS 2010. */
GR_API gr_tensor *gr_init_xavier_uniform(gr_tensor *t);
GR_API gr_tensor *gr_init_xavier_normal(gr_tensor *t);
/* +-sqrt(6 / fan-in), std sqrt(2 / fan-in): for relu. He, Zhang, Ren, Sun, ICCV 2015. */
GR_API gr_tensor *gr_init_he_uniform(gr_tensor *t);
GR_API gr_tensor *gr_init_he_normal(gr_tensor *t);

/* ---- losses ----------------------------------------------------------------------------------------------------
 * p: predictions, t: targets. The mean over all elements unless .reduction says otherwise. Fails with GR_ESHAPE where the
 * shapes of p and t differ, because broadcasting [4] against [4, 1] to [4, 4] trains the wrong thing without a word. */
typedef enum gr_reduction { GR_MEAN, GR_SUM, GR_NONE } gr_reduction;

typedef struct gr_loss_opts {
    gr_reduction reduction;
    bool allow_broadcast;
    unsigned char end_;
} gr_loss_opts;
GR_API gr_tensor *gr_mse_loss_with(gr_tensor *p, gr_tensor *t, gr_loss_opts o); /* (p - t)^2     dp = 2 dy (p - t) / n */
GR_API gr_tensor *gr_l1_loss_with(gr_tensor *p, gr_tensor *t, gr_loss_opts o);  /* |p - t|       dp = dy sign(p - t) / n, 0 at 0 */
#define gr_mse_loss(...) GR_OPT2(gr_mse_loss_with, gr_loss_opts, __VA_ARGS__)
#define gr_l1_loss(...) GR_OPT2(gr_l1_loss_with, gr_loss_opts, __VA_ARGS__)

/* e^2 / 2 for |e| <= delta, else delta (|e| - delta / 2), e = p - t.     dp = dy clamp(e, -delta, delta) / n
 * Source: Huber, Robust estimation of a location parameter (1964). */
typedef struct gr_huber_opts {
    double delta; /* default 1; above 0 */
    gr_reduction reduction;
    bool allow_broadcast;
    unsigned char end_;
} gr_huber_opts;
GR_API gr_tensor *gr_huber_loss_with(gr_tensor *p, gr_tensor *t, gr_huber_opts o);
#define gr_huber_loss(...) GR_OPT2(gr_huber_loss_with, gr_huber_opts, __VA_ARGS__)

/* -(t log p + (1 - t) log(1 - p)), p in [0, 1]; logarithms below -100 count as -100.
 * dp = dy (p - t) / max(p (1 - p), 1e-12) / n. Prefer gr_bce_with_logits_loss, which is exact for every logit. */
GR_API gr_tensor *gr_bce_loss_with(gr_tensor *p, gr_tensor *t, gr_loss_opts o);
#define gr_bce_loss(...) GR_OPT2(gr_bce_loss_with, gr_loss_opts, __VA_ARGS__)

/* The same of p = sigmoid(x), from the logit x; with pos_weight w: -(w t log p + (1 - t) log(1 - p)).
 * dx = dy (p - t) / n */
typedef struct gr_bce_logits_opts {
    gr_tensor *pos_weight; /* broadcasts to x */
    gr_reduction reduction;
    bool allow_broadcast;
    unsigned char end_;
} gr_bce_logits_opts;
GR_API gr_tensor *gr_bce_with_logits_loss_with(gr_tensor *x, gr_tensor *t, gr_bce_logits_opts o);
#define gr_bce_with_logits_loss(...) GR_OPT2(gr_bce_with_logits_loss_with, gr_bce_logits_opts, __VA_ARGS__)

/* -log softmax(x)[t] for each row; dx = dy (softmax(x) - onehot(t)) / n.
 * x: logits [n, classes], [classes], or [n, classes, d1, ...]; t: i64 class numbers of that shape without classes, or
 * probabilities of the shape of x: then -sum_j t_j log softmax(x)_j.
 * With class weights w, smoothing s and k classes, class numbers t give
 *   (1 - s) w[t] (-log softmax(x)[t]) + s / k sum_j w_j (-log softmax(x)_j),
 * the mean divides by the sum of w[t], and rows whose t is ignore_index are 0 and count nowhere: if all are, the mean is
 * 0 / 0 = NaN, with gradient 0. Probabilities t become (1 - s) t + s / k, times w; their mean divides by the rows.
 * Fails with GR_EINDEX for a class outside [0, classes). Smoothing: Szegedy et al., CVPR 2016. */
typedef struct gr_class_loss_opts {
    gr_tensor *weight;       /* [classes] */
    double label_smoothing;  /* in [0, 1] */
    int64_t ignore_index;    /* default -100 */
    bool ignore_zero;        /* ignore class 0 instead */
    gr_reduction reduction;
    unsigned char end_;
} gr_class_loss_opts;
GR_API gr_tensor *gr_cross_entropy_with(gr_tensor *x, gr_tensor *t, gr_class_loss_opts o);
#define gr_cross_entropy(...) GR_OPT2(gr_cross_entropy_with, gr_class_loss_opts, __VA_ARGS__)
/* -x[t] for each row of log-probabilities x, such as gr_log_softmax gives; .label_smoothing is refused. */
GR_API gr_tensor *gr_nll_loss_with(gr_tensor *x, gr_tensor *t, gr_class_loss_opts o);
#define gr_nll_loss(...) GR_OPT2(gr_nll_loss_with, gr_class_loss_opts, __VA_ARGS__)

/* ---- metrics ---------------------------------------------------------------------------------------------------
 * Numbers for people: nothing is recorded, NaN after an error and for no rows. Shapes as in gr_cross_entropy. */
GR_API double gr_accuracy(gr_tensor *x, gr_tensor *t); /* the share of rows whose largest element (the first of equals) is t */
typedef struct gr_binary_opts {
    double threshold; /* default 0.5, for probabilities */
    bool logits;      /* threshold 0 */
    unsigned char end_;
} gr_binary_opts;
/* The share of elements for which p > threshold agrees with t > 0.5; equal shapes. */
GR_API double gr_binary_accuracy_with(gr_tensor *p, gr_tensor *t, gr_binary_opts o);
#define gr_binary_accuracy(...) GR_OPT2(gr_binary_accuracy_with, gr_binary_opts, __VA_ARGS__)

/* m[i, j] = how often truth i was predicted as j: i64 [classes, classes]. x: logits, or i64 class numbers like t. */
GR_API gr_tensor *gr_confusion_matrix(gr_tensor *x, gr_tensor *t, int64_t classes);
/* Of one class, from the matrix; 0 where nothing was predicted (true) to divide by. GR_MACRO: the mean over classes. */
#define GR_MACRO (-1)
GR_API double gr_precision(const gr_tensor *m, int64_t k); /* m[k, k] / sum_i m[i, k] */
GR_API double gr_recall(const gr_tensor *m, int64_t k);    /* m[k, k] / sum_j m[k, j] */
GR_API double gr_f1(const gr_tensor *m, int64_t k);        /* 2 P R / (P + R) */

#ifdef __cplusplus
}
#endif
#endif
