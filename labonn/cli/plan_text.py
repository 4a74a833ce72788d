"""What labonn run --plan prints: ports, limits and their margins, totals, and what these rest on."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from labonn.units import format_quantity, format_range

if TYPE_CHECKING:
    from labonn.planned.plan import Plan

WIDTH = 80
ROUNDING = 1e-4  # of a range, within which a value is at its limit
LACKS = "waiting for people, repeated connections, and making everything safe at the end"
FRAMES = 4000.0  # bytes a second and port, at which a record may keep frames (labonn.record.details)


def show(name: str, arguments: list[str]) -> int:
    """Plan, and print it; 0 only if nothing would be refused."""
    from labonn.cli.output import print_json
    from labonn.cli.run_options import check, parser_of
    from labonn.planned.planning import plan_of
    from labonn.procedures import load

    procedure = load(name)
    args = parser_of(procedure).parse_args(arguments)
    check(args, procedure)
    plan = plan_of(procedure, args)
    if args.json:
        print_json({"plan": plan})
    else:
        _print(plan, args)
    if plan.problem is None:
        return 0
    for line in plan.problem.splitlines():
        print(f"labonn: error: {line}", file=sys.stderr)
    when = f"in step {plan.tried + 1} of {plan.steps:,}" if plan.steps else f"after {round(plan.total.get('tables', 0)):,} tables"
    print(f"labonn: planned no further than that, {when}; {_advice(plan)}", file=sys.stderr)
    return 2


def _advice(plan: Plan) -> str:
    if plan.refused:
        return "the bench would refuse it before any byte is sent: change the options, or the limits in the bench file"
    if plan.borrowed:
        return "the bench file does not say which light connects its ports: [simulation] bench = … does (`labonn init --list`)"
    return "a dry run ends there too"


def _print(plan: Plan, args: argparse.Namespace) -> None:
    print("\n".join(_wrapped(_head(plan))), end="\n\n")
    _print_ports(plan)
    _print_limits(plan)
    for line in (*map(str, plan.joints), *plan.rules):
        print("\n".join(textwrap.wrap(line, WIDTH, subsequent_indent="  ")))
    print("\n" + "\n".join(_totals(plan, args)))


def _head(plan: Plan) -> Iterable[str]:
    yield f"plan of {plan.procedure} on {plan.bench}: no instrument was touched, nothing was kept"
    light = f"the simulated bench {plan.light!r}"
    if plan.light == "unlit":
        light = "emulated instruments without light (no simulated bench takes these ports)"
    elif plan.borrowed:
        light += " (the bench file names none; this one takes its ports)"
    if not plan.steps:
        yield f"tried out on {light}, from beginning to {'the error' if plan.problem else 'end'}; nothing is extrapolated"
    elif plan.tried == plan.steps and plan.to_end:
        yield f"tried out on {light}, all of its {plan.steps:,} steps; nothing is extrapolated"
    else:
        ends = "all before and after them was played too" if plan.to_end else "all before them was played too, nothing after the last one"
        yield f"extrapolated from {plan.tried:,} of {plan.steps:,} steps on {light}; {ends}"


def _wrapped(lines: Iterable[str]) -> list[str]:
    return [part for line in lines for part in textwrap.wrap(line, WIDTH)]


def _print_ports(plan: Plan) -> None:
    rows = [
        (
            one.port, _count(one.tables), _count(one.shots), _count(one.rows) if one.margin else "", _memory(one), _count(one.exchanges),
            _size(one.sent), _size(one.received),
        )
        for one in plan.ports
    ]  # fmt: skip
    _table(("port", "tables", "shots", "rows sent", "memory", "exchanges", "sent", "received"), rows, left=1)


def _print_limits(plan: Plan) -> None:
    rows = []
    for one in plan.ports:
        m = one.margin
        if m is not None:
            left = "" if m.left is None else "at the limit" if m.left < ROUNDING else f"{100 * m.left:.2g} %"
            mark = " near" if left.endswith("%") and m.near else ""
            told = f"{m.channel}, {m.rule}" if m.left is not None else ""
            rows.append((one.port, _range(m.lowest, m.highest, m.unit), m.allowed(), left + mark, told))
    if not rows:
        return
    print()
    _table(("port", "commanded", "allowed", "margin", "where, whose limit"), rows, left=5)


def _range(low: float, high: float, unit: str) -> str:
    """To four digits, which is what there is room for."""
    return format_quantity(low, unit, 4) if low == high else format_range(float(f"{low:.4g}"), float(f"{high:.4g}"), unit)


def _memory(one: Any) -> str:
    """How full a sequenced port's memory gets."""
    if one.depth <= 1 or not one.fullest:
        return "held" if one.margin else ""
    share = 100 * one.fullest / one.depth
    return f"{share:.2g} %" if share <= 100 else "in parts"


def _totals(plan: Plan, args: argparse.Namespace) -> Iterable[str]:
    from labonn.units import duration

    total, step = defaultdict(float, plan.total), defaultdict(float, plan.step)
    rows = [("shots", f"{round(total['shots']):,} in {round(total['tables']):,} tables, {round(total['exchanges']):,} exchanges")]
    rows.append(("bench time", f"{duration(total['bench_s'])}, as the instruments' emulators count it"))
    if plan.steps:
        parts = f"{duration(plan.before.get('bench_s', 0.0))} before the first step, {duration(step['bench_s'])} a step"
        rows.append(("", f"{parts} with {step['exchanges']:.3g} exchanges"))
    rows.append(("computing", f"{duration(total['compute_s'])} between tables, on this computer"))
    rows.append(("dry run", f"about {duration(total['compute_s'] + total['play_s'])}, without figures"))
    rows.append(("record", _record(plan)))
    if args.record is not None:
        rows.append(("tape", _size(total["tape_bytes"])))
    rows.append(("memory", f"{_size(plan.memory_bytes)} of this process, simulated bench included" if plan.memory_bytes else "not known"))
    rows.append(("not in it", LACKS + ("" if plan.to_end or not plan.steps else "; and what follows the last step")))
    for label, text in rows:
        yield from textwrap.wrap(text, WIDTH, initial_indent=f"{label:<12}", subsequent_indent=" " * 12)
    yield f"(planned in {duration(plan.took_s)})"


def _record(plan: Plan) -> str:
    """On a bench that takes longer there is time for more frames."""
    told = f"{_size(plan.total['record_bytes'])} in a dry run"
    frames = FRAMES * plan.total["bench_s"] * sum(one.margin is not None for one in plan.ports)
    return f"{told}; on instruments up to {_size(frames)} of frames more" if frames > plan.total["record_bytes"] else told


def _count(number: int) -> str:
    return f"{number:,}" if number < 10_000_000 else f"{number / 1e6:,.0f} M"


def _size(count: float) -> str:
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:.0f} B"


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]], left: int) -> None:
    """Columns as wide as they need; the first `left` of them flush left."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = [cell.ljust(width) if i < left else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths, strict=True))]
        print("  ".join(cells).rstrip())
