"""The slmPy driver against slmPy's function table, emulated and mocked."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from drivers.slm_slmpy import SlmPySlm
from labonn.devices import SpatialLightModulator
from labonn.errors import BenchFileError, ConnectError, IdentityError, LinkError
from sim_backends.firmware.slm_slmpy import SlmDisplayTable

ONE = np.array([0])
PANEL = (24, 40)
OPTIONS = SlmPySlm.Options(shape=(3, 5), panel=PANEL)


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


def test_without_a_display_slmpy_is_not_even_started(mocker, monkeypatch):
    started = mocker.patch("subprocess.Popen")
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConnectError, match="DISPLAY is not set"):
        SlmPySlm.load_sdk("slmpy://1")
    started.assert_not_called()


@pytest.mark.parametrize("limit", ["timeout_s=0", "frame_timeout_s=inf", "timeout_s=nan"])
def test_a_time_limit_that_is_none_is_refused(limit):
    with pytest.raises(ConnectError, match=f"{limit.partition('=')[0]} is .*; it must be positive and finite"):
        SlmPySlm.load_sdk(f"slmpy://1?{limit}")


@pytest.mark.parametrize("url", ["slmpy://", "slmpy://HDMI-1"])
def test_a_link_without_a_monitor_index_is_refused(url):
    with pytest.raises(ConnectError, match="slmpy://MONITOR_INDEX"):
        SlmPySlm.load_sdk(url)


def test_an_unknown_option_of_the_link_is_refused():
    with pytest.raises(LinkError, match="unknown option 'lock'"):
        SlmPySlm.load_sdk("slmpy://1?lock=1")
