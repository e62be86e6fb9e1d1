/* y = b + x w in one operation: what a dense layer does. The product and the sum are those of gr_matmul and gr_add; together
 * they need one result, and the sum finds the product in the cache. Where gr__few_steps, the sums of the product begin with b.
 * SPDX-License-Identifier: MIT */
#include "ops/record.h"

#include <string.h>

/* b [n], x [m, k], w [k, n] */
static inline bool fits(const gr_tensor *b, const gr_tensor *x, const gr_tensor *w)
{
    return b->ndim == 1 && w->ndim == 2 && x->ndim >= 1 && x->dims[x->ndim - 1] == w->dims[0] && w->dims[1] == b->dims[0];
}

static bool addmm_shape(gr_call *k)
{
    const gr_tensor *b = k->in[0], *x = k->in[1], *w = k->in[2];
    if (b->dtype != x->dtype || w->dtype != x->dtype || !gr_is_float(x)) return gr_reject(k, GR_EDTYPE, "call gr_addmm, which converts", "the dtypes differ or are no floats");
    if (!fits(b, x, w) || x->ndim != 2) return gr_reject(k, GR_ESHAPE, "call gr_addmm, which folds and broadcasts", "the shapes are not [n], [m, k], [k, n]");
    if (!gr_is_contiguous(b)) return gr_reject(k, GR_EVALUE, "call gr_addmm, which copies", "b is not contiguous");
    k->dtype = (gr_type)x->dtype;
    k->ndim = 2;
    k->dim[0] = x->dims[0], k->dim[1] = w->dims[1];
    return true;
}

/* y += b for each row. Short rows get copies of b that lie one after the other: a loop of a few elements is mostly overhead. */
enum { RUN = 512 };
static void add_to_rows(gr_ew_fn *add, size_t size, int64_t rows, int64_t n, char *b, char *y)
{
    _Alignas(64) char copies[RUN * sizeof(double)];
    const size_t row = (size_t)n * size;
    int64_t have = 1;
    if (n <= RUN / 2 && rows > 1) {
        const int64_t most = RUN / n < rows ? RUN / n : rows;
        memcpy(copies, b, row);
        for (int64_t more; have < most; have += more) {
            more = have < most - have ? have : most - have;
            memcpy(copies + (size_t)have * row, copies, (size_t)more * row);
        }
        b = copies;
    }
    for (int64_t i = 0, some; i < rows; i += some, y += (size_t)some * row) {
        some = have < rows - i ? have : rows - i;
        add(some * n, (char *[]){ y, y, b });
    }
}

#define ADD_NS 0.1 /* for an element */
typedef struct addition {
    gr_ew_fn *add;
    const gr_tensor *b, *y;
} addition;

static void some_rows(void *user, int64_t begin, int64_t end, int worker)
{
    const addition *j = user;
    const size_t size = gr__type_size((gr_type)j->y->dtype);
    const int64_t n = j->y->dims[1];
    (void)worker;
    add_to_rows(j->add, size, end - begin, n, j->b->data, j->y->data + (size_t)(begin * n) * size);
}

static bool addmm_forward(const gr_call *k, gr_tensor *y)
{
    gr_tensor *b = k->in[0], *x = k->in[1], *w = k->in[2];
    if (!gr__ready(b) || !gr__ready(x) || !gr__ready(w)) return false;
    if (gr__few_steps(y, x->dims[1])) return gr__combine_rows(b, x, false, w, false, y);
    if (!gr__multiply(x, false, w, false, y)) return false;
    addition j = { gr__kernels()->ew[GR_EW_add][gr__kt(y)], b, y };
    if (y->numel) gr__parallel_ranges(y->ctx, y->dims[0], 5 + ADD_NS * (double)y->dims[1], some_rows, &j);
    return true;
}

static gr_tensor *addmm_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    if (i == 0) return gr_sum_to(dy, gr__dims_of_tensor(y->in[0]));
    return i == 1 ? gr_matmul(dy, gr_transpose(y->in[2], 0, 1)) : gr_matmul(gr_transpose(y->in[1], 0, 1), dy);
}
static bool addmm_backward(gr_tensor *y, gr_tensor *dy, gr_tensor **dx)
{
    gr_scope *s = gr__scope_now(y->ctx);
    for (int i = 0; i < 3; i++)
        if (gr__wants(y, i) && (!(dx[i] = gr__node_like(s, y->in[i], 0)) || (i != 1 && !gr__give_memory(s, dx[i])))) return false;
    if (dx[1] && !gr__multiply(dy, false, y->in[2], true, dx[1])) return false;
    if (gr__few_steps(y, y->in[1]->dims[1])) return gr__run_adjoint(dy, y->in[1], dx[2], false, dx[0]); /* dy need not have memory for that */
    if (dx[0] && (!gr__ready(dy) || !gr__sum_repeats(dy, dx[0]))) return false;
    return !dx[2] || gr__multiply(y->in[1], true, dy, false, dx[2]);
}

