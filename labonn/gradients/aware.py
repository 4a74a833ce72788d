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
    model, inputs = objective.optics.model, objective.images_shown[objective.rows]
    before, parts, losses = (objective.settings, objective.shots), [], []
    for _ in range(repeats):
        hidden, outputs = yield from objective.traced(theta)
        adjoints = objective.optics.slope(outputs, objective.labels) / len(objective.rows)
        parts.append(model.gradient(np.asarray(theta, np.float64), inputs, adjoints, hidden))
        losses.append(float(objective.optics.loss(outputs, objective.labels).mean()))
    gradients = np.stack(parts)
    scatter = float(np.sqrt(np.mean(gradients.var(axis=0, ddof=1)) / repeats))
    return Estimate(
        gradient=gradients.mean(axis=0), standard_error=np.full(len(theta), scatter), settings=objective.settings - before[0],
        shots=objective.shots - before[1], tables=repeats * (2 if objective.optics.design.activation == "host" else 1),
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
