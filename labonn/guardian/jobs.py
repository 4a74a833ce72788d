"""What a guardian has to do with its bench, one thing after another."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Job:
    """Something to do, and what came of it.

    Attributes:
        what: in a word. session, seq: of a client's request. done: called with the finished job when it is the guardian's turn again.
        result: or problem: what it raised. began_s: when.
    """

    what: str
    action: Callable[[], Any]
    done: Callable[[Job], None]
    session: str = ""
    seq: int = 0
    result: Any = None
    problem: BaseException | None = None
    began_s: float = 0.0

    def run(self) -> None:
        """Do it."""
        self.began_s = time.monotonic()
        try:
            self.result = self.action()
        except Exception as problem:  # told to whoever asked
            self.problem = problem


class Jobs(deque[Job]):
    """Those that are not finished; the first may be under way."""

    def busy_s(self, now_s: float) -> float:
        """Seconds that the present one lasts already; 0 if none is under way."""
        try:
            began_s = self[0].began_s
        except IndexError:  # finished this moment, by the other thread
            return 0.0
        return now_s - began_s if began_s else 0.0
