/* The step list and its renderers: ledgers, order, lifetime, writes, escapes, and what may go wrong.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"
#include "ops/ops.h"
#include "teach/teach.h"
#include "tests/capture.h"
#include "tests/test.h"

/* ---- the ledger ------------------------------------------------------------------------------------------------*/
/* For every node of a pass: what came to it, added in order, is its gradient, and no contribution is missing. */
static void check_ledger(const gr_trace *t)
{
    size_t n;
    const gr_trace_step *s = gr_trace_steps(t, &n);
    for (int pass = 0; pass < gr_trace_num_passes(t); pass++) {
        const gr_trace_pass *p = gr_trace_pass_at(t, pass);
        for (int id = 1; id <= p->num_nodes; id++) {
            const gr_values *before = NULL;
            int seen = 0;
            for (size_t i = 0; i < n; i++) {
                if (s[i].pass != pass || s[i].node != id || s[i].kind != GR_STEP_ACCUMULATE) continue;
                CHECK(s[i].k == ++seen && s[i].n == p->nodes[id - 1].contributions && s[i].before == before);
                CHECK(s[i - 1].kind == GR_STEP_CONTRIBUTION || s[i - 1].kind == GR_STEP_UNBROADCAST);
                CHECK(s[i - 1].amount == s[i].amount && s[i - 1].node == id);
                for (int64_t k = 0; k < s[i].after->kept; k++)
                    CHECK_NEAR(s[i].after->v[k], (before ? before->v[k] : 0) + s[i].amount->v[k], 0);
                before = s[i].after;
            }
            CHECK(seen == p->nodes[id - 1].contributions);
            if (seen) CHECK(p->nodes[id - 1].grad == before);
        }
        for (size_t i = 0; i < n; i++) { /* upstream times local is what arrived */
            if (s[i].pass != pass || s[i].kind != GR_STEP_CONTRIBUTION || !s[i].local) continue;
            for (int64_t k = 0; k < s[i].amount->kept; k++) CHECK_NEAR(s[i].amount->v[k], s[i].upstream->v[k] * s[i].local->v[k], 1e-14);
        }
    }
}

static const char *const graphs[] = { "tanh(w*x+b)", "w*w", "a=w*x; b2=a+a; b2*a", "sum((M@M - w)^2)", "mean(max(M*w, 0.5)) + max(w,x)",
                                      "logsumexp(M*x) - min(M)", "sum(where(M > 2, M*w, M/x))", "sum(softmax(M*w)@M^T)", "prod(M)*b - (w+1)^x" };

static gr_tensor *graph(gr_ctx *c, int i, gr_binding *names)
{
    static const char *const name[] = { "w", "x", "b", "M" };
    for (int k = 0; k < 3; k++) names[k].value = gr_scalar(c, 1.5 - k * 0.7);
    names[3].value = gr_from(c, GR_SHAPE(2, 2), (double[]){ 1, 2, 3, 4 });
    for (int k = 0; k < 4; k++) {
        names[k].name = name[k];
        gr_requires_grad(gr_name(names[k].value, name[k]));
    }
    return gr_expression(c, graphs[i], names, 4);
}

TEST(the_ledger_of_every_node_sums_to_its_gradient)
{
    for (int i = 0; i < (int)(sizeof graphs / sizeof *graphs); i++) {
        gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
        gr_binding names[4];
        gr_trace *t = gr_trace_begin(c);
        CHECK(gr_backward(graph(c, i, names)));
        CHECK(gr_trace_end(t));
        check_ledger(t);
        const gr_trace_pass *p = gr_trace_pass_at(t, 0);
        for (int k = 0; k < 4; k++)
            for (int id = 1; id <= p->num_nodes; id++) {
                if (strcmp(p->nodes[id - 1].name, names[k].name) != 0) continue;
                const gr_tensor *g = gr_grad(names[k].value);
                CHECK(p->nodes[id - 1].grad && p->nodes[id - 1].grad->v[0] == ((double *)gr_data(g))[0]);
            }
        gr_ctx_free(c);
    }
}

