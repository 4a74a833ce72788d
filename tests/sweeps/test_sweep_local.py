"""Sweeps on this computer, as users have them: jobs that succeed, fail, die; sweeps that are stopped, or share a store."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from labonn.errors import SweepError
from labonn.sweeps import Job, Store, Swept, sweep
from labonn.sweeps.local import LocalRunner

HERE = "sweep_work"
PROGRAM = """
import json, sys
from pathlib import Path
from labonn.sweeps import Job, Store, sweep
from labonn.sweeps.local import LocalRunner
out, work, settings, seeds, notes = json.loads(sys.argv[1])
store = Store(Path(out))
runner = LocalRunner(store, 2)
found = sweep([Job(f"sweep_work:{work}", settings, seed, {"notes": notes}) for seed in range(seeds)], store, runner)
runner.close()
print(json.dumps({"numbers": [one.result["number"] for one in found.outcomes.values()], "failures": len(found.failures)}))
"""


@contextmanager
def local(store: Store, width: int) -> Iterator[LocalRunner]:
    runner = LocalRunner(store, width)
    try:
        yield runner
    finally:
        runner.close()


def job(work: str, seed: int = 0, settings: Mapping[str, Any] | None = None, **more: Any) -> Job:
    return Job(f"{HERE}:{work}", settings or {}, seed, **more)


def swept(folder: Path, *jobs: Job, width: int = 2) -> Swept:
    store = Store(folder)
    with local(store, width) as runner:
        return sweep(jobs, store, runner)


def program(out: Path, work: str, notes: Path, seeds: int = 1, **settings: Any) -> subprocess.Popen[str]:
    given = json.dumps([str(out), work, settings, seeds, str(notes)])
    path = os.pathsep.join([str(Path(__file__).parents[1] / "helpers"), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, given], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )


def wait_for(met: Callable[[], bool], seconds: float = 20.0) -> bool:
    until_s = time.monotonic() + seconds
    while not met() and time.monotonic() < until_s:
        time.sleep(0.02)
    return met()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_jobs_are_done_in_other_processes_and_kept_so_that_a_second_sweep_does_none(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    jobs = [job("drawn", seed, places={"notes": str(notes)}) for seed in (3, 1)]
    first = swept(tmp_path / "out", *jobs)
    assert [first.outcomes[one].result["number"] for one in jobs] == [random.Random(seed).random() for seed in (3, 1)]
    assert os.getpid() not in {first.outcomes[one].result["process"] for one in jobs}
    again = swept(tmp_path / "out", *jobs)
    assert (first.again, again.again) == (0, 2)
    assert again.outcomes == first.outcomes
    assert len(notes.read_text().splitlines()) == 2


def test_run_folders_of_one_name_all_get_a_place_and_results_say_which(tmp_path: Path) -> None:
    found = swept(tmp_path, *(job("drawn", seed) for seed in range(3)))
    runs = {one.run for one in found.outcomes.values()}
    stem = "20260101T000000Z-drawn"
    assert runs == {tmp_path / "runs" / name for name in (stem, f"{stem}-2", f"{stem}-3")}
    for outcome in found.outcomes.values():
        assert outcome.run is not None
        assert (outcome.run / "number.txt").read_text() == repr(outcome.result["number"])
        assert outcome.result["folders"] == [outcome.run.name]
    assert not list((tmp_path / "tries").iterdir())


def test_a_job_that_raises_and_one_that_is_killed_are_told_with_their_logs_and_take_nothing_with_them(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    bad, dead, good = job("raises", places={"notes": str(notes)}), job("killed"), job("drawn")
    found = swept(tmp_path / "out", bad, dead, good)
    assert list(found.outcomes) == [good]
    told = {failure.job: failure for failure in found.failures}
    assert told[bad].told == "ValueError: a mirror fell"
    assert "ended by SIGKILL" in told[dead].told
    log = Path(told[bad].log)
    assert "no luck today" in log.read_text()
    assert "Traceback" in log.read_text()
    assert (log.parent / "begun").is_dir(), "what the last try has left is there to look at"
    assert len(notes.read_text().splitlines()) == 2, "two tries"
    assert "drawing" in (tmp_path / f"out/logs/{good.key}.txt").read_text()


def test_a_job_that_refuses_its_settings_is_not_tried_again(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    found = swept(tmp_path / "out", job("refuses", places={"notes": str(notes)}))
    (failure,) = found.failures
    assert (failure.told, failure.refused) == ("ProcedureError: --hidden 0: at least 1", True)
    assert "Traceback" in Path(failure.log).read_text()
    assert len(notes.read_text().splitlines()) == 1, "one try"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_at_a_job_is_told_even_if_its_log_is_on_it(tmp_path: Path) -> None:
    (failure,) = swept(tmp_path, job("fills_the_disk")).failures
    assert failure.told == "OSError: [Errno 28] No space left on device"


@pytest.mark.parametrize("settings", [{"run": ["one"]}, {"run": "/tmp/one"}, {"run": 3}, {"folders": 3}, {"folders": ["one", 2]}])
def test_a_result_that_names_no_run_folders_where_it_should_fails_its_job_only(settings: dict[str, Any], tmp_path: Path) -> None:
    wrong, good = job("names", settings=settings), job("drawn")
    found = swept(tmp_path, wrong, good)
    assert list(found.outcomes) == [good]
    assert f"SweepError: the result of the work '{HERE}:names': `run` is the name of a run folder" in found.failures[0].told


def test_a_job_that_is_asked_to_end_says_by_what(tmp_path: Path) -> None:
    (failure,) = swept(tmp_path, job("asked_to_end")).failures
    assert failure.told == "Stopped: SIGTERM"


def test_places_that_are_no_texts_are_an_error_of_their_job(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"job four: places, title and cost are plain values: Object of type \w+ is not JSON"):
        swept(tmp_path, job("drawn", title="four", places={"notes": tmp_path}))


def test_a_sweep_does_not_wait_for_what_a_job_has_left_behind(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    found = swept(tmp_path, job("leaves_something"))
    took_s = time.monotonic() - begun_s
    (outcome,) = found.outcomes.values()
    with contextlib.suppress(ProcessLookupError):
        os.kill(outcome.result["left"], signal.SIGKILL)
    assert took_s < 30


def test_letters_that_no_file_can_have_are_kept(tmp_path: Path) -> None:
    """As paths have them that are not of this encoding."""
    found = swept(tmp_path, job("names", settings={"place": "d\udcff"}))
    assert [one.result for one in found.outcomes.values()] == [{"place": "d\udcff"}]
    assert swept(tmp_path, *found.outcomes).outcomes == found.outcomes


def test_what_fails_once_is_tried_again(tmp_path: Path) -> None:
    found = swept(tmp_path / "out", job("second_time", places={"notes": str(tmp_path / "notes")}))
    assert [one.result for one in found.outcomes.values()] == [{"tries": 2}]
    assert not found.failures


def test_closing_ends_what_is_under_way_and_leaves_nothing_of_it(tmp_path: Path) -> None:
    store, one = Store(tmp_path), job("forever")
    with local(store, 1) as runner:
        runner.start(one)
        news = runner.news(20)
        assert news is not None
        assert (news.share, news.words) == (0.1, "waiting")
        pid = runner.processes[one].pid
    assert not alive(pid)
    assert not store.tried(one).exists()
    assert store.find(one) is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
def test_a_sweep_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with program(tmp_path / "out", "forever", notes, seeds=2) as sweeping:
        assert wait_for(lambda: notes.exists() and len(notes.read_text().splitlines()) == 2)
        pids = [int(line.split()[1]) for line in notes.read_text().splitlines()]
        assert all(map(alive, pids))
        sweeping.send_signal(signal.SIGKILL)
    assert wait_for(lambda: not any(map(alive, pids)))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="locks are of POSIX")
def test_two_sweeps_at_once_share_a_store_and_do_every_job_once(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with program(tmp_path / "out", "drawn", notes, 4, seconds=0.2) as one, program(tmp_path / "out", "drawn", notes, 4, seconds=0.2) as two:
        found = [json.loads(sweeping.communicate(timeout=60)[0]) for sweeping in (one, two)]
    expected = {"numbers": [random.Random(seed).random() for seed in range(4)], "failures": 0}
    assert found == [expected, expected]
    assert sorted(int(line.split()[0]) for line in notes.read_text().splitlines()) == [0, 1, 2, 3]


def test_a_broken_result_is_an_error_that_says_what_to_remove(tmp_path: Path) -> None:
    swept(tmp_path, job("drawn"))
    (path,) = (tmp_path / "jobs").iterdir()
    for text in ("", "[]", '{"run": 1}', '{"run": null, "seconds": 1, "result": 5}'):
        path.write_text(text)
        with pytest.raises(SweepError, match=rf"{path.name}: no result of a job .*; remove it, and the job is done again"):
            swept(tmp_path, job("drawn"))


@pytest.mark.parametrize("content", [None, b"", b"PK", b"no arrays at all"])
def test_arrays_that_are_gone_or_broken_are_told_with_the_file_to_remove(content: bytes | None, tmp_path: Path) -> None:
    one = job("drawn")
    swept(tmp_path, one)
    found = Store(tmp_path).find(one)
    assert found is not None
    path = (found.run or Path()) / "weights.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SweepError, match=rf"{path}: .*; remove {tmp_path}/jobs/{one.key}\.json, and the job is done again"):
        found.arrays("weights")


def test_a_full_disk_is_an_error_and_the_job_is_not_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    store, one = Store(tmp_path), job("drawn")
    store.begin(one)
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        with pytest.raises(SweepError, match=rf"{one.key}\.json: cannot be written: No space left .*the same command goes on"):
            store.keep(one, {"number": 1.0}, None, 1.0, "here")
    assert store.find(one) is None
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_width_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="--workers 0: at least 1"):
        LocalRunner(Store(tmp_path), 0)
