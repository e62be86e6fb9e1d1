/* Scopes, what leaves them, where the bytes come from, and what happens when there are none.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"
#include "ops/ops.h"
#include "tests/test.h"

static test_memory memory; /* of the context that counted() makes */

static gr_ctx *counted(void)
{
    memory = (test_memory){ 0 };
    static const gr_allocator a = { test_alloc, test_release, &memory };
    return gr_ctx_new(&(gr_ctx_opts){ .allocator = &a });
}

static void finish(gr_ctx *c)
{
    if (gr_failed(c)) test_errors++, printf("# %s\n", gr_message(c));
    gr_ctx_free(c);
    CHECK(memory.live == 0);
}

/* So that the system can give it pages of 2 MiB. */
TEST(a_large_block_begins_where_a_large_page_does)
{
    gr_ctx *c = gr_ctx_new(NULL);
    const gr_tensor *x = gr_zeros(c, GR_SHAPE(1 << 20)), *y = gr_zeros(c, GR_SHAPE(1 << 10));
    CHECK(((uintptr_t)x->data - GR_BLOCK_HEADER) % (1 << 21) == 0);
    CHECK((uintptr_t)y->data % 64 == 0);
    gr_ctx_free(c);
}

/* ---- leaving a scope -----------------------------------------------------------------------------------------------*/
static int returns_from_a_scope(gr_ctx *c)
{
    GR_SCOPE(c);
    GR_SCOPE(c);
    gr_ones(c, GR_SHAPE(100));
    return (int)c->depth;
}

TEST(a_scope_ends_at_the_end_of_its_block)
{
    gr_ctx *c = counted();
    {
        GR_SCOPE(c);
        CHECK(c->depth == 1);
    }
    CHECK(c->depth == 0);
    finish(c);
}

TEST(a_scope_ends_on_return)
{
    gr_ctx *c = counted();
    CHECK(returns_from_a_scope(c) == 2);
    CHECK(c->depth == 0);
    finish(c);
}

TEST(a_scope_ends_on_break_and_continue)
{
    gr_ctx *c = counted();
    for (int i = 0; i < 10; i++) {
        GR_SCOPE(c);
        CHECK(c->depth == 1);
        if (i == 3) continue;
        if (i == 7) break;
    }
    CHECK(c->depth == 0);
    finish(c);
}

TEST(a_scope_ends_on_goto)
{
    gr_ctx *c = counted();
    {
        GR_SCOPE(c);
        if (gr_ones(c, GR_SHAPE(3))) goto out;
        CHECK(false);
    }
out:
    CHECK(c->depth == 0);
    finish(c);
}

TEST(what_a_scope_held_is_used_again)
{
    gr_ctx *c = counted();
    for (int i = 0; i < 3; i++) {
        GR_SCOPE(c);
        gr_ones(c, GR_SHAPE(100, 100));
    }
    long count = memory.count;
    for (int i = 0; i < 100; i++) {
        GR_SCOPE(c);
        gr_ones(c, GR_SHAPE(100, 100));
    }
    CHECK(memory.count == count);
    finish(c);
}

TEST(ending_an_outer_scope_ends_the_inner_ones)
{
    gr_ctx *c = counted();
    gr_scope *outer = gr_scope_begin(c);
    gr_scope_begin(c);
    gr_scope *inner = gr_scope_begin(c);
    gr_ones(c, GR_SHAPE(100));
    gr_scope_end(outer);
    CHECK(c->depth == 0);
    gr_scope_end(inner);
    gr_scope_end(NULL);
    CHECK(c->depth == 0);
    finish(c);
}

TEST(freeing_a_context_ends_its_scopes)
{
    gr_ctx *c = counted();
    for (int i = 0; i < 200; i++) {
        gr_scope_begin(c);
        gr_ones(c, GR_SHAPE(100));
    }
    finish(c);
}

TEST(no_context_is_no_crash)
{
    CHECK(gr_scope_begin(NULL) == NULL);
    gr_ctx_free(NULL);
    CHECK(gr_failed(NULL));
    CHECK_STR(gr_message(NULL), "no context: gr_ctx_new found no memory");
    CHECK(gr_ones(NULL, GR_SHAPE(2)) == NULL);
    CHECK(gr_keep(NULL) == NULL);
}

