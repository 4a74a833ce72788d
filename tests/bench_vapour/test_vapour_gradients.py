"""Measured gradients of an ideal bench against central differences of the measured loss and against plain numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.gradients import central_differences

Array = NDArray[Any]
CELLS = ["eq4", "two_level", "doppler", "gain"]
DEPTHS = {"eq4": 4.0, "two_level": 2.0, "doppler": 2.5, "gain": 1.0}
SIZES = (12, 6, 5, 3)
ROWS = np.arange(16)


def differences(rig: Any, layer: int, codes: int = 60) -> Array:
    """dL/dW of a whole layer, each weight moved by so many SLM codes to either side, the outputs read again each time."""
    gain, weight = rig.network.gains[layer], rig.weights[layer]
    angles = np.arccos(-weight / gain)
    targets = np.eye(rig.network.layers.sizes[-1])[rig.labels[ROWS]]
    gradient: Array = np.zeros_like(weight)
    for at in np.ndindex(weight.shape):
        loss, moved = [], []
        for sign in (1, -1):
            weights = [w.copy() for w in rig.weights]
            weights[layer][at] = -gain * np.cos(angles[at] + sign * codes * np.pi / 65535)
            outputs = rig.outputs(ROWS, weights)
            loss.append(0.5 * np.sum((outputs - targets) ** 2) / len(ROWS))
            moved.append(weights[layer][at])
        gradient[at] = (loss[0] - loss[1]) / (moved[0] - moved[1])
    return gradient


def light(rig: Any, transmission: Callable[..., Array], cell: str) -> tuple[list[Array], list[Array], Array]:
    """Activations, cell inputs and output error, from the formulas."""
    activations: list[Array] = [rig.images[ROWS]]
    before: list[Array] = []
    for weight in rig.weights[:-1]:
        before.append(activations[-1] @ weight.T)
        activations.append(before[-1] * transmission(cell, before[-1], DEPTHS[cell]))
    return activations, before, activations[-1] @ rig.weights[-1].T - np.eye(SIZES[-1])[rig.labels[ROWS]]


def slope(transmission: Callable[..., Array], cell: str, field: Array, h: float = 1e-4) -> Array:
    """g'(E) of g(E) = E t(E), by differences."""
    up, down = field + h, field - h
    return np.asarray((up * transmission(cell, up, DEPTHS[cell]) - down * transmission(cell, down, DEPTHS[cell])) / (2 * h))


@pytest.mark.parametrize("error", ["digital", "optical"])
@pytest.mark.parametrize("cell", CELLS)
def test_the_exact_gradient_equals_central_differences_of_the_measured_loss_in_every_layer(
    rig_of: Callable[..., Any], cell: str, error: str
) -> None:
    rig = rig_of(SIZES, cell, DEPTHS[cell], ideal=True)
    step = rig.step("exact", error, ROWS)
    for layer, gradient in enumerate(step.gradients):
        truth = differences(rig, layer) if error == "digital" else central(rig, layer)
        assert np.abs(gradient - truth).max() < 1e-4 * np.abs(truth).max(), f"layer {layer + 1}"


def central(rig: Any, layer: int) -> Array:
    """The project's own differences, in one table."""
    targets, indices = np.eye(SIZES[-1]), np.arange(rig.weights[layer].size)
    plan = central_differences(rig.network, rig.weights, layer, indices, 2.0**-9, ROWS, targets, rig.labels[ROWS])
    return np.asarray(rig.bench.run(plan)).reshape(rig.weights[layer].shape)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_one_table_central_differences_are_those_of_outputs_read_one_by_one(rig_of: Callable[..., Any], layer: int) -> None:
    rig = rig_of(SIZES, ideal=True)
    one_by_one = differences(rig, layer)
    np.testing.assert_allclose(central(rig, layer), one_by_one, rtol=0, atol=1e-4 * np.abs(one_by_one).max())


