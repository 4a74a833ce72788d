"""What a worker does for an experiment: a training of the twin, or dry runs of procedures."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labonn.reproduce.jobs import CALIBRATIONS, DATA, WEIGHTS
from labonn.reproduce.thinning import thin
from labonn.runs import Run
from labonn.sweeps import Task


def twin(task: Task) -> dict[str, Any]:
    """Train the twin; curves go to the run's metrics, the best weights to weights.npz.

    Settings:
        network: labonn.twin.network's text. activation: ["absorber", depth, cell], ["relu"], ["tanh"] or ["sigmoid"].
        derivative: a name, or ["random", seed] for a random smooth function (labonn.twin.derivatives).
        pool: "mean" or "max", what "pool" in the network is; without it as the activation has it (labonn.twin.network).
        loss, error, white: of labonn.twin.Method. imperfections: of labonn.twin.Imperfections, as a mapping.
        Everything else: labonn.twin.Recipe. limit: train on the first so many images only. pixels: pick so many of each image
            (labonn.data.picked).
    """
    from labonn.reproduce.twins import trained

    run = Run.create(task.runs, "twin", {"title": task.job.title, "options": task.job.settings}, seed=task.job.seed, mode="quiet")
    result, weights = trained(task, run)
    run.save_arrays("weights", **weights)
    run.finish(result)
    return {**result, "run": run.folder.name}


def run(task: Task) -> dict[str, Any]:
    """Dry runs of procedures; the result is that of the last one, with all its run folders in `folders`.

    Settings:
        steps: [procedure, options] of each. bench: text of a bench file, for all of them.

    A job that ends too early begins anew, so checkpoints are of no use, and none is left; the record is kept as `thin` leaves it.
    """
    import labonn

    settings, folders, result = task.job.settings, list[str](), dict[str, Any]()
    with tempfile.TemporaryDirectory(prefix=".scratch-", dir=task.runs) as scratch:
        places = {DATA: task.job.places.get("data", ""), CALIBRATIONS: str(Path(scratch, "calibrations"))}
        bench = _bench(settings.get("bench"), Path(scratch))
        for number, (procedure, options) in enumerate(settings["steps"]):
            places[WEIGHTS] = str(task.runs / folders[-1] / "weights.npz") if folders else ""
            given = {name: _placed(value, places) for name, value in options.items()}
            fixed = {"dry_run": True, "quiet": True, "seed": task.job.seed, "out": task.runs, "checkpoint": 0, **bench}
            with _telling(task, procedure, number, len(settings["steps"])):
                record = labonn.run(procedure, **{**fixed, **given})
            folders.append(record.folder.name)
            result = dict(record.result)
            record.close()
            shutil.rmtree(record.folder / "checkpoints", ignore_errors=True)
            thin(record.folder)
    return {**result, "run": folders[-1], "folders": folders}


@contextlib.contextmanager
def _telling(task: Task, procedure: str, number: int, steps: int) -> Iterator[None]:
    """What the procedure's progress shows becomes the task's."""
    from labonn.progress import Progress

    before, name = Progress.listener, f"{procedure}, " if steps > 1 else ""
    task.tell(number / steps, procedure)
    Progress.listener = lambda share, words: task.tell((number + share) / steps, name + words)
    try:
        yield
    finally:
        Progress.listener = before


def _bench(text: str | None, folder: Path) -> dict[str, Path]:
    """The option for a bench file of that text."""
    if text is None:
        return {}
    path = folder / "bench.toml"
    path.write_text(text, encoding="utf-8")
    return {"bench": path}


def _placed(value: Any, places: Mapping[str, str]) -> Any:
    return places.get(value, value) if isinstance(value, str) else value
