"""Links: the one seam between real and simulated instruments. Framing belongs to the link, meaning to the driver."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from labonn.errors import ConnectError, LinkError

Buffer = bytes | memoryview | bytearray
DEFAULT_TIMEOUT_S = 2.0
CONNECT_TIMEOUT_S = 0.3
LIST, BLOCK = -1, -2  # replies that are not a number of lines


class Link(Protocol):
    """One request, one reply, in bytes; the only owner of its connection.

    `lines` says how many lines the reply has: 0 (none is awaited, b"" returned), n, LIST (until the instrument has been
    quiet for `quiet_s`, for lists without an end marker), or BLOCK (one definite-length block of IEEE 488.2, `#<n><length><data>`,
    and the terminator; the data are returned, whatever bytes they are). A line link adds and strips terminators itself.
    After `reconnect` no reply to an earlier request is ever returned.
    """

    def exchange(self, request: bytes, lines: int = 1) -> bytes: ...
    def reconnect(self) -> None: ...
    def close(self) -> None: ...


class MessageLink(Protocol):
    """One multipart request, one multipart reply: a ZeroMQ instrument."""

    def exchange_parts(self, parts: Sequence[Buffer]) -> list[bytes]: ...
    def reconnect(self) -> None: ...
    def close(self) -> None: ...


AnyLink = Link | MessageLink | Any  # or the function table of an instrument that has an SDK instead of bytes

_BACKENDS = {
    "visa": "labonn.transports.visa",
    "serial": "labonn.transports.serial",
    "tcp": "labonn.transports.tcp",
    "zmq": "labonn.transports.zmq",
    "slmpynet": "labonn.transports.slmpy",
    "replay": "labonn.tapes.replaying",
}


def connect(url: str, simulated: Callable[[str], AnyLink] | None = None, **options: Any) -> AnyLink:
    """The link that `url` names.

    Args:
        url: visa://RESOURCE, serial:///dev/tty…?baud=…, tcp://host:port, zmq://host:port, replay://FILE#port/index, sim://name.
        simulated: gives the link of a simulated instrument by name; only a dry run has one.
        options: defaults for the URL's query (terminators, baud, timeout_s); the query wins.

    Raises:
        ConnectError: unknown scheme, or nothing answers there.
        MissingPackageError: the transport's package is not installed.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sim":
        if simulated is None:
            raise ConnectError(f"{url}: simulated instruments exist only in a dry run; add --dry-run")
        return simulated(rest)
    check_kind(url)
    return import_module(_BACKENDS[scheme]).open_link(url, **options)


def check_kind(url: str, misspelt: bool = False) -> None:
    """Raise ConnectError for a URL of a kind that no backend is for; `misspelt`: only if one of almost that name is."""
    scheme = url.partition("://")[0]
    near = difflib.get_close_matches(scheme, _BACKENDS, n=1)
    if scheme not in (*_BACKENDS, "sim") and (near or not misspelt):
        hint = f"did you mean {near[0]}://?" if near else f"known are {', '.join([*_BACKENDS, 'sim'])}"
        raise ConnectError(f"{url}: unknown kind of link {scheme!r}; {hint}")


def query_options(url: str, defaults: dict[str, Any]) -> dict[str, Any]:
    """The options of a link URL: `defaults` overridden by its query, each in the type of its default."""
    options = dict(defaults)
    for key, text in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if key not in defaults:
            raise LinkError(f"{url}: unknown option {key!r}; known are {', '.join(defaults)}")
        try:
            options[key] = text.encode().decode("unicode_escape") if isinstance(defaults[key], str) else type(defaults[key])(text)
        except ValueError:
            raise LinkError(f"{url}: option {key}={text!r} is not a {type(defaults[key]).__name__}") from None
    return options
