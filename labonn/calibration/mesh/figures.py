"""The figure of a mesh calibration: its heaters on the mesh, crosstalk, unitaries before and after, and the worst heaters one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np

from labonn.calibration.calibration import Calibration
from labonn.calibration.figures import BAD, BAND, DATA, FIT, FRESH
from labonn.calibration.mesh.measuring import MeshOutcome
from labonn.calibration.mesh.rows import Row, unit_heaters
from labonn.calibration.mesh.saving import fringes_of
from labonn.calibration.models import fringe
from labonn.shots import Ints

SHOWN = 4


def mesh_figure(outcome: MeshOutcome, calibration: Calibration, path: Path) -> None:
    """Draw it.

    Args:
        path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.6, 8.8), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    design = outcome.design
    told = f"{design.ports} ports, {design.couplers} couplers, {2 * design.couplers} heaters, {calibration.model}"
    figure.suptitle(f"{calibration.title}\n{told}", fontsize=10)
    above, below = cast("Any", figure.subfigures(2, 1, height_ratios=(1, 1.15)))
    axes = above.subplots(1, 4, width_ratios=(1.35, 1, 1, 1))
    _map(above, axes[0], outcome)
    _crosstalk(axes[1], outcome)
    _unitaries(axes[2], outcome)
    _splitters(axes[3], outcome)
    below.suptitle(
        "heaters whose phases are furthest off at fresh settings: fringes of the rows above, phases that were off below", fontsize=9
    )
    _heaters(below, outcome, np.argsort(-outcome.verification.largest)[:SHOWN])
    figure.savefig(path)


def _map(figure: Any, axes: Any, outcome: MeshOutcome) -> None:
    mesh, rms = outcome.design.mesh, 1e3 * outcome.verification.rms
    for kind, shift, marker in ((0, 0.2, "s"), (1, -0.2, "o")):
        places = mesh.columns + shift, mesh.tops + 0.5
        shown = axes.scatter(*places, c=rms[kind::2], cmap="viridis_r", vmin=0, vmax=float(rms.max()), s=26, marker=marker)
    for port in range(outcome.design.ports):
        axes.axhline(port, color=FIT, lw=0.4, alpha=0.4, zorder=0)
    axes.invert_yaxis()
    axes.set_title("phases at fresh settings, rms of what they are off (mrad)\nsquares: theta, circles: phi", fontsize=8)
    axes.set(xlabel="column", ylabel="port")
    axes.locator_params(integer=True)
    axes.tick_params(labelsize=7)
    figure.colorbar(shown, ax=axes, shrink=0.85).ax.tick_params(labelsize=7)


def _crosstalk(axes: Any, outcome: MeshOutcome) -> None:
    places = outcome.design.places
    away = np.linalg.norm(places[:, None, :2] - places[None, :, :2], axis=2)
    found = outcome.fitted.truth.heaters.crosstalk
    axes.axhline(0, color=FIT, lw=0.6)
    axes.plot(away[found != 0], 100 * found[found != 0], ".", ms=3, color=DATA)
    axes.set_title("crosstalk, of a heater's own phase", fontsize=8)
    axes.set(xlabel="columns and rows apart", ylabel="%")
    plain(axes)


def _unitaries(axes: Any, outcome: MeshOutcome) -> None:
    for part, colour, name in ((outcome.before, FRESH, "as nominal"), (outcome.after, DATA, "as calibrated")):
        told = f"{name}: fidelity {part.expected.mean():.4f},\npowers {100 * part.rms.mean():.2g} % off"
        axes.plot(part.wanted.ravel(), part.powers.ravel(), ".", ms=2, color=colour, label=told)
    axes.plot([0, 1], [0, 1], color=FIT, lw=0.7)
    axes.set_title(f"{len(outcome.after.rms)} random unitaries, random vectors", fontsize=8)
    axes.set(xlabel="wanted output power", ylabel="measured output power")
    axes.legend(fontsize=6.5, markerscale=4, loc="lower right", framealpha=0.85)
    plain(axes)


