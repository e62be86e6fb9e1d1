/* Numbers, tensors, names and rules as text, for every renderer.
 * Knows no output format.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_TEACH_FORMAT_H
#define GRADUS_TEACH_FORMAT_H

#include "teach/trace.h"

#define GR_SHOW 512 /* room for one side of an equation; longer ones end in ... */

/* A text that grows in place and ends in ... when it does not fit. */
typedef struct gr_line {
    size_t at;
    char text[GR_SHOW];
} gr_line;
void gr__line_put(gr_line *l, const char *fmt, ...) GR_PRINTF(2, 3);

void gr__show_number(char *out, size_t size, double v);            /* 9 significant digits; nan, inf, -inf; never -0 */
void gr__show_values(char *out, size_t size, const gr_values *v);  /* 2; [1, 2]; [1, 2; 3, 4]; a summary when long */
void gr__show_factor(char *out, size_t size, const gr_values *v);  /* the same in parentheses when negative; one number when all are equal */
void gr__show_shape(char *out, size_t size, const gr_values *v);   /* (2x3); () of a scalar */
void gr__show_name(char *out, size_t size, const char *name);      /* without control characters, at most 40 characters */
int gr__show_width(const char *text);                              /* characters of UTF-8 */

/* What comes to input `slot` of y: in symbols ("dy * (1 - y^2)" with the names of the run) and what its local derivative
 * is, in symbols and with numbers put in ("" where the text is no formula or the numbers are many). */
typedef struct gr_shown_rule {
    char product[GR_SHOW], local[GR_SHOW], numbers[GR_SHOW], shapes[GR_SHOW];
} gr_shown_rule;
void gr__show_rule(const gr_trace_pass *p, const gr_trace_node *y, int slot, gr_shown_rule *out);
/* "tanh(v5)": the operation with its inputs; operators as operators */
void gr__show_call(const gr_trace_pass *p, const gr_trace_node *y, char *out, size_t size);

#endif
