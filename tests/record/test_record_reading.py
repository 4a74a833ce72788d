"""Records of long runs are read quickly, and while they are written."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labonn.bench import Bench
from labonn.cli import main
from labonn.record import Record, open_record
from labonn.record.finding import summary
from labonn.record.querying import evenly, thinned
from labonn.record.recorder import Recorder
from labonn.record.schema import SQL, prepared

Play = Callable[[Bench, int], None]
STEPS, EPOCH = 100_000, 100


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100,000 steps with eight ports, and a report every hundred."""
    folder = tmp_path_factory.mktemp("runs") / "20260101T120000Z-train_x"
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps({"procedure": "train_x", "seed": 0}))
    path = folder / "record.sqlite"
    prepared(path)
    db = sqlite3.connect(path)
    commands = json.dumps({f"actuator{port}": [1, 64, 1, -0.123456, 0.000123, 0.123456, 0.0345] for port in range(5)})
    entry, rows = 0, []
    for step in range(1, STEPS + 1):
        entry += 1
        readings = json.dumps({f"detector{port}": [1, 64, -step, 0.0, step, 0.5, 0, 0] for port in range(3)})
        metrics = json.dumps({"loss": 1 / step, "accuracy": step / STEPS})
        rows.append((entry, 1, "step", step, 1e9 + step, 0.004, step, 0.003, 2, 128, 14, metrics, commands, readings))
        if step % EPOCH == 0:
            entry += 1
            report = json.dumps({"epoch": step // EPOCH, "validation_accuracy": 0.5 + 0.4 * step / STEPS})
            rows.append((entry, 1, "report", step, 1e9 + step, 0.004, step, 0.003, 1, 500, 7, report, "{}", "{}"))
    db.execute(SQL["sessions"], (1, "train_x", "labonn run train_x", "{}", "", "", "{}", "[]", 0, 1, "here", "me", 1, 1e9))
    db.execute(SQL["endings"], (1, 1e9 + 500, "finished", None, "{}"))
    names = [("step", "loss"), ("step", "accuracy"), ("report", "epoch"), ("report", "validation_accuracy")]
    names += [("command", f"actuator{port}") for port in range(5)] + [("reading", f"detector{port}") for port in range(3)]
    db.executemany(SQL["names"], names)
    db.executemany(SQL["steps"], rows)
    db.commit()
    db.close()
    return folder


@pytest.fixture
def long_record(long_run: Path) -> Record:
    return open_record(long_run)


def took(action: Callable[[], object]) -> float:
    """Seconds of the fastest of three."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def test_the_newest_points_of_100_000_steps_come_in_a_few_milliseconds(long_record: Record) -> None:
    newest = long_record.newest()["entry"]
    found = long_record.metrics("loss", since=newest - 51)
    assert found["step"].tolist() == list(range(STEPS - 49, STEPS + 1))
    assert took(lambda: long_record.metrics("loss", since=newest - 51)) < 0.05
    assert took(lambda: long_record.readings("detector1", since=newest - 51)) < 0.05


def test_100_000_steps_thinned_to_some_hundred_points_come_in_well_under_a_second(long_record: Record) -> None:
    loss = long_record.metrics("loss", points=500)
    assert 400 <= len(loss["step"]) <= 500
    assert loss["step"][-1] == STEPS
    assert loss["high"][0] == 1.0  # no extreme is lost by thinning
    assert loss["value"][-1] == pytest.approx(1 / STEPS, rel=0.01)
    light = long_record.readings("detector1", points=500)
    assert 400 <= len(light["step"]) <= 501
    assert (light["max"] == light["step"]).all()
    assert light["step"][-1] == STEPS
    assert took(lambda: long_record.metrics("loss", points=500)) < 0.6
    assert took(lambda: long_record.readings("detector1", points=500)) < 0.1
    assert took(lambda: long_record.steps(points=500)) < 0.1


def test_a_metric_of_reports_is_found_without_reading_the_steps(long_record: Record) -> None:
    assert len(long_record.metrics("validation_accuracy")["value"]) == STEPS // EPOCH
    assert long_record.metrics("validation_accuracy")["step"][0] == EPOCH
    assert took(lambda: long_record.metrics("validation_accuracy")) < 0.1


def test_all_of_100_000_steps_can_be_had_too(long_record: Record) -> None:
    assert (long_record.metrics("loss")["value"] == 1 / np.arange(1, STEPS + 1)).all()
    assert long_record.commands("actuator4")["max"].tolist() == [0.123456] * STEPS


def test_a_run_of_100_000_steps_is_listed_in_well_under_a_second(long_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = summary(long_run)
    assert (one.steps, one.status, one.best, one.took_s) == (STEPS, "finished", ("validation_accuracy", pytest.approx(0.9)), 500)
    assert took(lambda: summary(long_run)) < 0.3
    assert took(lambda: main(["runs", "list", "--out", str(long_run.parent)])) < 0.6
    assert "100,000 90.0 %" in capsys.readouterr().out
    assert took(lambda: main(["runs", "show", "latest", "--json", "--out", str(long_run.parent)])) < 2


def test_a_reader_sees_a_growing_record_and_never_half_a_step(bench: Bench, recorder: Recorder, folder: Path, play: Play) -> None:
    seen: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        with open_record(folder) as record:
            while not stop.is_set():
                steps, losses = record.steps(), record.metrics("loss")
                assert len(losses["step"]) >= len(steps["step"])  # asked for later
                assert steps["step"].tolist() == list(range(1, len(steps["step"]) + 1))
                light = record.readings("forward_in")
                assert len(light["step"]) >= len(losses["step"])
                seen.append(len(steps["step"]))

    recorder.flush()
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for step in range(1, 400):
            play(bench, step)
            recorder.step(step, {"loss": 1 / step})
    finally:
        stop.set()
        watcher.join(30)
    assert len(set(seen)) > 5
    assert seen == sorted(seen)


def test_a_run_under_way_is_running_until_its_process_is_gone(recorder: Recorder, folder: Path) -> None:
    recorder.flush()
    with open_record(folder) as record:
        assert record.status() == "running"
        recorder.close()
        assert record.status() == "died"


def test_a_finished_record_is_read_from_a_folder_that_cannot_be_written_to(recorder: Recorder, folder: Path, tmp_path: Path) -> None:
    recorder.step(1, {"loss": 0.5})
    recorder.finish("finished")
    copy = tmp_path / "archive"
    copy.mkdir()
    (copy / "record.sqlite").write_bytes((folder / "record.sqlite").read_bytes())
    os.chmod(copy / "record.sqlite", 0o444)
    os.chmod(copy, 0o555)
    with open_record(copy) as record:
        assert record.metrics("loss")["value"].tolist() == [0.5]
        assert record.status() == "finished"
    os.chmod(copy, 0o755)


def test_nobody_can_write_by_a_record_that_was_opened_to_be_read(long_record: Record) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        long_record._db.execute("DELETE FROM steps")


def test_even_choice_and_thinning_keep_the_newest_and_count_as_promised() -> None:
    assert evenly(0, 10, 5) == [2, 4, 6, 8, 10]
    assert evenly(7, 10, 100) == [8, 9, 10]
    assert evenly(10, 10, 5) == []
    series = {"entry": np.arange(10), "step": np.arange(10), "value": np.array([1.0, np.nan, 3, 4, 5, 6, 7, 8, np.nan, np.nan])}
    found = thinned(series, 4)
    assert found["step"].tolist() == [2, 5, 8, 9]
    assert found["value"] == pytest.approx([2, 5, 7.5, np.nan], nan_ok=True)
    assert (found["low"][0], found["high"][0]) == (1, 3)
    assert thinned({name: values[:0] for name, values in series.items()}, 5)["low"].size == 0
