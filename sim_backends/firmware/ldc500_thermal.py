"""The TEC half of an SRS LDC500: a thermoelectric cooler under a plate in a room, a PID controller, limits, autotuning.

A positive current cools (so the proportional gain is negative): tau dT/dt = T_room - T - K I. The controller is the manual's,
output = P (e + I int e dt + D de/dt) with e = T_set - T, worked out in steps of 50 ms; without it the plate relaxes exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim_backends.firmware.ldc500_status import ILLEGAL_VALUE, NOT_COMPATIBLE, ExecutionError

STEP_S = 0.05
MOST_STEPS = 20_000  # of one gap in time; what still swings then goes on swinging from there
STILL_K = 1e-8
MOST_A, MOST_V = 4.5, 8.5
RANGE_C = (-100.0, 200.0)
STABLE_K = 0.05
OFF, ON = 0, 1
CC, CT = 0, 1
IDLE, RUNNING, SUCCESS = 0, 1, 3
TUNING_S = 60.0
NTC_KOHM, NTC_K, ROOM_K = 10.0, 3950.0, 298.15


@dataclass(frozen=True)
class Plate:
    """What is on the cooler: kelvin an ampere, seconds, ohms of the cooler."""

    k_per_a: float = 20.0
    tau_s: float = 20.0
    ohms: float = 1.5


def kohm(celsius: float) -> float:
    """Of the thermistor on the plate."""
    return NTC_KOHM * math.exp(NTC_K * (1 / (celsius + 273.15) - 1 / ROOM_K))


def celsius(ohms_k: float) -> float:
    """What such a resistance means."""
    return 1 / (math.log(ohms_k / NTC_KOHM) / NTC_K + 1 / ROOM_K) - 273.15


class Tec:
    """Settings and state; amperes, volts, degC, seconds.

    Attributes:
        temperature_c, current_a: now. room_c, plate, connected: the world; the sensor may be unplugged.
        on, mode, target_c, current_set_a, limit_a, limit_v, low_c, high_c, gains, tune: as the commands set them.
    """

    def __init__(self, room_c: float = 25.0) -> None:
        self.room_c, self.plate, self.connected = room_c, Plate(), True
        self.temperature_c, self.current_a = room_c, 0.0
        self._now_s, self._sum, self._error, self._tune_end_s = 0.0, 0.0, 0.0, 0.0
        self.reset()

    def reset(self) -> None:
        """*RST."""
        self.on, self.mode, self.target_c, self.current_set_a = OFF, CT, 25.0, 0.0
        self.limit_a, self.limit_v, self.low_c, self.high_c = 1.0, 4.0, 0.0, 60.0
        self.gains = {"P": -0.5, "I": 0.2, "D": 0.0}
        self.model, self.tune, self.tune_step_a = 0, IDLE, 0.1
        self._off_after_tuning = False
        self._sum = self._error = self.current_a = 0.0

    @property
    def most_a(self) -> float:
        """What current and voltage limit leave."""
        return min(self.limit_a, self.limit_v / self.plate.ohms)

    @property
    def by_resistance(self) -> bool:
        """Whether the sensor has no model, so that kOhm are controlled."""
        return self.model == 2

    def switch(self, on: int) -> None:
        """TEON: without a sensor it cannot control (5)."""
        if on and not self.connected:
            raise ExecutionError(NOT_COMPATIBLE)
        if on and not self.on:
            self._sum, self._error = 0.0, self.target_c - self.temperature_c
        self.on = on
        if not on:
            self.current_a, self.tune = 0.0, self.tune if self.tune == SUCCESS else IDLE

    def choose(self, mode: int) -> None:
        """TMOD: bumpless, the other setpoint becomes what is measured."""
        if self.on and mode != self.mode:
            if mode == CC:
                self.current_set_a = self.current_a
            else:
                self.target_c = min(max(self.temperature_c, self.low_c), self.high_c)
                self._sum, self._error = self.current_a / (self.gains["P"] or 1.0), self.target_c - self.temperature_c
        self.mode = mode

    def aim(self, target_c: float) -> None:
        """TEMP, within the limits."""
        if not self.low_c <= target_c <= self.high_c:
            raise ExecutionError(ILLEGAL_VALUE)
        self.target_c = target_c

    def bound(self, low_c: float, high_c: float) -> None:
        """TMIN and TMAX: they may not exclude the setpoint."""
        if not RANGE_C[0] <= low_c <= self.target_c <= high_c <= RANGE_C[1]:
            raise ExecutionError(ILLEGAL_VALUE)
        self.low_c, self.high_c = low_c, high_c

    def drive(self, amperes: float) -> None:
        """TCUR, within TILM."""
        if abs(amperes) > self.limit_a:
            raise ExecutionError(ILLEGAL_VALUE)
        self.current_set_a = amperes

    def limit(self, amperes: float) -> None:
        """TILM drags the setpoint along."""
        if not 0 < abs(amperes) <= MOST_A:
            raise ExecutionError(ILLEGAL_VALUE)
        self.limit_a = abs(amperes)
        self.current_set_a = min(max(self.current_set_a, -self.limit_a), self.limit_a)
        self.tune_step_a = 0.1 * self.limit_a

    def start_tuning(self, on: int) -> None:
        """TUNE: a minute later the gains fit the plate."""
        if not on:
            self.tune = IDLE
            return
        self._off_after_tuning = not self.on
        self.switch(ON)
        self.tune, self._tune_end_s = RUNNING, self._now_s + TUNING_S

    def pass_until(self, now_s: float) -> None:
        """Let time pass."""
        gap_s, self._now_s = now_s - self._now_s, now_s
        if not self.connected and self.on:
            self.switch(OFF)
        if gap_s <= 0:
            return
        if self.on and self.mode == CT:
            self._controlled(gap_s)
        else:
            self.current_a = min(max(self.current_set_a, -self.most_a), self.most_a) if self.on else 0.0
            self._relax(gap_s)
        if self.tune == RUNNING and now_s >= self._tune_end_s:
            self._tuned()

    def _relax(self, seconds: float) -> None:
        rest = self.room_c - self.plate.k_per_a * self.current_a
        self.temperature_c = rest + (self.temperature_c - rest) * math.exp(-seconds / self.plate.tau_s)

    def _controlled(self, seconds: float) -> None:
        """Run the controller; once all stands still it goes on standing still."""
        p, i, d = (self.gains[name] for name in "PID")
        steps = min(max(1, math.ceil(seconds / STEP_S)), MOST_STEPS)
        length = seconds / steps if steps < MOST_STEPS else STEP_S
        for _ in range(steps):
            before, error = self.temperature_c, self.target_c - self.temperature_c
            output = p * (error + self._sum + d * (error - self._error) / length)
            self.current_a = min(max(output, -self.most_a), self.most_a)
            if output == self.current_a or output * p * error < 0:  # no wind-up while it is limited
                self._sum += i * error * length
            self._error = error
            self._relax(length)
            if abs(self.temperature_c - before) < STILL_K and abs(i * error * length) < STILL_K:
                return

    def _tuned(self) -> None:
        """Gains that make the loop five times as fast as the plate."""
        self.gains = {"P": -5.0 / self.plate.k_per_a, "I": 1.0 / self.plate.tau_s, "D": 0.0}
        self._sum = self.current_a / self.gains["P"] - (self.target_c - self.temperature_c)
        self.tune = SUCCESS
        if self._off_after_tuning:
            self.switch(OFF)
