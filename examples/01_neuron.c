/* One neuron, number by number: o = tanh(w1 x1 + w2 x2 + b), and what each input contributes to o.
 * Every operation makes a node that remembers its inputs; gr_backward walks them in reverse.
 * SPDX-License-Identifier: MIT */
#include <gradus.h>

#include <stdio.h>

static gr_tensor *leaf(gr_ctx *c, const char *name, double value)
{
    return gr_requires_grad(gr_name(gr_scalar(c, value), name));
}

int main(void)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    gr_tensor *x1 = leaf(c, "x1", 2), *x2 = leaf(c, "x2", 0);
    gr_tensor *w1 = leaf(c, "w1", -3), *w2 = leaf(c, "w2", 1);
    gr_tensor *b = leaf(c, "b", 6.8813735870195432);

    gr_tensor *n = gr_add(gr_add(gr_mul(x1, w1), gr_mul(x2, w2)), b);
    gr_tensor *o = gr_tanh(n);
    gr_backward(o);

    printf("o = tanh(n) = tanh(%.9f) = %.9f\n", gr_item(n), gr_item(o));
    gr_tensor *leaves[] = { x1, w1, x2, w2, b };
    for (int i = 0; i < 5; i++) printf("do/d%-2s = %.9f\n", gr_label(leaves[i]), gr_item(gr_grad(leaves[i])));

    /* a tensor that is used twice receives two contributions, and they add up */
    gr_tensor *a = leaf(c, "a", 1);
    gr_tensor *d = gr_add(a, a), *e = gr_add(d, d);
    gr_backward(e);
    printf("e = (a + a) + (a + a): de/da = %g\n", gr_item(gr_grad(a)));

    if (gr_failed(c)) fprintf(stderr, "%s\n", gr_message(c));
    gr_ctx_free(c);
    return 0;
}
