"""Parameters on chains of eight-channel sources: the same gradients as from bank memory, at the price of a serial line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labonn.gradients import aware, central, shift, walsh
from procedures.benches.chips import chip_bench

STEPS = {"pt_chip": 0.02, "mzi_chip": 0.05}
CODE = {"pt_chip": 0.3 / 1e-3 * 24e-3 / 65535, "mzi_chip": 2 * np.pi * 7.1 / 25 * 12 / 65535}  # rad, coarsest code of the source


@pytest.mark.parametrize("name", ["pt_chip", "mzi_chip"])
def test_central_differences_of_both_timings_agree_to_the_sources_codes(rig_of: Callable[..., Any], name: str) -> None:
    memory, held = rig_of(name, ideal=True, share=0.5), rig_of(f"{name}_software", ideal=True, share=0.5)
    assert held.bench.specs[held.optics.port].depth == 1
    step = STEPS[name]
    one, two = (rig.run(central(rig.objective, rig.theta, step)) for rig in (memory, held))
    assert (one.settings, one.tables) == (two.settings, two.tables)
    scale = np.abs(one.gradient).max()
    assert 0 < np.abs(one.gradient - two.gradient).max() < 2 * CODE[name] / step * scale


@pytest.mark.parametrize("name", ["pt_chip", "mzi_chip"])
def test_a_dither_is_held_setting_by_setting(rig_of: Callable[..., Any], name: str) -> None:
    memory, held = rig_of(name, ideal=True, share=0.5), rig_of(f"{name}_software", ideal=True, share=0.5)
    step = STEPS[name] / 4
    one, two = (rig.run(walsh(rig.objective, rig.theta, step, rng=np.random.default_rng(2))) for rig in (memory, held))
    scale = np.abs(one.gradient).max()
    assert 0 < np.abs(one.gradient - two.gradient).max() < 3 * CODE[name] / step * scale


def test_other_methods_and_activations_run_on_held_sources(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("mzi_chip_software", activation="host", ideal=True, share=0.5)
    assert rig.error(rig.run(central(rig.objective, rig.theta, 0.05)).gradient) < 0.05
    assert rig.error(rig.run(aware(rig.objective, rig.theta)).gradient) < 0.01
    assert rig.error(rig.run(shift(rig.objective, rig.theta, step=0.05)).gradient) < 0.05


def test_every_setting_of_a_gradient_is_a_burst_of_one_record(rig_of: Callable[..., Any]) -> None:
    """Armed and fetched once; for each setting what changes is written, and the trigger fired."""
    rig = rig_of("pt_chip_software")
    rig.run(rig.objective.outputs(rig.theta[None]))
    before = rig.bench.exchanges
    estimate = rig.run(central(rig.objective, rig.theta, 0.02))
    assert estimate.tables == 1
    assert rig.bench.exchanges - before < 2.3 * estimate.settings + 20


def test_the_serial_line_costs_what_its_bytes_take(rig_of: Callable[..., Any]) -> None:
    """From one setting to the next one channel changes, or two (one back, one out), each set and read back; 1 ms of settling follows."""
    rig = rig_of("pt_chip_software")
    note, fired = rig.simulated._note, list[float]()

    def watched(*given: Any) -> None:
        fired.append(rig.bench.clock.now())
        note(*given)

    rig.simulated._note = watched
    estimate = rig.run(central(rig.objective, rig.theta, 0.02))
    assert len(fired) == estimate.settings
    channel_s = (len("I17=3.123456\nOK\n") + len("I17?\n+3.123456 mA\n")) * 10 / 115200
    assert 1 / channel_s == pytest.approx(350, rel=0.05)  # of the 1,100 a second that take short numbers and no reading back
    usual = np.median(np.diff(fired))
    assert 1e-3 + 0.9 * channel_s < usual < 1e-3 + 2.1 * channel_s
    assert np.percentile(np.diff(fired), 75) < 1e-3 + 2.1 * channel_s


def test_memory_is_much_faster_than_the_serial_line(rig_of: Callable[..., Any]) -> None:
    took = {}
    for name in ("mzi_chip", "mzi_chip_software"):
        rig = rig_of(name)
        start = rig.bench.clock.now()
        rig.run(central(rig.objective, rig.theta, 0.1))
        took[name] = rig.bench.clock.now() - start
    assert took["mzi_chip_software"] > 50 * took["mzi_chip"]


def test_the_full_size_port_is_seven_chains_of_233_channels(rig_of: Callable[..., Any]) -> None:
    assert chip_bench("mzi_chip_software").count("/dev/ttyUSB") == 7
    rig = rig_of("mzi_chip_software", (49, 20, 10), ideal=True)
    chains = rig.emulators("heaters")
    assert [chain.channels for chain in chains] == [240] * 7
    assert len(rig.bench.specs["heaters"]) == 7 * 233 == len(rig.theta)
    outputs = rig.run(rig.objective.outputs(rig.theta[None]))
    np.testing.assert_allclose(outputs[0], rig.believed().outputs, atol=0.02)
    held = np.concatenate([chain.voltages_v[:233] for chain in chains])
    np.testing.assert_allclose(held, rig.optics.drive(rig.theta), atol=12 / 65535)


def test_a_port_may_begin_in_the_middle_of_a_chain(rig_of: Callable[..., Any]) -> None:
    shifted = rig_of("mzi_chip_software", ideal=True, edit=lambda text: text.replace('mode = "voltage"', 'mode = "voltage"\nfirst = 5'))
    outputs = shifted.run(shifted.objective.outputs(shifted.theta[None]))
    np.testing.assert_allclose(outputs[0], shifted.believed().outputs, atol=0.02)
    assert not shifted.emulators("heaters")[0].voltages_v[:5].any()
