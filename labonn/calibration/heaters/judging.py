"""What the fit of a bank of heaters means, in words: blocked, dead, swapped, degenerate, drifted; nothing when good."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labonn.calibration.fitting import Mask, fit
from labonn.calibration.heaters.fit import ALIVE, BankFit
from labonn.calibration.heaters.model import OWN, SIMPLE, placed
from labonn.calibration.judging import LEAST_USED, SEEN, Tolerances, Words
from labonn.calibration.places import FOLLOWS, followed
from labonn.calibration.sweeps import Points
from labonn.channels import Floats
from labonn.shots import Ints
from labonn.units import format_quantity

DARK = 0.02  # of the light of the better channels, below which there is none
NOISE = 8.0  # standard deviations of a reading, likewise
FEW = 60  # points that tell which heater a detector follows
SHARED = 0.5  # of a heater's own phase: more of it in another one, and the other way round, makes a degenerate pair
QUARTERS = 4
LIVELY = 0.5  # of the change of light of the better channels: more than others' heat alone does
MOST_STEPS = 60


def judge_bank(
    points: Points, drives: Floats, found: BankFit, noise: float, unit: str, within: Tolerances, names: Sequence[str]
) -> list[str]:
    """(C,) words, "" for heaters with which nothing is wrong.

    Args:
        points, drives, found: a sweep, as of `fit_bank`, and its fit. noise: standard deviation of a reading in the dark, 0 if unknown.
        within: of phases in radians (drift, error). unit: of readings.
    """
    words = np.full(len(names), "", dtype=object)
    count = points.x.shape[1]
    starved = points.used.sum(axis=1) < LEAST_USED * count
    for c in np.flatnonzero(starved):
        words[c] = f"saturated: {int(points.saturated[c])} of {count} readings are at the end of the detector's range"
    light = np.where(points.used, points.y, -np.inf).max(axis=1) - np.nan_to_num(points.dark)
    usual = float(np.quantile(light[~starved], 0.75)) if (~starved).any() else 0.0
    for c in np.flatnonzero(~starved & (light <= max(DARK * usual, NOISE * noise))):
        told = format_quantity(max(float(light[c]), 0.0), unit, 3)
        words[c] = f"blocked: with light its detector reads at most {told} more than in the dark; a blocked beam, or the laser is off?"
    _silent(words, points, found.alive, unit, names)
    _pairs(words, found, names)
    _moved(words, points, drives, found, within)
    _poor(words, points, found, within)
    return [str(told) for told in words]


def _silent(words: Words, points: Points, alive: Mask, unit: str, names: Sequence[str]) -> None:
    """Detectors that see light, but not their own heater."""
    which = np.flatnonzero((words == "") & ~alive)
    if not which.size:
        return
    squares, y, used = np.square(points.x[:, :FEW]), points.y[:, :FEW], points.used[:, :FEW]
    changes = np.ptp(points.y, axis=1)
    usual = float(np.quantile(changes, 0.75))
    for c, other, away in zip(which, followed(squares, y, used, which), _away(points, which), strict=True):
        told = format_quantity(float(changes[c]), unit, 3)
        sums = squares[c] + squares
        sums[c] = squares[c]
        twin = int(followed(sums, y, used, np.array([c]))[0])
        if other not in (-1, c):
            words[c] = f"swapped: it answers to {names[int(other)]}"
        elif twin not in (-1, c):
            words[c] = f"degenerate: {names[twin]} changes its phase as much as its own heater does; the two cannot be told apart"
        elif np.isfinite(away):
            words[c] = f"drifted: its phase moved by {away:+.2g} rad from the first to the last quarter of the sweep"
        elif changes[c] > LIVELY * usual:
            words[c] = f"off the curve: light changes by {told}, in no fringe of its own heater; is there so much crosstalk, or drift?"
        else:
            words[c] = f"dead: light changes by {told}, but not with its own heater; its line is open or shorted?"


def _away(points: Points, which: Ints) -> Floats:
    """(F,) what phases moved by, of those of `which` that follow their heaters in every quarter of the sweep; NaN of others."""
    offsets, follow = [], np.ones(len(which), bool)
    for part in np.array_split(np.arange(points.x.shape[1]), QUARTERS):
        where = np.ix_(which, part)
        x, y, used = points.x[where], points.y[where], points.used[where]
        found = fit(SIMPLE.curve, x, y, SIMPLE.start(x, y, used), used=used, loss="soft_l1", most_steps=MOST_STEPS)
        follow &= found.explained(y) >= ALIVE
        offsets.append(found.parameters[:, 2])
    offset = np.unwrap(np.array(offsets), axis=0)
    return np.where(follow, offset[-1] - offset[0], np.nan)


def _pairs(words: Words, found: BankFit, names: Sequence[str]) -> None:
    share = found.crosstalk()[0] - np.eye(len(names))
    both = np.minimum(np.abs(share), np.abs(share.T))
    for c in np.flatnonzero((words == "") & (both.max(axis=1, initial=0.0) > SHARED)):
        twin = int(np.argmax(both[c]))
        words[c] = (
            f"degenerate: {names[twin]} changes its phase by {100 * share[c, twin]:.0f} % of what it changes its own by, and vice versa"
        )


def _moved(words: Words, points: Points, drives: Floats, found: BankFit, within: Tolerances) -> None:
    """Phases that grew steadily during the sweep: residuals that follow the slope of the fringe times the time."""
    channels, count = points.x.shape
    slope = found.model.curve(found.fitted.parameters, placed(channels, np.arange(count), len(drives)))[1][..., 2]
    steady = np.where(np.isfinite(found.fitted.residuals), slope, 0.0) * np.linspace(-0.5, 0.5, count)
    power = np.maximum(np.square(steady).sum(axis=1), 1e-300)
    moved = np.nansum(steady * found.fitted.residuals, axis=1) / power
    sure = np.abs(moved) > SEEN * found.fitted.sigma / np.sqrt(power)
    for c in np.flatnonzero((words == "") & sure & (np.abs(moved) > within.drift)):
        words[c] = f"drifted: its phase moved by {1e3 * moved[c]:+.2g} mrad during the sweep"


def _poor(words: Words, points: Points, found: BankFit, within: Tolerances) -> None:
    follows, error = found.fitted.explained(points.y), found.fitted.errors[:, OWN.index("offset")]
    for c in np.flatnonzero(words == ""):
        if follows[c] < FOLLOWS:
            words[c] = f"off the curve: its fit leaves {100 * (1 - follows[c]):.0f} % of the scatter of its readings"
        elif found.fitted.degenerate[c] or not found.fitted.converged[c]:
            words[c] = "undetermined: its points do not tell the parameters of the curve apart; more points, or a larger range"
        elif not error[c] <= within.error:
            words[c] = f"too noisy: its phase is known to {1e3 * error[c]:.2g} mrad only; more points, more light, or a larger range"
