/* Layers of sequence models against PyTorch 1.13.1 in f64: values and derivatives, as constants.
 * SPDX-License-Identifier: MIT */
#include "nn/nn.h"
#include "tests/test.h"

static const double lstm_y[] = {
    0.056663899031145867, 0.21475765415529718, 0.15639807090840047, 0.069872474162326947,
    0.058746518042817546, 0.096651585041441612, 0.0036401170538298425, 0.056846265118486922,
    0.046631819506903462, 0.24892456845518915, 0.038140550819443744, 0.15045885652466626,
};
static const double lstm_dx[] = {
    -0.028071706727188117, 0.051264371099736007, -0.033228250110590128, -0.079309982112624869,
    -0.050717805264847995, 0.055428796428630349, -0.075134866418897647, 0.10275750320859842,
    -0.053876125697542118, -0.029919453544927432, 0.035305662797693683, -0.032180035542666657,
    -0.021466858361555104, -0.027387027430111219, 0.0013442398391374649, -0.13724488886932495,
    0.082461774583366371, 0.021167901160071681,
};
static const double lstm_dwih[] = {
    -0.070672869068414385, 0.0010678811916073252, -0.0031443030717284454, -0.00079388518543921458,
    -0.0059317064803961162, 0.020463002080231156, -0.021602979542466622, 0.037406450987105919,
    -0.043590590783091542, 0.00640524023002427, -0.024275598201643031, -0.0041640538058246917,
    -0.0251329792719319, -0.030339733417081294, -0.025804348046490098, -0.086302116183213651,
    0.11234026557728936, -0.038934525816675579, -0.012782658578366553, -0.023481172453720209,
    -0.021934607113788807, -0.21062172691038006, 0.045140772694231369, -0.23219484323210249,
};
static const double lstm_dwhh[] = {
    0.0067910598428057925, 0.0064714594892004377, 0.0036819057533288785, 0.0016928822361142936,
    0.0044577880691295925, 0.025283659359032276, 0.0050843231781142343, 0.018626922782254644,
    0.028381274193949761, 0.010422458760934197, 0.0082025779296474692, 0.005098902510305761,
    0.012426386674058191, 0.038814071419514887, 0.017188730079471703, 0.039845911721510918,
};
static const double lstm_db[] = {
    0.16767326084192005, 0.11506852246399146, 0.045145197670301902, 0.028106874132438699,
    0.067017971192313314, 0.33608228146057484, 0.091784333134736273, 0.24192295973265709,
};
static const double norm_y[] = {
    0.40175081067478069, -1.1117190314842988, -0.13318743244376829, -0.19298976723640859,
    0.40175081067478069, -1.1117190314842988, -0.13318743244376829, -0.19298976723640857,
};
static const double norm_dx[] = {
    0.92388047422551056, 0.47612224456799174, 0.20255402605947215, -1.6025567448529743,
    0.00084873480071606666, 0.039593787426182539, -0.078157956637726456, 0.037715434410827933,
};
static const double norm_dw[] = {
    1.5769696620091282, 0.48671903148429885, -0.11681256755623175, 0.31798976723640859,
};

/* n numbers in -1..1, all multiples of 1/8 */
static gr_tensor *set(gr_tensor *t, int k)
{
    double v[256];
    for (int64_t i = 0; i < gr_numel(t); i++) v[i] = (double)(i * k % 17) / 8 - 1;
    gr_write(t, v);
    return t;
}
static gr_tensor *made(gr_ctx *c, gr_dims shape, int k) { return set(gr_zeros(c, shape), k); }

static void near(const gr_tensor *t, const double *want)
{
    double got[64];
    CHECK(t && gr_read(t, got));
    for (int64_t i = 0; t && i < gr_numel(t); i++) CHECK_NEAR(got[i], want[i], 1e-13);
}

