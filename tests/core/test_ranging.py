"""Detector ranges: narrow for offsets, fitted to peaks, widest for detectors that nobody has measured yet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labonn.channels import ChannelSpec, NumberedNames
from labonn.layers import Layers
from labonn.ranging import Ranges

LAYERS = Layers((4, 2, 3, 2))
PORTS = {"output": 2, "forward_in": 5, "forward_out": 5, "backward_in": 5, "backward_out": 5}


class Detectors:
    """Takes every range as it is asked for."""

    def __init__(self) -> None:
        self.range: Any = None
        self.saturated = self.sets = 0

    def set_range(self, full_scale_v: Any) -> Any:
        self.range, self.sets = np.array(full_scale_v), self.sets + 1
        return self.range


@pytest.fixture
def ports() -> dict[str, Detectors]:
    return {port: Detectors() for port in PORTS}


@pytest.fixture
def ranges(ports: dict[str, Detectors]) -> Ranges:
    zero = np.asarray(0.0)
    low, high = np.asarray(-5.0), np.asarray(5.0)
    specs = {port: ChannelSpec(NumberedNames("ch", count), "V", low, high, zero, zero) for port, count in PORTS.items()}
    return Ranges(ports, specs, LAYERS)


def test_a_cell_has_the_range_that_twice_its_brightest_neuron_needs(ports: dict[str, Detectors], ranges: Ranges) -> None:
    ranges.fit({"forward_out": np.array([0.1, 0.3, 1.0, 0.2, 0.5]), "output": np.array([0.1, 0.2])})
    assert ports["forward_out"].range == pytest.approx([0.6, 0.6, 2, 2, 2])
    assert ports["output"].range == pytest.approx([0.4, 0.4])


def test_darkness_is_measured_in_a_hundredth_of_the_widest_and_then_all_is_as_before(ports: dict[str, Detectors], ranges: Ranges) -> None:
    ranges.fit({port: np.full(count, 0.3) for port, count in PORTS.items()})
    ranges.narrow()
    assert all(ports[port].range == pytest.approx(np.full(count, 0.05)) for port, count in PORTS.items())
    ranges.restore()
    assert all(ports[port].range == pytest.approx(np.full(count, 0.6)) for port, count in PORTS.items())


def test_a_port_without_fitted_ranges_goes_back_to_its_widest(ports: dict[str, Detectors], ranges: Ranges) -> None:
    ranges.fit({"output": np.array([0.1, 0.2])})
    ranges.narrow()
    ranges.restore()
    assert ports["forward_in"].range == pytest.approx(np.full(5, 5.0))
    assert ports["output"].range == pytest.approx(np.full(2, 0.4))


def test_a_port_that_saturated_is_widened_fourfold_up_to_the_widest_and_others_are_left(
    ports: dict[str, Detectors], ranges: Ranges
) -> None:
    ranges.fit({"output": np.full(2, 0.5), "backward_out": np.full(5, 0.1)})
    ports["output"].saturated = 3
    ranges.widen()
    assert ports["output"].range == pytest.approx([4.0, 4.0])
    assert ports["output"].saturated == 0
    assert (ports["backward_out"].sets, ports["forward_in"].sets) == (1, 0)
    ports["output"].saturated = 1
    ranges.widen()
    assert ports["output"].range == pytest.approx([5.0, 5.0])


def test_peaks_of_a_port_that_saturated_are_not_believed(ports: dict[str, Detectors], ranges: Ranges) -> None:
    ranges.fit({"output": np.full(2, 0.2)})
    ports["output"].saturated = 1
    ranges.fit({"output": np.full(2, 0.4)})
    assert ports["output"].range == pytest.approx([1.6, 1.6])


def test_ranges_stay_where_they_are_while_the_light_hardly_changes(ports: dict[str, Detectors], ranges: Ranges) -> None:
    ranges.fit({"output": np.full(2, 1.0)})
    ranges.fit({"output": np.full(2, 0.4)})
    assert ports["output"].sets == 1
    ranges.fit({"output": np.full(2, 0.2)})
    assert ports["output"].range == pytest.approx([0.4, 0.4])


def test_without_light_a_range_stays_above_nothing(ports: dict[str, Detectors], ranges: Ranges) -> None:
    ranges.fit({"output": np.zeros(2)})
    assert ports["output"].range == pytest.approx([5e-4, 5e-4])


def test_a_bench_without_cells_has_an_output_only() -> None:
    output, zero = Detectors(), np.asarray(0.0)
    spec = ChannelSpec(NumberedNames("ch", 2), "V", np.asarray(-1.0), np.asarray(1.0), zero, zero)
    ranges = Ranges({"output": output}, {"output": spec}, Layers((4, 2)))
    ranges.narrow()
    assert output.range == pytest.approx([0.01, 0.01])
    ranges.fit({"output": np.array([0.1, 0.3])})
    assert output.range == pytest.approx([0.6, 0.6])


def test_saturation_at_the_widest_range_is_counted_and_below_it_is_mended(ports: dict[str, Detectors], ranges: Ranges) -> None:
    ranges.fit({"output": np.array([1.0, 1.0])})
    ports["output"].saturated = 3
    ranges.widen()
    assert ports["output"].range == pytest.approx([5, 5])
    assert ranges.lost == {}
    ports["output"].saturated = 4
    ranges.widen()
    assert ranges.lost == {"output": 4}
