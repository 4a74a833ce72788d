"""The phase calibration of an SLM as a plan: sweep all grays of all regions with one table, fit, judge, verify with fresh grays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from labonn.bench import Plan
from labonn.calibration.calibration import Coefficient, DriftCheck, Verification, by_channel
from labonn.calibration.fitting import Mask
from labonn.calibration.judging import CURVED, raise_failed
from labonn.calibration.measuring import NOISE, Outcome, fitted_to
from labonn.calibration.slm_phase.fit import PhaseFit, fit_phase
from labonn.calibration.slm_phase.grating import GratingSweep, Orders
from labonn.calibration.slm_phase.judging import BEND, PhaseTolerances, silent_regions, told
from labonn.calibration.slm_phase.light import answering, light_of
from labonn.calibration.slm_phase.model import basis_of, phase_model, steepness
from labonn.calibration.slm_phase.signs import disagreement, signs_of
from labonn.calibration.sweeps import Points, fresh, scrambled
from labonn.channels import Floats

KIND = "slm_phase"


@dataclass(frozen=True)
class PhaseMeasuring:
    """How to measure.

    Attributes:
        levels: grays of a pass, spread over all codes. passes: an even number. fresh: grays to verify with. intervals: of the spline.
        frames, repeats: of the drift check. tolerance: of it, as a part of a detector's spread.
    """

    levels: int = 64
    passes: int = 2
    fresh: int = 16
    intervals: int = 12
    loss: str = "huber"
    within: PhaseTolerances = field(default_factory=PhaseTolerances)
    leave_out: int = 0
    seed: int = 0
    frames: int = 8
    repeats: int = 32
    tolerance: float = 0.1


@dataclass(frozen=True)
class PhaseOutcome:
    """Attributes:
    outcome: what all calibrations have; residuals in rad. found: the phases. edges_rad: (R,) what blurred edges may have bent them by.
    apart_rad: (R,) how far the orders disagree. light: (N,) of the sweep's frames.
    """

    outcome: Outcome
    found: PhaseFit
    apart_rad: Floats
    edges_rad: Floats
    light: Floats

    @property
    def more(self) -> dict[str, Coefficient]:
        """Coefficients that follow from the fitted ones; NaN for regions that are left out."""
        good = np.array([not told for told in self.outcome.words])
        error = np.hypot(self.found.error_rad, self.edges_rad[:, None])
        parts = {"phase": self.found.phase_rad, "phase_error": error, "flicker": self.found.flicker_rad, "apart": self.apart_rad}
        return {name: Coefficient(np.where(good.reshape(-1, *[1] * (part.ndim - 1)), part, np.nan), "rad") for name, part in parts.items()}


def measure_phase(sweep: GratingSweep, how: PhaseMeasuring) -> Plan[PhaseOutcome]:
    """Sweep, fit, judge, verify, and take the readings of a drift check.

    Raises:
        CalibrationError: names the worst regions, and what is wrong with them.
    """
    last = len(sweep.fields) - 1
    lower, upper = np.zeros(sweep.count), np.full(sweep.count, float(last))
    basis = basis_of(last + 1, how.intervals)
    grays = sweep.nearest(scrambled(lower, upper, how.levels, how.passes, how.seed))
    readings = yield sweep.table(grays)
    orders = sweep.orders(grays, readings)
    model, alive = phase_model(basis), answering(orders)
    light = light_of(orders, basis, alive)
    begun = fitted_to(model, Points(grays, orders.first / light, orders.used, np.full(sweep.count, np.nan)), "linear")
    explained = begun.explained(orders.first / light)
    follows = alive & (explained >= CURVED)
    light = light_of(orders, basis, follows)  # of which regions that follow the grays of others tell nothing
    found = fit_phase(model, basis, orders, light, begun, follows, how.loss)
    words = silent_regions(sweep, orders, alive, explained)
    apart = disagreement(orders, light, found, basis)
    signs = signs_of(orders, light, found, basis, apart)
    for r in np.flatnonzero(words == ""):
        words[r] = told(signs, int(r), sweep.period, how.within)
    raise_failed(KIND, sweep.port, by_channel([str(one) for one in words], sweep.names), sweep.count, how.leave_out)
    again = sweep.nearest(fresh(lower, upper, how.levels, how.fresh, how.seed))
    readings = yield sweep.table(again)
    outcome = _verified(sweep, how, basis, (orders, light), found, (sweep.orders(again, readings), follows), [str(w) for w in words])
    severity = outcome.verification.rms / outcome.verification.allowed
    severities = {name: float(part) for name, part in zip(sweep.names, severity, strict=True) if np.isfinite(part)}
    raise_failed(KIND, sweep.port, by_channel(outcome.words, sweep.names), sweep.count, how.leave_out, severities)
    check = yield from _drift_check(sweep, how, last)
    return PhaseOutcome(replace(outcome, check=check), found, apart, BEND * np.square(apart), light)


def _verified(
    sweep: GratingSweep, how: PhaseMeasuring, basis: Floats, first: tuple[Orders, Floats], found: PhaseFit,
    again: tuple[Orders, Mask], words: list[str],
) -> Outcome:  # fmt: skip
    """What fresh grays say: residuals as phases, those of the fringe's steepest place, so that extrema do not blow up noise."""
    model, (orders, light), (new, alive) = phase_model(basis), first, again
    fitted = found.fitted
    now = _light_now(orders, light, new, alive & np.array([not told for told in words]), basis)
    amplitude = np.abs(fitted.parameters[:, 1, None])
    value, slopes = model.curve(fitted.parameters, new.grays)
    slope = steepness(fitted.parameters, new.grays, basis)
    band = np.einsum("cni,cij,cnj->cn", slopes, np.where(np.isfinite(fitted.covariance), fitted.covariance, 0.0), slopes)
    errors = np.sqrt(np.square(found.sigma(slope)) + band) / amplitude
    residuals = np.where(new.used, (new.first / now - value) / amplitude, np.nan)
    sizes = np.where(new.used, np.abs(residuals), 0.0)
    steep = np.sum(np.where(new.used, np.square(slope / amplitude), 0), axis=1)
    rms = np.sqrt(np.square(sizes).sum(axis=1) / np.maximum(steep, 1e-300))
    noise = np.sqrt(np.sum(np.where(new.used, np.square(errors), 0), axis=1) / np.maximum(steep, 1e-300))
    allowed = how.within.error_rad + NOISE * noise / np.sqrt(2 * new.grays.shape[1])
    worst = (sizes / errors).max(axis=1)
    verification = Verification(new.grays.shape[1], "rad", rms, sizes.max(axis=1), worst, allowed)
    for r in np.flatnonzero(rms > allowed):
        off = f"out of tolerance: fresh grays are off by {rms[r]:.2g} rad rms, {allowed[r]:.2g} rad is allowed"
        words[r] = words[r] or off
    dark = np.full(sweep.count, np.nan)
    points = [Points(o.grays, o.first / p, o.used, dark) for o, p in ((orders, light), (new, now))]
    return Outcome(model, sweep.names, sweep.unit, points[0], fitted, points[1], residuals, errors, verification, words)


