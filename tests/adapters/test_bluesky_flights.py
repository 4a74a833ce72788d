"""Whole shot tables as fly scans, and labonn plans inside of Bluesky's: one round trip, the same readings, valid pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from bluesky.utils import FailedStatus

from labonn.adapters.bluesky_plans import fly_plan, play, run_plan
from labonn.bench import Bench
from labonn.errors import LimitError, TableError
from labonn.shots import Changes, ShotTable

Opened = Callable[..., Any]
ROWS, REPEATS = 20, 3


def sweep(read: tuple[str, ...] | None = None) -> ShotTable:
    volts = np.linspace(-4, 4, ROWS)[:, None] + np.zeros(32)
    return ShotTable(
        {"laser": np.full((1, 1), 0.015), "modulators": volts}, {"modulators": np.repeat(np.arange(ROWS), REPEATS)}, 1e-5, read
    )


def alone(table: ShotTable, name: str = "modulator_row") -> dict[str, Any]:
    """What a bench without Bluesky reads."""
    with Bench.open(f"procedures/benches/{name}.toml", dry_run=True, ideal=True) as bench:
        return bench.play(table)


@pytest.mark.parametrize("own", [True, False], ids=["fly_plan", "bp.fly"])
def test_a_table_is_one_page_of_events_a_shot_and_as_many_exchanges_as_without_bluesky(
    own: bool, devices: Opened, engine: Any, documents: Any
) -> None:  # fmt: skip
    row = devices("modulator_row")
    with Bench.open("procedures/benches/modulator_row.toml", dry_run=True, ideal=True) as bench:
        opened = bench.exchanges
        wanted = bench.play(sweep())["outputs"]
        exchanges = bench.exchanges - opened
    row.output.set("on").wait()  # nothing: the thread is there
    before, counted = row.bench.exchanges, []
    row.bench.observer = type(
        "Watcher", (), {"played": lambda *_: counted.append(row.bench.exchanges - before), "made_safe": lambda _: None}
    )()
    result = engine(fly_plan(row, sweep()) if own else bp.fly([row.flyer("shots", sweep())]))
    assert counted == [exchanges]
    (page,) = documents.of("event_page")
    np.testing.assert_array_equal(page["data"]["outputs"], wanted.astype(np.float64))
    np.testing.assert_array_equal(page["data"]["modulators"][:, 7], np.repeat(np.linspace(-4, 4, ROWS), REPEATS))
    np.testing.assert_array_equal(page["data"]["laser"], np.full(ROWS * REPEATS, 0.015))
    assert page["seq_num"] == list(range(1, ROWS * REPEATS + 1))
    keys = documents.of("descriptor")[0]["data_keys"]
    assert keys["modulators"]["shape"] == [32]
    assert keys["laser"]["shape"] == []
    if own:
        np.testing.assert_array_equal(result.plan_result["outputs"], wanted)
        assert row.points.rows == {}  # safe at its end


def test_a_table_may_be_one_event_with_arrays(devices: Opened, engine: Any, documents: Any) -> None:
    row = devices("modulator_row")
    engine(fly_plan(row, sweep(), whole=True))
    (page,) = documents.of("event_page")
    assert page["seq_num"] == [1]
    np.testing.assert_array_equal(page["data"]["outputs"][0], alone(sweep())["outputs"].astype(np.float64))
    assert documents.of("descriptor")[0]["data_keys"]["outputs"]["shape"] == [ROWS * REPEATS, 32]


def test_sparse_banks_are_told_as_the_values_that_were_played(devices: Opened, engine: Any, documents: Any) -> None:
    row = devices("modulator_row")
    bank = Changes(np.ones(32), np.array([[4], [9]]), np.array([[2.0], [3.0]]))
    engine(fly_plan(row, ShotTable({"modulators": bank}, {"modulators": np.array([1, 0])})))
    (page,) = documents.of("event_page")
    wanted = np.ones((2, 32))
    wanted[0, 9], wanted[1, 4] = 3.0, 2.0
    np.testing.assert_array_equal(page["data"]["modulators"], wanted)


def test_of_a_wide_port_events_have_the_number_of_the_row(devices: Opened, engine: Any, documents: Any) -> None:
    cell = devices("vapour_cell")
    width = len(cell.bench.specs["weights1"])
    banks = {"weights1": np.full((1, width), 0.02, np.float32), "gain": np.full((1, 3), 1e-3), "input": np.zeros((4, 784))}
    engine(fly_plan(cell, ShotTable(banks, {"input": np.array([3, 1])}, 1e-5, ("forward_in",))))
    (page,) = documents.of("event_page")
    assert list(page["data"]["weights1_row"]) == [0, 0]
    assert page["data"]["input"].shape == (2, 784)
    assert page["data"]["forward_in"].shape == (2, len(cell.bench.specs["forward_in"]))


def climb() -> Any:
    """A plan with two kinds of tables: a sweep, then looks at the best row of it."""
    readings = yield sweep()
    best = int(readings["outputs"][:, 5].argmax())
    for _ in range(3):
        look = yield ShotTable({}, {"modulators": np.array([best // REPEATS] * 2)}, 1e-5)  # from memory
    return best, look["outputs"].mean(axis=0)


@pytest.mark.parametrize("whole", [True, False])
def test_a_labonn_plan_runs_inside_bluesky_and_gives_its_result(whole: bool, devices: Opened, engine: Any, documents: Any) -> None:
    row = devices("modulator_row")
    best, light = engine(run_plan(row, climb(), whole=whole)).plan_result
    with Bench.open("procedures/benches/modulator_row.toml", dry_run=True, ideal=True) as bench:
        wanted, seen = bench.run(climb())
    assert best == wanted
    np.testing.assert_array_equal(light, seen)
    assert documents.of("start")[0]["labonn_plan"] == "climb"
    assert [d["name"] for d in documents.of("descriptor")] == ["tables", "tables_2"]
    assert [len(page["seq_num"]) for page in documents.of("event_page")] == ([1, 1, 1, 1] if whole else [60, 2, 2, 2])
    assert documents.of("stop")[0]["num_events"] == ({"tables": 1, "tables_2": 3} if whole else {"tables": 60, "tables_2": 6})
    assert row.points.rows == {}


def test_tables_can_be_flown_between_steps_of_a_scan(devices: Opened, engine: Any, documents: Any) -> None:
    row = devices("modulator_row")
    flyer = row.flyer("sweep")
    table = ShotTable({"modulators": np.eye(32) * 3}, {"modulators": np.arange(32)}, 1e-5)

    def plan() -> Any:
        for current in (0.01, 0.015):
            yield from bps.mv(row["laser"], current)
            yield from play(flyer, table)
            yield from bps.trigger_and_read([row["laser"], row["outputs"]])

    engine(bpp.stage_wrapper(bpp.run_wrapper(plan()), [flyer]))
    dim, bright = (page["data"]["outputs"] for page in documents.of("event_page"))
    assert np.diag(bright).mean() > 1.5 * np.diag(dim).mean()
    assert [d["name"] for d in documents.of("descriptor")] == ["sweep", "primary"]


def test_a_table_beyond_a_limit_fails_in_words_and_nothing_is_sent(devices: Opened, engine: Any, documents: Any) -> None:
    row = devices("modulator_row")
    table = ShotTable({"modulators": np.full((1, 32), 6.0)})
    with pytest.raises(FailedStatus, match=r"modulators/ch0: 6 V in row 0 is outside -5 to 5 V") as caught:
        engine(fly_plan(row, table))
    assert isinstance(caught.value.__cause__, LimitError)
    assert documents.of("event_page") == []
    assert documents.of("stop")[0]["exit_status"] == "fail"


@pytest.mark.parametrize("step", ["kickoff", "describe_collect", "complete"])
def test_a_flyer_that_was_not_prepared_says_so(step: str, devices: Opened) -> None:
    with pytest.raises(TableError, match=r"sweep: (has no table; prepare it for one|was not kicked off)"):
        getattr(devices("modulator_row").flyer("sweep"), step)()


def test_an_order_without_a_bank_that_nobody_has_played_is_refused(devices: Opened, engine: Any) -> None:
    with pytest.raises(FailedStatus, match="play shots: modulators: an order without a bank"):
        engine(fly_plan(devices("modulator_row"), ShotTable({}, {"modulators": np.zeros(3, np.int64)})))
