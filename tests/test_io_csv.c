/* CSV: headers, labels, chosen columns, quotes, what is missing, limits, and the messages.
 * SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L /* mkstemp */
#include "io/io.h"
#include "tests/test.h"

#include <unistd.h>

#define IRIS "examples/data/iris.csv"
#define PARSE(...) PARSE_(__VA_ARGS__, .end_ = 0)
#define PARSE_(c, text, ...) gr_csv_parse_with(c, "t.csv", text, sizeof(text) - 1, (gr_csv_opts){ __VA_ARGS__ })

static gr_ctx *ctx;
static gr_ctx *fresh(void)
{
    gr_ctx_free(ctx);
    return ctx = gr_ctx_new(NULL);
}
static const char *temporary(void)
{
    static char path[] = "/tmp/gradus_csv_XXXXXX";
    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    int f = mkstemp(path);
    CHECK(f >= 0);
    close(f);
    return path;
}
#define END gr_ctx_free(ctx), ctx = NULL

TEST(csv_reads_iris_with_its_classes)
{
    gr_table t = gr_csv_read(fresh(), IRIS, .label = "species");
    CHECK_STR(gr_message(ctx), "");
    CHECK(gr_ndim(t.x) == 2 && gr_size(t.x, 0) == 150 && gr_size(t.x, 1) == 4 && gr_dtype(t.x) == GR_F32);
    CHECK(gr_ndim(t.y) == 1 && gr_size(t.y, 0) == 150 && gr_dtype(t.y) == GR_I64);
    CHECK(t.num_classes == 3 && t.num_columns == 4);
    CHECK_STR(t.class_names[0], "setosa");
    CHECK_STR(t.class_names[1], "versicolor");
    CHECK_STR(t.class_names[2], "virginica");
    CHECK_STR(t.column_names[0], "sepal_length");
    CHECK_STR(t.column_names[3], "petal_width");
    int count[3] = { 0 };
    double sum = 0;
    for (int64_t i = 0; i < 150; i++) count[(int)gr_at(t.y, i)]++;
    for (int64_t i = 0; i < 150; i++) sum += gr_at(t.x, i, 0);
    CHECK(count[0] == 50 && count[1] == 50 && count[2] == 50);
    CHECK_NEAR(sum, 876.5, 1e-6); /* Fisher 1936: the mean is 5.8433 */
    END;
}

TEST(csv_without_header_finds_that_out_by_itself)
{
    gr_table t = PARSE(fresh(), "1,2\n3,4\n");
    CHECK(gr_size(t.x, 0) == 2 && !t.column_names && gr_at(t.x, 0, 0) == 1);
    t = PARSE(ctx, "a,2\n3,4\n");
    CHECK(gr_size(t.x, 0) == 1 && t.column_names && gr_at(t.x, 0, 0) == 3);
    t = PARSE(ctx, "5.1,setosa\n4.9,virginica\n", .label = "-1"); /* text in the label column is no header */
    CHECK(gr_size(t.x, 0) == 2 && t.num_classes == 2 && !t.column_names);
    t = PARSE(ctx, "1,2\n3,4\n", .header = GR_CSV_HEADER);
    CHECK(gr_size(t.x, 0) == 1);
    CHECK_STR(t.column_names[1], "2");
    t = PARSE(ctx, "NA,2\n3,4\n", .missing = GR_CSV_NAN);
    CHECK(gr_size(t.x, 0) == 2 && isnan(gr_at(t.x, 0, 0)));
    t = PARSE(ctx, "1,2\n3,4\n", .keep = "2"); /* an index, though too large: it does not ask for a header */
    CHECK_STR(gr_message(ctx), "t.csv: .keep asks for column \"2\", which is not there. Fix: the columns are \"0\" to \"1\", without names");
    END;
}

TEST(csv_no_header_makes_text_in_the_first_line_an_error)
{
    gr_table t = PARSE(fresh(), "a,2\n3,4\n", .header = GR_CSV_NO_HEADER);
    CHECK(!t.x && gr_status(ctx) == GR_EFORMAT);
    CHECK_STR(gr_message(ctx), "t.csv:1: column \"0\": \"a\" is no number. Fix: correct it, leave the column out with .skip = \"0\", "
                               "or read it as classes with .label = \"0\"");
    END;
}

