/* Scaled dot product attention in one operation: each row of q takes a mean of the rows of v, weighted by how well it fits
 * the rows of k.
 *
 *   y = p v,   p = softmax(scale q k^T),   causal: row i sees rows 0 .. i alone
 *   dv = p^T dy,   dp = dy v^T,   ds = scale p (dp - sum(dp p)),   dq = ds k,   dk = ds^T q
 *
 * A block of rows at a time, so that p, which has the product of both lengths, is never there as a whole; backwards it is
 * computed again. Of a causal p only the columns up to the end of the block are. Any strides of q, k and v will do: heads are
 * views of one tensor. Knows no layer. SPDX-License-Identifier: MIT */
#include "ops/record.h"

#include <math.h>
#include <string.h>

enum { ROWS = 64 }; /* of q at once */

typedef struct attention_attr {
    double scale;
    int64_t causal;
} attention_attr;
static void describe(const void *attr, char *out, size_t size)
{
    const attention_attr *a = attr;
    snprintf(out, size, "scale %g%s", a->scale, a->causal ? ", causal" : "");
}

static bool attention_shape(gr_call *k)
{
    const gr_tensor *q = k->in[0], *key = k->in[1], *v = k->in[2];
    const int r = q->ndim;
    for (int i = 0; i < 3; i++) {
        if (k->in[i]->dtype != q->dtype || !gr_is_float(q))
            return gr_reject(k, GR_EDTYPE, "convert with gr_astype", "%s with %s is not implemented", gr_dtype_name((gr_type)q->dtype), gr_dtype_name((gr_type)k->in[i]->dtype));
        if (k->in[i]->ndim != r || r < 2) return gr_reject(k, GR_ESHAPE, "each is a matrix, or as many matrices", "the ranks %d and %d differ or are below 2", r, k->in[i]->ndim);
        for (int d = 0; d < r - 2; d++)
            if (k->in[i]->dims[d] != q->dims[d]) return gr_reject(k, GR_ESHAPE, "use gr_broadcast_to first", "the leading sizes differ");
    }
    if (q->dims[r - 1] != key->dims[r - 1])
        return gr_reject(k, GR_ESHAPE, "q and k are compared column by column", "q has %lld columns, k has %lld", (long long)q->dims[r - 1], (long long)key->dims[r - 1]);
    if (key->dims[r - 2] != v->dims[r - 2])
        return gr_reject(k, GR_ESHAPE, "each row of k names one of v", "k has %lld rows, v has %lld", (long long)key->dims[r - 2], (long long)v->dims[r - 2]);
    k->dtype = (gr_type)q->dtype;
    k->ndim = r;
    for (int d = 0; d < r; d++) k->dim[d] = d == r - 1 ? v->dims[d] : q->dims[d];
    return true;
}

/* One matrix of a batch, or some of its rows. */
typedef struct matrix {
    char *data;
    int64_t rows, cols, stride[2];
} matrix;
static matrix matrix_of(const gr_tensor *t, int64_t number)
{
    const int r = t->ndim;
    int64_t at[GR_MAX_RANK], offset = 0;
    gr__unravel(number, r - 2, t->dims, at);
    for (int d = 0; d < r - 2; d++) offset += at[d] * gr__stride(t)[d];
    return (matrix){ t->data + offset * (int64_t)gr__type_size((gr_type)t->dtype), t->dims[r - 2], t->dims[r - 1], { gr__stride(t)[r - 2], gr__stride(t)[r - 1] } };
}

typedef struct work {
    const gr_kernel_table *kt;
    int type;
    int64_t size; /* of an element */
    attention_attr a;
    const gr_tensor *q, *k, *v, *y; /* y: or dy */
    gr_tensor **dx;
    gr_block *block;
    int64_t blocks;   /* of rows of one q */
    size_t bytes;     /* of scratch, for each worker */
    int64_t dp, part, products; /* where in it there are, after a block of rows of scores, another, room for one of k or v, and what products need */
    double ns;        /* that a block of rows takes */
} work;

static matrix rows_of(const work *w, matrix m, int64_t from, int64_t rows) { return (matrix){ m.data + from * m.stride[0] * w->size, rows, m.cols, { m.stride[0], m.stride[1] } }; }
static matrix turned(matrix m) { return (matrix){ m.data, m.cols, m.rows, { m.stride[1], m.stride[0] } }; }
static matrix dense(char *data, int64_t rows, int64_t cols) { return (matrix){ data, rows, cols, { cols, 1 } }; }
/* c = a b; the rows of c have unit steps */
static void multiply(const work *w, matrix a, matrix b, matrix c, char *scratch)
{
    const gr_gemm_size s = { a.rows, b.cols, a.cols, { a.stride[0], a.stride[1] }, { b.stride[0], b.stride[1] }, c.stride[0] };
    gr__gemm(w->kt->gemm[w->type], &s, a.data, b.data, c.data, scratch + w->products);
}

