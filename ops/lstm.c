/* The recurrence of an LSTM over all steps, in one operation.
 *
 *   a = x_t + h_{t-1} w      i, f, o = sigmoid of its parts, g = tanh of its third      c_t = f c_{t-1} + i g      h_t = o tanh c_t
 *
 * x is what the inputs give to the gates, one matrix product for all steps; the recurrent part is one product for each step.
 * The result holds h, c and the gates of every step side by side: the backward pass needs the gates, and who wants h slices it
 * off. Backwards the gradient of x is that of a, step by step, and the gradient of w one product over all steps.
 * Knows no layer. SPDX-License-Identifier: MIT */
#include "ops/record.h"

#include <math.h>
#include <string.h>

enum { H, C, I, F, G, O, PARTS }; /* of a row of y */

typedef struct sizes {
    int64_t steps, rows, hidden, wide; /* wide: of a row of y */
    size_t size;                       /* of an element */
} sizes;
static sizes sizes_of(gr_tensor *const *in)
{
    const gr_tensor *x = in[0];
    return (sizes){ x->dims[0], x->dims[1], in[1]->dims[0], PARTS * in[1]->dims[0], gr__type_size((gr_type)x->dtype) };
}

static bool steps_shape(gr_call *k)
{
    const gr_tensor *x = k->in[0], *w = k->in[1];
    for (int i = 0; i < 4; i++) {
        const gr_tensor *t = k->in[i];
        if (t->dtype != x->dtype || !gr_is_float(t))
            return gr_reject(k, GR_EDTYPE, "convert with gr_astype", "%s with %s is not implemented", gr_dtype_name((gr_type)x->dtype), gr_dtype_name((gr_type)t->dtype));
        if (t->ndim != (i == 0 ? 3 : 2))
            return gr_reject(k, GR_ESHAPE, "x is [steps, n, 4 hidden], w [hidden, 4 hidden], h and c [n, hidden]", "input %d has rank %d", i, t->ndim);
    }
    const int64_t hidden = w->dims[0];
    if (hidden > INT64_MAX / PARTS || w->dims[1] != 4 * hidden || x->dims[2] != 4 * hidden)
        return gr_reject(k, GR_ESHAPE, "x is [steps, n, 4 hidden], w [hidden, 4 hidden]", "the gates of %lld units are not %lld wide in x and %lld in w",
                         (long long)hidden, (long long)x->dims[2], (long long)w->dims[1]);
    for (int i = 2; i < 4; i++)
        if (k->in[i]->dims[0] != x->dims[1] || k->in[i]->dims[1] != hidden)
            return gr_reject(k, GR_ESHAPE, "give one row for each sequence", "%s is not [%lld, %lld]", i == 2 ? "h" : "c", (long long)x->dims[1], (long long)hidden);
    for (int i = 0; i < 4; i++)
        if (!gr_is_contiguous(k->in[i])) return gr_reject(k, GR_EVALUE, "call gr_lstm_steps, which copies", "an input is not contiguous");
    k->dtype = (gr_type)x->dtype;
    k->ndim = 3;
    k->dim[0] = x->dims[0], k->dim[1] = x->dims[1], k->dim[2] = PARTS * hidden;
    return true;
}

/* part `part` of y at step t; before step 0 that is what the recurrence starts from, with rows of its own length */
static char *part_of(const gr_tensor *y, const sizes *s, int64_t t, int part) { return y->data + (size_t)(t * s->rows * s->wide + part * s->hidden) * s->size; }
static const char *before(const gr_tensor *y, const gr_tensor *start, const sizes *s, int64_t t, int part, int64_t *pitch)
{
    *pitch = t ? s->wide : s->hidden;
    return t ? part_of(y, s, t - 1, part) : start->data;
}

