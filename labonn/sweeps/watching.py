"""A sweep's progress: a live display on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self, TextIO

from labonn.progress import Mode, can_draw
from labonn.progress.screen import Screen, has_dots
from labonn.progress.words import clock
from labonn.sweeps.job import Job
from labonn.sweeps.pace import Pace
from labonn.sweeps.sweep import Told

REFRESH_S = 0.2
WITHIN_S = 60.0  # after which plain lines tell what goes on, if no job ends meanwhile
WIDEST, NAME = 120, 24  # columns of all, and of a job's name at least


class Watching:
    """A Watcher that tells people. Shares of jobs count by their cost.

    Args:
        title: stands before the lines. mode: "auto" draws on a terminal, and prints lines elsewhere. stream: None is stderr.

    Attributes:
        total, finished: jobs. failed: at every try.
    """

    def __init__(self, title: str, mode: Mode = "auto", stream: TextIO | None = None) -> None:
        self._stream, self._title = stream if stream is not None else sys.stderr, title
        self._mode: Mode = ("live" if can_draw(self._stream) else "plain") if mode == "auto" else mode
        self.total = self.finished = self.failed = 0
        self._cost = self._done = 0.0
        self._running: dict[Job, Told] = {}
        self._pace, self._lock = Pace(), threading.RLock()
        self._begun_s = self._drawn_s = self._printed_s = time.monotonic()
        self._screen: Screen | None = None
        self._over_s: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._over_s = self._over_s or time.monotonic()
        if self._screen is not None:
            self._screen.stop(keep=True)
            self._screen = None

    def begun(self, waiting: Iterable[Job], finished: int) -> None:
        """These are to be done."""
        jobs = list(waiting)
        self.total, self.finished, self._cost = len(jobs) + finished, finished, sum(job.cost for job in jobs)
        self._begun_s = self._printed_s = time.monotonic()
        if not jobs:
            return
        before = f", {finished} of them finished before" if finished else ""
        self._say(f"{self.total} job{'s' * (self.total != 1)}{before}")
        if self._mode == "live":
            self._screen = Screen(self.rows, self._stream)
            self._screen.start()

    def started(self, job: Job) -> None:
        """It is under way."""
        with self._lock:
            self._running[job] = Told(job)
        self._look()

    def told(self, news: Told) -> None:
        """News of it."""
        with self._lock:
            self._running[news.job] = news
            if news.done is not None or news.failure is not None:
                del self._running[news.job]
                self._ended(news)
            self._see_end()
        if news.done is not None:
            left = self._left(", ") if self._mode == "plain" else ""
            self._say(f"{self._place()} {named(news.job)}: {clock(news.done.seconds)}{_accuracy(news.done.result)}{left}")
        elif news.failure is not None:
            given_up = f"given up; see {news.failure.log}" if news.failure.log else "given up"
            then = "it is tried again" if news.again else given_up
            self._say(f"{self._place()} {named(news.job)}: failed: {news.failure.told}; {then}")
        self._look()

    def elsewhere(self, job: Job) -> None:
        """Another sweep has finished it."""
        with self._lock:
            self.finished, self._cost = self.finished + 1, self._cost - job.cost
            self._see_end()
        self._say(f"{self._place()} {named(job)}: done by another sweep")

    def _ended(self, news: Told) -> None:
        if news.done is not None:
            self.finished, self._done = self.finished + 1, self._done + news.job.cost
            self._pace.ended(news.job.cost, news.done.seconds)
        elif not news.again:
            self.failed, self._cost = self.failed + 1, self._cost - news.job.cost

    def _see_end(self) -> None:
        """What comes after the last job is not the sweep's time."""
        if self.finished + self.failed == self.total:
            self._over_s = time.monotonic()

    def _work(self) -> float:
        return self._done + sum(min(told.share, 1.0) * job.cost for job, told in self._running.items())

    def _look(self) -> None:
        now_s = time.monotonic()
        if self._screen is not None and now_s - self._drawn_s > REFRESH_S:
            self._drawn_s = now_s
            self._screen.draw()
        elif self._mode == "plain" and now_s - self._printed_s > WITHIN_S:
            self._say(f"{self._place()} under way: {'; '.join(map(_going, self._running.values()))}{self._left(', ')}")

    def _say(self, text: str) -> None:
        if self._mode != "quiet":
            self._printed_s = time.monotonic()
            print(f"{self._title}: {text}", file=sys.stderr if self._screen is not None else self._stream, flush=True)

    def _place(self) -> str:
        return f"{self.finished + self.failed}/{self.total}"

    def _left(self, before: str = "") -> str:
        work = self._work()
        span = self._pace.left(work, self._cost - work, time.monotonic() - self._begun_s)
        return "" if span is None or self._over_s is not None else f"{before}{span}"

    def rows(self, columns: int) -> list[str]:
        """The frame: a bar, counts and times, what goes on."""
        width = min(columns, WIDEST)
        with self._lock:
            gone_s = (self._over_s or time.monotonic()) - self._begun_s
            counts = f"{self._place()} jobs"
            counts += f", {self.failed} failed" if self.failed else ""
            counts += f", took {clock(gone_s)}" if self._over_s is not None else f", {clock(gone_s)} gone{self._left(', ')}"
            going = [] if self._over_s is not None else [f"  {_going(told, width - 2)}" for told in self._running.values()]
            share = min(self._work() / self._cost, 1.0) if self._cost else 1.0
        full, empty = "━─" if has_dots(self._stream) else "#-"
        length = max(width - len(self._title) - 7, 4)
        bar = f"{self._title} {full * round(share * length)}{empty * (length - round(share * length))} {int(100 * share):>3} %"
        return [bar, counts, *going]


def named(job: Job) -> str:
    """For people."""
    return f"{job.title or job.work}, seed {job.seed}"


def _going(told: Told, width: int = 1000) -> str:
    """Share, words and job in one line, the name cut rather than the words."""
    share, words = f"{int(100 * told.share):>3} % ", f": {told.words}" if told.words else ""
    return _cut(share + _cut(named(told.job), max(width - len(share) - len(words), NAME)) + words, width)


def _accuracy(result: dict[str, object]) -> str:
    found = result.get("test_accuracy")
    return f", test accuracy {100 * found:.1f} %" if isinstance(found, float) else ""


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."
