"""How a measured matrix differs from the believed one, and what is broken: rows, beams, signs, in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labonn.calibration.fitting import Mask
from labonn.calibration.judging import SEEN, Words
from labonn.calibration.matrix.sweep import MatrixSweep, Measured
from labonn.channels import Floats
from labonn.errors import CalibrationError
from labonn.shots import Ints
from labonn.units import format_quantity

DEAD = 0.02  # of the usual row
DARK = 2e-4  # of the usual beam: beams at the rim of a mesh may do little, blocked ones do nothing
ALIKE = 0.7  # correlation of a row or beam with the believed one, from where on it is that
BELIEVED = 0.5  # correlation of the rows, below which the believed matrix tells nothing of what a beam should do
LEAST_TO_TELL = 6  # rows by which beams, or beams by which rows, can be told from each other
MOST_SATURATED = 0.01  # of the shots
TURNED = -0.3  # of the light of a reference


@dataclass(frozen=True)
class MatrixTolerances:
    """What a good matrix may have.

    Attributes:
        residual: largest residual of a fresh vector, as a part of the row's usual reading, beside its noise.
        off: rms of a row beside its gain times the believed row, as a part of that; a chip
            before its calibration is any other matrix. drift: of the light, during the table.
        linear: relative difference between single beams and beams among all others.
    """

    residual: float = 0.05
    off: float = np.inf
    drift: float = 0.2
    linear: float = 0.05


@dataclass(frozen=True)
class Compared:
    """Measured against believed.

    Attributes:
        gain, gain_error: (D,) of the rows, and standard errors from how much the elements scatter. column: (C,) of the beams.
        off: rms of measured - believed, over rms believed; off_scaled: after the rows' gains. row_off: (D,) of each, after its gain.
    """

    gain: Floats
    gain_error: Floats
    column: Floats
    off: float
    off_scaled: float
    row_off: Floats


def compared(measured: Floats, believed: Floats, good_rows: Mask, good_beams: Mask) -> Compared:
    """What differs, without rows and beams that are not good."""
    have, want = measured[:, good_beams], believed[:, good_beams]
    power = np.maximum(np.square(want).sum(axis=1), 1e-300)
    gain = np.sum(have * want, axis=1) / power
    left = have - gain[:, None] * want
    error = np.sqrt(np.square(left).sum(axis=1) / max(want.shape[1] - 1, 1) / power)
    rows = np.sqrt(np.square(left).sum(axis=1) / np.maximum(np.square(gain) * power, 1e-300))
    size = max(float(np.sqrt(np.sum(want[good_rows] ** 2))), 1e-300)
    off, scaled = (float(np.sqrt(np.sum(part[good_rows] ** 2))) / size for part in (have - want, left))
    scale = (gain[:, None] * believed)[good_rows]
    column = np.sum(measured[good_rows] * scale, axis=0) / np.maximum(np.square(scale).sum(axis=0), 1e-300)
    return Compared(gain, error, np.where(good_beams, column, np.nan), off, scaled, rows)


def check_reference(sweep: MatrixSweep, found: Measured, within: MatrixTolerances) -> None:
    """Raise CalibrationError if the reference turned over, or the light changed too much, or there is none."""
    if not found.lit:
        told = f"all beams together change no reading of {len(sweep.rows)} rows by more than noise; is the light on?"
        raise CalibrationError(f"{sweep.detector}: dead: {told} nothing is kept")
    turned = np.flatnonzero(found.light < TURNED)
    if turned.size:
        k = int(turned[0])
        where = f"between {found.times_s[max(k - 1, 0)]:.4g} s and {found.times_s[k]:.4g} s of {found.shots * sweep.dwell_s:.4g} s"
        count = f"{turned.size} of {len(found.light)} references have the other sign"
        told = f"sign flip: the sign of the reference turned over {where} ({count})"
        raise CalibrationError(f"{sweep.detector}: {told}: is the interferometer locked? nothing is kept")
    change = float(np.abs(found.light - 1).max())
    if change > within.drift:
        told = f"the light of the reference changed by up to {100 * change:.0f} % during the table"
        raise CalibrationError(f"{sweep.detector}: drifted: {told}, {100 * within.drift:.0f} % is allowed; nothing is kept")


def _alive(found: Measured) -> Mask:
    """(D,) rows that read more than noise, whatever the sign does meanwhile."""
    single = np.sqrt(np.mean(found.single**2, axis=(0, 2)))
    return np.asarray((np.sqrt(np.mean(found.weights**2, axis=1)) > SEEN * found.error) | (single > found.noise))


def judge_rows(sweep: MatrixSweep, found: Measured, blocked: Mask, within: MatrixTolerances) -> Words:
    """(D,) words, "" for rows with which nothing is wrong."""
    words = np.full(len(sweep.rows), "", dtype=object)
    have, want = found.weights[:, ~blocked], sweep.believed[:, ~blocked]
    size = np.sqrt(np.mean(have**2, axis=1))
    usual, alike = float(np.median(size)), _alike(have, want)
    other, own = _places(alike), np.diagonal(alike)
    turned = np.sum(found.single[0] * found.single[1], axis=1) / np.maximum(np.square(found.single).sum(axis=(0, 2)) / 2, 1e-300)
    off = compared(found.weights, sweep.believed, np.ones(len(words), np.bool_), ~blocked).row_off
    linear, unsure = _linear(found, blocked)
    for d in range(len(words)):
        if found.saturated[d] > MOST_SATURATED * found.shots:
            count = f"{int(found.saturated[d])} of {found.shots} readings"
            words[d] = f"saturated: {count} are at the end of the detector's range; less light (--level)"
        elif size[d] < max(DEAD * usual, SEEN * found.error[d] / np.sqrt(have.shape[1])) and turned[d] > TURNED:
            told = format_quantity(float(size[d]) * sweep.volts_per_field * sweep.level, sweep.unit, 3)
            words[d] = f"dead: a beam changes it by {told} rms, which is next to nothing; a blocked output or a broken cable?"
        elif turned[d] < TURNED:
            words[d] = "sign flip: single beams have the other sign behind the codes than before them"
        elif other[d] >= 0:
            words[d] = f"swapped: it reads the row of {sweep.rows[int(other[d])]}"
        elif own[d] < -ALIKE:
            words[d] = "wrong sign: it reads its row with the other sign; the phase of its local oscillator, or its two inputs exchanged?"
        elif off[d] > within.off:
            words[d] = f"another matrix: {100 * off[d]:.0f} % of its row is not the believed one, {100 * within.off:.0f} % is allowed"
        elif abs(linear[d] - 1) > max(within.linear, SEEN * unsure[d]):
            words[d] = f"not linear: single beams give {linear[d]:.3g} times what they give among all others"
    return words


def judge_beams(sweep: MatrixSweep, found: Measured) -> Words:
    """(C,) words of beams: blocked, or exchanged."""
    words = np.full(len(sweep.beams), "", dtype=object)
    alive = _alive(found)
    if not alive.any():
        return words
    have, want = found.weights[alive], sweep.believed[alive]
    size, wanted = (np.sqrt(np.mean(part**2, axis=0)) for part in (have, want))
    ratio = size / np.maximum(wanted, 1e-300)
    usual = float(np.median(ratio))
    dark = np.maximum(DARK * float(np.median(size)), 3 * float(np.sqrt(np.mean(found.error[alive] ** 2))))
    known = float(np.median(np.abs(np.diagonal(_alike(have, want))))) > BELIEVED
    for c in np.flatnonzero((size < dark) & (wanted * usual > SEEN * dark) & known):
        part = f"{100 * size[c] / max(float(np.median(size)), 1e-300):.2g} % of what others do"
        words[c] = f"dead: its beam reaches no detector ({part}); blocked?"
    gain = compared(have, want, np.ones(len(have), np.bool_), words == "").gain
    other = _places(_alike(have.T, (gain[:, None] * want).T)) if have.shape[0] >= LEAST_TO_TELL else np.full(len(words), -1)
    for c in np.flatnonzero((words == "") & (other >= 0)):
        if other[int(other[c])] == c:
            words[c] = f"swapped: it comes in the place of {sweep.beams[int(other[c])]}"
    return words


def _linear(found: Measured, blocked: Mask) -> tuple[Floats, Floats]:
    """((D,) slope of single beams against beams among others, (D,) its standard error)."""
    have = found.weights[:, ~blocked]
    power = np.maximum(np.square(have).sum(axis=1), 1e-300)
    single = found.single.mean(axis=0)[:, ~blocked]
    return np.sum(single * have, axis=1) / power, np.asarray(0.5 * found.noise / np.sqrt(power))


def _alike(have: Floats, want: Floats) -> Floats:
    """(n, n) correlations of the rows of one with those of the other."""
    one, two = (part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-300) for part in (have, want))
    return np.asarray(one @ two.T)


def _places(alike: Floats) -> Ints:
    """(n,) which other one each is, -1 where it is itself or cannot be told."""
    other, own = np.argmax(np.abs(alike), axis=1), np.abs(np.diagonal(alike))
    best = np.abs(alike).max(axis=1)
    return np.where((best > ALIKE) & (own < 0.5 * best) & (other != np.arange(len(alike))), other, -1)


def worst_elements(measured: Floats, expected: Floats, count: int = 3) -> list[tuple[int, int]]:
    """(row, beam) of the largest differences; NaN never."""
    off = np.nan_to_num(np.abs(measured - expected), nan=-1.0)
    flat = np.argsort(-off, axis=None)[:count]
    return [(int(d), int(c)) for d, c in zip(*np.unravel_index(flat, off.shape), strict=True)]
