"""The peer of the benchmark: PyTorch on the same cases, asked by compare.py for one timed slice at a time.

Reads lines "NAME SECONDS", answers each with "WALL CPU", seconds per unit, or "none" for a case it does not have. The names
are those of `gradus-bench list`; to add a case is to add a function to CASES.
SPDX-License-Identifier: MIT"""
import gc
import os
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
torch.manual_seed(0)


def training(net, rule, x, y, loss=F.cross_entropy):
    def step():
        rule.zero_grad(set_to_none=True)
        loss(net(x), y).backward()
        rule.step()
    return step, 1


def mlp(*sizes):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def labels(n, classes):
    return torch.arange(n) % classes


def a():
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), nn.Sigmoid())
    x, y = torch.tensor([[0., 0], [0, 1], [1, 0], [1, 1]]), torch.tensor([[0.], [1], [1], [0]])
    return training(net, torch.optim.SGD(net.parameters(), lr=1), x, y, F.mse_loss)


def b():
    net = mlp(2, 100, 3)
    return training(net, torch.optim.SGD(net.parameters(), lr=1), torch.randn(300, 2), labels(300, 3))


def c():
    net = mlp(784, 128, 10)
    return training(net, torch.optim.Adam(net.parameters(), lr=1e-3), torch.randn(64, 784), labels(64, 10))


def d():
    net = mlp(784, 1024, 1024, 10)
    rule = torch.optim.SGD(net.parameters(), lr=1e-2, momentum=0.9)
    return training(net, rule, torch.randn(128, 784), labels(128, 10))


def e():
    net = nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
                        nn.Flatten(), *mlp(400, 120, 84, 10))
    rule = torch.optim.SGD(net.parameters(), lr=1e-2, momentum=0.9)
    return training(net, rule, torch.randn(64, 1, 28, 28), labels(64, 10))


def k():
    net = mlp(784, 64, 10)
    return training(net, torch.optim.SGD(net.parameters(), lr=1e-2), torch.randn(64, 784), labels(64, 10))


class Hidden(nn.LSTM):
    def forward(self, x):
        return super().forward(x)[0]


def f():
    net = nn.Sequential(nn.Embedding(65, 128), Hidden(128, 128, batch_first=True), nn.Linear(128, 65), nn.Flatten(0, 1))
    rule = torch.optim.Adam(net.parameters(), lr=1e-3)
    return training(net, rule, labels(32 * 32, 65).view(32, 32), labels(32 * 32, 65))


WORDS, STEPS, WIDTH, HEADS = 65, 64, 128, 4


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))
        self.register_buffer("future", torch.ones(STEPS, STEPS).triu(1).bool())

    def forward(self, x):
        q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in self.qkv(self.norm(x)).split(WIDTH, 2))
        scores = (q @ k.transpose(-2, -1)) * (WIDTH // HEADS) ** -0.5
        share = F.softmax(scores.masked_fill(self.future, float("-inf")), -1)
        x = x + self.out((share @ v).transpose(1, 2).reshape(x.shape))
        return x + self.mlp(x)


class Embed(nn.Module):
    def __init__(self):
        super().__init__()
        self.word, self.place = nn.Embedding(WORDS, WIDTH), nn.Embedding(STEPS, WIDTH)
        self.register_buffer("places", torch.arange(STEPS))

    def forward(self, x):
        return self.word(x) + self.place(self.places)


def g():
    net = nn.Sequential(Embed(), *[Block() for _ in range(4)], nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WORDS, bias=False), nn.Flatten(0, 1))
    rule = torch.optim.AdamW(net.parameters(), lr=1e-3)
    return training(net, rule, labels(8 * STEPS, WORDS).view(8, STEPS), labels(8 * STEPS, WORDS))


def chain(both=False, links=1000):
    x, y = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)

    def run():
        x.grad = y.grad = None
        z = x
        for _ in range(links):
            z = z * y + x
        if both:
            z.backward()
    return run, 2 * links


def loss(n):
    p, t = torch.randn(n, requires_grad=True), torch.randn(n, requires_grad=True)

    def run():
        p.grad = t.grad = None
        e = p - t
        u = torch.square(e) + 1.0
        (torch.sigmoid(e) * (torch.sqrt(u) - 1.0) + torch.log(u) * 0.5).mean().backward()
    return run, n


def operation(f, columns=0, inputs=1):
    def make(n):
        shape = (n // columns, columns) if columns else (n,)
        operands = [torch.rand(shape) + 0.5 for _ in range(inputs)]

        def run():
            with torch.no_grad():
                f(*operands)
        return run, n
    return make


CASES = {"a": a, "b": b, "c": c, "d": d, "e": e, "f": f, "g": g, "k": k, "chain": chain, "chain-both": lambda: chain(True), "loss": loss,
         "add": operation(torch.add, inputs=2), "mul": operation(torch.mul, inputs=2), "pow": operation(torch.pow, inputs=2),
         "max": operation(torch.max), "gelu": operation(F.gelu)}
CASES |= {f: operation(getattr(torch, f)) for f in ("relu", "sqrt", "exp", "log", "tanh", "sigmoid", "sum", "erf", "sin")}
CASES |= {f"{f}-{columns}": operation(lambda x, f=f: getattr(torch, f)(x, 1), columns)
          for f in ("softmax", "log_softmax") for columns in (100, 1000)}
CASES |= {f"layer_norm-{columns}": operation(lambda x, w=torch.ones(columns), b=torch.zeros(columns): F.layer_norm(x, w.shape, w, b), columns)
          for columns in (100, 1000)}


def timed(run, units, span):
    runs, count = 0, 1
    wall, cpu = time.perf_counter(), time.process_time()
    while True:
        for _ in range(count):
            run()
        runs += count
        spent = time.process_time() - cpu
        if spent >= span:
            return (time.perf_counter() - wall) / runs / units, spent / runs / units
        if spent < span / 100:
            count *= 2


opened = work = None
for line in sys.stdin:
    name, span = line.split()
    if name == "memory":  # of the whole process, in KiB
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
        continue
    base, _, size = name.partition("/")
    if base not in CASES:
        print("none", flush=True)
        continue
    if name != opened:
        work = None
        gc.collect()
        opened, work = name, CASES[base](*([int(size)] if size else []))
        timed(*work, float(span))  # warms up
    print("%.6e %.6e" % timed(*work, float(span)), flush=True)