def _splitters(axes: Any, outcome: MeshOutcome) -> None:
    delta = 1e3 * outcome.fitted.truth.delta
    part = outcome.fitted.parts["delta"]
    error = float(1e3 * np.median(np.sqrt(np.diag(outcome.fitted.covariance)[part])))
    axes.axhline(0, color=FIT, lw=0.4)
    axes.axvline(0, color=FIT, lw=0.4)
    axes.plot(delta[:, 0], delta[:, 1], "o", ms=3.5, color=DATA)
    bar, cross = outcome.extinction.min(axis=0)
    axes.set_title(
        f"splitters' errors (standard error {error:.2g} mrad)\nleast extinction: bar {bar:.1f} dB, cross {cross:.1f} dB", fontsize=8
    )
    axes.set(xlabel="first splitter (mrad)", ylabel="second splitter (mrad)")
    plain(axes)


def _heaters(figure: Any, outcome: MeshOutcome, which: Ints) -> None:
    count = len(which)
    axes = figure.subplots(2, count, height_ratios=(1.6, 1), squeeze=False)
    rows, places = fringes_of(outcome)
    watts = outcome.fitted.truth.heaters.watts
    for column, heater in enumerate(which):
        row, i = outcome.rows[rows[heater]], int(places[heater])
        _fringe(axes[0, column], row, i, watts)
        _shifts(axes[1, column], outcome, int(heater))
        name = f"{outcome.names[heater]} ({outcome.design.names[heater]})"
        axes[0, column].set_title(name, fontsize=8)
        axes[0, column].set_xlabel(f"heater ({'W' if watts else 'V'})", fontsize=8)
    axes[0, 0].set_ylabel("handed on, or volts", fontsize=8)
    axes[1, 0].set_ylabel("phase off (mrad)", fontsize=8)
    axes[0, 0].legend(fontsize=7, frameon=False)


def _fringe(axes: Any, row: Row, i: int, watts: bool) -> None:
    points, part = row.points, slice(i, i + 1)
    x = np.linspace(points.x[i].min(), points.x[i].max(), 300)
    value, slope = fringe(row.fitted.parameters[part], unit_heaters(row.bend, watts).own(x)[None])
    error = np.sqrt(np.einsum("ni,ij,nj->n", slope[0], row.fitted.covariance[i], slope[0]))
    axes.fill_between(x, value[0] - BAND * error, value[0] + BAND * error, color=FIT, alpha=0.15, lw=0)
    axes.plot(x, value[0], color=FIT, lw=1.0, label="fringe (to begin with)")
    good = points.used[i]
    axes.plot(points.x[i][good], points.y[i][good], "o", ms=3, color=DATA, label="row's sweep")
    plain(axes)


def _shifts(axes: Any, outcome: MeshOutcome, heater: int) -> None:
    groups, allowed = np.arange(len(outcome.shifts)) + 1, 1e3 * float(outcome.verification.allowed[heater])
    axes.axhline(0, color=FIT, lw=0.6)
    axes.errorbar(
        groups, 1e3 * outcome.shifts[:, heater], 1e3 * outcome.errors[:, heater], fmt="D", ms=3.5, mfc="none", color=FRESH, lw=1, capsize=2
    )
    reach = float(1e3 * np.max(np.abs(outcome.shifts[:, heater]) + outcome.errors[:, heater]))
    axes.set_ylim(-1.6 * reach, 1.6 * reach)
    axes.text(0.02, 0.97, f"allowed {allowed:.3g} mrad", transform=axes.transAxes, va="top", fontsize=7, color=BAD)
    axes.set_xlabel("group of fresh settings", fontsize=8)
    axes.locator_params(axis="x", integer=True)
    plain(axes)


def plain(axes: Any) -> None:
    """Small numbers, and no frame above and to the right."""
    axes.tick_params(labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
