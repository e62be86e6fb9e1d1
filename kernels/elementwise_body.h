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

/* Calls body with strides that are constant 1 where all operands are dense: the compiler turns that into vectors. */
#define DENSE(count) dense(count, s)
#ifndef GR_ELEMENTWISE_ONCE
#define GR_ELEMENTWISE_ONCE
static inline bool dense(int count, const int64_t *s)
{
    for (int k = 0; k < count; k++)
        if (s[k] != 1) return false;
    return true;
}
#endif

/* ---- one input: value, and dy * derivative ---------------------------------------------------------------------------*/
#define UNARY(name, value, d)                                                                                        \
    static inline __attribute__((always_inline)) void N(S, name##_run)(int64_t n, T *y_, const T *x_, int64_t sy, int64_t sx) \
    {                                                                                                                \
        for (int64_t i = 0; i < n; i++) {                                                                            \
            T x = x_[i * sx];                                                                                        \
            y_[i * sy] = (T)(value);                                                                                 \
        }                                                                                                            \
    }                                                                                                                \
    static void N(S, name)(int64_t n, char *const *p, const int64_t *s)                                              \
    {                                                                                                                \
        T *y = (T *)(void *)p[0];                                                                                    \
        const T *x = (const T *)(const void *)p[1];                                                                  \
        if (DENSE(2)) N(S, name##_run)(n, y, x, 1, 1);                                                               \
        else N(S, name##_run)(n, y, x, s[0], s[1]);                                                                  \
    }                                                                                                                \
    static inline __attribute__((always_inline)) void N(S, name##_dx_run)(int64_t n, char *const *p, const int64_t *s, bool one) \
    {                                                                                                                \
        T *r = (T *)(void *)p[0];                                                                                    \
        const T *g_ = (const T *)(const void *)p[1], *x_ = (const T *)(const void *)p[2], *y_ = (const T *)(const void *)p[3]; \
        for (int64_t i = 0; i < n; i++) {                                                                            \
            T g = g_[i * (one ? 1 : s[1])], x = x_[i * (one ? 1 : s[2])], y = y_[i * (one ? 1 : s[3])];              \
            (void)x, (void)y;                                                                                        \
            T v = g * (T)(d);                                                                                        \
            r[i * (one ? 1 : s[0])] = g == 0 ? 0 : v;                                                                \
        }                                                                                                            \
    }                                                                                                                \
    static void N(S, name##_dx)(int64_t n, char *const *p, const int64_t *s)                                         \
    {                                                                                                                \
        if (DENSE(4)) N(S, name##_dx_run)(n, p, s, true);                                                            \
        else N(S, name##_dx_run)(n, p, s, false);                                                                    \
    }
GR_EW_UNARY(UNARY)
#undef UNARY

/* ---- two inputs ------------------------------------------------------------------------------------------------------*/
#define BINARY_D(name, d)                                                                                            \
    static inline __attribute__((always_inline)) void N(S, name##_run)(int64_t n, char *const *p, const int64_t *s, bool one) \
    {                                                                                                                \
        T *r = (T *)(void *)p[0];                                                                                    \
        const T *g_ = (const T *)(const void *)p[1], *a_ = (const T *)(const void *)p[2];                            \
        const T *b_ = (const T *)(const void *)p[3], *y_ = (const T *)(const void *)p[4];                            \
        for (int64_t i = 0; i < n; i++) {                                                                            \
            T g = g_[i * (one ? 1 : s[1])], a = a_[i * (one ? 1 : s[2])], b = b_[i * (one ? 1 : s[3])];              \
            T y = y_[i * (one ? 1 : s[4])];                                                                          \
            (void)a, (void)b, (void)y;                                                                               \
            T v = g * (T)(d);                                                                                        \
            r[i * (one ? 1 : s[0])] = g == 0 ? 0 : v;                                                                \
        }                                                                                                            \
    }                                                                                                                \
    static void N(S, name)(int64_t n, char *const *p, const int64_t *s)                                              \
    {                                                                                                                \
        if (DENSE(5)) N(S, name##_run)(n, p, s, true);                                                               \
        else N(S, name##_run)(n, p, s, false);                                                                       \
    }
#define BINARY(name, value, da, db)                                                                                  \
    static inline __attribute__((always_inline)) void N(S, name##_run)(int64_t n, char *const *p, int64_t sy, int64_t sa, int64_t sb) \
    {                                                                                                                \
        T *y_ = (T *)(void *)p[0];                                                                                   \
        const T *a_ = (const T *)(const void *)p[1], *b_ = (const T *)(const void *)p[2];                            \
        for (int64_t i = 0; i < n; i++) {                                                                            \
            T a = a_[i * sa], b = b_[i * sb];                                                                        \
            y_[i * sy] = (T)(value);                                                                                 \
        }                                                                                                            \
    }                                                                                                                \
    static void N(S, name)(int64_t n, char *const *p, const int64_t *s)                                              \
    {                                                                                                                \
        if (DENSE(3)) N(S, name##_run)(n, p, 1, 1, 1);                                                               \
        else if (s[0] == 1 && s[1] == 1 && s[2] == 0) N(S, name##_run)(n, p, 1, 1, 0);                               \
        else if (s[0] == 1 && s[1] == 0 && s[2] == 1) N(S, name##_run)(n, p, 1, 0, 1);                               \
        else N(S, name##_run)(n, p, s[0], s[1], s[2]);                                                               \
    }                                                                                                                \
    BINARY_D(name##_da, da) BINARY_D(name##_db, db)
GR_EW_BINARY(BINARY)
#undef BINARY
#undef BINARY_D

#define COMPARE(name, op)                                                                                            \
    static void N(S, name)(int64_t n, char *const *p, const int64_t *s)                                              \
    {                                                                                                                \
        bool *y = (bool *)p[0];                                                                                      \
        const T *a = (const T *)(const void *)p[1], *b = (const T *)(const void *)p[2];                              \
        for (int64_t i = 0; i < n; i++) y[i * s[0]] = a[i * s[1]] op b[i * s[2]];                                    \
    }
GR_EW_COMPARE(COMPARE)
#undef COMPARE

#undef DENSE
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
