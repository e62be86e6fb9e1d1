/* Modules, layers and initialisers: names, modes, state, refusals, and the program of the README.
 * SPDX-License-Identifier: MIT */
#include "nn/nn.h"
#include "optim/optim.h"
#include "tests/test.h"

static gr_ctx *f64(void) { return gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 }); }
static gr_module *small(gr_ctx *c) { return gr_sequential(c, gr_linear(c, 2, 8), gr_activation(c, gr_tanh), gr_linear(c, 8, 1)); }

/* ---- training --------------------------------------------------------------------------------------------------*/
static gr_tensor *huber(gr_tensor *p, gr_tensor *t, double delta)
{
    gr_tensor *e = gr_abs(gr_sub(p, t));
    return gr_mean(gr_where(gr_le(e, delta), gr_mul(gr_square(e), 0.5), gr_mul(gr_sub(e, delta / 2), delta)));
}

TEST(the_program_of_the_readme_learns_xor_and_allocates_nothing_after_the_first_step)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_from(c, GR_SHAPE(4, 2), (float[]){ 0, 0, 0, 1, 1, 0, 1, 1 });
    gr_tensor *t = gr_from(c, GR_SHAPE(4, 1), (float[]){ 0, 1, 1, 0 });
    gr_module *net = small(c);
    gr_optim *opt = gr_adam(c, gr_parameters(net), .lr = 0.05);
    double last = 1;
    size_t allocations = 0;
    for (int step = 0; step < 500; step++) {
        GR_SCOPE(c);
        gr_tensor *loss = huber(gr_forward(net, x), t, 1.0);
        gr_backward(loss);
        gr_step(opt);
        last = gr_item(loss);
        if (step == 0) allocations = gr_ctx_stats(c).allocations;
    }
    CHECK(last < 1e-4);
    CHECK(gr_ctx_stats(c).allocations == allocations);
    CHECK_STR(gr_message(c), "");
    gr_ctx_free(c);
}

TEST(own_and_library_huber_agree)
{
    gr_ctx *c = f64();
    gr_tensor *p = gr_mul(gr_randn(c, GR_SHAPE(50)), 3), *t = gr_randn(c, GR_SHAPE(50));
    CHECK_NEAR(gr_item(huber(p, t, 0.7)), gr_item(gr_huber_loss(p, t, .delta = 0.7)), 1e-15);
    gr_ctx_free(c);
}

/* ---- layers ----------------------------------------------------------------------------------------------------*/
TEST(linear_computes_x_weight_plus_bias)
{
    gr_ctx *c = f64();
    gr_module *m = gr_linear(c, 2, 3);
    gr_write(gr_module_get(m, "weight"), (double[]){ 1, 2, 3, 4, 5, 6 });
    gr_write(gr_module_get(m, "bias"), (double[]){ 0.5, -1, 0 });
    gr_tensor *y = gr_forward(m, gr_from(c, GR_SHAPE(1, 2), (double[]){ 10, 1 }));
    CHECK(gr_at(y, 0, 0) == 14.5 && gr_at(y, 0, 1) == 24 && gr_at(y, 0, 2) == 36);
    CHECK(!gr_module_get(gr_linear(c, 2, 3, .no_bias = true), "bias"));
    CHECK(gr_dtype(gr_module_get(gr_linear(c, 2, 3, .dtype = GR_F32), "bias")) == GR_F32);
    CHECK(!gr_failed(c));
    CHECK(!gr_forward(m, gr_ones(c, GR_SHAPE(4, 3))));
    CHECK_STR(gr_message(c), "matmul([4, 3], \"weight\" [2, 3]): the inner sizes differ: a has 3 columns, b has 2 rows. Fix: transpose b: gr_transpose(b, -2, -1)");
    gr_ctx_free(c);
}

TEST(linear_starts_within_1_over_the_root_of_its_inputs)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_module *m = gr_linear(c, 100, 50);
    gr_params p = gr_parameters(m);
    for (int i = 0; i < p.n; i++) {
        double high = gr_item(gr_max(p.tensors[i], .keepdim = false)), low = gr_item(gr_min(p.tensors[i], .keepdim = false));
        CHECK(high <= 0.1 && low >= -0.1 && high > 0.09 && low < -0.08);
    }
    gr_module *z = gr_linear(c, 3, 3, .init = gr_init_ones, .bias_init = gr_init_zeros);
    CHECK(gr_at(gr_module_get(z, "weight"), 2, 2) == 1 && gr_at(gr_module_get(z, "bias"), 1) == 0);
    CHECK(gr_linear(c, 0, 3) && !gr_failed(c));
    CHECK(!gr_linear(c, -1, 3));
    CHECK_STR(gr_message(c), "linear: sizes -1 -> 3 are negative. Fix: give the number of inputs, then of outputs");
    gr_ctx_free(c);
}

