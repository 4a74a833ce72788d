"""Reads an HTML page as a browser would, strictly: elements that do not close, and whatever it would load, are found."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from typing import Any

EMPTY = {"meta", "img", "br", "link", "input", "hr"}
LOADING = ("src", "href", "xlink:href", "action", "poster", "data", "srcset", "background", "formaction")


class Page(HTMLParser):
    """A page as read.

    Attributes:
        tags: names of elements, in order. handlers: attributes that would run. loaded: what it would load or lead to.
        texts: (element, text) pieces. images: attributes of all <img>. problems: elements that are not closed as they were opened.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.source = content.decode("utf-8")
        self.tags, self.handlers, self.loaded = list[str](), list[str](), list[str]()
        self.texts, self.images, self.problems = list[tuple[str, str]](), list[dict[str, Any]](), list[str]()
        self._open = list[str]()
        self.feed(self.source)
        self.close()
        self.problems += [f"<{name}> is never closed" for name in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._attributes(tag, attrs)
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._attributes(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.problems.append(f"</{tag}> closes {self._open[-1:] or 'nothing'}")
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and data.strip():
            self.texts.append((self._open[-1], data))

    def _attributes(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.handlers += [name for name in found if name.startswith("on")]
        self.loaded += [str(found[name]) for name in LOADING if found.get(name)]
        self.loaded += re.findall(r"url\(([^)]*)\)", str(found.get("style") or ""))
        if tag == "img":
            self.images.append(found)

    @property
    def text(self) -> str:
        """All that can be read."""
        return " ".join(data for tag, data in self.texts if tag not in ("style", "title"))

    @property
    def outside(self) -> list[str]:
        """What is neither in the page itself nor data."""
        style = "".join(data for tag, data in self.texts if tag == "style")
        found = self.loaded + re.findall(r"url\(([^)]*)\)|@import[^;]*", style)
        return [one for one in found if not one.startswith(("data:image/png;base64,", "#"))]

    def pictures(self) -> list[bytes]:
        """Bytes of all images, in figures of either form too."""
        return [base64.b64decode(one.partition(",")[2], validate=False) for one in self.loaded if one.startswith("data:image/png;base64,")]
