/* CSV text to fields: delimiters, quotes and line ends of RFC 4180.
 * Knows no number, no header and no column.
 * SPDX-License-Identifier: MIT */
#include "io/csv.h"

#include <string.h>

static bool fail(gr__csv *r, size_t line, const char *why)
{
    gr_fail(r->ctx, GR_EFORMAT, "%s:%zu: %s", r->name, line, why);
    return false;
}

gr__csv gr__csv_start(gr_ctx *c, const gr__source *s, char delimiter, size_t max_line)
{
    const char *p = (const char *)s->at, *end = s->size ? p + s->size : p;
    if (s->size >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) p += 3; /* a byte order mark */
    return (gr__csv){ .ctx = c, .name = s->name, .at = p, .end = end, .line = 1, .delimiter = delimiter, .max_line = max_line };
}

static bool line_end(char ch) { return ch == '\n' || ch == '\r'; }

/* Past LF, CRLF or CR. */
static void skip_line_end(gr__csv *r)
{
    r->at += r->at[0] == '\r' && r->end - r->at > 1 && r->at[1] == '\n' ? 2 : 1;
    r->line++;
}

bool gr__csv_more(gr__csv *r)
{
    while (r->at < r->end && line_end(*r->at)) skip_line_end(r);
    r->record = r->at;
    r->record_line = r->line;
    return r->at < r->end;
}

static bool blank(const gr__csv *r, char ch) { return (ch == ' ' || ch == '\t') && ch != r->delimiter; }

static bool too_long(gr__csv *r)
{
    gr_fail(r->ctx, GR_EFORMAT, "%s:%zu: the record that begins here is longer than the limit of %zu bytes. "
            "Fix: close its quotes or, if it is right, raise .max_line", r->name, r->record_line, r->max_line);
    return false;
}

/* r->at is behind the opening quote; afterwards, behind the closing one and what blanks follow it. */
static bool quoted(gr__csv *r, gr__field *f)
{
    f->quoted = true;
    f->text = r->at;
    const char *most = (size_t)(r->end - r->record) > r->max_line ? r->record + r->max_line : r->end;
    for (; r->at < most; r->at++) {
        if (*r->at == '"' && !(r->at + 1 < r->end && r->at[1] == '"')) break;
        if (*r->at == '"') r->at++;
        else if (*r->at == '\n' || (*r->at == '\r' && !(r->at + 1 < r->end && r->at[1] == '\n'))) r->line++;
        else if (!*r->at) return fail(r, r->line, "holds a zero byte, so it is no UTF-8 text. Fix: save it as CSV in UTF-8");
    }
    if (r->at >= most && most < r->end) return too_long(r);
    if (r->at >= most) return fail(r, f->line, "the quote that opens a field here is never closed. Fix: close it, and double the quotes inside");
    f->n = (size_t)(r->at++ - f->text);
    while (r->at < r->end && blank(r, *r->at)) r->at++;
    if (r->at == r->end || *r->at == r->delimiter || line_end(*r->at)) return true;
    return fail(r, r->line, "text follows the quote that closes a field. Fix: double the quotes inside the field");
}

static bool plain(gr__csv *r, gr__field *f)
{
    f->text = r->at;
    for (; r->at < r->end && *r->at != r->delimiter && !line_end(*r->at); r->at++) {
        if (*r->at == '"') return fail(r, r->line, "a quote stands inside a field without quotes. Fix: quote the whole field, and double the quotes inside");
        if (!*r->at) return fail(r, r->line, "holds a zero byte, so it is no UTF-8 text. Fix: save it as CSV in UTF-8");
    }
    const char *last = r->at;
    while (last > f->text && blank(r, last[-1])) last--;
    f->n = (size_t)(last - f->text);
    return true;
}

bool gr__csv_field(gr__csv *r, gr__field *f)
{
    *f = (gr__field){ .line = r->line };
    while (r->at < r->end && blank(r, *r->at)) r->at++;
    bool opens = r->at < r->end && *r->at == '"';
    if (opens) r->at++;
    if (!(opens ? quoted(r, f) : plain(r, f))) return false;
    if ((size_t)(r->at - r->record) > r->max_line) return too_long(r);
    f->last = r->at == r->end || *r->at != r->delimiter;
    if (!f->last) r->at++;
    else if (r->at < r->end) skip_line_end(r);
    return true;
}

size_t gr__csv_unquote(const gr__field *f, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        out[n++] = f->text[i];
        if (f->quoted && f->text[i] == '"') i++;
    }
    out[n] = '\0';
    return n;
}
