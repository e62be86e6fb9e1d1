/* gradus io: files that become tensors and back, data sets, batches, synthetic data, and a progress line.
 * Knows no operation and no layer; it is the only folder that reads untrusted bytes.
 * SPDX-License-Identifier: MIT
 *
 * A reader checks everything before it allocates, and never allocates more than the file justifies. What the system
 * refuses is GR_EIO, what breaks a format or passes a limit is GR_EFORMAT; both messages name the file and the place.
 * Every reader inflates gzip (RFC 1952) by itself when the bytes begin with 1f 8b, whatever the file is called. */
#ifndef GRADUS_IO_H
#define GRADUS_IO_H

#include "core/core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- CSV (RFC 4180) --------------------------------------------------------------------------------------------
 * Fields are separated by a delimiter, records by LF, CRLF or CR; empty lines are skipped, a UTF-8 byte order mark too.
 * A field in double quotes may hold delimiters, line ends and doubled quotes. Blanks around a field are dropped.
 * Numbers are decimal, with '.' in every locale: -1.5e3, inf. A missing number is an empty field, NA, N/A, nan, null or ?. */
typedef enum gr_csv_header {
    GR_CSV_AUTO,     /* the first line is a header when a column of numbers has something else in it */
    GR_CSV_HEADER,
    GR_CSV_NO_HEADER
} gr_csv_header;

typedef enum gr_csv_missing {
    GR_CSV_REFUSE, /* a missing number is an error that names it */
    GR_CSV_NAN     /* a missing number is read as NaN */
} gr_csv_missing;

/* A column is chosen by its name or, when no name matches, by its index: "0" is the first, "-1" the last. */
typedef struct gr_csv_opts {
    gr_type dtype;          /* of x: GR_F32, GR_F64 or GR_I64; default the context's */
    char delimiter;         /* default ',' */
    gr_csv_header header;
    gr_csv_missing missing;
    const char *label;      /* this column is text: its classes, numbered from 0 in order of first appearance, become y */
    const char *const *class_names; /* ... or in this order, and any other class is an error: for the test file of a */
    int num_classes;                /*     training file, pass those of its gr_table */
    const char *keep;       /* only these columns become x: "sepal_length,3"; default all */
    const char *skip;       /* these columns do not */
    size_t max_bytes;       /* of the file, inflated; default 2^30 */
    size_t max_line;        /* bytes in one record; default 2^20 */
    int64_t max_rows;       /* default 10^8 */
    int max_columns;        /* default 2^16 */
    unsigned char end_;
} gr_csv_opts;

/* Lives in the scope that was current when it was read. After an error x is NULL. */
typedef struct gr_table {
    gr_tensor *x;                    /* [rows, columns] */
    gr_tensor *y;                    /* i64 [rows]; NULL without .label */
    int num_columns, num_classes;
    const char *const *column_names; /* of x; NULL without a header */
    const char *const *class_names;  /* of y */
} gr_table;

/* Reads a file; see gr_csv_opts for the limits. Fails with GR_EIO; GR_EFORMAT, naming line and column; GR_EVALUE for a
 * column that does not exist; GR_EDTYPE for .dtype = GR_BOOL. */
#define gr_csv_read(...) GR_OPT2(gr_csv_read_with, gr_csv_opts, __VA_ARGS__)
GR_API gr_table gr_csv_read_with(gr_ctx *c, const char *path, gr_csv_opts o);
/* The same from memory; messages call it name. */
#define gr_csv_parse(...) GR_OPT4(gr_csv_parse_with, gr_csv_opts, __VA_ARGS__)
GR_API gr_table gr_csv_parse_with(gr_ctx *c, const char *name, const void *bytes, size_t size, gr_csv_opts o);

typedef struct gr_csv_write_opts {
    char delimiter;                  /* default ',' */
    const char *const *column_names; /* one for each column: written as header; default no header */
    unsigned char end_;
} gr_csv_write_opts;
/* Writes t [rows, columns], at least 1 by 1, each number in the fewest digits that read back to the same bits; lines end
 * in LF. NaN is written as "nan". Fails with GR_ESHAPE for another rank, GR_EDTYPE for bool, GR_EIO. */
