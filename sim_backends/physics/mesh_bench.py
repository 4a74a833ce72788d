"""One mesh of full Mach-Zehnder interferometers: a heater at every theta and phi, beams modulated in both quadratures, photodiodes.

A coupler is splitter(d2) diag(e^{i theta}, 1) splitter(d1) diag(e^{i phi}, 1) and loses a little; heaters lie in the order of the couplers,
theta and phi side by side. Phases of the guides in front count as phases of the phi heaters behind them, which is exact where outputs
are detected by their power.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.physics.arrays import require
from sim_backends.physics.couplers import Array, mzi
from sim_backends.physics.heaters import Heaters, HeaterSettings
from sim_backends.physics.meshes import Mesh, entries
from sim_backends.physics.noise import Noise
from sim_backends.physics.placement import mixed, positions

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class MeshSettings:
    """Imperfections of the mesh and of what is around it, beside those of the heaters (HeaterSettings).

    Attributes:
        splitter_rad: standard deviation of the splitters' angles from pi/4. weak: couplers with both angles off by `weak_rad`.
        random_phases: phases without power are anything from 0 to 2 pi; else they are as HeaterSettings has them.
        loss_db, loss_spread_db: of a coupler, mean and standard deviation.
        input_error: standard deviation of the modulators' relative gains in either quadrature. quadrature_rad: of the angle between them.
        v_pi_v: of the modulators, field sin(pi V/(2 V_pi)). v_per_w: detector volts at the power of one fully open beam, in one output.
        responsivity_spread: relative, detector to detector. noise_v: standard deviation of a reading. rin: relative, of a shot's light.
        dead: heaters without connection. swapped: pairs of heaters whose cables are exchanged. blocked: inputs whose beam is blocked.
        blind: outputs that see nothing. gain: of all detectors; what makes them saturate.
    """

    splitter_rad: float = 0.02
    weak: tuple[int, ...] = ()
    weak_rad: float = 0.15
    random_phases: bool = True
    loss_db: float = 0.1
    loss_spread_db: float = 0.03
    input_error: float = 0.01
    quadrature_rad: float = 0.01
    v_pi_v: float = 3.5
    v_per_w: float = 0.8
    responsivity_spread: float = 0.02
    noise_v: float = 2e-4
    rin: float = 1e-4
    dead: tuple[int, ...] = ()
    swapped: tuple[tuple[int, int], ...] = ()
    blocked: tuple[int, ...] = ()
    blind: tuple[int, ...] = ()
    gain: float = 1.0

    def __post_init__(self) -> None:
        require(self, 0, 0.3, "splitter_rad", "input_error", "quadrature_rad", "responsivity_spread")
        require(self, 0, math.pi / 4, "weak_rad")
        require(self, 0, 10, "loss_db", "loss_spread_db")
        require(self, 0, 1, "noise_v", "rin")
        require(self, 1e-6, 1e6, "v_pi_v", "v_per_w", "gain")

    def ideal(self) -> MeshSettings:
        """Every part as it is nominally; what is broken stays broken."""
        names = ("splitter_rad", "loss_db", "loss_spread_db", "input_error", "quadrature_rad", "responsivity_spread", "noise_v", "rin")
        off: dict[str, Any] = dict.fromkeys(names, 0.0)
        return replace(self, random_phases=False, **off)


class MeshLight:
    """The true mesh; hidden numbers are drawn once.

    Args:
        layout: upper ports of the couplers of each column. ports: N. seed: of hidden truths and noise.

    Attributes:
        delta: (K, 2) errors of the first and the second splitter. loss: (K,) amplitude factors. in_phase, quadrature: (N,) factors of
        the inputs. responsivity: (N,) volts. heaters: see there.

    Raises:
        ValueError: something is broken that is not there.
    """

    def __init__(self, layout: Sequence[Any], ports: int, heaters: HeaterSettings, mesh: MeshSettings, seed: int) -> None:
        noise = Noise(seed).child("mesh bench")
        self._settings, self.mesh = mesh, Mesh(layout, ports)
        couplers, count = self.mesh.count, 2 * self.mesh.count
        places = positions([layout], per_coupler=2)
        self.heaters = Heaters(count, heaters, noise.child("heaters"), places)
        if mesh.random_phases:
            self.heaters.phase_error_rad = noise.child("phases").generator.uniform(0, 2 * np.pi, count)

        def drawn(name: str, *shape: int) -> Float64:
            return np.asarray(noise.child(name).normal(shape, np.float64), np.float64)

        self.delta = mesh.splitter_rad * drawn("splitters", couplers, 2)
        self.loss = 10 ** (-np.maximum(mesh.loss_db + mesh.loss_spread_db * drawn("loss", couplers), 0) / 20)
        gains, angle = 1 + mesh.input_error * drawn("inputs", 2, ports), mesh.quadrature_rad * drawn("angles", ports)
        self.in_phase, self.quadrature = gains[0].astype(complex), 1j * gains[1] * np.exp(1j * angle)
        self.responsivity = mesh.v_per_w * mesh.gain * (1 + mesh.responsivity_spread * drawn("responsivity", ports))
        self._shots, self._rin = noise.child("shots"), noise.child("rin")
        self._break(couplers, count, ports)

    def _break(self, couplers: int, count: int, ports: int) -> None:
        mesh = self._settings
        named = {"dead": (mesh.dead, count), "swapped": (sum(mesh.swapped, ()), count), "weak": (mesh.weak, couplers)}
        named |= {"blocked": (mesh.blocked, ports), "blind": (mesh.blind, ports)}
        for name, (which, most) in named.items():
            if any(not 0 <= one < most for one in which):
                raise ValueError(f"{name} = {which}: allowed are 0 to {most - 1}")
        self.delta[list(mesh.weak)] = mesh.weak_rad
        self.responsivity[list(mesh.blind)] = 0.0
        self.in_phase[list(mesh.blocked)] = self.quadrature[list(mesh.blocked)] = 0.0
        self.order, self.alive = np.arange(count), np.ones(count)
        for one, two in mesh.swapped:
            self.order[[one, two]] = self.order[[two, one]]
        self.alive[list(mesh.dead)] = 0.0

    def phases(self, driven: Float64, now_s: float = 0.0) -> Float64:
        """(…, 2 K) settled phases of the port's volts or watts."""
        own = self.alive * self.heaters.own(driven[..., self.order])
        return self.heaters.offsets(now_s) + mixed(self.heaters.mixing, own)

    def lagging(self, driven: Float64, dwell_s: float, times_s: Float64) -> Float64:
        """(T, 2 K) phases at the ends of shots that follow each other, heaters cold before the first; drifts move at ticks."""
        own = self.alive * self.heaters.own(driven[:, self.order])
        own = self.heaters.lag.starts(np.zeros(own.shape[1]), own, dwell_s)[1:]
        phases = mixed(self.heaters.mixing, own)
        keys = [self.heaters.drift.key(float(t)) for t in times_s]
        starts = [i for i, key in enumerate(keys) if i == 0 or key != keys[i - 1]]
        for start, end in zip(starts, [*starts[1:], len(keys)], strict=True):
            phases[start:end] += self.heaters.offsets(float(times_s[start]))
        return phases

    def matrix(self, phases: Float64) -> Array:
        """(N, N) what the mesh does to fields at phases (2 K,)."""
        return self.mesh.matrix(self._blocks(phases))

    def fields(self, phases: Float64, inputs: Array) -> Array:
        """(T, N) fields at the outputs, of fields (T, N) at the inputs, at phases (T, 2 K)."""
        light = np.array(inputs.T, np.complex128)
        self.mesh.forward([part.reshape(self.mesh.count, -1) for part in entries(self._blocks(phases), many=True)], light)
        return np.ascontiguousarray(light.T)

    def _blocks(self, phases: Float64) -> Array:
        theta, phi = phases[..., 0::2], phases[..., 1::2]
        return mzi(theta, phi, self.delta[:, 0], self.delta[:, 1]) * self.loss[:, None, None]

    def inputs(self, in_phase_v: Float64, quadrature_v: Float64) -> Array:
        """(T, N) fields behind the modulators."""
        rate = 0.5 * np.pi / self._settings.v_pi_v
        return np.asarray(self.in_phase * np.sin(rate * in_phase_v) + self.quadrature * np.sin(rate * quadrature_v))

    def detected_v(self, fields: Array) -> Float64:
        """(T, N) volts of the outputs, with noise."""
        power = np.square(np.abs(fields)) * (1 + self._settings.rin * self._rin.normal((len(fields), 1), np.float64))
        return np.asarray(self.responsivity * power + self._settings.noise_v * self._shots.normal(power.shape, np.float64))
