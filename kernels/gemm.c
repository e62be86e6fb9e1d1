/* Matrix product c = a b, any strides: how it is cut into tiles, which the loops of gemm_loops.c compute.
 *
 * A small product is not packed: its tiles read a and b through strides. In a large one
 *
 *   for KC of k:  for MC of m:  for two vectors of n:  tiles      b[KC, 2 W] in the first cache or the second, a[MC, KC] in the second
 *
 * a[MC, KC] and b[KC, 2 W] are packed in the order in which the tiles read them, a when the first panel of b needs it, each panel of b
 * row by row while the one before it is used. So what comes from memory comes early, a few lines at a time: prefetches that
 * wait for one another would block what the steps wait for. Where a row of b is no row in memory, a panel is packed at once, through
 * transposes in registers; so is it where only b is large.
 *
 * c with at most FEW columns is done as c^T = b^T a^T, so that a vector is full of rows of a. c with at most FEW rows:
 * wide tiles, or, when both factors are contiguous along k, dot products with vectors along k. Those are taken for any
 * number of rows where the columns would leave a quarter of a vector empty and k is long, as it costs half a vector of k to add up one.
 *
 * Every c[i, j] is summed over k in an order that depends on the shape and strides alone, whichever tile it falls into; so
 * the parts of a product, which threads may share, have the bits of the whole.
 * Knows no type: the loops come with each call.
 * SPDX-License-Identifier: MIT */
#include "kernels/gemm.h"

#include <string.h>

#define NV 2 /* vectors in a row of the tile */
#define FEW GR_GEMM_FEW
#define CHUNK GR_GEMM_CHUNK
#define LARGE 6         /* tiles of rows from which packing b pays */
#define KC 512          /* c is read and written once in KC steps, or in KC_LESS where all of a is then RESIDENT and little of b need be packed */
#define KC_LESS 384
#define DIRECT 65536    /* elements of b up to which its rows are read in place */
#define SPARSE 2048     /* bytes from step to step of a from which a page of 4 KiB has two at the most: */
#define REACH 262144    /* where they fill more than 64 pages, each tile of rows waits for their addresses, and a is packed though it is small */
#define NEAR 32768      /* bytes of c that stay in the first-level cache while all of b passes by, where steps are so few that c is most of the work */
#define RESIDENT 524288 /* bytes of a that the second-level cache holds while all of b passes by, a panel at a time: half of 1 MiB */
#define MOST_BYTES 64   /* of a vector */

static inline int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }
/* element i of p */
static inline void *at(const gr_gemm_loops *l, const void *p, int64_t i) { return (char *)p + i * l->size; }

/* How many of `most` make up n: a division takes as long as a small product, so most are spared. */
static inline int64_t count_of(int64_t n, int64_t most) { return n <= most ? 1 : (n + most - 1) / most; }
/* n in as few shares of at most `most` as can be, all alike */
static int64_t share(int64_t n, int64_t most)
{
    const int64_t shares = count_of(n, most);
    return shares == 1 ? n : (n + shares - 1) / shares;
}

/* Rows of the next tile when n are left: the last two share what there is. Before them, rows in whole tiles of `most`: */
static inline int64_t tile_rows(int64_t n, int64_t most) { return n >= 2 * most ? most : n <= most ? n : (n + 1) / 2; }
static int64_t whole_tiles(int64_t n, int64_t most) { return n % most == 0 ? n : n < 2 * most ? 0 : (n / most - 1) * most; }

/* How a product is done. m, n: of the part; all else follows from the whole. */
typedef struct plan {
    const gr_gemm_loops *l;
    int64_t m, n, k, as[2], bs[2], cs[2]; /* of c = a b, or of c^T = b^T a^T if swap */
    int64_t row, column;                  /* where the part begins */
    int64_t width, kc, mc;                /* of a panel; steps, rows between changes of the panel */
    bool swap, dots, pack_a, pack_b;
} plan;

static void exchange(int64_t *a, int64_t *b)
{
    const int64_t c = *a;
    *a = *b, *b = c;
}

/* Is it one tile, of steps that take no longer than what would spare some of them? */
static inline bool is_tiny(const gr_gemm_loops *l, const gr_gemm_size *s) { return s->m <= l->rows && s->n <= l->width && s->k < CHUNK && s->bs[1] == 1; }

/* Is c^T = b^T a^T done for it? */
static inline bool is_swapped(const gr_gemm_loops *l, const gr_gemm_size *s)
{
    return s->n <= FEW && s->n < s->m && (s->as[0] == 1 || s->k >= 2 * l->width) && !is_tiny(l, s);
}