#define gr_csv_write(...) GR_OPT3(gr_csv_write_with, gr_csv_write_opts, __VA_ARGS__)
GR_API bool gr_csv_write_with(gr_ctx *c, const char *path, const gr_tensor *t, gr_csv_write_opts o);

/* ---- IDX, the format of MNIST ----------------------------------------------------------------------------------
 * 00 00 type rank, then rank sizes and the elements, all big-endian (yann.lecun.com/exdb/mnist).
 * Types: 08 u8, 09 i8, 0B i16, 0C i32, 0D f32, 0E f64. Rank 0 to 8. */
typedef struct gr_idx_opts {
    gr_type dtype;    /* default: GR_I64 for the integers, else the file's own; the context's when .scale is given */
    double scale;     /* multiply every element, e.g. 1 / 255.0: needs a float dtype */
    size_t max_bytes; /* of the file, inflated; default 2^30 */
    unsigned char end_;
} gr_idx_opts;
/* Images as floats in [0, 1] straight from the bytes: gr_idx_read(c, path, .scale = 1 / 255.0).
 * Fails with GR_EIO; GR_EFORMAT; GR_EDTYPE for floats read as integers or a scale without a float dtype. */
#define gr_idx_read(...) GR_OPT2(gr_idx_read_with, gr_idx_opts, __VA_ARGS__)
GR_API gr_tensor *gr_idx_read_with(gr_ctx *c, const char *path, gr_idx_opts o);
#define gr_idx_parse(...) GR_OPT4(gr_idx_parse_with, gr_idx_opts, __VA_ARGS__)
GR_API gr_tensor *gr_idx_parse_with(gr_ctx *c, const char *name, const void *bytes, size_t size, gr_idx_opts o);
/* i64 is written as the smallest of u8, i8, i16, i32 that holds every element, and refused (GR_EVALUE) when none does;
 * f32 and f64 as they are; bool is GR_EDTYPE; a size of 2^32 or more GR_ESHAPE. */
GR_API bool gr_idx_write(gr_ctx *c, const char *path, const gr_tensor *t);

/* ---- the list of file formats ----------------------------------------------------------------------------------
 * One const record for each format; tests/every_format.c checks each by its record alone. */
typedef struct gr_bundle { /* what a file holds */
    int n;
    gr_tensor *const *tensors;
    const char *const *names; /* NULL where the format has none */
} gr_bundle;

typedef struct gr_sink { /* where a writer's bytes go */
    bool (*write)(void *user, const void *bytes, size_t size); /* false, with errno set: refused */
    void *user;
    const char *name; /* for messages */
} gr_sink;

typedef struct gr_file_opts {
    gr_type dtype;    /* the reader converts to this; default as the format's own reader does */
    size_t max_bytes; /* of the file, inflated; default 2^30 */
    unsigned char end_;
} gr_file_opts;

typedef struct gr_file_sample { /* a well-formed file, small */
    const char *bytes;
    size_t size;
} gr_file_sample;

typedef struct gr_bad_file { /* a malformed one */
    const char *bytes;
    size_t size;
    gr_code code;
    const char *message; /* the whole of gr_message(), for a file named "bad" */
} gr_bad_file;
#define GR_FILE_BYTES(text) (text), sizeof(text) - 1

typedef struct gr_file_format {
    const char *name;      /* "idx" */
    const char *extension; /* without the dot */
    const char *source;    /* the description that it follows */
    unsigned dtypes;       /* 1u << GR_F32 | ...: those that a round trip keeps; writing others is GR_EDTYPE */
    int min_rank, max_rank; /* other ranks: GR_ESHAPE */
    bool empty;            /* holds tensors without elements; else GR_ESHAPE */
    bool many;             /* holds more than one tensor, each with a name */
    bool (*read)(gr_ctx *c, const char *name, const void *bytes, size_t size, gr_file_opts o, gr_bundle *out);
    bool (*write)(gr_ctx *c, const gr_bundle *in, const gr_sink *out);
    const gr_file_sample *samples; /* ends with {NULL, 0} */
    const gr_bad_file *bad;        /* ends with {NULL, ...} */
} gr_file_format;

GR_API int gr_file_format_count(void);
GR_API const gr_file_format *gr_file_format_at(int i);
/* By name or extension, or by the ending of a path, after ".gz" is taken off; NULL if there is none. */
GR_API const gr_file_format *gr_file_format_find(const char *path);

