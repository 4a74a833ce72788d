"""Monitors at the phase shifters of a chip, and its light from behind: what in-situ backpropagation reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.benches.chip_light import Beams, ChipLight
from sim_backends.physics.chip import Chip
from sim_backends.physics.detectors import HomodyneArray
from sim_backends.physics.drives import Dense, Sparse
from sim_backends.physics.modulators import Modulators
from sim_backends.physics.noise import Noise

Fields = NDArray[Any]


class Monitors:
    """Taps of a little light in both arms of every theta section, detectors at the inputs, and modulators for light in quadrature and
    from behind.

    Monitors read powers; their noise is that of the homodyne detectors' settings, as volts on the same scale.
    """

    def __init__(self, light: ChipLight, seed: int) -> None:
        noise = Noise(seed).child("monitors")
        settings, (n0, n1, n2) = light.settings, light.optics.design.sizes
        self._light = light
        self._chip = Chip(light.chip.stages, np.result_type(light.dtype, np.complex64))
        self._modulators = {p: Modulators(n, settings.modulators, noise.child(p)) for p, n in (("quadrature", n0 + n1), ("error", n1 + n2))}
        self._backward = HomodyneArray(n0 + n1, settings.detectors, noise.child("backward"))
        self._arms = HomodyneArray(2 * light.optics.model.couplers, settings.detectors, noise.child("arms"))

    def play(self, drive: Dense | Sparse, beams: Beams, now_s: Fields, noisy: bool = True) -> dict[str, Fields]:
        """(S, B, D) volts at all detectors; arguments as of `ChipLight.play`.

        Raises:
            ValueError: images and light from behind at once.
        """
        if beams.error is not None and (beams.input is not None or beams.quadrature is not None):
            raise ValueError("images and light from behind at once; send them one after the other")
        settings = (drive.dense() if isinstance(drive, Sparse) else drive).values
        level = self._light.levels(now_s, beams.shots, noisy)
        found = [self._setting(settings[k], beams, level[k : k + 1], float(now_s[0]), noisy) for k in range(len(settings))]
        return {port: np.stack([one[port] for one in found]) for port in found[0]}

    def _setting(self, inside: Fields, beams: Beams, level: Fields, now: float, noisy: bool) -> dict[str, Fields]:
        """(B, D) volts at one setting (P,) in internal parameters."""
        light, (n0, n1, n2) = self._light, self._light.optics.design.sizes
        phase_rad, shots = light.laser.phase_rad(now), beams.shots

        def volts(detectors: HomodyneArray, fields: Fields) -> Fields:
            return detectors.volts(np.ascontiguousarray(fields, level.dtype), now, phase_rad, beams.dwell_s, noisy)

        if beams.error is not None:
            arms, back = self._behind(inside, self._modulators["error"].fields(beams.error, now) * level[0][:, None])
            hidden, outputs = volts(light.homodyne["hidden"], np.zeros((shots, n1))), np.zeros((shots, n2))
        else:
            arms, outputs, hidden = self._forward(inside, beams, level, (now, phase_rad, noisy))
            back = np.zeros((shots, n0 + n1))
        powers = np.concatenate([np.square(np.abs(section[0])) for section in arms], axis=1).reshape(shots, -1)
        # monitors measure power: the phase of the local oscillator is none of theirs
        seen = self._arms.volts(np.ascontiguousarray(powers, level.dtype), now, 0.0, beams.dwell_s, noisy)
        read = {"output": volts(light.homodyne["output"], outputs), "backward": volts(self._backward, back)}
        return {"hidden": hidden, "monitors": seen, **read}

    def _forward(self, inside: Fields, beams: Beams, level: Fields, when: tuple[float, float, bool]) -> tuple[list[Fields], Fields, Fields]:
        """Fields in the arms, (B, N2) as outputs are read, (B, N1) volts of the hidden neurons."""
        light, (n0, n1, _), each = self._light, self._light.optics.design.sizes, level[0][:, None]
        x = light.entering(beams, when[0]).astype(self._chip.dtype) * each
        aside = np.zeros((beams.shots, n0 + n1))
        if beams.quadrature is not None:
            aside = self._modulators["quadrature"].fields(beams.quadrature, when[0]) * each
        recorded = {"hidden": np.empty((1, beams.shots, n1), level.dtype)}

        def hidden(z: Fields, rows: slice) -> Fields:
            return np.asarray(light.activated(z / each, rows, beams, (level, level), when, recorded) + 1j * aside[None, :, n0:])

        trace = self._chip.trace(inside, x + 1j * aside[:, :n0], hidden)
        outputs = trace.outputs.real if light.optics.design.readout == "homodyne" else np.square(np.abs(trace.outputs))
        return [stage.arms for stage in trace.stages if stage is not None and stage.arms is not None], outputs, recorded["hidden"][0]

    def _behind(self, inside: Fields, error: Fields) -> tuple[list[Fields], Fields]:
        """Fields in the arms, (B, N0 + N1) fields at the inputs of both layers, for error light (B, N1 + N2)."""
        n1 = self._light.optics.design.sizes[1]
        found = [self._chip.backward(inside, error[:, part], stretch) for stretch, part in ((0, slice(0, n1)), (1, slice(n1, None)))]
        arms = [stage.arms for trace in found for stage in trace.stages if stage is not None and stage.arms is not None]
        return arms, np.concatenate([trace.outputs.real for trace in found], axis=1)
