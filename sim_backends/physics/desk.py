"""An optical desk: laser diodes feed arms with a Mach-Zehnder modulator each; amperes, degrees and volts in, watts out.

Above threshold P = slope (I - I_th), I_th = I_0 exp((T - 25) / T_0); below it a little spontaneous emission. An arm passes
T = IL [e + (1 - e) sin^2(pi (V - V_b) / (2 V_pi))] (PHYSICS: Mach-Zehnder modulator, e the inverse extinction).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from sim_backends.physics.arrays import Floats, require
from sim_backends.physics.noise import Noise

REFERENCE_C = 25.0


@dataclass(frozen=True)
class DeskSettings:
    """Nominal numbers of the desk, and how far the true ones are from them.

    Attributes:
        threshold_a, slope_w_per_a: of a laser diode at 25 degrees. t0_k: warming by which the threshold grows e-fold.
        spontaneous_w_per_a: of the light below threshold. v_pi_v, bias_v, extinction_db, insertion_db: of a modulator.
        spread: relative standard deviation of threshold, slope, V_pi and of the arms' losses; of the bias in V_pi.
        v_per_w: of detectors that give volts.
    """

    threshold_a: float = 0.02
    slope_w_per_a: float = 0.25
    t0_k: float = 60.0
    spontaneous_w_per_a: float = 2e-3
    v_pi_v: float = 3.5
    bias_v: float = 0.0
    extinction_db: float = 25.0
    insertion_db: float = 3.0
    spread: float = 0.03
    v_per_w: float = 50.0

    def __post_init__(self) -> None:
        require(self, 0, 1, "threshold_a")
        require(self, 0, 10, "slope_w_per_a", "spontaneous_w_per_a")
        require(self, 0.1, 100, "v_pi_v")
        require(self, 1, 1000, "t0_k")
        require(self, -100, 100, "bias_v")
        require(self, 0, math.inf, "extinction_db")
        require(self, 0, 60, "insertion_db")
        require(self, 0, 0.2, "spread")
        require(self, 0, 1e9, "v_per_w")

    def ideal(self) -> DeskSettings:
        """Every device as it is nominally."""
        return replace(self, spread=0.0)


class DeskLight:
    """The true numbers of every laser and arm, drawn once.

    Attributes:
        threshold_a, slope_w_per_a: (L,). v_pi_v, bias_v, loss: (A,).
    """

    def __init__(self, lasers: int, arms: int, settings: DeskSettings, seed: int) -> None:
        self._settings = s = settings
        noise = Noise(seed).child("desk")

        def around(name: str, nominal: float, count: int) -> Floats:
            return nominal * (1 + noise.child(name).normal(count, np.float64, s.spread))

        self.threshold_a, self.slope_w_per_a = around("threshold", s.threshold_a, lasers), around("slope", s.slope_w_per_a, lasers)
        self.v_pi_v = around("v_pi", s.v_pi_v, arms)
        self.bias_v = s.bias_v + noise.child("bias").normal(arms, np.float64, s.spread) * s.v_pi_v
        self.loss = around("loss", 10 ** (-s.insertion_db / 10), arms)

    def laser_w(self, amperes: Floats, celsius: Floats | float = REFERENCE_C) -> Floats:
        """(…, L) watts of the lasers at these currents and temperatures."""
        s = self._settings
        threshold = self.threshold_a * np.exp((np.asarray(celsius) - REFERENCE_C) / s.t0_k)
        amperes = np.maximum(amperes, 0.0)
        watts: Floats = s.spontaneous_w_per_a * np.minimum(amperes, threshold) + self.slope_w_per_a * np.maximum(amperes - threshold, 0)
        return watts

    def arms_w(self, watts: Floats, volts: Floats) -> Floats:
        """(…, A) watts behind the modulators, of `watts` (…, 1) that are split evenly over the arms."""
        leak = 10 ** (-self._settings.extinction_db / 10)
        open_ = np.sin(np.pi * (volts - self.bias_v) / (2 * self.v_pi_v)) ** 2
        passed: Floats = watts / len(self.loss) * self.loss * (leak + (1 - leak) * open_)
        return passed

    def detected_v(self, watts: Floats) -> Floats:
        """Volts of detectors that give volts."""
        return watts * self._settings.v_per_w
