"""In-situ backpropagation (Hughes et al. 2018; Pai et al. 2023): the gradient from powers at the phase shifters, in a few passes.

With a the forward field in an arm of an interferometer and b the field of the error light from behind, the derivative by the arm's phase
is -Im(a b). Light that arrives at the inputs from behind, conjugated and sent in again in quadrature beside the images, retraces b
through a lossless mesh: |a + i b*|^2 - |a|^2 - |b|^2 = 2 Im(a b), from three powers.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

import numpy as np

from labonn.channels import Floats
from labonn.errors import ProcedureError
from labonn.gradients.differences import central
from labonn.gradients.objective import Estimate
from labonn.gradients.onchip import OnChip
from labonn.shots import Readings, ShotTable

Plan = Generator[ShotTable, Readings, Any]
PORTS = ("monitors", "backward", "error", "quadrature")
SMALL = 1e-12  # light below which there is none
EVEN = 1e-9  # relative spread of attenuators that counts as none
WEAKEST = 0.03  # field behind an attenuator, below which light that passes it twice drowns


def adjoint(objective: OnChip, theta: Floats, amplifiers: bool = True, step: float = 0.1) -> Generator[ShotTable, Readings, Estimate]:
    """Couplers by in-situ backpropagation, twice; attenuators by central differences of `step` (zero if not `amplifiers`).

    The attenuators between the two meshes of a layer make it lossy: light sent in again would meet them a second time. So the error light
    for the second mesh comes back through attenuators that are set to c/A, and the light sent in again arrives there c-fold. Where c is too
    small (an attenuator is almost closed) the second mesh is measured by central differences too, which is noted.

    The standard error of couplers is that of the readings' noise, from the scatter of the two, taken together over all of them.

    Raises:
        ProcedureError: not a chip of differential phases with homodyne outputs, or ports are missing.
    """
    _needs(objective)
    before, theta = objective.played, np.asarray(theta, np.float64)
    measured = []
    for _ in range(2):
        passes = _Passes(objective, theta)
        yield from passes.backward()
        measured.append(passes)
    one, two = measured
    gradient = 0.5 * (one.gradient + two.gradient)
    error = np.where(one.seen, np.sqrt(np.mean((one.gradient - two.gradient)[one.seen] ** 2) / 4), 0.0)
    notes, sigma = one.notes, abs(one.loss - two.loss) / np.sqrt(2)
    others = np.flatnonzero(~one.seen & (amplifiers | ~objective.optics.amplifiers) & (objective.upper > objective.lower))
    if len(others):
        differences = yield from central(objective, theta, step, subset=others, scaled=False)
        gradient[others], error[others] = differences.gradient[others], differences.standard_error[others]
        notes, sigma = notes + differences.notes, differences.sigma
    settings, shots, tables = (objective.played - before).tolist()
    return Estimate(gradient, error, settings, shots, tables, 0.5 * (one.loss + two.loss), float(sigma), notes, "adjoint")


def _needs(objective: OnChip) -> None:
    optics, specs = objective.optics, objective.specs
    missing = [port for port in PORTS if port not in specs]
    if missing:
        raise ProcedureError(f"adjoint: this bench has no {', '.join(missing)}; monitors and error beams are needed")
    design, wanted = optics.design, optics.channels()
    if design.coupler != "rotation" or design.readout != "homodyne" or design.activation != "board":
        told = f"{design.coupler} couplers, {design.readout} outputs, activation by {design.activation}"
        raise ProcedureError(f"adjoint: rotation couplers, homodyne outputs and an activation board are needed; this chip has {told}")
    for port in PORTS:
        if len(specs[port]) != wanted[port]:
            raise ProcedureError(f"adjoint: {port} has {len(specs[port])} channels, but {design.described} needs {wanted[port]}")


class _Light(NamedTuple):
    """Powers (B, 2K) with light sent in again beside the images and of light from behind; (B, 1) what the former is divided by; (B, n) what
    came out of the layer's inputs."""

    both: Floats
    behind: Floats
    scale: Floats
    back: Floats