/* Reads or writes by the ending of the path. Fails with GR_EVALUE for an ending that no format has. */
#define gr_file_read(...) GR_OPT2(gr_file_read_with, gr_file_opts, __VA_ARGS__)
GR_API gr_bundle gr_file_read_with(gr_ctx *c, const char *path, gr_file_opts o); /* n is 0 after an error */
GR_API bool gr_file_write(gr_ctx *c, const char *path, const gr_bundle *what);

/* ---- data sets -------------------------------------------------------------------------------------------------
 * Dimension 0 of x and y counts the examples. y may be NULL. */
typedef struct gr_dataset {
    gr_tensor *x, *y;
} gr_dataset;

static inline gr_dataset gr_dataset_of(gr_tensor *x, gr_tensor *y)
{
    gr_dataset d = { x, y };
    return d;
}

typedef struct gr_split {
    gr_dataset train, valid, test;
} gr_split;

typedef struct gr_split_opts {
    double train, valid, test; /* fractions. All 0: 0.8, 0.1, 0.1. Else train 0 means what the others leave */
    bool in_order;             /* do not shuffle */
    bool stratify;             /* the same fractions of each class of y, which is i64 0, 1, ... */
    uint64_t seed;             /* of the shuffle; default the context's random stream */
    unsigned char end_;
} gr_split_opts;
/* Copies d into three parts; of n examples, part k gets those from round(n sum_{j<k} f_j) to round(n sum_{j<=k} f_j).
 * Fails with GR_ESHAPE when x and y differ in count, GR_EVALUE for fractions that make no sense. */
#define gr_dataset_split(...) GR_OPT2(gr_dataset_split_with, gr_split_opts, __VA_ARGS__)
GR_API gr_split gr_dataset_split_with(gr_ctx *c, gr_dataset d, gr_split_opts o);

/* Rows of d in the order of an i64 index [n]: contiguous copies. Fails with GR_EINDEX outside 0 .. count - 1. */
GR_API gr_dataset gr_dataset_rows(gr_ctx *c, gr_dataset d, const gr_tensor *index);

/* Mini-batches, each made in the scope of the loop's body:
 * ```c
 * gr_dataset d = gr_make_moons(c, 1000, .noise = 0.1);
 * for (gr_batches it = gr_batches_begin(c, d, .batch = 64, .shuffle = true); gr_batch_more(&it);) {
 *     GR_SCOPE(c);
 *     gr_dataset b = gr_batch_take(&it);
 *     gr_print(b.x);
 * }
 * ```
 * No malloc from the second round on. When a call fails, the loop ends. d must outlive it. */
typedef struct gr_batches_opts {
    int64_t batch;  /* default 32 */
    bool shuffle;   /* a new order in each round, from the context's random stream */
    bool drop_last; /* leave out a last batch that is smaller */
    unsigned char end_;
} gr_batches_opts;
typedef struct gr_batches {
    gr_ctx *ctx;
    gr_dataset data;
    gr_tensor *order; /* i64 [n], or NULL: as they come */
    int64_t n, batch, at;
    int64_t index, count; /* of the batch that gr_batch_take gave last, from 0; of batches in all */
} gr_batches;
#define gr_batches_begin(...) GR_OPT2(gr_batches_begin_with, gr_batches_opts, __VA_ARGS__)
GR_API gr_batches gr_batches_begin_with(gr_ctx *c, gr_dataset d, gr_batches_opts o);
GR_API bool gr_batch_more(gr_batches *it);
GR_API gr_dataset gr_batch_take(gr_batches *it);

/* z = (x - mean) / std over the examples, each feature by itself: fit on the training part, apply to every part.
 * x: float [n, ...]   mean, std: [...]; std is that of the population, and 1 for a constant feature. */
typedef struct gr_scaling {
    gr_tensor *mean, *std;
} gr_scaling;
GR_API gr_scaling gr_standardize_fit(gr_tensor *x);
GR_API gr_tensor *gr_standardize(gr_tensor *x, gr_scaling s);

/* y[..., k] = 1 where k = label[...], else 0; the context's dtype.   label: i64 [...]   y: [..., classes]
 * Fails with GR_EINDEX for a label outside 0 .. classes - 1. */
