"""The procedure finds what the simulated heaters hide, is as sure as it says, and names what is broken; tests may look at the truth."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import approx_fprime

from labonn.bench import Bench
from labonn.calibration import Calibration, Store, current
from labonn.calibration.heaters.drive import HeaterBank
from labonn.calibration.heaters.measuring import BankOutcome, heaters_of, measure_bank
from labonn.calibration.heaters.model import OWN, alone, own_phase, placed, together, volts_of
from labonn.calibration.measuring import Measuring
from labonn.calibration.rigging import direct_sweep
from labonn.calibration.saving import calibration_of
from labonn.calibration.sweeps import DirectSweep
from labonn.cli import main
from labonn.errors import BenchFileError, CalibrationError, ProcedureError
from labonn.shots import ShotTable, dense
from procedures.benches import shipped
from sim_backends.physics.desk import DeskSettings
from sim_backends.physics.heater_bank import BankLight, BankSettings

Array = NDArray[Any]
Open = Callable[..., Bench]
TOP_V = 7.8
LSB_V = 10 / 32767
CHANNELS = 16  # of `bank_of`


def measured(bench: Bench, levels: int = 64, leave_out: int = 0) -> BankOutcome:
    port = heaters_of(bench, None)
    spec, sweep = bench.specs[port], direct_sweep(bench, port, None, [], 1, 1e-3)
    how = Measuring(levels, 2, 32, leave_out=leave_out)
    outcome: BankOutcome = bench.run(measure_bank("heaters", sweep, how, spec.names, np.asarray(spec.upper)))
    return outcome


def calibrated(bench: Bench, bank: BankOutcome) -> Calibration:
    parts = {"x_unit": "V", "days": 30.0, "dwell_s": 1e-3, "more": bank.more()}
    return calibration_of("heaters", bank.heaters, bench, "heaters", ["outputs", "laser"], **parts)  # type: ignore[arg-type]


def folded(phases: Array) -> Array:
    return np.mod(phases + np.pi, 2 * np.pi) - np.pi


class Bank:
    """Heaters without instruments: the true light alone, on a clock that tables move on."""

    def __init__(self, seed: int, channels: int, **bank: Any) -> None:
        self.truth = BankLight(1, channels, DeskSettings(threshold_a=0, v_per_w=300.0 * channels), BankSettings(**bank), seed)
        self.names, self.now_s = [f"ch{c}" for c in range(channels)], 0.0
        full, source = np.full(channels, 10.0), {"laser": np.array([0.1])}
        self.sweep = DirectSweep("heaters", "outputs", "V", full, 0 * full, source, {"laser": np.array([0.0])}, 1, 1e-3)
        self.upper = np.full(channels, TOP_V)

    def readings(self, table: ShotTable) -> dict[str, Array]:
        volts = dense(table.banks["heaters"])[table.orders["heaters"]]
        amperes = dense(table.banks["laser"])[table.orders["laser"]]
        watts = self.truth.split_w(0.05 * amperes, self.truth.followed_rad(volts, table.dwell_s), table.dwell_s, self.now_s)
        self.now_s += table.shots * table.dwell_s + 0.05
        return {"outputs": self.truth.detected_v(watts)}

    def measured(self, how: Measuring) -> BankOutcome:
        plan = measure_bank("heaters", self.sweep, how, self.names, self.upper)
        table = next(plan)
        try:
            while True:
                table = plan.send(self.readings(table))
        except StopIteration as done:
            outcome: BankOutcome = done.value
            return outcome

    def own(self) -> Array:
        """(C, 4) true offset, per_square, droop and cubic."""
        t, slope = self.truth, self.truth._bank.resistance_slope_per_w
        return np.stack([t.phase_rad, np.pi / (t.p_pi_w * t.resistance_ohm), slope * t.p_pi_w / np.pi, t.cubic_per_v], axis=1)


@pytest.mark.slow
def test_errors_are_what_a_hundred_seeds_scatter_by() -> None:
    own, crosstalk = [], []
    off = ~np.eye(3, dtype=bool)
    for seed in range(100):
        bank = Bank(seed, 3)
        found = bank.measured(Measuring(32, 2, 16))
        away = found.heaters.fitted.parameters[:, 2:] - bank.own()
        away[:, 0] = folded(away[:, 0])
        own.append(away / found.heaters.fitted.errors[:, 2:])
        crosstalk.append(((found.crosstalk - bank.truth.mixing) / np.where(off, found.crosstalk_errors, 1.0))[off])
    for pulls in (*np.moveaxis(np.concatenate(own), 1, 0), np.concatenate(crosstalk)):
        assert 0.8 < pulls.std() < 1.25
        assert abs(pulls.mean()) < 0.3
        assert np.abs(pulls).max() < 6


def set_by(bench: Bench, bank: HeaterBank, rows: int = 50) -> Array:
    """(rows, C) true phases minus those that were wanted, of random targets, set through the inversion by a 16-bit DAC."""
    targets = np.random.default_rng(4).uniform(-np.pi, np.pi, (rows, len(bank.own)))
    drive = bank.volts(targets)
    assert drive.reached.all()
    assert np.all((drive.volts >= 0) & (drive.volts <= TOP_V))
    np.testing.assert_allclose(folded(drive.phases - targets)[:, bank.good], 0, atol=1e-6)
    truth = bench._opened.simulated.bank
    return folded(truth.phases_rad(np.rint(drive.volts / LSB_V) * LSB_V, bench.clock.now()) - targets)


@pytest.mark.parametrize(("seed", "crosstalk"), [(1, 0.01), (2, 0.01), (3, 0.05)])
def test_phases_and_crosstalk_are_found_and_the_inversion_sets_them_through_sixteen_bits(
    bank_of: Open, seed: int, crosstalk: float
) -> None:
    bench = bank_of(f"crosstalk = {crosstalk}", seed=seed)
    found = measured(bench)
    true = bench._opened.simulated.bank.mixing
    largest = true[~np.eye(16, dtype=bool)].max()
    assert largest == pytest.approx(crosstalk, rel=0.5)
    assert np.abs(found.crosstalk - true).max() < 0.05 * largest
    bank = HeaterBank.of(calibrated(bench, found), bench.specs["heaters"])
    assert np.sqrt(np.mean(set_by(bench, bank) ** 2)) < 2e-3


@pytest.mark.slow
def test_64_heaters_with_full_crosstalk_take_three_tables_and_less_than_20_seconds(tmp_path: Path) -> None:
    path, tables = tmp_path / "bank.toml", []
    path.write_text(shipped("heater_bank"))
    with Bench.open(path, dry_run=True) as bench:
        play = bench.play
        bench.play = lambda table: (tables.append(table), play(table))[1]  # type: ignore[method-assign,func-returns-value]
        start = time.thread_time()
        found = measured(bench, levels=256)
        assert time.thread_time() - start < 20
        assert len(tables) <= 3
        true = bench._opened.simulated.bank.mixing
        off = ~np.eye(64, dtype=bool)
        assert (true[off] > 0).all()
        assert np.abs(found.crosstalk - true).max() < 0.05 * true[off].max()
        off_by = set_by(bench, HeaterBank.of(calibrated(bench, found), bench.specs["heaters"]))
    assert np.sqrt(np.mean(off_by**2)) < 10e-3
    assert np.sqrt(np.mean(off_by**2)) < 1e-3, "what was measured when this was written: 0.5 mrad"


def test_a_source_that_holds_its_voltages_is_swept_by_the_same_plan(bank_of: Open) -> None:
    bench = bank_of(channels=3, driver="qontrol")
    assert bench.specs["heaters"].depth == 1
    found, truth = measured(bench, levels=32), bench._opened.simulated.bank
    np.testing.assert_allclose(found.crosstalk, truth.mixing, atol=5e-4)
    np.testing.assert_allclose(folded(found.heaters.fitted.parameters[:, 2] - truth.phase_rad), 0, atol=0.015)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        (
            "dead = [3]",
            ["1 of 16 channels failed the heaters calibration, nothing is kept: ch3: dead: light changes by", "open or shorted"],
        ),
        ("blocked = [3]", ["1 of 16", "ch3: blocked: with light its detector reads at most", "a blocked beam"]),
        ("swapped = [[4, 9]]", ["2 of 16", "ch4: swapped: it answers to ch9", "ch9: swapped: it answers to ch4"]),
        ("paired = [[2, 3]]", ["2 of 16", "ch2: degenerate: ch3 changes its phase", "ch3: degenerate: ch2 changes its phase"]),
        (
            "dead = [0]\nblocked = [1]\nswapped = [[2, 3]]\npaired = [[4, 5]]",
            ["6 of 16", "1 dead", "1 blocked", "2 swapped", "2 degenerate"],
        ),
        ("gain = 10.0", ["16 of 16", "saturated: ", "of 128 readings are at the end of the detector's range", "(16 saturated in all)"]),
        ("gain = 1e-5", ["16 of 16", "the laser is off?"]),
        ("gain = 0.003", ["16 of 16", "too noisy: its phase is known to"]),
        ("drift_rad_per_h = 1000.0", ["16 of 16", "drifted: its phase moved by +3", "mrad during the sweep", "(16 drifted in all)"]),
        (
            "drift_rad_per_h = 100000.0",
            ["16 of 16", "drifted: its phase moved by +2", "rad from the first to the last quarter of the sweep"],
        ),
        ("crosstalk = 0.15\ndecay = 8.0", ["16 of 16", "off the curve: light changes by", "is there so much crosstalk, or drift?"]),
    ],
    ids=["dead", "blocked", "swapped", "paired", "all at once", "saturated", "dark", "noisy", "drifting", "drifting fast", "hot"],
)
def test_what_is_broken_is_named(bank_of: Open, setting: str, told: list[str]) -> None:
    with pytest.raises(CalibrationError) as problem:
        measured(bank_of(setting))
    for words in told:
        assert words in str(problem.value), str(problem.value)
    assert len(str(problem.value)) < 800


def test_a_few_readings_at_the_end_of_the_range_are_left_out_and_the_rest_is_as_good(bank_of: Open) -> None:
    bench = bank_of("gain = 1.6")
    found = measured(bench)
    assert found.heaters.points.saturated.min() > 5
    assert np.abs(found.crosstalk - bench._opened.simulated.bank.mixing).max() < 5e-4


def test_outliers_are_held_off() -> None:
    bank, wild = Bank(3, 4), np.random.default_rng(0)
    plan = measure_bank("heaters", bank.sweep, Measuring(64, 2, 16), bank.names, bank.upper)
    readings = bank.readings(next(plan))
    hit = wild.permuted(np.arange(readings["outputs"][4:].size) < 20).reshape(-1, 4)
    readings["outputs"][4:][hit] += 0.3
    table = plan.send(bank.readings(plan.send(readings)))
    with pytest.raises(StopIteration) as done:
        plan.send(bank.readings(table))
    found: BankOutcome = done.value.value
    np.testing.assert_allclose(found.crosstalk, bank.truth.mixing, atol=5e-4)
    assert found.heaters.fitted.outliers.sum() == 20


def run(tmp_path: Path, *arguments: str, code: int = 0) -> None:
    given = ["run", "calibrate_heaters", "--dry-run", "--out", str(tmp_path / "runs"), "--json", *arguments]
    assert main(given) == code


def test_heaters_may_be_left_out_and_the_others_are_set_as_well_as_ever(bank_of: Open, tmp_path: Path, capsys: Any) -> None:
    lines = "blocked = [3]\ndead = [7]\nswapped = [[8, 9]]"
    bench = bank_of(lines)
    path = tmp_path / "bank.toml"
    run(tmp_path, "--bench", str(path), "--leave-out", "4", "--condition", "wavelength_nm=1550")
    told = json.loads(capsys.readouterr().out)
    assert (Path(told["folder"]) / "calibration.png").stat().st_size > 50_000
    calibration = Store(tmp_path / "calibrations").load(told["result"]["calibration"])
    assert {channel: words.partition(":")[0] for channel, words in calibration.excluded.items()} == {
        "ch3": "blocked", "ch7": "dead", "ch8": "swapped", "ch9": "swapped"
    }  # fmt: skip
    out = np.isin(np.arange(16), [3, 7, 8, 9])
    assert np.array_equal(np.isnan(calibration.values("v_pi")), out)
    assert np.array_equal(np.isnan(calibration.values("crosstalk")), out[:, None] | out[None, :])
    bank = HeaterBank.of(calibration, bench.specs["heaters"])
    drive = bank.volts(np.zeros(16))
    assert np.all(drive.volts[out] == 0)
    assert np.isnan(drive.phases[out]).all()
    assert np.sqrt(np.mean(set_by(bench, bank)[:, ~out] ** 2)) < 2e-3
    run(tmp_path, "--bench", str(path), "--leave-out", "3", code=2)
    assert "4 of 16 channels failed" in capsys.readouterr().err
    assert len(Store(tmp_path / "calibrations").ids()) == 1, "nothing is kept of one that failed"


@pytest.mark.parametrize("what", ["offset", "power", "crosstalk", "light"])
def test_the_same_bank_passes_its_check_and_one_that_changed_does_not(bank_of: Open, tmp_path: Path, what: str) -> None:
    bench, store = bank_of(), Store(tmp_path / "cal")
    calibration = calibrated(bench, measured(bench))
    store.save(calibration)
    for _ in range(5):
        assert current(store, bench) == {("heaters", "heaters"): calibration}
    bank = bench._opened.simulated.bank
    eleventh = np.arange(16) == 11
    if what == "offset":
        bank.phase_rad = bank.phase_rad + 0.15 * eleventh
    elif what == "power":
        bank.p_pi_w = bank.p_pi_w * (1 + 0.05 * eleventh)
    elif what == "crosstalk":
        bank.mixing = bank.mixing + 0.05 * np.outer(eleventh, ~eleventh)
    else:
        bank.slope_w_per_a = 0.7 * bank.slope_w_per_a
        assert current(store, bench) == {("heaters", "heaters"): calibration}, "less light moves no phase"
        return
    with pytest.raises(CalibrationError, match=r"outputs/11 reads .* in frame \d of the drift check, .* was expected"):
        current(store, bench)


def test_the_calibration_of_another_bank_is_refused(bank_of: Open, tmp_path: Path) -> None:
    store, five = Store(tmp_path / "cal"), bank_of(seed=5)
    store.save(calibrated(five, measured(five)))
    with pytest.raises(CalibrationError, match=r"heaters was emulated DAC SD-\d+, and is emulated DAC SD-\d+.*; it was measured on"):
        current(store, bank_of(seed=6))


def believed(channels: int = 6, crosstalk: float = 0.02, upper: float = TOP_V, seed: int = 0) -> HeaterBank:
    rng = np.random.default_rng(seed)
    own = np.stack([0 * np.ones(channels), np.ones(channels), rng.uniform(-3, 3, channels), rng.normal(0.137, 0.005, channels),
                    np.full(channels, 0.007), np.full(channels, 0.002)], axis=1)  # fmt: skip
    mixing = np.where(np.eye(channels, dtype=bool), 1.0, crosstalk * rng.random((channels, channels)))
    return HeaterBank(own, mixing, np.zeros(channels), np.full(channels, upper), np.ones(channels, bool))


def test_volts_and_phases_are_inverses_and_a_small_change_makes_no_jump() -> None:
    bank = believed()
    targets = np.random.default_rng(1).uniform(-9, 9, (40, 6))
    drive = bank.volts(targets)
    assert drive.reached.all()
    assert drive.told(list("abcdef")) == []
    np.testing.assert_allclose(folded(bank.phases(drive.volts) - targets), 0, atol=1e-6)
    one = bank.volts(targets[0])
    np.testing.assert_allclose(one.volts, drive.volts[0], atol=1e-9)
    for step in (-0.05, 0.05):
        moved = bank.volts(targets[0] + step, near=one.volts)
        assert moved.reached.all()
        assert np.abs(moved.volts - one.volts).max() < 0.3 or np.any(one.volts < 0.8), "a heater that is nearly off may have to go round"
    low = bank.volts(np.where(np.arange(6) == 2, bank.own[:, 2] - 0.01, bank.own[:, 2] + 0.5))
    assert low.volts[2] > 5, "no negative power: a whole turn more"


def test_what_cannot_be_reached_is_named_and_the_rest_is_the_best_inside_the_limits() -> None:
    bank = believed(upper=4.0)
    targets = bank.own[:, 2] + np.array([1.0, 4.0, 1.2, 0.8, 1.1, 0.9])
    drive = bank.volts(targets)
    assert not drive.reached[1]
    assert [line.partition(":")[0] for line in drive.told(list("abcdef")) if float(line.split()[4]) > 0.1] == ["b"]
    assert np.all((drive.volts >= 0) & (drive.volts <= 4.0))
    around = bank.volts(targets + np.array([0, 1.3, 0, 0, 0, 0]))
    assert around.volts[1] < 0.3, "it is nearer from below, by a turn less"
    assert around.off[1] == pytest.approx(2 * np.pi - 5.3, abs=0.1)
    best = np.square(drive.off).sum()
    rng = np.random.default_rng(2)
    for _ in range(300):
        other = np.clip(drive.volts + 0.02 * rng.standard_normal(6), 0, 4.0)
        assert np.square(folded(bank.phases(other) - targets)).sum() >= best - 1e-9


def test_a_bank_that_cannot_be_inverted_or_is_none_is_refused(bank_of: Open, calibration_like: Callable[..., Calibration]) -> None:
    bench = bank_of(channels=3)
    with pytest.raises(CalibrationError, match="mach-zehnder-field x 3; heaters x 3 are wanted"):
        HeaterBank.of(calibration_like(), bench.specs["heaters"])


def test_curves_have_the_derivatives_that_finite_differences_give() -> None:
    rng, count = np.random.default_rng(0), 3
    own = believed(count).own
    own[:, 0] = 0.1
    drives = rng.uniform(0.2, TOP_V, (5, count))
    parameters = np.concatenate([own, rng.uniform(0, 0.05, (count, count - 1))], axis=1)
    at, curve = placed(count, np.arange(5), 5), together(drives, own)
    value, slope = curve(parameters, at)
    for c in range(count):
        wanted = approx_fprime(parameters[c], lambda p, c=c: curve(p[None], at[c : c + 1])[0][0], 1e-7)  # type: ignore[misc]
        np.testing.assert_allclose(slope[c], wanted, rtol=1e-4, atol=2e-6)
    single = alone(own, drives.T)
    np.testing.assert_allclose(curve(np.pad(own, ((0, 0), (0, 2))), at)[0], single[0], rtol=1e-12)
    np.testing.assert_allclose(volts_of(own, own_phase(own, drives.T)[0].T), drives, rtol=1e-10)
    half = curve(parameters[1:2], at[1:2, 2:])
    np.testing.assert_allclose(half[0], value[1:2, 2:], rtol=1e-12)


def test_the_simulated_bank_obeys_its_equations() -> None:
    bank = Bank(1, 9, columns=3).truth
    volts = np.linspace(0.5, 7.5, 9)
    power = bank.own_rad(volts) * bank.p_pi_w / np.pi
    cold = volts**2 * (1 + bank.cubic_per_v * volts) / bank.resistance_ohm
    np.testing.assert_allclose(power * (1 + 1.0 * power), cold, rtol=1e-12)
    near, far = bank.mixing[4, [1, 3, 5, 7]], bank.mixing[0, 8]
    assert np.all((near > 0.005) & (near < 0.015))
    assert far < 0.6 * near.min()
    table = np.repeat(volts[None], 400, axis=0)
    slow = bank.followed_rad(table, 2e-7)
    since = (np.arange(400)[:, None] + 0.5) * 2e-7 - bank.delay_s
    left = np.where(since > 0, np.exp(-since / bank.rise_s), 1.0)
    np.testing.assert_allclose(slow, bank.own_rad(volts) * (1 - left), rtol=1e-9, atol=1e-12)
    down = bank.followed_rad(np.concatenate([table, 0 * table]), 2e-7)[400:]
    np.testing.assert_allclose(down, bank.own_rad(volts) * np.where(since > 0, np.exp(-since / bank.fall_s), 1.0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--levels", "3"), ("--passes", "3"), ("--fresh", "1"), ("--repeats", "0"), ("--dwell", "-1"), ("--top", "9 V"), ("--top", "x")],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, option: str, value: str, capsys: Any) -> None:
    run(tmp_path, option, value, code=2)
    assert f"{option} {value}" in capsys.readouterr().err


def test_ports_that_are_no_heaters_are_told(bank_of: Open) -> None:
    bench = bank_of()
    with pytest.raises(ProcedureError, match=r"--port outputs: bank\.toml has these that could be heaters: heaters, laser"):
        heaters_of(bench, "outputs")
    with pytest.raises(ProcedureError, match="--port laser: it is in A; heaters in volts are wanted"):
        heaters_of(bench, "laser")


def test_heaters_that_are_not_there_cannot_be_broken(bank_of: Open) -> None:
    with pytest.raises(BenchFileError, match=r"simulation\.bank: dead, blocked, swapped, paired: there is no heater 40; there are 16"):
        bank_of("dead = [40]")


def test_parameters_have_their_names_and_units(bank_of: Open) -> None:
    bench = bank_of(channels=4)
    calibration = calibrated(bench, measured(bench))
    assert calibration.parameters == OWN
    units = {name: one.unit for name, one in calibration.coefficients.items()}
    assert units["per_square"] == "rad/V^2"
    assert (units["low"], units["v_pi"], units["crosstalk"]) == ("V", "V", "1")
    truth = bench._opened.simulated.bank
    at_v_pi = truth.own_rad(calibration.values("v_pi"))
    np.testing.assert_allclose(at_v_pi, np.pi, rtol=0.005)
