"""The figure of a calibration: data, fit, band and the fresh points' residuals; of many channels a map and the worst ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from labonn.calibration.calibration import Calibration
from labonn.calibration.measuring import Outcome
from labonn.channels import Floats
from labonn.plotting.axes import prefixed
from labonn.units import format_quantity

DATA, FIT, FRESH, BAD = "#4c8fbf", "#222222", "#c2571a", "#b3261e"
FEW = 6  # channels up to which all are shown
SHOWN = 4
BAND = 3.0  # standard errors


def calibration_figure(outcome: Outcome, calibration: Calibration, path: Path) -> None:
    """Draw it.

    Args:
        path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(outcome.names)
    many = count > FEW
    columns = SHOWN if many else count
    figure = Figure(figsize=(max(3.4 * columns, 6.8), 8.2 if many else 4.8), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_title(calibration, count), fontsize=10 if many else 8)
    if not many:
        _channels(figure, outcome, calibration, np.arange(count))
        figure.savefig(path)
        return
    above, below = cast("Any", figure.subfigures(2, 1, height_ratios=(1, 1.25)))
    _overview(above, outcome, calibration)
    out = "left out, and " if calibration.excluded else ""
    below.suptitle(f"channels {out}whose fresh points are furthest off, by what is allowed", fontsize=9)
    _channels(below, outcome, calibration, _worst(outcome))
    figure.savefig(path)


def _title(calibration: Calibration, count: int) -> str:
    good = count - len(calibration.excluded)
    return f"{calibration.title}\n{good} of {count} channels, {calibration.model}"


def _quality(outcome: Outcome) -> Floats:
    """(C,) largest residual of fresh points as a part of what is allowed; 1 fails."""
    return np.asarray(outcome.verification.largest / outcome.verification.allowed)


