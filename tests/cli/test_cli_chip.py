"""labonn run train_chip and compare_gradients, on a small chip and small pictures, as a user types them."""

from __future__ import annotations

import csv
import gzip
import json
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labonn.banks import dense
from labonn.chip_methods import Gradients, MethodSettings, cheap
from labonn.cli import main
from labonn.gradients import Slots
from labonn.gradients.adjoint import PORTS
from labonn.optimizers import adam, sgd

SMALL = ["--sizes", "9", "4", "3"]


def write_idx(path: Path, array: Any) -> None:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 x 12 pixels in 3 classes: a bright bar on the left, in the middle or on the right."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name, count in (("train", 300), ("t10k", 120)):
        labels = rng.integers(0, 3, count)
        images = rng.integers(0, 90, (count, 12, 12))
        for image, label in zip(images, labels, strict=True):
            image[:, 4 * label : 4 * label + 4] += 150
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", labels)
    return folder


def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, *arguments: str) -> tuple[int, str, str, Path | None]:
    """(exit code, stdout, stderr, the run's folder)."""
    before = set(tmp_path.glob("*-*"))
    code = main(["run", *arguments, "--out", str(tmp_path)])
    out, err = capsys.readouterr()
    made = sorted(set(tmp_path.glob("*-*")) - before)
    return code, out, err, made[0] if made else None


def result_of(folder: Path | None) -> dict[str, Any]:
    assert folder is not None
    return dict(json.loads((folder / "result.json").read_text())["result"])


@pytest.mark.parametrize("bench", ["pt_chip", "mzi_chip", "pt_chip_software", "mzi_chip_software"])
def test_a_small_chip_learns_three_classes_on_every_bench(
    bench: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, pictures: Path
) -> None:
    rate = "0.03" if bench.startswith("pt") else "0.15"
    arguments = ["--dry-run", "--bench", bench, *SMALL, "--data", str(pictures), "--gradient", "central", "--lr", rate]
    code, out, _, folder = run(capsys, tmp_path, "train_chip", *arguments, "--steps", "60", "--batch", "32", "--train", "all")
    assert code == 0
    result = result_of(folder)
    assert result["test_accuracy"] > 0.85
    assert result["coupler"] == ("pt" if bench.startswith("pt") else "rotation")
    assert result["evaluations"] > 60 * 2 * result["trained_parameters"]
    assert "test accuracy" in out
    assert folder is not None
    assert {"training.png", "weights.npz", "test.npz", "metrics.csv", "bench.toml"} <= {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("gradient", "more"), [("adjoint", []), ("aware", ["--watts"]), ("shift", ["--readout", "intensity"]), ("walsh", [])]
)
def test_heater_chips_learn_by_other_methods_too(
    gradient: str, more: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, pictures: Path
) -> None:
    arguments = ["--dry-run", "--bench", "mzi_chip", *SMALL, "--data", str(pictures), "--gradient", gradient, "--lr", "0.15", *more]
    code, _, err, folder = run(capsys, tmp_path, "train_chip", *arguments, "--steps", "60", "--batch", "32", "--train", "all")
    assert code == 0, err
    assert result_of(folder)["test_accuracy"] > 0.8


def test_the_metrics_count_hardware_evaluations_and_bench_time(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, pictures: Path
) -> None:
    arguments = ["--dry-run", *SMALL, "--data", str(pictures), "--gradient", "central", "--steps", "9", "--report", "4", "--batch", "30"]
    _, _, _, folder = run(capsys, tmp_path, "train_chip", *arguments)
    assert folder is not None
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["steps"]) for row in rows] == [4, 8, 9]
    assert [float(row["epoch"]) for row in rows] == pytest.approx([0.4, 0.8, 0.9])
    settings, times = ([float(row[key]) for row in rows] for key in ("settings", "bench_time_s"))
    assert settings == sorted(settings)
    assert settings[1] - settings[0] > 4 * 2 * result_of(folder)["trained_parameters"]
    assert times == sorted(times)


def test_auto_prints_what_it_measured_and_why_it_chose(capsys: pytest.CaptureFixture[str], tmp_path: Path, pictures: Path) -> None:
    arguments = ["--dry-run", *SMALL, "--data", str(pictures), "--steps", "3", "--batch", "16"]
    code, out, _, folder = run(capsys, tmp_path, "train_chip", *arguments)
    assert code == 0
    assert out.startswith("planned: ")
    table = [line for line in out.splitlines() if line.startswith(("central", "forward", "walsh", "spsa", "subset"))]
    assert len(table) >= 5
    assert all(len(line) <= 80 for line in out.splitlines()[:15])
    assert result_of(folder)["gradient"].startswith("auto: ")


