/* Derivatives of functions of tensors: products with the Jacobian and the Hessian, and both in full.
 * Each is one or two sweeps; knows no operation.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"

#include <string.h>

/* ---- products ----------------------------------------------------------------------------------------------------------------*/
gr_tensor *gr_vjp(gr_tensor *y, gr_tensor *x, gr_tensor *v)
{
    gr_tensor *g = NULL;
    return gr_grads(y, &x, 1, &g, .grad = v, .retain_graph = true, .zero_unused = true) ? g : NULL;
}

gr_tensor *gr_jvp(gr_tensor *y, gr_tensor *x, gr_tensor *u)
{
    if (!gr__ready(y) || !gr__ready(x)) return NULL;
    /* v^T J is linear in v: its derivative by v, contracted with u, is J u */
    gr_tensor *v = gr_requires_grad(gr_zeros_like(y)), *g = NULL, *r = NULL;
    if (!v || !gr_grads(y, &x, 1, &g, .grad = v, .create_graph = true, .zero_unused = true)) return NULL;
    if (!gr_needs_grad(g)) return gr_zeros_like(y);
    return gr_grads(g, &v, 1, &r, .grad = u, .retain_graph = true, .zero_unused = true) ? r : NULL;
}

gr_tensor *gr_hvp(gr_tensor *y, gr_tensor *x, gr_tensor *v)
{
    gr_tensor *g = NULL, *r = NULL;
    if (!gr_grads(y, &x, 1, &g, .create_graph = true, .zero_unused = true)) return NULL;
    if (!gr_needs_grad(g)) return gr_zeros_like(x);
    return gr_grads(g, &x, 1, &r, .grad = v, .retain_graph = true, .zero_unused = true) ? r : NULL;
}

/* ---- in full -----------------------------------------------------------------------------------------------------------------*/
static void set_one(gr_tensor *t, int64_t i, bool on)
{
    if (t->dtype == GR_F32) ((float *)(void *)t->data)[i] = on;
    else ((double *)(void *)t->data)[i] = on;
}

gr_tensor *gr_jacobian(gr_tensor *y, gr_tensor *x)
{
    if (!gr__ready(y) || !gr__ready(x)) return NULL;
    gr_dims s = gr_dims_like(y);
    s.n += x->ndim;
    for (int d = 0; d < x->ndim && y->ndim + d < GR_MAX_RANK; d++) s.v[y->ndim + d] = x->dims[d];
    gr_tensor *jacobian = gr_zeros(y->ctx, s, .dtype = (gr_type)x->dtype), *one = gr_zeros_like(y);
    if (!jacobian || !one) return NULL;
    size_t row = (size_t)x->numel * gr__type_size((gr_type)x->dtype);
    for (int64_t i = 0; i < y->numel && gr_needs_grad(y); i++) {
        GR_SCOPE(y->ctx);
        set_one(one, i, true);
        gr_tensor *g = gr_vjp(y, x, one);
        if (!g) return NULL;
        gr_tensor *dense = gr_zeros_like(x); /* g may have any layout */
        if (!dense || !gr_copy_to(dense, g)) return NULL;
        if (row) memcpy(jacobian->data + (size_t)i * row, dense->data, row);
        set_one(one, i, false);
    }
    return jacobian;
}

gr_tensor *gr_hessian(gr_tensor *y, gr_tensor *x)
{
    gr_tensor *g = NULL;
    if (!gr_grads(y, &x, 1, &g, .create_graph = true, .zero_unused = true)) return NULL;
    return gr_jacobian(g, x);
}
