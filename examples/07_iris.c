/* Real data from a file: Fisher's 150 irises, three species, four measurements each. A third is held out; the rest trains
 * a small network, on inputs scaled to mean 0 and deviation 1 by the training rows alone.
 * Source: R. A. Fisher, The use of multiple measurements in taxonomic problems, Annals of Eugenics 7 (1936).
 * SPDX-License-Identifier: MIT */
#include <gradus.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .seed = 4 });
    gr_table iris = gr_csv_read(c, argc > 1 ? argv[1] : "examples/data/iris.csv", .label = "species");
    gr_split s = gr_dataset_split(c, ((gr_dataset){ iris.x, iris.y }), .train = 2.0 / 3, .test = 1.0 / 3, .stratify = true);
    gr_scaling scale = gr_standardize_fit(s.train.x);
    s.train.x = gr_standardize(s.train.x, scale);
    s.test.x = gr_standardize(s.test.x, scale);

    gr_module *net = gr_sequential(c, gr_linear(c, 4, 16), gr_activation(c, gr_tanh), gr_linear(c, 16, 3));
    gr_optim *opt = gr_adam(c, gr_parameters(net), .lr = 0.01);
    for (int epoch = 0; epoch < 60; epoch++) {
        gr_batches it = gr_batches_begin(c, s.train, .batch = 16, .shuffle = true);
        while (gr_batch_more(&it)) {
            GR_SCOPE(c);
            gr_dataset b = gr_batch_take(&it);
            gr_backward(gr_cross_entropy(gr_forward(net, b.x), b.y));
            gr_step(opt);
        }
    }

    gr_eval(net);
    gr_tensor *logits = gr_forward(net, s.test.x), *m = gr_confusion_matrix(logits, s.test.y, 3);
    double accuracy = gr_accuracy(logits, s.test.y);
    if (gr_failed(c)) {
        fprintf(stderr, "%s\n", gr_message(c));
        gr_ctx_free(c);
        return 1;
    }
    printf("%d flowers to train, %d held out\n", (int)gr_size(s.train.x, 0), (int)gr_size(s.test.x, 0));
    printf("accuracy on the held-out third: %s\n", accuracy >= 0.95 ? "at least 95 %" : "below 95 %");
    fprintf(stderr, "accuracy %.3f; rows: true species, columns: predicted\n", accuracy);
    for (int i = 0; i < 3; i++)
        fprintf(stderr, "%-12s %3g %3g %3g\n", iris.class_names[i], gr_at(m, i, 0), gr_at(m, i, 1), gr_at(m, i, 2));
    gr_ctx_free(c);
    return 0;
}
