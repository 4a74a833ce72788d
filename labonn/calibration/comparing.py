"""What differs between two calibrations: coefficients against their standard errors, instruments, conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labonn.calibration.calibration import Calibration
from labonn.units import format_quantity

WORST = 3


@dataclass(frozen=True)
class Differences:
    """Attributes:
    same: whether they are one and the same. lines: for people. coefficients: name -> (C,) second minus first, where they can be compared.
    """

    same: bool
    lines: list[str]
    coefficients: dict[str, Any]


def differences(one: Calibration, two: Calibration) -> Differences:
    """What is not the same in the second."""
    if one == two:
        return Differences(True, ["they are the same"], {})
    lines: list[str] = []
    for name, first, second in (
        ("kind", one.kind, two.kind), ("port", one.port, two.port), ("model", f"{one.model} {one.version}", f"{two.model} {two.version}"),
        ("measured on", one.world or "instruments", two.world or "instruments"), ("expires", one.expires, two.expires),
        ("made with", ", ".join(one.parents) or "none", ", ".join(two.parents) or "none"),
    ):  # fmt: skip
        if first != second:
            lines.append(f"{name}: {first} -> {second}")
    lines += _mapped("instrument of", one.instruments, two.instruments) + _mapped("wiring of", one.wiring, two.wiring)
    lines += _mapped("condition", one.conditions, two.conditions) + _mapped("left out", one.excluded, two.excluded)
    coefficients: dict[str, Any] = {}
    for name in dict.fromkeys([*one.coefficients, *two.coefficients]):
        lines.append(_coefficient(name, one, two, coefficients))
    return Differences(False, lines, coefficients)


def _mapped(what: str, one: Mapping[str, Any], two: Mapping[str, Any]) -> list[str]:
    keys = [key for key in dict.fromkeys([*one, *two]) if one.get(key) != two.get(key)]
    return [f"{what} {key}: {one.get(key, 'none')} -> {two.get(key, 'none')}" for key in keys]


def _coefficient(name: str, one: Calibration, two: Calibration, found: dict[str, Any]) -> str:
    if name not in one.coefficients or name not in two.coefficients:
        return f"{name}: only in the {'first' if name in one.coefficients else 'second'}"
    first, second = one.coefficients[name], two.coefficients[name]
    if first.unit != second.unit or np.shape(first.values) != np.shape(second.values) or one.channels != two.channels:
        return f"{name}: cannot be compared: {np.shape(first.values)} in {first.unit}, {np.shape(second.values)} in {second.unit}"
    change = np.asarray(second.values, np.float64) - np.asarray(first.values, np.float64)
    found[name] = change
    if not np.isfinite(change).any():
        return f"{name}: known in no channel of both"
    largest, rms = (format_quantity(float(v), first.unit, 3) for v in (np.nanmax(np.abs(change)), np.sqrt(np.nanmean(change**2))))
    told, errors = f"{name}: rms {rms}, largest {largest}", (one.errors(name), two.errors(name))
    if errors[0] is None or errors[1] is None or change.ndim != 1:
        return told
    pull = np.abs(change) / np.maximum(np.hypot(errors[0], errors[1]), 1e-300)
    order = np.argsort(-np.where(np.isfinite(pull), pull, -1))[:WORST]
    worst = ", ".join(f"{one.channels[c]} {pull[c]:.2g}" for c in order if np.isfinite(pull[c]))
    return f"{told}; rms {np.sqrt(np.nanmean(pull**2)):.2g} standard errors, most: {worst}"
