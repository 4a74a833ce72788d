"""labonn discover: which instruments are attached, what they say they are, and the lines of a bench file for them."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from typing import TYPE_CHECKING

from labonn.cli.parser import Parser
from labonn.cli.stopping import Stopping
from labonn.errors import LabonnError

if TYPE_CHECKING:
    from labonn.discovering import Found

NOTHING = "nothing is attached that VISA, the serial ports, the monitors or ZeroMQ on this computer know of"


def command(arguments: list[str], stop: Stopping) -> int:
    """List everything, with lines for a bench file where a driver knows it."""
    about = "List VISA, serial, monitor, SDK and ZeroMQ instruments with what each identified as. Asks only what changes nothing."
    parser = Parser(prog="labonn discover", description=about)
    parser.problem = LabonnError
    probe = "also ask at serial ports, in the languages of all serial drivers (an instrument that is not ours may misunderstand)"
    parser.add_argument("--probe", action="store_true", help=probe)
    parser.add_argument("--serial", action="append", default=[], metavar="PORT", help="ask at this serial port (may be repeated)")
    parser.add_argument("--tcp", action="append", default=[], metavar="HOST:PORT", help="ask at this address (may be repeated)")
    own = "ask at this address too, beside this computer's 5570 to 5579 and 5600 (may be repeated)"
    parser.add_argument("--zmq", action="append", default=[], metavar="HOST:PORT", help=own)
    parser.add_argument("--visa", default="", metavar="BACKEND", help="VISA library: @py, @ivi, or a file (PyVISA's choice)")
    parser.add_argument("--json", action="store_true", help="as one JSON object on stdout")
    args = parser.parse_args(arguments)
    for address in (*args.tcp, *args.zmq):
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise LabonnError(f"{address!r}: HOST:PORT is wanted")
    from labonn.cli.output import print_json, print_lines
    from labonn.discovering import discover

    found = discover(args.probe, args.serial, args.tcp, args.zmq, args.visa)
    if args.json:
        print_json({"instruments": [dataclasses.asdict(one) for one in found]})
    else:
        print_lines(["\n\n".join(map(_text, found))] if found else [NOTHING])
    return 0


def _text(found: Found) -> str:
    lines = [found.link, *textwrap.wrap(found.identity or found.note, 76, initial_indent="  ", subsequent_indent="  ")]
    if found.identity and not found.drivers:
        lines.append("  no driver of ours knows it; drivers/README.md says how to write one")
    if found.drivers:
        others = f"  # or {', '.join(found.drivers[1:])}" if len(found.drivers) > 1 else ""
        lines += [f"    [ports.{found.drivers[0]}]", f"    driver = {json.dumps(found.drivers[0])}{others}"]
        lines.append(f"    link = {json.dumps(found.link)}")
        lines += [f"    {key} = {json.dumps(value)}" for key, value in found.options.items()]
    return "\n".join(lines)
