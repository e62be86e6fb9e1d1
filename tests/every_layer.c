/* The loop over the registry: whoever adds a layer record is checked here, and edits nothing.
 * SPDX-License-Identifier: MIT */
#define TEST_OWN_MAIN
#include "tests/samples.h"

#include "nn/nn.h"

#define MAX_PARAMETERS 32
#define MAX_ELEMENTS 4096

typedef struct one {
    const gr_layer *layer;
    const gr_layer_sample *sample;
    input_spec in;
    layout layout;
    gr_module *m;
} one;

static bool say(const one *o, const char *what)
{
    printf("# %s: sample \"%s\": %s\n", o->layer->name, o->sample->input, what);
    return false;
}

/* A module of the sample and its input, the same each time. */
static gr_tensor *make(gr_ctx *c, one *o, gr_type type)
{
    sample_state = 7;
    gr_seed(c, 1);
    o->m = o->sample->make(c);
    gr_tensor *x = o->m ? make_base(c, &o->in, type, o->layout) : NULL;
    return x;
}

static gr_ctx *context(gr_type type) { return gr_ctx_new(&(gr_ctx_opts){ .dtype = type }); }

/* The result for one state of the random stream, as numbers. */
static int64_t result(const one *o, gr_tensor *x, double *out)
{
    gr_ctx *c = gr_ctx_of(x);
    gr_seed(c, 5);
    gr_tensor *y = gr_forward(o->m, from_base(x, &o->in, o->layout));
    if (!y || gr_numel(y) > MAX_ELEMENTS || !gr_read(y, out)) return -1;
    return gr_numel(y);
}

/* ---- gradients -------------------------------------------------------------------------------------------------*/
static gr_tensor *apply(gr_tensor **x, void *user)
{
    const one *o = user;
    gr_seed(gr_ctx_of(x[0]), 5); /* the same mask each time */
    return gr_forward_using(o->m, x + 1, gr_parameters(o->m).n, from_base(x[0], &o->in, o->layout));
}

static bool gradients_agree(one *o)
{
    gr_ctx *c = context(GR_F64);
    gr_tensor *x[MAX_PARAMETERS + 1] = { make(c, o, GR_F64) };
    gr_params p = gr_parameters(o->m);
    bool ok = x[0] && p.n <= MAX_PARAMETERS;
    for (int i = 0; ok && i < p.n; i++) x[1 + i] = p.tensors[i];
    gr_gradcheck_report r = { 0 };
    ok = ok && gr_gradcheck(apply, o, x, p.n + 1, &r) && !gr_failed(c);
    if (!ok) {
        test_show_check(&r);
        say(o, "the gradient check fails");
    }
    gr_ctx_free(c);
    return ok;
}

/* Every parameter takes part in the result, unless that is empty. */
static bool every_parameter_gets_a_gradient(one *o)
{
    gr_ctx *c = context(GR_F32);
    gr_tensor *x = make(c, o, GR_F32), *y = gr_forward(o->m, x);
    gr_params p = gr_parameters(o->m);
    bool ok = y && gr_dtype(y) == GR_F32;
    if (ok && p.n) ok = gr_backward(gr_sum(y, .keepdim = false));
    for (int i = 0; ok && i < p.n; i++) ok = gr_grad(p.tensors[i]) != NULL;
    ok = ok && !gr_failed(c);
    gr_ctx_free(c);
    return ok || say(o, "a parameter gets no gradient, or the result is no f32");
}

/* ---- names -----------------------------------------------------------------------------------------------------*/
static bool names_are_unique(one *o)
{
    gr_ctx *c = context(GR_F32);
    make(c, o, GR_F32);
    gr_params p = gr_state(o->m);
    bool ok = o->m != NULL;
    for (int i = 0; ok && i < p.n; i++) {
        ok = gr_find_parameter(o->m, p.names[i]) == p.tensors[i];
        for (int k = 0; k < i; k++) ok = ok && strcmp(p.names[i], p.names[k]) != 0 && p.tensors[i] != p.tensors[k];
    }
    ok = ok && !gr_failed(c);
    gr_ctx_free(c);
    return ok || say(o, "two tensors of the state have one name, or one has two");
}

