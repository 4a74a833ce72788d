"""The streaming DAC of drivers/STREAM_PROTOCOL.md: bank memory, dense or sparse, played in the order of a table.

| operation | implemented | refused (code) |
| --- | --- | --- |
| identify, state, safe | whole | |
| limits | registers, read back | beyond its range (`limit`) |
| bank | blocks; dense, changes, dither; 8 to 16 bits, or floats | a gap, too many rows (`memory`), a value beyond the registers (`limit`) |
| arm | order, dwell, bursts, with a bank in the same message | rows not in memory (`memory`), an incomplete bank (`state`) |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sim_backends.firmware.stream_banks import FORMS, Bank, bank_of, each, followed, inside, rows_of
from sim_backends.firmware.stream_base import Result, StreamFirmware
from sim_backends.firmware.stream_messages import Array, Refusal, shown


class StreamDacFirmware(StreamFirmware):
    """The DAC. The light reads `armed`, `order`, `dwell_s`, `bank_version` and `bank` or `volts()`; the trigger calls `played()`.

    Attributes:
        waits: for the trigger, which may come `bursts_left` times.
    """

    kind = "dac"
    faults = (*StreamFirmware.faults, "stuck", "no_trigger")
    settings = ("limits", "bank", "arm", "safe")

    def __init__(self, channels: int, bits: int = 16, full_scale_v: float = 10.0, depth: int = 131072, serial: str = "SD-0001") -> None:
        super().__init__(channels, bits, full_scale_v, depth, serial)
        self.bank_version = 0
        self._volts: tuple[int, Bank] = (-1, np.zeros((0, channels), self.format))
        self._begin()

    def _begin(self) -> None:
        """As after power-on: an empty memory, limits at full scale, dark."""
        self._codes: Bank = np.zeros((0, self.channels), self.format)
        self._rows, self._loaded = 0, 0
        self._lower, self._upper = np.full(self.channels, -self.full_scale_v), np.full(self.channels, self.full_scale_v)
        self.waits, self._unplugged, self.bursts_left, self._played, self._before = False, False, 0, 0, 0
        self._record: int | None = None
        self.order: Array = np.zeros(0, "<u4")
        self.dwell_s = 0.0

    def power_cycle(self) -> None:
        """Memory, limits and session are gone."""
        super().power_cycle()
        self.bank_version += 1
        self._begin()

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> StreamDacFirmware:
        """As the port's options in the bench file want it."""
        return cls(channels, options["bits"], options["full_scale_v"], options["depth"], f"SD-{seed % 10000:04d}")

    @property
    def armed(self) -> bool:
        """Whether a trigger that comes now makes it play."""
        return self.waits and not self._unplugged

    @armed.setter
    def armed(self, waits: bool) -> None:
        self.waits, self._unplugged = waits, False

    @property
    def bank(self) -> Bank:
        """The memory in volts, in the form in which it was sent: (K, C) frames, Changes or Dither; `order` names its rows."""
        if self._volts[0] != self.bank_version:
            self._volts = (self.bank_version, each(self._codes, self._in_volts))
            if isinstance(self._volts[1], np.ndarray):
                self._volts[1].flags.writeable = False
        return self._volts[1]

    def volts(self) -> Array:
        """(T, C) volts of the armed table."""
        return self._in_volts(rows_of(self._codes, self.order))

    def played(self) -> None:
        """The table has been played once; the outputs are dark again."""
        if self.armed:
            self.bursts_left, self._played = self.bursts_left - 1, self._played + 1
            self.waits = self.bursts_left > 0

    def _in_volts(self, codes: Array) -> Array:
        return codes if self.is_float else np.multiply(codes, np.float32(self.scale), dtype=np.float32)

    def _identity(self) -> dict[str, Any]:
        return {**super()._identity(), "banks": list(FORMS)}

    def _op_limits(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        if len(arrays) != 2 or any(a.shape != (self.channels,) or a.dtype != np.dtype("<f8") for a in arrays):
            raise Refusal("argument", f"limits are two <f8 arrays of {self.channels} volts")
        lower, upper = arrays
        if not (np.all(lower >= -self.full_scale_v) and np.all(upper <= self.full_scale_v) and np.all(lower <= upper)):
            raise Refusal("limit", f"limits must lie in -{self.full_scale_v:g} to {self.full_scale_v:g} V, lower below upper")
        self._lower, self._upper = lower.copy(), upper.copy()
        return self._told("limits")

    def _op_bank(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        self._take(bank_of(header.get("form", "dense"), arrays, self.channels, self.format), header.get("start"), header.get("rows"))
        return self._told("bank")

    def _take(self, block: Bank, start: Any, rows: Any) -> None:
        """A block of a bank into the memory, if it is the next one and inside the limits."""
        if type(rows) is not int or not 1 <= rows <= self.depth:
            raise Refusal("memory", f"rows = {shown(rows)}: the memory holds 1 to {self.depth}")
        if type(start) is not int or start != (self._loaded if start else 0) or start + len(block) > rows or (start and rows != self._rows):
            raise Refusal("memory", f"block {shown(start)}+{len(block)} of {rows} does not follow the {self._loaded} rows received")
        slack = 0.5 if not self.is_float else 1e-6 * self.full_scale_v
        if not inside(block, self._lower / self.scale - slack, self._upper / self.scale + slack):
            raise Refusal("limit", "a code is outside the limit registers")
        block = self._stuck(block)
        if isinstance(block, np.ndarray) and (not start or isinstance(self._codes, np.ndarray)):
            codes: Array = self._codes if start else np.zeros((rows, self.channels), self.format)  # type: ignore[assignment]
            codes[start : start + len(block)] = block
            codes.flags.writeable = start + len(block) < rows  # whole, it stays as it is
            self._codes = codes
        else:
            self._codes = followed(self._codes, block) if start else block
        self._rows, self._loaded, self.waits = rows, start + len(block), False
        self.bank_version += 1

    def _stuck(self, block: Bank) -> Bank:
        """A channel that is stuck plays code 0, whatever the bank says."""
        if "stuck" not in self.troubles:
            return block
        frames = np.array(block if isinstance(block, np.ndarray) else rows_of(block, np.arange(len(block))))
        frames[:, self.troubles.index("stuck", self.channels)] = 0
        return frames

    def _op_arm(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        dwell_s, bursts = self._dwell(header), self._bursts(header)
        if not arrays or arrays[0].ndim != 1 or arrays[0].dtype != np.dtype("<u4") or arrays[0].size == 0:
            raise Refusal("argument", "an order is one (T,) array of <u4; a bank may come with it")
        order, last = arrays[0], int(arrays[0].max())
        if len(arrays) > 1:
            bank = bank_of(header.get("form", "dense"), arrays[1:], self.channels, self.format)
            if last >= len(bank):
                raise Refusal("memory", f"the order names row {last}; the bank has {len(bank)}")
            self._take(bank, 0, len(bank))
        if self._loaded != self._rows or self._rows == 0:
            raise Refusal("state", f"the bank is incomplete: {self._loaded} of {self._rows} rows")
        if last >= self._rows:
            raise Refusal("memory", f"the order names row {last}; the bank has {self._rows}")
        self.order, self.dwell_s, self.waits, self.bursts_left = order.copy(), dwell_s, True, bursts
        self._before, self._played = self._played, 0
        self._record, self._unplugged = header["seq"], self.troubles.take("no_trigger")
        return self._told("arm")

    def _op_safe(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        self.waits = False
        return self._told("safe")

    def _op_state(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        return {"armed": self.waits, "rows": self._rows, "shots": len(self.order) if self.waits else 0, "played": self._played}, []

    def _told(self, op: str) -> Result:
        if op == "limits":
            return {}, [self._lower, self._upper]
        if op == "bank":
            return {"loaded": self._loaded}, []
        if op == "safe":
            return {"armed": self.waits, "played": self._played}, []
        return {"shots": len(self.order) if self.waits else 0, "record": self._record, "played": self._before}, []
