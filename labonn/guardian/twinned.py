"""The guardian's side of its twin: starts it, gives it pulses, starts another when it has died, says goodbye."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labonn.benchfile import BenchFile
from labonn.errors import LabonnError
from labonn.guardian import twin

GOODBYE_S = 10.0


class Twinned:
    """A twin process, and another when it dies.

    Args:
        file: the bench that it makes safe. log_path: where it writes; None: stderr. silence_s: without pulses until it takes over.
        log: of the guardian.
    """

    def __init__(self, file: BenchFile, log_path: Path | None, silence_s: float, log: Callable[[str], None]) -> None:
        self._about = {"name": file.name, "text": file.text, "log": None if log_path is None else str(log_path), "silence_s": silence_s}
        self._log, self._turn = log, threading.Lock()
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Of the present twin."""
        return self._process.pid

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", twin.__name__]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps({**self._about, "pid": os.getpid()}).encode() + b"\n")
            process.stdin.flush()
            os.set_blocking(process.stdin.fileno(), False)
        return process

    def wait(self) -> None:
        """Until it is ready.

        Raises:
            LabonnError: it died.
        """
        stdout: Any = self._process.stdout
        if stdout.readline() != b"ready\n":
            raise LabonnError(f"the guardian's twin (process {self.pid}) did not start")

    def guard(self, file: BenchFile) -> None:
        """From now on this file; another twin if it is not the same.

        Raises:
            LabonnError: it died.
        """
        if file.text != self._about["text"]:
            with self._turn:
                self._about |= {"name": file.name, "text": file.text}
                self._dismiss()
                self._process = self._start()
                self.wait()
                self._log(f"{file.name} has changed; the twin that knows it is process {self.pid}")

    def pulse(self) -> None:
        """Show that the guardian lives; another twin if this one does not."""
        if not self._turn.acquire(blocking=False):  # another one is being started
            return
        try:
            code = self._process.poll()
            if code is not None:
                self._close()
                self._process = self._start()
                self._log(f"the twin had died (code {code}); another one is process {self.pid}")
            self._tell(twin.PULSE)
        finally:
            self._turn.release()

    def goodbye(self) -> None:
        """Its help is not needed."""
        with self._turn:
            self._dismiss()

    def _dismiss(self) -> None:
        self._tell(twin.GOODBYE)
        self._close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GOODBYE_S)

    def _tell(self, word: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):  # the next pulse finds out
            stdin: Any = self._process.stdin
            os.write(stdin.fileno(), word)

    def _close(self) -> None:
        for end in (self._process.stdin, self._process.stdout):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.close()
