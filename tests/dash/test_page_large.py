"""The page of ten runs of 100,000 steps: how long until something, and until everything, is seen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Opener, Seen
from large_runs import copied, large_run

from labonn.dash.serving import Dashboard

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
STEPS, RUNS = 100_000, 10
MOST_S = 10.0  # generously, on a busy computer; what is aimed at, and printed, is two seconds
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("large")
    chip = large_run(out, STEPS, "train_chip")
    for seed in range(1, RUNS):
        copied(chip, seed)
    return out


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    """Of a server that has not been asked anything yet."""
    with Dashboard(folder) as url:
        yield url


def seconds(seen: Seen, place: str, condition: str) -> float:
    start_s = time.monotonic()
    seen.go(place).wait(condition)
    return time.monotonic() - start_s


def test_ten_long_runs_are_seen_soon(opened: Opener, url: str, folder: Path) -> None:
    names = sorted(run.name for run in folder.iterdir())
    start_s = time.monotonic()
    seen = opened(url)
    seen.wait(f"document.querySelectorAll('.runs .row[data-run]').length === {RUNS}")
    listed = time.monotonic() - start_s
    painted = seen.page.evaluate(PAINTED) / 1000
    drawn = f"document.querySelector('[data-chart=loss]')?.dataset.newest === '{STEPS}'"
    run = seconds(seen, f"?again#/run/{names[0]}", drawn)
    run_painted = seen.page.evaluate(PAINTED) / 1000
    warm = seconds(seen, f"?warm#/run/{names[0]}", drawn)
    every = f"chart => chart.dataset.newest === '{STEPS}' && chart.querySelectorAll('.legend button').length === {RUNS}"
    compared = seconds(seen, f"?compare#/compare/{','.join(names)}", f"[...document.querySelectorAll('.compare .chart')].some({every})")
    for what, found in (
        ("list painted", painted),
        ("list", listed),
        ("run painted", run_painted),
        ("run's curves, cold", run),
        ("warm", warm),
    ):
        print(f"{what}: {found:.2f} s")
    print(f"comparison of {RUNS}: {compared:.2f} s")
    seen.leave()
    assert max(painted, run_painted, listed, run, warm) < MOST_S
