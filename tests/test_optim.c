/* Optimisers: five steps of each rule against PyTorch 1.13.1, clipping, what is refused, what can be set.
 * SPDX-License-Identifier: MIT */
#include "core/core.h"
#include "ops/ops.h"
#include "optim/optim.h"
#include "tests/test.h"

#define N 3
#define STEPS 5

static gr_ctx *f64(void) { return gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 }); }
static gr_tensor *vector(gr_ctx *c, double x, double y, double z)
{
    return gr_requires_grad(gr_from(c, GR_SHAPE(N), (double[]){ x, y, z }));
}

static void set_gradient(gr_tensor *w, const double *g)
{
    gr_ctx *c = gr_ctx_of(w);
    GR_SCOPE(c);
    gr_tensor *t = gr_zeros(c, gr_dims_like(w), .dtype = gr_dtype(w));
    gr_write(t, g);
    gr_backward(gr_sum(gr_mul(w, t), .keepdim = false));
}

/* ---- PyTorch's traces ------------------------------------------------------------------------------------------
 * From w = (0.5, -1.25, 2) in torch.float64, the gradient of step t being 0.3 w^2 - w + k[t]. */
static const double k[STEPS] = { 0.7, -0.4, 0.2, 1.1, -0.9 };

typedef struct trace {
    gr_optim *(*make)(gr_ctx *c, gr_params p);
    double w[STEPS][N];
} trace;
#define MAKE(name, rule, ...) \
    static gr_optim *name(gr_ctx *c, gr_params p) { return gr_##rule(c, p, __VA_ARGS__); }
MAKE(sgd_plain, sgd, .lr = 0.1)
MAKE(sgd_decay, sgd, .lr = 0.05, .weight_decay = 0.1)
MAKE(sgd_momentum, sgd, .lr = 0.05, .momentum = 0.9)
MAKE(sgd_dampened, sgd, .lr = 0.05, .momentum = 0.9, .dampening = 0.3)
MAKE(sgd_nesterov, sgd, .lr = 0.05, .momentum = 0.9, .nesterov = true)
MAKE(sgd_nesterov_decay, sgd, .lr = 0.05, .momentum = 0.8, .nesterov = true, .weight_decay = 0.1)
MAKE(adam_default, adam, .lr = 0)
MAKE(adam_options, adam, .lr = 0.1, .beta1 = 0.8, .beta2 = 0.9, .eps = 1e-4)
MAKE(adam_decay, adam, .lr = 0.1, .weight_decay = 0.2)
MAKE(adam_amsgrad, adam, .lr = 0.1, .beta2 = 0.6, .amsgrad = true)
MAKE(adamw_default, adamw, .lr = 0)
MAKE(adamw_amsgrad, adamw, .lr = 0.1, .beta2 = 0.6, .weight_decay = 0.3, .amsgrad = true)
static const trace traces[] = {
    { sgd_plain,
      { { 0.47249999999999998, -1.4918750000000001, 2.0100000000000002 },
        { 0.55305231249999998, -1.66783323046875, 2.1297970000000004 },
        { 0.57918153793915206, -1.9380665840552997, 2.1866956421637305 },
        { 0.51703615411638038, -2.3545563049877831, 2.1519160714363679 },
        { 0.65071997798811465, -2.6663299972872934, 2.3181853952248206 } } },
    { sgd_decay,
      { { 0.48375000000000001, -1.3646875000000001, 1.9950000000000001 },
        { 0.5220085390625, -1.4340340170898438, 2.0450746250000003 },
        { 0.53141152959750004, -1.5394123512914493, 2.0643680297977167 },
        { 0.49608907522255025, -1.6992327629091946, 2.0383403607018504 },
        { 0.55972151804923753, -1.7740091169782686, 2.1127432055424413 } } },
    { sgd_momentum,
      { { 0.48625000000000002, -1.3709374999999999, 2.0049999999999999 },
        { 0.51464091406250001, -1.5565201694335937, 2.0694496249999998 },
        { 0.55195195336546876, -1.8477119059633116, 2.1566874424938103 },
        { 0.55355972202405468, -2.3083806534498019, 2.2182663394937729 },
        { 0.62308827443027459, -2.8733308774784532, 2.3557900804744611 } } },
    { sgd_dampened,
      { { 0.48625000000000002, -1.3709374999999999, 2.0049999999999999 },
        { 0.50241113984374997, -1.5334984936035156, 2.0514647374999999 },
        { 0.52489017758654566, -1.7651678202365875, 2.1138949375858376 },
        { 0.52209961593605914, -2.1066671709674201, 2.1586486465035097 },
        { 0.56649942291429722, -2.5028494265859638, 2.2570521653769977 } } },
    { sgd_nesterov,
      { { 0.47387499999999999, -1.47978125, 2.0095000000000001 },
        { 0.53935573580468754, -1.7427277913637695, 2.1273669278750003 },
        { 0.58594356301354478, -2.1723443575362862, 2.2336515731798601 },
        { 0.55790854912560051, -2.875942158576454, 2.2691777757849536 },
        { 0.69007487600293094, -3.7216563424191245, 2.4718118355896781 } } },
    { sgd_nesterov_decay,
      { { 0.47075, -1.4564375000000001, 1.9910000000000001 },
        { 0.52849739981249999, -1.6690816126679688, 2.0780408129999999 },
        { 0.56167451925388101, -2.0057237437347246, 2.1412948934996701 },
        { 0.51851974532196798, -2.5436031814945328, 2.1275537352857543 },
        { 0.62730218843152974, -3.1091451647073574, 2.2696126787516469 } } },
    { adam_default,
      { { 0.49900000003636363, -1.2509999999958656, 2.0009999998999999 },
        { 0.4994939679822088, -1.2519447676394444, 2.0017971948823297 },
        { 0.50002361316474364, -1.2529092627543079, 2.0026336558460809 },
        { 0.50002071624881828, -1.2538879379042909, 2.0031754859697926 },
        { 0.50043546646300952, -1.2548018023598904, 2.0038876214856418 } } },
    { adam_options,
      { { 0.40003635041802982, -1.3499958658039977, 2.0999000999001001 },
        { 0.45121077133006626, -1.4459151097634115, 2.1814091257022326 },
        { 0.50454824828929223, -1.5439709218568447, 2.2655903705994316 },
        { 0.49327547910903458, -1.6426980524173187, 2.3097113321838849 },
        { 0.53686959737950302, -1.7378496872754945, 2.3793379020413639 } } },
    { adam_decay,
      { { 0.40000000266666658, -1.3499999995389049, 1.9000000033333333 },
        { 0.43234916053715972, -1.4449657690695756, 1.947455954156555 },
        { 0.46459522484750726, -1.5421854277547959, 1.9984267594387373 },
        { 0.44145147417578212, -1.6398926284393087, 1.9963110235545514 },
        { 0.46815547847504185, -1.7340368292849662, 2.0359856954412074 } } },
    { adam_amsgrad,
      { { 0.40000000363636351, -1.3499999995865632, 2.099999990000001 },
        { 0.4429724380017791, -1.4511137519594588, 2.1715102046815216 },
        { 0.48515251411275356, -1.5492209725498309, 2.2458412079264201 },
        { 0.47949628973023883, -1.6377863777034107, 2.2880301706537622 },
        { 0.51015347154536417, -1.7207485647425262, 2.3439978141290285 } } },
    { adamw_default,
      { { 0.49899500003636366, -1.2509874999958657, 2.0009799999000002 },
        { 0.49948397692140023, -1.251919755450825, 2.0017571849146987 },
        { 0.50000862296960291, -1.2528717289596532, 2.0025736293871308 },
        { 0.50000071581022976, -1.2538378743005252, 2.0030954415967921 },
        { 0.50041045825886821, -1.254739193149907, 2.0037875502803146 } } },
    { adamw_amsgrad,
      { { 0.3850000036363635, -1.3124999995865632, 2.039999990000001 },
        { 0.41604663205477121, -1.3723821556729807, 2.0502520359099714 },
        { 0.44431701700008341, -1.4301471038730014, 2.0641371885794637 },
        { 0.42262386818377667, -1.4768481077708975, 2.0472700104214527 },
        { 0.43886180727550261, -1.5141923306694853, 2.0429729812805846 } } },
};

TEST(five_steps_of_every_rule_are_those_of_pytorch)
{
    for (int i = 0; i < (int)(sizeof traces / sizeof *traces); i++) {
        gr_ctx *c = f64();
        gr_tensor *w = vector(c, 0.5, -1.25, 2);
        gr_optim *opt = traces[i].make(c, gr_params_of(c, &w, 1));
        for (int t = 0; t < STEPS; t++) {
            double g[N];
            for (int e = 0; e < N; e++) g[e] = 0.3 * gr_at(w, e) * gr_at(w, e) - gr_at(w, e) + k[t];
            set_gradient(w, g);
            CHECK(gr_step(opt));
            for (int e = 0; e < N; e++) CHECK_NEAR(gr_at(w, e), traces[i].w[t][e], 1e-15);
        }
        CHECK_STR(gr_message(c), "");
        gr_ctx_free(c);
    }
}

TEST(the_state_has_pytorchs_names_and_values)
{
    gr_ctx *c = f64();
    gr_tensor *w = vector(c, 0.5, -1.25, 2);
    gr_optim *adam = gr_adam(c, gr_params_of(c, &w, 1), .amsgrad = true);
    set_gradient(w, (double[]){ 1, -2, 4 });
    gr_step(adam);
    CHECK_NEAR(gr_at(gr_optim_slot(adam, 0, "exp_avg"), 1), -0.2, 1e-15);
    CHECK_NEAR(gr_at(gr_optim_slot(adam, 0, "exp_avg_sq"), 2), 0.016, 1e-15);
    CHECK_NEAR(gr_at(gr_optim_slot(adam, 0, "max_exp_avg_sq"), 2), 0.016, 1e-15);
    CHECK(!gr_optim_slot(adam, 0, "momentum_buffer") && !gr_optim_slot(adam, 1, "exp_avg"));
    gr_optim *plain = gr_sgd(c, gr_params_of(c, &w, 1), .lr = 0.1);
    CHECK(!gr_optim_slot(plain, 0, "momentum_buffer")); /* without momentum there is none */
    CHECK(!gr_rule_find("twice") && !gr_rule_find(NULL) && !gr_rule_at(-1) && !gr_rule_at(gr_rule_count()));
    CHECK(gr_optim_rule(plain) == &gr_rule_sgd && gr_optim_params(plain).n == 1);
    CHECK(!gr_failed(c));
    gr_ctx_free(c);
}

/* ---- stepping --------------------------------------------------------------------------------------------------*/
TEST(a_step_clears_the_gradients_unless_told_to_keep_them)
{
    gr_ctx *c = f64();
    gr_tensor *w = vector(c, 1, 2, 3);
    gr_optim *opt = gr_sgd(c, gr_params_of(c, &w, 1), .lr = 0.5);
    set_gradient(w, (double[]){ 1, 1, 1 });
    gr_step(opt, .keep_grad = true);
    CHECK(gr_at(w, 0) == 0.5 && gr_at(gr_grad(w), 0) == 1);
    gr_step(opt);
    CHECK(gr_at(w, 0) == 0 && !gr_grad(w));
    CHECK(gr_step(opt) && gr_at(w, 0) == 0); /* without a gradient nothing happens */
    gr_ctx_free(c);
}

TEST(a_step_does_nothing_while_an_error_stands)
{
    gr_ctx *c = f64();
    gr_tensor *w = vector(c, 1, 2, 3);
    gr_optim *opt = gr_sgd(c, gr_params_of(c, &w, 1), .lr = 0.5);
    set_gradient(w, (double[]){ 1, 1, 1 });
    gr_fail(c, GR_EVALUE, "first");
    CHECK(!gr_step(opt) && !gr_sgd(c, gr_params_of(c, &w, 1), .lr = 0.5));
    CHECK(isnan(gr_clip_grad_norm(gr_params_of(c, &w, 1), 1)) && !gr_clip_grad_value(gr_params_of(c, &w, 1), 1));
    gr_clear_error(c);
    CHECK(gr_at(w, 0) == 1 && gr_grad(w));
    CHECK(!gr_step((gr_optim *)NULL));
    gr_ctx_free(c);
}

TEST(the_state_lives_where_the_optimiser_was_made)
{
    gr_ctx *c = f64();
    gr_tensor *w = vector(c, 1, 2, 3);
    gr_optim *opt = gr_sgd(c, gr_params_of(c, &w, 1), .lr = 0.1, .momentum = 0.9);
    for (int i = 0; i < 3; i++) {
        GR_SCOPE(c);
        gr_ones(c, GR_SHAPE(1000));
        gr_backward(gr_sum(w, .keepdim = false));
        gr_step(opt);
    }
    CHECK_NEAR(gr_at(gr_optim_slot(opt, 0, "momentum_buffer"), 0), 1 + 0.9 + 0.81, 1e-15);
    CHECK(!gr_failed(c));
    gr_ctx_free(c);
}

TEST(hyper_parameters_can_be_read_and_set)
{
    gr_ctx *c = f64();
    gr_tensor *w = vector(c, 1, 2, 3);
    gr_optim *opt = gr_adam(c, gr_params_of(c, &w, 1), .beta2 = 0.99);
    CHECK(gr_lr(opt) == 1e-3 && gr_hyper_value(opt, "beta2") == 0.99 && gr_hyper_value(opt, "eps") == 1e-8);
    CHECK(gr_set_lr(opt, 0.25) && gr_lr(opt) == 0.25);
    CHECK(gr_set_hyper(opt, "beta1", 0) && gr_hyper_value(opt, "beta1") == 0);
    CHECK(!gr_set_hyper(opt, "beta1", 1));
    CHECK_STR(gr_message(c), "adam: beta1 is 1. Fix: give a number of at least 0 and below 1");
    gr_clear_error(c);
    CHECK(!gr_set_hyper(opt, "amsgrad", 1));
    CHECK_STR(gr_message(c), "adam: amsgrad = 1 needs state that this optimiser was made without. Fix: give amsgrad when making it");
    gr_clear_error(c);
    CHECK(!gr_set_hyper(opt, "momentum", 1));
    CHECK_STR(gr_message(c), "adam: it has no hyper-parameter \"momentum\". Fix: use one of those in its record, such as \"lr\"");
    gr_clear_error(c);
    CHECK(isnan(gr_hyper_value(opt, "momentum")) && gr_failed(c));
    CHECK(isnan(gr_lr(NULL)) && !gr_set_lr(NULL, 1));
    gr_ctx_free(c);
}

static void double_step(const gr_update *u)
{
    for (int64_t i = 0; i < u->n; i++) ((double *)u->w)[i] -= 2 * u->h[0] * ((const double *)u->g)[i];
}
TEST(a_rule_of_ones_own_is_a_record)
{
    static const gr_rule rule = { .name = "twice", .formula = "w -= 2 lr g", .hyper = { { "lr", 0.5, 0, INFINITY } }, .update = double_step };
    gr_ctx *c = f64();
    gr_tensor *w = vector(c, 1, 2, 3);
    gr_optim *opt = gr_optim_new(c, &rule, gr_params_of(c, &w, 1), NULL);
    set_gradient(w, (double[]){ 1, 1, 1 });
    CHECK(gr_step(opt) && gr_at(w, 2) == 2);
    static const gr_rule empty = { .name = "empty" };
    CHECK(!gr_optim_new(c, &empty, gr_params_of(c, &w, 1), NULL));
    CHECK_STR(gr_message(c), "gr_optim_new: the record is not complete. Fix: give it name, update, and lr as its first hyper-parameter");
    gr_ctx_free(c);
}

/* ---- refusals --------------------------------------------------------------------------------------------------*/
static void refuses(gr_ctx *c, gr_tensor **t, int n, gr_code code, const char *message)
{
    CHECK(!gr_sgd(c, gr_params_of(c, t, n), .lr = 0.1));
    CHECK(gr_status(c) == code);
    CHECK_STR(gr_message(c), message);
    gr_clear_error(c);
}

TEST(parameters_that_cannot_be_optimised_are_refused)
{
    gr_ctx *c = f64(), *d = f64();
    gr_tensor *w = gr_name(vector(c, 1, 2, 3), "w"), *y = gr_tanh(w), *x = gr_zeros(c, GR_SHAPE(2)), *null = NULL, *far = vector(d, 1, 2, 3);
    gr_tensor *columns = gr_requires_grad(gr_permute(gr_zeros(c, GR_SHAPE(2, 3)), GR_DIMS(1, 0)));
    refuses(c, NULL, 0, GR_EVALUE, "sgd: the list of parameters is empty. Fix: pass gr_parameters of a module that has some, not all frozen");
    refuses(c, &y, 1, GR_EGRAPH, "sgd([3]): a result of tanh is no leaf, and cannot be optimised. Fix: pass the leaf it was made from, or compute it under GR_NO_GRAD");
    refuses(c, &x, 1, GR_EVALUE, "sgd: parameter 0, [2], does not require a gradient, so it would never change. Fix: mark it with gr_requires_grad");
    refuses(c, &null, 1, GR_EVALUE, "sgd: parameter 0 is NULL. Fix: check what made it");
    refuses(c, &far, 1, GR_EVALUE, "sgd: parameter 0, [3], belongs to another context. Fix: make both in one context");
    refuses(c, &columns, 1, GR_EVALUE, "sgd: parameter 0, [3, 2], is not contiguous. Fix: mark a gr_contiguous copy with gr_requires_grad");
    refuses(c, (gr_tensor *[]){ w, w }, 2, GR_EVALUE, "sgd: parameter 1, \"w\" [3], is listed twice and would be updated twice. Fix: list it once");
    gr_ctx_free(c);
    gr_ctx_free(d);
}

/* ---- clipping --------------------------------------------------------------------------------------------------*/
TEST(clipping_the_norm_scales_all_gradients_together_as_pytorch_does)
{
    gr_ctx *c = f64();
    gr_tensor *p[3] = { gr_requires_grad(gr_zeros(c, GR_SHAPE(2))), gr_requires_grad(gr_zeros(c, GR_SHAPE())), vector(c, 1, 1, 1) };
    set_gradient(p[0], (double[]){ 3, -4 });
    set_gradient(p[1], (double[]){ 12 });
    CHECK(gr_clip_grad_norm(gr_params_of(c, p, 3), 20) == 13 && gr_at(gr_grad(p[0]), 0) == 3);
    CHECK(gr_clip_grad_norm(gr_params_of(c, p, 3), 6.5) == 13);
    CHECK_NEAR(gr_at(gr_grad(p[0]), 0), 1.4999998846153937, 1e-15);
    CHECK_NEAR(gr_at(gr_grad(p[0]), 1), -1.9999998461538582, 1e-15);
    CHECK_NEAR(gr_item(gr_grad(p[1])), 5.9999995384615747, 1e-15);
    CHECK(!gr_grad(p[2]) && !gr_failed(c));
    CHECK(isnan(gr_clip_grad_norm(gr_params_of(c, p, 3), -1)));
    CHECK_STR(gr_message(c), "gr_clip_grad_norm: the bound is -1. Fix: give a number of at least 0");
    gr_ctx_free(c);
}

TEST(the_norm_of_a_long_gradient_is_summed_in_double)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *w = gr_requires_grad(gr_zeros(c, GR_SHAPE(100003)));
    gr_backward(gr_sum(gr_mul(w, 0.1), .keepdim = false));
    CHECK_NEAR(gr_clip_grad_norm(gr_params_of(c, &w, 1), 1e9), (double)0.1f * sqrt(100003), 1e-12);
    gr_ctx_free(c);
}

