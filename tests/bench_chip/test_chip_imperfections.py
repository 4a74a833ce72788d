"""Imperfections of simulated chips: each setting does something, none is left when all are off, and the seed decides the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.banks import Changes
from labonn.chip_setup import fit_ranges, measure_dark, measure_peaks
from sim_backends.benches.chip_settings import PARTS

Array = NDArray[Any]
WAITED_S = 13.0 * 554 + 0.5  # then 1.2 s are less than one of the longer ticks
DRIVEN = ("z", "one_sided", "reference_w", "drive")  # follow from the design
ANOTHER: dict[str, dict[str, Any]] = {
    "modulators": {
        "v_pi_v": 3.4, "v_pi_spread": 0.02, "bias_v": 0.05, "bias_error_v_pi": 0.01, "bias_walk_v_pi_per_sqrt_h": 0.02,
        "bias_relax_s": 600.0, "drift_tick_s": 13.0, "extinction_db": 15.0, "chirp_rad": 0.3, "insertion_db": 2.0, "mode_loss": 0.1,
    },
    "detectors": {
        "saturation_w": 2e-5, "tap": 0.5, "local_oscillator_w": 2e-3, "responsivity_a_per_w": 0.8, "feedback_ohm": 8e3,
        "bandwidth_hz": 2e5, "temperature_k": 600.0, "dark_current_a": 1e-3, "rin_db_per_hz": -110.0, "rejection_db": 20.0,
        "noisy": "false", "mode_spread": 0.05, "phase_spread_rad": 0.2, "dark_offset_v": 1e-3, "dark_walk_v_per_sqrt_h": 1e-3,
        "dark_relax_s": 100.0, "drift_tick_s": 13.0,
    },
    "laser": {
        "power_walk_per_sqrt_h": 0.02, "power_relax_s": 600.0, "power_tick_s": 13.0, "rin_db_per_hz": -120.0, "bandwidth_hz": 1e7,
        "phase_walk_rad_per_sqrt_min": 0.3, "lock_s": 100.0, "phase_tick_s": 13.0,
    },
    "board": {"bits": 6},
    "sections": {
        "strength": 0.31, "amplifier_strength": 1.1, "zero_gain_a": 4.9e-3, "shape_a": 1.2e-3, "strength_spread": 0.1,
        "zero_gain_spread": 0.1, "alpha_h": 4.0, "crosstalk": 0.01, "crosstalk_decay": 2.0, "crosstalk_reach": 2.0,
        "walk_per_sqrt_h": 0.01, "drift_per_h": 0.01, "drift_tick_s": 13.0, "inversion": 2e3, "noise_bandwidth_hz": 1e9,
        "wavelength_m": 1e-9, "saturation_w": 1e-4,
    },
    "heaters": {
        "p_pi_w": 24e-3, "resistance_ohm": 1.1e3, "resistance_slope_per_w": 3.0, "phase_error_rad": 0.3, "p_pi_spread": 0.1,
        "resistance_spread": 0.1, "crosstalk": 0.03, "crosstalk_decay": 2.0, "crosstalk_reach": 2.0, "tau_s": 1e-4,
        "walk_rad_per_sqrt_h": 0.1, "drift_rad_per_h": 0.05, "drift_tick_s": 13.0,
    },
    "splitters": {"error_rad": 0.05},
}  # fmt: skip
SETTINGS = [(part, name) for part, table in ANOTHER.items() for name in table]


def readings(rig: Any, ports: tuple[str, ...] = ("hidden", "output")) -> dict[str, Array]:
    """Volts of all images at a few settings, two hours after opening, and again 1.2 s later."""
    rows = np.arange(12) % len(rig.theta)

    def table() -> Any:
        return rig.objective._table(Changes(rig.theta, rows[:, None], rig.theta[rows, None] + 0.01), ports)

    found = []
    for wait_s in (WAITED_S, 1.2):
        rig.bench.clock.wait(wait_s)
        found.append(rig.bench.play(table()))
    return {port: np.concatenate([one[port] for one in found]) for port in ports}


def finest(text: str) -> str:
    return text.replace("bits = 16", "bits = 64")


def changed(one: dict[str, Array], two: dict[str, Array]) -> float:
    return max(float(np.abs(one[port] - two[port]).max()) for port in one)


def test_every_setting_has_been_thought_of() -> None:
    for part, kind in PARTS.items():
        names = {field.name for field in dataclasses.fields(kind)} - set(DRIVEN)
        assert set(ANOTHER[part]) == names, part


def chip_of(part: str) -> dict[str, str]:
    return {"name": "mzi_chip", "coupler": "mzi"} if part in ("heaters", "splitters") else {"name": "pt_chip"}


@pytest.mark.parametrize(("part", "name"), SETTINGS)
def test_every_setting_changes_the_readings(rig_of: Callable[..., Any], part: str, name: str) -> None:
    usual = readings(rig_of(**chip_of(part), edit=finest))
    other = readings(rig_of(**chip_of(part), edit=finest, simulation=f"{part}.{name} = {ANOTHER[part][name]}\n"))
    assert changed(usual, other) > 0


def test_steady_power_drift_changes_the_readings(rig_of: Callable[..., Any]) -> None:
    dimmed = readings(rig_of("pt_chip", activation="absorber", simulation="power_drift_per_h = -0.2\n"), ("output",))
    usual = readings(rig_of("pt_chip", activation="absorber"), ("output",))
    assert np.abs(dimmed["output"]).mean() < 0.9 * np.abs(usual["output"]).mean()


@pytest.mark.parametrize(("name", "coupler"), [("pt_chip", "pt"), ("mzi_chip", "rotation"), ("mzi_chip", "mzi")])
def test_a_bench_with_all_of_them_off_is_the_ideal_one(
    rig_of: Callable[..., Any], perfect: Callable[..., Any], name: str, coupler: str
) -> None:
    """In single precision, which light has outside of ideal benches."""
    ideal, off = rig_of(name, coupler=coupler, ideal=True), rig_of(name, coupler=coupler, **perfect())
    assert changed(readings(ideal), readings(off)) < 3e-5


def test_the_ideal_bench_has_none_of_what_its_file_says(rig_of: Callable[..., Any]) -> None:
    spoilt = "detectors.dark_offset_v = 0.1\nsections.strength_spread = 0.2\npower_drift_per_h = -0.4\n"
    one, two = (readings(rig_of("pt_chip", ideal=True, simulation=lines)) for lines in ("", spoilt))
    assert changed(one, two) == 0


@pytest.mark.parametrize("name", ["pt_chip", "mzi_chip", "pt_chip_software", "mzi_chip_software"])
def test_the_same_seed_gives_the_same_readings_and_another_seed_others(rig_of: Callable[..., Any], name: str) -> None:
    first, again, other = (readings(rig_of(name, seed=seed)) for seed in (11, 11, 12))
    assert changed(first, again) == 0
    assert all(np.abs(first[port] - other[port]).max() > 1e-3 for port in first)


def test_the_seed_of_the_file_counts_when_none_is_given(rig_of: Callable[..., Any]) -> None:
    with_its_own = readings(rig_of("pt_chip", seed=None, edit=lambda text: text.replace("seed = 7", "seed = 11")))
    assert changed(with_its_own, readings(rig_of("pt_chip", seed=11))) == 0


@pytest.mark.parametrize("name", ["pt_chip", "mzi_chip_software"])
def test_readings_over_sockets_and_terminals_are_those_in_process(rig_of: Callable[..., Any], name: str) -> None:
    in_process, served = rig_of(name), rig_of(name, served=True)
    assert changed(readings(in_process), readings(served)) == 0
    assert in_process.bench.exchanges == served.bench.exchanges


def test_noise_is_drawn_anew_in_every_shot_and_averages_out(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("pt_chip", simulation="sections.walk_per_sqrt_h = 0.0\n")
    outputs = rig.run(rig.objective.outputs(np.repeat(rig.theta[None], 400, axis=0))).astype(np.float64)
    spread = outputs.std(axis=0)
    assert 1e-4 < spread.min() < spread.max() < 0.05
    one, two = outputs[:200].mean(axis=0), outputs[200:].mean(axis=0)
    assert np.abs(one - two).max() < 5 * spread.max() / np.sqrt(100)


def test_dark_levels_are_measured_and_taken_away(rig_of: Callable[..., Any], perfect: Callable[..., Any]) -> None:
    how = perfect(detectors={"dark_offset_v": 0.2})
    bare, dark = rig_of("pt_chip", **how), rig_of("pt_chip", dark=True, **how)
    believed = bare.believed().hidden
    errors = [np.abs(rig.run(rig.objective.traced(rig.theta))[0] - believed).max() for rig in (bare, dark)]
    assert errors[0] > 0.02
    assert errors[1] < 1e-5
    assert set(dark.objective.dark) == {"hidden", "output"}


def test_dark_levels_of_monitors_are_measured_too(rig_of: Callable[..., Any], perfect: Callable[..., Any]) -> None:
    rig = rig_of("mzi_chip", monitors=True, **perfect(detectors={"dark_offset_v": 0.2}))
    rig.run(measure_dark(rig.objective))
    assert set(rig.objective.dark) == {"hidden", "output", "monitors", "backward"}
    assert all(0.05 < np.std(volts) < 0.5 for volts in rig.objective.dark.values())


def test_ranges_are_fitted_to_what_is_read_and_too_narrow_ones_saturate(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("pt_chip")
    peaks = rig.run(measure_peaks(rig.objective, rig.theta, rig.pictures.train))
    fit_ranges(rig.bench.ports, rig.bench.specs, peaks)
    fine = rig.run(rig.objective.outputs(rig.theta[None]))
    assert rig.bench.ports["output"].saturated == 0
    rig.bench.ports["output"].set_range(0.02)
    clipped = rig.run(rig.objective.outputs(rig.theta[None]))
    assert rig.bench.ports["output"].saturated > 0
    assert np.abs(clipped).max() <= 0.02 / 1.8 * 1.001 < np.abs(fine).max()


def test_parameters_drift_within_a_long_table(rig_of: Callable[..., Any], perfect: Callable[..., Any]) -> None:
    """Ten settings alike of 2 s each, and one that leads in: theta grows by 0.025 rad a second."""
    rig = rig_of("mzi_chip", **perfect(heaters={"drift_rad_per_h": 90.0}))
    rig.objective.slots = dataclasses.replace(rig.objective.slots, dwell_s=2.0 / 6)
    start = rig.bench.clock.now()
    outputs = rig.run(rig.objective.outputs(np.repeat(rig.theta[None], 10, axis=0)))
    for number, seen in enumerate(outputs):
        theta = rig.theta + 90.0 / 3600 * np.floor(start + 2.0 * (1 + number))
        np.testing.assert_allclose(seen, rig.optics.model.forward(theta, rig.images).outputs, atol=2e-3)
    assert np.abs(outputs[-1] - outputs[0]).max() > 0.05
