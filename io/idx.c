/* IDX, the format of MNIST: a type, a rank, the sizes, the elements, all big-endian.
 * Knows no picture: any array of up to eight dimensions.
 * SPDX-License-Identifier: MIT
 *
 *     byte 0 1   2      3      4 ...              4 + 4 rank ...
 *          0 0   type   rank   sizes, u32 each    elements, the last dimension fastest */
#include "io/bytes.h"

#include <string.h>

typedef enum idx_type { U8 = 0x08, I8 = 0x09, I16 = 0x0B, I32 = 0x0C, F32 = 0x0D, F64 = 0x0E } idx_type;

typedef struct idx_header {
    idx_type type;
    size_t width; /* bytes of one element */
    gr_dims shape;
    const unsigned char *elements;
} idx_header;

static size_t width_of(int type)
{
    switch (type) {
    case U8: case I8: return 1;
    case I16: return 2;
    case I32: case F32: return 4;
    case F64: return 8;
    default: return 0;
    }
}

static uint64_t big_endian(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) v = v << 8 | p[i];
    return v;
}

/* ---- reading ---------------------------------------------------------------------------------------------------*/
static bool bad(gr_ctx *c, const gr__source *s, const char *what)
{
    gr_fail(c, GR_EFORMAT, "%s: %s. Fix: pass an IDX file, or fetch it again", s->name, what);
    return false;
}

/* The product of the sizes against the bytes that are really there, before anything is allocated. */
static bool check_size(gr_ctx *c, const gr__source *s, const idx_header *h)
{
    char dims[200];
    const uint64_t most = INT64_MAX / 128; /* elements that a tensor of any type can count, a size of 0 taken as 1 */
    uint64_t n = 1, have = s->size - 4 - 4 * (uint64_t)h->shape.n;
    bool empty = false;
    gr__format_dims(dims, sizeof dims, h->shape.n, h->shape.v);
    for (int i = 0; i < h->shape.n; i++) {
        uint64_t size = (uint64_t)h->shape.v[i];
        empty = empty || size == 0;
        if (size && n > most / size) {
            gr_fail(c, GR_EFORMAT, "%s: the shape %s has more elements than can be counted. Fix: the header is damaged; fetch the file again",
                    s->name, dims);
            return false;
        }
        n *= size ? size : 1;
    }
    uint64_t need = empty ? 0 : n * h->width;
    if (need == have) return true;
    gr_fail(c, GR_EFORMAT, "%s: the shape %s needs %llu bytes of elements, the file has %llu. Fix: the file is %s; fetch it again",
            s->name, dims, (unsigned long long)need, (unsigned long long)have, need > have ? "cut short" : "damaged");
    return false;
}

static bool read_header(gr_ctx *c, const gr__source *s, idx_header *h)
{
    char text[128];
    if (s->size < 4) return bad(c, s, "is shorter than the 4 bytes that begin an IDX file");
    if (s->at[0] || s->at[1]) {
        snprintf(text, sizeof text, "begins with the bytes %02x %02x, not 00 00", s->at[0], s->at[1]);
        return bad(c, s, text);
    }
    h->type = (idx_type)s->at[2];
    h->width = width_of(s->at[2]);
    if (!h->width) {
        snprintf(text, sizeof text, "has the element type %02x, not 08 (u8), 09 (i8), 0b (i16), 0c (i32), 0d (f32) or 0e (f64)", s->at[2]);
        return bad(c, s, text);
    }
    h->shape.n = s->at[3];
    if (h->shape.n > GR_MAX_RANK) {
        snprintf(text, sizeof text, "has %d dimensions, more than the %d that a tensor can have", h->shape.n, GR_MAX_RANK);
        return bad(c, s, text);
    }
    size_t end = 4 + 4 * (size_t)h->shape.n;
    if (s->size < end) {
        snprintf(text, sizeof text, "ends after %zu bytes, inside the header of %zu", s->size, end);
        return bad(c, s, text);
    }
    for (int i = 0; i < h->shape.n; i++) h->shape.v[i] = (int64_t)big_endian(s->at + 4 + 4 * i, 4);
    h->elements = s->at + end;
    return check_size(c, s, h);
}

static int64_t integer_at(const unsigned char *p, idx_type type)
{
    switch (type) {
    case U8: return p[0];
    case I8: return p[0] - ((p[0] & 0x80) << 1);
    case I16: return (int64_t)big_endian(p, 2) - ((int64_t)(p[0] & 0x80) << 9);
    default: return (int64_t)big_endian(p, 4) - ((int64_t)(p[0] & 0x80) << 25);
    }
}