static bool steps_forward(const gr_call *k, gr_tensor *y)
{
    const gr_tensor *x = k->in[0], *w = k->in[1];
    const sizes s = sizes_of(k->in);
    const int type = gr__kt(x);
    const gr_kernel_table *kt = gr__kernels();
    if (!y->numel) return true;
    const size_t product = (size_t)(s.rows * 4 * s.hidden) * s.size;
    gr_block *block = gr__block_new(y->ctx, product + 64 + kt->gemm_scratch(s.rows, 4 * s.hidden, s.hidden, type));
    if (!block) return false;
    char *a = gr__block_data(block), *scratch = a + (product + 63) / 64 * 64;
    for (int64_t t = 0; t < s.steps; t++) {
        int64_t hs, cs;
        const char *h = before(y, k->in[2], &s, t, H, &hs), *c = before(y, k->in[3], &s, t, C, &cs);
        kt->gemm[type](s.rows, 4 * s.hidden, s.hidden, h, (int64_t[]){ hs, 1 }, w->data, gr__stride(w), a, 4 * s.hidden, scratch);
        kt->lstm[type](s.rows, s.hidden, x->data + (size_t)t * product, a, c, cs, part_of(y, &s, t, H));
    }
    gr__block_unref(y->ctx, block);
    return true;
}

/* dw = sum over steps of h_{t-1}^T da_t: those after the first are one product, since the rows of y follow each other */
static bool weight_gradient(gr_tensor *y, const sizes *s, const gr_tensor *da, gr_tensor *dw)
{
    const int64_t n = 4 * s->hidden, later = (s->steps - 1) * s->rows;
    const int type = gr__kt(y);
    const gr_kernel_table *kt = gr__kernels();
    gr_tensor *first = gr_empty_like(dw);
    gr_block *scratch = gr__block_new(y->ctx, kt->gemm_scratch(s->hidden, n, later > s->rows ? later : s->rows, type));
    if (!first || !scratch) {
        if (scratch) gr__block_unref(y->ctx, scratch);
        return false;
    }
    kt->gemm[type](s->hidden, n, s->rows, y->in[2]->data, (int64_t[]){ 1, s->hidden }, da->data, (int64_t[]){ n, 1 }, first->data, n, gr__block_data(scratch));
    kt->gemm[type](s->hidden, n, later, y->data, (int64_t[]){ 1, s->wide }, da->data + (size_t)(s->rows * n) * s->size, (int64_t[]){ n, 1 }, dw->data, n,
                   gr__block_data(scratch));
    gr__run_kernel(GR_EW_add, (gr_type)y->dtype, 3, (gr_tensor *[]){ dw, dw, first });
    gr__block_unref(y->ctx, scratch);
    return true;
}

static bool steps_backward(gr_tensor *y, gr_tensor *dy, gr_tensor **dx)
{
    const sizes s = sizes_of(y->in);
    const int type = gr__kt(y);
    const gr_kernel_table *kt = gr__kernels();
    for (int i = 0; i < 4; i++)
        if (!(dx[i] = i == 0 ? gr_empty_like(y->in[0]) : gr_zeros_like(y->in[i]))) return false;
    if (!y->numel) return true;
    const gr_tensor *turned = gr_contiguous(gr_transpose(y->in[1], 0, 1)); /* once, and not in every product */
    if (!turned || !(dy = gr_contiguous(dy))) return false;
    gr_block *scratch = gr__block_new(y->ctx, kt->gemm_scratch(s.rows, s.hidden, 4 * s.hidden, type));
    if (!scratch) return false;
    for (int64_t t = s.steps - 1; t >= 0; t--) { /* the gradients of h and c, as far as the steps after t give them, are in dx[2] and dx[3] */
        int64_t cs;
        const char *c = before(y, y->in[3], &s, t, C, &cs);
        char *da = dx[0]->data + (size_t)(t * s.rows * 4 * s.hidden) * s.size;
        kt->lstm_back[type](s.rows, s.hidden, part_of(y, &s, t, H), c, cs, part_of(dy, &s, t, H), dx[2]->data, dx[3]->data, da);
        if (t || gr_wants(y, 2))
            kt->gemm[type](s.rows, s.hidden, 4 * s.hidden, da, (int64_t[]){ 4 * s.hidden, 1 }, turned->data, gr__stride(turned), dx[2]->data, s.hidden,
                           gr__block_data(scratch));
    }
    gr__block_unref(y->ctx, scratch);
    return !gr_wants(y, 1) || weight_gradient(y, &s, dx[0], dx[1]);
}

