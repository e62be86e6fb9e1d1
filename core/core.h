/* gradus core: tensors that remember how they were made, and the backward sweep over that memory.
 * Knows no operation by name: operations are records (struct gr_op) that ops/ and users supply.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_CORE_H
#define GRADUS_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GR_API __attribute__((visibility("default")))
#define GR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define GR_API
#define GR_PRINTF(fmt, args)
#endif

#define GR_MAX_RANK 8

typedef struct gr_ctx gr_ctx;
typedef struct gr_tensor gr_tensor;
typedef struct gr_op gr_op;
typedef struct gr_scope gr_scope;

/* Element types, in the order of promotion: an operation on two types works in the larger one. 0: the default. */
typedef enum gr_type { GR_BOOL = 1, GR_I64, GR_F32, GR_F64 } gr_type;

/* What went wrong, as a class; gr_message() says it in words. */
typedef enum gr_code {
    GR_OK = 0,
    GR_ENOMEM,  /* memory is exhausted, or the context's limit reached */
    GR_ESHAPE,  /* sizes or ranks do not fit together */
    GR_EDTYPE,  /* an element type that the call cannot use */
    GR_EINDEX,  /* an index or dimension outside its range */
    GR_EVALUE,  /* any other argument that makes no sense */
    GR_EGRAPH,  /* the recorded graph does not allow it */
    GR_EFORMAT, /* a file or an expression that does not follow its format */
    GR_EIO      /* the system refused to read or write */
} gr_code;

/* ---- optional arguments ----------------------------------------------------------------------------------------
 * A call with options ends in designated initialisers: gr_sum(x, .dims = GR_DIMS(0), .keepdim = true).
 * Zero means default. The function behind the macro is named ..._with and takes the struct. */
#define GR_OPT1(f, T, ...) GR_OPT1_(f, T, __VA_ARGS__, .end_ = 0)
#define GR_OPT1_(f, T, a, ...) f(a, (T){ __VA_ARGS__ })
#define GR_OPT2(f, T, ...) GR_OPT2_(f, T, __VA_ARGS__, .end_ = 0)
#define GR_OPT2_(f, T, a, b, ...) f(a, b, (T){ __VA_ARGS__ })
#define GR_OPT3(f, T, ...) GR_OPT3_(f, T, __VA_ARGS__, .end_ = 0)
#define GR_OPT3_(f, T, a, b, c, ...) f(a, b, c, (T){ __VA_ARGS__ })
#define GR_OPT4(f, T, ...) GR_OPT4_(f, T, __VA_ARGS__, .end_ = 0)
#define GR_OPT4_(f, T, a, b, c, d, ...) f(a, b, c, d, (T){ __VA_ARGS__ })
#define GR_OPT5(f, T, ...) GR_OPT5_(f, T, __VA_ARGS__, .end_ = 0)
#define GR_OPT5_(f, T, a, b, c, d, e, ...) f(a, b, c, d, e, (T){ __VA_ARGS__ })

/* ---- context ---------------------------------------------------------------------------------------------------
 * A context owns every tensor made in it and holds its errors. One thread uses it at a time. */
typedef struct gr_allocator {
    void *(*alloc)(void *user, size_t bytes); /* 64-byte aligned, or NULL */
    void (*release)(void *user, void *p, size_t bytes);
    void *user;
} gr_allocator;

typedef struct gr_ctx_opts {
    gr_type dtype;                 /* what constructors make; default GR_F32 */
    uint64_t seed;                 /* of gr_rand, gr_randn, shuffles; see gr_seed */
    size_t max_bytes;              /* refuse to hold more than this; default no limit */
    const gr_allocator *allocator; /* where memory comes from; default aligned_alloc and free */
} gr_ctx_opts;

typedef struct gr_stats {
    size_t allocations;  /* calls to the allocator since the context was made */
    size_t bytes_now;    /* held from the allocator, free lists included */
    size_t bytes_peak;
    size_t nodes;        /* tensors made since the context was made */
} gr_stats;

GR_API gr_ctx *gr_ctx_new(const gr_ctx_opts *opts); /* NULL opts: defaults. NULL only when memory is exhausted. */
GR_API void gr_ctx_free(gr_ctx *c);                 /* frees every tensor made in c */
GR_API gr_stats gr_ctx_stats(const gr_ctx *c);
GR_API void gr_seed(gr_ctx *c, uint64_t seed);      /* restarts the random stream: same seed, same numbers */

