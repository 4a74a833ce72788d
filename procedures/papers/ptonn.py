"""What all experiments of Deng & Khajavikhan (2021) share: benches, trainings through the drivers, and how they are told."""

from __future__ import annotations

from typing import Any

from labonn.reproduce import Choices, run_job
from labonn.reproduce.jobs import DATA, WEIGHTS, own_job
from labonn.sweeps import Job

PAPER = "Deng & Khajavikhan 2021"
TRAINED = "procedures.papers.ptonn_work:trained_and_shaken"
STEPS, SECONDS_A_STEP = 1500, 0.13
SIGMAS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1)  # rad, of the noise in Fig. 4b
REAL, IDEAL = "drivers, all imperfections", "drivers, ideal bench"
WHY_BETTER = (
    'The paper\'s images are "subsampled by a factor of 16", which may be every fourth pixel of a row and column; here they are means of '
    "4 x 4 pixels, but where a row says that pixels are picked (ptonn-fig3a has the digital network on both). "
    "How long and at what rate its chips were trained the paper does not say, nor the sigmoid's slope (here 3 for PT chips, 12 for MZI) "
    "and the softmax's scale (here 8). Here Adam makes the steps, and its rate falls to zero."
)
TRAINING_SHOWN = "Training accuracies are of the first 5,000 training images (1,000 with --quick), shown on the trained chip."


def steps(choices: Choices) -> int:
    """Of central differences."""
    return int(choices.value("steps", STEPS, 80))


def trained(choices: Choices, title: str, bench: str, **options: Any) -> list[Job]:
    """Trainings by central differences as the paper has them, one a seed; then the chip is shown again with noise on its parameters."""
    chip: dict[str, Any] = {"bench": bench, "data": DATA, **options}
    training = {**chip, "gradient": "central", "steps": steps(choices)}
    shaking = {**chip, "start": WEIGHTS, "sigmas": list(SIGMAS), "draws": 20, "shown": 1000 if choices.quick else 5000}
    cost, images = 10 + SECONDS_A_STEP * steps(choices), choices.images("mnist")
    turns = [["train_chip", training], ["perturb_chip", shaking]]
    return [own_job(TRAINED, title, seed, images=images, cost=cost, steps=turns) for seed in choices.numbers]


def picked(choices: Choices, title: str, bench: str, **options: Any) -> list[Job]:
    """The same on every fourth pixel of a row and column, for few seeds."""
    return few(trained(choices, f"{title}, pixels picked", bench, subsample="pick", **options), choices, "picked_seeds")


def few(jobs: list[Job], choices: Choices, name: str) -> list[Job]:
    """One of them, or as many as `--set NAME=N` or `--seeds` say; a quick look has none."""
    return [] if choices.quick else jobs[: int(choices.value(name, choices.seeds or 1))]


def cheaply(choices: Choices, title: str, bench: str, seconds: float, **options: Any) -> list[Job]:
    """Short trainings of other kinds, one a seed; `seconds` is what one is expected to cost."""
    given = {"bench": bench, "data": DATA, **options}
    return [run_job(title, seed, ("train_chip", given), images=choices.images("mnist"), cost=seconds) for seed in choices.numbers]
