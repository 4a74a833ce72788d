"""What the outputs of actuators may be at now, as far as that is known without asking; joint limits and ramps start from it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from labonn.banks import Bank, extremes_of
from labonn.channels import ChannelSpec, Floats
from labonn.clock import Clock


def safe_row(spec: ChannelSpec) -> Floats | None:
    """(C,) where a port is when it was made safe: at zero, or the nearest that is allowed; None: nobody knows."""
    return np.clip(np.zeros(len(spec)), spec.lower, spec.upper) if spec.unit in ("V", "A", "W") else None


class Levels:
    """Levels of some actuators.

    A held port is at the row that was set last, or, after a set that failed, somewhere up to the highest of the rows before and after it.
    A sequenced port is dark between tables (`dark_between` of its driver), or keeps one of the rows that it played.
    Made safe, a port in V, A or W is at zero, or the nearest that is allowed; where an oven is then, only its sensor knows.

    Args:
        specs: of all ports; may be tightened later. ports: whose levels are followed. dark: those that are dark between tables.
    """

    def __init__(self, specs: Mapping[str, ChannelSpec], ports: Collection[str], dark: Collection[str], clock: Clock) -> None:
        self._specs, self._dark, self._clock = specs, dark, clock
        self._rows: dict[str, Floats | None] = {}
        self._highest: dict[str, Floats] = {}
        self._since: dict[str, float] = {}
        for port in ports:
            self._safe(port, -math.inf)

    def __contains__(self, port: str) -> bool:
        return port in self._rows

    def row(self, port: str) -> Floats | None:
        """(C,) what a held port is known to be at; None: unknown."""
        return self._rows[port]

    def highest(self, port: str) -> Floats:
        """(C,) highest magnitudes that its channels may have now."""
        return self._highest[port]

    def since_s(self, port: str) -> float:
        """When it was set last; minus infinity: never."""
        return self._since[port]

    def safe_row(self, port: str) -> Floats | None:
        """(C,) where it is when it was made safe; None: nobody knows."""
        return safe_row(self._specs[port])

    def made_safe(self, port: str) -> None:
        """It has just been made safe, or prepared."""
        if port in self._rows:
            self._safe(port, self._clock.now())

    def lost(self, port: str) -> None:
        """Nobody knows what it is at; no higher than before."""
        if port in self._rows:
            self._rows[port] = None

    def found(self, port: str, row: Floats) -> None:
        """It has been measured."""
        self._rows[port] = row

    @contextmanager
    def moving(self, port: str, row: Floats) -> Iterator[None]:
        """A held port is being set to `row`; unless that succeeds, it may be anywhere up to there."""
        self._rows[port], magnitude = None, np.abs(row)
        self._highest[port] = np.maximum(self._highest[port], magnitude)
        yield
        self._rows[port], self._highest[port], self._since[port] = row, magnitude, self._clock.now()

    @contextmanager
    def loading(self, port: str, bank: Bank) -> Iterator[None]:
        """A sequenced port gets `bank`, and keeps one of its rows unless it is dark between tables."""
        if port in self._dark:
            yield
            return
        magnitude = np.abs(extremes_of(bank)).max(axis=0)
        self._highest[port] = np.maximum(self._highest[port], magnitude)
        yield
        self._highest[port] = magnitude

    def _safe(self, port: str, now_s: float) -> None:
        row = self.safe_row(port)
        self._rows[port], self._since[port] = row, now_s
        self._highest[port] = np.zeros(len(self._specs[port])) if row is None else np.abs(row)
