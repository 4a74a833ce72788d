"""What a panel of macropixels does, as it is fitted: one curve of gray to field, a scale of every macropixel, leaks and lags.

    field = -cos(phase/2), phase = commanded + sum_k c_k sin(k commanded/2), commanded in 0 to 2 pi
    light = tap x beam x (R (scale field) C), R and C tridiagonal: a part of every macropixel's light leaks to each neighbour

A beam crosses a column and a tap sees a row, or the other way round. What a row or a column has in common is light or detector: a
source that is not uniform is neither taken for the curve nor for the scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from labonn.channels import Floats
from labonn.response import HARMONICS, response_of
from labonn.shots import Ints

NAME, VERSION = "macropixel-field", 1
PARAMETERS = (*(f"c{k + 1}" for k in range(HARMONICS)), "leak_rows", "leak_columns", "rest_up", "rest_down")
MOST_FITTED = 5_000  # macropixels that the common parameters are fitted to; the scale is found of all
TURNS = 5  # of scales and the light of frames, which go together where a tap sees few macropixels
ROUNDS = 3  # of scales and common parameters in turns
LEAST_SEEN = 4  # macropixels at a tap that tell its light from theirs
TINY = 1e-300
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Frames:
    """What was to be shown: frame n has level `index[n, r, c]` of `levels` (L,), phases in rad; frame 0 only comes before the others."""

    levels: Floats
    index: Ints

    def part(self, rows: slice) -> Frames:
        """Some of the panel's rows."""
        return Frames(self.levels, self.index[:, rows])

    def half(self, second: bool) -> Frames:
        """The first or the second half of the time."""
        middle = len(self.index) // 2
        return Frames(self.levels, self.index[middle:] if second else self.index[: middle + 1])


@dataclass(frozen=True)
class Panel:
    """Fitted.

    Attributes:
        common: (9,) harmonics (rad), parts that leak to each neighbour in a column and in a row, and parts of a change that are still
            to come when a frame is read, up and down. covariance: (9, 9).
        scale: (R, C) of every macropixel, geometric means 1 in all rows and columns; 0 where it was not used. sigma: its standard errors.
        rows, columns: (R,), (C,) what those have in common; the product in volts.
        light: (N, R, 1) or (N, 1, C) factor of every frame at every tap.
        noise: (R, C) rms residual, as a part of the macropixel's light.
    """

    common: Floats
    covariance: Floats
    scale: Floats
    sigma: Floats
    rows: Floats
    columns: Floats
    light: Floats
    noise: Floats

    @property
    def harmonics(self) -> Floats:
        """(k,) of the curve."""
        return self.common[:HARMONICS]

    @property
    def leaks(self) -> tuple[float, float]:
        """Down the columns, along the rows."""
        return float(self.common[HARMONICS]), float(self.common[HARMONICS + 1])

    @property
    def volts(self) -> Floats:
        """(R, C) of a tap, at a field of 1 in all macropixels around and no leak."""
        return np.asarray(np.outer(self.rows, self.columns))

    def predicted(self, frames: Frames) -> Floats:
        """(N, R, C) volts of all frames but the first."""
        return self.volts * shown(self.common, self.scale, frames)


def blurred(field: Floats, leaks: tuple[float, float]) -> Floats:
    """(..., R, C) light of fields whose neighbours leak into each other; what leaks over the edge is lost."""
    down, along = leaks
    mixed = field * (1 - 2 * down)
    if down:
        mixed[..., 1:, :] += down * field[..., :-1, :]
        mixed[..., :-1, :] += down * field[..., 1:, :]
    out = mixed * (1 - 2 * along)
    if along:
        out[..., 1:] += along * mixed[..., :-1]
        out[..., :-1] += along * mixed[..., 1:]
    return np.asarray(out)


def shown(common: Floats, scale: Floats, frames: Frames) -> Floats:
    """(N, R, C) fields of all frames but the first, with leaks and with what the frame before left."""
    curve = response_of(frames.levels, common[:HARMONICS])
    field = curve[frames.index]
    change = field[:-1] - field[1:]
    up, down = common[HARMONICS + 2 :]
    return blurred(scale * (field[1:] + np.where(change < 0, up, down) * change), (common[HARMONICS], common[HARMONICS + 1]))


def fitted_panel(frames: Frames, light: Floats, used: Mask, axis: int) -> Panel:
    """The panel that gives such light.

    Args:
        light: (N, R, C) volts that were seen of every macropixel. used: (R, C) macropixels to be fitted.
        axis: 2 where a tap sees a row, 1 where it sees a column.
    """
    panel = _start(frames, light, used)
    some = _some_rows(light.shape)
    for turn in range(ROUNDS):
        panel = _scaled(panel, frames, light, used, axis)
        panel = _common(panel, frames.part(some), light[:, some], used[some], some, axis, last=turn == ROUNDS - 1)
    return _scaled(panel, frames, light, used, axis)


def _start(frames: Frames, light: Floats, used: Mask) -> Panel:
    """As if the panel were perfect."""
    field = -np.cos(0.5 * frames.levels)[frames.index[1:]]
    volts = np.einsum("nrc,nrc->rc", field, light) / np.maximum(np.einsum("nrc,nrc->rc", field, field), TINY)
    scale = np.where(used & (volts != 0), volts, 0.0)
    zeros = np.zeros_like(scale)
    panel = Panel(
        np.zeros(len(PARAMETERS)), np.zeros((len(PARAMETERS),) * 2), scale, zeros, np.ones(len(scale)), np.ones(scale.shape[1]),
        np.ones((len(light), 1, 1)), zeros,
    )  # fmt: skip
    return _balanced(panel)