TEST(recording_changes_no_bit_of_a_gradient)
{
    for (int i = 0; i < (int)(sizeof graphs / sizeof *graphs); i++) {
        gr_ctx *a = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 }), *b = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
        gr_binding with[4], without[4];
        gr_trace *t = gr_trace_begin(a);
        gr_backward(graph(a, i, with));
        gr_trace_end(t);
        gr_backward(graph(b, i, without));
        for (int k = 0; k < 4; k++) {
            const gr_tensor *g = gr_grad(with[k].value), *h = gr_grad(without[k].value);
            CHECK(!g == !h);
            if (g && h) CHECK(memcmp(gr_data(g), gr_data(h), (size_t)gr_numel(g) * sizeof(double)) == 0);
        }
        gr_ctx_free(a);
        gr_ctx_free(b);
    }
}

/* ---- order -----------------------------------------------------------------------------------------------------*/
/* (a b) + (c d), the products made in either order */
static char *two_products(bool left_first)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x[4], *product[2];
    gr_trace *t = gr_trace_begin(c);
    for (int i = 0; i < 4; i++) x[i] = gr_requires_grad(gr_scalar(c, i + 1));
    for (int i = 0; i < 2; i++) {
        int k = left_first ? i : 1 - i;
        product[k] = gr_mul(x[2 * k], x[2 * k + 1]);
    }
    gr_backward(gr_add(product[0], product[1]));
    gr_trace_end(t);
    char *text = rendered(t, gr_trace_json);
    gr_ctx_free(c);
    return text;
}

TEST(the_order_does_not_depend_on_the_order_of_creation)
{
    char *a = two_products(true), *b = two_products(false);
    CHECK_STR(a, b);
    free(a);
    free(b);
}

TEST(leaves_come_first_then_operations_then_numbers)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *w = gr_name(gr_requires_grad(gr_scalar(c, 2)), "w"), *x = gr_name(gr_scalar(c, 3), "x");
    gr_trace *t = gr_trace_begin(c);
    gr_backward(gr_add(gr_mul(w, 5), x));
    gr_trace_end(t);
    const gr_trace_pass *p = gr_trace_pass_at(t, 0);
    static const char *const name[] = { "w", "x", "v3", "v4", "5" };
    static const gr_node_kind kind[] = { GR_NODE_PARAMETER, GR_NODE_CONSTANT, GR_NODE_OPERATION, GR_NODE_OPERATION, GR_NODE_NUMBER };
    CHECK(p->num_nodes == 5 && p->root == 4);
    for (int i = 0; i < p->num_nodes && i < 5; i++) {
        CHECK_STR(p->nodes[i].name, name[i]);
        CHECK(p->nodes[i].kind == kind[i] && p->nodes[i].id == i + 1);
    }
    gr_ctx_free(c);
}

TEST(a_long_chain_is_recorded_without_recursion)
{
    int n = getenv("GRADUS_TEST_SMALL") ? 1000 : 50000;
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_requires_grad(gr_scalar(c, 0)), *y = x;
    for (int i = 0; i < n; i++) y = gr_add(y, x);
    gr_trace *t = gr_trace_begin(c);
    CHECK(gr_backward(y) && gr_trace_end(t));
    size_t steps;
    gr_trace_steps(t, &steps);
    CHECK(steps == (size_t)n + 1 + (size_t)n + 4 * (size_t)n); /* F; S; P; two contributions and sums each */
    CHECK(gr_trace_pass_at(t, 0)->nodes[0].contributions == n + 1);
    gr_ctx_free(c);
}

