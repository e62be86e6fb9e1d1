/* Convolution of images, and its two adjoints, without unfolding the image.
 *
 * The image is copied once, padded with zeros; then, row after row, it is one long line, and moving by a tap (kh, kw) of the
 * kernel is moving by a constant along it:
 *
 *   y[q] = sum_k w[k] x[offset[k] + q]          k runs over channels and taps, q over (i, j) as i len + j
 *
 * where the last columns of each row, which have no place in y, are computed and dropped. A stride takes the image apart
 * into phases, planes of the rows and columns that are equal modulo the stride, in each of which the steps are 1 again.
 *
 *   padded row 0 1 2 3 4 5 6, stride 2:   phase 0: 0 2 4 6    phase 1: 1 3 5    tap kw: phase (kw d) mod 2, from (kw d) / 2
 *
 * So one loop serves all strides, paddings and dilations: a tile of output channels by positions, in registers.
 *
 * In small planes the dropped columns are a large part, and a row is short for a vector. Of many small images a vector of them
 * is put side by side, element q of image m at q W + m: the lines above with all steps times W, and now the rows of the result
 * can be taken one by one, without what lies between them, and of dx without the taps that meet no row of dy.
 * Knows no tensor, and no type: the loops (conv.h) come with each call.
 * SPDX-License-Identifier: MIT */
#include "kernels/conv.h"

#include <string.h>

#define CHUNK_BYTES 131072 /* of images at once in conv2d_weight: a part of the second-level cache */
#define CHUNK_LEAST 2      /* images at least, so that the sums across a vector are few */
#define BAND_BYTES 32768   /* of results that wait for their place: a part of the first-level cache */
#define LEAST_TILES 16     /* of them, else the last one, of which a part is dropped, weighs much */
#define BLOCK_BYTES 524288 /* of images side by side and their results: half of a second-level cache */
#define STRIP_BYTES 40960  /* of them in conv2d_weight, for one tile of sums: most of a first-level cache */

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static void *after(void *p, size_t bytes) { return (char *)p + bytes; }
/* element i of p */
static void *at(const gr_conv_loops *l, const void *p, int64_t i) { return (char *)p + i * l->size; }

/* Rows, or columns: of the image, the kernel, the result; and of the phases. */
typedef struct axis {
    int64_t size, taps, out, stride, padding, dilation;
    int64_t period, phases; /* tap t falls on phase t mod period; how many of these have taps */
    int64_t step;           /* from one tap of a phase to the next */
    int64_t len;            /* of a phase: as far as the taps of the last output reach */
} axis;

static int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t r = a % b;
        a = b, b = r;
    }
    return a;
}
/* where tap t begins in its phase; which position of the padded axis is the first of phase f */
static int64_t lead_of(const axis *x, int64_t t) { return t * x->dilation / x->stride; }
static int64_t residue_of(const axis *x, int64_t f) { return f * x->dilation % x->stride; }
static int64_t taps_in(const axis *x, int64_t f) { return up(x->taps - f, x->period); }
/* Element i of phase f is element shift + i stride of the image, for first <= i < end. */
static int64_t shift_of(const axis *x, int64_t f) { return residue_of(x, f) - x->padding; }
static int64_t first_of(const axis *x, int64_t f) { return most(0, up(-shift_of(x, f), x->stride)); }
static int64_t end_of(const axis *x, int64_t f)
{
    int64_t room = x->size - shift_of(x, f);
    return room <= 0 ? 0 : gr__least(x->len, up(room, x->stride));
}

/* The taps of a phase, from .. to - 1 of so many whose first begins at lead, that some of the elements first .. last of dx has in
 * common with a result. */
static void taps_at(const axis *x, int64_t lead, int64_t taps, int64_t first, int64_t last, int64_t *from, int64_t *to)
{
    *from = 0, *to = taps;
    while (*from < *to && first - lead - *from * x->step >= x->out) ++*from;
    while (*from < *to && last - lead - (*to - 1) * x->step < 0) --*to;
}

