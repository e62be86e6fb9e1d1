/* Where does a kink come from? Every operation on the way is watched at five places along the element that bends:
 *
 *   J(h) = |f(x + h) - 2 f(x) + f(x - h)| / h      for the result f of each operation, at h and h / 4
 *
 * The first operation in order of execution with a J that does not shrink is the one that bends: its inputs do not.
 * Knows no operation: it compares results.
 * SPDX-License-Identifier: MIT */
#include "core/check.h"

#include <math.h>

#define STEP -20       /* log2 of h relative to the scale of x */
#define MOST 65536     /* numbers that are watched */
#define PLACES 5

typedef struct watch {
    double *v;         /* this run's numbers */
    int64_t n;
    gr_tensor *target; /* the second time: the result that holds number `wanted`, and where */
    int64_t wanted, element;
    int made, number;
} watch;

static void made(void *user, const gr_call *call, gr_tensor *y)
{
    watch *w = user;
    (void)call;
    w->made++;
    if (!gr_is_float(y) || w->n + y->numel > MOST) return;
    if (w->v) gr_read(y, w->v + w->n);
    else if (w->wanted >= w->n && w->wanted < w->n + y->numel) {
        w->target = y;
        w->element = w->wanted - w->n;
        w->number = w->made;
    }
    w->n += y->numel;
}

static gr_tensor *run(gr_check *k, double t, watch *w)
{
    const gr_observer *before = k->c->observer, ear = { .user = w, .made = made };
    *k->bend.place = k->bend.x + t;
    w->n = 0;
    w->made = 0;
    k->c->observer = &ear;
    k->report->evaluations++;
    gr_tensor *y = k->fn(k->x, k->user);
    k->c->observer = before;
    *k->bend.place = k->bend.x;
    return y;
}

static void tell(gr_check *k, watch *w)
{
    const gr_tensor *y = w->target;
    char text[128], name[64];
    gr_text t = { text, sizeof text, 0 };
    gr__check_index(&t, y->ndim, y->dims, w->element);
    if (!t.at) text[0] = '\0';
    int i;
    for (i = 0; i < k->num_targets; i++) {
        double *first = (double *)(void *)k->target[i]->data;
        if ((uintptr_t)k->bend.place >= (uintptr_t)first && (uintptr_t)k->bend.place < (uintptr_t)(first + k->target[i]->numel)) break;
    }
    if (i == k->num_targets) return;
    gr__check_place(k->target[i], "x", k->number[i], k->bend.place - (double *)(void *)k->target[i]->data, name, sizeof name);
    gr__check_note(k, "at %s the function bends or jumps in %s%s%.40s%s (operation %d), element %s", name, y->op ? y->op->name : "an operation",
                   y->name ? " \"" : "", y->name ? y->name : "", y->name ? "\"" : "", w->number, *text ? text : "0");
}

bool gr__check_origin(gr_check *k)
{
    static const double step[PLACES] = { 0, 1, -1, 0.25, -0.25 };
    GR_SCOPE(k->c);
    double *room = gr__check_doubles(k->c, PLACES * MOST), h = ldexp(gr__difference_scale(k->bend.x), STEP);
    watch w = { .v = room };
    int64_t n = -1;
    if (!room) return false;
    for (int p = 0; p < PLACES; p++) {
        GR_SCOPE(k->c);
        w.v = room + p * MOST;
        run(k, step[p] * h, &w);
        if (k->c->code == GR_EVALUE) return gr_clear_error(k->c), true;
        if (k->c->code != GR_OK) return false;
        if (n >= 0 && n != w.n) return true; /* other operations on the other side: nothing to compare */
        n = w.n;
    }
    for (int64_t i = 0; i < n; i++) {
        const double *f = room + i;
        double wide = fabs(f[MOST] + f[2 * MOST] - 2 * f[0]), narrow = fabs(f[3 * MOST] + f[4 * MOST] - 2 * f[0]) * 4;
        if (!(narrow > 0.5 * wide && narrow > 0x1p-46 * fabs(f[0]) && narrow > 1e-5 * fabs(f[MOST] - f[2 * MOST]))) continue;
        w = (watch){ .wanted = i };
        if (!run(k, 0, &w)) return false;
        if (w.target) tell(k, &w);
        return true;
    }
    return true;
}
