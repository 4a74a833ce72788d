"""Reports of runs that did not end well, or whose folders did not: what is missing is said, and nothing of it runs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from large_runs import BEGAN_S, filling, large_run
from pages import Page
from small_runs import small_run, write

from labonn.plotting.past import Past
from labonn.record.schema import FILE, SQL
from labonn.report.markup import tag, text
from labonn.report.page import report_of

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>$\\x${{7*7}}\x00\x1b[31m\ud800"


def page_of(folder: Path) -> Page:
    with Past(folder) as past:
        return Page(report_of(past))


def missing(page: Page) -> str:
    return page.text.partition("What is missing")[2].partition("What was run")[0]


@pytest.mark.usefixtures("unrendered")
def test_a_run_without_a_record_is_reported_from_its_files(tmp_path: Path) -> None:
    page = page_of(small_run(tmp_path))
    assert "there is no record.sqlite in this folder" in missing(page)
    assert "Which calibrations were believed is not on record." in page.text
    assert "bench open: gain = Q8iv-4B06" in page.text


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no settings": lambda folder: (folder / "settings.json").unlink(),
    "half of the settings": lambda folder: (folder / "settings.json").write_text('{"procedure": "tr'),
    "settings of other types": lambda folder: write(folder, "settings.json", {"options": 3, "versions": [1], "seed": {}, "command": None}),
    "a list as settings": lambda folder: write(folder, "settings.json", [1]),
    "a list as result": lambda folder: write(folder, "result.json", {"status": 7, "result": [1, 2]}),
    "results of other types": lambda folder: write(
        folder, "result.json", {"status": "finished", "result": {"test_accuracy": "x", "a": {}}}
    ),
    "no test": lambda folder: (folder / "test.npz").unlink(),
    "a test that is none": lambda folder: (folder / "test.npz").write_bytes(os.urandom(500)),
    "half a test": lambda folder: (folder / "test.npz").write_bytes((folder / "test.npz").read_bytes()[:300]),
    "an empty test": lambda folder: np.savez(folder / "test.npz", outputs=np.zeros((0, 3)), labels=np.zeros(0, int)),
    "labels that are no classes": lambda folder: np.savez(folder / "test.npz", outputs=np.zeros((2, 3)), labels=np.array([-1, 2])),
    "outputs that are no numbers": lambda folder: np.savez(folder / "test.npz", outputs=np.full((2, 3), np.nan), labels=np.array([0, 1])),
    "objects in a test": lambda folder: np.savez(folder / "test.npz", outputs=np.array([object()]), labels=np.array([0])),
    "weights of nothing": lambda folder: np.savez(folder / "weights.npz", best1=np.zeros((0, 5)), best=np.zeros(0)),
    "a bench file that is none": lambda folder: (folder / "bench.toml").write_bytes(b"[[[\xff"),
    "metrics cut in the middle": lambda folder: (folder / "metrics.jsonl").write_text('{"epoch": 1, "train_loss": 2.0}\n{"epo'),
    "metrics of other types": lambda folder: (folder / "metrics.jsonl").write_text('[1]\n{"epoch": "x", "train_loss": null}\n'),
    "a figure that is none": lambda folder: (folder / "errors.png").write_bytes(b"\x89PNG\r\n\x1a\nrest"),
    "a record that is none": lambda folder: (folder / FILE).write_bytes(os.urandom(9000)),
    "an empty record": lambda folder: (folder / FILE).touch(),
    "everything": lambda folder: [path.unlink() for path in folder.iterdir() if path.name != "settings.json"],
}


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("damage", sorted(DAMAGE))
def test_whatever_is_broken_the_rest_is_reported(damage: str, tmp_path: Path) -> None:
    folder = small_run(tmp_path)
    DAMAGE[damage](folder)
    page = page_of(folder)
    assert page.problems == []
    assert page.outside == []
    assert missing(page)
    assert folder.name in page.text


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("where", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_record_that_is_garbage_in_the_middle_does_not_stop_a_report(where: float, tmp_path: Path) -> None:
    folder = large_run(tmp_path, 300, "train_vapour_cell")
    size = (folder / FILE).stat().st_size
    with (folder / FILE).open("r+b") as file:
        file.seek(int(where * size) // 4096 * 4096)
        file.write(np.random.default_rng(3).bytes(8 * 4096))
    page = page_of(folder)
    assert page.problems == []
    assert folder.name in page.text


@pytest.mark.usefixtures("unrendered")
def test_an_old_record_without_maps_and_ranges_is_reported(tmp_path: Path) -> None:
    folder = large_run(tmp_path, 300)
    with filling(folder) as db:
        for table in ("layouts", "maps", "ranges", "temperatures"):
            db.execute(f"DROP TABLE {table}")
        db.execute("PRAGMA user_version = 1")
    page = page_of(folder)
    assert "How it learned" in page.text
    assert "What is missing" not in page.text


@pytest.mark.usefixtures("unrendered")
def test_a_failed_run_says_why_first_and_how_to_go_on(tmp_path: Path) -> None:
    folder = large_run(tmp_path, 50, ended=False)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "000050.npz").touch()
    with filling(folder) as db:
        db.execute(SQL["endings"], (1, BEGAN_S + 9, "failed", "LinkError: gain: the connection is gone", None))
        db.execute(SQL["errors"], (1, 40, BEGAN_S + 8, "LinkError", "gain: the connection is gone", "Traceback: …"))
    page = page_of(folder)
    assert page.text.index("It failed") < page.text.index("LinkError: gain: the connection is gone") < page.text.index("What was run")
    assert f"labonn run train_chip --resume {folder.name}" in page.text
    assert "where in the code" in page.text


@pytest.mark.usefixtures("unrendered")
def test_a_run_whose_process_died_and_one_that_goes_on_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = large_run(tmp_path, 50, ended=False)
    assert "Its process died without a word" in page_of(folder).text
    monkeypatch.setattr("labonn.record.reading.is_written", lambda _: True)
    page = page_of(folder)
    assert "It is still running" in page.text
    assert "last sign of life" in page.text
    assert "The run is still writing them" in page.text


@pytest.mark.usefixtures("unrendered")
def test_saturated_and_missing_readings_are_counted(tmp_path: Path) -> None:
    folder = large_run(tmp_path, 10)
    with filling(folder) as db:
        db.execute("UPDATE steps SET readings_of = ? WHERE kind = 'step'", (json.dumps({"hidden": [1, 64, -9.9, 0.0, 9.9, 1.0, 2, 64]}),))
    page = page_of(folder)
    row = page.text.partition("no numbers")[2]
    assert "640 (5 %)" in row  # of 10 steps x 64 shots x 20 channels
    assert " 20 " in row


def test_nothing_that_a_run_tells_becomes_markup(tmp_path: Path) -> None:
    told = {
        "procedure": EVIL,
        "command": EVIL,
        "seed": EVIL,
        "bench": EVIL,
        "versions": {EVIL: EVIL},
        "options": {"bench": EVIL, "faults": [EVIL]},
    }
    folder = small_run(tmp_path, **told)
    write(
        folder, "result.json", {"status": "failed", "problem": EVIL, "result": {EVIL: EVIL, "methods": {EVIL: {EVIL: EVIL}}, "data": EVIL}}
    )
    (folder / "metrics.jsonl").write_text(json.dumps({EVIL: 1.0, f"{EVIL}loss": 2.0, "note": EVIL}), encoding="utf-8")
    (folder / "events.log").write_text(f"2026-01-01T12:00:00Z {EVIL}".encode(errors="replace").decode(), encoding="utf-8")
    (folder / "bench.toml").write_text(f"[bench]\ndescription = '''{EVIL[3:40]}'''", encoding="utf-8")
    (folder / "<img src=x onerror=alert(3)>.txt").write_text("a file", encoding="utf-8")
    page = page_of(folder)
    assert_harmless(page)
    assert "<script>alert(1)</script>" in page.text


def test_nothing_that_a_record_tells_becomes_markup(tmp_path: Path) -> None:
    evil, folder = EVIL.replace("\ud800", "").replace("\x00", ""), large_run(tmp_path, 20)
    with filling(folder) as db:
        db.execute("UPDATE sessions SET host = ?, user = ?, calibrations = ?", (evil, evil, json.dumps({evil: evil})))
        db.execute(SQL["events"], (1, 1, BEGAN_S, "warning", f"{evil}\n{evil}"))
        db.execute(SQL["errors"], (1, 1, BEGAN_S, evil, evil, evil))
        db.execute(SQL["checks"], (1, 0, BEGAN_S, evil, 1.0, 0.0, 2.0, 1, evil))
        about = dict.fromkeys(("identity", "driver", "kind", "lower_rule", "upper_rule", "unit"), evil) | {"links": [evil], "channels": 3}
        db.execute(SQL["hardware"], (1, "start", evil, json.dumps(about)))
        db.execute("UPDATE steps SET commands_of = ?", (json.dumps({evil: [1, 1, 1, 0.0, 0.5, 1.0, 0.5]}),))
    page = page_of(folder)
    assert_harmless(page)
    assert "<script>alert(1)</script>" in page.text


def assert_harmless(page: Page) -> None:
    assert page.problems == []
    assert page.handlers == []
    assert page.outside == []
    assert "script" not in page.tags
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.images)


@given(st.text())
def test_any_text_reads_as_it_was_without_what_no_page_may_have(value: str) -> None:
    page = Page(f"<p>{text(value)}</p>{tag('b', 'x', title=value)}".encode())
    assert page.tags == ["p", "b"]
    assert page.problems == []
