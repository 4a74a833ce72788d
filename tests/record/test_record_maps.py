"""What a record knows of a run's parameters, detector ranges, temperatures and efforts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labonn.bench import Bench
from labonn.errors import LinkTimeoutError
from labonn.record import Record, open_record
from labonn.record.layouts import Layout, Map
from labonn.record.recorder import Recorder

Play = Callable[..., None]
LAYOUT = Layout("couplers", "rad", [("1a", 3), ("amp1", 2)], [0, 1, 1, 0, 0], [0, 0, 2, 0, 1], -0.2, 0.2)


def test_a_map_comes_back_with_its_layout_and_the_last_one_is_kept_however_soon_it_came(recorder: Recorder, folder: Path) -> None:
    for step in range(1, 30):
        recorder.step(step, {"loss": 1.0}, {"theta": Map(LAYOUT, np.arange(5) * 0.01 * step)})
    recorder.finish("finished")
    with open_record(folder) as record:
        assert record.map_layouts() == {"theta": LAYOUT}
        maps = record.maps("theta")
        assert maps["values"][-1] == pytest.approx(0.29 * np.arange(5))
        assert 1 <= len(maps["entry"]) < 29
        steps = maps["step"]
        assert maps["values"][:, 1] == pytest.approx(0.01 * steps)
        assert record.maps("phi")["values"].size == 0


def test_a_layout_whose_places_do_not_fit_its_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="a layout of 3 values with 3 columns and 2 rows"):
        Layout("couplers", "rad", [("1a", 3)], [0, 1, 2], [0, 1], -1, 1)


def test_the_range_of_a_detector_is_on_record_with_its_histograms(bench: Bench, recorder: Recorder, folder: Path, play: Play) -> None:
    recorder._details._next_s = 0.0
    play(bench, 1)
    recorder.step(1, {})
    taken = bench.ports["forward_in"].set_range(0.05 * bench.specs["forward_in"].upper)
    recorder._details._next_s = 0.0
    play(bench, 1)
    recorder.step(2, {})
    recorder.finish("finished")
    with open_record(folder) as record:
        ranges = record.ranges("forward_in")
        assert ranges["step"].tolist() == [1, 2]
        assert ranges["high"].tolist() == pytest.approx([bench.specs["forward_in"].upper.max(), taken.max()])
        assert ranges["narrowest"].tolist() == pytest.approx([bench.specs["forward_in"].upper.min(), taken.min()])
        assert ranges["low"].tolist() == pytest.approx(-ranges["high"])
        assert record.histograms("forward_in")["entry"].tolist() == ranges["entry"].tolist()


def test_heaters_are_asked_for_their_temperatures_at_every_report(
    bench: Bench, recorder: Recorder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.step(1, {})
    recorder.report({"epoch": 1})

    def lost() -> None:
        raise LinkTimeoutError("ovens: no reply in 2 s")

    monkeypatch.setattr(bench.ports["ovens"], "temperature", lost)
    recorder.step(2, {})
    recorder.report({"epoch": 2})
    recorder.finish("finished")
    with open_record(folder) as record:
        found = record.temperatures()["ovens"]
        assert found["step"].tolist() == [1, 2]
        assert 10 < found["low"][0] <= found["mean"][0] <= found["high"][0] < 40
        assert np.isnan(found["mean"][1])
    db = sqlite3.connect(folder / "record.sqlite")
    assert db.execute("SELECT problem FROM temperatures ORDER BY entry").fetchall() == [(None,), ("ovens: no reply in 2 s",)]
    db.close()


def test_efforts_are_summed_from_the_beginning_and_thinned_to_the_same_ends(
    bench: Bench, recorder: Recorder, folder: Path, play: Play
) -> None:
    play(bench, 1)
    recorder.part()
    for step in range(1, 21):
        play(bench, step)
        recorder.step(step, {})
    recorder.finish("finished")
    with open_record(folder) as record:
        everything, some = record.effort(), record.effort(points=5)
        assert everything["shots"].tolist() == np.cumsum(record._db.execute("SELECT shots FROM steps ORDER BY entry").fetchall()).tolist()
        assert len(some["entry"]) <= 6
        for name in ("shots", "exchanges", "tables"):
            at = np.searchsorted(everything["entry"], some["entry"])
            assert some[name].tolist() == everything[name][at].tolist()
        later = record.effort(since=int(everything["entry"][9]))
        assert later["shots"].tolist() == everything["shots"][10:].tolist()


def test_a_record_without_maps_is_read_and_gets_them_when_its_run_goes_on(
    bench: Bench, recorder: Recorder, folder: Path, play: Play
) -> None:
    play(bench, 1)
    recorder.step(1, {})
    recorder.finish("interrupted")
    db = sqlite3.connect(folder / "record.sqlite")
    for table in ("maps", "layouts", "ranges", "temperatures"):
        db.execute(f"DROP TABLE {table}")
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    with Record(folder) as record:
        assert (record.map_layouts(), record.temperatures(), len(record.maps("theta")["entry"])) == ({}, {}, 0)
        assert len(record.steps()["entry"]) == 1
    again = Recorder(folder, bench, {})
    again.step(2, {}, {"theta": Map(LAYOUT, np.zeros(5))})
    again.finish("finished")
    with Record(folder) as record:
        assert len(record.maps("theta")["entry"]) == 1