static double real_at(const unsigned char *p, idx_type type)
{
    if (type == F32) {
        uint32_t b = (uint32_t)big_endian(p, 4);
        float f;
        memcpy(&f, &b, sizeof f);
        return (double)f;
    }
    if (type != F64) return (double)integer_at(p, type);
    uint64_t b = big_endian(p, 8);
    double v;
    memcpy(&v, &b, sizeof v);
    return v;
}

static void fill_real(gr_tensor *t, const idx_header *h, double scale)
{
    float *f = gr_data(t);
    double *d = gr_data(t);
    const unsigned char *p = h->elements;
    const bool f32 = gr_dtype(t) == GR_F32;
    if (h->type == U8 && f32) { /* pictures: the case that must be fast */
        float value[256];
        for (int i = 0; i < 256; i++) value[i] = (float)((double)i * scale);
        for (int64_t i = 0; i < t->numel; i++) f[i] = value[p[i]];
        return;
    }
    for (int64_t i = 0; i < t->numel; i++, p += h->width) {
        double v = real_at(p, h->type) * scale;
        if (f32) f[i] = (float)v;
        else d[i] = v;
    }
}

/* Same type, no scale: the bits, so that a NaN keeps its payload. */
static void fill_bits(gr_tensor *t, const idx_header *h)
{
    const unsigned char *p = h->elements;
    for (int64_t i = 0; i < t->numel; i++, p += h->width) {
        uint64_t b = big_endian(p, h->width);
        uint32_t half = (uint32_t)b;
        if (h->width == 4) memcpy((float *)gr_data(t) + i, &half, sizeof half);
        else memcpy((double *)gr_data(t) + i, &b, sizeof b);
    }
}

static gr_type result_type(gr_ctx *c, const char *name, const idx_header *h, gr_idx_opts o)
{
    const gr_type own = h->type == F32 ? GR_F32 : h->type == F64 ? GR_F64 : GR_I64;
    gr_type type = o.dtype ? o.dtype : o.scale != 0 ? c->dtype : own;
    if (type == GR_F32 || type == GR_F64) return type;
    if (type == GR_I64 && own == GR_I64 && o.scale == 0) return type;
    if (type == GR_I64 && own == GR_I64)
        gr_fail(c, GR_EDTYPE, "%s: .scale makes fractions, which i64 cannot hold. Fix: .dtype = GR_F32", name);
    else
        gr_fail(c, GR_EDTYPE, "%s: holds %s, which cannot be read as %s. Fix: leave out .dtype, or use GR_F32 or GR_F64", name,
                gr_dtype_name(own), gr_dtype_name(type));
    return (gr_type)0;
}

static gr_tensor *parse(gr_ctx *c, const gr__source *s, gr_idx_opts o)
{
    idx_header h = { 0 };
    if (!read_header(c, s, &h)) return NULL;
    gr_type type = result_type(c, s->name, &h, o);
    gr_tensor *t = type ? gr__new_tensor(c, s->name, h.shape, type) : NULL;
    if (!t) return NULL;
    if (type == GR_I64)
        for (int64_t i = 0; i < t->numel; i++) ((int64_t *)gr_data(t))[i] = integer_at(h.elements + (size_t)i * h.width, h.type);
    else if (o.scale == 0 && h.type == (type == GR_F32 ? F32 : F64))
        fill_bits(t, &h);
    else
        fill_real(t, &h, o.scale != 0 ? o.scale : 1);
    return t;
}

gr_tensor *gr_idx_read_with(gr_ctx *c, const char *path, gr_idx_opts o)
{
    gr__source s;
    gr_tensor *t = gr__source_file(c, &s, path, o.max_bytes) ? parse(c, &s, o) : NULL;
    gr__source_close(c, &s);
    return t;
}

gr_tensor *gr_idx_parse_with(gr_ctx *c, const char *name, const void *bytes, size_t size, gr_idx_opts o)
{
    gr__source s;
    gr_tensor *t = gr__source_memory(c, &s, name, bytes, size, o.max_bytes) ? parse(c, &s, o) : NULL;
    gr__source_close(c, &s);
    return t;
}

/* ---- writing ---------------------------------------------------------------------------------------------------*/
typedef struct emitter {
    gr_ctx *ctx;
    const gr_sink *out;
    idx_type type;
    size_t width, size;
    bool ok;
    int64_t least, most; /* of the elements, 0 included */
    unsigned char bytes[4096];
} emitter;

static void range_run(int64_t n, char *const *p, const int64_t *stride, void *user)
{
    emitter *e = user;
    for (int64_t i = 0; i < n; i++) {
        int64_t v = ((const int64_t *)(const void *)p[0])[i * stride[0]];
        if (v < e->least) e->least = v;
        if (v > e->most) e->most = v;
    }
}