static axis axis_of(int64_t size, int64_t taps, int64_t out, int64_t stride, int64_t padding, int64_t dilation)
{
    axis x = { .size = size, .taps = taps, .out = out, .stride = stride, .padding = padding, .dilation = dilation };
    x.period = stride / gcd(stride, dilation);
    x.step = lead_of(&x, x.period);
    x.phases = gr__least(taps, x.period);
    x.len = out + lead_of(&x, taps - 1);
    return x;
}

/* Elements unless they say bytes. */
typedef struct plan {
    const gr_conv_loops *l;
    axis row, col;
    int64_t lanes, line;     /* images side by side, 1 or a vector of them; from a row of a phase to the next */
    int64_t plane, channel;  /* of one phase; of all of one input channel */
    int64_t runs, run, next; /* lines of outputs that have no gap between their rows; outputs of one; from one result to the next */
    int64_t lead;            /* what dy has before it so that every tap finds zeros */
    int64_t gradient;        /* of one channel of dy for conv2d_input */
    int64_t wide;            /* of one channel of dy for conv2d_weight, with room for whole tiles */
    int64_t band, narrow;    /* rows of y that are computed before they are put in their place; of one channel of them, whole tiles */
    int64_t rows, full;      /* the same of dx */
    int64_t images;          /* at once in conv2d_weight, or blocks of images side by side */
    int64_t strip;           /* rows of these that are read for all taps before the next are */
    size_t offset_bytes, within_bytes, panel_bytes, start_bytes, image_bytes, gradient_bytes, narrow_bytes, full_bytes, sums_bytes, ones_bytes;
    double bytes;            /* all of it, where it may not fit a size_t */
} plan;

static size_t rounded(double elements, size_t size) { return elements * (double)size > 0x1p60 ? (size_t)1 << 61 : ((size_t)elements * size + 63) / 64 * 64; }

/* How many of `rows` lines, for each of some channels, stay in the first-level cache, or are tiles enough that the last is a small part. */
static int64_t band_of(int64_t rows, int64_t line, int64_t channels, size_t size, int64_t tile)
{
    const double fits = BAND_BYTES / ((double)most(channels, 1) * (double)line * (double)size);
    return most(1, gr__least(rows, most((int64_t)fits, up(LEAST_TILES * tile, line))));
}

static int rows_of(const gr_conv_loops *l, int64_t n) { return n ? (int)up(n, up(n, l->rows)) : 1; }

