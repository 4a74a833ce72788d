"""Calibrations to look at: what of which instrument, when, how sure, until when; and a store of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from labonn.showing.arrays import array, known, span
from labonn.showing.sheets import Sheet
from labonn.showing.words import counted
from labonn.units import format_quantity

HEAD = ("coefficient", "shape", "values", "median", "standard error")
STORE_HEAD = ("port", "calibration", "id", "UTC", "instrument")


def calibration_sheet(one: Any) -> Sheet:
    """Of a calibration."""
    good = len(one.channels) - len(one.excluded)
    facts = [
        f"{one.port} is {one.instruments[one.port]}{f' ({one.world})' if one.world else ''}",
        f"{good:,} of {counted(len(one.channels), 'channel')}, {one.model} version {one.version}",
        f"fresh points: {_verified(one.verification)}",
        f"measured {one.time}, {f'believed until {one.expires}' if one.expires else 'never expires'}",
        "no drift check" if one.check is None else f"drift check at {one.check.detector}, {counted(len(one.check.expected), 'frame')}",
    ]
    facts += [f"left out: {channel}, {why}" for channel, why in list(one.excluded.items())[:3]]
    facts += [f"and {len(one.excluded) - 3} more"] if len(one.excluded) > 3 else []
    rows = [(name, " x ".join(map(str, np.shape(c.values))), *_values(one, name, c)) for name, c in one.coefficients.items()]
    about = "\n".join(f"{name}: {value}" for name, value in {**one.instruments, **one.conditions}.items())
    title = f"Calibration {one.id}: {one.kind} of {one.port}"
    return Sheet(title, facts, HEAD, rows, (), (("instruments and conditions", about),))


def _values(one: Any, name: str, coefficient: Any) -> tuple[str, str, str]:
    values, errors = coefficient.values, one.errors(name)
    if not known(values).size:
        return "not known", "", ""
    if np.asarray(values).dtype.kind not in "fiu":
        return "-", "", ""
    unsure = "" if errors is None else format_quantity(float(np.nanmedian(errors)), coefficient.unit, 3)
    return span(values, values, coefficient.unit), format_quantity(float(np.median(known(values))), coefficient.unit, 5), unsure


def _verified(seen: Any) -> str:
    largest, allowed = (known(values) for values in (seen.largest, seen.allowed))
    if not largest.size:
        return "none"
    told = format_quantity(float(largest.max()), seen.unit, 3)
    most = format_quantity(float(allowed.max()), seen.unit, 3) if allowed.size else "?"
    return f"{seen.points} a channel, at most {told} off ({most} allowed)"


def verification_sheet(seen: Any) -> Sheet:
    """Of what fresh points said, in a line."""
    return Sheet(f"Verification: {_verified(seen)}")


def check_sheet(check: Any) -> Sheet:
    """Of a drift check, in a line."""
    frames = counted(len(check.expected), "frame")
    return Sheet(f"DriftCheck: {frames} of {counted(check.repeats, 'shot')} at {check.detector}, {array(check.expected, check.unit)}")


def coefficient_sheet(coefficient: Any) -> Sheet:
    """Of a coefficient, in a line."""
    return Sheet(f"Coefficient: {array(coefficient.values, coefficient.unit)}")


def store_sheet(store: Any) -> Sheet:
    """Of a store: what is current."""
    ids = store.ids()
    newest = {entry.key: entry for entry in store.history()}
    rows = [
        (e.port, e.kind, e.id, e.time[:16].replace("T", " "), f"{e.instrument}{f' ({e.world})' if e.world else ''}")
        for e in newest.values()
    ]
    return Sheet(f"Store {store.folder}: {counted(len(ids), 'calibration')}, {len(rows)} current", (), STORE_HEAD, rows)
