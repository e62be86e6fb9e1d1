/* The list of file formats, and reading and writing by the ending of a path.
 * Knows no format but by its record.
 * SPDX-License-Identifier: MIT */
#include "io/bytes.h"

#include <string.h>

static const gr_file_format *const format[] = { &gr__format_csv, &gr__format_idx };

int gr_file_format_count(void) { return (int)(sizeof format / sizeof *format); }
const gr_file_format *gr_file_format_at(int i) { return i >= 0 && i < gr_file_format_count() ? format[i] : NULL; }

static bool ends_in(const char *path, size_t n, const char *extension)
{
    size_t m = strlen(extension);
    if (n < m || strncmp(path + n - m, extension, m) != 0) return false;
    return n == m || path[n - m - 1] == '.';
}

const gr_file_format *gr_file_format_find(const char *path)
{
    size_t n = path ? strlen(path) : 0;
    if (n > 3 && strcmp(path + n - 3, ".gz") == 0) n -= 3;
    for (int i = 0; n && i < gr_file_format_count(); i++)
        if (ends_in(path, n, format[i]->extension) || (strlen(format[i]->name) == n && strncmp(path, format[i]->name, n) == 0)) return format[i];
    return NULL;
}

static const gr_file_format *find(gr_ctx *c, const char *path)
{
    const gr_file_format *f = gr_failed(c) ? NULL : gr_file_format_find(path);
    if (f || gr_failed(c)) return f;
    char list[256] = "";
    size_t at = 0;
    for (int i = 0; i < gr_file_format_count() && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s.%s", i ? ", " : "", format[i]->extension);
    gr_fail(c, GR_EVALUE, "%s: no format has this ending. Fix: use one of %s, or the reader of the format itself", path ? path : "(no path)", list);
    return NULL;
}

gr_bundle gr_file_read_with(gr_ctx *c, const char *path, gr_file_opts o)
{
    gr_bundle b = { 0 };
    gr__source s;
    const gr_file_format *f = find(c, path);
    if (!f) return b;
    if (gr__source_file(c, &s, path, o.max_bytes) && !f->read(c, path, s.at, s.size, o, &b)) b = (gr_bundle){ 0 };
    gr__source_close(c, &s);
    return b;
}

typedef struct job {
    const gr_file_format *format;
    const gr_bundle *what;
} job;

static bool emit(gr_ctx *c, const gr_sink *out, const void *what)
{
    const job *k = what;
    return k->format->write(c, k->what, out);
}

bool gr_file_write(gr_ctx *c, const char *path, const gr_bundle *what)
{
    const gr_file_format *f = find(c, path);
    if (!f || !what) return false;
    if (what->n < 1 || (what->n > 1 && !f->many)) {
        gr_fail(c, GR_EVALUE, "%s: %s holds %s, not %d. Fix: write each to a file of its own", path, f->name,
                f->many ? "one tensor or more" : "one tensor", what->n);
        return false;
    }
    for (int i = 0; i < what->n; i++)
        if (!what->tensors[i]) {
            gr_fail(c, GR_EVALUE, "%s: tensor %d is NULL. Fix: pass a tensor", path, i);
            return false;
        }
    return gr__write_file(c, path, emit, &(job){ f, what });
}
