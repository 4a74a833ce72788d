"""The page when things are not as they should be: names that are scripts, runs that failed, nobody who looks, a server that is gone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from browser import Opener
from large_runs import add_steps, filling, large_run

from labonn.dash.serving import Dashboard
from labonn.record.schema import SQL

CHIP = "20260101T120000Z-train_chip"
EVIL = "20260103T120000Z-<img src=x onerror=window.hurt=1>"
SCRIPT = "<script>window.hurt=1</script><img src=x onerror=window.hurt=1>"
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def _spoil(db: sqlite3.Connection) -> None:
    settings = json.dumps({"procedure": SCRIPT, "options": {SCRIPT: SCRIPT}, "versions": {SCRIPT: SCRIPT}})
    db.execute(
        "UPDATE sessions SET procedure = ?, command = ?, settings = ?, bench = ?, bench_file = ?",
        (SCRIPT, SCRIPT, settings, SCRIPT, SCRIPT),
    )
    db.execute("UPDATE endings SET status = 'failed', problem = ?, result = ?", (SCRIPT, json.dumps({SCRIPT: SCRIPT})))
    db.execute(SQL["events"], (1, 1, 1.76e9, "warning", SCRIPT))
    db.execute(SQL["errors"], (1, 1, 1.76e9, "LimitError", f"gain/ch5: 13 mA in row 1\n{SCRIPT}", f"Traceback\n{SCRIPT}"))
    db.execute(SQL["checks"], (1, 1, 1.76e9, SCRIPT, 1.0, 0.0, 0.5, 0, SCRIPT))
    about = json.dumps({"identity": SCRIPT, "driver": SCRIPT, "unit": SCRIPT, "channels": 3, "lower": 0, "upper": 1, "kind": "Modulators"})
    db.execute("UPDATE hardware SET about = ? WHERE port = 'gain'", (about,))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a chip's run that failed, and is called and says what a script would; and one beside it."""
    out = tmp_path_factory.mktemp("runs")
    evil = large_run(out, 60, "train_chip")
    evil = evil.rename(evil.with_name(EVIL))
    with filling(evil) as db:
        _spoil(db)
    large_run(out, 60, "train_chip")
    with Dashboard(out) as url:
        yield url


def test_what_calls_itself_a_script_is_shown_as_text(opened: Opener, url: str) -> None:
    seen = opened(url)
    assert seen.text(f"[data-run='{EVIL}'] .name a") == EVIL
    seen.page.click(f"[data-run='{EVIL}'] .name a")
    for panel in ("ports", "histograms", "result", "checks", "log", "settings"):
        seen.panel(panel)
    for fold in seen.page.locator("details > summary").all():
        fold.click()
    seen.wait("document.querySelector('#settings pre').textContent !== ''")
    assert seen.text(".head .problem") == SCRIPT
    for panel in ("result", "checks", "log", "settings"):
        assert SCRIPT in seen.page.locator(f"#{panel}").inner_text()
    seen.go(f"#/compare/{CHIP},{quote(EVIL)}")
    seen.wait("document.querySelectorAll('.compare table').length === 2")
    assert SCRIPT in seen.page.locator(".compare").inner_text()
    assert seen.page.evaluate("window.hurt") is None


def test_errors_are_found_first_and_tracebacks_are_folded(opened: Opener, url: str) -> None:
    seen = opened(url, f"#/run/{quote(EVIL)}")
    seen.panel("log")
    seen.page.select_option("#log select", "error")
    assert seen.page.locator("#log li").count() == 1
    assert seen.text("#log li summary") == "LimitError: gain/ch5: 13 mA in row 1"
    assert not seen.page.locator("#log pre").is_visible()
    seen.page.click("#log summary")
    assert "Traceback" in seen.text("#log pre")
    assert seen.text(".run .status") == "failed"


@pytest.mark.slow
def test_a_run_that_is_not_there_is_said(opened: Opener, url: str) -> None:
    seen = opened(url, "#/run/nothing", good=False)
    seen.page.locator(".run > .problem").wait_for()
    assert "nothing: no run is called so" in seen.text(".run > .problem")
    seen.go("#/nowhere")
    assert "no such page" in seen.text("main .empty")


@pytest.mark.slow
def test_a_page_that_nobody_sees_asks_for_nothing(opened: Opener, tmp_path: Path) -> None:
    run = large_run(tmp_path, 50, "train_chip", ended=False)
    with Dashboard(tmp_path) as url:
        seen = opened(url, f"#/run/{CHIP}")
        seen.panel("learning")
        seen.page.evaluate(HIDE, True)
        seen.page.wait_for_timeout(500)
        asked = len(seen.asked)
        with filling(run) as db:
            add_steps(db, "train_chip", 51, 10)
        seen.page.wait_for_timeout(1500)
        assert seen.asked[asked:] == []
        seen.page.evaluate(HIDE, False)
        seen.wait("document.getElementById('steps').dataset.step === '60'")
        seen.wait("document.querySelector('[data-chart=loss]').dataset.newest === '60'")
        seen.leave()


@pytest.mark.slow
def test_a_server_that_is_gone_is_said_and_found_again(opened: Opener, tmp_path: Path) -> None:
    run = large_run(tmp_path, 50, "train_chip", ended=False)
    with Dashboard(tmp_path) as url:
        seen = opened(url, f"#/run/{CHIP}", good=False)
        seen.panel("learning")
        seen.wait("document.getElementById('connection').textContent === 'live'")
    seen.wait("document.getElementById('connection').textContent === 'not connected, trying again'")
    assert seen.page.locator('[data-chart="loss"] canvas').is_visible()
    with filling(run) as db:
        add_steps(db, "train_chip", 51, 10)
    with Dashboard(tmp_path, port=urlsplit(url).port or 0):
        seen.wait("document.getElementById('connection').textContent === 'live'")
        seen.wait("document.querySelector('[data-chart=loss]').dataset.newest === '60'")
        assert seen.page.locator(".problem:visible").count() == 0
