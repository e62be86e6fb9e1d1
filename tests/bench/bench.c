/* The benchmark: what gradus takes for training steps, nodes, operations and matrix products. compare.py sets it beside a
 * peer; a figure from here alone says little on a machine that others use too.
 * SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "tests/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const bench_case *const tables[] = { train_cases, graph_cases, op_cases };
enum { TABLES = sizeof tables / sizeof *tables };
static int threads = 1; /* of each context */

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bench_time bench_now(void) { return (bench_time){ seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID) }; }

/* ---- one case --------------------------------------------------------------------------------------------------*/
static bool same_name(const bench_case *k, int64_t size, const char *name)
{
    char full[64];
    if (size) snprintf(full, sizeof full, "%s/%lld", k->name, (long long)size);
    else snprintf(full, sizeof full, "%s", k->name);
    return strcmp(full, name) == 0;
}

static bool open_case(const char *name, bench_run *r)
{
    static const int64_t none[] = { 0 };
    for (int t = 0; t < TABLES; t++)
        for (const bench_case *k = tables[t]; k->name; k++) {
            const int64_t *size = k->sizes ? k->sizes : none;
            while (*size && !same_name(k, *size, name)) size++;
            if (!same_name(k, *size, name)) continue;
            *r = (bench_run){ .k = k, .c = gr_ctx_new(NULL), .n = *size };
            gr_set_threads(r->c, threads);
            k->make(r);
            return !gr_failed(r->c);
        }
    fprintf(stderr, "no case is called %s\n", name);
    return false;
}

static void close_case(bench_run *r)
{
    if (gr_failed(r->c)) fprintf(stderr, "%s: %s\n", r->k->name, gr_message(r->c));
    gr_ctx_free(r->c);
}

/* Time of one unit, from as many runs as `span` seconds hold. */
static bench_time slice(bench_run *r, double span)
{
    double per = (double)(r->k->per ? r->k->per : r->n), runs = 0, count = 1;
    bench_time start = bench_now(), now = start;
    do { /* asks the clock rarely where a run is short */
        for (double i = 0; i < count; i++) r->k->once(r);
        runs += count;
        now = bench_now();
        if (now.cpu - start.cpu < span / 100) count *= 2;
    } while (now.cpu - start.cpu < span);
    return (bench_time){ (now.wall - start.wall) / runs / per, (now.cpu - start.cpu) / runs / per };
}

/* ---- subcommands -----------------------------------------------------------------------------------------------*/
static int list(void)
{
    for (int t = 0; t < TABLES; t++)
        for (const bench_case *k = tables[t]; k->name; k++) {
            const int64_t *size = k->sizes;
            if (!size) printf("%s\t%s\t%s\n", k->name, k->unit, k->words);
            else
                for (; *size; size++) printf("%s/%lld\t%s\t%s\n", k->name, (long long)*size, k->unit, k->words);
        }
    return 0;
}

/* Lines "NAME SECONDS" on stdin, for each a line "WALL CPU" of seconds per unit. What was made for a case stays while it is
 * asked for again. */
static int serve(void)
{
    char name[64], open[64] = "";
    double span;
    bench_run r = { 0 };
    while (scanf("%63s %lf", name, &span) == 2) {
        if (strcmp(name, open) != 0) {
            if (r.c) close_case(&r);
            if (!open_case(name, &r)) return 1;
            memcpy(open, name, sizeof open);
            slice(&r, span); /* warms up */
        }
        bench_time t = slice(&r, span);
        printf("%.6e %.6e\n", t.wall, t.cpu);
        fflush(stdout);
    }
    if (r.c) close_case(&r);
    return 0;
}

static int time_cases(char **name, int n, double span)
{
    for (int i = 0; i < n; i++) {
        bench_run r;
        if (!open_case(name[i], &r)) return 1;
        slice(&r, span);
        bench_time t = slice(&r, span);
        printf("%-24s %12.3f ns per %s (cpu), %.3f (wall)\n", name[i], 1e9 * t.cpu, r.k->unit, 1e9 * t.wall);
        close_case(&r);
    }
    return 0;
}

static long peak_kib(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long kib = -1;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %ld", &kib) == 1) break;
    if (f) fclose(f);
    return kib;
}

/* In a process of its own: memory of `steps` runs of a case, and whether it still grows. */
static int memory(const char *name, int steps)
{
    bench_run r;
    if (!open_case(name, &r)) return 1;
    r.k->once(&r);
    gr_stats first = gr_ctx_stats(r.c);
    for (int i = 1; i < steps; i++) r.k->once(&r);
    gr_stats last = gr_ctx_stats(r.c);
    printf("%ld KiB peak of the process, %zu KiB of the context, %zu nodes per step, %zu allocations after step 1\n", peak_kib(),
           last.bytes_peak / 1024, (last.nodes - first.nodes) / (size_t)(steps - 1), last.allocations - first.allocations);
    close_case(&r);
    return 0;
}

static int nothing(void)
{
    gr_ctx *c = gr_ctx_new(NULL);
    double one = gr_item(gr_exp(gr_zeros(c, GR_SHAPE(1))));
    gr_ctx_free(c);
    return one != 1;
}

/* From fork to the end of a process that computes one number: the least of many, beside a process that does nothing. */
static int start_up(const char *self)
{
    enum { N = 101 };
    const char *const command[2][2] = { { self, "nothing" }, { "/bin/true", NULL } };
    double best[2] = { 1e9, 1e9 };
    for (int i = 0; i < N; i++)
        for (int k = 0; k < 2; k++) {
            double start = bench_now().wall;
            pid_t child = fork();
            if (child == 0) {
                execl(command[k][0], command[k][0], command[k][1], (char *)NULL);
                _exit(127);
            }
            int status = 1;
            if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) return 1;
            double t = bench_now().wall - start;
            if (t < best[k]) best[k] = t;
        }
    printf("%.2f ms from fork to exit, of which %.2f ms are any process's (/bin/true)\n", 1e3 * best[0], 1e3 * best[1]);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--threads") == 0) threads = atoi(argv[2]), argv[2] = argv[0], argc -= 2, argv += 2;
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "list") == 0) return list();
    if (strcmp(verb, "serve") == 0) return serve();
    if (strcmp(verb, "time") == 0 && argc > 2) return time_cases(argv + 2, argc - 2, 0.2);
    if (strcmp(verb, "gemm") == 0) return gemm_main(argc > 2 ? atoi(argv[2]) : 11, threads, argv + 3, argc > 3 ? argc - 3 : 0);
    if (strcmp(verb, "functions") == 0) return functions_main(argc > 2 ? atoi(argv[2]) : 11);
    if (strcmp(verb, "memory") == 0 && argc > 2) return memory(argv[2], argc > 3 ? atoi(argv[3]) : 20);
    if (strcmp(verb, "processors") == 0 && argc > 2) return processors_main(atoi(argv[2]));
    if (strcmp(verb, "start") == 0) return start_up(argv[0]);
    if (strcmp(verb, "nothing") == 0) return nothing();
    fputs("usage: bench [--threads N] list | time CASE... | memory CASE | gemm [ROUNDS [SHAPE...]] | functions [ROUNDS] |\n"
          "                           processors N | start | serve\n", stderr);
    return 2;
}