TEST(the_same_seed_gives_the_same_weights)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_seed(c, 4);
    gr_tensor *a = gr_find_parameter(small(c), "2.weight");
    gr_seed(c, 4);
    gr_tensor *b = gr_find_parameter(small(c), "2.weight");
    for (int i = 0; i < 8; i++) CHECK(gr_at(a, i, 0) == gr_at(b, i, 0));
    gr_ctx_free(c);
}

TEST(dropout_keeps_the_mean_and_scales_what_stays)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_requires_grad(gr_ones(c, GR_SHAPE(100, 100))), *y = gr_dropout(x, 0.25);
    double mean = gr_item(gr_mean(y, .keepdim = false));
    CHECK(mean > 0.98 && mean < 1.02); /* std 0.006 */
    gr_backward(gr_sum(y, .keepdim = false));
    for (int i = 0; i < 100; i++) {
        double v = gr_at(y, i, i);
        CHECK(v == 0 || v == (double)(float)(1 / 0.75));
        CHECK(gr_at(gr_grad(x), i, i) == v);
    }
    CHECK(gr_at(gr_dropout(x, 0.5), 0, 0) >= 0 && gr_dropout(x, 0) == x);
    CHECK(!gr_dropout(x, 1.5));
    CHECK_STR(gr_message(c), "dropout: 1.5 is no probability. Fix: give the share of elements to drop, in [0, 1]");
    gr_clear_error(c);
    CHECK(!gr_dropout_layer(c, (double)NAN) && gr_status(c) == GR_EVALUE);
    gr_ctx_free(c);
}

TEST(dropout_of_everything_is_0_with_gradient_0_even_for_infinite_inputs)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_requires_grad(gr_from(c, GR_SHAPE(3), (float[]){ 1, INFINITY, (float)NAN })), *y = gr_dropout(x, 1);
    gr_backward(gr_sum(y, .keepdim = false));
    for (int i = 0; i < 3; i++) CHECK(gr_at(y, i) == 0 && gr_at(gr_grad(x), i) == 0);
    gr_ctx_free(c);
}

TEST(train_and_eval_reach_every_module)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_module *drop = gr_dropout_layer(c, 0.5), *net = gr_sequential(c, small(c), gr_sequential(c, drop));
    gr_tensor *x = gr_ones(c, GR_SHAPE(8, 2));
    CHECK(gr_is_training(drop));
    gr_eval(net);
    CHECK(!gr_is_training(drop));
    CHECK(gr_at(gr_forward(net, x), 3, 0) == gr_at(gr_forward(net, x), 3, 0));
    gr_train(net);
    CHECK(gr_is_training(drop));
    gr_train(NULL);
    gr_ctx_free(c);
}

static gr_tensor *negated(gr_tensor *x) { return gr_neg(x); }
TEST(an_activation_keeps_the_name_of_its_function)
{
    gr_ctx *c = gr_ctx_new(NULL);
    char words[40];
    gr_module *a = gr_activation(c, gr_tanh), *b = gr_activation(c, negated);
    gr_layer_activation.describe(a, words, sizeof words);
    CHECK_STR(words, "tanh");
    gr_layer_activation.describe(b, words, sizeof words);
    CHECK_STR(words, "negated");
    CHECK(gr_item(gr_forward(b, gr_scalar(c, 2))) == -2);
    CHECK(!gr_activation_named(c, NULL, "none"));
    CHECK_STR(gr_message(c), "activation: the function is NULL. Fix: pass one, such as gr_tanh");
    gr_ctx_free(c);
}

