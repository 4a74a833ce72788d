"""An observer of a bench that takes down what is played."""

from __future__ import annotations

from typing import Any

from labonn.shots import ShotTable


class Watcher:
    """The tables, in their order."""

    def __init__(self) -> None:
        self.tables: list[ShotTable] = []

    def played(self, table: ShotTable, readings: Any, seconds: float) -> None:
        self.tables.append(table)

    def made_safe(self) -> None: ...
    def failed(self, problem: BaseException) -> None: ...
