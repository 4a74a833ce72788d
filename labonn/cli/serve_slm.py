"""labonn serve-slm: serves the SLM on a monitor of this computer until Ctrl-C, by the SLM protocol (drivers/SLM_PROTOCOL.md)."""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from labonn.cli.parser import Parser
from labonn.cli.stopping import Stopping
from labonn.errors import ConnectError, LabonnError

WINDOW, SERVER = "slm_monitor", "slm_server"  # as registered
LOOPBACK = ("127.0.0.1", "localhost", "::1")
WAITING = 16  # messages of one client
LOOK_MS = 100  # a signal that came just before a wait does not end it


def command(arguments: list[str], stop: Stopping) -> int:
    """Show black, print the lines of a bench file, and serve."""
    parser = Parser(prog="labonn serve-slm", description="Serve an SLM on a monitor of this computer to benches until Ctrl-C.")
    parser.problem = LabonnError
    parser.add_argument("monitor", metavar="MONITOR", help="its number, name or connector, or edid:NAME,SERIAL; a wrong one lists all")
    bind = "where to listen; beyond this computer only with --keys"
    parser.add_argument("--bind", default="tcp://127.0.0.1:5600", metavar="ADDR", help=bind)
    keys = "folder with server.key_secret and clients/*.key, as zmq.auth writes them"
    parser.add_argument("--keys", type=Path, metavar="DIR", help=keys)
    parser.add_argument("--bits", type=int, default=8, choices=range(8, 17), metavar="N", help="of a code: 8 to 16")
    parser.add_argument("--panel", type=size, metavar="HxW", help="refuse a monitor of another size (rows x columns)")
    args = parser.parse_args(arguments)
    with stop.held(), contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as opened:
        router = _router(opened, args.bind, args.keys)
        window, service = _service(opened, args)
        router.maxmsgsize = service.most_bytes  # who sends a longer part is cut off
        url = _bound(router, args.bind)
        service.blacken()
        print("\n".join(_lines(url, window, args)), flush=True)
        print(f"labonn: SLM {window.name()!r} is served until Ctrl-C", file=sys.stderr, flush=True)
        while True:
            with stop.released():
                while not router.poll(LOOK_MS):
                    pass
            _answer(router, service)
    return 0


def _service(opened: contextlib.ExitStack, args: argparse.Namespace) -> tuple[Any, Any]:
    """(the window's function table, what answers requests)."""
    from labonn.registry import load

    window = load("labonn.drivers", WINDOW).load_sdk(args.monitor if "://" in args.monitor else f"monitor://{args.monitor}")
    opened.callback(window.close)
    if args.panel not in (None, tuple(window.size())):
        (h, w), (height, width) = args.panel, window.size()
        raise LabonnError(f"--panel {h}x{w}: {window.name()} has {height} x {width} pixels; is it the right monitor?")
    return window, load("labonn.drivers", SERVER).service(window, args.bits)


def _bound(router: Any, address: str) -> str:
    """Listen; the address with its port."""
    import zmq

    try:
        router.bind(address)
    except zmq.ZMQError as problem:
        raise ConnectError(f"--bind {address}: {problem}") from None
    return str(router.getsockopt_string(zmq.LAST_ENDPOINT))


def _answer(router: Any, service: Any) -> None:
    """One request; the reply goes to who asked."""
    import zmq

    try:
        client, *parts = router.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:  # it left before its request was there
        return
    envelope = [client, parts.pop(0)] if parts and not parts[0] else [client]
    router.send_multipart([*envelope, *service.handle(parts)])


def _router(opened: contextlib.ExitStack, address: str, keys: Path | None) -> Any:
    """A socket that is not bound yet, with keys if there are some.

    Raises:
        LabonnError: no keys beyond this computer, or the folder has none.
    """
    import zmq

    try:
        host, port = urlsplit(address).hostname, urlsplit(address.removesuffix(":*") + ":0" * address.endswith(":*")).port
    except ValueError:
        host = port = None
    if not address.startswith("tcp://") or host is None or port is None:
        raise LabonnError(f"--bind {address}: write tcp://127.0.0.1:5600")
    if host not in LOOPBACK and keys is None:
        raise LabonnError(f"--bind {address}: beyond this computer an SLM is served only with CURVE keys: add --keys DIR")
    context = opened.enter_context(_context())
    router = opened.enter_context(contextlib.closing(context.socket(zmq.ROUTER)))
    router.linger, router.ipv6, router.rcvhwm, router.sndhwm = 0, ":" in host, WAITING, WAITING
    if keys is not None:
        _guard(opened, context, router, keys)
    return router


@contextlib.contextmanager
def _context() -> Iterator[Any]:
    import zmq

    context = zmq.Context()
    try:
        yield context
    finally:
        context.term()


def _guard(opened: contextlib.ExitStack, context: Any, router: Any, keys: Path) -> None:
    """Let in only clients whose public key is in the folder."""
    import zmq.auth
    from zmq.auth.thread import ThreadAuthenticator

    secret, clients = keys / "server.key_secret", keys / "clients"
    try:
        public_key, secret_key = zmq.auth.load_certificate(secret)
    except (OSError, ValueError) as problem:
        raise LabonnError(f"--keys {keys}: {secret.name} is not a key file as zmq.auth writes them: {problem}") from None
    if secret_key is None or not list(clients.glob("*.key")):
        missing = f"{secret.name} has no secret key" if secret_key is None else "clients/ has no *.key file: nobody could connect"
        raise LabonnError(f"--keys {keys}: {missing}")
    guard = ThreadAuthenticator(context)
    guard.start()
    opened.callback(guard.stop)
    guard.configure_curve(domain="*", location=str(clients))
    router.curve_publickey, router.curve_secretkey, router.curve_server = public_key, secret_key, True


def _lines(url: str, window: Any, args: argparse.Namespace) -> list[str]:
    """What a bench file says of this SLM."""
    host = urlsplit(url).hostname or ""
    link = url.replace("tcp://", "zmq://")
    if host in ("0.0.0.0", "::"):
        link = f"zmq://{socket.gethostname()}:{urlsplit(url).port}"
    if args.keys is not None:
        link += "?server_key=server.key&client_key=bench.key_secret"
    height, width = window.size()
    shape = "# shape = [rows, columns]  # of macropixels"
    return ["[ports.slm]", f'driver = "{SERVER}"', f'link = "{link}"', f"panel = [{height}, {width}]", f"bits = {args.bits}", shape]


def size(text: str) -> tuple[int, int]:
    """1080x1920 as (rows, columns)."""
    rows, x, columns = text.partition("x")
    if not (x and rows.isdecimal() and columns.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not ROWSxCOLUMNS, such as 1080x1920")
    return int(rows), int(columns)
