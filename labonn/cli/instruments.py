"""labonn instruments: which drivers there are, with kind, transport, options and emulator."""

from __future__ import annotations

import dataclasses
import sys
import textwrap
from typing import Any

from labonn.cli.parser import Parser
from labonn.cli.stopping import Stopping
from labonn.errors import LabonnError

CHANNELS = ("channels", "instances", "shape")


def command(arguments: list[str], stop: Stopping) -> int:
    """List all registered drivers, and emulators that have none, or those named."""
    from labonn.cli.output import print_json
    from labonn.registry import registered

    parser = Parser(prog="labonn instruments", description="List drivers with kind, transport, options, and whether there is an emulator.")
    parser.problem = LabonnError
    parser.add_argument("instrument", nargs="*", metavar="NAME", help="drivers or emulators; without any, all that are registered")
    parser.add_argument("--commands", action="store_true", help="(with NAME) what of its manual the emulator does, refuses and lacks")
    parser.add_argument("--json", action="store_true", help="as one JSON object on stdout")
    args = parser.parse_args(arguments)
    if args.commands:
        return _commands(args.instrument, args.json)
    rows = [_row(name) for name in args.instrument or sorted({*registered("labonn.drivers"), *registered("labonn.emulators")})]
    found = [row for row in rows if "error" not in row]
    if args.json:
        print_json({"instruments": rows})
    elif found:
        print("\n\n".join(map(_text, found)))
    for row in rows:
        if "error" in row:
            print(f"labonn: error: {row['error']}", file=sys.stderr)
    return 2 if len(found) < len(rows) else 0


def _commands(names: list[str], json: bool) -> int:
    """The emulators' own documents: a table of the manual's commands each."""
    from labonn.cli.output import print_json, print_lines
    from labonn.registry import load

    if not names:
        raise LabonnError("labonn instruments --commands: of which instruments? `labonn instruments` lists them")
    documents = [(sys.modules[load("labonn.emulators", name).__module__].__doc__ or "").strip() for name in names]
    if json:
        print_json({"instruments": [{"name": name, "commands": text} for name, text in zip(names, documents, strict=True)]})
    else:
        print_lines(line for document in documents for line in [*_unruled(document), ""][: -1 if document is documents[-1] else None])
    return 0


def _unruled(document: str) -> list[str]:
    """The lines of a document, each row of a Markdown table as its first cell and, below it, the others with their headings."""
    lines, headings = list[str](), list[str]()
    for line in document.split("\n"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.lstrip().startswith("|") else []
        if not cells:
            headings = []
            lines.append(line)
        elif not headings:
            headings = cells
        elif set("".join(cells)) - set("-: "):
            width = max(map(len, headings[1:]))
            told = [f"  {name:<{width}}  {cell}" for name, cell in zip(headings[1:], cells[1:], strict=True) if cell]
            lines += [cells[0], *told]
    return lines


def _row(name: str) -> dict[str, Any]:
    from labonn.registry import load, registered

    emulated = name in registered("labonn.emulators")
    try:
        if emulated and name not in registered("labonn.drivers"):
            load("labonn.emulators", name)
            return {"name": name, "summary": "an emulator without a driver", "emulator": True, "options": []}
        driver = load("labonn.drivers", name)
        module = (sys.modules[driver.__module__].__doc__ or "").strip().partition("\n")[0]
    except LabonnError as problem:
        return {"name": name, "error": str(problem)}
    options = [{"option": f.name, "default": _default(f)} for f in dataclasses.fields(driver.Options)]
    channels = next((o["option"] for key in CHANNELS for o in options if o["option"] == key), None)
    about = {"name": name, "summary": module, "kind": driver.kind, "transport": driver.transport, "channels": channels}
    return {**about, "emulator": emulated, "options": options}


def _default(option: dataclasses.Field[Any]) -> str:
    """As a person would write it; "wanted" where there is none."""
    if option.default is not dataclasses.MISSING:
        return "none" if option.default is None else _short(option.default)
    return "wanted" if option.default_factory is dataclasses.MISSING else _short(option.default_factory())


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(list(value)) if isinstance(value, tuple) else str(value)


def _text(row: dict[str, Any]) -> str:
    from labonn.cli.output import columns

    width = columns()
    lines = [row["name"], *textwrap.wrap(row["summary"], width, initial_indent="  ", subsequent_indent="  ")]
    if "kind" in row:
        counted = f"channels by `{row['channels']}`" if row["channels"] else "channels as the instrument has"
        emulator = "with emulator" if row["emulator"] else "no emulator"
        lines.append(f"    {row['kind']}, {row['transport']}, {counted}, {emulator}")
        options = ", ".join(f"{option['option']} ({option['default']})" for option in row["options"])
        lines += textwrap.wrap(f"options: {options}", width, initial_indent="    ", subsequent_indent="        ")
    return "\n".join(lines)
