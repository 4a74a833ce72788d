"""labonn check: opens every instrument of a bench, identifies it, reads its limits, changes nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

from labonn.cli import HINT
from labonn.cli.parser import Parser, seed
from labonn.cli.stopping import Stopping
from labonn.errors import BenchFileError, LabonnError, LeaseError
from labonn.units import format_quantity, format_rate


def command(arguments: list[str], stop: Stopping) -> int:
    """Print what answered and what did not; 0 only if everything answered."""
    parser = Parser(prog="labonn check", description="Open and identify every instrument of a bench, read its limits, change nothing.")
    parser.problem = BenchFileError
    parser.add_argument("--bench", type=Path, required=True, metavar="FILE", help="bench file, or the name of one that labonn ships")
    parser.add_argument("--dry-run", action="store_true", help="simulated instruments in place of the links")
    parser.add_argument("--seed", type=seed, metavar="N", help="(dry run) of the simulated bench, in place of the file's")
    parser.add_argument("--json", action="store_true", help="as one JSON object on stdout")
    args = parser.parse_args(arguments)
    given = args.bench
    if not args.bench.is_file():
        from labonn.cli.run_options import no_file, shipped

        args.bench = shipped(given)
        if args.bench is None:
            raise BenchFileError(f"--bench {given}: {no_file(given)}")
    from labonn.checking import check_bench
    from labonn.cli.output import print_json, print_lines

    if not args.dry_run and (held := _guardian(args.bench)):
        raise LeaseError(held)
    rows = check_bench(args.bench, dry_run=args.dry_run, seed=args.seed)
    if args.json:
        print_json({"bench": args.bench, "ports": rows})
    else:
        _print_table(rows)
    for row in rows:
        if row.note and not args.json:
            print_lines([f"note: {row.port}: {row.note}"])
    failed = [row for row in rows if row.error]
    for row in failed:
        for line in map(_without_hint, str(row.error).splitlines()):
            located = row.port in line or line.startswith(f"{args.bench.name}: ")
            print(f"labonn: error: {line if located else f'{row.port}: {line}'}", file=sys.stderr)
    if failed:
        _advise(args, rows, failed)
        return 2
    if not args.json:
        tried = "simulated instruments" if args.dry_run else "instruments"
        print(f"all {len(rows)} {tried} answer, and fit the bench file\nnext: {_next(given, args.dry_run)}")
    return 0


def _without_hint(line: str) -> str:
    return line.removesuffix(HINT)


def _guardian(bench: Path) -> str:
    """Who has the bench's links at the moment; two programs cannot."""
    from labonn.guardian.asking import status
    from labonn.guardian.places import guardian_of

    about = guardian_of(bench)
    if about is None:
        return ""
    try:
        lease = status(str(about["address"])).get("lease")
    except LabonnError:
        lease = None
    user = f"; {lease['who']} uses it since {lease['since']}" if lease else ", which nobody uses"
    told = f"its links are held by a guardian, process {about.get('pid', '?')}{user}"
    return f"{bench}: {told}; `labonn status` shows its instruments, and when it has ended they can be checked here"


def _advise(args: Any, rows: list[Any], failed: list[Any]) -> None:
    """What to do now."""
    right = f"{len(rows) - len(failed)} of {len(rows)} instruments are right"
    again = f"labonn check --bench {args.bench}{' --dry-run' if args.dry_run else ''}"
    print(f"labonn: {right}; when the others are mended: {again}", file=sys.stderr)
    if not args.dry_run:
        print(f"labonn: {HINT.removeprefix('; ')}", file=sys.stderr)


def _next(bench: Path, dry_run: bool) -> str:
    if dry_run:
        return f"labonn check --bench {bench}"
    return f"labonn run PROCEDURE --bench {bench} --plan"


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
    port = f"{row.port} (trigger)" if row.role else row.port
    return port, row.identity, str(row.channels), limits + slew, str(row.depth)


def _quantity(value: Any, unit: str) -> str:
    return value if isinstance(value, str) else format_quantity(float(value), unit)