/* Do k steps of a lie on too many pages? */
static inline bool is_spread(int64_t step, int64_t k, int64_t element) { return step * element >= SPARSE && k * step * element > REACH; }

/* Is all that a plan could say that tiles read a and b in place, one after the other? To make one takes as long as a small product. */
static inline bool is_plain(const gr_gemm_loops *l, const gr_gemm_size *s)
{
    return is_tiny(l, s) ||
           (s->m > FEW && s->bs[1] == 1 && !is_swapped(l, s) && (s->m <= LARGE * l->rows || (s->n * s->k <= DIRECT && !is_spread(s->as[1], s->k, l->size))) &&
            (s->k < CHUNK ? s->m * s->n * l->size <= NEAR : s->m * s->k * l->size <= RESIDENT));
}

static plan plan_for(const gr_gemm_loops *l, const gr_gemm_size *s)
{
    const int64_t w = l->width, size = l->size, mr = l->rows;
    plan p = { .l = l, .m = s->m, .n = s->n, .k = s->k, .as = { s->as[0], s->as[1] }, .bs = { s->bs[0], s->bs[1] }, .cs = { s->cs, 1 }, .swap = is_swapped(l, s) };
    if (p.swap) exchange(&p.m, &p.n), exchange(&p.as[0], &p.bs[1]), exchange(&p.as[1], &p.bs[0]), exchange(&p.cs[0], &p.cs[1]);
    const bool spread = is_spread(p.as[1], p.k, size);
    p.dots = p.bs[0] == 1 && p.bs[1] != 1 && (p.m <= FEW ? p.k >= 2 * w : p.as[1] == 1 && round_up(p.n, 4) <= w / 4 * 3 && p.k >= 8 * p.n);
    p.pack_b = !p.dots && (p.bs[1] != 1 || ((p.n * p.k > DIRECT || spread) && p.m > LARGE * mr));
    p.kc = p.pack_b && !p.swap ? share(p.k, KC_LESS) : p.k;
    if (p.kc < p.k && p.m * p.kc * size > RESIDENT) p.kc = share(p.k, KC);
    p.pack_a = p.dots ? p.as[1] != 1 : p.pack_b && p.k >= CHUNK && p.m > 4 * mr && (p.n > 2 * NV * w || (spread && p.n >= NV * w));
    const int64_t bytes = size * (p.k < CHUNK ? p.n : p.kc), fit = p.k < CHUNK ? NEAR : RESIDENT; /* of a row; of MC */
    p.mc = p.m <= mr || p.m * bytes <= fit ? p.m : mr * bytes >= fit ? mr : round_up(share(p.m, fit / bytes), mr);
    p.width = p.dots ? GR_GEMM_DOTS : (p.pack_b || p.m > FEW ? NV : p.m == 1 ? l->wide : l->wide_few) * w;
    return p;
}

/* Units are of the longer side: then a part leaves out most of what the product reads. They are tiles or less, all alike to a row or a
 * vector, and so many that two threads, or four, have as much to do each. */
static bool by_row(const plan *p) { return p->m >= p->n; }
static int64_t units_of(const plan *p) { return round_up(by_row(p) ? count_of(p->m, p->l->rows) : count_of(p->n, p->width), 4); }
static void cut(plan *p, int64_t first, int64_t end)
{
    const int64_t units = units_of(p), grain = gr__least(p->l->width, p->width), vectors = count_of(p->n, grain);
    if (by_row(p)) p->row = first * p->m / units, p->m = end * p->m / units - p->row;
    else p->column = first * vectors / units * grain, p->n = gr__least(p->n, end * vectors / units * grain) - p->column;
}

/* Elements of packed a, and of packed b: two panels, one of which is made while the other is used, unless MC rows at a time come back
 * to each. */
static int64_t packed_a(const plan *p)
{
    return !p->pack_a ? 0 : p->dots ? p->m * p->k : round_up(p->mc * p->kc, p->l->width) + p->l->width;
}
static int64_t packed_b(const plan *p)
{
    const int64_t columns = round_up(p->n, p->l->width);
    return !p->pack_b ? 0 : (p->mc < p->m ? columns : gr__least(columns, 2 * NV * p->l->width)) * p->kc;
}
static void *panel_at(const plan *p, void *pb, int64_t kc, int64_t j)
{
    const int64_t width = NV * p->l->width;
    return at(p->l, pb, (p->mc < p->m ? j : j / width % 2 * width) * kc);
}

