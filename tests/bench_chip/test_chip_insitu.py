"""Parameter shift and in-situ backpropagation: exact on ideal heater chips, also at limits; what they refuse, what they cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labonn.errors import ProcedureError
from labonn.gradients import adjoint, aware, central, shift
from labonn.gradients.adjoint import _Passes
from labonn.gradients.shift import derivative_weights, points


def last_block(rig: Any) -> slice:
    return slice(rig.optics.model.slices["2a"].start, None)


@pytest.mark.parametrize("shift_rad", [np.pi / 2, 0.7])
@pytest.mark.parametrize("readout", ["homodyne", "intensity"])
@pytest.mark.parametrize("activation", ["board", "host", "absorber"])
@pytest.mark.parametrize("coupler", ["rotation", "mzi"])
def test_parameter_shift_of_the_last_block_is_exact(
    rig_of: Callable[..., Any], coupler: str, activation: str, readout: str, shift_rad: float
) -> None:
    if (coupler, activation) == ("mzi", "absorber"):
        activation = "board"
    rig = rig_of("mzi_chip", coupler=coupler, activation=activation, readout=readout, ideal=True)
    estimate = rig.run(shift(rig.objective, rig.theta, shift_rad, step=2e-4))
    assert rig.error(estimate.gradient, last_block(rig)) < 1e-12
    assert rig.error(estimate.gradient) < 2e-6  # central differences of the rest
    assert estimate.loss == pytest.approx(rig.optics.loss(rig.believed().outputs, rig.objective.labels).mean(), abs=1e-12)


@pytest.mark.parametrize("readout", ["homodyne", "intensity"])
@pytest.mark.parametrize("side", ["lower", "upper"])
def test_parameter_shift_is_exact_at_limits_too_and_says_so(rig_of: Callable[..., Any], side: str, readout: str) -> None:
    rig = rig_of("mzi_chip", readout=readout, ideal=True, share=0.1)
    block = np.arange(len(rig.theta))[last_block(rig)]
    at = [block[0], *np.flatnonzero(rig.optics.amplifiers)[-1:], block[-1]]
    rig.theta[at] = getattr(rig.objective, side)[at]
    estimate = rig.run(shift(rig.objective, rig.theta, step=2e-4))
    assert rig.error(estimate.gradient, last_block(rig)) < 1e-12
    assert f"3 of {len(block)} shifts to one side, at a limit" in estimate.notes


def test_parameters_that_cannot_move_are_left_out_of_the_shift(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("mzi_chip", ideal=True)
    fixed = np.flatnonzero(rig.optics.amplifiers)
    rig.objective.lower[fixed] = rig.objective.upper[fixed] = rig.theta[fixed]
    estimate = rig.run(shift(rig.objective, rig.theta, step=2e-4))
    assert not estimate.gradient[fixed].any()
    others = np.setdiff1d(np.arange(len(rig.theta)), fixed)
    assert rig.error(estimate.gradient, others) < 2e-6


def test_shifted_points_stay_inside_and_around_what_they_belong_to() -> None:
    at = np.array([-3.0, -1.6, 0.0, 1.4, 3.0])
    low, high = np.full(5, -3.0), np.full(5, 3.0)
    two, one_sided = points(at, low, high, 1.5, 2)
    np.testing.assert_allclose(two, [[1.5, 3.0], [1.5, 3.0], [-1.5, 1.5], [-1.5, 1.5], [-3.0, -1.5]])
    assert one_sided == 3
    four, one_sided = points(at, low, high, 9.0, 4)
    np.testing.assert_allclose(four, [[1, 2, 3, 4], [-1, 1, 2, 3], [-2, -1, 1, 2], [-3, -2, -1, 1], [-4, -3, -2, -1]])
    assert one_sided == 4


def test_shift_weights_are_those_of_the_formula() -> None:
    """w [I(+D) - I(-D)] / (2 sin w D)."""
    weights = derivative_weights(np.array([[-0.9, 0.9]]), (0.5,))
    np.testing.assert_allclose(weights, [[-0.25 / np.sin(0.45), 0.25 / np.sin(0.45)]], rtol=1e-13)


def test_points_of_a_parameter_are_measured_next_to_each_other_so_that_power_drift_does_not_matter(rig_of: Callable[..., Any]) -> None:
    """The laser gains 1 % over the tables: derivatives from points at their two ends would be wrong by 1 % of the fields themselves."""
    still, drifting = (rig_of("mzi_chip", readout="intensity", simulation=quiet(drift)) for drift in (0.0, 3.6e4))
    one, two = (rig.run(shift(rig.objective, rig.theta, step=0.02)).gradient[last_block(rig)] for rig in (still, drifting))
    common = one @ two / (one @ one)  # brighter on the whole
    assert np.abs(two - common * one).max() < 0.003 * np.abs(one).max()


def quiet(power_drift_per_h: float) -> str:
    return f"""power_drift_per_h = {power_drift_per_h}
