"""Absorbers, measured: ovens to their temperature, one sweep of all cells, the fit, fresh points, and a drift check, as a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from labonn.bench import Plan
from labonn.calibration.absorbers.check import drift_check
from labonn.calibration.absorbers.fitting import (
    HALF,
    CellFit,
    Kind,
    TapPoints,
    candidates,
    chosen,
    compare,
    errors_of,
    fit_cells,
    joined,
    quieter,
    refined,
)
from labonn.calibration.absorbers.judging import silent_taps, wrong_cells, wrong_taps
from labonn.calibration.absorbers.model import absorber
from labonn.calibration.absorbers.sweep import BEFORE, CellSweep, scrambled
from labonn.calibration.calibration import DriftCheck, Verification, by_channel
from labonn.calibration.judging import SEEN, raise_failed
from labonn.calibration.ovens.reading import OvenReading
from labonn.channels import Floats
from labonn.optics import Optics
from labonn.shots import ShotTable

KIND = "absorbers"
ReadOvens = Callable[[Floats], OvenReading]
MOVED = 0.02  # of the optical depth, which fresh points may tell otherwise
BRIGHT = 20.0  # standard errors of a reading behind the cell, from where on its relative residual counts


@dataclass(frozen=True)
class HowCells:
    """How to measure.

    Attributes:
        levels: of input light, of either sign. passes: an even number. fresh: levels to verify with. cell: None to find out.
        gaussian: beams. tolerance: of transmissions, at fresh points. leave_out: taps that may fail. seed: of the orders.
    """

    levels: int = 32
    passes: int = 2
    fresh: int = 12
    cell: str | None = None
    gaussian: bool = False
    tolerance: float = 0.01
    leave_out: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Checked:
    """What fresh points say.

    Attributes:
        points: (D, M). residuals, errors: (D, M) relative to the field behind the cell, NaN where that is too dim.
        depth, depth_error: (H,) optical depths of fresh points alone. verification: of cells.
        walked: relative change of the volts of a saturation field since the sweep, which readings later may have as well.
    """

    points: TapPoints
    residuals: Floats
    errors: Floats
    depth: Floats
    depth_error: Floats
    verification: Verification
    walked: float


@dataclass(frozen=True)
class CellOutcome:
    """All that was measured of the cells.

    Attributes:
        names: of cells. taps: names of taps before and behind. believed: the cell of the bench file. left: rms that models leave.
        points, found: sweep and fit. checked: fresh points. words: of taps, "" where nothing is wrong. ovens: before and after.
    """

    names: Sequence[str]
    taps: tuple[Sequence[str], Sequence[str]]
    believed: str
    left: dict[Kind, float]
    points: TapPoints
    found: CellFit
    checked: Checked
    words: list[str]
    ovens: tuple[OvenReading, OvenReading]
    check: DriftCheck


def measure_cells(
    sweep: CellSweep, how: HowCells, names: Sequence[str], taps: tuple[Sequence[str], Sequence[str]], target_c: Floats, read: ReadOvens
) -> Plan[CellOutcome]:
    """Measure all cells at one temperature each.

    Args:
        names, taps: for messages. target_c: (H,) of the ovens. read: asks their sensors, between tables.

    Raises:
        CalibrationError: an oven is not settled; or names the worst taps, or cells, and what is wrong with them.
    """
    ovens = np.array(target_c[None, :], np.float64)
    yield ShotTable({"ovens": ovens}, dwell_s=sweep.dwell_s, read=())
    before = settled(read(target_c), names)
    fields, rows = scrambled(sweep.levels(how.levels), len(sweep.currents), how.passes, how.seed)
    points = sweep.points((yield sweep.table(fields, rows)))
    left, found, words = fit_sweep(points, how, sweep.optics, names, taps)
    again, steps = scrambled(sweep.levels(how.levels, how.fresh), len(sweep.currents), 1, how.seed + 1)
    checked = verify(found, sweep.points((yield sweep.table(again, steps))), how)
    after = settled(read(target_c), names)
    raise_failed(KIND, "ovens", by_channel(off_words(found, checked), names), len(names), 0)
    check = yield from drift_check(sweep, fields, rows, points, found, ovens)
    return CellOutcome(names, taps, sweep.optics.cell, left, points, found, checked, words, (before, after), check)


def settled(reading: OvenReading, names: Sequence[str]) -> OvenReading:
    """The reading.

    Raises:
        CalibrationError: an oven is not at its target, or moves.
    """
    raise_failed(KIND, "ovens", by_channel(reading.words(), names), len(names), 0)
    return reading


def fit_sweep(
    points: TapPoints, how: HowCells, optics: Optics, names: Sequence[str], taps: tuple[Sequence[str], Sequence[str]]
) -> tuple[dict[Kind, float], CellFit, list[str]]:  # fmt: skip
    """(rms that models leave, fit of the best, (D,) words of taps that are left out).

    Raises:
        CalibrationError: names the worst taps or cells.
    """
    volts, cells, count = optics.detectors.forward, len(names), len(points.x)
    words = silent_taps(points, taps)
    raise_failed(KIND, BEFORE, by_channel(words, taps[0]), count, how.leave_out)
    good = np.array([not told for told in words])
    left = compare(points, volts, cells, good, candidates(optics.cell, how.cell, how.gaussian))
    found = fit_cells(points, chosen(left, how.cell or optics.cell), volts, cells, good)
    raise_failed(KIND, "ovens", by_channel(wrong_cells(found, points, good, volts), names), cells, 0)
    words = wrong_taps(found, points, words)
    raise_failed(KIND, BEFORE, by_channel(words, taps[0]), count, how.leave_out)
    good = np.array([not told for told in words])
    quiet = quieter(points, found.kind, found.taps.parameters)
    return left, joined(quiet, found.kind, *refined(quiet, found.kind, found.taps.parameters, found.rho), good, cells), words


def verify(found: CellFit, fresh: TapPoints, how: HowCells) -> Checked:
    """Residuals of fresh points, relative to the field behind the cell, and what fresh points alone tell."""
    kind, parameters = found.kind, found.taps.parameters
    fresh = quieter(fresh, kind, parameters)
    again = joined(fresh, kind, *refined(fresh, kind, parameters), found.taken, len(found.depth))
    walked = _walked(found, again)
    value, _ = absorber(kind.cell, kind.leaky, kind.gaussian)(parameters, fresh.x)
    light = value - parameters[:, 4, None]
    errors = errors_of(fresh, kind, parameters, float(np.hypot(found.rho, walked))) / np.maximum(np.abs(light), 1e-12)
    counted = fresh.used & found.taken[:, None] & (errors < 1 / BRIGHT)
    residuals = np.where(counted, (fresh.y - value) / np.where(counted, light, 1.0), np.nan)
    seen = _of_cells(found, fresh, residuals, errors, how.tolerance)
    return Checked(fresh, residuals, errors, again.depth, again.depth_error, seen, walked)


def _walked(found: CellFit, again: CellFit) -> float:
    """Relative change of the volts of saturation fields, beyond their errors: of detectors before and behind, the larger one."""
    changes = [0.0]
    for column in (0, 1):
        size, error = found.taps.parameters[found.taken, column], np.hypot(again.taps.errors, found.taps.errors)[found.taken, column]
        moved = np.square(again.taps.parameters[found.taken, column] / size - 1)
        changes.append(float(np.sqrt(max(np.median(moved) / HALF - np.median(np.square(error / size)), 0.0))) if size.size else 0.0)
    return max(changes)


def _of_cells(found: CellFit, fresh: TapPoints, residuals: Floats, errors: Floats, tolerance: float) -> Verification:
    """The worst point of each cell, by what it may be off; NaN for cells that have none."""
    values = []
    for h in range(len(found.depth)):
        own = np.isfinite(residuals) & (fresh.cell == h)[:, None]
        off, unsure = np.abs(residuals[own]), errors[own]
        if not off.size:
            values.append((np.nan,) * 4)
            continue
        allowed = tolerance + SEEN * unsure
        worst = int(np.argmax(off / allowed))
        values.append((float(np.sqrt(np.mean(np.square(off)))), float(off[worst]), float((off / unsure).max()), float(allowed[worst])))
    return Verification(residuals.shape[1], "", *(np.array(column) for column in zip(*values, strict=True)))


def off_words(found: CellFit, checked: Checked) -> list[str]:
    """(H,) words for cells whose fresh points say something else."""
    seen, told = checked.verification, []
    for h, depth in enumerate(found.depth):
        moved, error = checked.depth[h] - depth, float(np.hypot(checked.depth_error[h], found.depth_error[h]))
        if not np.isfinite(seen.largest[h]):
            told.append("saturated or dark: none of its fresh points can be used")
        elif abs(moved) > MOVED * depth and abs(moved) > SEEN * error:
            shown = f"{100 * moved / depth:+.2g} %"
            told.append(f"drifted: its optical depth moved by {shown} from the sweep to the fresh points; is its oven settled?")
        elif seen.largest[h] > seen.allowed[h]:
            most = f"{100 * seen.allowed[h]:.2g} % is allowed"
            told.append(f"out of tolerance: behind it a fresh point is {100 * seen.largest[h]:.2g} % off the fitted curve, {most}")
        else:
            told.append("")
    return told
