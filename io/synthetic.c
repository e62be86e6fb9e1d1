/* Small data sets drawn by formula: spiral, xor, moons, circles, blobs.
 * Knows no file; the same seed gives the same points.
 * SPDX-License-Identifier: MIT */
#include "io/bytes.h"

#include <math.h>

static const double pi = 3.141592653589793;

/* A data set in the making: points are put one after another, each with its share of the noise. */
typedef struct making {
    gr_dataset d;
    gr_tensor *noise; /* f64 [n, features], standard normal; NULL: none */
    double sigma;
    int64_t features, at;
} making;

static bool begin(making *m, gr_ctx *c, const char *who, int64_t n, int64_t features, double noise, double standard)
{
    *m = (making){ .features = features, .sigma = noise == 0 ? standard : noise < 0 ? 0 : noise };
    if (gr_failed(c)) return false;
    if (n < 0 || features < 1 || !isfinite(noise)) {
        gr_fail(c, GR_EVALUE, "%s: %lld points of %lld features with noise %g make no data. Fix: use 0 points or more, 1 feature or more, finite noise",
                who, (long long)n, (long long)features, noise);
        return false;
    }
    const gr_type type = c->dtype == GR_F64 ? GR_F64 : GR_F32;
    m->d.x = gr__new_tensor(c, who, GR_SHAPE(n, features), type);
    if (m->d.x) m->d.y = gr__new_tensor(c, who, GR_SHAPE(n), GR_I64);
    if (m->d.y && m->sigma > 0) m->noise = gr_randn(c, GR_SHAPE(n, features), .dtype = GR_F64);
    return m->d.y && (m->noise || m->sigma == 0);
}

static double noise_at(const making *m, int64_t j)
{
    return m->noise ? m->sigma * ((const double *)gr_data(m->noise))[m->at * m->features + j] : 0;
}

static void set(making *m, int64_t j, double v)
{
    gr__set_real(m->d.x, m->at * m->features + j, v);
}

static void next(making *m, int64_t label) { ((int64_t *)gr_data(m->d.y))[m->at++] = label; }

static void put(making *m, int64_t label, double a, double b)
{
    set(m, 0, a + noise_at(m, 0));
    set(m, 1, b + noise_at(m, 1));
    next(m, label);
}

static gr_dataset end(making *m)
{
    if (m->noise) gr__release(m->noise);
    return m->d;
}

/* i-th of n numbers from 0 to 1, both included */
static double along(int64_t i, int64_t n) { return n > 1 ? (double)i / (double)(n - 1) : 0; }

static bool positive(gr_ctx *c, const char *who, int classes)
{
    if (classes >= 0) return true;
    gr_fail(c, GR_EVALUE, "%s: %d classes. Fix: use 1 or more", who, classes);
    return false;
}

gr_dataset gr_make_spiral_with(gr_ctx *c, int64_t n, gr_make_opts o)
{
    making m;
    const int arms = o.classes ? o.classes : 3;
    if (!positive(c, "gr_make_spiral", arms)) return (gr_dataset){ 0 };
    if (n > INT64_MAX / arms) n = INT64_MAX / arms; /* refused for its size */
    if (!begin(&m, c, "gr_make_spiral", n * arms, 2, o.noise, 0.2)) return (gr_dataset){ 0 };
    for (int j = 0; j < arms; j++)
        for (int64_t i = 0; i < n; i++) {
            double r = along(i, n), angle = 4 * (j + r) + noise_at(&m, 0);
            set(&m, 0, r * sin(angle));
            set(&m, 1, r * cos(angle));
            next(&m, j);
        }
    return end(&m);
}

gr_dataset gr_make_xor_with(gr_ctx *c, int64_t n, gr_make_opts o)
{
    making m;
    if (!begin(&m, c, "gr_make_xor", n, 2, o.noise, 0)) return (gr_dataset){ 0 };
    for (int64_t i = 0; i < n; i++) {
        int64_t a = i >> 1 & 1, b = i & 1;
        put(&m, a ^ b, (double)a, (double)b);
    }
    return end(&m);
}

gr_dataset gr_make_moons_with(gr_ctx *c, int64_t n, gr_make_opts o)
{
    making m;
    if (!begin(&m, c, "gr_make_moons", n, 2, o.noise, 0)) return (gr_dataset){ 0 };
    const int64_t half = n / 2;
    for (int64_t i = 0; i < n; i++) {
        bool inner = i >= half;
        double t = pi * (inner ? along(i - half, n - half) : along(i, half));
        if (inner) put(&m, 1, 1 - cos(t), 0.5 - sin(t));
        else put(&m, 0, cos(t), sin(t));
    }
    return end(&m);
}

gr_dataset gr_make_circles_with(gr_ctx *c, int64_t n, gr_make_opts o)
{
    making m;
    if (!begin(&m, c, "gr_make_circles", n, 2, o.noise, 0)) return (gr_dataset){ 0 };
    const int64_t half = n / 2;
    const double factor = o.factor != 0 ? o.factor : 0.5;
    for (int64_t i = 0; i < n; i++) {
        bool inner = i >= half;
        double t = 2 * pi * (inner ? (double)(i - half) / (double)(n - half) : (double)i / (double)half), r = inner ? factor : 1;
        put(&m, inner, r * cos(t), r * sin(t));
    }
    return end(&m);
}

gr_dataset gr_make_blobs_with(gr_ctx *c, int64_t n, gr_make_opts o)
{
    making m;
    const int classes = o.classes ? o.classes : 3, features = o.features ? o.features : 2;
    if (!positive(c, "gr_make_blobs", classes) || !begin(&m, c, "gr_make_blobs", n, features, o.noise, 1)) return (gr_dataset){ 0 };
    gr_tensor *centre = gr_rand(c, GR_SHAPE(classes, features), .dtype = GR_F64);
    if (!centre) return (gr_dataset){ 0 };
    const double *p = gr_data(centre);
    for (int64_t i = 0; i < n; i++) {
        int64_t k = i % classes;
        for (int j = 0; j < features; j++) set(&m, j, 20 * p[k * features + j] - 10 + noise_at(&m, j));
        next(&m, k);
    }
    gr__release(centre);
    return end(&m);
}