/* ---- names and lists -------------------------------------------------------------------------------------------*/
TEST(parameters_have_dotted_paths_and_carry_them_as_labels)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_module *net = gr_sequential(c, gr_linear(c, 2, 8), gr_sequential(c, gr_activation(c, gr_relu), gr_linear(c, 8, 1)));
    gr_params p = gr_parameters(net);
    static const char *const want[] = { "0.weight", "0.bias", "1.1.weight", "1.1.bias" };
    CHECK(p.n == 4 && p.ctx == c);
    for (int i = 0; i < p.n; i++) {
        CHECK_STR(p.names[i], want[i]);
        CHECK_STR(gr_label(p.tensors[i]), want[i]);
        CHECK(gr_find_parameter(net, want[i]) == p.tensors[i]);
    }
    CHECK(gr_num_parameters(net) == 33);
    CHECK(!gr_find_parameter(net, "weight"));
    CHECK_STR(gr_message(c), "gr_find_parameter: sequential has no \"weight\"; it has 0.weight, 0.bias, 1.1.weight, 1.1.bias. Fix: use one of these names");
    gr_ctx_free(c);
}

TEST(shared_weights_are_listed_once_and_get_the_sum_of_both_gradients)
{
    gr_ctx *c = f64();
    gr_module *twice = gr_linear(c, 2, 2, .no_bias = true), *net = gr_sequential(c, twice, twice);
    CHECK(gr_parameters(net).n == 1 && gr_num_parameters(net) == 4);
    CHECK_STR(gr_parameters(net).names[0], "0.weight");
    gr_tensor *w = gr_module_get(twice, "weight"), *x = gr_eye(c, 2), *g = NULL;
    gr_tensor *other = gr_sum(gr_matmul(gr_matmul(x, w), w), .keepdim = false);
    gr_backward(gr_sum(gr_forward(net, x), .keepdim = false));
    CHECK(gr_grads(other, &w, 1, &g));
    for (int i = 0; i < 4; i++) CHECK(gr_at(gr_grad(w), i / 2, i % 2) == gr_at(g, i / 2, i % 2));
    gr_module *tied = gr_linear(c, 2, 2, .no_bias = true), *user = gr_linear(c, 1, 1, .no_bias = true);
    gr_module_param(user, "tied", gr_module_get(tied, "weight"));
    CHECK(gr_parameters(gr_sequential(c, tied, user)).n == 2 && !gr_failed(c));
    gr_ctx_free(c);
}

TEST(the_summary_lists_every_module)
{
    gr_ctx *c = gr_ctx_new(NULL);
    char text[1024], cut[20];
    gr_module *net = small(c);
    gr_freeze(gr_module_child_at(net, 2));
    gr_forward(net, gr_ones(c, GR_SHAPE(4, 2)));
    int n = gr_module_summary(net, text, sizeof text);
    CHECK_STR(text, "module                                   output             parameters\n"
                    "sequential                               [4, 1]                      0\n"
                    "  0 linear 2 -> 8                        [4, 8]                     24\n"
                    "  1 activation tanh                      [4, 8]                      0\n"
                    "  2 linear 8 -> 1                        [4, 1]                      9\n"
                    "33 parameters, 24 of them trained, 132 bytes\n");
    CHECK(n == (int)strlen(text) && gr_module_summary(net, cut, sizeof cut) == n && strncmp(text, cut, 19) == 0 && cut[19] == '\0');
    CHECK(gr_module_summary(net, NULL, 0) == n);
    gr_module_summary(NULL, text, sizeof text);
    CHECK_STR(text, "(no module)\n");
    gr_ctx_free(c);
}

/* ---- custom layers ---------------------------------------------------------------------------------------------*/
static gr_tensor *scale_forward(gr_module *m, gr_tensor *x) { return gr_mul(x, gr_module_get(m, "gain")); }
static bool scale_make(gr_module *m)
{
    gr_module_buffer(m, "count", gr_zeros(gr_module_ctx(m), GR_SHAPE(), .dtype = GR_I64));
    return gr_module_param(m, "gain", gr_full(gr_module_ctx(m), GR_SHAPE(1), *(const double *)gr_module_attr(m)));
}
static const gr_layer scale = { .name = "scale", .formula = "y = gain x", .attr_size = sizeof(double), .make = scale_make, .forward = scale_forward };

TEST(a_layer_of_ones_own_is_a_record)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_module *m = gr_module_new(c, &scale, &(double){ 3 }), *net = gr_sequential(c, m, gr_activation(c, gr_relu));
    CHECK(gr_item(gr_forward(net, gr_scalar(c, 2))) == 6);
    CHECK(gr_parameters(net).n == 1 && gr_state(net).n == 2);
    CHECK_STR(gr_state(net).names[0], "0.count");
    CHECK(gr_module_layer(m) == &scale && gr_module_child_at(net, 0) == m && gr_module_num_children(net) == 2);
    CHECK_STR(gr_module_child_name(net, 1), "1");
    CHECK(!gr_module_child_at(net, 2) && !gr_module_child_name(net, -1) && !gr_layer_find("scale") && !gr_layer_at(-1) && !gr_layer_find(NULL));
    CHECK(!gr_needs_grad(gr_module_get(m, "count")) && gr_needs_grad(gr_module_get(m, "gain")));
    CHECK(!gr_failed(c));
    gr_ctx_free(c);
}

