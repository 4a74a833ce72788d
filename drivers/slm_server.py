"""Spatial light modulator behind `labonn serve-slm`, or any server of SLM_PROTOCOL.md, on this computer or another.

Link: zmq://127.0.0.1:5600, elsewhere with CURVE keys (?server_key=FILE&client_key=FILE). A request is a JSON header and a frame of
macropixels; the reply tells which frame is shown. One bench at a time has the lease; the constructor asks and takes nothing.
"""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from drivers.macropixel_slm import MacropixelSlm, SlmOptions
from drivers.macropixels import Codes
from labonn.errors import BenchFileError, DesyncError, IdentityError, LabonnError, RefusedError, UnknownStateError
from labonn.links import MessageLink

PROTOCOL = "labonn-slm/1"
ENCODINGS = ("none", "zlib")
FAST = 1  # replicated pixels and smooth phase: nearly as small as with level 6, in half the time


@dataclass(frozen=True)
class ServerSlmOptions(SlmOptions):
    """Bench-file keys of an SLM behind a server: those of every SLM, and

    Attributes:
        encoding: "none", or "zlib" for a slow network. lease_s: so long may the bench be quiet before another may have the SLM.
    """

    encoding: str = "none"
    lease_s: float = 600.0

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise ValueError(f"encoding = {self.encoding!r}: {' or '.join(map(repr, ENCODINGS))}")
        if not 1 <= self.lease_s <= 86400:
            raise ValueError(f"lease_s = {self.lease_s:g}: 1 to 86400 s")


class ServerSlm(MacropixelSlm):
    """An SLM of 8 to 16 bits; the server enlarges its macropixels."""

    Options: ClassVar[type] = ServerSlmOptions
    transport: ClassVar[str] = "zmq"
    most_bits: ClassVar[int] = 16

    def __init__(self, link: MessageLink, options: ServerSlmOptions, port: str) -> None:
        super().__init__(options, port)
        self._link, self._options, self._leased = link, options, False
        if not hasattr(self, "_session"):  # on a new connection it is the same client: the lease is its own
            self._session = secrets.token_hex(8)
            self._seq = self._id = 0
            self._known: set[int] = set()  # frames of which one is on the panel: the last shown, and those in doubt
        about = self._ask("query")
        self.identity = " ".join(str(about[key])[:80] for key in ("maker", "model", "serial") if about.get(key)) or "SLM server"
        if about.get("protocol") != PROTOCOL:
            raise IdentityError(f"{port}: a server of {PROTOCOL} is wanted; this is {about.get('protocol')!r:.60}")
        panel = about.get("panel")
        if not isinstance(panel, list) or len(panel) != 2 or not all(type(n) is int and n > 0 for n in panel):
            raise DesyncError(f"{port}: {self.identity} tells a panel of {panel!r:.60}, not [rows, columns]")
        self._check_panel((panel[0], panel[1]))
        if about.get("bits") != options.bits:
            raise IdentityError(f"{port}: bits is {options.bits} in the bench file, but {self.identity} has {about.get('bits')!r:.40}")
        offered = about.get("encodings")
        if not isinstance(offered, list) or options.encoding not in offered:
            raise BenchFileError(f"{port}: encoding is {options.encoding!r}; {self.identity} takes {offered!r:.80}")

    @staticmethod
    def service(window: Any, bits: int) -> Any:
        """The server's side, for a window's function table: `handle(parts)`, `blacken()`, `most_bytes`."""
        from drivers.slm_service import SlmService

        return SlmService(window, bits)

    def _show(self, frame: Codes) -> None:
        samples = np.ascontiguousarray(frame, "|u1" if self._options.bits == 8 else "<u2")
        data: bytes = samples.tobytes()
        if self._options.encoding == "zlib":
            data = zlib.compress(data, FAST)
        self._put("show", [data], shape=list(frame.shape), dtype=samples.dtype.str, encoding=self._options.encoding)

    def _show_safe(self) -> None:
        self._lease()  # anew: the server may have started again, or given the lease to nobody
        self._put("safe")

    def _lease(self) -> None:
        about = self._ask("open", name=f"{self.port} {self._session[:4]}", lease_s=self._options.lease_s)
        self._leased = True
        shown = self._number(about, "shown")
        if shown == 0:
            self._known = {0}
        elif shown not in self._known:
            raise UnknownStateError(f"{self.port}: the server shows frame {shown}; expected {sorted(self._known)}")

    def _put(self, op: str, data: Sequence[bytes] = (), **arguments: Any) -> None:
        """Show a frame, and check that it is that one that is shown, after one that was known."""
        if not self._leased:
            self._lease()
        self._id += 1
        known, self._known = self._known, self._known | {self._id}
        about = self._ask(op, data, id=self._id, **arguments)
        shown, before = (self._number(about, key) for key in ("shown", "before"))
        if shown != self._id:
            raise UnknownStateError(f"{self.port}: frame {self._id} was sent, the server says that it shows {shown}")
        self._known = {self._id}
        if before not in known:
            expected = f"one of {sorted(known)} was shown before frame {self._id}"
            raise DesyncError(f"{self.port}: {expected}, the server says {before}: a frame was lost")

    def confirm(self) -> None:
        """Raise UnknownStateError unless the server still shows the last frame."""
        if self._leased and (shown := self._number(self._ask("query"), "shown")) not in self._known:
            raise UnknownStateError(f"{self.port}: the server shows frame {shown}; expected {sorted(self._known)}")

    def _number(self, about: dict[str, Any], key: str) -> int:
        if type(about.get(key)) is not int:
            raise DesyncError(f"{self.port}: the server tells {key} = {about.get(key)!r:.40}, not the number of a frame")
        return int(about[key])

    def _ask(self, op: str, data: Sequence[bytes] = (), **arguments: Any) -> dict[str, Any]:
        """One operation.

        Raises:
            RefusedError: with the server's code and words. DesyncError: a reply to something else, or not a reply at all.
        """
        self._seq += 1
        request = json.dumps({"op": op, "seq": self._seq, "session": self._session, **arguments}).encode()
        reply = self._link.exchange_parts([request, *data])
        try:
            (text,) = reply
            about = json.loads(text)
        except (ValueError, RecursionError) as problem:
            raise DesyncError(f"{self.port}: the reply to {op} is not one of {PROTOCOL}: {problem}"[:200]) from None
        if not isinstance(about, dict) or type(about.get("seq")) is not int or about["seq"] != self._seq:
            number = about.get("seq") if isinstance(about, dict) else None
            raise DesyncError(f"{self.port}: asked {op} as number {self._seq}, got the reply to number {number!r:.40}")
        if "error" in about:
            error = about["error"] if isinstance(about["error"], dict) else {"text": about["error"]}
            if error.get("code") == "lease":
                self._leased = False
            raise RefusedError(f"{self.port}: {op} refused: {str(error.get('text'))[:500]} ({str(error.get('code'))[:40]})")
        return about

    def close(self) -> None:
        """Give up the lease and let go of the server; the frame stays."""
        try:
            if self._leased:
                self._leased = False
                self._ask("release")
        except LabonnError:
            pass  # it goes either way, and the lease runs out
        finally:
            self._link.close()
