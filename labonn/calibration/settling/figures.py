"""The figure of settling times: rises and falls with their fits and fresh residuals, and the times of all channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np

from labonn.calibration.calibration import Calibration
from labonn.calibration.figures import BAD, DATA, FIT, FRESH, _map, _title, _worst
from labonn.calibration.measuring import Outcome
from labonn.calibration.settling.model import TAUS
from labonn.channels import Floats
from labonn.plotting.axes import prefixed
from labonn.units import format_quantity

RISE, FALL = DATA, FRESH
SHOWN = 4


def settling_figure(outcome: Outcome, calibration: Calibration, path: Path) -> None:
    """Draw it.

    Args:
        path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.6, 8.2), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_title(calibration, len(outcome.names)), fontsize=10)
    above, below = cast("Any", figure.subfigures(2, 1, height_ratios=(1, 1.3)))
    axes = above.subplots(1, 4, width_ratios=(1.3, 1, 1, 1))
    _map(above, axes[0], outcome)
    for one, what in zip(axes[1:], ("tau", "onset", "wait"), strict=True):
        _times(one, calibration, what)
    which = _worst(outcome)[:SHOWN]
    below.suptitle("channels whose fresh samples are furthest off, by what is allowed", fontsize=9)
    panels = below.subplots(2, len(which), height_ratios=(2.2, 1), sharex="col", squeeze=False)
    size, unit = prefixed(float(outcome.points.x.max()), "s")
    for column, c in enumerate(which):
        _steps(panels[0, column], outcome, calibration, int(c), size)
        _residuals(panels[1, column], outcome, int(c), size)
        panels[1, column].set_xlabel(f"after the step ({unit})")
    panels[0, 0].set_ylabel(f"reading ({outcome.unit})")
    panels[1, 0].set_ylabel("fresh samples:\nmeasured - fit")
    panels[0, 0].legend(loc="center right", fontsize=7, frameon=False)
    figure.savefig(path)


def _times(axes: Any, calibration: Calibration, what: str) -> None:
    """Histograms, of rises and falls where there are both."""
    ways = ((f"{what}_rise", RISE), (f"{what}_fall", FALL)) if what != "wait" else (("wait", "#7fb36b"),)
    known = [np.asarray(calibration.values(name)) for name, _ in ways]
    size, unit = prefixed(max(float(np.nanmax(np.abs(values), initial=0.0)) for values in known), "s")
    for (name, colour), values in zip(ways, known, strict=True):
        values = values[np.isfinite(values)] * size
        middle = f"{np.median(values):.3g} {unit}" if values.size else "none"
        axes.hist(values, bins=min(30, max(6, values.size // 6)), color=colour, alpha=0.7, label=f"{name}: median {middle}")
    remain = f" until {100 * float(calibration.conditions['remain']):.2g} % is left" if what == "wait" else ""
    axes.set(xlabel=f"{what}{remain} ({unit})", ylabel="channels" if what == "tau" else "")
    top = axes.get_ylim()[1]
    axes.set_ylim(0, 1.3 * top)
    axes.legend(loc="upper right", fontsize=7, frameon=False)
    _plain(axes)


def _halves(values: Floats) -> tuple[Floats, Floats]:
    half = len(values) // 2
    return values[:half], values[half:]


def _steps(axes: Any, outcome: Outcome, calibration: Calibration, c: int, size: float) -> None:
    points, fine = outcome.points, np.linspace(outcome.points.x[c].min(), outcome.points.x[c].max(), 400)
    fitted = outcome.model.curve(outcome.fitted.parameters[c : c + 1], np.tile(fine, 2)[None])[0][0]
    for value in _halves(fitted):
        axes.plot(
            size * fine, value, color=FIT, lw=1.0, label="fit" if value is not fitted[len(fine) :] and value[0] == fitted[0] else None
        )
    parts = (points.x[c], points.y[c], points.used[c])
    for way, colour, x, y, used in zip(("rise", "fall"), (RISE, FALL), *(_halves(part) for part in parts), strict=True):
        axes.plot(size * x[used], y[used], "o", ms=2.5, color=colour, label=way)
        axes.plot(size * x[~used], y[~used], "x", ms=4, color=BAD)
    name = str(outcome.names[c])
    wrong = calibration.excluded.get(name)
    told = ", ".join(format_quantity(float(outcome.fitted.parameters[c, at]), "s", 3) for at in TAUS)
    axes.set_title(f"{name}: {wrong.partition(':')[0] if wrong else f'rise, fall {told}'}", fontsize=8, color=BAD if wrong else FIT)
    _plain(axes)


def _residuals(axes: Any, outcome: Outcome, c: int, size: float) -> None:
    allowed, residuals, errors = float(outcome.verification.allowed[c]), outcome.residuals[c], outcome.errors[c]
    reach = float(np.nanmax(np.abs(residuals) + errors, initial=0.0))
    scale, unit = prefixed(reach, outcome.unit)
    axes.axhline(0, color=FIT, lw=0.8)
    for edge in (-allowed, allowed):
        axes.axhline(edge * scale, color=BAD, lw=0.8, ls=":")
    for colour, x, y, error in zip((RISE, FALL), *(_halves(part) for part in (outcome.fresh.x[c], residuals, errors)), strict=True):
        axes.errorbar(size * x, scale * y, scale * error, fmt="D", ms=2, mfc="none", color=colour, lw=0.7, capsize=1)
    if np.isfinite(reach) and reach > 0:
        axes.set_ylim(-1.6 * reach * scale, 1.6 * reach * scale)
    axes.text(0.02, 0.97, f"{unit}; allowed {format_quantity(allowed, outcome.unit, 3)}", transform=axes.transAxes, va="top", fontsize=7)
    _plain(axes)


def _plain(axes: Any) -> None:
    axes.tick_params(labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
