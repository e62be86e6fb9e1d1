/* Selection and conversion: where and astype, the element-wise operations whose inputs differ in dtype.
 * SPDX-License-Identifier: MIT */
#include "ops/record.h"

#include <math.h>

#undef gr_where

/* ---- where ---------------------------------------------------------------------------------------------------------------*/
static bool where_shape(gr_call *k)
{
    const gr_tensor *c = k->in[0], *a = k->in[1], *b = k->in[2];
    if (c->dtype != GR_BOOL)
        return gr_reject(k, GR_EDTYPE, "compare first, as in gr_where(gr_gt(x, 0), a, b)", "the condition is %s, not bool", gr_dtype_name((gr_type)c->dtype));
    if (a->dtype != b->dtype || !gr__same_shape(c, a) || !gr__same_shape(a, b))
        return gr_reject(k, GR_ESHAPE, "call gr_where, which broadcasts and converts", "the inputs differ in shape or dtype");
    k->dtype = (gr_type)a->dtype;
    k->ndim = a->ndim;
    for (int d = 0; d < a->ndim; d++) k->dim[d] = a->dims[d];
    return true;
}

static bool where_forward(const gr_call *k, gr_tensor *y)
{
    return gr__run_kernel(GR_EW_where, k->dtype, 4, (gr_tensor *[]){ y, k->in[0], k->in[1], k->in[2] });
}

static gr_tensor *where_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    gr_operand zero = gr_operand_number(0), g = gr_operand_tensor(dy);
    return i == 1 ? gr_where_any(y->in[0], g, zero) : gr_where_any(y->in[0], zero, g);
}

static gr_tensor *where_branch(const gr_call *k, gr_tensor *y) { return (void)y, k->in[0]; }

static double where_reference(const double *x) { return x[0] != 0 ? x[1] : x[2]; }

gr_tensor *gr_where(gr_tensor *c, gr_tensor *a, gr_tensor *b)
{
    gr_tensor *in[] = { c, a, b };
    bool ready = gr__usable(c) && a && b && a->ctx == c->ctx && b->ctx == c->ctx;
    if (ready && !(c->dtype == GR_BOOL && a->dtype == b->dtype && gr__same_shape(c, a) && gr__same_shape(a, b))) {
        gr_type type = a->dtype > b->dtype ? (gr_type)a->dtype : (gr_type)b->dtype;
        gr_dims shape;
        if (!gr__broadcast_shape(&gr_op_where, in, 3, &shape)) return NULL;
        for (int i = 0; i < 3; i++) in[i] = gr_broadcast_to(i ? gr_astype(in[i], type) : in[i], shape);
    }
    return gr_apply(&gr_op_where, in, 3, NULL);
}

static gr_tensor *number_beside(gr_tensor *c, gr_operand o, const gr_operand *other)
{
    if (!gr_operand_is_number(o)) return o.t;
    gr_type type = gr_operand_is_number(*other) ? gr__float_type(c->ctx) : gr_dtype(other->t);
    if (type < GR_F32 && o.v != floor(o.v)) type = gr__float_type(c->ctx);
    if (type == GR_BOOL && o.v != 0 && o.v != 1) type = GR_I64;
    return gr_number(c->ctx, gr_operand_is_number(*other) ? gr__dims_of_tensor(c) : gr__dims_of_tensor(other->t), type, o.v);
}

gr_tensor *gr_where_any(gr_tensor *c, gr_operand a, gr_operand b)
{
    if (!gr__usable(c) || !a.t || !b.t) return gr_where(c, gr_operand_is_number(a) ? NULL : a.t, gr_operand_is_number(b) ? NULL : b.t);
    return gr_where(c, number_beside(c, a, &b), number_beside(c, b, &a));
}

gr_tensor *gr_masked_fill(gr_tensor *x, gr_tensor *mask, double value)
{
    return gr_where_any(mask, gr_operand_number(value), gr_operand_tensor(x));
}

static gr_tensor *where_call(gr_tensor **x) { return gr_where(x[0], x[1], x[2]); }
static gr_tensor *where_zero(gr_tensor **x) { return gr_where_any(x[0], gr_operand_tensor(x[1]), gr_operand_number(0)); }
static gr_tensor *where_filled(gr_tensor **x) { return gr_masked_fill(x[0], x[1], -3); }
static const gr_sample where_samples[] = {
    { "bool [2, 3]; [2, 3]; [2, 3]", where_call }, { "bool []; []; []", where_call },
    { "bool [3]; [2, 1]; [1, 3]", where_call },    { "bool [2, 1]; [2, 3]", where_zero },
    { "bool [0]; [0]; []", where_call },           { "bool [2, 2]; [2]; [2, 2, 2]", where_call },
    { "[2, 3]; bool [3]", where_filled },
    { NULL, NULL } };
