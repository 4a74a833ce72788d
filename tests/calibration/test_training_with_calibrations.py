"""A training believes what was calibrated: inputs, SLMs, taps and cells; its record says so, and what drifts is measured again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.belief import Belief, Inputs, Macropixels
from labonn.bench import Bench
from labonn.calibration import Store
from labonn.calibration.beliefs.belief import believed, show_as_believed, show_as_built
from labonn.calibration.slm_weights.model import blurred
from labonn.calibration.validity import survey
from labonn.channels import ChannelSpec, NumberedNames
from labonn.cli import main
from labonn.cli.run import one_blas_thread
from labonn.layers import layers_of
from labonn.network import Network, image_volts
from labonn.optics import Optics
from labonn.record import open_record
from labonn.response import commanded_fields
from procedures.benches import vapour_cell

Array = NDArray[Any]
SIZES = (100, 12, 2)
WORSE = """
[simulation.slm]
lut_nonlinearity = 0.1
pixel_scale = 0.1
[simulation.modulators]
v_pi_spread = 0.03
bias_error_v_pi = 0.1
"""
one_blas_thread()


def spec(count: int, limit: float = 3.6) -> ChannelSpec:
    flat = np.ones(count)
    return ChannelSpec(NumberedNames("c", count), "V", -limit * flat, limit * flat, 1e-4 * flat, 0 * flat)


def inputs_of(seed: int = 0, count: int = 50, limit: float = 3.6) -> Inputs:
    rng = np.random.default_rng(seed)
    v_pi, bias, share = rng.normal(3.5, 0.1, count), rng.normal(0, 0.3, count), rng.normal(1, 0.1, count)
    one = spec(count, limit)
    return Inputs.within(v_pi, bias, share, np.asarray(one.lower), np.asarray(one.upper))


@pytest.mark.parametrize("limit", [3.6, 2.0, 5.0])
def test_inputs_are_equally_bright_within_their_limits(limit: float) -> None:
    one = inputs_of(limit=limit)
    images = np.arange(256, dtype=np.uint8)[:, None].repeat(50, axis=1)
    volts = one.volts(images, np.float64)
    assert np.abs(volts).max() <= limit * (1 + 1e-12)
    light = one.share * np.sin(0.5 * np.pi * (volts - one.bias_v) / one.v_pi_v)
    wanted = one.common * one.reach * images / 255
    np.testing.assert_allclose(light, wanted, atol=1e-12)
    assert (one.reach > 1 - 1e-12).sum() >= 25
    assert light.max() == pytest.approx(one.common)


def test_a_beam_that_is_too_dark_does_not_dim_the_others() -> None:
    flat = np.ones(4)
    one = Inputs.within(3.5 * flat, 0 * flat, np.array([1.0, 1.1, 0.9, 0.05]), -3.6 * flat, 3.6 * flat)
    np.testing.assert_allclose(one.common * one.reach, [0.5, 0.5, 0.5, 0.05], atol=0.5)
    assert one.common >= 0.45
    assert one.reach[3] * one.common == pytest.approx(0.05)


def macropixels(seed: int = 0, shape: tuple[int, int] = (6, 9)) -> Macropixels:
    fields = commanded_fields()
    phase = 2 * np.arccos(-np.clip(fields, -1, 1))
    response = -np.cos(0.5 * (phase + 0.4 * np.sin(phase / 2)))
    return Macropixels(fields, response, np.exp(0.1 * np.random.default_rng(seed).standard_normal(shape)), (0.01, 0.06))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fields_that_are_wanted_arrive_through_scales_and_leaks(dtype: type) -> None:
    one = macropixels()
    fields = np.random.default_rng(1).uniform(-0.6, 0.6, (1, 54)).astype(dtype)
    shown = one.wanted(fields)
    assert shown.dtype == dtype
    assert shown.shape == fields.shape
    atol = 1e-6 if dtype is np.float32 else 1e-13
    arrived = blurred(one.scale * shown.reshape(6, 9).astype(np.float64), one.leaks)
    np.testing.assert_allclose(arrived.reshape(1, -1), fields, atol=atol)
    np.testing.assert_allclose(one.arriving(shown), fields, atol=atol)


def test_a_network_shows_and_reads_what_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(vapour_cell((9, 6, 4)))
    with Bench.open(path, dry_run=True) as bench:
        layers = layers_of(bench.ports, bench.specs, "bench.toml")
        taps = np.linspace(0.9, 1.1, 6)
        belief = Belief(inputs_of(2, 9), {"weights1": macropixels()}, {"forward_in": taps}, np.array([61.5]))
        network = Network(layers, Optics(), bench.specs, belief=belief)
        plain = Network(layers, Optics(), bench.specs)
    weights = [np.random.default_rng(3).normal(0, 0.1, shape).astype(np.float32) for shape in ((6, 9), (4, 6))]
    for one in (network, plain):
        one.fit_gains(weights)
    assert belief.inputs is not None
    np.testing.assert_allclose(network.displayed(weights)[0], weights[0], atol=0.02)
    assert np.abs(np.asarray(network.fields(weights)["weights1"])).max() <= 1
    np.testing.assert_array_equal(
        network.fields(weights)["weights2"] * network.gains[1], plain.fields(weights)["weights2"] * plain.gains[1]
    )
    readings = {"forward_in": np.full((2, 6), 0.09, np.float32)}
    np.testing.assert_allclose(network.tapped(readings, "forward_in")[0], np.tile(1 / taps, (2, 1)), rtol=1e-6)
    assert network.temperatures().tolist() == [[61.5]]
    images = np.full((3, 9), 255, np.uint8)
    np.testing.assert_allclose(network.inputs(images), np.tile(belief.inputs.reach, (3, 1)), rtol=1e-6)
    np.testing.assert_array_equal(image_volts(network, images), belief.inputs.volts(images, np.float32))
    np.testing.assert_array_equal(plain.inputs(images), np.ones((3, 9), np.float32))
    before = network.currents()
    np.testing.assert_allclose(Optics().amplifier.amplitude(before[0])[0] * belief.inputs.common, network.gains[0])  # type: ignore[index]


def test_tables_of_an_slm_are_as_built_again_after_they_were_as_believed(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(vapour_cell((9, 6, 4)))
    fields = np.linspace(-1, 1, 4001)[: 54 * 74]
    with Bench.open(path, dry_run=True) as bench:
        slm, belief = bench.ports["weights1"], Belief(None, {"weights1": macropixels()})
        built = slm.shown(fields)
        show_as_believed(bench, belief)
        assert np.abs(slm.shown(fields) - fields).max() < 0.02
        codes = slm._tables.fields
        np.testing.assert_allclose(codes[[0, -1]], [-1, 1])
        assert np.abs(codes + np.cos(np.linspace(0, np.pi, 256))).max() > 0.1
        show_as_built(bench, belief)
        np.testing.assert_allclose(slm.shown(fields), built, atol=1e-9)


Run = Callable[..., tuple[Path, dict[str, Any]]]


@pytest.fixture
def labonn_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a procedure in a dry run on one small bench with defects; (folder, result)."""
    bench, data = tmp_path / "bench.toml", tmp_path / "stripes"
    bench.write_text(vapour_cell(SIZES) + WORSE)
    _stripes(data)

    def run(procedure: str, *options: str, code: int = 0) -> tuple[Path, dict[str, Any]]:
        given = ["--dry-run", "--bench", str(bench), "--out", str(tmp_path / "runs"), "--json"]
        if procedure == "train_vapour_cell":
            given += ["--data", str(data), "--optical-depth", "10", "--lr", "1e-2", "--batch", "8"]
        assert main(["run", procedure, *given, *options]) == code
        told = capsys.readouterr()
        if code:
            return tmp_path, {"error": told.err}
        result = json.loads(told.out)
        return Path(result["folder"]), result["result"]

    return run


