"""How settings run through a chip, a block of settings at a time that the processor's cache can hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike

from sim_backends.physics.chip_emission import Emission
from sim_backends.physics.chip_stages import AmplifierStage, Detection
from sim_backends.physics.chip_stretch import Stretch
from sim_backends.physics.couplers import Array
from sim_backends.physics.drives import Dense, Edits, Sparse
from sim_backends.physics.perturbations import Perturbed

Hidden = Callable[[Array, slice], Array]


@dataclass(frozen=True)
class Saturation:
    """What strong light takes off the gain of an amplifier, whose parameters are `channels` of the chip's vector."""

    stage: AmplifierStage
    channels: slice

    def factors(self, values: Array) -> Array:
        """(R, 1, n) factors on weak fields at values (R, n)."""
        return self.stage.law.factors(np.arange(self.stage.count), values)[:, None, :]

    def apply(self, fields: Array, values: Array) -> Array:
        """Fields (R, B, n) behind the section at values (R or 1, n)."""
        assert self.stage.saturate is not None
        factors = self.factors(values)
        kind = fields.dtype if np.iscomplexobj(factors) else fields.real.dtype
        return np.asarray(self.stage.saturate(fields, factors.astype(kind)), fields.dtype)


Node = Stretch | Saturation | Detection


class Run(Protocol):
    """One drive on its way through a chip. `block` is how many settings fit into a call."""

    block: int

    def play(self, rows: slice, hidden: Sequence[Hidden]) -> Array:
        """(R, B, n_out) fields at the outputs."""


def detected(fields: Array, node: Detection, hidden: Hidden, rows: slice, dtype: DTypeLike) -> Array:
    """What comes back from detection."""
    back = np.ascontiguousarray(hidden(fields, rows), dtype)
    wanted = (*fields.shape[:2], node.reinjected)
    if back.shape != wanted:
        raise ValueError(f"the hidden layer returned {back.shape} for {fields.shape}; {wanted} go on")
    return back


