"""Linear stretches of a photonic chip: meshes and amplifiers between which light only adds up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from sim_backends.physics.chip_stages import AmplifierStage, MeshStage
from sim_backends.physics.couplers import Array
from sim_backends.physics.meshes import entries


@dataclass(frozen=True)
class Response:
    """Light through a stretch at one setting, carried along for m inputs (fields of a batch, or unit fields).

    Attributes:
        before: (E, 2, m) fields that enter every element. whole: (m, n_out) fields at the outputs.
    """

    before: Array
    whole: Array


class Stretch:
    """Linear stages in a row; an element is a coupler or an amplifier (that has its lower entries zero).

    Attributes:
        stages; inputs, outputs: ports. count: E elements. first, parameters: of its channels in the chip's vector.
        element: (P_t,) element of every channel. start, width: (E,) first channel and number of channels of every element.
    """

    def __init__(self, stages: Sequence[MeshStage | AmplifierStage], first: int) -> None:
        self.stages, self.first = tuple(stages), first
        self.inputs, self.outputs = stages[0].inputs, stages[-1].kept
        self.width = np.concatenate([np.full(stage.count, stage.width) for stage in stages])
        self.count, self.parameters = len(self.width), int(self.width.sum())
        self.start = np.cumsum(self.width) - self.width
        self.element = np.repeat(np.arange(self.count), self.width)
        ends = np.cumsum([stage.count for stage in stages])
        self.spans = tuple(slice(int(end) - stage.count, int(end)) for stage, end in zip(stages, ends, strict=True))

    @property
    def channels(self) -> slice:
        """Of this stretch in the chip's vector."""
        return slice(self.first, self.first + self.parameters)

    def blocks(self, elements: Array, values: Array) -> Array:
        """(R, 2, 2) of the named elements at values (R, 2), the second of which counts for elements of two parameters."""
        done: list[Array] = [np.empty((0, 2, 2))]
        order: list[Array] = []
        for stage, span in zip(self.stages, self.spans, strict=True):
            mine = np.flatnonzero((elements >= span.start) & (elements < span.stop))
            if len(mine):
                done.append(stage.blocks(elements[mine] - span.start, values[mine, : stage.width]))
                order.append(mine)
        found = np.concatenate(done)
        out: Array = np.empty_like(found)
        if order:
            out[np.concatenate(order)] = found
        return out

    def own(self, values: Array) -> Array:
        """(E, 2) parameters of every element from values (P_t,); the second repeats the first where there is one."""
        return np.asarray(values[np.stack([self.start, self.start + self.width - 1], axis=1)])

    def derivatives(self, values: Array) -> Array:
        """(P_t, 2, 2) of every parameter's element."""
        out = []
        for stage, span in zip(self.stages, self.spans, strict=True):
            slopes = stage.derivatives(np.arange(stage.count), self.own(values)[span, : stage.width])
            out.append(np.stack(slopes, axis=1).reshape(-1, 2, 2))
        return np.concatenate(out)

    def forward(self, blocks: Array, fields: Array) -> Response:
        """Fields (m, n_in) through the stretch at blocks (E, 2, 2)."""
        carried = np.array(fields.T, blocks.dtype, order="C")
        before = np.empty((self.count, 2, carried.shape[1]), carried.dtype)
        for stage, span in zip(self.stages, self.spans, strict=True):
            carried = stage.forward(entries(blocks[span]), carried, before[span])
        return Response(before, np.ascontiguousarray(carried.T))

    def backward(self, blocks: Array, weights: Array) -> tuple[Array, Array]:
        """Weights (m, n_out) at the outputs, carried to the inputs: (E, 2, m) behind every element, and (m, n_in)."""
        carried = np.array(weights.T, blocks.dtype, order="C")
        behind = np.empty((self.count, 2, carried.shape[1]), carried.dtype)
        for stage, span in zip(reversed(self.stages), reversed(self.spans), strict=True):
            carried = stage.backward(entries(blocks[span]), carried, behind[span])
        return behind, np.ascontiguousarray(carried.T)

    def matrices(self, values: Array, dtype: DTypeLike) -> Array:
        """(n_in, n_out, R): outputs for unit inputs, for each of the settings `values` (R, P_t)."""
        narrow = self.outputs <= self.inputs
        carried = np.zeros((*(min(self.outputs, self.inputs),) * 2, len(values)), dtype)
        carried[np.arange(len(carried)), np.arange(len(carried))] = 1
        for number in range(len(self.stages))[:: -1 if narrow else 1]:
            stage, span = self.stages[number], self.spans[number]
            mine = slice(int(self.start[span.start]), int(self.start[span.start]) + stage.count * stage.width)
            asked = np.ascontiguousarray(values[:, mine].T).reshape(stage.count, stage.width, -1).swapaxes(1, 2)
            found = checked(stage.blocks(np.arange(stage.count)[:, None], asked), dtype)
            parts = [found[:, None, :, i, j] for i in (0, 1) for j in (0, 1)]
            carried = (stage.backward if narrow else stage.forward)(parts, carried)
        return np.asarray(carried if narrow else carried.swapaxes(0, 1))


def checked(blocks: Array, dtype: DTypeLike) -> Array:
    """The blocks in the dtype of the light."""
    if np.iscomplexobj(blocks) and np.dtype(dtype).kind != "c":
        raise ValueError(f"a law gives complex blocks and the chip's light is {np.dtype(dtype).name}; take a complex dtype")
    return blocks.astype(dtype, copy=False)
