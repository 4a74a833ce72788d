"""Jobs on the workers of a Dask cluster, which may be other computers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib import import_module
from typing import Any

from labonn.errors import MissingPackageError, SweepError
from labonn.sweeps import dask_worker
from labonn.sweeps.job import Job
from labonn.sweeps.local import cores
from labonn.sweeps.packing import unpack
from labonn.sweeps.store import Store
from labonn.sweeps.sweep import Failure, Told

OWN = "local"
CONNECT_S = 5.0
LOGGERS = ("distributed", "distributed.client")  # the second has a level of its own
WORKERS_S = 15.0  # without any worker, at first or later, until a sweep ends
LOOK_S = 1.0
END_S = 15.0  # for the jobs of a cluster of our own


class DaskRunner:
    """As many jobs at once as the cluster has threads, a process each.

    Connections are as Dask's own configuration says (tls://…: distributed.comm.tls).

    Args:
        store: that gets what the workers send. address: of a scheduler, or OWN for one of our own. workers: processes of our own one.

    Raises:
        MissingPackageError: Dask is not installed. SweepError: nobody answers there, there are no workers, or they have another labonn.
    """

    def __init__(self, store: Store, address: str, workers: int | None = None) -> None:
        try:
            distributed = import_module("distributed")
        except ImportError:
            told = 'needs Dask, which is not installed: pip install "labonn[cluster]"'
            raise MissingPackageError(f"--scheduler {address}: {told}") from None
        if address == OWN and workers is not None and workers < 1:
            raise SweepError(f"--workers {workers}: at least 1")
        if address != OWN and workers is not None:
            raise SweepError(f"--workers {workers}: the cluster at {address} has its own; without --scheduler they are on this computer")
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what it has to say comes as errors of ours
        self._store, self._address, self._topic = store, address, f"labonn-{uuid.uuid4().hex}"
        self._news, self._jobs = queue.SimpleQueue[Any](), dict[str, Job]()
        self._futures, self._checked = dict[Any, Job](), set[str]()
        self._width, self._looked_s, self._seen_s = 0, -LOOK_S, time.monotonic()
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self._client = self._connected(distributed, stack, workers)
            self._check_code()
            self._client.subscribe_topic(self._topic, self._heard)
            self._stack = stack.pop_all()

    def _connected(self, distributed: Any, stack: contextlib.ExitStack, workers: int | None) -> Any:
        place: Any = self._address
        try:
            if self._address == OWN:
                cluster = distributed.LocalCluster(
                    n_workers=workers or cores(), threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
                )
                place = stack.enter_context(cluster)
            else:
                with ThreadPoolExecutor(1) as thread:  # where the caller has an event loop of its own, too
                    thread.submit(asyncio.run, _greet(self._address)).result()
            return stack.enter_context(distributed.Client(place, timeout=CONNECT_S, set_as_default=False))
        except Exception as problem:  # of whatever kind, if what answers is not a scheduler
            told = "is one running there? `dask scheduler` starts one, and says its address; `--scheduler local` needs none"
            raise SweepError(f"--scheduler {self._address}: no Dask scheduler answers ({_first(problem)}); {told}") from problem

    def _check_code(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=WORKERS_S)
        except (OSError, TimeoutError) as problem:
            raise self._no_workers() from problem
        ours = dask_worker.code()
        for worker, theirs in self._client.run(dask_worker.code, on_error="return").items():
            if isinstance(theirs, BaseException):
                told = f"cannot run labonn ({theirs}); the same {dask_worker.told(ours)} is wanted there as here"
                raise SweepError(f"worker {worker}: {told}") from theirs
            if not dask_worker.same(ours, theirs):
                told = f"{dask_worker.told(theirs)} there, {dask_worker.told(ours)} here; the same is wanted"
                raise SweepError(f"worker {worker}: {told}")

    def _no_workers(self) -> SweepError:
        start = f"`dask worker {self._address} --nthreads 1` on each computer starts one"
        return SweepError(f"--scheduler {self._address}: has had no workers for {WORKERS_S:g} s; {start}")

    @property
    def width(self) -> int:
        """Threads of all workers that there are just now."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            try:
                self._width = sum(self._client.nthreads().values())
            except (OSError, TimeoutError, RuntimeError) as problem:
                raise self._lost() from problem
            if self._width:
                self._seen_s = now_s
            elif now_s - self._seen_s > WORKERS_S:
                raise self._no_workers()
        return self._width

    def start(self, job: Job) -> None:
        """Send it to a worker."""
        self._check_places(job)
        self._store.begin(job)
        key = f"labonn-{job.key}-{uuid.uuid4().hex}"
        future = self._client.submit(dask_worker.carry_out, asdict(job), dask_worker.code(), self._topic, key=key, pure=False)
        self._futures[future], self._jobs[job.key] = job, job
        future.add_done_callback(self._news.put)

    def _check_places(self, job: Job) -> None:
        """Of all workers, before the first job that needs them."""
        about = [({name: job.settings.get(name) for name in job.places}, dict(job.places))]
        if str(about) in self._checked:
            return
        self._checked.add(str(about))
        for worker, problem in self._client.run(dask_worker.missing, about, on_error="return").items():
            if problem and not isinstance(problem, OSError):  # or the worker was lost, which is seen at its jobs
                raise SweepError(f"worker {worker}: {problem}")

    def _heard(self, event: tuple[float, Any]) -> None:
        self._news.put(event[1])

    def news(self, timeout_s: float | None = None) -> Told | None:
        """The next thing that a worker tells, or that a task has ended."""
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while until_s is None or time.monotonic() < until_s:
            try:
                news = self._news.get(timeout=LOOK_S)
            except queue.Empty:
                if self._client.status != "running":
                    raise self._lost() from None
                _ = self.width
                continue
            if isinstance(news, (list, tuple)):
                key, share, words = news
                if key in self._jobs:
                    return Told(self._jobs[key], share, words)
            elif news in self._futures:
                return self._ended(news)
        return None

    def _ended(self, future: Any) -> Told:
        if future.cancelled() or self._client.status != "running":
            raise self._lost()
        job = self._futures.pop(future)
        self._jobs.pop(job.key, None)
        try:
            sent = future.result(timeout=60)
        except Exception as problem:  # of whatever kind: a worker that was lost, or could not even read the task
            return Told(job, failure=Failure(job, f"{type(problem).__name__}: {problem}"))
        try:
            if sent.folder:
                unpack(sent.folder, self._store.tried(job))
        except OSError as problem:
            raise self._store.trouble(self._store.tried(job), problem) from problem
        if sent.done is not None:
            return Told(job, 1.0, done=sent.done)
        return Told(job, failure=Failure(job, sent.failed, str(self._store.log(job)) if sent.folder else "", sent.refused))

    def _lost(self) -> SweepError:
        return SweepError(f"--scheduler {self._address}: the connection is lost; what is finished is kept, the same command goes on")

    def close(self) -> None:
        """Workers end what is under way; a cluster of our own ends."""
        with contextlib.suppress(Exception):  # it may be gone
            self._client.cancel(list(self._futures), force=True)
            until_s = time.monotonic() + END_S
            while self._address == OWN and time.monotonic() < until_s and any(self._client.run(dask_worker.busy).values()):
                time.sleep(0.1)
        for job in self._futures.values():
            self._store.forget(job)
        self._futures.clear()
        with contextlib.suppress(Exception):
            self._stack.close()


async def _greet(address: str) -> None:
    """A connection and nothing more: a Client that has failed to connect complains for long."""
    core, security = import_module("distributed.comm.core"), import_module("distributed.security")
    comm = await core.connect(address, timeout=CONNECT_S, **security.Security().get_connection_args("client"))
    await comm.close()


def _first(problem: BaseException) -> str:
    """The first line of what it says."""
    return str(problem).partition("\n")[0] or type(problem).__name__
