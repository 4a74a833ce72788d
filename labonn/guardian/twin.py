"""The guardian's twin: a process that only listens; when the guardian is gone without a goodbye, it makes everything safe itself."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from labonn.benchfile import parse
from labonn.guardian.logs import Log
from labonn.guardian.rescue import make_safe

PULSE, GOODBYE, GONE = b".", b"g", b""
LISTEN_S = 1.0


def main() -> int:
    """Read on the standard input what to guard, then a pulse now and then, until a goodbye, or until it ends without one."""
    about = json.loads(sys.stdin.buffer.readline())
    log, file = Log(None if about["log"] is None else Path(about["log"]), "twin"), parse(about["text"], about["name"])
    print("ready", flush=True)
    why = listen(about["silence_s"])
    if why == GOODBYE:
        return 0
    if why == PULSE:
        log(f"the guardian (process {about['pid']}) gives no sign of life: it is ended")
        os.kill(about["pid"], getattr(signal, "SIGKILL", signal.SIGTERM))
    log(f"the guardian (process {about['pid']}) is gone without a goodbye: everything is made safe")
    failed = make_safe(file, log)
    log("everything is safe" if not failed else f"not known to be safe: {', '.join(failed)}")
    return int(bool(failed))


def listen(silence_s: float) -> bytes:
    """What ended it: GOODBYE, GONE, or PULSE if there was none for so long.

    Short waits are counted, so that time in which this process did not run either counts once.
    """
    heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(heard,), daemon=True).start()
    silent = 0
    while silent * LISTEN_S < silence_s:
        try:
            data = heard.get(timeout=LISTEN_S)
        except queue.Empty:
            silent += 1
            continue
        silent = 0
        if data == GONE or GOODBYE in data:
            return GOODBYE if data else GONE
    return PULSE


def _read(heard: queue.SimpleQueue[Any]) -> None:
    while data := os.read(0, 4096):
        heard.put(data)
    heard.put(GONE)


if __name__ == "__main__":
    sys.exit(main())
