"""The two fast outputs of a Red Pitaya: waveform memory read by a phase counter, bursts, triggers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.firmware.redpitaya_values import BUFFER, CLOCK_S, NOT_NORMAL, numbered
from sim_backends.firmware.scpi_errors import ScpiError

if TYPE_CHECKING:
    from sim_backends.firmware.redpitaya import RedPitayaFirmware

Floats = NDArray[np.float64]
OUTPUTS = 2
FULL = 2**13  # codes of 1 V


class Generator:
    """What both outputs play.

    Attributes:
        arbitrary: the waveform of each output. started_s: when the last trigger came, None while idle.
    """

    def __init__(self, own: RedPitayaFirmware, outputs: int) -> None:
        self._own, self.outputs = own, outputs
        self.clear()

    def clear(self) -> None:
        """Idle, without waveforms."""
        self.arbitrary: list[Floats] = [np.zeros(BUFFER) for _ in range(self.outputs)]
        self.started_s: list[float | None] = [None] * self.outputs

    def start(self, channels: list[int], now_s: float) -> bool:
        """A trigger for these channels (from 1); whether an enabled output began."""
        began = [n for n in channels if self._own.values[f"output{n}"]]
        for n in began:
            self.started_s[n - 1] = now_s
        return bool(began)

    def external(self, now_s: float, edge: str) -> bool:
        """An edge at the trigger input."""
        waiting = [n for n in range(1, self.outputs + 1) if self._own.values[f"gen_source{n}"] == edge]
        return self.start(waiting, now_s)

    def next_cycle(self, now_s: float) -> float | None:
        """When a continuous signal begins its next period; None if there is none."""
        for n, started in enumerate(self.started_s, 1):
            values = self._own.values
            if started is not None and values[f"output{n}"] and values[f"mode{n}"] == "CONTINUOUS" and values[f"freq{n}"] > 0:
                period = len(self.table(n)) / BUFFER / values[f"freq{n}"]
                return float(started + math.ceil((now_s - started) / period - 1e-9) * period)
        return None

    def load(self, n: int, data: Floats) -> None:
        """A waveform of up to 16,384 values of -1 to 1 (the real server does not check the number, and crashes)."""
        numbered(n, self.outputs)
        if not 0 < len(data) <= BUFFER:
            raise ScpiError(-223 if len(data) else -109)
        if not np.all(np.abs(data) <= 1):
            raise ScpiError(NOT_NORMAL)
        self.arbitrary[n - 1] = data.astype(np.float32).astype(np.float64)

    def volts(self, n: int, times_s: NDArray[Any]) -> Floats:
        """(T,) what output n gives at these times of the instrument."""
        values, started = self._own.values, self.started_s[n - 1]
        if not values[f"output{n}"]:
            return np.zeros(len(times_s))
        idle = np.full(len(times_s), float(values[f"init{n}"]))
        if started is None:
            return _coded(idle)
        clocks = np.floor((times_s - started) / CLOCK_S + 1e-3)
        table = self.table(n)
        rate = float(np.float32(values[f"freq{n}"])) * BUFFER * CLOCK_S  # samples a clock
        playing = clocks >= 0
        rest = idle
        if values[f"mode{n}"] == "BURST":
            length = math.ceil(values[f"cycles{n}"] * len(table) / rate) if rate else math.inf
            period = max(values[f"period{n}"] * 1e-6 / CLOCK_S, length + 1)
            number = np.floor(clocks / period)
            clocks = clocks - number * period if math.isfinite(period) else clocks
            rest = np.where(playing, float(values[f"last{n}"]), idle)
            playing = playing & ((number < values[f"repeats{n}"]) | (values[f"repeats{n}"] == 65536)) & (clocks < length)
        index = np.floor(clocks * rate).astype(np.int64) % len(table)
        return _coded(np.where(playing, table[index] * values[f"volt{n}"] + values[f"offset{n}"], rest))

    def table(self, n: int) -> Floats:
        """One period of output n, -1 to 1."""
        values = self._own.values
        function = values[f"func{n}"]
        if function == "ARBITRARY":
            return self.arbitrary[n - 1]
        x = (np.arange(BUFFER) / BUFFER + values[f"phase{n}"] / 360) % 1
        shapes = {
            "SINE": np.sin(2 * np.pi * x), "TRIANGLE": 2 / np.pi * np.arcsin(np.sin(2 * np.pi * x)), "SQUARE": np.where(x < 0.5, 1.0, -1.0),
            "SAWU": x, "SAWD": 1 - x, "PWM": np.where(x < values[f"duty{n}"], 1.0, -1.0), "DC": np.ones(BUFFER), "DC_NEG": -np.ones(BUFFER),
        }  # fmt: skip
        return np.asarray(shapes[function], np.float64)


def _coded(volts: Floats) -> Floats:
    """Whole codes of 14 bits."""
    return np.asarray(np.clip(np.rint(volts * FULL), -FULL, FULL - 1) / FULL)
