"""What happens to the computer, or in the software, during a run; and the running of any case."""

from __future__ import annotations

import contextlib
import datetime
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from cases import Case
from judging import Verdict, judge
from running import Seen, run

from labonn.bench import Bench
from labonn.devices import Actuator

SIGNALS = {"interrupt": signal.SIGINT, "terminate": signal.SIGTERM}
HOUR_S = 3600.0


def run_case(case: Case, reference: Seen) -> Verdict:
    """Run it and judge it."""
    if case.port:
        return judge(case, run(case.bench, (case.word,)), reference)
    with contextlib.ExitStack() as stack:
        act = ACTIONS[case.kind](stack)
        if case.moment in ("opening", "closing"):
            stack.enter_context(_during(case.moment, act))
            return judge(case, run(case.bench), reference)
        return judge(case, run(case.bench, (), lambda moment, bench: act(bench) if moment == case.moment else None), reference)


@contextlib.contextmanager
def _during(moment: str, act: Callable[[Any], None]) -> Iterator[None]:
    """In the middle of opening (the second actuator is prepared), or before everything is made safe at the end."""
    done: list[str] = []
    name, number = ("_prepare", 2) if moment == "opening" else ("safe", 1)
    plain = getattr(Bench, name)

    def with_it(self: Any, *args: Any) -> Any:
        done.append(name)
        if len(done) == number:
            act(self)
        return plain(self, *args)

    with mock.patch.object(Bench, name, with_it):
        yield


def _signal(number: int) -> Callable[[contextlib.ExitStack], Callable[[Any], None]]:
    return lambda stack: lambda bench: os.kill(os.getpid(), number)


def _raise(stack: contextlib.ExitStack) -> Callable[[Any], None]:
    def act(bench: Any) -> None:
        raise ZeroDivisionError("a bug in the plan")

    return act


def _raise_in_driver(stack: contextlib.ExitStack) -> Callable[[Any], None]:
    """The next call of some actuator's driver raises what no driver should."""

    def act(bench: Any) -> None:
        device = next(device for device in bench.ports.values() if isinstance(device, Actuator))
        stack.enter_context(mock.patch.object(device, "load", side_effect=ZeroDivisionError("a bug in the driver")))

    return act


def _raise_in_safe(stack: contextlib.ExitStack) -> Callable[[Any], None]:
    """Making one actuator safe raises what no driver should; all others have to be made safe."""

    def act(bench: Any) -> None:
        device = next(device for device in bench.ports.values() if isinstance(device, Actuator))
        plain = device.safe

        def safe() -> None:
            plain()
            raise ZeroDivisionError("a bug in safe")

        stack.enter_context(mock.patch.object(device, "safe", safe))

    return act


def _full_disk(stack: contextlib.ExitStack) -> Callable[[Any], None]:
    """No file may grow any more, by the kernel's own limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    stack.callback(resource.setrlimit, resource.RLIMIT_FSIZE, (soft, hard))
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    stack.callback(signal.signal, signal.SIGXFSZ, before)
    return lambda bench: resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))


def _clock(seconds: float) -> Callable[[contextlib.ExitStack], Callable[[Any], None]]:
    """The computer's clock is set to another hour."""

    def prepared(stack: contextlib.ExitStack) -> Callable[[Any], None]:
        real = time.time

        class Moved(datetime.datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime.datetime.fromtimestamp(real() + seconds, tz)

        def act(bench: Any) -> None:
            stack.enter_context(mock.patch.object(time, "time", side_effect=lambda: real() + seconds))
            stack.enter_context(mock.patch("labonn.runs.datetime", Moved))

        return act

    return prepared


ACTIONS: dict[str, Callable[[contextlib.ExitStack], Callable[[Any], None]]] = {
    "interrupt": _signal(signal.SIGINT), "terminate": _signal(signal.SIGTERM), "raise_in_plan": _raise, "raise_in_driver": _raise_in_driver,
    "raise_in_safe": _raise_in_safe, "full_disk": _full_disk, "clock_ahead": _clock(HOUR_S), "clock_back": _clock(-HOUR_S),
}  # fmt: skip
