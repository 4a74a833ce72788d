"""A guardian process from its beginning to its end: opens the bench, has a twin, serves, makes safe, says goodbye."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zmq

from labonn.benchfile import BenchFile, read
from labonn.errors import LabonnError, LeaseError, UnknownStateError
from labonn.guardian.doing import Doing
from labonn.guardian.guarded import GuardedBench
from labonn.guardian.keeper import Around, Keeper
from labonn.guardian.keys import LOOPBACK, guarded
from labonn.guardian.logs import Log
from labonn.guardian.messages import most_bytes
from labonn.guardian.places import guardian_of, listed, socket_address
from labonn.guardian.server import Server
from labonn.guardian.twinned import Twinned

LEAST_SILENCE_S = 10.0
MOST_QUEUED, LINGER_MS = 64, 1000  # messages of one client that wait to be read; for the last replies to go out


@dataclass(frozen=True)
class Serving:
    """What to serve, and how.

    Attributes:
        path: the bench file. options: of Bench.open. bind: "tcp://HOST:PORT" (* for any free port), or "" for a socket file of this user's.
        keys: folder of CURVE keys; None: no keys. once: for one client alone. log: file; None: stderr.
        lease_s, patience_s: in place of the bench file's.
        go_on: (dry run, once) a run's checkpoint, to which the client may bring the bench back.
    """

    path: Path
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    bind: str = ""
    keys: Path | None = None
    once: bool = False
    log: Path | None = None
    lease_s: float | None = None
    patience_s: float | None = None
    go_on: Path | None = None

    @property
    def real(self) -> bool:
        """Whether real instruments are behind it."""
        return not self.options.get("dry_run") and not self.options.get("replay")


def serve(serving: Serving, ready: Callable[[dict[str, Any]], None], stopped: Callable[[], bool]) -> None:
    """Be a guardian until the end.

    Args:
        ready: called with what there is to know (address, pid, ...) when clients may come. stopped: whether to end.

    Raises:
        LabonnError: it could not begin, or the bench could not be made safe at the end.
    """
    check_bind(serving)
    file = read(serving.path)
    other = guardian_of(serving.path) if serving.real else None
    if other is not None:
        told = f"{serving.path.name} has a guardian already: process {other['pid']}"
        raise LeaseError(f"{told}; use it by --bench {other['address']}, or end it (`labonn status` shows what it does)")
    log = Log(serving.log, "guardian")
    with contextlib.ExitStack() as stack:
        twin = _twin(file, serving, log, stack) if serving.real else None
        faults = serving.options.get("faults", ())
        doing = Doing(lambda: _opened(serving, twin), "record" in serving.options, serving.go_on, faults)
        try:
            try:
                unsafe = _serve(serving, file, doing, twin, log, ready, stopped)
            except BaseException:
                doing.close()
                raise
            if unsafe:
                raise UnknownStateError(unsafe)
        except UnknownStateError as problem:
            log(f"not known to be safe: {problem}")
            stack.pop_all()  # no goodbye: the twin, if there is one, tries by connections of its own
            raise


def _opened(serving: Serving, twin: Twinned | None) -> GuardedBench:
    """The bench, all of which the twin knows."""
    if twin is not None:
        twin.guard(read(serving.path))
    return GuardedBench.open(serving.path, **serving.options)


def _twin(file: BenchFile, serving: Serving, log: Log, stack: contextlib.ExitStack) -> Twinned:
    lease_s = serving.lease_s or file.guardian.lease_s
    twin = Twinned(file, serving.log, max(LEAST_SILENCE_S, 3 * lease_s), log)
    stack.callback(twin.goodbye)
    return twin


def _serve(
    serving: Serving, file: BenchFile, doing: Doing, twin: Twinned | None, log: Log,
    ready: Callable[[dict[str, Any]], None], stopped: Callable[[], bool],
) -> str:  # fmt: skip
    """Serve an open bench; why it could not be made safe at the end, or ""."""
    given = {"lease_s": serving.lease_s, "patience_s": serving.patience_s}
    settings = dataclasses.replace(file.guardian, **{name: value for name, value in given.items() if value is not None})
    if twin is not None:
        twin.wait()
    with contextlib.ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        router = stack.enter_context(context.socket(zmq.ROUTER))
        largest = most_bytes(list(doing.bench.specs.values()))
        router.maxmsgsize, router.rcvhwm, router.linger = largest, MOST_QUEUED, LINGER_MS
        router.ipv6 = ":" in (urlsplit(serving.bind).hostname or "")
        stack.enter_context(guarded(router, serving.keys))
        about = {"address": _bound(router, serving.bind or socket_address()), "pid": os.getpid(), "bench": str(serving.path.resolve())}
        about |= {"dry_run": bool(serving.options.get("dry_run")), "once": serving.once, "keys": serving.keys is not None}
        about |= {"since": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        stack.enter_context(listed(about))
        gone, tick = (None, lambda: None) if twin is None else (lambda: os._exit(70), twin.pulse)
        keeper = Keeper(doing, settings, Around(log, stopped, tick, gone, about), serving.once)
        log(f"guards {serving.path.name} at {about['address']}" + ("" if twin is None else f", with process {twin.pid} as its twin"))
        ready(about)
        Server(keeper, router, 2 * largest).serve()
        return keeper.unsafe


def check_bind(serving: Serving) -> None:
    """Raise LabonnError for an address that is none, or that is open to others without keys; and for a tape of several clients."""
    if "record" in serving.options and not serving.once:
        raise LabonnError("--record: a tape is of one client's run; add --once")
    if serving.go_on is not None and (serving.real or not serving.once):
        raise LabonnError("--go-on: only a simulated bench can be brought back, and for one client; it needs --dry-run --once")
    if not serving.bind:
        return
    parts = urlsplit(serving.bind)
    _, colon, port = parts.netloc.rpartition(":")
    if parts.scheme != "tcp" or not parts.hostname or parts.path or not colon or not (port == "*" or port.isdecimal()):
        raise LabonnError(f"--bind {serving.bind}: tcp://HOST:PORT is wanted, such as tcp://127.0.0.1:5555")
    if parts.hostname not in LOOPBACK and serving.keys is None:
        raise LabonnError(f"--bind {serving.bind}: a guardian that others can reach needs keys: add --keys DIR (labonn keys --help)")


def _bound(router: zmq.Socket[bytes], address: str) -> str:
    """The address for clients."""
    try:
        router.bind(address)
    except zmq.ZMQError as problem:
        raise LabonnError(f"{address}: cannot be bound: {problem}") from None
    found = router.getsockopt_string(zmq.LAST_ENDPOINT)
    return "zmq://" + found.removeprefix("tcp://") if found.startswith("tcp://") else found

