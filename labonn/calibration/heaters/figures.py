"""The figure of a bank of heaters: crosstalk matrix and maps, and the worst heaters' readings over their phases, with fresh residuals."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np

from labonn.calibration.calibration import Calibration
from labonn.calibration.figures import BAD, DATA, FIT, FRESH, _map, _title, _worst
from labonn.calibration.heaters.measuring import BankOutcome
from labonn.plotting.axes import prefixed
from labonn.units import format_quantity

SHOWN = 4


def heater_figure(bank: BankOutcome, calibration: Calibration, path: Path) -> None:
    """Draw it.

    Args:
        path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.6, 8.4), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_title(calibration, len(bank.heaters.names)), fontsize=10)
    above, below = cast("Any", figure.subfigures(2, 1, height_ratios=(1, 1.15)))
    axes = above.subplots(1, 4, width_ratios=(1.25, 1.25, 1, 1))
    _crosstalk(above, axes[0], bank)
    _map(above, axes[1], bank.heaters)
    _found(axes[2], calibration)
    _sizes(axes[3], bank)
    which = _worst(bank.heaters)[:SHOWN]
    below.suptitle(
        "heaters whose fresh points are furthest off, by what is allowed: readings over the phase that their volts and all others' give",
        fontsize=9,
    )
    panels = below.subplots(2, len(which), height_ratios=(2.2, 1), sharex="col", squeeze=False)
    for column, c in enumerate(which):
        _readings(panels[0, column], bank, calibration, int(c))
        _residuals(panels[1, column], bank, calibration, int(c))
    panels[0, 0].set_ylabel(f"reading ({bank.heaters.unit})")
    panels[1, 0].set_ylabel("fresh points:\nmeasured - fit")
    panels[0, -1].legend(loc="best", fontsize=7, frameon=False)
    figure.savefig(path)


def _crosstalk(figure: Any, axes: Any, bank: BankOutcome) -> None:
    """Without the diagonal, in percent; what cannot be told from none is pale."""
    if _alone(axes, bank):
        return
    percent = 100 * np.where(np.eye(len(bank.crosstalk), dtype=bool), np.nan, bank.crosstalk)
    most = max(float(np.nanmax(np.abs(percent), initial=0.0)), 1e-6)
    image = axes.imshow(percent, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
    axes.set_title(f"crosstalk (% of a heater's own phase)\nlargest {most:.3g} %", fontsize=8)
    axes.set(xlabel="heater that is driven", ylabel="phase that moves")
    axes.tick_params(labelsize=7)
    figure.colorbar(image, ax=axes, shrink=0.85).ax.tick_params(labelsize=7)


def _alone(axes: Any, bank: BankOutcome) -> bool:
    """Whether there is no crosstalk to show."""
    if np.isfinite(bank.crosstalk).sum() > 1:
        return False
    axes.axis("off")
    axes.text(0.5, 0.5, "no crosstalk\nof one heater", ha="center", va="center", fontsize=8, transform=axes.transAxes)
    return True


def _found(axes: Any, calibration: Calibration) -> None:
    coefficient = calibration.coefficients["v_pi"]
    values = np.asarray(coefficient.values)[np.isfinite(coefficient.values)]
    axes.hist(values, bins=min(40, max(8, values.size // 6)), color=DATA)
    middle = format_quantity(float(np.median(values)), coefficient.unit, 4) if values.size else "none"
    error = calibration.errors("offset")
    unsure = "" if error is None else f"\n(offsets known to {format_quantity(float(np.nanmedian(error)), 'rad', 3)})"
    axes.set_title(f"volts for a phase of pi: median {middle}{unsure}", fontsize=8)
    axes.set(xlabel=f"v_pi ({coefficient.unit})", ylabel="heaters")
    _plain(axes)


def _sizes(axes: Any, bank: BankOutcome) -> None:
    """All elements by size over their standard errors."""
    if _alone(axes, bank):
        return
    off = ~np.eye(len(bank.crosstalk), dtype=bool) & np.isfinite(bank.crosstalk)
    values, errors = 100 * np.abs(bank.crosstalk[off]), 100 * bank.crosstalk_errors[off]
    order = np.argsort(-values)
    axes.semilogy(values[order], ".", ms=2, color=DATA, label="size")
    axes.semilogy(errors[order], ".", ms=1, color=FRESH, label="standard error")
    axes.set_title("all elements of the crosstalk, by size", fontsize=8)
    axes.set(xlabel="element", ylabel="% of a heater's own phase")
    axes.legend(loc="best", fontsize=7, frameon=False)
    _plain(axes)


def _readings(axes: Any, bank: BankOutcome, calibration: Calibration, c: int) -> None:
    """Over the phase; of a heater that was left out, which has none, over its volts."""
    outcome, name = bank.heaters, str(bank.heaters.names[c])
    wrong = calibration.excluded.get(name)
    swept, again = (outcome.points.x, outcome.fresh.x) if wrong else (bank.phases, bank.fresh_phases)
    used = outcome.points.used[c]
    if not wrong:
        low, high, offset = outcome.fitted.parameters[c, :3]
        phase = np.linspace(swept[c].min(), swept[c].max(), 400)
        axes.plot(phase, low + (high - low) * np.sin(phase / 2) ** 2, color=FIT, lw=1.1, label="fit")
        v_pi = format_quantity(float(np.asarray(calibration.coefficients["v_pi"].values)[c]), "V", 4)
        axes.set_title(f"{name}: v_pi {v_pi}, offset {offset:.3f} rad", fontsize=8, color=FIT)
    else:
        axes.set_title(f"{name}: {wrong.partition(':')[0]} (over its volts)", fontsize=8, color=BAD)
    axes.plot(swept[c][used], outcome.points.y[c][used], ".", ms=2.5, color=DATA, label="sweep")
    if not used.all():
        axes.plot(swept[c][~used], outcome.points.y[c][~used], "x", ms=4, color=BAD, label="saturated")
    axes.plot(again[c], outcome.fresh.y[c], "D", ms=3, mfc="none", color=FRESH, label="fresh")
    _plain(axes)


def _residuals(axes: Any, bank: BankOutcome, calibration: Calibration, c: int) -> None:
    outcome = bank.heaters
    if str(outcome.names[c]) in calibration.excluded:
        axes.set_xlabel("volts (V)")
        axes.text(0.5, 0.5, "left out", ha="center", va="center", fontsize=8, color=BAD, transform=axes.transAxes)
        _plain(axes)
        return
    allowed, residuals, errors = float(outcome.verification.allowed[c]), outcome.residuals[c], outcome.errors[c]
    reach = float(np.nanmax(np.abs(residuals) + errors, initial=0.0))
    size, unit = prefixed(reach, outcome.unit)
    axes.axhline(0, color=FIT, lw=0.8)
    for edge in (-allowed, allowed):
        axes.axhline(edge * size, color=BAD, lw=0.8, ls=":")
    axes.errorbar(bank.fresh_phases[c], residuals * size, errors * size, fmt="D", ms=2.5, mfc="none", color=FRESH, lw=0.8, capsize=1.5)
    if np.isfinite(reach) and reach > 0:
        axes.set_ylim(-1.6 * reach * size, 1.6 * reach * size)
    axes.text(0.02, 0.97, f"{unit}; allowed {format_quantity(allowed, outcome.unit, 3)}", transform=axes.transAxes, va="top", fontsize=7)
    axes.set_xlabel("phase (rad)")
    _plain(axes)


def _plain(axes: Any) -> None:
    axes.tick_params(labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
