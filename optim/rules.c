/* The rules: a record each, one pass of a kernel, and the same for one number as a formula.
 * Knows no tensor.
 * SPDX-License-Identifier: MIT */
#include "kernels/kernels.h"
#include "optim/optim.h"

#include <math.h>

/* ---- sgd -------------------------------------------------------------------------------------------------------*/
enum { LR, MOMENTUM, DAMPENING, SGD_DECAY, NESTEROV };

static void sgd_update(const gr_update *u)
{
    const double *h = u->h;
    const gr_sgd_args a = { h[LR], h[MOMENTUM], 1 - h[DAMPENING], h[SGD_DECAY], u->step == 1, h[NESTEROV] != 0 };
    gr__kernels()->sgd[u->dtype - 1](u->n, &a, u->w, u->g, h[MOMENTUM] != 0 ? u->slot[0] : NULL);
}

static void sgd_reference(const double *h, int64_t step, double g, double *w, double *slot)
{
    double d = g + h[SGD_DECAY] * *w;
    if (h[MOMENTUM] != 0) {
        slot[0] = step == 1 ? d : h[MOMENTUM] * slot[0] + (1 - h[DAMPENING]) * d;
        d = h[NESTEROV] != 0 ? d + h[MOMENTUM] * slot[0] : slot[0];
    }
    *w -= h[LR] * d;
}

static int sgd_slots(const double *h) { return h[MOMENTUM] != 0; }
static const char *sgd_check(const double *h)
{
    bool fits = h[NESTEROV] == 0 || (h[MOMENTUM] > 0 && h[DAMPENING] == 0);
    return fits ? NULL : "nesterov needs momentum above 0 and no dampening. Fix: give momentum, such as 0.9, and leave dampening 0";
}

gr_optim *gr_sgd_with(gr_ctx *c, gr_params p, gr_sgd_opts o)
{
    return gr_optim_new(c, &gr_rule_sgd, p, (double[GR_MAX_HYPERS]){ o.lr, o.momentum, o.dampening, o.weight_decay, o.nesterov });
}

