/* The loop over the registry for what is defined in pieces: along random lines through the numbers of each sample, value and
 * derivatives are followed into the half where they change more. What is smooth changes less and less; a jump stays, and then
 * record.branch must have decided otherwise on its two sides. Whoever adds a record is checked here, and edits nothing.
 * SPDX-License-Identifier: MIT */
#define TEST_OWN_MAIN
#include "tests/samples.h"

enum { LINES = 3, PARTS = 8, MOST = 4096 };
#define NARROW 0x1p-24 /* of a line: what is smooth changes by less than SMOOTH over so little */
#define SMOOTH 1e-3    /* of what it changes by along all of it */

typedef struct line {
    const gr_op *op, *deaf; /* deaf: its branch is not heard */
    const gr_sample *sample;
    input_spec in[MAX_INPUTS];
    int n;
    double *from[MAX_INPUTS], *to[MAX_INPUTS];
    uint64_t heard;
} line;

typedef struct point {
    double v[MOST]; /* y, then its derivatives */
    int64_t n;
    uint64_t heard;
} point;

static void hear(void *user, const gr_call *k, gr_tensor *y)
{
    line *l = user;
    gr_ctx *c = y->ctx;
    const gr_observer *ear = c->observer;
    GR_SCOPE(c);
    GR_NO_GRAD(c);
    c->observer = NULL;
    gr_tensor *d = !gr_is_float(y) ? y : k->op->branch && k->op != l->deaf ? k->op->branch(k, y) : NULL;
    double v[MOST];
    if (d && d->numel <= MOST && gr_read(d, v))
        for (int64_t i = 0; i < d->numel; i++) l->heard = (l->heard * 31 + (uint64_t)(int64_t)(v[i] * 2)) * 0x100000001B3u;
    c->observer = ear;
}

/* The point at t of the line; integers stay, a bool changes in the middle. */
static bool at(line *l, double t, point *p)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    gr_observer ear = { .user = l, .made = hear };
    gr_tensor *x[MAX_INPUTS], *g = NULL;
    double v[MOST];
    for (int i = 0; i < l->n; i++) {
        x[i] = gr_zeros(c, l->in[i].shape, .dtype = l->in[i].type ? l->in[i].type : GR_F64);
        bool moves = l->in[i].type == 0 && !l->in[i].constant;
        for (int64_t e = 0; e < gr_numel(x[i]); e++)
            v[e] = moves ? l->from[i][e] + t * (l->to[i][e] - l->from[i][e]) : l->in[i].type == GR_BOOL && t > 0.5 ? l->to[i][e] : l->from[i][e];
        gr_write(x[i], v);
        if (moves) gr_requires_grad(x[i]);
    }
    l->heard = 0;
    c->observer = &ear;
    gr_tensor *y = l->sample->call ? l->sample->call(x) : gr_apply(l->op, x, l->n, NULL);
    c->observer = NULL;
    bool ok = y && gr_is_float(y) && gr_numel(y) <= MOST && gr_read(y, p->v);
    p->n = ok ? gr_numel(y) : 0;
    p->heard = l->heard;
    gr_tensor *w = ok ? gr_add(gr_mul(gr_sin(gr_arange(c, 0, (double)gr_numel(y), 1, .dtype = GR_F64)), 0.5), 1) : NULL;
    for (int i = 0; i < l->n && ok && gr_needs_grad(y); i++) {
        if (!gr_needs_grad(x[i]) || p->n + gr_numel(x[i]) > MOST) continue;
        ok = gr_grads(y, &x[i], 1, &g, .grad = gr_reshape(w, gr_dims_like(y)), .retain_graph = true, .zero_unused = true) && gr_read(g, p->v + p->n);
        p->n += gr_numel(x[i]);
    }
    gr_ctx_free(c);
    return ok;
}

static double change(const point *a, const point *b)
{
    double most = 0;
    for (int64_t i = 0; i < a->n; i++) most = fmax(most, isfinite(a->v[i]) && isfinite(b->v[i]) ? fabs(a->v[i] - b->v[i]) : 0);
    return most;
}

/* Is there a jump between low and high that nobody has heard? */
static bool silent_jump(line *l, double low, double high, double whole)
{
    point a, b, middle;
    bool ok = at(l, low, &a) && at(l, high, &b);
    while (ok && high - low > NARROW) {
        if (a.heard != b.heard || change(&a, &b) <= SMOOTH * whole) return false;
        double half = (low + high) / 2;
        ok = at(l, half, &middle);
        if (change(&a, &middle) > change(&middle, &b)) b = middle, high = half;
        else a = middle, low = half;
    }
    return ok && a.heard == b.heard && change(&a, &b) > SMOOTH * whole;
}

/* Of this record, each sample along some lines; *varies: anything changes at all. */
static bool jumps(const gr_op *op, const gr_op *deaf, const char **where, bool *varies)
{
    sample_state = 5;
    for (const gr_sample *s = op->samples; s && s->inputs; s++)
        for (int k = 0; k < LINES; k++) {
            line l = { .op = op, .deaf = deaf, .sample = s };
            point first, last;
            bool found = false;
            l.n = parse_inputs(s->inputs, l.in);
            for (int i = 0; i < l.n; i++) {
                int64_t size = 1;
                for (int d = 0; d < l.in[i].shape.n; d++) size *= l.in[i].shape.v[d];
                l.from[i] = malloc(2 * (size_t)(size + 1) * sizeof(double));
                l.to[i] = l.from[i] + size;
                for (int64_t e = 0; e < 2 * size; e++) l.from[i][e] = gr__sample_value(&l.in[i], &sample_state);
            }
            if (at(&l, 0, &first) && at(&l, 1, &last)) {
                double whole = change(&first, &last);
                *varies = *varies || whole > 0;
                for (int i = 0; i < PARTS && !found && whole > 0; i++) found = silent_jump(&l, (double)i / PARTS, (double)(i + 1) / PARTS, whole);
            }
            for (int i = 0; i < l.n; i++) free(l.from[i]);
            if (found) return *where = s->inputs, true;
        }
    return false;
}

/* Bends only where a logarithm falls to -100, far from the numbers of any sample. */
static bool out_of_reach(const gr_op *op) { return op == &gr_op_bce; }

int main(void)
{
    int failed = 0, ran = 0;
    for (int i = 0; i < gr_op_count(); i++) {
        const gr_op *op = gr_op_at(i);
        const char *where = "";
        char name[128];
        bool varies = false, ok = !jumps(op, NULL, &where, &varies);
        if (!ok) printf("# sample \"%s\": a value or a derivative jumps, and no record.branch says so\n", where);
        snprintf(name, sizeof name, "%s_bends_only_where_it_says_so", op->name);
        failed += test_report(++ran, name, ok);
        if (!op->branch || !varies || out_of_reach(op)) continue;
        snprintf(name, sizeof name, "%s_without_its_branch_is_found", op->name);
        failed += test_report(++ran, name, jumps(op, op, &where, &varies));
    }
    printf("1..%d\n", ran);
    return failed || !ran;
}
