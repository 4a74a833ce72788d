"""Figures of calibrations that a run made: coefficients, curves, residuals; `no_…` says why not."""

from __future__ import annotations

from typing import Any

from labonn.calibration import Calibration
from labonn.errors import LabonnError
from labonn.plotting import calibrations
from labonn.plotting.past import Past
from labonn.plotting.wanted import Wanted


def calibrations_of(past: Past) -> list[Calibration]:
    """That the run made, and are still kept."""
    return calibrations.loaded(past, calibrations.kept_by(past))[0]


def no_calibration(past: Past) -> str:
    """Why not."""
    made = calibrations.kept_by(past)
    if not made:
        return "it made no calibration"
    found, problems = calibrations.loaded(past, made)
    return "" if found else problems[0]


def _calibration(past: Past, wanted: Wanted, able: Any = None) -> Calibration:
    found = [one for one in calibrations_of(past) if (wanted.port in (None, one.port)) and (able is None or able(one))]
    if not found:
        ports = ", ".join(f"{one.kind} of {one.port}" for one in calibrations_of(past))
        raise LabonnError(f"{past.folder}: --port {wanted.port}: its calibrations are {ports}")
    return found[-1]


def coefficient_rows(past: Past, wanted: Wanted) -> int:
    """Of panels."""
    return 1 if wanted.part else min(calibrations.PANELS, len(calibrations.told_coefficients(_calibration(past, wanted))))


def coefficients(figure: Any, past: Past, wanted: Wanted) -> None:
    """Up to four, or the one that is wanted."""
    one = _calibration(past, wanted)
    there = calibrations.told_coefficients(one)
    if wanted.part is not None and wanted.part not in there:
        raise LabonnError(f"{past.folder}: --part {wanted.part}: coefficients are {', '.join(there)}")
    names = [wanted.part] if wanted.part else there[: calibrations.PANELS]
    grid = figure.subplots(len(names), 1, squeeze=False)[:, 0]
    for axes, name in zip(grid, names, strict=True):
        calibrations.draw_coefficient(axes, one, name)
    if len(one.channels) <= calibrations.MANY:
        for axes in grid[:-1]:
            axes.set_xlabel("")
    figure.align_ylabels(grid)


def no_curves(past: Past) -> str:
    """Why not."""
    if why := no_calibration(past):
        return why
    return "" if any(map(calibrations.has_curve, calibrations_of(past))) else "this kind of calibration is no curve"


def curves(figure: Any, past: Past, wanted: Wanted) -> None:
    """Of some channels."""
    calibrations.draw_curves(figure.subplots(), _calibration(past, wanted, calibrations.has_curve))


def residuals(figure: Any, past: Past, wanted: Wanted) -> None:
    """By channel."""
    calibrations.draw_residuals(figure.subplots(), _calibration(past, wanted))
