/* The threads of a context: loops, life, and what goes wrong. That they change no bit is tested in test_bits.c.
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tests/bits.h"

#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED true /* a forked child cannot start threads there, nor memory be limited */
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* ---- loops -------------------------------------------------------------------------------------------------------------*/
enum { MAX_TASKS = 4096 };
typedef struct counts {
    int of[MAX_TASKS]; /* each task writes its own: twice at once would be a race */
    int worker[MAX_TASKS];
} counts;

static void count_range(void *user, int64_t begin, int64_t end, int worker)
{
    counts *k = user;
    for (int64_t i = begin; i < end; i++) k->of[i]++, k->worker[i] = worker;
}

static bool each_once(const counts *k, int n, int threads)
{
    for (int i = 0; i < MAX_TASKS; i++)
        if (k->of[i] != (i < n) || k->worker[i] < 0 || k->worker[i] >= threads) return false;
    return true;
}

TEST(a_loop_calls_each_task_once)
{
    static counts k;
    for (int threads = 1; threads <= 9; threads += 2) {
        gr_ctx *c = with_threads(threads);
        for (int round = 0; round < (small() ? 20 : 200); round++) {
            const int n = round % 7 == 0 ? MAX_TASKS : round % 13;
            memset(&k, 0, sizeof k);
            gr__parallel_ranges(c, n, 100, count_range, &k);
            CHECK(each_once(&k, n, threads));
        }
        finish(c);
    }
}

typedef struct nest {
    gr_ctx *c;
    counts inner[8];
    int worker[8][8];
} nest;
static void outer_range(void *user, int64_t begin, int64_t end, int worker)
{
    nest *x = user;
    (void)worker;
    for (int64_t i = begin; i < end; i++) gr__parallel_ranges(x->c, 100, 1e6, count_range, &x->inner[i]);
}

TEST(a_loop_in_a_task_runs_on_the_spot)
{
    static nest x;
    memset(&x, 0, sizeof x);
    x.c = with_threads(4);
    gr__parallel_ranges(x.c, 8, 1e6, outer_range, &x);
    for (int i = 0; i < 8; i++) CHECK(each_once(&x.inner[i], 100, 1));
    finish(x.c);
}

TEST(a_small_loop_starts_no_thread)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_set_threads(c, 4);
    gr_tensor *w = gr_requires_grad(gr_randn(c, GR_SHAPE(20, 20)));
    gr_backward(gr_sum(gr_softmax(gr_matmul(w, w), -1)));
    CHECK(c->pool.started == 0);
    finish(c);
}

static void slow_for_others(void *user, int64_t begin, int64_t end, int worker)
{
    count_range(user, begin, end, worker);
    if (worker > 0) nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL);
    else
        for (volatile int turn = 0; turn < 20000; turn++) continue;
}

static void for_a_while(void *user, int64_t begin, int64_t end, int worker)
{
    struct timespec from, now;
    (void)begin, (void)end, (void)worker, (void)user;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - from.tv_sec) * 1000000000L + now.tv_nsec - from.tv_nsec < 20000);
}

TEST(short_loops_that_follow_each_other_wake_a_thread_together)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_set_threads(c, 2);
    gr__parallel_ranges(c, 2, 1e4, for_a_while, NULL);
    CHECK(c->pool.started == 0);
    for (int i = 0; i < 1000 && c->pool.started == 0; i++) gr__parallel_ranges(c, 2, 1e4, for_a_while, NULL);
    CHECK(c->pool.started == 1);
    finish(c);
}

#if defined(__linux__) && !defined(__ANDROID__)
/* The processors on which the first thread of c may run. */
static bool place_of_worker(const gr_ctx *c, cpu_set_t *its)
{
    return c->pool.started > 0 && pthread_getaffinity_np(c->pool.worker[0].thread, sizeof *its, its) == 0;
}
#endif

TEST(a_thread_that_stands_still_with_a_part_is_lent_the_processor_of_the_caller)
{
#if defined(__linux__) && !defined(__ANDROID__)
    static counts k;
    cpu_set_t its;
    gr_ctx *c = with_threads(2);
    int rounds = 0;
    bool lent = false;
    while (rounds++ < 1000 && !lent) {
        memset(&k, 0, sizeof k);
        gr__parallel_ranges(c, 32, 1e6, slow_for_others, &k);
        CHECK(each_once(&k, 32, 2));
        lent = c->pool.worker[0].lent;
    }
    CHECK(lent);
    CHECK(place_of_worker(c, &its) && CPU_COUNT(&its) == 1);
    memset(&k, 0, sizeof k);
    gr__parallel_ranges(c, 32, 1e6, count_range, &k); /* over before anybody could stand still */
    CHECK(each_once(&k, 32, 2));
    CHECK(c->pool.worker[0].lent || (place_of_worker(c, &its) && (c->pool.processors == 1 || !CPU_ISSET((size_t)c->pool.processor, &its))));
    finish(c);
#endif
}

