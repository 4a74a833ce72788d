"""Power and speed of an optical network with saturable absorbers, by the formulas of Guo et al. (2021), App. C."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import constants


@dataclass(frozen=True)
class Line:
    """An atomic line. wavelength_m: in vacuum. linewidth_hz: natural, full width."""

    wavelength_m: float
    linewidth_hz: float

    @property
    def decay_per_s(self) -> float:
        """Gamma; its inverse is the lifetime of the excited state."""
        return 2 * math.pi * self.linewidth_hz

    @property
    def saturation_w_m2(self) -> float:
        """hbar omega Gamma / (2 sigma0), sigma0 = 3 lambda^2 / (2 pi) (Eq. C1)."""
        photon_j = constants.h * constants.c / self.wavelength_m
        return photon_j * self.decay_per_s * math.pi / (3 * self.wavelength_m**2)


RB87_D2 = Line(780.241_209_686e-9, 6.0666e6)  # D. A. Steck, Rubidium 87 D line data


@dataclass(frozen=True)
class Budget:
    """A network of layers with `units` neurons each.

    Attributes:
        waist_m: radius of a neuron's beam. modulator_hz: how often inputs change.
    """

    units: int = 1000
    waist_m: float = 100e-6
    modulator_hz: float = 10e9
    line: Line = RB87_D2

    @property
    def neuron_w(self) -> float:
        """Power that saturates a neuron: over pi w0^2, as the paper's 500 nW."""
        return self.line.saturation_w_m2 * math.pi * self.waist_m**2

    @property
    def layer_w(self) -> float:
        """Of all neurons of a layer."""
        return self.units * self.neuron_w

    @property
    def pass_s(self) -> float:
        """Shortest pulse that saturates: the excited state's lifetime."""
        return 1 / self.line.decay_per_s

    @property
    def pass_j(self) -> float:
        """A forward pass through a layer."""
        return self.layer_w * self.pass_s

    @property
    def operation_j(self) -> float:
        """A multiply-accumulate: N^2 of them in a pass."""
        return self.pass_j / self.units**2

    @property
    def operations_per_s(self) -> float:
        """At the speed of the modulators."""
        return self.units**2 * self.modulator_hz

    @property
    def atoms_operations_per_s(self) -> float:
        """At the speed of the atoms: a pass a lifetime."""
        return self.units**2 / self.pass_s