/* ---- lifetime --------------------------------------------------------------------------------------------------*/
TEST(a_trace_outlives_the_graphs_it_shows)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *w = gr_name(gr_requires_grad(gr_scalar(c, 2)), "w");
    gr_trace *t = gr_trace_begin(c);
    for (int i = 0; i < 3; i++) {
        GR_SCOPE(c);
        gr_tensor *loss = gr_name(gr_square(gr_mul(w, gr_name(gr_scalar(c, i + 1), "x"))), "loss");
        gr_backward(loss);
        gr_write(w, (double[]){ gr_item(w) - 0.125 * gr_item(gr_grad(w)) });
        gr_zero_grad(w);
    }
    CHECK(gr_trace_end(t) && gr_trace_num_passes(t) == 3);
    check_ledger(t);
    gr_tensor *noise = gr_rand(c, GR_SHAPE(100, 100)); /* reuses the memory of the graphs */
    CHECK(noise != NULL);
    char *text = rendered(t, gr_trace_text);
    CHECK(strstr(text, "w: 2 - 0.125 * 4 = 1.5") && strstr(text, "w: 1.5 - 0.125 * 12 = 0") && strstr(text, "pass 3"));
    CHECK(strstr(text, "loss") != NULL);
    free(text);
    gr_ctx_free(c);
}

TEST(a_trace_whose_scope_ends_stops_listening)
{
    gr_ctx *c = gr_ctx_new(NULL);
    {
        GR_SCOPE(c);
        CHECK(gr_trace_begin(c) != NULL);
        gr_backward(gr_square(gr_requires_grad(gr_scalar(c, 2))));
    }
    CHECK(c->observer == NULL);
    gr_tensor *x = gr_requires_grad(gr_scalar(c, 2));
    CHECK(gr_backward(gr_square(x)) && gr_item(gr_grad(x)) == 4);
    gr_trace *t = gr_trace_begin(c);
    CHECK(t != NULL && gr_trace_end(t) && gr_trace_end(t));
    CHECK(gr_trace_num_passes(t) == 0 && !gr_trace_pass_at(t, 0));
    gr_ctx_free(c);
}

TEST(one_trace_at_a_time_listens)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_trace *t = gr_trace_begin(c);
    CHECK(t && !gr_trace_begin(c));
    CHECK_STR(gr_message(c), "gr_trace_begin: another trace listens to this context. Fix: call gr_trace_end on it first");
    gr_clear_error(c);
    CHECK(gr_trace_end(t));
    CHECK(!gr_trace_begin(c, .max_elements = -1) && gr_status(c) == GR_EVALUE);
    CHECK(!gr_trace_begin(NULL) && !gr_trace_end(NULL) && !gr_trace_forward(NULL, NULL));
    gr_ctx_free(c);
}

TEST(a_sweep_that_fails_leaves_the_steps_until_then)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_requires_grad(gr_scalar(c, 2)), *h = gr_square(x);
    gr_trace *t = gr_trace_begin(c);
    gr_tensor *y = gr_tanh(h);
    gr_write(x, (double[]){ 3 });
    CHECK(!gr_backward(y) && gr_status(c) == GR_EGRAPH);
    CHECK(!gr_trace_end(t));
    char *text = rendered(t, gr_trace_text), *json = rendered(t, gr_trace_json);
    CHECK(strstr(text, "next: v3 = tanh(v2)") != NULL && strstr(json, "\"steps\"") != NULL);
    gr_clear_error(c);
    CHECK(gr_trace_begin(c) != NULL);
    free(text);
    free(json);
    gr_ctx_free(c);
}

/* ---- what the graph forgets ------------------------------------------------------------------------------------*/
TEST(a_forward_run_without_a_sweep_is_a_pass)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_trace *t = gr_trace_begin(c);
    {
        GR_NO_GRAD(c);
        gr_tensor *x = gr_name(gr_requires_grad(gr_scalar(c, 3)), "x");
        gr_add(gr_square(x), 1);
    }
    gr_trace_end(t);
    const gr_trace_pass *p = gr_trace_pass_at(t, 0);
    CHECK(p && !p->swept && p->num_nodes == 4 && p->nodes[p->root - 1].value->v[0] == 10);
    CHECK_STR(p ? p->nodes[1].op : "", "square");
    gr_ctx_free(c);
}

