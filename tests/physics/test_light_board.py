"""The activation board: codes looked up by hand, a smooth table against the function it was made from, tables that change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sim_backends.physics.board import Board, BoardSettings
from sim_backends.physics.modulators import Modulators, ModulatorSettings
from sim_backends.physics.noise import Noise

Array = NDArray[Any]
V_PI = 3.5


def board(bits: int, channels: int = 3, settings: ModulatorSettings | None = None, range_v: float = 6.0) -> tuple[Board, Modulators]:
    modulators = Modulators(channels, settings or ModulatorSettings.ideal(), Noise(4))
    return Board(BoardSettings(bits), modulators, channels, range_v), modulators


def volts_of(fields: Array) -> Array:
    return np.asarray(2 * V_PI / np.pi * np.arcsin(fields))


def sigmoid_table(slope: float, points: int = 4096) -> Array:
    return volts_of(0.5 + 0.5 * np.tanh(slope / 2 * np.linspace(-6, 6, points)))


@pytest.mark.parametrize("slope", [1.7, 6.7])
def test_a_smooth_table_of_a_sigmoid_is_the_sigmoid_to_rounding(slope: float) -> None:
    volts = np.random.default_rng(1).uniform(-6, 6, (5, 7, 3))
    found = board(0)[0].fields(volts.copy(), sigmoid_table(slope), 0.0)
    np.testing.assert_allclose(found, 0.5 + 0.5 * np.tanh(slope / 2 * volts), rtol=0, atol=2e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_smooth_table_gives_its_points_at_its_points_and_its_ends_beyond(dtype: Any) -> None:
    table = volts_of(np.random.default_rng(2).uniform(-0.9, 0.9, 16))
    at = np.concatenate([np.linspace(-6, 6, 16), [-7.0, 6.5]]).astype(dtype)
    found = board(0, 1)[0].fields(at.reshape(1, -1, 1).copy(), table, 0.0)
    assert found.dtype == dtype
    wanted = np.sin(np.pi / (2 * V_PI) * np.append(table, table[[0, -1]]))
    np.testing.assert_allclose(found.ravel(), wanted, atol=1e-12 if dtype is np.float64 else 3e-5)


def test_codes_are_those_of_a_two_bit_converter() -> None:
    """Range -6 to 6 in 4 codes: at -6, -2, 2 and 6; halfway between them they change."""
    table = volts_of(np.array([0.1, 0.2, 0.3, 0.4]))
    volts = np.array([-9, -6, -4.01, -3.99, -0.01, 0.01, 3.99, 4.01, 6, 9.0])
    found = board(2, 1)[0].fields(volts.reshape(1, -1, 1).copy(), table, 0.0)
    np.testing.assert_allclose(found.ravel(), [0.1, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.4], atol=1e-12)


def test_more_codes_than_points_pick_the_nearest_point() -> None:
    table = volts_of(np.array([0.1, 0.5, 0.9]))
    codes = np.linspace(-6, 6, 16)
    found = board(4, 1)[0].fields(codes.reshape(1, -1, 1).copy(), table, 0.0).ravel()
    np.testing.assert_allclose(found, [0.1] * 4 + [0.5] * 8 + [0.9] * 4, atol=1e-12)


@pytest.mark.parametrize("bits", [0, 12])
def test_every_channel_has_its_own_modulator(bits: int) -> None:
    settings = ModulatorSettings(bias_walk_v_pi_per_sqrt_h=0)
    made, modulators = board(bits, settings=settings)
    table = np.full(32, 1.5)
    volts = np.random.default_rng(3).uniform(-6, 6, (2, 4, 3))
    wanted = modulators.fields(np.full((1, 3), 1.5), 0.0)
    np.testing.assert_allclose(made.fields(volts, table, 0.0), np.broadcast_to(wanted, (2, 4, 3)), atol=1e-12)
    assert np.ptp(wanted) > 0.01


@pytest.mark.parametrize("bits", [0, 12])
def test_a_table_that_has_changed_in_place_counts(bits: int) -> None:
    made, _ = board(bits, 1)
    table = volts_of(np.full(16, 0.25))
    assert made.fields(np.zeros((1, 1, 1)), table, 0.0).item() == pytest.approx(0.25)
    table[:] = volts_of(np.full(16, 0.75))
    assert made.fields(np.zeros((1, 1, 1)), table, 0.0).item() == pytest.approx(0.75)


@pytest.mark.parametrize("bits", [0, 12])
def test_modulators_that_drift_are_looked_at_again(bits: int) -> None:
    made, modulators = board(bits, settings=ModulatorSettings(bias_walk_v_pi_per_sqrt_h=0.2))
    table = np.full(16, 1.5)
    first = made.fields(np.zeros((1, 1, 3)), table, 0.0)
    later = made.fields(np.zeros((1, 1, 3)), table, 3600.0)
    assert np.abs(later - first).min() > 1e-3
    np.testing.assert_allclose(later[0], modulators.fields(np.full((1, 3), 1.5), 3600.0), atol=1e-12)


def test_bits_that_no_converter_has_are_refused() -> None:
    with pytest.raises(ValueError, match=r"BoardSettings\.bits is 17; allowed is 0 to 16"):
        BoardSettings(17)
