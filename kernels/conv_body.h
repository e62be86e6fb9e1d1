/* The convolution loops of conv.c for one type: T, its suffix S, its vector's INSIDE, MULADDV. No include guard:
 * it is included once for each type, after lanes.h.
 * SPDX-License-Identifier: MIT */
#define VEC N(S, vec)
#define MASK N(S, mask)
#define W N(S, W)

static inline void N(S, copy)(int64_t n, const T *from, T *to)
{
    int64_t j = 0;
    for (; j + W <= n; j += W) N(S, store)(to + j, N(S, load)(from + j));
    if (j < n) N(S, store_first)(to + j, n - j, N(S, load_first)(from + j, n - j, (VEC){ 0 }));
}

/* ---- images side by side: element j of image m at j W + m -----------------------------------------------------------*/
/* n elements, `step` apart, of each image, `pitch` apart; where an image is missing, zeros */
static APART void N(S, weave)(int64_t images, int64_t pitch, int64_t n, int64_t step, const T *from, T *to)
{
    enum { B = N(S, LANE) };
    const T *row[W];
    for (int64_t m = 0; m < W; m++) row[m] = from + least(m, images - 1) * pitch;
    if (step == 1 && n >= B)
        for (int64_t j = 0; j < n; j += B) {
            const int64_t at = least(j, n - B);
            VEC x[B];
            UNROLL for (int64_t i = 0; i < B; i++) x[i] = N(S, lanes)(row + i, at);
            N(S, transpose)(x);
            UNROLL for (int64_t i = 0; i < B; i++) N(S, store)(to + (at + i) * W, x[i]);
        }
    else
        for (int64_t j = 0; j < n; j++)
            for (int64_t m = 0; m < W; m++) to[j * W + m] = row[m][j * step];
    for (int64_t m = images; m < W; m++)
        for (int64_t j = 0; j < n; j++) to[j * W + m] = 0;
}
static APART void N(S, unweave)(int64_t images, int64_t pitch, int64_t n, int64_t step, const T *from, T *to)
{
    enum { B = N(S, LANE) };
    if (step == 1 && n >= B && images == W)
        for (int64_t j = 0; j < n; j += B) {
            const int64_t at = least(j, n - B);
            VEC x[B];
            UNROLL for (int64_t i = 0; i < B; i++) x[i] = N(S, load)(from + (at + i) * W);
            N(S, transpose)(x);
            UNROLL for (int64_t i = 0; i < B; i++) STORE_LANES(S, to + i * pitch + at, pitch, x[i]);
        }
    else
        for (int64_t m = 0; m < images; m++)
            for (int64_t j = 0; j < n; j++) to[m * pitch + j * step] = from[j * W + m];
}

/* n elements of a row, `step` apart, of an image, or of `images` that are `pitch` apart, to a row of a phase plane; and back */
static APART void N(S, enter)(const plan *p, int64_t images, int64_t pitch, int64_t n, int64_t step, const T *from, T *to)
{
    if (p->lanes > 1) N(S, weave)(images, pitch, n, step, from, to);
    else if (step == 1) N(S, copy)(n, from, to);
    else
        for (int64_t j = 0; j < n; j++) to[j] = from[j * step];
}
static APART void N(S, leave)(const plan *p, int64_t images, int64_t pitch, int64_t n, int64_t step, const T *from, T *to)
{
    if (p->lanes > 1) N(S, unweave)(images, pitch, n, step, from, to);
    else if (step == 1) N(S, copy)(n, from, to);
    else
        for (int64_t j = 0; j < n; j++) to[j * step] = from[j];
}

