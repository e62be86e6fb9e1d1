/* The memory of x and dy must make no difference: neither steps between elements, nor one element in many places, nor inputs
 * that share memory, nor one tensor in two places (whose gradients then add up). Nor must it make one which other inputs need
 * gradients, or that the function is called again before the sweep.
 *
 * Each variant is a run of the function against another with the same numbers, dense and apart.
 * Knows no operation.
 * SPDX-License-Identifier: MIT */
#include "core/contract.h"

#include <math.h>
#include <string.h>

#define PAIRS 3      /* of inputs that are made one, at most */
#define MOST_ALONE 8 /* inputs that are looked at alone */

/* ---- other memory ----------------------------------------------------------------------------------------------*/
/* A leaf of the shape of x in the memory of room. */
static gr_tensor *view(gr_tensor *room, const gr_tensor *x, const int64_t *stride)
{
    gr_scope *s = gr__scope_now(x->ctx);
    gr_tensor *y = room ? gr__node(x->ctx, s, (gr_type)x->dtype, x->ndim, x->dims, 0, 0) : NULL;
    if (y) gr__share_memory(s, y, room, 0, stride);
    return y;
}

/* The values of x in every second place of twice the memory; x itself if it has no dimension. */
static gr_tensor *spaced(gr_tensor *x)
{
    gr_dims twice = gr_dims_like(x);
    if (!x->ndim || x->numel < 2) return x;
    twice.v[x->ndim - 1] *= 2;
    gr_tensor *room = gr_full(x->ctx, twice, 1e9, .dtype = (gr_type)x->dtype), *y;
    int64_t stride[GR_MAX_RANK];
    for (int d = 0, n = 2; d < x->ndim; d++) {
        stride[d] = n;
        for (int i = d + 1; i < x->ndim; i++) stride[d] *= x->dims[i];
    }
    return (y = view(room, x, stride)) && gr_copy_to(y, x) ? y : NULL;
}

static gr_tensor *copied(gr_tensor *x)
{
    gr_tensor *y = gr_empty_like(x);
    return y && gr_copy_to(y, x) ? y : NULL;
}

/* The first entry along the last dimension in place of all, in memory that holds it once. */
static gr_tensor *expanded(gr_tensor *x)
{
    int64_t stride[GR_MAX_RANK];
    int last = x->ndim - 1;
    if (last < 0 || x->numel < 2) return x;
    memcpy(stride, gr__stride(x), (size_t)x->ndim * sizeof *stride);
    stride[last] = 0;
    return view(x, x, stride);
}

static gr_tensor *repeated(gr_tensor *x) /* the same numbers, each in its place */
{
    gr_tensor *y = expanded(x);
    return y ? copied(y) : NULL;
}

/* ---- runs ------------------------------------------------------------------------------------------------------*/
/* A run that failed for another reason than memory says nothing. */
static bool no_answer(gr_ctx *c)
{
    if (c->code == GR_OK || c->code == GR_ENOMEM) return false;
    gr_clear_error(c);
    return true;
}

static bool refused(contract *t, const char *what)
{
    gr_ctx *c = t->k->c;
    if (c->code == GR_OK || c->code == GR_ENOMEM) return false;
    gr__check_say(t->k, GR_CHECK_FAIL, "fails for inputs that %s: %.300s", what, c->message);
    gr_clear_error(c);
    return true;
}

static bool replace(contract *t, gr_tensor *(*make)(gr_tensor *x))
{
    for (int i = 0; i < t->k->num_targets; i++) {
        gr_tensor *x = gr_requires_grad(make(t->k->target[i]));
        if (!x) return false;
        t->k->x[t->k->number[i]] = t->k->target[i] = x;
    }
    return true;
}

static gr_tensor *run(contract *t, double *g)
{
    gr_tensor *y = gr__contract_call(t, false);
    if (!y || !gr_needs_grad(y)) {
        memset(g, 0, (size_t)t->n * sizeof *g);
        return y;
    }
    return gr__contract_sweep(t, y, gr__check_weights(y, 1), false, g, NULL) ? y : NULL;
}

