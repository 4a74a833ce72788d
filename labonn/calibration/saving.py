"""From what was measured to a calibration: identities, wiring and conditions of the bench are added, and it is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.calibration.calibration import Calibration, Coefficient, by_channel, utc
from labonn.calibration.measuring import Outcome
from labonn.channels import Floats
from labonn.units import format_quantity

UNKNOWN = "a tape, or a bench that does not tell"  # a calibration from one is current for nothing else


def world_of(bench: Bench) -> str | None:
    """"" in the lab, else which simulated bench; None where that is not known: of a tape, or at a guardian that does not tell."""
    if hasattr(bench, "world"):
        return bench.world
    return None if getattr(bench, "about", {}).get("dry_run", True) else ""


def wiring_of(bench: Bench, ports: Sequence[str]) -> dict[str, str]:
    """port -> driver and number of channels."""
    return {port: f"{bench.file.ports[port].driver_name} x {len(bench.specs[port])}" for port in ports}


def identities(bench: Bench, ports: Sequence[str]) -> dict[str, str]:
    """port -> what the instrument says it is."""
    return {port: str(bench.ports[port].identity) for port in ports}


def conditions(bench: Bench, dwell_s: float) -> dict[str, Any]:
    """Bench file, dwell, believed constants, and temperatures of everything that tells them."""
    digest = hashlib.sha256(bench.file.text.encode()).hexdigest()
    found: dict[str, Any] = {"bench": bench.file.name, "bench_sha256": digest, "dwell_s": dwell_s}
    for name, value in bench.file.nominal.items():
        if isinstance(value, (str, int, float)):
            found[f"nominal.{name}"] = value
    for name, device in bench.ports.items():
        if bench.file.ports[name].driver.kind == "Heaters":
            found[f"{name}_degC"] = [round(float(celsius), 3) for celsius in np.ravel(device.temperature())]
    return found


def calibration_of(
    kind: str, outcome: Outcome, bench: Bench, port: str, involved: Sequence[str], *, x_unit: str, days: float | None, dwell_s: float,
    more: Mapping[str, Coefficient] | None = None, about: Mapping[str, Any] | None = None, parents: Sequence[str] = (),
) -> Calibration:  # fmt: skip
    """The calibration of a port.

    Args:
        involved: all ports that took part. x_unit: of the port. days: of validity; None: for ever. dwell_s: of a shot.
        more: coefficients that follow from the fitted ones. about: conditions beside the bench's. parents: ids.
    """
    model, fitted = outcome.model, outcome.fitted
    good = np.array([not told for told in outcome.words])
    named = zip(model.parameters, fitted.parameters.T, model.units_of(x_unit, outcome.unit), strict=True)
    coefficients = {name: Coefficient(_only(good, values), unit) for name, values, unit in named}
    ports, seen = list(dict.fromkeys([port, *involved])), outcome.verification
    rms, largest, errors, allowed = (_only(good, values) for values in (seen.rms, seen.largest, seen.errors, seen.allowed))
    seen = replace(seen, rms=rms, largest=largest, errors=errors, allowed=allowed)
    now, world = datetime.now(UTC), world_of(bench)
    return Calibration(
        kind, port, tuple(outcome.names), model.name, model.version, {**coefficients, **(more or {})}, seen,
        identities(bench, ports), wiring_of(bench, ports), utc(now), parameters=model.parameters,
        covariance=_only(good, fitted.covariance), excluded=by_channel(outcome.words, outcome.names),
        conditions={**conditions(bench, dwell_s), **(about or {})}, world=UNKNOWN if world is None else world,
        expires=None if days is None else utc(now + timedelta(days=days)), parents=tuple(parents), check=outcome.check,
    )  # fmt: skip


def _only(good: Any, values: Floats) -> Floats:
    """`values` (C, ...) with NaN for channels that are not good."""
    kept = np.array(values, np.float64)
    kept[~good] = np.nan
    return kept


def result_of(calibration: Calibration, shown: Sequence[str]) -> dict[str, Any]:
    """What a procedure returns: the id, how many channels, the medians of some coefficients and their errors, and how it was verified."""
    good = len(calibration.channels) - len(calibration.excluded)
    result: dict[str, Any] = {"calibration": calibration.id, "channels": f"{good} of {len(calibration.channels)}"}
    for name in shown:
        coefficient = calibration.coefficients[name]
        low, middle, high = (float(np.nanquantile(coefficient.values, q)) for q in (0, 0.5, 1))
        told = [format_quantity(value, coefficient.unit, digits=5) for value in (middle, low, high)]
        error = calibration.errors(name)
        unsure = "" if error is None else f" +- {format_quantity(float(np.nanmedian(error)), coefficient.unit, digits=3)}"
        result[name] = f"median {told[0]}{unsure}, {told[1]} to {told[2]}"
    seen = calibration.verification
    sizes = float(np.sqrt(np.nanmean(np.square(seen.rms)))), float(np.nanmax(seen.largest))
    rms, largest = (format_quantity(size, seen.unit, digits=3) for size in sizes)
    told_errors = f"{float(np.nanmax(seen.errors)):.2g} standard errors"
    result["verified"] = f"{seen.points} fresh points a channel: rms {rms}, largest {largest}, at most {told_errors}"
    for channel, words in list(calibration.excluded.items())[:5]:
        result[f"left out {channel}"] = words
    result["expires"] = calibration.expires or "never"
    return result
