/* The update loops of optimisers: one pass over a parameter, its gradient and its state.
 * Knows no rule's name or default: the coefficients come ready.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"

#include <math.h>

#define UPDATES(S, T, SQRT)                                                                                          \
    static void S##_sgd(int64_t n, const gr_sgd_args *h, void *w_, const void *g_, void *v_)                         \
    {                                                                                                                \
        const T lr = (T)h->lr, mu = (T)h->momentum, keep = (T)h->undamped, decay = (T)h->decay;                      \
        T *restrict w = w_, *restrict v = v_;                                                                        \
        const T *restrict g = g_;                                                                                    \
        if (!v) {                                                                                                    \
            for (int64_t i = 0; i < n; i++) w[i] -= lr * (g[i] + decay * w[i]);                                      \
        } else if (h->first) { /* the buffer starts as the gradient itself */                                        \
            for (int64_t i = 0; i < n; i++) {                                                                        \
                const T d = g[i] + decay * w[i];                                                                     \
                v[i] = d;                                                                                            \
                w[i] -= lr * (h->nesterov ? d + mu * d : d);                                                         \
            }                                                                                                        \
        } else if (h->nesterov) {                                                                                    \
            for (int64_t i = 0; i < n; i++) {                                                                        \
                const T d = g[i] + decay * w[i];                                                                     \
                v[i] = mu * v[i] + keep * d;                                                                         \
                w[i] -= lr * (d + mu * v[i]);                                                                        \
            }                                                                                                        \
        } else {                                                                                                     \
            for (int64_t i = 0; i < n; i++) {                                                                        \
                v[i] = mu * v[i] + keep * (g[i] + decay * w[i]);                                                     \
                w[i] -= lr * v[i];                                                                                   \
            }                                                                                                        \
        }                                                                                                            \
    }                                                                                                                \
    static void S##_adam(int64_t n, const gr_adam_args *h, void *w_, const void *g_, void *m_, void *v_, void *top_) \
    {                                                                                                                \
        /* size m / (sqrt(v) / root + eps), with one division */                                                     \
        const T size = (T)(h->size * h->root), eps = (T)(h->eps * h->root), decay = (T)h->decay, shrink = (T)h->shrink; \
        const T b1 = (T)h->beta1, c1 = (T)(1 - h->beta1), b2 = (T)h->beta2, c2 = (T)(1 - h->beta2);                  \
        T *restrict w = w_, *restrict m = m_, *restrict v = v_, *restrict top = top_;                                \
        const T *restrict g = g_;                                                                                    \
        if (top) { /* amsgrad: the largest second moment so far; a NaN stays */                                      \
            for (int64_t i = 0; i < n; i++) {                                                                        \
                const T d = g[i] + decay * w[i];                                                                     \
                m[i] = b1 * m[i] + c1 * d;                                                                           \
                v[i] = b2 * v[i] + c2 * d * d;                                                                       \
                top[i] = v[i] > top[i] || v[i] != v[i] ? v[i] : top[i];                                              \
                w[i] = shrink * w[i] - size * m[i] / (SQRT(top[i]) + eps);                                           \
            }                                                                                                        \
            return;                                                                                                  \
        }                                                                                                            \
        for (int64_t i = 0; i < n; i++) {                                                                            \
            const T d = g[i] + decay * w[i];                                                                         \
            m[i] = b1 * m[i] + c1 * d;                                                                               \
            v[i] = b2 * v[i] + c2 * d * d;                                                                           \
            w[i] = shrink * w[i] - size * m[i] / (SQRT(v[i]) + eps);                                                 \
        }                                                                                                            \
    }
UPDATES(f32, float, sqrtf)
IF_OWN_F64(UPDATES(f64, double, sqrt))

void FOR_ISA(gr__fill_update)(gr_kernel_table *t)
{
    SET_FLOATS(sgd, sgd);
    SET_FLOATS(adam, adam);
}
