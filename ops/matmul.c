/* The matrix product, for vectors, matrices and batches of them.
 * SPDX-License-Identifier: MIT */
#include "ops/record.h"

#include <string.h>

/* a [.., m, k], b [.., k, n], with the same leading sizes */
static bool matmul_shape(gr_call *k)
{
    const gr_tensor *a = k->in[0], *b = k->in[1];
    if (a->dtype != b->dtype || !gr_is_float(a))
        return gr_reject(k, GR_EDTYPE, "convert with gr_astype", "%s times %s is not implemented", gr_dtype_name((gr_type)a->dtype), gr_dtype_name((gr_type)b->dtype));
    if (a->ndim < 2 || b->ndim != a->ndim) return gr_reject(k, GR_ESHAPE, "call gr_matmul, which adds dimensions", "the ranks %d and %d differ or are below 2", a->ndim, b->ndim);
    k->dtype = (gr_type)a->dtype;
    k->ndim = a->ndim;
    int r = a->ndim;
    for (int d = 0; d < r - 2; d++) {
        if (a->dims[d] != b->dims[d]) return gr_reject(k, GR_ESHAPE, "call gr_matmul, which broadcasts", "the leading sizes differ");
        k->dim[d] = a->dims[d];
    }
    if (a->dims[r - 1] != b->dims[r - 2])
        return gr_reject(k, GR_ESHAPE, b->dims[r - 1] == a->dims[r - 1] ? "transpose b: gr_transpose(b, -2, -1)" : "check the order of the factors",
                         "the inner sizes differ: a has %lld columns, b has %lld rows", (long long)a->dims[r - 1], (long long)b->dims[r - 2]);
    k->dim[r - 2] = a->dims[r - 2];
    k->dim[r - 1] = b->dims[r - 1];
    return true;
}

#define PACK_NS 0.06 /* for a byte that is packed */
#define READ_NS 0.02 /* for an element */

typedef struct product {
    const gr_gemm_loops *l;
    gr_gemm_size s;
    const gr_tensor *a, *b, *y;
    int64_t units;      /* of one matrix */
    int64_t all, parts; /* of all matrices; what they are cut into */
    size_t bytes;       /* of scratch, for each worker */
    char *scratch;
} product;

static void multiply_parts(void *user, int64_t first, int64_t last, int worker)
{
    const product *p = user;
    int64_t begin = first * p->all / p->parts, end = last * p->all / p->parts;
    const int64_t size = (int64_t)gr__type_size((gr_type)p->y->dtype), *as = gr__stride(p->a), *bs = gr__stride(p->b);
    int64_t index[GR_MAX_RANK];
    for (int64_t next; begin < end; begin = next) {
        const int64_t matrix = begin / p->units, unit = begin % p->units, all = p->units - unit;
        int64_t ao = 0, bo = 0;
        next = end - begin < all ? end : begin + all;
        gr__unravel(matrix, p->y->ndim - 2, p->y->dims, index);
        for (int d = 0; d < p->y->ndim - 2; d++) ao += index[d] * as[d], bo += index[d] * bs[d];
        gr__gemm_part(p->l, &p->s, unit, unit + next - begin, p->a->data + ao * size, p->b->data + bo * size,
                                       p->y->data + matrix * p->s.m * p->s.n * size, p->bytes > 0 ? p->scratch + (size_t)worker * p->bytes : NULL);
    }
}

