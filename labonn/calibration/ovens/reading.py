"""What the sensors of ovens say: where each one is, how far from its target, and how fast it still moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labonn.bench import Bench
from labonn.channels import Floats

FAR_K = 0.1  # from the target; 0.8 % of an optical depth
FAST_K_PER_S = 0.2 / 60  # beyond what a settled oven wanders by
WATCHED_S = 10.0


@dataclass(frozen=True)
class OvenReading:
    """Attributes: celsius, kelvin_per_s: (H,) now. target_c: (H,). reached: (H,) near its target, and still."""

    celsius: Floats
    kelvin_per_s: Floats
    target_c: Floats

    @property
    def reached(self) -> Floats:
        """(H,) bool."""
        return np.asarray((np.abs(self.celsius - self.target_c) <= FAR_K) & (np.abs(self.kelvin_per_s) <= FAST_K_PER_S))

    def words(self, longer: str = "settle_s of the port in the bench file") -> list[str]:
        """(H,) what is wrong with each, "" if it is settled; `longer`: which setting lets them have more time."""
        told = []
        for now, rate, target, good in zip(self.celsius, self.kelvin_per_s, self.target_c, self.reached, strict=True):
            side = f"{abs(now - target):.3g} K {'below' if now < target else 'above'} its target of {target:.4g} degC"
            moves = f"still moving by {60 * rate:+.2g} K/min; wait longer ({longer})"
            told.append("" if good else f"oven not settled: it is {side}, and {moves}")
        return told


def sensors(bench: Bench, port: str, seconds: float = WATCHED_S) -> Callable[[Floats], OvenReading]:
    """A function that reads the ovens twice, so many seconds apart by the bench's clock; its argument is their targets (H,)."""

    def read(target_c: Floats) -> OvenReading:
        first, begun = np.asarray(bench.ports[port].temperature(), np.float64), bench.clock.now()
        bench.clock.wait(seconds)
        now = np.asarray(bench.ports[port].temperature(), np.float64)
        return OvenReading(now, (now - first) / max(bench.clock.now() - begun, 1e-9), np.asarray(target_c, np.float64))

    return read
