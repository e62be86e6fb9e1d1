/* CSV files to tables: which columns are numbers, which one holds classes, and what its header says.
 * Knows no quote and no line end: csv_scan.c finds the fields.
 * SPDX-License-Identifier: MIT
 *
 * Two passes: the first counts rows and refuses ragged ones, so that the second fills memory of exactly the right size. */
#include "io/csv.h"

#include <math.h>
#include <string.h>

enum { LABEL = 1, KEEP = 2, SKIP = 4 };

typedef struct plan {
    gr_ctx *ctx;
    const gr__source *source;
    gr_csv_opts o;
    gr_type dtype;
    int columns, kept;  /* in the file; read as numbers */
    unsigned char *use; /* for each column */
    const char **names; /* of each column; NULL without a header */
    int64_t rows;
} plan;

/* ---- columns ---------------------------------------------------------------------------------------------------*/
/* By name or else by index; -1: there is none. */
static int column_of(const plan *p, const char *text, size_t n)
{
    for (int i = 0; p->names && i < p->columns; i++)
        if (strlen(p->names[i]) == n && memcmp(p->names[i], text, n) == 0) return i;
    int64_t index;
    if (gr__parse_int(text, n, &index) != GR__NUMBER) return -1;
    if (index < 0) index += p->columns;
    return index >= 0 && index < p->columns ? (int)index : -1;
}

static bool no_column(const plan *p, const char *option, const char *text, size_t n)
{
    char list[256] = "";
    size_t at = 0;
    for (int i = 0; p->names && i < p->columns && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s\"%s\"", i ? ", " : "", gr__excerpt_of(p->names[i], strlen(p->names[i])).text);
    if (!p->names) snprintf(list, sizeof list, "\"0\" to \"%d\", without names", p->columns - 1);
    gr_fail(p->ctx, GR_EVALUE, "%s: .%s asks for column \"%s\", which is not there. Fix: the columns are %s%s", p->source->name, option,
            gr__excerpt_of(text, n).text, list, at >= sizeof list ? "..." : "");
    return false;
}

/* Sets a bit for each column of the list. Where one is not there: an error or, when asked, whether any is a name. */
static bool mark(plan *p, const char *option, const char *list, int bit, bool *named)
{
    int64_t index;
    while (list) {
        const char *comma = bit == LABEL ? NULL : strchr(list, ',');
        size_t n = comma ? (size_t)(comma - list) : strlen(list);
        int i = column_of(p, list, n);
        if (i >= 0) p->use[i] = (unsigned char)(p->use[i] | bit);
        else if (named) *named = *named || gr__parse_int(list, n, &index) == GR__NO_NUMBER;
        else return no_column(p, option, list, n);
        list = comma ? comma + 1 : NULL;
    }
    return true;
}

static bool mark_all(plan *p, bool *named)
{
    memset(p->use, 0, (size_t)p->columns);
    return mark(p, "label", p->o.label, LABEL, named) && mark(p, "keep", p->o.keep, KEEP, named) &&
           mark(p, "skip", p->o.skip, SKIP, named);
}

static bool numeric(const plan *p, int column)
{
    int use = p->use[column];
    return !(use & (LABEL | SKIP)) && (!p->o.keep || (use & KEEP));
}

/* ---- header ----------------------------------------------------------------------------------------------------*/
static bool missing(const gr__field *f)
{
    static const char *const word[] = { "", "na", "n/a", "nan", "null", "?" };
    for (size_t i = 0; i < sizeof word / sizeof *word; i++) {
        size_t k = 0;
        while (k < f->n && word[i][k] && (word[i][k] == f->text[k] || word[i][k] == (f->text[k] | 0x20))) k++;
        if (k == f->n && !word[i][k]) return true;
    }
    return false;
}

/* Is the first record a header? Yes, where names are asked for or a column of numbers has something else in it. */
static bool find_header(plan *p, gr__csv r, bool *header)
{
    *header = p->o.header == GR_CSV_HEADER;
    if (p->o.header != GR_CSV_AUTO) return true;
    mark_all(p, header);
    gr__field f;
    for (int i = 0; i < p->columns; i++) {
        double v;
        if (!gr__csv_field(&r, &f)) return false;
        if (numeric(p, i) && !missing(&f) && gr__parse_real(f.text, f.n, GR_F64, &v) == GR__NO_NUMBER) *header = true;
    }
    return true;
}

static const char *copy_text(gr_ctx *c, const gr__field *f)
{
    char *text = gr__arena_alloc(gr__scope_now(c), f->n + 1);
    if (text) gr__csv_unquote(f, text);
    return text;
}

