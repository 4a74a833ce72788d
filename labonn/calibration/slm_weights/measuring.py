"""Measures one panel, as a plan: sweep, fit, judge, verify on fresh levels, and take the readings of a drift check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labonn.bench import Plan
from labonn.calibration.calibration import DriftCheck, Verification, by_channel
from labonn.calibration.judging import SEEN, raise_failed
from labonn.calibration.measuring import MOST_CHANGE, NOISE, Measuring
from labonn.calibration.slm_weights.judging import judged
from labonn.calibration.slm_weights.model import Frames, Panel, fitted_panel, tap_light
from labonn.calibration.slm_weights.sweep import PanelSweep
from labonn.calibration.sweeps import fresh, scrambled
from labonn.channels import Floats
from labonn.errors import CalibrationError
from labonn.response import HARMONICS, response_of
from labonn.shots import ShotTable
from labonn.units import format_quantity

KIND = "slm_weights"
CHECK_DWELL_S = 1 / 120  # shots as long as a panel's refresh, over which its flicker averages
Show = Callable[[Floats], Floats]


@dataclass(frozen=True)
class PanelOutcome:
    """All that was measured of one SLM.

    Attributes:
        sweep, names: of what. panel, frames: fitted, and what was shown. middle: (L,) fields at the levels of the sweep, on the mean.
        residuals: (M, R, C) of fresh frames, fields. verification, check: for the calibration. words: (R C,) what is wrong, or "".
    """

    sweep: PanelSweep
    names: Sequence[str]
    panel: Panel
    frames: Frames
    middle: Floats
    residuals: Floats
    verification: Verification
    words: list[str]
    check: DriftCheck | None = None

    @property
    def good(self) -> NDArray[np.bool_]:
        """(R, C) macropixels that are not left out."""
        return np.array([not told for told in self.words]).reshape(self.sweep.shape)


def measure_panel(sweep: PanelSweep, how: Measuring, names: Sequence[str], show: Show) -> Plan[PanelOutcome]:
    """The outcome.

    Args:
        show: fields -> those of the nearest codes, as the panel was built: before any correction of its tables.

    Raises:
        CalibrationError: names the worst macropixels, beams or taps, or tells what is wrong with the whole panel.
    """
    rows, columns = sweep.shape
    count = rows * columns
    wanted = -np.cos(np.linspace(0, np.pi, how.levels))
    order = scrambled(np.zeros(count), np.full(count, how.levels - 1.0), how.levels, how.passes, how.seed)
    frames, light, saturated = yield from _played(sweep, show, wanted, np.rint(order).astype(np.int64).T)
    words, used = judged(sweep, frames, light, saturated)
    raise_failed(KIND, sweep.port, by_channel(words, names), count, how.leave_out)
    panel = fitted_panel(frames, light, used, sweep.axis)
    _sound(sweep, how, frames, light, used, panel)
    half = 0.5 * np.pi / (how.levels - 1)
    between = np.unique(np.concatenate([-np.cos(np.linspace(half, np.pi - half, how.levels - 1))]))
    gaps = fresh(np.zeros(count), np.full(count, how.levels - 1.0), how.levels, how.fresh, how.seed)
    again, seen, _ = yield from _played(sweep, show, between, np.floor(gaps).astype(np.int64).T)
    outcome = _verified(sweep, how, names, panel, frames, light, again, seen, words)
    worst = (outcome.verification.largest / outcome.verification.allowed).tolist()
    severity = {name: part for name, part in zip(names, worst, strict=True) if np.isfinite(part)}
    raise_failed(KIND, sweep.port, by_channel(outcome.words, names), count, how.leave_out, severity)
    return replace(outcome, check=(yield from _check(sweep, how, show(wanted))))


def _played(sweep: PanelSweep, show: Show, wanted: Floats, order: NDArray[np.int64]) -> Plan[tuple[Frames, Floats, NDArray[np.bool_]]]:
    """(frames with one before them, (N, R, C) light of all but that one, (taps,) which saturated).

    Args:
        wanted: (L,) fields. order: (N, R C) indices of levels.
    """
    fields = show(wanted)
    index = np.concatenate([order[-1:], order]).reshape(-1, *sweep.shape)
    readings = yield sweep.table(fields[index])
    light, saturated = sweep.seen(len(index), readings)
    phases = 2 * np.arccos(-np.clip(fields, -1, 1))
    return Frames(phases, index), light[1:], saturated


def _sound(sweep: PanelSweep, how: Measuring, frames: Frames, light: Floats, used: NDArray[np.bool_], panel: Panel) -> None:
    """Raise CalibrationError for a curve that does not rise, light that changed, or a curve that moved during the sweep."""
    port, commanded = sweep.port, np.linspace(0, 2 * np.pi, 257)
    phase = _phase(panel.harmonics, commanded)
    if not np.all(np.diff(phase) > 0):
        raise CalibrationError(f"{port}: the phase falls with the gray level in places; the wrong gamma table or another range of phases?")
    change = float(np.abs(panel.light - 1).max())
    if change > MOST_CHANGE:
        raise CalibrationError(f"{port}: the light changed by {100 * change:.0f} % during the {KIND} calibration; nothing is kept")
    some = slice(0, min(len(used), max(2, 4096 // used.shape[1])))
    middle = len(light) // 2
    early = fitted_panel(frames.part(some).half(False), light[:middle, some], used[some], sweep.axis)
    late = fitted_panel(frames.part(some).half(True), light[middle:, some], used[some], sweep.axis)
    moved = _phase(late.harmonics, commanded) - _phase(early.harmonics, commanded)
    basis = np.sin(np.outer(commanded / 2, np.arange(1, HARMONICS + 1)))
    both = early.covariance[:HARMONICS, :HARMONICS] + late.covariance[:HARMONICS, :HARMONICS]
    error = np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", basis, both, basis), 0))
    beyond = (np.abs(moved) > how.within.drift * 2 * np.pi) & (np.abs(moved) > SEEN * error)
    if beyond.any():
        most = format_quantity(float(np.abs(moved[beyond]).max()), "rad", 3)
        allowed = format_quantity(how.within.drift * 2 * np.pi, "rad", 3)
        raise CalibrationError(f"{port}: drifted: its phases moved by {most} between the two halves of the sweep, {allowed} is allowed")


def _phase(harmonics: Floats, commanded: Floats) -> Floats:
    return np.asarray(commanded + np.sin(np.outer(commanded / 2, np.arange(1, HARMONICS + 1))) @ harmonics)


def _verified(
    sweep: PanelSweep, how: Measuring, names: Sequence[str], panel: Panel, frames: Frames, light: Floats, again: Frames, seen: Floats,
    words: list[str],
) -> PanelOutcome:  # fmt: skip
    """What fresh levels say; in fields, of each macropixel's own light."""
    good = panel.scale != 0
    volts = np.where(good, np.abs(panel.scale) * np.abs(panel.volts), np.inf)
    residuals = _left(panel, again, seen, good, sweep.axis) / volts
    noise = np.maximum(panel.noise, 1e-12)
    largest, rms = np.abs(residuals).max(axis=0), np.sqrt(np.square(residuals).mean(axis=0))
    allowed = np.where(good, 2 * how.within.residual + NOISE * noise, np.nan)
    flat = [np.where(good, part, np.nan).reshape(-1).astype(np.float32) for part in (rms, largest, largest / noise, allowed)]
    verification = Verification(len(again.index) - 1, "1", *flat)
    off = (largest > allowed).reshape(-1)
    told = list(words)
    for c in np.flatnonzero(off & np.array([not word for word in words])):
        told[c] = f"out of tolerance: a fresh level is {flat[1][c]:.3g} of full field off the fitted curve, {flat[3][c]:.3g} is allowed"
    middle = response_of(frames.levels, panel.harmonics)
    left = np.where(good, _left(panel, frames, light, good, sweep.axis) / volts, 0.0)
    counts = np.maximum(np.bincount(frames.index[1:][:, good].ravel(), minlength=len(middle)), 1)
    middle = middle + np.bincount(frames.index[1:][:, good].ravel(), left[:, good].ravel(), len(middle)) / counts
    return PanelOutcome(sweep, names, panel, frames, middle, residuals, verification, told)


