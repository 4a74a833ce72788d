"""The calibration of a whole chip of interferometers as a plan: dark levels, a table of random settings, one of fresh ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from labonn.bench import Plan
from labonn.calibration.calibration import DriftCheck, Verification, by_channel
from labonn.calibration.judging import SEEN, raise_failed
from labonn.calibration.mesh.bank import FULL, KIND, MOST_SATURATED
from labonn.calibration.mesh.chip_fit import ChipData, ChipFitted, ChipProblem, ChipTruth, fit_chip
from labonn.calibration.mesh.chip_light import places_of
from labonn.calibration.mesh.fit import MOST_COEFFICIENTS, phase_shifts
from labonn.calibration.mesh.heaters import HeaterCurves, groups_of
from labonn.channels import ChannelSpec, Floats
from labonn.chips import ChipOptics
from labonn.errors import CalibrationError, ProcedureError
from labonn.shots import ShotTable
from labonn.units import format_quantity

DETECTORS = ("hidden", "output")
BRIGHT, DIMMER = 0.5, 0.35  # fields of the beams of the sweep, and of those of fresh settings
DARK_SHOTS = 500
EACH = 8  # fresh settings of a group
WEAK = 0.2  # of the nominal heat, below which a heater is dead
CHECKED = 0.05


@dataclass(frozen=True)
class ChipMeasuring:
    """How to measure.

    Attributes:
        settings, beams: of the sweep. fresh: groups of fresh settings. crosstalk: see groups_of. leave_out: heaters that may fail.
        unsure_rad: standard error of a phase from which on it is told to be undetermined. phase_rad, drift_rad: allowed at fresh
        settings, and within the sweep. misfit: rms of what the fit leaves, as a part of that of the readings.
        seed: of everything random. dwell_s: of a shot. frames, repeats: settings, and beams, of the drift check, and shots of each.
    """

    settings: int = 60
    beams: int = 16
    fresh: int = 4
    crosstalk: str = "alike"
    unsure_rad: float = 0.05
    phase_rad: float = 0.03
    drift_rad: float = 0.03
    misfit: float = 0.05
    leave_out: int = 0
    seed: int = 0
    dwell_s: float = 2e-5
    frames: int = 4
    repeats: int = 16


@dataclass(frozen=True)
class ChipOutcome:
    """All that was measured.

    Attributes:
        names: (P,) channels. parameters: (P,) what they are on the chip. places: (P, 3) where. fitted: everything.
        shifts, errors: (G, P) rad, by how much phases of fresh settings are off. fresh: readings of those; before, after: what was
        predicted by nominal and by fitted numbers. words: (P,).
    """

    names: Sequence[str]
    parameters: tuple[str, ...]
    places: Floats
    fitted: ChipFitted
    shifts: Floats
    errors: Floats
    verification: Verification
    fresh: Floats
    before: Floats
    after: Floats
    words: list[str] = field(default_factory=list)
    check: DriftCheck | None = None


def nominal_chip(optics: ChipOptics) -> ChipTruth:
    """What the bench file believes."""
    heater, count, (n0, n1, n2) = optics.heater, optics.model.count, optics.design.sizes
    watts = heater.drive == "W"
    ohms = 1.0 if watts else heater.resistance_ohm
    bend = 0.0 if watts else heater.resistance_slope_per_w / ohms
    rates = np.full(count, np.pi / heater.p_pi_w / ohms)
    curves = HeaterCurves(np.full(count, heater.offset_rad), rates, np.full(count, bend), np.zeros((count, count)), watts)
    return ChipTruth(curves, np.ones(n0), np.zeros(n0), np.ones(n1), np.ones(n1), np.ones(n2))


def chip_problem(optics: ChipOptics, crosstalk: str) -> ChipProblem:
    """What is fitted.

    Raises:
        ProcedureError: a chip that cannot be calibrated this way.
    """
    design = optics.design
    if (design.coupler, design.activation, design.readout) != ("rotation", "board", "homodyne"):
        told = f"{design.coupler} couplers, activation by {design.activation}, read by {design.readout}"
        raise ProcedureError(
            f"{told}: chips of rotation couplers with an activation board and homodyne detectors are calibrated as a whole"
        )
    problem = ChipProblem(optics.model, groups_of(places_of(optics.model), crosstalk), nominal_chip(optics))
    if len(problem.width) > MOST_COEFFICIENTS:
        told = f"{design.described}, crosstalk {crosstalk!r}, has {len(problem.width)} coefficients"
        raise ProcedureError(f"{told}; one fit may have {MOST_COEFFICIENTS}")
    return problem


@dataclass(frozen=True)
class _Bench:
    """Attributes: optics, specs, how: as given. dark: port -> volts."""

    optics: ChipOptics
    specs: Mapping[str, ChannelSpec]
    how: ChipMeasuring
    dark: Mapping[str, Floats]

    def driven(self, settings: int, rng: np.random.Generator) -> Floats:
        """(S, P) drives of random powers, which the converter has codes for."""
        spec, watts = self.specs["heaters"], self.optics.heater.drive == "W"
        low, high = np.maximum(np.asarray(spec.lower, np.float64), 0.0), np.asarray(spec.upper, np.float64)
        power = 1 if watts else 2
        driven = (low**power + (high**power - low**power) * rng.random((settings, len(low)))) ** (1 / power)
        step = float(np.max(spec.step))
        return np.asarray(np.clip(np.rint(driven / step) * step, low, high) if step else driven)

    def banks(self, driven: Floats, beams: Floats) -> dict[str, Floats]:
        """Of heaters, inputs and the activation board."""
        return {"heaters": np.array(driven), "input": self.optics.modulator.volts(beams), "activation": self.optics.board_table()}

    def read(self, driven: Floats, beams: Floats) -> Plan[ChipData]:
        """All beams (B, n0) at all settings (S, P); heaters settle in one more shot each."""
        each = np.concatenate([[0], np.arange(len(beams))])
        fast, slow = np.tile(each, len(driven)), np.repeat(np.arange(len(driven)), len(each))
        orders = {"heaters": slow, "input": fast, "activation": np.zeros_like(fast)}
        readings = yield ShotTable(self.banks(driven, beams), orders, self.how.dwell_s, DETECTORS)
        parts, used = [], []
        for port in DETECTORS:
            volts = readings[port].astype(np.float64).reshape(len(driven), len(each), -1)[:, 1:]
            used.append(np.abs(volts) < FULL * np.asarray(self.specs[port].upper))
            parts.append((volts - self.dark[port]) / self.optics.volts_per_field(port))
        return ChipData(driven, beams, np.concatenate(parts, axis=2), np.concatenate(used, axis=2))


def measure_chip(optics: ChipOptics, specs: Mapping[str, ChannelSpec], how: ChipMeasuring) -> Plan[ChipOutcome]:
    """Sweep, fit, judge, verify.

    Raises:
        CalibrationError: names what does not work, and how.
    """
    problem, names = chip_problem(optics, how.crosstalk), list(map(str, specs["heaters"].names))
    dark: dict[str, Floats] = {}
    for port in DETECTORS:
        readings = yield ShotTable({}, dwell_s=how.dwell_s, read=(port,), shots=DARK_SHOTS)
        dark[port] = readings[port].mean(axis=0, dtype=np.float64)
    rig, rng, inputs = _Bench(optics, specs, how, dark), np.random.default_rng([how.seed, 4]), optics.design.sizes[0]
    data = yield from rig.read(rig.driven(how.settings, rng), BRIGHT * rng.choice([-1.0, 1.0], (how.beams, inputs)))
    _check_light(data, specs)
    fitted = fit_chip(problem, data)
    words = _judged(problem, data, fitted, how)
    raise_failed(KIND, "heaters", _failed(words, names), len(names), how.leave_out)
    fresh = yield from rig.read(rig.driven(EACH * how.fresh, rng), DIMMER * rng.choice([-1.0, 1.0], (how.beams, inputs)))
    groups = [fresh.part(slice(EACH * g, EACH * (g + 1))) for g in range(how.fresh)]
    found = [phase_shifts(problem, fitted.truth, group, fitted.sigma) for group in groups]
    shifts, errors = (np.stack([one[i] for one in found]) for i in (0, 1))
    apart = float(np.sqrt(np.mean(np.var(shifts, axis=0, ddof=1)) / np.mean(np.square(errors))))
    errors = errors * max(1.0, apart)  # readings of a setting are off together
    fitted = _widened(problem, fitted, shifts, errors, np.array([not told for told in words]))
    verification, words = _verified(problem, fitted, shifts, errors, how, words)
    raise_failed(KIND, "heaters", _failed(words, names), len(names), how.leave_out)
    before, after = (fresh.y - problem.residuals(truth, fresh) for truth in (problem.nominal, fitted.truth))
    check = yield from _drift_check(rig, rng)
    return ChipOutcome(
        names, optics.model.names, places_of(optics.model), fitted, shifts, errors, verification, fresh.y, before, after,
        words, check,
    )  # fmt: skip


def _failed(words: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Without those that the outputs do not tell, which no light that matters passes."""
    return {name: told for name, told in by_channel(list(words), names).items() if not told.startswith("undetermined")}