static plan plan_of(const gr_conv_loops *l, const gr_conv2d_size *s)
{
    const size_t size = (size_t)l->size;
    plan p = { .l = l,
               .row = axis_of(s->h, s->kh, s->oh, s->stride[0], s->padding[0], s->dilation[0]),
               .col = axis_of(s->w, s->kw, s->ow, s->stride[1], s->padding[1], s->dilation[1]) };
    const int64_t width = l->width, tile = 3 * width;
    const double plane = (double)p.row.len * (double)p.col.len, groups = (double)s->groups, phases = (double)p.row.phases * (double)p.col.phases;
    const double taps = (double)s->kh * (double)s->kw, in = groups * (double)s->cin, out = groups * (double)s->cout, extra = 2.0 * l->rows;
    p.bytes = (double)size * ((in * phases + out + 2 * (double)(s->cin + s->cout) + extra) * (plane + 4.0 * (double)tile) * 3 +
                              (in + groups * extra) * ((double)s->cout + extra) * taps * 3);
    if (p.bytes > 0x1p58) return p; /* no machine has it: the caller refuses */
    const int64_t joined = (p.row.out - 1) * p.col.len + p.col.out, blocks = up(s->n, width);
    const double apart = (double)p.row.out * (double)p.col.out, block = (double)width * (double)size * (in * phases * plane + out * apart);
    p.lanes = block <= BLOCK_BYTES && (double)(blocks * width) * apart < (double)(up(joined, tile) * tile) * (double)s->n ? width : 1;
    p.line = p.col.len * p.lanes;
    p.plane = p.row.len * p.line;
    p.channel = p.row.phases * p.col.phases * p.plane;
    p.runs = p.lanes > 1 ? p.row.out : 1;
    p.run = p.lanes > 1 ? p.col.out * p.lanes : joined;
    p.next = p.lanes > 1 ? p.run : p.line;
    p.lead = lead_of(&p.row, s->kh - 1) * p.line + lead_of(&p.col, s->kw - 1) * p.lanes;
    p.gradient = p.lead + p.plane;
    if (p.gradient / width % 2 == 0) p.gradient += width; /* of planes a power of two apart a cache keeps a few */
    p.wide = (p.runs - 1) * p.run + up(p.run, tile) * tile;
    p.band = p.lanes > 1 ? p.row.out : band_of(p.row.out, p.line, s->cout, size, tile);
    p.narrow = up(p.band * p.next, tile) * tile + tile; /* of images side by side 3 columns are a tile, the last perhaps less */
    p.rows = p.lanes > 1 ? p.row.len : band_of(p.row.len, p.line, s->cin, size, tile);
    p.full = up(p.rows * p.line, tile) * tile + tile;
    p.offset_bytes = rounded((double)most(s->cin, s->cout) * taps, 8);
    p.panel_bytes = rounded(groups * taps * (double)most((s->cout + l->rows) * s->cin, (s->cin + l->rows) * s->cout), size);
    p.image_bytes = rounded(in * (double)p.channel + (double)tile, size);
    p.gradient_bytes = rounded(out * (double)p.gradient + (double)tile, size);
    p.within_bytes = rounded((double)p.wide, size);
    p.start_bytes = rounded(groups * (double)(most(s->cout, s->cin) + l->rows), size);
    p.narrow_bytes = rounded((double)(s->cout + l->rows) * (double)p.narrow, size);
    p.full_bytes = rounded((double)(s->cin + l->rows) * (double)p.full, size);
    const double each = (double)p.image_bytes + out * (double)p.wide * (double)size;
    p.images = p.lanes > 1 ? 1 : gr__least(most(s->n, 1), most(CHUNK_LEAST, (int64_t)(CHUNK_BYTES / each)));
    const int64_t strips = up(p.runs * (l->dots * p.run + p.line) * l->size, STRIP_BYTES);
    p.strip = p.lanes > 1 ? up(p.runs, strips) : p.images;
    p.sums_bytes = rounded((p.strip < p.runs ? out * ((double)s->cin * taps + 1) : l->dots * l->taps) * (double)width + 64, size);
    p.ones_bytes = s->bias ? rounded((double)(p.run + width), size) : 0;
    return p;
}
/* Where tap (kh, kw) of position 0 is in the phase planes of a channel. */
static int64_t place_of(const plan *p, int64_t kh, int64_t kw)
{
    return (kh % p->row.period * p->col.phases + kw % p->col.period) * p->plane + lead_of(&p->row, kh) * p->line + lead_of(&p->col, kw) * p->lanes;
}

/* ... of each tap of each channel */
static void place_taps(const plan *p, int64_t channels, int64_t *offset)
{
    for (int64_t kh = 0; kh < p->row.taps; kh++)
        for (int64_t kw = 0; kw < p->col.taps; kw++) {
            const int64_t place = place_of(p, kh, kw);
            for (int64_t c = 0; c < channels; c++) offset[(c * p->row.taps + kh) * p->col.taps + kw] = c * p->channel + place;
        }
}

gr_conv2d_bytes gr__conv2d_bytes(const gr_conv_loops *l, const gr_conv2d_size *s)
{
    const plan p = plan_of(l, s);
    if (p.bytes > 0x1p58) return (gr_conv2d_bytes){ 0, (size_t)1 << 63, 1 };
    size_t forward = p.image_bytes + p.narrow_bytes, input = p.gradient_bytes + p.full_bytes;
    size_t weight = p.offset_bytes + p.within_bytes + p.sums_bytes + p.ones_bytes + (size_t)p.images * (p.image_bytes + (size_t)(s->groups * s->cout * p.wide * l->size));
    size_t larger = forward > input ? forward : input;
    larger = larger > weight ? larger : weight;
    return (gr_conv2d_bytes){ p.offset_bytes + p.start_bytes + p.panel_bytes, (larger + 127) / 64 * 64, p.lanes };
}


