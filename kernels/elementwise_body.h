/* The float loops of elementwise.c for one type (types.h). No include guard: it is included once for each type.
 * SPDX-License-Identifier: MIT */
#define N2(a, b) a##_##b
#define N(a, b) N2(a, b)
#define larger N(S, larger)
#define sign_of N(S, sign_of)
#define smaller N(S, smaller)
#define share N(S, share)

/* ---- one element ------------------------------------------------------------------------------------------------------*/
static inline T sign_of(T x) { return x != x ? x : (T)(x > 0 ? 1 : 0) - (T)(x < 0 ? 1 : 0); }
static inline T larger(T a, T b) { return a > b || a != a ? a : b; }
static inline T smaller(T a, T b) { return a < b || a != a ? a : b; }
/* the part of dy that goes to a: ties are shared, a NaN takes all */
static inline T share(T a, T b)
{
    if (a != a) return b != b ? (T)0.5 : 1;
    return a > b ? 1 : a == b ? (T)0.5 : 0;
}

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
GR_EW_PLAIN(UNARY)
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
GR_EW_BINARY_PLAIN(BINARY)
#undef BINARY
#undef BINARY_D

#define COMPARE(name, op)                                                                                            \
    static void N(S, name)(int64_t n, char *const *p)                                                                \
    {                                                                                                                \
        bool *y = (bool *)p[0];                                                                                      \
        const T *a = (const T *)(const void *)p[1], *b = (const T *)(const void *)p[2];                              \
        INDEPENDENT for (int64_t i = 0; i < n; i++) y[i] = a[i] op b[i];                                             \
    }
COMPARE(eq, ==) COMPARE(ne, !=) COMPARE(lt, <) COMPARE(le, <=)
#undef COMPARE
MIRRORED(N(S, gt), N(S, lt))
MIRRORED(N(S, ge), N(S, le))

#undef N
#undef N2
#undef larger
#undef sign_of
#undef smaller
#undef share
