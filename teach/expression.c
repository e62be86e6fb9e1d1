/* Text to terms: a parser of arithmetic that says where it stopped and why.
 * Knows no value and no function.
 * SPDX-License-Identifier: MIT
 *
 *   program     statement { ; statement } [;]           the last statement is the result
 *   statement   [ name = ] comparison
 *   comparison  sum [ (< <= > >= == !=) sum ]
 *   sum         product { (+ -) product }
 *   product     sign { (* / @) sign }
 *   sign        - sign | + sign | power
 *   power       postfix [ ^ sign ]                       a ^ b ^ c is a ^ (b ^ c), -x^2 is -(x^2)
 *   postfix     value { ^T }
 *   value       number | name | name ( program, ... ) | ( comparison ) | [ row { ; row } ]                        */
#include "teach/expression.h"

#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LENGTH 65536
#define MAX_DEPTH 200 /* about 200 bytes of stack for each of 6 functions: far below the smallest stack */

typedef struct parser {
    gr_ctx *c;
    gr_expr *e;
    const char *text;
    int at, depth, lets; /* lets: the newest LET term, linked through .let */
    int cap;             /* of e->term */
    bool full;
} parser;

static int comparison(parser *p);
static int sign(parser *p);

/* ---- errors ----------------------------------------------------------------------------------------------------*/
#define BEFORE 50
#define AFTER 24

static bool continues(char ch) { return ((unsigned char)ch & 0xC0) == 0x80; } /* inside a UTF-8 character */

void gr__expr_fail(gr_ctx *c, const char *text, int at, gr_code code, const char *fmt, ...)
{
    char why[1024], line[128];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    int end = (int)strlen(text), from = at > BEFORE ? at - BEFORE : 0, to = end - at > AFTER ? at + AFTER : end, n = 0, column = 0;
    while (from > 0 && continues(text[from])) from--;
    while (to < end && continues(text[to])) to++;
    for (int i = from; i < to; i++) {
        if (i < at && !continues(text[i])) column++;
        line[n++] = (unsigned char)text[i] < 32 || text[i] == 127 ? ' ' : text[i];
    }
    line[n] = '\0';
    const char *dots = from > 0 ? "..." : "";
    gr_fail(c, code, "%s%s%s\n%*s^ %s", dots, line, to < end ? "..." : "", column + (int)strlen(dots), "", why);
}

static int fail_at(parser *p, int at, const char *why)
{
    gr__expr_fail(p->c, p->text, at, GR_EFORMAT, "%s", why);
    return -1;
}

/* ---- characters ------------------------------------------------------------------------------------------------*/
static bool is_digit(char ch) { return ch >= '0' && ch <= '9'; }
static bool is_letter(char ch) { return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_' || (unsigned char)ch >= 128; }

bool gr__expr_is_name(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_letter(text[i]) && !(i && is_digit(text[i]))) return false;
    return len > 0;
}

static char peek(parser *p)
{
    while (p->text[p->at] == ' ' || (p->text[p->at] >= '\t' && p->text[p->at] <= '\r')) p->at++;
    return p->text[p->at];
}

static bool accept(parser *p, char ch)
{
    if (peek(p) != ch) return false;
    p->at++;
    return true;
}

static int name_length(const parser *p, int at)
{
    int n = 0;
    while (is_letter(p->text[at + n]) || (n && is_digit(p->text[at + n]))) n++;
    return n;
}

/* ---- terms -----------------------------------------------------------------------------------------------------*/
static int make(parser *p, gr_term_kind kind, int at, int len)
{
    gr_expr *e = p->e;
    if (e->n == p->cap) p->full = true, e->n--; /* the parse fails, but walks no wild links until then */
    e->term[e->n] = (gr_term){ .kind = kind, .at = at, .len = len, .first = -1, .next = -1, .let = -1 };
    return e->n++;
}

static int with_children(parser *p, int term, int first, int second)
{
    gr_term *t = p->e->term;
    t[term].first = first;
    t[term].count = second < 0 ? 1 : 2;
    if (second >= 0) t[first].next = second;
    return term;
}

static bool deeper(parser *p)
{
    if (p->full) return false;
    if (p->depth++ < MAX_DEPTH) return true;
    fail_at(p, p->at, "nested too deeply here: give the inner part a name, as in a = ...; f(a)");
    return false;
}

