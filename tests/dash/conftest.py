"""Runs to look at, a dashboard that shows them, and a browser: one for all tests, a context of its own for each page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Opener, chromium, opener
from large_runs import copied, large_run
from playwright.sync_api import Browser

from labonn.dash.serving import Dashboard


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opener]:
    """Opens pages, which must neither complain nor ask anybody but their server."""
    with opener(browser) as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chip's run, a copy with other settings, and a vapour cell's; of as many steps as the module says in STEPS."""
    out = tmp_path_factory.mktemp("runs of today")
    chip = large_run(out, request.module.STEPS, "train_chip")
    large_run(out, request.module.STEPS, "train_vapour_cell", seed=1)
    copied(chip, seed=5)
    return out


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """Of a dashboard of these runs."""
    with Dashboard(folder) as url:
        yield url
