/* IDX and gzip: types, scale, limits, damaged streams, files on disk; Fashion-MNIST where it is installed.
 * SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L /* mkstemp, mkdtemp */
#include "io/bytes.h"
#include "tests/test.h"

#include <unistd.h>

#define FASHION "/usr/share/datasets/fashion-mnist"
#define PARSE(...) PARSE_(__VA_ARGS__, .end_ = 0)
#define PARSE_(text, ...) gr_idx_parse_with(ctx, "t.idx", text, sizeof(text) - 1, (gr_idx_opts){ __VA_ARGS__ })

static gr_ctx *ctx;
static void fresh(void)
{
    gr_ctx_free(ctx);
    ctx = gr_ctx_new(NULL);
}
#define END gr_ctx_free(ctx), ctx = NULL

static const char *temporary(void)
{
    static char path[] = "/tmp/gradus_idx_XXXXXX";
    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    int f = mkstemp(path);
    CHECK(f >= 0);
    close(f);
    return path;
}

static bool there(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f) fclose(f);
    return f;
}

/* ---- IDX -------------------------------------------------------------------------------------------------------*/
TEST(idx_integers_become_i64)
{
    fresh();
    const int64_t *v = gr_data(PARSE("\0\0\x08\1\0\0\0\3\0\x7F\xFF"));
    CHECK(v && v[0] == 0 && v[1] == 127 && v[2] == 255);
    v = gr_data(PARSE("\0\0\x09\1\0\0\0\3\0\x7F\x80"));
    CHECK(v && v[1] == 127 && v[2] == -128);
    v = gr_data(PARSE("\0\0\x0B\1\0\0\0\3\x01\x02\x80\0\xFF\xFF"));
    CHECK(v && v[0] == 258 && v[1] == -32768 && v[2] == -1);
    v = gr_data(PARSE("\0\0\x0C\1\0\0\0\3\x01\x02\x03\x04\x80\0\0\0\xFF\xFF\xFF\xFE"));
    CHECK(v && v[0] == 16909060 && v[1] == -2147483648LL && v[2] == -2);
    END;
}

TEST(idx_becomes_what_dtype_and_scale_ask_for)
{
    fresh();
    gr_tensor *t = PARSE("\0\0\x08\1\0\0\0\3\0\x7F\xFF", .scale = 1 / 255.0);
    CHECK(gr_dtype(t) == GR_F32 && gr_at(t, 0) == 0 && gr_at(t, 2) == 1);
    CHECK_NEAR(gr_at(t, 1), 127 / 255.0, 1e-7);
    t = PARSE("\0\0\x08\1\0\0\0\2\1\2", .dtype = GR_F64, .scale = 0.5);
    CHECK(gr_dtype(t) == GR_F64 && gr_at(t, 0) == 0.5);
    t = PARSE("\0\0\x09\1\0\0\0\2\1\xFF", .dtype = GR_F32);
    CHECK(gr_dtype(t) == GR_F32 && gr_at(t, 1) == -1);
    t = PARSE("\0\0\x0D\0\x3F\xC0\0\0");
    CHECK(gr_dtype(t) == GR_F32 && gr_ndim(t) == 0 && gr_item(t) == 1.5);
    t = PARSE("\0\0\x0D\0\x3F\xC0\0\0", .dtype = GR_F64, .scale = 2);
    CHECK(gr_dtype(t) == GR_F64 && gr_item(t) == 3);
    t = PARSE("\0\0\x0E\0\x3F\xF8\0\0\0\0\0\0", .dtype = GR_F32);
    CHECK(gr_dtype(t) == GR_F32 && gr_item(t) == 1.5);
    CHECK_STR(gr_message(ctx), "");
    END;
}

TEST(idx_refuses_types_that_would_lose_the_value)
{
    fresh();
    CHECK(!PARSE("\0\0\x0D\0\x3F\xC0\0\0", .dtype = GR_I64) && gr_status(ctx) == GR_EDTYPE);
    CHECK_STR(gr_message(ctx), "t.idx: holds f32, which cannot be read as i64. Fix: leave out .dtype, or use GR_F32 or GR_F64");
    fresh();
    CHECK(!PARSE("\0\0\x08\0\1", .dtype = GR_I64, .scale = 0.5));
    CHECK_STR(gr_message(ctx), "t.idx: .scale makes fractions, which i64 cannot hold. Fix: .dtype = GR_F32");
    fresh();
    CHECK(!PARSE("\0\0\x08\0\1", .dtype = GR_BOOL));
    CHECK_STR(gr_message(ctx), "t.idx: holds i64, which cannot be read as bool. Fix: leave out .dtype, or use GR_F32 or GR_F64");
    fresh();
    CHECK(!PARSE("\0\0\x08\0\1", .max_bytes = 4));
    CHECK_STR(gr_message(ctx), "t.idx: is larger than the limit of 4 bytes. Fix: if you trust it, raise .max_bytes");
    END;
}