/* b is copied, with the row to which all is added. */
bool gr__combine_rows(const gr_tensor *start, gr_tensor *a, bool ta, const gr_tensor *b, bool tb, gr_tensor *y)
{
    const int64_t *as = gr__stride(a), *bs = gr__stride(b), n = y->dims[1], size = (int64_t)gr__type_size((gr_type)y->dtype), line = 64 / size;
    const int64_t steps = b->dims[tb], pitch = (n + line - 1) / line * line, before = (int64_t)(sizeof(gr_affine) + 63) / 64 * 64;
    gr_block *how = gr__block_new(y->ctx, (size_t)(before + (steps + 1) * pitch * size));
    if (!how) return false;
    gr_copy_fn *copy = gr__kernels()->copy[gr__kt(y)];
    char *to = (char *)gr__block_data(how) + before;
    *(gr_affine *)gr__block_data(how) = (gr_affine){ n, steps, { as[ta], as[!ta] }, pitch, a->data, to };
    if (start) copy(n, to, 1, start->data, gr__stride(start)[0]);
    else memset(to, 0, (size_t)(n * size));
    for (int64_t i = 0; i < steps; i++) copy(n, to += pitch * size, 1, b->data + i * bs[tb] * size, bs[!tb]);
    return gr__run_maker(gr__kernels()->affine[gr__kt(y)], how, n, 1, &a, y);
}

/* Parts for each worker, of which each packs one of the factors again: a sixteenth of its time at most, if that can be. */
static int64_t parts_of(const product *p, double share, int workers)
{
    const double packing = PACK_NS * (double)p->bytes * (1 + (double)p->s.k / 512), most = share / (16 * packing + 1);
    const int64_t parts = workers * (most < 1 ? 1 : most > 8 ? 8 : (int64_t)most);
    return parts < p->all ? parts : p->all;
}

static bool multiply_shared(const gr_gemm_size *s, double ns, int workers, const gr_tensor *a, const gr_tensor *b, gr_tensor *y)
{
    product p = { .l = gr__kernels()->gemm[gr__kt(y)], .a = a, .b = b, .y = y, .s = *s };
    p.units = gr__gemm_units(p.l, s), p.bytes = gr__gemm_part_scratch(p.l, s);
    p.all = gr__count(y->ndim - 2, y->dims) * p.units;
    p.parts = parts_of(&p, ns / workers, workers);
    gr_block *scratch = p.bytes > 0 ? gr__block_new(y->ctx, p.bytes * (size_t)workers) : NULL;
    if (p.bytes > 0 && !scratch) return false;
    p.scratch = scratch ? gr__block_data(scratch) : NULL;
    gr__parallel_ranges(y->ctx, p.parts, ns / (double)p.parts, multiply_parts, &p);
    if (scratch) gr__block_unref(y->ctx, scratch);
    return true;
}

bool gr__multiply(gr_tensor *a, bool ta, gr_tensor *b, bool tb, gr_tensor *y)
{
    _Alignas(64) char little[GR_LITTLE_SCRATCH];
    const int r = y->ndim, type = gr__kt(y);
    const int64_t *size = y->dims + r - 2, *as = gr__stride(a) + r - 2, *bs = gr__stride(b) + r - 2, inner = a->dims[r - 1 - ta];
    if (gr__few_steps(y, inner)) return gr__ready(a) && gr__ready(b) && gr__combine_rows(NULL, a, ta, b, tb, y);
    if (!y->data && !gr__give_memory(y->ctx->scope[y->scope], y)) return false;
    if (y->numel == 0) return true;
    if (ta && !tb && gr__few_steps(b, size[0])) return gr__ready(a) && gr__run_adjoint(b, a, y, false, NULL);
    if (ta && !tb && gr__few_steps(a, size[1])) return gr__ready(b) && gr__run_adjoint(a, b, y, true, NULL);
    if (!gr__ready(a) || !gr__ready(b)) return false;
    const gr_gemm_size s = { size[0], size[1], inner, { as[ta], as[!ta] }, { bs[tb], bs[!tb] }, size[1] };
    const bool is_little = r == 2 && s.m <= GR_LITTLE && s.n <= GR_LITTLE && s.k <= GR_LITTLE;
    /* two thirds of what AVX-512 does, and what has to be read */
    const double ns = is_little ? 0 : (double)y->numel * (double)inner * (type == GR_K_F32 ? 1 / 75. : 1 / 37.) + READ_NS * (double)(a->numel + b->numel);
    const int workers = gr__parallel_workers(y->ctx, ns);
    if (r > 2 || workers > 1) return multiply_shared(&s, ns, workers, a, b, y);
    /* One matrix. To ask what a little product needs would take as long as the product. */
    const gr_gemm_loops *l = gr__kernels()->gemm[type];
    const size_t bytes = is_little ? 0 : gr__gemm_part_scratch(l, &s);
    gr_block *block = bytes > sizeof little ? gr__block_new(y->ctx, bytes) : NULL;
    if (bytes > sizeof little && !block) return false;
    gr__gemm(l, &s, a->data, b->data, y->data, block ? gr__block_data(block) : little);
    if (block) gr__block_unref(y->ctx, block);
    return true;
}