@pytest.mark.parametrize("trained", [False, True])
def test_the_adjoint_that_auto_may_take_measures_attenuators_if_they_are_trained(trained: bool) -> None:
    amplifiers = np.array([False, True, False])
    design = SimpleNamespace(coupler="rotation", readout="homodyne", activation="board")
    objective: Any = SimpleNamespace(specs=dict.fromkeys(PORTS), optics=SimpleNamespace(design=design, amplifiers=amplifiers))
    adjoint: Any = cheap(objective, 0.1, np.array([True, trained, True]))["adjoint"]
    assert adjoint.keywords["amplifiers"] is trained


def test_subset_gradients_of_the_trained_parameters_are_unbiased() -> None:
    rng, seen = np.random.default_rng(0), []
    slope = np.arange(1.0, 11.0)

    class Plane:
        lower, upper = np.full(10, -9.0), np.full(10, 9.0)
        optics = SimpleNamespace(design=SimpleNamespace(coupler="pt"))
        slots = Slots(1e-6, 0, 1)

        def evaluate(self, settings: Any) -> Any:
            yield SimpleNamespace(shots=1)
            return (dense(settings) @ slope)[:, None]

    moved = np.arange(10) < 6
    method = Gradients(Plane(), MethodSettings("subset", coordinates=2, seed=int(rng.integers(99))), moved, lambda: 0.0)  # type: ignore[arg-type]
    for _ in range(3000):
        plan = method(Plane(), np.zeros(10))  # type: ignore[arg-type]
        next(plan)
        with pytest.raises(StopIteration) as done:
            plan.send({})
        seen.append(done.value.value.gradient)
    np.testing.assert_allclose(np.mean(seen, axis=0), np.where(moved, slope, 0), rtol=0.1, atol=1e-9)


def test_a_budget_that_no_method_fits_is_told_with_the_least_that_would_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, pictures: Path
) -> None:
    code, _, err, folder = run(capsys, tmp_path, "train_chip", "--dry-run", *SMALL, "--data", str(pictures), "--budget", "1e-9")
    assert code == 2
    assert "a budget of 1e-09 s for a gradient: the shortest possible one takes" in err
    assert folder is not None
    assert json.loads((folder / "result.json").read_text())["status"] == "failed"


def test_training_stops_when_its_hardware_time_is_up(capsys: pytest.CaptureFixture[str], tmp_path: Path, pictures: Path) -> None:
    arguments = ["--dry-run", *SMALL, "--data", str(pictures), "--gradient", "central", "--steps", "10000", "--hardware-time", "0.2"]
    _, _, _, folder = run(capsys, tmp_path, "train_chip", *arguments)
    result = result_of(folder)
    assert 0.2 <= result["training_time_s"] < 0.3
    assert 5 < result["steps"] < 10000


def test_a_run_goes_on_from_the_parameters_of_another(capsys: pytest.CaptureFixture[str], tmp_path: Path, pictures: Path) -> None:
    common = ["--dry-run", *SMALL, "--data", str(pictures), "--gradient", "central", "--lr", "0.03", "--batch", "32"]
    _, _, _, first = run(capsys, tmp_path, "train_chip", *common, "--steps", "40")
    assert first is not None
    _, _, _, second = run(capsys, tmp_path, "train_chip", *common, "--steps", "1", "--lr", "1e-6", "--start", str(first / "weights.npz"))
    assert result_of(second)["test_accuracy"] == pytest.approx(result_of(first)["test_accuracy"], abs=0.05)
    assert second is not None
    assert "0 of 58 parameters were outside the limits" in (second / "events.log").read_text()


@pytest.mark.parametrize(("bench", "told"), [("mzi_chip", "of what is wanted"), ("pt_chip", "fitted to the matrices")])
def test_matrices_start_a_chip_by_decomposition_or_by_a_fit(
    bench: str, told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, pictures: Path
) -> None:
    rng, start = np.random.default_rng(1), tmp_path / "matrices.npz"
    np.savez(start, weights1=rng.normal(size=(4, 9)), weights2=rng.normal(size=(3, 4)))
    coupler = ["--coupler", "mzi"] if bench == "mzi_chip" else []
    arguments = ["--dry-run", "--ideal", "--bench", bench, *coupler, *SMALL, "--data", str(pictures), "--gradient", "central"]
    code, _, err, folder = run(capsys, tmp_path, "train_chip", *arguments, "--steps", "1", "--start", str(start))
    assert code == 0, err
    assert folder is not None
    assert told in (folder / "events.log").read_text()


