"""Checkpoints, snapshots and data sets to look at, in a line or two."""

from __future__ import annotations

from typing import Any

from labonn.showing.sheets import Sheet
from labonn.showing.words import counted, size


def snapshot_sheet(saved: Any) -> Sheet:
    """Of a saved object graph."""
    total = sum(array.nbytes for array in saved.arrays)
    return Sheet(
        f"Snapshot: {', '.join(saved.roots)}; {counted(len(saved.table), 'object')}, {counted(len(saved.arrays), 'array')}, {size(total)}"
    )


def checkpoint_sheet(checkpoint: Any) -> Sheet:
    """Of a checkpoint as read."""
    about = checkpoint.about
    bench = "with the simulated bench" if about.get("whole") else "on instruments"
    calibrations = ", ".join(f"{what} {id}" for what, id in about.get("calibrations", {}).items())
    facts = [f"{bench}; {', '.join(checkpoint.saved.roots)}", *([f"believes {calibrations}"] if calibrations else [])]
    return Sheet(f"Checkpoint after step {checkpoint.step:,}, taken {about.get('at')}", [*facts, f"file: {checkpoint.path}"])


def data_sheet(data: Any) -> Sheet:
    """Of a data set."""
    images = f"{len(data.train_labels):,} training and {len(data.test_labels):,} test images"
    title = f"DataSet {data.name}: {images} of {data.rows} x {data.cols}, {data.classes} classes"
    return Sheet(title, [data.note] if data.note else [])
