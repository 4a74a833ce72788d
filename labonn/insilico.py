"""Training of the believed chip: the in-silico start of a training on the chip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labonn.believed import ChipModel
from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.losses import cross_entropy, cross_entropy_slope
from labonn.optimizers import adam
from labonn.shots import Ints


@dataclass(frozen=True)
class Believed:
    """What a training of the believed chip found.

    Attributes:
        theta: (P,) float64 parameters inside the limits. losses: (steps,) mean loss of every mini-batch before its step.
    """

    theta: Floats
    losses: Floats


def train_believed(
    model: ChipModel,
    theta: Floats,
    images: Floats,
    labels: Ints,
    steps: int = 2000,
    batch: int = 256,
    lr: float = 0.01,
    seed: int = 0,
    limits: tuple[Floats, Floats] | None = None,
    scale: float = 8.0,
    on_step: Callable[[int, float], None] | None = None,
) -> Believed:
    """Adam on mini-batches drawn without repetition within an epoch, projected onto the limits after every step; lr falls to 0 as a cosine.

    Args:
        theta: (P,) start; its dtype is that of the computation. images: (N, n0) fields, 0 to 1. labels: (N,).
        limits: (P,) lowest and highest parameters; None: the nominal range. scale: logits a unit of output.
        on_step: is told the number of the step and its loss.

    Raises:
        ProcedureError: shapes that do not fit, or a start outside the limits.
    """
    lower, upper = model.nominal_range() if limits is None else limits
    _check(model, theta, images, labels, lower, upper)
    rng, optimizer = np.random.default_rng(seed), adam(1.0)
    params, losses, order = [np.array(theta)], np.empty(steps), np.empty(0, np.intp)
    state = optimizer.init(params)
    batch = min(batch, len(labels))
    for step in range(steps):
        if len(order) < batch:
            order = rng.permutation(len(labels))
        rows, order = order[:batch], order[batch:]
        shown, wanted = images[rows].astype(theta.dtype, copy=False), labels[rows]
        trace = model.forward(params[0], shown)
        losses[step] = float(np.mean(cross_entropy(trace.outputs, wanted, scale), dtype=np.float64))
        slopes = cross_entropy_slope(trace.outputs, wanted, scale) / theta.dtype.type(batch)
        gradient = model.gradient(params[0], shown, slopes, trace.hidden, trace.activation)
        before = params[0].copy()
        params, state = optimizer.update([gradient], state, params)
        rate = theta.dtype.type(lr * 0.5 * (1 + np.cos(np.pi * step / steps)))
        params[0] = np.clip(before + rate * (params[0] - before), lower, upper).astype(theta.dtype, copy=False)
        if on_step:
            on_step(step, losses[step])
    return Believed(np.clip(params[0].astype(np.float64), lower, upper), losses)  # limits rounded to float32 may be outside


def accuracy(model: ChipModel, theta: Floats, images: Floats, labels: Ints) -> float:
    """Share of images whose largest output is that of their class."""
    return float(np.mean(model.forward(theta, images).outputs.argmax(axis=1) == labels))


def _check(model: ChipModel, theta: Floats, images: Floats, labels: Ints, lower: Floats, upper: Floats) -> None:
    if theta.shape != (model.count,) or images.shape != (len(labels), model.sizes[0]) or not len(labels):
        wanted = f"({model.count},), (N, {model.sizes[0]}) and (N,)"
        raise ProcedureError(f"parameters {theta.shape}, images {images.shape}, labels {labels.shape}; wanted are {wanted}")
    outside = np.flatnonzero(~((theta >= lower.astype(theta.dtype)) & (theta <= upper.astype(theta.dtype))))
    if outside.size:
        i = int(outside[0])
        raise ProcedureError(f"{model.names[i]}: a start of {theta[i]:.6g} is outside {lower[i]:.6g} to {upper[i]:.6g}")