/* A product that is_plain. */
static void plain(const gr_gemm_loops *l, const gr_gemm_size *p, const void *a, const void *b, void *c)
{
    const int64_t mr = l->rows, one = l->width, nr = NV * one;
    gr_gemm_walk s = { .of = p, .columns = gr__least(one, p->n) };
    if (p->m <= mr && p->n <= one) {
        l->tile[p->m][0](&s, a, b, c);
        return;
    }
    const int64_t m = p->m, n = p->n, a_row = p->as[0] * l->size, c_row = p->cs * l->size;
    for (int64_t j = 0, w; j < n; j += w) {
        w = gr__least(nr, n - j);
        if (w < nr && w > one && j > 0) w = nr, j = n - w; /* some once more: one tile instead of two */
        if (w < nr) w = s.columns = gr__least(one, w);
        const char *ai = a, *bj = at(l, b, j);
        char *ci = at(l, c, j);
        for (int64_t i = 0, rows; i < m; i += rows, ai += rows * a_row, ci += rows * c_row) {
            rows = tile_rows(m - i, mr);
            l->tile[rows][w > one](&s, ai, bj, ci);
        }
    }
}

/* m rows of a against w columns of b, a whole panel or at most a vector of them, through tiles of any strides. */
static void panel(const plan *p, const gr_gemm_walk *s, int64_t m, int64_t w, const void *a, const void *b, void *c)
{
    const gr_gemm_loops *l = p->l;
    const int64_t mr = l->rows, step = p->cs[1], a_row = s->of->as[0] * l->size, c_row = s->of->cs * l->size;
    const bool wide = w > NV * l->width, whole = w > l->width;
    const char *ai = a;
    char *ci = c;
    for (int64_t i = 0, rows; i < m; i += rows, ai += rows * a_row, ci += rows * c_row) {
        rows = tile_rows(m - i, mr);
        gr_gemm_tile_fn *tile = wide ? l->wides[rows] : l->tile[rows][whole];
        if (step == 1) {
            tile(s, ai, b, ci);
        } else { /* the columns of c^T are the rows of c */
            _Alignas(64) char part[FEW * GR_GEMM_WIDE * MOST_BYTES];
            gr_gemm_size apart = *s->of;
            gr_gemm_walk t = *s;
            apart.cs = w, t.of = &apart;
            tile(&t, ai, b, part);
            for (int64_t r = 0; r < rows; r++) l->copy(w, ci + r * c_row, step, at(l, part, r * w), 1);
        }
    }
}

static void dots(const plan *p, const void *a, const void *b, void *c, void *scratch)
{
    const gr_gemm_loops *l = p->l;
    const gr_gemm_size of = { .k = p->k, .as = { p->pack_a ? p->k : p->as[0], 1 }, .bs = { 1, p->bs[1] }, .cs = p->cs[0] };
    const gr_gemm_walk s = { .of = &of, .columns = p->n, .step = p->cs[1] };
    for (int64_t i = 0; p->pack_a && i < p->m; i++) l->copy(p->k, at(l, scratch, i * p->k), 1, at(l, a, i * p->as[0]), p->as[1]);
    if (p->pack_a) a = scratch;
    for (int64_t i = 0, rows; i < p->m; i += rows) {
        rows = gr__least(l->dot_rows, p->m - i);
        l->dots[rows](&s, at(l, a, i * of.as[0]), b, at(l, c, i * of.cs));
    }
}

