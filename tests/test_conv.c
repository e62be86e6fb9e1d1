/* Convolution and pooling against PyTorch 1.13.1, at the points where conventions matter, and one kernel against another.
 * The inputs are multiples of 1/8, so every sum is exact in both dtypes and in any order: equality is meant.
 * SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE
#include "core/core.h"
#include "kernels/kernels.h"
#include "nn/nn.h"
#include "ops/ops.h"
#include "tests/guards.h"
#include "tests/test.h"

#include <limits.h>

#define MAX 512

/* element i is ((i step) mod modulus) / 8 - 1.5 */
static gr_tensor *ramp(gr_ctx *c, gr_dims shape, int step, int modulus)
{
    double v[MAX];
    gr_tensor *t = gr_zeros(c, shape);
    for (int i = 0; i < (int)gr_numel(t); i++) v[i] = (double)(i * step % modulus) / 8 - 1.5;
    gr_write(t, v);
    return t;
}

/* the sum, and the sum with weights 1 + 5 i mod 11, which tells an element from another */
static void check_sums(int line, const char *what, const gr_tensor *t, const double want[2])
{
    double v[MAX], plain = 0, weighted = 0;
    if (!gr_read(t, v)) plain = (double)NAN;
    for (int i = 0; i < (int)gr_numel(t); i++) plain += v[i], weighted += v[i] * (1 + i * 5 % 11);
    if (plain != want[0] || weighted != want[1])
        test_errors++, printf("# line %d: %s sums to %.17g, %.17g, not to %.17g, %.17g\n", line, what, plain, weighted, want[0], want[1]);
}
static void check_all(int line, const gr_tensor *t, int n, const double *want)
{
    double v[MAX] = { 0 };
    if (gr_numel(t) != n || !gr_read(t, v)) test_errors++, printf("# line %d: no %d elements\n", line, n);
    for (int i = 0; i < n; i++)
        if (v[i] != want[i] && !(isnan(v[i]) && isnan(want[i]))) test_errors++, printf("# line %d: [%d] is %.17g, not %.17g\n", line, i, v[i], want[i]);
}
#define LIST(...) (int)(sizeof((double[]){ __VA_ARGS__ }) / sizeof(double)), (const double[]){ __VA_ARGS__ }

/* y = conv2d(x, w) + bias with bias 1/4, 2/4, ..., and the gradients of sum(r y), r a ramp */
typedef struct conv_case {
    gr_dims x, w, y;
    bool bias;
    gr_conv2d_opts o;
    double sums[4][2]; /* of y, dx, dw, db */
} conv_case;
static void check_case(int line, gr_type type, const conv_case *k, gr_tensor *(*f)(gr_tensor *, gr_tensor *, gr_conv2d_opts))
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = type });
    gr_conv2d_opts o = k->o;
    double quarter[MAX];
    for (int i = 0; i < MAX; i++) quarter[i] = 0.25 * (i + 1);
    gr_tensor *x = gr_requires_grad(ramp(c, k->x, 7, 23)), *w = gr_requires_grad(ramp(c, k->w, 5, 17));
    if (k->bias) {
        o.bias = gr_requires_grad(gr_zeros(c, GR_SHAPE(k->w.v[0])));
        gr_write(o.bias, quarter);
    }
    gr_tensor *y = f(x, w, o);
    for (int d = 0; d < 4; d++) CHECK(gr_size(y, d) == k->y.v[d]);
    gr_backward(gr_sum(gr_mul(y, ramp(c, k->y, 3, 13)), .keepdim = false));
    check_sums(line, "y", y, k->sums[0]);
    check_sums(line, "dx", gr_grad(x), k->sums[1]);
    check_sums(line, "dw", gr_grad(w), k->sums[2]);
    if (k->bias) check_sums(line, "db", gr_grad(o.bias), k->sums[3]);
    if (gr_failed(c)) test_errors++, printf("# line %d: %s\n", line, gr_message(c));
    gr_ctx_free(c);
}
static void check_both(int line, conv_case k, gr_tensor *(*f)(gr_tensor *, gr_tensor *, gr_conv2d_opts))
{
    check_case(line, GR_F64, &k, f);
    check_case(line, GR_F32, &k, f);
}

