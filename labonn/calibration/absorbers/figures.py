"""The figure of the absorbers: transmission against field with its fit, residuals of fresh points, and what every tap says by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from labonn.calibration.absorbers.measuring import CellOutcome
from labonn.calibration.absorbers.model import responses
from labonn.calibration.calibration import Calibration
from labonn.calibration.figures import BAD, DATA, FIT, FRESH
from labonn.channels import Floats

SHOWN = 6  # taps of a cell, in the curve
CLEAR = 0.15  # relative error of a point that is shown
MOST_CELLS = 4


def absorber_figure(outcome: CellOutcome, calibration: Calibration, tolerance: float, path: Path) -> None:
    """Draw it: a column a cell, of the first cells if there are many.

    Args:
        tolerance: of fresh points, to show. path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = min(len(outcome.names), MOST_CELLS)
    figure = Figure(figsize=(max(4.2 * count, 7.0), 8.4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    beams = "Gaussian" if outcome.found.kind.gaussian else "flat"
    figure.suptitle(f"{calibration.title}\nmodel: {outcome.found.kind}; beams {beams}; bench file: {outcome.believed}", fontsize=9)
    axes = figure.subplots(3, count, height_ratios=(2.2, 1.1, 1.1), squeeze=False)
    for h in range(count):
        _curve(axes[0, h], outcome, h)
        _residuals(axes[1, h], axes[0, h], outcome, h, tolerance)
        _apart(axes[2, h], outcome, h)
    axes[0, 0].set_ylabel("field transmission")
    axes[1, 0].set_ylabel("fresh points:\nmeasured / fit - 1 (%)")
    axes[2, 0].set_ylabel("optical depth\nof each tap alone")
    axes[0, 0].legend(loc="lower right", fontsize=8, frameon=False)
    for one in axes.flat:
        one.tick_params(labelsize=8)
        for side in ("top", "right"):
            one.spines[side].set_visible(False)
    figure.savefig(path)


def _fields(outcome: CellOutcome, x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """(D, n) fields before the cell, transmissions, and their relative errors."""
    parameters = outcome.found.taps.parameters
    per_in, per_out, dark_in, dark_out = (parameters[:, i, None] for i in (0, 1, 3, 4))
    field, behind = (x - dark_in) / per_in, (y - dark_out) / per_out
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.hypot(outcome.points.sigma_y[:, None] / np.abs(y - dark_out), outcome.points.sigma_x[:, None] / np.abs(x - dark_in))
        return np.abs(field), behind / field, error


def _curve(axes: Any, outcome: CellOutcome, h: int) -> None:
    points, found = outcome.points, outcome.found
    field, t, error = _fields(outcome, points.x, points.y)
    own = np.flatnonzero(found.taken & (points.cell == h))
    some = own[np.linspace(0, len(own) - 1, min(SHOWN, len(own))).astype(int)]
    clear = points.used[some] & (error[some] < CLEAR) & (t[some] > 0)
    axes.plot(field[some][clear], t[some][clear], ".", ms=3, color=DATA, alpha=0.6, label=f"sweep, {len(some)} of {len(own)} taps")
    lost = ~points.used[some]
    if lost.any():
        axes.plot(field[some][lost], t[some][lost], "x", ms=4, color=BAD, label=f"saturated ({int((~points.used[own]).sum())} in all)")
    reach = field[own][points.used[own]]
    least = np.min(field[some][clear], initial=reach.max() / 10)
    grid = np.geomspace(least / 2, reach.max(), 200)
    depth, unsure = found.depth[h], 3 * found.depth_error[h]
    cell, gaussian = found.kind.cell, found.kind.gaussian
    depths = (depth + unsure, depth, depth - unsure)
    low, value, high = (responses(cell, grid[None], np.full((1, 1), one), gaussian)[0][0] for one in depths)
    axes.fill_between(grid, low, high, color=FIT, alpha=0.2, lw=0, label="3 standard errors")
    axes.plot(grid, value, color=FIT, lw=1.1, label="fit")
    floor = max(float(np.min(t[some][clear], initial=1.0)) / 3, 1e-7)
    axes.set(xscale="log", yscale="log", xlim=(least / 2, 1.5 * reach.max()), ylim=(floor, max(1.5, 1.5 * float(value.max()))))
    axes.set_title(f"{outcome.names[h]}: optical depth {depth:.4g} +- {found.depth_error[h]:.2g}", fontsize=9)


def _residuals(axes: Any, above: Any, outcome: CellOutcome, h: int, tolerance: float) -> None:
    checked, found = outcome.checked, outcome.found
    field, _, _ = _fields(outcome, checked.points.x, checked.points.y)
    own = (found.taken & (outcome.points.cell == h))[:, None] & np.isfinite(checked.residuals)
    axes.errorbar(field[own], 100 * checked.residuals[own], 100 * checked.errors[own], fmt=".", ms=3, lw=0.5, color=FRESH, alpha=0.6)
    axes.set(xscale="log", xlim=above.get_xlim())
    axes.axhline(0, color=FIT, lw=0.8)
    for edge in (-100 * tolerance, 100 * tolerance):
        axes.axhline(edge, color=BAD, lw=0.8, ls=":")
    axes.set_xlabel("field before the cell (saturation fields)", fontsize=8)
    axes.text(0.02, 0.96, f"dotted: {100 * tolerance:.2g} %; beyond it, 5 standard errors", transform=axes.transAxes, va="top", fontsize=7)


def _apart(axes: Any, outcome: CellOutcome, h: int) -> None:
    found = outcome.found
    own = np.flatnonzero(outcome.points.cell == h)
    taken = own[found.taken[own]]
    axes.errorbar(taken - own[0], found.apart[taken], found.apart_error[taken], fmt=".", ms=4, lw=0.8, color=DATA)
    depth, error = found.depth[h], found.depth_error[h]
    axes.axhspan(depth - error, depth + error, color=FIT, alpha=0.3, lw=0)
    axes.axhline(depth, color=FIT, lw=0.8)
    left = len(own) - len(taken)
    axes.set_xlabel("tap of the cell" + (f" ({left} left out)" if left else ""), fontsize=8)
