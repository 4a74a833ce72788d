"""The cases of the campaign: every fault that an instrument can have, on every bench, at several moments of a run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import benches
from running import Seen

from labonn.faults import IN_THE_INSTRUMENT, OF_THE_COMPUTER, ON_CALLS, ON_THE_WIRE
from labonn.registry import load

VALUES = {"misread": "1.5", "stuck": "1", "saturated": "1", "nan": "1"}
MOMENTS = ("first word", "opening", "preparing", "first table", "middle", "last table", "closing")
PERSISTENT = ("deaf", "timeout", "garbled")  # that also come for ever
HOST = ("interrupt", "terminate", "raise_in_plan", "raise_in_driver", "raise_in_safe", "full_disk", "clock_ahead", "clock_back")


@dataclass(frozen=True)
class Case:
    """One run.

    Attributes:
        bench: of benches.py. port: "port" or "port/index"; "" for what is done to the computer. driver: of that port.
        kind, value, moment: the fault. after: exchanges that are left alone. forever: it does not end.
    """

    bench: str
    port: str
    driver: str
    kind: str
    moment: str
    value: str = ""
    after: int = 0
    forever: bool = False

    @property
    def word(self) -> str:
        """As `labonn run --fault` takes it."""
        value = f"={self.value}" if self.value else ""
        return f"{self.port}:{self.kind}{value}@{self.after}{'x*' if self.forever else ''}"

    @property
    def name(self) -> str:
        """For the screen, and for --only."""
        forever = " forever" if self.forever else ""
        return f"{self.bench} {self.port or 'computer'} {self.kind}{forever} {self.moment}"


def moments_of(counts: dict[str, int]) -> dict[str, int]:
    """moment -> exchanges of an instrument before it."""
    opened, last = counts["opened"], counts["last"]
    found = {"first word": 0, "opening": opened // 2, "preparing": opened - 1, "first table": opened, "middle": counts["middle"]}
    found |= {"last table": last - 1, "closing": last}
    return {moment: max(0, after) for moment, after in found.items()}


def kinds_of(driver: str) -> list[str]:
    """Every kind of fault that the emulator of a driver can have."""
    emulator = load("labonn.emulators", driver)
    wire = ON_THE_WIRE if hasattr(emulator, "feed") or hasattr(emulator, "handle_parts") else ON_CALLS
    computer = [kind for kind in OF_THE_COMPUTER if kind != "full_disk"]  # which would stay for other cases: HOST has its own
    return [*wire, *computer, *(kind for kind in IN_THE_INSTRUMENT if kind in emulator.faults)]


def cases_of(bench: str, reference: Seen) -> Iterator[Case]:
    """All of a bench: every fault of every driver at every moment, its ports taking turns."""
    by_driver: dict[str, list[str]] = {}
    for port, driver in reference.drivers.items():
        by_driver.setdefault(driver, []).append(port)
    for driver, ports in by_driver.items():
        turn = itertools.cycle(ports)
        for kind in kinds_of(driver):
            for moment in MOMENTS:
                port = next(turn)
                yield Case(bench, port, driver, kind, moment, VALUES.get(kind, ""), moments_of(reference.counts[port])[moment])
            if kind in PERSISTENT:
                port = next(turn)
                yield Case(bench, port, driver, kind, "middle", "", reference.counts[port]["middle"], forever=True)
    for kind in HOST:
        for moment in ("opening", "opened", "first", "middle", "last", "closing"):
            if (kind, moment) not in IMPOSSIBLE:
                yield Case(bench, "", "", kind, moment)


IMPOSSIBLE = {("raise_in_plan", "opening"), ("raise_in_plan", "closing"), ("raise_in_driver", "opening")}


def every(references: dict[str, Seen]) -> list[Case]:
    """All cases of all benches."""
    return [case for bench in benches.ALL if bench in references for case in cases_of(bench, references[bench])]