def _check_light(data: ChipData, specs: Mapping[str, ChannelSpec]) -> None:
    names = [f"{port}/{name}" for port in DETECTORS for name in specs[port].names]
    spread, many = np.std(data.y, axis=(0, 1)), np.mean(~data.used, axis=(0, 1))
    told = {names[i]: f"saturated: {100 * many[i]:.0f} % of its readings" for i in np.flatnonzero(many > MOST_SATURATED)}
    told |= {names[i]: "dark: it reads the same at all settings" for i in np.flatnonzero(spread < 0.05 * np.median(spread))}
    raise_failed(KIND, "detectors", told, len(names), 0)


def _judged(problem: ChipProblem, data: ChipData, fitted: ChipFitted, how: ChipMeasuring) -> list[str]:
    part = fitted.sigma / float(np.sqrt(np.mean(np.square(data.y[data.used]))))
    if part > how.misfit:
        told = f"the fit leaves {100 * part:.2g} % of the readings, {100 * how.misfit:g} % is allowed"
        raise CalibrationError(f"heaters: off the model: {told}; swapped channels, a blocked beam, or another chip? nothing is kept")
    half, error = len(data.y) // 2, np.sqrt(np.diag(fitted.covariance))
    halves = [phase_shifts(problem, fitted.truth, data.part(s), fitted.sigma) for s in (slice(half), slice(half, None))]
    moved, unsure = halves[1][0] - halves[0][0], np.hypot(halves[0][1], halves[1][1])
    known = error[problem.parts["phase"]] <= how.unsure_rad
    weak = fitted.truth.heaters.rate / problem.nominal.heaters.rate
    words = []
    for i, sure in enumerate(known):
        if not sure:
            words.append(f"undetermined: the outputs tell its phase to {error[problem.parts['phase']][i]:.2g} rad only")
        elif weak[i] < WEAK:
            words.append(f"dead: it makes {100 * weak[i]:.0f} % of the nominal phase")
        elif abs(moved[i]) > how.drift_rad and abs(moved[i]) > SEEN * unsure[i]:
            words.append(f"drifted: its phase moved by {1e3 * moved[i]:+.0f} mrad between the two halves of the sweep")
        else:
            words.append("")
    return words


