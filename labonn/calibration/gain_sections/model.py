"""A gain section between a monitor and a photodiode: what is read of its current and of the power before it, and the fit of that.

    y = throughput P G + emission I (G - 1)/ln G,   ln(G/G0) = -(G - 1) compression P,   ln G0 = strength ln((I + shape)/(zero + shape))

P is what the monitor reads, y what the photodiode reads, both above their dark levels and straightened. `zero` is the current without net
gain; strength is Gamma g0 L. What the light loses between monitor, section and photodiode is in the throughput, which gain alone could
not be told from: it is the saturation that tells them apart, for a section without net gain passes strong light as it does weak light.
"""

from __future__ import annotations

import numpy as np
from scipy.special import wrightomega

from labonn.calibration.fitting import Fitted, Mask, fit
from labonn.calibration.models import Model
from labonn.channels import Floats

PARAMETERS = ("throughput", "strength", "zero", "shape", "compression", "emission")
UNITS = ("1", "1", "A", "A", "1/V", "V/A")
LEAST = 1e-12  # amperes in the logarithm
MOST = 20.0  # of ln G0 and of P/P_sat, on the way of a fit
WEAK = 1e-6  # P/P_sat, from where down the first order is exact
GRID = 14  # shapes that are tried, for a start


def log_ratio(amperes: Floats, zero: Floats, shape: Floats) -> Floats:
    """ln((I + shape)/(zero + shape))."""
    return np.asarray(np.log(np.maximum(amperes + shape, LEAST) / np.maximum(zero + shape, LEAST)))


def saturated_log_gain(log_gain: Floats, power: Floats) -> Floats:
    """ln G of ln(G/G0) = -(G - 1) p, by Wright's omega function: G p + ln(G p) = ln G0 + p + ln p."""
    strong = power > WEAK
    safe = np.where(strong, power, 1.0)
    grown = wrightomega(log_gain + safe + np.log(safe)).real
    return np.where(strong, np.log(grown / safe), log_gain - np.expm1(log_gain) * power)