TEST(idx_keeps_the_payload_of_a_nan)
{
    fresh();
    gr_tensor *t = PARSE("\0\0\x0E\1\0\0\0\1\x7F\xF8\0\0\0\0\x12\x34");
    uint64_t bits = 0;
    if (t) memcpy(&bits, gr_data(t), sizeof bits);
    CHECK(bits == 0x7FF8000000001234);
    END;
}

TEST(idx_allocates_nothing_for_a_header_that_lies)
{
    fresh();
    PARSE("\0\0\x08\0\1");
    size_t before = gr_ctx_stats(ctx).bytes_now;
    CHECK(!PARSE("\0\0\x08\2\0\1\0\0\0\1\0\0\1"));
    CHECK_STR(gr_message(ctx), "t.idx: the shape [65536, 65536] needs 4294967296 bytes of elements, the file has 1. "
                               "Fix: the file is cut short; fetch it again");
    CHECK(gr_ctx_stats(ctx).bytes_peak == before);
    END;
}

TEST(idx_writes_integers_as_narrow_as_they_are)
{
    static const struct { int64_t least, most; long size; } want[] = {
        { 0, 255, 10 }, { -1, 127, 10 }, { -1, 128, 12 }, { 0, 256, 12 }, { -32769, 0, 16 }, { 0, 2147483647, 16 } };
    const char *path = temporary();
    fresh();
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        gr_tensor *t = gr_from_array(ctx, GR_SHAPE(2), GR_SRC_I64, (const int64_t[]){ want[i].least, want[i].most });
        CHECK(gr_idx_write(ctx, path, t));
        FILE *f = fopen(path, "rb");
        CHECK(f && fseek(f, 0, SEEK_END) == 0 && ftell(f) == want[i].size);
        if (f) fclose(f);
        const int64_t *v = gr_data(gr_idx_read(ctx, path));
        CHECK(v && v[0] == want[i].least && v[1] == want[i].most);
    }
    gr_tensor *t = gr_from_array(ctx, GR_SHAPE(2), GR_SRC_I64, (const int64_t[]){ 0, 2147483648 });
    CHECK(!gr_idx_write(ctx, path, t) && gr_status(ctx) == GR_EVALUE);
    char text[300];
    snprintf(text, sizeof text, "%s: IDX has no integer of more than 32 bits, the elements reach from 0 to 2147483648. "
             "Fix: write gr_astype(t, GR_F64), exact up to 2^53", path);
    CHECK_STR(gr_message(ctx), text);
    fresh();
    CHECK(!gr_idx_write(ctx, path, gr_zeros(ctx, GR_SHAPE(0, 4294967296))) && gr_status(ctx) == GR_ESHAPE);
    snprintf(text, sizeof text, "%s: IDX has no size above 4294967295, dimension 1 has 4294967296. Fix: write it in parts", path);
    CHECK_STR(gr_message(ctx), text);
    remove(path);
    END;
}

TEST(files_are_read_and_written_by_their_ending)
{
    static char path[64];
    snprintf(path, sizeof path, "%s.idx", temporary());
    fresh();
    gr_tensor *t = gr_arange(ctx, 0, 6, 1);
    CHECK(gr_file_write(ctx, path, &(gr_bundle){ 1, &t, NULL }));
    gr_bundle b = gr_file_read(ctx, path, .dtype = GR_F64);
    CHECK(b.n == 1 && gr_dtype(b.tensors[0]) == GR_F64 && gr_at(b.tensors[0], 5) == 5);
    CHECK(gr_file_read(ctx, "no/such.idx").n == 0 && gr_status(ctx) == GR_EIO);
    CHECK(gr_file_read(ctx, path).n == 0); /* an error stands */
    remove(path);
    path[strlen(path) - 4] = '\0';
    remove(path);
    fresh();
    CHECK(gr_file_read(ctx, "weights.bin").n == 0 && gr_status(ctx) == GR_EVALUE);
    CHECK(strstr(gr_message(ctx), "weights.bin: no format has this ending. Fix: use one of .csv, .idx") == gr_message(ctx));
    fresh();
    CHECK(!gr_file_read(ctx, NULL).n && !gr_file_format_find("") && !gr_file_format_find("xcsv"));
    fresh();
    gr_tensor *two[] = { gr_ones(ctx, GR_SHAPE(2)), NULL };
    CHECK(!gr_file_write(ctx, "/tmp/x.idx", &(gr_bundle){ 2, two, NULL }));
    CHECK_STR(gr_message(ctx), "/tmp/x.idx: idx holds one tensor, not 2. Fix: write each to a file of its own");
    fresh();
    CHECK(!gr_file_write(ctx, "/tmp/x.idx", &(gr_bundle){ 1, two + 1, NULL }));
    CHECK_STR(gr_message(ctx), "/tmp/x.idx: tensor 0 is NULL. Fix: pass a tensor");
    CHECK(!gr_file_write(ctx, "/tmp/x.idx", NULL) && !gr_idx_write(ctx, "/tmp/x.idx", NULL));
    END;
}

