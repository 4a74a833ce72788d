"""Keeps a bench safe: ends leases, interrupts what runs, makes safe, opens anew for the next client, and gives up in favour of its twin."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from labonn.errors import LeaseError
from labonn.guardian.doing import Doing
from labonn.guardian.failures import told
from labonn.guardian.jobs import Job, Jobs
from labonn.guardian.lease import Holder, Lease
from labonn.patience import GuardianSettings

AGAIN_S = 5.0  # until a bench that could not be opened is tried again
LONGEST_SAFE = 6  # grace times, beside ramps
CHANGING_HANDS = ("safe", "open", "release")


@dataclass
class Around:
    """What a guardian needs of the process it is in.

    Attributes:
        log: one line. stopped: whether the process is to end. tick: called now and then. gone: ends the process at once, without a word
        to the twin, which then makes the bench safe by connections of its own; None: there is no twin.
        about: what a status begins with.
    """

    log: Callable[[str], None]
    stopped: Callable[[], bool]
    tick: Callable[[], None]
    gone: Callable[[], None] | None
    about: dict[str, Any]


class Keeper:
    """Decides what happens to the bench when nobody has the lease any more.

    Args:
        once: end when the first client has gone.

    Attributes:
        jobs: what is to be done. lease: who has the bench. last_error: of whatever was done.
        farewell: tells a client that its lease has ended, why, and what is not safe.
        unsafe: why the bench is not known to be safe; "" if it is. ending: nothing new is begun.
    """

    def __init__(self, doing: Doing, settings: GuardianSettings, around: Around, once: bool) -> None:
        self.doing, self.settings, self.around, self.once = doing, settings, around, once
        self.jobs = Jobs()
        self.lease = Lease(settings.lease_s)
        self.last_error: dict[str, Any] | None = None
        self.unsafe, self.ending = "", False
        self.farewell: Callable[[Holder, str, str], None] = lambda holder, reason, unsafe: None
        self._until_s: float | None = None  # what is to end must have ended by then
        self._idle_since_s, self._again_s = time.monotonic(), 0.0

    def finished(self) -> None:
        """The first job is done; if it was to end, it has."""
        self._until_s = None
        job = self.jobs.popleft()
        job.done(job)

    def over(self) -> bool:
        """Whether all is done."""
        return self.ending and not self.jobs

    def changing_hands(self) -> bool:
        """Whether the bench is between two clients."""
        return self.ending or any(job.what in CHANGING_HANDS for job in self.jobs)

    def watch(self, now_s: float) -> None:
        """What time alone brings about; called when all messages that had come are read."""
        holder = self.lease.holder
        if holder is not None and now_s - holder.heard_s >= self.lease.lease_s:
            silent = f"nothing was heard of {holder.who} for {now_s - holder.heard_s:.1f} s"
            self.end_lease(f"{silent}; the lease has ended, everything is made safe")
        if self.around.stopped() and not self.ending:
            self.end("the guardian was stopped")
        if self._until_s is not None and now_s > self._until_s:
            self._give_up(now_s)
        if self.lease.holder is None and not self.jobs and not self.ending:
            if self.once and now_s - self._idle_since_s > self.settings.idle_s:
                self.end("no client came")
            elif self.unsafe and now_s >= self._again_s:
                self._open_again()

    def interrupt(self, reason: str) -> None:
        """What is being done is to end soon."""
        self.doing.bench.stop.ask(reason)
        if self._until_s is None and self.jobs:
            patience = LONGEST_SAFE if self.jobs[0].what in CHANGING_HANDS else 1
            self._until_s = time.monotonic() + patience * self.settings.grace_s

    def end_lease(self, reason: str, done: Callable[[Job], None] | None = None) -> None:
        """Nobody has the lease any more: end what is being done, make all safe, and begin anew.

        Args:
            done: called when all is safe, or not.
        """
        holder = self.lease.end(reason)
        self.around.log(reason)
        self.interrupt(reason)

        def closed(job: Job) -> None:
            if done is not None:
                done(job)
            if holder is not None:
                self.farewell(holder, reason, "" if job.problem is None else str(job.problem))
            self.closed(job.problem)

        self.jobs.append(Job("safe", self.doing.close, closed))

    def end(self, reason: str) -> None:
        """Make all safe, and end."""
        self.ending = True
        self.end_lease(reason)

    def closed(self, problem: BaseException | None) -> None:
        """The bench is closed; `problem`: why not everything is safe."""
        self._idle_since_s = time.monotonic()
        if problem is not None:
            self.note("safe", problem)
            self.unsafe = str(problem)
        elif not self.unsafe:
            self.around.log("everything is safe")
        if self.once:
            self.ending = True
        if not self.ending:
            self._open_again()

    def make_safe(self, done: Callable[[Job], None]) -> None:
        """All outputs, of a bench that nobody uses."""

        def finished(job: Job) -> None:
            done(job)
            if job.problem is not None:
                self.note("safe", job.problem)
                self.unsafe, self._again_s = str(job.problem), time.monotonic() + AGAIN_S

        self.jobs.append(Job("safe", self.doing.reopen if self.unsafe else self.doing.make_safe, finished))

    def note(self, what: str, problem: BaseException) -> None:
        """Remember an error, and log it."""
        about = told(problem)
        self.last_error = {"what": what, "when": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", **about}
        if not isinstance(problem, LeaseError):
            self.around.log(f"{what}: {about['type']}: {'; '.join([about['text'], *about['notes']])}")

    def _open_again(self) -> None:
        def opened(job: Job) -> None:
            self.unsafe = "" if job.problem is None else str(job.problem)
            self._again_s = time.monotonic() + AGAIN_S
            if job.problem is not None:
                self.note("open", job.problem)

        self.jobs.append(Job("open", self.doing.reopen, opened))

    def _give_up(self, now_s: float) -> None:
        what = self.jobs[0].what if self.jobs else "nothing"
        busy = f"{what!r} still runs after {self.jobs.busy_s(now_s):.1f} s and cannot be ended"
        self._until_s = None
        if self.around.gone is None:
            self.around.log(f"{busy}; there is nobody to make this bench safe in its place")
        else:
            self.around.log(f"{busy}: the guardian gives up, its twin makes everything safe")
            self.around.gone()