static bool same_values(contract *t, gr_tensor *want, gr_tensor *y, const char *what)
{
    double *v = gr__check_doubles(t->k->c, 2 * want->numel), *w = v + want->numel, largest = 0;
    if (!v || y->numel != want->numel || !gr_read(want, v) || !gr_read(y, w)) return t->k->c->code != GR_OK;
    for (int64_t i = 0; i < want->numel; i++)
        if (isfinite(v[i])) largest = fmax(largest, fabs(v[i]));
    for (int64_t i = 0; i < want->numel; i++) {
        if (!isfinite(v[i]) || fabs(v[i] - w[i]) <= t->close * largest) continue;
        if (fabs(v[i] - w[i]) <= gr__contract_rounding(t, -1)) continue;
        gr__check_say(t->k, GR_CHECK_FAIL, "the result depends on %s: y[%lld] is %.9g, and must be %.9g", what, (long long)i, w[i], v[i]);
        return false;
    }
    return true;
}

/* ---- layouts ---------------------------------------------------------------------------------------------------*/
static bool any_layout(contract *t, gr_tensor *(*plain)(gr_tensor *), gr_tensor *(*make)(gr_tensor *), const char *what, bool *ok)
{
    gr_check *k = t->k;
    GR_SCOPE(k->c);
    size_t bytes = 2 * (size_t)k->n * sizeof *k->x; /* k->target lies behind k->x */
    gr_tensor **keep = gr__arena_alloc(gr__scope_now(k->c), bytes), *want = NULL, *y = NULL;
    double *g = gr__check_doubles(k->c, 2 * t->n), *h = g + t->n;
    char text[128];
    if (!keep || !g) return false;
    memcpy(keep, k->x, bytes);
    if (replace(t, plain)) want = run(t, g);
    memcpy(k->x, keep, bytes);
    if (!want) return no_answer(k->c);
    bool made = replace(t, make);
    if (made) y = run(t, h);
    memcpy(k->x, keep, bytes);
    if (made && !y && refused(t, what)) return !(*ok = false);
    if (!y) return false;
    snprintf(text, sizeof text, "how the inputs lie in memory (here: they %s)", what);
    if (!(*ok = same_values(t, want, y, text))) return true;
    snprintf(text, sizeof text, "the gradient depends on how the inputs lie in memory (here: they %s)", what);
    *ok = gr__contract_agree(t, g, h, text);
    return true;
}

static bool any_cotangent(contract *t, gr_tensor *y, const double *want, bool *ok)
{
    gr_check *k = t->k;
    GR_SCOPE(k->c);
    double *g = gr__check_doubles(k->c, 2 * t->n), *ones = g + t->n;
    gr_tensor *v = gr__check_weights(y, 1), *far = v ? spaced(v) : NULL, *one = gr_full(k->c, gr_dims_like(y), 1, .dtype = (gr_type)y->dtype);
    if (!g || !far || !one || !gr__contract_sweep(t, y, far, false, g, NULL)) return false;
    if (!(*ok = gr__contract_agree(t, want, g, "the gradient depends on how dy lies in memory (here: in every second place)"))) return true;
    gr_tensor *number = gr_number(k->c, gr_dims_like(y), (gr_type)y->dtype, 1);
    if (!number || !gr__contract_sweep(t, y, one, false, ones, NULL) || !gr__contract_sweep(t, y, number, false, g, NULL)) return false;
    if (!(*ok = gr__contract_agree(t, ones, g, "the gradient depends on how dy lies in memory (here: one number for all elements)"))) return true;
    if (y->numel != 1) return true;
    if (!gr__contract_sweep(t, y, NULL, false, g, NULL)) return false;
    *ok = gr__contract_agree(t, ones, g, "without a cotangent the gradient is not that of dy = 1");
    return true;
}