TEST(a_plain_convolution_is_that_of_pytorch)
{
    check_both(__LINE__, (conv_case){ GR_SHAPE(2, 2, 4, 5), GR_SHAPE(3, 2, 2, 3), GR_SHAPE(2, 3, 3, 3), true, { .groups = 1 },
                                      { { 69.75, 373.890625 }, { 269.453125, 1619.53125 }, { 62.265625, 361.765625 }, { -41.625, -259.75 } } }, gr_conv2d_with);
}
TEST(a_dilated_convolution_is_that_of_pytorch)
{
    check_both(__LINE__, (conv_case){ GR_SHAPE(1, 1, 6, 7), GR_SHAPE(2, 1, 3, 2), GR_SHAPE(1, 2, 4, 3), false,
                                      { .stride = { 1, 2 }, .padding = { 1, 1 }, .dilation = { 2, 3 } },
                                      { { 4.734375, 40.40625 }, { 34.578125, 196.125 }, { 8.5625, 45.53125 } } }, gr_conv2d_with);
}
TEST(a_grouped_convolution_is_that_of_pytorch)
{
    check_both(__LINE__, (conv_case){ GR_SHAPE(2, 4, 3, 3), GR_SHAPE(4, 2, 2, 2), GR_SHAPE(2, 4, 2, 4), true, { .padding = { 0, 1 }, .groups = 2 },
                                      { { 60.984375, 396.78125 }, { 153.03125, 939.84375 }, { 27.4375, 162.5 }, { -48.5, -278.75 } } }, gr_conv2d_with);
}
TEST(a_depthwise_convolution_with_every_option_is_that_of_pytorch)
{
    check_both(__LINE__, (conv_case){ GR_SHAPE(1, 3, 7, 6), GR_SHAPE(6, 1, 3, 2), GR_SHAPE(1, 6, 3, 3), false,
                                      { .stride = { 3, 2 }, .padding = { 2, 1 }, .dilation = { 2, 2 }, .groups = 3 },
                                      { { 17.84375, 95.015625 }, { 80, 424.4375 }, { 20.34375, 141.421875 } } }, gr_conv2d_with);
}
TEST(a_transposed_convolution_is_that_of_pytorch)
{
    check_both(__LINE__, (conv_case){ GR_SHAPE(1, 2, 3, 4), GR_SHAPE(2, 3, 2, 3), GR_SHAPE(1, 3, 5, 14), false,
                                      { .stride = { 2, 3 }, .padding = { 1, 0 }, .output_padding = { 1, 2 } },
                                      { { 43.25, 262.765625 }, { 139.6875, 806.765625 }, { 63.875, 339.203125 } } }, gr_conv_transpose2d_with);
}

