"""What limits a chip's accuracy: imperfections of the bench off, one group at a time, with the same seeds."""

from __future__ import annotations

from typing import Any

import numpy as np

from labonn.plotting.files import new_figure
from labonn.plotting.look import FAINT, Look, style_of
from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job
from procedures.papers import ptonn
from procedures.papers.ptonn_reading import about, percent

SOURCE = f"beyond {ptonn.PAPER}"
BENCHES = {"PT": "pt_chip", "MZI": "mzi_chip"}
ALL, NONE = "all imperfections", "ideal bench"
STILL = ["laser.power_walk_per_sqrt_h=0", "laser.phase_walk_rad_per_sqrt_min=0", "modulators.bias_walk_v_pi_per_sqrt_h=0"]
STILL += ["detectors.dark_walk_v_per_sqrt_h=0"]
QUIET = ["detectors.noisy=false", "laser.rin_db_per_hz=-inf"]
EXACT = ["detectors.mode_spread=0", "detectors.phase_spread_rad=0", "detectors.dark_offset_v=0", "board.bits=0"]
EXACT += [f"modulators.{name}=0" for name in ("v_pi_spread", "bias_error_v_pi", "chirp_rad", "insertion_db", "mode_loss")]
EXACT += ["modulators.extinction_db=inf"]
COMMON = {"noise of detectors and laser": QUIET, "modulators, detectors, board": EXACT}
OFF: dict[str, dict[str, list[str]]] = {
    "PT": {
        "spread of the sections": ["sections.strength_spread=0", "sections.zero_gain_spread=0"],
        "phase-amplitude coupling": ["sections.alpha_h=0"],
        "thermal crosstalk": ["sections.crosstalk=0"],
        "spontaneous emission": ["sections.noise_bandwidth_hz=0"],
        "drift": [*STILL, "sections.walk_per_sqrt_h=0", "sections.drift_per_h=0"],
        **COMMON,
    },
    "MZI": {
        "spread of the heaters": ["heaters.phase_error_rad=0", "heaters.p_pi_spread=0", "heaters.resistance_spread=0"],
        "thermal crosstalk": ["heaters.crosstalk=0"],
        "lag of the heaters": ["heaters.tau_s=0"],
        "drift": [*STILL, "heaters.walk_rad_per_sqrt_h=0", "heaters.drift_rad_per_h=0"],
        **COMMON,
    },
}
QUICKLY = ("phase-amplitude coupling", "spread of the heaters")


def cases(choices: Choices) -> dict[str, list[Job]]:
    """Short trainings by forward differences: all imperfections, none, all but one group."""
    steps = int(choices.value("short_steps", 300, 60))
    done: dict[str, list[Job]] = {}
    for kind, bench in BENCHES.items():
        options: dict[str, dict[str, Any]] = {ALL: {}, NONE: {"ideal": True}}
        options |= {f"without {what}": {"simulate": keys} for what, keys in OFF[kind].items() if not choices.quick or what in QUICKLY}
        for what, how in options.items():
            given = {"gradient": "forward", "steps": steps, **how}
            done[f"{kind}: {what}"] = ptonn.cheaply(choices, f"ablation, {bench}: {what}", bench, 3 + 0.05 * steps, **given)
    return done


def rows(choices: Choices, found: Found) -> list[Row]:
    """Test accuracies; the gain over all imperfections, seed by seed, in the remark."""
    done = []
    for case, some in found.items():
        if some:
            by, gained = (ptonn.IDEAL if case.endswith(NONE) else ptonn.REAL), gains(found, case)
            remark = "" if case.endswith(ALL) or not gained else f"{np.mean(gained):+.1f}" + _error(gained)
            done.append(Row(case, percent(some), by=by, remark=remark, **about(some)))
    return done


def gains(found: Found, case: str) -> list[float]:
    """Points of accuracy over the same seeds with all imperfections; empty where seeds are missing."""
    some, all_on = (percent(found.get(name, ())) for name in (case, f"{case.partition(':')[0]}: {ALL}"))
    return [one - other for one, other in zip(some, all_on, strict=True)] if len(some) == len(all_on) else []


def _error(gained: list[float]) -> str:
    return f" +- {np.std(gained, ddof=1) / np.sqrt(len(gained)):.1f} points, paired" if len(gained) > 1 else " points"


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Gains over all imperfections, as bars with standard errors; seeds as dots."""
    drawn = new_figure(look, 0.45)
    for axes, kind in zip(drawn.subplots(1, 2, sharex=True), BENCHES, strict=True):
        names = [case for case in found if case.startswith(f"{kind}:") and not case.endswith(ALL) and gains(found, case)]
        for place, case in enumerate(reversed(names)):
            gained = gains(found, case)
            error = np.std(gained, ddof=1) / np.sqrt(len(gained)) if len(gained) > 1 else 0.0
            axes.barh(place, float(np.mean(gained)), xerr=error, color=style_of(0)["color"], alpha=0.6, height=0.6)
            axes.plot(gained, [place] * len(gained), ls="", marker=".", color=style_of(1)["color"])
        axes.set_yticks(range(len(names)), [case.partition(": ")[2] for case in reversed(names)])
        axes.axvline(0, color=FAINT, lw=0.8)
        start = percent(found.get(f"{kind}: {ALL}", ()))
        axes.set(title=f"{kind}: {ALL} {np.mean(start):.1f} %" if start else kind, xlabel="test accuracy gained (points)")
    return drawn


def notes(choices: Choices, found: Found) -> list[str]:
    """How to read it."""
    return [
        "Every training has the same seeds: start, batches and hidden numbers of the chip are those of all imperfections, as far as "
        "they are still there. Forward differences, short trainings. A gain of the size of its error is none, and a group may cost "
        "more together with others than it gains alone."
    ]
