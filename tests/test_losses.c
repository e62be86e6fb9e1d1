/* Losses and metrics: values and gradients against PyTorch 1.13.1 in f64, kinks, refusals.
 * SPDX-License-Identifier: MIT */
#include "nn/nn.h"
#include "tests/test.h"

static gr_ctx *f64(void) { return gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 }); }

/* ---- inputs ----------------------------------------------------------------------------------------------------*/
static gr_tensor *pred(gr_ctx *c) { return gr_from(c, GR_SHAPE(2, 3), (double[]){ 0.5, -1.25, 2, 0.1, 0.75, -3 }); }
static gr_tensor *numbers(gr_ctx *c) { return gr_from(c, GR_SHAPE(2, 3), (double[]){ 0.25, -1, 0.5, 0.1, -0.75, -1 }); }
static gr_tensor *prob(gr_ctx *c) { return gr_from(c, GR_SHAPE(2, 3), (double[]){ 0.5, 0.125, 0.9, 0, 1, 1 }); }
static gr_tensor *bigl(gr_ctx *c) { return gr_from(c, GR_SHAPE(2, 3), (double[]){ 0.5, -30, 2, 800, -0.75, -3 }); }
static gr_tensor *events(gr_ctx *c) { return gr_from(c, GR_SHAPE(2, 3), (double[]){ 1, 0, 0.3, 1, 1, 0 }); }
static gr_tensor *pos(gr_ctx *c) { return gr_from(c, GR_SHAPE(3), (double[]){ 2, 0.5, 3 }); }
static gr_tensor *logits(gr_ctx *c)
{
    return gr_from(c, GR_SHAPE(4, 3), (double[]){ 0.5, -1.25, 2, 0.1, 0.75, -3, 1, 1, -0.5, 0, 0.25, 0.5 });
}
static gr_tensor *classes(gr_ctx *c) { return gr_from(c, GR_SHAPE(4), (int[]){ 2, 0, 1, 2 }); }
static gr_tensor *one_ignored(gr_ctx *c) { return gr_from(c, GR_SHAPE(4), (int[]){ 2, -100, 1, 2 }); }
static gr_tensor *zeros_ignored(gr_ctx *c) { return gr_from(c, GR_SHAPE(4), (int[]){ 2, 0, 1, 0 }); }
static gr_tensor *weight(gr_ctx *c) { return gr_from(c, GR_SHAPE(3), (double[]){ 1, 2, 0.5 }); }
static gr_tensor *probabilities(gr_ctx *c)
{
    return gr_from(c, GR_SHAPE(4, 3), (double[]){ 0.2, 0.3, 0.5, 1, 0, 0, 0.1, 0.8, 0.1, 0.25, 0.25, 0.5 });
}
static gr_tensor *cube(gr_ctx *c)
{
    return gr_sub(gr_reshape(gr_arange(c, 0, 3.5, 0.3), GR_SHAPE(2, 3, 2)), gr_from(c, GR_SHAPE(2), (double[]){ 1, 0.5 }));
}
static gr_tensor *maps(gr_ctx *c) { return gr_from(c, GR_SHAPE(2, 2), (int[]){ 0, 2, 1, -100 }); }

/* ---- PyTorch's numbers -----------------------------------------------------------------------------------------
 * F.mse_loss(...), F.cross_entropy(...) and so on of the tensors above, in torch.float64. One difference: where p (1 - p) is 0,
 * PyTorch divides by 1e-12 rounded to f32, and has -166666667332.6 instead of -1e12 / 6. */
typedef struct expected {
    gr_tensor *(*loss)(gr_ctx *c, gr_tensor *x);
    gr_tensor *(*input)(gr_ctx *c);
    double value, grad[12];
} expected;
#define LOSS(name, call) \
    static gr_tensor *name(gr_ctx *c, gr_tensor *x) { return call; }
