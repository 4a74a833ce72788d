"""The procedure finds how fast simulated heaters are, is as sure as it says, and names what it cannot see; tests may look at the truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.optimize import approx_fprime

from labonn.bench import Bench
from labonn.calibration import Calibration, Store, current
from labonn.calibration.judging import Tolerances
from labonn.calibration.measuring import Measuring, Outcome
from labonn.calibration.saving import calibration_of
from labonn.calibration.settling.measuring import found_times, measure_steps, step_sweep
from labonn.calibration.settling.model import BOTH, ONE, ONSETS, TAUS, both_ways, one_way, waits_s
from labonn.calibration.settling.place import Place
from labonn.calibration.settling.sweep import DOWN, IDLE, UP, StepSweep, bases_of
from labonn.cli import main
from labonn.errors import CalibrationError, ProcedureError
from labonn.shots import ShotTable, dense
from procedures.benches import shipped
from sim_backends.physics.desk import DeskSettings
from sim_backends.physics.heater_bank import BankLight, BankSettings

Array = NDArray[Any]
Open = Callable[..., Bench]
HOW = Measuring(within=Tolerances(residual=0.02, error=0.05))
TIMES = [TAUS[0], ONSETS[0], TAUS[1], ONSETS[1]]
CHANNELS = 8  # of `bank_of`


def steps(bench: Bench, **other: Any) -> StepSweep:
    given: dict[str, Any] = {"bases": 10, "step": 0.03, "samples": 64, "cycles": 24, "dwell_s": 2e-7, **other}
    return step_sweep(bench, None, None, [], **given)


def measured(bench: Bench, leave_out: int = 0, **other: Any) -> Outcome:
    sweep = steps(bench, **other)
    how = Measuring(within=HOW.within, leave_out=leave_out)
    outcome: Outcome = bench.run(measure_steps("settling", sweep, how, bench.specs["heaters"].names))
    return outcome


def calibrated(bench: Bench, outcome: Outcome) -> Calibration:
    more = found_times(outcome, 0.01)
    about = {"remain": 0.01}
    parts: dict[str, Any] = {"x_unit": "V", "days": 30.0, "dwell_s": 2e-7, "more": more, "about": about}
    return calibration_of("settling", outcome, bench, "heaters", ["outputs", "laser"], **parts)


def truth_of(bank: BankLight) -> Array:
    return np.stack([bank.rise_s, bank.delay_s, bank.fall_s, bank.delay_s], axis=1)


@pytest.mark.slow
def test_errors_are_what_a_hundred_seeds_scatter_by() -> None:
    """A hundred banks of three heaters side by side, as one of 300 that have no crosstalk from bank to bank."""
    desk, count = DeskSettings(threshold_a=0, v_per_w=90_000.0), 300
    banks = [BankLight(1, 3, desk, BankSettings(), seed) for seed in range(100)]
    light = BankLight(1, count, desk, BankSettings(), 0)
    for name in ("p_pi_w", "resistance_ohm", "cubic_per_v", "phase_rad", "leak", "rise_s", "fall_s", "delay_s", "loss"):
        setattr(light, name, np.concatenate([getattr(bank, name) for bank in banks]))
    light.mixing = block_diag(*(bank.mixing for bank in banks))
    bases, up = bases_of(np.zeros(count), np.full(count, 7.8), 8, 0.03)
    source = {"laser": np.array([0.1])}
    sweep = StepSweep("heaters", "outputs", "V", np.full(count, 10.0), bases, up, 48, 8, 2.5e-7, 0.0, source)

    def readings(table: ShotTable) -> dict[str, Array]:
        volts = dense(table.banks["heaters"])[table.orders["heaters"]]
        watts = light.split_w(np.array([[5e-3]]), light.followed_rad(volts, table.dwell_s), table.dwell_s, 0.0)
        return {"outputs": light.detected_v(watts)}

    plan = measure_steps("settling", sweep, HOW, [f"ch{c}" for c in range(count)])
    table = next(plan)
    with pytest.raises(StopIteration) as done:  # noqa: PT012 - it ends after some tables
        while True:
            table = plan.send(readings(table))
    fitted = done.value.value.fitted
    off = fitted.parameters[:, TIMES] - truth_of(light)
    assert np.abs(off / truth_of(light))[:, [0, 2]].max() < 0.1
    pulls = off / fitted.errors[:, TIMES]
    assert np.all((pulls.std(axis=0) > 0.8) & (pulls.std(axis=0) < 1.25)), pulls.std(axis=0)
    assert np.abs(pulls.mean(axis=0)).max() < 0.4
    assert np.abs(pulls).max() < 6


@pytest.mark.parametrize("seed", [1, 2])
def test_rise_fall_and_onset_of_every_heater_are_found_from_one_table(bank_of: Open, seed: int) -> None:
    bench, tables = bank_of(seed=seed), []
    play = bench.play
    bench.play = lambda table: (tables.append(table), play(table))[1]  # type: ignore[method-assign,func-returns-value]
    outcome = measured(bench)
    assert len(tables) == 3, "steps, the same at other times, the drift check"
    truth = truth_of(bench._opened.simulated.bank)
    assert np.abs(outcome.fitted.parameters[:, TIMES] / truth - 1)[:, [0, 2]].max() < 0.02
    assert np.abs(outcome.fitted.parameters[:, TIMES] - truth)[:, [1, 3]].max() < 2e-8
    wait = found_times(outcome, 0.01)["wait"].values
    slower = np.maximum(truth[:, 0], truth[:, 2])
    np.testing.assert_allclose(wait, truth[:, 1] + slower * np.log(100), rtol=0.03)


def test_the_crosstalk_of_heaters_that_are_faster_or_slower_is_taken_out(bank_of: Open) -> None:
    bench = bank_of("crosstalk = 0.05\ntime_spread = 0.15", channels=16)
    outcome = measured(bench)
    off = outcome.fitted.parameters[:, TIMES] - truth_of(bench._opened.simulated.bank)
    pulls = (off / outcome.fitted.errors[:, TIMES])[:, [0, 2]]
    assert np.abs(off[:, [0, 2]]).max() < 0.03e-6
    assert np.abs(pulls.mean()) < 0.8


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("dead = [3]", ["1 of 8 channels failed the settling calibration, nothing is kept: ch3: dead: its steps change the reading by"]),
        ("blocked = [3]", ["1 of 8", "ch3: dead", "a blocked beam, or an open line?"]),
        ("swapped = [[2, 6]]", ["2 of 8", "ch2: swapped: it answers to ch6; ch6: swapped: it answers to ch2"]),
        ("gain = 10.0", ["8 of 8", "saturated: ", "% of its readings are at the end of the detector's range", "(8 saturated in all)"]),
        ("gain = 0.02", ["too noisy: its rise of", "larger steps, or more cycles"]),
        (
            "rise_s = 4e-6",
            ["8 of 8", "not settled: 12.8 us after a step", "% of its rise is still to come; more samples, or a longer dwell"],
        ),
        ("fall_s = 4e-6", ["8 of 8", "% of its fall is still to come"]),
        ("rise_s = 3e-5\nfall_s = 3e-5", ["8 of 8", "too slow for the window of 12.8 us: its rise has a time constant of about"]),
        (
            "rise_s = 5e-8\nfall_s = 5e-8",
            ["8 of 8", "too fast: its rise is over at the first sample, 100 ns after the step; a shorter dwell"],
        ),
    ],
    ids=["dead", "blocked", "swapped", "saturated", "noisy", "rise not settled", "fall not settled", "slow", "fast"],
)
def test_what_cannot_be_measured_is_named(bank_of: Open, setting: str, told: list[str]) -> None:
    with pytest.raises(CalibrationError) as problem:
        measured(bank_of(setting))
    for words in told:
        assert words in str(problem.value), str(problem.value)
    assert len(str(problem.value)) < 800


def test_what_was_too_slow_for_a_window_is_found_in_a_longer_one(bank_of: Open) -> None:
    bench = bank_of("rise_s = 3e-3\nfall_s = 5e-3\ndelay_s = 2e-4")
    outcome = measured(bench, dwell_s=5e-4)
    truth = truth_of(bench._opened.simulated.bank)
    assert np.abs(outcome.fitted.parameters[:, TIMES] / truth - 1)[:, [0, 2]].max() < 0.1


def test_a_source_whose_wait_is_longer_than_the_heaters_need_is_told_so(bank_of: Open) -> None:
    bench = bank_of(channels=2, driver="qontrol")
    assert bench.specs["heaters"].settle_s.max() == pytest.approx(1e-3)
    told = r"too fast: its rise is over at the first sample, 1 ms after the step; a shorter dwell, or a shorter settle_s in the bench file"
    with pytest.raises(CalibrationError, match=told):
        measured(bench, bases=3, samples=16, cycles=4)


def test_a_held_port_is_seen_from_its_wait_on() -> None:
    """A first-order actuator of 5 s up and 7 s down, read linearly, 2 s after every step at the earliest."""
    late, dwell, samples, rise, fall = 2.0, 1.0, 60, 5.0, 7.0
    sweep = StepSweep("oven", "power", "W", np.array([9.0]), np.array([[40.0]]), np.array([[2.0]]), samples, 4, dwell, late)
    rng, state = np.random.default_rng(3), [40.0]

    def readings(table: ShotTable) -> dict[str, Array]:
        rows, parts = dense(table.banks["oven"])[:, 0], []
        for row in rows[table.orders["oven"]].reshape(-1, table.shots // len(rows))[:, 0]:
            tau = rise if row >= state[0] else fall
            t = late + (np.arange(table.shots // len(rows)) + 0.5) * table.dwell_s
            parts.append(row + (state[0] - row) * np.exp(-t / tau))
            state[0] = row + (state[0] - row) * np.exp(-(t[-1] + 0.5 * table.dwell_s) / tau)
        seen = 0.01 * np.concatenate(parts)
        return {"power": (seen + 2e-5 * rng.standard_normal(len(seen)))[:, None]}

    plan = measure_steps("settling", sweep, HOW, ["oven 1"])
    table = plan.send(readings(plan.send(readings(next(plan)))))
    with pytest.raises(StopIteration) as done:
        plan.send(readings(table))
    found, errors = done.value.value.fitted.parameters[0, TIMES], done.value.value.fitted.errors[0, TIMES]
    assert np.all(np.abs(found - [rise, 0, fall, 0]) < 4 * errors + 1e-9)
    np.testing.assert_allclose(found[[0, 2]], [rise, fall], rtol=0.05)


def test_a_cooler_under_its_controller_is_of_no_first_order_and_its_time_is_told_nevertheless(tmp_path: Path) -> None:
    path = tmp_path / "desk.toml"
    path.write_text(shipped("desk").replace('"ldc500_tec"', '"ldc500_tec"\nsettle_s = 0.0'))
    with Bench.open(path, dry_run=True) as bench:
        given: dict[str, Any] = {"bases": 1, "step": 0.01, "samples": 40, "cycles": 4, "dwell_s": 1.5}
        sweep = step_sweep(bench, "cooler", "power", ["laser=40mA"], **given)
        told = (
            r"tec: undetermined: .* of another order; within 2 % of the end its rise is after 1[0-9.]+ s and its fall is after 1[0-9.]+ s"
        )
        with pytest.raises(CalibrationError, match=told):
            bench.run(measure_steps("settling", sweep, HOW, bench.specs["cooler"].names))


def run(tmp_path: Path, *arguments: str, code: int = 0) -> None:
    given = ["run", "calibrate_settling", "--dry-run", "--out", str(tmp_path / "runs"), "--json", *arguments]
    assert main(given) == code


@pytest.mark.slow
def test_the_command_keeps_the_times_compares_them_with_the_bench_file_and_leaves_out(bank_of: Open, tmp_path: Path, capsys: Any) -> None:
    truth = truth_of(bank_of("dead = [5]", channels=6)._opened.simulated.bank)
    path = tmp_path / "bank.toml"
    run(tmp_path, "--bench", str(path), "--leave-out", "1")
    told = json.loads(capsys.readouterr().out)
    calibration = Store(tmp_path / "calibrations").load(told["result"]["calibration"])
    assert {channel: words.partition(":")[0] for channel, words in calibration.excluded.items()} == {"ch5": "dead"}
    assert (Path(told["folder"]) / "calibration.png").stat().st_size > 50_000
    assert calibration.parameters == BOTH
    good = np.arange(6) != 5
    for name, column in (("tau_rise", 0), ("tau_fall", 2)):
        np.testing.assert_allclose(calibration.values(name)[good], truth[good, column], rtol=0.03)
        assert np.isnan(calibration.values(name)[5])
        assert calibration.coefficients[name].unit == "s"
    assert "settle_s of heaters is 0 s: set settle_s = " in told["result"]["settle_s"]
    enough = path.read_text().replace("bits = 16\nlower", "bits = 16\nsettle_s = 1e-4\nlower")
    path.write_text(enough)
    run(tmp_path, "--bench", str(path), "--leave-out", "1")
    assert json.loads(capsys.readouterr().out)["result"]["settle_s"].endswith("settle_s of heaters is 100 us, which is enough")


@pytest.mark.parametrize("what", ["nothing", "light", "slower", "dead"])
def test_the_same_heaters_pass_their_check_and_others_do_not(bank_of: Open, tmp_path: Path, what: str) -> None:
    bench, store = bank_of(), Store(tmp_path / "cal")
    calibration = calibrated(bench, measured(bench))
    store.save(calibration)
    bank = bench._opened.simulated.bank
    fifth = np.arange(8) == 5
    if what == "slower":
        bank.rise_s = np.where(fifth, 2.5 * bank.rise_s, bank.rise_s)
    elif what == "dead":
        bank._heats = ~fifth
    elif what == "light":
        bank.slope_w_per_a = 0.7 * bank.slope_w_per_a
    if what in ("nothing", "light"):
        for _ in range(5):
            assert current(store, bench) == {("heaters", "settling"): calibration}
        return
    with pytest.raises(CalibrationError, match=r"outputs/5 reads .* in frame \d+ of the drift check, .* was expected.*calibrate_settling"):
        current(store, bench)


def test_the_times_of_another_bank_are_refused(bank_of: Open, tmp_path: Path) -> None:
    store, five = Store(tmp_path / "cal"), bank_of(seed=5)
    store.save(calibrated(five, measured(five)))
    with pytest.raises(CalibrationError, match=r"heaters was emulated DAC SD-\d+, and is emulated DAC SD-\d+"):
        current(store, bank_of(seed=6))


def test_channels_step_up_down_and_rest_equally_often_and_in_orders_of_their_own(bank_of: Open) -> None:
    sweep = steps(bank_of(channels=16))
    for state, share in ((UP, 0.25), (DOWN, 0.25), (IDLE, 0.5)):
        np.testing.assert_allclose((sweep.states == state).mean(axis=0), share)
    assert len({tuple(column) for column in sweep.states.T}) == 16
    rows = dense(sweep.table().banks["heaters"]).reshape(10, 24, 3, 16)
    np.testing.assert_allclose(rows[:, :, 0], rows[:, :, 2])
    moved = rows[:, :, 1] - rows[:, :, 0]
    np.testing.assert_allclose(moved, sweep.steps[:, None] * np.where(sweep.states == UP, 1, np.where(sweep.states == DOWN, -1, 0)))
    assert rows.min() >= 0
    assert rows.max() <= 7.8


def test_a_fringe_is_taken_out_exactly_and_its_ends_are_not_used() -> None:
    phase = np.linspace(-1.2, 1.2, 50)
    place = Place(np.zeros(2, int), np.array([0.3, 0.3]), np.array([0.2, np.inf]), np.zeros(2), np.full(2, -1))
    y = np.broadcast_to(0.3 + 0.2 * np.sin(phase), (2, 1, 50))
    straight, used = place.straight(y, np.ones(y.shape, bool))
    np.testing.assert_allclose(straight[0, 0], 0.3 + 0.2 * phase, rtol=1e-12)
    np.testing.assert_array_equal(straight[1], y[1])
    assert used.all()
    assert not place.straight(np.full((2, 1, 1), 0.4999), np.ones((2, 1, 1), bool))[1][0].any()


def test_curves_have_the_derivatives_that_finite_differences_give() -> None:
    rise, fall = np.array([0.4, 0.1, 0.02, 1.2e-6, 2e-7]), np.array([0.3, -0.1, 0.03, 1.5e-6, 3e-7])
    t = np.linspace(-1.05e-6, 8.05e-6, 27)
    scale = np.array([1, 1, 1, 1e-6, 1e-6])
    value, slope = one_way(rise[None], t[None])
    for i in range(len(ONE)):
        step = 1e-6 * scale[i] * (np.arange(5) == i)
        wanted = (one_way((rise + step)[None], t[None])[0] - one_way((rise - step)[None], t[None])[0]) / (2e-6 * scale[i])
        np.testing.assert_allclose(slope[0, :, i], wanted[0], rtol=1e-5, atol=1e-6 * np.abs(wanted).max())
    assert np.ptp(value[0, t < 2e-7]) == 0
    both = both_ways(np.concatenate([rise, fall])[None], np.tile(t, 2)[None])
    np.testing.assert_array_equal(both[0][0, 27:], one_way(fall[None], t[None])[0][0])
    np.testing.assert_array_equal(both[1][0, :27, 5:], 0)
    one = approx_fprime(
        np.concatenate([rise[:3], rise[3:] * 1e6]), lambda p: one_way(np.array([[*p[:3], *(p[3:] * 1e-6)]]), t[None])[0][0], 1e-7
    )
    np.testing.assert_allclose(slope[0] * scale, one, atol=1e-5)


def test_the_wait_is_that_of_the_slower_way() -> None:
    parameters = np.array([[0, 1, 0, 2e-6, 1e-7, 0, 1, 0, 3e-6, 5e-8]])
    assert waits_s(parameters, np.exp(-4))[0] == pytest.approx(5e-8 + 4 * 3e-6)
    assert waits_s(parameters[:, [*range(5, 10), *range(5)]], 0.01)[0] == pytest.approx(5e-8 + np.log(100) * 3e-6)


@pytest.mark.parametrize(
    ("option", "value"), [("--samples", "3"), ("--cycles", "6"), ("--bases", "0"), ("--dwell", "-1"), ("--remain", "2"), ("--days", "-1")]
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, option: str, value: str, capsys: Any) -> None:
    run(tmp_path, option, value, code=2)
    assert capsys.readouterr().err.startswith(f"labonn: error: {option} {value}")
    assert not (tmp_path / "runs").exists()


def test_ports_that_are_no_actuators_are_told(bank_of: Open) -> None:
    with pytest.raises(ProcedureError, match=r"--port outputs: bank\.toml has these actuators: heaters, laser"):
        step_sweep(bank_of(), "outputs", None, [], bases=3, step=0.1, samples=16, cycles=4, dwell_s=1e-6)
