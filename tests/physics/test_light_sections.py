"""Gain sections of a PT chip: curve, spreads, neighbours, drift, spontaneous emission, saturation."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from scipy import constants
from scipy.linalg import expm
from scipy.optimize import brentq

from labonn.curves import AmplifierSection, Section
from sim_backends.physics import couplers
from sim_backends.physics.noise import Noise
from sim_backends.physics.placement import crosstalk, positions
from sim_backends.physics.sections import GainSections, GainSectionSettings, saturation

IDEAL = GainSectionSettings.ideal()
MARKS = np.array([False, False, True, False, True])
CURRENTS = np.linspace(0, 24e-3, 40).reshape(8, 5)


def test_ideal_sections_obey_the_nominal_curves_exactly() -> None:
    values = GainSections(5, IDEAL, Noise(1), MARKS, np.zeros((5, 2))).values(CURRENTS)
    assert np.array_equal(values[:, ~MARKS], 0.3 * np.log((CURRENTS + 1e-3) / 6e-3)[:, ~MARKS])
    assert np.array_equal(values[:, MARKS], np.log((CURRENTS + 1e-3) / 6e-3)[:, MARKS])
    assert np.allclose(np.arcsin(values[:, ~MARKS]), Section().theta(CURRENTS)[:, ~MARKS], rtol=1e-14, atol=1e-15)
    assert np.allclose(values[:, MARKS], AmplifierSection().theta(CURRENTS)[:, MARKS], rtol=1e-14, atol=1e-15)


def test_ideal_switches_every_imperfection_off_and_keeps_the_nominal_settings_it_is_given() -> None:
    ideal = GainSectionSettings.ideal(one_sided=True, z=1.4)
    assert (ideal.one_sided, ideal.z) == (True, 1.4)
    kept = {"strength", "amplifier_strength", "zero_gain_a", "shape_a", "crosstalk_decay", "crosstalk_reach", "drift_tick_s", "inversion"}
    kept |= {"wavelength_m", "reference_w"}
    default = GainSectionSettings()
    changed = {f.name for f in fields(default) if getattr(IDEAL, f.name) != getattr(default, f.name)}
    assert changed == {f.name for f in fields(default)} - kept - {"z", "one_sided"}


def test_the_curve_is_the_documented_formula_of_the_hidden_constants_also_for_a_few_channels() -> None:
    sections = GainSections(5, GainSectionSettings(), Noise(2), MARKS)
    wanted = sections.strength * np.log((CURRENTS + 1e-3) / (sections.zero_gain_a + 1e-3))
    assert np.allclose(sections.values(CURRENTS), wanted, rtol=1e-12, atol=1e-15)
    channels = np.array([[4, 0], [2, 2]])
    assert np.allclose(sections.own(CURRENTS[:2, :2], channels), np.log((CURRENTS[:2, :2] + 1e-3) / (sections.zero_gain_a + 1e-3)[channels])
                       * sections.strength[channels], rtol=1e-12)  # fmt: skip


def test_the_hidden_constants_spread_by_a_few_percent_and_come_from_the_seed() -> None:
    many = GainSections(20000, GainSectionSettings(), Noise(3))
    for values, nominal in ((many.strength, 0.3), (many.zero_gain_a, 5e-3)):
        assert values.mean() == pytest.approx(nominal, rel=0.002)
        assert values.std() / nominal == pytest.approx(0.03, rel=0.05)
    assert abs(np.corrcoef(many.strength, many.zero_gain_a)[0, 1]) < 0.05
    assert np.array_equal(GainSections(20000, GainSectionSettings(), Noise(3)).strength, many.strength)
    assert not np.array_equal(GainSections(20000, GainSectionSettings(), Noise(4)).strength, many.strength)


def test_pumped_from_one_side_couplers_have_half_the_contrast_and_amplifiers_are_the_same() -> None:
    both, one = (GainSections(5, replace(IDEAL, one_sided=sided), Noise(1), MARKS).values(CURRENTS) for sided in (False, True))
    assert np.allclose(one[:, ~MARKS], 0.5 * both[:, ~MARKS], rtol=1e-15)
    assert np.array_equal(one[:, MARKS], both[:, MARKS])


def test_the_phase_leans_by_alpha_h() -> None:
    assert GainSections(1, replace(IDEAL, alpha_h=4.0), Noise(1)).lean() == 1 - 4j
    assert GainSections(1, IDEAL, Noise(1)).lean() == 1


def test_the_heat_of_a_neighbour_takes_gain_away_by_its_distance() -> None:
    places = np.array([[0.0, 0.0], [1.0, 1.0], [3.0, 0.0], [30.0, 0.0]])
    marks = np.array([False, True, False, False])
    sections = GainSections(4, replace(IDEAL, crosstalk=0.01), Noise(1), marks, places)
    current = np.full(4, 5e-3)
    quiet = sections.values(current)
    assert np.allclose(quiet, 0, atol=1e-15)
    current[0] = 11e-3
    moved = sections.values(current)
    assert moved[0] == pytest.approx(0.3 * np.log(2), rel=1e-12)
    assert moved[1] == pytest.approx(-1.0 * 0.01 * np.exp(-np.sqrt(2)) * np.log(2), rel=1e-12)
    assert moved[2] == pytest.approx(-0.3 * 0.01 * np.exp(-3) * np.log(2), rel=1e-12)
    assert moved[3] == 0
    assert np.allclose(sections.mixing @ sections.own(current), moved - sections.own(current), atol=1e-17)


def test_actuators_lie_where_the_layout_puts_them_stage_behind_stage() -> None:
    layout = (np.array([0]), np.array([1]), np.array([0, 2]))
    assert positions([layout, 2, (np.array([0]),)]).tolist() == [
        [0, 0.5], [1, 1.5], [2, 0.5], [2, 2.5], [3, 0], [3, 1], [4, 0.5],
    ]  # fmt: skip
    assert positions([(np.array([1]),), 1], per_coupler=2).tolist() == [[-0.25, 1.5], [0.25, 1.5], [1, 0]]


def test_crosstalk_is_symmetric_ends_at_its_reach_and_is_none_without_neighbours() -> None:
    places = np.random.default_rng(3).uniform(0, 6, (40, 2))
    found: Any = crosstalk(places, 0.02, 1.5, 2.5)
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    wanted = np.where((distance <= 2.5) & (distance > 0), 0.02 * np.exp(-distance / 1.5), 0)
    assert np.allclose(found.toarray(), wanted, rtol=1e-14)
    assert crosstalk(places, 0.0, 1.0, 4.0) is None
    assert crosstalk(100 * places, 0.1, 1.0, 1e-3) is None


def test_drift_is_a_walk_and_a_steady_rate_in_the_logarithm() -> None:
    sections = GainSections(4000, replace(IDEAL, walk_per_sqrt_h=0.02, drift_per_h=0.1), Noise(5))
    current = np.full(4000, 8e-3)
    start, later = sections.values(current), sections.own(current, None, 2 * 3600.0)
    assert np.allclose(start, 0.3 * np.log(1.5))
    moved = (later - start) / 0.3
    assert moved.mean() == pytest.approx(0.2, abs=0.002)
    assert moved.std() == pytest.approx(0.02 * np.sqrt(2), rel=0.05)
    assert sections.drift.key(2 * 3600.0 + 0.5) == sections.drift.key(2 * 3600.0)
    assert sections.drift.key(2 * 3600.0 + 1.5) != sections.drift.key(2 * 3600.0)


@pytest.mark.parametrize("one_sided", [False, True])
def test_spontaneous_emission_is_that_of_the_gain_in_each_guide(one_sided: bool) -> None:
    settings = replace(GainSectionSettings(), one_sided=one_sided, z=1.5, noise_bandwidth_hz=2e6, inversion=3.0)
    sections = GainSections(4, settings, Noise(1), np.array([False, False, True, True]))
    s, share = 0.2, 3.0 * constants.h * constants.c / 1550e-9 * 2e6 / 0.1e-3
    found = sections.emission(np.array([s, -s, 0.4, -0.4]))
    # without coupling the guides' power gains are the diagonal of exp(g z), kappa z = Z and s = (g1 - g2)/(4 kappa)
    upper = float(expm(np.array([[(4 if one_sided else 2) * s * 1.5]]))[0, 0])
    assert found.shape == (4, 2)
    assert found[0] == pytest.approx([share * (upper - 1), 0], rel=1e-12)
    assert found[1] == pytest.approx([0, 0 if one_sided else share * (upper - 1)], rel=1e-12)
    assert found[2] == pytest.approx([share * (np.exp(0.8) - 1), 0], rel=1e-12)
    assert found[3] == pytest.approx([0, 0])
    assert not GainSections(4, IDEAL, Noise(1)).emission(np.full(4, s)).any()


def test_gain_and_loss_of_the_guides_are_those_of_the_couplers() -> None:
    """s and the gain exp(g1 z) of emission are of one physics: the coupler's matrix for given gains per metre."""
    kappa, length, g1 = 4e4, 25e-6, 1.6e4
    for g2, one_sided in ((-g1, False), (0.0, True)):
        s, factor = couplers.gain_loss(g1, g2, kappa, length)
        found = GainSections(1, replace(GainSectionSettings(), one_sided=one_sided), Noise(1)).emission(np.array([float(s)]))
        photon = 2 * constants.h * constants.c / 1550e-9 * 1e6 / 0.1e-3
        assert found[0, 0] == pytest.approx(photon * (np.exp(g1 * length) - 1), rel=1e-9)
        assert float(factor) == pytest.approx(np.exp(s * kappa * length) if one_sided else 1.0, rel=1e-12)