LOSS(f0, gr_mse_loss(x, numbers(c), .reduction = GR_MEAN))
LOSS(f1, gr_l1_loss(x, numbers(c), .reduction = GR_MEAN))
LOSS(f2, gr_huber_loss(x, numbers(c), .reduction = GR_MEAN))
LOSS(f3, gr_huber_loss(x, numbers(c), .delta = 0.5))
LOSS(f4, gr_mse_loss(x, numbers(c), .reduction = GR_SUM))
LOSS(f5, gr_l1_loss(x, numbers(c), .reduction = GR_SUM))
LOSS(f6, gr_huber_loss(x, numbers(c), .reduction = GR_SUM))
LOSS(f7, gr_huber_loss(x, numbers(c), .delta = 0.5, .reduction = GR_SUM))
LOSS(f8, gr_bce_loss(x, events(c), .reduction = GR_MEAN))
LOSS(f9, gr_bce_with_logits_loss(x, events(c), .reduction = GR_MEAN))
LOSS(f10, gr_bce_with_logits_loss(x, events(c), .pos_weight = pos(c)))
LOSS(f11, gr_cross_entropy(x, classes(c), .reduction = GR_MEAN))
LOSS(f12, gr_cross_entropy(x, one_ignored(c), .reduction = GR_MEAN))
LOSS(f13, gr_cross_entropy(x, zeros_ignored(c), .ignore_zero = true))
LOSS(f14, gr_nll_loss(x, one_ignored(c), .reduction = GR_MEAN))
LOSS(f15, gr_cross_entropy(x, classes(c), .reduction = GR_SUM))
LOSS(f16, gr_cross_entropy(x, one_ignored(c), .reduction = GR_SUM))
LOSS(f17, gr_cross_entropy(x, zeros_ignored(c), .ignore_zero = true, .reduction = GR_SUM))
LOSS(f18, gr_nll_loss(x, one_ignored(c), .reduction = GR_SUM))
LOSS(f19, gr_cross_entropy(x, classes(c), .weight = weight(c)))
LOSS(f20, gr_cross_entropy(x, one_ignored(c), .weight = weight(c)))
LOSS(f21, gr_cross_entropy(x, zeros_ignored(c), .ignore_zero = true, .weight = weight(c)))
LOSS(f22, gr_nll_loss(x, one_ignored(c), .weight = weight(c)))
LOSS(f23, gr_cross_entropy(x, classes(c), .label_smoothing = 0.1))
LOSS(f24, gr_cross_entropy(x, one_ignored(c), .label_smoothing = 0.1))
LOSS(f25, gr_cross_entropy(x, zeros_ignored(c), .ignore_zero = true, .label_smoothing = 0.1))
LOSS(f26, gr_cross_entropy(x, classes(c), .weight = weight(c), .label_smoothing = 0.1))
LOSS(f27, gr_cross_entropy(x, one_ignored(c), .weight = weight(c), .label_smoothing = 0.1))
LOSS(f28, gr_cross_entropy(x, zeros_ignored(c), .ignore_zero = true, .weight = weight(c), .label_smoothing = 0.1))
LOSS(f29, gr_cross_entropy(x, classes(c), .weight = weight(c), .label_smoothing = 0.1, .reduction = GR_SUM))
LOSS(f30, gr_cross_entropy(x, one_ignored(c), .weight = weight(c), .label_smoothing = 0.1, .reduction = GR_SUM))
LOSS(f31, gr_cross_entropy(x, zeros_ignored(c), .ignore_zero = true, .weight = weight(c), .label_smoothing = 0.1, .reduction = GR_SUM))
LOSS(f32, gr_cross_entropy(x, probabilities(c), .reduction = GR_MEAN))
LOSS(f33, gr_cross_entropy(x, probabilities(c), .weight = weight(c)))
LOSS(f34, gr_cross_entropy(x, probabilities(c), .label_smoothing = 0.1))
LOSS(f35, gr_cross_entropy(x, probabilities(c), .weight = weight(c), .label_smoothing = 0.1))
LOSS(f36, gr_cross_entropy(x, probabilities(c), .weight = weight(c), .label_smoothing = 0.1, .reduction = GR_SUM))
LOSS(f37, gr_cross_entropy(x, maps(c), .weight = weight(c), .label_smoothing = 0.2))
LOSS(f38, gr_nll_loss(x, maps(c), .weight = weight(c)))
static const expected table[] = {
    { f0, pred, 1.4375,
      { 0.083333333333333329, -0.083333333333333329, 0.5, 0, 0.5, -0.66666666666666663 } },
    { f1, pred, 0.91666666666666663,
      { 0.16666666666666666, -0.16666666666666666, 0.16666666666666666, 0, 0.16666666666666666,
        -0.16666666666666666 } },
    { f2, pred, 0.59375,
      { 0.041666666666666664, -0.041666666666666664, 0.16666666666666666, 0, 0.16666666666666666,
        -0.16666666666666666 } },
    { f3, pred, 0.36458333333333331,
      { 0.041666666666666664, -0.041666666666666664, 0.083333333333333329, 0, 0.083333333333333329,
        -0.083333333333333329 } },
    { f4, pred, 8.625,
      { 0.5, -0.5, 3, 0, 3, -4 } },
    { f5, pred, 5.5,
      { 1, -1, 1, 0, 1, -1 } },
    { f6, pred, 3.5625,
      { 0.25, -0.25, 1, 0, 1, -1 } },
    { f7, pred, 2.1875,
      { 0.25, -0.25, 0.5, 0, 0.5, -0.5 } },
    { f8, prob, 33.745016048829605,
      { -0.33333333333333331, 0.19047619047619047, 1.1111111111111114, -166666666666.66666, 0,
        166666666666.66666 } },
    { f9, bigl, 0.53107722548530245,
      { -0.062923444799690906, 1.5596038281398831e-14, 0.09679951299631373, 0, -0.1131964498625655,
        0.0079043121962611308 } },
    { f10, bigl, 0.52804360677670903,
      { -0.12584688959938181, 1.5596038281398831e-14, 0.084879220794101928, 0, -0.056598224931282748,
        0.0079043121962611308 } },
    { f11, logits, 0.74656620893894687,
      { 0.044205045526861074, 0.0076816850816091081, -0.051886730608470183, -0.16555737290611935,
        0.16175329990752338, 0.0038040729985959567, 0.11245405441456854, -0.13754594558543146,
        0.025091891170862919, 0.063568803147616412, 0.081623958949959177, -0.14519276209757559 } },
    { f12, logits, 0.63362541744981216,
      { 0.05894006070248143, 0.01024224677547881, -0.069182307477960239, 0, 0, 0, 0.14993873921942472,
        -0.1833945941139086, 0.03345585489448389, 0.084758404196821874, 0.10883194526661223,
        -0.19359034946343409 } },
    { f13, logits, 0.51576908397187915,
      { 0.088410091053722148, 0.015363370163218216, -0.10377346121694037, 0, 0, 0, 0.22490810882913709,
        -0.27509189117086291, 0.050183782341725838, 0, 0, 0 } },
    { f14, logits, -1.1666666666666667,
      { 0, 0, -0.33333333333333331, 0, 0, 0, 0, -0.33333333333333331, 0, 0, 0, -0.33333333333333331 } },
    { f15, logits, 2.9862648357557875,
      { 0.1768201821074443, 0.030726740326436432, -0.20754692243388073, -0.66222949162447742,
        0.64701319963009352, 0.015216291994383827, 0.44981621765827418, -0.55018378234172582,
        0.10036756468345168, 0.25427521259046565, 0.32649583579983671, -0.58077104839030236 } },
    { f16, logits, 1.9008762523494365,
      { 0.1768201821074443, 0.030726740326436432, -0.20754692243388073, 0, 0, 0, 0.44981621765827418,
        -0.55018378234172582, 0.10036756468345168, 0.25427521259046565, 0.32649583579983671,
        -0.58077104839030236 } },
    { f17, logits, 1.0315381679437583,
      { 0.1768201821074443, 0.030726740326436432, -0.20754692243388073, 0, 0, 0, 0.44981621765827418,
        -0.55018378234172582, 0.10036756468345168, 0, 0, 0 } },
    { f18, logits, -3.5,
      { 0, 0, -1, 0, 0, 0, 0, -1, 0, 0, 0, -1 } },
    { f19, logits, 0.80855024671091447,
      { 0.022102522763430537, 0.003840842540804554, -0.025943365304235091, -0.16555737290611935,
        0.16175329990752338, 0.0038040729985959567, 0.22490810882913709, -0.27509189117086291,
        0.050183782341725838, 0.031784401573808206, 0.040811979474979589, -0.072596381048787795 } },
    { f20, logits, 0.71627080114576891,
      { 0.029470030351240715, 0.0051211233877394048, -0.03459115373898012, 0, 0, 0, 0.29987747843884943,
        -0.3667891882278172, 0.06691170978896778, 0.042379202098410937, 0.054415972633306116,
        -0.096795174731717046 } },
    { f21, logits, 0.68565734449378701,
      { 0.035364036421488859, 0.006145348065287287, -0.041509384486776151, 0, 0, 0, 0.35985297412661937,
        -0.44014702587338067, 0.080294051746761352, 0, 0, 0 } },
    { f22, logits, -1.0833333333333333,
      { 0, 0, -0.16666666666666666, 0, 0, 0, 0, -0.66666666666666663, 0, 0, 0, -0.16666666666666666 } },
    { f23, logits, 0.82531620893894686,
      { 0.035871712193527742, -0.00065164825172422513, -0.03522006394180352, -0.14889070623945269,
        0.15341996657419005, -0.0045292603347373769, 0.10412072108123521, -0.12087927891876479,
        0.016758557837529588, 0.055235469814283081, 0.073290625616625846, -0.12852609543090893 } },
    { f24, logits, 0.71140319522758988,
      { 0.047828949591370316, -0.00086886433563230136, -0.04696008525573804, 0, 0, 0,
        0.13882762810831362, -0.16117237189168637, 0.022344743783372784, 0.07364729308571076,
        0.097720834155501118, -0.17136812724121189 } },
    { f25, logits, 0.61993575063854578,
      { 0.071743424387055485, -0.0013032965034484503, -0.07044012788360704, 0, 0, 0,
        0.20824144216247042, -0.24175855783752959, 0.033517115675059175, 0, 0, 0 } },
    { f26, logits, 0.89812794641603355,
      { 0.016716192465221276, -0.012313711787088172, -0.0044024806781331081, -0.14748332912122136,
        0.14778252157264876, -0.00029919245142744419, 0.20720360429458973, -0.25112972903874364,
        0.04392612474415393, 0.027688988450315966, 0.029586910071643532, -0.057275898521959495 } },
    { f27, logits, 0.82690001973367011,
      { 0.022288256620295033, -0.016418282382784231, -0.0058699742375108114, 0, 0, 0,
        0.27627147239278627, -0.33483963871832484, 0.058568166325538566, 0.036918651267087953,
        0.039449213428858043, -0.076367864695945989 } },
    { f28, logits, 0.78189672454845049,
      { 0.026745907944354035, -0.019701938859341076, -0.0070439690850129773, 0, 0, 0,
        0.3315257668713435, -0.40180756646198973, 0.070281799590646274, 0, 0, 0 } },
    { f29, logits, 3.5925117856641342,
      { 0.066864769860885104, -0.049254847148352689, -0.017609922712532432, -0.58993331648488545,
        0.59113008629059505, -0.0011967698057097768, 0.82881441717835891, -1.0045189161549746,
        0.17570449897661572, 0.11075595380126387, 0.11834764028657413, -0.22910359408783798 } },
    { f30, logits, 2.48070005920101,
      { 0.066864769860885104, -0.049254847148352689, -0.017609922712532432, 0, 0, 0,
        0.82881441717835891, -1.0045189161549746, 0.17570449897661572, 0.11075595380126387,
        0.11834764028657413, -0.22910359408783798 } },
    { f31, logits, 1.9547418113711259,
      { 0.066864769860885104, -0.049254847148352689, -0.017609922712532432, 0, 0, 0,
        0.82881441717835891, -1.0045189161549746, 0.17570449897661572, 0, 0, 0 } },
    { f32, logits, 1.1496912089389468,
      { -0.0057949544731389288, -0.067318314918390895, 0.073113269391529817, -0.16555737290611935,
        0.16175329990752338, 0.0038040729985959567, 0.087454054414568549, -0.087545945585431467,
        9.1891170862917759e-05, 0.0010688031476164123, 0.019123958949959177, -0.020192762097575576 } },
    { f33, logits, 1.5430207683855457,
      { -0.0035847021967958729, -0.14193423066431043, 0.14551893286110631, -0.16555737290611935,
        0.16175329990752338, 0.0038040729985959567, 0.17179459522549498, -0.20320540477450505,
        0.031410809549010113, 0.0010688031476164123, -0.043376041050040823, 0.042307237902424424 } },
    { f34, logits, 1.188128708938947,
      { -0.0091282878064722628, -0.068151648251724234, 0.077279936058196483, -0.14889070623945269,
        0.15341996657419005, -0.0045292603347373769, 0.081620721081235206, -0.075879278918764809,
        -0.0057414421624704184, -0.0010145301857169275, 0.017040625616625837, -0.01602609543090891 } },
    { f35, logits, 1.5591514159232021,
      { -0.0064023099989824923, -0.14351127767169167, 0.14991358767067417, -0.14748332912122136,
        0.14778252157264876, -0.00029919245142744419, 0.15940144205131179, -0.18643189128202156,
        0.027030449230709776, 4.494986674335634e-05, -0.046182308400874839, 0.046137358534131513 } },
    { f36, logits, 6.2366056636928082,
      { -0.025609239995929969, -0.57404511068676667, 0.59965435068269668, -0.58993331648488545,
        0.59113008629059505, -0.0011967698057097768, 0.63760576820524717, -0.74572756512808624,
        0.1081217969228391, 0.00017979946697342536, -0.18472923360349935, 0.18454943413652605 } },
    { f37, cube, 1.3009030858839707,
      { -0.19955216960483371, 0.010412725541737873, 0.0494883240105383, 0.015585009647011951,
        0.15006384559429542, -0.025997735188749822, 0.066232325816308862, 0, -0.33984790440526619, 0,
        0.2736155785889573, 0 } },
    { f38, cube, -0.65714285714285714,
      { -0.2857142857142857, 0, 0, 0, 0, -0.14285714285714285, 0, 0, -0.5714285714285714, 0, 0, 0 } },
};
#define ROWS (int)(sizeof table / sizeof *table)

