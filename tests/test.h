/* A test program: TEST(a_sentence_in_underscores) { CHECK(...); } and nothing else; prints TAP.
 * Knows nothing of gradus but the failing allocator at the end.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_TEST_H
#define GRADUS_TEST_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_errors __attribute__((unused)); /* of the test that runs */

#ifndef TEST_OWN_MAIN
#define TEST_MAX 512
typedef struct test_case {
    const char *name;
    void (*run)(void);
} test_case;
static test_case test_list[TEST_MAX];
static int test_count;
#endif

#define TEST(f)                                                                                                      \
    static void f(void);                                                                                             \
    __attribute__((constructor)) static void test_add_##f(void)                                                      \
    {                                                                                                                \
        if (test_count < TEST_MAX) test_list[test_count++] = (test_case){ #f, f };                                   \
    }                                                                                                                \
    static void f(void)

#define CHECK(x)                                                                                                     \
    do {                                                                                                             \
        if (!(x)) test_errors++, printf("# %s:%d: not true: %s\n", __FILE__, __LINE__, #x);                          \
    } while (0)
/* |a - b| <= tol max(1, |b|) */
#define CHECK_NEAR(a, b, tol)                                                                                        \
    do {                                                                                                             \
        double a_ = (a), b_ = (b), t_ = (tol);                                                                       \
        if (!(fabs(a_ - b_) <= t_ * fmax(1, fabs(b_))) && !(isnan(a_) && isnan(b_)) && !(isinf(a_) && a_ == b_))      \
            test_errors++, printf("# %s:%d: %s is %.17g, expected %.17g\n", __FILE__, __LINE__, #a, a_, b_);          \
    } while (0)
#define CHECK_STR(a, b)                                                                                              \
    do {                                                                                                             \
        const char *a_ = (a), *b_ = (b);                                                                             \
        if (!a_ || strcmp(a_, b_) != 0)                                                                              \
            test_errors++, printf("# %s:%d: %s is\n#   %s\n# expected\n#   %s\n", __FILE__, __LINE__, #a, a_ ? a_ : "NULL", b_); \
    } while (0)

/* A program that makes its tests at run time (the loops over registries) calls this for each. */
static inline int test_report(int number, const char *name, bool ok)
{
    printf("%s %d - %s\n", ok ? "ok" : "not ok", number, name);
    fflush(stdout);
    return ok ? 0 : 1;
}

#ifndef TEST_OWN_MAIN
int main(int argc, char **argv)
{
    int failed = 0, ran = 0;
    for (int i = 0; i < test_count; i++) {
        if (argc > 1 && !strstr(test_list[i].name, argv[1])) continue; /* ./test part_of_a_name */
        test_errors = 0;
        test_list[i].run();
        failed += test_report(++ran, test_list[i].name, test_errors == 0);
    }
    printf("1..%d\n", ran);
    return failed || !ran;
}
#endif

/* ---- the report of a gradient check, as comments ----------------------------------------------------------------------*/
#ifdef GRADUS_CORE_H
static inline void test_show_check(const gr_gradcheck_report *r)
{
    char text[12288];
    gr_gradcheck_format(r, text, sizeof text);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) printf("# %s\n", line);
}
#endif

/* ---- the failing allocator: fails the n-th allocation, once or from then on -----------------------------------------*/
#ifdef GRADUS_CORE_H
typedef struct test_memory {
    long count, fail_at; /* fail_at 0: never */
    bool for_ever;
    long live; /* allocations not yet released */
} test_memory;

static inline void *test_alloc(void *user, size_t bytes)
{
    test_memory *m = user;
    m->count++;
    if (m->fail_at && (m->count == m->fail_at || (m->for_ever && m->count > m->fail_at))) return NULL;
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (p) m->live++;
    return p;
}

static inline void test_release(void *user, void *p, size_t bytes)
{
    (void)bytes;
    ((test_memory *)user)->live--;
    free(p);
}

/* Runs scenario(context) with every allocation failing once, and then for ever. The scenario must come through without
 * a crash; every allocation must be released; a context that failed must say so and be usable again. */
static inline long test_every_allocation(void (*scenario)(gr_ctx *c))
{
    long points = 0;
    for (int for_ever = 0; for_ever < 2; for_ever++)
        for (long n = 1;; n++) {
            test_memory m = { .fail_at = n, .for_ever = for_ever };
            gr_allocator a = { test_alloc, test_release, &m };
            gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .allocator = &a });
            if (c) scenario(c);
            bool hit = m.count >= n;
            if (c && hit) {
                if (gr_failed(c)) CHECK(gr_status(c) == GR_ENOMEM);
                gr_clear_error(c);
                m.fail_at = 0;
                gr_tensor *t = gr_ones(c, GR_SHAPE(100));
                CHECK(t && !gr_failed(c));
            }
            gr_ctx_free(c);
            CHECK(m.live == 0);
            if (!hit) break;
            points++;
        }
    return points;
}
#endif
#endif