/* ---- one memory for two inputs ---------------------------------------------------------------------------------*/
/* The gradient by one tensor a in places i and j is the sum of those by a and a copy b. g: the latter, of all targets. */
static bool one_tensor(contract *t, gr_tensor *a, int i, int j, const double *g, gr_tensor *want, bool *ok)
{
    gr_check *k = t->k;
    char what[128], name[64];
    double *sum = gr__check_doubles(k->c, 2 * a->numel), *seen = sum + a->numel, largest = 0;
    snprintf(what, sizeof what, "whether inputs %d and %d are one tensor", k->number[i], k->number[j]);
    gr_tensor *y = gr__contract_call(t, false), *d = NULL;
    if (!sum || !y) return false;
    if (!(*ok = same_values(t, want, y, what)) || !gr_needs_grad(y)) return true;
    if (!gr_grads(y, &a, 1, &d, .grad = gr__check_weights(y, 1), .zero_unused = true) || !gr_read(d, seen)) return false;
    for (int64_t e = 0; e < a->numel; e++) {
        sum[e] = g[k->first[i] + e] + g[k->first[j] + e];
        if (isfinite(sum[e])) largest = fmax(largest, fabs(g[k->first[i] + e]) + fabs(g[k->first[j] + e]));
    }
    for (int64_t e = 0; e < a->numel; e++) {
        if (!isfinite(sum[e]) || fabs(sum[e] - seen[e]) <= t->close * largest + TINY) continue;
        if (fabs(sum[e] - seen[e]) <= gr__contract_rounding(t, k->first[i] + e) + gr__contract_rounding(t, k->first[j] + e)) continue;
        gr__check_place(a, "x", k->number[i], e, name, sizeof name);
        gr__check_say(k, GR_CHECK_FAIL, "the gradient is wrong where inputs %d and %d are one tensor: at %s it is %.9g, the sum of both is %.9g. Each place gives its part", k->number[i],
                      k->number[j], name, seen[e], sum[e]);
        return !(*ok = false);
    }
    return true;
}

static void put(gr_check *k, int i, gr_tensor *x) { k->x[k->number[i]] = k->target[i] = x; }

static bool pair(contract *t, int i, int j, bool *ok)
{
    gr_check *k = t->k;
    GR_SCOPE(k->c);
    gr_tensor *keep[2] = { k->target[i], k->target[j] }, *a = copied(keep[0]), *b = copied(keep[0]), *y = NULL, *want;
    gr_tensor *shared = a ? view(a, a, gr__stride(a)) : NULL;
    double *g = gr__check_doubles(k->c, 2 * t->n), *h = g + t->n;
    char what[128];
    if (!b || !shared || !g) return false;
    if (keep[0]->name) gr_name(a, keep[0]->name);
    put(k, i, gr_requires_grad(a)), put(k, j, gr_requires_grad(b));
    bool fine = (want = run(t, g)) != NULL;
    if (!fine) fine = no_answer(k->c);
    if (want) {
        put(k, j, a);
        snprintf(what, sizeof what, "are one tensor (%d and %d)", k->number[i], k->number[j]);
        fine = one_tensor(t, a, i, j, g, want, ok);
        if (!fine && refused(t, what)) fine = true, *ok = false;
    }
    if (want && fine && *ok) {
        put(k, j, gr_requires_grad(shared));
        snprintf(what, sizeof what, "whether inputs %d and %d share memory", k->number[i], k->number[j]);
        fine = (y = run(t, h)) != NULL;
        if (y && (*ok = same_values(t, want, y, what))) *ok = gr__contract_agree(t, g, h, "the gradient depends on whether inputs share memory");
    }
    put(k, i, keep[0]), put(k, j, keep[1]);
    return fine;
}

static bool all_pairs(contract *t, bool *ok)
{
    int pairs = 0;
    for (int i = 0; i < t->k->num_targets && *ok; i++)
        for (int j = i + 1; j < t->k->num_targets && *ok && pairs < PAIRS; j++) {
            if (!t->k->target[i]->numel || !gr__same_shape(t->k->target[i], t->k->target[j])) continue;
            pairs++;
            if (!pair(t, i, j, ok)) return false;
        }
    return true;
}