static const gr_bad_call where_bad[] = {
    { "[2]; [2]; [2]", where_call, GR_EDTYPE,
      "where([2], [2], [2]): the condition is f64, not bool. Fix: compare first, as in gr_where(gr_gt(x, 0), a, b)" },
    { "bool [2]; [2]; [3]", where_call, GR_ESHAPE,
      "where(bool [2], [2], [3]): sizes 2 and 3 at dimension -1 do not broadcast. Fix: make these sizes equal, or one of them 1" },
    { NULL, NULL, GR_OK, NULL } };

const gr_op gr_op_where = { .name = "where", .formula = "y = where(c, a, b)", .gradient = "da = where(c, dy, 0); db = where(c, 0, dy)",
                            .arity = 3, .flags = GR_OP_KERNEL | GR_OP_ELEMENTWISE, .shape = where_shape, .forward = where_forward,
                            .vjp = where_vjp, .branch = where_branch, .reference = where_reference, .samples = where_samples, .bad = where_bad };

/* ---- astype --------------------------------------------------------------------------------------------------------------*/
typedef struct astype_attr {
    gr_type type;
} astype_attr;

static bool astype_shape(gr_call *k)
{
    k->dtype = ((const astype_attr *)k->attr)->type;
    if (k->dtype < GR_BOOL || k->dtype > GR_F64)
        return gr_reject(k, GR_EDTYPE, "use GR_BOOL, GR_I64, GR_F32 or GR_F64", "%d is no dtype", (int)k->dtype);
    k->ndim = k->in[0]->ndim;
    for (int d = 0; d < k->ndim; d++) k->dim[d] = k->in[0]->dims[d];
    return true;
}

static bool astype_forward(const gr_call *k, gr_tensor *y)
{
    return gr__run_elementwise(gr__kernels()->convert[gr__kt(k->in[0])][gr__kt(y)], 1, 2, (gr_tensor *[]){ y, k->in[0] });
}

static gr_tensor *astype_vjp(gr_tensor *y, gr_tensor *dy, int i) { return gr_astype(dy, (gr_type)y->in[i]->dtype); }

static void astype_describe(const void *attr, char *out, size_t size)
{
    snprintf(out, size, "%s", gr_dtype_name(((const astype_attr *)attr)->type));
}

static double astype_reference(const double *x) { return (double)(float)x[0]; }

gr_tensor *gr_astype(gr_tensor *x, gr_type dtype)
{
    if (!gr__usable(x) || x->dtype == dtype) return gr__usable(x) ? x : NULL;
    if ((x->flags & GR_T_NUMBER) && dtype >= GR_F32 && x->numel) /* a number stays one */
        return gr_number(x->ctx, gr__dims_of_tensor(x), dtype,
                         x->dtype == GR_I64 ? (double)*(int64_t *)(void *)x->data : x->dtype == GR_F32 ? (double)*(float *)(void *)x->data : *(double *)(void *)x->data);
    return gr__apply1(&gr_op_astype, x, &(astype_attr){ dtype });
}

static gr_tensor *to_f32(gr_tensor **x) { return gr_astype(x[0], GR_F32); }
static gr_tensor *to_7(gr_tensor **x) { return gr_astype(x[0], (gr_type)7); }
/* small binary fractions, so that f32 holds them exactly and the derivative is exactly 1 */
static const gr_sample astype_samples[] = { { "exact [2, 3]", to_f32 }, { "exact []", to_f32 }, { "exact [0]", to_f32 },
                                            { "exact [4]", to_f32 },    { "exact [1, 2, 3, 2]", to_f32 }, { "exact [1]", to_f32 }, { NULL, NULL } };
static const gr_bad_call astype_bad[] = { { "[2]", to_7, GR_EDTYPE, "astype([2]): 7 is no dtype. Fix: use GR_BOOL, GR_I64, GR_F32 or GR_F64" },
                                          { NULL, NULL, GR_OK, NULL } };

const gr_op gr_op_astype = { .name = "astype", .formula = "y = x", .gradient = "dx = dy", .arity = 1,
                             .flags = GR_OP_KERNEL | GR_OP_ELEMENTWISE | GR_OP_LINEAR, .attr_size = sizeof(astype_attr), .shape = astype_shape,
                             .forward = astype_forward, .vjp = astype_vjp, .describe = astype_describe, .reference = astype_reference,
                             .samples = astype_samples, .bad = astype_bad };
