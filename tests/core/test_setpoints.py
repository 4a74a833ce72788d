"""Setting and reading step by step: the rows stay, readings are those of the same table played at once, failures end safe."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from watcher import Watcher

from labonn.bench import Bench
from labonn.errors import LabonnError, LimitError, LinkTimeoutError, RefusedError, TableError
from labonn.setpoints import Setpoints
from labonn.shots import ShotTable

BENCHES = Path(__file__).parents[2] / "procedures/benches"
DARK_W = 1e-6


@pytest.fixture
def desk() -> Iterator[Bench]:
    with Bench.open(BENCHES / "desk.toml", dry_run=True, ideal=True) as bench:
        yield bench


@pytest.fixture
def row() -> Iterator[Bench]:
    with Bench.open(BENCHES / "modulator_row.toml", dry_run=True, ideal=True) as bench:
        yield bench


def power_of(bench: Bench) -> float:
    """What the power meter sees when nothing is set by a table."""
    return float(bench.play(ShotTable({}, dwell_s=1e-2, read=("power",)))["power"][0, 0])


@pytest.mark.parametrize("name", ["desk", "modulator_row", "gain_row", "heater_bank"])
def test_a_reading_is_that_of_one_table_with_all_that_was_set(name: str) -> None:
    drawn = np.random.default_rng(1)
    with (
        Bench.open(BENCHES / f"{name}.toml", dry_run=True, ideal=True) as one,
        Bench.open(BENCHES / f"{name}.toml", dry_run=True, ideal=True) as other,
    ):
        points = Setpoints(one)
        rows = {
            port: drawn.uniform(one.specs[port].lower, one.specs[port].upper) for port in points.actuators if one.specs[port].unit != "degC"
        }
        for port, values in rows.items():
            points.set({port: values})
        found = points.read(shots=3)
        orders = {port: np.zeros(3, np.int64) for port in rows}
        wanted = other.play(ShotTable({port: values[None] for port, values in rows.items()}, orders, dwell_s=1e-2))
        assert set(found) == set(points.detectors)
        for detector, readings in wanted.items():
            assert np.ptp(readings) > 0 or readings.size == 3
            np.testing.assert_allclose(found[detector], readings, rtol=1e-5, atol=1e-9)


def test_what_was_not_named_stays_and_several_ports_are_one_table(row: Bench) -> None:
    points, watcher = Setpoints(row), Watcher()
    points.set({"modulators": 1.0})
    row.observer = watcher
    points.set({"laser": 0.01, "modulators": {"ch3": 2.0, 5: -2.0}})
    assert len(watcher.tables) == 1
    wanted = np.ones(32)
    wanted[[3, 5]] = 2.0, -2.0
    np.testing.assert_array_equal(points.row("modulators"), wanted)
    np.testing.assert_array_equal(points.row("laser"), [0.01])


def test_a_reading_changes_nothing_and_sends_no_row_again(row: Bench) -> None:
    points = Setpoints(row)
    points.set({"laser": 0.01, "modulators": 1.0})
    row.observer = watcher = Watcher()
    before = points.rows
    points.read()
    points.read()
    first, second = watcher.tables
    assert all(first.banks[port] is second.banks[port] for port in ("laser", "modulators"))
    np.testing.assert_array_equal(points.rows["modulators"], before["modulators"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"laser": 0.03}, r"laser/ch0: 30 mA in row 0 is outside 0 to 20 mA \(modulator_row.toml\)"),
        ({"laser": 0.01, "modulators": {"ch7": float("nan")}}, "modulators/ch7: nan V"),
    ],
)
def test_what_is_beyond_a_limit_is_refused_before_anything_is_sent(row: Bench, values: dict[str, Any], message: str) -> None:
    points = Setpoints(row)
    points.set({"laser": 0.005})
    exchanges = row.exchanges
    for refuse in (points.check, points.set):
        with pytest.raises(LimitError, match=message):
            refuse(values)
    assert row.exchanges == exchanges
    np.testing.assert_array_equal(points.row("laser"), [0.005])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lasers": 0.0}, "lasers: not an actuator of modulator_row.toml; actuators are laser, modulators"),
        ({"outputs": 0.0}, "outputs: not an actuator"),
        ({"modulators": {"ch32": 0.0}}, "modulators: has no channel 'ch32'; channels are ch0 to ch31, or their numbers, 0 to 31"),
        ({"modulators": {-1: 0.0}}, "modulators: has no channel -1"),
        ({"modulators": [0.0, 1.0]}, "modulators: 2 values; the port has 32 channels"),
    ],
)
def test_what_the_bench_does_not_have_is_named(row: Bench, values: dict[str, Any], message: str) -> None:
    with pytest.raises(TableError, match=message):
        Setpoints(row).set(values)


def test_a_single_oven_of_several_cannot_be_set_before_the_others() -> None:
    with Bench.open(BENCHES / "vapour_cell.toml", dry_run=True) as bench:
        points = Setpoints(bench)
        assert np.isnan(points.row("ovens")).all()
        with pytest.raises(TableError, match="ovens: nobody knows where 1 of its 2 channels are: set all of them at once, first"):
            points.set({"ovens": {0: 60.0}})


def test_a_bench_that_somebody_else_made_safe_is_not_switched_on_again_by_a_reading(desk: Bench) -> None:
    points = Setpoints(desk)
    points.set({"laser": 0.05})
    assert points.read(["power"])["power"][0, 0] > 1e-3
    desk.safe()
    assert points.rows == {}
    assert points.read(["power"])["power"][0, 0] < DARK_W


def test_a_channel_is_set_on_from_the_safe_level_after_safe(row: Bench) -> None:
    points = Setpoints(row)
    points.set({"modulators": 1.0})
    points.safe()
    points.set({"modulators": {"ch0": 2.0}})
    np.testing.assert_array_equal(points.row("modulators"), [2.0] + [0.0] * 31)


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [("power:timeout@0", LinkTimeoutError, "power"), ("modulators:refuse@0", RefusedError, "modulators")],
)
def test_a_failing_instrument_leaves_everything_safe_and_nothing_set(
    desk: Bench, fault: str, error: type[LabonnError], message: str
) -> None:  # fmt: skip
    points = Setpoints(desk)
    points.set({"laser": 0.05})
    desk.refault([fault])
    with pytest.raises(error, match=message):
        points.set({"modulators": 1.0}) if error is RefusedError else points.read()
    desk.refault([])
    assert points.rows == {}
    assert power_of(desk) < DARK_W


def test_a_shot_that_is_too_short_for_a_meter_is_refused_and_outputs_stay(desk: Bench) -> None:
    points = Setpoints(desk)
    points.set({"laser": 0.05})
    with pytest.raises(TableError, match="power: a shot of 10 us is shorter than a reading"):
        points.read(dwell_s=1e-5)
    assert points.rows.keys() == {"laser"}
    assert points.read(["power"])["power"][0, 0] > 1e-3


def test_a_held_port_stays_on_a_dark_one_is_dark_between_tables_and_a_keeping_one_keeps(desk: Bench, row: Bench) -> None:
    assert Setpoints(row).between("laser") == "holds"
    assert Setpoints(row).between("modulators") == "dark"
    assert Setpoints(desk).between("modulators") == "keeps"
    points = Setpoints(desk)
    points.set({"laser": 0.05})
    assert power_of(desk) > 1e-3


def test_after_a_table_its_ports_are_at_its_last_row(row: Bench) -> None:
    points = Setpoints(row)
    points.set({"laser": 0.01})
    volts = np.repeat(np.arange(4.0)[:, None], 32, axis=1)
    points.play(ShotTable({"modulators": volts}, {"modulators": np.array([0, 3, 2])}))
    np.testing.assert_array_equal(points.row("modulators"), volts[2])
    points.play(ShotTable({}, {"modulators": np.array([0, 1])}))  # out of memory
    np.testing.assert_array_equal(points.row("modulators"), volts[1])


def test_a_plan_runs_as_on_the_bench_itself(row: Bench) -> None:
    def plan() -> Any:
        readings = yield ShotTable({"laser": np.full((1, 1), 0.015), "modulators": np.full((1, 32), 1.0)})
        return readings["outputs"]

    np.testing.assert_array_equal(Setpoints(row).run(plan()), row.run(plan()))


def test_shots_before_a_dark_port_has_settled_are_played_and_dropped(tmp_path: Path) -> None:
    file = tmp_path / "slow.toml"
    text = (BENCHES / "modulator_row.toml").read_text(encoding="utf-8")
    file.write_text(text.replace("bits = 16\nlower", "bits = 16\nsettle_s = 0.045\nlower", 1), encoding="utf-8")
    with Bench.open(file, dry_run=True) as bench:
        points = Setpoints(bench, dwell_s=1e-2)
        assert points.lead(1e-2) == 0  # nothing is set
        points.set({"modulators": 1.0})
        bench.observer = watcher = Watcher()
        assert points.read(shots=3)["outputs"].shape == (3, 32)
        assert watcher.tables[0].shots == 5 + 3


def test_safe_from_another_thread_breaks_off_what_is_played(desk: Bench) -> None:
    points, pause = Setpoints(desk), threading.Event()
    currents = np.linspace(0.04, 0.05, 20_000)[:, None]
    table = ShotTable({"laser": currents}, {"laser": np.arange(len(currents))}, read=())
    before = desk.exchanges

    seen: list[int] = []

    def make_safe() -> None:
        until = time.monotonic() + 30
        while desk.exchanges < before + 50 and time.monotonic() < until:
            pause.wait(0.001)
        seen.append(desk.exchanges - before)
        points.safe()

    other = threading.Thread(target=make_safe)
    other.start()
    with pytest.raises(LabonnError, match=r"desk.toml: the table was broken off: the bench is to be safe"):
        points.play(table)
    other.join(30)
    assert len(seen) == 1
    assert 50 <= desk.exchanges - before < len(currents)
    assert points.rows == {}
    assert power_of(desk) < DARK_W
    points.set({"laser": 0.05})  # and it goes on
    assert power_of(desk) > 1e-3


def test_safe_on_a_bench_that_is_closed_does_nothing() -> None:
    with Bench.open(BENCHES / "desk.toml", dry_run=True) as bench:
        points = Setpoints(bench)
    exchanges = bench.exchanges
    points.safe()
    assert (bench.closed, bench.exchanges) == (True, exchanges)
