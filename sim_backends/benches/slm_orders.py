"""The simulated bench "slm_orders": a laser on a phase SLM, and detectors of the zeroth and first order behind every region of it."""

from __future__ import annotations

import numpy as np

from labonn.benchfile import BenchFile, PortFile, dataclass_from, unknown_keys
from labonn.clock import SimulatedClock
from labonn.errors import BenchFileError
from sim_backends.benches.base import SimulatedBench
from sim_backends.firmware.stream_messages import Refusal
from sim_backends.physics.noise import Noise
from sim_backends.physics.slm_orders import OrdersLight, OrdersSettings, OrdersTruth, RegionPanel

KEYS = ("bench", "seed", "orders")
KINDS = ("GainSections", "SpatialLightModulator", "Photodetectors")


class SlmOrders(SimulatedBench):
    """Emulated instruments of a bench file, coupled by light.

    Args:
        file: the bench file, with one port of each of KINDS; [simulation] has seed and a table orders (sim_backends/physics/slm_orders.py).
        clock: the bench's. ideal: every imperfection off. seed: of hidden truths and noise; None: the file's.

    Raises:
        BenchFileError: a [simulation] key or value is wrong, or a port is missing or of the wrong size.
    """

    def __init__(self, file: BenchFile, clock: SimulatedClock, ideal: bool = False, seed: int | None = None) -> None:
        table, where = file.simulation, f"{file.name}: simulation"
        problems = [f"{file.name}: {line}" for line in unknown_keys(table, KEYS, "simulation.")]
        own = table.get("seed", 0)
        if type(own) is not int or own < 0:
            problems.append(f"{where}.seed = {own!r}: a whole number from 0 is wanted")
        if problems:
            raise BenchFileError("\n".join(problems))
        made = dataclass_from(OrdersSettings, table.get("orders", {}), f"{where}.orders")
        self.settings = made.ideal() if ideal else made
        ports = _ports(file, 2 * self.settings.regions[0] * self.settings.regions[1])
        self._clock, seed = clock, own if seed is None else seed
        super().__init__(file, clock, seed)
        self._laser, slm, adc = (self.instruments.of(port.name)[0] for port in ports)
        self._slm, self._adc = slm, adc
        options, noise = ports[1].options, Noise(seed).child("orders")
        self._shape: tuple[int, int] = int(options.shape[0]), int(options.shape[1])
        width = max(d for d in range(1, options.panel[1] // self._shape[1] + 1) if options.panel[1] % d == 0)
        try:
            self.truth = OrdersTruth(int(options.bits), self.settings, noise)
            self.panel = RegionPanel(*self._shape, width, self.truth, self.settings)
        except ValueError as problem:
            raise BenchFileError(f"{where}.orders: {problem}") from None
        self.light, self._version = OrdersLight(self.truth, self.settings, noise), 0
        adc.on_fire = self._fire
        clock.before_wait = self._take_down

    def _take_down(self) -> None:
        """The panel changes from now on to what the window shows."""
        if self._slm.version != self._version:
            self._version = self._slm.version
            if not self.settings.wrong_monitor:
                self.panel.show(self._slm.block(*self._shape), self._clock.now())

    def _fire(self, shots: int, dwell_s: float) -> None:
        """The trigger: the detectors record what they see."""
        if self._adc.armed_shots not in (0, shots):
            raise Refusal("state", f"armed for {self._adc.armed_shots} shots, not {shots}")
        self._take_down()
        self.instruments.catch_up()
        now = self._clock.now()
        watts = self.light.laser_w(float(np.sum(self._laser.currents_a)))
        if self._adc.armed_shots:
            self._adc.record(self.light.volts(*self.panel.fields(now), watts, shots, now, dwell_s))
        self._clock.wait(shots * dwell_s)


def _ports(file: BenchFile, detectors: int) -> list[PortFile]:
    """The one port of each of KINDS."""
    found = []
    for kind in KINDS:
        there = [port for port in file.ports.values() if port.driver.kind == kind]
        if len(there) != 1 or len(there[0].links) != 1:
            raise BenchFileError(
                f"{file.name}: the simulated bench 'slm_orders' has one port of {kind}, of one instrument, not {len(there)}"
            )
        found.append(there[0])
    if len(file.ports) != len(KINDS):
        raise BenchFileError(f"{file.name}: the simulated bench 'slm_orders' has ports of {', '.join(KINDS)} only")
    channels = int(getattr(found[2].options, "channels", 0))
    if channels != detectors:
        where = f"{file.name}: ports.{found[2].name}"
        raise BenchFileError(f"{where}: has {channels} channels; {detectors // 2} regions of two orders want {detectors}")
    return found