GR_API gr_tensor *gr_one_hot(const gr_tensor *label, int64_t classes);

/* ---- data sets to be had without a download ------------------------------------------------------------------------
 * Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747): 60000 pictures to train with, 10000 to test, in 10 classes.
 * x: [n, 28, 28] in [0, 1], the context's dtype   y: i64 [n].
 * dir NULL: /usr/share/datasets/fashion-mnist, where Debian's dataset-fashion-mnist puts them. MNIST has the same file
 * names, so its folder works too. Fails with GR_EIO when the files are not there, and says how to get them. */
GR_API gr_dataset gr_fashion_mnist(gr_ctx *c, const char *dir, bool train);
GR_API const char *gr_fashion_mnist_class(int64_t label); /* "T-shirt/top"; "" outside 0..9 */

/* Synthetic data, drawn from the context's random stream: gr_seed(c, 1) before makes them repeat.
 * x: [n, 2] of the context's dtype   y: i64 [n]. .noise is the standard deviation of what is added; negative: none. */
typedef struct gr_make_opts {
    double noise;
    int classes;   /* spiral: 3 arms; blobs: 3 centres */
    int features;  /* blobs: 2 */
    double factor; /* circles: radius of the inner by that of the outer, 0.5 */
    unsigned char end_;
} gr_make_opts;
/* Arms j of n points each (cs231n): r = 0 .. 1, angle = 4 j .. 4 (j + 1) + noise (0.2) randn, x = r (sin, cos) angle. */
#define gr_make_spiral(...) GR_OPT2(gr_make_spiral_with, gr_make_opts, __VA_ARGS__)
GR_API gr_dataset gr_make_spiral_with(gr_ctx *c, int64_t n, gr_make_opts o);
/* The corners (0,0) (0,1) (1,0) (1,1) in turn, n points in all; y = 0 1 1 0. Noise 0. */
#define gr_make_xor(...) GR_OPT2(gr_make_xor_with, gr_make_opts, __VA_ARGS__)
GR_API gr_dataset gr_make_xor_with(gr_ctx *c, int64_t n, gr_make_opts o);
/* Two half circles that interleave: (cos t, sin t) and (1 - cos t, 1/2 - sin t), t = 0 .. pi; n points in all. Noise 0. */
#define gr_make_moons(...) GR_OPT2(gr_make_moons_with, gr_make_opts, __VA_ARGS__)
GR_API gr_dataset gr_make_moons_with(gr_ctx *c, int64_t n, gr_make_opts o);
/* A circle of radius 1 (class 0) around one of radius factor (class 1); n points in all. Noise 0. */
#define gr_make_circles(...) GR_OPT2(gr_make_circles_with, gr_make_opts, __VA_ARGS__)
GR_API gr_dataset gr_make_circles_with(gr_ctx *c, int64_t n, gr_make_opts o);
/* Normal clouds (noise 1) around centres drawn from [-10, 10)^features; n points in all, classes in turn. */
#define gr_make_blobs(...) GR_OPT2(gr_make_blobs_with, gr_make_opts, __VA_ARGS__)
GR_API gr_dataset gr_make_blobs_with(gr_ctx *c, int64_t n, gr_make_opts o);

/* ---- progress --------------------------------------------------------------------------------------------------
 * A line on stderr for long work, rewritten at most ten times a second, with rate and time left:
 *     epoch 1  [=========>          ]  450/938  48%  1.2k/s  0:01 left  loss 0.41
 * Silent when stderr is no terminal. The only thing in the library that prints without being asked to by name. */
typedef struct gr_progress {
    const char *label;
    int64_t total, done;
    double started, shown; /* seconds */
    int width;             /* of the line that stands there */
    bool on;
    char note[64];         /* the last one */
} gr_progress;
GR_API gr_progress gr_progress_begin(const char *label, int64_t total); /* label must outlive it; total 0: not known */
GR_API void gr_progress_update(gr_progress *p, int64_t done, const char *note); /* note: "loss 0.41", or NULL */
GR_API void gr_progress_end(gr_progress *p);                             /* the last state, and a new line */

#ifdef __cplusplus
}
#endif
#endif
