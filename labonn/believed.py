"""The believed photonic chip: mesh, amplifiers, mesh, activation, mesh, amplifiers, mesh; forward, and gradients by reverse mode.

Parameters are one flat vector in the order of the light: couplers of mesh 1a (column by column, top to bottom), amplifiers 1, mesh 1b,
mesh 2a, amplifiers 2, mesh 2b. Behind a mesh 'a' only its first outputs go on. Hidden fields are read by homodyne detection (the real
part), outputs too, or as powers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from labonn.absorbers import derivative, transmission
from labonn.channels import Floats
from labonn.couplers import Coupler
from labonn.errors import ProcedureError
from labonn.meshes import LAYOUTS, Mesh, Numbers, overlaps

ALLOWED = {"layout": tuple(LAYOUTS), "activation": ("sigmoid", "absorber"), "readout": ("homodyne", "intensity")}
PT_RANGE = 0.2, 0.7  # of couplers, the paper's operating point; of amplifiers, what nominal sections reach with 12 mA


class Trace(NamedTuple):
    """(B, n) hidden fields z, what the activation makes of them, and outputs as they are read (fields or powers)."""

    hidden: Floats
    activation: Floats
    outputs: Floats


@dataclass(frozen=True)
class ChipModel:
    """What the trainer believes of a chip; computed in the dtype of the parameters (float32 or float64).

    Attributes:
        sizes: ports of mesh 1a, hidden fields, outputs. coupler: of all meshes. layout: "triangular" or "rectangular" (labonn.meshes).
        activation: "sigmoid", 1/(1 + exp(-slope z)), or "absorber", with the `cell` and optical `depth` of labonn.absorbers.
        gain: of the fixed amplifier in front of every attenuator of a heater chip (PT amplifiers have none: theta 0 is transparent).
        readout: outputs are real parts of fields ("homodyne") or powers ("intensity").
    """

    sizes: tuple[int, int, int] = (49, 20, 10)
    coupler: Coupler = field(default_factory=Coupler)
    layout: str = "triangular"
    activation: str = "sigmoid"
    cell: str = "eq4"
    depth: float = 1.0
    gain: float = 1.0
    slope: float = 1.0
    readout: str = "homodyne"

    def __post_init__(self) -> None:
        if len(self.sizes) != 3 or not self.sizes[0] >= self.sizes[1] >= self.sizes[2] >= 1:
            raise ProcedureError(f"a chip of sizes {self.sizes}; three are wanted, none larger than the one before")
        for name, allowed in ALLOWED.items():
            if getattr(self, name) not in allowed:
                raise ProcedureError(f"a chip with {name} {getattr(self, name)!r}; allowed are {', '.join(allowed)}")
        for name in ("depth", "gain", "slope"):
            if not 0 < getattr(self, name) < np.inf:
                raise ProcedureError(f"a chip with {name} {getattr(self, name):g}; a positive, finite number is wanted")

    @cached_property
    def meshes(self) -> dict[str, Mesh]:
        """1a, 1b, 2a, 2b."""
        n0, n1, n2 = self.sizes
        return {name: Mesh(n, LAYOUTS[self.layout](n)) for name, n in (("1a", n0), ("1b", n1), ("2a", n1), ("2b", n2))}

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Parameters of 1a, amp1, 1b, 2a, amp2, 2b in the vector."""
        per, meshes, slices, first = len(self.coupler.parameters), self.meshes, dict[str, slice](), 0
        for name in ("1a", "amp1", "1b", "2a", "amp2", "2b"):
            count = meshes[name].count * per if name in meshes else self.sizes[int(name[-1])]
            slices[name] = slice(first, first + count)
            first += count
        return slices

    @property
    def count(self) -> int:
        """P, the number of parameters."""
        return int(self.slices["2b"].stop)

    @property
    def couplers(self) -> int:
        """How many couplers all meshes have."""
        return sum(mesh.count for mesh in self.meshes.values())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """(P,) such as "1a/c3/i4" (column 3, ports 4 and 5), "1a/c3/i4/phi", "amp1/7"."""
        per, names = self.coupler.parameters, list[str]()
        for stage in self.slices:
            if stage in self.meshes:
                mesh = self.meshes[stage]
                ends = [f"/{name}" if len(per) > 1 else "" for name in per]
                names += [f"{stage}/c{c}/i{i}{end}" for c, i in zip(mesh.columns, mesh.tops, strict=True) for end in ends]
            else:
                names += [f"{stage}/{i}" for i in range(self.sizes[int(stage[-1])])]
        return tuple(names)

    @cached_property
    def amplifiers(self) -> Any:
        """(P,) bool, which parameters are amplifiers or attenuators."""
        marks = np.zeros(self.count, bool)
        marks[self.slices["amp1"]] = marks[self.slices["amp2"]] = True
        return marks

    def nominal_range(self) -> tuple[Floats, Floats]:
        """(P,) lowest and highest parameters that a nominal instrument is to reach."""
        half = np.where(self.amplifiers, PT_RANGE[1], PT_RANGE[0]) if self.coupler.kind == "pt" else np.full(self.count, np.pi)
        return -half, half

    def random(self, rng: np.random.Generator, limits: tuple[Floats, Floats] | None = None, share: float = 0.5) -> Floats:
        """(P,) float64 parameters, uniform in the middle `share` of the limits (None: the nominal range); PT amplifiers transparent."""
        lower, upper = self.nominal_range() if limits is None else limits
        theta = 0.5 * (lower + upper) + 0.5 * share * (upper - lower) * rng.uniform(-1, 1, self.count)
        return np.where(self.amplifiers, np.clip(0.0, lower, upper), theta) if self.coupler.kind == "pt" else np.asarray(theta)

    def weights(self, theta: Floats) -> tuple[Numbers, Numbers]:
        """(n1, n0) and (n2, n1): what the two layers are as matrices; complex for full MZIs."""
        first, second = (self._layer(theta, layer, False).matrix for layer in (1, 2))
        return first, second

    def forward(self, theta: Floats, inputs: Floats) -> Trace:
        """Images (B, n0) through the chip."""
        first, second = self.weights(theta)
        hidden = inputs.astype(first.real.dtype, copy=False) @ first.real.T
        activation = self.activate(hidden)
        return Trace(hidden, activation, self._read(activation @ second.T))

    def activate(self, hidden: Floats) -> Floats:
        """(…, n1) what goes into the second layer."""
        if self.activation == "absorber":
            return hidden * transmission(self.cell, hidden, self.depth)
        return np.asarray(0.5 + 0.5 * np.tanh((0.5 * self.slope) * hidden))  # the sigmoid, without overflow

    def activate_slope(self, hidden: Floats) -> Floats:
        """(…, n1) derivative of the activation."""
        if self.activation == "absorber":
            return derivative(self.cell, hidden, self.depth)
        value = self.activate(hidden)
        return value * (1 - value) * self.slope

    def gradient(
        self, theta: Floats, inputs: Floats, adjoints: Floats, hidden: Floats | None = None, activation: Floats | None = None
    ) -> Floats:
        """(P,) derivatives of a loss.

        Args:
            inputs: (B, n0). adjoints: (B, n2) derivatives of the loss by every output, from measured outputs where there are some.
            hidden, activation: (B, n1) as measured; None: as believed, the activation from the hidden fields. Measured light forward,
                believed light backward is physics-aware training.
        """
        first, second = (self._layer(theta, layer, True) for layer in (1, 2))
        inputs, back = (values.astype(first.matrix.real.dtype, copy=False) for values in (inputs, adjoints))
        z = inputs @ first.matrix.real.T if hidden is None else np.asarray(hidden, inputs.dtype)
        a = self.activate(z) if activation is None else np.asarray(activation, inputs.dtype)
        by_fields: Numbers = 2 * back * np.conj(a @ second.matrix.T) if self.readout == "intensity" else back
        by_hidden = (by_fields @ second.matrix).real * self.activate_slope(z)
        gradient = np.empty(self.count, inputs.dtype)
        self._pull_back(first, 1, by_hidden.T @ inputs, gradient)
        self._pull_back(second, 2, by_fields.T @ a, gradient)
        return gradient

    def pull_back(self, theta: Floats, by_first: Numbers, by_second: Numbers) -> Floats:
        """(P,) derivatives by the parameters, from those by the two weight matrices (n1, n0) and (n2, n1): dL = Re(sum of G dW)."""
        gradient: Floats = np.empty(self.count, np.float32 if theta.dtype == np.float32 else np.float64)
        for layer, adjoint in ((1, by_first), (2, by_second)):
            self._pull_back(self._layer(theta, layer, True), layer, adjoint, gradient)
        return gradient

    def _read(self, fields: Numbers) -> Floats:
        return np.asarray(fields.real if self.readout == "homodyne" else np.square(np.abs(fields)))

    def amplitude(self, theta: Floats) -> tuple[Floats, Floats]:
        """Factors of amplifiers or attenuators, and their derivatives."""
        if self.coupler.kind == "pt":
            return np.exp(theta), np.exp(theta)
        return self.gain * np.cos(theta / 2), -0.5 * self.gain * np.sin(theta / 2)

    def _layer(self, theta: Floats, layer: int, derivatives: bool) -> _Layer:
        """The matrix of a layer, with the fields that one unit of light at each input makes everywhere inside."""
        if theta.shape != (self.count,):
            raise ProcedureError(f"parameters of shape {theta.shape}; a chip of sizes {self.sizes} has ({self.count},)")
        before, behind = f"{layer}a", f"{layer}b"
        real = np.dtype(np.float32 if theta.dtype == np.float32 else np.float64)
        dtype = np.result_type(real, np.complex64) if self.coupler.kind == "mzi" else real
        made = [self.coupler.blocks(theta[self.slices[name]], derivatives) for name in (before, behind)]
        blocks, changes = ([pair[i].astype(dtype, copy=False) for pair in made] for i in (0, 1))
        factors, slopes = (part.astype(real)[:, None] for part in self.amplitude(theta[self.slices[f"amp{layer}"]]))
        lit, arrived_before = self.meshes[before].forward(blocks[0], np.eye(self.sizes[layer - 1], dtype=dtype))
        lit = lit[: self.sizes[layer]]
        matrix, arrived_behind = self.meshes[behind].forward(blocks[1], factors * lit)
        return _Layer(matrix, blocks, changes, [arrived_before, arrived_behind], lit, factors, slopes)

    def _pull_back(self, made: _Layer, layer: int, adjoint: Numbers, gradient: Floats) -> None:
        """Write the derivatives by the parameters of a layer, from those by its matrix (n_out, n_in)."""
        before, behind = f"{layer}a", f"{layer}b"
        light, sums = self.meshes[behind].backward(made.blocks[1], adjoint)
        gradient[self.slices[behind]] = _by_parameters(made.changes[1], sums, made.arrived[1])
        gradient[self.slices[f"amp{layer}"]] = np.sum((light * made.lit).real, axis=1) * made.slopes[:, 0]
        arriving = np.zeros((self.sizes[layer - 1], light.shape[1]), light.dtype)
        arriving[: len(light)] = made.factors * light
        sums = self.meshes[before].backward(made.blocks[0], arriving)[1]
        gradient[self.slices[before]] = _by_parameters(made.changes[0], sums, made.arrived[0])


class _Layer(NamedTuple):
    """A layer's matrix, and what its derivatives need: for both meshes blocks, their derivatives and fields; fields at the amplifiers."""

    matrix: Numbers
    blocks: list[Numbers]
    changes: list[Numbers]
    arrived: list[Numbers]
    lit: Numbers
    factors: Floats
    slopes: Floats


def _by_parameters(changes: Numbers, adjoints: Numbers, arrived: Numbers) -> Floats:
    """(K D,) derivatives by the couplers' parameters."""
    summed = np.sum(changes * overlaps(adjoints, arrived), axis=(1, 2)).real
    return np.asarray(summed.T.reshape(-1))
