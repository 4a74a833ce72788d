"""What takes its time or wanders: ovens, panels, the laser's phase, detector offsets; and detectors that saturate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.bench import Bench
from labonn.layers import layers_of
from labonn.ranging import Ranges
from labonn.shots import ShotTable
from labonn.training import measure_dark

Array = NDArray[Any]
QUIET = """
[simulation.slm]
lut_nonlinearity = 0
pixel_scale = 0
fill_factor = 1
flicker_rad = 0
crosstalk_px = 0
tau_rise_s = {rise}
tau_fall_s = {fall}
[simulation.modulators]
v_pi_spread = 0
bias_error_v_pi = 0
bias_walk_v_pi_per_sqrt_h = 0
extinction_db = inf
chirp_rad = 0
insertion_db = 0
mode_loss = 0
[simulation.detectors]
noisy = false
mode_spread = 0
phase_spread_rad = 0
dark_offset_v = 0
dark_walk_v_per_sqrt_h = 0
[simulation.laser]
power_walk_per_sqrt_h = 0
rin_db_per_hz = -inf
phase_walk_rad_per_sqrt_min = {phase}
[simulation.gain]
noise_bandwidth_hz = 0
g0_spread = 0
transparency_spread = 0
loss_spread = 0
[simulation.ovens]
wander_k = 0
depth_scale = 0
sensor_offset_k = 0
tau_s = {oven}
overshoot = {overshoot}
"""


def quiet(hasty: str = "", **on: float) -> Callable[[str], str]:
    """A bench file with only these imperfections on, and converters of 64 bits; nobody waits long for `hasty` ports."""

    def edit(text: str) -> str:
        text = text.replace("bits = 16", "bits = 64")
        if hasty == "ovens":
            text = text.replace("instances = 1", "instances = 1\nsettle_s = 1.0")
        if hasty == "panels":
            text = text.replace("shape =", "settle_s = 0.003\nshape =")
        return text + QUIET.format(**{**dict.fromkeys(("rise", "fall", "phase", "oven", "overshoot"), 0.0), **on})

    return edit


def transmissions(bench: Bench, banks: dict[str, Any]) -> Array:
    """(8,) behind over before the cells, in one shot of full light."""
    volts = np.full((1, 20), 0.2)
    readings = bench.play(ShotTable({**banks, "input": volts}, dwell_s=1e-5, read=("forward_in", "forward_out")))
    return np.asarray(readings["forward_out"][0] / readings["forward_in"][0])


def test_a_cell_read_too_early_still_has_the_depth_that_it_had(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of((20, 8, 4), edit=quiet(oven=120.0, hasty="ovens"))
    lit = {"weights1": np.ones((1, 160)), "weights2": np.ones((1, 32)), "gain": np.full((1, 2), 0.005)}
    cold = transmissions(bench, lit)
    early = transmissions(bench, {"ovens": np.array([[60.0]])})
    celsius = []
    for _ in range(12):
        celsius.append(float(bench.ports["ovens"].temperature()[0]))
        bench.clock.wait(120)
    late = transmissions(bench, {})
    assert early == pytest.approx(cold, rel=0.03)
    assert np.all(late < 0.3 * cold)
    away = 60 - np.array(celsius)
    assert np.all(np.diff(away) < 0)
    np.testing.assert_allclose(away[1:6] / away[:5], np.exp(-1), rtol=0.01)  # a time constant a reading


def test_the_default_wait_is_long_enough_for_the_ovens(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of((20, 8, 4), edit=quiet(oven=120.0, overshoot=0.02))
    lit = {"weights1": np.ones((1, 160)), "weights2": np.ones((1, 32)), "gain": np.full((1, 2), 0.005), "ovens": np.array([[60.0]])}
    first = transmissions(bench, lit)
    bench.clock.wait(36000)
    np.testing.assert_allclose(transmissions(bench, {}), first, rtol=1e-4)


def test_a_frame_settles_with_one_time_upwards_and_another_downwards(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of((20, 4), edit=quiet(rise=8e-3, fall=4e-3, hasty="panels"))
    volts, currents = np.full((1, 20), 0.2), np.full((1, 1), 0.008)
    low, high = np.full((1, 80), -1.0), np.ones((1, 80))

    def output(frame: Array) -> float:
        table = ShotTable({"weights1": frame, "input": volts, "gain": currents}, dwell_s=1e-6, read=("output",))
        return float(bench.play(table)["output"][0, 0])

    output(low)
    bench.clock.wait(1.0)
    dark = output(low)
    up = output(high)
    bench.clock.wait(1.0)
    full = output(high)
    down = output(low)
    bench.clock.wait(1.0)
    assert output(low) == pytest.approx(dark, rel=1e-9)
    assert full == pytest.approx(-dark, rel=1e-4)
    span = full - dark
    assert (full - up) / span == pytest.approx(np.exp(-3e-3 / 8e-3), rel=0.05)
    assert (down - dark) / span == pytest.approx(np.exp(-3e-3 / 4e-3), rel=0.05)


def test_the_default_wait_is_long_enough_for_the_panels(rig_of: Callable[..., Any]) -> None:
    rig = rig_of((20, 4), edit=quiet(rise=7e-3, fall=5e-3))
    first = rig.outputs(np.arange(40), [-weight for weight in rig.weights])
    rig.bench.clock.wait(1.0)
    again = rig.network.outputs(rig.bench.play(rig.network.forward({}, np.arange(40), ("output",))))
    assert 0 < np.abs(again - first).max() < 1e-2 * np.abs(again).max()


def test_the_phase_of_the_laser_wanders_about_its_lock(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of((20, 4), edit=quiet(phase=0.6))
    banks = {"weights1": np.ones((1, 80)), "input": np.full((1, 20), 0.2), "gain": np.full((1, 1), 0.008)}
    table = ShotTable(banks, dwell_s=1e-6, read=("output",))
    cosines = []
    for _ in range(400):
        bench.clock.wait(40.0)
        cosines.append(float(bench.play(table)["output"][0, 0]))
    phases = np.arccos(np.array(cosines) / max(cosines))
    expected = 0.6 / np.sqrt(60) * np.sqrt(10 / 2)  # a walk per square-root second, relaxing in the 10 s of the lock
    assert np.sqrt(np.mean(phases**2)) == pytest.approx(expected, rel=0.15)


def test_offsets_of_the_detectors_are_measured_and_taken_off(rig_of: Callable[..., Any]) -> None:
    rig = rig_of()
    bench, network = rig.bench, rig.network
    ranges = Ranges(bench.ports, bench.specs, network.layers)
    for _ in range(2):  # the measuring itself must not depend on what was measured before
        ranges.narrow()
        bench.run(measure_dark(network))
    for port, detectors in rig.simulated.light._detectors.items():
        truth = detectors.dark_v + detectors._drift.values(bench.clock.now())
        assert truth.std() > 1e-4
        np.testing.assert_allclose(network.dark[port], truth, atol=2.5e-5, err_msg=port)
    readings = bench.play(ShotTable({}, dwell_s=1e-5, shots=3000))
    for fields in (network.outputs(readings), network.tapped(readings, "forward_in")[0]):
        assert np.abs(fields.mean(axis=0)).max() < 5e-4
    raw = readings["output"].mean(axis=0) / network.optics.detectors.output
    assert np.abs(raw).max() > 1e-3


def test_detectors_that_saturate_are_widened_until_they_do_not(rig_of: Callable[..., Any]) -> None:
    rig = rig_of((20, 8, 4))
    bench = rig.bench
    ranges = Ranges(bench.ports, bench.specs, layers_of(bench.ports, bench.specs, "bench.toml"))
    table = rig.network.forward(rig.network.fields(rig.weights), np.arange(40), ("forward_in", "output"))
    bright = bench.play(table)
    ranges.fit({port: 1e-3 * np.abs(volts).max(axis=0) for port, volts in bright.items()})
    clipped = bench.play(table)
    assert bench.ports["output"].saturated > 0
    assert np.abs(clipped["output"]).max() < 0.1 * np.abs(bright["output"]).max()
    for _ in range(8):
        ranges.widen()
        readings = bench.play(table)
    assert bench.ports["output"].saturated == bench.ports["forward_in"].saturated == 0
    for port, volts in bright.items():
        np.testing.assert_allclose(readings[port], volts, atol=0.05 * np.abs(volts).max())


def test_fitted_ranges_read_in_finer_steps_than_the_widest(rig_of: Callable[..., Any]) -> None:
    def edit(text: str) -> str:
        return text.replace("bits = 16\nfull_scale_v", "bits = 8\nfull_scale_v") + "[simulation.detectors]\nnoisy = false\n"

    rig = rig_of((20, 8, 4), edit=edit)
    table = rig.network.forward(rig.network.fields(rig.weights), np.arange(40), ("output",))
    coarse = rig.bench.play(table)["output"]
    Ranges(rig.bench.ports, rig.bench.specs, rig.network.layers).fit({"output": 1.1 * np.abs(coarse).max(axis=0)})
    fine = rig.bench.play(table)["output"]
    steps = [np.diff(np.unique(volts)).min() for volts in (coarse, fine)]
    assert steps[1] < 0.6 * steps[0]
    assert rig.bench.ports["output"].saturated == 0
