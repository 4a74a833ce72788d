"""A report: one file with everything in it, that a mail program's browser opens, and whose numbers are those of the run."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path

import matplotlib.image
import pytest
from large_runs import large_run
from pages import Page
from small_runs import small_run

from labonn.cli import main
from labonn.plotting.past import Past
from labonn.report.page import report_of


def page_of(folder: Path) -> Page:
    with Past(folder) as past:
        return Page(report_of(past))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def small_page(small: Path) -> Page:
    return page_of(small)


@pytest.fixture(scope="module")
def chip_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return page_of(large_run(tmp_path_factory.mktemp("chip"), 600))


@pytest.fixture(params=["small", "chip"])
def page(request: pytest.FixtureRequest) -> Page:
    found: Page = request.getfixturevalue(f"{request.param}_page")
    return found


def test_every_element_is_closed_and_nothing_runs_or_comes_from_elsewhere(page: Page) -> None:
    assert page.problems == []
    assert page.outside == []
    assert page.handlers == []
    assert {"script", "iframe", "object", "embed", "link", "form", "base"}.isdisjoint(page.tags)
    assert "default-src 'none'" in page.source
    assert "://" not in re.sub(r"(zmq|serial|monitor)://", "", re.sub(r'xmlns(:\w+)?="[^"]*"', "", page.source))


def test_every_embedded_image_is_one_and_every_figure_has_a_caption(page: Page) -> None:
    for content in page.pictures():
        assert matplotlib.image.imread(io.BytesIO(content), format="png").size > 0
    assert page.tags.count("figure") == page.tags.count("figcaption") > 3
    assert all(image.get("alt") for image in page.images)
    assert page.source.count("<svg") == page.source.count('role="img"')


def test_names_inside_figures_do_not_meet(chip_page: Page) -> None:
    named = re.findall(r'\bid="([^"]+)"', chip_page.source)
    assert len(named) == len(set(named))
    assert set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', chip_page.source))
    used = {one or other for one, other in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', chip_page.source)}
    assert used <= set(named)


def test_colours_of_lines_and_text_are_the_themes(chip_page: Page) -> None:
    assert "var(--ink)" in chip_page.source
    assert "prefers-color-scheme: dark" in chip_page.source
    figures = "".join(re.findall(r"<figure.*?</figure>", chip_page.source, re.DOTALL))
    assert "#0072b2" not in figures
    assert "#1b1c1e" not in figures


def test_numbers_are_those_of_the_run_with_their_errors(small_page: Page) -> None:
    text = small_page.text
    assert "6 of 10 test images were read right: 60.0 ± 15.5 %" in text  # sqrt(0.6 * 0.4 / 10) = 0.155
    for told in ("60.0 ± 15.5 %", "1 min 30 s", "labonn run train_vapour_cell --dry-run", "vapour_cell, hidden truths of seed 7"):
        assert told in text
    assert "50.0" in text  # of class 0, one of two was read right
    assert "0 read as 1" in text


@pytest.mark.usefixtures("unrendered")
def test_the_first_words_say_whether_it_was_a_dry_run_or_a_real_bench(small_page: Page, tmp_path: Path) -> None:
    def first(page: Page) -> str:
        return next(data for tag, data in page.texts if tag not in ("title", "style"))

    assert first(small_page).startswith("Dry run:")
    real = page_of(small_run(tmp_path / "real", dry_run=False))
    assert first(real).startswith("REAL bench:")
    assert "What was simulated" not in real.text
    assert "--ideal" in first(page_of(small_run(tmp_path / "ideal", ideal=True)))
    assert first(page_of(small_run(tmp_path / "tape", options={"replay": "run.tape"}))).startswith("Replay of a tape")


def test_instruments_limits_checks_and_what_was_near_its_limit_are_on_the_page(chip_page: Page) -> None:
    text = chip_page.text
    for told in ("emulated gain", "12 mA", "bench.toml", "drift of gain", "passed", "of 3 currents", "How near limits were", "margin left"):
        assert told in text


def test_files_of_the_folder_are_listed_with_their_hashes(small: Path, small_page: Page) -> None:
    for name in ("settings.json", "test.npz", "weights.npz", "metrics.jsonl"):
        assert hashlib.sha256((small / name).read_bytes()).hexdigest() in small_page.text
        assert name in small_page.text


def test_the_same_folder_gives_the_same_report_and_a_report_in_it_changes_nothing(small: Path) -> None:
    assert main(["report", str(small)]) == 0
    first = (small / "report.html").read_bytes()
    assert main(["report", str(small)]) == 0
    assert (small / "report.html").read_bytes() == first
    (small / "report.html").unlink()


@pytest.mark.usefixtures("unrendered")
def test_imperfections_that_a_bench_file_sets_and_takes_away_are_named(tmp_path: Path) -> None:
    folder = small_run(tmp_path)
    table = '[simulation]\nbench = "vapour_cell"\nseed = 3\n[simulation.laser]\nrin = 0\ndrift = 2.5\n[simulation.slm]\nflicker = false\n'
    (folder / "bench.toml").write_text(table, encoding="utf-8")
    text = page_of(folder).text
    assert "laser.rin, slm.flicker" in text
    assert "laser.drift = 2.5" in text


@pytest.mark.usefixtures("unrendered")
def test_the_command_writes_where_it_is_told_and_says_how_large(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    path = tmp_path / "mine.html"
    assert main(["report", str(small), "-o", str(path), "--open"]) == 0
    assert capsys.readouterr().out.startswith(f"report: {path} (")
    assert opened == [path.resolve().as_uri()]
    assert not (small / "report.html").exists()
    assert main(["report", str(small), "-o", str(tmp_path / "no" / "mine.html")]) == 2
    assert "cannot be written: No such file or directory; choose another place with -o FILE" in capsys.readouterr().err
    assert main(["report", "nothing", "--out", str(tmp_path)]) == 2
    assert "no run is called so" in capsys.readouterr().err
