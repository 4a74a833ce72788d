"""A simulated bench as VISA resources: its emulated instruments under the names that its bench file has for the real ones."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from pyvisa import rname

from labonn.benchfile import BenchFile, read
from labonn.clock import LiveClock, SimulatedClock
from labonn.errors import BenchFileError
from labonn.registry import load
from labonn.sources import idealised, instrument_name
from labonn.visa_instrument import VisaInstrument

STREAMS = ("ASRL", "SOCKET")
FLAGS = ("ideal", "real_time")


@dataclass(frozen=True)
class BenchChoice:
    """Which bench, and how.

    Attributes:
        path: of the bench file. seed: in place of the file's. ideal: every imperfection off. real_time: time passes as in the lab.
    """

    path: str
    seed: int | None = None
    ideal: bool = False
    real_time: bool = False

    @classmethod
    def parse(cls, text: str) -> BenchChoice:
        """`bench.toml`, or `bench.toml?seed=3&ideal=1&real_time=1`.

        Raises:
            BenchFileError: an unknown setting, or one that is not a whole number.
        """
        path, _, query = text.partition("?")
        found = dict(parse_qsl(query, keep_blank_values=True))
        wrong = [f"{key}={value}" for key, value in found.items() if key not in ("seed", *FLAGS) or not value.isdecimal()]
        if wrong or (query and not found):
            raise BenchFileError(f"{text}: {', '.join(wrong) or query!r}: known are seed=N, ideal=1 and real_time=1")
        flags = {key: bool(int(found.get(key, "0"))) for key in FLAGS}
        return cls(path, int(found["seed"]) if "seed" in found else None, **flags)

    def __str__(self) -> str:
        chosen = {"seed": self.seed, "ideal": 1 if self.ideal else None, "real_time": 1 if self.real_time else None}
        query = urlencode({key: value for key, value in chosen.items() if value is not None})
        return f"{self.path}?{query}" if query else self.path


class VisaBench:
    """The instruments of a bench file, coupled by its simulated light, as resources.

    Time is simulated: it passes by what the wires take, by timeouts, and by what the program waits. With `follows` that is the real
    time that it spends between two calls; without, whoever runs the program tells the clock (labonn.executing).

    Raises:
        BenchFileError: the file is wrong, or has no simulated bench.
    """

    def __init__(self, choice: BenchChoice, follows: bool = True) -> None:
        file = read(Path(choice.path))
        name = file.simulation.get("bench")
        if not isinstance(name, str):
            told = "the name of a simulated bench is wanted, 'unlit' for instruments without light"
            raise BenchFileError(f"{file.name}: simulation.bench = {name!r}: {told}")
        factory = load("labonn.benches", name, BenchFileError, f"{file.name}: simulation.bench")
        self.clock: SimulatedClock = LiveClock() if choice.real_time else SimulatedClock()
        self.turn = threading.RLock()
        self._follows, self._left = follows and not choice.real_time, time.monotonic()
        file = idealised(file) if choice.ideal else file
        self._simulated = factory(file, self.clock, ideal=choice.ideal, seed=choice.seed)
        self.resources: dict[str, VisaInstrument] = {}
        self._aliases: dict[str, str] = {}
        self._collect(file)

    def _collect(self, file: BenchFile) -> None:
        for port in file.ports.values():
            for index, url in enumerate(port.links):
                name = resource_name(url)
                firmware = getattr(self._simulated.link(f"{port.name}/{index}"), "firmware", None)
                if name is None or not hasattr(firmware, "feed"):
                    continue
                whole = not name.startswith(STREAMS) and not name.endswith(STREAMS)
                write_end = port.driver.link_options.get("write_end", "\n").encode()
                self.resources.setdefault(name, VisaInstrument(name, firmware, self.clock, write_end, whole))
                self._aliases[instrument_name(port, index)] = name

    def find(self, name: str) -> VisaInstrument | None:
        """The instrument of a resource name in any of its spellings, or of a port's name."""
        name = self._aliases.get(name, name)
        wanted = canonical(name).casefold()
        return next((found for known, found in self.resources.items() if known.casefold() == wanted), None)

    def alias(self, name: str) -> str:
        """The resource name of a port's name; any other name as it is."""
        return self._aliases.get(name, name)

    def catch_up(self) -> None:
        """Let the time pass that the program has spent since the last call."""
        if self._follows:
            self.clock.wait(time.monotonic() - self._left)

    def leave(self) -> None:
        """The program goes on by itself."""
        if self._follows:
            self._left = time.monotonic()


def resource_name(url: str) -> str | None:
    """The resource name of the instrument at a link's URL; None for one that VISA cannot reach."""
    scheme, _, rest = url.partition("://")
    rest = rest.partition("?")[0]
    if scheme == "visa":
        return canonical(rest)
    if scheme == "serial":
        return canonical(f"ASRL{rest[3:] if rest[:3].upper() == 'COM' and rest[3:].isdecimal() else rest}::INSTR")
    if scheme == "tcp":
        parts = urlsplit(url)
        return canonical(f"TCPIP0::{parts.hostname}::{parts.port}::SOCKET")
    return None


def canonical(name: str) -> str:
    """A resource name with everything that may be left out; text that is none as it is."""
    try:
        return rname.to_canonical_name(name)
    except ValueError:  # rname's own errors are ValueErrors
        return name


benches: dict[str, VisaBench] = {}  # as long as the program runs: instruments keep their state when nobody is connected


def bench_of(text: str) -> VisaBench:
    """The bench that `text` chooses, always the same one."""
    if text not in benches:
        benches[text] = VisaBench(BenchChoice.parse(text))
    return benches[text]
