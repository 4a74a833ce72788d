"""From what was measured of a panel to its calibration, and the figure of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.calibration.calibration import Calibration, Coefficient, by_channel, utc
from labonn.calibration.figures import BAD, BAND, DATA, FIT, FRESH
from labonn.calibration.saving import UNKNOWN, conditions, identities, wiring_of, world_of
from labonn.calibration.slm_weights.measuring import KIND, PanelOutcome
from labonn.calibration.slm_weights.model import NAME, PARAMETERS, VERSION
from labonn.channels import Floats
from labonn.response import HARMONICS, commanded_fields, response_of
from labonn.units import format_quantity


def panel_calibration(outcome: PanelOutcome, bench: Bench, days: float | None, about: Mapping[str, Any]) -> Calibration:
    """The calibration of an SLM's port.

    Coefficients: `commanded` and `response` (n,) fields of the curve; `harmonics` (k,); `scale`, `scale_error` (R C,) of every
    macropixel, in relation to its row and column; `leaks` to a neighbour in the column and in the row; `rests` of a change when a frame
    is read, up and down; `rows`, `columns` (R,), (C,) light or detector of each. The covariance is that of the model's parameters.
    """
    panel, sweep, good = outcome.panel, outcome.sweep, outcome.good.reshape(-1)
    fields = commanded_fields()
    response = response_of(2 * np.arccos(-np.clip(fields, -1, 1)), panel.harmonics)
    kept = {"scale": panel.scale, "scale_error": panel.sigma}
    coefficients = {name: Coefficient(np.where(good, values.reshape(-1), np.nan).astype(np.float32), "1") for name, values in kept.items()}
    coefficients |= {"commanded": Coefficient(fields, "1"), "response": Coefficient(response, "1")}
    coefficients |= {"harmonics": Coefficient(panel.harmonics, "rad"), "leaks": Coefficient(np.array(panel.leaks), "1")}
    coefficients |= {"rests": Coefficient(panel.common[HARMONICS + 2 :], "1")}
    coefficients |= {"rows": Coefficient(panel.rows, sweep.unit if sweep.forward else "1")}
    coefficients |= {"columns": Coefficient(panel.columns, "1" if sweep.forward else sweep.unit)}
    ports, now, world = [sweep.port, sweep.beams, sweep.detector, *sweep.held], datetime.now(UTC), world_of(bench)
    held = {f"held.{port}": row.tolist() for port, row in sweep.held.items()}
    return Calibration(
        KIND, sweep.port, tuple(outcome.names), NAME, VERSION, coefficients, outcome.verification, identities(bench, ports),
        wiring_of(bench, ports), utc(now), parameters=PARAMETERS, covariance=panel.covariance,
        excluded=by_channel(outcome.words, outcome.names), conditions={**conditions(bench, sweep.dwell_s), **held, **about},
        world=UNKNOWN if world is None else world, expires=None if days is None else utc(now + timedelta(days=days)), check=outcome.check,
    )  # fmt: skip


def panel_result(calibration: Calibration) -> dict[str, Any]:
    """What a procedure tells of it."""
    commanded = 2 * np.arccos(-np.clip(calibration.values("commanded"), -1, 1))
    found = 2 * np.arccos(-np.clip(calibration.values("response"), -1, 1))
    scale, seen = calibration.values("scale"), calibration.verification
    good = len(calibration.channels) - len(calibration.excluded)
    error = float(np.sqrt(np.diag(calibration.covariance)[:HARMONICS].sum()))  # type: ignore[arg-type]
    leaks = ", ".join(f"{100 * part:.2g} %" for part in calibration.values("leaks"))
    off = format_quantity(float(np.abs(found - commanded).max()), "rad", 3)
    told = f"{good} of {len(calibration.channels)} macropixels; curve {off} from linear +- {format_quantity(error, 'rad', 2)}"
    spread = f"scale of {100 * float(np.nanstd(scale)):.2g} % rms +- {100 * float(np.nanmedian(calibration.values('scale_error'))):.1g} %"
    verified = f"{seen.points} fresh levels: rms {float(np.sqrt(np.nanmean(np.square(seen.rms)))):.2g} of full field"
    name = calibration.port
    return {name: calibration.id, f"{name} is": told, f"{name} shows": f"{spread}, leaks of {leaks} (column, row); {verified}"}


def panel_figure(outcome: PanelOutcome, calibration: Calibration, path: Path) -> None:
    """Draw it to a PNG file: curve and data, residuals of fresh levels, a map of scales, what rows and columns have in common."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 7.2), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    count = len(outcome.words)
    left_out = f", {len(calibration.excluded)} left out" if calibration.excluded else ""
    figure.suptitle(f"{calibration.title}\n{count} macropixels{left_out}, {calibration.model}", fontsize=10)
    axes = figure.subplots(2, 3, height_ratios=(1.1, 1), width_ratios=(1, 1, 1.15))
    _curve(axes[0, 0], axes[0, 1], outcome)
    _scales(figure, axes[0, 2], outcome)
    _residuals(axes[1, 0], outcome)
    _histogram(axes[1, 1], outcome)
    _lines(axes[1, 2], outcome)
    for one in axes.flat:
        one.tick_params(labelsize=8)
        for side in ("top", "right"):
            one.spines[side].set_visible(False)
    figure.savefig(path)


