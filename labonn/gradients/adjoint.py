"""In-situ backpropagation (Hughes et al. 2018; Pai et al. 2023): the gradient from powers at the phase shifters, in a few passes.

With a the forward field in an arm of an interferometer and b the field of the error light from behind, the derivative by the arm's phase
is Im(a b). Light that arrives at the inputs from behind, conjugated and sent in again in quadrature beside the images, retraces b
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
SMALL, EVEN = 1e-12, 1e-9


def adjoint(objective: OnChip, theta: Floats, amplifiers: bool = True, step: float = 0.1) -> Generator[ShotTable, Readings, Estimate]:
    """Couplers by in-situ backpropagation; attenuators by central differences of `step` (zero if not `amplifiers`).

    The attenuators between the two meshes of a layer make it lossy: light sent in again would meet them a second time. So the error light
    for the second mesh comes back through attenuators that are set to c/A, and the light sent in again arrives there c-fold.

    Raises:
        ProcedureError: not a chip of differential phases with homodyne outputs, or ports are missing.
    """
    _needs(objective)
    before = objective.settings, objective.shots
    passes = _Passes(objective, np.asarray(theta, np.float64))
    gradient = yield from passes.couplers()
    loss, tables = passes.loss, passes.tables
    again = _Passes(objective, np.asarray(theta, np.float64))
    second = yield from again.couplers()
    scatter = float(np.sqrt(np.mean((gradient - second) ** 2) / 4))
    gradient, error, sigma = 0.5 * (gradient + second), np.full(len(theta), scatter), abs(loss - again.loss) / np.sqrt(2)
    notes: tuple[str, ...] = ()
    if amplifiers:
        those = np.flatnonzero(objective.optics.amplifiers)
        by_hand = yield from central(objective, theta, step, subset=those, scaled=False)
        gradient[those], error[those], notes = by_hand.gradient[those], by_hand.standard_error[those], by_hand.notes
        tables += by_hand.tables
    return Estimate(
        gradient=gradient, standard_error=error, settings=objective.settings - before[0], shots=objective.shots - before[1],
        tables=tables + again.tables, loss=0.5 * (loss + again.loss), sigma=sigma, notes=notes, method="adjoint",
    )  # fmt: skip


def _needs(objective: OnChip) -> None:
    design = objective.optics.design
    missing = [port for port in PORTS if port not in objective.specs]
    if missing:
        raise ProcedureError(f"adjoint: this bench has no {', '.join(missing)}; monitors and error beams are needed (--monitors)")
    if design.coupler != "rotation" or design.readout != "homodyne" or design.activation != "board":
        told = f"{design.coupler} couplers, {design.readout} outputs, activation by {design.activation}"
        raise ProcedureError(f"adjoint: rotation couplers, homodyne outputs and an activation board are needed; this chip has {told}")


class _Passes:
    """The passes of one gradient, all of the mini-batch at once."""

    def __init__(self, objective: OnChip, theta: Floats) -> None:
        self._of, self._theta, self._model = objective, theta, objective.optics.model
        self._n0, self._n1, self._n2 = objective.optics.design.sizes
        self.loss, self.tables = 0.0, 0

    def couplers(self) -> Plan:
        """(P,) gradient of the mean loss, zero at the attenuators."""
        of, batch = self._of, len(self._of.rows)
        forward = yield from self._play({}, True, ("monitors", "hidden", "output"), self._theta)
        hidden, outputs = of.measured(forward, "hidden"), of.measured(forward, "output")
        self.loss = float(of.optics.loss(outputs, of.labels).mean())
        lit = of.measured(forward, "monitors")
        behind2 = of.optics.slope(outputs, of.labels) / batch
        gradient = np.zeros(len(self._theta))
        error2 = np.concatenate([np.zeros((batch, self._n1)), behind2], axis=1)
        back2 = yield from self._layer(2, error2, lit, gradient)
        behind1 = back2 * of.optics.model.activate_slope(hidden)
        error1 = np.concatenate([behind1, np.zeros((batch, self._n2))], axis=1)
        yield from self._layer(1, error1, lit, gradient)
        return gradient

    def _layer(self, layer: int, error: Floats, lit: Floats, gradient: Floats) -> Plan:
        """Fill the gradient of a layer's two meshes; returns (B, n) the light that came out of its inputs."""
        amps = self._model.slices[f"amp{layer}"]
        factor, most = self._model.amplitude(self._theta[amps])[0], self._model.gain
        seen = yield from self._retraced(layer, error, self._theta)
        self._fill(f"{layer}a", seen, lit, 1.0, gradient)
        if np.ptp(factor) < EVEN * factor.max():
            self._fill(f"{layer}b", seen, lit, float(factor.mean()) ** 2, gradient)
            return seen.back
        other = self._theta.copy()
        other[amps] = 2 * np.arccos(np.clip(factor.min() / np.maximum(factor, SMALL), -1, 1))
        evened = yield from self._retraced(layer, error, other)
        self._fill(f"{layer}b", evened, lit, most * float(factor.min()), gradient)
        return seen.back

    def _retraced(self, layer: int, error: Floats, theta: Floats) -> Plan:
        """Error light (B, N1 + N2) from behind, through attenuators as in `theta`; then what came out is sent in again beside the images."""
        of = self._of
        size = np.maximum(np.abs(error).max(axis=1, keepdims=True), SMALL)
        behind = yield from self._play({"error": error / size}, False, ("monitors", "backward"), theta)
        own = slice(0, self._n0) if layer == 1 else slice(self._n0, self._n0 + self._n1)
        out = of.measured(behind, "backward")
        back = size * out[:, own]
        peak = np.maximum(np.abs(back).max(axis=1, keepdims=True), SMALL)
        again = np.zeros((len(back), self._n0 + self._n1))
        again[:, own] = back / peak
        both = yield from self._play({"quadrature": again}, True, ("monitors",), self._theta)
        return _Seen(of.measured(both, "monitors"), of.measured(behind, "monitors") * size**2, peak, back)

    def _fill(self, mesh: str, seen: _Seen, lit: Floats, factor: float, gradient: Floats) -> None:
        """dL/dtheta = half of the sum over images of Im(a b) in one arm less that in the other; light sent in again arrives `factor`-fold."""
        product = (seen.both - lit - seen.behind * (factor / seen.peak) ** 2) * (seen.peak / (2 * factor))
        per_coupler = product.reshape(len(product), -1, 2)[:, self._of.optics.couplers_of(mesh)]
        gradient[self._model.slices[mesh]] = 0.5 * np.sum(per_coupler[:, :, 0] - per_coupler[:, :, 1], axis=0)

    def _play(self, beams: dict[str, Floats], images: bool, read: tuple[str, ...], theta: Floats) -> Plan:
        """One shot an image: with or without the images, with one row of every beam (fields up to 1) an image."""
        of, batch = self._of, np.arange(len(self._of.rows))
        self.tables += 1
        return (yield of.beam_table(theta, {p: of.optics.modulator.volts(f.astype(of.dtype)) for p, f in beams.items()}, images, read, batch))


class _Seen(NamedTuple):
    """(B, 2K) powers with both lights and with that from behind alone, (B, 1) the scale of the light sent in again, (B, n) what came out."""

    both: Floats
    behind: Floats
    peak: Floats
    back: Floats
