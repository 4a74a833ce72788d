"""Tells pages at once when a run has gone on: one watcher a run, however many pages; server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from anyio import to_thread

from labonn.dash.library import Library
from labonn.dash.problems import NotThereError
from labonn.dash.watched import told
from labonn.errors import LabonnError

LOOK_S = 0.2  # from one look at a run to the next
LIST_S = 1.0  # and at the folder
ALIVE_S = 15.0  # from one comment to the next, so that whatever is between does not hang up
Look = Callable[[], Any]


class Watcher:
    """Looks again and again while anybody listens, and wakes listeners when what it sees has changed."""

    def __init__(self, look: Look, every_s: float) -> None:
        self._look, self._every_s = look, every_s
        self.listeners = 0
        self.seen: Any = None
        self.version = 0
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def listened(self) -> AsyncIterator[None]:
        """Somebody listens as long as this lasts."""
        self.listeners += 1
        if self._task is None:
            self._task = asyncio.create_task(self._go())
        try:
            yield
        finally:
            self.listeners -= 1
            if not self.listeners and self._task is not None:
                self._task.cancel()
                self._task = None

    async def newer(self, than: int) -> int:
        """Wait until it has seen something that is newer than that version."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.version > than)
            return self.version

    async def _go(self) -> None:
        while True:
            began = time.monotonic()
            try:
                found = await to_thread.run_sync(self._look)
            except Exception as problem:  # of whatever kind: it is looked again, and pages that listen are told
                found = {"status": "unreadable", "message": told(problem)}
            if found != self.seen or not self.version:
                async with self._changed:
                    self.seen = found
                    self.version += 1
                    self._changed.notify_all()
            took = time.monotonic() - began
            await asyncio.sleep(max(self._every_s - took, took))


class Live:
    """All watchers of a dashboard."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._watchers: dict[str, Watcher] = {}
        self.over = asyncio.Event()

    async def stream(self, name: str | None) -> AsyncIterator[bytes]:
        """Events for one page: of the list, and of a run if one is named."""
        watchers = {"runs": self._watcher("", self._library.state, LIST_S)}
        if name is not None:
            watchers["run"] = self._watcher(name, _looking_at(self._library, name), LOOK_S)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=8)
        async with contextlib.AsyncExitStack() as stack:
            for watcher in watchers.values():
                await stack.enter_async_context(watcher.listened())
            tasks = [asyncio.create_task(_forward(kind, watcher, queue)) for kind, watcher in watchers.items()]
            tasks += [asyncio.create_task(self._end(queue))]
            try:
                yield b"retry: 1000\n\n"
                while True:
                    try:
                        message = await asyncio.wait_for(queue.get(), ALIVE_S)
                    except TimeoutError:
                        message = b": alive\n\n"
                    if message is None:
                        return
                    yield message
            finally:
                for task in tasks:
                    task.cancel()
                self._watchers = {key: one for key, one in self._watchers.items() if one.listeners > (one in watchers.values())}

    def _watcher(self, key: str, look: Look, every_s: float) -> Watcher:
        if key not in self._watchers:
            self._watchers[key] = Watcher(look, every_s)
        return self._watchers[key]

    async def _end(self, queue: asyncio.Queue[bytes | None]) -> None:
        await self.over.wait()
        await queue.put(None)


async def _forward(kind: str, watcher: Watcher, queue: asyncio.Queue[bytes | None]) -> None:
    """What a watcher sees, as events; a page that is slow gets the newest only."""
    version = 0
    while True:
        version = await watcher.newer(version)
        seen = {} if kind == "runs" else watcher.seen
        await queue.put(b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps(seen)))


def _looking_at(library: Library, name: str) -> Look:
    known: tuple[Any, dict[str, Any]] = (None, {})

    def look() -> dict[str, Any]:
        nonlocal known
        try:
            run = library.run(name)
            mark = run.mark()
            if mark != known[0]:
                with run.visit() as (record, newest):
                    (events,) = record.query("SELECT ifnull(max(event), 0) FROM events")[0]
                    step = record.newest().get("step")
                    known = mark, {"name": name, "entry": newest, "step": step, "status": record.status(), "events": events}
            return known[1]
        except (LabonnError, OSError) as problem:
            gone = isinstance(problem, NotThereError)
            known = None, {"name": name, "entry": None, "step": None, "status": "gone" if gone else "unreadable", "message": told(problem)}
            return known[1]

    return look