/* ---- between images and padded phase planes -------------------------------------------------------------------------*/
/* Rows of an image, or of `images` that are `pitch` apart, to rows of a phase plane, or back: */
typedef struct way {
    bool back;
    int64_t images, pitch;
} way;
/* `rows` of n elements, which are `step` apart in the image; those that follow each other without a gap on both sides are one. */
static void move_rows(const plan *p, way o, int64_t rows, int64_t n, int64_t step, const void *image, int64_t image_next, const void *plane, int64_t plane_next)
{
    const gr_conv_loops *l = p->l;
    if (rows > 0 && step == 1 && image_next == n && plane_next == n * p->lanes) n *= rows, rows = 1;
    for (int64_t i = 0; i < rows; i++) {
        void *x = at(l, image, i * image_next), *y = at(l, plane, i * plane_next);
        if (p->lanes > 1) (o.back ? l->unweave : l->weave)(o.images, o.pitch, n, step, o.back ? y : x, o.back ? x : y);
        else if (o.back) l->copy(n, 1, y, step, x);
        else l->copy(n, step, x, 1, y);
    }
}

/* From row i on of a phase plane, (a, b), and their places in the image. */
static void move_phase(const plan *p, way o, int64_t a, int64_t b, int64_t i, int64_t rows, const void *x, const void *plane)
{
    const axis *r = &p->row, *c = &p->col;
    const int64_t from = first_of(c, b), n = end_of(c, b) - from;
    move_rows(p, o, rows, n, c->stride, at(p->l, x, (shift_of(r, a) + i * r->stride) * c->size + shift_of(c, b) + from * c->stride), r->stride * c->size,
              at(p->l, plane, from * p->lanes), p->line);
}

/* `channels` planes h x w into planes of phases, pitch `channel` apart; what is padding stays as it is. */
static void spread(const plan *p, int64_t images, int64_t pitch, int64_t channels, const void *x, void *out)
{
    const axis *r = &p->row, *c = &p->col;
    for (int64_t k = 0; k < channels; k++)
        for (int64_t f = 0; f < r->phases * c->phases; f++) {
            const int64_t a = f / c->phases, top = first_of(r, a);
            move_phase(p, (way){ false, images, pitch }, a, f % c->phases, top, end_of(r, a) - top, at(p->l, x, k * r->size * c->size),
                       at(p->l, out, k * p->channel + f * p->plane + top * p->line));
        }
}

/* `rows` of output planes oh x ow into planes, `plane` apart, whose rows are `next` apart; and back */
static void move_results(const plan *p, way o, int64_t channels, int64_t rows, const void *y, const void *out, int64_t plane, int64_t next)
{
    const int64_t n = p->col.out;
    for (int64_t k = 0; k < channels; k++) move_rows(p, o, rows, n, 1, at(p->l, y, k * p->row.out * n), n, at(p->l, out, k * plane), next);
}

/* ---- y from x and w ----------------------------------------------------------------------------------------------------*/
/* packed: where each tap lies in an image; what each sum begins with; then the weights, for each group in panels of rows, tap after tap */
void gr__conv2d_pack(const gr_conv_loops *l, const gr_conv2d_size *s, const void *w, const void *bias, void *packed)
{
    const plan p = plan_of(l, s);
    const int64_t count = s->cin * s->kh * s->kw;
    void *start = after(packed, p.offset_bytes), *a = after(start, p.start_bytes);
    place_taps(&p, s->cin, packed);
    const int mr = rows_of(l, s->cout);
    const int64_t rows = up(s->cout, mr) * mr;
    memset(start, 0, p.start_bytes + p.panel_bytes);
    for (int64_t g = 0; g < s->groups; g++) {
        if (bias) l->copy(s->cout, 1, at(l, bias, g * s->cout), 1, at(l, start, g * rows));
        for (int64_t o = 0; o < s->cout; o++)
            l->copy(count, 1, at(l, w, (g * s->cout + o) * count), mr, at(l, a, g * rows * count + o / mr * mr * count + o % mr));
    }
}