TEST(threads_keep_clear_of_the_processor_of_the_caller_where_there_are_enough)
{
#if defined(__linux__) && !defined(__ANDROID__)
    static counts k;
    cpu_set_t mine, its;
    CHECK(sched_getaffinity(0, sizeof mine, &mine) == 0);
    const int processors = CPU_COUNT(&mine), few_and_many[] = { 2, processors + 1 };
    for (int i = 0; i < 2; i++) {
        const int threads = few_and_many[i];
        if (threads > GR_MAX_THREADS) continue;
        gr_ctx *c = with_threads(threads);
        memset(&k, 0, sizeof k);
        gr__parallel_ranges(c, 100, 1e6, count_range, &k);
        CHECK(place_of_worker(c, &its));
        CHECK(CPU_COUNT(&its) == (threads <= processors ? processors - 1 : processors));
        CHECK(threads > processors || !CPU_ISSET((size_t)c->pool.processor, &its));
        finish(c);
    }
#endif
}

TEST(no_more_threads_are_used_than_there_are_processors)
{
    static counts k;
    gr_ctx *c = gr_ctx_new(NULL);
    const int processors = gr__processors();
    CHECK(gr_set_threads(c, GR_MAX_THREADS) && gr_threads(c) == GR_MAX_THREADS);
    CHECK(gr__parallel_workers(c, 1e9) == processors);
    gr__parallel_ranges(c, 1000, 1e6, count_range, &k);
    CHECK(each_once(&k, 1000, processors));
    CHECK(c->pool.started < processors);
    finish(c);
}

/* ---- how many ------------------------------------------------------------------------------------------------------------*/
typedef struct control_files {
    const char *what, *path[4], *text[4];
    int of_8;
} control_files;
static const control_files groups[] = {
    { "none", { 0 }, { 0 }, 8 },
    { "version 2, a quota", { "/proc/self/cgroup", "/sys/fs/cgroup/a/b/cpu.max" }, { "0::/a/b\n", "350000 100000\n" }, 3 },
    { "version 2, a quota above", { "/proc/self/cgroup", "/sys/fs/cgroup/a/b/cpu.max", "/sys/fs/cgroup/a/cpu.max" },
      { "0::/a/b\n", "max 100000\n", "200000 100000\n" }, 2 },
    { "version 2, in a container", { "/proc/self/cgroup", "/sys/fs/cgroup/cpu.max" }, { "0::/\n", "50000 100000\n" }, 1 },
    { "version 2, more than there are", { "/proc/self/cgroup", "/sys/fs/cgroup/cpu.max" }, { "0::/\n", "6400000 100000\n" }, 8 },
    { "version 1, in a container", { "/proc/self/cgroup", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us" },
      { "9:cpuset:/\n4:cpu,cpuacct:/docker/0123\n0::/\n", "20000\n", "5000\n" }, 4 },
    { "version 1, no quota", { "/proc/self/cgroup", "/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us" },
      { "1:cpu:/x\n", "-1\n", "100000\n" }, 8 },
    { "version 1, no period", { "/proc/self/cgroup", "/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us" }, { "1:cpu:/x\n", "100000\n" }, 8 },
    { "another controller's", { "/proc/self/cgroup", "/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us" },
      { "1:cpuset,cpuacct:/x\n", "100000\n", "100000\n" }, 8 },
    { "no such file", { "/proc/self/cgroup", "/sys/fs/cgroup/cpu.max" }, { "\n:\n::\n0:", "what\n" }, 8 },
};

static bool put(const char *root, const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(full, 0700);
        *at = '/';
    }
    FILE *f = fopen(full, "w");
    return f && fputs(text, f) >= 0 && fclose(f) == 0;
}

/* The file, and the folders above it that are empty then. */
static void take_away(const char *root, const char *path)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", root, path);
    unlink(full);
    for (char *last; (last = strrchr(full, '/')) && last > full + strlen(root);) {
        *last = '\0';
        if (rmdir(full) != 0) return;
    }
}