static gr_tensor *nothing(gr_module *m, gr_tensor *x) { return (void)m, (void)x, (gr_tensor *)NULL; }
static bool fails(gr_module *m) { return (void)m, false; }

static void said(gr_ctx *c, gr_code code, const char *message)
{
    CHECK(gr_status(c) == code);
    CHECK_STR(gr_message(c), message);
    gr_clear_error(c);
}

TEST(modules_refuse_what_cannot_work_and_say_why)
{
    static const gr_layer mute = { .name = "mute", .forward = nothing }, broken = { .name = "broken", .forward = nothing, .make = fails },
                          empty = { .name = "empty" };
    gr_ctx *c = gr_ctx_new(NULL), *d = gr_ctx_new(NULL);
    gr_module *m = gr_module_new(c, &mute, NULL), *other = gr_module_new(c, &mute, NULL);
    gr_tensor *w = gr_name(gr_requires_grad(gr_ones(c, GR_SHAPE(2))), "w");
    CHECK(!gr_forward(m, w));
    said(c, GR_EVALUE, "mute: its forward gave no tensor. Fix: return the result, or call gr_fail");
    CHECK(!gr_module_new(c, &broken, NULL));
    said(c, GR_EVALUE, "broken: its make failed without a reason. Fix: call gr_fail in it");
    CHECK(!gr_module_new(c, &empty, NULL));
    said(c, GR_EVALUE, "gr_module_new: the record of empty has no forward. Fix: give name, forward and the attributes that attr_size announces");
    CHECK(!gr_module_param(m, "w", NULL));
    said(c, GR_EVALUE, "mute: parameter \"w\" is NULL. Fix: pass a tensor");
    CHECK(!gr_module_param(m, "w", gr_tanh(w)));
    said(c, GR_EGRAPH, "mute: parameter \"w\", [2], was made by tanh; only a leaf can be one. Fix: add the leaf it was made from, or compute it under GR_NO_GRAD");
    CHECK(!gr_module_param(m, "n", gr_zeros(c, GR_SHAPE(2), .dtype = GR_I64)) && gr_status(c) == GR_EDTYPE);
    gr_clear_error(c);
    CHECK(gr_module_param(m, "w", w) == w && gr_module_child(m, "child", other) == other);
    CHECK(!gr_module_buffer(m, "w", w));
    said(c, GR_EVALUE, "mute: the name \"w\" is taken by a parameter or buffer. Fix: use another name");
    CHECK(!gr_module_param(m, "child", w));
    said(c, GR_EVALUE, "mute: the name \"child\" is taken by a child. Fix: use another name");
    CHECK(!gr_module_param(m, "a.b", w));
    said(c, GR_EVALUE, "mute: the name \"a.b\" has a dot, which separates the parts of a path. Fix: use another name");
    CHECK(!gr_module_param(m, "", w));
    said(c, GR_EVALUE, "mute: the name \"\" is empty. Fix: use another name");
    CHECK(!gr_module_child(m, "again", NULL));
    said(c, GR_EVALUE, "mute: child \"again\" is NULL. Fix: pass a module made beside this one");
    CHECK(!gr_module_child(other, "parent", m));
    said(c, GR_EVALUE, "mute: child \"parent\" contains the module itself. Fix: pass a module made beside this one");
    CHECK(!gr_module_child(m, "far", gr_module_new(d, &mute, NULL)));
    said(c, GR_EVALUE, "mute: child \"far\" belongs to another context. Fix: pass a module made beside this one");
    {
        GR_SCOPE(c);
        CHECK(!gr_module_child(m, "short", gr_module_new(c, &mute, NULL)));
        said(c, GR_EVALUE, "mute: child \"short\" lives in an inner scope and would be freed before the module. Fix: pass a module made beside this one");
        CHECK(!gr_module_param(m, "short", gr_ones(c, GR_SHAPE(1))));
        said(c, GR_EGRAPH, "mute: parameter \"short\", [1], lives in an inner scope and would be freed before the module. Fix: make it beside the module");
    }
    CHECK(!gr_forward(m, gr_ones(d, GR_SHAPE(1))));
    said(c, GR_EVALUE, "gr_forward: the module mute and its input belong to different contexts. Fix: make both in one context");
    CHECK(!gr_forward(NULL, w));
    said(c, GR_EVALUE, "gr_forward: the module is NULL. Fix: check what made it");
    CHECK(!gr_forward(m, NULL));
    said(c, GR_EVALUE, "gr_forward: the input is NULL. Fix: check what made it");
    gr_ctx_free(c);
    gr_ctx_free(d);
}

