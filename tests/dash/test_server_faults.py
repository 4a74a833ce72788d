"""The dashboard lives on, and says what is wrong, whatever happens to the runs it shows."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dash_client import ask, get, listening, until
from large_runs import add_steps, end, filling, large_run

from labonn.dash.serving import Dashboard
from labonn.record import Record
from labonn.record.liveness import hold, is_written
from labonn.record.schema import FILE

ALL = ("", "/curves", "/ports", "/histograms", "/frames/gain", "/maps/theta", "/log", "/bench")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return large_run(tmp_path, 120)


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    with Dashboard(folder.parent) as url:
        yield url


def everything(url: str, folder: Path) -> list[int]:
    return [ask(url, f"/api/runs/{folder.name}{page}").status for page in ALL]


def open_files() -> list[str]:
    links = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(os.readlink(link))
    return links


def test_a_record_that_is_cut_short_is_told_of_and_shown_again_once_it_is_whole(folder: Path, url: str) -> None:
    assert everything(url, folder) == [200] * 8
    whole = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(whole[: len(whole) // 2])
    answer = ask(url, f"/api/runs/{folder.name}/curves")
    assert answer.status == 500
    assert f"{FILE}: database disk image is malformed" in answer.json["error"]
    (folder / FILE).write_bytes(b"not a database" * 1000)
    assert "file is not a database" in ask(url, f"/api/runs/{folder.name}").json["error"]
    (listed,) = get(url, "/api/runs")["runs"]
    assert "file is not a database" in listed["message"]
    (folder / FILE).write_bytes(whole)
    assert everything(url, folder) == [200] * 8
    assert "message" not in get(url, "/api/runs")["runs"][0]


def test_a_record_that_is_cut_short_while_listed_does_not_take_the_list_with_it(folder: Path, url: str) -> None:
    whole = (folder / FILE).read_bytes()
    large_run(folder.parent, 50, seed=3)
    for size in (len(whole) // 2, 4096, 100, 0):
        (folder / FILE).write_bytes(whole[:size])
        told = {run["name"]: run for run in get(url, "/api/runs")["runs"]}
        assert told["20260101T120300Z-train_chip"]["steps"] == 50
        assert told[folder.name].get("message"), size


def test_a_record_that_is_damaged_somewhere_inside_is_told_of_whatever_is_asked(folder: Path, url: str) -> None:
    large_run(folder.parent, 50, seed=3)
    whole = bytearray((folder / FILE).read_bytes())
    for begin in range(4096, len(whole), 8192):  # every other page
        whole[begin : begin + 4096] = os.urandom(4096)
    (folder / FILE).write_bytes(whole)
    for page in ALL:
        answer = ask(url, f"/api/runs/{folder.name}{page}")
        assert answer.status in (200, 404, 500)
        assert answer.status == 200 or answer.json["error"], page
    told = {run["name"]: run for run in get(url, "/api/runs")["runs"]}
    assert f"{FILE}: " in told[folder.name]["message"]
    assert told["20260101T120300Z-train_chip"]["steps"] == 50
    with listening(url, f"/api/live?run={folder.name}") as events:
        until(lambda: events.of("run"))
        assert events.of("run")[0]["status"] == "unreadable"


def test_texts_of_a_record_that_are_no_json_are_told_of(folder: Path, url: str) -> None:
    with filling(folder) as db:
        db.execute("UPDATE steps SET metrics_of = '{\"loss\": 0.', commands_of = 'x' WHERE step = 7")
        db.execute("UPDATE sessions SET settings = '{'")
    for page in ("", "/curves", "/ports"):
        answer = ask(url, f"/api/runs/{folder.name}{page}")
        assert (answer.status, "cannot be read" in answer.json["error"]) == (500, True), page
    assert len(get(url, "/api/runs")["runs"]) == 1


def test_a_run_whose_folder_is_deleted_is_gone_and_pages_that_watch_it_are_told(folder: Path, url: str) -> None:
    with listening(url, f"/api/live?run={folder.name}") as events:
        until(lambda: events.of("run"))
        shutil.rmtree(folder)
        until(lambda: events.of("run")[-1]["status"] == "gone")
        assert "no run is called so" in events.of("run")[-1]["message"]
        until(lambda: len(events.of("runs")) > 1)
        assert get(url, "/api/runs")["runs"] == []
        answer = ask(url, f"/api/runs/{folder.name}")
        assert (answer.status, folder.name in answer.json["error"]) == (404, True)
        again = large_run(folder.parent, 60)
        assert again == folder
        until(lambda: events.of("run")[-1]["step"] == 60)
        assert get(url, f"/api/runs/{folder.name}/curves")["step"]["loss"]["step"][-1] == 60


def test_a_run_that_is_replaced_by_another_of_its_name_is_read_anew(folder: Path, url: str) -> None:
    before = get(url, f"/api/runs/{folder.name}/curves")["step"]["loss"]
    shutil.rmtree(folder)
    with filling(large_run(folder.parent, 200)) as db:
        db.execute("UPDATE steps SET metrics_of = '{\"loss\": 1}' WHERE kind = 'step'")
    after = get(url, f"/api/runs/{folder.name}/curves")["step"]["loss"]
    assert (before["step"][-1], after["step"][-1], set(after["value"])) == (120, 200, {1})


def test_a_record_of_the_first_version_lacks_maps_and_nothing_else(folder: Path, url: str) -> None:
    with filling(folder) as db:
        for table in ("layouts", "maps", "ranges", "temperatures"):
            db.execute(f"DROP TABLE {table}")
        db.execute("PRAGMA user_version = 1")
    assert everything(url, folder) == [200, 200, 200, 200, 200, 404, 200, 200]
    assert get(url, f"/api/runs/{folder.name}/histograms")["output"]["range"] is None
    assert get(url, f"/api/runs/{folder.name}")["maps"] == {}


def test_a_record_of_a_version_to_come_says_so(folder: Path, url: str) -> None:
    with filling(folder) as db:
        db.execute("PRAGMA user_version = 9")
    assert "has version 9 of the tables; this labonn knows versions 1 to 2" in ask(url, f"/api/runs/{folder.name}").json["error"]
    assert "has version 9" in get(url, "/api/runs")["runs"][0]["message"]


def test_a_run_without_a_record_is_listed_and_says_that_it_has_none(folder: Path, url: str) -> None:
    (folder / FILE).unlink()
    assert f"there is no {FILE} in this folder" in get(url, "/api/runs")["runs"][0]["message"]
    assert f"there is no {FILE} in this folder" in ask(url, f"/api/runs/{folder.name}").json["error"]


def test_a_job_without_a_bench_has_its_title_in_the_list_and_is_no_fault(folder: Path, url: str) -> None:
    (folder / FILE).unlink()
    (folder / "settings.json").write_text('{"procedure": "twin", "seed": 0, "title": "ReLU (digital)", "versions": {}}')
    (listed,) = get(url, "/api/runs")["runs"]
    assert (listed.get("message"), listed["title"]) == (None, "ReLU (digital)")
    told = ask(url, f"/api/runs/{folder.name}").json["error"]
    assert told == f"ReLU (digital): it had no bench, and so has no record; `labonn report {folder}` shows what came of it"


def test_a_record_that_somebody_locks_is_read_once_that_is_over(folder: Path, url: str) -> None:
    db = sqlite3.connect(folder / FILE, isolation_level=None)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO events (session, entry, time, level, text) VALUES (1, 1, 1, 'info', 'locked')")
    answer = ask(url, f"/api/runs/{folder.name}/log")
    assert (answer.status, "database is locked" in answer.json["error"]) == (500, True)
    db.execute("COMMIT")
    db.close()
    assert get(url, f"/api/runs/{folder.name}/log")["events"][-1]["text"] == "locked"


def test_a_folder_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    out = tmp_path / "not yet"
    with Dashboard(out) as url:
        told = get(url, "/api/runs")
        assert (told["runs"], told["waiting"].startswith(f"{out}: there is no such folder yet")) == ([], True)
        with listening(url) as events:
            until(lambda: events.of("runs"))
            folder = large_run(out, 10)
            until(lambda: len(events.of("runs")) > 1)
        told = get(url, "/api/runs")
        assert ([run["name"] for run in told["runs"]], "waiting" in told) == ([folder.name], False)


def test_no_file_of_a_run_stays_open_and_none_is_made(folder: Path, url: str) -> None:
    before = sorted(path.name for path in folder.iterdir())
    with listening(url, f"/api/live?run={folder.name}") as events:
        for _ in range(3):
            assert everything(url, folder) == [200] * 8
        until(lambda: events.of("run"))
    until(lambda: not [path for path in open_files() if str(folder) in path], "a file of the run stays open")
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_run_that_ends_while_pages_watch_it_leaves_one_file_without_a_log(tmp_path: Path) -> None:
    from labonn.record.writing import Writer

    folder = large_run(tmp_path, 50, ended=False)
    with Dashboard(tmp_path) as url, listening(url, f"/api/live?run={folder.name}") as events:
        writer = Writer(folder / FILE)
        over = False

        def watch() -> None:
            while not over:
                everything(url, folder)

        import threading

        pages = [threading.Thread(target=watch) for _ in range(3)]
        for page in pages:
            page.start()
        for number in range(100):
            writer.put({"events": [(1, 50, time.time(), "info", f"event {number}")]})
        writer.close()
        left = sorted(path.name for path in folder.iterdir() if path.name.startswith(FILE))
        over = True
        for page in pages:
            page.join()
        assert left == [FILE]
        until(lambda: events.of("run")[-1]["events"] == 101)


def test_a_new_step_is_told_within_half_a_second_and_so_is_the_end(tmp_path: Path) -> None:
    folder = large_run(tmp_path, 50, ended=False)
    lock = hold(folder)
    assert lock is not None
    with Dashboard(tmp_path) as url, listening(url, f"/api/live?run={folder.name}") as events:
        first = until(lambda: events.of("run"))[0]
        assert first == {"name": folder.name, "entry": 50, "step": 50, "status": "running", "events": 1}
        late = []
        for step in range(51, 57):
            with filling(folder) as db:
                add_steps(db, "train_chip", step, 1)
            written = time.monotonic()
            until(lambda step=step: events.of("run")[-1]["step"] == step)  # type: ignore[misc]
            late.append(max(when for when, kind, data in events.seen if kind == "run" and data["step"] == step) - written)
        assert min(late) < 0.5, late
        assert get(url, f"/api/runs/{folder.name}/curves")["step"]["loss"]["step"][-1] == 56
        with filling(folder) as db:
            end(db, 56)
        os.close(lock)
        until(lambda: events.of("run")[-1]["status"] == "finished")
        until(lambda: len(events.of("runs")) > 1)


def test_a_run_that_dies_without_a_word_is_told_as_died(tmp_path: Path) -> None:
    folder = large_run(tmp_path, 50, ended=False)
    lock = hold(folder)
    assert lock is not None
    with Dashboard(tmp_path) as url, listening(url, f"/api/live?run={folder.name}") as events:
        until(lambda: events.of("run") and events.of("run")[-1]["status"] == "running")
        os.close(lock)
        until(lambda: events.of("run")[-1]["status"] == "died")
        until(lambda: get(url, "/api/runs")["runs"][0]["status"] == "died")


def test_who_looks_whether_a_run_is_written_does_not_keep_the_run_from_its_lock(tmp_path: Path) -> None:
    import threading

    over, looks = threading.Event(), []

    def look() -> None:
        while not over.is_set():
            looks.append(is_written(tmp_path))

    (tmp_path / "events.log").touch()
    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(300):
            lock = hold(tmp_path)
            assert lock is not None
            assert hold(tmp_path) is None
            os.close(lock)
    finally:
        over.set()
        for looker in lookers:
            looker.join()
    assert looks


def test_a_reader_that_stays_is_not_waited_for_longer_than_a_second(tmp_path: Path) -> None:
    from labonn.record.writing import Writer

    folder = large_run(tmp_path, 5, ended=False)
    with Record(folder) as record:
        writer = Writer(folder / FILE)
        writer.put({"events": [(1, 5, time.time(), "info", "the last")]})
        record.events()
        began = time.monotonic()
        writer.close()
        assert time.monotonic() - began < 5
        assert record.events()[-1]["text"] == "the last"
