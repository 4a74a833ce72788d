"""slmPy 0.2 (S. Popoff): its SLMdisplay as a function table, and its network server as bytes in, bytes out.

| part | implemented | refused or missing |
| --- | --- | --- |
| SLMdisplay | getSize, updateArray (uint8 of the full panel; else an error), close | colour, isImageLock, other screens |
| server | length and zlib, gzip, bz2 or plain bytes of the full panel: `done`, else `err` | a second client, ending by itself |
"""

from __future__ import annotations

import bz2
import struct
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.firmware.slm_window import Codes, block_of, panel_of
from sim_backends.firmware.troubles import Troubles

DEFAULT_SLEEP_S = 0.2
WIRE_BIT_PER_S = 1e9
LENGTH = struct.Struct("<i")  # C's int of the client's machine
RECEIVE_SLACK = 4096  # what a compressor may add to incompressible data, besides a hundredth


class _Screen:
    """What both have: a full-panel 8-bit picture.

    Attributes:
        frame: (H, W) the last picture (read-only), or None before the first. version: number of pictures shown.
        faults: kinds that it can have.
    """

    faults: tuple[str, ...] = ("unseen",)

    def __init__(self, panel: tuple[int, int]) -> None:
        self.panel, self._troubles = panel, Troubles()
        self.frame: NDArray[np.uint8] | None = None
        self.version = 0

    def inject(self, kind: str, value: float | None) -> None:
        """Have a fault of `faults`."""
        self._troubles.begin(kind, value)

    def _put(self, frame: NDArray[np.uint8]) -> None:
        if self._troubles.take("unseen"):
            return
        frame.flags.writeable = False
        self.frame, self.version = frame, self.version + 1

    def block(self, rows: int, columns: int) -> Codes:
        """(rows, columns) codes at the centres of a centred block of macropixels; all 0 (black) before the first picture."""
        return block_of(self.frame, self.panel, rows, columns) if self.frame is not None else np.zeros((rows, columns), np.uint8)


class SlmDisplayTable(_Screen):
    """SLMdisplay's getSize, updateArray and close. What real slmPy draws wrong without a word (sizes, dtypes) is refused here.

    Attributes:
        slept_s: time that callers spent in updateArray's sleep.
        calls: functions whose calls can fail, as `failure` says -> those of what they return.
    """

    calls: Mapping[str, tuple[str, ...]] = MappingProxyType({"updateArray": ()})

    def __init__(self, panel: tuple[int, int]) -> None:
        super().__init__(panel)
        self.slept_s = 0.0
        self._open = True

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> SlmDisplayTable:
        """The display that a port's bench-file options describe."""
        return cls(panel_of(options, channels))

    def getSize(self) -> tuple[int, int]:
        """(width, height), in this order."""
        return self.panel[1], self.panel[0]

    def updateArray(self, array: NDArray[np.uint8], sleep: float = DEFAULT_SLEEP_S) -> None:
        """Show a gray picture of the full panel."""
        if not self._open:
            raise RuntimeError("wrapped C/C++ object of type SLMframe has been deleted")
        if array.dtype != np.uint8:
            raise TypeError(f"slmPy takes the bytes of any array for gray levels: {array.dtype} would show garbage, give uint8")
        if array.shape != self.panel:
            raise ValueError(f"slmPy would draw {array.shape} unscaled in a corner: give the full panel {self.panel}")
        self.slept_s += sleep
        self._put(array.copy())

    def failure(self, kind: str) -> Exception:
        """What a call that fails raises."""
        return TimeoutError("slmPy does not answer") if kind != "drop" else RuntimeError("wrapped C/C++ object has been deleted")

    def close(self) -> None:
        """The window is gone."""
        self._open = False


class SlmPyServerFirmware(_Screen):
    """`SLMdisplay.listen_port(check_image_size=True)`: length (C int) and compressed bytes of the full panel in, `done` or `err` out.

    As the real one it forgets what came behind a message in the same packet. Where the real one ends with a traceback, this answers `err`.
    """

    faults = (*_Screen.faults, "refuse")

    def __init__(self, panel: tuple[int, int], compression: str = "zlib") -> None:
        super().__init__(panel)
        if compression not in ("zlib", "gzip", "bz2", "none"):
            raise ValueError(f"unknown compression {compression!r}")
        self._compression = compression
        self._pixels = panel[0] * panel[1]
        self._longest = self._pixels + self._pixels // 100 + RECEIVE_SLACK
        self._received = bytearray()

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> SlmPyServerFirmware:
        """The server that a port's bench-file options describe (`compression` among them if it is not zlib)."""
        return cls(panel_of(options, channels), str(options.get("compression", "zlib")))

    def feed(self, data: bytes) -> bytes:
        """Take what arrived, return what is answered to it: nothing while the message is incomplete."""
        self._received += data
        if len(self._received) < LENGTH.size:
            return b""
        (length,) = LENGTH.unpack_from(self._received)
        if not 0 < length <= self._longest:
            self._received.clear()
            return b"err"
        if len(self._received) < LENGTH.size + length:
            return b""
        message = bytes(self._received[LENGTH.size : LENGTH.size + length])
        self._received.clear()
        return self._show(message)

    def _show(self, message: bytes) -> bytes:
        if self._troubles.take("refuse"):
            return b"err"
        try:
            picture = self._decompressed(message)
        except (zlib.error, OSError, EOFError, ValueError):
            return b"err"
        if len(picture) != self._pixels:
            return b"err"
        self._put(np.frombuffer(picture, np.uint8).reshape(self.panel))
        return b"done"

    def _decompressed(self, message: bytes) -> bytes:
        """At most one byte more than a picture, however much is packed; nothing if the packed data does not end."""
        if self._compression == "none":
            return message
        if self._compression == "bz2":
            bunzip = bz2.BZ2Decompressor()
            picture = bunzip.decompress(message, self._pixels + 1)
            return picture if bunzip.eof else b""
        inflate = zlib.decompressobj(wbits=31 if self._compression == "gzip" else 15)
        picture = inflate.decompress(message, self._pixels + 1)
        return picture if inflate.eof else b""

    def wire_s(self, sent: int, received: int) -> float:
        """Seconds that an exchange of so many bytes takes on gigabit Ethernet."""
        return 8 * (sent + received) / WIRE_BIT_PER_S
