"""Heaters of an MZI chip: curve, neighbours, lag against an integrator of differential equations, drift."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from labonn.curves import Heater
from sim_backends.physics.heaters import Heaters, HeaterSettings
from sim_backends.physics.lag import Lag
from sim_backends.physics.noise import Noise
from sim_backends.physics.placement import positions

IDEAL = HeaterSettings.ideal()
VOLTS = np.linspace(0, 7.0, 30).reshape(6, 5)


def test_ideal_heaters_obey_the_nominal_curve_exactly() -> None:
    heaters = Heaters(5, IDEAL, Noise(1), np.zeros((5, 2)))
    assert np.allclose(heaters.theta(VOLTS), np.pi * VOLTS**2 / 25 - np.pi, rtol=1e-15, atol=1e-15)
    assert np.allclose(heaters.theta(VOLTS), Heater().theta(VOLTS), rtol=1e-15, atol=1e-15)
    watts = Heaters(5, replace(IDEAL, drive="W"), Noise(1))
    assert np.allclose(watts.theta(VOLTS / 100), Heater(drive="W").theta(VOLTS / 100), rtol=1e-15, atol=1e-15)
    assert heaters.drift.key(1e9) == heaters.drift.key(0.0)
    assert heaters.mixing is None


def test_the_nominal_settings_that_ideal_is_given_are_kept() -> None:
    ideal = HeaterSettings.ideal(p_pi_w=20e-3, drive="W")
    assert (ideal.p_pi_w, ideal.drive, ideal.phase_error_rad, ideal.tau_s) == (20e-3, "W", 0, 0)


def test_the_phase_is_the_documented_formula_of_the_hidden_constants() -> None:
    heaters = Heaters(5, replace(HeaterSettings(), crosstalk=0.0), Noise(2))
    power = heaters.power_w(VOLTS)
    assert np.allclose(power * heaters.resistance_ohm * (1 + 1.0 * power), VOLTS**2, rtol=1e-13)
    assert np.allclose(heaters.phases(VOLTS), heaters.phase_error_rad + np.pi * power / heaters.p_pi_w, rtol=1e-14)
    channels = np.array([[3, 1], [4, 4]])
    assert np.allclose(heaters.own(VOLTS[:2, :2], channels),
                       np.pi * heaters.power_w(np.broadcast_to(VOLTS[:2, :2, None], (2, 2, 5)))[[[0], [1]], [[0, 1], [0, 1]], channels]
                       / heaters.p_pi_w[channels], rtol=1e-14)  # fmt: skip


def test_a_heater_does_not_mind_the_sign_of_its_voltage() -> None:
    heaters = Heaters(5, HeaterSettings(), Noise(2))
    assert np.array_equal(heaters.phases(-VOLTS), heaters.phases(VOLTS))


def test_the_hidden_constants_spread_as_set_and_come_from_the_seed() -> None:
    many = Heaters(20000, HeaterSettings(), Noise(3))
    assert many.p_pi_w.std() / 25e-3 == pytest.approx(0.03, rel=0.05)
    assert many.resistance_ohm.std() / 1e3 == pytest.approx(0.03, rel=0.05)
    assert many.phase_error_rad.std() == pytest.approx(0.2, rel=0.05)
    assert abs(np.corrcoef(many.p_pi_w, many.phase_error_rad)[0, 1]) < 0.05
    assert np.array_equal(Heaters(20000, HeaterSettings(), Noise(3)).phase_error_rad, many.phase_error_rad)


def test_a_neighbour_gets_its_share_of_the_phase_by_its_distance() -> None:
    layout = (np.array([0, 2]), np.array([1]))
    places = positions([layout, 2])
    heaters = Heaters(5, replace(HeaterSettings(), crosstalk=0.02, crosstalk_decay=1.5), Noise(4), places)
    volts = np.full(5, 2.0)
    one = volts.copy()
    one[2] = 6.0
    moved, own = heaters.phases(one) - heaters.phases(volts), heaters.own(one)[2] - heaters.own(volts)[2]
    distance = np.linalg.norm(places - places[2], axis=1)
    wanted = own * np.where(distance > 0, 0.02 * np.exp(-distance / 1.5), 1)
    assert np.allclose(moved, wanted, rtol=1e-12)
    mixing: Any = heaters.mixing
    assert np.array_equal(mixing.toarray(), mixing.toarray().T)


def integrated(start: NDArray[Any], targets: NDArray[Any], slot_s: float, times_s: NDArray[Any], tau_s: float) -> NDArray[Any]:
    """(n, K) of tau dx/dt = target(t) - x by a Runge-Kutta integrator, slot by slot."""
    state, out = start, np.empty((len(times_s), len(start)))
    for k, target in enumerate(targets):
        inside = (times_s > k * slot_s) & (times_s <= (k + 1) * slot_s)
        stops = np.append(times_s[inside] - k * slot_s, slot_s)
        found = solve_ivp(lambda _, x, goal=target: (goal - x) / tau_s, (0, slot_s), state, t_eval=stops, rtol=1e-11, atol=1e-12)
        out[inside], state = found.y.T[:-1], found.y[:, -1]
    return out


def test_the_lag_is_the_solution_of_its_differential_equation() -> None:
    rng, lag, slot_s = np.random.default_rng(1), Lag(1.2e-6), 2.0e-6
    start, targets, samples = rng.uniform(0, 6, 3), rng.uniform(0, 6, (7, 3)), np.array([0.3e-6, 1.1e-6, 1.9e-6])
    found, end = lag.slots(start, targets, slot_s, samples)
    times = (np.arange(7)[:, None] * slot_s + samples).reshape(-1)
    wanted = integrated(start, targets, slot_s, times, 1.2e-6)
    assert found.shape == (7, 3, 3)
    assert np.abs(found.reshape(-1, 3) - wanted).max() < 1e-8
    assert np.abs(end - integrated(start, targets, slot_s, np.array([7 * slot_s * (1 - 1e-12)]), 1.2e-6)).max() < 1e-8
    assert np.allclose(lag.starts(start, targets, slot_s)[-1], end)
    assert np.abs(lag.after(start, targets[0], samples) - wanted[:3]).max() < 1e-8


def test_a_run_of_slots_in_parts_is_the_run_in_one() -> None:
    rng, lag = np.random.default_rng(2), Lag(1.0)
    targets, start = rng.normal(size=(9, 4)), np.zeros(4)
    whole, end = lag.slots(start, targets, 0.7, np.array([0.2, 0.7]))
    first, between = lag.slots(start, targets[:4], 0.7, np.array([0.2, 0.7]))
    second, last = lag.slots(between, targets[4:], 0.7, np.array([0.2, 0.7]))
    assert np.allclose(np.concatenate([first, second]), whole, rtol=1e-13)
    assert np.allclose(end, last)
    assert np.allclose(whole[-1, -1], end), "a sample at the end of the slot is where the next one begins"
    assert np.array_equal(lag.starts(start, targets[:0], 0.7), start[None])


def test_without_a_lag_phases_are_there_at_once() -> None:
    targets = np.random.default_rng(2).normal(size=(3, 2))
    found, end = Lag(0.0).slots(np.full(2, 9.0), targets, 1e-6, np.array([0.0, 1e-6]))
    assert np.array_equal(found, np.repeat(targets[:, None], 2, axis=1))
    assert np.array_equal(end, targets[-1])


def test_drift_of_the_phases_is_a_walk_and_a_steady_rate() -> None:
    heaters = Heaters(4000, replace(IDEAL, walk_rad_per_sqrt_h=0.05, drift_rad_per_h=0.3), Noise(5))
    volts = np.full(4000, 3.0)
    moved = -heaters.theta(volts, 0.0) + heaters.theta(volts, 4 * 3600.0)
    assert moved.mean() == pytest.approx(1.2, abs=0.005)
    assert moved.std() == pytest.approx(0.05 * 2, rel=0.05)
    assert heaters.drift.key(0.2) == heaters.drift.key(0.0) != heaters.drift.key(5.0)


def test_wrong_drives_times_and_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="a heater at nan V; a number is wanted"):
        Heaters(1, IDEAL, Noise(1)).phases(np.array([np.nan]))
    with pytest.raises(ValueError, match=r"a heater at -0\.001 W; .* a power of 0 W and more"):
        Heaters(1, replace(IDEAL, drive="W"), Noise(1)).phases(np.array([-1e-3]))
    with pytest.raises(ValueError, match="a lag at -1 s after a step"):
        Lag(1.0).after(np.zeros(1), np.zeros(1), -1.0)
    with pytest.raises(ValueError, match=r"HeaterSettings\.drive is 'A'; allowed are V and W"):
        HeaterSettings(drive="A")
    with pytest.raises(ValueError, match=r"HeaterSettings.crosstalk is 0.3; allowed is 0 to 0.2"):
        HeaterSettings(crosstalk=0.3)
