"""Sizes of a network, as the ports of its bench have them."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labonn.channels import ChannelSpec, NumberedNames
from labonn.errors import ProcedureError
from labonn.layers import Layers, layers_of


def spec(count: int) -> ChannelSpec:
    zero = np.zeros(1)
    return ChannelSpec(NumberedNames("ch", count), "V", zero, zero, zero, zero)


def ports(sizes: tuple[int, ...], **changed: int) -> tuple[dict[str, Any], dict[str, ChannelSpec]]:
    """Devices and specs of a bench of these sizes, some ports with other numbers of channels."""
    shapes = [(rows, columns) for columns, rows in pairwise(sizes)]
    devices: dict[str, Any] = {f"weights{i}": SimpleNamespace(shape=shape) for i, shape in enumerate(shapes, start=1)}
    inner, outer = sum(sizes[1:-1]), sizes[-1]
    channels = {"input": sizes[0], "gain": len(sizes) - 1, "error": outer, "target": outer, "feedback": 1, "output": outer}
    if inner:
        channels |= {"ovens": len(sizes) - 2, "forward_in": inner, "forward_out": inner, "backward_in": inner, "backward_out": inner}
    if len(sizes) > 3:
        channels["inject"] = sum(sizes[2:-1])
    return devices, {name: spec(count) for name, count in (channels | changed).items()}


@pytest.mark.parametrize("sizes", [(5, 3), (5, 4, 3), (5, 4, 6, 3), (2, 7, 8, 9, 4)])
def test_sizes_are_read_off_the_shapes_of_the_weights(sizes: tuple[int, ...]) -> None:
    devices, specs = ports(sizes)
    layers = layers_of(devices, specs, "bench.toml")
    assert layers.sizes == sizes
    assert layers.count == len(sizes) - 1
    assert layers.hidden == sizes[1:-1]
    assert layers.channels() == {name: len(one) for name, one in specs.items()}


def test_taps_lie_side_by_side_and_error_beams_begin_with_the_second_cell() -> None:
    layers = Layers((2, 7, 8, 9, 4))
    assert layers.taps() == (slice(0, 7), slice(7, 15), slice(15, 24))
    assert layers.injected() == (slice(0, 8), slice(8, 17))
    assert layers.weights() == ("weights1", "weights2", "weights3", "weights4")
    assert Layers((2, 4)).taps() == Layers((2, 4)).injected() == ()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"input": 6}, r"bench\.toml: ports\.input: has 6 channels, but the layers 5-4-6-3 need 5"),
        ({"gain": 2}, r"ports\.gain: has 2 channels, but the layers 5-4-6-3 need 3"),
        ({"inject": 4}, r"ports\.inject: has 4 channels, but the layers 5-4-6-3 need 6"),
        ({"backward_out": 9}, r"ports\.backward_out: has 9 channels, but the layers 5-4-6-3 need 10"),
    ],
)
def test_a_port_of_another_size_is_told_with_both_numbers(changed: dict[str, int], told: str) -> None:
    with pytest.raises(ProcedureError, match=told):
        layers_of(*ports((5, 4, 6, 3), **changed), "bench.toml")


def test_a_missing_port_is_told_with_the_channels_it_should_have() -> None:
    devices, specs = ports((5, 4, 3))
    del specs["forward_out"]
    with pytest.raises(ProcedureError, match=r"ports\.forward_out: missing; a bench of layers 5-4-3 needs it, with 4 channels"):
        layers_of(devices, specs, "bench.toml")
    assert layers_of(devices, specs, "bench.toml", needed=("input", "output")).sizes == (5, 4, 3)


def test_weights_that_do_not_follow_each_other_are_told() -> None:
    devices, specs = ports((5, 4, 3))
    devices["weights2"].shape = (3, 6)
    with pytest.raises(ProcedureError, match=r"ports\.weights2: shape 3 x 6 takes 6 inputs, but weights1 has 4 outputs"):
        layers_of(devices, specs, "bench.toml")


def test_weights_on_something_that_is_no_panel_are_told() -> None:
    devices, specs = ports((5, 3))
    devices["weights1"] = object()
    with pytest.raises(ProcedureError, match=r"ports\.weights1: a spatial light modulator is wanted here, not a object"):
        layers_of(devices, specs, "bench.toml")


def test_a_bench_without_weights_is_told_what_it_has_instead() -> None:
    with pytest.raises(ProcedureError, match=r"needs the ports weights1, weights2, \.\.\.; it has heaters, outputs"):
        layers_of({"heaters": 1, "outputs": 2}, {}, "bench.toml")
