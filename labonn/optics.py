"""The believed optics of a bench: nominal curves between what a network wants and what instruments are told, until they are measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from labonn.benchfile import BenchFile, dataclass_from, unknown_keys
from labonn.channels import Floats
from labonn.errors import BenchFileError, ProcedureError


def _positive(part: object, *names: str) -> None:
    """Raise ValueError unless the named numbers are above 0 and finite."""
    for name in names:
        value = getattr(part, name)
        if not 0 < value < np.inf:
            raise ValueError(f"{name} = {value}: must be positive")


@dataclass(frozen=True)
class Modulator:
    """Amplitude modulators read by homodyne detection: field = sin(pi (V - bias) / (2 v_pi)), from -1 to 1.

    Attributes:
        v_pi_v: volts from dark to full light. bias_v: volts of the dark point.
    """

    v_pi_v: float = 3.5
    bias_v: float = 0.0

    def __post_init__(self) -> None:
        _positive(self, "v_pi_v")

    def volts(self, fields: Floats) -> Floats:
        """Volts for `fields` (any shape, -1 to 1), dtype kept; beyond that NaN, which the limits refuse."""
        scale = fields.dtype.type(2 * self.v_pi_v / np.pi)
        with np.errstate(invalid="ignore"):
            volts = np.arcsin(fields)
        volts *= scale
        if self.bias_v:
            volts += fields.dtype.type(self.bias_v)
        return volts


@dataclass(frozen=True)
class Amplifier:
    """Interlayer amplifier and the path around it.

    Amplitude A(I) = throughput exp(([Gamma g0 L] ln((I + i_s)/(i_tr + i_s)) - [alpha_i L]) / 2).

    Attributes:
        gain: Gamma g0 L. loss: alpha_i L. transparency_a: i_tr. knee_a: i_s.
        throughput: field at the next cell, per field, at A = 1 and full SLM.
    """

    gain: float = 2.7225
    loss: float = 1.0
    transparency_a: float = 5.26e-3
    knee_a: float = 1e-3
    throughput: float = 1.0

    def __post_init__(self) -> None:
        _positive(self, "gain", "transparency_a", "knee_a", "throughput")

    def amplitude(self, current_a: Floats) -> Floats:
        """Amplitude factor of each section."""
        ratio = (current_a + self.knee_a) / (self.transparency_a + self.knee_a)
        return np.asarray(self.throughput * np.exp(0.5 * (self.gain * np.log(ratio) - self.loss)))

    def current(self, amplitude: Floats) -> Floats:
        """The current (A) that gives `amplitude`."""
        ratio = np.exp((2 * np.log(amplitude / self.throughput) + self.loss) / self.gain)
        return np.asarray((self.transparency_a + self.knee_a) * ratio - self.knee_a)


@dataclass(frozen=True)
class Oven:
    """Vapour cell: optical depth against temperature, interpolated in its logarithm (default: 75 mm, natural Rb, 87Rb F=2 D2).

    Of "gain" cells, whose atoms a pump beam inverts, the gain factor g0 in its place: the pump inverts them all, and the oven sets how
    many there are.

    Attributes:
        celsius, depth: the curve's points, rising.
    """

    celsius: tuple[float, ...] = (20.0, 40.0, 50.0, 60.0, 70.0, 80.0, 100.0)
    depth: tuple[float, ...] = (0.28, 2.2, 5.3, 12.0, 26.0, 54.0, 206.0)

    def __post_init__(self) -> None:
        rising = all(len(a) > 1 and all(x < y for x, y in pairwise(a)) for a in (self.celsius, self.depth))
        if not rising or len(self.celsius) != len(self.depth) or self.depth[0] <= 0:
            raise ValueError("celsius and depth must rise together, depth from above 0")

    def temperature(self, depth: float) -> float:
        """Degrees Celsius for an optical depth.

        Raises:
            ProcedureError: outside the curve.
        """
        if not self.depth[0] <= depth <= self.depth[-1]:
            raise ProcedureError(f"optical depth {depth:g} is outside {self.depth[0]:g} to {self.depth[-1]:g} (nominal.oven.depth)")
        return float(np.interp(np.log(depth), np.log(self.depth), self.celsius))

    def depth_at(self, celsius: Floats) -> Floats:
        """Optical depths at temperatures."""
        return np.exp(np.interp(celsius, self.celsius, np.log(self.depth)))


@dataclass(frozen=True)
class Detectors:
    """Homodyne detectors: volts a field of one (in units of the saturation field).

    Attributes:
        forward, output, backward: taps of the forward light, output, taps of the backward light.
    """

    forward: float = 0.09
    output: float = 0.09
    backward: float = 0.09

    def __post_init__(self) -> None:
        _positive(self, "forward", "output", "backward")


@dataclass(frozen=True)
class Optics:
    """All that is believed of a saturable-absorber bench.

    Attributes:
        cell: "eq4", "two_level", "doppler" or "gain".
        probe: field of an error beam at full modulation; behind the weights, at the cells, it must be weak against 1.
        feedback: amplitude gain of the interference error on its way back, before the feedback modulator.
        white: field of an input beam at full modulation, an image's white.
    """

    modulator: Modulator = field(default_factory=Modulator)
    amplifier: Amplifier = field(default_factory=Amplifier)
    oven: Oven = field(default_factory=Oven)
    detectors: Detectors = field(default_factory=Detectors)
    cell: str = "eq4"
    probe: float = 2.0
    feedback: float = 20.0
    white: float = 1.0

    @classmethod
    def of(cls, file: BenchFile) -> Optics:
        """The [nominal] table of a bench file; what it leaves out has the defaults above.

        Raises:
            BenchFileError: unknown keys or wrong values.
        """
        where, table = f"{file.name}: nominal", dict(file.nominal)
        parts: dict[str, Any] = {"modulator": Modulator, "amplifier": Amplifier, "oven": Oven, "detectors": Detectors}
        problems = unknown_keys(table, [*parts, "cell", *LEVELS], "nominal.")
        problems += [f"nominal.{key} = {table[key]!r}: a table is wanted" for key in parts if not isinstance(table.get(key, {}), dict)]
        if problems:
            raise BenchFileError("\n".join(f"{file.name}: {p}" for p in problems))
        made = {key: dataclass_from(part, table.get(key, {}), f"{where}.{key}") for key, part in parts.items()}
        cell = table.get("cell", cls.cell)
        if cell not in CELLS:
            raise BenchFileError(f"{where}.cell = {cell!r}: allowed are {', '.join(CELLS)}")
        levels: dict[str, Any] = {key: table.get(key, getattr(cls, key)) for key in LEVELS}
        for key, level in levels.items():
            if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 < level <= 100:
                raise BenchFileError(f"{where}.{key} = {level!r}: a number above 0 and up to 100 is wanted")
        made |= {key: float(level) for key, level in levels.items()}
        return cls(**made, cell=cell)


LEVELS = ("probe", "feedback", "white")
CELLS = ("eq4", "two_level", "doppler", "gain")
