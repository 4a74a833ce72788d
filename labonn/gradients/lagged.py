"""Walsh codes in slots shorter than the actuators' settling: the first-order lag is part of the model that is solved for the gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from labonn.banks import Dither, Ints
from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.gradients.codes import assign, autocorrelation, packed, transform
from labonn.gradients.objective import Estimate, Estimates, Objective, Slots, measure
from labonn.gradients.spans import span

STEEPEST = 0.7  # pole of an image's inverse up to which the image is solved by itself: beyond, its noise would drown the others
SLOWEST = 0.98  # longest memory that is still run in
ROUNDING = 1e-17
FORGOTTEN = 1e-6  # what is left of the past after the run-in


def lagged(
    objective: Objective,
    theta: Floats,
    step: ArrayLike,
    rows: int | None = None,
    bits: int = 2,
    tau_s: float | None = None,
    *,
    rng: np.random.Generator,
) -> Estimates:
    """As `walsh`, with the codes w of M rows followed by -w, behind a lag of tau_s.

    The parameters follow a row w_k as x_k(t) = w_k + (x_{k-1} - w_k) exp(-t / tau), and an image recorded at t sees theta + D x_k(t). That
    is a short filter in time, the same for all parameters, and least squares with all codes as unknowns is its inverse, then a Walsh
    transform. A run-in (the end of the sequence once more) stands for the past; the sign of w turns in the middle of the table so that
    even orders cancel under lag too. Drift that is a polynomial of degree `bits` or less stays one under the inverse, and is not seen.

    Args:
        step, rows, bits: as for `walsh`. tau_s: None: the objective's; 0 correlates without a model.
    """
    reach = span(objective, theta, step)
    codes, spare, length = assign(reach.free, rows, bits, rng)
    inverse = model(objective.slots, objective.slots.tau_s if tau_s is None else tau_s)
    base, amplitude = reach.dither()
    count = 2 * length
    plus = packed(codes, length)
    order = np.arange(-inverse.run_in, count) % count
    signs = np.concatenate([plus, ~plus])[order]
    measured = yield from measure(objective, Dither(base, amplitude, signs))
    if measured.losses.shape[1] != objective.slots.shots:
        raise ProcedureError(f"losses of {measured.losses.shape[1]} images; the slots record {objective.slots.shots} shots")
    found = transform(inverse.solve(measured.losses)[inverse.run_in :]) / count
    variance = inverse.variances(np.concatenate([codes, spare]) + length, count)  # the turn in the middle is one more bit
    own, left = np.split(variance, [len(codes)])
    sigma = float(np.sqrt(np.mean(found[spare + length] ** 2 / left)))
    parts = (found[codes + length], sigma * np.sqrt(own))
    gradient, error = (np.divide(part, amplitude, out=np.zeros(len(base)), where=reach.free) for part in parts)
    loss = float(measured.mean[inverse.run_in :].mean())
    notes = (*reach.notes(), *inverse.notes)
    return Estimate(gradient, error, len(signs), measured.shots, measured.tables, loss, sigma, notes, "lagged")


@dataclass(frozen=True)
class Inverse:
    """The inverse of the lag, image by image or for the mean of them: (1 - e) u_k = y_k - r y_{k-1} - (e - r) u_{k-1}.

    Attributes:
        kept: r, what is left of a state after a slot. seen: (G,) e, what is left of it when an image is recorded; one for all images
            where they are averaged first. run_in: settings before the sequence. notes: approximations made.
    """

    kept: float
    seen: Floats
    run_in: int
    notes: tuple[str, ...] = ()

    def solve(self, losses: Floats) -> Floats:
        """(S,) mean over images of what they would have read without lag, from (S, B) losses; wrong in the run-in."""
        apart = losses - losses.mean(axis=0)
        return np.asarray(self._filter(apart if len(self.seen) > 1 else apart.mean(axis=1, keepdims=True)).mean(axis=1))

    def variances(self, codes: Ints, count: int) -> Floats:
        """(len(codes),) variance of the mean of code times solution, for white noise of which the mean over images has variance 1."""
        impulse = np.zeros((4 * self.run_in + 4, len(self.seen)))
        impulse[0] = 1
        spectrum = np.abs(np.fft.rfft(self._filter(impulse), 2 * len(impulse), axis=0)) ** 2
        noise = np.fft.irfft(spectrum.mean(axis=1))[: self.run_in + 2]
        noise[1:] *= 2
        return np.asarray(autocorrelation(codes, count, len(noise)) @ noise / count**2)

    def _filter(self, series: Floats) -> Floats:
        """(S, G) series, nothing before them."""
        out = series.copy()
        out[1:] -= self.kept * series[:-1]
        out /= 1 - self.seen
        power, shift = pole(self.kept, self.seen), 1
        while shift < len(out) and np.abs(power).max() > ROUNDING:  # 1 / (1 - p z) = (1 + p z) (1 + p^2 z^2) (1 + p^4 z^4) ...
            out[shift:] += power * out[:-shift]
            power, shift = power**2, 2 * shift
        return out


def pole(kept: float, seen: Floats) -> Floats:
    """(G,) poles of the inverse; it grows without bound where they reach 1: images that see the old state more than the new one."""
    return np.asarray((kept - seen) / (1 - seen))


def model(slots: Slots, tau_s: float) -> Inverse:
    """The inverse for these slots, image by image where all of them see enough of the new state, else for their mean."""
    if not (0 <= tau_s < math.inf):
        raise ProcedureError(f"a lag of {tau_s} s; 0 or a positive, finite time")
    if tau_s == 0:
        return Inverse(0.0, np.zeros(1), 1)
    kept = math.exp(-slots.length_s / tau_s)
    seen = np.exp(-(slots.settle + 1 + np.arange(slots.shots)) * (slots.dwell_s / tau_s))
    notes: tuple[str, ...] = ()
    if np.abs(pole(kept, seen)).max() > STEEPEST:
        seen = seen.mean(keepdims=True)
        notes = ("the lag is averaged over the images of a batch, as if their gradients were equal; more settle shots avoid it",)
    slowest = max(kept, float(np.abs(pole(kept, seen)).max()))
    if slowest > SLOWEST:
        raise ProcedureError(f"slots of {slots.length_s:.3g} s are too short for a lag of {tau_s:.3g} s; lengthen them")
    return Inverse(kept, seen, max(1, math.ceil(math.log(FORGOTTEN) / math.log(slowest))), notes)
