"""Imperfections of the twin: as large as asked, where they belong, and fixed where they are fixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.errors import ProcedureError
from labonn.twin import Absorber, Engine, Imperfections, Method, network, start_weights
from labonn.twin.imperfections import Flaws, mode_scales, quantise, spread

Array = NDArray[Any]
NET = network("20-16-12-4", Absorber(5.0))


def flaws(chosen: Imperfections, seed: int = 0) -> Flaws:
    return Flaws(chosen, mode_scales(NET, chosen.deviation, seed, np.dtype(np.float64)), np.random.default_rng(seed))


def pictures(count: int = 40) -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (count, 20)).astype(np.uint8), rng.integers(0, 4, count)


def gradient(engine: Engine, weights: Array) -> Array:
    images, labels = pictures()
    return engine.gradient(NET.split(weights), images, labels, np.arange(40)).flat.copy()


@pytest.mark.parametrize("level", [0.05, 0.1])
@pytest.mark.parametrize("kind", ["activation", "error"])
def test_noise_has_the_asked_share_of_the_signals_standard_deviation(level: float, kind: str) -> None:
    signal = 3.0 + 2.0 * np.random.default_rng(0).normal(size=(16, 20000))
    changed = getattr(flaws(Imperfections(noise=level)), kind)(1, signal.copy())
    assert np.std(changed - signal) == pytest.approx(level * np.std(signal), rel=0.01)
    assert abs(np.mean(changed - signal)) < 0.001


def test_noise_is_drawn_anew_every_time() -> None:
    flaw, signal = flaws(Imperfections(noise=0.1)), np.ones((3, 4)) * np.arange(4)
    assert (flaw.activation(1, signal.copy()) != flaw.activation(1, signal.copy())).all()


def test_a_modes_scale_is_the_same_for_all_images_and_steps_and_another_for_errors() -> None:
    flaw = flaws(Imperfections(deviation=0.1))
    first, again = flaw.activation(1, np.ones((16, 50))), flaw.activation(1, np.ones((16, 50)))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, first[:, :1] * np.ones((1, 50)))
    assert (flaw.error(1, np.ones((16, 50))) != first).all()


def test_scales_spread_as_asked() -> None:
    wide = network("10-4000-4000-4", Absorber(5.0))
    forward, backward = mode_scales(wide, 0.2, 0, np.dtype(np.float32))
    drawn = [s for s in (*forward, *backward) if s is not None]
    assert [len(s) for s in drawn] == [4000, 4000, 4000, 4000, 4]
    assert np.std(np.concatenate(drawn)) == pytest.approx(0.2, rel=0.02)
    assert np.mean(np.concatenate(drawn)) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("bits", [2, 6, 8])
def test_bits_leave_evenly_spaced_levels_with_zero_among_them(bits: int) -> None:
    signal = np.random.default_rng(0).uniform(-3, 3, 20000)
    rounded = quantise(signal.copy(), bits, 2.5)
    levels = np.unique(rounded)
    assert len(levels) == 2**bits - 1
    np.testing.assert_allclose(np.diff(levels), 5 / (2**bits - 2))
    assert 0 in levels
    inside = np.abs(signal) < 2.5
    assert np.abs(rounded - signal)[inside].max() <= 2.5 / (2**bits - 2) * (1 + 1e-9)
    assert np.abs(rounded).max() == pytest.approx(2.5)


def test_without_a_full_scale_the_largest_magnitude_is_kept() -> None:
    signal = np.array([[0.3, -0.7, 0.01]])
    assert flaws(Imperfections(bits=4)).activation(1, signal.copy()).min() == pytest.approx(-0.7)
    assert not quantise(np.zeros(3), 8, 0.0).any()


def test_a_fixed_full_scale_saturates_and_drowns_small_errors() -> None:
    flaw = flaws(Imperfections(bits=8, full_scale=(1.0, 2.0, 0.5)))
    assert flaw.activation(1, np.array([[5.0]])) == 2.0
    assert flaw.weights(np.array([[5.0]])) == 1.0
    np.testing.assert_allclose(flaw.error(1, np.array([[0.0019, 0.0021, 9.0]])), [[0, 0.5 / 127, 0.5]])


def test_weights_are_rounded_as_shown_but_trained_in_full() -> None:
    weights = start_weights(NET, 0)
    before = weights.copy()
    with Engine(NET, Method(imperfections=Imperfections(bits=4))) as engine:
        shown = engine._displayed(NET.split(weights))
        gradient(engine, weights)
    np.testing.assert_array_equal(weights, before)
    for matrix in shown:
        assert matrix is None or len(np.unique(matrix)) <= 15


def test_none_of_them_and_tiny_ones_give_the_same_gradient() -> None:
    weights = start_weights(NET, 0, dtype=np.float64)
    ideal = gradient(Engine(NET, Method(), dtype=np.float64), weights)
    for tiny in (Imperfections(noise=1e-9), Imperfections(deviation=1e-9), Imperfections(bits=24)):
        found = gradient(Engine(NET, Method(imperfections=tiny), dtype=np.float64), weights)
        np.testing.assert_allclose(found, ideal, rtol=1e-4, atol=1e-6 * np.abs(ideal).max())
        assert (found != ideal).any()


def test_an_optical_error_goes_back_unrounded_and_is_the_digital_one_otherwise() -> None:
    weights = start_weights(NET, 0, dtype=np.float64)

    def made(error: str, **chosen: Any) -> list[Array]:
        engine = Engine(NET, Method(error=error, imperfections=Imperfections(**chosen)), dtype=np.float64)
        return [g for g in NET.split(gradient(engine, weights)) if g is not None]

    for one, two in zip(made("digital"), made("optical"), strict=True):
        np.testing.assert_array_equal(one, two)
    digital, optical = made("digital", bits=3), made("optical", bits=3)
    np.testing.assert_array_equal(digital[-1], optical[-1])
    assert (digital[0] != optical[0]).any()


def test_the_spread_of_a_signal_is_its_standard_deviation() -> None:
    signal = np.random.default_rng(0).normal(0.4, 2, (30, 50)).astype(np.float32)
    assert spread(signal) == pytest.approx(float(np.std(signal.astype(float))), rel=1e-5)
    assert spread(np.full((3, 3), 0.1, np.float32)) < 1e-4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"noise": -0.1}, "noise -0.1: a share of the signal"),
        ({"deviation": float("nan")}, "deviation nan"),
        ({"bits": 1}, "1 bits: 2 to 24"),
        ({"bits": 8, "full_scale": (1.0, 0.0, 1.0)}, "three positive numbers"),
    ],
)
def test_impossible_imperfections_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ProcedureError, match=message):
        Imperfections(**wrong)
