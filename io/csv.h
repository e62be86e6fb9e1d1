/* Fields of a CSV file, between csv_scan.c that finds them and csv.c that reads them.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_IO_CSV_H
#define GRADUS_IO_CSV_H

#include "io/bytes.h"

/* A place in the text. */
typedef struct gr__csv {
    gr_ctx *ctx;
    const char *name;   /* of the file */
    const char *at, *end, *record; /* record: where the current one begins */
    size_t line, max_line;
    size_t record_line; /* where the record begins, from 1 */
    char delimiter;
} gr__csv;

typedef struct gr__field {
    const char *text; /* without quotes and blanks around it */
    size_t n;
    size_t line;      /* where it begins, from 1 */
    bool quoted;      /* "" in it stands for one quote */
    bool last;        /* of its record */
} gr__field;

gr__csv gr__csv_start(gr_ctx *c, const gr__source *s, char delimiter, size_t max_line);
bool gr__csv_more(gr__csv *r);                   /* is there another record? Skips empty lines */
bool gr__csv_field(gr__csv *r, gr__field *f);    /* the next field; false: an error was recorded */
size_t gr__csv_unquote(const gr__field *f, char *out); /* at most f->n bytes and a final zero; returns their number */

#endif
