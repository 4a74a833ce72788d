"""Trainings for tests that cut them short."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_digits import Cut, write_idx

from labonn.keeping import Keeper


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


@pytest.fixture
def cut_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets trainings fail after a step; 0: never."""
    step, where = Keeper.step, [0]

    def cutting(self: Keeper, number: int) -> None:
        step(self, number)
        if number == where[0]:
            raise Cut

    def choose(number: int) -> None:
        where[0] = number

    monkeypatch.setattr(Keeper, "step", cutting)
    return choose
