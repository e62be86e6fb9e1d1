/* The threads of a context: one loop at a time is shared out among them. Knows no tensor.
 *
 * A loop over [0, n) is cut into chunks, and each thread begins with a share of its own: a run of chunks that lie beside each
 * other, the same part of every loop, so that it finds in its caches what it wrote in the loop before. Of a share its thread
 * claims from the front, half of what is left at a time; who has finished his own claims from the ends of the others'. The caller
 * claims like the rest, so it never waits for a thread that has not begun. A thread that has claimed something and is not run,
 * since another program has its processor, is given the caller's, which waits for it anyway. A claim is a compare-and-swap on one
 * word, which holds the number of the loop beside the chunks that are left: a thread that read the loop before finds another
 * number there and claims nothing.
 * SPDX-License-Identifier: MIT */
#ifdef __linux__
#define _GNU_SOURCE /* sched_getaffinity and its like */
#else
#define _POSIX_C_SOURCE 200809L
#endif
#include "core/tensor.h"

#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* A share: number of the loop, the first chunk that is left, the end of those that are. */
#define BITS 16
#define MASK (((uint64_t)1 << BITS) - 1)
#define SHARE(number, first, end) ((uint64_t)(uint32_t)(number) << 2 * BITS | (uint64_t)(first) << BITS | (uint64_t)(end))
#define FIRST(share) ((int)((share) >> BITS & MASK))
#define END(share) ((int)((share) & MASK))
/* Chunks for each thread: the last one to finish holds the others up by a sixteenth of a loop on two threads. */
#define CHUNKS 8
/* In ns. How long a thread waits for the next loop before it sleeps: gaps in a training step are shorter. How long the caller
 * waits for the others before it does. How long it lets pass, awake and asleep, before it looks whether they run. */
#define AWAKE 200e3
#define AWAIT 100e3
#define LOOK 15e3
#define NAP 1e6
/* Loops in ns of one thread's work. To wake a thread costs the caller 5 to 15 us and the thread begins 35 to 60 us later (on a
 * virtual machine; a third of that elsewhere): from 60 us on that gains. One that is awake joins in after 0.5 us. */
#define WORTH_WAKING 60e3
#define WORTH_SHARING 6e3
#define PART 2e3 /* of such a loop: at least so long, so that its claims are nothing beside it */

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

static double clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}
static double now(void) { return clock_ns(CLOCK_MONOTONIC); }

/* Chunks that nobody has claimed. */
static int left(gr_pool *p)
{
    int chunks = 0;
    for (int i = 0; i < atomic_load_explicit(&p->shares, memory_order_relaxed); i++) {
        const uint64_t s = atomic_load(&p->share[i].left);
        chunks += END(s) - FIRST(s);
    }
    return chunks;
}

/* Two, if there are more chunks than threads awake; they wake the next, so that nobody wakes them all. */
static void wake(gr_pool *p)
{
    int asleep = atomic_load(&p->asleep);
    if (asleep == 0) return;
    int more = left(p) - (1 + atomic_load(&p->started) - asleep);
    if (more <= 0) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_signal(&p->wake);
    if (more > 1) pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

typedef struct loop {
    gr_range_fn *fn;
    void *user;
    int64_t n;
    int chunks;
} loop;

/* Half of what is left of a share, as chunks *first to *end of *l: its own thread's from the front. What was read of a loop
 * counts only if the claim succeeds: the caller changes it when all chunks are done, so nobody else could have claimed from the
 * loop in between. */
static bool claim(gr_pool *p, int from, bool own, loop *l, int *first, int *end)
{
    _Atomic uint64_t *share = &p->share[from].left;
    uint64_t s = atomic_load(share), rest;
    do {
        const int a = FIRST(s), b = END(s), half = (b - a + 1) / 2;
        if (half == 0) return false;
        l->fn = atomic_load_explicit(&p->fn, memory_order_relaxed);
        l->user = atomic_load_explicit(&p->user, memory_order_relaxed);
        l->n = atomic_load_explicit(&p->n, memory_order_relaxed);
        l->chunks = atomic_load_explicit(&p->chunks, memory_order_relaxed);
        *first = own ? a : b - half, *end = own ? a + half : b;
        rest = own ? SHARE(s >> 2 * BITS, a + half, b) : SHARE(s >> 2 * BITS, a, b - half);
    } while (!atomic_compare_exchange_weak(share, &s, rest));
    return true;
}

/* Until no chunk is left. Returns how many it did. */
static int work(gr_pool *p, int worker)
{
    const int shares = atomic_load(&p->shares);
    int done = 0, first, end;
    loop l;
    for (int k = 0; k < shares; k++)
        while (claim(p, (worker + k) % shares, k == 0, &l, &first, &end)) {
            if (worker) atomic_store_explicit(&p->worker[worker - 1].holds, true, memory_order_relaxed);
            l.fn(l.user, begin_of(l.n, l.chunks, first), begin_of(l.n, l.chunks, end), worker);
            done += end - first;
        }
    if (done == 0) return 0;
    if (worker) atomic_store_explicit(&p->worker[worker - 1].holds, false, memory_order_relaxed);
    if (atomic_fetch_sub(&p->unfinished, done) == done && atomic_load(&p->waiting)) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_signal(&p->finished);
        pthread_mutex_unlock(&p->lock);
    }
    return done;
}