TEST(every_element_of_a_padded_and_strided_convolution_is_that_of_pytorch)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_requires_grad(ramp(c, GR_SHAPE(1, 2, 5, 6), 7, 23)), *w = gr_requires_grad(ramp(c, GR_SHAPE(2, 2, 3, 3), 5, 17));
    gr_tensor *b = gr_requires_grad(gr_from(c, GR_SHAPE(2), (float[]){ 0.25, 0.5 }));
    gr_tensor *y = gr_conv2d(x, w, .bias = b, .stride = { 2, 3 }, .padding = { 1, 2 });
    gr_backward(gr_sum(gr_mul(y, ramp(c, GR_SHAPE(1, 2, 3, 3), 3, 13)), .keepdim = false));
    check_all(__LINE__, y, LIST(-0.125, -0.15625, 1.34375, -2.625, 3.546875, 6.296875, 0.65625, -0.953125, -0.671875, -0.1875, 1.828125, 3.34375, -0.265625, 1,
                                3.359375, 0.4375, 2.6875, 0.09375));
    check_all(__LINE__, gr_grad(x), LIST(0.578125, 0.703125, 1.765625, 0.4375, 0.421875, 1.15625, 1.296875, 2.546875, 2.671875, 0.40625, 3.625, 2.875, 0.15625,
                                         1.6875, 0.75, -0.1875, 0.796875, 1.96875, 0.25, 3.140625, 1.65625, 0.171875, 1.578125, 2.671875, 0.34375, 0.234375, 0.75,
                                         0.203125, -0.046875, 0.140625, 2.734375, 0.171875, 0.96875, 2.03125, 0.125, 0.59375, 3.921875, -0.046875, 3, 3.125, 0.0625,
                                         1.4375, 0.625, -0.375, 1.875, 0.9375, 0.1875, 1.09375, 1.9375, -0.125, 2.375, 1.953125, 0.796875, 1.625, 1.5625, 0.09375,
                                         0.34375, 0.859375, 0.046875, -0.03125));
    check_all(__LINE__, gr_grad(w), LIST(1.28125, 1.4375, -0.03125, -0.015625, 0.296875, 1.828125, 1.671875, 2.53125, -1.96875, 0.578125, 0.734375, -0.6875,
                                         2.171875, 0.328125, 3.421875, 0.5, 1.359375, -3.09375, 2.953125, 1.40625, -0.921875, -1.921875, 1.578125, 1.453125,
                                         0.296875, 4.125, -1.234375, 1.828125, 0.28125, -2, 3.890625, 0.921875, 2.359375, -1.296875, 2.53125, -2.78125));
    check_all(__LINE__, gr_grad(b), LIST(-6.5, -7));
    CHECK(!gr_failed(c));
    gr_ctx_free(c);
}

TEST(a_convolution_with_a_bias_equals_its_composition)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    gr_tensor *in[] = { gr_randn(c, GR_SHAPE(9, 2, 6, 5)), gr_randn(c, GR_SHAPE(3, 2, 3, 2)), gr_randn(c, GR_SHAPE(3)) }, *loss[2], *g[2][3];
    for (int i = 0; i < 3; i++) gr_requires_grad(in[i]);
    gr_tensor *y[] = { gr_conv2d(in[0], in[1], .bias = in[2], .padding = { 1, 1 }),
                       gr_add(gr_conv2d(in[0], in[1], .padding = { 1, 1 }), gr_reshape(in[2], GR_SHAPE(3, 1, 1))) };
    gr_tensor *weight = gr_randn(c, gr_dims_like(y[0]));
    for (int k = 0; k < 2; k++) {
        loss[k] = gr_sum(gr_mul(gr_square(y[k]), weight));
        CHECK(gr_grads(loss[k], in, 3, g[k], .retain_graph = true));
    }
    CHECK_NEAR(gr_item(gr_max(gr_abs(gr_sub(y[0], y[1])))), 0, 1e-14);
    for (int i = 0; i < 3; i++) {
        gr_tensor *v = gr_randn(c, gr_dims_like(in[i]));
        CHECK_NEAR(gr_item(gr_max(gr_abs(gr_sub(g[0][i], g[1][i])))), 0, 1e-11);
        CHECK_NEAR(gr_item(gr_max(gr_abs(gr_sub(gr_hvp(loss[0], in[i], v), gr_hvp(loss[1], in[i], v))))), 0, 1e-10);
    }
    CHECK_STR(gr_message(c), "");
    gr_ctx_free(c);
}