/* ---- gzip ------------------------------------------------------------------------------------------------------*/
static bool inflate(const char *bytes, size_t size, size_t limit, gr__buffer *out)
{
    *out = (gr__buffer){ 0 };
    char *exact = malloc(size);
    if (exact) memcpy(exact, bytes, size);
    bool ok = exact && gr__gunzip(ctx, "t.gz", (unsigned char *)exact, size, limit, out);
    free(exact);
    return ok;
}

/* What the message says between "t.gz: the gzip data" and "(byte". */
static const char *complaint(const char *bytes, size_t size)
{
    static char text[256];
    gr__buffer out;
    fresh();
    CHECK(!inflate(bytes, size, 1 << 20, &out) && gr_status(ctx) == GR_EFORMAT);
    gr__buffer_free(ctx, &out);
    const char *begin = gr_message(ctx) + strlen("t.gz: the gzip data "), *end = strstr(gr_message(ctx), " (byte");
    snprintf(text, sizeof text, "%.*s", end > begin ? (int)(end - begin) : 0, begin);
    return text;
}
#define COMPLAINT(text) complaint(text, sizeof(text) - 1)
#define HEAD "\x1F\x8B\x08\0\0\0\0\0\0\3"

TEST(gzip_stored_blocks_and_several_members_are_joined)
{
    static const char text[] = HEAD "\0\2\0\xFD\xFFhi\1\1\0\xFE\xFF!" "\x3A\x83\xD3\x41\3\0\0\0" /* "hi" and "!" */
                               HEAD "\1\0\0\xFF\xFF\0\0\0\0\0\0\0\0";                            /* nothing */
    gr__buffer out;
    fresh();
    CHECK(inflate(text, sizeof text - 1, 100, &out));
    CHECK_STR(gr_message(ctx), "");
    CHECK(out.size == 3 && memcmp(out.at, "hi!", 3) == 0);
    gr__buffer_free(ctx, &out);
    END;
}

TEST(gzip_headers_may_hold_all_that_the_standard_allows)
{
    static const char text[] = "\x1F\x8B\x08\x1F\x00\x00\x00\x00\x00\x03\x02\x00\x78\x79\x6E\x00\x63\x00\xAC\xA5" /* extra field, name, comment, check sum */
                               "\x01\x00\x00\xFF\xFF\x00\x00\x00\x00\x00\x00\x00\x00";
    gr__buffer out;
    fresh();
    CHECK(inflate(text, sizeof text - 1, 100, &out) && out.size == 0);
    CHECK_STR(gr_message(ctx), "");
    gr__buffer_free(ctx, &out);
    END;
}

