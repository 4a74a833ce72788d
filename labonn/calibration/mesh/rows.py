"""Self-configuration of a triangular mesh, row by row (Miller 2013), to where a fit of everything may begin; two or three tables a row.

A row is the diagonal of couplers that gathers its light in one output. Couplers of the rows before it are held in their bar states, by what
was just found, so that beam k enters the row at its port k. All of its thetas are swept at once, each in an order of its own: with p_b the
reading of its output for beam b alone, coupler k hands on p_{k+1} of what passes it in all, p_0 + ... + p_{k+1}, whatever the others do.
Couplers that too seldom got light are swept once more, with those behind them, now known, in their cross states (rows of more than five).
Then thetas are set to gather all beams alike, and with beams k and k+1 lit together the output is a fringe of phi of coupler k alone.
Heaters of later rows, which that output does not see, are swept along: so it is told where a heater answers to another's channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from labonn.bench import Plan
from labonn.calibration.fitting import Fitted, Mask, fit
from labonn.calibration.mesh.bank import MeshSweep
from labonn.calibration.mesh.design import MeshDesign
from labonn.calibration.mesh.fit import MeshTruth
from labonn.calibration.mesh.heaters import HeaterCurves
from labonn.calibration.mesh.light import matrices
from labonn.calibration.models import fringe
from labonn.calibration.places import FOLLOWS, followed
from labonn.calibration.starts import fringe_start
from labonn.calibration.sweeps import Points, scrambled
from labonn.channels import Floats
from labonn.errors import CalibrationError
from labonn.shots import Ints

LIKE = 0.5  # of the scatter, that a heater's fringe explains at least; crosstalk of those that are swept along is in the rest
SWING = 0.3  # of the usual fringe
DIM = 0.02  # of the brightest light, below which what is handed on cannot be told: imperfect bar states leak so much, and more each row
ENOUGH = 0.5  # of the settings, that let light pass to a coupler
MOST_BEND = 0.3  # by which resistances may grow up to the highest voltage
QUIET = 1e-6  # V, less noise than there can be: residuals tell how much there is
PAIR = 0.7  # fields of two beams that meet, so that no output sees more than one beam's light


@dataclass(frozen=True)
class Row:
    """What the sweep of some heaters gave.

    Attributes:
        heaters: (n,) which. points: (n, S) fringes, over volts or watts. errors: (n, S) of points, in units of a reading's.
        fitted: offset, amplitude, half period, phase of each, over what the drives are with a rate of 1 and this `bend`.
    """

    heaters: Ints
    points: Points
    errors: Floats
    fitted: Fitted
    bend: float


def configured(
    design: MeshDesign, sweep: MeshSweep, truth: MeshTruth, levels: int, passes: int, seed: int
) -> Plan[tuple[MeshTruth, list[Row]]]:  # fmt: skip
    """Find all heaters of a triangular mesh; (truth with their phases and rates, the fringes).

    Raises:
        CalibrationError: heaters that do nothing, or that answer to another's channel, or a detector that saturates.
    """
    rows: list[Row] = []
    rng = np.random.default_rng([seed, levels, passes])
    for number in range(design.ports - 1):
        couplers, known = design.row(number), 0
        while known < len(couplers):
            driven = _scrambled(sweep, levels, passes, rng)
            _hold(design, sweep, truth, driven, number, {2 * int(k): 0.0 for k in couplers[len(couplers) - known :]})
            y, used = yield from sweep.read(driven, np.eye(len(couplers) + 1, design.ports, dtype=complex))
            if not rows:
                sweep.check_light(y, used)
            row = _handed_on(_seen(y, design, number), _seen(used, design, number), driven, 2 * couplers, known, truth, number)
            sweep.raise_failed(_words(row, driven, sweep.names))
            if not rows and not sweep.watts:
                truth = _bent(row, truth)
                row = _row(row.heaters, row.points, row.errors, truth)
            truth, known = _with(truth, row), known + len(row.heaters)
            rows.append(row)
        driven = _scrambled(sweep, levels, passes, rng)
        _hold(design, sweep, truth, driven, number, {2 * int(k): 2 * np.arcsin(np.sqrt(1 / (i + 2))) for i, k in enumerate(couplers)})
        pairs = PAIR * (np.eye(len(couplers), design.ports, dtype=complex) + np.eye(len(couplers), design.ports, 1))
        y, used = yield from sweep.read(driven, pairs)
        points = _points(_seen(y, design, number), _seen(used, design, number), driven[:, 2 * couplers + 1])
        row = _row(2 * couplers + 1, points, np.ones_like(points.y), truth)
        sweep.raise_failed(_words(row, driven, sweep.names))
        truth = _with(truth, row, _angles(design, truth, driven, couplers))
        rows.append(row)
    return truth, rows


def _seen(values: Any, design: MeshDesign, number: int) -> Any:
    """(S, B) at the output of a row."""
    return values[:, :, design.ports - 1 - number]


def _scrambled(sweep: MeshSweep, levels: int, passes: int, rng: np.random.Generator) -> Floats:
    """(S, P) drives, at equally spaced powers, in an order of each heater's own."""
    low, high = (sweep.powers(limit) for limit in (sweep.lower, sweep.upper))
    return sweep.driven(scrambled(low, high, levels, passes, int(rng.integers(1 << 31)))).T


