"""Where the training of a chip starts: random parameters, a training of the believed chip, given parameters or matrices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from labonn.channels import Floats
from labonn.chip_curves import StartCurves, start_through
from labonn.chip_training import ChipSettings, Pictures
from labonn.errors import DataError, ProcedureError
from labonn.gradients import OnChip
from labonn.insilico import accuracy, train_believed
from labonn.mapping import chip_parameters, fit_weights

ATTENUATED = 1.0  # rad, of attenuators that are to be trained: at 0, full transmission, they have no slope
SHARES = {"pt": 0.5, "rotation": 0.9, "mzi": 0.9}  # of the range, from which random parameters are drawn
BELIEVED_STEPS, BELIEVED_BATCH = 2000, 256
BELIEVED_RATES = {"pt": 0.01, "rotation": 0.05, "mzi": 0.05}


def start_from(
    start: str, objective: OnChip, pictures: Pictures, settings: ChipSettings, told: Callable[[str], None],
    curves: StartCurves | None = None,
) -> Floats:  # fmt: skip
    """(P,) parameters inside the limits.

    Args:
        start: "random"; "believed": trained on the training images as the chip is believed to be; or an .npz file with the parameters
            `best` of an earlier run, or with matrices `weights1` (N1, N0) and `weights2` (N2, N1) for a chip of interferometers.
        told: is told what was done.
        curves: calibrated ones, through which parameters of a believed chip or of matrices go; None: nominal ones. Those of an earlier run
            are as that run left them.

    Raises:
        DataError: the file is not one of these. ProcedureError: it does not fit the chip.
    """
    limits = objective.lower, objective.upper
    if start not in ("random", "believed"):
        theta, words = _from_file(Path(start), objective, told, curves)
        outside = np.count_nonzero((theta < limits[0]) | (theta > limits[1]))
        told(f"start from {start} ({words}); {outside} of {len(theta)} parameters were outside the limits and are at them now")
        return np.clip(theta, *limits)
    model = objective.optics.model
    theta = model.random(np.random.default_rng([settings.seed, 0]), limits, SHARES[model.coupler.kind])
    if model.coupler.kind != "pt":
        theta[model.amplifiers] = ATTENUATED if settings.train == "all" else 0.0
    theta = np.clip(theta, *limits)
    if start == "random":
        return theta
    return _believed(theta, objective, pictures, settings, told, curves)


def _believed(
    theta: Floats, objective: OnChip, pictures: Pictures, settings: ChipSettings, told: Callable[[str], None], curves: StartCurves | None
) -> Floats:  # fmt: skip
    model, design = objective.optics.model, objective.optics.design
    if design.readout != "homodyne" and model.coupler.kind == "mzi":
        raise ProcedureError("--start believed: outputs of full MZIs that are read by intensity have no believed gradient; start at random")
    held = objective.optics.amplifiers if settings.train == "theta" else np.zeros(len(theta), bool)
    lower, upper = objective.lower, objective.upper
    if curves is not None:
        lower, upper = _within(curves, lower, upper)
        theta = np.clip(theta, lower, upper)
    limits = np.where(held, theta, lower), np.where(held, theta, upper)
    images, labels = pictures.fields[pictures.train], pictures.labels[pictures.train]
    found = train_believed(
        model, theta, images, labels, BELIEVED_STEPS, BELIEVED_BATCH, BELIEVED_RATES[model.coupler.kind], settings.seed, limits,
        design.logit_scale,
    )  # fmt: skip
    share = accuracy(model, found.theta, pictures.fields[pictures.validation], pictures.labels[pictures.validation])
    told(f"start from the believed chip, trained in {BELIEVED_STEPS} steps: it would have a validation accuracy of {100 * share:.1f} %")
    return _through(curves, found.theta, objective, told)


def _within(curves: StartCurves, lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
    """Limits of parameters that calibrated curves reach as well, where they reach any of the others."""
    low, high = curves.reach()
    tight = np.maximum(lower, low), np.minimum(upper, high)
    some = tight[0] < tight[1]
    return np.where(some, tight[0], lower), np.where(some, tight[1], upper)


def _through(curves: StartCurves | None, theta: Floats, objective: OnChip, told: Callable[[str], None]) -> Floats:
    """Parameters whose nominal drives give these, inside the limits; without calibrated curves these themselves."""
    if curves is None:
        return theta
    moved, words = start_through(curves, objective.optics, theta)
    told(words)
    return np.clip(moved, objective.lower, objective.upper)


def _from_file(
    path: Path, objective: OnChip, said: Callable[[str], None], curves: StartCurves | None
) -> tuple[Floats, str]:  # fmt: skip
    """(parameters, what they are)."""
    model = objective.optics.model
    try:
        with np.load(path) as file:
            arrays: dict[str, Any] = {name: file[name] for name in file.files}
    except (OSError, ValueError) as problem:
        raise DataError(f"{path}: not an .npz file: {problem}") from problem
    if {"weights1", "weights2"} <= set(arrays):
        first, second = (np.asarray(arrays[name], np.float64) for name in ("weights1", "weights2"))
        try:
            theta, one, two = chip_parameters(model, first, second)
        except ProcedureError as problem:
            limits = np.asarray(objective.lower, np.float64), np.asarray(objective.upper, np.float64)
            fit = fit_weights(model, np.asarray(model.random(np.random.default_rng(0), limits), np.float64), first, second, limits)
            misfits = " and ".join(f"{misfit:.2g}" for misfit in fit.misfits)
            return _through(curves, fit.theta, objective, said), f"fitted to the matrices, {misfits} of their rms off, because: {problem}"
        told = "; ".join(f"layer {i} is {1 / layer.scale:.4g} of what is wanted" for i, layer in ((1, one), (2, two)))
        return _through(curves, theta, objective, said), f"{told}; the sigmoid's slope and the logits make up for that"
    if "best" not in arrays:
        raise DataError(f"{path}: has {', '.join(arrays) or 'nothing'}; `best`, or `weights1` and `weights2`, are wanted")
    theta = np.asarray(arrays["best"], np.float64)
    if theta.shape != (model.count,):
        raise ProcedureError(f"{path}: `best` has {theta.size} parameters; this chip has {model.count}")
    return theta, "parameters"
