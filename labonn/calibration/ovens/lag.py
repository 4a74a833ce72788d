"""The lag of ovens, from what their sensors read after steps: time constant, and how long until they are where they should be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from labonn.bench import Bench
from labonn.calibration.ovens.reading import FAR_K, OvenReading
from labonn.channels import Floats

STEP_K = 1.0  # the least that a step has to be, to tell a lag
MISFIT = 0.03  # of a step, beyond which a lag is no exponential
TAIL = 3  # readings in a row that have to be settled


@dataclass(frozen=True)
class OvenLog:
    """One step of all ovens.

    Attributes:
        seconds: (n,) since the targets were set. celsius: (n, H). target_c: (H,). reading: the last, with rates.
    """

    seconds: Floats
    celsius: Floats
    target_c: Floats
    reading: OvenReading


@dataclass(frozen=True)
class Lags:
    """Of every oven, NaN where no step told.

    Attributes:
        tau_s, error_s: (H,) time constant of the envelope of a step, and its standard error. overshoot: (H,) part of a step.
        wait_s: (H,) longest time that a step took until its oven stayed within FAR_K. misfit: (H,) rms of what is left, of a step.
    """

    tau_s: Floats
    error_s: Floats
    overshoot: Floats
    wait_s: Floats
    misfit: Floats


class OvenSensors:
    """Reads the ovens of a bench by its clock, between tables.

    Args:
        port: of the ovens. every_s: between readings. most_s: that a step may take. hold_s: for which they are left alone once they have
            settled, as vapour follows its walls with a lag of its own.
    """

    def __init__(self, bench: Bench, port: str, every_s: float = 15.0, most_s: float = 3600.0, hold_s: float = 0.0) -> None:
        self._device, self._clock = bench.ports[port], bench.clock
        self._every_s, self._most_s, self._hold_s = every_s, most_s, hold_s

    def celsius(self) -> Floats:
        """(H,) now."""
        return np.asarray(self._device.temperature(), np.float64)

    def wait(self, target_c: Floats) -> OvenLog:
        """Until all have settled, or the time is over."""
        begun, seconds, celsius = self._clock.now(), [], []
        while True:
            seconds.append(self._clock.now() - begun)
            celsius.append(self.celsius())
            reading = _reading(np.array(seconds), np.array(celsius), target_c)
            if (len(seconds) > TAIL and reading.reached.all()) or seconds[-1] >= self._most_s:
                self._clock.wait(self._hold_s)
                return OvenLog(np.array(seconds), np.array(celsius), np.asarray(target_c, np.float64), reading)
            self._clock.wait(self._every_s)


def _reading(seconds: Floats, celsius: Floats, target_c: Floats) -> OvenReading:
    """The last of several readings; its rate is that of the last TAIL steps, and it is as far away as the farthest of them."""
    last, rate = celsius[-1], np.zeros_like(celsius[-1])
    if len(seconds) > TAIL:
        rate = (celsius[-1] - celsius[-1 - TAIL]) / (seconds[-1] - seconds[-1 - TAIL])
        tail = celsius[-TAIL:]
        farthest = np.take_along_axis(tail, np.argmax(np.abs(tail - target_c), axis=0)[None], axis=0)[0]
        last = np.where(np.abs(farthest - target_c) > FAR_K, farthest, last)
    return OvenReading(last, rate, np.asarray(target_c, np.float64))


def lags_of(logs: Sequence[OvenLog]) -> Lags:
    """What steps tell of every oven; each step begins from rest."""
    found = [_lag([(one.seconds, one.celsius[:, h], one.target_c[h]) for one in logs]) for h in range(len(logs[0].target_c))]
    return Lags(*(np.array(column) for column in zip(*found, strict=True)))


def _lag(steps: Sequence[tuple[Floats, Floats, float]]) -> tuple[float, float, float, float, float]:
    """(tau, its error, overshoot, wait, misfit) of one oven, of the better of two forms for all steps.

    exp(-t/tau) of a first-order lag, or exp(-t/tau) [cos wt + sin wt/(w tau)] of a second-order one that begins at rest, which overshoots
    by exp(-pi/(tau w)).
    """
    told = [(t, c - goal, c[0] - goal) for t, c, goal in steps if abs(c[0] - goal) >= STEP_K and len(t) > 2 * TAIL]
    waits = [float(t[np.flatnonzero(np.abs(c - goal) > FAR_K)[-1] + 1]) for t, c, goal in steps if _settles(c, goal)]
    wait = max(waits, default=np.nan)
    if not told:
        return np.nan, np.nan, np.nan, wait, np.nan
    seconds, away = np.concatenate([t for t, _, _ in told]), np.concatenate([a for _, a, _ in told])
    step = np.repeat(np.arange(len(told)), [len(t) for t, _, _ in told])
    size = np.maximum(np.abs([s for _, _, s in told]), STEP_K)[step]
    scale = max(float(np.median([t[np.argmax(np.abs(a) < abs(s) / np.e)] or t[-1] for t, a, s in told])), 1e-3)

    def left(p: Floats, shape: Callable[[Floats, Floats], Floats]) -> Floats:
        """What is left with the best height of each step."""
        form = shape(seconds, np.exp(p))
        height = np.bincount(step, away * form) / np.maximum(np.bincount(step, form * form), 1e-300)
        return np.asarray((away - height[step] * form) / size)

    begins = (_first, [scale]), (_second, [scale, 0.5 / scale])
    fits = [least_squares(left, np.log(begin), args=(shape,)) for shape, begin in begins]
    best = min(fits, key=lambda fit: fit.cost * (1 + 0.1 * len(fit.x)))
    freedom = max(len(away) - len(best.x) - len(told), 1)
    tau, misfit = float(np.exp(best.x[0])), float(np.sqrt(2 * best.cost / freedom))
    jacobian: Floats = np.array(best.jac, np.float64)
    error = tau * misfit * float(np.sqrt(np.linalg.inv(jacobian.T @ jacobian)[0, 0]))
    overshoot = float(np.exp(-np.pi / np.exp(best.x).prod())) if len(best.x) == 2 else 0.0
    return tau, error, overshoot, wait, misfit


def _settles(celsius: Floats, goal: float) -> bool:
    """Whether it was away at first, and near in the end."""
    return bool(abs(celsius[0] - goal) > FAR_K >= abs(celsius[-1] - goal))


def _first(t: Floats, p: Floats) -> Floats:
    return np.asarray(np.exp(-t / p[0]))


def _second(t: Floats, p: Floats) -> Floats:
    tau, w = p
    return np.asarray(np.exp(-t / tau) * (np.cos(w * t) + t / tau * np.sinc(w * t / np.pi)))
