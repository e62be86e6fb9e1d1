/* Losses of classes: cross-entropy from logits, negative log-likelihood from log-probabilities.
 * Knows no module. The fused operation takes plain rows; weights, smoothing and ignored rows are composed around it.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"
#include "nn/loss.h"
#include "nn/nn.h"

#include <string.h>

/* Targets of one call: class numbers with the ignored ones replaced by 0, and which of them count. */
typedef struct labels {
    gr_tensor *t;
    gr_tensor *keep; /* bool; NULL: every row counts */
} labels;

static bool any_equals(const gr_tensor *t, int64_t v)
{
    if (!gr_is_contiguous(t)) return true; /* not known: take the general way */
    const int64_t *p = gr_data(t);
    for (int64_t i = 0; i < t->numel; i++)
        if (p[i] == v) return true;
    return false;
}

static labels without_ignored(gr_tensor *t, const gr_class_loss_opts *o)
{
    int64_t ignore = o->ignore_zero ? 0 : o->ignore_index ? o->ignore_index : -100;
    if (!any_equals(t, ignore)) return (labels){ t, NULL };
    gr_tensor *keep = gr_ne(t, (double)ignore);
    return (labels){ gr_where(keep, t, 0), keep };
}

/* The weight of each row's class, in the shape of t. */
static gr_tensor *row_weights(gr_tensor *weight, gr_tensor *t)
{
    return t ? gr_reshape(gr_gather(weight, 0, gr_reshape(t, GR_SHAPE(-1))), gr_dims_like(t)) : NULL;
}

/* rows, 0 where ignored, reduced; the mean divides by the weights of the rows that count. */
static gr_tensor *reduce_rows(const char *who, gr_tensor *rows, gr_tensor *weights, const labels *l, gr_reduction reduction)
{
    if (!rows) return NULL;
    if (l->keep) rows = gr_where(l->keep, rows, 0);
    if (reduction != GR_MEAN || (!weights && !l->keep)) return gr__reduce_loss(who, rows, reduction);
    if (!weights) weights = gr_number(rows->ctx, gr_dims_like(rows), (gr_type)rows->dtype, 1);
    if (l->keep) weights = gr_where(l->keep, weights, 0);
    return gr_div(gr_sum(rows, .keepdim = false), gr_sum(weights, .keepdim = false));
}

static bool check(const char *who, const gr_tensor *x, const gr_class_loss_opts *o)
{
    int64_t classes = x->ndim ? x->dims[x->ndim > 1] : 0;
    bool one_each = !o->weight || (o->weight->ndim == 1 && o->weight->dims[0] == classes);
    bool share = o->label_smoothing >= 0 && o->label_smoothing <= 1;
    if (one_each && share) return true;
    char text[256], logits[256];
    gr__format_tensor_ref(text, sizeof text, o->weight);
    gr__format_tensor_ref(logits, sizeof logits, x);
    if (!one_each)
        gr_fail(x->ctx, GR_ESHAPE, "%s(%s): the weight is %s, not [%lld]. Fix: give one weight for each class", who, logits, text, (long long)classes);
    if (!share)
        gr_fail(x->ctx, GR_EVALUE, "%s(%s): label_smoothing is %g. Fix: give a number in [0, 1]", who, logits, o->label_smoothing);
    return false;
}

/* minus the mean over classes of the log-probabilities, each times its weight, for each row */
static gr_tensor *smooth_rows(gr_tensor *x, gr_tensor *w)
{
    int dim = x->ndim > 1;
    gr_tensor *p = gr_log_softmax(x, dim);
    return gr_neg(gr_mean(w ? gr_mul(p, w) : p, .dims = GR_DIMS(dim)));
}

/* w as a factor beside x: [classes] as [1, classes, 1, ...] */
static gr_tensor *beside(gr_tensor *w, const gr_tensor *x)
{
    if (!w || x->ndim < 2) return w;
    gr_dims s = { .n = x->ndim };
    for (int d = 0; d < s.n; d++) s.v[d] = d == 1 ? x->dims[1] : 1;
    return gr_reshape(w, s);
}