def _light_now(orders: Orders, light: Floats, new: Orders, alive: Mask, basis: Floats) -> Floats:
    """(M,) light of fresh frames, in that of the sweep."""
    if not alive.any():
        return np.ones(new.grays.shape[1])
    arrays = ("grays", "first", "zeroth", "used", "scatter")
    both: dict[str, Any] = {name: np.concatenate([getattr(o, name) for o in (orders, new)], axis=1) for name in arrays}
    joined = replace(orders, **both)
    whole = light_of(joined, basis, alive)
    count = len(light)
    return np.asarray(whole[count:] * np.mean(light) / np.mean(whole[:count]))


def _drift_check(sweep: GratingSweep, how: PhaseMeasuring, last: int) -> Plan[DriftCheck]:
    """A few frames of random grays, and the light of the first orders with them now."""
    rng = np.random.default_rng([how.seed, how.frames, 2])
    grays = sweep.nearest(rng.integers(0, last + 1, (sweep.count, how.frames)).astype(np.float64))
    table = replace(sweep, dark={}).table(grays, how.repeats)
    readings = yield table
    seen = readings[sweep.detector].astype(np.float64).reshape(how.frames, how.repeats, -1)
    expected = seen.mean(axis=1)
    tolerance = np.full(expected.shape[1], np.inf)
    tolerance[: sweep.count] = how.tolerance * expected[:, : sweep.count].std(axis=0)
    sigma = seen.std(axis=1, ddof=1) / np.sqrt(how.repeats)
    banks = {port: np.asarray(bank) for port, bank in table.banks.items()}
    return DriftCheck(banks, dict(table.orders), table.dwell_s, how.repeats, sweep.detector, sweep.unit, expected, sigma, tolerance)