def _balanced(panel: Panel) -> Panel:
    """What all macropixels of a row or a column have in common goes to `rows` and `columns`."""
    used = panel.scale != 0
    size = np.where(used, np.log(np.where(used, np.abs(panel.scale), 1.0)), 0.0)
    down, along = np.zeros(len(size)), np.zeros(size.shape[1])
    for _ in range(30 if not used.all() else 2):
        down += np.where(used, size - down[:, None] - along, 0.0).sum(axis=1) / np.maximum(used.sum(axis=1), 1)
        along += np.where(used, size - down[:, None] - along, 0.0).sum(axis=0) / np.maximum(used.sum(axis=0), 1)
    middle = float(along[used.any(axis=0)].mean()) if used.any() else 0.0
    down, along = down + middle, along - middle
    scale = panel.scale * np.exp(-down)[:, None] * np.exp(-along)
    return replace(panel, scale=scale, rows=panel.rows * np.exp(down), columns=panel.columns * np.exp(along))


def _some_rows(shape: tuple[int, ...]) -> slice:
    """Rows in the middle that make up no more than MOST_FITTED macropixels."""
    rows = min(shape[1], max(4, MOST_FITTED // shape[2]))
    start = (shape[1] - rows) // 2
    return slice(start, start + rows)


def tap_light(expected: Floats, light: Floats, axis: int) -> Floats:
    """(N, R, 1) or (N, 1, C) how bright each frame was at each tap, by all macropixels that it sees; where few are, by those of all taps.

    Interferometers drift against each other, so that taps do not go up and down together.

    Args:
        axis: 2 where a tap sees a row, 1 where it sees a column.
    """
    power = np.einsum("nrc,nrc->nrc", expected, expected)
    both = expected * light
    own, seen = power.sum(axis=axis, keepdims=True), (power[0] > 0).sum(axis=axis - 1, keepdims=True)[None]
    whole = both.sum(axis=(1, 2), keepdims=True) / np.maximum(power.sum(axis=(1, 2), keepdims=True), TINY)
    return np.where(
        (seen >= LEAST_SEEN) & (own > 0), both.sum(axis=axis, keepdims=True) / np.maximum(own, TINY), np.where(whole > 0, whole, 1.0)
    )


def _scaled(panel: Panel, frames: Frames, light: Floats, used: Mask, axis: int) -> Panel:
    """Scales of all macropixels, and the light of every frame, for these common parameters."""
    base = panel.predicted(frames)
    base[:, ~used] = 0.0
    change = np.ones(used.shape)
    for _ in range(TURNS):
        factor = tap_light(change * base, light, axis)
        factor = factor / factor.mean(axis=0)
        expected = factor * base
        own = np.einsum("nrc,nrc->rc", expected, expected)
        change = np.where(used & (own > 0), np.einsum("nrc,nrc->rc", expected, light) / np.maximum(own, TINY), 0.0)
    left = light - change * expected
    freedom = max(len(light) * (1 - factor[0].size / max(int(used.sum()), factor[0].size + 1)) - 1, 1.0)
    noise = np.sqrt(np.einsum("nrc,nrc->rc", left, left) / freedom)
    scale = np.where(used & (change != 0), panel.scale * change, 0.0)
    there = np.where(scale != 0, np.abs(scale) * panel.volts, np.inf)
    sigma = np.abs(scale) * noise / np.sqrt(np.maximum(own, TINY))
    return _balanced(replace(panel, scale=scale, sigma=sigma, light=factor, noise=noise / there))


def _common(panel: Panel, frames: Frames, light: Floats, used: Mask, rows: slice, axis: int, last: bool) -> Panel:
    """With common parameters that fit: scales and the light of frames follow them."""
    scale, volts = panel.scale[rows], panel.volts[rows]
    size = np.maximum(np.abs(scale) * volts, 0.05 * float(np.median((np.abs(scale) * volts)[used])))
    free = [i for i in range(len(PARAMETERS)) if not ((i == HARMONICS and len(scale) == 1) or (i == HARMONICS + 1 and scale.shape[1] == 1))]

    def left(values: Floats) -> Floats:
        common = np.zeros(len(PARAMETERS))
        common[free] = values
        expected = volts * shown(common, scale, frames)
        for _ in range(2):  # light of frames and scales go with the curve
            expected = tap_light(expected, light, axis) * expected
            own = np.maximum(np.einsum("nrc,nrc->rc", expected, expected), TINY)
            expected = np.einsum("nrc,nrc->rc", expected, light) / own * expected
        rest = (light - expected) / size
        rest[:, ~used] = 0.0
        return np.asarray(rest.reshape(-1))

    found = least_squares(left, panel.common[free], x_scale=0.05, max_nfev=10, loss="soft_l1", f_scale=0.05)
    common, covariance = np.zeros(len(PARAMETERS)), panel.covariance.copy()
    common[free] = found.x
    if last:
        covariance[np.ix_(free, free)] = _spread(_jacobian(left, found.x), left(found.x), len(light))
    return replace(panel, common=common, covariance=covariance)


def _jacobian(function: Callable[[Floats], Floats], at: Floats, step: float = 1e-4) -> Floats:
    sides = [(function(at + step * unit) - function(at - step * unit)) / (2 * step) for unit in np.eye(len(at))]
    return np.stack(sides, axis=1)


def _spread(jacobian: Floats, left: Floats, frames: int) -> Floats:
    """Covariance, where errors may go together within a frame: Cameron and Miller, J. Human Resources 50, 317 (2015), Eq. 11."""
    bread = np.linalg.pinv(jacobian.T @ jacobian)
    score = np.einsum("fpk,fp->fk", jacobian.reshape(frames, -1, len(bread)), left.reshape(frames, -1))
    return np.asarray(bread @ (score.T @ score) @ bread * frames / max(frames - 1, 1))
