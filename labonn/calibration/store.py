"""The store: a folder of calibrations that are never overwritten, and the index of those that are current.

    calibrations/1f0c2a9be477.npz   content, named by its hash (labonn.calibration.content)
    calibrations/index.jsonl        one line for every time one became current; the last line of a port, kind and instrument counts
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path

from labonn.calibration.calibration import Calibration
from labonn.calibration.content import ID_DIGITS, packed, unpacked
from labonn.calibration.index import Entry, Index, Key
from labonn.errors import CalibrationError
from labonn.showing import Sheet, Shown
from labonn.showing.calibrations import store_sheet

DEFAULT = "calibrations"
SUFFIX = ".npz"
_ID = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}")


class Store(Shown):
    """A folder of calibrations; any number of processes may use it at the same time.

    Args:
        folder: made when something is saved.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._index = Index(self.folder)

    def _sheet(self) -> Sheet:
        return store_sheet(self)

    def save(self, calibration: Calibration, use: bool = True) -> str:
        """Keep it, whole or not at all; with `use` it is the current one from now on. Its id.

        Raises:
            CalibrationError: the folder cannot be written to.
        """
        path = self._path(calibration.id)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                _write(path, packed(calibration))
            self.load(calibration.id)
            if use:
                self._index.append(key_of(calibration), calibration.id, "save")
        except OSError as problem:
            raise CalibrationError(f"{self.folder}: {calibration.title} cannot be kept there: {problem.strerror or problem}") from problem
        return calibration.id

    def load(self, text: str) -> Calibration:
        """The calibration whose id begins with `text`.

        Raises:
            CalibrationError: there is none, or more than one, or its file is corrupt.
        """
        found = self._named(text)
        path = self._path(found)
        try:
            return unpacked(path.read_bytes(), found, str(path))
        except OSError as problem:
            raise CalibrationError(f"{path}: cannot be read: {problem.strerror or problem}") from problem

    def ids(self) -> list[str]:
        """Of all that are kept."""
        return sorted(path.stem for path in self.folder.glob(f"*{SUFFIX}") if _ID.fullmatch(path.stem))

    def history(self) -> list[Entry]:
        """What became current when."""
        return self._index.entries()

    def current(self) -> dict[Key, str]:
        """(port, kind, instrument, world) -> id of what is current now."""
        return {entry.key: entry.id for entry in self.history()}

    def use(self, text: str) -> Calibration:
        """Make an older one current again."""
        calibration = self.load(text)
        self._index.append(key_of(calibration), calibration.id, "use")
        return calibration

    def rollback(self, port: str, kind: str) -> tuple[Calibration, Calibration]:
        """Make the one current that was so before the current one; (that one, the one it replaces).

        Raises:
            CalibrationError: nothing was current before, or several instruments have calibrations of this port and kind.
        """
        if not self.folder.is_dir():
            raise CalibrationError(f"{self.folder}: there are no calibrations")
        with self._index.locked():
            entries = [entry for entry in self.history() if (entry.port, entry.kind) == (port, kind)]
            if not entries:
                raise CalibrationError(f"{self.folder}: there is no {kind} calibration of {port}")
            key = entries[-1].key
            before = _before([entry for entry in entries if entry.key == key])
            if before is None:
                told = f"{entries[-1].id} is the only {kind} calibration that {port} ever had on this instrument"
                raise CalibrationError(f"{self.folder}: {told}")
            calibration = self.load(before)
            self._index.append_locked(key, before, "rollback")
        return calibration, self.load(entries[-1].id)

    def _named(self, text: str) -> str:
        found = [one for one in self.ids() if one.startswith(text)] if text else []
        if len(found) != 1:
            told = f"{len(found)} of them begin so: {', '.join(found[:5])}" if found else "see `labonn calibrations list`"
            raise CalibrationError(f"{self.folder}: {'which' if found else 'no'} calibration is {text!r}? {told}")
        return found[0]

    def _path(self, id: str) -> Path:
        return self.folder / f"{id}{SUFFIX}"


def key_of(calibration: Calibration) -> Key:
    """What it can be current for."""
    return calibration.port, calibration.kind, calibration.instruments[calibration.port], calibration.world


def _before(entries: list[Entry]) -> str | None:
    """What was current before the last one, as a chain of undos has it: each rollback goes one further back."""
    stack: list[str] = []
    for entry in entries:
        if entry.action == "rollback" and len(stack) > 1:
            stack.pop()
        elif not stack or stack[-1] != entry.id:
            stack.append(entry.id)
    return stack[-2] if len(stack) > 1 else None


def _write(path: Path, data: bytes) -> None:
    """The whole file at once, on the disk; if another process was faster, its file is the same."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(part).chmod(0o644)
        Path(part).replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(part).unlink()
