"""Figures inside a page: as SVG in the theme's colours, or as PNG where that is smaller."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labonn.errors import LabonnError
from labonn.plotting.files import METADATA, encoded, inline_svg, new_figure
from labonn.plotting.look import AMBER, BLUE, FAINT, GREEN, INK, ORANGE, PAGE, PURPLE, SKY, Look, looking
from labonn.plotting.past import Array
from labonn.report.markup import Html, tag, text

WIDTH_MM = 110.0
MOST_SVG = 160_000  # characters, above which a PNG is sharper for its size
MOST_PNG, COLOURS = 1_000_000, 128  # bytes of all figures that the run left; a figure has not many colours
VARIABLES = {INK: "ink", FAINT: "faint", BLUE: "c0", ORANGE: "c1", GREEN: "c2", PURPLE: "c3", AMBER: "c4", SKY: "c5"}


class Pictures:
    """Those of one page.

    Attributes:
        problems: figures that could not be drawn, and why.
    """

    def __init__(self) -> None:
        self._count, self._kept = 0, 0
        self.problems: list[str] = []

    def figure(self, caption: str, draw: Callable[[Any], object], aspect: float = 0.7, width_mm: float = WIDTH_MM) -> Html:
        """One figure with its caption; nothing if it cannot be drawn."""
        self._count += 1
        try:
            inner = self._drawn(caption, draw, aspect, width_mm)
        except (LabonnError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError) as problem:
            self.problems.append(f"figure {caption!r}: {type(problem).__name__}: {problem}")
            return Html("")
        return tag("figure", inner, tag("figcaption", caption), class_="big" if width_mm > WIDTH_MM else None)

    def _drawn(self, caption: str, draw: Callable[[Any], object], aspect: float, width_mm: float) -> Html:
        with looking(Look(width_mm=width_mm, dpi=150, style=PAGE)):
            figure = new_figure(Look(width_mm=width_mm, dpi=150), aspect)
            draw(figure)
            svg = inline_svg(figure, f"f{self._count}")
        if len(svg) <= MOST_SVG:
            return themed(svg, caption)
        with looking(Look(width_mm=width_mm, dpi=200)):
            figure = new_figure(Look(width_mm=width_mm, dpi=200), aspect)
            draw(figure)
            return image(encoded(figure, "png"), caption, "white")

    def kept(self, path: Path, caption: str) -> Html:
        """A PNG that the run left."""
        try:
            content = path.read_bytes()
        except OSError as problem:
            self.problems.append(f"{path.name}: cannot be read: {problem.strerror or problem}")
            return Html("")
        if not content.startswith(b"\x89PNG\r\n\x1a\n") or b"IEND" not in content[-16:]:
            self.problems.append(f"{path.name}: is no whole PNG image")
            return Html("")
        content = fewer_colours(content)
        self._kept += len(content)
        if self._kept > MOST_PNG:
            self.problems.append(f"{path.name}: is left out, the report would get too large; it is in the run's folder")
            return Html("")
        return tag("figure", image(content, caption, "white"), tag("figcaption", caption), class_="big")


def fewer_colours(content: bytes) -> bytes:
    """The same image with a palette, where that is smaller."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(content)) as found:
        found.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return min(content, buffer.getvalue(), key=len)


def themed(svg: str, caption: str) -> Html:
    """With the page's variables for colours, and words for who cannot see it."""
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return Html(svg.replace("<svg ", f'<svg role="img" aria-label="{text(caption)}" ', 1))


def image(content: bytes, caption: str, kind: str | None = None) -> Html:
    """A PNG in the page."""
    data = base64.b64encode(content).decode()
    return Html(f'<img class="{kind or ""}" alt="{text(caption)}" src="data:image/png;base64,{data}">')


def digit(pixels: Array, caption: str) -> Html:
    """A small image, pixel by pixel, white on black."""
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, pixels, cmap="gray", format="png", metadata=METADATA["png"])
    return image(buffer.getvalue(), caption, "digit")


def bars(values: Any, label: int, read: int) -> Html:
    """Outputs as bars, the class in the first colour, what it was taken for in the second."""
    reach = float(max(abs(values).max(), 1e-300))
    low, high = min(0.0, float(values.min()) / reach), max(0.0, float(values.max()) / reach)
    scale = 26 / (high - low)
    rects = []
    for place, value in enumerate(values / reach):
        shade = "c0" if place == label else "c1" if place == read else "faint"
        top, height = (high - max(value, 0.0)) * scale, abs(value) * scale
        rects.append(f'<rect x="{6 * place + 0.5}" y="{top:.2f}" width="5" height="{max(height, 0.3):.2f}" style="fill:var(--{shade})"/>')
    return Html(f'<svg class="bars" viewBox="0 0 {6 * len(values)} 26" role="img" aria-label="outputs">{"".join(rects)}</svg>')