def _worst(outcome: Outcome) -> NDArray[np.intp]:
    """SHOWN channels: some of those left out, and the worst of the others."""
    out = np.array([bool(told) for told in outcome.words])
    order = np.argsort(-np.where(out, -np.inf, np.nan_to_num(_quality(outcome), nan=-1.0)), kind="stable")
    return np.concatenate([np.flatnonzero(out)[: SHOWN // 2], order])[:SHOWN]


def _channels(figure: Any, outcome: Outcome, calibration: Calibration, which: Any) -> None:
    """Data over residuals, a column a channel."""
    axes = figure.subplots(2, len(which), height_ratios=(2.2, 1), sharex="col", squeeze=False)
    for column, c in enumerate(which):
        _data(axes[0, column], outcome, calibration, int(c))
        _residuals(axes[1, column], outcome, int(c))
    unit = calibration.coefficients["bias"].unit if "bias" in calibration.coefficients else ""
    for column in range(len(which)):
        axes[1, column].set_xlabel(f"{calibration.port} ({unit})" if unit else calibration.port)
    axes[0, 0].set_ylabel(f"reading ({outcome.unit})")
    axes[1, 0].set_ylabel("fresh points:\nmeasured - fit")
    axes[0, 0].legend(loc="best", fontsize=7, frameon=False)


def _curve(outcome: Outcome, c: int, x: Floats) -> tuple[Floats, Floats]:
    """(values, standard errors) of the fit of one channel."""
    part = slice(c, c + 1)
    value, slope = outcome.model.curve(outcome.fitted.parameters[part], x[None, :])
    covariance = np.where(np.isfinite(outcome.fitted.covariance[c]), outcome.fitted.covariance[c], 0.0)
    return value[0], np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", slope[0], covariance, slope[0]), 0))


def _data(axes: Any, outcome: Outcome, calibration: Calibration, c: int) -> None:
    points, fresh = outcome.points, outcome.fresh
    x = np.linspace(points.x[c].min(), points.x[c].max(), 300)
    value, error = _curve(outcome, c, x)
    axes.fill_between(x, value - BAND * error, value + BAND * error, color=FIT, alpha=0.15, lw=0)
    axes.plot(x, value, color=FIT, lw=1.1, label="fit")
    axes.plot(points.x[c][points.used[c]], points.y[c][points.used[c]], "o", ms=3, color=DATA, label="sweep")
    if not points.used[c].all():
        axes.plot(points.x[c][~points.used[c]], points.y[c][~points.used[c]], "x", ms=4, color=BAD, label="saturated")
    axes.plot(fresh.x[c], fresh.y[c], "D", ms=3.5, mfc="none", color=FRESH, label="fresh")
    name = str(outcome.names[c])
    wrong = calibration.excluded.get(name)
    title = f"{name}: {wrong.partition(':')[0] if wrong else _told(outcome, calibration, c)}"
    axes.set_title(title, fontsize=8, color=BAD if wrong else FIT)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _told(outcome: Outcome, calibration: Calibration, c: int) -> str:
    """What was found in one channel, of the parameters that are not readings."""
    found = {name: calibration.coefficients[name] for name in outcome.model.parameters if name in ("v_pi", "bias")}
    return ", ".join(f"{name} {format_quantity(float(one.values[c]), one.unit, 4)}" for name, one in found.items())


def _residuals(axes: Any, outcome: Outcome, c: int) -> None:
    allowed = float(outcome.verification.allowed[c])
    reach = float(np.nanmax(np.abs(outcome.residuals[c]) + outcome.errors[c], initial=0.0))
    size, unit = prefixed(reach, outcome.unit)
    axes.axhline(0, color=FIT, lw=0.8)
    for edge in (-allowed, allowed):
        axes.axhline(edge * size, color=BAD, lw=0.8, ls=":")
    axes.errorbar(
        outcome.fresh.x[c], outcome.residuals[c] * size, outcome.errors[c] * size, fmt="D", ms=3.5, mfc="none", color=FRESH, lw=1, capsize=2
    )
    axes.set_ylim(-1.6 * reach * size, 1.6 * reach * size)
    axes.text(0.02, 0.97, f"{unit}; allowed {format_quantity(allowed, outcome.unit, 3)}", transform=axes.transAxes, va="top", fontsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _overview(figure: Any, outcome: Outcome, calibration: Calibration) -> None:
    """Map of the channels by quality, and histograms of what was found."""
    names = [n for n in ("v_pi", "bias", "extinction", "swing") if n in calibration.coefficients][:3]
    axes = figure.subplots(1, 1 + len(names), width_ratios=(1.3, *[1.0] * len(names)))
    _map(figure, axes[0], outcome)
    for one, name in zip(axes[1:], names, strict=True):
        coefficient = calibration.coefficients[name]
        values = np.asarray(coefficient.values)[np.isfinite(coefficient.values)]
        one.hist(values, bins=min(40, max(8, values.size // 12)), color=DATA)
        error = calibration.errors(name)
        unsure = "" if error is None else f"\n(standard error {format_quantity(float(np.nanmedian(error)), coefficient.unit, 3)})"
        middle = f": median {format_quantity(float(np.median(values)), coefficient.unit, 4)}" if values.size else ""
        one.set_title(f"{name}{middle}{unsure}", fontsize=8)
        one.locator_params(axis="x", nbins=5)
        one.set(xlabel=f"{name} ({coefficient.unit})", ylabel="channels" if one is axes[1] else "")
        one.tick_params(labelsize=7)
        for side in ("top", "right"):
            one.spines[side].set_visible(False)


def _map(figure: Any, axes: Any, outcome: Outcome) -> None:
    count = len(outcome.names)
    width = int(np.ceil(np.sqrt(count * 1.3)))
    rows = -(-count // width)
    grid = np.full(rows * width, np.nan)
    grid[:count] = np.where([bool(told) for told in outcome.words], np.nan, _quality(outcome))
    most = max(float(np.nanmax(grid, initial=0.0)), 1e-3)
    image = axes.imshow(grid.reshape(rows, width), cmap="viridis_r", vmin=0, vmax=most, aspect="auto")
    bad = np.flatnonzero([bool(told) for told in outcome.words])
    axes.plot(bad % width, bad // width, "x", color=BAD, ms=6, mew=1.6)
    axes.set_title("largest residual of fresh points / allowed" + (f"; x: left out ({len(bad)})" if len(bad) else ""), fontsize=8)
    axes.set(xlabel=f"channels, {width} a row", ylabel="row")
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(integer=True)
    axes.tick_params(labelsize=7)
    figure.colorbar(image, ax=axes, shrink=0.85).ax.tick_params(labelsize=7)
