"""From measured detectors to what is kept of them: gains, and what else follows from the fitted numbers."""

from __future__ import annotations

import numpy as np

from labonn.calibration.calibration import Coefficient
from labonn.calibration.detectors.measuring import Measured
from labonn.channels import Floats


def coefficients(measured: Measured, watts: float | None, fields: tuple[Floats, Floats] | None) -> dict[str, Coefficient]:
    """gain, bend, read_noise, rin_rms, of all channels that are good.

    The gain is in volts per watt where watts at full light are known, per believed field where fields are, or else volts at full light;
    always those of a linear detector. `bend` is by how much a reading is too low at full light, `read_noise` one reading's without light,
    `rin_rms` what the light's own noise is of the light.

    Args:
        watts: at full light. fields: (C,) volts per believed field, and standard errors.
    """
    outcome, unit = measured.outcome, measured.outcome.unit
    good = np.array([not told for told in outcome.words])
    _, compression, full, read, _, rin = np.where(good, outcome.fitted.parameters.T, np.nan)
    found = {
        "gain": Coefficient(full if watts is None else full / watts, unit if watts is None else f"{unit}/W"),
        "bend": Coefficient(compression * np.abs(full), "1"),
        "read_noise": Coefficient(np.sqrt(np.maximum(read, 0)), unit),
        "rin_rms": Coefficient(np.sqrt(np.maximum(rin, 0)), "1"),
    }
    if fields is not None:
        found |= {name: Coefficient(np.where(good, one, np.nan), unit) for name, one in zip(("gain", "gain_error"), fields, strict=True)}
    return found
