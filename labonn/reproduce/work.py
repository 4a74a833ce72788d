"""What a worker does for an experiment: a training of the twin, or dry runs of procedures."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labonn.reproduce.jobs import CALIBRATIONS, DATA
from labonn.runs import Run
from labonn.sweeps import Task


def twin(task: Task) -> dict[str, Any]:
    """Train the twin; curves go to the run's metrics, the best weights to weights.npz.

    Settings:
        network: labonn.twin.network's text. activation: ["absorber", depth, cell], ["relu"], ["tanh"] or ["sigmoid"].
        derivative: a name, or ["random", seed] for a random smooth function (labonn.twin.derivatives).
        loss, error, white: of labonn.twin.Method. imperfections: of labonn.twin.Imperfections, as a mapping.
        Everything else: labonn.twin.Recipe. limit: train on the first so many images only.
    """
    from labonn.reproduce.twins import trained

    run = Run.create(task.runs, "twin", {"title": task.job.title, "options": task.job.settings}, seed=task.job.seed, mode="quiet")
    result, weights = trained(task, run)
    run.save_arrays("weights", **weights)
    run.finish(result)
    return {**result, "run": run.folder.name}


def run(task: Task) -> dict[str, Any]:
    """Dry runs of procedures; the result is that of the last one, with all its run folders in `folders`."""
    import labonn

    settings, folders, result = task.job.settings, list[str](), dict[str, Any]()
    with tempfile.TemporaryDirectory(prefix="labonn-") as scratch:
        places = {DATA: task.job.places.get("data", ""), CALIBRATIONS: str(Path(scratch, "calibrations"))}
        bench = _bench(settings.get("bench"), Path(scratch))
        for number, (procedure, options) in enumerate(settings["steps"]):
            task.tell(number / len(settings["steps"]), procedure)
            given = {name: _placed(value, places) for name, value in options.items()}
            fixed = {"dry_run": True, "quiet": True, "seed": task.job.seed, "out": task.runs, "checkpoint": None, **bench}
            record = labonn.run(procedure, **{**fixed, **given})
            folders.append(record.folder.name)
            result = dict(record.result)
    return {**result, "run": folders[-1], "folders": folders}


def _bench(text: str | None, folder: Path) -> dict[str, Path]:
    """The option for a bench file of that text."""
    if text is None:
        return {}
    path = folder / "bench.toml"
    path.write_text(text, encoding="utf-8")
    return {"bench": path}


def _placed(value: Any, places: Mapping[str, str]) -> Any:
    return places.get(value, value) if isinstance(value, str) else value
