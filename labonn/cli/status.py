"""labonn status: who uses a bench, what its outputs are, and what went wrong last."""

from __future__ import annotations

from typing import Any

from labonn.cli.output import print_json, print_lines
from labonn.cli.parser import Parser
from labonn.cli.stopping import Stopping
from labonn.errors import LabonnError

NONE = "no guardian of yours runs on this computer; `labonn serve BENCH` starts one, and so does `labonn run` without --dry-run"


def command(arguments: list[str], stop: Stopping) -> int:
    """Of one guardian, or of all on this computer."""
    about = "Show a guardian, or all of this user on this computer: who has the bench, last commanded outputs, temperatures, last error."
    parser = Parser(prog="labonn status", description=about)
    parser.problem = LabonnError
    parser.add_argument("url", nargs="?", metavar="URL", help="of a guardian, as `labonn serve` prints it (without it: all)")
    parser.add_argument("--json", action="store_true", help="as one JSON object on stdout")
    args = parser.parse_args(arguments)
    from labonn.guardian.asking import status, statuses

    found = [status(args.url)] if args.url else statuses()
    if args.json:
        print_json({"guardians": found})
    else:
        print_lines("\n\n".join(map(_text, found) if found else [NONE]).split("\n"))
    return 0


def _text(about: dict[str, Any]) -> str:
    kind = "dry run" if about["dry_run"] else "real instruments"
    lines = [about["address"], f"  bench    {about['bench']} ({kind}), process {about['pid']}, since {about['since']}"]
    if "silent" in about:
        return "\n".join([*lines, f"  silent   {about['silent']}"])
    lease = about["lease"]
    lines.append("  lease    nobody" if lease is None else f"  lease    {lease['who']} since {lease['since']}")
    lines += [f"  doing    {about['busy']}"] if about["busy"] else []
    lines += [f"  unsafe   {about['unsafe']}"] if about["unsafe"] else []
    error = about["last_error"]
    lines += [f"  error    {error['when']} {error['what']}: {error['type']}: {error['text']}"] if error else []
    width = max((len(name) for name in about["ports"]), default=0)
    lines += [f"  {name:<{width}}  {_port(port)}" for name, port in about["ports"].items()]
    return "\n".join(lines)


def _port(port: dict[str, Any]) -> str:
    words = [port["output"] if "output" in port else f"{port['channels']} detectors"]
    warmth = port.get("temperature")
    if isinstance(warmth, list):
        words.append(f"at {min(warmth):.1f} to {max(warmth):.1f} degC" if len(warmth) > 1 else f"at {warmth[0]:.1f} degC")
    elif warmth:
        words.append(warmth)
    return ", ".join([*words, port["identity"]])
