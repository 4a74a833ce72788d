"""A phase SLM in regions, and the light of the zeroth and first order that each of them diffracts: codes in, watts out.

Behind each region a lens: the field of an order is the Fourier coefficient of exp(i phase) over the region, the first at the frequency
where its detector stands. Edges between pixels are blurred (a Gaussian of `crosstalk_px`), which takes light from short periods.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d
from scipy.special import ndtr

from sim_backends.physics.arrays import Floats, require
from sim_backends.physics.drift import OrnsteinUhlenbeck
from sim_backends.physics.noise import Noise

Complex = NDArray[np.complexfloating]
FINE = 8  # samples a pixel along the rows
_SETTLED = 12.0  # time constants


@dataclass(frozen=True)
class OrdersSettings:
    """The panel, its light, and what is wrong with them.

    Attributes:
        regions: (down, across). period_px: of the grating whose first order the detectors wait for.
        stroke_turns: mean phase of the last code. lut_nonlinearity: largest deviation of the phase from linear, of a turn.
        region_scale: standard deviation of the phase scale, region to region. fill_factor: of the field.
        flicker_rad, flicker_period_s: rms of the phase, region by region, and how long it stands still.
        crosstalk_px: width (sigma) of edges. tau_rise_s, tau_fall_s: settling of a pixel's phase.
        drift_per_s: relative change of all phases (0 unless something warms up).
        light_spread: of the regions' illumination. stray: part of the zeroth order's light on the first's detector; `overlap`: of its
            field, which interferes.
        slope_w_per_a, threshold_a, rin, walk_per_sqrt_h: of the laser; RIN is of a shot.
        v_per_w, noise_v, dark_v: of the detectors; standard deviations. gain: of all of them; what makes them saturate.
        blocked: regions whose beam is blocked. swapped: pairs of regions whose detectors are exchanged.
        wrong_monitor: the frames are shown on another monitor; this panel stays at code 0.
    """

    regions: tuple[int, int] = (4, 4)
    period_px: int = 48
    stroke_turns: float = 1.15
    lut_nonlinearity: float = 0.075
    region_scale: float = 0.02
    fill_factor: float = 0.93
    flicker_rad: float = 0.02
    flicker_period_s: float = 1 / 120
    crosstalk_px: float = 0.2
    tau_rise_s: float = 7e-3
    tau_fall_s: float = 5e-3
    drift_per_s: float = 0.0
    light_spread: float = 0.1
    stray: float = 0.003
    overlap: float = 0.0
    slope_w_per_a: float = 0.5
    threshold_a: float = 5e-3
    rin: float = 1e-4
    walk_per_sqrt_h: float = 0.005
    v_per_w: float = 1500.0
    noise_v: float = 2e-4
    dark_v: float = 1e-3
    gain: float = 1.0
    blocked: tuple[int, ...] = ()
    swapped: tuple[tuple[int, int], ...] = ()
    wrong_monitor: bool = False

    def __post_init__(self) -> None:
        require(self, 0, 1, "fill_factor", "flicker_rad", "tau_rise_s", "tau_fall_s", "rin", "noise_v", "dark_v", "stray", "overlap")
        require(self, 0, 0.1, "lut_nonlinearity")  # beyond, the phase does not only grow
        require(self, 0, 0.3, "region_scale", "light_spread", "walk_per_sqrt_h")
        require(self, 0, 2, "crosstalk_px")
        require(self, 0.1, 10, "stroke_turns")
        require(self, -1, 1, "drift_per_s")
        require(self, 1e-6, math.inf, "flicker_period_s", "gain", "slope_w_per_a", "v_per_w")
        require(self, 2, 4096, "period_px")
        count = self.regions[0] * self.regions[1]
        wrong = [r for r in (*self.blocked, *(r for pair in self.swapped for r in pair)) if not 0 <= r < count]
        if wrong:
            raise ValueError(f"blocked, swapped: there is no region {wrong[0]}; there are {count}")

    def ideal(self) -> OrdersSettings:
        """Linear, alike everywhere, quiet and at once; what is broken stays broken."""
        return replace(
            self, lut_nonlinearity=0.0, region_scale=0.0, fill_factor=1.0, flicker_rad=0.0, crosstalk_px=0.0, tau_rise_s=0.0,
            tau_fall_s=0.0, light_spread=0.0, stray=0.0, rin=0.0, walk_per_sqrt_h=0.0, noise_v=0.0, dark_v=0.0,
        )  # fmt: skip


class OrdersTruth:
    """What the seed draws.

    Attributes:
        phase_rad: (R, 2**bits) phase of every code in every region. light: (R,) illumination around 1. dark_v: (2R,) of the detectors.
    """

    def __init__(self, bits: int, settings: OrdersSettings, noise: Noise) -> None:
        s, count = settings, settings.regions[0] * settings.regions[1]
        x = np.linspace(0, 1, 2**bits)
        deviation = noise.child("lut").normal(3, np.float64) @ np.sin(np.pi * np.outer(np.arange(1, 4), x))
        lut = 2 * np.pi * (s.stroke_turns * x + s.lut_nonlinearity * deviation / np.abs(deviation).max())
        self.phase_rad = (1 + s.region_scale * noise.child("scale").normal((count, 1), np.float64)) * lut
        self.light = 1 + s.light_spread * noise.child("light").generator.uniform(-1, 1, count)
        self.light[list(s.blocked)] = 0.0
        self.dark_v = s.dark_v * noise.child("dark").normal(2 * count, np.float64)


class RegionPanel:
    """The phases that a panel shows, settling after every frame.

    Args:
        columns_px: width of a macropixel.
    """

    def __init__(self, rows: int, columns: int, columns_px: int, truth: OrdersTruth, settings: OrdersSettings) -> None:
        down, across = settings.regions
        if rows % down or columns % across:
            raise ValueError(f"{rows} x {columns} macropixels cannot be divided into {down} x {across} regions")
        self._truth, self._settings, self._px = truth, settings, columns_px
        self._split = down, rows // down, across, columns // across
        self._codes = np.zeros((down * across, rows // down, columns // across), np.intp)
        self._target = self._before = self._look_up(self._codes)
        self._since_s = -math.inf

    def show(self, codes: NDArray[np.unsignedinteger], now_s: float) -> None:
        """Start to change to `codes` (rows, columns) at bench time `now_s`."""
        down, rows, across, columns = self._split
        self._before = self.phase_rad(now_s)
        self._codes = codes.reshape(down, rows, across, columns).swapaxes(1, 2).reshape(-1, rows, columns).astype(np.intp)
        self._target, self._since_s = self._look_up(self._codes), now_s

    def phase_rad(self, now_s: float) -> Floats:
        """(R, rows, columns) phases of the macropixels of every region."""
        s, elapsed_s = self._settings, now_s - self._since_s
        if elapsed_s > _SETTLED * max(s.tau_rise_s, s.tau_fall_s):
            return self._target
        rise, fall = (math.exp(-elapsed_s / tau_s) if tau_s else 0.0 for tau_s in (s.tau_rise_s, s.tau_fall_s))
        change = self._before - self._target
        return np.asarray(self._target + change * np.where(change < 0, rise, fall))

    def fields(self, now_s: float) -> tuple[Complex, Complex]:
        """(R,) complex fields of the zeroth and the first order, of full light."""
        phase = np.repeat(self.phase_rad(now_s) * (1 + self._settings.drift_per_s * now_s), self._px * FINE, axis=-1)
        return orders(phase, self._settings)

    def _look_up(self, codes: NDArray[np.intp]) -> Floats:
        return np.stack([lut[part] for lut, part in zip(self._truth.phase_rad, codes, strict=True)])


def orders(phase_rad: Floats, settings: OrdersSettings) -> tuple[Complex, Complex]:
    """Complex fields (R,) of the zeroth and first order of phases (R, rows, n), FINE samples a pixel, whole periods of equal edges."""
    if settings.crosstalk_px:
        width = settings.crosstalk_px * FINE
        edges = ndtr((np.arange(-math.ceil(5 * width) - 1, math.ceil(5 * width) + 1) + 0.5) / width)
        phase_rad = convolve1d(phase_rad, np.diff(edges), axis=-1, mode="nearest")  # exact at the middle of every sample
    real, imaginary = np.cos(phase_rad).mean(axis=1), np.sin(phase_rad).mean(axis=1)  # several times as fast as the complex exponential
    wave = _wave(real.shape[-1], settings.period_px)
    zeroth = settings.fill_factor * (real.mean(axis=-1) + 1j * imaginary.mean(axis=-1))
    return zeroth, settings.fill_factor * (real @ wave + 1j * (imaginary @ wave)) + settings.overlap * zeroth


@lru_cache(maxsize=4)
def _wave(samples: int, period_px: int) -> NDArray[np.complex128]:
    """(n,) what the light is weighed with on its way to the first order."""
    place = (np.arange(samples) + 0.5) / (FINE * period_px)
    return np.asarray(np.exp(-2j * np.pi * place) / samples)


class OrdersLight:
    """Laser, panel and detectors."""

    def __init__(self, truth: OrdersTruth, settings: OrdersSettings, noise: Noise) -> None:
        s = self._settings = settings
        self.truth = truth
        self._power = OrnsteinUhlenbeck(noise.child("power"), 1, s.walk_per_sqrt_h / 60, 6 * 3600.0, 1.0)
        self._shots, self._rin, self._flicker = (noise.child(name) for name in ("shots", "rin", "flicker"))
        self._order = np.arange(len(truth.light))
        for one, two in s.swapped:
            self._order[[one, two]] = self._order[[two, one]]

    def laser_w(self, current_a: float) -> float:
        """Watts of the laser at a current."""
        return self._settings.slope_w_per_a * max(0.0, current_a - self._settings.threshold_a)

    def volts(self, zeroth: Complex, first: Complex, watts: float, shots: int, now_s: float, dwell_s: float) -> Floats:
        """(T, 2R) volts of the detectors, all first orders before all zeroth ones; flicker turns the phase of both alike.

        Args:
            zeroth, first: (R,) complex fields; the phase between grays is twice the angle between the orders' parts.
        """
        s, count = self._settings, len(zeroth)
        together = max(1, int(s.flicker_period_s / dwell_s + 1e-6))
        drawn = self._flicker.normal((-(-shots // together), count), np.float64, s.flicker_rad)
        eps = np.repeat(drawn, together, axis=0)[:shots] * min(1.0, s.flicker_period_s / dwell_s) ** 0.5
        power = (np.abs(zeroth) ** 2, np.abs(first) ** 2)
        turned = _turned(*power, eps)
        light = watts * self.truth.light * (1 + float(self._power.values(now_s)[0]))
        light = light * (1 + s.rin * self._rin.normal((shots, 1), np.float64))
        seen = [(light * part)[:, self._order] for part in (turned[1] + s.stray * turned[0], turned[0])]
        volts = s.gain * (s.v_per_w * np.concatenate(seen, axis=1) + self.truth.dark_v)
        return np.asarray(volts + s.noise_v * self._shots.normal(volts.shape, np.float64))


def _turned(zeroth: Floats, first: Floats, eps: Floats) -> tuple[Floats, Floats]:
    """Powers (T, R) of both orders with the grating's phase turned by `eps` (T, R), for a binary grating 0/phase of these powers.

    zeroth = a cos^2(phase/2), first = b sin^2(phase/2) with b = (2/pi)^2 a: both are turned about their mean.
    """
    ratio = (2 / np.pi) ** 2
    whole = zeroth + first / ratio
    cos = np.clip((zeroth - first / ratio) / np.maximum(whole, 1e-300), -1, 1)
    phase = np.arccos(cos) + eps
    return 0.5 * whole * (1 + np.cos(phase)), 0.5 * ratio * whole * (1 - np.cos(phase))
