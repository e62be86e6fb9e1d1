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

/* Sequences know nothing of each other: a block of them, of at most ROWS, runs through all steps. How they are cut depends on
 * their number alone, for the bits of a product may depend on its rows. */
enum { ROWS = 16 };
#define UNIT_NS 3 /* for the gates and the state of a unit */
typedef struct run {
    const gr_kernel_table *kt;
    int type;
    sizes s;
    const gr_tensor *y, *x, *w, *h, *c; /* of the forward pass; w: turned round for backward */
    const gr_tensor *dy, *da, *dh, *dc; /* of the backward pass */
    bool first;                         /* it also gives the gradient of the first h */
    int64_t blocks;
    int64_t product; /* bytes of scratch before those of the products */
    size_t bytes;    /* of scratch, for each worker */
    char *scratch;
} run;

static int64_t block_begin(const run *j, int64_t block) { return block * j->s.rows / j->blocks; }
/* row `row` of a tensor of rows of so many elements */
static char *row_of(const run *j, const gr_tensor *t, int64_t row, int64_t wide) { return t->data + (size_t)(row * wide) * j->s.size; }
/* row `row` of a part of y at step t; before step 0 that is what the recurrence starts from, with rows of its own length */
static char *part_of(const run *j, const gr_tensor *y, int64_t t, int64_t row, int part) { return row_of(j, y, t * j->s.rows + row, j->s.wide) + (size_t)(part * j->s.hidden) * j->s.size; }
static const char *before(const run *j, const gr_tensor *start, int64_t t, int64_t row, int part, int64_t *pitch)
{
    *pitch = t ? j->s.wide : j->s.hidden;
    return t ? part_of(j, j->y, t - 1, row, part) : row_of(j, start, row, j->s.hidden);
}

/* Some blocks at a time, by fn, each product from k to n columns. */
static bool run_blocks(run *j, int64_t n, int64_t k, gr_range_fn *fn)
{
    const sizes *s = &j->s;
    const double ns = (double)(s->steps * s->rows * s->hidden) * (UNIT_NS + 4 * (double)s->hidden / (j->type == GR_K_F32 ? 75 : 37));
    j->blocks = (s->rows + ROWS - 1) / ROWS;
    j->bytes = (size_t)j->product + (gr__gemm_scratch(j->kt->gemm[j->type], s->rows < ROWS ? s->rows : ROWS, n, k) + 63) / 64 * 64;
    gr_block *block = gr__block_new(j->y->ctx, j->bytes * (size_t)gr__parallel_workers(j->y->ctx, ns));
    if (!block) return false;
    j->scratch = gr__block_data(block);
    gr__parallel_ranges(j->y->ctx, j->blocks, ns / (double)j->blocks, fn, j);
    gr__block_unref(j->y->ctx, block);
    return true;
}

static void forward_blocks(void *user, int64_t begin, int64_t end, int worker)
{
    const run *j = user;
    const gr_gemm_loops *l = j->kt->gemm[j->type];
    const int64_t n = j->s.hidden, *ws = gr__stride(j->w);
    char *a = j->scratch + (size_t)worker * j->bytes;
    for (int64_t block = begin; block < end; block++) {
        const int64_t r = block_begin(j, block), rows = block_begin(j, block + 1) - r;
        for (int64_t t = 0; t < j->s.steps; t++) {
            int64_t hs, cs;
            const char *h = before(j, j->h, t, r, H, &hs), *c = before(j, j->c, t, r, C, &cs);
            gr__gemm(l, &(gr_gemm_size){ rows, 4 * n, n, { hs, 1 }, { ws[0], ws[1] }, 4 * n }, h, j->w->data, a, a + j->product);
            j->kt->lstm[j->type](rows, n, row_of(j, j->x, t * j->s.rows + r, 4 * n), a, c, cs, part_of(j, j->y, t, r, H));
        }
    }
}

