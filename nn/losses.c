/* Losses of numbers and of probabilities of one event: how far p is from t, element by element, then reduced.
 * Knows no module. Losses of classes are in class_losses.c.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"
#include "nn/loss.h"
#include "nn/nn.h"

#include <math.h>
#include <string.h>

/* ---- what losses share -----------------------------------------------------------------------------------------*/
gr_tensor *gr__reduce_loss(const char *who, gr_tensor *y, gr_reduction reduction)
{
    if (!y) return NULL;
    if (reduction == GR_MEAN) return gr_mean(y, .keepdim = false);
    if (reduction == GR_SUM) return gr_sum(y, .keepdim = false);
    if (reduction == GR_NONE) return y;
    gr_fail(gr_ctx_of(y), GR_EVALUE, "%s: %d is no reduction. Fix: use GR_MEAN, GR_SUM or GR_NONE", who, (int)reduction);
    return NULL;
}

/* The shape that a and b broadcast to; false when they do not. */
static bool broadcast(const gr_tensor *a, const gr_tensor *b, gr_dims *s)
{
    *s = (gr_dims){ .n = a->ndim > b->ndim ? a->ndim : b->ndim };
    for (int d = 1; d <= s->n; d++) {
        int64_t x = d <= a->ndim ? a->dims[a->ndim - d] : 1, y = d <= b->ndim ? b->dims[b->ndim - d] : 1;
        if (x != y && x != 1 && y != 1) return false;
        s->v[s->n - d] = x == 1 ? y : x;
    }
    return true;
}

bool gr__loss_shapes(const char *who, gr_tensor *p, gr_tensor *t, bool allow_broadcast)
{
    gr_tensor *any = p ? p : t;
    if (!any || gr_failed(any->ctx)) return false;
    if (p && t && (allow_broadcast || gr__same_shape(p, t))) return true;
    gr_dims s;
    char a[256], b[256], c[256];
    gr__format_tensor_ref(a, sizeof a, p);
    gr__format_tensor_ref(b, sizeof b, t);
    if (!p || !t) {
        gr_fail(any->ctx, GR_EVALUE, "%s(%s, %s): the %s is NULL. Fix: pass a tensor", who, a, b, p ? "target" : "prediction");
        return false;
    }
    if (!broadcast(p, t, &s)) {
        gr_fail(p->ctx, GR_ESHAPE, "%s(%s, %s): the shapes of prediction and target differ. Fix: give one target for each prediction", who, a, b);
        return false;
    }
    gr__format_dims(c, sizeof c, s.n, s.v);
    gr_fail(p->ctx, GR_ESHAPE, "%s(%s, %s): the shapes of prediction and target differ, and would broadcast to %s. "
            "Fix: gr_reshape one to the shape of the other, or pass .allow_broadcast = true", who, a, b, c);
    return false;
}

/* ---- differences -----------------------------------------------------------------------------------------------*/
gr_tensor *gr_mse_loss_with(gr_tensor *p, gr_tensor *t, gr_loss_opts o)
{
    if (!gr__loss_shapes("gr_mse_loss", p, t, o.allow_broadcast)) return NULL;
    return gr__reduce_loss("gr_mse_loss", gr_square(gr_sub(p, t)), o.reduction);
}

gr_tensor *gr_l1_loss_with(gr_tensor *p, gr_tensor *t, gr_loss_opts o)
{
    if (!gr__loss_shapes("gr_l1_loss", p, t, o.allow_broadcast)) return NULL;
    return gr__reduce_loss("gr_l1_loss", gr_abs(gr_sub(p, t)), o.reduction);
}

gr_tensor *gr_huber_loss_with(gr_tensor *p, gr_tensor *t, gr_huber_opts o)
{
    if (!gr__loss_shapes("gr_huber_loss", p, t, o.allow_broadcast)) return NULL;
    double delta = o.delta == 0 ? 1 : o.delta;
    if (!(delta > 0)) {
        gr_fail(p->ctx, GR_EVALUE, "gr_huber_loss: delta is %g. Fix: give a number above 0", delta);
        return NULL;
    }
    /* with k = clamp(e): k e - k^2 / 2 is both branches, and smooth at 0 */
    gr_tensor *e = gr_sub(p, t), *k = gr_clamp(e, -delta, delta);
    return gr__reduce_loss("gr_huber_loss", gr_mul(k, gr_sub(e, gr_mul(k, 0.5))), o.reduction);
}

/* ---- one event, from its logit ---------------------------------------------------------------------------------*/
gr_tensor *gr_bce_with_logits_loss_with(gr_tensor *x, gr_tensor *t, gr_bce_logits_opts o)
{
    static const char who[] = "gr_bce_with_logits_loss";
    if (!gr__loss_shapes(who, x, t, o.allow_broadcast)) return NULL;
    if (!o.pos_weight) return gr__reduce_loss(who, gr_bce_with_logits(x, t), o.reduction);
    gr_dims s;
    if (!broadcast(o.pos_weight, x, &s) || s.n != x->ndim || memcmp(s.v, x->dims, (size_t)s.n * sizeof *s.v) != 0) {
        char a[256], b[256];
        gr__format_tensor_ref(a, sizeof a, o.pos_weight);
        gr__format_tensor_ref(b, sizeof b, x);
        gr_fail(x->ctx, GR_ESHAPE, "%s: pos_weight %s does not broadcast to the logits %s. Fix: give one weight for each size of the last dimension", who, a, b);
        return NULL;
    }
    /* -log sigmoid(x) and -log(1 - sigmoid(x)) are the fused loss of the targets 1 and 0 */
    gr_type type = gr_is_float(x) ? (gr_type)x->dtype : x->ctx->dtype;
    gr_tensor *yes = gr_bce_with_logits(x, gr_number(x->ctx, gr_dims_like(x), type, 1));
    gr_tensor *no = gr_bce_with_logits(x, gr_number(x->ctx, gr_dims_like(x), type, 0));
    return gr__reduce_loss(who, gr_add(gr_mul(gr_mul(o.pos_weight, t), yes), gr_mul(gr_sub(1, t), no)), o.reduction);
}

/* ---- one event, from its probability --------------------------------------------------------------------------------*/
gr_tensor *gr_bce_loss_with(gr_tensor *p, gr_tensor *t, gr_loss_opts o)
{
    if (!gr__loss_shapes("gr_bce_loss", p, t, o.allow_broadcast)) return NULL;
    return gr__reduce_loss("gr_bce_loss", gr_bce(p, t), o.reduction);
}
