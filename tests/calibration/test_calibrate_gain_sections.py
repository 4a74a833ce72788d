"""The procedure finds what the simulator hides of gain sections, is as sure as it says, and names what is broken; tests see the truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq

from labonn.bench import Bench
from labonn.calibration import Calibration, Coefficient, Store, current
from labonn.calibration.detectors.measuring import measure_detectors
from labonn.calibration.detectors.rigging import rig_of
from labonn.calibration.gain_sections.measuring import measure_sections
from labonn.calibration.gain_sections.model import log_ratio, saturated_log_gain, section
from labonn.calibration.gain_sections.rigging import section_sweep
from labonn.calibration.gain_sections.sweep import GainSweep, Straightening, steps_error
from labonn.calibration.gain_sections.theta import MeasuredSections
from labonn.calibration.judging import Tolerances
from labonn.calibration.measuring import Measuring, Outcome
from labonn.channels import ChannelSpec
from labonn.cli import main
from labonn.couplers import Coupler
from labonn.errors import BenchFileError, CalibrationError, LimitError
from labonn.shots import ShotTable, dense
from procedures.benches import shipped
from sim_backends.physics.desk import DeskSettings
from sim_backends.physics.gain_row import GainRow, GainRowSettings
from sim_backends.physics.noise import Noise
from sim_backends.physics.photodiodes import Photodiodes, PhotodiodeSettings

Array = NDArray[Any]
HOW = Measuring(within=Tolerances(residual=0.003, drift=0.003))
TRUTHS = (
    "strength", "zero_gain_a", "shape_a", "transparency_a", "loss", "saturation_w", "emission_w_per_a", "tapped", "entering", "leaving",
)  # fmt: skip
MOST_A = 12e-3


class Row:
    """Sections without instruments: the true light alone, through converters of 16 bits, on a clock that tables move on.

    Args:
        known: part of a standard error of 0.2 % by which the detectors' compression is known wrongly, drawn at random; 0: exactly.
    """

    def __init__(self, seed: int, count: int = 8, diodes: dict[str, Any] | None = None, known: float = 0.0, **row: Any) -> None:
        desk = DeskSettings(threshold_a=4e-3, slope_w_per_a=10.0)
        self.truth = GainRow(count, GainRowSettings(**row), desk, seed)
        settings = PhotodiodeSettings(**(diodes or {}))
        self.diodes = {name: Photodiodes(count, settings, Noise(seed).child(name)) for name in ("monitors", "outputs")}
        self.names, self.now_s, self.known = [f"ch{c}" for c in range(count)], 0.0, known
        self.lower, self.upper, self.step = np.zeros(count), np.full(count, MOST_A), np.full(count, MOST_A / 16384)
        self.tables: list[ShotTable] = []

    def sweep(self) -> GainSweep:
        count = self.truth.count
        one, rng = np.ones(count), np.random.default_rng(count)
        exact = [1 / (diode.saturation_w * diode.v_per_w) for diode in self.diodes.values()]
        errors = [0.002 * self.known * value for value in exact]
        first, second = (Straightening(v + e * rng.standard_normal(count), e) for v, e in zip(exact, errors, strict=True))
        held, dark = {"laser": np.array([0.016]), "attenuators": 3.5 * one}, {"laser": np.zeros(1)}
        full, levels = np.ones((2, count)), np.linspace(0, 4, 5)[:, None] * one
        return GainSweep("gain", "outputs", "monitors", "input", "V", full, 2 / 65534 * full, levels, 0 * one, held, dark, (first, second))

    def readings(self, table: ShotTable) -> dict[str, Array]:
        self.tables.append(table)
        value = {port: np.asarray(dense(bank)[table.orders[port]], np.float64) for port, bank in table.banks.items()}
        entering = self.truth.inputs_w(value["laser"], value["input"], self.now_s)
        times = self.now_s + table.dwell_s * (np.arange(table.shots) + 0.5)
        leaving = self.truth.outputs_w(entering, value["gain"], value["attenuators"], times)
        watts = {"monitors": self.truth.monitored_w(entering), "outputs": leaving}
        found = {port: self.diodes[port].volts(light, self.now_s, table.dwell_s) for port, light in watts.items()}
        self.now_s += table.shots * table.dwell_s + 0.02
        return {port: np.clip(np.rint(volts * 32767) / 32767, -1, 1) for port, volts in found.items()}

    def measured(self, how: Measuring = HOW, sweep: GainSweep | None = None) -> Outcome:
        plan: Any = measure_sections(sweep or self.sweep(), how, self.names, self.lower, self.upper, self.step)
        table = next(plan)
        try:
            while True:
                table = plan.send(self.readings(table))
        except StopIteration as done:
            outcome: Outcome = done.value
            return outcome

    def curve(self) -> Array:
        return np.stack([self.truth.strength, self.truth.zero_gain_a, self.truth.shape_a], axis=1)

    def sections(self, outcome: Outcome) -> MeasuredSections:
        count, fitted = self.truth.count, outcome.fitted
        values = fitted.parameters[:, 1:4].T
        half = np.full(count, 0.5)
        no = np.zeros(count, np.bool_)
        return MeasuredSections(tuple(self.names), *values, fitted.covariance[:, 1:4, 1:4], self.lower, self.upper, half, no)

    def theta(self, amperes: Array) -> Array:
        """(…, C) true theta of couplers of Z = 1, without drift."""
        t = self.truth
        return np.arcsin(0.5 * t.strength * np.log((amperes + t.shape_a) / (t.zero_gain_a + t.shape_a)))


def side_by_side(seeds: int, count: int, **row: Any) -> Row:
    """The rows of so many seeds as one."""
    rows, big = [Row(seed, count, **row) for seed in range(seeds)], Row(10_000, seeds * count, **row)

    def joined(of: Callable[[Row], Any], name: str) -> Array:
        return np.concatenate([getattr(of(one), name) for one in rows])

    for name in TRUTHS:
        setattr(big.truth, name, joined(lambda one: one.truth, name))
    for part in ("_inputs", "_attenuators"):
        for name in ("v_pi_v", "bias_v", "loss"):
            scale = seeds * count / 8 if (part, name) == ("_inputs", "loss") else 1  # as if the light were split over 8
            setattr(getattr(big.truth, part), name, scale * joined(lambda one: getattr(one.truth, part), name))  # noqa: B023
    for port in big.diodes:
        for name in ("v_per_w", "saturation_w", "dark_v"):
            setattr(big.diodes[port], name, joined(lambda one: one.diodes[port], name))  # noqa: B023
    return big


@pytest.mark.slow
def test_theta_is_found_to_a_thousandth_and_errors_are_what_a_hundred_seeds_scatter_by() -> None:
    row = side_by_side(100, 2, known=1.0)
    outcome = row.measured()
    pulls = (outcome.fitted.parameters[:, 1:4] - row.curve()) / outcome.fitted.errors[:, 1:4]
    spread = pulls.std(axis=0)
    assert np.all((spread > 0.8) & (spread < 1.25)), spread
    assert np.abs(pulls).max() < 6
    amperes = np.linspace(0, MOST_A, 25)[:, None] * np.ones(row.truth.count)
    theta, error = row.sections(outcome).believed(amperes)
    off = theta - row.theta(amperes)
    assert np.abs(off).max() < 1e-3
    spread = (off / error).std(axis=1)
    assert np.all((spread > 0.8) & (spread < 1.25)), spread


def test_saturation_and_emission_are_found_too() -> None:
    row = Row(3)
    found, t = row.measured().fitted, row.truth
    per_w = t.entering * (1 - t.tapped) / (t.tapped * row.diodes["monitors"].v_per_w)  # watts in a section per volt of its monitor
    np.testing.assert_allclose(1 / found.parameters[:, 4], t.saturation_w / per_w, rtol=5e-3)
    ratio = found.parameters[:, 5] / (t.emission_w_per_a * t.leaving * row.diodes["outputs"].v_per_w * t._attenuators.loss)
    np.testing.assert_allclose(ratio, 1, atol=0.05)  # the attenuators are not quite open


def test_light_of_its_own_is_not_counted_as_signal() -> None:
    row = Row(5, emission_w_per_a=0.15)
    outcome = row.measured()
    lit = outcome.points.x[..., 1] > 0.5 * outcome.points.x[..., 1].max()
    ratio = outcome.points.y / np.where(lit, outcome.points.x[..., 1], 1) / outcome.fitted.parameters[:, :1]
    dark_counted = [np.interp(1, np.sort(ratio[c][lit[c]]), np.sort(outcome.points.x[c, :, 0][lit[c]])) for c in range(8)]
    assert np.min(row.truth.zero_gain_a - dark_counted) > 0.3e-3, "a reading alone would put the current of no gain far too low"
    np.testing.assert_allclose(outcome.fitted.parameters[:, 2], row.truth.zero_gain_a, rtol=2e-3)


def test_a_source_whose_power_wanders_does_no_harm() -> None:
    row = Row(6, power_walk_per_sqrt_h=1.0, rin=1e-3)
    amperes = np.linspace(0, MOST_A, 9)[:, None] * np.ones(8)
    assert np.abs(row.sections(row.measured()).theta(amperes) - row.theta(amperes)).max() < 1e-3


def test_detectors_that_are_wrongly_taken_as_linear_are_why_their_calibration_is_asked_for() -> None:
    row = Row(7)
    linear = replace(row.sweep(), straight=(Straightening.none(8), Straightening.none(8)))
    amperes = np.full((1, 8), MOST_A)
    assert np.abs(row.sections(row.measured(sweep=linear)).theta(amperes) - row.theta(amperes)).min() > 2e-3


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"blocked": (3,)}, ["1 of 8 channels failed the gain_sections calibration, nothing is kept: ch3: blocked: it emits"]),
        ({"dead": (2,)}, ["ch2: dead: its current changes neither its gain nor its own light"]),
        ({"stuck": (5,)}, ["ch5: not modulated: its input light changes by", "cannot be told from what the section emits itself"]),
        ({"swapped": ((1, 6),)}, ["2 of 8", "ch1: swapped: it answers to the current of ch6", "ch6: swapped: it answers to"]),
        ({"swapped_inputs": ((0, 4),)}, ["ch0: swapped: the light that it reads is that of ch4;", "ch4: swapped: the light"]),
        ({"swapped_outputs": ((2, 3),)}, ["ch2: swapped: the light that it reads is that of ch3, and its current too"]),
        ({"lasing": (7,)}, ["1 of 8", "ch7: lasing: from 8 mA on light of its own grows", "times as fast"]),
        ({"heating_per_a2": 400.0}, ["8 of 8", "self-heating: its gain is", "% below the logarithmic curve at 12 mA"]),
        ({"drift_per_s": 20.0}, ["8 of 8", "drifted: its gain changed by +1.3 % during the sweep"]),
        ({"diodes": {"gain": 4.0}}, ["8 of 8", "saturated: ", "readings are at the end of the detector's range"]),
        ({"collected": 1e-6}, ["8 of 8"]),
        ({"coupling": 1e-3}, ["8 of 8"]),
    ],
    ids=["blocked", "dead", "stuck", "wires", "fibres", "cables", "lasing", "heated", "drifting", "saturated", "faint", "unsaturated"],
)
def test_what_is_broken_is_named(row: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(CalibrationError) as problem:
        Row(4, **row).measured()
    for words in told:
        assert words in str(problem.value), problem.value


def test_a_laser_that_is_off_is_named() -> None:
    row = Row(4)
    off = replace(row.sweep(), held={"laser": np.zeros(1), "attenuators": np.full(8, 3.5)})
    with pytest.raises(CalibrationError, match=r"8 of 8 .*no light: its monitor sees none"):
        row.measured(sweep=off)


def test_sections_may_be_left_out_and_the_others_are_as_good_as_ever() -> None:
    row = Row(4, blocked=(3,), swapped=((0, 1),))
    outcome = row.measured(replace(HOW, leave_out=3))
    assert [bool(words) for words in outcome.words] == [c in (0, 1, 3) for c in range(8)]
    good = np.array([2, 4, 5, 6, 7])
    np.testing.assert_allclose(outcome.fitted.parameters[good, 1], row.truth.strength[good], rtol=2e-3)


def test_sweep_and_fresh_points_are_a_table_each_inside_the_limits_and_on_the_codes_of_the_source() -> None:
    row = Row(4)
    row.measured()
    assert [table.shots for table in row.tables] == [256 + 32 * 5 * 4, 256 + 8 * 5 * 4, 8 * 16]
    for table in row.tables[:2]:
        amperes = dense(table.banks["gain"])
        assert amperes.min() >= 0
        assert amperes.max() <= MOST_A
        np.testing.assert_allclose(np.rint(amperes / row.step) * row.step, amperes, atol=1e-15)
    fresh, sweep = (np.unique(dense(table.banks["gain"])[1:, 0]) for table in row.tables[1::-1])
    assert np.abs(fresh[:, None] - sweep).min() > 0.1e-3


def test_derivatives_are_those_of_finite_differences() -> None:
    parameters = np.array([[0.7, 0.6, 4.7e-3, 1e-3, 0.99, 0.7], [0.5, 0.3, 6e-3, 2e-3, 0.3, 0.1]])
    x = np.stack([np.tile(np.linspace(0, MOST_A, 9), (2, 1)), np.tile([0, 0.3, 0.6] * 3, (2, 1))], axis=-1)
    slopes = section(parameters, x)[1]
    for i in range(6):
        step = np.zeros_like(parameters)
        step[:, i] = 1e-5 * parameters[:, i]
        numeric = (section(parameters + step, x)[0] - section(parameters - step, x)[0]) / (2 * step[:, i, None])
        np.testing.assert_allclose(slopes[..., i], numeric, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("log_gain", [-2.0, -0.3, 0.0, 0.5, 3.0])
@pytest.mark.parametrize("power", [0.0, 1e-9, 1e-3, 0.7, 20.0])
def test_saturation_solves_its_equation(log_gain: float, power: float) -> None:
    wanted = brentq(lambda log: log - log_gain + np.expm1(log) * power, min(0, log_gain) - 1e-9, max(0, log_gain) + 1e-9, xtol=1e-15)
    assert saturated_log_gain(np.array(log_gain), np.array(power)) == pytest.approx(wanted, abs=1e-9)


def test_means_in_steps_of_a_converter_are_as_sure_as_said() -> None:
    rng = np.random.default_rng(1)
    for noise in (0.02, 0.15, 0.3, 0.6, 2.0):
        values = rng.random(4000)[:, None]
        readings = np.rint(values + noise * rng.standard_normal((4000, 64)))
        error = steps_error(np.sqrt(np.mean(readings.var(axis=1, ddof=1))), np.array(1.0), 64)
        assert np.std(readings.mean(axis=1) - values[:, 0]) == pytest.approx(float(error), rel=0.15)


def sections_of(**other: Any) -> MeasuredSections:
    row = Row(2)
    whole = row.sections(row.measured())
    return replace(whole, **other)


def test_theta_to_currents_and_back_inside_the_limits_and_what_cannot_be_reached_is_told() -> None:
    sections, rng = sections_of(), np.random.default_rng(1)
    low, high = sections.reach()
    theta = low + (high - low) * rng.random((50, 8))
    np.testing.assert_allclose(sections.theta(sections.currents(theta)), theta, atol=1e-12)
    np.testing.assert_allclose(sections.currents(np.stack([low, high])), [np.zeros(8), np.full(8, MOST_A)], atol=1e-11)
    theta[3, 5] = high[5] + 0.01
    assert np.argwhere(np.isnan(sections.driven(theta))).tolist() == [[3, 5]]
    with pytest.raises(LimitError, match=r"^ch5: theta 0\.\d+ is outside -0\.\d+ to 0\.\d+: what 0 A to 12 mA give"):
        sections.currents(theta)
    assert np.isnan(sections.theta(np.array([[-1e-3] * 8, [13e-3] * 8]))).all()
    channels = np.array([[5, 1]])
    np.testing.assert_array_equal(sections.driven(theta[:1, [5, 1]], channels), sections.driven(theta[:1])[:, [5, 1]])


def test_one_sided_couplers_and_amplifiers_have_their_own_theta() -> None:
    row, which = Row(2), np.arange(8) == 3
    spec = ChannelSpec(tuple(row.names), "A", row.lower, row.upper, row.step, np.zeros(8))
    calibration = kept(row.measured())
    both = MeasuredSections.of(calibration, Coupler("pt", 0.8, True), spec, which)
    gain = calibration.values("strength") * log_ratio(np.full(8, 9e-3), calibration.values("zero"), calibration.values("shape"))
    np.testing.assert_allclose(both.theta(np.full(8, 9e-3)), np.where(which, gain / 2, np.arcsin(gain / 3.2)), rtol=1e-12)
    with pytest.raises(CalibrationError, match=r"gain_sections of 8 channels are wanted, of pt couplers; .* they are of rotation"):
        MeasuredSections.of(calibration, Coupler("rotation"), spec)


def kept(outcome: Outcome) -> Calibration:
    values = dict(zip(outcome.model.parameters, outcome.fitted.parameters.T, strict=True))
    return Calibration(
        "gain_sections", "gain", tuple(outcome.names), outcome.model.name, 1, {n: Coefficient(v, "1") for n, v in values.items()},
        outcome.verification, {"gain": "x"}, {"gain": "y"}, "2026-01-01T00:00:00Z", outcome.model.parameters, outcome.fitted.covariance,
    )  # fmt: skip


def test_what_was_left_out_has_no_current() -> None:
    sections = sections_of(strength=np.where(np.arange(8) == 6, np.nan, 0.6))
    with pytest.raises(LimitError, match="ch6: no current is known, they were left out of calibration"):
        sections.currents(np.zeros(8))
    assert np.argwhere(np.isnan(sections.driven(np.zeros(8)))).tolist() == [[6]]


def run(tmp_path: Path, procedure: str, *arguments: str, code: int = 0) -> None:
    assert main(["run", procedure, "--dry-run", "--out", str(tmp_path / "runs"), "--json", *arguments]) == code


@pytest.mark.slow
def test_the_bench_is_calibrated_by_commands_detectors_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "calibrate_gain_sections", code=2)
    told = capsys.readouterr().err
    assert "monitors: how linear it is must be known" in told
    assert "`labonn run calibrate_detectors --port monitors` measures it; --linear" in told
    run(tmp_path, "calibrate_detectors")
    run(tmp_path, "calibrate_gain_sections", "--loss-db", "0.955")
    told = kept_run(tmp_path)
    store = Store(tmp_path / "calibrations")
    calibration = store.load(told["result"]["calibration"])
    assert (Path(told["folder"]) / "calibration.png").stat().st_size > 50_000
    assert {store.load(one).kind for one in calibration.parents} == {"detectors"}
    assert len(calibration.parents) == 2
    path = tmp_path / "row.toml"
    path.write_text(shipped("gain_row"))
    with Bench.open(path, dry_run=True) as bench:
        truth, spec = bench._opened.simulated.row, bench.specs["gain"]
        found = current(store, bench)[("gain", "gain_sections")]
    assert found.id == calibration.id
    sections = MeasuredSections.of(found, Coupler("pt"), spec)
    amperes = np.linspace(0, MOST_A, 31)[:, None] * np.ones(8)
    law = np.log((amperes + truth.shape_a) / (truth.zero_gain_a + truth.shape_a))
    assert np.abs(sections.theta(amperes) - np.arcsin(0.5 * truth.strength * law)).max() < 1e-3
    np.testing.assert_allclose(found.values("transparency"), truth.transparency_a, rtol=0.06)  # the true losses scatter by 5 %
    assert found.conditions["detectors"] == "straightened"


def kept_run(tmp_path: Path) -> dict[str, Any]:
    """What the last run kept of itself."""
    folder = max((tmp_path / "runs").iterdir(), key=lambda one: one.stat().st_mtime_ns)
    return {"folder": str(folder), "result": json.loads((folder / "result.json").read_text())["result"]}


def found_on(bench: Bench) -> tuple[Array, Array, float]:
    """(pulls of the detectors, pulls of the sections, largest error of theta), all measured on one simulated bench."""
    truth, straight, pulls = bench._opened.simulated, [], []
    for port in ("monitors", "outputs"):
        rig = rig_of(bench, port, None, [], 12, 5, None, None, 0)
        found = bench.run(measure_detectors(rig.sweep, rig.settings, rig.fresh, HOW, rig.names, True)).outcome.fitted
        own = truth.photodiodes[port]
        hidden = np.stack([own.dark_v, 1 / (own.saturation_w * own.v_per_w)], axis=1)
        pulls.append((found.parameters[:, :2] - hidden) / found.errors[:, :2])
        straight.append(Straightening(found.parameters[:, 1], found.errors[:, 1]))
    ports = {"sections": "gain", "light": "input", "monitor": "monitors", "detector": "outputs"}
    sweep = replace(section_sweep(bench, ports, [], None, 8, 1e-6), straight=(straight[0], straight[1]))
    lower, upper, step = (np.asarray(edge) for edge in (bench.specs["gain"].lower, bench.specs["gain"].upper, bench.specs["gain"].step))
    fitted = bench.run(measure_sections(sweep, HOW, bench.specs["gain"].names, lower, upper, step)).fitted
    row = truth.row
    curve = np.stack([row.strength, row.zero_gain_a, row.shape_a], axis=1)
    amperes = np.linspace(0, MOST_A, 25)
    logs = [one[:, :1] * log_ratio(amperes[None], one[:, 1:2], one[:, 2:]) for one in (fitted.parameters[:, 1:4], curve)]
    off = float(np.abs(np.arcsin(logs[0] / 2) - np.arcsin(logs[1] / 2)).max())
    return np.concatenate(pulls), (fitted.parameters[:, 1:4] - curve) / fitted.errors[:, 1:4], off


def test_without_saturation_gain_is_not_told_from_losses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "calibrate_gain_sections", "--linear", "--ideal", code=2)
    assert "undetermined: gain cannot be told from losses on the way" in capsys.readouterr().err


@pytest.mark.slow
def test_errors_are_what_simulated_benches_scatter_by_detectors_included(tmp_path: Path) -> None:
    found = []
    for seed in range(20):
        with opened(tmp_path, seed) as bench:
            found.append(found_on(bench))
    assert max(off for _, _, off in found) < 1e-3
    for pulls in (np.concatenate([one[0] for one in found]), np.concatenate([one[1] for one in found])):
        spread = pulls.std(axis=0)
        assert np.all((spread > 0.8) & (spread < 1.25)), spread


def opened(tmp_path: Path, seed: int = 4, lines: str = "") -> Bench:
    path = tmp_path / "opened.toml"
    path.write_text(shipped("gain_row") + lines)
    return Bench.open(path, dry_run=True, seed=seed)


def test_another_row_refuses_the_calibration_and_a_changed_one_fails_its_drift_check(tmp_path: Path) -> None:
    run(tmp_path, "calibrate_gain_sections", "--linear")
    store = Store(tmp_path / "calibrations")
    with opened(tmp_path) as bench:
        assert ("gain", "gain_sections") in current(store, bench)
        bench._opened.simulated.row.zero_gain_a[2] *= 1.1
        with pytest.raises(CalibrationError, match=r"outputs/2 reads .* of the drift check, .* was expected"):
            current(store, bench)
    with opened(tmp_path, seed=5) as bench, pytest.raises(CalibrationError, match=r"gain was .*, and is"):
        current(store, bench)


def test_a_chip_whose_detectors_see_no_single_section_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "chip.toml"
    path.write_text(shipped("pt_chip"))
    run(tmp_path, "calibrate_gain_sections", "--bench", str(path), code=2)
    assert "each section is measured between an input modulator, a monitor and a detector of its own" in capsys.readouterr().err


def test_a_setting_of_a_section_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchFileError, match="there is no section 9; there are 8"):
        opened(tmp_path, lines="blocked = [9]\n")
