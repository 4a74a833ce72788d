"""What a bench does is on record: every table, in the step that it was played for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labonn.bench import Bench
from labonn.errors import LimitError, LinkTimeoutError, RecordError
from labonn.record import open_record
from labonn.record.details import Details, packed, unpacked
from labonn.record.gathering import Command
from labonn.record.recorder import Recorder
from labonn.runs import Run
from labonn.shots import ShotTable

Play = Callable[[Bench, int], None]


def test_a_step_has_its_commands_readings_and_numbers(bench: Bench, recorder: Recorder, folder: Path, play: Play) -> None:
    recorder.part()
    before, clock = bench.exchanges, bench.clock.now()
    play(bench, 20)
    play(bench, 40)
    recorder.step(1, {"loss": np.float32(0.5), "accuracy": 0.25, "nothing": float("nan")})
    recorder.flush()
    with open_record(folder) as record:
        steps = record.steps()
        assert (steps["step"].tolist(), steps["tables"].tolist(), steps["shots"].tolist()) == ([1], [2], [6])
        assert steps["exchanges"].tolist() == [bench.exchanges - before]
        assert steps["bench_s"][0] == pytest.approx(bench.clock.now())
        assert bench.clock.now() > clock
        weights = record.commands("weights1")
        assert {name: weights[name].tolist() for name in ("tables", "shots", "rows")} == {"tables": [2], "shots": [6], "rows": [2]}
        assert [weights[name][0] for name in ("min", "mean", "max")] == pytest.approx([0.02, 0.03, 0.04])
        assert weights["rms"][0] == pytest.approx(np.sqrt((0.02**2 + 0.04**2) / 2))
        light = record.readings("forward_in")
        assert (light["shots"].tolist(), light["bad"].tolist()) == ([6], [0])
        assert light["min"][0] <= light["mean"][0] <= light["max"][0]
        assert record.metrics("loss")["value"].tolist() == [0.5]
        assert np.isnan(record.metrics("nothing")["value"]).all()
        assert record.names("step") == ["accuracy", "loss", "nothing"]


def test_readings_are_those_that_the_plan_was_given(bench: Bench, recorder: Recorder, folder: Path) -> None:
    light = bench.play(ShotTable({"weights1": np.full((1, 128), 0.5, np.float32)}, read=("forward_in",), shots=1))["forward_in"]
    expected = light.astype(np.float64)
    light[:] = 1e9  # plans may do what they like with what they get
    recorder.step(1, {})
    recorder.flush()
    with open_record(folder) as record:
        found = record.readings("forward_in")
        assert (found["min"][0], found["max"][0]) == (expected.min(), expected.max())
        assert found["std"][0] == pytest.approx(expected.std(), rel=1e-3)
        assert record.histograms("forward_in")["counts"].sum() == expected.size


def test_a_bank_that_the_port_holds_already_is_not_counted_as_sent_again(bench: Bench, recorder: Recorder, folder: Path) -> None:
    bank = np.full((1, 128), 0.25, np.float32)
    for step in (1, 2):
        bench.play(ShotTable({"weights1": bank}, read=(), shots=1))
        recorder.step(step, {})
    bench.safe()
    bench.play(ShotTable({"weights1": bank}, read=(), shots=1))
    recorder.step(3, {})
    recorder.flush()
    with open_record(folder) as record:
        assert record.commands("weights1")["rows"].tolist() == [1, 0, 1]
        assert record.commands("weights1")["max"].tolist() == [0.25] * 3


def test_what_is_played_outside_steps_belongs_to_no_step(bench: Bench, recorder: Recorder, folder: Path, play: Play) -> None:
    play(bench, 1)
    recorder.part()
    recorder.part()
    play(bench, 2)
    recorder.step(1, {"loss": 1.0})
    play(bench, 3)
    recorder.report({"epoch": 1, "validation_accuracy": 0.5})
    play(bench, 4)
    recorder.finish("finished", result={"accuracy": 0.5})
    with open_record(folder) as record:
        tables = {kind: record.steps(kind=kind)["tables"].tolist() for kind in ("part", "step", "report", "end")}
        assert tables == {"part": [1], "step": [1], "report": [1], "end": [1]}
        assert record.reports() == [{"epoch": 1, "validation_accuracy": 0.5}]
        assert record.metrics("validation_accuracy")["step"].tolist() == [1]
        assert record.frames("weights1")["values"][-1] == pytest.approx(np.full(128, 0.004))
        assert record.status() == "finished"
        assert record.sessions()[0]["result"] == {"accuracy": 0.5}


def test_a_long_stretch_without_steps_is_written_down_now_and_then(
    bench: Bench, recorder: Recorder, folder: Path, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labonn.record.recorder.PART_S", 0.0)
    for amplitude in range(3):
        play(bench, amplitude)
    recorder.flush()
    with open_record(folder) as record:
        assert record.steps(kind="part")["shots"].tolist() == [3, 3, 3]


def test_when_a_step_has_ended_the_one_before_is_on_the_disk(bench: Bench, recorder: Recorder, folder: Path, play: Play) -> None:
    for step in range(1, 30):
        play(bench, step)
        recorder.step(step, {"loss": 1 / step})
        assert recorder.committed_step in (step - 1, step)
        with open_record(folder) as record:
            assert record.newest().get("step", 0) >= step - 1
    recorder.flush()
    assert recorder.committed_step == 29


def test_other_programs_find_the_same_in_the_tables_by_sql(bench: Bench, recorder: Recorder, folder: Path, play: Play) -> None:
    play(bench, 20)
    recorder.step(7, {"loss": 0.5})
    recorder.finish("finished")
    db = sqlite3.connect(folder / "record.sqlite")
    assert db.execute("SELECT step, kind, value FROM metrics WHERE name = 'loss'").fetchall() == [(7, "step", 0.5)]
    assert db.execute("SELECT step, shots, max FROM commands WHERE port = 'weights1'").fetchone() == (7, 3, pytest.approx(0.02))
    assert db.execute("SELECT step, shots, saturated FROM readings WHERE port = 'forward_in'").fetchone() == (7, 3, 0)
    assert db.execute("PRAGMA user_version").fetchone() == (2,)
    db.close()
    assert sorted(path.name for path in folder.iterdir()) == ["events.log", "record.sqlite"]  # no log is left beside it


def test_errors_have_their_class_words_and_traceback(
    bench: Bench, recorder: Recorder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*about: object, **more: object) -> None:
        raise LinkTimeoutError("weights1: no reply in 2 s")

    monkeypatch.setattr(bench.ports["weights1"], "load", lost)
    with pytest.raises(LinkTimeoutError) as raised:
        bench.play(ShotTable({"weights1": np.zeros((1, 128), np.float32)}, shots=1))
    recorder.error(raised.value)  # the same again, from whoever caught it
    with pytest.raises(LimitError) as refused:
        bench.play(ShotTable({"weights1": np.full((1, 128), 7, np.float32)}, shots=1))
    recorder.error(refused.value)
    recorder.finish("failed", "LimitError")
    with open_record(folder) as record:
        assert [error["class"] for error in record.errors()] == ["LinkTimeoutError", "LimitError"]
        assert "weights1: no reply in 2 s" in record.errors()[0]["text"]
        assert "def lost" not in record.errors()[0]["traceback"]
        assert "in lost" in record.errors()[0]["traceback"]
        assert record.status() == "failed"


def test_the_instruments_are_on_record_at_the_start_and_once_they_are_safe(tmp_path: Path, bench: Bench, play: Play) -> None:
    run = Run.create(tmp_path / "runs", "train_x", {"dry_run": True, "command": "labonn run"}, seed=4)
    run.write_bytes("bench.toml", b"# as run\n")
    run.observe(bench)
    play(bench, 1)
    run.event("half-way\nthrough", "warning")
    bench.close()
    run.finish({"accuracy": 1.0})
    with open_record(run.folder) as record:
        start, end = record.hardware("start"), record.hardware("end")
        assert set(start) == set(end) == set(bench.ports)
        assert start["gain"]["identity"] == bench.ports["gain"].identity
        assert (start["gain"]["upper"], start["gain"]["upper_rule"]) == (0.024, "driver")
        assert len(start["ovens"]["temperature_c"]) == 1
        (session,) = record.sessions()
        assert (session["seed"], session["bench_file"], session["command"], session["dry_run"]) == (4, "# as run\n", "labonn run", 1)
        assert session["versions"]["numpy"] == np.__version__
        assert [(event["level"], event["text"]) for event in record.events()] == [
            ("warning", "half-way\nthrough"), ("info", "every actuator was made safe"),
        ]  # fmt: skip
    assert json.loads((run.folder / "result.json").read_text())["status"] == "finished"


def test_drift_checks_tell_whether_they_passed(recorder: Recorder, folder: Path) -> None:
    assert recorder.check("dark level of output", 0.001, -0.01, 0.01, "V")
    assert not recorder.check("dark level of output", 0.02, -0.01, 0.01, "V")
    recorder.flush()
    with open_record(folder) as record:
        assert [(check["value"], check["passed"]) for check in record.checks()] == [(0.001, 1), (0.02, 0)]


def test_a_resumed_run_goes_on_in_the_same_record_and_what_it_did_again_counts_once(bench: Bench, folder: Path, play: Play) -> None:
    for session, steps in ((1, range(1, 8)), (2, range(4, 6)), (3, range(6, 10))):
        recorder = bench.observer = Recorder(folder, bench, {})
        assert recorder.session == session
        if session > 1:
            play(bench, 0)  # to find the light again
            recorder.resumed(steps[0] - 1, (steps[0] - 1) // 2)
        for step in steps:
            play(bench, step)
            recorder.step(step, {"loss": 10 * session + step})
            if step % 2 == 0:
                recorder.report({"epoch": step // 2, "session": session})
        recorder.finish("interrupted" if session < 3 else "finished")
    bench.observer = None
    with open_record(folder) as record:
        assert record.steps()["step"].tolist() == list(range(1, 10))
        assert record.metrics("loss")["value"].tolist() == [11, 12, 13, 24, 25, 36, 37, 38, 39]
        assert [(row["epoch"], row["session"]) for row in record.reports()] == [(1, 1), (2, 2), (3, 3), (4, 3)]
        assert record.commands("weights1")["max"] == pytest.approx(1e-3 * np.arange(1, 10))
        assert [session["resumed_after"] for session in record.sessions()] == [None, 3, 5]
        assert len(record.steps(points=4)["step"]) <= 5
        assert record.status() == "finished"


def test_a_run_that_is_resumed_at_the_end_of_an_epoch_reports_it_once(bench: Bench, folder: Path, play: Play) -> None:
    recorder = Recorder(folder, bench, {})
    recorder.step(1, {})
    recorder.report({"epoch": 1, "from": 1})
    recorder.finish("interrupted")
    again = Recorder(folder, bench, {})
    again.resumed(1, 0)  # the checkpoint was taken before the report
    again.report({"epoch": 1, "from": 2})
    again.finish("finished")
    with open_record(folder) as record:
        assert record.reports() == [{"epoch": 1, "from": 2}]


def test_frames_and_histograms_come_at_most_ten_times_a_second_and_large_frames_seldom() -> None:
    now = [0.0]
    details, commands = Details({}, lambda: now[0]), {}
    for port, channels in (("small", 8), ("large", 100_000)):
        commands[port] = Command()
        commands[port].tables, commands[port].bank, commands[port].order = 1, np.zeros((1, channels)), np.zeros(1, np.int64)
    frames = []
    for entry in range(3000):
        now[0] = 0.02 * entry
        frames += [(row[0], row[1]) for row in details.rows(entry, commands, {}).get("frames", [])]
    counts = {port: sum(name == port for _, name in frames) for port in commands}
    assert counts["small"] == pytest.approx(600, abs=110)
    assert counts["large"] == 3  # of 100 kB each: every 25 seconds


@pytest.mark.parametrize("channels", [1, 4096, 4097, 100_000])
def test_a_frame_comes_back_as_it_was_or_to_a_step_of_256(channels: int) -> None:
    frame = np.random.default_rng(0).uniform(-2, 3, channels).astype(np.float32)
    low, high, codes = packed(frame)
    found = unpacked(channels, low, high, codes)
    assert len(codes) == channels * (4 if channels <= 4096 else 1)
    assert np.abs(found - frame).max() <= (0 if channels <= 4096 else 5 / 255 / 2 + 1e-6)


def test_a_record_of_something_else_or_of_another_version_is_refused(tmp_path: Path, bench: Bench, folder: Path) -> None:
    with pytest.raises(RecordError, match=r"there is no record\.sqlite in this folder"):
        open_record(tmp_path)
    with pytest.raises(RecordError, match="no such file"):
        open_record(tmp_path / "nothing")
    (folder / "record.sqlite").write_bytes(b"not a database at all, but long enough to look at" * 40)
    with pytest.raises(RecordError, match="file is not a database"):
        open_record(folder)
    with pytest.raises(RecordError, match="file is not a database"):
        Recorder(folder, bench, {})
    (folder / "record.sqlite").unlink()
    db = sqlite3.connect(folder / "record.sqlite")
    db.execute("CREATE TABLE mine (x)")
    db.commit()
    with pytest.raises(RecordError, match="is not the record of a run"):
        open_record(folder)
    with pytest.raises(RecordError, match="is not the record of a run"):
        Recorder(folder, bench, {})
    db.execute("PRAGMA application_id = 1818321518")
    db.execute("PRAGMA user_version = 9")
    db.commit()
    db.close()
    with pytest.raises(RecordError, match="has version 9 of the tables; this labonn knows versions 1 to 2"):
        open_record(folder)
