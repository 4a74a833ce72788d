"""Dropout in the twin: what is dark, on average nothing changes, and errors come back through the same mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.errors import ProcedureError
from labonn.twin import Absorber, Dense, Dropout, Engine, MeanPool, Method, Network, Tanh, network, start_weights
from labonn.twin.passes import backward, forward, output_error
from labonn.twin.room import Room

Array = NDArray[Any]
NETWORKS = [
    network("6-8-drop0.5-7-drop0.2-3", Tanh()),
    network("10x10-3x3x4-pool-3x3x5-pool-drop0.4-6-3", Absorber(5.0)),
    Network((1, 6, 6), (Dense(16), Tanh(), Dropout(0.3), Dense(4))),
    Network((2, 6, 6), (Dropout(0.3), MeanPool(), Dense(4))),
]


def light_through(net: Network, weights: Array, light: Array, seed: int) -> Array:
    return forward(net, net.split(weights), light, dropping=np.random.default_rng(seed)).outputs


@pytest.mark.parametrize("net", NETWORKS, ids=lambda net: "-".join(type(layer).__name__ for layer in net.layers))
def test_gradients_are_central_differences_of_the_loss_with_the_same_neurons_dark(net: Network) -> None:
    rng, h = np.random.default_rng(0), 1e-5
    weights = start_weights(net, 0, "glorot", np.float64) * 2
    light, labels = rng.normal(size=(*net.before, 5)), rng.integers(0, net.classes, 5)
    flat, room = np.full(net.count, np.nan), Room(len(net.layers), np.float64)
    trace = forward(net, net.split(weights), light, room, dropping=np.random.default_rng(7))
    error, _ = output_error(trace.outputs, labels, "mse", room)
    backward(net, net.split(weights), trace, error, net.split(flat), "exact", room)
    some = np.unique(np.linspace(0, net.count - 1, 60).astype(int))
    assert np.count_nonzero(flat[some]) > 10
    for i in some:
        step = np.zeros_like(weights)
        step[i] = h
        high, low = (output_error(light_through(net, weights + sign * step, light, 7), labels, "mse")[1] / 5 for sign in (1, -1))
        assert flat[i] == pytest.approx((high - low) / (2 * h), rel=1e-5, abs=1e-9)


def test_errors_go_back_through_a_dropout_behind_which_a_pool_spreads_them() -> None:
    """Weights before the dropout, so that errors have to pass it, with a mean pool behind it."""
    net = network("8x8-3x3x2-drop0.4-pool-3", Tanh(), MeanPool())
    rng, h = np.random.default_rng(1), 1e-5
    weights = start_weights(net, 0, "glorot", np.float64) * 3
    light, labels = rng.normal(size=(1, 8, 8, 3)), np.array([0, 1, 2])
    flat, room = np.empty(net.count), Room(len(net.layers), np.float64)
    trace = forward(net, net.split(weights), light, room, dropping=np.random.default_rng(3))
    backward(net, net.split(weights), trace, output_error(trace.outputs, labels, "mse")[0], net.split(flat), "exact", room)
    for i in range(18):
        step = np.zeros_like(weights)
        step[i] = h
        high, low = (output_error(light_through(net, weights + sign * step, light, 3), labels, "mse")[1] / 3 for sign in (1, -1))
        assert flat[i] == pytest.approx((high - low) / (2 * h), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_that_share_is_dark_for_every_image_anew_and_the_mean_stays(share: float) -> None:
    net = Network((400,), (Dropout(share), Dense(400)))
    seen = light_through(net, np.eye(400).ravel(), np.full((400, 200), 3.0), 0)
    assert set(np.unique(np.round(seen, 9))) == {0.0, round(3 / (1 - share), 9)}
    sigma = np.sqrt(share * (1 - share) / seen.size)
    assert np.mean(seen == 0) == pytest.approx(share, abs=4 * sigma)
    assert seen.mean() == pytest.approx(3, abs=4 * 3 * sigma / (1 - share))
    dark_together = np.mean((seen[:, :100] == 0) == (seen[:, 100:] == 0))
    assert dark_together == pytest.approx(share**2 + (1 - share) ** 2, abs=0.02)


def test_nothing_is_dark_when_a_network_is_used() -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 64), dtype=np.uint8)
    plain, dropping = network("64-32-10", Absorber(5.0)), network("64-drop0.2-32-drop0.5-10", Absorber(5.0))
    weights = start_weights(plain, 0)
    one, two = (Engine(net, Method()).outputs(net.split(weights), images) for net in (plain, dropping))
    np.testing.assert_array_equal(one, two)


def test_a_text_says_where_and_how_much_is_dropped() -> None:
    net = network("28x28-5x5x4-pool-drop0.4-16-10", Absorber())
    assert net.layers[2:5] == (MeanPool(), Dropout(0.4), Dense(16))


@pytest.mark.parametrize(
    ("text", "message"),
    [("784-drop-10", "'drop' is none of N"), ("784-drop1-10", "dropout of 1: a share"), ("drop0.5-784-10", "begins with its inputs")],
)
def test_a_dropout_that_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(ProcedureError, match=message):
        network(text, Tanh())
