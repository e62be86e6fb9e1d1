/* The loop over every file format: each record is checked by what it says of itself, on its own samples.
 * Knows no format: to add one edits nothing here.
 * SPDX-License-Identifier: MIT */
#define TEST_OWN_MAIN
#include "core/tensor.h"
#include "io/io.h"
#include "tests/test.h"

#include <errno.h>
#include <float.h>

static int number, failed;
static bool small; /* under Valgrind: a part of the corruptions */

static void tell(const gr_file_format *f, const char *sentence, long count)
{
    char name[160];
    snprintf(name, sizeof name, "%s: %s (%ld)", f->name, sentence, count);
    failed += test_report(++number, name, test_errors == 0 && count > 0);
    test_errors = 0;
}

/* ---- an allocator that remembers the largest request, and bytes whose ends the sanitizers guard ---------------------------*/
typedef struct watch {
    test_memory memory;
    size_t largest;
} watch;

static void *watch_alloc(void *user, size_t bytes)
{
    watch *w = user;
    if (bytes > w->largest) w->largest = bytes;
    return test_alloc(&w->memory, bytes);
}

static void watch_release(void *user, void *p, size_t bytes) { test_release(&((watch *)user)->memory, p, bytes); }

static char *exact_copy(const char *bytes, size_t size)
{
    char *copy = malloc(size ? size : 1);
    if (copy && size) memcpy(copy, bytes, size);
    return copy;
}

/* Reads all, so that memory that was never written shows. */
static double sum(const gr_bundle *b)
{
    double all = 0;
    for (int i = 0; i < b->n; i++) {
        double *v = malloc((size_t)gr_numel(b->tensors[i]) * sizeof *v + 1);
        if (v && gr_read(b->tensors[i], v))
            for (int64_t k = 0; k < gr_numel(b->tensors[i]); k++) all += v[k];
        free(v);
    }
    return all;
}

/* Untrusted bytes must give tensors, or an error of a kind that a file can cause. */
static void read_anything(gr_ctx *c, const gr_file_format *f, const char *bytes, size_t size)
{
    gr_scope *s = gr_scope_begin(c);
    char *copy = exact_copy(bytes, size);
    gr_bundle b = { 0 };
    bool ok = f->read(c, "any", copy, size, (gr_file_opts){ .max_bytes = 1 << 20 }, &b);
    free(copy);
    CHECK(ok == !gr_failed(c));
    if (ok) {
        double all = sum(&b);
        CHECK(b.n >= 1 && (all <= INFINITY || isnan(all)));
    } else CHECK((gr_status(c) == GR_EFORMAT || gr_status(c) == GR_EDTYPE || gr_status(c) == GR_EVALUE) && *gr_message(c));
    gr_clear_error(c);
    gr_scope_end(s);
}

/* ---- prefixes and corruptions ------------------------------------------------------------------------------------*/
static long corrupt(gr_ctx *c, const gr_file_format *f, const gr_file_sample *s)
{
    static const unsigned char some[] = { 0x00, 0x01, 0x08, 0x7F, 0x80, 0xFF, '\n', '\r', '"', ',', '9', '-', '.', 'e', ' ' };
    long count = 0;
    char *bytes = exact_copy(s->bytes, s->size);
    for (size_t i = 0; bytes && i < s->size; i++) {
        int values = small ? (int)sizeof some : 256;
        for (int v = 0; v < values; v++, count++) {
            bytes[i] = (char)(small ? some[v] : v);
            read_anything(c, f, bytes, s->size);
        }
        bytes[i] = s->bytes[i];
    }
    free(bytes);
    return count;
}

static void untrusted(const gr_file_format *f)
{
    long samples = 0, prefixes = 0, corruptions = 0;
    for (const gr_file_sample *s = f->samples; s->bytes; s++, samples++) {
        watch w = { 0 };
        gr_allocator a = { watch_alloc, watch_release, &w };
        gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .allocator = &a });
        gr_bundle b = { 0 };
        CHECK(f->read(c, "sample", s->bytes, s->size, (gr_file_opts){ 0 }, &b) && b.n >= 1);
        if (gr_failed(c)) printf("# sample %ld: %s\n", samples, gr_message(c));
        gr_clear_error(c);
        for (size_t n = 0; n < s->size; n++, prefixes++) read_anything(c, f, s->bytes, n);
        corruptions += corrupt(c, f, s);
        gr_ctx_free(c);
        CHECK(w.memory.live == 0);
        CHECK(w.largest <= ((size_t)1 << 17) + 1032 * s->size); /* a chunk of nodes; deflate's best is 1032 to 1 */
    }
    tell(f, "every sample, prefix and corrupted byte gives tensors or a clean error", samples + prefixes + corruptions);
}