TEST(after_an_error_the_whole_network_is_null_and_the_first_message_stands)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_module *net = gr_sequential(c, gr_linear(c, 2, 8), gr_dropout_layer(c, 7), gr_linear(c, 8, 1));
    gr_optim *opt = gr_adam(c, gr_parameters(net), .lr = 0.05);
    CHECK(!net && !opt && !gr_forward(net, NULL) && !gr_step(opt) && gr_num_parameters(net) == 0);
    CHECK_STR(gr_message(c), "dropout: 7 is no probability. Fix: give the share of elements to drop, in [0, 1]");
    gr_ctx_free(c);
}

TEST(paths_end_at_256_characters)
{
    gr_ctx *c = gr_ctx_new(NULL);
    char name[256];
    memset(name, 'a', 255);
    name[255] = '\0';
    gr_module *m = gr_sequential(c, gr_linear(c, 1, 1)), *leaf = gr_linear(c, 1, 1);
    CHECK(gr_module_child(m, name, leaf) == leaf); /* the path of leaf would be "aaa...a." */
    CHECK(gr_parameters(m).n == 0 && gr_status(c) == GR_EVALUE);
    CHECK(strstr(gr_message(c), "makes a path of 256 characters or more. Fix: use shorter names"));
    gr_ctx_free(c);
}

TEST(modules_nest_64_deep_and_no_deeper)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_module *m = gr_linear(c, 1, 1);
    for (int i = 0; i < 64; i++) m = gr_sequential(c, m);
    CHECK(m && gr_parameters(m).n == 2 && !gr_failed(c));
    CHECK(!gr_sequential(c, gr_sequential(c, m)));
    CHECK(strncmp(gr_message(c), "linear: modules are nested deeper than 64 at \"0.0.", 50) == 0);
    gr_ctx_free(c);
}

/* ---- state -----------------------------------------------------------------------------------------------------*/
TEST(loading_a_state_is_all_or_nothing)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_module *a = small(c), *b = gr_sequential(c, gr_linear(c, 2, 8), gr_activation(c, gr_tanh), gr_linear(c, 8, 2)), *bare = gr_sequential(c, gr_linear(c, 2, 8, .no_bias = true));
    double before = gr_at(gr_find_parameter(b, "0.weight"), 0, 0);
    CHECK(!gr_load_state(b, gr_state(a)));
    said(c, GR_ESHAPE, "gr_load_state: \"2.weight\" is [8, 1] in the list, [8, 2] in the module. Fix: load into the architecture that was saved");
    CHECK(gr_at(gr_find_parameter(b, "0.weight"), 0, 0) == before);
    CHECK(!gr_load_state(a, gr_state(bare)));
    said(c, GR_EVALUE, "gr_load_state: \"0.bias\" of the module is not in the list, which has 0.weight. Fix: save gr_state of the same architecture");
    CHECK(!gr_load_state(bare, gr_state(a)));
    said(c, GR_EVALUE, "gr_load_state: the list has \"0.bias\", which the module has not. Fix: load into the architecture that was saved");
    gr_module *twin = small(c);
    CHECK(gr_load_state(twin, gr_state(a)));
    CHECK(gr_at(gr_find_parameter(twin, "2.weight"), 3, 0) == gr_at(gr_find_parameter(a, "2.weight"), 3, 0));
    CHECK(gr_needs_grad(gr_find_parameter(twin, "2.weight")));
    CHECK(!gr_load_state(a, (gr_params){ .ctx = c }) && gr_failed(c));
    gr_ctx_free(c);
}

