"""Settings of the procedure's own bench: simulated light with and without --ideal, resolution, empty cells, saturable gain."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.benchfile import parse
from labonn.chips import ChipOptics
from labonn.cli import main
from labonn.errors import BenchFileError, ProcedureError
from labonn.shots import ShotTable
from labonn.sources import idealised
from labonn.training import initial_weights
from procedures import train_chip, train_vapour_cell
from procedures.benches import simulated, vapour_cell
from sim_backends.benches.chip_settings import ChipSettings
from sim_backends.benches.vapour_light import LightSettings

Array = NDArray[Any]
SIZES = (20, 8, 6, 4)


def own_bench(procedure: Any, *words: str) -> Any:
    """The parsed bench file that the procedure makes for these options."""
    parser = argparse.ArgumentParser()
    procedure.options(parser)
    args = parser.parse_args(words)
    args.bench_name, args.bench = None, None
    return parse(procedure.bench_file(args), "bench.toml")


def test_with_ideal_what_is_simulated_is_on_and_all_else_off() -> None:
    file = own_bench(train_vapour_cell, "--simulate", "slm.flicker_rad=0.05", "laser.rin_db_per_hz=-120", "detectors.noisy=true")
    found, ideal = LightSettings.of(file, ideal=True), LightSettings.of(own_bench(train_vapour_cell), ideal=True)
    changed = dataclasses.replace(ideal.slm, flicker_rad=0.05)
    assert found.slm == changed != ideal.slm
    assert found.laser == dataclasses.replace(ideal.laser, rin_db_per_hz=-120)
    assert found.detectors == dataclasses.replace(ideal.detectors, noisy=True)
    assert (found.modulators, found.ovens, found.gain) == (ideal.modulators, ideal.ovens, ideal.gain)


def test_without_ideal_single_imperfections_are_off_and_all_else_on() -> None:
    file = own_bench(train_vapour_cell, "--simulate", "slm.flicker_rad=0", "detectors.noisy=false")
    found, usual = LightSettings.of(file, ideal=False), LightSettings()
    assert found.slm == dataclasses.replace(usual.slm, flicker_rad=0)
    assert found.detectors == dataclasses.replace(usual.detectors, noisy=False)
    assert (found.modulators, found.laser, found.ovens, found.gain) == (usual.modulators, usual.laser, usual.ovens, usual.gain)


def test_on_a_chip_it_is_the_same() -> None:
    file = own_bench(train_chip, "--simulate", "laser.rin_db_per_hz=-100", "power_drift_per_h=10")
    optics = ChipOptics.of(file)
    found, ideal = ChipSettings.of(file, optics, ideal=True), ChipSettings.of(own_bench(train_chip), optics, ideal=True)
    assert found == dataclasses.replace(
        ideal, laser=dataclasses.replace(ideal.laser, rin_db_per_hz=-100), power_drift_per_h=10.0
    )  # and nothing else
    usual = ChipSettings.of(file, optics, ideal=False)
    assert usual.laser.rin_db_per_hz == -100
    assert usual.detectors.noisy


def test_imperfect_ovens_of_an_ideal_bench_have_their_own_depths(bench_of: Callable[..., Any]) -> None:
    lines = 'ideal_except = ["ovens.depth_scale", "ovens.sensor_offset_k"]\n[simulation.ovens]\ndepth_scale = 0.1\nsensor_offset_k = 1.0\n'
    light = bench_of(edit=lambda text: text + lines, ideal=True)._opened.simulated.light
    plain = bench_of(ideal=True)._opened.simulated.light
    light.set_ovens(np.full(2, 60.0), np.ones(2, bool), 0.0)
    plain.set_ovens(np.full(2, 60.0), np.ones(2, bool), 0.0)
    np.testing.assert_allclose(plain.depths(1.0), 12.0)
    factors, offsets = light._plant.depth_factor, light._plant.sensor_offset_k
    assert np.all(factors != 1)
    np.testing.assert_allclose(light.depths(1.0), factors * np.exp(np.interp(60 + offsets, [50, 60, 70], np.log([5.3, 12, 26]))))


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        (["flicker"], "--simulate flicker: KEY=VALUE or PART.KEY=VALUE is wanted"),
        (["slm.x.y=1"], "--simulate slm.x.y=1: KEY=VALUE or PART.KEY=VALUE is wanted"),
        (["slm.a=1", "slm.a=2"], "--simulate slm.a=2: slm.a is given twice"),
        (["seed=3"], "--simulate seed=3: seed is not a setting of the light; the seed is that of --seed"),
        (["slm.a=1\nb = 2"], "is no value; a number, true, a word, or a [list] is wanted"),
        (["slm.a="], "--simulate slm.a=: '' is no value"),
    ],
)
def test_a_pair_that_is_none_is_told(pairs: list[str], told: str) -> None:
    with pytest.raises(ProcedureError) as refused:
        simulated(pairs)
    assert told in str(refused.value)


def test_a_word_needs_no_quotes() -> None:
    assert own_bench(train_vapour_cell, "--simulate", "cell=two_level").simulation["cell"] == "two_level"


@pytest.mark.parametrize("ideal", [False, True])
def test_what_ideal_is_to_leave_must_be_a_setting_of_the_file(ideal: bool) -> None:
    text = vapour_cell(SIZES) + 'ideal_except = ["slm.flicker_rad"]\n'
    with pytest.raises(BenchFileError, match=r"simulation\.ideal_except: 'slm\.flicker_rad' is none of the settings of this file: bits, "):
        LightSettings.of(parse(text, "bench.toml"), ideal)
    with pytest.raises(BenchFileError, match=r"simulation\.ideal_except = 3: a list of names is wanted"):
        LightSettings.of(parse(vapour_cell(SIZES) + "ideal_except = 3\n", "bench.toml"), ideal)


def test_coarse_instruments_stay_coarse_on_an_ideal_bench(bench_of: Callable[..., Any]) -> None:
    text = vapour_cell(SIZES, bits=6) + simulated([], ["bits"])
    assert {port.options.bits for port in idealised(parse(text, "bench.toml")).ports.values() if hasattr(port.options, "bits")} == {6}
    bench, rng = bench_of(edit=lambda _: text, ideal=True), np.random.default_rng(1)
    banks: dict[str, Any] = {"input": rng.uniform(-3.5, 3.5, (30, 20)), "gain": np.full((1, 3), 0.009)}
    banks |= {f"weights{i + 1}": rng.uniform(-1, 1, (1, m * n)) for i, (n, m) in enumerate(pairwise(SIZES))}
    readings = bench.play(ShotTable(banks, {"input": np.arange(30)}, 1e-4, ("forward_in",)))
    codes = readings["forward_in"] * 31 / 5.0
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-4)
    assert len(np.unique(np.rint(codes))) > 3
    volts = bench._opened.simulated.instruments.of("input")[0].bank
    np.testing.assert_allclose(volts * 31 / 3.6, np.rint(volts * 31 / 3.6), atol=1e-4)
    assert np.abs(volts - banks["input"]).max() <= 3.6 / 62 * 1.001
    fields = bench._opened.simulated.light._panels[0].field(1.0)
    angles = np.arccos(-fields) * 63 / np.pi
    np.testing.assert_allclose(angles, np.rint(angles), atol=1e-6)
    assert len(np.unique(np.rint(angles))) > 30


def test_empty_cells_let_all_light_pass(rig_of: Callable[..., Any]) -> None:
    lines = 'ideal_except = ["cells.empty"]\n[simulation.cells]\nempty = true\n'
    rig, rows = rig_of(SIZES, depth=0.0, ideal=True, edit=lambda text: text + lines), np.arange(10)
    linear = rig.images[rows] @ rig.weights[0].T @ rig.weights[1].T @ rig.weights[2].T
    np.testing.assert_allclose(rig.outputs(rows), linear, atol=1e-5 * np.abs(linear).max())


@pytest.fixture
def trained(tmp_path: Path, stripes: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """The result of a short training by the command line, its losses and its bench file."""

    def train(*options: str) -> dict[str, Any]:
        data, out = tmp_path / "stripes10", tmp_path / "runs"
        fixed = ["--data", str(data if data.exists() else stripes()), "--hidden", "12", "--out", str(out), "--json", "--quiet"]
        assert main(["run", "train_vapour_cell", "--dry-run", *fixed, "--lr", "0.01", *options]) == 0
        told = json.loads(capsys.readouterr().out)
        folder = Path(told["folder"])
        losses = [json.loads(line)["train_loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return {**told["result"], "losses": losses, "bench": (folder / "bench.toml").read_text()}

    return train


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--optical-depth", "0"],
        ["--cell", "gain", "--optical-depth", "3"],
        ["--bits", "6", "--optical-depth", "10", "--simulate", "modes.noise=0.05", "modes.deviation=0.1", "--ideal"],
        ["--inputs", "5", "--optical-depth", "10", "--start", "peaks"],
    ],
)
def test_such_benches_learn(trained: Callable[..., dict[str, Any]], options: list[str]) -> None:
    losses = trained("--epochs", "6", *options)["losses"]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.slow
def test_what_is_simulated_changes_a_training_and_without_it_nothing_does(trained: Callable[..., dict[str, Any]]) -> None:
    plain = trained("--epochs", "1", "--ideal")
    assert "ideal_except" not in plain["bench"]
    noisy = trained("--epochs", "1", "--ideal", "--simulate", "detectors.noisy=true", "slm.flicker_rad=0.02")
    assert 'ideal_except = ["detectors.noisy", "slm.flicker_rad"]' in noisy["bench"]
    assert noisy["steps"] == plain["steps"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--bits", "3"], "--bits 3: 4 to 16"),
        (["--inputs", "0"], "--inputs 0.0: more than 0 and up to 100 saturation fields are wanted"),
        (["--optical-depth", "-1"], "--optical-depth -1.0: 0 or more is wanted"),
        (["--spread", "0"], "--spread 0: more than 0 is wanted, and finite"),
        (
            ["--optical-depth", "0", "--calibrations", "."],
            "--optical-depth 0: what --calibrations know was measured with vapour in the cells",
        ),
        (["--inputs", "5", "--calibrations", "."], "--inputs 5.0: calibrations are measured with inputs of 0 to 1"),
        (["--simulate", "slm.flicker=1"], "simulation.slm.flicker = 1: unknown key; did you mean 'flicker_rad'?"),
        (["--bits", "6", "--bench", "FILE"], "--bits is for the procedure's own bench; write it into the bench file"),
        (["--simulate", "slm.flicker_rad=0", "--bench", "FILE"], "--simulate is for the procedure's own bench"),
    ],
)
def test_options_that_make_no_sense_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str) -> None:
    (tmp_path / "lab.toml").write_text(vapour_cell((784, 12, 10)))
    words = [str(tmp_path / "lab.toml") if word == "FILE" else word for word in options]
    assert main(["run", "train_vapour_cell", "--dry-run", "--out", str(tmp_path / "runs"), *words]) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.glob("runs/*"))


def test_weights_start_as_they_are_asked_to_whatever_the_depth() -> None:
    (deep,) = initial_weights((400, 300), 100.0, 1, start="normal", spread=0.01)
    assert deep.std() == pytest.approx(0.01, rel=0.02)
    (shallow,) = initial_weights((400, 300), 1.0, 1, start="peaks")
    np.testing.assert_array_equal(shallow, initial_weights((400, 300), 100.0, 1)[0])
    (usual,) = initial_weights((400, 300), 10.0, 1)
    np.testing.assert_array_equal(usual, initial_weights((400, 300), 100.0, 1, start="normal")[0])
