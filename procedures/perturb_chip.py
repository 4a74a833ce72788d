"""Show images to a trained chip with random noise on its parameters, to see how accurate they must be.

Parameters of an earlier training (--start FILE) get Gaussian noise of several
strengths, many draws each; training and test images are shown at each of them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.chip_noise import Shaken, shake, shaken_figure
from labonn.chips import ChipOptics
from labonn.errors import ProcedureError
from labonn.procedures import FewSteps
from labonn.runs import Run
from procedures import train_chip

benches = train_chip.benches
SIGMAS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1)  # rad


def options(parser: argparse.ArgumentParser) -> None:
    """The procedure's own options, beside those of train_chip that say what the chip is and where its parameters are."""
    train_chip.options(parser)
    add = parser.add_argument
    sigmas = "standard deviations of the noise (default: %(default)s)"
    add("--sigmas", type=float, nargs="+", default=list(SIGMAS), metavar="RAD", help=sigmas)
    add("--draws", type=int, default=20, metavar="N", help="of the noise, each strength (default %(default)s)")
    add("--shown", type=int, default=2000, metavar="N", help="most images that are shown, of training and of test (default %(default)s)")


bench_file = train_chip.bench_file


def check(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, before anything is opened."""
    for name in ("draws", "shown"):
        if getattr(args, name) < 1:
            raise ProcedureError(f"--{name} {getattr(args, name)}: at least 1")
    for sigma in args.sigmas:
        if not 0 <= sigma < float("inf"):
            raise ProcedureError(f"--sigmas {sigma}: 0 rad or more")
    if args.start in ("random", "believed"):
        raise ProcedureError(f"--start {args.start}: the chip is to be a trained one; give the weights.npz of its run")
    train_chip.check(args)


def few_steps(args: argparse.Namespace) -> FewSteps:
    """One strength is as all are."""
    return FewSteps({"sigmas": args.sigmas[:1]}, len(args.sigmas))


def another_chip(args: argparse.Namespace) -> str:
    """What has to be said of a start that was trained with another --seed, and so on another simulated chip; empty: nothing."""
    try:
        theirs = json.loads((Path(args.start).parent / "settings.json").read_bytes())["options"]["seed"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    if not args.dry_run or theirs == args.seed:
        return ""
    ways = [f"with --seed {seed}" if seed is not None else "without --seed" for seed in (theirs, args.seed)]
    return f"the start was trained {ways[0]}, this run is {ways[1]}: another simulated chip, whose errors it was not trained for"


def main(bench: Bench, args: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Show the images on the open bench; accuracies and a figure go to the run's folder."""
    optics = ChipOptics.of(bench.file)
    data = train_chip.data_of(args, optics)
    training = train_chip.ready(bench, args, run, data, optics)
    objective, pictures, theta = training.objective, training.pictures, training.grown.theta
    spec = bench.specs[optics.port]
    objective.lower, objective.upper = optics.reach(spec.lower, spec.upper)
    rows = {"training": pictures.train[: args.shown], "test": pictures.test[: args.shown]}
    images = {name: (some, pictures.labels[some]) for name, some in rows.items()}
    some = np.ones(len(theta), bool) if args.train == "all" else ~optics.amplifiers
    with run.progress(len(args.sigmas), "strength") as progress:

        def told(number: int, shares: dict[str, float]) -> None:
            run.metrics({"sigma_rad": args.sigmas[number - 1], **{f"{name}_accuracy": share for name, share in shares.items()}})
            run.step(number)
            progress.update(number, objective.shots, accuracy=shares["test"])

        found: Shaken = bench.run(shake(objective, theta, some, args.sigmas, args.draws, images, run.seed, told))
    run.save_arrays("noise", sigmas=np.array(found.sigmas), moved_back=found.moved_back, **found.accuracies)
    run.save_figure("noise", lambda path: shaken_figure(found, path))
    for sigma, share in zip(found.sigmas, found.moved_back, strict=True):
        if share:
            run.event(f"noise of {sigma:g} rad: {share:.2%} of the parameters were beyond what the instruments reach, and set at its end")
    counts = f"{len(rows['training']):,} training, {len(rows['test']):,} test images"
    result: dict[str, Any] = {"data": f"{data.name}: {counts}", "draws": args.draws}
    result["sigmas_rad"] = list(found.sigmas)
    result |= {f"{name}_accuracy": shares.mean(axis=1).tolist() for name, shares in found.accuracies.items()}
    result |= {f"{name}_deviation": shares.std(axis=1).tolist() for name, shares in found.accuracies.items()}
    result["moved_back"] = found.moved_back.tolist()
    if note := another_chip(args):
        run.event(note)
        result["note"] = note
    return result | {"evaluations": objective.settings, "shots": bench.shots, "bench_time_s": bench.clock.now()}
