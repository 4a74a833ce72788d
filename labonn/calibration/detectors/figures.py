"""The figure of a detector calibration: how far readings bend, the photon transfer curve, and residuals of fresh points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from labonn.calibration.calibration import Calibration
from labonn.calibration.detectors.measuring import Measured
from labonn.calibration.figures import BAD, BAND, DATA, FIT, FRESH, _worst
from labonn.units import format_quantity

MOST = 4
LABELS = ("reading - linear\n(m{unit})", "variance of readings\n({unit}²)", "fresh points: left of\nproducts (µ{unit})")


def detector_figure(measured: Measured, calibration: Calibration, path: Path) -> None:
    """Draw it, of the worst channels.

    Args:
        path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    outcome = measured.outcome
    which = _worst(outcome)[:MOST]
    figure = Figure(figsize=(max(3.5 * len(which), 7.0), 9.0), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    good, count = len(outcome.names) - len(calibration.excluded), len(outcome.names)
    shown = f"; shown: {len(which)}, some left out and those furthest off" if count > MOST else ""
    figure.suptitle(f"{calibration.title}\n{good} of {count} detectors, {calibration.model}{shown}", fontsize=10)
    axes = figure.subplots(3, len(which), squeeze=False)
    for column, c in enumerate(which):
        _bend(axes[0, column], measured, calibration, int(c))
        _transfer(axes[1, column], measured, int(c))
        _fresh(axes[2, column], measured, int(c))
    for row, label in enumerate(LABELS):
        axes[row, 0].set_ylabel(label.format(unit=outcome.unit), fontsize=8)
    for one in axes.flat:
        one.tick_params(labelsize=7)
        for side in ("top", "right"):
            one.spines[side].set_visible(False)
    figure.savefig(path)


def _bend(axes: Any, measured: Measured, calibration: Calibration, c: int) -> None:
    """What a reading is above that of a linear detector, against the light, which is the product of two factors."""
    outcome, product = measured.outcome, measured.product
    name = str(outcome.names[c])
    wrong = calibration.excluded.get(name)
    told = wrong.partition(":")[0] if wrong else f"bends by {100 * product.compression[c] * abs(product.full[c]):.3g} % at full light"
    axes.set_title(f"{name}: {told}", fontsize=9, color=BAD if wrong else FIT)
    x = measured.cells.x[c].astype(np.intp)
    light = product.factors[c][x[:, 0]] * product.levels[c][x[:, 1]]
    axes.plot(light, 1e3 * (measured.cells.mean[c] - product.dark[c] - light), "o", ms=2.6, mfc="none", color=DATA, label="sweep")
    line = np.linspace(min(light.min(), 0), light.max(), 200)
    error = np.sqrt(product.covariance[c, 1, 1]) if np.isfinite(product.covariance[c, 1, 1]) else 0.0
    curves = [line / np.maximum(1 + u * np.abs(line), 1e-3) - line for u in product.compression[c] + BAND * error * np.array([0, -1, 1])]
    axes.plot(line, 1e3 * curves[0], color=FIT, lw=1.1, label="fit")
    axes.fill_between(line, 1e3 * curves[1], 1e3 * curves[2], color=FIT, alpha=0.15, lw=0)
    axes.set_xlabel(f"light (as a linear reading, {outcome.unit})", fontsize=8)
    axes.legend(fontsize=7, frameon=False)


def _transfer(axes: Any, measured: Measured, c: int) -> None:
    """Variance against level, with the three parts that are fitted."""
    level, read, shot, rin = np.abs(measured.level[c]), *measured.outcome.fitted.parameters[c, 3:]
    shown = level > 1e-4 * max(float(level.max()), 1e-300)
    axes.plot(level[shown], measured.cells.variance[c][shown], "o", ms=2.6, mfc="none", color=DATA)
    most = max(float(level.max()), 1e-9)
    x = np.geomspace(float(level[shown].min()) if shown.any() else 1e-4 * most, most, 100)
    axes.plot(x, np.maximum(read + shot * x + rin * x**2, 1e-300), color=FIT, lw=1.1)
    for part, style, label in ((read + 0 * x, ":", "read"), (shot * x, "--", "shot"), (rin * x**2, "-.", "light (RIN)")):
        axes.plot(x[part > 0], part[part > 0], style, color=FRESH, lw=1.0, label=label)
    axes.set(xscale="log", yscale="log")
    seen = measured.cells.variance[c][shown]
    if np.any(seen > 0):
        axes.set_ylim(0.1 * float(seen[seen > 0].min()), 5 * float(seen.max()))
    axes.set_xlabel(f"level ({measured.outcome.unit})", fontsize=8)
    axes.legend(fontsize=7, frameon=False)


def _fresh(axes: Any, measured: Measured, c: int) -> None:
    outcome = measured.outcome
    allowed, number = float(outcome.verification.allowed[c]), np.arange(outcome.residuals.shape[1])
    axes.errorbar(number, 1e6 * outcome.residuals[c], 1e6 * outcome.errors[c], fmt="D", ms=3, mfc="none", color=FRESH, lw=0.9, capsize=2)
    axes.axhline(0, color=FIT, lw=0.8)
    reach = 1e6 * float(np.nanmax(np.abs(outcome.residuals[c]) + outcome.errors[c], initial=0.0))
    if 0 < reach < np.inf:
        axes.set_ylim(-1.1 * reach, 1.5 * reach)
    axes.text(0.03, 0.92, f"allowed {format_quantity(allowed, outcome.unit, 3)}", transform=axes.transAxes, fontsize=7)
    axes.set_xlabel("fresh setting", fontsize=8)
