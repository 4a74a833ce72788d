"""The simulated bench without light, "unlit": emulated instruments that know nothing of each other, for any other program to talk to."""

from __future__ import annotations

from labonn.benchfile import BenchFile
from labonn.clock import SimulatedClock
from sim_backends.benches.base import SimulatedBench


class Unlit(SimulatedBench):
    """Emulated instruments of a bench file with any ports; what their outputs do acts on nothing.

    Args:
        file: the bench file. clock: the bench's. ideal: changes nothing. seed: of serial numbers; None: 0.
    """

    def __init__(self, file: BenchFile, clock: SimulatedClock, ideal: bool = False, seed: int | None = None) -> None:
        super().__init__(file, clock, seed or 0)