/* Is there another loop than that of this number? Waits a while for it. */
static bool another(gr_pool *p, uint32_t number)
{
    const double begin = now();
    do {
        for (int i = 0; i < 16; i++) {
            if (atomic_load(&p->number) != number) return true;
            relax();
        }
    } while (now() - begin < AWAKE);
    return false;
}

static void *worker_main(void *arg)
{
    gr_worker *self = arg;
    gr_pool *p = self->pool;
    uint32_t number = self->number; /* of the last loop that it looked at */
    bool stop = false;
    while (!stop) {
        if (atomic_load_explicit(&self->lent, memory_order_relaxed) || !another(p, number)) {
            pthread_mutex_lock(&p->lock);
            atomic_fetch_add(&p->asleep, 1);
            while (atomic_load(&p->number) == number && !p->stop) pthread_cond_wait(&p->wake, &p->lock);
            atomic_fetch_sub(&p->asleep, 1);
            stop = p->stop;
            pthread_mutex_unlock(&p->lock);
            wake(p);
        }
        number = atomic_load(&p->number);
        work(p, (int)(self - p->worker) + 1);
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
    p->processor = -1;
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
        w->pool = p, w->number = atomic_load(&p->number);
        atomic_store(&w->holds, false);
        atomic_store(&w->lent, false);
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
#if defined(__linux__) && !defined(__ANDROID__)
#define PLACES 1 /* threads can be told on which processors to run */
static bool place(const gr_worker *w, const cpu_set_t *set) { return pthread_setaffinity_np(w->thread, sizeof *set, set) == 0; }
#else
#define PLACES 0
#endif

/* The workers leave the caller the processor on which it is. A virtual machine's idle processors look as if they were taken, so
 * that Linux wakes a worker on that of its waker: there both take turns, for milliseconds, while another processor has nothing to
 * do. Not so where threads are more than processors: they have to share anyway. */
static void keep_clear(gr_pool *p)
{
#if PLACES
    const int processor = sched_getcpu();
    if (processor == p->processor) return;
    p->processor = processor;
    cpu_set_t set;
    if (processor < 0 || processor >= CPU_SETSIZE || sched_getaffinity(0, sizeof set, &set) != 0) return;
    if (CPU_COUNT(&set) > p->started) CPU_CLR((size_t)processor, &set);
    for (int i = 0; i < p->started; i++) {
        atomic_store_explicit(&p->worker[i].lent, false, memory_order_relaxed);
        place(&p->worker[i], &set);
    }
#else
    (void)p;
#endif
}

/* Gives a worker that is not run the processor of the caller, which is about to sleep. The worker sleeps as soon as it is done, so
 * that the caller has it back. */
static bool lend(gr_pool *p, gr_worker *w)
{
#if PLACES
    cpu_set_t set;
    const int processor = sched_getcpu();
    if (processor < 0 || processor >= CPU_SETSIZE) return false;
    CPU_ZERO(&set);
    CPU_SET((size_t)processor, &set);
    p->processor = -1; /* to be told again to keep clear */
    atomic_store_explicit(&w->lent, true, memory_order_relaxed);
    return place(w, &set);
#else
    (void)p, (void)w;
    return false;
#endif
}

static void publish(gr_pool *p, const loop *l)
{
    const int shares = atomic_load(&p->started) + 1 < l->chunks ? atomic_load(&p->started) + 1 : l->chunks;
    const uint32_t number = atomic_load(&p->number) + 1;
    atomic_store_explicit(&p->fn, l->fn, memory_order_relaxed);
    atomic_store_explicit(&p->user, l->user, memory_order_relaxed);
    atomic_store_explicit(&p->n, l->n, memory_order_relaxed);
    atomic_store_explicit(&p->chunks, l->chunks, memory_order_relaxed);
    atomic_store_explicit(&p->shares, shares, memory_order_relaxed);
    atomic_store_explicit(&p->unfinished, l->chunks, memory_order_relaxed);
    for (int i = 0; i < shares; i++)
        atomic_store_explicit(&p->share[i].left, SHARE(number, begin_of(l->chunks, shares, i), begin_of(l->chunks, shares, i + 1)), memory_order_release);
    atomic_store(&p->number, number);
    wake(p);
}

/* The time that the thread ran so far; what has no such clock is taken to run. */
static double ran(const gr_worker *w)
{
#if defined(_POSIX_THREAD_CPUTIME) && _POSIX_THREAD_CPUTIME >= 0
    clockid_t clock;
    if (pthread_getcpuclockid(w->thread, &clock) == 0) return clock_ns(clock);
#endif
    (void)w;
    return now();
}

static bool done(gr_pool *p) { return atomic_load(&p->unfinished) == 0; }

/* Waits about so many ns for it, awake. */
static bool spin(gr_pool *p, double ns)
{
    const double begin = now();
    do {
        for (int i = 0; i < 16; i++) {
            if (done(p)) return true;
            relax();
        }
    } while (now() - begin < ns);
    return false;
}

/* The same asleep. */
static bool nap(gr_pool *p, double ns)
{
    const double until = clock_ns(CLOCK_REALTIME) + ns;
    const struct timespec t = { .tv_sec = (time_t)(until / 1e9), .tv_nsec = (long)fmod(until, 1e9) };
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->waiting, true);
    while (!done(p) && pthread_cond_timedwait(&p->finished, &p->lock, &t) == 0) continue;
    atomic_store(&p->waiting, false);
    pthread_mutex_unlock(&p->lock);
    return done(p);
}

/* Until all chunks are done. Where a worker has one and did not run for half of the time since the last look, the caller sleeps in
 * its place. */
static void await(gr_pool *p)
{
    if (spin(p, LOOK)) return;
    const int workers = atomic_load(&p->started);
    double time[GR_MAX_THREADS - 1], begin = now(), last = begin;
    for (int i = 0; i < workers; i++) time[i] = ran(&p->worker[i]);
    bool lent = false;
    while (!(lent || last - begin > AWAIT ? nap(p, NAP) : spin(p, LOOK))) {
        const double before = last;
        last = now();
        for (int i = 0; i < workers; i++) {
            gr_worker *w = &p->worker[i];
            const double earlier = time[i];
            time[i] = ran(w);
            if (atomic_load_explicit(&w->holds, memory_order_relaxed) && time[i] - earlier < (last - before) / 2 && lend(p, w)) lent = true;
        }
    }
}

static void share_out(gr_pool *p, const loop *l)
{
    p->busy = true;
    keep_clear(p);
    publish(p, l);
    work(p, 0);
    await(p);
    p->busy = false;
}

/* Short loops that follow each other soon may together be worth waking a thread, which then stays awake for the next. */
static bool worth_waking(const gr_pool *p, double ns)
{
    return ns >= WORTH_WAKING || (p->alone >= WORTH_WAKING && now() - p->last_alone < AWAKE);
}

static void run_alone(gr_pool *p, const loop *l)
{
    const double begin = now();
    l->fn(l->user, 0, l->n, 0);
    if (begin - p->last_alone > AWAKE) p->alone = 0;
    p->last_alone = now();
    p->alone += p->last_alone - begin;
}

/* Threads beyond the processors that there are would only take turns with the others. */
static int used(gr_pool *p)
{
    if (p->threads == 1) return 1;
    if (p->processors == 0) p->processors = gr__processors();
    return p->threads == 0 || (p->threads > p->processors && !p->eager) ? p->processors : p->threads;
}

int gr__parallel_workers(gr_ctx *c, double ns) { return ns >= WORTH_SHARING || c->pool.eager ? used(&c->pool) : 1; }

void gr__parallel_ranges(gr_ctx *c, int64_t n, double ns, gr_range_fn *fn, void *user)
{
    gr_pool *p = &c->pool;
    const double work = ns * (double)n;
    const int threads = n > 1 && !p->busy && (work >= WORTH_SHARING || p->eager) ? used(p) : 1;
    if (threads == 1) {
        if (n > 0) fn(user, 0, n, 0);
        return;
    }
    const double most = (double)(CHUNKS * threads), chunks = p->eager || work / PART > most ? most : work / PART;
    const loop l = { fn, user, n, (double)n < chunks ? (int)n : (int)chunks };
    if (p->eager || p->started > atomic_load(&p->asleep) || worth_waking(p, work)) {
        start(p, l.chunks < threads ? l.chunks - 1 : threads - 1);
        if (p->started > 0) {
            p->alone = 0;
            share_out(p, &l);
            return;
        }
    }
    run_alone(p, &l);
}

/* ---- how many --------------------------------------------------------------------------------------------------*/
void gr__threads_init(gr_ctx *c)
{
    const char *text = getenv("GRADUS_THREADS");
    char *end = NULL;
    long n = text ? strtol(text, &end, 10) : 0;
    c->pool.threads = end && *end == '\0' && n >= 1 && n <= GR_MAX_THREADS ? (int)n : 0;
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
    c->pool.threads = n;
    c->pool.processors = 0; /* they may be others now */
    c->pool.alone = 0;
    return true;
}

int gr_threads(const gr_ctx *c)
{
    if (!c) return 0;
    return c->pool.threads ? c->pool.threads : c->pool.processors ? c->pool.processors : gr__processors();
}
