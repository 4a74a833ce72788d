"""What goes wrong in the middle of a Bluesky plan: it ends with labonn's message, and the bench is safe."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky.run_engine import RunEngineInterrupted
from bluesky.suspenders import SuspendBoolHigh
from bluesky.utils import FailedStatus

from labonn.adapters.bluesky_plans import fly_plan
from labonn.errors import InterlockError, LabonnError, LinkTimeoutError, RefusedError
from labonn.shots import ShotTable

Opened = Callable[..., Any]
DARK_W = 1e-6


def light(desk: Any) -> float:
    """Watts that the laser gives now, as a table that sets nothing finds it."""
    return float(desk.bench.play(ShotTable({}, dwell_s=1e-2, read=("power",)))["power"][0, 0])


def when(condition: Callable[[], bool], then: Callable[[], Any]) -> threading.Thread:
    """A thread that does something as soon as it may."""

    def watch() -> None:
        until, pause = time.monotonic() + 30, threading.Event()
        while not condition() and time.monotonic() < until:
            pause.wait(0.002)
        then()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


class Watcher:
    """Takes down whether the laser was set or everything was made safe."""

    def __init__(self, sets: list[bool]) -> None:
        self._sets = sets

    def played(self, table: ShotTable, readings: Any, seconds: float) -> None:
        self._sets.append("laser" in table.banks)

    def made_safe(self) -> None:
        self._sets.append(False)

    def failed(self, problem: BaseException) -> None: ...


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("power:timeout@10", LinkTimeoutError, "trigger power: .*no complete reply to .* after 5 s; what it did is unknown"),
        ("modulators:refuse@6", RefusedError, "modulators: .*"),
        ("laser:drop@2", LabonnError, "laser"),
    ],
)
def test_an_instrument_that_fails_ends_the_plan_with_our_message_and_the_bench_safe(
    fault: str, error: type[LabonnError], message: str, devices: Opened, engine: Any, documents: Any
) -> None:  # fmt: skip
    desk = devices()
    desk.bench.refault([fault])
    scan = bp.grid_scan([desk["power"]], desk["laser"], 0.03, 0.05, 4, desk["modulators/ch1"], 0, 1, 3)
    with pytest.raises(FailedStatus, match=message) as caught:
        engine(scan)
    assert isinstance(caught.value.__cause__, error)
    (stop,) = documents.of("stop")
    assert stop["exit_status"] == "fail"
    assert str(caught.value.__cause__) in stop["reason"]
    desk.bench.refault([])
    assert desk.points.rows == {}
    assert light(desk) < DARK_W
    engine(bp.scan([desk["power"]], desk["laser"], 0.03, 0.05, 2))  # and the next plan goes on
    assert max(documents.column("power")) > 1e-3


def test_a_relative_scan_that_fails_does_not_switch_the_laser_on_again(devices: Opened, engine: Any) -> None:
    desk = devices()
    engine(bps.mv(desk["laser"], 0.04))
    sets: list[bool] = []
    desk.bench.observer = Watcher(sets)
    desk.bench.refault(["power:timeout@4"])
    with pytest.raises(
        LabonnError, match=r"desk.toml: is safe, and nothing is set any more in this plan, because: .*power.*no complete reply"
    ):
        engine(bp.rel_scan([desk["power"]], desk["laser"], -0.01, 0.01, 3))
    assert not sets[-1]
    desk.bench.refault([])
    assert light(desk) < DARK_W


def test_an_interlock_that_opens_ends_the_plan(devices: Opened, engine: Any) -> None:
    desk = devices()
    desk.bench.refault(["laser:interlock@30"])
    with pytest.raises(FailedStatus, match="laser") as caught:
        engine(bp.scan([desk["power"]], desk["laser"], 0.03, 0.05, 50))
    assert isinstance(caught.value.__cause__, (LabonnError, InterlockError))
    desk.bench.refault([])
    assert light(desk) < DARK_W


@pytest.mark.parametrize("how", ["abort", "halt", "stop"])
def test_a_plan_that_is_interrupted_leaves_the_bench_safe_even_if_it_staged_no_actuator(
    how: str, devices: Opened, engine: Any, documents: Any
) -> None:  # fmt: skip
    desk = devices()

    def plan() -> Any:
        yield from bps.mv(desk["laser"], 0.05)
        yield from bp.count([desk["power"]], 10**6)

    other = when(lambda: len(documents.of("event")) >= 3, getattr(engine, how))
    with pytest.raises(RunEngineInterrupted):
        engine(plan())
    other.join(10)
    assert documents.of("stop")[0]["exit_status"] == ("success" if how == "stop" else "abort")
    assert desk.points.rows == {}
    assert light(desk) < DARK_W


def test_an_abort_breaks_off_a_long_table(devices: Opened, engine: Any, documents: Any) -> None:
    desk = devices()
    currents = np.linspace(0.04, 0.05, 50_000)[:, None]
    table = ShotTable({"laser": currents}, {"laser": np.arange(len(currents))}, 1e-2, read=())
    before = desk.bench.exchanges
    other = when(lambda: desk.bench.exchanges > before + 50, engine.abort)
    with pytest.raises(RunEngineInterrupted):
        engine(fly_plan(desk, table))
    other.join(10)
    assert desk.bench.exchanges - before < len(currents)
    assert documents.of("event_page") == []
    assert light(desk) < DARK_W


def test_a_pause_leaves_outputs_as_they_are_and_the_plan_goes_on(devices: Opened, engine: Any, documents: Any) -> None:
    desk = devices()
    points = list(np.linspace(0.03, 0.05, 12))
    other = when(lambda: len(documents.of("event")) >= 3, engine.request_pause)
    with pytest.raises(RunEngineInterrupted):
        engine(bp.list_scan([desk["power"]], desk["laser"], points))
    other.join(10)
    assert desk.points.rows.keys() == {"laser"}
    engine.resume()
    np.testing.assert_allclose(documents.column("laser"), points)
    assert light(desk) < DARK_W


class Switch:
    """What a suspender watches, as an ophyd signal."""

    name = "lid"

    def __init__(self) -> None:
        self.callbacks: list[Any] = []

    def subscribe(self, callback: Any, event_type: Any = None, run: bool = True) -> None:
        self.callbacks.append(callback)

    def clear_sub(self, callback: Any) -> None:
        self.callbacks.remove(callback)

    def get(self) -> int:
        return 0

    def put(self, value: int) -> None:
        for callback in self.callbacks:
            callback(value)


def test_a_suspender_may_switch_everything_off_and_on_again(devices: Opened, engine: Any, documents: Any) -> None:
    desk, lid = devices(), Switch()
    engine(bps.mv(desk["modulators"], [1.0, 2.0]))
    suspender = SuspendBoolHigh(lid, pre_plan=lambda: bps.mv(desk.output, "safe"), post_plan=lambda: bps.mv(desk.output, "on"))
    engine.install_suspender(suspender)
    seen: list[dict[str, Any]] = []

    def closed_again() -> None:
        seen.append({"position": desk.output.position, "watts": desk.worker.start("look", lambda: light(desk)).future.result(10)})
        lid.put(0)

    def opened() -> None:
        lid.put(1)
        when(lambda: desk.output.position == "safe", closed_again).join(20)

    other = when(lambda: len(documents.of("event")) >= 3, opened)
    engine(bp.scan([desk["power"]], desk["laser"], 0.03, 0.05, 40))
    other.join(20)
    assert seen[0]["position"] == "safe"
    assert seen[0]["watts"] < DARK_W
    np.testing.assert_allclose(documents.column("laser"), np.linspace(0.03, 0.05, 40))
    assert min(documents.column("power")) > 1e-3  # no event was taken in the dark
    assert documents.of("stop")[0]["exit_status"] == "success"


def test_a_shutter_knows_only_two_words(devices: Opened) -> None:
    with pytest.raises(ValueError, match='output: "safe" or "on" is wanted, not 1'):
        devices().output.set(1)


def test_a_status_says_what_it_is_of_and_how_it_ended(devices: Opened) -> None:
    desk = devices()
    status = desk["laser"].set(0.01)
    status.wait(10)
    assert (status.done, status.success, status.exception(), repr(status)) == (True, True, None, "set laser: done")
    desk.bench.refault(["laser:timeout@0"])
    status = desk["laser"].set(0.02)
    with pytest.raises(LinkTimeoutError):
        status.wait(10)
    assert not status.success
    assert repr(status).startswith("set laser: ")
    assert "no complete reply" in repr(status)