/* ---- gr_keep -------------------------------------------------------------------------------------------------------*/
TEST(a_kept_tensor_has_its_values_after_the_scope)
{
    gr_ctx *c = counted();
    gr_tensor *kept[4];
    {
        GR_SCOPE(c);
        gr_tensor *x = gr_arange(c, 0, 6, 1);
        gr_tensor *one = gr_full(c, GR_SHAPE(1), 7);
        kept[0] = gr_keep(x);
        kept[1] = gr_keep(gr_reshape(x, GR_SHAPE(2, 3)));
        kept[2] = gr_keep(gr_reshape(one, GR_SHAPE())); /* a view of a value that lies in its node */
        kept[3] = gr_keep(gr_name(gr_zeros(c, GR_SHAPE(0, 4)), "nothing"));
    }
    for (int i = 0; i < 50; i++) gr_full(c, GR_SHAPE(6), -1); /* overwrites what was freed */
    CHECK(gr_at(kept[0], 5) == 5);
    CHECK(gr_at(kept[1], 1, 0) == 3);
    CHECK(gr_item(kept[2]) == 7);
    CHECK(gr_numel(kept[3]) == 0);
    CHECK_STR(gr_label(kept[3]), "nothing");
    finish(c);
}

TEST(a_kept_view_still_shares_memory_with_what_it_views)
{
    gr_ctx *c = counted();
    gr_tensor *x, *y, *one, *same;
    {
        GR_SCOPE(c);
        gr_tensor *a = gr_zeros(c, GR_SHAPE(4)), *b = gr_zeros(c, GR_SHAPE(1));
        y = gr_keep(gr_detach(a));
        x = gr_keep(a);
        same = gr_keep(gr_detach(b));
        one = gr_keep(b);
    }
    gr_fill(x, 3);
    gr_fill(one, 4);
    CHECK(gr_at(y, 2) == 3);
    CHECK(gr_item(same) == 4);
    finish(c);
}

TEST(what_already_lives_outside_is_kept_as_it_is)
{
    gr_ctx *c = counted();
    gr_tensor *outer = gr_ones(c, GR_SHAPE(2));
    CHECK(gr_keep(outer) == outer);
    {
        GR_SCOPE(c);
        CHECK(gr_keep(outer) == outer);
        gr_tensor *t = gr_ones(c, GR_SHAPE(2)), *k = gr_keep(t);
        CHECK(k != t);
        CHECK(gr_keep(k) == k);
    }
    finish(c);
}

TEST(keeping_twice_gives_the_same_tensor)
{
    gr_ctx *c = counted();
    {
        GR_SCOPE(c);
        gr_tensor *t = gr_ones(c, GR_SHAPE(2));
        gr_tensor *first = gr_keep(t);
        for (int i = 0; i < 40; i++) gr_keep(gr_ones(c, GR_SHAPE(2)));
        CHECK(gr_keep(t) == first);
    }
    finish(c);
}

TEST(a_kept_tensor_keeps_its_history_and_gradients_flow_through_it)
{
    gr_ctx *c = counted();
    gr_tensor *w = gr_requires_grad(gr_from(c, GR_SHAPE(3), (float[]){ 1, 2, 3 })), *y;
    {
        GR_SCOPE(c);
        gr_tensor *x = gr_from(c, GR_SHAPE(3), (float[]){ 4, 5, 6 });
        y = gr_keep(gr_sum(gr_square(gr_mul(gr_reshape(w, GR_SHAPE(1, 3)), x))));
    }
    for (int i = 0; i < 50; i++) gr_full(c, GR_SHAPE(3), -1);
    CHECK(gr_backward(y));
    CHECK(gr_at(gr_grad(w), 0) == 2 * 1 * 16);
    CHECK(gr_at(gr_grad(w), 2) == 2 * 3 * 36);
    finish(c);
}

