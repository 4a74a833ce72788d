"""The procedure finds what the simulators hide, is as sure as it says, and names what is broken; tests may look at the truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.bench import Bench
from labonn.calibration import Store
from labonn.calibration.judging import Tolerances
from labonn.calibration.measuring import Measuring, Outcome, measure
from labonn.calibration.models import INTENSITY, field_model
from labonn.calibration.rigging import direct_sweep, homodyne_sweep
from labonn.calibration.sweeps import CodedSweep, DirectSweep, fresh, random_signs, scrambled
from labonn.cli import main
from labonn.errors import CalibrationError, ProcedureError
from labonn.shots import ShotTable, dense
from procedures.benches import shipped, vapour_cell
from sim_backends.physics.desk import DeskSettings
from sim_backends.physics.modulator_row import RowLight, RowSettings
from sim_backends.physics.modulators import Modulators, ModulatorSettings
from sim_backends.physics.noise import Noise

Array = NDArray[Any]
Open = Callable[..., Bench]
SMALL = (16, 8, 4)
HOW = Measuring()


def played(plan: Any, readings_of: Callable[[ShotTable], dict[str, Array]]) -> Outcome:
    """A plan's result, with readings that are computed here."""
    table = next(plan)
    try:
        while True:
            table = plan.send(readings_of(table))
    except StopIteration as done:
        outcome: Outcome = done.value
        return outcome


class Row:
    """Modulators on photodiodes without instruments: the true light alone, on a clock that tables move on."""

    def __init__(self, seed: int, channels: int = 16, light: Callable[[Array], Array] = np.ones_like, **row: Any) -> None:
        self.truth = RowLight(1, channels, DeskSettings(threshold_a=0, v_per_w=2000.0), RowSettings(**row), seed)
        self.names = [f"ch{c}" for c in range(channels)]
        self.now_s, self._light = 0.0, light
        self.bias_v: list[Array] = []  # at the ends of the last two tables
        full, volts = np.full(channels, 10.0), np.full(channels, 5.0)
        source = {"laser": np.array([0.1])}
        self.sweep = DirectSweep("modulators", "outputs", "V", full, 0 * full, source, {"laser": np.array([0.0])}, 4, 1e-3)
        self.lower, self.upper = -volts, volts

    def readings(self, table: ShotTable) -> dict[str, Array]:
        volts = dense(table.banks["modulators"])[table.orders["modulators"]]
        amperes = dense(table.banks["laser"])[table.orders["laser"]]
        times = self.now_s + (np.arange(table.shots) + 0.5) * table.dwell_s
        self.now_s = float(times[-1]) + 0.05
        self.bias_v = [*self.bias_v[-1:], self.truth.bias_now_v(float(times[-1]))]
        watts = self.truth.arms_at_w(0.05 * amperes * self._light(times)[:, None], volts, times)
        return {"outputs": self.truth.detected_v(watts)}

    def measured(self, how: Measuring = HOW) -> Outcome:
        return played(measure("modulators", self.sweep, INTENSITY, how, self.names, self.lower, self.upper), self.readings)

    def found(self, outcome: Outcome) -> tuple[Array, Array]:
        """((C, 2) errors of V_pi and bias, (C, 2) what they are said to be)."""
        truth = np.stack([self.truth.v_pi_v, self.bias_v[0]], axis=1)
        return outcome.fitted.parameters[:, 2:] - truth, outcome.fitted.errors[:, 2:]