class DenseRun:
    """Matrices of every stretch at every setting."""

    def __init__(self, nodes: Sequence[Node], drive: Dense, x: Array, emission: Sequence[Emission | None], cache: int) -> None:
        self._nodes, self._values, self._x, self._emission = nodes, drive.values, x, emission
        stretches = [node for node in nodes if isinstance(node, Stretch)]
        most = max(min(s.inputs, s.outputs) * max(stage.inputs for stage in s.stages) for s in stretches)
        light = len(x) * max(max(s.inputs, s.outputs) for s in stretches)
        self.block = max(16, cache // (x.itemsize * max(most, light // 4)) // 16 * 16)

    def play(self, rows: slice, hidden: Sequence[Hidden]) -> Array:
        fields, layer = self._x, 0
        for node, emission in zip(self._nodes, self._emission, strict=True):
            if isinstance(node, Stretch):
                fields = self._advance(node, fields, rows)
            elif isinstance(node, Saturation):
                fields = node.apply(fields, self._values[rows, node.channels])
            else:
                fields, layer = detected(fields, node, hidden[layer], rows, self._x.dtype), layer + 1
            if emission is not None:
                emission.add(fields)
        return fields

    def _advance(self, stretch: Stretch, fields: Array, rows: slice) -> Array:
        settings = self._values[rows, stretch.channels].astype(fields.real.dtype, copy=False)
        matrices = stretch.matrices(settings, fields.dtype)
        if fields.ndim == 2:
            flat = fields @ matrices.reshape(len(matrices), -1)
            return np.ascontiguousarray(flat.reshape(len(fields), stretch.outputs, -1).transpose(2, 0, 1))
        return np.asarray(np.matmul(fields, np.ascontiguousarray(matrices.transpose(2, 0, 1))))


@dataclass
class _Light:
    """Fields of a block of settings: `own` (R, B, n) of those numbered `at`, and the base's (B, n) for all others."""

    base: Array | None
    at: Array
    own: Array | None

    def all(self, count: int) -> Array:
        """(count, B, n)."""
        if self.own is not None and len(self.at) == count:
            return self.own
        assert self.base is not None
        fields = np.empty((count, *self.base.shape), self.base.dtype)
        fields[:] = self.base
        if self.own is not None:
            fields[self.at] = self.own
        return fields


class SparseRun:
    """Updates of rank two of the base; settings share the base's light up to the first stretch that they change."""

    def __init__(self, nodes: Sequence[Node], drive: Sparse, x: Array, emission: Sequence[Emission | None], cache: int) -> None:
        self._nodes, self._edits, self._x, self._emission = nodes, Edits(drive), x, emission
        self._plans: list[Perturbed | None] = []
        self._shared: list[Array | None] = []  # fields of the base behind every node, while settings have them in common
        widest = max(node.outputs for node in nodes if isinstance(node, Stretch))
        self.block = max(16, cache // (len(x) * widest * x.itemsize))
        base: Array | None = x
        for node, drawn in zip(nodes, emission, strict=True):
            plan = Perturbed(node, self._edits, x.dtype, base) if isinstance(node, Stretch) else None
            if plan is not None and base is not None:
                base = plan.shared.whole
            elif isinstance(node, Saturation) and base is not None:
                base = node.apply(base[None].copy(), self._edits.base[None, node.channels])[0]
            else:
                base = None
            self._plans.append(plan)
            self._shared.append(base)
            base = None if drawn is not None else base

    def play(self, rows: slice, hidden: Sequence[Hidden]) -> Array:
        count, layer = rows.stop - rows.start, 0
        light = _Light(self._x, np.empty(0, np.int64), None)
        for number, (node, plan) in enumerate(zip(self._nodes, self._plans, strict=True)):
            if plan is not None:
                light = _advance(plan, light, rows)
            elif isinstance(node, Saturation):
                light = self._saturated(node, light, rows)
            elif isinstance(node, Detection):
                fields, layer = detected(light.all(count), node, hidden[layer], rows, self._x.dtype), layer + 1
                light = _Light(None, np.arange(count), fields)
            light.base = self._shared[number]
            emission = self._emission[number]
            if emission is not None:
                light = _Light(None, np.arange(count), light.all(count))
                emission.add(light.all(count))
        return light.all(count)

    def _saturated(self, node: Saturation, light: _Light, rows: slice) -> _Light:
        if light.own is None:
            return light
        named = light.at + rows.start
        values = self._edits.settings(named, node.channels)
        if self._edits.crosstalk is not None:
            values += self._edits.crosstalk[named][:, node.channels].toarray()
        return _Light(light.base, light.at, node.apply(light.own, values))


def _advance(plan: Perturbed, light: _Light, rows: slice) -> _Light:
    first, last = plan.between(rows)
    here = plan.rows[first:last] - rows.start
    if light.own is None:
        return _Light(None, here, plan.fields(slice(first, last)) if len(here) else None)
    if len(here) == len(light.at) == rows.stop - rows.start:
        return _Light(None, here, np.matmul(light.own, plan.matrices(slice(first, last))))
    passed = _times(light.own, plan.unit.whole)
    both, mine, theirs = np.intersect1d(light.at, here, assume_unique=True, return_indices=True)
    if len(both):
        passed[mine] = np.matmul(light.own[mine], plan.matrices(first + theirs))
    if len(both) == len(here):
        return _Light(None, light.at, passed)
    fresh = np.setdiff1d(np.arange(len(here)), theirs)
    at = np.union1d(light.at, here)
    own = np.empty((len(at), *passed.shape[1:]), passed.dtype)
    own[np.searchsorted(at, light.at)] = passed
    own[np.searchsorted(at, here[fresh])] = plan.fields(first + fresh)
    return _Light(None, at, own)


def _times(fields: Array, matrix: Array) -> Array:
    """(R, B, n) fields times one matrix, as one product."""
    return np.asarray((fields.reshape(-1, fields.shape[-1]) @ matrix).reshape(*fields.shape[:2], -1))
