"""Watches a RunEngine's plans: whichever staged actuators, fails, is aborted or halted leaves the bench safe."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

from labonn.adapters.bluesky_staging import Staging
from labonn.adapters.bluesky_worker import PlayStatus, Worker


class Watch:
    """Of one bench.

    A plan's own way of ending comes first (unstaging, bringing motors back), but sets nothing any more once something has failed.
    """

    def __init__(self, worker: Worker, staging: Staging) -> None:
        self._worker, self._staging = worker, staging
        worker.watched = True

    def attach(self, engine: Any) -> None:
        """Have every plan of a RunEngine watched."""
        engine.preprocessors.append(self.watched)
        engine.subscribe(self.ended, "stop")

    def watched(self, plan: Any) -> Generator[Any, Any, Any]:
        """The plan, and what has to follow when it fails."""
        from bluesky import preprocessors

        bpp: Any = preprocessors
        self._worker.refusing, self._staging.due = "", False
        result = yield from bpp.contingency_wrapper(plan, except_plan=self._after)
        if self._staging.due:
            yield from waited(self._staging.end())
        return result

    def _after(self, problem: BaseException) -> Generator[Any, Any, None]:
        yield from waited(self._worker.make_safe(f"the plan failed: {problem!r}", ending=True))

    def ended(self, name: str, document: dict[str, Any]) -> None:
        """A run has ended; called by the RunEngine, a plan that is halted included."""
        if document["exit_status"] != "success":
            reason = document.get("reason") or f"the run ended by {document['exit_status']}"
            self._worker.refuse(reason)
            self._worker.make_safe(reason, ending=True).wait()


def waited(status: PlayStatus) -> Generator[Any, Any, None]:
    """A stub of a plan: wait for a status that no device has given."""
    from bluesky import plan_stubs as bps

    future = status.future
    yield from bps.wait_for([lambda: asyncio.wait([asyncio.wrap_future(future)])])
    status.wait()