static bool read_names(plan *p, gr__csv *r)
{
    const char **names = gr__arena_alloc(gr__scope_now(p->ctx), (size_t)p->columns * sizeof *names);
    gr__field f;
    for (int i = 0; names && i < p->columns; i++)
        if (!gr__csv_field(r, &f) || !(names[i] = copy_text(p->ctx, &f))) return false;
    p->names = names;
    return names;
}

/* ---- counting --------------------------------------------------------------------------------------------------*/
static bool count_columns(plan *p, gr__csv r)
{
    const int most = p->o.max_columns > 0 ? p->o.max_columns : 1 << 16;
    gr__field f;
    do {
        if (p->columns == most) {
            gr_fail(p->ctx, GR_EFORMAT, "%s:%zu: has more columns than the limit of %d. Fix: if that is right, raise .max_columns",
                    r.name, r.line, most);
            return false;
        }
        if (!gr__csv_field(&r, &f)) return false;
        p->columns++;
    } while (!f.last);
    return true;
}

static bool count_rows(plan *p, gr__csv r)
{
    const int64_t most = p->o.max_rows > 0 ? p->o.max_rows : 100000000;
    gr__field f;
    while (gr__csv_more(&r)) {
        int64_t n = 0;
        do {
            if (!gr__csv_field(&r, &f)) return false;
            n++;
        } while (!f.last);
        if (n != p->columns) {
            gr_fail(p->ctx, GR_EFORMAT, "%s:%zu: has %lld field%s, the first line has %d. "
                    "Fix: correct it; a field that holds the delimiter must be quoted", r.name, r.record_line, (long long)n, n == 1 ? "" : "s",
                    p->columns);
            return false;
        }
        if (p->rows++ < most) continue;
        gr_fail(p->ctx, GR_EFORMAT, "%s:%zu: is more than the limit of %lld rows. Fix: if that is right, raise .max_rows", r.name,
                r.record_line, (long long)most);
        return false;
    }
    return true;
}

/* ---- classes ---------------------------------------------------------------------------------------------------
 * Names in order of first appearance, found by a hash table of their numbers, at most half full. */
typedef struct classes {
    int count;
    bool closed;       /* no others */
    const char **name;
    int32_t *slot;     /* class + 1; 0: free */
    size_t mask;
    gr_block *names_block, *slot_block;
} classes;

static bool classes_open(plan *p, classes *k)
{
    const int given = p->o.class_names ? p->o.num_classes : 0;
    const size_t most = given > 0 ? (size_t)given : (size_t)p->rows;
    size_t slots = 16;
    *k = (classes){ .closed = given > 0 };
    if (most >= INT32_MAX / 4) {
        gr_fail(p->ctx, GR_EVALUE, "%s: %zu classes cannot be counted. Fix: read the file in parts", p->source->name, most);
        return false;
    }
    while (slots < 2 * most) slots *= 2;
    k->names_block = gr__block_new(p->ctx, (most + 1) * sizeof *k->name);
    k->slot_block = k->names_block ? gr__block_new(p->ctx, slots * sizeof *k->slot) : NULL;
    if (!k->slot_block) return false;
    k->name = gr__block_data(k->names_block);
    k->slot = gr__block_data(k->slot_block);
    k->mask = slots - 1;
    memset(k->slot, 0, slots * sizeof *k->slot);
    return true;
}

static void classes_close(gr_ctx *c, classes *k)
{
    if (k->names_block) gr__block_unref(c, k->names_block);
    if (k->slot_block) gr__block_unref(c, k->slot_block);
}

/* The slot of a name, or the free one where it belongs. FNV-1a (Fowler, Noll, Vo). */
static int32_t *class_slot(const classes *k, const char *text, size_t n)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 1099511628211u;
    for (size_t i = (size_t)(h ^ h >> 32) & k->mask;; i = (i + 1) & k->mask) {
        const int32_t s = k->slot[i];
        if (!s || (strlen(k->name[s - 1]) == n && memcmp(k->name[s - 1], text, n) == 0)) return &k->slot[i];
    }
}

static void class_add(classes *k, int32_t *slot, const char *name)
{
    k->name[k->count++] = name;
    *slot = k->count;
}

static bool classes_give(plan *p, classes *k)
{
    for (int i = 0; k->closed && i < p->o.num_classes; i++) {
        const char *name = p->o.class_names[i];
        int32_t *slot = name ? class_slot(k, name, strlen(name)) : NULL;
        if (slot && !*slot) {
            class_add(k, slot, name);
            continue;
        }
        gr_fail(p->ctx, GR_EVALUE, "%s: .class_names[%d] is %s. Fix: name each class once", p->source->name, i, name ? "there twice" : "NULL");
        return false;
    }
    return true;
}