def section(parameters: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Readings of x (C, n, 2), amperes and monitored powers, and their derivatives."""
    value, slopes, _ = _section(parameters, x, 0.0)
    return value, slopes


def _section(parameters: Floats, x: Floats, fall: Floats | float) -> tuple[Floats, Floats, Floats]:
    """The same where ln G0 is less by `fall` (C, n), and the derivative by ln G0."""
    throughput, strength, zero, shape, compression, emission = (parameters[:, i, None] for i in range(6))
    amperes, power = x[..., 0], x[..., 1]
    ratio = log_ratio(amperes, zero, shape)
    with np.errstate(over="ignore", invalid="ignore"):
        log = saturated_log_gain(np.clip(strength * ratio - fall, -MOST, MOST), np.clip(compression * power, -MOST, MOST))
        gain = np.exp(log)
        rate, bend = _rate(log, gain)
        value = throughput * power * gain + emission * amperes * rate
        by_log = throughput * power * gain + emission * amperes * bend
        by_weak = by_log / (1 + gain * compression * power)
        by_zero = -by_weak * strength / (zero + shape)
        by_shape = by_weak * strength / np.maximum(amperes + shape, LEAST) + by_zero
        slopes = [power * gain, by_weak * ratio, by_zero, by_shape, -by_weak * (gain - 1) * power, amperes * rate]
    return value, np.stack(slopes, axis=-1), by_weak


def _rate(log: Floats, gain: Floats) -> tuple[Floats, Floats]:
    """((G - 1)/ln G, its derivative by ln G)."""
    near = np.abs(log) < 1e-4
    safe = np.where(near, 1.0, log)
    rate = np.where(near, 1 + log / 2 + log**2 / 6, (gain - 1) / safe)
    return rate, np.where(near, 0.5 + log / 3, (gain - rate) / safe)


def section_model(powers: int, full: Floats, upper: Floats) -> Model:
    """The model of a sweep that passes so many powers at each current, up to (C,) `full`, at currents up to (C,) `upper`."""

    def swing(parameters: Floats) -> Floats:
        throughput, strength, zero, shape = parameters.T[:4]
        return np.asarray(np.abs(throughput) * full * np.exp(np.minimum(strength * log_ratio(upper, zero, shape), 10.0)))

    watched = {name: name for name in ("throughput", "strength", "zero")}
    return Model("gain-section", 1, PARAMETERS, UNITS, section, lambda x, y, used: _start(x, y, used, powers), swing, watched)


def lock_in(x: Floats, y: Floats, used: Mask, powers: int) -> tuple[Floats, Floats, Floats]:
    """(C, N) currents, slopes of the reading by the power, and readings without light, of each run through the powers."""
    shape = len(y), -1, powers
    weight = used.reshape(shape).astype(np.float64)
    power, reading, total = x[..., 1].reshape(shape), y.reshape(shape), np.maximum(weight.sum(axis=-1), 1.0)
    mean_p, mean_y = (weight * power).sum(axis=-1) / total, (weight * reading).sum(axis=-1) / total
    p, r = weight * (power - mean_p[..., None]), reading - mean_y[..., None]
    slope = (p * r).sum(axis=-1) / np.maximum((p * p).sum(axis=-1), 1e-300)
    return x[..., 0].reshape(shape)[..., 0], slope, mean_y - slope * mean_p


def _start(x: Floats, y: Floats, used: Mask, powers: int) -> Floats:
    """Strength and shape from slopes on a grid of shapes; where strong light begins to be amplified less is where the gain is one."""
    amperes, slope, rest = lock_in(x, y, used, powers)
    log, most = np.log(np.maximum(slope, 1e-3 * np.abs(slope).max(axis=1, keepdims=True) + 1e-300)), amperes.max(axis=1)
    best, found = np.full(len(y), np.inf), np.zeros((len(y), 3))
    for part in np.geomspace(0.01, 1.0, GRID):
        shape = part * most
        ratio = np.log(amperes + shape[:, None])
        strength = _slope(ratio, log)
        level = log.mean(axis=1) - strength * ratio.mean(axis=1)
        left = np.square(log - level[:, None] - strength[:, None] * ratio).sum(axis=1)
        found = np.where((left < best)[:, None], np.stack([shape, strength, level], axis=1), found)
        best = np.minimum(best, left)
    throughput, compression = _one(x, y, rest, powers, slope)
    shape, strength, level = found.T
    zero = np.exp(np.clip((np.log(throughput) - level) / np.where(strength == 0, 1.0, strength), -30, 30)) - shape
    zero = np.clip(zero, 0.02 * most, 2 * most)
    emission = np.maximum(rest.mean(axis=1) / np.maximum(amperes.mean(axis=1), LEAST), 0.0)
    return np.stack([throughput, strength, zero, shape, compression, emission], axis=1)


def _one(x: Floats, y: Floats, rest: Floats, powers: int, slope: Floats) -> tuple[Floats, Floats]:
    """(C,) throughput and compression: what gain strong light loses against weak light is a line in the gain, zero where that is one."""
    shape = len(y), -1, powers
    power, signal = x[..., 1].reshape(shape), y.reshape(shape) - rest[..., None]
    order = np.argsort(power, axis=-1)
    high, low = order[..., -1:], order[..., powers // 2][..., None]
    p_high, p_low = (np.take_along_axis(power, place, axis=-1)[..., 0] for place in (high, low))
    y_high, y_low = (np.take_along_axis(signal, place, axis=-1)[..., 0] for place in (high, low))
    lost = (y_high / np.where(p_high > 0, p_high, 1.0) - y_low / np.where(p_low > 0, p_low, 1.0)) / np.where(slope > 0, slope, 1.0)
    usual, middle = np.median(slope, axis=1), np.maximum((p_high - p_low).mean(axis=1), 1e-300)
    line = _slope(slope, lost)
    here = lost.mean(axis=1) - line * slope.mean(axis=1)  # the intercept: compression times the difference of powers
    sane = (line < 0) & (here > 0)
    throughput = np.where(sane, -here / np.where(sane, line, -1.0), usual)
    lowest, highest = slope.min(axis=1), slope.max(axis=1)
    return np.maximum(np.clip(throughput, 0.2 * lowest, 5 * highest), 1e-12), np.where(sane, here / middle, 0.1 / middle)


def _slope(x: Floats, y: Floats) -> Floats:
    """(C,) of straight lines through (C, n) points."""
    apart = x - x.mean(axis=1, keepdims=True)
    return np.asarray((apart * y).sum(axis=1) / np.maximum(np.square(apart).sum(axis=1), 1e-300))


def rolled_over(x: Floats, y: Floats, used: Mask, sigma: Floats, fitted: Fitted) -> tuple[Floats, Floats]:
    """(C,) what heat takes off ln G0 at the highest current if it goes with the current's square, and its standard error."""
    part = np.square(x[..., 0] / x[..., 0].max(axis=1, keepdims=True))

    def heated(parameters: Floats, points: Floats) -> tuple[Floats, Floats]:
        value, slopes, by_weak = _section(parameters, points, parameters[:, 6, None] * points[..., 2])
        return value, np.concatenate([slopes, -(by_weak * points[..., 2])[..., None]], axis=-1)

    start = np.concatenate([fitted.parameters, np.zeros((len(y), 1))], axis=1)
    found = fit(heated, np.concatenate([x, part[..., None]], axis=-1), y, start, sigma=sigma, used=used, loss="huber")
    return found.parameters[:, 6], found.errors[:, 6]
