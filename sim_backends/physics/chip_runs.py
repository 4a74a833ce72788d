"""How settings run through a chip, a block of settings at a time that the processor's cache can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
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
    """What comes back from detection; real fields stay real."""
    back = np.ascontiguousarray(hidden(fields, rows))
    back = back.astype(dtype if np.iscomplexobj(back) else np.zeros(0, dtype).real.dtype, copy=False)
    wanted = (*fields.shape[:2], node.reinjected)
    if back.shape != wanted:
        raise ValueError(f"the hidden layer returned {back.shape} for {fields.shape}; {wanted} go on")
    return back


def seen_in_phase(nodes: Sequence[Node], in_phase: bool) -> list[bool]:
    """Behind which nodes only the quadrature in phase counts: stretches in front of detections and of the outputs."""
    ends = [number + 1 == len(nodes) or isinstance(nodes[number + 1], Detection) for number in range(len(nodes))]
    return [in_phase and end and isinstance(node, Stretch) for node, end in zip(nodes, ends, strict=True)]


class DenseRun:
    """Matrices of every stretch at every setting."""

    def __init__(
        self, nodes: Sequence[Node], drive: Dense, x: Array, emission: Sequence[Emission | None], cache: int, in_phase: bool = False
    ) -> None:
        self._nodes, self._values, self._x, self._emission = nodes, drive.values, x, emission
        self._real = seen_in_phase(nodes, in_phase)
        stretches = [node for node in nodes if isinstance(node, Stretch)]
        most = max(min(s.inputs, s.outputs) * max(stage.inputs for stage in s.stages) for s in stretches)
        light = len(x) * max(max(s.inputs, s.outputs) for s in stretches)
        self.block = max(16, cache // (x.itemsize * max(most, light // 4)) // 16 * 16)

    def play(self, rows: slice, hidden: Sequence[Hidden]) -> Array:
        fields, layer = self._x, 0
        for node, emission, real in zip(self._nodes, self._emission, self._real, strict=True):
            if isinstance(node, Stretch):
                fields = self._advance(node, fields, rows, real)
            elif isinstance(node, Saturation):
                fields = node.apply(fields, self._values[rows, node.channels])
            else:
                fields, layer = detected(fields, node, hidden[layer], rows, self._x.dtype), layer + 1
            if emission is not None:
                emission.add(fields)
        return fields

    def _advance(self, stretch: Stretch, fields: Array, rows: slice, real: bool) -> Array:
        settings = self._values[rows, stretch.channels].astype(fields.real.dtype, copy=False)
        matrices = stretch.matrices(settings, self._x.dtype)
        if fields.ndim == 2:
            flat = fields @ matrices.reshape(len(matrices), -1)
            out = flat.reshape(len(fields), stretch.outputs, -1).transpose(2, 0, 1)
            return np.ascontiguousarray(out.real if real else out)
        return times(fields, np.ascontiguousarray(matrices.transpose(2, 0, 1)), real)


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

    def __init__(
        self, nodes: Sequence[Node], drive: Sparse, x: Array, emission: Sequence[Emission | None], cache: int, in_phase: bool = False,
        behind: Mapping[int, Array] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self._nodes, self._edits, self._x, self._emission = nodes, Edits(drive), x, emission
        self._real = seen_in_phase(nodes, in_phase)
        self._plans: list[Perturbed | None] = []
        self._driven: list[Array | None] = []  # (S, n) values of every saturating amplifier
        self._shared: list[Array | None] = []  # fields of the base behind every node, while settings have them in common
        widest = max(node.outputs for node in nodes if isinstance(node, Stretch))
        self.block = max(16, cache // (len(x) * widest * x.itemsize))
        base: Array | None = x
        for number, (node, drawn, real) in enumerate(zip(nodes, emission, self._real, strict=True)):
            plan = Perturbed(node, self._edits, x.dtype, base, behind.get(number)) if isinstance(node, Stretch) else None
            if plan is not None and base is not None:
                base = plan.shared.whole
            elif isinstance(node, Saturation) and base is not None:
                base = node.apply(base[None].copy(), self._edits.base[None, node.channels])[0]
            else:
                base = None
            self._driven.append(self._values(node.channels) if isinstance(node, Saturation) else None)
            self._plans.append(plan)
            base = np.ascontiguousarray(base.real) if real and base is not None else base
            self._shared.append(base)
            base = None if drawn is not None else base

    def play(self, rows: slice, hidden: Sequence[Hidden]) -> Array:
        count, layer = rows.stop - rows.start, 0
        light = _Light(self._x, np.empty(0, np.int64), None)
        for number, (node, plan) in enumerate(zip(self._nodes, self._plans, strict=True)):
            if plan is not None:
                light = _advance(plan, light, rows, self._real[number])
            elif isinstance(node, Saturation):
                driven = self._driven[number]
                assert driven is not None
                light = _saturated(node, light, driven[rows])
            elif isinstance(node, Detection):
                fields, layer = detected(light.all(count), node, hidden[layer], rows, self._x.dtype), layer + 1
                light = _Light(None, np.arange(count), fields)
            light.base = self._shared[number]
            emission = self._emission[number]
            if emission is not None:
                light = _Light(None, np.arange(count), light.all(count))
                emission.add(light.all(count))
        return light.all(count)

    def _values(self, channels: slice) -> Array:
        values = self._edits.settings(np.arange(len(self._edits.values)), channels)
        return values if self._edits.crosstalk is None else values + self._edits.crosstalk[:, channels].toarray()


def _saturated(node: Saturation, light: _Light, values: Array) -> _Light:
    if light.own is None:
        return light
    return _Light(light.base, light.at, node.apply(light.own, values[light.at]))


def _advance(plan: Perturbed, light: _Light, rows: slice, real: bool) -> _Light:
    """Through a stretch; `real`: only the quadrature in phase is wanted behind it."""
    first, last = plan.between(rows)
    here = plan.rows[first:last] - rows.start
    if light.own is None:
        return _Light(None, here, _seen(plan.fields(slice(first, last)), real) if len(here) else None)
    if len(here) == len(light.at) == rows.stop - rows.start:
        return _Light(None, here, times(light.own, plan.matrices(slice(first, last)), real))
    passed = times(light.own, plan.unit.whole, real)
    both, mine, theirs = np.intersect1d(light.at, here, assume_unique=True, return_indices=True)
    if len(both):
        passed[mine] = times(light.own[mine], plan.matrices(first + theirs), real)
    if len(both) == len(here):
        return _Light(None, light.at, passed)
    fresh = np.setdiff1d(np.arange(len(here)), theirs)
    at = np.union1d(light.at, here)
    own = np.empty((len(at), *passed.shape[1:]), passed.dtype)
    own[np.searchsorted(at, light.at)] = passed
    own[np.searchsorted(at, here[fresh])] = _seen(plan.fields(first + fresh), real)
    return _Light(None, at, own)


def _seen(fields: Array, real: bool) -> Array:
    return fields.real if real else fields


def times(fields: Array, matrices: Array, real: bool = False) -> Array:
    """(R, B, n) fields times one matrix (n, m) or one a setting (R, n, m); `real`: the real part of that, without making the other.

    Complex fields or matrices next to real ones take part as pairs of real numbers, at half of the price.
    """
    kind = matrices.dtype
    if np.iscomplexobj(matrices) and real and np.iscomplexobj(fields):
        fields = fields.view(fields.real.dtype)
        matrices = np.stack([matrices.real, -matrices.imag], axis=-2).reshape(*matrices.shape[:-2], fields.shape[-1], matrices.shape[-1])
    elif np.iscomplexobj(matrices) and not np.iscomplexobj(fields):
        matrices = matrices.real if real else np.ascontiguousarray(matrices).view(fields.dtype)
    if matrices.ndim == 2:
        out = (fields.reshape(-1, fields.shape[-1]) @ matrices).reshape(*fields.shape[:2], -1)
    else:
        out = np.matmul(fields, matrices)
    return np.asarray(out if real or out.dtype == kind else out.view(kind))
