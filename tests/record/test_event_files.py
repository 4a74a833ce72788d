"""Event files of runs, as TensorBoard itself reads them: past runs and runs under way."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn.bench import Bench
from labonn.cli import main
from labonn.record import open_record
from labonn.record.event_files import export, follow
from labonn.record.recorder import Recorder

pytest.importorskip("tensorboardX")
accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
Play = Callable[[Bench, int], None]
STEPS = 6


def read(folder: Path) -> Any:
    """By TensorBoard, nothing left out."""
    found = accumulator.EventAccumulator(str(folder), dict.fromkeys(accumulator.DEFAULT_SIZE_GUIDANCE, 0))
    found.Reload()
    return found


def steps(found: Any, tag: str) -> list[int]:
    return [event.step for event in found.Scalars(tag)]


def played(bench: Bench, recorder: Recorder, play: Play, numbers: range) -> None:
    for step in numbers:
        play(bench, step)
        recorder.step(step, {"loss": 1 / step})
        if step % 3 == 0:
            recorder.report({"epoch": step // 3, "validation_accuracy": step / 10})


@pytest.fixture
def run(bench: Bench, recorder: Recorder, folder: Path, play: Play) -> Path:
    """A finished one."""
    recorder.hardware("start")
    recorder.event("bench open")
    played(bench, recorder, play, range(1, STEPS + 1))
    recorder.finish("finished", result={"test_accuracy": 0.875, "steps": STEPS, "note": "none"})
    return folder


def test_tensorboard_reads_every_number_at_its_step_and_time(run: Path, tmp_path: Path) -> None:
    with open_record(run) as record:
        written = export(record, tmp_path / "board")
        assert written == tmp_path / "board" / run.name
        found = read(written)
        losses, times = record.metrics("loss"), record.steps()["time"]
        assert steps(found, "step/loss") == losses["step"].tolist()
        assert [event.value for event in found.Scalars("step/loss")] == pytest.approx(losses["value"].tolist(), rel=1e-6)
        assert [event.wall_time for event in found.Scalars("step/loss")] == times.tolist()
        assert steps(found, "report/validation_accuracy") == [3, 6]
        weights = record.commands("weights1")
        assert [event.value for event in found.Scalars("command/weights1/max")] == pytest.approx(weights["max"].tolist(), rel=1e-6)
        light = record.readings("forward_in")
        assert [event.value for event in found.Scalars("reading/forward_in/mean")] == pytest.approx(light["mean"].tolist(), rel=1e-6)
        assert [event.value for event in found.Scalars("reading/forward_in/saturated")] == light["saturated"].tolist()
        assert found.Scalars("result/test_accuracy")[0].value == 0.875


def test_histograms_frames_and_words_are_there_too(run: Path, tmp_path: Path) -> None:
    pil: Any = pytest.importorskip("PIL.Image")
    with open_record(run) as record:
        found = read(export(record, tmp_path))
        seen, frames = record.histograms("forward_in"), record.frames("weights1")
    histogram = found.Histograms("reading/forward_in")[-1]
    assert histogram.step == seen["step"][-1]
    assert histogram.histogram_value.bucket == seen["counts"][-1].tolist()
    assert (histogram.histogram_value.min, histogram.histogram_value.bucket_limit[-1]) == (seen["low"][-1], seen["high"][-1])
    images = found.Images("frame/weights1")
    assert [image.step for image in images] == frames["step"].tolist()
    with pil.open(BytesIO(images[-1].encoded_image_string)) as image:
        shown = np.asarray(image).reshape(image.height, image.width, -1)[:, :, 0]
    assert shown.shape == (8, 16)
    assert shown.tolist() == np.full((8, 16), round(255 * (frames["values"][-1][0] + 1) / 2)).tolist()  # between -1 and 1
    assert "command/input" in found.Tags()["histograms"]  # no rows and columns
    words = b"".join(found.Tensors("events/text_summary")[-1].tensor_proto.string_val).decode()
    assert "- info: bench open" in words
    assert "settings/text_summary" in found.Tags()["tensors"]


def hparams(folder: Path) -> list[Any]:
    """What the plugin of that name has in the file, part by part."""
    plugin = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")
    found = []
    for file in folder.glob("events*"):
        data = file.read_bytes()
        while data:
            (size,) = struct.unpack("<Q", data[:8])
            event = accumulator.event_pb2.Event.FromString(data[12 : 12 + size])
            data = data[16 + size :]
            about = [value.metadata.plugin_data for value in event.summary.value]
            found += [plugin.HParamsPluginData.FromString(one.content) for one in about if one.plugin_name == "hparams"]
    return found


def test_the_table_of_runs_has_settings_result_and_how_it_ended(tmp_path: Path) -> None:
    command = ["run", "train_vapour_cell", "--dry-run", "--hidden", "8", "--epochs", "1", "--limit", "64", "--lr", "3e-3"]
    assert main([*command, "--checkpoint", "0", "--out", str(tmp_path / "runs")]) == 0
    assert main(["runs", "export", "latest", "--out", str(tmp_path / "runs"), "--tensorboard", str(tmp_path / "board")]) == 0
    (folder,) = (tmp_path / "board").iterdir()
    experiment, start, end = hparams(folder)
    assert "result/test_accuracy" in [metric.name.tag for metric in experiment.experiment.metric_infos]
    settings = start.session_start_info.hparams
    assert (settings["lr"].number_value, settings["procedure"].string_value) == (3e-3, "train_vapour_cell")
    assert "out" not in settings
    assert end.session_end_info.status == 1  # success
    assert read(folder).Images("frame/weights1")


def test_a_run_that_failed_is_told_as_such(recorder: Recorder, folder: Path, tmp_path: Path) -> None:
    recorder.finish("failed", "LinkError: gone")
    with open_record(folder) as record:
        assert hparams(export(record, tmp_path))[-1].session_end_info.status == 2


def test_a_run_under_way_is_followed_to_its_end_without_a_step_twice(
    bench: Bench, recorder: Recorder, folder: Path, play: Play, tmp_path: Path
) -> None:
    seen: list[list[int]] = []

    class Turns:
        """A clock at whose waits the run goes on."""

        concurrent = False

        def now(self) -> float:
            return 0.0

        def wait(self, seconds: float) -> None:
            assert seconds > 0
            (board,) = (tmp_path / "board").iterdir()
            found = read(board)
            seen.append(steps(found, "step/loss") if "step/loss" in found.Tags()["scalars"] else [])
            if len(seen) < 4:
                played(bench, recorder, play, range(3 * len(seen) - 2, 3 * len(seen) + 1))
            else:
                recorder.finish("finished", result={"test_accuracy": 0.5})
            if not recorder._closed:
                recorder.flush()

    recorder.flush()
    with open_record(folder) as record:
        board = follow(record, tmp_path / "board", Turns())
    assert seen == [[], [1, 2, 3], [1, 2, 3, 4, 5, 6], [*range(1, 10)]]
    found = read(board)
    assert steps(found, "step/loss") == [*range(1, 10)]
    assert steps(found, "report/epoch") == [3, 6, 9]
    assert found.Scalars("result/test_accuracy")[0].step == 9


def test_exporting_again_replaces_and_other_files_stay(run: Path, tmp_path: Path) -> None:
    with open_record(run) as record:
        board = export(record, tmp_path)
        (board / "events.out.tfevents.1.elsewhere").write_bytes(b"")
        export(record, tmp_path)
    assert len(list(board.glob("*.labonn"))) == 1
    assert (board / "events.out.tfevents.1.elsewhere").exists()
    assert steps(read(board), "step/loss") == [*range(1, STEPS + 1)]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["runs", "export", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("labonn: error: ") == 1  # what to do about it may follow
    return captured.err


def test_what_cannot_be_done_is_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "settings.json").write_text('{"procedure": "train_x"}')
    (tmp_path / "file").write_text("")
    assert "cannot be written: " in refused(capsys, str(run), "--tensorboard", str(tmp_path / "file"))
    assert "--follow is about event files; it needs --tensorboard" in refused(capsys, str(run), "--csv", str(tmp_path / "c"), "--follow")
    monkeypatch.setitem(sys.modules, "tensorboardX.event_file_writer", None)
    assert 'pip install "labonn[tensorboard]"' in refused(capsys, str(run), "--tensorboard", str(tmp_path / "board"))
