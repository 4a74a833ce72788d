"""The light of a photonic chip's bench: modulators, chip, hidden neurons, detectors; all settings of a table at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.chips import ChipOptics
from sim_backends.benches.chip_actuators import Actuators
from sim_backends.benches.chip_settings import ChipSettings
from sim_backends.physics.absorbers import transmission
from sim_backends.physics.board import Board
from sim_backends.physics.chip import Chip
from sim_backends.physics.chip_stages import AmplifierStage, Detection, MeshStage
from sim_backends.physics.coupler_laws import AttenuatorLaw, ExponentialLaw, MziLaw, PtLaw, RotationLaw
from sim_backends.physics.detectors import HomodyneArray
from sim_backends.physics.drift import Laser
from sim_backends.physics.drives import Dense, Sparse
from sim_backends.physics.meshes import Mesh
from sim_backends.physics.modulators import Modulators
from sim_backends.physics.noise import Noise
from sim_backends.physics.sections import saturation

Fields = NDArray[Any]

EVEN = 0.01  # differences of the laser's level, relative, up to which the noise of detectors may be scaled by it


@dataclass(frozen=True)
class Beams:
    """What is modulated onto the light in the shots of one setting; None where a port is dark.

    Attributes:
        input: (B, N0) volts. reinject: (S, B, N1) volts of the host's re-injection. table: (points,) of the activation board.
        dwell_s: a shot lasts. hidden: whether the hidden neurons are recorded. shots: B.
        quadrature: (B, N0 + N1) volts of light beside the images and the re-injection. error: (B, N1 + N2) of light from behind.
    """

    input: Fields | None
    reinject: Fields | None
    table: Fields | None
    dwell_s: float
    hidden: bool
    shots: int
    quadrature: Fields | None = None
    error: Fields | None = None

    @property
    def backward(self) -> bool:
        """Whether there is light that only in-situ backpropagation uses."""
        return self.quadrature is not None or self.error is not None


class ChipLight:
    """A chip and all light around it.

    Args:
        optics: the design, and the nominal levels of detectors that the bench was built to. settings: imperfections.
        seed: of hidden truths and noise. ideal: light is computed in float64.
    """

    def __init__(self, optics: ChipOptics, settings: ChipSettings, seed: int, ideal: bool) -> None:
        self.optics, self.settings, noise = optics, settings, Noise(seed)
        n0, n1, n2 = optics.design.sizes
        kind = optics.design.coupler
        self.real = kind == "rotation" or (kind == "pt" and not settings.sections.alpha_h)
        self.dtype = np.dtype({(True, True): "f8", (True, False): "f4", (False, True): "c16", (False, False): "c8"}[self.real, ideal])
        self._float = np.zeros(0, self.dtype).real.dtype
        self.actuators = Actuators(optics, settings, noise)
        self.chip = Chip(self._stages(noise), self.dtype)
        self._noise = noise.child("spontaneous emission")
        self.laser = Laser(settings.laser, noise.child("laser"))
        self.full_light = 10 ** (settings.modulators.insertion_db / 20)  # the laser makes up for the modulators' insertion loss
        self.modulators = {p: Modulators(n, settings.modulators, noise.child(p)) for p, n in (("input", n0), ("reinject", n1))}
        self._board = Board(settings.board, self.modulators["reinject"], n1, optics.board.range_v)
        self.homodyne = {p: HomodyneArray(n, settings.detectors, noise.child(p)) for p, n in (("hidden", n1), ("output", n2))}
        self._in_phase = optics.design.activation != "absorber" and optics.design.readout == "homodyne"
        self._emits = kind == "pt" and settings.sections.noise_bandwidth_hz > 0

    def _stages(self, noise: Noise) -> list[MeshStage | AmplifierStage | Detection]:
        design, settings, model = self.optics.design, self.settings, self.optics.model
        n1, n2 = design.sizes[1:]
        stages: list[MeshStage | AmplifierStage | Detection] = []
        for layer, kept in ((1, n1), (2, n2)):
            if layer == 2:
                stages.append(Detection(n1, n1))
            for name, outputs in ((f"{layer}a", kept), (f"{layer}b", None)):
                mesh, errors = model.meshes[name], noise.child(f"splitters {name}")
                law: Any = RotationLaw()
                if design.coupler == "pt":
                    law = PtLaw(design.z, True, settings.sections.alpha_h, design.one_sided)
                elif design.coupler == "mzi":
                    delta = settings.splitters.error_rad * errors.normal((2, mesh.count), np.float64)
                    law = MziLaw(delta[0], delta[1])
                stages.append(MeshStage(Mesh(mesh.layout, mesh.ports), law, outputs))
                if outputs is not None:
                    stages.append(self._amplifiers(kept))
        return stages

    def _amplifiers(self, count: int) -> AmplifierStage:
        if self.optics.design.coupler != "pt":
            return AmplifierStage(count, AttenuatorLaw(self.optics.design.attenuator_gain))
        sections = self.settings.sections
        return AmplifierStage(count, ExponentialLaw(alpha_h=sections.alpha_h), saturation(sections))

    def play(self, drive: Dense | Sparse, beams: Beams, now_s: Fields, noisy: bool = True) -> dict[str, Fields]:
        """(S, B, D) volts at "output", and at "hidden" where that is recorded.

        Args:
            drive: the settings. now_s: (S,) bench time of each; drifts stand still within those that come here together.
            noisy: false gives what readings are on the mean.
        """
        now = float(now_s[0])
        level = self.levels(now_s, beams.shots, noisy)
        mean = level.mean()
        relative = level / mean  # enters where light is detected: up to there all but its mean is linear
        phase_rad, recorded = self.laser.phase_rad(now), dict[str, Fields]()
        settings = len(drive.values)
        if beams.hidden:
            recorded["hidden"] = np.empty((settings, beams.shots, self.optics.design.sizes[1]), self._float)

        def hidden(z: Fields, rows: slice) -> Fields:
            if self.optics.design.activation == "absorber":
                z *= relative[rows, :, None]
                return np.asarray(z * transmission(self.optics.design.cell, np.abs(z), z.real.dtype.type(self.optics.design.optical_depth)))
            return self.activated(z, rows, beams, (relative, level), (now, phase_rad, noisy and white is None), recorded)

        entering, emission = self.entering(beams, now) * mean, self._emission(drive) if noisy else None
        white = None if emission is None else self._white(now, phase_rad, beams.dwell_s, level)
        fields = self.chip.outputs(drive, entering, hidden, emission=emission, noise=self._noise, in_phase=self._in_phase, white=white)
        light = fields.real if self.optics.design.readout == "homodyne" else np.abs(fields) ** 2
        light = np.ascontiguousarray(light)
        noisy = noisy and white is None
        volts = self.homodyne["output"].volts(light.reshape(-1, light.shape[-1]), now, phase_rad, beams.dwell_s, noisy)
        return recorded | {"output": volts.reshape(light.shape)}

    def _white(self, now: float, phase_rad: float, dwell_s: float, level: Fields) -> list[Fields] | None:
        """Variances of the detectors' noise in fields, hidden and output, where it can be drawn together with spontaneous emission.

        At the hidden neurons the laser's level multiplies it, relative to the mean over the settings of a call: what levels differ by is
        the relative error of the standard deviation.
        """
        mean = float(level.mean())
        if not self._in_phase or np.ptp(level) > EVEN * mean:
            return None
        found = [self.homodyne[port].sigma_fields(now, phase_rad, dwell_s) ** 2 for port in ("hidden", "output")]
        return found if all(np.isfinite(variance).all() for variance in found) else None

    def levels(self, now_s: Fields, shots: int, noisy: bool) -> Fields:
        """(S, B) field amplitudes of the laser: walk, steady drift and intensity noise."""
        steady = np.sqrt(np.maximum(1 + self.settings.power_drift_per_h * now_s / 3600, 0.0))
        if not noisy:
            return np.repeat((self.laser.amplitude(float(now_s[0])) * self.full_light * steady[:, None]).astype(self._float), shots, axis=1)
        drawn = self.laser.shot_amplitudes(len(now_s) * shots, float(now_s[0]), self._float).reshape(len(now_s), shots)
        return np.asarray(drawn * (self.full_light * steady[:, None]).astype(self._float))

    def entering(self, beams: Beams, now: float) -> Fields:
        """(B, N0) fields of the images at a laser level of one."""
        if beams.input is None:
            return np.zeros((beams.shots, self.optics.design.sizes[0]), self.dtype)
        return self.modulators["input"].fields(np.asarray(beams.input, self._float), now).astype(self.dtype)

    def activated(
        self, z: Fields, rows: slice, beams: Beams, levels: tuple[Fields, Fields], when: tuple[float, float, bool],
        recorded: dict[str, Fields],
    ) -> Fields:  # fmt: skip
        """Hidden fields as detected, and what the board or the host sends in again.

        Args:
            levels: (S, B) factors on what arrives, and the laser's level for what is sent in.
        """
        now, phase_rad, noisy = when
        seen = np.multiply(z.real, levels[0][rows, :, None])
        volts = self.homodyne["hidden"].volts(seen.reshape(-1, seen.shape[-1]), now, phase_rad, beams.dwell_s, noisy).reshape(seen.shape)
        if "hidden" in recorded:
            recorded["hidden"][rows] = volts
        if beams.reinject is not None:
            sent = np.ascontiguousarray(beams.reinject[rows], self._float)
            again = self.modulators["reinject"].fields(sent.reshape(-1, sent.shape[-1]), now).reshape(sent.shape)
        elif beams.table is not None:
            again = self._board.fields(volts, beams.table, now)
        else:
            return np.zeros(z.shape, self.dtype)
        again *= levels[1][rows, :, None]
        return again

    def _emission(self, drive: Dense | Sparse) -> list[Fields | None] | None:
        """Variances of the spontaneous emission of every stage, at the base setting."""
        if not self._emits:
            return None
        base = drive.base if isinstance(drive, Sparse) else drive.values.mean(axis=0)
        variances = self.actuators.emission(base)
        slices = self.optics.model.slices
        found: list[Fields | None] = []
        for stage in self.chip.stages:
            found.append(None if isinstance(stage, Detection) else variances[slices[STAGES[len(found)]]])
        return found


STAGES = ("1a", "amp1", "1b", "", "2a", "amp2", "2b")
