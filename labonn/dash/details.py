"""The newest of what a run records only now and then: histograms of detectors, frames of actuators, maps, temperatures."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.dash.problems import NotThereError
from labonn.dash.towers import CHUNK
from labonn.dash.watched import Watched
from labonn.record import Record
from labonn.record.schema import READINGS

LEVELS = 255
AT_ONCE = 20_000  # entries that are counted while somebody waits


def histograms(run: Watched) -> tuple[dict[str, Any], bool]:
    """port -> the newest histogram of a detector port; and whether saturated readings are counted to the end (`count_saturated`)."""
    with run.visit() as (record, newest):
        entries = _newest(run, record, "histograms", "port")
        hardware = _hardware(record)
        saturated = _saturated(run, record, newest, AT_ONCE)
        found = {}
        for port, entry in entries.items():
            about = _kept(run, "histograms", port, entry, lambda port=port, entry=entry: _histogram(record, port, entry))
            total = None if saturated is None else saturated.get(port, 0)
            found[port] = {**about, "saturated_total": total, "unit": hardware.get(port, {}).get("unit")}
        return found, saturated is not None


def frame(run: Watched, port: str) -> dict[str, Any]:
    """The newest frame of an actuator port.

    Raises:
        NotThereError: it has none.
    """
    told = "no frame of such a port is on record; ports with frames"
    return _only(run, "frames", "port", port, told, lambda record, entry: _frame(record, port, entry))


def ports_with_frames(run: Watched, record: Record) -> list[str]:
    """SLMs, which have a shape, first; then those with most channels."""
    hardware = _hardware(record)
    known = {port: hardware.get(port, {}) for port in _newest(run, record, "frames", "port")}
    return sorted(known, key=lambda port: (not known[port].get("shape"), -known[port].get("channels", 0), port))


def values_of_map(run: Watched, name: str) -> dict[str, Any]:
    """The newest values of a map.

    Raises:
        NotThereError: there is none.
    """

    def read(record: Record, entry: int) -> dict[str, Any]:
        found = record.maps(name, since=entry - 1, last=1)
        return {"entry": entry, "step": int(found["step"][0]), "values": found["values"][0].tolist()}

    return _only(run, "maps", "name", name, "no map is called so; maps of this run", read)


def _only(run: Watched, table: str, key: str, name: str, told: str, read: Callable[[Record, int], dict[str, Any]]) -> dict[str, Any]:
    """What `read(record, entry)` finds in the newest row of that name.

    Raises:
        NotThereError: there is none; `told`, and which there are.
    """
    with run.visit() as (record, _):
        entries = _newest(run, record, table, key)
        if name not in entries:
            raise NotThereError(f"{name}: {told}: {', '.join(entries) or 'none yet'}")
        found: dict[str, Any] = _kept(run, table, name, entries[name], lambda: read(record, entries[name]))
        return found


def hardware_of(record: Record) -> dict[str, dict[str, Any]]:
    """port -> what is known of it, at the start or, where nothing was noted there, at the end."""
    return _hardware(record)


def bounds(about: dict[str, Any]) -> dict[str, Any]:
    """The outermost limits over the channels of a port, which no channel may pass, and whose rules they are."""
    found: dict[str, Any] = {}
    for name, outermost in (("lower", min), ("upper", max)):
        given = about.get(name)
        values = given if isinstance(given, list) else [given]
        found[name] = outermost((value for value in values if isinstance(value, (int, float))), default=None)
        rules = about.get(f"{name}_rule")
        if isinstance(rules, list):
            place = values.index(found[name]) if len(rules) == len(values) and found[name] in values else 0
            rules = rules[place] if len(rules) == len(values) else ", ".join(dict.fromkeys(map(str, rules)))
        found[f"{name}_rule"] = rules
    return found


def _hardware(record: Record) -> dict[str, dict[str, Any]]:
    return record.hardware("end") | record.hardware("start")


def _newest(run: Watched, record: Record, table: str, key: str) -> dict[str, int]:
    """name -> entry of its newest row, in the order of names; only rows that are newer than those known are looked at."""
    since = run.seen.get(table, 0)
    rows = record.query(f"SELECT {key}, max(entry) FROM {table} WHERE entry > ?{record.counted()} GROUP BY {key}", since)
    run.details |= {(table, name): int(entry) for name, entry in rows}
    run.seen[table] = max([since, *(entry for _, entry in rows)])
    return {name: entry for (of, name), entry in sorted(run.details.items()) if of == table}


def _kept(run: Watched, table: str, name: str, entry: int, read: Any) -> Any:
    """What `read()` returned for that entry the last time, or returns now."""
    known = run.cache.get((table, name))
    if known is None or known[0] != entry:
        known = run.cache[table, name] = (entry, read())
    return known[1]


def _histogram(record: Record, port: str, entry: int) -> dict[str, Any]:
    found = record.histograms(port, since=entry - 1, last=1)
    ranges = record.ranges(port, since=entry - 1, last=1)
    full = {name: float(ranges[name][0]) for name in ("low", "high", "narrowest")} if len(ranges["entry"]) else None
    low, high = (float(found[name][0]) for name in ("low", "high"))
    path = f'$."{port}"[{READINGS.index("saturated")}]'
    (lost,) = record.query("SELECT json_extract(readings_of, ?) FROM steps WHERE entry = ?", path, entry)[0]
    about = {"entry": entry, "step": int(found["step"][0]), "low": low, "high": high, "range": full, "saturated": int(lost or 0)}
    return {**about, "counts": found["counts"][0].tolist()}


def _saturated(run: Watched, record: Record, newest: int, most: int) -> dict[str, int] | None:
    """port -> saturated readings of the whole run, what is no step included; None: more than `most` entries are still to be read."""
    since, sums = run.cache.get("saturated", (0, {}))
    until = min(newest, since + most)
    ports = record.names("reading")
    what = ", ".join("sum(json_extract(readings_of, ?))" for _ in ports)
    if ports and until > since:
        paths = [f'$."{port}"[{READINGS.index("saturated")}]' for port in ports]
        where = f"entry > ? AND entry <= ?{record.counted()}"
        row = record.query(f"SELECT {what} FROM steps WHERE {where}", *paths, since, until)[0]
        sums = {port: sums.get(port, 0) + int(count or 0) for port, count in zip(ports, row, strict=True)}
        run.cache["saturated"] = (until, sums)
    return dict(sums) if until == newest else None


def count_saturated(run: Watched) -> Iterator[bool]:
    """Read what `histograms` had no time for, a bit at every turn: whether it is done."""
    done = False
    while not done:
        with run.visit() as (record, newest):
            done = _saturated(run, record, newest, CHUNK) is not None
        yield done


def _frame(record: Record, port: str, entry: int) -> dict[str, Any]:
    found = record.frames(port, since=entry - 1, last=1)
    about = _hardware(record).get(port, {})
    values: NDArray[np.float32] = found["values"][0]
    low, high, codes = coded(values)
    place = {"entry": entry, "step": int(found["step"][0]), "channels": values.size, "shape": about.get("shape")}
    limits = {name: value for name, value in bounds(about).items() if name in ("lower", "upper")}
    return {**place, "low": low, "high": high, "codes": base64.b64encode(codes).decode(), "unit": about.get("unit"), **limits}


def coded(values: NDArray[np.float32]) -> tuple[float, float, bytes]:
    """Lowest, highest, and 0 to 255 from that to that for every value; what is no number is 0."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    scale = LEVELS / (high - low) if high > low else 0.0
    return low, high, np.rint((np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) * scale).astype(np.uint8).tobytes()