class Homodyne:
    """Modulators that add up at homodyne detectors, through unknown gains, with crosstalk of a weight and a drift of the light."""

    def __init__(self, seed: int, channels: int = 20, taps: int = 12) -> None:
        rng = np.random.default_rng(seed)
        self._rng, signs = rng, random_signs(taps, channels)
        self.modulators = Modulators(channels, ModulatorSettings(), Noise(seed))
        self._matrix = signs * (0.09 * rng.normal(1, 0.03, (taps, 1))) * rng.normal(1, 0.03, signs.shape)
        self.sweep = CodedSweep("input", "taps", "V", np.full(taps, 5.0), signs)
        self.names, self.range = [f"ch{c}" for c in range(channels)], np.full(channels, 3.6)
        self.now_s = 0.0

    def readings(self, table: ShotTable) -> dict[str, Array]:
        volts = dense(table.banks["input"])[table.orders["input"]].astype(np.float64)
        light = 1 + 2e-5 * np.cumsum(self._rng.standard_normal(len(volts)))
        seen = light[:, None] * self.modulators.fields(volts, self.now_s) @ self._matrix.T
        self.now_s += table.shots * table.dwell_s + 0.05
        return {"taps": seen + 5e-4 * self._rng.standard_normal(seen.shape)}

    def measured(self) -> tuple[Array, Array]:
        plan = measure("modulators", self.sweep, field_model(0.0), Measuring(), self.names, -self.range, self.range)
        fitted = played(plan, self.readings).fitted
        m = self.modulators
        truth = np.stack([m.v_pi_v, m.bias_v - m._leak_rad * 2 * m.v_pi_v / np.pi], axis=1)
        return fitted.parameters[:, 1:] - truth, fitted.errors[:, 1:]


def right(pulls: Array) -> None:
    spread = np.std(pulls.reshape(-1, 2), axis=0)
    assert np.all((spread > 0.8) & (spread < 1.25)), spread
    assert np.abs(pulls).max() < 8


def test_errors_are_what_a_hundred_seeds_scatter_by_behind_photodiodes() -> None:
    """All 100 rows side by side, as one of 800 channels."""
    rows, row = [RowLight(1, 8, DeskSettings(), RowSettings(), seed) for seed in range(100)], Row(0, 800)
    for name in ("v_pi_v", "bias_v", "loss"):
        setattr(row.truth, name, np.concatenate([getattr(one, name) for one in rows]) * (100 if name == "loss" else 1))
    off, errors = row.found(row.measured())
    assert np.abs(off).max() < 0.005 * 3.5
    right(off / errors)


@pytest.mark.slow
def test_errors_are_what_a_thousand_homodyned_channels_scatter_by() -> None:
    pulls = []
    for seed in range(10):
        off, errors = Homodyne(seed, 100, 24).measured()
        assert np.abs(off).max() < 0.005 * 3.5
        pulls.append(off / errors)
    right(np.array(pulls))


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["row", "vapour"])
def test_errors_are_what_a_hundred_simulated_benches_scatter_by(tmp_path: Path, kind: str) -> None:
    path, pulls = tmp_path / "bench.toml", []
    path.write_text(shipped("modulator_row") if kind == "row" else vapour_cell(SMALL))
    for seed in range(100):
        with Bench.open(path, dry_run=True, seed=seed) as bench:
            off, errors = found_on(bench)
        assert np.abs(off).max() < 0.005 * 3.5
        pulls.append(off / errors)
    right(np.array(pulls))