@pytest.mark.slow
def test_an_in_silico_start_is_better_than_a_random_one_on_an_ideal_chip(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, pictures: Path
) -> None:
    common = ["--dry-run", "--ideal", *SMALL, "--data", str(pictures), "--gradient", "central", "--steps", "1", "--lr", "1e-6"]
    folders = [run(capsys, tmp_path, "train_chip", *common, "--start", start)[3] for start in ("random", "believed")]
    accuracies = [result_of(folder)["test_accuracy"] for folder in folders]
    assert accuracies[1] > 0.9 > accuracies[0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--bench", "pt_chp"], "no such file; train_chip has benches of its own: pt_chip, pt_chip_software, mzi_chip, mzi_chip_software"),
        (["--coupler", "mzi"], "--coupler mzi: pt_chip is a chip of gain sections; this is on --bench mzi_chip"),
        (["--watts"], "--watts: pt_chip has no power controllers; heaters of --bench mzi_chip have"),
        (["--steps", "0"], "--steps 0: at least 1"),
        (["--limit", "10"], "--batch 64: there are 10 training images"),
        (["--lr", "-1"], "learning rate -1"),
        (["--step", "0"], "--step 0.0: more than 0 is wanted"),
        (["--sizes", "10", "4", "3"], "images of 12 x 12 pixels cannot be averaged over square blocks to 10 inputs"),
        (["--sizes", "9", "4", "12"], "a chip of sizes (9, 4, 12); three are wanted, none larger than the one before"),
        (["--sizes", "9", "4", "2"], "3 classes; this chip has 2 outputs"),
        (["--start", "nowhere.npz"], "--start nowhere.npz: random, believed, or an .npz file; there is no such file"),
        (["--gradient", "shift"], "shift: gain sections are no phases"),
        (["--gradient", "lagged"], "lagged: these parameters follow at once"),
        (["--bench", "mzi_chip", "--coupler", "mzi", "--gradient", "adjoint"], "adjoint: "),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_line(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, pictures: Path
) -> None:
    sizes = [] if "--sizes" in arguments else SMALL
    code, _, err, _ = run(capsys, tmp_path, "train_chip", "--dry-run", *sizes, "--data", str(pictures), "--steps", "1", *arguments)
    assert code == 2
    assert told in err
    assert "Traceback" not in err


def test_methods_are_compared_and_drift_shows_in_the_blocked_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, pictures: Path
) -> None:
    arguments = ["--dry-run", *SMALL, "--data", str(pictures), "--methods", "blocked", "central", "auto"]
    arguments += ["--times", "4", "--reference", "16"]
    drifting = ["--simulate", "power_drift_per_h=20000", "detectors.bandwidth_hz=1e4"]
    code, out, _, folder = run(capsys, tmp_path, "compare_gradients", *arguments, *drifting)
    assert code == 0
    assert out.splitlines()[0].split() == ["method", "error", "scatter", "reported", "time", "(s)", "settings", "downhill/s"]
    result = result_of(folder)
    assert result["methods"]["blocked"]["error"] > 3 * result["methods"]["central"]["error"]
    assert {"auto_chose", "predicted_standard_error", "predicted_bias", "predicted_time_s"} <= set(result)
    assert folder is not None
    assert (folder / "errors.png").stat().st_size > 10_000
    assert "power_drift_per_h = 20000" in (folder / "bench.toml").read_text()


def test_a_wrong_simulated_setting_is_told_by_its_name(capsys: pytest.CaptureFixture[str], tmp_path: Path, pictures: Path) -> None:
    arguments = ["--dry-run", *SMALL, "--data", str(pictures), "--simulate", "laser.rin_db=1"]
    code, _, err, _ = run(capsys, tmp_path, "compare_gradients", *arguments)
    assert code == 2
    assert "simulation.laser.rin_db = 1: unknown key; did you mean 'rin_db_per_hz'?" in err


@pytest.mark.parametrize("make", [sgd, adam])
def test_a_learning_rate_may_follow_a_schedule(make: Any) -> None:
    scheduled, fixed = make(lambda step: 0.1 if step == 0 else 0.0), make(0.1)
    params = {name: [np.ones(3)] for name in ("scheduled", "fixed")}
    states = {"scheduled": scheduled.init(params["scheduled"]), "fixed": fixed.init(params["fixed"])}
    for _ in range(2):
        params["scheduled"], states["scheduled"] = scheduled.update([np.ones(3)], states["scheduled"], params["scheduled"])
    params["fixed"], states["fixed"] = fixed.update([np.ones(3)], states["fixed"], params["fixed"])
    np.testing.assert_allclose(params["scheduled"][0], params["fixed"][0], rtol=1e-12)
