/* What every function that is differentiated must keep to, whatever its values:
 *
 *   the same x give the same y, and leave x as it was; the same sweep gives the same gradient;
 *   the gradient is linear in the cotangent:  J^T 0 = 0,  J^T (w / 2 - 2 v) = J^T w / 2 - 2 J^T v;
 *   the sweep that can be differentiated (vjp) gives what the fused one (backward) gives;
 *   <v, J u> = <J^T v, u>;  the memory of x and dy makes no difference (layout.c).
 *
 * Knows no operation and no difference.
 * SPDX-License-Identifier: MIT */
#include "core/contract.h"

#include <math.h>
#include <string.h>

/* ---- inputs ----------------------------------------------------------------------------------------------------*/
static void hash_run(int64_t n, char *const *p, const int64_t *stride, void *user)
{
    uint64_t *h = user; /* FNV-1a; h[1]: bytes of an element */
    for (int64_t i = 0; i < n; i++)
        for (uint64_t b = 0; b < h[1]; b++) *h = (*h ^ (unsigned char)p[0][i * stride[0] * (int64_t)h[1] + (int64_t)b]) * 0x100000001B3u;
}

static uint64_t checksum(const gr_tensor *x)
{
    uint64_t h[2] = { 0xCBF29CE484222325u, x ? gr__type_size((gr_type)x->dtype) : 0 };
    if (x) gr__strided(1, &x, hash_run, h);
    return h[0];
}

static uint64_t all_inputs(const gr_check *k)
{
    uint64_t h = 0;
    for (int i = 0; i < k->n; i++) h = h * 31 + checksum(k->x[i]);
    return h;
}

const char *gr__contract_name(const gr_check *k, int i, char out[64])
{
    if (k->x[i] && k->x[i]->name) snprintf(out, 64, "input %d \"%.40s\"", i, k->x[i]->name);
    else snprintf(out, 64, "input %d", i);
    return out;
}

static bool same_bits(const double *a, const double *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i]))) return false;
    return true;
}

/* What was made while fn ran: is something used that needs a gradient, was there before, and is none of x? */
static void made(void *user, const gr_call *call, gr_tensor *y)
{
    contract *t = user;
    t->coarse = t->coarse || y->dtype == GR_F32;
    for (int i = 0; i < call->n; i++) {
        gr_tensor *in = call->in[i];
        bool ours = !gr_needs_grad(in) || in->scope >= t->depth;
        for (int j = 0; j < t->k->n && !ours; j++) ours = in == t->k->x[j];
        if (!ours && !t->captured) t->captured = in;
    }
}

static void here(void *user, gr_tensor *y, const char *code, const char *file, int line)
{
    contract *t = user;
    (void)code;
    t->last = y, t->file = file, t->line = line;
}

/* ---- y -----------------------------------------------------------------------------------------------------------*/
gr_tensor *gr__contract_call(contract *t, bool listen)
{
    gr_ctx *c = t->k->c;
    const gr_observer *before = c->observer, ear = { .user = t, .made = made, .here = here };
    t->depth = c->depth;
    if (listen) c->observer = &ear;
    gr_tensor *y = gr__check_call(t->k, t->k->x);
    c->observer = before;
    if (!gr__ready(y) && c->code == GR_OK) gr_fail(c, GR_EVALUE, "gr_gradcheck: the function returned NULL. Fix: return its result");
    else if (gr__ready(y) && !gr_is_float(y)) gr_fail(c, GR_EDTYPE, "gr_gradcheck: the function returned %s, which has no gradient. Fix: return a float tensor",
                                                      gr_dtype_name((gr_type)y->dtype));
    return gr__ready(y) ? y : NULL;
}

static bool unchanged(contract *t, const uint64_t *before)
{
    char text[64];
    for (int i = 0; i < t->k->n; i++)
        if (checksum(t->k->x[i]) != before[i]) {
            gr__check_say(t->k, GR_CHECK_FAIL, "the function writes to its %s: the gradient belongs to the values before or after, and the caller's "
                          "tensor changes. Write to a copy", gr__contract_name(t->k, i, text));
            return false;
        }
    return true;
}