/* Large operations share their work among n threads, the caller's included, but no more than the process has processors (on Linux
 * those of its affinity mask, or fewer where a container has a quota of them); the values do not depend on n. 0: as many as it has
 * processors, at most GR_MAX_THREADS. Default: the environment variable GRADUS_THREADS, if it is a number
 * from 1 to GR_MAX_THREADS, else 0. Threads start when there is work for them, and end with the context; the system may
 * refuse some. A child of fork starts its own. Fails with GR_EVALUE when n is out of range. */
#define GR_MAX_THREADS 64
GR_API bool gr_set_threads(gr_ctx *c, int n);
GR_API int gr_threads(const gr_ctx *c); /* at most so many are used */

/* ---- errors ----------------------------------------------------------------------------------------------------
 * A call that fails returns NULL (or false, or NaN) and leaves code and message here. The first error wins; while it
 * stands, calls that make tensors do nothing and return NULL. So write the whole expression, and ask once. */
GR_API bool gr_failed(const gr_ctx *c);
GR_API gr_code gr_status(const gr_ctx *c);
GR_API const char *gr_message(const gr_ctx *c); /* "" when nothing failed */
GR_API void gr_clear_error(gr_ctx *c);
GR_API const char *gr_code_name(gr_code code);  /* "GR_ESHAPE" */
GR_API void gr_fail(gr_ctx *c, gr_code code, const char *fmt, ...) GR_PRINTF(3, 4); /* for extensions */

/* ---- scopes ----------------------------------------------------------------------------------------------------
 * GR_SCOPE(c); at the top of a block frees, when the block is left by whatever way, what was made in it.
 * gr_keep(t) gives a tensor with its history that lives in the enclosing scope; use the returned pointer.
 * Do not free the context inside such a block: the scope would end after it. */
GR_API gr_scope *gr_scope_begin(gr_ctx *c);
GR_API void gr_scope_end(gr_scope *s);
GR_API gr_tensor *gr_keep(gr_tensor *t);

/* GR_NO_GRAD(c); until the end of the block nothing is recorded. */
GR_API gr_ctx *gr_no_grad_begin(gr_ctx *c);
GR_API void gr_no_grad_end(gr_ctx *c);

#if defined(__GNUC__)
static inline void gr_scope_leave(gr_scope **s) { gr_scope_end(*s); }
static inline void gr_no_grad_leave(gr_ctx **c) { gr_no_grad_end(*c); }
#define GR_CAT_(a, b) a##b
#define GR_CAT(a, b) GR_CAT_(a, b)
#define GR_SCOPE(c) \
    __attribute__((cleanup(gr_scope_leave), unused)) gr_scope *GR_CAT(gr_scope_, __LINE__) = gr_scope_begin(c)
#define GR_NO_GRAD(c) \
    __attribute__((cleanup(gr_no_grad_leave), unused)) gr_ctx *GR_CAT(gr_no_grad_, __LINE__) = gr_no_grad_begin(c)
#endif

/* ---- shapes ----------------------------------------------------------------------------------------------------
 * A short list of sizes, indices or dimensions. GR_SHAPE(3, 4); GR_SHAPE() for a scalar. */
typedef struct gr_dims {
    int n;
    int64_t v[GR_MAX_RANK];
} gr_dims;

GR_API gr_dims gr_dims_of(const int64_t *v, int n); /* n > GR_MAX_RANK is kept, and refused where it is used */
#define GR_SHAPE(...) \
    gr_dims_of(((const int64_t[]){ 0, __VA_ARGS__ }) + 1, (int)(sizeof((int64_t[]){ 0, __VA_ARGS__ }) / sizeof(int64_t)) - 1)
#define GR_DIMS(...) GR_SHAPE(__VA_ARGS__)

/* ---- making tensors --------------------------------------------------------------------------------------------
 * Each returns a leaf that does not require a gradient. dtype defaults to the context's. */
typedef struct gr_new_opts {
    gr_type dtype;
    unsigned char end_;
} gr_new_opts;

