"""Measurements of a Thorlabs PM100: photocurrent with noise and offset, ranges, averaging, power by response and corrections, zeroing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sim_backends.firmware.pm100_sensor import TEMPERATURE
from sim_backends.firmware.scpi_errors import ScpiError

if TYPE_CHECKING:
    from sim_backends.firmware.pm100 import Pm100Firmware

OVER_RANGE, NOT_A_NUMBER = 9.9e37, 9.91e37
SAMPLE_S = 1 / 3000
MOST_SAMPLED = 64  # points in time at which the light of one reading is asked for
NOISE = 3e-5  # of a sample, in full scales of its range
LOW_PASS = 0.1  # of the noise is left behind the 15 Hz filter
ELEMENTARY_C = 1.602176634e-19
HARDWARE_MISSING = -241
ZERO_S, DARK = 0.2, 1e-4  # a zero adjustment takes so long; it refuses more than this part of the largest range
POWER_BIT, CALIBRATING = 3, 0  # of the questionable and the operation register (SCPI-99)
THERMISTOR_OHM, THERMISTOR_K = 1e4, 3950.0


class Meter:
    """What is measured, and what was measured last.

    Attributes:
        zero: what is subtracted, in A or V. present: index of the range in use.
    """

    def __init__(self, own: Pm100Firmware) -> None:
        self._own = own
        self.zero = 0.0
        self.present = len(own.sensor.ranges) - 1 if own.sensor is not None else 0
        self._last: float | None = None
        self._zero_end_s: float | None = None

    @property
    def response(self) -> float:
        """A/W or V/W that readings are converted with."""
        return float(self._own.values["response"] or self._own.head().at(self._own.values["nm"]))

    @property
    def watts(self) -> float:
        """Watts in front of the attenuator that a unit of the raw signal stands for."""
        return float(10 ** (self._own.values["loss_db"] / 10)) / self.response

    def choose(self, raw: float) -> None:
        """Take the smallest range that holds `raw` A or V."""
        self.present = self._holding(raw)
        self._own.values["auto"] = False

    def check(self, what: str) -> None:
        """Refuse (-241) what the sensor cannot measure."""
        sensor = self._own.head()
        kinds = {"CURR": sensor.kind == "PHOT", "VOLT": sensor.kind == "THER", "ENER": False, "EDEN": False}
        warm = bool(sensor.flags & TEMPERATURE)
        if not (kinds | {"TEMP": warm, "RES": warm}).get(what, True):
            raise ScpiError(HARDWARE_MISSING)

    def measure(self, what: str) -> None:
        """One new reading of `what`."""
        self.check(what)
        values = self._own.values
        if what in ("TEMP", "RES", "FREQ"):
            self._last = self._other(what)
            return
        raw, trouble = self._raw(), self._own.trouble()
        if trouble is not None or abs(raw) == OVER_RANGE:
            self._last = raw if trouble is None else trouble
        elif what in ("CURR", "VOLT"):
            self._last = self._relative(raw, what)
        elif what == "PDEN":
            self._last = raw * self.watts / (math.pi * (values["beam_mm"] / 20) ** 2)  # per square centimetre
        else:
            self._last = self._power(raw * self.watts)

    def last(self) -> str:
        """The last reading (-230: none)."""
        if self._last is None:
            raise ScpiError(-230)
        return f"{self._last:.8E}"

    def forget(self) -> None:
        """Another configuration: the old reading is stale."""
        self._last = None

    def start_zero(self) -> None:
        """SENS:CORR:COLL:ZERO:INIT: measure the dark signal; refused (-221) in the light."""
        ranges = self._own.head().ranges
        dark = self._signal(ranges[0], 3000)
        if abs(dark) > DARK * ranges[-1]:
            raise ScpiError(-221)
        self.zero = dark
        self._zero_end_s = self._own.time_s + ZERO_S
        self._own.status.registers["OPERation"].put(CALIBRATING)

    def zeroing(self) -> bool:
        """Whether the adjustment still runs; asking costs the meter a moment."""
        if self._zero_end_s is None:
            return False
        self._own.busy(ZERO_S / 4)
        if self._own.time_s >= self._zero_end_s:
            self.end_zero()
        return self._zero_end_s is not None

    def end_zero(self) -> None:
        """It is over, or aborted."""
        self._zero_end_s = None
        self._own.status.registers["OPERation"].put(CALIBRATING, False)

    def _holding(self, raw: float) -> int:
        ranges = self._own.head().ranges
        return next((i for i, full in enumerate(ranges) if abs(raw) <= full * (1 + 1e-9)), len(ranges) - 1)

    def _raw(self) -> float:
        """A or V less the zero, or OVER_RANGE."""
        ranges, count = self._own.head().ranges, int(self._own.values["average"])
        duration = count * SAMPLE_S
        light = self._own.current(duration, min(count, MOST_SAMPLED))
        if self._own.values["auto"]:
            self.present = self._holding(light)
        self._own.busy(duration)
        full = ranges[self.present]
        over = abs(light) > full * (1 + 1e-9)
        self._own.status.registers["QUEStionable"].put(POWER_BIT, over)
        return math.copysign(OVER_RANGE, light) if over else self._noisy(light, full, count) - self.zero

    def _signal(self, full: float, count: int) -> float:
        """The dark or light signal with its noise, whatever the range."""
        return self._noisy(self._own.current(count * SAMPLE_S, MOST_SAMPLED), full, count)

    def _noisy(self, signal: float, full: float, count: int) -> float:
        own = self._own
        shot = math.sqrt(2 * ELEMENTARY_C * abs(signal) * 0.5 / SAMPLE_S) if own.head().kind == "PHOT" else 0.0
        sigma = math.hypot(own.noise * full, shot) / math.sqrt(count) * (LOW_PASS if own.values["low_pass"] else 1.0)
        return signal + sigma * float(own.random.standard_normal())

    def _other(self, what: str) -> float:
        if what == "FREQ":
            return self._own.frequency_hz
        celsius = self._own.sensor_c
        return celsius if what == "TEMP" else THERMISTOR_OHM * math.exp(THERMISTOR_K * (1 / (celsius + 273.15) - 1 / 298.15))

    def _relative(self, value: float, what: str) -> float:
        values = self._own.values
        return value - values[f"ref_{what}"] if values[f"relative_{what}"] else value

    def _power(self, watts: float) -> float:
        if self._own.values["unit"] == "W":
            return self._relative(watts, "POW")
        if watts <= 0:
            return NOT_A_NUMBER
        reference = self._own.values["ref_POW"]
        below = reference if self._own.values["relative_POW"] and reference > 0 else 1e-3
        return float(10 * np.log10(watts / below))