def _stripes(folder: Path, side: int = 10) -> None:
    """Images of dark noise with a bright bar, upright (class 0) or lying (class 1), anywhere."""
    folder.mkdir()
    rng = np.random.default_rng(8)
    for name, count in (("train", 192), ("t10k", 120)):
        labels = np.arange(count) % 2
        images, bars = rng.integers(0, 60, (count, side, side)), rng.integers(0, side, count)
        images[labels == 0, :, bars[labels == 0]] += 180
        images[labels == 1, bars[labels == 1], :] += 180
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
            (folder / f"{name}-{kind}-ubyte").write_bytes(head + array.astype(np.uint8).tobytes())


def kept_by(labonn_run: Run, tmp_path: Path, kinds: Sequence[str] = ("modulators", "slm_weights")) -> Path:
    for kind in kinds:
        labonn_run(f"calibrate_{kind}", "--calibrations", str(tmp_path / "kept"))
    return tmp_path / "kept"


def events(folder: Path) -> str:
    return (folder / "events.log").read_text()


def recorded(folder: Path) -> list[Any]:
    with sqlite3.connect(f"file:{folder / 'record.sqlite'}?mode=ro", uri=True) as record:
        return [json.loads(row[0]) for row in record.execute("SELECT calibrations FROM sessions ORDER BY session")]