/* An element beyond the reach of a tap is no factor of its sum: the rows of dy lie in memory with gaps that it falls into. */
TEST(infinities_reach_the_taps_alone_that_meet_them)
{
    gr_ctx *c = gr_ctx_new(NULL);
    const float inf = INFINITY;
    gr_tensor *x = gr_from(c, GR_SHAPE(1, 1, 3, 3), (float[]){ 1, 1, inf, 1, 1, 1, inf, 1, 1 }), *w = gr_requires_grad(gr_ones(c, GR_SHAPE(1, 1, 2, 2)));
    gr_backward(gr_conv2d(x, w, .stride = { 1, 1 }), .grad = gr_ones(c, GR_SHAPE(1, 1, 2, 2)));
    check_all(__LINE__, gr_grad(w), LIST(4, INFINITY, INFINITY, 4));
    gr_zero_grad(w);
    gr_backward(gr_conv2d(gr_from(c, GR_SHAPE(1, 2, 2, 3), (float[]){ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, inf }), gr_reshape(gr_cat((gr_tensor *[]){ w, w }, 2, 1), GR_SHAPE(1, 2, 2, 2)),
                          .stride = { 2, 2 }), .grad = gr_ones(c, GR_SHAPE(1, 1, 1, 1)));
    check_all(__LINE__, gr_grad(w), LIST(2, 2, 2, 2)); /* column 2 is under no tap */
    CHECK(!gr_failed(c));
    gr_ctx_free(c);
}

/* ---- pooling -----------------------------------------------------------------------------------------------------*/
/* y, after a sweep from sum(k y_k), k = 1, 2, ... */
static gr_tensor *swept(gr_tensor *x, gr_tensor *y)
{
    gr_ctx *c = gr_ctx_of(x);
    gr_tensor *weight = gr_reshape(gr_arange(c, 1, 1 + (double)gr_numel(y), 1), gr_dims_like(y));
    gr_zero_grad(x);
    gr_backward(gr_sum(gr_where(gr_eq(y, y), gr_mul(y, weight), weight), .keepdim = false), .retain_graph = true);
    return y;
}

TEST(the_first_of_equals_and_a_nan_win_a_window)
{
    gr_ctx *c = gr_ctx_new(NULL);
    const float nan = NAN;
    gr_tensor *x = gr_requires_grad(gr_from(c, GR_SHAPE(1, 1, 4, 4), (float[]){ 1, 1, 2, 2, -1, 3, 3, 0, 0, -0.0F, nan, 1, 5, 5, 2, nan }));
    gr_tensor *y = gr_max_pool2d(x, .kernel = { 2, 2 });
    check_all(__LINE__, y, LIST(3, 3, 5, (double)NAN));
    check_all(__LINE__, gr_argmax_pool2d(x, .kernel = { 2, 2 }), LIST(5, 6, 12, 10)); /* of two NaNs PyTorch takes the last */
    gr_tensor *dy = gr_reshape(gr_arange(c, 1, 5, 1), GR_SHAPE(1, 1, 2, 2));
    gr_backward(y, .grad = dy);
    check_all(__LINE__, gr_grad(x), LIST(0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 4, 0, 3, 0, 0, 0));
    CHECK(!gr_failed(c));
    gr_ctx_free(c);
}

TEST(padding_never_wins_a_window)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_requires_grad(gr_neg(gr_reshape(gr_arange(c, 1, 10, 1), GR_SHAPE(1, 1, 3, 3))));
    gr_tensor *y = swept(x, gr_max_pool2d(x, .kernel = { 2, 2 }, .padding = { 1, 1 }));
    check_all(__LINE__, y, LIST(-1, -2, -4, -5));
    check_all(__LINE__, gr_grad(x), LIST(1, 2, 0, 3, 4, 0, 0, 0, 0));
    gr_tensor *low = gr_full(c, GR_SHAPE(1, 1, 2, 2), (double)-INFINITY);
    check_all(__LINE__, gr_argmax_pool2d(low, .kernel = { 2, 2 }, .stride = { 1, 1 }, .padding = { 1, 1 }), LIST(0, 0, 1, 0, 0, 1, 2, 2, 3));
    CHECK(!gr_failed(c));
    gr_ctx_free(c);
}

