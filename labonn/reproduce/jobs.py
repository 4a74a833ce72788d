"""Jobs of experiments: a training of the twin, or runs of procedures one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labonn.reproduce.choices import Images
from labonn.sweeps import Job

TWIN, RUN = "labonn.reproduce.work:twin", "labonn.reproduce.work:run"
DATA, CALIBRATIONS = "{data}", "{calibrations}"  # in options of a run: the data set's folder, and a folder for the job's calibrations
WEIGHTS = "{weights}"  # the weights.npz of the step before


def twin_job(title: str, images: Images, seed: int, *, cost: float = 1.0, **settings: Any) -> Job:
    """A training of the twin.

    Args:
        settings: labonn.reproduce.work.twin.
    """
    return own_job(TWIN, title, seed, images=images, cost=cost, **settings)


def run_job(
    title: str, seed: int, *steps: tuple[str, Mapping[str, Any]], images: Images | None = None, cost: float = 1.0, **more: Any
) -> Job:
    """`labonn run`, dry, once or several times; the last run's result counts.

    Args:
        steps: (procedure, options as labonn.run takes them). DATA, CALIBRATIONS and WEIGHTS in them are replaced by paths; dry_run and
            the seed are given to all. images: that DATA stands for. more: `bench`: text of a bench file, for all steps.
    """
    return own_job(RUN, title, seed, images=images, cost=cost, steps=[[name, dict(options)] for name, options in steps], **more)


def own_job(work: str, title: str, seed: int, *, images: Images | None = None, cost: float = 1.0, **settings: Any) -> Job:
    """Work of an experiment's own: "module:function", called with a Task; the data's folder is at places["data"] of its job."""
    if images is None:
        return Job(work, settings, seed, {}, title, cost)
    named = {"name": images.name, "sha256": images.sha256}
    return Job(work, {"data": named, **settings}, seed, {"data": images.folder}, title, cost)