/* fn twice, from the state of the random stream that it finds; then once more with the state of the first time. */
static bool deterministic(contract *t, bool *ok)
{
    gr_check *k = t->k;
    GR_SCOPE(k->c);
    uint64_t *sums = gr__arena_alloc(gr__scope_now(k->c), (size_t)k->n * sizeof *sums), seed = k->c->seed, drawn = k->c->drawn;
    if (!sums) return false;
    for (int i = 0; i < k->n; i++) sums[i] = checksum(k->x[i]);
    gr_tensor *y[3] = { gr__contract_call(t, true) };
    if (!y[0]) return false;
    snprintf(k->report->subject, sizeof k->report->subject, "%s", y[0]->op ? y[0]->op->name : "");
    if (t->last == y[0]) snprintf(k->report->place, sizeof k->report->place, "%.48s:%d", gr__check_file(t->file), t->line);
    double *v = gr__check_doubles(k->c, 2 * y[0]->numel), *w = v + y[0]->numel;
    if (!v || !gr_read(y[0], v) || !(*ok = unchanged(t, sums))) return v != NULL && k->c->code == GR_OK;
    if (!(y[1] = gr__contract_call(t, false)) || !(*ok = y[1]->numel == y[0]->numel) || !gr_read(y[1], w)) return k->c->code == GR_OK;
    if ((*ok = same_bits(v, w, y[0]->numel))) return (*ok = unchanged(t, sums)), true;
    k->c->seed = seed;
    k->c->drawn = drawn;
    if (!(y[2] = gr__contract_call(t, false)) || !gr_read(y[2], w)) return false;
    int64_t at = 0;
    while (at + 1 < y[0]->numel && same_bits(v + at, w + at, 1)) at++;
    if (same_bits(v, w, y[0]->numel))
        gr__check_say(k, GR_CHECK_NONDETERMINISTIC, "the function draws random numbers, so each call is another function. Call gr_seed inside it, or check it with .reseed");
    else
        gr__check_say(k, GR_CHECK_NONDETERMINISTIC, "the function gives another result each time, with the same inputs and the same random stream: y[%lld] "
                      "was %.9g, then %.9g. It depends on something outside", (long long)at, v[at], w[at]);
    return true;
}

/* ---- gradients -------------------------------------------------------------------------------------------------*/
bool gr__contract_sweep(contract *t, gr_tensor *y, gr_tensor *v, bool composed, double *out, bool *used)
{
    gr_check *k = t->k;
    GR_SCOPE(k->c);
    gr_tensor **g = gr__arena_alloc(gr__scope_now(k->c), (size_t)k->num_targets * sizeof *g);
    memset(out, 0, (size_t)t->n * sizeof *out);
    if (!g || !gr_grads(y, k->target, k->num_targets, g, .grad = v, .retain_graph = true, .create_graph = composed, .allow_unused = true))
        return false;
    for (int i = 0; i < k->num_targets; i++) {
        if (used) used[i] = g[i] != NULL;
        if (g[i] && !gr_read(g[i], out + k->first[i])) return false;
    }
    return true;
}

/* ---- rounding ---------------------------------------------------------------------------------------------------*/
#define RUNS 6
#define SAFETY 16

/* far[element] = how far rounding, to f32 if coarse, moves the gradient, *value the same of y: inputs and results in f64 are
 * moved by a unit in their last place. *piece: the decisions where nothing is moved; a unit of f64 must not change them. */
static bool condition(contract *t, bool coarse, double *far, double *value, uint64_t *piece)
{
    gr_check *k = t->k;
    GR_SCOPE(k->c);
    double *part = gr__check_doubles(k->c, 3 * t->n), *from = part + t->n, *want = from + t->n, *v = NULL;
    int64_t m = 0;
    if (!part) return false;
    for (int i = 0; i < k->num_targets; i++)
        if (!gr_read(k->target[i], from + k->first[i])) return false;
    memset(far, 0, (size_t)t->n * sizeof *far);
    *value = 0;
    for (uint64_t run = 0; run <= RUNS; run++) {
        gr_branches heard = { .shake = run, .coarse = coarse, .spare_f32 = !t->coarse };
        gr_observer ear;
        const gr_observer *before = gr__branches_listen(k->c, &heard, &ear);
        gr__noise_inputs(k, from, coarse ? 0x1p-23 : 0x1p-52, run);
        gr_tensor *y = gr__contract_call(t, false);
        const uint64_t way = heard.hash;
        bool ran = y && gr_needs_grad(y) && gr__contract_sweep(t, y, gr__check_weights(y, 1), false, run ? part : want, NULL);
        k->c->observer = before;
        gr__noise_inputs(k, from, 0, 0);
        if (k->c->code == GR_EVALUE) gr_clear_error(k->c);
        if (ran && !v && (v = gr__check_doubles(k->c, 2 * y->numel))) ran = gr_read(y, v), m = y->numel;
        if (ran && v && y->numel == m) ran = gr_read(y, v + m);
        if (k->c->code != GR_OK) return false;
        if (run == 0) *piece = way;
        if (!ran || run == 0 || (!coarse && way != *piece)) continue;
        for (int64_t e = 0; e < t->n; e++) far[e] = isfinite(part[e]) ? fmax(far[e], fabs(part[e] - want[e])) : coarse ? INFINITY : far[e];
        for (int64_t i = 0; i < m; i++) *value = isfinite(v[i] - v[m + i]) ? fmax(*value, fabs(v[i] - v[m + i])) : *value;
    }
    return true;
}

