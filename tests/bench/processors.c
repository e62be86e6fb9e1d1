/* How many processors does the machine give at the moment? A virtual one has at times fewer than it shows, or two that are threads
 * of one core.
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tests/bench/bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

enum { CHAINS = 128 }; /* independent sums: as many as the units for multiplication are ever busy with */

typedef struct counter {
    pthread_t thread;
    int place;    /* among the processors that the process may use */
    double span, speed;
} counter;

static void take_place(int place)
{
#if defined(__linux__) && !defined(__ANDROID__)
    cpu_set_t all, own;
    if (sched_getaffinity(0, sizeof all, &all) != 0) return;
    CPU_ZERO(&own);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET((size_t)i, &all) && place-- == 0) CPU_SET((size_t)i, &own);
    if (CPU_COUNT(&own) == 1) pthread_setaffinity_np(pthread_self(), sizeof own, &own);
#else
    (void)place;
#endif
}

static void *count(void *arg)
{
    counter *k = arg;
    float x[CHAINS] = { 0 };
    take_place(k->place);
    const double begin = bench_now().wall;
    double turns = 0, end;
    do {
        for (int turn = 0; turn < 1000; turn++)
            for (int i = 0; i < CHAINS; i++) x[i] = x[i] * 0.999f + 0.5f;
        turns++;
        end = bench_now().wall;
    } while (end - begin < k->span);
    for (int i = 1; i < CHAINS; i++) x[0] += x[i];
    k->speed = turns / (end - begin) * (x[0] > 0);
    return NULL;
}

/* The speeds of these together. */
static double speed(counter *k, int n)
{
    int started = 0;
    double sum = 0;
    while (started < n && pthread_create(&k[started].thread, NULL, count, &k[started]) == 0) started++;
    for (int i = 0; i < started; i++) {
        pthread_join(k[i].thread, NULL);
        sum += k[i].speed;
    }
    return sum;
}

int processors_main(int n)
{
    counter k[64];
    char word[64];
    double span;
    if (n < 1 || n > (int)(sizeof k / sizeof *k)) return 2;
    while (scanf("%63s %lf", word, &span) == 2) {
        double alone = 0;
        for (int i = 0; i < n; i++) k[i] = (counter){ .place = i, .span = span / (n + 1) };
        for (int i = 0; i < n; i++) alone += speed(&k[i], 1);
        const double together = speed(k, n);
        printf("%.6f\n", n * together / alone);
        fflush(stdout);
    }
    return 0;
}