class _Passes:
    """The passes of one measurement, all images at once.

    Attributes:
        gradient: (P,) of the mean loss. seen: (P,) whether it was measured here. loss: mean. notes: in words.
    """

    def __init__(self, objective: OnChip, theta: Floats) -> None:
        self._of, self._theta, self._model = objective, theta, objective.optics.model
        self.gradient, self.seen = np.zeros(len(theta)), np.zeros(len(theta), bool)
        self.loss, self.notes = 0.0, tuple[str, ...]()

    def backward(self) -> Plan:
        """Forward, then layer by layer from behind."""
        of, (_, n1, n2) = self._of, self._model.sizes
        lit = yield from of.beams(self._theta, {}, True, ("monitors", "hidden", "output"))
        self.loss = float(of.optics.loss(lit["output"], of.labels).mean())
        errors = of.optics.slope(lit["output"], of.labels) / len(of.rows)
        back = yield from self._layer(2, np.pad(errors, ((0, 0), (n1, 0))), lit["monitors"])
        errors = back * self._model.activate_slope(lit["hidden"])
        yield from self._layer(1, np.pad(errors, ((0, 0), (0, n2))), lit["monitors"])

    def _layer(self, layer: int, error: Floats, lit: Floats) -> Plan:
        """The gradient of a layer's two meshes, from error light (B, N1 + N2); returns (B, n) what came out of the layer's inputs."""
        light = yield from self._retraced(layer, error, self._theta)
        self._fill(f"{layer}a", light, lit, 1.0)
        amps = self._model.slices[f"amp{layer}"]
        most, factors = self._model.gain, self._model.amplitude(self._theta[amps])[0]
        weakest = float(factors.min())
        inverted = self._inverted(amps, weakest / np.maximum(factors, SMALL)) if weakest > WEAKEST * most else None
        if inverted is None:
            told = f"attenuators {layer} pass {weakest / most:.1%} of the field at the least and cannot be inverted"
            self.notes += (f"{told}; mesh {layer}b by central differences",)
        elif np.ptp(factors) < EVEN * most and weakest > 0.5 * most:
            self._fill(f"{layer}b", light, lit, weakest**2)
        else:
            again = yield from self._retraced(layer, error, inverted)
            self._fill(f"{layer}b", again, lit, most * weakest)
        return light.back

    def _inverted(self, amps: slice, factors: Floats) -> Floats | None:
        """(P,) parameters with the attenuators `amps` at relative factors; None where limits forbid it."""
        wanted, theta = 2 * np.arccos(factors), self._theta.copy()
        theta[amps] = np.where(wanted <= self._of.upper[amps], wanted, -wanted)
        inside = (theta >= self._of.lower) & (theta <= self._of.upper)
        return theta if inside[amps].all() else None

    def _retraced(self, layer: int, error: Floats, theta: Floats) -> Plan:
        """Error light from behind at attenuators as in `theta`; what came out is sent in again beside the images."""
        n0 = self._model.sizes[0]
        own = slice(0, n0) if layer == 1 else slice(n0, None)
        size = _peaks(error)
        behind = yield from self._of.beams(theta, {"error": error / size}, False, ("monitors", "backward"))
        scale = _peaks(behind["backward"][:, own])
        sent = np.zeros_like(behind["backward"])
        sent[:, own] = behind["backward"][:, own] / scale
        both = yield from self._of.beams(self._theta, {"quadrature": sent}, True, ("monitors",))
        return _Light(both["monitors"], size**2 * behind["monitors"], size * scale, size * behind["backward"][:, own])

    def _fill(self, mesh: str, light: _Light, lit: Floats, left: float) -> None:
        """Sum over images of Im(a b) in the upper arm less that in the lower; half of it is by theta.

        Args:
            lit: (B, 2K) powers of the images alone. left: what light sent in again has become at this mesh, relative to that from behind.
        """
        # both lights: |a + i (left / scale) b*|^2
        imaginary = (light.both - lit - light.behind * (left / light.scale) ** 2) * light.scale / (2 * left)
        arms = imaginary.sum(axis=0).reshape(-1, 2)[self._of.optics.couplers_of(mesh)]
        self.gradient[self._model.slices[mesh]] = 0.5 * (arms[:, 0] - arms[:, 1])
        self.seen[self._model.slices[mesh]] = True


def _peaks(fields: Floats) -> Floats:
    """(B, 1) largest field of every image."""
    return np.asarray(np.maximum(np.abs(fields).max(axis=1, keepdims=True), SMALL))