TEST(losses_and_their_gradients_are_those_of_pytorch)
{
    for (int i = 0; i < ROWS; i++) {
        gr_ctx *c = f64();
        gr_tensor *x = gr_requires_grad(table[i].input(c)), *y = table[i].loss(c, x);
        gr_backward(y);
        double g[12];
        gr_read(gr_grad(x), g);
        CHECK_NEAR(gr_item(y), table[i].value, 2e-15);
        for (int k = 0; k < gr_numel(x); k++) CHECK_NEAR(g[k], table[i].grad[k], 2e-15);
        if (gr_failed(c) || test_errors) printf("# row %d: %s\n", i, gr_message(c));
        gr_ctx_free(c);
    }
}

static gr_tensor *row_loss(gr_tensor **x, void *user) { return ((const expected *)user)->loss(gr_ctx_of(x[0]), x[0]); }

TEST(losses_pass_the_gradient_check_at_both_orders)
{
    for (int i = 0; i < ROWS; i++) {
        if (table[i].input == prob) continue; /* its steps would leave [0, 1] */
        gr_ctx *c = f64();
        gr_tensor *x = gr_requires_grad(table[i].input(c));
        if (table[i].input == pred) gr_write(x, (double[]){ 0.5, -1.25, 2, 0.3, 0.75, -3 }); /* away from the kink of |e| */
        gr_gradcheck_report r;
        expected row = table[i];
        CHECK(gr_gradcheck(row_loss, &row, &x, 1, &r));
        if (!r.passed) test_show_check(&r);
        gr_ctx_free(c);
    }
}

