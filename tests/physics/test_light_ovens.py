"""Ovens and vapour: step responses, wander, and the curve of optical depths."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sim_backends.physics.noise import Noise
from sim_backends.physics.ovens import OvenPlant, OvenSettings, vapour_depth

IDEAL = OvenSettings.ideal()


def test_the_vapour_curve_runs_through_the_published_optical_depths() -> None:
    temperatures_c = np.array([20, 40, 50, 60, 70, 80, 100])
    assert np.allclose(vapour_depth(temperatures_c), [0.28, 2.2, 5.3, 12, 26, 54, 206], rtol=0.06)
    assert math.log(vapour_depth(60.5) / vapour_depth(59.5)) == pytest.approx(0.081, abs=0.003)


def test_the_vapour_curve_rises_without_a_jump_at_the_melting_point() -> None:
    depth = vapour_depth(np.linspace(0, 120, 12001))
    growth = np.diff(np.log(depth))
    assert np.all(growth > 0)
    assert np.max(np.abs(np.diff(growth))) < 6e-5


def test_an_ideal_oven_is_there_at_once_and_off_it_is_at_ambient() -> None:
    plant = OvenPlant(3, IDEAL, Noise(1))
    plant.drive([60, 70, 80], [True, False, True], 5.0)
    assert np.allclose(plant.temperatures(5.0), [60, 22, 80])
    assert np.allclose(plant.optical_depths(5.0), vapour_depth([60, 22, 80]))


def test_without_overshoot_heating_and_cooling_are_first_order() -> None:
    plant = OvenPlant(1, replace(IDEAL, tau_s=120.0), Noise(1))
    plant.drive([60.0], [True], 10.0)
    assert plant.temperatures(130.0)[0] == pytest.approx(22 + 38 * (1 - math.exp(-1)))
    plant.drive([60.0], [False], 130.0)
    assert plant.temperatures(130.0)[0] == pytest.approx(22 + 38 * (1 - math.exp(-1)))
    assert plant.temperatures(250.0)[0] == pytest.approx(22 + 38 * (1 - math.exp(-1)) * math.exp(-1))


def test_the_overshoot_is_the_set_fraction_of_the_step() -> None:
    plant = OvenPlant(1, replace(IDEAL, tau_s=120.0, overshoot=0.05), Noise(1))
    plant.drive([60.0], [True], 0.0)
    temperatures_c = [plant.temperatures(t)[0] for t in np.linspace(0, 3000, 6001)]
    assert max(temperatures_c) == pytest.approx(60 + 0.05 * 38, abs=1e-3)
    assert temperatures_c[-1] == pytest.approx(60, abs=1e-6)


def test_the_second_order_motion_solves_its_equation_through_a_change_of_goal() -> None:
    tau_s, overshoot, change_s = 100.0, 0.1, 150.0
    plant = OvenPlant(1, replace(IDEAL, tau_s=tau_s, overshoot=overshoot), Noise(1))
    omega2 = (math.pi / (math.log(1 / overshoot) * tau_s)) ** 2 + tau_s**-2
    plant.drive([60.0], [True], 0.0)
    plant.drive([40.0], [True], change_s)

    def solve(goal_c: float, start: list[float], from_s: float, to_s: float) -> list[float]:
        solved = solve_ivp(lambda t, y: [y[1], -2 / tau_s * y[1] - omega2 * (y[0] - goal_c)], (from_s, to_s), start, rtol=1e-10, atol=1e-12)
        return [float(value) for value in solved.y[:, -1]]

    at_change = solve(60.0, [22.0, 0.0], 0.0, change_s)
    for now_s in (200.0, 400.0, 600.0):
        assert plant.temperatures(now_s)[0] == pytest.approx(solve(40.0, at_change, change_s, now_s)[0], abs=1e-6)


def test_driving_the_same_goal_again_changes_nothing() -> None:
    plant, untouched = (OvenPlant(1, replace(IDEAL, tau_s=120.0, overshoot=0.02), Noise(1)) for _ in range(2))
    for p in (plant, untouched):
        p.drive([60.0], [True], 0.0)
    for now_s in range(1, 100):
        plant.drive([60.0], [True], float(now_s))
    assert plant.temperatures(300.0) == untouched.temperatures(300.0)


def test_the_temperature_wanders_by_the_set_rms() -> None:
    many = OvenPlant(20000, replace(IDEAL, wander_k=0.01), Noise(2))
    assert many.temperatures(2000.0).std() == pytest.approx(0.01, rel=0.03)
    assert many.key(2000.0) == many.key(2000.5) != many.key(2001.0)


def test_the_key_follows_the_motion_until_the_ovens_have_arrived() -> None:
    plant = OvenPlant(1, replace(IDEAL, tau_s=10.0), Noise(1))
    plant.drive([60.0], [True], 0.0)
    assert plant.key(1.0) != plant.key(1.1)
    assert plant.key(500.0) == plant.key(600.0)
    assert plant.temperatures(500.0) == pytest.approx(60, abs=1e-10)


def test_each_cell_hides_a_depth_factor_and_a_sensor_offset() -> None:
    many = OvenPlant(20000, OvenSettings(), Noise(3))
    assert many.depth_factor.std() == pytest.approx(0.05, rel=0.03)
    assert many.sensor_offset_k.std() == pytest.approx(0.3, rel=0.03)
    assert np.allclose(many.optical_depth(60.0), many.depth_factor * vapour_depth(60 + many.sensor_offset_k))


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"OvenSettings.overshoot is 0.9; allowed is 0 to 0.5"):
        OvenSettings(overshoot=0.9)
