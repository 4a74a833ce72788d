"""The heaters of a whole chip are found from one table, and a start through calibrated curves is what was believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.believed import ChipModel
from labonn.bench import Bench
from labonn.calibration import Calibration, Coefficient, Store, current
from labonn.calibration.heaters.model import OWN
from labonn.calibration.mesh.chip_fit import ChipProblem
from labonn.calibration.mesh.chip_light import layer_seen, layer_weights, places_of
from labonn.calibration.mesh.chip_measuring import ChipData, ChipMeasuring, ChipOutcome, chip_problem, measure_chip, nominal_chip
from labonn.calibration.mesh.chip_saving import chip_calibration, misfits
from labonn.calibration.mesh.heaters import groups_of
from labonn.chip_curves import HeatersOfChip, SectionsOfChip, curves_of, start_through
from labonn.chips import ChipDesign, ChipOptics
from labonn.cli import main
from labonn.couplers import Coupler
from labonn.errors import CalibrationError, ProcedureError
from procedures.benches import chip_bench

Array = NDArray[Any]
Open = Callable[..., Bench]
SMALL = (6, 4, 3)
HOW = ChipMeasuring(settings=48, beams=10, fresh=2)


@pytest.fixture
def chip_of(tmp_path: Path) -> Iterator[Open]:
    """Opens a bench of a chip of rotations in a dry run."""
    opened: list[Bench] = []

    def open_chip(sizes: tuple[int, int, int] = SMALL, lines: str = "", seed: int = 7, name: str = "mzi_chip") -> Bench:
        path = tmp_path / f"chip{len(opened)}.toml"
        path.write_text(chip_bench(name, sizes, simulation=lines))
        opened.append(Bench.open(path, dry_run=True, seed=seed))
        return opened[-1]

    yield open_chip
    for bench in opened:
        bench.close()


def heaters_of(bench: Bench) -> Any:
    return bench._opened.simulated.light.actuators._heaters


def measured(bench: Bench, how: ChipMeasuring = HOW) -> ChipOutcome:
    return bench.run(measure_chip(ChipOptics.of(bench.file), bench.specs, how))


def rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


@pytest.mark.parametrize("seed", [1, 2])
def test_phases_of_all_heaters_of_a_chip_are_found(chip_of: Open, seed: int) -> None:
    bench = chip_of(seed=seed)
    outcome = measured(bench)
    true, rng = heaters_of(bench), np.random.default_rng(seed)
    assert not any(outcome.words)
    volts = 7.2 * np.sqrt(rng.random((40, 37)))
    off = outcome.fitted.truth.heaters.phases(volts) - true.phases(volts, bench.clock.now())
    nominal = nominal_chip(ChipOptics.of(bench.file)).heaters.phases(volts) - true.phases(volts, bench.clock.now())
    assert rms(off) < 0.01 < 0.2 < rms(nominal)
    error = np.sqrt(np.diag(outcome.fitted.covariance))[outcome.fitted.parts["phase"]]
    pull = (outcome.fitted.truth.heaters.phase - true.offsets(bench.clock.now())) / error
    assert rms(pull) < 4, "beams and the board are not quite as believed, which fresh settings tell only in part"
    before, after = misfits(outcome)
    assert after < 0.02 < 0.2 < before


def test_a_chip_with_a_dead_heater_or_of_other_couplers_is_refused(chip_of: Open) -> None:
    bench = chip_of()
    own = heaters_of(bench).own
    heaters_of(bench).own = lambda driven, channels=None: own(driven, channels) * (1 - (np.arange(37) == 3))
    with pytest.raises(CalibrationError, match=r"heaters: .*(ch3: dead: it makes|off the model: the fit leaves)"):
        measured(bench)
    with pytest.raises(ProcedureError, match=r"a rotation chip of 49-20-10 neurons, .* coefficients; one fit may have 1600"):
        chip_problem(ChipOptics(ChipDesign("rotation")), "alike")
    for coupler in ("pt", "mzi"):
        with pytest.raises(ProcedureError, match=f"{coupler} couplers, .* chips of rotation couplers with an activation board"):
            chip_problem(ChipOptics(ChipDesign(coupler)), "alike")


@pytest.mark.slow
def test_swapped_heaters_do_not_fit(chip_of: Open) -> None:
    bench = chip_of()
    own, order = heaters_of(bench).own, np.arange(37)
    order[[2, 20]] = 20, 2
    heaters_of(bench).own = lambda driven, channels=None: own(driven[..., order], channels)
    with pytest.raises(CalibrationError, match=r"heaters: "):
        measured(bench)


@pytest.mark.parametrize("kind", ["rotation", "mzi"])
def test_weights_of_a_chip_and_their_slopes_are_those_of_the_believed_model(kind: str) -> None:
    model, rng = ChipModel((5, 4, 3), Coupler(kind), gain=1.3), np.random.default_rng(0)
    phases, step = rng.uniform(0, 6, (2, model.count)), 1e-6
    for layer in (1, 2):
        seen = layer_seen(model, layer, phases)
        expected = [model.weights(row - np.pi)[layer - 1] for row in phases]
        np.testing.assert_allclose(seen.weights, expected, atol=1e-14)
        first = 0 if layer == 1 else model.slices["2a"].start
        for k in range(seen.by_phase.shape[-1]):
            move = step * (np.arange(model.count) == first + k)
            slope = (layer_weights(model, layer, phases + move) - layer_weights(model, layer, phases - move)) / (2 * step)
            np.testing.assert_allclose(seen.by_phase[..., k], slope.swapaxes(1, 2), atol=1e-8)


def test_derivatives_of_a_chips_readings_are_those_of_finite_differences() -> None:
    optics, rng = ChipOptics(ChipDesign("rotation", (4, 3, 2))), np.random.default_rng(1)
    problem = ChipProblem(optics.model, groups_of(places_of(optics.model), "alike"), nominal_chip(optics))
    vector = problem.vector(problem.nominal) + 0.2 * problem.width * rng.standard_normal(len(problem.width))
    np.testing.assert_allclose(problem.vector(problem.truth(vector)), vector, atol=1e-15)
    y = rng.standard_normal((3, 4, 5))
    data = ChipData(rng.uniform(0, 7, (3, optics.model.count)), rng.uniform(-1, 1, (4, 4)), y, np.ones(y.shape, bool))
    value, slope = problem._jacobian(problem.truth(vector), data)
    np.testing.assert_allclose(y - value, problem.residuals(problem.truth(vector), data), atol=1e-12)
    for i, step in enumerate(1e-5 * problem.width):
        move = step * (np.arange(len(vector)) == i)
        ends = [problem.residuals(problem.truth(vector + sign * move), data) for sign in (-1, 1)]
        np.testing.assert_allclose(problem.width[i] * slope[..., i], problem.width[i] * (ends[0] - ends[1]) / (2 * step), atol=1e-6)


def test_a_start_through_calibrated_curves_gives_the_chip_the_parameters_that_were_meant(chip_of: Open, tmp_path: Path) -> None:
    bench = chip_of()
    optics, spec = ChipOptics.of(bench.file), bench.specs["heaters"]
    store, outcome = Store(tmp_path), measured(bench)
    store.save(chip_calibration(bench, outcome, optics, HOW.dwell_s, 7.0, {}))
    curves = curves_of(current(store, bench), optics, spec)
    assert isinstance(curves, HeatersOfChip)
    low, high = curves.reach()
    theta = low + (high - low) * np.random.default_rng(3).uniform(0.1, 0.9, 37)
    moved, told = start_through(curves, optics, theta)
    true = heaters_of(bench).theta(optics.drive(moved)[None], bench.clock.now())[0]
    assert rms(true - theta) < 0.01
    assert rms(heaters_of(bench).theta(optics.drive(np.clip(theta, *optics.reach(spec.lower, spec.upper)))[None], 0.0)[0] - theta) > 0.1
    assert "37 parameters set through the mesh calibration" in told
    volts, given = curves.driven(np.full(37, 9.0))
    assert np.all((volts >= spec.lower) & (volts <= spec.upper))
    assert np.all(given < 9)
    assert "cannot be reached" in start_through(curves, optics, np.full(37, 9.0))[1]
    with (
        Bench.open(bench_path(tmp_path), dry_run=True, seed=8) as other,
        pytest.raises(CalibrationError, match=r"is refused: .*heaters was .*, and is "),
    ):
        current(store, other)


def bench_path(tmp_path: Path) -> Path:
    return next(tmp_path.glob("chip*.toml"))


def bank_of(optics: ChipOptics, made: Callable[..., Calibration], offset: Array, mixing: Array, **other: Any) -> Calibration:
    """A calibration of a bank of heaters (calibrate_heaters), for the port of a chip."""
    count = optics.model.count
    own = {"low": 0.0, "high": 1.0, "offset": offset, "per_square": np.pi / 25, "droop": 1e-2, "cubic": 0.0}
    coefficients = {name: Coefficient(np.broadcast_to(own[name], count).astype(np.float64), "") for name in OWN}
    coefficients["crosstalk"] = Coefficient(mixing, "")
    names = tuple(f"ch{i}" for i in range(count))
    return made(
        port="heaters", kind="heaters", channels=names, model="thermo-optic-bank", version=1, coefficients=coefficients, excluded={},
        covariance=None, parameters=(), check=None, **other,
    )  # fmt: skip


def test_a_calibration_of_a_bank_of_heaters_serves_as_well(chip_of: Open, calibration_like: Callable[..., Calibration]) -> None:
    bench, rng = chip_of(), np.random.default_rng(2)
    optics, spec, count = ChipOptics.of(bench.file), bench.specs["heaters"], 37
    offset, mixing = rng.uniform(-0.3, 0.3, count), np.eye(count) + 0.02 * rng.random((count, count)) * (1 - np.eye(count))
    curves = curves_of({("heaters", "heaters"): bank_of(optics, calibration_like, offset, mixing)}, optics, spec)
    assert isinstance(curves, HeatersOfChip)
    low, high = curves.reach()
    theta = low + (high - low) * rng.uniform(0.3, 0.7, count)
    volts, given = curves.driven(theta)
    np.testing.assert_allclose(given, theta, atol=1e-9)
    square = np.pi / 25 * volts**2
    psi = (np.sqrt(1 + 4e-2 * square) - 1) / 2e-2  # of psi + droop psi^2 = per_square V^2
    np.testing.assert_allclose(offset + mixing @ psi - np.pi, theta, atol=1e-9)


def test_gain_sections_go_through_their_own_curves(chip_of: Open, calibration_like: Callable[..., Calibration]) -> None:
    bench = chip_of(name="pt_chip")
    optics, spec, rng = ChipOptics.of(bench.file), bench.specs["gain"], np.random.default_rng(0)
    count = optics.model.count
    zero = 5e-3 * rng.uniform(0.9, 1.1, count)
    zero[2] = np.nan
    values = {"strength": np.where(optics.amplifiers, 2.0, 0.6) * np.ones(count), "zero": zero, "shape": np.full(count, 1e-3)}
    values["strength"][2] = np.nan
    coefficients = {name: Coefficient(value, "") for name, value in values.items()}
    made = calibration_like(
        port="gain", kind="gain_sections", channels=tuple(map(str, range(count))), model="gain-section", version=1,
        coefficients=coefficients, excluded={}, covariance=np.zeros((count, 6, 6)), parameters=(), check=None,
        instruments={"gain": "x"}, wiring={"gain": "y"},
    )  # fmt: skip
    curves = curves_of({("gain", "gain_sections"): made}, optics, spec)
    assert isinstance(curves, SectionsOfChip)
    theta = rng.uniform(-0.1, 0.1, count)
    amperes, given = curves.driven(theta)
    np.testing.assert_allclose(given, theta)
    level = np.where(optics.amplifiers, theta, np.sin(theta))
    expected = (zero + 1e-3) * np.exp(level / np.where(optics.amplifiers, 1.0, 0.3)) - 1e-3
    np.testing.assert_allclose(np.delete(amperes, 2), np.delete(expected, 2), rtol=1e-9)
    assert amperes[2] == pytest.approx(optics.drive(theta)[2]), "left out of the calibration: as nominal"
    bank = bank_of(optics, calibration_like, np.zeros(count), np.eye(count))
    with pytest.raises(CalibrationError, match="is of heaters; this is a pt chip"):
        curves_of({("gain", "heaters"): bank}, optics, spec)


def run(*arguments: str, code: int = 0) -> None:
    assert main(["run", *arguments, "--dry-run", "--json"]) == code


@pytest.mark.slow
def test_the_start_in_silico_is_as_believed_with_calibrated_curves_only(tmp_path: Path, capsys: Any) -> None:
    chip = ["--bench", "mzi_chip", "--sizes", "16", "10", "10", "--out", str(tmp_path / "runs")]
    run("calibrate_mesh", *chip)
    told = json.loads(capsys.readouterr().out)
    assert (Path(told["folder"]) / "calibration.png").stat().st_size > 50_000
    start = ["--start", "believed", "--steps", "1", "--lr", "1e-6", "--report", "1", "--gradient", "spsa", "--pairs", "2"]
    found = []
    for more in ([], ["--calibrations", str(tmp_path / "calibrations")]):
        run("train_chip", *chip, *start, *more)
        found.append(json.loads(capsys.readouterr().out)["result"]["test_accuracy"])
    assert found[1] > 0.6
    assert found[1] > found[0] + 0.3
    run("train_chip", *chip, *start, "--seed", "9", "--calibrations", str(tmp_path / "calibrations"), code=2)
    assert "is refused: activation was" in capsys.readouterr().err


def test_a_training_without_calibrations_in_the_folder_is_told(tmp_path: Path, capsys: Any) -> None:
    chip = ["--bench", "mzi_chip", "--sizes", "16", "10", "10", "--out", str(tmp_path / "runs"), "--calibrations", str(tmp_path / "none")]
    run("train_chip", *chip, "--start", "believed", code=2)
    assert "none of heaters, on this bench; `labonn run calibrate_mesh` makes one" in capsys.readouterr().err
