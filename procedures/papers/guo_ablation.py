"""What limits accuracy: imperfections of the bench, each on alone, and each off in turn."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from labonn.plotting.files import new_figure
from labonn.plotting.look import FAINT, Look
from labonn.reproduce import Choices, Row, run_job
from labonn.reproduce.experiment import Found
from labonn.reproduce.jobs import DATA
from labonn.sweeps import Job
from procedures.benches import shipped
from procedures.papers import guo
from procedures.papers.guo_points import draw_lines, legend_there, told
from procedures.papers.guo_reading import accuracies
from procedures.papers.guo_trainings import mnist, off, reached

SOURCE = f"beyond {guo.PAPER}, Fig. 3"
DEPTH, RATE = 10.0, 2e-3
OFF: dict[str, Mapping[str, Any]] = {  # settings of the simulated bench that take a part's imperfections away
    "slm": {
        "lut_nonlinearity": 0, "pixel_scale": 0, "fill_factor": 1, "flicker_rad": 0, "tau_rise_s": 0, "tau_fall_s": 0, "crosstalk_px": 0,
    },
    "modulators": {
        "v_pi_spread": 0, "bias_error_v_pi": 0, "bias_walk_v_pi_per_sqrt_h": 0, "extinction_db": "inf", "chirp_rad": 0, "insertion_db": 0,
        "mode_loss": 0,
    },
    "detectors": {"noisy": "false", "mode_spread": 0, "phase_spread_rad": 0, "dark_offset_v": 0, "dark_walk_v_per_sqrt_h": 0},
    "laser": {"power_walk_per_sqrt_h": 0, "rin_db_per_hz": "-inf", "phase_walk_rad_per_sqrt_min": 0},
    "gain": {"saturation_w": "inf", "noise_bandwidth_hz": 0, "g0_spread": 0, "transparency_spread": 0, "loss_spread": 0},
    "ovens": {"tau_s": 0, "overshoot": 0, "wander_k": 0, "depth_scale": 0, "sensor_offset_k": 0},
}  # fmt: skip
PARTS = {
    "slm": "SLMs", "modulators": "modulators", "detectors": "detectors", "laser": "laser", "gain": "amplifiers", "ovens": "ovens",
}  # fmt: skip
ALL, NONE, WITHOUT, ALONE = "all", "none", "without ", "only "
STRONG = "strong "  # cases with every defect of vapour_defects and nominal beliefs
LEVELS = (
    ("", "usual imperfections", "drivers, SLM response measured"),
    (STRONG, "strong defects", "drivers, nominal beliefs"),
)
QUICK = (ALL, NONE, f"{STRONG}{ALL}", f"{STRONG}{NONE}", f"{STRONG}{WITHOUT}slm", f"{STRONG}{ALONE}slm")


def cases(choices: Choices) -> dict[str, list[Job]]:
    """Usual imperfections: all, none, each alone. Strong ones: each off in turn too. Seeds are paired."""
    whole: dict[str, list[str]] = {ALL: [], NONE: list(PARTS)}
    alone = {f"{ALONE}{part}": [other for other in PARTS if other != part] for part in PARTS}
    without = {f"{WITHOUT}{part}": [part] for part in PARTS}
    chosen = whole | alone | {f"{STRONG}{case}": parts for case, parts in (whole | without | alone).items()}
    return {case: _jobs(choices, case, parts) for case, parts in chosen.items() if not choices.quick or case in QUICK}


def size(choices: Choices) -> tuple[int, int]:
    """(images, epochs)."""
    return int(choices.value("ablation_images", 10_000, 2_500)), int(choices.value("ablation_epochs", 10, 3))


def defects() -> dict[str, Mapping[str, Any]]:
    """What the shipped bench vapour_defects has more than the usual imperfections, by part."""
    found: Mapping[str, Any] = tomllib.loads(shipped("vapour_defects"))["simulation"]
    return {part: values for part, values in found.items() if isinstance(values, dict)}


def _jobs(choices: Choices, case: str, away: list[str]) -> list[Job]:
    count, epochs = size(choices)
    given: dict[str, Any] = {"hidden": [128], "optical_depth": DEPTH, "lr": RATE, "limit": count, "epochs": epochs, "data": DATA}
    settings = {part: OFF[part] for part in away}
    if case.startswith(STRONG):
        given["believe"] = "nominal"
        settings = {**{part: values for part, values in defects().items() if part not in away}, **settings}
    if settings:
        given["simulate"] = [f"{part}.{name}={value}" for part, values in settings.items() for name, value in values.items()]
    title, cost, images = f"{SOURCE}: imperfections {case}", 8e-5 * count * epochs, mnist(choices)
    return [run_job(title, seed, ("train_vapour_cell", given), images=images, cost=cost) for seed in choices.numbers]


def rows(choices: Choices, found: Found) -> list[Row]:
    """Test accuracies with all and none, and points lost by each part alone, and won without it."""
    table: list[Row] = []
    for level, words, by in LEVELS:
        for case, what in {ALL: "all", NONE: "none"}.items():
            outcomes = found.get(f"{level}{case}", ())
            table.append(reached(f"{words}: {what}", outcomes, mnist(choices), size(choices)[1], by))
        data = table[-1].data
        for part, name in PARTS.items():
            for case, what in {ALONE: "alone, points lost", WITHOUT: "off, points won"}.items():
                if points := changed(found, level, case, part):
                    table.append(Row(f"{words}: {name} {what}", points, "points", by=by, data=data, higher=case == WITHOUT))
    return table


def changed(found: Found, level: str, case: str, part: str) -> list[float]:
    """Points lost by a part alone (ALONE), or won without it (WITHOUT), by seed."""
    some = found.get(f"{level}{case}{part}", ())
    return off(found.get(f"{level}{NONE}", ()), some) if case == ALONE else off(some, found.get(f"{level}{ALL}", ()))


def notes(choices: Choices, found: Found) -> list[str]:
    """What is compared, and what matters most."""
    count, epochs = size(choices)
    said = [
        f"784-128-10, alpha0 = {DEPTH:g}, {epochs} epochs on {count:,} images at a learning rate of {RATE:g}. Usual imperfections are "
        "those of any dry run, and the SLMs' mean response is measured before the training. Strong defects are those of the bench "
        "vapour_defects on top, several times the usual ones, with nothing measured: what a calibration is worth is in guo-bench.",
        "Points are differences of the same seed: same start weights, images, hidden errors and noise. 8-bit SLMs and 16-bit converters "
        "stay in all cases.",
    ]
    lost = {name: points for part, name in PARTS.items() if (points := changed(found, STRONG, ALONE, part))}
    if len(lost) > 1:
        worst = sorted(lost, key=lambda name: -sum(lost[name]))[:3]
        said.append("Strong defects that cost most when alone: " + ", ".join(f"{name} {told(lost[name])} points" for name in worst) + ".")
    return said


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Points that each part costs alone, and that are won without it."""
    made = new_figure(look, 0.4)
    axes = made.subplots(1, 2, sharey=True)
    for one, (level, words, _) in zip(axes, LEVELS, strict=True):
        none, whole = found.get(f"{level}{NONE}", ()), found.get(f"{level}{ALL}", ())
        lines = {"alone, lost": [*(changed(found, level, ALONE, part) for part in PARTS), off(none, whole)]}
        if level:
            lines["off, won"] = [*(changed(found, level, WITHOUT, part) for part in PARTS), []]
        draw_lines(one, [*PARTS.values(), "all"], lines)
        one.axvline(0, color=FAINT, lw=0.6)
        ends = ", ".join(f"{what} {told(accuracies(some))} %" for what, some in (("none", none), ("all", whole)) if some)
        one.set(xlabel="points of test accuracy", title=f"{words}\n{ends}")
    legend_there(axes[-1], "center")  # of both: without settled parts its marks would look like numbers in the other
    return made
