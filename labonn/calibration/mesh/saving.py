"""A measured mesh as a calibration, and back: curves of its heaters with covariance, and all that goes with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.calibration.calibration import Calibration, Coefficient, DriftCheck, Verification
from labonn.calibration.fitting import Fitted
from labonn.calibration.measuring import Outcome
from labonn.calibration.mesh.bank import KIND, PORTS
from labonn.calibration.mesh.fit import MeshTruth
from labonn.calibration.mesh.heaters import HeaterCurves
from labonn.calibration.mesh.measuring import MeshOutcome
from labonn.calibration.models import Model
from labonn.calibration.saving import calibration_of
from labonn.calibration.starts import fringe_start
from labonn.calibration.sweeps import Points
from labonn.channels import Floats
from labonn.errors import CalibrationError
from labonn.shots import Ints

NAME, VERSION = "mesh-heaters", 1


def _curve(parameters: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Phases of heaters (P, 3) that are set in volts, or (P, 2) in watts, alone; a curve as those of labonn.calibration.models."""
    watts = parameters.shape[1] == 2
    bend = np.zeros((len(parameters), 1)) if watts else parameters[:, 2:]
    curves = HeaterCurves(parameters[:, :1], parameters[:, 1:2], bend, np.zeros((1, 1)), watts)
    own = curves.own(x)
    slopes = [np.ones_like(x), own / parameters[:, 1:2], *([] if watts else [curves.by_bend(x)])]
    return parameters[:, :1] + own, np.stack(slopes, axis=-1)


def model_of(watts: bool) -> Model:
    """Phase of a heater over its drive, without crosstalk."""
    names, units = ("phase", "rate", "bend"), ("rad", "rad/W" if watts else "rad/V^2", "1/V^2")
    count = 2 if watts else 3
    swing = lambda parameters: np.abs(parameters[:, 1])  # noqa: E731
    return Model(NAME, VERSION, names[:count], units[:count], _curve, fringe_start, swing, {"phase": "phase"})


def core_outcome(
    names: Sequence[str], fitted: Any, shifts: Floats, errors: Floats, seen: Verification, words: list[str], check: DriftCheck | None
) -> Outcome:  # fmt: skip
    """As calibrations are made of: every heater with the block of the covariance that is its own.

    Args:
        fitted: a MeshFitted or a ChipFitted. shifts, errors: (G, P) rad, of fresh settings. seen: what those said.
    """
    heaters, count = fitted.truth.heaters, len(names)
    model = model_of(heaters.watts)
    columns = [heaters.phase, heaters.rate, heaters.bend][: len(model.parameters)]
    parts = [fitted.parts[name] for name in model.parameters]
    places = np.stack([part.start + np.arange(count) % (part.stop - part.start) for part in parts], axis=1)
    covariance = fitted.covariance[places[:, :, None], places[:, None, :]]
    zeros, sure = np.zeros(count, np.intp), np.ones(count, bool)
    alone = Fitted(
        np.stack(columns, axis=1),
        covariance,
        shifts.T,
        zeros + len(shifts),
        np.full(count, fitted.sigma),
        zeros,
        sure,
        np.ones(count),
        ~sure,
    )
    fresh = Points(np.zeros_like(shifts.T), shifts.T, np.ones_like(shifts.T, bool), np.full(count, np.nan))
    return Outcome(model, names, "rad", fresh, alone, fresh, shifts.T, errors.T, seen, words, check)


def p_pi_of(heaters: HeaterCurves, ohms: float) -> Coefficient:
    """Watts of half a turn; of heaters that are set in volts, if they had so many ohms."""
    return Coefficient(np.pi / heaters.rate / (1.0 if heaters.watts else ohms), "W")


def mesh_calibration(
    bench: Bench, outcome: MeshOutcome, dwell_s: float, days: float | None, about: Mapping[str, Any]
) -> Calibration:  # fmt: skip
    """To be kept."""
    truth, parts, design = outcome.fitted.truth, outcome.fitted.parts, outcome.design
    error = np.sqrt(np.diag(outcome.fitted.covariance))
    ohms = design.heater.resistance_ohm
    more = {
        "p_pi": p_pi_of(truth.heaters, ohms),
        "crosstalk": Coefficient(truth.heaters.crosstalk, ""),
        "splitters": Coefficient(truth.delta, "rad"),
        "splitter_errors": Coefficient(error[parts["delta"]].reshape(-1, 2), "rad"),
        "bar_extinction": Coefficient(outcome.extinction[:, 0], "dB"), "cross_extinction": Coefficient(outcome.extinction[:, 1], "dB"),
        "loss": Coefficient(truth.loss, ""), "in_phase": Coefficient(truth.in_phase, ""),
        "quadrature": Coefficient(np.stack([truth.quadrature.real, truth.quadrature.imag]), ""), "volts": Coefficient(truth.volts, "V"),
        "fidelity": Coefficient(np.stack([outcome.before.expected, outcome.after.expected]), ""),
    }  # fmt: skip
    told = {"layout": design.size.layout, "misfit_v": outcome.fitted.sigma, "outliers": outcome.fitted.outliers}
    if not truth.heaters.watts:
        told["p_pi_at_ohm"] = ohms
    unit = "W" if truth.heaters.watts else "V"
    core = core_outcome(
        outcome.names, outcome.fitted, outcome.shifts, outcome.errors, outcome.verification, outcome.words, outcome.check
    )  # fmt: skip
    told = {**told, **about}
    return calibration_of(KIND, core, bench, PORTS[0], PORTS[1:], x_unit=unit, days=days, dwell_s=dwell_s, more=more, about=told)


def heater_curves(calibration: Calibration, count: int) -> HeaterCurves:
    """Curves of the heaters of a calibration of this model.

    Raises:
        CalibrationError: it is of another model, or of another number of heaters.
    """
    if calibration.model != NAME or len(calibration.channels) != count:
        told = f"{calibration.model} of {len(calibration.channels)} channels; {NAME} of {count} is wanted"
        raise CalibrationError(f"{calibration.title}: is of model {told}")
    watts = "bend" not in calibration.parameters
    bend = np.zeros(count) if watts else calibration.values("bend")
    return HeaterCurves(calibration.values("phase"), calibration.values("rate"), bend, calibration.values("crosstalk"), watts)


def mesh_truth(calibration: Calibration, couplers: int) -> MeshTruth:
    """What a calibration of a mesh of so many couplers knows."""
    values = calibration.values
    quadrature = values("quadrature")
    return MeshTruth(
        heater_curves(calibration, 2 * couplers), values("splitters"), values("loss"), values("in_phase"),
        quadrature[0] + 1j * quadrature[1], values("volts"),
    )  # fmt: skip


def fringes_of(outcome: MeshOutcome) -> tuple[Ints, Ints]:
    """((P,) row, (P,) place in it) of the fringe of every heater."""
    row, place = np.zeros(len(outcome.names), np.intp), np.zeros(len(outcome.names), np.intp)
    for number, one in enumerate(outcome.rows):
        row[one.heaters], place[one.heaters] = number, np.arange(len(one.heaters))
    return row, place
