"""What the fit of steps means, channel by channel, in words: dead, saturated, swapped, too slow, too fast, not settled; or nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labonn.calibration.fitting import Fitted
from labonn.calibration.judging import LEAST_USED, SEEN, Tolerances, Words
from labonn.calibration.places import FOLLOWS
from labonn.calibration.settling.model import ONSETS, TAUS
from labonn.calibration.settling.place import Place
from labonn.calibration.settling.sweep import StepSweep
from labonn.calibration.sweeps import Points
from labonn.units import format_quantity

WAYS = ("rise", "fall")
DEAD = 0.02  # of the step of the better channels
MOST_SATURATED = 0.005  # of the readings at all levels, which have to show the ends of its fringe
LEFT = 0.01  # of a step, at the end of the window: more has not settled
NEAR = 0.02  # of a step, for those that have another curve
SAMPLES = 0.5  # a time constant of fewer samples is not seen


def judge_steps(
    sweep: StepSweep, points: Points, place: Place, fitted: Fitted, within: Tolerances, names: Sequence[str]
) -> list[str]:  # fmt: skip
    """(C,) words, "" for channels with which nothing is wrong; `within.error` is of a time constant."""
    words = np.full(len(names), "", dtype=object)
    most = np.maximum(place.saturated, 1 - points.used.mean(axis=1))
    for c in np.flatnonzero((place.saturated > MOST_SATURATED) | (most > 1 - LEAST_USED)):
        words[c] = f"saturated: {100 * most[c]:.2g} % of its readings are at the end of the detector's range"
    for c in np.flatnonzero((words == "") & (place.follows >= 0)):
        words[c] = f"swapped: it answers to {names[int(place.follows[c])]}"
    _still(words, sweep, points, fitted)
    for way, tau_at, onset_at in zip(WAYS, TAUS, ONSETS, strict=True):
        _timed(words, sweep, fitted, within, (way, tau_at, onset_at))
    follows = fitted.explained(points.y)
    for c in np.flatnonzero(words == ""):
        if follows[c] < FOLLOWS:
            words[c] = f"off the curve: its fit leaves {100 * (1 - follows[c]):.0f} % of the scatter; {_there(sweep, points, int(c))}"
        elif fitted.degenerate[c] or not fitted.converged[c]:
            told = "its samples do not tell the parameters of a first-order curve apart; a longer dwell, or it is of another order"
            words[c] = f"undetermined: {told}; {_there(sweep, points, int(c))}"
    return [str(told) for told in words]


def _there(sweep: StepSweep, points: Points, c: int) -> str:
    """When a channel's readings have come to stay near their ends, whatever their curve."""
    n, told = points.x.shape[1] // 2, []
    for way, part in zip(WAYS, (slice(None, n), slice(n, None)), strict=True):
        t, y = points.x[c, part], points.y[c, part]
        tail = y[-max(2, sweep.samples // 8) :]
        away = np.abs(y - tail.mean()) > NEAR * np.abs(y[0] - tail.mean()) + 3 * tail.std()
        told.append(f"its {way} is after {format_quantity(float(t[away][-1]) if away.any() else 0.0, 's', 3)}")
    return f"within {100 * NEAR:.0f} % of the end {' and '.join(told)}"


def _still(words: Words, sweep: StepSweep, points: Points, fitted: Fitted) -> None:
    """Readings that do not step: what is read in the last part of a level is compared, high with low."""
    n = points.x.shape[1] // 2
    part = max(1, sweep.samples // 4)
    high, low = points.y[:, n - part : n], points.y[:, 2 * n - part :]
    change = np.abs(high.mean(axis=1) - low.mean(axis=1))
    noise = np.hypot(high.std(axis=1), low.std(axis=1)) / np.sqrt(part)
    alive = (words == "") & (change > SEEN * noise)
    usual = float(np.quantile(change[alive], 0.75)) if alive.any() else np.inf
    sizes = np.ptp(points.y, axis=1)
    for c in np.flatnonzero(
        (words == "") & (change < np.maximum(DEAD * usual, SEEN * noise)) & (sizes < np.maximum(DEAD * usual, 4 * SEEN * noise))
    ):
        told = format_quantity(float(change[c]), sweep.unit, 3)
        words[c] = f"dead: its steps change the reading by {told}, no more than noise and neighbours do; a blocked beam, or an open line?"


def _timed(words: Words, sweep: StepSweep, fitted: Fitted, within: Tolerances, way: tuple[str, int, int]) -> None:
    name, tau_at, onset_at = way
    window = sweep.window_s
    for c in np.flatnonzero(words == ""):
        tau, onset = float(fitted.parameters[c, tau_at]), max(float(fitted.parameters[c, onset_at]), 0.0)
        error = float(fitted.errors[c, tau_at])
        told, seen = (format_quantity(value, "s", 3) for value in (tau, window))
        left = np.exp(-max(window - onset, 0.0) / tau) if tau > 0 else 0.0
        fast = tau < SAMPLES * sweep.dwell_s or (sweep.late_s > 0 and tau * np.log(1 / LEFT) < sweep.late_s)
        if fast:
            first = format_quantity(sweep.late_s + 0.5 * sweep.dwell_s, "s", 3)
            words[c] = f"too fast: its {name} is over at the first sample, {first} after the step; a shorter dwell{_wait(sweep)}"
        elif tau > window:
            words[c] = f"too slow for the window of {seen}: its {name} has a time constant of about {told}; more samples, or a longer dwell"
        elif left > LEFT:
            words[c] = (
                f"not settled: {seen} after a step {100 * left:.2g} % of its {name} is still to come; more samples, or a longer dwell"
            )
        elif np.isfinite(error) and error > within.error * tau:
            words[c] = f"too noisy: its {name} of {told} is known to {100 * error / tau:.2g} % only; larger steps, or more cycles"


def _wait(sweep: StepSweep) -> str:
    return ", or a shorter settle_s in the bench file, before which a held port is not read" if sweep.late_s else ""
