"""A trained chip is shown images with noise on its parameters."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labonn
from labonn.chip_noise import perturbed
from labonn.errors import ProcedureError
from labonn.reproduce import Choices
from labonn.sweeps import Task
from procedures.papers import ptonn, ptonn_fig4a
from procedures.papers.ptonn_work import trained_and_shaken
from procedures.perturb_chip import another_chip


def test_noise_has_its_strength_and_leaves_the_others_alone() -> None:
    theta, some = np.linspace(-0.1, 0.1, 2000), np.arange(2000) >= 500
    moved = perturbed(theta, some, 0.03, 20, 5) - theta
    assert np.all(moved[:, ~some] == 0)
    assert moved[:, some].std() == pytest.approx(0.03, rel=0.02)
    assert abs(moved[:, some].mean()) < 0.001
    np.testing.assert_allclose(perturbed(theta, some, 0.06, 20, 5) - theta, 2 * moved, atol=1e-12)
    assert not np.array_equal(perturbed(theta, some, 0.03, 20, 6) - theta, moved)


def shaken(folder: Path, **options: Any) -> Any:
    np.savez(folder / "trained.npz", best=np.zeros(275))
    how = {"sizes": [16, 10, 10], "start": folder / "trained.npz", "draws": 6, "shown": 64, "sigmas": [0.0, 0.5], **options}
    return labonn.run("perturb_chip", dry_run=True, quiet=True, out=folder / "runs", checkpoint=0, **how)


@pytest.mark.slow
def test_without_noise_all_draws_are_alike_and_with_it_they_are_not(tmp_path: Path) -> None:
    done = shaken(tmp_path, ideal=True)
    arrays = np.load(done.folder / "noise.npz")
    assert arrays["test"].shape == (2, 6)
    assert np.ptp(arrays["test"][0]) == 0 < np.ptp(arrays["test"][1])
    assert done.result["test_accuracy"] == pytest.approx(arrays["test"].mean(axis=1))
    assert done.result["moved_back"][0] == 0 < done.result["moved_back"][1], "half a radian is more than currents reach"
    assert "were beyond what the instruments reach" in (done.folder / "events.log").read_text()
    assert (done.folder / "noise.png").is_file()


@pytest.mark.parametrize(
    ("theirs", "ours", "told"),
    [
        (0, None, "the start was trained with --seed 0, this run is without --seed: another simulated chip"),
        (None, 2, "the start was trained without --seed, this run is with --seed 2: another simulated chip"),
        (2, 2, ""),
        (None, None, ""),
    ],
)
def test_a_start_from_another_simulated_chip_is_told_of(tmp_path: Path, theirs: int | None, ours: int | None, told: str) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({"options": {"seed": theirs}}))
    args = Namespace(start=str(tmp_path / "weights.npz"), seed=ours, dry_run=True)
    assert another_chip(args).startswith(told)
    assert bool(another_chip(args)) == bool(told)
    assert another_chip(Namespace(start="elsewhere.npz", seed=ours, dry_run=True)) == ""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"start": "random"}, "--start random: the chip is to be a trained one"),
        ({"draws": 0}, "--draws 0"),
        ({"sigmas": [-0.1]}, "--sigmas -0.1"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ProcedureError, match=told):
        shaken(tmp_path, **options)


@pytest.mark.slow
def test_a_job_trains_a_chip_and_shows_what_noise_does_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ptonn, "SIGMAS", (0.0, 0.1))
    job = ptonn_fig4a.cases(Choices(quick=True, given={"steps": "20"}))["theta"][0]
    done = trained_and_shaken(Task(job, tmp_path, lambda share, words: None))
    assert done["steps"] == 20
    assert done["noise"]["test_accuracy"][0] == pytest.approx(done["test_accuracy"], abs=0.02)
    assert done["noise"]["test_accuracy"][1] < done["test_accuracy"]
    assert (tmp_path / done["run"] / "weights.npz").is_file()
    assert done["folders"][0] == done["run"]