detectors = {{ noisy = false }}
laser = {{ rin_db_per_hz = -200.0, power_walk_per_sqrt_h = 0.0, phase_walk_rad_per_sqrt_min = 0.0 }}
"""


@pytest.mark.parametrize("layout", ["triangular", "rectangular"])
def test_in_situ_backpropagation_is_exact_in_all_four_meshes_at_uneven_attenuators(rig_of: Callable[..., Any], layout: str) -> None:
    rig = rig_of("mzi_chip", layout=layout, monitors=True, ideal=True, dark=True)
    estimate = rig.run(adjoint(rig.objective, rig.theta, step=2e-4))
    model, couplers = rig.optics.model, ~rig.optics.amplifiers
    assert np.ptp(rig.theta[model.slices["amp1"]]) > 0.5
    assert np.ptp(rig.theta[model.slices["amp2"]]) > 0.5
    assert rig.error(estimate.gradient, couplers) < 1e-12
    assert rig.error(estimate.gradient) < 1e-6
    assert estimate.standard_error[couplers].max() < 1e-12
    passes = 2 * (1 + 2 * 4)  # twice: forward, and for each of two layers two times from behind and again
    alone = rig.run(adjoint(rig.objective, rig.theta, amplifiers=False))
    assert (alone.settings, alone.tables) == (passes, passes)
    assert not alone.gradient[rig.optics.amplifiers].any()


def test_each_arm_by_itself_gives_the_gradient(rig_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Real fields do not feel a common phase, so that the two arms of an interferometer see opposite derivatives."""
    fill, arms = _Passes._fill, []

    def watched(self: Any, mesh: str, light: Any, lit: Any, left: float) -> None:
        imaginary = (light.both - lit - light.behind * (left / light.scale) ** 2) * light.scale / (2 * left)
        arms.append(imaginary.sum(axis=0).reshape(-1, 2)[self._of.optics.couplers_of(mesh)])
        fill(self, mesh, light, lit, left)

    monkeypatch.setattr(_Passes, "_fill", watched)
    rig = rig_of("mzi_chip", monitors=True, ideal=True, dark=True)
    gradient = rig.run(adjoint(rig.objective, rig.theta, amplifiers=False)).gradient
    for mesh, both in zip(("2a", "2b", "1a", "1b"), arms, strict=False):
        np.testing.assert_allclose(both, gradient[rig.optics.model.slices[mesh], None] * [1, -1], atol=1e-12)


def test_light_at_the_monitors_has_the_level_of_the_laser(rig_of: Callable[..., Any], perfect: Callable[..., Any]) -> None:
    how = perfect(power_drift_per_h=0.5, modulators={"insertion_db": 2.0}, laser={"power_walk_per_sqrt_h": 0.05})
    rig = rig_of("mzi_chip", monitors=True, **how)
    rig.bench.clock.wait(3600.0)
    ports = ("hidden", "output")
    beside = rig.run(rig.objective.beams(rig.theta, {"quadrature": np.zeros((6, 13))}, True, ports))
    hidden, outputs = rig.run(rig.objective.traced(rig.theta))
    for port, fields in zip(ports, (hidden, outputs), strict=True):
        np.testing.assert_allclose(beside[port], fields, atol=1e-5)
    assert np.abs(hidden).max() > 1.05 * np.abs(rig.believed().hidden).max()