/* digits [ . digits ] [ e [+-] digits ], and nothing glued to it */
static int number(parser *p)
{
    int at = p->at, end = at, digits = 0;
    const char *s = p->text;
    for (; is_digit(s[end]); end++) digits++;
    int point = s[end] == '.' ? end++ : -1;
    for (; is_digit(s[end]); end++) digits++;
    bool ok = digits > 0;
    if (ok && (s[end] == 'e' || s[end] == 'E')) {
        int from = end + 1 + (s[end + 1] == '+' || s[end + 1] == '-');
        for (end = from; is_digit(s[end]); end++) {}
        ok = end > from;
    }
    if (ok && s[end] == '.') return fail_at(p, end, "a number has one decimal point");
    char digits_text[128];
    if (!ok) return fail_at(p, at, "this is no number: write it as 2, 0.5 or 1e-3");
    if (end - at >= (int)sizeof digits_text) return fail_at(p, at, "this number has too many digits");
    memcpy(digits_text, s + at, (size_t)(end - at));
    digits_text[end - at] = '\0';
    if (point >= 0) digits_text[point - at] = localeconv()->decimal_point[0];
    p->at = end;
    int term = make(p, GR_TERM_NUMBER, at, end - at);
    p->e->term[term].value = strtod(digits_text, NULL);
    return term;
}

/* Children linked through .next until `close`; their number, or -1. */
static int children(parser *p, char close, int *first, int *columns)
{
    int n = 0, row = 0, last = -1, open = p->at - 1;
    *first = -1;
    *columns = 0;
    if (accept(p, close)) return 0;
    for (;;) {
        int term = comparison(p);
        if (term < 0) return -1;
        if (last < 0) *first = term;
        else p->e->term[last].next = term;
        last = term;
        n++, row++;
        if (accept(p, ',')) continue;
        bool row_ends = close == ']' && accept(p, ';');
        bool done = accept(p, close);
        if ((row_ends || (done && *columns)) && *columns && row != *columns)
            return fail_at(p, p->e->term[last].at, "this row has another length than the first");
        if (row_ends) *columns = row, row = 0;
        if (done) return n;
        if (row_ends) continue;
        if (!peek(p)) return fail_at(p, open, close == ')' ? "this ( is never closed" : "this [ is never closed");
        return fail_at(p, p->at, close == ')' ? "expected an operator, a comma or ) here" : "expected a comma, ; or ] here");
    }
}

static int named(parser *p)
{
    int at = p->at, len = name_length(p, at);
    p->at += len;
    if (accept(p, '(')) {
        int first, columns, n = children(p, ')', &first, &columns);
        if (n < 0) return -1;
        int term = make(p, GR_TERM_CALL, at, len);
        p->e->term[term].first = first;
        p->e->term[term].count = n;
        return term;
    }
    int term = make(p, GR_TERM_NAME, at, len);
    for (int let = p->lets; let >= 0; let = p->e->term[let].let) {
        const gr_term *l = &p->e->term[let];
        if (l->len != len || memcmp(p->text + l->at, p->text + at, (size_t)len) != 0) continue;
        p->e->term[term].let = let;
        break;
    }
    return term;
}

static int matrix(parser *p)
{
    int at = p->at++, first, columns, n = children(p, ']', &first, &columns);
    if (n < 0) return -1;
    int term = make(p, GR_TERM_MATRIX, at, p->at - at);
    p->e->term[term].first = first;
    p->e->term[term].count = n;
    p->e->term[term].columns = columns;
    return term;
}

static int value(parser *p)
{
    char ch = peek(p);
    if (is_digit(ch) || ch == '.') return number(p);
    if (is_letter(ch)) return named(p);
    if (ch == '[') return matrix(p);
    if (ch != '(') return fail_at(p, p->at, "expected a value here");
    int open = p->at++, term = comparison(p);
    if (term < 0 || accept(p, ')')) return term;
    return peek(p) ? fail_at(p, p->at, "expected an operator or ) here") : fail_at(p, open, "this ( is never closed");
}

static int postfix(parser *p)
{
    int term = value(p);
    while (term >= 0 && peek(p) == '^') {
        int caret = p->at, at = caret + 1;
        while (p->text[at] == ' ') at++;
        if (p->text[at] != 'T' || name_length(p, at) != 1) break;
        p->at = at + 1;
        int t = make(p, GR_TERM_TRANSPOSE, caret, p->at - caret);
        term = with_children(p, t, term, -1);
    }
    return term;
}

static int binary(parser *p, char op, int at, int len, int a, int b)
{
    if (b < 0) return -1;
    int term = make(p, GR_TERM_BINARY, at, len);
    p->e->term[term].op = op;
    return with_children(p, term, a, b);
}

