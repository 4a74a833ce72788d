"""Forward light of an ideal bench, from images in modulators to volts at detectors, against plain numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labonn.shots import ShotTable

DEPTHS = {"eq4": 6.0, "two_level": 3.0, "doppler": 3.0, "gain": 1.5}


@pytest.mark.parametrize("cell", ["eq4", "two_level", "doppler", "gain"])
@pytest.mark.parametrize("sizes", [(20, 4), (20, 8, 4), (20, 8, 6, 4), (12, 8, 6, 5, 3)])
def test_ideal_light_is_matrices_and_absorbers(
    rig_of: Callable[..., Any], cell_transmission: Callable[..., Any], cell: str, sizes: tuple[int, ...]
) -> None:
    rig = rig_of(sizes, cell, DEPTHS[cell], ideal=True)
    rows = np.arange(40)
    hidden = len(sizes) > 2
    read = ("forward_in", "forward_out", "output") if hidden else ("output",)
    readings = rig.bench.play(rig.network.forward(rig.network.fields(rig.weights), rows, read))
    before = rig.network.tapped(readings, "forward_in") if hidden else []
    behind = rig.network.tapped(readings, "forward_out") if hidden else []
    light = rig.images
    for layer, weight in enumerate(rig.weights):
        arrived = light @ weight.T
        if layer == len(rig.weights) - 1:
            np.testing.assert_allclose(rig.network.outputs(readings), arrived, rtol=0, atol=1e-6 * np.abs(arrived).max())
            break
        assert layer or np.abs(arrived).max() > 1, "the test is to reach into the cells' nonlinear range"
        light = arrived * cell_transmission(cell, arrived, DEPTHS[cell])
        np.testing.assert_allclose(before[layer], arrived, rtol=0, atol=1e-6 * np.abs(arrived).max())
        np.testing.assert_allclose(behind[layer], light, rtol=0, atol=1e-6 * np.abs(light).max())


def test_the_fields_that_the_network_believes_are_shown_are_those_of_the_codes(rig_of: Callable[..., Any]) -> None:
    rig = rig_of(ideal=True)
    for believed, weight in zip(rig.network.displayed(rig.weights), rig.weights, strict=True):
        np.testing.assert_allclose(believed, weight, rtol=0, atol=1e-9)


def test_a_bench_whose_cells_are_not_as_believed_reads_other_light(
    rig_of: Callable[..., Any], cell_transmission: Callable[..., Any]
) -> None:
    rig = rig_of((20, 8, 4), "eq4", 6.0, ideal=True, edit=lambda text: text + 'cell = "two_level"\n')
    arrived = rig.images @ rig.weights[0].T
    readings = rig.bench.play(rig.network.forward(rig.network.fields(rig.weights), np.arange(40), ("forward_out",)))
    behind = rig.network.tapped(readings, "forward_out")[0]
    np.testing.assert_allclose(behind, arrived * cell_transmission("two_level", arrived, 6.0), atol=1e-6)
    assert np.abs(behind - arrived * cell_transmission("eq4", arrived, 6.0)).max() > 0.1


def test_without_an_input_beam_all_detectors_of_an_ideal_bench_read_zero(rig_of: Callable[..., Any]) -> None:
    rig = rig_of(ideal=True)
    readings = rig.bench.play(ShotTable({}, shots=7))
    assert set(readings) == {"forward_in", "forward_out", "backward_in", "backward_out", "output"}
    assert all(volts.shape[0] == 7 and not volts.any() for volts in readings.values())


def test_all_imperfections_on_the_light_is_still_that_network_within_some_percent(
    rig_of: Callable[..., Any], cell_transmission: Callable[..., Any]
) -> None:
    rig = rig_of((100, 16, 4), depth=4.0, dark=True)
    light = rig.images @ rig.network.displayed(rig.weights)[0].T
    light = light * cell_transmission("eq4", light, 4.0)
    wanted = light @ rig.network.displayed(rig.weights)[1].T
    read = rig.outputs(np.arange(40))
    relative = np.sqrt(np.mean((read - wanted) ** 2) / np.mean(wanted**2))
    assert 0.003 < relative < 0.3, "the panels' fill factor alone is 0.93 a layer"
    assert np.corrcoef(read.ravel(), wanted.ravel())[0, 1] > 0.99
