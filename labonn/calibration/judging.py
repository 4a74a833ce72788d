"""What a fit means, channel by channel, in words: dead, saturated, swapped, drifted, undetermined, or nothing at all when it is good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labonn.calibration.fitting import Fitted, fit
from labonn.calibration.models import Model
from labonn.calibration.places import FOLLOWS
from labonn.calibration.sweeps import Points, Sweep
from labonn.errors import CalibrationError
from labonn.shots import Readings
from labonn.units import format_quantity

Words = NDArray[np.object_]
DEAD = 0.02  # of the swing of the better channels
CURVED = 0.5  # of the scatter explained, below which there is only noise
SEEN = 5.0  # standard errors
LEAST_USED = 0.6  # of the points
TOLD = 4  # channels in a message


@dataclass(frozen=True)
class Tolerances:
    """What a good channel may have.

    Attributes:
        residual: largest residual of a fresh point, as a part of the channel's swing, beside its noise.
        drift: how far a watched parameter may move from the first to the second half of the sweep, as a part of its measure (V_pi).
        error: largest standard error of a watched parameter, in the same measure.
    """

    residual: float = 0.01
    drift: float = 0.01
    error: float = 0.01


def judge(
    model: Model, sweep: Sweep, points: Points, fitted: Fitted, readings: Readings, within: Tolerances, names: Sequence[str]
) -> list[str]:  # fmt: skip
    """(C,) words, "" for channels with which nothing is wrong."""
    words = np.full(len(names), "", dtype=object)
    swing, follows = model.swing(fitted.parameters), fitted.explained(points.y)
    count = points.x.shape[1]
    starved = (points.used.sum(axis=1) < LEAST_USED * count) | (points.used.sum(axis=1) <= len(model.parameters) + 2)
    for c in np.flatnonzero(starved):
        words[c] = f"saturated: {int(points.saturated[c])} of {count} readings are at the end of the detector's range"
    silent = ~starved & ~(follows >= FOLLOWS)
    usual = float(np.quantile(swing[~silent & ~starved], 0.75)) if np.any(~silent & ~starved) else 0.0
    silent |= ~starved & (swing < DEAD * usual)
    other = sweep.swapped(points, readings, silent)
    for c in np.flatnonzero((words == "") & (silent | (other >= 0))):
        told = format_quantity(float(np.ptp(points.y[c])), sweep.unit, digits=3)
        if other[c] >= 0:
            words[c] = f"swapped: it answers to {names[int(other[c])]}"
        elif follows[c] >= CURVED and swing[c] > DEAD * usual:
            left = f"{100 * (1 - follows[c]):.0f} % of the scatter of its readings"
            words[c] = f"off the curve: its fit leaves {left}, by noise or because the curve is another one"
        else:
            words[c] = f"dead: its whole sweep changes the reading by {told}, which is noise; a blocked beam or a broken cable?"
    good = words == ""
    for c in np.flatnonzero(good & (fitted.degenerate | ~fitted.converged)):
        words[c] = "undetermined: its points do not tell the parameters of the curve apart"
    _unsure(words, model, fitted, within)
    _drifted(words, model, points, fitted, within)
    return [str(told) for told in words]


def _unsure(words: Words, model: Model, fitted: Fitted, within: Tolerances) -> None:
    for name, measure in model.watched.items():
        i, of = model.parameters.index(name), model.parameters.index(measure)
        part = fitted.errors[:, i] / np.abs(fitted.parameters[:, of])
        for c in np.flatnonzero((words == "") & ~(part <= within.error)):
            words[c] = f"too noisy: its {name} is known to {100 * part[c]:.2g} % of its {measure} only; more repeats, or more light"


def _drifted(words: Words, model: Model, points: Points, fitted: Fitted, within: Tolerances) -> None:
    """Compare the two halves of the sweep, which pass the same levels."""
    halves = []
    for second in (False, True):
        half = points.half(second)
        halves.append(fit(model.curve, half.x, half.y, fitted.parameters, used=half.used, loss="huber"))
    for name, measure in model.watched.items():
        i, of = model.parameters.index(name), model.parameters.index(measure)
        moved = halves[1].parameters[:, i] - halves[0].parameters[:, i]
        error = np.hypot(halves[0].errors[:, i], halves[1].errors[:, i])
        size = np.abs(fitted.parameters[:, of])
        for c in np.flatnonzero((words == "") & (np.abs(moved) > within.drift * size) & (np.abs(moved) > SEEN * error)):
            shown = f"{100 * moved[c] / size[c]:+.2g} %" + ("" if measure == name else f" of its {measure}")
            words[c] = f"drifted: its {name} moved by {shown} between the two halves of the sweep"


def raise_failed(
    kind: str, port: str, words: Mapping[str, str], count: int, allowed: int, severity: Mapping[str, float] | None = None
) -> None:  # fmt: skip
    """Raise CalibrationError if more channels than `allowed` have words; the worst are named.

    Args:
        words: channel -> what is wrong. count: channels of the port. severity: channel -> how bad; those that have none are the worst.
    """
    if len(words) <= allowed:
        return
    ordered = sorted(words, key=lambda channel: -(severity or {}).get(channel, np.inf))
    told = "; ".join(f"{channel}: {words[channel]}" for channel in ordered[:TOLD])
    if len(words) > TOLD:
        kinds = Counter(one.partition(":")[0] for one in words.values())
        told += f"; {len(words) - TOLD} more ({', '.join(f'{number} {what}' for what, number in kinds.most_common())} in all)"
    if len(words) == count and all(one.startswith("dead") for one in words.values()):
        told += "; is the light on?"
    raise CalibrationError(f"{port}: {len(words)} of {count} channels failed the {kind} calibration, nothing is kept: {told}")
