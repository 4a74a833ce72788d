"""Records as xarray data sets: the same numbers as by SQL, with units, times and ports; of several runs; while they are written."""

from __future__ import annotations

import itertools
import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labonn
from labonn.bench import Bench
from labonn.errors import LabonnError, MissingPackageError, RecordError
from labonn.record import Record, open_record
from labonn.record.recorder import Recorder
from labonn.record.schema import READINGS, SQL, prepared

xarray = pytest.importorskip("xarray")
Play = Callable[[Bench, int], None]
STAMPS = ("20260101T120000Z", "20260102T120000Z")


def written(out: Path, stamp: str, steps: int, lr: float, gap: int = 0) -> Path:
    """A run of so many steps with a report every fifth; `gap`: it was resumed once, and did so many steps twice."""
    folder = out / f"{stamp}-train_x"
    folder.mkdir(parents=True)
    settings = {"procedure": "train_x", "seed": 1, "options": {"lr": lr, "data": "mini", "out": str(out), "sizes": [1, 2]}}
    (folder / "settings.json").write_text(json.dumps(settings))
    prepared(folder / "record.sqlite")
    db = sqlite3.connect(folder / "record.sqlite")
    numbers = [*range(1, steps + 1 - gap), *range(steps + 1 - 2 * gap, steps + 1)] if gap else [*range(1, steps + 1)]
    rows, entry = [], 0
    for step in numbers:
        entry += 1
        metrics = json.dumps({"loss": 1 / (step + lr), "gate_s": 2.0 * step, "shots": 7})
        commands = {"gain": [1, 64, 1, 1e-3, 2e-3, 1e-3 * step, 0.5]} | ({"beam": [1, 64, 0, -1, 0, 1, 0.5]} if step % 2 else {})
        readings = {"output": [1, 64, -step, 0.5, step, 0.1, 0, step % 3]}
        columns = (step, 1.7e9 + entry, 0.25, 10.0 * step, 0.125, 1, 64, 7)
        rows.append((entry, 1, "step", *columns, metrics, json.dumps(commands), json.dumps(readings)))
        if step % 5 == 0:
            entry += 1
            rows.append((entry, 1, "report", *columns, json.dumps({"epoch": step // 5, "validation_accuracy": step / 100}), "{}", "{}"))
    settings_text = json.dumps(settings)
    versions = json.dumps({"labonn": "1"})
    db.execute(
        SQL["sessions"],
        (1, "train_x", "labonn run train_x", settings_text, "[ports]", "", versions, '{"gain a": "id"}', 1, 1, "h", "u", 1, 1e9),
    )
    db.execute(SQL["endings"], (1, 1e9 + 500, "finished", None, '{"test_accuracy": 0.5}'))
    if gap:
        again = next(row[0] for row, later in itertools.pairwise(rows) if later[3] < row[3])
        first = next(row[0] for row in rows if row[3] == steps + 1 - 2 * gap)
        db.execute(SQL["resumptions"], (1, first - 1, again + 1, steps - 2 * gap))
    names = [("step", "loss"), ("step", "gate_s"), ("step", "shots"), ("report", "epoch"), ("report", "validation_accuracy")]
    db.executemany(SQL["names"], [*names, ("command", "gain"), ("command", "beam"), ("reading", "output")])
    db.executemany(
        SQL["hardware"], [(1, "start", port, json.dumps({"unit": unit})) for port, unit in (("gain", "A"), ("beam", "V"), ("output", "V"))]
    )
    db.executemany(SQL["steps"], rows)
    db.commit()
    db.close()
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("place") / "runs"
    written(made, STAMPS[0], 20, 0.5)
    written(made, STAMPS[1], 30, 0.25, gap=4)
    return made


def by_sql(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Of what counts, in the second run: all but the entries that were done again."""
    db = sqlite3.connect(folder / "record.sqlite")
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def test_a_data_set_has_the_numbers_that_sql_finds(out: Path) -> None:
    folder = out / f"{STAMPS[0]}-train_x"
    data = labonn.open_run(folder).to_xarray()
    losses = by_sql(folder, "SELECT step, value FROM metrics WHERE name = 'loss' AND kind = 'step' ORDER BY entry")
    assert list(zip(data.step.values.tolist(), data.loss.values.tolist(), strict=True)) == losses
    for port in ("gain", "beam"):
        rows = dict(by_sql(folder, f"SELECT step, max FROM commands WHERE port = '{port}'"))
        found = data.command_max.sel(actuator=port)
        assert {int(step): float(value) for step, value in zip(data.step, found, strict=True) if np.isfinite(value)} == rows
    for place, name in enumerate(READINGS):
        rows_of = by_sql(folder, f"SELECT \"{name}\" FROM readings WHERE port = 'output' ORDER BY entry")
        assert data[f"reading_{name}"].sel(detector="output").values.tolist() == [row[0] for row in rows_of], place
    assert data.report_validation_accuracy.values.tolist() == [0.05, 0.1, 0.15, 0.2]
    assert data.report_step.values.tolist() == [5, 10, 15, 20]


def test_units_names_times_and_settings_come_with_it(out: Path) -> None:
    data = labonn.open_run(STAMPS[0], out).to_xarray()
    assert data.loss.attrs == {"long_name": "loss"}
    assert (data.gate_s.attrs["units"], data.wall_s.attrs["units"], data.bench_s.attrs["units"]) == ("s", "s", "s")
    assert data.reading_mean.attrs == {"long_name": "mean value read", "units": "V"}
    assert "units" not in data.command_max.attrs
    assert data.actuator_unit.sel(actuator="gain").item() == "A"
    assert (data.bench_s.values == 10.0 * data.step.values).all()
    assert data.time.values[0] == np.datetime64(1_700_000_001, "s")
    assert (data.shots.values == 64).all()
    assert (data.metric_shots.values == 7).all()  # a metric called as a column is
    assert json.loads(data.attrs["settings"])["options"]["lr"] == 0.5
    assert (data.attrs["calibrations"], data.attrs["versions"], data.attrs["status"]) == ('{"gain a": "id"}', '{"labonn": "1"}', "finished")


def test_what_a_resumed_run_did_again_counts_once(out: Path) -> None:
    data = labonn.open_run(STAMPS[1], out).to_xarray()
    assert data.step.values.tolist() == list(range(1, 31))
    assert (np.diff(data.entry.values) > 0).all()
    assert data.report_step.values.tolist() == [5, 10, 15, 20, 25, 30]


def test_a_thinned_data_set_has_means_and_extremes_of_stretches(out: Path) -> None:
    record = labonn.open_run(STAMPS[0], out)
    whole, thin = record.to_xarray(), record.to_xarray(points=6)
    assert thin.step.values[-1] == 20
    assert 4 <= thin.sizes["step"] <= 6
    assert set(thin.step.values.tolist()) <= set(range(1, 21))
    last = whole.loss.sel(step=slice(int(thin.step[-2]) + 1, 20))
    assert thin.loss.values[-1] == pytest.approx(last.mean().item())
    assert (thin.loss_low.values[-1], thin.loss_high.values[-1]) == (last.min().item(), last.max().item())
    assert thin.command_max.sel(actuator="gain").values.tolist() == [1e-3 * step for step in thin.step.values]


def test_settings_and_result_are_at_hand_and_a_run_can_be_looked_at(out: Path) -> None:
    run = labonn.open_run(out / "latest")
    assert run.folder.name.startswith(STAMPS[1])
    assert (run.settings["options"]["lr"], run.result) == (0.25, {"test_accuracy": 0.5})
    lines = repr(run).splitlines()
    assert lines[:2] == [f"Run {STAMPS[1]}-train_x: finished, 30 steps, best validation accuracy", "  30.0 %"]
    assert "dry run, seed 1, 5 min 0 s of bench time" in repr(run)
    assert next(line.split() for line in lines if "loss" in line) == ["loss", "step", f"{1 / 30.25:.5g}", "30"]
    assert "<script" not in run._repr_html_()


@pytest.mark.parametrize("name", ["latest", f"{STAMPS[1]}-train_x", STAMPS[1], STAMPS[1][:10]])
def test_a_run_is_opened_by_whatever_names_only_it(out: Path, name: str) -> None:
    assert labonn.open_run(name, out).folder == labonn.open_run(out / name).folder == out / f"{STAMPS[1]}-train_x"
    assert labonn.open_run(out / f"{STAMPS[1]}-train_x" / "record.sqlite").folder.name == f"{STAMPS[1]}-train_x"


def test_no_run_is_told_with_those_that_there_are(out: Path, tmp_path: Path) -> None:
    with pytest.raises(LabonnError, match=r"nope: no run is called so; newest in .*20260102T120000Z"):
        labonn.open_run("nope", out)
    with pytest.raises(LabonnError, match="there is no run with a record in this folder"):
        labonn.open_runs(tmp_path)


def test_several_runs_are_one_data_set_with_what_differs_between_them(out: Path) -> None:
    runs = labonn.open_runs(out)
    assert [run.folder.name[:16] for run in runs] == [STAMPS[1], STAMPS[0]]
    assert len(runs[:1]) == 1
    table = repr(runs).splitlines()
    assert (table[0], table[2].split()[:4]) == ("2 runs", [STAMPS[1], "train_x", "finished", "30"])
    data = runs.to_xarray()
    assert data.loss.dims == ("run", "step")
    assert data.run.values.tolist() == [STAMPS[1], STAMPS[0]]
    assert data.lr.values.tolist() == [0.25, 0.5]
    assert "data" not in data.coords  # the same in both
    assert "out" not in data.coords
    for place, run in enumerate(runs):
        alone = run.to_xarray()
        assert (data.loss[place].dropna("step").values == alone.loss.values).all()
        assert (data.bench_s[place].dropna("step").values == alone.bench_s.values).all()
        assert data.command_max[place].sel(actuator="gain").dropna("step").size == alone.sizes["step"]
    assert np.isnan(data.loss.sel(run=STAMPS[0], step=30))
    assert data.actuator_unit.sel(actuator=["gain", "beam"]).values.tolist() == ["A", "V"]
    assert labonn.open_runs([STAMPS[0], out / STAMPS[1]], out).to_xarray(points=3).sizes["run"] == 2
    with pytest.raises(RecordError, match="no runs"):
        labonn.open_runs([]).to_xarray()


def test_data_sets_survive_a_file(out: Path, tmp_path: Path) -> None:
    pytest.importorskip("h5netcdf")
    for number, data in enumerate((labonn.open_run("latest", out).to_xarray(), labonn.open_runs(out).to_xarray())):
        data.to_netcdf(tmp_path / f"{number}.nc", engine="h5netcdf")
        with xarray.open_dataset(tmp_path / f"{number}.nc", engine="h5netcdf") as back:
            assert set(back.variables) == set(data.variables)
            xarray.testing.assert_equal(back.loss.load(), data.loss)


def test_frames_and_histograms_come_when_they_are_asked_for(bench: Bench, recorder: Recorder, folder: Path, play: Play) -> None:
    for step in (1, 2):
        play(bench, step)
        recorder.step(step, {"loss": 0.5})
    recorder.hardware("start")
    recorder.finish("finished")
    record = open_record(folder)
    data = record.to_xarray(details=["weights1", "forward_in"])
    assert data.frame_weights1.dims == ("weights1_step", "weights1_row", "weights1_column")
    assert data.frame_weights1.shape[1:] == (8, 16)
    assert data.frame_weights1.values[-1] == pytest.approx(np.full((8, 16), 2e-3))
    assert data.histogram_forward_in.sum("bin").values.tolist() == [3 * len(bench.specs["forward_in"])] * data.sizes["forward_in_step"]
    assert (data.forward_in_low < data.forward_in_high).all()
    with pytest.raises(RecordError, match=r"has no port 'nope'; ports are .*weights1"):
        record.to_xarray(details=["nope"])


def test_a_run_that_is_being_written_is_a_whole_number_of_steps(bench: Bench, recorder: Recorder, folder: Path, play: Play) -> None:
    recorder.flush()
    record = open_record(folder)
    assert "running" in repr(record)
    assert record.to_xarray().sizes.get("step") == 0
    for step in range(1, 30):
        play(bench, step)
        recorder.step(step, {"loss": 1 / step})
        data = record.to_xarray(points=None if step % 2 else 7)
        if step > 1:
            assert data.sizes["step"] == len(data.loss.dropna("step"))
            assert step - 1 <= data.step.values[-1] <= step
            assert np.isfinite(data.reading_mean.sel(detector="forward_in").values).all()
    assert record.to_xarray().attrs["status"] == "running"


def test_what_is_asked_at_once_is_of_one_moment(bench: Bench, recorder: Recorder, folder: Path, play: Play) -> None:
    play(bench, 1)
    recorder.step(1, {"loss": 1.0})
    recorder.flush()
    with open_record(folder) as record, record.at_once(), record.at_once():
        before = record.newest()["entry"]
        play(bench, 2)
        recorder.step(2, {"loss": 0.5})
        recorder.flush()
        assert record.newest()["entry"] == before
        assert record.to_xarray().sizes["step"] == 1
    with open_record(folder) as record:
        assert record.to_xarray().sizes["step"] == 2


def test_a_dead_an_empty_and_a_closed_record_can_be_looked_at(recorder: Recorder, folder: Path, tmp_path: Path) -> None:
    recorder.flush()
    recorder.close()
    record = open_record(folder)
    assert repr(record).startswith(f"Run {folder.name}: died, 0 steps")
    record.close()
    assert "it cannot be shown" in repr(record)
    empty = tmp_path / "empty"
    empty.mkdir()
    prepared(empty / "record.sqlite")
    assert repr(Record(empty)) == "Run empty: died; nothing is on record yet"
    assert (Record(empty).settings, Record(empty).result, Record(empty).to_xarray().attrs) == ({}, None, {"status": "died"})


def test_without_xarray_it_says_what_to_install(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingPackageError, match=r'to_xarray needs xarray, which is not installed: pip install "labonn\[export\]"'):
        labonn.open_run("latest", out).to_xarray()
