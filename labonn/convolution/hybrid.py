"""A network whose first layers are done by light and the others by the twin: outputs, and gradients of all weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labonn.absorbers import correction, transmission
from labonn.channels import Floats
from labonn.convolution.matrixbench import Behind, MatrixBench, Setting, Tables, pooled_by_reading
from labonn.convolution.patches import pool_matrix, spread_mean
from labonn.convolution.stages import Stage
from labonn.ranging import Ranges
from labonn.shots import Ints
from labonn.twin.networks import Network
from labonn.twin.passes import backward, forward, output_error

Array = NDArray[Any]
POOLS = ("read", "light")
ROOM = 1.05  # full modulation over the largest field, when it is chosen anew
IMAGES = 200  # whose fields before and behind the cells are kept at a time
REST_IMAGES = 64  # that the twin computes together


class Passed(NamedTuple):
    """What went through one stage: light in front of it, and fields at its cells."""

    light: Array
    behind: Behind


class Gradient(NamedTuple):
    """Of a mini-batch.

    Attributes:
        flat: (P,) of the mean loss. loss: the mean loss. outputs: (B, classes).
        passed: what went through each stage. parts: (C, D) of each stage, as measured.
        believed: what they would be for the same errors sent, if the cells did as believed.
    """

    flat: Floats
    loss: float
    outputs: Floats
    passed: list[Passed]
    parts: list[Floats]
    believed: list[Floats]


@dataclass
class Hybrid:
    """A network of the twin, whose first layers `stages` a bench does.

    Attributes:
        twin: layers and sizes. weights: (P,) of all of them. bench: where stages are shown. stages: which (labonn.convolution.stages).
        ranges: of the bench's detectors; None: left alone. white: field of an image's white. derivative: of the cells, in backward light.
        pool: "read": means of the fields that were read. "light": a fixed matrix, for shots of its own.
    """

    twin: Network
    weights: Floats
    bench: MatrixBench
    stages: Sequence[Stage]
    ranges: Ranges | None = None
    white: float = 5.0
    derivative: str = "optical"
    pool: str = "read"
    settings: dict[tuple[str, int], Setting] = field(default_factory=dict)
    _beyond: dict[tuple[str, int], int] = field(default_factory=dict)
    _peaks: dict[tuple[str, int], Mapping[str, Floats]] = field(default_factory=dict)

    @property
    def projected(self) -> int:
        """Weights that were beyond the path gain when their stages were last shown."""
        return sum(self._beyond.values())

    @property
    def matrices(self) -> list[Floats | None]:
        """Views of the weights, one a layer of the twin."""
        return self.twin.split(self.weights)

    @cached_property
    def rest(self) -> Network:
        """What is left for the twin."""
        last = self.stages[-1]
        start = last.rest + bool(last.pool)
        return Network(self.twin.shapes[start], self.twin.layers[start:])

    def _rest_matrices(self, all_of_them: Sequence[Floats | None]) -> list[Floats | None]:
        return list(all_of_them[len(self.twin.layers) - len(self.rest.layers) :])

    def measured(self, images: NDArray[np.uint8], keep: bool = False) -> Tables:
        """Images (B, n) through all stages.

        Returns:
            (light (B, ...) behind the last stage and its pool, Passed of each stage; none of those unless `keep`).
        """
        light: Array = images.reshape(len(images), *self.twin.before)
        passed: list[Passed] = []
        for i, stage in enumerate(self.stages):
            yield from self._take(("layer", i), stage, self._matrix(i), light)
            parts: list[Floats] = []
            kept: list[Behind] = []
            for start in range(0, len(light), IMAGES):
                behind = yield from self.bench.forward(stage, light[start : start + IMAGES])
                if keep:
                    kept.append(behind)
                parts.append(behind.a if self.pool == "light" else pooled_by_reading(behind.a, stage.pool))
            self._widen()
            if keep:
                passed.append(Passed(light, Behind(*map(np.concatenate, zip(*kept, strict=True)))))
            light = np.concatenate(parts)
            if stage.pool and self.pool == "light":
                light = yield from self._pooled(i, stage, light)
        return light, passed

    def outputs(self, images: NDArray[np.uint8]) -> Tables:
        """(B, classes) of images (B, n)."""
        light, _ = yield from self.measured(images)
        return self._digital(light)

    def _digital(self, light: Floats) -> Floats:
        weights, starts = self._rest_matrices(self.matrices), range(0, len(light), REST_IMAGES)
        return np.concatenate([forward(self.rest, weights, _last(light[i : i + REST_IMAGES])).outputs.T for i in starts])

    def gradient(self, images: NDArray[np.uint8], labels: Ints) -> Tables:
        """Forward and backward: errors behind the last stage come from the twin, those of stages from light; returns Gradient.

        Between two stages errors go through the matrix and the pool digitally: a bench of one matrix has no tap in front of it.
        """
        light, passed = yield from self.measured(images, keep=True)
        flat = np.zeros_like(self.weights)
        weights, gradients = self.matrices, self.twin.split(flat)
        trace = forward(self.rest, self._rest_matrices(weights), _last(light))
        outputs = trace.outputs.T.copy()
        error, loss = output_error(trace.outputs, labels, "mse")
        rest, slots = self._rest_matrices(weights), self._rest_matrices(gradients)
        arrived = backward(self.rest, rest, trace, error, slots, self.derivative, through=True)
        assert arrived is not None
        errors = np.moveaxis(arrived, -1, 0)
        parts: list[Floats] = []
        believed: list[Floats] = []
        for i in reversed(range(len(self.stages))):
            stage, weight, slot = self.stages[i], self._matrix(i), gradients[self.stages[i].index]
            assert slot is not None
            errors = spread_mean(errors, stage.pool) if stage.pool else errors
            if len(self.stages) > 1 or self.pool == "light":
                yield from self._take(("layer", i), stage, weight, passed[i].light)
            learnt = yield from self.bench.backward(stage, passed[i].light, errors, self.derivative, all_patches=i > 0)
            self._widen()
            np.copyto(slot, learnt.gradient)
            parts.insert(0, learnt.gradient)
            believed.insert(0, self._believed(i, passed[i], errors))
            if i:
                errors = stage.returned(learnt.deltas @ weight)
        return Gradient(flat, loss / len(labels), outputs, passed, parts, believed)

    def _believed(self, i: int, passed: Passed, errors: Floats) -> Floats:
        """(C, D) of these errors, through the believed cells at the fields that were measured before them."""
        stage, setting = self.stages[i], self.settings["layer", i]
        cell, depth = stage.absorber.cell, stage.absorber.depth
        deltas = errors * transmission(cell, passed.behind.z, depth)
        if self.derivative == "corrected":
            deltas *= correction(cell, passed.behind.z, passed.behind.a, depth)
        rows = stage.seen(passed.light) * self.weights.dtype.type(setting.unit)
        return np.asarray(stage.shot_errors(deltas).T @ rows)

    def _matrix(self, i: int) -> Floats:
        matrix = self.matrices[self.stages[i].index]
        assert matrix is not None
        return matrix

    def _take(self, key: tuple[str, int], stage: Stage, matrix: Floats, light: Array) -> Tables:
        """Show a stage for this light; when it was never shown, or light has outgrown it, measure its levels and choose ranges."""
        setting, fresh = self._setting(key, light)
        beyond = yield from self.bench.show(matrix, setting)
        if fresh:
            if self.ranges:
                self.ranges.widest()
            self._peaks[key] = yield from self.bench.level(stage, light)
            if self.ranges:
                self.ranges.restore()
            beyond = yield from self.bench.show(matrix, setting)
        if self.ranges:
            self.ranges.fit(self._peaks[key])
        self._beyond[key] = beyond

    def _setting(self, key: tuple[str, int], light: Array) -> tuple[Setting, bool]:
        """How it is shown, and whether that is new; images of bytes are in units of white."""
        bytes_ = light.dtype == np.uint8
        setting = self.settings.setdefault(key, Setting(unit=self.white / 255 if bytes_ else 1.0))
        need = self.white if bytes_ else float(np.abs(light).max(initial=0))
        fresh = need > setting.reach
        if fresh:
            setting.reach, setting.level = (need if bytes_ else ROOM * need), 1.0
        return setting, fresh

    def _pooled(self, i: int, stage: Stage, fields: Floats) -> Tables:
        """The pool behind a stage, by light: fields that were read are sent again, a pool's neighbours side by side, through its matrix."""
        pooling = stage.pooling()
        yield from self._take(("pool", i), pooling, pool_matrix(stage.outputs, stage.pool), fields)
        parts: list[Floats] = []
        for start in range(0, len(fields), IMAGES):
            behind = yield from self.bench.forward(pooling, fields[start : start + IMAGES])
            parts.append(behind.z)
        self._widen()
        return np.concatenate(parts)

    def _widen(self) -> None:
        if self.ranges:
            self.ranges.widen()


def _last(light: Floats) -> Floats:
    """Batch last, as the twin has it."""
    return np.ascontiguousarray(np.moveaxis(light, 0, -1))