/* ---- modes -----------------------------------------------------------------------------------------------------
 * 1: training and evaluation give the same bits; 0: they differ; -1: failure */
static int modes_agree(one *o)
{
    static double a[MAX_ELEMENTS], b[MAX_ELEMENTS];
    gr_ctx *c = context(GR_F32);
    gr_tensor *x = make(c, o, GR_F32);
    int64_t n = x ? result(o, x, a) : -1;
    gr_eval(o->m);
    int64_t m = x ? result(o, x, b) : -1;
    int64_t again = x ? result(o, x, a + n) : -1; /* evaluation repeats itself */
    bool ok = n >= 0 && n == m && m == again && 2 * n <= MAX_ELEMENTS && !gr_is_training(o->m) && memcmp(a + n, b, (size_t)n * sizeof *b) == 0;
    gr_train(o->m);
    ok = ok && gr_is_training(o->m);
    int same = ok ? memcmp(a, b, (size_t)n * sizeof *a) == 0 : -1;
    gr_ctx_free(c);
    return same;
}

static bool modes_differ_only_where_documented(const gr_layer *l)
{
    bool differ = false, ok = true;
    for (const gr_layer_sample *s = l->samples; s && s->input; s++) {
        one o = { .layer = l, .sample = s };
        parse_inputs(s->input, &o.in);
        int same = modes_agree(&o);
        ok = ok && same >= 0;
        if (same == 0 && !l->modes) ok = say(&o, "training and evaluation differ, and the record does not say how");
        differ = differ || same == 0;
    }
    if (l->modes && !differ) printf("# %s: no sample shows the difference \"%s\"\n", l->name, l->modes), ok = false;
    return ok;
}

/* ---- state -----------------------------------------------------------------------------------------------------*/
static bool loading_the_state_gives_the_same_results(one *o)
{
    static double a[MAX_ELEMENTS], b[MAX_ELEMENTS];
    gr_ctx *c = context(GR_F32);
    gr_tensor *x = make(c, o, GR_F32);
    gr_module *first = o->m;
    gr_seed(c, 99);
    o->m = o->sample->make(c);
    gr_params p = gr_state(o->m);
    for (int i = 0; i < p.n; i++) gr_fill(p.tensors[i], 7);
    bool ok = x && gr_load_state(o->m, gr_state(first));
    gr_eval(first);
    gr_eval(o->m);
    int64_t n = ok ? result(o, x, a) : -1;
    o->m = first;
    ok = n >= 0 && result(o, x, b) == n && memcmp(a, b, (size_t)n * sizeof *a) == 0 && !gr_failed(c);
    gr_ctx_free(c);
    return ok || say(o, "a copy of the state gives other results");
}

/* ---- good manners ----------------------------------------------------------------------------------------------*/
static bool the_input_stays_as_it_is(one *o)
{
    static double a[MAX_ELEMENTS], b[MAX_ELEMENTS], y[MAX_ELEMENTS];
    gr_ctx *c = context(GR_F32);
    gr_tensor *x = make(c, o, GR_F32);
    bool ok = x && gr_read(x, a) && result(o, x, y) >= 0 && gr_read(x, b) && memcmp(a, b, (size_t)gr_numel(x) * sizeof *a) == 0;
    gr_ctx_free(c);
    return ok || say(o, "forward writes to its input");
}

static bool an_error_makes_it_do_nothing(one *o)
{
    gr_ctx *c = context(GR_F32);
    gr_tensor *x = make(c, o, GR_F32);
    gr_fail(c, GR_EVALUE, "first");
    bool ok = x && !o->sample->make(c) && !gr_forward(o->m, x) && strcmp(gr_message(c), "first") == 0;
    gr_ctx_free(c);
    return ok || say(o, "it does not respect an error that stands");
}