/* ---- the derivative by public operations ----------------------------------------------------------------------------*/
static gr_tensor *step_of(gr_tensor *x, int64_t t) { return gr_select(x, 0, t); }
static gr_tensor *cut(gr_tensor *row, int part, int64_t n) { return gr_slice(row, 1, part * n, (part + 1) * n); }
static gr_tensor *one_less(gr_tensor *x) { return gr_sub_any(gr_operand_number(1), gr_operand_tensor(x)); }
/* d s' of a sigmoid s, d tanh' of a tanh */
static gr_tensor *through_sigmoid(gr_tensor *d, gr_tensor *s) { return gr_amul(d, (gr_mul)(s, one_less(s))); }
static gr_tensor *through_tanh(gr_tensor *d, gr_tensor *y) { return gr_amul(d, one_less(gr_square(y))); }

/* The gradient of a at a step from that of its row of y and of the later steps; *dc becomes that of the state before. */
static gr_tensor *back_one(gr_tensor *row, gr_tensor *before_c, gr_tensor *dy, gr_tensor *dh, gr_tensor **dc, int64_t n)
{
    gr_tensor *i = cut(row, I, n), *f = cut(row, F, n), *g = cut(row, G, n), *o = cut(row, O, n), *state = gr_tanh(cut(row, C, n));
    gr_tensor *d = (gr_add)(cut(dy, H, n), dh), *s = (gr_add)((gr_add)(*dc, cut(dy, C, n)), through_tanh(gr_amul(d, o), state));
    gr_tensor *da[] = { through_sigmoid((gr_add)(cut(dy, I, n), gr_amul(s, g)), i), through_sigmoid((gr_add)(cut(dy, F, n), gr_amul(s, before_c)), f),
                        through_tanh((gr_add)(cut(dy, G, n), gr_amul(s, i)), g), through_sigmoid((gr_add)(cut(dy, O, n), gr_amul(d, state)), o) };
    *dc = gr_amul(s, f);
    return gr_cat(da, 4, 1);
}

static gr_tensor *steps_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    const sizes s = sizes_of(y->in);
    gr_tensor *w = y->in[1], *dw = gr_zeros_like(w), *dh = gr_zeros_like(y->in[2]), *dc = gr_zeros_like(y->in[3]);
    gr_tensor **da = gr__arena_alloc(gr__scope_now(y->ctx), (size_t)(s.steps + 1) * sizeof *da);
    if (i == 0 && s.steps == 0) return gr_zeros_like(y->in[0]);
    for (int64_t t = s.steps - 1; da && t >= 0; t--) {
        gr_tensor *old = t ? step_of(y, t - 1) : NULL, *h = old ? cut(old, H, s.hidden) : y->in[2], *c = old ? cut(old, C, s.hidden) : y->in[3];
        da[t] = back_one(step_of(y, t), c, step_of(dy, t), dh, &dc, s.hidden);
        dh = gr_matmul(da[t], gr_transpose(w, 0, 1));
        if (i == 1) dw = (gr_add)(dw, gr_matmul(gr_transpose(h, 0, 1), da[t]));
    }
    if (!da) return NULL;
    return i == 0 ? gr_stack(da, (int)s.steps, 0) : i == 1 ? dw : i == 2 ? dh : dc;
}

static double logistic(double x) { return 1 / (1 + exp(-x)); }
static bool steps_reference(const gr_call *k, double *const *x, double *y)
{
    const sizes s = sizes_of(k->in);
    for (int64_t p = 0; p < s.steps * s.rows; p++)
        for (int64_t j = 0; j < s.hidden; j++) {
            const int64_t r = p % s.rows;
            const double *h = p < s.rows ? x[2] + r * s.hidden : y + (p - s.rows) * s.wide, *c = p < s.rows ? x[3] + r * s.hidden : h + s.hidden;
            double a[4], *row = y + p * s.wide + j;
            for (int g = 0; g < 4; g++) {
                a[g] = x[0][p * 4 * s.hidden + g * s.hidden + j];
                for (int64_t q = 0; q < s.hidden; q++) a[g] += h[q] * x[1][q * 4 * s.hidden + g * s.hidden + j];
            }
            row[I * s.hidden] = logistic(a[0]), row[F * s.hidden] = logistic(a[1]), row[G * s.hidden] = tanh(a[2]), row[O * s.hidden] = logistic(a[3]);
            row[C * s.hidden] = row[F * s.hidden] * c[j] + row[I * s.hidden] * row[G * s.hidden];
            row[H * s.hidden] = row[O * s.hidden] * tanh(row[C * s.hidden]);
        }
    return true;
}

