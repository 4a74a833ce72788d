"""Bluesky plans for a bench: a shot table as a fly scan, and a whole labonn plan as one run."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from labonn.adapters.bluesky_devices import BenchDevices
from labonn.adapters.bluesky_flyers import BenchFlyer
from labonn.adapters.bluesky_watch import waited
from labonn.bench import Plan
from labonn.shots import Readings, ShotTable

Result = TypeVar("Result")
Messages = Generator[Any, Any, Result]  # what Bluesky calls a plan


def play(flyer: BenchFlyer, table: ShotTable) -> Messages[Readings]:
    """A stub, for inside of a run: play the table, one event a shot; its readings."""
    from bluesky import plan_stubs as bps

    yield from bps.prepare(flyer, table, wait=True)
    yield from bps.kickoff(flyer, wait=True)
    yield from bps.complete(flyer, wait=True)
    yield from bps.collect(flyer, return_payload=False)
    return flyer.readings


def fly_plan(
    devices: BenchDevices, table: ShotTable, name: str = "shots", md: dict[str, Any] | None = None, whole: bool = False
) -> Messages[Readings]:  # fmt: skip
    """A run of one table, in a stream `name`; ends safe. Returns the readings.

    Args:
        whole: one event with arrays (shots, channels), in place of an event a shot.
    """
    from bluesky import preprocessors

    bpp: Any = preprocessors
    flyer = devices.flyer(name, table, whole)
    told = {"plan_name": "fly_plan", "shots": table.shots, "dwell_s": table.dwell_s, "detectors": _read(devices, table), **(md or {})}

    yield from bpp.stage_wrapper(bpp.run_wrapper(play(flyer, table), md=told), [flyer])
    return flyer.readings


def run_plan(
    devices: BenchDevices, plan: Plan[Result], name: str = "tables", md: dict[str, Any] | None = None, whole: bool = True
) -> Messages[Result]:  # fmt: skip
    """A run of a labonn plan: every table that it yields is played, what was read sent to it; ends safe. Returns its result.

    Tables of the same ports (`whole`: and as many shots) are one stream: `name`, then `name_2` and so on, as such tables first come.

    Args:
        whole: an event is a table, with arrays (shots, channels), not a shot.
    """
    from bluesky import preprocessors

    bpp: Any = preprocessors
    flyers: dict[Any, BenchFlyer] = {}
    results: list[Result] = []  # because Bluesky's decorators return the run's uid
    everything = devices.flyer(name)  # staged for all of them

    def inner() -> Messages[None]:
        try:
            table = next(plan)
            while True:
                kind = frozenset(table.orders), frozenset(_read(devices, table)), table.shots if whole else 0
                if kind not in flyers:
                    flyers[kind] = devices.flyer(f"{name}_{len(flyers) + 1}" if flyers else name, None, whole)
                table = plan.send((yield from play(flyers[kind], table)))
        except StopIteration as done:
            yield from waited(devices.worker.start("confirm", devices.points.confirm))
            results.append(done.value)
        finally:
            plan.close()

    told = {"plan_name": "run_plan", "labonn_plan": getattr(plan, "__name__", str(plan)), **(md or {})}
    yield from bpp.stage_wrapper(bpp.run_wrapper(inner(), md=told), [everything])
    return results[0]


def _read(devices: BenchDevices, table: ShotTable) -> list[str]:
    return list(devices.points.detectors if table.read is None else table.read)
