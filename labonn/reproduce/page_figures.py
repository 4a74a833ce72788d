"""Figures of experiments in a page: as SVG in the theme's colours, or as PNG where that is smaller."""

from __future__ import annotations

import re
from pathlib import Path

from labonn.plotting.files import inlined
from labonn.report.markup import Html, paragraph, tag
from labonn.report.pictures import fewer_colours, image, themed

MOST = 4_200_000  # bytes of all figures of a page, which is to stay below 5 MB
MOST_PNG = 700_000
_NUMBERS = re.compile(r"(\d+\.\d{3})\d+")
_GRAY = re.compile(r"#([0-9a-f]{2})\1\1\b")
LIGHT, DARK = (0xC8, 0xF9), (0x60, 0xC8)  # levels of gray areas and of gray lines; white and black are kept for text on colours


class Figures:
    """Those of one page.

    Attributes:
        problems: figures that are not in it, and why.
    """

    def __init__(self) -> None:
        self._count, self._size = 0, 0
        self.problems: list[str] = []

    def of(self, folder: Path, caption: str) -> Html:
        """An experiment's figure with its caption; nothing where it has none."""
        svg, png = folder / "figure.svg", folder / "figure.png"
        try:
            inner = self._svg(svg, caption) if svg.exists() else self._png(png, caption) if png.exists() else Html("")
        except (OSError, ValueError) as problem:
            self.problems.append(f"The figure of {folder.name} cannot be read: {problem}")
            return Html("")
        self._size += len(inner)
        if self._size > MOST:
            self._size -= len(inner)
            return paragraph(f"The page would get too large with the figure; it is {folder.name}/figure.pdf.", kind="soft")
        return tag("figure", tag("div", inner, class_="wide"), tag("figcaption", caption), class_="big drawn") if inner else inner

    def _svg(self, path: Path, caption: str) -> Html:
        self._count += 1
        text = path.read_text(encoding="utf-8")
        if "<svg" not in text or not text.rstrip().endswith("</svg>"):
            raise ValueError(f"{path.name} is no whole SVG file")
        return themed(_GRAY.sub(_gray, _NUMBERS.sub(r"\1", inlined(text, f"f{self._count}"))), caption)

    def _png(self, path: Path, caption: str) -> Html:
        content = path.read_bytes()
        if not content.startswith(b"\x89PNG\r\n\x1a\n"):
            raise ValueError(f"{path.name} is no PNG image")
        content = fewer_colours(content)
        if len(content) > MOST_PNG:
            return paragraph(f"Its figure is too large for a page: {path.parent.name}/{path.name}.", kind="soft")
        return image(content, caption, "white")


def _gray(found: re.Match[str]) -> str:
    """Grays that a figure has chosen itself, as the theme has them."""
    level = int(found[1], 16)
    if LIGHT[0] <= level <= LIGHT[1]:
        return "var(--shade)"
    return "var(--faint)" if DARK[0] <= level < DARK[1] else found[0]
