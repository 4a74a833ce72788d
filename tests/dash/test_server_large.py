"""Long runs: answers stay small and quick, and memory stays where it is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dash_client import ask, get, until
from large_runs import add_steps, copied, filling, large_run

from labonn.dash import library
from labonn.dash.reading import read_ports, read_steps
from labonn.dash.serving import Dashboard
from labonn.dash.towers import MOST_STRETCHES, Tower
from labonn.dash.watched import FRESH_S
from labonn.record import Record
from labonn.record.schema import FILE

STEPS = 22_000  # more than are read while somebody waits
PAGES = ("", "/curves?points=600", "/ports?points=300", "/histograms", "/frames/gain", "/log", "/bench")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run."""
    return large_run(tmp_path_factory.mktemp("runs"), STEPS)


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with Dashboard(folder.parent) as url:
        yield url


def test_a_long_run_is_told_in_as_many_points_as_were_asked_for(url: str, folder: Path) -> None:
    for points in (50, 600):
        answer = ask(url, f"/api/runs/{folder.name}/curves?points={points}")
        loss, effort = answer.json["step"]["loss"], answer.json["effort"]
        assert points / 2 - 1 <= len(loss["step"]) <= points
        assert len(effort["entry"]) <= points
        assert loss["step"][-1] == effort["step"][-1] == STEPS
        assert effort["shots"][-1] == 128 * (STEPS + STEPS // 100)
        assert len(answer.json["report"]["epoch"]["step"]) <= points
        assert len(answer.body) < 400 * points


def test_what_ports_did_between_the_points_is_told_once_it_has_been_read(url: str, folder: Path) -> None:
    with Record(folder) as record:
        every = record.readings("output")
        total = int(every["saturated"].sum() + record.readings("output", kind="report")["saturated"].sum())

    def exact() -> bool:
        output = get(url, f"/api/runs/{folder.name}/ports?points=100")["output"]
        assert len(output["max"]) <= 100
        return bool(
            sum(output["saturated"]) == every["saturated"].sum() and max(output["max"]) == pytest.approx(every["max"].max(), rel=1e-6)
        )

    until(exact, "what every step read")
    assert min(get(url, f"/api/runs/{folder.name}/ports?points=100")["output"]["min"]) == pytest.approx(every["min"].min(), rel=1e-6)
    until(lambda: get(url, f"/api/runs/{folder.name}/histograms")["output"]["saturated_total"] == total, "all saturated readings")


def test_a_tower_that_grew_bit_by_bit_is_the_one_that_is_read_at_once(folder: Path) -> None:
    with Record(folder) as record:
        newest = 2 * MOST_STRETCHES + 77
        for read, column in ((read_steps, ("loss", "high")), (read_ports, ("gain", "low"))):
            grown, whole = Tower(read), Tower(read)
            for until_entry in (*range(0, newest, 1777), newest):
                grown.extend(record, until_entry)
            whole.extend(record, newest)
            a, b = grown.table(10**6), whole.table(10**6)
            assert a.stretch.tolist() == b.stretch.tolist()
            assert len(a) <= MOST_STRETCHES
            assert a.columns.keys() == b.columns.keys()
            for key in a.columns:
                assert a.columns[key] == pytest.approx(b.columns[key], nan_ok=True), key
            assert column in a.columns


def test_new_steps_of_a_long_run_are_read_without_reading_the_others_again(tmp_path: Path) -> None:
    folder = large_run(tmp_path, 20_000, ended=False)
    asked: list[tuple[int, int]] = []

    def read(record: Record, since: int, until_entry: int, size: int) -> object:
        asked.append((since, until_entry))
        return read_steps(record, since, until_entry, size)

    with Record(folder) as record:
        tower = Tower(read)  # type: ignore[arg-type]
        tower.extend(record, record.newest()["entry"])
        asked.clear()
        with filling(folder) as db:
            newest = add_steps(db, "train_chip", 20_001, 10)
        tower.extend(record, newest)
    assert sum(until_entry - since for since, until_entry in asked) < 30
    assert tower.table(10**6).get("step", "last")[-1] == 20_010


@pytest.mark.slow
def test_ten_runs_of_100_000_steps_take_less_than_300_mb_however_often_they_are_asked_for(tmp_path: Path) -> None:
    chip, vapour = large_run(tmp_path, 100_000), large_run(tmp_path, 100_000, "train_vapour_cell", 1)
    for seed in range(8):
        copied(vapour if seed % 2 else chip, seed + 2)
    command = [sys.executable, "-m", "labonn.cli", "dash", "--runs", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[1]
            names = [run["name"] for run in get(url, "/api/runs")["runs"]]
            assert len(names) == 10
            for name in names:
                for page in PAGES:
                    assert ask(url, f"/api/runs/{name}{page}").status == 200
                until(lambda name=name: get(url, f"/api/runs/{name}/histograms")["output"]["saturated_total"] is not None)  # type: ignore[misc]
            used = [memory_mb(process.pid)]
            for poll in range(1000):
                assert ask(url, f"/api/runs/{names[poll % 10]}{PAGES[poll % 7]}").status == 200
                used += [memory_mb(process.pid)] if poll in (300, 999) else []
            assert max(used) < 300, used
            assert used[-1] - used[-2] < 15, used
            files = [os.readlink(link) for link in Path(f"/proc/{process.pid}/fd").iterdir() if link.exists()]
            assert not [path for path in files if str(tmp_path) in path]
        finally:
            process.terminate()
            process.wait(20)


def memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000


def test_the_list_does_not_read_a_long_run_again_while_nothing_happens(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    until(lambda: time.time() - (folder / FILE).stat().st_mtime > 2 * FRESH_S, "a file whose time is old enough to be believed")
    get(url, "/api/runs")

    def refused(one: Path) -> None:
        raise AssertionError(f"{one} is read again")

    monkeypatch.setattr(library, "summary", refused)
    assert get(url, "/api/runs")["runs"][0]["steps"] == STEPS
