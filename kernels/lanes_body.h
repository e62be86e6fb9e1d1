/* The vectors of lanes.h for one type: T, its suffix S, its integer of the same size I. No include guard: it is included once for
 * each type.
 * SPDX-License-Identifier: MIT */
#define vec N(S, vec)
#define mask N(S, mask)
#define W N(S, W)
#define LANES N(S, LANES)
typedef T vec __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));
typedef I mask __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias)); /* all bits of a lane, or none */
enum { W = VECTOR_BYTES / (int)sizeof(T), LANES = PANEL * W };

INLINE vec N(S, all)(T x) { return x - (vec){ 0 }; }
INLINE vec N(S, load)(const T *p) { return *(const vec *)p; }
INLINE void N(S, store)(T *p, vec v) { *(vec *)p = v; }
/* where m is set a, elsewhere b */
INLINE vec N(S, choose)(mask m, vec a, vec b) { return (vec)((m & (mask)a) | (~m & (mask)b)); }

/* The first n < W lanes, the others as in rest; memory beyond n is not touched. */
#ifdef __AVX2__
INLINE vec N(S, load_first)(const T *p, int64_t n, vec rest) { return N(LOAD_FIRST, S)(p, n, rest); }
INLINE void N(S, store_first)(T *p, int64_t n, vec v) { N(STORE_FIRST, S)(p, n, v); }
#else
static APART MAYBE_UNUSED vec N(S, load_first)(const T *p, int64_t n, vec rest)
{
    for (int64_t k = 0; k < n; k++) rest[k] = p[k];
    return rest;
}
static APART MAYBE_UNUSED void N(S, store_first)(T *p, int64_t n, vec v)
{
    for (int64_t k = 0; k < n; k++) p[k] = v[k];
}
#endif

/* n elements from p, or W where n is more, the others as in rest */
INLINE vec N(S, take)(const T *p, int64_t n, vec rest) { return n >= W ? N(S, load)(p) : N(S, load_first)(p, n, rest); }
INLINE void N(S, put)(T *p, int64_t n, vec v)
{
    if (n >= W) N(S, store)(p, v);
    else N(S, store_first)(p, n, v);
}

/* p[at[k]] in lane k */
INLINE vec N(S, gather_lanes)(const T *p, mask at)
{
#ifdef __AVX2__
    return N(GATHER, S)(p, at);
#else
    vec v;
    UNROLL for (int k = 0; k < W; k++) v[k] = p[at[k]];
    return v;
#endif
}

/* a > b ? a : b and a < b ? a : b: b where one is a NaN */
INLINE vec N(S, larger_of)(vec a, vec b)
{
#ifdef __AVX2__
    return N(LARGER, S)(a, b);
#else
    return N(S, choose)(a > b, a, b);
#endif
}
INLINE vec N(S, smaller_of)(vec a, vec b)
{
#ifdef __AVX2__
    return N(SMALLER, S)(a, b);
#else
    return N(S, choose)(a < b, a, b);
#endif
}

/* of the lanes: their sum in double, the largest that is no NaN */
INLINE double N(S, lanes_total)(vec v)
{
#ifdef __AVX2__
    return N(TOTAL, S)(v);
#else
    double sum = 0;
    for (int k = 0; k < W; k++) sum += (double)v[k];
    return sum;
#endif
}
INLINE T N(S, lanes_largest)(vec v)
{
#ifdef __AVX2__
    return N(LARGEST, S)(v);
#else
    T most = v[0];
    for (int k = 1; k < W; k++) most = v[k] > most ? v[k] : most;
    return most;
#endif
}

#undef vec
#undef mask
#undef W
#undef LANES