TEST(a_quota_of_processor_time_limits_the_processors)
{
    char root[] = "/tmp/gradus-XXXXXX";
    CHECK(mkdtemp(root) != NULL);
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        const control_files *g = &groups[i];
        for (int k = 0; k < 4 && g->path[k]; k++) CHECK(put(root, g->path[k], g->text[k]));
        const int found = gr__processors_within(root, 8);
        if (found != g->of_8) printf("# %s: %d\n", g->what, found);
        CHECK(found == g->of_8);
        for (int k = 0; k < 4 && g->path[k]; k++) take_away(root, g->path[k]);
    }
    CHECK(rmdir(root) == 0);
    CHECK(gr__processors() >= 1 && gr__processors() <= GR_MAX_THREADS);
}

TEST(the_number_of_threads_may_change_at_any_time)
{
    outputs first = { 0 };
    gr_ctx *c = with_threads(1);
    for (int i = 0; i < 12; i++) {
        GR_SCOPE(c);
        outputs o = { 0 };
        CHECK(gr_set_threads(c, 1 + i * 5 % 8));
        CHECK(gr_threads(c) == 1 + i * 5 % 8);
        gr_seed(c, 1);
        train(c, &trainings[0], i ? &o : &first);
        if (i) CHECK(same("mlp", gr_threads(c), &first, &o));
        forget(&o);
    }
    forget(&first);
    finish(c);
}

/* ---- many contexts -------------------------------------------------------------------------------------------------------*/
static void *train_alone(void *arg)
{
    outputs *o = arg;
    gr_ctx *c = with_threads(3);
    train(c, &trainings[0], o);
    if (gr_failed(c)) forget(o);
    gr_ctx_free(c);
    return NULL;
}

TEST(contexts_on_several_threads_do_not_disturb_each_other)
{
    enum { N = 5 };
    pthread_t thread[N];
    outputs o[N];
    memset(o, 0, sizeof o);
    for (int i = 0; i < N; i++)
        if (pthread_create(&thread[i], NULL, train_alone, &o[i]) != 0) return;
    for (int i = 0; i < N; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < N; i++) {
        CHECK(o[i].n > 0);
        CHECK(same("mlp", 3, &o[0], &o[i]));
    }
    for (int i = 0; i < N; i++) forget(&o[i]);
}

static void *keep_busy(void *arg)
{
    while (!atomic_load((_Atomic bool *)arg)) continue;
    return NULL;
}

TEST(a_processor_that_another_program_keeps_busy_changes_no_bit)
{
    _Atomic bool stop = false;
    pthread_t thread[2];
    int n = 0;
    while (n < 2 && pthread_create(&thread[n], NULL, keep_busy, &stop) == 0) n++;
    outputs first = { 0 }, other = { 0 };
    gr_ctx *alone = with_threads(1), *c = gr_ctx_new(NULL);
    gr_set_threads(c, 2);
    train(alone, &trainings[0], &first);
    train(c, &trainings[0], &other);
    CHECK(same("mlp", 2, &first, &other));
    forget(&first), forget(&other);
    finish(alone), finish(c);
    atomic_store(&stop, true);
    for (int i = 0; i < n; i++) pthread_join(thread[i], NULL);
}

/* ---- what goes wrong -------------------------------------------------------------------------------------------------------*/
TEST(a_number_of_threads_out_of_range_is_refused)
{
    gr_ctx *c = gr_ctx_new(NULL);
    CHECK(!gr_set_threads(c, -1));
    CHECK(gr_status(c) == GR_EVALUE);
    CHECK_STR(gr_message(c), "gr_set_threads: -1 is no number of threads. Fix: pass 1 to 64, or 0 for as many as the process has processors");
    gr_clear_error(c);
    CHECK(!gr_set_threads(c, 65));
    CHECK(gr_failed(c));
    gr_clear_error(c);
    CHECK(gr_set_threads(c, 64) && gr_threads(c) == 64);
    CHECK(gr_set_threads(c, 0) && gr_threads(c) >= 1);
    CHECK(!gr_set_threads(NULL, 1) && gr_threads(NULL) == 0);
    finish(c);
}

