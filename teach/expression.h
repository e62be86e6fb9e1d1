/* A parsed expression, and what is done with one: values as tensors, values as doubles, text.
 * Knows no graph and no trace.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_TEACH_EXPRESSION_H
#define GRADUS_TEACH_EXPRESSION_H

#include "core/tensor.h"
#include "ops/ops.h"
#include "teach/teach.h"

typedef enum gr_term_kind {
    GR_TERM_NUMBER,    /* value */
    GR_TERM_NAME,      /* the text at..at + len; let: the term it stands for, or -1 */
    GR_TERM_NEG,       /* 1 child */
    GR_TERM_BINARY,    /* 2 children; op is one of + - * / ^ @ < > = ! or l (<=), g (>=) */
    GR_TERM_TRANSPOSE, /* 1 child */
    GR_TERM_CALL,      /* the function at..at + len; count children */
    GR_TERM_MATRIX,    /* count children in rows of `columns` */
    GR_TERM_LET,       /* the name at..at + len gets the value of its child */
} gr_term_kind;

typedef struct gr_term {
    gr_term_kind kind;
    char op;
    int at, len;     /* where in the text: of an operator its own place */
    int first, next; /* the first child; the next sibling; -1: none */
    int count, columns, let;
    double value;
} gr_term;

/* Children stand before their parents, so that one loop over term[0 .. n - 1] evaluates everything. */
typedef struct gr_expr {
    gr_ctx *ctx;
    const char *text;
    gr_term *term;
    int n, root;
} gr_expr;

/* Fills e; its memory lives as long as the scope. False with GR_EFORMAT and a caret under the mistake. */
bool gr__expr_parse(gr_ctx *c, const char *text, gr_expr *e);
/* The same without a context: terms go where the caller says, at most cap; no message. For formulas of records. */
bool gr__formula_parse(const char *text, gr_term *term, int cap, gr_expr *e);
bool gr__expr_is_name(const char *text, size_t len); /* letters, digits and _, no digit first */

/* The expression in two lines, a caret under place `at`, and what is wrong there. */
void gr__expr_fail(gr_ctx *c, const char *text, int at, gr_code code, const char *fmt, ...) GR_PRINTF(5, 6);

/* The value as a tensor or number, by gradus operations. */
bool gr__expr_eval(const gr_expr *e, const gr_binding *names, int n, gr_operand *result);

double gr__expr_fold(char op, double a, double b); /* of two numbers, but for @ */

/* The value in doubles, element by element, for formulas of element-wise operations; false where e says something that
 * such a formula cannot (a matrix, an unknown name or function). */
typedef struct gr_number_name {
    const char *name;
    double value;
} gr_number_name;
#define GR_MAX_FORMULA_TERMS 96
bool gr__expr_number(const gr_expr *e, const gr_number_name *names, int n, double *value);

/* The expression as text again. substitute writes what stands for a name, and says whether that is a negative number;
 * it returns false to leave the name as it is. */
typedef struct gr_printer {
    bool (*substitute)(void *user, const char *name, size_t len, char *out, size_t size, bool *negative);
    void *user;
    bool without_upstream; /* the factor dy is left out: the local derivative */
} gr_printer;
void gr__expr_print(const gr_expr *e, const gr_printer *p, char *out, size_t size);

/* Functions by name: for messages and for those who call them. NULL if there is none; the nearest name, or NULL. */
const char *gr__function_nearest(const char *name, size_t len);
bool gr__function_exists(const char *name, size_t len);

/* What a call is given, and where its text stands. */
typedef struct gr_calling {
    gr_ctx *ctx;
    const char *text, *name;
    const gr_term *term;
    const gr_operand *arg;
    const int *at; /* where each argument stands */
    int n;
} gr_calling;
bool gr__function_call(gr_calling *k, gr_operand *result);
#define GR_MAX_ARGUMENTS 16

#endif
