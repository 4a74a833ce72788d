"""The simulated bench "heater_bank": as "desk", but the port `heaters` sets the phases of interferometers, one before each detector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labonn.benchfile import BenchFile, dataclass_from
from labonn.clock import SimulatedClock
from labonn.errors import BenchFileError
from sim_backends.benches.desk import Desk, Floats, _played
from sim_backends.physics.desk import DeskSettings
from sim_backends.physics.heater_bank import BankLight, BankSettings

PORT = "heaters"


class HeaterBank(Desk):
    """Emulated instruments of a bench file, coupled by light; heaters are volts of a streaming DAC, or of a Qontrol source.

    Args:
        file: the bench file; [simulation] as for "desk", and a table bank (sim_backends/physics/heater_bank.py).
        clock, ideal, seed: as for "desk".

    Raises:
        BenchFileError: a [simulation] key or value is wrong, or a port cannot be simulated.
    """

    def __init__(self, file: BenchFile, clock: SimulatedClock, ideal: bool = False, seed: int | None = None) -> None:
        table = dict(file.simulation)
        bank = dataclass_from(BankSettings, table.pop("bank", {}), f"{file.name}: simulation.bank")
        super().__init__(replace(file, simulation=table), clock, ideal, seed)
        if PORT not in file.ports or file.ports[PORT].driver.kind not in ("Modulators", "GainSections"):
            raise BenchFileError(f"{file.name}: ports: a simulated bank of heaters wants a port {PORT!r} of voltages")
        self._held = file.ports[PORT].driver.kind == "GainSections"
        if self._held:
            self._ports["GainSections"].remove(PORT)
        desk = dataclass_from(DeskSettings, table.get("desk", {}), f"{file.name}: simulation.desk")
        own: int = table.get("seed", 0) if seed is None else seed
        desk, bank = (desk.ideal(), bank.ideal()) if ideal else (desk, bank)
        lasers = sum(map(self._count, self._ports["GainSections"]))
        self._lasers, self._arms = lasers, self._count(PORT)
        try:
            self.bank = BankLight(max(1, lasers), self._arms, desk, bank, own)
        except ValueError as problem:
            raise BenchFileError(f"{file.name}: simulation.bank: {problem}") from None
        self.light = self.bank
        first, count = int(getattr(file.ports[PORT].options, "first", 0)), self.instruments.channels(PORT)
        for number, emulator in enumerate(self.instruments.of(PORT) if self._held else []):
            emulator.loads_ohm[first : first + count] = self.bank.resistance_ohm[number * count : (number + 1) * count]

    def arms_w(self, times_s: Floats) -> Floats:
        """(T, A) watts behind the interferometers, in the middle of shots that begin at the trigger."""
        watts, dwell_s = np.full((len(times_s), 1), self.laser_w()), 2 * float(times_s[0])
        if self._held:
            own = np.tile(self.bank.own_rad(self.instruments.values(PORT, "voltages_v")), (len(times_s), 1))
        else:
            played = [_played(e, times_s, self.instruments.channels(PORT)) for e in self.instruments.of(PORT)]
            own = self.bank.followed_rad(np.concatenate(played, axis=1), dwell_s)
        return self.bank.split_w(watts, own, dwell_s, self._clock.now())
