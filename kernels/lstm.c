/* One step of an LSTM, forward and backward, for rows of n units: the four gates, the state and the result of a unit are
 * computed together, so that each number is read and written once. Knows no tensor.
 *
 * A row of y is h, c, i, f, g, o: n of each. A row of gates is what goes into i, f, g, o.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"
#include "kernels/vmath.h"

/* A part of a row that is written has a pointer of its own: the compiler would take parts that are n apart for overlapping. */
#define LSTM(S, T)                                                                                                   \
    static APART void S##_logistic(int64_t n, T *x)                                                                  \
    {                                                                                                                \
        for (int64_t j = 0; j < n; j++) x[j] = V(logistic)(x[j]);                                                    \
    }                                                                                                                \
    static APART void S##_tanh(int64_t n, const T *x, T *y)                                                          \
    {                                                                                                                \
        for (int64_t j = 0; j < n; j++) y[j] = V(tanh)(x[j]);                                                        \
    }                                                                                                                \
    INLINE void S##_gates(int64_t n, const T *restrict a, const T *restrict b, T *restrict gates)                    \
    {                                                                                                                \
        for (int64_t j = 0; j < 4 * n; j++) gates[j] = a[j] + b[j];                                                  \
        S##_logistic(2 * n, gates);                                                                                  \
        S##_tanh(n, gates + 2 * n, gates + 2 * n);                                                                   \
        S##_logistic(n, gates + 3 * n);                                                                              \
    }                                                                                                                \
    INLINE void S##_state(int64_t n, const T *restrict gates, const T *restrict c, T *restrict h, T *restrict state) \
    {                                                                                                                \
        for (int64_t j = 0; j < n; j++) state[j] = gates[n + j] * c[j] + gates[j] * gates[2 * n + j];                \
        S##_tanh(n, state, h);                                                                                       \
        for (int64_t j = 0; j < n; j++) h[j] *= gates[3 * n + j];                                                    \
    }                                                                                                                \
    static void S##_lstm(int64_t rows, int64_t n, const void *a_, const void *b_, const void *c_, int64_t cs, void *y_) \
    {                                                                                                                \
        const T *a = a_, *b = b_, *c = c_;                                                                           \
        T *y = y_;                                                                                                   \
        for (int64_t r = 0; r < rows; r++, a += 4 * n, b += 4 * n, c += cs, y += 6 * n) {                            \
            S##_gates(n, a, b, y + 2 * n);                                                                           \
            S##_state(n, y + 2 * n, c, y, y + n);                                                                    \
        }                                                                                                            \
    }                                                                                                                \
    /* a cotangent meets a local derivative: 0 * inf = 0 */                                                          \
    INLINE T S##_absorb(T d, T x)                                                                                    \
    {                                                                                                                \
        const T p = d * x;                                                                                           \
        return d == 0 ? 0 : p;                                                                                       \
    }                                                                                                                \
    INLINE void S##_units_back(int64_t n, const T *restrict y, const T *restrict c, const T *restrict dy, const T *restrict dh, \
                               T *restrict dc, T *restrict di, T *restrict df, T *restrict dg, T *restrict d_o)      \
    {                                                                                                                \
        S##_tanh(n, y + n, di);                                                                                      \
        for (int64_t j = 0; j < n; j++) {                                                                            \
            const T state = di[j], i = y[2 * n + j], f = y[3 * n + j], g = y[4 * n + j], o = y[5 * n + j];           \
            const T d = dy[j] + dh[j], s = dc[j] + dy[n + j] + S##_absorb(S##_absorb(d, o), 1 - state * state);      \
            di[j] = S##_absorb(dy[2 * n + j] + S##_absorb(s, g), i * (1 - i));                                       \
            df[j] = S##_absorb(dy[3 * n + j] + S##_absorb(s, c[j]), f * (1 - f));                                    \
            dg[j] = S##_absorb(dy[4 * n + j] + S##_absorb(s, i), 1 - g * g);                                         \
            d_o[j] = S##_absorb(dy[5 * n + j] + S##_absorb(d, state), o * (1 - o));                                  \
            dc[j] = S##_absorb(s, f);                                                                                \
        }                                                                                                            \
    }                                                                                                                \
    static void S##_lstm_back(int64_t rows, int64_t n, const void *y_, const void *c_, int64_t cs, const void *dy_, const void *dh_, \
                              void *dc_, void *da_)                                                                  \
    {                                                                                                                \
        const T *y = y_, *c = c_, *dy = dy_, *dh = dh_;                                                              \
        T *dc = dc_, *da = da_;                                                                                      \
        for (int64_t r = 0; r < rows; r++, y += 6 * n, c += cs, dy += 6 * n, dh += n, dc += n, da += 4 * n)          \
            S##_units_back(n, y, c, dy, dh, dc, da, da + n, da + 2 * n, da + 3 * n);                                 \
    }

#define V(f) v32_##f
LSTM(f32, float)
#undef V
#ifdef OWN_F64
#define V(f) v64_##f
LSTM(f64, double)
#undef V
#endif

void FOR_ISA(gr__fill_lstm)(gr_kernel_table *t)
{
    SET_FLOATS(lstm, lstm);
    SET_FLOATS(lstm_back, lstm_back);
}
