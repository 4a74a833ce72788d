"""labonn serve: a guardian, which owns a bench's links, and makes the bench safe when its client is gone."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from labonn.cli.output import print_json
from labonn.cli.parser import Parser, seed
from labonn.cli.run import one_blas_thread
from labonn.cli.stopping import Stopping
from labonn.errors import BenchFileError, LabonnError

SIMULATION = ("ideal", "real_time", "served", "faults", "seed")
ABOUT = """Open a bench and serve it to one client at a time (`labonn run … --bench URL`) until Ctrl-C. When the client is gone
or hangs, everything is made safe; when this process is killed, a twin process does it."""


def command(arguments: list[str], stop: Stopping) -> int:
    """Print where, and serve."""
    args = _parser().parse_args(arguments)
    for option in SIMULATION:
        if getattr(args, option) not in (None, False, []) and not args.dry_run:
            raise LabonnError(f"--{option.replace('_', '-').removesuffix('s')} is about simulated instruments; it needs --dry-run")
    if not args.bench.is_file():
        raise BenchFileError(f"{args.bench}: {'is a folder' if args.bench.is_dir() else 'no such bench file'}")
    one_blas_thread()
    from labonn.guardian.failures import told
    from labonn.guardian.process import Serving, serve

    names = ("dry_run", "ideal", "seed", "real_time", "served", "faults", "record")
    options = {name: getattr(args, name) for name in names if getattr(args, name) not in (None, False, [])}
    bind = "" if args.bind == "private" else args.bind
    serving = Serving(args.bench, options, bind, args.keys, args.once, args.log, args.lease, args.patience, args.go_on)

    def ready(about: dict[str, Any]) -> None:
        try:
            print_json(about) if args.json else print(about["address"])
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads it: no reason not to guard

    with stop.held():
        try:
            serve(serving, ready, lambda: bool(stop.received))
        except LabonnError as problem:
            if args.json:
                ready({"error": told(problem)})
            raise
    return 0


def _parser() -> Parser:
    parser = Parser(prog="labonn serve", description=ABOUT)
    parser.problem = LabonnError
    add = parser.add_argument
    add("bench", type=Path, metavar="BENCH", help="the bench file")
    where = "where clients reach it: tcp://HOST:PORT (* is any free port), or `private`: a socket file that only this user can open"
    add("--bind", default="tcp://127.0.0.1:5555", metavar="ADDR", help=where)
    add("--keys", type=Path, metavar="DIR", help="only clients whose keys are allowed there (`labonn keys`); needed beyond this computer")
    add("--lease", type=seconds, metavar="S", help="seconds of silence until a client counts as gone (the bench file's, or 5)")
    add("--patience", type=seconds, metavar="S", help="seconds without a call until a client counts as hung (the bench file's, or 600)")
    add("--once", action="store_true", help="end when the first client has gone")
    add("--log", type=Path, metavar="FILE", help="append to this file what happens, in place of stderr")
    add("--json", action="store_true", help="print the address and more as one JSON object")
    add("--record", type=Path, metavar="FILE", help="write every exchange with an instrument on a tape, a new text file")
    back = "(dry run, --once) a run's checkpoint: when the run goes on, simulated instruments are as they were then"
    add("--go-on", type=Path, metavar="FILE", help=back)
    add("--dry-run", action="store_true", help="simulated instruments in place of the links")
    add("--ideal", action="store_true", help="(dry run) every imperfection off")
    add("--seed", type=seed, metavar="N", help="(dry run) of the simulated bench, in place of the file's")
    add("--real-time", action="store_true", help="(dry run) waits last as long as they would")
    add("--served", action="store_true", help="(dry run) talk to the emulators over sockets and ptys")
    add("--fault", action="append", default=[], metavar="PORT:KIND", dest="faults", help="(dry run) something goes wrong; may be repeated")
    return parser


def seconds(text: str) -> float:
    """A time from 0.2 s on."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.2 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r}: seconds are wanted, 0.2 or more")
    return value