static gr_tensor *bce_both(gr_tensor **x, void *user) { return (void)user, gr_bce_loss(x[0], x[1], .reduction = GR_NONE); }
static gr_tensor *soft_both(gr_tensor **x, void *user)
{
    return (void)user, gr_cross_entropy(x[0], gr_softmax(x[1], 1), .weight = x[2], .label_smoothing = 0.1);
}
static gr_tensor *hard_weighted(gr_tensor **x, void *user)
{
    return (void)user, gr_cross_entropy(x[0], one_ignored(gr_ctx_of(x[0])), .weight = x[1], .label_smoothing = 0.1);
}
static gr_tensor *pos_weighted(gr_tensor **x, void *user) { return (void)user, gr_bce_with_logits_loss(x[0], x[1], .pos_weight = x[2]); }

TEST(losses_are_differentiable_by_targets_and_weights_too)
{
    gr_ctx *c = f64();
    gr_tensor *p = gr_requires_grad(gr_add(gr_mul(gr_rand(c, GR_SHAPE(2, 3)), 0.8), 0.1)), *t = gr_requires_grad(gr_rand(c, GR_SHAPE(2, 3)));
    CHECK(gr_gradcheck(bce_both, NULL, ((gr_tensor *[]){ p, t }), 2, NULL));
    gr_tensor *x = gr_requires_grad(logits(c)), *s = gr_requires_grad(gr_randn(c, GR_SHAPE(4, 3))), *w = gr_requires_grad(weight(c));
    CHECK(gr_gradcheck(soft_both, NULL, ((gr_tensor *[]){ x, s, w }), 3, NULL));
    CHECK(gr_gradcheck(hard_weighted, NULL, ((gr_tensor *[]){ x, w }), 2, NULL));
    gr_tensor *z = gr_requires_grad(numbers(c)), *q = gr_requires_grad(pos(c));
    CHECK(gr_gradcheck(pos_weighted, NULL, ((gr_tensor *[]){ z, t, q }), 3, NULL));
    CHECK_STR(gr_message(c), "");
    gr_ctx_free(c);
}