gr_tensor *gr_lstm_steps(gr_tensor *x, gr_tensor *w, gr_tensor *h, gr_tensor *c)
{
    gr_tensor *in[] = { x, w, h, c };
    for (int i = 0; i < 4; i++)
        if (gr__ready(in[i])) in[i] = gr_contiguous(in[i]);
    return gr_apply(&gr_op_lstm_steps, in, 4, NULL);
}

static gr_tensor *steps(gr_tensor **x) { return gr_lstm_steps(x[0], x[1], x[2], x[3]); }
static gr_tensor *last_h(gr_tensor **x)
{
    gr_tensor *y = steps(x);
    return y ? gr_slice(gr_select(y, 0, -1), -1, 0, gr_size(x[1], 0)) : NULL;
}
static const gr_sample steps_samples[] = {
    { "[2, 2, 8]; [2, 8]; [2, 2]; [2, 2]", steps }, { "[1, 1, 4]; [1, 4]; [1, 1]; [1, 1]", steps }, { "[3, 1, 4]; [1, 4]; [1, 1]; [1, 1]", last_h },
    { "[2, 0, 4]; [1, 4]; [0, 1]; [0, 1]", steps }, { "[0, 2, 4]; [1, 4]; [2, 1]; [2, 1]", steps }, { "[2, 1, 12]; [3, 12]; [1, 3]; [1, 3]", last_h },
    { "[2, 1, 0]; [0, 0]; [1, 0]; [1, 0]", steps }, { NULL, NULL } };
static const gr_bad_call steps_bad[] = {
    { "[2, 2, 6]; [2, 8]; [2, 2]; [2, 2]", steps, GR_ESHAPE,
      "lstm_steps([2, 2, 6], [2, 8], [2, 2], [2, 2]): the gates of 2 units are not 6 wide in x and 8 in w. Fix: x is [steps, n, 4 hidden], w [hidden, 4 hidden]" },
    { "[2, 8]; [2, 8]; [2, 2]; [2, 2]", steps, GR_ESHAPE,
      "lstm_steps([2, 8], [2, 8], [2, 2], [2, 2]): input 0 has rank 2. Fix: x is [steps, n, 4 hidden], w [hidden, 4 hidden], h and c [n, hidden]" },
    { "[2, 2, 8]; [2, 8]; [2, 2]; [3, 2]", steps, GR_ESHAPE,
      "lstm_steps([2, 2, 8], [2, 8], [2, 2], [3, 2]): c is not [2, 2]. Fix: give one row for each sequence" },
    { "[2, 2, 8]; [2, 8]; i64 [2, 2]; [2, 2]", steps, GR_EDTYPE,
      "lstm_steps([2, 2, 8], [2, 8], i64 [2, 2], [2, 2]): f64 with i64 is not implemented. Fix: convert with gr_astype" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_lstm_steps = { .name = "lstm_steps",
                                 .formula = "y = (h, c, i, f, g, o): gates s(x + h' @ w), c = f c' + i g, h = o tanh(c)",
                                 .gradient = "dx = da, what reaches x + h' @ w; dw = sum of h'^T @ da; dh = da[0] @ w^T; dc = dc[0] * f[0]",
                                 .arity = 4, .shape = steps_shape, .forward = steps_forward, .vjp = steps_vjp, .backward = steps_backward,
                                 .reference_tensor = steps_reference, .samples = steps_samples, .bad = steps_bad };
