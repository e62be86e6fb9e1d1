/* The loop over the registry: whoever adds a rule record is checked here, and edits nothing.
 * SPDX-License-Identifier: MIT */
#define TEST_OWN_MAIN
#include "core/core.h"
#include "ops/ops.h"
#include "optim/optim.h"
#include "tests/test.h"

#define N 7

typedef struct one {
    const gr_rule *rule;
    const gr_rule_sample *sample;
} one;

static bool say(const one *o, const char *what)
{
    printf("# %s: sample \"%s\": %s\n", o->rule->name, o->sample->words, what);
    return false;
}

static gr_ctx *context(gr_type type) { return gr_ctx_new(&(gr_ctx_opts){ .dtype = type, .seed = 3 }); }
static gr_tensor *weight(gr_ctx *c, gr_dims shape) { return gr_requires_grad(gr_randn(c, shape)); }

/* gradient of w = g */
static void set_gradient(gr_tensor *w, const double *g)
{
    gr_ctx *c = gr_ctx_of(w);
    GR_SCOPE(c);
    gr_tensor *t = gr_zeros(c, gr_dims_like(w), .dtype = gr_dtype(w));
    gr_write(t, g);
    gr_backward(gr_sum(gr_mul(w, t), .keepdim = false));
}

/* ---- values ----------------------------------------------------------------------------------------------------*/
static bool agrees(const one *o, gr_type type, double tolerance)
{
    static const double g[5][N] = { { 1, -2, 0.5, 0, 1e-3, 30, -0.25 }, { -1, -2, 0.25, 0, 2e-3, -3, 0.5 }, { 0.5, 1, -4, 0, 1e-3, 3, 0.125 },
                                    { 2, -1, 0.5, 0, -1e-3, 1, 0.75 },  { 0, 0, 0, 0, 0, 0, 0 } };
    gr_ctx *c = context(type);
    gr_tensor *w = weight(c, GR_SHAPE(N));
    gr_optim *opt = o->sample->make(c, gr_params_of(c, &w, 1));
    double want[N], got[N], slot[N][GR_MAX_SLOTS] = { { 0 } }, h[GR_MAX_HYPERS] = { 0 };
    gr_read(w, want);
    for (int i = 0; i < GR_MAX_HYPERS && o->rule->hyper[i].name; i++) h[i] = gr_hyper_value(opt, o->rule->hyper[i].name);
    double worst = opt ? 0 : INFINITY;
    for (int step = 1; step <= 5 && opt; step++) {
        set_gradient(w, g[step - 1]);
        gr_step(opt);
        gr_read(w, got);
        for (int i = 0; i < N; i++) {
            o->rule->reference(h, step, g[step - 1][i], &want[i], slot[i]);
            worst = fmax(worst, fabs(got[i] - want[i]) / fmax(1, fabs(want[i])));
        }
    }
    bool ok = worst <= tolerance && !gr_failed(c);
    if (!ok) printf("# %s differs by %g. %s\n", gr_dtype_name(type), worst, gr_message(c));
    gr_ctx_free(c);
    return ok;
}

static bool follows_its_formula(const one *o)
{
    return (agrees(o, GR_F64, 4e-15) && agrees(o, GR_F32, 2e-6)) || say(o, "five steps differ from the reference");
}

/* ---- convergence: L = sum_i (i + 1) (w_i - 1)^2 / 2 ------------------------------------------------------------------*/
static gr_tensor *quadratic(gr_ctx *c, gr_tensor *w)
{
    return gr_mul(gr_sum(gr_mul(gr_arange(c, 1, N + 0.5, 1, .dtype = gr_dtype(w)), gr_square(gr_sub(w, 1))), .keepdim = false), 0.5);
}

static bool finds_the_minimum_of_a_quadratic(const one *o)
{
    bool ok = true;
    for (gr_type type = GR_F32; type <= GR_F64; type++) {
        gr_ctx *c = context(type);
        gr_tensor *w = weight(c, GR_SHAPE(N));
        gr_optim *opt = o->sample->make(c, gr_params_of(c, &w, 1));
        double first = gr_item(quadratic(c, w)), last = first;
        for (int step = 0; step < 500 && opt; step++) {
            GR_SCOPE(c);
            gr_tensor *loss = quadratic(c, w);
            gr_backward(loss);
            gr_step(opt);
            last = gr_item(loss);
        }
        if (!(last < first / 100) || gr_failed(c)) { /* weight decay keeps it from 0 */
            printf("# %s: from %g to %g. %s\n", gr_dtype_name(type), first, last, gr_message(c));
            ok = say(o, "no convergence");
        }
        gr_ctx_free(c);
    }
    return ok;
}