/* ---- kinks and extremes ----------------------------------------------------------------------------------------*/
static double slope(gr_tensor *loss, gr_tensor *x)
{
    gr_tensor *g = NULL;
    gr_grads(gr_sum(loss, .keepdim = false), &x, 1, &g);
    return gr_item(g);
}

TEST(the_gradient_of_l1_is_0_where_prediction_and_target_are_equal)
{
    gr_ctx *c = f64();
    gr_tensor *x = gr_requires_grad(gr_scalar(c, 2));
    CHECK(slope(gr_l1_loss(x, gr_scalar(c, 2), .reduction = GR_SUM), x) == 0);
    gr_ctx_free(c);
}

TEST(the_gradient_of_huber_is_continuous_at_delta_and_its_curvature_is_1_at_0)
{
    gr_ctx *c = f64();
    for (int sign = -1; sign <= 1; sign += 2) {
        gr_tensor *x = gr_requires_grad(gr_scalar(c, sign * 2));
        gr_tensor *y = gr_huber_loss(x, gr_scalar(c, 0), .delta = 2);
        CHECK(gr_item(y) == 2);
        CHECK(slope(y, x) == sign * 2);
    }
    gr_tensor *zero = gr_requires_grad(gr_scalar(c, 0)), *g = NULL;
    CHECK(gr_grads(gr_huber_loss(zero, gr_scalar(c, 0), .delta = 2), &zero, 1, &g, .create_graph = true));
    CHECK(gr_item(g) == 0 && slope(g, zero) == 1);
    gr_ctx_free(c);
}

TEST(the_logarithms_of_bce_stop_at_minus_100_and_its_gradient_at_1e12)
{
    gr_ctx *c = f64();
    gr_tensor *x = gr_requires_grad(gr_scalar(c, 0)), *y = gr_bce_loss(x, gr_scalar(c, 1), .reduction = GR_MEAN);
    CHECK(gr_item(y) == 100);
    CHECK_NEAR(slope(y, x), -1e12, 1e-12);
    gr_tensor *one = gr_requires_grad(gr_scalar(c, 1));
    y = gr_bce_loss(one, gr_scalar(c, 1), .reduction = GR_MEAN);
    CHECK(gr_item(y) == 0 && slope(y, one) == 0);
    gr_ctx_free(c);
}

TEST(cross_entropy_of_huge_logits_is_exact)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_from(c, GR_SHAPE(1, 2), (float[]){ 1000, 0 }), *t = gr_from(c, GR_SHAPE(1), (int[]){ 1 });
    CHECK(gr_item(gr_cross_entropy(x, t)) == 1000);
    CHECK(gr_dtype(gr_cross_entropy(x, t, .label_smoothing = 0.1)) == GR_F32);
    gr_ctx_free(c);
}

TEST(when_every_row_is_ignored_the_mean_is_nan_the_sum_0_and_the_gradient_0)
{
    gr_ctx *c = f64();
    gr_tensor *x = gr_requires_grad(logits(c)), *t = gr_from(c, GR_SHAPE(4), (int[]){ -100, -100, -100, -100 });
    gr_tensor *mean = gr_cross_entropy(x, t);
    CHECK(isnan(gr_item(mean)));
    CHECK(gr_item(gr_cross_entropy(x, t, .reduction = GR_SUM)) == 0);
    gr_backward(mean);
    for (int i = 0; i < 12; i++) CHECK(gr_at(gr_grad(x), i / 3, i % 3) == 0);
    CHECK(!gr_failed(c));
    gr_ctx_free(c);
}

