"""Mini-batches through a network of the twin: gathered, cut into parts that fit the cache, shared among threads, summed in one order."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.shots import Ints
from labonn.twin.imperfections import Flaws, mode_scales
from labonn.twin.layers import Convolution, Dropout
from labonn.twin.networks import Network
from labonn.twin.passes import Matrices, backward, forward, output_error
from labonn.twin.recipe import Method
from labonn.twin.room import Room

Images = NDArray[np.uint8]
T = TypeVar("T")
PART = 16  # images of a convolution's part: its patches are 3 MB, and its runs of memory long enough
SHOWN = 512  # images of a part when nothing has to come back and nothing is convolved


class Gradient(NamedTuple):
    """Of one mini-batch.

    Attributes:
        flat: (P,) of the mean loss. loss, hits: the sum of all losses, and how many images were classified right.
    """

    flat: Floats
    loss: float
    hits: int


class Engine:
    """A network at work: its memory, its threads, and the random numbers of its noise and dropout. A context manager.

    A mini-batch is always cut into the same parts, so the results do not depend on the number of threads.

    Args:
        seed: of fixed scales, noise and dropout. batch: largest mini-batch. part: images that are computed together; None: what is fast, 16
            with convolutions, else the batch. threads: that share the parts; more than there are parts of a batch are of no use.
    """

    def __init__(
        self,
        network: Network,
        method: Method,
        seed: int = 0,
        batch: int = 64,
        part: int | None = None,
        threads: int = 1,
        dtype: DTypeLike = np.float32,
    ) -> None:
        convolves = any(isinstance(layer, Convolution) for layer in network.layers)
        self.network, self.method = network, method
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.part = part or (PART if convolves else batch)
        self.shown = self.part if convolves else SHOWN
        count = -(-batch // self.part)
        # a room for each worker, not for each part: what a part leaves in the cache is what the next writes over
        self.rooms = [Room(len(network.layers), dtype) for _ in range(max(1, min(threads, count)))]
        self.flats = [np.zeros(network.count, dtype) for _ in range(count)]
        self.gradients = [network.split(flat) for flat in self.flats]
        self.flaws = self._flaws(seed, count) if method.imperfections.any else None
        drops = any(isinstance(layer, Dropout) and layer.share for layer in network.layers)
        self.dropping = [np.random.default_rng([seed, 4, i]) for i in range(count)] if drops else []
        self.pool = ThreadPoolExecutor(len(self.rooms)) if len(self.rooms) > 1 else None

    def _flaws(self, seed: int, count: int) -> list[Flaws]:
        chosen = self.method.imperfections
        scales = mode_scales(self.network, chosen.deviation, seed, self.dtype)
        return [Flaws(chosen, scales, np.random.default_rng([seed, 3, i])) for i in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.pool:
            self.pool.shutdown()

    def gradient(self, weights: Matrices, images: Images, labels: Ints, rows: Ints) -> Gradient:
        """Of the images `rows`. The gradient is valid until the next call, and may be scribbled over.

        Args:
            weights: one matrix a layer (`Network.split`). images: (N, n) all images. labels: (N,) their classes.

        Raises:
            ProcedureError: more rows than the largest mini-batch.
        """
        shown = self._displayed(weights)
        cuts = range(0, len(rows), self.part)
        if len(cuts) > len(self.flats):
            raise ProcedureError(f"a mini-batch of {len(rows)} images; this engine was made for up to {len(self.flats) * self.part}")

        def one(i: int, room: Room) -> tuple[float, int]:
            mine = rows[cuts[i] : cuts[i] + self.part]
            return self._part(shown, i, images, labels, mine, len(mine) / len(rows), room)

        sums = self._shared(one, len(cuts))
        for other in self.flats[1 : len(cuts)]:
            self.flats[0] += other
        return Gradient(self.flats[0], sum(loss for loss, _ in sums), sum(hits for _, hits in sums))

    def _part(self, weights: Matrices, i: int, images: Images, labels: Ints, rows: Ints, share: float, room: Room) -> tuple[float, int]:
        flaws = self.flaws[i] if self.flaws else None
        dropping = self.dropping[i] if self.dropping else None
        trace = forward(self.network, weights, self._inputs(images, rows, room, flaws), room, flaws, dropping)
        wanted = labels[rows]
        hits = int(np.count_nonzero(trace.outputs.argmax(axis=0) == wanted))
        error, loss = output_error(trace.outputs, wanted, self.method.loss, room)
        if share != 1:
            error *= share
        if flaws:
            flaws.per_error = share / len(rows)
        backward(self.network, weights, trace, error, self.gradients[i], self.method.derivative, room, flaws, self.method.error)
        return loss, hits

    def outputs(self, weights: Matrices, images: Images) -> Floats:
        """(N, N_L) of all images, in their order."""
        shown, found = self._displayed(weights), np.empty((len(images), self.network.classes), self.dtype)
        cuts = range(0, len(images), self.shown)

        def one(i: int, room: Room) -> None:  # every `count`-th cut, so that its noise comes from one generator
            flaws = self.flaws[i] if self.flaws else None
            for start in cuts[i :: len(self.flats)]:
                rows = np.arange(start, min(start + self.shown, len(images)))
                inputs = self._inputs(images, rows, room, flaws)
                found[rows[0] : rows[-1] + 1] = forward(self.network, shown, inputs, room, flaws).outputs.T

        self._shared(one, len(self.flats))
        return found

    def _shared(self, do: Callable[[int, Room], T], count: int) -> list[T]:
        """`do` for the numbers below `count`, each in the room of the worker whose turn it is; the results in order."""
        if not self.pool:
            return [do(i, self.rooms[0]) for i in range(count)]

        def turn(worker: int) -> list[T]:
            return [do(i, self.rooms[worker]) for i in range(worker, count, len(self.rooms))]

        done = list(self.pool.map(turn, range(len(self.rooms))))
        return [done[i % len(self.rooms)][i // len(self.rooms)] for i in range(count)]

    def _inputs(self, images: Images, rows: Ints, room: Room, flaws: Flaws | None) -> Floats:
        """(n, B) or (1, rows, columns, B) fields of some images."""
        shelf, before = room.shelves[-1], self.network.before
        bytes_ = shelf("bytes", (len(rows), images.shape[1]), np.uint8)
        np.take(images, rows, axis=0, out=bytes_, mode="clip")  # with its default mode np.take makes a copy first
        unit = self.dtype.type(self.method.white / 255)
        if len(before) == 1:
            inputs = np.multiply(bytes_, unit, out=shelf("inputs", bytes_.shape)).T
        else:
            inputs = np.multiply(bytes_.T, unit, out=shelf("inputs", bytes_.shape[::-1])).reshape(*before, len(rows))
        return flaws.inputs(inputs) if flaws else inputs

    def _displayed(self, weights: Matrices) -> Matrices:
        """Weights as they are shown."""
        return [w if w is None else self.flaws[0].weights(w) for w in weights] if self.flaws else weights

    def generators(self) -> list[np.random.Generator]:
        """Those of noise and dropout: with them in the same states, the same follows."""
        return [flaw.rng for flaw in self.flaws or ()] + self.dropping
