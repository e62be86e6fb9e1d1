/* Tables to CSV, and the record of the format.
 * Knows no file: the bytes go to a sink.
 * SPDX-License-Identifier: MIT */
#include "io/bytes.h"

#include <string.h>

typedef struct emitter {
    gr_ctx *ctx;
    const gr_sink *out;
    size_t size;
    bool ok;
    char bytes[4096];
} emitter;

static void put(emitter *e, const char *text, size_t n)
{
    while (n && e->ok) {
        size_t room = sizeof e->bytes - e->size, some = n < room ? n : room;
        memcpy(e->bytes + e->size, text, some);
        e->size += some, text += some, n -= some;
        if (e->size < sizeof e->bytes) continue;
        e->ok = gr__write(e->ctx, e->out, e->bytes, e->size);
        e->size = 0;
    }
}

/* In quotes where it must be: for what would end it, and for blanks at its ends. */
static void put_name(emitter *e, const char *name, char delimiter)
{
    size_t n = strlen(name);
    bool plain = n && !strpbrk(name, "\"\r\n") && !strchr(name, delimiter) && !strchr(" \t", name[0]) && !strchr(" \t", name[n - 1]);
    if (plain) {
        put(e, name, n);
        return;
    }
    put(e, "\"", 1);
    for (; *name; name++) put(e, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1);
    put(e, "\"", 1);
}

static void put_number(emitter *e, const gr_tensor *t, int64_t i, int64_t j)
{
    char text[GR__NUMBER_TEXT];
    int64_t at = i * gr__stride(t)[0] + j * gr__stride(t)[1];
    int n = 0;
    if (gr_dtype(t) == GR_I64) n = snprintf(text, sizeof text, "%lld", (long long)((const int64_t *)gr_data(t))[at]);
    else if (gr_dtype(t) == GR_F32) n = gr__print_real(text, (double)((const float *)gr_data(t))[at], GR_F32);
    else n = gr__print_real(text, ((const double *)gr_data(t))[at], GR_F64);
    put(e, text, (size_t)n);
}

static bool check(gr_ctx *c, const char *name, const gr_tensor *t)
{
    char text[256];
    gr__format_tensor_ref(text, sizeof text, t);
    if (gr_dtype(t) == GR_BOOL)
        gr_fail(c, GR_EDTYPE, "%s: %s: CSV has no bool. Fix: write gr_astype(t, GR_I64)", name, text);
    else if (gr_ndim(t) != 2)
        gr_fail(c, GR_ESHAPE, "%s: %s: CSV holds rows and columns, not rank %d. Fix: write gr_reshape(t, GR_SHAPE(rows, columns))", name,
                text, gr_ndim(t));
    else if (gr_numel(t) == 0)
        gr_fail(c, GR_ESHAPE, "%s: %s: CSV cannot hold a table without elements. Fix: write at least one row and one column", name, text);
    return !gr_failed(c);
}

bool gr__csv_emit(gr_ctx *c, const gr_sink *out, const gr_tensor *t, gr_csv_write_opts o)
{
    if (!check(c, out->name, t)) return false;
    emitter e = { .ctx = c, .out = out, .ok = true };
    const char delimiter = o.delimiter ? o.delimiter : ',';
    const int64_t rows = gr_size(t, 0), columns = gr_size(t, 1);
    for (int64_t j = 0; o.column_names && j < columns; j++) {
        if (j) put(&e, &delimiter, 1);
        put_name(&e, o.column_names[j], delimiter);
    }
    if (o.column_names) put(&e, "\n", 1);
    for (int64_t i = 0; i < rows && e.ok; i++) {
        for (int64_t j = 0; j < columns; j++) {
            if (j) put(&e, &delimiter, 1);
            put_number(&e, t, i, j);
        }
        put(&e, "\n", 1);
    }
    return e.ok && gr__write(c, out, e.bytes, e.size);
}

typedef struct job {
    const gr_tensor *t;
    gr_csv_write_opts o;
} job;

static bool emit(gr_ctx *c, const gr_sink *out, const void *what)
{
    const job *k = what;
    return gr__csv_emit(c, out, k->t, k->o);
}

