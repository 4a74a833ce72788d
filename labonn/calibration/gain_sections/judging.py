"""What is wrong with a gain section, in words: no light, light that is not modulated, blocked, dead, swapped, lasing, or rolling over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from labonn.calibration.fitting import Fitted
from labonn.calibration.gain_sections.model import PARAMETERS, lock_in, rolled_over
from labonn.calibration.judging import LEAST_USED, Words
from labonn.calibration.models import Model
from labonn.calibration.sweeps import Points
from labonn.channels import Floats
from labonn.shots import Ints
from labonn.units import format_quantity

STRENGTH, ZERO, SHAPE = (PARAMETERS.index(name) for name in ("strength", "zero", "shape"))
UNSURE = ("too noisy", "drifted", "off the curve")  # what a drift looks like to a fit that does not know it
FAINT = 0.02  # of the usual, below which there is nothing
LIT = 2e-3  # of a monitor's range, below which there is no light
MODULATED = 0.2  # of its mean: least swing of the light
FOLLOWS, OTHER = 0.98, 0.99  # of the modulated part explained, by its own input and by another's
RANKED, OTHER_RANKED = 0.9, 0.97  # correlation of the ranks of readings and currents
KINK = 4.0  # times the usual slope of light against current
HEATED, SEEN = 5e-3, 5.0  # of ln G at the highest current; standard errors


def blamed(points: Points, powers: int, full: Floats, names: Sequence[str]) -> list[str]:
    """(C,) what points alone tell, before any fit; "" where nothing is wrong, or where a fit will tell.

    Args:
        powers: at each current. full: (C,) range of the monitors.
    """
    x, y, used = points.x, points.y, points.used
    words = np.full(len(y), "", dtype=object)
    _unlit(words, x[..., 1], full)
    lit = words == ""
    source = _sources(x[..., 1], y, powers, lit)
    lighting = np.where(source >= 0, source, np.arange(len(y)))
    amperes, slope, rest = lock_in(np.stack([x[..., 0], x[lighting, :, 1]], axis=-1), y, used, powers)
    told = _sections(amperes, slope, rest, lit)
    wires = _wires(amperes, slope, rest, lit & (told != "dead"))
    for c in np.flatnonzero(lit & (used.mean(axis=1) >= LEAST_USED)):
        fibre, wire = int(source[c]), int(wires[c])
        if fibre >= 0:
            words[c] = f"swapped: the light that it reads is that of {names[fibre]}" + (", and its current too" if wire == fibre else "")
        elif wire >= 0:
            words[c] = f"swapped: it answers to the current of {names[wire]}"
        elif told[c]:
            words[c] = {"dead": DEAD, "blocked": BLOCKED}[told[c]]
        else:
            words[c] = _lasing(amperes[c], rest[c])
    return [str(one) for one in words]


DEAD = "dead: its current changes neither its gain nor its own light; a broken wire?"
BLOCKED = "blocked: it emits when it is pumped, but nothing of the light before it comes through"


def _unlit(words: Words, power: Floats, full: Floats) -> None:
    """Monitors that see no light, or light that does not change."""
    swing, mean = np.ptp(power, axis=1), np.abs(power.mean(axis=1))
    usual = float(np.quantile(np.maximum(swing, mean), 0.75))
    for c in range(len(words)):
        if max(swing[c], mean[c]) < max(FAINT * usual, LIT * full[c]):
            words[c] = "no light: its monitor sees none"
        elif swing[c] < MODULATED * mean[c]:
            part = 100 * swing[c] / mean[c]
            words[c] = f"not modulated: its input light changes by {part:.2g} % only, and cannot be told from what the section emits itself"


def _sources(power: Floats, y: Floats, powers: int, lit: Floats) -> Ints:
    """(C,) the channel whose monitored light the modulated part of a reading follows, -1 for its own or none."""
    p, r = (part.reshape(len(y), -1, powers) for part in (power, y))
    p, r = p - p.mean(axis=-1, keepdims=True), r - r.mean(axis=-1, keepdims=True)
    found, total = np.full(len(y), -1), np.maximum(np.square(r).sum(axis=(1, 2)), 1e-300)
    energy = np.maximum(np.square(p).sum(axis=-1), 1e-300)
    own = (np.square((p * r).sum(axis=-1)) / energy).sum(axis=1) / total
    for c in np.flatnonzero(lit & (own < FOLLOWS)):
        parts = (np.square((p * r[c]).sum(axis=-1)) / energy).sum(axis=1) / total[c]
        best = int(np.argmax(parts))
        found[c] = best if best != c and parts[best] >= OTHER else -1
    return found


def _sections(amperes: Floats, slope: Floats, rest: Floats, lit: Floats) -> Words:
    """(C,) "dead", "blocked" or ""."""
    gain, emitted = np.abs(slope).mean(axis=1), np.ptp(rest, axis=1)
    usual_gain, usual_emitted = (float(np.quantile(v[lit], 0.75)) if lit.any() else 0.0 for v in (gain, emitted))
    told = np.full(len(slope), "", dtype=object)
    flat = (np.ptp(slope, axis=1) < FAINT * np.maximum(gain, FAINT * usual_gain)) & (emitted < 0.1 * usual_emitted)
    told[lit & (gain < FAINT * usual_gain) & ~flat & (emitted > 0.1 * usual_emitted)] = "blocked"
    told[lit & flat] = "dead"
    return told


def _wires(amperes: Floats, slope: Floats, rest: Floats, alive: Floats) -> Ints:
    """(C,) the channel whose currents gain and emission follow, -1 for its own or none."""
    ranks = rankdata(amperes, axis=1)
    ranks = (ranks - ranks.mean(axis=1, keepdims=True)) / np.maximum(ranks.std(axis=1, keepdims=True), 1e-300)
    found = np.full(len(slope), -1)
    seen = np.stack([rankdata(one, axis=1) for one in (slope, rest)])
    seen = (seen - seen.mean(axis=2, keepdims=True)) / np.maximum(seen.std(axis=2, keepdims=True), 1e-300)
    own = np.max(np.mean(seen * ranks, axis=2), axis=0)
    for c in np.flatnonzero(alive & (own < RANKED)):
        alike = np.max(seen[:, c] @ ranks.T / ranks.shape[1], axis=0)
        best = int(np.argmax(alike))
        found[c] = best if best != c and alike[best] >= OTHER_RANKED else -1
    return found


def _lasing(amperes: Floats, rest: Floats) -> str:
    """Whether light of a section's own sets in at a current."""
    levels, place = np.unique(amperes, return_inverse=True)
    light = np.bincount(place, rest) / np.bincount(place)
    steep = np.diff(light) / np.diff(levels)
    usual = max(float(np.median(np.abs(steep))), float(np.quantile(steep, 0.25)))
    start = int(np.argmax(steep > KINK * usual)) if np.any(steep > KINK * usual) else -1
    if start < len(steep) // 8 or np.mean(steep[start:] > KINK * usual) < 0.8 or len(steep) - start < 2:
        return ""
    times = float(np.median(steep[start:])) / usual
    return f"lasing: from {format_quantity(float(levels[start]), 'A', 3)} on light of its own grows {times:.2g} times as fast as below"


