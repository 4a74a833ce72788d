"""The procedure finds what the simulated cells hide, is as sure as it says, and names what is broken; tests may look at the truth."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad

from labonn.bench import Bench
from labonn.calibration import Calibration, Store
from labonn.calibration.absorbers.fitting import CellFit, Kind, TapPoints, candidates, chosen, compare, fit_cells
from labonn.calibration.absorbers.measuring import CellOutcome, HowCells, measure_cells
from labonn.calibration.absorbers.model import LEAKY, PLAIN, absorber, responses
from labonn.calibration.absorbers.saving import Absorbers, cells_calibration, saturations
from labonn.calibration.absorbers.sweep import BEFORE, BEHIND, CellSweep, cell_sweep
from labonn.calibration.ovens.reading import sensors
from labonn.calibration.validity import drifted, reasons
from labonn.cli import main
from labonn.errors import BenchFileError, CalibrationError
from labonn.layers import layers_of
from labonn.optics import Optics
from procedures.benches import vapour_cell
from sim_backends.physics.absorbers import transmission
from sim_backends.physics.cells import Cells, CellSettings
from sim_backends.physics.noise import Noise

Array = NDArray[Any]
SMALL, TWO = (16, 8, 4), (16, 8, 6, 4)
VOLTS = 0.09
Open = Callable[..., Bench]


@pytest.fixture
def cell_of(tmp_path: Path) -> Iterator[Open]:
    """Opens a small bench in a dry run, with another text."""
    opened: list[Bench] = []

    def open_cell(
        *tables: str, sizes: tuple[int, ...] = SMALL, cell: str = "eq4", seed: int = 1, edit: Callable[[str], str] = lambda text: text
    ) -> Bench:
        path = tmp_path / f"cell{len(opened)}.toml"
        path.write_text(edit(vapour_cell(sizes, cell)) + "".join(f"\n{table}\n" for table in tables))
        opened.append(Bench.open(path, dry_run=True, seed=seed))
        return opened[-1]

    yield open_cell
    for bench in opened:
        bench.close()


def swept(bench: Bench, dwell_s: float = 2e-6, repeats: int = 8, rows: int = 3) -> CellSweep:
    return cell_sweep(layers_of(bench.ports, bench.specs, "b"), Optics.of(bench.file), bench.specs, rows, repeats, dwell_s)


def measured(bench: Bench, depth: float = 10.0, how: HowCells | None = None, sweep: CellSweep | None = None) -> CellOutcome:
    sweep, names = sweep or swept(bench), bench.specs["ovens"].names
    target, taps = np.full(len(names), sweep.optics.oven.temperature(depth)), (bench.specs[BEFORE].names, bench.specs[BEHIND].names)
    return bench.run(measure_cells(sweep, how or HowCells(), names, taps, target, sensors(bench, "ovens")))


def failed(bench: Bench, **given: Any) -> str:
    with pytest.raises(CalibrationError) as problem:
        measured(bench, **given)
    assert len(str(problem.value)) < 1200
    return str(problem.value)


def truth(bench: Bench) -> Array:
    depths: Array = bench._opened.simulated.light.depths(bench.clock.now())
    return depths


def truth_of_sweep(bench: Bench, **given: Any) -> tuple[CellOutcome, Array]:
    """(outcome, (H,) optical depths when the sweep was over: ovens wander by as much as a cell's error in the seconds after it)."""
    play, seen = bench.play, []
    bench.play = lambda table: (play(table), seen.append(truth(bench)))[0]  # type: ignore[method-assign,func-returns-value]
    return measured(bench, **given), seen[1]


@dataclass
class Beams:
    """Taps without a bench: `cells` cells of some taps each, with offsets, unknown gains and noise, as one large reading."""

    points: TapPoints
    depth: Array
    volts_in: Array
    volts_out: Array


def beams(cell: str, depth: float, cells: int = 1, taps: int = 8, seed: int = 0, levels: int = 32, top: float = 40.0) -> Beams:
    rng, count = np.random.default_rng(seed), cells * taps
    of = np.repeat(np.arange(cells), taps)
    true = depth * rng.normal(1, 0.05, cells)
    fields = np.geomspace(top / 300, top, levels)
    fields = rng.permuted(np.tile(np.concatenate([fields, -fields]), 2)) * rng.normal(1, 0.1, (count, 1))
    passed = transmission(cell, fields, true[of, None])
    gain_in, gain_out = VOLTS * rng.normal(1, 0.03, (2, count, 1))
    dark, noise = 2e-4 * rng.standard_normal((2, count, 1)), 3e-5 * rng.standard_normal((2, *fields.shape))
    x, y = gain_in * fields + dark[0] + noise[0], gain_out * fields * passed + dark[1] + noise[1]
    sigma = np.full(count, 3e-5)
    return Beams(TapPoints(x, y, sigma, sigma, np.ones(x.shape, np.bool_), of), true, gain_in[:, 0], gain_out[:, 0])


def fitted(light: Beams, kind: Kind) -> CellFit:
    return fit_cells(light.points, kind, VOLTS, len(light.depth), np.ones(len(light.points.x), np.bool_))


@pytest.mark.parametrize(
    ("cell", "depth"),
    [
        ("eq4", 10.0),
        ("two_level", 10.0),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("eq4", 0.5), ("eq4", 60.0), ("doppler", 5.0), ("doppler", 30.0), ("gain", 2.0))
        ),
    ],
)
def test_errors_are_what_a_hundred_cells_scatter_by(cell: str, depth: float) -> None:
    light = beams(cell, depth, cells=100, taps=4, levels=20, seed=3)
    found = fitted(light, Kind(cell))
    assert np.abs(found.depth / light.depth - 1).max() < 0.02
    saturation, covariance = saturations(found, VOLTS)
    true = np.array([light.volts_in[light.points.cell == h].mean() / VOLTS for h in range(100)])
    pulls = {"depth": (found.depth - light.depth) / found.depth_error, "saturation": (saturation - true) / np.sqrt(covariance[:, 1, 1])}
    for column, gain in enumerate((light.volts_in, light.volts_out)):
        pulls[PLAIN[column]] = (found.taps.parameters[:, column] - gain) / found.taps.errors[:, column]
    for name, pull in pulls.items():
        assert 0.8 < np.std(pull) < 1.25, (name, np.std(pull))
        assert np.abs(pull).max() < 6, name