TEST(comparisons_are_shown_though_the_graph_forgets_them)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_name(gr_requires_grad(gr_scalar(c, 3)), "x");
    gr_trace *t = gr_trace_begin(c);
    {
        GR_SCOPE(c);
        gr_backward(gr_where(gr_gt(x, 1), gr_mul(x, 2), x));
    }
    gr_trace_end(t);
    const gr_trace_pass *p = gr_trace_pass_at(t, 0);
    bool found = false;
    for (int i = 0; i < p->num_nodes; i++) found = found || (strcmp(p->nodes[i].op, "gt") == 0 && p->nodes[i].inputs[0] == 1);
    CHECK(found);
    gr_ctx_free(c);
}

TEST(memory_that_was_reused_is_not_mistaken_for_what_stood_there)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *w = gr_requires_grad(gr_scalar(c, 3));
    gr_trace *t = gr_trace_begin(c);
    for (int i = 0; i < 4; i++) {
        GR_SCOPE(c);
        gr_tensor *k = i % 2 ? gr_square(gr_scalar(c, 2)) : gr_scalar(c, 4); /* a constant made, or given, at the same place */
        gr_tensor *other = i % 2 ? NULL : gr_scalar(c, 5);
        gr_backward(gr_mul(w, k));
        (void)other;
    }
    gr_trace_end(t);
    for (int i = 0; i < 4; i++) {
        const gr_trace_pass *p = gr_trace_pass_at(t, i);
        CHECK(p->num_nodes == (i % 2 ? 4 : 3));
        CHECK_STR(p->nodes[p->root - 1].op, "mul");
    }
    gr_ctx_free(c);
}

TEST(second_derivatives_are_recorded_like_first_ones)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    gr_tensor *x = gr_name(gr_requires_grad(gr_scalar(c, 0.5)), "x"), *dx = NULL;
    gr_trace *t = gr_trace_begin(c);
    gr_tensor *y = gr_tanh(x);
    CHECK(gr_grads(y, &x, 1, &dx, .create_graph = true) && gr_backward(dx));
    CHECK(gr_trace_end(t) && gr_trace_num_passes(t) == 2);
    check_ledger(t);
    double tanh_x = tanh(0.5);
    CHECK_NEAR(gr_item(gr_grad(x)), -2 * tanh_x * (1 - tanh_x * tanh_x), 1e-14);
    gr_ctx_free(c);
}

/* ---- writes ----------------------------------------------------------------------------------------------------*/
static const gr_trace_step *find(const gr_trace *t, gr_step_kind kind, int number)
{
    size_t n;
    const gr_trace_step *s = gr_trace_steps(t, &n);
    for (size_t i = 0; i < n; i++)
        if (s[i].kind == kind && number-- == 0) return &s[i];
    return NULL;
}

TEST(writes_to_parameters_are_updates)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *w = gr_name(gr_requires_grad(gr_from(c, GR_SHAPE(2), (float[]){ 1, -2 })), "w");
    gr_trace *t = gr_trace_begin(c);
    gr_backward(gr_sum(gr_square(w)));
    gr_write(w, (double[]){ 1 - 0.05 * 2, -2 + 0.05 * 4 }); /* a step of descent */
    gr_fill(gr_detach(w), 7);                              /* anything else, through a view */
    gr_touch(w, "nobody");
    gr_zero_grad(w);
    gr_trace_end(t);
    const gr_trace_step *first = find(t, GR_STEP_UPDATE, 0), *second = find(t, GR_STEP_UPDATE, 1);
    CHECK(first && second && find(t, GR_STEP_ZERO, 0));
    CHECK(first && first->rate == 0.05 && first->before->v[1] == -2 && first->amount->v[1] == -4);
    CHECK(second && isnan(second->rate) && second->before == first->after && second->after->v[0] == 7);
    char *text = rendered(t, gr_trace_text);
    CHECK(strstr(text, "w: [1, -2] - 0.05 * [2, -4] = [0.899999976, -1.79999995]") != NULL);
    CHECK(strstr(text, "-> [7, 7], gradient [2, -4] (gr_fill)") != NULL);
    CHECK(strstr(text, "gradients reset") != NULL);
    free(text);
    gr_ctx_free(c);
}

