"""Fits of all channels at once, against SciPy one channel at a time, and their standard errors against what seeds really do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import approx_fprime, least_squares

from labonn.calibration.fitting import Curve, fit
from labonn.calibration.models import INTENSITY, field_model, fringe, intensity
from labonn.calibration.starts import fringe_start, settling, settling_start
from labonn.calibration.unwrapping import unwrapped

Array = NDArray[Any]
FIELD = field_model(0.3)
CURVES: dict[str, tuple[Curve, Array]] = {
    "fringe": (fringe, np.array([0.3, 1.1, 2.4, 0.7])),
    "intensity": (intensity, np.array([0.02, 0.9, 3.4, 0.4])),
    "field": (FIELD.curve, np.array([0.8, 3.6, -0.2])),
    "settling": (settling, np.array([1.0, 0.7, 1.3, 0.4])),
}


def modulators(rng: np.random.Generator, count: int, noise: float, points: int = 32) -> tuple[Array, Array, Array]:
    """(parameters (C, 4), x (n,), y (C, n)) of modulators on photodiodes."""
    truth = np.stack(
        [rng.uniform(0, 0.01, count), rng.uniform(0.5, 1.5, count), rng.normal(3.5, 0.2, count), rng.normal(0, 0.8, count)], axis=1
    )
    x = np.linspace(-5, 5, points)
    return truth, x, intensity(truth, x[None])[0] + noise * rng.standard_normal((count, points))


def started(x: Array, y: Array, used: Array | None = None) -> Array:
    x = np.broadcast_to(x, y.shape)
    return INTENSITY.start(x, y, np.ones(y.shape, np.bool_) if used is None else used)


@pytest.mark.parametrize("name", CURVES)
def test_derivatives_of_curves_are_those_of_finite_differences(name: str) -> None:
    curve, parameters = CURVES[name]
    x = np.linspace(-2.9, 3.1, 13)

    def value(p: Array) -> Array:
        return np.asarray(curve(p[None], x[None])[0][0])

    wanted = approx_fprime(parameters, value, 1e-7)
    np.testing.assert_allclose(curve(parameters[None], x[None])[1][0], wanted, atol=2e-6)


def test_every_channel_is_fitted_as_scipy_fits_it_alone() -> None:
    truth, x, y = modulators(np.random.default_rng(1), 40, 0.02)
    found = fit(intensity, x, y, started(x, y))
    assert found.converged.all()
    for c in range(len(y)):
        alone = least_squares(lambda p, c=c: intensity(p[None], x[None])[0][0] - y[c], truth[c], xtol=1e-15, ftol=1e-15, gtol=1e-15)
        covariance = np.linalg.inv(alone.jac.T @ alone.jac) * np.sum(alone.fun**2) / (len(x) - 4)
        np.testing.assert_allclose(found.parameters[c], alone.x, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.covariance[c], covariance, rtol=1e-3, atol=1e-9)


def test_robust_fits_are_those_of_scipy_with_the_same_loss() -> None:
    rng = np.random.default_rng(2)
    truth, x, y = modulators(rng, 12, 0.01)
    y[:, 5] += 0.4
    y[:, 20] -= 0.3
    found = fit(intensity, x, y, started(x, y), loss="huber")
    for c in range(len(y)):
        size = 1.345 * np.median(np.abs(found.residuals[c])) * 1.4826 * np.sqrt(32 / 28)
        alone = least_squares(
            lambda p, c=c: intensity(p[None], x[None])[0][0] - y[c], truth[c], loss="huber", f_scale=size, xtol=1e-14, ftol=1e-14
        )
        np.testing.assert_allclose(found.parameters[c], alone.x, atol=5e-4)
    assert (found.outliers >= 2).all()
    plain = fit(intensity, x, y, started(x, y))
    assert np.abs(found.parameters - truth)[:, 2].mean() < 0.3 * np.abs(plain.parameters - truth)[:, 2].mean()


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["linear", "huber", "soft_l1"])
def test_standard_errors_are_what_a_hundred_seeds_scatter_by(loss: str) -> None:
    pulls = []
    for seed in range(100):
        truth, x, y = modulators(np.random.default_rng(seed), 16, 0.02)
        found = fit(intensity, x, y, started(x, y), loss=loss)
        assert found.converged.all()
        pulls.append((found.parameters - truth) / found.errors)
    spread = np.std(np.concatenate(pulls), axis=0)
    assert np.all((spread > 0.8) & (spread < 1.25)), spread
    assert np.all(np.abs(np.mean(np.concatenate(pulls), axis=0)) < 0.15)


@pytest.mark.slow
def test_given_standard_errors_weigh_points_and_make_the_covariance() -> None:
    rng = np.random.default_rng(4)
    truth, x, clean = modulators(rng, 3000, 0.0)
    sigma = np.where(np.arange(32) % 2, 0.002, 0.05) * np.ones_like(clean)
    y = clean + sigma * rng.standard_normal(clean.shape)
    weighed = fit(intensity, x, y, started(x, y), sigma=sigma)
    plain = fit(intensity, x, y, started(x, y))
    pulls = np.std((weighed.parameters - truth) / weighed.errors, axis=0)
    assert np.all((pulls > 0.8) & (pulls < 1.1))
    assert np.median(weighed.errors[:, 2]) < 0.2 * np.median(plain.errors[:, 2])


def test_saturated_points_are_left_out_and_the_rest_is_enough() -> None:
    truth, x, y = modulators(np.random.default_rng(5), 200, 0.001)
    full = 0.75 * truth[:, 1:2]
    used = y < full
    clipped = np.minimum(y, full)
    found = fit(intensity, x, clipped, started(x, clipped, used), used=used)
    wrong = fit(intensity, x, clipped, started(x, clipped))
    pull = np.abs(found.parameters - truth)[:, 2:] / found.errors[:, 2:]
    assert np.quantile(pull, 0.99) < 4
    assert np.array_equal(found.used, used.sum(axis=1))
    assert np.isnan(found.residuals[~used]).all()
    assert np.abs(wrong.parameters - truth)[:, 1].mean() > 20 * np.abs(found.parameters - truth)[:, 1].mean()


def test_a_channel_whose_data_do_not_tell_its_parameters_apart_is_degenerate_and_the_others_are_not_disturbed() -> None:
    truth, x, y = modulators(np.random.default_rng(6), 4, 0.01)
    alone = fit(intensity, x, y[[0, 2, 3]], started(x, y[[0, 2, 3]]))
    y[1] = 0.5
    found = fit(intensity, x, y, started(x, y))
    assert found.degenerate.tolist() == [False, True, False, False]
    assert np.isinf(found.covariance[1]).all()
    np.testing.assert_array_equal(found.parameters[[0, 2, 3]], alone.parameters)
    few = fit(intensity, x, y, truth, used=np.arange(32) < 4)
    assert few.degenerate.all()


def test_points_that_are_no_numbers_are_not_used() -> None:
    _, x, y = modulators(np.random.default_rng(7), 3, 0.01)
    broken = y.copy()
    broken[0, [3, 9]] = np.nan, np.inf
    found = fit(intensity, x, broken, started(x, y))
    assert found.used.tolist() == [30, 32, 32]
    assert np.isfinite(found.parameters).all()


def test_fringes_of_any_period_and_phase_start_in_the_right_basin() -> None:
    rng = np.random.default_rng(8)
    count, x = 1500, np.linspace(-5, 5, 40)
    half = rng.uniform(0.7, 14, count)
    truth = np.stack([rng.normal(size=count), rng.uniform(0.5, 2, count), half, rng.uniform(-np.pi, np.pi, count)], axis=1)
    y = fringe(truth, x[None])[0] + 0.005 * rng.standard_normal((count, 40))
    found = fit(fringe, x, y, fringe_start(x, y))
    pull = (found.parameters[:, 2] - half) / found.errors[:, 2]
    assert np.abs(pull).max() < 7
    assert found.converged.all()


def test_levels_need_no_order_and_channels_may_have_their_own() -> None:
    rng = np.random.default_rng(9)
    truth, x, _ = modulators(rng, 64, 0.0)
    own = rng.permuted(np.tile(x, (64, 1)), axis=1) * rng.uniform(0.8, 1.0, (64, 1))
    y = intensity(truth, own)[0]
    found = fit(intensity, own, y, started(own, y))
    np.testing.assert_allclose(INTENSITY.folded(found.parameters), truth, atol=1e-7)


@pytest.mark.parametrize(("model", "shift"), [(INTENSITY, 2.0), (field_model(0.0), 2.0)], ids=["intensity", "field"])
def test_parameters_that_mean_the_same_are_told_as_the_same(model: Any, shift: float) -> None:
    x = np.linspace(-4, 4, 21)[None]
    base = np.array([[0.0, 0.9, 3.4, 0.4]] if model is INTENSITY else [[0.7, 3.4, 0.4]])
    same = base.copy()
    same[:, -1] += shift * base[:, -2]
    if model is not INTENSITY:
        same[:, 0] *= -1
    np.testing.assert_allclose(model.curve(same, x)[0], model.curve(base, x)[0], atol=1e-12)
    np.testing.assert_allclose(model.folded(same), base, atol=1e-12)
    swapped = same.copy()
    swapped[:, -2] *= -1
    np.testing.assert_allclose(model.curve(model.folded(swapped), x)[0], model.curve(swapped, x)[0], atol=1e-12)


def test_settling_is_found_with_its_onset() -> None:
    rng = np.random.default_rng(10)
    t, count = np.linspace(0, 10, 120), 100
    columns = rng.normal(1, 0.3, count), rng.uniform(0.5, 2, count), rng.uniform(0.4, 2, count), rng.uniform(0.3, 2, count)
    truth = np.stack(columns, axis=1)
    y = settling(truth, t[None])[0] + 0.005 * rng.standard_normal((count, 120))
    found = fit(settling, t, y, settling_start(t, y))
    pull = np.abs(found.parameters - truth) / found.errors
    assert np.quantile(pull, 0.95) < 3
    np.testing.assert_allclose(found.parameters[:, 2], truth[:, 2], rtol=0.1)


def test_phases_are_unwrapped_at_the_extrema_wherever_fringes_begin() -> None:
    rng = np.random.default_rng(11)
    count, points = 400, 90
    total = rng.uniform(1.2, 9, count) * np.pi
    phase = rng.uniform(0, 2, count)[:, None] * np.pi + total[:, None] * np.linspace(0, 1, points) ** 1.3
    y = 3 - 2 * np.cos(phase) + 0.005 * rng.standard_normal(phase.shape)
    wrong = unwrapped(y, np.full(count, 1.0), np.full(count, 5.0)) - phase
    wrong -= 2 * np.pi * np.round(np.median(wrong, axis=1) / (2 * np.pi))[:, None]
    assert np.abs(wrong).max() < 0.6  # at an extremum itself, where noise decides
    assert np.sqrt(np.mean(wrong**2)) < 0.06
