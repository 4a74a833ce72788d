"""labonn emulate: serves emulated instruments on this computer until Ctrl-C, to any program that knows the real ones."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from labonn.cli.parser import Parser, seed
from labonn.cli.stopping import Stopping
from labonn.errors import LabonnError
from labonn.faults import KINDS, ON_CALLS

if TYPE_CHECKING:
    from labonn.emulating import Emulated

LOOPBACK = ("127.0.0.1", "localhost", "*")
USAGE = """labonn emulate NAME [--tcp PORT | --pty | --zmq ADDR] [option=value ...]
       labonn emulate --bench FILE [--ideal] [--seed N]"""


def command(arguments: list[str], stop: Stopping) -> int:
    """Print where, as lines of a bench file, and serve."""
    parser = Parser(
        prog="labonn emulate",
        usage=USAGE,
        description="Serve an emulated instrument, or all of a simulated bench, on this computer until Ctrl-C; "
        "prints the lines for a bench file.",
        epilog=_faults(),
    )
    parser.problem = LabonnError
    words = "an instrument of `labonn instruments`, and keys that its port would have in a bench file"
    parser.add_argument("words", nargs="*", metavar="NAME [option=value ...]", help=words)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--tcp", type=port_number, metavar="PORT", help="on this TCP port (0: any that is free)")
    where.add_argument("--pty", action="store_true", help="as a serial port, on a pseudo terminal")
    where.add_argument("--zmq", type=address, metavar="ADDR", help="by ZeroMQ on 127.0.0.1:PORT or PORT")
    where.add_argument("--bench", type=Path, metavar="FILE", help="all instruments of this bench file, coupled by its simulated light")
    fault = "something goes wrong (below); may be repeated"
    parser.add_argument("--fault", action="append", default=[], metavar="FAULT", dest="faults", help=fault)
    parser.add_argument("--ideal", action="store_true", help="(--bench) every imperfection off")
    parser.add_argument("--seed", type=seed, metavar="N", help="(--bench) of the simulated bench, in place of the file's")
    args = parser.parse_intermixed_args(arguments)
    _check(args)
    with stop.held():
        served = _serve(args)
        try:
            with stop.released():
                print("\n".join(served.lines), flush=True)
                print("labonn: emulated until Ctrl-C", file=sys.stderr, flush=True)
                threading.Event().wait()
        except KeyboardInterrupt:
            pass
        finally:
            served.simulated.close()
    return 0


def _faults() -> str:
    lines = [f"  {kind:<11} {what}" for kind, what in KINDS.items()]
    form = "faults: [PORT[/INDEX]:]KIND[=VALUE][@WHEN][xTIMES], WHEN a number of exchanges,\nor seconds such as 30s; x* for ever.\n"
    where = "Those from `refuse` on only where the emulator can. Of instruments that have functions in place\n"
    where += f"of bytes calls are counted, and of the first ones there are {', '.join(ON_CALLS)}:"
    return "\n".join([f"{form}{where}", *lines])


def _check(args: argparse.Namespace) -> None:
    if args.bench is None and not args.words:
        raise LabonnError("labonn emulate: which instrument? `labonn instruments` lists them; or a whole bench by --bench FILE")
    if args.bench is not None and args.words:
        raise LabonnError(f"labonn emulate: {args.words[0]!r} and --bench exclude each other; options stand in the bench file")
    if args.bench is None and (args.ideal or args.seed is not None):
        raise LabonnError(f"labonn emulate: {'--ideal' if args.ideal else '--seed'} is about a simulated bench; it needs --bench FILE")
    if args.bench is not None and not args.bench.is_file():
        raise LabonnError(f"--bench {args.bench}: {'is a folder' if args.bench.is_dir() else 'no such file'}")


def _serve(args: argparse.Namespace) -> Emulated:
    from labonn.emulating import emulate_bench, emulate_one, options_of

    if args.bench is not None:
        return emulate_bench(args.bench, args.ideal, args.seed, args.faults)
    name, *words = args.words
    transport = "tcp" if args.tcp is not None else "zmq" if args.zmq is not None else "pty" if args.pty else ""
    return emulate_one(name, options_of(words), transport, args.tcp or args.zmq or 0, args.faults)


def port_number(text: str) -> int:
    """A TCP port, 0 for any that is free."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to 65535")
    return int(text)


def address(text: str) -> int:
    """The port of PORT, HOST:PORT or tcp://HOST:PORT, on this computer."""
    host, _, port = text.partition("://")[2].rpartition(":") if "://" in text else text.rpartition(":")
    if host and host not in LOOPBACK:
        raise argparse.ArgumentTypeError(f"{text!r}: emulated instruments are served on this computer only: 127.0.0.1:PORT")
    return port_number("0" if port == "*" else port)
