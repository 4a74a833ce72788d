"""The slmPy driver against slmPy's function table, emulated and mocked, and the traps around the package."""

from __future__ import annotations

import math
import sys
import threading
import time
from types import ModuleType

import numpy as np
import pytest

from drivers.slm_slmpy import SlmPySlm
from labonn.devices import SpatialLightModulator
from labonn.errors import BenchFileError, ConnectError, IdentityError, LinkError, MissingPackageError
from sim_backends.firmware.slm_slmpy import SlmDisplayTable

ONE = np.array([0])
PANEL = (24, 40)
OPTIONS = SlmPySlm.Options(shape=(3, 5), panel=PANEL)


@pytest.fixture
def slmpy(monkeypatch):
    """A module in slmPy's place, on a computer with a display."""
    module = ModuleType("slmpy")
    monkeypatch.setitem(sys.modules, "slmpy", module)
    monkeypatch.setenv("DISPLAY", ":0")
    return module


def test_weights_arrive_as_full_panel_codes_and_nothing_sleeps():
    display = SlmDisplayTable(PANEL)
    driver = SlmPySlm(display, OPTIONS, "weights")
    assert isinstance(driver, SpatialLightModulator)
    assert display.version == 0
    driver.prepare(driver.spec)
    assert not display.frame.any()
    codes = np.arange(0, 255, 17).reshape(3, 5)
    driver.load(-np.cos(math.pi * codes.reshape(1, -1) / 255), ONE, 1e-3)
    driver.arm()
    assert np.array_equal(display.block(3, 5), codes)
    assert np.array_equal(display.frame[0:24, 0:40], np.kron(codes, np.ones((8, 8))))
    assert (display.version, display.slept_s) == (2, 0)


def test_the_reported_size_has_the_width_first(mocker):
    display = mocker.Mock(spec=["getSize", "updateArray", "close"])
    display.getSize.return_value = (40, 24)
    driver = SlmPySlm(display, OPTIONS, "weights")
    driver.safe()
    array = display.updateArray.call_args.args[0]
    assert (array.shape, array.dtype, display.updateArray.call_args.kwargs) == ((24, 40), np.uint8, {"sleep": 0})
    driver.close()
    display.close.assert_called_once_with()


def test_another_panel_is_refused_with_both_sizes():
    with pytest.raises(IdentityError, match="weights: panel is 24 x 40 pixels in the bench file, but slmPy window of 40 x 24 has 40 x 24"):
        SlmPySlm(SlmDisplayTable((40, 24)), OPTIONS, "weights")


def test_more_than_eight_bits_are_refused():
    with pytest.raises(BenchFileError, match="weights: bits is 10; allowed: 8 "):
        SlmPySlm(SlmDisplayTable(PANEL), SlmPySlm.Options(shape=(3, 5), panel=PANEL, bits=10), "weights")


def test_the_link_names_the_monitor_and_the_lock(slmpy, mocker):
    slmpy.SLMdisplay = mocker.Mock()
    slmpy.SLMdisplay.return_value.getSize.return_value = (40, 24)
    SlmPySlm.load_sdk("slmpy://2")
    slmpy.SLMdisplay.assert_called_once_with(monitor=2, isImageLock=False)
    SlmPySlm.load_sdk("slmpy://0?image_lock=1")
    slmpy.SLMdisplay.assert_called_with(monitor=0, isImageLock=True)


def test_slmpy_gets_its_picture_although_numpy_has_no_tostring_any_more(slmpy):
    class Display:
        """Takes a picture's bytes in the way of slmPy 0.2."""

        def __init__(self, monitor, isImageLock):
            self.pictures = pictures

        def getSize(self):
            return 40, 24

        def updateArray(self, array, sleep=0.2):
            if array.ndim == 2:
                array = np.concatenate((array[:, :, None],) * 3, axis=2)
            self.pictures.append((array.shape, array.tostring(), sleep))

        def close(self):
            self.pictures.append("closed")

    pictures = []
    slmpy.SLMdisplay = Display
    driver = SlmPySlm(SlmPySlm.load_sdk("slmpy://1"), OPTIONS, "weights")
    driver.load(np.ones((1, 15)), ONE, 1e-3)
    driver.arm()
    driver.close()
    assert pictures == [((24, 40, 3), b"\xff" * 24 * 40 * 3, 0), "closed"]


def test_a_constructor_that_hangs_is_left_behind_in_time(slmpy):
    release = threading.Event()
    slmpy.SLMdisplay = lambda monitor, isImageLock: release.wait(20)
    start = time.perf_counter()
    with pytest.raises(ConnectError, match=r"slmpy://3\S*: slmPy opened no window within 0.05 s; so it does on a monitor index"):
        SlmPySlm.load_sdk("slmpy://3?timeout_s=0.05")
    assert time.perf_counter() - start < 2
    release.set()


def test_a_constructor_that_raises_is_a_connect_error_with_its_words(slmpy, mocker):
    slmpy.SLMdisplay = mocker.Mock(side_effect=ValueError("Invalid monitor (monitor 9)."))
    with pytest.raises(ConnectError, match=r"slmpy://9: slmPy opened no window: Invalid monitor"):
        SlmPySlm.load_sdk("slmpy://9")


def test_without_a_display_slmpy_is_not_even_started(slmpy, mocker, monkeypatch):
    slmpy.SLMdisplay = mocker.Mock()
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConnectError, match="DISPLAY is not set"):
        SlmPySlm.load_sdk("slmpy://1")
    slmpy.SLMdisplay.assert_not_called()


def test_the_other_package_of_that_name_is_told_apart_by_its_file(tmp_path, monkeypatch):
    package = tmp_path / "slmpy"
    package.mkdir()
    (package / "__init__.py").write_text('"""Stochastic block models."""\ndef communities(graph): ...\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "slmpy", raising=False)
    with pytest.raises(MissingPackageError, match=r"slmpy/__init__\.py is not the SLM library.*pip install git\+https://github.com/wavefrontshaping/slmPy"):
        SlmPySlm.load_sdk("slmpy://1")
    sys.modules.pop("slmpy")


@pytest.mark.parametrize("absent", ["slmpy", "wx"])
def test_an_absent_package_is_named_with_how_to_get_it(absent, tmp_path, monkeypatch):
    (tmp_path / "slmpy.py").write_text("import wx\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "slmpy", raising=False)
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(MissingPackageError, match=rf"slmPy cannot be imported \(.*{absent}.*pip install git\+https://\S+slmPy wxPython"):
        SlmPySlm.load_sdk("slmpy://1")


@pytest.mark.parametrize("url", ["slmpy://", "slmpy://HDMI-1"])
def test_a_link_without_a_monitor_index_is_refused(url):
    with pytest.raises(ConnectError, match="slmpy://MONITOR_INDEX"):
        SlmPySlm.load_sdk(url)


def test_an_unknown_option_of_the_link_is_refused():
    with pytest.raises(LinkError, match="unknown option 'lock'"):
        SlmPySlm.load_sdk("slmpy://1?lock=1")