/* ---- memory ----------------------------------------------------------------------------------------------------*/
static void train(gr_ctx *c, gr_optim *opt, gr_tensor *w, gr_tensor *b)
{
    GR_SCOPE(c);
    gr_backward(gr_mean(gr_square(gr_add(gr_matmul(gr_ones(c, GR_SHAPE(4, 30)), w), b)), .keepdim = false));
    gr_step(opt);
}

static bool allocates_nothing_from_the_second_step_on(const one *o)
{
    gr_ctx *c = context(GR_F32);
    gr_tensor *p[2] = { weight(c, GR_SHAPE(30, 50)), weight(c, GR_SHAPE(1)) };
    gr_optim *opt = o->sample->make(c, gr_params_of(c, p, 2));
    train(c, opt, p[0], p[1]);
    size_t before = gr_ctx_stats(c).allocations;
    for (int i = 0; i < 20; i++) train(c, opt, p[0], p[1]);
    size_t more = gr_ctx_stats(c).allocations - before;
    bool ok = more == 0 && !gr_failed(c);
    if (!ok) printf("# %zu allocations in steps 2 to 21. %s\n", more, gr_message(c));
    gr_ctx_free(c);
    return ok || say(o, "steps allocate");
}

static const one *current;
static void one_training(gr_ctx *c)
{
    gr_tensor *p[2] = { weight(c, GR_SHAPE(30, 5)), weight(c, GR_SHAPE(1)) };
    gr_optim *opt = current->sample->make(c, gr_params_of(c, p, 2));
    for (int i = 0; i < 2; i++) train(c, opt, p[0], p[1]);
    gr_clip_grad_norm(gr_optim_params(opt), 1);
}

static bool survives_any_allocation_failure(const one *o)
{
    current = o;
    test_errors = 0;
    long points = test_every_allocation(one_training);
    return (test_errors == 0 && points > 3) || say(o, "a failed allocation is not handled");
}

/* ---- good manners ----------------------------------------------------------------------------------------------*/
static bool leaves_parameters_without_gradient_alone(const one *o)
{
    static const double g[N] = { 1, 2, 3, 4, 5, 6, 7 };
    gr_ctx *c = context(GR_F64);
    gr_tensor *p[2] = { weight(c, GR_SHAPE(N)), weight(c, GR_SHAPE(N)) };
    gr_optim *opt = o->sample->make(c, gr_params_of(c, p, 2));
    set_gradient(p[0], g);
    set_gradient(p[1], g);
    gr_step(opt);
    double before[N], after[N], other[N];
    gr_read(p[1], before);
    set_gradient(p[0], g);
    bool ok = gr_step(opt) && !gr_grad(p[0]);
    gr_read(p[0], other);
    gr_read(p[1], after);
    ok = ok && memcmp(before, after, sizeof after) == 0 && memcmp(before, other, sizeof other) != 0;
    ok = ok && gr_at(gr_optim_steps(opt), 0) == 2 && gr_at(gr_optim_steps(opt), 1) == 1 && !gr_failed(c);
    gr_ctx_free(c);
    return ok || say(o, "a parameter without gradient was changed, or its steps were counted");
}

static bool says_that_it_wrote(const one *o)
{
    gr_ctx *c = context(GR_F32);
    gr_tensor *w = gr_name(weight(c, GR_SHAPE(N)), "w");
    gr_optim *opt = o->sample->make(c, gr_params_of(c, &w, 1));
    gr_tensor *loss = gr_sum(gr_square(w), .keepdim = false);
    gr_backward(loss, .retain_graph = true);
    gr_step(opt);
    char want[300];
    snprintf(want, sizeof want, "\"w\" [%d], was overwritten by %s after square used it", N, o->rule->name);
    bool ok = !gr_backward(loss) && gr_status(c) == GR_EGRAPH && strstr(gr_message(c), want);
    if (!ok) printf("# %s\n", gr_message(c));
    gr_ctx_free(c);
    return ok || say(o, "a sweep after the step does not name the rule");
}

