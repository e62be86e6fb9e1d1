/* The threads of a context: one loop at a time is shared out among them. Knows no tensor.
 *
 * A loop of n tasks is cut into chunks, and whoever is free claims the next one by a compare-and-swap on `head`, which
 * holds the number of the loop and the chunks that are left: a thread that read the loop before finds another number there
 * and claims nothing. The caller claims like the others, so it never waits for a thread that has not begun, and a thread
 * that the system does not run costs at most the chunk it holds.
 * SPDX-License-Identifier: MIT */
#ifdef __linux__
#define _GNU_SOURCE /* sched_getaffinity */
#else
#define _POSIX_C_SOURCE 200809L
#endif
#include "core/tensor.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LEFT_BITS 16 /* of head: chunks left; above it the number of the loop */
#define LEFT_MASK (((uint64_t)1 << LEFT_BITS) - 1)
/* Chunks for each thread: the last one to finish holds the others up by a sixteenth of a loop on two threads, while a
 * claim costs 20 ns. */
#define CHUNKS 8
/* Turns of 10 to 40 ns, of waiting before a thread sleeps: about as long as waking it takes. */
#define SPIN 3000
/* Loops in ns of one thread's work. To wake a thread costs the caller 5 to 15 us and the thread begins 35 to 60 us later (on a
 * virtual machine; a third of that elsewhere): from 60 us on that gains. One that is awake joins in after 1 us. */
#define WORTH_WAKING 60e3
#define WORTH_SHARING 12e3
#define PART 4e3 /* of such a loop: at least so long, so that its claims are nothing beside it */
/* Where other programs want the processors, a thread with a chunk may stand still for a slice of the scheduler, 3 ms, and the
 * caller with it. When loops lately took so much longer than they would have alone, the next are not shared out, for 16 times
 * as long, and for twice as long as before if nothing was gained since. So at most a sixteenth is lost. */
#define PATIENCE 0.5e6
#define REST 16
#define MOST_REST 256e6

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Where part i of [0, n) begins, of parts that differ by one at most. */
static int64_t begin_of(int64_t n, int64_t parts, int64_t i)
{
    int64_t longer = n % parts;
    return i * (n / parts) + (i < longer ? i : longer);
}

static double now(void) /* in ns */
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static int left(gr_pool *p) { return (int)(atomic_load(&p->head) & LEFT_MASK); }

/* Two, if there are more chunks than threads awake; they wake the next, so that nobody wakes them all. */
static void wake(gr_pool *p)
{
    int asleep = atomic_load(&p->asleep), more = left(p) - (1 + atomic_load(&p->started) - asleep);
    if (asleep == 0 || more <= 0) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_signal(&p->wake);
    if (more > 1) pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

/* Until no chunk is left. What was read of a loop counts only if the claim succeeds: the caller changes it when all chunks
 * are done, so nobody else could have claimed from the loop in between. Returns how many it did. */
static int work(gr_pool *p, int worker)
{
    int done = 0;
    uint64_t head = atomic_load(&p->head);
    while (head & LEFT_MASK) {
        gr_task_fn *fn = atomic_load_explicit(&p->fn, memory_order_relaxed);
        void *user = atomic_load_explicit(&p->user, memory_order_relaxed);
        int64_t n = atomic_load_explicit(&p->n, memory_order_relaxed);
        int64_t chunks = atomic_load_explicit(&p->chunks, memory_order_relaxed);
        if (!atomic_compare_exchange_weak(&p->head, &head, head - 1)) continue;
        int64_t k = chunks - (int64_t)(head & LEFT_MASK), end = begin_of(n, chunks, k + 1);
        for (int64_t i = begin_of(n, chunks, k); i < end; i++) fn(user, i, worker);
        if (atomic_fetch_sub(&p->unfinished, 1) == 1 && atomic_load(&p->waiting)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->finished);
            pthread_mutex_unlock(&p->lock);
        }
        head = atomic_load(&p->head);
        done++;
    }
    return done;
}

