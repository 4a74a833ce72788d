"""What a guardian does with its bench: opens it, plays, calls, tells how it is; one thing at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.banks import arrays_of, rows_of
from labonn.errors import LabonnError, LimitError, TableError
from labonn.guardian.arrays import PARTS, Thing, Values, thing_of, unpack
from labonn.guardian.guarded import GuardedBench
from labonn.guardian.keepsake import restore_bench, saved_bench
from labonn.guardian.messages import ASKING, Call, Plain, Play, Request, Wait
from labonn.guardian.specs import packed_port
from labonn.guardian.unacceptable import Unacceptable
from labonn.shots import Bank, Ints, ShotTable
from labonn.units import format_quantity, format_range

MOST_THINGS, MOST_READ_BYTES = 2000, 1 << 32
FRESH_S = 2.0  # temperatures are not asked for more often


@dataclass
class Memory:
    """The banks and orders that a client may name without sending them again.

    Args:
        most_bytes: that they may have together.
    """

    most_bytes: int
    things: dict[int, Thing] = field(default_factory=dict)

    def update(self, play: Play, arrays: Sequence[NDArray[Any]]) -> tuple[dict[str, Thing], dict[str, Thing]]:
        """(banks, orders) of a play, by port; new ones remembered, old ones dropped.

        Raises:
            Unacceptable: unknown, known already, too many, or a thing of the wrong sort; nothing has changed then.
        """
        dropped = set(play.drop)
        things = {} if play.fresh else {id: thing for id, thing in self.things.items() if id not in dropped}
        rest = iter(arrays)
        for new in play.new:
            if new.id in things:
                raise Unacceptable(f"bank {new.id} is known already")
            things[new.id] = thing_of(new.kind, [next(rest) for _ in range(PARTS[new.kind])])
        if len(things) > MOST_THINGS or sum(map(_nbytes, things.values())) > self.most_bytes:
            raise Unacceptable(f"more than {MOST_THINGS} banks and orders, or {self.most_bytes} bytes of them, are to be remembered")
        try:
            found = {n: things[id] for n, id in play.banks.items()}, {n: things[id] for n, id in play.orders.items()}
        except KeyError as missing:
            raise Unacceptable(f"bank {missing} is not known") from None
        self.things = things
        return found


def _nbytes(thing: Thing) -> int:
    return thing.nbytes if isinstance(thing, np.ndarray) else sum(array.nbytes for array in arrays_of(thing))


class Doing:
    """A bench being used; one method at a time, but `outputs`, which asks nothing if it is told so.

    Args:
        opening: opens the bench. recorded: on a tape, which notes when a client looks at the clock, and only that.
        go_on: a checkpoint to which a simulated bench can be brought back. faults: that it has from then on.

    Attributes:
        shown: port -> (bank, row) that was commanded last; none of a port that is safe.
    """

    def __init__(
        self, opening: Callable[[], GuardedBench], recorded: bool = False, go_on: Path | None = None, faults: Sequence[str] = ()
    ) -> None:  # fmt: skip
        self._opening, self._recorded, self._go_on, self._faults = opening, recorded, go_on, faults
        self.bench = opening()
        self.shown: dict[str, tuple[Bank, int]] = {}
        self._is_safe = False
        self._counted_of: GuardedBench | None = None
        self._counting: list[str] = []
        self._warmth: dict[str, Any] = {}
        self._warmth_s = -FRESH_S

    def reopen(self) -> None:
        """The bench anew, as the next client expects it; what was open is made safe and closed first.

        Raises:
            LabonnError: it cannot be opened.
        """
        self.close()
        self.bench = self._opening()

    def close(self) -> None:
        """Make all safe, if nothing shows that it is, and let go of it."""
        self.shown.clear()
        self.bench.stop.clear()
        (self.bench.let_go if self._is_safe else self.bench.close)()
        self._is_safe = False

    def bring_back(self, known: dict[int, Thing]) -> None:
        """The simulated bench as at the checkpoint, and what its client knew that it had; from now on with its own faults.

        Raises:
            LabonnError: there is no checkpoint, there is no bench in it, or another one.
        """
        if self._go_on is None:
            raise LabonnError("a bench is brought back to a checkpoint that its guardian was started with; this one was started with none")
        restore_bench(self._go_on, {"bench": self.bench, "known": known, "shown": self.shown})
        self.bench.refault(self._faults)

    def make_safe(self) -> None:
        """All outputs."""
        self.shown.clear()
        self.bench.stop.clear()
        self._is_safe = False
        self.bench.safe()
        self._is_safe = True

    def saved(self, known: dict[int, Thing]) -> dict[str, NDArray[Any]]:
        """A packed snapshot of a simulated bench, and of what its client knows that it has.

        Raises:
            LabonnError: it is not simulated, or cannot be saved.
        """
        return saved_bench({"bench": self.bench, "known": known, "shown": self.shown})

    def request(self, request: Request, banks: dict[str, Any], orders: dict[str, Any], arrays: Sequence[Any], values: Values) -> Any:
        """Do what a client asks; the result, packed."""
        self._is_safe = self._is_safe and not isinstance(request, Play) and getattr(request, "method", "temperature") in ASKING
        for each in request.sets:
            setattr(self._port(each.port, each.name), each.name, each.value)
        if isinstance(request, Play):
            return self._play(request, banks, orders, values)
        if isinstance(request, Call):
            return values.pack(self._method(request)(*(unpack(value, arrays) for value in request.args)))
        if isinstance(request, Wait):
            self.bench.clock.wait(request.seconds)
        else:
            return self._plain(request)
        return None

    def _plain(self, request: Plain) -> float | None:
        if request.op == "now":
            return self.bench.clock.now()
        action = {"confirm": self.bench.confirm, "stop": self.bench.stop.clear, "make_safe": self.make_safe, "release": self.close}
        action[request.op]()
        return None

    def _play(self, play: Play, banks: dict[str, Bank], orders: dict[str, Ints], values: Values) -> Any:
        table = ShotTable(banks, orders, play.dwell_s, play.read, play.shots, play.settle)
        specs, detectors = self.bench.specs, [name for name, device in self.bench.ports.items() if hasattr(device, "fetch")]
        width = sum(len(specs[name]) for name in play.read or detectors if name in specs) if play.read != () else 0
        if width * play.shots * np.dtype(np.float64).itemsize > MOST_READ_BYTES:
            raise TableError(f"{play.shots} shots of {width} channels are more readings than a guardian passes on at once; cut the table")
        before = dict(self.shown)
        self.shown.update((name, (bank, int(table.orders[name][-1]))) for name, bank in table.banks.items() if name in specs)
        try:
            return {name: values.pack(found) for name, found in self.bench.play(table).items()}
        except (LimitError, TableError):  # nothing was sent
            self.shown = before
            raise

    def _port(self, port: str, name: str) -> Any:
        device = self.bench.ports.get(port)
        if device is None or not hasattr(device, name):
            raise LabonnError(f"{port}: {'has no ' + name if device is not None else 'no such port'}")
        return device

    def _method(self, call: Call) -> Any:
        return getattr(self._port(call.port, call.method), call.method)

    def actuators(self) -> list[str]:
        """Ports that have something to make safe."""
        return [name for name, device in self.bench.ports.items() if hasattr(device, "load")]

    def state(self) -> dict[str, Any]:
        """What changes with whatever is done, and is told with every reply."""
        bench = self.bench
        if bench is not self._counted_of:
            self._counted_of = bench
            self._counting = [name for name, device in bench.ports.items() if hasattr(device, "saturated")]
        saturated = {name: int(bench.ports[name].saturated) for name in self._counting}
        now = None if self._recorded else bench.clock.now()
        return {"now": now, "shots": bench.shots, "exchanges": bench.exchanges, "saturated": saturated}

    def about(self, values: Values) -> dict[str, Any]:
        """What a client has to know of the bench from the beginning."""
        ports = {name: packed_port(device, self.bench.specs[name], values) for name, device in self.bench.ports.items()}
        bench = self.bench
        told = {"name": bench.file.name, "text": bench.file.text, "concurrent": bench.clock.concurrent, "world": bench.world}
        return {**told, "ports": ports}

    def outputs(self, ask: bool) -> dict[str, Any]:
        """Every port in words: what was commanded last, and temperatures.

        Args:
            ask: whether the instruments may be asked for temperatures; else they are those of the last time.
        """
        if ask and time.monotonic() - self._warmth_s >= FRESH_S:
            self._warmth_s = time.monotonic()
            self._warmth = {name: _warmth(device) for name, device in self.bench.ports.items() if hasattr(device, "temperature")}
        return {name: self._told(name) for name in self.bench.ports}

    def _told(self, name: str) -> dict[str, Any]:
        spec, device = self.bench.specs[name], self.bench.ports[name]
        about: dict[str, Any] = {"identity": str(getattr(device, "identity", "")), "channels": len(spec), "unit": spec.unit}
        if hasattr(device, "load"):
            bank, row = self.shown.get(name, (None, 0))
            about["output"] = "safe"
            if bank is not None:
                values = rows_of(bank, np.array([row]))
                low, high = float(values.min()), float(values.max())
                about["output"] = format_quantity(low, spec.unit) if low == high else format_range(low, high, spec.unit)
        return {**about, **({"temperature": self._warmth[name]} if name in self._warmth else {})}


def _warmth(device: Any) -> Any:
    try:
        return np.asarray(device.temperature(), np.float64).tolist()
    except Exception as problem:  # a status is told whatever fails
        return str(problem)
