"""Nominal curves of a parameter port: as printed, exact inverses, and NaN where no instrument reaches."""

from __future__ import annotations

import numpy as np
import pytest

from labonn.benchfile import dataclass_from
from labonn.curves import AmplifierSection, Curve, Heater, PortCurves, Section
from labonn.errors import BenchFileError

CURVES: list[tuple[Curve, float]] = [
    (Section(), 24e-3),
    (Section(strength=0.5, zero_gain_a=7e-3, shape_a=2e-3), 24e-3),
    (AmplifierSection(), 24e-3),
    (Heater(), 10.0),
    (Heater(resistance_slope_per_w=1.5, offset_rad=0.3), 10.0),
    (Heater(drive="W", offset_rad=-0.4), 0.1),
]
EACH = pytest.mark.parametrize(("curve", "highest"), CURVES, ids=lambda c: repr(c)[:60])


@EACH
def test_both_directions_of_a_curve_are_exact_inverses_whatever_the_shape(curve: Curve, highest: float) -> None:
    driven = np.linspace(0, highest, 60).reshape(3, 4, 5)
    theta = curve.theta(driven)
    assert theta.shape == driven.shape
    assert np.all(np.diff(theta.reshape(-1)) > 0)
    assert np.allclose(curve.driven(theta), driven, rtol=1e-13, atol=1e-16 * highest + 1e-17)
    inside = theta[..., 1:]
    assert np.allclose(curve.theta(curve.driven(inside)), inside, rtol=1e-13, atol=1e-14)


def test_the_curves_are_the_documented_formulas() -> None:
    assert float(Section().theta(np.asarray(5e-3))) == 0
    assert np.sin(float(Section().theta(np.asarray(11e-3)))) == pytest.approx(0.3 * np.log(2), rel=1e-14)
    assert float(AmplifierSection().theta(np.asarray(11e-3))) == pytest.approx(np.log(2), rel=1e-14)
    assert float(Heater().theta(np.asarray(np.sqrt(25.0)))) == pytest.approx(0, abs=1e-14)
    warm = Heater(resistance_slope_per_w=2.0)
    volts = float(warm.driven(np.asarray(0.0)))
    assert volts**2 == pytest.approx(25e-3 * 1e3 * (1 + 2 * 25e-3), rel=1e-14)


@EACH
def test_what_no_current_or_voltage_reaches_is_nan_without_a_warning(curve: Curve, highest: float) -> None:
    lowest = float(curve.theta(np.asarray(0.0)))
    found = curve.driven(np.array([lowest - 1e-3, lowest + 1e-3, np.nan]))
    assert np.isnan(found).tolist() == [True, False, True]
    assert np.isnan(curve.theta(np.array([-1e-6 * highest, np.nan]))).all()


def test_a_coupler_beyond_the_exceptional_point_has_no_theta_and_no_current() -> None:
    assert np.isnan(Section().driven(np.array([1.6, -1.6, 3.0]))).all()
    assert np.isnan(Section(strength=1.0).theta(np.array([24e-3])))
    assert np.isnan(AmplifierSection().driven(np.array([1e4])))


def test_a_port_uses_the_curve_of_every_channel_also_for_a_few_named_ones() -> None:
    marks = np.array([False, True, False, True])
    port = PortCurves(Section(), AmplifierSection(), marks)
    theta = np.array([[0.1, 0.1, -0.2, 0.3], [0.0, 0.0, 0.05, -0.6]])
    driven = port.driven(theta)
    assert np.array_equal(driven[:, ~marks], Section().driven(theta[:, ~marks]))
    assert np.array_equal(driven[:, marks], AmplifierSection().driven(theta[:, marks]))
    assert np.allclose(port.theta(driven), theta, atol=1e-15)
    channels = np.array([[3, 0], [1, 2]])
    few = np.take_along_axis(theta, channels, axis=1)
    assert np.array_equal(port.driven(few, channels), np.take_along_axis(driven, channels, axis=1))
    same = PortCurves(Heater(), Heater(), marks)
    assert np.array_equal(same.driven(theta), Heater().driven(theta))


def test_impossible_curves_are_refused_in_a_bench_file() -> None:
    with pytest.raises(BenchFileError, match=r"nominal\.section: shape_a = 0\.0: must be positive"):
        dataclass_from(Section, {"shape_a": 0.0}, "chip.toml: nominal.section")
    with pytest.raises(BenchFileError, match=r"drive = 'A': allowed are V, W"):
        dataclass_from(Heater, {"drive": "A"}, "chip.toml: nominal.heater")
    with pytest.raises(BenchFileError, match=r"resistance_slope_per_w = -1\.0: must be 0 or more"):
        dataclass_from(Heater, {"resistance_slope_per_w": -1.0}, "chip.toml: nominal.heater")