static void *worker_main(void *arg)
{
    gr_worker *self = arg;
    gr_pool *p = self->pool;
    int number = (int)(self - p->worker) + 1;
    bool stop = false;
    while (!stop) {
        work(p, number);
        for (int i = 0; i < SPIN && left(p) == 0; i++) relax();
        if (left(p) > 0) continue;
        pthread_mutex_lock(&p->lock);
        atomic_fetch_add(&p->asleep, 1);
        while (left(p) == 0 && !p->stop) pthread_cond_wait(&p->wake, &p->lock);
        atomic_fetch_sub(&p->asleep, 1);
        stop = p->stop;
        pthread_mutex_unlock(&p->lock);
        wake(p);
    }
    return NULL;
}

/* ---- starting and stopping -------------------------------------------------------------------------------------*/
static void stop(gr_pool *p)
{
    if (p->started == 0) return;
    if (p->pid != (long)getpid()) { /* a child of fork: the threads are its parent's */
        p->started = 0;
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->started; i++) pthread_join(p->worker[i].thread, NULL);
    pthread_cond_destroy(&p->finished);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    p->started = 0;
}

static bool prepare(gr_pool *p)
{
    p->pid = (long)getpid();
    p->stop = false;
    atomic_store(&p->asleep, 0);
    atomic_store(&p->waiting, false);
    if (pthread_mutex_init(&p->lock, NULL) != 0) return false;
    if (pthread_cond_init(&p->wake, NULL) == 0) {
        if (pthread_cond_init(&p->finished, NULL) == 0) return true;
        pthread_cond_destroy(&p->wake);
    }
    pthread_mutex_destroy(&p->lock);
    return false;
}

/* Signals stay with the threads of the program, but for those that a thread brings upon itself. A thread that the system
 * refuses is not asked for again. */
