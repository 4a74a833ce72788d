"""The believed optics: curves, their inverses, and what a [nominal] table may say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labonn.benchfile import BenchFile
from labonn.errors import BenchFileError, ProcedureError
from labonn.optics import Amplifier, Modulator, Optics, Oven


def nominal(**table: Any) -> Optics:
    return Optics.of(BenchFile("bench.toml", "", {}, table))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_volts_of_a_modulator_give_the_field_back(dtype: type) -> None:
    modulator = Modulator(v_pi_v=4.2, bias_v=0.3)
    fields: Any = np.linspace(-1, 1, 101).astype(dtype)
    volts = modulator.volts(fields)
    assert volts.dtype == dtype
    back = np.sin(np.pi * (volts.astype(np.float64) - 0.3) / (2 * 4.2))
    np.testing.assert_allclose(back, fields, atol=1e-6 if dtype is np.float32 else 1e-14)
    assert (volts[0], volts[50], volts[-1]) == pytest.approx((0.3 - 4.2, 0.3, 0.3 + 4.2))


def test_a_field_beyond_full_light_has_no_volts() -> None:
    assert np.isnan(Modulator().volts(np.array([1.001]))).all()


def test_the_amplifier_has_the_points_of_its_data_sheet_and_its_inverse() -> None:
    amplifier = Amplifier()
    np.testing.assert_allclose(amplifier.amplitude(np.array([0.0, 8.0e-3, 24e-3])), [0.05, 1.0, 4.0], rtol=0.02)
    currents = np.linspace(0, 24e-3, 40)
    np.testing.assert_allclose(amplifier.current(amplifier.amplitude(currents)), currents, atol=1e-15)
    np.testing.assert_allclose(Amplifier(throughput=0.8).amplitude(currents), 0.8 * amplifier.amplitude(currents))


@pytest.mark.parametrize(("celsius", "depth"), [(20, 0.28), (50, 5.3), (60, 12.0), (100, 206.0)])
def test_the_oven_has_the_points_of_the_vapour_curve(celsius: float, depth: float) -> None:
    assert Oven().temperature(depth) == pytest.approx(celsius)
    assert Oven().depth_at(np.array([celsius])) == pytest.approx(depth)


def test_between_its_points_the_curve_rises_by_some_percent_a_kelvin() -> None:
    celsius = np.linspace(20, 100, 81)
    ratio = Oven().depth_at(celsius + 0.01) / Oven().depth_at(celsius)
    assert np.all((np.log(ratio[:-1]) / 0.01 > 0.06) & (np.log(ratio[:-1]) / 0.01 < 0.11))
    assert [Oven().temperature(float(depth)) for depth in Oven().depth_at(celsius[1:-1])] == pytest.approx(celsius[1:-1].tolist())


@pytest.mark.parametrize("depth", [0.1, 300.0, float("nan")])
def test_a_depth_outside_the_curve_is_refused(depth: float) -> None:
    with pytest.raises(ProcedureError, match=r"optical depth .* is outside 0\.28 to 206 \(nominal\.oven\.depth\)"):
        Oven().temperature(depth)


def test_what_a_bench_file_says_is_believed_and_the_rest_is_the_default() -> None:
    optics = nominal(cell="doppler", probe=1, modulator={"v_pi_v": 5.0}, oven={"celsius": [10.0, 20.0], "depth": [1.0, 2.0]})
    assert (optics.cell, optics.probe, optics.modulator.v_pi_v, optics.modulator.bias_v) == ("doppler", 1.0, 5.0, 0.0)
    assert optics.oven.temperature(2.0**0.5) == pytest.approx(15)
    assert nominal() == Optics()


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"cells": "eq4"}, r"bench\.toml: nominal\.cells = 'eq4': unknown key; did you mean 'cell'\?"),
        ({"cell": "eq5"}, r"bench\.toml: nominal\.cell = 'eq5': allowed are eq4, two_level, doppler, gain"),
        ({"probe": 0}, r"nominal\.probe = 0: a number above 0 and up to 100 is wanted"),
        ({"feedback": True}, r"nominal\.feedback = True: a number above 0"),
        ({"feedback": "4"}, r"nominal\.feedback = '4': a number above 0"),
        ({"modulator": {"v_pi_v": 0}}, r"v_pi_v = 0(\.0)?: must be positive"),
        ({"modulator": {"vpi": 3}}, r"nominal\.modulator\.vpi = 3: unknown key"),
        ({"modulator": 3}, r"bench\.toml: nominal\.modulator = 3: a table is wanted"),
        ({"oven": {"celsius": [20.0, 10.0], "depth": [1.0, 2.0]}}, r"celsius and depth must rise together"),
        ({"oven": {"celsius": [10.0, 20.0], "depth": [0.0, 2.0]}}, r"celsius and depth must rise together, depth from above 0"),
        ({"detectors": {"forward": "much"}}, r"nominal\.detectors\.forward = 'much'"),
    ],
)
def test_a_wrong_nominal_table_is_told_by_key(table: dict[str, Any], told: str) -> None:
    with pytest.raises(BenchFileError, match=told):
        nominal(**table)


@pytest.mark.parametrize("key", ["forward", "output", "backward"])
@pytest.mark.parametrize("volts", [0.0, -0.1, float("nan")])
def test_a_detector_without_volts_for_light_is_refused(key: str, volts: float) -> None:
    with pytest.raises(BenchFileError, match=rf"{key} = .*: must be positive"):
        nominal(detectors={key: volts})


@pytest.mark.parametrize("key", ["gain", "knee_a", "throughput"])
def test_an_amplifier_that_cannot_be_inverted_is_refused(key: str) -> None:
    with pytest.raises(BenchFileError, match=rf"{key} = .*: must be positive"):
        nominal(amplifier={key: 0.0})
