"""The monitor SLM's driver against the emulated window."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drivers.slm_monitor import MonitorSlm
from labonn.devices import Detector, SpatialLightModulator
from labonn.errors import BenchFileError, ConnectError, IdentityError, LimitError, TableError, UnknownStateError
from labonn.shots import Changes, Dither
from sim_backends.firmware.slm_window import WindowTable

ONE = np.array([0])


def slm(shape=(3, 5), panel=(24, 40), **options):
    window = WindowTable(panel, options.get("bits", 8), "HDMI-1")
    return MonitorSlm(window, MonitorSlm.Options(shape=shape, panel=panel, **options), "weights"), window


def test_it_is_a_spatial_light_modulator_that_cannot_be_sequenced():
    driver, _ = slm(settle_s=0.02)
    assert isinstance(driver, SpatialLightModulator)
    assert not isinstance(driver, Detector)
    assert (driver.shape, driver.spec.depth, len(driver.spec), driver.spec.unit) == ((3, 5), 1, 15, "1")
    assert (driver.spec.names[0], driver.spec.names[14]) == ("r0c0", "r2c4")
    assert driver.spec.settle_s[7] == 0.02
    assert driver.identity == "monitor HDMI-1"


def test_nothing_is_shown_until_prepare_shows_the_safe_frame():
    driver, window = slm()
    assert window.version == 0
    driver.prepare(driver.spec)
    assert window.version == 1
    assert not window.frame.any()


def test_weights_arrive_row_major_as_the_right_codes_when_armed():
    driver, window = slm()
    fields = -np.cos(math.pi * np.arange(0, 255, 17) / 255)
    driver.load(fields[None, :].astype(np.float32), ONE, 1e-3)
    assert window.version == 0
    driver.arm()
    assert window.version == 1
    assert window.block(3, 5).tolist() == np.arange(0, 255, 17).reshape(3, 5).tolist()


def test_macropixels_outside_the_block_let_no_light_through():
    driver, window = slm(shape=(2, 3), panel=(24, 40))
    driver.load(np.ones((1, 6)), ONE, 1e-3)
    driver.arm()
    assert set(np.unique(window.frame)) <= {127, 128, 255}
    assert (window.frame == 255).sum() == 6


def test_shown_tells_the_fields_of_the_codes_that_arrive():
    driver, window = slm()
    bank = np.random.default_rng(1).uniform(-1, 1, (2, 15)).astype(np.float32)
    driver.load(bank, np.array([1]), 1e-3)
    driver.arm()
    shown = driver.shown(bank)
    assert (shown.shape, shown.dtype) == (bank.shape, bank.dtype)
    assert shown[1] == pytest.approx(-np.cos(math.pi * window.block(3, 5).ravel() / 255), abs=1e-6)
    assert np.abs(shown - bank).max() <= driver.spec.step.max() / 2 + 2e-5


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_more_bits_go_out_as_the_codes_themselves(bits):
    driver, window = slm(bits=bits)
    top = 2**bits - 1
    bank = np.linspace(-1, 1, 15)[None, :]
    driver.load(bank, ONE, 1e-3)
    driver.arm()
    assert window.frame.dtype == np.uint16
    assert -np.cos(math.pi * window.block(3, 5).ravel() / top) == pytest.approx(bank[0], abs=math.pi / top)
    assert (window.block(3, 5).min(), window.block(3, 5).max()) == (0, top)


def test_a_measured_phase_table_is_used(tmp_path):
    path = tmp_path / "lut.csv"
    path.write_text("code,phase_rad\n" + "".join(f"{c},{2 * math.pi * (c / 255) ** 1.3}\n" for c in range(0, 256, 5)))
    driver, window = slm(lut=str(path))
    bank = np.linspace(-1, 1, 15)[None, :]
    driver.load(bank, ONE, 1e-3)
    driver.arm()
    true = -np.cos(math.pi * (window.block(3, 5).ravel() / 255.0) ** 1.3)
    assert true == pytest.approx(bank[0], abs=0.013)


def test_rows_of_sparse_banks_are_encoded_too():
    driver, window = slm()
    base = np.full(15, -1.0)
    driver.load(Changes(base, np.array([[0], [4]]), np.array([[1.0], [1.0]])), np.array([1]), 1e-3)
    driver.arm()
    assert np.flatnonzero(window.block(3, 5)).tolist() == [4]
    driver.load(Dither(base + 1, np.full(15, 1.0), np.packbits(np.eye(1, 15, 2, dtype=bool), axis=1)), ONE, 1e-3)
    driver.arm()
    assert np.flatnonzero(window.block(3, 5)).tolist() == [2]


def test_without_a_bank_the_frame_in_memory_is_shown_again_even_after_safe():
    driver, window = slm()
    driver.load(np.ones((4, 15)), np.array([3, 3, 3]), 1e-3)
    driver.arm()
    driver.safe()
    assert not window.frame.any()
    driver.load(None, np.array([3]), 1e-3)
    driver.arm()
    assert (window.block(3, 5) == 255).all()


def test_tables_that_an_slm_cannot_play_are_refused():
    driver, window = slm()
    with pytest.raises(TableError, match="weights: armed before a frame was loaded"):
        driver.arm()
    with pytest.raises(TableError, match=r"row 0 is not in memory \(nothing is\)"):
        driver.load(None, ONE, 1e-3)
    with pytest.raises(TableError, match=r"names one row, not \[0, 1\]"):
        driver.load(np.zeros((2, 15)), np.array([0, 1]), 1e-3)
    with pytest.raises(TableError, match="names one row"):
        driver.load(np.zeros((2, 15)), np.array([], int), 1e-3)
    with pytest.raises(TableError, match=r"bank of shape \(1, 14\) is not a frame of 15 channels"):
        driver.load(np.zeros((1, 14)), ONE, 1e-3)
    driver.load(np.zeros((2, 15)), np.array([1]), 1e-3)
    with pytest.raises(TableError, match=r"row 0 is not in memory \(only row 1 is\)"):
        driver.load(None, ONE, 1e-3)
    assert window.version == 0


@pytest.mark.parametrize("bad", [1.001, -1.5, math.nan, math.inf])
def test_a_field_that_no_code_shows_is_refused_by_name_and_the_old_frame_stays(bad):
    driver, window = slm()
    driver.load(np.ones((1, 15)), ONE, 1e-3)
    bank = np.zeros((1, 15))
    bank[0, 7] = bad
    with pytest.raises(LimitError, match=r"weights/r1c2: \S+ in row 0 is outside -1 to 1 \(driver\)"):
        driver.load(bank, ONE, 1e-3)
    with pytest.raises(LimitError, match="r1c2"):
        driver.spec.check("weights", bank)
    with pytest.raises(LimitError, match="r1c2"):
        driver.shown(bank)
    driver.arm()
    assert (window.block(3, 5) == 255).all()


def test_another_panel_than_the_bench_file_says_is_refused_with_both_sizes():
    with pytest.raises(IdentityError, match="weights: panel is 1080 x 1920 pixels in the bench file, but monitor SLM has 1200 x 1920"):
        MonitorSlm(WindowTable((1200, 1920)), MonitorSlm.Options(shape=(3, 5)), "weights")


@pytest.mark.parametrize("bits", [3, 17])
def test_bits_that_the_link_cannot_carry_are_refused(bits):
    with pytest.raises(BenchFileError, match=f"weights: bits is {bits}; allowed: 4 to 16"):
        MonitorSlm(WindowTable((24, 40)), MonitorSlm.Options(shape=(3, 5), panel=(24, 40), bits=bits), "weights")


@pytest.mark.parametrize(
    ("shape", "panel"), [((1, 1), (7, 13)), ((7, 13), (7, 13)), ((5, 2), (17, 9)), ((4, 9), (30, 20)), ((1, 20), (30, 20))]
)
def test_odd_shapes_arrive_whole(shape, panel):
    driver, window = slm(shape, panel)
    codes = np.random.default_rng(5).integers(0, 256, shape)
    driver.load(-np.cos(math.pi * codes.reshape(1, -1) / 255), ONE, 1e-3)
    driver.arm()
    assert np.array_equal(window.block(*shape), codes)


def test_close_closes_the_window():
    driver, _ = slm()
    driver.close()
    with pytest.raises(UnknownStateError, match="closed"):
        driver.safe()


@pytest.mark.parametrize("url", ["monitor://", "tcp://1"])
def test_a_link_that_names_no_monitor_is_refused(url):
    with pytest.raises(ConnectError, match="monitor://INDEX or monitor://NAME"):
        MonitorSlm.load_sdk(url)