TEST(clipping_works_in_f32_and_an_endless_gradient_shows)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *w = gr_requires_grad(gr_zeros(c, GR_SHAPE(2)));
    set_gradient(w, (double[]){ 3, 4 });
    CHECK_NEAR(gr_clip_grad_norm(gr_params_of(c, &w, 1), 1), 5, 1e-7);
    CHECK_NEAR(gr_at(gr_grad(w), 1), 0.8, 1e-6);
    gr_zero_grad(w);
    set_gradient(w, (double[]){ INFINITY, 4 });
    CHECK(isinf(gr_clip_grad_norm(gr_params_of(c, &w, 1), 1)));
    CHECK(isnan(gr_at(gr_grad(w), 0)) && gr_at(gr_grad(w), 1) == 0);
    gr_ctx_free(c);
}

TEST(clipping_values_bounds_each_and_leaves_nan)
{
    for (gr_type type = GR_F32; type <= GR_F64; type++) {
        gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = type });
        gr_tensor *w = gr_requires_grad(gr_zeros(c, GR_SHAPE(4)));
        set_gradient(w, (double[]){ 3, -4, 0.25, (double)NAN });
        CHECK(gr_clip_grad_value(gr_params_of(c, &w, 1), 0.5));
        gr_tensor *g = gr_grad(w);
        CHECK(gr_at(g, 0) == 0.5 && gr_at(g, 1) == -0.5 && gr_at(g, 2) == 0.25 && isnan(gr_at(g, 3)));
        CHECK(!gr_clip_grad_value(gr_params_of(c, &w, 1), (double)NAN) && gr_status(c) == GR_EVALUE);
        gr_ctx_free(c);
    }
}
