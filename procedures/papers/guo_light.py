"""Both convolutions of Fig. 4b by light: patches of images as shots through the drivers, beside the same network in the twin."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from labonn.reproduce import Choices, Row, run_job
from labonn.reproduce.experiment import Found
from labonn.sweeps import Job, Outcome
from procedures.papers import guo
from procedures.papers.guo_reading import shots
from procedures.papers.guo_trainings import few, mnist

BENCHES = {"light ideal": (True, guo.IDEAL), "light": (False, "drivers, usual imperfections, light measured before")}
QUICK = ("light ideal",)


def light_cases(choices: Choices, source: str) -> dict[str, list[Job]]:
    """Trained by the twin on part of the images, then measured, and both convolutions tuned, by light."""
    given: dict[str, Any] = {
        "data": "{data}", "layers": 2,
        "limit": int(choices.value("light_limit", 10_000, 2_000)),
        "twin_epochs": int(choices.value("light_epochs", 12, 2)),
        "images": int(choices.value("light_images", 500, 50)),
        "steps": int(choices.value("light_steps", 60, 3)),
    }  # fmt: skip
    cost = given["limit"] * given["twin_epochs"] * 17 / 60_000 + 0.8 * given["steps"] + 0.04 * given["images"]
    return {
        case: [
            run_job(f"{source}: convolutions by {case}", seed, ("train_convolution", {**given, **({"ideal": True} if ideal else {})}),
                    images=mnist(choices), cost=cost)
            for seed in few(choices, "bench_seeds")
        ]
        for case, (ideal, _) in BENCHES.items()
        if not choices.quick or case in QUICK
    }  # fmt: skip


def light_rows(found: Found) -> list[Row]:
    """Accuracy by light, before and after tuning, and how far it is from the twin's on the same images."""
    table = []
    for case, (_, by) in BENCHES.items():
        if outcomes := found.get(case, ()):
            about: dict[str, Any] = {"by": by, "data": str(outcomes[0].result["data"]), "evaluations": shots(outcomes)}
            measured, tuned, twin = (percents(outcomes, name) for name in ("measured_accuracy", "tuned_accuracy", "twin_accuracy"))
            apart = [one - other for one, other in zip(measured, twin, strict=True)]
            table += [
                Row("SA, both convolutions by light", measured, **about),
                Row("the same less the twin, on the same images", apart, "points", **about, higher=None),
                Row("SA, both convolutions tuned by light", tuned, **about),
            ]
    return table


def percents(outcomes: Sequence[Outcome], name: str) -> list[float]:
    """A share among the results."""
    return [100 * one.result[name] for one in outcomes if name in one.result]


def light_notes(found: Found) -> list[str]:
    """How far activations and gradients are from the twin's."""
    said = []
    for case, (_, by) in BENCHES.items():
        if outcomes := found.get(case, ()):
            errors, cosines = (
                [statistics.fmean(one.result[name][stage] for one in outcomes) for stage in range(2)]
                for name in ("activation_rms_error", "gradient_cosine")
            )
            steps = outcomes[0].result["tuning_steps"]
            other = statistics.fmean(one.result["images_read_otherwise"] for one in outcomes)
            said.append(
                f"Convolutions by light ({by}): activations of the two layers are off by {100 * errors[0]:.2f} and {100 * errors[1]:.2f} % "
                f"rms, their gradients point as computed ones of the same errors to a cosine of {cosines[0]:.4f} and {cosines[1]:.4f}, "
                f"and {other:.3g} images are read otherwise than by the twin; tuning is {steps} steps by measured gradients."
            )
    return said
