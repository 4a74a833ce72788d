"""Footprint, speed and power of a PT-symmetric coupler against a heater: by formulas, and as the trained chips draw it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labonn.plotting.files import new_figure
from labonn.plotting.look import FAINT, Look, bare, style_of
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job, Outcome
from procedures.papers import ptonn, ptonn_fig3b, ptonn_fig4a
from procedures.papers.coupler_budget import PAPER, Columns
from procedures.papers.ptonn_drawing import counted
from procedures.papers.ptonn_reading import about, coupler_watts, couplers_of, heater_watts, optics_of, section_amperes

SOURCE = f"{ptonn.PAPER}, Sec. 4"
TRAINED = "drivers, all imperfections, nominal curves"


def cases(choices: Choices) -> dict[str, list[Job]]:
    """The trained chips of Figs. 3b and 4a."""
    return {"PT": ptonn_fig4a.cases(choices)["theta"], "MZI": ptonn_fig3b.cases(choices)["real"]}


def rows(choices: Choices, found: Found) -> list[Row]:
    """The paper's estimates by their formulas; then the trained chips."""
    return [*_estimates(), *_pt(found.get("PT", ())), *_mzi(found.get("MZI", ()))]


def _estimates() -> list[Row]:
    one = PAPER

    def row(what: str, number: float, unit: str, paper: float | None = None, sd: float | None = None, remark: str = "") -> Row:
        return Row(what, [number], unit, paper, sd, by="formula", higher=None, remark=remark)

    slip, about_5 = "the paper prints ~0.5 uW: 50 uW at 10 % is 0.5 mW", (5.0, "the paper says ~; 5 uW is taken as its error")
    return [
        row("gain coefficient at s = 0.2", one.per_cm(0.2), "/cm", 80.0),
        row("gain coefficient at s = 0.05", one.per_cm(0.05), "/cm", 20.0),
        row("power into 1 mW of light, s = 0.2", 1e6 * one.light_w(0.2), "uW", 220.0, *about_5),
        row("power into 1 mW of light, s = 0.05", 1e6 * one.light_w(0.05), "uW", 50.0, *about_5),
        row("the same at a quantum efficiency of 10 %", 1e6 * one.light_w(0.05) / 0.1, "uW", 0.5, remark=slip),
        row("the same by the field's equations", 1e6 * one.field_w(0.05) / 0.1, "uW", remark="see the second note"),
        row("length of all columns, PT couplers of 25 um", 1e3 * Columns().length_m(one.coupler_m), "mm"),
        row(
            "length of all columns, heaters of 300 um", 1e3 * Columns().length_m(one.heater_m), "mm", remark="the paper: a few 100 um each"
        ),
    ]


def _pt(outcomes: Sequence[Outcome]) -> list[Row]:
    if not outcomes:
        return []
    amperes, volts = [section_amperes(one) for one in outcomes], PAPER.photon_v
    thetas = [np.abs(theta) for theta in couplers_of(outcomes)]
    signal, mean_rad = [1e6 * float(np.mean(PAPER.light_w(np.sin(theta)))) for theta in thetas], float(np.mean(thetas))
    least, given = f"at {volts:.2f} V, a photon's energy: no junction needs less", about(outcomes)
    spread = f"mean |theta| {mean_rad:.3f} rad, the paper's 0.05"
    chip, mean = "trained PT chip", [float(one.mean()) for one in amperes]
    drawn = {"by": TRAINED, "remark": least, **given}
    return [
        Row(f"{chip}: power into 1 mW of light, a coupler", signal, "uW", 50.0, 5.0, TRAINED, higher=None, remark=spread, **given),
        Row(f"{chip}: current, a section", [1e3 * one for one in mean], "mA", by=TRAINED, **given),
        Row(f"{chip}: electric power, a section", [1e3 * volts * one for one in mean], "mW", **drawn),
        Row(f"{chip}: electric power, all sections", [volts * float(one.sum()) for one in amperes], "W", **drawn),
        Row(f"{chip}: time of a gradient", _gradient_ms(outcomes), "ms", by=TRAINED, **given),
    ]


