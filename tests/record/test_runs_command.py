"""labonn runs: list, show, export."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn.cli import main
from labonn.cli.runs_text import metrics_table, thin
from labonn.record import open_record

RUN = ["run", "train_vapour_cell", "--dry-run", "--hidden", "8", "--limit", "192", "--epochs", "3", "--checkpoint", "0"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, one of which only the beginning is there, and something else."""
    made = tmp_path_factory.mktemp("place") / "runs"
    assert main([*RUN, "--out", str(made)]) == 0
    early = made / "20000101T000000Z-train_y"
    early.mkdir()
    (early / "settings.json").write_text(json.dumps({"procedure": "train_y", "seed": 1}))
    (early / "events.log").write_text("")
    (made / "notes").mkdir()
    return made


@pytest.fixture
def run(out: Path) -> Path:
    return max(out.glob("*-train_vapour_cell"))


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["runs", *arguments]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["runs", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("labonn: error: ") == 1  # what to do about it may follow
    return captured.err


def test_runs_are_listed_the_newest_first_in_80_columns(out: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head, first, second = told(capsys, "list", "--out", str(out)).splitlines()
    assert head.split() == ["run", "procedure", "status", "steps", "best", "took"]
    assert first.split()[:4] == [run.name.partition("-")[0], "train_vapour_cell", "finished", "9"]
    assert " % " in first
    assert second.split() == ["20000101T000000Z", "train_y", "died", "-", "-", "-"]
    assert max(map(len, (head, first, second))) <= 80
    found = json.loads(told(capsys, "list", "--out", str(out), "--json"))["runs"]
    assert [(one["status"], one["steps"]) for one in found] == [("finished", 9), ("died", None)]
    assert found[0]["best"]["metric"] == "validation_accuracy"
    assert found[0]["folder"] == str(run)


def test_a_place_without_runs_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "list", "--out", str(tmp_path / "nothing")) == f"no runs in {tmp_path / 'nothing'}\n"
    assert json.loads(told(capsys, "list", "--out", str(tmp_path), "--json")) == {"runs": []}


@pytest.mark.parametrize("how", ["latest", "name", "id", "beginning", "folder"])
def test_a_run_is_found_by_whatever_names_only_it(how: str, out: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stamp = run.name.partition("-")[0]
    wanted = {"latest": "latest", "name": run.name, "id": stamp, "beginning": run.name[:-3], "folder": str(run)}[how]
    assert told(capsys, "show", wanted, "--out", str(out)).startswith(f"{run.name}: finished\n")


def test_what_names_no_run_or_several_is_refused_with_names(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nope: no run is called so; newest in " in refused(capsys, "show", "nope", "--out", str(out))
    assert "2: several runs in " in refused(capsys, "show", "2", "--out", str(out))
    assert "there is no record.sqlite in this folder" in refused(capsys, "show", "20000101", "--out", str(out))
    assert "list, show or export is wanted" in refused(capsys)
    assert "unrecognized arguments: --jso" in refused(capsys, "list", "--jso")
    assert "--csv DIR, --netcdf FILE or --tensorboard DIR is wanted" in refused(capsys, "export", "latest", "--out", str(out))


def test_a_run_is_shown_with_everything_that_one_asks_for_first(out: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "show", "latest", "--out", str(out))
    assert max(map(len, text.splitlines())) <= max(80, len(f"folder    {run}"), len(f"command   labonn {' '.join(RUN)} --out {out}"))
    for wanted in ("labonn run train_vapour_cell", "done      9 steps", "seed      0, a dry run", "numpy", "best      validation accuracy"):
        assert wanted in text
    assert "  gain: Q8iv" in text
    assert "accuracy" in text
    assert "every actuator was made safe" in text
    assert "errors" not in text
    found = json.loads(told(capsys, "show", "latest", "--out", str(out), "--json"))
    assert found["sessions"][0]["settings"]["options"]["epochs"] == 3
    assert "[ports.gain]" in found["sessions"][0]["bench_file"]
    assert len(found["reports"]) == 3
    assert found["metrics"]["loss"]["step"] == list(range(1, 10))
    assert found["hardware"]["end"]["gain"]["channels"] == 2


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_are_exported_as_csv(out: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = told(capsys, "export", "latest", "--csv", str(tmp_path / "csv"), "--out", str(out)).split()
    assert {Path(name).stem for name in written} == {"steps", "reports", "commands", "readings", "events", "sessions"}
    assert sorted(map(Path, written)) == sorted((tmp_path / "csv").iterdir())
    steps = rows(tmp_path / "csv/steps.csv")
    assert [row["step"] for row in steps] == [str(n) for n in range(1, 10)]
    with open_record(run) as record:
        assert [float(row["loss"]) for row in steps] == record.metrics("loss")["value"].tolist()
        weights = [row for row in rows(tmp_path / "csv/commands.csv") if row["port"] == "weights1" and row["kind"] == "step"]
        assert [float(row["max"]) for row in weights] == record.commands("weights1")["max"].tolist()
    assert rows(tmp_path / "csv/reports.csv") == rows(run / "metrics.csv")


def test_a_folder_that_cannot_be_written_to_is_one_line(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert "steps.csv: cannot be written: " in refused(capsys, "export", "latest", "--csv", str(tmp_path / "file"), "--out", str(out))


def test_the_record_is_exported_as_netcdf_that_another_library_reads(
    out: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("xarray")
    h5py: Any = pytest.importorskip("h5py")
    path = tmp_path / "a" / "run.nc"
    assert told(capsys, "export", run.name, "--netcdf", str(path), "--out", str(out)) == f"{path}\n"
    assert [file.name for file in path.parent.iterdir()] == ["run.nc"]
    with open_record(run) as record, h5py.File(path) as file:
        assert file["loss"][:].tolist() == record.metrics("loss")["value"].tolist()
        assert file["shots"][:].tolist() == record.steps()["shots"].tolist()
        ports = [port.decode() for port in file["detector"][:]]
        assert ports == record.names("reading")
        light = file["reading_max"][:, ports.index("output")]
        assert light.tolist() == record.readings("output")["max"].tolist()
        assert np.isnan(file["reading_max"][:, ports.index("backward_in")][5:]).any()
        assert file["report_validation_accuracy"].shape == (3,)
        assert file.attrs["procedure"] == "train_vapour_cell"
        assert "[ports.gain]" in file.attrs["bench_file"]


def test_without_xarray_netcdf_says_what_to_install(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    message = refused(capsys, "export", "latest", "--netcdf", str(tmp_path / "run.nc"), "--out", str(out))
    assert 'pip install "labonn[export]"' in message


def test_long_tables_are_thinned_and_wide_ones_cut_with_words() -> None:
    many = [{"epoch": number, "train_loss": 1 / (number + 1)} for number in range(100)]
    assert [row["epoch"] for row in thin(many, 4)] == [0, 33, 66, 99]
    text = metrics_table(many)
    assert text.startswith("metrics, 12 of 100 rows\n")
    assert text.splitlines()[-1].split() == ["99", "0.01"]
    wide = metrics_table([{f"quite_a_long_name{number}": 1.0 for number in range(20)}])
    assert "(--json has quite_a_long_name" in wide
    assert max(map(len, wide.splitlines()[1:])) <= 80
    assert metrics_table([]) == ""