static int power(parser *p)
{
    int a = postfix(p), at = p->at;
    if (a < 0 || peek(p) != '^') return a;
    at = p->at++;
    return binary(p, '^', at, 1, a, sign(p));
}

static int sign(parser *p)
{
    char ch = peek(p);
    int at = p->at, term;
    if (!deeper(p)) return -1;
    if (ch == '-' || ch == '+') {
        p->at++;
        term = sign(p);
        if (term >= 0 && ch == '-') term = with_children(p, make(p, GR_TERM_NEG, at, 1), term, -1);
    } else {
        term = power(p);
    }
    p->depth--;
    return term;
}

static int product(parser *p)
{
    int a = sign(p);
    while (a >= 0) {
        char ch = peek(p);
        if (ch != '*' && ch != '/' && ch != '@') break;
        int at = p->at++;
        a = binary(p, ch, at, 1, a, sign(p));
    }
    return a;
}

static int sum(parser *p)
{
    int a = product(p);
    while (a >= 0) {
        char ch = peek(p);
        if (ch != '+' && ch != '-') break;
        int at = p->at++;
        a = binary(p, ch, at, 1, a, product(p));
    }
    return a;
}

/* < <= > >= == != as one character, or 0 */
static char relation(parser *p, int *len)
{
    char a = peek(p), b = a ? p->text[p->at + 1] : '\0';
    *len = b == '=' ? 2 : 1;
    if (a == '<') return b == '=' ? 'l' : '<';
    if (a == '>') return b == '=' ? 'g' : '>';
    return b == '=' && (a == '=' || a == '!') ? a : '\0';
}

static int comparison(parser *p)
{
    int len, a = sum(p);
    char op = a < 0 ? '\0' : relation(p, &len);
    if (!op) return a;
    int at = p->at;
    p->at += len;
    a = binary(p, op, at, len, a, sum(p));
    if (a >= 0 && relation(p, &len)) return fail_at(p, p->at, "comparisons do not chain: use parentheses");
    return a;
}

static int statement(parser *p)
{
    peek(p);
    int at = p->at, len = name_length(p, at);
    p->at += len;
    bool let = len && peek(p) == '=' && p->text[p->at + 1] != '=';
    if (!let) {
        p->at = at;
        return comparison(p);
    }
    p->at++;
    int value_term = comparison(p);
    if (value_term < 0) return -1;
    for (int l = p->lets; l >= 0; l = p->e->term[l].let)
        if (p->e->term[l].len == len && memcmp(p->text + p->e->term[l].at, p->text + at, (size_t)len) == 0)
            return fail_at(p, at, "this name has a value already: use another one");
    int term = with_children(p, make(p, GR_TERM_LET, at, len), value_term, -1);
    p->e->term[term].let = p->lets;
    p->lets = term;
    return term;
}

static bool program(parser *p)
{
    gr_expr *e = p->e;
    do {
        if (e->root >= 0 && !peek(p)) break;
        if (p->full || (e->root = statement(p)) < 0) return false;
    } while (accept(p, ';'));
    char ch = peek(p);
    if (!ch) return !p->full;
    fail_at(p, p->at, ch == ')' ? "this ) was never opened" : ch == '=' ? "to compare, write ==" : ch == ',' ? "write several values in brackets: [1, 2]" : "expected an operator here");
    return false;
}

bool gr__formula_parse(const char *text, gr_term *term, int cap, gr_expr *e)
{
    *e = (gr_expr){ .text = text, .term = term, .root = -1 };
    parser p = { .e = e, .text = text, .lets = -1, .cap = cap };
    return program(&p);
}

bool gr__expr_parse(gr_ctx *c, const char *text, gr_expr *e)
{
    *e = (gr_expr){ .ctx = c, .text = text, .root = -1 };
    if (!c || c->code != GR_OK) return false;
    size_t length = strlen(text);
    if (length > MAX_LENGTH) {
        gr_fail(c, GR_EFORMAT, "the expression has %zu characters. Fix: use at most %d; longer ones are programs", length, MAX_LENGTH);
        return false;
    }
    /* every term takes a character of its own */
    e->term = gr__arena_alloc(gr__scope_now(c), (length + 1) * sizeof *e->term);
    parser p = { .c = c, .e = e, .text = text, .lets = -1, .cap = (int)length + 1 };
    return e->term && program(&p);
}
