"""How well a trained chip still does when its parameters are moved at random (Deng & Khajavikhan 2021, Fig. 4b)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.channels import Floats
from labonn.gradients import OnChip
from labonn.plotting.look import BLUE, ORANGE
from labonn.shots import Ints, Readings, ShotTable

AT_ONCE = 4  # draws in one table


@dataclass(frozen=True)
class Shaken:
    """What came of it.

    Attributes:
        sigmas: (S,) rad. accuracies: name of some images -> (S, draws) shares that were read rightly. moved_back: share of all
            perturbed parameters that were beyond what the instruments reach, and were set at its end.
    """

    sigmas: tuple[float, ...]
    accuracies: Mapping[str, Floats]
    moved_back: Floats


def perturbed(theta: Floats, some: NDArray[np.bool_], sigma: float, draws: int, seed: int) -> Floats:
    """(draws, P) parameters, `some` of them with Gaussian noise; the draws of all sigmas are the same numbers, scaled."""
    noise = np.random.default_rng([seed, 3]).standard_normal((draws, len(theta)))
    return np.asarray(theta + sigma * np.where(some, noise, 0.0))


def shake(
    objective: OnChip, theta: Floats, some: NDArray[np.bool_], sigmas: Sequence[float], draws: int, images: Mapping[str, tuple[Ints, Ints]],
    seed: int, told: Callable[[int, dict[str, float]], None],
) -> Generator[ShotTable, Readings, Shaken]:  # fmt: skip
    """Show images at parameters with noise.

    Args:
        theta: (P,) without it. some: (P,) which parameters get it. images: name -> (rows, labels).
        told: is called after each sigma with its number from 1, and the mean accuracies.
    """
    before, back = (objective.rows, objective.labels), []
    found: dict[str, list[Floats]] = {name: [] for name in images}
    for number, sigma in enumerate(sigmas, start=1):
        wanted = perturbed(theta, some, sigma, draws, seed)
        bank = np.clip(wanted, objective.lower, objective.upper)
        back.append(float(np.mean(bank[:, some] != wanted[:, some])))
        for name, (rows, labels) in images.items():
            objective.show(rows, labels)
            shares = []
            for start in range(0, draws, AT_ONCE):
                outputs = yield from objective.outputs(bank[start : start + AT_ONCE])
                shares.append(np.mean(outputs.argmax(axis=-1) == labels, axis=1))
            found[name].append(np.concatenate(shares))
        told(number, {name: float(np.mean(some[-1])) for name, some in found.items()})
    objective.show(*before)
    return Shaken(tuple(sigmas), {name: np.stack(some) for name, some in found.items()}, np.array(back))


def draw_shaken(axes: Any, sigmas: Sequence[float], accuracies: Mapping[str, Floats]) -> None:
    """Mean accuracies with one standard deviation of the draws, against the noise."""
    for (name, shares), colour in zip(accuracies.items(), (BLUE, ORANGE), strict=False):
        spread = 100 * shares.std(axis=1, ddof=1) if shares.shape[1] > 1 else None
        axes.errorbar(sigmas, 100 * shares.mean(axis=1), spread, color=colour, marker="o", ms=3, capsize=2, label=name)
    axes.set(xlabel="noise on theta, standard deviation (rad)", ylabel="accuracy (%)", ylim=(0, 100))
    axes.legend(frameon=False)


def shaken_figure(shaken: Shaken, path: Path) -> None:
    """Write a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 4.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    draw_shaken(figure.subplots(), shaken.sigmas, shaken.accuracies)
    figure.savefig(path)
