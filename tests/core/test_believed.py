"""The believed chip against embedded matrices and finite differences; losses; training without a chip."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, softmax

from labonn import data
from labonn.believed import ChipModel
from labonn.couplers import Coupler
from labonn.errors import ProcedureError
from labonn.insilico import accuracy, train_believed
from labonn.losses import cross_entropy, cross_entropy_slope

Array = NDArray[Any]
SIZES = (6, 4, 3)
MODELS = [
    ChipModel(SIZES),
    ChipModel(SIZES, Coupler("pt", 1.3, one_sided=True), activation="absorber", cell="two_level", depth=3.0),
    ChipModel(SIZES, Coupler("rotation"), "rectangular", slope=3.0, gain=2.5),
    ChipModel(SIZES, Coupler("mzi"), activation="absorber", depth=4.0),
    ChipModel(SIZES, Coupler("mzi"), "rectangular", readout="intensity"),
    ChipModel(SIZES, readout="intensity"),
]
EACH = pytest.mark.parametrize("model", MODELS, ids=lambda m: f"{m.coupler.kind}-{m.layout}-{m.activation}-{m.readout}")


def start(model: ChipModel, seed: int = 0) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    theta = model.random(rng) + 0.1 * rng.normal(size=model.count)
    return theta, rng.uniform(0, 1, (9, SIZES[0])), rng.integers(0, SIZES[2], 9)


def whole(model: ChipModel, theta: Array, name: str, ports: int) -> Array:
    """A mesh as the product of embedded couplers."""
    blocks, product = model.coupler.blocks(theta[model.slices[name]])[0], np.eye(ports, dtype=complex)
    for k, port in enumerate(model.meshes[name].tops):
        one = np.eye(ports, dtype=complex)
        one[port : port + 2, port : port + 2] = blocks[:, :, k]
        product = one @ product
    return product


def test_the_papers_chip_has_1631_parameters_in_the_order_of_the_light() -> None:
    model = ChipModel()
    assert model.count == 1631
    assert [(name, part.start, part.stop) for name, part in model.slices.items()] == [
        ("1a", 0, 1176), ("amp1", 1176, 1196), ("1b", 1196, 1386), ("2a", 1386, 1576), ("amp2", 1576, 1586), ("2b", 1586, 1631),
    ]  # fmt: skip
    assert model.names[:3] == ("1a/c0/i0", "1a/c1/i1", "1a/c2/i0")
    assert model.names[1176] == "amp1/0"
    assert model.names[-1] == "2b/c16/i0"
    assert len(set(model.names)) == 1631
    assert model.couplers == 1601
    assert np.flatnonzero(model.amplifiers).tolist() == [*range(1176, 1196), *range(1576, 1586)]


def test_a_full_mzi_has_two_parameters_side_by_side() -> None:
    model = ChipModel(coupler=Coupler("mzi"))
    assert model.count == 2 * 1601 + 30
    assert model.names[:3] == ("1a/c0/i0/theta", "1a/c0/i0/phi", "1a/c1/i1/theta")


@EACH
def test_light_forward_is_the_product_of_embedded_matrices(model: ChipModel) -> None:
    theta, images, _ = start(model)
    n0, n1, n2 = SIZES
    factors = [np.exp(theta[model.slices[name]]) for name in ("amp1", "amp2")]
    if model.coupler.kind != "pt":
        factors = [model.gain * np.cos(theta[model.slices[name]] / 2) for name in ("amp1", "amp2")]
    first = whole(model, theta, "1b", n1) @ np.diag(factors[0]) @ whole(model, theta, "1a", n0)[:n1]
    second = whole(model, theta, "2b", n2) @ np.diag(factors[1]) @ whole(model, theta, "2a", n1)[:n2]
    trace = model.forward(theta, images)
    assert np.abs(trace.hidden - (images @ first.T).real).max() < 1e-13
    fields = trace.activation @ second.T
    wanted = np.abs(fields) ** 2 if model.readout == "intensity" else fields.real
    assert np.abs(trace.outputs - wanted).max() < 1e-13
    if model.activation == "sigmoid":
        assert np.abs(trace.activation - expit(model.slope * trace.hidden)).max() < 1e-15


@EACH
def test_the_gradient_agrees_with_finite_differences_of_the_loss(model: ChipModel) -> None:
    theta, images, labels = start(model)

    def loss(values: Array) -> float:
        return float(np.mean(cross_entropy(model.forward(values, images).outputs, labels, 3.0)))

    found = model.gradient(theta, images, cross_entropy_slope(model.forward(theta, images).outputs, labels, 3.0) / len(labels))
    step = 1e-3 * np.eye(model.count)
    wanted = [(8 * (loss(theta + d) - loss(theta - d)) - loss(theta + 2 * d) + loss(theta - 2 * d)) / 12e-3 for d in step]
    assert np.abs(found - wanted).max() < 1e-9 * max(1, np.abs(found).max())
    assert np.abs(found).max() > 1e-3


@EACH
def test_single_precision_is_near_double_and_stays_single(model: ChipModel) -> None:
    theta, images, labels = start(model)
    slopes = cross_entropy_slope(model.forward(theta, images).outputs, labels)
    wanted = model.gradient(theta, images, slopes)
    found = model.gradient(theta.astype(np.float32), images.astype(np.float32), slopes)
    trace = model.forward(theta.astype(np.float32), images)
    assert found.dtype == trace.hidden.dtype == trace.outputs.dtype == np.float32
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_measured_hidden_fields_take_the_place_of_believed_ones() -> None:
    """With hidden fields and outputs of another chip, the gradient is that of a believed chip which happens to see those fields."""
    model = MODELS[0]
    theta, images, labels = start(model)
    measured = np.random.default_rng(8).normal(size=(len(images), SIZES[1]))
    second = model.weights(theta)[1]
    slopes = cross_entropy_slope(expit(measured) @ second.T, labels)
    found = model.gradient(theta, images, slopes, hidden=measured)
    by_hidden = (slopes @ second) * expit(measured) * (1 - expit(measured))
    assert np.allclose(found, model.pull_back(theta, by_hidden.T @ images, slopes.T @ expit(measured)), atol=1e-13)
    assert np.abs(found - model.gradient(theta, images, slopes)).max() > 0.01
    raised = np.random.default_rng(9).uniform(size=measured.shape)
    again = model.gradient(theta, images, slopes, hidden=measured, activation=raised)
    assert np.allclose(again, model.pull_back(theta, by_hidden.T @ images, slopes.T @ raised), atol=1e-13)


def test_a_passive_chip_never_amplifies_and_a_pt_chip_at_its_range_stays_inside_it() -> None:
    rng = np.random.default_rng(1)
    passive = ChipModel(coupler=Coupler("rotation"))
    for weights in passive.weights(rng.uniform(-np.pi, np.pi, passive.count)):
        assert np.linalg.norm(weights, 2) <= 1 + 1e-12
    lower, upper = ChipModel().nominal_range()
    assert np.all(np.isclose(upper[~ChipModel().amplifiers], 0.2))
    assert np.all(-upper == lower)


def test_impossible_chips_and_parameters_are_refused() -> None:
    with pytest.raises(ProcedureError, match=r"a chip of sizes \(4, 5, 3\); three are wanted, none larger"):
        ChipModel((4, 5, 3))
    with pytest.raises(ProcedureError, match="a chip with layout 'round'; allowed are triangular, rectangular"):
        ChipModel(layout="round")
    with pytest.raises(ProcedureError, match="a chip with slope 0; a positive"):
        ChipModel(slope=0.0)
    with pytest.raises(ProcedureError, match=r"parameters of shape \(5,\); a chip of sizes \(6, 4, 3\) has \(37,\)"):
        MODELS[0].forward(np.zeros(5), np.zeros((1, 6)))


@pytest.mark.parametrize(("dtype", "rounding"), [(np.float64, 1e-14), (np.float32, 1e-6)])
@pytest.mark.parametrize("scale", [1.0, 12.0, 500.0])
def test_the_loss_of_every_setting_is_the_logarithm_of_the_softmax(scale: float, dtype: Any, rounding: float) -> None:
    rng = np.random.default_rng(3)
    outputs, labels = rng.normal(size=(7, 5, 10)).astype(dtype), rng.integers(0, 10, 5)
    logits = scale * outputs.astype(np.float64)
    found = cross_entropy(outputs, labels, scale)
    assert found.dtype == dtype
    wanted = -log_softmax(logits, axis=-1)[:, np.arange(5), labels]
    assert np.all(np.abs(found - wanted) <= rounding * (1 + np.abs(logits).max()))
    slope = cross_entropy_slope(outputs, labels, scale)
    shares = softmax(logits, axis=-1)
    assert np.abs(slope - scale * (shares - np.eye(10)[labels])).max() < 10 * rounding * scale * (1 + np.abs(logits).max())


def test_a_loss_near_zero_keeps_its_digits_and_a_huge_one_stays_finite() -> None:
    outputs = np.array([[30.0, 0.0, 0.0], [0.0, 5000.0, 0.0]])
    found = cross_entropy(outputs, np.array([0, 0]))
    assert found[0] == pytest.approx(2 * np.exp(-30), abs=1e-15)
    assert found[1] == 5000
    assert np.isnan(cross_entropy(np.array([[np.nan, 1.0]]), np.array([1]))[0])


def mini() -> tuple[Array, Array, Array, Array]:
    digits = data.load("mini")
    shown = [images.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(-1, 49) / 255 for images in (digits.train_images, digits.test_images)]
    return shown[0], digits.train_labels, shown[1], digits.test_labels


@pytest.mark.parametrize(("kind", "wanted"), [("pt", 0.8), pytest.param("rotation", 0.6, marks=pytest.mark.slow)])
def test_a_believed_chip_learns_digits_within_its_limits(kind: str, wanted: float) -> None:
    model = ChipModel(coupler=Coupler(kind), slope=3.0)
    images, labels, test_images, test_labels = mini()
    lower, upper = model.nominal_range()
    lower, upper = lower.copy(), upper.copy()
    lower[5], upper[7] = upper[5] / 2, lower[7] / 2
    start_at = model.random(np.random.default_rng(0), (lower, upper)).astype(np.float32)
    rate, scale = (0.01, 8.0) if kind == "pt" else (0.05, 50.0)
    found = train_believed(model, start_at, images, labels, 200, 128, rate, 1, (lower, upper), scale)
    assert np.all((found.theta >= lower) & (found.theta <= upper))
    assert kind != "pt" or np.any(found.theta == upper), "projected onto the limits"
    assert found.losses[-20:].mean() < 0.6 * found.losses[0]
    assert accuracy(model, found.theta, test_images, test_labels) > wanted
    again = train_believed(model, start_at, images, labels, 200, 128, rate, 1, (lower, upper), scale)
    assert np.array_equal(again.theta, found.theta)


def test_a_start_outside_the_limits_and_images_of_another_size_are_refused() -> None:
    model = MODELS[0]
    with pytest.raises(ProcedureError, match=r"1a/c0/i0: a start of 3 is outside -0\.2 to 0\.2"):
        train_believed(model, np.full(model.count, 3.0), np.zeros((4, 6)), np.zeros(4, int))
    with pytest.raises(ProcedureError, match=r"images \(4, 7\), labels \(4,\); wanted are \(37,\), \(N, 6\) and \(N,\)"):
        train_believed(model, np.zeros(model.count), np.zeros((4, 7)), np.zeros(4, int))
