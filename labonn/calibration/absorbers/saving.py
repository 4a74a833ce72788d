"""What was measured of the cells as a calibration of their ovens' port, and as trainings use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from labonn.bench import Bench
from labonn.calibration.absorbers.fitting import CellFit, Kind
from labonn.calibration.absorbers.measuring import KIND, CellOutcome
from labonn.calibration.absorbers.model import DEPTH
from labonn.calibration.absorbers.sweep import BEFORE, BEHIND, CellSweep
from labonn.calibration.calibration import Calibration, Coefficient, utc
from labonn.calibration.saving import UNKNOWN, conditions, identities, wiring_of, world_of
from labonn.channels import Floats

PARAMETERS = ("optical_depth", "saturation")
PER_FIELD = "V"  # a saturation field


@dataclass(frozen=True)
class Absorbers:
    """Cells as a training believes in them: fields are (volts - dark) / volts of a saturation field, tap by tap.

    Attributes:
        cell: of labonn.absorbers. optical_depth, depth_error, celsius: (H,), at these temperatures.
        volts_in, volts_out, dark_in, dark_out: (D,) of the taps before and behind the cells; NaN for those that were left out.
        leak: (D,) part of the field before a cell that comes through without being absorbed; 0 where none was found.
    """

    cell: str
    optical_depth: Floats
    depth_error: Floats
    celsius: Floats
    volts_in: Floats
    volts_out: Floats
    dark_in: Floats
    dark_out: Floats
    leak: Floats

    @classmethod
    def of(cls, calibration: Calibration) -> Absorbers:
        """Of a calibration of kind "absorbers"."""
        errors = calibration.errors("optical_depth")
        assert errors is not None
        taps = (calibration.values(name) for name in ("volts_in", "volts_out", "dark_in", "dark_out", "leak"))
        cell = calibration.model.removeprefix("absorber-")
        return cls(cell, calibration.values("optical_depth"), errors, calibration.values("temperature"), *taps)


def cells_calibration(bench: Bench, sweep: CellSweep, outcome: CellOutcome, days: float | None, about: Mapping[str, Any]) -> Calibration:
    """The calibration of the ovens' port, whose channels are the cells.

    Args:
        days: of validity; None: for ever. about: conditions beside the bench's.
    """
    found, world, now = outcome.found, world_of(bench), datetime.now(UTC)
    ports = ["ovens", BEFORE, BEHIND, "input", "gain", *sweep.held]
    left = {f"rms.{kind}": float(f"{rms:.4g}") for kind, rms in outcome.left.items() if np.isfinite(rms)}
    out = {f"left_out.{BEFORE}.{name}": told for name, told in zip(outcome.taps[0], outcome.words, strict=True) if told}
    seen = {"cell": found.kind.cell, "cell_of_bench_file": outcome.believed, "gaussian": found.kind.gaussian, "leaky": found.kind.leaky}
    saturation, covariance = saturations(found, sweep.optics.detectors.forward, outcome.checked.walked)
    depth = Coefficient(found.depth, "")
    return Calibration(
        KIND, "ovens", tuple(outcome.names), f"absorber-{found.kind.cell}", 1,
        {"optical_depth": depth, "saturation": Coefficient(saturation, ""), **_taps(outcome)}, outcome.checked.verification,
        identities(bench, ports), wiring_of(bench, ports), utc(now), parameters=PARAMETERS, covariance=covariance,
        conditions={**conditions(bench, sweep.dwell_s), **seen, **left, **out, **about}, world=UNKNOWN if world is None else world,
        expires=None if days is None else utc(now + timedelta(days=days)), check=outcome.check,
    )  # fmt: skip


def saturations(found: CellFit, volts: float, walked: float = 0.0) -> tuple[Floats, Floats]:
    """((H,) mean saturation fields of the cells' taps in fields as believed, (H, 2, 2) covariance of optical depths and those).

    Args:
        volts: that a field is believed to be. walked: relative change of all taps' volts, to be expected later.
    """
    mean, covariance = np.full(len(found.depth), np.nan), np.zeros((len(found.depth), 2, 2))
    for h, error in enumerate(found.depth_error):
        own = found.taken & (found.cells == h)
        size, parts = found.taps.parameters[own, 0] / volts, found.taps.covariance[own]
        towards = parts[:, 0, DEPTH] / volts / error**2
        single = np.maximum(parts[:, 0, 0] / volts**2 - np.square(towards * error), 0.0)
        mean[h] = size.mean()
        shared = towards.mean() * error**2
        covariance[h] = [[error**2, shared], [shared, (towards.mean() * error) ** 2 + single.mean() / own.sum() + (walked * mean[h]) ** 2]]
    return mean, covariance


def scatter(found: CellFit) -> tuple[Floats, Floats]:
    """((H,) relative standard deviations over a cell's taps of the optical depth, (H,) of the saturation field in volts)."""
    values = []
    for h in range(len(found.depth)):
        own = found.taken & (found.cells == h)
        size = found.taps.parameters[own, 0]
        values.append((float(np.std(found.apart[own]) / found.depth[h]), float(np.std(size) / np.mean(size))))
    depths, sizes = np.array(values).T
    return depths, sizes


def _taps(outcome: CellOutcome) -> dict[str, Coefficient]:
    found, walked = outcome.found, outcome.checked.walked
    columns = {"volts_in": 0, "volts_out": 1, "dark_in": 3, "dark_out": 4}
    made, (depths, sizes) = {}, scatter(found)
    for name, column in columns.items():
        values, errors = (np.where(found.taken, part[:, column], np.nan) for part in (found.taps.parameters, found.taps.errors))
        made[name] = Coefficient(values, PER_FIELD)
        if name.startswith("volts"):
            made[f"{name}_error"] = Coefficient(np.hypot(errors, walked * np.abs(values)), PER_FIELD)
    leak = found.taps.parameters[:, 5] if found.kind.leaky else np.zeros(len(found.taken))
    made["leak"] = Coefficient(np.where(found.taken, leak, np.nan), "")
    made["depth_scatter"], made["saturation_scatter"] = Coefficient(depths, ""), Coefficient(sizes, "")
    made["temperature"] = Coefficient(outcome.ovens[0].celsius, "degC")
    return made


def told(outcome: CellOutcome, calibration: Calibration) -> dict[str, Any]:
    """What a procedure returns: cell by cell, in words."""
    found, seen = outcome.found, outcome.checked.verification
    errors, size_errors = calibration.errors("optical_depth"), calibration.errors("saturation")
    assert errors is not None
    assert size_errors is not None
    lines: dict[str, Any] = {"calibration": calibration.id, "cell": cell_words(outcome.left, found.kind, outcome.believed)}
    for h, name in enumerate(outcome.names):
        depth, saturation = f"{found.depth[h]:.5g} +- {errors[h]:.2g}", calibration.values("saturation")[h]
        spread = f"{100 * calibration.values('saturation_scatter')[h]:.2g} %"
        count = int((found.taken & (found.cells == h)).sum())
        lines[name] = f"optical depth {depth} at {calibration.values('temperature')[h]:.5g} degC"
        size = f"{saturation:.4g} +- {size_errors[h]:.2g} of the believed field"
        lines[f"{name} saturation"] = f"{size}; its {count} taps scatter by {spread}"
        again = f"fresh points alone: {outcome.checked.depth[h]:.5g} +- {outcome.checked.depth_error[h]:.2g}"
        off = f"rms {100 * seen.rms[h]:.2g} %, at most {seen.errors[h]:.2g} standard errors"
        lines[f"{name} verified"] = f"{again}; {seen.points} a tap: {off}"
    lines |= {f"left out {name}": words for name, words in list(zip(outcome.taps[0], outcome.words, strict=True)) if words}
    return lines | {"expires": calibration.expires or "never"}


def cell_words(left: Mapping[Kind, float], kind: Kind, believed: str) -> str:
    """Which model light obeys, and whether the bench file says so."""
    best = left.get(kind, np.inf)
    others = [(rms, other) for other, rms in left.items() if other.cell != kind.cell and np.isfinite(rms)]
    if kind.cell != believed:
        own = min((rms for rms, other in others if other.cell == believed), default=np.inf)
        times = f"{own / best:.2g} times as much" if np.isfinite(own) else "no solution at all"
        return f"{kind}; THE BENCH FILE SAYS {believed} (nominal.cell), which leaves {times}: change it there"
    if not others:
        return f"{kind}, as the bench file says; no other was tried, or fits at all"
    rms, other = min(others, key=lambda one: one[0])
    return f"{kind}, as the bench file says; the next best, {other}, leaves {rms / best:.2g} times as much"
