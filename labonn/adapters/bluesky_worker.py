"""One thread that plays for Bluesky devices, so that the run engine's event loop never waits for an instrument."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from labonn.errors import LabonnError, LimitError, TableError
from labonn.setpoints import Setpoints


class PlayStatus:
    """A Bluesky status: of one thing that a bench was told to do.

    Args:
        what: it is, for messages. future: of its end.
    """

    def __init__(self, what: str, future: Future[Any]) -> None:
        self._what, self.future, self._silent = what, future, False

    def add_callback(self, callback: Callable[[PlayStatus], None]) -> None:
        """Call it when this is over; at once, if it is."""
        self.future.add_done_callback(lambda _: None if self._silent else callback(self))

    def silence(self) -> None:
        """Call nobody: the plan is at its end anyway, and what it broke off is not why."""
        self._silent = True

    def exception(self, timeout: float | None = 0.0) -> BaseException | None:
        """What went wrong, if it did; waits `timeout` seconds (None: as long as it takes) for the end.

        Raises:
            TimeoutError: it is not over.
        """
        return self.future.exception(timeout)

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end, and raise what went wrong."""
        self.future.result(timeout)

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self.future.done()

    @property
    def success(self) -> bool:
        """Whether it is over, and went well."""
        return self.future.done() and self.future.exception() is None

    def __repr__(self) -> str:
        if not self.done:
            return f"{self._what}: under way"
        problem = self.future.exception()
        return f"{self._what}: {'done' if problem is None else problem}"


class Worker:
    """Does one thing after another to a bench.

    Attributes:
        points: what its actuators are set to. times: port -> when that was done, seconds since 1970.
        refusing: why nothing may be set or played before the next plan; "": it may.
        watched: whether the run engine's plans are watched, and `refusing` taken back (BenchDevices.attach).
    """

    def __init__(self, points: Setpoints) -> None:
        self.points = points
        self.times = dict.fromkeys(points.actuators, time.time())
        self.refusing, self.watched = "", False
        self._under_way: set[PlayStatus] = set()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bench")

    def start(self, what: str, job: Callable[[], Any]) -> PlayStatus:
        """Have it done after all that was started before."""
        status = PlayStatus(what, self._thread.submit(self._do, job))
        self._under_way.add(status)
        status.future.add_done_callback(lambda _: self._under_way.discard(status))
        return status

    def check_allowed(self) -> None:
        """Raise LabonnError while nothing may be set or played: what a plan does after a failure, to be back where it was, is not done."""
        if self.refusing:
            raise LabonnError(f"{self.points.bench.file.name}: is safe, and nothing is set any more in this plan, because: {self.refusing}")

    def refuse(self, reason: str) -> None:
        """Set and play nothing before the next plan, if plans are watched."""
        if self.watched and not self.refusing:
            self.refusing = reason

    def _do(self, job: Callable[[], Any]) -> Any:
        try:
            return job()
        except (LimitError, TableError):
            raise
        except Exception as problem:
            self.refuse(str(problem))
            raise

    def set(self, what: str, values: dict[str, Any]) -> PlayStatus:
        """Start a `Setpoints.set`; what can be refused before is refused here."""
        self.check_allowed()
        self.points.check(values)
        return self.start(what, lambda: self._set(values))

    def _set(self, values: dict[str, Any]) -> None:
        self.points.set(values)
        self.times.update(dict.fromkeys(values, time.time()))

    def make_safe(self, reason: str, ending: bool = False) -> PlayStatus:
        """Break off what is being played, and all that waits; then everything safe.

        Args:
            ending: because the plan is at its end, which is then not told of what was broken off.
        """
        for status in list(self._under_way) if ending else ():
            status.silence()
        self.points.break_off(reason)
        return self.start("make the bench safe", self._safe)

    def _safe(self) -> None:
        self.points.safe()
        self.times.update(dict.fromkeys(self.times, time.time()))

    def close(self) -> None:
        """Wait for what is left, and end the thread."""
        self._thread.shutdown()


def done(what: str) -> PlayStatus:
    """The status of what needed no doing."""
    future: Future[Any] = Future()
    future.set_result(None)
    return PlayStatus(what, future)
