/* XOR: no straight line separates it, so one layer fails; two hidden units solve it.
 * SPDX-License-Identifier: MIT */
#include <gradus.h>

#include <stdio.h>

static double train(gr_ctx *c, gr_module *net, gr_tensor *x, gr_tensor *t, int steps)
{
    gr_optim *opt = gr_adam(c, gr_parameters(net), .lr = 0.05);
    double last = 0;
    for (int step = 0; step < steps; step++) {
        GR_SCOPE(c);
        gr_tensor *loss = gr_mean(gr_bce_with_logits(gr_forward(net, x), t));
        gr_backward(loss);
        gr_step(opt);
        last = gr_item(loss);
    }
    return last;
}

static void show(gr_ctx *c, const char *name, gr_module *net, gr_tensor *x, double loss)
{
    GR_SCOPE(c);
    gr_tensor *p = gr_sigmoid(gr_forward(net, x));
    printf("%s: loss %.2f;", name, loss);
    for (int i = 0; i < 4; i++) printf(" %g xor %g -> %d", gr_at(x, i, 0), gr_at(x, i, 1), gr_at(p, i, 0) > 0.5);
    printf("\n");
}

int main(void)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .seed = 3 });
    gr_tensor *x = gr_from(c, GR_SHAPE(4, 2), (float[]){ 0, 0, 0, 1, 1, 0, 1, 1 });
    gr_tensor *t = gr_from(c, GR_SHAPE(4, 1), (float[]){ 0, 1, 1, 0 });

    gr_module *line = gr_linear(c, 2, 1);
    double loss = train(c, line, x, t, 1000);
    printf("a linear classifier stays at log 2 = 0.69: loss %.2f\n", loss);

    gr_module *net = gr_sequential(c, gr_linear(c, 2, 2), gr_activation(c, gr_tanh), gr_linear(c, 2, 1));
    loss = train(c, net, x, t, 1000);
    show(c, "two hidden units", net, x, loss);

    if (gr_failed(c)) fprintf(stderr, "%s\n", gr_message(c));
    gr_ctx_free(c);
    return 0;
}
