"""Cells as light meets them: absorbers whose beams differ, are wider in the middle than at the edge, scatter, or do not arrive at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sim_backends.physics.absorbers import transmission
from sim_backends.physics.arrays import Floats, require
from sim_backends.physics.noise import Noise

RINGS = 24


@dataclass(frozen=True)
class CellSettings:
    """What is beside the law of absorption; nothing, unless a bench file says so.

    Attributes:
        scatter: rms of the field that reaches a tap behind a cell without having been absorbed, as a part of the field before it.
        saturation_spread: relative standard deviation of the saturation field, beam to beam.
        gaussian: whether beams are Gaussian: their middle saturates first, and a detector sees the mean over its own, equal mode.
        empty: whether there is no vapour in the cells, so that all of their light passes.
        blocked: beams (over all cells) that are blocked before their cell. dead: detectors behind the cells that see nothing.
    """

    scatter: float = 0.0
    saturation_spread: float = 0.0
    gaussian: bool = False
    empty: bool = False
    blocked: tuple[int, ...] = ()
    dead: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require(self, 0, 0.1, "scatter")
        require(self, 0, 0.3, "saturation_spread")

    @classmethod
    def ideal(cls) -> CellSettings:
        """All beams alike and open, and nothing scattered."""
        return cls()


class Cells:
    """The beams of H cells, `beams` (H,) of them in each.

    Attributes:
        saturation: of each cell (C,) true saturation fields. scattered: of each cell (C,) true parts that are not absorbed.
    """

    def __init__(self, model: str, beams: tuple[int, ...], settings: CellSettings, noise: Noise) -> None:
        total = sum(beams)
        wrong = [beam for beam in (*settings.blocked, *settings.dead) if not 0 <= beam < total]
        if wrong:
            raise ValueError(f"blocked, dead: there is no beam {wrong[0]}; there are {total}")
        edges = np.cumsum(beams)[:-1]
        spread, scatter = (noise.child(name).normal(total, np.float64) for name in ("saturation", "scatter"))
        self._model, self._settings = model, settings
        self._plain = not (settings.saturation_spread or settings.scatter or settings.gaussian)
        self.saturation = np.split(1 + settings.saturation_spread * spread, edges)
        self.scattered = np.split(settings.scatter * scatter, edges)
        self._blocked, self._dead = (
            [np.flatnonzero(part) for part in np.split(np.isin(np.arange(total), broken), edges)]
            for broken in (settings.blocked, settings.dead)
        )
        nodes, weights = np.polynomial.legendre.leggauss(RINGS)
        self._rings = list(zip(np.sqrt(0.5 * (nodes + 1)), 0.5 * weights, strict=True))

    def block(self, index: int, field: Floats) -> None:
        """Take the light of blocked beams out of fields (T, C) before cell `index`, in place."""
        if self._blocked[index].size:
            field[:, self._blocked[index]] = 0

    def seen(self, fields: list[Floats]) -> list[Floats]:
        """What detectors behind the cells see of fields (T, C) of every cell."""
        if not self._settings.dead:
            return fields
        shown = [field.copy() for field in fields]
        for field, dead in zip(shown, self._dead, strict=True):
            field[:, dead] = 0
        return shown

    def transmission(self, index: int, field: Floats, depth: ArrayLike) -> Floats:
        """(T, C) of fields (T, C) before cell `index`, scattered light included."""
        if self._plain:
            return transmission(self._model, field, depth)
        inner = field / self.saturation[index].astype(field.dtype)
        if not self._settings.gaussian:
            t = transmission(self._model, inner, depth)
        else:
            t = np.zeros_like(inner)
            for part, weight in self._rings:
                t += field.dtype.type(weight) * transmission(self._model, inner * field.dtype.type(part), depth)
        return np.asarray(t + self.scattered[index].astype(field.dtype))
