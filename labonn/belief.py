"""What is believed of single channels, where something has measured it: beams, macropixels, detectors and cells of one bench.

Only numbers: where they come from (labonn.calibration.beliefs.belief) is not the network's business. What nothing is known of is nominal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_banded

from labonn.channels import Floats

MOST_DIM = 0.5  # of the usual beam: darker ones are not what all others are dimmed to


@dataclass
class Inputs:
    """Modulators of the input beams, one by one: field = share sin(pi (V - bias) / (2 v_pi)).

    Attributes:
        v_pi_v, bias_v, share: (C,); share: light of the beam, in relation to the usual one.
        common: field of an image's white, the same of all beams. reach: (C,) part of it that they reach.
    """

    v_pi_v: Floats
    bias_v: Floats
    share: Floats
    common: float
    reach: Floats

    @classmethod
    def within(cls, v_pi_v: Floats, bias_v: Floats, share: Floats, lower: Floats, upper: Floats) -> Inputs:
        """As bright as all of them can be within the limits of their volts."""
        end = np.where(v_pi_v > 0, upper, lower)
        most = np.sin(0.5 * np.pi * np.clip((end - bias_v) / v_pi_v, 0, 1))
        own = share * np.where((lower <= bias_v) & (bias_v <= upper), most, 0.0)  # one that cannot be dark has no field to be asked for
        usual = float(np.median(own))
        common = max(float(own.min()), MOST_DIM * usual)
        return cls(v_pi_v, bias_v, share, common, np.minimum(own / common, 1.0))

    def volts(self, images: NDArray[np.uint8], dtype: type) -> Floats:
        """(N, C) volts of uint8 images, 255 = a field of `common` where it is reached; by a table of 256 entries a channel."""
        parts = np.linspace(0, 1, 256)[:, None] * np.minimum(self.common * self.reach / self.share, 1.0)
        table: Floats = (self.bias_v + 2 * self.v_pi_v / np.pi * np.arcsin(parts)).astype(dtype)
        return np.take_along_axis(table, images.astype(np.intp), axis=0)


@dataclass
class Macropixels:
    """One SLM: a field that is shown in a macropixel reaches its detector times `scale`, and leaks to the neighbours.

    Attributes:
        commanded, response: (n,) fields without and with the panel's curve, rising. scale: (R, C). leaks: down a column, along a row.
    """

    commanded: Floats
    response: Floats
    scale: Floats
    leaks: tuple[float, float]
    _factor: Floats | None = field(default=None, repr=False)

    def wanted(self, fields: Floats) -> Floats:
        """(R C,) fields to be shown so that `fields` (R C,) arrive; they may be beyond -1 and 1."""
        if self._factor is None or self._factor.dtype != fields.dtype:
            self._factor = (1 / self.scale).astype(fields.dtype)
        block: Floats = fields.reshape(self.scale.shape)
        for axis, leak in enumerate(self.leaks):
            block = _unleaked(block, leak, axis)
        return np.asarray(block * self._factor).reshape(fields.shape)

    def arriving(self, shown: Floats) -> Floats:
        """(R C,) the inverse."""
        block: Floats = shown.reshape(self.scale.shape) * self.scale
        for axis, leak in enumerate(self.leaks):
            block = _leaked(block, leak, axis)
        return np.asarray(block.reshape(shown.shape))


@dataclass
class Belief:
    """All that was measured of a bench's channels.

    Attributes:
        inputs: of the port `input`. macropixels: port -> SLM. volts_per_field: port -> (D,) factors on the nominal ones.
        celsius: (H,) set points that hold the wanted optical depth.
        ids: "port kind" -> id of the calibration that it was taken from.
    """

    inputs: Inputs | None = None
    macropixels: dict[str, Macropixels] = field(default_factory=dict)
    volts_per_field: dict[str, Floats] = field(default_factory=dict)
    celsius: Floats | None = None
    ids: dict[str, str] = field(default_factory=dict)

    def wanted(self, ports: Sequence[str], fields: Sequence[Floats]) -> list[Floats]:
        """Fields (R C,) of every SLM to be shown so that `fields` arrive."""
        known = self.macropixels
        return [known[port].wanted(part) if port in known else part for port, part in zip(ports, fields, strict=True)]


def _unleaked(block: Floats, leak: float, axis: int) -> Floats:
    """Solve (1 - 2 leak) x_i + leak (x_i-1 + x_i+1) = block_i along an axis."""
    if not leak:
        return block
    lines = block if axis == 0 else block.T
    bands = np.full((3, len(lines)), leak, block.dtype)
    bands[1] = 1 - 2 * leak
    solved = lines / bands[1, 0] if len(lines) == 1 else solve_banded((1, 1), bands, lines, check_finite=False)
    return np.asarray(solved if axis == 0 else solved.T)


def _leaked(block: Floats, leak: float, axis: int) -> Floats:
    lines = block if axis == 0 else block.T
    out = lines * (1 - 2 * leak)
    out[1:] += leak * lines[:-1]
    out[:-1] += leak * lines[1:]
    return np.asarray(out if axis == 0 else out.T)
