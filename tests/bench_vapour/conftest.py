"""A small vapour-cell bench, set up for a network, and cells computed independently of the project."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.bench import Bench
from labonn.cli.run import one_blas_thread
from labonn.gradients import Method, Step, backprop
from labonn.layers import layers_of
from labonn.learning import Digits
from labonn.network import Network
from labonn.optics import Optics
from labonn.response import correct_slms
from labonn.training import measure_dark, set_up, warm_up
from procedures.benches import vapour_cell

Array = NDArray[Any]
Edit = Callable[[str], str]
SMALL = (20, 8, 6, 4)
one_blas_thread()  # as `labonn run` does


def _same(text: str) -> str:
    return text


@dataclass
class Rig:
    """An open bench with images in its memory and weights on its SLMs.

    Attributes:
        weights: as commanded. shown: what an ideal bench displays for them: 2**16 codes equally spaced in phase (float64).
        images: (N, N0) fields of all images. labels: their classes.
    """

    bench: Bench
    network: Network
    digits: Digits
    weights: list[Array]
    responses: dict[str, Array] = field(default_factory=dict)

    @property
    def images(self) -> Array:
        return self.digits.images / 255

    @property
    def labels(self) -> Array:
        return self.digits.labels

    @property
    def simulated(self) -> Any:
        """The truth behind the links, for tests only."""
        return self.bench._opened.simulated

    def emulators(self, port: str) -> list[Any]:
        return list(self.simulated.instruments.of(port))

    def step(self, derivative: str, error: str, rows: Array, show: bool = True) -> Step:
        """A measured gradient."""
        network = self.network
        banks = network.fields(self.weights) if show else {}
        inputs: Array = self.images[rows].astype(network.dtype)
        targets: Array = np.eye(network.layers.sizes[-1], dtype=network.dtype)
        return self.bench.run(backprop(network, Method(derivative, error), banks, rows, inputs, targets, self.labels[rows]))

    def outputs(self, rows: Array, weights: Sequence[Array] | None = None) -> Array:
        """(len(rows), N_L) measured outputs, float64."""
        table = self.network.forward(self.network.fields(weights or self.weights), rows, ("output",))
        return self.network.outputs(self.bench.play(table)).astype(np.float64)


def on_codes(weight: Array, gain: float, bits: int = 16) -> Array:
    """`weight` moved to the nearest field of an SLM whose codes are equally spaced in phase: field = -cos(pi code / last)."""
    last = 2**bits - 1
    codes = np.rint(last / np.pi * np.arccos(-np.clip(weight / gain, -1, 1)))
    return np.asarray(-gain * np.cos(np.pi * codes / last))


@pytest.fixture
def rounded_to_codes() -> Callable[..., Array]:
    return on_codes


@pytest.fixture
def cell_transmission() -> Callable[[str, Array, float], Array]:
    """t(E) by integrating the absorption along the cell (Runge-Kutta in log intensity); Eq. 4 as printed."""

    def transmission(cell: str, field_in: Array, depth: float, steps: int = 400) -> Array:
        intensity = np.square(np.asarray(field_in, np.float64))
        if cell in ("eq4", "gain"):
            return np.asarray(np.exp((depth if cell == "gain" else -depth) / 2 / (1 + intensity)))
        power = {"two_level": 1.0, "doppler": 0.5}[cell]

        def slope(x: Array) -> Array:
            return np.asarray(-depth / (1 + np.exp(x)) ** power)

        start = np.log(np.maximum(intensity, 1e-280))
        x, h = start.copy(), 1 / steps
        for _ in range(steps):
            k1 = slope(x)
            k2 = slope(x + h / 2 * k1)
            k3 = slope(x + h / 2 * k2)
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(x + h * k3))
        return np.asarray(np.exp((x - start) / 2))

    return transmission


@pytest.fixture
def bench_of(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Opens dry-run benches, `edit` applied to the text of the bench file; closes them afterwards."""
    opened: list[Bench] = []

    def open_bench(sizes: Sequence[int] = SMALL, cell: str = "eq4", edit: Edit = _same, **how: Any) -> Bench:
        path = tmp_path / f"bench{len(opened)}.toml"
        path.write_text(edit(vapour_cell(sizes, cell)))
        opened.append(Bench.open(path, dry_run=True, **{"seed": 3, **how}))
        return opened[-1]

    yield open_bench
    for bench in opened:
        bench.close()


@pytest.fixture
def rig_of(bench_of: Callable[..., Bench]) -> Callable[..., Rig]:
    """A warmed-up bench with 40 random images and random weights, of standard deviation 2/sqrt(inputs)."""

    def make(sizes: Sequence[int] = SMALL, cell: str = "eq4", depth: float = 4.0, images: int = 40, dark: bool = False, **how: Any) -> Rig:
        bench = bench_of(sizes, cell, **how)
        layers = layers_of(bench.ports, bench.specs, bench.file.name)
        network = Network(layers, Optics.of(bench.file), bench.specs, depth, 1e-5, shown=[bench.ports[p].shown for p in layers.weights()])
        responses = bench.run(warm_up(network))
        correct_slms(bench.ports, bench.specs, responses)
        rng = np.random.default_rng(17)
        pictures = rng.integers(0, 256, (images, sizes[0])).astype(np.uint8)
        labels, third = np.arange(images) % sizes[-1], images // 4
        rows = np.arange(images)
        digits = Digits(pictures, labels, rows[: 2 * third], rows[2 * third : 3 * third], rows[3 * third :])
        drawn = [2 * rng.standard_normal((m, n)) / np.sqrt(n) for n, m in pairwise(sizes)]
        weights = [np.clip(w, -2.5, 2.5).astype(network.dtype) for w in drawn]
        bench.run(set_up(network, digits, weights))
        if dark:
            bench.run(measure_dark(network))
        rig = Rig(bench, network, digits, weights, responses)
        if how.get("ideal"):
            rig.weights = [on_codes(w, g) for w, g in zip(weights, network.gains, strict=True)]
        return rig

    return make


def write_idx(path: Path, array: Array) -> None:
    """An IDX file of unsigned bytes: two zero bytes, type 8, number of dimensions, sizes big-endian, data."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    path.write_bytes(head + array.astype(np.uint8).tobytes())


@pytest.fixture
def stripes(tmp_path: Path) -> Callable[..., Path]:
    """A folder of images of dark noise with a bright bar, upright (class 0) or lying (class 1), anywhere."""

    def make(train: int = 192, test: int = 120, side: int = 10) -> Path:
        folder = tmp_path / f"stripes{side}"
        folder.mkdir()
        rng = np.random.default_rng(8)
        for name, count in (("train", train), ("t10k", test)):
            labels = np.arange(count) % 2
            images = rng.integers(0, 60, (count, side, side))
            bars = rng.integers(0, side, count)
            images[labels == 0, :, bars[labels == 0]] += 180
            images[labels == 1, bars[labels == 1], :] += 180
            write_idx(folder / f"{name}-images-idx3-ubyte", images)
            write_idx(folder / f"{name}-labels-idx1-ubyte", labels)
        return folder

    return make
