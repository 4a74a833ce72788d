"""Calibrations: measured maps with covariance, verified on fresh points, kept for ever, and believed only where they still hold.

Who uses them (a training, a believed model) asks once, when the bench is open:

    found = current(Store("calibrations"), bench)       # {(port, kind): Calibration}; CalibrationError tells what may not be believed
    v_pi_v = found["input", "modulators"].values("v_pi")  # (C,), NaN for channels that were left out; `errors` has standard errors

Each was checked against the instruments' identities, the wiring, its model and its date, and one small table was played for each (its
drift check). `survey` returns refusals in place of raising them. Ids go into what is made with them: a run's events, `parents`.

Who measures one writes a page (procedures/calibrate_modulators.py): a sweep for the bench (labonn.calibration.sweeps, .rigging), a model
(.models), `measure` (.measuring), which sweeps, fits, judges and verifies, then `calibration_of` and `Store.save`, and a figure.
"""

from labonn.calibration.calibration import Calibration, Coefficient, DriftCheck, Verification
from labonn.calibration.store import Store
from labonn.calibration.validity import current, survey

__all__ = ["Calibration", "Coefficient", "DriftCheck", "Store", "Verification", "current", "survey"]
