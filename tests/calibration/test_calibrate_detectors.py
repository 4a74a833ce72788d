"""Dark level, linearity and noise of detectors are found whatever the source does, and what is broken is named; tests see the truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.bench import Bench
from labonn.calibration import Store, current
from labonn.calibration.detectors.measuring import Measured, measure_detectors
from labonn.calibration.detectors.model import product, rank_one, straightened, transfer
from labonn.calibration.detectors.rigging import rig_of, sighted
from labonn.calibration.detectors.sweep import ProductSweep
from labonn.calibration.judging import Tolerances
from labonn.calibration.measuring import Measuring
from labonn.cli import main
from labonn.errors import CalibrationError, ProcedureError
from labonn.shots import ShotTable, dense
from procedures.benches import shipped, vapour_cell
from sim_backends.physics.desk import DeskSettings
from sim_backends.physics.gain_row import GainRow, GainRowSettings
from sim_backends.physics.noise import Noise
from sim_backends.physics.photodiodes import Photodiodes, PhotodiodeSettings

Array = NDArray[Any]
HOW = Measuring(within=Tolerances(residual=0.003, drift=0.003), frames=6)
STEP = 2 / 65534


class Row:
    """Photodiodes behind modulators and one laser, without instruments: the true light alone, through converters of 16 bits."""

    def __init__(self, seed: int, count: int = 8, row: dict[str, Any] | None = None, **diodes: Any) -> None:
        desk = DeskSettings(threshold_a=4e-3, slope_w_per_a=10.0)
        self.light = GainRow(count, GainRowSettings(**(row or {})), desk, seed)
        self.diodes = Photodiodes(count, PhotodiodeSettings(**diodes), Noise(seed).child("monitors"))
        self.names, self.now_s, self.order = [f"ch{c}" for c in range(count)], 0.0, np.arange(count)
        full, one = np.ones(count), np.ones(count)
        levels, dark = 0.016 * np.linspace(0.35, 1, 5)[:, None], {"laser": np.zeros(1), "input": 0 * one}
        self.sweep = ProductSweep("monitors", "V", full, STEP * full, np.arange(count), "laser", levels, "input", dark, {})
        sources, low, high = np.array([4, 3, 2, 1, 0, 0, 1, 2, 3, 4]), 0 * one, 4 * one
        self.settings = self.sweep.direct(low, high, sources, 12, 0)
        self.fresh = self.sweep.direct(low, high, np.array([1, 4, 2]), 8, 1, between=True)
        self.tables: list[ShotTable] = []

    def readings(self, table: ShotTable) -> dict[str, Array]:
        self.tables.append(table)
        volts = {port: np.asarray(dense(bank)[table.orders[port]], np.float64) for port, bank in table.banks.items()}
        watts = self.light.monitored_w(self.light.inputs_w(volts["laser"], volts["input"][:, self.order], self.now_s))
        seen = self.diodes.volts(watts, self.now_s, table.dwell_s)
        self.now_s += table.shots * table.dwell_s + 0.02
        return {"monitors": np.clip(np.rint(seen / STEP) * STEP, -1, 1)}

    def measured(self, how: Measuring = HOW) -> Measured:
        plan: Any = measure_detectors(self.sweep, self.settings, self.fresh, how, self.names, True)
        table = next(plan)
        try:
            while True:
                table = plan.send(self.readings(table))
        except StopIteration as done:
            measured: Measured = done.value
            return measured

    def truth(self) -> Array:
        """(C, 2) dark level and compression."""
        return np.stack([self.diodes.dark_v, 1 / (self.diodes.saturation_w * self.diodes.v_per_w)], axis=1)

    def noise(self) -> Array:
        """Read variance (with the converter's), shot slope at the band of a shot, and the laser's relative variance."""
        d, dwell_s = self.diodes, self.sweep.dwell_s
        band = min(1.0, 0.5 / dwell_s / d._settings.bandwidth_hz)
        read = float(d.variances(np.zeros(1), dwell_s)[0]) + STEP**2 / 12
        return np.array([read, d.shot_v * band, self.light._settings.rin**2])


def side_by_side(seeds: int, count: int) -> Row:
    """The rows of so many seeds as one, with the light of a row each."""
    rows, big = [Row(seed, count) for seed in range(seeds)], Row(10_000, seeds * count)
    for name in ("v_per_w", "saturation_w", "dark_v"):
        setattr(big.diodes, name, np.concatenate([getattr(row.diodes, name) for row in rows]))
    big.light.tapped = np.concatenate([row.light.tapped for row in rows])
    big.light._inputs.loss = big.light._inputs.loss * seeds * count / 8
    return big


def test_numbers_are_found_and_errors_are_what_a_hundred_seeds_scatter_by() -> None:
    row = side_by_side(100, 2)
    found, truth = row.measured().outcome.fitted, row.truth()
    off = found.parameters[:, :2] - truth
    pulls = off / found.errors[:, :2]
    assert np.all((pulls.std(axis=0) > 0.8) & (pulls.std(axis=0) < 1.25)), pulls.std(axis=0)
    assert np.abs(pulls).max() < 6
    assert np.abs(off[:, 0]).max() < 5e-6
    np.testing.assert_allclose(found.parameters[:, 1], truth[:, 1], rtol=0.03)  # of a compression of some percent at full light
    pulls = (found.parameters[:, 3:] - row.noise()) / found.errors[:, 3:]
    assert np.all((pulls.std(axis=0) > 0.8) & (pulls.std(axis=0) < 1.25)), pulls.std(axis=0)
    np.testing.assert_allclose(np.mean(found.parameters[:, 3:], axis=0), row.noise(), rtol=0.08)


def test_a_source_that_is_not_linear_is_not_taken_for_the_detectors() -> None:
    row = Row(3, row={"rollover_per_a": 80.0})
    lit = row.light.inputs_w(row.sweep.levels, np.full((5, 8), 3.5), 0.0)[:, 0]
    assert lit[-1] / lit[1] < 0.75 * (0.016 - 4e-3) / (float(row.sweep.levels[1, 0]) - 4e-3), "the source has to bend by a lot"
    found = row.measured().outcome.fitted
    assert np.abs((found.parameters[:, 1] - row.truth()[:, 1]) / found.errors[:, 1]).max() < 5


def test_linear_detectors_are_found_to_be_linear() -> None:
    found = Row(3, saturation_w=1e9).measured().outcome.fitted
    assert np.abs(found.parameters[:, 1] / found.errors[:, 1]).max() < 5
    assert np.abs(found.parameters[:, 1] * found.parameters[:, 2]).max() < 1e-3


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"dead": (3,)}, ["1 of 8 channels failed the detectors calibration, nothing is kept: ch3: dead: it reads", "has no noise"]),
        ({"blocked": (5,)}, ["1 of 8", "ch5: blocked: it has the noise of a detector, and no light comes to it"]),
        ({"gain": 8.0}, ["8 of 8", "saturated: ", "of 120 readings are at the end of the detector's range"]),
        ({"dark_drift_v_per_s": 0.5}, ["8 of 8", "drifted: its dark level moved by", "during the sweep"]),
        ({"gain": 0.005}, ["8 of 8", "too noisy: how far it bends at full light is known to"]),
        ({"blocked": tuple(range(8))}, ["8 of 8", "blocked", "is the light on?"]),
    ],
    ids=["dead", "blocked", "saturated", "offset", "faint", "dark"],
)
def test_what_is_broken_is_named(setting: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(CalibrationError) as problem:
        Row(4, **setting).measured()
    for words in told:
        assert words in str(problem.value), problem.value


def test_swapped_cables_are_named() -> None:
    row = Row(4)
    row.order[[1, 6]] = 6, 1
    with pytest.raises(CalibrationError, match=r"2 of 8 .*ch1: swapped: it follows the modulator of ch6; ch6: swapped: it follows .* ch1"):
        row.measured()


def test_light_that_is_no_product_fails() -> None:
    row = Row(4)
    seen = row.light.monitored_w
    row.light.monitored_w = lambda watts: seen(watts) * np.where(np.arange(8) == 2, 1 + 300 * watts, 1)  # type: ignore[method-assign]
    row.diodes.saturation_w = np.full(8, 1e9)
    straight = np.abs(row.measured(replace(HOW, leave_out=8)).outcome.fitted.parameters[:, 1])
    assert straight[2] > 10 * np.delete(straight, 2).max(), "light that bends before the detector looks like the detector"
    row = Row(4)
    row.light.monitored_w = lambda watts: row.light.tapped * (watts + 3e-4 * (np.arange(8) == 2) * np.sin(1e3 * watts))  # type: ignore[method-assign]
    with pytest.raises(CalibrationError, match=r"1 of 8 .*ch2: (off the curve|out of tolerance)"):
        row.measured()


def test_detectors_may_be_left_out() -> None:
    row = Row(4, dead=(0,), blocked=(7,))
    measured = row.measured(replace(HOW, leave_out=2))
    assert [words.partition(":")[0] for words in measured.outcome.words] == ["dead", *[""] * 6, "blocked"]
    inside = slice(1, 7)
    np.testing.assert_allclose(measured.outcome.fitted.parameters[inside, 1], row.truth()[inside, 1], rtol=0.03)


def test_dark_sweep_and_fresh_points_are_a_table_each() -> None:
    row = Row(4)
    row.measured()
    assert [table.shots for table in row.tables] == [256, 10 * 12 * 16, 256, 3 * 8 * 16, 6 * 16]


def test_derivatives_are_those_of_finite_differences() -> None:
    rng = np.random.default_rng(1)
    x = np.stack([rng.integers(-1, 3, (2, 40)), rng.integers(0, 4, (2, 40))], axis=-1).astype(np.float64)
    parameters = np.concatenate([[[0.1, 0.3], [-0.2, 0.05]], 0.5 + rng.random((2, 6))], axis=1)
    parameters[1, -1] = -0.7
    curve = product(3)
    slopes = curve(parameters, x)[1]
    for i in range(8):
        step = np.where(np.arange(8) == i, 1e-6, 0.0)
        numeric = (curve(parameters + step, x)[0] - curve(parameters - step, x)[0]) / 2e-6
        np.testing.assert_allclose(slopes[..., i], numeric, atol=1e-8)


def test_straightening_undoes_compression_and_products_leave_nothing() -> None:
    a, b = np.array([0.3, 0.6, 1.0]), np.array([-0.4, 0.1, 0.5, 0.9])
    light, every = a[:, None] * b, np.ones((1, 3, 4), np.bool_)
    seen = 0.02 + light / (1 + 0.1 * np.abs(light))
    np.testing.assert_allclose(straightened(seen, np.array(0.02), np.array(0.1)), light, atol=1e-15)
    assert np.abs(rank_one(light[None], every)).max() < 1e-15
    assert np.abs(rank_one(seen[None] - 0.02, every)).max() > 1e-4


def test_saturated_readings_are_left_out_of_a_product() -> None:
    light, used = np.outer([0.3, 0.6, 1.0], [0.2, 0.4, 0.5, 0.9])[None], np.ones((1, 3, 4), np.bool_)
    seen, used[0, 2, 3] = np.minimum(light, 0.8), False
    assert np.abs(rank_one(seen, used)).max() < 1e-4
    used[0, 2, 3] = True
    assert np.abs(rank_one(seen, used)).max() > 1e-2


def test_photon_transfer_is_that_of_noise_that_is_drawn() -> None:
    rng = np.random.default_rng(2)
    level = np.tile(np.linspace(0, 0.8, 40), (300, 3))
    parts = np.array([4e-10, 3e-9, 1e-8])
    sigma = np.sqrt(parts[0] + parts[1] * level + parts[2] * level**2)
    variance = (sigma[..., None] * rng.standard_normal((*level.shape, 16))).var(axis=-1, ddof=1)
    found, covariance = transfer(level, np.ones_like(level), variance, 16)
    pulls = (found - parts) / np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    assert np.all(np.abs(pulls.std(axis=0) - 1) < 0.15)
    np.testing.assert_allclose(found.mean(axis=0), parts, rtol=0.05)


def run(tmp_path: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main(["run", "calibrate_detectors", "--dry-run", "--out", str(tmp_path / "runs"), "--json", *arguments]) == code
    folder = max((tmp_path / "runs").iterdir(), key=lambda one: one.stat().st_mtime_ns)
    return {"folder": folder, **(json.loads((folder / "result.json").read_text())["result"] if code == 0 else {})}


def test_all_detectors_of_a_gain_row_are_calibrated_by_the_command(tmp_path: Path) -> None:
    told = run(tmp_path)
    store, path = Store(tmp_path / "calibrations"), tmp_path / "bench.toml"
    path.write_text(shipped("gain_row"))
    with Bench.open(path, dry_run=True) as bench:
        found, truth = current(store, bench), bench._opened.simulated.photodiodes
        assert sighted(bench) == ["monitors", "outputs"]
        for port in sighted(bench):
            calibration = found[(port, "detectors")]
            assert told[f"{port} calibration"] == calibration.id
            assert (told["folder"] / f"calibration_{port}.png").stat().st_size > 50_000
            np.testing.assert_allclose(calibration.values("dark"), truth[port].dark_v, atol=6e-6)
            bends = 1 / (truth[port].saturation_w * truth[port].v_per_w)
            np.testing.assert_allclose(calibration.values("compression"), bends, rtol=0.04)
            np.testing.assert_allclose(calibration.values("rin_rms"), 1e-4, rtol=0.4)
        truth["outputs"].v_per_w[2] *= 1.2
        with pytest.raises(CalibrationError, match=r"outputs/2 reads .* of the drift check"):
            current(store, bench)


def test_linear_detectors_with_constant_noise_are_found_behind_modulators_that_drift(tmp_path: Path) -> None:
    told = run(tmp_path, "--bench", "modulator_row")
    calibration = Store(tmp_path / "calibrations").load(told["calibration"])
    bend = calibration.values("compression") / calibration.errors("compression")
    assert np.abs(bend).max() < 5
    np.testing.assert_allclose(np.median(calibration.values("read_noise")), 2e-4, rtol=0.03)
    assert calibration.coefficients["gain"].unit == "V"


def test_a_power_meter_makes_it_volts_per_watt(tmp_path: Path) -> None:
    told = run(tmp_path, "--bench", "desk")
    calibration = Store(tmp_path / "calibrations").load(told["calibration"])
    path = tmp_path / "bench.toml"
    path.write_text(shipped("desk"))
    with Bench.open(path, dry_run=True) as bench:
        light = bench._opened.simulated.light
        laser, opened = {"laser": np.array([[0.08]])}, {"modulators": (light.bias_v + light.v_pi_v)[None, :].astype(np.float32)}
        watts = float(bench.play(ShotTable(laser, {"laser": np.zeros(3, np.int64)}, 0.05, ("power",)))["power"].mean())
        read = bench.play(ShotTable({**laser, **opened}, {"laser": np.zeros(3, np.int64)}, 1e-3, ("outputs",)))["outputs"].mean(axis=0)
    assert calibration.coefficients["gain"].unit == "V/W"
    most = (read - calibration.values("dark")) / watts
    assert np.all((calibration.values("gain") > 0.95 * most) & (calibration.values("gain") < 1.02 * most))  # at the level nearest to open
    assert "power" in calibration.instruments
    assert calibration.conditions["watts_are"] == "at power"


def test_homodyne_detectors_have_a_dark_level_and_a_gain_per_believed_field(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(vapour_cell((40, 12, 4)))
    told = run(tmp_path, "--bench", str(path))
    calibration = Store(tmp_path / "calibrations").load(told["calibration"])
    with Bench.open(path, dry_run=True) as bench:
        truth = bench._opened.simulated.light._detectors["forward_in"]
    assert calibration.conditions["gain_is"] == "V per believed field"
    ratio = calibration.values("gain") / truth.gain_v_per_field[:12]
    np.testing.assert_allclose(ratio / np.mean(ratio), 1, atol=0.03)
    np.testing.assert_allclose(calibration.values("dark"), truth.dark_v[:12], atol=2e-4)
    assert np.abs(calibration.values("compression") / calibration.errors("compression")).max() < 6


def test_detectors_whose_light_cannot_be_swept_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "--bench", "desk", "--port", "power", code=2)
    assert "detectors of bench.toml whose light a source and a modulator can sweep: outputs" in capsys.readouterr().err
    path = tmp_path / "bench.toml"
    path.write_text(shipped("gain_row"))
    with Bench.open(path, dry_run=True) as bench, pytest.raises(ProcedureError, match="--modulators laser: 8 are wanted"):
        rig_of(bench, "outputs", "laser", [], 12, 5, 16, None, 0)


@pytest.mark.parametrize(("option", "value"), [("--repeats", "2"), ("--sources", "2"), ("--watts", "-1"), ("--levels", "3")])
def test_options_that_make_no_sense_are_refused_before_anything_is_opened(tmp_path: Path, option: str, value: str, capsys: Any) -> None:
    assert main(["run", "calibrate_detectors", "--dry-run", "--out", str(tmp_path / "runs"), option, value]) == 2
    assert option in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
