"""Macropixels: geometry, codes and fields, against brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.macropixels import Geometry, encode, enlarge, fields_of, fit, inside, linear_phase, lookup, read_phase
from labonn.errors import BenchFileError

TURN = 2 * math.pi


def codes_of(values, tables):
    out = np.empty(values.shape, tables.table.dtype)
    encode(values, tables, np.empty(values.shape, np.float32), np.empty(values.shape, np.intp), out)
    return out


def measured(tmp_path, text):
    path = tmp_path / "lut.csv"
    path.write_text(text)
    return path


def test_the_matrix_of_a_digit_classifier_fits_a_full_hd_panel():
    assert fit((1080, 1920), (128, 784), "slm") == Geometry((1080, 1920), (128, 784), (8, 2), (135, 960), (3, 88))


@given(st.integers(1, 1300), st.integers(1, 2000), st.data())
def test_macropixels_tile_the_panel_are_the_largest_that_fit_and_lie_in_the_middle(height, width, data):
    shape = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    geometry = fit((height, width), shape, "slm")
    axes = zip((height, width), shape, geometry.pixel, geometry.frame, geometry.corner, strict=True)
    for pixels, count, side, macropixels, corner in axes:
        assert side * macropixels == pixels
        assert count * side <= pixels
        assert not [larger for larger in range(side + 1, pixels // count + 1) if pixels % larger == 0]
        assert corner >= 0
        assert 0 <= (macropixels - corner - count) - corner <= 1


@pytest.mark.parametrize("shape", [(1081, 5), (5, 1921), (0, 5), (5, -1)])
def test_a_shape_that_does_not_fit_is_refused_with_port_shape_and_panel(shape):
    with pytest.raises(BenchFileError, match=rf"weights: shape {shape[0]} x {shape[1]} does not fit a panel of 1080 x 1920 pixels"):
        fit((1080, 1920), shape, "weights")


def test_codes_are_those_of_the_optics():
    tables = lookup(linear_phase(8, TURN, "slm"), "slm")
    assert codes_of(np.array([-1.0, -0.001, 0.001, 1.0, -math.cos(math.pi * 64 / 255)]), tables).tolist() == [0, 127, 128, 255, 64]
    assert fields_of(np.array([0, 51, 255], np.uint8), tables) == pytest.approx([-1, -math.cos(math.pi / 5), 1])
    assert (tables.lower, tables.upper) == (-1, 1)
    assert tables.step == pytest.approx(2 * math.sin(math.pi / 510), rel=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("bits", "stroke"), [(8, TURN), (8, 2.3 * math.pi), (10, TURN), (12, 1.9 * math.pi)])
def test_the_code_is_the_nearest_of_all_to_one_entry_of_the_table(dtype, bits, stroke):
    tables = lookup(linear_phase(bits, stroke, "slm"), "slm")
    values = np.random.default_rng(3).uniform(tables.lower, tables.upper, 3000).astype(dtype)
    codes = codes_of(values, tables)
    phases = np.linspace(0, stroke, 2**bits)
    fields = np.where(phases <= TURN, -np.cos(phases / 2), np.inf)
    best = np.abs(values[:, None] - fields).min(axis=1)
    assert np.all(np.abs(values - fields[codes]) <= best + 2.0 ** -min(bits + 8, 20) * 2 + 1e-6)
    assert codes.dtype == (np.uint8 if bits == 8 else np.uint16)


def test_every_code_of_an_8_bit_panel_comes_back_from_its_own_field():
    tables = lookup(linear_phase(8, TURN, "slm"), "slm")
    codes = np.arange(256)
    assert np.array_equal(codes_of(fields_of(codes, tables), tables), codes)


def test_sixteen_bits_are_as_fine_as_a_float32_field():
    tables = lookup(linear_phase(16, TURN, "slm"), "slm")
    values = np.linspace(-1, 1, 10_001, dtype=np.float32)
    assert np.abs(fields_of(codes_of(values, tables), tables) - values).max() < 3e-5


def test_a_short_stroke_lowers_the_upper_limit_instead_of_clipping():
    tables = lookup(linear_phase(8, math.pi, "slm"), "slm")
    assert (tables.lower, tables.upper) == (-1, pytest.approx(0, abs=1e-12))
    assert inside(np.array([-1.0, -0.1]), tables)
    for bad in (0.01, -1.001, math.nan, math.inf):
        assert not inside(np.array([-0.5, bad]), tables)


def test_a_stroke_that_misses_two_pi_by_less_than_half_a_step_still_shows_one():
    assert lookup(linear_phase(8, TURN * 0.9999, "slm"), "slm").upper == 1
    assert lookup(linear_phase(8, TURN * 0.99, "slm"), "slm").upper < 1


@pytest.mark.parametrize("stroke", [0.0, -1.0, math.inf, math.nan])
def test_a_stroke_that_is_no_phase_is_refused(stroke):
    with pytest.raises(BenchFileError, match="slm: stroke_rad is"):
        linear_phase(8, stroke, "slm")


def test_a_measured_table_is_interpolated_and_codes_outside_it_are_never_used(tmp_path):
    path = measured(tmp_path, "code, phase_rad\n10, 0.0\n110, 2.0\n210, 6.283185\n")
    phase = read_phase(path, 8, "slm")
    assert phase[60] == pytest.approx(1.0)
    assert phase[160] == pytest.approx((2 + TURN) / 2, abs=1e-6)
    assert np.isnan(phase[[0, 9, 211, 255]]).all()
    tables = lookup(phase, "slm")
    assert (tables.table.min(), tables.table.max()) == (10, 210)
    assert codes_of(np.array([-math.cos(0.5)]), tables)[0] == 60


def test_a_plateau_in_a_measured_table_is_one_level(tmp_path):
    tables = lookup(read_phase(measured(tmp_path, "code,phase_rad\n0,0\n20,0\n255,6.28\n"), 8, "slm"), "slm")
    assert tables.table[0] == 0
    assert tables.table[200] > 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("code,phase_rad\n0,0\n9,3\n8,4\n", r"not monotone: data row 3 \(code 8, 4 rad\) follows code 9, 3 rad"),
        ("code,phase_rad\n0,0\n9,3\n10,2\n", r"data row 3 \(code 10, 2 rad\)"),
        ("code,phase_rad\n0,0\n256,6\n", "codes in 0 to 255"),
        ("code,phase_rad\n0,0\n200,nan\n", "finite"),
        ("code,phase_rad\n0,0\n", "two or more"),
        ("gray,phase\n0,0\n255,6\n", "columns code, phase_rad"),
        ("code,phase_rad\n0,zero\n255,6\n", "columns code, phase_rad"),
        ("code,phase_rad\n0\n255,6\n", "columns code, phase_rad"),
    ],
)
def test_a_measured_table_that_cannot_be_used_is_refused_with_the_place(tmp_path, text, message):
    with pytest.raises(BenchFileError, match=message):
        read_phase(measured(tmp_path, text), 8, "slm")


def test_a_table_that_is_not_there_is_a_bench_file_error(tmp_path):
    with pytest.raises(BenchFileError, match=r"slm: lut .*none\.csv.* cannot be read"):
        read_phase(tmp_path / "none.csv", 8, "slm")


def test_a_panel_without_two_fields_is_refused():
    with pytest.raises(BenchFileError, match="slm: 0 code"):
        lookup(np.full(256, 7.0), "slm")


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(1, 5))
def test_enlarging_is_replication(h, w, down, across):
    frame = np.arange(h * w, dtype=np.uint8).reshape(h, w)
    panel = np.full((h * down, w * across), 255, np.uint8)
    enlarge(frame, np.empty((h, w * across), np.uint8), panel)
    assert np.array_equal(panel, np.kron(frame, np.ones((down, across), np.uint8)))