static bool measure_rounding(contract *t)
{
    gr_check *k = t->k;
    GR_SCOPE(k->c);
    size_t bytes = 2 * (size_t)k->n * sizeof *k->x; /* k->target lies behind k->x */
    gr_tensor **now = gr__arena_alloc(gr__scope_now(k->c), bytes);
    uint64_t piece;
    if (!now) return false;
    memcpy(now, k->x, bytes);
    memcpy(k->x, t->x, bytes);
    t->moved = t->room;
    bool ok = condition(t, false, t->moved, &t->moved_value, &piece);
    memcpy(k->x, now, bytes);
    return ok;
}

double gr__contract_rounding(contract *t, int64_t element)
{
    if (!t->moved && !measure_rounding(t)) return INFINITY; /* an error stands */
    return SAFETY * (element < 0 ? t->moved_value : t->moved[element]);
}

/* ---- what is compared ------------------------------------------------------------------------------------------------*/
/* The first element where a and b differ by more than t->close of the largest of its input, and by more than rounding explains;
 * -1 if none does. */
static int64_t differs(contract *t, const double *a, const double *b)
{
    for (int i = 0; i < t->k->num_targets; i++) {
        double largest = 0;
        int64_t from = t->k->first[i], to = t->k->first[i + 1];
        for (int64_t e = from; e < to; e++)
            if (isfinite(a[e]) && isfinite(b[e])) largest = fmax(largest, fmax(fabs(a[e]), fabs(b[e])));
        for (int64_t e = from; e < to; e++)
            if (isfinite(a[e]) && isfinite(b[e]) && fabs(a[e] - b[e]) > t->close * largest + TINY && fabs(a[e] - b[e]) > gr__contract_rounding(t, e)) return e;
    }
    return -1;
}

bool gr__contract_agree(contract *t, const double *a, const double *b, const char *what)
{
    int64_t e = differs(t, a, b);
    if (e < 0) return true;
    char place[64];
    int i = 0;
    while (e >= t->k->first[i + 1]) i++;
    gr__check_place(t->k->target[i], "x", t->k->number[i], e - t->k->first[i], place, sizeof place);
    gr__check_say(t->k, GR_CHECK_FAIL, "%s: at %s %.9g and %.9g", what, place, a[e], b[e]);
    return false;
}

static void fill(gr_tensor *t, const gr_tensor *v, double a, const gr_tensor *w, double b)
{
    for (int64_t i = 0; i < t->numel; i++) {
        if (t->dtype == GR_F32) {
            float *out = (float *)(void *)t->data;
            out[i] = (float)(a * (double)((float *)(void *)v->data)[i] + b * (double)((float *)(void *)w->data)[i]);
        } else {
            ((double *)(void *)t->data)[i] = a * ((double *)(void *)v->data)[i] + b * ((double *)(void *)w->data)[i];
        }
    }
}