void gr__conv2d(const gr_conv_loops *l, const gr_conv2d_size *s, int64_t first, int64_t end, const void *x, const void *packed, void *y, void *scratch)
{
    const plan p = plan_of(l, s);
    const int mr = rows_of(l, s->cout);
    const int64_t count = s->cin * s->kh * s->kw, image = s->groups * s->cin * s->h * s->w, result = s->cout * s->oh * s->ow, results = s->groups * result;
    const int64_t blocks = up(s->cout, mr), panel = blocks * mr * count;
    const char *start = (const char *)packed + p.offset_bytes, *a = start + p.start_bytes;
    void *b = scratch, *wide = after(b, p.image_bytes);
    memset(b, 0, p.image_bytes);
    for (int64_t n = first; n < end; n += p.lanes) {
        const int64_t images = gr__least(p.lanes, end - n);
        spread(&p, images, image, s->groups * s->cin, at(l, x, n * image), b);
        for (int64_t g = 0; g < s->groups; g++) {
            const gr_conv_taps k = { 1, count, 0, packed, at(l, start, g * blocks * mr), at(l, a, g * panel), mr * count };
            for (int64_t r = 0; r < s->oh; r += p.band) {
                const int64_t rows = gr__least(p.band, s->oh - r), runs = p.lanes > 1 ? rows : 1, run = p.lanes > 1 ? p.run : (rows - 1) * p.line + s->ow;
                for (int64_t i = 0; i < runs; i++)
                    l->product(blocks, mr, run, &k, at(l, b, g * s->cin * p.channel + (r + i) * p.line), at(l, wide, i * p.next), p.narrow);
                move_results(&p, (way){ true, images, results }, s->cout, rows, at(l, y, n * results + g * result + r * s->ow), wide, p.narrow, p.next);
            }
        }
    }
}

/* ---- dx from dy and w: each phase plane is a convolution of dy with the taps that fall on it --------------------------*/
/* packed: as of conv2d_pack, phase after phase, of each its taps: where they lie in dy, and their weights */
void gr__conv2d_input_pack(const gr_conv_loops *l, const gr_conv2d_size *s, const void *w, void *packed)
{
    const plan p = plan_of(l, s);
    const int mr = rows_of(l, s->cin);
    const int64_t taps = s->kh * s->kw, blocks = up(s->cin, mr), panel = blocks * mr * s->cout * taps;
    int64_t *offset = packed;
    void *start = after(packed, p.offset_bytes), *a = after(start, p.start_bytes);
    memset(start, 0, p.start_bytes + p.panel_bytes);
    for (int64_t f = 0, before = 0; f < p.row.phases * p.col.phases; f++) {
        const int64_t fa = f / p.col.phases, fb = f % p.col.phases, count = s->cout * taps_in(&p.row, fa) * taps_in(&p.col, fb);
        int64_t k = 0;
        for (int64_t kh = fa; kh < s->kh; kh += p.row.period)
            for (int64_t kw = fb; kw < s->kw; kw += p.col.period, k += s->cout) {
                for (int64_t o = 0; o < s->cout; o++)
                    offset[before + k + o] = o * p.gradient + p.lead - (lead_of(&p.row, kh) * p.line + lead_of(&p.col, kw) * p.lanes);
                for (int64_t i = 0; i < s->groups * s->cin; i++) {
                    const int64_t g = i / s->cin, c = i % s->cin;
                    l->copy(s->cout, s->cin * taps, at(l, w, (g * s->cout * s->cin + c) * taps + kh * s->kw + kw), mr,
                            at(l, a, g * panel + before * blocks * mr + c / mr * mr * count + c % mr + k * mr));
                }
            }
        before += count;
    }
}

