/* Tensors as text: in messages ("w [2, 3]") and in full, as nested brackets, summarised when long.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

void gr__put(gr_text *x, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    bool room = x->at < x->size;
    int n = vsnprintf(room ? x->out + x->at : NULL, room ? x->size - x->at : 0, fmt, args);
    va_end(args);
    if (n > 0) x->at += (size_t)n;
}

static int clip(const gr_text *x) { return (int)(x->at < x->size ? x->at : x->size ? x->size - 1 : 0); }

int gr__format_dims(char *out, size_t size, int n, const int64_t *dim)
{
    gr_text x = { out, size, 0 };
    gr__put(&x, "[");
    for (int i = 0; i < n && i < GR_MAX_RANK; i++) gr__put(&x, "%s%lld", i ? ", " : "", (long long)dim[i]);
    gr__put(&x, "]");
    return clip(&x);
}

int gr__format_tensor_ref(char *out, size_t size, const gr_tensor *t)
{
    gr_text x = { out, size, 0 };
    if (!t) {
        gr__put(&x, "NULL");
        return clip(&x);
    }
    if (t->name) gr__put(&x, "\"%.60s\" ", t->name);
    if (t->dtype != GR_F32 && t->dtype != GR_F64) gr__put(&x, "%s ", gr_dtype_name((gr_type)t->dtype));
    char dims[200];
    gr__format_dims(dims, sizeof dims, t->ndim, t->dims);
    gr__put(&x, "%s", dims);
    return clip(&x);
}

/* ---- whole tensors ---------------------------------------------------------------------------------------------*/
#define SUMMARY 1000 /* more elements than this are summarised */
#define EDGE 3       /* by this many at each end of a dimension */

typedef struct layout {
    const gr_tensor *t;
    int width;      /* of a number */
    bool scientific, whole, measure;
    double largest, smallest;
} layout;

static double element(const gr_tensor *t, const int64_t *index)
{
    gr_dims at = gr_dims_of(index, t->ndim);
    return gr_at_index(t, at);
}

static int number(const layout *l, char *out, size_t size, double v)
{
    gr_type type = (gr_type)l->t->dtype;
    if (type == GR_BOOL) return snprintf(out, size, v != 0 ? "true" : "false");
    if (isnan(v)) return snprintf(out, size, "nan");
    if (isinf(v)) return snprintf(out, size, v > 0 ? "inf" : "-inf");
    if (type == GR_I64) return snprintf(out, size, "%.0f", v);
    if (l->scientific) return snprintf(out, size, "%.4e", v);
    return snprintf(out, size, l->whole ? "%.1f" : "%.4f", v);
}

/* Visits what will be printed: first to measure it, then to print it. */
static void walk(layout *l, gr_text *x, int d, int64_t *index)
{
    const gr_tensor *t = l->t;
    char one[64];
    if (d == t->ndim) {
        double v = element(t, index);
        if (l->measure) {
            double a = fabs(v);
            if (isfinite(v) && v != floor(v)) l->whole = false;
            if (isfinite(v) && a > l->largest) l->largest = a;
            if (isfinite(v) && a > 0 && a < l->smallest) l->smallest = a;
            return;
        }
        int n = number(l, one, sizeof one, v);
        if (x) gr__put(x, "%*s", l->width, one);
        else if (n > l->width) l->width = n;
        return;
    }
    int64_t n = t->dims[d];
    bool cut = t->numel > SUMMARY && n > 2 * EDGE;
    if (x) gr__put(x, "[");
    for (int64_t i = 0; i < n; i++) {
        if (cut && i == EDGE) {
            i = n - EDGE;
            if (x && d == t->ndim - 1) gr__put(x, ", ...");
            else if (x) gr__put(x, ",\n%*s...", d + 1, "");
        }
        if (x && i && d == t->ndim - 1) gr__put(x, ", ");
        else if (x && i) gr__put(x, ",%.*s%*s", t->ndim - 1 - d > 1 ? 2 : 1, "\n\n", d + 1, "");
        index[d] = i;
        walk(l, x, d + 1, index);
    }
    if (x) gr__put(x, "]");
}

int gr_format(const gr_tensor *t, char *out, size_t size)
{
    gr_text x = { out, size, 0 };
    if (size) out[0] = '\0';
    if (!t || t->ctx->code != GR_OK) {
        gr__put(&x, "(no tensor)");
        return (int)x.at;
    }
    int64_t index[GR_MAX_RANK] = { 0 };
    layout l = { .t = t, .whole = true, .measure = true, .smallest = INFINITY };
    char dims[200];
    gr__format_dims(dims, sizeof dims, t->ndim, t->dims);
    if (t->name) gr__put(&x, "%s ", t->name);
    gr__put(&x, "%s %s", dims, gr_dtype_name((gr_type)t->dtype));
    if (t->op) gr__put(&x, " = %s", t->op->name);
    else if (t->flags & GR_T_REQUIRES_GRAD) gr__put(&x, " requires_grad");
    gr__put(&x, "\n");
    walk(&l, NULL, 0, index);
    l.measure = false;
    l.scientific = l.largest >= 1e8 || (l.largest > 0 && (l.largest < 1e-3 || (!l.whole && l.smallest < 1e-4 && l.largest / l.smallest > 1e5)));
    if (l.largest >= 1e8) l.whole = false;
    walk(&l, NULL, 0, index);
    walk(&l, &x, 0, index);
    gr__put(&x, "\n");
    return (int)x.at;
}

void gr_fprint(FILE *f, const gr_tensor *t)
{
    char small[4096];
    int need = gr_format(t, small, sizeof small);
    if (need < (int)sizeof small || !t) {
        fputs(small, f);
        return;
    }
    gr_block *b = gr__block_new(t->ctx, (size_t)need + 1);
    if (!b) return;
    gr_format(t, gr__block_data(b), (size_t)need + 1);
    fputs(gr__block_data(b), f);
    gr__block_unref(t->ctx, b);
}

void gr_print(const gr_tensor *t) { gr_fprint(stdout, t); }

/* ---- JSON ------------------------------------------------------------------------------------------------------*/
/* Bytes of the UTF-8 character at s, 0 if it is none. */
static int character(const unsigned char *s)
{
    int n = *s < 0x80 ? 1 : *s >= 0xC2 && *s < 0xE0 ? 2 : *s >= 0xE0 && *s < 0xF0 ? 3 : *s >= 0xF0 && *s < 0xF5 ? 4 : 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    bool overlong = (n == 3 && s[0] == 0xE0 && s[1] < 0xA0) || (n == 4 && s[0] == 0xF0 && s[1] < 0x90);
    bool outside = (n == 3 && s[0] == 0xED && s[1] > 0x9F) || (n == 4 && s[0] == 0xF4 && s[1] > 0x8F); /* surrogates, > U+10FFFF */
    return overlong || outside ? 0 : n;
}

void gr__json_string(FILE *f, const char *s)
{
    fputc('"', f);
    for (const unsigned char *p = (const unsigned char *)s; *p;) {
        int n = character(p);
        if (n == 0) fputs("\\ufffd", f);
        else if (n == 1 && (*p < 32 || *p == 127 || *p == '<')) fprintf(f, "\\u%04x", *p);
        else if (*p == '"' || *p == '\\') fprintf(f, "\\%c", *p);
        else fprintf(f, "%.*s", n, (const char *)p);
        p += n ? n : 1;
    }
    fputc('"', f);
}
