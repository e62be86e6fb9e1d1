/* gzip files inflated: RFC 1952 around RFC 1951, every check sum and length verified.
 * Knows no tensor and no file: bytes in, bytes out, at most as many as the caller allows.
 * SPDX-License-Identifier: MIT
 *
 * Huffman codes are decoded by a table of FAST bits; the few longer codes by canonical order, bit by bit: the codes of
 * one length are consecutive numbers, so a code minus the first of its length is an index into the sorted symbols. */
#include "io/bytes.h"

#include <string.h>

#define FAST 10 /* most codes of real files are shorter */
#define LONGEST 15
#define MATCH 258 /* the longest copy */

typedef struct huffman {
    uint16_t fast[1 << FAST];     /* symbol << 4 | length, at every index that begins with the code; 0: a longer code */
    uint16_t count[LONGEST + 1];  /* of codes of each length */
    uint16_t symbol[288];         /* sorted by code */
} huffman;

typedef struct inflater {
    gr_ctx *ctx;
    const char *name;
    const unsigned char *begin, *in, *end;
    uint64_t bits; /* the next `count` bits, the first lowest */
    int count;
    gr__buffer *out;
    size_t member; /* where the output of this member begins */
    size_t limit;
    huffman literals, distances;
    uint32_t crc[8][256];
} inflater;

static bool fail(inflater *s, const char *why)
{
    gr_fail(s->ctx, GR_EFORMAT, "%s: the gzip data %s (byte %zu of %zu). Fix: the file is damaged; fetch it or compress it again",
            s->name, why, (size_t)(s->in - s->begin), (size_t)(s->end - s->begin));
    return false;
}