static bool addmm_reference(const gr_call *k, double *const *x, double *y)
{
    const int64_t n = k->dim[1], inner = k->in[1]->dims[1];
    for (int64_t i = 0; i < k->dim[0] * n; i++) {
        y[i] = x[0][i % n];
        for (int64_t j = 0; j < inner; j++) y[i] += x[1][i / n * inner + j] * x[2][j * n + i % n];
    }
    return true;
}

/* nothing to convert, to fold or to broadcast */
static bool plain(const gr_tensor *b, const gr_tensor *x, const gr_tensor *w)
{
    return b && x && w && x->dtype >= GR_F32 && b->dtype == x->dtype && w->dtype == x->dtype && x->ndim == 2 && b->flags & GR_T_CONTIGUOUS && fits(b, x, w);
}

gr_tensor *gr_addmm(gr_tensor *b, gr_tensor *x, gr_tensor *w)
{
    if (plain(b, x, w)) return gr_apply(&gr_op_addmm, (gr_tensor *[]){ b, x, w }, 3, NULL);
    if (!gr__ready(b) || !gr__ready(x) || !gr__ready(w) || b->ctx != x->ctx || x->ctx != w->ctx || !fits(b, x, w)) return (gr_add)(gr_matmul(x, w), b);
    gr_type type = x->dtype > w->dtype ? (gr_type)x->dtype : (gr_type)w->dtype;
    if (type < (gr_type)b->dtype) type = (gr_type)b->dtype;
    if (type < GR_F32) type = gr__float_type(x->ctx);
    gr_dims shape = gr__dims_of_tensor(x);
    const bool fold = shape.n != 2;
    if (fold) x = gr_reshape(x, GR_SHAPE(gr__count(shape.n - 1, shape.v), shape.v[shape.n - 1]));
    gr_tensor *y = gr_apply(&gr_op_addmm, (gr_tensor *[]){ gr_contiguous(gr_astype(b, type)), gr_astype(x, type), gr_astype(w, type) }, 3, NULL);
    shape.v[shape.n - 1] = w->dims[1];
    return fold ? gr_reshape(y, shape) : y;
}

static gr_tensor *addmm(gr_tensor **x) { return gr_addmm(x[0], x[1], x[2]); }
static gr_tensor *twice(gr_tensor **x) { return gr_addmm(x[0], x[1], x[1]); }
static gr_tensor *raw(gr_tensor **x) { return gr_apply(&gr_op_addmm, (gr_tensor *[]){ x[0], x[1], x[2] }, 3, NULL); }
static const gr_sample samples[] = {
    { "[4]; [2, 3]; [3, 4]", addmm }, { "[1]; [1, 1]; [1, 1]", addmm }, { "[2]; [2, 2, 3]; [3, 2]", addmm }, { "[2]; [3]; [3, 2]", addmm }, { "[3]; [2, 0]; [0, 3]", addmm },
    { "[3]; [0, 2]; [2, 3]", addmm }, { "[2]; [2, 2]", twice }, { "[19]; [5, 7]; [7, 19]", addmm }, { "[0]; [2, 2]; [2, 0]", addmm }, { NULL, NULL } };
static const gr_bad_call bad[] = {
    { "[4]; [2, 3]; [4, 4]", addmm, GR_ESHAPE, "matmul([2, 3], [4, 4]): the inner sizes differ: a has 3 columns, b has 4 rows. Fix: check the order of the factors" },
    { "[5]; [2, 3]; [3, 4]", addmm, GR_ESHAPE, "add([2, 4], [5]): sizes 4 and 5 at dimension -1 do not broadcast. Fix: make these sizes equal, or one of them 1" },
    { "[4]; [2, 2, 3]; [3, 4]", raw, GR_ESHAPE, "addmm([4], [2, 2, 3], [3, 4]): the shapes are not [n], [m, k], [k, n]. Fix: call gr_addmm, which folds and broadcasts" },
    { "[4]; i64 [2, 3]; [3, 4]", raw, GR_EDTYPE, "addmm([4], i64 [2, 3], [3, 4]): the dtypes differ or are no floats. Fix: call gr_addmm, which converts" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_addmm = { .name = "addmm", .formula = "y = b + x @ w", .gradient = "db = sum(dy); dx = dy @ w^T; dw = x^T @ dy", .arity = 3, .flags = GR_OP_KERNEL,
                            .shape = addmm_shape, .forward = addmm_forward, .vjp = addmm_vjp, .backward = addmm_backward, .reference_tensor = addmm_reference,
                            .samples = samples, .bad = bad };
