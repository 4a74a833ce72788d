"""Spatial light modulator that is a monitor: frames go to a window of exact gray levels on it.

Link: monitor://1 (index) or monitor://HDMI-1 (name). The seam is the window's function table; the real one is in drivers/pygame_window.py.
More than 8 bits: a pixel's code goes out as it is, in two colour channels, high byte red and low byte green (blue 0). Panels that
take the highest bits of the 16 and ignore the rest are used with bits = 16.
"""

from __future__ import annotations

from importlib import import_module
from typing import ClassVar, Protocol, cast
from urllib.parse import unquote

from drivers.macropixel_slm import MacropixelSlm, Size, SlmOptions
from drivers.macropixels import Codes
from labonn.errors import ConnectError


class Window(Protocol):
    """What the driver needs of a window; sizes are (rows, columns)."""

    def size(self) -> Size: ...
    def name(self) -> str: ...
    def show(self, frame: Codes) -> None:
        """Enlarge the frame by replication to the panel; return once it is up. The caller may then reuse the array."""

    def close(self) -> None: ...


class MonitorSlm(MacropixelSlm):
    """An SLM of 8 to 16 bits on a video output."""

    transport: ClassVar[str] = "sdk"
    most_bits: ClassVar[int] = 16

    def __init__(self, sdk: Window, options: SlmOptions, port: str) -> None:
        super().__init__(options, port)
        self._window = sdk
        self.identity = f"monitor {sdk.name()}"
        self._check_panel(sdk.size())

    @staticmethod
    def load_sdk(url: str) -> Window:
        """A window on the monitor that `url` names.

        Raises:
            MissingPackageError: pygame-ce is not installed.
            ConnectError: no such monitor, or no display at all.
        """
        scheme, _, monitor = url.partition("://")
        if scheme != "monitor" or not monitor:
            raise ConnectError(f"{url}: an SLM on a monitor is linked by monitor://INDEX or monitor://NAME")
        return cast(Window, import_module("drivers.pygame_window").open_window(unquote(monitor)))

    def _show(self, frame: Codes) -> None:
        self._window.show(frame)

    def close(self) -> None:
        self._window.close()