def drifted(model: Model, points: Points, fitted: Fitted, allowed: float, words: Sequence[str]) -> list[str]:
    """(C,) words, with those of sections whose ln G0 went on changing during the sweep: what of the residuals looks like that."""
    strength, zero, shape = (fitted.parameters[:, i, None] for i in (STRENGTH, ZERO, SHAPE))
    slope = -model.curve(fitted.parameters, points.x)[1][..., ZERO] * (zero + shape) / np.where(strength == 0, 1.0, strength)
    residual = np.where(np.isfinite(fitted.residuals), fitted.residuals, 0.0)
    ramp = np.where(points.used, slope * np.linspace(-0.5, 0.5, slope.shape[1]), 0.0)
    power = np.maximum(np.square(ramp).sum(axis=1), 1e-300)
    change = (ramp * residual).sum(axis=1) / power
    error = np.std(residual - change[:, None] * ramp, axis=1) / np.sqrt(power)
    told = list(words)
    for c in np.flatnonzero((np.abs(change) > allowed) & (np.abs(change) > SEEN * error)):
        if not told[c] or told[c].startswith(UNSURE):
            told[c] = f"drifted: its gain changed by {100 * np.expm1(change[c]):+.2g} % during the sweep"
    return told


def heated(points: Points, fitted: Fitted, sigma: Floats, words: Sequence[str]) -> list[str]:
    """(C,) words, with those of sections whose gain rolls over."""
    fall, error = rolled_over(points.x, points.y, points.used, sigma, fitted)
    told = list(words)
    for c in range(len(told)):
        if not told[c] and np.abs(fall[c]) > HEATED and np.abs(fall[c]) > SEEN * error[c]:
            most = format_quantity(float(points.x[c, :, 0].max()), "A", 3)
            by = f"its gain is {100 * -np.expm1(-fall[c]):.2g} % below the logarithmic curve at {most}, and bends with the current's square"
            told[c] = f"self-heating: {by}"
    return told
