"""What one PT-symmetric coupler and one heater take, by formulas from named inputs (Deng & Khajavikhan 2021, Sec. 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from labonn.meshes import triangular

PLANCK_J_S, LIGHT_M_PER_S, CHARGE_C = 6.62607015e-34, 299792458.0, 1.602176634e-19


@dataclass(frozen=True)
class CouplerBudget:
    """Inputs, all the paper's.

    Attributes:
        kappa_per_m: coupling. coupler_m: length z, so that kappa z = 1. signal_w: light at the input. wavelength_m: of the light.
        heater_w: of a phase of pi. heater_m: a heater's length ("a few hundreds of micrometers").
    """

    kappa_per_m: float = 4e4
    coupler_m: float = 25e-6
    signal_w: float = 1e-3
    wavelength_m: float = 1.55e-6
    heater_w: float = 20e-3
    heater_m: float = 300e-6

    def per_cm(self, s: float) -> float:
        """gamma = g/2 for s = sin(theta) = g/(2 kappa)."""
        return self.kappa_per_m * s / 100

    def light_w(self, s: Any) -> Any:
        """What the paper says that amplified light needs: exp(gamma z) - 1 of the signal."""
        return self.signal_w * np.expm1(self.kappa_per_m * s * self.coupler_m)

    def field_w(self, s: float) -> float:
        """What it needs where gamma = g/2 is the gain of the field, as in the paper's Eq. 1: exp(g z) - 1."""
        return float(self.light_w(2 * s))

    @property
    def photon_v(self) -> float:
        """Energy of a photon over the charge of an electron."""
        return PLANCK_J_S * LIGHT_M_PER_S / self.wavelength_m / CHARGE_C


@dataclass(frozen=True)
class Columns:
    """Couplers one behind the other in the four triangular meshes of a network."""

    sizes: tuple[int, int, int] = (49, 20, 10)

    @property
    def count(self) -> int:
        """In the meshes of N0, N1, N1 and N2 ports, 2N - 3 in each."""
        inputs, hidden, outputs = self.sizes
        return sum(len(triangular(ports)) for ports in (inputs, hidden, hidden, outputs))

    def length_m(self, column_m: float) -> float:
        """Of all columns."""
        return self.count * column_m


PAPER = CouplerBudget()
