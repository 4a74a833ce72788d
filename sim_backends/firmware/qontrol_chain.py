"""What is behind a Qontrol source's commands: registers as 16-bit codes, limits, and the resistors on the outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

FULL_CODE = 0xFFFF
REGISTERS = ("V", "I", "VMAX", "IMAX")
BAD_PARAMETER, OVER = 11, {"V": 1, "I": 2}
FEW = 16  # channels up to which numbers one by one are quicker than arrays


class Refused(Exception):
    """A command that the source answers with an error line."""

    def __init__(self, code: int, channel: int = 0) -> None:
        super().__init__(code, channel)
        self.line = f"E{code:02d}:{channel:02d}"


class Chain:
    """C channels with a resistor on each.

    Args:
        loads_ohm: one or (C,); infinity is an open output. full_v, full_ma: full scales.
        noise: standard deviation of a reading in full scales. seed: of that noise.

    Attributes:
        stuck: number of a channel whose output stays as it is, or -1.
    """

    def __init__(self, channels: int, loads_ohm: ArrayLike, full_v: float, full_ma: float, noise: float, seed: int) -> None:
        self.channels = channels
        self.loads_ohm: Floats = np.array(np.broadcast_to(np.asarray(loads_ohm, np.float64), (channels,)))
        if not np.all(self.loads_ohm > 0):
            raise ValueError(f"loads_ohm must be positive, not {self.loads_ohm.min():g}")
        self._full = {"V": full_v, "I": full_ma, "VMAX": full_v, "IMAX": full_ma}
        self._unit = {name: full / FULL_CODE for name, full in self._full.items()}
        self._noise, self._random = noise, np.random.default_rng(seed)
        self._touched: set[int] = set()
        self.stuck = -1
        self.reset()

    def reset(self) -> None:
        """Registers as after power up: outputs zero, limits at full scale."""
        self._codes: dict[str, Codes] = {
            name: np.full(self.channels, FULL_CODE if name.endswith("MAX") else 0, np.int64) for name in REGISTERS
        }
        self._by_current = np.zeros(self.channels, bool)
        self.touch()

    def zero(self) -> None:
        """All outputs off; limits stay."""
        moved = np.arange(self.channels) != self.stuck
        self._codes["V"][moved] = self._codes["I"][moved] = 0
        self.touch()

    def touch(self) -> None:
        """Every channel may have changed."""
        self._touched.update(range(self.channels))

    def codes_of(self, name: str, texts: Sequence[str], channel: int) -> list[int]:
        """Codes of decimal values in V or mA; what is beyond full scale stays beyond."""
        try:
            values = [float(text) for text in texts]
        except ValueError:
            raise Refused(BAD_PARAMETER, channel) from None
        if not all(math.isfinite(value) and value >= 0 for value in values):
            raise Refused(BAD_PARAMETER, channel)
        full = self._full[name]
        return [round(min(value / full, 2.0) * FULL_CODE) for value in values]

    def set(self, name: str, channels: Sequence[int], codes: Sequence[int]) -> None:
        """All or nothing: one channel above its limit refuses the whole command."""
        is_output = name in OVER
        ceilings = self._codes[f"{name}MAX"] if is_output else None
        for channel, code in zip(channels, codes, strict=True):
            if code > (FULL_CODE if ceilings is None else ceilings.item(channel)):
                raise Refused(OVER[name[0]], channel)
        register, by_current = self._codes[name], name == "I"
        for channel, code in zip(channels, codes, strict=True):
            if channel == self.stuck and is_output:
                continue
            register[channel] = code
            if is_output:
                self._by_current[channel] = by_current
        self._touched.update(channels)

    def flowing(self) -> tuple[Floats, Floats]:
        """(C,) volts and (C,) amperes: what was set, unless a limit is reached first."""
        v, i, v_max, i_max = (self._codes[name] * self._unit[name] for name in REGISTERS)
        open_output = np.isinf(self.loads_ohm)
        wanted = np.where(self._by_current, 1e-3 * i, v / self.loads_ohm)
        amperes = np.minimum(wanted, np.minimum(1e-3 * i_max, v_max / self.loads_ohm))
        unloaded = np.minimum(np.where(self._by_current, np.where(i > 0, v_max, 0.0), v), v_max)
        return np.where(open_output, unloaded, amperes * np.where(open_output, 0.0, self.loads_ohm)), amperes

    def flowing_at(self, channel: int) -> tuple[float, float]:
        """(volts, amperes) of one channel: `flowing` without the arrays."""
        v, i, v_max, i_max = (self._codes[name].item(channel) * self._unit[name] for name in REGISTERS)
        load, by_current = self.loads_ohm.item(channel), self._by_current.item(channel)
        amperes = min(1e-3 * i if by_current else v / load, 1e-3 * i_max, v_max / load)
        if load == math.inf:
            return min((v_max if i > 0 else 0.0) if by_current else v, v_max), amperes
        return amperes * load, amperes

    def changes(self) -> tuple[list[int], list[float], list[float]]:
        """(channels, volts, amperes) of what was set since the last call."""
        if not self._touched:
            return [], [], []
        channels, self._touched = sorted(self._touched), set()
        if len(channels) > FEW:
            volts, amperes = self.flowing()
            return channels, volts[channels].tolist(), amperes[channels].tolist()
        pairs = [self.flowing_at(channel) for channel in channels]
        return channels, [v for v, _ in pairs], [a for _, a in pairs]

    def readings(self, name: str, channels: Sequence[int], factor: float = 1.0) -> list[str]:
        """A line a channel: the measured output, or what a limit register holds, times `factor`."""
        if name not in OVER:
            values = [self._codes[name].item(channel) * self._unit[name] for channel in channels]
        else:
            values = self._outputs(name, channels)
            if self._noise:
                values = (np.asarray(values) + self._noise * self._full[name] * self._random.standard_normal(len(channels))).tolist()
        unit = "V" if name[0] == "V" else "mA"
        return [f"{factor * value:+.6f} {unit}" for value in values]

    def _outputs(self, name: str, channels: Sequence[int]) -> list[float]:
        """In V or mA."""
        if len(channels) <= FEW:
            pairs = [self.flowing_at(channel) for channel in channels]
            return [v if name == "V" else 1e3 * a for v, a in pairs]
        volts, amperes = self.flowing()
        values: list[float] = (volts if name == "V" else 1e3 * amperes)[list(channels)].tolist()
        return values
