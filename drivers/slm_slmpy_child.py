"""The process in which slmPy runs: python -m drivers.slm_slmpy_child MONITOR IMAGE_LOCK, spoken to by drivers/slm_slmpy_process.py.

Requests on stdin: 13 bytes (operation F or C, number, length; little-endian) and that many bytes, a full panel of gray levels.
Replies on stdout: 12 bytes (number, length) and a JSON object. What slmPy prints goes to stderr. When its parent is gone it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import struct
import sys
import threading
import time
from importlib import import_module
from typing import Any, BinaryIO

import numpy as np

REQUEST, REPLY = struct.Struct("<cQI"), struct.Struct("<QI")
FRAME, CLOSE = b"F", b"C"
LONGEST_TEXT = 2000
GRACE_S = 1.0  # for what is under way when the parent has gone


class Pixels(np.ndarray[Any, np.dtype[np.uint8]]):
    """A colour image that still has `tostring`, which slmPy 0.2 calls on it and NumPy 2.3 removed."""

    def tostring(self) -> bytes:
        return self.tobytes()


def main(arguments: list[str]) -> None:
    """Open the display, tell its size, then show what comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which still has to show the safe frame
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    requests: queue.SimpleQueue[tuple[bytes, int, bytes]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, requests), daemon=True).start()
    try:
        module: Any = import_module("slmpy")
    except ImportError as problem:
        return _answer(replies, 0, {"absent": str(problem)})
    if not hasattr(module, "SLMdisplay"):
        return _answer(replies, 0, {"other": str(getattr(module, "__file__", "?"))})
    try:
        display = module.SLMdisplay(monitor=int(arguments[0]), isImageLock=arguments[1] == "1")
        width, height = map(int, display.getSize())
    except Exception as problem:
        return _answer(replies, 0, {"error": str(problem) or type(problem).__name__})
    _answer(replies, 0, {"width": width, "height": height})
    return _serve(display, (height, width), requests, replies)


def _read(stream: BinaryIO, requests: queue.SimpleQueue[tuple[bytes, int, bytes]]) -> None:
    """Hand on what comes; a thread of its own, so that the end of the parent is noticed while slmPy hangs."""
    while len(head := stream.read(REQUEST.size)) == REQUEST.size:
        operation, number, length = REQUEST.unpack(head)
        if len(data := stream.read(length)) < length:
            break
        requests.put((operation, number, data))
    requests.put((CLOSE, 0, b""))
    time.sleep(GRACE_S)
    os._exit(0)


def _serve(display: Any, size: tuple[int, int], requests: queue.SimpleQueue[tuple[bytes, int, bytes]], replies: BinaryIO) -> None:
    """slmPy gets colour images: those it takes as they are, gray ones it copies to an array without `tostring`."""
    image = np.empty((*size, 3), np.uint8).view(Pixels)
    while True:
        operation, number, data = requests.get()
        about: dict[str, Any] = {}
        try:
            if operation == CLOSE:
                display.close()
                return _answer(replies, number, {"closed": True})
            image[...] = np.frombuffer(data, np.uint8).reshape(*size, 1)
            display.updateArray(image, sleep=0)  # its default sleeps 0.2 s; the bench waits for the settling
        except Exception as problem:
            about["error"] = f"{type(problem).__name__}: {problem}"
        _answer(replies, number, about)


def _answer(replies: BinaryIO, number: int, about: dict[str, Any]) -> None:
    text = json.dumps({key: value[:LONGEST_TEXT] if isinstance(value, str) else value for key, value in about.items()}).encode()
    with contextlib.suppress(BrokenPipeError):
        replies.write(REPLY.pack(number, len(text)) + text)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    finally:
        sys.stderr.flush()
        time.sleep(0.05)  # the window system hears of the closed window
        os._exit(0)  # slmPy's own thread never ends
