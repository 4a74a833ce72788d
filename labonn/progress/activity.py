"""A sign of life on a terminal while tables are played that nobody has counted in advance."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from labonn.progress.screen import Screen, has_dots
from labonn.progress.words import clock, flowing, thousands

if TYPE_CHECKING:
    from labonn.bench import Observer
    from labonn.shots import Readings, ShotTable

BEGIN_S, REFRESH_S = 1.0, 0.2  # what ends sooner needs no sign of life
WHEELS = ("|/-\\", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")


class Activity:
    """Counts what a bench plays; an observer in front of another. A Progress that begins takes its place on the screen.

    Args:
        title: stands before the numbers. observer: is told everything, or None. stream: a terminal; None is stderr.

    Attributes:
        observer: as given.
    """

    def __init__(self, title: str, observer: Observer | None, stream: TextIO | None = None) -> None:
        self.observer, self._title = observer, title
        stream = stream if stream is not None else sys.stderr
        self._wheel = WHEELS[has_dots(stream)]
        self._screen = Screen(self._rows, stream)
        self._tables = self._shots = self._turned = 0
        self._start_s = self._drawn_s = time.monotonic()

    def __enter__(self) -> Self:
        self._screen.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._screen.stop(keep=False)

    def played(self, table: ShotTable, readings: Readings, seconds: float) -> None:
        """One more table."""
        if self.observer is not None:
            self.observer.played(table, readings, seconds)
        self._tables, self._shots = self._tables + 1, self._shots + table.shots
        if time.monotonic() - self._drawn_s > REFRESH_S:
            self._drawn_s = time.monotonic()
            self._screen.draw()

    def made_safe(self) -> None:
        """Told on."""
        if self.observer is not None:
            self.observer.made_safe()

    def failed(self, problem: BaseException) -> None:
        """Told on."""
        if self.observer is not None:
            self.observer.failed(problem)

    def _rows(self, columns: int) -> list[str]:
        gone_s = time.monotonic() - self._start_s
        if gone_s < BEGIN_S:
            return []
        self._turned += 1
        wheel = self._wheel[self._turned % len(self._wheel)]
        counts = (f"{self._tables:,} table{'s' * (self._tables != 1)}", f"{thousands(self._shots)} shots", f"{clock(gone_s)} gone")
        return flowing((f"{self._title} {wheel} {counts[0]}", *counts[1:]), columns)
