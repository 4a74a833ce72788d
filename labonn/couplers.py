"""The believed 2x2 couplers as functions of their parameters, with derivatives: PT-symmetric gain, real MZI rotation, full MZI.

    pt        s = sin(theta), L = Z cos(theta):  [[cos L + Z S s, Z S], [-Z S, cos L - Z S s]],  S = sin(L)/L
    rotation  h = theta/2:                       [[cos h, sin h], [-sin h, cos h]]
    mzi       phase phi in the upper input, theta in the upper arm:  exp(i h) rotation(theta) diag(exp(i phi), 1)

PT is the real form of Deng & Khajavikhan 2021 (PHYSICS.md, section 2), regular at the exceptional point. Heaters make the phases
theta + pi and phi + pi, with which 50:50 splitters [[1, i], [i, 1]]/sqrt 2 give the mzi as written.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labonn.errors import ProcedureError
from labonn.meshes import Numbers

Angles = NDArray[np.float64]
KINDS = ("pt", "rotation", "mzi")
_SERIES_BELOW = 0.1  # |L| below which (cos L - S)/L loses digits and its series does not


@dataclass(frozen=True)
class Coupler:
    """What all couplers of a chip have in common.

    Attributes:
        kind: one of KINDS. z: Z = kappa z of PT couplers.
        one_sided: only one guide of a PT coupler is pumped: the factor exp(Z s) comes with it.
    """

    kind: str = "pt"
    z: float = 1.0
    one_sided: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ProcedureError(f"couplers of kind {self.kind!r}; allowed are {', '.join(KINDS)}")
        if not 0 < self.z < np.inf:
            raise ProcedureError(f"couplers with Z = {self.z:g}; a positive, finite number is wanted")
        if self.one_sided and self.kind != "pt":
            raise ProcedureError(f"couplers of kind {self.kind!r} have no gain that could be one-sided")

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters of one coupler, in the order of the vector."""
        return ("theta", "phi") if self.kind == "mzi" else ("theta",)

    def blocks(self, theta: Numbers, derivatives: bool = False) -> tuple[Numbers, Numbers]:
        """(2, 2, K) blocks and their (D, 2, 2, K) derivatives (empty unless asked for).

        Args:
            theta: (K D,) parameters, those of one coupler side by side; computed in float64.
        """
        values = np.asarray(theta, np.float64).reshape(-1, len(self.parameters))
        if self.kind == "mzi":
            return _mzi(values[:, 0], values[:, 1], derivatives)
        if self.kind == "rotation":
            return _rotation(values[:, 0], derivatives)
        return _pt(values[:, 0], self.z, self.one_sided, derivatives)


def _pt(theta: Angles, z: float, one_sided: bool, derivatives: bool) -> tuple[Numbers, Numbers]:
    s, slope, length = np.sin(theta), np.cos(theta), z * np.cos(theta)
    cosine, cross = np.cos(length), z * np.sinc(length / np.pi)
    factor = np.exp(z * s) if one_sided else 1.0
    block = factor * np.array([[cosine + cross * s, cross], [-cross, cosine - cross * s]])
    if not derivatives:
        return block, np.empty((0, *block.shape))
    dcosine, dcross = z * s * np.sin(length), -(z**2) * s * _sinc_slope(length)
    upper, lower = dcosine + dcross * s + cross * slope, dcosine - dcross * s - cross * slope
    change = factor * np.array([[upper, dcross], [-dcross, lower]])
    if one_sided:
        change += z * slope * block
    return block, change[None]


def _sinc_slope(x: Angles) -> Angles:
    """Derivative of sin(x)/x."""
    small = np.abs(x) < _SERIES_BELOW
    safe, square = np.where(small, 1.0, x), np.square(x)
    series = x * (-1 / 3 + square * (1 / 30 - square * (1 / 840 - square / 45360)))
    return np.where(small, series, (np.cos(safe) - np.sin(safe) / safe) / safe)


def _rotation(theta: Angles, derivatives: bool) -> tuple[Numbers, Numbers]:
    cosine, sine = np.cos(theta / 2), np.sin(theta / 2)
    block = np.array([[cosine, sine], [-sine, cosine]])
    if not derivatives:
        return block, np.empty((0, *block.shape))
    return block, 0.5 * np.array([[-sine, cosine], [-cosine, -sine]])[None]


def _mzi(theta: Angles, phi: Angles, derivatives: bool) -> tuple[Numbers, Numbers]:
    turn, change = _rotation(theta, True)
    common, delay = np.exp(0.5j * theta), np.stack([np.exp(1j * phi), np.ones_like(phi)])
    block = common * turn * delay
    if not derivatives:
        return block, np.empty((0, *block.shape), block.dtype)
    by_theta = 0.5j * block + common * change[0] * delay
    by_phi = block * np.array([1j, 0])[:, None]
    return block, np.stack([by_theta, by_phi])