@pytest.mark.parametrize(
    ("cell", "depth"),
    [
        ("eq4", 1.0),
        ("eq4", 30.0),
        ("two_level", 10.0),
        ("doppler", 30.0),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("eq4", 10.0), ("two_level", 1.0), ("two_level", 30.0), ("doppler", 5.0))
        ),
    ],
)
def test_optical_depths_of_a_bench_are_found(cell_of: Open, cell: str, depth: float) -> None:
    bench = cell_of(cell=cell, sizes=TWO)
    outcome = measured(bench, depth)
    assert outcome.found.kind == Kind(cell)
    assert np.abs(outcome.found.depth / truth(bench) - 1).max() < 0.005
    light = bench._opened.simulated.light
    for column, port in enumerate((BEFORE, BEHIND)):
        gain = light._detectors[port].gain_v_per_field
        assert np.abs(outcome.found.taps.parameters[:, column] / gain - 1).max() < 0.01, "the interferometer's phase moves all a little"


@pytest.mark.slow
def test_errors_are_what_a_hundred_simulated_benches_scatter_by(tmp_path: Path) -> None:
    path, pulls = tmp_path / "bench.toml", []
    path.write_text(vapour_cell((8, 6, 2)))
    for seed in range(100):
        with Bench.open(path, dry_run=True, seed=seed) as bench:
            outcome, true = truth_of_sweep(bench, how=HowCells(cell="eq4", levels=16))
            assert abs(outcome.found.depth[0] / true[0] - 1) < 0.02
            pulls.append((outcome.found.depth - true) / outcome.found.depth_error)
    assert 0.8 < np.std(pulls) < 1.25, np.std(pulls)


@pytest.mark.slow
def test_a_deep_bench_finds_all_of_its_cells(cell_of: Open) -> None:
    bench = cell_of(sizes=(32, 16, 12, 8, 4))
    outcome = measured(bench, 30.0, sweep=swept(bench, rows=6))
    assert np.abs(outcome.found.depth / truth(bench) - 1).max() < 0.005
    assert len(outcome.found.depth) == 3


@pytest.mark.parametrize("cell", ["two_level", "doppler"])
def test_another_cell_than_the_bench_file_says_is_found_and_said(cell_of: Open, cell: str) -> None:
    bench = cell_of(f'cell = "{cell}"')
    outcome = measured(bench)
    assert outcome.found.kind.cell == cell
    assert outcome.believed == "eq4"
    assert abs(outcome.found.depth[0] / truth(bench)[0] - 1) < 0.005
    assert outcome.left[Kind("eq4")] > 5 * outcome.left[Kind(cell)]


