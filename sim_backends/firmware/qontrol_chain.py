"""What is behind a Qontrol source's commands: registers as 16-bit codes, limits, and the resistors on the outputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

FULL_CODE = 0xFFFF
REGISTERS = ("V", "I", "VMAX", "IMAX")
BAD_PARAMETER, OVER = 11, {"V": 1, "I": 2}


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
    """

    def __init__(self, channels: int, loads_ohm: ArrayLike, full_v: float, full_ma: float, noise: float, seed: int) -> None:
        self.channels = channels
        self.loads_ohm: Floats = np.array(np.broadcast_to(np.asarray(loads_ohm, np.float64), (channels,)))
        if not np.all(self.loads_ohm > 0):
            raise ValueError(f"loads_ohm must be positive, not {self.loads_ohm.min():g}")
        self._full = {"V": full_v, "I": full_ma, "VMAX": full_v, "IMAX": full_ma}
        self._noise, self._random = noise, np.random.default_rng(seed)
        self.reset()

    def reset(self) -> None:
        """Registers as after power up: outputs zero, limits at full scale."""
        self._codes: dict[str, Codes] = {
            name: np.full(self.channels, FULL_CODE if name.endswith("MAX") else 0, np.int64) for name in REGISTERS
        }
        self._by_current = np.zeros(self.channels, bool)

    def zero(self) -> None:
        """All outputs off; limits stay."""
        self._codes["V"][:] = self._codes["I"][:] = 0

    def codes_of(self, name: str, texts: list[str], channel: int) -> Codes:
        """Codes of decimal values in V or mA; what is beyond full scale stays beyond."""
        try:
            values = np.array([float(text) for text in texts])
        except ValueError:
            raise Refused(BAD_PARAMETER, channel) from None
        if not np.all(np.isfinite(values) & (values >= 0)):
            raise Refused(BAD_PARAMETER, channel)
        return np.asarray(np.rint(np.minimum(values / self._full[name], 2.0) * FULL_CODE), np.int64)

    def set(self, name: str, channels: Codes, codes: Codes) -> None:
        """All or nothing: one channel above its limit refuses the whole command."""
        ceiling = self._codes[f"{name}MAX"][channels] if name in OVER else FULL_CODE
        over = np.flatnonzero(codes > ceiling)
        if over.size:
            raise Refused(OVER[name[0]], int(channels[over[0]]))
        self._codes[name][channels] = codes
        if name in OVER:
            self._by_current[channels] = name == "I"

    def flowing(self) -> tuple[Floats, Floats]:
        """(C,) volts and (C,) amperes: what was set, unless a limit is reached first."""
        v, i, v_max, i_max = (self._codes[name] * (self._full[name] / FULL_CODE) for name in REGISTERS)
        open_output = np.isinf(self.loads_ohm)
        wanted = np.where(self._by_current, 1e-3 * i, v / self.loads_ohm)
        amperes = np.minimum(wanted, np.minimum(1e-3 * i_max, v_max / self.loads_ohm))
        unloaded = np.minimum(np.where(self._by_current, np.where(i > 0, v_max, 0.0), v), v_max)
        return np.where(open_output, unloaded, amperes * np.where(open_output, 0.0, self.loads_ohm)), amperes

    def readings(self, name: str, channels: list[int]) -> list[str]:
        """A line a channel: the measured output, or what a limit register holds."""
        if name in OVER:
            volts, amperes = self.flowing()
            values = np.asarray((volts if name == "V" else 1e3 * amperes)[channels], np.float64)
            if self._noise:
                values += self._noise * self._full[name] * self._random.standard_normal(len(channels))
        else:
            values = np.asarray(self._codes[name][channels] * (self._full[name] / FULL_CODE), np.float64)
        unit = "V" if name[0] == "V" else "mA"
        return [f"{value:+.6f} {unit}" for value in values.tolist()]
