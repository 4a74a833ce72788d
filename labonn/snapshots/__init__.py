"""Snapshots of plain Python objects: everything that decides how a run goes on, as JSON and arrays, and back into freshly built twins."""

from labonn.snapshots.arrays import Digests
from labonn.snapshots.names import Names, SnapshotError
from labonn.snapshots.restoring import restore
from labonn.snapshots.saving import Snapshot, snapshot

__all__ = ["Digests", "Names", "Snapshot", "SnapshotError", "restore", "snapshot"]
