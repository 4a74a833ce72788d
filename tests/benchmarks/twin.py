"""Speed of the twin's training epochs: the fully connected network beside a hand-written NumPy loop, the convolutional one beside PyTorch.

`python tests/benchmarks/twin.py [--steps 200] [--repeats 5] [--threads 1] [--most 1.15] [--most-torch 3]` times both sides in turn, takes
the fastest of several, prints ratios, and ends with 1 if one is above its limit. With one thread it counts the thread's own processor
time, so that a busy computer matters less. PyTorch is used if it can be imported; it is no dependency.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from labonn.data import load
from labonn.twin import CNN, Absorber, Engine, Method, Network, Part, Recipe, Relu, network
from labonn.twin.state import begin
from labonn.twin.training import one_pass

Array = NDArray[Any]
BATCH, EPOCH = 64, 60000
Steps = Callable[[Array], None]  # one step for every 64 rows


def twin(net: Network, method: Method, images: Part, threads: int) -> Steps:
    """Steps of the twin, from its start weights; the sums of losses and right answers are part of it."""
    engine = Engine(net, method, batch=BATCH, threads=threads)
    recipe = Recipe(batch=BATCH, method=method)
    state = begin(recipe, engine)
    return lambda rows: (one_pass(engine, images, recipe, state, rows), None)[1]


def by_hand(images: Part, depth: float) -> Steps:
    """784-128-128-10 with Eq. 5 backward and Adam, straight on, in memory made once, all weights in one array for Adam."""
    f = np.float32
    flat = np.random.default_rng(0).normal(0, 0.1, 784 * 128 + 128 * 128 + 1280).astype(f)
    g, first, second = (np.zeros_like(flat) for _ in range(3))
    cuts, shapes = (0, 100352, 116736, 118016), ((128, 784), (128, 128), (10, 128))
    w1, w2, w3, g1, g2, g3 = (a[i:j].reshape(s) for a in (flat, g) for i, j, s in zip(cuts, cuts[1:], shapes, strict=False))
    z1, t1, a1, d1, z2, t2, a2, d2 = (np.empty((BATCH, 128), f) for _ in range(8))
    x, d3, raw = np.empty((BATCH, 784), f), np.empty((BATCH, 10), f), np.empty((BATCH, 784), np.uint8)
    each, scale, half, share, done = np.arange(BATCH), f(1 / 255), f(-depth / 2), f(1 / BATCH), 0

    def steps(rows: Array) -> None:
        nonlocal done
        for start in range(0, len(rows), BATCH):
            take = rows[start : start + BATCH]
            np.take(images.images, take, axis=0, out=raw, mode="clip")
            np.multiply(raw, scale, out=x)
            for z, t, a, w, before in ((z1, t1, a1, w1, x), (z2, t2, a2, w2, a1)):
                np.matmul(before, w.T, out=z)
                np.multiply(z, z, out=t)
                np.add(t, f(1), out=t)
                np.divide(half, t, out=t)
                np.exp(t, out=t)
                np.multiply(z, t, out=a)
            np.matmul(a2, w3.T, out=d3)
            d3[each, images.labels[take]] -= f(1)
            np.multiply(d3, share, out=d3)
            np.matmul(d3, w3, out=d2)
            np.multiply(d2, t2, out=d2)
            np.matmul(d2, w2, out=d1)
            np.multiply(d1, t1, out=d1)
            np.matmul(d3.T, a2, out=g3)
            np.matmul(d2.T, a1, out=g2)
            np.matmul(d1.T, x, out=g1)
            done += 1
            root = np.sqrt((1 - 0.999) / (1 - 0.999**done))
            first[...] *= f(0.9)
            first[...] += g
            second[...] *= f(0.999)
            np.multiply(g, g, out=g)
            second[...] += g
            np.sqrt(second, out=g)
            np.add(g, f(1e-8 / root), out=g)
            np.divide(first, g, out=g)
            np.multiply(g, f(5e-4 * 0.1 / (1 - 0.9**done) / root), out=g)
            np.subtract(flat, g, out=flat)

    return steps


def by_torch(images: Part, absorbers: bool, threads: int) -> Steps:
    """The convolutional network in PyTorch, with a hand-written backward pass of the absorber."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)

    class Cell(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(context: Any, z: Any) -> Any:
            t = torch.exp(-5 / (1 + z * z))
            context.save_for_backward(t)
            return z * t

        @staticmethod
        def backward(context: Any, arriving: Any) -> Any:
            return arriving * context.saved_tensors[0]

    class Cells(nn.Module):  # type: ignore[misc]
        def forward(self, z: Any) -> Any:
            return Cell.apply(z)

    act, pool = (Cells, nn.AvgPool2d) if absorbers else (nn.ReLU, nn.MaxPool2d)
    convolved = [nn.Conv2d(1, 32, 5, bias=False), act(), pool(2), nn.Conv2d(32, 64, 5, bias=False), act(), pool(2), nn.Flatten()]
    net = nn.Sequential(*convolved, nn.Linear(1024, 128, bias=False), act(), nn.Linear(128, 10, bias=False))
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-4)
    shown = torch.tensor((images.images / 255).reshape(-1, 1, 28, 28).astype(np.float32) * (5 if absorbers else 1))
    labels, targets = torch.tensor(images.labels), torch.eye(10)

    def steps(rows: Array) -> None:
        for start in range(0, len(rows), BATCH):
            take = torch.tensor(rows[start : start + BATCH])
            outputs, wanted = net(shown[take]), labels[take]
            mse = 0.5 * ((outputs - targets[wanted]) ** 2).sum() / BATCH
            loss = mse if absorbers else nn.functional.cross_entropy(outputs, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return steps


def fastest(sides: dict[str, Steps], count: int, steps: int, repeats: int, clock: Callable[[], float]) -> dict[str, float]:
    """Seconds a step of each side, in turn."""
    found = dict.fromkeys(sides, np.inf)
    for repeat in range(repeats + 1):  # the first warms up
        for name, run in sides.items():
            rows = np.random.default_rng(repeat).permutation(count)[: steps * BATCH]
            start = clock()
            run(rows)
            found[name] = min(found[name], (clock() - start) / (len(rows) / BATCH)) if repeat else np.inf
    return found


def told(what: str, found: dict[str, float], most: float) -> bool:
    """Print one comparison; whether the ratio is within its limit."""
    ours, theirs = found.values()
    epochs = ", ".join(f"{side} {seconds * EPOCH / BATCH:.2f} s" for side, seconds in found.items())
    print(f"{what}, epoch of {EPOCH} images: {epochs}, ratio {ours / theirs:.2f} (at most {most})", flush=True)
    return ours / theirs <= most


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=78)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--most", type=float, default=1.15)
    parser.add_argument("--most-torch", type=float, default=3.0)
    args = parser.parse_args()
    threadpool_limits(1, user_api="blas")
    data = load("mini")
    images = Part(data.train_images, data.train_labels.astype(np.int64))
    clock = time.thread_time if args.threads == 1 else time.perf_counter
    net = network("784-128-128-10", Absorber(30.0))
    sides = {"twin": twin(net, Method(), images, 1), "by hand": by_hand(images, 30.0)}
    fine = told(
        "784-128-128-10, absorbers", fastest(sides, len(images.labels), args.steps // 3, 9 * args.repeats, time.thread_time), args.most
    )
    steps = max(1, args.steps // 8)
    for name, activation, method in (("absorbers", Absorber(10.0), Method(white=5.0)), ("ReLU", Relu(), Method("exact", "cross_entropy"))):
        sides = {f"twin ({args.threads} threads)": twin(network(CNN, activation), method, images, args.threads)}
        if importlib.util.find_spec("torch"):
            sides["PyTorch"] = by_torch(images, name == "absorbers", args.threads)
            found = fastest(sides, len(images.labels), steps, args.repeats, clock)
            fine &= told(f"CNN, {name}", found, args.most_torch)
        else:
            seconds = next(iter(fastest(sides, len(images.labels), steps, args.repeats, clock).values())) * EPOCH / BATCH
            print(f"CNN, {name}, epoch of {EPOCH} images: {seconds:.2f} s; PyTorch is not installed, so nothing to compare it with")
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