TEST(without_reduction_there_is_one_loss_for_each_row_and_0_for_the_ignored)
{
    gr_ctx *c = f64();
    gr_tensor *x = logits(c), *y = gr_cross_entropy(x, gr_from(c, GR_SHAPE(4), (int[]){ 2, 7, 1, 2 }), .ignore_index = 7, .reduction = GR_NONE);
    CHECK(gr_ndim(y) == 1 && gr_size(y, 0) == 4);
    CHECK(gr_at(y, 1) == 0 && gr_at(y, 0) > 0);
    CHECK_NEAR(gr_item(gr_sum(y, .keepdim = false)), 1.9008762523494365, 1e-15);
    gr_tensor *n = gr_nll_loss(gr_log_softmax(x, 1), gr_from(c, GR_SHAPE(4), (int[]){ 2, 7, 1, 2 }), .ignore_index = 7, .reduction = GR_NONE);
    for (int i = 0; i < 4; i++) CHECK_NEAR(gr_at(n, i), gr_at(y, i), 1e-15);
    CHECK(gr_numel(gr_mse_loss(x, x, .reduction = GR_NONE)) == 12);
    gr_ctx_free(c);
}

TEST(losses_take_targets_of_other_types_and_layouts)
{
    gr_ctx *c = f64();
    gr_tensor *x = gr_from(c, GR_SHAPE(3), (double[]){ 0.2, 0.5, 0.9 });
    gr_tensor *t = gr_from(c, GR_SHAPE(3), (bool[]){ true, false, true }), *f = gr_from(c, GR_SHAPE(3), (double[]){ 1, 0, 1 });
    CHECK(gr_item(gr_mse_loss(x, t)) == gr_item(gr_mse_loss(x, f)));
    CHECK(gr_item(gr_bce_loss(x, t)) == gr_item(gr_bce_loss(x, f)));
    CHECK(gr_item(gr_bce_with_logits_loss(x, t)) == gr_item(gr_bce_with_logits_loss(x, f)));
    gr_tensor *wide = gr_from(c, GR_SHAPE(4, 2), (int[]){ 2, 9, 0, 9, 1, 9, 2, 9 });
    CHECK_NEAR(gr_item(gr_cross_entropy(logits(c), gr_select(wide, 1, 0))), 0.74656620893894687, 1e-15);
    CHECK_NEAR(gr_item(gr_nll_loss(gr_log_softmax(logits(c), 1), gr_select(wide, 1, 0))), 0.74656620893894687, 1e-15);
    CHECK_STR(gr_message(c), "");
    gr_ctx_free(c);
}

/* ---- refusals --------------------------------------------------------------------------------------------------*/
static gr_tensor *x42(gr_ctx *c) { return gr_name(gr_zeros(c, GR_SHAPE(4)), "pred"); }
static gr_tensor *t41(gr_ctx *c) { return gr_zeros(c, GR_SHAPE(4, 1)); }
static gr_tensor *rows(gr_ctx *c) { return gr_zeros(c, GR_SHAPE(2, 3)); }
static gr_tensor *ints(gr_ctx *c, int64_t n, int v) { return gr_full(c, GR_SHAPE(n), v, .dtype = GR_I64); }

LOSS(bad_mse, gr_mse_loss(x42(c), (x = t41(c))))
LOSS(bad_l1, gr_l1_loss(x42(c), (x = gr_zeros(c, GR_SHAPE(3)))))
LOSS(bad_huber, gr_huber_loss(x42(c), (x = t41(c))))
LOSS(bad_bce, gr_bce_loss(x42(c), (x = t41(c))))
LOSS(bad_logits, gr_bce_with_logits_loss(x42(c), (x = t41(c))))
LOSS(bad_delta, gr_huber_loss(x = x42(c), x42(c), .delta = -1))
LOSS(bad_null, gr_mse_loss(x42(c), (x = NULL)))
LOSS(bad_probability, gr_bce_loss(x = gr_full(c, GR_SHAPE(2), 1.5), gr_zeros(c, GR_SHAPE(2))))
LOSS(bad_pos_weight, gr_bce_with_logits_loss(x = rows(c), rows(c), .pos_weight = gr_ones(c, GR_SHAPE(2))))
LOSS(bad_class, gr_cross_entropy(x = rows(c), ints(c, 2, 7)))
LOSS(bad_rows, gr_cross_entropy(x = rows(c), ints(c, 3, 0)))
LOSS(bad_float, gr_cross_entropy(x = rows(c), gr_zeros(c, GR_SHAPE(2))))
LOSS(bad_weight, gr_cross_entropy(x = rows(c), ints(c, 2, 0), .weight = gr_ones(c, GR_SHAPE(2))))
LOSS(bad_smoothing, gr_cross_entropy(x = rows(c), ints(c, 2, 0), .label_smoothing = 1.5))
LOSS(bad_nll, gr_nll_loss(x = rows(c), ints(c, 3, 0)))
LOSS(bad_nll_smoothing, gr_nll_loss(x = rows(c), ints(c, 2, 0), .label_smoothing = 0.5))
LOSS(bad_reduction, gr_mse_loss(x = rows(c), rows(c), .reduction = (gr_reduction)3))

