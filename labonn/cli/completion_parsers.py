"""What commands and procedures take, as plain data: asked of their own parsers once, then kept in a cache."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import labonn

if TYPE_CHECKING:
    import argparse

Described = dict[str, Any]  # {"options": [...], "words": [...], "commands": {name: Described}}
NOTHING: Described = {"options": [], "words": [], "commands": {}}
MANY = -1  # values


class Book:
    """Descriptions by name, of this installation as it is now; what is new in it is written down at the end of `opened`."""

    def __init__(self, path: str, stamp: str) -> None:
        self._path, self._stamp, self._new = path, stamp, False
        self._pages: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
            found = json.load(file)
            self._pages = found["pages"] if found["stamp"] == stamp else {}

    @classmethod
    @contextlib.contextmanager
    def opened(cls) -> Iterator[Book]:
        """The book of this Python environment; a folder that cannot be written to does no harm."""
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        book = cls(os.path.join(base, "labonn", f"completion-{zlib.crc32(sys.prefix.encode()):08x}.json"), stamp())
        yield book
        with contextlib.suppress(OSError):
            book._write()

    def command(self, name: str) -> Described:
        """A command's options and words."""
        page: Described = self._page(f"command {name}", lambda: _command(name))
        return page

    def procedure(self, name: str) -> Described:
        """Those of `labonn run` with that procedure; of a Python file, not kept."""
        if name.endswith(".py"):
            return _procedure(name)
        page: Described = self._page(f"procedure {name}", lambda: _procedure(name))
        return page

    def names(self, group: str) -> list[str]:
        """What is registered: `procedures`, `drivers`, `emulators`, `benches`, `experiments`."""
        return self._page(f"names {group}", lambda: _names(group))  # type: ignore[no-any-return]

    def settings(self) -> list[str]:
        """NAME=VALUE of all settings that experiments have."""
        return self._page("settings", _settings)  # type: ignore[no-any-return]

    def _page(self, title: str, make: Any) -> Any:
        if title not in self._pages:
            self._pages[title], self._new = make(), True
        return self._pages[title]

    def _write(self) -> None:
        if self._new:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            part = f"{self._path}.{os.getpid()}"
            with open(part, "w", encoding="utf-8") as file:
                json.dump({"stamp": self._stamp, "pages": self._pages}, file)
            os.replace(part, self._path)


def stamp() -> str:
    """Changes with every file of labonn and of the rooms beside it, and with what is installed."""
    seen = [labonn.__version__]
    root = os.path.dirname(str(labonn.__file__))
    for folder in (root, os.path.join(root, "..", "procedures"), os.path.join(root, "..", "drivers")):
        for place, folders, files in os.walk(folder):
            folders[:] = sorted(name for name in folders if not name.startswith(("_", ".")))
            python = sorted(name for name in files if name.endswith(".py"))
            seen += [f"{name} {os.stat(os.path.join(place, name)).st_mtime_ns}" for name in python]
    for place in (place for place in sys.path if place.endswith("-packages")):  # what comes or goes changes its folder
        with contextlib.suppress(OSError):
            seen.append(f"{place} {os.stat(place).st_mtime_ns}")
    return f"{zlib.crc32(' '.join(seen).encode()):08x}"


def described(parser: argparse.ArgumentParser) -> Described:
    """A parser as data."""
    import argparse

    options, words, commands = [], [], {}
    for action in parser._actions:
        if action.help == argparse.SUPPRESS:
            continue
        if isinstance(action, argparse._SubParsersAction):
            helps = {one.dest: one.help or "" for one in action._choices_actions}
            commands = {name: {**described(one), "help": helps.get(name, "")} for name, one in action.choices.items()}
        elif action.option_strings:
            options.append({"names": list(action.option_strings), **_value(action)})
        else:
            words.append(_value(action))
    return {"options": options, "words": words, "commands": commands}


def _value(action: argparse.Action) -> dict[str, Any]:
    import argparse

    counts = {None: 1, "?": 1, argparse.ZERO_OR_MORE: MANY, argparse.ONE_OR_MORE: MANY, argparse.REMAINDER: MANY}
    count = action.nargs if isinstance(action.nargs, int) else counts.get(action.nargs, 1)
    name = action.metavar if isinstance(action.metavar, str) else action.dest
    choices = None if action.choices is None else list(map(str, action.choices))
    again = isinstance(action, argparse._AppendAction)
    told = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    return {"dest": action.dest, "metavar": name, "count": count, "choices": choices, "help": told, "again": again}


def _command(name: str) -> Described:
    import io
    from importlib import import_module

    from labonn.cli.parser import Taken, taking
    from labonn.cli.stopping import Stopping

    try:
        with taking(), contextlib.redirect_stdout(io.StringIO()):
            if name == "run":
                from labonn.cli.run_options import parser_of

                return described(parser_of(None))
            import_module(f"labonn.cli.{name.replace('-', '_')}").command(["--help"], Stopping())
    except Taken as taken:
        return described(taken.parser)
    except (Exception, SystemExit):  # a Tab is no place to tell what is wrong with a command
        pass
    return NOTHING


def _procedure(name: str) -> Described:
    from labonn.cli.run_options import parser_of
    from labonn.errors import LabonnError
    from labonn.procedures import load

    try:
        procedure = load(name)
        return {**described(parser_of(procedure)), "benches": list(getattr(procedure.module, "benches", ()))}
    except LabonnError:
        return _command("run")


def _names(group: str) -> list[str]:
    from labonn.registry import registered

    return list(registered(f"labonn.{group}"))


def _settings() -> list[str]:
    from labonn.reproduce.experiment import settings

    return settings()
