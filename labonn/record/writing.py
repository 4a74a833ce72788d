"""The writer's end in the run: messages go to a process of their own (child.py), and what goes wrong there is raised here."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson

from labonn.errors import RecordError
from labonn.record.details import Rows
from labonn.record.schema import BUSY_S, CHECKPOINT_PAGES, SQL

MOST_AHEAD = 64  # messages that wait to be written, at most
AT_ONCE = getattr(select, "PIPE_BUF", 512)  # bytes that a pipe takes in one piece
CHILD = Path(__file__).with_name("child.py")
UNSIGNALLED = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
TEXTS = 3  # columns of `steps` that are JSON themselves


class Writer:
    """Has messages written in their order, each of them whole or not at all.

    Args:
        path: of the record, which is there. unexpected: SQL for the end of a run that ends without `close`.

    Attributes:
        sent, written: how many messages; those written are committed. heard: whether a problem has been raised.
    """

    def __init__(self, path: Path, unexpected: str = "") -> None:
        self._path = path
        self.sent = self.written = 0
        self.heard = False
        self._problem: RecordError | None = None
        command = [sys.executable, "-I", "-S", str(CHILD), str(path.absolute()), str(CHECKPOINT_PAGES), str(BUSY_S), unexpected]
        # a session of its own: Ctrl-C in the terminal is for the run
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout

    @property
    def process(self) -> int:
        """Its number."""
        return self._process.pid

    def put(self, message: Rows, wait_for: int = 0) -> None:
        """Have it written, once the first `wait_for` messages are on the disk.

        Raises:
            RecordError: an earlier message could not be written.
        """
        self.wait(max(wait_for, self.sent - MOST_AHEAD))
        content = _frame(message)
        if len(content) < AT_ONCE - 4:
            self._send(content)  # in one piece or not at all
        else:
            with _unsignalled():
                self._send(content)
        self.sent += 1

    def has(self, count: int) -> bool:
        """Whether `count` messages are known to be on the disk."""
        while self.written < count and self._problem is None and select.select([self._output], [], [], 0)[0]:
            self._listen()
        return self.written >= count

    def wait(self, count: int) -> None:
        """Until `count` messages are on the disk.

        Raises:
            RecordError: one could not be written.
        """
        while self.written < count and self._problem is None:
            self._listen()
        if self._problem is not None:
            self.heard = True
            raise self._problem

    def close(self) -> None:
        """Write what is left, and close the file."""
        with _unsignalled():
            if self._problem is None:
                with contextlib.suppress(RecordError):
                    self._send(b"null")
            self._input.close()
            self._process.wait()
            self._output.close()

    def _send(self, content: bytes) -> None:
        frame = memoryview(len(content).to_bytes(4, "big") + content)
        try:
            while frame:
                frame = frame[os.write(self._input.fileno(), frame) :]
        except BrokenPipeError:
            self._process.wait()
            self._listen()
            raise self._problem or RecordError(f"{self._path}: nobody writes it any more") from None

    def _listen(self) -> None:
        """Take note of what has been written; waits until something has."""
        answer = os.read(self._output.fileno(), 1 << 16)
        done, failed, words = answer.partition(b"!")
        self.written += len(done)
        if failed:  # nothing follows but the rest of its words
            while part := os.read(self._output.fileno(), 1 << 16):
                words += part
            self._problem = told(self._path, *json.loads(words))
        elif not answer:
            self._problem = RecordError(f"{self._path}: the process that writes it is gone; the run cannot go on unrecorded")


def _frame(message: Rows) -> bytes:
    """A message as child.py wants it; a step by itself is by far the most frequent, and a line a column."""
    others = [(SQL[table], rows) for table, rows in message.items() if table != "steps"]
    if "steps" not in message:
        return _json(others)
    (row,) = message["steps"]
    texts = [_json(value) for value in row[-TEXTS:]]
    if others:
        return _json([(SQL["steps"], [(*row[:-TEXTS], *(text.decode() for text in texts))]), *others])
    return b"\n".join((_json((SQL["steps"], *row[:-TEXTS])), *texts))


def _json(value: object) -> bytes:
    """What is no finite number becomes null, what JSON does not know text."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def _plain(value: object) -> object:
    return [_base64(value)] if isinstance(value, bytes) else str(value)


def _base64(value: bytes) -> str:
    import base64

    return base64.b64encode(value).decode()


@contextlib.contextmanager
def _unsignalled() -> Iterator[None]:
    """Half a message must not be sent because Ctrl-C came in between."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, UNSIGNALLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def told(path: Path, kind: str, words: str) -> RecordError:
    """What went wrong with the file, with what to do about it."""
    if kind == "GoneError":
        what = f"{words}: was deleted or replaced while the run wrote to it"
    elif kind.startswith("SQLITE_FULL") or "disk is full" in words:
        what = f"{path}: the disk is full; make room"
    elif kind.startswith("SQLITE_IOERR"):
        what = f"{path}: cannot be written ({words}): it is as large as files may be here, or the disk fails"
    elif kind.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        what = f"{path}: another program has kept it locked for {BUSY_S:g} s; close that"
    else:
        what = f"{path}: cannot be written: {words}"
    return RecordError(f"{what}; what was recorded before stays readable, and the run cannot go on unrecorded")