TEST(gzip_says_what_is_wrong_with_a_stream)
{
    CHECK_STR(COMPLAINT("\x1F\x8B\x08\0\0"), "ends inside its header");
    CHECK_STR(COMPLAINT("\x1F\x8B\7\0\0\0\0\0\0\3"), "is compressed by a method other than deflate");
    CHECK_STR(COMPLAINT("\x1F\x8B\x08\x20\0\0\0\0\0\3"), "has flags that no standard defines");
    CHECK_STR(COMPLAINT("\x1F\x8B\x08\4\0\0\0\0\0\3\5\0ab"), "ends inside its header");
    CHECK_STR(COMPLAINT("\x1F\x8B\x08\4\0\0\0\0\0\3\5"), "ends inside its header");
    CHECK_STR(COMPLAINT("\x1F\x8B\x08\x08\0\0\0\0\0\3name"), "ends inside its header");
    CHECK_STR(COMPLAINT("\x1F\x8B\x08\x10\0\0\0\0\0\3comment"), "ends inside its header");
    CHECK_STR(COMPLAINT("\x1F\x8B\x08\2\0\0\0\0\0\3\0"), "ends inside its header");
    CHECK_STR(COMPLAINT("\x1F\x8B\x08\2\0\0\0\0\0\3\0\0\3\0"), "has a header whose check sum is wrong");
    CHECK_STR(COMPLAINT(HEAD), "ends early");
    CHECK_STR(COMPLAINT(HEAD "\7"), "has a block of no known kind");
    CHECK_STR(COMPLAINT(HEAD "\1\1\0\xFE\xFE!"), "has a stored block whose length and its complement differ");
    CHECK_STR(COMPLAINT(HEAD "\1\2\0\xFD\xFF!"), "ends early");
    CHECK_STR(COMPLAINT(HEAD "\1\2"), "ends early");
    CHECK_STR(COMPLAINT(HEAD "\3"), "ends early");
    CHECK_STR(COMPLAINT(HEAD "\3\0"), "ends before its check sum");
    CHECK_STR(COMPLAINT(HEAD "\3\0\1\0\0\0\0\0\0\0"), "has a wrong check sum");
    CHECK_STR(COMPLAINT(HEAD "\3\0\0\0\0\0\1\0\0\0"), "has another length than it says");
    CHECK_STR(COMPLAINT(HEAD "\3\0\0\0\0\0\0\0\0\0x"), "is followed by bytes that are no gzip data");
    CHECK_STR(COMPLAINT(HEAD "\x1B\3\0"), "has a length code that means nothing");       /* fixed code 286 */
    CHECK_STR(COMPLAINT(HEAD "\x4B\x04\x3E\x00\x00\x00\x00"), "has a distance code that means nothing");
    CHECK_STR(COMPLAINT(HEAD "\x03\x02\0\0\0\0"), "copies from before its beginning");
    CHECK_STR(COMPLAINT(HEAD "\xFD\xFF\xFF\xFF"), "has more codes than exist");
    CHECK_STR(COMPLAINT(HEAD "\5\xC0\x81\0\0\0\0\0\0\0"), "has lengths that make no code");
    END;
}

TEST(gzip_stops_at_the_limit)
{
    static const char many[] = HEAD "\1\5\0\xFA\xFFhello\x86\xA6\x10\x36\5\0\0\0";
    gr__buffer out;
    fresh();
    CHECK(inflate(many, sizeof many - 1, 5, &out));
    gr__buffer_free(ctx, &out);
    CHECK(!inflate(many, sizeof many - 1, 4, &out));
    CHECK_STR(gr_message(ctx), "t.gz: inflates to more than the limit of 4 bytes. Fix: if you trust it, raise .max_bytes");
    gr__buffer_free(ctx, &out);
    END;
}

/* A stream of a million zeros in 1 KiB: memory may follow what is produced, never what is claimed. */
static size_t zeros(char *out)
{
    size_t n = 0;
    memcpy(out, HEAD, 10), n = 10;
    uint64_t bits = 0;
    int count = 0;
#define PUT(value, width) for (bits |= (uint64_t)(value) << count, count += (width); count >= 8; bits >>= 8, count -= 8) out[n++] = (char)bits
    PUT(3, 3);                                     /* the last block, fixed codes */
    PUT(0x0C, 8);                                  /* a literal 0: code 00110000, first bit first */
    for (int i = 0; i < 4000; i++) { PUT(0xA3, 8); /* length 258: code 11000101 */ PUT(0, 5); } /* distance 1 */
    PUT(0, 7);
    PUT(0, 7);
#undef PUT
    memset(out + n, 0, 8);
    return n + 8;
}

TEST(gzip_bombs_do_not_go_off)
{
    static char text[8000];
    gr__buffer out;
    size_t n = zeros(text);
    fresh();
    CHECK(!inflate(text, n, 1 << 24, &out));
    CHECK(strstr(gr_message(ctx), "has another length than it says") != NULL && out.size == 1 + 4000 * 258);
    gr__buffer_free(ctx, &out);
    fresh();
    size_t before = gr_ctx_stats(ctx).bytes_now;
    CHECK(!inflate(text, n, 10000, &out) && gr_status(ctx) == GR_EFORMAT);
    CHECK(gr_ctx_stats(ctx).bytes_peak - before < 60000); /* the tables, and twice the limit */
    gr__buffer_free(ctx, &out);
    END;
}