@pytest.mark.parametrize("cell", ["eq4", "two_level", "doppler", "gain"])
@pytest.mark.parametrize("believed", ["eq4", "doppler"])
def test_the_cell_that_light_obeys_is_chosen_whatever_is_believed(cell: str, believed: str) -> None:
    light = beams(cell, 3.0)
    left = compare(light.points, VOLTS, 1, np.ones(8, np.bool_), candidates(believed, None, gaussian=False))
    assert chosen(left, believed) == Kind(cell), left


def test_cells_that_hardly_absorb_cannot_be_told_apart_and_the_bench_file_is_believed() -> None:
    light = beams("eq4", 0.01)
    left = compare(light.points, VOLTS, 1, np.ones(8, np.bool_), candidates("two_level", None, gaussian=False))
    assert chosen(left, "two_level") == Kind("two_level"), left


@pytest.mark.parametrize("depth", [12.0, 30.0])
def test_scattered_light_is_told_from_the_absorption_of_deep_cells(cell_of: Open, depth: float) -> None:
    bench = cell_of("[simulation.cells]\nscatter = 0.003")
    outcome = measured(bench, depth)
    assert outcome.found.kind == Kind("eq4", leaky=True)
    assert abs(outcome.found.depth[0] / truth(bench)[0] - 1) < 0.005
    np.testing.assert_allclose(outcome.found.taps.parameters[:, 5], bench._opened.simulated.light.cells.scattered[0], atol=2e-4)
    assert outcome.left[Kind("eq4")] > 1.1 * outcome.left[Kind("eq4", leaky=True)]


def test_beams_of_different_sizes_have_saturation_fields_of_their_own(cell_of: Open) -> None:
    bench = cell_of("[simulation.cells]\nsaturation_spread = 0.2")
    outcome = measured(bench)
    light = bench._opened.simulated.light
    wanted = light.cells.saturation[0] * light._detectors[BEFORE].gain_v_per_field
    assert np.std(light.cells.saturation[0]) > 0.1
    np.testing.assert_allclose(outcome.found.taps.parameters[:, 0], wanted, rtol=0.01)
    assert abs(outcome.found.depth[0] / truth(bench)[0] - 1) < 0.005


@pytest.mark.slow
def test_gaussian_beams_are_seen_not_to_be_flat_and_fitted_when_said_so(cell_of: Open) -> None:
    table = "[simulation.cells]\ngaussian = true"
    bench = cell_of(table)
    outcome = measured(bench, how=HowCells(gaussian=True))
    assert outcome.found.kind == Kind("eq4", gaussian=True)
    assert abs(outcome.found.depth[0] / truth(bench)[0] - 1) < 0.01
    told = failed(cell_of(table))
    assert "off every curve" in told or "out of tolerance" in told or "another optical depth" in told, told


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("blocked = [3]", ["forward_in: 1 of 8 channels failed the absorbers calibration, nothing is kept: ch3: blocked: the whole sweep"]),
        ("dead = [5]", ["1 of 8", "ch5: dead: the whole sweep changes forward_out/ch5 by", "a dead detector or its cable?"]),
        ("blocked = [0]\ndead = [7]", ["2 of 8", "ch0: blocked", "ch7: dead"]),
    ],
)
def test_taps_that_see_nothing_are_named(cell_of: Open, table: str, told: list[str]) -> None:
    problem = failed(cell_of(f"[simulation.cells]\n{table}"))
    for words in told:
        assert words in problem, problem


def test_saturated_detectors_are_named_and_a_few_saturated_points_do_no_harm(cell_of: Open) -> None:
    bench = cell_of()
    detectors = bench._opened.simulated.light._detectors[BEHIND]
    detectors._full_gain = detectors._full_gain * np.where(np.arange(8) == 2, 1e3, 1)
    told = failed(bench)
    assert "1 of 8 channels" in told
    assert "ch2: saturated: " in told
    assert "of 128 readings are at the end of a detector's range" in told
    bench = cell_of()
    detectors = bench._opened.simulated.light._detectors[BEFORE]
    detectors._full_gain = detectors._full_gain * np.where(np.arange(8) == 2, 2.0, 1)
    outcome = measured(bench)
    assert (~outcome.points.used).sum(axis=1).tolist() == [0, 0, (~outcome.points.used[2]).sum(), 0, 0, 0, 0, 0]
    assert (~outcome.points.used[2]).sum() > 0
    assert abs(outcome.found.depth[0] / truth(bench)[0] - 1) < 0.005