GR_API gr_tensor *gr_zeros_with(gr_ctx *c, gr_dims shape, gr_new_opts o);
GR_API gr_tensor *gr_ones_with(gr_ctx *c, gr_dims shape, gr_new_opts o);
GR_API gr_tensor *gr_full_with(gr_ctx *c, gr_dims shape, double value, gr_new_opts o);
GR_API gr_tensor *gr_scalar_with(gr_ctx *c, double value, gr_new_opts o);
/* start, start + step, ... while before stop: n = ceil((stop - start) / step) elements */
GR_API gr_tensor *gr_arange_with(gr_ctx *c, double start, double stop, double step, gr_new_opts o);
GR_API gr_tensor *gr_eye_with(gr_ctx *c, int64_t n, gr_new_opts o);
/* uniform in [0, 1); standard normal (Box and Muller 1958). Philox 4x32-10 (Salmon et al., SC 2011): element i of the
 * k-th call depends on (seed, numbers drawn before, i) alone. */
GR_API gr_tensor *gr_rand_with(gr_ctx *c, gr_dims shape, gr_new_opts o);
GR_API gr_tensor *gr_randn_with(gr_ctx *c, gr_dims shape, gr_new_opts o);
GR_API gr_tensor *gr_randperm(gr_ctx *c, int64_t n); /* a random order of 0..n-1, i64 [n] (Fisher and Yates) */

#define gr_zeros(...) GR_OPT2(gr_zeros_with, gr_new_opts, __VA_ARGS__)
#define gr_ones(...) GR_OPT2(gr_ones_with, gr_new_opts, __VA_ARGS__)
#define gr_full(...) GR_OPT3(gr_full_with, gr_new_opts, __VA_ARGS__)
#define gr_scalar(...) GR_OPT2(gr_scalar_with, gr_new_opts, __VA_ARGS__)
#define gr_arange(...) GR_OPT4(gr_arange_with, gr_new_opts, __VA_ARGS__)
#define gr_eye(...) GR_OPT2(gr_eye_with, gr_new_opts, __VA_ARGS__)
#define gr_rand(...) GR_OPT2(gr_rand_with, gr_new_opts, __VA_ARGS__)
#define gr_randn(...) GR_OPT2(gr_randn_with, gr_new_opts, __VA_ARGS__)

/* A copy of an array in row-major order. gr_from picks the dtype from the pointer: float, double, bool, and any of the
 * signed integers int, long, long long, which become i64. */
typedef enum gr_source { GR_SRC_BOOL, GR_SRC_INT, GR_SRC_I64, GR_SRC_F32, GR_SRC_F64 } gr_source;
GR_API gr_tensor *gr_from_array(gr_ctx *c, gr_dims shape, gr_source source, const void *values);
#define GR_SOURCE_OF(p)                                                                                              \
    _Generic((p), float *: GR_SRC_F32, const float *: GR_SRC_F32, double *: GR_SRC_F64, const double *: GR_SRC_F64,   \
             bool *: GR_SRC_BOOL, const bool *: GR_SRC_BOOL, int *: GR_SRC_INT, const int *: GR_SRC_INT,              \
             long *: (sizeof(long) == 8 ? GR_SRC_I64 : GR_SRC_INT), const long *: (sizeof(long) == 8 ? GR_SRC_I64 : GR_SRC_INT), \
             long long *: GR_SRC_I64, const long long *: GR_SRC_I64)
#define gr_from(c, shape, ...) gr_from_array(c, shape, GR_SOURCE_OF((__VA_ARGS__)), (__VA_ARGS__))

GR_API gr_tensor *gr_empty_like(const gr_tensor *t); /* same shape and dtype, values not set: for record.forward, .backward */
GR_API gr_tensor *gr_zeros_like(const gr_tensor *t);
/* The number v as a constant that broadcasts to shape without memory: what gr_add(x, 2.0) makes of 2.0. */
GR_API gr_tensor *gr_number(gr_ctx *c, gr_dims shape, gr_type dtype, double v);

