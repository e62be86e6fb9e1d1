/* The inside of io/: where bytes come from and go to, and numbers as text.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_IO_BYTES_H
#define GRADUS_IO_BYTES_H

#include "core/tensor.h"
#include "io/io.h"

#define GR__MAX_BYTES ((size_t)1 << 30) /* of a file, unless the caller says otherwise */

/* A buffer that grows by doubling; its memory comes from the context. */
typedef struct gr__buffer {
    unsigned char *at;
    size_t size, capacity;
} gr__buffer;

/* The bytes of a file, inflated, or somebody's memory. */
typedef struct gr__source {
    const char *name;
    const unsigned char *at;
    size_t size;
    gr__buffer own; /* what must be given back */
} gr__source;

/* file.c */
bool gr__buffer_grow(gr_ctx *c, gr__buffer *b, size_t capacity); /* keeps what is there */
void gr__buffer_free(gr_ctx *c, gr__buffer *b);
bool gr__source_file(gr_ctx *c, gr__source *s, const char *path, size_t max_bytes);
bool gr__source_memory(gr_ctx *c, gr__source *s, const char *name, const void *bytes, size_t size, size_t max_bytes);
void gr__source_close(gr_ctx *c, gr__source *s); /* after either of these, whatever it said */
bool gr__write(gr_ctx *c, const gr_sink *out, const void *bytes, size_t size);
typedef bool gr__writer(gr_ctx *c, const gr_sink *out, const void *what);
bool gr__write_file(gr_ctx *c, const char *path, gr__writer *writer, const void *what);
gr_tensor *gr__new_tensor(gr_ctx *c, const char *who, gr_dims shape, gr_type type); /* values not set */
gr_tensor *gr__dense(gr_tensor *t); /* t, or a contiguous copy of it in the current scope */

/* Element i of a contiguous float tensor. */
static inline double gr__real_at(const gr_tensor *t, int64_t i)
{
    return gr_dtype(t) == GR_F32 ? (double)((const float *)gr_data(t))[i] : ((const double *)gr_data(t))[i];
}
static inline void gr__set_real(gr_tensor *t, int64_t i, double v)
{
    if (gr_dtype(t) == GR_F32) ((float *)gr_data(t))[i] = (float)v;
    else ((double *)gr_data(t))[i] = v;
}

/* At most 40 bytes of untrusted text as a line of a message: control bytes become '?', a cut is marked with "...". */
typedef struct gr__excerpt {
    char text[48];
} gr__excerpt;
gr__excerpt gr__excerpt_of(const char *text, size_t n);

/* gzip.c: appends every member of the gzip file `in` to out, at most max_bytes in all. */
bool gr__gunzip(gr_ctx *c, const char *name, const unsigned char *in, size_t size, size_t max_bytes, gr__buffer *out);

/* number.c */
typedef enum gr__parsed { GR__NUMBER, GR__NO_NUMBER, GR__OUT_OF_RANGE } gr__parsed;
gr__parsed gr__parse_real(const char *text, size_t n, gr_type type, double *value); /* rounded correctly to GR_F32 or GR_F64 */
gr__parsed gr__parse_int(const char *text, size_t n, int64_t *value);
#define GR__NUMBER_TEXT 48 /* with room for a decimal point of several bytes */
int gr__print_real(char out[GR__NUMBER_TEXT], double value, gr_type type); /* the fewest digits that read back the same */

/* idx.c, csv.c */
extern const gr_file_format gr__format_csv, gr__format_idx;
bool gr__csv_emit(gr_ctx *c, const gr_sink *out, const gr_tensor *t, gr_csv_write_opts o);

/* progress.c */
int gr__progress_line(char *out, size_t size, const gr_progress *p, double now);

#endif