TEST(a_leaf_that_was_kept_gets_the_gradients_of_what_was_kept_with_it)
{
    gr_ctx *c = counted();
    gr_tensor *w, *y, *z;
    {
        GR_SCOPE(c);
        gr_tensor *inner = gr_requires_grad(gr_from(c, GR_SHAPE(2), (float[]){ 3, 5 }));
        y = gr_keep(gr_sum(gr_square(inner)));
        w = gr_keep(inner);
        z = gr_keep(gr_sum(gr_mul(inner, 10)));
    }
    CHECK(gr_backward(gr_add(y, z)));
    CHECK(gr_at(gr_grad(w), 0) == 16);
    CHECK(gr_at(gr_grad(w), 1) == 20);
    finish(c);
}

TEST(keeping_works_through_nested_scopes)
{
    gr_ctx *c = counted();
    gr_tensor *w = gr_requires_grad(gr_full(c, GR_SHAPE(5), 2)), *y;
    {
        GR_SCOPE(c);
        gr_tensor *middle = gr_mul(w, 3), *z;
        {
            GR_SCOPE(c);
            {
                GR_SCOPE(c);
                z = gr_keep(gr_mul(middle, w));
            }
            z = gr_keep(gr_sum(z));
        }
        CHECK(gr_item(z) == 60);
        y = gr_keep(z);
    }
    CHECK(gr_backward(y));
    CHECK(gr_at(gr_grad(w), 4) == 12);
    finish(c);
}

TEST(a_kept_leaf_keeps_its_gradient)
{
    gr_ctx *c = counted();
    gr_tensor *w;
    {
        GR_SCOPE(c);
        gr_tensor *inner = gr_requires_grad(gr_ones(c, GR_SHAPE(40)));
        gr_backward(gr_sum(gr_mul(inner, 3)));
        w = gr_keep(inner);
    }
    for (int i = 0; i < 50; i++) gr_full(c, GR_SHAPE(40), -1);
    CHECK(gr_at(gr_grad(w), 39) == 3);
    gr_backward(gr_sum(gr_mul(w, 2)));
    CHECK(gr_at(gr_grad(w), 39) == 5);
    finish(c);
}

TEST(a_leaf_that_was_kept_with_a_cleared_gradient_leaks_nothing)
{
    gr_ctx *c = counted();
    {
        GR_SCOPE(c);
        gr_tensor *w;
        {
            GR_SCOPE(c);
            gr_tensor *inner = gr_requires_grad(gr_ones(c, GR_SHAPE(40)));
            gr_backward(gr_sum(gr_mul(inner, 3)));
            gr_zero_grad(inner);
            w = gr_keep(inner);
        }
        CHECK(gr_grad(w) == NULL);
        gr_backward(gr_sum(gr_mul(w, 2)));
        CHECK(gr_at(gr_grad(w), 39) == 2);
    }
    finish(c);
}

TEST(a_long_history_is_kept_without_recursion)
{
    gr_ctx *c = counted();
    const int n = getenv("GRADUS_TEST_SMALL") ? 2000 : 100000;
    gr_tensor *w = gr_requires_grad(gr_scalar(c, 1)), *y;
    {
        GR_SCOPE(c);
        gr_tensor *t = w;
        for (int i = 0; i < n; i++) t = gr_add(t, 1);
        y = gr_keep(t);
    }
    CHECK(gr_item(y) == n + 1);
    CHECK(gr_backward(y));
    CHECK(gr_item(gr_grad(w)) == 1);
    finish(c);
}

TEST(a_keep_that_found_no_memory_can_be_repeated)
{
    for (long n = 1; n < 12; n++) {
        gr_ctx *c = counted();
        gr_tensor *w = gr_requires_grad(gr_ones(c, GR_SHAPE(3))), *y = NULL;
        {
            GR_SCOPE(c);
            gr_tensor *t = w;
            for (int i = 0; i < 2000; i++) t = gr_mul(t, 1);
            memory.fail_at = memory.count + n;
            y = gr_keep(t);
            memory.fail_at = 0;
            CHECK(!!y == !gr_failed(c));
            gr_clear_error(c);
            y = gr_keep(t);
        }
        for (int i = 0; i < 2000; i++) gr_full(c, GR_SHAPE(3), -1);
        CHECK(gr_backward(gr_sum(y)));
        CHECK(gr_grad(w) && gr_at(gr_grad(w), 2) == 1);
        finish(c);
    }
}

