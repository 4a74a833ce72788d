"""A bench to look at: its ports, who is on them, and what they may be set to; nobody is asked."""

from __future__ import annotations

from typing import Any

from labonn.showing.arrays import span
from labonn.showing.sheets import Sheet
from labonn.showing.words import counted, seconds

KINDS = {
    "SpatialLightModulator": "SLM",
    "Modulators": "modulators",
    "GainSections": "sources",
    "Heaters": "heaters",
    "Photodetectors": "detectors",
}
HEAD = ("port", "kind", "channels", "limits", "instrument")


def bench_sheet(bench: Any, where: str = "") -> Sheet:
    """Of a Bench or a RemoteBench; `where` is the guardian's place."""
    name = bench.file.name
    facts = [world_words(bench.world), *([f"at {where}"] if where else []), f"{counted(bench.shots, 'shot')} fired"]
    facts += [f"{port.name} triggers" for port in bench.file.ports.values() if port.role == "trigger"]
    facts += ["closed"] if bench.closed else []
    rows = [_row(bench, port) for port in bench.ports]
    return Sheet(f"{type(bench).__name__} {name}: {', '.join(facts)}", (), HEAD, rows, (2,), (("bench file", bench.file.text),))


def world_words(world: str | None) -> str:
    """Where something was measured: "" is the lab, None a tape."""
    simulated = (world or "").removeprefix("simulated bench ")
    return "from a tape" if world is None else f"dry run ({simulated})" if world else "real instruments"


def _row(bench: Any, port: str) -> list[str]:
    spec, file = bench.specs[port], bench.file.ports[port]
    kind = KINDS.get(file.driver.kind, file.driver.kind)
    return [port, kind, f"{len(spec):,}", span(spec.lower, spec.upper, spec.unit), str(bench.ports[port].identity)]


def file_sheet(file: Any) -> Sheet:
    """Of a bench file, as it was read."""
    rows = [[port.name, port.driver_name, _links(port.links), "" if port.role is None else port.role] for port in file.ports.values()]
    also = [counted(len(file.limits), "joint limit")] if file.limits else []
    also += [counted(len(file.interlocks), "interlock")] if file.interlocks else []
    also += [f"simulated as {file.simulation.get('bench')}"] if file.simulation else ["without a [simulation] table"]
    title = f"BenchFile {file.name}: {counted(len(file.ports), 'port')}, {', '.join(also)}"
    return Sheet(title, (), ("port", "driver", "link", "role"), rows, (), (("text", file.text),))


def _links(links: Any) -> str:
    return links[0] if len(links) == 1 else f"{links[0]} and {len(links) - 1} more"


def spec_sheet(spec: Any) -> Sheet:
    """Of a port's channels and limits, in a line."""
    count = len(spec)
    named = "" if not count else f" {spec.names[0]}" if count == 1 else f" {spec.names[0]} to {spec.names[count - 1]}"
    rules = " and ".join(dict.fromkeys((*spec.lower_rule[:1000], *spec.upper_rule[:1000])))
    same = all((bound == bound[0]).all() for bound in (spec.lower, spec.upper)) if count else True
    range_ = f"{span(spec.lower, spec.upper, spec.unit)}{'' if same else ', not all the same'} ({rules})"
    parts = [f"{counted(count, 'channel')}{named}", range_]
    parts.append("held, not sequenced" if spec.depth == 1 else f"memory of {spec.depth:,} frames")
    if count and spec.settle_s.max() > 0:
        parts.append(f"settles in {span(spec.settle_s, spec.settle_s, 's')}")
    return Sheet(f"ChannelSpec: {', '.join(parts)}")


def setpoints_sheet(points: Any) -> Sheet:
    """Of what the actuators of a bench are set to."""
    rows = []
    for port in points.actuators:
        spec, row = points.bench.specs[port], points.rows.get(port)
        told = "safe" if row is None else span(row, row, spec.unit)
        rows.append([port, f"{len(spec):,}", told, span(spec.lower, spec.upper, spec.unit)])
    title = f"Setpoints of {points.bench.file.name}: shots of {seconds(points.dwell_s)}, {points.shots:,} a reading"
    return Sheet(title, (), ("port", "channels", "set to", "limits"), rows, (1,))