static void put(emitter *e, uint64_t bits, size_t width)
{
    for (size_t i = width; i-- > 0;) e->bytes[e->size++] = (unsigned char)(bits >> (8 * i));
}

static void emit_run(int64_t n, char *const *p, const int64_t *stride, void *user)
{
    emitter *e = user;
    for (int64_t i = 0; i < n && e->ok; i++) {
        uint64_t bits = 0;
        uint32_t half;
        if (e->type == F32) {
            memcpy(&half, (const float *)(const void *)p[0] + i * stride[0], sizeof half);
            bits = half;
        } else {
            memcpy(&bits, (const uint64_t *)(const void *)p[0] + i * stride[0], sizeof bits);
        }
        put(e, bits, e->width); /* the low bytes of an i64 in range are the i8, i16 or i32 */
        if (e->size + 8 <= sizeof e->bytes) continue;
        e->ok = gr__write(e->ctx, e->out, e->bytes, e->size);
        e->size = 0;
    }
}

static idx_type integer_type(int64_t least, int64_t most)
{
    if (least >= 0 && most <= UINT8_MAX) return U8;
    if (least >= INT8_MIN && most <= INT8_MAX) return I8;
    if (least >= INT16_MIN && most <= INT16_MAX) return I16;
    return least >= INT32_MIN && most <= INT32_MAX ? I32 : (idx_type)0;
}

static bool emit(gr_ctx *c, const gr_sink *out, const void *what)
{
    const gr_tensor *t = what;
    emitter e = { .ctx = c, .out = out, .ok = true };
    gr_type type = gr_dtype(t);
    if (type == GR_BOOL) {
        gr_fail(c, GR_EDTYPE, "%s: IDX has no bool. Fix: write gr_astype(t, GR_I64)", out->name);
        return false;
    }
    for (int i = 0; i < t->ndim; i++)
        if (t->dims[i] > UINT32_MAX) {
            gr_fail(c, GR_ESHAPE, "%s: IDX has no size above 4294967295, dimension %d has %lld. Fix: write it in parts", out->name, i,
                    (long long)t->dims[i]);
            return false;
        }
    if (type == GR_I64) gr__strided(1, &t, range_run, &e);
    e.type = type == GR_F32 ? F32 : type == GR_F64 ? F64 : integer_type(e.least, e.most);
    e.width = width_of((int)e.type);
    if (!e.width) {
        gr_fail(c, GR_EVALUE, "%s: IDX has no integer of more than 32 bits, the elements reach from %lld to %lld. "
                "Fix: write gr_astype(t, GR_F64), exact up to 2^53", out->name, (long long)e.least, (long long)e.most);
        return false;
    }
    put(&e, (uint64_t)e.type << 8 | t->ndim, 4);
    for (int i = 0; i < t->ndim; i++) put(&e, (uint64_t)t->dims[i], 4);
    gr__strided(1, &t, emit_run, &e);
    return e.ok && gr__write(c, out, e.bytes, e.size);
}

bool gr_idx_write(gr_ctx *c, const char *path, const gr_tensor *t) { return gr__ready(t) && gr__write_file(c, path, emit, t); }

/* ---- the record ------------------------------------------------------------------------------------------------*/
static bool read_bundle(gr_ctx *c, const char *name, const void *bytes, size_t size, gr_file_opts o, gr_bundle *out)
{
    *out = (gr_bundle){ 0 };
    gr_tensor *t = gr_idx_parse(c, name, bytes, size, .dtype = o.dtype, .max_bytes = o.max_bytes);
    gr_tensor **list = t ? gr__arena_alloc(gr__scope_now(c), sizeof *list) : NULL;
    if (!list) return false;
    *list = t;
    *out = (gr_bundle){ .n = 1, .tensors = list };
    return true;
}

static bool write_bundle(gr_ctx *c, const gr_bundle *in, const gr_sink *out) { return emit(c, out, in->tensors[0]); }