/* ---- steady training ------------------------------------------------------------------------------------------------*/
static void train_step(gr_ctx *c, gr_tensor *x, gr_tensor *w, gr_tensor *v)
{
    GR_SCOPE(c);
    gr_tensor *loss = gr_mean(gr_square(gr_matmul(gr_tanh(gr_matmul(x, w)), v)));
    gr_backward(loss);
    gr_tensor *list[] = { w, v };
    for (int i = 0; i < 2; i++) {
        GR_NO_GRAD(c);
        gr_copy_to(list[i], gr_sub(list[i], gr_mul(gr_grad(list[i]), 0.01)));
        gr_zero_grad(list[i]);
    }
}

TEST(no_memory_is_asked_for_after_the_first_training_step)
{
    gr_ctx *c = counted();
    gr_tensor *x = gr_randn(c, GR_SHAPE(32, 20));
    gr_tensor *w = gr_requires_grad(gr_randn(c, GR_SHAPE(20, 30))), *v = gr_requires_grad(gr_randn(c, GR_SHAPE(30, 2)));
    train_step(c, x, w, v);
    long count = memory.count;
    gr_stats before = gr_ctx_stats(c);
    for (int i = 0; i < 20; i++) train_step(c, x, w, v);
    CHECK(memory.count == count);
    CHECK(gr_ctx_stats(c).bytes_now == before.bytes_now);
    CHECK(gr_ctx_stats(c).nodes > before.nodes);
    finish(c);
}

TEST(statistics_count_what_the_allocator_gave)
{
    gr_ctx *c = counted();
    gr_ones(c, GR_SHAPE(1000, 1000));
    gr_stats s = gr_ctx_stats(c);
    CHECK(s.allocations == (size_t)memory.count);
    CHECK(s.bytes_now >= 4000000 && s.bytes_peak >= s.bytes_now && s.nodes == 1);
    finish(c);
}

/* ---- limits ---------------------------------------------------------------------------------------------------------*/
TEST(a_limit_is_an_error_that_says_how_to_go_on)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .max_bytes = 1 << 20 });
    CHECK(gr_ones(c, GR_SHAPE(1000)) != NULL);
    size_t used = gr_ctx_stats(c).bytes_now;
    CHECK(gr_ones(c, GR_SHAPE(1 << 20)) == NULL);
    CHECK(gr_status(c) == GR_ENOMEM);
    char text[256];
    snprintf(text, sizeof text, "out of memory: 4194368 more bytes would pass the context's limit of 1048576 (%zu in use). "
             "Fix: raise max_bytes, or free more often with GR_SCOPE", used);
    CHECK_STR(gr_message(c), text);
    gr_clear_error(c);
    CHECK(gr_ones(c, GR_SHAPE(1000)) != NULL);
    CHECK(gr_ctx_stats(c).bytes_peak <= 1 << 20);
    gr_ctx_free(c);
}

TEST(below_a_limit_freed_blocks_of_another_size_are_given_back)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .max_bytes = 1 << 20 });
    for (int n = 1000; n < 200000; n += 10000) {
        GR_SCOPE(c);
        CHECK(gr_ones(c, GR_SHAPE(n)) != NULL);
    }
    CHECK(!gr_failed(c));
    gr_ctx_free(c);
}

TEST(a_refusal_of_the_system_is_an_error)
{
    gr_ctx *c = counted();
    size_t used = gr_ctx_stats(c).bytes_now;
    memory.fail_at = memory.count + 1, memory.for_ever = true;
    CHECK(gr_ones(c, GR_SHAPE(2)) == NULL);
    char text[256];
    snprintf(text, sizeof text, "out of memory: the system refused 65536 bytes (%zu in use). "
             "Fix: free more often with GR_SCOPE, or use smaller tensors", used);
    CHECK_STR(gr_message(c), text);
    memory.fail_at = 0;
    gr_clear_error(c);
    CHECK(gr_ones(c, GR_SHAPE(2)) != NULL);
    finish(c);
}

TEST(a_node_larger_than_a_chunk_gets_one_of_its_own)
{
    gr_ctx *c = counted();
    enum { N = 100000 };
    char *label = malloc(N + 1);
    memset(label, 'x', N);
    label[N] = '\0';
    {
        GR_SCOPE(c);
        gr_tensor *t = gr_name(gr_ones(c, GR_SHAPE(2)), label);
        CHECK(strlen(gr_label(t)) == N);
        gr_tensor *k = gr_keep(t);
        CHECK(strcmp(gr_label(k), label) == 0);
    }
    free(label);
    finish(c);
}

