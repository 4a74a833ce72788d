"""Homodyne detectors: gain, noise by its formula, phase, offset."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import constants

from sim_backends.physics.detectors import DetectorSettings, HomodyneArray
from sim_backends.physics.noise import Noise

IDEAL = DetectorSettings.ideal()


def test_an_ideal_detector_is_a_gain() -> None:
    fields = np.linspace(-3, 3, 30).reshape(6, 5)
    assert np.allclose(HomodyneArray(5, IDEAL, Noise(1)).volts(fields, 0.0), 0.09 * fields, rtol=1e-12)


def test_the_gain_is_the_difference_of_two_photodiodes_behind_a_beam_splitter() -> None:
    s, field = DetectorSettings(), 1.7
    signal = math.sqrt(s.tap * s.saturation_w) * field
    oscillator = math.sqrt(s.local_oscillator_w)
    difference_w = ((oscillator + signal) ** 2 - (oscillator - signal) ** 2) / 2
    assert s.gain_v_per_field * field == pytest.approx(s.responsivity_a_per_w * difference_w * s.feedback_ohm)


def test_the_noise_is_shot_thermal_and_rejected_intensity_noise() -> None:
    s = DetectorSettings()
    shot = 2 * constants.e * 0.9e-3 * 1e6
    thermal = 4 * constants.k * 295 * 1e6 / 1e4
    common = 1e-14 * 1e-4 * (0.9e-3) ** 2 * 1e6
    assert s.sigma_v / 1e4 == pytest.approx(math.sqrt(shot + thermal + common), rel=1e-5)
    assert s.sigma_v / s.gain_v_per_field == pytest.approx(0.0019, rel=0.02)
    assert replace(s, rejection_db=20.0).sigma_v > 1.05 * s.sigma_v


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_readings_have_that_noise_independent_in_shots_and_channels(dtype: type) -> None:
    s = replace(IDEAL, noisy=True)
    volts = HomodyneArray(200, s, Noise(2)).volts(np.full((2000, 200), 0.5, dtype), 0.0)
    assert volts.dtype == dtype
    assert volts.mean() == pytest.approx(0.045, abs=2e-6)
    noise = (volts - volts.mean()).astype(np.float64) / s.sigma_v
    assert noise.std() == pytest.approx(1, rel=0.01)
    assert abs(np.mean(noise[1:] * noise[:-1])) < 0.01
    assert abs(np.mean(noise[:, 1:] * noise[:, :-1])) < 0.01


def test_the_phase_costs_its_cosine_in_every_channel() -> None:
    array = HomodyneArray(4, replace(IDEAL, phase_spread_rad=0.05), Noise(3))
    own = 0.05 * Noise(3).child("phase").normal(4, np.float64)
    fields = np.ones((2, 4))
    assert np.allclose(array.volts(fields, 0.0), 0.09 * np.cos(own), rtol=1e-12)
    assert np.allclose(array.volts(fields, 0.0, 0.3), 0.09 * np.cos(own + 0.3), rtol=1e-12)
    assert np.allclose(array.volts(fields, 0.0), array.gain_v_per_field, rtol=1e-12)


def test_offsets_and_gains_have_the_set_spreads_and_offsets_drift() -> None:
    s = replace(DetectorSettings(), noisy=False, phase_spread_rad=0.0)
    many, dark = HomodyneArray(20000, s, Noise(4)), np.zeros((1, 20000))
    assert np.array_equal(many.volts(dark, 0.0)[0], many.dark_v)
    assert many.dark_v.std() == pytest.approx(2e-4, rel=0.03)
    assert (many.gain_v_per_field / s.gain_v_per_field).std() == pytest.approx(0.02, rel=0.03)
    drift = many.volts(dark, 360.0)[0] - many.dark_v
    assert drift.std() == pytest.approx(5e-5 * math.sqrt((1 - math.exp(-0.2)) / 2), rel=0.03)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"DetectorSettings.tap is 1.5; allowed is 0 to 1"):
        DetectorSettings(tap=1.5)


def test_the_noise_in_units_of_the_field_is_that_of_the_readings_and_infinite_where_the_phase_makes_them_blind() -> None:
    array = HomodyneArray(3, DetectorSettings(phase_spread_rad=0), Noise(3))
    dark = np.zeros((40000, 3))
    for phase, dwell_s in ((0.0, 0.0), (1.0, 1e-4)):
        slope = array.volts(dark + 1, 0.0, phase, noisy=False)[0] - array.volts(dark, 0.0, phase, noisy=False)[0]
        read = array.volts(dark, 0.0, phase, dwell_s).std(axis=0) / slope
        assert np.allclose(array.sigma_fields(0.0, phase, dwell_s), read, rtol=0.02)
    assert np.all(np.isinf(array.sigma_fields(0.0, np.pi / 2)))
    assert np.all(HomodyneArray(3, DetectorSettings.ideal(), Noise(3)).sigma_fields(0.0) == 0)