@pytest.mark.parametrize("depth", [1.0, 10.0])
def test_too_little_light_to_saturate_is_said(cell_of: Open, depth: float) -> None:
    bench = cell_of(edit=lambda text: text.replace('upper = "24 mA"', 'upper = "0.05 mA"'), sizes=(4, 8, 4))
    told = failed(bench, depth=depth)
    assert "ovens: 1 of 1 channels failed the absorbers calibration, nothing is kept: loop1: undetermined: too little light" in told
    assert "saturation fields (as believed) reach its taps" in told


@pytest.mark.parametrize("settle_s", [100.0, 400.0])
def test_an_oven_that_is_not_settled_is_named_with_how_far_and_how_fast(cell_of: Open, settle_s: float) -> None:
    told = failed(cell_of(edit=lambda text: text.replace("instances = 1", f"instances = 1\nsettle_s = {settle_s}")))
    assert "loop1: oven not settled: it is" in told
    assert "K/min; wait longer (settle_s of the port in the bench file)" in told
    assert "its target of 57.7" in told or "its target of 58" in told or "target of 5" in told


def test_an_optical_depth_that_drifts_during_the_sweep_is_named(cell_of: Open) -> None:
    bench = cell_of()
    light = bench._opened.simulated.light
    depths, dwell_s = light.depths, 1e-3
    light.depths = lambda now: depths(now) * (1 + 0.03 * (now - 1810))
    told = failed(bench, sweep=swept(bench, dwell_s))
    assert "loop1: drifted: its optical depth moved by +" in told
    assert "is its oven settled?" in told


def test_an_optical_depth_that_changes_before_the_fresh_points_is_named(cell_of: Open) -> None:
    bench, sweep = cell_of(), None
    light, tables = bench._opened.simulated.light, []
    depths, play = light.depths, bench.play
    bench.play = lambda table: (tables.append(table), play(table))[1]  # type: ignore[method-assign,func-returns-value]
    light.depths = lambda now: depths(now) * (1.05 if len(tables) > 2 else 1)
    told = failed(bench, sweep=sweep)
    assert re.search(r"drifted: its optical depth moved by \+(5|4\.9|5\.1) % from the sweep to the fresh points", told)


def kept(bench: Bench, outcome: CellOutcome) -> Calibration:
    return cells_calibration(bench, swept(bench), outcome, 30.0, {})


def test_the_drift_check_passes_on_the_same_bench_and_fails_on_a_changed_one(cell_of: Open) -> None:
    bench = cell_of(sizes=TWO)
    calibration = kept(bench, measured(bench))
    assert reasons(calibration, bench) == []
    assert bench.run(drifted(calibration)) == []
    bench.clock.wait(3600.0)
    assert bench.run(drifted(calibration)) == [], "an hour later"
    plant = bench._opened.simulated.light._plant
    plant.depth_factor = plant.depth_factor * np.array([1.0, 1.06])
    bench.clock.wait(1.0)
    told = " ".join(bench.run(drifted(calibration)))
    assert "forward_out/" in told
    other = cell_of(sizes=TWO, seed=2)
    assert any("was" in reason and "and is" in reason for reason in reasons(calibration, other))


def more_light(bench: Bench, factor: float) -> None:
    """From now on the laser's field is larger by a factor."""
    laser = bench._opened.simulated.light._laser
    laser.amplitude = lambda now: factor * math.sqrt(1 + laser._power.values(now)[0])
    bench.clock.wait(1.0)


def test_more_or_less_light_is_not_the_cells_business_but_their_depth_is(cell_of: Open) -> None:
    bench = cell_of(sizes=TWO)
    calibration = kept(bench, measured(bench, 30.0))
    for factor in (0.93, 1.07):
        more_light(bench, factor)
        assert bench.run(drifted(calibration)) == [], "behind deep cells readings follow the light many times over"
    more_light(bench, 0.5)
    told = bench.run(drifted(calibration))
    assert re.match(r"forward_in: the light is 0\.\d+ times what it was in frame 0 of the drift check", told[0]), told
    more_light(bench, 1.02)
    plant = bench._opened.simulated.light._plant
    plant.depth_factor = plant.depth_factor * np.array([1.06, 1.0])
    bench.clock.wait(1.0)
    told = bench.run(drifted(calibration))
    assert re.match(r"forward_out/[0-7] reads", told[0]), told


