"""Sweeps on Dask workers: the same results, and what happens when workers, or the scheduler, are not as they should be."""

from __future__ import annotations

import functools
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labonn.errors import MissingPackageError, SweepError
from labonn.reproduce import run_job, twin_job
from labonn.reproduce.sets import Images
from labonn.sweeps import Job, Store, Swept, dask_worker, sweep
from labonn.sweeps.cluster import DaskRunner
from labonn.sweeps.local import LocalRunner
from labonn.sweeps.sweep import Runner

MINI = Images("mini")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")  # of Dask's own


@contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[str]]:
    path = os.pathsep.join([str(Path(__file__).parents[1] / "helpers"), *sys.path])
    given = [sys.executable, "-m", "dask", *command]
    with subprocess.Popen(given, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The line that says it; what comes later is read away."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(pattern, line):
            threading.Thread(target=functools.partial(list, process.stderr), daemon=True).start()
            return found
    raise AssertionError(f"never said {pattern}")


@pytest.fixture
def scheduler() -> Iterator[str]:
    with started("scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard") as process:
        yield said(process, r"Scheduler at:\s+(\S+)")[1]


@contextmanager
def worker(scheduler: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    given = [scheduler, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder)]
    with started("worker", *given) as process:
        said(process, "Starting established connection|Registered to")
        yield process


def swept(runner: Runner, store: Store, *jobs: Job) -> Swept:
    try:
        return sweep(jobs, store, runner)
    finally:
        runner.close()


def drawn(seeds: int, **settings: float) -> list[Job]:
    return [Job("sweep_work:drawn", settings, seed) for seed in range(seeds)]


@pytest.mark.slow
@pytest.mark.timeout(300)  # nine jobs, each in a process of its own, on a computer that may be busy
def test_one_process_two_processes_and_two_dask_workers_give_the_same_bytes(tmp_path: Path) -> None:
    training = {"ideal": True, "hidden": [8], "epochs": 1, "limit": 64, "data": "{data}"}
    recipe = {"network": "784-8-10", "activation": ["absorber", 10.0], "epochs": 2, "limit": 300}
    jobs = [twin_job("twin", MINI, seed, **recipe) for seed in range(2)]
    jobs.append(run_job("bench", 0, ("train_vapour_cell", training), images=MINI))
    stores = [Store(tmp_path / name) for name in ("one", "two", "dask")]
    runners = [LocalRunner(stores[0], 1), LocalRunner(stores[1], 2), DaskRunner(stores[2], "local", 2)]
    one, *others = [swept(runner, store, *order) for runner, store, order in zip(runners, stores, (jobs, jobs[::-1], jobs), strict=True)]
    assert not one.failures
    assert len({repr(found.result["test_accuracy"]) for found in one.outcomes.values()}) > 1, "seeds count"
    for other in others:
        assert not other.failures
        for job in jobs:
            results = [{name: value for name, value in found.outcomes[job].result.items() if name != "folders"} for found in (one, other)]
            assert results[0] == results[1]
            files = [(found.outcomes[job].run or Path()) / "weights.npz" for found in (one, other)]
            assert files[0].read_bytes() == files[1].read_bytes()
    assert not list(tmp_path.rglob("checkpoints"))


@pytest.mark.slow
def test_a_worker_that_is_lost_takes_no_job_with_it(scheduler: str, tmp_path: Path) -> None:
    with worker(scheduler, tmp_path / "a") as first, worker(scheduler, tmp_path / "b"):
        store = Store(tmp_path / "out")
        runner = DaskRunner(store, scheduler)
        assert runner.width == 2
        threading.Timer(2.0, first.kill).start()
        found = swept(runner, store, *drawn(4, seconds=1.5))
    assert [one.result["number"] for one in found.outcomes.values()] == [random.Random(seed).random() for seed in range(4)]
    assert not found.failures


@pytest.mark.slow
def test_when_nobody_wants_a_job_any_more_its_process_ends(scheduler: str, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with worker(scheduler, tmp_path / "a"):
        store = Store(tmp_path / "out")
        runner = DaskRunner(store, scheduler)
        runner.start(Job("sweep_work:forever", {}, 0, {"notes": str(notes)}))
        news = runner.news(20)
        assert news is not None
        assert (news.share, news.words) == (0.1, "waiting")
        pid = int(notes.read_text().split()[1])
        runner.close()
        until_s = time.monotonic() + 15
        while Path(f"/proc/{pid}").exists() and time.monotonic() < until_s:
            time.sleep(0.1)
        assert not Path(f"/proc/{pid}").exists()
        assert not [path for path in (tmp_path / "a").rglob("labonn-*") if path.is_dir()]


@pytest.mark.slow
def test_data_that_a_worker_does_not_have_is_told_with_worker_path_and_option(scheduler: str, tmp_path: Path) -> None:
    with worker(scheduler, tmp_path / "a"):
        store, job = Store(tmp_path / "out"), Job("sweep_work:drawn", {"data": {"sha256": "f" * 64}}, 0, {"data": "/nowhere/mnist"})
        with pytest.raises(SweepError, match=r"worker tcp://127.0.0.1:\d+: --data /nowhere/mnist: no such folder on \S+; every computer"):
            swept(DaskRunner(store, scheduler), store, job)


@pytest.mark.slow
def test_a_worker_that_is_lost_just_when_it_is_asked_for_its_data_ends_no_sweep(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with worker(scheduler, tmp_path / "a"):
        store = Store(tmp_path / "out")
        runner = DaskRunner(store, scheduler)
        monkeypatch.setattr(runner._client, "run", lambda *_, **__: {"tcp://10.0.0.9:1": OSError("in <TCP>: Stream is closed")})
        assert not swept(runner, store, *drawn(1)).failures


@pytest.mark.slow
def test_workers_with_another_labonn_are_refused(scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = dask_worker.told(dask_worker.code())
    with worker(scheduler, tmp_path / "a"):
        monkeypatch.setattr(dask_worker, "told", lambda found: "labonn " + found["labonn"])
        monkeypatch.setattr("labonn.sweeps.dask_worker.versions", lambda: {"labonn": "9.9.9"})
        with pytest.raises(SweepError, match=rf"worker tcp://\S+: {theirs.split(' (')[0]} there, labonn 9.9.9 here; the same is wanted"):
            DaskRunner(Store(tmp_path), scheduler)


@pytest.mark.slow
def test_a_job_that_refuses_its_settings_is_not_tried_again_by_any_worker(scheduler: str, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with worker(scheduler, tmp_path / "a"):
        store = Store(tmp_path / "out")
        found = swept(DaskRunner(store, scheduler), store, Job("sweep_work:refuses", {}, 0, {"notes": str(notes)}))
    assert found.failures[0].told.endswith("ProcedureError: --hidden 0: at least 1")
    assert len(notes.read_text().splitlines()) == 1


@pytest.mark.slow
def test_a_lost_scheduler_ends_the_sweep_with_what_is_finished_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store, jobs = Store(tmp_path / "out"), drawn(3, seconds=1.0)
    with started("scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard") as process:
        address = said(process, r"Scheduler at:\s+(\S+)")[1]
        with worker(address, tmp_path / "a"):
            runner = DaskRunner(store, address)
            lost = threading.Timer(3.5, process.send_signal, (signal.SIGKILL,))
            lost.start()
            with pytest.raises(SweepError, match="the connection is lost; what is finished is kept"):
                swept(runner, store, *jobs, Job("sweep_work:forever", {}, cost=0.1))
    assert any(store.find(job) for job in jobs)
    assert not list((tmp_path / "out" / "tries").iterdir())
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_an_error_once_it_was_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labonn.sweeps.cluster.CONNECT_S", 0.5)
    begun_s = time.monotonic()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(SweepError, match=rf"--scheduler {address}: no Dask scheduler answers .*`dask scheduler` starts one"):
            DaskRunner(Store(tmp_path), address)
    assert time.monotonic() - begun_s < 15


def test_workers_of_a_cluster_are_not_counted_here(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"--workers 3: the cluster at tcp://10.0.0.5:8786 has its own"):
        DaskRunner(Store(tmp_path), "tcp://10.0.0.5:8786", 3)


def test_without_dask_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingPackageError, match=r'--scheduler local: needs Dask.*pip install "labonn\[cluster\]"'):
        DaskRunner(Store(tmp_path), "local")
