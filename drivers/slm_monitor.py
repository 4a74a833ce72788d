"""Spatial light modulator that is a monitor: frames go to a window of exact gray levels on it.

Link: monitor://1 (index), monitor://HDMI-1 (name or connector) or monitor://edid:HOLOEYE,1234 (name, maker, product or serial number in
its EDID), with ?native=0 if its EDID tells a wrong size. The seam is the window's function table; the real one: drivers/pygame_window.py.
More than 8 bits: a pixel's code goes out as it is, in two colour channels, high byte red and low byte green (blue 0). Panels that
take the highest bits of the 16 and ignore the rest are used with bits = 16. Less than 8 bits: gray levels from 0 to 2^bits - 1.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, Protocol, cast
from urllib.parse import unquote

from drivers.macropixel_slm import MacropixelSlm, Size, SlmOptions, typed
from drivers.macropixels import Codes
from labonn.errors import ConnectError
from labonn.links import query_options


class Window(Protocol):
    """What the driver needs of a window; sizes are (rows, columns)."""

    def size(self) -> Size: ...
    def name(self) -> str: ...
    def show(self, frame: Codes) -> None:
        """Enlarge the frame by replication to the panel; return once it is up. The caller may then reuse the array."""

    def close(self) -> None: ...


class MonitorSlm(MacropixelSlm):
    """An SLM of 4 to 16 bits on a video output."""

    transport: ClassVar[str] = "sdk"
    least_bits: ClassVar[int] = 4
    most_bits: ClassVar[int] = 16

    def __init__(self, sdk: Window, options: SlmOptions, port: str) -> None:
        super().__init__(options, port)
        self._window = sdk
        with typed(port, "asking the window"):
            self.identity = f"monitor {sdk.name()}"
            self._check_panel(sdk.size())

    @staticmethod
    def load_sdk(url: str) -> Window:
        """A window for the monitor that `url` names; it appears there with the first frame.

        Raises:
            MissingPackageError: pygame-ce is not installed.
            ConnectError: no such monitor, or no display at all.
        """
        scheme, _, rest = url.partition("://")
        monitor = unquote(rest.partition("?")[0])
        if scheme != "monitor" or not monitor:
            raise ConnectError(f"{url}: an SLM on a monitor is linked by monitor://INDEX or monitor://NAME or monitor://edid:NAME,SERIAL")
        native = bool(query_options(f"monitor://x?{rest.partition('?')[2]}", {"native": 1})["native"])
        return cast(Window, import_module("drivers.pygame_window").open_window(monitor, native))

    @staticmethod
    def attached() -> list[tuple[str, str, dict[str, Any]]]:
        """(URL, what it is, options of the bench file) of every monitor."""
        found = import_module("drivers.pygame_window").list_monitors()
        return [(f"monitor://{monitor.connector or monitor.index}", str(monitor), {"panel": list(monitor.size)}) for monitor in found]

    def _show(self, frame: Codes) -> None:
        self._window.show(frame)

    def close(self) -> None:
        self._window.close()