TEST(csv_chooses_columns_by_name_and_by_index)
{
    gr_table t = PARSE(fresh(), "id,a,b,c\n7,1,2,3\n8,4,5,6\n", .skip = "id,-1");
    CHECK(t.num_columns == 2 && gr_at(t.x, 1, 0) == 4 && gr_at(t.x, 1, 1) == 5);
    CHECK_STR(t.column_names[1], "b");
    t = PARSE(ctx, "id,a,b,c\nx,1,2,3\ny,4,5,6\n", .keep = "c,1", .label = "0");
    CHECK(t.num_columns == 2 && gr_at(t.x, 1, 0) == 4 && gr_at(t.x, 1, 1) == 6 && gr_at(t.y, 1) == 1);
    t = PARSE(ctx, "3,0\n1,2\n", .header = GR_CSV_HEADER, .keep = "0"); /* a name wins over an index */
    CHECK(t.num_columns == 1 && gr_at(t.x, 0, 0) == 2);
    END;
}

TEST(csv_names_a_column_that_does_not_exist)
{
    gr_csv_read(fresh(), IRIS, .label = "speceis");
    CHECK(gr_status(ctx) == GR_EVALUE);
    CHECK_STR(gr_message(ctx), IRIS ": .label asks for column \"speceis\", which is not there. Fix: the columns are "
                               "\"sepal_length\", \"sepal_width\", \"petal_length\", \"petal_width\", \"species\"");
    PARSE(fresh(), "1,2\n", .header = GR_CSV_NO_HEADER, .skip = "5");
    CHECK_STR(gr_message(ctx), "t.csv: .skip asks for column \"5\", which is not there. Fix: the columns are \"0\" to \"1\", without names");
    PARSE(fresh(), "a\n1\n", .skip = "a");
    CHECK_STR(gr_message(ctx), "t.csv: no column is left to read as numbers. Fix: change .label, .keep or .skip");
    END;
}

TEST(csv_names_line_and_column_of_a_bad_number)
{
    PARSE(fresh(), "a,\"b\nc\"\n1,2\n\n3,4;5\n");
    CHECK(gr_status(ctx) == GR_EFORMAT);
    CHECK_STR(gr_message(ctx), "t.csv:5: column \"b?c\": \"4;5\" is no number. Fix: correct it, leave the column out with .skip = \"b?c\", "
                               "or read it as classes with .label = \"b?c\"");
    gr_csv_read(fresh(), IRIS, .header = GR_CSV_HEADER);
    CHECK_STR(gr_message(ctx), IRIS ":2: column \"species\": \"setosa\" is no number. Fix: correct it, leave the column out with "
                               ".skip = \"species\", or read it as classes with .label = \"species\"");
    PARSE(fresh(), "a\n0123456789012345678901234567890123456789x\n");
    CHECK_STR(gr_message(ctx), "t.csv:2: column \"a\": \"0123456789012345678901234567890123456789...\" is no number. Fix: correct it, "
                               "leave the column out with .skip = \"a\", or read it as classes with .label = \"a\"");
    END;
}

TEST(csv_cuts_a_long_text_between_letters)
{
    PARSE(fresh(), "a\n012345678901234567890123456789012345678\xC3\xA4x\n"); /* the cut would fall inside the umlaut */
    CHECK(strstr(gr_message(ctx), "\"012345678901234567890123456789012345678...\"") != NULL);
    END;
}

TEST(csv_missing_numbers_are_refused_or_become_nan)
{
    PARSE(fresh(), "a,b\n1,\n");
    CHECK_STR(gr_message(ctx), "t.csv:2: column \"b\": the number is missing (\"\"). Fix: fill it in, or read it as NaN with .missing = GR_CSV_NAN");
    gr_table t = PARSE(fresh(), "a,b,c,d,e,f,g\n,NA,n/a,NaN,null,?,\"\"\n", .missing = GR_CSV_NAN);
    for (int64_t j = 0; j < 7; j++) CHECK(isnan(gr_at(t.x, 0, j)));
    CHECK(!PARSE(ctx, "a\nnab\n", .missing = GR_CSV_NAN).x);
    CHECK(!PARSE(fresh(), "a\nn\n", .missing = GR_CSV_NAN).x);
    END;
}

