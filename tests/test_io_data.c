/* Data sets: splits, batches, standardising, one-hot, synthetic points.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"
#include "io/io.h"
#include "tests/test.h"

static gr_ctx *ctx;
static void fresh(void)
{
    gr_ctx_free(ctx);
    ctx = gr_ctx_new(NULL);
}
#define END gr_ctx_free(ctx), ctx = NULL

/* x[i] = (10 i, 10 i + 1), y[i] = i % classes */
static gr_dataset counted(gr_ctx *c, int64_t n, int64_t classes)
{
    gr_dataset d = { gr_zeros(c, GR_SHAPE(n, 2)), gr_zeros(c, GR_SHAPE(n), .dtype = GR_I64) };
    for (int64_t i = 0; d.x && d.y && i < n; i++) {
        ((float *)gr_data(d.x))[2 * i] = (float)(10 * i);
        ((float *)gr_data(d.x))[2 * i + 1] = (float)(10 * i + 1);
        ((int64_t *)gr_data(d.y))[i] = i % classes;
    }
    return d;
}

/* Adds to seen[i] for each example, and checks that x still stands beside its y. */
static void mark(gr_dataset d, int *seen, int64_t classes)
{
    for (int64_t i = 0; i < gr_size(d.x, 0); i++) {
        int64_t who = (int64_t)gr_at(d.x, i, 0) / 10;
        seen[who]++;
        CHECK(gr_at(d.x, i, 1) == (double)(10 * who + 1) && gr_at(d.y, i) == (double)(who % classes));
    }
}

static gr_tensor *transposed(gr_tensor *t)
{
    int64_t dim[2] = { t->dims[1], t->dims[0] }, stride[2] = { gr__stride(t)[1], gr__stride(t)[0] };
    gr_scope *s = gr__scope_now(t->ctx);
    gr_tensor *r = gr__node(t->ctx, s, gr_dtype(t), 2, dim, 0, 0);
    gr__share_memory(s, r, t, 0, stride);
    return r;
}

/* ---- splits ----------------------------------------------------------------------------------------------------*/
TEST(split_gives_each_example_to_one_part)
{
    int seen[103] = { 0 };
    fresh();
    gr_split s = gr_dataset_split(ctx, counted(ctx, 103, 7));
    CHECK(gr_size(s.train.x, 0) == 82 && gr_size(s.valid.x, 0) == 11 && gr_size(s.test.x, 0) == 10); /* 82.4, 92.7, 103 */
    mark(s.train, seen, 7), mark(s.valid, seen, 7), mark(s.test, seen, 7);
    for (int i = 0; i < 103; i++) CHECK(seen[i] == 1);
    END;
}

TEST(split_is_shuffled_by_its_seed_or_the_contexts_stream)
{
    fresh();
    gr_dataset d = counted(ctx, 50, 5);
    gr_split a = gr_dataset_split(ctx, d, .seed = 3), b = gr_dataset_split(ctx, d, .seed = 3), e = gr_dataset_split(ctx, d, .seed = 4);
    CHECK(memcmp(gr_data(a.train.x), gr_data(b.train.x), 40 * 8) == 0 && memcmp(gr_data(a.train.x), gr_data(e.train.x), 40 * 8) != 0);
    gr_split f = gr_dataset_split(ctx, d), g = gr_dataset_split(ctx, d);
    CHECK(memcmp(gr_data(f.train.x), gr_data(g.train.x), 40 * 8) != 0);
    gr_seed(ctx, 0); /* a seed of its own leaves the stream alone */
    gr_dataset_split(ctx, d, .seed = 9);
    gr_split h = gr_dataset_split(ctx, d);
    CHECK(memcmp(gr_data(f.train.x), gr_data(h.train.x), 40 * 8) == 0);
    END;
}

TEST(split_in_order_keeps_the_order)
{
    fresh();
    gr_split s = gr_dataset_split(ctx, counted(ctx, 10, 2), .test = 0.3, .in_order = true);
    CHECK(gr_size(s.train.x, 0) == 7 && gr_size(s.valid.x, 0) == 0 && gr_size(s.test.x, 0) == 3);
    CHECK(gr_at(s.train.x, 6, 0) == 60 && gr_at(s.test.x, 0, 0) == 70);
    s = gr_dataset_split(ctx, counted(ctx, 10, 2), .train = 0.5, .test = 0.2, .in_order = true); /* the rest is left out */
    CHECK(gr_size(s.train.x, 0) == 5 && gr_size(s.test.x, 0) == 2);
    s = gr_dataset_split(ctx, gr_dataset_of(gr_arange(ctx, 0, 10, 1), NULL));
    CHECK(gr_size(s.train.x, 0) == 8 && !s.train.y && gr_size(s.test.x, 0) == 1);
    END;
}