TEST(a_gradient_that_was_not_cleared_is_noted)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *w = gr_name(gr_requires_grad(gr_scalar(c, 3)), "w"), *dw;
    gr_trace *t = gr_trace_begin(c);
    gr_backward(gr_square(w));
    gr_backward(gr_square(w));
    gr_grads(gr_square(w), &w, 1, &dw); /* leaves .grad alone */
    gr_trace_end(t);
    CHECK(find(t, GR_STEP_NOTE, 0) && !find(t, GR_STEP_NOTE, 1));
    CHECK_STR(find(t, GR_STEP_NOTE, 0)->text, "the gradient of w was not cleared before this sweep: it held 6 and now holds 12");
    gr_ctx_free(c);
}

/* ---- text and JSON ---------------------------------------------------------------------------------------------*/
TEST(names_are_escaped_in_json)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_name(gr_requires_grad(gr_scalar(c, 1)), "q\"\\\n\x01</script>\xc3\xa9\xff\xed\xa0\x80.");
    gr_trace *t = gr_trace_begin(c);
    gr_backward(gr_square(x));
    gr_trace_end(t);
    char *json = rendered(t, gr_trace_json), *text = rendered(t, gr_trace_text);
    CHECK(strstr(json, "\"name\":\"q\\\"\\\\\\u000a\\u0001\\u003c/script>\xc3\xa9\\ufffd\\ufffd\\ufffd\\ufffd.\"") != NULL);
    CHECK(strstr(text, "dq\"\\?\?</script>\xc3\xa9") != NULL);
    free(json);
    free(text);
    gr_ctx_free(c);
}

TEST(not_a_number_and_infinities_are_strings_in_json)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_requires_grad(gr_from(c, GR_SHAPE(4), (float[]){ NAN, INFINITY, -INFINITY, -0.0f }));
    gr_trace *t = gr_trace_begin(c);
    gr_backward(gr_sum(x));
    gr_trace_end(t);
    char *json = rendered(t, gr_trace_json);
    CHECK(strstr(json, "\"data\":[\"nan\",\"inf\",\"-inf\",0]") != NULL);
    CHECK(strstr(json, "\"value\":\"nan\"") != NULL);
    free(json);
    gr_ctx_free(c);
}

TEST(long_tensors_are_summarised)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_requires_grad(gr_reshape(gr_arange(c, 0, 3000, 1), GR_SHAPE(30, 100)));
    gr_trace *t = gr_trace_begin(c, .max_elements = 4);
    gr_backward(gr_sum(gr_transpose(x, 0, 1)));
    gr_trace_end(t);
    const gr_values *v = gr_trace_pass_at(t, 0)->nodes[0].value, *turned = gr_trace_pass_at(t, 0)->nodes[1].value;
    CHECK(v->numel == 3000 && v->kept == 4 && v->v[3] == 3 && v->max == 2999 && v->mean == 1499.5 && v->zeros == 1);
    CHECK(turned->kept == 4 && turned->v[1] == 100 && turned->shape.v[0] == 100);
    char *json = rendered(t, gr_trace_json), *text = rendered(t, gr_trace_text);
    CHECK(strstr(json, "\"data\":[0,1,2,3],\"min\":0,\"max\":2999,\"mean\":1499.5,") != NULL);
    CHECK(strstr(text, "(30x100) from 0 to 2999, mean 1499.5") != NULL);
    free(json);
    free(text);
    gr_ctx_free(c);
}

TEST(empty_tensors_are_shown)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_trace *t = gr_trace_begin(c);
    gr_backward(gr_sum(gr_square(gr_requires_grad(gr_zeros(c, GR_SHAPE(0, 2))))));
    CHECK(gr_trace_end(t));
    char *text = rendered(t, gr_trace_text);
    CHECK(strstr(text, "(0x2)  []") != NULL);
    free(text);
    gr_ctx_free(c);
}

