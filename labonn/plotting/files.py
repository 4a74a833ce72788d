"""Figures made and written without pyplot: the same figure gives the same bytes."""

from __future__ import annotations

import io
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from labonn.errors import LabonnError
from labonn.plotting.look import MM, Look

METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "Creator": "labonn", "Producer": None},
    "svg": {"Date": None, "Creator": "labonn"},
    "png": {"Software": None},
}
_HEAD = re.compile(r"\s*<metadata>.*?</metadata>|\s*<style type=\"text/css\">.*?</style>", re.DOTALL)
_ID = re.compile(r'(\bid="|url\(#|href="#)')


def new_figure(look: Look, aspect: float = 0.7) -> Any:
    """An empty figure; `aspect` is its height over its width where the look leaves that open."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = look.height_mm or aspect * look.width_mm
    figure = Figure(figsize=(look.width_mm * MM, height * MM), dpi=look.dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def form_of(path: Path) -> str:
    """pdf, svg or png, by the name's ending.

    Raises:
        LabonnError: another one.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in METADATA:
        raise LabonnError(f"{path}: a figure's name ends in .pdf, .svg or .png")
    return form


def save(figure: Any, path: Path) -> None:
    """Write the file, whole or not at all.

    Raises:
        LabonnError: it cannot be written there.
    """
    write_whole(path, encoded(figure, form_of(path)))


def encoded(figure: Any, form: str) -> bytes:
    """The file's content."""
    buffer = io.BytesIO()
    with _any_text():
        figure.savefig(buffer, format=form, metadata=METADATA[form])
    return buffer.getvalue()


def inline_svg(figure: Any, prefix: str) -> str:
    """An <svg> element for a page, with names of its own so that several can stand in one."""
    return inlined(encoded(figure, "svg").decode(), prefix)


def inlined(text: str, prefix: str) -> str:
    """The <svg> element of an SVG file that is `encoded`, for a page."""
    return _ID.sub(rf"\g<1>{prefix}-", _HEAD.sub("", text[text.index("<svg") :], count=2))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        LabonnError: it cannot be written there.
    """
    part = ""
    try:
        handle, part = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}-")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(part, 0o666 & ~mask)
        os.replace(part, path)
    except OSError as problem:
        raise LabonnError(f"{path}: cannot be written: {problem.strerror or problem}; choose another place with -o FILE") from problem
    finally:
        with suppress(OSError):
            os.unlink(part)


@contextmanager
def _any_text() -> Iterator[None]:
    """Names may have letters that the font has not; a box is drawn for them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("error", message="constrained_layout not applied")
        try:
            yield
        except UserWarning as problem:
            told = "give it more --width or --height, or a smaller --font-size"
            raise LabonnError(f"the figure is too small for its labels; {told}") from problem
