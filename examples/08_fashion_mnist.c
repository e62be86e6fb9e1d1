/* 70 000 pictures of clothes, 28 x 28 pixels, ten classes: a network 784-128-10, Adam, five epochs.
 * The files come with Debian's package dataset-fashion-mnist; another folder can be named as argument.
 * Source: H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST (2017), arXiv:1708.07747.
 * SPDX-License-Identifier: MIT */
#include <gradus.h>

#include <stdio.h>

static double accuracy(gr_ctx *c, gr_module *net, gr_dataset d)
{
    double right = 0;
    gr_eval(net);
    gr_batches it = gr_batches_begin(c, d, .batch = 1000);
    while (gr_batch_more(&it)) {
        GR_SCOPE(c);
        GR_NO_GRAD(c);
        gr_dataset b = gr_batch_take(&it);
        right += gr_accuracy(gr_forward(net, b.x), b.y) * (double)gr_size(b.x, 0);
    }
    gr_train(net);
    return right / (double)gr_size(d.x, 0);
}

static double epoch(gr_ctx *c, gr_module *net, gr_optim *opt, gr_dataset d)
{
    double sum = 0;
    gr_batches it = gr_batches_begin(c, d, .batch = 64, .shuffle = true);
    gr_progress bar = gr_progress_begin("epoch", it.count);
    while (gr_batch_more(&it)) {
        GR_SCOPE(c);
        gr_dataset b = gr_batch_take(&it);
        gr_tensor *loss = gr_cross_entropy(gr_forward(net, b.x), b.y);
        gr_backward(loss);
        gr_step(opt);
        sum += gr_item(loss);
        gr_progress_update(&bar, it.index + 1, NULL);
    }
    gr_progress_end(&bar);
    return sum / (double)it.count;
}

int main(int argc, char **argv)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .seed = 1 });
    const char *dir = argc > 1 ? argv[1] : NULL;
    gr_dataset train = gr_fashion_mnist(c, dir, true), test = gr_fashion_mnist(c, dir, false);
    gr_dataset *both[2] = { &train, &test };
    for (int i = 0; i < 2; i++) /* mean 0 and deviation 1 over all pixels of the training set */
        both[i]->x = gr_div(gr_sub(gr_flatten(both[i]->x, 1), 0.286), 0.353);
    if (gr_failed(c)) {
        printf("%s\n", gr_message(c));
        gr_ctx_free(c);
        return 77; /* "skipped" to meson: the data are not here */
    }

    gr_module *net = gr_sequential(c, gr_linear(c, 784, 128), gr_activation(c, gr_relu), gr_linear(c, 128, 10));
    gr_optim *opt = gr_adam(c, gr_parameters(net), .lr = 1e-3);
    for (int i = 1; i <= 5; i++) {
        gr_set_lr(opt, i <= 3 ? 1e-3 : 3e-4); /* smaller steps to settle */
        double loss = epoch(c, net, opt, train);
        fprintf(stderr, "epoch %d: training loss %.3f, test accuracy %.2f %%\n", i, loss, 100 * accuracy(c, net, test));
    }
    printf("test accuracy after 5 epochs: %s\n", accuracy(c, net, test) >= 0.87 ? "at least 87 %" : "below 87 %");

    int status = gr_failed(c);
    if (status) fprintf(stderr, "%s\n", gr_message(c));
    gr_ctx_free(c);
    return status;
}