def run(tmp_path: Path, *arguments: str, code: int = 0) -> None:
    assert main(["run", "calibrate_absorbers", "--dry-run", "--out", str(tmp_path / "runs"), "--json", *arguments]) == code


def test_the_command_keeps_what_a_training_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(vapour_cell(TWO) + "\n[simulation.cells]\nblocked = [4]\n")
    run(
        tmp_path,
        "--bench",
        str(path),
        "--leave-out",
        "1",
        "--optical-depth",
        "10",
        "20",
        "--rows",
        "3",
        "--condition",
        "wavelength_nm=780.24",
    )
    told = json.loads(capsys.readouterr().out)
    calibration = Store(tmp_path / "calibrations").load(told["result"]["calibration"])
    assert calibration.channels == ("loop1", "loop2")
    assert set(calibration.instruments) >= {"ovens", BEFORE, BEHIND, "input", "gain", "weights1"}
    assert calibration.conditions["wavelength_nm"] == 780.24
    assert calibration.conditions[f"left_out.{BEFORE}.ch4"].startswith("blocked")
    believed = Absorbers.of(calibration)
    np.testing.assert_allclose(believed.optical_depth, [10, 20], rtol=0.2)
    assert np.all(believed.depth_error < 0.02 * believed.optical_depth)
    assert np.array_equal(np.isnan(believed.volts_in), np.arange(14) == 4)
    np.testing.assert_allclose(np.delete(believed.volts_in, 4), VOLTS, rtol=0.1)
    np.testing.assert_allclose(calibration.values("saturation"), 1, atol=0.06)
    assert believed.cell == "eq4"
    assert (Path(told["folder"]) / "calibration.png").stat().st_size > 50_000
    assert told["result"]["cell"].startswith("eq4, as the bench file says")
    run(tmp_path, "--bench", str(path), code=2)
    assert "ch4: blocked" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--levels", "3"], "--levels 3: at least 12"),
        (["--passes", "3"], "--passes 3: an even number"),
        (["--tolerance", "2"], "--tolerance 2"),
        (["--optical-depth", "3", "--temperature", "50"], "one of them, not both"),
        (["--condition", "x"], "--condition x"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_opened(
    tmp_path: Path, options: list[str], told: str, capsys: Any
) -> None:
    run(tmp_path, *options, code=2)
    assert told in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("cell", ["eq4", "two_level", "doppler", "gain"])
def test_derivatives_of_the_curve_are_those_of_finite_differences(cell: str, gaussian: bool) -> None:
    curve = absorber(cell, leaky=True, gaussian=gaussian)
    at = np.array([[0.08, 0.1, 6.0, 3e-4, -2e-4, 0.01]])
    assert at.shape[1] == len(LEAKY)
    x = np.array([[-2.0, -0.2, -0.03, 0.01, 0.1, 0.4, 3.0]])
    _, slopes = curve(at, x)
    for column in range(6):
        step = 1e-6 * max(abs(at[0, column]), 0.01)
        moved = [curve(at + sign * step * (np.arange(6) == column), x)[0] for sign in (1, -1)]
        np.testing.assert_allclose(slopes[..., column], (moved[0] - moved[1]) / (2 * step), rtol=1e-5, atol=1e-8)


def test_rings_of_a_gaussian_beam_are_its_overlap_with_its_own_mode() -> None:
    depth, field = 8.0, 2.5

    def ring(r: float) -> float:
        inner = field * np.exp(-r * r)
        return float(4 * r * np.exp(-2 * r * r) * transmission("eq4", np.array([inner]), depth)[0])

    wanted = quad(ring, 0, np.inf)[0]
    t, _, _ = responses("eq4", np.array([[field]]), np.array([[depth]]), gaussian=True)
    np.testing.assert_allclose(t, wanted, rtol=1e-6)
    cells = Cells("eq4", (1,), replace(CellSettings(), gaussian=True), Noise(0))
    np.testing.assert_allclose(cells.transmission(0, np.array([[field]]), depth), wanted, rtol=1e-9)


def test_beams_that_are_not_there_cannot_be_blocked(cell_of: Open) -> None:
    with pytest.raises(BenchFileError, match=r"simulation: blocked, dead: there is no beam 40; there are 8"):
        cell_of("[simulation.cells]\nblocked = [40]")
