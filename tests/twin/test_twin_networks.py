"""Networks of the twin: what their texts mean, shapes that fit, and where weights start."""

from __future__ import annotations

import numpy as np
import pytest

from labonn.errors import ProcedureError
from labonn.training import initial_weights
from labonn.twin import CNN, Absorber, Convolution, Dense, MaxPool, MeanPool, Network, Relu, Sigmoid, Tanh, network, start_weights
from labonn.twin.starts import Spread


def test_a_text_of_numbers_is_dense_layers_with_an_activation_between() -> None:
    a = Absorber(30.0)
    assert network("784-128-128-10", a).layers == (Dense(128), a, Dense(128), a, Dense(10))
    assert network("784-10", a).layers == (Dense(10),)


def test_the_convolutional_network_of_the_paper_has_1024_features() -> None:
    net = network(CNN, Absorber())
    assert net.shapes == (
        (1, 28, 28), (32, 24, 24), (32, 24, 24), (32, 12, 12), (64, 8, 8), (64, 8, 8), (64, 4, 4), (128,), (128,), (10,),
    )  # fmt: skip
    assert [shape for shape in net.matrices if shape] == [(32, 25), (64, 800), (128, 1024), (10, 128)]
    assert net.count == 32 * 25 + 64 * 800 + 128 * 1024 + 1280


def test_absorbers_have_mean_pools_behind_them_and_digital_networks_max_pools_before() -> None:
    assert network(CNN, Absorber()).layers[:3] == (Convolution(5, 32), Absorber(), MeanPool())
    assert network(CNN, Relu()).layers[:3] == (Convolution(5, 32), MaxPool(), Relu())
    assert network(CNN, Relu(), MeanPool()).layers[:3] == (Convolution(5, 32), Relu(), MeanPool())


def test_pooling_first_gives_what_pooling_last_gives() -> None:
    from labonn.twin.passes import forward

    net = network("8x8-3x3x4-pool-5", Tanh())
    assert net.layers[1:3] == (MaxPool(), Tanh())
    swapped = Network(net.before, (net.layers[0], Tanh(), MaxPool(), *net.layers[3:]))
    weights = start_weights(net, 0, "normal", np.float64)
    light = np.random.default_rng(0).normal(size=(1, 8, 8, 3))
    one, two = (forward(n, n.split(weights), light).outputs for n in (net, swapped))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("784-x-10", "'x' is none of N"),
        ("784-0-10", "'0' is none of N"),
        ("784-28x28-10", "'28x28' is none of N"),
        ("28x28-5x4x3-10", "'5x4x3' is none of N"),
        ("784-5x5x3-10", "needs an image of at least that size, not 784"),
        ("9x9-3x3x2", "ends in a row of outputs"),
        ("7x7-3x3x2-pool-pool-3", "not 2 x 3 x 3|whole multiples"),
    ],
)
def test_a_text_that_makes_no_network_is_refused(text: str, message: str) -> None:
    with pytest.raises(ProcedureError, match=message):
        network(text, Relu(), MeanPool())


@pytest.mark.parametrize("depth", [10.0, 30.0, 60.0])
def test_absorbers_start_from_the_very_weights_that_a_bench_starts_from(depth: float) -> None:
    net = network("20-12-8-4", Absorber(depth))
    found = [w for w in net.split(start_weights(net, 5)) if w is not None]
    for ours, bench in zip(found, initial_weights((20, 12, 8, 4), depth, 5), strict=True):
        np.testing.assert_array_equal(ours, bench)


def test_digital_networks_start_from_he_or_glorot_widths() -> None:
    he = start_weights(network("400-300-10", Relu()), 0)[:120000]
    glorot = start_weights(network("400-300-10", Sigmoid()), 0)[:120000]
    assert np.std(he) == pytest.approx(np.sqrt(2 / 400), rel=0.01)
    assert np.std(glorot) == pytest.approx(np.sqrt(2 / 700), rel=0.01)
    with pytest.raises(ProcedureError, match="start weights 'zero': one of usual, normal, peaks"):
        start_weights(network("4-2", Relu()), 0, "zero")


def test_start_widths_are_one_number_or_one_a_matrix() -> None:
    net = network("400-300-100", Absorber())
    for spread, wanted in ((0.02, (0.02, 0.02)), ([0.03, 0.3], (0.03, 0.3)), (None, (0.1, 0.1))):
        parts = net.split(start_weights(net, 0, spread=spread))[::2]
        assert [np.std(part) for part in parts if part is not None] == pytest.approx(wanted, rel=0.02)
    peaks = start_weights(net, 0, "peaks", spread=0.01, centre=0.05)
    assert np.mean(np.abs(peaks)) == pytest.approx(0.05, rel=0.01)
    assert np.std(np.abs(peaks)) == pytest.approx(0.01, rel=0.02)
    assert np.mean(peaks > 0) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("how", "spread", "centre", "message"),
    [
        ("he", 0.1, None, "start weights 'he': a spread is of normal and peaks"),
        ("normal", 0.1, 0.1, "start weights 'normal'.*a centre of peaks only"),
        ("usual", (0.1,), None, r"one spread or 2, one a matrix"),
        ("normal", float("nan"), None, "spread nan, centre None: 0 or more"),
        ("peaks", -0.1, None, "spread -0.1, centre None: 0 or more"),
    ],
)
def test_start_widths_that_mean_nothing_are_refused(how: str, spread: Spread, centre: float | None, message: str) -> None:
    with pytest.raises(ProcedureError, match=message):
        start_weights(network("4-3-2", Absorber()), 0, how, spread=spread, centre=centre)


def test_wrong_values_of_layers_are_refused() -> None:
    with pytest.raises(ProcedureError, match="cells are eq4, two_level"):
        Absorber(10.0, "vapour")
    with pytest.raises(ProcedureError, match="pool of size 1"):
        MeanPool(1)
