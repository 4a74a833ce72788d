"""What is believed of a bench with one mesh of interferometers before it is measured: its layout, nominal heaters, light and detectors."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from labonn.benchfile import BenchFile, dataclass_from, unknown_keys
from labonn.curves import Heater
from labonn.errors import BenchFileError
from labonn.meshes import LAYOUTS, Layout, Mesh
from labonn.optics import Modulator
from labonn.shots import Ints

FEWEST = 2


@dataclass(frozen=True)
class MeshSize:
    """The [nominal.mesh] table: ports of the mesh, its layout, and volts that one fully open beam makes in one output."""

    ports: int = 8
    layout: str = "triangular"
    volts: float = 0.8

    def __post_init__(self) -> None:
        if self.ports < FEWEST or self.layout not in LAYOUTS or not 0 < self.volts < np.inf:
            told = f"at least {FEWEST}; {', '.join(LAYOUTS)}; positive"
            raise ValueError(f"ports = {self.ports}, layout = {self.layout!r}, volts = {self.volts:g}: allowed are {told}")


@dataclass(frozen=True)
class MeshDesign:
    """All that is believed. Heaters are numbered in the order of the couplers, theta and phi of each side by side.

    Attributes:
        size, heater, modulator: nominal numbers.
    """

    size: MeshSize = field(default_factory=MeshSize)
    heater: Heater = field(default_factory=Heater)
    modulator: Modulator = field(default_factory=Modulator)

    @classmethod
    def of(cls, file: BenchFile) -> MeshDesign:
        """Of a bench file's [nominal] tables mesh, heater and modulator; what it leaves out has the defaults.

        Raises:
            BenchFileError: no [nominal.mesh], unknown keys or wrong values.
        """
        parts: dict[str, Any] = {"mesh": MeshSize, "heater": Heater, "modulator": Modulator}
        problems = unknown_keys(file.nominal, [*parts], "nominal.")
        if "mesh" not in file.nominal:
            problems.append("nominal.mesh: missing; it says how many ports the mesh has")
        if problems:
            raise BenchFileError("\n".join(f"{file.name}: {problem}" for problem in problems))
        made = [dataclass_from(part, file.nominal.get(key, {}), f"{file.name}: nominal.{key}") for key, part in parts.items()]
        return cls(*made)

    @property
    def ports(self) -> int:
        """N."""
        return self.size.ports

    @property
    def layout(self) -> Layout:
        """Upper ports of the couplers of each column."""
        return LAYOUTS[self.size.layout](self.size.ports)

    @cached_property
    def mesh(self) -> Mesh:
        """N(N-1)/2 couplers."""
        return Mesh(self.ports, self.layout)

    @property
    def couplers(self) -> int:
        """K."""
        return self.mesh.count

    @cached_property
    def names(self) -> tuple[str, ...]:
        """(2 K,) such as "c3/i4/theta": of the coupler in column 3 between ports 4 and 5."""
        at = zip(self.mesh.columns, self.mesh.tops, strict=True)
        return tuple(f"c{c}/i{i}/{kind}" for c, i in at for kind in ("theta", "phi"))

    @cached_property
    def places(self) -> Ints:
        """(2 K, 3) column, row, and 0 for theta or 1 for phi, of every heater."""
        columns, tops = np.repeat(self.mesh.columns, 2), np.repeat(self.mesh.tops, 2)
        return np.stack([columns, tops, np.tile([0, 1], self.couplers)], axis=1)

    def row(self, number: int) -> Ints:
        """Couplers of a row of a triangular mesh: the diagonal that gathers its light in output N-1-number, in the order of the light."""
        wanted = [(2 * number + k, k) for k in range(self.ports - 1 - number)]
        at = {(int(c), int(i)): k for k, (c, i) in enumerate(zip(self.mesh.columns, self.mesh.tops, strict=True))}
        return np.array([at[place] for place in wanted])
