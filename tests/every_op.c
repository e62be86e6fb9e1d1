/* The loop over the registry: whoever adds an operation record is checked here, and edits nothing.
 * SPDX-License-Identifier: MIT */
#define TEST_OWN_MAIN
#include "tests/samples.h"

typedef struct one {
    const gr_op *op;
    const gr_sample *sample;
    input_spec in[MAX_INPUTS];
    int n;
    layout layout;
    gr_type type;
} one;

static const char *const layout_name[] = { "dense", "reversed", "spaced", "expanded" };

static bool say(const one *o, const char *what)
{
    printf("# %s: sample \"%s\", %s: %s\n", o->op->name, o->sample->inputs, layout_name[o->layout], what);
    return false;
}

static gr_tensor *call(gr_tensor **base, void *user)
{
    const one *o = user;
    gr_tensor *x[MAX_INPUTS];
    for (int i = 0; i < o->n; i++) x[i] = from_base(base[i], &o->in[i], o->layout);
    return o->sample->call ? o->sample->call(x) : gr_apply(o->op, x, o->op->arity, NULL);
}

static bool make(gr_ctx *c, const one *o, gr_tensor **base)
{
    sample_state = 7;
    for (int i = 0; i < o->n; i++)
        if (!(base[i] = make_base(c, &o->in[i], o->type, o->layout))) return false;
    return true;
}

/* ---- values: every application of the operation, wherever it happens, against the record's reference --------------------*/
typedef struct watch {
    const gr_op *op;
    double worst;
    int seen;
} watch;

static double *read_all(const gr_tensor *t)
{
    double *v = malloc((size_t)(t->numel + 1) * sizeof *v);
    gr_read(t, v);
    return v;
}

static void compare_with_reference(void *user, const gr_call *k, gr_tensor *y)
{
    watch *w = user;
    if (k->op != w->op || k->n > MAX_INPUTS) return;
    w->seen++;
    double *x[MAX_INPUTS], *got = read_all(y), *want = malloc((size_t)(y->numel + 1) * sizeof *want);
    for (int i = 0; i < k->n; i++) x[i] = read_all(k->in[i]);
    for (int64_t e = 0; e < y->numel && k->op->reference; e++) {
        double one_of_each[MAX_INPUTS];
        for (int i = 0; i < k->n; i++) one_of_each[i] = x[i][e];
        want[e] = k->op->reference(one_of_each);
    }
    if (k->op->reference_tensor) k->op->reference_tensor(k, x, want);
    for (int64_t e = 0; e < y->numel; e++) {
        double error = fabs(got[e] - want[e]) / fmax(1, fabs(want[e]));
        if (isnan(want[e]) && isnan(got[e])) continue;
        if (!(error <= w->worst)) w->worst = error;
    }
    for (int i = 0; i < k->n; i++) free(x[i]);
    free(got);
    free(want);
}

static bool values_agree(one *o)
{
    int seen = 0;
    for (o->type = GR_F32; o->type <= GR_F64; o->type++) {
        gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = o->type });
        watch w = { .op = o->op };
        gr_observer ob = { .user = &w, .made = compare_with_reference };
        gr_tensor *base[MAX_INPUTS];
        c->observer = &ob;
        gr_tensor *y = make(c, o, base) ? call(base, o) : NULL;
        bool ok = y && !gr_failed(c) && w.worst <= (o->type == GR_F32 ? 2e-6 : 1e-14);
        if (!ok) say(o, gr_failed(c) ? gr_message(c) : "value differs from the reference");
        seen += w.seen;
        gr_ctx_free(c);
        if (!ok) return false;
    }
    return seen > 0 || say(o, "does not call the operation");
}

/* What says that it moves elements gives no other ones. */
static bool moves(one *o)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    o->type = GR_F64;
    gr_tensor *base[MAX_INPUTS], *y = make(c, o, base) ? call(base, o) : NULL;
    double *got = y ? read_all(y) : NULL, *in[MAX_INPUTS] = { 0 };
    bool ok = got != NULL;
    for (int i = 0; i < o->n; i++) in[i] = read_all(base[i]);
    for (int64_t e = 0; ok && e < y->numel; e++) {
        bool found = got[e] == 0;
        for (int i = 0; i < o->n; i++)
            for (int64_t k = 0; k < base[i]->numel && !found; k++) found = in[i][k] == got[e];
        ok = found;
    }
    for (int i = 0; i < o->n; i++) free(in[i]);
    free(got);
    gr_ctx_free(c);
    return ok || say(o, "the record has GR_OP_MOVES, but elements are changed");
}

/* ---- derivatives -----------------------------------------------------------------------------------------------------------*/
static bool gradients_agree(one *o)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    gr_tensor *base[MAX_INPUTS];
    gr_gradcheck_report r = { 0 };
    o->type = GR_F64;
    bool ok = make(c, o, base) && gr_gradcheck(call, o, base, o->n, &r);
    if (!ok) {
        say(o, gr_failed(c) ? gr_message(c) : "the gradient check does not pass");
        test_show_check(&r);
    }
    gr_ctx_free(c);
    return ok;
}