def _hold(design: MeshDesign, sweep: MeshSweep, truth: MeshTruth, driven: Floats, number: int, wanted: dict[int, float]) -> None:
    """Heaters of the rows before at their bar states, and those of `wanted` at these phases."""
    wanted = wanted | {2 * int(k): np.pi for row in range(number) for k in design.row(row)}
    phis = [2 * int(k) + 1 for row in range(number) for k in design.row(row)]
    driven[:, phis] = sweep.driven(0.5 * (sweep.powers(sweep.lower) + sweep.powers(sweep.upper)))[phis]  # as warm as when they were swept
    which = np.array([*wanted], np.intp)
    if which.size:
        held = np.zeros(len(sweep.names))
        held[which] = np.mod(np.array([*wanted.values()]) - truth.heaters.phase[which], 2 * np.pi)
        volts = truth.heaters.driven(held)
        short = which[(volts < sweep.lower)[which] | (volts > sweep.upper)[which]]
        if short.size:
            unit = "W" if sweep.watts else "V"
            told = f"its coupler takes {volts[short[0]]:.3g} {unit} to be held, and its limit is {sweep.upper[short[0]]:.3g} {unit}"
            raise CalibrationError(f"heaters/{sweep.names[short[0]]}: {told}; a mesh is configured with heaters of a whole turn")
        driven[:, which] = volts[which]


def _handed_on(y: Floats, used: Mask, driven: Floats, heaters: Ints, known: int, truth: MeshTruth, number: int) -> Row:
    """The fringes of those couplers that most settings let light pass to, last ones first, of those that are not `known` yet.

    What a coupler hands on has an error in units of a reading's that grows where couplers behind it pass little.
    """
    passing = np.cumsum(y, axis=1)[:, 1:]
    lit = passing > DIM * (1 + 0.5 * number) * np.max(passing)
    safe = np.where(lit, passing, 1.0)
    good = lit & (np.cumsum(~used, axis=1)[:, 1:] == 0)
    last = len(heaters) - known
    first = last - 1
    while first > 0 and good[:, first - 1].mean() > ENOUGH:
        first -= 1
    points = _points(np.where(lit, y[:, 1:] / safe, 0.0)[:, first:last], good[:, first:last], driven[:, heaters[first:last]])
    return _row(heaters[first:last], points, (1 / safe).T[first:last], truth)


def _points(y: Floats, used: Mask, driven: Floats) -> Points:
    return Points(driven.T, y.T, used.T, np.full(driven.shape[1], np.nan))


def _row(heaters: Ints, points: Points, errors: Floats, truth: MeshTruth) -> Row:
    """With a fringe fitted to each, over powers as the believed bend has them."""
    bend = float(truth.heaters.bend[0])
    x = unit_heaters(bend, truth.heaters.watts).own(points.x)
    start = fringe_start(x, points.y, points.used, 2.0, 192)
    fitted = fit(fringe, x, points.y, start, sigma=QUIET * errors, used=points.used, loss="huber")
    return Row(heaters, points, errors, fitted, bend)


