"""What fits where the cursor is: commands, options, or values of the option or word that is wanted there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labonn.cli import COMMANDS
from labonn.cli.completion_parsers import MANY, Book, Described
from labonn.cli.completion_values import Fitting, Line, values_of


class Place:
    """Where a line of words has led to.

    Attributes:
        taken: what can follow. option: whose value is wanted, and how many more. words: positional ones so far. given: options so far.
        ended: whether `--` was there.
    """

    def __init__(self, taken: Described) -> None:
        self.taken, self.wanted, self.ended = taken, 0, False
        self.option: dict[str, Any] | None = None
        self.words: list[str] = []
        self.given: dict[str, list[str]] = {}


def fitting(words: Sequence[str], joined: bool = False) -> Fitting:
    """Candidates for the last word, which is not complete.

    Args:
        words: behind `labonn`, up to the cursor. joined: they are broken at = and :, as bash does it; a value then goes without its option.
    """
    *before, current = _joined(words) if joined else list(words)
    with Book.opened() as book:
        if not before:
            found = Fitting([*COMMANDS.items(), ("--help", "this help"), ("--version", "the version")])
            return found.beginning(current)
        if before[0] not in COMMANDS:
            return Fitting([])
        place = _walked(before[0], before[1:], book)
        return _here(place, before[0], current, book, joined)


def _here(place: Place, command: str, current: str, book: Book, joined: bool) -> Fitting:
    line = Line(command, place.words, place.given, place.taken.get("benches", []))
    name, equals, begun = current.partition("=")
    if current.startswith("--") and equals and not place.ended:
        option = _option(place.taken, name)
        found = values_of(option, line, book).beginning(begun) if option else Fitting([])
        return found if joined else found.behind(f"{name}=")
    options = current.startswith("-") and not place.ended
    if place.option is not None and (place.wanted > 0 or not options):
        return values_of(place.option, line, book).beginning(current)
    if options:
        return Fitting(_options(place)).beginning(current)
    if place.taken["commands"]:
        return Fitting([(name, one["help"]) for name, one in place.taken["commands"].items()]).beginning(current)
    word = _word(place.taken, len(place.words))
    return values_of(word, line, book).beginning(current) if word else Fitting(_options(place)).beginning(current)


def _walked(command: str, words: Sequence[str], book: Book) -> Place:
    place = Place(book.command(command))
    for word in words:
        option = None if place.ended else _option(place.taken, word.partition("=")[0])
        if place.option is not None and place.wanted and option is None:
            place.given.setdefault(place.option["dest"], []).append(word)
            place.wanted -= place.wanted > 0
            place.option = place.option if place.wanted else None
        elif word == "--":
            place.ended = True
        elif option is not None:
            own = [word.partition("=")[2]] if "=" in word else []
            place.given.setdefault(option["dest"], []).extend(own)
            place.wanted = 0 if own else option["count"]
            place.option = option if place.wanted else None
        elif word in place.taken["commands"]:
            place.taken = place.taken["commands"][word]
        elif not word.startswith("-"):
            place.words.append(word)
            if command == "run" and len(place.words) == 1:
                place.taken = book.procedure(word)
    return place


def _option(taken: Described, name: str) -> dict[str, Any] | None:
    return next((option for option in taken["options"] if name in option["names"]), None)


def _options(place: Place) -> list[tuple[str, str]]:
    """Those that were not given yet, long names."""
    free = (option for option in place.taken["options"] if option["again"] or option["dest"] not in place.given)
    return [(name, option["help"]) for option in free for name in option["names"] if name.startswith("--")]


def _word(taken: Described, number: int) -> dict[str, Any] | None:
    words: list[dict[str, Any]] = taken["words"]
    if number < len(words):
        return words[number]
    return words[-1] if words and words[-1]["count"] == MANY else None


def _joined(words: Sequence[str]) -> list[str]:
    """Words that bash has broken at = and :."""
    found: list[str] = []
    glue = False
    for word in words:
        breaks = word in ("=", ":", "::")
        if found and (glue or breaks):
            found[-1] += word
        else:
            found.append(word)
        glue = breaks
    return found
