"""HTML from plain values: what is not markup already is escaped, wherever it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")  # that no page may have


class Html(str):
    """Text that is markup, made here only."""

    __slots__ = ()


def text(value: object) -> Html:
    """Anything as markup; markup as it is."""
    return value if isinstance(value, Html) else Html(escape(_CONTROLS.sub("\ufffd", str(value)), quote=True))


def joined(parts: Iterable[object], between: str = "") -> Html:
    """All of them, one after the other."""
    return Html(text(between).join(text(part) for part in parts))


def tag(name: str, *parts: object, **attributes: object) -> Html:
    """An element; `class_` is the attribute class."""
    told = "".join(f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items() if value is not None)
    return Html(f"<{name}{told}>{joined(parts)}</{name}>")


def paragraph(*parts: object, kind: str | None = None) -> Html:
    """A paragraph."""
    return tag("p", *parts, class_=kind)


def code(value: object) -> Html:
    """A command or a file's content, line by line."""
    return tag("pre", tag("code", value))


def table(head: Sequence[object], rows: Sequence[Sequence[object]], numbers: Sequence[int] = (), kind: str | None = None) -> Html:
    """Args: numbers: columns that are numbers, to the right. Wide ones scroll by themselves."""
    if not rows:
        return Html("")
    sides = [{"class_": "n"} if place in numbers else {} for place in range(len(head))]
    top = joined(tag("th", name, scope="col", **side) for name, side in zip(head, sides, strict=True))
    body = (joined(tag("td", cell, **side) for cell, side in zip(row, sides, strict=True)) for row in rows)
    kind = kind or ("pair" if len(head) == 2 else None)
    rest = tag("tbody", joined(tag("tr", row) for row in body))
    inner = tag("table", tag("thead", tag("tr", top)) if any(head) else "", rest, class_=kind)
    return tag("div", inner, class_="wide")


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Names and what they are."""
    rows = [joined((tag("dt", name), tag("dd", value))) for name, value in pairs]
    return tag("dl", joined(rows)) if rows else Html("")


def folded(title: object, *parts: object) -> Html:
    """Shown when its title is clicked; open on paper."""
    return tag("details", tag("summary", title), *parts)


def section(title: str, *parts: object) -> Html:
    """A section with a heading; nothing without content."""
    content = joined(part for part in parts if part)
    return tag("section", tag("h2", title), content) if content else Html("")
