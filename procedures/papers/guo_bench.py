"""The same network on benches with imperfections: ideal, as built, with every defect, and with every defect calibrated."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from labonn.plotting.files import new_figure
from labonn.plotting.look import Look
from labonn.reproduce import Choices, Row, run_job
from labonn.reproduce.experiment import Found
from labonn.reproduce.jobs import CALIBRATIONS, DATA
from labonn.sweeps import Job
from procedures.benches import shipped, vapour_cell
from procedures.papers import guo
from procedures.papers.guo_drawing import draw_bands
from procedures.papers.guo_points import draw_lines, legend_there, told
from procedures.papers.guo_reading import accuracies, course
from procedures.papers.guo_trainings import few, mnist, off, reached

SOURCE = f"beyond {guo.PAPER}, Fig. 3"
DEPTH, RATE = 10.0, 2e-3
KINDS = ("modulators", "slm_weights", "detectors")  # of calibrations that the training believes
CELLS = (*KINDS, "absorbers", "ovens")
SMALL = {
    "ideal": "ideal bench",
    "default": "usual imperfections, SLM response measured",
    "nominal": "every defect, nominal beliefs",
    "measured": "every defect, SLM response measured",
    "calibrated": "every defect, modulators, SLMs and detectors calibrated",
    "cells": "every defect, cells and ovens calibrated too",
}
MORE: dict[str, tuple[str, str, dict[str, Any]]] = {  # case -> (what it is, the bench of which case, options)
    "interference ideal": ("error by interference, ideal bench", "ideal", {"error": "optical"}),
    "interference": ("error by interference, every defect, calibrated", "calibrated", {"error": "optical"}),
    "deep ideal": ("alpha0 = 30, ideal bench", "ideal", {"optical_depth": 30.0}),
    "deep": ("alpha0 = 30, every defect, calibrated", "calibrated", {"optical_depth": 30.0}),
    "gain ideal": ("saturable gain, g0 = 3, ideal bench", "ideal", {"cell": "gain", "optical_depth": 3.0}),
    "gain": ("saturable gain, g0 = 3, usual imperfections", "default", {"cell": "gain", "optical_depth": 3.0}),
}
SHORT = {
    "ideal": "ideal", "default": "usual imperfections", "nominal": "nominal beliefs", "measured": "SLMs measured",
    "calibrated": "calibrated", "cells": "cells too",
}  # fmt: skip
LARGE = {"ideal": "ideal bench", "default": SMALL["default"], "calibrated": SMALL["calibrated"]}
LARGE_CASE = "784-128-10 "
BY = {
    "ideal": guo.IDEAL, "default": "drivers, usual imperfections", "nominal": "drivers, every defect", "measured": "drivers, every defect",
    "calibrated": "drivers, every defect, calibrated", "cells": "drivers, every defect, calibrated",
}  # fmt: skip


def cases(choices: Choices) -> dict[str, list[Job]]:
    """784-64-64-10 on part of the images for all benches; 784-128-10 as in Fig. 3 on all images for three of them."""
    wanted = {case: told for case, told in SMALL.items() if case != "cells" or not choices.quick}
    found = {case: [_small(choices, case, told, seed) for seed in choices.numbers] for case, told in wanted.items()}
    if not choices.quick:
        for case, (told, like, more) in MORE.items():
            found[case] = [_small(choices, like, told, seed, more) for seed in choices.numbers]
        found |= {f"{LARGE_CASE}{case}": _large(choices, case, told) for case, told in LARGE.items()}
    return found


def small(choices: Choices) -> tuple[int, int]:
    """(images, epochs) of the small trainings."""
    return int(choices.value("bench_images", 10_000, 3_000)), int(choices.value("bench_epochs", 10, 3))


def _small(choices: Choices, case: str, told: str, seed: int, more: Mapping[str, Any] | None = None) -> Job:
    count, epochs = small(choices)
    given = {"optical_depth": DEPTH, "lr": RATE, "limit": count, "epochs": epochs, "data": DATA, **_options(case, [64, 64]), **(more or {})}
    steps = [("train_vapour_cell", given)]
    if case in ("calibrated", "cells"):
        kinds = list(CELLS if case == "cells" else KINDS)
        steps.insert(0, ("calibrate_all", {"bench": "vapour_defects", "only": kinds, "calibrations": CALIBRATIONS}))
    if case not in ("ideal", "default"):
        given["bench"] = "vapour_defects"
    cost = 8e-5 * count * epochs + (20 if len(steps) > 1 else 0)
    return run_job(f"{SOURCE}: 784-64-64-10, {told}", seed, *steps, images=mnist(choices), cost=cost)


def _large(choices: Choices, case: str, told: str) -> list[Job]:
    if case == "ideal":
        return guo.on_bench(choices, f"{guo.PAPER}, Fig. 3a-c: optical derivative", [128], optical_depth=DEPTH, derivative="optical")
    given = {"optical_depth": DEPTH, "epochs": guo.epochs(choices), "data": DATA, **_options(case, [128])}
    steps = [("train_vapour_cell", given)]
    more: dict[str, Any] = {}
    if case == "calibrated":
        steps.insert(0, ("calibrate_all", {"only": list(KINDS), "calibrations": CALIBRATIONS}))
        more["bench"] = defective([784, 128, 10])
    title, images = f"{SOURCE}: 784-128-10, {told}", mnist(choices)
    return [run_job(title, seed, *steps, images=images, cost=5.0 * guo.epochs(choices), **more) for seed in few(choices, "bench_seeds")]


def _options(case: str, hidden: list[int]) -> dict[str, Any]:
    believe = {"believe": "nominal"} if case == "nominal" else {"calibrations": CALIBRATIONS} if case in ("calibrated", "cells") else {}
    return {"hidden": hidden, **({"ideal": True} if case == "ideal" else {}), **believe}


def defective(sizes: list[int]) -> str:
    """The text of a bench of that size with all the defects of the shipped vapour_defects."""
    found: Mapping[str, Any] = tomllib.loads(shipped("vapour_defects"))["simulation"]
    parts = {part: values for part, values in found.items() if isinstance(values, dict)}
    lines = (
        f"\n[simulation.{part}]\n" + "".join(f"{name} = {value}\n" for name, value in values.items()) for part, values in parts.items()
    )
    return vapour_cell(sizes) + "".join(lines)


def rows(choices: Choices, found: Found) -> list[Row]:
    """Test accuracies; what calibrated and ideal are apart."""
    images, epochs = mnist(choices), small(choices)[1]
    table = [
        reached(f"784-64-64-10, {told}", found.get(case, ()), images, epochs, BY[case])
        for case, told in SMALL.items()
        if case in found or case != "cells"
    ]
    apart = off(found.get("calibrated", ()), found.get("ideal", ()))
    what = "784-64-64-10: calibrated less ideal bench, the same seed"
    table.append(Row(what, apart, "points", by=BY["calibrated"], data=table[0].data))
    if choices.quick:
        return table
    table += [reached(f"784-64-64-10, {told}", found.get(case, ()), images, epochs, BY[like]) for case, (told, like, _) in MORE.items()]
    for case, words in LARGE.items():
        outcomes = found.get(f"{LARGE_CASE}{case}", ())
        remark = "the paper's number is of a network without imperfections" if case != "ideal" else ""
        row = reached(f"784-128-10, {words}", outcomes, images, guo.epochs(choices), BY[case], paper=97.3, paper_sd=0.1, remark=remark)
        table.append(row)
    return table


def notes(choices: Choices, found: Found) -> list[str]:
    """What is on the benches."""
    count, epochs = small(choices)
    calibrated = found.get("calibrated", ())
    said = [
        f"784-64-64-10: {epochs} epochs on {count:,} images, learning rate {RATE:g}, alpha0 = {DEPTH:g}; every seed is another bench "
        "with hidden errors of its own. Usual imperfections are those of any dry run without --ideal; every defect: the bench "
        "vapour_defects, most at several times the usual size.",
        f"Calibrated: `labonn run calibrate_all --only {' '.join(KINDS)}`, then `labonn run train_vapour_cell --calibrations`, on the "
        "same bench, opened again; shots are those of the training. Without the cells' calibrations, their ovens are believed to be "
        "as built, and optical depths may be off by more than half.",
    ]
    if calibrated and found.get("ideal"):
        apart, lost = off(calibrated, found["ideal"]), off(found.get("nominal", ()), found["ideal"])
        said.append(f"Against the ideal bench, calibrated {told(apart)} points, with nominal beliefs {told(lost)} points.")
    for case in ("interference", "deep", "gain"):
        some, ideal = found.get(case, ()), found.get(f"{case} ideal", ())
        if some and ideal:
            said.append(f"{MORE[case][0][0].upper()}{MORE[case][0][1:]}: {told(off(some, ideal))} points against the ideal bench.")
    return said


def figure(choices: Choices, found: Found, look: Look) -> Any:
    """Accuracy on every bench, and how it is learned."""
    made = new_figure(look, 0.36)
    axes, learning = made.subplots(1, 2, width_ratios=(1, 1))
    draw_lines(
        axes, [words.replace(", ", ",\n", 1) for words in SMALL.values()], {"784-64-64-10": [accuracies(found.get(c, ())) for c in SMALL]}
    )
    axes.set(xlabel="test accuracy (%)", title="784-64-64-10")
    draw_bands(learning, {words: [course(one) for one in found.get(case, ())] for case, words in SHORT.items()})
    learning.set(xlabel="epoch", ylabel="validation accuracy (%)", ylim=(0, 100))
    legend_there(learning, "best")
    return made
