"""Spatial light modulator behind slmPy's network server (`SLMdisplay.listen_port`, slmPy 0.2), for instance on a Raspberry Pi.

Link: slmpynet://host:9999?compression=zlib. A request is the full panel, row-major, one byte a pixel; the answer `done` or `err`.
The server cannot be asked for its size: it must run with check_image_size=True, or a wrong panel in the bench file ends it.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from drivers.macropixel_slm import MacropixelSlm, SlmOptions
from drivers.macropixels import Codes, enlarge
from labonn.errors import DesyncError, RefusedError
from labonn.links import Link


class SlmPyNetworkSlm(MacropixelSlm):
    """An 8-bit SLM of another computer."""

    transport: ClassVar[str] = "slmpynet"

    def __init__(self, link: Link, options: SlmOptions, port: str) -> None:
        super().__init__(options, port)
        self._link = link
        height, width = self.geometry.panel
        self.identity = f"slmPy server, {height} x {width} by the bench file"
        self._stripes = np.empty((self.geometry.frame[0], width), np.uint8)
        self._panel = np.empty((height, width), np.uint8)

    def _show(self, frame: Codes) -> None:
        enlarge(frame, self._stripes, self._panel)
        reply = self._link.exchange(self._panel.tobytes())
        if reply == b"err":
            height, width = self.geometry.panel
            raise RefusedError(f"{self.port}: the slmPy server answered 'err' to a frame of {height} x {width} pixels; is that its panel?")
        if reply != b"done":
            raise DesyncError(f"{self.port}: the slmPy server answered {reply[:40]!r}, not 'done' or 'err'")

    def close(self) -> None:
        self._link.close()
