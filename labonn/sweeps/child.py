"""The process that does one job: the order in by standard input, news out by standard output, a line of JSON each.

Run as a script by path, so that it needs nothing of how its parent was started. What the job prints goes to standard error, which is a log
file. Standard input stays open as long as the parent lives: its end is the end of this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from typing import IO, Any

TELL_S = 1.0  # from one "going" to the next at least


def main() -> None:
    """Do the job, and end without waiting for anything that it has left behind."""
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the sweep, which ends its children
    asked, told = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=told.close)  # or the parent would wait for the end of what the job has forked, too
    line = asked.readline()
    threading.Thread(target=_end_with_parent, args=(asked,), daemon=True).start()
    if line:
        _carry_out(json.loads(line), told)
    os._exit(0 if line else 1)


def _carry_out(order: dict[str, Any], told: IO[str]) -> None:
    sys.path[:] = order["path"]
    last_s = -TELL_S

    def tell(share: float, words: str) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= TELL_S and not told.closed:
            last_s = time.monotonic()
            send({"going": [share, words]})

    def send(message: dict[str, Any]) -> None:
        told.write(json.dumps(message) + "\n")
        told.flush()

    try:
        from pathlib import Path

        from labonn.sweeps.job import Job
        from labonn.sweeps.working import carry_out

        done = carry_out(Job(**order["job"]), Path(order["runs"]), tell)
        send({"done": vars(done)})
    except BaseException as problem:  # also of what was asked to end
        send({"failed": f"{type(problem).__name__}: {problem}", "refused": _refused(problem)})
        with contextlib.suppress(OSError):  # the log's disk may be full
            traceback.print_exc()


def _refused(problem: BaseException) -> bool:
    """Whether it is the job's settings or data that are wrong, which they are at every try."""
    errors = sys.modules.get("labonn.errors")
    return errors is not None and isinstance(problem, (errors.BenchFileError, errors.DataError, errors.ProcedureError))


def _end_with_parent(asked: IO[str]) -> None:
    """Nothing is ever sent after the order, so what arrives is the parent's end."""
    asked.read()
    os._exit(1)


if __name__ == "__main__":
    main()
