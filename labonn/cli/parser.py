"""An argument parser whose errors are one line, with the nearest known option."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NoReturn

from labonn.errors import LabonnError, ProcedureError

LONG = 40  # characters of choices that stand where a value does


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults behind every option that has one worth showing."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Lines stay lines; those that are too long are broken."""
        from labonn.cli.output import folded

        rows = (row for line in text.splitlines() for row in folded(line, width, None if line.startswith(" ") else 0))
        return "\n".join(indent + row for row in rows)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        told = action.help if action.default in (None, False, [], argparse.SUPPRESS) else super()._get_help_string(action)
        return f"{told}: {', '.join(map(str, action.choices or ()))}" if _many(action) and told else told

    def _metavar_formatter(self, action: argparse.Action, default_metavar: str) -> Callable[[int], tuple[str, ...]]:
        """Choices that would fill a line are told behind the help instead."""
        if _many(action):
            return lambda size: (action.dest.upper(),) * size
        return super()._metavar_formatter(action, default_metavar)

    def _format_usage(self, usage: str | None, actions: Any, groups: Any, prefix: str | None) -> str:
        """Usages that are given are broken, too."""
        lines = super()._format_usage(usage, actions, groups, prefix).splitlines()
        return "\n".join(row for line in lines for row in textwrap.wrap(line, self._width, subsequent_indent=" " * 9) or [""]) + "\n\n"


def _many(action: argparse.Action) -> bool:
    return bool(action.choices) and action.metavar is None and len(",".join(map(str, action.choices or ()))) > LONG


class Parser(argparse.ArgumentParser):
    """argparse, without abbreviations, and with errors as exceptions."""

    problem: type[LabonnError] = ProcedureError
    _taking: ClassVar[bool] = False

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, "formatter_class": HelpFormatter, **settings})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does it; raises Taken inside `taking`."""
        if Parser._taking:
            raise Taken(self)
        return super().parse_known_args(args, namespace)

    def parse_known_intermixed_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does it; raises Taken inside `taking`."""
        if Parser._taking:
            raise Taken(self)
        return super().parse_known_intermixed_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raises in place of printing the usage and leaving."""
        _, _, unknown = message.partition("unrecognized arguments: ")
        near = difflib.get_close_matches(unknown.split("=")[0].split(" ")[0], self._option_string_actions, n=1) if unknown else []
        hint = f"did you mean {near[0]}?" if near else f"see {self.prog} --help"
        raise self.problem(f"{message}; {hint}")


class Taken(Exception):
    """A command has come to where it parses, and no further.

    Attributes:
        parser: with which.
    """

    def __init__(self, parser: Parser) -> None:
        super().__init__(parser.prog)
        self.parser = parser


@contextlib.contextmanager
def taking() -> Iterator[None]:
    """In here every parser raises Taken in place of parsing: how a command is asked what it takes."""
    Parser._taking = True
    try:
        yield
    finally:
        Parser._taking = False


def seed(text: str) -> int:
    """A seed: a whole number from 0."""
    return _from_zero(text, "a seed")


def count(text: str) -> int:
    """A number of steps: a whole number from 0."""
    return _from_zero(text, "a number of steps")


def _from_zero(text: str, what: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative; {what} is 0 or more")
    return value
