"""The panels' hidden phase curves, found with the bench's own light and corrected; tests may look at the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.bench import Bench
from labonn.errors import UnknownStateError
from labonn.layers import layers_of
from labonn.network import Network
from labonn.optics import Optics
from labonn.training import warm_up

Array = NDArray[Any]


def network_of(bench: Bench, depth: float = 10.0) -> Network:
    layers = layers_of(bench.ports, bench.specs, bench.file.name)
    return Network(layers, Optics.of(bench.file), bench.specs, depth, 1e-5)


def hidden_phase(bench: Any, layer: int, points: int) -> Array:
    """(points,) true phases of equally spaced codes."""
    truth = bench._opened.simulated.light._panels[layer].phase_rad
    return np.asarray(np.interp(np.linspace(0, len(truth) - 1, points), np.arange(len(truth)), truth))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("sizes", "depth"), [((20, 4), 10.0), ((20, 8, 6, 4), 10.0), ((64, 16, 16, 4), 30.0), ((100, 60, 10), 30.0)], ids=str
)
def test_the_response_that_is_measured_is_the_hidden_curve_of_the_panel(
    bench_of: Callable[..., Bench], sizes: tuple[int, ...], depth: float, seed: int
) -> None:
    bench = bench_of(sizes, seed=seed)
    responses = bench.run(warm_up(network_of(bench, depth)))
    assert list(responses) == [f"weights{i + 1}" for i in range(len(sizes) - 1)]
    for layer, response in enumerate(responses.values()):
        truth = hidden_phase(bench, layer, len(response))
        found = 2 * np.arccos(-np.clip(response, -1, 1))
        assert np.sqrt(np.mean((found - truth) ** 2)) < 0.02, f"layer {layer + 1}"
        assert np.abs(truth - np.linspace(0, 2 * np.pi, len(truth))).max() > 0.4, "there must be something to find"


@pytest.mark.parametrize("seed", [1, 2])
def test_with_the_correction_the_panels_show_the_weights_that_are_wanted(rig_of: Callable[..., Any], seed: int) -> None:
    rig = rig_of(seed=seed)
    banks = rig.network.fields(rig.weights)
    rig.bench.play(rig.network.forward(banks, np.arange(4), ("output",)))
    rig.bench.clock.wait(1.0)
    for layer, port in enumerate(rig.network.layers.weights()):
        panel = rig.simulated.light._panels[layer]
        wanted = np.asarray(banks[port]).reshape(panel.scale.values.shape)
        shown = -np.cos(panel.phase_rad / 2)[rig.emulators(port)[0].block(*wanted.shape)]
        assert np.mean(np.abs(shown - wanted)) < 0.02
        np.testing.assert_allclose(rig.network.shown[layer](banks[port]).reshape(wanted.shape), shown, atol=0.04)
        last = len(panel.phase_rad) - 1
        uncorrected = -np.cos(panel.phase_rad / 2)[np.rint(last / np.pi * np.arccos(-wanted)).astype(int)]
        assert np.mean(np.abs(uncorrected - wanted)) > 0.05


def test_an_ideal_panel_needs_no_correction(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(ideal=True)
    for response in bench.run(warm_up(network_of(bench))).values():
        np.testing.assert_allclose(response, -np.cos(np.linspace(0, np.pi, len(response))), atol=2e-4)


@pytest.mark.parametrize("seed", range(3))
def test_many_inputs_whose_bias_is_off_by_more_than_their_weak_light_do_not_turn_a_response_round(
    bench_of: Callable[..., Bench], seed: int
) -> None:
    off = "\n[simulation.modulators]\nbias_error_v_pi = 0.1\nmode_loss = 0.1\n"
    bench = bench_of((400, 300, 4), seed=seed, edit=lambda text: text + off)
    for layer, response in enumerate(bench.run(warm_up(network_of(bench, 30.0))).values()):
        found = 2 * np.arccos(-np.clip(response, -1, 1))
        assert np.sqrt(np.mean((found - hidden_phase(bench, layer, len(response))) ** 2)) < 0.02, f"layer {layer + 1}"


def block_the_beam(bench: Any) -> None:
    """What an obstacle behind the input modulators does: no light goes on, whatever they are told."""
    bench._opened.simulated.light._modulators["input"].fields = lambda volts, now_s: np.zeros_like(volts)


def test_a_blocked_beam_is_told_from_a_panel(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of()
    block_the_beam(bench)
    with pytest.raises(UnknownStateError, match=r"weights1: over the SLM's whole range the light at forward_in .*; a beam blocked"):
        bench.run(warm_up(network_of(bench)))


def test_a_panel_that_shows_nothing_is_told_by_its_name(bench_of: Callable[..., Bench]) -> None:
    bench: Any = bench_of()
    light = bench._opened.simulated.light
    show = light.set_frame
    light.set_frame = lambda index, slm, now_s: None if index == 2 else show(index, slm, now_s)
    with pytest.raises(UnknownStateError, match=r"weights2: (over the SLM's whole range the light at|the SLM's response is not a)"):
        bench.run(warm_up(network_of(bench)))
