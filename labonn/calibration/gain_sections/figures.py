"""The figure of a gain-section calibration: gain against current, light of its own, saturation, and residuals of fresh points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from labonn.calibration.calibration import Calibration
from labonn.calibration.figures import BAD, BAND, DATA, FIT, FRESH, _worst
from labonn.calibration.gain_sections.model import log_ratio, saturated_log_gain
from labonn.calibration.gain_sections.theta import MeasuredSections
from labonn.calibration.measuring import Outcome
from labonn.units import format_quantity

MOST = 4
LABELS = ("power gain", "theta (rad)\n(band: error × 100)", "light of its own,\nunlit", "fresh points:\nmeasured - fit")


def gain_figure(outcome: Outcome, calibration: Calibration, sections: MeasuredSections, powers: int, path: Path) -> None:
    """Draw it, of the worst channels.

    Args:
        powers: at each current. path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    which = _worst(outcome)[:MOST]
    figure = Figure(figsize=(max(3.5 * len(which), 7.0), 10.5), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    good = len(outcome.names) - len(calibration.excluded)
    shown = (
        "left out, and those whose fresh points are furthest off" if calibration.excluded else "those whose fresh points are furthest off"
    )
    figure.suptitle(f"{calibration.title}\n{good} of {len(outcome.names)} sections, {calibration.model}; shown: {shown}", fontsize=10)
    axes = figure.subplots(4, len(which), height_ratios=(2.2, 1.2, 1.2, 1.2), squeeze=False)
    for column, c in enumerate(which):
        if outcome.words[c]:
            _raw(axes[:, column], outcome, int(c), powers)
            continue
        _gain(axes[0, column], outcome, int(c))
        _theta(axes[1, column], sections, int(c))
        _light(axes[2, column], outcome, int(c), powers)
        _residuals(axes[3, column], outcome, int(c))
    for row, label in enumerate(LABELS):
        axes[row, 0].set_ylabel(label)
    for one in axes.flat:
        one.tick_params(labelsize=7)
        for side in ("top", "right"):
            one.spines[side].set_visible(False)
    figure.savefig(path)


def _raw(axes: Any, outcome: Outcome, c: int, powers: int) -> None:
    """Readings of a section that was left out: at the strongest and at the weakest light."""
    x, y = outcome.points.x[c].reshape(-1, powers, 2), outcome.points.y[c].reshape(-1, powers)
    rows = np.arange(len(x))
    for one, pick, factor in ((axes[0], np.argmax, 1.0), (axes[2], np.argmin, 1e3)):
        at = pick(x[..., 1], axis=1)
        one.plot(1e3 * x[rows, at, 0], factor * y[rows, at], "o", ms=2.6, mfc="none", color=DATA)
        one.set_xlabel("current (mA)", fontsize=8)
        one.margins(y=0.2)
        one.text(0.04, 0.9, f"readings ({'m' if factor > 1 else ''}{outcome.unit})", transform=one.transAxes, fontsize=7)
    axes[0].set_title(f"{outcome.names[c]}: {outcome.words[c].partition(':')[0]}", fontsize=9, color=BAD)
    for one in (axes[1], axes[3]):
        one.axis("off")


def _gain(axes: Any, outcome: Outcome, c: int) -> None:
    """Points: gain of each current and power; lines: of no power, and of the highest."""
    throughput, strength, zero, shape, compression, emission = outcome.fitted.parameters[c]
    axes.set_title(f"{outcome.names[c]}: gain 1 at {format_quantity(float(zero), 'A', 4)}", fontsize=9)
    x = np.linspace(outcome.points.x[c, :, 0].min(), outcome.points.x[c, :, 0].max(), 200)
    weak = strength * log_ratio(x, zero, shape)
    most = float(outcome.points.x[c, :, 1].max())
    for points, style, colour, label in ((outcome.points, "o", DATA, "sweep"), (outcome.fresh, "D", FRESH, "fresh")):
        amperes, power = points.x[c].T
        lit = power > 0.05 * most
        log = saturated_log_gain(strength * log_ratio(amperes, zero, shape), compression * power)
        rate = np.expm1(log) / np.where(log == 0, 1.0, log)
        gain = (points.y[c] - emission * amperes * rate) / np.where(lit, power, 1.0) / throughput
        axes.plot(1e3 * amperes[lit], gain[lit], style, ms=2.6, mfc="none", color=colour, label=label)
    axes.plot(1e3 * x, np.exp(weak), color=FIT, lw=1.1, label="weak light")
    strong = np.exp(saturated_log_gain(weak, np.full_like(weak, compression * most)))
    axes.plot(1e3 * x, strong, color=FIT, lw=0.9, ls="--", label="strongest light")
    axes.axhline(1, color=BAD, lw=0.7, ls=":")
    axes.set_xlabel("current (mA)", fontsize=8)
    axes.legend(fontsize=7, frameon=False)


def _theta(axes: Any, sections: MeasuredSections, c: int) -> None:
    x = np.linspace(sections.lower_a[c], sections.upper_a[c], 200)
    every = np.broadcast_to(x[:, None], (200, len(sections.names)))
    theta, error = (one[:, c] for one in sections.believed(every))
    axes.plot(1e3 * x, theta, color=FIT, lw=1.1)
    axes.fill_between(1e3 * x, theta - 100 * error, theta + 100 * error, color=DATA, alpha=0.35, lw=0)
    if np.isfinite(error).any():
        axes.text(0.97, 0.06, f"error at most {np.nanmax(error):.1g}", transform=axes.transAxes, ha="right", fontsize=7)
    axes.set_xlabel("current (mA)", fontsize=8)


def _light(axes: Any, outcome: Outcome, c: int, powers: int) -> None:
    """What is read when the input is darkest, without what the fit says of the light that is left."""
    amperes, power = (part.reshape(-1, powers) for part in outcome.points.x[c].T)
    throughput, strength, zero, shape, compression, emission = outcome.fitted.parameters[c]
    darkest = np.arange(len(power)), np.argmin(power, axis=1)
    i, p, y = amperes[darkest], power[darkest], outcome.points.y[c].reshape(-1, powers)[darkest]
    log = saturated_log_gain(strength * log_ratio(i, zero, shape), compression * p)
    axes.plot(1e3 * i, 1e3 * (y - throughput * p * np.exp(log)), "o", ms=2.6, color=DATA)
    x = np.linspace(0, i.max(), 100)
    weak = strength * log_ratio(x, zero, shape)
    axes.plot(1e3 * x, 1e3 * emission * x * np.expm1(weak) / np.where(weak == 0, 1.0, weak), color=FIT, lw=1.0)
    axes.text(0.04, 0.88, "m" + outcome.unit, transform=axes.transAxes, fontsize=7)
    axes.set_xlabel("current (mA)", fontsize=8)


def _residuals(axes: Any, outcome: Outcome, c: int) -> None:
    power, allowed = outcome.fresh.x[c, :, 1], float(outcome.verification.allowed[c])
    axes.errorbar(power, 1e6 * outcome.residuals[c], 1e6 * outcome.errors[c], fmt="D", ms=3, mfc="none", color=FRESH, lw=0.9, capsize=2)
    axes.axhline(0, color=FIT, lw=0.8)
    axes.text(0.03, 0.9, f"µ{outcome.unit}; allowed {format_quantity(allowed, outcome.unit, 3)}", transform=axes.transAxes, fontsize=7)
    reach = float(np.nanmax(np.abs(outcome.residuals[c]) + BAND * outcome.errors[c], initial=0.0))
    if 0 < reach < np.inf:
        axes.set_ylim(-1.5e6 * reach, 1.5e6 * reach)
    axes.set_xlabel(f"monitored power ({outcome.unit})", fontsize=8)