TEST(lstm_is_that_of_pytorch)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    gr_module *m = gr_lstm(c, 3, 2);
    set(gr_module_get(m, "weight_ih"), 5);
    set(gr_module_get(m, "weight_hh"), 7);
    set(gr_module_get(m, "bias_ih"), 3);
    set(gr_module_get(m, "bias_hh"), 11);
    gr_tensor *x = gr_requires_grad(made(c, GR_SHAPE(2, 3, 3), 13)), *y = gr_forward(m, x);
    near(y, lstm_y);
    gr_backward(gr_sum(gr_mul(y, gr_add(made(c, GR_SHAPE(2, 3, 2), 6), 0.5))));
    near(gr_grad(x), lstm_dx);
    near(gr_grad(gr_module_get(m, "weight_ih")), lstm_dwih);
    near(gr_grad(gr_module_get(m, "weight_hh")), lstm_dwhh);
    near(gr_grad(gr_module_get(m, "bias_ih")), lstm_db);
    near(gr_grad(gr_module_get(m, "bias_hh")), lstm_db);
    CHECK_STR(gr_message(c), "");
    gr_ctx_free(c);
}

TEST(lstm_starts_uniform_and_refuses_what_is_no_sequence)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_module *m = gr_lstm(c, 3, 4);
    gr_tensor *w = gr_module_get(m, "weight_hh");
    CHECK(gr_item(gr_max(gr_abs(w))) <= 0.5 && gr_item(gr_max(gr_abs(w))) > 0.4);
    CHECK(gr_numel(gr_forward(m, gr_zeros(c, GR_SHAPE(2, 0, 3)))) == 0);
    CHECK(!gr_forward(m, gr_zeros(c, GR_SHAPE(5, 2))));
    CHECK_STR(gr_message(c), "lstm([5, 2]): the input is not [n, t, 3]. Fix: give sequences, batch first");
    gr_ctx_free(c);
}

/* what gr_lstm_steps does, written out */
static gr_tensor *steps_composed(gr_tensor *x, gr_tensor *w, gr_tensor *h, gr_tensor *c)
{
    const int64_t n = gr_size(w, 0);
    gr_tensor *y[8];
    for (int t = 0; t < gr_size(x, 0); t++) {
        gr_tensor *a = gr_add(gr_select(x, 0, t), gr_matmul(h, w)), *part[6];
        for (int k = 0; k < 4; k++) part[2 + k] = gr_slice(a, 1, k * n, (k + 1) * n);
        for (int k = 2; k < 6; k++) part[k] = k == 4 ? gr_tanh(part[k]) : gr_sigmoid(part[k]);
        part[1] = c = gr_add(gr_mul(part[3], c), gr_mul(part[2], part[4]));
        part[0] = h = gr_mul(part[5], gr_tanh(c));
        y[t] = gr_cat(part, 6, 1);
    }
    return gr_stack(y, (int)gr_size(x, 0), 0);
}

static void nearly_equal(const gr_tensor *a, const gr_tensor *b, double most)
{
    double v[2][512];
    CHECK(a && b && gr_read(a, v[0]) && gr_read(b, v[1]));
    for (int64_t i = 0; a && b && i < gr_numel(a); i++) CHECK_NEAR(v[0][i], v[1][i], most);
}

TEST(lstm_steps_equal_their_composition)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    gr_tensor *in[] = { made(c, GR_SHAPE(4, 3, 20), 13), made(c, GR_SHAPE(5, 20), 7), made(c, GR_SHAPE(3, 5), 5), made(c, GR_SHAPE(3, 5), 3) };
    for (int i = 0; i < 4; i++) in[i] = gr_requires_grad(gr_mul(in[i], 0.5));
    gr_tensor *y[] = { gr_lstm_steps(in[0], in[1], in[2], in[3]), steps_composed(in[0], in[1], in[2], in[3]) }, *loss[2], *g[2][4];
    gr_tensor *weight = gr_randn(c, gr_dims_like(y[0]));
    nearly_equal(y[0], y[1], 1e-14);
    for (int k = 0; k < 2; k++) {
        loss[k] = gr_sum(gr_mul(gr_square(y[k]), weight));
        CHECK(gr_grads(loss[k], in, 4, g[k], .retain_graph = true));
    }
    for (int i = 0; i < 4; i++) {
        gr_tensor *v = gr_randn(c, gr_dims_like(in[i]));
        nearly_equal(g[0][i], g[1][i], 1e-12);
        nearly_equal(gr_hvp(loss[0], in[i], v), gr_hvp(loss[1], in[i], v), 1e-11);
    }
    CHECK_STR(gr_message(c), "");
    gr_ctx_free(c);
}

