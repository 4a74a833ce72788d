"""Optimizers as (init, update) pairs; their state is a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from labonn.channels import Floats
from labonn.errors import ProcedureError

Params = list[Floats]
Rate = float | Callable[[int], float]  # learning rate, or of each step, counted from 0


class Optimizer(NamedTuple):
    """`init(params) -> state` and `update(grads, state, params) -> (params, state)`.

    `update` consumes the state and the parameters it is given (their memory becomes the new ones'), and may scribble over the gradients.
    """

    init: Callable[[Sequence[Floats]], Any]
    update: Callable[[Sequence[Floats], Any, Params], tuple[Params, Any]]


@dataclass(frozen=True)
class AdamState:
    """Step count and, for each parameter array, its moments over 1 - beta (which saves two passes over the memory a step)."""

    step: int
    first: Params
    second: Params


def sgd(learning_rate: Rate) -> Optimizer:
    """Plain stochastic gradient descent: p <- p - lr g; the state is the number of steps."""
    rate_of = _schedule(learning_rate)

    def update(grads: Sequence[Floats], state: int, params: Params) -> tuple[Params, int]:
        for p, g in zip(params, grads, strict=True):
            g *= p.dtype.type(rate_of(state))
            p -= g
        return params, state + 1

    return Optimizer(lambda params: 0, update)


def adam(learning_rate: Rate, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Optimizer:
    """Adam (Kingma & Ba 2015, algorithm 1, in the form that folds both bias corrections into the step)."""
    rate_of = _schedule(learning_rate)

    def init(params: Sequence[Floats]) -> AdamState:
        first, second = ([np.zeros_like(p) for p in params] for _ in range(2))
        return AdamState(0, first, second)

    def update(grads: Sequence[Floats], state: AdamState, params: Params) -> tuple[Params, AdamState]:
        step = state.step + 1
        root = np.sqrt((1 - beta2) / (1 - beta2**step))
        rate, eps = rate_of(state.step) * (1 - beta1) / (1 - beta1**step) / root, epsilon / root
        for p, g, m, v in zip(params, grads, state.first, state.second, strict=True):
            real = p.dtype.type
            m *= real(beta1)
            m += g
            v *= real(beta2)
            g *= g
            v += g
            np.sqrt(v, out=g)
            g += real(eps)
            np.divide(m, g, out=g)
            g *= real(rate)
            p -= g
        return params, AdamState(step, state.first, state.second)

    return Optimizer(init, update)


def _schedule(learning_rate: Rate) -> Callable[[int], float]:
    """A rate for every step; a schedule is checked at its first one."""
    first = learning_rate(0) if callable(learning_rate) else learning_rate
    if not 0 < first < float("inf"):
        raise ProcedureError(f"learning rate {first:g}: a positive, finite number is wanted")
    return learning_rate if callable(learning_rate) else lambda step: first


BY_NAME = {"adam": adam, "sgd": sgd}