TEST(split_stratified_gives_each_class_its_share)
{
    int seen[100] = { 0 };
    fresh();
    gr_dataset d = counted(ctx, 100, 4);
    gr_split s = gr_dataset_split(ctx, d, .train = 0.6, .valid = 0.2, .test = 0.2, .stratify = true);
    mark(s.train, seen, 4), mark(s.valid, seen, 4), mark(s.test, seen, 4);
    for (int i = 0; i < 100; i++) CHECK(seen[i] == 1);
    for (int k = 0; k < 4; k++) {
        int train = 0, valid = 0;
        for (int64_t i = 0; i < 60; i++) train += gr_at(s.train.y, i) == k;
        for (int64_t i = 0; i < 20; i++) valid += gr_at(s.valid.y, i) == k;
        CHECK(train == 15 && valid == 5);
    }
    END;
}

TEST(split_refuses_what_makes_no_sense)
{
    fresh();
    gr_dataset d = counted(ctx, 10, 2);
    CHECK(!gr_dataset_split(ctx, d, .train = 0.8, .test = 0.3).train.x && gr_status(ctx) == GR_EVALUE);
    CHECK_STR(gr_message(ctx), "gr_dataset_split: the fractions 0.8, 0 and 0.3 are no parts of a whole. Fix: use 0 or more, together at most 1");
    fresh();
    d = gr_dataset_of(gr_zeros(ctx, GR_SHAPE(3, 2)), gr_zeros(ctx, GR_SHAPE(4)));
    gr_dataset_split(ctx, d);
    CHECK_STR(gr_message(ctx), "gr_dataset_split([3, 2], [4]): dimension 0 must count the same examples in both. Fix: make x [n, ...] and y [n, ...] or NULL");
    fresh();
    d = gr_dataset_of(gr_zeros(ctx, GR_SHAPE(3, 2)), gr_zeros(ctx, GR_SHAPE(3)));
    gr_dataset_split(ctx, d, .stratify = true);
    CHECK_STR(gr_message(ctx), "gr_dataset_split(y [3]): .stratify needs labels, i64 [n]. Fix: pass them as y");
    fresh();
    d = gr_dataset_of(gr_zeros(ctx, GR_SHAPE(3, 2)), gr_from(ctx, GR_SHAPE(3), (int[]){ 0, -1, 2 }));
    gr_dataset_split(ctx, d, .stratify = true);
    CHECK_STR(gr_message(ctx), "gr_dataset_split(y i64 [3]): label -1 of example 1 is no class number. Fix: number the classes from 0");
    fresh();
    gr_dataset_split(ctx, gr_dataset_of(NULL, NULL));
    CHECK_STR(gr_message(ctx), "gr_dataset_split: x is NULL. Fix: pass a tensor [n, ...]");
    fresh();
    gr_ctx *other = gr_ctx_new(NULL);
    gr_dataset_split(ctx, counted(other, 3, 2));
    CHECK_STR(gr_message(ctx), "gr_dataset_split: the data belong to another context. Fix: pass the context they were made in");
    gr_ctx_free(other);
    END;
}