TEST(layer_norm_is_that_of_pytorch)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    gr_module *m = gr_layer_norm_layer(c, 4);
    set(gr_module_get(m, "weight"), 5);
    set(gr_module_get(m, "bias"), 3);
    gr_tensor *x = gr_requires_grad(made(c, GR_SHAPE(2, 4), 13)), *y = gr_forward(m, x);
    near(y, norm_y);
    gr_backward(gr_sum(gr_mul(y, made(c, GR_SHAPE(2, 4), 6))));
    near(gr_grad(x), norm_dx);
    near(gr_grad(gr_module_get(m, "weight")), norm_dw);
    CHECK_STR(gr_message(c), "");
    gr_ctx_free(c);
}

TEST(layer_norm_equals_its_composition)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    gr_tensor *x = gr_requires_grad(gr_randn(c, GR_SHAPE(5, 40))), *v = gr_randn(c, GR_SHAPE(5, 40)), *r = gr_randn(c, GR_SHAPE(5, 40));
    gr_tensor *d = gr_sub(x, gr_mean(x, .dims = GR_DIMS(-1), .keepdim = true));
    gr_tensor *var = gr_mean(gr_square(d), .dims = GR_DIMS(-1), .keepdim = true);
    gr_tensor *composed = gr_div(d, gr_sqrt(gr_add(var, 1e-5))), *fused = gr_layer_norm(x);
    double a[200];
    CHECK(gr_read(composed, a));
    for (int i = 0; i < 200; i++) CHECK_NEAR(gr_at(fused, i / 40, i % 40), a[i], 1e-13);
    gr_tensor *loss[] = { gr_sum(gr_mul(gr_square(composed), r)), gr_sum(gr_mul(gr_square(fused), r)) };
    gr_tensor *h[] = { gr_hvp(loss[0], x, v), gr_hvp(loss[1], x, v) }, *g[2];
    for (int i = 0; i < 2; i++) gr_grads(loss[i], &x, 1, &g[i]);
    for (int i = 0; i < 200; i++) {
        CHECK_NEAR(gr_at(g[0], i / 40, i % 40), gr_at(g[1], i / 40, i % 40), 1e-12);
        CHECK_NEAR(gr_at(h[0], i / 40, i % 40), gr_at(h[1], i / 40, i % 40), 1e-11);
    }
    CHECK_STR(gr_message(c), "");
    gr_ctx_free(c);
}

TEST(embedding_names_the_index_that_is_out_of_range)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_module *m = gr_embedding_layer(c, 4, 3);
    CHECK(gr_ndim(gr_forward(m, gr_from(c, GR_SHAPE(2, 1), (int[]){ 3, 0 }))) == 3);
    CHECK(!gr_forward(m, gr_from(c, GR_SHAPE(2, 1), (int[]){ 3, 4 })));
    CHECK_STR(gr_message(c), "index_select(\"weight\" [4, 3], i64 [2, 1]): index[1, 0] is 4, out of range for dimension 0 of size 4. Fix: count from 0");
    gr_ctx_free(c);
}

/* causal attention of two heads whose q, k and v are columns of x */
static gr_tensor *two_heads(gr_tensor *x, bool copied)
{
    gr_tensor *part[3];
    for (int i = 0; i < 3; i++) {
        part[i] = gr_transpose(gr_reshape(gr_slice(x, 2, 2 * i, 2 * i + 2), GR_SHAPE(gr_size(x, 0), gr_size(x, 1), 2, 1)), 1, 2);
        if (copied) part[i] = gr_contiguous(part[i]);
    }
    gr_tensor *y = gr_scaled_dot_product_attention(part[0], part[1], part[2], .causal = true);
    return gr_reshape(gr_transpose(y, 1, 2), GR_SHAPE(gr_size(x, 0), gr_size(x, 1), 2));
}

TEST(the_gradient_of_heads_that_are_views_is_that_of_copies)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    gr_tensor *x = gr_requires_grad(gr_randn(c, GR_SHAPE(1, 70, 6))), *g[2], *y[2]; /* more rows than are taken at once */
    for (int k = 0; k < 2; k++) {
        y[k] = two_heads(x, k);
        CHECK(gr_grads(gr_sum(gr_square(y[k])), &x, 1, &g[k]));
    }
    nearly_equal(y[0], y[1], 1e-14);
    nearly_equal(g[0], g[1], 1e-13);
    CHECK_STR(gr_message(c), "");
    gr_ctx_free(c);
}
