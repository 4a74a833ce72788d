"""The LCoS panel: gray codes in, signed field transmissions out, with what liquid crystals do on the way.

field = scale x fill factor x -cos(phase/2): code 0 is -1, the last code +1. The panel settles in the field domain. Crosstalk between
pixels is linear in the light and is therefore applied to the light: field matrix F acts as z = blur_rows(F blur_columns(x)).
Flicker: rows are refreshed one after another and every code has its own pulse sequence, so that pixels flicker independently; after a
period the phases are others. To first order it adds sum_i F'_ji eps_i x_i to output j, which is Gaussian of variance
eps^2 <F'^2> |x|^2, with <F'^2> = (<scale^2> - <F^2>)/4 as the mean over the panel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sim_backends.physics.arrays import Constant, Floats, require
from sim_backends.physics.noise import Noise

_SETTLED_STEPS = 1 / 50  # a panel is settled when nothing is further from its goal than this part of the largest step of one code
_FOLDED_PIXELS = 50_000  # up to here crosstalk is worked into the field matrix once a frame, which costs less than blurring all light
_LATE_TICKS = 50  # after 6 time constants the rest moves so little that it may move in this many ticks at once
_STEEPEST_LUT = 0.1  # sin(3 pi x) of this size is where a table of codes stops being monotone


@dataclass(frozen=True)
class SlmSettings:
    """A panel and its imperfections.

    Attributes:
        native_rows, native_columns: pixels of the panel; a macropixel is the largest whole number of them.
        lut_nonlinearity: largest deviation of the phase from linear, in turns of 2 pi.
        pixel_scale: standard deviation of the field scale N(1, pixel_scale), macropixel to macropixel.
        fill_factor: common factor on the field.
        flicker_rad: rms of the flicker phase of a pixel. flicker_period_s: how long one set of flicker phases lasts, one refresh.
        tau_rise_s, tau_fall_s: settling times of fields that go up and down; 0 is immediate.
        settle_tick_s: while settling, the field moves at these ticks after the frame change.
        crosstalk_px: width (sigma) of the edge between native pixels, in pixels.
    """

    native_rows: int = 1080
    native_columns: int = 1920
    lut_nonlinearity: float = 0.075
    pixel_scale: float = 0.02
    fill_factor: float = 0.93
    flicker_rad: float = 0.02
    flicker_period_s: float = 1 / 120
    tau_rise_s: float = 7e-3
    tau_fall_s: float = 5e-3
    settle_tick_s: float = 1e-4
    crosstalk_px: float = 0.2

    def __post_init__(self) -> None:
        require(self, 0, _STEEPEST_LUT, "lut_nonlinearity")
        require(self, 0, 0.3, "pixel_scale")
        require(self, 0, 1, "fill_factor", "tau_rise_s", "tau_fall_s", "flicker_rad")
        require(self, 0, 0.6, "crosstalk_px")
        require(self, 1e-6, math.inf, "flicker_period_s", "settle_tick_s")

    @classmethod
    def ideal(cls) -> SlmSettings:
        """field = -cos(pi code / last code), at once and for ever."""
        return cls(lut_nonlinearity=0, pixel_scale=0, fill_factor=1, flicker_rad=0, tau_rise_s=0, tau_fall_s=0, crosstalk_px=0)


def true_phase(bits: int, settings: SlmSettings, noise: Noise) -> NDArray[np.float64]:
    """(2**bits,) phase of every code in rad: linear from 0 to 2 pi plus a smooth, monotone deviation that the seed chooses."""
    x = np.linspace(0, 1, 2**bits)
    harmonics = np.sin(np.pi * np.outer(np.arange(1, 4), x))
    deviation = noise.normal(3, np.float64) @ harmonics
    return np.asarray(2 * np.pi * (x + settings.lut_nonlinearity * deviation / np.abs(deviation).max()))


def leak(crosstalk_px: float, macropixel_px: int) -> float:
    """Fraction of a macropixel's field that ends in each neighbour: a Gaussian edge moves sigma/sqrt(2 pi) pixels across."""
    return crosstalk_px / (math.sqrt(2 * math.pi) * macropixel_px)