/* ---- reading ---------------------------------------------------------------------------------------------------*/
GR_API gr_ctx *gr_ctx_of(const gr_tensor *t);
GR_API int gr_ndim(const gr_tensor *t);
GR_API const int64_t *gr_shape(const gr_tensor *t);  /* gr_ndim sizes */
GR_API const int64_t *gr_stride(const gr_tensor *t); /* gr_ndim steps, in elements */
GR_API gr_dims gr_dims_like(const gr_tensor *t);     /* the shape as a value */
GR_API int64_t gr_size(const gr_tensor *t, int dim); /* one size; dim counts from the end when negative; -1 if out of range */
GR_API int64_t gr_numel(const gr_tensor *t);
GR_API gr_type gr_dtype(const gr_tensor *t);
GR_API const char *gr_dtype_name(gr_type type); /* "f32" */
GR_API bool gr_is_contiguous(const gr_tensor *t); /* row-major without gaps */
GR_API bool gr_is_float(const gr_tensor *t);
/* The first element; others at gr_stride steps. Whoever writes through it calls gr_touch afterwards. */
GR_API void *gr_data(const gr_tensor *t);
GR_API double gr_item(const gr_tensor *t); /* of a tensor with one element; else an error and NaN */
GR_API double gr_at_index(const gr_tensor *t, gr_dims index); /* one element; negative indices count from the end */
#define gr_at(t, ...) gr_at_index(t, GR_DIMS(__VA_ARGS__))
GR_API bool gr_read(const gr_tensor *t, double *out);   /* all elements, row-major, as double */
GR_API void gr_print(const gr_tensor *t);               /* to stdout; long tensors are summarised */
GR_API void gr_fprint(FILE *f, const gr_tensor *t);
GR_API int gr_format(const gr_tensor *t, char *out, size_t size); /* as snprintf: the length it needs */

/* ---- writing in place ------------------------------------------------------------------------------------------
 * Only leaves and tensors without history can be written. A backward sweep that needs the old value fails and says so. */
GR_API bool gr_write(gr_tensor *t, const double *values); /* all elements, row-major */
GR_API bool gr_fill(gr_tensor *t, double value);
GR_API bool gr_copy_to(gr_tensor *dst, const gr_tensor *src); /* same shape; converts the dtype; layouts may differ */
GR_API bool gr_touch(gr_tensor *t, const char *writer);   /* "I wrote to gr_data(t)": writer is a name for messages */

/* A list of tensors with their names: the parameters of a network, the content of a file. */
typedef struct gr_params {
    gr_ctx *ctx;
    gr_tensor **tensors;
    const char *const *names; /* NULL: none */
    int n;
} gr_params;

/* ---- graph -----------------------------------------------------------------------------------------------------*/
GR_API gr_tensor *gr_requires_grad(gr_tensor *t); /* marks a float leaf; returns it */
GR_API bool gr_needs_grad(const gr_tensor *t);    /* it, or something it was made from, is marked */
GR_API gr_tensor *gr_retain_grad(gr_tensor *t);   /* gr_grad will work on this tensor though it is no leaf */
GR_API gr_tensor *gr_detach(gr_tensor *t);        /* same memory, no history */
GR_API gr_tensor *gr_name(gr_tensor *t, const char *label); /* copies the label; returns t */
GR_API const char *gr_label(const gr_tensor *t);  /* "" if none */
GR_API bool gr_is_number(const gr_tensor *t);     /* made by gr_number: a parameter of the formula, no variable */
GR_API const gr_op *gr_op_of(const gr_tensor *t); /* NULL: a leaf, or not recorded */
GR_API int gr_num_inputs(const gr_tensor *t);
GR_API gr_tensor *gr_input(const gr_tensor *t, int i);
GR_API const void *gr_attr(const gr_tensor *t);
GR_API bool gr_wants(const gr_tensor *y, int i);  /* in record.backward: is the gradient of input i asked for? */

typedef struct gr_backward_opts {
    gr_tensor *grad;     /* dL/droot; default 1 for a root with one element */
    bool retain_graph;   /* allow another sweep over the same nodes */
    bool lean;           /* give the memory of a result back when the sweep has passed it: those made in the innermost scope,
                          * but the root and what gr_retain_grad marks. Their values cannot be read afterwards. */
    unsigned char end_;
} gr_backward_opts;
/* For every leaf w that the root depends on: gr_grad(w) += droot/dw. Canonical order: depth-first post-order over the
 * input slots, reversed; several contributions to one tensor are summed in that order. Never recorded itself. */