def _left(panel: Panel, frames: Frames, light: Floats, good: NDArray[np.bool_], axis: int) -> Floats:
    """(N, R, C) volts measured minus predicted, each frame's light taken out."""
    expected = panel.predicted(frames)
    expected[:, ~good] = 0.0
    factor = tap_light(expected, light, axis)
    return np.where(good, light - factor * expected, 0.0)


def _check(sweep: PanelSweep, how: Measuring, levels: Floats) -> Plan[DriftCheck]:
    """A few random frames, crossed by all beams at once."""
    rng = np.random.default_rng([how.seed, how.frames, 2])
    index = rng.integers(0, len(levels), (how.frames, sweep.shape[0] * sweep.shape[1]))
    beams = np.array(0.5 * (sweep.plus + sweep.minus))
    beams[sweep.channels] = np.where(sweep.codes()[:, 0] > 0, sweep.plus[sweep.channels], sweep.minus[sweep.channels])
    banks = {sweep.port: levels[index], sweep.beams: beams[None, :], **{port: row[None, :] for port, row in sweep.held.items()}}
    orders = {sweep.port: np.repeat(np.arange(how.frames), how.repeats), sweep.beams: np.zeros(how.frames * how.repeats, np.int64)}
    readings = yield ShotTable(dict(banks), orders, CHECK_DWELL_S, (sweep.detector,))
    seen = readings[sweep.detector].astype(np.float64).reshape(how.frames, how.repeats, -1)
    expected, sigma = seen.mean(axis=1), seen.std(axis=1, ddof=1) / np.sqrt(how.repeats)
    tolerance = np.full(expected.shape[1], np.inf)
    tolerance[sweep.columns] = how.tolerance * np.sqrt(np.square(expected[:, sweep.columns]).mean())
    banks[sweep.port] = banks[sweep.port].astype(np.float32)
    return DriftCheck(
        {port: np.asarray(bank) for port, bank in banks.items()}, orders, CHECK_DWELL_S, how.repeats, sweep.detector, sweep.unit,
        expected, sigma, tolerance,
    )  # fmt: skip