static int64_t whole_lines(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/* pairs: of products, one as q k^T and one as p v, for each block of rows */
static bool begin(const gr_tensor *y, gr_tensor *const *in, const attention_attr *a, double pairs, work *w)
{
    const int r = y->ndim;
    const int64_t rows = y->dims[r - 2] < ROWS ? y->dims[r - 2] : ROWS, keys = in[1]->dims[r - 2], depth = in[0]->dims[r - 1], wide = in[2]->dims[r - 1];
    *w = (work){ .kt = gr__kernels(), .type = gr__kt(y), .size = (int64_t)gr__type_size((gr_type)y->dtype), .a = *a, .q = in[0], .k = in[1], .v = in[2], .y = y };
    const int64_t size[] = { rows, keys, depth, wide };
    int64_t most = 0; /* of the sizes of any product */
    for (int i = 0; i < 4; i++) most = size[i] > most ? size[i] : most;
    w->dp = whole_lines(rows * keys * w->size), w->part = 2 * w->dp, w->products = w->part + whole_lines(keys * (depth > wide ? depth : wide) * w->size);
    w->bytes = (size_t)w->products + gr__gemm_scratch(w->kt->gemm[w->type], most, most, most);
    w->blocks = (y->dims[r - 2] + ROWS - 1) / ROWS;
    w->ns = (double)(rows * keys) / (a->causal ? 2 : 1) * (0.5 + pairs * (double)(depth + wide) / (w->type == GR_K_F32 ? 75 : 37));
    const double all = w->ns * (double)(gr__count(r - 2, y->dims) * w->blocks);
    w->block = gr__block_new(y->ctx, w->bytes * (size_t)gr__parallel_workers(y->ctx, all));
    return w->block != NULL;
}
static char *scratch_of(const work *w, int worker) { return (char *)gr__block_data(w->block) + (size_t)worker * w->bytes; }

/* p of rows i .. i + rows of q */
static matrix shares(const work *w, matrix q, matrix k, int64_t i, int64_t rows, char *scratch)
{
    const int64_t seen = w->a.causal && i + rows < k.rows ? i + rows : k.rows;
    matrix p = dense(scratch, rows, seen);
    multiply(w, rows_of(w, q, i, rows), turned(rows_of(w, k, 0, seen)), p, scratch);
    w->kt->attention[w->type](rows, seen, w->a.causal ? i + 1 : seen, w->a.causal ? 1 : 0, w->a.scale, p.data);
    return p;
}
static int64_t next_rows(matrix q, int64_t i) { return q.rows - i < ROWS ? q.rows - i : ROWS; }

static void some_blocks(void *user, int64_t first, int64_t end, int worker)
{
    const work *w = user;
    char *scratch = scratch_of(w, worker);
    for (int64_t b = first; b < end; b++) {
        const int64_t number = b / w->blocks, i = b % w->blocks * ROWS;
        matrix q = matrix_of(w->q, number), p = shares(w, q, matrix_of(w->k, number), i, next_rows(q, i), scratch);
        multiply(w, p, rows_of(w, matrix_of(w->v, number), 0, p.cols), rows_of(w, matrix_of(w->y, number), i, p.rows), scratch);
    }
}

static bool attention_forward(const gr_call *call, gr_tensor *y)
{
    work w;
    if (!y->numel) return true;
    if (!begin(y, call->in, call->attr, 1, &w)) return false;
    gr__parallel_ranges(y->ctx, gr__count(y->ndim - 2, y->dims) * w.blocks, w.ns, some_blocks, &w);
    gr__block_unref(y->ctx, w.block);
    return true;
}

static char *row_of(const work *w, matrix m, int64_t i) { return rows_of(w, m, i, 1).data; }
/* the first rows of c += a b, where c = 0 if this is the first product */
static void add_product(const work *w, matrix a, matrix b, matrix c, bool first, char *scratch)
{
    const matrix part = first ? c : dense(scratch + w->part, a.rows, b.cols);
    multiply(w, a, b, part, scratch);
    for (int64_t i = first ? a.rows : 0; i < (first ? c.rows : a.rows); i++) {
        char *row = row_of(w, c, i);
        if (first) memset(row, 0, (size_t)(c.cols * w->size));
        else w->kt->ew[GR_EW_add][w->type](c.cols, (char *[]){ row, row, row_of(w, part, i) });
    }
}

/* dk and dv are sums over all rows of q: a matrix is one item */
static void some_gradients(void *user, int64_t first, int64_t end, int worker)
{
    const work *w = user;
    char *scratch = scratch_of(w, worker);
    for (int64_t b = first; b < end; b++) {
        matrix q = matrix_of(w->q, b), k = matrix_of(w->k, b), v = matrix_of(w->v, b), g = matrix_of(w->y, b);
        matrix dq = matrix_of(w->dx[0], b), dk = matrix_of(w->dx[1], b), dv = matrix_of(w->dx[2], b);
        for (int64_t i = 0; i < q.rows; i += ROWS) {
            matrix p = shares(w, q, k, i, next_rows(q, i), scratch), dp = dense(scratch + w->dp, p.rows, p.cols), gi = rows_of(w, g, i, p.rows);
            add_product(w, turned(p), gi, dv, i == 0, scratch);
            multiply(w, gi, turned(rows_of(w, v, 0, p.cols)), dp, scratch);
            w->kt->attention_dx[w->type](p.rows, p.cols, w->a.causal ? i + 1 : p.cols, w->a.causal ? 1 : 0, w->a.scale, p.data, dp.data);
            multiply(w, dp, rows_of(w, k, 0, p.cols), rows_of(w, dq, i, p.rows), scratch);
            add_product(w, turned(dp), rows_of(w, q, i, p.rows), dk, i == 0, scratch);
        }
    }
}

static bool attention_backward(gr_tensor *y, gr_tensor *dy, gr_tensor **dx)
{
    work w;
    const bool none = !y->numel || !y->in[2]->numel;
    for (int i = 0; i < 3; i++)
        if (!(dx[i] = none ? gr_zeros_like(y->in[i]) : gr__empty_as_it_lies(y->in[i]))) return false;
    if (none) return true;
    if (!begin(dy, y->in, y->attr, 2.5, &w)) return false;
    w.dx = dx;
    gr__parallel_ranges(y->ctx, gr__count(y->ndim - 2, y->dims), w.ns * (double)w.blocks, some_gradients, &w);
    gr__block_unref(y->ctx, w.block);
    return true;
}

/* ---- by public operations -------------------------------------------------------------------------------------------*/
static gr_tensor *scores_of(gr_tensor *q, gr_tensor *k, double scale) { return gr_mul_any(gr_operand_tensor(gr_matmul(q, gr_transpose(k, -2, -1))), gr_operand_number(scale)); }
/* bool [t, s]: does row i see row j? */
static gr_tensor *past(const gr_tensor *scores)
{
    if (!scores) return NULL;
    gr_ctx *c = scores->ctx;
    gr_tensor *i = gr_arange(c, 0, (double)scores->dims[scores->ndim - 2], 1, .dtype = GR_I64), *j = gr_arange(c, 0, (double)scores->dims[scores->ndim - 1], 1, .dtype = GR_I64);
    return gr_le_any(gr_operand_tensor(j), gr_operand_tensor(gr_unsqueeze(i, 1)));
}

static gr_tensor *attention_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    const attention_attr *a = y->attr;
    gr_tensor *q = y->in[0], *k = y->in[1], *v = y->in[2], *s = scores_of(q, k, a->scale);
    gr_tensor *p = a->causal ? gr_masked_softmax(s, past(s), -1) : gr_softmax(s, -1);
    if (i == 2) return gr_matmul(gr_transpose(p, -2, -1), dy);
    gr_tensor *dp = gr_matmul(dy, gr_transpose(v, -2, -1)), *along = gr_sum(gr_amul(dp, p), .dims = GR_DIMS(-1), .keepdim = true);
    gr_tensor *ds = gr_mul_any(gr_operand_tensor(gr_amul(gr_sub_any(gr_operand_tensor(dp), gr_operand_tensor(along)), p)), gr_operand_number(a->scale));
    return i == 0 ? gr_matmul(ds, k) : gr_matmul(gr_transpose(ds, -2, -1), q);
}

