"""The procedure finds hidden offsets, scales and lags of ovens, is as sure as it says, and names what is broken; tests may look."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.bench import Bench
from labonn.calibration import Calibration, Store
from labonn.calibration.absorbers.measuring import HowCells
from labonn.calibration.absorbers.sweep import BEFORE, BEHIND, cell_sweep
from labonn.calibration.ovens.curve import OvenCurve
from labonn.calibration.ovens.lag import OvenLog, OvenSensors, lags_of
from labonn.calibration.ovens.law import law, log_depth
from labonn.calibration.ovens.measuring import DOWN, FRESH, UP, HowOvens, OvenOutcome, fit_law, measure_ovens, schedule
from labonn.calibration.ovens.reading import OvenReading
from labonn.calibration.ovens.saving import ovens_calibration
from labonn.calibration.validity import drifted, reasons
from labonn.cli import main
from labonn.errors import CalibrationError, LimitError
from labonn.layers import layers_of
from labonn.optics import Optics
from labonn.shots import ShotTable
from procedures.benches import vapour_cell
from sim_backends.physics.ovens import OvenPlant, OvenSettings, vapour_depth

Array = NDArray[Any]
SMALL, TWO = (16, 8, 4), (16, 8, 6, 4)
Open = Callable[..., Bench]
HOW = HowOvens(HowCells(16, cell="eq4"))


@pytest.fixture
def oven_of(tmp_path: Path) -> Iterator[Open]:
    """Opens a small bench in a dry run, with another text."""
    opened: list[Bench] = []

    def open_oven(*tables: str, sizes: tuple[int, ...] = SMALL, seed: int = 1, edit: Callable[[str], str] = lambda text: text) -> Bench:
        path = tmp_path / f"oven{len(opened)}.toml"
        path.write_text(edit(vapour_cell(sizes)) + "".join(f"\n{table}\n" for table in tables))
        opened.append(Bench.open(path, dry_run=True, seed=seed))
        return opened[-1]

    yield open_oven
    for bench in opened:
        bench.close()


def plant_of(bench: Bench) -> OvenPlant:
    plant: OvenPlant = bench._opened.simulated.light._plant
    return plant


def measured(bench: Bench, how: HowOvens = HOW, depths: tuple[float, float] = (1.0, 60.0), **sensors: float) -> OvenOutcome:
    optics, names = Optics.of(bench.file), bench.specs["ovens"].names
    sweep = cell_sweep(layers_of(bench.ports, bench.specs, "b"), optics, bench.specs, 3, 8, 2e-6)
    low, high = (np.full(len(names), optics.oven.temperature(depth)) for depth in depths)
    taps = bench.specs[BEFORE].names, bench.specs[BEHIND].names
    return bench.run(measure_ovens(sweep, how, names, taps, schedule(low, high), OvenSensors(bench, "ovens", **sensors)))


def failed(bench: Bench, **given: Any) -> str:
    with pytest.raises(CalibrationError) as problem:
        measured(bench, **given)
    assert len(str(problem.value)) < 1200
    return str(problem.value)


def kept(bench: Bench, outcome: OvenOutcome) -> Calibration:
    sweep = cell_sweep(layers_of(bench.ports, bench.specs, "b"), Optics.of(bench.file), bench.specs, 3, 8, 2e-6)
    return ovens_calibration(bench, sweep, outcome, "eq4", 30.0, {})


def curve_of(outcome: OvenOutcome) -> OvenCurve:
    ends = outcome.celsius.min(axis=0), outcome.celsius.max(axis=0)
    fitted = outcome.law
    return OvenCurve(outcome.names, fitted.parameters, fitted.covariance, outcome.nodes, outcome.correction, outcome.scatter, *ends)


def test_the_law_is_the_vapour_pressure_of_rubidium() -> None:
    celsius = np.linspace(20, 110, 200)
    value, slope = log_depth(celsius)
    np.testing.assert_allclose(np.exp(value), vapour_depth(celsius), rtol=1e-9)
    smooth = np.abs(celsius - 39.31) > 1  # the melting point
    np.testing.assert_allclose(slope[smooth][1:-1], np.gradient(value, celsius)[smooth][1:-1], rtol=5e-3)
    assert log_depth(60.0)[1] == pytest.approx(0.081, abs=0.003), "8.1 % per kelvin at 60 C"
    at, x = np.array([[0.1, -0.4]]), np.array([[35.0, 60.0, 90.0]])
    for column in range(2):
        step = 1e-5 * (np.arange(2) == column)
        np.testing.assert_allclose(law(at, x)[1][..., column], (law(at + step, x)[0] - law(at - step, x)[0]) / 2e-5, rtol=1e-6)


def test_errors_are_what_two_hundred_ovens_scatter_by() -> None:
    """Without a bench: optical depths with known errors, of 200 ovens at once."""
    rng, count = np.random.default_rng(1), 200
    roles = [UP, FRESH, UP, UP, UP, UP, FRESH, DOWN, DOWN, DOWN]
    celsius = schedule(np.full(count, 32.0), np.full(count, 80.0)) + 0.05 * rng.standard_normal((10, count))
    scale, offset = rng.normal(1, 0.05, count), rng.normal(0, 0.3, count)
    true = scale * vapour_depth(celsius + offset)
    error = 1e-3 * true
    fitted, nodes, correction = fit_law(celsius, true + error * rng.standard_normal(true.shape), error, roles)
    truth = np.stack([np.log(scale), offset], axis=1)
    pulls = (fitted.parameters - truth) / fitted.errors
    assert np.all((np.std(pulls, axis=0) > 0.8) & (np.std(pulls, axis=0) < 1.25)), np.std(pulls, axis=0)
    assert not correction.any()
    curve = OvenCurve(
        [str(h) for h in range(count)],
        fitted.parameters,
        fitted.covariance,
        nodes,
        correction,
        np.zeros(count),
        *np.array([[32.0] * count, [80.0] * count]),
    )
    at = np.linspace(33, 79, 6)[:, None] + np.zeros(count)
    depth, unsure = curve.depth(at)
    spread = np.std((depth - scale * vapour_depth(at + offset)) / unsure, axis=1)
    assert np.all((spread > 0.8) & (spread < 1.25)), spread


@pytest.mark.parametrize("seed", [1, 2])
def test_optical_depths_are_known_at_any_temperature_to_two_percent(oven_of: Open, seed: int) -> None:
    bench = oven_of(sizes=TWO, seed=seed)
    outcome = measured(bench)
    curve, plant = curve_of(outcome), plant_of(bench)
    at = np.linspace(curve.lowest, curve.highest, 25)
    depth, error = curve.depth(at)
    assert np.abs(depth / plant.optical_depth(at) - 1).max() < 0.005
    assert np.abs((depth - plant.optical_depth(at)) / error).max() < 6
    assert np.abs(outcome.law.parameters[:, 1] - plant.sensor_offset_k).max() < 0.15
    held, error_k = curve.temperature(20.0)
    np.testing.assert_allclose(plant.optical_depth(held), 20.0, rtol=0.005)
    assert np.all((error_k > 0) & (error_k < 0.05))
    assert np.abs(outcome.hysteresis).max() < 0.005
    np.testing.assert_allclose(outcome.lags.tau_s, 120, rtol=0.02)
    np.testing.assert_allclose(outcome.lags.overshoot, 0.02, atol=0.002)
    assert np.all((outcome.lags.wait_s > 500) & (outcome.lags.wait_s < 800))


@pytest.mark.slow
def test_errors_are_what_simulated_benches_scatter_by(tmp_path: Path) -> None:
    path, laws, curves = tmp_path / "bench.toml", [], []
    path.write_text(vapour_cell((8, 6, 2)))
    for seed in range(24):
        with Bench.open(path, dry_run=True, seed=seed) as bench:
            outcome = measured(bench)
            plant, curve = plant_of(bench), curve_of(outcome)
            truth = np.stack([np.log(plant.depth_factor), plant.sensor_offset_k], axis=1)
            laws.append((outcome.law.parameters - truth) / outcome.law.errors)
            at = np.linspace(curve.lowest, curve.highest, 5)
            depth, error = curve.depth(at)
            assert np.abs(depth / plant.optical_depth(at) - 1).max() < 0.01
            curves.append((depth - plant.optical_depth(at)) / error)
    assert 0.7 < np.std(laws) < 1.4, "of 24 benches, whose own scatter of this is 0.14"
    assert 0.7 < np.std(curves) < 1.4


def test_a_sweep_and_a_set_are_all_that_a_temperature_takes(oven_of: Open) -> None:
    bench, tables = oven_of(), []
    play = bench.play
    bench.play = lambda table: (tables.append(table), play(table))[1]  # type: ignore[method-assign,func-returns-value]
    outcome = measured(bench)
    assert len(tables) == 2 * 10 + 1, "and the drift check"
    assert [bool(table.orders.get("input") is not None) for table in tables] == [False, True] * 10 + [True]
    assert bench.clock.now() < 10 * 900, "no step waits for longer than its sensor does"
    assert all(not table.settle for table in tables[:20:2])
    assert outcome.check is not None


def test_a_first_order_oven_without_overshoot_is_found_as_such(oven_of: Open) -> None:
    bench = oven_of("[simulation.ovens]\ntau_s = 40.0\novershoot = 0.0\n")
    outcome = measured(bench, every_s=5.0)
    assert outcome.lags.tau_s[0] == pytest.approx(40, rel=0.02)
    assert outcome.lags.overshoot[0] == 0


def test_an_oven_that_does_not_settle_is_named_with_how_far_and_how_fast(oven_of: Open) -> None:
    told = failed(oven_of("[simulation.ovens]\ntau_s = 2000.0\n"), most_s=600.0)
    assert "ovens: 1 of 1 channels failed the ovens calibration, nothing is kept: loop1: oven not settled: it is" in told
    assert "K below its target of 3" in told
    assert "still moving by +" in told


def test_a_cell_that_lags_behind_its_sensor_is_named(oven_of: Open) -> None:
    bench = oven_of()
    plant, seen = plant_of(bench), [22.0]
    true = plant.optical_depth

    def lagging(celsius: Array) -> Array:
        """The vapour has come 97 % of the way from where it was at the last temperature."""
        if abs(float(celsius[0]) - seen[-1]) > 2:
            seen.append(float(celsius[0]))
        return true(celsius - 0.03 * (celsius - seen[max(len(seen) - 2, 0)]))

    plant.optical_depth = lagging  # type: ignore[method-assign,assignment]
    bench._opened.simulated.light.depths = lambda now: lagging(plant.temperatures(now)) if now > 600 else true(plant.temperatures(now))
    told = failed(bench)
    assert "loop1: not settled: on the way down its optical depth is +" in told or "out of tolerance" in told
    assert "lags behind the sensor; hold longer (--hold)" in told


def test_blocked_beams_are_named_and_may_be_left_out(oven_of: Open) -> None:
    table = "[simulation.cells]\nblocked = [3]\n"
    assert "ch3: blocked: the whole sweep changes forward_in/ch3" in failed(oven_of(table))
    bench = oven_of(table)
    outcome = measured(bench, replace(HOW, cells=replace(HOW.cells, leave_out=1)))
    assert [word.partition(":")[0] for word in outcome.words] == ["", "", "", "blocked", "", "", "", ""]
    assert abs(curve_of(outcome).depth(60.0)[0][0] / plant_of(bench).optical_depth(np.array([60.0]))[0] - 1) < 0.005


def test_limits_of_the_ovens_hold(oven_of: Open) -> None:
    bench = oven_of(edit=lambda text: text.replace('upper = "110 degC"', 'upper = "70 degC"'))
    with pytest.raises(LimitError, match=r"ovens/loop1: .* is outside .* to 70 degC"):
        measured(bench)


def test_where_the_law_does_not_hold_it_is_corrected(oven_of: Open) -> None:
    bench = oven_of()
    plant = plant_of(bench)
    true = plant.optical_depth
    plant.optical_depth = lambda celsius: true(celsius) * (1 + 0.03 * np.sin(np.asarray(celsius) / 12))  # type: ignore[method-assign]
    outcome = measured(bench)
    assert outcome.correction.any()
    curve = curve_of(outcome)
    at = np.linspace(curve.lowest, curve.highest, 15)
    assert np.abs(curve.depth(at)[0] / plant.optical_depth(at) - 1).max() < 0.02
    np.testing.assert_allclose(plant.optical_depth(curve.temperature([15.0])[0]), 15.0, rtol=0.02)


def test_temperature_is_the_inverse_of_depth_and_knows_its_range(oven_of: Open) -> None:
    outcome = measured(oven_of(sizes=TWO))
    curve = curve_of(outcome)
    bent = replace(curve, correction=0.01 * np.sin(np.arange(curve.nodes.size)).reshape(curve.nodes.shape))
    for one in (curve, bent):
        at = np.linspace(curve.lowest, curve.highest, 31)
        depth, _ = one.depth(at)
        np.testing.assert_allclose(one.temperature(depth)[0], at, atol=1e-7)
    for value in (0.2, 500.0, np.nan):
        with pytest.raises(
            CalibrationError, match=r"ovens/loop1: .* is outside of the optical depths .* that were calibrated; measure a wider"
        ):
            curve.temperature(value)
    with pytest.raises(CalibrationError, match=r"ovens/loop1: 10 degC is outside of the temperatures"):
        curve.depth(10.0)


def test_the_drift_check_passes_on_the_same_bench_and_fails_on_a_changed_one(oven_of: Open) -> None:
    bench = oven_of(sizes=TWO)
    calibration = kept(bench, measured(bench))
    assert reasons(calibration, bench) == []
    assert bench.run(drifted(calibration)) == []
    plant = plant_of(bench)
    plant.sensor_offset_k = plant.sensor_offset_k + np.array([1.0, 0.0])
    bench.clock.wait(1.0)
    assert "forward_out/" in " ".join(bench.run(drifted(calibration)))
    assert any("ovens was" in reason for reason in reasons(calibration, oven_of(sizes=TWO, seed=2)))


def test_a_table_that_does_not_wait_sees_ovens_on_their_way(oven_of: Open) -> None:
    bench = oven_of()
    for settle, waited in ((False, False), (True, True)):
        begun = bench.clock.now()
        bench.play(ShotTable({"ovens": np.full((1, 1), 50.0 + waited)}, read=(), settle=settle))
        assert (bench.clock.now() - begun > 1000) is waited


@pytest.mark.parametrize(("tau_s", "overshoot"), [(100.0, 0.02), (100.0, 0.0), (30.0, 0.1)])
def test_lags_are_found_from_sensor_readings_with_right_errors(tau_s: float, overshoot: float) -> None:
    rng, seconds = np.random.default_rng(3), np.arange(0, 1500, 10.0)
    w = -np.pi / (np.log(overshoot) * tau_s) if overshoot else 0.0
    shape = np.exp(-seconds / tau_s) * (np.cos(w * seconds) + (np.sin(w * seconds) / (w * tau_s) if w else 0.0))
    logs = []
    for step in (12.0, -9.0, 0.2):
        celsius = 60 + step * shape[:, None] + 0.01 * rng.standard_normal((len(seconds), 100))
        target = np.full(100, 60.0)
        logs.append(OvenLog(seconds, celsius, target, OvenReading(celsius[-1], 0 * target, target)))
    found = lags_of(logs)
    np.testing.assert_allclose(found.tau_s, tau_s, rtol=0.1)
    assert 0.8 < np.std((found.tau_s - tau_s) / found.error_s) < 1.25
    np.testing.assert_allclose(found.overshoot, overshoot, atol=0.005)


def run(tmp_path: Path, *arguments: str, code: int = 0) -> None:
    assert main(["run", "calibrate_ovens", "--dry-run", "--out", str(tmp_path / "runs"), "--json", *arguments]) == code


def test_the_command_keeps_a_curve_that_a_training_can_ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(vapour_cell(SMALL))
    run(tmp_path, "--bench", str(path), "--condition", "wavelength_nm=780.24")
    told = json.loads(capsys.readouterr().out)
    calibration = Store(tmp_path / "calibrations").load(told["result"]["calibration"])
    assert (calibration.kind, calibration.port, calibration.channels) == ("ovens", "ovens", ("loop1",))
    curve = OvenCurve.of(calibration)
    with Bench.open(path, dry_run=True) as bench:
        held, _ = curve.temperature(30.0)
        np.testing.assert_allclose(plant_of(bench).optical_depth(held), 30, rtol=0.01)
    assert calibration.values("wait")[0] > 400
    assert "which is enough" in told["result"]["wait"]
    assert (Path(told["folder"]) / "calibration.png").stat().st_size > 50_000
    assert calibration.conditions["wavelength_nm"] == 780.24


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--levels", "3"], "--levels 3: at least 12"),
        (["--depths", "5", "6"], "--depths 5 6: above 0, and the second at least twice the first"),
        (["--every", "0"], "--every 0: at least 0.1"),
        (["--tolerance", "2"], "--tolerance 2"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(tmp_path: Path, options: list[str], told: str, capsys: Any) -> None:
    run(tmp_path, *options, code=2)
    assert told in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_ovens_of_the_simulation_have_the_defaults_that_are_tested_here() -> None:
    assert (OvenSettings().tau_s, OvenSettings().overshoot) == (120.0, 0.02)
