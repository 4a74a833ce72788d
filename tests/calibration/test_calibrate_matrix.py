"""Whole matrices are measured as they are, as surely as is said, and rows, beams and signs that are broken are named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.bench import Bench
from labonn.calibration import Store
from labonn.calibration.matrix.judging import MatrixTolerances, compared, worst_elements
from labonn.calibration.matrix.measuring import MatrixMeasuring, MatrixOutcome, measure_matrix
from labonn.calibration.matrix.rigging import matrix_sweep
from labonn.calibration.matrix.sweep import EVERY, MatrixSweep
from labonn.calibration.validity import survey
from labonn.cli import main
from labonn.errors import CalibrationError, ProcedureError
from labonn.optics import Modulator
from labonn.shots import ShotTable, dense
from procedures.benches import chip_bench, shipped, vapour_cell

Array = NDArray[Any]
Open = Callable[..., Bench]
SLM = vapour_cell((40, 16, 4))
PERIOD_S = 1 / 120


@pytest.fixture
def bench_of(tmp_path: Path) -> Iterator[Open]:
    """Opens a bench in a dry run."""
    opened: list[Bench] = []

    def open_bench(text: str = SLM, seed: int = 2, ideal: bool = False) -> Bench:
        path = tmp_path / "bench.toml"
        path.write_text(text)
        opened.append(Bench.open(path, dry_run=True, seed=seed, ideal=ideal))
        return opened[-1]

    yield open_bench
    for bench in opened:
        bench.close()


def measured(bench: Bench, layer: int = 1, level: float | None = None, **how: Any) -> tuple[MatrixSweep, MatrixOutcome]:
    dwell_s = PERIOD_S if "weights1" in bench.ports else 1e-5
    sweep = matrix_sweep(bench, layer, level, dwell_s, 0)
    return sweep, bench.run(measure_matrix(sweep, MatrixMeasuring(**how)))


class Plain:
    """Beams, a matrix and detectors without instruments: y = light(t) (W f(s)) + offset + noise, in volts of one a field."""

    def __init__(
        self, seed: int, rows: int = 6, beams: int = 10, curve: Callable[[Array], Array] = np.asarray, noise: float = 0.01
    ) -> None:
        rng = self.rng = np.random.default_rng(seed)
        believed = rng.uniform(-1, 1, (rows, beams))
        self.gain, self.offset = rng.normal(1, 0.05, rows), rng.normal(0, 0.01, rows)
        self.weights = self.gain[:, None] * (believed + 0.02 * rng.standard_normal(believed.shape))
        self._curve, self._noise = curve, noise
        names = tuple(f"y{d}" for d in range(rows)), tuple(f"x{c}" for c in range(beams))
        full = np.full(rows, 100.0)
        self.sweep = MatrixSweep("slm", "in", "out", "V", full, believed, 1.0, Modulator(), *names, seed=seed)

    def readings(self, table: ShotTable) -> dict[str, Array]:
        volts = dense(table.banks["in"])[table.orders["in"]].astype(np.float64)
        fields = np.sin(np.pi * volts / 7)
        light = 1 + 0.02 * np.linspace(-1, 1, len(fields))[:, None]
        seen = self._curve(light * fields @ self.weights.T) + self.offset
        return {"out": seen + self._noise * self.rng.standard_normal(seen.shape)}

    def found(self, **how: Any) -> MatrixOutcome:
        plan = measure_matrix(self.sweep, MatrixMeasuring(**how))
        table = next(plan)
        try:
            while True:
                table = plan.send(self.readings(table))
        except StopIteration as done:
            outcome: MatrixOutcome = done.value
            return outcome


def test_the_standard_errors_of_elements_gains_and_offsets_are_those_of_a_hundred_seeds() -> None:
    pulls: dict[str, list[Array]] = {"weights": [], "gain": [], "offset": []}
    for seed in range(100):
        plain = Plain(seed)
        found = plain.found()
        errors = found.outcome.fitted.errors
        pulls["weights"].append(((found.found.weights - plain.weights) / found.found.error[:, None]).ravel())
        pulls["gain"].append((found.against.gain - plain.gain) / errors[:, 0])
        pulls["offset"].append((found.found.offset - plain.offset) / errors[:, 1])
    for name, all_ in pulls.items():
        assert 0.8 < np.std(np.concatenate(all_)) < 1.25, name


@pytest.mark.parametrize("seed", [2, 3])
def test_the_matrix_of_a_vapour_cell_bench_is_what_its_parts_hide(bench_of: Open, seed: int) -> None:
    """SLM's fields, detectors' gains and beams' losses multiplied; one factor, the light's, is free."""
    bench = bench_of(seed=seed)
    sweep, found = measured(bench)
    light = bench._opened.simulated.light
    volts = sweep.volts(np.stack([np.ones(40), -np.ones(40)])).astype(np.float64)
    beams = light._modulators["input"].fields(volts, bench.clock.now())
    rows = light._detectors["forward_in"].gain_v_per_field[:16]
    truth = rows[:, None] * light._panels[0].field(bench.clock.now()) * (0.5 * (beams[0] - beams[1]) / sweep.level)
    truth = truth * (np.sum(truth * found.found.weights) / np.sum(truth**2))
    size = np.sqrt(np.mean(truth**2))
    off = found.found.weights - truth
    assert np.sqrt(np.mean(off**2)) < 0.01 * size
    assert 0.8 < np.std(off / found.found.error[:, None]) < 1.6, "light that walks in phase is a part of it"
    assert 0.1 < found.against.off < 0.4, "a bench that is not calibrated is not what is believed"


def test_the_whole_matrix_of_784_beams_is_verified_to_a_few_percent(bench_of: Open) -> None:
    sweep, found = measured(bench_of(shipped("vapour_cell")))
    left = found.outcome.residuals / (sweep.volts_per_field * sweep.level)
    assert np.sqrt(np.mean(left**2) / np.mean(np.square(found.found.weights).sum(axis=1))) < 0.02
    assert not any(found.outcome.words)


@pytest.mark.parametrize(
    ("text", "layer", "within"),
    [
        (SLM, 1, 1e-5),
        (chip_bench("mzi_chip", (12, 8, 4)), 1, 1e-6),
        (chip_bench("pt_chip", (12, 8, 4)), 1, 1e-6),
        (chip_bench("mzi_chip", (12, 8, 4), coupler="mzi"), 1, 1e-6),
        (chip_bench("mzi_chip", (12, 8, 4), activation="host"), 2, 1e-6),
        (chip_bench("mzi_chip_software", (12, 8, 4)), 1, 1e-3),
    ],
    ids=["slm", "rotation", "pt", "mzi", "second layer", "software"],
)
def test_on_an_ideal_bench_the_measured_matrix_is_the_believed_one(bench_of: Open, text: str, layer: int, within: float) -> None:
    """As far as single precision of the modulators goes, and the steps of heaters that are set over serial lines."""
    sweep, found = measured(bench_of(text, ideal=True), layer)
    np.testing.assert_allclose(found.found.weights, sweep.believed, atol=within * np.abs(sweep.believed).max())
    np.testing.assert_allclose(found.against.gain, 1, atol=within)
    assert found.against.off < within


@pytest.mark.parametrize(
    ("text", "layer"), [(shipped("mzi_chip"), 1), (shipped("pt_chip"), 1), (chip_bench("mzi_chip", (12, 8, 4), activation="host"), 2)]
)
def test_chips_that_are_not_calibrated_are_other_matrices_which_are_measured_all_the_same(bench_of: Open, text: str, layer: int) -> None:
    bench = bench_of(text)
    sweep, found = measured(bench, layer)
    left = found.outcome.residuals / (sweep.volts_per_field * sweep.level)
    assert np.sqrt(np.mean(left**2) / np.mean(np.square(found.found.weights).sum(axis=1))) < 0.002
    assert found.against.off > 0.3
    with pytest.raises(CalibrationError, match=r"another matrix: \d+ % of its row is not the believed one, 20 % is allowed"):
        measured(bench, layer, within=MatrixTolerances(off=0.2))


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("rows swapped", ["2 of 56", "forward_in/ch3: swapped: it reads the row of ch9; forward_in/ch9: swapped: it reads the row of ch3"]),
        ("beams swapped", ["2 of 56", "input/ch7: swapped: it comes in the place of ch21", "input/ch21: swapped: it comes in"]),
        ("dead row", ["1 of 56", "forward_in/ch5: dead: a beam changes it by", "a blocked output or a broken cable?"]),
        ("blocked beam", ["1 of 56", "input/ch7: dead: its beam reaches no detector", "blocked?"]),
        ("saturated", ["1 of 56", "forward_in/ch3: saturated: ", "of 696 readings are at the end of the detector's range"]),
        ("wrong sign", ["1 of 56", "forward_in/ch4: wrong sign: it reads its row with the other sign"]),
        ("sign flip", ["forward_in: sign flip: the sign of the reference turned over between 2.", " of 5.8 s", "the other sign"]),
        ("row flips", ["1 of 56", "forward_in/ch6: sign flip: single beams have the other sign behind the codes than before them"]),
        ("light falls", ["forward_in: drifted: the light of the reference changed by up to", "20 % is allowed"]),
        ("no light", ["dead: all beams together change no reading of 16 rows", "is the light on?"]),
        ("flip between", ["sign flip: the sign of the reference is another one than in the table that was measured"]),
    ],
)  # fmt: skip
def test_what_is_broken_is_named(bench_of: Open, what: str, told: list[str]) -> None:
    bench = bench_of()
    light = bench._opened.simulated.light
    beams, taps = light._modulators["input"], light._detectors["forward_in"]
    fields, volts = beams.fields, taps.volts
    order, rows = np.arange(40), np.arange(16)
    if what == "beams swapped":
        order[[7, 21]] = 21, 7
        beams.fields = lambda given, now_s: fields(np.ascontiguousarray(given[:, order]), now_s)
    elif what in ("blocked beam", "no light"):
        open_ = (np.arange(40) != 7) * (what != "no light")
        beams.fields = lambda given, now_s: fields(given, now_s) * open_.astype(given.dtype)
    elif what in ("saturated", "wrong sign"):
        taps._full_gain = taps._full_gain * (np.where(rows == 3, 12, 1) if what == "saturated" else np.where(rows == 4, -1, 1))
    else:
        rows[[3, 9]] = (9, 3) if what == "rows swapped" else (3, 9)

        def changed(given: Array, now_s: float, *other: Any) -> Array:
            since = now_s - start
            factor = np.ones(16, given.dtype)
            factor[5] = 0.0 if what == "dead row" else 1.0
            factor[6] = -1.0 if what == "row flips" and since > 2.5 else 1.0
            flips = (what == "sign flip" and since > 2.5) or (what == "flip between" and since > 5.9)
            factor *= -1 if flips else 1 - 0.1 * since * (what == "light falls")
            return np.ascontiguousarray(volts(given, now_s, *other)[:, rows] * factor)

        taps.volts = changed
    start = bench.clock.now()
    with pytest.raises(CalibrationError) as problem:
        measured(bench)
    for words in told:
        assert words in str(problem.value), problem.value


def test_detectors_that_compress_are_not_linear() -> None:
    with pytest.raises(CalibrationError, match=r"out/y\d: not linear: single beams give 1\.\d+ times what they give among all others"):
        Plain(3, curve=lambda y: 2 * np.tanh(y / 2)).found()


def test_fresh_vectors_that_the_matrix_does_not_predict_fail_the_verification() -> None:
    plain = Plain(4)
    plan = measure_matrix(plain.sweep, MatrixMeasuring())
    table = plan.send(plain.readings(next(plan)))
    plain.weights[2] = plain.weights[2] + 0.3 * plain.rng.standard_normal(10)
    with pytest.raises(CalibrationError, match=r"1 of 16 .*out/y2: out of tolerance: a fresh vector reads .* V is allowed"):
        plan.send(plain.readings(table))


def test_rows_that_are_left_out_do_not_spoil_the_others() -> None:
    plain = Plain(5)
    plain.weights[1] = 0.0
    found = plain.found(leave_out=1)
    assert [told.partition(":")[0] for told in found.outcome.words] == ["", "dead", "", "", "", ""]
    more = found.more(plain.sweep)
    assert np.array_equal(np.isnan(more["weights"].values).all(axis=1), np.arange(6) == 1)
    rest = np.arange(6) != 1
    assert np.abs((found.found.weights - plain.weights)[rest]).max() < 0.01


def test_references_stand_between_the_shots_and_single_beams_at_both_ends() -> None:
    sweep = Plain(6).sweep
    reference = len(sweep.bank) - 2
    at = np.flatnonzero(sweep.order == reference)
    assert np.array_equal(sweep.order[at + 1], np.full(len(at), reference + 1))
    assert (at[0], at[-1]) == (0, len(sweep.order) - 2)
    assert np.diff(at).max() == EVERY + 2
    single = np.flatnonzero(sweep.order < 20)
    assert np.array_equal(sweep.order[single], np.tile(np.arange(20), 2))
    np.testing.assert_array_equal(sweep.codes.T @ sweep.codes, len(sweep.codes) * np.eye(10))
    np.testing.assert_array_equal(np.stack([np.ones(len(sweep.codes)), np.arange(len(sweep.codes))]) @ sweep.codes, 0)


def test_differences_are_told_by_row_beam_and_element() -> None:
    believed = np.random.default_rng(1).standard_normal((5, 8))
    measured_ = believed * np.array([1, 2, 1, 1, 1])[:, None]
    measured_[:, 3] *= 1.5
    measured_[4, 6] += 9
    all_rows, all_beams = np.ones(5, np.bool_), np.ones(8, np.bool_)
    found = compared(measured_, believed, all_rows, all_beams)
    assert np.argmax(found.gain) == 1
    assert np.argmax(found.row_off) == 4
    assert worst_elements(measured_, found.gain[:, None] * believed, 1) == [(4, 6)]
    some = compared(measured_, believed, np.arange(5) != 4, np.arange(8) != 3)
    np.testing.assert_allclose(some.gain[:4], [1, 2, 1, 1])
    np.testing.assert_allclose(some.off_scaled, 0, atol=1e-12)


def run(tmp_path: Path, *arguments: str, code: int = 0) -> None:
    given = ["run", "calibrate_matrix", "--dry-run", "--out", str(tmp_path / "runs"), "--json", *arguments]
    assert main(given) == code


def test_the_command_keeps_it_and_the_check_fails_once_the_matrix_is_another(tmp_path: Path, capsys: Any, bench_of: Open) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(SLM)
    run(tmp_path, "--bench", str(path), "--seed", "2", "--condition", "operator=N.")
    told = json.loads(capsys.readouterr().out)
    store = Store(tmp_path / "calibrations")
    calibration = store.load(told["result"]["calibration"])
    assert calibration.values("weights").shape == (16, 40)
    assert (calibration.port, calibration.conditions["operator"], calibration.conditions["layer"]) == ("weights1", "N.", 1)
    assert {"weights1", "input", "forward_in", "gain"} <= set(calibration.instruments)
    assert (Path(told["folder"]) / "calibration.png").stat().st_size > 50_000
    for key in ("off", "worst rows", "worst elements", "weakest beam", "light of the reference"):
        assert told["result"][key]
    bench = bench_of()
    found, refused = survey(store, bench)
    assert list(found) == [("weights1", "matrix")], refused
    taps = bench._opened.simulated.light._detectors["forward_in"]
    taps._full_gain = taps._full_gain * np.where(np.arange(16) == 11, 0.5, 1)
    found, refused = survey(store, bench)
    assert not found
    assert "forward_in/11" in str(refused[0])
    found, refused = survey(store, bench_of(seed=3))
    assert not found
    assert "seed 3" in str(refused[0])


@pytest.mark.parametrize(
    ("option", "value"), [("--level", "2"), ("--off", "-1"), ("--repeats", "1"), ("--dwell", "0"), ("--tolerance", "3"), ("--fresh", "1")]
)
def test_options_that_make_no_sense_are_refused_before_anything_is_opened(tmp_path: Path, option: str, value: str, capsys: Any) -> None:
    run(tmp_path, option, value, code=2)
    assert option in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_layers_without_light_of_their_own_are_refused(bench_of: Open) -> None:
    with pytest.raises(ProcedureError, match="only beams of layer 1 come from modulators without a cell between"):
        measured(bench_of(), 2)
    with pytest.raises(ProcedureError, match="layer 2 reinject and a homodyned output; there are input, heaters"):
        measured(bench_of(chip_bench("mzi_chip", (12, 8, 4))), 2)
    with pytest.raises(ProcedureError, match=r"neither weights1 .* nor \[nominal\.chip\]"):
        measured(bench_of(shipped("modulator_row")))
