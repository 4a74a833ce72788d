"""A run's folder and its figure."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from labonn.errors import LabonnError, RecordError
from labonn.figures import training_figure
from labonn.runs import Run, plain


def new(tmp_path: Path, **settings: object) -> Run:
    return Run.create(tmp_path, "train_x", {"dry_run": True, **settings}, seed=5)


def files(run: Run) -> list[str]:
    return sorted(path.name for path in run.folder.iterdir())


def test_two_runs_in_the_same_second_get_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labonn.runs.datetime", Noon)
    runs = [new(tmp_path / "deep" / "er") for _ in range(3)]
    names = [run.folder.name for run in runs]
    assert names == [f"20240229T120000Z-train_x{ending}" for ending in ("", "-2", "-3")]


class Noon:
    @staticmethod
    def now(zone: object) -> object:
        import datetime

        return datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)


def test_settings_are_written_first_with_seed_and_versions(tmp_path: Path) -> None:
    run = new(tmp_path, options={"hidden": (128, 128), "out": Path("x"), "lr": math.nan})
    settings = json.loads((run.folder / "settings.json").read_text())
    assert settings["procedure"] == "train_x"
    assert settings["seed"] == 5
    assert settings["options"] == {"hidden": [128, 128], "out": "x", "lr": None}
    assert set(settings["versions"]) >= {"labonn", "python", "numpy", "scipy"}
    assert settings["versions"]["numpy"] == np.__version__
    assert files(run) == ["settings.json"]


def test_metrics_are_on_the_disk_at_once_and_as_a_table_at_the_end(tmp_path: Path) -> None:
    run = new(tmp_path)
    run.metrics({"epoch": 1, "loss": np.float32(0.5)})
    assert [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()] == [{"epoch": 1, "loss": 0.5}]
    run.metrics({"epoch": 2, "loss": math.inf, "accuracy": 0.25})
    run.finish({"accuracy": 0.25})
    assert (run.folder / "metrics.csv").read_text().split() == ["epoch,loss,accuracy", "1,0.5,", "2,,0.25"]
    assert json.loads((run.folder / "metrics.jsonl").read_text().splitlines()[1])["loss"] is None
    assert json.loads((run.folder / "result.json").read_text()) == {"status": "finished", "problem": None, "result": {"accuracy": 0.25}}


def test_arrays_come_back_as_saved_and_are_replaced_whole(tmp_path: Path) -> None:
    run = new(tmp_path)
    run.save_arrays("weights", first=np.eye(3, dtype=np.float32), second=np.arange(4))
    path = run.save_arrays("weights", first=2 * np.eye(3, dtype=np.float32))
    with np.load(path) as saved:
        assert list(saved) == ["first"]
        assert saved["first"].dtype == np.float32
        assert (saved["first"] == 2 * np.eye(3)).all()
    assert files(run) == ["settings.json", "weights.npz"]


def test_a_write_that_fails_leaves_the_older_file_and_no_litter(tmp_path: Path) -> None:
    run = new(tmp_path)
    run.save_figure("curve", lambda path: path.write_bytes(b"first"))

    def fails(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(RecordError, match=r"curve.png: cannot be written: disk full"):
        run.save_figure("curve", fails)
    assert (run.folder / "curve.png").read_bytes() == b"first"
    assert files(run) == ["curve.png", "settings.json"]


def test_what_is_kept_is_saved_as_it_is_at_the_end(tmp_path: Path) -> None:
    run, weights = new(tmp_path), [np.zeros(2)]
    run.keep("weights", lambda: {"w": weights[0]})
    weights[0] = np.ones(2)
    run.finish(None, "interrupted", "KeyboardInterrupt: SIGINT")
    with np.load(run.folder / "weights.npz") as saved:
        assert (saved["w"] == 1).all()
    assert json.loads((run.folder / "result.json").read_text())["status"] == "interrupted"


def test_the_result_is_written_even_if_something_kept_cannot_be(tmp_path: Path) -> None:
    run = new(tmp_path)
    run.keep("weights", lambda: {"w": 1 / 0})
    with pytest.raises(ZeroDivisionError):
        run.finish({"accuracy": 0.5})
    assert json.loads((run.folder / "result.json").read_text())["result"] == {"accuracy": 0.5}


def test_events_are_single_lines_with_a_time(tmp_path: Path) -> None:
    run = new(tmp_path)
    run.event("first\nwith a second line")
    run.event("next")
    lines = (run.folder / "events.log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["first | with a second line", "next"]
    assert all(line[10] == "T" and line.split(" ")[0].endswith("Z") for line in lines)


def test_a_discarded_run_leaves_nothing_that_was_not_there(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    Run.create(tmp_path / "mine", "x", {}).discard()
    Run.create(tmp_path / "runs", "x", {}).discard()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(LabonnError, match=r"--out .*file: no folder can be made there: File exists"):
        new(tmp_path / "file")


def test_plain_values_of_arrays_dataclasses_and_infinities() -> None:
    @dataclass
    class Inner:
        path: Path
        numbers: np.ndarray

    value = {1: Inner(Path("a/b"), np.array([[1.5, np.nan]])), "n": np.int64(3), "b": np.bool_(True), "t": (1, None, "x")}
    assert plain(value) == {"1": {"path": "a/b", "numbers": [[1.5, None]]}, "n": 3, "b": True, "t": [1, None, "x"]}


ROWS = [{"epoch": e, "train_loss": 1 / e, "validation_accuracy": 0.9 - (e - 3) ** 2 / 100} for e in range(1, 6)]


@pytest.mark.parametrize(
    ("rows", "inputs"), [(ROWS, {"1": np.random.default_rng(0).normal(size=(9, 8))}), (ROWS[:1], {"1": np.zeros(3)}), ([], {})]
)
def test_the_figure_is_a_png_of_useful_size_whatever_was_learned(
    tmp_path: Path, rows: list[dict[str, float]], inputs: dict[str, np.ndarray]
) -> None:
    training_figure(rows, inputs, np.tanh, tmp_path / "f.png")
    content = (tmp_path / "f.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(content[16:20]) > 1200


def test_the_figure_shows_the_best_epoch_and_all_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path: drawn.append(figure))
    training_figure(ROWS, {"layer 1": np.full((10, 4), 0.5), "layer 2": np.array([np.nan, 1.0])}, np.tanh, tmp_path / "f.png")
    learning, histogram = drawn[0].axes[:2]
    assert "90.0 % in epoch 3" in learning.get_title()
    assert [round(float(patch.get_data().values.sum()), 6) for patch in histogram.patches] == [100, 100]
    assert [text.get_text() for text in histogram.get_legend().get_texts()] == ["layer 1", "layer 2", "absorber g(z)"]
