"""labonn procedures: what can be run, and with which options."""

from __future__ import annotations

import sys
import textwrap
from typing import Any

from labonn.cli.parser import Parser
from labonn.cli.stopping import Stopping
from labonn.errors import LabonnError


def command(arguments: list[str], stop: Stopping) -> int:
    """List all registered procedures, or those named."""
    from labonn.cli.output import print_json
    from labonn.procedures import GROUP
    from labonn.registry import registered

    parser = Parser(prog="labonn procedures", description="List procedures and their options.")
    parser.add_argument("procedure", nargs="*", metavar="PROCEDURE", help="names or Python files; without any, all that are registered")
    parser.add_argument("--json", action="store_true", help="as one JSON object on stdout")
    args = parser.parse_args(arguments)
    rows = [_row(name) for name in args.procedure or registered(GROUP)]
    if args.json:
        print_json({"procedures": rows})
    else:
        print("\n\n".join(_text(row) for row in rows if "error" not in row) or "no procedures are registered")
    for row in rows:
        if "error" in row:
            print(f"labonn: error: {row['error']}", file=sys.stderr)
    return 2 if any("error" in row for row in rows) else 0


def _row(name: str) -> dict[str, Any]:
    from labonn.procedures import load, option_rows

    try:
        procedure = load(name)
        return {"name": procedure.name, "source": procedure.source, "summary": procedure.summary, "options": option_rows(procedure)}
    except LabonnError as problem:
        return {"name": name, "error": str(problem)}


def _text(row: dict[str, Any]) -> str:
    from labonn.cli.output import columns

    width = columns()
    lines = [row["name"], *textwrap.wrap(row["summary"], width, initial_indent="  ", subsequent_indent="  ")]
    for option in row["options"]:
        choices = f" ({' | '.join(map(str, option.choices))})" if option.choices else ""
        said = option.default is None or "default" in option.help
        default = "" if said else f" [{_words(option.default)}]"
        told = f"{option.option}{default}{choices}  {option.help}"
        lines += textwrap.wrap(told, width, initial_indent="    ", subsequent_indent="        ")
    return "\n".join(lines)


def _words(default: Any) -> str:
    return " ".join(map(str, default)) if isinstance(default, (list, tuple)) else str(default)