static bool linear(contract *t, gr_tensor *y, bool *ok)
{
    gr_check *k = t->k;
    double *g = gr__check_doubles(k->c, 3 * t->n), *h = g + t->n, *both = h + t->n;
    gr_tensor *v = gr__check_weights(y, 1), *w = gr__check_weights(y, 99), *mix = gr_zeros_like(y);
    if (!g || !v || !w || !mix || !gr__contract_sweep(t, y, mix, false, g, NULL)) return false;
    for (int64_t e = 0; e < t->n; e++)
        if (g[e] != 0 && !isnan(g[e])) { /* a NaN is found where elements are looked at */
            gr__check_say(k, GR_CHECK_FAIL, "a zero cotangent gives the gradient %.6g: it is not multiplied by dy", g[e]);
            return !(*ok = false);
        }
    uint64_t before = checksum(v), value = checksum(y), inputs = all_inputs(k);
    if (!gr__contract_sweep(t, y, v, false, g, NULL) || !gr__contract_sweep(t, y, v, false, h, NULL)) return false;
    if (checksum(v) != before || checksum(y) != value || all_inputs(k) != inputs) {
        gr__check_say(k, GR_CHECK_FAIL, "the backward sweep writes to %s, which others still read. Write to a copy",
                      checksum(v) != before ? "dy" : checksum(y) != value ? "y" : "an input");
        return !(*ok = false);
    }
    if (!same_bits(g, h, t->n)) {
        gr__check_say(k, GR_CHECK_NONDETERMINISTIC, "two sweeps over one graph give different gradients");
        return !(*ok = false);
    }
    if (!gr__contract_sweep(t, y, v, true, h, NULL)) return false;
    if (!(*ok = gr__contract_agree(t, g, h, "backward and vjp of a record differ"))) return true;
    if (!gr__contract_sweep(t, y, w, false, h, NULL)) return false;
    fill(mix, v, -2, w, 0.5);
    if (!gr__contract_sweep(t, y, mix, false, both, NULL)) return false;
    for (int64_t e = 0; e < t->n; e++) g[e] = 0.5 * h[e] - 2 * g[e];
    *ok = gr__contract_agree(t, g, both, "the gradient is not linear in dy: J^T (w / 2 - 2 v) is not J^T w / 2 - 2 J^T v");
    return true;
}

/* <v, J u> and <J^T v, u>: J u is the derivative of J^T v by v, so this fails where vjp does not treat dy as it says. */
static bool transposed(contract *t, gr_tensor *y, bool *ok)
{
    gr_check *k = t->k;
    for (int i = 0; i < k->num_targets; i++) {
        GR_SCOPE(k->c);
        gr_tensor *x = k->target[i], *u = gr__check_weights(x, 7), *v = gr__check_weights(y, 8), *ju = gr_jvp(y, x, u), *jv = ju ? gr_vjp(y, x, v) : NULL;
        if (!ju || !jv) return false;
        double size = 0, more = 0, a = gr__check_dot(v, ju, &size), b = gr__check_dot(jv, u, &more);
        if (!isfinite(a) || !isfinite(b) || fabs(a - b) <= t->close * (size + more) + TINY || x->numel == 0) continue;
        double rounding = 0;
        for (int64_t e = k->first[i]; e < k->first[i + 1]; e++) rounding += gr__contract_rounding(t, e);
        if (fabs(a - b) <= rounding) continue;
        char text[64];
        gr__check_say(k, GR_CHECK_FAIL, "vjp and jvp by %s disagree: <v, J u> is %.9g, <J^T v, u> is %.9g: the transpose is wrong, not only the formula: is dy "
                      "used without the graph (detached, or read as numbers)?", gr__contract_name(k, i, text), a, b);
        *ok = false;
    }
    return true;
}

/* ---- f32 -------------------------------------------------------------------------------------------------------*/
#define FAR_F32 1e-2   /* of the largest element: more than rounding of a function in good condition */
#define SAFETY_F32 16
#define UNITS_F32 1024 /* inside one operation: sums of so many terms */

/* The worst element of input i in f32 against f64: a mistake, or digits that f32 does not have? */
static void compare_f32(contract *t, int i, const double *seen, const double *want, const double *far, bool same_piece)
{
    gr_check *k = t->k;
    double largest = 0, moved = 0, worst = 0;
    int64_t at = 0, first = k->first[i];
    if (!k->target[i]->numel) return;
    for (int64_t e = 0; e < k->target[i]->numel; e++) {
        double d = fabs(seen[e] - want[first + e]);
        if (!isfinite(want[first + e])) continue;
        largest = fmax(largest, fabs(want[first + e]));
        moved = fmax(moved, far[first + e]);
        if (!(d <= worst)) worst = isnan(d) ? INFINITY : d, at = e;
    }
    char place[64];
    gr__check_place(k->target[i], "x", k->number[i], at, place, sizeof place);
    if (same_piece && worst > SAFETY_F32 * moved + UNITS_F32 * 0x1p-24 * largest)
        gr__check_say(k, GR_CHECK_FAIL, "in f32 the gradient at %s is %.6g, in f64 %.6g, and rounding explains %.1g of that: the code for f32 is another", place, seen[at],
                      want[first + at], moved);
    else if (worst > FAR_F32 * largest)
        gr__check_note(k, "in f32 the gradient at %s is %.6g, in f64 %.6g: f32 has too few digits for this function here", place, seen[at], want[first + at]);
}