def root(gain: float, power: float) -> float:
    """sqrt(G/G0) from ln(G/G0) = -(G - 1)/G P_out/P_sat, by bisection."""
    low, high = sorted((1.0, gain))
    return float(np.sqrt(brentq(lambda g: np.log(g / gain) + (g - 1) * power, 0.999 * low, 1.001 * high, xtol=1e-14) / gain))


@pytest.mark.parametrize("scale", [0.03, 1.0, 30.0])
def test_strong_light_saturates_amplifiers_as_a_root_finder_has_it(scale: float) -> None:
    settings = GainSectionSettings()
    factors = np.array([0.4, 1.0, 1.8, 3.5])[None, None]
    inputs = scale * np.array([[[1.0, -2.0, 0.7, -1.3]], [[0.1, 0.5, -3.0, 0.0]]])
    apply: Any = saturation(settings)
    found = apply(inputs * factors, factors)
    for place in np.ndindex(2, 4):
        gain, field = float(factors[0, 0, place[1]] ** 2), float(inputs[place[0], 0, place[1]])
        assert found[place[0], 0, place[1]] == pytest.approx(field * np.sqrt(gain) * root(gain, field**2 * 0.01), rel=3e-5, abs=1e-12)


def test_the_phase_that_went_with_the_gain_goes_with_it() -> None:
    apply: Any = saturation(GainSectionSettings())
    lean = 1 - 3j
    factors = np.exp(lean * np.array([0.5, -0.4]))[None, None]
    fields = np.array([[[4.0 + 3j, -6.0]]])
    found = apply(fields * factors, factors)[0, 0] / fields[0, 0]
    for value, power, log in zip(found, np.abs(fields[0, 0]) ** 2 * 0.01, (0.5, -0.4), strict=True):
        left = np.log(root(np.exp(2 * log), float(power)))
        assert value == pytest.approx(np.exp(lean * (log + left)), rel=1e-4)
        assert abs(left) > 0.05


def test_saturation_keeps_single_precision_and_is_none_without_it() -> None:
    apply: Any = saturation(GainSectionSettings())
    assert apply(np.ones((2, 3, 4), np.float32), np.ones((1, 1, 4), np.float32)).dtype == np.float32
    assert apply(np.ones((2, 3, 4), np.complex64), np.ones((1, 1, 4), np.complex64)).dtype == np.complex64
    assert saturation(IDEAL) is None


def test_negative_currents_and_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"gain section at -0.001 A; allowed is 0 A and more"):
        GainSections(1, IDEAL, Noise(1)).values(np.array([-1e-3]))
    with pytest.raises(ValueError, match="gain section at nan A"):
        GainSections(1, IDEAL, Noise(1)).values(np.array([np.nan]))
    with pytest.raises(ValueError, match=r"GainSectionSettings.crosstalk is 0.5; allowed is 0 to 0.2"):
        GainSectionSettings(crosstalk=0.5)