TEST(rows_are_copied_in_the_order_of_the_index)
{
    fresh();
    gr_dataset d = counted(ctx, 10, 3);
    gr_dataset r = gr_dataset_rows(ctx, d, gr_from(ctx, GR_SHAPE(3), (int[]){ 9, 0, 9 }));
    CHECK(gr_at(r.x, 0, 0) == 90 && gr_at(r.x, 1, 1) == 1 && gr_at(r.y, 2) == 0);
    gr_dataset t = gr_dataset_rows(ctx, gr_dataset_of(transposed(d.x), NULL), gr_from(ctx, GR_SHAPE(1), (int[]){ 1 }));
    CHECK(gr_size(t.x, 0) == 1 && gr_size(t.x, 1) == 10 && gr_at(t.x, 0, 3) == 31);
    CHECK(gr_numel(gr_dataset_rows(ctx, d, gr_zeros(ctx, GR_SHAPE(0), .dtype = GR_I64)).x) == 0);
    CHECK(!gr_dataset_rows(ctx, d, gr_from(ctx, GR_SHAPE(2), (int[]){ 0, 10 })).x && gr_status(ctx) == GR_EINDEX);
    CHECK_STR(gr_message(ctx), "gr_dataset_rows(index i64 [2]): element 1 is 10. Fix: use 0 to 9");
    fresh();
    d = counted(ctx, 10, 3);
    CHECK(!gr_dataset_rows(ctx, d, d.x).x && gr_status(ctx) == GR_EDTYPE);
    CHECK(!gr_dataset_rows(ctx, d, NULL).x);
    END;
}

/* ---- batches ---------------------------------------------------------------------------------------------------*/
TEST(batches_visit_each_example_once)
{
    for (int shuffle = 0; shuffle < 2; shuffle++) {
        int seen[50] = { 0 }, sizes = 0;
        fresh();
        gr_dataset d = counted(ctx, 50, 5);
        for (gr_batches it = gr_batches_begin(ctx, d, .batch = 16, .shuffle = shuffle); gr_batch_more(&it);) {
            GR_SCOPE(ctx);
            gr_dataset b = gr_batch_take(&it);
            mark(b, seen, 5);
            CHECK(it.count == 4 && gr_size(b.x, 0) == (it.index == 3 ? 2 : 16) && gr_ndim(b.x) == 2 && gr_dtype(b.y) == GR_I64);
            sizes++;
        }
        CHECK(sizes == 4);
        for (int i = 0; i < 50; i++) CHECK(seen[i] == 1);
    }
    END;
}

TEST(batches_may_drop_the_last)
{
    fresh();
    int n = 0;
    for (gr_batches it = gr_batches_begin(ctx, counted(ctx, 50, 5), .batch = 16, .drop_last = true); gr_batch_more(&it); n++) {
        GR_SCOPE(ctx);
        CHECK(it.count == 3 && gr_size(gr_batch_take(&it).x, 0) == 16);
    }
    CHECK(n == 3);
    gr_batches it = gr_batches_begin(ctx, counted(ctx, 5, 5), .drop_last = true);
    CHECK(!gr_batch_more(&it) && !gr_batch_take(&it).x && !gr_batch_more(NULL));
    END;
}

TEST(batches_without_labels_and_of_any_dtype)
{
    fresh();
    gr_tensor *x = gr_ones(ctx, GR_SHAPE(5, 2, 3), .dtype = GR_BOOL);
    gr_batches it = gr_batches_begin(ctx, gr_dataset_of(x, NULL), .batch = 2);
    gr_dataset b = gr_batch_take(&it);
    CHECK(gr_dtype(b.x) == GR_BOOL && gr_ndim(b.x) == 3 && gr_size(b.x, 0) == 2 && !b.y && gr_at(b.x, 1, 1, 2) == 1);
    it = gr_batches_begin(ctx, gr_dataset_of(transposed(counted(ctx, 4, 2).x), NULL), .batch = 1);
    b = gr_batch_take(&it);
    CHECK(gr_at(b.x, 0, 3) == 30 && gr_is_contiguous(b.x));
    END;
}

TEST(batches_are_new_in_each_round_and_the_same_for_a_seed)
{
    double first[3];
    fresh();
    for (int round = 0; round < 3; round++) {
        if (round != 1) gr_seed(ctx, 5);
        gr_batches it = gr_batches_begin(ctx, counted(ctx, 1000, 2), .shuffle = true);
        gr_dataset b = gr_batch_take(&it);
        first[round] = gr_at(b.x, 0, 0) + 1e5 * gr_at(b.x, 1, 0);
    }
    CHECK(first[0] == first[2] && first[0] != first[1]);
    END;
}

