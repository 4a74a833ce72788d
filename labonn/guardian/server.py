"""A guardian's messages: taken, answered, or made into jobs for the bench; between them the lease is watched."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
import zmq

from labonn.errors import LabonnError, LeaseError
from labonn.guardian.arrays import Values
from labonn.guardian.doing import Memory
from labonn.guardian.failures import told
from labonn.guardian.jobs import Job
from labonn.guardian.keeper import Keeper
from labonn.guardian.lease import Holder
from labonn.guardian.looking import comes_soon
from labonn.guardian.messages import Beat, File, Hello, Message, Plain, Play, Request, Safe, Status, parse
from labonn.guardian.relief import Relief
from labonn.guardian.unacceptable import Unacceptable

TICK_S = 0.25  # twin, signals and the lease are looked after at least so often
MOST_MESSAGES = 256  # that are taken before the lease is looked after
SPIN_S = 1e-3  # after an answer, in which the client's next request is looked for without falling asleep
QUICK, MOST_WAITING = ("stop", "release", "make_safe"), 8  # may be asked for while something else is being done


class Server:
    """Serves a keeper's bench on a bound ROUTER socket.

    Args:
        most_bytes: of all banks that are remembered.
    """

    def __init__(self, keeper: Keeper, router: zmq.Socket[bytes], most_bytes: int) -> None:
        self._keeper, self._router, self._most_bytes = keeper, router, most_bytes
        self._jobs, self._doing, self._lease = keeper.jobs, keeper.doing, keeper.lease
        self._memory = Memory(most_bytes)
        keeper.farewell = self._farewell
        self._began_s, self._tick_s, self._answered_s = time.monotonic(), 0.0, 0.0

    def serve(self) -> None:
        """Until the keeper has ended. Jobs are done here; while one takes long, a second thread takes the messages."""
        relief = Relief(self._router.context, lambda: self._jobs.busy_s(time.monotonic()), self._once)
        relief.take()
        try:
            while not self._keeper.over():
                if not self._jobs:
                    self._once(None)
                    continue
                relief.turn.release()
                self._jobs[0].run()
                relief.take()
                self._keeper.finished()
        finally:
            relief.turn.release()
            relief.close()

    def _once(self, wanted: zmq.Socket[bytes] | None) -> None:
        """Wait for messages, a moment or until `wanted` is readable; take them, then see to what time brings about."""
        if wanted is None:
            if not comes_soon(self._router, self._answered_s + SPIN_S):
                self._router.poll(self._patience_ms())
        else:
            zmq.select([self._router, wanted], [], [], self._patience_ms() / 1000)
        with contextlib.suppress(zmq.Again):
            for _ in range(MOST_MESSAGES):
                self._take(self._router.recv_multipart(zmq.NOBLOCK, copy=False))
                if self._jobs and wanted is None:
                    break
        now_s = time.monotonic()
        self._keeper.watch(now_s)
        if now_s - self._tick_s > TICK_S:
            self._tick_s = now_s
            self._keeper.around.tick()

    def _patience_ms(self) -> int:
        left = self._lease.over_s(time.monotonic())
        return math.ceil(1000 * max(0.0, min(TICK_S, TICK_S if left is None else left)))

    def _take(self, frames: Sequence[Any]) -> None:
        """One message, whatever it is."""
        sender, hello, seq = bytes(frames[0].bytes), False, None
        try:
            message, arrays = parse(frames[1:])
            hello, seq = isinstance(message, Hello), getattr(message, "seq", None)
            self._answer(sender, message, arrays)
        except Unacceptable as refused:
            self._send(sender, {"seq": seq, "refused": str(refused)})
        except LabonnError as problem:
            self._send(sender, {"seq": seq, "error": told(problem), "later": hello and self._lease.holder is None})
        except Exception as problem:  # nothing that is sent may end a guardian
            self._keeper.note("message", problem)
            self._send(sender, {"seq": seq, "refused": f"{type(problem).__name__}: {problem}"[:300]})

    def _answer(self, sender: bytes, message: Message, arrays: list[Any]) -> None:
        now_s = time.monotonic()
        if isinstance(message, Beat):
            holder = self._lease.beat(message.session, message.count, now_s)
            self._send(sender, {"beat": message.count, "accepted": holder.accepted, "answered": holder.answered})
        elif isinstance(message, File):
            file = self._doing.bench.file
            self._send(sender, {"file": {"name": file.name, "text": file.text}})
        elif isinstance(message, Status):
            self._status(sender, now_s)
        elif isinstance(message, Hello):
            self._hello(sender, message, now_s)
        elif isinstance(message, Safe):
            self._lease.new(message.nonce)
            self._made_safe(sender, message)
        else:
            holder, new = self._lease.accept(message.session, message.seq, now_s, sender)
            if new:
                self._request(holder, message, arrays)
            elif holder.answered == message.seq:
                self._router.send_multipart([sender, *holder.reply])

    def _hello(self, sender: bytes, hello: Hello, now_s: float) -> None:
        self._lease.new(hello.nonce)
        keeper = self._keeper
        if self._lease.holder is None and keeper.changing_hands():
            raise LeaseError("the bench is being made safe after its last client; try again in a moment")
        if keeper.unsafe:
            raise LeaseError(f"the bench is not usable at the moment: {keeper.unsafe}")
        holder = self._lease.grant(hello.who, now_s, datetime.now(UTC), sender)
        self._memory = Memory(self._most_bytes)
        keeper.around.log(f"lease to {holder.who}")
        about = {"session": holder.session, "lease_s": self._lease.lease_s, "patience_s": keeper.settings.patience_s}
        about |= keeper.around.about
        self._jobs.append(Job("hello", self._packed(lambda values: about | self._doing.about(values)), self._finished, holder.session))

    def _request(self, holder: Holder, request: Request, arrays: list[Any]) -> None:
        own = [job for job in self._jobs if job.session]
        quick = isinstance(request, Plain) and request.op in QUICK
        if own and (len(own) >= MOST_WAITING or not (quick or own[-1].what == "stop")):
            raise Unacceptable(f"request {own[-1].seq} is not done yet")
        banks, orders = self._memory.update(request, arrays) if isinstance(request, Play) else ({}, {})
        holder.accepted = request.seq
        if quick and own:
            self._keeper.interrupt(f"stopped by {holder.who}")
        work = self._packed(lambda values: self._doing.request(request, banks, orders, arrays, values))
        if request.op == "snapshot":
            work = self._packed(lambda values: {name: values.pack(part) for name, part in self._doing.saved(self._memory.things).items()})
        elif request.op == "bring_back":
            work = self._packed(lambda values: self._doing.bring_back(self._memory.things))
        done = self._released if request.op == "release" else self._finished
        self._jobs.append(Job(request.op, work, done, holder.session, request.seq))

    def _packed(self, action: Callable[[Values], Any]) -> Callable[[], tuple[dict[str, Any], list[Any], BaseException | None]]:
        """The reply's header and frames, and what went wrong; made by the thread that has the bench."""

        def work() -> tuple[dict[str, Any], list[Any], BaseException | None]:
            values = Values([], [])
            try:
                result = action(values)
            except Exception as problem:
                return {"error": told(problem), "state": self._doing.state()}, [], problem
            return {"result": result, "arrays": values.items, "state": self._doing.state()}, values.frames, None

        return work

    def _finished(self, job: Job) -> None:
        """Answer the client, if it still has the lease."""
        header, frames, problem = ({"error": told(job.problem)}, [], job.problem) if job.problem is not None else job.result
        if problem is not None:
            self._keeper.note(job.what, problem)
        holder = self._lease.holder
        if holder is not None and holder.session == job.session:
            holder.answered, holder.reply = job.seq, [orjson.dumps({"seq": job.seq, **header}), *frames]
            with contextlib.suppress(zmq.ZMQError):
                self._router.send_multipart([holder.address, *holder.reply])
            self._answered_s = time.perf_counter()

    def _released(self, job: Job) -> None:
        self._finished(job)
        holder = self._lease.end("the lease was given back")
        if holder is not None:
            self._keeper.around.log(f"lease given back by {holder.who}")
            self._keeper.closed(job.problem if job.problem is not None else job.result[2])

    def _made_safe(self, sender: bytes, message: Safe) -> None:
        """Everything is made safe now, whoever holds the lease."""
        holder = self._lease.holder

        def answered(job: Job) -> None:
            answer: dict[str, Any] = {"safe": self._doing.actuators(), "holder": None if holder is None else str(holder.who)}
            self._send(sender, answer if job.problem is None else {"error": told(job.problem)})

        if holder is None:
            self._keeper.around.log(f"{message.who} asks to make everything safe")
            self._keeper.make_safe(answered)
        else:
            when = f"{datetime.now(UTC):%H:%M:%S} UTC"
            self._keeper.end_lease(f"{message.who} made everything safe at {when}, and took the lease of {holder.who} away", answered)

    def _farewell(self, holder: Holder, reason: str, unsafe: str) -> None:
        """Whatever the client waits for, or does next, is answered by this."""
        self._send(holder.address, {"ended": told(LeaseError(reason)), "unsafe": unsafe})

    def _status(self, sender: bytes, now_s: float) -> None:
        keeper, holder, job = self._keeper, self._lease.holder, self._jobs[0] if self._jobs else None
        held = None
        if holder is not None:
            silent_s = round(now_s - holder.heard_s, 2)
            held = {"who": str(holder.who), "since": f"{holder.since:%Y-%m-%dT%H:%M:%SZ}", "silent_s": silent_s}
        about = {**keeper.around.about, "uptime_s": round(now_s - self._began_s, 1), "lease": held, "last_error": keeper.last_error}
        about |= {"busy": None if job is None else f"{job.what} for {self._jobs.busy_s(now_s):.1f} s", "unsafe": keeper.unsafe}
        if job is None and not keeper.unsafe:
            asks = holder is None or not keeper.around.about.get("dry_run")  # asking takes time, a simulated bench's too
            self._jobs.append(Job("status", partial(self._doing.outputs, asks), partial(self._outputs, sender, about)))
        else:
            self._send(sender, {"status": {**about, "ports": {} if keeper.unsafe else self._doing.outputs(ask=False)}})

    def _outputs(self, sender: bytes, about: dict[str, Any], job: Job) -> None:
        self._send(sender, {"status": {**about, "ports": job.result if job.problem is None else {}}})

    def _send(self, receiver: bytes, header: dict[str, Any]) -> None:
        with contextlib.suppress(zmq.ZMQError):  # whoever asked has gone
            self._router.send_multipart([receiver, orjson.dumps(header)])
