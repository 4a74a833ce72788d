"""What the dashboard answers: pages, JSON, events."""

from __future__ import annotations

import contextlib
import mimetypes
import sqlite3
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from labonn.dash import about, details
from labonn.dash.comparing import compared
from labonn.dash.curves import MOST_POINTS, curves, read_on
from labonn.dash.guardians import Guardians
from labonn.dash.guarding import Door, Guard
from labonn.dash.library import Library
from labonn.dash.live import Live
from labonn.dash.problems import BadQuestionError, ForbiddenError, NotThereError
from labonn.dash.warming import Warming
from labonn.dash.watched import Watched, told
from labonn.errors import LabonnError

ASSETS = Path(__file__).with_name("assets")
THREADS = 6
LONGEST_BODY = 4096  # bytes that anybody may send
Handler = Callable[[Request], Any]


class Pages:
    """The answers about one folder of runs."""

    def __init__(self, folder: Path, door: Door) -> None:
        self.library, self.door = Library(folder), door
        self.guardians = Guardians(self.library)
        self.live = Live(self.library)
        self.warming = Warming(self.library)
        self.first = CapacityLimiter(THREADS)  # threads of its own for the safe button, however many questions wait

    def app(self) -> Guard:
        """As an ASGI application."""
        one = "/api/runs/{name}"
        routes = [
            Route("/", index),
            Route("/api/runs", _json(self.runs)),
            Route(one, self._of_run(lambda run, _: about.about(run))),
            Route(f"{one}/curves", self._of_run(lambda run, ask: curves(run, _number(ask, "points", 600), _number(ask, "since", 0)))),
            Route(f"{one}/ports", self._of_run(self.ports)),
            Route(f"{one}/histograms", self._of_run(self.histograms)),
            Route(f"{one}/frames/{{port}}", self._of_run(lambda run, ask: details.frame(run, ask.path_params["port"]))),
            Route(f"{one}/maps/{{map}}", self._of_run(lambda run, ask: details.values_of_map(run, ask.path_params["map"]))),
            Route(f"{one}/log", self._of_run(lambda run, ask: about.log(run, _number(ask, "since_event", 0)))),
            Route(f"{one}/bench", self.bench),
            Route(f"{one}/files/{{file}}", self.figure),
            Route("/api/compare", _json(self.compare)),
            Route("/api/live", self.stream),
            Route("/api/guardians", _json(lambda _: {"guardians": self.guardians.all()})),
            Route("/api/button", self.button),
            Route("/api/safe", self.safe, methods=["POST"]),
            Mount("/assets", StaticFiles(directory=ASSETS, check_dir=False)),
        ]
        mimetypes.add_type("text/javascript", ".js")  # some computers say otherwise, and browsers then load no module
        handlers: Any = dict.fromkeys((LabonnError, sqlite3.Error, OSError, HTTPException, Exception), _refused)
        return Guard(Starlette(routes=routes, exception_handlers=handlers, lifespan=self._lifespan), self.door)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = THREADS
        self.warming.start()
        try:
            yield
        finally:
            self.warming.end()

    def runs(self, _: Request) -> dict[str, Any]:
        """All runs, where they are, and what the safe button wants."""
        self.warming.asked()
        folder = self.library.folder
        waiting = None if folder.is_dir() else f"{folder}: there is no such folder yet; it is made by the first run with --out {folder}"
        found = {"runs": self.library.list(), "folder": str(folder.absolute()), "token": self.door.told, "button": self.door.button}
        return found | ({"waiting": waiting} if waiting else {})

    def ports(self, run: Watched, ask: Request) -> dict[str, Any]:
        """Ports' panels; what is not complete is completed when nobody waits for it."""
        panels, complete = about.port_panels(run, _number(ask, "points", 300))
        if not complete:
            self.warming.soon(f"ports of {run.folder.name}", partial(read_on, run, "ports"))
        return panels

    def histograms(self, run: Watched, _: Request) -> dict[str, Any]:
        """Detectors' histograms; saturated readings are counted when nobody waits for it."""
        found, complete = details.histograms(run)
        if not complete:
            self.warming.soon(f"saturated of {run.folder.name}", partial(details.count_saturated, run))
        return found

    def bench(self, ask: Request) -> Response:
        """The bench file of a run."""
        return PlainTextResponse(about.bench_file(self._run(ask)))

    def figure(self, ask: Request) -> Response:
        """A figure of a run."""
        return FileResponse(about.figure(self._run(ask), ask.path_params["file"]), media_type="image/png")

    def compare(self, ask: Request) -> dict[str, Any]:
        """What differs between runs."""
        names = [name for name in ask.query_params.get("runs", "").split(",") if name]
        return compared([self.library.run(name) for name in dict.fromkeys(names)])

    async def stream(self, ask: Request) -> Response:
        """Events as they happen."""
        name = ask.query_params.get("run") or None
        if name is not None:
            await run_in_threadpool(self.library.run, name)
        return StreamingResponse(self.live.stream(name), media_type="text/event-stream", headers={"cache-control": "no-store"})

    async def button(self, _: Request) -> Response:
        """What the safe button needs; waits for no file and no thread."""
        return answer({"button": self.door.button, "token": self.door.told})

    async def safe(self, ask: Request) -> Response:
        """The safe button."""
        self.door.check_button(dict(ask.headers.raw))
        body = b""
        async for part in ask.stream():
            body += part
            if len(body) > LONGEST_BODY:
                raise BadQuestionError(f'more than {LONGEST_BODY} bytes were sent; {{"address": "..."}} is wanted')
        try:
            address = orjson.loads(body)["address"]
        except (ValueError, KeyError, TypeError):
            raise BadQuestionError('{"address": "..."} of one of /api/guardians is wanted') from None
        return answer(await to_thread.run_sync(self.guardians.make_safe, address, limiter=self.first))

    def _run(self, ask: Request) -> Watched:
        self.warming.asked()
        return self.library.run(ask.path_params["name"])

    def _of_run(self, respond: Callable[[Watched, Request], Any]) -> Handler:
        return _json(lambda ask: respond(self._run(ask), ask))


def index(_: Request) -> Response:
    """The page."""
    return FileResponse(ASSETS / "index.html", media_type="text/html")


def answer(value: Any, status: int = 200) -> Response:
    """JSON, in which what is no finite number is null."""
    content = orjson.dumps(value, default=str, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return Response(content, status, {"cache-control": "no-store"}, "application/json")


def _json(respond: Callable[[Request], Any]) -> Handler:
    def responded(ask: Request) -> Response:
        return answer(respond(ask))

    return responded


def _number(ask: Request, name: str, default: int) -> int:
    text = ask.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise BadQuestionError(f"{name}={text}: a whole number from 0 is wanted")
    return min(int(text), MOST_POINTS) if name == "points" else int(text)


def _refused(_: Request, problem: Exception) -> Response:
    if isinstance(problem, HTTPException):
        return answer({"error": f"{problem.detail}: there is no such page"}, problem.status_code)
    codes: dict[type[Exception], int] = {NotThereError: 404, BadQuestionError: 400, ForbiddenError: 403}
    return answer({"error": told(problem)}, codes.get(type(problem), 500))