static bool attention_reference(const gr_call *k, double *const *x, double *y)
{
    const attention_attr *a = k->attr;
    const int r = k->ndim;
    const int64_t t = k->in[0]->dims[r - 2], d = k->in[0]->dims[r - 1], s = k->in[1]->dims[r - 2], e = k->in[2]->dims[r - 1];
    for (int64_t i = 0; i < gr__count(r - 1, k->dim); i++) {
        const double *q = x[0] + i * d, *key = x[1] + i / t * s * d, *v = x[2] + i / t * s * e;
        double sum = 0;
        for (int64_t c = 0; c < e; c++) y[i * e + c] = 0;
        for (int64_t j = 0; j < s && (!a->causal || j <= i % t); j++) {
            double score = 0;
            for (int64_t c = 0; c < d; c++) score += q[c] * key[j * d + c];
            sum += exp(a->scale * score);
            for (int64_t c = 0; c < e; c++) y[i * e + c] += exp(a->scale * score) * v[j * e + c];
        }
        for (int64_t c = 0; c < e && sum > 0; c++) y[i * e + c] /= sum;
    }
    return true;
}

/* ---- public ----------------------------------------------------------------------------------------------------------*/
gr_tensor *gr_scaled_dot_product_attention_with(gr_tensor *q, gr_tensor *k, gr_tensor *v, gr_attention_opts o)
{
    if (!gr__ready(q)) return NULL;
    attention_attr a = { o.scale, o.causal };
    if (a.scale == 0) a.scale = q->ndim && q->dims[q->ndim - 1] ? 1 / sqrt((double)q->dims[q->ndim - 1]) : 1;
    if (!o.mask) return gr_apply(&gr_op_attention, (gr_tensor *[]){ q, k, v }, 3, &a);
    if (o.causal) {
        gr_fail(q->ctx, GR_EVALUE, "attention: a mask and .causal are both given. Fix: put what causal hides into the mask");
        return NULL;
    }
    return gr_matmul(gr_masked_softmax(scores_of(q, k, a.scale), o.mask, -1), v);
}

