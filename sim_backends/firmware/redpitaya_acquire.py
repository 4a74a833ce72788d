"""The fast inputs of a Red Pitaya: circular memory, decimation, triggers over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.firmware.redpitaya_values import BUFFER, CLOCK_S, numbered
from sim_backends.firmware.scpi_values import block

if TYPE_CHECKING:
    from sim_backends.firmware.redpitaya import RedPitayaFirmware

Array = NDArray[Any]
FULL = 2**13
RANGES_V = {"LV": 1.0, "HV": 20.0}
MOST_LOOKED_AT = 65536  # samples in which an edge is searched at once


class Acquisition:
    """Memory and trigger.

    Attributes:
        codes: (channels, 16384) as the converters gave them.
    """

    def __init__(self, own: RedPitayaFirmware, channels: int) -> None:
        self._own, self.channels = own, channels
        self.codes = np.zeros((channels, BUFFER), np.int16)
        self.stop()

    def stop(self) -> None:
        """Nothing is written; the memory keeps what it holds."""
        self._running, self._from, self._start_s, self._looked_s = False, 0, 0.0, 0.0
        self._trigger_s: float | None = None
        self._trigger_at, self._after = 0, 0

    @property
    def period_s(self) -> float:
        """From sample to sample."""
        return float(self._own.values["decimation"]) * CLOCK_S

    def start(self) -> None:
        """Write from where the pointer stands, and wait for a trigger."""
        at = self.pointer()
        self.stop()
        self._running, self._from = True, at
        self._start_s = self._looked_s = self._own.time_s

    def choose(self, source: str) -> None:
        """A trigger source; NOW triggers, and the output's can be in the middle of a signal."""
        self._own.values["trigger"], self._looked_s = source, self._own.time_s
        if source == "NOW":
            if self._waits():
                self._own.fire(lambda: None, "NOW")
            self._own.values["trigger"] = "DISABLED"
        elif source.startswith("AWG") and self._waits():
            at_s = self._own.generator.next_cycle(self._own.time_s)
            if at_s is not None:
                self._record(at_s)

    def event(self, *sources: str) -> None:
        """Something happened now that triggers if it is one of what is waited for."""
        if self._own.values["trigger"] in sources and self._waits() and not self._own.troubles.take("no_trigger"):
            self._record(self._own.time_s)

    @property
    def triggered(self) -> bool:
        """Whether nothing is waited for."""
        self._look()
        return bool(self._own.values["trigger"] == "DISABLED")

    @property
    def filled(self) -> bool:
        """Whether all samples after the trigger are there."""
        self._look()
        return self._trigger_s is not None and self._own.time_s >= self._trigger_s + self._after * self.period_s

    def pointer(self) -> int:
        """Where the last sample was written."""
        self._look()
        since = self._own.time_s - self._start_s
        if self._trigger_s is not None:
            written = min(int((self._own.time_s - self._trigger_s) / self.period_s), self._after - 1)
            return (self._trigger_at + max(written, -1)) % BUFFER
        return (self._from + (int(since / self.period_s) if self._running else 0)) % BUFFER

    @property
    def trigger_pointer(self) -> int:
        """Where the first sample after the trigger was written."""
        self._look()
        return self._trigger_at

    def read(self, n: int, start: int, count: int) -> bytes:
        """So many samples of input n (from 1) as the format and units have them."""
        codes = self.codes[numbered(n, self.channels) - 1, (start + np.arange(min(count, BUFFER))) % BUFFER]
        if self._own.values["units"] == "RAW":
            return self.reply(codes if self._own.new else self._calibrated(n, codes), floats=False)
        return self.reply(self._volts(n, codes), floats=True)

    def reply(self, data: Array, floats: bool) -> bytes:
        """A list in braces, or a block of big-endian numbers (the old server counts four bytes for one of two)."""
        if self._own.values["format"] == "ASCII":
            form = ("{:f}" if self._own.new else "{:g}") if floats else "{:d}"
            return b"{" + ",".join(map(form.format, data.tolist())).encode() + b"}"
        written = data.astype(">f4" if floats else ">i2").tobytes()
        if floats or self._own.new:
            return block(written)
        return block(written * 2)[: -len(written)]

    def _calibrated(self, n: int, codes: Array) -> Array:
        return np.asarray(np.clip(np.rint(self._volts(n, codes) / self._range_v(n) * FULL), -FULL, FULL - 1), np.int16)

    def _volts(self, n: int, codes: Array) -> Array:
        gain, offset = self._own.calibration[n - 1]
        return np.asarray((codes - offset) * (self._range_v(n) / FULL / gain), np.float32)

    def _range_v(self, n: int) -> float:
        return RANGES_V[self._own.values[f"gain{n}"]]

    def _waits(self) -> bool:
        return self._running and self._trigger_s is None

    def _look(self) -> None:
        """Search the time since the last look for the edge that is waited for."""
        source = str(self._own.values["trigger"])
        if not (source.startswith("CH") and self._waits() and int(source[2]) <= self.channels):
            return
        count = min(int((self._own.time_s - self._looked_s) / self.period_s), MOST_LOOKED_AT)
        if count < 2:
            return
        times_s = self._own.time_s - self.period_s * np.arange(count - 1, -1, -1)
        self._looked_s = self._own.time_s
        level, hysteresis = self._own.values["trigger_level"], self._own.values["hysteresis"]
        sign = 1 if source.endswith("PE") else -1
        seen = sign * (self._own.light(times_s)[:, int(source[2]) - 1] - level)
        low = np.flatnonzero(seen < -hysteresis)
        crossed = np.flatnonzero(seen >= 0)
        crossed = crossed[crossed > low[0]] if len(low) else crossed[:0]
        if len(crossed):
            self._record(float(times_s[crossed[0]]))

    def _record(self, at_s: float) -> None:
        """Trigger: write what the inputs show until the delay is over; before it, what they showed since the start."""
        since = max(0, int((at_s - self._start_s) / self.period_s))
        self._trigger_at = (self._from + since) % BUFFER
        self._trigger_s, self._after = at_s, max(1, int(self._own.values["delay"]) + BUFFER // 2)
        self._own.values["trigger"], self._running = "DISABLED", False
        first = max(self._after - BUFFER, -since)
        numbers = np.arange(first, self._after)
        volts = self._own.light(at_s + (numbers + 0.5) * self.period_s)
        self.codes[:, (self._trigger_at + numbers) % BUFFER] = self._coded(volts).T

    def _coded(self, volts: Array) -> NDArray[np.int16]:
        """Codes with noise, offset and gain of this board; averaged over the samples that decimation drops."""
        averaged = self._own.values["decimation"] if self._own.values["average"] else 1
        ranges = np.array([self._range_v(n) for n in range(1, self.channels + 1)])
        noise = self._own.noise / np.sqrt(averaged) * self._own.random.standard_normal(volts.shape)
        gain, offset = np.array(self._own.calibration).T
        codes = np.rint((volts / ranges + noise) * FULL * gain + offset)
        if "saturated" in self._own.troubles:
            codes[:, self._own.troubles.index("saturated", self.channels)] = FULL
        return np.asarray(np.clip(codes, -FULL, FULL - 1), np.int16)
