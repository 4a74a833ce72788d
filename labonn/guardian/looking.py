"""Looking for a message for a moment before falling asleep: to be woken up costs more than many a play takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import zmq

GIVE_WAY: Callable[[], None] = getattr(os, "sched_yield", lambda: None)


def comes_soon(socket: zmq.Socket[Any], until_s: float) -> bool:
    """Whether a message has come before `until_s` (time.perf_counter); other threads and processes may go on meanwhile."""
    while not int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
        if time.perf_counter() > until_s:
            return False
        GIVE_WAY()
    return True
