"""Every gradient method on ideal chips against the analytic derivative."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labonn.banks import Changes
from labonn.errors import LimitError
from labonn.gradients import aware, central, forward, lagged, spsa, walsh

CHIPS = [("pt_chip", "pt"), ("mzi_chip", "rotation"), ("mzi_chip", "mzi")]
ACTIVATED = [(*chip, activation) for chip in CHIPS for activation in ("board", "host")] + [(*chip, "absorber") for chip in CHIPS[:2]]
EACH = pytest.mark.parametrize(("name", "coupler"), CHIPS)


@pytest.mark.parametrize("readout", ["homodyne", "intensity"])
@pytest.mark.parametrize(("name", "coupler", "activation"), ACTIVATED)
def test_central_differences_are_the_analytic_gradient(
    rig_of: Callable[..., Any], name: str, coupler: str, activation: str, readout: str
) -> None:
    rig = rig_of(name, coupler=coupler, activation=activation, readout=readout, ideal=True)
    estimate = rig.run(central(rig.objective, rig.theta, 2e-4))
    assert rig.error(estimate.gradient) < 1e-6
    believed = rig.optics.loss(rig.believed().outputs, rig.objective.labels).mean()
    assert estimate.loss == pytest.approx(believed, abs=1e-12)
    assert estimate.standard_error.max() < 1e-9 * np.abs(estimate.gradient).max()


@EACH
def test_central_differences_have_the_bias_of_their_formula(rig_of: Callable[..., Any], name: str, coupler: str) -> None:
    """D^2 f'''/6, f''' from the analytic derivatives nearby."""
    rig = rig_of(name, coupler=coupler, ideal=True, share=0.5)
    step, there = 0.02, rig.theta
    bias = rig.run(central(rig.objective, there, step)).gradient - rig.analytic()
    third = np.zeros_like(bias)
    for i in range(len(there)):
        shifted = []
        for d in (-0.01, 0.0, 0.01):
            rig.theta = there + d * (np.arange(len(there)) == i)
            shifted.append(rig.analytic()[i])
        third[i] = (shifted[0] - 2 * shifted[1] + shifted[2]) / 0.01**2
    np.testing.assert_allclose(bias, step**2 * third / 6, atol=0.03 * np.abs(bias).max())


@EACH
def test_forward_differences_err_by_half_a_second_derivative(rig_of: Callable[..., Any], name: str, coupler: str) -> None:
    rig = rig_of(name, coupler=coupler, ideal=True)
    one, two = (rig.run(forward(rig.objective, rig.theta, step)).gradient for step in (2e-4, 1e-4))
    assert rig.error(one) < 0.01
    assert rig.error(2 * two - one) < 1e-6  # what is of first order in the step is gone


def test_a_subset_is_measured_as_it_is_in_the_whole(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("mzi_chip", ideal=True)
    chosen = np.array([3, 40, 55])
    estimate = rig.run(central(rig.objective, rig.theta, 2e-4, subset=chosen))
    assert np.flatnonzero(estimate.gradient).tolist() == chosen.tolist()
    share = len(rig.theta) / len(chosen)
    np.testing.assert_allclose(estimate.gradient[chosen] / share, rig.analytic()[chosen], atol=1e-6 * np.abs(rig.analytic()).max())


def test_walsh_codes_and_their_lagged_form_without_lag_are_the_gradient_to_second_order(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("mzi_chip", ideal=True)
    for method in (walsh, lagged):
        coarse, fine = (rig.run(method(rig.objective, rig.theta, d, rng=np.random.default_rng(4))).gradient for d in (2e-3, 1e-3))
        assert 3.7 < rig.error(coarse) / rig.error(fine) < 4.3
        assert rig.error((4 * fine - coarse) / 3) < 1e-6


def test_spsa_projects_the_gradient_onto_its_directions(rig_of: Callable[..., Any]) -> None:
    """With as many pairs as this its mean error is that of sampling, sqrt(sum of squares / pairs)."""
    rig, pairs = rig_of("pt_chip", ideal=True), 4000
    estimate = rig.run(spsa(rig.objective, rig.theta, 1e-3, pairs, np.random.default_rng(1)))
    expected = np.linalg.norm(rig.analytic()) / np.sqrt(pairs)
    assert np.sqrt(np.mean((estimate.gradient - rig.analytic()) ** 2)) == pytest.approx(expected, rel=0.25)
    assert np.sqrt(np.mean(estimate.standard_error**2)) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("activation", ["board", "host"])
@EACH
def test_physics_aware_gradients_of_the_ideal_chip_are_analytic(
    rig_of: Callable[..., Any], name: str, coupler: str, activation: str
) -> None:
    rig = rig_of(name, coupler=coupler, activation=activation, ideal=True)
    estimate = rig.run(aware(rig.objective, rig.theta, repeats=3))
    assert rig.error(estimate.gradient) < 1e-11
    assert (estimate.settings, estimate.tables) == (3, 3) if activation == "board" else (3, 6)
    assert estimate.sigma == 0


def test_perturbations_at_a_limit_are_one_sided_and_said_to_be(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("pt_chip", ideal=True)
    rig.theta[[2, 7]] = rig.objective.upper[[2, 7]]
    rig.theta[5] = rig.objective.lower[5] + 1e-5
    estimate = rig.run(central(rig.objective, rig.theta, 2e-4))
    assert estimate.notes == (
        f"2 of {len(rig.theta)} perturbations one-sided at a limit", f"1 of {len(rig.theta)} perturbations shortened at a limit",
    )  # fmt: skip
    assert rig.error(estimate.gradient) < 1e-3


def test_parameters_beyond_limits_are_refused_before_a_byte_is_sent(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("mzi_chip", ideal=True)
    sent = rig.bench.exchanges
    rig.theta[4] = rig.objective.upper[4] + 0.1
    with pytest.raises(LimitError, match=r"parameter 4: 3\.2 is outside -3\.1"):
        rig.run(central(rig.objective, rig.theta, 0.1))
    bank = Changes(np.zeros(len(rig.theta)), np.array([[6]]), np.array([[3.6]]))
    with pytest.raises(LimitError, match=r"heaters/ch6: .* in row 0 is outside"):
        rig.run(rig.objective.outputs(bank))
    assert rig.bench.exchanges == sent


MEMORIES = [("board", "gain", 40), ("host", "gain", 40), ("board", "output", 200), ("host", "hidden", 200), ("host", "reinject", 200)]


@pytest.mark.parametrize(("activation", "port", "depth"), MEMORIES)
def test_a_large_bank_is_played_in_parts_that_memories_hold(
    rig_of: Callable[..., Any], activation: str, port: str, depth: int
) -> None:
    """A parameter memory of 40 settings, or others for 33 settings of 6 images."""

    def edit(text: str) -> str:
        before, name, after = text.partition(f"[ports.{port}]")
        return before + name + re.sub(r"depth = \d+", f"depth = {depth}", after, count=1)

    rig, whole = (rig_of("pt_chip", ideal=True, activation=activation, **how) for how in ({"edit": edit}, {}))
    assert rig.bench.specs[port].depth == depth
    parts, at_once = (one.run(central(one.objective, one.theta, 1e-3)) for one in (rig, whole))
    each, most = 2 if activation == "host" else 1, depth if port == "gain" else depth // 6
    assert (parts.tables, at_once.tables) == (each * -(-parts.settings // most), each)
    np.testing.assert_array_equal(parts.gradient, at_once.gradient)
    assert parts.settings == at_once.settings


@EACH
def test_the_full_size_chips_gradient_is_right_in_every_parameter(rig_of: Callable[..., Any], name: str, coupler: str) -> None:
    rig = rig_of(name, (49, 20, 10), coupler=coupler, ideal=True, images=10)
    estimate = rig.run(central(rig.objective, rig.theta, 2e-4))
    assert estimate.gradient.shape == (len(rig.optics.model.names),)
    assert rig.error(estimate.gradient) < 1e-6
    assert estimate.tables == 1