/* ---- between images and padded phase planes -------------------------------------------------------------------------*/
/* `channels` planes h x w into planes of phases, pitch `channel` apart; what is padding stays as it is. */
static void N(S, spread)(const plan *p, int64_t images, int64_t pitch, int64_t channels, const T *x, T *out)
{
    const axis *r = &p->row, *c = &p->col;
    for (int64_t k = 0; k < channels; k++, x += r->size * c->size, out += p->channel)
        for (int64_t a = 0; a < r->phases; a++)
            for (int64_t b = 0; b < c->phases; b++) {
                const int64_t from = first_of(c, b), n = end_of(c, b) - from;
                T *plane = out + (a * c->phases + b) * p->plane + from * p->lanes;
                const T *line = x + shift_of(r, a) * c->size + shift_of(c, b) + from * c->stride;
                for (int64_t i = first_of(r, a), end = end_of(r, a); i < end; i++)
                    N(S, enter)(p, images, pitch, n, c->stride, line + i * r->stride * c->size, plane + i * p->line);
            }
}

/* One phase plane back to the places of the image that it came from. */
static void N(S, collect)(const plan *p, int64_t images, int64_t pitch, int64_t a, int64_t b, const T *plane, T *x)
{
    const axis *r = &p->row, *c = &p->col;
    const int64_t from = first_of(c, b), n = end_of(c, b) - from;
    T *line = x + shift_of(r, a) * c->size + shift_of(c, b) + from * c->stride;
    for (int64_t i = first_of(r, a), end = end_of(r, a); i < end; i++)
        N(S, leave)(p, images, pitch, n, c->stride, plane + i * p->line + from * p->lanes, line + i * r->stride * c->size);
}

/* Output planes oh x ow into planes whose rows are `next` apart; and back from those of a product. */
static void N(S, widen)(const plan *p, int64_t images, int64_t pitch, int64_t channels, const T *y, T *out, int64_t plane, int64_t next)
{
    const int64_t rows = p->row.out, n = p->col.out;
    for (int64_t k = 0; k < channels; k++, out += plane)
        for (int64_t i = 0; i < rows; i++, y += n) N(S, enter)(p, images, pitch, n, 1, y, out + i * next);
}

static void N(S, narrow)(const plan *p, int64_t images, int64_t pitch, int64_t channels, const T *wide, T *y)
{
    const int64_t rows = p->row.out, n = p->col.out;
    for (int64_t k = 0; k < channels; k++, wide += p->wide)
        for (int64_t i = 0; i < rows; i++, y += n) N(S, leave)(p, images, pitch, n, 1, wide + i * p->next, y);
}

/* ---- out[i][q] = sum_k a[k][i] b[offset[k] + q] -----------------------------------------------------------------------*/
/* k runs over some of the taps: `count` of each of `rows`, which begin `apart` from each other. */
typedef struct N(S, taps) {
    int64_t rows, count, apart;
    const int64_t *offset;
    const T *a;
    int64_t panel; /* from mr rows of a to the next */
} N(S, taps);
static inline __attribute__((always_inline)) void N(S, tile)(const int mr, const int nv, const N(S, taps) *k, const T *panel, const T *b, T *out, int64_t pitch)
{
    VEC acc[MAX_ROWS][3];
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int v = 0; v < nv; v++) acc[i][v] = (VEC){ 0 };
    for (int64_t r = 0; r < k->rows; r++) {
        const int64_t *offset = k->offset + r * k->apart, *end = offset + k->count;
        for (const T *a = panel + r * k->apart * mr; offset < end; offset++, a += mr) {
            const T *from = b + *offset;
            VEC x[3];
            UNROLL for (int v = 0; v < nv; v++) x[v] = *(const VEC *)(from + v * W);
            UNROLL for (int i = 0; i < mr; i++)
                UNROLL for (int v = 0; v < nv; v++) acc[i][v] = N(S, fma)(x[v], N(S, all)(a[i]), acc[i][v]);
        }
    }
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int v = 0; v < nv; v++) *(VEC *)(out + i * pitch + v * W) = acc[i][v];
}

