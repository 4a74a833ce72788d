"""The figure of an SLM's phase calibration: phases of all regions, map of their quality, and the fringes of the worst ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np

from labonn.calibration.calibration import Calibration
from labonn.calibration.figures import BAD, BAND, DATA, FIT, FRESH, SHOWN
from labonn.calibration.slm_phase.grating import GratingSweep
from labonn.calibration.slm_phase.measuring import PhaseOutcome
from labonn.channels import Floats

TURN = 2 * np.pi


def phase_figure(sweep: GratingSweep, found: PhaseOutcome, calibration: Calibration, path: Path) -> None:
    """Draw it.

    Args:
        path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    outcome = found.outcome
    good = np.array([not told for told in outcome.words])
    figure = Figure(figsize=(13.6, 8.4), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{calibration.title}\n{good.sum()} of {sweep.count} regions, {calibration.model}", fontsize=10)
    above, below = cast("Any", figure.subfigures(2, 1, height_ratios=(1, 1.2)))
    axes = above.subplots(1, 3, width_ratios=(1, 1.3, 1.3))
    _map(above, axes[0], sweep, found, good)
    _phases(axes[1], axes[2], found, good)
    out = "regions left out, and " if calibration.excluded else "regions "
    below.suptitle(f"{out}whose fresh grays are furthest off, by what is allowed", fontsize=9)
    quality = np.where(good, outcome.verification.rms / outcome.verification.allowed, -np.inf)
    order = np.argsort(-np.nan_to_num(quality, nan=-1.0), kind="stable")
    which = np.concatenate([np.flatnonzero(~good)[: SHOWN // 2], order])[: min(SHOWN, sweep.count)]
    fringes = below.subplots(2, len(which), height_ratios=(2, 1), sharex="col", squeeze=False)
    for column, r in enumerate(which):
        _fringe(fringes[0, column], found, int(r), good[r])
        _residuals(fringes[1, column], found, int(r), good[r])
        fringes[1, column].set_xlabel("gray", fontsize=8)
    fringes[0, 0].set_ylabel(f"first order ({outcome.unit})", fontsize=8)
    fringes[1, 0].set_ylabel("fresh grays: measured\nless fit (rad)", fontsize=8)
    fringes[0, -1].legend(loc="upper right", fontsize=7, framealpha=0.85, edgecolor="none")
    figure.savefig(path)


def _bare(axes: Any) -> None:
    axes.tick_params(labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _map(figure: Any, axes: Any, sweep: GratingSweep, found: PhaseOutcome, good: Any) -> None:
    rms = 1e3 * np.where(good, found.outcome.verification.rms, np.nan)
    image = axes.imshow(rms.reshape(sweep.regions), cmap="viridis_r", vmin=0, aspect="auto")
    for r in range(sweep.count):
        row, column = divmod(r, sweep.regions[1])
        text = f"{found.found.phase_rad[r, -1] / TURN:.3f}" if good[r] else "x"
        middle = np.nanmin(rms) + np.nanmax(rms) if good.any() else 0.0
        colour = BAD if not good[r] else "w" if rms[r] > middle / 3 else FIT
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    out = "" if good.all() else "; x: left out"
    axes.set_title(f"regions: turns of the last code;\ncolour: rms of fresh grays (mrad){out}", fontsize=8)
    axes.set(xticks=range(sweep.regions[1]), yticks=range(sweep.regions[0]), xlabel="column of regions", ylabel="row")
    axes.tick_params(labelsize=7)
    figure.colorbar(image, ax=axes, shrink=0.85).ax.tick_params(labelsize=7)


def _phases(left: Any, right: Any, found: PhaseOutcome, good: Any) -> None:
    phase, error = found.found.phase_rad[good], np.hypot(found.found.error_rad, found.edges_rad[:, None])[good]
    codes = np.arange(found.found.phase_rad.shape[1])
    mean = phase.mean(axis=0) if len(phase) else np.full(len(codes), np.nan)
    left.plot(codes, phase.T / TURN, color=DATA, lw=0.6, alpha=0.6)
    left.plot(codes, mean / TURN, color=FIT, lw=1.4, label="mean of the panel")
    left.axhline(1, color=BAD, lw=0.8, ls=":")
    left.set_title("phase of every region (turns)", fontsize=8)
    left.legend(loc="upper left", fontsize=7, frameon=False)
    right.plot(codes, 1e3 * error.T, color=DATA, lw=0.6, alpha=0.6)
    right.plot(codes, 1e3 * (phase.std(axis=0) if len(phase) else mean), color=FRESH, lw=1.4, label="spread of the regions")
    right.plot([], [], color=DATA, lw=0.6, label="standard error of each")
    right.set_title("uncertainty (mrad)", fontsize=8)
    right.set_yscale("log")
    right.set_ylim(bottom=0.5e3 * float(np.median(error)) if error.size else None)
    right.legend(loc="upper left", fontsize=7, frameon=False)
    for axes in (left, right):
        axes.set_xlabel("gray", fontsize=8)
        _bare(axes)


def _fringe(axes: Any, found: PhaseOutcome, r: int, good: bool) -> None:
    outcome, fit = found.outcome, found.found
    codes = np.arange(fit.phase_rad.shape[1], dtype=np.float64)
    offset, amplitude = fit.fitted.parameters[r, :2]
    value = offset - amplitude * np.cos(fit.phase_rad[r])
    band: Floats = BAND * np.abs(amplitude * np.sin(fit.phase_rad[r])) * np.where(np.isfinite(fit.error_rad[r]), fit.error_rad[r], 0)
    points, fresh = outcome.points, outcome.fresh
    used = points.used[r]
    axes.plot(points.x[r][used], points.y[r][used], "o", ms=2.5, color=DATA, label="sweep")
    if not used.all():
        axes.plot(points.x[r][~used], points.y[r][~used], "x", ms=4, color=BAD, label="saturated")
    axes.plot(fresh.x[r], fresh.y[r], "D", ms=3.5, mfc="none", color=FRESH, label="fresh")
    if good:
        axes.fill_between(codes, value - band, value + band, color=FIT, alpha=0.2, lw=0)
        axes.plot(codes, value, color=FIT, lw=1.0, label="fit")
    told = outcome.words[r].partition(":")[0] or f"{1e3 * outcome.verification.rms[r]:.2g} mrad rms"
    axes.set_title(f"{outcome.names[r]}: {told}", fontsize=8, color=FIT if good else BAD)
    _bare(axes)


def _residuals(axes: Any, found: PhaseOutcome, r: int, good: bool) -> None:
    outcome = found.outcome
    if not good:
        axes.text(0.5, 0.5, "left out", transform=axes.transAxes, ha="center", va="center", fontsize=8, color=BAD)
        axes.set_yticks([])
        _bare(axes)
        return
    allowed = float(outcome.verification.allowed[r])
    axes.axhline(0, color=FIT, lw=0.8)
    for edge in (-allowed, allowed):
        axes.axhline(edge, color=BAD, lw=0.8, ls=":")
    x, y, error = outcome.fresh.x[r], outcome.residuals[r], outcome.errors[r]
    axes.errorbar(x, y, error, fmt="D", ms=3.5, mfc="none", color=FRESH, lw=1, capsize=2)
    axes.text(0.02, 0.97, f"rms allowed {allowed:.2g} rad", transform=axes.transAxes, va="top", fontsize=7)
    axes.set_ylim(-1.9 * allowed, 1.9 * allowed)
    _bare(axes)