TEST(csv_follows_rfc_4180)
{
    static const char text[] = "\xEF\xBB\xBF\"he said \"\"x\"\"\",\"a,b\" ,\tc\r\n\r\n1, \"2\" ,3\r\n4,5,6";
    gr_table t = PARSE(fresh(), text);
    CHECK(gr_size(t.x, 0) == 2 && gr_size(t.x, 1) == 3 && gr_at(t.x, 1, 2) == 6 && gr_at(t.x, 0, 1) == 2);
    CHECK_STR(t.column_names[0], "he said \"x\"");
    CHECK_STR(t.column_names[1], "a,b");
    CHECK_STR(t.column_names[2], "c");
    t = PARSE(ctx, "1\t2\r3\t4\r", .delimiter = '\t');
    CHECK(gr_size(t.x, 0) == 2 && gr_at(t.x, 1, 1) == 4);
    t = PARSE(ctx, "1 2\n3 4\n", .delimiter = ' ');
    CHECK(gr_size(t.x, 1) == 2);
    t = PARSE(ctx, "1;2\n3;4\n", .delimiter = ';');
    CHECK(gr_size(t.x, 1) == 2);
    t = PARSE(ctx, "1,2,\n", .missing = GR_CSV_NAN); /* a delimiter at the end opens one more field */
    CHECK(gr_size(t.x, 1) == 3 && isnan(gr_at(t.x, 0, 2)));
    CHECK_STR(gr_message(ctx), "");
    END;
}

TEST(csv_of_a_header_alone_has_no_rows)
{
    gr_table t = PARSE(fresh(), "a,b,c\n", .label = "c");
    CHECK(gr_size(t.x, 0) == 0 && gr_size(t.x, 1) == 2 && gr_numel(t.y) == 0 && t.num_classes == 0);
    END;
}

TEST(csv_labels_may_be_quoted_and_need_a_text)
{
    gr_table t = PARSE(fresh(), "x,y\n1,\"a \"\"b\"\"\"\n2, c \n3,\"a \"\"b\"\"\"\n", .label = "y");
    CHECK(t.num_classes == 2 && gr_at(t.y, 0) == 0 && gr_at(t.y, 1) == 1 && gr_at(t.y, 2) == 0);
    CHECK_STR(t.class_names[0], "a \"b\"");
    CHECK_STR(t.class_names[1], "c");
    PARSE(ctx, "x,y\n1,\n", .label = "y");
    CHECK_STR(gr_message(ctx), "t.csv:2: column \"y\": the class is missing. Fix: fill it in, or delete the line");
    END;
}

TEST(csv_takes_the_classes_of_another_table)
{
    gr_table a = PARSE(fresh(), "x,y\n1,cat\n2,dog\n", .label = "y");
    gr_table b = PARSE(ctx, "x,y\n1,dog\n", .label = "y", .class_names = a.class_names, .num_classes = a.num_classes);
    CHECK(gr_at(b.y, 0) == 1 && b.num_classes == 2);
    CHECK_STR(b.class_names[0], "cat");
    PARSE(ctx, "x,y\n1,cow\n", .label = "y", .class_names = a.class_names, .num_classes = a.num_classes);
    CHECK_STR(gr_message(ctx), "t.csv:2: column \"y\": \"cow\" is none of .class_names. Fix: add it to them, or correct it");
    static const char *const twice[] = { "a", "a" };
    PARSE(fresh(), "x,y\n1,a\n", .label = "y", .class_names = twice, .num_classes = INT32_MAX);
    CHECK_STR(gr_message(ctx), "t.csv: 2147483647 classes cannot be counted. Fix: read the file in parts");
    PARSE(fresh(), "x,y\n1,a\n", .label = "y", .class_names = twice, .num_classes = 2);
    CHECK_STR(gr_message(ctx), "t.csv: .class_names[1] is there twice. Fix: name each class once");
    END;
}

TEST(csv_finds_one_of_many_classes)
{
    static char text[200000];
    size_t n = 0;
    for (int i = 0; i < 6000; i++) n += (size_t)snprintf(text + n, sizeof text - n, "%d,class %d\n", i, i % 3000);
    gr_table t = gr_csv_parse(fresh(), "t.csv", text, n, .label = "1");
    CHECK(t.num_classes == 3000 && gr_at(t.y, 5999) == 2999 && gr_at(t.x, 5999, 0) == 5999);
    CHECK_STR(t.class_names[1234], "class 1234");
    END;
}

