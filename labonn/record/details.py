"""Frames of actuators and histograms of detectors: more than a record needs of every step, so only now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.banks import rows_of
from labonn.record.gathering import Command, Reading
from labonn.record.sums import histogram

Rows = dict[str, list[tuple[Any, ...]]]  # table -> rows, each as its INSERT wants it
WHOLE_CHANNELS = 4096  # ports with more have their frames in 256 levels
BYTES_PER_S = 4000.0  # of frames, a port: 15 MB an hour
PAUSE_S = 0.1  # between two frames or histograms of a port, at least


class Details:
    """Makes rows of `frames`, `maps`, `histograms` and `ranges` when they are due.

    Args:
        ports: name -> device, for the ranges of detectors. clock: seconds, by which rows become due.

    Attributes:
        maps: name -> values of the run that are newer than its row.
    """

    def __init__(self, ports: Mapping[str, Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._ports, self._clock = ports, clock
        self._next_s = clock()
        self._due_s: dict[tuple[str, str], float] = {}
        self.maps: dict[str, NDArray[Any]] = {}

    def rows(self, entry: int, commands: Mapping[str, Command], readings: Mapping[str, Reading], everything: bool = False) -> Rows:
        """Rows of this entry that are due now; `everything`: what all actuators were set to last, because nothing follows."""
        now = self._clock()
        if now < self._next_s and not everything:
            return {}
        self._next_s = now + PAUSE_S
        seen = {port: reading for port, reading in readings.items() if reading.samples and reading.sums.count}
        rows: Rows = {"histograms": [_histogram(entry, port, reading) for port, reading in seen.items()], "frames": [], "maps": []}
        rows["ranges"] = [(entry, port, *_range(self._ports[port])) for port in seen]
        for port, command in commands.items():
            if command.bank is not None and ((command.tables and self._is_due("frames", port, now)) or everything):
                frame = rows_of(command.bank, np.array([command.order[-1]]))[0]
                rows["frames"].append(self._row("frames", entry, port, frame, now))
        for name in [name for name in self.maps if everything or self._is_due("maps", name, now)]:
            rows["maps"].append(self._row("maps", entry, name, self.maps.pop(name), now))
        return {table: found for table, found in rows.items() if found}

    def _is_due(self, table: str, name: str, now: float) -> bool:
        return now >= self._due_s.get((table, name), now)

    def _row(self, table: str, entry: int, name: str, values: NDArray[Any], now: float) -> tuple[Any, ...]:
        low_high_codes = packed(values)
        self._due_s[table, name] = now + len(low_high_codes[2]) / BYTES_PER_S
        return (entry, name, values.size, *low_high_codes)


def _range(device: Any) -> tuple[float, float, float]:
    """Of the detectors of a port: both ends of the widest range, and full scale of the narrowest."""
    full = np.asarray(getattr(device, "full_scale", device.spec.upper), np.float64)
    low, high = float(np.min(device.spec.lower)), float(full.max())
    return max(-high, low) if low < 0 else low, high, float(full.min())


def _histogram(entry: int, port: str, reading: Reading) -> tuple[Any, ...]:
    low, high = reading.sums.low, reading.sums.high
    return (entry, port, low, high, histogram(np.concatenate(reading.samples), low, high).astype("<u4").tobytes())


def packed(frame: NDArray[Any]) -> tuple[float | None, float | None, bytes]:
    """(low, high, codes): float32 and no range for up to WHOLE_CHANNELS channels, else one of 256 levels from low to high each."""
    if frame.size <= WHOLE_CHANNELS:
        return None, None, frame.astype("<f4").tobytes()
    low, high = float(frame.min()), float(frame.max())
    scale = 255 / (high - low) if high > low else 0.0
    return low, high, np.rint((frame - low) * scale).astype(np.uint8).tobytes()


def unpacked(channels: int, low: float | None, high: float | None, codes: bytes) -> NDArray[np.float32]:
    """The (C,) frame that was packed."""
    if low is None or high is None:
        return np.frombuffer(codes, "<f4", channels)
    return (low + (high - low) / 255 * np.frombuffer(codes, np.uint8, channels)).astype(np.float32)