static void start(gr_pool *p, int workers)
{
    if (p->started && p->pid != (long)getpid()) p->started = 0;
    if (p->started >= workers) return;
    if (p->started == 0 && !prepare(p)) {
        p->threads = 1;
        return;
    }
    sigset_t all, before;
    sigfillset(&all);
    const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) sigdelset(&all, own[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (p->started < workers) {
        gr_worker *w = &p->worker[p->started];
        w->pool = p;
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) break;
        p->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (p->started < workers) p->threads = p->started + 1;
    if (p->started > 0) return;
    pthread_cond_destroy(&p->finished);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
}

/* ---- one loop --------------------------------------------------------------------------------------------------*/
static void publish(gr_pool *p, int64_t n, int chunks, gr_task_fn *fn, void *user)
{
    atomic_store_explicit(&p->fn, fn, memory_order_relaxed);
    atomic_store_explicit(&p->user, user, memory_order_relaxed);
    atomic_store_explicit(&p->n, n, memory_order_relaxed);
    atomic_store_explicit(&p->chunks, chunks, memory_order_relaxed);
    atomic_store(&p->unfinished, chunks);
    uint64_t number = (atomic_load(&p->head) >> LEFT_BITS) + 1;
    atomic_store(&p->head, number << LEFT_BITS | (uint64_t)chunks);
    wake(p);
}

static void await(gr_pool *p)
{
    for (int i = 0; i < SPIN; i++) {
        if (atomic_load(&p->unfinished) == 0) return;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->waiting, true);
    while (atomic_load(&p->unfinished) != 0) pthread_cond_wait(&p->finished, &p->lock);
    atomic_store(&p->waiting, false);
    pthread_mutex_unlock(&p->lock);
}

static bool resting(const gr_pool *p) { return p->rest_until > 0 && !p->eager && now() < p->rest_until; }

/* Of a loop that took `total`, of which the caller worked `own` on `done` of its chunks: what if it had done them all? */
static void judge(gr_pool *p, double own, int done, int chunks, double total)
{
    double gain = done ? own * chunks / done - total : 0;
    p->balance += gain < PATIENCE ? gain : PATIENCE;
    if (p->balance > PATIENCE) p->balance = PATIENCE, p->rest = 0;
    p->rest_until = 0;
    if (p->balance > -PATIENCE) return;
    const double least = -REST * p->balance;
    p->rest = p->rest * 2 > least ? p->rest * 2 : least;
    if (p->rest > MOST_REST) p->rest = MOST_REST;
    p->rest_until = now() + p->rest;
    p->balance = 0;
}

void gr__parallel(gr_ctx *c, int64_t n, gr_task_fn *fn, void *user)
{
    gr_pool *p = &c->pool;
    bool alone = n <= 1 || p->busy || p->threads == 1 || resting(p);
    if (!alone) start(p, n < p->threads ? (int)n - 1 : p->threads - 1);
    if (alone || p->started == 0) {
        for (int64_t i = 0; i < n; i++) fn(user, i, 0);
        return;
    }
    const int chunks = n < CHUNKS * p->threads ? (int)n : CHUNKS * p->threads;
    const double begin = now();
    p->busy = true;
    publish(p, n, chunks, fn, user);
    const double published = now();
    const int done = work(p, 0);
    const double own = now() - published;
    await(p);
    p->busy = false;
    judge(p, own, done, chunks, now() - begin);
}

bool gr__parallel_pays(gr_ctx *c, double ns)
{
    gr_pool *p = &c->pool;
    if (p->threads == 1 || p->busy || resting(p)) return false;
    return p->eager || ns >= (p->started > atomic_load(&p->asleep) ? WORTH_SHARING : WORTH_WAKING);
}

int gr__parallel_workers(const gr_ctx *c, double ns) { return ns >= WORTH_SHARING || c->pool.eager ? c->pool.threads : 1; }

typedef struct ranges {
    int64_t n, parts;
    gr_range_fn *fn;
    void *user;
} ranges;

static void range_task(void *user, int64_t i, int worker)
{
    const ranges *r = user;
    r->fn(r->user, begin_of(r->n, r->parts, i), begin_of(r->n, r->parts, i + 1), worker);
}

void gr__parallel_ranges(gr_ctx *c, int64_t n, double ns, gr_range_fn *fn, void *user)
{
    double work = ns * (double)n, most = (double)(CHUNKS * c->pool.threads);
    if (!gr__parallel_pays(c, work)) {
        if (n > 0) fn(user, 0, n, 0);
        return;
    }
    ranges r = { n, (int64_t)(work / PART < most && !c->pool.eager ? work / PART : most), fn, user };
    if (r.parts > n) r.parts = n;
    gr__parallel(c, r.parts, range_task, &r);
}

/* ---- how many --------------------------------------------------------------------------------------------------*/
static int processors(void)
{
#ifdef __linux__
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
#else
    long n = sysconf(_SC_NPROCESSORS_ONLN);
#endif
    return n < 1 ? 1 : n > GR_MAX_THREADS ? GR_MAX_THREADS : (int)n;
}

int gr__threads_default(void)
{
    const char *text = getenv("GRADUS_THREADS");
    char *end = NULL;
    long n = text ? strtol(text, &end, 10) : 0;
    return end && *end == '\0' && n >= 1 && n <= GR_MAX_THREADS ? (int)n : processors();
}

void gr__threads_free(gr_ctx *c) { stop(&c->pool); }

bool gr_set_threads(gr_ctx *c, int n)
{
    if (!c) return false;
    if (n < 0 || n > GR_MAX_THREADS) {
        gr_fail(c, GR_EVALUE, "gr_set_threads: %d is no number of threads. "
                "Fix: pass 1 to %d, or 0 for as many as the process has processors", n, GR_MAX_THREADS);
        return false;
    }
    stop(&c->pool);
    c->pool.threads = n ? n : processors();
    c->pool.balance = c->pool.rest_until = 0;
    return true;
}

int gr_threads(const gr_ctx *c) { return c ? c->pool.threads : 0; }