static int asked[2];
static bool product_forward(const gr_call *k, gr_tensor *y)
{
    const double *a = gr_data(k->in[0]), *b = gr_data(k->in[1]);
    for (int64_t i = 0; i < gr_numel(y); i++) ((double *)gr_data(y))[i] = a[i] * b[i];
    return true;
}
static gr_tensor *product_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    asked[i]++;
    return gr_mul(dy, gr_input(y, 1 - i));
}

TEST(what_was_frozen_after_a_sweep_is_asked_for_no_gradient)
{
    gr_ctx *c = f64();
    const gr_op op = { .name = "product", .arity = 2, .forward = product_forward, .vjp = product_vjp };
    gr_module *net = gr_linear(c, 1, 2);
    gr_tensor *x = gr_requires_grad(gr_ones(c, GR_SHAPE(2))), *bias = gr_find_parameter(net, "bias");
    for (int frozen = 0; frozen < 2; frozen++) {
        asked[0] = asked[1] = 0;
        CHECK(gr_backward(gr_sum(gr_apply(&op, (gr_tensor *[]){ x, bias }, 2, NULL))));
        CHECK(asked[0] == 1 && asked[1] == !frozen);
        CHECK((gr_grad(bias) != NULL) == !frozen);
        gr_freeze(net);
    }
    gr_ctx_free(c);
}

TEST(frozen_parameters_get_no_gradient_and_are_not_listed)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_module *net = small(c);
    gr_tensor *x = gr_ones(c, GR_SHAPE(4, 2));
    gr_backward(gr_sum(gr_forward(net, x), .keepdim = false));
    gr_freeze(gr_module_child_at(net, 0));
    gr_tensor *w = gr_find_parameter(net, "0.weight");
    CHECK(!gr_grad(w) && gr_parameters(net).n == 2 && gr_state(net).n == 4 && gr_num_parameters(net) == 33);
    gr_backward(gr_sum(gr_forward(net, x), .keepdim = false));
    CHECK(!gr_grad(w) && gr_grad(gr_find_parameter(net, "2.weight")));
    gr_unfreeze(net);
    CHECK(gr_parameters(net).n == 4);
    gr_freeze(net);
    CHECK(gr_parameters(net).n == 0 && !gr_adam(c, gr_parameters(net), .lr = 0.1));
    said(c, GR_EVALUE, "adam: the list of parameters is empty. Fix: pass gr_parameters of a module that has some, not all frozen");
    gr_ctx_free(c);
}

TEST(a_forward_pass_with_other_parameters_can_be_differentiated_twice)
{
    gr_ctx *c = f64();
    gr_module *net = gr_linear(c, 1, 1, .no_bias = true);
    gr_tensor *w = gr_requires_grad(gr_full(c, GR_SHAPE(1, 1), 3)), *x = gr_full(c, GR_SHAPE(1, 1), 2), *g = NULL, *gg = NULL;
    gr_tensor *v = gr_square(w); /* not a leaf: y = x w^2 */
    gr_tensor *y = gr_sum(gr_forward_using(net, &v, 1, x), .keepdim = false);
    CHECK(gr_item(y) == 18);
    CHECK(gr_grads(y, &w, 1, &g, .create_graph = true) && gr_item(g) == 12);
    CHECK(gr_grads(gr_sum(g, .keepdim = false), &w, 1, &gg) && gr_item(gg) == 4);
    CHECK(gr_module_get(net, "weight") != v && !gr_op_of(gr_module_get(net, "weight")));
    CHECK(!gr_forward_using(net, &v, 0, x));
    CHECK_STR(gr_message(c), "gr_forward_using: got 0 tensors for the 1 parameters of linear. Fix: give one for each of gr_parameters");
    gr_ctx_free(c);
}

/* ---- initialisers ----------------------------------------------------------------------------------------------*/
static void moments(gr_tensor *t, double *mean, double *std, double *top)
{
    *mean = gr_item(gr_mean(t, .keepdim = false));
    *std = sqrt(gr_item(gr_mean(gr_square(gr_sub(t, *mean)), .keepdim = false)));
    *top = gr_item(gr_max(gr_abs(t), .keepdim = false));
}

