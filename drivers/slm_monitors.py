"""Which monitor is the SLM: SDL's monitors joined with the EDID of the connectors they hang on, chosen by index, name or EDID.

X11: `xrandr` tells every connector's EDID and place on the desktop. Elsewhere on Linux the kernel tells the EDID by connector name.
Windows has no such list here; there SDL's name of a monitor is the name in its EDID already.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drivers import sdl
from drivers.sdl import Monitor
from drivers.slm_edid import Edid, parse_edid
from labonn.errors import ConnectError

DRM = Path("/sys/class/drm")
ASK_S = 5.0
_OUTPUT = re.compile(r"^(\S+) connected (?:primary )?(\d+)x(\d+)\+(-?\d+)\+(-?\d+)")
_HEX = re.compile(r"^\s+([0-9a-f]{2,32})\s*$")


@dataclass(frozen=True)
class Output:
    """A connector with a monitor; size (rows, columns) and position (x, y) on the desktop where they are known."""

    connector: str
    edid: Edid | None
    size: tuple[int, int] | None = None
    position: tuple[int, int] | None = None


def monitors() -> list[Monitor]:
    """SDL's monitors, with connector and EDID where those can be told for certain."""
    return attached(sdl.monitors(), _outputs(sdl.video_driver()))


def _outputs(driver: str) -> list[Output]:
    if driver == "x11":
        try:
            told = subprocess.run(["xrandr", "--current", "--props"], capture_output=True, text=True, timeout=ASK_S, check=True)
            return outputs_of_xrandr(told.stdout)
        except (OSError, subprocess.SubprocessError):
            return outputs_of_drm(DRM)
    return outputs_of_drm(DRM) if driver in ("wayland", "kmsdrm") else []


def outputs_of_xrandr(text: str) -> list[Output]:
    """The connectors that `xrandr --props` lists with a place on the desktop."""
    found: list[Output] = []
    digits: dict[int, str] = {}
    inside = reading = False
    for line in text.splitlines():
        if line[:1].strip():
            reading, place = False, _OUTPUT.match(line)
            inside = place is not None
            if place:
                width, height, x, y = map(int, place.groups()[1:])
                found.append(Output(place[1], None, (height, width), (x, y)))
        elif inside and line.strip().rstrip(":") == "EDID":
            reading = True
        elif reading and (piece := _HEX.match(line)):
            digits[len(found) - 1] = digits.get(len(found) - 1, "") + piece[1]
        else:
            reading = False
    return [replace(output, edid=_edid_of(bytes.fromhex(digits.get(number, "")))) for number, output in enumerate(found)]


def outputs_of_drm(folder: Path) -> list[Output]:
    """The connectors that the kernel knows to be in use (/sys/class/drm/card0-HDMI-A-1/edid and status)."""
    found = []
    for status in sorted(folder.glob("card*-*/status")):
        try:
            if status.read_text().strip() == "connected":
                found.append(Output(status.parent.name.partition("-")[2], _edid_of((status.parent / "edid").read_bytes())))
        except OSError:  # unplugged meanwhile
            continue
    return found


def _edid_of(data: bytes) -> Edid | None:
    try:
        return parse_edid(data)
    except ValueError:
        return None


def attached(seen: Sequence[Monitor], outputs: Sequence[Output]) -> list[Monitor]:
    """The monitors with what their outputs add; a monitor and an output that do not point at one another alone stay apart."""
    joined = []
    for monitor in seen:
        own = [output for output in outputs if _same(monitor, output)]
        alone = len(own) == 1 and sum(_same(other, own[0]) for other in seen) == 1
        joined.append(replace(monitor, connector=own[0].connector, edid=own[0].edid) if alone else monitor)
    return joined


def _same(monitor: Monitor, output: Output) -> bool:
    if output.position is not None:
        return (monitor.position, monitor.size) == (output.position, output.size)
    name = output.edid.name if output.edid else ""
    return _plain(monitor.name) == _plain(output.connector) or bool(name and monitor.name.startswith(name))  # SDL adds the inches


def _plain(name: str) -> str:
    """HDMI-A-1 of the kernel is HDMI-1 in X."""
    return re.sub(r"^(hdmi|dvi)-[a-z]-", r"\1-", name.casefold())


def chosen(found: Sequence[Monitor], wanted: str) -> Monitor:
    """The one monitor with this index, name or connector, or `edid:WORD,WORD`: parts of its name, maker, product or serial number.

    Raises:
        ConnectError: none or several (all there are are listed), or its picture is that of another monitor too.
    """
    kind, _, rest = wanted.partition(":")
    if kind == "edid":
        words = [word.strip() for word in rest.split(",")]
        matching = [m for m in found if all(_answers(m, word) for word in words)]
        what = f"has an EDID with {rest!r}"
    else:
        matching = [m for m in found if wanted == str(m.index)] or [m for m in found if _plain(wanted) in _names(m)]
        what = f"is called {wanted!r}"
    if len(matching) != 1:
        problem = "more than one monitor" if matching else "no monitor"
        raise ConnectError(f"monitor://{wanted}: {problem} {what}; there are {', '.join(map(str, found)) or 'none'}")
    for other in found:
        if other is not matching[0] and _overlap(other, matching[0]):
            raise ConnectError(f"monitor://{wanted}: monitors {other} and {matching[0]} show the same part of the desktop; set them apart")
    return matching[0]


def _names(monitor: Monitor) -> set[str]:
    own = monitor.edid.name if monitor.edid else ""
    return {_plain(name) for name in (monitor.name, monitor.connector, own) if name}


def _answers(monitor: Monitor, word: str) -> bool:
    if monitor.edid is not None:
        return monitor.edid.answers_to(word)
    return word != "" and word.casefold() in monitor.name.casefold()


def _overlap(one: Monitor, other: Monitor) -> bool:
    return all(
        max(one.position[axis], other.position[axis])
        < min(one.position[axis] + one.size[1 - axis], other.position[axis] + other.size[1 - axis])
        for axis in (0, 1)
    )


def check_native(monitor: Monitor) -> None:
    """Raise ConnectError unless the desktop gives the monitor its native size, as far as its EDID tells it."""
    if monitor.edid is not None and monitor.edid.size is not None and monitor.edid.size != monitor.size:
        (rows, columns), (height, width) = monitor.edid.size, monitor.size
        raise ConnectError(
            f"monitor {monitor} has {rows} x {columns} pixels of its own by its EDID, but the desktop gives it {height} x {width}; "
            "set its native mode without rotation (or ?native=0 if its EDID is wrong)"
        )