typedef void N(S, tile_fn)(const N(S, taps) *k, const T *panel, const T *b, T *out, int64_t pitch);
#define TILE_OF(mr, nv)                                                                                              \
    static void N(S, tile_##mr##_##nv)(const N(S, taps) *k, const T *panel, const T *b, T *out, int64_t pitch)       \
    {                                                                                                                \
        N(S, tile)(mr, nv, k, panel, b, out, pitch);                                                                 \
    }
#define TILE(mr) TILE_OF(mr, 1) TILE_OF(mr, 3)
EACH_ROWS(TILE)
#undef TILE_OF
#undef TILE

/* All `blocks` of mr rows over n positions; `out` has room for tiles of 3 vectors, b for reading that far. */
static void N(S, product)(int64_t blocks, int mr, int64_t n, const N(S, taps) *k, const T *b, T *out, int64_t pitch)
{
#define TILE(mr) { N(S, tile_##mr##_1), N(S, tile_##mr##_3) },
    static N(S, tile_fn) *const tiles[][2] = { { NULL, NULL }, EACH_ROWS(TILE) };
#undef TILE
    for (int64_t q = 0, step; q < n; q += step) {
        bool narrow = n - q <= W;
        step = narrow ? W : 3 * W;
        for (int64_t i = 0; i < blocks; i++) tiles[mr][!narrow](k, k->a + i * k->panel, b + q, out + i * mr * pitch + q, pitch);
    }
}

/* ---- y from x and w ----------------------------------------------------------------------------------------------------*/
/* packed: where each tap lies in an image; then the weights, for each group in panels of rows, tap after tap */
static void N(S, conv2d_pack)(const gr_conv2d_size *s, const void *w_, void *packed)
{
    const T *w = w_;
    plan p = plan_of(s, sizeof(T));
    int64_t *offset = packed, taps = s->kh * s->kw, count = s->cin * taps;
    T *a = after(packed, p.offset_bytes);
    for (int64_t c = 0, k = 0; c < s->cin; c++)
        for (int64_t t = 0; t < taps; t++, k++) offset[k] = c * p.channel + place_of(&p, t / s->kw, t % s->kw);
    const int mr = rows_of(s->cout);
    const int64_t rows = blocks_of(s->cout, mr) * mr;
    for (int64_t r = 0; r < s->groups * rows; r++) {
        int64_t g = r / rows, o = r % rows;
        T *to = a + g * rows * count + o / mr * mr * count + o % mr;
        for (int64_t k = 0; k < count; k++) to[k * mr] = o < s->cout ? w[(g * s->cout + o) * count + k] : 0;
    }
}

static gr_conv2d_bytes N(S, conv2d_bytes)(const gr_conv2d_size *s) { return bytes_of(s, sizeof(T)); }

static void N(S, conv2d)(const gr_conv2d_size *s, int64_t first, int64_t end, const void *x_, const void *packed, void *y_, void *scratch)
{
    plan p = plan_of(s, sizeof(T));
    const int mr = rows_of(s->cout);
    const int64_t *offset = packed, count = s->cin * s->kh * s->kw, image = s->groups * s->cin * s->h * s->w, result = s->cout * s->oh * s->ow;
    const int64_t blocks = blocks_of(s->cout, mr), panel = blocks * mr * count;
    const T *x = (const T *)x_ + first * image, *a = (const T *)packed + p.offset_bytes / sizeof(T);
    T *y = (T *)y_ + first * s->groups * result, *b = scratch, *wide = after(b, p.image_bytes);
    memset(b, 0, p.image_bytes);
    for (int64_t n = first; n < end; n += p.lanes, x += p.lanes * image, y += p.lanes * s->groups * result) {
        const int64_t images = least(p.lanes, end - n);
        N(S, spread)(&p, images, image, s->groups * s->cin, x, b);
        for (int64_t g = 0; g < s->groups; g++) {
            const N(S, taps) k = { 1, count, 0, offset, a + g * panel, mr * count };
            for (int64_t r = 0; r < p.runs; r++) N(S, product)(blocks, mr, p.run, &k, b + g * s->cin * p.channel + r * p.line, wide + r * p.next, p.wide);
            N(S, narrow)(&p, images, s->groups * result, s->cout, wide, y + g * result);
        }
    }
}

/* ---- dx from dy and w: each phase plane is a convolution of dy with the taps that fall on it --------------------------*/
/* The taps of phase (a, b): their offsets into dy and, in panels, their weights. Returns how many. */
static int64_t N(S, taps_of_phase)(const gr_conv2d_size *s, const plan *p, int64_t a, int64_t b, const T *w, int mr, int64_t blocks,
                                int64_t *offset, T *panels)
{
    int64_t count = 0, taps = s->kh * s->kw;
    for (int64_t kh = a; kh < s->kh; kh += p->row.period)
        for (int64_t kw = b; kw < s->kw; kw += p->col.period)
            for (int64_t o = 0; o < s->cout; o++)
                offset[count++] = o * p->gradient + p->lead - (lead_of(&p->row, kh) * p->line + lead_of(&p->col, kw) * p->lanes);
    for (int64_t i = 0; i < blocks * mr; i++) {
        int64_t k = 0;
        T *to = panels + i / mr * mr * count + i % mr;
        for (int64_t kh = a; kh < s->kh; kh += p->row.period)
            for (int64_t kw = b; kw < s->kw; kw += p->col.period)
                for (int64_t o = 0; o < s->cout; o++, k++)
                    to[k * mr] = i < s->cin ? w[(o * s->cin + i) * taps + kh * s->kw + kw] : 0;
    }
    return count;
}

static void N(S, conv2d_input_pack)(const gr_conv2d_size *s, const void *w_, void *packed)
{
    const T *w = w_;
    plan p = plan_of(s, sizeof(T));
    const int64_t phases = p.row.phases * p.col.phases, taps = s->kh * s->kw;
    int64_t *offset = packed;
    T *a = after(packed, p.offset_bytes);
    const int mr = rows_of(s->cin);
    const int64_t blocks = blocks_of(s->cin, mr), panel = blocks * mr * s->cout * taps;
    for (int64_t g = 0; g < s->groups && s->cin > 0; g++)
        for (int64_t f = 0, k = 0; f < phases; f++)
            k += N(S, taps_of_phase)(s, &p, f / p.col.phases, f % p.col.phases, w + g * s->cout * s->cin * taps, mr, blocks, offset + k,
                                  a + g * panel + k * blocks * mr);
}

/* A whole phase plane; of images side by side, 3 columns at a time, and by the taps alone that meet results. */
static void N(S, phase_product)(const gr_conv2d_size *s, const plan *p, int64_t a, int64_t b, const int64_t *offset, const T *panels, const T *dy, T *out)
{
    const int mr = rows_of(s->cin);
    const int64_t blocks = blocks_of(s->cin, mr), columns = taps_in(&p->col, b), apart = columns * s->cout, all = taps_in(&p->row, a) * apart;
    if (p->lanes == 1) N(S, product)(blocks, mr, p->plane, &(N(S, taps)){ 1, all, 0, offset, panels, all * mr }, dy, out, p->full);
    else
        for (int64_t i = first_of(&p->row, a), last = end_of(&p->row, a); i < last; i++)
            for (int64_t j = 0; j < p->col.len; j += 3) {
                const int64_t n = least(3, p->col.len - j), q = i * p->line + j * p->lanes;
                int64_t top, low, left, right;
                taps_at(&p->row, a, i, i, &top, &low);
                taps_at(&p->col, b, j, j + n - 1, &left, &right);
                const int64_t first = top * apart + left * s->cout;
                const N(S, taps) k = { low - top, (right - left) * s->cout, apart, offset + first, panels + first * mr, all * mr };
                N(S, product)(blocks, mr, n * p->lanes, &k, dy + q, out + q, p->full);
            }
}

static void N(S, conv2d_input)(const gr_conv2d_size *s, int64_t first, int64_t end, const void *dy_, const void *packed, void *dx_, void *scratch)
{
    plan p = plan_of(s, sizeof(T));
    const int mr = rows_of(s->cin);
    const int64_t phases = p.row.phases * p.col.phases, plane = s->h * s->w, image = s->groups * s->cin * plane, result = s->groups * s->cout * s->oh * s->ow;
    const int64_t *offset = packed, blocks = blocks_of(s->cin, mr), panel = blocks * mr * s->cout * s->kh * s->kw;
    const T *dy = (const T *)dy_ + first * result, *a = (const T *)packed + p.offset_bytes / sizeof(T);
    T *dx = (T *)dx_ + first * image, *b = scratch, *wide = after(b, p.gradient_bytes);
    if (p.row.stride > 1 || p.col.stride > 1) memset(dx, 0, (size_t)((end - first) * image) * sizeof(T)); /* some have no tap */
    memset(b, 0, p.gradient_bytes);
    for (int64_t n = first; n < end && s->cin > 0; n += p.lanes, dy += p.lanes * result, dx += p.lanes * image) {
        const int64_t images = least(p.lanes, end - n);
        N(S, widen)(&p, images, result, s->groups * s->cout, dy, b + p.lead, p.gradient, p.line);
        for (int64_t g = 0; g < s->groups; g++)
            for (int64_t f = 0, k = 0; f < phases; f++) {
                const int64_t fa = f / p.col.phases, fb = f % p.col.phases, count = s->cout * taps_in(&p.row, fa) * taps_in(&p.col, fb);
                N(S, phase_product)(s, &p, fa, fb, offset + k, a + g * panel + k * blocks * mr, b + g * s->cout * p.gradient, wide);
                for (int64_t c = 0; c < s->cin; c++) N(S, collect)(&p, images, image, fa, fb, wide + c * p.full, dx + (g * s->cin + c) * plane);
                k += count;
            }
    }
}

/* ---- dw from x and dy: dot products along the positions ------------------------------------------------------------------*/
static APART T N(S, halves)(VEC sum)
{
    T lane[W];
    N(S, store)(lane, sum);
    UNROLL for (int half = W / 2; half > 0; half /= 2)
        UNROLL for (int j = 0; j < half; j++) lane[j] += lane[j + half];
    return lane[0];
}
/* dw[i][j] += sum over `images` and those of n positions that are `within` of dy[i] x[offset[j]], for mr rows and nt taps. The
 * other positions, between the rows of dy, are not of these products, and x may be infinite there. */
static inline __attribute__((always_inline)) void N(S, dots)(const int mr, const int nt, int64_t images, int64_t n, const int64_t *offset,
                                                          const I *within, const T *x, int64_t x_step, const T *dy, int64_t pitch, int64_t dy_step, T *dw, int64_t row)
{
    VEC acc[MAX_DOTS][MAX_TAPS];
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int t = 0; t < nt; t++) acc[i][t] = (VEC){ 0 };
    for (int64_t m = 0; m < images; m++, x += x_step, dy += dy_step)
        for (int64_t q = 0; q < n; q += W) {
            VEC g[MAX_DOTS];
            const MASK at = *(const MASK *)(within + q);
            const N(INSIDE, S) inside = N(INSIDE_OF, S)(at);
            UNROLL for (int i = 0; i < mr; i++) g[i] = *(const VEC *)(dy + i * pitch + q);
            UNROLL for (int t = 0; t < nt; t++)
            {
                const VEC v = *(const VEC *)(x + offset[t] + q);
                UNROLL for (int i = 0; i < mr; i++) acc[i][t] = N(MULADDV, S)(v, g[i], acc[i][t], inside);
            }
        }
    VEC sums[MAX_DOTS * MAX_TAPS]; /* out of the registers: what follows need not stand there for each of them */
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int t = 0; t < nt; t++) sums[i * nt + t] = acc[i][t];
    for (int i = 0; i < mr; i++)
        for (int t = 0; t < nt; t++) dw[i * row + t] += N(S, halves)(sums[i * nt + t]);
}

