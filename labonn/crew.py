"""Threads for the ports of a bench: one action on many ports at once, where that is worth it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from labonn.clock import Clock

WORTH_A_THREAD_S = 1e-3
SLOWER = 1.1


class Crew:
    """Does things to ports, by name, and remembers how long each took.

    Args:
        clock: of the bench; one that is not `concurrent` has everything done in turn. ports: how many there are.

    Attributes:
        failed: port -> what went wrong with it; whoever looks at it clears it.
    """

    def __init__(self, clock: Clock, ports: int) -> None:
        self._clock, self._ports = clock, ports
        self._pool = self._threads()
        self._cost_s: dict[tuple[str, str], float] = {}
        self.failed: dict[str, Exception] = {}

    def each(self, what: str, names: Iterable[str], action: Callable[[str], Any]) -> dict[str, Any]:
        """`action` on every port, in threads where their measured durations make that worth while.

        Args:
            what: is done; durations are kept by it.
        """
        names = list(names)
        costs = [self._cost_s.get((what, name), 0.0) for name in names]
        if self._clock.concurrent and len(names) > 1 and sum(costs) - max(costs) > WORTH_A_THREAD_S:
            try:
                tasks = [self._pool.submit(self.one, what, name, action) for name in names]
                wait(tasks)  # after a failure too: nobody may use a link that a thread still holds
            except BaseException:  # nor after Ctrl-C
                self._pool.shutdown()
                self._pool = self._threads()
                raise
            results = [task.result() for task in tasks]
        else:
            results = [self.one(what, name, action) for name in names]
        return dict(zip(names, results, strict=True))

    def one(self, what: str, name: str, action: Callable[[str], Any]) -> Any:
        """`action` on one port, in this thread."""
        start = time.perf_counter()
        try:
            result = action(name)
        except Exception as problem:
            self.failed[name] = problem
            raise
        took = time.perf_counter() - start
        self._cost_s[what, name] = min(took, SLOWER * self._cost_s.get((what, name), took))  # one slow reply is no reason for threads
        return result

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown()

    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=max(2, self._ports), thread_name_prefix="port")


def at_once(names: Collection[str], action: Callable[[str], None]) -> dict[str, BaseException]:
    """Do `action` for every name at once; what failed, by name. Nothing one instrument does may spare or delay the next its turn."""
    tasks: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(max_workers=max(1, len(names)), thread_name_prefix="safe") as pool:
        for name in names:
            try:
                tasks[name] = pool.submit(action, name)
            except RuntimeError:  # at the end of the interpreter, which starts no threads any more
                tasks[name] = _done_here(action, name)
    failed = {name: task.exception() for name, task in tasks.items()}
    return {name: problem for name, problem in failed.items() if problem is not None}


def _done_here(action: Callable[[str], None], name: str) -> Future[None]:
    """`action` for one name, in this thread."""
    task: Future[None] = Future()
    try:
        action(name)
        task.set_result(None)
    except BaseException as problem:
        task.set_exception(problem)
    return task