@pytest.mark.parametrize("error", ["digital", "optical"])
@pytest.mark.parametrize("cell", CELLS)
def test_the_optical_derivative_is_the_transmission_times_what_the_weights_send_back(
    rig_of: Callable[..., Any], cell_transmission: Callable[..., Any], cell: str, error: str
) -> None:
    rig = rig_of(SIZES, cell, DEPTHS[cell], ideal=True)
    activations, before, delta = light(rig, cell_transmission, cell)
    step = rig.step("optical", error, ROWS)
    assert step.loss == pytest.approx(0.5 * np.sum(delta**2) / len(ROWS), rel=1e-6)
    for layer in (2, 1, 0):
        wanted = delta.T @ activations[layer] / len(ROWS)
        np.testing.assert_allclose(step.gradients[layer], wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())
        if layer:
            delta = cell_transmission(cell, before[layer - 1], DEPTHS[cell]) * (delta @ rig.weights[layer])


@pytest.mark.parametrize("cell", CELLS)
def test_the_measured_correction_makes_the_gradient_of_the_last_hidden_layer_exact(
    rig_of: Callable[..., Any], cell_transmission: Callable[..., Any], cell: str
) -> None:
    rig = rig_of(SIZES, cell, DEPTHS[cell], ideal=True)
    activations, before, error = light(rig, cell_transmission, cell)
    exact = (slope(cell_transmission, cell, before[1]) * (error @ rig.weights[2])).T @ activations[1] / len(ROWS)
    corrected, optical = rig.step("corrected", "digital", ROWS), rig.step("optical", "digital", ROWS)
    scale = np.abs(exact).max()
    assert np.abs(corrected.gradients[1] - exact).max() < 2e-6 * scale
    assert np.abs(optical.gradients[1] - exact).max() > 1e-2 * scale, "without it the gradient is only an approximation"


@pytest.mark.parametrize("cell", CELLS)
def test_optical_gradients_point_along_exact_ones(rig_of: Callable[..., Any], cell: str) -> None:
    rig = rig_of(SIZES, cell, DEPTHS[cell], ideal=True)
    optical, exact = rig.step("optical", "digital", ROWS), rig.step("exact", "digital", ROWS)
    for one, two in zip(optical.gradients, exact.gradients, strict=True):
        assert np.vdot(one, two) > 0.5 * np.linalg.norm(one) * np.linalg.norm(two)


@pytest.mark.parametrize("derivative", ["optical", "corrected", "exact"])
def test_an_error_made_by_interference_is_the_computed_one_in_one_trip_less(rig_of: Callable[..., Any], derivative: str) -> None:
    rig = rig_of(SIZES, ideal=True)
    digital, optical = (rig.step(derivative, error, ROWS) for error in ("digital", "optical"))
    for one, two in zip(digital.gradients, optical.gradients, strict=True):
        np.testing.assert_allclose(two, one, rtol=0, atol=1e-6 * np.abs(one).max())
    extra = 1 if derivative == "exact" else 0
    assert (digital.tables, optical.tables) == (2 + extra, 1 + extra)
    assert (digital.shots, optical.shots) == (16 * digital.tables, 16 * optical.tables)


def test_a_network_without_hidden_layers_needs_no_backward_light(rig_of: Callable[..., Any]) -> None:
    rig = rig_of((12, 3), ideal=True)
    step = rig.step("optical", "optical", ROWS)
    error = rig.images[ROWS] @ rig.weights[0].T - np.eye(3)[rig.labels[ROWS]]
    np.testing.assert_allclose(step.gradients[0], error.T @ rig.images[ROWS] / 16, rtol=0, atol=1e-7)
    assert step.tables == 1


def test_on_a_bench_of_hidden_errors_but_without_noise_the_exact_gradient_is_still_that_of_its_own_loss(rig_of: Callable[..., Any]) -> None:
    def quiet(text: str) -> str:
        laser = "rin_db_per_hz = -inf\nphase_walk_rad_per_sqrt_min = 0\npower_walk_per_sqrt_h = 0\n"
        return f"{text}[simulation.slm]\nflicker_rad = 0\n[simulation.detectors]\nnoisy = false\n[simulation.laser]\n{laser}"

    rig = rig_of(SIZES, dark=True, edit=quiet, images=100)
    rows = np.arange(100)
    step = rig.step("exact", "digital", rows)
    for layer, gradient in enumerate(step.gradients):
        plan = central_differences(
            rig.network, rig.weights, layer, np.arange(gradient.size), 2.0**-4, rows, np.eye(3), rig.labels[rows]
        )
        truth = rig.bench.run(plan)
        cosine = truth @ gradient.ravel() / np.linalg.norm(truth) / np.linalg.norm(gradient)
        assert 0.98 < cosine < 1 - 1e-9, f"layer {layer + 1}"
