/* Files to bytes and bytes to files, with every refusal of the system turned into words.
 * Knows no format but the two bytes that begin a gzip file.
 * SPDX-License-Identifier: MIT */
#include "io/bytes.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

bool gr__buffer_grow(gr_ctx *c, gr__buffer *b, size_t capacity)
{
    if (capacity <= b->capacity) return true;
    unsigned char *p = gr__raw_alloc(c, capacity);
    if (!p) return false;
    if (b->size) memcpy(p, b->at, b->size);
    gr__raw_free(c, b->at, b->capacity);
    b->at = p;
    b->capacity = capacity;
    return true;
}

void gr__buffer_free(gr_ctx *c, gr__buffer *b)
{
    gr__raw_free(c, b->at, b->capacity);
    *b = (gr__buffer){ 0 };
}

gr__excerpt gr__excerpt_of(const char *text, size_t n)
{
    gr__excerpt e;
    size_t keep = n;
    if (n > 40)
        for (keep = 40; keep > 36 && ((unsigned char)text[keep] & 0xC0) == 0x80;) keep--; /* not inside a UTF-8 letter */
    for (size_t i = 0; i < keep; i++) e.text[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7F ? '?' : text[i];
    strcpy(e.text + keep, n > 40 ? "..." : "");
    return e;
}

/* ---- reading ---------------------------------------------------------------------------------------------------*/
static bool too_large(gr_ctx *c, const char *name, size_t limit)
{
    gr_fail(c, GR_EFORMAT, "%s: is larger than the limit of %zu bytes. Fix: if you trust it, raise .max_bytes", name, limit);
    return false;
}

/* What the system says the size is: only a first guess, as pipes have none and folders lie. */
static size_t size_hint(FILE *f, size_t limit)
{
    const size_t least = 4096;
    if (fseek(f, 0, SEEK_END) != 0) return least;
    long n = ftell(f);
    rewind(f);
    return n < 0 || (unsigned long)n >= limit ? least : (size_t)n < least ? least : (size_t)n + 1;
}

static bool slurp(gr_ctx *c, FILE *f, const char *path, size_t limit, gr__buffer *b)
{
    size_t want = size_hint(f, limit);
    do {
        if (!gr__buffer_grow(c, b, want)) return false;
        b->size += fread(b->at + b->size, 1, b->capacity - b->size, f);
        if (b->size > limit) return too_large(c, path, limit);
        want = 2 * b->capacity;
    } while (b->size == b->capacity);
    if (!ferror(f)) return true;
    gr_fail(c, GR_EIO, "%s: cannot be read: %s. Fix: pass a file that can", path, strerror(errno));
    return false;
}

static bool inflate_if_gzip(gr_ctx *c, gr__source *s, size_t limit)
{
    if (s->size < 2 || s->at[0] != 0x1F || s->at[1] != 0x8B) return true;
    gr__buffer out = { 0 };
    bool ok = gr__gunzip(c, s->name, s->at, s->size, limit, &out);
    gr__buffer_free(c, &s->own);
    s->own = out;
    s->at = out.at;
    s->size = out.size;
    return ok;
}

static size_t limit_of(size_t max_bytes)
{
    size_t limit = max_bytes ? max_bytes : GR__MAX_BYTES;
    return limit < SIZE_MAX / 4 ? limit : SIZE_MAX / 4; /* so that doubling does not overflow */
}

bool gr__source_file(gr_ctx *c, gr__source *s, const char *path, size_t max_bytes)
{
    *s = (gr__source){ .name = path };
    if (gr_failed(c)) return false;
    if (!path) {
        gr_fail(c, GR_EVALUE, "reading a file: the path is NULL. Fix: pass the path of a file");
        return false;
    }
    size_t limit = limit_of(max_bytes);
    FILE *f = fopen(path, "rb");
    if (!f) {
        gr_fail(c, GR_EIO, "%s: cannot be opened: %s. Fix: check the path, which is taken from the current folder", path,
                strerror(errno));
        return false;
    }
    bool ok = slurp(c, f, path, limit, &s->own);
    fclose(f);
    s->at = s->own.at;
    s->size = s->own.size;
    return ok && inflate_if_gzip(c, s, limit);
}

bool gr__source_memory(gr_ctx *c, gr__source *s, const char *name, const void *bytes, size_t size, size_t max_bytes)
{
    *s = (gr__source){ .name = name ? name : "memory", .at = bytes, .size = size };
    if (gr_failed(c)) return false;
    if (!bytes && size) {
        gr_fail(c, GR_EVALUE, "%s: the bytes are NULL, the size is %zu. Fix: pass both", s->name, size);
        return false;
    }
    size_t limit = limit_of(max_bytes);
    if (size > limit) return too_large(c, s->name, limit);
    return inflate_if_gzip(c, s, limit);
}

void gr__source_close(gr_ctx *c, gr__source *s)
{
    if (c) gr__buffer_free(c, &s->own);
}

/* ---- writing ---------------------------------------------------------------------------------------------------*/
static void cannot_write(gr_ctx *c, const char *name)
{
    gr_fail(c, GR_EIO, "%s: cannot be written: %s. Fix: check that the folder exists, may be written, and has room", name,
            strerror(errno));
}

bool gr__write(gr_ctx *c, const gr_sink *out, const void *bytes, size_t size)
{
    if (size == 0 || out->write(out->user, bytes, size)) return true;
    cannot_write(c, out->name);
    return false;
}

static bool write_to_file(void *user, const void *bytes, size_t size) { return fwrite(bytes, 1, size, user) == size; }

bool gr__write_file(gr_ctx *c, const char *path, gr__writer *writer, const void *what)
{
    if (gr_failed(c)) return false;
    if (!path) {
        gr_fail(c, GR_EVALUE, "writing a file: the path is NULL. Fix: pass the path of a file");
        return false;
    }
    FILE *f = fopen(path, "wb");
    if (!f) {
        cannot_write(c, path);
        return false;
    }
    bool ok = writer(c, &(gr_sink){ write_to_file, f, path }, what);
    if (fclose(f) != 0 && ok) {
        cannot_write(c, path);
        return false;
    }
    return ok;
}

/* ---- tensors ---------------------------------------------------------------------------------------------------*/
gr_tensor *gr__new_tensor(gr_ctx *c, const char *who, gr_dims shape, gr_type type)
{
    if (gr_failed(c) || !gr__shape_ok(c, who, shape.n, shape.v, type)) return NULL;
    gr_scope *s = gr__scope_now(c);
    gr_tensor *t = gr__node(c, s, type, shape.n, shape.v, 0, 0);
    return t && gr__give_memory(s, t) ? t : NULL;
}

static void copy_run(int64_t n, char *const *p, const int64_t *stride, void *user)
{
    const size_t size = *(const size_t *)user;
    for (int64_t i = 0; i < n; i++)
        memcpy(p[0] + i * stride[0] * (int64_t)size, p[1] + i * stride[1] * (int64_t)size, size);
}

gr_tensor *gr__dense(gr_tensor *t)
{
    if (!gr__ready(t) || gr_is_contiguous(t)) return gr__ready(t) ? t : NULL;
    gr_tensor *y = gr__new_tensor(t->ctx, "copy", gr_dims_like(t), gr_dtype(t));
    if (!y) return NULL;
    size_t size = gr__type_size(gr_dtype(t));
    gr__strided(2, (const gr_tensor *const[]){ y, t }, copy_run, &size);
    return y;
}
