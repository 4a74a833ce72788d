"""How figures look: size on paper, fonts, and colours that everybody can tell apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from labonn.errors import LabonnError

BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER = "#0072b2", "#d55e00", "#009e73", "#b0568f", "#3f9fd8", "#c98a00"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY)  # Okabe & Ito, those that are too light for thin lines on white made darker
GRAYS = ("#000000", "#6e6e6e", "#a0a0a0")
INK, FAINT, BAND = "#1b1c1e", "#8c8f94", 0.25
DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))  # a second sign beside the colour
HEAT, SIGNED = "viridis", "RdBu_r"
WIDTHS = {"single": 85.0, "double": 178.0}  # mm, of a column and a page of most journals
STYLES = {
    "paper": "black on white, thin lines",
    "slide": "black on white, lines and marks twice as thick",
    "dark": "light on transparent, for dark slides",
    "gray": "no colours: dashes tell lines apart",
}
PAGE = "page"  # a style for pages of two themes: INK and the colours of CYCLE are replaced by the theme's
MM = 1 / 25.4
_LENGTH = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*(mm|cm|in|pt)\s*")
_UNITS = {"mm": 1.0, "cm": 10.0, "in": 25.4, "pt": 25.4 / 72}


@dataclass(frozen=True)
class Look:
    """Of a figure.

    Attributes:
        width_mm: on paper. height_mm: None: what suits its kind. font_pt: of axes' labels; numbers and legends are a little smaller.
        dpi: of images, and of a PNG. style: one of STYLES, or PAGE.
    """

    width_mm: float = WIDTHS["single"]
    height_mm: float | None = None
    font_pt: float = 8.0
    dpi: int = 300
    style: str = "paper"

    @property
    def ink(self) -> str:
        """The colour of text and axes."""
        return "#f0f0f0" if self.style == "dark" else INK


def length_mm(text: str) -> float:
    """ "single", "double", or a length such as 85mm, 3.4in; in millimetres.

    Raises:
        LabonnError: it is none, or not between 20 and 1000 mm.
    """
    match = _LENGTH.fullmatch(text)
    if text not in WIDTHS and match is None:
        raise LabonnError(f"{text!r} is no length; single (85 mm), double (178 mm), or a number with mm, cm, in or pt, as 85mm")
    found = WIDTHS[text] if match is None else float(match[1]) * _UNITS[match[2]]
    if not 20 <= found <= 1000:
        raise LabonnError(f"{text}: {found:g} mm is outside 20 to 1000 mm")
    return found


@contextmanager
def looking(look: Look) -> Iterator[None]:
    """What is drawn and saved inside looks so. Text is text: a `$` in a name is no formula, and fonts are embedded."""
    import matplotlib

    with matplotlib.rc_context(), matplotlib.rc_context(_settings(look)):
        yield


def _settings(look: Look) -> Any:
    small, thick = 0.875 * look.font_pt, 2.0 if look.style == "slide" else 1.0
    ink = dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), look.ink)
    clear = "none" if look.style in ("dark", PAGE) else "white"
    back = dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), clear)
    sizes = {"font.size": look.font_pt, "axes.titlesize": look.font_pt, "axes.labelsize": look.font_pt}
    smaller = dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), small)
    widths = {"lines.linewidth": 1.2 * thick, "lines.markersize": 3.0 * thick, "axes.linewidth": 0.6 * thick}
    ticks = {f"{axis}tick.{name}": value * thick for axis in "xy" for name, value in {"major.width": 0.6, "major.size": 2.5}.items()}
    tidy = {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "legend.handlelength": 1.8}
    text = {"text.parse_math": False, "pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "labonn", "text.usetex": False}
    fonts = {"font.family": ["sans-serif"], "font.sans-serif": ["DejaVu Sans"], "axes.unicode_minus": True, "savefig.dpi": look.dpi}
    colours = GRAYS if look.style == "gray" else CYCLE
    return {**sizes, **smaller, **widths, **ticks, **tidy, **text, **fonts, **ink, **back, "axes.prop_cycle": _cycle(colours)}


def _cycle(colours: tuple[str, ...]) -> Any:
    from cycler import cycler

    return cycler(color=colours)


def style_of(place: int) -> dict[str, Any]:
    """Colour and dashes of the line of that number, as the style looked through has them; a colour that returns has other dashes."""
    import matplotlib

    colours = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
    return {"color": colours[place % len(colours)], "linestyle": DASHES[(place + place // len(colours)) % len(DASHES)]}


def colour(wanted: str) -> str:
    """A colour of CYCLE; in the style without colours a gray."""
    import matplotlib

    colours = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
    return GRAYS[CYCLE.index(wanted) % len(GRAYS)] if tuple(colours) == GRAYS else wanted


def ink() -> Any:
    """The colour of text and axes now."""
    import matplotlib

    return matplotlib.rcParams["text.color"]


def bare(axes: Any, *sides: str) -> None:
    """Without the frame's sides that say nothing: top and right, or those named."""
    for side in sides or ("top", "right"):
        axes.spines[side].set_visible(False)


def whole_numbers(axis: Any) -> None:
    """Ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
