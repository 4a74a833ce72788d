"""Random derivative functions: symmetric, smooth, between 0 and 1, and as far from the true one as an independent integral says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from labonn import absorbers
from labonn.data import load
from labonn.errors import ProcedureError
from labonn.twin import Absorber, Method, Pictures, Recipe, network, train
from labonn.twin.derivatives import mismatch, random_curve


def test_a_random_curve_is_symmetric_and_keeps_between_its_knots() -> None:
    curve, z = random_curve(3), np.linspace(0, 9, 500)
    np.testing.assert_array_equal(curve(z), curve(-z))
    assert 0 <= curve(z).min() < curve(z).max() <= 1
    np.testing.assert_allclose(curve(z[z > 6]), curve(np.array([6.0]))[0])


def test_a_random_curve_is_scipys_interpolation_through_mirrored_numbers() -> None:
    half = np.random.default_rng(3).uniform(0, 1, 5)
    wanted = PchipInterpolator(np.linspace(-4, 4, 10), np.concatenate([half[::-1], half]))
    z = np.linspace(-4, 4, 333).reshape(3, 111)
    np.testing.assert_allclose(random_curve(3, 5, 4.0)(z), wanted(z), atol=1e-6)
    assert random_curve(3, 5, 4.0)(z.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("depth", [1.0, 10.0, 30.0])
def test_the_mismatch_of_the_optical_derivative_is_the_one_that_is_known(depth: float) -> None:
    found = mismatch(lambda z: absorbers.transmission("eq4", z, depth), depth)
    assert found == pytest.approx(absorbers.mismatch("eq4", depth), abs=1e-6)
    assert mismatch(lambda z: 3 * absorbers.derivative("eq4", z, depth), depth) == pytest.approx(0, abs=1e-12)


def test_random_curves_have_all_kinds_of_mismatch() -> None:
    found = [mismatch(random_curve(seed), 10.0) for seed in range(40)]
    assert 0 < min(found) < 0.15 < max(found) < 1


def test_a_network_trains_with_a_random_derivative() -> None:
    recipe = Recipe(epochs=3, learning_rate=3e-3, method=Method(derivative=random_curve(1)))
    result = train(network("784-32-10", Absorber(10.0)), Pictures.of(load("mini")), recipe)
    assert result.curves["train_loss"][-1] < result.curves["train_loss"][0]


def test_curves_and_depths_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ProcedureError, match="1 knots up to 6: at least 2"):
        random_curve(0, 1)
    with pytest.raises(ProcedureError, match="mismatch at depth 0; it is defined for depths above 0"):
        mismatch(np.abs, 0.0)
