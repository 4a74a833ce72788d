"""Detector ranges that follow the light: fitted to measured peaks, widened at once when a reading saturates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labonn.channels import ChannelSpec, Floats
from labonn.layers import Layers

MARGIN, WIDER, SMALLEST = 2.0, 4.0, 1e-4


class Ranges:
    """Ranges of the tap and output detectors, one a cell: single neurons come and go, a cell's brightest hardly changes.

    Args:
        devices: the bench's ports. specs: their limits; the range at opening is the widest that is ever taken.
        layers: which channels are one cell.

    Attributes:
        lost: port -> readings that saturated although the range was the widest.
    """

    def __init__(self, devices: Mapping[str, Any], specs: Mapping[str, ChannelSpec], layers: Layers) -> None:
        self._layers, self._devices, self._widest = layers, devices, {port: np.array(spec.upper) for port, spec in specs.items()}
        self._ranges: dict[str, Floats] = {}
        self.lost: dict[str, int] = {}

    def narrow(self) -> None:
        """A hundredth of the widest everywhere, to measure detector offsets in fine steps."""
        for port in self._ports():
            self._devices[port].set_range(0.01 * self._widest[port])

    def restore(self) -> None:
        """As they were fitted; the widest for those that no peaks were measured of yet."""
        for port in self._ports():
            self._devices[port].set_range(self._ranges.get(port, self._widest[port]))

    def widest(self) -> None:
        """As when the bench was opened."""
        for port in self._ports():
            self._devices[port].set_range(self._widest[port])

    def forget(self) -> None:
        """The widest again for all that were fitted."""
        for port in self._ranges:
            self._devices[port].set_range(self._widest[port])
        self._ranges.clear()

    def _ports(self) -> tuple[str, ...]:
        return ("output", *(("forward_in", "forward_out", "backward_in", "backward_out") if self._layers.hidden else ()))

    def fit(self, peaks: Mapping[str, Floats]) -> None:
        """Ranges of twice the largest of `peaks` (D,) volts of each cell; a port that just saturated is only widened."""
        for port, volts in peaks.items():
            wanted = np.empty(len(volts))
            for cell in self._layers.taps() if port != "output" else (slice(None),):
                wanted[cell] = MARGIN * float(volts[cell].max())
            self._set(port, WIDER * self._ranges[port] if self._devices[port].saturated and port in self._ranges else wanted)

    def widen(self) -> None:
        """Four times the range for every port whose last record saturated."""
        for port, ranges in self._ranges.items():
            if self._devices[port].saturated:
                self._set(port, WIDER * ranges)

    def _set(self, port: str, wanted: Floats) -> None:
        widest = self._widest[port]
        wanted = np.clip(wanted, SMALLEST * widest, widest)
        before = self._ranges.get(port)
        if before is not None and self._devices[port].saturated and not np.any(wanted > before):
            self.lost[port] = self.lost.get(port, 0) + int(self._devices[port].saturated)
        if before is None or np.any(wanted > before) or np.any(wanted < 0.3 * before):
            self._ranges[port] = np.asarray(self._devices[port].set_range(wanted))
        self._devices[port].saturated = 0