static bool steps_forward(const gr_call *k, gr_tensor *y)
{
    const sizes s = sizes_of(k->in);
    if (!y->numel) return true;
    run j = { .kt = gr__kernels(), .type = gr__kt(y), .s = s, .y = y, .x = k->in[0], .w = k->in[1], .h = k->in[2], .c = k->in[3] };
    j.product = (int64_t)((size_t)((s.rows < ROWS ? s.rows : ROWS) * 4 * s.hidden) * s.size + 63) / 64 * 64;
    return run_blocks(&j, 4 * s.hidden, s.hidden, forward_blocks);
}

/* dw = sum over steps of h_{t-1}^T da_t: those after the first are one product, since the rows of y follow each other */
static bool weight_gradient(gr_tensor *y, const sizes *s, gr_tensor *da, gr_tensor *dw)
{
    const int64_t all = s->steps * s->rows, later = all - s->rows;
    gr_tensor *gates = gr_reshape(da, GR_SHAPE(all, 4 * s->hidden)), *first_gates = gr_slice(gates, 0, 0, s->rows), *first = gr_empty_like(dw);
    gr_tensor *h = gr_slice(gr_slice(gr_reshape(y, GR_SHAPE(all, s->wide)), 0, 0, later), 1, 0, s->hidden), *later_gates = gr_slice(gates, 0, s->rows, all);
    return first_gates && first && h && later_gates && gr__multiply(y->in[2], true, first_gates, false, first) && gr__multiply(h, true, later_gates, false, dw) &&
           gr__run_kernel(GR_EW_add, (gr_type)y->dtype, 3, (gr_tensor *[]){ dw, dw, first });
}

/* The gradients of h and c, as far as the steps after t give them, are in dh and dc. */
static void backward_blocks(void *user, int64_t begin, int64_t end, int worker)
{
    const run *j = user;
    const gr_gemm_loops *l = j->kt->gemm[j->type];
    const int64_t n = j->s.hidden, *ws = gr__stride(j->w);
    for (int64_t block = begin; block < end; block++) {
        const int64_t r = block_begin(j, block), rows = block_begin(j, block + 1) - r;
        char *dh = row_of(j, j->dh, r, n), *dc = row_of(j, j->dc, r, n);
        for (int64_t t = j->s.steps - 1; t >= 0; t--) {
            int64_t cs;
            const char *c = before(j, j->c, t, r, C, &cs);
            char *da = row_of(j, j->da, t * j->s.rows + r, 4 * n);
            j->kt->lstm_back[j->type](rows, n, part_of(j, j->y, t, r, H), c, cs, part_of(j, j->dy, t, r, H), dh, dc, da);
            if (t || j->first)
                gr__gemm(l, &(gr_gemm_size){ rows, n, 4 * n, { 4 * n, 1 }, { ws[0], ws[1] }, n }, da, j->w->data, dh, j->scratch + (size_t)worker * j->bytes);
        }
    }
}

static bool steps_backward(gr_tensor *y, gr_tensor *dy, gr_tensor **dx)
{
    const sizes s = sizes_of(y->in);
    for (int i = 0; i < 4; i++)
        if (!(dx[i] = i == 0 ? gr_empty_like(y->in[0]) : gr_zeros_like(y->in[i]))) return false;
    if (!y->numel) return true;
    const gr_tensor *turned = gr_contiguous(gr_transpose(y->in[1], 0, 1)); /* once, and not in every product */
    if (!turned || !(dy = gr_contiguous(dy))) return false;
    run j = { .kt = gr__kernels(), .type = gr__kt(y), .s = s, .y = y, .w = turned, .c = y->in[3], .dy = dy, .da = dx[0], .dh = dx[2], .dc = dx[3], .first = gr_wants(y, 2) };
    return run_blocks(&j, s.hidden, 4 * s.hidden, backward_blocks) && (!gr_wants(y, 1) || weight_gradient(y, &s, dx[0], dx[1]));
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