typedef void N(S, dots_fn)(int64_t images, int64_t n, const int64_t *offset, const I *within, const T *x, int64_t x_step, const T *dy, int64_t pitch, int64_t dy_step, T *dw, int64_t row);
#define DOTS(mr, nt)                                                                                                 \
    static void N(S, dots_##mr##_##nt)(int64_t images, int64_t n, const int64_t *offset, const I *within, const T *x, int64_t x_step, \
                                       const T *dy, int64_t pitch, int64_t dy_step, T *dw, int64_t row)              \
    {                                                                                                                \
        N(S, dots)(mr, nt, images, n, offset, within, x, x_step, dy, pitch, dy_step, dw, row);                       \
    }
#define DOTS_OF(mr, nt) DOTS(mr, nt)
#define BOTH(mr) DOTS(mr, 1) DOTS_OF(mr, MAX_TAPS)
EACH_DOTS(BOTH)
#undef BOTH
#undef DOTS_OF
#undef DOTS

static void N(S, conv2d_weight)(const gr_conv2d_size *s, int64_t first, int64_t end, const void *x_, const void *dy_, void *dw_, void *scratch)
{
#define BOTH(mr) { N(S, dots_##mr##_1), DOTS_NAME(S, mr, MAX_TAPS) },
    static N(S, dots_fn) *const dots[][2] = { { NULL, NULL }, EACH_DOTS(BOTH) };
#undef BOTH
    const T *x = x_, *dy = dy_;
    T *dw = dw_;
    plan p = plan_of(s, sizeof(T));
    int64_t *offset = scratch, taps = s->kh * s->kw, count = s->cin * taps;
    for (int64_t c = 0, k = 0; c < s->cin; c++)
        for (int64_t t = 0; t < taps; t++, k++) offset[k] = c * p.channel + place_of(&p, t / s->kw, t % s->kw);
    const int64_t image = s->groups * s->cin * s->h * s->w, result = s->groups * s->cout * s->oh * s->ow, pitch = p.wide;
    const int64_t chunk = least(p.images, most(1, end - first)), x_step = (int64_t)(p.image_bytes / sizeof(T)), dy_step = s->groups * s->cout * pitch;
    I *within = after(scratch, p.offset_bytes);
    T *b = after(within, p.within_bytes), *g = after(b, (size_t)chunk * p.image_bytes);
    memset(within, 0, p.within_bytes);
    for (int64_t q = 0, line = p.lanes > 1 ? p.run : p.line, some = p.lanes > 1 ? p.run : p.col.out; q < p.run; q += line) memset(within + q, -1, (size_t)some * sizeof *within);
    memset(dw, 0, (size_t)(s->groups * s->cout * count) * sizeof(T));
    memset(b, 0, (size_t)chunk * p.image_bytes);
    if (p.lanes == 1) memset(g, 0, (size_t)(chunk * dy_step) * sizeof(T)); /* what lies between rows */
    for (int64_t n = first; n < end; n += chunk * p.lanes) {
        const int64_t images = least(chunk * p.lanes, end - n);
        for (int64_t m = 0; m < images; m += p.lanes) {
            const int64_t some = least(p.lanes, images - m), at = m / p.lanes;
            N(S, spread)(&p, some, image, s->groups * s->cin, x + (n + m) * image, b + at * x_step);
            N(S, widen)(&p, some, result, s->groups * s->cout, dy + (n + m) * result, g + at * dy_step, pitch, p.next);
        }
        const bool apart = p.lanes > 1; /* then the rows of one block are what images are else */
        for (int64_t r = 0; r < s->groups; r++)
            for (int64_t i = 0; i < s->cout; i += MAX_DOTS)
                for (int64_t k = 0, nt; k < count; k += nt) {
                    nt = count - k >= MAX_TAPS ? MAX_TAPS : 1;
                    dots[least(MAX_DOTS, s->cout - i)][nt > 1](apart ? p.runs : images, p.run, offset + k, within, b + r * s->cin * p.channel, apart ? p.line : x_step,
                                                                 g + (r * s->cout + i) * pitch, pitch, apart ? p.next : dy_step, dw + (r * s->cout + i) * count + k, count);
                }
    }
}
#undef VEC
#undef MASK
#undef W
