"""The real window, run headless by SDL's dummy video driver; on a real X server where Xvfb is installed."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from drivers import sdl, slm_monitors
from drivers.pygame_window import open_window, packed
from drivers.slm_edid import Edid
from drivers.slm_monitor import MonitorSlm
from labonn.errors import ConnectError, IdentityError, LinkClosedError, MissingPackageError, UnknownStateError

pytest.importorskip("pygame")
RAMP = np.arange(256, dtype=np.uint8).reshape(8, 32)


@pytest.fixture
def window(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = open_window("0")
    yield window
    window.close()


DESK = sdl.Monitor(0, "desk", (768, 1024), (0, 0))
LEFT = sdl.Monitor(1, "SLM-200", (60, 80), (1024, 0))
RIGHT = sdl.Monitor(2, "SLM-201", (96, 64), (1104, 0))


@pytest.fixture
def three(monkeypatch):
    """A desk's monitor and two SLMs; a list that the test may change while windows are open."""
    found = [DESK, LEFT, RIGHT]
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setattr(sdl, "monitors", lambda: list(found))
    return found


@pytest.fixture
def made(mocker):
    """How windows were made, shown and drawn, in order; the real calls happen."""
    import pygame

    calls = []
    real = pygame.Window

    class Window(real):
        def __init__(self, title, size, position, **flags):
            calls.append(("made", size, position, flags))
            super().__init__(title, size, position, **flags)

        def show(self):
            calls.append(("show", self.get_surface().get_at((0, 0))[:3]))
            super().show()

        def flip(self):
            calls.append(("flip", self.get_surface().get_at((0, 0))[:3]))
            super().flip()

        def set_fullscreen(self, *args):
            raise AssertionError("full screen")

    mocker.patch.object(pygame, "Window", Window)
    mocker.patch.object(pygame.display, "set_mode", side_effect=AssertionError("set_mode"))
    return calls


def test_a_window_has_the_monitors_size_and_nothing_is_on_it_before_the_first_frame(made, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = open_window("0")
    assert window.size() == (768, 1024)
    with pytest.raises(UnknownStateError, match="nothing was shown on monitor 0"):
        window.read_back()
    assert made == []
    window.show(RAMP)
    assert window.read_back().shape == (768, 1024, 3)
    window.close()


def test_a_window_is_borderless_at_the_native_size_and_never_switches_the_mode(made, three):
    window = open_window("SLM-200")
    window.show(np.full((1, 1), 7, np.uint8))
    window.show(np.full((1, 1), 8, np.uint8))
    window.close()
    [(_, size, position, flags)] = [call for call in made if call[0] == "made"]
    assert (size, position) == ((80, 60), (1024, 0))
    assert flags == {"hidden": True, "borderless": True, "always_on_top": True}


def test_the_first_thing_that_is_seen_is_the_first_frame_and_then_only_whole_frames(made, three):
    window = open_window("SLM-200")
    for level in (9, 200, 30):
        window.show(np.full((1, 1), level, np.uint8))
    window.close()
    assert made[1] == ("show", (9, 9, 9))
    seen = [level[0] for what, level in made[1:]]
    assert seen == sorted(seen, key=[9, 200, 30].index)


def test_a_monitor_whose_size_or_place_has_changed_since_is_refused_before_there_is_a_window(made, three):
    window = open_window("SLM-200")
    three[1] = sdl.Monitor(1, "SLM-200", (48, 64), (1024, 0))
    with pytest.raises(ConnectError, match=r'monitor 1: "SLM-200" 60 x 80 at \(1024, 0\) is now 1: "SLM-200" 48 x 64'):
        window.show(RAMP[:1, :1])
    three.pop()
    three.pop()
    with pytest.raises(ConnectError, match="is gone"):
        window.show(RAMP[:1, :1])
    assert made == []
    three[1:] = [LEFT]
    window.show(RAMP[:1, :1])
    window.close()


def test_a_window_that_something_has_moved_is_an_unknown_state_and_the_next_frame_gets_a_new_one(three):
    window = open_window("SLM-200")
    window.show(RAMP[:1, :1])
    window._sdl.call(lambda: setattr(window._window, "position", (5, 5)))
    with pytest.raises(UnknownStateError, match=r"got 60 x 80 pixels of 32 bits at \(5, 5\), not 60 x 80 pixels of 32 bits at \(1024, 0\)"):
        window.show(RAMP[:1, :1])
    window.show(np.full((1, 1), 77, np.uint8))
    assert (tuple(window._window.position), set(window.read_back().ravel())) == ((1024, 0), {77})
    window.close()


def test_safe_of_the_driver_works_also_after_the_window_was_moved(three):
    driver = MonitorSlm(MonitorSlm.load_sdk("monitor://SLM-200"), MonitorSlm.Options(shape=(3, 4), panel=(60, 80)), "weights")
    driver.prepare(driver.spec)
    window = driver._window
    window._sdl.call(lambda: setattr(window._window, "size", (40, 30)))
    driver.safe()
    assert window.read_back().shape == (60, 80, 3)
    driver.close()
    with pytest.raises(LinkClosedError, match="was closed"):
        driver.safe()


def test_two_slms_on_two_monitors_show_their_own_exact_levels_from_two_threads(three):
    options = [MonitorSlm.Options(shape=(4, 8), panel=m.size) for m in (LEFT, RIGHT)]
    drivers = [MonitorSlm(MonitorSlm.load_sdk(f"monitor://{number}"), options[number - 1], "slm") for number in (1, 2)]
    codes = np.random.default_rng(8).integers(0, 256, (2, 20, 32))

    def play(number):
        driver = drivers[number]
        driver.prepare(driver.spec)
        for row in range(20):
            driver.load(-np.cos(math.pi * codes[number] / 255), np.array([row]), 1e-3)
            driver.arm()
            top = driver.geometry.corner[0] * driver.geometry.pixel[0]
            wanted = np.kron(codes[number, row].reshape(4, 8), np.ones(driver.geometry.pixel))
            assert np.array_equal(driver._window.read_back()[top : top + wanted.shape[0], :, 2], wanted)
        return True

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(play, range(2))) == [True, True]
    assert [thread.name for thread in threading.enumerate()].count("SDL windows") == 1
    drivers[0].close()
    drivers[1].arm()
    drivers[1].close()
    assert "SDL windows" not in [thread.name for thread in threading.enumerate()]


