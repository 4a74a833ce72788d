"""Error 1 - S of the optical derivative against the optical depth: Eq. 4, and cells that absorb along their length."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from labonn import absorbers
from labonn.channels import Floats
from labonn.plotting.axes import log_scale
from labonn.plotting.files import new_figure
from labonn.plotting.look import FAINT, Look, style_of
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job
from procedures.papers import guo

SOURCE = f"{guo.PAPER}, Fig. 3e, App. B"
CELLS = {"eq4": "Eq. 4", "two_level": "two-level cell", "doppler": "Doppler-broadened cell"}
DEPTHS = (1.0, 5.0, 10.0, 30.0)
SATURATED = 100.0  # optical depth at which Eq. 4 has nearly reached its limit
ROBUST = 15.0  # %; up to there trainings are robust (Fig. 3d)
CUT = 6.0  # saturation fields; where integrals of another reading of Eq. B2 end
SHOWN = (0.3, 100.0)
BY = "Eqs. B1 and B2"


def cases(choices: Choices) -> dict[str, list[Job]]:
    """None: integrals."""
    return {}


def rows(choices: Choices, found: Found) -> list[Row]:
    """Each cell at a few depths, and what Eq. 4 goes to."""
    table = [
        Row(f"{told}, alpha0 = {depth:g}", [error(cell, depth)], by=BY, higher=False) for cell, told in CELLS.items() for depth in DEPTHS
    ]
    saturated = Row(
        f"Eq. 4, alpha0 = {SATURATED:g}", [error("eq4", SATURATED)], paper=10.0, by=BY, higher=None, remark="the paper: about 10 %"
    )
    return [*table[: len(DEPTHS)], saturated, Row("Eq. 4, alpha0 to infinity", [limit()], by=BY, higher=False), *table[len(DEPTHS) :]]


@cache
def error(cell: str, depth: float) -> float:
    """1 - S in %."""
    return 100 * absorbers.mismatch(cell, depth)


@cache
def limit() -> float:
    """1 - S in % of Eq. 4 for alpha0 to infinity: with E = sqrt(alpha0) u, t = exp(-1/(2 u^2)) and g' = (1 + 1/u^2) t."""
    from scipy.optimize import minimize_scalar  # 0.3 s to import, which a list of experiments should not cost

    def both(u: Floats) -> tuple[Floats, Floats]:
        t = np.exp(-0.5 / np.square(u))
        return t, (1 + 1 / np.square(u)) * t

    steepest = float(minimize_scalar(lambda u: -float(both(u)[1]), bounds=(0.3, 3.0), method="bounded").x)
    u = np.linspace(0.01, 5 * steepest, 50_001)
    t, slope = both(u)
    weight = np.exp(-2 * np.square(u / steepest))
    return float(100 * (1 - np.sum(weight * t * slope) ** 2 / (np.sum(weight * t**2) * np.sum(weight * slope**2))))


def notes(choices: Choices, found: Found) -> list[str]:
    """Where the numbers come from, and what other readings of App. B give."""
    cut = 100 * absorbers.mismatch("eq4", 30.0, reach=CUT)
    two, doppler = error("two_level", 30.0), error("doppler", 30.0)
    at = {depth: f"{error('eq4', depth):.1f}" for depth in (30.0, SATURATED)}
    return [
        f"The width 2 sigma of region (i) is not defined in the paper; here it ends where g' is largest. Eq. 4 then gives {at[30.0]} % at "
        f"alpha0 = 30 and {at[SATURATED]} % at {SATURATED:g}, and goes to {limit():.1f} %: the paper's saturation at about 10 %. "
        f"Integrals that end at {CUT:g} saturation fields, little more than region (i) at alpha0 = 30, give {cut:.1f} % there.",
        f"Cells whose light is absorbed along their length differ, on the same inputs: at alpha0 = 30 a two-level cell has {two:.0f} %, "
        f"beyond the {ROBUST:g} % up to which the paper finds trainings robust, a Doppler-broadened one {doppler:.1f} %.",
    ]


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """A line a cell."""
    made = new_figure(look, 0.42)
    axes = made.subplots()
    depths = np.geomspace(*SHOWN, 32)
    for place, (cell, told) in enumerate(CELLS.items()):
        axes.plot(depths, [error(cell, float(depth)) for depth in depths], **style_of(place), label=told)
    axes.axhline(limit(), color=FAINT, lw=0.6, ls=":")
    axes.text(SHOWN[0], limit(), " limit of Eq. 4", va="bottom", fontsize=6.5, color=FAINT)
    axes.axhline(ROBUST, color=FAINT, lw=0.6, ls="--")
    axes.text(SHOWN[0], ROBUST, " robust up to here (Fig. 3d)", va="bottom", fontsize=6.5, color=FAINT)
    axes.set(xlabel="optical depth alpha0", ylabel="error of the derivative, 1 - S (%)", ylim=(0, 60))
    log_scale(axes.xaxis)
    axes.set_xlim(*SHOWN)
    axes.legend(loc="upper left")
    return made