static const gr_file_sample samples[] = {
    { GR_FILE_BYTES("\0\0\x08\2\0\0\0\2\0\0\0\3\0\1\2\x7F\x80\xFF") },            /* u8 [2, 3] */
    { GR_FILE_BYTES("\0\0\x09\1\0\0\0\3\x7F\x80\xFF") },                           /* i8 [3] */
    { GR_FILE_BYTES("\0\0\x0B\1\0\0\0\3\x7F\xFF\x80\0\xFF\xFF") },                 /* i16 [3] */
    { GR_FILE_BYTES("\0\0\x0C\1\0\0\0\2\x7F\xFF\xFF\xFF\x80\0\0\0") },             /* i32 [2] */
    { GR_FILE_BYTES("\0\0\x0D\2\0\0\0\1\0\0\0\2\x3F\x80\0\0\x7F\xC0\0\1") },       /* f32 [1, 2]: 1, a NaN */
    { GR_FILE_BYTES("\0\0\x0E\0\x3F\xF0\0\0\0\0\0\0") },                           /* f64, a scalar: 1 */
    { GR_FILE_BYTES("\0\0\x08\3\0\0\0\2\0\0\0\0\xFF\xFF\xFF\xFF") },               /* u8 without elements */
    { GR_FILE_BYTES("\x1F\x8B\x08\x08\x00\x00\x00\x00\x02\x03\x61\x00\x63\x60\xE0\x60\x62\x60\x60\x60\x03\x62\x16\x46\x26\x66\x16\x56"
                     "\x36\x4C\x12\x00\xE6\xF6\x02\xB1\x24\x00\x00\x00") }, /* u8 [6, 4] in gzip, with a name, fixed codes */
    { GR_FILE_BYTES("\x1F\x8B\x08\x00\x00\x00\x00\x00\x02\x03\x1D\x8C\x01\x0A\xC0\x00\x08\x02\xCF\x12\xDC\x93\xF7\xFC\xD9\x88\x28\xAF"
                     "\x14\x1E\x01\x2F\x41\xEC\xEE\xC0\x32\x13\x56\x3F\x02\x33\x2D\xF7\xE8\xD3\xE5\x63\xBA\xC9\x9D\x52\xD6\xF7\x5D\x4F"
                     "\x49\x23\x7A\xF3\x68\x4B\x94\x64\xCE\xDF\x6E\x88\x15\xAD\x9C\xB3\x9F\x6E\x52\xCC\x07\x43\x01\x87\xA2\x80\x00\x00"
                     "\x00") }, /* u8 [120] in gzip, dynamic codes */
    { NULL, 0 }
};

static const gr_bad_file malformed[] = {
    { GR_FILE_BYTES("\0\0\x08"), GR_EFORMAT,
      "bad: is shorter than the 4 bytes that begin an IDX file. Fix: pass an IDX file, or fetch it again" },
    { GR_FILE_BYTES("PK\3\4"), GR_EFORMAT,
      "bad: begins with the bytes 50 4b, not 00 00. Fix: pass an IDX file, or fetch it again" },
    { GR_FILE_BYTES("\0\0\x0A\0"), GR_EFORMAT,
      "bad: has the element type 0a, not 08 (u8), 09 (i8), 0b (i16), 0c (i32), 0d (f32) or 0e (f64). Fix: pass an IDX file, or fetch it again" },
    { GR_FILE_BYTES("\0\0\x08\x09"), GR_EFORMAT,
      "bad: has 9 dimensions, more than the 8 that a tensor can have. Fix: pass an IDX file, or fetch it again" },
    { GR_FILE_BYTES("\0\0\x08\2\0\0\0\2\0\0"), GR_EFORMAT,
      "bad: ends after 10 bytes, inside the header of 12. Fix: pass an IDX file, or fetch it again" },
    { GR_FILE_BYTES("\0\0\x0B\2\0\0\0\2\0\0\0\3\0\1\2\x7F\x80"), GR_EFORMAT,
      "bad: the shape [2, 3] needs 12 bytes of elements, the file has 5. Fix: the file is cut short; fetch it again" },
    { GR_FILE_BYTES("\0\0\x08\1\0\0\0\2\0\1\2"), GR_EFORMAT,
      "bad: the shape [2] needs 2 bytes of elements, the file has 3. Fix: the file is damaged; fetch it again" },
    { GR_FILE_BYTES("\0\0\x0E\3\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), GR_EFORMAT,
      "bad: the shape [4294967295, 4294967295, 4294967295] has more elements than can be counted. "
      "Fix: the header is damaged; fetch the file again" },
    { GR_FILE_BYTES("\0\0\x08\x08\0\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1"), GR_EFORMAT,
      "bad: the shape [0, 4294967295, 4294967295, 4294967295, 1, 1, 1, 1] has more elements than can be counted. "
      "Fix: the header is damaged; fetch the file again" },
    { NULL, 0, GR_OK, NULL }
};

const gr_file_format gr__format_idx = {
    .name = "idx", .extension = "idx", .source = "yann.lecun.com/exdb/mnist, \"The IDX file format\"",
    .dtypes = 1u << GR_I64 | 1u << GR_F32 | 1u << GR_F64, .min_rank = 0, .max_rank = GR_MAX_RANK, .empty = true,
    .read = read_bundle, .write = write_bundle, .samples = samples, .bad = malformed,
};
