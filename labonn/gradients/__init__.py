"""Gradient plans: of chips by perturbing their parameters, and of saturable-absorber networks by backward light."""

from labonn.gradients.adjoint import adjoint
from labonn.gradients.aware import aware
from labonn.gradients.differences import central, forward
from labonn.gradients.lagged import lagged
from labonn.gradients.objective import Estimate, Estimates, Objective, Slots
from labonn.gradients.onchip import OnChip
from labonn.gradients.optical import (
    DERIVATIVES,
    ERRORS,
    Method,
    Step,
    Steps,
    backprop,
    central_differences,
    chop,
    measure_outputs,
    optical_error_table,
)
from labonn.gradients.shift import shift
from labonn.gradients.spsa import spsa
from labonn.gradients.steps import best_step_central, best_step_forward
from labonn.gradients.walsh import walsh

__all__ = [
    "DERIVATIVES",
    "ERRORS",
    "Estimate",
    "Estimates",
    "Method",
    "Objective",
    "OnChip",
    "Slots",
    "Step",
    "Steps",
    "adjoint",
    "aware",
    "backprop",
    "best_step_central",
    "best_step_forward",
    "central",
    "central_differences",
    "chop",
    "forward",
    "lagged",
    "measure_outputs",
    "optical_error_table",
    "shift",
    "spsa",
    "walsh",
]