TEST(csv_whole_numbers_are_exact_in_i64)
{
    gr_table t = PARSE(fresh(), "9223372036854775807,-9223372036854775808\n+0,-1\n", .dtype = GR_I64);
    const int64_t *v = gr_data(t.x);
    CHECK(v[0] == INT64_MAX && v[1] == INT64_MIN && v[2] == 0 && v[3] == -1);
    PARSE(ctx, "a\n1.5\n", .dtype = GR_I64);
    CHECK_STR(gr_message(ctx), "t.csv:2: column \"a\": \"1.5\" is no whole number. Fix: correct it, or use .dtype = GR_F32");
    PARSE(fresh(), "a\n9223372036854775808\n", .dtype = GR_I64);
    CHECK_STR(gr_message(ctx), "t.csv:2: column \"a\": \"9223372036854775808\" is too large for i64. Fix: use .dtype = GR_F64");
    PARSE(fresh(), "a\nx\n", .dtype = GR_I64);
    CHECK_STR(gr_message(ctx), "t.csv:2: column \"a\": \"x\" is no number. Fix: correct it, or leave the column out with .skip = \"a\"");
    PARSE(fresh(), "a\n1\n", .dtype = GR_I64, .missing = GR_CSV_NAN);
    CHECK_STR(gr_message(ctx), "t.csv: i64 has no NaN for what is missing. Fix: use .dtype = GR_F32");
    PARSE(fresh(), "a\n1\n", .dtype = GR_BOOL);
    CHECK(gr_status(ctx) == GR_EDTYPE);
    CHECK_STR(gr_message(ctx), "t.csv: cannot be read as bool. Fix: use GR_F32, GR_F64 or GR_I64");
    PARSE(fresh(), "a\n1e999\n", .dtype = GR_F64);
    CHECK_STR(gr_message(ctx), "t.csv:2: column \"a\": \"1e999\" is too large for f64. Fix: correct it");
    END;
}

TEST(csv_limits_can_be_set)
{
    PARSE(fresh(), "1,2,3\n", .max_columns = 2);
    CHECK_STR(gr_message(ctx), "t.csv:1: has more columns than the limit of 2. Fix: if that is right, raise .max_columns");
    PARSE(fresh(), "1\n2\n3\n", .max_rows = 2);
    CHECK_STR(gr_message(ctx), "t.csv:3: is more than the limit of 2 rows. Fix: if that is right, raise .max_rows");
    PARSE(fresh(), "1,2\n123,4567\n", .max_line = 7);
    CHECK_STR(gr_message(ctx), "t.csv:2: the record that begins here is longer than the limit of 7 bytes. Fix: close its quotes or, if it is right, raise .max_line");
    PARSE(fresh(), "1,2\n\"3,4\n5,6\n7,8\n", .max_line = 7);
    CHECK_STR(gr_message(ctx), "t.csv:2: the record that begins here is longer than the limit of 7 bytes. Fix: close its quotes or, if it is right, raise .max_line");
    PARSE(fresh(), "1,2\n3,4\n", .max_bytes = 7);
    CHECK_STR(gr_message(ctx), "t.csv: is larger than the limit of 7 bytes. Fix: if you trust it, raise .max_bytes");
    gr_csv_read(fresh(), IRIS, .max_bytes = 100);
    CHECK_STR(gr_message(ctx), IRIS ": is larger than the limit of 100 bytes. Fix: if you trust it, raise .max_bytes");
    CHECK(PARSE(fresh(), "1,2\n1,4\n", .max_bytes = 8, .max_rows = 2, .max_columns = 2, .max_line = 3).x);
    PARSE(fresh(), "1,2\n", .delimiter = '.');
    CHECK_STR(gr_message(ctx), "t.csv: the delimiter cannot be a quote, a line end or part of a number. Fix: use ',', ';' or '\\t'");
    END;
}

TEST(csv_says_why_the_system_refused_a_file)
{
    CHECK(!gr_csv_read(fresh(), "no/such.csv").x && gr_status(ctx) == GR_EIO);
    CHECK_STR(gr_message(ctx), "no/such.csv: cannot be opened: No such file or directory. Fix: check the path, which is taken from the current folder");
    gr_csv_read(fresh(), "examples");
    CHECK_STR(gr_message(ctx), "examples: cannot be read: Is a directory. Fix: pass a file that can");
    gr_csv_read(fresh(), NULL);
    CHECK_STR(gr_message(ctx), "reading a file: the path is NULL. Fix: pass the path of a file");
    gr_csv_parse(fresh(), NULL, NULL, 3);
    CHECK_STR(gr_message(ctx), "memory: the bytes are NULL, the size is 3. Fix: pass both");
    CHECK(!gr_csv_read(ctx, IRIS).x); /* an error stands */
    gr_tensor *t = gr_ones(fresh(), GR_SHAPE(2, 2));
    CHECK(!gr_csv_write(ctx, "no/such/folder.csv", t) && gr_status(ctx) == GR_EIO);
    CHECK_STR(gr_message(ctx), "no/such/folder.csv: cannot be written: No such file or directory. Fix: check that the folder exists, may be written, and has room");
    CHECK(!gr_csv_write(ctx, NULL, t));
    t = gr_ones(fresh(), GR_SHAPE(2, 2));
    CHECK(!gr_csv_write(ctx, NULL, t));
    CHECK_STR(gr_message(ctx), "writing a file: the path is NULL. Fix: pass the path of a file");
    END;
}

