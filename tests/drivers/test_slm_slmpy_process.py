"""slmPy in its own process: a module of that name that shows pictures, hangs, raises or dies stands for it."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from drivers.slm_slmpy import SlmPySlm
from labonn.errors import (
    ConnectError,
    DesyncError,
    IdentityError,
    LinkClosedError,
    LinkTimeoutError,
    MissingPackageError,
    RefusedError,
)

ONE = np.array([0])
PANEL = (24, 40)
OPTIONS = SlmPySlm.Options(shape=(3, 5), panel=PANEL)
FAKE = """
import os, sys, time, signal
import numpy as np

FOLDER = os.path.dirname(__file__)


def note(text):
    with open(os.path.join(FOLDER, "notes"), "a") as file:
        file.write(text + "\\n")


def told(name, default):
    try:
        with open(os.path.join(FOLDER, name)) as file:
            return file.read()
    except OSError:
        return default


class SLMdisplay:
    def __init__(self, monitor=1, isImageLock=False, alwaysTop=False):
        print("this belongs to nobody's protocol", flush=True)
        note(f"open {monitor} {isImageLock} {os.getpid()}")
        exec(told("constructor", ""))
        self.size = eval(told("size", "(40, 24)"))

    def getSize(self):
        return self.size

    def updateArray(self, array, sleep=0.2):
        exec(told("update", ""))
        if array.ndim == 2:
            array = np.concatenate((array.copy()[:, :, None],) * 3, axis=2)
        np.save(os.path.join(FOLDER, "picture.npy"), np.frombuffer(array.tostring(), np.uint8).reshape(array.shape))
        note(f"show {sleep}")

    def close(self):
        note("close")
        exec(told("close", ""))
