"""Transmission of a saturable absorber, its derivative, and the probe's transmission that stands in for it; alpha0 = 1 and 30."""

from __future__ import annotations

from typing import Any

import numpy as np

from labonn import absorbers
from labonn.channels import Floats
from labonn.plotting.files import new_figure
from labonn.plotting.look import BLUE, INK, Look, colour
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.reproduce.jobs import own_job
from labonn.sweeps import Job, Outcome
from procedures.papers import guo
from procedures.papers.guo_curves import computed, draw_derivatives, factor, region, shade, shares
from procedures.papers.guo_reading import shots

SOURCE = f"{guo.PAPER}, Fig. 2"
WORK = "procedures.papers.pump_probe:measured"
DEPTHS = {1: 1.2, 30: 2.5}  # optical depth -> the paper's scaling factor
REACH = {1: 6.0, 30: 16.0}  # fields up to which light is sent: beyond the steepest one
BENCHES = {"ideal": True, "realistic": False}
SHOWN = {1: 6.0, 30: 12.0}
POINTS = 97
APART = "measured curves against Eqs. 4 to 6"
MARKS: dict[str, dict[str, Any]] = {
    "ideal": {"ls": "", "marker": ".", "ms": 3, "color": INK, "markevery": 2},
    "realistic": {"ls": "", "marker": "x", "ms": 2.5, "mew": 0.6, "color": "#8c8f94", "markevery": (1, 2)},
}


def cases(choices: Choices) -> dict[str, list[Job]]:
    """A sweep of pump and probe for each depth, on the ideal bench and on one with all imperfections."""
    return {
        f"{bench} {depth}": [
            own_job(
                WORK, f"{SOURCE}: alpha0 = {depth}, {bench} bench", seed, depth=float(depth), reach=REACH[depth], points=POINTS, ideal=ideal
            )
            for seed in choices.numbers
        ]
        for bench, ideal in BENCHES.items()
        for depth in DEPTHS
    }


def rows(choices: Choices, found: Found) -> list[Row]:
    """Scaling factors, of the equations and of measured curves; how far these are from the equations."""
    table = [Row(_what(depth), [_by_formula(depth)], "1", paper, by="Eqs. 5 and 6", higher=None) for depth, paper in DEPTHS.items()]
    for bench in BENCHES:
        for depth, paper in DEPTHS.items():
            outcomes = found.get(f"{bench} {depth}", ())
            curves = [measured(one) for one in outcomes]
            ours = [factor(field, probe, slope, depth) for field, _, slope, probe in curves]
            about: dict[str, Any] = {"by": f"drivers, {bench} bench", "evaluations": shots(outcomes), "data": _data(bench)}
            table.append(Row(f"{_what(depth)}, measured", ours, "1", paper, higher=None, **about))
            table.append(Row(f"{APART}, alpha0 = {depth}", [apart(depth, *one) for one in curves], higher=False, **about))
    return table


def _what(depth: int) -> str:
    return f"factor of the probe, alpha0 = {depth}"


def _data(bench: str) -> str:
    return "" if BENCHES[bench] else f"{POINTS} fields of the pump"


def _by_formula(depth: int) -> float:
    field, _, slope, probe = computed(depth, REACH[depth])
    return factor(field, probe, slope, depth)


def measured(one: Outcome) -> tuple[Floats, Floats, Floats, Floats]:
    """(E, g, g', t) of a sweep, means over the taps; g' by differences of neighbours."""
    kept = one.arrays("curves")
    field, behind, sent, arrived = (kept[port].mean(axis=1) for port in ("forward_in", "forward_out", "backward_in", "backward_out"))
    return field, behind, np.gradient(behind, field), arrived / sent


def apart(depth: int, field: Floats, behind: Floats, slope: Floats, probe: Floats) -> float:
    """The largest of the rms distances of g, g' and t from Eqs. 4, 6 and 5, in % of the largest value of each."""
    t = absorbers.transmission("eq4", field, depth)
    pairs = ((behind, field * t), (slope[1:-1], absorbers.derivative("eq4", field, depth)[1:-1]), (probe, t))
    return max(100 * float(np.sqrt(np.mean((one - two) ** 2)) / np.max(two)) for one, two in pairs)


def notes(choices: Choices, found: Found) -> list[str]:
    """What the factors are."""
    others = "; ".join(f"alpha0 = {depth}: {_least(depth):.3f} and {_equal(depth):.3f}" for depth in DEPTHS)
    even = " and ".join(f"{_even(depth):.3f}" for depth in DEPTHS)
    return [
        "The paper gives its factors without a rule. Here the factor makes the probe as large as the true derivative along it, in the "
        "scalar product of Eq. B2: chosen because it gives the paper's numbers. It is not the only one that does; with equal weights all "
        f"over region (i) it is {even}. Least squares, and equal norms, give others ({others}); only the learning rate depends on them.",
        "The derivative is measured as differences of neighbouring pump levels, the probe as what changes its sign with the error beam.",
    ]


def _least(depth: int) -> float:
    field, _, slope, probe = computed(depth, REACH[depth])
    weight = shares(field, depth)
    return float(np.sum(weight * probe * slope) / np.sum(weight * probe**2))


def _even(depth: int) -> float:
    field, _, slope, probe = computed(depth, region(depth))
    return float(np.trapezoid(slope**2, field) / np.trapezoid(probe * slope, field))


def _equal(depth: int) -> float:
    return float(np.sqrt(_least(depth) * _by_formula(depth)))


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Above the transmissions, below the derivatives; a column a depth; lines are the equations, dots were measured."""
    made = new_figure(look, 0.62)
    axes = made.subplots(2, len(DEPTHS), sharex="col")
    for column, depth in enumerate(DEPTHS):
        _transmissions(axes[0, column], depth, found)
        _derivatives(axes[1, column], depth, found)
    for one, name in ((axes[0, 0], "output field g(E)"), (axes[1, 0], "derivative")):
        one.set_ylabel(name)
    return made


def _transmissions(axes: Any, depth: int, found: Found) -> None:
    reach = SHOWN[depth]
    field, behind, _, _ = computed(depth, reach)
    axes.plot(np.concatenate([-field[:0:-1], field]), np.concatenate([-behind[:0:-1], behind]), color=colour(BLUE), label="Eq. 4")
    for name, style in MARKS.items():
        for one in found.get(f"{name} {depth}", ())[:1]:
            x, y, _, _ = measured(one)
            axes.plot(x[x < reach], y[x < reach], **style, label=f"{name} bench")
    axes.set_title(f"alpha0 = {depth}", pad=12)
    shade(axes, depth, reach)
    axes.legend(loc="upper left")


def _derivatives(axes: Any, depth: int, found: Found) -> None:
    reach = SHOWN[depth]
    draw_derivatives(axes, depth, reach)
    for name, style in MARKS.items():
        for one in found.get(f"{name} {depth}", ())[:1]:
            x, _, slope, probe = measured(one)
            for values in (slope, probe):
                axes.plot(x[x < reach], values[x < reach], **style)
    axes.set_xlabel("E (saturation fields)")
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.3 * (high - low), high)
    shade(axes, depth, reach)
    axes.legend(loc="lower left")
