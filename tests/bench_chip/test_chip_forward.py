"""An ideal simulated chip computes what is believed of it: every coupler, layout, activation and readout; in both timings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

CHIPS = [("pt_chip", "pt"), ("mzi_chip", "rotation"), ("mzi_chip", "mzi")]
ACTIVATED = [(*chip, activation) for chip in CHIPS for activation in ("board", "host")] + [(*chip, "absorber") for chip in CHIPS[:2]]


@pytest.mark.parametrize("readout", ["homodyne", "intensity"])
@pytest.mark.parametrize("layout", ["triangular", "rectangular"])
@pytest.mark.parametrize(("name", "coupler", "activation"), ACTIVATED)
def test_the_ideal_chip_gives_the_believed_outputs(
    rig_of: Callable[..., Any], name: str, coupler: str, activation: str, layout: str, readout: str
) -> None:
    rig = rig_of(name, coupler=coupler, layout=layout, activation=activation, readout=readout, ideal=True)
    outputs = rig.run(rig.objective.outputs(rig.theta[None]))
    believed = rig.believed().outputs
    assert outputs.dtype == np.float64
    assert outputs.shape == (1, 6, 3)
    np.testing.assert_allclose(outputs[0], believed, rtol=0, atol=3e-14)
    assert np.std(believed, axis=0).min() > 1e-3  # images differ


@pytest.mark.parametrize("activation", ["board", "host"])
@pytest.mark.parametrize(("name", "coupler"), CHIPS)
def test_hidden_neurons_read_as_believed(rig_of: Callable[..., Any], name: str, coupler: str, activation: str) -> None:
    rig = rig_of(name, coupler=coupler, activation=activation, ideal=True)
    hidden, outputs = rig.run(rig.objective.traced(rig.theta))
    np.testing.assert_allclose(hidden, rig.believed().hidden, rtol=0, atol=1e-13)
    np.testing.assert_allclose(outputs, rig.believed().outputs, rtol=0, atol=3e-14)


@pytest.mark.parametrize("name", ["pt_chip", "mzi_chip"])
def test_many_settings_and_many_images_read_as_one_by_one(rig_of: Callable[..., Any], name: str) -> None:
    rig = rig_of(name, ideal=True)
    some = rig.theta * np.array([[1.0], [0.5], [-0.9]])
    together = rig.run(rig.objective.outputs(some))
    for theta, outputs in zip(some, together, strict=True):
        np.testing.assert_allclose(outputs, rig.optics.model.forward(theta, rig.images).outputs, rtol=0, atol=3e-14)
    rows = np.array([4, 0, 0, 5])
    outputs = rig.run(rig.objective.images(rig.theta, rows, chunk=3))
    np.testing.assert_allclose(outputs, rig.believed().outputs[rows], rtol=0, atol=3e-14)
    assert rig.objective.rows.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("cell", ["eq4", "two_level", "doppler"])
def test_absorbers_of_every_model_are_believed(rig_of: Callable[..., Any], cell: str) -> None:
    def edit(text: str) -> str:
        return text.replace("slope = 3.0", f'cell = "{cell}"\noptical_depth = 5.0')

    rig = rig_of("pt_chip", activation="absorber", ideal=True, edit=edit)
    outputs = rig.run(rig.objective.outputs(rig.theta[None]))
    np.testing.assert_allclose(outputs[0], rig.believed().outputs, rtol=0, atol=1e-9)


def test_pumping_one_guide_only_is_believed(rig_of: Callable[..., Any]) -> None:
    def edit(text: str) -> str:
        return text.replace("slope = 3.0", "one_sided = true\nz = 1.2")

    rig = rig_of("pt_chip", ideal=True, edit=edit)
    outputs = rig.run(rig.objective.outputs(rig.theta[None]))
    np.testing.assert_allclose(outputs[0], rig.believed().outputs, rtol=0, atol=3e-14)


def test_the_fixed_gain_in_front_of_attenuators_is_believed(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("mzi_chip", ideal=True, edit=lambda text: text.replace("slope = 12.0", "slope = 4.0\nattenuator_gain = 1.7"))
    outputs = rig.run(rig.objective.outputs(rig.theta[None]))
    np.testing.assert_allclose(outputs[0], rig.believed().outputs, rtol=0, atol=3e-14)


@pytest.mark.parametrize(("name", "coupler"), CHIPS)
def test_the_full_size_chip_gives_the_believed_outputs(rig_of: Callable[..., Any], name: str, coupler: str) -> None:
    rig = rig_of(name, (49, 20, 10), coupler=coupler, ideal=True)
    outputs = rig.run(rig.objective.outputs(rig.theta[None]))
    np.testing.assert_allclose(outputs[0], rig.believed().outputs, rtol=0, atol=1e-12)


def test_the_ideal_chip_has_the_nominal_curves_of_the_file(rig_of: Callable[..., Any]) -> None:
    def edit(text: str) -> str:
        heater = "[nominal.heater]\np_pi_w = 0.02\nresistance_ohm = 900.0\nresistance_slope_per_w = 2.0\n"
        return text.replace("[simulation]", heater + "[nominal.modulator]\nv_pi_v = 3.0\n\n[simulation]")

    rig = rig_of("mzi_chip", ideal=True, edit=edit)
    outputs = rig.run(rig.objective.outputs(rig.theta[None]))
    np.testing.assert_allclose(outputs[0], rig.believed().outputs, rtol=0, atol=3e-14)