def test_even_attenuators_need_fewer_passes(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("mzi_chip", monitors=True, ideal=True, dark=True)
    for layer, angle in (("amp1", 0.4), ("amp2", -1.2)):
        rig.theta[rig.optics.model.slices[layer]] = angle
    estimate = rig.run(adjoint(rig.objective, rig.theta, amplifiers=False))
    assert rig.error(estimate.gradient, ~rig.optics.amplifiers) < 1e-12
    assert estimate.tables == 2 * (1 + 2 * 2)


@pytest.mark.parametrize("narrowed", [False, True])
def test_a_mesh_behind_a_closed_attenuator_is_measured_by_differences_and_said_to_be(rig_of: Callable[..., Any], narrowed: bool) -> None:
    """Closed, or not to be inverted because a limit forbids it."""
    rig = rig_of("mzi_chip", monitors=True, ideal=True, dark=True)
    first = rig.optics.model.slices["amp1"].start
    if narrowed:
        rig.theta[first], rig.objective.lower[first + 1], rig.objective.upper[first + 1] = 2.5, -1.0, 1.0
        rig.theta[first + 1] = 0.5
    else:
        rig.theta[first] = 3.1
    estimate = rig.run(adjoint(rig.objective, rig.theta, step=2e-4))
    assert "attenuators 1 pass" in estimate.notes[0]
    assert "mesh 1b by central differences" in estimate.notes[0]
    assert rig.error(estimate.gradient, ~rig.optics.amplifiers) < 1e-6


def test_in_situ_backpropagation_of_a_chip_with_all_its_imperfections_points_the_same_way(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("mzi_chip", monitors=True, dark=True, images=32)
    exact = rig.run(central(rig.objective, rig.theta, 0.05, repeats=8)).gradient
    estimate = rig.run(adjoint(rig.objective, rig.theta, amplifiers=False))
    couplers = ~rig.optics.amplifiers
    one, two = exact[couplers], estimate.gradient[couplers]
    assert one @ two / np.linalg.norm(one) / np.linalg.norm(two) > 0.9
    assert 0 < estimate.standard_error[couplers].max() < np.abs(two).max()


def test_gain_sections_are_no_phases(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("pt_chip", ideal=True)
    played = rig.bench.shots
    with pytest.raises(ProcedureError, match="shift: gain sections are no phases; parameter shift is for heater chips"):
        rig.run(shift(rig.objective, rig.theta))
    assert rig.bench.shots == played


def test_a_shift_that_is_none_is_refused(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("mzi_chip", ideal=True)
    with pytest.raises(ProcedureError, match="shift: a shift of 0 rad; a positive number is wanted"):
        rig.run(shift(rig.objective, rig.theta, 0))


def test_in_situ_backpropagation_names_the_ports_that_are_missing(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("mzi_chip", ideal=True)
    with pytest.raises(ProcedureError, match="adjoint: this bench has no monitors, backward, error, quadrature; monitors and error beams"):
        rig.run(adjoint(rig.objective, rig.theta))


@pytest.mark.parametrize(("coupler", "readout"), [("mzi", "homodyne"), ("rotation", "intensity")])
def test_in_situ_backpropagation_names_what_a_chip_does_not_have(rig_of: Callable[..., Any], coupler: str, readout: str) -> None:
    rig = rig_of("mzi_chip", coupler=coupler, readout=readout, monitors=True, ideal=True)
    told = f"adjoint: rotation couplers, homodyne outputs .* this chip has {coupler} couplers, {readout} outputs, activation by board"
    with pytest.raises(ProcedureError, match=told):
        rig.run(adjoint(rig.objective, rig.theta))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["shift", "adjoint", "aware", "central"])
def test_standard_errors_are_the_scatter_of_repeated_measurements(
    rig_of: Callable[..., Any], perfect: Callable[..., Any], method: str
) -> None:
    rig = rig_of("mzi_chip", monitors=True, **perfect(detectors={"noisy": "true"}))
    plans: dict[str, Callable[[], Any]] = {
        "shift": lambda: shift(rig.objective, rig.theta, step=0.05),
        "adjoint": lambda: adjoint(rig.objective, rig.theta, amplifiers=False),
        "aware": lambda: aware(rig.objective, rig.theta, repeats=4),
        "central": lambda: central(rig.objective, rig.theta, 0.05),
    }
    found = [rig.run(plans[method]()) for _ in range(60)]
    which = last_block(rig) if method == "shift" else ~rig.optics.amplifiers
    scatter = np.std([one.gradient for one in found], axis=0)[which]
    told = np.sqrt(np.mean([one.standard_error**2 for one in found], axis=0))[which]
    assert np.sqrt(np.mean(told**2)) == pytest.approx(np.sqrt(np.mean(scatter**2)), rel=0.2)
    if method == "shift":  # knows it parameter by parameter
        assert np.corrcoef(told, scatter)[0, 1] > 0.8
