"""A job of a sweep: what is to be computed, as data that says nothing of where."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from labonn.errors import SweepError


@dataclass(frozen=True, eq=False)
class Job:
    """One run. Jobs of the same work, settings and seed are the same job, whatever they are called.

    Attributes:
        work: "module:function", called with a Task; it returns plain values (numbers, texts, lists, mappings of these).
        settings: plain values that the result depends on. seed: of all its random numbers.
        places: what a worker needs and the result does not depend on, such as folders of data.
        title: for people. cost: expected processor time, in seconds or any other unit: long ones are begun first.
    """

    work: str
    settings: Mapping[str, Any]
    seed: int = 0
    places: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    cost: float = 1.0

    @cached_property
    def key(self) -> str:
        """20 hexadecimal digits of SHA-256 over work, settings and seed."""
        try:
            text = json.dumps([self.work, self.settings, self.seed], sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as problem:
            raise SweepError(f"job {self.title or self.work}: settings are plain values: {problem}") from problem
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True)
class Task:
    """A job at a worker.

    Attributes:
        job: which. runs: folder for the run folders that it makes. tell: (share done from 0 to 1, a few words), now and then.
    """

    job: Job
    runs: Path
    tell: Callable[[float, str], None]


def function(work: str) -> Callable[[Task], Mapping[str, Any]]:
    """The function of "module:function".

    Raises:
        SweepError: there is none.
    """
    module, _, name = work.partition(":")
    try:
        found: Callable[[Task], Mapping[str, Any]] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as problem:
        raise SweepError(f"the work {work!r} cannot be found: {problem}") from problem
    return found
