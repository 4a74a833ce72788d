"""A page that watches a run, as a process: what it asks for, as often as the real one, or the real one in a browser; told on and off."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

from dash_client import ask, get, listening

EVERY_S = {"/curves?points=600": 0.4, "/ports?points=300": 1.0, "/histograms": 1.0, "/log?since_event=1": 1.0, "": 3.0}


@contextlib.contextmanager
def imitation(url: str) -> Iterator[Callable[[bool], None]]:
    """Asks what the page asks, of the newest run."""
    on, over = threading.Event(), threading.Event()
    run = f"/api/runs/{get(url, '/api/runs')['runs'][0]['name']}"

    def watch() -> None:
        while not over.is_set():
            if not on.wait(0.05):
                continue
            every = {**EVERY_S, **{f"/frames/{port}": 2.0 for port in get(url, run)["frames"][:3]}}
            due = dict.fromkeys(every, 0.0)
            with listening(url, f"/api/live?run={run.rpartition('/')[2]}") as events:
                seen = 0
                while on.is_set() and not over.is_set():
                    if len(events.seen) > seen:
                        seen = len(events.seen)
                        for path in [path for path in due if time.monotonic() >= due[path]]:
                            due[path] = time.monotonic() + every[path]
                            ask(url, run + path)
                    over.wait(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    yield lambda wanted: on.set() if wanted else on.clear()
    over.set()
    thread.join()


@contextlib.contextmanager
def browser(url: str) -> Iterator[Callable[[bool], None]]:
    """The page itself, of the newest run, in Chromium without a window."""
    from playwright.sync_api import sync_playwright

    name = get(url, "/api/runs")["runs"][0]["name"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page()
        yield lambda wanted: page.goto(f"{url}/#/run/{name}" if wanted else "about:blank") and None
        chromium.close()


def main() -> int:
    """Lines on stdin: "on", "off"; each is answered when it is so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--browser", action="store_true")
    args = parser.parse_args()
    with (browser if args.browser else imitation)(args.url) as turn:
        print("ready", flush=True)
        for line in sys.stdin:
            turn(line.strip() == "on")
            print(line.strip(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