def found_on(bench: Bench) -> tuple[Array, Array]:
    """((C, 2) errors of V_pi and bias, (C, 2) what they are said to be) of a simulated bench."""
    truth = bench._opened.simulated
    if "weights1" in bench.ports:
        sweep: Any = homodyne_sweep(bench, "input", 1e-5)
        model, own = field_model(0.0), truth.light._modulators["input"]
    else:
        sweep, model, own = direct_sweep(bench, "modulators", None, [], 4, 1e-3), INTENSITY, truth.light
    spec = bench.specs[sweep.port]
    outcome = bench.run(measure("modulators", sweep, model, Measuring(), spec.names, np.array(spec.lower), np.array(spec.upper)))
    if "weights1" in bench.ports:
        bias = own.bias_v + own.v_pi_v * own._drift.values(bench.clock.now()) - own._leak_rad * 2 * own.v_pi_v / np.pi
    else:
        bias = own.bias_now_v(bench.clock.now()) if hasattr(own, "bias_now_v") else own.bias_v
    i = model.parameters.index("v_pi")
    return outcome.fitted.parameters[:, i : i + 2] - np.stack([own.v_pi_v, bias], axis=1), outcome.fitted.errors[:, i : i + 2]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_small_homodyne_bench_is_found_to_half_a_percent(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(vapour_cell(SMALL))
    with Bench.open(path, dry_run=True, seed=seed) as bench:
        off, errors = found_on(bench)
    assert np.abs(off).max() < 1e-3 * 3.5
    assert np.abs(off / errors).max() < 6


@pytest.mark.slow
def test_all_784_channels_are_found_from_one_table(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(shipped("vapour_cell"))
    with Bench.open(path, dry_run=True) as bench:
        off, errors = found_on(bench)
    assert off.shape == (784, 2)
    assert np.abs(off).max() < 0.005 * 3.5
    right(off / errors)


def run(tmp_path: Path, *arguments: str, code: int = 0) -> None:
    given = ["run", "calibrate_modulators", "--dry-run", "--out", str(tmp_path / "runs"), "--json", *arguments]
    assert main(given) == code


def test_the_desk_is_calibrated_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "--condition", "wavelength_nm=780.24", "operator=N. N.")
    told = json.loads(capsys.readouterr().out)
    calibration = Store(tmp_path / "calibrations").load(told["result"]["calibration"])
    path = tmp_path / "desk.toml"
    path.write_text(shipped("desk"))
    with Bench.open(path, dry_run=True) as bench:
        light, identity = bench._opened.simulated.light, bench.ports["modulators"].identity
    np.testing.assert_allclose(calibration.values("v_pi"), light.v_pi_v, rtol=0.002)
    np.testing.assert_allclose(calibration.values("bias"), light.bias_v, atol=0.01)
    np.testing.assert_allclose(calibration.values("extinction"), 25, atol=0.5)
    assert calibration.instruments["modulators"] == identity
    assert set(calibration.instruments) == {"modulators", "outputs", "laser"}
    assert calibration.conditions["held.laser"] == pytest.approx([0.08])
    assert len(calibration.conditions["cooler_degC"]) == 1
    assert (calibration.conditions["wavelength_nm"], calibration.conditions["operator"]) == (780.24, "N. N.")
    assert calibration.excluded == {}
    figure = (Path(told["folder"]) / "calibration.png").read_bytes()
    assert figure.startswith(b"\x89PNG")
    assert len(figure) > 20_000


def test_sweep_verification_and_check_are_a_table_each(row_of: Open) -> None:
    bench, tables = row_of(), []
    play = bench.play
    bench.play = lambda table: (tables.append(table), play(table))[1]  # type: ignore[method-assign,func-returns-value]
    found_on(bench)
    assert [table.shots for table in tables] == [16 + 32 * 4, 16 + 8 * 4, 8 * 16]


def failed(bench: Bench, leave_out: int = 0) -> str:
    sweep: Any = homodyne_sweep(bench, "input", 1e-5) if "weights1" in bench.ports else direct_sweep(bench, "modulators", None, [], 4, 1e-3)
    model = field_model(0.0) if "weights1" in bench.ports else INTENSITY
    spec, how = bench.specs[sweep.port], Measuring(leave_out=leave_out)
    with pytest.raises(CalibrationError) as problem:
        bench.run(measure("modulators", sweep, model, how, spec.names, np.array(spec.lower), np.array(spec.upper)))
    return str(problem.value)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("blocked = [3]", ["1 of 32 channels failed the modulators calibration, nothing is kept: ch3: dead", "a blocked beam"]),
        ("swapped = [[4, 9]]", ["2 of 32", "ch4: swapped: it answers to ch9", "ch9: swapped: it answers to ch4"]),
        ("blocked = [3]\nswapped = [[30, 31]]", ["3 of 32", "ch3: dead", "ch30: swapped: it answers to ch31"]),
        ("gain = 10.0", ["32 of 32", "saturated: ", "of 32 readings are at the end of the detector's range", "(32 saturated in all)"]),
        ("bias_drift_v_pi_per_s = 0.4", ["32 of 32", "drifted: its bias moved by +2", "of its v_pi between the two halves of the sweep"]),
        ("gain = 1e-5", ["32 of 32", "dead", "is the light on?"]),
        ("gain = 0.005", ["too noisy: its bias is known to"]),
    ],
    ids=["blocked", "swapped", "both", "saturated", "drifting", "dark", "noisy"],
)
def test_what_is_broken_is_named(row_of: Open, setting: str, told: list[str]) -> None:
    problem = failed(row_of(setting))
    for words in told:
        assert words in problem, problem
    assert len(problem) < 700


