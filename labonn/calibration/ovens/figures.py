"""The figure of the ovens: optical depth against temperature with the law, what it leaves, and the way of the sensors after steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from labonn.calibration.calibration import Calibration
from labonn.calibration.figures import BAD, DATA, FIT, FRESH
from labonn.calibration.ovens.curve import OvenCurve
from labonn.calibration.ovens.lag import STEP_K
from labonn.calibration.ovens.measuring import DOWN, UP, OvenOutcome
from labonn.calibration.ovens.measuring import FRESH as FRESH_ROLE

MOST_OVENS = 4
STYLES = {UP: ("^", DATA, "up"), DOWN: ("v", FIT, "down"), FRESH_ROLE: ("D", FRESH, "fresh, not fitted")}


def oven_figure(outcome: OvenOutcome, calibration: Calibration, path: Path) -> None:
    """Draw it: a column an oven, of the first ones if there are many.

    Args:
        path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = min(len(outcome.names), MOST_OVENS)
    figure = Figure(figsize=(max(4.2 * count, 7.0), 8.8), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{calibration.title}\nvapour law with fitted scale and offset; cell: {outcome.kind}", fontsize=9)
    axes, curve = figure.subplots(3, count, height_ratios=(2, 1, 1.3), squeeze=False), OvenCurve.of(calibration)
    for h in range(count):
        _curve(axes[0, h], outcome, curve, h)
        _residuals(axes[1, h], outcome, h)
        _lag(axes[2, h], outcome, h)
    axes[0, 0].set_ylabel("optical depth")
    axes[1, 0].set_ylabel("measured / law - 1 (%)")
    axes[2, 0].set_ylabel("distance from target,\nas part of the step")
    axes[0, 0].legend(loc="upper left", fontsize=8, frameon=False)
    axes[2, 0].legend(loc="upper right", fontsize=8, frameon=False)
    for one in axes.flat:
        one.tick_params(labelsize=8)
        for side in ("top", "right"):
            one.spines[side].set_visible(False)
    figure.savefig(path)


def _curve(axes: Any, outcome: OvenOutcome, curve: OvenCurve, h: int) -> None:
    grid = np.linspace(curve.lowest, curve.highest, 200)
    depth, error = (part[:, h] for part in curve.depth(grid))
    axes.fill_between(grid[:, h], depth - 3 * error, depth + 3 * error, color=FIT, alpha=0.2, lw=0, label="3 standard errors")
    axes.plot(grid[:, h], depth, color=FIT, lw=1, label="law")
    for role, (marker, color, label) in STYLES.items():
        which = np.array([one == role for one in outcome.roles])
        axes.plot(outcome.celsius[which, h], outcome.depth[which, h], marker, ms=5, color=color, mfc="none", label=label)
    axes.set(yscale="log")
    scale, offset = outcome.law.parameters[h]
    axes.set_title(f"{outcome.names[h]}: scale {np.exp(scale):.4g}, offset {offset:+.3g} +- {outcome.law.errors[h, 1]:.2g} K", fontsize=9)


def _residuals(axes: Any, outcome: OvenOutcome, h: int) -> None:
    for role, (marker, color, _) in STYLES.items():
        which = np.array([one == role for one in outcome.roles])
        error = 100 * outcome.error[which, h] / outcome.depth[which, h]
        off = 100 * np.expm1(outcome.residuals[which, h])
        axes.errorbar(outcome.celsius[which, h], off, error, fmt=marker, ms=5, mfc="none", lw=1, color=color)
    axes.axhline(0, color=FIT, lw=0.8)
    allowed = f"fresh ones may be off by {100 * outcome.verification.allowed[h]:.2g} %"
    axes.text(0.02, 0.97, allowed, transform=axes.transAxes, va="top", fontsize=7)
    axes.set_xlabel("temperature of the sensor (degC)", fontsize=8)


def _lag(axes: Any, outcome: OvenOutcome, h: int) -> None:
    for k, log in enumerate(outcome.logs):
        away = log.celsius[:, h] - log.target_c[h]
        if abs(away[0]) >= STEP_K:
            axes.plot(
                log.seconds, away / away[0], ".-", ms=3, lw=0.6, color=DATA, alpha=0.7, label="readings, all steps" if k == 0 else None
            )
    tau, overshoot = outcome.lags.tau_s[h], outcome.lags.overshoot[h]
    if np.isfinite(tau):
        t = np.linspace(0, max(float(log.seconds[-1]) for log in outcome.logs), 300)
        w = -np.pi / (np.log(overshoot) * tau) if overshoot > 0 else 0.0
        shape = np.cos(w * t) + np.sin(w * t) / (w * tau) if w else np.ones_like(t)
        axes.plot(t, np.exp(-t / tau) * shape, color=FIT, lw=1, label="fit")
        axes.set_title(f"time constant {tau:.4g} s, overshoot {100 * overshoot:.2g} %", fontsize=8)
    axes.axvline(outcome.lags.wait_s[h], color=BAD, lw=0.8, ls=":")
    axes.axhline(0, color=FIT, lw=0.6)
    axes.set_xlabel("seconds after the step (dotted: all steps had settled)", fontsize=8)
