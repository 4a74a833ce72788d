"""The simulated benches of photonic chips, "pt_chip" and "mzi_chip": emulated instruments coupled by the light of one chip."""

from __future__ import annotations

from typing import Any

from labonn.benchfile import BenchFile
from labonn.chip_setup import check_ports
from labonn.chips import ChipOptics
from labonn.clock import SimulatedClock
from labonn.errors import BenchFileError, ProcedureError
from sim_backends.benches.base import SimulatedBench
from sim_backends.benches.chip_held import HeldSources
from sim_backends.benches.chip_light import ChipLight
from sim_backends.benches.chip_monitors import Monitors
from sim_backends.benches.chip_readings import ChipReadings
from sim_backends.benches.chip_settings import ChipSettings
from sim_backends.benches.chip_tables import Fired
from sim_backends.benches.instruments import Instruments
from sim_backends.firmware.stream_messages import Refusal

BEAMS = ("input", "activation", "reinject", "quadrature", "error")
TAPS = ("hidden", "output", "monitors", "backward")
INSITU = ("quadrature", "error", "monitors", "backward")


class ChipBench(SimulatedBench):
    """Emulated instruments of a bench file, coupled by the light of one chip.

    Args:
        file: the bench file; its ports are wired by name, its [nominal.chip] is the design, its [simulation] has every imperfection.
        clock: the bench's. ideal: every imperfection off. seed: of hidden truths and noise; None: the file's.

    Raises:
        BenchFileError: a [simulation] key or value is wrong, or a port cannot be simulated.
    """

    def __init__(self, file: BenchFile, clock: SimulatedClock, ideal: bool = False, seed: int | None = None) -> None:
        own_seed = file.simulation.get("seed", 0)
        if type(own_seed) is not int or own_seed < 0:
            raise BenchFileError(f"{file.name}: simulation.seed = {own_seed!r}: a whole number from 0 is wanted")
        seed = own_seed if seed is None else seed
        optics = ChipOptics.of(file)
        _check_name(file, optics)
        self.port, self._clock = optics.port, clock
        super().__init__(file, clock, seed)
        _check_ports(file, optics, self.instruments)
        self.light = ChipLight(optics, ChipSettings.of(file, optics, ideal), seed, ideal)
        monitors = Monitors(self.light, seed) if any(port in file.ports for port in INSITU) else None
        per_v = float(getattr(file.ports[self.port].options, "behind", ("V", 1.0))[1])
        self._readings = ChipReadings(self.light, monitors, self.port, per_v)
        self._held: HeldSources | None = None
        if not hasattr(self.instruments.of(self.port)[0], "bank"):
            first = int(getattr(file.ports[self.port].options, "first", 0))
            span = range(first, first + self.instruments.channels(self.port))
            emulators, amperes = self.instruments.of(self.port), optics.design.coupler == "pt"
            self._held = HeldSources(emulators, span, clock, amperes, self.light.actuators.resistances)
        self._fired: Fired | None = None
        for port in TAPS:
            for adc in self.instruments.of(port):
                adc.on_fire, adc.on_fetch = self._fire, self._develop

    def _fire(self, shots: int, dwell_s: float) -> None:
        """The trigger: noted now, computed when a record is fetched."""
        adcs = {port: adc for port in TAPS for adc in self.instruments.of(port) if adc.armed_shots}
        for port, adc in adcs.items():
            if adc.armed_shots != shots:
                raise Refusal("state", f"{port} is armed for {adc.armed_shots} shots, not {shots}")
        names = (*BEAMS, *(() if self._held else (self.port,)))
        dacs = {port: dac for port in names for dac in self.instruments.of(port) if dac.armed}
        for port, dac in dacs.items():
            if len(dac.order) != shots:
                raise Refusal("state", f"{port} is armed for {len(dac.order)} shots, not {shots}")
        self._note(adcs, dacs, shots, dwell_s)
        for adc in adcs.values():
            adc.will_record()
        for dac in dacs.values():
            dac.played()
        self._clock.wait(shots * dwell_s)

    def _note(self, adcs: dict[str, Any], dacs: dict[str, Any], shots: int, dwell_s: float) -> None:
        """Add a burst to what was fired, or begin anew where detectors were armed since."""
        before = None if self._held is None else self._held.state.copy()
        edits, age = ({}, 0.0) if self._held is None else self._held.take_down()
        fired = self._fired
        if fired is None or any(adc.firings == 0 for adc in adcs.values()):
            orders, banks = {p: d.order for p, d in dacs.items()}, {p: d.bank for p, d in dacs.items()}
            state = None if self._held is None else self._held.state.copy()
            fired = self._fired = Fired(orders, banks, shots, dwell_s, tuple(adcs), state, before)
            edits = {}
        fired.edits.append(edits)
        fired.times.append(self._clock.now())
        fired.ages.append(age)

    def _develop(self) -> None:
        """Compute what was fired, and record it."""
        fired, self._fired = self._fired, None
        if fired is None:
            raise Refusal("state", "nothing was fired since the last arm")
        try:
            volts = self._readings.of(fired)
        except ValueError as problem:
            raise Refusal("argument", f"the simulated light cannot be computed: {problem}") from problem
        for port in fired.wanted:
            start = 0
            for adc in self.instruments.of(port):
                adc.record(volts[port][:, start : start + adc.channels])
                start += adc.channels


def _check_name(file: BenchFile, optics: ChipOptics) -> None:
    wanted = "pt_chip" if optics.design.coupler == "pt" else "mzi_chip"
    if file.simulation["bench"] != wanted:
        told = f"nominal.chip.coupler = {optics.design.coupler!r} is a chip of the bench {wanted!r}"
        raise BenchFileError(f"{file.name}: simulation.bench = {file.simulation['bench']!r}: {told}")


def _check_ports(file: BenchFile, optics: ChipOptics, instruments: Instruments) -> None:
    """Raise BenchFileError unless all ports are those of the chip, with its numbers of channels."""
    design = optics.design
    for port in file.ports:
        if port not in (*BEAMS, *TAPS, optics.port):
            raise BenchFileError(f"{file.name}: ports.{port}: a simulated {design.coupler} chip has no such port")
        if port in INSITU and (design.coupler == "pt" or design.activation != "board"):
            told = f"not simulated for {design.coupler} couplers with activation by {design.activation}"
            raise BenchFileError(f"{file.name}: ports.{port}: {told}; heater chips with an activation board have monitors")
    try:
        check_ports(optics, instruments.stand_ins(), file.name)  # type: ignore[arg-type]
    except ProcedureError as problem:
        raise BenchFileError(str(problem)) from None