static bool a_rate_of_0_changes_nothing(const one *o)
{
    static const double g[N] = { 1, 2, 3, 4, 5, 6, 7 };
    gr_ctx *c = context(GR_F64);
    gr_tensor *w = weight(c, GR_SHAPE(N));
    gr_optim *opt = o->sample->make(c, gr_params_of(c, &w, 1));
    double before[N], after[N];
    gr_read(w, before);
    bool ok = gr_set_lr(opt, 0) && gr_lr(opt) == 0;
    set_gradient(w, g);
    ok = gr_step(opt, .keep_grad = true) && gr_grad(w) && ok;
    gr_read(w, after);
    ok = ok && memcmp(before, after, sizeof after) == 0 && !gr_set_lr(opt, -1) && gr_lr(opt) == 0;
    gr_ctx_free(c);
    return ok || say(o, "lr = 0 changes the parameter, or lr = -1 is taken");
}

static bool bad_calls_are_refused(const gr_rule *r)
{
    bool ok = true;
    for (const gr_rule_bad_call *b = r->bad; b && b->make; b++) {
        gr_ctx *c = context(GR_F32);
        gr_tensor *w = weight(c, GR_SHAPE(N));
        gr_optim *opt = b->make(c, gr_params_of(c, &w, 1));
        bool this = !opt && gr_status(c) == GR_EVALUE && strcmp(gr_message(c), b->message) == 0 && !gr_step(opt);
        if (!this) printf("# %s gave\n#   %s\n# expected\n#   %s\n", r->name, gr_message(c), b->message);
        ok = ok && this;
        gr_ctx_free(c);
    }
    return ok;
}

static bool complete(const gr_rule *r)
{
    bool ok = r->name && r->formula && r->update && r->reference && r->hyper[0].name && strcmp(r->hyper[0].name, "lr") == 0 && r->samples &&
              r->samples[0].words && r->bad && gr_rule_find(r->name) == r;
    for (int i = 0; ok && i < GR_MAX_HYPERS && r->hyper[i].name; i++)
        ok = r->hyper[i].value >= r->hyper[i].low && r->hyper[i].value < r->hyper[i].below;
    if (!ok) printf("# %s: the record lacks a text, a reference, samples or bad calls, or a default is out of range\n", r->name ? r->name : "(no name)");
    return ok;
}

/* ---- the loop --------------------------------------------------------------------------------------------------*/
static const struct claim {
    const char *sentence;
    bool (*holds)(const one *o);
} claims[] = {
    { "follows_its_formula", follows_its_formula },
    { "finds_the_minimum_of_a_quadratic", finds_the_minimum_of_a_quadratic },
    { "allocates_nothing_from_the_second_step_on", allocates_nothing_from_the_second_step_on },
    { "survives_the_failure_of_every_allocation", survives_any_allocation_failure },
    { "leaves_parameters_without_gradient_alone", leaves_parameters_without_gradient_alone },
    { "says_that_it_wrote", says_that_it_wrote },
    { "changes_nothing_at_a_rate_of_0", a_rate_of_0_changes_nothing },
};

int main(int argc, char **argv)
{
    int failed = 0, ran = 0;
    char name[160];
    for (int i = 0; i < gr_rule_count(); i++) {
        const gr_rule *r = gr_rule_at(i);
        if (argc > 1 && strcmp(argv[1], r->name) != 0) continue;
        bool whole = complete(r);
        snprintf(name, sizeof name, "%s_has_a_complete_record", r->name);
        failed += test_report(++ran, name, whole);
        if (!whole) continue;
        for (size_t k = 0; k < sizeof claims / sizeof *claims; k++) {
            bool ok = true;
            for (const gr_rule_sample *s = r->samples; s->words; s++) ok = claims[k].holds(&(one){ r, s }) && ok;
            snprintf(name, sizeof name, "%s_%s", r->name, claims[k].sentence);
            failed += test_report(++ran, name, ok);
        }
        snprintf(name, sizeof name, "%s_refuses_bad_calls", r->name);
        failed += test_report(++ran, name, bad_calls_are_refused(r));
    }
    printf("1..%d\n", ran);
    return failed || !ran;
}
