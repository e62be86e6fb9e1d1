/* The examples that `gradus explain --example` knows: the graphs that lectures draw.
 * Knows no command line.
 * SPDX-License-Identifier: MIT */
#include "teach/command.h"

#include <string.h>

static const gr_example examples[] = {
    { .name = "worked-2-2-2", .title = "a network of 2 inputs, 2 hidden and 2 output units, by hand",
      .expression = "net_h1 = w1*i1 + w2*i2 + b1; net_h2 = w3*i1 + w4*i2 + b1; out_h1 = sigmoid(net_h1); out_h2 = sigmoid(net_h2); "
                    "net_o1 = w5*out_h1 + w6*out_h2 + b2; net_o2 = w7*out_h1 + w8*out_h2 + b2; out_o1 = sigmoid(net_o1); out_o2 = sigmoid(net_o2); "
                    "E_o1 = 0.5*(t1 - out_o1)^2; E_o2 = 0.5*(t2 - out_o2)^2; E = E_o1 + E_o2",
      .values = "i1=0.05 i2=0.10 t1=0.01 t2=0.99 w1=.15 w2=.20 w3=.25 w4=.30 b1=.35 w5=.40 w6=.45 w7=.50 w8=.55 b2=.60",
      .tensors = "net_h = W1 @ i + b1; out_h = sigmoid(net_h); net_o = W2 @ out_h + b2; out_o = sigmoid(net_o); E = sum(0.5*(t - out_o)^2)",
      .tensor_values = "i=[0.05,0.10] t=[0.01,0.99] W1=[.15,.20;.25,.30] b1=[.35] W2=[.40,.45;.50,.55] b2=[.60]",
      .fixed = "i1,i2,t1,t2,i,t", .update = "w1,w2,w3,w4,w5,w6,w7,w8", .tensor_update = "W1,W2", .rate = 0.5,
      .remark = "The biases get gradients too but are not updated. With them as tensors of 1 element, shared by 2 units,\n"
                "their gradients are sums: --tensors shows that step. The error after the update is the last value.\n" },
    { .name = "karpathy-neuron", .title = "a neuron of two inputs",
      .expression = "n = x1*w1 + x2*w2 + b; o = tanh(n)", .values = "x1=2 x2=0 w1=-3 w2=1 b=6.8813735870195432",
      .remark = "w2 gets no gradient because x2 is 0, not because w2 does not matter.\n" },
    { .name = "cs909", .title = "a squared error with a penalty: w is used twice",
      .expression = "e = (y - (w*x + b))^2 + w^2", .values = "w=2 x=3 b=1 y=10", .fixed = "y",
      .remark = "de/dw = -18 + 4: one contribution for each use, added.\n" },
    { .name = "fanout", .title = "a value used twice, twice", .expression = "b = a + a; c = b + b", .values = "a=1",
      .remark = "dc/da = 4. A recursion that passes b on twice, before its gradient is complete, would give 8.\n" },
    { .name = "colah", .title = "sums over paths", .expression = "c = a + b; d = b + 1; e = c*d", .values = "a=2 b=1",
      .remark = "b reaches e on two paths, so its gradient is the sum of two products.\n" },
    { .name = "saturated", .title = "a neuron that cannot learn", .expression = "tanh(w*x+b)", .values = "w=2 x=18 b=6" },
    { .name = "broadcast", .title = "one bias for every row",
      .expression = "E = mean((X @ W + b - y)^2)", .values = "X=[1,2;3,4;5,6] W=[.5;-1] b=[.1] y=[1;2;3]", .fixed = "X,y",
      .remark = "b was copied to 3 rows on the way forward, so its gradient is the sum of 3 gradients on the way back.\n" },
    { .name = "softmax-ce", .title = "softmax and cross-entropy, unfused", .expression = "p = softmax(z); L = -sum(t*log(p))",
      .values = "z=[2,1,0.1] t=[1,0,0]", .fixed = "t", .remark = "dL/dz = p - t.\n" },
};
enum { EXAMPLES = sizeof examples / sizeof *examples };

const gr_example *gr__example_find(const char *name)
{
    for (int i = 0; i < EXAMPLES; i++)
        if (strcmp(examples[i].name, name) == 0) return &examples[i];
    return NULL;
}

void gr__example_list(FILE *f)
{
    for (int i = 0; i < EXAMPLES; i++)
        fprintf(f, "  %-16s  %s%s\n", examples[i].name, examples[i].title, examples[i].tensors ? " (also --tensors)" : "");
}