static const struct refusal {
    gr_tensor *(*call)(gr_ctx *c, gr_tensor *x);
    gr_code code;
    const char *message;
} refusals[] = {
    { bad_mse, GR_ESHAPE, "gr_mse_loss(\"pred\" [4], [4, 1]): the shapes of prediction and target differ, and would broadcast to [4, 4]. "
      "Fix: gr_reshape one to the shape of the other, or pass .allow_broadcast = true" },
    { bad_l1, GR_ESHAPE, "gr_l1_loss(\"pred\" [4], [3]): the shapes of prediction and target differ. Fix: give one target for each prediction" },
    { bad_huber, GR_ESHAPE, "gr_huber_loss(\"pred\" [4], [4, 1]): the shapes of prediction and target differ, and would broadcast to [4, 4]. "
      "Fix: gr_reshape one to the shape of the other, or pass .allow_broadcast = true" },
    { bad_bce, GR_ESHAPE, "gr_bce_loss(\"pred\" [4], [4, 1]): the shapes of prediction and target differ, and would broadcast to [4, 4]. "
      "Fix: gr_reshape one to the shape of the other, or pass .allow_broadcast = true" },
    { bad_logits, GR_ESHAPE, "gr_bce_with_logits_loss(\"pred\" [4], [4, 1]): the shapes of prediction and target differ, and would broadcast to [4, 4]. "
      "Fix: gr_reshape one to the shape of the other, or pass .allow_broadcast = true" },
    { bad_delta, GR_EVALUE, "gr_huber_loss: delta is -1. Fix: give a number above 0" },
    { bad_null, GR_EVALUE, "gr_mse_loss(\"pred\" [4], NULL): the target is NULL. Fix: pass a tensor" },
    { bad_probability, GR_EVALUE, "bce([2], [2]): 1.5 is no probability. Fix: apply gr_sigmoid first, or use the loss from logits" },
    { bad_pos_weight, GR_ESHAPE, "gr_bce_with_logits_loss: pos_weight [2] does not broadcast to the logits [2, 3]. Fix: give one weight for each size of the last dimension" },
    { bad_class, GR_EINDEX, "cross_entropy([2, 3], i64 [2]): target 7 of row 0 is out of range for 3 classes. Fix: number the classes from 0" },
    { bad_rows, GR_ESHAPE, "cross_entropy([2, 3], i64 [3]): size 3 of the target at dimension 0 is not 2. Fix: give one target for each row of logits" },
    { bad_float, GR_ESHAPE, "cross_entropy([2, 3], [2]): the target fits neither as classes nor as probabilities. "
      "Fix: give i64 class numbers of one dimension less, or probabilities of the shape and dtype of the logits" },
    { bad_weight, GR_ESHAPE, "gr_cross_entropy([2, 3]): the weight is [2], not [3]. Fix: give one weight for each class" },
    { bad_smoothing, GR_EVALUE, "gr_cross_entropy([2, 3]): label_smoothing is 1.5. Fix: give a number in [0, 1]" },
    { bad_nll, GR_ESHAPE, "gr_nll_loss([2, 3], i64 [3]): the target does not fit. Fix: give log-probabilities and, for each row, an i64 class number" },
    { bad_nll_smoothing, GR_EVALUE, "gr_nll_loss: label_smoothing needs logits. Fix: call gr_cross_entropy" },
    { bad_reduction, GR_EVALUE, "gr_mse_loss: 3 is no reduction. Fix: use GR_MEAN, GR_SUM or GR_NONE" },
};

TEST(losses_refuse_what_does_not_fit_and_say_why)
{
    for (int i = 0; i < (int)(sizeof refusals / sizeof *refusals); i++) {
        gr_ctx *c = gr_ctx_new(NULL);
        CHECK(!refusals[i].call(c, NULL));
        CHECK(gr_status(c) == refusals[i].code);
        CHECK_STR(gr_message(c), refusals[i].message);
        CHECK(!refusals[i].call(c, NULL)); /* while an error stands nothing happens */
        CHECK_STR(gr_message(c), refusals[i].message);
        gr_ctx_free(c);
    }
}

TEST(the_operation_behind_bce_checks_its_inputs_itself)
{
    gr_ctx *c = f64();
    gr_tensor *p = gr_requires_grad(prob(c)), *y = gr_bce_loss(p, events(c), .reduction = GR_NONE);
    CHECK_STR(gr_op_of(y)->name, "bce");
    CHECK(gr_apply(gr_op_of(y), (gr_tensor *[]){ p, events(c) }, 2, NULL) && !gr_failed(c));
    CHECK(!gr_apply(gr_op_of(y), (gr_tensor *[]){ p, pos(c) }, 2, NULL));
    CHECK_STR(gr_message(c), "bce([2, 3], [3]): the shapes differ. Fix: use gr_broadcast_to first");
    gr_ctx_free(c);
}

TEST(broadcasting_in_a_loss_can_be_asked_for)
{
    gr_ctx *c = gr_ctx_new(NULL);
    CHECK(gr_numel(gr_mse_loss(x42(c), t41(c), .allow_broadcast = true, .reduction = GR_NONE)) == 16);
    CHECK(gr_numel(gr_bce_loss(x42(c), t41(c), .allow_broadcast = true, .reduction = GR_NONE)) == 16);
    CHECK(!gr_failed(c));
    gr_ctx_free(c);
}

