"""The trigger model of a Keithley 2400 and its measurements: arm and trigger layers, sweeps and lists, readings, the buffer."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import numpy as np

from sim_backends.firmware.keithley2400_source import FLOATING_V, LIMITS, Terminals, other, quantised
from sim_backends.firmware.scpi_errors import ScpiError

if TYPE_CHECKING:
    from sim_backends.firmware.keithley2400 import Keithley2400Firmware

NOT_A_NUMBER, OVERFLOW = 9.91e37, 9.9e37
MOST_POINTS = 2500
OVERHEAD_S = 1.5e-3  # of a source-measure cycle beside delays and integration
ELEMENTS = ("VOLT", "CURR", "RES", "TIME", "STAT")
Reading = dict[str, float]
READING, OVERFLOWED, AVAILABLE, FULL, COMPLIANCE = 6, 7, 8, 9, 14  # of the measurement event register
SWEEPING, TRIGGER_LAYER, ARM_LAYER, IDLE = 3, 5, 6, 10  # of the operation event register


class Acquisition:
    """Readings of the run before, the buffer, and how far a run that waits for triggers has come.

    Attributes:
        last: readings of the last run. buffer: TRACe's.
    """

    def __init__(self, instrument: Keithley2400Firmware) -> None:
        self._own = instrument
        self.last: list[Reading] = []
        self.buffer: list[Reading] = []
        self._run: list[Reading] | None = None  # while not idle
        self._points, self._arms_left, self._triggers_left, self._asked = 0, 0.0, 0, False
        self._late = b""

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits."""
        return self._run is None

    def initiate(self, asked: bool = False) -> None:
        """Leave idle and run until a trigger has to come, or to the end.

        Raises:
            ScpiError: -213 not idle, -214 nothing could ever trigger it, +803 output off (as the manual has it), +830.
        """
        values = self._own.values
        if self._run is not None:
            raise ScpiError(-213)
        if asked and values["arm_source"] == "BUS":
            raise ScpiError(-214)
        if math.isinf(values["arm_count"]):
            raise ScpiError(830)
        if self._own.strict_output and not (values["output"] or values["auto_off"]):
            raise ScpiError(803)
        if values["auto_off"]:
            values["output"] = self._own.switch(True)
        self._run, self._points, self._arms_left, self._triggers_left, self._asked = [], 0, values["arm_count"], 0, asked
        self._own.status.registers["OPERation"].put(IDLE, False)
        self._advance(event=False)

    def event(self) -> None:
        """What the waiting layer waits for has come; nothing happens if none waits."""
        if self._run is not None:
            self._advance(event=True)

    def bus_trigger(self) -> None:
        """*TRG.

        Raises:
            ScpiError: -211, nothing waits for it.
        """
        if self._run is None or self._triggers_left or self._own.values["arm_source"] != "BUS":
            raise ScpiError(-211)
        self._advance(event=True)

    def abort(self) -> None:
        """Back to idle."""
        self._run, self._asked, self._late = None, False, b""
        self._flags(idle=True)

    def late(self) -> bytes:
        """The answer to a READ? that had to wait for triggers."""
        late, self._late = self._late, b""
        return late

    def answer(self, readings: list[Reading]) -> bytes:
        """Readings in the format and with the elements that are set.

        Raises:
            ScpiError: -230, there are none.
        """
        if not readings:
            raise ScpiError(-230)
        numbers = [reading[element] for reading in readings for element in ELEMENTS if element in self._own.values["elements"]]
        if self._own.values["data_format"] == "ASC":
            return ",".join(f"{number:+.6E}" for number in numbers).encode()
        order = "<" if self._own.values["border"] == "SWAP" else ">"
        return b"#0" + struct.pack(f"{order}{len(numbers)}f", *numbers)

    def _advance(self, event: bool) -> None:
        """Go on through the layers; `event`: what the first wait waits for is here."""
        values, run = self._own.values, self._run
        assert run is not None
        while self._arms_left or self._triggers_left:
            if not self._triggers_left:
                if values["arm_source"] not in ("IMM", "TIM") and not event:
                    self._flags(idle=False)
                    return
                event = event and values["arm_source"] in ("IMM", "TIM")
                self._arms_left -= 1
                self._triggers_left = int(values["trigger_count"])
            if values["trigger_source"] == "TLIN" and not event:
                self._flags(idle=False)
                return
            event = False
            self._triggers_left -= 1
            self._source(self._points)
            self._points += 1
            run.append(self._measure())
        self._finish(run)

    def _finish(self, run: list[Reading]) -> None:
        self.last, self._run = run, None
        if self._own.values["auto_off"]:
            self._own.values["output"] = False
        self._flags(idle=True)
        if self._asked:
            self._asked = False
            self._late = self.answer(run) + b"\n"

    def _flags(self, idle: bool) -> None:
        operation = self._own.status.registers["OPERation"]
        operation.put(IDLE, idle)
        operation.put(TRIGGER_LAYER, not idle and self._triggers_left > 0)
        operation.put(ARM_LAYER, not idle and self._triggers_left == 0)

    def _source(self, number: int) -> None:
        """Set the level of the point `number` of the run."""
        values, source = self._own.values, self._own.values["function"]
        points = self.points(source)
        if points:
            values[f"level_{source}"] = points[number % len(points)]
        elif values[f"triggered_{source}"] is not None:
            values[f"level_{source}"] = values[f"triggered_{source}"]

    def points(self, source: str) -> list[float]:
        """The levels of a sweep or list; none in the fixed mode."""
        values = self._own.values
        if values[f"mode_{source}"] == "LIST":
            start = int(values[f"list_start_{source}"]) - 1
            return [*values[f"list_{source}"][start:], *values[f"list_{source}"][:start]]
        if values[f"mode_{source}"] != "SWE":
            return []
        first, last, count = values[f"start_{source}"], values[f"stop_{source}"], int(values["sweep_points"])
        if values["sweep_direction"] == "DOWN":
            first, last = last, first
        logarithmic = values["sweep_spacing"] == "LOG" and first * last > 0
        sweep = math.copysign(1, first) * np.geomspace(abs(first), abs(last), count) if logarithmic else np.linspace(first, last, count)
        return [float(np.clip(level, -LIMITS[source], LIMITS[source])) for level in sweep]

    def _measure(self) -> Reading:
        """One reading after its delays and integration."""
        values = self._own.values
        functions = max(1, len(values["sense"]))
        cycles = values["nplc"] * functions * (values["filter_count"] if values["filter"] and values["filter_control"] == "REP" else 1)
        self._own.busy(values["source_delay"] + values["trigger_delay"] + OVERHEAD_S + cycles / values["line_hz"])
        there = self._own.terminals()
        seen = {"VOLT": self._seen("VOLT", there.volts, there.floating), "CURR": self._seen("CURR", there.amperes, False)}
        overflow = any(abs(seen[function]) == OVERFLOW for function in seen if function in values["sense"])
        reading = {function: value if function in values["sense"] else self._sourced(function) for function, value in seen.items()}
        reading |= {"RES": self._ohms(there, seen), "TIME": self._own.time_s, "STAT": self._status(there, overflow)}
        self._keep(reading, there, overflow)
        return reading

    def _seen(self, function: str, there: float, floating: bool) -> float:
        """A quantity with the noise of its range; too much for a fixed range is an overflow."""
        values, scale = self._own.values, self._own.full_scale("sense", function)
        sigma = FLOATING_V if floating else self._own.noise * scale / math.sqrt(values["filter_count"] if values["filter"] else 1)
        seen = there + sigma * float(self._own.random.standard_normal())
        return math.copysign(OVERFLOW, seen) if abs(there) > scale * (1 + 1e-9) else seen

    def _sourced(self, function: str) -> float:
        """What a reading says of a quantity that is not measured: the level, if it is the one that is sourced."""
        values = self._own.values
        if function != values["function"]:
            return NOT_A_NUMBER
        return quantised(function, values[f"level_{function}"], self._own.full_scale("source", function)) if values["output"] else 0.0

    def _ohms(self, there: Terminals, seen: Reading) -> float:
        if "RES" not in self._own.values["sense"]:
            return NOT_A_NUMBER
        if not there.amperes or not seen["CURR"] or OVERFLOW in map(abs, seen.values()):
            return OVERFLOW
        return seen["VOLT"] / seen["CURR"]

    def _status(self, there: Terminals, overflow: bool) -> float:
        """The status word of a reading (manual, FORMat:ELEMents STATus)."""
        values, sense, source = self._own.values, self._own.values["sense"], self._own.values["function"]
        fixed = not values[f"sense_{other(source)}_auto"]
        by_range = there.limited and fixed and values[f"sense_{other(source)}_range"] < abs(values[f"compliance_{other(source)}"])
        flags = {
            0: overflow, 1: values["filter"], 2: values["terminals"] == "FRON", 3: there.limited and not by_range,
            6: values["null"], 10: values["res_mode"] == "AUTO" and "RES" in sense, 11: "VOLT" in sense, 12: "CURR" in sense,
            13: "RES" in sense, 14: source == "VOLT", 15: source == "CURR", 16: by_range, 22: values["remote_sense"],
        }  # fmt: skip
        return float(sum(1 << bit for bit, on in flags.items() if on))

    def _keep(self, reading: Reading, there: Terminals, overflow: bool) -> None:
        events, values = self._own.status.registers["MEASurement"], self._own.values
        events.happened(READING)
        events.put(COMPLIANCE, there.limited)
        if overflow:
            events.happened(OVERFLOWED)
        if values["feed_control"] != "NEXT":
            return
        self.buffer.append(reading)
        if len(self.buffer) >= 2:
            events.put(AVAILABLE)
        if len(self.buffer) >= values["trace_points"]:
            events.put(FULL)
            values["feed_control"] = "NEV"

    def clear_buffer(self) -> None:
        """TRACe:CLEar."""
        self.buffer = []
        for bit in (AVAILABLE, FULL):
            self._own.status.registers["MEASurement"].put(bit, False)
