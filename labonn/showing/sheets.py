"""A sheet: a title, facts and rows, as text in 80 columns or as HTML without scripts and colours of its own."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEAST = 80, 8
MOST = 200  # characters of a cell in a notebook: a port may be made of hundreds of instruments
GAP = "  "
CELL = "text-align:{}; padding:0.1em 0.6em; vertical-align:top"


@dataclass(frozen=True)
class Sheet:
    """What there is to see of something.

    Attributes:
        title: what it is. facts: a line each, above the rows. head, rows: of a table. right: numbers of columns with numbers.
        folded: name -> text that a notebook shows when its name is clicked, and a terminal not at all.
    """

    title: str
    facts: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    right: Sequence[int] = ()
    folded: Sequence[tuple[str, str]] = ()

    def text(self, width: int = WIDTH) -> str:
        """In so many columns; the widest columns of the table give way."""
        lines = _wrapped(self.title, width, "", GAP) or [""]
        for fact in self.facts:
            lines += _wrapped(fact, width, GAP, 2 * GAP)
        if self.rows:
            widths = _fitted([max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)], width - len(GAP))
            lines += [GAP + self._line(row, widths) for row in (self.head, *self.rows)]
        return "\n".join(lines)

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        cells = (_cut(cell, width) for cell, width in zip(row, widths, strict=True))
        placed = (
            cell.rjust(width) if at in self.right else cell.ljust(width) for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return GAP.join(placed).rstrip()

    def html(self) -> str:
        """The same as a table, whole."""
        facts = "".join(f"<br>{escape(fact)}" for fact in self.facts)
        parts = [f"<div><b>{escape(self.title)}</b>{facts}</div>"]
        if self.rows:
            head = "".join(self._cell("th", at, name) for at, name in enumerate(self.head))
            body = "".join(f"<tr>{''.join(self._cell('td', at, cell) for at, cell in enumerate(row))}</tr>" for row in self.rows)
            ruled = "border-bottom:1px solid currentColor"
            looks = "border-collapse:collapse; margin:0.3em 0; color:inherit; font-size:inherit"
            parts.append(f'<table style="{looks}"><thead style="{ruled}"><tr>{head}</tr></thead><tbody>{body}</tbody></table>')
        for name, text in self.folded:
            block = f'<pre style="background:none; color:inherit">{escape(text)}</pre>'
            parts.append(f"<details><summary>{escape(name)}</summary>{block}</details>")
        return f'<div class="labonn">{"".join(parts)}</div>'

    def _cell(self, tag: str, at: int, text: str) -> str:
        return f'<{tag} style="{CELL.format("right" if at in self.right else "left")}">{escape(_cut(text, MOST))}</{tag}>'


class Shown:
    """Something with a sheet, in place of the representation that Python would make of it."""

    __slots__ = ()

    def _sheet(self) -> Sheet:
        raise NotImplementedError

    def __repr__(self) -> str:
        return self._seen().text()

    def _repr_html_(self) -> str:
        return self._seen().html()

    def _seen(self) -> Sheet:
        """Whoever looks at something that is broken, or only half there, must not be stopped by that."""
        try:
            return self._sheet()
        except Exception as problem:
            return Sheet(f"{type(self).__name__} (it cannot be shown: {type(problem).__name__}: {problem})")


def _wrapped(text: str, width: int, first: str, later: str) -> list[str]:
    """Broken between words only: a path stays whole, and a number with its unit."""
    whole = re.sub(r"(?<=\d) (?=[^\W\d]{1,5}\b|%)", "\u00a0", text)
    lines = textwrap.wrap(whole, width, initial_indent=first, subsequent_indent=later, break_on_hyphens=False, break_long_words=False)
    return [line.replace("\u00a0", " ") for line in lines]


def _fitted(widths: Sequence[int], room: int) -> list[int]:
    """Widths that fit side by side; the widest give way first, none below LEAST."""
    found = list(widths)
    while sum(found) + len(GAP) * (len(found) - 1) > room and max(found) > LEAST:
        found[found.index(max(found))] -= 1
    return found


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