TEST(csv_notices_a_full_disk)
{
    FILE *full = fopen("/dev/full", "wb");
    if (!full) return;
    fclose(full);
    gr_tensor *t = gr_ones(fresh(), GR_SHAPE(2, 2));
    CHECK(!gr_csv_write(ctx, "/dev/full", t)); /* small: refused when the file is closed */
    CHECK_STR(gr_message(ctx), "/dev/full: cannot be written: No space left on device. Fix: check that the folder exists, may be written, and has room");
    t = gr_ones(fresh(), GR_SHAPE(5000, 2));
    CHECK(!gr_csv_write(ctx, "/dev/full", t) && gr_status(ctx) == GR_EIO);
    END;
}

static void file_text(const char *path, char *out, size_t size)
{
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(out, 1, size - 1, f) : 0;
    if (f) fclose(f);
    out[n] = '\0';
}

TEST(csv_writes_what_it_reads)
{
    char text[256];
    const char *path = temporary();
    static const char *const names[] = { "plain", "a \"b\",\n", " c" };
    gr_tensor *t = gr_from(fresh(), GR_SHAPE(2, 3), (float[]){ 0.1f, -0.0f, 1e10f, NAN, INFINITY, 16777216 });
    CHECK(gr_csv_write(ctx, path, t, .column_names = names));
    file_text(path, text, sizeof text);
    CHECK_STR(text, "plain,\"a \"\"b\"\",\n\",\" c\"\n0.1,-0,1e+10\nnan,inf,16777216\n");
    gr_table u = gr_csv_read(ctx, path, .missing = GR_CSV_NAN, .header = GR_CSV_HEADER);
    CHECK_STR(gr_message(ctx), "");
    CHECK(u.x && isnan(gr_at(u.x, 1, 0)));
    if (u.x) {
        ((float *)gr_data(u.x))[3] = ((float *)gr_data(t))[3] = 0;
        CHECK(memcmp(gr_data(u.x), gr_data(t), 24) == 0);
        CHECK_STR(u.column_names[1], "a \"b\",\n");
    }
    CHECK(gr_csv_write(ctx, path, gr_arange(ctx, 0, 2, 1), .delimiter = ';') == false);
    CHECK(gr_status(ctx) == GR_ESHAPE);
    remove(path);
    END;
}

TEST(csv_refuses_what_it_cannot_hold)
{
    const char *path = temporary();
    fresh();
    gr_csv_write(ctx, path, gr_ones(ctx, GR_SHAPE(3)));
    char want[300];
    snprintf(want, sizeof want, "%s: [3]: CSV holds rows and columns, not rank 1. Fix: write gr_reshape(t, GR_SHAPE(rows, columns))", path);
    CHECK_STR(gr_message(ctx), want);
    fresh();
    gr_csv_write(ctx, path, gr_ones(ctx, GR_SHAPE(3, 1), .dtype = GR_BOOL));
    snprintf(want, sizeof want, "%s: bool [3, 1]: CSV has no bool. Fix: write gr_astype(t, GR_I64)", path);
    CHECK_STR(gr_message(ctx), want);
    fresh();
    gr_csv_write(ctx, path, gr_ones(ctx, GR_SHAPE(0, 1)));
    snprintf(want, sizeof want, "%s: [0, 1]: CSV cannot hold a table without elements. Fix: write at least one row and one column", path);
    CHECK_STR(gr_message(ctx), want);
    remove(path);
    END;
}

static void read_and_split(gr_ctx *c)
{
    gr_csv_read(c, IRIS, .label = "species", .skip = "0");
    gr_csv_parse(c, "t.csv", "x,y\n1,\"a \"\"b\"\"\"\n2,c\n", 22, .label = "y");
}

TEST(csv_survives_every_failing_allocation) { CHECK(test_every_allocation(read_and_split) > 5); }