static bool matmul_forward(const gr_call *k, gr_tensor *y) { return gr__multiply(k->in[0], false, k->in[1], false, y); }

static bool matmul_backward(gr_tensor *y, gr_tensor *dy, gr_tensor **dx)
{
    for (int i = 0; i < 2; i++)
        if (gr__wants(y, i) && !(dx[i] = gr__node_like(gr__scope_now(y->ctx), y->in[i], 0))) return false;
    if (dx[0] && !gr__multiply(dy, false, y->in[1], true, dx[0])) return false;
    return !dx[1] || gr__multiply(y->in[0], true, dy, false, dx[1]);
}

static gr_tensor *matmul_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    if (i == 0) return gr_matmul(dy, gr_transpose(y->in[1], -2, -1));
    return gr_matmul(gr_transpose(y->in[0], -2, -1), dy);
}

static bool matmul_reference(const gr_call *k, double *const *x, double *y)
{
    int r = k->ndim;
    int64_t m = k->dim[r - 2], n = k->dim[r - 1], inner = k->in[0]->dims[r - 1];
    for (int64_t i = 0; i < gr__count(r, k->dim); i++) {
        int64_t batch = i / (m * n), row = i / n % m, col = i % n;
        y[i] = 0;
        for (int64_t j = 0; j < inner; j++) y[i] += x[0][(batch * m + row) * inner + j] * x[1][(batch * inner + j) * n + col];
    }
    return true;
}

/* Both with the same leading sizes; the last two stay. */
static bool match_batches(gr_tensor **a, gr_tensor **b)
{
    gr_tensor *in[] = { *a, *b };
    gr_dims s = { 0 };
    s.n = (*a)->ndim > (*b)->ndim ? (*a)->ndim : (*b)->ndim;
    for (int d = 0; d < s.n; d++) s.v[d] = 1;
    for (int i = 0; i < 2; i++)
        for (int d = 0; d < in[i]->ndim - 2; d++) {
            int64_t *size = &s.v[s.n - in[i]->ndim + d];
            if (in[i]->dims[d] == *size || in[i]->dims[d] == 1) continue;
            if (*size != 1) {
                gr_call k = { .ctx = in[0]->ctx, .op = &gr_op_matmul, .in = in, .n = 2 };
                return gr_reject(&k, GR_ESHAPE, "make these sizes equal, or one of them 1", "leading sizes %lld and %lld do not broadcast",
                                 (long long)*size, (long long)in[i]->dims[d]);
            }
            *size = in[i]->dims[d];
        }
    for (int i = 0; i < 2; i++) {
        for (int d = 0; d < 2; d++) s.v[s.n - 2 + d] = in[i]->dims[in[i]->ndim - 2 + d];
        in[i] = gr_broadcast_to(in[i], s);
    }
    *a = in[0], *b = in[1];
    return *a && *b;
}