def unit_heaters(bend: float, watts: bool) -> HeaterCurves:
    """Of a rate of 1, without crosstalk."""
    return HeaterCurves(np.zeros(1), np.ones(1), np.full(1, bend), np.zeros((1, 1)), watts)


def _bent(row: Row, truth: MeshTruth) -> MeshTruth:
    """With the bend, the same for all heaters, that leaves least of the first row's fringes."""

    def bent(bend: float) -> MeshTruth:
        return replace(truth, heaters=replace(truth.heaters, bend=np.full_like(truth.heaters.bend, bend)))

    watts, before, start = truth.heaters.watts, float(truth.heaters.bend[0]), row.fitted.parameters
    shortest = unit_heaters(before, watts).own(row.points.x).max()

    def left(bend: float) -> float:
        x = unit_heaters(bend, watts).own(row.points.x)
        near = start * np.array([1, 1, x.max() / shortest, 1])
        residuals = fit(fringe, x, row.points.y, near, sigma=QUIET * row.errors, used=row.points.used).residuals
        return float(np.nansum(np.square(residuals / row.errors)))

    most = MOST_BEND / float(np.max(np.square(row.points.x)))
    return bent(most * float(minimize_scalar(lambda part: left(most * part), bounds=(0.0, 1.0), method="bounded").x))


def _words(row: Row, driven: Floats, names: Sequence[str]) -> dict[str, str]:
    """Heaters that do not work, by name."""
    explained, swing = row.fitted.explained(row.points.y), 2 * np.abs(row.fitted.parameters[:, 1])
    silent = ~(explained >= LIKE) | (swing < SWING * float(np.median(swing)))
    found: dict[str, str] = {}
    for i in np.flatnonzero(silent | ~(explained >= FOLLOWS)):
        which, name = _answers_to(row, int(i), driven), str(names[int(row.heaters[i])])
        if which >= 0 and which != row.heaters[i]:
            found[name] = f"swapped: its coupler answers to {names[which]}"
        elif silent[i]:
            found[name] = f"dead: its coupler does not follow it (a fringe explains {100 * max(explained[i], 0):.0f} % of the readings)"
    return found


def _answers_to(row: Row, i: int, driven: Floats) -> int:
    """Which heater's drive the fringe i follows, -1 for none."""
    x = np.square(driven.T)
    y = np.repeat(row.points.y[i : i + 1], len(x), axis=0)
    used = np.repeat(row.points.used[i : i + 1], len(x), axis=0)
    return int(followed(x, y, used, np.array([int(row.heaters[i])]))[0])


def _with(truth: MeshTruth, row: Row, angles: Floats | None = None) -> MeshTruth:
    """With what a row's fringes say: of thetas, of which sin^2(theta/2) is handed on; of phis, whose fringe has an angle besides."""
    heaters, (_, amplitude, half, phase) = truth.heaters, row.fitted.parameters.T
    phases, rate = heaters.phase.copy(), heaters.rate.copy()
    phase = np.where(half < 0, -phase, phase) + np.where(amplitude < 0, np.pi, 0.0)
    phases[row.heaters] = phase + (np.pi if angles is None else -angles)
    rate[row.heaters] = np.pi / np.abs(half)
    return replace(truth, heaters=replace(heaters, phase=phases, rate=rate))


def _angles(design: MeshDesign, truth: MeshTruth, driven: Floats, couplers: Ints) -> Floats:
    """(n,) angle between the fields of beams k and k+1 at the row's output, were all phis of the row 0."""
    phases = truth.heaters.phases(driven[:1])
    phases[:, 2 * couplers + 1] = 0.0
    matrix = matrices(design.mesh, phases, truth.delta, truth.loss)[0]
    arriving = matrix[len(couplers)]
    return np.asarray(np.angle(arriving[:-1] * np.conj(arriving[1:]))[: len(couplers)])
