"""Walsh codes and the gradients decoded from them, against matrices of scipy and a known cubic."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from scipy.linalg import hadamard

from labonn.banks import Dither, dense
from labonn.errors import ProcedureError
from labonn.gradients import central, forward, lagged, spsa, walsh
from labonn.gradients.codes import assign, autocorrelation, packed, set_bits, transform

Make = Callable[..., Any]
STEP = 0.1


def rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def rng() -> np.random.Generator:
    return np.random.default_rng(8)


def test_the_transform_is_multiplication_by_the_hadamard_matrix() -> None:
    for length in (1, 2, 64):
        values = rng().normal(size=length)
        np.testing.assert_allclose(transform(values), hadamard(length) @ values, rtol=0, atol=1e-12)


def test_packed_codes_are_columns_of_the_hadamard_matrix() -> None:
    codes = np.array([3, 31, 0, 17, 8, 9, 10, 11, 30, 1, 2])
    bits = np.unpackbits(packed(codes, 32), axis=1, count=len(codes))
    np.testing.assert_array_equal(2.0 * bits - 1, hadamard(32)[:, codes])


def test_autocorrelations_of_codes_are_the_sums_they_are_defined_by() -> None:
    codes, matrix = np.arange(32), hadamard(32)
    wanted = [[matrix[i, : 32 - lag] @ matrix[i, lag:] for lag in range(12)] for i in codes]
    np.testing.assert_array_equal(autocorrelation(codes, 32, 12), wanted)


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_a_code_of_r_set_bits_does_not_see_polynomials_of_lower_degree(bits: int) -> None:
    time = np.arange(64) / 64
    for degree in range(bits):
        seen = transform(time**degree)
        assert np.abs(seen[set_bits(64) >= bits]).max() < 1e-12
    assert np.abs(transform(time**bits)[set_bits(64) == bits]).min() > 1e-12


def test_2048_rows_leave_as_many_codes_as_physics_says_and_are_what_1631_parameters_take() -> None:
    assert [np.count_nonzero(set_bits(2048) >= bits) for bits in (2, 3)] == [2036, 1981]
    codes, spare, length = assign(np.ones(1631, bool), None, 3, rng())
    assert (length, len(spare)) == (2048, 350)
    assert len({*codes, *spare}) == 1981
    assert set_bits(2048)[codes].min() == 3


def test_rows_that_are_not_enough_or_no_power_of_two_are_refused() -> None:
    free = np.ones(20, bool)
    with pytest.raises(ProcedureError, match=r"32 rows have 26 codes of 2 or more set bits; 28 are wanted, one for each of 20 parameters"):
        assign(free, 32, 2, rng())
    with pytest.raises(ProcedureError, match="rows is 48"):
        assign(free, 48, 2, rng())
    with pytest.raises(ProcedureError, match="bits 0"):
        assign(free, None, 0, rng())


def test_the_bias_of_walsh_codes_is_that_of_the_formula_and_even_orders_cancel(paper: Make) -> None:
    objective, theta = paper(20), np.linspace(-0.5, 0.5, 20)
    estimate = objective.run(walsh(objective, theta, STEP, rng=rng()))
    loss = objective.loss
    bias = STEP**2 * (loss.c / 6 + loss.m.sum(axis=1) / 2)
    np.testing.assert_allclose(estimate.gradient, loss.gradient(theta) + bias, rtol=0, atol=1e-12)
    assert rms(bias) > 1e-3
    assert (estimate.settings, estimate.shots, estimate.tables, estimate.method) == (128, 128, 1, "walsh")
    second = np.diag(loss.hessian) + loss.c * theta + loss.m.T @ theta  # its trace is what the dither adds to the mean loss
    assert estimate.loss == pytest.approx(loss(theta[None])[0, 0] + STEP**2 * second.sum() / 2, abs=1e-12)


def test_every_row_is_played_to_both_sides_in_turn_as_one_dither(paper: Make) -> None:
    objective, theta = paper(20), np.linspace(-0.5, 0.5, 20)
    objective.run(walsh(objective, theta, STEP, rng=rng()))
    bank = objective.tables[0].banks["parameters"]
    assert isinstance(bank, Dither)
    moved = (dense(bank) - theta) / STEP
    np.testing.assert_allclose(np.abs(moved), 1)
    np.testing.assert_allclose(moved[0::2], -moved[1::2])
    np.testing.assert_allclose(moved.T @ moved, 128 * np.eye(20), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("rows", "seed"), [(None, 0), (256, 1)])
def test_noise_of_walsh_codes_is_that_of_the_formula_and_of_the_reported_standard_error(
    paper: Make, scatter: Make, rows: int | None, seed: int
) -> None:
    objective, draw = paper(40, curved=0.0, sigma=1e-2), np.random.default_rng(seed)
    mean, deviation, reported = scatter(objective, lambda: walsh(objective, np.zeros(40), STEP, rows, rng=draw), 100)
    formula = objective.sigma / np.sqrt(2 * (rows or 64)) / STEP
    assert rms(deviation) == pytest.approx(formula, rel=0.1)
    assert rms(reported) == pytest.approx(rms(deviation), rel=0.1)
    assert rms(mean - objective.loss.g) < 0.15 * formula


def test_sigma_comes_from_codes_without_a_parameter_and_is_blind_to_curvature_and_drift(paper: Make) -> None:
    objective, draw = paper(15, sigma=1e-2, drift=lambda k: 0.01 * k), rng()
    objective.loss.m[:] = 0
    found = [objective.run(walsh(objective, np.zeros(15), STEP, rng=draw)).sigma for _ in range(100)]
    assert rms(found) == pytest.approx(1e-2, rel=0.1)


@pytest.mark.parametrize(("bits", "degree"), [(2, 1), (2, 2), (3, 2), (3, 3)])
def test_drift_null_codes_are_unharmed_by_drift_that_ruins_blocked_differences(paper: Make, bits: int, degree: int) -> None:
    objective, theta = paper(30, curved=0.0), np.zeros(30)
    objective.drift = lambda k: (k / 50) ** degree
    estimate = objective.run(walsh(objective, theta, STEP, bits=bits, rng=rng()))
    assert rms(estimate.gradient - objective.loss.g) < 1e-10
    assert estimate.sigma < 1e-10
    assert rms(objective.run(central(objective, theta, STEP, blocked=True)).gradient - objective.loss.g) > 1


def test_codes_of_too_few_set_bits_do_see_drift(paper: Make) -> None:
    objective = paper(50, curved=0.0, drift=lambda k: (k / 50) ** 2)
    estimate = objective.run(walsh(objective, np.zeros(50), STEP, 64, bits=1, rng=rng()))
    assert rms(estimate.gradient - objective.loss.g) > 1e-2


def test_1631_parameters_take_little_computing_and_little_memory(paper: Make) -> None:
    """Own time: all but the answer to the table, the best of three."""
    objective, theta = paper(1631, curved=0.0), np.zeros(1631)
    draw = rng()
    plans: dict[str, tuple[Callable[[], Any], int]] = {
        "central": (lambda: central(objective, theta, STEP), 200_000),
        "forward": (lambda: forward(objective, theta, STEP), 200_000),
        "spsa": (lambda: spsa(objective, theta, STEP, 200, draw), 200_000),
        "walsh": (lambda: walsh(objective, theta, STEP, rng=draw), 2_000_000),
        "lagged": (lambda: lagged(objective, theta, STEP, tau_s=5e-7, rng=draw), 2_000_000),
    }
    for name, (make, most) in plans.items():
        taken = []
        for _ in range(3):
            begun = perf_counter()
            plan = make()
            table = next(plan)
            prepared = perf_counter() - begun
            bank = table.banks["parameters"]
            readings = {"loss": draw.normal(size=(table.shots, 1))}
            begun = perf_counter()
            with pytest.raises(StopIteration) as done:
                plan.send(readings)
            taken.append(prepared + perf_counter() - begun)
            assert done.value.value.gradient.shape == (1631,)
        size = sum(a.nbytes for a in vars(bank).values())
        assert size < most, name
        assert min(taken) < 0.05, f"{name} took {min(taken):.3f} s"