def _blur(light: Floats, fraction: float) -> Floats:
    """Along the last axis."""
    if not fraction:
        return light
    blurred = light * (1 - 2 * fraction)
    side = light * fraction
    blurred[..., 1:] += side[..., :-1]
    blurred[..., :-1] += side[..., 1:]
    return blurred


def _blur_down(field: Floats, fraction: float) -> Floats:
    """Along the first axis."""
    if not fraction:
        return field
    blurred = field * (1 - 2 * fraction)
    side = field * fraction
    blurred[1:] += side[:-1]
    blurred[:-1] += side[1:]
    return blurred


class Panel:
    """A panel of rows x cols macropixels; shows code 0 until something else is shown.

    Attributes:
        phase_rad: (2**bits,) true phase of every code. scale: (rows, cols) true field scale, fill factor included.
    """

    def __init__(self, rows: int, cols: int, bits: int, settings: SlmSettings, noise: Noise, dtype: DTypeLike = np.float32) -> None:
        s = settings
        if not (1 <= rows <= s.native_rows and 1 <= cols <= s.native_columns):
            raise ValueError(f"{rows} x {cols} macropixels do not fit on {s.native_rows} x {s.native_columns} pixels")
        if not 1 <= bits <= 16:
            raise ValueError(f"a panel of {bits} bits; allowed is 1 to 16")
        self._settings, self._shape, self._codes_end = s, (rows, cols), 2**bits
        self._noise_of_flicker = noise.child("flicker")
        self.phase_rad = true_phase(bits, s, noise.child("lut"))
        scale = 1 + s.pixel_scale * noise.child("scale").normal((rows, cols), np.float64)
        self.scale = Constant(s.fill_factor * scale)
        self._mean_square_scale = float(np.mean(self.scale.values**2))
        self._cosine = np.asarray(-np.cos(self.phase_rad / 2), dtype)
        self._leaks = leak(s.crosstalk_px, s.native_rows // rows), leak(s.crosstalk_px, s.native_columns // cols)
        self._tau_s, self._settled_s = max(s.tau_rise_s, s.tau_fall_s), -math.inf
        self._folded = rows * cols <= _FOLDED_PIXELS
        self._sensitivity: tuple[int, float] = (-1, 0.0)
        self._version, self._since_s = 0, -math.inf
        self._codes: NDArray[Any] = np.zeros((rows, cols), np.uint8)
        self._target: Floats = np.empty((rows, cols), dtype)
        self._look_up(self._codes, self._target)
        self._before: NDArray[Any] = self._codes  # codes of the frame before if it had settled, else the field at the change
        self._change: Floats | None = None
        self._cached: tuple[tuple[int, int], Floats] | None = None

    def show(self, codes: NDArray[np.unsignedinteger[Any]], now_s: float) -> None:
        """Start to change to `codes` (rows, cols), unsigned integers below 2**bits, at bench time `now_s`."""
        if codes.shape != self._shape or codes.dtype.kind != "u":
            raise ValueError(f"a frame is an unsigned integer array of shape {self._shape}, not {codes.dtype}{list(codes.shape)}")
        if self._codes_end < 2 ** (8 * codes.dtype.itemsize) and codes.max() >= self._codes_end:
            raise ValueError(f"a frame holds code {codes.max()}; the last one is {self._codes_end - 1}")
        new = np.array(codes, order="C")
        if self._tau_s:
            tick = self.key(now_s)[1]
            self._before = self._codes if tick < 0 else self._current(now_s)
            self._change = None
            steps = int((np.maximum(new, self._codes) - np.minimum(new, self._codes)).max(initial=0))
            enough = self._tau_s * math.log(steps / _SETTLED_STEPS) if steps else 0.0
            self._settled_s = enough if tick < 0 else max(enough, self._tau_s * math.log(self._codes_end / _SETTLED_STEPS))
        self._codes = new
        self._look_up(self._codes, self._target)
        self._since_s = now_s
        self._version += 1

    def key(self, now_s: float) -> tuple[int, int]:
        """Changes when the field changes: (frame, settling tick or -1 when settled)."""
        s, elapsed_s = self._settings, now_s - self._since_s
        settling = math.floor(max(0.0, elapsed_s) / s.settle_tick_s + 1e-6) if elapsed_s < self._settled_s else -1
        if elapsed_s > 6 * self._tau_s:
            settling -= settling % _LATE_TICKS if settling >= 0 else 0
        return self._version, settling

    def field(self, now_s: float) -> Floats:
        """(rows, cols) field transmissions at bench time `now_s`; not to be written to, and good until the next frame."""
        key = self.key(now_s)
        if self._cached is None or self._cached[0] != key:
            field = self._current(now_s)
            if self._folded and any(self._leaks):
                field = _blur_down(_blur(field, self._leaks[1]), self._leaks[0])
            self._cached = key, field
        return self._cached[1]

    def blur_columns(self, x: Floats) -> Floats:
        """(T, cols) light as it reaches the columns; what leaks over the panel's edge is lost, so the operator is self-adjoint.

        A small panel's `field` has its crosstalk worked in; its light passes here as it is.
        """
        return x if self._folded else _blur(x, self._leaks[1])

    def blur_rows(self, z: Floats) -> Floats:
        """(T, rows) light as it leaves the rows; self-adjoint as well, so backward light sees the same."""
        return z if self._folded else _blur(z, self._leaks[0])

    def flicker(self, light: Floats, outputs: int, dwell_s: float) -> Floats | None:
        """(T, outputs) field that flicker adds to light (T, inputs) that goes through the panel, either way; None without flicker.

        Args:
            light: what arrives at the panel. outputs: rows forward, columns backward. dwell_s: of a shot; shots within a period share it.
        """
        s = self._settings
        if not s.flicker_rad:
            return None
        shots = len(light)
        together = max(1, int(s.flicker_period_s / dwell_s + 1e-6))
        drawn = self._noise_of_flicker.normal((-(-shots // together), outputs), light.dtype)
        averaged = min(1.0, s.flicker_period_s / dwell_s) ** 0.5  # a long shot averages over its periods
        strength = np.einsum("ti,ti->t", light, light)
        np.sqrt(strength, out=strength)
        strength *= light.dtype.type(self._rms_slope() * s.flicker_rad * averaged)
        each = drawn if together == 1 or together >= shots else drawn[np.arange(shots) // together]
        return np.asarray(strength[:, None] * each)

    def refresh(self, now_s: float) -> int:
        """Which flicker period it is, counted from the last frame."""
        return math.floor((now_s - self._since_s) / self._settings.flicker_period_s + 1e-6) if self._version else 0

    def _rms_slope(self) -> float:
        """Root mean square of dF/dphase over the panel."""
        if self._sensitivity[0] != self._version:
            flat = self._target.ravel()
            self._sensitivity = self._version, math.sqrt(max(0.0, self._mean_square_scale - float(flat @ flat) / flat.size)) / 2
        return self._sensitivity[1]

    def _look_up(self, codes: NDArray[Any], out: Floats) -> None:
        """The settled field of codes; all were checked, and "wrap" is the faster of the modes that do not check again."""
        np.take(self._cosine, codes, mode="wrap", out=out)
        out *= self.scale.like(out)

    def _current(self, now_s: float) -> Floats:
        tick = self.key(now_s)[1]
        return self._target if tick < 0 else self._add_rest(self._target.copy(), tick)

    def _add_rest(self, field: Floats, tick: int) -> Floats:
        """`field` plus what the last change has still to go; the sign of the change decides on the time constant."""
        s = self._settings
        if self._change is None:
            before = self._before
            if before.dtype.kind == "u":
                before = np.empty_like(self._target)
                self._look_up(self._before, before)
            self._change = before - self._target
        change = self._change
        elapsed_s = tick * s.settle_tick_s
        rise, fall = (math.exp(-elapsed_s / tau_s) if tau_s else 0.0 for tau_s in (s.tau_rise_s, s.tau_fall_s))
        # change = before - target is negative where the field rises: mean and half difference spare a mask
        part = np.multiply(change, 0.5 * (fall + rise))
        field += part
        if rise != fall:
            np.abs(change, out=part)
            part *= 0.5 * (fall - rise)
            field += part
        return field
