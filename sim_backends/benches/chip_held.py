"""Chains of sources that hold the parameters of a chip: what they are set to, and since when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.clock import Clock

Values = NDArray[Any]


class HeldSources:
    """The emulators of a held port, side by side.

    Args:
        emulators: of the port. span: channels that it uses of each. amperes: whether sections are set by what flows; else heaters by the
            volts across them. resistances: (P,) ohms of heaters; None: the emulators' own loads.

    Attributes:
        state: (P,) what was on every channel when last looked at.
    """

    def __init__(self, emulators: Sequence[Any], span: range, clock: Clock, amperes: bool, resistances: Values | None) -> None:
        self._emulators, self._clock, self._amperes = emulators, clock, amperes
        self._first, self._own = span.start, len(span)
        self.state = np.zeros(self._own * len(self._emulators))
        self._set_s = 0.0
        for number, emulator in enumerate(self._emulators):
            if resistances is not None:
                emulator.loads_ohm[self._first : self._first + self._own] = resistances[number * self._own : (number + 1) * self._own]
            self._watch(emulator)

    def _watch(self, emulator: Any) -> None:
        """Note the moment of every exchange."""
        feed = emulator.feed

        def noted(data: bytes) -> bytes:
            self._set_s = self._clock.now()
            return bytes(feed(data))

        emulator.feed = noted

    def take_down(self) -> tuple[dict[int, float], float]:
        """(channel -> what it was set to since the last look, seconds since the last exchange); `state` follows."""
        edits: dict[int, float] = {}
        for number, emulator in enumerate(self._emulators):
            channels, volts, currents = emulator.changes()
            for channel, value in zip(channels, currents if self._amperes else volts, strict=True):
                if self._first <= channel < self._first + self._own:
                    edits[number * self._own + channel - self._first] = value
        if edits:
            self.state[list(edits)] = list(edits.values())
        return edits, self._clock.now() - self._set_s
