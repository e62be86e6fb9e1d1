/* The threads of a context: one loop at a time is shared out among them. Knows no tensor.
 *
 * A loop of n tasks is cut into chunks, and whoever is free claims the next one by a compare-and-swap on `head`, which
 * holds the number of the loop and the chunks that are left: a thread that read the loop before finds another number there
 * and claims nothing. The caller claims like the others, so it never waits for a thread that has not begun, and a thread
 * that the system does not run costs at most the chunk it holds.
 * SPDX-License-Identifier: MIT */
#ifdef __linux__
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "core/tensor.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define LEFT_BITS 16 /* of head: chunks left; above it the number of the loop */
#define LEFT_MASK (((uint64_t)1 << LEFT_BITS) - 1)
/* Chunks for each thread: the last one to finish holds the others up by a sixteenth of a loop on two threads, while a
 * claim costs 20 ns. */
#define CHUNKS 8
/* Turns of 10 to 40 ns, of waiting before a thread sleeps: as long as waking it would take. */
#define SPIN 1000

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool has_work(gr_pool *p) { return (atomic_load(&p->head) & LEFT_MASK) != 0; }

/* Until no chunk is left. What was read of a loop counts only if the claim succeeds: the caller changes it when all chunks
 * are done, so nobody else could have claimed from the loop in between. */
static void work(gr_pool *p, int worker)
{
    uint64_t head = atomic_load(&p->head);
    while (head & LEFT_MASK) {
        gr_task_fn *fn = atomic_load_explicit(&p->fn, memory_order_relaxed);
        void *user = atomic_load_explicit(&p->user, memory_order_relaxed);
        int64_t n = atomic_load_explicit(&p->n, memory_order_relaxed);
        int64_t chunks = atomic_load_explicit(&p->chunks, memory_order_relaxed);
        if (!atomic_compare_exchange_weak(&p->head, &head, head - 1)) continue;
        int64_t k = chunks - (int64_t)(head & LEFT_MASK), size = n / chunks, longer = n % chunks; /* the first ones */
        int64_t begin = k * size + (k < longer ? k : longer), end = begin + size + (k < longer);
        for (int64_t i = begin; i < end; i++) fn(user, i, worker);
        if (atomic_fetch_sub(&p->unfinished, 1) == 1 && atomic_load(&p->waiting)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->finished);
            pthread_mutex_unlock(&p->lock);
        }
        head = atomic_load(&p->head);
    }
}

static void *worker_main(void *arg)
{
    gr_worker *self = arg;
    gr_pool *p = self->pool;
    int number = (int)(self - p->worker) + 1;
    bool stop = false;
    while (!stop) {
        work(p, number);
        for (int i = 0; i < SPIN && !has_work(p); i++) relax();
        if (has_work(p)) continue;
        pthread_mutex_lock(&p->lock);
        atomic_fetch_add(&p->asleep, 1);
        while (!has_work(p) && !p->stop) pthread_cond_wait(&p->wake, &p->lock);
        atomic_fetch_sub(&p->asleep, 1);
        stop = p->stop;
        pthread_mutex_unlock(&p->lock);
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
    if (atomic_load(&p->asleep) == 0) return;
    pthread_mutex_lock(&p->lock);
    int sleepers = atomic_load(&p->asleep);
    for (int i = 0; i < sleepers && i < chunks - 1; i++) pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
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

void gr__parallel(gr_ctx *c, int64_t n, gr_task_fn *fn, void *user)
{
    gr_pool *p = &c->pool;
    bool alone = n <= 1 || p->busy || p->threads == 1;
    if (!alone) start(p, n < p->threads ? (int)n - 1 : p->threads - 1);
    if (alone || p->started == 0) {
        for (int64_t i = 0; i < n; i++) fn(user, i, 0);
        return;
    }
    p->busy = true;
    publish(p, n, n < CHUNKS * p->threads ? (int)n : CHUNKS * p->threads, fn, user);
    work(p, 0);
    await(p);
    p->busy = false;
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
    return true;
}

int gr_threads(const gr_ctx *c) { return c ? c->pool.threads : 0; }
