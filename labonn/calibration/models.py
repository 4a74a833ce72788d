"""The curves that are fitted, with derivatives, by name and version: a calibration belongs to one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from labonn.calibration.fitting import Curve, Mask
from labonn.calibration.starts import fringe_start
from labonn.channels import Floats

Start = Callable[[Floats, Floats, Mask], Floats]  # x (C, n), y (C, n), used (C, n) -> (C, k)


@dataclass(frozen=True)
class Model:
    """A curve of k parameters.

    Attributes:
        name, version: a calibration of another version is not used. parameters, units: (k,); "y" and "x" stand for those of the data.
        curve: values and derivatives of all channels. start: parameters to begin with, in the right basin.
        swing: (C, k) parameters -> (C,) how much the reading can change; what says whether a channel is alive.
        watched: parameter -> the one that it is measured in (V_pi for a bias), for drifts while it is measured.
        folded: brings parameters that mean the same to the same values.
    """

    name: str
    version: int
    parameters: tuple[str, ...]
    units: tuple[str, ...]
    curve: Curve
    start: Start
    swing: Callable[[Floats], Floats]
    watched: dict[str, str]
    folded: Callable[[Floats], Floats] = lambda parameters: parameters

    def units_of(self, x: str, y: str) -> tuple[str, ...]:
        """(k,) units, of data in these."""
        return tuple({"x": x, "y": y}.get(unit, unit) for unit in self.units)


def fringe(parameters: Floats, x: Floats) -> tuple[Floats, Floats]:
    """offset + amplitude cos(pi x / half_period + phase)."""
    offset, amplitude, half, phase = (parameters[:, i, None] for i in range(4))
    angle = np.pi * x / half + phase
    cos, sin = np.cos(angle), np.sin(angle)
    slopes = [np.ones_like(angle), cos, amplitude * sin * np.pi * x / half**2, -amplitude * sin]
    return offset + amplitude * cos, np.stack(slopes, axis=-1)


def intensity(parameters: Floats, x: Floats) -> tuple[Floats, Floats]:
    """low + (high - low)/2 [1 - cos(pi (x - bias)/v_pi)]: a Mach-Zehnder modulator on a photodiode."""
    low, high, v_pi, bias = (parameters[:, i, None] for i in range(4))
    angle = np.pi * (x - bias) / v_pi
    half = 0.5 * (1 - np.cos(angle))
    steep = 0.5 * (high - low) * np.sin(angle) * np.pi / v_pi
    return low + (high - low) * half, np.stack([1 - half, half, -steep * (x - bias) / v_pi, -steep], axis=-1)


def field_above(reference: float) -> Curve:
    """swing {sin[pi (x - bias)/(2 v_pi)] - sin[pi (reference - bias)/(2 v_pi)]}: a modulator on a homodyne detector, against a voltage."""

    def curve(parameters: Floats, x: Floats) -> tuple[Floats, Floats]:
        swing, v_pi, bias = (parameters[:, i, None] for i in range(3))
        rate = 0.5 * np.pi / v_pi
        here, there = rate * (x - bias), rate * (reference - bias)
        value = np.sin(here) - np.sin(there)
        by_rate = np.cos(here) * (x - bias) - np.cos(there) * (reference - bias)
        by_bias = -rate * (np.cos(here) - np.cos(there))
        return swing * value, np.stack([value, -swing * by_rate * rate / v_pi, swing * by_bias], axis=-1)

    return curve


def _intensity_start(x: Floats, y: Floats, used: Mask) -> Floats:
    offset, amplitude, half, phase = fringe_start(x, y, used).T
    bias = half * (np.pi - phase) / np.pi
    return _intensity_folded(np.stack([offset - amplitude, offset + amplitude, half, bias], axis=1))


def _intensity_folded(parameters: Floats) -> Floats:
    """V_pi positive, low below high, and the dark point that is nearest to 0 V."""
    low, high, v_pi, bias = parameters.T
    bias, v_pi = np.where(low > high, bias + v_pi, bias), np.abs(v_pi)
    with np.errstate(invalid="ignore"):
        bias = bias - 2 * v_pi * np.round(bias / (2 * v_pi))
    return np.stack([np.minimum(low, high), np.maximum(low, high), v_pi, bias], axis=1)


def _field_start(x: Floats, y: Floats, used: Mask) -> Floats:
    _, amplitude, half, phase = fringe_start(x, y, used).T
    return _field_folded(np.stack([amplitude, half / 2, -(phase + np.pi / 2) * half / np.pi], axis=1))


def _field_folded(parameters: Floats) -> Floats:
    """V_pi positive, and the dark point that is nearest to 0 V; the sign of the light goes with it."""
    swing, v_pi, bias = parameters.T
    swing, v_pi = np.where(v_pi < 0, -swing, swing), np.abs(v_pi)
    with np.errstate(invalid="ignore"):
        turns = np.round(bias / (2 * v_pi))
    return np.stack([swing * np.where(np.mod(turns, 2) == 1, -1.0, 1.0), v_pi, bias - 2 * v_pi * turns], axis=1)


def _difference(parameters: Floats) -> Floats:
    return np.abs(parameters[:, 1] - parameters[:, 0])


INTENSITY = Model(
    "mach-zehnder-intensity", 1, ("low", "high", "v_pi", "bias"), ("y", "y", "x", "x"), intensity, _intensity_start,
    _difference, {"bias": "v_pi", "high": "high"}, _intensity_folded,
)  # fmt: skip


def field_model(reference: float) -> Model:
    """Of readings that are differences to those at a reference voltage."""
    return Model(
        "mach-zehnder-field", 1, ("swing", "v_pi", "bias"), ("y", "x", "x"), field_above(reference), _field_start,
        lambda parameters: np.abs(2 * parameters[:, 0]), {"bias": "v_pi", "swing": "swing"}, _field_folded,
    )  # fmt: skip


VERSIONS: dict[str, int] = {
    "mach-zehnder-intensity": 1,
    "mach-zehnder-field": 1,
    "mesh-heaters": 1,
    "gain-section": 1,
    "photodetector": 1,
    "thermo-optic-bank": 1,
    "slm-phase-spline": 1,
    "matrix-rows": 1,
    "macropixel-field": 1,
    "absorber-eq4": 1,
    "absorber-two_level": 1,
    "absorber-doppler": 1,
    "absorber-gain": 1,
    "vapour-law": 1,
    "first-order-settling": 1,
}


def register(name: str, version: int) -> None:
    """Let calibrations of another model be believed; a procedure's module calls this when it is imported."""
    VERSIONS[name] = version


__all__: list[Any] = ["INTENSITY", "VERSIONS", "Model", "Start", "field_above", "field_model", "fringe", "intensity", "register"]