def _mzi(outcomes: Sequence[Outcome]) -> list[Row]:
    if not outcomes:
        return []
    watts, given = [heater_watts(one) for one in outcomes], about(outcomes)
    heater, chip, by = optics_of(outcomes[0]).heater, "trained MZI chip", "the bench's nominal values"
    settled = 1e6 * heater.tau_s * float(np.log(100))
    return [
        Row("heater of the bench, a phase of pi", [1e3 * heater.p_pi_w], "mW", by=by, remark="the paper: of the order of 20"),
        Row("heater of the bench, settled to 1 %", [settled], "us", by=by, remark="the paper: a few us; PT couplers below 1 ns"),
        Row(
            f"{chip}: power of a coupler's heater", [1e3 * float(coupler_watts(one).mean()) for one in outcomes], "mW", by=TRAINED, **given
        ),
        Row(f"{chip}: power of all heaters", [float(one.sum()) for one in watts], "W", by=TRAINED, **given),
        Row(f"{chip}: time of a gradient", _gradient_ms(outcomes), "ms", by=TRAINED, **given),
    ]


def _gradient_ms(outcomes: Sequence[Outcome]) -> list[float]:
    return [1e3 * float(one.result["training_time_s"]) / int(one.result["steps"]) for one in outcomes]


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """What couplers of the trained chips draw."""
    drawn = new_figure(look, 0.4)
    left, right = drawn.subplots(1, 2)
    _histogram(left, [coupler_watts(one) for one in found.get("MZI", ())], 1e3, "heaters", "power of a heater (mW)", 0)
    signal = [PAPER.light_w(np.abs(np.sin(theta))) for theta in couplers_of(found.get("PT", ()))]
    _histogram(right, signal, 1e6, "PT couplers", "power into 1 mW of light (uW)", 1)
    for axes, paper, words in ((left, 1e3 * PAPER.heater_w, "paper, a phase of pi"), (right, 50.0, "paper, 50")):
        axes.axvline(paper, color=FAINT, ls=":", lw=0.9)
        axes.annotate(
            words,
            (paper, 1.0),
            xycoords=("data", "axes fraction"),
            color=FAINT,
            va="top",
            xytext=(3, 0),
            textcoords="offset points",
        )
    return drawn


def _histogram(axes: Any, values: list[Any], factor: float, noun: str, what: str, place: int) -> None:
    if values:
        every = factor * np.concatenate(values)
        axes.hist(every, bins=50, color=style_of(place)["color"])
        axes.set_title(f"{counted(len(values), 'trained chip')}, mean {every.mean():.3g} {what.rpartition('(')[2].rstrip(')')}")
    axes.set(xlabel=what, ylabel=noun)
    bare(axes)


def notes(choices: Choices, found: Found) -> list[str]:
    """What the estimates leave out."""
    one = PAPER
    told = [
        "The paper's 0.5 uW at a quantum efficiency of 10 % is a slip: 50 uW / 0.1 is 0.5 mW, a fortieth of 20 mW.",
        f"The paper takes exp(gamma z) - 1 with gamma = g/2 for the power; by its own Eq. 1, da/dz = (g/2) a, that is the field's "
        f"gain. The power's is exp(g z) - 1: {1e6 * one.field_w(0.2):.0f} uW at s = sin(theta) = 0.2 and {1e6 * one.field_w(0.05):.0f} "
        "uW at 0.05, twice as much.",
        "Both count only power that goes into the light. A section of the bench has no gain at 5 mA, and its current moves around "
        "that: it is drawn whether theta is large or not. Only where theta = 0 needs no current is the paper's comparison one of "
        "electric powers.",
    ]
    if found.get("PT") and found.get("MZI"):
        pt, mzi = (float(np.mean(_gradient_ms(found[kind]))) for kind in ("PT", "MZI"))
        told.append(
            f"A gradient by central differences takes {pt:.0f} ms on the PT chip and {mzi:.0f} ms on the MZI chip. Most of it are the "
            "64 images of every setting, 1 us each: that heaters settle in microseconds matters where few images are shown a setting."
        )
    return told