#define MAKE(name, rule, ...) \
    static gr_optim *name(gr_ctx *c, gr_params p) { return gr_##rule(c, p, __VA_ARGS__); }
MAKE(sgd_plain, sgd, .lr = 0.1)
MAKE(sgd_decay, sgd, .lr = 0.1, .weight_decay = 0.02)
MAKE(sgd_momentum, sgd, .lr = 0.05, .momentum = 0.9)
MAKE(sgd_dampened, sgd, .lr = 0.2, .momentum = 0.9, .dampening = 0.5)
MAKE(sgd_nesterov, sgd, .lr = 0.05, .momentum = 0.9, .nesterov = true, .weight_decay = 0.02)
MAKE(sgd_uphill, sgd, .lr = -0.1)
MAKE(sgd_nan, sgd, .lr = (double)NAN)
MAKE(sgd_endless, sgd, .lr = (double)INFINITY)
MAKE(sgd_back, sgd, .momentum = -0.5)
MAKE(sgd_still, sgd, .nesterov = true)
MAKE(sgd_both, sgd, .momentum = 0.9, .nesterov = true, .dampening = 0.1)
static const gr_rule_sample sgd_samples[] = { { "lr 0.1", sgd_plain },
                                              { "lr 0.1, weight_decay 0.02", sgd_decay },
                                              { "lr 0.05, momentum 0.9", sgd_momentum },
                                              { "lr 0.2, momentum 0.9, dampening 0.5", sgd_dampened },
                                              { "lr 0.05, momentum 0.9, nesterov, weight_decay 0.02", sgd_nesterov },
                                              { NULL, NULL } };
static const gr_rule_bad_call sgd_bad[] = {
    { sgd_uphill, "sgd: lr is -0.1. Fix: give a finite number of at least 0" },
    { sgd_nan, "sgd: lr is nan. Fix: give a finite number of at least 0" },
    { sgd_endless, "sgd: lr is inf. Fix: give a finite number of at least 0" },
    { sgd_back, "sgd: momentum is -0.5. Fix: give a finite number of at least 0" },
    { sgd_still, "sgd: nesterov needs momentum above 0 and no dampening. Fix: give momentum, such as 0.9, and leave dampening 0" },
    { sgd_both, "sgd: nesterov needs momentum above 0 and no dampening. Fix: give momentum, such as 0.9, and leave dampening 0" },
    { NULL, NULL } };
const gr_rule gr_rule_sgd = {
    .name = "sgd",
    .formula = "d = g + weight_decay w; v = d, later momentum v + (1 - dampening) d; w -= lr v (nesterov: lr (d + momentum v))",
    .hyper = { { "lr", 1e-3, 0, INFINITY },
               { "momentum", 0, 0, INFINITY },
               { "dampening", 0, 0, INFINITY },
               { "weight_decay", 0, 0, INFINITY },
               { "nesterov", 0, 0, 2 } },
    .slot = { "momentum_buffer" }, .slots = sgd_slots, .check = sgd_check, .update = sgd_update, .elementwise = true, .reference = sgd_reference,
    .samples = sgd_samples, .bad = sgd_bad };

/* ---- adam, adamw -----------------------------------------------------------------------------------------------*/
enum { BETA1 = 1, BETA2, EPS, ADAM_DECAY, AMSGRAD };

/* The corrections of a bias towards the zeros at the start are taken in double, once for each parameter. */
static void adam_step(const gr_update *u, bool decoupled)
{
    const double *h = u->h, t = (double)u->step;
    const gr_adam_args a = { .size = h[LR] / (1 - pow(h[BETA1], t)), .root = sqrt(1 - pow(h[BETA2], t)), .eps = h[EPS],
                             .beta1 = h[BETA1], .beta2 = h[BETA2], .decay = decoupled ? 0 : h[ADAM_DECAY],
                             .shrink = decoupled ? 1 - h[LR] * h[ADAM_DECAY] : 1 };
    gr__kernels()->adam[u->dtype - 1](u->n, &a, u->w, u->g, u->slot[0], u->slot[1], h[AMSGRAD] != 0 ? u->slot[2] : NULL);
}
static void adam_update(const gr_update *u) { adam_step(u, false); }
static void adamw_update(const gr_update *u) { adam_step(u, true); }

static void adam_formula(const double *h, int64_t step, double d, double *w, double *slot)
{
    double t = (double)step;
    slot[0] = h[BETA1] * slot[0] + (1 - h[BETA1]) * d;
    slot[1] = h[BETA2] * slot[1] + (1 - h[BETA2]) * d * d;
    slot[2] = fmax(slot[2], slot[1]);
    double m = slot[0] / (1 - pow(h[BETA1], t)), v = slot[h[AMSGRAD] != 0 ? 2 : 1] / (1 - pow(h[BETA2], t));
    *w -= h[LR] * m / (sqrt(v) + h[EPS]);
}
static void adam_reference(const double *h, int64_t step, double g, double *w, double *slot)
{
    adam_formula(h, step, g + h[ADAM_DECAY] * *w, w, slot);
}
static void adamw_reference(const double *h, int64_t step, double g, double *w, double *slot)
{
    *w -= h[LR] * h[ADAM_DECAY] * *w;
    adam_formula(h, step, g, w, slot);
}

static int adam_slots(const double *h) { return h[AMSGRAD] != 0 ? 3 : 2; }

gr_optim *gr_adam_with(gr_ctx *c, gr_params p, gr_adam_opts o)
{
    return gr_optim_new(c, &gr_rule_adam, p, (double[GR_MAX_HYPERS]){ o.lr, o.beta1, o.beta2, o.eps, o.weight_decay, o.amsgrad });
}
gr_optim *gr_adamw_with(gr_ctx *c, gr_params p, gr_adam_opts o)
{
    return gr_optim_new(c, &gr_rule_adamw, p, (double[GR_MAX_HYPERS]){ o.lr, o.beta1, o.beta2, o.eps, o.weight_decay, o.amsgrad });
}

MAKE(adam_plain, adam, .lr = 0.05)
MAKE(adam_decay, adam, .lr = 0.05, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.01)
MAKE(adam_amsgrad, adam, .lr = 0.05, .amsgrad = true)
MAKE(adamw_plain, adamw, .lr = 0.05)
MAKE(adamw_amsgrad, adamw, .lr = 0.05, .weight_decay = 0.05, .amsgrad = true)
MAKE(adam_uphill, adam, .lr = -1)
MAKE(adam_beta, adam, .beta2 = 1)
MAKE(adam_eps, adam, .eps = -1e-8)
MAKE(adamw_decay, adamw, .weight_decay = -0.1)
static const gr_rule_sample adam_samples[] = { { "lr 0.05", adam_plain },
                                               { "lr 0.05, beta1 0.8, beta2 0.95, eps 1e-3, weight_decay 0.01", adam_decay },
                                               { "lr 0.05, amsgrad", adam_amsgrad },
                                               { NULL, NULL } };
static const gr_rule_sample adamw_samples[] = { { "lr 0.05", adamw_plain },
                                                { "lr 0.05, weight_decay 0.05, amsgrad", adamw_amsgrad },
                                                { NULL, NULL } };
static const gr_rule_bad_call adam_bad[] = { { adam_uphill, "adam: lr is -1. Fix: give a finite number of at least 0" },
                                             { adam_beta, "adam: beta2 is 1. Fix: give a number of at least 0 and below 1" },
                                             { adam_eps, "adam: eps is -1e-08. Fix: give a finite number of at least 0" },
                                             { NULL, NULL } };
static const gr_rule_bad_call adamw_bad[] = { { adamw_decay, "adamw: weight_decay is -0.1. Fix: give a finite number of at least 0" },
                                              { NULL, NULL } };

#define ADAM_HYPERS(decay)                                                                                           \
    { { "lr", 1e-3, 0, INFINITY }, { "beta1", 0.9, 0, 1 }, { "beta2", 0.999, 0, 1 }, { "eps", 1e-8, 0, INFINITY },   \
      { "weight_decay", decay, 0, INFINITY }, { "amsgrad", 0, 0, 2 } }
#define ADAM_FORMULA(decay)                                                                                          \
    decay "; m = beta1 m + (1 - beta1) d; v = beta2 v + (1 - beta2) d^2; w -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps)" \
          " (amsgrad: the largest v so far)"
const gr_rule gr_rule_adam = { .name = "adam", .formula = ADAM_FORMULA("d = g + weight_decay w"), .hyper = ADAM_HYPERS(0),
                               .slot = { "exp_avg", "exp_avg_sq", "max_exp_avg_sq" }, .slots = adam_slots, .update = adam_update, .elementwise = true,
                               .reference = adam_reference, .samples = adam_samples, .bad = adam_bad };
const gr_rule gr_rule_adamw = { .name = "adamw", .formula = ADAM_FORMULA("w *= 1 - lr weight_decay; d = g"), .hyper = ADAM_HYPERS(0.01),
                                .slot = { "exp_avg", "exp_avg_sq", "max_exp_avg_sq" }, .slots = adam_slots, .update = adamw_update, .elementwise = true,
                                .reference = adamw_reference, .samples = adamw_samples, .bad = adamw_bad };