#define gr_backward(...) GR_OPT1(gr_backward_with, gr_backward_opts, __VA_ARGS__)
GR_API bool gr_backward_with(gr_tensor *root, gr_backward_opts o);

typedef struct gr_grads_opts {
    gr_tensor *grad;
    bool retain_graph;   /* implied by create_graph */
    bool create_graph;   /* record the sweep, so that its results can be differentiated again */
    bool allow_unused;   /* an x that y does not depend on gets NULL, not an error */
    bool zero_unused;    /* ... or zeros */
    unsigned char end_;
} gr_grads_opts;
/* dx[i] = dy/dx[i] for n tensors x, leaves or not; touches no gr_grad. A compound literal needs parentheses around it:
 * gr_grads(y, ((gr_tensor *[]){ a, b }), 2, d). */
#define gr_grads(...) GR_OPT4(gr_grads_with, gr_grads_opts, __VA_ARGS__)
GR_API bool gr_grads_with(gr_tensor *y, gr_tensor *const *x, int n, gr_tensor **dx, gr_grads_opts o);

GR_API gr_tensor *gr_grad(const gr_tensor *t); /* NULL before the first sweep */
GR_API void gr_zero_grad(gr_tensor *t);        /* back to no gradient (not to zeros); the tensor that gr_grad gave has no values any more */

/* Derivatives of y = f(x), x any tensor that y was made from; the graph is retained, the results carry no history.
 * J[i, j] = dy_i / dx_j. v has the shape of y in gr_vjp and of x in gr_jvp and gr_hvp. */
GR_API gr_tensor *gr_vjp(gr_tensor *y, gr_tensor *x, gr_tensor *v); /* v^T J, of the shape of x */
GR_API gr_tensor *gr_jvp(gr_tensor *y, gr_tensor *x, gr_tensor *v); /* J v, of the shape of y: by two sweeps */
GR_API gr_tensor *gr_hvp(gr_tensor *y, gr_tensor *x, gr_tensor *v); /* H v of a scalar y */
GR_API gr_tensor *gr_jacobian(gr_tensor *y, gr_tensor *x);          /* [shape of y, shape of x] */
GR_API gr_tensor *gr_hessian(gr_tensor *y, gr_tensor *x);           /* [shape of x, shape of x] of a scalar y */

/* ---- operations ------------------------------------------------------------------------------------------------
 * One application of an operation, as its record sees it. shape() fills dtype, ndim, dim (a view also stride, offset). */
typedef struct gr_call {
    gr_ctx *ctx;
    const gr_op *op;
    gr_tensor *const *in;
    int n;
    const void *attr;
    gr_type dtype;
    int ndim;
    int64_t dim[GR_MAX_RANK];
    int64_t stride[GR_MAX_RANK]; /* views only, in elements */
    int64_t offset;              /* views only, in elements from the input's first */
} gr_call;

enum {
    GR_OP_VIEW = 1,        /* y shares the memory of input 0: shape() gives strides, forward is NULL */
    GR_OP_LINEAR = 2,      /* vjp reads no input value: writing to an input afterwards is harmless */
    GR_OP_ELEMENTWISE = 4, /* y[i] depends on the i-th element of each input alone; formula and gradient are evaluated by tests */
    GR_OP_MOVES = 8,       /* each element of y is 0 or one of an input, moved: nothing is rounded */
};

/* Inputs of a sample or bad call, as text: "[2, 3] in 0.5..2; [3]; i64 [4] in 0..2; bool [2]". */
typedef struct gr_sample {
    const char *inputs;
    gr_tensor *(*call)(gr_tensor **x); /* NULL: gr_apply(op, x, arity, NULL) */
} gr_sample;
typedef struct gr_bad_call {
    const char *inputs;
    gr_tensor *(*call)(gr_tensor **x);
    gr_code code;
    const char *message; /* the whole of gr_message() */
} gr_bad_call;

