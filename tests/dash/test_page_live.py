"""The page beside a run of another process: steps show within two seconds of being made, and the button makes emulated instruments safe."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Opener, Seen
from dash_client import until

from labonn.dash.guarding import Door
from labonn.dash.serving import Dashboard
from labonn.record.schema import FILE

sys.path.insert(0, str(Path(__file__).parents[1] / "guardian"))
from guardian_rig import Rig, shaken

MOST_S = 2.0  # from a step to its being seen
WATCHED_S, FEWEST = 2.0, 3  # seconds at least, steps at least
WATCHES = 12  # of which one has to be as it should: other tests share the processors with run, server and browser
NEWEST = "[+document.getElementById('steps').dataset.step, +document.querySelector('[data-chart=loss]').dataset.newest]"


@contextlib.contextmanager
def training(out: Path, *words: str) -> Iterator[Path]:
    """The folder of a dry run by the command line, which is interrupted at the end."""
    command = [sys.executable, "-m", "labonn.cli", "run", *words, "--dry-run", "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: process.poll() is None and (found := list(out.glob(f"*/{FILE}"))) and steps(found[0].parent), "steps")
        yield next(out.iterdir())
    finally:
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode in (0, 2, 130), told


def steps(folder: Path) -> dict[int, float]:
    """Step -> when it was made, seconds since 1970."""
    db = sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)
    with contextlib.closing(db), contextlib.suppress(sqlite3.OperationalError):  # its tables are being made
        return dict(db.execute("SELECT step, time FROM steps WHERE kind = 'step'"))
    return {}


def lags(seen: Seen, folder: Path) -> tuple[float, float, int]:
    """How long a step has been on record that the head, and the curve, do not show yet, at worst; and how many went by."""
    worst, first = [0.0, 0.0], len(steps(folder))
    start_s, made = time.monotonic(), steps(folder)
    while time.monotonic() < start_s + WATCHED_S or len(made) < first + FEWEST:
        shown, now = seen.page.evaluate(NEWEST), time.time()
        made = steps(folder)
        for place, step in enumerate(shown):
            worst[place] = max(worst[place], now - made.get(step + 1, now))
        seen.page.wait_for_timeout(50)
    return worst[0], worst[1], len(made) - first


@pytest.mark.parametrize(
    "procedure",
    [
        ("train_chip", "--steps", "100000", "--gradient", "spsa"),
        pytest.param(("train_vapour_cell", "--epochs", "200"), marks=pytest.mark.slow),
    ],
    ids=lambda words: words[0],
)
def test_a_step_is_seen_within_two_seconds(opened: Opener, tmp_path: Path, procedure: tuple[str, ...]) -> None:
    with Dashboard(tmp_path) as url, training(tmp_path, *procedure) as folder:
        seen = opened(url)
        assert seen.text(".runs .row[data-run] .state") == "running"
        seen.page.click(".runs .name a")
        seen.panel("learning")
        assert seen.text(".run .status") == "running"
        found = []
        while len(found) < WATCHES and (not found or max(found[-1]) >= MOST_S):
            *behind, went_by = lags(seen, folder)
            found.append(behind)
            print(f"{procedure[0]}: {went_by} steps; head {behind[0]:.2f} s behind at worst, curve {behind[1]:.2f} s")
        assert min(map(max, found)) < MOST_S
        assert seen.page.locator(".head .safe").is_disabled()
        assert "no guardian: simulated instruments live in the run itself" in seen.text(".head .reason")
        seen.leave()


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Emulated instruments in a process of their own, and where their guardians are listed."""
    rig = Rig(tmp_path)
    monkeypatch.setenv("LABONN_RUNTIME_DIR", rig.environment["LABONN_RUNTIME_DIR"])
    try:
        yield rig
    finally:
        rig.close()


@pytest.mark.slow
def test_beyond_this_computer_the_button_wants_the_token_first(opened: Opener, rig: Rig) -> None:
    with Dashboard(rig.folder / "runs", door=Door("0.0.0.0", "chosen")) as url, shaken(rig) as run:
        seen = opened(url.replace("0.0.0.0", "127.0.0.1"), f"#/run/{run.folder.name}", good=False)
        seen.page.click(".head .safe")
        seen.page.fill(".head input[type=password]", "guessed")
        seen.page.click(".head .sure")
        seen.page.locator('.head .told[data-outcome="failed"]').wait_for()
        assert "NOT confirmed safe: " in seen.text(".head .told")
        assert rig.lit()
        seen.page.click(".head .safe")
        seen.page.locator(".head input[type=password]").wait_for()
        seen.page.evaluate("location.hash = '#token=chosen'; location.reload()")
        seen.page.locator(".benches .safe").click()
        assert seen.page.evaluate("location.hash") == "#/"
        seen.page.click(".benches .sure")
        seen.page.locator('.told[data-outcome="done"]').wait_for()
        assert rig.safe()
        seen.leave()


def test_the_button_makes_the_instruments_safe_and_says_so(opened: Opener, rig: Rig) -> None:
    with Dashboard(rig.folder / "runs") as url, shaken(rig) as run:
        seen = opened(url, f"#/run/{run.folder.name}")
        assert seen.text(".run .kind") == "REAL BENCH"
        seen.page.click(".head .safe")
        assert seen.text(".head .sure") == "Yes: all outputs safe now"
        seen.page.keyboard.press("Escape")
        assert rig.lit()
        seen.page.click(".head .safe")
        assert rig.lit()
        seen.page.keyboard.press("Enter")  # the answer has the focus
        seen.page.locator('.head .told[data-outcome="done"]').wait_for()
        assert rig.safe()
        assert ": safe: meter, gain, beams; the lease of " in seen.text(".head .told")
        run.client.communicate(timeout=30)
        seen.wait("document.querySelector('.run .status').textContent === 'failed'")
        assert "made everything safe at" in seen.text(".head .problem")
        assert seen.page.locator(".head .told").is_visible()
        seen.leave()
