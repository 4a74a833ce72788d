"""Whether a calibration may be believed on a bench: right instruments, right wiring, right model, not expired, and light as expected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from labonn.bench import Bench, Plan
from labonn.calibration.calibration import Calibration, DriftCheck, moment
from labonn.calibration.following import followed
from labonn.calibration.models import VERSIONS
from labonn.calibration.saving import identities, wiring_of, world_of
from labonn.calibration.store import Store
from labonn.errors import CalibrationError
from labonn.shots import ShotTable
from labonn.units import format_quantity

EXPIRED = ("refuse", "ok")
SEEN = 5.0  # standard errors beside the tolerance of a drift check
BRIGHTER = 3.0  # most by which all readings may be larger, or smaller, than they were
TOLD = 3
Found = dict[tuple[str, str], Calibration]


@dataclass(frozen=True)
class Refusal:
    """Why one is not believed.

    Attributes:
        title: of the calibration, with id and date. reasons: what differs.
    """

    title: str
    port: str
    kind: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.title} is refused: {'; '.join(self.reasons)}; measure it again by `labonn run calibrate_{self.kind}`"


def reasons(calibration: Calibration, bench: Bench, expired: str = "refuse", now: datetime | None = None) -> list[str]:
    """What speaks against it without a look at the light; nothing if it may be believed."""
    here = [port for port in calibration.instruments if port in bench.ports]
    told = [f"{bench.file.name} has no port {port}" for port in calibration.instruments if port not in here]
    for port, identity in identities(bench, here).items():
        if identity != calibration.instruments[port]:
            told.append(f"{port} was {calibration.instruments[port]}, and is {identity}")
    for port, wired in wiring_of(bench, here).items():
        if wired != calibration.wiring.get(port, wired):
            told.append(f"{port} was wired to {calibration.wiring[port]}, and is to {wired}")
    world = world_of(bench)
    if world is not None and calibration.world != world:
        told.append(f"it was measured on {calibration.world or 'instruments'}, and this is {world or 'instruments'}")
    known = VERSIONS.get(calibration.model)
    if known != calibration.version:
        has = "does not know that" if known is None else f"has version {known}"
        told.append(f"it is of model {calibration.model}, version {calibration.version}; this labonn {has}")
    now = now or datetime.now(UTC)
    if expired != "ok" and calibration.expires is not None and moment(calibration.expires) <= now:
        told.append(f"it expired {calibration.expires} (--expired ok takes it)")
    return told


def check_table(check: DriftCheck) -> ShotTable:
    """The table of a drift check."""
    banks = {port: np.array(bank) for port, bank in check.banks.items()}
    orders = {port: np.array(order) for port, order in check.orders.items()}
    return ShotTable(banks, orders, check.dwell_s, (check.detector, *([check.before.detector] if check.before else [])))


def drifted(calibration: Calibration) -> Plan[list[str]]:
    """Play the drift check; what is not as it was, in words, worst first."""
    check = calibration.check
    if check is None:
        return []
    readings = yield check_table(check)
    seen = readings[check.detector].astype(np.float64).reshape(len(check.expected), check.repeats, -1)
    light = None
    if check.before is not None:
        light = readings[check.before.detector].astype(np.float64).reshape(len(check.expected), check.repeats, -1).mean(axis=1)
    return compared(check, seen.mean(axis=1), seen.std(axis=1, ddof=1) / np.sqrt(check.repeats), light)


def compared(check: DriftCheck, measured: Any, sigma: Any, light: Any = None) -> list[str]:
    """What differs between (K, D) readings and those of the check, beyond tolerance and the standard errors of both.

    Args:
        light: (K, D) mean readings of `check.before`, if it has that.
    """
    used, all_expected, unsure = np.isfinite(check.tolerance), check.expected, np.zeros_like(check.expected)
    if check.before is not None:
        by_light = followed(check, check.before, light)
        if by_light.words:
            return by_light.words[:TOLD]
        all_expected, unsure = check.expected + by_light.explained, by_light.unsure
    expected, now = all_expected[:, used], measured[:, used]
    factor = 1.0
    if check.free_scale:
        factor = float(np.sum(now * expected) / max(np.sum(expected * expected), 1e-300))
        if not 1 / BRIGHTER < factor < BRIGHTER:
            return [f"{check.detector}: the light is {factor:.2g} times what it was"]
    allowed = np.abs(factor) * check.tolerance[used] + SEEN * np.hypot(sigma[:, used], factor * check.sigma[:, used]) + unsure[:, used]
    off = np.abs(now - factor * expected)
    excess = off / np.maximum(allowed, 1e-300)
    worst = np.argsort(-excess, axis=None)
    told: list[str] = []
    columns, seen = np.flatnonzero(used), set()
    for place in worst:
        k, d = np.unravel_index(place, excess.shape)
        if excess[k, d] <= 1 or len(told) == TOLD:
            break
        if d not in seen:
            seen.add(d)
            there, is_, most = (format_quantity(float(v), check.unit, 3) for v in (factor * expected[k, d], now[k, d], allowed[k, d]))
            told.append(f"{check.detector}/{columns[d]} reads {is_} in frame {k} of the drift check, {there} +- {most} was expected")
    more = int((excess > 1).any(axis=0).sum()) - len(told)
    return [*told, *([f"and {more} more channels of {check.detector}"] if more > 0 else [])]


def survey(
    store: Store, bench: Bench, expired: str = "refuse", check: bool = True, kinds: tuple[str, ...] | None = None
) -> tuple[Found, list[Refusal]]:  # fmt: skip
    """Current calibrations of the bench's ports that may be believed, and why others may not be.

    A port and kind that was never calibrated is in neither. Where another instrument or another simulated bench has a calibration, but
    this one has none, that one is told as refused.

    Args:
        expired: "ok" takes those that have expired. check: play their drift checks. kinds: only these.
    """
    found: Found = {}
    refused: list[Refusal] = []
    last: dict[tuple[str, str], str] = {}
    own: dict[tuple[str, str], str] = {}
    for entry in store.history():
        if entry.port not in bench.ports or (kinds is not None and entry.kind not in kinds):
            continue
        place = entry.port, entry.kind
        last[place] = entry.id
        if entry.instrument == bench.ports[entry.port].identity and world_of(bench) in (None, entry.world):
            own[place] = entry.id
    for place, id in {**last, **own}.items():
        calibration = store.load(id)
        told = reasons(calibration, bench, expired)
        if not told and check:
            told = bench.run(drifted(calibration))
        if told:
            refused.append(Refusal(calibration.title, *place, tuple(told)))
        else:
            found[place] = calibration
    return found, refused


def current(store: Store, bench: Bench, expired: str = "refuse", check: bool = True, kinds: tuple[str, ...] | None = None) -> Found:
    """(port, kind) -> the calibration to believe, all checked.

    Raises:
        CalibrationError: one that there is may not be believed; each with id, date, what differs, and what to run.
    """
    found, refused = survey(store, bench, expired, check, kinds)
    if refused:
        raise CalibrationError("\n".join(map(str, refused)))
    return found
