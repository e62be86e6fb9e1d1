/* An operation of one's own: a record with a forward loop and a vjp. It then takes part in everything: graphs, second
 * derivatives, checks. Here: softsign, y = x / (1 + |x|), with dy/dx = 1 / (1 + |x|)^2; once right and once wrong.
 * SPDX-License-Identifier: MIT */
#include <gradus.h>
#include "teach/here.h" /* reports name the line of a call */

#include <math.h>
#include <stdio.h>

static bool softsign_forward(const gr_call *k, gr_tensor *y)
{
    gr_tensor *x = gr_contiguous(k->in[0]); /* any layout may come in */
    if (!x) return false;
    for (int64_t i = 0; i < gr_numel(y); i++) {
        if (gr_dtype(y) == GR_F32) {
            float v = ((float *)gr_data(x))[i];
            ((float *)gr_data(y))[i] = v / (1 + fabsf(v));
        } else {
            double v = ((double *)gr_data(x))[i];
            ((double *)gr_data(y))[i] = v / (1 + fabs(v));
        }
    }
    return true;
}

/* written with operations, so that it can be differentiated again; gr_amul: a zero dy absorbs */
static gr_tensor *softsign_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    gr_tensor *d = gr_add(gr_abs(gr_input(y, i)), 1);
    return gr_amul(dy, gr_pow(d, -2));
}

static gr_tensor *wrong_vjp(gr_tensor *y, gr_tensor *dy, int i)
{
    gr_tensor *d = gr_add(gr_abs(gr_input(y, i)), 1);
    return gr_amul(dy, gr_pow(d, -1)); /* the square is missing */
}

static const gr_op right = { .name = "softsign", .formula = "y = x / (1 + abs(x))", .gradient = "dx = dy / (1 + abs(x))^2",
                             .arity = 1, .flags = GR_OP_ELEMENTWISE, .forward = softsign_forward, .vjp = softsign_vjp };
static const gr_op wrong = { .name = "softsign_wrong", .formula = "y = x / (1 + abs(x))", .gradient = "dx = dy / (1 + abs(x))",
                             .arity = 1, .flags = GR_OP_ELEMENTWISE, .forward = softsign_forward, .vjp = wrong_vjp };

static gr_tensor *apply(gr_tensor **x, void *op) { return gr_apply(*(const gr_op **)op, x, 1, NULL); }

int main(void)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_tensor *x = gr_requires_grad(gr_name(gr_from(c, GR_SHAPE(4), (float[]){ -2, -0.5, 0.25, 3 }), "x"));
    gr_tensor *y = gr_apply(&right, &x, 1, NULL);
    gr_backward(gr_sum(y));
    gr_print(y);
    gr_print(gr_name(gr_grad(x), "dx"));

    const gr_op *ops[] = { &right, &wrong };
    for (int i = 0; i < 2; i++) {
        gr_gradcheck_report r;
        gr_gradcheck(apply, &ops[i], &x, 1, &r);
        gr_gradcheck_print(stdout, &r);
    }
    if (gr_failed(c)) fprintf(stderr, "%s\n", gr_message(c));
    gr_ctx_free(c);
    return 0;
}
