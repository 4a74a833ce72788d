"""The calibration of a mesh as a plan: row by row, then everything from one random table; judged, and verified on fresh settings."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from labonn.bench import Plan
from labonn.calibration.calibration import DriftCheck, Verification, by_channel
from labonn.calibration.judging import SEEN
from labonn.calibration.mesh.bank import MeshSweep
from labonn.calibration.mesh.design import MeshDesign
from labonn.calibration.mesh.fit import MOST_COEFFICIENTS, MeshData, MeshFitted, MeshProblem, MeshTruth, fit_mesh, phase_shifts
from labonn.calibration.mesh.heaters import CROSSTALK, HeaterCurves, groups_of
from labonn.calibration.mesh.programs import random_vectors
from labonn.calibration.mesh.rows import Row, configured
from labonn.calibration.mesh.unitaries import Programmed, programmed
from labonn.channels import Floats
from labonn.errors import CalibrationError, ProcedureError
from labonn.shots import ShotTable
from labonn.units import format_quantity

LOSS_NEPERS = 0.012  # of a coupler, 0.1 dB, to begin with
CHECKED = 0.05  # of a detector's spread, that a reading of the drift check may be off


@dataclass(frozen=True)
class MeshWithin:
    """What a good mesh has.

    Attributes:
        phase_rad: largest error of a phase at fresh settings, beside its noise. drift_rad: largest move within the sweep.
        error_rad: largest standard error of a phase. misfit: rms of what the fit leaves, as a part of full light.
        extinction_db: least that a coupler reaches in its bar and in its cross state.
    """

    phase_rad: float = 0.02
    drift_rad: float = 0.02
    error_rad: float = 0.01
    misfit: float = 0.01
    extinction_db: float = 15.0


@dataclass(frozen=True)
class MeshMeasuring:
    """How to measure: levels of a pass and passes of a row's tables; random settings; groups of fresh settings; unitaries to verify with.

    Attributes:
        crosstalk: see groups_of. seed: of everything random. frames, repeats: of the drift check.
    """

    levels: int = 24
    passes: int = 2
    settings: int = 96
    fresh: int = 8
    unitaries: int = 4
    crosstalk: str = "alike"
    within: MeshWithin = field(default_factory=MeshWithin)
    seed: int = 0
    frames: int = 8
    repeats: int = 16


@dataclass(frozen=True)
class MeshOutcome:
    """All that was measured.

    Attributes:
        design, names: whose. rows: fringes. fitted: everything. shifts, errors: (G, P) rad, by how much phases of fresh settings are off.
        verification, check: for the calibration. before, after: unitaries by nominal and by fitted numbers. extinction: (K, 2) dB of
        bar and cross states. words: (P,).
    """

    design: MeshDesign
    names: tuple[str, ...]
    rows: list[Row]
    fitted: MeshFitted[MeshTruth]
    shifts: Floats
    errors: Floats
    verification: Verification
    before: Programmed
    after: Programmed
    extinction: Floats
    words: list[str]
    check: DriftCheck | None = None


def nominal_truth(design: MeshDesign) -> MeshTruth:
    """What the bench file believes."""
    heater, count = design.heater, 2 * design.couplers
    ohms = 1.0 if heater.drive == "W" else heater.resistance_ohm
    bend = 0.0 if heater.drive == "W" else heater.resistance_slope_per_w / ohms
    curves = HeaterCurves(
        np.full(count, heater.offset_rad), np.full(count, np.pi / heater.p_pi_w / ohms), np.full(count, bend), np.zeros((count, count)),
        heater.drive == "W",
    )  # fmt: skip
    loss, ones = np.full(design.couplers, LOSS_NEPERS), np.ones(design.ports)
    return MeshTruth(curves, np.zeros((design.couplers, 2)), loss, ones, 1j * ones, design.size.volts * ones)


def problem_of(design: MeshDesign, crosstalk: str) -> MeshProblem:
    """What is fitted.

    Raises:
        ProcedureError: more than can be fitted, or another layout than is configured row by row.
    """
    if crosstalk not in CROSSTALK or design.size.layout != "triangular":
        raise ProcedureError(f"crosstalk {crosstalk!r}, layout {design.size.layout!r}: allowed are {', '.join(CROSSTALK)}; triangular")
    problem = MeshProblem(design.mesh, groups_of(design.places, crosstalk), nominal_truth(design))
    if len(problem.width) > MOST_COEFFICIENTS:
        told = f"a mesh of {design.ports} ports with crosstalk {crosstalk!r} has {len(problem.width)} coefficients"
        raise ProcedureError(f"{told}; one fit may have {MOST_COEFFICIENTS}")
    return problem


def measure_mesh(design: MeshDesign, sweep: MeshSweep, how: MeshMeasuring) -> Plan[MeshOutcome]:
    """Configure row by row, fit everything, judge, verify.

    Raises:
        CalibrationError: names what does not work, and how.
    """
    problem, names = problem_of(design, how.crosstalk), list(map(str, sweep.names))
    start, rows = yield from configured(design, sweep, problem.nominal, how.levels, how.passes, how.seed)
    rng = np.random.default_rng([how.seed, 3])
    data = yield from _random(sweep, how.settings, rng)
    fitted = fit_mesh(problem, data, start)
    words = _judged(problem, data, fitted, how.within)
    sweep.raise_failed(by_channel(words, names))
    extinction = extinctions(fitted.truth.delta)
    words = [told or weak for told, weak in zip(words, _weak(extinction, how.within), strict=True)]
    sweep.raise_failed(by_channel(words, names))
    shifts, errors = yield from _shifts(problem, sweep, fitted, how, rng)
    verification, words = _verified(problem, fitted, shifts, errors, how.within)
    sweep.raise_failed(by_channel(words, names))
    before, after = yield from programmed(design, sweep, problem.nominal, fitted.truth, how.unitaries, rng)
    check = yield from _drift_check(sweep, how, rng)
    return MeshOutcome(
        design, tuple(names), rows, fitted, shifts, errors, verification, before, after, extinction, [""] * len(names), check
    )  # fmt: skip


def extinctions(delta: Floats) -> Floats:
    """(K, 2) dB that couplers reach in their bar and cross states with splitters that are off by (K, 2)."""
    leaks = np.stack([np.sin(delta[:, 0] - delta[:, 1]), np.sin(delta[:, 0] + delta[:, 1])], axis=1)
    return np.asarray(-10 * np.log10(np.maximum(np.square(leaks), 1e-12)))


def _random(sweep: MeshSweep, settings: int, rng: np.random.Generator) -> Plan[MeshData]:
    ports = len(sweep.inputs)
    driven, wanted = sweep.random(settings, rng), sweep.rounded(random_vectors(2 * ports, ports, rng))
    y, used = yield from sweep.read(driven, wanted)
    many = np.mean(~used, axis=(0, 1))
    if np.any(many > 0.5):
        worst = int(np.argmax(many))
        raise CalibrationError(f"outputs/{sweep.outputs[worst]}: saturated: {100 * many[worst]:.0f} % of its readings; nothing is kept")
    return MeshData(driven, wanted, y, used)


def _judged(problem: MeshProblem, data: MeshData, fitted: MeshFitted[MeshTruth], within: MeshWithin) -> list[str]:
    """(P,) words: a fit that leaves much, heaters that moved within the sweep, or are not known well enough."""
    half = len(data.y) // 2
    halves = [phase_shifts(problem, fitted.truth, data.part(s), fitted.sigma) for s in (slice(half), slice(half, None))]
    moved = halves[1][0] - halves[0][0]
    error = np.hypot(halves[0][1], halves[1][1])
    drifting = (np.abs(moved) > within.drift_rad) & (np.abs(moved) > SEEN * error)
    own = np.sqrt(np.diag(fitted.covariance))[problem.parts["phase"]]
    words = [f"drifted: its phase moved by {1e3 * by:+.0f} mrad between the two halves of the sweep" if is_ else "" for by, is_ in
             zip(moved, drifting, strict=True)]  # fmt: skip
    unsure = own > within.error_rad
    words = [told or (f"too noisy: its phase is known to {1e3 * e:.2g} mrad only" if bad else "") for told, e, bad in
             zip(words, own, unsure, strict=True)]  # fmt: skip
    misfit = fitted.sigma / float(np.median(problem.nominal.volts))
    if misfit > within.misfit and not any(words):
        told = f"the fit leaves {100 * misfit:.2g} % of full light, {100 * within.misfit:g} % is allowed"
        raise CalibrationError(f"heaters: off the model: {told}; light that drifts, or a mesh of another layout? nothing is kept")
    return words


def _weak(extinction: Floats, within: MeshWithin) -> list[str]:
    """(P,) words for thetas of couplers that do not reach their bar or cross state."""
    words = [""] * (2 * len(extinction))
    for k, both in enumerate(extinction):
        if both.min() < within.extinction_db:
            state = ("bar", "cross")[int(np.argmin(both))]
            least = f"at least {within.extinction_db:g} dB is wanted"
            words[2 * k] = f"weak: its coupler reaches {both.min():.1f} dB in the {state} state, by errors of its splitters; {least}"
    return words


def _shifts(
    problem: MeshProblem, sweep: MeshSweep, fitted: MeshFitted[MeshTruth], how: MeshMeasuring, rng: np.random.Generator
) -> Plan[tuple[Floats, Floats]]:  # fmt: skip
    """((G, P) rad, (G, P) standard errors) of phases at fresh settings, other beams too, in groups that determine all phases."""
    each = 8
    data = yield from _random(sweep, each * how.fresh, rng)
    groups = [data.part(slice(each * g, each * (g + 1))) for g in range(how.fresh)]
    found = [phase_shifts(problem, fitted.truth, group, fitted.sigma) for group in groups]
    return np.stack([shift for shift, _ in found]), np.stack([error for _, error in found])


def _verified(
    problem: MeshProblem, fitted: MeshFitted[MeshTruth], shifts: Floats, errors: Floats, within: MeshWithin
) -> tuple[Verification, list[str]]:  # fmt: skip
    own = np.sqrt(np.diag(fitted.covariance))[problem.parts["phase"]]
    unsure = np.hypot(errors, own)
    rms, largest = np.sqrt(np.mean(np.square(shifts), axis=0)), np.max(np.abs(shifts), axis=0)
    allowed = within.phase_rad + SEEN * np.median(unsure, axis=0)
    verification = Verification(len(shifts), "rad", rms, largest, np.max(np.abs(shifts) / unsure, axis=0), allowed)
    words = []
    for off, most in zip(largest, allowed, strict=True):
        told, least = (format_quantity(float(value), "rad", 3) for value in (off, most))
        words.append(f"out of tolerance: at fresh settings its phase is {told} off, {least} is allowed" if off > most else "")
    return verification, words


def _drift_check(sweep: MeshSweep, how: MeshMeasuring, rng: np.random.Generator) -> Plan[DriftCheck]:
    """A few random settings with one vector each, and what the outputs read with them now."""
    ports = len(sweep.inputs)
    banks = sweep.banks(sweep.random(how.frames, rng), random_vectors(how.frames, ports, rng))
    order = np.repeat(np.arange(how.frames), how.repeats)
    orders = {port: order.copy() for port in banks}
    readings = yield ShotTable(banks, orders, sweep.dwell_s, ("outputs",))
    seen = readings["outputs"].astype(np.float64).reshape(how.frames, how.repeats, ports)
    expected, sigma = seen.mean(axis=1), seen.std(axis=1, ddof=1) / np.sqrt(how.repeats)
    kept = {port: np.asarray(bank) for port, bank in banks.items()}
    return DriftCheck(kept, orders, sweep.dwell_s, how.repeats, "outputs", "V", expected, sigma, CHECKED * expected.std(axis=0))
