"""Measure one gradient by several methods, many times, and compare errors, predictions and bench time.

The reference is a careful measurement on the same bench: central differences
with a small step and many repeats. Error bars that the methods report, and
what the planner predicted, stand beside what is then found.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.channels import Floats
from labonn.chip_compare import Compared, compare, compared_figure
from labonn.chip_methods import METHODS
from labonn.chip_training import ChipTraining
from labonn.chips import ChipOptics
from labonn.errors import ProcedureError
from labonn.procedures import FewSteps
from labonn.runs import Run
from procedures import train_chip

benches = train_chip.benches
SHOWN = ("blocked", "central", "forward", "walsh", "auto")


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options, beside those of train_chip that say what the chip is and where it starts."""
    train_chip.options(parser)
    add = parser.add_argument
    add("--methods", nargs="+", choices=("auto", *METHODS), default=list(SHOWN), help="to compare (default: %(default)s)")
    add("--times", type=int, default=6, metavar="N", help="gradients by each method (default %(default)s)")
    add("--reference", type=int, default=24, metavar="N", help="repeats of the reference (default %(default)s)")
    add("--first", type=int, default=0, metavar="N", help="steps of training before, by the method of --gradient (default %(default)s)")


bench_file = train_chip.bench_file


def check(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is opened."""
    for name in ("times", "reference"):
        if getattr(args, name) < 2:
            raise ProcedureError(f"--{name} {getattr(args, name)}: at least 2")
    train_chip.check(args)


def few_steps(args: argparse.Namespace) -> FewSteps:
    """Two turns, each as all are."""
    few = min(args.times, 2)
    return FewSteps({"times": few, "reference": few * -(-args.reference // args.times)}, args.times / few)


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Compare on the open bench; arrays and a figure go to the run's folder."""
    training, theta = _started(bench, args, run)
    objective = training.objective
    rows = training.pictures.train[: args.batch]
    objective.show(rows, training.pictures.labels[rows])
    reference, found = compare(bench, objective, theta, training.moved, args, run)
    for line in Compared.lines(found):
        print(line)
    run.save_arrays("gradients", reference=reference, **{name: one.gradients for name, one in found.items()})
    run.save_figure("errors", lambda path: compared_figure(reference, found, path))
    result: dict[str, Any] = {"parameters": int(training.moved.sum()), "gradient_norm": float(np.linalg.norm(reference))}
    shown = ("error", "scatter", "reported", "seconds", "settings", "downhill", "chosen", "predicted")
    result["methods"] = {name: {key: getattr(one, key) for key in shown} for name, one in found.items()}
    auto = found.get("auto")
    if auto is not None and auto.predicted is not None:
        error, bias, seconds = auto.predicted
        result |= {"auto_chose": auto.chosen, "predicted_standard_error": error, "predicted_bias": bias, "predicted_time_s": seconds}
    return result | {"bench_time_s": bench.clock.now()}


def _started(bench: Bench, args: argparse.Namespace, run: Run) -> tuple[ChipTraining, Floats]:
    """A training that is ready, and the parameters to compare at."""
    optics = ChipOptics.of(bench.file)
    data = train_chip.data_of(args, optics)
    training = train_chip.ready(bench, args, run, data, optics)
    for _ in range(args.first):
        bench.run(training.step())
    return training, training.grown.theta