def _widened(problem: ChipProblem, fitted: ChipFitted, shifts: Floats, errors: Floats, good: Floats) -> ChipFitted:
    """With standard errors as large as fresh settings and dimmer beams say that they are: beams and boards are not quite as believed."""
    own = np.sqrt(np.diag(fitted.covariance))[problem.parts["phase"]]
    off = np.mean(shifts, axis=0)[good]
    noise = np.square(errors[:, good]).sum(axis=0) / len(errors) ** 2
    factor = float(np.mean(np.square(off)) / np.mean(np.square(own[good]) + noise)) if np.any(good) else 1.0
    return replace(fitted, covariance=fitted.covariance * max(1.0, factor))


def _verified(
    problem: ChipProblem, fitted: ChipFitted, shifts: Floats, errors: Floats, how: ChipMeasuring, words: Sequence[str]
) -> tuple[Verification, list[str]]:  # fmt: skip
    own = np.sqrt(np.diag(fitted.covariance))[problem.parts["phase"]]
    unsure = np.hypot(errors, own)
    rms, largest = np.sqrt(np.mean(np.square(shifts), axis=0)), np.max(np.abs(shifts), axis=0)
    allowed = how.phase_rad + SEEN * np.median(unsure, axis=0)
    seen = Verification(len(shifts), "rad", rms, largest, np.max(np.abs(shifts) / unsure, axis=0), allowed)
    told = []
    for already, off, most in zip(words, largest, allowed, strict=True):
        is_, least = (format_quantity(float(value), "rad", 3) for value in (off, most))
        out = "" if off <= most else f"out of tolerance: at fresh settings its phase is {is_} off, {least} is allowed"
        told.append(already or out)
    return seen, told


def _drift_check(rig: _Bench, rng: np.random.Generator) -> Plan[DriftCheck]:
    """A few settings with a few beams each, and what the hidden neurons' detectors read of them now."""
    how, inputs = rig.how, rig.optics.design.sizes[0]
    banks = rig.banks(rig.driven(how.frames, rng), BRIGHT * rng.choice([-1.0, 1.0], (how.frames, inputs)))
    fast = np.tile(np.repeat(np.arange(how.frames), how.repeats), how.frames)
    orders = {"heaters": np.repeat(np.arange(how.frames), how.frames * how.repeats), "input": fast, "activation": np.zeros_like(fast)}
    readings = yield ShotTable(banks, orders, how.dwell_s, ("hidden",))
    seen = readings["hidden"].astype(np.float64).reshape(how.frames**2, how.repeats, -1)
    expected, sigma = seen.mean(axis=1), seen.std(axis=1, ddof=1) / np.sqrt(how.repeats)
    kept = {port: np.asarray(bank) for port, bank in banks.items()}
    return DriftCheck(kept, orders, how.dwell_s, how.repeats, "hidden", "V", expected, sigma, CHECKED * expected.std(axis=0))