static gr_tensor *of_probabilities(gr_tensor *x, gr_tensor *t, const gr_class_loss_opts *o, gr_tensor *w)
{
    double s = o->label_smoothing, k = (double)x->dims[x->ndim > 1];
    t = gr_astype(t, (gr_type)x->dtype);
    if (s > 0) t = gr_add(gr_mul(t, 1 - s), s / k);
    if (w) t = gr_mul(t, beside(w, x));
    return gr__reduce_loss("gr_cross_entropy", gr_cross_entropy_rows(x, t), o->reduction);
}

gr_tensor *gr_cross_entropy_with(gr_tensor *x, gr_tensor *t, gr_class_loss_opts o)
{
    static const char who[] = "gr_cross_entropy";
    if (!gr__loss_shapes(who, x, t, true) || !check(who, x, &o)) return NULL;
    if (!gr_is_float(x)) x = gr_astype(x, x->ctx->dtype);
    gr_tensor *w = o.weight && x ? gr_astype(o.weight, (gr_type)x->dtype) : NULL;
    if (!x || (o.weight && !w)) return NULL;
    if (gr_is_float(t) && t->ndim == x->ndim && x->ndim) return of_probabilities(x, t, &o, w);
    if (t->dtype != GR_I64) return gr_cross_entropy_rows(x, t); /* which says what it needs */
    labels l = without_ignored(t, &o);
    gr_tensor *rows = gr_cross_entropy_rows(x, l.t);
    if (!rows) return NULL;
    gr_tensor *weights = w ? row_weights(w, l.t) : NULL;
    if (w) rows = gr_mul(rows, weights);
    double s = o.label_smoothing;
    if (s > 0) rows = gr_add(gr_mul(rows, 1 - s), gr_mul(smooth_rows(x, w ? beside(w, x) : NULL), s));
    return reduce_rows(who, rows, weights, &l, o.reduction);
}

/* ---- from log-probabilities ------------------------------------------------------------------------------------*/
static bool nll_shapes(gr_tensor *x, gr_tensor *t)
{
    int dim = x->ndim > 1;
    bool fits = x->ndim > 0 && t->ndim == x->ndim - 1 && t->dtype == GR_I64 && gr_is_float(x);
    for (int d = 0; fits && d < t->ndim; d++) fits = t->dims[d] == x->dims[d < dim ? d : d + 1];
    if (fits) return true;
    char a[256], b[256];
    gr__format_tensor_ref(a, sizeof a, x);
    gr__format_tensor_ref(b, sizeof b, t);
    gr_fail(x->ctx, GR_ESHAPE, "gr_nll_loss(%s, %s): the target does not fit. Fix: give log-probabilities and, for each row, an i64 class number", a, b);
    return false;
}

gr_tensor *gr_nll_loss_with(gr_tensor *x, gr_tensor *t, gr_class_loss_opts o)
{
    static const char who[] = "gr_nll_loss";
    if (!gr__loss_shapes(who, x, t, true) || !check(who, x, &o) || !nll_shapes(x, t)) return NULL;
    if (o.label_smoothing > 0) {
        gr_fail(x->ctx, GR_EVALUE, "gr_nll_loss: label_smoothing needs logits. Fix: call gr_cross_entropy");
        return NULL;
    }
    labels l = without_ignored(t, &o);
    int dim = x->ndim > 1;
    gr_tensor *rows = l.t ? gr_neg(gr_squeeze(gr_gather(x, dim, gr_unsqueeze(l.t, dim)), dim)) : NULL;
    gr_tensor *weights = rows && o.weight ? row_weights(gr_astype(o.weight, (gr_type)x->dtype), l.t) : NULL;
    if (!rows || (o.weight && !weights)) return NULL;
    return reduce_rows(who, weights ? gr_mul(rows, weights) : rows, weights, &l, o.reduction);
}
