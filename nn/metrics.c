/* Metrics: how often predictions are right. For people to read; nothing here is recorded or differentiated.
 * Knows no module and no loss.
 * SPDX-License-Identifier: MIT */
#include "core/tensor.h"
#include "nn/nn.h"

#include <math.h>
#include <string.h>

static bool both_ready(const char *who, const gr_tensor *x, const gr_tensor *t)
{
    if (x && t) return gr__ready(x) && gr__ready(t);
    if (x || t) gr_fail((x ? x : t)->ctx, GR_EVALUE, "%s: the %s is NULL. Fix: pass a tensor", who, x ? "target" : "prediction");
    return false;
}

static void *refuse(const char *who, const gr_tensor *x, const gr_tensor *t, const char *why)
{
    char a[256], b[256];
    gr__format_tensor_ref(a, sizeof a, x);
    gr__format_tensor_ref(b, sizeof b, t);
    gr_fail(x->ctx, GR_ESHAPE, "%s(%s, %s): %s", who, a, b, why);
    return NULL;
}

/* The class of each row, i64 and contiguous: i64 as it is, floats by their largest element. */
static gr_tensor *classes_of(gr_tensor *x)
{
    return x->dtype == GR_I64 ? gr_contiguous(x) : gr_argmax(x, x->ndim > 1);
}

double gr_accuracy(gr_tensor *x, gr_tensor *t)
{
    if (!both_ready("gr_accuracy", x, t)) return (double)NAN;
    GR_SCOPE(x->ctx);
    GR_NO_GRAD(x->ctx);
    gr_tensor *p = classes_of(x), *truth = classes_of(t);
    if (p && truth && !gr__same_shape(p, truth))
        refuse("gr_accuracy", x, t, "the predicted classes and the target differ in shape. Fix: give logits [n, classes] and i64 targets [n]");
    gr_tensor *right = gr_failed(x->ctx) ? NULL : gr_mean(gr_astype(gr_eq(p, truth), GR_F64), .keepdim = false);
    return right ? gr_item(right) : (double)NAN;
}

double gr_binary_accuracy_with(gr_tensor *p, gr_tensor *t, gr_binary_opts o)
{
    if (!both_ready("gr_binary_accuracy", p, t)) return (double)NAN;
    if (!gr__same_shape(p, t)) {
        refuse("gr_binary_accuracy", p, t, "the shapes differ. Fix: gr_reshape one to the shape of the other");
        return (double)NAN;
    }
    GR_SCOPE(p->ctx);
    GR_NO_GRAD(p->ctx);
    double threshold = o.logits ? 0 : o.threshold == 0 ? 0.5 : o.threshold;
    gr_tensor *right = gr_mean(gr_astype(gr_eq(gr_gt(p, threshold), gr_gt(t, 0.5)), GR_F64), .keepdim = false);
    return right ? gr_item(right) : (double)NAN;
}

/* ---- confusion -------------------------------------------------------------------------------------------------*/
static bool in_range(const char *what, const gr_tensor *t, int64_t classes)
{
    const int64_t *v = gr_data(t);
    for (int64_t i = 0; i < t->numel; i++) {
        if (v[i] >= 0 && v[i] < classes) continue;
        gr_fail(t->ctx, GR_EINDEX, "gr_confusion_matrix: %s %lld at position %lld is out of range for %lld classes. Fix: number the classes from 0",
                what, (long long)v[i], (long long)i, (long long)classes);
        return false;
    }
    return true;
}

gr_tensor *gr_confusion_matrix(gr_tensor *x, gr_tensor *t, int64_t classes)
{
    if (!both_ready("gr_confusion_matrix", x, t)) return NULL;
    gr_tensor *m = gr_zeros(x->ctx, GR_SHAPE(classes, classes), .dtype = GR_I64);
    if (!m) return NULL;
    GR_SCOPE(x->ctx);
    GR_NO_GRAD(x->ctx);
    gr_tensor *p = classes_of(x), *truth = classes_of(t);
    if (!p || !truth) return NULL;
    if (!gr__same_shape(p, truth))
        return refuse("gr_confusion_matrix", x, t, "the predicted classes and the target differ in shape. Fix: give logits [n, classes] or i64 [n], and i64 targets [n]");
    if (!in_range("prediction", p, classes) || !in_range("target", truth, classes)) return NULL;
    int64_t *count = gr_data(m);
    const int64_t *i = gr_data(truth), *j = gr_data(p);
    for (int64_t n = 0; n < p->numel; n++) count[i[n] * classes + j[n]]++;
    return m;
}

/* ---- from the matrix -------------------------------------------------------------------------------------------*/
typedef struct hits {
    double both, predicted, true_; /* of class k: right, predicted, there */
} hits;

static double ratio(double a, double b) { return b > 0 ? a / b : 0; }
static double precision(const hits *h) { return ratio(h->both, h->predicted); }
static double recall(const hits *h) { return ratio(h->both, h->true_); }
static double f1(const hits *h) { return ratio(2 * h->both, h->predicted + h->true_); }

static double score(const char *who, const gr_tensor *m, int64_t k, double (*of)(const hits *h))
{
    if (!gr__ready(m)) return (double)NAN;
    char text[256];
    gr__format_tensor_ref(text, sizeof text, m);
    if (m->ndim != 2 || m->dims[0] != m->dims[1] || m->dtype != GR_I64 || !gr_is_contiguous(m)) {
        gr_fail(m->ctx, GR_ESHAPE, "%s(%s): this is no confusion matrix. Fix: pass what gr_confusion_matrix gave", who, text);
        return (double)NAN;
    }
    int64_t n = m->dims[0];
    if (k < GR_MACRO || k >= n) {
        gr_fail(m->ctx, GR_EINDEX, "%s(%s): class %lld is out of range. Fix: use 0 to %lld, or GR_MACRO", who, text, (long long)k, (long long)n - 1);
        return (double)NAN;
    }
    const int64_t *v = gr_data(m);
    double sum = 0;
    for (int64_t a = k < 0 ? 0 : k; a < (k < 0 ? n : k + 1); a++) {
        hits h = { .both = (double)v[a * n + a] };
        for (int64_t b = 0; b < n; b++) h.predicted += (double)v[b * n + a], h.true_ += (double)v[a * n + b];
        sum += of(&h);
    }
    return k < 0 ? sum / (double)n : sum;
}

double gr_precision(const gr_tensor *m, int64_t k) { return score("gr_precision", m, k, precision); }
double gr_recall(const gr_tensor *m, int64_t k) { return score("gr_recall", m, k, recall); }
double gr_f1(const gr_tensor *m, int64_t k) { return score("gr_f1", m, k, f1); }
