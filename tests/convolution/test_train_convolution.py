"""Convolutions through the drivers by the command line: what it reports, what it refuses, and what is left when it is cut short."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_digits import write_idx

from labonn.bench import Bench
from labonn.cli import main

SMALL = ["--network", "12x12-3x3x4-pool-6-3", "--twin-epochs", "4", "--lr", "0.005", "--optical-depth", "4", "--batch", "32", "--json"]
Train = Callable[..., tuple[int, Any, Path]]


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 x 12 pixels in 3 classes: a bright bar on the left, in the middle or on the right, black around it."""
    folder, rng = tmp_path_factory.mktemp("bars"), np.random.default_rng(0)
    for name, count in (("train", 300), ("t10k", 120)):
        labels = rng.integers(0, 3, count)
        images = rng.integers(0, 90, (count, 12, 12))
        images[:, :5] = 0
        for image, label in zip(images, labels, strict=True):
            image[7:, 4 * label : 4 * label + 4] += 150
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", labels)
    return folder


@pytest.fixture
def convolve(tmp_path: Path, bars: Path, capsys: pytest.CaptureFixture[str]) -> Train:
    """Runs `labonn run train_convolution --dry-run`; (exit code, result.json or the error, the run's folder)."""

    def run(*options: str) -> tuple[int, Any, Path]:
        capsys.readouterr()
        out = tmp_path / "runs"
        code = main(["run", "train_convolution", "--dry-run", "--data", str(bars), "--out", str(out), *SMALL, *options])
        folders = sorted(out.iterdir()) if out.exists() else []
        if not folders:
            return code, capsys.readouterr().err, out
        return code, json.loads((folders[-1] / "result.json").read_text()), folders[-1]

    return run


def test_on_an_ideal_bench_every_image_is_read_as_by_the_twin(convolve: Train) -> None:
    code, found, folder = convolve("--ideal", "--layers", "2", "--steps", "0")
    result = found["result"]
    assert code == 0
    assert result["measured_accuracy"] == result["twin_accuracy"] > 0.9
    assert result["images_read_otherwise"] == 0
    assert max(result["activation_rms_error"]) < 2e-3
    assert min(result["gradient_cosine"] + result["gradient_cosine_twin_errors"]) > 0.999
    assert result["patches"] == 60 * (10 * 10 + 1)
    assert result["shots_for_them"] < result["patches"]
    assert "120 test" not in result["data"]
    assert "60 are measured" in result["data"]
    assert (folder / "convolution.png").stat().st_size > 10_000


@pytest.mark.slow
def test_tuning_by_light_trains_away_what_is_wrong_with_beams_that_nobody_measured(convolve: Train, tmp_path: Path) -> None:
    code, _, first = convolve("--twin-epochs", "6", "--steps", "1", "--images", "4")
    assert code == 0
    weights = tmp_path / "twin.npz"
    weights.write_bytes((first / "twin.npz").read_bytes())
    code, found, folder = convolve("--believe", "slms", "--steps", "30", "--weights", str(weights))
    result = found["result"]
    assert code == 0
    assert f"weights are those of {weights}" in (folder / "events.log").read_text()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 31))
    losses = [row["loss"] for row in rows]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    assert result["tuned_accuracy"] >= result["measured_accuracy"]
    with np.load(folder / "weights.npz") as kept:
        changed = kept["weights"] != kept["twin"]
    assert changed[:36].all(), "the measured layer"
    assert not changed[36:].any(), "the twin's layers"


@pytest.mark.parametrize("at", [3, 20])
def test_a_run_that_is_interrupted_leaves_its_weights_and_its_record(convolve: Train, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    played, play = [0], Bench.play

    def interrupted(bench: Bench, table: Any) -> Any:
        played[0] += 1
        if played[0] == at:
            raise KeyboardInterrupt
        return play(bench, table)

    monkeypatch.setattr(Bench, "play", interrupted)
    code, found, folder = convolve("--steps", "20")
    assert (code, found["status"]) == (130, "interrupted")
    assert (folder / "record.sqlite").exists()
    with np.load(folder / "weights.npz") as kept:
        assert np.isfinite(kept["weights"]).all()
        assert kept["weights"].shape == (36 + 6 * 100 + 18,)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--layers", "3"], "at most 2 layers by light"),
        (["--layers", "0"], "--layers 0: more than 0 is wanted"),
        (["--network", "10x10-3x3x4-pool-6-3"], "needs 12x12-...-3: images of that size, an output a class"),
        (["--network", "12x12-13x13x4-6-3"], "a 13 x 13 convolution needs an image of at least that size"),
        (["--weights", "none.npz"], "--weights none.npz: not an .npz file with an array `weights`"),
        (["--white", "-1"], "--white -1.0: more than 0 is wanted"),
        (["--steps", "-1"], "--steps -1: at least 0"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_opened(convolve: Train, options: list[str], told: str) -> None:
    code, error, _ = convolve(*options)
    assert code != 0
    assert told in str(error)


def test_a_bench_that_is_too_small_is_refused_with_both_sizes(convolve: Train, tmp_path: Path) -> None:
    from procedures.benches import vapour_cell

    file = tmp_path / "small.toml"
    file.write_text(vapour_cell((9, 3, 3)))
    code, found, _ = convolve("--bench", str(file), "--steps", "0")
    assert code != 0
    assert "layers 9-3-3; the matrices need 9 input beams and 4 neurons or more" in str(found)
