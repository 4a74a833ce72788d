"""What is wrong with the regions of a phase SLM, in words: blocked, swapped, saturated, folded, flickering, drifting, out of range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labonn.calibration.fitting import Mask
from labonn.calibration.judging import CURVED, SEEN, Words
from labonn.calibration.places import FOLLOWS
from labonn.calibration.slm_phase.grating import GratingSweep, Orders
from labonn.calibration.slm_phase.signs import Signs
from labonn.channels import Floats
from labonn.errors import CalibrationError
from labonn.shots import Ints

TURN = 2 * np.pi
LEAST_USED = 0.9  # of the points; what is missing of a fringe near an extremum cannot be made up for
DARK = 0.02  # of the light of the better regions
ALIKE = 0.8  # correlation with the fringe of another region's grays
BEND = 0.3  # what edges bend the phases by, in squares of how much both orders disagree (computed for blurs up to a tenth of a period)
MOST_STEP = 2.5  # rad from gray to gray; of more than half a turn nobody knows the direction
LEAK_SEEN = 3.0  # standard errors, which a leak itself makes large
MOST_APART = 0.3  # rad that the orders may disagree by


@dataclass(frozen=True)
class PhaseTolerances:
    """What a good region may have.

    Attributes:
        error_rad: of phases: rms of fresh points, and the standard error. turns: phase that the last code has to reach.
        drift: relative change of all phases from the first to the second half of the sweep. flicker_rad: rms, frame to frame.
    """

    error_rad: float = TURN / 100
    turns: float = 1.0
    drift: float = 0.01
    flicker_rad: float = 0.1


def silent_regions(sweep: GratingSweep, orders: Orders, alive: Mask, explained: Floats) -> Words:
    """(R,) words for regions that do not answer to their own grays.

    Raises:
        CalibrationError: none of them answers, to whatever gray.
    """
    words = np.full(sweep.count, "", dtype=object)
    count = orders.grays.shape[1]
    used = orders.used.sum(axis=1)
    for r in np.flatnonzero(used < LEAST_USED * count):
        words[r] = f"saturated: {count - int(used[r])} of {count} readings are at the end of the detectors' range"
    light = np.mean(orders.first + orders.zeroth, axis=1)
    noise = np.median(orders.scatter, axis=1)
    lit = light > np.maximum(SEEN * noise, DARK * np.quantile(light, 0.75))
    if not alive.any() and not (words != "").any():
        raise CalibrationError(_all_silent(sweep, light, lit if orders.lit else np.ones_like(lit)))
    answers_to = _followed(orders, alive & (explained >= FOLLOWS))
    for r in np.flatnonzero((words == "") & ~(alive & (explained >= CURVED))):
        if answers_to[r] >= 0:
            words[r] = f"swapped: its detectors answer to {sweep.names[answers_to[r]]}"
        elif not lit[r]:
            words[r] = "dead: no light in either order; a blocked beam or a broken cable?"
        elif alive[r]:
            part = f"its grays explain {100 * max(float(explained[r]), 0):.0f} % of that"
            words[r] = f"off the curve: its orders exchange light, but {part}; flicker?"
        else:
            words[r] = "dead: there is light, but it does not answer to the grating; does the beam meet the panel there?"
    return words


def _all_silent(sweep: GratingSweep, light: Floats, lit: Mask) -> str:
    if not lit.any():
        return f"{sweep.port}: no light in any of {sweep.count} regions, in neither order; is the light on? nothing is kept"
    return (
        f"{sweep.port}: wrong monitor? There is light in {int(lit.sum())} of {sweep.count} regions "
        f"({np.mean(light[lit]):.3g} {sweep.unit}), and none answers to its gratings, which went to {sweep.identity}. "
        f"Look which screen shows stripes, compare with "
        f"`labonn discover` and correct the link of {sweep.port}; else the panel is off, or its polarisation wrong. Nothing is kept"
    )


def _followed(orders: Orders, good: Mask) -> Ints:
    """(R,) the other region whose grays the first order follows, -1 for none; as the mean fringe of good regions has it."""
    none = np.full(len(good), -1)
    if not good.any():
        return none
    codes = int(orders.grays.max()) + 1
    grays = orders.grays.astype(np.intp)
    total, seen = np.zeros(codes), np.zeros(codes)
    swing = np.maximum(np.ptp(orders.first, axis=1, keepdims=True), 1e-300)
    np.add.at(total, grays[good], (orders.first / swing)[good])
    np.add.at(seen, grays[good], 1.0)
    expected = (total / np.maximum(seen, 1))[grays]
    parts = [values - values.mean(axis=1, keepdims=True) for values in (orders.first, expected)]
    one, two = (part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-300) for part in parts)
    alike = one @ two.T
    best = alike.argmax(axis=1)
    return np.where((alike.max(axis=1) > ALIKE) & (best != np.arange(len(good))), best, none)


def told(signs: Signs, r: int, period: int, within: PhaseTolerances) -> str:
    """What is wrong with region r, "" if nothing is; what would make the next findings wrong comes first."""
    s, most = signs, within.error_rad
    if s.leak_rad[r] > max(most, LEAK_SEEN * s.leak_error[r]):
        moves = f"its fringe moves by {s.leak_rad[r]:.2g} rad when the grating moves by half a period, {most:.2g} rad is allowed"
        return f"order overlap: {moves}: light of the zeroth order on the first's detector; a shorter --period, or a mask"
    if abs(s.moved[r]) > max(within.drift, SEEN * s.moved_error[r]):
        return f"drifted: its phases changed by {100 * s.moved[r]:+.2g} % between the two halves of the sweep"
    if s.flicker_rad[r] > within.flicker_rad:
        part = f"its phase scatters by {s.flicker_rad[r]:.2g} rad from frame to frame, {within.flicker_rad:g} rad is allowed"
        return f"flicker: {part}; average over whole refresh periods (--dwell, --repeats), or look at the panel's drive"
    if s.left[r] > 1 - FOLLOWS or s.falls[r] or s.step_rad[r] > MOST_STEP:
        step = f"phases rise by up to {s.step_rad[r]:.2g} rad between neighbouring grays, {MOST_STEP:g} is the most"
        return f"folded: phases that only rise leave {100 * s.left[r]:.1f} % of the scatter; {step}: more --levels?"
    if s.undetermined[r]:
        return f"range: the first order hardly has a maximum, without which its scale is unknown; {within.turns:g} turns are wanted"
    if s.apart_rad[r] > MOST_APART:
        apart = f"its two orders disagree by {s.apart_rad[r]:.2g} rad, {MOST_APART:g} rad is allowed"
        return f"order overlap: {apart}; a period of {period} columns is too short for the blur of the pixels (--period)"
    if s.error_rad[r] > most:
        return f"too noisy: its phases are known to {s.error_rad[r]:.2g} rad only, {most:.2g} rad is allowed; more --repeats or --passes"
    if s.last_rad[r] + 3 * s.last_error[r] < TURN * within.turns:
        return (
            f"range: its last code reaches {s.last_rad[r] / TURN:.3f} turns, {within.turns:g} are wanted (--turns, or a shorter wavelength)"
        )
    return ""
