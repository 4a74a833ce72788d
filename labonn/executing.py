"""Runs a program of somebody else's on a simulated bench: its PyVISA finds the bench's instruments, its waits cost no time."""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from labonn.clock import Clock
from labonn.errors import MissingPackageError


def execute(script: Path, arguments: Sequence[str], bench: Path, seed: int | None, ideal: bool, real_time: bool, every: bool) -> int:
    """Run `script` as `python script arguments` does; its exit code.

    Args:
        bench, seed, ideal: the bench file, and how its simulated bench is to be. real_time: time passes as in the lab.
        every: replace every VISA library that the program asks for, not only the default one and "@labonn".

    Raises:
        BenchFileError: the bench file is wrong, or has no simulated bench. MissingPackageError: PyVISA is not installed.
    """
    try:
        import pyvisa.highlevel
    except ImportError:
        raise MissingPackageError('labonn exec: needs PyVISA, which is not installed: pip install "labonn[visa]"') from None
    from labonn import visa_bench
    from labonn.visa_library import SimulatedVisaLibrary

    choice = visa_bench.BenchChoice(str(bench.resolve()), seed, ideal, real_time)
    made = visa_bench.VisaBench(choice, follows=False)
    changes: list[tuple[MutableMapping[str, Any], str, Any]] = [
        (visa_bench.benches, str(choice), made),
        (pyvisa.highlevel._WRAPPERS, "labonn", SimulatedVisaLibrary),
        (os.environ, "PYVISA_LIBRARY", f"{choice}@labonn"),
    ]
    if every:
        changes.append((vars(pyvisa.highlevel), "open_visa_library", lambda specification="": SimulatedVisaLibrary(str(choice))))
    if not real_time:
        changes.append((vars(time), "sleep", sleeping_on(made.clock)))
    with contextlib.ExitStack() as stack:
        for change in changes:
            stack.enter_context(_replaced(*change))
        return run_script(script, arguments)


@contextlib.contextmanager
def _replaced(table: MutableMapping[str, Any], key: str, value: Any) -> Iterator[None]:
    before = dict(table)
    table[key] = value
    try:
        yield
    finally:
        if key in before:
            table[key] = before[key]
        else:
            table.pop(key, None)


def sleeping_on(clock: Clock) -> Callable[[float], None]:
    """`time.sleep` for the main thread, on the bench's clock; other threads, which may wait for each other, really sleep."""
    sleep, main = time.sleep, threading.main_thread()

    def passes(seconds: float) -> None:
        if threading.current_thread() is main and seconds >= 0:
            clock.wait(seconds)
        else:
            sleep(seconds)

    return passes


def run_script(script: Path, arguments: Sequence[str]) -> int:
    """Run a Python file as __main__, its folder first on the module path; its exit code, 1 after a traceback."""
    with _as_main(script, arguments):
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as end:
            return _exit_code(end.code)
        except Exception as problem:
            own = problem.__traceback__
            while own is not None and own.tb_frame.f_code.co_filename != str(script):
                own = own.tb_next
            traceback.print_exception(problem.with_traceback(own or problem.__traceback__))
            return 1
    return 0


@contextlib.contextmanager
def _as_main(script: Path, arguments: Sequence[str]) -> Iterator[None]:
    argv, path = sys.argv, sys.path
    sys.argv, sys.path = [str(script), *arguments], [str(script.resolve().parent), *path]
    try:
        yield
    finally:
        sys.argv, sys.path = argv, path


def _exit_code(code: Any) -> int:
    """As Python's own: None is 0, a number is itself, anything else is told, and 1."""
    if code is None or isinstance(code, int):
        return code or 0
    print(code, file=sys.stderr)
    return 1
