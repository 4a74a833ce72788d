"""A record that cannot be written ends the run with words, everything safe, and what was written before stays."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labonn.bench import Bench
from labonn.errors import RecordError
from labonn.record import open_record
from labonn.record.recorder import Recorder
from labonn.runs import Run

Play = Callable[[Bench, int], None]
FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
from labonn.cli import main
sys.exit(main(["run", "train_vapour_cell", "--dry-run", "--hidden", "4", "--limit", "640", "--epochs", "60", "--checkpoint", "0"]))
"""


def until_it_fails(bench: Bench, recorder: Recorder, play: Play) -> int:
    """Steps until the record's trouble is heard of, at most some hundred."""
    for step in range(1, 2000):
        play(bench, step % 500)
        recorder.step(step, {"loss": 1.0})
    raise AssertionError("nothing was noticed")


def test_a_file_that_may_not_grow_any_more_ends_a_run_with_words_and_a_safe_bench(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert f"labonn: failed; the bench is safe; what there is so far is in {Path('runs') / run.name}" in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("labonn: error: ")
    assert "record.sqlite: cannot be written (disk I/O error): it is as large as files may be here, or the disk fails; what was" in last
    assert "Traceback" not in done.stderr
    with open_record(run) as record:
        steps = record.steps()["step"]
        assert steps.tolist() == list(range(1, len(steps) + 1))
        assert len(steps) > 5
        assert record.status() == "failed"
    assert "failed: RecordError" in (run / "events.log").read_text()
    assert json.loads((run / "result.json").read_text())["status"] == "failed"
    assert (run / "weights.npz").exists()


def test_a_record_that_is_deleted_under_way_is_noticed(bench: Bench, recorder: Recorder, folder: Path, play: Play) -> None:
    play(bench, 1)
    recorder.step(1, {})
    recorder.flush()
    (folder / "record.sqlite").unlink()
    with pytest.raises(RecordError, match=r"record\.sqlite: was deleted or replaced while the run wrote to it"):
        until_it_fails(bench, recorder, play)


def test_a_log_that_is_deleted_under_way_is_noticed_too(bench: Bench, recorder: Recorder, folder: Path, play: Play) -> None:
    recorder.flush()
    (folder / "record.sqlite-wal").unlink()
    with pytest.raises(RecordError, match=r"record\.sqlite-wal: was deleted"):
        until_it_fails(bench, recorder, play)


def test_a_record_that_another_program_keeps_locked_is_waited_for_then_told(
    bench: Bench, folder: Path, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labonn.record.writing.BUSY_S", 0.2)
    recorder = bench.observer = Recorder(folder, bench, {})
    recorder.flush()
    other = sqlite3.connect(folder / "record.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RecordError, match=r"another program has kept it locked for 0\.2 s; close that"):
        until_it_fails(bench, recorder, play)
    other.close()
    bench.close()  # makes everything safe, and is not hindered
    recorder.finish("failed")  # has been told already
    with open_record(folder) as record:
        assert record.status() == "died"


def test_a_lock_that_is_let_go_in_time_is_only_a_pause(bench: Bench, recorder: Recorder, folder: Path, play: Play) -> None:
    recorder.flush()
    other = sqlite3.connect(folder / "record.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    play(bench, 1)
    recorder.step(1, {})
    assert recorder.committed_step == 0
    other.execute("COMMIT")
    recorder.flush()
    assert recorder.committed_step == 1
    other.close()


def test_a_writer_that_is_killed_is_noticed_and_does_not_stand_in_the_way_of_safety(
    bench: Bench, recorder: Recorder, folder: Path, play: Play
) -> None:
    play(bench, 1)
    recorder.step(1, {})
    recorder.flush()
    os.kill(recorder.writer, signal.SIGKILL)
    with pytest.raises(RecordError, match="the process that writes it is gone; the run cannot go on unrecorded"):
        until_it_fails(bench, recorder, play)
    bench.close()
    recorder.finish("failed")
    with open_record(folder) as record:
        assert record.steps()["step"].tolist() == [1]


def test_trouble_that_comes_with_the_last_entry_is_not_kept_quiet(bench: Bench, recorder: Recorder, play: Play) -> None:
    recorder.flush()
    os.kill(recorder.writer, signal.SIGKILL)
    with pytest.raises(RecordError, match="is gone"):
        recorder.finish("finished")


def test_events_are_in_the_log_even_when_the_record_is_broken(tmp_path: Path, bench: Bench) -> None:
    run = Run.create(tmp_path / "runs", "train_x", {})
    run.write_bytes("bench.toml", b"")
    run.observe(bench)
    assert run.record is not None
    os.kill(run.record.writer, signal.SIGKILL)
    for number in range(100):
        run.event(f"event {number}")
    assert (run.folder / "events.log").read_text().count("event ") == 100
    with pytest.raises(RecordError):
        run.step(1, loss=0.5)
    bench.observer = None
    run.finish(status="failed")
    assert json.loads((run.folder / "result.json").read_text())["status"] == "failed"
    with open_record(run.folder) as record:
        assert record.status() == "failed"


def test_a_run_folder_that_nothing_can_be_written_to_is_told_before_anything_is_played(tmp_path: Path, bench: Bench) -> None:
    run = Run.create(tmp_path / "runs", "train_x", {})
    run.write_bytes("bench.toml", b"")
    (run.folder / "record.sqlite").mkdir()
    with pytest.raises(RecordError, match=r"record\.sqlite: cannot be written: unable to open database file"):
        run.observe(bench)


def test_a_metrics_file_that_cannot_be_written_is_a_typed_error(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "train_x", {})
    (run.folder / "metrics.jsonl").mkdir()
    with pytest.raises(RecordError, match=r"metrics\.jsonl: cannot be written: Is a directory"):
        run.metrics({"epoch": 1})


def test_ctrl_c_leaves_the_writer_alone_and_the_run_ends_as_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "labonn.cli", "run", "train_vapour_cell", "--dry-run", "--hidden", "8", "--limit", "640"]
    command += ["--epochs", "500"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        process.stderr.readline()  # the first epoch is over
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
        assert process.wait(30) == 130
    (run,) = (tmp_path / "runs").iterdir()
    with open_record(run) as record:
        assert record.status() == "interrupted"
        assert len(record.steps()["step"]) >= 10
