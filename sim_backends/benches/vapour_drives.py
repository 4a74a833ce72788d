"""What the DACs of the vapour-cell bench play in one firing, as volts, and fields behind the input modulators that are known already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.physics.modulators import Modulators

Fields = NDArray[Any]


@dataclass(frozen=True)
class Shots:
    """One firing: the DACs that play in it (port -> instruments), how many shots, how long each."""

    beams: Mapping[str, list[Any]]
    count: int
    dwell_s: float


class Drive:
    """The volts of a port's DACs, side by side; made when asked for."""

    def __init__(self, dacs: list[Any], part: slice | None = None) -> None:
        self._dacs, self._part = dacs, part
        self._volts: Fields | None = None
        self.dtype = np.dtype(np.float64 if dacs[0].format == "<f8" else np.float32)

    def part(self, part: slice) -> Drive:
        """Some of the shots."""
        made = Drive(self._dacs, part)
        made._volts = self.volts()[part]
        return made

    def memory(self) -> tuple[Fields, NDArray[Any]] | None:
        """(bank (K, C), rows (T,) of it) where the volts are no others than those in one memory."""
        dac = self._dacs[0]
        whole = len(self._dacs) == 1 and self._part is None and dac.is_float and isinstance(dac.bank, np.ndarray)
        return (dac.bank, dac.order) if whole else None

    def volts(self) -> Fields:
        """(T, C)."""
        if self._volts is None:
            volts = [dac.volts() for dac in self._dacs]
            self._volts = volts[0] if len(volts) == 1 else np.concatenate(volts, axis=1)
        return self._volts


class Memory:
    """Fields of the rows of a modulator memory, each computed when it is played first.

    Args:
        bank: (K, C) volts, constant.
    """

    def __init__(self, bank: Fields) -> None:
        self.bank = bank
        self._fields, self._known = np.empty_like(bank), np.zeros(len(bank), bool)

    def fields(self, order: NDArray[Any], modulators: Modulators, now_s: float) -> Fields:
        """(T, C) of the rows `order`; a copy."""
        new = order[~self._known[order]]
        if new.size:
            self._fields[new] = modulators.fields(self.bank[new], now_s)
            self._known[new] = True
        return np.asarray(self._fields[order])
