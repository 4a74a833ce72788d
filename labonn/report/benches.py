"""The bench of a report: instruments with serial numbers and limits, what was simulated, how near limits were."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from labonn.plotting.history import History
from labonn.plotting.past import Past
from labonn.plotting.ports import NEAR, margin
from labonn.report.head import dry_run
from labonn.report.markup import Html, code, facts, folded, joined, paragraph, section, table, tag
from labonn.report.words import limit, rule
from labonn.units import format_quantity

KINDS = {
    "SpatialLightModulator": "SLM", "GainSections": "gain sections", "Photodetectors": "detectors", "Modulators": "modulators",
    "Heaters": "heaters",
}  # fmt: skip


def bench_file(past: Past) -> tuple[str, dict[str, Any]]:
    """The bench file as used, as text and read; empty where it cannot be had."""
    try:
        text = (past.folder / "bench.toml").read_text(encoding="utf-8")
    except (OSError, ValueError):
        text = next((str(one["bench_file"]) for one in past.sessions if one.get("bench_file")), "")
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return text, {}


def instruments(past: Past) -> Html:
    """Who answered on every port, and the limits that were checked before anything was sent."""
    text, file = bench_file(past)
    about = file.get("bench", {}) if isinstance(file.get("bench"), dict) else {}
    parts: list[object] = [paragraph(about["description"], kind="soft")] if isinstance(about.get("description"), str) else []
    rows = [_row(port, seen) for port, seen in past.hardware.items()]
    head = ("port", "kind", "instrument", "link", "channels", "lowest", "highest", "limits by")
    parts.append(table(head, rows, numbers=(4,)) or paragraph("No instruments are on record.", kind="soft"))
    parts += [_rules(file)]
    parts += [folded("bench file as used", code(text))] if text.strip() else [paragraph("The bench file is not in the folder.", kind="bad")]
    return section("Bench and instruments", *parts)


def _row(port: str, seen: Mapping[str, Any]) -> list[object]:
    links = seen.get("links")
    link = ", ".join(map(str, links[:2])) + (f" and {len(links) - 2} more" if len(links) > 2 else "") if isinstance(links, list) else ""
    who = str(seen.get("identity", "not known"))
    degrees = seen.get("temperature_c")
    if isinstance(degrees, list) and degrees:
        who += f"; {min(degrees):.1f} to {max(degrees):.1f} degC at the start"
    kind = KINDS.get(str(seen.get("kind")), str(seen.get("kind", "")))
    channels = seen.get("channels")
    shape = seen.get("shape")
    count = " x ".join(map(str, shape)) if isinstance(shape, list) else f"{channels:,}" if isinstance(channels, int) else ""
    return [tag("b", port), kind, who, link, count, limit(seen, "lower"), limit(seen, "upper"), rule(seen)]


def _rules(file: Mapping[str, Any]) -> Html:
    """Joint limits and interlocks of the bench file."""
    lines = [f"{', '.join(map(str, one.get('ports', [])))}: {_but(one, 'ports')}" for one in _tables(file, "limits")]
    lines += [f"{one.get('port')}: {_but(one, 'port')}" for one in _tables(file, "interlocks")]
    return facts([("joint limits and interlocks", "; ".join(lines))]) if lines else Html("")


def _tables(file: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = file.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _but(one: Mapping[str, Any], name: str) -> str:
    return ", ".join(f"{key} {value}" for key, value in one.items() if key != name)


def simulated(past: Past) -> Html:
    """Which light was simulated, and with which imperfections."""
    if not dry_run(past):
        return Html("")
    found = bench_file(past)[1].get("simulation")
    table_of = found if isinstance(found, dict) else {}
    bench, seed = table_of.get("bench", "not known"), past.options.get("seed")
    pairs: list[tuple[str, object]] = [
        ("simulated bench", f"{bench}, hidden truths of seed {table_of.get('seed', 'not given') if seed is None else seed}")
    ]
    own = _flat({key: value for key, value in table_of.items() if key not in ("bench", "seed")})
    if past.settings.get("ideal"):
        pairs.append(("imperfections", "every one off (--ideal)"))
    else:
        off = [name for name, value in own.items() if value is False or value == 0]
        changed = {name: value for name, value in own.items() if name not in off}
        pairs.append(("imperfections", "all of this bench at their defaults" + (", except:" if own else "; the bench file changes none")))
        pairs += [("off", ", ".join(off))] if off else []
        pairs += [("set", ", ".join(f"{name} = {value}" for name, value in changed.items()))] if changed else []
    faults = past.options.get("faults")
    pairs += [("faults put in", ", ".join(map(str, faults)))] if isinstance(faults, list) and faults else []
    return section("What was simulated", facts(pairs))


def _flat(found: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in found.items():
        flat |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return flat


def margins(past: Past, found: Mapping[str, History]) -> Html:
    """What every actuator was set to, against its limits; what detectors read, and how often they saturated."""
    rows, reads = list[list[object]](), list[list[object]]()
    for port, one in found.items():
        about = past.hardware.get(port, {})
        unit = str(about.get("unit", ""))
        seen = [format_quantity(end, unit, 4) for end in one.extremes]
        if one.detector:
            share = one.saturated / max(one.shots * int(about.get("channels") or 1), 1)
            told = f"{one.saturated:,} ({100 * share:.2g} %)" if one.saturated else "none"
            lost = tag("span", f"{one.bad:,}", class_="bad") if one.bad else "none"
            reads.append([tag("b", port), one.over, *seen, f"{one.shots:,}", told, lost])
        else:
            rows.append([tag("b", port), one.over, *seen, limit(about, "lower"), limit(about, "upper"), _left(about, one)])
    head = ("port", "during", "lowest set", "highest set", "lower limit", "upper limit", "margin left")
    detectors = ("detector", "during", "lowest", "highest", "shots", "saturated readings", "no numbers")
    if not rows and not reads:
        return Html("")
    note = "Margins are of the range between the limits, over all channels; of large arrays a sample is on record."
    return joined(
        (tag("h3", "How near limits were"), table(head, rows, (2, 3)), table(detectors, reads, (2, 3, 4)), paragraph(note, kind="soft"))
    )


def _left(about: Mapping[str, Any], one: History) -> Html:
    left = margin(about, one)
    if left is None:
        return tag("span", "no limits on record")
    words = [f"{100 * max(part, 0.0):.3g} % {side}" for part, side in zip(left, ("below", "above"), strict=True)]
    near = [side for part, side in zip(left, ("lower", "upper"), strict=True) if part < NEAR]
    return joined((", ".join(words), tag("b", f"; near the {' and the '.join(near)} limit") if near else ""))
