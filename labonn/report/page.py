"""A whole report, section by section, as one HTML file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from labonn import __version__
from labonn.plotting.hardware_kinds import histories_of
from labonn.plotting.past import Past
from labonn.report import believing, benches, happening, head, keeping, training
from labonn.report.markup import Html, joined, section, tag, text
from labonn.report.pictures import Pictures

DRAWN_ANEW = {"training.png"}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def report_of(past: Past) -> bytes:
    """The file's content: the same for the same folder."""
    pictures, events, found = Pictures(), happening.events_of(past), histories_of(past)
    title = f"{past.procedure}, {past.folder.name}"
    sections = [
        section("What was run", head.who(past)),
        happening.errors(past),
        training.result(past),
        training.learned(past, pictures),
        training.tested(past, pictures),
        training.trained(past, pictures),
        believing.measured(past, pictures),
        _kept(past, pictures),
        training.driven(past, pictures, found, benches.margins(past, found)),
        benches.instruments(past),
        benches.simulated(past),
        believing.believed(past, events),
        happening.happened(past, events),
        keeping.repeat(past),
        keeping.versions(past),
        keeping.files(past, hashed=past.summary.status != "running"),
    ]
    top = [head.banner(past), tag("h1", past.procedure), head.status(past), head.keys(past), happening.missing(past, pictures.problems)]
    return page(title, joined((*top, *sections)))


def _kept(past: Past, pictures: Pictures) -> Html:
    """Figures that the run left itself, of what is not drawn anew."""
    try:
        paths = sorted(path for path in past.folder.glob("*.png") if path.name not in DRAWN_ANEW)
    except OSError:
        return Html("")
    figures = [pictures.kept(path, f"{path.stem.replace('_', ' ')}, as the run drew it") for path in paths]
    return section("Figures of the run", *figures)


def page(title: str, body: Html, source: str = "the run's folder", more_style: str = "") -> bytes:
    """The skeleton: no script, nothing from elsewhere, and a policy that says so. source: what it is made from."""
    style = (files("labonn.report") / "style.css").read_text(encoding="utf-8") + more_style
    metas = (
        '<meta charset="utf-8">', '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">', '<meta name="color-scheme" content="light dark">',
        f'<meta name="generator" content="labonn {text(__version__)}">',
    )  # fmt: skip
    head = "\n".join((*metas, f"<title>{text(title)}</title>", f"<style>\n{style}</style>"))
    top = f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>'
    foot = tag("footer", f"{title}. Times are UTC. Made by labonn {__version__} from {source}.")
    return f"{top}\n<body>\n<main>{body}</main>\n{foot}\n</body>\n</html>\n".encode(errors="replace")


def default_path(past: Past) -> Path:
    """In the run's folder."""
    return past.folder / "report.html"
