"""Reads what will be asked for, one after the other in a thread of its own, while nobody waits for an answer."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator

from labonn.dash.curves import read_on
from labonn.dash.library import Library
from labonn.errors import LabonnError

NEWEST = 10  # runs whose curves are read as soon as the dashboard is there
QUIET_S, MOST_S = 0.3, 1.5  # without a question before a bit is read; and what it is put off by at most: a page that watches asks always
Work = Iterator[object]


class Warming:
    """Does what is given to it bit by bit, unless the same is waiting already."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._queue: queue.SimpleQueue[tuple[str, Work] | None] = queue.SimpleQueue()
        self._waiting: set[str] = set()
        self._thread = threading.Thread(target=self._work, name="warming", daemon=True)
        self._over = threading.Event()
        self._asked_s = 0.0

    def start(self) -> None:
        """Begin with the curves of the newest runs."""
        self._thread.start()

    def asked(self) -> None:
        """Somebody waits for an answer."""
        self._asked_s = time.monotonic()

    def soon(self, name: str, work: Callable[[], Work]) -> None:
        """Do it when what came before is done."""
        if name not in self._waiting:
            self._waiting.add(name)
            self._queue.put((name, work()))

    def end(self) -> None:
        """Do nothing more."""
        self._over.set()
        self._queue.put(None)
        self._thread.join(2)

    def _work(self) -> None:
        self._wait()
        with contextlib.suppress(LabonnError, OSError):
            for one in self._library.list()[:NEWEST]:
                self.soon(f"curves of {one['name']}", lambda name=one["name"]: read_on(self._library.run(name), "steps"))  # type: ignore[misc]
        while (item := self._queue.get()) is not None:
            name, work = item
            with contextlib.suppress(LabonnError, OSError):  # whoever asks for it is told
                for _ in work:
                    self._wait()
                    if self._over.is_set():
                        return
            self._waiting.discard(name)

    def _wait(self) -> None:
        end_s = time.monotonic() + MOST_S
        while (now := time.monotonic()) < min(self._asked_s + QUIET_S, end_s) and not self._over.wait(min(0.1, end_s - now)):
            pass
