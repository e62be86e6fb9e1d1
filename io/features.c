/* Features made fit for learning: standardised, or one-hot.
 * Knows no file, and records nothing: data have no gradient.
 * SPDX-License-Identifier: MIT */
#include "io/bytes.h"

#include <math.h>
#include <string.h>

/* ---- standardising ---------------------------------------------------------------------------------------------*/
static bool check(const char *who, const gr_tensor *x)
{
    char text[256];
    if (!gr__ready(x)) return false;
    gr__format_tensor_ref(text, sizeof text, x);
    if (!gr_is_float(x))
        gr_fail(x->ctx, GR_EDTYPE, "%s(%s): needs floats. Fix: convert it with gr_astype(x, GR_F32)", who, text);
    else if (gr_ndim(x) == 0)
        gr_fail(x->ctx, GR_ESHAPE, "%s(%s): needs examples in dimension 0. Fix: pass x [n, ...]", who, text);
    return !gr_failed(x->ctx);
}

gr_scaling gr_standardize_fit(gr_tensor *x)
{
    const gr_scaling none = { 0 };
    if (!check("gr_standardize_fit", x) || !(x = gr__dense(x))) return none;
    gr_dims shape = gr_dims_of(x->dims + 1, x->ndim - 1);
    const int64_t n = x->dims[0], features = n ? x->numel / n : 0;
    if (n == 0) {
        gr_fail(x->ctx, GR_ESHAPE, "gr_standardize_fit: no examples have no mean. Fix: pass at least one");
        return none;
    }
    gr_scaling s = { .mean = gr__new_tensor(x->ctx, "gr_standardize_fit", shape, gr_dtype(x)) };
    if (s.mean) s.std = gr_empty_like(s.mean);
    gr_block *b = s.std ? gr__block_new(x->ctx, 2 * (size_t)features * sizeof(double) + 1) : NULL;
    if (!b) return none;
    double *mean = gr__block_data(b), *square = mean + features;
    memset(mean, 0, 2 * (size_t)features * sizeof *mean);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < features; j++) mean[j] += gr__real_at(x, i * features + j);
    for (int64_t j = 0; j < features; j++) mean[j] /= (double)n;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < features; j++) {
            double e = gr__real_at(x, i * features + j) - mean[j];
            square[j] += e * e;
        }
    for (int64_t j = 0; j < features; j++) {
        /* what rounding leaves of a constant is below n eps |mean| */
        double std = sqrt(square[j] / (double)n), noise = (double)n * 2.3e-16 * fabs(mean[j]);
        gr__set_real(s.mean, j, mean[j]);
        gr__set_real(s.std, j, std <= noise ? 1 : std);
    }
    gr__block_unref(x->ctx, b);
    return s;
}

static bool has_features(const gr_tensor *x, const gr_tensor *t)
{
    return t->ndim == x->ndim - 1 && memcmp(t->dims, x->dims + 1, (size_t)t->ndim * sizeof *t->dims) == 0;
}

gr_tensor *gr_standardize(gr_tensor *x, gr_scaling s)
{
    char a[256], b[256];
    if (!s.mean || !s.std || !check("gr_standardize", x)) return NULL;
    const int64_t features = s.mean->numel;
    if (!has_features(x, s.mean) || !has_features(x, s.std)) {
        gr__format_tensor_ref(a, sizeof a, x);
        gr__format_tensor_ref(b, sizeof b, s.mean);
        gr_fail(x->ctx, GR_ESHAPE, "gr_standardize(%s, mean %s): the features differ. Fix: fit on data of the same features", a, b);
        return NULL;
    }
    if (!gr_is_float(s.mean) || !gr_is_float(s.std)) {
        gr_fail(x->ctx, GR_EDTYPE, "gr_standardize: mean and std must be floats. Fix: make them with gr_standardize_fit");
        return NULL;
    }
    gr_tensor *m = gr__dense(s.mean), *d = gr__dense(s.std);
    x = gr__dense(x);
    gr_tensor *z = m && d && x ? gr_empty_like(x) : NULL;
    for (int64_t i = 0; z && i < x->numel; i += features)
        for (int64_t j = 0; j < features; j++) gr__set_real(z, i + j, (gr__real_at(x, i + j) - gr__real_at(m, j)) / gr__real_at(d, j));
    return z;
}

/* ---- one-hot ---------------------------------------------------------------------------------------------------*/
typedef struct hot {
    gr_tensor *y;
    int64_t at, classes;
} hot;

static void hot_run(int64_t n, char *const *p, const int64_t *stride, void *user)
{
    hot *h = user;
    gr_ctx *c = h->y->ctx;
    for (int64_t i = 0; i < n; i++, h->at += h->classes) {
        int64_t k = ((const int64_t *)(const void *)p[0])[i * stride[0]];
        if (k < 0 || k >= h->classes) {
            gr_fail(c, GR_EINDEX, "gr_one_hot: label %lld of element %lld is no class. Fix: use 0 to %lld", (long long)k,
                    (long long)(h->at / h->classes), (long long)h->classes - 1);
            return;
        }
        if (gr_is_float(h->y)) gr__set_real(h->y, h->at + k, 1);
        else if (gr_dtype(h->y) == GR_I64) ((int64_t *)gr_data(h->y))[h->at + k] = 1;
        else ((bool *)gr_data(h->y))[h->at + k] = true;
    }
}

gr_tensor *gr_one_hot(const gr_tensor *label, int64_t classes)
{
    char text[256];
    if (!gr__ready(label)) return NULL;
    gr__format_tensor_ref(text, sizeof text, label);
    if (gr_dtype(label) != GR_I64) {
        gr_fail(label->ctx, GR_EDTYPE, "gr_one_hot(%s): labels are i64. Fix: convert them with gr_astype(x, GR_I64)", text);
        return NULL;
    }
    if (classes < 1) {
        gr_fail(label->ctx, GR_EVALUE, "gr_one_hot(%s): %lld classes. Fix: use 1 or more", text, (long long)classes);
        return NULL;
    }
    gr_dims shape = gr_dims_like(label);
    if (shape.n < GR_MAX_RANK) shape.v[shape.n] = classes;
    shape.n++;
    hot h = { .y = gr_zeros(label->ctx, shape), .classes = classes };
    if (h.y) gr__strided(1, &label, hot_run, &h);
    return gr_failed(label->ctx) ? NULL : h.y;
}
