"""Arbitrary waveforms of a Keysight 33500: as they come in commands, as codes of its converter, and those that are built in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.firmware.keysight33500_limits import FULL_CODE
from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_values import NOT_ALLOWED, Block, Text, kind_of, number_of, word_of

Codes = NDArray[np.int16]
FOLDER = "INT:\\BUILTIN\\"
FIRST = FOLDER + "EXP_RISE.ARB"
MOST_LISTED = 65536


def to_codes(points: list[Any], dac: bool, swapped: bool) -> Codes:
    """The codes of a data list or of one binary block.

    Raises:
        ScpiError: 800 half a sample, -222 beyond full scale, -223 too many in a list.
    """
    if isinstance(points[0], bytes):
        if len(points) > 1:
            raise ScpiError(-108)
        size = 2 if dac else 4
        if len(points[0]) % size:
            raise ScpiError(800)
        values = np.frombuffer(points[0], f"{'<' if swapped else '>'}{'i2' if dac else 'f4'}")
    elif len(points) > MOST_LISTED:
        raise ScpiError(-223)
    elif any(isinstance(point, bytes) for point in points):
        raise ScpiError(-168)
    else:
        values = np.array(points, np.float64)
    full = FULL_CODE if dac else 1.0
    if values.size and not (values.min() >= -full and values.max() <= full):
        raise ScpiError(-222)
    return values.astype(np.int16) if values.dtype.kind == "i" else np.rint(values * (FULL_CODE / full)).astype(np.int16)


@dataclass(frozen=True)
class Name:
    """The name of a waveform or file, bare or in quotes; in capitals."""

    longest: int = 255

    def read(self, text: bytes) -> str:
        """The name."""
        kind = kind_of(text)
        if kind == "string":
            name = Text(self.longest).read(text).upper()
        elif kind == "word":
            name = word_of(text)
        else:
            raise ScpiError(NOT_ALLOWED[kind])
        if not name.strip():
            raise ScpiError(-257)
        return name

    def shown(self, value: str) -> str:
        """In quotes."""
        return Text().shown(value)


@dataclass(frozen=True)
class Point:
    """A sample, or a block of them."""

    def read(self, text: bytes) -> float | bytes:
        """The number, or the bytes."""
        kind = kind_of(text)
        if kind == "block":
            return Block().read(text)
        if kind != "number":
            raise ScpiError(NOT_ALLOWED[kind])
        return number_of(text)

    def shown(self, value: float) -> str:
        """As a number."""
        return f"{value:+.6E}"


def _built_in() -> dict[str, Codes]:
    x = np.linspace(0, 1, 1000)
    around = 2 * x - 1
    beat = np.exp(-(((x - 0.4) / 0.02) ** 2)) - 0.2 * np.exp(-(((x - 0.45) / 0.02) ** 2)) + 0.2 * np.exp(-(((x - 0.7) / 0.06) ** 2))
    fall = (np.exp(-5 * x) - np.exp(-5)) / (1 - np.exp(-5))
    waves = {
        "EXP_RISE": 1 - 2 * fall, "EXP_FALL": 2 * fall - 1, "GAUSSIAN": 2 * np.exp(-18 * around**2) - 1,
        "HAVERSINE": -np.cos(2 * np.pi * x), "LORENTZ": 2 / (1 + (10 * around) ** 2) - 1,
        "D_LORENTZ": -around / (0.01 + around**2) / 5, "NEG_RAMP": -around,
        "SINC": np.sinc(10 * around), "CARDIAC": beat,
    }  # fmt: skip
    found = {f"{FOLDER}{name}.ARB": np.rint(np.clip(wave, -1, 1) * FULL_CODE).astype(np.int16) for name, wave in waves.items()}
    for codes in found.values():
        codes.flags.writeable = False
    return found


BUILT_IN = _built_in()
