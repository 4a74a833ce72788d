"""Drifts and the laser against the analytic variances."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from sim_backends.physics.drift import Laser, LaserSettings, OrnsteinUhlenbeck
from sim_backends.physics.noise import Noise


@pytest.mark.parametrize("steps_s", [[300.0], [1.0] * 300, [100.0, 0.4, 199.6]])
def test_the_variance_is_exact_for_any_way_of_asking(steps_s: list[float]) -> None:
    drift, now_s = OrnsteinUhlenbeck(Noise(1), 20000, 0.02, 200.0, 1.0), 0.0
    assert np.all(drift.values(0.0) == 0)
    for step_s in steps_s:
        now_s += step_s
        values = drift.values(now_s)
    expected = 0.02 * math.sqrt(100 * (1 - math.exp(-2 * 300 / 200)))
    assert values.std() == pytest.approx(expected, rel=0.03)
    assert abs(values.mean()) < 4 * expected / math.sqrt(20000)


def test_the_correlation_decays_with_the_relaxation_time() -> None:
    drift = OrnsteinUhlenbeck(Noise(2), 20000, 1.0, 50.0, 1.0)
    early, late = drift.values(1000.0).copy(), drift.values(1040.0)
    assert np.corrcoef(early, late)[0, 1] == pytest.approx(math.exp(-40 / 50), abs=0.02)


def test_an_infinite_relaxation_is_a_pure_random_walk() -> None:
    drift = OrnsteinUhlenbeck(Noise(3), 20000, 0.1, math.inf, 0.1)
    assert drift.values(400.0).std() == pytest.approx(0.1 * 20, rel=0.03)


def test_values_move_at_ticks_only_and_never_backwards() -> None:
    drift = OrnsteinUhlenbeck(Noise(4), 3, 0.1, 10.0, 0.1)
    first = drift.values(0.3).copy()
    assert drift.key(0.3) == 3
    assert np.array_equal(drift.values(0.39), first)
    assert np.array_equal(drift.values(0.0), first)
    assert not np.array_equal(drift.values(0.4), first)


def test_an_ideal_laser_is_constant() -> None:
    laser = Laser(LaserSettings.ideal(), Noise(1))
    assert np.array_equal(laser.shot_amplitudes(5, 1e5), np.ones(5, np.float32))
    assert laser.phase_rad(1e5) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_power_of_single_shots_has_the_relative_intensity_noise(dtype: type) -> None:
    laser = Laser(replace(LaserSettings.ideal(), rin_db_per_hz=-120.0, bandwidth_hz=1e6), Noise(2))
    shots = laser.shot_amplitudes(200_000, 0.0, dtype)
    assert shots.dtype == dtype
    power = shots.astype(np.float64) ** 2
    assert power.std() == pytest.approx(1e-3, rel=0.01)
    assert power.mean() == pytest.approx(1, abs=2e-5)


def test_the_power_walks_by_its_rate() -> None:
    settings = replace(LaserSettings.ideal(), power_walk_per_sqrt_h=0.005, power_relax_s=math.inf)
    powers = [Laser(settings, Noise(seed)).amplitude(3600.0) ** 2 for seed in range(600)]
    assert np.std(powers) == pytest.approx(0.005, rel=0.1)


@pytest.mark.parametrize(("lock_s", "expected_rad"), [(10.0, 0.1 / math.sqrt(60) * math.sqrt(5)), (math.inf, 0.1 * math.sqrt(10))])
def test_the_lock_holds_the_phase_to_its_residual_and_off_it_walks(lock_s: float, expected_rad: float) -> None:
    settings = replace(LaserSettings.ideal(), phase_walk_rad_per_sqrt_min=0.1, lock_s=lock_s)
    phases = [Laser(settings, Noise(seed)).phase_rad(600.0) for seed in range(600)]
    assert np.std(phases) == pytest.approx(expected_rad, rel=0.1)


def test_impossible_drifts_and_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="tick_s 0 > 0"):
        OrnsteinUhlenbeck(Noise(1), 1, 0.1, 1.0, 0.0)
    with pytest.raises(ValueError, match=r"LaserSettings.rin_db_per_hz is -20; allowed is -inf to -60"):
        LaserSettings(rin_db_per_hz=-20)
