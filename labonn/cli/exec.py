"""labonn exec: runs any PyVISA program, unchanged, on a simulated bench."""

from __future__ import annotations

import argparse
from pathlib import Path

from labonn.cli.parser import Parser, seed
from labonn.cli.stopping import Stopping
from labonn.errors import LabonnError


def command(arguments: list[str], stop: Stopping) -> int:
    """The exit code of the program. There is nothing to make safe at its end: the instruments are simulated, and end with it."""
    parser = Parser(
        prog="labonn exec",
        usage="labonn exec --bench FILE [--seed N] [--ideal] [--real-time] [--all] SCRIPT [ARGUMENTS ...]",
        description="Run a Python program that talks to instruments by PyVISA, unchanged, on a simulated bench. Its resources are the "
        "links of the bench file: visa://GPIB0::24::INSTR is GPIB0::24::INSTR, serial:///dev/ttyUSB0 ASRL/dev/ttyUSB0::INSTR, "
        "tcp://HOST:PORT TCPIP0::HOST::PORT::SOCKET; a port's name is another name of its instrument. Programs that open sockets or "
        "serial ports themselves are served by `labonn emulate`.",
    )
    parser.problem = LabonnError
    parser.add_argument("--bench", type=Path, metavar="FILE", required=True, help="bench file with a [simulation] table")
    parser.add_argument("--seed", type=seed, metavar="N", help="of the simulated bench, in place of the file's")
    parser.add_argument("--ideal", action="store_true", help="every imperfection off")
    parser.add_argument("--real-time", action="store_true", help="wait as in the lab; else time.sleep of the main thread costs no time")
    every = 'replace every VISA library, such as ResourceManager("@py"); else only the default one and "@labonn"'
    parser.add_argument("--all", action="store_true", help=every)
    parser.add_argument("script", type=Path, metavar="SCRIPT", help="the program")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help="the program's own")
    args = parser.parse_args(arguments)
    for name, file in (("--bench", args.bench), ("SCRIPT", args.script)):
        if not file.is_file():
            raise LabonnError(f"{name} {file}: {'is a folder' if file.is_dir() else 'no such file'}")
    from labonn.executing import execute

    return execute(args.script, args.arguments, args.bench, args.seed, args.ideal, args.real_time, args.all)
