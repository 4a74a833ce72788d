"""Passes of the twin against central differences, SciPy's correlation, and the equations as printed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import correlate

from labonn import absorbers
from labonn.errors import ProcedureError
from labonn.twin import Absorber, Convolution, Dense, MaxPool, MeanPool, Network, Relu, Sigmoid, Tanh, network, start_weights
from labonn.twin.layerwise import LINEAR, THROUGH, Back
from labonn.twin.nonlinear import factors, respond
from labonn.twin.passes import backward, forward, output_error
from labonn.twin.room import Room, Shelf

Array = NDArray[Any]
CELLS = [Absorber(7.0, cell) for cell in ("eq4", "two_level", "doppler")] + [Absorber(2.0, "gain")]
NONLINEAR = [*CELLS, Relu(), Tanh(), Sigmoid()]
NETWORKS = [
    *(network("6-5-4-3", layer) for layer in NONLINEAR),
    network("10x10-3x3x4-pool-3x3x5-pool-6-3", Absorber(5.0)),
    network("10x10-3x3x4-pool-3x3x5-pool-6-3", Tanh()),
    network("10x10-3x3x4-pool-3x3x5-pool-6-3", Relu(), MeanPool()),
    Network((2, 7, 7), (Convolution(2, 3), MeanPool(3), Dense(4))),
    Network((1, 6, 6), (Relu(), MeanPool(), MaxPool(3), Dense(4))),
]


def example(net: Network, batch: int = 5, seed: int = 0) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    weights = start_weights(net, seed, "glorot", np.float64) * 2
    return weights, rng.normal(size=(*net.before, batch)), rng.integers(0, net.classes, batch)


def gradient_of(net: Network, weights: Array, light: Array, labels: Array, loss: str = "mse", derivative: Any = "exact") -> Array:
    flat, room = np.full(net.count, np.nan), Room(len(net.layers), np.float64)
    trace = forward(net, net.split(weights), light, room)
    error, _ = output_error(trace.outputs, labels, loss, room)
    backward(net, net.split(weights), trace, error, net.split(flat), derivative, room)
    return flat


def differences(net: Network, weights: Array, light: Array, labels: Array, loss: str, some: Array, h: float = 1e-5) -> Array:
    def mean_loss(moved: Array) -> float:
        return output_error(forward(net, net.split(moved), light).outputs, labels, loss)[1] / len(labels)

    found = []
    for i in some:
        step = np.zeros_like(weights)
        step[i] = h
        found.append((mean_loss(weights + step) - mean_loss(weights - step)) / (2 * h))
    return np.array(found)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("net", NETWORKS, ids=lambda net: "-".join(type(layer).__name__ for layer in net.layers))
def test_exact_gradients_are_those_of_central_differences(net: Network, loss: str) -> None:
    weights, light, labels = example(net)
    some = np.unique(np.linspace(0, net.count - 1, 120).astype(int))
    wanted = differences(net, weights, light, labels, loss, some)
    found = gradient_of(net, weights, light, labels, loss)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[some], wanted, rtol=1e-5, atol=1e-8 * np.abs(found).max() + 1e-10)


@pytest.mark.parametrize("layer", [Dense(4), Convolution(3, 4), MeanPool(2), MaxPool(2)], ids=str)
def test_errors_go_back_through_a_linear_layer_as_its_differences_say(layer: Any) -> None:
    before, rng, batch, h = (3, 6, 4), np.random.default_rng(1), 2, 1e-6
    light, shelf, kind = rng.normal(size=(*before, batch)), Shelf(np.float64), type(layer)
    shape = layer.matrix(before)
    weight = rng.normal(size=shape) if shape else None
    out, kept = THROUGH[kind](layer, weight, light, shelf)
    error = rng.normal(size=out.shape)
    gradient = np.empty(shape) if shape else None
    arriving, _ = LINEAR[kind](layer, (error.copy(),) * 2, Back(weight, gradient, light, kept, shelf, True))
    back = np.array(arriving).reshape(light.shape)

    def through(moved: Array) -> Array:
        return THROUGH[kind](layer, weight, moved, Shelf(np.float64))[0]

    for place in [(0, 0, 0, 0), (2, 5, 3, 1), (1, 2, 1, 0), (0, 3, 2, 1)]:
        step = np.zeros_like(light)
        step[place] = h
        rise = through(light + step) - through(light - step)
        assert back[place] == pytest.approx(np.sum(rise * error) / (2 * h), rel=1e-6, abs=1e-8)


def test_a_convolution_is_scipys_correlation() -> None:
    rng, layer = np.random.default_rng(2), Convolution(5, 6)
    light = rng.normal(size=(3, 12, 9, 4))
    weight = rng.normal(size=layer.matrix((3, 12, 9)))
    out, _ = THROUGH[Convolution](layer, weight, light, Shelf(np.float64))
    assert out.shape == (6, 8, 5, 4)
    filters = weight.reshape(6, 5, 5, 3)
    for channel in range(6):
        for image in range(4):
            wanted = sum(correlate(light[c, :, :, image], filters[channel, :, :, c], mode="valid") for c in range(3))
            np.testing.assert_allclose(out[channel, :, :, image], wanted, rtol=1e-12, atol=1e-12)


def test_pools_are_means_and_maxima_of_blocks() -> None:
    light = np.random.default_rng(3).normal(size=(3, 4, 6, 2))
    blocks = light.reshape(3, 2, 2, 3, 2, 2)
    mean, _ = THROUGH[MeanPool](MeanPool(), None, light, Shelf(np.float64))
    largest, _ = THROUGH[MaxPool](MaxPool(), None, light, Shelf(np.float64))
    np.testing.assert_allclose(mean, blocks.mean(axis=(2, 4)), rtol=1e-12)
    np.testing.assert_array_equal(largest, blocks.max(axis=(2, 4)))


def test_of_equally_large_neurons_the_first_gets_the_error() -> None:
    light, shelf = np.zeros((1, 2, 2, 1)), Shelf(np.float64)
    pooled, kept = THROUGH[MaxPool](MaxPool(), None, light, shelf)
    error = np.ones_like(pooled)
    back, _ = LINEAR[MaxPool](MaxPool(), (error, error), Back(None, None, light, kept, shelf, True))
    np.testing.assert_array_equal(back.ravel(), [1, 0, 0, 0])


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_optical_derivative_is_the_transmission_that_the_pump_left(cell: Absorber) -> None:
    z, shelf = np.linspace(-3, 3, 24).reshape(4, 6), Shelf(np.float64)
    response = respond(cell, z, shelf)
    np.testing.assert_allclose(response.outputs, z * absorbers.transmission(cell.cell, z, cell.depth), rtol=1e-12)
    found = factors(cell, response, "optical", shelf)
    np.testing.assert_allclose(found.travelling, absorbers.transmission(cell.cell, z, cell.depth), rtol=1e-12)
    assert found.own is None


def test_saturable_gain_amplifies_weak_light_by_its_gain_factor() -> None:
    z = np.array([[1e-4, 1.0]])
    response = respond(Absorber(3.0, "gain"), z, Shelf(np.float64))
    np.testing.assert_allclose(response.outputs / z, [[np.exp(1.5), np.exp(0.75)]], rtol=1e-6)


def test_equation_6_is_the_exact_derivative_in_float32_too() -> None:
    z = np.linspace(-6, 6, 97, dtype=np.float32).reshape(1, -1)
    for depth in (1.0, 10.0, 30.0):
        shelf, cell, wide = Shelf(np.float32), Absorber(depth), z.astype(np.float64)
        slope = factors(cell, respond(cell, z, shelf), "exact", shelf).travelling
        wanted = (1 + depth * wide**2 / (1 + wide**2) ** 2) * np.exp(-depth / 2 / (1 + wide**2))
        assert slope.dtype == np.float32
        np.testing.assert_allclose(slope, wanted, rtol=1e-5)


def test_the_optical_gradient_is_written_out_as_in_equations_2_3_and_5() -> None:
    net = network("6-5-4-3", Absorber(9.0))
    weights, light, labels = example(net)
    w1, w2, w3 = (w for w in net.split(weights) if w is not None)

    def t(z: Array) -> Array:
        return np.asarray(np.exp(-4.5 / (1 + z**2)))

    z1 = w1 @ light
    z2 = w2 @ (z1 * t(z1))
    delta3 = (w3 @ (z2 * t(z2)) - np.eye(3)[labels].T) / len(labels)
    delta2 = t(z2) * (w3.T @ delta3)
    delta1 = t(z1) * (w2.T @ delta2)
    wanted = [delta1 @ light.T, delta2 @ (z1 * t(z1)).T, delta3 @ (z2 * t(z2)).T]
    found = gradient_of(net, weights, light, labels, derivative="optical")
    np.testing.assert_allclose(found, np.concatenate([g.ravel() for g in wanted]), rtol=1e-10)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_measured_correction_makes_the_gradient_of_one_hidden_layer_exact(cell: Absorber) -> None:
    net = network("6-5-3", cell)
    exact, corrected, optical = (gradient_of(net, *example(net), derivative=name) for name in ("exact", "corrected", "optical"))
    np.testing.assert_allclose(corrected, exact, rtol=1e-10)
    assert not np.allclose(optical, exact, rtol=1e-3)


def test_with_two_hidden_layers_the_correction_mends_each_layers_own_gradient_and_not_what_travels_on() -> None:
    net = network("6-5-4-3", Absorber(9.0))
    exact, corrected, optical = (
        [g for g in net.split(gradient_of(net, *example(net), derivative=name)) if g is not None]
        for name in ("exact", "corrected", "optical")
    )
    np.testing.assert_allclose(corrected[1], exact[1], rtol=1e-10)
    assert not np.allclose(corrected[0], exact[0], rtol=1e-3)
    assert not np.allclose(corrected[0], optical[0], rtol=1e-3)


def test_corrected_errors_go_through_a_mean_pool_like_those_that_travel() -> None:
    net = Network((1, 6, 6), (Convolution(3, 4), Absorber(4.0), MeanPool(), Dense(3)))
    exact, corrected = (gradient_of(net, *example(net), derivative=name) for name in ("exact", "corrected"))
    np.testing.assert_allclose(corrected, exact, rtol=1e-10)


def test_any_function_of_z_can_stand_in_for_the_derivative() -> None:
    net = network("6-5-3", Absorber(9.0))
    exact = gradient_of(net, *example(net))
    given = gradient_of(net, *example(net), derivative=lambda z: absorbers.derivative("eq4", z, 9.0))
    np.testing.assert_allclose(given, exact, rtol=1e-12)


def test_the_loss_is_the_sum_of_halved_squares() -> None:
    outputs, labels = np.array([[0.5, 0.0], [0.25, 2.0]]), np.array([0, 1])
    error, total = output_error(outputs, labels, "mse")
    assert total == pytest.approx(0.5 * (0.25 + 0.0625 + 0 + 1))
    np.testing.assert_allclose(error, np.array([[-0.5, 0.0], [0.25, 1.0]]) / 2)
    with pytest.raises(ProcedureError, match="loss 'l1': one of mse, cross_entropy"):
        output_error(outputs, labels, "l1")


def test_a_room_that_is_used_again_leaves_no_traces_in_the_results() -> None:
    net = network("10x10-3x3x4-pool-3x3x5-pool-6-3", Relu())
    weights, light, labels = example(net)
    room, flat, fresh = Room(len(net.layers), np.float64), np.zeros(net.count), gradient_of(net, weights, light, labels)
    for seed in (7, 8, 0):
        moved, other, wanted = example(net, seed=seed)
        trace = forward(net, net.split(moved), other, room)
        error, _ = output_error(trace.outputs, wanted, "mse", room)
        backward(net, net.split(moved), trace, error, net.split(flat), "exact", room)
    np.testing.assert_array_equal(flat, fresh)
