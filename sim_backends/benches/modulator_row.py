"""The simulated bench "modulator_row": as "desk", but the arms' biases drift, detectors are noisy, and beams may be blocked or swapped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labonn.benchfile import BenchFile, dataclass_from
from labonn.clock import SimulatedClock
from labonn.errors import BenchFileError
from sim_backends.benches.desk import Desk, Floats, _played
from sim_backends.physics.desk import DeskSettings
from sim_backends.physics.modulator_row import RowLight, RowSettings


class ModulatorRow(Desk):
    """Emulated instruments of a bench file, coupled by light.

    Args:
        file: the bench file; [simulation] as for "desk", and a table row (sim_backends/physics/modulator_row.py).
        clock, ideal, seed: as for "desk".

    Raises:
        BenchFileError: a [simulation] key or value is wrong, or a port cannot be simulated.
    """

    def __init__(self, file: BenchFile, clock: SimulatedClock, ideal: bool = False, seed: int | None = None) -> None:
        table = dict(file.simulation)
        row = dataclass_from(RowSettings, table.pop("row", {}), f"{file.name}: simulation.row")
        super().__init__(replace(file, simulation=table), clock, ideal, seed)
        desk = dataclass_from(DeskSettings, table.get("desk", {}), f"{file.name}: simulation.desk")
        own: int = table.get("seed", 0) if seed is None else seed
        desk, row = (desk.ideal(), row.ideal()) if ideal else (desk, row)
        try:
            self.row = RowLight(max(1, self._lasers), max(1, self._arms), desk, row, own)
        except ValueError as problem:
            raise BenchFileError(f"{file.name}: simulation.row: {problem}") from None
        self.light = self.row

    def arms_w(self, times_s: Floats) -> Floats:
        """(T, A) watts behind the modulators, so many seconds after the trigger."""
        ports = self._ports["Modulators"]
        if not ports:
            return super().arms_w(times_s)
        volts = [_played(e, times_s, self.instruments.channels(n)) for n in ports for e in self.instruments.of(n)]
        watts = np.full((len(times_s), 1), self.laser_w())
        return self.row.arms_at_w(watts, np.concatenate(volts, axis=1), self._clock.now() + times_s)
