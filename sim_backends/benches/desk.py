"""The simulated bench "desk": any laser sources, modulators, coolers and detectors, coupled by the light of a small optical desk.

All gain sections are laser diodes whose light is added. It is split evenly over as many arms as the Modulators ports have channels,
a modulator in each; without modulators there is one open arm. A detector's channel d watches arm d (modulo their number), or the
lasers themselves if its port stands in `simulation.before`. Heaters set the temperature of the lasers, in order, the last one that
of all others too. A firing of the trigger is the edge at every other instrument's trigger input.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.benchfile import BenchFile, dataclass_from, unknown_keys
from labonn.clock import SimulatedClock
from labonn.errors import BenchFileError
from sim_backends.benches.base import SimulatedBench
from sim_backends.physics.desk import REFERENCE_C, DeskLight, DeskSettings

Floats = NDArray[Any]
KEYS = ("bench", "seed", "before", "desk")
KINDS = ("GainSections", "Modulators", "Heaters", "Photodetectors")


class Desk(SimulatedBench):
    """Emulated instruments of a bench file, coupled by light.

    Args:
        file: the bench file; [simulation] has seed, before = [ports] and a table desk (sim_backends/physics/desk.py).
        clock: the bench's. ideal: every device as it is nominally. seed: of hidden truths and noise; None: the file's.

    Raises:
        BenchFileError: a [simulation] key or value is wrong, or a port cannot be simulated.
    """

    def __init__(self, file: BenchFile, clock: SimulatedClock, ideal: bool = False, seed: int | None = None) -> None:
        self._clock = clock
        own_seed, before = _checked(file)
        seed = own_seed if seed is None else seed
        super().__init__(file, clock, seed)
        self._ports = {kind: [name for name, port in file.ports.items() if port.driver.kind == kind] for kind in KINDS}
        settings = dataclass_from(DeskSettings, file.simulation.get("desk", {}), f"{file.name}: simulation.desk")
        self._lasers, self._arms = (sum(map(self._count, self._ports[kind])) for kind in ("GainSections", "Modulators"))
        self.light = DeskLight(max(1, self._lasers), max(1, self._arms), settings.ideal() if ideal else settings, seed)
        for name in self._ports["Photodetectors"]:
            for index, emulator in enumerate(self.instruments.of(name)):
                count = self.instruments.channels(name)
                self._watch(emulator, np.arange(count) + index * count, name in before)

    def laser_w(self) -> float:
        """Watts of all lasers now."""
        self.instruments.catch_up()
        amperes = [self.instruments.values(name, "currents_a") for name in self._ports["GainSections"]]
        if not amperes:
            return 0.0
        warm = [np.ravel(emulator.temperatures_c) for name in self._ports["Heaters"] for emulator in self.instruments.of(name)]
        celsius = np.concatenate(warm) if warm else np.array([REFERENCE_C])
        each = celsius[np.minimum(np.arange(self._lasers), len(celsius) - 1)]
        return float(self.light.laser_w(np.concatenate(amperes), each).sum())

    def arms_w(self, times_s: Floats) -> Floats:
        """(T, A) watts behind the modulators, so many seconds after the trigger."""
        watts = self.laser_w()
        if not self._arms:
            return np.full((len(times_s), 1), watts)
        volts = [_played(e, times_s, self.instruments.channels(n)) for n in self._ports["Modulators"] for e in self.instruments.of(n)]
        return self.light.arms_w(np.full((len(times_s), 1), watts), np.concatenate(volts, axis=1))

    def _count(self, port: str) -> int:
        return self.instruments.channels(port) * len(self.instruments.of(port))

    def _watch(self, emulator: Any, channels: NDArray[np.intp], before: bool) -> None:
        """Let a detector's emulator see its light, and tell the others when it triggers."""

        def inputs(times_s: Floats) -> Floats:
            light = np.full((len(times_s), 1), self.laser_w()) if before else self.arms_w(times_s)
            seen = light[:, channels % light.shape[1]]
            return seen if getattr(emulator, "unit", "V") == "W" else self.light.detected_v(seen)

        if hasattr(emulator, "record"):
            emulator.on_fire = lambda shots, dwell_s: self._record(emulator, inputs, shots, dwell_s)
            return
        emulator.inputs = inputs
        emulator.on_fire = lambda: self._edge(emulator)

    def _edge(self, trigger: Any) -> None:
        """The trigger's edge, at everything else that has a trigger input."""
        self.instruments.catch_up()
        for name in self._ports["Modulators"] + self._ports["Photodetectors"]:
            for emulator in self.instruments.of(name):
                if emulator is not trigger and hasattr(emulator, "external_trigger"):
                    emulator.external_trigger()

    def _record(self, adc: Any, inputs: Any, shots: int, dwell_s: float) -> None:
        """A streaming ADC fires: it has the whole record at once."""
        self._edge(adc)
        if adc.armed_shots:
            adc.record(inputs((np.arange(shots) + 0.5) * dwell_s))
        for name in self._ports["Modulators"]:
            for emulator in self.instruments.of(name):
                if hasattr(emulator, "played"):
                    emulator.played()
        self._clock.wait(shots * dwell_s)


def _played(modulator: Any, times_s: Floats, channels: int) -> Floats:
    """(T, C) volts at these times after the trigger."""
    if hasattr(modulator, "sampled"):
        volts: Floats = modulator.sampled(times_s)[:, :channels]
        return volts
    if not modulator.armed:
        return np.zeros((len(times_s), channels))
    rows = modulator.volts()  # a streaming DAC's table
    return np.asarray(rows[np.minimum((times_s / modulator.dwell_s).astype(int), len(rows) - 1)])


def _checked(file: BenchFile) -> tuple[int, list[str]]:
    """(seed, ports that watch the lasers)."""
    problems = [f"{file.name}: {line}" for line in unknown_keys(file.simulation, KEYS, "simulation.")]
    seed, before = file.simulation.get("seed", 0), file.simulation.get("before", [])
    if type(seed) is not int or seed < 0:
        problems.append(f"{file.name}: simulation.seed = {seed!r}: a whole number from 0 is wanted")
    detectors = [name for name, port in file.ports.items() if port.driver.kind == "Photodetectors"]
    if not isinstance(before, list) or not set(before) <= set(detectors):
        there = ", ".join(detectors) or "none"
        problems.append(f"{file.name}: simulation.before = {before!r}: a list of detector ports is wanted; there are {there}")
    for name, port in file.ports.items():
        if port.driver.kind not in KINDS:
            problems.append(f"{file.name}: ports.{name}: the simulated bench 'desk' has no {port.driver.kind}")
    if problems:
        raise BenchFileError("\n".join(problems))
    return seed, before
