/* Initialisers: first values of parameters, from the context's random stream.
 * Knows no module: each takes one tensor.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"
#include "nn/nn.h"

#include <math.h>

/* ---- fans ------------------------------------------------------------------------------------------------------*/
static int64_t fan(const gr_tensor *t, bool out)
{
    if (!gr__ready(t)) return -1;
    if (t->ndim < 2) {
        char text[256];
        gr__format_tensor_ref(text, sizeof text, t);
        gr_fail(t->ctx, GR_ESHAPE, "gr_fan_%s(%s): fans need two dimensions or more, inputs and outputs. Fix: initialise a bias with gr_init_zeros or gr_init_uniform",
                out ? "out" : "in", text);
        return -1;
    }
    if (t->ndim == 2) return t->dims[out];
    int64_t taps = 1;
    for (int d = 2; d < t->ndim; d++) taps *= t->dims[d];
    return taps * t->dims[!out];
}

int64_t gr_fan_in(const gr_tensor *t) { return fan(t, false); }
int64_t gr_fan_out(const gr_tensor *t) { return fan(t, true); }

/* ---- numbers ---------------------------------------------------------------------------------------------------*/
static bool is_float(gr_tensor *t, const char *who)
{
    if (!gr__ready(t)) return false;
    if (gr_is_float(t)) return true;
    gr_fail(t->ctx, GR_EDTYPE, "%s: the tensor is %s. Fix: initialise an f32 or f64 tensor", who, gr_dtype_name((gr_type)t->dtype));
    return false;
}

/* t = offset + scale r */
static gr_tensor *write(gr_tensor *t, const char *who, bool normal, double offset, double scale)
{
    if (!is_float(t, who)) return NULL;
    if (!isfinite(offset) || !isfinite(scale)) {
        gr_fail(t->ctx, GR_EVALUE, "%s: the bounds are not finite. Fix: pass finite numbers", who);
        return NULL;
    }
    GR_SCOPE(t->ctx);
    GR_NO_GRAD(t->ctx);
    gr_tensor *r = normal ? gr_randn(t->ctx, gr_dims_like(t), .dtype = (gr_type)t->dtype) : gr_rand(t->ctx, gr_dims_like(t), .dtype = (gr_type)t->dtype);
    gr_tensor *v = gr_add(gr_mul(r, scale), offset);
    return v && gr_copy_to(t, v) && gr_touch(t, who) ? t : NULL;
}

gr_tensor *gr_init_uniform(gr_tensor *t, double low, double high) { return write(t, "gr_init_uniform", false, low, high - low); }
gr_tensor *gr_init_normal(gr_tensor *t, double mean, double std) { return write(t, "gr_init_normal", true, mean, std); }

gr_tensor *gr_init_constant(gr_tensor *t, double value)
{
    return is_float(t, "gr_init_constant") && gr_fill(t, value) ? t : NULL;
}
gr_tensor *gr_init_zeros(gr_tensor *t) { return gr_init_constant(t, 0); }
gr_tensor *gr_init_ones(gr_tensor *t) { return gr_init_constant(t, 1); }

/* ---- by the fans: variance numerator / fans -----------------------------------------------------------------------*/
static gr_tensor *scaled(gr_tensor *t, const char *who, bool normal, double numerator, bool both)
{
    int64_t in = gr_fan_in(t), fans = both ? in + gr_fan_out(t) : in;
    if (in < 0) return NULL;
    double std = fans ? sqrt(numerator / (double)fans) : 0, bound = sqrt(3) * std; /* U(-b, b) has variance b^2 / 3 */
    return normal ? write(t, who, true, 0, std) : write(t, who, false, -bound, 2 * bound);
}

gr_tensor *gr_init_fan_in_uniform(gr_tensor *t) { return scaled(t, "gr_init_fan_in_uniform", false, 1.0 / 3, false); }
gr_tensor *gr_init_xavier_uniform(gr_tensor *t) { return scaled(t, "gr_init_xavier_uniform", false, 2, true); }
gr_tensor *gr_init_xavier_normal(gr_tensor *t) { return scaled(t, "gr_init_xavier_normal", true, 2, true); }
gr_tensor *gr_init_he_uniform(gr_tensor *t) { return scaled(t, "gr_init_he_uniform", false, 2, false); }
gr_tensor *gr_init_he_normal(gr_tensor *t) { return scaled(t, "gr_init_he_normal", true, 2, false); }