TEST(batches_take_no_memory_from_the_second_round_on)
{
    fresh();
    gr_dataset d = counted(ctx, 1000, 2);
    size_t allocations = 0;
    for (int round = 0; round < 20; round++) {
        for (gr_batches it = gr_batches_begin(ctx, d, .batch = 64, .shuffle = true); gr_batch_more(&it);) {
            GR_SCOPE(ctx);
            gr_batch_take(&it);
        }
        if (round == 0) allocations = gr_ctx_stats(ctx).allocations;
    }
    CHECK(gr_ctx_stats(ctx).allocations == allocations);
    END;
}

TEST(batches_end_when_a_call_fails)
{
    fresh();
    int n = 0;
    for (gr_batches it = gr_batches_begin(ctx, counted(ctx, 50, 5), .batch = 10); gr_batch_more(&it); n++) {
        GR_SCOPE(ctx);
        gr_batch_take(&it);
        if (n == 1) gr_fail(ctx, GR_EVALUE, "stop");
    }
    CHECK(n == 2);
    fresh();
    gr_batches it = gr_batches_begin(ctx, counted(ctx, 5, 5), .batch = -1);
    CHECK(!gr_batch_more(&it));
    CHECK_STR(gr_message(ctx), "gr_batches_begin: .batch is -1. Fix: use 1 or more");
    END;
}

/* ---- features --------------------------------------------------------------------------------------------------*/
TEST(standardised_features_have_mean_0_and_deviation_1)
{
    fresh();
    gr_tensor *x = gr_from(ctx, GR_SHAPE(4, 3), (float[]){ 1, 5, 0.1f, 2, 5, 0.1f, 3, 5, 0.1f, 4, 5, 0.1f });
    gr_scaling s = gr_standardize_fit(x);
    CHECK(gr_ndim(s.mean) == 1 && gr_size(s.mean, 0) == 3 && gr_at(s.mean, 0) == 2.5 && gr_at(s.std, 1) == 1 && gr_at(s.std, 2) == 1);
    CHECK_NEAR(gr_at(s.std, 0), sqrt(1.25), 1e-7);
    gr_tensor *z = gr_standardize(x, s);
    CHECK_NEAR(gr_at(z, 3, 0), 1.5 / sqrt(1.25), 1e-6);
    CHECK(gr_at(z, 0, 1) == 0 && gr_at(z, 3, 2) == 0);
    gr_tensor *t = gr_standardize(gr_full(ctx, GR_SHAPE(2, 3), 5, .dtype = GR_F64), s); /* others, of any number and float */
    CHECK(gr_size(t, 0) == 2 && gr_dtype(t) == GR_F64 && gr_at(t, 0, 1) == 0);
    CHECK(gr_numel(gr_standardize(gr_zeros(ctx, GR_SHAPE(0, 3)), s)) == 0);
    gr_scaling v = gr_standardize_fit(transposed(x));
    CHECK(gr_size(v.mean, 0) == 4 && gr_size(gr_standardize(transposed(x), v), 0) == 3);
    CHECK_STR(gr_message(ctx), "");
    END;
}

TEST(standardising_says_what_does_not_fit)
{
    fresh();
    gr_scaling s = gr_standardize_fit(gr_ones(ctx, GR_SHAPE(4, 3)));
    CHECK(!gr_standardize(gr_ones(ctx, GR_SHAPE(4, 2)), s));
    CHECK_STR(gr_message(ctx), "gr_standardize([4, 2], mean [3]): the features differ. Fix: fit on data of the same features");
    fresh();
    CHECK(!gr_standardize_fit(gr_zeros(ctx, GR_SHAPE(0, 3))).mean && gr_status(ctx) == GR_ESHAPE);
    fresh();
    CHECK(!gr_standardize_fit(gr_zeros(ctx, GR_SHAPE(2, 3), .dtype = GR_I64)).mean);
    CHECK_STR(gr_message(ctx), "gr_standardize_fit(i64 [2, 3]): needs floats. Fix: convert it with gr_astype(x, GR_F32)");
    fresh();
    CHECK(!gr_standardize_fit(gr_ones(ctx, GR_SHAPE())).mean && gr_status(ctx) == GR_ESHAPE);
    fresh();
    gr_tensor *whole = gr_ones(ctx, GR_SHAPE(3), .dtype = GR_I64);
    CHECK(!gr_standardize(gr_ones(ctx, GR_SHAPE(4, 3)), (gr_scaling){ whole, whole }) && gr_status(ctx) == GR_EDTYPE);
    CHECK(!gr_standardize(NULL, s) && !gr_standardize_fit(NULL).mean && !gr_standardize(whole, (gr_scaling){ 0 }));
    END;
}

