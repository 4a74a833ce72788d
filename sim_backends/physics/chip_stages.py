"""Stages of a photonic chip: meshes, amplifiers, and detections whose result is sent in again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sim_backends.physics.coupler_laws import AmplifierLaw, CouplerLaw
from sim_backends.physics.couplers import Array
from sim_backends.physics.meshes import Mesh

Saturate = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class MeshStage:
    """A mesh; its first `outputs` ports go on (all of them for None)."""

    mesh: Mesh
    law: CouplerLaw
    outputs: int | None = None

    @property
    def inputs(self) -> int:
        return self.mesh.ports

    @property
    def kept(self) -> int:
        return self.mesh.ports if self.outputs is None else self.outputs

    @property
    def count(self) -> int:
        return self.mesh.count

    @property
    def width(self) -> int:
        """Parameters of an element."""
        return self.law.parameters

    def blocks(self, index: Array, values: Array) -> Array:
        """(..., 2, 2) of the elements `index` at `values` (..., width)."""
        return self.law.blocks(index, values if self.width > 1 else values[..., 0])

    def derivatives(self, index: Array, values: Array) -> tuple[Array, ...]:
        return self.law.derivatives(index, values if self.width > 1 else values[..., 0])

    def forward(self, parts: Sequence[Array], fields: Array, seen: Array | None = None) -> Array:
        self.mesh.forward(parts, fields, seen)
        return fields[: self.kept]

    def backward(self, parts: Sequence[Array], fields: Array, seen: Array | None = None) -> Array:
        whole = np.zeros((self.inputs, *fields.shape[1:]), fields.dtype)
        whole[: self.kept] = fields
        self.mesh.backward(parts, whole, seen)
        return whole


@dataclass(frozen=True)
class AmplifierStage:
    """An amplifier in every guide.

    Attributes:
        count: guides. law: factors on weak fields.
        saturate: of (fields behind unsaturated sections (R, B, n), factors on weak fields (R or 1, 1, n)) -> fields (R, B, n);
            may work in place. None for linear sections.
    """

    count: int
    law: AmplifierLaw
    saturate: Saturate | None = None
    width: ClassVar[int] = 1

    @property
    def inputs(self) -> int:
        return self.count

    @property
    def kept(self) -> int:
        return self.count

    def blocks(self, index: Array, values: Array) -> Array:
        return _alone(self.law.factors(index, values[..., 0]))

    def derivatives(self, index: Array, values: Array) -> tuple[Array, ...]:
        return (_alone(self.law.derivatives(index, values[..., 0])),)

    def forward(self, parts: Sequence[Array], fields: Array, seen: Array | None = None) -> Array:
        if seen is not None:
            seen[:, 0], seen[:, 1] = fields, 0
        fields *= parts[0]
        return fields

    backward = forward


@dataclass(frozen=True)
class Detection:
    """`count` fields are measured and what the callback makes of them is sent in again, as `reinjected` fields."""

    count: int
    reinjected: int


def _alone(factors: Array) -> Array:
    out = np.zeros((2, 2, *factors.shape), factors.dtype)
    out[0, 0] = factors
    return np.moveaxis(out, (0, 1), (-2, -1))
