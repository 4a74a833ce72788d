"""Small photonic-chip benches, and what their ideal chips would do, from the believed model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.bench import Bench
from labonn.chip_setup import load_memories, measure_dark
from labonn.chip_training import Pictures
from labonn.chips import ChipOptics
from labonn.cli.run import one_blas_thread
from labonn.gradients import OnChip, Slots
from procedures.benches.chips import chip_bench

Array = NDArray[Any]
SMALL = (9, 4, 3)
IMAGES = 6
LIMIT = {"gain": (0.2, 0.7), "heaters": (3.1, 3.1)}  # couplers, amplifiers
one_blas_thread()  # as `labonn run` does


def _same(text: str) -> str:
    return text


@dataclass
class Rig:
    """An open bench with images in its memory, that shows the first of them.

    Attributes:
        theta: parameters to begin with; couplers anywhere, amplifiers at uneven values.
    """

    bench: Bench
    optics: ChipOptics
    objective: OnChip
    pictures: Pictures
    theta: Array

    @property
    def simulated(self) -> Any:
        """The truth behind the links, for tests only."""
        return self.bench._opened.simulated

    @property
    def images(self) -> Array:
        """(B, N0) fields that are shown."""
        return self.pictures.fields[self.objective.rows].astype(np.float64)

    def emulators(self, port: str) -> list[Any]:
        return list(self.simulated.instruments.of(port))

    def run(self, plan: Any) -> Any:
        return self.bench.run(plan)

    def believed(self) -> Any:
        """What the believed chip makes of the images that are shown."""
        return self.optics.model.forward(self.theta, self.images)

    def analytic(self) -> Array:
        """(P,) gradient of the mean loss on the believed chip."""
        objective = self.objective
        slopes = self.optics.slope(self.believed().outputs, objective.labels) / len(objective.rows)
        return np.asarray(self.optics.model.gradient(self.theta, self.images, slopes))

    def error(self, gradient: Array, which: Any = slice(None)) -> float:
        """Largest difference from the analytic gradient, relative to the largest component of that."""
        analytic = self.analytic()
        return float(np.abs(gradient - analytic)[which].max() / np.abs(analytic).max())


PERFECT: dict[str, dict[str, Any]] = {
    "modulators": {
        "v_pi_spread": 0.0, "bias_error_v_pi": 0.0, "bias_walk_v_pi_per_sqrt_h": 0.0, "extinction_db": "inf", "chirp_rad": 0.0,
        "insertion_db": 0.0, "mode_loss": 0.0,
    },
    "detectors": {
        "noisy": "false", "mode_spread": 0.0, "phase_spread_rad": 0.0, "dark_offset_v": 0.0, "dark_walk_v_per_sqrt_h": 0.0,
    },
    "laser": {"power_walk_per_sqrt_h": 0.0, "rin_db_per_hz": "-inf", "phase_walk_rad_per_sqrt_min": 0.0},
    "board": {"bits": 0},
    "sections": {
        "strength_spread": 0.0, "zero_gain_spread": 0.0, "alpha_h": 0.0, "crosstalk": 0.0, "walk_per_sqrt_h": 0.0, "drift_per_h": 0.0,
        "noise_bandwidth_hz": 0.0, "saturation_w": "inf",
    },
    "heaters": {
        "resistance_slope_per_w": 0.0, "phase_error_rad": 0.0, "p_pi_spread": 0.0, "resistance_spread": 0.0, "crosstalk": 0.0,
        "tau_s": 0.0, "walk_rad_per_sqrt_h": 0.0, "drift_rad_per_h": 0.0,
    },
    "splitters": {"error_rad": 0.0},
}  # fmt: skip


def simulated(parts: dict[str, dict[str, Any]], **more: Any) -> str:
    """Lines of the [simulation] table."""
    lines = [f"{key} = {value}" for key, value in more.items()]
    return "\n".join(lines + [f"{part}.{key} = {value}" for part, table in parts.items() for key, value in table.items()]) + "\n"


@pytest.fixture
def perfect() -> Callable[..., dict[str, Any]]:
    """Options of a bench without imperfections but those named, on 64-bit converters: perfect(heaters={"tau_s": 1e-6}, seed=...)."""

    def make(power_drift_per_h: float = 0.0, **changes: dict[str, Any]) -> dict[str, Any]:
        parts = {part: table | changes.get(part, {}) for part, table in PERFECT.items()}
        return {"simulation": simulated(parts, power_drift_per_h=power_drift_per_h), "edit": finest}

    return make


def finest(text: str) -> str:
    """A bench file with converters that round nothing."""
    return text.replace("bits = 16", "bits = 64")


@pytest.fixture
def bench_of(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Opens dry-run benches of chip_bench(name, ...), `edit` applied to the text; closes them afterwards."""
    opened: list[Bench] = []

    def open_bench(
        name: str = "pt_chip", sizes: Sequence[int] = SMALL, *, edit: Callable[[str], str] = _same, ideal: bool = False,
        served: bool = False, seed: int | None = 3, **options: Any,
    ) -> Bench:  # fmt: skip
        path = tmp_path / f"bench{len(opened)}.toml"
        path.write_text(edit(chip_bench(name, sizes, **options)))
        opened.append(Bench.open(path, dry_run=True, ideal=ideal, served=served, seed=seed))
        return opened[-1]

    yield open_bench
    for bench in opened:
        bench.close()


@pytest.fixture
def rig_of(bench_of: Callable[..., Bench]) -> Callable[..., Rig]:
    """A bench as `bench_of` opens it, with random images and parameters."""

    def make(
        name: str = "pt_chip", sizes: Sequence[int] = SMALL, *, images: int = IMAGES, share: float = 0.8, dark: bool = False,
        slots: Slots | None = None, **how: Any,
    ) -> Rig:  # fmt: skip
        bench = bench_of(name, sizes, **how)
        optics = ChipOptics.of(bench.file)
        limit = np.where(optics.amplifiers, *reversed(LIMIT[optics.port]))
        objective = OnChip.of(optics, bench.specs, slots or Slots(1e-6, 0, images), (-limit, limit))
        rng = np.random.default_rng(17)
        rows = np.arange(images)
        pictures = Pictures(rng.random((images, sizes[0])).astype(np.float32), rows % sizes[2], rows, rows, rows)
        theta = objective.lower + (objective.upper - objective.lower) * (0.5 + 0.5 * share * rng.uniform(-1, 1, optics.model.count))
        theta[optics.amplifiers] *= 0.5
        bench.run(load_memories(objective, pictures))
        if dark:
            bench.run(measure_dark(objective))
        objective.show(rows, pictures.labels)
        return Rig(bench, optics, objective, pictures, theta)

    return make