TEST(a_mean_counts_padding_unless_told_not_to)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    gr_tensor *x = gr_requires_grad(gr_reshape(gr_arange(c, 1, 10, 1), GR_SHAPE(1, 1, 3, 3)));
    check_all(__LINE__, swept(x, gr_avg_pool2d(x, .kernel = { 2, 2 }, .padding = { 1, 1 })), LIST(0.25, 1.25, 2.75, 7));
    check_all(__LINE__, gr_grad(x), LIST(0.25, 0.5, 0.5, 0.75, 1, 1, 0.75, 1, 1));
    check_all(__LINE__, swept(x, gr_avg_pool2d(x, .kernel = { 2, 2 }, .padding = { 1, 1 }, .exclude_padding = true)), LIST(1, 2.5, 5.5, 7));
    check_all(__LINE__, gr_grad(x), LIST(1, 1, 1, 1.5, 1, 1, 1.5, 1, 1));
    CHECK(!gr_failed(c));
    gr_ctx_free(c);
}

/* ---- kernels -----------------------------------------------------------------------------------------------------*/
static void put(void *p, int type, int64_t i, double v)
{
    if (type == GR_K_F32) ((float *)p)[i] = (float)v;
    else ((double *)p)[i] = v;
}
static double get(const void *p, int type, int64_t i) { return type == GR_K_F32 ? (double)((const float *)p)[i] : ((const double *)p)[i]; }
static void *filled(int64_t n, int type, int step)
{
    void *p = malloc((size_t)(n ? n : 1) * 8);
    for (int64_t i = 0; i < n; i++) put(p, type, i, (double)(i * step % 15 - 7));
    return p;
}

static gr_conv2d_size size_of(const int *v)
{
    gr_conv2d_size s = { .n = v[0], .groups = v[1], .cin = v[2], .cout = v[3], .h = v[4], .w = v[5], .kh = v[6], .kw = v[7] };
    for (int d = 0; d < 2; d++) s.stride[d] = v[8 + d], s.padding[d] = v[10 + d], s.dilation[d] = v[12 + d];
    s.oh = (s.h + 2 * s.padding[0] - s.dilation[0] * (s.kh - 1) - 1) / s.stride[0] + 1;
    s.ow = (s.w + 2 * s.padding[1] - s.dilation[1] * (s.kw - 1) - 1) / s.stride[1] + 1;
    return s;
}

/* y, and with y as its own gradient dx and dw, and after dw that of a bias, by the definition */
static void naive(const gr_conv2d_size *s, int type, const void *x, const void *w, double *y, double *dx, double *dw)
{
    for (int pass = 0; pass < 2; pass++)
        for (int64_t p = 0; p < s->n * s->groups * s->cout * s->oh * s->ow; p++)
            for (int64_t t = 0; t < s->cin * s->kh * s->kw; t++) {
                int64_t o = p / (s->oh * s->ow) % (s->groups * s->cout), image = p / (s->groups * s->cout * s->oh * s->ow);
                int64_t i = p / s->ow % s->oh * s->stride[0] + t / s->kw % s->kh * s->dilation[0] - s->padding[0];
                int64_t j = p % s->ow * s->stride[1] + t % s->kw * s->dilation[1] - s->padding[1];
                if (i < 0 || i >= s->h || j < 0 || j >= s->w) continue;
                int64_t at = ((image * s->groups * s->cin + o / s->cout * s->cin + t / (s->kh * s->kw)) * s->h + i) * s->w + j, k = o * s->cin * s->kh * s->kw + t;
                if (pass == 0) y[p] += get(x, type, at) * get(w, type, k);
                else dx[at] += (double)(p % 5 - 2) * get(w, type, k), dw[k] += (double)(p % 5 - 2) * get(x, type, at);
            }
    double *db = dw + s->groups * s->cout * s->cin * s->kh * s->kw;
    for (int64_t p = 0; p < s->n * s->groups * s->cout * s->oh * s->ow; p++) db[p / (s->oh * s->ow) % (s->groups * s->cout)] += (double)(p % 5 - 2);
}

static void *operand_between(int64_t n, int type, int step, bool right)
{
    void *p = between_guards((size_t)n * (type == GR_K_F32 ? 4 : 8), right);
    for (int64_t i = 0; i < n; i++) put(p, type, i, (double)(i * step % 15 - 7));
    return p;
}