TEST(the_environment_says_how_many_threads_if_it_names_a_number_from_1_to_64)
{
    const char *before = getenv("GRADUS_THREADS");
    char *saved = before ? strdup(before) : NULL;
    unsetenv("GRADUS_THREADS");
    gr_ctx *c = gr_ctx_new(NULL);
    const int processors = gr_threads(c);
    gr_ctx_free(c);
    static const struct {
        const char *text;
        int n; /* 0: as if it were not there */
    } list[] = { { "1", 1 }, { "3", 3 }, { "64", 64 }, { "65", 0 }, { "0", 0 }, { "-2", 0 }, { "two", 0 }, { "2 ", 0 }, { "", 0 }, { "99999999999999999999", 0 } };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        setenv("GRADUS_THREADS", list[i].text, 1);
        c = gr_ctx_new(NULL);
        CHECK(gr_threads(c) == (list[i].n ? list[i].n : processors));
        gr_ctx_free(c);
    }
    if (saved) setenv("GRADUS_THREADS", saved, 1);
    else unsetenv("GRADUS_THREADS");
    free(saved);
}

static void short_run(gr_ctx *c)
{
    gr_set_threads(c, 3);
    c->pool.eager = true;
    gr_tensor *x = gr_randn(c, GR_SHAPE(6, 1, 8, 8));
    gr_module *net = gr_sequential(c, gr_conv2d_layer(c, 1, 2, 3), gr_max_pool2d_layer(c, 2), gr_flatten_layer(c), gr_linear(c, 18, 4));
    gr_optim *opt = gr_adam(c, gr_parameters(net));
    gr_tensor *y = labels(c, 6, 4);
    if (gr_failed(c)) return;
    GR_SCOPE(c);
    gr_backward(gr_cross_entropy(gr_layer_norm(gr_forward(net, x)), y));
    gr_step(opt);
}

TEST(threads_survive_every_failing_allocation) { CHECK(test_every_allocation(short_run) > 30); }

/* exit status of f in a child of this process */
static int in_a_child(int (*f)(gr_ctx *c), gr_ctx *c)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(30); /* a child that hangs is a failure */
        _exit(f(c));
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int use_inherited(gr_ctx *c)
{
    static counts k;
    for (int i = 0; i < 3; i++) {
        memset(&k, 0, sizeof k);
        gr__parallel_ranges(c, 100, 1e6, count_range, &k);
        if (!each_once(&k, 100, 3)) return 1;
    }
    gr_set_threads(c, 2);
    train(c, &trainings[0], NULL);
    int failed = gr_failed(c);
    gr_ctx_free(c);
    return failed ? 2 : 0;
}
static int free_inherited(gr_ctx *c) { return gr_ctx_free(c), 0; }

TEST(a_forked_child_uses_and_frees_the_context_it_inherits)
{
    if (SANITIZED) return;
    static counts k;
    for (int sleep = 0; sleep < 2; sleep++) { /* threads that wait for work, and threads that sleep */
        gr_ctx *c = with_threads(3);
        memset(&k, 0, sizeof k);
        gr__parallel_ranges(c, 100, 1e6, count_range, &k);
        if (sleep) nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
        CHECK(in_a_child(use_inherited, c) == 0);
        CHECK(in_a_child(free_inherited, c) == 0);
        memset(&k, 0, sizeof k);
        gr__parallel_ranges(c, 100, 1e6, count_range, &k);
        CHECK(each_once(&k, 100, 3));
        finish(c);
    }
}

TEST(a_thread_that_the_system_refuses_is_no_error)
{
#ifdef __GLIBC__
    if (SANITIZED) return;
    static counts k;
    pthread_attr_t before, huge;
    pthread_getattr_default_np(&before);
    pthread_attr_init(&huge);
    pthread_attr_setstacksize(&huge, (size_t)1 << 46);
    CHECK(pthread_setattr_default_np(&huge) == 0);
    gr_ctx *c = with_threads(4);
    memset(&k, 0, sizeof k);
    gr__parallel_ranges(c, 100, 1e6, count_range, &k);
    CHECK(each_once(&k, 100, 1));
    CHECK(gr_threads(c) == 1);
    pthread_setattr_default_np(&before);
    gr_set_threads(c, 4); /* asks again */
    memset(&k, 0, sizeof k);
    gr__parallel_ranges(c, 100, 1e6, count_range, &k);
    CHECK(each_once(&k, 100, 4));
    CHECK(gr_threads(c) == 4 && c->pool.started == 3);
    finish(c);
    pthread_attr_destroy(&before), pthread_attr_destroy(&huge);
#endif
}
