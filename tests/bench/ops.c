/* Single operations, each in two ways: through the public call with its node and its memory, and as the bare kernel.
 * SPDX-License-Identifier: MIT */
#include "tests/bench/bench.h"
#include "kernels/kernels.h"

/* Which of one, two is set says how the operation is called; which of the kernel's fields, what its kernel is. */
typedef struct op {
    gr_tensor *(*one)(gr_tensor *x);
    gr_tensor *(*two)(gr_tensor *x, gr_tensor *y);
    int kernel;      /* GR_EW_... or GR_REDUCE_... */
    int64_t columns; /* 0: not along rows */
} op;

static gr_tensor *sum(gr_tensor *x) { return gr_sum(x); }
static gr_tensor *largest(gr_tensor *x) { return gr_max(x); }
static gr_tensor *softmax(gr_tensor *x) { return gr_softmax(x, 1); }
static gr_tensor *log_softmax(gr_tensor *x) { return gr_log_softmax(x, 1); }

static gr_tensor *layer_norm(gr_tensor *x) { return gr_layer_norm(x, .eps = 1e-5); }

static void make(bench_run *r)
{
    const op *o = r->k->detail;
    gr_dims shape = o->columns ? GR_SHAPE(r->n / o->columns, o->columns) : GR_SHAPE(r->n);
    r->x = gr_add(gr_rand(r->c, shape), 0.5); /* positive, for the logarithm */
    r->y = gr_rand(r->c, shape);
    r->out = gr_zeros(r->c, shape);
}

static void public_call(bench_run *r)
{
    const op *o = r->k->detail;
    GR_SCOPE(r->c);
    gr_data(o->one ? o->one(r->x) : o->two(r->x, r->y)); /* nobody else asks for the elements */
}

static void kernel_call(bench_run *r)
{
    const op *o = r->k->detail;
    char *p[] = { gr_data(r->out), gr_data(r->x), gr_data(r->y) };
    gr__kernels()->ew[o->kernel][GR_K_F32](r->n, p);
}

static void reduce_kernel(bench_run *r)
{
    const op *o = r->k->detail;
    gr__kernels()->reduce[o->kernel][GR_K_F32](1, r->n, gr_data(r->x), (int64_t[]){ 0, 1 }, gr_data(r->out), (int64_t[]){ 0, 0 });
}

static void softmax_kernel(bench_run *r)
{
    const op *o = r->k->detail;
    gr__kernels()->softmax[GR_K_F32](r->n / o->columns, o->columns, gr_data(r->x), gr_data(r->out));
}

static void log_softmax_kernel(bench_run *r)
{
    const op *o = r->k->detail;
    gr__kernels()->log_softmax[GR_K_F32](r->n / o->columns, o->columns, gr_data(r->x), gr_data(r->out));
}

static void layer_norm_kernel(bench_run *r)
{
    const op *o = r->k->detail;
    const float *weight = gr_data(r->y); /* of the size of x: its first row will do */
    gr__kernels()->layer_norm[GR_K_F32](r->n / o->columns, o->columns, 1e-5, gr_data(r->x), weight, weight, gr_data(r->out));
}

static const int64_t sizes[] = { 1000, 100000, 10000000, 0 };

#define BOTH(name, words, kernel_call, ...)                                                                          \
    { name, words, "element", 0, sizes, make, public_call, &(const op){ __VA_ARGS__ } },                              \
    { "raw-" name, words ", the kernel alone", "element", 0, sizes, make, kernel_call, &(const op){ __VA_ARGS__ } },
#define UNARY(f) BOTH(#f, #f, kernel_call, .one = gr_##f, .kernel = GR_EW_##f)
#define BINARY(f) BOTH(#f, #f, kernel_call, .two = (gr_##f), .kernel = GR_EW_##f)
#define ROWS(f, columns_) BOTH(#f "-" #columns_, #f " of rows of " #columns_, f##_kernel, .one = f, .columns = columns_)
const bench_case op_cases[] = {
    BINARY(add) BINARY(mul)
    UNARY(relu) UNARY(sqrt) UNARY(exp) UNARY(log) UNARY(tanh) UNARY(sigmoid) UNARY(gelu) UNARY(erf) UNARY(sin) BINARY(pow)
    BOTH("sum", "sum of all", reduce_kernel, .one = sum, .kernel = GR_REDUCE_sum)
    BOTH("max", "largest of all", reduce_kernel, .one = largest, .kernel = GR_REDUCE_max)
    ROWS(softmax, 100) ROWS(softmax, 1000) ROWS(log_softmax, 100) ROWS(log_softmax, 1000)
    ROWS(layer_norm, 100) ROWS(layer_norm, 1000)
    { 0 },
};
