"""Power and speed of a network of 1000 units a layer, and what this bench reaches step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from labonn.reproduce import Choices, Row
from labonn.reproduce.experiment import Found
from labonn.reproduce.jobs import own_job
from labonn.reproduce.sets import MINI, Images
from labonn.sweeps import Job, Outcome
from procedures.papers import guo
from procedures.papers.optical_budget import RB87_D2, Budget, Line

SOURCE = f"{guo.PAPER}, App. C"
WORK = "procedures.papers.step_rates:measured"
UNITS = 1000  # a layer
STEPS = 3
FORMULAS = "formulas of App. C"
NOMINAL = {"believe": "nominal"}  # a step takes as long whatever is believed, and so the warm-up is short
BENCH: dict[str, dict[str, Any]] = {  # case -> settings of a training
    "digital error": {"batch": 64, "dwell_s": 5e-5, "error": "digital"},
    "interference": {"batch": 64, "dwell_s": 5e-5, "error": "optical"},
    "short shots": {"batch": 64, "dwell_s": 1e-6, "error": "optical"},
    "large batches": {"batch": 1024, "dwell_s": 1e-6, "error": "optical"},
}
TOLD = {
    "digital error": "computed error, 50 us a shot",
    "interference": "error by interference",
    "short shots": "the same, 1 us a shot",
    "large batches": "the same, 1,024 images a step",
}


def cases(choices: Choices) -> dict[str, list[Job]]:
    """Short trainings of 784-1000-1000-10 on the bench, for their times only."""
    return {
        case: [
            own_job(WORK, f"{SOURCE}: {case}", 0, images=Images(MINI), cost=10.0, hidden=[UNITS, UNITS], steps=STEPS, **NOMINAL, **settings)
        ]
        for case, settings in BENCH.items()
    }


def rows(choices: Choices, found: Found) -> list[Row]:
    """The paper's estimates from their inputs; then what steps of the bench take."""
    return [*_estimates(Budget(UNITS)), *(row for case, told in TOLD.items() for row in _reached(told, found.get(case, ())))]


def _estimates(budget: Budget) -> list[Row]:
    """Formulas; the paper's numbers with a ~ have an error of half their only digit."""
    line = budget.line
    formula: dict[str, Any] = {"by": FORMULAS, "higher": None}
    light: dict[str, Any] = {"remark": "the paper gives about 10, one digit", "paper_sd": 5.0}
    rounded: dict[str, Any] = {"remark": "the paper counts 1 mW for about 0.5 mW"}
    per_watt = budget.operations_per_s / budget.layer_w
    return [
        Row("saturation intensity", [line.saturation_w_m2], "uW/mm2", 16.6, remark="see the first note", **formula),
        Row("saturation power of a neuron", [1e6 * budget.neuron_w], "uW", 0.5, **formula),
        Row("power of a layer", [1e3 * budget.layer_w], "mW", 0.5, **formula),
        Row("energy of a forward pass", [1e12 * budget.pass_j], "pJ", 10.0, **light, **formula),
        Row("energy of a multiply-accumulate", [1e18 * budget.operation_j], "aJ", 10.0, **light, **formula),
        Row("operations a second, 10 GHz modulators", [budget.operations_per_s], "1/s", 1e16, **formula),
        Row("operations a second and watt, 10 GHz modulators", [per_watt], "1/(s W)", 1e19, **rounded, **formula),
        Row("operations a second, a pass a lifetime of the atoms", [budget.atoms_operations_per_s], "1/s", by=FORMULAS),
        Row("operations a second and watt, a pass a lifetime", [1 / budget.operation_j], "1/(s W)", by=FORMULAS),
    ]


def _reached(told: str, outcomes: Sequence[Outcome]) -> list[Row]:
    """Of a training on the bench's clock."""
    if not outcomes:
        return []
    (step, *_) = [one.result for one in outcomes]
    about: dict[str, Any] = {"by": f"drivers, realistic bench, {'-'.join(map(str, step['sizes']))}"}
    products = sum(one * two for one, two in pairwise(step["sizes"]))
    batch = step["shots"] / step["tables"]
    return [
        Row(f"shots a second, {told}", [step["shots"] / step["bench_s"]], "1/s", **about),
        Row(f"updates of the weights a second, {told}", [1 / step["bench_s"]], "1/s", **about),
        Row(f"operations a second, forward, {told}", [batch * products / step["bench_s"]], "1/s", **about),
    ]


def notes(choices: Choices, found: Found) -> list[str]:
    """What the estimates leave open, and what limits the bench."""
    budget = Budget(UNITS)
    by_paper = Line(RB87_D2.wavelength_m, 6e6).saturation_w_m2
    told = [
        f"Eq. C1 with the paper's Gamma = 2 pi x 6 MHz gives {by_paper:.1f} uW/mm2, with the measured {RB87_D2.linewidth_hz / 1e6:.4g} MHz "
        f"{RB87_D2.saturation_w_m2:.1f}; the paper's 16.6 lies between them.",
        f"The paper's {1e16:.0e} operations a second take modulators at 10 GHz, its 10 aJ a pulse of {1e9 * budget.pass_s:.0f} ns. "
        f"Both cannot hold for atoms: a pass a lifetime is {budget.atoms_operations_per_s:.1e} operations a second and "
        f"{1 / budget.operation_j:.1e} a second and watt. Pulses of 0.1 ns need an absorber that is as fast, which takes more power.",
    ]
    steps = {case: found[case][0].result for case in BENCH if found.get(case)}
    if len(steps) == len(BENCH):
        told.append(_limits(steps))
    return told


def _limits(steps: Mapping[str, Mapping[str, Any]]) -> str:
    """What a step's time is made of: light, what an image costs beside it, and what does not depend on the images."""
    few, many, usual = (steps[case] for case in ("short shots", "large batches", "digital error"))
    image_s = (many["bench_s"] - few["bench_s"]) / (many["shots"] - few["shots"])
    fixed_s = few["bench_s"] - few["shots"] * image_s
    light_s = usual["shots"] * BENCH["digital error"]["dwell_s"]
    return (
        f"On this bench a step of {usual['shots'] / usual['tables']:.0f} images takes {1e3 * usual['bench_s']:.1f} ms, {1e3 * light_s:.1f} "
        f"ms of them light. With shots of 1 us, {1e3 * fixed_s:.1f} ms are left that do not depend on the images and "
        f"{1e6 * image_s:.0f} us an image: large batches help, shorter shots do not."
    )
