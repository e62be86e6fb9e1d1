/* The float loops of elementwise.c for one type: T, its suffix S, its functions M(f), V(f). No include guard: it is
 * included once for each type.
 * SPDX-License-Identifier: MIT */
#define N2(a, b) a##_##b
#define N(a, b) N2(a, b)
#define from_logits N(S, from_logits)
#define larger N(S, larger)
#define sign_of N(S, sign_of)
#define floored_log N(S, floored_log)
#define smaller N(S, smaller)
#define share N(S, share)
#define power_da N(S, power_da)
#define power_db N(S, power_db)

/* ---- one input: value, and dy * derivative ---------------------------------------------------------------------------*/
#define UNARY(name, value, d, reads)                                                                                 \
    static void N(S, name)(int64_t n, char *const *p)                                                                \
    {                                                                                                                \
        T *y_ = (T *)(void *)p[0];                                                                                   \
        const T *x_ = (const T *)(const void *)p[1];                                                                 \
        INDEPENDENT for (int64_t i = 0; i < n; i++) {                                                                \
            T x = x_[i];                                                                                             \
            y_[i] = (T)(value);                                                                                      \
        }                                                                                                            \
    }                                                                                                                \
    static void N(S, name##_dx)(int64_t n, char *const *p)                                                           \
    {                                                                                                                \
        T *r = (T *)(void *)p[0];                                                                                    \
        const T *g_ = (const T *)(const void *)p[1], *x_ = (const T *)(const void *)p[2], *y_ = (const T *)(const void *)p[3]; \
        INDEPENDENT for (int64_t i = 0; i < n; i++) {                                                                \
            T g = g_[i], x = x_[i], y = y_[i];                                                                       \
            (void)x, (void)y;                                                                                        \
            T v = g * (T)(d);                                                                                        \
            r[i] = g == 0 ? 0 : v;                                                                                   \
        }                                                                                                            \
    }
GR_EW_UNARY(UNARY)
#undef UNARY

/* ---- two inputs ------------------------------------------------------------------------------------------------------*/
#define BINARY_D(name, d)                                                                                            \
    static void N(S, name)(int64_t n, char *const *p)                                                                \
    {                                                                                                                \
        T *r = (T *)(void *)p[0];                                                                                    \
        const T *g_ = (const T *)(const void *)p[1], *a_ = (const T *)(const void *)p[2];                            \
        const T *b_ = (const T *)(const void *)p[3], *y_ = (const T *)(const void *)p[4];                            \
        INDEPENDENT for (int64_t i = 0; i < n; i++) {                                                                \
            T g = g_[i], a = a_[i], b = b_[i], y = y_[i];                                                            \
            (void)a, (void)b, (void)y;                                                                               \
            T v = g * (T)(d);                                                                                        \
            r[i] = g == 0 ? 0 : v;                                                                                   \
        }                                                                                                            \
    }
#define BINARY(name, value, da, reads_a, db, reads_b)                                                                \
    static void N(S, name)(int64_t n, char *const *p)                                                                \
    {                                                                                                                \
        T *y_ = (T *)(void *)p[0];                                                                                   \
        const T *a_ = (const T *)(const void *)p[1], *b_ = (const T *)(const void *)p[2];                            \
        INDEPENDENT for (int64_t i = 0; i < n; i++) {                                                                \
            T a = a_[i], b = b_[i];                                                                                  \
            y_[i] = (T)(value);                                                                                      \
        }                                                                                                            \
    }                                                                                                                \
    BINARY_D(name##_da, da) BINARY_D(name##_db, db)
GR_EW_BINARY(BINARY)
#undef BINARY
#undef BINARY_D

#define COMPARE(name, op)                                                                                            \
    static void N(S, name)(int64_t n, char *const *p)                                                                \
    {                                                                                                                \
        bool *y = (bool *)p[0];                                                                                      \
        const T *a = (const T *)(const void *)p[1], *b = (const T *)(const void *)p[2];                              \
        INDEPENDENT for (int64_t i = 0; i < n; i++) y[i] = a[i] op b[i];                                             \
    }
GR_EW_COMPARE(COMPARE)
#undef COMPARE

/* ---- reductions: the result accumulates ---------------------------------------------------------------------------------
 * A run into one place is summed in 8 lanes of at most 128 addends each, then in double: the error of f32 stays below
 * 128 ulp of the sum of magnitudes for any n. */
static void N(S, sum)(int64_t n, char *const *p, const int64_t *s)
{
    T *y = (T *)(void *)p[0];
    const T *x = (const T *)(const void *)p[1];
    if (s[0] != 0) {
        for (int64_t i = 0; i < n; i++) y[i * s[0]] += x[i * s[1]];
        return;
    }
    double total = 0;
    int64_t i = 0;
    for (; s[1] == 1 && i + 8 <= n;) {
        T lane[8] = { 0 };
        int64_t stop = n - i > 1024 ? i + 1024 : i + (n - i) / 8 * 8;
        for (; i < stop; i += 8)
            for (int k = 0; k < 8; k++) lane[k] += x[i + k];
        total += (((double)lane[0] + (double)lane[4]) + ((double)lane[2] + (double)lane[6])) +
                 (((double)lane[1] + (double)lane[5]) + ((double)lane[3] + (double)lane[7]));
    }
    for (; i < n; i++) total += (double)x[i * s[1]];
    *y = (T)((double)*y + total);
}

#define ACCUMULATE_FLOAT(name, expr)                                                                                 \
    static void N(S, name)(int64_t n, char *const *p, const int64_t *s)                                              \
    {                                                                                                                \
        T *y = (T *)(void *)p[0];                                                                                    \
        const T *x_ = (const T *)(const void *)p[1];                                                                 \
        for (int64_t i = 0; i < n; i++) {                                                                            \
            T x = x_[i * s[1]], a = y[i * s[0]];                                                                     \
            y[i * s[0]] = (expr);                                                                                    \
        }                                                                                                            \
    }
ACCUMULATE_FLOAT(prod, a *x)
ACCUMULATE_FLOAT(max, larger(x, a))
ACCUMULATE_FLOAT(min, smaller(x, a))
#undef ACCUMULATE_FLOAT

#undef N
#undef N2
#undef from_logits
#undef larger
#undef sign_of
#undef floored_log
#undef smaller
#undef share
#undef power_da
#undef power_db
