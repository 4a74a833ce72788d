"""Optimizers as (init, update) pairs; their state is a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from labonn.channels import Floats
from labonn.errors import ProcedureError

Params = list[Floats]


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


def sgd(learning_rate: float) -> Optimizer:
    """Plain stochastic gradient descent: p <- p - lr g."""
    _check_rate(learning_rate)

    def update(grads: Sequence[Floats], state: None, params: Params) -> tuple[Params, None]:
        for p, g in zip(params, grads, strict=True):
            g *= p.dtype.type(learning_rate)
            p -= g
        return params, state

    return Optimizer(lambda params: None, update)


def adam(learning_rate: float, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Optimizer:
    """Adam (Kingma & Ba 2015, algorithm 1, in the form that folds both bias corrections into the step)."""
    _check_rate(learning_rate)

    def init(params: Sequence[Floats]) -> AdamState:
        first, second = ([np.zeros_like(p) for p in params] for _ in range(2))
        return AdamState(0, first, second)

    def update(grads: Sequence[Floats], state: AdamState, params: Params) -> tuple[Params, AdamState]:
        step = state.step + 1
        root = np.sqrt((1 - beta2) / (1 - beta2**step))
        rate, eps = learning_rate * (1 - beta1) / (1 - beta1**step) / root, epsilon / root
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


def _check_rate(learning_rate: float) -> None:
    if not 0 < learning_rate < float("inf"):
        raise ProcedureError(f"learning rate {learning_rate:g}: a positive, finite number is wanted")


BY_NAME = {"adam": adam, "sgd": sgd}
