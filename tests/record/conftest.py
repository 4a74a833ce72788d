"""A small bench, something to play on it, and a recorder that watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from labonn.bench import Bench
from labonn.record.recorder import Recorder
from labonn.shots import ShotTable
from procedures.benches import vapour_cell

SIZES = (16, 8, 4)
Play = Callable[[Bench, int], None]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    file = tmp_path / "small.toml"
    file.write_text(vapour_cell(SIZES), encoding="utf-8")
    with Bench.open(file, dry_run=True) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a run."""
    made = tmp_path / "20260101T120000Z-train_x"
    made.mkdir()
    return made


@pytest.fixture
def recorder(bench: Bench, folder: Path) -> Iterator[Recorder]:
    made = Recorder(folder, bench, {"procedure": "train_x", "seed": 3})
    bench.observer = made
    yield made
    bench.observer = None
    made.close()


@pytest.fixture
def play() -> Play:
    """Plays a table of three shots with weights of some amplitude, in per mille."""

    def played(bench: Bench, amplitude: int) -> None:
        weights = np.full((1, SIZES[0] * SIZES[1]), 1e-3 * amplitude, np.float32)
        bench.play(ShotTable({"weights1": weights, "input": np.zeros((3, SIZES[0]))}, {"input": np.arange(3)}, 1e-5, ("forward_in",)))

    return played
