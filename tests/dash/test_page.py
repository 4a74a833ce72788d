"""The page in a real browser: what it shows is what is on record, on every screen, and nothing else."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Opener, Seen
from large_runs import add_steps, filling, large_run

import labonn.dash
from labonn.dash.serving import Dashboard
from labonn.record.schema import FILE

STEPS = 550  # fewer than points are asked for: the newest is itself, no mean
CHIP, VAPOUR, COPY = "20260101T120000Z-train_chip", "20260101T120100Z-train_vapour_cell", "20260102T120500Z-train_chip"
CHIP_PANELS = ("learning", "gradient", "maps", "ports", "frames", "histograms", "result", "checks", "log", "settings")
VAPOUR_PANELS = ("learning", "ports", "frames", "histograms", "result", "checks", "log", "settings")


def one(folder: Path, query: str, name: str = CHIP) -> Any:
    """A number of the record, by its own tables."""
    with contextlib.closing(sqlite3.connect(folder / name / FILE)) as db:
        return db.execute(query).fetchone()[0]


def shown(opened: Opener, url: str, name: str, **given: Any) -> Seen:
    return opened(url, f"#/run/{name}", **given)


def test_all_modules_are_asked_for_at_once() -> None:
    """Not one after the other, as each is read."""
    assets = Path(labonn.dash.__file__).parent / "assets"
    modules = {f"assets/{path.relative_to(assets)}" for path in (assets / "js").rglob("*.js")}
    page = (assets / "index.html").read_text(encoding="utf-8")
    preloaded = set(re.findall(r'<link rel="modulepreload" href="([^"]*)"', page))
    assert preloaded == modules - {"assets/js/main.js", "assets/js/theme-early.js"}


def test_the_list_says_how_each_run_is_and_what_came_out(opened: Opener, url: str, folder: Path) -> None:
    seen = opened(url)
    row = f'[data-run="{VAPOUR}"]'
    best = one(folder, "SELECT max(json_extract(metrics_of, '$.validation_accuracy')) FROM steps WHERE kind = 'report'", VAPOUR)
    assert seen.text(f"{row} .state") == "finished"
    assert seen.text(f"{row} .best") == f"validation accuracy {100 * best:.3g} %"
    assert seen.text(f"{row} .steps") == f"{STEPS}"
    assert seen.text(f"{row} .how") == "dry run"
    seen.page.fill("input[type=search]", "vapour")
    assert seen.page.locator(".runs .row[data-run]").count() == 1


def test_from_one_run_to_the_list_and_to_another(opened: Opener, url: str) -> None:
    seen = shown(opened, url, VAPOUR)  # whose ovens have a chart of their temperature only
    seen.panel("ports")
    seen.page.click("a[href='#/']")
    seen.page.wait_for_selector(f'[data-run="{CHIP}"]')
    seen.page.click(f'[data-run="{CHIP}"] .name a')
    seen.panel("maps")
    assert CHIP in seen.page.title()
    seen.page.go_back()
    seen.page.wait_for_selector(f'[data-run="{VAPOUR}"]')


@pytest.mark.parametrize(("name", "panels", "width", "theme"), [(CHIP, CHIP_PANELS, 390, "dark"), (VAPOUR, VAPOUR_PANELS, 1280, "light")])
def test_every_panel_of_a_run_is_drawn(opened: Opener, url: str, name: str, panels: tuple[str, ...], width: int, theme: str) -> None:
    seen = shown(opened, url, name, width=width, theme=theme)
    for panel in panels:
        assert seen.panel(panel).locator(".problem:visible").count() == 0
    assert [each.get_attribute("id") for each in seen.page.locator(".panel").all()] == list(panels)
    for drawn, fewest in (("#learning canvas", 2), ("#ports canvas", 5), ("#frames canvas", 3)):
        colors = seen.colors(drawn)
        assert len(colors) >= fewest
        assert min(colors) >= 2
    assert seen.page.locator("#histograms article").count() == seen.page.locator("#histograms svg:has(rect)").count() >= 2
    seen.fits()


def test_numbers_on_the_page_are_those_of_the_record(opened: Opener, url: str, folder: Path) -> None:
    seen = shown(opened, url, CHIP)
    seen.panel("learning")
    loss = one(folder, "SELECT json_extract(metrics_of, '$.loss') FROM steps WHERE kind = 'step' ORDER BY entry DESC LIMIT 1")
    assert f"{loss:.4g}" in seen.text('[data-chart="loss"] .legend button')
    evaluations = one(folder, "SELECT max(json_extract(metrics_of, '$.evaluations')) FROM steps")
    shots, exchanges = one(folder, "SELECT sum(shots) FROM steps"), one(folder, "SELECT sum(exchanges) FROM steps")
    about = seen.text(".run .about")
    for words in (f"hardware evaluations\n{evaluations:,}", f"shots\n{shots:,}", f"exchanges\n{exchanges:,}"):
        assert words in about
    seen.panel("ports")
    low, high = (one(folder, f"SELECT {what}(\"{what}\") FROM commands WHERE port = 'gain'") for what in ("min", "max"))
    room = min(0.012 - high, low - 0) / 0.012
    words = seen.text('#ports [data-port="gain"] .words')
    assert words.startswith("limits 0 to 12 mA (driver, bench.toml)")
    assert float(words.split("margin ")[1].split(" %")[0]) == pytest.approx(100 * room, abs=0.06)
    saturated = one(folder, "SELECT sum(saturated) FROM readings WHERE port = 'hidden'")
    seen.panel("histograms")
    assert f"{saturated:,} since the run began" in seen.text('#histograms [data-port="hidden"] .words')


def test_the_map_tells_a_couplers_name_and_value_by_keyboard_too(opened: Opener, url: str, folder: Path) -> None:
    seen = shown(opened, url, CHIP)
    seen.panel("maps")
    seen.page.locator("#maps canvas").first.focus()
    seen.page.keyboard.press("ArrowRight")
    with contextlib.closing(sqlite3.connect(folder / CHIP / FILE)) as db:
        codes = db.execute("SELECT codes FROM maps ORDER BY entry DESC").fetchone()[0]
    value = float(np.frombuffer(codes, "<f4")[0])
    assert abs(abs(value) - 0.2) > 1e-6
    assert seen.text("#maps .pointed") == f"1a/0: {value:.4g} rad (column 0, ports 0 and 1)".replace("-", "−")
    assert min(seen.colors("#maps canvas")) >= 2
    assert len(seen.colors("#maps canvas")) == 6


def test_runs_are_compared_by_curves_results_and_settings_that_differ(opened: Opener, url: str) -> None:
    seen = opened(url)
    for name in (CHIP, COPY):
        seen.page.check(f'[data-run="{name}"] input')
    assert seen.text(".title .button") == "compare 2 runs"
    seen.page.click(".title .button")
    seen.wait("document.querySelectorAll('.compare .plot canvas').length === 2")
    assert min(seen.colors(".compare .plot canvas")) >= 3
    rows = {row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in seen.page.locator(".compare tbody tr").all()}
    assert sorted(rows["options.seed"]) == ["0", "5"]
    assert rows["test accuracy"] == ["93\u00a0%", "93\u00a0%"]
    assert "options.optimizer" not in rows


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1024, 2560])
def test_nothing_is_wider_than_the_screen(opened: Opener, url: str, width: int, theme: str) -> None:
    seen = opened(url, width=width, theme=theme)
    seen.page.wait_for_selector(".runs .row[data-run]")
    seen.fits()
    for name, panels in ((CHIP, CHIP_PANELS), (VAPOUR, VAPOUR_PANELS)):
        seen.go(f"#/run/{name}")
        for panel in panels:
            seen.panel(panel)
        seen.fits()
    seen.go(f"#/compare/{CHIP},{COPY},{VAPOUR}")
    seen.wait("document.querySelectorAll('.compare table').length === 2")
    seen.fits()
    background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) == (theme == "dark")


@pytest.mark.slow
def test_the_theme_is_chosen_and_kept(opened: Opener, url: str) -> None:
    seen = opened(url, theme="light")
    dark = "getComputedStyle(document.body).backgroundColor === 'rgb(14, 18, 20)'"
    assert not seen.page.evaluate(dark)
    seen.page.click("#theme")
    seen.page.click("#theme")
    assert seen.text("#theme") == "dark theme"
    assert seen.page.evaluate(dark)
    seen.page.reload()
    assert seen.page.evaluate(dark)


@pytest.mark.slow
def test_an_empty_folder_says_how_a_run_is_started(opened: Opener, tmp_path: Path) -> None:
    with Dashboard(tmp_path) as url:
        seen = opened(url)
        assert "labonn run train_vapour_cell --dry-run" in seen.text(".runs .empty pre")
        large_run(tmp_path, 20, "train_chip")
        seen.page.wait_for_selector(f'[data-run="{CHIP}"]')
        seen.leave()


def test_new_steps_leave_zoom_and_what_is_unfolded_as_they_are(opened: Opener, tmp_path: Path) -> None:
    run = large_run(tmp_path, 50, "train_chip", ended=False)
    with Dashboard(tmp_path) as url:
        seen = shown(opened, url, CHIP)
        seen.panel("learning")
        place = seen.page.locator('[data-chart="loss"] .u-over')
        place.drag_to(place, source_position={"x": 40, "y": 50}, target_position={"x": 120, "y": 50})
        seen.page.locator('[data-chart="loss"] .whole').wait_for()
        seen.panel("log").locator("summary").click()
        with filling(run) as db:
            add_steps(db, "train_chip", 51, 10)
        seen.wait("document.getElementById('steps').dataset.step === '60'")
        seen.panel("learning")
        seen.wait("document.querySelector('[data-chart=loss]').dataset.newest === '60'")
        assert seen.page.locator('[data-chart="loss"] .whole').is_visible()
        assert seen.page.locator("#log pre").is_visible()
        seen.page.click('[data-chart="loss"] .whole')
        assert not seen.page.locator('[data-chart="loss"] .whole').is_visible()
        seen.leave()


CONTRAST = """([front, back]) => {
    const probe = document.body.appendChild(document.createElement("i"));
    const channels = name => {
        probe.style.color = `var(--${name})`;
        return getComputedStyle(probe).color.match(/[0-9.]+/g).slice(0, 3).map(Number);
    };
    const linear = value => value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;
    const light = name => channels(name).map(linear).reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
    const [high, low] = [light(front), light(back)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
}"""


def test_words_and_lines_stand_out_from_their_background(opened: Opener, url: str) -> None:
    """WCAG 2.1, AA: 4.5 for text, 3 for lines of a chart."""
    seen = opened(url)
    for theme in ("light", "dark"):
        seen.page.emulate_media(color_scheme=theme)
        for back in ("paper", "panel", "inset"):
            words = {
                front: seen.page.evaluate(CONTRAST, [front, back]) for front in ("ink", "muted", "accent", "good", "warn", "bad", "limit")
            }
            assert min(words.values()) >= 4.5, (theme, back, words)
        lines = {front: seen.page.evaluate(CONTRAST, [front, "panel"]) for front in ("c1", "c2", "c3", "c4", "c5", "c6", "c7")}
        assert min(lines.values()) >= 3, (theme, lines)
        assert seen.page.evaluate(CONTRAST, ["panel", "bad"]) >= 4.5  # the button that asks once more


@pytest.mark.slow
def test_everything_can_be_reached_by_keyboard(opened: Opener, url: str) -> None:
    seen = shown(opened, url, CHIP)
    for panel in CHIP_PANELS:
        seen.panel(panel)
    seen.page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
    visited = set()
    for _ in range(120):
        seen.page.keyboard.press("Tab")
        visited.add(seen.page.evaluate("(node => node.id || node.closest('.panel')?.id + ' ' + node.tagName)(document.activeElement)"))
    wanted = {"skip", "theme", "learning SELECT", "learning INPUT", "learning BUTTON", "maps CANVAS", "ports SELECT", "frames BUTTON"}
    assert wanted | {"histograms INPUT", "log SELECT", "log SUMMARY", "settings SUMMARY"} <= visited
