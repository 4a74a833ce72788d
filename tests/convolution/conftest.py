"""Small benches of one matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convolved import DEPTH
from numpy.typing import NDArray

from labonn.bench import Bench
from labonn.convolution import Hybrid, MatrixBench, bench_sizes, stages_of
from labonn.layers import layers_of
from labonn.network import Network
from labonn.optics import Optics
from labonn.ranging import Ranges
from labonn.response import correct_slms
from labonn.training import measure_dark, warm_up
from labonn.twin import Absorber, network, start_weights
from procedures.benches import vapour_cell

Array = NDArray[Any]
TEXT = "10x10-3x3x4-pool-3x3x5-pool-3"


@dataclass
class Rig:
    """An open, warmed-up bench for the first layers of a network."""

    bench: Bench
    hybrid: Hybrid
    images: Array
    labels: Array
    tables: list[Any] = field(default_factory=list)

    @property
    def pictures(self) -> Array:
        """(B, 1, R, S) fields, white = 5."""
        return np.asarray(self.images.reshape(-1, *self.hybrid.twin.before) * (5 / 255))

    def kernels(self, stage: int) -> Array:
        """(channels, k, k, C) of a convolution."""
        one = self.hybrid.stages[stage]
        matrix = self.hybrid.matrices[one.index]
        assert matrix is not None
        return np.asarray(matrix.reshape(one.outputs, one.kernel, one.kernel, one.before[0]), np.float64)

    def run(self, plan: Any) -> Any:
        """Run a plan; its tables are kept."""
        return self.bench.run(self._watched(plan))

    def _watched(self, plan: Any) -> Any:
        readings = None
        while True:
            try:
                table = plan.send(readings)
            except StopIteration as done:
                return done.value
            self.tables.append(table)
            readings = yield table


@pytest.fixture
def rig_of(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Opens dry-run benches for a network's first `layers`; half of all images' pixels are black."""
    opened: list[Bench] = []

    def make(layers: int = 1, text: str = TEXT, count: int = 6, pool: str = "read", sizes: Any = None, **how: Any) -> Rig:
        twin = network(text, Absorber(DEPTH))
        stages = stages_of(twin, layers)
        path = tmp_path / f"bench{len(opened)}.toml"
        path.write_text(vapour_cell(sizes or bench_sizes(stages, pool == "light")))
        bench = Bench.open(path, dry_run=True, **{"ideal": True, "seed": 3, **how})
        opened.append(bench)
        found = layers_of(bench.ports, bench.specs, "bench.toml")
        shown = [bench.ports[port].shown for port in found.weights()]
        net = Network(found, Optics.of(bench.file), bench.specs, DEPTH, 1e-5, shown=shown)
        correct_slms(bench.ports, bench.specs, bench.run(warm_up(net)))
        ranges = Ranges(bench.ports, bench.specs, found)
        ranges.narrow()
        bench.run(measure_dark(net, 100))
        ranges.widest()
        rng = np.random.default_rng(5)
        images = rng.integers(0, 256, (count, *twin.before)).astype(np.uint8)
        images[:, :, : twin.before[1] // 2] = 0
        weights = start_weights(twin, 2).astype(np.float32) * 2
        hybrid = Hybrid(twin, weights, MatrixBench(net), stages, ranges, pool=pool)
        return Rig(bench, hybrid, images.reshape(count, -1), rng.integers(0, twin.classes, count))

    yield make
    for bench in opened:
        bench.close()
