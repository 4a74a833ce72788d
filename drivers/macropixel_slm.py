"""What all drivers of spatial light modulators have in common: one frame of macropixels in memory, shown when armed."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from drivers.macropixels import Codes, encode, fields_of, fit, inside, linear_phase, lookup, read_phase
from labonn.channels import ChannelSpec, Floats, NumberedNames
from labonn.errors import BenchFileError, IdentityError, LabonnError, LinkError, RefusedError, TableError, UnknownStateError
from labonn.shots import Bank, Ints, rows_of

Size = tuple[int, int]
SCRATCH = 16384  # macropixels that are encoded at once
TRIES = 4  # of safe: windows that failed are opened again; on a link a late reply, and the one behind it, may be in the way


@dataclass(frozen=True)
class SlmOptions:
    """Keys of an SLM's port in the bench file.

    Attributes:
        shape: macropixels (rows, columns). panel: pixels (rows, columns) of the instrument.
        bits: of one code. stroke_rad: phase of the highest code, if linear. lut: CSV file with the measured phase of the codes instead.
        settle_s: until a new frame may be used; default one frame at 60 Hz and four time constants of the liquid crystal.
    """

    shape: Size
    panel: Size = (1080, 1920)
    bits: int = 8
    stroke_rad: float = 2 * math.pi
    lut: str | None = None
    settle_s: float = 0.05


@contextmanager
def typed(port: str, what: str) -> Iterator[None]:
    """A window or a library raises what it likes; here that becomes an error of this project."""
    try:
        yield
    except LabonnError:
        raise
    except Exception as problem:
        raise UnknownStateError(f"{port}: {what} failed: {type(problem).__name__}: {problem}") from problem


class MacropixelSlm(ABC):
    """An SLM that cannot be triggered: depth 1, a frame is shown by `arm`.

    Macropixels of the panel outside the port's block stay at the code nearest to field 0, which lets no light through.
    The safe frame is code 0 on the whole panel.
    """

    Options: ClassVar[type] = SlmOptions
    kind: ClassVar[str] = "SpatialLightModulator"
    link_options: ClassVar[dict[str, Any]] = {}
    least_bits: ClassVar[int] = 8
    most_bits: ClassVar[int] = 8
    identity: str

    def __init__(self, options: SlmOptions, port: str) -> None:
        if not self.least_bits <= options.bits <= self.most_bits:
            allowed = "8" if self.most_bits == 8 else f"{self.least_bits} to {self.most_bits}"
            raise BenchFileError(f"{port}: bits is {options.bits}; allowed: {allowed} ({type(self).__name__})")
        self.port, self.shape = port, (int(options.shape[0]), int(options.shape[1]))
        self.geometry = fit((int(options.panel[0]), int(options.panel[1])), self.shape, port)
        bits, lut = options.bits, options.lut
        self._tables = lookup(linear_phase(bits, options.stroke_rad, port) if lut is None else read_phase(lut, bits, port), port)
        names = NumberedNames("", self.shape[0] * self.shape[1], row_length=self.shape[1])
        tables, settle = self._tables, np.float64(options.settle_s)
        self.spec = ChannelSpec(names, "1", np.asarray(tables.lower), np.asarray(tables.upper), np.asarray(tables.step), np.asarray(settle))
        dark = tables.table[len(tables.table) // 2]
        self._frame: Codes = np.full(self.geometry.frame, dark, tables.table.dtype)
        self._block = self._frame[self.geometry.block]
        few = (max(1, min(self.shape[0], SCRATCH // self.shape[1])), self.shape[1])
        self._scaled, self._index = np.empty(few, np.float32), np.empty(few, np.intp)
        self._row: int | None = None

    @abstractmethod
    def _show(self, frame: Codes) -> None:
        """Put a frame of macropixels on the panel; return when it is up."""

    @abstractmethod
    def close(self) -> None: ...

    def prepare(self, spec: ChannelSpec) -> None:
        """Show the safe frame; an SLM has no limit registers."""
        self.safe()

    def load(self, bank: Bank | None, order: Ints, dwell_s: float) -> None:
        """Encode the one row that `order` names; without a bank, check that it is the row in memory.

        Raises:
            TableError: another number of channels, or an order of several rows.
            LimitError: a field that the panel cannot show.
        """
        row = self._only_row(order)
        if bank is None:
            if row != self._row:
                held = "nothing" if self._row is None else f"only row {self._row}"
                raise TableError(f"{self.port}: row {row} is not in memory ({held} is); send the bank again")
            return
        if len(bank.shape) != 2 or bank.shape[1] != len(self.spec) or row >= bank.shape[0]:
            raise TableError(f"{self.port}: row {row} of a bank of shape {bank.shape} is not a frame of {len(self.spec)} channels")
        values = bank[row] if isinstance(bank, np.ndarray) else rows_of(bank, np.array([row]))[0]
        if not inside(values, self._tables):
            self.spec.check(self.port, values[None, :])
        self._row = None
        encode(values.reshape(self.shape), self._tables, self._scaled, self._index, self._block)
        self._row = row

    def arm(self) -> None:
        """Show the loaded frame now."""
        if self._row is None:
            raise TableError(f"{self.port}: armed before a frame was loaded")
        self._to_panel(self._frame)

    def safe(self) -> None:
        """Show code 0 on the whole panel, tried again after a link error; a frame in memory stays there."""
        for attempt in range(TRIES):
            try:
                self._show_safe()
                return
            except (LinkError, RefusedError, UnknownStateError):
                if attempt == TRIES - 1:
                    raise

    def _show_safe(self) -> None:
        self._to_panel(np.zeros_like(self._frame))

    def _to_panel(self, frame: Codes) -> None:
        with typed(self.port, "showing a frame"):
            self._show(frame)

    def shown(self, bank: Floats) -> Floats:
        """The fields that the panel shows for a bank of any shape: those of the nearest codes, in the bank's dtype."""
        if bank.size and not inside(bank, self._tables):
            self.spec.check(self.port, bank.reshape(-1, len(self.spec)))
        codes = np.empty(bank.shape, self._frame.dtype)
        encode(bank, self._tables, np.empty(bank.shape, np.float32), np.empty(bank.shape, np.intp), codes)
        return fields_of(codes, self._tables).astype(bank.dtype)

    def correct(self, commanded: Floats, measured: Floats) -> None:
        """Replace the tables of codes by what was measured: a commanded field is then the code that shows it.

        Args:
            commanded: (n,) rising fields that were commanded, from the lowest to the highest.
            measured: (n,) what they gave, scaled to -1 to 1 at the ends.

        Raises:
            TableError: too few points, or the measured fields do not rise.
        """
        if len(commanded) < 3 or not (np.all(np.diff(commanded) > 0) and np.all(np.diff(measured) > 0)):
            smallest = np.diff(measured).min(initial=0)
            raise TableError(f"{self.port}: a response is 3 or more points that rise; measured steps are as small as {smallest:.3g}")
        wanted, given, codes = (2 * np.arccos(-np.clip(fields, -1, 1)) for fields in (commanded, measured, self._tables.fields))
        self._tables = lookup(np.interp(codes, wanted, given), self.port)
        self._row = None

    def _only_row(self, order: Ints) -> int:
        if order.size == 0 or (order.size > 1 and not (order == order[0]).all()):
            named = np.unique(order)[:8].tolist()
            raise TableError(f"{self.port}: an SLM holds one frame (depth 1), so an order names one row, not {named}")
        return int(order[0])

    def _check_panel(self, reported: Size) -> None:
        if tuple(reported) != self.geometry.panel:
            (h, w), (height, width) = self.geometry.panel, reported
            raise IdentityError(f"{self.port}: panel is {h} x {w} pixels in the bench file, but {self.identity} has {height} x {width}")