gr_tensor *gr_matmul(gr_tensor *a, gr_tensor *b)
{
    if (!gr__ready(a) || !b || b->ctx != a->ctx) return gr_apply(&gr_op_matmul, (gr_tensor *[]){ a, b }, 2, NULL);
    if (a->ndim == 0 || b->ndim == 0) {
        gr_call k = { .ctx = a->ctx, .op = &gr_op_matmul, .in = (gr_tensor *[]){ a, b }, .n = 2 };
        gr_reject(&k, GR_ESHAPE, "multiply with gr_mul", "a scalar is no matrix");
        return NULL;
    }
    gr_type type = a->dtype > b->dtype ? (gr_type)a->dtype : (gr_type)b->dtype;
    if (type < GR_F32) type = gr__float_type(a->ctx);
    bool row = a->ndim == 1, column = b->ndim == 1;
    a = gr_astype(row ? gr_unsqueeze(a, 0) : a, type);
    b = gr_astype(column ? gr_unsqueeze(b, 1) : b, type);
    if (!a || !b) return NULL;
    gr_dims folded = gr__dims_of_tensor(a);
    bool fold = a->ndim > 2 && b->ndim == 2; /* all rows of all matrices against one b: one large product */
    if (fold) a = gr_reshape(a, GR_SHAPE(gr__count(a->ndim - 1, a->dims), a->dims[a->ndim - 1]));
    else if ((a->ndim > 2 || b->ndim > 2) && !match_batches(&a, &b)) return NULL;
    gr_tensor *y = gr_apply(&gr_op_matmul, (gr_tensor *[]){ a, b }, 2, NULL);
    if (!y) return NULL;
    if (fold) {
        folded.v[folded.n - 1] = y->dims[1];
        y = gr_reshape(y, folded);
    }
    if (column) y = gr_squeeze(y, -1);
    return row ? gr_squeeze(y, column ? -1 : -2) : y;
}

static gr_tensor *matmul(gr_tensor **x) { return gr_matmul(x[0], x[1]); }
static gr_tensor *square_of(gr_tensor **x) { return gr_matmul(x[0], x[0]); }
static gr_tensor *by_transpose(gr_tensor **x) { return gr_matmul(x[0], gr_transpose(x[1], 0, 1)); }
static const gr_sample samples[] = {
    { "[2, 3]; [3, 4]", matmul }, { "[3]; [3]", matmul },          { "[3]; [3, 2]", matmul },          { "[2, 3]; [3]", matmul },
    { "[2, 2, 3]; [3, 2]", matmul }, { "[2, 1, 2, 3]; [3, 3, 2]", matmul }, { "[2, 0]; [0, 3]", matmul }, { "[0, 2]; [2, 3]", matmul },
    { "[2, 2]", square_of },      { "[3, 4]; [2, 4]", by_transpose }, { "[1, 1]; [1, 1]", matmul },     { "[5, 7]; [7, 19]", matmul },
    { NULL, NULL } };
static const gr_bad_call bad[] = {
    { "[2, 3]; [4, 5]", matmul, GR_ESHAPE, "matmul([2, 3], [4, 5]): the inner sizes differ: a has 3 columns, b has 4 rows. Fix: check the order of the factors" },
    { "[2, 3]; [4, 3]", matmul, GR_ESHAPE, "matmul([2, 3], [4, 3]): the inner sizes differ: a has 3 columns, b has 4 rows. Fix: transpose b: gr_transpose(b, -2, -1)" },
    { "[]; [2, 2]", matmul, GR_ESHAPE, "matmul([], [2, 2]): a scalar is no matrix. Fix: multiply with gr_mul" },
    { "[2, 2, 3]; [3, 3, 2]", matmul, GR_ESHAPE, "matmul([2, 2, 3], [3, 3, 2]): leading sizes 2 and 3 do not broadcast. Fix: make these sizes equal, or one of them 1" },
    { NULL, NULL, GR_OK, NULL } };
const gr_op gr_op_matmul = { .name = "matmul", .formula = "y = a @ b", .gradient = "da = dy @ b^T; db = a^T @ dy", .arity = 2, .flags = GR_OP_KERNEL, .shape = matmul_shape,
                             .forward = matmul_forward, .vjp = matmul_vjp, .backward = matmul_backward,
                             .reference_tensor = matmul_reference, .samples = samples, .bad = bad };