static void compare(const gr_kernel_table *t, const gr_conv2d_size *s, int type, int number, bool right)
{
    const int64_t channels = s->groups * s->cout, nx = s->n * s->groups * s->cin * s->h * s->w, nw = s->groups * s->cout * s->cin * s->kh * s->kw, ny = s->n * s->groups * s->cout * s->oh * s->ow;
    void *x = operand_between(nx, type, 4, right), *w = operand_between(nw, type, 7, right), *y = operand_between(ny, type, 1, right);
    for (int64_t i = 0; i < ny; i++) put(y, type, i, (double)(i % 5 - 2));
    double *want[3] = { calloc((size_t)ny + 1, 8), calloc((size_t)nx + 1, 8), calloc((size_t)(nw + channels) + 1, 8) };
    const int64_t count[3] = { ny, nx, nw + (s->bias ? channels : 0) };
    const gr_conv_loops *l = t->conv[type];
    const gr_conv2d_bytes bytes = gr__conv2d_bytes(l, s);
    const int64_t half = s->n / 2; /* images may be taken in parts */
    void *scratch = aligned_alloc(64, bytes.scratch), *packed = aligned_alloc(64, bytes.packed + 64);
    naive(s, type, x, w, want[0], want[1], want[2]);
    for (int f = 0; f < 3; f++) {
        void *out = operand_between(count[f], type, 1, right);
        if (f == 0) gr__conv2d_pack(l, s, w, NULL, packed), gr__conv2d(l, s, 0, half, x, packed, out, scratch), gr__conv2d(l, s, half, s->n, x, packed, out, scratch);
        if (f == 1) gr__conv2d_input_pack(l, s, w, packed), gr__conv2d_input(l, s, 0, half, y, packed, out, scratch), gr__conv2d_input(l, s, half, s->n, y, packed, out, scratch);
        if (f == 2) gr__conv2d_weight(l, s, 0, s->n, x, y, out, scratch);
        int64_t i = 0;
        while (i < count[f] && get(out, type, i) == want[f][i]) i++;
        if (i < count[f]) test_errors++, printf("# %s: case %d, type %d, function %d: [%d] is %g, not %g\n", t->isa, number, type, f, (int)i, get(out, type, i), want[f][i]);
        free(want[f]);
    }
    free(scratch), free(packed);
    drop_guards();
}

TEST(every_instruction_set_convolves_exactly_like_the_definition)
{
    static const int cases[][14] = { /* n, groups, in, out, h, w, kh, kw, stride, padding, dilation */
        { 2, 1, 1, 6, 28, 28, 5, 5, 1, 1, 2, 2, 1, 1 }, { 3, 1, 6, 16, 14, 14, 5, 5, 1, 1, 0, 0, 1, 1 }, { 1, 1, 3, 20, 9, 11, 3, 3, 2, 2, 1, 1, 1, 1 },
        { 2, 2, 2, 5, 7, 50, 2, 3, 1, 3, 0, 2, 3, 1 },  { 1, 3, 1, 1, 8, 8, 4, 4, 3, 5, 3, 3, 2, 2 },    { 9, 1, 2, 3, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1 },
        { 1, 1, 9, 13, 2, 70, 1, 1, 1, 1, 0, 0, 1, 1 }, { 2, 1, 1, 2, 3, 3, 3, 3, 1, 1, 0, 0, 1, 1 },    { 1, 1, 2, 2, 2, 3, 2, 2, 7, 7, 6, 5, 2, 3 },
        { 0, 1, 2, 2, 4, 4, 2, 2, 1, 1, 0, 0, 1, 1 },   { 2, 1, 0, 2, 4, 4, 2, 2, 1, 1, 0, 0, 1, 1 },    { 1, 1, 1, 1, 6, 6, 2, 2, 4, 6, 0, 1, 4, 3 },
        /* enough images for one in each lane of a vector, and some more */
        { 32, 1, 1, 6, 9, 9, 5, 5, 1, 1, 2, 2, 1, 1 },  { 31, 1, 6, 16, 8, 7, 5, 5, 1, 1, 0, 0, 1, 1 },  { 47, 2, 2, 3, 9, 8, 3, 2, 2, 3, 2, 1, 1, 1 },
        { 16, 2, 1, 2, 23, 22, 3, 3, 1, 1, 1, 1, 1, 1 }, { 16, 1, 3, 9, 8, 6, 3, 2, 1, 1, 1, 3, 2, 3 },  { 30, 3, 1, 2, 6, 7, 2, 2, 3, 4, 0, 1, 2, 1 },   { 16, 1, 2, 2, 3, 3, 3, 3, 1, 1, 0, 0, 1, 1 } };
    const gr_kernel_table *const *table;
    const int n = gr__kernel_tables(&table);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < (int)(sizeof cases / sizeof *cases); k++) {
            gr_conv2d_size s = size_of(cases[k]);
            for (int side = 0; side < 4; side++) {
                s.bias = side % 2;
                compare(table[i], &s, side < 2 ? GR_K_F32 : GR_K_F64, k, side % 2);
            }
        }
}

