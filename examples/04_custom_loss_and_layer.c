/* A loss and a layer of one's own. The loss is a C function that composes operations: quantile regression, whose minimum
 * is the q-quantile instead of the mean. The layer is a record with parameters: y = a * sin(b * x), a learnable wave.
 * No derivative is written anywhere.
 * SPDX-License-Identifier: MIT */
#include <gradus.h>

#include <math.h>
#include <stdio.h>

/* L = mean max(q (t - p), (q - 1) (t - p)) */
static gr_tensor *quantile_loss(gr_tensor *p, gr_tensor *t, double q)
{
    gr_tensor *e = gr_sub(t, p);
    return gr_mean(gr_maximum(gr_mul(e, q), gr_mul(e, q - 1)));
}

static gr_tensor *wave_forward(gr_module *m, gr_tensor *x)
{
    return gr_mul(gr_module_get(m, "a"), gr_sin(gr_mul(gr_module_get(m, "b"), x)));
}
static const gr_layer wave_layer = { .name = "wave", .formula = "y = a * sin(b * x)", .forward = wave_forward };

static gr_module *wave(gr_ctx *c)
{
    gr_module *m = gr_module_new(c, &wave_layer, NULL);
    gr_module_param(m, "a", gr_full(c, GR_SHAPE(1), 0.5));
    gr_module_param(m, "b", gr_full(c, GR_SHAPE(1), 1.5));
    return m;
}

int main(void)
{
    gr_ctx *c = gr_ctx_new(&(gr_ctx_opts){ .seed = 1 });

    /* 90 % of numbers uniform in [0, 1) lie below 0.9 */
    gr_tensor *t = gr_rand(c, GR_SHAPE(10000)), *p = gr_requires_grad(gr_scalar(c, 0));
    gr_params just_p = gr_params_of(c, &p, 1);
    gr_optim *opt = gr_sgd(c, just_p, .lr = 0.05);
    for (int step = 0; step < 400; step++) {
        GR_SCOPE(c);
        gr_backward(quantile_loss(gr_broadcast_to(p, GR_SHAPE(10000)), t, 0.9));
        gr_step(opt);
    }
    printf("the 0.9-quantile of uniform numbers: %.2f\n", gr_item(p));

    /* the wave finds amplitude and frequency of 2 sin(2 x) */
    gr_module *net = wave(c);
    gr_tensor *x = gr_arange(c, -2, 2, 0.05), *y = gr_mul(2, gr_sin(gr_mul(2, x)));
    opt = gr_adam(c, gr_parameters(net), .lr = 0.05);
    for (int step = 0; step < 300; step++) {
        GR_SCOPE(c);
        gr_backward(gr_mse_loss(gr_forward(net, x), y));
        gr_step(opt);
    }
    printf("%s with a = %.3f, b = %.3f\n", wave_layer.formula, gr_item(gr_module_get(net, "a")), gr_item(gr_module_get(net, "b")));

    if (gr_failed(c)) fprintf(stderr, "%s\n", gr_message(c));
    gr_ctx_free(c);
    return 0;
}