def _curve(axes: Any, other: Any, outcome: PanelOutcome) -> None:
    x = np.linspace(0, 2 * np.pi, 400)
    panel, levels = outcome.panel, outcome.frames.levels
    basis = np.sin(np.outer(x / 2, np.arange(1, HARMONICS + 1)))
    error = np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", basis, panel.covariance[:HARMONICS, :HARMONICS], basis), 0))
    axes.plot(x, -np.cos(x / 2), color=FIT, lw=0.8, ls=":", label="nominal")
    axes.plot(x, response_of(x, panel.harmonics), color=FIT, lw=1.1, label="fit")
    axes.plot(levels, outcome.middle, "o", ms=4, color=DATA, label="sweep, mean of all")
    axes.set_title("curve of gray to field", fontsize=9)
    axes.set(xlabel="commanded phase (rad)", ylabel="field")
    axes.legend(fontsize=8, frameon=False)
    off = basis @ panel.harmonics
    other.axhline(0, color=FIT, lw=0.8, ls=":")
    other.fill_between(x, off - BAND * error, off + BAND * error, color=FIT, alpha=0.2, lw=0)
    other.plot(x, off, color=FIT, lw=1.1)
    inner = np.abs(np.sin(levels / 2)) > 0.05  # at the ends the field hardly tells the phase
    branch = 2 * np.arccos(-np.clip(outcome.middle, -1, 1)) - levels
    other.plot(levels[inner], branch[inner], "o", ms=4, color=DATA)
    other.set_title(f"phase, measured - commanded (band: {BAND:g} standard errors)", fontsize=9)
    other.set(xlabel="commanded phase (rad)", ylabel="rad")


def _scales(figure: Any, axes: Any, outcome: PanelOutcome) -> None:
    shown = np.where(outcome.good, outcome.panel.scale, np.nan)
    reach = float(np.nanquantile(np.abs(shown - 1), 0.995)) or 1e-6
    image = axes.imshow(shown, cmap="RdBu_r", vmin=1 - reach, vmax=1 + reach, aspect="auto", interpolation="nearest")
    bad = np.argwhere(~outcome.good)
    if len(bad):
        axes.plot(bad[:, 1], bad[:, 0], "x", color=BAD, ms=4)
    axes.set_title("scale of every macropixel" + (f"; x: left out ({len(bad)})" if len(bad) else ""), fontsize=9)
    axes.set(xlabel="column", ylabel="row")
    figure.colorbar(image, ax=axes, shrink=0.9).ax.tick_params(labelsize=8)


def _residuals(axes: Any, outcome: PanelOutcome) -> None:
    """Of fresh levels, every frame: the median macropixel and the worst, by what is allowed of each with its noise."""
    allowed = outcome.verification.allowed.reshape(outcome.sweep.shape)[outcome.good]
    sizes = np.abs(outcome.residuals[:, outcome.good]) / allowed
    frames = np.arange(1, len(sizes) + 1)
    axes.semilogy(frames, np.maximum(sizes.max(axis=1), 1e-9), "^", ms=4, mfc="none", color=DATA, label="worst")
    axes.semilogy(frames, np.maximum(np.median(sizes, axis=1), 1e-9), "D", ms=4, mfc="none", color=FRESH, label="median")
    axes.axhline(1, color=BAD, lw=0.9, ls=":", label="allowed")
    axes.set_ylim(top=30)
    axes.set_title("frames of fresh levels: |measured - fit| / allowed", fontsize=9)
    axes.set(xlabel="frame", ylabel="of what is allowed of the macropixel")
    axes.legend(fontsize=8, frameon=False, loc="upper center", ncols=3)


def _histogram(axes: Any, outcome: PanelOutcome) -> None:
    values: Floats = outcome.residuals[:, outcome.good].ravel()
    reach = max(float(np.quantile(np.abs(values), 0.999)), 1e-9)
    axes.hist(values[np.abs(values) <= reach], bins=60, color=FRESH, alpha=0.8)
    rms = float(np.sqrt(np.square(values).mean()))
    axes.set_title(f"residuals of fresh levels: rms {rms:.2g} of full field", fontsize=9)
    axes.set(xlabel="measured - fit (of full field)", ylabel="macropixels x frames")
    axes.locator_params(axis="x", nbins=5)


def _lines(axes: Any, outcome: PanelOutcome) -> None:
    panel, forward = outcome.panel, outcome.sweep.forward
    lines = [(panel.columns, "column", FRESH), (panel.rows, "row", DATA)]
    for values, what, colour in sorted(lines, key=lambda line: -len(line[0])):
        name = f"{what}s: {'taps' if (what == 'row') == forward else 'beams'}"
        middle = float(np.median(np.abs(values))) or 1.0
        axes.plot(np.linspace(0, 1, len(values)), values / middle, lw=0.8 if len(values) > 200 else 1.2, color=colour, label=name)
    axes.set_title("what rows and columns have in common", fontsize=9)
    axes.set(xlabel="from first to last", ylabel="of the median")
    axes.set_ylim(top=axes.get_ylim()[1] + 0.25 * float(np.ptp(axes.get_ylim())))
    axes.legend(fontsize=8, frameon=False, loc="upper right", ncols=2)
