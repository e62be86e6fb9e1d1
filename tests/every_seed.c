/* No false alarm: the gradient check of every operation, layer and loss with other numbers, as many as GRADUS_TEST_SEEDS says.
 * SPDX-License-Identifier: MIT */
#include <gradus.h>
#include "core/sample.h"
#include "tests/test.h"

static int seeds(void)
{
    const char *s = getenv("GRADUS_TEST_SEEDS");
    return s ? atoi(s) : getenv("GRADUS_TEST_SMALL") ? 1 : 2;
}

static void passes(const char *what, int seed, bool ok, const gr_gradcheck_report *r)
{
    if (ok) return;
    test_errors++;
    printf("# %s, seed %d:\n", what, seed);
    test_show_check(r);
}

TEST(every_operation_passes)
{
    for (int i = 0; i < gr_op_count(); i++)
        for (int s = 0; s < seeds() && gr_op_at(i)->vjp; s++)
            for (int fast = 0; fast < 2; fast++) {
                gr_gradcheck_report r;
                bool ok = gr_gradcheck_op(gr_op_at(i), &r, .seed = (uint64_t)s * 1000003, .fast = fast);
                passes(gr_op_at(i)->name, s, ok, &r);
            }
}

/* ---- layers ----------------------------------------------------------------------------------------------------*/
static gr_tensor *forward(gr_tensor **x, void *user)
{
    gr_module *m = user;
    gr_seed(gr_ctx_of(x[0]), 5); /* the same mask each time */
    return gr_forward_using(m, x + 1, gr_parameters(m).n, x[0]);
}

static void check_layer(const gr_layer *layer, const gr_layer_sample *sample, int seed)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64, .seed = (uint64_t)seed + 1 });
    gr_sample_input in[GR_SAMPLE_INPUTS];
    uint64_t state = (uint64_t)seed * 1000003 + 11;
    gr_module *m = sample->make(c);
    gr_tensor *x[33] = { gr__sample_parse(sample->input, in) == 1 ? gr_zeros(c, in->shape, .dtype = in->type ? in->type : GR_F64) : NULL };
    for (int64_t e = 0; x[0] && e < gr_numel(x[0]); e++) {
        double v = gr__sample_value(in, &state);
        if (in->type == GR_I64) ((int64_t *)gr_data(x[0]))[e] = (int64_t)v;
        else if (in->type == GR_BOOL) ((bool *)gr_data(x[0]))[e] = v != 0;
        else ((double *)gr_data(x[0]))[e] = v;
    }
    gr_params p = gr_parameters(m);
    for (int i = 0; i < p.n && i < 32; i++) x[1 + i] = p.tensors[i];
    if (x[0] && !in->type && !in->constant) gr_requires_grad(x[0]);
    bool anything = p.n > 0 || gr_needs_grad(x[0]);
    gr_gradcheck_report r = { 0 };
    passes(layer->name, seed, !anything || gr_gradcheck(forward, m, x, p.n + 1, &r), &r);
    CHECK_STR(gr_message(c), "");
    gr_ctx_free(c);
}

TEST(every_layer_passes)
{
    for (int i = 0; i < gr_layer_count(); i++)
        for (const gr_layer_sample *s = gr_layer_at(i)->samples; s->input; s++)
            for (int seed = 0; seed < seeds(); seed++) check_layer(gr_layer_at(i), s, seed);
}

/* ---- losses and compositions of [4, 3], also where they saturate -----------------------------------------------*/
#define TARGET gr_sigmoid(gr_mul(y, 0.5)) /* y: other numbers of that shape, which are checked too */
#define FUNCTIONS(X)                                                                                                 \
    X(mse, gr_mse_loss(x, y)) X(l1, gr_l1_loss(x, y)) X(huber, gr_huber_loss(x, y)) X(bce, gr_bce_loss(gr_sigmoid(x), TARGET))   \
    X(bce_logits, gr_bce_with_logits_loss(x, TARGET)) X(soft_cross_entropy, gr_cross_entropy(x, gr_softmax(y, -1)))   \
    X(softmax, gr_softmax(x, -1)) X(log_softmax, gr_mul(gr_log_softmax(x, -1), y)) X(constant_sum, gr_sum(gr_softmax(x, -1)))    \
    X(tanh_tanh, gr_tanh(gr_mul(gr_tanh(x), y))) X(saturated, gr_mul(gr_sigmoid(gr_neg(x)), gr_erf(y)))               \
    X(smooth_ramps, gr_mul(gr_softplus(x), gr_gelu(y))) X(clamped, gr_mul(gr_clamp(x, -1, 1), gr_silu(y)))            \
    X(gram, gr_matmul(gr_tanh(x), gr_transpose(gr_relu(y), 0, 1))) X(largest, gr_max(gr_maximum(x, y), .dims = GR_DIMS(0)))       \
    X(normal, gr_mul(gr_layer_norm(x), y)) X(nothing, gr_sub(gr_add(x, y), gr_add(y, x)))                             \
    X(variance, gr_sub(gr_mean(gr_square(x)), gr_square(gr_mean(x)))) X(length, gr_sqrt(gr_sum(gr_square(x))))
#define DEFINE(name, expression) \
    static gr_tensor *name(gr_tensor **in, void *user) { gr_tensor *x = in[0], *y = in[1]; return (void)user, (void)y, (expression); }
FUNCTIONS(DEFINE)
#define ROW(name, expression) { #name, name },
static const struct {
    const char *name;
    gr_fn f;
} function[] = { FUNCTIONS(ROW) };

TEST(every_loss_passes_at_any_scale)
{
    static const double scale[] = { 1e-6, 1e-3, 1, 3 };
    for (size_t f = 0; f < sizeof function / sizeof *function; f++)
        for (size_t k = 0; k < sizeof scale / sizeof *scale; k++)
            for (int s = 0; s < seeds(); s++) {
                gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64, .seed = (uint64_t)s });
                gr_tensor *x[] = { gr_requires_grad(gr_mul(gr_randn(c, GR_SHAPE(4, 3)), scale[k])), gr_randn(c, GR_SHAPE(4, 3)) };
                gr_gradcheck_report r;
                if (scale[k] >= 1) gr_requires_grad(x[1]); /* where x is small, derivatives by y drown in the others */
                passes(function[f].name, s, gr_gradcheck(function[f].f, NULL, x, 2, &r), &r);
                gr_ctx_free(c);
            }
}

/* So far out that nothing can be told from rounding in places: no derivative is called wrong there. */
TEST(no_derivative_is_called_wrong_where_functions_saturate)
{
    for (size_t f = 0; f < sizeof function / sizeof *function; f++)
        for (int s = 0; s < seeds() && function[f].f != bce; s++) { /* its derivative is another one by convention beyond p = 1e-12 */
            gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64, .seed = (uint64_t)s });
            gr_tensor *x[] = { gr_requires_grad(gr_mul(gr_randn(c, GR_SHAPE(4, 3)), 12)), gr_requires_grad(gr_mul(gr_randn(c, GR_SHAPE(4, 3)), 5)) };
            gr_gradcheck_report r;
            bool ok = gr_gradcheck(function[f].f, NULL, x, 2, &r) || r.verdict == GR_CHECK_INCONCLUSIVE;
            passes(function[f].name, s, ok, &r);
            gr_ctx_free(c);
        }
}
