"""labonn check: opens every instrument of a bench, identifies it, reads its limits, changes nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

from labonn.cli import HINT
from labonn.cli.parser import Parser, seed
from labonn.cli.stopping import Stopping
from labonn.errors import BenchFileError
from labonn.units import format_quantity, format_rate


def command(arguments: list[str], stop: Stopping) -> int:
    """Print what answered and what did not; 0 only if everything answered."""
    parser = Parser(prog="labonn check", description="Open and identify every instrument of a bench, read its limits, change nothing.")
    parser.problem = BenchFileError
    parser.add_argument("--bench", type=Path, required=True, metavar="FILE", help="bench file")
    parser.add_argument("--dry-run", action="store_true", help="simulated instruments in place of the links")
    parser.add_argument("--seed", type=seed, metavar="N", help="(dry run) of the simulated bench, in place of the file's")
    parser.add_argument("--json", action="store_true", help="as one JSON object on stdout")
    args = parser.parse_args(arguments)
    if not args.bench.is_file():
        raise BenchFileError(f"--bench {args.bench}: {'is a folder' if args.bench.is_dir() else 'no such file'}")
    from labonn.checking import check_bench
    from labonn.cli.output import print_json

    rows = check_bench(args.bench, dry_run=args.dry_run, seed=args.seed)
    failed = [(row.port, row.error) for row in rows if row.error]
    if args.json:
        print_json({"bench": args.bench, "ports": rows})
    else:
        _print_table(rows)
    for port, error in failed:
        for line in error.removesuffix(HINT).splitlines():
            print(f"labonn: error: {line if port in line else f'{port}: {line}'}", file=sys.stderr)
    if failed and not args.dry_run:
        print(f"labonn: {HINT.removeprefix('; ')}", file=sys.stderr)
    return 2 if failed else 0


def _print_table(rows: list[Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from labonn.cli.output import console

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("port", "instrument", "channels", "limits", "depth"):
        justify: Literal["left", "right"] = "right" if heading in ("channels", "depth") else "left"
        table.add_column(heading, justify=justify, overflow="fold", no_wrap=heading != "instrument")
    for row in rows:
        cells = (row.port, row.identity or f"{row.driver}: no answer", "", "", "") if row.error else _cells(row)
        table.add_row(*map(escape, cells))
    console().print(table)
    for row in rows:
        for rule in row.rules:
            console().print(rule, markup=False)


def _cells(row: Any) -> tuple[str, str, str, str, str]:
    limits = f"{_quantity(row.lower, row.unit)} to {_quantity(row.upper, row.unit)}"
    slew = "" if row.slew is None else f", {row.slew if isinstance(row.slew, str) else format_rate(row.slew, row.unit)}"
    return row.port, row.identity, str(row.channels), limits + slew, str(row.depth)


def _quantity(value: Any, unit: str) -> str:
    return value if isinstance(value, str) else format_quantity(float(value), unit)