TEST(one_hot_has_one_in_the_place_of_the_label)
{
    static const gr_type types[] = { GR_F32, GR_F64, GR_I64, GR_BOOL };
    for (int i = 0; i < 4; i++) {
        gr_ctx_free(ctx);
        ctx = gr_ctx_new(&(gr_ctx_opts){ .dtype = types[i] });
        gr_tensor *y = gr_one_hot(gr_from(ctx, GR_SHAPE(2, 2), (int[]){ 0, 2, 1, 0 }), 3);
        double v[12];
        CHECK(gr_ndim(y) == 3 && gr_size(y, 2) == 3 && gr_dtype(y) == types[i] && gr_read(y, v));
        CHECK(v[0] + v[5] + v[7] + v[9] == 4 && v[1] + v[2] + v[3] + v[4] + v[6] + v[8] + v[10] + v[11] == 0);
    }
    gr_one_hot(gr_from(ctx, GR_SHAPE(3), (int[]){ 0, 1, 3 }), 3);
    CHECK(gr_status(ctx) == GR_EINDEX);
    CHECK_STR(gr_message(ctx), "gr_one_hot: label 3 of element 2 is no class. Fix: use 0 to 2");
    fresh();
    gr_one_hot(gr_ones(ctx, GR_SHAPE(3)), 3);
    CHECK_STR(gr_message(ctx), "gr_one_hot([3]): labels are i64. Fix: convert them with gr_astype(x, GR_I64)");
    fresh();
    gr_one_hot(gr_zeros(ctx, GR_SHAPE(3), .dtype = GR_I64), 0);
    CHECK_STR(gr_message(ctx), "gr_one_hot(i64 [3]): 0 classes. Fix: use 1 or more");
    fresh();
    CHECK(!gr_one_hot(gr_zeros(ctx, GR_SHAPE(1, 1, 1, 1, 1, 1, 1, 1), .dtype = GR_I64), 2) && gr_status(ctx) == GR_ESHAPE);
    CHECK(!gr_one_hot(NULL, 2));
    END;
}

/* ---- synthetic data ----------------------------------------------------------------------------------------------*/
TEST(spiral_has_three_arms_that_turn)
{
    fresh();
    gr_dataset d = gr_make_spiral(ctx, 100, .noise = -1);
    CHECK(gr_size(d.x, 0) == 300 && gr_size(d.x, 1) == 2 && gr_at(d.y, 0) == 0 && gr_at(d.y, 299) == 2);
    CHECK(gr_at(d.x, 0, 0) == 0 && gr_at(d.x, 100, 1) == 0);
    CHECK_NEAR(gr_at(d.x, 99, 0), sin(4), 1e-6);
    CHECK_NEAR(gr_at(d.x, 299, 1), cos(12), 1e-6);
    double r = 50.0 / 99;
    CHECK_NEAR(gr_at(d.x, 150, 0), r * sin(4 + 4 * r), 1e-6);
    gr_dataset e = gr_make_spiral(ctx, 100);
    for (int64_t i = 0; i < 300; i++) CHECK_NEAR(hypot(gr_at(e.x, i, 0), gr_at(e.x, i, 1)), (double)(i % 100) / 99, 1e-6); /* noise turns only */
    CHECK(gr_at(e.x, 50, 0) != gr_at(d.x, 50, 0));
    CHECK(gr_size(gr_make_spiral(ctx, 1, .classes = 5).x, 0) == 5);
    END;
}

