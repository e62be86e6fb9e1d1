/* Walking several strided tensors of one shape as few long runs.
 * Knows no element type: it moves pointers.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"

typedef struct walk {
    int ndim;
    int64_t dim[GR_MAX_RANK], stride[GR_MAX_RANK][GR_MAX_OPERANDS];
} walk;

/* Drops dimensions of size 1; merges d into d + 1 where every operand steps through both as through one. */
static void plan(walk *w, int ndim, const int64_t *dim, int count, const gr_run_arg *a)
{
    w->ndim = 0;
    for (int d = 0; d < ndim; d++) {
        int64_t n = dim[d];
        if (n == 1) continue;
        bool merge = w->ndim > 0;
        int at = w->ndim - 1;
        for (int k = 0; k < count && merge; k++) merge = w->stride[at][k] == a[k].stride[d] * n;
        if (merge) w->dim[at] *= n;
        else w->dim[++at] = n, w->ndim++;
        for (int k = 0; k < count; k++) w->stride[at][k] = a[k].stride[d];
    }
    if (w->ndim > 0) return;
    w->ndim = 1;
    w->dim[0] = 1;
    for (int k = 0; k < count; k++) w->stride[0][k] = 1;
}

void gr__strided_args(int ndim, const int64_t *dim, int count, const gr_run_arg *a, gr_strided_fn *fn, void *user)
{
    char *p[GR_MAX_OPERANDS];
    for (int d = 0; d < ndim; d++)
        if (dim[d] == 0) return;
    walk w;
    plan(&w, ndim, dim, count, a);
    for (int k = 0; k < count; k++) p[k] = a[k].data;
    int64_t index[GR_MAX_RANK] = { 0 };
    const int last = w.ndim - 1;
    for (;;) {
        fn(w.dim[last], p, w.stride[last], user);
        int d = last - 1;
        for (; d >= 0; d--) {
            for (int k = 0; k < count; k++) p[k] += w.stride[d][k] * a[k].size;
            if (++index[d] < w.dim[d]) break;
            for (int k = 0; k < count; k++) p[k] -= w.stride[d][k] * a[k].size * w.dim[d];
            index[d] = 0;
        }
        if (d < 0) return;
    }
}

void gr__strided(int count, const gr_tensor *const *t, gr_strided_fn *fn, void *user)
{
    static const int64_t one[GR_MAX_OPERANDS] = { 1, 1, 1, 1, 1, 1, 1, 1 };
    char *p[GR_MAX_OPERANDS];
    bool dense = true;
    for (int k = 0; k < count; k++) {
        p[k] = t[k]->data;
        dense = dense && (t[k]->flags & GR_T_CONTIGUOUS);
    }
    if (t[0]->numel == 0) return;
    if (dense) {
        fn(t[0]->numel, p, one, user);
        return;
    }
    gr_run_arg a[GR_MAX_OPERANDS];
    for (int k = 0; k < count; k++) a[k] = gr__run_arg(t[k]);
    gr__strided_args(t[0]->ndim, t[0]->dims, count, a, fn, user);
}