/* ---- every allocation fails once, and from then on --------------------------------------------------------------------*/
static void make_keep_and_differentiate(gr_ctx *c)
{
    gr_tensor *w = gr_requires_grad(gr_name(gr_ones(c, GR_SHAPE(40, 30)), "w")), *y;
    gr_tensor *x = gr_randn(c, GR_SHAPE(7, 40));
    {
        GR_SCOPE(c);
        gr_tensor *h = gr_tanh(gr_matmul(x, w));
        y = gr_keep(gr_mean(gr_square(gr_sub(h, gr_sum(h, .dims = GR_DIMS(1), .keepdim = true)))));
    }
    gr_backward(y, .retain_graph = true);
    gr_tensor *g = NULL;
    gr_grads(y, &w, 1, &g, .create_graph = true);
    gr_tensor *h = gr_sum(gr_square(g));
    gr_backward(h);
    for (int i = 0; i < 100; i++) gr_scope_begin(c);
    gr_softmax(gr_cat((gr_tensor *[]){ x, x }, 2, 0), 1);
}

TEST(every_allocation_may_fail)
{
    long points = test_every_allocation(make_keep_and_differentiate);
    printf("# %ld allocations failed\n", points);
    CHECK(points > 20);
}

TEST(a_limit_may_strike_anywhere)
{
    for (size_t limit = 4000; limit < 600000; limit += 1777) {
        gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .max_bytes = limit });
        if (c) make_keep_and_differentiate(c);
        CHECK(!c || !gr_failed(c) || gr_status(c) == GR_ENOMEM);
        gr_ctx_free(c);
    }
}

/* ---- lean sweeps ---------------------------------------------------------------------------------------------------*/
static size_t peak_of_a_deep_net(bool lean, double *dw)
{
    gr_ctx *c = counted();
    c->defer_from = INT64_MAX;
    gr_tensor *w = gr_requires_grad(gr_rand(c, GR_SHAPE(64, 64)));
    {
        GR_SCOPE(c);
        gr_tensor *h = gr_rand(c, GR_SHAPE(64, 64));
        for (int i = 0; i < 10; i++) h = gr_tanh(gr_matmul(h, w));
        gr_backward(gr_sum(h), .lean = lean);
    }
    gr_read(gr_grad(w), dw);
    size_t peak = gr_ctx_stats(c).bytes_peak;
    finish(c);
    return peak;
}

TEST(a_lean_sweep_needs_no_more_memory_than_the_forward_pass)
{
    static double dw[2][64 * 64];
    size_t plain = peak_of_a_deep_net(false, dw[0]), lean = peak_of_a_deep_net(true, dw[1]);
    CHECK(lean + 2 * 64 * 64 * sizeof(float) <= plain);
    CHECK(memcmp(dw[0], dw[1], sizeof dw[0]) == 0);
}

TEST(what_a_lean_sweep_gave_back_says_so_and_what_is_kept_stays)
{
    gr_ctx *c = counted();
    gr_tensor *x = gr_requires_grad(gr_ones(c, GR_SHAPE(3))), *outer = gr_mul(x, 2);
    {
        GR_SCOPE(c);
        gr_tensor *gone = gr_exp(outer), *kept = gr_retain_grad(gr_mul(gone, 3)), *loss = gr_sum(gr_square(kept));
        gr_name(gone, "gone");
        gr_backward(loss, .lean = true);
        CHECK(gr_item(loss) > 0 && gr_at(kept, 1) > 0 && gr_at(outer, 0) == 2 && gr_at(gr_grad(kept), 0) > 0);
        CHECK(isnan(gr_at(gone, 0)));
        CHECK_STR(gr_message(c), "\"gone\" [3] has no values any more: gr_backward with .lean gave the memory of exp's result back. "
                                 "Fix: read it before the sweep, call gr_retain_grad on it, or leave .lean out");
        gr_clear_error(c);
        CHECK(!gr_add(gone, 1) && gr_status(c) == GR_EGRAPH);
        gr_clear_error(c);
    }
    finish(c);
}