/* ---- metrics ---------------------------------------------------------------------------------------------------*/
TEST(accuracy_counts_the_rows_whose_largest_logit_is_the_target)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_astype(logits(c), GR_F32);
    CHECK(gr_accuracy(x, gr_from(c, GR_SHAPE(4), (int[]){ 2, 1, 0, 0 })) == 0.75); /* row 2 is a tie: the first wins */
    CHECK(gr_accuracy(x, probabilities(c)) == 0.5);
    CHECK(gr_accuracy(gr_from(c, GR_SHAPE(2), (int[]){ 1, 2 }), gr_from(c, GR_SHAPE(2), (int[]){ 1, 3 })) == 0.5);
    CHECK(isnan(gr_accuracy(gr_zeros(c, GR_SHAPE(0, 3)), ints(c, 0, 0))));
    CHECK(!gr_failed(c));
    CHECK(isnan(gr_accuracy(x, ints(c, 3, 0))));
    CHECK_STR(gr_message(c), "gr_accuracy([4, 3], i64 [3]): the predicted classes and the target differ in shape. "
                             "Fix: give logits [n, classes] and i64 targets [n]");
    CHECK(isnan(gr_accuracy(x, NULL)));
    gr_ctx_free(c);
}

TEST(binary_accuracy_has_a_threshold)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *p = gr_from(c, GR_SHAPE(4), (float[]){ 0.2f, 0.6f, 0.5f, 0.9f }), *t = gr_from(c, GR_SHAPE(4), (float[]){ 0, 1, 1, 0 });
    CHECK(gr_binary_accuracy(p, t) == 0.5);
    CHECK(gr_binary_accuracy(p, t, .threshold = 0.4) == 0.75);
    CHECK(gr_binary_accuracy(gr_sub(p, 0.5), t, .logits = true) == 0.5);
    CHECK(isnan(gr_binary_accuracy(p, t41(c))));
    CHECK_STR(gr_message(c), "gr_binary_accuracy([4], [4, 1]): the shapes differ. Fix: gr_reshape one to the shape of the other");
    gr_ctx_free(c);
}

TEST(the_confusion_matrix_has_the_truth_in_rows)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *t = gr_from(c, GR_SHAPE(6), (int[]){ 0, 0, 1, 1, 1, 2 }), *p = gr_from(c, GR_SHAPE(6), (int[]){ 0, 1, 1, 1, 0, 1 });
    gr_tensor *m = gr_confusion_matrix(p, t, 3);
    static const int want[9] = { 1, 1, 0, 1, 2, 0, 0, 1, 0 };
    for (int i = 0; i < 9; i++) CHECK(gr_at(m, i / 3, i % 3) == want[i]);
    CHECK(gr_precision(m, 1) == 0.5 && gr_precision(m, 2) == 0);
    CHECK_NEAR(gr_recall(m, 1), 2.0 / 3, 1e-15);
    CHECK_NEAR(gr_f1(m, 1), 4.0 / 7, 1e-15);
    CHECK_NEAR(gr_f1(m, GR_MACRO), (0.5 + 4.0 / 7 + 0) / 3, 1e-15);
    CHECK(gr_at(gr_confusion_matrix(gr_astype(logits(c), GR_F32), gr_from(c, GR_SHAPE(4), (int[]){ 2, 1, 0, 0 }), 3), 0, 2) == 1);
    CHECK(!gr_failed(c) && isnan(gr_f1(m, 3)) && gr_status(c) == GR_EINDEX);
    gr_clear_error(c);
    CHECK(!gr_confusion_matrix(p, t, 2));
    CHECK_STR(gr_message(c), "gr_confusion_matrix: target 2 at position 5 is out of range for 2 classes. Fix: number the classes from 0");
    gr_clear_error(c);
    CHECK(!gr_confusion_matrix(p, ints(c, 5, 0), 2) && gr_status(c) == GR_ESHAPE);
    gr_clear_error(c);
    CHECK(isnan(gr_recall(t, 0)) && gr_status(c) == GR_ESHAPE);
    gr_ctx_free(c);
}

static void train_and_count(gr_ctx *c)
{
    GR_SCOPE(c);
    gr_tensor *x = gr_requires_grad(gr_ones(c, GR_SHAPE(4, 3))), *w = gr_ones(c, GR_SHAPE(3));
    gr_backward(gr_cross_entropy(x, one_ignored(c), .weight = w, .label_smoothing = 0.1));
    gr_backward(gr_nll_loss(gr_log_softmax(x, 1), classes(c)));
    gr_backward(gr_bce_loss(gr_sigmoid(x), gr_ones(c, GR_SHAPE(4, 3))));
    gr_backward(gr_bce_with_logits_loss(x, gr_ones(c, GR_SHAPE(4, 3)), .pos_weight = w));
    gr_backward(gr_huber_loss(x, gr_zeros(c, GR_SHAPE(4, 3))));
    gr_accuracy(x, classes(c));
    gr_binary_accuracy(x, x);
    gr_f1(gr_confusion_matrix(x, classes(c), 3), GR_MACRO);
}

TEST(losses_and_metrics_survive_the_failure_of_every_allocation) { CHECK(test_every_allocation(train_and_count) > 10); }
