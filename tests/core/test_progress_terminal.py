"""The live display, read by an emulated terminal (pyte) at the other end of a real pseudo terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TextIO

import pyte
import pytest

from labonn.progress import Activity, Progress
from labonn.progress.above import Above
from labonn.progress.screen import Screen, can_draw
from labonn.runs import Run
from labonn.shots import Readings, ShotTable


class Terminal:
    """What a person sees.

    Attributes:
        stream: the program's end of it.
    """

    def __init__(self, columns: int, lines: int, encoding: str = "utf-8") -> None:
        self._leader, follower = pty.openpty()
        self.screen = pyte.HistoryScreen(columns, lines, history=1000)
        self._input = pyte.ByteStream(self.screen)
        self.stream: TextIO = open(follower, "w", encoding=encoding, errors="replace")  # noqa: SIM115
        self.bytes = b""  # that came
        self._read = 0
        self.resize(columns, lines)
        self._reader = threading.Thread(target=self._listen, name="terminal", daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while chunk := os.read(self._leader, 65536):
                self.bytes += chunk

    def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(lines, columns)
        fcntl.ioctl(self.stream.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def seen(self) -> list[str]:
        """The rows that are not empty, the ones that were scrolled away too."""
        mark = b"\x1b]0;%d\x07" % time.perf_counter_ns()  # a title, which is seen by nobody
        os.write(self.stream.fileno(), mark)
        deadline = time.perf_counter() + 5
        while mark not in self.bytes[self._read :] and time.perf_counter() < deadline:
            threading.Event().wait(0.001)
        end = self.bytes.index(mark, self._read) + len(mark)
        self._input.feed(self.bytes[self._read : end])
        self._read = end
        gone = ["".join(row[column].data for column in range(self.screen.columns)) for row in self.screen.history.top]
        return [row.rstrip() for row in [*gone, *self.screen.display] if row.strip()]

    def close(self) -> None:
        """The reading thread ends when nobody can write any more."""
        self.stream.close()
        self._reader.join(5)
        os.close(self._leader)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Terminal]]:
    monkeypatch.setenv("TERM", "xterm-256color")
    made: list[Terminal] = []

    def make(columns: int = 80, lines: int = 24, encoding: str = "utf-8") -> Terminal:
        made.append(Terminal(columns, lines, encoding))
        monkeypatch.setattr(sys, "stderr", made[-1].stream)
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that progress sees."""
    now = [100.0]
    monkeypatch.setattr("labonn.progress.progress.time.monotonic", lambda: now[0])
    return now