def test_a_monitor_is_the_slm_of_one_port_only(three):
    window = open_window("1")
    with pytest.raises(ConnectError, match=r"monitor 1: .* already is the SLM of another port"):
        open_window("SLM-200")
    window.close()
    open_window("SLM-200").close()


def test_the_wrong_monitor_is_refused_before_anything_is_seen_on_it(made, three):
    window = MonitorSlm.load_sdk("monitor://SLM-201")
    with pytest.raises(IdentityError, match="weights: panel is 60 x 80 pixels in the bench file, but monitor SLM-201 has 96 x 64"):
        MonitorSlm(window, MonitorSlm.Options(shape=(3, 4), panel=(60, 80)), "weights")
    window.close()
    assert made == []


def test_a_monitor_is_found_by_its_edid_and_must_be_at_its_native_size(three, monkeypatch):
    outputs = [slm_monitors.Output("HDMI-1", Edid("HOL", 7, 42, "HOLOEYE", "", (96, 64)), (96, 64), (1104, 0))]
    monkeypatch.setattr(slm_monitors, "_outputs", lambda driver: outputs)
    window = MonitorSlm.load_sdk("monitor://edid:holoeye,42")
    assert (window.size(), window.name()) == ((96, 64), "SLM-201 on HDMI-1, HOLOEYE (HOL 0007, serial 42)")
    window.close()
    outputs[0] = slm_monitors.Output("HDMI-1", Edid("HOL", 7, 42, "HOLOEYE", "", (192, 128)), (96, 64), (1104, 0))
    with pytest.raises(ConnectError, match="has 192 x 128 pixels of its own by its EDID, but the desktop gives it 96 x 64"):
        MonitorSlm.load_sdk("monitor://HDMI-1")
    window = MonitorSlm.load_sdk("monitor://HDMI-1?native=0")
    assert window.size() == (96, 64)
    window.close()


def test_a_new_safe_frame_is_black(window):
    window.show(np.zeros((1, 1), np.uint8))
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
    with pytest.raises(ConnectError, match=r"monitor://7: no monitor is called '7'; there are 0: \"\S*\" 768 x 1024 at \(0, 0\)"):
        open_window("7")


def test_a_monitor_is_found_by_its_name_and_the_window_put_in_its_place(three):
    window = open_window("SLM-200")
    window.show(RAMP[:1, :1])
    assert (window.name(), window.size(), tuple(window._window.position)) == ("SLM-200", (60, 80), (1024, 0))
    window.close()
    three.append(sdl.Monitor(3, "desk", (9, 9), (0, 0)))
    with pytest.raises(ConnectError, match="more than one monitor is called 'desk'"):
        open_window("desk")


def test_a_closed_window_shows_nothing_more_and_its_thread_ends(window):
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


def test_a_window_that_was_minimized_comes_back(three, mocker):
    import pygame

    restored = []

    class Window(pygame.Window):
        def restore(self):
            restored.append(self.id)

    mocker.patch.object(pygame, "Window", Window)
    window = open_window("SLM-200")
    window.show(RAMP[:1, :1])
    number = window._window.id
    window._sdl.call(lambda: pygame.event.post(pygame.event.Event(pygame.WINDOWMINIMIZED, window=window._window)))
    window._sdl.call(window._sdl.look_after_events)
    window.close()
    assert restored == [number]


def test_sigterm_still_ends_a_program_with_a_window():
    """SDL would catch it and put an event in a queue."""
    program = "from drivers.pygame_window import open_window; import numpy as np, os, time\nw = open_window('0')\n"
    program += "w.show(np.zeros((1, 1), np.uint8)); os.kill(os.getpid(), 15); time.sleep(20)"
    environment = {**os.environ, "SDL_VIDEODRIVER": "dummy"}
    assert subprocess.run([sys.executable, "-c", program], env=environment, timeout=15, check=False).returncode == -15


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