/* ---- Fashion-MNIST ---------------------------------------------------------------------------------------------*/
TEST(fashion_mnist_says_how_to_get_it)
{
    fresh();
    CHECK(!gr_fashion_mnist(ctx, "no/such/folder", true).x && gr_status(ctx) == GR_EIO);
    CHECK_STR(gr_message(ctx), "gr_fashion_mnist: no/such/folder/train-images-idx3-ubyte.gz: No such file or directory. "
                               "Fix: apt-get install dataset-fashion-mnist, which puts the files into " FASHION
                               ", or pass the folder that holds them");
    static char name[3000];
    memset(name, 'a', sizeof name - 1);
    fresh();
    CHECK(!gr_fashion_mnist(ctx, name, true).x && gr_status(ctx) == GR_EVALUE);
    CHECK_STR(gr_fashion_mnist_class(0), "T-shirt/top");
    CHECK_STR(gr_fashion_mnist_class(9), "ankle boot");
    CHECK(!*gr_fashion_mnist_class(10) && !*gr_fashion_mnist_class(-1));
    END;
}

/* Reads a folder of two plain files, as MNIST has them. */
static gr_dataset from_folder(gr_dims pictures, int64_t label)
{
    static char folder[] = "/tmp/gradus_fashion_XXXXXX";
    char images[64], labels[64];
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    CHECK(mkdtemp(folder));
    snprintf(images, sizeof images, "%s/t10k-images-idx3-ubyte", folder);
    snprintf(labels, sizeof labels, "%s/t10k-labels-idx1-ubyte", folder);
    fresh();
    CHECK(gr_idx_write(ctx, images, gr_full(ctx, pictures, 255, .dtype = GR_I64)));
    CHECK(gr_idx_write(ctx, labels, gr_full(ctx, GR_SHAPE(2), (double)label, .dtype = GR_I64)));
    gr_dataset d = gr_fashion_mnist(ctx, folder, false);
    remove(images), remove(labels), remove(folder);
    return d;
}

TEST(fashion_mnist_takes_any_folder_and_checks_what_is_there)
{
    gr_dataset d = from_folder(GR_SHAPE(2, 3, 3), 9);
    CHECK(d.x && gr_at(d.x, 1, 2, 2) == 1 && gr_at(d.y, 1) == 9);
    d = from_folder(GR_SHAPE(3, 3, 3), 9);
    CHECK(!d.x && gr_status(ctx) == GR_EFORMAT);
    CHECK(strstr(gr_message(ctx), " holds pictures [3, 3, 3] and labels i64 [2]. Fix: pass a folder with [n, height, width] and [n]") != NULL);
    d = from_folder(GR_SHAPE(2, 3, 3), 10);
    CHECK(!d.x && strstr(gr_message(ctx), ": label 10 of picture 0 is not 0 to 9. Fix: fetch the files again") != NULL);
    END;
}

TEST(fashion_mnist_is_read_from_where_debian_puts_it)
{
    if (!there(FASHION "/t10k-images-idx3-ubyte.gz")) {
        printf("# not installed\n");
        return;
    }
    fresh();
    gr_dataset d = gr_fashion_mnist(ctx, NULL, false);
    CHECK_STR(gr_message(ctx), "");
    CHECK(gr_ndim(d.x) == 3 && gr_size(d.x, 0) == 10000 && gr_size(d.x, 1) == 28 && gr_size(d.x, 2) == 28 && gr_dtype(d.x) == GR_F32);
    CHECK(gr_size(d.y, 0) == 10000 && gr_dtype(d.y) == GR_I64);
    int count[10] = { 0 };
    float least = 1, most = 0;
    for (int64_t i = 0; d.y && i < 10000; i++) count[((int64_t *)gr_data(d.y))[i]]++;
    for (int64_t i = 0; d.x && i < gr_numel(d.x); i++) {
        float v = ((float *)gr_data(d.x))[i];
        least = v < least ? v : least, most = v > most ? v : most;
    }
    for (int i = 0; i < 10; i++) CHECK(count[i] == 1000);
    CHECK(least == 0 && most == 1 && gr_at(d.y, 0) == 9); /* the first picture is an ankle boot */
    END;
}

static void read_labels(gr_ctx *c)
{
    gr_tensor *t = gr_idx_read(c, FASHION "/t10k-labels-idx1-ubyte.gz");
    CHECK(t || gr_failed(c));
}

TEST(gzip_survives_every_failing_allocation)
{
    if (there(FASHION "/t10k-labels-idx1-ubyte.gz")) CHECK(test_every_allocation(read_labels) > 8);
}