static one *current;
static void forward_and_backward(gr_ctx *c)
{
    GR_SCOPE(c);
    gr_tensor *x = make(c, current, GR_F32);
    gr_tensor *y = gr_forward(current->m, x);
    if (gr_needs_grad(y)) gr_backward(gr_sum(y, .keepdim = false));
    gr_module *again = current->sample->make(c);
    gr_load_state(again, gr_state(current->m));
    char text[512];
    gr_module_summary(again, text, sizeof text);
}

static bool survives_any_allocation_failure(one *o)
{
    current = o;
    test_errors = 0;
    test_every_allocation(forward_and_backward);
    return test_errors == 0 || say(o, "a failed allocation is not handled");
}

static bool complete(const gr_layer *l)
{
    bool ok = l->name && l->formula && l->forward && l->samples && l->samples[0].input && gr_layer_find(l->name) == l;
    for (const gr_layer_sample *s = l->samples; ok && s->input; s++) {
        input_spec in[MAX_INPUTS];
        char words[8];
        gr_ctx *c = context(GR_F32);
        gr_module *m = s->make(c);
        ok = m && gr_module_layer(m) == l && parse_inputs(s->input, in) == 1;
        if (ok && l->describe) l->describe(m, words, sizeof words); /* cut, not overrun */
        gr_ctx_free(c);
    }
    if (!ok) printf("# %s: the record lacks a text, forward, or samples that make it\n", l->name ? l->name : "(no name)");
    return ok;
}

/* ---- the loop --------------------------------------------------------------------------------------------------*/
static const struct claim {
    const char *sentence;
    bool (*holds)(one *o);
} claims[] = {
    { "passes_the_gradient_check", gradients_agree },
    { "gives_every_parameter_a_gradient", every_parameter_gets_a_gradient },
    { "has_unique_names", names_are_unique },
    { "gives_the_same_results_from_a_copied_state", loading_the_state_gives_the_same_results },
    { "leaves_its_input_as_it_is", the_input_stays_as_it_is },
    { "does_nothing_while_an_error_stands", an_error_makes_it_do_nothing },
    { "survives_the_failure_of_every_allocation", survives_any_allocation_failure },
};

static bool holds_for_every_sample(const struct claim *k, const gr_layer *l)
{
    bool ok = true;
    for (const gr_layer_sample *s = l->samples; s && s->input; s++)
        for (layout y = DENSE; y < LAYOUTS; y++) {
            one o = { .layer = l, .sample = s, .layout = y };
            if (y != DENSE && k->holds != gradients_agree) continue; /* layouts matter to derivatives alone */
            ok = (parse_inputs(s->input, &o.in) == 1 && k->holds(&o)) && ok;
        }
    return ok;
}

int main(int argc, char **argv)
{
    int failed = 0, ran = 0;
    char name[160];
    for (int i = 0; i < gr_layer_count(); i++) {
        const gr_layer *l = gr_layer_at(i);
        if (argc > 1 && strcmp(argv[1], l->name) != 0) continue;
        bool whole = complete(l);
        snprintf(name, sizeof name, "%s_has_a_complete_record", l->name);
        failed += test_report(++ran, name, whole);
        if (!whole) continue;
        for (size_t k = 0; k < sizeof claims / sizeof *claims; k++) {
            snprintf(name, sizeof name, "%s_%s", l->name, claims[k].sentence);
            failed += test_report(++ran, name, holds_for_every_sample(&claims[k], l));
        }
        snprintf(name, sizeof name, "%s_differs_in_training_only_as_documented", l->name);
        failed += test_report(++ran, name, modes_differ_only_where_documented(l));
    }
    printf("1..%d\n", ran);
    return failed || !ran;
}
