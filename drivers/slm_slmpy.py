"""Spatial light modulator shown by slmPy (S. Popoff, github.com/wavefrontshaping/slmPy, version 0.2) on this computer.

Link: slmpy://1?image_lock=1&timeout_s=10&frame_timeout_s=2 with slmPy's monitor index. The seam is slmPy's SLMdisplay: getSize() ->
(width, height), updateArray(array, sleep), close(). The real one runs in a process of its own (drivers/slm_slmpy_process.py).
"""

from __future__ import annotations

import math
import os
import sys
from typing import ClassVar, Protocol
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from drivers.macropixel_slm import MacropixelSlm, SlmOptions, typed
from drivers.macropixels import Codes, enlarge
from labonn.errors import ConnectError
from labonn.links import query_options

LIMITS_S = {"timeout_s": 10.0, "frame_timeout_s": 2.0}  # for the window to open, for a frame


class Display(Protocol):
    """The part of slmPy's SLMdisplay that is used, with its names."""

    def getSize(self) -> tuple[int, int]: ...
    def updateArray(self, array: NDArray[np.uint8], sleep: float) -> None: ...
    def close(self) -> None: ...


class SlmPySlm(MacropixelSlm):
    """An 8-bit SLM in an slmPy window; frames of the full panel, because slmPy draws smaller ones unscaled in a corner."""

    transport: ClassVar[str] = "sdk"

    def __init__(self, sdk: Display, options: SlmOptions, port: str) -> None:
        super().__init__(options, port)
        self._display = sdk
        with typed(port, "asking slmPy for its size"):
            width, height = sdk.getSize()
            self.identity = f"slmPy window of {height} x {width}"
            self._check_panel((height, width))
        self._stripes = np.empty((self.geometry.frame[0], width), np.uint8)
        self._panel = np.empty((height, width), np.uint8)

    @staticmethod
    def load_sdk(url: str) -> Display:
        """An slmPy window on the monitor that `url` names.

        Raises:
            MissingPackageError: slmPy or wxPython is absent, or another package called slmpy is in its place.
            ConnectError: slmPy opens no window in time.
        """
        try:
            monitor = int(urlsplit(url).netloc)
        except ValueError:
            raise ConnectError(f"{url}: an slmPy window is linked by slmpy://MONITOR_INDEX") from None
        options = query_options(url, {"image_lock": 0, **LIMITS_S})
        for key in LIMITS_S:
            if not 0 < options[key] < math.inf:
                raise ConnectError(f"{url}: {key} is {options[key]:g}; it must be positive and finite")
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise ConnectError(f"{url}: no window without a display: the environment variable DISPLAY is not set")
        from drivers.slm_slmpy_process import SlmPyProcess

        return SlmPyProcess(url, monitor, bool(options["image_lock"]), options["timeout_s"], options["frame_timeout_s"])

    def _show(self, frame: Codes) -> None:
        enlarge(frame, self._stripes, self._panel)
        self._display.updateArray(self._panel, sleep=0)  # its default sleeps 0.2 s; the bench waits for the settling

    def close(self) -> None:
        self._display.close()
