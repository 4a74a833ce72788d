"""What is attached to this computer: VISA resources, serial ports, monitors and SDK devices, ZeroMQ addresses; and who answers there.

A driver tells its own instrument by one of: `idn`, a pattern for the answer to *IDN?; `recognise(link)`, which asks in the
instrument's language, changes nothing, and gives (identity, options of the bench file) or None; `attached()`, a list of
(URL, identity, options) from an SDK. A VISA instrument is asked *IDN?, which every one must know; a serial port may have anything
behind it, and is asked only on request.
"""

from __future__ import annotations

import contextlib
import re
import socket
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from labonn.errors import LabonnError
from labonn.links import connect
from labonn.registry import load, registered

ANSWER_S = 0.5
TRIES = 2  # the first may still have the question in another language in front of it
STREAM_PORTS = range(5570, 5580)
SLM_PORT = 5600


@dataclass(frozen=True)
class Found:
    """One place where an instrument may be.

    Attributes:
        link: its URL. identity: what it answered; "" if it was not asked, or did not. drivers: that know it.
        options: of the bench file, as far as it tells them. note: why there is no identity, or what the port is.
    """

    link: str
    identity: str = ""
    drivers: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


def discover(
    probe: bool = False, serial: Sequence[str] = (), tcp: Sequence[str] = (), zmq: Sequence[str] = (), backend: str = ""
) -> list[Found]:
    """Everything that can be found, asked side by side.

    Args:
        probe: also talk to serial ports, in the languages of all serial drivers. serial: more ports, which are talked to.
        tcp, zmq: addresses host:port to ask, beside this computer's own ZeroMQ ports 5570 to 5579 and 5600.
        backend: of VISA ("@py", "@ivi", a library's path); "": PyVISA's choice.
    """
    tasks: list[Callable[[], list[Found]]] = [lambda: _sdks(_drivers())]
    drivers = _drivers()
    tasks += [_one(_visa, name, backend, drivers) for name in _visa_names(backend)]
    tasks += [_one(_serial, name, told, drivers, probe or name in serial) for name, told in _serial_names(serial).items()]
    tasks += [_one(_tcp, address, drivers) for address in tcp]
    own = [f"127.0.0.1:{port}" for port in (*STREAM_PORTS, SLM_PORT)]
    tasks += [_one(_zmq, address, drivers, address in zmq) for address in dict.fromkeys([*zmq, *own])]
    with ThreadPoolExecutor(max_workers=len(tasks), thread_name_prefix="discover") as pool:
        return [found for task in [pool.submit(task) for task in tasks] for found in task.result()]


def _one(ask: Callable[..., list[Found]], *arguments: Any) -> Callable[[], list[Found]]:
    return lambda: ask(*arguments)


def _drivers() -> dict[str, Any]:
    """All drivers that can be imported."""
    found = {}
    for name in registered("labonn.drivers"):
        with contextlib.suppress(LabonnError):
            found[name] = load("labonn.drivers", name)
    return found


def _sdks(drivers: Mapping[str, Any]) -> list[Found]:
    """Monitors, and devices of vendors' libraries."""
    found: dict[str, Found] = {}
    for name, driver in drivers.items():
        if not hasattr(driver, "attached"):
            continue
        try:
            for url, identity, options in driver.attached():
                known = found[url].drivers if url in found else ()
                found[url] = Found(url, identity, (*known, name), options)
        except (LabonnError, ImportError):  # its library is not installed, or has no device
            continue
    return list(found.values())


def _visa_names(backend: str) -> Iterable[str]:
    try:
        import pyvisa
    except ImportError:
        return ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # backends tell what they lack
        try:
            names = pyvisa.ResourceManager(backend).list_resources("?*")
            return tuple(name for name in names if name.endswith(("::INSTR", "::SOCKET", "::RAW")))
        except Exception:  # a VISA library that is broken or absent lists nothing
            return ()


