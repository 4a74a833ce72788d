"""Taking turns at a socket, on a computer that is too busy to let the main thread have its turn at once."""

from __future__ import annotations

import threading
import time

import pytest
import zmq

from labonn.guardian.relief import Relief


class Lock:
    """One for which the main thread queues late: in the meantime the other may have had it again."""

    def __init__(self, late_s: float) -> None:
        self._lock, self._late_s = threading.Lock(), late_s

    def acquire(self, blocking: bool = True) -> bool:
        if blocking:
            threading.Event().wait(self._late_s)
            return self._lock.acquire(timeout=5)
        return self._lock.acquire(blocking=False)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *problem: object) -> None:
        self._lock.release()


@pytest.mark.parametrize("late_s", [0.0, 0.2])
def test_the_main_thread_gets_its_turn_however_late_it_queues_for_it(late_s: float) -> None:
    with zmq.Context() as context:
        served = threading.Event()

        def serve(wanted: zmq.Socket[bytes]) -> None:
            served.set()
            wanted.poll(20)

        relief = Relief(context, lambda: 1.0, serve)
        lock = Lock(late_s)
        relief.turn = lock  # type: ignore[assignment]
        for _ in range(3):
            served.clear()
            assert served.wait(5)
            start_s = time.monotonic()
            relief.take()
            assert time.monotonic() - start_s < late_s + 1, "it waited for a turn that it was not given"
            lock.release()
        relief.close()
