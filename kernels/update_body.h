/* update.c for one type. No include guard: included once for each.
 * SPDX-License-Identifier: MIT */
static void N(S, sgd)(int64_t n, const gr_sgd_args *h, void *w_, const void *g_, void *v_)
{
    const T lr = (T)h->lr, mu = (T)h->momentum, keep = (T)h->undamped, decay = (T)h->decay;
    T *restrict w = w_, *restrict v = v_;
    const T *restrict g = g_;
    if (!v) {
        for (int64_t i = 0; i < n; i++) w[i] -= lr * (g[i] + decay * w[i]);
    } else if (h->first) { /* the buffer starts as the gradient itself */
        for (int64_t i = 0; i < n; i++) {
            const T d = g[i] + decay * w[i];
            v[i] = d;
            w[i] -= lr * (h->nesterov ? d + mu * d : d);
        }
    } else if (h->nesterov) {
        for (int64_t i = 0; i < n; i++) {
            const T d = g[i] + decay * w[i];
            v[i] = mu * v[i] + keep * d;
            w[i] -= lr * (d + mu * v[i]);
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            v[i] = mu * v[i] + keep * (g[i] + decay * w[i]);
            w[i] -= lr * v[i];
        }
    }
}

/* The root by the machine's instruction, the quotient by steps of Newton's where it has an estimate: the unit that does both would
 * else be what everything waits for. top: the largest second moment so far, where a NaN stays. */
static void N(S, adam)(int64_t n, const gr_adam_args *h, void *w_, const void *g_, void *m_, void *v_, void *top_)
{
    typedef N(S, vec) vec;
    /* size m / (sqrt(v) / root + eps), with one division */
    const vec size = N(S, all)((T)(h->size * h->root)), eps = N(S, all)((T)(h->eps * h->root)), decay = N(S, all)((T)h->decay);
    const vec shrink = N(S, all)((T)h->shrink), b1 = N(S, all)((T)h->beta1), c1 = N(S, all)((T)(1 - h->beta1));
    const vec b2 = N(S, all)((T)h->beta2), c2 = N(S, all)((T)(1 - h->beta2)), none = { 0 };
    T *const w = w_, *const m = m_, *const v = v_, *const top = top_;
    const T *const g = g_;
    for (int64_t i = 0; i < n; i += N(S, W)) {
        const int64_t some = n - i;
        const vec old = N(S, take)(w + i, some, none), d = N(S, fma)(decay, old, N(S, take)(g + i, some, none));
        const vec first = N(S, fma)(b1, N(S, take)(m + i, some, none), c1 * d);
        vec second = N(S, fma)(b2, N(S, take)(v + i, some, none), c2 * d * d);
        N(S, put)(m + i, some, first);
        N(S, put)(v + i, some, second);
        if (top) {
            second = N(S, larger_of)(N(S, take)(top + i, some, none), second);
            N(S, put)(top + i, some, second);
        }
        N(S, put)(w + i, some, N(S, fma)(shrink, old, -(size * first * V(inverse)(V(root)(second) + eps))));
    }
}