/* ---- filling ---------------------------------------------------------------------------------------------------*/
static bool bad_field(const plan *p, const gr__field *f, int column, const char *form)
{
    char index[24], what[256];
    snprintf(index, sizeof index, "%d", column);
    const char *key = p->names && p->names[column][0] ? p->names[column] : index;
    gr__excerpt name = gr__excerpt_of(key, strlen(key)), text = gr__excerpt_of(f->text, f->n);
    size_t at = 0;
    for (; *form && at + sizeof name + 1 < sizeof what; form++) { /* $ is the field, @ the column */
        if (*form == '$') at += (size_t)snprintf(what + at, sizeof what - at, "%s", text.text);
        else if (*form == '@') at += (size_t)snprintf(what + at, sizeof what - at, "%s", name.text);
        else what[at++] = *form;
    }
    what[at] = '\0';
    gr_fail(p->ctx, GR_EFORMAT, "%s:%zu: column \"%s\": %s", p->source->name, f->line, name.text, what);
    return false;
}

static bool read_label(const plan *p, classes *k, const gr__field *f, int column, int64_t *y)
{
    if (!f->n) return bad_field(p, f, column, "the class is missing. Fix: fill it in, or delete the line");
    gr__field g = *f;
    if (f->quoted && memchr(f->text, '"', f->n)) {
        if (!(g.text = copy_text(p->ctx, f))) return false;
        g.n = strlen(g.text);
        g.quoted = false;
    }
    int32_t *slot = class_slot(k, g.text, g.n);
    if (!*slot) {
        if (k->closed) return bad_field(p, f, column, "\"$\" is none of .class_names. Fix: add it to them, or correct it");
        const char *name = copy_text(p->ctx, &g);
        if (!name) return false;
        class_add(k, slot, name);
    }
    *y = *slot - 1;
    return true;
}

static bool read_number(const plan *p, const gr__field *f, int column, void *to)
{
    double v = 0;
    if (missing(f)) {
        if (p->o.missing == GR_CSV_REFUSE)
            return bad_field(p, f, column, "the number is missing (\"$\"). Fix: fill it in, or read it as NaN with .missing = GR_CSV_NAN");
        v = (double)NAN;
    } else if (p->dtype == GR_I64) {
        gr__parsed r = gr__parse_int(f->text, f->n, to);
        if (r == GR__NUMBER) return true;
        if (r == GR__OUT_OF_RANGE) return bad_field(p, f, column, "\"$\" is too large for i64. Fix: use .dtype = GR_F64");
        if (gr__parse_real(f->text, f->n, GR_F64, &v) == GR__NUMBER)
            return bad_field(p, f, column, "\"$\" is no whole number. Fix: correct it, or use .dtype = GR_F32");
        return bad_field(p, f, column, "\"$\" is no number. Fix: correct it, or leave the column out with .skip = \"@\"");
    } else {
        gr__parsed r = gr__parse_real(f->text, f->n, p->dtype, &v);
        if (r == GR__NO_NUMBER)
            return bad_field(p, f, column, "\"$\" is no number. Fix: correct it, leave the column out with .skip = \"@\", "
                             "or read it as classes with .label = \"@\"");
        if (r == GR__OUT_OF_RANGE)
            return bad_field(p, f, column, p->dtype == GR_F32 ? "\"$\" is too large for f32. Fix: use .dtype = GR_F64"
                                                              : "\"$\" is too large for f64. Fix: correct it");
    }
    if (p->dtype == GR_F32) *(float *)to = (float)v;
    else *(double *)to = v;
    return true;
}

static bool fill(const plan *p, gr__csv r, classes *k, gr_table *t)
{
    char *x = gr_data(t->x);
    int64_t *y = t->y ? gr_data(t->y) : NULL;
    const size_t size = gr__type_size(p->dtype);
    gr__field f;
    while (gr__csv_more(&r)) {
        for (int i = 0; i < p->columns; i++) {
            if (!gr__csv_field(&r, &f)) return false;
            if (numeric(p, i)) {
                if (!read_number(p, &f, i, x)) return false;
                x += size;
            } else if (p->use[i] & LABEL) {
                if (!read_label(p, k, &f, i, y)) return false;
                y++;
            }
        }
    }
    return true;
}