TEST(a_label_used_twice_is_told_apart)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *a = gr_name(gr_requires_grad(gr_scalar(c, 1)), "h"), *b = gr_name(gr_scalar(c, 2), "h");
    gr_trace *t = gr_trace_begin(c);
    gr_backward(gr_mul(a, b));
    gr_trace_end(t);
    CHECK_STR(gr_trace_pass_at(t, 0)->nodes[0].name, "h");
    CHECK_STR(gr_trace_pass_at(t, 0)->nodes[1].name, "h_2");
    gr_ctx_free(c);
}

static bool twice_forward(const gr_call *k, gr_tensor *y)
{
    ((float *)gr_data(y))[0] = 2 * ((float *)gr_data(k->in[0]))[0];
    return true;
}
static gr_tensor *twice_vjp(gr_tensor *y, gr_tensor *dy, int i) { return (void)y, (void)i, gr_mul(dy, 2); }

TEST(operations_of_users_are_shown_even_without_texts)
{
    static const gr_op twice = { .name = "twice", .arity = 1, .forward = twice_forward, .vjp = twice_vjp };
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_name(gr_requires_grad(gr_scalar(c, 1)), "x");
    gr_trace *t = gr_trace_begin(c);
    gr_backward(gr_apply(&twice, &x, 1, NULL));
    CHECK(gr_trace_end(t));
    char *text = rendered(t, gr_trace_text);
    CHECK(strstr(text, "next: v2 = twice(x).") && strstr(text, "dx += 2\n"));
    free(text);
    gr_ctx_free(c);
}

/* ---- memory ----------------------------------------------------------------------------------------------------*/
static void record_two_passes(gr_ctx *c)
{
    gr_binding names[4];
    gr_trace *t = gr_trace_begin(c, .max_elements = 3);
    for (int i = 0; i < 2; i++) {
        GR_SCOPE(c);
        gr_tensor *y = graph(c, 6, names);
        if (gr_backward(y)) gr_write(names[0].value, (double[]){ 1 });
        gr_zero_grad(names[0].value);
    }
    gr_trace_end(t);
    FILE *f = tmpfile();
    gr_trace_text(t, f);
    gr_trace_json(t, f);
    fclose(f);
}

TEST(every_allocation_of_a_trace_may_fail) { CHECK(test_every_allocation(record_two_passes) > 4); }

/* ---- source lines ----------------------------------------------------------------------------------------------*/
#include "teach/here.h"

TEST(operations_remember_their_lines_and_texts)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *w = gr_requires_grad(gr_scalar(c, 2)), *x = gr_from(c, GR_SHAPE(2), (float[]){ 1, 2 });
    GR_VAR(w);
    gr_trace *t = gr_trace_begin(c);
    const int line = __LINE__ + 3;
    {
        GR_SCOPE(c);
        gr_backward(gr_sum(gr_tanh(gr_mul(w, gr_reshape(x, GR_SHAPE(2)))), .dims = GR_DIMS(0)));
    }
    CHECK(gr_trace_end(t));
    const gr_trace_pass *p = gr_trace_pass_at(t, 0);
    const gr_trace_node *root = &p->nodes[p->root - 1], *y = &p->nodes[root->inputs[0] - 1], *product = &p->nodes[y->inputs[0] - 1];
    CHECK_STR(p->nodes[0].name, "w");
    CHECK_STR(root->code, "gr_sum(gr_tanh(gr_mul(w, gr_reshape(x, GR_SHAPE(2)))), .dims = GR_DIMS(0))");
    CHECK_STR(y->code, "gr_tanh(gr_mul(w, gr_reshape(x, GR_SHAPE(2))))");
    CHECK_STR(product->code, "gr_mul(w, gr_reshape(x, GR_SHAPE(2)))");
    CHECK(root->line == line && y->line == line && product->line == line && strstr(root->file, "test_teach.c"));
    char *text = rendered(t, gr_trace_text), *json = rendered(t, gr_trace_json);
    CHECK(strstr(text, "test_teach.c:") && strstr(json, "\"code\":\"gr_mul(w, gr_reshape(x, GR_SHAPE(2)))\""));
    free(text);
    free(json);
    gr_ctx_free(c);
}
