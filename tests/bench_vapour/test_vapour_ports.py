"""The same bench with other instruments on its ports: other drivers of panels, and ports made of several instruments."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn.bench import Bench
from labonn.cli import main
from labonn.errors import BenchFileError, ProcedureError
from labonn.layers import layers_of
from labonn.training import set_up
from procedures.benches import vapour_cell

LINKS = {"slm_monitor": "monitor://", "slm_slmpy": "slmpy://", "slm_slmpy_net": "slmpynet://127.0.0.1:999"}
ROWS = np.arange(16)


def panels_by(driver: str) -> Callable[[str], str]:
    """Every SLM by that driver, on a panel of 40 x 60 pixels."""

    def edit(text: str) -> str:
        text = re.sub(r'driver = "slm_monitor"\nlink = "monitor://(\d)"', rf'driver = "{driver}"\nlink = "{LINKS[driver]}\1"', text)
        return text.replace("shape = [", "panel = [40, 60]\nshape = [")

    return edit


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize("driver", ["slm_slmpy", "slm_slmpy_net"])
def test_a_panel_on_another_driver_shows_the_same_light(rig_of: Callable[..., Any], driver: str, served: bool) -> None:
    monitor = rig_of(ideal=True, edit=lambda text: panels_by("slm_monitor")(text))
    other = rig_of(ideal=True, edit=panels_by(driver), served=served)
    weights = other.network.displayed(other.weights)  # 8 bits, whatever the monitor could show
    monitor.weights = other.weights = [gain * np.clip(w / gain, -1, 1) for w, gain in zip(weights, other.network.gains, strict=True)]
    one, two = monitor.step("exact", "digital", ROWS), other.step("exact", "digital", ROWS)
    np.testing.assert_allclose(two.outputs, one.outputs, rtol=0, atol=1e-4 * np.abs(one.outputs).max())
    for a, b in zip(one.gradients, two.gradients, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-3 * np.abs(a).max())


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize("driver", ["slm_slmpy", "slm_slmpy_net"])
def test_a_network_on_another_driver_is_trained_with_all_imperfections(rig_of: Callable[..., Any], driver: str, served: bool) -> None:
    rig = rig_of((20, 8, 4), edit=panels_by(driver), served=served, dark=True)
    losses = []
    for _ in range(12):
        step = rig.step("optical", "digital", np.arange(40))
        losses.append(step.loss)
        rig.weights = [w - 0.3 * g for w, g in zip(rig.weights, step.gradients, strict=True)]
        if rig.network.fit_gains(rig.weights):
            rig.bench.run(set_up(rig.network, rig.digits, rig.weights))
    assert losses[-1] < 0.5 * losses[0]
    assert all(slm.version > 12 for port in ("weights1", "weights2") for slm in rig.emulators(port))


def test_the_panels_of_all_drivers_read_the_same_served_and_in_process(rig_of: Callable[..., Any]) -> None:
    for driver in LINKS:
        steps = [rig_of(edit=panels_by(driver), served=served).step("optical", "digital", ROWS) for served in (False, True)]
        assert np.array_equal(steps[0].outputs, steps[1].outputs), driver
        assert all(np.array_equal(a, b) for a, b in zip(steps[0].gradients, steps[1].gradients, strict=True)), driver


def halved(text: str) -> str:
    """Input beams, forward taps, and the ovens on two instruments each."""

    def halve(match: re.Match[str]) -> str:
        head, link, between, channels = match.groups()
        return f'{head}link = ["{link}", "{link}9"]\n{between} = {int(channels) // 2}\n'

    for port in ("input", "forward_in", "forward_out"):
        text = re.sub(rf'(\[ports\.{port}\][^\[]*?)link = "([^"]*)"\n(channels) = (\d+)\n', halve, text)
    return re.sub(r'(\[ports\.ovens\][^\[]*?)link = "([^"]*)"\n(instances) = (\d+)\n', halve, text)


@pytest.mark.parametrize("served", [False, True])
def test_a_port_of_two_instruments_is_one_of_their_channels_side_by_side(rig_of: Callable[..., Any], served: bool) -> None:
    whole, split = rig_of(ideal=True), rig_of(ideal=True, edit=halved, served=served)
    assert [len(split.emulators(port)) for port in ("input", "forward_in", "forward_out", "ovens", "output")] == [2, 2, 2, 2, 1]
    assert {port: len(spec) for port, spec in split.bench.specs.items()} == {port: len(spec) for port, spec in whole.bench.specs.items()}
    one, two = (rig.step("corrected", "digital", ROWS) for rig in (whole, split))
    np.testing.assert_allclose(two.outputs, one.outputs, rtol=0, atol=1e-7 * np.abs(one.outputs).max())
    for a, b in zip(one.gradients, two.gradients, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-7 * np.abs(a).max())


def test_a_joined_port_with_all_imperfections_measures_the_same_numbers(rig_of: Callable[..., Any]) -> None:
    whole, split = rig_of(), rig_of(edit=halved)
    one, two = (rig.step("optical", "digital", ROWS) for rig in (whole, split))
    np.testing.assert_allclose(two.outputs, one.outputs, rtol=0, atol=0.3 * np.abs(one.outputs).max())


def test_a_training_on_ports_of_two_instruments_ends_well(tmp_path: Path, stripes: Callable[..., Path]) -> None:
    (tmp_path / "split.toml").write_text(halved(vapour_cell([100, 12, 8, 2])))
    data, bench, out = str(stripes(64, 40)), str(tmp_path / "split.toml"), str(tmp_path / "runs")
    assert main(["run", "train_vapour_cell", "--dry-run", "--data", data, "--bench", bench, "--out", out, "--epochs", "1"]) == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("shape = [6, 8]", "shape = [6, 9]"), r"ports\.weights2: shape 6 x 9 takes 9 inputs, but weights1 has 8 outputs"),
        (("channels = 14", "channels = 13"), r"ports\.forward_in: has 13 channels, but the layers 20-8-6-4 need 14"),
        (("[ports.gain]", "[ports.gains]"), r"ports\.gain: missing; a bench of layers 20-8-6-4 needs it, with 3 channels"),
        (("instances = 2", "instances = 3"), r"ports\.ovens: has 3 channels, but the layers 20-8-6-4 need 2"),
    ],
)
def test_ports_that_do_not_fit_together_are_told_with_both_sizes(
    bench_of: Callable[..., Bench], change: tuple[str, str], told: str
) -> None:
    with pytest.raises(BenchFileError, match=told):
        bench_of(edit=lambda text: text.replace(*change))


def test_a_port_that_the_light_does_not_know_is_refused(bench_of: Callable[..., Bench]) -> None:
    extra = '\n[ports.monitor]\ndriver = "stream_adc"\nlink = "zmq://127.0.0.1:5999"\nchannels = 2\n'
    with pytest.raises(BenchFileError, match=r"ports\.monitor: the simulated bench 'vapour_cell' has no such port"):
        bench_of(edit=lambda text: text.replace("\n[nominal]", f"{extra}\n[nominal]"))


def test_layers_are_read_off_the_ports_of_an_open_bench(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of()
    assert layers_of(bench.ports, bench.specs, "bench.toml").sizes == (20, 8, 6, 4)
    with pytest.raises(ProcedureError, match=r"bench\.toml: a vapour-cell bench needs the ports weights1, weights2, \.\.\.; it has input"):
        layers_of({"input": bench.ports["input"]}, bench.specs, "bench.toml")
    with pytest.raises(ProcedureError, match=r"ports\.weights2: a spatial light modulator is wanted here, not a StreamAdc"):
        layers_of({"weights1": bench.ports["weights1"], "weights2": bench.ports["output"]}, bench.specs, "bench.toml")
