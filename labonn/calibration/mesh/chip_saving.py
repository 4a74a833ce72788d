"""A measured chip as a calibration of its heaters, and its figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.calibration.calibration import Calibration, Coefficient
from labonn.calibration.figures import BAD, DATA, FIT, FRESH
from labonn.calibration.mesh.bank import KIND
from labonn.calibration.mesh.chip_measuring import ChipOutcome
from labonn.calibration.mesh.figures import plain
from labonn.calibration.mesh.saving import core_outcome, p_pi_of
from labonn.calibration.saving import calibration_of
from labonn.chips import ChipOptics

INVOLVED = ("input", "activation", "hidden", "output")
SHOWN = 8


def chip_calibration(
    bench: Bench, outcome: ChipOutcome, optics: ChipOptics, dwell_s: float, days: float | None, about: Mapping[str, Any]
) -> Calibration:  # fmt: skip
    """To be kept."""
    truth, fitted, ohms = outcome.fitted.truth, outcome.fitted, optics.heater.resistance_ohm
    more = {
        "p_pi": p_pi_of(truth.heaters, ohms), "crosstalk": Coefficient(truth.heaters.crosstalk, ""),
        **{name: Coefficient(getattr(truth, name), "") for name in ("input", "offset", "hidden", "again", "output")},
    }  # fmt: skip
    told = {"chip": optics.design.described, "misfit_fields": fitted.sigma, "outliers": fitted.outliers}
    if not truth.heaters.watts:
        told["p_pi_at_ohm"] = ohms
    core = core_outcome(outcome.names, fitted, outcome.shifts, outcome.errors, outcome.verification, outcome.words, outcome.check)
    about = {**told, **about}
    return calibration_of(KIND, core, bench, "heaters", INVOLVED, x_unit=optics.unit, days=days, dwell_s=dwell_s, more=more, about=about)


def misfits(outcome: ChipOutcome) -> tuple[float, float]:
    """What nominal and calibrated numbers leave of the readings at fresh settings, rms over rms."""
    size = float(np.sqrt(np.mean(np.square(outcome.fresh))))
    one, two = (float(np.sqrt(np.mean(np.square(outcome.fresh - part)))) / size for part in (outcome.before, outcome.after))
    return one, two


def chip_calibration_figure(outcome: ChipOutcome, calibration: Calibration, path: Path) -> None:
    """Draw it.

    Args:
        path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.8, 7.6), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"{calibration.title}\n{calibration.conditions['chip']}, {len(outcome.names)} heaters, {calibration.model}", fontsize=10
    )
    axes = figure.subplots(2, 3).ravel()
    _fields(axes[0], outcome)
    _phases(axes[1], outcome)
    _crosstalk(axes[2], outcome)
    _power(axes[3], outcome, calibration)
    _map(figure, axes[4], outcome)
    _worst(axes[5], outcome)
    figure.savefig(path)


def _fields(axes: Any, outcome: ChipOutcome) -> None:
    some = np.random.default_rng(0).permutation(outcome.fresh.size)[:4000]
    for part, colour, name, left in zip(
        (outcome.before, outcome.after), (FRESH, DATA), ("nominal", "calibrated"), misfits(outcome), strict=True
    ):
        axes.plot(part.ravel()[some], outcome.fresh.ravel()[some], ".", ms=2, color=colour, label=f"{name}: {100 * left:.2g} % rms off")
    reach = float(np.abs(outcome.fresh).max())
    axes.plot([-reach, reach], [-reach, reach], color=FIT, lw=0.7)
    axes.set_title("fields at hidden neurons and outputs, fresh settings", fontsize=8)
    axes.set(xlabel="predicted", ylabel="measured")
    axes.legend(fontsize=7, markerscale=4, frameon=False)
    plain(axes)


def _phases(axes: Any, outcome: ChipOutcome) -> None:
    known = ~np.array([bool(told) for told in outcome.words])
    axes.hist(outcome.fitted.truth.heaters.phase[known], bins=30, color=DATA)
    error = np.sqrt(np.diag(outcome.fitted.covariance))[outcome.fitted.parts["phase"]][known]
    axes.set_title(f"phases without power (standard error {1e3 * float(np.median(error)):.2g} mrad)", fontsize=8)
    axes.set(xlabel="rad", ylabel="heaters")
    plain(axes)


def _crosstalk(axes: Any, outcome: ChipOutcome) -> None:
    places = outcome.places[:, :2]
    found = outcome.fitted.truth.heaters.crosstalk
    away = np.linalg.norm(places[:, None] - places[None], axis=2)
    axes.axhline(0, color=FIT, lw=0.6)
    axes.plot(away[found != 0], 100 * found[found != 0], ".", ms=3, color=DATA)
    axes.set_title("crosstalk, of a heater's own phase", fontsize=8)
    axes.set(xlabel="columns and rows apart", ylabel="%")
    plain(axes)


def _power(axes: Any, outcome: ChipOutcome, calibration: Calibration) -> None:
    known = ~np.array([bool(told) for told in outcome.words])
    axes.hist(1e3 * calibration.values("p_pi")[known], bins=30, color=DATA)
    ohms = calibration.conditions.get("p_pi_at_ohm")
    axes.set_title("power of half a turn" + (f", were all heaters of {ohms:g} ohm" if ohms else ""), fontsize=8)
    axes.set(xlabel="mW", ylabel="heaters")
    plain(axes)


def _map(figure: Any, axes: Any, outcome: ChipOutcome) -> None:
    out = np.array([bool(told) for told in outcome.words])
    rms = 1e3 * outcome.verification.rms
    column, row = outcome.places[:, 0] + 0.3 * (outcome.places[:, 2] == 1), outcome.places[:, 1]
    shown = axes.scatter(column[~out], row[~out], c=rms[~out], cmap="viridis_r", vmin=0, vmax=float(rms[~out].max(initial=1e-3)), s=12)
    if out.any():
        axes.plot(column[out], row[out], "x", color=BAD, ms=4)
    axes.invert_yaxis()
    axes.set_title(
        "phases at fresh settings, rms of what they are off (mrad)" + (f"; x: left out ({out.sum()})" if out.any() else ""), fontsize=8
    )
    axes.set(xlabel="column", ylabel="row")
    plain(axes)
    figure.colorbar(shown, ax=axes, shrink=0.85).ax.tick_params(labelsize=7)


def _worst(axes: Any, outcome: ChipOutcome) -> None:
    out = np.array([bool(told) for told in outcome.words])
    order = np.argsort(-np.where(out, -1.0, outcome.verification.largest))[:SHOWN]
    for place, heater in enumerate(order):
        x = place + np.linspace(-0.25, 0.25, len(outcome.shifts))
        axes.errorbar(
            x, 1e3 * outcome.shifts[:, heater], 1e3 * outcome.errors[:, heater], fmt="D", ms=3, mfc="none", color=FRESH, lw=1, capsize=2
        )
        edge = 1e3 * float(outcome.verification.allowed[heater])
        axes.plot([place - 0.4, place + 0.4], [edge, edge], ":", color=BAD, lw=1)
        axes.plot([place - 0.4, place + 0.4], [-edge, -edge], ":", color=BAD, lw=1)
    axes.axhline(0, color=FIT, lw=0.6)
    axes.set_xticks(range(len(order)), [outcome.parameters[int(h)] for h in order], rotation=40, ha="right")
    axes.set_title("furthest off at fresh settings; dotted: allowed", fontsize=8)
    axes.set_ylabel("phase off (mrad)")
    plain(axes)
