"""The report of a long run: quick, small, and as a browser shows it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from browser import chromium
from large_runs import large_run

from labonn.cli import main

CPU_S = 30.0  # five times what it takes on one core of two
MOST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = large_run(tmp_path_factory.mktemp("large"), 100_000, "train_vapour_cell")
    start = time.process_time()
    assert main(["report", str(folder)]) == 0
    assert time.process_time() - start < CPU_S
    return folder / "report.html"


@pytest.mark.slow
def test_a_report_of_a_hundred_thousand_steps_is_made_at_once_and_can_be_mailed(report: Path) -> None:
    assert report.stat().st_size < MOST_BYTES
    assert "100,000" in report.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1100, "light"), (1100, "dark")])
def test_a_browser_shows_it_without_a_word_and_without_asking_anybody(report: Path, width: int, scheme: str) -> None:
    said, asked = list[str](), list[str]()
    with chromium() as browser:
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(report.as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth")
        figures = page.evaluate("[...document.querySelectorAll('figure svg, figure img')].map(one => one.getBoundingClientRect().height)")
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    assert wide == width
    assert min(figures) > 50
    assert paper == ("rgb(23, 25, 28)" if scheme == "dark" else "rgb(255, 255, 255)")
