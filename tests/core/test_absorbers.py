"""The believed absorbers: numerical derivatives, the simulator's own solution, the published mismatch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from labonn.absorbers import CELLS, correction, derivative, mismatch, steepest_field, transmission
from sim_backends.physics import absorbers as truth

DEPTHS = [0.5, 5.0, 10.0, 30.0]


def numerical_derivative(cell: str, field: np.ndarray, depth: float, h: float = 2e-3) -> np.ndarray:
    """Central differences of g(E) = E t(E) with three terms: error O(h^6)."""

    def g(e: np.ndarray) -> np.ndarray:
        return e * transmission(cell, e, depth)

    first, second, third = ((g(field + k * h) - g(field - k * h)) / (2 * k * h) for k in (1, 2, 3))
    return 1.5 * first - 0.6 * second + 0.1 * third


@pytest.mark.parametrize(("cell", "depth"), list(itertools.product(CELLS, DEPTHS)))
def test_the_derivative_agrees_with_a_numerical_one(cell: str, depth: float) -> None:
    field = np.linspace(-8, 8, 321)
    expected = numerical_derivative(cell, field, depth)
    assert np.max(np.abs(derivative(cell, field, depth) - expected) / np.maximum(1, np.abs(expected))) < 1e-8


@pytest.mark.parametrize(("cell", "depth"), list(itertools.product(CELLS, [0.0, *DEPTHS, 200.0])))
def test_the_trainer_and_the_simulator_agree_by_different_algorithms(cell: str, depth: float) -> None:
    field = np.concatenate([[0.0], np.geomspace(1e-6, 60, 500)])
    assert np.allclose(transmission(cell, field, depth), truth.transmission(cell, field, depth), rtol=2e-12, atol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_the_correction_needs_only_the_tapped_fields(cell: str) -> None:
    field = np.linspace(-5, 5, 101)
    tapped = field * truth.transmission(cell, field, 7.0)
    probe = truth.transmission(cell, field, 7.0)
    known = {"depth": 7.0} if cell in ("eq4", "gain") else {}
    assert np.allclose(probe * correction(cell, field, tapped, **known), derivative(cell, field, 7.0), rtol=1e-11)


@pytest.mark.parametrize("cell", ["eq4", "gain"])
def test_a_correction_that_needs_the_depth_says_so(cell: str) -> None:
    with pytest.raises(ValueError, match=f"correction of the '{cell}' cell needs its depth"):
        correction(cell, np.ones(2), np.ones(2))


@pytest.mark.parametrize(("cell", "percent"), [("eq4", (0.5, 2.5, 5.6, 6.7)), ("two_level", (0.6, 6, 17, 21)), ("doppler", (0.5, 6, 7, 3))])
def test_the_mismatch_reproduces_the_table_that_integrates_up_to_field_6(cell: str, percent: tuple[float, ...]) -> None:
    found = [100 * mismatch(cell, depth, reach=6.0) for depth in (1.0, 5.0, 10.0, 30.0)]
    assert np.all(np.abs(np.array(found) - percent) < [0.06, 0.35, 0.4, 0.2])


def test_the_mismatch_of_equation_4_saturates_near_10_percent_as_published() -> None:
    found = [100 * mismatch("eq4", depth) for depth in (0.1, 10.0, 100.0, 200.0)]
    assert found == sorted(found)
    assert 9 < found[2] < 11
    assert found[3] - found[2] < 1


@pytest.mark.parametrize("cell", CELLS)
def test_single_precision_stays_single_and_follows_the_depth_of_each_channel(cell: str) -> None:
    field = np.linspace(-4, 4, 12, dtype=np.float32).reshape(3, 4)
    depth = np.array([1.0, 5.0, 10.0, 20.0])
    for function in (transmission, derivative):
        single, double = function(cell, field, depth), function(cell, field.astype(np.float64), depth)
        assert single.dtype == np.float32
        assert np.allclose(single, double, rtol=2e-5)
        assert np.allclose(double[:, 1], function(cell, field[:, 1].astype(np.float64), 5.0), rtol=1e-13)
    assert correction(cell, field, field, depth).dtype == np.float32


def test_an_unknown_cell_is_refused_with_the_known_ones() -> None:
    for call in (lambda: transmission("eq5", np.zeros(2), 1.0), lambda: correction("eq5", np.zeros(2), np.zeros(2))):
        with pytest.raises(ValueError, match=r"'eq5' is unknown; allowed are eq4, two_level, doppler, gain"):
            call()


def test_a_mismatch_without_absorption_is_refused() -> None:
    with pytest.raises(ValueError, match="depths above 0"):
        mismatch("eq4", 0.0)


@pytest.mark.parametrize(("cell", "depth"), [("doppler", 30.0), ("doppler", 50.0), ("doppler", 100.0), ("two_level", 100.0)])
def test_the_mismatch_counts_the_fields_at_which_deep_cells_are_clear(cell: str, depth: float) -> None:
    sigma = steepest_field(depth) / 2
    z = np.linspace(0, 30 * sigma, 300_001)
    t, slope = transmission(cell, z, depth), derivative(cell, z, depth)
    p = np.exp(-(z**2) / (2 * sigma**2)).astype(np.longdouble)
    expected = 1 - np.sum(p * t * slope) ** 2 / (np.sum(p * t * t) * np.sum(p * slope * slope))
    assert mismatch(cell, depth) == pytest.approx(float(expected), rel=1e-3)