/* Rows i to i + rows - 1 of a phase plane; of images side by side 3 columns of one at a time, and by the taps alone that meet results. */
static void phase_product(const gr_conv2d_size *s, const plan *p, int64_t a, int64_t b, int64_t i, int64_t rows, const gr_conv_taps *of_phase, const void *dy, void *out)
{
    const gr_conv_loops *l = p->l;
    const int mr = rows_of(l, s->cin);
    const int64_t blocks = up(s->cin, mr), lines = taps_in(&p->row, a), columns = taps_in(&p->col, b), apart = columns * s->cout;
    gr_conv_taps k = *of_phase;
    k.rows = 1, k.count = lines * apart, k.apart = 0, k.panel = k.count * mr;
    if (p->lanes == 1) {
        l->product(blocks, mr, rows * p->line, &k, at(l, dy, i * p->line), out, p->full);
        return;
    }
    const int64_t row_lead = lead_of(&p->row, a), column_lead = lead_of(&p->col, b);
    for (int64_t j = 0, n; j < p->col.len; j += n) {
        int64_t top, low, left, right;
        n = j == 0 && p->col.len % 3 == 2 ? 1 : gr__least(3, p->col.len - j); /* one at either end, where taps are few, not two */
        taps_at(&p->col, column_lead, columns, j, j + n - 1, &left, &right);
        for (int64_t r = 0; r < rows; r++) {
            const int64_t q = r * p->line + j * p->lanes;
            taps_at(&p->row, row_lead, lines, i + r, i + r, &top, &low);
            const int64_t first = top * apart + left * s->cout;
            k.rows = low - top, k.count = (right - left) * s->cout, k.apart = apart;
            k.offset = of_phase->offset + first, k.a = at(l, of_phase->a, first * mr);
            l->product(blocks, mr, n * p->lanes, &k, at(l, dy, i * p->line + q), at(l, out, q), p->full);
        }
    }
}

void gr__conv2d_input(const gr_conv_loops *l, const gr_conv2d_size *s, int64_t first, int64_t end, const void *dy, const void *packed, void *dx, void *scratch)
{
    const plan p = plan_of(l, s);
    const int mr = rows_of(l, s->cin);
    const int64_t phases = p.row.phases * p.col.phases, plane = s->h * s->w, image = s->groups * s->cin * plane, result = s->groups * s->cout * s->oh * s->ow;
    const int64_t *offset = packed, blocks = up(s->cin, mr), panel = blocks * mr * s->cout * s->kh * s->kw;
    const char *start = (const char *)packed + p.offset_bytes, *a = start + p.start_bytes;
    void *b = scratch, *wide = after(b, p.gradient_bytes);
    if (p.row.stride > 1 || p.col.stride > 1) memset(at(l, dx, first * image), 0, (size_t)((end - first) * image * l->size)); /* some have no tap */
    memset(b, 0, p.gradient_bytes);
    for (int64_t n = first; n < end && s->cin > 0; n += p.lanes) {
        const int64_t images = gr__least(p.lanes, end - n);
        move_results(&p, (way){ false, images, result }, s->groups * s->cout, p.row.out, at(l, dy, n * result), at(l, b, p.lead), p.gradient, p.line);
        for (int64_t g = 0; g < s->groups; g++)
            for (int64_t f = 0, before = 0; f < phases; f++) {
                const int64_t fa = f / p.col.phases, fb = f % p.col.phases, last = end_of(&p.row, fa);
                const gr_conv_taps k = { .offset = offset + before, .start = start, .a = at(l, a, g * panel + before * blocks * mr) };
                for (int64_t i = first_of(&p.row, fa), rows; i < last; i += rows) {
                    rows = gr__least(p.rows, last - i);
                    phase_product(s, &p, fa, fb, i, rows, &k, at(l, b, g * s->cout * p.gradient), wide);
                    for (int64_t c = 0; c < s->cin; c++)
                        move_phase(&p, (way){ true, images, image }, fa, fb, i, rows, at(l, dx, n * image + (g * s->cin + c) * plane), at(l, wide, c * p.full));
                }
                before += s->cout * taps_in(&p.row, fa) * taps_in(&p.col, fb);
            }
    }
}

/* ---- dw from x and dy: dot products along the positions ------------------------------------------------------------------*/
/* dw += the dot products of some images; where they are side by side, the rows of their one block are what images are else. The gradient
 * of the bias is the dot product of dy with ones, after all of dw. */
