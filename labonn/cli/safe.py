"""labonn safe: all outputs of a bench safe, now, whoever uses it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from labonn.cli.output import print_json
from labonn.cli.parser import Parser
from labonn.cli.stopping import Stopping
from labonn.errors import LabonnError, UnknownStateError


def command(arguments: list[str], stop: Stopping) -> int:
    """By its guardian; by connections of its own if there is none."""
    about = """Make all outputs of a bench safe: by its guardian, whoever has the lease (who loses it, and is told who took it);
by connections of its own if no guardian of this user has the bench file."""
    parser = Parser(prog="labonn safe", description=about)
    parser.problem = LabonnError
    where = "the bench file, or the URL of its guardian (zmq://HOST:PORT, as `labonn serve` and `labonn status` print it)"
    parser.add_argument("--bench", required=True, metavar="FILE|URL", help=where)
    parser.add_argument("--json", action="store_true", help="as one JSON object on stdout")
    args = parser.parse_args(arguments)
    with stop.held():
        told = _made_safe(args.bench)
    if args.json:
        print_json(told)
    else:
        print(f"safe: {', '.join(told['safe']) or 'nothing there can be unsafe'}")
        if told["holder"]:
            print(f"the lease of {told['holder']} was taken away")
    return 0


def _made_safe(bench: str) -> dict[str, Any]:
    from labonn.guardian import asking
    from labonn.guardian.connection import is_url
    from labonn.guardian.places import guardian_of

    if is_url(bench):
        return asking.make_safe(bench)
    path = Path(bench)
    from labonn.benchfile import read

    file = read(path)
    guardian = guardian_of(path)
    if guardian is not None and guardian["keys"]:
        told = f"labonn safe --bench '{guardian['address']}?server_key=FILE&client_key=FILE'"
        raise LabonnError(f"{path}: its guardian (process {guardian['pid']}) wants keys: {told}")
    if guardian is not None:
        return asking.make_safe(guardian["address"])
    from labonn.guardian.rescue import actuators_of, make_safe

    print(f"labonn: no guardian of yours has {path}: its instruments are opened here", file=sys.stderr)
    lines: list[str] = []
    failed = make_safe(file, lines.append)
    if failed:
        raise UnknownStateError("\n".join(line for line in lines if line.partition(":")[0] in failed))
    return {"safe": [port.name for port in actuators_of(file)], "holder": None}