struct gr_op {
    const char *name;     /* "tanh" */
    const char *formula;  /* "y = tanh(x)" */
    const char *gradient; /* "dx = dy * (1 - y^2)"; several parts are separated by "; " */
    int arity;            /* -1: any number of inputs, all called x */
    unsigned flags;
    size_t attr_size;     /* bytes of *attr, copied by gr_apply; plain values, no pointers */
    bool (*shape)(gr_call *k);                       /* NULL: gr_elementwise_shape */
    bool (*forward)(const gr_call *k, gr_tensor *y); /* fills y; NULL for views */
    /* dL/dinput_i from dL/dy, by public operations, of exactly the shape and dtype of input i; NULL: not differentiable.
     * A zero cotangent absorbs: multiply dy by local derivatives with gr_amul. */
    gr_tensor *(*vjp)(gr_tensor *y, gr_tensor *dy, int i);
    /* Optional: sets dx[i] for every i with gr_wants(y, i), in one pass that nobody differentiates. Equal to vjp. */
    bool (*backward)(gr_tensor *y, gr_tensor *dy, gr_tensor **dx);
    /* Optional, for what is defined in pieces: which piece each element of y is from, as a tensor of any shape that is
     * constant in pieces itself. The gradient check keeps its steps in one piece by it, and names who switches. A y that
     * is no float needs none: it is its own. */
    gr_tensor *(*branch)(const gr_call *k, gr_tensor *y);
    void (*describe)(const void *attr, char *out, size_t size); /* attributes in words: "dims 0, keepdim" */
    double (*reference)(const double *x);            /* element-wise ops: y of one element of each input, in double */
    bool (*reference_tensor)(const gr_call *k, double *const *x, double *y); /* others: y from contiguous inputs */
    const gr_sample *samples;  /* ends with {NULL, NULL} */
    const gr_bad_call *bad;    /* ends with {NULL, ...} */
    const void *data;          /* for the record's own functions */
};

GR_API gr_tensor *gr_apply(const gr_op *op, gr_tensor *const *in, int n, const void *attr);
/* The shape function of element-wise operations: one shape and dtype, those of every input. */
GR_API bool gr_elementwise_shape(gr_call *k);
/* In record.shape: refuse. The message is "name(inputs with labels and shapes): why. Fix: fix". Returns false. */
GR_API bool gr_reject(const gr_call *k, gr_code code, const char *fix, const char *why, ...) GR_PRINTF(4, 5);

/* ---- gradient check --------------------------------------------------------------------------------------------
 * Compares the derivatives of fn with extrapolated central differences, which estimate their own error; always in f64.
 * order 1: dy_i/dx_e, each output by itself where there are at most 4096 of them, else of <r, y>, r fixed random weights;
 * order 2: the same for the gradient of <r, y>, and so on; from there on they must be symmetric too. Before that, what fn must keep to is checked: same result each time, inputs
 * not written to, a gradient that is linear in dy, the same for any layout. Inputs that require a gradient are checked. */
typedef gr_tensor *(*gr_fn)(gr_tensor **x, void *user);

/* Of one derivative, and of the whole check (the largest). */
typedef enum gr_verdict {
    GR_CHECK_PASS,
    GR_CHECK_KINK,             /* not differentiable here; the gradient lies between the derivatives of both sides: passes */
    GR_CHECK_INCONCLUSIVE,     /* the difference is not accurate enough to tell */
    GR_CHECK_NAN,              /* the value or the gradient is not finite */
    GR_CHECK_FAIL,
    GR_CHECK_NONDETERMINISTIC, /* fn gives another result each time */
    GR_CHECK_ERROR,            /* fn failed: see gr_message */
    GR_CHECK_VERDICTS
} gr_verdict;

typedef struct gr_gradcheck_opts {
    int order;        /* of the derivatives, 1 and up; default 2 */
    double rtol;      /* of each derivative, relative to itself; default 1e-7 */
    bool fast;        /* two random directions instead of every element; then bisection to a wrong one */
    bool reseed;      /* every call of fn draws the same random numbers: for dropout and the like */
    bool explain;     /* the report shows the steps of the difference of its first derivative */
    uint64_t seed;    /* of gr_gradcheck_op: other numbers in its samples */
    unsigned char end_;
} gr_gradcheck_opts;

