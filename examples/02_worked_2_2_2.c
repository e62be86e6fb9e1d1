/* The worked example of many lectures: two inputs, two hidden and two output neurons, sigmoid everywhere, one step of
 * gradient descent. Built twice: from scalars, one node for each number, and from tensors, one node for each layer.
 * After the step the error is 0.291027774. (The often copied 0.291027924 takes the hidden gradients with output weights
 * that were already updated.)
 * SPDX-License-Identifier: MIT */
#include <gradus.h>

#include <stdio.h>

static const double weight[8] = { .15, .20, .25, .30, .40, .45, .50, .55 };
static const double input[2] = { .05, .10 }, target[2] = { .01, .99 }, bias[2] = { .35, .60 };
static const double rate = 0.5;

typedef struct scalars {
    gr_tensor *w[8], *b[2], *net[4], *out[4], *part[2], *error;
} scalars;

static void forward(gr_ctx *c, scalars *s)
{
    gr_tensor *below[2] = { gr_scalar(c, input[0]), gr_scalar(c, input[1]) };
    for (int k = 0; k < 4; k++) { /* h1, h2, o1, o2 */
        gr_tensor **w = &s->w[2 * k], **from = k < 2 ? below : s->out;
        s->net[k] = gr_add(gr_add(gr_mul(w[0], from[0]), gr_mul(w[1], from[1])), s->b[k / 2]);
        s->out[k] = gr_sigmoid(s->net[k]);
    }
    for (int k = 0; k < 2; k++) s->part[k] = gr_mul(0.5, gr_square(gr_sub(target[k], s->out[2 + k])));
    s->error = gr_add(s->part[0], s->part[1]);
}

static double from_scalars(gr_ctx *c)
{
    static const char *const name[4] = { "h1", "h2", "o1", "o2" };
    scalars s;
    for (int i = 0; i < 8; i++) s.w[i] = gr_requires_grad(gr_scalar(c, weight[i]));
    for (int i = 0; i < 2; i++) s.b[i] = gr_requires_grad(gr_scalar(c, bias[i]));
    forward(c, &s);
    for (int k = 0; k < 4; k++) printf("net_%s %.9f  out_%s %.9f\n", name[k], gr_item(s.net[k]), name[k], gr_item(s.out[k]));
    printf("E %.9f = %.9f + %.9f\n", gr_item(s.error), gr_item(s.part[0]), gr_item(s.part[1]));

    gr_tensor *inner[3] = { s.out[2], s.net[2], s.w[4] }, *g[3], *local;
    gr_grads(s.error, inner, 3, g, .retain_graph = true);
    gr_grads(s.out[2], &s.net[2], 1, &local, .retain_graph = true);
    printf("dE/dout_o1 %.9f  dout_o1/dnet_o1 %.9f  dE/dw5 %.9f\n", gr_item(g[0]), gr_item(local), gr_item(g[2]));

    gr_backward(s.error);
    for (int i = 0; i < 8; i++) {
        double g_i = gr_item(gr_grad(s.w[i])), next = gr_item(s.w[i]) - rate * g_i;
        printf("w%d: %.2f - 0.5 * %.9f = %.9f\n", i + 1, gr_item(s.w[i]), g_i, next);
        gr_write(s.w[i], &next);
    }
    printf("dE/db1 %.9f  dE/db2 %.9f: each bias feeds two neurons\n", gr_item(gr_grad(s.b[0])), gr_item(gr_grad(s.b[1])));
    forward(c, &s);
    return gr_item(s.error);
}

static gr_tensor *error_of(gr_tensor *x, gr_tensor *t, gr_tensor *const p[4], gr_tensor **out)
{
    gr_tensor *h = gr_sigmoid(gr_add(gr_matmul(x, p[0]), p[1]));
    *out = gr_sigmoid(gr_add(gr_matmul(h, p[2]), p[3]));
    return gr_mul(0.5, gr_sum(gr_square(gr_sub(t, *out))));
}

static void descend(gr_tensor *w)
{
    GR_NO_GRAD(gr_ctx_of(w));
    gr_copy_to(w, gr_sub(w, gr_mul(rate, gr_grad(w))));
    gr_zero_grad(w);
}

static double from_tensors(gr_ctx *c, int steps)
{
    gr_tensor *x = gr_from(c, GR_SHAPE(1, 2), input), *t = gr_from(c, GR_SHAPE(1, 2), target), *out;
    gr_tensor *p[4] = { gr_from(c, GR_SHAPE(2, 2), (double[]){ .15, .25, .20, .30 }), gr_from(c, GR_SHAPE(1), &bias[0]),
                        gr_from(c, GR_SHAPE(2, 2), (double[]){ .40, .50, .45, .55 }), gr_from(c, GR_SHAPE(1), &bias[1]) };
    for (int i = 0; i < 4; i++) gr_requires_grad(p[i]);
    for (int step = 0; step < steps; step++) {
        GR_SCOPE(c);
        gr_backward(error_of(x, t, p, &out));
        descend(p[0]);
        descend(p[2]);
    }
    double e = gr_item(error_of(x, t, p, &out));
    printf("from tensors, after %d step%s: E %.10f, out %.9f %.9f\n", steps, steps == 1 ? "" : "s", e, gr_at(out, 0, 0), gr_at(out, 0, 1));
    return e;
}

int main(void)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .dtype = GR_F64 });
    printf("from scalars, after 1 step: E %.9f\n", from_scalars(c));
    from_tensors(c, 1);
    from_tensors(c, 10000);
    if (gr_failed(c)) fprintf(stderr, "%s\n", gr_message(c));
    gr_ctx_free(c);
    return 0;
}
