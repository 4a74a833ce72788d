"""An argument parser whose errors are one line, with the nearest known option."""

from __future__ import annotations

import argparse
import difflib
from typing import Any, NoReturn

from labonn.errors import LabonnError, ProcedureError


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults behind every option that has one worth showing."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False, [], argparse.SUPPRESS) else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """argparse, without abbreviations, and with errors as exceptions."""

    problem: type[LabonnError] = ProcedureError

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, "formatter_class": HelpFormatter, **settings})

    def error(self, message: str) -> NoReturn:
        """Raises in place of printing the usage and leaving."""
        _, _, unknown = message.partition("unrecognized arguments: ")
        near = difflib.get_close_matches(unknown.split("=")[0].split(" ")[0], self._option_string_actions, n=1) if unknown else []
        hint = f"did you mean {near[0]}?" if near else f"see {self.prog} --help"
        raise self.problem(f"{message}; {hint}")


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
