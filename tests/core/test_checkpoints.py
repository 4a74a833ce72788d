"""Checkpoint files: whole or not there, the one before kept; and when one is due."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import labonn.checkpoints
from labonn.checkpoints import CheckpointError, Orders, listed, newest, read, write
from labonn.keeping import Keeper
from labonn.runs import Run
from labonn.snapshots import Snapshot

ABOUT = {"whole": True}


def saved(value: float, size: int = 1000) -> Snapshot:
    content = np.full(size, value).view(np.uint8)
    return Snapshot({"it": ["@", 0]}, [["array", ["<f8", [size], [8], True], 0]], [content, np.zeros(0, np.uint8)])


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, {"step": 12, **ABOUT}, saved(1.5))
    found = read(path)
    assert (found.step, found.about["whole"], found.path) == (12, True, path)
    assert found.saved.tree == saved(1.5).tree
    assert found.saved.arrays[0].view(np.float64).tolist() == [1.5] * 1000
    assert found.saved.arrays[1].size == 0


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 5, 20, 3000):
        write(tmp_path, {"step": step}, saved(step))
    assert [path.name for path in listed(tmp_path)] == ["000000020.npz", "000003000.npz"]
    assert newest(tmp_path, pytest.fail).step == 3000


def test_the_file_is_on_the_disk_before_it_gets_its_name_and_the_name_before_older_ones_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace, unlink = os.fsync, os.replace, Path.unlink

    def synced(number: int) -> None:
        done.append(f"sync {'folder' if os.path.isdir(f'/proc/self/fd/{number}') else 'file'}")
        sync(number)

    def replaced(old: Path, new: Path) -> None:
        done.append("rename")
        replace(old, new)

    def unlinked(path: Path, missing_ok: bool = False) -> None:
        if not path.name.startswith("."):
            done.append("unlink")
        unlink(path, missing_ok=missing_ok)

    for step in (1, 2):
        write(tmp_path, {"step": step}, saved(step))
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    monkeypatch.setattr(Path, "unlink", unlinked)
    write(tmp_path, {"step": 3}, saved(3))
    assert done == ["sync file", "rename", "sync folder", "unlink"]


def test_a_write_that_fails_leaves_the_others_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"step": 1}, saved(1))

    def full(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(labonn.checkpoints.np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, {"step": 2}, saved(2))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["000000001.npz"]


@pytest.mark.parametrize("length", [0, 1, 100, 5000, -1, -30])
def test_a_torn_file_is_told_whatever_is_left_of_it(length: int, tmp_path: Path) -> None:
    write(tmp_path, {"step": 1}, saved(1))
    path = write(tmp_path, {"step": 2}, saved(2))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match=r"000000002\.npz: is torn, or no checkpoint: \S+"):
        read(path)
    told: list[str] = []
    assert newest(tmp_path, told.append).step == 1
    assert len(told) == 1


def test_one_bit_that_has_changed_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path, {"step": 1}, saved(1))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is torn"):
        read(path)


def test_objects_of_python_are_never_unpickled(tmp_path: Path) -> None:
    path = write(tmp_path, {"step": 1}, saved(1))
    np.savez(path, about=np.array([{"version": 1}], object), tree=np.array([{}], object))
    with pytest.raises(CheckpointError, match="allow_pickle=False"):
        read(path)


def test_a_folder_without_checkpoints_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no checkpoint to go on from"):
        newest(tmp_path, pytest.fail)


class Thing:
    """A training with one number."""

    def __init__(self) -> None:
        self.number = 0.0


def bench() -> Any:
    clock = SimpleNamespace(now=lambda: 1.0)
    return SimpleNamespace(clock=clock, file=object(), ports={}, specs={}, shots=0, exchanges=0)


def keeper(folder: Path, steps: int | None, **orders: Any) -> Keeper:
    run = Run(folder, "test")
    (folder / "bench.toml").touch()
    run.orders = Orders(steps, **orders)
    return Keeper(run, bench(), {"training": Thing()}, 5)


def test_as_many_steps_apart_as_were_asked_for(tmp_path: Path) -> None:
    one = keeper(tmp_path, 3)
    taken = []
    for step in range(1, 11):
        one.step(step)
        taken.append(listed(tmp_path)[-1].stem if listed(tmp_path) else "")
    assert [step for step in range(1, 11) if taken[step - 1] != (taken[step - 2] if step > 1 else "")] == [3, 6, 9]


def test_none_where_none_is_wanted_but_at_the_end(tmp_path: Path) -> None:
    one = keeper(tmp_path, 0)
    for step in range(1, 11):
        one.step(step)
    assert listed(tmp_path) == []
    one.end(10)
    assert len(listed(tmp_path)) == 1


def test_by_default_they_take_one_percent_of_the_time_and_come_where_the_procedure_likes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    one, taken = keeper(tmp_path, None), []

    def slow(step: int) -> None:
        start = now[0]
        now[0] += 0.051
        one._last_s, one._cost_s = now[0], now[0] - start
        taken.append(step)

    monkeypatch.setattr(one, "save", slow)
    for step in range(1, 101):
        now[0] += 0.2
        one.step(step)
    assert taken[0] == 5
    assert {step % 5 for step in taken} == {0}
    assert [b - a for a, b in pairwise(taken)] == [30, 30, 30]  # 25 steps are 5 s; a hundred times 0.051 s is more


def test_a_disk_that_is_full_is_told_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = keeper(tmp_path, 1)

    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("labonn.keeping.write", full)
    one.step(1)
    assert "step 1: no checkpoint could be written: [Errno 28] No space left on device" in capsys.readouterr().err
    assert "No space left" in (tmp_path / "events.log").read_text()


def test_what_cannot_be_saved_is_told_before_the_first_step_and_is_an_error_where_checkpoints_were_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path, "test")
    (tmp_path / "bench.toml").touch()
    thing: Any = Thing()
    thing.file = memoryview(b"")
    run.orders = Orders()
    one = Keeper(run, bench(), {"training": thing}, 1)
    assert "no checkpoints are kept: training.file: a builtins:memoryview cannot be saved" in capsys.readouterr().err
    one.step(1)
    one.end(1)
    assert listed(tmp_path) == []
    run.orders = Orders(5)
    with pytest.raises(Exception, match=r"training\.file"):
        Keeper(run, bench(), {"training": thing}, 1)


def test_a_signal_takes_a_checkpoint_and_then_stops(tmp_path: Path) -> None:
    class Stop:
        received, gently = 0, False

        def stop(self) -> None:
            raise KeyboardInterrupt

    stop = Stop()
    one = keeper(tmp_path, 0, stopping=stop)
    assert stop.gently
    one.step(1)
    stop.received = 2
    with pytest.raises(KeyboardInterrupt):
        one.step(2)
    assert [path.stem for path in listed(tmp_path)] == ["000000002"]


def test_a_run_without_orders_keeps_nothing(tmp_path: Path) -> None:
    one = Keeper(Run(tmp_path, "test"), bench(), {"training": Thing()}, 1)
    one.step(1)
    one.end(1)
    assert not one.resumed
    assert list(tmp_path.iterdir()) == []
