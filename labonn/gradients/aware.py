"""Physics-aware training (Wright et al. 2022): light forward on the chip, the gradient backward through the believed model."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.gradients.objective import Estimate
from labonn.gradients.onchip import OnChip
from labonn.shots import Readings, ShotTable


def aware(objective: OnChip, theta: Floats, repeats: int = 2) -> Generator[ShotTable, Readings, Estimate]:
    """The gradient at measured hidden neurons and outputs; the batch is played `repeats` times.

    The standard error is that of the readings' noise (from the scatter of the repeats, taken together over all parameters). What the belief
    has wrong is not in it: compare with central differences (`labonn.planner` does).

    Raises:
        ProcedureError: fewer than 2 repeats, or a chip whose hidden neurons or signed outputs are not measured.
    """
    _needs(objective, repeats)
    model, inputs = objective.optics.model, objective.images_shown[objective.rows].astype(np.float64)
    before, theta = objective.played, np.asarray(theta, np.float64)
    gradients, losses = list[Floats](), list[float]()
    for _ in range(repeats):
        hidden, outputs = yield from objective.traced(theta)
        adjoints = objective.optics.slope(outputs, objective.labels) / len(objective.rows)
        gradients.append(model.gradient(theta, inputs, adjoints, hidden))
        losses.append(float(objective.optics.loss(outputs, objective.labels).mean()))
    scatter = float(np.sqrt(np.mean(np.var(gradients, axis=0, ddof=1)) / repeats))
    settings, shots, tables = (objective.played - before).tolist()
    return Estimate(
        gradient=np.mean(gradients, axis=0), standard_error=np.full(len(theta), scatter), settings=settings, shots=shots, tables=tables,
        loss=float(np.mean(losses)), sigma=float(np.std(losses, ddof=1)), notes=(), method="aware",
    )  # fmt: skip


def _needs(objective: OnChip, repeats: int) -> None:
    design = objective.optics.design
    if repeats < 2:
        raise ProcedureError(f"aware: {repeats} repeats; at least 2, or its noise cannot be known")
    if "hidden" not in objective.specs:
        raise ProcedureError("aware: this chip's hidden neurons are not measured (no port `hidden`); it needs them")
    if design.readout != "homodyne":
        raise ProcedureError(f"aware: outputs are read by {design.readout}; signed fields (homodyne) are needed")