/* Everything else is in f64. Where the caller has f32: is the gradient in f32 the same? */
static bool also_in_f32(contract *t, const double *want)
{
    gr_check *k = t->k;
    GR_SCOPE(k->c);
    double *part = gr__check_doubles(k->c, 2 * t->n), *far = part + t->n;
    gr_tensor **g = gr__arena_alloc(gr__scope_now(k->c), 2 * (size_t)k->num_targets * sizeof *g), **x = g + k->num_targets, *y = NULL;
    gr_tensor **in = gr__arena_alloc(gr__scope_now(k->c), (size_t)k->n * sizeof *in);
    uint64_t piece = 0;
    double value;
    bool any = false;
    if (!part || !g || !in) return false;
    for (int i = 0; i < k->num_targets; i++) {
        x[i] = k->given[k->number[i]];
        any = any || x[i]->dtype == GR_F32;
    }
    if (!any) return true;
    if (!condition(t, true, far, &value, &piece)) return false;
    memcpy(in, k->given, (size_t)k->n * sizeof *in);
    gr_branches heard = { 0 };
    gr_observer ear;
    const gr_observer *before = gr__branches_listen(k->c, &heard, &ear);
    y = gr__check_call(k, in);
    k->c->observer = before;
    bool ran = y && gr_needs_grad(y) && gr_grads(y, x, k->num_targets, g, .grad = gr__check_weights(y, 1), .allow_unused = true);
    if (!ran && k->c->code != GR_OK && k->c->code != GR_ENOMEM) {
        gr__check_note(k, "in f32 the function fails: %.200s", k->c->message);
        gr_clear_error(k->c);
    }
    for (int i = 0; ran && i < k->num_targets; i++)
        if (g[i] && gr_read(g[i], part)) compare_f32(t, i, part, want, far, heard.hash == piece);
    return k->c->code == GR_OK;
}

/* ---- all of it -------------------------------------------------------------------------------------------------*/
static void note_captured(contract *t)
{
    char text[256];
    if (!t->captured) return;
    gr__format_tensor_ref(text, sizeof text, t->captured);
    gr__check_note(t->k, "the function uses %.100s, which needs a gradient and is no input: it is not checked", text);
}

void gr__check_unused(gr_check *k)
{
    char text[64];
    for (int i = 0; i < k->num_targets; i++)
        if (!k->used[i]) gr__check_note(k, "the result does not depend on %s", gr__contract_name(k, k->number[i], text));
}

/* A gradient of the wrong shape or dtype is a finding, not a failure to run. */
static bool refused(gr_check *k)
{
    if ((k->c->code != GR_ESHAPE && k->c->code != GR_EDTYPE) || !strstr(k->c->message, ": vjp of ")) return false;
    gr__check_say(k, GR_CHECK_FAIL, "%.440s", strstr(k->c->message, "vjp of "));
    gr_clear_error(k->c);
    return true;
}

bool gr__check_contract(gr_check *k)
{
    GR_SCOPE(k->c);
    contract t = { .k = k, .n = k->first[k->num_targets] };
    bool ok = true;
    double *g = gr__check_doubles(k->c, t.n);
    t.room = gr__check_doubles(k->c, t.n);
    t.x = gr__arena_alloc(gr__scope_now(k->c), 2 * (size_t)k->n * sizeof *t.x);
    if (t.x) memcpy(t.x, k->x, 2 * (size_t)k->n * sizeof *t.x);
    if (!g || !t.room || !t.x || !deterministic(&t, &ok)) return false;
    if (!ok) return k->report->verdict > GR_CHECK_KINK;
    gr_tensor *y = gr__contract_call(&t, false);
    if (!y) return false;
    k->coarse = t.coarse;
    t.close = t.coarse ? CLOSE_F32 : CLOSE;
    if (gr_needs_grad(y) && k->num_targets) {
        bool ran = gr__contract_sweep(&t, y, gr__check_weights(y, 1), false, g, k->used) && linear(&t, y, &ok) && (!ok || gr__contract_layouts(&t, y, g, &ok)) &&
                   (!ok || transposed(&t, y, &ok)) && (!ok || also_in_f32(&t, g));
        if (!ran) return refused(k);
    }
    note_captured(&t);
    return true;
}
