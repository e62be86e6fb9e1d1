/* What the files of the gradient check share: the function under test, seen as values that depend on elements.
 *
 *   order 1   the values are y = fn(x), the derivatives dy_i/dx_e
 *   order 2   the values are g = dL/dx with L = <r, y>, r fixed random weights, the derivatives dg_i/dx_e
 *   order p   the same with L = <s, the g of order p - 1 by one input>, for each input
 *
 * In full mode each value stands for itself; else one weighted sum of them all does.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_CORE_CHECK_H
#define GRADUS_CORE_CHECK_H

#include "core/tensor.h"

#define GR_CHECK_FULL 4096 /* derivatives up to which each output is checked by itself */

/* Where a difference goes: one element, or all along a direction. */
typedef struct gr_path {
    double *place, x;       /* one element, and where it stands */
    const double *from, *direction; /* or all elements: from + t * direction */
} gr_path;

/* What one run of the function decided. */
typedef struct gr_branches {
    uint64_t shake;       /* not 0: moves each result by a unit in its last place (noise.c), */
    bool coarse;          /* or in the last place that f32 has, */
    bool spare_f32;       /* but none that is f32 */
    uint64_t hash;        /* of all operations and decisions */
    int64_t made;         /* operations */
    uint64_t *each;       /* NULL, or the hash after each of the first num_each */
    int64_t num_each;
    int64_t wanted;       /* 0, or the number from 1 of the operation of which is kept: */
    const gr_op *op;
    gr_tensor *y;
    char label[48];
    const char *file;     /* where it was called, if teach/here.h says so */
    int line;
    gr_dims shape;
    int64_t n;
    double *decision;     /* [n] in room */
    gr_scope *room;
} gr_branches;

typedef struct gr_check {
    gr_ctx *c;
    gr_fn fn;
    void *user;
    int n;
    gr_tensor *const *given; /* what the caller passed */
    gr_tensor **x;       /* f64 copies of what is checked; the check moves them */
    gr_tensor **target;  /* those of x that are checked, num_targets of them */
    int num_targets, *number; /* number[t]: which of x target t is */
    int64_t *first;      /* of each target: where its elements begin among all; first[num_targets] is their count */
    double rtol;
    gr_gradcheck_report *report;
    int order, via;      /* via: above order 2, the target that the derivatives before go by */
    bool full, fast, explain, reseed;
    bool coarse;         /* something on the way is f32, whatever the inputs are */
    uint64_t seed, drawn; /* the random stream at the first call, and with .reseed at each */
    int64_t told;        /* the value of which the report hears every step, or -1 */
    int64_t m;           /* values */
    double *base;        /* [m] at x */
    uint64_t base_branch, branch; /* the hash of all decisions at x, and at the last values */
    double *noise;       /* [m] how far rounding may move a value */
    double unit;         /* the same, relative to a value that is one number */
    double largest;      /* number in x and the values, or 1 */
    double *spread;      /* [m, elements] how far rounding may move a gradient; NULL: not known */
    uint64_t shake;      /* for gr_branches of the values */
    double *natural;     /* [m] the same for the terms that may have cancelled in it */
    bool *used;          /* of each target: a gradient reaches it */
    bool *kink;          /* of each element: order 1 found one */
    gr_path bend;        /* the first element where the function is not smooth; bend.place is NULL while there is none */
    int64_t bend_element;
    bool named;          /* a note says what bends there */
    gr_dims y_shape;
} gr_check;

/* What a difference says about one derivative. error: of value, rounding included. around: the steepest slope seen near x. */
typedef enum gr_slope_kind { GR_SMOOTH, GR_KINK, GR_JUMP } gr_slope_kind;
typedef struct gr_slope { /* left or right is NaN where that side was left out */
    double value, error, left, right, around;
    double low, high;    /* between them lie the extrapolations of all steps, but the first */
    gr_slope_kind kind;
    int side;            /* 0, or the sign of the only side that was looked at */
} gr_slope;

gr_tensor *gr__check_call(gr_check *k, gr_tensor **x); /* values.c: fn(x), counted */
/* values.c: values at where x stands now; out [m]. False: an error stands. */
bool gr__check_values(gr_check *k, double *out, bool base); /* base: sets noise and natural too */
gr_tensor *gr__check_weights(gr_tensor *t, uint64_t number); /* in [0.5, 1.5), of shape and dtype of t */
double gr__check_dot(const gr_tensor *a, const gr_tensor *b, double *norm);
double *gr__check_doubles(gr_ctx *c, int64_t n); /* in the scope of now */
/* Values of order k->order as tensors with history: one for each target (order 2) or y; NULL where there is none. */
bool gr__check_graph(gr_check *k, gr_tensor **y, gr_tensor **g);
bool gr__check_sums(gr_check *k, double *out);     /* the gradient of the weighted sum, all targets in a row */
bool gr__check_gradient(gr_check *k, double *out); /* [m, elements] */
bool gr__check_symmetric(gr_check *k);             /* are the second derivatives of what order 2 and above check? */
double gr__check_rounding(const gr_tensor *t, double size); /* how far rounding may move a number of this size, or terms of this size */

/* gradcheck.c */
void gr__check_judge(gr_check *k, int64_t output, int64_t element, double a, const gr_slope *s, double largest);

/* difference.c */
bool gr__difference(gr_check *k, gr_path *p, gr_slope *out);
bool gr__difference_at(gr_check *k, gr_path *p, double t, double *out, bool *finite);
double gr__difference_border(double x); /* a step from x to both sides of a border that x lies on */
double gr__difference_scale(double x); /* a power of two near |x|, not below 1/8 */

/* noise.c: raises k->noise to what is seen; fills a and k->spread unless a is NULL */
bool gr__noise_measure(gr_check *k, double *a);
void gr__noise_inputs(gr_check *k, const double *from, double unit, uint64_t state); /* x = from, moved by units unless state is 0 */
void gr__noise_shake(const gr_call *k, gr_tensor *y, bool coarse, uint64_t *state); /* y as rounding might have left it */

/* branch.c: hears what is decided from now on; returns who listened before */
const gr_observer *gr__branches_listen(gr_ctx *c, gr_branches *b, gr_observer *ear);
bool gr__branches_name(gr_check *k, double step); /* a note that names the operation that switches where k->bend is */

/* cut.c: a note that names the operation where the path of this element is cut, if one is: *found. False: an error stands. */
bool gr__check_cut(gr_check *k, int target, int64_t element, bool *found);

/* contract.c: what every function must keep to, whatever its values. False: broken, and the report says how. */
bool gr__check_contract(gr_check *k);
void gr__check_unused(gr_check *k); /* notes the inputs that no gradient reaches, where differences agree with that */

/* diagnosis.c: a, d [outputs, elements]: what kind of mistake explains that they differ? */
bool gr__check_diagnose(gr_check *k, int64_t outputs, const double *a, const double *d);

/* probe.c: .fast */
bool gr__check_fast(gr_check *k);

/* gradcheck_report.c */
void gr__check_say(gr_check *k, gr_verdict v, const char *fmt, ...) GR_PRINTF(3, 4); /* the diagnosis: the first one stays */
const char *gr__check_file(const char *path); /* its last part */
void gr__check_note(gr_check *k, const char *fmt, ...) GR_PRINTF(2, 3);
void gr__check_index(gr_text *t, int ndim, const int64_t *dim, int64_t element); /* [1, 2]; nothing for rank 0 */
void gr__check_place(const gr_tensor *x, const char *fallback, int number, int64_t element, char *out, size_t size); /* w[1, 2] */

#endif
