/* A context's life, its errors, and whether it records.
 * SPDX-License-Identifier: MIT */
#ifdef __linux__
#define _DEFAULT_SOURCE /* madvise */
#include <sys/mman.h>
#endif
#include "core/tensor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* What is at least as large asks for pages of this size, as many as it fills: a product of large matrices visits more pages of 4 KiB than
 * the processor remembers where they are, and on a virtual machine each is looked up twice. */
#define LARGE_PAGE ((size_t)1 << 21)

static void *default_alloc(void *user, size_t bytes)
{
    const size_t unit = bytes < LARGE_PAGE ? 64 : LARGE_PAGE;
    (void)user;
    if (bytes > SIZE_MAX - LARGE_PAGE) return NULL;
    void *p = aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
#ifdef MADV_HUGEPAGE
    if (p && unit == LARGE_PAGE) (void)madvise(p, bytes / unit * unit, MADV_HUGEPAGE); /* without it all is as before, but slower */
#endif
    return p;
}

static void default_release(void *user, void *p, size_t bytes)
{
    (void)user, (void)bytes;
    free(p);
}

static const gr_allocator default_allocator = { default_alloc, default_release, NULL };

gr_ctx *gr_ctx_new(const gr_ctx_opts *opts)
{
    const gr_ctx_opts o = opts ? *opts : (gr_ctx_opts){ .dtype = GR_F32 };
    const gr_allocator a = o.allocator ? *o.allocator : default_allocator;
    gr_ctx *c = a.alloc(a.user, sizeof *c);
    if (!c) return NULL;
    *c = (gr_ctx){ .allocator = a, .dtype = o.dtype >= GR_BOOL && o.dtype <= GR_F64 ? o.dtype : GR_F32, .max_bytes = o.max_bytes, .seed = o.seed };
    gr__threads_init(c);
    c->defer_from = gr__defer_default();
    c->stats = (gr_stats){ .allocations = 1, .bytes_now = sizeof *c, .bytes_peak = sizeof *c };
    if (!gr_scope_begin(c)) {
        gr_ctx_free(c);
        return NULL;
    }
    return c;
}

void gr_ctx_free(gr_ctx *c)
{
    if (!c) return;
    gr__threads_free(c);
    gr__memory_free(c);
    c->allocator.release(c->allocator.user, c, sizeof *c);
}

gr_stats gr_ctx_stats(const gr_ctx *c) { return c ? c->stats : (gr_stats){ 0 }; }

void gr_seed(gr_ctx *c, uint64_t seed)
{
    if (!c) return;
    c->seed = seed;
    c->drawn = 0;
}

/* ---- errors ----------------------------------------------------------------------------------------------------*/
bool gr_failed(const gr_ctx *c) { return !c || c->code != GR_OK; }
gr_code gr_status(const gr_ctx *c) { return c ? c->code : GR_ENOMEM; }
const char *gr_message(const gr_ctx *c) { return c ? c->message : "no context: gr_ctx_new found no memory"; }

void gr_clear_error(gr_ctx *c)
{
    if (!c) return;
    c->code = GR_OK;
    c->message[0] = '\0';
}

const char *gr_code_name(gr_code code)
{
    static const char *const name[] = { "GR_OK", "GR_ENOMEM", "GR_ESHAPE", "GR_EDTYPE", "GR_EINDEX", "GR_EVALUE",
                                        "GR_EGRAPH", "GR_EFORMAT", "GR_EIO" };
    return (unsigned)code < sizeof name / sizeof *name ? name[code] : "unknown code";
}

void gr_fail(gr_ctx *c, gr_code code, const char *fmt, ...)
{
    if (!c || c->code != GR_OK) return; /* the first error wins: the rest follow from it */
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->message, sizeof c->message, fmt, args);
    va_end(args);
    c->code = code;
}

bool gr_reject(const gr_call *k, gr_code code, const char *fix, const char *why, ...)
{
    char list[1024] = "", reason[512];
    size_t at = 0;
    for (int i = 0; i < k->n && at < sizeof list - 64; i++) {
        if (i == 6 && k->n > 8) {
            at += (size_t)snprintf(list + at, sizeof list - at, ", ... %d in all", k->n);
            break;
        }
        if (i) at += (size_t)snprintf(list + at, sizeof list - at, ", ");
        at += (size_t)gr__format_tensor_ref(list + at, sizeof list - at, k->in[i]);
    }
    va_list args;
    va_start(args, why);
    vsnprintf(reason, sizeof reason, why, args);
    va_end(args);
    gr_fail(k->ctx, code, "%s(%s): %s. Fix: %s", k->op->name, list, reason, fix);
    return false;
}

/* ---- recording -------------------------------------------------------------------------------------------------*/
gr_ctx *gr_no_grad_begin(gr_ctx *c)
{
    if (c) c->no_grad++;
    return c;
}

void gr_no_grad_end(gr_ctx *c)
{
    if (c && c->no_grad > 0) c->no_grad--;
}
