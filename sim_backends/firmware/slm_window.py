"""A window on an SLM's monitor, as the driver's function table sees it: strict about what it is given, shows nothing.

| function | implemented | refused |
| --- | --- | --- |
| size, name, close | whole | |
| show | codes of the panel's size, or a fraction, enlarged by replication | other sizes and types, codes beyond its bits; after close |
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.firmware.troubles import Troubles

Codes = NDArray[np.unsignedinteger[Any]]
Index = slice | NDArray[np.intp]


class WindowTable:
    """The function table of a window on a monitor of `size` (rows, columns) pixels.

    Attributes:
        frame: the last frame as it was given (a read-only copy), or None. version: number of frames shown.
        faults: kinds that it can have. calls: functions whose calls can fail, as `failure` says -> those of what they return.
    """

    faults = ("unseen",)
    calls: Mapping[str, tuple[str, ...]] = MappingProxyType({"show": ()})

    def __init__(self, size: tuple[int, int], bits: int = 8, name: str = "SLM") -> None:
        self._size, self._name, self._bits = size, name, bits
        self._dtype = np.dtype(np.uint8 if bits <= 8 else np.uint16)
        self._open = True
        self.frame: Codes | None = None
        self.version = 0
        self._troubles = Troubles()

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> WindowTable:
        """The window that a port's bench-file options describe."""
        return cls(panel_of(options, channels), int(options.get("bits", 8)))

    def size(self) -> tuple[int, int]:
        """Pixels (rows, columns)."""
        return self._size

    def name(self) -> str:
        """The monitor's name."""
        return self._name

    def show(self, frame: Codes) -> None:
        """Show a frame of the panel's size or whole fractions of it, one code a pixel."""
        if not self._open:
            raise RuntimeError("the window is closed")
        if not isinstance(frame, np.ndarray) or frame.dtype != self._dtype or frame.ndim != 2:
            given = f"{getattr(frame, 'dtype', type(frame))}{np.shape(frame)}"
            raise TypeError(f"a frame is a {self._dtype} array (h, w) for {self._bits} bits, not {given}")
        if 0 in frame.shape or self._size[0] % frame.shape[0] or self._size[1] % frame.shape[1]:
            raise ValueError(f"a frame of {frame.shape} does not divide the panel of {self._size}")
        if self._bits not in (8, 16) and int(frame.max()) >= 1 << self._bits:
            raise ValueError(f"code {int(frame.max())} is above {(1 << self._bits) - 1} ({self._bits} bits)")
        if self._troubles.take("unseen"):
            return
        self.frame = frame.copy()
        self.frame.flags.writeable = False
        self.version += 1

    def inject(self, kind: str, value: float | None) -> None:
        """Have a fault of `faults`."""
        self._troubles.begin(kind, value)

    def failure(self, kind: str) -> Exception:
        """What a call that fails raises."""
        return RuntimeError("video system not initialized" if kind == "drop" else "the display driver does not answer")

    def close(self) -> None:
        """The window is gone."""
        self._open = False

    def block(self, rows: int, columns: int) -> Codes:
        """(rows, columns) codes at the centres of a centred block of macropixels; all 0 (black) before the first frame."""
        return block_of(self.frame, self._size, rows, columns) if self.frame is not None else np.zeros((rows, columns), self._dtype)


def panel_of(options: Mapping[str, Any], channels: int) -> tuple[int, int]:
    """The panel (rows, columns) of a port's options, which must have as many macropixels as channels."""
    rows, columns = options["shape"]
    if rows * columns != channels:
        raise ValueError(f"shape {rows} x {columns} is {rows * columns} macropixels, the port has {channels} channels")
    height, width = options.get("panel", (1080, 1920))
    return int(height), int(width)


def block_of(frame: Codes, panel: tuple[int, int], rows: int, columns: int) -> Codes:
    """What a frame, stretched over the panel, shows at the centres of the macropixels; a view where they are evenly spaced."""
    down = _sampled(panel[0], frame.shape[0], rows)
    across = _sampled(panel[1], frame.shape[1], columns)
    return frame[down][:, across]


@lru_cache(maxsize=64)
def _sampled(pixels: int, samples: int, count: int) -> Index:
    """Along one axis: the frame's samples under the centres of `count` macropixels.

    A macropixel has the most pixels of which `count` fit and which divide the panel; the block leaves as much room before as after,
    the odd macropixel after.
    """
    if not 0 < count <= pixels:
        raise ValueError(f"{count} macropixels do not fit {pixels} pixels")
    side = max(n for n in range(1, pixels + 1) if pixels % n == 0 and n * count <= pixels)
    before = (pixels // side - count) // 2
    centres = (before + np.arange(count)) * side + side // 2
    index = centres // (pixels // samples)
    steps = np.unique(np.diff(index))
    if steps.size > 1 or 0 in steps:
        return index
    step = int(steps[0]) if steps.size else 1
    return slice(int(index[0]), int(index[-1]) + 1, step)
