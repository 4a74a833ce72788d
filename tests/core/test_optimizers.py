"""Optimizers against the algorithms as printed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.errors import ProcedureError
from labonn.optimizers import BY_NAME, adam, sgd

Array = NDArray[Any]


def kingma_and_ba(theta: Array, gradients: Iterator[Array], alpha: float, beta1: float, beta2: float, epsilon: float) -> Array:
    """Algorithm 1 of Kingma & Ba (2015), line by line."""
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    t = 0
    for g in gradients:
        t = t + 1
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        theta = theta - alpha * m_hat / (np.sqrt(v_hat) + epsilon)
    return theta


def gradients(shape: tuple[int, ...], count: int, seed: int) -> Iterator[Array]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield rng.standard_normal(shape) * 10.0 ** rng.uniform(-6, 2)


@pytest.mark.parametrize("constants", [(0.9, 0.999, 1e-8), (0.5, 0.9, 1e-3), (0.0, 0.99, 1e-8)])
@pytest.mark.parametrize("steps", [1, 2, 50])
def test_adam_is_the_printed_algorithm(steps: int, constants: tuple[float, float, float]) -> None:
    shapes, start = [(3, 4), (2, 3)], np.random.default_rng(1)
    params: list[Any] = [start.standard_normal(shape) for shape in shapes]
    wanted = [
        kingma_and_ba(p.copy(), gradients(p.shape, steps, seed), 0.01, *constants) for seed, p in enumerate(params)
    ]
    optimizer = adam(0.01, *constants)
    state: Any = optimizer.init(params)
    streams = [gradients(shape, steps, seed) for seed, shape in enumerate(shapes)]
    for _ in range(steps):
        params, state = optimizer.update([next(stream) for stream in streams], state, params)
    for one, two in zip(params, wanted, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-10)


def test_adam_in_float32_stays_in_float32_and_near_the_printed_algorithm() -> None:
    params = [np.ones((5, 5), np.float32)]
    optimizer = adam(0.01)
    state = optimizer.init(params)
    for g in gradients((5, 5), 40, 3):
        params, state = optimizer.update([g.astype(np.float32)], state, params)
    wanted = kingma_and_ba(np.ones((5, 5)), gradients((5, 5), 40, 3), 0.01, 0.9, 0.999, 1e-8)
    assert params[0].dtype == np.float32
    np.testing.assert_allclose(params[0], wanted, atol=1e-5)


def test_a_weight_without_gradient_is_not_moved_by_adam() -> None:
    optimizer, params = adam(0.1), [np.array([1.0, 2.0])]
    moved, _ = optimizer.update([np.array([0.0, 5.0])], optimizer.init(params), params)
    assert moved[0][0] == 1.0
    assert moved[0][1] == pytest.approx(1.9)


def test_sgd_goes_the_learning_rate_times_the_gradient_downhill() -> None:
    optimizer, params = sgd(0.25), [np.array([1.0, -2.0]), np.array([[3.0]])]
    state = optimizer.init(params)
    for _ in range(2):
        params, state = optimizer.update([np.array([4.0, 8.0]), np.array([[-4.0]])], state, params)
    np.testing.assert_array_equal(params[0], [-1.0, -6.0])
    np.testing.assert_array_equal(params[1], [[5.0]])


@pytest.mark.parametrize("name", list(BY_NAME))
def test_a_quadratic_bowl_is_descended_to_its_bottom(name: str) -> None:
    bottom = np.array([0.5, -1.5, 2.0])
    optimizer, params = BY_NAME[name](0.05), list[Any]([np.zeros(3)])
    state = optimizer.init(params)
    for _ in range(600):
        params, state = optimizer.update([params[0] - bottom], state, params)
    np.testing.assert_allclose(params[0], bottom, atol=1e-3)


@pytest.mark.parametrize("name", list(BY_NAME))
@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_learning_rate_that_is_none_is_refused(name: str, rate: float) -> None:
    with pytest.raises(ProcedureError, match=r"learning rate .*: a positive, finite number is wanted"):
        BY_NAME[name](rate)


def test_a_gradient_too_many_or_too_few_is_an_error() -> None:
    optimizer, params = adam(0.1), list[Any]([np.zeros(3), np.zeros(2)])
    with pytest.raises(ValueError, match="zip"):
        optimizer.update([np.zeros(3)], optimizer.init(params), params)