TEST(initialisers_have_the_variance_of_their_fans)
{
    const double fi = 300, fo = 100;
    const struct {
        gr_init_fn f;
        double std;
        bool uniform;
    } want[] = { { gr_init_xavier_uniform, sqrt(2 / (fi + fo)), true }, { gr_init_xavier_normal, sqrt(2 / (fi + fo)), false },
                 { gr_init_he_uniform, sqrt(2 / fi), true },            { gr_init_he_normal, sqrt(2 / fi), false },
                 { gr_init_fan_in_uniform, 1 / sqrt(3 * fi), true } };
    for (int i = 0; i < 5; i++) {
        gr_ctx *c = f64();
        gr_tensor *t = gr_requires_grad(gr_zeros(c, GR_SHAPE(300, 100)));
        double mean, std, top;
        CHECK(want[i].f(t) == t && gr_needs_grad(t) && !gr_op_of(t));
        moments(t, &mean, &std, &top);
        CHECK(fabs(mean) < 4 * want[i].std / sqrt(fi * fo)); /* four standard errors */
        CHECK_NEAR(std / want[i].std, 1, 0.02);
        CHECK(want[i].uniform ? top <= want[i].std * sqrt(3) * (1 + 1e-15) && top > want[i].std * sqrt(3) * 0.99 : top > 3 * want[i].std);
        gr_ctx_free(c);
    }
}

TEST(fans_of_a_convolution_count_its_taps)
{
    gr_ctx *c = gr_ctx_new(NULL);
    CHECK(gr_fan_in(gr_zeros(c, GR_SHAPE(8, 3, 5, 5))) == 75 && gr_fan_out(gr_zeros(c, GR_SHAPE(8, 3, 5, 5))) == 200);
    CHECK(gr_fan_in(gr_zeros(c, GR_SHAPE(2, 7))) == 2 && gr_fan_out(gr_zeros(c, GR_SHAPE(2, 7))) == 7);
    CHECK(!gr_init_he_normal(gr_zeros(c, GR_SHAPE(4))));
    said(c, GR_ESHAPE, "gr_fan_in([4]): fans need two dimensions or more, inputs and outputs. Fix: initialise a bias with gr_init_zeros or gr_init_uniform");
    CHECK(gr_fan_out(gr_zeros(c, GR_SHAPE())) == -1);
    gr_ctx_free(c);
}

TEST(initialisers_take_bounds_and_refuse_nonsense)
{
    gr_ctx *c = gr_ctx_new(NULL);
    double mean, std, top;
    moments(gr_init_uniform(gr_zeros(c, GR_SHAPE(100, 100)), -3, 1), &mean, &std, &top);
    CHECK(fabs(mean + 1) < 0.05 && fabs(std - 4 / sqrt(12)) < 0.02 && top <= 3);
    moments(gr_init_normal(gr_zeros(c, GR_SHAPE(100, 100)), 5, 0.5), &mean, &std, &top);
    CHECK(fabs(mean - 5) < 0.02 && fabs(std - 0.5) < 0.02);
    CHECK(gr_at(gr_init_constant(gr_zeros(c, GR_SHAPE(2)), 7), 1) == 7);
    gr_tensor *turned = gr_permute(gr_zeros(c, GR_SHAPE(2, 3)), GR_DIMS(1, 0));
    CHECK(gr_init_ones(turned) && gr_at(turned, 2, 1) == 1 && gr_init_he_normal(turned));
    CHECK(!gr_init_uniform(gr_zeros(c, GR_SHAPE(2), .dtype = GR_I64), 0, 1));
    said(c, GR_EDTYPE, "gr_init_uniform: the tensor is i64. Fix: initialise an f32 or f64 tensor");
    CHECK(!gr_init_normal(gr_zeros(c, GR_SHAPE(2)), 0, (double)NAN));
    said(c, GR_EVALUE, "gr_init_normal: the bounds are not finite. Fix: pass finite numbers");
    CHECK(!gr_init_ones(NULL) && !gr_failed(c));
    gr_ctx_free(c);
}

/* ---- memory ----------------------------------------------------------------------------------------------------*/
static void train_twice(gr_ctx *c)
{
    gr_module *net = small(c);
    gr_optim *opt = gr_adam(c, gr_parameters(net), .lr = 0.05);
    for (int i = 0; i < 2; i++) {
        GR_SCOPE(c);
        gr_backward(gr_mse_loss(gr_forward(net, gr_ones(c, GR_SHAPE(4, 2))), gr_zeros(c, GR_SHAPE(4, 1))));
        gr_clip_grad_norm(gr_parameters(net), 1);
        gr_step(opt);
    }
    gr_freeze(net);
    gr_find_parameter(net, "0.weight");
}

TEST(training_survives_the_failure_of_every_allocation) { CHECK(test_every_allocation(train_twice) > 10); }