typedef struct gr_gradcheck_element {
    gr_verdict verdict;
    int order, input;
    int64_t element, output;       /* in row-major order; output -1: the weighted sum of all */
    double x, analytic, numeric;
    double uncertainty;            /* of numeric */
    double error;                  /* |analytic - numeric| / max(|analytic|, |numeric|) */
    double left, right;            /* of a kink: the derivatives of both sides; else NaN, but for the one side that was looked at */
    char name[48], output_name[48]; /* "w[1, 2]", "y[0]" */
    const char *reason;            /* why the verdict is NAN or INCONCLUSIVE; "" for the others */
} gr_gradcheck_element;

/* One line of .explain. */
typedef struct gr_gradcheck_step {
    double h, below, above;        /* f(x - h), f(x + h); one of them is f(x) where only one side was looked at */
    double difference;             /* (above - below) / (how far apart) */
    double best, error;            /* the best extrapolation so far */
} gr_gradcheck_step;

#define GR_CHECK_WORST 8
#define GR_CHECK_STEPS 32
typedef struct gr_gradcheck_report {
    bool passed;          /* verdict is PASS or KINK */
    gr_verdict verdict;
    int order, input;     /* of the worst derivative, as in worst[0] */
    int64_t element, output;
    double analytic, numeric, error;
    int64_t checked;      /* derivatives compared */
    int64_t count[GR_CHECK_VERDICTS];
    gr_gradcheck_element worst[GR_CHECK_WORST]; /* the worst first */
    int num_worst;
    double largest_error; /* of those that pass */
    int64_t evaluations;  /* calls of fn */
    int64_t probe_evaluations; /* ... of them until the random directions of .fast were done */
    gr_gradcheck_step steps[GR_CHECK_STEPS]; /* of worst[0], with .explain */
    int num_steps;
    char subject[64];     /* the operation that made the result */
    char place[64];       /* "file.c:41" where it was called, with teach/here.h */
    char diagnosis[512];  /* what explains a failure, "" if nothing does */
    char notes[512];      /* what else was seen */
} gr_gradcheck_report;

/* True: every derivative agrees. Report may be NULL. gr_gradcheck(fn, user, (gr_tensor *[]){ x }, 1, &report, .rtol = 1e-6) */
#define gr_gradcheck(...) GR_OPT5(gr_gradcheck_with, gr_gradcheck_opts, __VA_ARGS__)
GR_API bool gr_gradcheck_with(gr_fn fn, void *user, gr_tensor *const *x, int n, gr_gradcheck_report *report,
                              gr_gradcheck_opts o);
/* One line: true, or the report stands as the error of the context. f: a function of one, two or three tensors, or a gr_fn.
 *   GR_GRADCHECK(gr_tanh, x)    GR_GRADCHECK(gr_matmul, a, b)    GR_GRADCHECK(my_loss, prediction, target) */
#define GR_GRADCHECK(f, ...)                                                                                         \
    gr_gradcheck_line(_Generic((f), gr_tensor * (*)(gr_tensor *): 1, gr_tensor * (*)(gr_tensor *, gr_tensor *): 2,    \
                               gr_tensor * (*)(gr_tensor *, gr_tensor *, gr_tensor *): 3, gr_fn: 0), #f,              \
                      (void (*)(void))(f), (gr_tensor *[]){ __VA_ARGS__ }, (int)(sizeof((gr_tensor *[]){ __VA_ARGS__ }) / sizeof(gr_tensor *)))
GR_API bool gr_gradcheck_line(int arity, const char *name, void (*f)(void), gr_tensor *const *x, int n);
/* A record by its samples (or by some that are generated, where it has none and no shape function), each with inputs in f32 in a
 * context of its own; the report is of the first that does not pass. */
#define gr_gradcheck_op(...) GR_OPT2(gr_gradcheck_op_with, gr_gradcheck_opts, __VA_ARGS__)
GR_API bool gr_gradcheck_op_with(const gr_op *op, gr_gradcheck_report *report, gr_gradcheck_opts o);
GR_API int gr_gradcheck_format(const gr_gradcheck_report *r, char *out, size_t size); /* as snprintf: the length it needs */
GR_API void gr_gradcheck_print(FILE *f, const gr_gradcheck_report *r);
GR_API void gr_gradcheck_json(FILE *f, const gr_gradcheck_report *r);
GR_API const char *gr_verdict_name(gr_verdict v); /* "PASS" */

#ifdef __cplusplus
}
#endif
#endif
