"""A headless Chromium that takes down what a page says, asks for and gets wrong."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu"]
WAIT_MS = 10_000.0
FILLED = """canvas => {
    const copy = Object.assign(document.createElement("canvas"), {width: canvas.width, height: canvas.height});
    const paint = copy.getContext("2d", {willReadFrequently: true});
    paint.drawImage(canvas, 0, 0);
    const {data} = paint.getImageData(0, 0, copy.width, copy.height);
    const colors = new Set();
    for (let at = 0; at < data.length; at += 4) if (data[at + 3]) colors.add(data[at] << 16 | data[at + 1] << 8 | data[at + 2]);
    return colors.size;
}"""


_OPEN: list[Browser] = []


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The computer's own; the test is skipped where there is none."""
    path = os.environ.get("LABONN_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no chromium on this computer (apt install chromium, or LABONN_CHROMIUM=path of one): the page is not tested")
    if _OPEN:  # Playwright can be had once in a process
        yield _OPEN[0]
        return
    with sync_playwright() as playwright:
        _OPEN.append(playwright.chromium.launch(executable_path=path, args=ARGUMENTS))
        try:
            yield _OPEN[0]
        finally:
            _OPEN.pop().close()


@dataclass
class Seen:
    """A page of the dashboard at `url`, and what it did.

    Attributes:
        said: everything on its console, and errors that nobody caught. asked: addresses of all its requests.
    """

    page: Page
    url: str
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def go(self, place: str = "") -> Seen:
        """To a place of the page, as `#/run/NAME`."""
        self.page.goto(f"{self.url}/{place}")
        return self

    def text(self, selector: str) -> str:
        """Of the first such element, once it is there; spaces that hold a number and its unit together are spaces."""
        return self.page.locator(selector).first.inner_text().replace("\u00a0", " ")

    def panel(self, name: str) -> Any:
        """A panel of a run, once it has been scrolled to and drawn."""
        self.page.locator(f"#{name}").scroll_into_view_if_needed()
        self.page.wait_for_selector(f"#{name}[data-drawn]")
        return self.page.locator(f"#{name}")

    def colors(self, selector: str) -> list[int]:
        """How many colours each of these canvases shows: 1 or 0 is a blank one."""
        return [canvas.evaluate(FILLED) for canvas in self.page.locator(selector).all()]

    def wait(self, condition: str, what: str = "") -> None:
        """Until an expression of the page is true; asked from outside, since its security policy forbids what playwright does."""
        end_s = time.monotonic() + WAIT_MS / 1000
        while not self.page.evaluate(condition):
            assert time.monotonic() < end_s, f"never {what or condition}"
            self.page.wait_for_timeout(20)

    def fits(self) -> None:
        """Nothing is wider than the screen."""
        wide, screen = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= screen, f"{self.page.url}: {wide} pixels wide on a screen of {screen}"

    def leave(self) -> None:
        """Before its server does, which it would miss."""
        self.page.close()

    def was_good(self) -> None:
        """It said nothing, and asked nobody but its own server."""
        assert not self.said, "\n".join(self.said)
        assert [address for address in self.asked if not address.startswith((f"{self.url}/", "data:"))] == []


Opener = Callable[..., Seen]


@contextlib.contextmanager
def opener(browser: Browser) -> Iterator[Opener]:
    """`open(url, place, width=, theme=, good=)`: a page; at the end each must have been good, unless `good=False`."""
    seen: list[tuple[Seen, bool]] = []

    def opened(url: str, place: str = "", width: int = 1280, theme: str = "light", good: bool = True, **given: Any) -> Seen:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, **given)  # type: ignore[arg-type]
        context.set_default_timeout(WAIT_MS)
        one = Seen(context.new_page(), url)
        one.page.on("console", lambda message: one.said.append(f"{message.type}: {message.text}"))
        one.page.on("pageerror", lambda error: one.said.append(f"uncaught: {error}"))
        one.page.on("request", lambda request: one.asked.append(request.url))
        seen.append((one, good))
        return one.go(place)

    try:
        yield opened
    finally:
        for one, _ in seen:
            one.page.context.close()
    for one, good in seen:
        if good:
            one.was_good()