/* ---- bits ------------------------------------------------------------------------------------------------------*/
static uint32_t little_endian(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* At least 56 bits, or all that are left. Bits above `count` may be set early: they are the right ones. */
static inline void refill(inflater *s)
{
    if (s->end - s->in >= 8) {
        s->bits |= ((uint64_t)little_endian(s->in) | (uint64_t)little_endian(s->in + 4) << 32) << s->count;
        s->in += (63 - s->count) >> 3;
        s->count |= 56;
        return;
    }
    for (; s->count <= 56 && s->in < s->end; s->count += 8) s->bits |= (uint64_t)*s->in++ << s->count;
}

/* The next n <= 16 bits, which a refill has brought; -1 when the data end before. */
static inline int take(inflater *s, int n)
{
    if (n > s->count) return -1;
    int v = (int)(s->bits & ((1u << n) - 1));
    s->bits >>= n;
    s->count -= n;
    return v;
}

static int bits(inflater *s, int n)
{
    if (s->count < n) refill(s);
    int v = take(s, n);
    if (v < 0) fail(s, "ends early");
    return v;
}

/* Back to whole bytes. */
static void align(inflater *s)
{
    s->in -= s->count >> 3;
    s->bits = 0;
    s->count = 0;
}

/* ---- Huffman codes ---------------------------------------------------------------------------------------------*/
static unsigned reversed(unsigned code, int length)
{
    unsigned r = 0;
    for (; length > 0; length--, code >>= 1) r = r << 1 | (code & 1);
    return r;
}

/* From the length of each symbol's code. False when the lengths are those of no code; `lone`: one code of one bit will do. */
static bool huffman_build(huffman *h, const unsigned char *length, int n, bool lone)
{
    int next[LONGEST + 1] = { 0 }, start[LONGEST + 1] = { 0 }, left = 1, longest = 0;
    memset(h->count, 0, sizeof h->count);
    memset(h->fast, 0, sizeof h->fast);
    for (int i = 0; i < n; i++) h->count[length[i]]++;
    h->count[0] = 0;
    for (int l = 1; l <= LONGEST; l++) {
        left = 2 * left - h->count[l];
        if (left < 0) return false;
        if (h->count[l]) longest = l;
        next[l] = (next[l - 1] + h->count[l - 1]) << 1;
        start[l] = start[l - 1] + h->count[l - 1];
    }
    if (left > 0 && !(lone && longest <= 1)) return false;
    for (int i = 0; i < n; i++) {
        int l = length[i];
        if (!l) continue;
        h->symbol[start[l]++] = (uint16_t)i;
        unsigned code = (unsigned)next[l]++;
        if (l > FAST) continue;
        for (unsigned k = reversed(code, l); k < 1u << FAST; k += 1u << l) h->fast[k] = (uint16_t)(i << 4 | l);
    }
    return true;
}

/* The next symbol; -1 when the data end, -2 when the bits are no code. */
static inline int decode(inflater *s, const huffman *h)
{
    unsigned e = h->fast[s->bits & ((1u << FAST) - 1)];
    if (e) {
        int length = (int)(e & 15);
        if (length > s->count) return -1;
        s->bits >>= length;
        s->count -= length;
        return (int)(e >> 4);
    }
    int code = 0, first = 0, index = 0;
    for (int l = 1; l <= LONGEST && l <= s->count; l++) {
        code |= (int)(s->bits >> (l - 1) & 1);
        int n = h->count[l];
        if (code - first < n) {
            s->bits >>= l;
            s->count -= l;
            return h->symbol[index + code - first];
        }
        index += n;
        first = (first + n) << 1;
        code <<= 1;
    }
    return s->count < LONGEST ? -1 : -2;
}

/* ---- blocks ----------------------------------------------------------------------------------------------------*/
static bool over_limit(inflater *s)
{
    gr_fail(s->ctx, GR_EFORMAT, "%s: inflates to more than the limit of %zu bytes. Fix: if you trust it, raise .max_bytes",
            s->name, s->limit);
    return false;
}

/* Room for n more bytes: as much again as there is, so that memory follows what was really produced. */
static bool room(inflater *s, size_t n)
{
    gr__buffer *b = s->out;
    if (b->size > s->limit || n > s->limit - b->size + MATCH) return over_limit(s);
    if (b->capacity - b->size >= n) return true;
    size_t most = s->limit + MATCH, need = b->size + n, twice = 2 * b->capacity;
    size_t want = twice > need ? twice : need < 4096 ? 4096 : need;
    return gr__buffer_grow(s->ctx, b, want < most ? want : most);
}

static bool stored(inflater *s)
{
    align(s);
    if (s->end - s->in < 4) return fail(s, "ends early");
    uint32_t head = little_endian(s->in), n = head & 0xFFFF;
    if (n != (~head >> 16)) return fail(s, "has a stored block whose length and its complement differ");
    s->in += 4;
    if ((size_t)(s->end - s->in) < n) return fail(s, "ends early");
    if (!room(s, n)) return false;
    if (n) memcpy(s->out->at + s->out->size, s->in, n);
    s->out->size += n;
    s->in += n;
    return true;
}

static void copy_match(unsigned char *to, size_t distance, size_t n)
{
    const unsigned char *from = to - distance;
    if (distance >= n) memcpy(to, from, n);
    else if (distance == 1) memset(to, *from, n);
    else for (size_t i = 0; i < n; i++) to[i] = from[i];
}

static bool match(inflater *s, int symbol)
{
    static const uint16_t length_base[29] = { 3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                              31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258 };
    static const unsigned char length_extra[29] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                                    2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0 };
    static const uint16_t distance_base[30] = { 1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                                193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577 };
    static const unsigned char distance_extra[30] = { 0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                                      6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13 };
    if (symbol > 285) return fail(s, "has a length code that means nothing");
    int more = take(s, length_extra[symbol - 257]);
    int code = more < 0 ? -1 : decode(s, &s->distances);
    if (code == -1) return fail(s, "ends early");
    if (code < 0 || code > 29) return fail(s, "has a distance code that means nothing");
    int far = take(s, distance_extra[code]);
    if (far < 0) return fail(s, "ends early");
    size_t n = (size_t)(length_base[symbol - 257] + more), distance = (size_t)(distance_base[code] + far);
    if (distance > s->out->size - s->member) return fail(s, "copies from before its beginning");
    copy_match(s->out->at + s->out->size, distance, n);
    s->out->size += n;
    return true;
}

