"""What tapped light says is wrong, in words: of single taps, and of whole cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labonn.calibration.absorbers.fitting import CellFit, TapPoints, joined, refined
from labonn.calibration.absorbers.sweep import BEFORE, BEHIND
from labonn.calibration.fitting import Mask
from labonn.calibration.judging import CURVED, DEAD, LEAST_USED, SEEN
from labonn.channels import Floats
from labonn.units import format_quantity

FAINT = 30.0  # standard errors of a reading, from which on there is light at all
MISFIT = 0.02  # relative scatter, beyond which no model holds
PLENTY = 10.0  # saturation fields
OTHER = 0.02  # of its cell's optical depth, by which a tap may differ
MOST_ERROR = 0.01  # of an optical depth or saturation, to be called known
DRIFT = 0.01  # of the optical depth, from the first half of the sweep to the second


def swings(points: TapPoints) -> tuple[Floats, Floats]:
    """(D,) how far readings before and behind the cell change, where neither is saturated."""
    found = []
    for volts in (points.x, points.y):
        high = np.where(points.used, volts, -np.inf).max(axis=1)
        low = np.where(points.used, volts, np.inf).min(axis=1)
        found.append(np.where(points.used.any(axis=1), high - low, 0.0))
    return found[0], found[1]


def silent_taps(points: TapPoints, names: tuple[Sequence[str], Sequence[str]]) -> list[str]:
    """(D,) words for taps that saturated, or that see no light."""
    (before, behind), count = swings(points), points.x.shape[1]
    starved = points.used.mean(axis=1) < LEAST_USED
    told = np.full(len(before), "", dtype=object)
    usual = np.array([[np.quantile(part[points.cell == h], 0.75) for h in points.cell] for part in (before, behind)])
    dark = [(s < DEAD * u) | (s < FAINT * e) for s, u, e in zip((before, behind), usual, (points.sigma_x, points.sigma_y), strict=True)]
    hidden = [bool(dark[1][points.cell == h].all()) for h in range(int(points.cell.max()) + 1)]  # a whole cell is judged as such
    for c in range(len(told)):
        one, two = f"{BEFORE}/{names[0][c]}", f"{BEHIND}/{names[1][c]}"
        seen, passed = (format_quantity(float(s[c]), "V", 3) for s in (before, behind))
        if starved[c]:
            told[c] = f"saturated: {int((~points.used[c]).sum())} of {count} readings are at the end of a detector's range"
        elif dark[0][c] and dark[1][c]:
            told[c] = f"blocked: the whole sweep changes {one} by {seen} and {two} by {passed}, which is noise; a blocked beam?"
        elif dark[0][c] or (dark[1][c] and not hidden[points.cell[c]]):
            dead, here, other, there = (one, seen, two, passed) if dark[0][c] else (two, passed, one, seen)
            told[c] = f"dead: the whole sweep changes {dead} by {here} and {other} by {there}; a dead detector or its cable?"
    return [str(words) for words in told]


def wrong_taps(found: CellFit, points: TapPoints, words: Sequence[str]) -> list[str]:
    """(D,) words, also for taps that follow no curve or another one than their cell."""
    told, follows = list(words), found.taps.explained(points.y)
    error = np.hypot(found.apart_error, found.depth_error[points.cell])
    off = found.apart - found.depth[points.cell]
    for c in range(len(told)):
        own, cell = f"{found.apart[c]:.4g} +- {found.apart_error[c]:.2g}", f"{found.depth[points.cell[c]]:.4g}"
        if told[c] or not np.isfinite(found.depth[points.cell[c]]):
            continue
        if not found.taken[c]:
            told[c] = "undetermined: too little light passes its cell to tell the parameters of its curve apart"
            continue
        if not follows[c] >= CURVED:
            told[c] = f"off the curve: its fit leaves {100 * (1 - follows[c]):.0f} % of the scatter of its readings"
        elif abs(off[c]) > OTHER * found.depth[points.cell[c]] and abs(off[c]) > SEEN * error[c]:
            told[c] = f"another optical depth: {own} by itself, and {cell} in its cell; does its beam pass the cell's edge?"
    return told


def reaches(points: TapPoints, volts: float, good: Mask, cells: int) -> Floats:
    """(H,) largest fields that most taps of a cell see, in saturation fields as believed."""
    most = np.where(points.used, np.abs(points.x), 0.0).max(axis=1) / volts
    return np.array([np.median(most[good & (points.cell == h)]) if (good & (points.cell == h)).any() else 0.0 for h in range(cells)])


def wrong_cells(found: CellFit, points: TapPoints, good: Mask, volts: float) -> list[str]:
    """(H,) words for cells whose optical depth or saturation cannot be told, or changed during the sweep, or that follow no model."""
    cells = len(found.depth)
    reach, part = reaches(points, volts, good, cells), found.depth_error / np.abs(found.depth)
    size = found.taps.parameters[:, 0]
    sizes = found.taps.errors[:, 0] / np.abs(size)
    told = [""] * cells
    for h in range(cells):
        own = found.taken & (points.cell == h)
        if not own.any() or not (part[h] <= MOST_ERROR and np.median(sizes[own]) <= MOST_ERROR and found.depth[h] > 0):
            known = (
                f"its optical depth is known to {100 * part[h]:.2g} %"
                if own.any() and np.isfinite(part[h])
                else "nothing tells its optical depth"
            )
            arrives = f"{reach[h]:.2g} saturation fields (as believed) reach its taps"
            told[h] = f"undetermined: too little light to saturate it: {arrives}, {known}, its saturation no better; more gain?"
            if reach[h] > PLENTY:
                told[h] = f"undetermined: {arrives}, but {known}; is a beam blocked behind it, or is it too deep for this light?"
        elif found.rho > MISFIT:
            told[h] = f"off every curve: the best model, {found.kind}, leaves {100 * found.rho:.2g} % of bright readings"
    return _drifted(found, points, told)


def _drifted(found: CellFit, points: TapPoints, words: list[str]) -> list[str]:
    """Compare the two halves of the sweep, which pass the same levels."""
    middle, cells = points.x.shape[1] // 2, len(words)
    halves = []
    for part in (slice(None, middle), slice(middle, None)):
        fitted, _ = refined(points.at(part), found.kind, found.taps.parameters, found.rho)
        halves.append(joined(points.at(part), found.kind, fitted, found.rho, found.taken, cells))
    moved, error = halves[1].depth - halves[0].depth, np.hypot(halves[0].depth_error, halves[1].depth_error)
    told = list(words)
    for h in range(cells):
        if not told[h] and abs(moved[h]) > DRIFT * found.depth[h] and abs(moved[h]) > SEEN * error[h]:
            shown = f"{100 * moved[h] / found.depth[h]:+.2g} %"
            told[h] = f"drifted: its optical depth moved by {shown} between the two halves of the sweep; is its oven settled?"
    return told
