"""The simulated bench "gain_row": laser, input modulators, monitors, gain sections, attenuators and detectors, wired by their names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.benchfile import BenchFile, dataclass_from, unknown_keys
from labonn.clock import SimulatedClock
from labonn.errors import BenchFileError
from sim_backends.benches.base import SimulatedBench
from sim_backends.firmware.stream_messages import Refusal
from sim_backends.physics.desk import DeskSettings
from sim_backends.physics.gain_row import GainRow, GainRowSettings
from sim_backends.physics.noise import Noise
from sim_backends.physics.photodiodes import Photodiodes, PhotodiodeSettings

Floats = NDArray[Any]
PARTS: dict[str, Any] = {"row": GainRowSettings, "desk": DeskSettings, "monitors": PhotodiodeSettings, "outputs": PhotodiodeSettings}
DACS, ADCS = ("input", "gain", "attenuators"), ("monitors", "outputs")


class GainRowBench(SimulatedBench):
    """Emulated instruments of a bench file, coupled by light.

    Args:
        file: the bench file; [simulation] has seed and the tables of PARTS (sim_backends/physics). clock: the bench's.
        ideal: every device as it is nominally. seed: of hidden truths and noise; None: the file's.

    Raises:
        BenchFileError: a [simulation] key or value is wrong, or a port cannot be simulated.
    """

    def __init__(self, file: BenchFile, clock: SimulatedClock, ideal: bool = False, seed: int | None = None) -> None:
        self._clock, table = clock, dict(file.simulation)
        own = table.get("seed", 0) if seed is None else seed
        settings = _settings(file, own, ideal)
        super().__init__(file, clock, own)
        count = self.instruments.channels("gain")
        try:
            self.row = GainRow(count, settings["row"], settings["desk"], own)
            self.photodiodes = {name: Photodiodes(count, settings[name], Noise(own).child(name)) for name in ADCS}
        except ValueError as problem:
            raise BenchFileError(f"{file.name}: simulation: {problem}") from None
        self._a_per_v = float(file.ports["gain"].options.a_per_v or 1.0)
        for name in ADCS:
            for emulator in self.instruments.of(name):
                emulator.on_fire = self._fire

    def _fire(self, shots: int, dwell_s: float) -> None:
        """The trigger: every armed instrument plays or records its table."""
        self.instruments.catch_up()
        for name in (*DACS, *ADCS):
            (one,) = self.instruments.of(name)
            armed = len(one.order) if name in DACS and one.armed else one.armed_shots if name in ADCS else 0
            if armed not in (0, shots):
                raise Refusal("state", f"{name} is armed for {armed} shots, not {shots}")
        watts = self._light(shots, dwell_s)
        for name in ADCS:
            (adc,) = self.instruments.of(name)
            if adc.armed_shots:
                adc.record(self.photodiodes[name].volts(watts[name], self._clock.now(), dwell_s))
        for name in DACS:
            self.instruments.of(name)[0].played()
        self._clock.wait(shots * dwell_s)

    def _light(self, shots: int, dwell_s: float) -> dict[str, Floats]:
        """port -> (T, C) watts."""
        volts = {name: self._played(name, shots) for name in DACS}
        amperes, now = np.asarray(self.instruments.values("laser", "currents_a"), np.float64)[None, :1], self._clock.now()
        times_s = now + dwell_s * (np.arange(shots) + 0.5)
        entering = self.row.inputs_w(np.repeat(amperes, shots, axis=0), volts["input"], now)
        outputs = self.row.outputs_w(entering, np.maximum(volts["gain"] * self._a_per_v, 0.0), volts["attenuators"], times_s)
        return {"monitors": self.row.monitored_w(entering), "outputs": outputs}

    def _played(self, name: str, shots: int) -> Floats:
        (dac,) = self.instruments.of(name)
        return np.asarray(dac.volts(), np.float64) if dac.armed else np.zeros((shots, self.row.count))


def _settings(file: BenchFile, seed: Any, ideal: bool) -> dict[str, Any]:
    problems = unknown_keys(file.simulation, ["bench", "seed", *PARTS], "simulation.")
    if type(seed) is not int or seed < 0:
        problems.append(f"simulation.seed = {seed!r}: a whole number from 0 is wanted")
    wanted = ("laser", *DACS, *ADCS)
    problems += [f"ports.{name}: the simulated bench 'gain_row' has no such port" for name in file.ports if name not in wanted]
    problems += [f"ports.{name}: the simulated bench 'gain_row' wants this port" for name in wanted if name not in file.ports]
    counts = {int(file.ports[name].options.channels) * len(file.ports[name].links) for name in wanted[1:] if name in file.ports}
    if not problems and (len(counts) > 1 or any(len(file.ports[name].links) != 1 for name in wanted)):
        problems.append(f"{', '.join(wanted[1:])}: one instrument each, with as many channels in each, are wanted; not {sorted(counts)}")
    if problems:
        raise BenchFileError("\n".join(f"{file.name}: {line}" for line in problems))
    found = {key: dataclass_from(part, file.simulation.get(key, {}), f"{file.name}: simulation.{key}") for key, part in PARTS.items()}
    return {key: part.ideal() for key, part in found.items()} if ideal else found
