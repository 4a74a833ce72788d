"""Checkpoints of a run: files that are whole or not there, the newest two; a torn one is told and the one before it taken."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labonn.errors import LabonnError
from labonn.showing import Sheet, Shown
from labonn.showing.others import checkpoint_sheet
from labonn.snapshots import Snapshot

FOLDER = "checkpoints"
VERSION = 1
BENCH = "bench_"  # what names of arrays of a bench in another process begin with
KEPT = 2  # the last one and, should that be torn, the one before


class CheckpointError(LabonnError):
    """A checkpoint cannot be read, or does not belong to what is to go on."""


@dataclass(frozen=True, repr=False)
class Checkpoint(Shown):
    """One checkpoint as read.

    Attributes:
        path: its file. about: what is known of it without its objects: "step", "ports", ... saved: the objects.
        bench: those of a simulated bench at a guardian.
    """

    path: Path
    about: dict[str, Any]
    saved: Snapshot
    bench: Snapshot | None = None

    def _sheet(self) -> Sheet:
        return checkpoint_sheet(self)

    @property
    def step(self) -> int:
        """Steps that were done."""
        return int(self.about["step"])


@dataclass
class Orders:
    """What a run's user wants of checkpoints.

    Attributes:
        every: steps from one to the next; 0 for none but where it ends, None for what the procedure likes, in at most 1 % of the time.
        whole: whether the bench is simulated and saved too, so that what goes on is the same to the last bit.
        checkpoint: to go on from. faults: that simulated instruments have from then on. force: go on whatever was found.
        stopping: (labonn.cli.stopping) knows whether the run is to end after the step that is under way.
    """

    every: int | None = None
    whole: bool = False
    checkpoint: Checkpoint | None = None
    faults: Sequence[str] = ()
    force: bool = False
    stopping: Any = None


def write(run: Path, about: Mapping[str, Any], saved: Snapshot, bench: Mapping[str, Any] | None = None) -> Path:
    """A new checkpoint in the run's folder; older ones go only when it is whole and on the disk.

    Args:
        bench: a packed snapshot of a simulated bench that is in another process.
    """
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{about['step']:09d}.npz"
    part = folder / f".part-{path.name}"
    parts = saved.packed() | {f"{BENCH}{name}": array for name, array in (bench or {}).items()}
    try:
        with part.open("wb") as file:
            np.savez(file, about=_text({"version": VERSION, **about}), **parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    _sync(folder)
    for old in listed(run)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def listed(run: Path) -> list[Path]:
    """Checkpoint files of a run's folder, the newest last."""
    return sorted((run / FOLDER).glob("[0-9]*.npz"))


def read(path: Path) -> Checkpoint:
    """One checkpoint.

    Raises:
        CheckpointError: it is torn, or of another version.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            about = json.loads(file["about"].tobytes())
            if about["version"] != VERSION:
                raise CheckpointError(f"{path}: is of version {about['version']}; this labonn reads version {VERSION}")
            arrays = {name: file[name] for name in file.files if name != "about"}
        bench = {name.removeprefix(BENCH): array for name, array in arrays.items() if name.startswith(BENCH)}
        return Checkpoint(path, about, Snapshot.unpacked(arrays), Snapshot.unpacked(bench) if bench else None)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as problem:
        what = f"it has no {problem}" if isinstance(problem, KeyError) else str(problem) or type(problem).__name__
        raise CheckpointError(f"{path}: is torn, or no checkpoint: {what}") from problem


def newest(run: Path, told: Callable[[str], None]) -> Checkpoint:
    """The newest checkpoint of the run's folder that is whole; `told` is told about every one that is not.

    Raises:
        CheckpointError: there is none.
    """
    paths, torn = listed(run), []
    for path in reversed(paths):
        try:
            checkpoint = read(path)
        except CheckpointError as problem:
            torn.append(str(problem))
            continue
        for text in torn:
            told(f"{text}; the one before it is taken")
        return checkpoint
    if torn:
        raise CheckpointError("\n".join(torn))
    raise CheckpointError(f"{run}: has no checkpoint to go on from")


def _text(value: Any) -> Any:
    return np.frombuffer(json.dumps(value, separators=(",", ":")).encode(), np.uint8)


def _sync(folder: Path) -> None:
    """The name of a new file is on the disk only after this; where folders cannot be opened, it is there by itself."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
