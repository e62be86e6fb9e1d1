/* The random stream of a context: Philox 4x32-10, a function of (seed, position), so any thread can make any part.
 * Source: Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011), with its constants.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"

#include <math.h>

typedef struct quad {
    uint32_t v[4];
} quad;

static quad philox(uint64_t seed, uint64_t position)
{
    uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
    quad x = { { (uint32_t)position, (uint32_t)(position >> 32), 0, 0 } };
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * x.v[0], b = (uint64_t)0xCD9E8D57u * x.v[2];
        x = (quad){ { (uint32_t)(b >> 32) ^ x.v[1] ^ key[0], (uint32_t)b, (uint32_t)(a >> 32) ^ x.v[3] ^ key[1], (uint32_t)a } };
        key[0] += 0x9E3779B9u; /* the golden ratio */
        key[1] += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    return x;
}

static uint64_t word(quad q, int half) { return (uint64_t)q.v[2 * half] << 32 | q.v[2 * half + 1]; }

/* 53 bits in [0, 1); for f32, 24 bits, so that rounding never gives 1. */
static double uniform(uint64_t w, bool f32) { return f32 ? (double)(w >> 40) * 0x1p-24 : (double)(w >> 11) * 0x1p-53; }

uint64_t gr__random_u64(gr_ctx *c) { return word(philox(c->seed, c->drawn++), 0); }

typedef struct fill_job {
    gr_tensor *t;
    uint64_t seed, position;
    bool normal;
} fill_job;

/* One position of the stream makes two numbers: elements 2 i and 2 i + 1. */
static void fill_pairs(void *user, int64_t begin, int64_t end, int worker)
{
    const double two_pi = 6.283185307179586;
    const fill_job *j = user;
    const gr_tensor *t = j->t;
    const bool f32 = t->dtype == GR_F32;
    (void)worker;
    for (int64_t i = 2 * begin; i < 2 * end && i < t->numel; i += 2) {
        quad q = philox(j->seed, j->position + (uint64_t)i / 2);
        double a = uniform(word(q, 0), f32), b = uniform(word(q, 1), f32);
        if (j->normal) { /* Box-Muller; 1 - a is in (0, 1] */
            double r = sqrt(-2 * log(1 - uniform(word(q, 0), false))), angle = two_pi * uniform(word(q, 1), false);
            a = r * cos(angle);
            b = r * sin(angle);
        }
        for (int k = 0; k < 2 && i + k < t->numel; k++) {
            if (f32) ((float *)(void *)t->data)[i + k] = (float)(k ? b : a);
            else ((double *)(void *)t->data)[i + k] = k ? b : a;
        }
    }
}

void gr__random_fill(gr_ctx *c, gr_tensor *t, bool normal)
{
    fill_job j = { t, c->seed, c->drawn, normal };
    const int64_t pairs = (t->numel + 1) / 2;
    gr__parallel_ranges(c, pairs, normal ? 60 : 18, fill_pairs, &j);
    c->drawn += (uint64_t)pairs;
}