TEST(every_instruction_set_finds_the_same_maxima)
{
    const gr_kernel_table *const *table;
    const int n = gr__kernel_tables(&table);
    static int64_t first[2 * 70 * 70], other[2 * 70 * 70];
    for (int type = GR_K_F32; type <= GR_K_F64; type++)
        for (int w = 3; w <= 70; w++)
            for (int mode = 0; mode < 4; mode++) {
                gr_pool2d_size s = { .planes = 2, .h = 5, .w = w, .kh = 2, .kw = 1 + mode, .stride = { 1 + mode / 2, mode ? mode : 1 }, .padding = { 1, mode / 2 } };
                if (s.w + 2 * s.padding[1] < s.kw) continue;
                s.oh = (s.h + 2 * s.padding[0] - s.kh) / s.stride[0] + 1, s.ow = (s.w + 2 * s.padding[1] - s.kw) / s.stride[1] + 1;
                void *x = filled(2 * 5 * w, type, 4);
                for (int64_t i = 0; i < 2 * 5 * w; i += 13) put(x, type, i, i % 2 ? (double)NAN : (double)-INFINITY);
                for (int i = 0; i < n; i++) {
                    table[i]->argmax_pool2d[type](&s, x, i ? other : first);
                    if (i) CHECK(memcmp(first, other, (size_t)(2 * s.oh * s.ow) * sizeof *first) == 0);
                }
                free(x);
            }
}

/* the first largest of a window, a NaN being larger than all */
static int64_t position(const gr_pool2d_size *s, const void *x, int type, int64_t p)
{
    int64_t at = -1, plane = p / (s->oh * s->ow) * s->h * s->w, top = p / s->ow % s->oh * s->stride[0] - s->padding[0], left = p % s->ow * s->stride[1] - s->padding[1];
    for (int64_t t = 0; t < s->kh * s->kw; t++) {
        int64_t i = top + t / s->kw, j = left + t % s->kw;
        if (i < 0 || i >= s->h || j < 0 || j >= s->w) continue;
        double v = get(x, type, plane + i * s->w + j), b = at < 0 ? 0 : get(x, type, plane + at);
        if (at < 0 || v > b || (isnan(v) && !isnan(b))) at = i * s->w + j;
    }
    return at;
}
TEST(large_windows_strides_and_images_are_pooled_like_small_ones)
{
    static const int cases[][8] = { /* h, w, kh, kw, stride, padding */
        { 40, 700, 2, 2, 2, 2, 1, 1 }, { 9, 600, 3, 3, 1, 1, 1, 1 }, { 200, 300, 80, 80, 100, 100, 40, 40 }, { 90, 90, 70, 60, 3, 5, 0, 30 }, { 60, 7, 5, 3, 2, 9, 2, 1 } };
    const gr_kernel_table *const *table;
    const int n = gr__kernel_tables(&table);
    for (int k = 0; k < 5; k++) {
        const int *v = cases[k];
        gr_pool2d_size s = { .planes = 2, .h = v[0], .w = v[1], .kh = v[2], .kw = v[3], .stride = { v[4], v[5] }, .padding = { v[6], v[7] } };
        s.oh = (s.h + 2 * s.padding[0] - s.kh) / s.stride[0] + 1, s.ow = (s.w + 2 * s.padding[1] - s.kw) / s.stride[1] + 1;
        for (int type = GR_K_F32; type <= GR_K_F64; type++) {
            void *x = filled(2 * s.h * s.w, type, 4);
            for (int64_t i = 0; i < 2 * s.h * s.w; i += 997) put(x, type, i, (double)NAN);
            int64_t *index = malloc((size_t)(2 * s.oh * s.ow) * sizeof *index);
            for (int t = 0; t < n; t++) {
                table[t]->argmax_pool2d[type](&s, x, index);
                int64_t p = 0;
                while (p < 2 * s.oh * s.ow && index[p] == position(&s, x, type, p)) p++;
                if (p < 2 * s.oh * s.ow) test_errors++, printf("# %s: case %d, type %d: window %d is at %d\n", table[t]->isa, k, type, (int)p, (int)index[p]);
            }
            free(index), free(x);
        }
    }
}