@pytest.mark.slow
def test_a_training_believes_what_is_current_and_says_so(labonn_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = kept_by(labonn_run, tmp_path)
    ids = {f"{port} {kind}": id for (port, kind, _, _), id in Store(kept).current().items()}
    folder, result = labonn_run("train_vapour_cell", "--calibrations", str(kept), "--epochs", "6", "--checkpoint", "3")
    assert recorded(folder) == [ids]
    capsys.readouterr()
    assert main(["runs", "show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert all(id in shown for id in ids.values())
    assert "\nbelieved  " in shown
    assert all(id in events(folder) for id in ids.values())
    assert "absorbers, ovens: no calibration; the nominal curve of optical depth is believed" in events(folder)
    with open_record(folder) as record:
        checks = record.checks()
    assert {check["name"] for check in checks} <= {f"{kind} of {port}" for port, kind in map(str.split, ids)}
    assert len(checks) >= 3
    assert all(check["passed"] and check["text"] == "holds, as the run begins" for check in checks)
    newest = max((folder / "checkpoints").glob("*.npz"))
    with np.load(newest) as file:
        assert json.loads(file["about"].tobytes())["calibrations"] == ids
    _, nominal = labonn_run("train_vapour_cell", "--believe", "nominal", "--epochs", "6")
    assert result["test_accuracy"] > 0.9
    assert nominal["test_accuracy"] < result["test_accuracy"] - 0.05
    assert recorded(folder.parent / max(path.name for path in folder.parent.glob("*train*"))) == [[]]


def test_belief_is_near_the_hidden_truth(labonn_run: Run, tmp_path: Path) -> None:
    kept = kept_by(labonn_run, tmp_path)
    with Bench.open(tmp_path / "bench.toml", dry_run=True) as bench:
        found, refused = survey(Store(kept), bench)
        layers, told = layers_of(bench.ports, bench.specs, "bench.toml"), list[str]()
        belief = believed(found, bench.specs, layers, Optics(), 4.0, told.append)
        light = bench._opened.simulated.light  # type: ignore[attr-defined]
    assert not refused
    assert belief.inputs is not None
    modulators = light._modulators["input"]
    np.testing.assert_allclose(belief.inputs.v_pi_v, modulators.v_pi_v, rtol=5e-3)
    assert len(told) == 2
    panel, one = light._panels[0], belief.macropixels["weights1"]
    phases = np.interp(np.linspace(0, 255, 33), np.arange(256), panel.phase_rad)
    np.testing.assert_allclose(one.response, -np.cos(phases / 2), atol=2e-3)
    beams = belief.inputs.share[None, :] * one.scale
    truth = np.abs(modulators._amplitude.values) * panel.scale.values
    ratio = beams / truth
    assert np.std(ratio / ratio.mean()) < 0.05 < np.std(truth / truth.mean())


@pytest.mark.slow
def test_a_run_that_goes_on_believes_what_it_did(labonn_run: Run, tmp_path: Path) -> None:
    kept = kept_by(labonn_run, tmp_path)
    options = ["--calibrations", str(kept), "--checkpoint", "4"]
    whole, _ = labonn_run("train_vapour_cell", *options, "--epochs", "3")
    part, _ = labonn_run("train_vapour_cell", *options, "--epochs", "2")
    labonn_run("calibrate_modulators", "--calibrations", str(kept))  # newer than what the run believes
    given = ["--dry-run", "--out", str(tmp_path / "runs"), "--resume", str(part), "--epochs", "3"]
    assert main(["run", "train_vapour_cell", *given]) == 0
    one, two = (np.load(folder / "weights.npz") for folder in (whole, part))
    for name in one.files:
        np.testing.assert_array_equal(one[name], two[name])
    assert recorded(part)[0] == recorded(part)[1]


def test_calibrations_of_another_bench_alone_are_refused(labonn_run: Run, tmp_path: Path) -> None:
    labonn_run("calibrate_modulators", "--bench", "modulator_row", "--calibrations", str(tmp_path / "kept"))
    _, told = labonn_run("train_vapour_cell", "--calibrations", str(tmp_path / "kept"), "--epochs", "1", code=2)
    assert "none of its 1 calibrations is of this bench (bench.toml)" in told["error"]
    assert "labonn run calibrate_all --bench FILE makes them" in told["error"]


def test_calibrations_that_expired_are_refused_unless_they_are_wanted(labonn_run: Run, tmp_path: Path) -> None:
    labonn_run("calibrate_modulators", "--calibrations", str(tmp_path / "kept"), "--days", "1e-9")
    options = ["--calibrations", str(tmp_path / "kept"), "--epochs", "1"]
    _, told = labonn_run("train_vapour_cell", *options, code=2)
    assert "it expired" in told["error"]
    assert "measure it again by `labonn run calibrate_modulators`" in told["error"]
    folder, _ = labonn_run("train_vapour_cell", *options, "--expired", "ok")
    assert "slm_weights: no calibration of weights1, weights2; their mean response is measured now" in events(folder)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--recalibrate"], "--recalibrate: of which calibrations? It needs --calibrations DIR"),
        (["--calibrations", "nowhere"], "--calibrations nowhere: no such folder; calibrations are made by `labonn run calibrate_all"),
    ],
)
def test_options_that_make_no_sense_are_refused(labonn_run: Run, options: list[str], told: str) -> None:
    assert told in labonn_run("train_vapour_cell", *options, code=2)[1]["error"]


@pytest.mark.slow
def test_what_drifts_between_epochs_is_measured_again_and_believed(
    labonn_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The panel's curve changes in the second epoch: the record, the events and the beliefs follow."""
    from sim_backends.benches import vapour_light

    kept = kept_by(labonn_run, tmp_path)
    frames, init = iter(range(10**6)), vapour_light.Panel.show

    def show(panel: Any, codes: Array, now_s: float) -> None:
        if panel._shape == (12, 100) and next(frames) == 60:
            panel._cosine = np.asarray(-np.cos(panel.phase_rad / 2 - 0.15 * np.sin(panel.phase_rad / 2)), np.float32)
        init(panel, codes, now_s)

    monkeypatch.setattr(vapour_light.Panel, "show", show)
    before = Store(kept).current()
    folder, _ = labonn_run("train_vapour_cell", "--calibrations", str(kept), "--recalibrate", "--epochs", "6")
    after = Store(kept).current()
    changed = {key[:2] for key in after if after[key] != before.get(key)}
    assert changed == {("weights1", "slm_weights")}
    new = next(id for key, id in after.items() if key[:2] == ("weights1", "slm_weights"))
    assert "slm_weights calibration" in events(folder)
    assert "has drifted: forward_in/" in events(folder)
    assert f"{new} of weights1" in events(folder)
    assert recorded(folder)[0]["weights1 slm_weights"] == new
    assert list(folder.glob("again_slm_weights_weights1*.png"))
    with sqlite3.connect(f"file:{folder / 'record.sqlite'}?mode=ro", uri=True) as record:
        checks = list(record.execute("SELECT name, passed FROM checks WHERE text != 'holds, as the run begins'"))
    assert len(checks) == 5 * 3
    assert ("slm_weights of weights1", 0) in checks
    assert ("modulators of input", 1) in checks
    with Bench.open(tmp_path / "bench.toml", dry_run=True) as bench:
        truth = bench._opened.simulated.light._panels[0].phase_rad  # type: ignore[attr-defined]
    phases = np.interp(np.linspace(0, 255, 33), np.arange(256), truth / 2 - 0.15 * np.sin(truth / 2))
    np.testing.assert_allclose(Store(kept).load(new).values("response"), -np.cos(phases), atol=3e-3)
