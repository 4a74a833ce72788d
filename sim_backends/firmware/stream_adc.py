"""The streaming ADC of drivers/STREAM_PROTOCOL.md, with the trigger line: a record of one burst or of several.

| operation | implemented | refused (code) |
| --- | --- | --- |
| identify, state, safe | whole | |
| range | full scales channel by channel, the smallest that hold | above the largest (`argument`) |
| arm, fire | shots, dwell, bursts; what is beyond the range is counted | more than the record holds (`memory`) |
| fetch | the record in blocks, by the row where they begin | nothing recorded, bursts missing (`state`) |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sim_backends.firmware.stream_base import BLOCK_BYTES, Result, StreamFirmware
from sim_backends.firmware.stream_messages import Array, Refusal, shown

RANGES_V = (*(m * 10.0**e for e in range(-3, 1) for m in (1, 2, 5)), 10.0)


class StreamAdcFirmware(StreamFirmware):
    """The ADC, with the trigger line. At every firing the light calls `record`, or `will_record` and `record` when it is asked.

    Attributes:
        on_fire: called with (shots, dwell_s) when the trigger fires; raises Refusal if an armed instrument does not agree.
        on_fetch: called when rows are fetched that `will_record` has promised; has to `record` them all, or to raise Refusal.
        waits: shots of a firing that is waited for; 0 when none is. bursts: firings of the record. firings: how many have come.
    """

    kind = "adc"
    faults = (*StreamFirmware.faults, "saturated", "nan", "no_trigger", "lost_block")
    settings = ("range", "arm", "safe")

    def __init__(
        self, channels: int, bits: int = 16, full_scale_v: float = 10.0, depth: int = 1 << 20, serial: str = "SA-0001",
        ranges_v: Sequence[float] = RANGES_V,
    ) -> None:  # fmt: skip
        super().__init__(channels, bits, full_scale_v, depth, serial)
        self.ranges_v = sorted({*ranges_v, full_scale_v})
        self.on_fire: Callable[[int, float], None] = lambda shots, dwell_s: None
        self.on_fetch: Callable[[], None] = lambda: None
        self._fires = False
        self._begin()

    def _begin(self) -> None:
        """As after power-on: the widest range, nothing armed, no record."""
        self._ranges = np.full(self.channels, self.full_scale_v)
        self.waits, self._unplugged, self.dwell_s, self._saturated = 0, False, 0.0, 0
        self.bursts, self.firings, self._promised = 1, 0, 0
        self._record: int | None = None
        self._blocks: list[Array] = []

    def power_cycle(self) -> None:
        """Range, record and session are gone."""
        super().power_cycle()
        self._begin()

    @property
    def armed_shots(self) -> int:
        """Shots that a trigger that comes now makes it record; 0: none."""
        return 0 if self._unplugged else self.waits

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> StreamAdcFirmware:
        """As the port's options in the bench file want it."""
        return cls(channels, options["bits"], options["full_scale_v"], options["depth"], f"SA-{seed % 10000:04d}")

    def will_record(self) -> None:
        """The trigger has come for this armed instrument; its rows follow when `on_fetch` asks for them."""
        if not self.armed_shots:
            raise ValueError("nothing can be recorded: not armed")
        self._promised += self.armed_shots
        self._fired()

    def record(self, volts: Array) -> None:
        """(T, D) volts at the inputs become codes; those beyond the range sit at its end and are counted.

        Args:
            volts: of this firing, or of all firings since `will_record` was called first.
        """
        if self._promised:
            if len(volts) != self._promised:
                raise ValueError(f"{len(volts)} rows are recorded, and {self._promised} were promised")
            self._promised = 0
        elif self.armed_shots:
            self._fired()
        else:
            self._forget()
            self.bursts = self.firings = 1
        self._blocks.append(self._codes(volts))

    def _fired(self) -> None:
        self.firings += 1
        if self.firings >= self.bursts:
            self.waits = 0

    def _codes(self, volts: Array) -> Array:
        if self.is_float:
            return self._spoilt(np.array(volts, self.format), self.full_scale_v)
        top = 2 ** (self.bits - 1) - 1
        per_volt = (top / self._ranges).astype(volts.dtype)
        alike = bool(np.all(per_volt == per_volt[0]))  # one number for all channels is faster
        codes = np.multiply(volts, per_volt[0] if alike else per_volt)
        np.rint(codes, out=codes)
        if not (codes.max() < top and codes.min() > -top):
            self._saturated += int(np.count_nonzero(np.abs(codes) >= top))
            np.clip(codes, -top, top, out=codes)
        return self._spoilt(np.asarray(codes, self.format), top)

    def _spoilt(self, codes: Array, top: float) -> Array:
        """A channel at the end of its range, or one that gives what is no number: as an integer, all bits set."""
        if "saturated" in self.troubles:
            codes[:, self.troubles.index("saturated", self.channels)] = top
            self._saturated += len(codes)
        if "nan" in self.troubles:
            codes[:, self.troubles.index("nan", self.channels)] = np.nan if self.is_float else -1
        return codes

    def _forget(self) -> None:
        self._blocks, self._saturated, self._promised = [], 0, 0

    def _identity(self) -> dict[str, Any]:
        return {**super()._identity(), "ranges": self.ranges_v}

    def _op_range(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        if len(arrays) != 1 or arrays[0].shape != (self.channels,) or arrays[0].dtype != np.dtype("<f8"):
            raise Refusal("argument", f"full scales are one <f8 array of {self.channels} volts")
        if not (np.all(arrays[0] > 0) and np.all(arrays[0] <= self.ranges_v[-1])):
            raise Refusal("argument", f"a full scale lies above 0 and up to {self.ranges_v[-1]:g} V")
        self._ranges = np.asarray(self.ranges_v)[np.searchsorted(self.ranges_v, arrays[0] * (1 - 1e-12))]
        self._forget()
        if self.firings:  # what is left of the bursts is given up
            self.waits, self.bursts, self.firings = 0, 1, 0
        return self._told("range")

    def _op_arm(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        shots, bursts = header.get("shots"), self._bursts(header)
        if type(shots) is not int or not 1 <= shots * bursts <= self.depth:
            several = f" in {bursts} bursts" if bursts > 1 else ""
            raise Refusal("memory", f"shots = {shown(shots)}{several}: the record holds 1 to {self.depth}")
        self.waits, self.dwell_s, self.bursts, self.firings = shots, self._dwell(header), bursts, 0
        self._record, self._unplugged = header["seq"], not self._fires and self.troubles.take("no_trigger")
        self._forget()
        return self._told("arm")

    def _op_fire(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        shots, dwell_s = header.get("shots"), self._dwell(header)
        if type(shots) is not int or shots < 1:
            raise Refusal("argument", f"shots = {shown(shots)}: a positive number")
        self._fires = True
        if not self.troubles.take("no_trigger"):
            self.on_fire(shots, dwell_s)
        return {"shots": shots}, []

    def _op_fetch(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        if 0 < self.firings < self.bursts:
            raise Refusal("state", f"{self.firings} of {self.bursts} bursts were fired")
        if self._promised:
            self.on_fetch()
        if not self._blocks or self._promised:
            raise Refusal("state", "nothing recorded since the last arm")
        if len(self._blocks) > 1:
            self._blocks = [np.concatenate(self._blocks)]
        start, record = header.get("start", 0), self._blocks[0]
        if type(start) is not int or not 0 <= start < len(record):
            raise Refusal("argument", f"start = {shown(start)}: the record has {len(record)} rows")
        rows = max(1, BLOCK_BYTES // (record.itemsize * self.channels))
        if self.troubles.take("lost_block"):
            start += rows if start + rows < len(record) else max(1, (len(record) - start) // 2)
        about = {"start": start, "shots": len(record), "saturated": self._saturated, "record": self._record}
        return about, [record[start : start + rows]]

    def _op_safe(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        self.waits = 0
        return self._told("safe")

    def _op_state(self, header: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
        rows = self._promised + sum(map(len, self._blocks))
        return {"armed": self.waits > 0, "rows": rows, "shots": self.waits}, []

    def _told(self, op: str) -> Result:
        if op == "range":
            volts = self._ranges / (2 ** (self.bits - 1) - 1) if not self.is_float else np.ones(self.channels)
            return {}, [self._ranges, volts]
        if op == "safe":
            return {"armed": self.waits > 0}, []
        return {"shots": self.waits, "record": self._record}, []