"""


class Place:
    """Where the module lies: what it is told to do, what it noted."""

    def __init__(self, folder):
        self.folder = folder

    def tell(self, what, code):
        (self.folder / what).write_text(textwrap.dedent(code))

    def forget(self, what):
        (self.folder / what).unlink()

    def notes(self):
        return (self.folder / "notes").read_text().splitlines()

    def picture(self):
        return np.load(self.folder / "picture.npy")


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "slmpy.py").write_text(FAKE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("DISPLAY", ":0")
    return Place(tmp_path)


@pytest.fixture
def opened(place):
    """Displays that the test opened; their processes must be gone at its end."""
    displays, before = [], set(threading.enumerate())

    def opening(query="", monitor=1):
        displays.append(SlmPySlm.load_sdk(f"slmpy://{monitor}{query}"))
        return displays[-1]

    yield opening
    pids = [int(note.split()[3]) for note in place.notes() if note.startswith("open")] if (place.folder / "notes").exists() else []
    for display in displays:
        display.close()
        display.close()
    assert [pid for pid in pids if alive(pid)] == []
    assert not [thread for thread in set(threading.enumerate()) - before if thread.is_alive() and not isinstance(thread, threading.Timer)]


def alive(pid):
    """Whether that process still runs, given a moment to end."""
    for _ in range(40):
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return False
        except OSError:
            return False
        time.sleep(0.05)
    return True


def test_weights_arrive_as_colour_pictures_of_exact_levels_and_nothing_sleeps(place, opened):
    driver = SlmPySlm(opened("?image_lock=1", monitor=2), OPTIONS, "weights")
    assert driver.identity == "slmPy window of 24 x 40"
    codes = np.arange(0, 255, 17).reshape(3, 5)
    driver.prepare(driver.spec)
    assert not place.picture().any()
    driver.load(-np.cos(math.pi * codes.reshape(1, -1) / 255), ONE, 1e-3)
    driver.arm()
    assert np.array_equal(place.picture(), np.kron(codes, np.ones((8, 8)))[:, :, None].repeat(3, axis=2))
    driver.close()
    assert place.notes()[0].startswith("open 2 True ")
    assert place.notes()[1:] == ["show 0", "show 0", "close"]


def test_slmpy_runs_in_another_process_out_of_reach_of_ctrl_c(place, opened):
    display = opened()
    assert display.pid not in (None, os.getpid())
    os.kill(display.pid, signal.SIGINT)
    display.updateArray(np.ones(PANEL, np.uint8))
    assert os.getsid(display.pid) != os.getsid(0)
    assert place.picture().any()


def test_a_constructor_that_hangs_is_ended_within_the_time_limit(place, opened):
    place.tell("constructor", "time.sleep(60)")
    start = time.perf_counter()
    with pytest.raises(
        ConnectError, match=r"slmpy://3\S*: within 1 s slmPy opened no window; so it does on a monitor index .*; its process was ended"
    ):
        opened("?timeout_s=1", monitor=3)
    assert time.perf_counter() - start < 5
    assert not alive(int(place.notes()[0].split()[3]))


def test_a_frame_that_hangs_is_ended_within_the_time_limit_and_safe_opens_a_new_window(place, opened):
    driver = SlmPySlm(opened("?frame_timeout_s=0.5"), OPTIONS, "weights")
    first = driver._display.pid
    driver.load(np.ones((1, 15)), ONE, 1e-3)
    place.tell("update", "time.sleep(60)")
    start = time.perf_counter()
    with pytest.raises(LinkTimeoutError, match=r"slmpy://1\S*: within 0.5 s slmPy took no frame; its process was ended"):
        driver.arm()
    assert time.perf_counter() - start < 3
    assert not alive(first)
    place.forget("update")
    driver.safe()
    assert not place.picture().any()
    assert driver._display.pid not in (None, first)
    driver.arm()
    assert (place.picture() == 255).all(axis=2)[0:24, 0:40].all()


def test_a_process_that_hangs_only_once_is_replaced_within_safe(place, opened):
    driver = SlmPySlm(opened("?frame_timeout_s=0.5"), OPTIONS, "weights")
    place.tell("update", "os.path.exists(FOLDER + '/again') or (open(FOLDER + '/again', 'w').close(), time.sleep(60))")
    driver.safe()
    assert [note.split()[0] for note in place.notes()] == ["open", "open", "show"]


def test_a_large_frame_that_nobody_takes_does_not_block_for_ever(place, opened):
    place.tell("size", "(1920, 1080)")
    display = opened("?frame_timeout_s=0.5")
    os.kill(display.pid, signal.SIGSTOP)
    start = time.perf_counter()
    with pytest.raises(LinkTimeoutError, match="took no frame"):
        display.updateArray(np.zeros((1080, 1920), np.uint8))
    assert time.perf_counter() - start < 3


@pytest.mark.parametrize(("death", "words"), [("os._exit(7)", "exit code 7"), ("os.kill(os.getpid(), 11)", "exit code -11")])
def test_a_process_that_dies_is_a_closed_link_with_its_last_words_and_the_next_frame_starts_another(place, opened, death, words):
    display = opened()
    place.tell("update", f"print('Gtk-CRITICAL: oh', flush=True); {death}")
    with pytest.raises(LinkClosedError, match=rf"slmPy's process died: [\s\S]*Gtk-CRITICAL: oh \({words}\)"):
        display.updateArray(np.zeros(PANEL, np.uint8))
    place.forget("update")
    display.updateArray(np.full(PANEL, 9, np.uint8))
    assert set(place.picture().ravel()) == {9}


def test_one_that_was_killed_between_two_frames_is_noticed_at_the_next(place, opened):
    display = opened()
    os.kill(display.pid, signal.SIGKILL)
    with pytest.raises(LinkClosedError, match="exit code -9"):
        display.updateArray(np.zeros(PANEL, np.uint8))


def test_one_that_dies_while_it_opens_is_a_connect_error(place, opened):
    place.tell("constructor", "print('cannot open display'); sys.stdout.flush(); os._exit(1)")
    with pytest.raises(ConnectError, match=r"slmPy's process died: [\s\S]*cannot open display \(exit code 1\)"):
        opened()


def test_words_of_slmpy_come_as_they_are(place, opened):
    place.tell("constructor", "raise ValueError('Invalid monitor (monitor 9).')")
    with pytest.raises(ConnectError, match=r"slmpy://9: slmPy opened no window: Invalid monitor \(monitor 9\)"):
        opened(monitor=9)
    place.forget("constructor")
    display = opened()
    place.tell("update", "raise RuntimeError('wrapped C/C++ object has been deleted')")
    with pytest.raises(RefusedError, match="slmPy refused a frame: RuntimeError: wrapped C/C"):
        display.updateArray(np.zeros(PANEL, np.uint8))


@pytest.mark.parametrize(
    "bad", [np.zeros(PANEL), np.zeros((3, 5), np.uint8), np.zeros((40, 24), np.uint8), np.zeros((*PANEL, 3), np.uint8)]
)
def test_a_picture_that_slmpy_would_show_wrong_never_reaches_it(place, opened, bad):
    display = opened()
    with pytest.raises(ValueError, match=r"a picture is uint8 \(24, 40\), not "):
        display.updateArray(bad)
    assert len(place.notes()) == 1


def test_a_monitor_that_comes_back_with_another_size_is_refused(place, opened):
    display = opened()
    os.kill(display.pid, signal.SIGKILL)
    with pytest.raises(LinkClosedError):
        display.updateArray(np.zeros(PANEL, np.uint8))
    place.tell("size", "(80, 48)")
    with pytest.raises(IdentityError, match="24 x 40 pixels when it was opened first"):
        display.updateArray(np.zeros(PANEL, np.uint8))
    assert display.pid is None


def test_after_close_nothing_is_shown_and_no_process_comes_back(place, opened):
    driver = SlmPySlm(opened(), OPTIONS, "weights")
    driver.close()
    driver.close()
    with pytest.raises(LinkClosedError, match="this display was closed"):
        driver.safe()
    assert [note.split()[0] for note in place.notes()] == ["open", "close"]


def test_a_window_that_does_not_close_is_ended(place, opened):
    display = opened()
    place.tell("close", "time.sleep(60)")
    pid = display.pid
    start = time.perf_counter()
    display.close()
    assert time.perf_counter() - start < 5
    assert not alive(pid)


@pytest.mark.parametrize(("written", "words"), [
    (b"\x07" + bytes(7) + b"\x02\x00\x00\x00{}", "answers number 7 with 2 bytes"),
    (b"\x01" + bytes(7) + b"\xff\xff\xff\xff", "with 4294967295 bytes"),
    (b"\x01" + bytes(7) + b"\x02\x00\x00\x00[]", "something else than an object"),
    (b"\x01" + bytes(7) + b"\x02\x00\x00\x00{x", "something else than an object"),
])  # fmt: skip
def test_an_answer_that_is_none_is_a_desync_and_ends_the_process(place, opened, mocker, written, words):
    display = opened()
    child = display._child
    real, rest = child.stdout, [written]

    def read(count):
        taken, rest[0] = rest[0][:count], rest[0][count:]
        return taken

    child.stdout = mocker.Mock(read=read, close=real.close)
    with pytest.raises(DesyncError, match=words):
        display.updateArray(np.zeros(PANEL, np.uint8))
    assert display.pid is None
    assert not alive(child.pid)


def test_the_process_ends_when_its_parent_is_killed_even_while_slmpy_hangs(place):
    place.tell("constructor", "time.sleep(60)")
    program = "from drivers.slm_slmpy import SlmPySlm; SlmPySlm.load_sdk('slmpy://1?timeout_s=60')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", program], env=environment) as parent:
        for _ in range(200):
            if (place.folder / "notes").exists() and place.notes():
                break
            time.sleep(0.05)
        pid = int(place.notes()[0].split()[3])
        parent.kill()
    assert not alive(pid)


def test_the_other_package_of_that_name_is_told_apart_by_its_file(place, opened):
    (place.folder / "slmpy.py").write_text('"""Stochastic block models."""\ndef communities(graph): ...\n')
    with pytest.raises(
        MissingPackageError, match=r"slmpy\.py is not the SLM library.*pip install git\+https://github.com/wavefrontshaping/slmPy"
    ):
        opened()


@pytest.mark.parametrize("absent", ["slmpy", "wx"])
def test_an_absent_package_is_named_with_how_to_get_it(place, opened, absent):
    (place.folder / "slmpy.py").write_text(f"raise ModuleNotFoundError(\"No module named '{absent}'\", name='{absent}')\n")
    with pytest.raises(MissingPackageError, match=rf"slmPy cannot be imported \(.*{absent}.*pip install git\+https://\S+slmPy wxPython"):
        opened()