TEST(xor_moons_circles_and_blobs_are_where_their_formulas_say)
{
    fresh();
    gr_dataset d = gr_make_xor(ctx, 8);
    static const int want[4] = { 0, 1, 1, 0 };
    for (int64_t i = 0; i < 8; i++) CHECK(gr_at(d.y, i) == want[i % 4] && gr_at(d.x, i, 0) == (double)(i % 4 / 2) && gr_at(d.x, i, 1) == (double)(i % 2));
    d = gr_make_moons(ctx, 101);
    CHECK(gr_at(d.y, 49) == 0 && gr_at(d.y, 50) == 1);
    CHECK_NEAR(gr_at(d.x, 0, 0), 1, 1e-6);
    CHECK_NEAR(gr_at(d.x, 49, 0), -1, 1e-6);
    CHECK_NEAR(gr_at(d.x, 50, 1), 0.5, 1e-6);
    CHECK_NEAR(gr_at(d.x, 100, 0), 2, 1e-6);
    d = gr_make_circles(ctx, 20, .factor = 0.3);
    for (int64_t i = 0; i < 20; i++) CHECK_NEAR(hypot(gr_at(d.x, i, 0), gr_at(d.x, i, 1)), i < 10 ? 1 : 0.3, 1e-6);
    d = gr_make_blobs(ctx, 300, .classes = 4, .features = 5, .noise = -1);
    CHECK(gr_size(d.x, 1) == 5 && gr_at(d.y, 7) == 3);
    for (int64_t j = 0; j < 5; j++) CHECK(gr_at(d.x, 3, j) == gr_at(d.x, 7, j) && fabs(gr_at(d.x, 3, j)) <= 10);
    CHECK_STR(gr_message(ctx), "");
    END;
}

TEST(synthetic_noise_has_the_deviation_asked_for)
{
    fresh();
    gr_dataset d = gr_make_xor(ctx, 4000, .noise = 0.1);
    double sum = 0, square = 0;
    for (int64_t i = 0; i < 4000; i++) {
        double e = gr_at(d.x, i, 1) - (double)(i % 2);
        sum += e, square += e * e;
    }
    CHECK_NEAR(sum / 4000, 0, 0.01);
    CHECK_NEAR(sqrt(square / 4000), 0.1, 0.005);
    END;
}

TEST(synthetic_data_repeat_with_the_seed_and_take_the_contexts_dtype)
{
    gr_ctx_free(ctx);
    ctx = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64, .seed = 7 });
    gr_dataset a = gr_make_blobs(ctx, 20), b = gr_make_blobs(ctx, 20);
    gr_seed(ctx, 7);
    gr_dataset e = gr_make_blobs(ctx, 20);
    CHECK(gr_dtype(a.x) == GR_F64 && memcmp(gr_data(a.x), gr_data(e.x), 320) == 0 && memcmp(gr_data(a.x), gr_data(b.x), 320) != 0);
    END;
}

TEST(synthetic_data_refuse_senseless_sizes)
{
    fresh();
    CHECK(!gr_make_moons(ctx, -1).x);
    CHECK_STR(gr_message(ctx), "gr_make_moons: -1 points of 2 features with noise 0 make no data. "
                               "Fix: use 0 points or more, 1 feature or more, finite noise");
    fresh();
    CHECK(!gr_make_blobs(ctx, 3, .noise = (double)NAN).x && gr_status(ctx) == GR_EVALUE);
    fresh();
    CHECK(!gr_make_blobs(ctx, 3, .classes = -2).x);
    CHECK_STR(gr_message(ctx), "gr_make_blobs: -2 classes. Fix: use 1 or more");
    fresh();
    CHECK(!gr_make_spiral(ctx, INT64_MAX).x && gr_status(ctx) == GR_ESHAPE);
    fresh();
    CHECK(gr_numel(gr_make_circles(ctx, 0).x) == 0 && gr_numel(gr_make_circles(ctx, 1).x) == 2 && !gr_failed(ctx));
    END;
}

/* ---- memory ----------------------------------------------------------------------------------------------------*/
static void a_whole_day(gr_ctx *c)
{
    gr_dataset d = gr_make_blobs(c, 300, .features = 20);
    gr_split s = gr_dataset_split(c, d, .stratify = true);
    gr_scaling z = gr_standardize_fit(s.train.x);
    s.train.x = gr_standardize(s.train.x, z);
    for (gr_batches it = gr_batches_begin(c, s.train, .shuffle = true); gr_batch_more(&it);) {
        GR_SCOPE(c);
        gr_dataset b = gr_batch_take(&it);
        gr_one_hot(b.y, 3);
    }
    gr_dataset_rows(c, d, gr_randperm(c, 5));
    gr_make_spiral(c, 40), gr_make_moons(c, 40, .noise = 0.1), gr_make_circles(c, 40), gr_make_xor(c, 40);
}

TEST(data_sets_survive_every_failing_allocation) { CHECK(test_every_allocation(a_whole_day) > 10); }
