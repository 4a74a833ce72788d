"""labonn calibrations: lists, shows and compares what is kept, and chooses what is current."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.cli.parser import Parser
from labonn.cli.stopping import Stopping
from labonn.errors import CalibrationError

if TYPE_CHECKING:
    from labonn.calibration import Calibration, Store

NAMED = "its id, or as many of the first digits as tell it apart"


def command(arguments: list[str], stop: Stopping) -> int:
    """`list`, `show`, `diff`, `use` or `rollback`."""
    args = _parser().parse_args(arguments)
    from labonn.calibration import Store
    from labonn.cli.output import print_json, print_lines

    store = Store(args.calibrations)
    lines, values = {"list": _list, "show": _show, "diff": _diff, "use": _use, "rollback": _rollback}[args.command](store, args)
    if args.json:
        print_json(values)
    else:
        print_lines(lines)
    return 0


def _parser() -> Parser:
    about = "List, show and compare calibrations, and choose which are current."
    made = "They are made by `labonn run calibrate_…`, and never overwritten."
    parser = Parser(prog="labonn calibrations", description=f"{about} {made}")
    parser.problem = CalibrationError
    commands = parser.add_subparsers(dest="command", required=True, metavar="list | show | diff | use | rollback")
    wanted = {
        "list": ("all that are kept, newest last; * is current", ()),
        "show": ("one, with its coefficients", (("id", NAMED),)),
        "diff": ("what differs between two", (("id", NAMED), ("other", NAMED))),
        "use": ("make one current", (("id", NAMED),)),
        "rollback": ("make the one current that was before", (("port", "as in `list`"), ("kind", "as in `list`"))),
    }
    for name, (summary, arguments) in wanted.items():
        one = commands.add_parser(name, help=summary, description=summary)
        one.problem = CalibrationError
        for argument, told in arguments:
            one.add_argument(argument, help=told)
        one.add_argument("--calibrations", type=Path, default=Path("calibrations"), metavar="DIR", help="where they are kept")
        one.add_argument("--json", action="store_true", help="as one JSON object on stdout")
    return parser


def _about(calibration: Calibration) -> dict[str, Any]:
    return {
        "id": calibration.id, "time": calibration.time, "port": calibration.port, "kind": calibration.kind,
        "instrument": calibration.instruments[calibration.port], "world": calibration.world, "expires": calibration.expires,
        "channels": len(calibration.channels), "excluded": dict(calibration.excluded),
    }  # fmt: skip


def _list(store: Store, args: Any) -> tuple[list[str], dict[str, Any]]:
    current = set(store.current().values())
    found, damaged = [], []
    for id in store.ids():
        try:
            found.append(store.load(id))
        except CalibrationError as problem:
            damaged.append(str(problem))
    found.sort(key=lambda calibration: (calibration.time, calibration.id))
    lines = []
    for one in found:
        good = f"{len(one.channels) - len(one.excluded)}/{len(one.channels)}"
        where = f"{one.instruments[one.port]}" + (f" ({one.world})" if one.world else "")
        mark = "*" if one.id in current else " "
        lines += [f"{mark} {one.id}  {one.time}  {one.port + ' ' + one.kind:<24}  {good:>11}", f"    {where}"]
    lines += [f"! {problem}" for problem in damaged]
    values = [{**_about(one), "current": one.id in current} for one in found]
    return lines or [f"{store.folder}: there are no calibrations"], {"calibrations": values, "damaged": damaged}


def _show(store: Store, args: Any) -> tuple[list[str], dict[str, Any]]:
    import numpy as np

    from labonn.units import format_quantity

    one = store.load(args.id)
    seen, rows = one.verification, []
    for name, coefficient in one.coefficients.items():
        values, error = np.asarray(coefficient.values), one.errors(name)
        good = values[np.isfinite(values)]
        if not good.size:
            rows.append((name, "not known of any channel"))
            continue
        low, middle, high = (format_quantity(float(v), coefficient.unit, 5) for v in (good.min(), np.median(good), good.max()))
        unsure = "" if error is None else f" +- {format_quantity(float(np.nanmedian(error)), coefficient.unit, 3)}"
        rows.append((name, f"{low} to {high}, median {middle}{unsure}"))
    largest, allowed = (format_quantity(float(np.nanmax(v)), seen.unit, 3) for v in (seen.largest, seen.allowed))
    off = f"at most {largest} off ({np.nanmax(seen.errors):.2g} standard errors; {allowed} allowed)"
    rows.append(("verified", f"{seen.points} fresh points a channel, {off}"))
    rows += [(f"left out {channel}", words) for channel, words in one.excluded.items()]
    rows += [(f"{port} is", identity) for port, identity in one.instruments.items()]
    rows += [(name, _short(value)) for name, value in one.conditions.items()]
    rows.append(("measured on", one.world or "instruments"))
    rows += [("expires", one.expires or "never"), ("drift check", _check(one)), *(("made with", parent) for parent in one.parents)]
    width = max(len(name) for name, _ in rows)
    lines = [f"{one.title}, {one.model} version {one.version}", *(f"{name:<{width}}  {told}" for name, told in rows)]
    return lines, {**_about(one), **_values(one)}


def _short(value: Any) -> str:
    numbers = isinstance(value, (list, tuple)) and all(isinstance(item, float) for item in value)
    return ", ".join(f"{item:.5g}" for item in value) if numbers else str(value)


def _check(calibration: Calibration) -> str:
    check = calibration.check
    return "none" if check is None else f"{len(check.expected)} frames of {check.repeats} shots at {check.detector}"


def _values(calibration: Calibration) -> dict[str, Any]:
    values = {n: {"values": c.values, "unit": c.unit, "errors": calibration.errors(n)} for n, c in calibration.coefficients.items()}
    return {
        "model": calibration.model, "version": calibration.version, "channel_names": calibration.channels,
        "coefficients": values,
        "verification": calibration.verification, "instruments": dict(calibration.instruments), "wiring": dict(calibration.wiring),
        "conditions": dict(calibration.conditions), "parents": calibration.parents,
    }  # fmt: skip


def _diff(store: Store, args: Any) -> tuple[list[str], dict[str, Any]]:
    from labonn.calibration.comparing import differences

    one, two = store.load(args.id), store.load(args.other)
    found = differences(one, two)
    lines = [one.title, two.title, *(f"  {line}" for line in found.lines)]
    return lines, {"one": one.id, "two": two.id, "same": found.same, "differences": found.lines, "coefficients": found.coefficients}


def _use(store: Store, args: Any) -> tuple[list[str], dict[str, Any]]:
    one = store.use(args.id)
    return [f"current: {one.title} for {one.instruments[one.port]}"], _about(one)


def _rollback(store: Store, args: Any) -> tuple[list[str], dict[str, Any]]:
    one, before = store.rollback(args.port, args.kind)
    return [f"current: {one.title}", f"instead of: {before.title}"], {**_about(one), "instead_of": before.id}
