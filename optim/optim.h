/* gradus optim: rules that change parameters by their gradients.
 * Knows no module: it takes a list of tensors.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_OPTIM_H
#define GRADUS_OPTIM_H

#include "core/core.h"
#include "ops/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Parameters that belong to no module: gr_params_of(c, (gr_tensor *[]){ w, b }, 2). The array must last for the call it is
 * given to. */
GR_API gr_params gr_params_of(gr_ctx *c, gr_tensor **tensors, int n);

/* ---- rules -----------------------------------------------------------------------------------------------------*/
#define GR_MAX_HYPERS 8
#define GR_MAX_SLOTS 4
typedef struct gr_optim gr_optim;

typedef struct gr_hyper {
    const char *name;    /* "lr" */
    double value;        /* the default */
    double low, below;   /* low <= value < below */
} gr_hyper;

/* One update of one parameter, or of a part of it: n elements of w, its gradient g, its state, all contiguous and of one
 * dtype. */
typedef struct gr_update {
    gr_type dtype;
    int64_t n;
    int64_t step;    /* of this parameter, from 1 */
    const double *h; /* hyper-parameters, in the order of the record */
    void *w;
    const void *g;
    void *slot[GR_MAX_SLOTS];
} gr_update;

typedef struct gr_rule_sample {
    const char *words; /* "momentum 0.9, nesterov" */
    gr_optim *(*make)(gr_ctx *c, gr_params p);
} gr_rule_sample;
typedef struct gr_rule_bad_call {
    gr_optim *(*make)(gr_ctx *c, gr_params p);
    const char *message; /* the whole of gr_message() */
} gr_rule_bad_call;

/* The rule record: what the library's own rules are, and yours, with gr_optim_new. */
typedef struct gr_rule {
    const char *name;                       /* "sgd" */
    const char *formula;                    /* "w -= lr g": printed by teach */
    gr_hyper hyper[GR_MAX_HYPERS];          /* hyper[0] is lr; ends where the name is NULL */
    const char *slot[GR_MAX_SLOTS];         /* names of the state tensors, zeros at first, of the shape of w */
    int (*slots)(const double *h);          /* how many of them these hyper-parameters need; NULL: all that are named */
    const char *(*check)(const double *h);  /* why they do not go together, and "Fix: ..."; NULL: they do. May be NULL */
    void (*update)(const gr_update *u);     /* one pass over w, g and state */
    bool elementwise;                       /* update may be given parts of a parameter, several at a time on several threads */
    /* The same for one element, in double, from the formula alone. */
    void (*reference)(const double *h, int64_t step, double g, double *w, double *slot);
    const gr_rule_sample *samples;          /* for tests/every_rule.c; ends with {NULL, NULL} */
    const gr_rule_bad_call *bad;            /* ends with {NULL, NULL} */
} gr_rule;

/* Every rule of the library: count, then gr_rule_at(0 .. count - 1). */
GR_API int gr_rule_count(void);
GR_API const gr_rule *gr_rule_at(int i);
GR_API const gr_rule *gr_rule_find(const char *name); /* NULL if there is none */

/* ---- optimisers ------------------------------------------------------------------------------------------------
 * A rule at work on a list of parameters: float leaves that require a gradient, contiguous, each once. It lives, with its
 * state, in the scope it was made in, in which the parameters must live too; its steps allocate nothing. h: GR_MAX_HYPERS
 * numbers, 0 for the default. A hyper-parameter that is to be 0 against its default is set afterwards:
 * gr_set_hyper(opt, "beta1", 0). Another lr for other parameters: make two optimisers. */
GR_API gr_optim *gr_optim_new(gr_ctx *c, const gr_rule *rule, gr_params p, const double *h);

typedef struct gr_step_opts {
    bool keep_grad; /* do not clear the gradients */
    unsigned char end_;
} gr_step_opts;
/* Updates every parameter that has a gradient, and clears the gradient. One without (NULL: no sweep reached it) stays as
 * it is, and its state too: no weight decay, no momentum. Does nothing while an error stands. */