/* ---- the whole -------------------------------------------------------------------------------------------------*/
static bool check_options(plan *p)
{
    const char d = p->o.delimiter;
    const char *name = p->source->name;
    p->dtype = p->o.dtype ? p->o.dtype : p->ctx->dtype;
    if (p->dtype != GR_F32 && p->dtype != GR_F64 && p->dtype != GR_I64)
        gr_fail(p->ctx, GR_EDTYPE, "%s: cannot be read as %s. Fix: use GR_F32, GR_F64 or GR_I64", name, gr_dtype_name(p->dtype));
    else if (p->dtype == GR_I64 && p->o.missing == GR_CSV_NAN)
        gr_fail(p->ctx, GR_EDTYPE, "%s: i64 has no NaN for what is missing. Fix: use .dtype = GR_F32", name);
    else if (d && (strchr("\"\r\n.+-", d) || (d >= '0' && d <= '9')))
        gr_fail(p->ctx, GR_EVALUE, "%s: the delimiter cannot be a quote, a line end or part of a number. Fix: use ',', ';' or '\\t'", name);
    return !gr_failed(p->ctx);
}

static bool survey(plan *p, gr__csv *r)
{
    bool header;
    if (!gr__csv_more(r)) {
        gr_fail(p->ctx, GR_EFORMAT, "%s: is empty. Fix: pass a file with at least one line", r->name);
        return false;
    }
    if (!count_columns(p, *r)) return false;
    p->use = gr__arena_alloc(gr__scope_now(p->ctx), (size_t)p->columns);
    if (!p->use || !find_header(p, *r, &header) || (header && !read_names(p, r)) || !mark_all(p, NULL)) return false;
    for (int i = 0; i < p->columns; i++) p->kept += numeric(p, i);
    if (p->kept) return count_rows(p, *r);
    gr_fail(p->ctx, GR_EVALUE, "%s: no column is left to read as numbers. Fix: change .label, .keep or .skip", r->name);
    return false;
}

/* The names that the caller gets, in the current scope. */
static bool give_names(const plan *p, const classes *k, gr_table *t)
{
    gr_scope *s = gr__scope_now(p->ctx);
    const char **column = p->names ? gr__arena_alloc(s, (size_t)p->kept * sizeof *column) : NULL;
    const char **name = t->y ? gr__arena_alloc(s, ((size_t)k->count + 1) * sizeof *name) : NULL;
    if ((p->names && !column) || (t->y && !name)) return false;
    for (int i = 0, n = 0; column && i < p->columns; i++)
        if (numeric(p, i)) column[n++] = p->names[i];
    for (int i = 0; name && i < k->count; i++) {
        size_t n = strlen(k->name[i]) + 1;
        char *copy = k->closed ? gr__arena_alloc(s, n) : NULL; /* the caller's may not live long enough */
        if (k->closed && !copy) return false;
        name[i] = copy ? memcpy(copy, k->name[i], n) : k->name[i];
    }
    t->num_columns = p->kept;
    t->num_classes = name ? k->count : 0;
    t->column_names = column;
    t->class_names = name;
    return true;
}

static gr_table parse(gr_ctx *c, const gr__source *s, gr_csv_opts o)
{
    plan p = { .ctx = c, .source = s, .o = o };
    if (!check_options(&p)) return (gr_table){ 0 };
    gr__csv r = gr__csv_start(c, s, o.delimiter ? o.delimiter : ',', o.max_line ? o.max_line : (size_t)1 << 20);
    if (!survey(&p, &r)) return (gr_table){ 0 };
    gr_table t = { .x = gr__new_tensor(c, s->name, GR_SHAPE(p.rows, p.kept), p.dtype) };
    if (t.x && o.label) t.y = gr__new_tensor(c, s->name, GR_SHAPE(p.rows), GR_I64);
    classes k = { 0 };
    bool ok = t.x && (!o.label || (t.y && classes_open(&p, &k) && classes_give(&p, &k))) && fill(&p, r, &k, &t) && give_names(&p, &k, &t);
    classes_close(c, &k);
    return ok ? t : (gr_table){ 0 };
}

gr_table gr_csv_read_with(gr_ctx *c, const char *path, gr_csv_opts o)
{
    gr__source s;
    gr_table t = { 0 };
    if (gr__source_file(c, &s, path, o.max_bytes)) t = parse(c, &s, o);
    gr__source_close(c, &s);
    return t;
}

gr_table gr_csv_parse_with(gr_ctx *c, const char *name, const void *bytes, size_t size, gr_csv_opts o)
{
    gr__source s;
    gr_table t = { 0 };
    if (gr__source_memory(c, &s, name, bytes, size, o.max_bytes)) t = parse(c, &s, o);
    gr__source_close(c, &s);
    return t;
}
