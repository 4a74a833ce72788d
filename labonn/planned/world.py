"""Which simulated light a plan is tried out on, for a bench file that may not say."""

from __future__ import annotations

import re
from collections.abc import Sequence

from labonn.benchfile import BenchFile, parse
from labonn.clock import SimulatedClock
from labonn.errors import LabonnError
from labonn.registry import load, registered

WITHOUT_LIGHT = "unlit"


def lit(text: str, name: str, likely: Sequence[str] = ()) -> tuple[str, str, bool]:
    """(the bench file with a simulated bench, its name, whether the file itself names none).

    A file that names none gets the first that takes its ports; "unlit", whose detectors see nothing, if none does.

    Args:
        text, name: the bench file's. likely: simulated benches that are tried first.

    Raises:
        BenchFileError: the file is wrong.
    """
    file = parse(text, name)
    if "bench" in file.simulation:
        return text, str(file.simulation["bench"]), False
    for world in dict.fromkeys([*likely, *(one for one in registered("labonn.benches") if one != WITHOUT_LIGHT)]):
        if _fits(file, world):
            return _with(text, world), world, True
    return _with(text, WITHOUT_LIGHT), WITHOUT_LIGHT, True


def _fits(file: BenchFile, world: str) -> bool:
    try:
        load("labonn.benches", world)(file, SimulatedClock()).close()
    except (LabonnError, KeyError, ValueError, AttributeError, TypeError, IndexError):  # any way of not being made for these ports
        return False
    return True


def _with(text: str, world: str) -> str:
    """The file with `simulation.bench`, in the table where there is one."""
    line = f'bench = "{world}"\n'
    headed, found = re.subn(r"(?m)^(\s*\[simulation\][^\n]*\n)", lambda head: head[1] + line, text, count=1)
    return headed if found else f"{text}\n\n[simulation]\n{line}"
