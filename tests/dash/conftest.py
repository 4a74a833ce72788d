"""A browser for the tests of the page: one for all of them, a context of its own for each page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import Opener, chromium, opener
from playwright.sync_api import Browser


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