#define gr_step(...) GR_OPT1(gr_step_with, gr_step_opts, __VA_ARGS__)
GR_API bool gr_step_with(gr_optim *o, gr_step_opts s);

GR_API double gr_lr(const gr_optim *o);
GR_API bool gr_set_lr(gr_optim *o, double lr); /* 0 is allowed here */
GR_API double gr_hyper_value(const gr_optim *o, const char *name);
GR_API bool gr_set_hyper(gr_optim *o, const char *name, double value);

GR_API const gr_rule *gr_optim_rule(const gr_optim *o);
GR_API gr_params gr_optim_params(const gr_optim *o);                          /* what it was given */
GR_API gr_tensor *gr_optim_slot(const gr_optim *o, int i, const char *slot);  /* state of parameter i, such as "exp_avg"; NULL if none */
GR_API gr_tensor *gr_optim_steps(const gr_optim *o);                          /* i64 [n]: updates of each parameter so far */

/* ---- rules of the library --------------------------------------------------------------------------------------
 * Exactly PyTorch's, in the dtype of the parameter. d = g + weight_decay w. */

/* d: after the first update v = momentum v + (1 - dampening) d, in the first v = d;
 * w -= lr v; nesterov: w -= lr (d + momentum v). Without momentum w -= lr d.
 * Nesterov: Sutskever, Martens, Dahl, Hinton, ICML 2013. */
typedef struct gr_sgd_opts {
    double lr;           /* default 1e-3 */
    double momentum, dampening, weight_decay;
    bool nesterov;
    unsigned char end_;
} gr_sgd_opts;
#define gr_sgd(...) GR_OPT2(gr_sgd_with, gr_sgd_opts, __VA_ARGS__)
GR_API gr_optim *gr_sgd_with(gr_ctx *c, gr_params p, gr_sgd_opts o);

/* m = beta1 m + (1 - beta1) d, v = beta2 v + (1 - beta2) d^2 (amsgrad: then its largest so far),
 * w -= lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps).
 * adamw: d = g, and w *= 1 - lr weight_decay first; its weight_decay is 0.01 by default: for none use adam.
 * Kingma and Ba, ICLR 2015; Reddi, Kale, Kumar, ICLR 2018; Loshchilov and Hutter, ICLR 2019. */
typedef struct gr_adam_opts {
    double lr;           /* default 1e-3 */
    double beta1, beta2; /* default 0.9, 0.999 */
    double eps;          /* default 1e-8 */
    double weight_decay; /* default 0 */
    bool amsgrad;
    unsigned char end_;
} gr_adam_opts;
#define gr_adam(...) GR_OPT2(gr_adam_with, gr_adam_opts, __VA_ARGS__)
#define gr_adamw(...) GR_OPT2(gr_adamw_with, gr_adam_opts, __VA_ARGS__)
GR_API gr_optim *gr_adam_with(gr_ctx *c, gr_params p, gr_adam_opts o);
GR_API gr_optim *gr_adamw_with(gr_ctx *c, gr_params p, gr_adam_opts o);

#define GR_RULES(X) X(sgd) X(adam) X(adamw)
#define GR_RULE_DECLARE(name) GR_API extern const gr_rule gr_rule_##name;
GR_RULES(GR_RULE_DECLARE)

/* ---- gradients before a step -----------------------------------------------------------------------------------
 * For gr_parameters(net), gr_optim_params(opt), gr_params_of(...). Tensors without a gradient are passed by. */
/* g *= min(1, max / (|g| + 1e-6)), |g| the 2-norm of all gradients together, which it returns; NaN after an error.
 * Pascanu, Mikolov, Bengio, ICML 2013. */
GR_API double gr_clip_grad_norm(gr_params p, double max);
GR_API bool gr_clip_grad_value(gr_params p, double max); /* g = min(max(g, -max), max); a NaN stays */

#ifdef __cplusplus
}
#endif
#endif
