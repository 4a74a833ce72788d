"""Responses of panels from light, by plans driven by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.channels import ChannelSpec, NumberedNames
from labonn.errors import UnknownStateError
from labonn.layers import Layers
from labonn.network import Network
from labonn.optics import Optics
from labonn.response import LEVELS, commanded_fields, measure_responses, smooth_response
from labonn.shots import ShotTable, rows_of

Array = NDArray[Any]
COMMANDED = np.linspace(0, 2 * np.pi, 33)


def hidden(strength: float = 0.4, seed: int = 0) -> Array:
    """(33,) phases that a panel shows for COMMANDED: rising, from 0 to 2 pi."""
    c = np.random.default_rng(seed).normal(size=3)
    wave = sum(c[k] * np.sin((k + 1) * COMMANDED / 2) / (k + 1) for k in range(3))
    return np.asarray(COMMANDED + strength * wave / np.abs(wave).max())


def test_the_commanded_fields_are_equally_spaced_in_phase() -> None:
    fields = commanded_fields()
    assert (fields[0], fields[LEVELS // 2], fields[-1]) == pytest.approx((-1, 0, 1))
    np.testing.assert_allclose(np.diff(np.arccos(-fields)), np.pi / 32)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("middle", "half"), [(0.0, 1.0), (0.7, 0.01), (-30.0, 250.0)])
def test_the_hidden_curve_is_found_whatever_the_light_is_scaled_by(seed: int, middle: float, half: float) -> None:
    truth = hidden(seed=seed)
    noise = 0.002 * half * np.random.default_rng(9).normal(size=33)
    found = smooth_response(middle - half * np.cos(truth / 2) + noise)
    assert np.abs(found + np.cos(truth / 2)).max() < 0.005
    assert np.all(np.diff(found) > 0)


def test_a_level_that_flickered_does_not_bend_the_curve() -> None:
    light = -np.cos(hidden() / 2)
    light[11] += 0.15
    assert np.abs(smooth_response(light) + np.cos(hidden() / 2)).max() < 0.02


@pytest.mark.parametrize(
    "light",
    [np.cos(COMMANDED / 2), np.sin(COMMANDED), np.random.default_rng(2).normal(size=33), np.ones(33)],
    ids=["falls", "turns", "noise", "flat"],
)
def test_light_that_does_not_follow_such_a_curve_is_refused(light: Array) -> None:
    with pytest.raises(UnknownStateError, match="the SLM's response is not a rising curve"):
        smooth_response(light)


def spec(count: int, lower: float = -10.0, upper: float = 10.0) -> ChannelSpec:
    zero = np.zeros(1)
    return ChannelSpec(NumberedNames("ch", count), "V", np.full(1, lower), np.full(1, upper), zero, zero)


def network(sizes: tuple[int, ...], depth: float) -> Network:
    layers = Layers(sizes)
    specs = {port: spec(count) for port, count in layers.channels().items()} | {"gain": spec(layers.count, 0.0, 0.024)}
    specs |= {port: spec(m * n, -1, 1) for port, n, m in zip(layers.weights(), sizes, sizes[1:], strict=False)}
    return Network(layers, Optics(), specs, depth, dtype=np.float64)


def light_of(net: Network, table: ShotTable, currents: Array, phases: list[Array]) -> dict[str, Array]:
    """Volts that a bench without noise reads, each panel showing what `phases` says for a command."""
    light = np.sin(np.pi * rows_of(table.banks["input"], table.orders["input"]) / 7)
    ratio = (currents + 1e-3) / 6.26e-3
    gains = np.exp(0.5 * (2.7225 * np.log(ratio) - 1))
    taps = []
    for layer, (rows, columns) in enumerate(zip(net.layers.sizes[1:], net.layers.sizes, strict=False)):
        port = f"weights{layer + 1}"
        if port not in table.banks:
            break
        fields = rows_of(table.banks[port], table.orders[port]).astype(np.float64).reshape(-1, rows, columns)
        shown = -np.cos(np.interp(2 * np.arccos(-np.clip(fields, -1, 1)), COMMANDED, phases[layer]) / 2)
        light = gains[layer] * np.einsum("tij,tj->ti", shown, light)
        taps.append(light)
        light = light * np.exp(-net.depth / 2 / (1 + light**2))
    inner = np.concatenate([*taps, np.zeros((len(light), sum(net.layers.hidden)))], axis=1)[:, : sum(net.layers.hidden)]
    return {"output": 0.09 * taps[-1], "forward_in": 0.09 * inner}


@pytest.mark.parametrize(("sizes", "depth"), [((6, 3), 0.3), ((6, 5, 3), 2.0), ((40, 30, 20, 3), 0.3), ((5, 4, 3, 2), 0.3)], ids=str)
def test_every_panel_of_a_network_is_measured_in_its_turn_within_all_limits(sizes: tuple[int, ...], depth: float) -> None:
    net, phases = network(sizes, depth), [hidden(seed=layer) for layer in range(len(sizes) - 1)]
    plan, currents = measure_responses(net, net.depth), np.zeros(len(sizes) - 1)
    readings: Any = None
    largest = []
    try:
        while True:
            table = plan.send(readings)
            for port, bank in table.banks.items():
                net.specs[port].check(port, np.asarray(bank))
            if "gain" in table.banks:
                currents = np.asarray(table.banks["gain"])[0]
            light = light_of(net, table, currents, phases) if table.read else {}
            readings = {port: light[port] for port in table.read or ()}
            largest += [np.abs(volts[:, volts.any(axis=0)]).max() for volts in readings.values()]
    except StopIteration as done:
        responses = done.value
    assert list(responses) == list(net.layers.weights())
    for response, truth in zip(responses.values(), phases, strict=True):
        assert np.abs(response + np.cos(truth / 2)).max() < 1e-3
    assert max(largest) < 0.95, "ten saturation fields at 0.09 V each"


def test_a_bench_that_stays_dark_is_told_with_the_numbers() -> None:
    net = network((6, 3), 0.3)
    plan = measure_responses(net, net.depth)
    next(plan)
    table = plan.send({})
    noise = 1e-4 * np.random.default_rng(1).normal(size=(table.shots, 3))
    with pytest.raises(UnknownStateError, match=r"weights1: over the SLM's whole range the light at output changes by .* with a noise of"):
        plan.send({"output": noise})
