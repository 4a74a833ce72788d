"""Spatial light modulator shown by slmPy (S. Popoff, github.com/wavefrontshaping/slmPy, version 0.2) on this computer.

Link: slmpy://1?image_lock=1&timeout_s=5 with slmPy's monitor index. The seam is slmPy's SLMdisplay: getSize() -> (width, height),
updateArray(array, sleep), close().
"""

from __future__ import annotations

import os
import sys
import threading
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar, Protocol, cast
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from drivers.macropixel_slm import MacropixelSlm, SlmOptions
from drivers.macropixels import Codes, enlarge
from labonn.errors import ConnectError, MissingPackageError
from labonn.links import query_options

RIGHT_PACKAGE = "pip install git+https://github.com/wavefrontshaping/slmPy wxPython"
OPEN_TIMEOUT_S = 5.0


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
        options = query_options(url, {"image_lock": 0, "timeout_s": OPEN_TIMEOUT_S})
        module = _slmpy()
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise ConnectError(f"{url}: no window without a display: the environment variable DISPLAY is not set")
        return _Colour(_construct(module, url, monitor, bool(options["image_lock"]), options["timeout_s"]))

    def _show(self, frame: Codes) -> None:
        enlarge(frame, self._stripes, self._panel)
        self._display.updateArray(self._panel, sleep=0)  # its default sleeps 0.2 s; the bench waits for the settling

    def close(self) -> None:
        self._display.close()


def _slmpy() -> ModuleType:
    try:
        module = import_module("slmpy")
    except ImportError as problem:
        raise MissingPackageError(f"slmPy cannot be imported ({problem}); install it by: {RIGHT_PACKAGE}") from None
    if not hasattr(module, "SLMdisplay"):
        raise MissingPackageError(
            f"the package slmpy in {module.__file__} is not the SLM library slmPy: it has no SLMdisplay "
            f"(the slmpy on PyPI detects communities); pip uninstall slmpy, then: {RIGHT_PACKAGE}"
        )
    return module


def _construct(module: ModuleType, url: str, monitor: int, image_lock: bool, timeout_s: float) -> Display:
    """An SLMdisplay; its constructor waits for ever when its own thread fails, so it waits in a thread that can be left behind."""
    outcome: list[Any] = []

    def construct() -> None:
        try:
            outcome.append(module.SLMdisplay(monitor=monitor, isImageLock=image_lock))
        except Exception as problem:
            outcome.append(problem)

    thread = threading.Thread(target=construct, name=f"slmPy {url}", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not outcome:
        why = "so it does on a monitor index that does not exist (it counts from 0)"
        raise ConnectError(f"{url}: slmPy opened no window within {timeout_s:g} s; {why}")
    if isinstance(outcome[0], Exception):
        raise ConnectError(f"{url}: slmPy opened no window: {outcome[0]}") from outcome[0]
    return cast(Display, outcome[0])


class _Pixels(np.ndarray[Any, np.dtype[np.uint8]]):
    """A colour image that still has `tostring`, which slmPy 0.2 calls on it and NumPy 2.3 removed."""

    def tostring(self) -> bytes:
        return self.tobytes()


class _Colour:
    """SLMdisplay fed with colour images (H, W, 3): those it takes as they are; gray ones it copies to an array without `tostring`."""

    def __init__(self, display: Display) -> None:
        self._display = display
        width, height = display.getSize()
        self._image = np.empty((height, width, 3), np.uint8).view(_Pixels)
        self.getSize, self.close = display.getSize, display.close

    def updateArray(self, array: NDArray[np.uint8], sleep: float) -> None:
        self._image[...] = array[:, :, None]
        self._display.updateArray(self._image, sleep=sleep)
