/* What the benchmark's files share: the record of one thing that can be timed, and clocks.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_BENCH_H
#define GRADUS_BENCH_H

#include "gradus.h"

typedef struct bench_run bench_run;

/* To add a case is to add one record to a table; its peer, if it has one, is the function of that name in torch_side.py. */
typedef struct bench_case {
    const char *name, *words;
    const char *unit;            /* what `per` counts: "step", "node", "element" */
    int64_t per;                 /* units in one run; 0: the size */
    const int64_t *sizes;        /* the case is called name/size, for each; ends with 0. NULL: no sizes */
    void (*make)(bench_run *r);
    void (*once)(bench_run *r);  /* one run: what is timed */
    const void *detail;
} bench_case;

struct bench_run {
    const bench_case *k;
    gr_ctx *c;
    int64_t n; /* the size; 0: none */
    gr_module *net;
    gr_optim *opt;
    gr_tensor *x, *y, *out;
};

extern const bench_case train_cases[], graph_cases[], op_cases[]; /* each ends with a record without name */

typedef struct bench_time {
    double wall, cpu; /* seconds; cpu: of the whole process, all threads */
} bench_time;
bench_time bench_now(void);

int gemm_main(int rounds, int threads, char **only, int count); /* the shapes of these names; count 0: all */
int functions_main(int rounds);
int processors_main(int n); /* for each line "WORD SECONDS" prints how many of n processors were there in that time */

gr_module *gpt(gr_ctx *c); /* gpt.c: [n, 64] words, i64, to logits [n, 64, 65] */

/* graph.c and fused.c: the mean of y over n elements, and its gradients by p and t, in two loops without a graph */
float fused_loss(int64_t n, const float *p, const float *t, float *dp, float *dt);

/* by_hand.c: a step of a 784-64-10 network on 64 rows of x, over OpenBLAS; false: it is not installed */
bool mlp_by_hand(const float *x, const int64_t *labels);

#endif