/* ---- sizes that no machine has, and a network --------------------------------------------------------------------*/
TEST(extreme_attributes_are_computed_or_refused)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .max_bytes = 1 << 26 });
    gr_tensor *x = gr_ones(c, GR_SHAPE(1, 1, 1, 1)), *w = gr_ones(c, GR_SHAPE(1, 1, 1, 1));
    gr_tensor *y = gr_conv2d(x, w, .stride = { INT_MAX, INT_MAX }, .padding = { INT_MAX, INT_MAX });
    check_all(__LINE__, y, LIST(0, 0, 0, 0, 1, 0, 0, 0, 0));
    y = gr_conv2d(x, gr_ones(c, GR_SHAPE(1, 1, 2, 2)), .stride = { INT_MAX, INT_MAX }, .padding = { INT_MAX, INT_MAX }, .dilation = { INT_MAX - 1, INT_MAX - 1 });
    check_all(__LINE__, y, LIST(0, 0, 0, 1)); /* tap (0, 0) of the last position */
    CHECK(!gr_conv2d(x, gr_ones(c, GR_SHAPE(1, 1, 2, 2)), .padding = { INT_MAX / 2 + 1, INT_MAX / 2 + 1 }, .dilation = { INT_MAX, INT_MAX }));
    CHECK(gr_status(c) == GR_ENOMEM);
    gr_ctx_free(c);
}

TEST(a_small_image_network_learns)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_module *net = gr_sequential(c, gr_conv2d_layer(c, 1, 4, 3, .padding = { 1, 1 }), gr_activation(c, gr_relu), gr_max_pool2d_layer(c, 2),
                                   gr_conv2d_layer(c, 4, 4, 3, .stride = { 2, 2 }), gr_activation(c, gr_relu), gr_flatten_layer(c), gr_linear(c, 4, 2));
    gr_params p = gr_parameters(net);
    gr_tensor *x = gr_randn(c, GR_SHAPE(16, 1, 6, 6)), *t = gr_astype(gr_gt(gr_mean(x, .dims = GR_DIMS(1, 2, 3)), 0), GR_I64);
    double first = 0, last = 0;
    for (int step = 0; step < 200; step++) {
        GR_SCOPE(c);
        gr_tensor *loss = gr_cross_entropy(gr_forward(net, x), t);
        last = gr_item(loss);
        if (step == 0) first = last;
        gr_backward(loss);
        for (int i = 0; i < p.n; i++) {
            gr_copy_to(p.tensors[i], gr_sub(gr_detach(p.tensors[i]), gr_mul(gr_grad(p.tensors[i]), 0.2)));
            gr_zero_grad(p.tensors[i]);
        }
    }
    CHECK(!gr_failed(c) && last < 0.2 * first);
    gr_ctx_free(c);
}