static gr_tensor *attend(gr_tensor **x) { return gr_scaled_dot_product_attention(x[0], x[1], x[2], .causal = false); }
static gr_tensor *causally(gr_tensor **x) { return gr_scaled_dot_product_attention(x[0], x[1], x[2], .causal = true); }
static gr_tensor *scaled(gr_tensor **x) { return gr_scaled_dot_product_attention(x[0], x[1], x[2], .scale = -0.75, .causal = true); }
static gr_tensor *self(gr_tensor **x) { return gr_scaled_dot_product_attention(x[0], x[0], x[0], .causal = true); }
static gr_tensor *masked_causally(gr_tensor **x) { return gr_scaled_dot_product_attention(x[0], x[0], x[0], .causal = true, .mask = x[1]); }
static const gr_sample attention_samples[] = {
    { "[2, 3]; [4, 3]; [4, 2]", attend }, { "[3, 2]; [3, 2]; [3, 3]", causally }, { "[2, 2, 3, 2]; [2, 2, 3, 2]; [2, 2, 3, 2]", causally },
    { "[2, 4, 2]; [2, 2, 2]; [2, 2, 3]", scaled }, { "[3, 4]", self }, { "[2, 0, 2]; [2, 3, 2]; [2, 3, 1]", attend },
    { "[2, 2]; [0, 2]; [0, 3]", attend }, { "[2, 0]; [3, 0]; [3, 2]", causally }, { "[2, 1]; [66, 1]; [66, 1] in -0.05..0.05", attend }, { "[66, 1]; [2, 1]; [2, 1]", causally }, { NULL, NULL } };
static const gr_bad_call attention_bad[] = {
    { "[2, 3]; [4, 2]; [4, 2]", attend, GR_ESHAPE, "attention([2, 3], [4, 2], [4, 2]): q has 3 columns, k has 2. Fix: q and k are compared column by column" },
    { "[2, 3]; [4, 3]; [5, 2]", attend, GR_ESHAPE, "attention([2, 3], [4, 3], [5, 2]): k has 4 rows, v has 5. Fix: each row of k names one of v" },
    { "[2, 3]; [1, 4, 3]; [4, 2]", attend, GR_ESHAPE, "attention([2, 3], [1, 4, 3], [4, 2]): the ranks 2 and 3 differ or are below 2. Fix: each is a matrix, or as many matrices" },
    { "[2, 2, 3]; [1, 4, 3]; [2, 4, 2]", attend, GR_ESHAPE, "attention([2, 2, 3], [1, 4, 3], [2, 4, 2]): the leading sizes differ. Fix: use gr_broadcast_to first" },
    { "i64 [2, 3]; [4, 3]; [4, 2]", attend, GR_EDTYPE, "attention(i64 [2, 3], [4, 3], [4, 2]): i64 with i64 is not implemented. Fix: convert with gr_astype" },
    { "[2, 3]; bool [2, 2] in 0..1", masked_causally, GR_EVALUE, "attention: a mask and .causal are both given. Fix: put what causal hides into the mask" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_attention = { .name = "attention", .formula = "y = p @ v, p = softmax(scale * q @ k^T)",
                                .gradient = "dq = ds @ k; dk = ds^T @ q; dv = p^T @ dy, with dp = dy @ v^T, ds = scale * p * (dp - sum(dp * p))", .arity = 3,
                                .attr_size = sizeof(attention_attr), .shape = attention_shape, .forward = attention_forward, .vjp = attention_vjp,
                                .backward = attention_backward, .describe = describe, .reference_tensor = attention_reference,
                                .samples = attention_samples, .bad = attention_bad };
