"""Parts of sweeps: data folders as jobs name them, run folders as bytes, records made small, progress."""

from __future__ import annotations

import hashlib
import io
import sqlite3
from pathlib import Path

import pyte
import pytest
from large_runs import large_run

from labonn.errors import SweepError
from labonn.progress import Progress
from labonn.record import open_record
from labonn.reproduce.thinning import thin
from labonn.sweeps import Failure, Job, places
from labonn.sweeps.pace import Pace
from labonn.sweeps.packing import packed, unpack
from labonn.sweeps.sweep import Told
from labonn.sweeps.watching import Watching
from labonn.sweeps.working import Done


def data(folder: Path, content: bytes) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "train-images-idx3-ubyte").write_bytes(content)
    (folder / "a-note.txt").write_text("not of the set")
    return hashlib.sha256(content).hexdigest()


def test_a_job_finds_its_data_only_where_the_folder_has_the_same_content(tmp_path: Path) -> None:
    folder = tmp_path / "mnist"
    wanted = {"data": {"name": "mnist", "sha256": data(folder, b"one")}}
    places.check(wanted, {"data": str(folder)})
    data(folder, b"other")
    with pytest.raises(SweepError, match=rf"--data {folder}: its files on \S+ have SHA-256 .*same path, with the same content"):
        places.check(wanted, {"data": str(folder)})
    with pytest.raises(SweepError, match=rf"--data {folder}-2: no such folder on \S+; every computer"):
        places.check(wanted, {"data": f"{folder}-2"})
    places.check({"data": {"name": "mini", "sha256": ""}}, {"data": "mini"})


def test_a_folder_arrives_as_it_was_and_replaces_what_was_there(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    (one / "run").mkdir(parents=True)
    (one / "run/weights.npz").write_bytes(bytes(range(256)))
    (one / ".scratch").mkdir()
    other.mkdir()
    (other / "old").write_text("of a try before")
    unpack(packed(one), other)
    assert {str(path.relative_to(other)) for path in other.rglob("*")} == {"run", "run/weights.npz"}
    assert (other / "run/weights.npz").read_bytes() == bytes(range(256))
    with pytest.raises(SweepError, match="cannot be unpacked"):
        unpack(packed(one)[:40], other)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other"], "nothing half is left"


def test_a_thinned_record_is_smaller_and_keeps_all_metrics_and_some_commands(tmp_path: Path) -> None:
    folder = large_run(tmp_path, 400)
    before = open_record(folder)
    metrics, effort, steps = before.metrics("loss"), before.effort(), len(before.commands(before.names("command")[0])["entry"])
    detector = before.names("reading")[0]
    histograms = before.histograms(detector)["entry"]
    before.close()
    size = (folder / "record.sqlite").stat().st_size
    thin(folder, 50, 10)
    with open_record(folder) as after:
        assert after.metrics("loss")["value"].tolist() == metrics["value"].tolist()
        assert after.effort()["shots"].tolist() == effort["shots"].tolist()
        kept = after.commands(after.names("command")[0])["entry"]
        assert steps == 400
        assert len(kept) == 50
        assert set(kept % 8) == {0}
        some = after.histograms(detector)["entry"]
        assert len(histograms) > 10
        assert 5 < len(some) <= 10
        assert some[-1] == histograms[-1]
        assert set(some) < set(histograms)
        assert "every 8th step only" in after.events()[-1]["text"]
    assert (folder / "record.sqlite").stat().st_size < size
    thin(folder, 400)
    with sqlite3.connect(folder / "record.sqlite") as db:
        assert db.execute("SELECT count(*) FROM events WHERE text LIKE '%step only%'").fetchone() == (1,)


def test_a_listener_hears_of_a_procedure_s_steps_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[float, str]] = []
    monkeypatch.setattr(Progress, "listener", lambda share, words: heard.append((share, words)))
    now_s = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    with Progress(40, "quiet") as progress:
        for step in range(1, 41):
            now_s[0] += 0.125
            progress.update(step, 64 * step, loss=0.5, epoch=1)
    assert [share for share, _ in heard] == [0.025, 0.225, 0.425, 0.625, 0.825]
    assert heard[0][1] == "epoch 1, step 1/40, loss 0.5"


