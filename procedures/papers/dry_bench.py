"""A vapour bench for a job: opened dry, warm, its SLMs as well known as its light allows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from labonn.bench import Bench
from labonn.layers import layers_of
from labonn.network import Network
from labonn.optics import Optics
from labonn.response import correct_slms
from labonn.training import warm_up
from procedures.benches import vapour_cell


@contextmanager
def dry_bench(sizes: Sequence[int], seed: int, ideal: bool) -> Iterator[Bench]:
    """A simulated vapour bench of these layers.

    Args:
        seed: of its hidden truths. ideal: without imperfections.
    """
    with tempfile.TemporaryDirectory(prefix="labonn-") as folder:
        path = Path(folder, "bench.toml")
        path.write_text(vapour_cell(sizes), encoding="utf-8")
        bench = Bench.open(path, dry_run=True, ideal=ideal, seed=seed)
        try:
            yield bench
        finally:
            bench.close()


def warm_network(bench: Bench, depth: float, dwell_s: float = 5e-5) -> Network:
    """The network of an open bench, ovens at that optical depth; where SLMs do not show what they are told, that is measured first."""
    layers = layers_of(bench.ports, bench.specs, bench.file.name)
    shown = [bench.ports[port].shown for port in layers.weights()]
    network = Network(layers, Optics.of(bench.file), bench.specs, depth, dwell_s, shown=shown)
    correct_slms(bench.ports, bench.specs, bench.run(warm_up(network)))
    return network
