"""The panel: table of codes, flicker, settling, crosstalk, and the key by which its field may be cached."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim_backends.physics.noise import Noise
from sim_backends.physics.slm import Panel, SlmSettings, leak, true_phase

IDEAL = SlmSettings.ideal()
DARK, BRIGHT = np.zeros((4, 6), np.uint8), np.full((4, 6), 255, np.uint8)


def panel(settings: SlmSettings, seed: int = 1, dtype: type = np.float64, rows: int = 4, cols: int = 6) -> Panel:
    return Panel(rows, cols, 8, settings, Noise(seed).child("slm"), dtype)


def test_an_ideal_panel_is_minus_the_cosine_of_half_the_phase_at_once() -> None:
    slm = panel(IDEAL)
    codes = np.arange(24, dtype=np.uint8).reshape(4, 6) * 11
    slm.show(codes, 0.0)
    assert np.allclose(slm.field(0.0), -np.cos(np.pi * codes / 255), atol=1e-15)
    assert slm.key(0.0) == slm.key(1e4)


def test_a_panel_shows_code_zero_until_a_frame_comes() -> None:
    assert np.allclose(panel(IDEAL).field(3.0), -1)


@pytest.mark.parametrize("seed", range(20))
def test_the_table_is_monotone_smooth_and_deviates_by_exactly_the_setting(seed: int) -> None:
    phase = true_phase(8, replace(IDEAL, lut_nonlinearity=0.1), Noise(seed))
    turns = phase / (2 * np.pi)
    assert np.all(np.diff(phase) > 0)
    assert turns[[0, -1]] == pytest.approx([0, 1], abs=1e-12)
    assert np.max(np.abs(turns - np.linspace(0, 1, 256))) == pytest.approx(0.1, rel=1e-12)
    assert np.max(np.abs(np.diff(turns, 2))) < 0.1 * (3 * np.pi / 255) ** 2 * 3


def test_pixel_scale_and_fill_factor_multiply_the_field() -> None:
    slm = Panel(100, 100, 8, replace(IDEAL, pixel_scale=0.02, fill_factor=0.93), Noise(2), np.float64)
    slm.show(np.full((100, 100), 255, np.uint8), 0.0)
    assert slm.field(0.0).mean() == pytest.approx(0.93, rel=1e-3)
    assert slm.field(0.0).std() == pytest.approx(0.93 * 0.02, rel=0.05)


def test_flicker_adds_to_the_light_what_small_random_phases_of_all_pixels_would() -> None:
    slm = panel(replace(IDEAL, flicker_rad=0.02), rows=40, cols=60)
    rng = np.random.default_rng(5)
    codes, light = rng.integers(0, 256, (40, 60)).astype(np.uint8), rng.random((2000, 60))
    slm.show(codes, 0.0)
    phases = 2 * np.pi * codes / 255 + 0.02 * rng.standard_normal((500, 40, 60))
    direct = np.einsum("kji,ki->kj", -np.cos(phases / 2), light[:500]) - light[:500] @ slm.field(1.0).T
    added = slm.flicker(light, 40, SlmSettings().flicker_period_s)
    assert added is not None
    assert added.std() == pytest.approx(direct.std(), rel=0.03)
    assert abs(np.corrcoef(added[1:, 0], added[:-1, 0])[0, 1]) < 0.1


def test_shots_within_a_flicker_period_share_its_phases_and_long_shots_average_over_periods() -> None:
    slm = panel(replace(IDEAL, flicker_rad=0.02))
    slm.show(np.full((4, 6), 128, np.uint8), 0.0)
    light = np.ones((1000, 6))
    period = SlmSettings().flicker_period_s
    short, long = slm.flicker(light, 4, period / 10), slm.flicker(light, 4, 4 * period)
    assert short is not None
    assert long is not None
    assert np.array_equal(short[0], short[9])
    assert not np.array_equal(short[9], short[10])
    assert long.std() == pytest.approx(0.5 * 0.01 * 6**0.5, rel=0.05)


def test_a_panel_without_flicker_adds_nothing() -> None:
    assert panel(IDEAL).flicker(np.ones((3, 6)), 4, 1e-3) is None


def test_rising_and_falling_fields_settle_exponentially_with_their_own_time_constants() -> None:
    slm = panel(replace(IDEAL, tau_rise_s=7e-3, tau_fall_s=5e-3))
    slm.show(BRIGHT, 1.0)
    for elapsed_s in (0.0, 1e-3, 7e-3, 28e-3):
        assert slm.field(1 + elapsed_s) == pytest.approx(1 - 2 * np.exp(-elapsed_s / 7e-3), abs=1e-12)
    slm.show(DARK, 2.0)
    for elapsed_s in (0.0, 5e-3, 20e-3):
        assert slm.field(2 + elapsed_s) == pytest.approx(-1 + 2 * np.exp(-elapsed_s / 5e-3), abs=2e-5)
    assert np.array_equal(slm.field(3.0), np.full((4, 6), -1.0))


def test_a_frame_shown_before_the_last_one_settled_starts_where_the_field_is() -> None:
    slm = panel(replace(IDEAL, tau_rise_s=7e-3, tau_fall_s=5e-3))
    slm.show(BRIGHT, 1.0)
    reached = 1 - 2 * np.exp(-5 / 7)
    slm.show(DARK, 1.005)
    assert slm.field(1.005) == pytest.approx(reached, abs=1e-12)
    assert slm.field(1.010) == pytest.approx(-1 + (reached + 1) * np.exp(-1), abs=1e-12)


def test_the_key_changes_exactly_when_the_field_does() -> None:
    slm, rng = panel(SlmSettings(), dtype=np.float32), np.random.default_rng(0)
    seen: dict[object, np.ndarray] = {}
    now_s = 0.0
    for step in range(600):
        if step % 100 == 50:
            slm.show(rng.integers(0, 256, (4, 6), np.uint8), now_s)
        key, field = slm.key(now_s), slm.field(now_s)
        if key in seen:
            assert np.array_equal(seen[key], field)
        else:
            assert not any(np.array_equal(field, old) for old in seen.values())
        seen[key] = field.copy()
        now_s += float(rng.choice([1e-5, 1e-4, 2e-3]))
    assert 50 < len(seen) < 600


def test_the_cached_field_is_one_array_and_frames_are_copied() -> None:
    slm, codes = panel(SlmSettings()), BRIGHT.copy()
    slm.show(codes, 0.0)
    field = slm.field(0.2)
    assert slm.field(0.2) is field
    codes[:] = 0
    assert np.all(slm.field(0.3) > 0.5)


@pytest.mark.parametrize("macropixel", [1, 2, 8])
def test_the_leak_is_the_light_that_a_gaussian_edge_moves_out_of_a_macropixel(macropixel: int) -> None:
    x = np.linspace(-0.5, 0.5, 20001) * 8 * 0.2
    blurred_edge = np.exp(-(x**2) / (2 * 0.2**2)) / (0.2 * np.sqrt(2 * np.pi))
    crossing = np.sum(blurred_edge * np.maximum(x, 0)) * (x[1] - x[0])
    assert leak(0.2, macropixel) == pytest.approx(crossing / macropixel, rel=1e-3)


def test_crosstalk_is_self_adjoint_keeps_light_inside_and_loses_it_over_the_edge() -> None:
    slm = Panel(120, 960, 8, replace(IDEAL, crosstalk_px=0.2), Noise(1), np.float64)
    rows, columns = leak(0.2, 9), leak(0.2, 2)
    for blur, count, fraction in ((slm.blur_rows, 120, rows), (slm.blur_columns, 960, columns)):
        matrix = blur(np.eye(count))
        assert np.array_equal(matrix, matrix.T)
        assert np.allclose(matrix[1:-1].sum(axis=1), 1)
        assert matrix[0].sum() == pytest.approx(1 - fraction)
        assert matrix[5, 6] == pytest.approx(fraction)
    light = np.ones((3, 4), np.float32)
    assert panel(IDEAL).blur_columns(light) is light
    assert panel(SlmSettings()).blur_columns(np.ones((2, 6), np.float32)).dtype == np.float32


def test_a_small_panel_works_crosstalk_into_its_field_and_acts_on_light_as_a_large_one_does() -> None:
    settings, codes = replace(IDEAL, crosstalk_px=0.2), np.random.default_rng(2).integers(0, 256, (4, 6)).astype(np.uint8)
    small, plain = panel(settings), panel(IDEAL)
    small.show(codes, 0.0)
    plain.show(codes, 0.0)
    across, down = (leak(0.2, n) for n in (1920 // 6, 1080 // 4))
    matrices = [np.eye(n) * (1 - 2 * f) + f * (np.eye(n, k=1) + np.eye(n, k=-1)) for n, f in ((4, down), (6, across))]
    assert np.allclose(small.field(0.0), matrices[0] @ plain.field(0.0) @ matrices[1], atol=1e-14)
    light = np.ones((2, 6))
    assert small.blur_columns(light) is light


def test_sixteen_bit_codes_reach_a_ten_bit_panel_and_too_large_ones_are_refused() -> None:
    slm = Panel(4, 6, 10, IDEAL, Noise(1))
    slm.show(np.full((4, 6), 1023, np.uint16), 0.0)
    assert np.allclose(slm.field(0.0), 1)
    assert slm.field(0.0).dtype == np.float32
    with pytest.raises(ValueError, match=r"code 1024; the last one is 1023"):
        slm.show(np.full((4, 6), 1024, np.uint16), 0.0)


def test_wrong_frames_shapes_and_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(4, 6\), not uint8\[6, 4\]"):
        panel(IDEAL).show(BRIGHT.T, 0.0)
    with pytest.raises(ValueError, match="unsigned integer array"):
        panel(IDEAL).show(BRIGHT.astype(np.int64), 0.0)
    with pytest.raises(ValueError, match="1081 x 6 macropixels do not fit on 1080 x 1920"):
        Panel(1081, 6, 8, IDEAL, Noise(1))
    with pytest.raises(ValueError, match=r"SlmSettings.lut_nonlinearity is 0.2; allowed is 0 to 0.1"):
        SlmSettings(lut_nonlinearity=0.2)