def steps(progress: Progress, moment: list[float], first: int, last: int, step_s: float = 0.5, **more: object) -> None:
    for step in range(first, last + 1):
        moment[0] += step_s
        told = {"loss": 4 * 0.97**step, "accuracy": step / 400, "epoch": 1 + (step - 1) // 20, **more}
        progress.update(step, 100 * step, **told)  # type: ignore[arg-type]


def test_it_shows_everything_in_80_columns(terminal: Callable[..., Terminal], moment: list[float]) -> None:
    place = terminal()
    with Progress(300, title="train_chip", unit="report") as progress:
        own = {"evaluations": 42_378, "gradient": "0.12 +- 0.013"}
        steps(progress, moment, 1, 90, best=0.2, numbers=own)
        rows = place.seen()
    assert rows[0].startswith("train_chip ━━━")
    assert rows[0].endswith(" 30 %")
    assert rows[1] == "report 5, step 90/300, 0:45 gone, about 1:45 left"
    assert rows[2] == "loss 0.2579, accuracy 22.5 %, best 20.0 %, evaluations 42,378,"
    assert rows[3] == "gradient 0.12 +- 0.013, 200 shots/s"
    assert rows[4].startswith("loss  3.88 ⠉")
    assert rows[6].startswith("log  0.258 ")
    assert rows[6][-1] > "\u2800"
    assert len(rows) == 7
    assert max(map(len, rows)) < 80


def test_in_40_columns_nothing_is_cut(terminal: Callable[..., Terminal], moment: list[float]) -> None:
    place = terminal(40)
    with Progress(300, title="train_chip", unit="report") as progress:
        steps(progress, moment, 1, 90, best=0.2)
        rows = place.seen()
    assert " ".join(rows[1:5]) == (
        "report 5, step 90/300, 0:45 gone, about 1:45 left loss 0.2579, accuracy 22.5 %, best 20.0 %, 200 shots/s"
    )
    assert max(map(len, rows)) < 40


def test_where_there_is_little_room_the_bar_is_what_stays(terminal: Callable[..., Terminal], moment: list[float]) -> None:
    place = terminal(16, 4)
    with Progress(300, title="train_chip") as progress:
        steps(progress, moment, 1, 90)
        assert place.seen()[0] == "train_chip 30 %"
        assert len(place.seen()) == 2


def test_a_terminal_without_braille_gets_ascii(terminal: Callable[..., Terminal], moment: list[float]) -> None:
    place = terminal(encoding="ascii")
    with Progress(300, title="t") as progress:
        steps(progress, moment, 1, 90)
        rows = place.seen()
    assert rows[0].startswith("t ####")
    assert all(row.isascii() for row in rows)
    assert any('"""' in row for row in rows)
    assert "?" not in "".join(rows)


def test_what_is_printed_meanwhile_stands_whole_above_the_frame(
    terminal: Callable[..., Terminal], moment: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = terminal()
    monkeypatch.setattr(sys, "stdout", place.stream)
    with Progress(300, title="t") as progress:
        steps(progress, moment, 1, 20)
        print("labonn: step 20: no checkpoint could be written", file=sys.stderr)
        steps(progress, moment, 21, 40)
        print("a result", end="")
        print(" in two parts")
        os.write(place.stream.fileno(), b"labonn: stopping after this step; again: at once\n")  # as a signal handler does it
        steps(progress, moment, 41, 60)
        rows = place.seen()
    assert rows[:2] == ["labonn: step 20: no checkpoint could be written", "a result in two parts"]
    assert rows[2] == "labonn: stopping after this step; again: at once"
    assert rows[3].startswith("t ━━━")
    assert rows[4].startswith("epoch 3, step 60/300")
    assert len(rows) == 3 + 6
    assert not isinstance(sys.stderr, Above)
    assert not isinstance(sys.stdout, Above)


def test_after_a_resize_there_is_one_frame_of_the_new_width(terminal: Callable[..., Terminal], moment: list[float]) -> None:
    place = terminal(80)
    with Progress(300, title="t") as progress:
        steps(progress, moment, 1, 20)
        place.seen()
        place.resize(50, 24)
        steps(progress, moment, 21, 40)
        rows = place.seen()
        assert sum(row.startswith("t ━") for row in rows) == 1
        assert max(map(len, rows)) < 50
        place.resize(100, 30)
        steps(progress, moment, 41, 60)
        rows = place.seen()
        assert sum(row.startswith("t ━") for row in rows) == 1
        assert 90 < max(map(len, rows)) < 100


def test_an_exception_leaves_the_last_frame_a_visible_cursor_and_a_clean_line(
    terminal: Callable[..., Terminal], moment: list[float]
) -> None:
    place = terminal()

    def interrupted() -> None:
        with Progress(300, title="t") as progress:
            steps(progress, moment, 1, 20)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    rows = place.seen()
    assert rows[1] == "epoch 1, step 20/300, took 0:10"
    assert place.screen.cursor.x == 0
    assert place.screen.cursor.y == len(rows)
    assert not place.screen.cursor.hidden
    assert b"\x1b[?" not in place.bytes  # no mode is set that something would have to set back
    assert [thread.name for thread in threading.enumerate() if thread.name == "labonn-screen"] == []


def test_the_clock_goes_on_while_a_step_takes_long(terminal: Callable[..., Terminal], moment: list[float]) -> None:
    place = terminal()
    with Progress(300, title="t") as progress:
        steps(progress, moment, 1, 20)
        assert "0:10 gone" in place.seen()[1]
        moment[0] += 45
        deadline = time.monotonic_ns() + 5_000_000_000
        while "0:55 gone" not in place.seen()[1] and time.monotonic_ns() < deadline:
            threading.Event().wait(0.05)
        assert "0:55 gone" in place.seen()[1]


def test_bench_time_ends_a_run_that_has_a_limit_of_it(terminal: Callable[..., Terminal], moment: list[float]) -> None:
    place = terminal()
    with Progress(1_000_000, title="t", time_s=30.0) as progress:
        for step in range(1, 101):
            moment[0] += 0.25
            progress.update(step, step, epoch=1 + step // 20, spent_s=0.15 * step)
        rows = place.seen()
    assert rows[0].endswith(" 50 %")
    assert rows[1] == "epoch 6, step 100/1000000, 15 of 30 s of bench time, 0:25 gone, about 0:25 left"


def test_ctrl_z_gives_the_shell_a_clean_line(
    terminal: Callable[..., Terminal], moment: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = terminal()
    sent: list[tuple[int, list[str]]] = []
    monkeypatch.setattr("labonn.progress.screen.os.kill", lambda process, number: sent.append((number, place.seen())))
    before = signal.getsignal(signal.SIGTSTP)
    with Progress(300, title="t") as progress:
        steps(progress, moment, 1, 20)
        assert len(place.seen()) > 3
        signal.raise_signal(signal.SIGTSTP)
        assert sent == [(signal.SIGTSTP, [])]
        steps(progress, moment, 21, 30)
        assert "step 30/300" in place.seen()[1]
    assert signal.getsignal(signal.SIGTSTP) is before


def test_a_second_screen_takes_the_place_of_the_first_and_gives_it_back(terminal: Callable[..., Terminal]) -> None:
    place = terminal()
    one, two = (Screen(lambda columns, text=text: [text], place.stream) for text in ("first", "second"))
    one.start()
    one.draw()
    two.start()
    one.draw()
    two.draw()
    assert place.seen() == ["second"]
    two.stop(keep=False)
    one.draw()
    assert place.seen() == ["first"]
    one.stop(keep=True)
    assert place.seen() == ["first"]


@pytest.mark.parametrize("kind", ["dumb", "unknown", ""])
def test_a_terminal_that_cannot_go_back_gets_plain_lines(
    terminal: Callable[..., Terminal], moment: list[float], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    place = terminal()
    monkeypatch.setenv("TERM", kind)
    assert not can_draw(place.stream)
    with Progress(20, title="t") as progress:
        steps(progress, moment, 1, 20)
    assert place.seen() == ["t: epoch 1, step 20/20, loss 2.175, accuracy 5.0 %, 200 shots/s, took 0:10"]
    assert b"\x1b[" not in place.bytes


def test_a_file_gets_no_control_characters_even_where_colours_are_forced(
    tmp_path: Path, moment: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with (tmp_path / "log").open("w") as file, Progress(20, stream=file, title="t") as progress:
        steps(progress, moment, 1, 20)
    assert "\x1b" not in (tmp_path / "log").read_text()


def test_a_terminal_that_is_gone_ends_no_run(terminal: Callable[..., Terminal], moment: list[float]) -> None:
    place = terminal()
    with Progress(300, title="t") as progress:
        steps(progress, moment, 1, 20)
        place.stream.close()
        steps(progress, moment, 21, 40)


class Told:
    """An observer that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def played(self, table: ShotTable, readings: Readings, seconds: float) -> None:
        self.told.append(f"played {table.shots}")

    def made_safe(self) -> None:
        self.told.append("safe")

    def failed(self, problem: BaseException) -> None:
        self.told.append(str(problem))


def table(shots: int) -> ShotTable:
    return ShotTable({}, dwell_s=1e-3, read=("a",), shots=shots)


def test_what_has_no_steps_shows_that_it_lives_and_tells_on_what_it_sees(terminal: Callable[..., Terminal], moment: list[float]) -> None:
    place, told = terminal(), Told()
    with Activity("calibrate_heaters", told) as activity:
        activity.played(table(100), {}, 0.1)
        moment[0] += 0.9
        activity.played(table(100), {}, 0.1)
        assert place.seen() == []  # nobody has waited yet
        moment[0] += 20
        activity.played(table(12_000), {}, 20.0)
        (row,) = place.seen()
        assert row[:18] == "calibrate_heaters "
        assert row[19:] == " 3 tables, 12.2k shots, 0:21 gone"
        activity.failed(ValueError("lost"))
        activity.made_safe()
    assert told.told == ["played 100", "played 100", "played 12000", "lost", "safe"]
    assert place.seen() == []


def test_a_run_shows_life_on_a_terminal_only_and_a_progress_takes_its_place(
    terminal: Callable[..., Terminal], moment: list[float], tmp_path: Path
) -> None:
    place, bench = terminal(), SimpleNamespace(observer=Told())
    observer = bench.observer
    run = Run.create(tmp_path, "train", {})
    with run.alive(bench):  # type: ignore[arg-type]
        moment[0] += 5
        bench.observer.played(table(1), {}, 1.0)
        assert "1 table, 1 shots" in place.seen()[0]
        with run.progress(300) as progress:
            steps(progress, moment, 1, 20)
            bench.observer.played(table(1), {}, 1.0)
            assert place.seen()[0].startswith("train ━")
            assert "table" not in "".join(place.seen())
        bench.observer.played(table(1), {}, 1.0)
        moment[0] += 1
        bench.observer.played(table(1), {}, 1.0)
        assert "4 tables" in place.seen()[-1]
    assert bench.observer is observer
    for mode in ("plain", "quiet"):
        run.mode = mode  # type: ignore[assignment]
        with run.alive(bench):  # type: ignore[arg-type]
            assert bench.observer is observer
