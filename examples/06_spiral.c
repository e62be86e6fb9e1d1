/* Three spiral arms in the plane: a linear classifier gets half of the points right, one hidden layer nearly all.
 * Full batch, step 1, L2 penalty 1e-3, as in the course notes of Stanford's CS231n.
 * SPDX-License-Identifier: MIT */
#include <gradus.h>

#include <stdio.h>

static double train(gr_ctx *c, gr_module *net, gr_dataset d, int steps)
{
    gr_optim *opt = gr_sgd(c, gr_parameters(net), .lr = 1.0, .weight_decay = 1e-3);
    for (int step = 0; step < steps; step++) {
        GR_SCOPE(c);
        gr_backward(gr_cross_entropy(gr_forward(net, d.x), d.y));
        gr_step(opt);
    }
    GR_SCOPE(c);
    return gr_accuracy(gr_forward(net, d.x), d.y);
}

int main(void)
{
    gr_ctx *c = gr_ctx_new(NULL);
    gr_dataset d = gr_make_spiral(c, 100);
    double linear = train(c, gr_linear(c, 2, 3), d, 200);
    gr_module *net = gr_sequential(c, gr_linear(c, 2, 100), gr_activation(c, gr_relu), gr_linear(c, 100, 3));
    double hidden = train(c, net, d, 3000);
    printf("linear: %s of 300 points right\n", linear > 0.4 && linear < 0.6 ? "about half" : "not about half");
    printf("2-100-3: %s\n", hidden >= 0.98 ? "at least 98 % right" : "less than 98 % right");
    fprintf(stderr, "linear %.3f, hidden %.3f\n", linear, hidden);
    if (gr_failed(c)) fprintf(stderr, "%s\n", gr_message(c));
    gr_ctx_free(c);
    return 0;
}