def test_a_sweep_tells_on_plain_lines_what_is_done_and_what_failed() -> None:
    lines, jobs = io.StringIO(), [Job("m:f", {}, seed, title="Fig. 3") for seed in range(3)]
    with Watching("reproduce", stream=lines) as watching:
        watching.begun(jobs, 1)
        watching.started(jobs[0])
        watching.told(Told(jobs[0], 1.0, done=Done({"test_accuracy": 0.973}, None, 75.2, "here")))
        watching.told(Told(jobs[1], failure=Failure(jobs[1], "ValueError: no", "out/log.txt"), again=True))
        watching.told(Told(jobs[1], failure=Failure(jobs[1], "ValueError: no", "out/log.txt")))
        watching.elsewhere(jobs[2])
    assert lines.getvalue().splitlines() == [
        "reproduce: 4 jobs, 1 of them finished before",
        "reproduce: 2/4 Fig. 3, seed 0: 1:15, test accuracy 97.3 %",
        "reproduce: 2/4 Fig. 3, seed 1: failed: ValueError: no; it is tried again",
        "reproduce: 3/4 Fig. 3, seed 1: failed: ValueError: no; given up; see out/log.txt",
        "reproduce: 4/4 Fig. 3, seed 2: done by another sweep",
    ]
    assert (watching.finished, watching.failed) == (3, 1)


def test_a_failure_without_a_log_leads_to_none() -> None:
    lines, job = io.StringIO(), Job("m:f", {}, title="Fig. 3")
    with Watching("reproduce", stream=lines) as watching:
        watching.begun([job], 0)
        watching.told(Told(job, failure=Failure(job, "KilledWorker: it died")))
    assert lines.getvalue().splitlines()[-1] == "reproduce: 1/1 Fig. 3, seed 0: failed: KilledWorker: it died; given up"


def test_a_quiet_sweep_says_nothing() -> None:
    lines, job = io.StringIO(), Job("m:f", {})
    with Watching("reproduce", "quiet", lines) as watching:
        watching.begun([job], 0)
        watching.told(Told(job, 1.0, done=Done({}, None, 1.0, "here")))
    assert lines.getvalue() == ""


class Terminal(io.StringIO):
    """On which lines can be drawn again."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_counts_what_is_done_and_running_jobs_tell_how_far_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal, screen = Terminal(), pyte.Screen(80, 24)
    title = "Guo et al. 2021, Fig. 4: a network of three layers of which the last is wide"
    jobs = [Job("m:f", {}, seed, title=title, cost=cost) for seed, cost in enumerate((3.0, 1.0))]
    with Watching("reproduce", "live", terminal) as watching:
        watching.begun(jobs, 0)
        for job in jobs:
            watching.started(job)
        watching.told(Told(jobs[1], 1.0, done=Done({}, None, 2.0, "here")))
        watching.told(Told(jobs[0], 0.5, "epoch 25 of 50, 97.1 %"))
        rows = watching.rows(79)
    pyte.Stream(screen).feed(terminal.getvalue().replace("\n", "\r\n"))
    assert rows[0].startswith("reproduce ━━━")
    assert rows[0].endswith(" 62 %"), "2.5 of 4"
    assert rows[1].startswith("1/2 jobs, 0:00 gone")
    assert rows[2].startswith("   50 % Guo et al. 2021, Fig. 4: a")
    assert rows[2].endswith("...: epoch 25 of 50, 97.1 %")
    assert max(map(len, rows)) <= 79
    last = [line.rstrip() for line in screen.display if line.strip()]
    assert last[-1] == "1/2 jobs, took 0:00"


def test_the_time_left_is_what_the_costs_say_and_surer_when_jobs_took_what_they_were_said_to() -> None:
    sure, unsure, new = Pace(), Pace(), Pace()
    for number in range(8):
        sure.ended(10.0, 20.0 + 0.2 * (number % 2))
        unsure.ended(10.0, 20.0 if number % 2 else 80.0)
    spans = {name: pace.left(100.0, 300.0, 60.0) for name, pace in (("sure", sure), ("unsure", unsure), ("new", new))}
    assert all(span is not None and span.low_s < 180.0 < span.high_s for span in spans.values())
    assert str(spans["sure"]) == "about 3:00 left"
    assert str(spans["new"]) == "1:30 to 6:00 left"
    assert spans["unsure"].high_s > 1.5 * spans["unsure"].low_s
    assert sure.left(0.5, 300.0, 60.0) is None
    assert sure.left(100.0, 300.0, 2.0) is None