/* One refill serves a literal, or a whole match: 15 + 5 + 15 + 13 bits at most. */
static bool compressed(inflater *s)
{
    for (;;) {
        if (s->out->capacity - s->out->size < MATCH && !room(s, MATCH)) return false;
        refill(s);
        int symbol = decode(s, &s->literals);
        if (symbol < 0) return fail(s, symbol == -1 ? "ends early" : "has bits that are no code");
        if (symbol == 256) return true;
        if (symbol < 256) s->out->at[s->out->size++] = (unsigned char)symbol;
        else if (!match(s, symbol)) return false;
    }
}

static void fixed_codes(inflater *s)
{
    unsigned char length[288];
    for (int i = 0; i < 288; i++) length[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    huffman_build(&s->literals, length, 288, false);
    memset(length, 5, 30);
    length[30] = length[31] = 5; /* part of the code, though no data may use them */
    huffman_build(&s->distances, length, 32, false);
}

/* The lengths of both codes, run-length coded and themselves Huffman coded. */
static bool code_lengths(inflater *s, unsigned char *length, int n)
{
    for (int i = 0; i < n;) {
        refill(s);
        int symbol = decode(s, &s->literals), times = 1, value = symbol;
        if (symbol < 0) return fail(s, symbol == -1 ? "ends early" : "has bits that are no code");
        if (symbol >= 16) {
            int more = take(s, symbol == 16 ? 2 : symbol == 17 ? 3 : 7);
            if (more < 0) return fail(s, "ends early");
            if (symbol == 16 && i == 0) return fail(s, "repeats a code length that does not exist");
            value = symbol == 16 ? length[i - 1] : 0;
            times = more + (symbol == 18 ? 11 : 3);
        }
        if (times > n - i) return fail(s, "has more code lengths than codes");
        memset(length + i, value, (size_t)times);
        i += times;
    }
    return true;
}

static bool dynamic_codes(inflater *s)
{
    static const unsigned char order[19] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 };
    unsigned char length[288 + 32] = { 0 };
    int literals = bits(s, 5), distances = bits(s, 5), codes = bits(s, 4);
    if (literals < 0 || distances < 0 || codes < 0) return false;
    literals += 257, distances += 1, codes += 4;
    if (literals > 286 || distances > 30) return fail(s, "has more codes than exist");
    for (int i = 0; i < codes; i++) {
        int l = bits(s, 3);
        if (l < 0) return false;
        length[order[i]] = (unsigned char)l;
    }
    if (!huffman_build(&s->literals, length, 19, false)) return fail(s, "has lengths that make no code");
    if (!code_lengths(s, length, literals + distances)) return false;
    if (!length[256]) return fail(s, "has a block without an end");
    if (!huffman_build(&s->literals, length, literals, true) || !huffman_build(&s->distances, length + literals, distances, true))
        return fail(s, "has lengths that make no code");
    return true;
}

static bool deflated(inflater *s)
{
    for (int last = 0; !last;) {
        last = bits(s, 1);
        int kind = last < 0 ? -1 : bits(s, 2);
        if (kind < 0) return false;
        if (kind == 3) return fail(s, "has a block of no known kind");
        if (kind == 1) fixed_codes(s);
        if (kind == 2 && !dynamic_codes(s)) return false;
        if (!(kind == 0 ? stored(s) : compressed(s))) return false;
    }
    align(s);
    return s->out->size <= s->limit || over_limit(s);
}

/* ---- members ---------------------------------------------------------------------------------------------------
 * CRC-32, eight bytes at a time: table k advances a byte by k more bytes of zeros. */