def test_channels_may_be_left_out_and_the_others_are_as_good_as_ever(row_of: Open, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(shipped("modulator_row") + "blocked = [3, 17]\nswapped = [[8, 9]]\n")
    run(tmp_path, "--bench", str(path), "--leave-out", "4")
    told = json.loads(capsys.readouterr().out)
    assert (Path(told["folder"]) / "calibration.png").stat().st_size > 50_000
    calibration = Store(tmp_path / "calibrations").load(told["result"]["calibration"])
    assert {channel: words.partition(":")[0] for channel, words in calibration.excluded.items()} == {
        "ch3": "dead", "ch8": "swapped", "ch9": "swapped", "ch17": "dead"
    }  # fmt: skip
    out = np.isin(np.arange(32), [3, 8, 9, 17])
    for name in ("v_pi", "bias"):
        values, truth = calibration.values(name), getattr(row_of()._opened.simulated.row, f"{name}_v")
        assert np.array_equal(np.isnan(values), out)
        np.testing.assert_allclose(values[~out], truth[~out], atol=0.005 * 3.5)
    assert np.isnan(calibration.verification.largest[out]).all()
    run(tmp_path, "--bench", str(path), "--leave-out", "3", code=2)
    assert "4 of 32 channels failed" in capsys.readouterr().err
    assert len(Store(tmp_path / "calibrations").ids()) == 1, "nothing is kept of one that failed"


@pytest.mark.parametrize("what", ["blocked", "swapped", "saturated", "one tap saturated", "no light", "drifting"])
def test_what_is_broken_is_named_where_light_is_homodyned(tmp_path: Path, what: str) -> None:
    path, row = tmp_path / "bench.toml", ""
    if what == "drifting":
        row = "\n[simulation.modulators]\nbias_walk_v_pi_per_sqrt_h = 0.2\ndrift_tick_s = 0.01\n"
    path.write_text(vapour_cell((40, 16, 4)) + row)
    with Bench.open(path, dry_run=True, seed=2) as bench:
        light = bench._opened.simulated.light
        own = light._modulators["input"]
        fields = own.fields
        if what == "blocked":
            own.fields = lambda volts, now_s: fields(volts, now_s) * (np.arange(40) != 7)
        elif what == "swapped":
            order = np.arange(40)
            order[[7, 21]] = 21, 7
            own.fields = lambda volts, now_s: fields(np.ascontiguousarray(volts[:, order]), now_s)
        elif what == "no light":
            own.fields = lambda volts, now_s: 0 * volts
        elif "saturated" in what:
            detectors = light._detectors["forward_in"]
            detectors._full_gain = detectors._full_gain * np.where((what == "saturated") | (np.arange(16) == 3), 12, 1)
        if what == "one tap saturated":
            found = found_on(bench)
            assert np.abs(found[0]).max() < 0.005 * 3.5
            return
        if what == "drifting":
            sweep, spec = homodyne_sweep(bench, "input", 1e-2), bench.specs["input"]
            plan = measure("modulators", sweep, field_model(0.0), HOW, spec.names, np.array(spec.lower), np.array(spec.upper))
            with pytest.raises(CalibrationError, match=r"drifted: its bias moved by [+-][\d.]+ % of its v_pi"):
                bench.run(plan)
            return
        told = failed(bench)
    wanted = {
        "blocked": "1 of 40 channels failed the modulators calibration, nothing is kept: ch7: dead",
        "swapped": "ch7: swapped: it answers to ch21; ch21: swapped: it answers to ch7",
        "saturated": "(40 saturated in all)", "no light": "is the light on?",
    }  # fmt: skip
    assert wanted[what] in told


def test_light_that_changes_is_taken_out_where_many_channels_share_it_and_named_where_they_do_not() -> None:
    def falling(times: Array) -> Array:
        return 1 - 0.3 * times

    many = Row(1, 32, falling, bias_walk_v_pi_per_sqrt_h=0.0)
    off, errors = many.found(many.measured())
    assert np.abs(off / errors).max() < 5
    few = Row(1, 2, falling)
    with pytest.raises(CalibrationError, match=r"drifted: its high moved by -[\d.]+ % between the two halves"):
        few.measured()
    with pytest.raises(CalibrationError, match="the light of all channels changed by"):
        Row(1, 32, lambda times: 1 - 3 * times).measured()


def test_fresh_points_that_are_off_the_curve_fail_the_verification() -> None:
    row = Row(4, bias_walk_v_pi_per_sqrt_h=0.0)
    plan = measure("modulators", row.sweep, INTENSITY, Measuring(), row.names, row.lower, row.upper)
    table = next(plan)
    table = plan.send(row.readings(table))
    row.truth.bias_v = row.truth.bias_v + 0.05 * row.truth.v_pi_v * (np.arange(16) == 5)
    with pytest.raises(CalibrationError, match=r"1 of 16 .*: ch5: out of tolerance: a fresh point is .* off the fitted curve, .* allowed"):
        plan.send(row.readings(table))


def test_tighter_tolerances_are_kept_to() -> None:
    strict = Measuring(within=Tolerances(error=1e-6))
    with pytest.raises(CalibrationError, match="too noisy"):
        Row(5).measured(strict)


def test_every_channel_has_all_levels_in_an_order_of_its_own_and_fresh_points_are_none_of_them() -> None:
    lower, upper = np.linspace(-5, -4, 30), np.linspace(4, 5, 30)
    x = scrambled(lower, upper, 16, 2, 0)
    for half in (x[:, :16], x[:, 16:]):
        np.testing.assert_allclose(np.sort(half, axis=1), lower[:, None] + (upper - lower)[:, None] * np.arange(16) / 15)
    assert len({tuple(row) for row in np.argsort(x[:, :16], axis=1)}) == 30
    new = fresh(lower, upper, 16, 5, 0)
    assert np.abs(new[:, :, None] - x[:, None, :]).min() > 0.2
    assert np.all((new > lower[:, None]) & (new < upper[:, None]))
    assert np.ptp(new, axis=1).min() > 0.5 * 9


@pytest.mark.parametrize("channels", [1, 4, 11, 12, 784, 1013])
def test_codes_are_orthogonal_to_each_other_and_to_linear_drift(channels: int) -> None:
    codes = CodedSweep("p", "d", "V", np.ones(1), np.ones((1, channels))).codes
    size = codes.shape[1]
    np.testing.assert_array_equal(codes @ codes.T, size * np.eye(channels))
    np.testing.assert_array_equal(codes @ np.stack([np.ones(size), np.arange(size)], axis=1), 0)


def test_ports_and_holds_that_are_not_there_are_told(row_of: Open) -> None:
    bench = row_of()
    for hold in ("laser", "lasr=1mA", "outputs=1V", "laser=1V"):
        with pytest.raises(ProcedureError, match=f"--hold {hold}"):
            direct_sweep(bench, "modulators", None, [hold], 4, 1e-3)
    with pytest.raises(ProcedureError, match=r"--detector laser: row\.toml has Photodetectors: outputs"):
        direct_sweep(bench, "modulators", "laser", [], 4, 1e-3)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--levels", "3"), ("--passes", "3"), ("--fresh", "1"), ("--tolerance", "2"), ("--dwell", "-1"), ("--condition", "x")],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_opened(tmp_path: Path, option: str, value: str, capsys: Any) -> None:
    run(tmp_path, option, value, code=2)
    assert capsys.readouterr().err.startswith(f"labonn: error: {option} {value}") or option == "--dwell"
    assert not (tmp_path / "runs").exists()


def test_arms_that_are_not_there_cannot_be_blocked(row_of: Open) -> None:
    with pytest.raises(Exception, match=r"simulation\.row: blocked, swapped: there is no arm 40; there are 32"):
        row_of("blocked = [40]")