static void weigh(const gr_conv2d_size *s, const plan *p, int64_t images, const gr_conv_dots *all, const void *ones, void *dw)
{
    const gr_conv_loops *l = p->l;
    const bool apart = p->lanes > 1;
    const int64_t count = s->cin * s->kh * s->kw, runs = apart ? p->runs : images, dy_step = apart ? p->next : s->groups * s->cout * p->wide;
    const int64_t x_step = apart ? p->line : (int64_t)p->image_bytes / l->size, nowhere = 0;
    gr_conv_dots d = *all;
    d.n = p->run, d.pitch = p->wide, d.dy_step = dy_step;
    for (int64_t r = 0; r < runs; r += d.images) {
        d.images = gr__least(p->strip, runs - r);
        for (int64_t o = 0, mr; o < s->groups * s->cout; o += mr) {
            mr = gr__least(l->dots, s->cout - o % s->cout);
            d.dy = at(l, all->dy, o * p->wide + r * dy_step);
            for (int64_t k = 0, nt; k < count + s->bias; k += nt) {
                const bool weights = k < count;
                nt = count - k >= l->taps ? l->taps : 1;
                d.offset = weights ? all->offset + k : &nowhere, d.x_step = weights ? x_step : 0;
                d.x = weights ? at(l, all->x, o / s->cout * s->cin * p->channel + r * x_step) : ones;
                d.sums = at(l, all->sums, p->strip < p->runs ? (o * (count + 1) + mr * k) * l->width : 0);
                if (r == 0) memset(d.sums, 0, (size_t)(mr * nt * l->width * l->size));
                l->each_dots[mr][nt > 1](&d);
                if (r + d.images == runs) l->fold(mr, nt, d.sums, at(l, dw, weights ? o * count + k : s->groups * s->cout * count + o), weights ? count : 1);
            }
        }
    }
}

void gr__conv2d_weight(const gr_conv_loops *l, const gr_conv2d_size *s, int64_t first, int64_t end, const void *x, const void *dy, void *dw, void *scratch)
{
    const plan p = plan_of(l, s);
    const int64_t count = s->cin * s->kh * s->kw, image = s->groups * s->cin * s->h * s->w, result = s->groups * s->cout * s->oh * s->ow;
    const int64_t chunk = gr__least(p.images, most(1, end - first)), x_step = (int64_t)p.image_bytes / l->size, dy_step = s->groups * s->cout * p.wide;
    int64_t *offset = scratch;
    void *within = after(scratch, p.offset_bytes), *sums = after(within, p.within_bytes), *ones = after(sums, p.sums_bytes);
    void *b = after(ones, p.ones_bytes), *g = after(b, (size_t)chunk * p.image_bytes);
    if (s->bias) l->copy(p.run + l->width, 0, l->one, 1, ones);
    place_taps(&p, s->cin, offset);
    memset(within, 0, p.within_bytes);
    for (int64_t q = 0; q < p.run; q += p.line) memset(at(l, within, q), -1, (size_t)(p.col.out * l->size));
    memset(dw, 0, (size_t)(s->groups * s->cout * (count + s->bias) * l->size));
    memset(b, 0, (size_t)chunk * p.image_bytes);
    if (p.lanes == 1) memset(g, 0, (size_t)(chunk * dy_step * l->size)); /* what lies between rows */
    for (int64_t n = first; n < end; n += chunk * p.lanes) {
        const int64_t images = gr__least(chunk * p.lanes, end - n);
        for (int64_t m = 0; m < images; m += p.lanes) {
            const int64_t some = gr__least(p.lanes, images - m), i = m / p.lanes;
            spread(&p, some, image, s->groups * s->cin, at(l, x, (n + m) * image), at(l, b, i * x_step));
            move_results(&p, (way){ false, some, result }, s->groups * s->cout, p.row.out, at(l, dy, (n + m) * result), at(l, g, i * dy_step), p.wide, p.next);
        }
        weigh(s, &p, images, &(gr_conv_dots){ .offset = offset, .within = p.lanes > 1 ? NULL : within, .x = b, .dy = g, .sums = sums }, ones, dw);
    }
}
