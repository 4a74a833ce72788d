"""The figure of a matrix: measured against believed elements, where they differ, gains of the rows, and fresh vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from labonn.calibration.calibration import Calibration
from labonn.calibration.figures import BAD, DATA, FIT, FRESH
from labonn.calibration.matrix.measuring import MatrixOutcome
from labonn.calibration.matrix.sweep import MatrixSweep
from labonn.plotting.axes import prefixed
from labonn.units import format_quantity

MANY = 20_000  # points of a scatter plot


def matrix_figure(sweep: MatrixSweep, found: MatrixOutcome, calibration: Calibration, path: Path) -> None:
    """Draw it.

    Args:
        path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.2, 8.6), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    against, (rows, beams) = found.against, sweep.believed.shape
    left = rows - len(calibration.excluded), beams - len(found.blocked)
    told = f"{left[0]} of {rows} rows ({sweep.detector}), {left[1]} of {beams} beams ({sweep.source})"
    off = f"measured - believed: {100 * against.off:.3g} % of the believed rms, {100 * against.off_scaled:.3g} % beside the rows' gains"
    figure.suptitle(f"{calibration.title}\n{told}; {off}", fontsize=10)
    axes = figure.subplots(2, 2, width_ratios=(1, 1.35))
    good = np.array([not one for one in found.outcome.words])
    _elements(axes[0, 0], sweep, found, good)
    _map(figure, axes[0, 1], sweep, found, good)
    _gains(axes[1, 0], found, good)
    _fresh(axes[1, 1], found, good)
    for one in (axes[0, 0], axes[1, 0], axes[1, 1]):
        for side in ("top", "right"):
            one.spines[side].set_visible(False)
    for one in axes.ravel():
        one.tick_params(labelsize=7)
    figure.savefig(path)


def _elements(axes: Any, sweep: MatrixSweep, found: MatrixOutcome, good: Any) -> None:
    x, y = sweep.believed[good].ravel(), found.found.weights[good].ravel()
    some = np.random.default_rng(0).permutation(len(x))[:MANY]
    reach = 1.05 * float(np.abs(np.concatenate([x, y])).max(initial=1e-9))
    axes.plot(x[some], y[some], ".", ms=2, color=DATA, alpha=0.5, rasterized=True)
    axes.plot([-reach, reach], [-reach, reach], color=FIT, lw=0.8, label="measured = believed")
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="believed weight", ylabel="measured weight")
    axes.set_title(f"elements; standard error {float(np.median(found.found.error)):.2g}", fontsize=8)
    axes.legend(loc="upper left", fontsize=7, frameon=False)


def _map(figure: Any, axes: Any, sweep: MatrixSweep, found: MatrixOutcome, good: Any) -> None:
    size = float(np.sqrt(np.mean(sweep.believed**2)))
    off = (found.found.weights - found.against.gain[:, None] * sweep.believed) / size
    off[~good] = np.nan
    off[:, [name in found.blocked for name in sweep.beams]] = np.nan
    reach = float(np.nanquantile(np.abs(off), 0.999)) if np.isfinite(off).any() else 1.0
    image = axes.imshow(off, cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto", interpolation="nearest")
    axes.set_facecolor("#c8c8c8")
    out = "" if np.isfinite(off).all() else "; grey: left out"
    axes.set_title(f"(measured - gain x believed) / rms believed{out}", fontsize=8)
    axes.set(xlabel=f"beam ({sweep.source})", ylabel=f"row ({sweep.detector})")
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(integer=True)
    figure.colorbar(image, ax=axes, shrink=0.9).ax.tick_params(labelsize=7)


def _gains(axes: Any, found: MatrixOutcome, good: Any) -> None:
    rows = np.arange(len(good))
    gain, error = found.against.gain, found.against.gain_error
    axes.errorbar(rows[good], gain[good], error[good], fmt="o", ms=3, color=DATA, lw=0.8, label="gain of the row")
    axes.plot(rows[~good], np.full((~good).sum(), 1.0), "x", ms=6, color=BAD, label="left out" if (~good).any() else None)
    axes.axhline(1, color=FIT, lw=0.8)
    axes.set(xlabel="row", ylabel="measured / believed")
    axes.xaxis.get_major_locator().set_params(integer=True)
    middle = f"median {float(np.median(gain[good])):.4g}, standard error {float(np.median(error[good])):.2g}" if good.any() else "none"
    axes.set_title(f"gains of the rows: {middle}", fontsize=8)
    axes.legend(loc="best", fontsize=7, frameon=False)


def _fresh(axes: Any, found: MatrixOutcome, good: Any) -> None:
    outcome = found.outcome
    y, left = outcome.fresh.y[good], outcome.residuals[good]
    size, unit = prefixed(float(np.abs(left).max(initial=0.0)), outcome.unit)
    axes.plot(y.ravel(), size * left.ravel(), "D", ms=2.2, mfc="none", mew=0.6, color=FRESH, alpha=0.6, rasterized=True)
    axes.axhline(0, color=FIT, lw=0.8)
    allowed = float(np.median(outcome.verification.allowed[good])) if good.any() else 0.0
    reach = 1.6 * float(size * np.abs(left).max(initial=0.0)) or 1.0
    for edge in (-allowed, allowed):
        if size * allowed < 4 * reach:
            axes.axhline(edge * size, color=BAD, lw=0.8, ls=":")
            reach = max(reach, 1.25 * size * allowed)
    axes.set(ylim=(-reach, reach), xlabel=f"reading ({outcome.unit})", ylabel=f"measured - predicted ({unit})")
    rms = float(np.sqrt(np.mean(left**2)) / max(float(np.std(y)), 1e-300)) if good.any() else np.nan
    most = format_quantity(allowed, outcome.unit, 3)
    axes.set_title(f"fresh random vectors: rms {100 * rms:.2g} % of the readings; allowed {most} (median row)", fontsize=8)