/* The sweep that records takes vjp, the one that does not takes the fused backward; f32 is compared with f64. */
static bool sweeps_agree(one *o)
{
    double *kept[MAX_INPUTS] = { 0 };
    bool ok = true;
    for (int pass = 0; pass < 3 && ok; pass++) {
        o->type = pass == 2 ? GR_F32 : GR_F64;
        gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = o->type });
        gr_tensor *base[MAX_INPUTS], *g;
        ok = make(c, o, base);
        gr_tensor *y = ok ? call(base, o) : NULL;
        gr_tensor *weight = y ? gr_arange(c, 1, 1 + (double)y->numel, 1, .dtype = (gr_type)y->dtype) : NULL;
        if (y) { /* a cotangent that is not contiguous */
            gr_dims turned = gr_dims_like(y), order = turned;
            for (int d = 0; d < turned.n; d++) turned.v[d] = gr_shape(y)[turned.n - 1 - d], order.v[d] = turned.n - 1 - d;
            weight = gr_permute(gr_reshape(weight, turned), order);
        }
        for (int i = 0; i < o->n && ok && gr_needs_grad(y); i++) {
            if (!gr_needs_grad(base[i])) continue;
            ok = gr_grads(y, &base[i], 1, &g, .grad = weight, .retain_graph = true, .create_graph = pass == 0, .zero_unused = true);
            double *v = ok ? read_all(g) : NULL;
            for (int64_t e = 0; ok && pass && e < base[i]->numel; e++)
                ok = fabs(v[e] - kept[i][e]) <= (pass == 1 ? 1e-14 : 1e-4) * fmax(1, fabs(kept[i][e]));
            if (pass == 0) kept[i] = v;
            else free(v);
        }
        if (!ok) say(o, gr_failed(c) ? gr_message(c) : pass == 1 ? "backward differs from vjp" : "the f32 gradient differs");
        gr_ctx_free(c);
    }
    for (int i = 0; i < o->n; i++) free(kept[i]);
    return ok;
}

/* ---- failures ----------------------------------------------------------------------------------------------------------------*/
static one *current;
static void forward_and_backward(gr_ctx *c)
{
    GR_SCOPE(c);
    gr_tensor *base[MAX_INPUTS];
    if (!make(c, current, base)) return;
    gr_tensor *y = call(base, current);
    if (!gr_needs_grad(y)) return;
    gr_tensor *loss = gr_sum(gr_astype(y, GR_F64)), *g[MAX_INPUTS];
    gr_backward(loss, .retain_graph = true);
    for (int i = 0; i < current->n; i++)
        if (gr_needs_grad(base[i])) gr_grads(loss, &base[i], 1, &g[i], .create_graph = true, .zero_unused = true);
}

static bool survives_any_allocation_failure(one *o)
{
    current = o;
    o->type = GR_F32;
    test_errors = 0;
    test_every_allocation(forward_and_backward);
    return test_errors == 0 || say(o, "a failed allocation is not handled");
}

static bool bad_calls_are_refused(const gr_op *op)
{
    bool ok = true;
    for (const gr_bad_call *b = op->bad; b && b->inputs; b++) {
        gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
        one o = { .op = op, .type = GR_F64 };
        gr_tensor *x[MAX_INPUTS];
        o.n = parse_inputs(b->inputs, o.in);
        make(c, &o, x);
        gr_tensor *y = b->call(x);
        bool this = !y && gr_status(c) == b->code && strcmp(gr_message(c), b->message) == 0;
        if (!this) printf("# %s: \"%s\" gave %s, code %s:\n#   %s\n# expected code %s:\n#   %s\n", op->name, b->inputs, y ? "a tensor" : "NULL",
                          gr_code_name(gr_status(c)), gr_message(c), gr_code_name(b->code), b->message);
        gr_clear_error(c);
        this = this && gr_ones(c, GR_SHAPE(2)) && !gr_failed(c);
        gr_ctx_free(c);
        ok = ok && this;
    }
    return ok;
}

static bool complete(const gr_op *op)
{
    int samples = 0;
    for (const gr_sample *s = op->samples; s && s->inputs; s++) samples++;
    bool ok = op->name && op->formula && op->gradient && samples >= 6 && op->bad && (op->reference || op->reference_tensor) &&
              (op->forward || (op->flags & GR_OP_VIEW)) && gr_op_find(op->name) == op;
    if (!ok) printf("# %s: the record lacks a text, samples (%d of at least 6), bad calls or a reference\n", op->name, samples);
    return ok;
}

/* ---- the loop ------------------------------------------------------------------------------------------------------------------*/
static bool check(const gr_op *op, const gr_sample *s, layout l)
{
    one o = { .op = op, .sample = s, .layout = l };
    o.n = parse_inputs(s->inputs, o.in);
    if (o.n < 0) return say(&o, "cannot read the inputs");
    bool ok = values_agree(&o);
    if (op->flags & GR_OP_MOVES) ok = moves(&o) && ok;
    if (op->vjp) ok = gradients_agree(&o) && sweeps_agree(&o) && ok;
    if (l == DENSE || l == EXPANDED) ok = survives_any_allocation_failure(&o) && ok;
    return ok;
}

int main(int argc, char **argv)
{
    int failed = 0, ran = 0;
    for (int i = 0; i < gr_op_count(); i++) {
        const gr_op *op = gr_op_at(i);
        char name[128];
        if (argc > 1 && strcmp(argv[1], op->name) != 0) continue;
        snprintf(name, sizeof name, "%s_has_a_complete_record", op->name);
        failed += test_report(++ran, name, complete(op));
        for (layout l = DENSE; l < LAYOUTS; l++) {
            bool ok = true;
            for (const gr_sample *s = op->samples; s && s->inputs; s++) ok = check(op, s, l) && ok;
            snprintf(name, sizeof name, "%s_is_right_for_%s_inputs", op->name, layout_name[l]);
            failed += test_report(++ran, name, ok);
        }
        snprintf(name, sizeof name, "%s_refuses_bad_calls", op->name);
        failed += test_report(++ran, name, bad_calls_are_refused(op));
    }
    printf("1..%d\n", ran);
    return failed || !ran;
}