static void crc_tables(inflater *s)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t r = i;
        for (int k = 0; k < 8; k++) r = r >> 1 ^ (0xEDB88320u & (0u - (r & 1)));
        s->crc[0][i] = r;
    }
    for (int k = 1; k < 8; k++)
        for (int i = 0; i < 256; i++) s->crc[k][i] = s->crc[k - 1][i] >> 8 ^ s->crc[0][s->crc[k - 1][i] & 255];
}

static uint32_t crc32_of(const inflater *s, const unsigned char *p, size_t n)
{
    uint32_t r = 0xFFFFFFFFu;
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t a = r ^ little_endian(p), b = little_endian(p + 4);
        r = s->crc[7][a & 255] ^ s->crc[6][a >> 8 & 255] ^ s->crc[5][a >> 16 & 255] ^ s->crc[4][a >> 24] ^
            s->crc[3][b & 255] ^ s->crc[2][b >> 8 & 255] ^ s->crc[1][b >> 16 & 255] ^ s->crc[0][b >> 24];
    }
    for (; n; n--) r = r >> 8 ^ s->crc[0][(r ^ *p++) & 255];
    return ~r;
}

static bool skip_text(inflater *s)
{
    const unsigned char *zero = memchr(s->in, 0, (size_t)(s->end - s->in));
    s->in = zero ? zero + 1 : s->end;
    return zero || fail(s, "ends inside its header");
}

static bool header(inflater *s)
{
    enum { HEADER_CRC = 2, EXTRA = 4, FILE_NAME = 8, COMMENT = 16, RESERVED = 0xE0 };
    const unsigned char *start = s->in;
    if (s->end - s->in < 2 || s->in[0] != 0x1F || s->in[1] != 0x8B) return fail(s, "is followed by bytes that are no gzip data");
    if (s->end - s->in < 10) return fail(s, "ends inside its header");
    if (s->in[2] != 8) return fail(s, "is compressed by a method other than deflate");
    int flags = s->in[3];
    if (flags & RESERVED) return fail(s, "has flags that no standard defines");
    s->in += 10;
    if (flags & EXTRA) {
        size_t left = (size_t)(s->end - s->in), n = left < 2 ? left : 2 + (size_t)(s->in[0] | s->in[1] << 8);
        if (left < 2 || left < n) return fail(s, "ends inside its header");
        s->in += n;
    }
    if ((flags & FILE_NAME) && !skip_text(s)) return false;
    if ((flags & COMMENT) && !skip_text(s)) return false;
    if (!(flags & HEADER_CRC)) return true;
    if (s->end - s->in < 2) return fail(s, "ends inside its header");
    uint32_t crc = crc32_of(s, start, (size_t)(s->in - start)) & 0xFFFF;
    if (crc != (uint32_t)(s->in[0] | s->in[1] << 8)) return fail(s, "has a header whose check sum is wrong");
    s->in += 2;
    return true;
}

static bool trailer(inflater *s)
{
    if (s->end - s->in < 8) return fail(s, "ends before its check sum");
    size_t n = s->out->size - s->member;
    if ((uint32_t)n != little_endian(s->in + 4)) return fail(s, "has another length than it says");
    if ((n ? crc32_of(s, s->out->at + s->member, n) : 0) != little_endian(s->in)) return fail(s, "has a wrong check sum");
    s->in += 8;
    return true;
}

bool gr__gunzip(gr_ctx *c, const char *name, const unsigned char *in, size_t size, size_t max_bytes, gr__buffer *out)
{
    inflater *s = gr__raw_alloc(c, sizeof *s);
    if (!s) return false;
    *s = (inflater){ .ctx = c, .name = name, .begin = in, .in = in, .end = in + size, .out = out, .limit = max_bytes };
    crc_tables(s);
    bool ok = true;
    do {
        s->member = out->size;
        ok = header(s) && deflated(s) && trailer(s);
    } while (ok && s->in < s->end);
    gr__raw_free(c, s, sizeof *s);
    return ok;
}