/* ---- one input at a time ----------------------------------------------------------------------------------------*/
static bool alone(contract *t, int i, const double *want, bool *ok)
{
    gr_check *k = t->k;
    GR_SCOPE(k->c);
    size_t bytes = 2 * (size_t)k->n * sizeof *k->x;
    gr_tensor **keep = gr__arena_alloc(gr__scope_now(k->c), bytes), *x = k->target[i], *d = NULL, *y = NULL;
    double *seen = gr__check_doubles(k->c, x->numel), largest = 0;
    char name[64], place[64];
    if (!keep || !seen) return false;
    memcpy(keep, k->x, bytes);
    bool made = true;
    for (int j = 0; j < k->num_targets && made; j++) {
        gr_tensor *constant = j == i ? x : copied(k->target[j]);
        made = constant != NULL;
        if (made) put(k, j, constant);
    }
    if (made) y = gr__contract_call(t, false);
    memcpy(k->x, keep, bytes);
    if (made && !y && refused(t, "are constants but for one")) return !(*ok = false);
    if (!y || (gr_needs_grad(y) && !gr_grads(y, &x, 1, &d, .grad = gr__check_weights(y, 1), .allow_unused = true))) return false;
    memset(seen, 0, (size_t)x->numel * sizeof *seen);
    if (d && !gr_read(d, seen)) return false;
    want += k->first[i];
    for (int64_t e = 0; e < x->numel; e++) largest = isfinite(want[e]) ? fmax(largest, fabs(want[e])) : largest;
    for (int64_t e = 0; e < x->numel; e++) {
        if (!isfinite(want[e]) || fabs(want[e] - seen[e]) <= t->close * largest + TINY || fabs(want[e] - seen[e]) <= gr__contract_rounding(t, k->first[i] + e)) continue;
        gr__check_place(x, "x", k->number[i], e, place, sizeof place);
        gr__check_say(k, GR_CHECK_FAIL, "the gradient by %s is another one where no other input needs one: at %s %.9g and %.9g. In record.backward, look at gr_wants for each",
                      gr__contract_name(k, k->number[i], name), place, want[e], seen[e]);
        return !(*ok = false);
    }
    return true;
}

static bool each_alone(contract *t, const double *want, bool *ok)
{
    for (int i = 0; i < t->k->num_targets && t->k->num_targets > 1 && i < MOST_ALONE && *ok; i++)
        if (!alone(t, i, want, ok)) return false;
    return true;
}

/* ---- a later call ----------------------------------------------------------------------------------------------*/
static gr_tensor *moved(gr_tensor *x)
{
    gr_tensor *y = copied(x);
    for (int64_t e = 0; y && e < y->numel; e++) ((double *)(void *)y->data)[e] *= 1 + 0x1p-6;
    return y;
}

static bool later_call(contract *t, gr_tensor *y, const double *want, bool *ok)
{
    gr_check *k = t->k;
    GR_SCOPE(k->c);
    size_t bytes = 2 * (size_t)k->n * sizeof *k->x;
    gr_tensor **keep = gr__arena_alloc(gr__scope_now(k->c), bytes);
    double *g = gr__check_doubles(k->c, t->n);
    if (!keep || !g) return false;
    memcpy(keep, k->x, bytes);
    bool called = replace(t, moved) && gr__contract_call(t, false);
    memcpy(k->x, keep, bytes);
    if (!called && !no_answer(k->c)) return false;
    if (!gr__contract_sweep(t, y, gr__check_weights(y, 1), false, g, NULL)) return false;
    *ok = gr__contract_agree(t, want, g, "the gradient of one call changes when the function is called again with other inputs: what backward needs belongs to the node (gr_input, attributes)");
    return true;
}

bool gr__contract_layouts(contract *t, gr_tensor *y, const double *want, bool *ok)
{
    return any_layout(t, copied, spaced, "lie in every second place", ok) && (!*ok || any_layout(t, repeated, expanded, "repeat one element, stride 0", ok)) &&
           (!*ok || any_cotangent(t, y, want, ok)) && (!*ok || all_pairs(t, ok)) && (!*ok || each_alone(t, want, ok)) && (!*ok || later_call(t, y, want, ok));
}
