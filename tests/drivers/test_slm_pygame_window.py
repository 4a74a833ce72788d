"""The real window, run headless by SDL's dummy video driver; on a real X server where Xvfb is installed."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from drivers import pygame_window, sdl
from drivers.pygame_window import open_window, packed
from drivers.slm_monitor import MonitorSlm
from labonn.errors import ConnectError, LinkClosedError, MissingPackageError

pytest.importorskip("pygame")
RAMP = np.arange(256, dtype=np.uint8).reshape(8, 32)


@pytest.fixture
def window(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = open_window("0")
    yield window
    window.close()


def test_a_new_window_is_black_and_has_the_monitors_size(window):
    assert window.size() == (768, 1024)
    assert window.read_back().shape == (768, 1024, 3)
    assert not window.read_back().any()


def test_all_gray_levels_are_exact_and_enlarged_by_replication(window):
    window.show(RAMP)
    assert np.array_equal(window.read_back(), np.kron(RAMP, np.ones((96, 32), np.uint8))[:, :, None].repeat(3, axis=2))


def test_a_frame_of_the_full_panel_is_shown_pixel_by_pixel(window):
    frame = np.random.default_rng(2).integers(0, 256, (768, 1024)).astype(np.uint8)
    window.show(frame)
    assert np.array_equal(window.read_back()[:, :, 1], frame)


def test_sixteen_bits_go_to_red_and_green(window):
    window.show(np.array([[0x0000, 0x12AB], [0xFF00, 0x00FF]], np.uint16))
    corners = window.read_back()[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.tolist() == [[0, 0, 0], [0x12, 0xAB, 0], [0xFF, 0, 0], [0, 0xFF, 0]]


def test_words_follow_the_surfaces_own_order_of_colours():
    assert packed(np.array([[0x1234]], np.uint16), (0, 8, 16, 24)).tolist() == [[0x3412]]
    assert packed(np.array([[0x7F]], np.uint8), (0, 8, 16, 24)).tolist() == [[0x7F7F7F]]


@pytest.mark.parametrize("frame", [np.zeros((7, 4), np.uint8), np.zeros((8, 4)), np.zeros((2, 2, 2), np.uint8), np.zeros((0, 4), np.uint8)])
def test_a_frame_that_cannot_be_replicated_is_refused(window, frame):
    with pytest.raises(ValueError, match="a frame for 768 x 1024 pixels"):
        window.show(frame)


def test_a_monitor_that_is_not_there_is_refused_with_a_list_of_those_that_are(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with pytest.raises(ConnectError, match=r"monitor://7: no monitor is called '7'; there are 0: \"\S*\" 768 x 1024"):
        open_window("7")


def test_a_monitor_is_found_by_its_name_and_the_window_put_in_its_place(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    two = [sdl.Monitor(0, "desk", (768, 1024), (0, 0)), sdl.Monitor(1, "SLM-200", (60, 80), (1024, 0))]
    monkeypatch.setattr(pygame_window, "monitors", lambda: two)
    window = open_window("SLM-200")
    assert (window.name(), window.size(), tuple(window._window.position)) == ("SLM-200", (60, 80), (1024, 0))
    window.close()
    monkeypatch.setattr(pygame_window, "monitors", lambda: [*two, sdl.Monitor(2, "desk", (9, 9), (0, 0))])
    with pytest.raises(ConnectError, match="more than one monitor is called 'desk'"):
        open_window("desk")


def test_two_windows_share_a_thread_that_ends_with_the_last(window):
    other = open_window("0")
    other.show(RAMP)
    window.show(255 - RAMP)
    assert not np.array_equal(other.read_back(), window.read_back())
    other.close()
    with pytest.raises(LinkClosedError, match="was closed"):
        other.show(RAMP)
    window.show(RAMP)
    window.close()
    window.close()
    assert "SDL windows" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(LinkClosedError, match="was closed"):
        window.show(RAMP)


def test_without_a_display_opening_fails_at_once_and_says_what_is_missing(monkeypatch):
    for name in ("DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    start = time.perf_counter()
    with pytest.raises(ConnectError, match="the environment variable DISPLAY is not set"):
        open_window("0")
    assert time.perf_counter() - start < 0.5
    assert "SDL windows" not in [thread.name for thread in threading.enumerate()]


def test_a_video_driver_that_does_not_start_is_named(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "nonsense")
    with pytest.raises(ConnectError, match="video driver 'nonsense' does not start"):
        open_window("0")
    assert os.environ["SDL_VIDEODRIVER"] == "nonsense"


def test_without_pygame_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(MissingPackageError, match=r'pip install "labonn\[slm\]"'):
        open_window("0")


def test_the_older_pygame_in_its_place_is_told_apart(monkeypatch, mocker):
    monkeypatch.setitem(sys.modules, "pygame", mocker.Mock(spec=["__file__"], __file__="/lib/pygame/__init__.py"))
    with pytest.raises(MissingPackageError, match=r"/lib/pygame/__init__.py is not pygame-ce"):
        open_window("0")


def test_the_driver_shows_weights_in_the_real_window(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    driver = MonitorSlm(MonitorSlm.load_sdk("monitor://0"), MonitorSlm.Options(shape=(5, 30), panel=(768, 1024)), "weights")
    codes = np.arange(150).reshape(5, 30)
    driver.prepare(driver.spec)
    driver.load(-np.cos(math.pi * codes.reshape(1, -1) / 255), np.array([0]), 1e-3)
    driver.arm()
    gray = driver._window.read_back()[:, :, 0]
    driver.close()
    assert np.array_equal(gray[:640, 32:992], np.kron(codes, np.ones((128, 32))))
    assert set(np.unique(gray[640:])) <= {127, 128}


X11_PROGRAM = """
import numpy as np
from drivers.pygame_window import open_window
window = open_window("0")
assert window.size() == (600, 800), window.size()
frame = np.arange(256, dtype=np.uint8).reshape(8, 32).repeat(75, 0)
window.show(frame[::75])
assert (window.read_back() == frame.repeat(25, 1)[:, :, None]).all()
window.close()
"""


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb")
def test_on_an_x_server_the_levels_are_exact_too():
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "800x600x24"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            environment = {k: v for k, v in os.environ.items() if k != "SDL_VIDEODRIVER"} | {"DISPLAY": f":{int(server.stdout.readline())}"}
            result = subprocess.run([sys.executable, "-c", X11_PROGRAM], env=environment, capture_output=True, text=True, timeout=30)
        finally:
            server.terminate()
    assert result.returncode == 0, result.stderr
