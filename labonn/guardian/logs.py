"""A guardian's log: a line an event, with the time; on stderr or in a file."""

from __future__ import annotations

import contextlib
import os
import sys
from datetime import UTC, datetime
from pathlib import Path


class Log:
    """Call it with a line. What cannot be written is lost: nothing may keep a guardian from its duty.

    Args:
        path: to append to; None: stderr. who: stands before every line.
    """

    def __init__(self, path: Path | None, who: str) -> None:
        self._path, self._who = path, who

    def __call__(self, text: str) -> None:
        line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z {self._who} {os.getpid()}: {text.replace(chr(10), ' | ')}\n"
        with contextlib.suppress(OSError, ValueError):
            if self._path is None:
                sys.stderr.write(line)
                sys.stderr.flush()
            else:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(line)
