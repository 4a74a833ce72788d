"""A draft as the text of a bench file, every key with what it is; checked on simulated instruments before it is written."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labonn.channels import ChannelSpec
from labonn.checking import check_bench
from labonn.drafting.draft import KEY, Draft, PortDraft, toml_key, toml_value
from labonn.drafting.knowledge import key_notes, option_notes, summary
from labonn.errors import BenchFileError
from labonn.registry import load
from labonn.units import format_range

COLUMN, WIDTH = 40, 120
MORE = """
# What else a bench file can say (README, "Safety" and "The guardian"); take the "# " away to use it:
# [[limits]]                    # of several channels together, at any moment
# ports = ["NAME"]
# sum = "2 A"                   # or power = "5 W", with resistance = "1 kohm" where ports are in V or A
# [[interlocks]]                # makes the bench safe and ends the run
# port = "NAME"
# what = "temperature"          # or "reading", of a detector
# upper = "90 degC"
# [guardian]                    # how long a silent run may keep the bench
# lease_s = 5.0
"""


HEAD = """\
# {kind}: written by `labonn init`. What is marked CHANGE depends on your lab; `labonn instruments DRIVER` has all options of a driver.
# labonn check --bench {name} tells whether everything is there and right; with --dry-run, whether this file is.
#
"""


def rendered(draft: Draft, specs: Mapping[str, ChannelSpec], kind: str, name: str) -> str:
    """The text of the file.

    Args:
        specs: what instruments allow by themselves, by port. kind: type of bench. name: of the file.
    """
    parts = [_port(piece, specs.get(piece.name)) if isinstance(piece, PortDraft) else _noted(piece) for piece in draft.pieces]
    text = "\n".join(part.strip("\n") + "\n" for part in parts if part.strip())
    text = HEAD.format(kind=kind, name=name) + text.replace(f"procedures/benches/{kind}.toml", name)
    return text + ("" if "[[limits]]" in text or "[[interlocks]]" in text else MORE)


def verify(text: str, name: str) -> None:
    """Raise BenchFileError unless `labonn check --dry-run` would pass such a file."""
    with tempfile.TemporaryDirectory(prefix="labonn-init-") as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        wrong = [row.error for row in check_bench(path, dry_run=True) if row.error]
    if wrong:
        raise BenchFileError("\n".join(wrong))


def write(path: Path, text: str, force: bool) -> None:
    """The whole file at once, or none; what is there already stays unless `force`.

    Raises:
        BenchFileError: it is there, or cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        if force:
            os.replace(part, path)
        else:
            os.link(part, path)
    except FileExistsError:
        raise BenchFileError(there_already(path)) from None
    except OSError as problem:
        raise BenchFileError(f"{path}: cannot be written: {problem.strerror or problem}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def there_already(path: Path) -> str:
    """What to say of a file that is not to be overwritten."""
    return f"{path}: is there already, and stays as it is; -o takes another name, --force writes over it"


def _port(port: PortDraft, spec: ChannelSpec | None) -> str:
    driver: Any = load("labonn.drivers", str(port.table.get("driver")), BenchFileError, f"ports.{port.name}.driver")
    notes = {**key_notes()["port"], **option_notes(driver), "driver": summary(driver)}
    if spec is not None:
        allowed = f"the instrument allows {format_range(float(spec.lower.min()), float(spec.upper.max()), spec.unit)}"
        notes |= {"lower": f"{allowed}; only tightens", "upper": f"CHANGE to what your device stands; {allowed}"}
    for option in ("channels", "instances", "shape"):
        if option in notes:
            notes[option] = f"CHANGE if yours differs: {notes[option]}"
    lines = [f"[ports.{toml_key(port.name)}]" + (f"  # {port.comment}" if port.comment else "")]
    for key, value in port.table.items():
        lines += _line(f"{key} = {toml_value(value)}", port.remarks.get(key) or notes.get(key, ""))
    return "\n".join(lines) + "\n"


def _line(setting: str, note: str) -> list[str]:
    """A key with its note behind it, or above where there is no room."""
    if not note:
        return [setting]
    beside = f"{setting:<{COLUMN}}  # {note}"
    if len(beside) <= WIDTH and len(setting) <= COLUMN:
        return [beside]
    return [*textwrap.wrap(note, WIDTH - 2, initial_indent="# ", subsequent_indent="#   "), setting]


def _noted(piece: str) -> str:
    """A table that is no port, with notes on keys that have no comment."""
    head = re.match(r"^\[\[?([\w.-]+)\]", piece)
    notes: Mapping[str, Any] = key_notes()
    for part in head[1].split(".") if head else ():
        notes = notes.get(part, {})
    lines: list[str] = []
    for line in piece.splitlines():
        key = KEY.match(line)
        note = notes.get(key[1], "") if key and "#" not in line else ""
        lines += _line(line.rstrip(), note if isinstance(note, str) else "")
    return "\n".join(lines) + "\n"
