"""Monitors at the phase shifters of a chip, and its light from behind: what in-situ backpropagation reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.benches.chip_light import Beams, ChipLight
from sim_backends.benches.chip_tables import Fired
from sim_backends.physics.chip import Chip
from sim_backends.physics.detectors import HomodyneArray
from sim_backends.physics.modulators import Modulators
from sim_backends.physics.noise import Noise

Fields = NDArray[Any]


class Monitors:
    """Taps of a little light in both arms of every phase section, detectors at the inputs, and modulators for light in quadrature and
    from behind.

    Monitors read powers; their noise is that of the homodyne detectors' settings, as volts on the same scale.
    """

    def __init__(self, light: ChipLight, seed: int) -> None:
        noise = Noise(seed).child("monitors")
        settings, (n0, n1, n2) = light.settings, light.optics.design.sizes
        self._light = light
        dtype = np.result_type(light.dtype, np.complex64)
        self._chip = Chip(light.chip.stages, dtype)
        self._modulators = {p: Modulators(n, settings.modulators, noise.child(p)) for p, n in (("quadrature", n0 + n1), ("error", n1 + n2))}
        self._backward = HomodyneArray(n0 + n1, settings.detectors, noise.child("backward"))
        self._arms = HomodyneArray(2 * light.optics.model.couplers, settings.detectors, noise.child("arms"))

    def read(self, fired: Fired, inside: Fields, now: float) -> dict[str, Fields]:
        """port -> (T, D) volts of one setting (P,) in internal parameters, forward or from behind."""
        return self._behind(fired, inside, now) if "error" in fired.orders else self._forward(fired, inside, now)

    def _fields(self, fired: Fired, port: str, now: float) -> Fields | None:
        if port not in fired.orders:
            return None
        volts = fired.banks[port][fired.orders[port]]
        made: Modulators = self._modulators[port] if port in self._modulators else self._light.modulators[port]
        return np.asarray(made.fields(volts, now) * self._light.full_light)

    def _forward(self, fired: Fired, inside: Fields, now: float) -> dict[str, Fields]:
        light, (n0, n1, n2) = self._light, self._light.optics.design.sizes
        images, aside = self._fields(fired, "input", now), self._fields(fired, "quadrature", now)
        count = fired.shots
        x = np.zeros((count, n0), self._chip.dtype) if images is None else images.astype(self._chip.dtype)
        if aside is not None:
            x = x + 1j * aside[:, :n0]
        recorded: dict[str, Fields] = {}
        table = fired.banks["activation"][fired.orders["activation"][:1]][0] if "activation" in fired.orders else None
        beams = Beams(None, None, table, fired.dwell_s, True, count)
        level = np.full((1, count), light.full_light, light.chip.dtype.type(0).real.dtype)
        kept = {"hidden": np.empty((1, count, n1), level.dtype)}

        def hidden(z: Fields, rows: slice) -> Fields:
            again = light.activated(z / light.full_light, rows, beams, level, (now, light.laser.phase_rad(now), True), kept)
            return again if aside is None else np.asarray(again + 1j * aside[None, :, n0:])

        trace = self._chip.trace(inside, x, hidden)
        recorded["hidden"] = kept["hidden"][0]
        phase_rad = light.laser.phase_rad(now)
        recorded["output"] = light.homodyne["output"].volts(np.ascontiguousarray(trace.outputs.real, level.dtype), now, phase_rad, fired.dwell_s)
        recorded["monitors"] = self._powers([stage.arms for stage in trace.stages if stage is not None and stage.arms is not None], now, fired)
        return recorded

    def _behind(self, fired: Fired, inside: Fields, now: float) -> dict[str, Fields]:
        light, (n0, n1, _) = self._light, self._light.optics.design.sizes
        error = self._fields(fired, "error", now)
        assert error is not None
        found = [self._chip.backward(inside, error[:, part], stretch) for stretch, part in ((0, slice(0, n1)), (1, slice(n1, None)))]
        out = np.concatenate([trace.outputs.real for trace in found], axis=1)
        arms = [stage.arms for trace in found for stage in trace.stages if stage is not None and stage.arms is not None]
        volts = self._backward.volts(np.ascontiguousarray(out), now, light.laser.phase_rad(now), fired.dwell_s)
        return {"monitors": self._powers(arms, now, fired), "backward": volts}

    def _powers(self, arms: list[Fields], now: float, fired: Fired) -> Fields:
        """(T, 2K) volts, both arms of a coupler side by side."""
        powers = np.concatenate([np.abs(section[0]) ** 2 for section in arms], axis=1)
        return self._arms.volts(np.ascontiguousarray(powers.reshape(len(powers), -1)), now, 0.0, fired.dwell_s)