static void malformed(const gr_file_format *f)
{
    long count = 0;
    for (const gr_bad_file *b = f->bad; b->bytes; b++, count++) {
        gr_ctx *c = gr_ctx_new(NULL);
        gr_bundle out = { 0 };
        char *copy = exact_copy(b->bytes, b->size);
        CHECK(!f->read(c, "bad", copy, b->size, (gr_file_opts){ 0 }, &out));
        CHECK(gr_status(c) == b->code);
        CHECK_STR(gr_message(c), b->message);
        CHECK(out.n == 0);
        free(copy);
        gr_clear_error(c);
        CHECK(f->read(c, "good", f->samples->bytes, f->samples->size, (gr_file_opts){ 0 }, &out));
        gr_ctx_free(c);
    }
    tell(f, "every malformed file has its own message", count);
}

/* ---- round trips -------------------------------------------------------------------------------------------------*/
typedef struct store {
    char bytes[1 << 16];
    size_t size;
    long calls, fail_at;
} store;
static store file;

static bool store_write(void *user, const void *bytes, size_t size)
{
    store *s = user;
    errno = ENOSPC;
    if (++s->calls == s->fail_at || s->size + size > sizeof s->bytes) return false;
    memcpy(s->bytes + s->size, bytes, size);
    s->size += size;
    return true;
}

static bool write_to_store(gr_ctx *c, const gr_file_format *f, gr_tensor *const *list, int n, long fail_at)
{
    static const char *const names[] = { "first", "second.weight", "" };
    file.size = 0, file.calls = 0, file.fail_at = fail_at;
    return f->write(c, &(gr_bundle){ n, list, f->many ? names : NULL }, &(gr_sink){ store_write, &file, "store" });
}

static gr_tensor *filled(gr_ctx *c, gr_dims shape, gr_type type)
{
    static const double real[] = { 0, -0.0, 1.0 / 3, FLT_MIN, FLT_MAX, -1e10, INFINITY, 0.1, -2.5, FLT_TRUE_MIN, 16777217, 123456.789 };
    static const double wide[] = { DBL_MAX, DBL_MIN, DBL_TRUE_MIN, 1.0 / 3, -INFINITY, 1e22, 0.1 + 0.2, -0.0 };
    static const double whole[] = { 0, 1, -1, 127, -128, 255, 32767, -32768, 2147483647, -2147483648.0 };
    gr_tensor *t = gr_zeros(c, shape, .dtype = type);
    double *v = malloc((size_t)gr_numel(t) * sizeof *v + 1);
    for (int64_t i = 0; v && i < gr_numel(t); i++)
        v[i] = type == GR_F32 ? (double)(float)real[i % 12] : type == GR_F64 ? wide[i % 8] : type == GR_I64 ? whole[i % 10] : (double)(i % 2);
    if (v) gr_write(t, v);
    free(v);
    return t;
}

/* The same elements seen through reversed dimensions. */
static gr_tensor *reversed(gr_tensor *t)
{
    int64_t dim[GR_MAX_RANK], stride[GR_MAX_RANK];
    for (int i = 0; i < t->ndim; i++) dim[i] = t->dims[t->ndim - 1 - i], stride[i] = gr__stride(t)[t->ndim - 1 - i];
    gr_scope *s = gr__scope_now(t->ctx);
    gr_tensor *r = gr__node(t->ctx, s, gr_dtype(t), t->ndim, dim, 0, 0);
    gr__share_memory(s, r, t, 0, stride);
    return r;
}

static bool same_bits(const gr_tensor *a, const gr_tensor *b)
{
    if (gr_dtype(a) != gr_dtype(b) || gr_ndim(a) != gr_ndim(b) || gr_numel(a) != gr_numel(b)) return false;
    for (int i = 0; i < gr_ndim(a); i++)
        if (gr_size(a, i) != gr_size(b, i)) return false;
    const size_t n = (size_t)gr_numel(a);
    double *v = malloc(2 * n * sizeof *v + 1);
    bool same = v && gr_read(a, v) && gr_read(b, v + n) && memcmp(v, v + n, n * sizeof *v) == 0;
    free(v);
    return same;
}

static void round_trip(gr_ctx *c, const gr_file_format *f, gr_tensor *t)
{
    gr_bundle b = { 0 };
    char dims[200];
    bool ok = write_to_store(c, f, &t, 1, 0) && f->read(c, "store", file.bytes, file.size, (gr_file_opts){ .dtype = gr_dtype(t) }, &b);
    ok = ok && b.n == 1 && same_bits(t, b.tensors[0]);
    CHECK(ok);
    gr__format_dims(dims, sizeof dims, gr_ndim(t), gr_shape(t));
    if (!ok) printf("# %s %s %s: %s\n", f->name, gr_dtype_name(gr_dtype(t)), dims, gr_message(c));
}

