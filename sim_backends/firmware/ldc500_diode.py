"""The laser half of an SRS LDC500: a laser diode with its monitor photodiode, a current source with its limits, scans and trips."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from sim_backends.firmware.ldc500_status import (
    ILLEGAL_VALUE,
    NOT_COMPATIBLE,
    OPEN,
    OVER_TMAX,
    SENSOR_FAULT,
    TEC_OFF,
    UNDER_TMIN,
    VTRIP,
    ExecutionError,
)
from sim_backends.firmware.ldc500_thermal import Tec

RANGES_MA = {"LDC500": (50.0, 100.0), "LDC501": (250.0, 500.0), "LDC502": (1000.0, 2000.0)}
LOW_V, MOST_V, NEAR_V = 0.1, 10.0, 0.25
MOST_UA = 5000.0
TAU_S = (2.5e-3, 5e-3)  # of the output in CC and CP mode
CC, CP = 0, 1
LEAST_SYNC_MS = 5


@dataclass(frozen=True)
class Diode:
    """Light above a threshold that grows with temperature, volts, and microamperes of the monitor a milliwatt."""

    threshold_ma: float = 20.0
    mw_per_ma: float = 0.8
    t0_k: float = 60.0
    volts: float = 1.2
    ohms: float = 3.0
    ua_per_mw: float = 50.0

    def milliwatts(self, milliamperes: float, celsius: float) -> float:
        """Of light."""
        return max(0.0, self.mw_per_ma * (milliamperes - self.threshold_ma * math.exp((celsius - 25) / self.t0_k)))

    def for_milliwatts(self, milliwatts: float, celsius: float) -> float:
        """The milliamperes that give so much light."""
        return milliwatts / self.mw_per_ma + self.threshold_ma * math.exp((celsius - 25) / self.t0_k)

    def drop(self, milliamperes: float) -> float:
        """Volts."""
        return self.volts + 1e-3 * self.ohms * milliamperes if milliamperes > 0 else 0.0


class Laser:
    """Settings and state; mA, V, uA, mW, as the commands have them.

    Attributes:
        diode, open, interlock_closed, modulation_v: the world: what is connected, and the voltage at the modulation input.
        on, high, mode, setpoint_ma, limit_ma, limit_v, ...: as the commands set them.
        goal_ma: where the output is going.
        tripped: called with the event bit when it switches itself off.
    """

    def __init__(self, model: str, tec: Tec) -> None:
        self._ranges_ma, self._tec = RANGES_MA[model], tec
        self.diode, self.open, self.interlock_closed, self.modulation_v = Diode(), False, True, 0.0
        self.tripped: Callable[[int | None], None] = lambda bit: None
        self._now_s = self._since_s = 0.0
        self.reset()

    def reset(self) -> None:
        """*RST."""
        self.on, self.high, self.mode, self.bandwidth, self.modulated = 0, 1, CC, 0, 0
        self.setpoint_ma, self.limit_ma, self.limit_v = 0.0, self._ranges_ma[0], 3.0
        self.setpoint_ua, self.limit_ua, self.ua_per_mw, self.by_power, self.bias_v = 0.0, 1000.0, 50.0, 0, 0.0
        self.trips = {"AILM": 0, "APLP": 0, "APLC": 0, "ATOF": 0}
        self.sync_ms = LEAST_SYNC_MS
        self._from_ma = self.goal_ma = 0.0
        self._scan: tuple[float, float, int, float] | None = None  # since, step, steps left, seconds

    @property
    def full_ma(self) -> float:
        """Of the range in use."""
        return self._ranges_ma[self.high]

    @property
    def scanning(self) -> bool:
        """Whether a scan runs."""
        return self._scan is not None

    def current_ma(self) -> float:
        """What flows now: one pole behind the setpoint."""
        age_s = self._now_s - self._since_s
        return self.goal_ma + (self._from_ma - self.goal_ma) * math.exp(-age_s / TAU_S[self.mode])

    def milliwatts(self) -> float:
        """Of light now."""
        return self.diode.milliwatts(self.current_ma(), self._tec.temperature_c)

    def volts(self) -> float:
        """At the diode now."""
        return MOST_V if self.open and self.on else self.diode.drop(self.current_ma())

    def monitor_ua(self) -> float:
        """Of the photodiode now."""
        return self.diode.ua_per_mw * self.milliwatts()

    def switch(self, on: int) -> None:
        """LDON: refused while the interlock is open (5)."""
        if on and not self.interlock_closed:
            raise ExecutionError(NOT_COMPATIBLE)
        self.on = on
        if not on:
            self._scan = None
        self.settle()

    def set_range(self, high: int) -> None:
        """RNGE: not while the laser is on; the limit comes down with it."""
        if self.on and high != self.high:
            raise ExecutionError(NOT_COMPATIBLE)
        self.high = high
        self.limit(min(self.limit_ma, self.full_ma))

    def limit(self, milliamperes: float) -> None:
        """SILM drags the setpoint along."""
        _within(milliamperes, 0, self.full_ma)
        self.limit_ma = milliamperes
        self.setpoint_ma = min(self.setpoint_ma, milliamperes)

    def set_current(self, milliamperes: float) -> None:
        """SILD, up to SILM."""
        _within(milliamperes, 0, self.limit_ma)
        self.setpoint_ma = milliamperes

    def set_monitor(self, microamperes: float) -> None:
        """SIPD, up to PILM."""
        _within(microamperes, 0, self.limit_ua)
        self.setpoint_ua = microamperes

    def limit_monitor(self, microamperes: float) -> None:
        """PILM drags the setpoint along."""
        _within(microamperes, 0, MOST_UA)
        self.limit_ua = microamperes
        self.setpoint_ua = min(self.setpoint_ua, microamperes)

    def choose(self, mode: int) -> None:
        """SMOD: bumpless, the other setpoint becomes what is measured."""
        if self.on and mode != self.mode:
            if mode == CP:
                self.set_monitor(self.monitor_ua())
            else:
                self.set_current(min(self.current_ma(), self.limit_ma))
        self.mode = mode

    def scan(self, step: float, steps: int, dwell_ms: float) -> None:
        """SCAN: refused if any step would leave the limits, or if a step is not longer than the sync delay."""
        start, most = (self.setpoint_ma, self.limit_ma) if self.mode == CC else (self.setpoint_ua, self.limit_ua)
        if steps < 1 or dwell_ms <= self.sync_ms:
            raise ExecutionError(ILLEGAL_VALUE)
        _within(start + steps * step, 0, most)
        self._scan = (self._now_s, step, steps, 1e-3 * dwell_ms)

    def pass_until(self, now_s: float) -> None:
        """Let time pass: scans step, the output follows, limits trip."""
        while self._scan is not None and now_s - self._scan[0] >= self._scan[3] * (1 - 1e-9):
            since, step, left, dwell_s = self._scan
            self._now_s = since + dwell_s
            self.setpoint_ma, self.setpoint_ua = (
                (self.setpoint_ma + step, self.setpoint_ua) if self.mode == CC else (self.setpoint_ma, self.setpoint_ua + step)
            )
            self._scan = (self._now_s, step, left - 1, dwell_s) if left > 1 else None
            self.settle()
        self._now_s = max(now_s, self._now_s)
        self.settle()

    def settle(self) -> None:
        """Work out where the output is going, and trip if it must not."""
        if self.on and (bit := self._trip()) is not None:
            self.on, self._scan = 0, None
            self.tripped(bit if bit >= 0 else None)
        goal = self._wanted_ma() if self.on else 0.0
        if goal != self.goal_ma or not self.on:
            self._from_ma, self._since_s = self.current_ma() if self.on else 0.0, self._now_s
            self.goal_ma = goal

    def limited(self) -> bool:
        """Whether the current limit holds the output back."""
        return bool(self.on) and self._asked_ma() >= self.limit_ma > 0

    def _asked_ma(self) -> float:
        if self.mode == CC:
            return self.setpoint_ma + (self.modulation_v * self._ranges_ma[1] / 10 if self.modulated else 0.0)
        return self.diode.for_milliwatts(self.setpoint_ua / self.diode.ua_per_mw, self._tec.temperature_c)

    def _wanted_ma(self) -> float:
        return 0.0 if self.open else min(max(self._asked_ma(), 0.0), self.limit_ma)

    def _trip(self) -> int | None:
        """The event bit of what switches the laser off, -1 if it has none, None if nothing does."""
        over = self.monitor_ua() > self.limit_ua * (1 + 1e-9)
        reasons = (
            (not self.interlock_closed, -1),
            (self.open, OPEN),
            (self.diode.drop(self._wanted_ma()) > self.limit_v, VTRIP),
            (not self._tec.connected, SENSOR_FAULT if self._tec.on else None),
            (bool(self.trips["ATOF"]) and not self._tec.on, TEC_OFF),
            (self._tec.temperature_c > self._tec.high_c, OVER_TMAX),
            (self._tec.temperature_c < self._tec.low_c, UNDER_TMIN),
            (bool(self.trips["AILM"]) and self._asked_ma() > self.limit_ma, -1),
            (bool(self.trips["APLP" if self.mode == CP else "APLC"]) and over, -1),
        )
        return next((bit for off, bit in reasons if off and bit is not None), None)


def _within(value: float, low: float, high: float) -> None:
    if not low - 1e-9 <= value <= high + 1e-9:
        raise ExecutionError(ILLEGAL_VALUE)
