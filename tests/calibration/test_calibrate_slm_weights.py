"""The procedure finds curve, scales and leaks that the simulated panels hide, is as sure as it says, and names what is broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.bench import Bench
from labonn.calibration import Calibration, Store, survey
from labonn.calibration.measuring import Measuring
from labonn.calibration.slm_weights.measuring import PanelOutcome, measure_panel
from labonn.calibration.slm_weights.model import blurred
from labonn.calibration.slm_weights.saving import panel_calibration
from labonn.calibration.slm_weights.sweep import panel_sweeps
from labonn.calibration.validity import drifted, reasons
from labonn.cli import main
from labonn.cli.run import one_blas_thread
from labonn.errors import CalibrationError, ProcedureError
from labonn.response import HARMONICS, response_of
from procedures.benches import vapour_cell
from sim_backends.physics.arrays import Constant

Array = NDArray[Any]
Open = Callable[..., Bench]
SIZES = (20, 8, 6, 4)
WEIGHTS = ("weights1", "weights2", "weights3")
HOW = Measuring()
GRAYS = np.linspace(0, 2 * np.pi, 256)
one_blas_thread()


@pytest.fixture
def panels_of(tmp_path: Path) -> Iterator[Open]:
    """Opens small vapour-cell benches in a dry run, with more lines for the bench file."""
    opened: list[Bench] = []

    def open_bench(*lines: str, sizes: tuple[int, ...] = SIZES, seed: int = 3) -> Bench:
        path = tmp_path / "bench.toml"
        path.write_text(vapour_cell(sizes) + "\n".join(lines))
        opened.append(Bench.open(path, dry_run=True, seed=seed))
        return opened[-1]

    yield open_bench
    for bench in opened:
        bench.close()


def light_of(bench: Bench) -> Any:
    return bench._opened.simulated.light  # type: ignore[attr-defined]


def measured(bench: Bench, port: str = "weights1", how: Measuring = HOW) -> PanelOutcome:
    sweep = panel_sweeps(bench, 1e-5)[port]
    return bench.run(measure_panel(sweep, how, bench.specs[port].names, bench.ports[port].shown))


def kept(bench: Bench, outcome: PanelOutcome) -> Calibration:
    return panel_calibration(outcome, bench, 30.0, {})


def off_curve(outcome: PanelOutcome, panel: Any) -> Array:
    """(256,) rad by which the phases of all codes are missed."""
    found = GRAYS + np.sin(np.outer(GRAYS / 2, np.arange(1, HARMONICS + 1))) @ outcome.panel.harmonics
    return np.asarray(found - panel.phase_rad)


def own_scale(panel: Any) -> Array:
    """The hidden scales without what rows and columns have in common."""
    size = np.log(panel.scale.values)
    return np.exp(size - size.mean(axis=0) - size.mean(axis=1, keepdims=True) + size.mean())


@pytest.mark.parametrize("seed", [1, 2])
def test_curves_scales_and_leaks_are_those_that_the_panels_hide(panels_of: Open, seed: int) -> None:
    bench = panels_of("[simulation.slm]", "crosstalk_px = 0.4", "pixel_scale = 0.05", seed=seed)
    for port, panel in zip(WEIGHTS, light_of(bench)._panels, strict=True):
        outcome = measured(bench, port)
        assert np.sqrt(np.mean(off_curve(outcome, panel) ** 2)) < 1e-3 < 2 * np.pi / 100, port
        assert np.abs(panel.phase_rad - GRAYS).max() > 0.4, "there must be something to find"
        assert np.abs(outcome.panel.scale - own_scale(panel)).max() < 1e-3
        np.testing.assert_allclose(outcome.panel.leaks, panel._leaks, atol=3e-5)
        rests = np.exp(-0.05 / 7e-3), np.exp(-0.05 / 5e-3)
        np.testing.assert_allclose(outcome.panel.common[-2:], rests, atol=1e-4)
        assert not any(outcome.words)


def test_a_source_that_is_not_uniform_is_taken_for_neither_curve_nor_scale(panels_of: Open) -> None:
    bench = panels_of("[simulation.modulators]", "mode_loss = 0.2")
    outcome, light = measured(bench), light_of(bench)
    beams = np.abs(light._modulators["input"]._amplitude.values)
    assert beams.max() / beams.min() > 1.5
    assert np.sqrt(np.mean(off_curve(outcome, light._panels[0]) ** 2)) < 1e-3
    assert np.abs(outcome.panel.scale - own_scale(light._panels[0])).max() < 2e-3
    common = np.exp(np.log(light._panels[0].scale.values).mean(axis=0))
    ratio = outcome.panel.columns / (beams * common)
    np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=0.02)  # biases of the modulators are left


def test_the_response_that_is_kept_is_the_curve_at_the_commanded_fields(panels_of: Open) -> None:
    bench = panels_of()
    calibration = kept(bench, measured(bench))
    panel, fields = light_of(bench)._panels[0], calibration.values("commanded")
    phases = np.interp(2 * np.arccos(-np.clip(fields, -1, 1)), GRAYS, panel.phase_rad)
    np.testing.assert_allclose(calibration.values("response"), -np.cos(phases / 2), atol=2e-3)
    bench.ports["weights1"].correct(fields, calibration.values("response"))
    wanted = np.linspace(-0.9, 0.9, 160)
    bench.ports["weights1"].load(wanted[None, :].astype(np.float32), np.zeros(1, np.int64), 1e-5)
    codes = bench.ports["weights1"]._block.reshape(-1)
    assert np.abs(-np.cos(panel.phase_rad / 2)[codes] - wanted).max() < 0.02


class Optics:
    """A panel with light and detectors computed here: no instruments."""

    def __init__(self, seed: int, rows: int = 6, columns: int = 8) -> None:
        self._rng = np.random.default_rng(seed)
        normal, self.shape = self._rng.standard_normal, (rows, columns)
        strengths = normal(3)
        self.harmonics = np.concatenate([0.3 * strengths / np.abs(strengths).sum(), np.zeros(HARMONICS - 3)])
        self.leaks = tuple(self._rng.uniform(0, 0.03, 2))
        size = 0.05 * normal(self.shape)
        self.scale = np.exp(size - size.mean(axis=0) - size.mean(axis=1, keepdims=True) + size.mean())
        self.outer = np.outer(0.05 * np.exp(0.1 * normal(rows)), np.exp(0.2 * normal(columns)))

    def outcome(self, bench: Bench) -> PanelOutcome:
        """What the procedure makes of it."""
        sweep, names = panel_sweeps(bench, 1e-5)["weights1"], [str(c) for c in range(self.outer.size)]
        plan = measure_panel(sweep, HOW, names, lambda fields: fields)
        table = next(plan)
        try:
            while True:
                frames = np.asarray(table.banks["weights1"], np.float64).reshape(-1, *self.shape)
                phases = 2 * np.arccos(-np.clip(frames, -1, 1))
                field = self.outer * blurred(self.scale * response_of(phases, self.harmonics), self.leaks)  # type: ignore[arg-type]
                beams = np.where(np.asarray(table.banks["input"]) > 0, 1.0, -1.0)
                each = np.einsum("nrc,sc->nsr", field, beams)
                volts = each[table.orders["weights1"], table.orders["input"]]
                taps = np.zeros((len(volts), 6))
                taps[:, : volts.shape[1]] = volts + 1e-3 * self._rng.standard_normal(volts.shape)
                table = plan.send({"forward_in": taps})
        except StopIteration as done:
            outcome: PanelOutcome = done.value
            return outcome

    def pulls(self, outcome: PanelOutcome) -> tuple[Array, Array]:
        """(of harmonics and leaks, of scales)."""
        panel = outcome.panel
        common = np.concatenate([panel.harmonics - self.harmonics, np.array(panel.leaks) - self.leaks])
        lost = np.sqrt((1 - 1 / self.shape[0]) * (1 - 1 / self.shape[1]))  # of the scatter goes with rows and columns
        size = (np.log(panel.scale) - np.log(self.scale)) / (panel.sigma / panel.scale)
        return common / np.sqrt(np.diag(panel.covariance)[: HARMONICS + 2]), size / lost


def right(common: Array, scales: Array) -> None:
    for pulls in (common, scales):
        spread = pulls.std()
        assert 0.8 < spread < 1.25, spread
        assert abs(pulls.mean()) < 0.3


@pytest.mark.slow
def test_errors_are_what_a_dozen_panels_scatter_by(panels_of: Open) -> None:
    bench = panels_of(sizes=(8, 6, 4))
    pulls = [one.pulls(one.outcome(bench)) for one in map(Optics, range(12))]
    right(*(np.array([pair[i] for pair in pulls]) for i in (0, 1)))


@pytest.mark.slow
def test_errors_are_what_a_hundred_panels_scatter_by(panels_of: Open) -> None:
    bench = panels_of(sizes=(8, 6, 4))
    pulls = [one.pulls(one.outcome(bench)) for one in map(Optics, range(100))]
    right(*(np.array([pair[i] for pair in pulls]) for i in (0, 1)))


@pytest.mark.slow
def test_errors_are_what_a_hundred_simulated_panels_scatter_by(tmp_path: Path) -> None:
    path, pulls, scales = tmp_path / "bench.toml", [], []
    path.write_text(vapour_cell((12, 6, 4)))
    for seed in range(100):
        with Bench.open(path, dry_run=True, seed=seed) as bench:
            for port, panel in zip(WEIGHTS[:2], light_of(bench)._panels, strict=True):
                outcome = measured(bench, port)
                wave = np.sin(np.outer(GRAYS / 2, np.arange(1, HARMONICS + 1)))
                truth = np.linalg.lstsq(wave, panel.phase_rad - GRAYS, rcond=None)[0]
                pulls.append((outcome.panel.harmonics - truth) / np.sqrt(np.diag(outcome.panel.covariance)[:HARMONICS]))
                rows, columns = outcome.sweep.shape
                lost = np.sqrt((1 - 1 / rows) * (1 - 1 / columns))
                scales.append(((outcome.panel.scale - own_scale(panel)) / outcome.panel.sigma / lost).std())
    assert 0.8 < np.array(pulls).std() < 1.25
    assert 0.8 < np.median(scales) < 1.25


def stuck(bench: Bench) -> None:
    """Another monitor gets the frames."""
    bench._opened.simulated._slms[0] = type("Other", (), {"version": light_of(bench)._versions[0]})()  # type: ignore[attr-defined]


def blocked(bench: Bench) -> None:
    modulators = light_of(bench)._modulators["input"]
    modulators._amplitude = Constant(np.where(np.arange(20) == 5, 0, modulators._amplitude.values))


def swapped(bench: Bench) -> None:
    modulators = light_of(bench)._modulators["input"]
    fields, order = modulators.fields, np.arange(20)
    order[[3, 11]] = 11, 3
    modulators.fields = lambda volts, now_s: fields(np.ascontiguousarray(volts[:, order]), now_s)


def dead_tap(bench: Bench) -> None:
    light_of(bench)._detectors["forward_in"]._full_gain[2] = 0


def saturated(bench: Bench) -> None:
    light_of(bench)._detectors["forward_in"]._full_gain[4] *= 40


def bright(bench: Bench) -> None:
    light_of(bench)._detectors["forward_in"]._full_gain *= 40


def drifting(bench: Bench) -> None:
    panel = light_of(bench)._panels[0]
    show, frames = panel.show, iter(range(1000))

    def later(codes: Array, now_s: float) -> None:
        if next(frames) == 20:
            panel._cosine = np.asarray(-np.cos(panel.phase_rad / 2 + 0.15 * np.sin(panel.phase_rad)), np.float32)
        show(codes, now_s)

    panel.show = later


def dimming(bench: Bench) -> None:
    laser = light_of(bench)._laser
    amplitude = laser.amplitude
    laser.amplitude = lambda now_s: amplitude(now_s) * (1 - 0.6 * min(1.0, now_s / 2))


def folded(bench: Bench) -> None:
    panel = light_of(bench)._panels[0]
    panel._cosine = np.asarray(-np.cos(0.75 * panel.phase_rad), np.float32)


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        (stuck, "does not follow what any macropixel shows, also where it is brightest; the wrong monitor, a blocked beam, or the light"),
        (blocked, r"8 of 160 channels failed .*dead: beam input/5 has no light; blocked, or a broken cable\?"),
        (swapped, r"16 of 160 channels failed .*swapped: beam input/3 is where input/11 should be"),
        (dead_tap, r"20 of 160 channels failed .*dead: tap forward_in/2 has no light"),
        (saturated, r"20 of 160 channels failed .*saturated: readings of its tap are at the end"),
        (bright, "all taps at forward_in are at the end of their range; less light, or more range"),
        (drifting, "drifted: its phases moved by .* between the two halves of the sweep, 62.8 mrad is allowed"),
        (dimming, r"the light changed by \d+ % during the slm_weights calibration"),
        (folded, "the phase falls with the gray level|off the curve|out of tolerance|drifted"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_broken_is_named(panels_of: Open, breaks: Callable[[Bench], None], told: str) -> None:
    bench = panels_of()
    breaks(bench)
    with pytest.raises(CalibrationError, match=f"(?s)weights1: .*{told}"):
        measured(bench)


def test_macropixels_of_a_blocked_beam_can_be_left_out(panels_of: Open) -> None:
    bench = panels_of()
    blocked(bench)
    calibration = kept(bench, measured(bench, how=Measuring(leave_out=8)))
    scale = calibration.values("scale").reshape(8, 20)
    assert np.isnan(scale[:, 5]).all()
    assert np.isfinite(np.delete(scale, 5, axis=1)).all()
    assert len(calibration.excluded) == 8
    assert np.abs(np.delete(scale, 5, axis=1) - 1).max() < 0.15


def test_the_drift_check_passes_on_the_same_bench_and_fails_on_a_changed_one(panels_of: Open) -> None:
    bench = panels_of()
    calibrations = [kept(bench, measured(bench, port)) for port in WEIGHTS]
    bench.clock.wait(3600.0)
    assert [bench.run(drifted(one)) for one in calibrations] == [[], [], []]
    panel = light_of(bench)._panels[1]
    panel._cosine = np.asarray(-np.cos(panel.phase_rad / 2 + 0.1 * np.sin(panel.phase_rad / 2)), np.float32)
    told = [" ".join(bench.run(drifted(one))) for one in calibrations]
    assert not told[0]
    assert "backward_in/" in told[1]
    assert "of the drift check" in told[1]
    other = panels_of(seed=4)
    assert any("and is" in reason for reason in reasons(calibrations[0], other))


@pytest.mark.slow
def test_the_procedure_keeps_one_calibration_a_port_with_a_figure_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, store = tmp_path / "small.toml", tmp_path / "kept"
    path.write_text(vapour_cell(SIZES))
    options = ["--dry-run", "--bench", str(path), "--out", str(tmp_path / "runs"), "--calibrations", str(store), "--json"]
    assert main(["run", "calibrate_slm_weights", *options]) == 0
    result = json.loads(capsys.readouterr().out)
    assert len(list(Path(result["folder"]).glob("calibration_weights?.png"))) == 3
    with Bench.open(path, dry_run=True) as bench:
        found, refused = survey(Store(store), bench)
    assert not refused
    assert {place: one.id for place, one in found.items()} == {(port, "slm_weights"): result["result"][port] for port in WEIGHTS}


@pytest.mark.parametrize("options", [["--dwell", "0"], ["--port", "weights9"], ["--levels", "4"]])
def test_options_that_make_no_sense_are_refused(tmp_path: Path, options: list[str]) -> None:
    path = tmp_path / "small.toml"
    path.write_text(vapour_cell(SIZES))
    assert main(["run", "calibrate_slm_weights", "--dry-run", "--bench", str(path), "--out", str(tmp_path / "runs"), *options]) == 2


def test_a_bench_whose_limits_hold_no_light_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dim.toml"
    path.write_text(vapour_cell(SIZES).replace('upper = "3.6 V"', 'upper = "1 V"', 1))
    with Bench.open(path, dry_run=True) as bench, pytest.raises(ProcedureError, match=r"input: a field of .* is beyond its limits"):
        panel_sweeps(bench, 1e-5)
