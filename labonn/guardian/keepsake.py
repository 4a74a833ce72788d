"""A simulated bench at a guardian, in a client's checkpoints: saved and brought back on request."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from labonn.checkpoints import CheckpointError, read
from labonn.errors import TableError
from labonn.snapshots import SnapshotError, restore, snapshot


def saved_bench(roots: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """A packed snapshot.

    Args:
        roots: "bench", and what goes with it.

    Raises:
        TableError: of instruments none can be taken. SnapshotError: something in it cannot be saved.
    """
    if not roots["bench"].world:
        raise TableError(f"{roots['bench'].file.name}: of instruments no snapshot can be taken")
    return snapshot(roots).packed()


def restore_bench(checkpoint: Path, roots: Mapping[str, Any]) -> None:
    """Make a freshly opened bench, and what goes with it, as it was at a checkpoint, which is no client's to choose.

    Raises:
        CheckpointError: there is no bench in it, or another one.
    """
    bench = read(checkpoint).bench
    if bench is None:
        raise CheckpointError(f"{checkpoint}: has no bench that was at a guardian")
    try:
        restore(bench, roots)
    except SnapshotError as problem:
        raise CheckpointError(f"{checkpoint}: is not of this bench: {problem}") from problem