bool gr_csv_write_with(gr_ctx *c, const char *path, const gr_tensor *t, gr_csv_write_opts o)
{
    return gr__ready(t) && gr__write_file(c, path, emit, &(job){ t, o });
}

/* ---- the record ------------------------------------------------------------------------------------------------*/
static bool read_bundle(gr_ctx *c, const char *name, const void *bytes, size_t size, gr_file_opts o, gr_bundle *out)
{
    *out = (gr_bundle){ 0 };
    gr_tensor *t = gr_csv_parse(c, name, bytes, size, .dtype = o.dtype, .max_bytes = o.max_bytes).x;
    gr_tensor **list = t ? gr__arena_alloc(gr__scope_now(c), sizeof *list) : NULL;
    if (!list) return false;
    *list = t;
    *out = (gr_bundle){ .n = 1, .tensors = list };
    return true;
}

static bool write_bundle(gr_ctx *c, const gr_bundle *in, const gr_sink *out)
{
    return gr__csv_emit(c, out, in->tensors[0], (gr_csv_write_opts){ 0 });
}

static const gr_file_sample samples[] = {
    { GR_FILE_BYTES("1,2\n3,-4.5e1\n") },
    { GR_FILE_BYTES("\xEF\xBB\xBF" "a, \"b \"\"c\"\"\"\r\n1,\"2\"\r\n\r\n.5,+6") },
    { GR_FILE_BYTES("7\r8\rinf\r") },
    { GR_FILE_BYTES("x,\"y\nz\"\n0.1,1234567890123456789012345678901234567890e-30\n") },
    { NULL, 0 }
};

static const gr_bad_file malformed[] = {
    { GR_FILE_BYTES(""), GR_EFORMAT, "bad: is empty. Fix: pass a file with at least one line" },
    { GR_FILE_BYTES("1,2\n3\n"), GR_EFORMAT,
      "bad:2: has 1 field, the first line has 2. Fix: correct it; a field that holds the delimiter must be quoted" },
    { GR_FILE_BYTES("a,b\n1,2\n3,4x\n"), GR_EFORMAT,
      "bad:3: column \"b\": \"4x\" is no number. Fix: correct it, leave the column out with .skip = \"b\", "
      "or read it as classes with .label = \"b\"" },
    { GR_FILE_BYTES("1,2\n3,0x4\n"), GR_EFORMAT,
      "bad:2: column \"1\": \"0x4\" is no number. Fix: correct it, leave the column out with .skip = \"1\", "
      "or read it as classes with .label = \"1\"" },
    { GR_FILE_BYTES("1,2\n3,NA\n"), GR_EFORMAT,
      "bad:2: column \"1\": the number is missing (\"NA\"). Fix: fill it in, or read it as NaN with .missing = GR_CSV_NAN" },
    { GR_FILE_BYTES("1,2\n3,1e39\n"), GR_EFORMAT, "bad:2: column \"1\": \"1e39\" is too large for f32. Fix: use .dtype = GR_F64" },
    { GR_FILE_BYTES("1,2\n3,\"4\n5,6\n"), GR_EFORMAT,
      "bad:2: the quote that opens a field here is never closed. Fix: close it, and double the quotes inside" },
    { GR_FILE_BYTES("1,2\n3,\"4\"5\n"), GR_EFORMAT,
      "bad:2: text follows the quote that closes a field. Fix: double the quotes inside the field" },
    { GR_FILE_BYTES("1,2\n3,4\"\n"), GR_EFORMAT,
      "bad:2: a quote stands inside a field without quotes. Fix: quote the whole field, and double the quotes inside" },
    { GR_FILE_BYTES("\xFF\xFE" "1\0,\0002\0"), GR_EFORMAT,
      "bad:1: holds a zero byte, so it is no UTF-8 text. Fix: save it as CSV in UTF-8" },
    { NULL, 0, GR_OK, NULL }
};

const gr_file_format gr__format_csv = {
    .name = "csv", .extension = "csv", .source = "RFC 4180",
    .dtypes = 1u << GR_I64 | 1u << GR_F32 | 1u << GR_F64, .min_rank = 2, .max_rank = 2,
    .read = read_bundle, .write = write_bundle, .samples = samples, .bad = malformed,
};