def _visa(name: str, backend: str, drivers: Mapping[str, Any]) -> list[Found]:
    link = f"visa://{name}" + (f"?backend={backend}" if backend else "")
    if name.startswith("ASRL"):
        return []  # the same as the serial port
    return [_asked_idn(link, {n: d for n, d in drivers.items() if d.transport in ("visa", "tcp")})]


def _tcp(address: str, drivers: Mapping[str, Any]) -> list[Found]:
    link = f"tcp://{address}"
    found = _asked_idn(link, drivers)
    return [found if found.identity else _recognised(link, drivers, ("serial", "tcp")) or found]


def _asked_idn(link: str, drivers: Mapping[str, Any]) -> Found:
    for end in ("\n", "\r\n"):
        try:
            opened: Any = connect(link, write_end=end, read_end=end, timeout_s=ANSWER_S)
            try:
                identity = opened.exchange(b"*IDN?").decode("latin-1").strip()
            finally:
                opened.close()
        except LabonnError as problem:
            note = _first_line(problem)
            continue
        return Found(link, identity, _by_idn(identity, drivers))
    return Found(link, note=note)


def _by_idn(identity: str, drivers: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name, driver in drivers.items() if (p := getattr(driver, "idn", None)) and re.match(p, identity, re.IGNORECASE))


def _serial_names(more: Sequence[str]) -> dict[str, str]:
    """Port -> what its adapter says of itself."""
    from serial.tools import list_ports

    found = {port.device: " ".join(filter(None, (port.manufacturer, port.product, port.serial_number))) for port in list_ports.comports()}
    return found | {name: found.get(name, "") for name in more}


def _serial(name: str, told: str, drivers: Mapping[str, Any], asked: bool) -> list[Found]:
    link = f"serial://{name}"
    if not asked:
        return [Found(link, note=f"{told or 'serial port'}; not asked, --probe does")]
    return [_recognised(link, drivers, ("serial",)) or Found(link, note=f"{told or 'serial port'}; answers to none of our drivers")]


def _zmq(address: str, drivers: Mapping[str, Any], wanted: bool) -> list[Found]:
    link = f"zmq://{address}"
    found = _recognised(link, drivers, ("zmq",)) if _listens(address) else None
    if found is not None:
        return [found]
    return [Found(link, note="nothing that our drivers know answers there")] if wanted else []


def whois(link: str, drivers: Mapping[str, Any]) -> Found | None:
    """Whom these drivers recognise at a link that another instrument was expected at; they ask only what changes nothing."""
    scheme = link.partition("://")[0]
    transports = {"serial": ("serial",), "tcp": ("serial", "tcp"), "zmq": ("zmq",), "visa": ("visa", "tcp")}.get(scheme, ())
    return _recognised(link, drivers, transports)


def _listens(address: str) -> bool:
    """Whether anything takes connections there: ZeroMQ itself would wait for it."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), ANSWER_S).close()
    except (OSError, OverflowError):
        return False
    return True


def _recognised(link: str, drivers: Mapping[str, Any], transports: tuple[str, ...]) -> Found | None:
    """Whom the drivers of these transports recognise there, asked one after another."""
    for name, driver in drivers.items():
        if driver.transport not in transports or not (hasattr(driver, "recognise") or hasattr(driver, "idn")):
            continue
        for _ in range(TRIES):
            with contextlib.suppress(LabonnError):
                opened: Any = connect(link, **{**driver.link_options, "timeout_s": ANSWER_S})
                try:
                    if hasattr(driver, "recognise"):
                        known = driver.recognise(opened)
                        found = None if known is None else Found(link, known[0], (name,), known[1])
                    else:
                        identity = opened.exchange(b"*IDN?").decode("latin-1").strip()
                        found = Found(link, identity, names) if (names := _by_idn(identity, drivers)) else None
                finally:
                    opened.close()
                if found is not None:
                    return found
    return None


def _first_line(problem: LabonnError) -> str:
    return str(problem).partition("\n")[0]