/* kc steps from k0 on of the rows from i0 on, against all columns */
static void block(const plan *p, int64_t k0, int64_t i0, const void *a, const void *b, void *c, void *pa, void *pb)
{
    const gr_gemm_loops *l = p->l;
    const int64_t mr = l->rows, one = l->width, nr = NV * one;
    const int64_t kc = gr__least(p->kc, p->k - k0), mc = gr__least(p->mc, p->m - i0), tall = p->pack_a && p->n >= nr ? whole_tiles(mc, mr) : 0;
    const int64_t chunks = tall / mr * (kc / CHUNK);
    gr_gemm_size of = { .k = kc, .as = { p->as[0], p->as[1] }, .bs = { p->bs[0], 0 }, .cs = p->cs[0] }, packed = { .k = kc, .as = { 1, mr }, .bs = { nr, 1 }, .cs = p->cs[0] };
    gr_gemm_walk s = { .of = &of, .add = k0 > 0 };
    gr_gemm_ahead next = { .burst = chunks > 0 ? count_of(kc, chunks) : 0 };
    bool ready = i0 > 0;
    a = at(l, a, i0 * p->as[0] + k0 * p->as[1]), b = at(l, b, k0 * p->bs[0]), c = at(l, c, i0 * p->cs[0]);
    for (int64_t j = 0, w; j < p->n; j += w) {
        w = gr__least(p->width, p->n - j);
        if (w > nr && w < p->width / 4 * 3) w = nr; /* a wide tile would do too much twice */
        if (w < nr) w = gr__least(one, w);
        s.half = w - p->width / 2;
        if (w < nr && p->n - j > one && j > 0 && !p->pack_b) w = nr, j = p->n - w; /* some once more: one tile instead of two */
        const void *bj = at(l, b, j * p->bs[1]);
        void *cj = at(l, c, j * p->cs[1]);
        int64_t i = 0;
        s.columns = gr__least(w, one);
        if (p->pack_b) {
            void *to = panel_at(p, pb, kc, j);
            of.bs[0] = packed.bs[0] = round_up(w, one);
            if (!ready) l->pack(w, kc, bj, p->bs[1], p->bs[0], of.bs[0], to);
            bj = to;
        }
        ready = i0 > 0;
        if (w == nr && tall > 0) {
            if (p->n - j - w >= nr && (ready || p->bs[1] == 1)) {
                void *to = panel_at(p, pb, kc, j + w);
                next.b = ready ? to : at(l, b, j + w), next.b_k = ready ? nr : p->bs[0], next.pb = ready ? NULL : to, next.left = kc;
                ready = true;
            }
            for (; i < tall; i += mr) {
                if (j == 0) {
                    const void *ai = at(l, a, i * p->as[0]);
                    l->pack(mr, kc, ai, p->as[0], p->as[1], mr, at(l, pa, i * kc));
                    next.a = i + mr < tall ? at(l, ai, mr * p->as[0] + (p->as[0] == 1 ? mr - 1 : 0)) : NULL;
                    next.a_line = p->as[0] == 1 ? p->as[1] : p->as[0], next.a_chunk = CHUNK * p->as[1];
                }
                l->large(&s, &next, at(l, pa, i * kc), bj, at(l, cj, i * of.cs));
            }
            l->ahead(&next);
        } else if (tall > 0) {
            for (s.of = &packed; i < tall; i += mr) l->tile[mr][0](&s, at(l, pa, i * kc), bj, at(l, cj, i * of.cs));
            s.of = &of;
        }
        panel(p, &s, mc - i, w, at(l, a, i * p->as[0]), bj, at(l, cj, i * of.cs));
    }
}

/* Of a product as it is planned, the units from first to end - 1. */
static void planned(const gr_gemm_loops *l, const gr_gemm_size *size, int64_t first, int64_t end, const void *a, const void *b, void *c, void *scratch)
{
    plan p = plan_for(l, size);
    if (end < INT64_MAX) cut(&p, first, end);
    const void *left = at(l, p.swap ? b : a, p.row * p.as[0]), *right = at(l, p.swap ? a : b, p.column * p.bs[1]);
    c = at(l, c, p.row * p.cs[0] + p.column * p.cs[1]);
    if (p.dots) {
        dots(&p, left, right, c, scratch);
        return;
    }
    for (int64_t k0 = 0; k0 < p.k; k0 += p.kc)
        for (int64_t i0 = 0; i0 < p.m; i0 += p.mc) block(&p, k0, i0, left, right, c, scratch, at(l, scratch, packed_a(&p)));
}

void gr__gemm_part(const gr_gemm_loops *l, const gr_gemm_size *s, int64_t first, int64_t end, const void *a, const void *b, void *c, void *scratch)
{
    if (s->m == 0 || s->n == 0) return;
    if (s->k == 0)
        for (int64_t i = 0; i < s->m; i++) memset(at(l, c, i * s->cs), 0, (size_t)(s->n * l->size));
    else if (first == 0 && end == INT64_MAX && is_plain(l, s))
        plain(l, s, a, b, c);
    else
        planned(l, s, first, end, a, b, c, scratch);
}

size_t gr__gemm_part_scratch(const gr_gemm_loops *l, const gr_gemm_size *s)
{
    if (s->m == 0 || s->n == 0 || s->k == 0 || is_plain(l, s)) return 0;
    const plan p = plan_for(l, s);
    return (size_t)round_up((packed_a(&p) + packed_b(&p)) * l->size, 64);
}

int64_t gr__gemm_units(const gr_gemm_loops *l, const gr_gemm_size *s)
{
    if (s->m == 0 || s->n == 0 || s->k == 0) return 1;
    const plan p = plan_for(l, s);
    return units_of(&p);
}

size_t gr__gemm_scratch(const gr_gemm_loops *l, int64_t m, int64_t n, int64_t k)
{
    const int64_t width = NV * l->width;
    const int64_t a = gr__least((m + l->rows) * k, RESIDENT / l->size + l->rows * KC) + FEW * k + 2 * width, b = round_up(n, width) * gr__least(k, KC) + 2 * width * k;
    return (size_t)round_up((a + b) * l->size, 64);
}