static void refused(gr_ctx *c, const gr_file_format *f, gr_tensor *t, gr_code code)
{
    CHECK(!write_to_store(c, f, &t, 1, 0) && gr_status(c) == code && file.size == 0);
    gr_clear_error(c);
}

static void round_trips(const gr_file_format *f)
{
    long count = 0;
    gr_ctx *c = gr_ctx_new(NULL);
    for (int type = GR_BOOL; type <= GR_F64; type++)
        for (int rank = 0; rank <= GR_MAX_RANK; rank++)
            for (int kind = 0; kind < 4; kind++, count++) { /* sizes 2, 3, ...; with ones; reversed; without elements */
                GR_SCOPE(c);
                gr_dims shape = { .n = rank };
                for (int i = 0; i < rank; i++) shape.v[i] = kind == 1 && i % 2 ? 1 : i < 3 ? 2 + i : 2;
                if (kind == 3 && rank) shape.v[rank - 1] = 0;
                gr_tensor *t = filled(c, shape, (gr_type)type);
                if (kind == 2) t = reversed(t);
                if (!(f->dtypes & 1u << type)) refused(c, f, t, GR_EDTYPE);
                else if (rank < f->min_rank || rank > f->max_rank || (!gr_numel(t) && !f->empty)) refused(c, f, t, GR_ESHAPE);
                else round_trip(c, f, t);
            }
    gr_ctx_free(c);
    tell(f, "every dtype and rank comes back bit for bit, or is refused as the record says", count);
}

/* ---- failures ----------------------------------------------------------------------------------------------------*/
static gr_tensor *one_that_fits(gr_ctx *c, const gr_file_format *f, int64_t size)
{
    gr_dims shape = { .n = f->min_rank > 0 ? f->min_rank : 1 };
    for (int i = 0; i < shape.n; i++) shape.v[i] = i ? 2 : size;
    for (int type = GR_F64; type >= GR_BOOL; type--)
        if (f->dtypes & 1u << type) return gr_failed(c) ? NULL : gr_zeros(c, shape, .dtype = (gr_type)type);
    return NULL;
}

static void refused_writes(const gr_file_format *f)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *t = one_that_fits(c, f, 2000); /* more than one buffer full */
    long k = 1;
    for (;; k++) {
        if (write_to_store(c, f, &t, 1, k)) break;
        CHECK(gr_status(c) == GR_EIO);
        char want[200];
        snprintf(want, sizeof want, "store: cannot be written: %s. Fix: check that the folder exists, may be written, and has room", strerror(ENOSPC));
        CHECK_STR(gr_message(c), want);
        gr_clear_error(c);
    }
    gr_ctx_free(c);
    tell(f, "every write that the system refuses is an error", k - 1);
}

static const gr_file_format *current;
static const gr_file_sample *current_sample;

static void read_sample(gr_ctx *c)
{
    gr_bundle b = { 0 };
    if (!current->read(c, "sample", current_sample->bytes, current_sample->size, (gr_file_opts){ 0 }, &b)) CHECK(gr_failed(c));
}

static void write_tensor(gr_ctx *c)
{
    gr_tensor *t = one_that_fits(c, current, 3);
    if (t && !write_to_store(c, current, &t, 1, 0)) CHECK(gr_failed(c));
}

static void allocations(const gr_file_format *f)
{
    long count = 0;
    current = f;
    for (current_sample = f->samples; current_sample->bytes; current_sample++) count += test_every_allocation(read_sample);
    count += test_every_allocation(write_tensor);
    tell(f, "every allocation may fail", count);
}

static void described(const gr_file_format *f)
{
    CHECK(f->name && f->extension && f->source && f->read && f->write && f->dtypes && f->samples && f->bad);
    CHECK(gr_file_format_find(f->name) == f && gr_file_format_find(f->extension) == f);
    char path[64];
    snprintf(path, sizeof path, "a.b/c.%s.gz", f->extension);
    CHECK(gr_file_format_find(path) == f);
    path[strlen(path) - 3] = '\0';
    CHECK(gr_file_format_find(path) == f);
    tell(f, "the record is complete and found by name and ending", 1);
}

int main(void)
{
    small = getenv("GRADUS_TEST_SMALL") != NULL;
    for (int i = 0; i < gr_file_format_count(); i++) {
        const gr_file_format *f = gr_file_format_at(i);
        described(f);
        round_trips(f);
        malformed(f);
        untrusted(f);
        refused_writes(f);
        allocations(f);
    }
    CHECK(gr_file_format_at(-1) == NULL && gr_file_format_at(gr_file_format_count()) == NULL);
    failed += test_report(++number, "outside the list there is no format", test_errors == 0);
    printf("1..%d\n", number);
    return failed != 0;
}
