"""The page of `labonn reproduce --report`: one file, made from what is in the folder, whole whatever is broken there."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import chromium
from pages import Page

from labonn.cli import main
from labonn.reproduce.page import page_of

Mine, Done = Callable[..., str], list[tuple[str, int]]
OUT = Path("reproduced")
CELL = re.compile(r"<t[dh][^>]*>(.*?)</t[dh]>")
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def page() -> Page:
    return Page(page_of(OUT))


def edit(change: Callable[[dict[str, Any]], object], folder: str = "mine") -> None:
    path = OUT / folder / "table.json"
    table = json.loads(path.read_bytes())
    change(table)
    path.write_text(json.dumps(table))


@pytest.fixture
def made(mine: Mine, done: Done, unrendered: None) -> Mine:
    """A folder with the tiny experiment's full run, and a figure of its own."""
    assert main(["reproduce", mine(), "--quiet"]) == 0
    svg = '<svg height="9pt" width="9pt"><defs><path id="a"/></defs><use href="#a" style="fill: #0072b2; stroke: #ececec"/></svg>'
    (OUT / "mine" / "figure.svg").write_text(svg)
    return mine


@pytest.mark.slow
def test_a_real_figure_is_in_the_page_in_the_theme_s_colours(mine: Mine, done: Done, tmp_path: Path) -> None:
    assert main(["reproduce", mine(), "--quiet", "--report"]) == 0
    found = Page((OUT / "report.html").read_bytes())
    assert found.problems == []
    assert found.handlers == []
    assert {"script", "iframe", "link", "form", "base", "img"}.isdisjoint(found.tags)
    assert found.tags.count("figure") == 1
    assert "accuracy (%)" in found.text
    assert "var(--c0)" in found.source
    assert "#0072b2" not in found.source.partition("<body>")[2]
    assert "://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", found.source)


def test_links_lead_to_sections_and_to_files_that_are_there(made: Mine) -> None:
    found = page()
    ids = set(re.findall(r'\bid="([^"]*)"', found.source))
    assert "of-mine" in ids
    for link in found.outside + [one for one in found.loaded if one.startswith("#")]:
        assert (link[1:] in ids) if link.startswith("#") else (OUT / link).exists(), link
    assert "mine/table.csv" in found.loaded


def test_the_page_says_what_the_table_says_and_how_to_do_it_again(made: Mine) -> None:
    found = page()
    rows = [[re.sub("<[^>]*>", " ", cell).strip() for cell in CELL.findall(row)] for row in re.findall(r"<tr>(.*?)</tr>", found.source)]
    assert ["case same twin", "97.3 ± 0.1 %", "97.30 ± 0.10 %", "3", "0", "within"] in rows
    assert ["case less twin", "97.3 ± 0.1 %", "95.00 ± 0.10 %", "3", "-2.30", "below, aim missed"] in rows
    assert ["case more", "97.3 ± 0.1", "98.50 ± 0.10", "+1.20", "better"] in rows
    assert "All of this is <made up> & known." in found.text
    assert "<made up>" not in found.source
    for told in (
        "seeds 0, 1, 2",
        "9 of 9 jobs finished",
        "labonn reproduce",
        "numpy",
        "mean 98.5",
        "2 of 3 aims reached",
        "Nobody et al. 1900",
    ):
        assert told in re.sub(r"\s+", " ", found.text), told


def test_colours_are_for_what_is_worse_only(made: Mine) -> None:
    assert set(re.findall(r'class="bad">([^<]*)<', page().source)) == {"below", "below, aim missed"}


def test_the_page_is_the_same_from_the_same_files_and_needs_no_experiment(made: Mine, capsys: pytest.CaptureFixture[str]) -> None:
    first = page_of(OUT)
    Path("mine.py").unlink()
    assert main(["reproduce", "--report"]) == 0
    assert (OUT / "report.html").read_bytes() == first
    assert capsys.readouterr().out.endswith("report: reproduced/report.html\n")


def test_a_first_look_is_shown_only_until_there_is_a_full_run(made: Mine) -> None:
    assert main(["reproduce", made("other"), "--quiet", "--quick"]) == 0
    assert main(["reproduce", made("mine"), "--quiet", "--quick"]) == 0
    found = page()
    assert "other (quick)" in found.text
    assert "--quick: a smaller version" in found.text
    assert "Left out, as there are full runs of the same: mine-quick." in found.text
    assert found.source.count('<section id="of-') == 2
    quick = found.source.partition('id="of-other-quick"')[2]
    assert "verdict" not in quick.partition("</table>")[0]


@pytest.mark.parametrize(
    ("breaking", "told"),
    [
        (lambda: (OUT / "mine/table.json").write_text("{"), "mine/table.json cannot be read"),
        (lambda: edit(lambda table: table.pop("rows")), "something is missing in it"),
        (lambda: (OUT / "mine/figure.svg").write_text("<svg"), "figure.svg is no whole SVG file"),
    ],
)
def test_what_is_broken_is_named_and_the_rest_is_there(made: Mine, breaking: Callable[[], object], told: str) -> None:
    assert main(["reproduce", made("other"), "--quiet"]) == 0
    breaking()
    (OUT / "other/figure.svg").unlink()
    (OUT / "other/figure.png").unlink()
    found = page()
    assert found.problems == []
    assert told in found.text
    assert "other: Numbers that are known beforehand" in found.text


def test_jobs_that_are_gone_are_not_finished(made: Mine) -> None:
    for path in sorted((OUT / "jobs").iterdir())[:4]:
        path.unlink()
    assert "5 of 9 jobs finished" in page().text


def test_without_an_svg_the_png_is_taken(made: Mine) -> None:
    (OUT / "mine/figure.svg").unlink()
    (OUT / "mine/figure.png").write_bytes(base64.b64decode(PIXEL))
    assert len(page().pictures()) == 1


def test_a_page_stays_small_whatever_its_figures(made: Mine) -> None:
    for number in range(25):
        assert main(["reproduce", made(f"more{number:02}"), "--quiet", "--seeds", "1"]) == 0 if number == 0 else True
        folder = OUT / f"more{number:02}"
        folder.mkdir(exist_ok=True)
        (folder / "table.json").write_bytes((OUT / "mine/table.json").read_bytes())
        edit(lambda table, name=folder.name: table.update(experiment=name), folder.name)
        (folder / "figure.svg").write_text(f"<svg>{'<path/>' * 35_000}</svg>")
    content = page_of(OUT)
    assert len(content) < 5_000_000
    assert b"The page would get too large with the figure; it is more24/figure.pdf." in content


def test_values_from_files_are_no_markup(made: Mine) -> None:
    edit(lambda table: table.update(title="<script>alert(1)</script>", notes=["<img src=x onerror=alert(1)>"], command='"><b>'))
    found = page()
    assert found.problems == []
    assert {"script", "img"}.isdisjoint(found.tags)
    assert "<script>alert(1)</script>" in found.text


@pytest.mark.slow
def test_a_browser_shows_it_without_complaint_at_every_width(mine: Mine, done: Done) -> None:
    assert main(["reproduce", mine(), "--quiet", "--report"]) == 0
    with chromium() as browser:
        for theme, width in (("light", 1600), ("dark", 390)):
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
            seen, said = context.new_page(), list[str]()
            seen.on("console", lambda message, said=said: said.append(message.text))
            seen.goto((OUT / "report.html").resolve().as_uri())
            wide, screen = seen.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            box = seen.locator("figure svg").bounding_box()
            context.close()
            assert said == []
            assert wide <= screen
            assert box is not None
            assert box["width"] > 400
